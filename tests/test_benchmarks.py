"""The benchmarks measure servers and engines in turn, report what differs, and claim nothing about one that differs."""

import argparse
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from conftest import eventually
from rdflib import Graph

from benchmarks import clients, cold, compare, mixed, pressure, report, results, servers, shacl, soak
from benchmarks.answers import query_set, selected
from benchmarks.load import Cell, median_round
from benchmarks.pressure import BOMBS, BesideBombs, BesideBusy
from benchmarks.results import Plan, Results
from benchmarks.servers import DidNotStart, Endpoint, Started
from benchmarks.shacl import Run
from benchmarks.shacl_data import write
from benchmarks.shacl_engines import ENGINES, Engine
from itukg.corpus import Corpus
from itukg.release.model import Release
from itukg.upload.read import read

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "shapes/examples/references/CodePrintedTwice/fail.ttl"
PAGE = (ROOT / "docs" / "performance.md").read_text()


# --- beside other servers ---


def cell(server: str, rate: float, failed: int = 0, mode: str = "cold", connections: int = 1) -> Cell:
    return Cell(server, "lookup", mode, connections, rate, 0.5, 2.0, failed)


def test_the_median_of_the_rounds_counts_and_every_failure() -> None:
    rounds = [cell("itukg", 300, 1), cell("itukg", 100), cell("itukg", 200, 4)]
    assert median_round(rounds) == replace(cell("itukg", 200, 5), rounds=(300, 100, 200))


@pytest.mark.parametrize(
    ("ours", "theirs", "ratio"),
    [
        ((300, 100, 200), (100, 100, 400), 1.0),  # the ratio of the medians would be 2
        ((300, 100, 200), (100,), 3.0),  # too slow for a second round
        ((300, 100, 200), (0,), None),
    ],
)
def test_a_ratio_is_the_median_of_the_ratios_of_the_rounds(
    ours: tuple[float, ...], theirs: tuple[float, ...], ratio: float | None
) -> None:
    found = Results()
    for server, rates in (("itukg", ours), ("oxigraph", theirs)):
        found.cells.append(median_round([cell(server, rate) for rate in rates]))
    assert found.ratio("oxigraph", "lookup", "cold", 1) == ratio
    assert found.ratio("virtuoso", "lookup", "cold", 1) is None


def test_servers_are_measured_in_turn_and_restarted_after_a_query_without_an_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log: list[str] = []

    @contextmanager
    def server(name: str, home: Path) -> Iterator[Endpoint]:
        if log.count(f"{name} up") == 2:
            raise DidNotStart("the port is taken")
        log.append(f"{name} up")
        yield Endpoint(name, "1", 1, "/", 1, 0.0)
        log.append(f"{name} down")
        assert home == Path("home")

    def drive(name: str, *_: object, size: int) -> Cell:
        log.append(f"{name} measured")
        if name == "virtuoso":
            raise TimeoutError
        return replace(cell(name, size), single=name == "rdflib-endpoint")  # too slow for a second round

    names = ["itukg", "oxigraph", "rdflib-endpoint", "virtuoso"]
    monkeypatch.setattr(servers, "SERVERS", {name: partial(server, name) for name in names})
    monkeypatch.setattr(compare, "drive", drive)
    query, found = query_set()[0], Results()
    with Started(Path("home")) as started:
        for name in names:
            compare.start(name, started, found)
        sizes = dict.fromkeys(names, 10)
        for _ in range(2):
            compare.measure(query, "cold", 1, sizes=sizes, rounds=2, started=started, results=found)
        assert list(started.up) == names
        again = Results()
        compare.measure(query, "cold", 1, sizes=sizes, rounds=1, started=started, results=again)
        assert list(started.up) == names[:-1]
    measured = [f"{name} measured" for name in names]
    assert log[4:] == [
        *(*measured, "virtuoso down", "virtuoso up", *measured[:2]),
        *(*measured[:3], *measured[:2]),
        *(*measured, "virtuoso down"),
        *("itukg down", "oxigraph down", "rdflib-endpoint down"),
    ]
    assert [each.server for each in found.cells] == names[:-1] * 2
    assert found.unanswered == again.unanswered == [("virtuoso", query.name)]
    assert "left out from now on: the port is taken" in capsys.readouterr().err


@pytest.fixture
def measured() -> tuple[Plan, Results]:
    """What meets every target."""
    found = Results(expected=dict.fromkeys(["lookup"]), endpoints=[Endpoint("itukg", "1", 1, "/", 1, 2.0)])  # type: ignore[arg-type]
    for connections in (1, 8):
        for mode in results.MODES:
            for server, rate in (("itukg", 9000), ("oxigraph", 6000)):
                found.cells.append(median_round([cell(server, rate, mode=mode, connections=connections)]))
        found.bombs["itukg", connections] = BesideBombs(800, 59, 0)
        found.bombs["oxigraph", connections] = BesideBombs(0, 0, 0, "status 503")
    speeds = (("fast", 0.5), ("slow", 1))
    found.first = [
        {
            cold.First(kind, f"{name} {kind}", "/", "*/*"): part * limit
            for kind, limit in results.LIMITS.items()
            for name, part in speeds
        }
    ]
    found.busy = BesideBusy(1.0, 5.0, 3.0)
    return Plan(["itukg", "oxigraph"], selected("lookup"), 1, [1, 8]), found


def unmet(plan: Plan, found: Results) -> list[str]:
    return [target.promise for target in results.targets(plan, found) if not target.met]


def test_each_target_is_judged_by_its_own_figure(measured: tuple[Plan, Results]) -> None:
    plan, found = measured
    assert len(results.targets(plan, found)) == 13 and unmet(plan, found) == []
    [alone, many] = [c for c in found.cells if c.server == "itukg" and c.mode == "cold"]
    found.cells[found.cells.index(alone)] = replace(alone, p50=1.0)
    found.cells[found.cells.index(many)] = replace(many, rate=3000, rounds=(3000,))
    assert [each.partition(":")[0] for each in unmet(plan, found)] == [
        "lookup, cold, 1 connection",
        "lookup, cold, 8 connections",
        "cold, x8, geometric mean over 1 query",
    ]
    found.bombs["itukg", 8] = BesideBombs(800, 60, 0)
    slow = next(each for each in found.first[0] if each.name == "slow page")
    found.first[0][slow] = 101
    assert "Over their limits: slow page (101 ms)." in results.written(plan, found, "here")
    found.busy = BesideBusy(1.0, 5.1, 3.1)
    assert unmet(plan, found)[3:] == [
        "lookup beside 2 bombs, x8: p99 under 60 ms",
        "the slowest of 2 pages, cold (slow page): at most 100 ms",
        "a query of 1.0 s beside 2 busy processes: 5 s",
        "an upload of one line beside 2 busy processes: 3 s",
    ]


def test_a_result_shows_ratios_peers_without_an_answer_and_what_differs(measured: tuple[Plan, Results]) -> None:
    plan, found = measured
    text = results.written(plan, found, "here")
    assert "| lookup | 0.5 | 9,000 | 9,000 | 6,000 (1.5) |" in text
    assert "| geometric mean, cold |  |  |  | (1.5) |" in text
    assert "| lookup beside 2 bombs |  |  | 800 | none |" in text
    assert (
        "All rows are the same, over 1 queries. Bombs that ended before the measurement: oxigraph (status 503)" in text
    )
    found.differing["virtuoso", "lookup"] = "3 rows here, 2 there"
    assert "- virtuoso, lookup: 3 rows here, 2 there" in results.written(plan, found, "here")


def test_the_median_of_the_first_answers_counts() -> None:
    once, often = (cold.First("page", name, "/", "*/*") for name in ("once", "often"))
    rounds = [{once: 900.0, often: 90.0}, {once: 10.0, often: 80.0}, {once: 20.0, often: 85.0}]
    assert cold.medians(rounds, "page") == {"once": 20.0, "often": 85.0}


def test_saved_queries_pages_and_frames_are_all_requested(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cold, "HEAVY_THINGS", cold.HEAVY_THINGS.replace("LIMIT 20", "LIMIT 2"))
    endpoint = Endpoint("itukg", "1", urlsplit(server).port or 0, "/sparql?query=", 1, 0.0)
    [found] = cold.times(lambda: endpoint, 1)
    names = {kind: {each.name for each in found if each.kind == kind} for kind in results.LIMITS}
    assert names["saved query"] == {file.stem for file in Corpus(ROOT).saved_files()}
    assert {"/", "/conformance", "/shapes", "/id/op-2026"} <= names["page"]
    frames = {file.stem for file in (ROOT / "queries" / "frames").glob("*.rq")}
    assert {name.partition("?frame=")[2] for name in names["framed answer"]} == frames and len(frames) >= 5
    assert all(0 < taken < 60_000 for taken in found.values())


def test_a_query_and_an_upload_are_measured_beside_busy_processes(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []

    @contextmanager
    def busy(count: int) -> Iterator[None]:
        started.append(count)
        yield

    monkeypatch.setattr(pressure, "busy_processes", busy)
    monkeypatch.setattr(pressure, "QUERY_SECONDS", 0.2)
    found = pressure.beside_busy(Endpoint("itukg", "1", urlsplit(server).port or 0, "/sparql?query=", 1, 0.0), 1)
    assert started == [pressure.BUSY]
    assert 0.05 < found.alone < 10
    assert all(0 < seconds < 60 for seconds in (found.query, found.upload))


def test_busy_processes_compute_until_the_block_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "BUILD", tmp_path)

    def ticks(process: int) -> int:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11])

    with pressure.busy_processes(2) as processes:
        assert len(processes) == 2
        eventually(lambda: all(ticks(process) > 10 for process in processes), "they do not compute")
    assert not any(Path(f"/proc/{process}").exists() for process in processes)


def test_bombs_are_sent_and_abandoned() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        endpoint = Endpoint("none", "1", listening.getsockname()[1], "/?query=", 1, 0.0)
        with pressure.Bombs(endpoint) as bombs:
            taken = [listening.accept()[0] for _ in range(BOMBS)]
            assert all(b"COUNT" in one.recv(10_000) for one in taken)
            assert bombs.ended == []
        assert all(one.recv(1) == b"" for one in taken)
        assert bombs.ended == []
        with pressure.Bombs(endpoint) as bombs:
            for _ in range(BOMBS):
                one, _ = listening.accept()
                with one:
                    one.recv(10_000)
                    one.sendall(b"HTTP/1.1 504 X\r\ncontent-length: 0\r\n\r\n")
            eventually(lambda: bombs.ended == ["status 504"] * BOMBS, "their ends are not recorded")
        for one in taken:
            one.close()


# --- under attack ---


def test_a_tally_adds_up_and_has_percentiles() -> None:
    whole = clients.Tally()
    whole.add(clients.Tally([0.001] * 99, hostile=Counter({"504": 2})))
    whole.add(clients.Tally([0.5], failures=Counter(["status 503"]), heavy=Counter(["200"])))
    cheap, failed, p50, p99, heavy, hostile = whole.row()
    assert (cheap, failed, p50, heavy, hostile) == ("99", "1", "1", "1", "2")
    assert float(p99) > 100


def test_clients_attack_a_server_and_count_its_answers(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(clients.HOSTILE) == 16
    monkeypatch.setattr(clients, "HOSTILE", {"not SPARQL": clients.HOSTILE["not SPARQL"]})
    endpoint = Endpoint("itukg", "1", urlsplit(server).port or 0, "/sparql?query=", 1, 0.0)
    options = {"cheap": 1, "hostile": 1, "slow": 1, "answer_seconds": 20.0}
    whole = clients.Tally()
    with clients.Load(endpoint, dict.fromkeys(q.name for q in clients.CHEAP), **options) as load:  # type: ignore[arg-type]

        def counted() -> bool:
            whole.add(load.take())
            return bool(whole.failures and whole.heavy and whole.hostile)

        eventually(counted, "a client counts nothing", 60)
    assert set(whole.failures) == {"other rows"}, "no rows are expected"
    assert set(whole.heavy) == {"200"} and set(whole.hostile) == {"400"}


def test_the_memory_of_a_process_and_its_children_counts_until_its_end() -> None:
    child = "bytearray(50_000_000); import sys; sys.stdout.write('x'); sys.stdout.flush(); sys.stdin.read()"
    parent = f"import subprocess, sys; subprocess.run((sys.executable, '-c', {'a = ' + child!r}))"
    with subprocess.Popen((sys.executable, "-c", parent), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.read(1) == b"x"
        assert 50 < soak.memory(process.pid) < 200
        process.communicate()
    assert soak.memory(process.pid) == 0


# --- everything at once ---


def test_clients_of_each_kind_send_and_their_answers_are_counted(server: str) -> None:
    endpoint = Endpoint("itukg", "1", urlsplit(server).port or 0, "/sparql?query=", 1, 0.0)
    kinds = [replace(kind, connections=1) for kind in (*mixed.MEASURED, *mixed.LOAD) if kind.make in ENDING]
    assert len(kinds) == 4
    wrong = mixed.Kind("wrong", lambda _: mixed.Request("/none"), 1, 0.1, "127.0.0.9")
    found = mixed.send(endpoint, [*kinds, wrong], 0.1, 60)
    assert {name for name, tally in found.items() if tally.seconds} == {kind.name for kind in kinds}
    assert {name: [*tally.failures] for name, tally in found.items() if tally.failures} == {"wrong": ["status 404"]}


ENDING = (mixed.cached, mixed.small_upload, mixed.lookup, mixed.pdf)


def test_an_endless_upload_is_read_with_its_shapes() -> None:
    sent = mixed.upload_bomb(Endpoint("itukg", "1", 1, "/sparql?query=", 1, 0.0))
    upload = read(sent.body.encode(), sent.media_type, {})
    assert len([*upload.data.quads()]) == 200
    assert sum("targetSubjectsOf" in str(quad.predicate) for quad in upload.shapes[0].quads()) == 1


def test_the_measured_clients_are_64_with_those_beside_them_and_are_judged() -> None:
    assert sum(kind.connections for kind in (*mixed.MEASURED, *mixed.LOAD)) == 64
    alone = {kind.name: mixed.Tally([0.01] * 99) for kind in mixed.MEASURED}
    beside = {kind.name: mixed.Tally([0.01] * 99) for kind in (*mixed.MEASURED, *mixed.LOAD)}
    assert [target.met for target in mixed.targets(beside)] == [True, True]
    beside["small upload"].failures["status 503"] += 2
    beside["cached thing"].seconds += [0.2] * 10
    assert [(target.measured, target.met) for target in mixed.targets(beside)] == [("2", False), ("200 ms", False)]
    text = mixed.written("here", alone, beside)
    assert "| small upload | 4 | none | 99 | 0 | 10 | 10 |" in text
    assert "| small upload | 4 | all | 101 | 2 | 10 | 10 |" in text
    assert "Answers other than 200 beside the load: 2 x status 503 (small upload)." in text
    beside["cached thing"] = mixed.Tally()
    assert not mixed.targets(beside)[1].met and "| cached thing | 4 | all | 0 | 0 | none | none |" in mixed.written(
        "here", alone, beside
    )


# --- SHACL ---


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """An example beside the ontology, and all shapes; peers are those that the tests install."""
    monkeypatch.setattr(shacl, "FOLDER", tmp_path)
    monkeypatch.setattr(servers, "peers", lambda: Path(sys.executable).parent)
    data, shapes = Graph(), Graph()
    for path in (EXAMPLE, *(ROOT / "ontology").glob("*.ttl")):
        data.parse(path)
    for path in (ROOT / "shapes").glob("*.ttl"):
        shapes.parse(path)
    data.serialize(tmp_path / "data.nt", format="nt", encoding="utf-8")
    shapes.serialize(tmp_path / "shapes.nt", format="nt", encoding="utf-8")
    return tmp_path / "data.nt", tmp_path / "shapes.nt"


def options(*given: str) -> argparse.Namespace:
    return shacl.parse(["--runs", "1", *given])


def test_engines_are_run_and_their_findings_are_the_same(files: tuple[Path, Path]) -> None:
    found = {(name, 1): shacl.run(ENGINES[name], files, options()) for name in ("itukg", "turbo")}
    assert all(run.seconds and run.megabytes > 20 and run.findings for run in found.values())
    assert shacl.differing(found) == {}
    assert any("CodePrintedTwice" in row[3] for row in found["itukg", 1].findings or ())


def test_an_engine_that_takes_too_long_is_killed(files: tuple[Path, Path]) -> None:
    sleeper = Engine("sleeper", "none", lambda *_: (sys.executable, "-c", "import time; time.sleep(60)"))
    assert replace(shacl.run(sleeper, files, options("--limit", "0.5")), megabytes=0) == Run(None, trouble="> 0.5")


def test_nothing_is_claimed_about_an_engine_whose_findings_differ() -> None:
    ours, other = (shacl.Findings([("<urn:a>", "", value, "<urn:s>", "<urn:c>")]) for value in ('"1"', '"2"'))
    runs = {("itukg", 1): Run(2.0, findings=ours), ("pyshacl", 1): Run(100.0, findings=ours)}
    sizes, release = {1: 1000}, Run(3.0)
    judged = shacl.targets(runs, sizes, release, 600)
    assert [(target.measured, target.met) for target in judged] == [("3.0 s", True), ("50 x", True)]
    runs["pyshacl", 1] = Run(100.0, findings=other)
    assert len(shacl.targets(runs, sizes, release, 600)) == 1
    what = 'misses 1, such as <urn:a> "1" <urn:s> <urn:c>; adds 1, such as <urn:a> "2" <urn:s> <urn:c>'
    assert shacl.differing(runs)["pyshacl", 1] == what
    runs["pyshacl", 1] = Run(None, trouble="> 600")
    assert shacl.targets(runs, sizes, release, 600)[1].measured == "> 300 x"


def test_growth_is_judged_by_that_of_the_data() -> None:
    runs = {("itukg", 1): Run(2.0), ("itukg", 10): Run(21.0)}
    sizes = {1: 1000, 10: 10_000}
    assert [target.met for target in shacl.targets(runs, sizes, Run(6.0), 600)] == [False, False]
    runs["itukg", 10] = Run(None, trouble="> 600")
    assert [target.met for target in shacl.targets(runs, sizes, Run(6.0), 600)] == [False, False]
    runs["itukg", 10] = Run(19.0)
    assert [target.met for target in shacl.targets(runs, sizes, Run(5.0), 600)] == [True, True]


def test_larger_data_repeats_the_plans_and_shares_what_plans_share(tmp_path: Path, release: Release) -> None:
    one, two = (write(release.path / "dataset.nq", times, tmp_path / f"{times}") for times in (1, 2))
    assert one[1].read_bytes() == two[1].read_bytes()
    assert ["shacl#NodeShape>" in file.read_text() for file in one] == [False, True]
    first, more = (set(files[0].read_text().splitlines()) for files in (one, two))
    assert first < more and len(more) >= 2 * len(first)
    copies = {line.split()[0].rpartition("/")[2] for line in more - first if " <http://www.w3.org/2004/02/skos" in line}
    assert "bap-2026-2029-2>" in copies and "sp-2020-2023-2>" in copies
    assert not any(line.startswith("<https://w3id.org/itukg/id/sdg/") for line in more - first)


def test_an_unknown_engine_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        options("--engines", "itukg,hermit")
    assert "no engine hermit; known: itukg, turbo" in capsys.readouterr().err


# --- the page ---


@pytest.mark.parametrize("command", ["compare", "mixed", "soak", "shacl"])
def test_a_result_replaces_that_in_the_page(command: str, tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(PAGE)
    report.replace(page, command, "the result")
    assert f"<!-- {command} -->\n\nthe result\n\n<!-- /{command} -->" in page.read_text()
    assert f"-m benchmarks.{command} --write docs/performance.md" in PAGE


def test_a_page_without_markers_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A page")
    with pytest.raises(SystemExit, match="has no lines <!-- soak -->"):
        report.replace(page, "soak", "the result")
