"""The contract that every store keeps: the same questions to the embedded store, Oxigraph's server and Virtuoso."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import engines
import pyoxigraph as ox
import pytest
from conftest import wait_until_ready
from engines import Engine, opened
from fastapi.testclient import TestClient

from itukg import names
from itukg.corpus import Corpus
from itukg.engine.sparql import read_query
from itukg.engine.store import Dataset, graphs, rows, triples
from itukg.errors import SyntaxProblem, TimeLimit
from itukg.formats import BOOLEAN_FORMATS, CSV, FIRST_ROWS, GRAPH_FORMATS, JSONLD, N_TRIPLES, TABLE_FORMATS, Format
from itukg.release.model import Release
from itukg.settings import Settings
from itukg.web.app import create_app

OUTPUT = f"{names.THINGS}buap-2018-2021/output/2.1"
EVERYTHING = "SELECT (COUNT(*) AS ?n) WHERE { ?s ?p ?o }"
GRAPHS = "SELECT DISTINCT ?g WHERE { GRAPH ?g { ?s ?p ?o } } ORDER BY ?g"


@pytest.fixture(scope="module", params=["embedded", "oxigraph", pytest.param("virtuoso", marks=pytest.mark.exhaustive)])
def server(
    request: pytest.FixtureRequest, release: Release, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[engines.Server | None]:
    """The server of an engine, filled by `load`; none for the embedded store."""
    if request.param == "embedded":
        yield None
        return
    with engines.serving_engine(request.param, tmp_path_factory.mktemp(request.param)) as server:
        engines.fill(server, release)
        yield server


@pytest.fixture(scope="module")
def engine(server: engines.Server | None, release: Release) -> Iterator[Engine]:
    settings = server.settings(store=server.query) if server else Settings(timeout=60.0, workers=2)
    with opened(server.name if server else "embedded", release, settings) as engine:
        yield engine


@pytest.fixture(scope="module")
def embedded(release: Release) -> Iterator[Engine]:
    """What the others are compared with."""
    with opened("embedded", release, Settings(timeout=60.0, workers=2)) as engine:
        yield engine


def test_the_merged_graph_is_the_default_one_and_has_no_name(engine: Engine, corpus: Corpus, release: Release) -> None:
    expected = sorted(release.manifest["graphs"])
    assert {names.graph(name) for name in {*corpus.files().values(), "entailed", "derived"}} <= {*expected}
    assert engine.table(GRAPHS) == expected
    assert engine.run(graphs(engine.store)) == release.manifest["graphs"]
    assert engine.table(EVERYTHING) == [str(release.manifest["merged"])]


def test_the_dataset_of_the_protocol_decides_what_a_query_sees(engine: Engine, release: Release) -> None:
    sdg = names.graph("sdg")
    count = str(release.manifest["graphs"][sdg])
    assert engine.table(EVERYTHING, Dataset(default=(sdg,))) == [count]
    assert engine.table(GRAPHS, Dataset(default=(sdg,))) == []
    assert engine.table(EVERYTHING, Dataset(named=(sdg,))) == ["0"]
    assert engine.table(GRAPHS, Dataset(named=(sdg,))) == [sdg]
    assert engine.table(EVERYTHING, Dataset(default=(names.graph("no-such"),))) == ["0"]


def test_the_dataset_of_the_protocol_goes_before_that_of_the_query(engine: Engine, release: Release) -> None:
    sdg, wsis = names.graph("sdg"), names.graph("wsis")
    query = EVERYTHING.replace("WHERE", f"# FROM <x>\nFROM NAMED <{sdg}> from # and\n <{sdg}> WHERE")
    assert engine.table(query, Dataset(default=(wsis,))) == [str(release.manifest["graphs"][wsis])]
    assert engine.table(query) == [str(release.manifest["graphs"][sdg])]


def test_describe_of_nothing_is_empty(engine: Engine) -> None:
    assert engine.ask("DESCRIBE ?x { ?x a <urn:nothing> }", N_TRIPLES).strip() in (b"", b"# Empty NT")


def test_from_and_graph_name_graphs_as_the_release_does(engine: Engine, release: Release) -> None:
    shapes = names.graph("shapes")
    count = str(release.manifest["graphs"][shapes])
    assert engine.table(EVERYTHING.replace("WHERE", f"FROM <{shapes}> WHERE")) == [count]
    assert engine.table(f"SELECT (COUNT(*) AS ?n) WHERE {{ GRAPH <{shapes}> {{ ?s ?p ?o }} }}") == [count]
    prefixed = f"PREFIX g: <{names.GRAPHS}> SELECT (COUNT(*) AS ?n) WHERE {{ GRAPH g:shapes {{ ?s ?p ?o }} }}"
    assert engine.table(prefixed) == [count]
    in_words = f'SELECT DISTINCT (STR(?g) AS ?w) WHERE {{ GRAPH ?g {{ ?s ?p ?o }} FILTER(STR(?g) = "{shapes}") }}'
    assert engine.table(in_words) == [shapes]


@pytest.mark.parametrize("syntax", TABLE_FORMATS, ids=lambda syntax: syntax.media_type)
def test_a_table_is_the_same_in_every_syntax(engine: Engine, embedded: Engine, syntax: Format) -> None:
    query = f"""SELECT ?p ?o ?none WHERE {{ <{OUTPUT}> ?p ?o FILTER(!isBlank(?o)) }} ORDER BY ?p ?o"""
    written = engine.ask(query, syntax)
    assert written == embedded.ask(query, syntax)
    assert len(written) > 500


@pytest.mark.parametrize("syntax", BOOLEAN_FORMATS, ids=lambda syntax: syntax.media_type)
def test_ask_is_answered_in_every_syntax(engine: Engine, syntax: Format) -> None:
    for query, expected in ((f"ASK {{ <{OUTPUT}> ?p ?o }}", "true"), ("ASK { <urn:none> ?p ?o }", "false")):
        written = engine.ask(query, syntax)
        if syntax.name == "srx":
            assert f"<boolean>{expected}</boolean>".encode() in written
        else:
            assert json.loads(written)["boolean"] is (expected == "true")


@pytest.mark.parametrize("syntax", GRAPH_FORMATS, ids=lambda syntax: syntax.media_type)
def test_a_graph_is_the_same_in_every_syntax(engine: Engine, embedded: Engine, syntax: Format) -> None:
    query = f"CONSTRUCT {{ ?s ?p ?o }} WHERE {{ ?s ?p ?o . ?s <{names.ITU}subject> <{OUTPUT}> }}"
    written, expected = engine.ask(query, syntax), embedded.ask(query, syntax)
    assert len(expected) > 2000
    assert parsed(written, syntax) == parsed(expected, syntax)
    assert (syntax.name in ("ttl", "trig")) == written.startswith(b"@prefix dcterms:")
    assert (syntax is JSONLD) == (names.CONTEXT.encode() in written)


@pytest.mark.parametrize(
    "query",
    [
        f"SELECT ?p ?o ?none WHERE {{ <{OUTPUT}> ?p ?o FILTER(!isBlank(?o)) }} ORDER BY ?p ?o",
        f"CONSTRUCT WHERE {{ <{OUTPUT}> ?p ?o }}",
        f"ASK {{ <{OUTPUT}> ?p ?o }}",
        "SELECT ?s ?p WHERE { ?s ?p ?o FILTER(isIRI(?s)) } ORDER BY ?s ?p ?o",
    ],
)
def test_the_first_rows_with_their_labels_are_the_same(engine: Engine, embedded: Engine, query: str) -> None:
    written = json.loads(engine.ask(query, FIRST_ROWS))
    assert written == json.loads(embedded.ask(query, FIRST_ROWS))
    if "boolean" not in written:
        assert len(written["results"]["bindings"]) > 10
        assert len(written["labels"]) > 5


def test_describe_tells_the_whole_of_a_thing(engine: Engine, embedded: Engine) -> None:
    for thing in (OUTPUT, names.ONTOLOGY):
        found = parsed(engine.ask(f"DESCRIBE <{thing}>", N_TRIPLES), N_TRIPLES)
        assert found == parsed(embedded.ask(f"DESCRIBE <{thing}>", N_TRIPLES), N_TRIPLES)
        assert len(found) > 50


_BOOLEAN = re.compile(r"(?<=,)(true|false)(?=,|$)")


def test_saved_queries_have_the_same_answers_everywhere(engine: Engine, embedded: Engine, corpus: Corpus) -> None:
    saved = corpus.queries()
    assert len(saved) >= 10
    for query in saved:
        here, there = embedded.table(query.text), engine.table(query.text)
        if engine.name == "virtuoso":  # 7.2 has no Booleans of its own: those that a query computes are 1 and 0
            here, there = (
                [_BOOLEAN.sub(lambda found: str(int(found[0] == "true")), x) for x in lines] for lines in (here, there)
            )
        assert sorted(there) == sorted(here), query.name


def test_the_columns_of_a_star_stand_in_the_order_of_the_query(engine: Engine) -> None:
    answer = engine.ask(f"SELECT * WHERE {{ ?z a ?y ; <{names.PREFIXES['rdfs']}label> ?a }} LIMIT 1")
    assert answer.splitlines()[0] == b"z,y,a"


def test_literals_keep_language_datatype_and_every_character(engine: Engine) -> None:
    values = '"x"@fr 1.5 "2020-01-01"^^<http://www.w3.org/2001/XMLSchema#date> "d"^^<urn:kind> "é𝄞\\t\\"<\\n"'
    [row] = engine.run(
        rows(
            engine.store,
            f"SELECT ?a ?b ?c ?d ?e WHERE {{ VALUES (?a ?b ?c ?d ?e) {{ ({values}) }} }}",
        )
    )
    xsd = names.PREFIXES["xsd"]
    assert row == {
        "a": ox.Literal("x", language="fr"),
        "b": ox.Literal("1.5", datatype=ox.NamedNode(xsd + "decimal")),
        "c": ox.Literal("2020-01-01", datatype=ox.NamedNode(xsd + "date")),
        "d": ox.Literal("d", datatype=ox.NamedNode("urn:kind")),
        "e": ox.Literal('é𝄞\t"<\n'),
    }


def test_blank_nodes_are_distinct_within_an_answer(engine: Engine) -> None:
    pattern = f"?a <{names.PREFIXES['rdf']}rest> ?b FILTER(isBlank(?a) && isBlank(?b))"
    query = f"SELECT ?a ?b WHERE {{ GRAPH <{names.graph('shapes')}> {{ {pattern} }} }} LIMIT 20"
    pairs = engine.run(rows(engine.store, query))
    assert len({row["a"] for row in pairs}) == len({row["b"] for row in pairs}) == 20
    assert all(isinstance(row["a"], ox.BlankNode) for row in pairs)


def test_nothing_found_is_an_answer(engine: Engine) -> None:
    assert engine.ask("SELECT ?s WHERE { ?s ?p <urn:none> }", CSV).strip() == b"s"
    for syntax in GRAPH_FORMATS:
        written = engine.ask("CONSTRUCT { ?s ?p ?o } WHERE { ?s ?p ?o FILTER(?o = <urn:none>) }", syntax)
        assert parsed(written, syntax) == []
    assert engine.run(triples(engine.store, "CONSTRUCT WHERE { ?s ?p <urn:none> }")) == []


def test_a_syntax_error_is_one_and_names_its_line(engine: Engine) -> None:
    with pytest.raises(SyntaxProblem) as caught:
        engine.ask("SELECT *\nWHERE { ?s ?p FILTER(1) }")
    assert caught.value.line == 2
    assert caught.value.column == 15
    assert 20 < len(str(caught.value)) < 1000
    assert "input:" not in str(caught.value)


def test_a_query_over_its_time_limit_is_ended_and_others_go_on(engine: Engine) -> None:
    heavy = f"SELECT (COUNT(*) AS ?n) WHERE {{ ?a a <{names.ITU}Linkage> . ?b a <{names.ITU}Linkage> . ?c ?d ?e FILTER(STRLEN(STR(?a)) + STRLEN(STR(?b)) + STRLEN(STR(?c)) < 0) }}"
    with pytest.raises(TimeLimit, match=r"within 0\.3 s"):
        engine.ask(heavy, seconds=0.3)
    assert engine.table("SELECT (1 AS ?n) WHERE {}") == ["1"]


def test_a_body_that_is_left_half_read_gives_its_place_back(engine: Engine) -> None:
    async def begin() -> None:
        answer = await engine.store.answer(
            read_query("CONSTRUCT WHERE { ?s ?p ?o }"), Dataset(default=(names.graph("sdg"),)), N_TRIPLES
        )
        assert await anext(answer.body)
        await answer.body.aclose()

    for _ in range(7):  # more than there are places
        engine.run(begin())
    assert engine.table("SELECT (1 AS ?n) WHERE {}") == ["1"]


def test_the_application_serves_from_any_engine(server: engines.Server | None, release: Release, home: Path) -> None:
    settings = server.settings(store=server.query, home=home) if server else Settings(home=home)
    with TestClient(create_app(settings, release)) as client:
        wait_until_ready(client)
        thing = client.get("/id/buap-2018-2021/output/2.1")
        assert thing.status_code == 200
        count = client.get("/sparql", params={"query": EVERYTHING}, headers={"accept": "text/csv"})
        assert count.text.split() == ["n", str(release.manifest["merged"])]
        assert client.get("/sparql", params={"query": "SELECT *\nWHERE {"}).status_code == 400
        labels = client.get(
            "/sparql", params={"query": f"SELECT ?t {{ BIND(<{OUTPUT}> AS ?t) }}", "labels": "1", "format": "csv"}
        )
        label = thing.json()["label"]["en"]
        assert labels.text.splitlines() == ["t,tLabel", f'{OUTPUT},"{label}"']


def parsed(written: bytes, syntax: Format) -> list[str]:
    """Return the triples of a graph as sorted lines, in which every blank node looks alike."""
    if syntax is JSONLD:
        if names.CONTEXT.encode() not in written:
            return []
        document = json.loads(written)
        text = json.dumps(document, sort_keys=True)
        return [] if set(document) <= {"@context"} else sorted(re.sub(r"_:\w+", "_:", text).split(", "))
    assert isinstance(syntax.engine, ox.RdfFormat)
    lines = {str(quad.triple) for quad in ox.parse(written, format=syntax.engine)}
    return sorted(re.sub(r"_:\w+", "_:", line) for line in lines)
