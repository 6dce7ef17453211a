"""Money, gaps and risks: numbers that readers worked out from the documents, and sums that hold whatever the rule."""

import asyncio
import csv
import io
import re
from collections import Counter, defaultdict
from html import unescape
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from fastapi.testclient import TestClient
from test_cli import Run, itukg  # noqa: F401  (a fixture)
from test_docs import run_of
from test_resources import get
from test_sparql import problem_of

from itukg import names
from itukg.engine.local import LocalStore
from itukg.engine.store import rows
from itukg.release.model import Release
from itukg.views.budget import BUDGET_FORMATS, BY, RULES
from itukg.views.gaps import GAP_FORMATS
from itukg.views.risks import RISK_FORMATS

DOCUMENT = (Path(__file__).parents[1] / "docs" / "money.md").read_text()
TOTAL = 3_813_000
"""The sum of the amounts of 001:109, 161, 234, 280, 316 and 470."""


def document(client: TestClient, path: str) -> dict[str, Any]:
    reply = get(client, path, "application/json")
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def table(client: TestClient, path: str) -> list[dict[str, str]]:
    reply = get(client, path, "text/csv")
    assert reply.status_code == 200, reply.text
    return [*csv.DictReader(io.StringIO(reply.text))]


# --- the budget ---


def test_priorities_are_printed_beside_what_their_topics_add_up_to(client: TestClient) -> None:
    found = document(client, "/budget?by=priority")
    assert (found["total"], found["currency"]) == (TOTAL, "CHF")
    assert {row["code"]: (row["amount"], row["printedPercentOfTotal"], row["line"]) for row in found["rows"]} == {
        "EN": (683_115, "17.92%", 469),
        "P1": (523_000, "13.25%", 106),
        "P2": (943_885, "24.75%", 157),
        "P3": (690_500, "18.11%", 231),
        "P4": (236_000, "6.19%", 278),
        "P5": (736_500, "19.32%", 314),
    }
    assert all(row["sumOfParts"] == row["amount"] for row in found["rows"])
    assert {row["code"]: row["percentOfTotal"] for row in found["rows"] if row["agrees"] is False} == {"P1": 13.72}


def test_topics_and_parts_of_the_enabler_divide_the_total(client: TestClient) -> None:
    found = table(client, "/budget?by=topic")
    assert len(found) == 15
    assert sum(int(row["amount"]) for row in found) == TOTAL
    of_priority_2 = {row["code"]: row["amount"] for row in found if row["code"].startswith("T2.")}
    assert of_priority_2 == {"T2.1": "269500", "T2.2": "163385", "T2.3": "357000", "T2.4": "154000"}
    assert [row["code"] for row in found if row["agrees"] == "false"] == ["T1.1", "T1.2"]  # 5.2 and 8.1 are printed


def test_categories_count_the_topics_that_offer_them(client: TestClient) -> None:
    found = {row["code"]: row for row in document(client, "/budget?by=category")["rows"] if "code" in row}
    statistics = found["OC5"]  # 001:213, 260, 333: environmental sustainability, data and statistics, cybersecurity
    assert (statistics["amount"], statistics["stated"]) == (925_500, 925_500)
    assert {part["thingCode"] for part in statistics["evidence"]} == {"T2.4", "T3.2", "T5.1"}
    assert {part["line"] for part in statistics["evidence"]} == {213, 260, 333}


DIVIDED = [
    (by, rule) for by, property_ in BY.items() for rule in RULES if property_ and (rule != "by-count" or by == "goal")
]


def test_every_division_is_tried() -> None:
    assert len(DIVIDED) == 9


@pytest.mark.parametrize(("by", "rule"), DIVIDED)
def test_shares_add_up_and_stand_beside_what_they_rest_on(client: TestClient, by: str, rule: str) -> None:
    found = document(client, f"/budget?by={by}&rule={rule}")
    assert found["ruleInWords"] == RULES[rule]
    states = ("stated", "reference", "judged", "derivedClose", "derivedLoose", "unlinked")
    for row in found["rows"]:
        assert round(sum(row[state] for state in states), 2) == row["amount"], row["label"]
        assert round(sum(part["counts"] for part in row["evidence"]), 2) == row["amount"]
    whole = round(sum(row["amount"] for row in found["rows"]), 2)
    assert whole > TOTAL if rule == "whole" else whole == TOTAL
    [unlinked] = [row for row in found["rows"] if "id" not in row]
    assert unlinked is found["rows"][-1]
    assert unlinked["amount"] == unlinked["unlinked"] > 0
    # No amount is lost: what counts of each thing adds up to what is printed for it.
    counted, printed = Counter[str](), dict[str, int]()
    for part in (part for row in found["rows"] for part in row["evidence"]):
        counted[part["thing"]] += round(part["counts"] * 100)
        printed[part["thing"]] = int(part["printedAmount"].replace(",", "")) * 100
    assert len(counted) == 15
    if rule != "whole":
        assert counted == printed


def test_goals_receive_what_the_derived_links_give_them(client: TestClient, release: Release) -> None:
    """The same by hand: each topic's amount among the Goals that it or an outcome of it has in the graph `derived`."""
    query = f"""{names.PROLOGUE}SELECT DISTINCT ?topic ?amount ?goal WHERE {{
      ?line itu:budgetFor ?topic ; itu:amount ?amount . ?topic itu:topicOf ?priority .
      ?thing itu:outcomeOf? ?topic .
      GRAPH <{names.graph("derived")}> {{ ?thing itu:contributesToSDG ?goal }} }}"""

    async def asked() -> list[Any]:
        store = LocalStore(release.dataset)
        return list(await rows(store, query))

    goals = defaultdict[str, set[str]](set)
    amounts = {}
    for row in asyncio.run(asked()):
        goals[row["topic"].value].add(row["goal"].value)
        amounts[row["topic"].value] = float(row["amount"].value)
    expected: Counter[str] = Counter()
    for topic, served in goals.items():
        expected.update(dict.fromkeys(served, 0))
        for goal in served:
            expected[goal] += amounts[topic] / len(served)  # type: ignore[assignment]
    found = {row["id"]: row["amount"] for row in document(client, "/budget?by=goal&rule=equal")["rows"] if "id" in row}
    assert found.keys() == expected.keys()
    assert all(abs(found[goal] - expected[goal]) < 0.02 for goal in found)
    assert len(found) >= 10


def test_a_basis_leaves_only_its_links(client: TestClient) -> None:
    [only] = document(client, "/budget?by=goal&basis=stated")["rows"]
    assert (only["label"], only["amount"]) == ("Linked with none", TOTAL)
    assert document(client, "/budget?by=goal&basis=derived")["rows"] == document(client, "/budget?by=goal")["rows"]


# --- what is missing ---


def test_the_gaps_are_those_of_the_graph(client: TestClient) -> None:
    found = table(client, "/gaps")
    assert {row["kind"] for row in found} == {"gap"}
    assert len(found) == len({row["id"] for row in found}) >= 90
    draft = [row for row in table(client, "/gaps?plan=bap-2026-2029-draft") if row["quote"].startswith("To be")]
    assert {row["section"].partition(".")[0] for row in draft} == {"4", "5", "6", "7"}  # 000:181-188
    assert {row["id"] for row in draft} < {row["id"] for row in found}


def test_outputs_that_name_no_target_and_targets_that_no_output_names(client: TestClient) -> None:
    found = table(client, "/gaps?plan=buap-2018-2021&class=output&columns=sdgTarget")
    bare = {row["code"]: row for row in found if row["kind"] == "names-nothing"}
    assert bare.keys() == {"2.2", "3.2"} == {row["code"] for row in found if row["kind"] != "named-by-nothing"}
    # 003:407 names Goals only, 630 "all SDGs"
    of_lines = table(client, "/gaps?plan=buap-2018-2021&class=output&columns=actionLine")
    [line] = [row for row in of_lines if row["kind"] == "named-by-nothing" and row["code"] == "C10"]
    assert (line["state"], line["line"]) == ("all", "628")
    assert (bare["2.2"]["state"], bare["2.2"]["line"], bare["2.2"]["derived"]) == ("gap", "407", "15")
    unnamed = {row["code"] for row in found if row["kind"] == "named-by-nothing"}
    assert {"14.1", "15.3"} <= unnamed
    assert not unnamed & {"9.c", "9.1", "4.4", "11.b"}
    assert len(unnamed) > 50


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        # A rule's link to all WTDC Resolutions is none of the document's.
        ("plan=sp-2020-2023&class=output&columns=resolution", {("not looked for", "")}),
        # Of two gaps of the outputs, that of action lines (000:188), not that of resolutions (184).
        ("plan=bap-2026-2029-draft&class=output&columns=actionLine", {("gap", "188")}),
        # One output's gap (003:407) says nothing of targets that no output names.
        ("plan=buap-2018-2021&class=output&columns=sdgTarget", {("gap", "407"), ("silent", "")}),
        # Priority 4's outcomes have no indicators of their own (001:270); a row that does not say which is another matter.
        (
            "plan=bap-2026-2029&class=outcome&columns=indicator",
            {
                ("gap", "124"),
                ("gap", "165"),
                ("gap", "191"),
                ("gap", "238"),
                ("gap", "270"),
                ("gap", "320"),
                ("silent", ""),
            },
        ),
        # What a reader judged is not what the document says.
        ("plan=bap-2026-2029&class=outcome&columns=outcome", {("not looked for", "")}),
    ],
)
def test_a_gap_is_said_only_of_what_the_document_leaves_open(
    client: TestClient, path: str, expected: set[tuple[str, str]]
) -> None:
    found = table(client, f"/gaps?{path}")
    assert {(row["state"], row["line"]) for row in found} == expected
    assert {row["state"] for row in found if row["kind"] == "named-by-nothing"} <= {
        "silent",
        "not looked for",
    } or "draft" in path


def test_a_heading_that_one_tile_lost_leaves_no_goal_open(client: TestClient) -> None:
    found = document(client, "/matrix?rows=plan&columns=sdgGoal&plan=sp-2020-2023")
    texts = {cell["note"]["text"] for cell in found["cells"] if cell["state"] == "gap"}
    assert texts == {"The document counts the outputs that serve each Goal and does not name them"}  # 002:867


def test_what_nobody_has_looked_for_is_told_from_silence(client: TestClient) -> None:
    baku = [
        row
        for row in table(client, "/gaps?plan=bap-2026-2029&class=outcome&columns=sdgTarget")
        if row["kind"] == "names-nothing"
    ]
    assert {row["state"] for row in baku} == {"not looked for"}
    assert len(baku) == 19
    assert {row["code"] for row in baku if row["derived"] != "0"} >= {"T1.1-O1", "T5.2-O1"}
    # The gap that outcomes name no instrument (001:9) is none of action lines.
    lines = table(client, "/gaps?plan=bap-2026-2029&class=outcome&columns=actionLine")
    assert {row["state"] for row in lines} == {"not looked for"}
    instruments = table(client, "/gaps?plan=bap-2026-2029&class=outcome&columns=instrument")
    assert {(row["state"], row["line"]) for row in instruments if row["kind"] == "names-nothing"} == {("gap", "9")}
    outputs = table(client, "/gaps?plan=bap-2026-2029&class=output&columns=sdgTarget")
    assert {row["state"] for row in outputs if row["kind"] == "names-nothing"} == {"gap"}
    older = table(client, "/gaps?plan=buap-2018-2021&class=output&columns=instrument")
    assert {row["state"] for row in older if row["kind"] == "named-by-nothing"} == {"silent"}


# --- risks ---


def test_the_registers_are_those_of_the_documents(client: TestClient) -> None:
    found = {(names.shorten(risk["plan"]), risk["code"]): risk for risk in document(client, "/risks")["rows"]}
    assert {code: len(risk["mitigations"]) for (plan, code), risk in found.items() if plan == "sp-2020-2023"} == {
        "RISK1": 5, "RISK2": 2, "RISK3": 3, "RISK4": 2, "RISK5": 3, "RISK6": 4,
    }  # fmt: skip  # 002:163-199
    assert {code: len(risk["mitigations"]) for (plan, code), risk in found.items() if plan == "op-2026"} == {
        "RISK1": 4, "RISK2": 3, "RISK3": 3, "RISK4": 3,
    }  # fmt: skip  # 001:57-85
    kinds = Counter(
        each["kind"] for (plan, _), risk in found.items() for each in risk["mitigations"] if plan == "sp-2020-2023"
    )
    assert sorted(kinds.values()) == [4, 5, 10]
    rated = {code: (risk["probability"], risk["impact"]) for (plan, code), risk in found.items() if plan == "op-2026"}
    assert rated == {
        "RISK1": ("Medium", "High"),
        "RISK2": ("High", "High"),
        "RISK3": ("Medium", "Medium"),
        "RISK4": ("Medium", "High"),
    }
    assert any(risk["succeeds"] for risk in found.values())
    assert sum(len(risk["statements"]) for risk in found.values()) == 10
    assert len(table(client, "/risks?plan=op-2026")) == 13


# --- all three ---


def test_a_page_leads_to_the_same_answer_in_other_syntaxes(client: TestClient) -> None:
    asked = (
        "/budget?by=goal&basis=derived&rule=equal",
        "/gaps",
        "/gaps?plan=buap-2018-2021&class=output&columns=sdgTarget",
        "/risks?plan=op-2026",
        "/compare?a=buap-2018-2021&b=bap-2026-2029&class=Outcome&basis=stated",
        "/lineage/bap-2026-2029/outcome/T1.1-O1?plan=sp-2020-2023",
    )
    for path in asked:
        reply = get(client, path, "text/html")
        assert reply.status_code == 200, path
        [link] = re.findall(r'href="([^"]*)">CSV</a>', reply.text)
        assert get(client, unescape(link)).content == get(client, path, "text/csv").content, path


def test_evidence_is_explained_by_the_release_that_was_asked(client: TestClient, release: Release) -> None:
    for path in (
        "/budget?by=goal",
        "/gaps?plan=bap-2026-2029&class=outcome&columns=sdgTarget",
        "/matrix?rows=plan&columns=sdgGoal",
    ):
        text = get(client, f"{path}&release={release.name}", "application/json").text
        chains = re.findall(r'/because\?([^"]*)', text)
        assert len(chains) > 10
        assert {chain.rpartition("&")[2] for chain in chains} == {f"release={release.name}"}


VIEWS = [
    ("/budget?by=goal&rule=equal", BUDGET_FORMATS),
    ("/gaps?plan=sp-2020-2023&class=outcome&columns=sdgTarget", GAP_FORMATS),
    ("/risks", RISK_FORMATS),
]


@pytest.mark.parametrize(("path", "formats"), VIEWS)
def test_every_syntax_says_the_same(client: TestClient, path: str, formats: tuple[Any, ...]) -> None:
    assert len(formats) == 4
    join = "&" if "?" in path else "?"
    for syntax in formats:
        by_accept, by_format = get(client, path, syntax.media_type), get(client, f"{path}{join}format={syntax.name}")
        assert by_accept.status_code == 200
        assert by_accept.content == by_format.content
    lines = table(client, path)
    book = openpyxl.load_workbook(io.BytesIO(get(client, f"{path}{join}format=xlsx").content))
    sheet, evidence = (book[name] for name in book.sheetnames)
    assert evidence.title == "evidence"
    assert sheet.max_row == len(lines) + 1
    found = document(client, path)
    if "budget" in path:
        assert evidence.max_row - 1 == sum(len(row["evidence"]) for row in found["rows"])
    elif "gaps" in path:
        assert evidence.max_row - 1 == len(found["derived"]) > 0
        assert len(lines) == len(found["rows"])
    else:
        below = ("statements", "mitigations", "gaps")
        assert evidence.max_row - 1 == sum(1 + sum(len(row[name]) for name in below) for row in found["rows"])
    page = unescape(get(client, path, "text/html").text)
    assert "<h1>" in page
    assert all(row["label"] in page for row in found["rows"])


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/budget?by=money", 400, 'No by "money"; known: priority, topic, category, goal, target, actionLine.'),
        ("/budget?by=goal&rule=half", 400, 'No rule "half"; known: whole, equal, by-count.'),
        ("/budget?by=target&rule=by-count", 400, "use it with by=goal"),
        ("/budget?plan=nothing", 400, 'No plan "nothing"; known: '),
        ("/budget?plan=sp-2020-2023", 404, "sp-2020-2023 has no amounts"),
        ("/budget?by=goal&basis=x", 400, 'No basis "x"; known: '),
        ("/budget?by=goal&sdg=1", 400, "sdg"),
        (f"/budget?by={'x' * 9000}", 400, "by"),
        ("/budget?by=priority&rule=equal", 400, "leave out rule and basis"),
        ("/budget?by=topic&basis=derived", 400, "leave out rule and basis"),
        ("/budget?by=goal&by=topic", 400, '"by" comes twice'),
        ("/gaps?plan=op-2026&plan=op-2026", 400, '"plan" comes twice'),
        ("/compare?a=buap-2018-2021&b=bap-2026-2029&b=op-2026", 400, '"b" comes twice'),
        ("/gaps?class=output", 400, "name all three"),
        ("/gaps?columns=sdgTarget&plan=op-2026", 400, "name all three"),
        ("/gaps?plan=op-2026&class=outcome&columns=sdgTarget", 400, "op-2026 has no things of the class outcome"),
        ("/gaps?plan=buap-2018-2021&class=outpt&columns=sdgTarget", 400, "nearest: output"),
        ("/gaps?plan=buap-2018-2021&class=output&columns=%22%3E%7D", 400, "No kind"),
        ("/risks?plan=9", 400, 'No plan "9"; known: '),
        ("/risks?class=x", 400, "class"),
        ("/risks?plan=buap-2018-2021", 404, "buap-2018-2021 has no risks"),
    ],
)
def test_what_is_asked_wrongly_is_refused_in_words(client: TestClient, path: str, status: int, words: str) -> None:
    assert words in problem_of(get(client, path), status)["detail"]


def test_the_commands_print_what_the_routes_answer(client: TestClient, itukg: Run) -> None:  # noqa: F811
    for command, path in (
        (("budget", "--by", "goal", "--rule", "equal"), "/budget.csv?by=goal&rule=equal"),
        (("gaps", "--plan", "buap-2018-2021", "--class", "output", "--columns", "sdgTarget"), "/gaps.csv?plan=buap-2018-2021&class=output&columns=sdgTarget"),
        (("risks",), "/risks.csv"),
    ):  # fmt: skip
        done = itukg(*command)
        assert done.returncode == 0, done.stderr
        assert [*csv.reader(io.StringIO(done.stdout))] == [*csv.reader(io.StringIO(get(client, path).text))]
    assert itukg("budget", "--by", "x").returncode == 2


def test_the_commands_on_money_do_what_the_page_says(tmp_path: Path, server: str, home: Path) -> None:
    printed = run_of(DOCUMENT, tmp_path, server, home)
    assert len(printed) == 8
    assert (tmp_path / "budget.xlsx").read_bytes().startswith(b"PK")
    assert "Linked with none" in printed[2]
    assert "names-nothing" in printed[4] and "not looked for" in printed[5]
    assert len(printed[6].splitlines()) == 14
