"""Matrices: counts that a reader worked out from the documents, and behind each as many rows of evidence as it counts."""

import csv
import io
import re
from collections import Counter
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from fastapi.testclient import TestClient
from lxml import html
from test_cli import Run, itukg  # noqa: F401  (a fixture)
from test_docs import run_of
from test_resources import get
from test_sparql import problem_of

from itukg import names
from itukg.release.model import Release
from itukg.sssom import read_tsv
from itukg.views.grid import MATRIX_FORMATS
from itukg.views.linked import STATES
from itukg.views.matrix import ALL, EMPTY, GAP, kinds

ROOT = Path(__file__).parents[1]
DOCUMENT = (ROOT / "docs" / "matrix.md").read_text()
BUAP = "buap-2018-2021"
LINES_AND_GOALS = f"rows=actionLine&columns=sdgGoal&plan={BUAP}"

# What the documents say, read at these lines before any query was written. An action line is served by the outputs whose
# sentence "The implementation of the WSIS Action Lines …" names it, a Goal by those whose sentence "… UN SDGs: …" does.
THROUGH = [
    # C1: Outputs 1.1-1.6 (lines 131, 149, 168, 183, 196, 210), 2.1 (341), 3.4 (750); each names Goal 1 and Goal 17.
    ("C1", "1", 8, "stated", {"1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "2.1", "3.4"}),
    ("C11", "17", 8, "stated", {"1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "2.1", "3.4"}),
    # C5: 2.2 (405), 3.4; Goal 9: "SDG 4, 9, 11 and 16" (407), "9 (targets 9.a, 9.b)" (752).
    ("C5", "9", 2, "stated", {"2.2", "3.4"}),
    # C4: 3.3 (692), 3.4, 4.3 (957); Goal 6: only 3.3, "6 (target 6.a)" (694).
    ("C4", "6", 1, "stated", {"3.3"}),
    # C7: 2.3 (471), 3.4, 4.1 (839), 4.2 (897), 4.3, 4.4 (1016); Goal 13: 2.3 (473), 4.1 (841), 4.4 (1018).
    ("C7", "13", 3, "stated", {"2.3", "4.1", "4.4"}),
    # C6: 3.1 (563), 3.4, 4.1, 4.3; Goal 2: 3.1 (565), 3.4.
    ("C6", "2", 2, "stated", {"3.1", "3.4"}),
    # C8: 4.3; Goal 4: "4 (targets 4.3, 4.4, 4.5)" (959).
    ("C8", "4", 1, "stated", {"4.3"}),
    # C10 stands in no list; Output 3.2 speaks of "all WSIS Action Lines" (628) and "all SDGs" (630).
    ("C10", "1", 0, "all", set[str]()),
]
BETWEEN = [
    # Line 343 reads "… UN SDGs: 1 (targets 1.4, 1.5), 3 …", and line 133 "1, 3, (target 3.d), 5, 10, 16 …"
    ("output", "2.1", "sdgGoal", "1", BUAP, 1, "stated", {343}),
    ("output", "1.1", "sdgTarget", "3.d", BUAP, 1, "stated", {133}),
    ("output", "1.1", "sdgGoal", "9", BUAP, 0, "empty", set[int]()),
    # "SDG 4, 9, 11 and 16", without a target
    ("output", "2.2", "sdgTarget", "9.c", BUAP, 0, "gap", {407}),
    # "the monitoring of the implementation of all SDGs"
    ("output", "3.2", "sdgGoal", "5", BUAP, 0, "all", {630}),
    # Outcome 1.1 is named with C1 under Outputs 1.1, 1.2 and 1.5, and with "all WTDC Resolutions" there too.
    ("outcome", "1.1", "actionLine", "C1", BUAP, 3, "stated", {131, 149, 196}),
    ("outcome", "1.1", "instrument", "instrument/wtdc/resolution/1", BUAP, 0, "all", {129}),
    # The row of emergency telecommunications: model policies, toolkits, technical interventions, convening, learning.
    ("topic", "T1.1", "outputCategory", "OC1", "bap-2026-2029", 1, "stated", {116}),
    ("topic", "T1.1", "outputCategory", "OC5", "bap-2026-2029", 0, "empty", set[int]()),
    # Section 1.1 speaks of the Goals as a whole; no output names one, and no outcome names an instrument.
    ("outputCategory", "OC1", "sdgGoal", "9", "bap-2026-2029", 0, "gap", {7}),
    ("outcome", "T1.1-O1", "instrument", "instrument/pp/resolution/71", "bap-2026-2029", 0, "gap", {9}),
    # The first row of Table 11 supports "All" objectives.
    ("enabler", "EN11.1", "objective", "R.1", "sp-2020-2023", 0, "all", {722}),
    # Target 9.c: Outputs 2.1 (343), 3.1 (565) and 4.1 (841, "9c").
    ("plan", BUAP, "sdgTarget", "9.c", None, 3, "stated", {343, 565, 841}),
    ("plan", "bap-2026-2029", "sdgTarget", "9.c", None, 0, "gap", {7}),
]


def asked(client: TestClient, query: str) -> dict[str, Any]:
    reply = get(client, f"/matrix.json?{query}")
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def cell_of(found: dict[str, Any], row: str, column: str) -> dict[str, Any]:
    """Return the cell at these codes."""
    ends = {item["id"]: item["notation"] for side in ("rows", "columns") for item in found[side] if "notation" in item}
    cells = [c for c in found["cells"] if (ends[c["row"]], ends[c["column"]]) == (row, column)]
    return cells[0] if cells else {"count": 0, "state": found["unlistedCells"], "evidence": []}


def lines_of(cell: dict[str, Any]) -> set[int]:
    links = [link for each in cell["evidence"] for link in each["links"]] + [cell.get("note", {})]
    return {link["line"] for link in links if link.get("line")}


@pytest.fixture(scope="module")
def lines_and_goals(client: TestClient) -> dict[str, Any]:
    return asked(client, LINES_AND_GOALS)


@pytest.mark.parametrize(("row", "column", "count", "state", "outputs"), THROUGH)
def test_a_cell_of_two_schemes_counts_the_outputs_that_a_reader_counted(
    lines_and_goals: dict[str, Any], row: str, column: str, count: int, state: str, outputs: set[str]
) -> None:
    assert len(THROUGH) == 8
    cell = cell_of(lines_and_goals, row, column)
    assert (cell["count"], cell["state"]) == (count, state)
    assert {each["thing"]["notation"] for each in cell["evidence"]} == outputs
    for each in cell["evidence"]:
        to_row, to_column = each["links"]
        assert (to_row["object"], to_column["object"]) == (cell["row"], cell["column"])
        assert "WSIS Action Lines" in to_row["quote"]
        assert "UN SDGs" in to_column["quote"]


@pytest.mark.parametrize(("rows", "row", "columns", "column", "plan", "count", "state", "lines"), BETWEEN)
def test_a_cell_counts_what_a_reader_found_at_these_lines(
    client: TestClient, rows: str, row: str, columns: str, column: str, plan: str | None, count: int, state: str, lines: set[int]
) -> None:  # fmt: skip
    assert len(BETWEEN) == 14
    query = f"rows={rows}&columns={columns}&row={row}&column={column}" + (f"&plan={plan}" if plan else "")
    found = asked(client, query)
    assert (len(found["rows"]), len(found["columns"])) == (1, 1)
    [cell] = found["cells"] or [{"count": 0, "state": EMPTY, "evidence": []}]
    assert (cell["count"], cell["state"], lines_of(cell)) == (count, state, lines)
    for each in cell["evidence"]:
        assert all(link["quote"] and link["document"] for link in each["links"])


def test_a_target_counts_for_its_goal_only_where_derived_links_are_asked_for(client: TestClient) -> None:
    """The WSIS-SDG Matrix names targets, and C5 has 9.1 and 9.c of Goal 9: one link to the Goal, by the rule roll-up."""
    query = "rows=actionLine&columns=sdgGoal&row=C5&column=9"
    assert asked(client, query)["cells"] == []
    [cell] = asked(client, f"{query}&basis=stated,reference,derived")["cells"]
    assert (cell["count"], cell["state"], cell["states"]) == (1, "derived close", {"derived close": 1})
    assert [link["rule"] for each in cell["evidence"] for link in each["links"]] == ["roll-up"]
    [target] = asked(client, "rows=actionLine&columns=sdgTarget&row=C5&column=9.c")["cells"]
    assert (target["count"], target["state"]) == (1, "reference")


def test_the_basis_alone_leaves_out_what_is_stated(client: TestClient) -> None:
    query = f"rows=output&columns=sdgTarget&plan={BUAP}"
    states = {
        basis: Counter(s for c in asked(client, f"{query}&basis={basis}")["cells"] for s in c["states"])
        for basis in ("stated", "derived", "stated,derived")
    }
    assert set(states["stated"]) == {"stated"}
    assert set(states["derived"]) == {"derived close"}
    assert states["stated,derived"] == states["stated"] + states["derived"]
    assert asked(client, query)["basis"] == ["judged", "reference", "stated"]


EVERY = [
    LINES_AND_GOALS,
    f"{LINES_AND_GOALS}&basis=stated,derived",
    "rows=plan&columns=sdgTarget",
    "rows=output&columns=sdgGoal",
    "rows=topic&columns=outputCategory",
    f"rows=outcome&columns=instrument&plan={BUAP}&basis=stated,derived",
    "rows=outcome&columns=outcome&plan=bap-2026-2029",
    "rows=enabler&columns=objective",
    f"rows=sdgGoal&columns=output&plan={BUAP}",
]


def sheets_of(content: bytes) -> dict[str, list[dict[str, Any]]]:
    book = openpyxl.load_workbook(io.BytesIO(content))
    rows = {sheet.title: [*sheet.iter_rows(values_only=True)] for sheet in book}
    return {name: [dict(zip(head, row, strict=True)) for row in body] for name, (head, *body) in rows.items()}


@pytest.mark.parametrize("query", EVERY)
def test_every_count_is_the_number_of_its_rows_of_evidence(client: TestClient, query: str) -> None:
    assert len(EVERY) == 9
    found = asked(client, query)
    assert sum(cell["count"] for cell in found["cells"]) > 20
    for cell in found["cells"]:
        assert cell["count"] == len(cell["evidence"]) == sum(cell["states"].values())
        assert cell["state"] in ((*STATES,) if cell["count"] else (ALL, GAP))
        assert ("note" in cell) == (cell["count"] == 0)
    sheets = sheets_of(get(client, f"/matrix.xlsx?{query}").content)
    assert list(sheets) == ["matrix", "evidence", "cells"]
    behind = Counter((row["row"], row["column"]) for row in sheets["evidence"])
    assert behind == Counter({(cell["row"], cell["column"]): cell["count"] for cell in found["cells"]})
    assert {(row["row"], row["column"]): row["count"] for row in sheets["cells"] if row["count"]} == behind
    counts = [count for row in sheets["matrix"] for name, count in row.items() if not str(name).startswith("row")]
    assert len(counts) == len(sheets["cells"]) == len(found["rows"]) * len(found["columns"])
    assert sum(count for count in counts if isinstance(count, int)) == sum(behind.values())
    assert {count for count in counts if isinstance(count, str)} <= {ALL, GAP}
    for row in sheets["evidence"]:
        assert any(row[name] for name in row if name.lower().endswith(("quote", "rationale", "rule")))


def test_the_same_cells_stand_in_csv_and_on_the_page(client: TestClient, lines_and_goals: dict[str, Any]) -> None:
    table = [*csv.DictReader(io.StringIO(get(client, f"/matrix.csv?{LINES_AND_GOALS}").text))]
    told = {(row["row"], row["column"]): (int(row["count"]), row["state"]) for row in table}
    cells = {(cell["row"], cell["column"]): (cell["count"], cell["state"]) for cell in lines_and_goals["cells"]}
    assert {ends: said for ends, said in told.items() if said[1] != EMPTY} == cells
    assert len(told) == 19 * 17
    shown = [[*map(seen, row.xpath("td"))] for row in page_of(client, f"/matrix?{LINES_AND_GOALS}").xpath("//tbody/tr")]
    assert len(shown) == 19 and {*map(len, shown)} == {17}
    states = {(cell["row"], cell["column"]): cell["states"] or {cell["state"]: 0} for cell in lines_and_goals["cells"]}
    assert [cell for row in shown for cell in row] == [states.get(ends, {}) for ends in told]


def page_of(client: TestClient, path: str) -> Any:
    return html.fromstring(get(client, path, "text/html").text)


def seen(cell: Any) -> dict[str, int]:
    """Return what a cell of the page shows: numbers by state, or 0 by "all" or "gap"."""
    words = [" ".join(count.text_content().split()) for count in cell.xpath('.//span[starts-with(@class, "count ")]')]
    return {word.lstrip("0123456789 "): int(re.match(r"\d*", word)[0] or 0) for word in words}  # type: ignore[index]


def test_a_page_says_what_is_linked_and_what_is_not(client: TestClient) -> None:
    page = page_of(client, "/matrix?rows=plan&columns=sdgGoal")
    # Of the Goals, the documents name all but 15 by their number; only the Buenos Aires plan names any.
    goals, plans = (" ".join(line.text_content().split()) for line in page.xpath("//main/p")[1:3])
    assert goals == "Of 17 Sustainable Development Goals, 16 are linked with plans. Without a link: 15."
    assert plans.startswith(
        "Of 6 plans, 1 is linked with Sustainable Development Goals. Without a link: ITU Strategic Plan 2020-2023, "
    )
    assert page.xpath("//thead//th/a/@href") == [f"/sdg/{number}" for number in range(1, 18)]
    rows = [" ".join(row.text_content().split()) for row in page.xpath("//tbody//th")]
    assert rows[0] == "Buenos Aires Action Plan 2018-2021" and rows[-1] == "ITU-D Operational Plan 2026"


def test_the_form_of_a_page_chooses_another_matrix(client: TestClient) -> None:
    page = page_of(client, f"/matrix?rows=output&columns=sdgGoal&plan={BUAP}&sdg=9&basis=stated,derived")
    chosen = {field.get("name"): field.xpath("option[@selected]/@value") for field in page.xpath("//form//select")}
    assert chosen["rows"] == ["output"] and chosen["columns"] == ["sdgGoal"] and chosen["plan"] == [BUAP]
    assert chosen["basis"] == ["stated,derived"]
    assert page.xpath('//input[@type="hidden"]/@name') == ["sdg"]  # what it has no field for is passed on
    offered = page.xpath('//select[@name="rows"]/option/@value')
    assert {"outcome", "actionLine", "sdgTarget", "plan"} < {*offered} and "linkage" not in offered
    for name in offered:
        assert get(client, f"/matrix?rows={name}&columns=sdgGoal&basis=", "text/html").status_code == 200, name
    [swapped] = page.xpath('//a[text()="Swap rows and columns"]/@href')
    assert "rows=sdgGoal&columns=output" in swapped and get(client, f"/matrix{swapped}").status_code == 200


def test_a_browser_that_names_no_matrix_gets_a_page_to_choose_one(client: TestClient) -> None:
    bare = page_of(client, "/matrix")
    assert bare.xpath('//select[@name="rows"]/option[@value="output"]')
    for link in bare.xpath('//main//ul[@class="items"]//a/@href'):
        assert page_of(client, link).xpath('//table[starts-with(@class, "heat")]'), link
    half = page_of(client, "/matrix?rows=output&plan=op-2026")
    assert half.xpath('//select[@name="rows"]/option[@selected]/@value') == ["output"]
    assert half.xpath('//input[@name="plan"]/@value') == ["op-2026"]
    for path, name in (("/matrix.json?columns=plan", "rows"), ("/embed/matrix?rows=plan", "columns")):
        assert f'"{name}" is missing; give it' in problem_of(get(client, path, "text/html"), 400)["detail"]


def test_a_page_leads_to_the_pictures_that_hold_the_whole_matrix(client: TestClient) -> None:
    offered = {}
    for query in ("rows=plan&columns=sdgGoal", "rows=plan&columns=sdgGoal&basis=derived,judged,reference,stated"):
        links = page_of(client, f"/matrix?{query}").xpath('//ul[@aria-label="Picture data"]//a/@href')
        assert all(get(client, link, "*/*").status_code == 200 for link in links)
        offered[query] = {link.partition("?")[0] for link in links}
    assert (
        offered.popitem()[1]
        < offered.popitem()[1]
        == {*("/matrix.svg", "/matrix.mmd", "/matrix.graphml", "/matrix.dot", "/embed/matrix")}
    )


def test_a_page_has_fifty_rows_unless_more_are_asked_for(client: TestClient) -> None:
    query = "rows=output&columns=sdgTarget"
    total = len(asked(client, query)["rows"])
    assert total > 50
    assert len(page_of(client, f"/matrix?{query}").xpath("//tbody/tr")) == 50
    assert len(page_of(client, f"/matrix?{query}&page=2").xpath("//tbody/tr")) == total - 50
    assert len(page_of(client, f"/matrix?{query}&size=1000").xpath("//tbody/tr")) == total


def test_a_page_says_when_there_is_nothing(client: TestClient) -> None:
    page = page_of(client, "/matrix?rows=risk&columns=sdgGoal")
    assert (
        "Nothing links these risks and Sustainable Development Goals"
        in page.xpath('//p[@class="empty"]')[0].text_content()
    )
    alone = page_of(client, f"/matrix?rows=output&columns=sdgGoal&row={BUAP}/output/1.1&column=9").xpath("//main")[0]
    assert "Nothing links them" in alone.text_content()


def test_every_cell_has_an_address_where_its_evidence_stands(
    client: TestClient, lines_and_goals: dict[str, Any]
) -> None:
    for cell in (cell_of(lines_and_goals, "C7", "13"), cell_of(lines_and_goals, "C10", "1")):
        alone = get(client, cell["id"], "application/json").json()
        assert alone["cells"] == [cell]
        page = get(client, cell["id"], "text/html").text
        assert all(f"line {line}" in page for line in lines_of(cell))
    three = page_of(client, cell_of(lines_and_goals, "C7", "13")["id"])
    assert three.xpath("//h1")[0].text_content() == "Action line C7 and Sustainable Development Goal 13"
    # Of each thing both sentences, with the chain behind each.
    assert len(three.xpath("//ol[@class='evidence']/li")) == 3
    assert len(three.xpath("//ol[@class='evidence']//blockquote")) == 6
    because = three.xpath("//ol[@class='evidence']//a[contains(@href, '/because?')]/@href")
    assert len(because) == 6 and get(client, because[0], "text/html").status_code == 200


@pytest.mark.parametrize("syntax", MATRIX_FORMATS, ids=lambda f: f.name)
def test_every_syntax_answers_alike_by_accept_and_suffix(client: TestClient, syntax: Any) -> None:
    assert len(MATRIX_FORMATS) == 9
    query = f"rows=output&columns=sdgGoal&plan={BUAP}"
    reply = get(client, f"/matrix?{query}", syntax.media_type)
    assert (reply.status_code, reply.headers["content-type"].partition(";")[0]) == (200, syntax.bare_type)
    assert get(client, f"/matrix?{query}&format={syntax.name}").headers["content-type"] == reply.headers["content-type"]
    assert get(client, f"/matrix{syntax.suffix}?{query}").headers["etag"]
    assert 'rel="first"' in reply.headers["link"]


def test_the_mapping_set_has_a_row_for_each_link_that_is_a_mapping(client: TestClient, tmp_path: Path) -> None:
    query = f"rows=output&columns=sdgTarget&plan={BUAP}&basis=stated,derived"
    reply = get(client, f"/matrix.sssom.tsv?{query}")
    file = tmp_path / "matrix.sssom.tsv"
    file.write_bytes(reply.content)
    found = read_tsv(file)
    counted = asked(client, query)["cells"]
    assert len(found.rows) == sum(cell["count"] for cell in counted) > 150
    assert {row["basis"] for row in found.rows} == {"itu:stated", "itu:derived"}
    assert found.metadata["mapping_set_title"] == asked(client, query)["title"]
    of_instruments = get(client, f"/matrix.sssom.tsv?rows=output&columns=instrument&plan={BUAP}")
    assert "None of these links is a mapping" in problem_of(of_instruments, 406)["detail"]


def test_rows_come_in_pages_and_in_both_orders(client: TestClient) -> None:
    query = f"rows=output&columns=sdgGoal&plan={BUAP}"
    whole = asked(client, query)
    codes = [row["notation"] for row in whole["rows"]]
    assert (len(codes), whole["totalItems"], "next" in whole) == (17, 17, False)
    first = asked(client, f"{query}&size=10")
    second = get(client, first["next"], "application/json").json()
    assert [row["notation"] for row in first["rows"] + second["rows"]] == codes
    assert first["cells"] + second["cells"] != []
    assert sum(len(part["cells"]) for part in (first, second)) == len(whole["cells"])
    labels = [row["label"].casefold() for row in asked(client, f"{query}&sort=label")["rows"]]
    assert labels == sorted(labels)
    assert "No page 3" in problem_of(get(client, f"/matrix?{query}&size=10&page=3"), 404)["detail"]


def test_the_filters_of_lists_choose_the_things_whose_links_count(client: TestClient) -> None:
    rows = asked(client, f"rows=output&columns=sdgGoal&plan={BUAP}&actionLine=C5")["rows"]
    assert [row["notation"] for row in rows] == ["2.2", "3.4"]
    served = asked(client, f"{LINES_AND_GOALS}&sdg=6.a")["cells"]
    counted = {each["thing"]["notation"] for cell in served for each in cell["evidence"]}
    assert counted == {"3.3"}


def test_succession_is_read_in_either_direction(client: TestClient) -> None:
    later = asked(
        client, "rows=outcome&columns=outcome&row=bap-2026-2029/outcome/T1.1-O1&column=sp-2020-2023/outcome/D.2-c"
    )
    earlier = asked(
        client, "rows=outcome&columns=outcome&column=bap-2026-2029/outcome/T1.1-O1&row=sp-2020-2023/outcome/D.2-c"
    )
    [one], [other] = later["cells"], earlier["cells"]
    assert one["evidence"] == other["evidence"]
    assert (one["state"], one["count"]) == ("judged", 1)
    assert one["evidence"][0]["links"][0]["rationale"]


REFUSED = [
    ("", "rows"),
    ("rows=output", "columns"),
    ("rows=outptu&columns=sdgGoal", "output"),
    ("rows=output&columns=sdgGaol", "sdgGoal"),
    ("rows=output&columns=sdgGoal&plan=bap-2025", "bap-2026-2029"),
    ("rows=output&columns=sdgGoal&basis=guessed", "stated"),
    ("rows=output&columns=sdgGoal&basis=stated,", "stated"),
    ("rows=output&columns=sdgGoal&row=9.9", "output/1.1"),
    ("rows=priority&columns=sdgGoal&row=P1", "name one of them"),
    ("rows=output&columns=sdgGoal&size=1001", "1000"),
    ("rows=output&columns=sdgGoal&size=1e9", "size"),
    ("rows=output&columns=sdgGoal&page=0", "page"),
    ("rows=output&columns=sdgGoal&sort=size", "notation, label"),
    ("rows=output&columns=sdgGoal&coloumn=1", "column"),
    ("rows=output&rows=outcome&columns=sdgGoal", "twice"),
    ("rows=linkage&columns=linkage", "cells"),
    ("rows=sdgTarget&columns=sdgTarget&plan=sp-2020-2023&basis=stated,derived", "evidence"),
    ("rows=output%3E%7D%20UNION%20%7B%3Fs%20%3Fp%20%3Fo&columns=sdgGoal", "known"),
    ("rows=output&columns=sdgGoal&plan=%3Curn:x%3E%20.%20%3Fs%20%3Fp%20%3Fo", "known"),
    ("rows=%00&columns=sdgGoal", "rows"),
    (f"rows={'x' * 9000}&columns=sdgGoal", "rows"),
]


@pytest.mark.parametrize(("query", "words"), REFUSED)
def test_what_cannot_be_is_refused_with_the_nearest_choices(client: TestClient, query: str, words: str) -> None:
    assert len(REFUSED) == 21
    assert words in problem_of(get(client, f"/matrix?{query}"), 400)["detail"]


def test_every_class_with_codes_can_be_rows_or_columns_by_one_name(client: TestClient, release: Release) -> None:
    known = kinds(release.overview)
    assert {
        "outcome",
        "output",
        "topic",
        "priority",
        "objective",
        "sdgGoal",
        "sdgTarget",
        "actionLine",
        "instrument",
    } <= {*known}
    assert {"outputCategory", "plan", "enabler", "indicator"} <= {*known}
    assert known["plan"].iri == f"{names.ITU}Plan"
    for name in known:
        assert get(client, f"/matrix.json?rows={name}&columns=sdgGoal").status_code == 200, name
    by_class = asked(client, "rows=itu:Topic&columns=OutputCategory")
    assert by_class["cells"] == [
        cell
        | {"id": cell["id"].replace("rows=topic&columns=outputCategory", "rows=itu%3ATopic&columns=OutputCategory")}
        for cell in asked(client, "rows=topic&columns=outputCategory")["cells"]
    ]


def test_the_command_writes_what_the_server_answers(client: TestClient, itukg: Run, tmp_path: Path) -> None:  # noqa: F811
    done = itukg("matrix", "--rows", "topic", "--columns", "outputCategory")
    table = get(client, "/matrix.csv?rows=topic&columns=outputCategory").text
    assert done.stdout.replace("\r\n", "\n") == table.replace("http://testserver", "").replace("\r\n", "\n").replace(
        "&format=csv", ""
    )
    book = tmp_path / "matrix.xlsx"
    itukg("matrix", "--rows", "plan", "--columns", "sdgGoal", "--basis", "derived", "--format", "xlsx", "-o", book)
    assert {row["state"] for row in sheets_of(book.read_bytes())["evidence"]} == {"derived close", "derived loose"}
    failed = itukg("matrix", "--rows", "topics", "--columns", "sdgGoal")
    assert (failed.returncode, "nearest: topic" in failed.stderr) == (2, True)


def test_the_commands_on_matrices_do_what_the_page_says(tmp_path: Path, server: str, home: Path) -> None:
    printed = run_of(DOCUMENT, tmp_path, server, home)
    assert len(printed) == 4
    assert (tmp_path / "matrix.xlsx").read_bytes().startswith(b"PK")
    assert printed[1].splitlines()[0].startswith("row,rowNotation,rowLabel,column,")
    assert '"state": "derived close"' in printed[2]
    assert "4.4" in printed[3]
