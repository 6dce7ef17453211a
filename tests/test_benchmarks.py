"""The benchmarks run servers and engines, tell what differs, and claim nothing about one that differs."""

import argparse
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from conftest import eventually
from rdflib import Graph

from benchmarks import beside, chart, compare, report, shacl
from benchmarks.answers import questions
from benchmarks.compare import Cell, Field, Plan, Results
from benchmarks.servers import SERVERS, DidNotStart, Endpoint
from benchmarks.shacl import ENGINES, Engine, Run

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "shapes/examples/references/CodePrintedTwice/fail.ttl"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """An example beside the ontology, and all shapes; peers are those that the tests install."""
    monkeypatch.setattr(shacl, "FOLDER", tmp_path)
    monkeypatch.setattr(shacl, "peers", lambda: Path(sys.executable).parent)
    data, shapes = Graph(), Graph()
    for path in (EXAMPLE, *(ROOT / "ontology").glob("*.ttl")):
        data.parse(path)
    for path in (ROOT / "shapes").glob("*.ttl"):
        shapes.parse(path)
    data.serialize(tmp_path / "data.nt", format="nt", encoding="utf-8")
    shapes.serialize(tmp_path / "shapes.nt", format="nt", encoding="utf-8")
    return tmp_path / "data.nt", tmp_path / "shapes.nt"


# --- beside other servers ---


def cell(server: str, rate: float, failed: int = 0) -> Cell:
    return Cell(server, "lookup", "cold", 1, rate, 1.0, 2.0, failed)


def test_the_median_of_the_rounds_counts_and_every_failure() -> None:
    rounds = [cell("itukg", 300, 1), cell("itukg", 100), cell("itukg", 200, 4)]
    assert compare.middle(rounds) == replace(cell("itukg", 200, 5), rounds=(300, 100, 200))


@pytest.mark.parametrize(
    ("ours", "theirs", "ratio"),
    [
        ((300, 100, 200), (100, 100, 400), 1.0),  # the medians alone would tell 2
        ((300, 100, 200), (100,), 3.0),  # too slow for a second round
        ((300, 100, 200), (0,), None),
    ],
)
def test_a_ratio_is_the_median_of_the_rounds_ratios(
    ours: tuple[float, ...], theirs: tuple[float, ...], ratio: float | None
) -> None:
    results = Results()
    for server, rates in (("itukg", ours), ("oxigraph", theirs)):
        results.cells.append(compare.middle([cell(server, rate) for rate in rates]))
    assert results.ratio("oxigraph", "lookup", "cold", 1) == ratio
    assert results.ratio("virtuoso", "lookup", "cold", 1) is None


def test_servers_are_driven_in_turn_and_started_anew_after_a_query_without_an_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[str] = []

    @contextmanager
    def server(name: str, home: Path) -> Iterator[Endpoint]:
        if told.count(f"{name} up") == 2:
            raise DidNotStart("the port is taken")
        told.append(f"{name} up")
        yield Endpoint(name, "1", 1, "/", 1, 0.0)
        told.append(f"{name} down")
        assert home == Path("home")

    def drive(name: str, *_: object, size: int) -> Cell:
        told.append(f"{name} asked")
        if name == "virtuoso":
            raise TimeoutError
        return replace(cell(name, size), single=name == "rdflib-endpoint")  # too slow for a second round

    names = ["itukg", "oxigraph", "rdflib-endpoint", "virtuoso"]
    monkeypatch.setattr(compare, "SERVERS", {name: partial(server, name) for name in names})
    monkeypatch.setattr(compare, "checked", lambda *_: 10)
    monkeypatch.setattr(compare, "drive", drive)
    monkeypatch.setattr(compare, "MODES", ("cold",))
    question, results = questions()[0], Results()
    places: list[str] = []
    with Field(Path("home")) as field:
        for name in names:
            field.start(name)
        compare.measure(field, question, Plan(names, [question], 2, [1, 8]), results, tell=places.append)
        assert list(field.up) == names
        compare.measure(field, question, Plan(names, [question], 1, [1]), Results(), tell=places.append)
        assert list(field.up) == names[:-1]
    assert told[4:] == [
        *("itukg asked", "oxigraph asked", "rdflib-endpoint asked", "virtuoso asked", "virtuoso down", "virtuoso up"),
        *("itukg asked", "oxigraph asked"),
        *("itukg asked", "oxigraph asked", "rdflib-endpoint asked", "itukg asked", "oxigraph asked"),
        *("itukg asked", "oxigraph asked", "rdflib-endpoint asked", "virtuoso asked", "virtuoso down"),
        *("itukg down", "oxigraph down", "rdflib-endpoint down"),
    ]
    assert [found.server for found in results.cells] == names[:-1] * 2
    assert results.unanswered == [("virtuoso", question.name)]
    assert places == [f"{question.name} cold x{connections}" for connections in (1, 8, 1)]
    assert (
        "no answer within" in (said := capsys.readouterr().err) and "left out from here on: the port is taken" in said
    )


# --- SHACL ---


def options(*given: str) -> argparse.Namespace:
    return shacl.parse(["--runs", "1", *given])


def test_engines_are_run_and_their_findings_are_the_same(files: tuple[Path, Path]) -> None:
    found = {name: shacl.run(ENGINES[name], files, options()) for name in ("itukg", "alone", "turbo")}
    assert all(run.seconds and run.megabytes and run.findings for run in found.values())
    results = {(name, 1): run for name, run in found.items()}
    assert shacl.differing(results) == {}
    assert any("CodePrintedTwice" in row[3] for row in found["itukg"].findings or ())


def test_an_engine_that_takes_too_long_is_ended(files: tuple[Path, Path]) -> None:
    sleeper = Engine("sleeper", "none", lambda *_: (sys.executable, "-c", "import time; time.sleep(60)"))
    assert replace(shacl.run(sleeper, files, options("--limit", "0.5")), megabytes=0) == Run(None, trouble="> 0.5")


def test_nothing_is_claimed_about_an_engine_whose_findings_differ() -> None:
    ours, other = (shacl.Findings([("<urn:a>", "", value, "<urn:s>", "<urn:c>")]) for value in ('"1"', '"2"'))
    results = {("itukg", 1): Run(2.0, findings=ours), ("pyshacl", 1): Run(100.0, findings=ours)}
    sizes, release = {1: 1000}, Run(3.0)
    told = shacl.targets(options(), results, sizes, release)
    assert [(measured, met) for _, measured, met in told] == [("3.0 s", True), ("50 x", True)]
    results["pyshacl", 1] = Run(100.0, findings=other)
    assert len(shacl.targets(options(), results, sizes, release)) == 1
    difference = shacl.differing(results)["pyshacl", 1]
    assert difference == 'misses 1, such as <urn:a> "1" <urn:s> <urn:c>; adds 1, such as <urn:a> "2" <urn:s> <urn:c>'


def test_growth_is_held_against_that_of_the_data() -> None:
    results = {("itukg", 1): Run(2.0), ("itukg", 10): Run(21.0), ("itukg", 100): Run(None, trouble="> 600")}
    told = shacl.targets(options(), results, {1: 1000, 10: 10_000, 100: 100_000}, Run(6.0))
    assert [met for _, _, met in told] == [False, False, False]
    results["itukg", 10] = Run(19.0)
    assert [met for _, _, met in shacl.targets(options(), results, {1: 1000, 10: 10_000}, Run(5.0))] == [True, True]


def test_the_picture_of_growth_is_that_of_the_table() -> None:
    page = (ROOT / "docs/performance.md").read_text()
    assert (ROOT / "docs/growth.svg").read_text() == chart.growth(page)


def test_a_picture_of_growth_has_a_chart_for_each_query_and_no_point_for_what_is_no_time() -> None:
    table = """<!-- curve -->

| query | triples | ours | theirs |
| --- | ---: | ---: | ---: |
| lookup | 1,000 | 1 | 10 |
| lookup | 1,000,000 | 1.5 (rows differ) | status 500 |
| gaps | 1,000 | 2,000 | over 60 s |
| gaps | 1,000,000 |  | 1e3 |
"""
    svg = ET.fromstring(chart.growth(table))  # noqa: S314  (of ours)
    charts = svg.findall("{*}g")
    assert [found.findtext("{*}text") for found in charts] == ["lookup", "gaps"]
    assert [len(found.findall("{*}circle")) for found in charts] == [3, 1]
    heights = [float(circle.get("cy", "")) for circle in charts[0].findall("{*}circle")]
    assert heights[0] > heights[1] > heights[2], "slower stands higher"
    assert len(chart.LOOKS) == len(SERVERS)


def test_an_unknown_engine_is_refused_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        options("--engines", "itukg,hermit")
    assert "no engine hermit; known: itukg, alone, turbo" in capsys.readouterr().err


def test_a_run_goes_on_with_what_runs_of_the_same_revision_have_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = {
        "1 x: ours": Run(2.5, 100.0, Counter({("urn:a", "", "1", "urn:s", "urn:c"): 2})),
        "10 x: theirs": Run(None, 7.0, None, "> 400"),
    }
    monkeypatch.setattr(shacl, "DONE", tmp_path / "done.json")
    monkeypatch.setattr(report, "revision", lambda: "abc")
    assert shacl.kept() == {}
    shacl.keep(done)
    assert shacl.kept() == done
    for other in ("def", "abc+"):
        monkeypatch.setattr(report, "revision", lambda other=other: other)
        assert shacl.kept() == {}


# --- beside what takes long ---


def test_what_is_kept_beside_bombs_is_the_median_of_the_rounds_and_nothing_may_go_wrong() -> None:
    def rounds(*kept: float, let_go: str = "", failed: int = 0) -> list[beside.Round]:
        return [beside.Round(1000, 1000 * part, 2.0, failed, let_go) for part in kept]

    good = {("itukg", 1): rounds(0.1, 0.95, 1.1), ("oxigraph", 1): rounds(0.5)}
    text, met, sound = beside.written(good, "here")
    assert met and sound
    assert "| itukg, x1 | 1,000 | 950 | 2 | 0.95 | 0 | both ran on |" in text
    assert beside.written({("itukg", 1): rounds(0.89, 0.2, 0.9)}, "here")[1:] == (False, True)
    assert beside.written({("itukg", 1): rounds(1.0, let_go="status 504")}, "here")[1:] == (True, False)
    assert beside.written({("itukg", 1): rounds(1.0, failed=1)}, "here")[1:] == (True, False)
    assert beside.written(good | {("virtuoso", 1): [beside.Round(0, 0, 0, 3, "")]}, "here")[1:] == (True, True)


def test_bombs_are_asked_and_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        endpoint = Endpoint("none", "1", listening.getsockname()[1], "/?query=", 1, 0.0)
        with beside.Bombs(endpoint) as bombs:
            taken = [listening.accept()[0] for _ in range(beside.BOMBS)]
            assert all(b"COUNT" in one.recv(10_000) for one in taken)
            assert bombs.ended == []
        assert all(one.recv(1) == b"" for one in taken)
        assert bombs.ended == []
        with beside.Bombs(endpoint) as bombs:
            for _ in range(beside.BOMBS):
                one, _ = listening.accept()
                with one:
                    one.recv(10_000)
                    one.sendall(b"HTTP/1.1 504 X\r\ncontent-length: 0\r\n\r\n")
            eventually(lambda: bombs.ended == ["status 504"] * beside.BOMBS, "it is not told")
        for one in taken:
            one.close()
