"""The tables of a release: every end of a link is a thing in nodes.csv, once, and datapackage.json is true of both."""

import csv
import json
import re
import shutil
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pyoxigraph as ox
import pytest
from conftest import ROOT, Engine
from fastapi.testclient import TestClient

from itukg import names
from itukg.corpus import file_hash
from itukg.release.model import Release
from itukg.release.package import LINKS, NODES, PACKAGE, write_package

VALIDATOR = "frictionless==5.21.0"
Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def nodes(release: Release) -> Rows:
    return [*csv.DictReader(StringIO(release.files["nodes.csv"].read().decode()))]


@pytest.fixture(scope="module")
def links(release: Release) -> Rows:
    return [*csv.DictReader(StringIO(release.files["links.csv"].read().decode()))]


@pytest.fixture(scope="module")
def package(release: Release) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(release.files[PACKAGE].read())
    return found


def test_every_end_of_a_link_is_a_thing_once(nodes: Rows, links: Rows) -> None:
    ids = [row["id"] for row in nodes]
    assert len(ids) == len({*ids}) > 2500
    ends = {row[end] for row in links for end in ("subject", "object")}
    assert len(ends) > 1000 and ends <= {*ids}
    codes = {row["id"]: (row["notation"], row["label"]) for row in nodes}
    for row in links:
        for end in ("subject", "object"):
            assert (row[f"{end}Code"], row[f"{end}Label"]) == codes[row[end]]
    plans = {row["id"]: row["plan"] for row in nodes}
    assert all(plans[row["subject"]] == row["plan"] for row in links)


def test_a_link_is_told_by_its_linkage_and_its_object(links: Rows, store: Engine) -> None:
    keys = [(row["linkage"], row["object"]) for row in links]
    assert len(keys) == len({*keys})
    query = (
        f"{names.PROLOGUE}SELECT (COUNT(*) AS ?n) WHERE {{ GRAPH ?g {{ ?linkage itu:subject ?s ; itu:object ?o }} }}"
    )
    assert int(store.rows(query)[0]["n"].value) == len(keys)


def test_every_thing_of_a_plan_with_a_code_is_in_the_table(nodes: Rows, store: Engine) -> None:
    query = f"{names.PROLOGUE}SELECT DISTINCT ?s WHERE {{ ?s itu:plan ?plan ; skos:notation ?code ; rdfs:label ?label MINUS {{ ?s a itu:Linkage }} }}"
    things = {row["s"].value for row in store.rows(query)}
    assert len(things) > 1000 and things <= {row["id"] for row in nodes}
    assert all(row["class"] and row["label"] for row in nodes)
    assert not [row for row in nodes if row["class"] == "Linkage"]


# Read at these lines of the documents, or in the scheme of the United Nations.
THINGS = [
    ("buap-2018-2021/output/2.1", "Output", "buap-2018-2021", "2.1", "Output 2.1", "buap-2018-2021"),
    ("bap-2026-2029/outcome/T1.1-O1", "Outcome", "bap-2026-2029", "T1.1-O1", None, "tdag-26-2-add-2"),
    ("wsis/C5", "ActionLine", "", "C5", None, ""),
    ("sdg:9.c", "Target", "", "9.c", None, ""),
    ("sdg:C090c01", "SdgIndicator", "", "", None, ""),
]


@pytest.mark.parametrize(("thing", "kind", "plan", "code", "section", "document"), THINGS)
def test_a_thing_is_as_its_document_has_it(
    nodes: Rows, thing: str, kind: str, plan: str, code: str, section: str | None, document: str
) -> None:
    assert len(THINGS) == 5
    [row] = [row for row in nodes if row["id"] == names.expand(thing)]
    assert (row["class"], row["plan"], row["notation"], row["document"]) == (kind, plan, code, document)
    assert section is None or row["section"] == section
    assert bool(row["line"]) == bool(plan)


# --- the description ---


def test_the_package_describes_both_tables_column_by_column(
    package: dict[str, Any], release: Release, nodes: Rows, links: Rows
) -> None:
    assert [resource["name"] for resource in package["resources"]] == ["nodes", "links"]
    for resource, rows, columns in zip(package["resources"], (nodes, links), (NODES, LINKS), strict=True):
        file = release.files[resource["path"]]
        assert (resource["bytes"], resource["hash"]) == (file.size, f"sha256:{file.sha256}")
        fields = {field["name"]: field for field in resource["schema"]["fields"]}
        assert [*fields] == [*rows[0]] == [*columns]
        assert all(field["description"] for field in fields.values())
        for name, field in fields.items():
            values = {row[name] for row in rows} - {""}
            assert values or name == "status", name
            check(field, values, [row[name] for row in rows])
    assert package["resources"][0]["schema"]["primaryKey"] == ["id"]
    assert package["resources"][1]["schema"]["primaryKey"] == ["linkage", "object"]
    assert [key["fields"] for key in package["resources"][1]["schema"]["foreignKeys"]] == [["subject"], ["object"]]


def check(field: dict[str, Any], values: set[str], cells: list[str]) -> None:
    """Check the cells of a column against its type and constraints."""
    pattern = {"integer": r"[1-9]\d*", "boolean": "true|false", "string": r"(?s).+"}[field["type"]]
    pattern = r"https?://[^\s<>\"]+" if field.get("format") == "uri" else pattern
    assert all(re.fullmatch(pattern, value) for value in values), field
    constraints = field.get("constraints", {})
    assert not constraints.get("required") or "" not in cells
    assert not constraints.get("unique") or len({*cells}) == len(cells)
    assert values <= {*constraints.get("enum", values)}


def test_the_package_says_which_release_it_is_of_who_may_use_it_and_what_it_was_read_from(
    package: dict[str, Any], release: Release
) -> None:
    assert package["$schema"] == names.DATA_PACKAGE
    assert (package["version"], package["id"]) == (release.name, names.DATA + release.name)
    assert [licence["path"] for licence in package["licenses"]] == [names.LICENSE]
    assert "International Telecommunication Union" in package["description"]
    assert len(package["sources"]) == 5
    assert all(
        source["title"] and source["path"].startswith(f"{names.THINGS}document/") for source in package["sources"]
    )


def test_the_tables_and_their_description_are_served_and_listed(client: TestClient, release: Release) -> None:
    files = ("nodes.csv", "links.csv", PACKAGE)
    page = client.get("/data/latest.html").text
    described = client.get("/catalog.ttl").text
    for name in files:
        reply = client.get(f"/data/latest/{name}")
        assert reply.status_code == 200 and reply.content == release.files[name].read()
        assert f'href="/data/{release.name}/{name}"' in page
        assert f"/data/{release.name}/{name}>" in described
    search = client.get("/").text
    assert all(f"/data/{release.name}/{name}" in search for name in files)


def test_without_a_table_there_is_no_description(tmp_path: Path) -> None:
    (tmp_path / "links.csv").write_text("plan\n")
    write_package(tmp_path, ox.Store(), "0")
    assert [path.name for path in tmp_path.iterdir()] == ["links.csv"]


def test_the_queries_of_the_tables_select_what_is_described() -> None:
    for name, columns in (("nodes", NODES), ("links", LINKS)):
        text = (ROOT / "queries" / "exports" / f"{name}.rq").read_text()
        head = re.search(r"^SELECT (.*) WHERE", text, re.MULTILINE)
        assert head is not None
        selected = re.findall(r"(?:AS \?(\w+)\)|(?<!\()\?(\w+)(?!\) AS))", head[1])
        assert [one or other for one, other in selected] == [*columns]


@pytest.mark.exhaustive
def test_frictionless_finds_the_package_valid_and_sees_a_fault_in_it(release: Release, tmp_path: Path) -> None:
    """In an environment of its own, as the makers of the format read it; pandas then loads both tables typed."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    python = tmp_path / "env/bin/python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", VALIDATOR, "pandas"], check=True)
    folder = tmp_path / "release"
    folder.mkdir()
    for name in ("nodes.csv", "links.csv", PACKAGE):
        (folder / name).write_bytes(release.files[name].read())

    def validate() -> dict[str, Any]:
        command: list[str | Path] = [tmp_path / "env/bin/frictionless", "validate", "--json", PACKAGE]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    report = validate()
    assert report["valid"], report
    assert [task["stats"]["rows"] for task in report["tasks"]] == [
        len([*csv.DictReader(StringIO((folder / name).read_text()))]) for name in ("nodes.csv", "links.csv")
    ]
    script = (
        "import json, pandas\nfields = {r['name']: {f['name']: f['type'] for f in r['schema']['fields']} "
        "for r in json.load(open('datapackage.json'))['resources']}\n"
        "kinds = {'string': 'string', 'integer': 'Int64', 'boolean': 'boolean'}\n"
        "nodes, links = (pandas.read_csv(f'{n}.csv', dtype={k: kinds[t] for k, t in f.items()}) for n, f in fields.items())\n"
        "merged = links.merge(nodes, left_on='object', right_on='id', validate='many_to_one')\n"
        "print(len(merged) == len(links), links['line'].dtype, links['broad'].dtype)"
    )
    said = subprocess.run([python, "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["True", "Int64", "boolean"]

    lines = (folder / "nodes.csv").read_text().splitlines(keepends=True)
    cut = next(number for number, line in enumerate(lines) if line.startswith(f"{names.THINGS}wsis/C5,"))
    (folder / "nodes.csv").write_text("".join(lines[:cut] + lines[cut + 1 :]))
    package = json.loads((folder / PACKAGE).read_text())
    package["resources"][0].update(
        bytes=(folder / "nodes.csv").stat().st_size, hash=f"sha256:{file_hash(folder / 'nodes.csv')}"
    )
    (folder / PACKAGE).write_text(json.dumps(package))
    report = validate()
    assert not report["valid"]
    assert {error["type"] for task in report["tasks"] for error in task["errors"]} == {"foreign-key"}
    shutil.rmtree(folder)
