"""Documents by section and line: what was made of each line, what was left out and why, and that every place leads there."""

import csv
import gzip
import io
import json
import re
from html import unescape
from itertools import pairwise
from pathlib import Path
from typing import Any

import openpyxl
import pyoxigraph as ox
import pytest
from conftest import copy_of_corpus
from fastapi.testclient import TestClient
from test_resources import get
from test_sparql import problem_of

from itukg import names
from itukg.corpus import Corpus
from itukg.evidence import REASONS, in_ranges
from itukg.pages import place_link
from itukg.release.documents import Documents, of_ranges
from itukg.release.model import Release
from itukg.views.document import DOCUMENT_FORMATS, PAGE_ROWS, SHOWN, account, accounts

ROOT = Path(__file__).parents[1]
BUAP, OP = "buap-2018-2021", "tdag-26-2-add-2"


def document(client: TestClient, path: str) -> dict[str, Any]:
    reply = get(client, path, "application/json")
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def page(client: TestClient, path: str) -> str:
    reply = get(client, path, "text/html")
    assert reply.status_code == 200, reply.text
    return unescape(reply.text)


def lines_of(found: dict[str, Any]) -> dict[int, dict[str, Any]]:
    return {row["line"]: row for row in found["rows"]}


# --- what is said ---


def test_the_documents_are_listed_with_how_many_lines_were_taken_up_and_left_out(client: TestClient) -> None:
    found = document(client, "/documents")
    counts = {row["code"]: row["counts"] for row in found["rows"]}
    # Counted in data/evidence.json by looking every text up in the text copies.
    assert {code: (each["lines"], each["left"]) for code, each in counts.items()} == {
        "bap-2026-2029-draft": (256, 92),
        "buap-2018-2021": (1020, 378),
        "sp-2020-2023": (1070, 144),
        "sp-2024-2027": (378, 81),
        "tdag-26-2-add-2": (497, 89),
    }
    assert all(sum(row["leftOut"].values()) == row["counts"]["left"] for row in found["rows"])
    assert found["reasons"] == REASONS
    text = page(client, "/documents")
    for row in found["rows"]:
        assert row["label"] in text
        assert f"{row['counts']['taken']} of {row['counts']['taken'] + row['counts']['left']} lines with words" in text


def test_a_line_tells_the_words_and_what_was_made_of_them(client: TestClient) -> None:
    row = lines_of(document(client, f"/documents/{BUAP}"))[343]
    assert row["section"] == "Output 2.1, 19."
    links = {each["predicate"]: each for each in row["taken"] if each["what"] == "link"}
    target = links[names.ITU + "contributesToSDGTarget"]
    assert target["words"].startswith("Output 2.1 will contribute to the achievement of the following UN SDGs")
    assert target["subject"] == [f"{names.THINGS}{BUAP}/output/2.1"]
    assert [names.shorten(iri) for iri in target["object"]][:4] == ["sdg:1.4", "sdg:1.5", "sdg:3.8", "sdg:3.d"]
    assert target["basis"] == "stated"


def test_a_line_that_was_left_out_tells_the_reason_and_none_of_its_words(client: TestClient) -> None:
    found = lines_of(document(client, f"/documents/{OP}"))
    assert found[21]["leftOut"]["reason"] == "detail"
    assert found[21]["leftOut"]["note"] == "What the amounts cover and leave out; entered as notes of op-2026"
    assert (found[18]["last"], found[18]["leftOut"]["lines"]) == (19, [18, 19])
    assert "words" not in json.dumps([row["leftOut"] for row in found.values() if "leftOut" in row])


def test_every_line_of_the_lists_of_what_was_left_out_is_there_with_its_reason(release: Release) -> None:
    for path in sorted((ROOT / "data" / "uncovered").glob("*.csv")):
        found = next(each for each in release.documents.by_iri.values() if each.code == path.stem)
        left = {line: (each.reason, each.note) for each in found.left_out for line in each.lines}
        with path.open(newline="") as file:
            given = {
                line: (row["reason"], row["note"] or None)
                for row in csv.DictReader(file)
                for line in range(int(row["first"]), int(row["last"]) + 1)
            }
        assert left and left.items() <= given.items()  # empty lines within a range produced nothing either
        assert found.covered and not {*found.covered} & left.keys()


def test_all_that_the_graph_says_of_a_line_and_every_finding_is_on_it(release: Release, client: TestClient) -> None:
    findings = {each.id: each for each in release.report.findings if each.line and each.document}
    assert len(findings) > 300
    placed = 0
    for each in release.documents.by_iri.values():
        rows = lines_of(document(client, f"/documents/{each.name}"))
        for said in each.said:
            assert said.thing in [taken["id"] for taken in rows[said.line]["taken"]]
        for finding in (one for row in rows.values() for one in row.get("findings", ())):
            assert findings[finding["id"]].document == each.iri
            placed += 1
    assert placed == len(findings)


def test_rows_come_in_the_order_of_lines_and_sections_hold_what_stands_between_their_lines(release: Release) -> None:
    for found in accounts(release):
        shown = [row for section in found.sections for row in section.rows]
        assert shown == [*found.rows]
        assert [row.first for row in shown] == sorted({row.first for row in shown})
        for before, after in pairwise(shown):
            assert before.last < after.first
    op = account(release, OP, {})
    [section] = [each for each in op.sections if each.title.startswith("3.4 ")]
    assert section.title == "3.4 ITU-D Priority 4: Resource mobilization, partnerships and international cooperation"
    assert 268 in [row.first for row in section.rows]  # left out, between two of its lines


# --- pages ---


@pytest.mark.parametrize("show", SHOWN)
def test_pages_hold_all_rows_once_and_each_line_has_its_anchor_and_permalink(client: TestClient, show: str) -> None:
    rows = document(client, f"/documents/{BUAP}?show={show}")["rows"]
    first = page(client, f"/documents/{BUAP}?show={show}")
    numbers = {"1", *re.findall(r"[?&]page=(\d+)", first)}
    texts = [page(client, f"/documents/{BUAP}?show={show}&page={n}") for n in sorted(numbers, key=int)]
    anchors = [int(n) for text in texts for n in re.findall(r'<li id="line-(\d+)"', text)]
    assert anchors == [row["line"] for row in rows]
    for text in texts:
        here = [int(n) for n in re.findall(r'<li id="line-(\d+)"', text)]
        assert len(here) <= 2 * PAGE_ROWS
        assert len(gzip.compress(text.encode())) < 25_000
        kept = "" if show == "all" else f"show={show}&"
        assert f'href="/documents/{BUAP}?{kept}line={here[-1]}#line-{here[-1]}"' in text


def test_a_permalink_leads_to_the_page_with_the_line_and_marks_it(client: TestClient) -> None:
    text = page(client, f"/documents/{BUAP}?line=378")
    row = re.search(r'<li id="line-(\d+)" class="asked" aria-current="location">.*?</li>\n', text, re.DOTALL)
    assert row
    assert row[1] == "367"  # lines that were left out together
    assert '<span id="line-378"></span>' in row[0]
    assert 'class="asked"' not in page(client, f"/documents/{BUAP}")
    assert page(client, f"/documents/{BUAP}?line=999999")  # the last page


def test_what_a_page_says_is_filtered_and_keeps_its_release(client: TestClient, release: Release) -> None:
    text = page(client, f"/documents/{OP}?show=findings&release={release.name}")
    assert f"/documents/{OP}?show=left&release={release.name}" in text
    rows = document(client, f"/documents/{OP}?show=findings")["rows"]
    assert rows and all(row["findings"] for row in rows)
    rows = document(client, f"/documents/{OP}?show=left")["rows"]
    assert rows and all(row["leftOut"] for row in rows)
    rows = document(client, f"/documents/{OP}?show=taken")["rows"]
    assert rows and all(row["taken"] for row in rows)


def test_the_strip_has_its_text_and_as_many_lines_as_the_counts(release: Release, client: TestClient) -> None:
    for found in accounts(release):
        strip = found.strip()
        for kind in ("taken", "left"):
            assert sum(map(int, re.findall(r"h(\d+)v", strip[kind]))) == found.counts[kind]
        counts = found.counts
        text = page(client, f"/documents/{found.document.name}")
        assert (
            f'aria-label="The {counts["lines"]} lines of the document from left to right: {counts["taken"]} taken up'
            in text
        )


def test_tables_have_a_row_for_each_thing_reason_and_finding(client: TestClient) -> None:
    found = document(client, f"/documents/{OP}")["rows"]
    number = sum(len(row.get("taken", ())) + ("leftOut" in row) + len(row.get("findings", ())) for row in found)
    rows = [*csv.DictReader(io.StringIO(get(client, f"/documents/{OP}", "text/csv").text))]
    assert len(rows) == number
    assert {row["what"] for row in rows} == {"thing", "link", "gap", "left out", "finding"}
    book = openpyxl.load_workbook(io.BytesIO(client.get(f"/documents/{OP}.xlsx").content))
    assert book["lines"].max_row == number + 1
    listed = [*csv.DictReader(io.StringIO(get(client, "/documents", "text/csv").text))]
    assert sum(int(row["left"]) for row in listed) == 784
    assert client.get("/documents.xlsx").status_code == 200
    for syntax in DOCUMENT_FORMATS:
        assert client.get(f"/documents/{OP}{syntax.suffix}").headers["content-type"].startswith(syntax.bare_type)


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/documents/none", 404, "known: bap-2026-2029-draft"),
        (f"/documents/{BUAP}?page=10", 404, "the document has 9"),
        (f"/documents/{BUAP}?page=0", 400, "whole number"),
        (f"/documents/{BUAP}?line=x", 400, "whole number"),
        (f"/documents/{BUAP}?show=none", 400, "known: all, taken, left, findings"),
        ("/documents?line=3", 400, "No parameter"),
    ],
)
def test_what_is_not_there_is_refused(client: TestClient, path: str, status: int, words: str) -> None:
    reply = client.get(path)
    assert words in problem_of(reply, status)["detail"]


# --- places ---


def test_a_place_leads_to_its_line_and_a_document_that_is_none_to_its_description() -> None:
    assert place_link(f"{names.THINGS}document/{BUAP}", 378) == f"/documents/{BUAP}?line=378#line-378"
    assert place_link(f"{names.THINGS}document/{BUAP}") == f"/documents/{BUAP}"
    assert place_link(f"{names.THINGS}wsis", 3) == "/id/wsis"
    assert place_link("urn:d", 3) == "/resource?iri=urn%3Ad"


# --- releases ---


def test_line_numbers_are_written_as_ranges_and_read() -> None:
    assert in_ranges([1, 2, 3, 7, 9, 10]) == "1-3 7 9-10"
    assert of_ranges("1-3 7 9-10") == (1, 2, 3, 7, 9, 10)
    assert (in_ranges([]), of_ranges("")) == ("", ())


def test_documents_are_read_as_they_were_written(release: Release) -> None:
    assert Documents.read(release.documents.write()) == release.documents
    assert "documents.json" not in release.files  # it is made for pages


def test_without_a_record_only_the_lines_are_known_on_which_something_begins(release: Release, tmp_path: Path) -> None:
    store = ox.Store()
    store.bulk_load(path=str(release.dataset), format=ox.RdfFormat.N_QUADS)
    found = Documents.of_store(store, Corpus(tmp_path))
    assert found.called == release.documents.called
    for iri, each in found.by_iri.items():
        assert (each.covered, each.left_out) == (None, ())
        assert each.said == release.documents.by_iri[iri].said


def test_a_changed_reason_makes_another_release(tmp_path: Path) -> None:
    corpus = Corpus(copy_of_corpus(tmp_path))
    before = corpus.fingerprint()
    path = corpus.uncovered()[0]
    path.write_text(path.read_text().replace("narrative", "heading", 1))
    assert corpus.fingerprint() != before
