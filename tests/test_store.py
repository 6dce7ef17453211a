"""The contract that every store keeps, and what the seam refuses before an engine sees it."""

import contextlib
import csv
import io
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pyoxigraph as ox
import pytest
from conftest import Engine, processes

from itukg import names
from itukg.corpus import Corpus, merged
from itukg.engine.sparql import Query, offers_for, read_query
from itukg.engine.store import Dataset
from itukg.errors import ItukgError, QueryRefused, SyntaxProblem, TimeLimit
from itukg.formats import CSV, GRAPH_FORMATS, TABLE_FORMATS, TURTLE


def ask(store: Engine, query: str, dataset: Dataset = Dataset()) -> list[dict[str, str]]:  # noqa: B008  (immutable)
    return list(csv.DictReader(io.StringIO(store.answer(query, dataset, CSV).decode())))


@pytest.fixture
def two_graphs(tmp_path: Path) -> Iterator[Engine]:
    """A store made as `build` makes one, in which two named graphs hold the same triple."""
    triple = (ox.NamedNode("urn:s"), ox.NamedNode("urn:p"), ox.NamedNode("urn:o"))
    quads = [ox.Quad(*triple, ox.NamedNode(names.graph(name))) for name in ("one", "two", "shapes")]
    path = tmp_path / "dataset.nq"
    with path.open("wb") as file:
        ox.serialize([*quads, *merged(quads)], file, format=ox.RdfFormat.N_QUADS)
    with Engine(path) as engine:
        yield engine


def test_a_triple_in_two_graphs_is_found_once_in_the_merged_graph(two_graphs: Engine) -> None:
    assert ask(two_graphs, "SELECT (COUNT(*) AS ?n) WHERE { <urn:s> ?p ?o }") == [{"n": "1"}]
    assert ask(two_graphs, "SELECT (COUNT(*) AS ?n) WHERE { GRAPH ?g { <urn:s> ?p ?o } }") == [{"n": "3"}]


def test_the_merged_graph_has_no_name(store: Engine, corpus: Corpus) -> None:
    found = {row["g"] for row in ask(store, "SELECT DISTINCT ?g WHERE { GRAPH ?g { ?s ?p ?o } }")}
    expected = {*corpus.files().values(), "entailed", "derived", "queries", "description"}
    assert len(expected) >= 9
    assert found == {names.graph(name) for name in expected} == set(store.graphs())


def test_derived_links_are_seen_only_by_the_name_of_their_graph(store: Engine) -> None:
    count = f"SELECT (COUNT(?l) AS ?n) WHERE {{ ?l <{names.ITU}basis> <{names.ITU}derived> }}"
    assert ask(store, count) == [{"n": "0"}]
    assert int(ask(store, count, Dataset(default=(names.graph("derived"),)))[0]["n"]) > 100


def test_shapes_are_seen_only_by_the_name_of_their_graph_and_entailments_always(store: Engine) -> None:
    kinds = "SELECT (COUNT(?s) AS ?n) WHERE { ?s a <http://www.w3.org/ns/shacl#PropertyShape> }"
    assert ask(store, kinds) == [{"n": "0"}]
    assert int(ask(store, kinds, Dataset(default=(names.graph("shapes"),)))[0]["n"]) > 0
    above = f"SELECT ?o WHERE {{ <{names.THINGS}buap-2018-2021/activity/2.1-A1> <{names.ITU}contributesTo> ?o }}"
    assert len(ask(store, above)) == 5  # work area, programme, output, outcome, objective


def test_the_dataset_of_the_protocol_decides_what_a_query_sees(store: Engine) -> None:
    count = "SELECT (COUNT(*) AS ?n) WHERE { ?s ?p ?o }"
    sdg = names.graph("sdg")
    assert int(ask(store, count, Dataset(default=(sdg,)))[0]["n"]) == store.graphs()[sdg]
    named = ask(store, "SELECT DISTINCT ?g WHERE { GRAPH ?g { ?s ?p ?o } }", Dataset(named=(sdg,)))
    assert named == [{"g": sdg}]


def test_every_row_of_the_tables_of_formats_can_be_written(store: Engine) -> None:
    select, construct = "SELECT * WHERE { ?s ?p ?o } LIMIT 3", "CONSTRUCT WHERE { ?s ?p ?o } LIMIT 3"
    written = 0
    for query, formats in ((select, TABLE_FORMATS), (construct, GRAPH_FORMATS)):
        for syntax in formats:
            assert len(store.answer(query, syntax=syntax)) > 50
            written += 1
    assert written == len(TABLE_FORMATS) + len(GRAPH_FORMATS)


def test_our_own_views_get_terms_and_triples(store: Engine) -> None:
    rows = store.rows(f"SELECT ?l ?none WHERE {{ <{names.SDG}9.c> <{names.PREFIXES['skos']}notation> ?l }}")
    assert [{name: term.value for name, term in row.items()} for row in rows] == [{"l": "9.c"}]
    assert len(store.triples(f"CONSTRUCT {{ <{names.SDG}9> ?p ?o }} WHERE {{ <{names.SDG}9> ?p ?o }}")) > 3


def test_a_syntax_error_names_line_and_column(store: Engine) -> None:
    with pytest.raises(SyntaxProblem) as caught:
        store.answer("SELECT *\nWHERE { ?s ?p FILTER(1) }")
    assert (caught.value.line, caught.value.column) == (2, 21)


def test_a_query_over_its_time_limit_is_ended_and_others_go_on(store: Engine) -> None:
    slow = f"SELECT (COUNT(*) AS ?n) WHERE {{ ?a a <{names.ITU}Linkage> . ?d ?e ?f . FILTER(STRLEN(STR(?a)) + STRLEN(STR(?d)) < 0) }}"
    for seconds in (0.05, 1.3):  # while it is quick, and when it is slow
        with pytest.raises(TimeLimit, match=rf"within {seconds} s"):
            store.answer(slow, seconds=seconds)
        assert ask(store, "SELECT (1 AS ?n) WHERE {}") == [{"n": "1"}]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("LOAD <http://localhost/x>", "LOAD is an update"),
        ("INSERT DATA { <urn:a> <urn:b> <urn:c> }", "INSERT is an update"),
        ("PREFIX e: <urn:e> DELETE WHERE { ?s ?p ?o }", "DELETE is an update"),
        ("clear all", "CLEAR is an update"),
        ("SELECT * WHERE { SERVICE <http://localhost/> { ?s ?p ?o } }", "SERVICE is refused"),
        ("SELECT * WHERE { service silent ?x { ?s ?p ?o } }", "SERVICE is refused"),
        ("SELECT * { ?s <x:\\u0041'> ?o SERVICE <x:y> { ?a ?b ?c } FILTER(?o != 'x') }", "SERVICE is refused"),
        ("ASK " + "{" * 20_000 + "}" * 20_000, "nests brackets more than"),
        ("ASK { FILTER(" + "1+" * 20_001 + "1) }", "operators"),
    ],
)
def test_updates_service_and_deeply_nested_brackets_are_refused_with_a_reason(query: str, words: str) -> None:
    with pytest.raises(QueryRefused, match=words):
        read_query(query)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT ?service WHERE { ?service ?p 'SERVICE' }",
        '# SERVICE\nSELECT * WHERE { <urn:SERVICE> ?p """SERVICE <x> {""" }',
        "PREFIX service: <urn:x> SELECT * WHERE { ?s service:SERVICE ?o }",
        "PREFIX insert: <urn:x> SELECT * WHERE { ?s insert:load 'it''s {' }".replace("''", "\\'"),
    ],
)
def test_what_only_looks_like_service_or_update_is_not_refused(query: str) -> None:
    assert read_query(query).form == "SELECT"


@pytest.mark.parametrize(
    ("query", "form"),
    [
        ("BASE <urn:x> PREFIX a: <urn:y#> ask {}", "ASK"),
        ("# first\n  CONSTRUCT WHERE { ?s ?p ?o }", "CONSTRUCT"),
        ("describe <urn:x>", "DESCRIBE"),
    ],
)
def test_the_form_of_a_query_is_known_without_evaluating_it(query: str, form: str) -> None:
    assert read_query(query).form == form
    assert offers_for(read_query(query).form)


@pytest.mark.parametrize(
    ("query", "volatile"),
    [
        ('SELECT (IF(1<2&&STRUUID()>"8",1,2) AS ?x) {}', True),
        ("SELECT (IF(1<2,RAND()>0.5,1) AS ?x) {}", True),
        ("SELECT (BNODE() AS ?x) {}", True),
        ("SELECT ('NOW()' AS ?x) {} # RAND()", False),
        ("SELECT ?uuid { ?uuid <urn:NOW> 1 }", False),
    ],
)
def test_a_query_whose_answers_may_differ_is_known(query: str, volatile: bool) -> None:
    assert read_query(query).volatile is volatile


@pytest.mark.parametrize(
    "query",
    [
        "PREFIX x: <urn:> SELECT * { ?s x:web.service ?o }",
        "SELECT ?service { ?service ?p 1 }",
        "CONSTRUCT {" + "?s ?p ?o . " * 10_000 + "} WHERE { ?s ?p ?o }",
        "SELECT * { FILTER(" + "(1)+" * 5000 + "1) }",
    ],
    ids=["a name", "a variable", "many variables", "many brackets"],
)
def test_what_only_looks_like_too_much_is_not_refused(query: str) -> None:
    assert not read_query(query).federated


@pytest.mark.parametrize(("query", "place"), [("", (1, 1)), ("\nSELEKT ?s", (2, 1))])
def test_a_text_that_is_no_query_is_a_syntax_problem_with_its_place(query: str, place: tuple[int, int]) -> None:
    with pytest.raises(SyntaxProblem, match="expected SELECT") as caught:
        read_query(query)
    assert (caught.value.line, caught.value.column) == place


def test_an_unforeseen_exception_is_an_internal_error_and_the_worker_goes_on(
    two_graphs: Engine, tmp_path: Path
) -> None:
    before = processes_on(tmp_path)
    with pytest.raises(ItukgError, match="log says why") as caught:
        two_graphs.answer(Query("DESCRIBE <urn:x>", "SELECT"))  # a graph, of which a table is to be written
    assert caught.value.status == 500
    assert ask(two_graphs, "SELECT (1 AS ?n) {}") == [{"n": "1"}]
    assert processes_on(tmp_path) == before


def test_a_query_whose_worker_is_ended_from_outside_is_answered_by_another(two_graphs: Engine, tmp_path: Path) -> None:
    _, *workers = processes_on(tmp_path)
    assert workers
    for pid in workers:  # stopped first, so that it surely ends in the middle of the query
        os.kill(pid, signal.SIGSTOP)

    def end() -> None:
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):  # the store has ended it meanwhile
                os.kill(pid, signal.SIGKILL)

    ending = threading.Timer(0.05, end)
    ending.start()
    assert ask(two_graphs, "SELECT (1 AS ?n) {}") == [{"n": "1"}]
    ending.join()
    assert ask(two_graphs, "SELECT (2 AS ?n) {}") == [{"n": "2"}]


def processes_on(folder: Path) -> list[int]:
    """The processes that hold the dataset in `folder`: the one that forks, and those that it forked."""
    ours = processes(os.getpid())
    return [pid for pid in ours if str(folder) in Path(f"/proc/{pid}/cmdline").read_text()]


def test_turtle_is_written_with_the_prefixes_it_uses_in_order(store: Engine) -> None:
    goals = "CONSTRUCT WHERE { ?s a <http://metadata.un.org/sdg/ontology#Goal> }"
    lines = store.answer(goals, syntax=TURTLE).decode().splitlines()
    prefixes = [line.split()[1] for line in lines if line.startswith("@prefix")]
    assert prefixes == ["sdg:", "sdgo:"]


def test_what_a_release_holds_is_what_the_files_say(corpus: Corpus, store: Engine) -> None:
    quads = list(corpus.quads())
    by_graph: dict[str, set[ox.Triple]] = {}
    for quad in quads:
        by_graph.setdefault(str(quad.graph_name.value), set()).add(quad.triple)  # type: ignore[union-attr]
    graphs = store.graphs()
    made = {names.graph(name) for name in ("entailed", "derived", "queries", "description")}
    assert {name: len(triples) for name, triples in by_graph.items()} == {
        name: size for name, size in graphs.items() if name not in made
    }
