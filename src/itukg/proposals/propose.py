"""What `itukg propose` writes."""

import pyoxigraph as ox

from itukg import names
from itukg.corpus import Corpus, merged
from itukg.release.derive import derive, entail

MAPPINGS = "mappings"


def store_of(corpus: Corpus) -> ox.Store:
    """Return a store of what documents and schemes say, what is judged of them and what rules derive, but not of what was accepted."""
    accepted = names.graph(MAPPINGS)
    merge = merged([quad for quad in corpus.quads() if quad.graph_name != ox.NamedNode(accepted)])
    merge |= merged(entail(merge))
    store = ox.Store()
    store.bulk_extend([*merge, *derive(merge, [rule.text for rule in corpus.rules()])])
    return store
