"""Pages of what plans serve: Goals, targets, indicators, action lines, instruments, organizations."""

import re
from html import unescape
from typing import Any

import pytest
from fastapi.testclient import TestClient
from lxml import html
from test_resources import get

from itukg import names
from itukg.views.linked import STATES

GLANCE = "All plans at a glance"
EVERY_BASIS = "stated,reference,judged,derived"
BUAP, DRAFT = "buap-2018-2021", "bap-2026-2029-draft"
SERVED = (
    ("/sdg/4", "sdgGoal", "4"),
    ("/sdg/4.4", "sdgTarget", "4.4"),
    ("/id/wsis/C5", "actionLine", "C5"),
    ("/id/instrument/wtdc/resolution/37", "resolution", "instrument/wtdc/resolution/37"),
)
"""Addresses, and what names the same things in a matrix."""


def page_of(client: TestClient, path: str) -> Any:
    return html.fromstring(get(client, path, "text/html").text)


def text_of(element: Any) -> str:
    return " ".join(element.text_content().split())


def section(page: Any, plan: str, prefix: str = "") -> str:
    [found] = page.xpath(f'//section[@id="{prefix}{plan}"]')
    return text_of(found)


def states_in(cell: Any) -> dict[str, int]:
    """Return the numbers of a cell of the table of plans, by state."""
    found = {}
    for count in cell.xpath('.//span[starts-with(@class, "count ")]'):
        state = count.get("class").removeprefix("count ")
        if state in STATES:
            number, said = text_of(count).split(" ", 1)
            assert said == state  # told by a word, too
            found[state] = int(number)
    return found


@pytest.mark.parametrize(("path", "kind", "short"), SERVED)
def test_the_plans_at_a_glance_count_what_the_matrix_counts(
    client: TestClient, path: str, kind: str, short: str
) -> None:
    page = page_of(client, path)
    plans = [link.get("href").removeprefix("#") for link in page.xpath("(//table)[1]/thead//th/a")]
    shown = [states_in(cell) for cell in page.xpath("(//table)[1]/tbody/tr[1]/td")]
    query = f"rows=plan&columns={kind}&column={short}&basis={EVERY_BASIS}"
    matrix = get(client, f"/matrix.json?{query}").json()
    counted = {cell["row"].rpartition("/")[2]: cell["states"] for cell in matrix["cells"] if cell["count"]}
    assert {plan: states for plan, states in zip(plans, shown, strict=True) if states} == counted
    assert len(plans) == len(matrix["rows"]) and any("derived close" in states for states in shown)


def test_plans_stand_in_the_order_of_their_years(client: TestClient) -> None:
    plans = [link.get("href").removeprefix("#") for link in page_of(client, "/sdg/4").xpath("(//table)[1]/thead//th/a")]
    assert plans == [BUAP, "sp-2020-2023", "sp-2024-2027", DRAFT, "bap-2026-2029", "op-2026"]


def test_a_goal_shows_who_names_it_with_the_sentence_and_its_line(client: TestClient) -> None:
    page = page_of(client, "/sdg/4")
    named = section(page, BUAP)
    # Lines 407, 565, 694, 752, 899 and 959 of the document name Goal 4.
    for output, line in (("2.2", 407), ("3.1", 565), ("3.3", 694), ("3.4", 752), ("4.2", 899), ("4.3", 959)):
        assert f"Output {output} Products and services" in named and f"line {line} of" in named
    assert "the following UN SDGs: SDG 4, 9, 11 and 16" in named
    assert "Outcome" not in named
    because = page.xpath(f'//section[@id="{BUAP}"]//a[starts-with(@href, "/because?")]/@href')
    assert len(because) == 6 and get(client, because[0], "text/html").status_code == 200


def test_what_rules_derive_stands_apart_and_is_close_or_loose(client: TestClient) -> None:
    page = page_of(client, "/sdg/4")
    derived = section(page, BUAP, "derived-")
    assert derived.count("derived, close") == 6 and "Outcome 2.2" in derived and "Output" not in derived
    loose = section(page, "sp-2024-2027", "derived-")
    assert "derived, loose" in loose and "stated" not in loose


def test_a_plan_that_names_none_says_whether_its_document_leaves_it_open(client: TestClient) -> None:
    page = page_of(client, "/sdg/4")
    assert "Left open by the document: No output names a Sustainable Development Goal" in section(page, DRAFT)
    assert "To be developed once all the relevant elements are in place" in section(page, DRAFT)
    assert section(page, "op-2026").endswith("Does not name it.")
    # A statement about all is told, and not counted.
    assert "Output 3.2" in section(page, BUAP) and "all, and names none" in section(page, BUAP)


def test_a_plan_that_only_counts_says_so(client: TestClient) -> None:
    # Line 986: the tile of action line C5 has 7 outputs and 24 key activities, and does not name them.
    assert re.search(
        r"The document counts (7 outputs and 24 key activities|24 key activities and 7 outputs)\. line 986",
        section(page_of(client, "/id/wsis/C5"), "sp-2020-2023"),
    )


@pytest.mark.parametrize("goal", ["4", "14", "15"])
def test_the_targets_that_no_plan_names_are_listed(client: TestClient, goal: str) -> None:
    query = "rows=sdgTarget&columns=plan&basis=stated,judged,reference&size=1000"
    cells = get(client, f"/matrix.json?{query}").json()
    named = {cell["row"] for cell in cells["cells"] if cell["count"]}
    mine = [row for row in cells["rows"] if row["id"].startswith(f"{names.SDG}{goal}.")]
    page = page_of(client, f"/sdg/{goal}")
    silent = page.xpath('//h2[text()="What nobody serves"]/following-sibling::*[position() <= 2]//a/@href')
    assert [link.removeprefix("/sdg/") for link in silent] == [
        row["notation"] for row in mine if row["id"] not in named
    ]
    assert len(mine) > 5


def test_a_target_leads_to_its_goal_and_its_neighbours(client: TestClient) -> None:
    page = page_of(client, "/sdg/4.4")
    assert page.xpath('//nav[@class="crumbs"]//a/@href')[-1] == "/sdg/4"
    assert page.xpath('//a[@rel="prev"]/@href') == ["/sdg/4.3"] and page.xpath('//a[@rel="next"]/@href') == ["/sdg/4.5"]
    assert "ICT skills among young people and adults" in text_of(page)  # its indicator


def test_who_cares_for_an_indicator_and_an_action_line(client: TestClient) -> None:
    indicator = text_of(page_of(client, "/sdg/C040401"))
    assert "SDG indicator 4.4.1" in indicator
    outside = indicator.partition("Outside the plans")[2]
    assert "Custodian stated ITU International Telecommunication Union" in outside
    line = text_of(page_of(client, "/id/wsis/C5")).partition("Outside the plans")[2]
    assert "Sole facilitator stated ITU" in line and "ITU" in line


def test_a_readers_judgement_is_not_said_to_name_a_thing(client: TestClient) -> None:
    # Indicator T2.3-I2 of the Baku plan is judged to match SDG indicator 4.4.1; its document does not name it.
    lead = text_of(page_of(client, "/sdg/C040401").xpath('//p[@class="lead"]')[0])
    named, _, judged = lead.partition("Readers judge a link with")
    assert named.startswith("Things of 2 of 6 plans name it: ITU Strategic Plan 2020-2023 (4)") and "Baku" not in named
    assert judged.strip().startswith("Baku Action Plan 2026-2029 (1)")


@pytest.mark.parametrize(
    "path", ["/id/organization/ITU", "/id/organization/UNESCO", "/id/wsis/all", "/id/wsis/C7-e-health"]
)
def test_what_else_is_of_no_plan_has_such_a_page(client: TestClient, path: str) -> None:
    page = page_of(client, path)
    assert page.xpath('//nav[@class="crumbs"]') and page.xpath('//h2[text()="Data"]')
    assert "What it is linked with itself" in text_of(page) or GLANCE in text_of(page)


@pytest.mark.parametrize(
    "path", ["/id/buap-2018-2021/output/2.1", "/id/buap-2018-2021", "/id/document/sp-2024-2027", "/id/wsis"]
)
def test_things_of_plans_and_documents_have_pages_of_their_own(client: TestClient, path: str) -> None:
    assert GLANCE not in unescape(get(client, path, "text/html").text)


def test_unknown_and_retired_things_answer_as_before(client: TestClient) -> None:
    for path in ("/sdg/99", "/sdg/4.99", "/id/wsis/C99", "/sdg/%22"):
        assert get(client, path, "text/html").status_code == 404, path


def test_every_link_of_such_a_page_leads_somewhere(client: TestClient) -> None:
    for path, *_ in SERVED:
        page = page_of(client, path)
        links = {link for link in page.xpath("//main//a/@href") if link.startswith("/")}
        shown = sorted(links, key=lambda link: (link.partition("?")[0].rpartition("/")[0], link))[
            :: max(1, len(links) // 25)
        ]
        assert len(shown) > 10
        for link in shown:
            assert get(client, link.partition("#")[0], "text/html, */*;q=0.5").status_code in (200, 303), link
        assert all(
            page.xpath(f'//*[@id="{link[1:]}"]') for link in page.xpath("//main//a/@href") if link.startswith("#")
        )
