"""The benchmark of SHACL engines runs them, tells what differs, and claims nothing about an engine that differs."""

import argparse
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from rdflib import Graph

from benchmarks import report, shacl
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
