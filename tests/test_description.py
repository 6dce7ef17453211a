"""What the service tells machines of itself: VoID, service description, query examples, robots.txt."""

from pathlib import Path
from typing import Any

import httpx2
import pyoxigraph as ox
import pytest
from conftest import ROOT
from fastapi.testclient import TestClient
from jinja2 import UndefinedError
from rdflib import RDF, RDFS, SDO, SH, VOID, Graph, Literal, Namespace, URIRef
from rdflib.term import Node
from test_sparql import ask, graph_of, number, problem_of, triples_of, values

from itukg import names
from itukg.corpus import Corpus
from itukg.errors import DataError
from itukg.formats import GRAPH_FORMATS, TURTLE, Format
from itukg.queries import SavedQuery
from itukg.release.model import Release
from itukg.release.turtle import triples_of as described_by
from itukg.release.void import MERGED, RELEASE, SERVICE, describe, service_description
from itukg.release.void import examples as examples_of

SD = Namespace(names.SD)
DCTERMS = Namespace(names.PREFIXES["dcterms"])
EXAMPLES = ("/.well-known/sparql-examples", "/sparql/.well-known/sparql-examples")
WHOLE = URIRef(MERGED)
TEXTS = ROOT / "src/itukg/release/descriptions/texts.ttl"
NUMBERS = ("triples", "distinctSubjects", "distinctObjects", "classes", "properties")


def get(client: httpx2.Client, path: str, accept: str = "text/turtle", **headers: str) -> httpx2.Response:
    return client.get(path, headers={"accept": accept} | headers)


@pytest.fixture(scope="module")
def void(client: TestClient) -> Graph:
    return graph_of(get(client, "/.well-known/void"))


@pytest.fixture(scope="module")
def examples(client: TestClient) -> Graph:
    return graph_of(get(client, EXAMPLES[0]))


def datasets(void: Graph) -> dict[Node, str]:
    """Each dataset with the pattern that asks for its triples."""
    return {WHOLE: "%s"} | {part: f"GRAPH <{name}> {{ %s }}" for name, part in void.subject_objects(SD.graph)}


def table(client: TestClient, query: str) -> dict[tuple[str, ...], tuple[int, ...]]:
    """The solutions: those columns that are numbers by the others."""
    rows = values(ask(client, query))
    return {
        tuple(c for c in row if not c.isdigit()): tuple(int(c) for c in row if c.isdigit()) for row in rows if row[0]
    }


# --- VoID ---


def test_each_graph_and_the_merged_one_has_its_dataset(void: Graph, release: Release) -> None:
    described = set(void.subjects(RDF.type, VOID.Dataset))
    assert described == set(datasets(void))
    assert {str(name) for name in void.subjects(SD.graph)} == set(release.manifest["graphs"])
    assert len(described) == len(release.manifest["graphs"]) + 1 >= 15
    left_out = {
        name for name in void.subjects(SD.graph) if (WHOLE, VOID.subset, void.value(name, SD.graph)) not in void
    }
    assert left_out == {URIRef(names.graph(name)) for name in ("derived", "shapes")}
    for dataset in described:
        assert (dataset, DCTERMS.isPartOf, URIRef(RELEASE)) in void
        for term in (DCTERMS.title, DCTERMS.description, DCTERMS.license, VOID.vocabulary):
            assert void.value(dataset, term, any=False) if term != VOID.vocabulary else void.value(dataset, term)
    assert void.value(URIRef(RELEASE), DCTERMS.identifier) == Literal(release.name)


def test_the_numbers_are_those_that_queries_count(void: Graph, client: TestClient) -> None:
    checked = 0
    for dataset, pattern in datasets(void).items():
        query = f"""SELECT (COUNT(*) AS ?t) (COUNT(DISTINCT ?s) AS ?ss) (COUNT(DISTINCT ?o) AS ?os)
            (COUNT(DISTINCT ?c) AS ?cs) (COUNT(DISTINCT ?p) AS ?ps)
            WHERE {{ {pattern % "?s ?p ?o"} BIND(IF(?p = <{RDF.type}> && isIRI(?o), ?o, ?none) AS ?c) }}"""
        [counted] = values(ask(client, query))
        assert counted == tuple(str(void.value(dataset, VOID[term], any=False)) for term in NUMBERS), dataset
        checked += int(counted[0])
    assert checked > 70_000


def test_the_entities_are_those_whose_iri_begins_as_stated(void: Graph, client: TestClient) -> None:
    for dataset, pattern in datasets(void).items():
        space, regex = void.value(dataset, VOID.uriSpace), void.value(dataset, VOID.uriRegexPattern)
        assert (space is None) != (regex is None), dataset
        assert "\\" not in str(regex or "").replace(r"\.", ""), "Comunica's JavaScript knows no other escape"
        condition = f'STRSTARTS(STR(?s), "{space}")' if space else f"REGEX(STR(?s), {regex.n3()})"  # type: ignore[union-attr]
        query = f"SELECT (COUNT(DISTINCT ?s) AS ?n) WHERE {{ {pattern % '?s ?p ?o'} FILTER(isIRI(?s) && {condition}) }}"
        [(entities,)] = values(ask(client, query))
        assert int(entities) == int(str(void.value(dataset, VOID.entities, any=False))) > 0, dataset
        for shown in void.objects(dataset, VOID.exampleResource):
            assert number(client, pattern % f"<{shown}> ?p ?o") > 0


def test_the_partitions_are_those_that_queries_find(void: Graph, client: TestClient) -> None:
    nested_parts = 0
    for dataset, pattern in datasets(void).items():
        classes = {void.value(part, VOID["class"]): part for part in void.objects(dataset, VOID.classPartition)}
        found = table(
            client,
            f"SELECT ?c (COUNT(DISTINCT ?s) AS ?n) WHERE {{ {pattern % '?s a ?c'} FILTER(isIRI(?c)) }} GROUP BY ?c",
        )
        assert found == {(str(kind),): numbers_of(void, part, "entities") for kind, part in classes.items()}, dataset
        properties = {void.value(part, VOID.property): part for part in void.objects(dataset, VOID.propertyPartition)}
        found = table(
            client,
            f"""SELECT ?p (COUNT(*) AS ?n) (COUNT(DISTINCT ?s) AS ?ss) (COUNT(DISTINCT ?o) AS ?os)
                WHERE {{ {pattern % "?s ?p ?o"} }} GROUP BY ?p""",
        )
        terms = ("triples", "distinctSubjects", "distinctObjects")
        assert found == {(str(p),): numbers_of(void, part, *terms) for p, part in properties.items()}, dataset
        found = table(
            client,
            f"""SELECT ?c ?p (COUNT(*) AS ?n) WHERE {{ {pattern % "?s a ?c ; ?p ?o"} FILTER(isIRI(?c)) }}
                GROUP BY ?c ?p""",
        )
        nested = {
            (str(kind), str(void.value(part, VOID.property))): numbers_of(void, part, "triples")
            for kind, whole in classes.items()
            for part in void.objects(whole, VOID.propertyPartition)
        }
        assert nested == (found if dataset == WHOLE else {}), dataset  # told once, of the whole
        nested_parts += len(nested)
    assert nested_parts > 500


def numbers_of(void: Graph, part: Any, *terms: str) -> tuple[int, ...]:
    return tuple(int(str(void.value(part, VOID[term], any=False))) for term in terms)


def test_a_plans_graph_names_its_document_and_only_the_ontology_a_date(void: Graph) -> None:
    sources = set(void.objects(predicate=DCTERMS.source))
    assert {str(source).rsplit("/", 1)[1] for source in sources} >= {"buap-2018-2021", "tdag-26-2-add-2"}
    for source in sources:
        dataset = void.value(predicate=DCTERMS.source, object=source, any=False)
        assert "remains that of the ITU" in str(void.value(dataset, DCTERMS.rights))
    dated = set(void.subjects(DCTERMS.modified))
    assert dated == {void.value(URIRef(names.graph("ontology")), SD.graph)}


def test_the_description_is_the_same_byte_for_byte(release: Release) -> None:
    quads = list(ox.parse(path=release.dataset, format=ox.RdfFormat.N_QUADS))
    store = ox.Store()
    store.bulk_extend(reversed(quads))
    triples = describe(store, release.name)
    assert "".join(sorted(f"{t} .\n" for t in triples)).encode() == release.void.read_bytes()
    assert len(set(triples)) == len(triples)
    assert b"_:" not in release.void.read_bytes()


def test_terms_without_a_namespace_and_things_of_others_are_described_too() -> None:
    store = ox.Store()
    store.add(ox.Quad(ox.NamedNode("urn:s"), ox.NamedNode("urn:p"), ox.Literal("o"), ox.NamedNode(names.graph("a/b"))))
    [part] = {t.subject.value for t in describe(store, "x") if t.predicate.value == names.VOID + "entities"}  # type: ignore[union-attr]
    said = {t.predicate.value: t.object for t in describe(store, "x") if t.subject == ox.NamedNode(part)}
    assert part == names.DESCRIPTION + "#graph/a%2Fb"
    assert said[names.VOID + "entities"] == ox.Literal(0) and said[names.VOID + "triples"] == ox.Literal(1)
    assert not {names.VOID + term for term in ("vocabulary", "exampleResource", "uriSpace", "uriRegexPattern")} & {
        *said
    }


def test_what_we_say_of_graphs_stands_in_the_description(void: Graph) -> None:
    said = Graph().parse(source=TEXTS, format="turtle")
    graphs = {subject for subject in said.subjects() if str(subject).startswith(names.GRAPHS)}
    assert len(graphs) == 8
    for graph in graphs - {URIRef(names.graph("mappings"))}:  # nothing is accepted yet: tests/test_proposals.py
        for term in (DCTERMS.title, DCTERMS.description):
            assert void.value(void.value(graph, SD.graph), term, any=False) == said.value(graph, term, any=False)


HOSTILE = 'a "b" \'c\' """ \\ \n\r\t <d> {{ names }} {% raise %} # é😀\u2028'


def test_a_template_escapes_every_text() -> None:
    query = SavedQuery("q", HOSTILE, f"{HOSTILE}.", (HOSTILE, "b"), f"SELECT * {{}}  # {HOSTILE.splitlines()[0]}")
    said = {(quad.predicate.value, quad.object) for quad in examples_of([query])}
    for term, text in (("label", query.summary), ("comment", query.summary)):
        assert (str(RDFS[term]), ox.Literal(text, language="en")) in said
    assert (str(DCTERMS.description), ox.Literal(query.description, language="en")) in said
    assert (str(SH.select), ox.Literal(query.text)) in said
    assert {value for term, value in said if term == str(SDO.keywords)} == {ox.Literal(HOSTILE), ox.Literal("b")}


@pytest.mark.parametrize(
    "address", ["http://h/> . <urn:s> <urn:p> <urn:o", "http://h/\\u003e", "http://h/ x", "no/iri", ""]
)
def test_a_template_takes_nothing_for_an_iri_that_is_none(address: str) -> None:
    with pytest.raises(ValueError, match=r"IRI|scheme"):
        service_description([], address)
    assert len(service_description([], "http://h/é")) > 5


def test_a_template_lacks_nothing_and_writes_no_other_values() -> None:
    with pytest.raises(UndefinedError, match="endpoint"):
        described_by("service")
    for value in (None, 1.5, b"x", {"a"}):
        with pytest.raises(TypeError, match=type(value).__name__):
            described_by("service", endpoint=value, formats=[], datasets=[])


# --- the service ---


def test_the_service_names_the_address_at_which_it_is_reached(client: TestClient) -> None:
    hosts = ["testserver", "plans.example:8443", "[::1]:8000", "xn--bcher-kva.example"]
    for host in hosts:
        for syntax in GRAPH_FORMATS:
            described = triples_of(get(client, "/.well-known/void", syntax.media_type, host=host))
            endpoint = ox.NamedNode(f"http://{host}/sparql")
            for predicate in (SD.endpoint, VOID.sparqlEndpoint):
                assert {triple.object for triple in described if triple.predicate.value == str(predicate)} == {endpoint}


def test_the_service_states_its_language_syntaxes_and_dataset(void: Graph) -> None:
    service = URIRef(SERVICE)
    assert (service, RDF.type, SD.Service) in void
    assert set(void.objects(service, SD.supportedLanguage)) == {SD.SPARQL11Query}
    syntaxes = {str(syntax).removeprefix(names.FORMATS) for syntax in void.objects(service, SD.resultFormat)}
    assert syntaxes >= {f"SPARQL_Results_{name}" for name in ("JSON", "XML", "CSV", "TSV")}
    assert syntaxes >= {"Turtle", "N-Triples", "RDF_XML", "JSON-LD"}
    assert not set(void.objects(service, SD.feature))
    dataset = void.value(service, SD.defaultDataset)
    assert void.value(dataset, SD.defaultGraph) == WHOLE
    for named in void.objects(dataset, SD.namedGraph):
        assert void.value(named, SD.name) == named


@pytest.mark.parametrize("host", ["a b", "a/b", "a>b", '"', "é", "[::1", "a:b", "a" * 254, "user@host", "a&b", ""])
def test_a_host_that_gives_no_address_is_400(client: TestClient, host: str) -> None:
    # httpx sends what a socket could: bytes
    reply = client.get("/.well-known/void", headers=[(b"host", host.encode())])
    assert "Host" in problem_of(reply, 400)["detail"]


def test_the_bare_endpoint_answers_with_the_same(client: TestClient) -> None:
    for syntax in GRAPH_FORMATS:
        void, bare = (get(client, path, syntax.media_type) for path in ("/.well-known/void", "/sparql"))
        assert (bare.status_code, bare.content) == (200, void.content)
        assert bare.headers["etag"] == void.headers["etag"]


@pytest.mark.parametrize("path", ["/.well-known/void", *EXAMPLES])
@pytest.mark.parametrize("syntax", GRAPH_FORMATS, ids=lambda f: f.name)
def test_each_description_has_the_same_triples_in_every_syntax(client: TestClient, path: str, syntax: Format) -> None:
    reply = get(client, path, syntax.media_type)
    assert reply.headers["content-type"].startswith(syntax.media_type)
    assert reply.headers["vary"].startswith("Accept")
    assert set(graph_of(reply)) == set(graph_of(get(client, path)))
    for other in (client.get(f"{path}{syntax.suffix}"), client.get(path, params={"format": syntax.name})):
        assert other.headers["content-type"] == reply.headers["content-type"]
        assert other.content == reply.content


@pytest.mark.parametrize("path", ["/.well-known/void", *EXAMPLES])
def test_a_description_is_turtle_unless_requested_otherwise(client: TestClient, path: str) -> None:
    assert get(client, path, "*/*").headers["content-type"].startswith(TURTLE.media_type)
    problem_of(get(client, path, "image/png"), 406)
    problem_of(get(client, f"{path}.csv"), 404)
    problem_of(client.post(path), 405)


def test_the_description_begins_with_what_it_describes(client: TestClient) -> None:
    blocks = [line for line in get(client, "/.well-known/void").text.splitlines() if line.startswith("<")]
    first = next(place for place, block in enumerate(blocks) if "/property/" in block.split()[0])
    assert any(block.startswith(f"<{SERVICE}> a ") for block in blocks[:first])
    assert any(block.startswith(f"<{MERGED}> a ") for block in blocks[:first])


# --- query examples ---


def test_every_saved_query_stands_in_the_examples_and_runs(examples: Graph, client: TestClient, corpus: Corpus) -> None:
    texts = set(examples.subject_objects(SH.select))
    queries = corpus.queries()
    assert len(texts) == len(queries) >= 15
    assert {str(subject) for subject, _ in texts} == {f"{names.QUERIES}/{query.name}" for query in queries}
    for subject, text in texts:
        query = corpus.query(str(subject).rsplit("/", 1)[1])
        assert str(text) == query.text
        assert values(ask(client, str(text)))
        assert {SH.SPARQLExecutable, SH.SPARQLSelectExecutable} == set(examples.objects(subject, RDF.type))
        assert examples.value(subject, RDFS.label) == Literal(query.summary, lang="en")
        assert examples.value(subject, RDFS.comment) == Literal(query.summary, lang="en")
        assert {str(tag) for tag in examples.objects(subject, SDO.keywords)} == set(query.tags)
        assert examples.value(subject, SDO.target) == URIRef(names.ENDPOINT)
        prefixes = {
            str(examples.value(declared, SH.prefix)): str(examples.value(declared, SH.namespace))
            for declared in examples.objects(examples.value(subject, SH.prefixes), SH.declare)
        }
        assert prefixes == {prefix: names.PREFIXES[prefix] for prefix in prefixes}
        assert all(f"PREFIX {prefix}: <{namespace}>" in query.text for prefix, namespace in prefixes.items())
        assert len(prefixes) == query.text.count("\nPREFIX ")


EDITORS_EXAMPLES = """PREFIX sh: <http://www.w3.org/ns/shacl#> PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#>
    SELECT DISTINCT ?sq ?comment ?query WHERE {
        ?sq a sh:SPARQLExecutable ; rdfs:comment ?comment ; sh:select|sh:ask|sh:construct|sh:describe ?query .
    } ORDER BY ?sq"""
EDITORS_PREFIXES = """PREFIX sh: <http://www.w3.org/ns/shacl#>
    SELECT DISTINCT ?prefix ?namespace WHERE { [] sh:namespace ?namespace ; sh:prefix ?prefix } ORDER BY ?prefix"""
EDITORS_CLASSES = """PREFIX void: <http://rdfs.org/ns/void#> PREFIX void-ext: <http://ldf.fi/void-ext#>
    SELECT DISTINCT ?subjectClass ?prop ?objectClass ?objectDatatype WHERE {
        ?cp void:class ?subjectClass ; void:propertyPartition ?pp .
        ?pp void:property ?prop .
        OPTIONAL {
            { ?pp void:classPartition [ void:class ?objectClass ] }
            UNION { ?pp void-ext:datatypePartition [ void-ext:datatype ?objectDatatype ] }
        }
    }"""


def test_an_editor_finds_what_it_asks_the_endpoint_for(examples: Graph, client: TestClient) -> None:
    """As the SIB's SPARQL editor asks, without GRAPH."""
    found = values(ask(client, EDITORS_EXAMPLES))
    assert {URIRef(row[0]) for row in found} == set(examples.subjects(RDF.type, SH.SPARQLExecutable))
    assert len(found) >= 40
    assert {*values(ask(client, EDITORS_PREFIXES))} >= {*names.PREFIXES.items()}
    classes = values(ask(client, EDITORS_CLASSES))
    counted = ask(
        client,
        """SELECT DISTINCT ?c ?p ?k ?d WHERE { ?s a ?c ; ?p ?o FILTER(isIRI(?c))
            OPTIONAL { ?o a ?k FILTER(isIRI(?k)) } BIND(DATATYPE(?o) AS ?d) }""",
    )
    assert {row[:2] for row in classes} == {row[:2] for row in values(counted)}
    led = [{row for row in found if row[2:] != ("None", "None")} for found in (classes, values(counted))]
    assert led[0] == led[1]
    assert len(classes) > 1_500


def test_the_examples_are_a_graph(examples: Graph, client: TestClient) -> None:
    graph = names.graph("queries")
    asked = graph_of(ask(client, f"CONSTRUCT {{ ?s ?p ?o }} WHERE {{ GRAPH <{graph}> {{ ?s ?p ?o }} }}", "text/turtle"))
    assert set(asked) == set(examples)


def test_each_form_of_query_has_its_class_and_property() -> None:
    def saved(text: str) -> SavedQuery:
        return SavedQuery("q", "What?", "All.", ("all",), text)

    forms = {"ASK {}": "Ask", "SELECT * {}": "Select", "CONSTRUCT {} WHERE {}": "Construct"}
    for text, word in forms.items():
        quads = {
            (q.predicate.value, q.object.value)
            for q in examples_of([saved(text)])
            if isinstance(q.object, ox.NamedNode | ox.Literal)
        }
        assert (str(RDF.type), f"{SH}SPARQL{word}Executable") in quads
        assert (f"{SH}{word.lower()}", text) in quads
    for text in ("DESCRIBE <urn:x>", "nonsense", "DROP ALL"):
        with pytest.raises(DataError, match=r"queries/q\.rq"):
            examples_of([saved(text)])


def test_a_release_holds_both_descriptions_as_files(release: Release) -> None:
    for file in (release.void, release.queries):
        assert isinstance(file, Path)
        lines = file.read_bytes().splitlines()
        assert lines == sorted(set(lines))
        assert len(lines) > 100


# --- crawlers ---


def test_crawlers_are_excluded_from_addresses_without_end(client: TestClient) -> None:
    reply = client.get("/robots.txt")
    assert reply.headers["content-type"].startswith("text/plain")
    assert reply.text.splitlines() == [
        "User-agent: *",
        "Disallow: /sparql?",
        "Disallow: /ask?",
        "Disallow: /matrix?",
        "Disallow: /matrix.",
        "Disallow: /embed/",
        "Disallow: /conformance?",
        "Disallow: /data/*/diff/",
        "Disallow: /*?release=",
    ]
