"""`itukg.open`: the same calls give the same answers from the installed files, from a folder and from a server."""

import copy
import json
import os
import pickle
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import rdflib
from conftest import PLAN, ROOT, environment_for, eventually, is_running, processes

import itukg
from itukg import client, errors, names
from itukg.client import KnowledgeGraph, Report, Table, Thing
from itukg.errors import (
    BadRequest,
    ItukgError,
    NotFound,
    NotReady,
    ServerUnavailable,
    SyntaxProblem,
    TimeLimit,
    from_problem,
)
from itukg.release.model import Release
from itukg.web.problems import problem_of

PLACES = ("packaged", "folder", "server")
OUTPUT = f"{PLAN}/output/2.1"
OUTCOME = "bap-2026-2029/outcome/T1.1-O1"
ACTION_LINE = f"<urn:test:a> a <{names.ITU}ActionLine> .\n"
"""An action line without a code, which is a fault."""

Call = Callable[[KnowledgeGraph], Any]


def opened(place: str, request: pytest.FixtureRequest) -> KnowledgeGraph:
    if place == "server":
        return itukg.open(request.getfixturevalue("server"))
    release = request.getfixturevalue("release")
    if place == "folder":
        return itukg.open(release.path)
    with mock.patch.dict(os.environ, environment_for(ITUKG_HOME=release.home), clear=True):
        return itukg.open()


@pytest.fixture(scope="module", params=PLACES)
def kg(request: pytest.FixtureRequest) -> Iterator[KnowledgeGraph]:
    with opened(request.param, request) as graph:
        yield graph


@pytest.fixture(scope="module")
def everywhere(request: pytest.FixtureRequest) -> Iterator[dict[str, KnowledgeGraph]]:
    graphs = {place: opened(place, request) for place in PLACES}
    yield graphs
    for graph in graphs.values():
        graph.close()


# --- one suite for all places ---


def test_a_query_gives_rows_with_values_of_python(kg: KnowledgeGraph) -> None:
    found = kg.query(
        """SELECT * WHERE { BIND(7 AS ?whole) BIND("7"^^xsd:long AS ?long) BIND(2.50 AS ?decimal) BIND(1e3 AS ?double)
        BIND(false AS ?boolean) BIND("2026-11-30"^^xsd:date AS ?day) BIND("2026-11-30T01:02:03Z"^^xsd:dateTime AS ?moment)
        BIND("x"@en AS ?text) BIND(itu:Output AS ?iri) OPTIONAL { ?iri itu:none ?nothing } BIND("x"^^xsd:integer AS ?odd) }"""
    )
    assert isinstance(found, Table)
    assert [*found] == [
        {
            "whole": 7,
            "long": 7,
            "decimal": Decimal("2.5"),
            "double": 1000.0,
            "boolean": False,
            "day": date(2026, 11, 30),
            "moment": datetime(2026, 11, 30, 1, 2, 3, tzinfo=UTC),
            "text": "x",
            "iri": names.ITU + "Output",
            "nothing": None,
            "odd": "x",
        }
    ]
    assert [type(value) for value in found[0].values()][:5] == [int, int, Decimal, float, bool]
    assert found.columns == tuple(found[0])


def test_a_query_of_another_form_gives_a_bool_or_a_graph(kg: KnowledgeGraph) -> None:
    assert kg.query("ASK { ?output a itu:Output }") is True
    assert kg.query("ASK { ?output a itu:None }") is False
    graph = kg.query("CONSTRUCT WHERE { ?plan a itu:ActionPlan }")
    assert isinstance(graph, rdflib.Graph)
    assert len(graph) == 3


def test_a_saved_query_is_asked_by_its_name(kg: KnowledgeGraph) -> None:
    found = kg.ask("outputs-for-sdg-target", target="9.c")
    assert [row["notation"] for row in found] == ["2.1", "3.1", "4.1"]
    assert [row["line"] for row in found] == [343, 565, 841]
    assert len(kg.ask("outputs-for-sdg-target", target="4.4")) == 5
    assert [len(kg.ask("budget-by-category", least=least)) for least in (500000, Decimal(500000))] == [6, 6]
    assert "outputs-for-sdg-target" in [row["name"] for row in kg.questions()]


def test_a_thing_has_its_properties_as_attributes(kg: KnowledgeGraph) -> None:
    thing = kg.thing(OUTPUT)
    assert (thing.type, thing.notation, thing.plan) == ("Output", "2.1", names.THINGS + PLAN)
    assert thing.label.startswith("Products and services on telecommunication/ICT infrastructure")
    assert "http://metadata.un.org/sdg/9.c" in thing.contributesToSDGTarget
    assert {"contributesToSDGTarget", "linkages", "id"} <= {*dir(thing)}
    assert thing == kg.thing(names.THINGS + OUTPUT) == kg.thing(thing) != kg.thing("sdg:9.c")
    assert repr(kg.thing("sdg:9.c")).startswith("<")
    assert kg.thing("op-2026/budget-line/EN").amount == Decimal(683115)
    assert kg.thing(names.ONTOLOGY).created == [date(2026, 11, 22)]
    with pytest.raises(AttributeError, match='has no "amount"; it has id, type, notation'):
        _ = thing.amount


def test_a_thing_can_be_copied_and_stored() -> None:
    thing = Thing({"id": names.THINGS + OUTPUT, "notation": "2.1"})
    for again in (copy.deepcopy(thing), pickle.loads(pickle.dumps(thing))):  # noqa: S301  (we wrote it)
        assert (again, again.notation, {again}) == (thing, "2.1", {thing})


def test_a_search_returns_all_pages(kg: KnowledgeGraph) -> None:
    words = kg.search("broadband")
    assert len(words) == words.document["totalItems"] > 30
    assert words.columns[:6] == ("id", "type", "notation", "label", "plan", "highlight")
    assert isinstance(words[0]["label"], str)
    chosen = kg.search(class_="Output", plan=PLAN)
    assert len(chosen) == 17
    with mock.patch("itukg.client.graph.PAGE_SIZE", "7"):
        assert [*kg.search(class_="Output", plan=PLAN)] == [*chosen]
    assert len(kg.search("nothingofthekind")) == 0


def test_a_matrix_has_a_row_for_each_cell_with_its_evidence(kg: KnowledgeGraph) -> None:
    found = kg.matrix(rows="actionLine", columns="sdgGoal", plan=PLAN)
    [cell] = [row for row in found if (row["rowNotation"], row["columnNotation"]) == ("C7", "13")]
    assert cell["count"] == len(cell["evidence"]) > 0
    assert cell["columnLabel"] == "Climate action"
    assert {row["state"] for row in found} == {"stated", "all"}
    assert sum(row["count"] for row in found) == sum(len(row["evidence"]) for row in found)
    both = kg.matrix(rows="output", columns="sdgTarget", plan=PLAN, basis=["stated", "derived"])
    assert both.document["basis"] == ["stated", "derived"]


def test_budget_gaps_and_risks_have_rows_with_their_evidence(kg: KnowledgeGraph) -> None:
    money = kg.budget(by="goal", rule="equal")
    assert round(sum(row["amount"] for row in money), 2) == money.document["total"] == 3_813_000
    assert all(row["evidence"] for row in money)
    assert {row["code"] for row in kg.budget() if row["agrees"] is False} == {"P1"}
    bare = kg.gaps(plan=PLAN, class_="output", columns="sdgTarget")
    assert [row["code"] for row in bare if row["kind"] == "names-nothing"] == ["2.2", "3.2"]
    assert sum(len(risk["mitigations"]) for risk in kg.risks(plan="op-2026")) == 13


def test_lineage_because_and_compare_tell_of_changes(kg: KnowledgeGraph) -> None:
    steps = kg.lineage(kg.thing(OUTCOME))
    assert len(steps.document["plans"]) == 4
    assert (steps[0]["newer"], steps[0]["older"]) == ("T1.1-O1", "P1-O3")
    assert [*steps] == [*kg.lineage(OUTCOME)]
    assert len(kg.lineage(OUTCOME, plan=PLAN)) < len(steps)
    chains = kg.because(OUTCOME, "sdg:11.b")
    assert {row["chain"] for row in chains} == {1, 2, 3, 4}
    assert any(row["quote"] for row in chains)
    changes = kg.compare("bap-2026-2029", PLAN, class_="Outcome")
    assert {"revises", "adds"} <= {row["change"] for row in changes}
    assert all(isinstance(row["gained"], list) for row in changes)


def test_data_is_validated_from_a_text_a_file_and_a_graph(kg: KnowledgeGraph, tmp_path: Path) -> None:
    (tmp_path / "a.ttl").write_text(ACTION_LINE)
    graph = rdflib.Graph().parse(data=ACTION_LINE, format="turtle")
    json_ld = json.dumps({"@id": "urn:test:a", "@type": names.ITU + "ActionLine"})
    reports = [kg.validate(each) for each in (ACTION_LINE, tmp_path / "a.ttl", str(tmp_path / "a.ttl"), graph, json_ld)]
    assert {report.verdict for report in reports} == {"does not conform"}
    assert len({json.dumps([*report]) for report in reports}) == 1
    [report, *_] = reports
    assert isinstance(report, Report)
    assert (report.conforms, report.counts["Violation"], report[0]["focus"]) == (False, 1, "urn:test:a")
    assert "1 row, does not conform" in repr(report)
    assert kg.validate(ACTION_LINE, profile="budget").verdict == "nothing-checked"


def test_the_ontology_is_given_to_owlready2_without_a_warning(
    kg: KnowledgeGraph, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("owlready2")
    ontology = kg.owl()
    assert ontology.world.search_one(iri=names.ITU + "Output") in ontology.classes()
    delivers, contributes = (ontology.world.search_one(iri=names.ITU + n) for n in ("deliversOutcome", "contributesTo"))
    assert delivers in ontology.object_properties()
    assert contributes in delivers.is_a
    assert capsys.readouterr() == ("", "")  # it prints its warnings


WRONG: dict[str, tuple[Call, type[ItukgError], str]] = {
    "syntax": (lambda kg: kg.query("SELECT ?x WHERE {\n ?x a }"), SyntaxProblem, "line 2"),
    "time": (
        lambda kg: kg.query(f"SELECT (COUNT(*) AS ?n) WHERE {{ {SLOW} }}", timeout=0.2),
        TimeLimit,
        "No answer within",
    ),
    "unknown question": (lambda kg: kg.ask("outputs-for-sdg"), NotFound, "outputs-for-sdg-target"),
    "unknown parameter": (lambda kg: kg.ask("outputs-for-sdg-target", goal=9), BadRequest, "target"),
    "wrong value": (lambda kg: kg.ask("outputs-for-sdg-target", target="4.44"), BadRequest, "4.4"),
    "unknown thing": (lambda kg: kg.thing("no/such"), NotFound, "no/such"),
    "unknown kind": (lambda kg: kg.matrix(rows="x", columns="sdgGoal"), BadRequest, "rows"),
    "unknown filter": (lambda kg: kg.search("x", colour="red"), BadRequest, "colour"),
    "no chain": (lambda kg: kg.because(OUTPUT, "sdg:14"), NotFound, "No link with evidence"),
    "same plan": (lambda kg: kg.compare(PLAN, PLAN), BadRequest, "same plan"),
    "no lineage": (lambda kg: kg.lineage("no/such?#"), NotFound, "no/such"),
    "no RDF": (lambda kg: kg.validate("<urn:a> <urn:b> .\n"), SyntaxProblem, "line 1"),
    "no file": (lambda kg: kg.validate("none.ttl"), NotFound, "none.ttl"),
}
SLOW = "?a ?b ?c . ?d ?e ?f . ?g ?h ?i"


@pytest.mark.parametrize("name", WRONG)
def test_an_error_is_of_the_same_class_with_the_same_message_everywhere(
    everywhere: dict[str, KnowledgeGraph], name: str
) -> None:
    assert len(WRONG) == 13
    call, kind, message = WRONG[name]
    raised = {}
    for place, graph in everywhere.items():
        with pytest.raises(kind, match=re.escape(message)) as error:
            call(graph)
        message_without_time = re.sub(r"0\.\d+ s", "", str(error.value))  # of which a part had passed
        raised[place] = type(error.value), message_without_time, vars(error.value)
    assert raised["packaged"] == raised["folder"] == raised["server"]
    assert raised["server"][0] is kind


CALLS: dict[str, Call] = {
    "ask": lambda kg: kg.ask("sdg-links", plan="sp-2024-2027"),
    "because": lambda kg: kg.because(OUTCOME, "sdg:11.b"),
    "budget": lambda kg: kg.budget(by="goal", rule="equal"),
    "compare": lambda kg: kg.compare("sp-2020-2023", "sp-2024-2027"),
    "gaps": lambda kg: kg.gaps(plan="buap-2018-2021", class_="output", columns="sdgTarget"),
    "lineage": lambda kg: kg.lineage(OUTCOME),
    "matrix": lambda kg: kg.matrix(rows="topic", columns="outputCategory"),
    "owl": lambda kg: sorted(str(each.iri) for each in kg.owl().classes()),
    "query": lambda kg: kg.query("SELECT * WHERE { ?line itu:amount ?amount } ORDER BY ?line"),
    "questions": lambda kg: kg.questions(),
    "risks": lambda kg: kg.risks(),
    "search": lambda kg: kg.search("connectivity", class_="Outcome"),
    "thing": lambda kg: kg.thing(OUTPUT).json,
    "validate": lambda kg: kg.validate(ACTION_LINE),
}
DIFFERS = re.compile(r"http://(localhost|127\.0\.0\.1:\d+)|\d{4}-\d\d-\d\dT[\d:.+]+Z?")
"""The address of the server, and when a report was made."""
OTHERS = {"close"}


def public(of: type) -> list[str]:
    return [name for name in dir(of) if not name.startswith("_") and name not in dir(tuple)]


@pytest.mark.parametrize("name", CALLS)
def test_every_call_answers_the_same_everywhere(everywhere: dict[str, KnowledgeGraph], name: str) -> None:
    assert CALLS.keys() | OTHERS == {*public(KnowledgeGraph)}
    given = {place: CALLS[name](graph) for place, graph in everywhere.items()}
    if isinstance(given["server"], Table):
        assert len({table.columns for table in given.values()}) == 1
        given = {place: [[*table], table.document] for place, table in given.items()}
    texts = {DIFFERS.sub("", json.dumps(each, default=str)) for each in given.values()}
    assert len(texts) == 1
    assert len(texts.pop()) > 1000


# --- opening and closing ---


def test_importing_itukg_imports_nothing_heavy_and_starts_nothing() -> None:
    code = "import itukg, json, sys, threading; print(json.dumps([[*sys.modules], threading.active_count(), callable(itukg.open)]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules, threads, is_there = json.loads(done.stdout)
    heavy = {"fastapi", "pydantic", "pyoxigraph", "rdflib", "httpx2", "owlready2", "asyncio"}
    assert "itukg" in modules
    assert not heavy & {name.partition(".")[0] for name in modules}
    assert (threads, is_there) == (1, True)


FORGETFUL = f"""
import itukg, sys
kg = itukg.open(sys.argv[1])
assert kg.validate({ACTION_LINE!r}).counts["Violation"] == 1
print("ready", flush=True)
input()
"""


def test_a_graph_that_is_not_closed_ends_with_the_program_and_leaves_no_process(release: Release) -> None:
    command = [sys.executable, "-W", "error", "-c", FORGETFUL, str(release.path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        started = processes(program.pid)
        assert len(started) > 1  # what validates
        assert program.communicate("\n", timeout=30) == ("", "")
    assert program.returncode == 0
    eventually(lambda: not [pid for pid in started if is_running(pid)], "processes are left")


FORKING = """
import itukg, os, sys
kg = itukg.open(sys.argv[1])
if child := os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) or not kg.query("ASK {}"))
try:
    kg.query("ASK {}")
except ValueError as error:
    os._exit("before this process was forked" not in str(error))
"""


def test_a_forked_process_is_told_to_open_the_graph_itself(release: Release) -> None:
    command = [sys.executable, "-c", FORKING, str(release.path)]
    assert subprocess.run(command, timeout=60, check=False).returncode == 0


def test_closing_ends_the_thread_and_a_closed_graph_says_so(release: Release) -> None:
    before = threading.active_count()
    with itukg.open(str(release.path)) as kg:
        assert str(release.path) in repr(kg)
        assert threading.active_count() > before
    eventually(lambda: threading.active_count() == before, "a thread is left")
    kg.close()
    with pytest.raises(ValueError, match=r"closed; open it again: itukg\.open\(\)"):
        kg.query("ASK {}")


def test_a_graph_that_is_no_longer_used_is_closed(release: Release) -> None:
    before = threading.active_count()
    kg = itukg.open(release.path)
    assert kg.query("ASK {}") is True
    del kg
    eventually(lambda: threading.active_count() == before, "a thread is left")


def test_threads_may_ask_at_once(kg: KnowledgeGraph) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = [*pool.map(lambda target: len(kg.ask("outputs-for-sdg-target", target=target)), ["9.c", "4.4"] * 8)]
    assert found == found[:2] * 8


def test_a_checkout_is_opened_by_its_folder(one_plan: Path, tmp_path: Path) -> None:
    for name in ("ontology", "shapes", "data", "queries"):
        (tmp_path / name).symlink_to(one_plan / name)
    (tmp_path / "build").symlink_to(one_plan / "home")
    with (
        mock.patch.dict(os.environ, environment_for(ITUKG_UNVERIFIED="1"), clear=True),
        itukg.open(tmp_path) as kg,
    ):
        assert str(tmp_path / "build") in repr(kg)
        assert kg.thing("wsis/C99").label == "New & <b>bold</b>"


def test_the_first_opening_builds_the_release(one_plan: Path, tmp_path: Path) -> None:
    environment = environment_for(ITUKG_UNVERIFIED="1", ITUKG_CORPUS=one_plan, ITUKG_HOME=tmp_path)
    with mock.patch.dict(os.environ, environment, clear=True), itukg.open() as kg:
        assert (tmp_path / "current").is_file()
        assert kg.query("ASK { ?output a itu:Output }") is True


def test_a_folder_that_is_neither_release_nor_checkout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="neither the folder of a release"):
        itukg.open(tmp_path)


def test_a_wrong_setting_is_named() -> None:
    with (
        mock.patch.dict(os.environ, environment_for(ITUKG_TIMEOUT="soon"), clear=True),
        pytest.raises(BadRequest, match="Setting timeout"),
    ):
        itukg.open()


@contextmanager
def answering(status: int, content_type: str, body: str, **headers: str) -> Iterator[str]:
    """Answer every request with the same; yields the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in {"content-type": content_type, **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Be silent."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_an_address_that_does_not_answer_is_named() -> None:
    with answering(200, "text/plain", "") as address:
        pass
    with pytest.raises(ServerUnavailable, match=rf"^{address} does not answer: .+ Is a server running there\?$"):
        itukg.open(address)


@pytest.mark.parametrize(
    ("status", "content_type", "body"),
    [(200, "text/html", "<p>Hello"), (404, "text/html", "No"), (200, "application/json", '{"status": "ok"}'), (500, "application/json", "{}")],
)  # fmt: skip
def test_an_address_without_an_itukg_is_named(status: int, content_type: str, body: str) -> None:
    with (
        answering(status, content_type, body) as address,
        pytest.raises(ServerUnavailable, match="is no itukg: it answers with"),
    ):
        itukg.open(address)


def test_a_server_that_is_starting_says_when_to_try_again() -> None:
    problem = problem_of(NotReady("The release is still being loaded."))
    with (
        answering(503, "application/problem+json", bytes(problem.body).decode(), retry_after="9") as address,
        pytest.raises(NotReady, match="still being loaded") as error,
    ):
        itukg.open(address)
    assert error.value.wait == 9


def test_every_error_comes_back_from_its_problem() -> None:
    classes = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, ItukgError)]
    arguments: dict[type, tuple[Any, ...]] = {
        errors.SyntaxProblem: ("What.", 3, 4),
        errors.NotAllowed: ("What.", ("GET", "HEAD")),
        errors.Gone: ("urn:a", ["urn:b"]),
        errors.Quota: ("What.", 7),
    }
    assert len(classes) > 25
    for kind in classes:
        error = kind(*arguments.get(kind, ("What.",)))
        problem = json.loads(bytes(problem_of(error).body))
        again = from_problem(problem)
        assert (type(again), str(again), again.extras()) == (kind, str(error), error.extras())
    assert str(from_problem({"type": "about:blank", "title": "Internal Server Error"})) == "Internal Server Error"
    assert (
        SyntaxProblem("What.").extras() == from_problem({"type": "/syntax-problem", "detail": "What."}).extras() == {}
    )


# --- tables ---

LONG = Table(("code", "label"), [{"code": n, "label": "<script> & " + "long " * 30} for n in range(12)], {})


def test_a_table_shows_its_first_rows_shortened() -> None:
    lines = repr(LONG).splitlines()
    assert lines[0] == "Table of 12 rows"
    assert lines[1] == "code | label"
    assert (len(lines), lines[-1]) == (13, "… and 2 more")
    assert all(len(line) < 80 for line in lines)
    html = LONG._repr_html_()
    assert html.count("<tr>") == 11
    assert "&lt;script&gt; &amp; long" in html and "<script>" not in html
    assert repr(Table((), [], {})) == "Table of 0 rows"


def test_a_table_becomes_a_frame(kg: KnowledgeGraph) -> None:
    pytest.importorskip("pandas")
    frame = kg.ask("budget-by-category").to_pandas()
    assert frame[frame["class"] == "ITU-D priority"]["amount"].sum() == Decimal(3129885)
    assert [*LONG.to_pandas().columns] == ["code", "label"]


def test_a_table_becomes_a_frame_of_polars(kg: KnowledgeGraph) -> None:
    pytest.importorskip("polars")
    frame = kg.ask("outputs-for-sdg-target", target="9.c").to_polars()
    assert frame["line"].to_list() == [343, 565, 841]


@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_a_package_for_frames_that_is_missing_is_named(package: str) -> None:
    with (
        mock.patch.dict(sys.modules, {package: None}),
        pytest.raises(ImportError, match=f"{package} is not installed. Add it with: pip install {package}"),
    ):
        getattr(LONG, f"to_{package}")()


# --- the reference ---


def test_every_public_name_stands_in_the_reference_with_its_arguments() -> None:
    reference = (ROOT / "docs" / "reference.md").read_text().partition("\n## Python\n")[2].partition("\n## ")[0]
    told = {*re.findall(r"`(?:kg|table|report|thing)?\.?([a-z_]+)[(`]", reference)}
    found = {"open"} | {name for each in (KnowledgeGraph, Table, Report, Thing) for name in public(each)}
    assert len(found) >= 25
    assert found <= told
    assert {*client.__all__} - {"open_graph", "Value"} <= {*re.findall(r"\w+", reference)}


def test_every_public_name_has_a_docstring() -> None:
    found = [(each, name) for each in (KnowledgeGraph, Table, Report, Thing) for name in public(each)]
    assert not [name for each, name in found if not getattr(each, name).__doc__]
    assert itukg.open.__doc__
