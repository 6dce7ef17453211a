"""What docs/sparql.md says of the engine is what the engine does, and the commands of auditing.md and releases.md work."""

import csv
import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

import httpx2
import openpyxl
import pytest
import yaml  # type: ignore[import-untyped]
from fastapi.testclient import TestClient
from test_quick import Watch, seconds

from itukg import names
from itukg.release.model import Release

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "sparql.md").read_text()
_CELL = re.compile(r"\s*(?<!\\)\|\s*")
DEPARTURES = [
    tuple(cell.replace("\\|", "|") for cell in _CELL.split(line)[1:5])
    for line in TEXT[TEXT.index("## Where the engine departs") :].splitlines()
    if line.startswith("| `")
]
"""Rows of the tables: a query or expression, what it gives, what the standard or other servers say, and the way round."""


def tsv(client: TestClient, query: str) -> httpx2.Response:
    reply = client.get("/sparql", params={"query": names.PROLOGUE + query, "format": "tsv"})
    assert reply.status_code == 200, reply.text
    return reply


def result(client: TestClient, text: str) -> str:
    """Return what a query or an expression gives, as the tables write it."""
    query = text if text.startswith(("SELECT", "ASK")) else f"SELECT ({text} AS ?x) {{}}"
    prologue = f"{names.PROLOGUE} PREFIX : <urn:test:> PREFIX itug: <{names.GRAPHS}> "
    reply = client.get("/sparql", params={"query": prologue + query} | ({"format": "tsv"} if query[0] == "S" else {}))
    if reply.status_code == 400:
        return "refused"
    assert reply.status_code == 200, reply.text
    if query[0] == "A":
        return f"`{str(reply.json()['boolean']).lower()}`"
    rows = reply.text.split("\n")[1:-1]
    shortened = re.sub(rf"<{re.escape(names.PREFIXES['xsd'])}(\w+)>", r"xsd:\1", ", ".join(rows))
    shortened = re.sub(r"<urn:test:(\w+)>", r":\1", shortened)
    return (f"`{shortened}`" if shortened else "nothing") if rows else "no row"


def test_all_departures_are_read() -> None:
    assert len(DEPARTURES) == 52
    assert all(len(row) == 4 for row in DEPARTURES)


@pytest.mark.parametrize(("query", "gives", "instead", "way"), DEPARTURES)
def test_the_engine_departs_from_the_standard_where_the_documentation_says(
    client: TestClient, query: str, gives: str, instead: str, way: str
) -> None:
    assert result(client, query.strip("`")) == gives != instead
    if round_ := re.match("`([^`]+)`", way):
        found = result(client, round_[1])
        assert found == instead if re.fullmatch("`[^`]+`", instead) else found not in ("refused", "nothing")


def test_the_query_of_the_documentation_finds_what_rules_derive(client: TestClient) -> None:
    query = re.search(r"```sparql\n(.*?)```", TEXT, re.DOTALL)
    assert query is not None
    assert len(tsv(client, query[1]).text.splitlines()) > 1000


@pytest.fixture(scope="module")
def watch(release: Release) -> Watch:
    return Watch(release)


PAIRS = list(
    zip(*(re.findall(rf"```sparql {kind}\n(.*?)```", TEXT, re.DOTALL) for kind in ("slow", "quick")), strict=True)
)


def test_the_quick_form_of_each_query_of_the_documentation_has_the_same_rows_and_takes_less(watch: Watch) -> None:
    assert len(PAIRS) == 7
    for slow, quick in PAIRS:
        rows, taken = list[Counter[str]](), list[float]()
        for query in (names.PROLOGUE + slow, names.PROLOGUE + quick):
            rows.append(Counter(map(str, watch.evaluate(query))))
            taken.append(min(seconds(lambda query=query: watch.evaluate(query)) for _ in range(2)))  # type: ignore[misc]
        assert rows[0] == rows[1] != Counter()
        assert taken[0] > 1.3 * taken[1], slow


AUDITING = (ROOT / "docs" / "auditing.md").read_text()


def run_of(document: str, folder: Path, server: str, home: Path) -> list[str]:
    """Run the commands of a page in `folder`, its files put there before, and return what each prints."""
    files = {"turtle": "my-data.ttl", "turtle shapes": "my-shapes.ttl", "toml": "waivers.toml"}
    printed: list[str] = []
    for kind, text in re.findall(r"```(.+)\n(?s:(.*?))```", document):
        if kind in files:
            (folder / files[kind]).write_text(text)
        for line in text.splitlines() if kind == "sh" else ():
            command = line.replace("http://127.0.0.1:8000", server)
            command = re.sub(r"^((?:\w+=\S+ )*)itukg", rf"\1{shlex.quote(sys.executable)} -m itukg", command)
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=folder,
                env=os.environ | {"ITUKG_HOME": str(home)},
                capture_output=True,
                text=True,
                check=False,
            )
            said = re.search(r"# exit code (\d+)", line)
            assert done.returncode == (int(said[1]) if said else 0), (line, done.stderr)
            printed.append(done.stdout)
    return printed


def test_the_commands_for_auditors_do_what_the_page_says(tmp_path: Path, server: str, home: Path) -> None:
    printed = run_of(AUDITING, tmp_path, server, home)
    assert len(printed) == 12
    assert len(printed[0].splitlines()) > 20
    assert printed.pop(2) == "" and "left out" in (tmp_path / "left.csv").read_text()
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF-")
    assert [f["value"] for f in json.loads((tmp_path / "old.json").read_text())["findings"]] == ["C12"]
    assert "1 new, 0 persisting, 1 fixed" in printed[4]
    assert [",fixed," in row for row in (tmp_path / "fixed.csv").read_text().splitlines()] == [False, True]
    sent = [*csv.DictReader(io.StringIO(printed[6]))], json.loads(printed[7])["findings"]
    assert [[f["value"] for f in found] for found in sent] == [["C13"], ["C13"]]
    assert [row["message"] for row in csv.DictReader(io.StringIO(printed[8]))] == ["Has no label: add rdfs:label."]
    assert "itush:ActionLine-notation" in printed[9]
    assert "itush:Thing-line" not in printed[9]
    assert "Violation (waived)" in printed[10]


@pytest.mark.parametrize(("code", "exits", "failures"), [("C1", 0, 0), ("C12", 1, 1)])
def test_the_workflow_of_a_partner_checks_a_plan_and_keeps_both_files(
    tmp_path: Path, home: Path, code: str, exits: int, failures: int
) -> None:
    found = re.search(r"```yaml\n(.*?)```", AUDITING, re.DOTALL)
    assert found is not None
    (job,) = yaml.safe_load(found[1])["jobs"].values()
    steps = [step["run"] for step in job["steps"] if "run" in step]
    assert steps.pop(0) == 'pip install "${{ vars.ITUKG }}"'  # the tests run what is installed here
    assert len(steps) == 2
    (tmp_path / "my-data.ttl").write_text(
        f'<https://w3id.org/itukg/id/wsis/C1> a <{names.ITU}ActionLine> ; <{names.PREFIXES["skos"]}notation> "{code}" .'
    )
    codes = []
    for step in steps:
        command = re.sub("^itukg", f"{shlex.quote(sys.executable)} -m itukg", step)
        environment = os.environ | {"ITUKG_HOME": str(home)}
        done = subprocess.run(["bash", "-e", "-c", command], cwd=tmp_path, env=environment, check=False)
        codes.append(done.returncode)
    assert codes == [0, exits]
    report = ET.parse(tmp_path / "plan.xml").getroot()  # noqa: S314  (we wrote it)
    assert report.get("failures") == str(failures)
    assert len(json.loads((tmp_path / "plan.sarif").read_text())["runs"][0]["results"]) == failures


def test_a_plan_that_revises_one_of_ours_passes_the_workflow(tmp_path: Path, home: Path) -> None:
    (tmp_path / "my-data.ttl").write_bytes((ROOT / "tests" / "invented" / "example-2030-2033.ttl").read_bytes())
    for step in re.findall(r"- run: (itukg check .*)", AUDITING):
        command = re.sub("^itukg", f"{shlex.quote(sys.executable)} -m itukg", step)
        environment = os.environ | {"ITUKG_HOME": str(home)}
        assert subprocess.run(["bash", "-e", "-c", command], cwd=tmp_path, env=environment, check=False).returncode == 0
    assert ET.parse(tmp_path / "plan.xml").getroot().get("failures") == "0"  # noqa: S314  (we wrote it)


def test_the_commands_for_releases_do_what_the_page_says(tmp_path: Path, server: str, home: Path) -> None:
    printed = run_of((ROOT / "docs" / "releases.md").read_text(), tmp_path, server, home)
    assert len(printed) == 10
    assert printed[3].splitlines() == ["itukg.nq.gz: OK"]
    assert json.loads((tmp_path / "datapackage.json").read_text())["resources"][0]["path"] == "nodes.csv"
    assert '"thingsChanged": 0' in printed[6]
    assert (tmp_path / "changes.rdfp").read_text().endswith("TC .\n")


def test_the_commands_for_mappings_do_what_the_page_says(tmp_path: Path, server: str, home: Path) -> None:
    printed = run_of((ROOT / "docs" / "mappings.md").read_text(), tmp_path, server, home)
    assert len(printed) == 3
    header, row = printed[1].splitlines()
    assert (header.split("\t")[0], row.split("\t")[0].partition(":")[0]) == ("subject_id", "itukg")
    assert int(printed[2]) > 40


def test_the_commands_on_questions_do_what_the_page_says(tmp_path: Path, server: str, home: Path) -> None:
    printed = run_of((ROOT / "docs" / "questions.md").read_text(), tmp_path, server, home)
    assert len(printed) == 8
    assert printed[0].startswith("output,notation,label,") and printed[0].splitlines() == printed[6].splitlines()
    assert ",inherit," in printed[1] and len(printed[2].splitlines()) == 6
    assert json.loads(printed[3])["detail"].startswith("target must be an SDG target")
    assert "T2.3-O1" in printed[4]
    assert printed[5].count("unless given)") > 40
    assert printed[7].startswith("?class\t")


LINKED_DATA = (ROOT / "docs" / "linked-data.md").read_text()


def test_the_commands_for_linked_data_do_what_the_page_says(tmp_path: Path, server: str, home: Path) -> None:
    printed = run_of(LINKED_DATA, tmp_path, server, home)
    assert len(printed) == 22
    assert json.loads(printed[0])["notation"] == "2.1"
    assert "@prefix itu:" in printed[1] and printed[2].startswith("<?xml")
    framed = json.loads(printed[6])
    assert framed["isTargetOf"]["label"]["en"]
    assert json.loads(printed[11])["linkages"][0]["quote"]["en"]
    assert json.loads(printed[14])["totalItems"] == 3
    assert (tmp_path / "indicators.xlsx").read_bytes().startswith(b"PK")
    assert "known: bap-2026-2029" in json.loads(printed[18])["detail"]
    assert "<mark>" in json.loads(printed[19])["items"][0]["highlight"]
    assert printed[20].splitlines()[1].startswith("http://metadata.un.org/sdg/9.c,")
    assert json.loads(printed[21])["totalItems"] > 0


PYTHON = (ROOT / "docs" / "python.md").read_text()


def test_the_blocks_for_python_print_what_the_page_says(
    server: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PYTHON, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 10
    monkeypatch.setenv("ITUKG_HOME", str(home))
    names_: dict[str, object] = {}
    for block in blocks:
        exec(block.replace("http://127.0.0.1:8000", server), names_)  # noqa: S102
        said = re.findall(r"^(?:.*\)  )?# (.*)$", block, re.MULTILINE)
        assert capsys.readouterr().out.splitlines() == said, block
        assert said or "open()" in block


RESEARCHERS = (ROOT / "docs" / "researchers.md").read_text()


def test_a_question_becomes_a_spreadsheet_as_the_page_says(
    tmp_path: Path, server: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = run_of(RESEARCHERS, tmp_path, server, home)
    assert len(printed) == 7
    assert "outputs-for-sdg-target: " in printed[0]
    assert printed[2].splitlines()[0].startswith("output,notation,label,outcome,outcomeLabel,quote,section,line")
    assert len(openpyxl.load_workbook(tmp_path / "matrix.xlsx").sheetnames) == 3
    assert len((tmp_path / "lineage.csv").read_text().splitlines()) > 3
    assert ",derived" not in printed[5] and "inherit" in printed[5]
    assert "4.4" in printed[6].rpartition("> ")[2]  # the last sentence names the target
    [block] = re.findall(r"^```python\n(.*?)^```", RESEARCHERS, re.DOTALL | re.MULTILINE)
    monkeypatch.setenv("ITUKG_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    exec(block, {})  # noqa: S102
    assert (tmp_path / "outputs.csv").read_text().count("\n") == openpyxl.load_workbook(
        tmp_path / "outputs.xlsx"
    ).active.max_row
    assert "4.2" in capsys.readouterr().out


@pytest.mark.parametrize(("tutorial", "shown"), [("researcher", 4), ("developer", 8), ("auditor", 6)])
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of urllib, as programs leave it
def test_a_tutorial_prints_what_it_shows(
    tutorial: str,
    shown: int,
    tmp_path: Path,
    server: str,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = (ROOT / "docs" / f"tutorial-{tutorial}.md").read_text()
    monkeypatch.setenv("ITUKG_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    names_: dict[str, object] = {}
    printed, compared = "", 0
    for kind, text in re.findall(r"^```(\w+)\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        if kind in ("sh", "turtle"):
            printed = "".join(run_of(f"```{kind}\n{text}```", tmp_path, server, home))
        elif kind == "python":
            exec(text.replace("http://127.0.0.1:8000", server), names_)  # noqa: S102
            printed = capsys.readouterr().out
        elif kind != "console":  # installs
            said, compared = printed.replace(server, "http://127.0.0.1:8000").replace("\r\n", "\n"), compared + 1
            assert text.strip("…\n "), "an output is shown"
            for part in filter(None, re.split(r"\s*…\s*", text.strip())):
                before, found, said = said.partition(part)
                assert found == part, f"not printed, or not in this order:\n{part}\n--- in ---\n{before}"
    assert compared == shown
    for name in re.findall(r"-o (\S+)", page):
        assert (tmp_path / name).stat().st_size > 500
