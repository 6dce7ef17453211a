"""What a release tells machines of itself: its size and parts (VoID), its endpoint, and its saved queries as RDF."""

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import pyoxigraph as ox

from itukg import names
from itukg.corpus import NOT_MERGED, Corpus, file_hash
from itukg.engine.sparql import read_query
from itukg.errors import BadRequest, DataError
from itukg.formats import GRAPH_FORMATS, TABLE_FORMATS
from itukg.queries import SavedQuery
from itukg.release.turtle import rows_of, texts_of, triples_of

Row = dict[str, Any]

RELEASE = names.DESCRIPTION + "#release"
"""The release as a SPARQL dataset: the merged graph and every named one."""
MERGED = names.DESCRIPTION + "#dataset"
"""The merged graph, which a query sees by default."""
SERVICE = names.DESCRIPTION + "#service"

[TITLE] = texts_of(names.DATASET, "dcterms:title")
[RIGHTS] = texts_of(names.DATASET, "dcterms:rights")
[PUBLISHER] = texts_of(names.CATALOG + "#publisher", "foaf:name")

SHOWN = 3
"""How many things a dataset shows as examples, one of each of its largest classes."""

_YEARS = (names.ITU + "startYear", names.ITU + "endYear")

EXECUTABLES = {
    "SELECT": ("SPARQLSelectExecutable", "select"),
    "ASK": ("SPARQLAskExecutable", "ask"),
    "CONSTRUCT": ("SPARQLConstructExecutable", "construct"),
}
"""Query form → SHACL's class of such queries and the property that holds their text."""


def describe(store: ox.Store, release: str) -> list[ox.Triple]:
    """Return the VoID description of the release named `release`, which `store` holds: merged graph and named graphs.

    All is named by IRIs, so that the same quads give the same triples.
    """
    counted = ("properties", "classes", "uses", "entities")
    properties, classes, uses, entities = (_by_graph(rows_of(store, query)) for query in counted)
    first = {(row["graph"], row["term"]): row["thing"] for row in rows_of(store, "things")}
    datasets = []
    for total in rows_of(store, "totals"):
        graph = total["graph"]
        fragment = quote(graph.removeprefix(names.GRAPHS), safe="")
        terms = [row["term"] for row in (*classes[graph], *properties[graph])]
        things = (first.get((graph, row["term"])) for row in classes[graph])
        counts = {
            "iri": MERGED if graph == MERGED else f"{names.DESCRIPTION}#graph/{fragment}",
            "properties": properties[graph],
            "classes": classes[graph],
            "uses": uses[graph],
            "entities": entities[graph],
            # of an IRI only the dot means something else, and JavaScript takes no other escape here
            "spaces": "|".join(row["space"].replace(".", r"\.") for row in entities[graph]),
            "vocabularies": sorted({_namespace(term) for term in terms} - {""}),
            "examples": list(dict.fromkeys(filter(None, things)))[:SHOWN],
        }
        datasets.append(total | counts | _said(store, graph))
    found = triples_of("void", release=release, datasets=datasets, title=TITLE, rights=RIGHTS, local=_local)
    graph = ox.NamedNode(names.graph("description"))
    said = (quad.triple for quad in store.quads_for_pattern(None, None, None, graph))
    return list(dict.fromkeys([*found, *said]))


def structure(store: ox.Store) -> list[ox.Quad]:
    """Return, as the graph `description`, which properties the things of the merged graph have, and to what they lead."""
    return _in_graph(
        "description", triples_of("structure", leads=rows_of(store, "leads"), dataset=MERGED, local=_local)
    )


def _by_graph(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found = defaultdict(list)
    for row in rows:
        found[row["graph"]].append(row)
    return found


def _said(store: ox.Store, graph: str) -> Row:
    """Return what describes a graph: its document, or our words, and what the ontology says of itself."""

    def value(subject: str, property_: str) -> ox.NamedNode | ox.Literal | None:
        pattern = ox.NamedNode(subject), ox.NamedNode(names.expand(property_)), None, ox.DefaultGraph()
        found = (quad.object for quad in store.quads_for_pattern(*pattern))
        return min((o for o in found if isinstance(o, ox.NamedNode | ox.Literal)), key=str, default=None)

    name = graph.removeprefix(names.GRAPHS)
    label = value(_DOCUMENTS + name, "rdfs:label")
    copied = ("dcterms:license", *(_DATES if graph == names.graph("ontology") else ()))
    return {
        "name": name,
        "named": graph != MERGED,
        "merged": graph not in NOT_MERGED,
        "document": label and _DOCUMENTS + name,
        "label": label and label.value,
        "title": "".join(texts_of(graph, "dcterms:title")),
        "description": "".join(texts_of(graph, "dcterms:description")),
        "copied": {names.expand(term): value(names.ONTOLOGY, term) for term in copied},
    }


def service_description(void: Iterable[ox.Triple], endpoint: str) -> list[ox.Triple]:
    """Return `void` with the SPARQL 1.1 Service Description of the service that answers at the IRI `endpoint`."""
    void = list(void)
    datasets = sorted({str(t.subject)[1:-1] for t in void if t.predicate == _A and t.object == _DATASET})
    engines = [syntax.engine for syntax in (*TABLE_FORMATS, *GRAPH_FORMATS) if syntax.engine is not None]
    # The engine's IRI of JSON-LD is not the one that W3C lists; the last part of each is.
    formats = sorted({names.FORMATS + engine.iri.rsplit("/", 1)[1] for engine in engines})
    return _in_order([*void, *triples_of("service", endpoint=endpoint, formats=formats, datasets=datasets)])


def examples(queries: Iterable[SavedQuery]) -> list[ox.Quad]:
    """Return the saved queries as the graph `queries`, modelled as the SIB's sparql-examples are.

    Raises DataError, naming the file, for one that is no query, or neither SELECT, ASK nor CONSTRUCT.
    """

    def declared(prefix: str) -> str:
        return f"{names.QUERIES}#{prefix}"

    found, all_prefixes = [], {**names.PREFIXES}
    for query in queries:
        try:
            form = read_query(query.text).form
        except BadRequest as error:
            raise DataError(f"queries/{query.name}.rq: {error}") from None
        if form not in EXECUTABLES:
            raise DataError(f"queries/{query.name}.rq: a saved query is {', '.join(EXECUTABLES)}, not {form}.")
        kind, holder = EXECUTABLES[form]
        own = re.findall(r"^PREFIX ([\w-]+): <([^>]*)>$", query.text, re.MULTILINE)
        found.append(
            {
                "query": query,
                "iri": f"{names.QUERIES}/{query.name}",
                "kind": names.SH + kind,
                "holder": names.SH + holder,
                "prefixes": [declared(prefix) for prefix, _ in own],
            }
        )
        all_prefixes |= dict(own)
    prefixes = {declared(prefix): (prefix, namespace) for prefix, namespace in all_prefixes.items()}
    return _in_graph("queries", triples_of("queries", queries=found, prefixes=prefixes))


def provenance(corpus: Corpus, quads: Iterable[ox.Quad]) -> list[ox.Triple]:
    """Return what each named graph was made from (PROV): files, rules and graphs, and the documents behind them.

    A file and the text copy of a document have their SHA-256 (SPDX), so that it can be told which one it was.
    """
    copies: dict[str, str] = {}
    cited: dict[str, set[str]] = defaultdict(set)
    years = set()
    for quad in quads:
        if isinstance(quad.graph_name, ox.NamedNode) and isinstance(quad.subject, ox.NamedNode):
            if quad.predicate.value == names.ITU + "sha256" and isinstance(quad.object, ox.Literal):
                copies[quad.subject.value] = quad.object.value
            elif quad.predicate.value == names.expand("dcterms:source") and isinstance(quad.object, ox.NamedNode):
                cited[quad.graph_name.value].add(quad.object.value)
            elif quad.predicate.value in _YEARS and isinstance(quad.object, ox.Literal):
                years.add(quad.object.value)
    graphs = set(corpus.files().values())
    sources = [*corpus.files().items()]
    sources += [(path, "queries") for path in corpus.saved_files()]
    sources += [(path, "derived") for path in corpus.query_files("rules/*.rq")]
    files = []
    for path, name in sources:
        title = path.relative_to(corpus.root).as_posix()
        files.append(
            {
                "graph": names.graph(name),
                "iri": f"{names.CATALOG}#file/{title}",
                "title": title,
                "digest": file_hash(path),
                "cited": sorted(cited[names.graph(name)]) if name in graphs else [],
            }
        )
    merged = sorted(names.graph(name) for name in graphs if names.graph(name) not in NOT_MERGED)
    entailed, derived, described = map(names.graph, ("entailed", "derived", "description"))
    made = {entailed: merged, derived: [*merged, entailed], described: [*merged, entailed, names.graph("queries")]}
    return triples_of("provenance", copies=copies, files=files, made=made, years=years)


_DOCUMENTS = names.THINGS + "document/"
_DATES = ("dcterms:created", "dcterms:modified")
_A, _DATASET = ox.NamedNode(names.RDF_TYPE), ox.NamedNode(names.VOID + "Dataset")


def _in_graph(name: str, triples: Iterable[ox.Triple]) -> list[ox.Quad]:
    graph = ox.NamedNode(names.graph(name))
    return [ox.Quad(triple.subject, triple.predicate, triple.object, graph) for triple in triples]


def _in_order(triples: list[ox.Triple]) -> list[ox.Triple]:
    """Return the triples subject by subject, what has a class before the many partitions."""
    typed = {triple.subject for triple in triples if triple.predicate == _A}
    return sorted(triples, key=lambda t: (t.subject not in typed, str(t.subject), t.predicate != _A))


def _local(term: str) -> str:
    """Return a term as a part of a fragment: no two terms give the same."""
    return quote(names.shorten(term), safe=":")


def _namespace(term: str) -> str:
    return term[: max(term.rfind("#"), term.rfind("/")) + 1]
