"""What people see of change, gaps, money and risks: pages that say what the data say, in words."""

import gzip
import re
from html import unescape

import pytest
from fastapi.testclient import TestClient
from test_resources import get
from test_sparql import problem_of

from itukg.views.words import beside

THIN = "\N{NARROW NO-BREAK SPACE}"
MAX_PAGE = 60_000
"""Bytes of a page on its way, compressed."""


def page(client: TestClient, path: str) -> str:
    reply = get(client, path, "text/html")
    assert reply.status_code == 200, reply.text
    assert len(gzip.compress(reply.content)) < MAX_PAGE
    return unescape(reply.text)


def plain(html: str) -> str:
    """Return the words of HTML, with single blanks."""
    return re.sub(r"[ \n]+", " ", re.sub("<[^>]*>", " ", html)).strip()


# --- two plans ---


def test_a_browser_that_names_no_plans_gets_a_page_to_choose_them(client: TestClient) -> None:
    text = page(client, "/compare")
    assert re.search(r'<select name="a" required>', text) and re.search(r'<select name="b" required>', text)
    assert 'href="/compare?a=sp-2020-2023&b=sp-2024-2027"' in text
    assert "7 restated, 7 revised, 22 joined, 7 divided, 28 taken up" in text
    chosen = page(client, "/compare?a=op-2026")
    assert chosen.count('value="op-2026" selected') == 1
    assert "known: " in problem_of(get(client, "/compare?a=nonsense", "text/html"), 400)["detail"]
    for accept in ("application/json", "text/csv"):
        assert '"a" is missing; give it' in problem_of(get(client, "/compare", accept), 400)["detail"]
    assert '"b" is missing; give it' in problem_of(get(client, "/compare?a=op-2026", "text/csv"), 400)["detail"]


@pytest.mark.parametrize("pair", [("bap-2026-2029", "bap-2026-2029-draft"), ("sp-2024-2027", "sp-2020-2023"), ("sp-2020-2023", "buap-2018-2021")])  # fmt: skip
def test_a_comparison_names_the_newer_plan_and_counts_each_kind(client: TestClient, pair: tuple[str, str]) -> None:
    path = f"?a={pair[0]}&b={pair[1]}"
    counts = client.get(f"/compare.json{path}").json()["counts"]
    text = page(client, f"/compare{path}")
    assert "is the newer of the two" in text
    words = {"restates": "Restated", "revises": "Revised", "merges": "Joined", "splits": "Divided", "succeeds": "Taken up", "adds": "New", "drops": "Dropped"}  # fmt: skip
    legend = plain(text[text.index('aria-label="Kinds of change"') : text.index("How to read")])
    assert counts.keys() <= words.keys()
    assert all(f"{number} {words[kind]}" in legend for kind, number in counts.items())


def test_both_sentences_stand_beside_each_other_with_what_changed(client: TestClient) -> None:
    text = page(client, "/compare?a=sp-2020-2023&b=buap-2018-2021&class=Outcome")
    assert "to use <del>telecommunication</del>/<del>ICT</del> for disaster risk reduction" in text
    assert "to use <ins>telecommunications</ins>/<ins>ICTs</ins> for disaster risk reduction" in text
    assert "Disaster management, the availability of emergency telecommunications and cooperation are added." in text


def test_sentences_with_little_in_common_are_not_marked() -> None:
    assert beside("Digitally skilled users", "Improved skills <b> for digital transformation") == (
        "Digitally skilled users",
        "Improved skills &lt;b&gt; for digital transformation",
    )
    assert beside("a good day", "a fine day") == ("a <del>good</del> day", "a <ins>fine</ins> day")


def test_one_kind_of_change_has_an_address_in_every_syntax(client: TestClient) -> None:
    path = "?a=sp-2024-2027&b=sp-2020-2023"
    every = client.get(f"/compare.json{path}").json()["changes"]
    only = client.get(f"/compare.json{path}&change=splits").json()["changes"]
    assert only == [change for change in every if change["change"] == "splits"]
    assert len(only) == 7
    text = page(client, f"/compare{path}&change=splits")
    links = [link for change in every for link in change.get("lost", ())]
    assert (
        f"counted with each change: 18 gained, {len(links)} lost, 1 kept; of those that rules derive: 268 gained"
        in text
    )
    assert text.count('<article class="change">') == 7 and "Show all 256 changes" in text
    refused = problem_of(get(client, f"/compare{path}&change=grows"), 400)["detail"]
    assert 'No change "grows"; known: restates, revises, merges' in refused


# --- one thing over all plans ---


def test_a_lineage_goes_from_the_oldest_plan_to_the_newest(client: TestClient) -> None:
    text = page(client, "/lineage/bap-2026-2029/outcome/T1.1-O1")
    stations = re.findall('<section id="([^"]*)"', text)
    assert stations == ["buap-2018-2021", "sp-2020-2023", "bap-2026-2029-draft", "bap-2026-2029"]
    assert "traced through 4 plans from 2018 to 2029" in text
    assert "Nothing is recorded of it in ITU Strategic Plan 2024-2027 and ITU-D Operational Plan 2026." in text
    assert "line 114 of" in text and "confidence: high" in text
    assert 'href="/lineage/bap-2026-2029/outcome/T1.1-O1.svg"' in text


def test_the_lineage_of_the_skills_outcome_says_where_it_was_looked_for_in_vain(client: TestClient) -> None:
    text = plain(page(client, "/lineage/bap-2026-2029/outcome/T2.3-O2"))
    assert "Taken up from Outcome TP3-O3 of ITU Strategic Plan 2024-2027" in text
    assert "New against the ITU Strategic Plan 2020-2023 Reason: No older outcome is on digital skills" in text
    assert "(side branch)" not in text  # where no step keeps the sentence, none stands beside the others


# --- gaps ---


def test_gaps_are_counted_by_plan_and_by_what_is_missing(client: TestClient) -> None:
    rows = client.get("/gaps.json").json()["rows"]
    text = page(client, "/gaps")
    table = text[text.index('<table class="numbers') : text.index("</table>")]
    assert sum(map(int, re.findall(r"#[\w.-]+\">(\d+)<", table))) == len(rows)
    stats = plain(text[text.index('<ul class="stats">') : text.index("Only what a reader noted")])
    assert sum(map(int, re.findall(r"\d+", stats))) == len(rows)
    assert "lost in the text copy" in stats  # which the document may have
    assert all(row["label"] in text for row in rows)
    assert not re.search(">(contributesTo|hasIndicator|not-stated)", text)


def test_what_nobody_looked_for_stands_apart(client: TestClient) -> None:
    text = plain(page(client, "/gaps?plan=bap-2026-2029&class=outcome&columns=sdgTarget"))
    assert "19 outcomes name no SDG target" in text
    assert "not looked for 19: the document says it of nothing of the kind" in text
    leads = page(client, "/gaps?plan=bap-2026-2029")
    assert 'href="/gaps?plan=bap-2026-2029&class=Outcome&columns=sdgTarget"' in leads
    assert "class=StrategicGoal" not in leads  # which the plan has none of


# --- money ---


def test_a_printed_share_that_differs_says_so_in_words(client: TestClient) -> None:
    text = plain(page(client, "/budget"))
    assert f"CHF 3{THIN}813{THIN}000 is the sum of the amounts that the plan prints" in text
    assert "The document differs from itself 3 times: the printed share of P1, T1.1, T1.2" in text
    assert "13.25% differs: 13.72 % by the amounts sum of its parts 523" in text
    assert text.index("P1 Affordable") < text.index("T1.1 Emergency") < text.index("P2 Digital")
    assert "These are preliminary figures." in text
    assert f"Sum of the priorities and the enabler 3{THIN}813{THIN}000" in text


def test_the_money_by_goal_is_one_click_away_and_names_its_rule(client: TestClient) -> None:
    assert 'href="/budget?plan=op-2026&by=goal&rule=equal">By Sustainable Development Goal' in page(client, "/budget")
    shared = plain(page(client, "/budget?by=goal&rule=equal"))
    assert "Each amount is shared equally among what it serves, so that the rows add up to the total." in shared
    assert "The document itself names no Goal here: all of this rests on links that rules derive." in shared
    assert "Linked with none" in shared and f"Sum of the rows 3{THIN}813{THIN}000.00 The total of the plan." in shared
    whole = plain(page(client, "/budget?by=goal"))
    assert "The rows above overlap; their sum means nothing." in whole
    for other in ("by=category&rule=equal", "by=goal&basis=derived"):  # stated; and what is stated is not asked for
        assert "The document itself names no" not in page(client, f"/budget?{other}")


# --- risks ---


def test_risks_stand_with_their_answers_their_rating_and_what_they_carry_over(client: TestClient) -> None:
    text = page(client, "/risks")
    words = plain(text)
    assert "Probability: high Impact: high Perspective: Human resources" in words
    for kind in ("Risk avoidance", "Risk limitation", "Risk transfer"):
        assert f'<p class="kicker">{kind}</p>' in text
    assert "Carried over from Insufficient funding of the ITU Strategic Plan 2020-2023" in words
    assert "Carried on as Lack of resources/ Insufficient funding of the ITU-D Operational Plan 2026" in words
    assert "The plan gives its risks no probability and no impact." in words
    assert "The list of strategic risks that the Council has identified is not in the copy" in words
    one = plain(page(client, "/risks?plan=op-2026"))
    assert "Risk avoidance" not in one and "Carried over from Insufficient funding" in one
