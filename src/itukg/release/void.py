"""What a release tells machines of itself: its size and parts (VoID), its endpoint, and its saved queries as RDF."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

import pyoxigraph as ox

from itukg import names
from itukg.corpus import NOT_MERGED, Corpus, file_hash
from itukg.engine.sparql import read_query
from itukg.errors import BadRequest, DataError
from itukg.formats import GRAPH_FORMATS, TABLE_FORMATS
from itukg.queries import SavedQuery
from itukg.rdf.facts import A, Facts, Value, literal, node, triples_of

RELEASE = names.DESCRIPTION + "#release"
"""The release as a SPARQL dataset: the merged graph and every named one."""
MERGED = names.DESCRIPTION + "#dataset"
"""The merged graph, which a query sees by default."""
SERVICE = names.DESCRIPTION + "#service"
PERIOD = names.CATALOG + "#period"
"""The years that the plans cover."""

TITLE = "The ITU results knowledge graph"
PUBLISHER = "The itukg project"
RIGHTS = (
    "Wording quoted from documents of the International Telecommunication Union remains that of the ITU. "
    "Identifiers and codes of the Sustainable Development Goals are those of the United Nations."
)
TEXTS = {
    "derived": ("Derived links", "Links that documented rules derive, each with its rule and what it rests on."),
    "entailed": ("Entailments", "What follows from the ontology and is stated nowhere."),
    "lineage": ("From plan to plan", "What a newer plan keeps, revises, adds and drops, judged and with reasons."),
    "ontology": ("The ontology", "The terms, with their alignment to other vocabularies."),
    "queries": ("Query examples", "The saved queries, to run as they stand."),
    "shapes": ("The SHACL shapes", "The rules that the data is checked against."),
}
"""Graph name → title and description, for the graphs that no file of `data/plans` or `data/schemes` makes."""

SPACES = (names.THINGS, names.ITU, names.SHAPES + "#", names.QUERIES, names.SDG)
"""Where the IRIs of what we describe begin."""
SHOWN = 3
"""How many things a dataset shows as examples, one of each of its largest classes."""

_YEARS = (names.ITU + "startYear", names.ITU + "endYear")

EXECUTABLES = {
    "SELECT": ("SPARQLSelectExecutable", "select"),
    "ASK": ("SPARQLAskExecutable", "ask"),
    "CONSTRUCT": ("SPARQLConstructExecutable", "construct"),
}
"""Query form → SHACL's class of such queries and the property that holds their text."""


def describe(quads: Iterable[ox.Quad], release: str) -> list[ox.Triple]:
    """Return the VoID description of the release named `release`, which holds `quads`: merged graph and named graphs.

    One pass over the quads. All is named by IRIs, so that the same quads give the same triples.
    """
    found: dict[str, _Count] = defaultdict(_Count)
    known: _Known = {}
    for quad in quads:
        graph = quad.graph_name.value if isinstance(quad.graph_name, ox.NamedNode) else MERGED
        found[graph].add(quad.subject, quad.predicate.value, quad.object)
        if graph == MERGED and quad.predicate.value in _KEPT and isinstance(quad.object, ox.NamedNode | ox.Literal):
            key = (str(quad.subject), quad.predicate.value)
            known[key] = min(quad.object, known.get(key, quad.object), key=str)
    triples = [
        *triples_of(names.DESCRIPTION, {"a": "void:DatasetDescription", "foaf:primaryTopic": MERGED}),
        *triples_of(RELEASE, {"a": "sd:Dataset", "dcterms:identifier": literal(release), "sd:defaultGraph": MERGED}),
    ]
    for graph, count in found.items():
        dataset = MERGED if graph == MERGED else _dataset(graph)
        triples += triples_of(dataset, {"a": ("void:Dataset", "sd:Graph"), "dcterms:isPartOf": RELEASE})
        triples += triples_of(dataset, _words(graph, known))
        triples += _counts(dataset, count)
        if graph != MERGED:
            # A graph is its own sd:NamedGraph, as editors that read such descriptions expect.
            triples += triples_of(RELEASE, {"sd:namedGraph": graph})
            triples += triples_of(graph, {"a": "sd:NamedGraph", "sd:name": graph, "sd:graph": dataset})
            triples += triples_of(MERGED, {"void:subset": dataset if graph not in NOT_MERGED else ()})
    return triples


def service_description(void: Iterable[ox.Triple], endpoint: str) -> list[ox.Triple]:
    """Return `void` with the SPARQL 1.1 Service Description of the service that answers at the IRI `endpoint`.

    It names no sd:feature, since none holds: the default graph is not the union of all graphs, no IRI is fetched,
    no query is passed on, an empty graph is not kept, and a query need not name its dataset.
    """
    void = list(void)
    datasets = {str(t.subject)[1:-1] for t in void if t.predicate == A and t.object == node("void:Dataset")}
    engines = [syntax.engine for syntax in (*TABLE_FORMATS, *GRAPH_FORMATS) if syntax.engine is not None]
    service: Facts = {
        "a": "sd:Service",
        "sd:endpoint": endpoint,
        "sd:supportedLanguage": "sd:SPARQL11Query",
        # The engine's IRI of JSON-LD is not the one that W3C lists; the last part of each is.
        "sd:resultFormat": sorted({names.FORMATS + engine.iri.rsplit("/", 1)[1] for engine in engines}),
        "sd:defaultDataset": RELEASE,
    }
    reached = (
        triple for dataset in sorted(datasets) for triple in triples_of(dataset, {"void:sparqlEndpoint": endpoint})
    )
    return _in_order([*void, *triples_of(SERVICE, service), *reached])


def examples(queries: Iterable[SavedQuery]) -> list[ox.Quad]:
    """Return the saved queries as the graph `queries`, modelled as the SIB's sparql-examples are.

    Raises DataError, naming the file, for one that is no query, or neither SELECT, ASK nor CONSTRUCT.
    """
    triples: list[ox.Triple] = []
    for query in queries:
        try:
            form = read_query(query.text).form
        except BadRequest as error:
            raise DataError(f"queries/{query.name}.rq: {error}") from None
        if form not in EXECUTABLES:
            raise DataError(f"queries/{query.name}.rq: a saved query is {', '.join(EXECUTABLES)}, not {form}.")
        kind, holder = EXECUTABLES[form]
        iri = f"{names.QUERIES}/{query.name}"
        prefixes = dict(re.findall(r"^PREFIX ([\w-]+): <([^>]*)>$", query.text, re.MULTILINE))
        triples += triples_of(
            iri,
            {
                "a": ("sh:SPARQLExecutable", f"sh:{kind}"),
                "rdfs:label": literal(query.summary, "en"),
                "rdfs:comment": literal(query.summary, "en"),
                "dcterms:description": literal(query.description, "en"),
                "schema:keywords": [literal(tag) for tag in query.tags],
                "schema:target": names.ENDPOINT,
                f"sh:{holder}": literal(query.text),
                "sh:prefixes": f"{iri}#prefixes",
            },
        )
        triples += triples_of(f"{iri}#prefixes", {"sh:declare": [f"{names.QUERIES}#{prefix}" for prefix in prefixes]})
        for prefix, namespace in prefixes.items():
            address = ox.Literal(namespace, datatype=node("xsd:anyURI"))
            declared: Facts = {"a": "sh:PrefixDeclaration", "sh:prefix": literal(prefix), "sh:namespace": address}
            triples += triples_of(f"{names.QUERIES}#{prefix}", declared)
    graph = ox.NamedNode(names.graph("queries"))
    return [ox.Quad(t.subject, t.predicate, t.object, graph) for t in dict.fromkeys(triples)]


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
            elif quad.predicate == node("dcterms:source") and isinstance(quad.object, ox.NamedNode):
                cited[quad.graph_name.value].add(quad.object.value)
            elif quad.predicate.value in _YEARS and isinstance(quad.object, ox.Literal):
                years.add(quad.object.value)
    triples: list[ox.Triple] = []
    for document, digest in sorted(copies.items()):
        triples += triples_of(document, {"a": "prov:Entity", "spdx:checksum": sum_iri(digest)})
        triples += checksum(digest)
    graphs = set(corpus.files().values())
    made = [*corpus.files().items()]
    made += [(path, "queries") for path in corpus.query_files()]
    made += [(path, "derived") for path in corpus.query_files("rules/*.rq")]
    for path, name in made:
        graph, file = names.graph(name), f"{names.CATALOG}#file/{path.relative_to(corpus.root).as_posix()}"
        triples += triples_of(graph, {"a": "prov:Entity", "prov:wasDerivedFrom": file})
        digest = file_hash(path)
        facts: Facts = {
            "a": "prov:Entity",
            "dcterms:title": literal(path.relative_to(corpus.root).as_posix()),
            "prov:wasDerivedFrom": sorted(cited[graph]) if name in graphs else (),
            "spdx:checksum": sum_iri(digest),
        }
        triples += [*triples_of(file, facts), *checksum(digest)]
    merged = sorted(names.graph(name) for name in graphs if names.graph(name) not in NOT_MERGED)
    for name, further in (("entailed", []), ("derived", [names.graph("entailed")])):
        triples += triples_of(names.graph(name), {"a": "prov:Entity", "prov:wasDerivedFrom": [*merged, *further]})
    if years:
        period: Facts = {
            "a": "dcterms:PeriodOfTime",
            "dcat:startDate": literal(min(years), datatype="xsd:gYear"),
            "dcat:endDate": literal(max(years), datatype="xsd:gYear"),
        }
        triples += triples_of(PERIOD, period)
    return list(dict.fromkeys(triples))


def checksum(digest: str) -> Iterator[ox.Triple]:
    """Return what is said of a SHA-256 (SPDX, as DCAT 3 has it); `sum_iri` names it."""
    return triples_of(
        sum_iri(digest),
        {
            "a": "spdx:Checksum",
            "spdx:algorithm": "spdx:checksumAlgorithm_sha256",
            "spdx:checksumValue": literal(digest, datatype="xsd:hexBinary"),
        },
    )


def sum_iri(digest: str) -> str:
    """Return the IRI of a SHA-256."""
    return f"{names.CATALOG}#sha256/{digest}"


@dataclass
class _Count:
    """What one graph holds, counted. Terms are kept as the text of N-Triples, whose hash Python remembers."""

    subjects: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    objects: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    triples: Counter[str] = field(default_factory=Counter)
    classes: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    uses: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, subject: object, predicate: str, value: object) -> None:
        """Count a triple."""
        about, said = str(subject), str(value)
        self.subjects[predicate].add(about)
        self.objects[predicate].add(said)
        self.triples[predicate] += 1
        self.uses[about, predicate] += 1
        if predicate == names.RDF_TYPE and isinstance(value, ox.NamedNode):
            self.classes[value.value].add(about)

    def by_class(self) -> dict[str, Counter[str]]:
        """Return class → property → number of triples whose subject is of the class."""
        types = defaultdict(list)
        for kind, things in self.classes.items():
            for thing in things:
                types[thing].append(kind)
        held: dict[str, Counter[str]] = {kind: Counter() for kind in self.classes}
        for (subject, predicate), number in self.uses.items():
            for kind in types.get(subject, ()):
                held[kind][predicate] += number
        return held

    def entities(self) -> list[str]:
        """Return the IRIs of SPACES that the graph describes, sorted."""
        subjects = set[str]().union(*self.subjects.values())
        return sorted(s[1:-1] for s in subjects if s.startswith("<") and s[1:-1].startswith(SPACES))

    def shown(self) -> list[str]:
        """Return the first thing of each of the SHOWN largest classes."""
        largest = sorted(self.classes, key=lambda kind: (-len(self.classes[kind]), kind))
        things = [min((t for t in self.classes[k] if t[1:].startswith(SPACES)), default=None) for k in largest]
        return list(dict.fromkeys(thing[1:-1] for thing in things if thing))[:SHOWN]


_DOCUMENTS = names.THINGS + "document/"
_DATES = ("dcterms:created", "dcterms:modified")
_KEPT = frozenset(map(names.expand, ("dcterms:license", "rdfs:label", *_DATES)))
_Known = dict[tuple[str, str], ox.NamedNode | ox.Literal]
"""Subject (as N-Triples has it) and property → value, for the properties that describe a dataset too."""


def _words(graph: str, known: _Known) -> Facts:
    """Return title, description, licence, rights, source and dates, as far as they are known."""
    name = graph.removeprefix(names.GRAPHS)
    document = known.get((f"<{_DOCUMENTS}{name}>", names.expand("rdfs:label")))
    if graph == MERGED:
        title, text = TITLE, "What documents and schemes say, the ontology, and what it entails; each triple once."
    elif document is not None:
        title = f"{document.value}, as linked data"
        text = "What the document states, each link with the words and the line that state it."
    else:
        title, text = TEXTS.get(name, (f"Reference scheme: {name}", "What plans point to: codes, names and links."))
    words: dict[str, Value] = {"dcterms:title": literal(title, "en"), "dcterms:description": literal(text, "en")}
    if document is not None:
        words["dcterms:source"] = _DOCUMENTS + name
    if document is not None or graph == MERGED:
        words["dcterms:rights"] = literal(RIGHTS, "en")
    copied = ("dcterms:license", *(_DATES if graph == names.graph("ontology") else ()))
    for term in copied:
        if (value := known.get((f"<{names.ONTOLOGY}>", names.expand(term)))) is not None:
            words[term] = value
    return words


def _counts(dataset: str, count: _Count) -> Iterator[ox.Triple]:
    subjects = set[str]().union(*count.subjects.values())
    objects = set[str]().union(*count.objects.values())
    entities = count.entities()
    spaces = [space for space in SPACES if any(iri.startswith(space) for iri in entities)]
    yield from triples_of(
        dataset,
        {
            "void:triples": ox.Literal(count.triples.total()),
            "void:entities": ox.Literal(len(entities)),
            "void:classes": ox.Literal(len(count.classes)),
            "void:properties": ox.Literal(len(count.triples)),
            "void:distinctSubjects": ox.Literal(len(subjects)),
            "void:distinctObjects": ox.Literal(len(objects)),
            "void:vocabulary": sorted({_namespace(term) for term in (*count.classes, *count.triples)}),
            "void:exampleResource": count.shown(),
        },
    )
    if len(spaces) == 1:
        yield from triples_of(dataset, {"void:uriSpace": literal(spaces[0])})
    elif spaces:  # VoID has one void:uriSpace, a prefix that all entities share
        pattern = "|".join(re.escape(space) for space in spaces)
        yield from triples_of(dataset, {"void:uriRegexPattern": literal(f"^({pattern})")})
    for term, number in count.triples.items():
        part = f"{dataset}/property/{_local(term)}"
        yield from triples_of(dataset, {"void:propertyPartition": part})
        yield from triples_of(
            part,
            {
                "void:property": term,
                "void:triples": ox.Literal(number),
                "void:distinctSubjects": ox.Literal(len(count.subjects[term])),
                "void:distinctObjects": ox.Literal(len(count.objects[term])),
            },
        )
    # Which property goes with which class is told once, of the whole.
    uses = count.by_class() if dataset == MERGED else {}
    for kind, things in count.classes.items():
        part = f"{dataset}/class/{_local(kind)}"
        yield from triples_of(dataset, {"void:classPartition": part})
        yield from triples_of(part, {"void:class": kind, "void:entities": ox.Literal(len(things))})
        for term, number in uses.get(kind, Counter()).items():
            nested = f"{part}/property/{_local(term)}"
            yield from triples_of(part, {"void:propertyPartition": nested})
            yield from triples_of(nested, {"void:property": term, "void:triples": ox.Literal(number)})


def _in_order(triples: list[ox.Triple]) -> list[ox.Triple]:
    """Return the triples subject by subject, what has a class before the many partitions."""
    typed = {triple.subject for triple in triples if triple.predicate == A}
    return sorted(triples, key=lambda t: (t.subject not in typed, str(t.subject), t.predicate != A))


def _dataset(graph: str) -> str:
    return f"{names.DESCRIPTION}#graph/{quote(graph.removeprefix(names.GRAPHS), safe='')}"


def _local(term: str) -> str:
    """Return a term as a part of a fragment: no two terms give the same."""
    return quote(names.shorten(term), safe=":")


def _namespace(term: str) -> str:
    return term[: max(term.rfind("#"), term.rfind("/")) + 1]
