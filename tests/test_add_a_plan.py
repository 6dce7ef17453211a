"""What docs/add-a-plan.md says works: one data file dropped in, no Python touched."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import run_command, small_corpus

ROOT = Path(__file__).parents[1]
INVENTED = ROOT / "tests" / "invented"
PLAN = "example-2030-2033"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def curator(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A curator's copy of the files with the invented plan in it; runs `itukg` there."""
    root = small_corpus(tmp_path_factory.mktemp("curator"))
    shutil.copy(INVENTED / f"{PLAN}.ttl", root / "data" / "plans")

    def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
        return run_command(*command, ITUKG_CORPUS=root, ITUKG_HOME=root / "home")

    checked = run("evidence", root / "data" / "plans" / f"{PLAN}.ttl", "--sources", INVENTED)
    assert checked.returncode == 0, checked.stderr  # which records it: the copies of other documents are not needed
    built = run("build")
    assert built.returncode == 0, built.stderr
    return run


def test_the_plan_is_in_sparql(curator: Run) -> None:
    answer = curator("query", "things-by-plan-and-class").stdout
    rows = [row.split(",") for row in answer.splitlines() if row.startswith(PLAN)]
    assert [(kind, count) for _, kind, count in rows] == [
        ("gap", "3"), ("linkage", "4"), ("objective", "1"), ("outcome", "1"), ("outcome indicator", "1"), ("output", "1"),
    ]  # fmt: skip


def test_the_plan_is_in_json_ld_with_its_evidence(curator: Run) -> None:
    thing = json.loads(curator("describe", f"{PLAN}/output/1.1").stdout)
    assert thing["label"] == {"en": "Advice on universal access"}
    assert {linkage["predicate"] for linkage in thing["linkages"]} == {
        "deliversOutcome", "contributesToSDG", "contributesToSDGTarget", "revises",
    }  # fmt: skip


def test_the_plan_is_in_the_report(curator: Run) -> None:
    report = json.loads(curator("check", "--format", "json").stdout)
    assert report["verdict"] == "conforms"
    findings = [finding for finding in report["findings"] if finding["plan"] == PLAN]
    assert {finding["severity"] for finding in findings} == {"Warning", "Info"}
    assert [finding["line"] for finding in findings if finding["severity"] == "Warning"] == [7]


def test_the_plan_is_in_the_line_from_plan_to_plan(curator: Run) -> None:
    rows = curator("diff", "buap-2018-2021", PLAN).stdout.splitlines()
    taken = [row for row in rows[1:] if not row.startswith(("adds,", "drops,"))]
    assert len(taken) == 1
    assert taken[0].startswith("revises,1.1,Advice on universal access,2.1,")
    assert {row.split(",")[0] for row in rows[1:]} == {"revises", "adds", "drops"}


def test_its_evidence_is_checked_alone_and_a_wrong_word_is_named_with_its_line(curator: Run, tmp_path: Path) -> None:
    checked = curator("evidence", INVENTED / f"{PLAN}.ttl", "--sources", INVENTED)
    assert checked.returncode == 0, checked.stderr
    assert "11 of 11 texts found" in checked.stdout
    wrong = tmp_path / "wrong.ttl"
    wrong.write_text((INVENTED / f"{PLAN}.ttl").read_text().replace("Bring everybody online", "Bring everyone online"))
    refused = curator("evidence", wrong, "--sources", INVENTED)
    assert refused.returncode == 1
    assert f"{PLAN}/objective/1: rdfs:label is not on line 2: Bring everyone online" in refused.stdout


def test_a_file_with_a_fault_is_named_with_its_cure(curator: Run, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.ttl"
    wrong.write_text((INVENTED / f"{PLAN}.ttl").read_text().replace(f"    itu:outcomeOf <{PLAN}/objective/1> ;\n", ""))
    checked = curator("check", wrong)
    assert checked.returncode == 1
    assert f"{PLAN}/outcome/1.1" in checked.stdout
    assert "add itu:outcomeOf" in checked.stdout
