"""What people come for, as they do it: each within a dozen actions, by mouse, by keyboard, and without JavaScript where promised."""

import re

import pytest
from browsing import Opened
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


DRAFT = """@prefix itu: <https://w3id.org/itukg/ontology#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
@base <https://w3id.org/itukg/id/> .
<draft> a itu:Plan ; rdfs:label "A draft"@en ; skos:notation "draft" .
<draft/output/1> a itu:Output ; itu:plan <draft> ; skos:notation "1" ; rdfs:label "Skills for all"@en .
"""


@pytest.mark.parametrize("script", [True, False], ids=["with a script", "without"])
def test_a_draft_plan_is_validated_and_one_understands_why_it_fails(opened: Opened, script: bool) -> None:
    with opened("/", java_script_enabled=script) as page:
        page.get_by_role("navigation", name="All pages").get_by_role("link", name="Validate a plan").click()
        page.get_by_role("radio", name="A plan in preparation").check()
        page.get_by_role("button", name="Validate").click()  # before anything is pasted
        expect(page.get_by_role("alert")).to_contain_text("No data was sent")
        expect(page.get_by_role("radio", name="A plan in preparation")).to_be_checked()
        page.get_by_label("Paste it").fill(DRAFT)
        page.get_by_role("button", name="Validate").click()
        expect(page.locator(".banner").first).to_contain_text("The data does not conform.")
        finding = page.get_by_role("article").filter(has_text="Names no action line.")
        expect(finding).to_contain_text("Skills for all")
        expect(finding).to_contain_text("What to do")
        finding.get_by_text("Data", exact=True).click()
        expect(finding.get_by_role("table")).to_contain_text("OutputActionLine-complete")


def test_an_auditor_goes_from_the_verdict_to_a_finding_and_cites_it_by_keyboard(opened: Opened) -> None:
    with opened("/conformance") as page:
        expect(page.locator(".banner").first).to_contain_text("The data conforms.")
        for name in ("Misprinted code", "This finding, to cite"):
            page.get_by_role("link", name=name).first.focus()
            page.keyboard.press("Enter")
            page.wait_for_load_state()
        expect(page.get_by_role("heading", level=1)).to_contain_text("The document prints")
        expect(page.locator("#citation")).to_contain_text("?release=")


@pytest.mark.parametrize("script", [True, False], ids=["with a script", "without"])
def test_one_asks_which_baku_outcomes_serve_a_target_and_on_what_grounds(opened: Opened, script: bool) -> None:
    with opened("/queries", java_script_enabled=script) as page:
        page.get_by_role("link", name="Build a question").click()
        page.get_by_label("Kind of thing").select_option("outcomes")
        page.locator("select[name=plan]").select_option("the Baku Action Plan 2026-2029")
        page.get_by_label("What they serve").select_option("4.4")
        page.get_by_label("On which basis").select_option("derived")
        page.get_by_role("button", name="Answer").click()
        expect(page.get_by_role("heading", level=2).first).to_contain_text("5 things serve 4.4")
        page.get_by_role("link", name="Why T2.3-O1 serves 4.4").click()
        expect(page).to_have_url(re.compile("/because"))


@pytest.mark.parametrize("script", [True, False], ids=["with a script", "without"])
def test_one_runs_a_saved_question_and_shares_it(opened: Opened, script: bool) -> None:
    with opened("/", java_script_enabled=script) as page:
        page.get_by_role("navigation", name="Main").get_by_role("link", name="Questions").click()
        page.get_by_role("link", name="Which outputs contribute to an SDG target").click()
        page.locator("select[name=target]").select_option("4.4")
        page.get_by_role("button", name="Show").click()
        address = page.locator("#permalink").inner_text()
        rows = page.locator("table.answer tbody tr").count()
        assert rows > 3 and "target=4.4" in address
        page.goto(address)
        assert page.locator("table.answer tbody tr").count() == rows
