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


@pytest.mark.parametrize("script", [True, False], ids=["with a script", "without"])
def test_one_follows_an_outcome_from_2018_to_2029(opened: Opened, script: bool) -> None:
    with opened("/", java_script_enabled=script) as page:
        page.get_by_role("searchbox").or_(page.get_by_role("combobox")).first.fill(
            "institutional capacity digital transformation"
        )
        page.keyboard.press("Enter")
        page.get_by_role("link", name="Enhanced human and institutional capacity of the ITU membership").first.click()
        page.get_by_role("link", name=re.compile("over all plans|[Ll]ineage")).first.click()
        expect(page).to_have_url(re.compile("/lineage/bap-2026-2029.*/outcome/"))
        for plan in (
            "Buenos Aires Action Plan 2018-2021",
            "ITU Strategic Plan 2020-2023",
            "Baku Action Plan 2026-2029",
        ):
            expect(page.get_by_role("heading", name=plan, exact=True)).to_be_visible()
        expect(page.locator("main ins").first).to_be_visible()


@pytest.mark.parametrize("script", [True, False], ids=["with a script", "without"])
def test_one_finds_the_money_of_2026_by_goal_and_what_is_linked_with_none(opened: Opened, script: bool) -> None:
    with opened("/", java_script_enabled=script) as page:
        page.get_by_role("navigation", name="Main").get_by_role("link", name="Money").click()
        page.get_by_role("link", name="By Sustainable Development Goal").click()
        expect(page.get_by_role("row").filter(has_text="Quality education")).to_have_count(1)
        expect(page.get_by_role("row").filter(has_text="Linked with none")).to_have_count(1)


@pytest.mark.parametrize("script", [True, False], ids=["with a script", "without"])
def test_one_goes_from_a_matrix_to_a_cell_to_its_sentence_to_a_spreadsheet(opened: Opened, script: bool) -> None:
    with opened("/", java_script_enabled=script) as page:
        page.get_by_role("navigation", name="Main").get_by_role("link", name="Whom they serve").click()
        page.locator("table a[href*='column=9']").first.click()
        expect(page.locator("main blockquote").first).to_contain_text(
            "will contribute to the achievement of the following UN SDGs"
        )
        with page.expect_download() as download:
            page.get_by_role("link", name="XLSX").first.click()
        assert download.value.path().read_bytes().startswith(b"PK")


@pytest.mark.parametrize("script", [True, False], ids=["with a script", "without"])
def test_one_finds_what_the_reading_of_a_document_left_out_and_why(opened: Opened, script: bool) -> None:
    with opened("/", java_script_enabled=script) as page:
        page.get_by_role("navigation", name="All pages").get_by_role("link", name="Source documents").click()
        page.locator("main a[href='/documents/tdag-26-2-add-2']").first.click()
        page.get_by_role("link", name="What was left out").click()
        expect(page).to_have_url(re.compile("show=left"))
        expect(page.get_by_text("Left out.").first).to_be_visible()
