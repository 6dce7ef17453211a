"""What follows: from the ontology into the graph `entailed`, from our rules into `derived`, never into what is stated."""

from collections.abc import Iterable

import pyoxigraph as ox

from itukg import names

RULES = {
    "sub-property": "{ ?s ?super ?o } WHERE { ?p rdfs:subPropertyOf ?super . ?s ?p ?o . FILTER(?p != ?super) }",
    "inverse": "{ ?o ?inverse ?s } WHERE { { ?p owl:inverseOf ?inverse } UNION { ?inverse owl:inverseOf ?p } ?s ?p ?o . FILTER(!isLiteral(?o)) }",
    "transitive": "{ ?a ?p ?c } WHERE { ?p a owl:TransitiveProperty . ?a ?p ?b . ?b ?p ?c }",
    "super-class": "{ ?s a ?super } WHERE { ?class rdfs:subClassOf ?super . ?s a ?class . FILTER(isIRI(?super)) }",
}
"""OWL 2 RL's prp-spo1, prp-inv1 and -inv2, prp-trp and cax-sco, as the right side of an INSERT.

Domains and ranges are documentation here and yield nothing.
"""


def entail(merged: set[ox.Quad]) -> list[ox.Quad]:
    """Return what the rules add to the merged graph, in the graph `entailed`: no triple that it already holds."""
    store = ox.Store()
    store.bulk_extend(merged)
    before = set(store)  # as the store writes it: it makes "4.0" into "4"
    size = 0
    while size != len(store):
        size = len(store)
        for rule in RULES.values():
            store.update(f"{names.PROLOGUE} INSERT {rule}")
    entailed = ox.NamedNode(names.graph("entailed"))
    return [ox.Quad(q.subject, q.predicate, q.object, entailed) for q in store if q not in before]


def derive(merged: set[ox.Quad], rules: Iterable[str]) -> list[ox.Quad]:
    """Return what the CONSTRUCT queries `rules` make of the merged graph, in the graph `derived`.

    They run until none adds anything: each sees the merged graph, and what all have derived so far as
    GRAPH `derived`. What is derived holds no triple that the merged graph holds.
    """
    graph = ox.NamedNode(names.graph("derived"))
    store = ox.Store()
    store.bulk_extend(merged)
    held = {quad.triple for quad in store}
    size = -1
    while size != len(store):
        size = len(store)
        for rule in rules:
            triples = store.query(rule)
            assert isinstance(triples, ox.QueryTriples)
            store.extend([ox.Quad(t.subject, t.predicate, t.object, graph) for t in triples if t not in held])
    return list(store.quads_for_pattern(None, None, None, graph))
