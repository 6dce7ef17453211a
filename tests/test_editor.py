"""The query editor, as people use it: by keyboard, in both colour schemes, and the same page without a script."""

import pytest
from browsing import Opened, faults
from playwright.sync_api import Page, expect

from itukg.pages.assets import assets

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif("editor.js" not in assets(), reason="the editor is not built: pip install -e . builds it"),
]


def write(page: Page, text: str) -> None:
    """Type into the emptied editor, as a person does; brackets are closed by the editor."""
    page.locator(".cm-content").click()
    page.keyboard.press("Control+A")
    page.keyboard.press("Delete")
    page.keyboard.type(text, delay=15)


def choose(page: Page) -> None:
    """Take the first completion; the editor ignores a key in the first moment, when it may be meant for the text."""
    page.wait_for_timeout(200)
    page.keyboard.press("Enter")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_query_is_written_by_completion_run_and_mended_by_keyboard(scheme: str, opened: Opened) -> None:
    with opened("/sparql", color_scheme=scheme) as page:
        query, options = page.locator("#query"), page.locator(".cm-tooltip-autocomplete li")
        write(page, "SELECT * WHERE {\n?o a itu:Outc")
        expect(options.first).to_have_text("itu:Outcome")
        expect(page.locator(".cm-completionInfo")).to_contain_text("shows whether an objective")  # its definition
        choose(page)
        page.keyboard.type(" ; ", delay=15)
        page.keyboard.press("Control+Space")
        expect(page.get_by_role("listbox")).to_contain_text("Every outcome has")
        expect(options.first).to_contain_text("required")
        assert not faults(page)
        page.keyboard.type("itu:plan", delay=15)
        expect(options.first).to_contain_text("itu:plan")
        choose(page)
        page.keyboard.type(" ", delay=15)
        page.keyboard.press("Control+Space")
        expect(options.first).to_contain_text("Baku Action Plan 2026-2029")
        choose(page)
        assert query.input_value() == (
            "PREFIX itu: <https://w3id.org/itukg/ontology#>\nSELECT * WHERE {\n"
            "  ?o a itu:Outcome ; itu:plan <https://w3id.org/itukg/id/bap-2026-2029>\n}"
        )

        page.keyboard.press("Control+Enter")
        expect(page.get_by_role("heading", name="19 rows")).to_be_visible()
        link = page.locator("table.answer a").first
        assert (link.get_attribute("href") or "").startswith("/id/bap-2026-2029/outcome/")
        assert len(link.inner_text()) > 20  # a label, and no code
        assert "query=PREFIX" in page.url  # and shares this answer
        assert not faults(page)

        page.keyboard.type(" ; itu:line", delay=15)
        page.keyboard.press("Escape")
        page.keyboard.press("Control+Enter")
        expect(page.locator(".banner.bad")).to_contain_text("line 4, column 1")
        expect(page.locator(".cm-lint-marker-error")).to_be_visible()
        expect(page.locator(".cm-lintRange-error")).to_have_text("}")
        assert not faults(page)
        page.go_back()
        expect(page.get_by_role("heading", name="rows")).to_have_count(0)


def test_a_saved_question_is_opened_from_the_menu_and_run(opened: Opened) -> None:
    with opened("/sparql") as page:
        page.locator(".saved summary", has_text="Sustainable Development Goals").click()
        page.get_by_role("link", name="contribute to an SDG target").click()
        expect(page.locator(".cm-content")).to_contain_text("sdg:9.c")
        page.get_by_role("button", name="Run").click()
        expect(page.locator("table.answer")).to_be_visible()
        expect(page.get_by_role("link", name="XLSX")).to_be_visible()


def test_tab_leaves_the_editor(opened: Opened) -> None:
    with opened("/sparql") as page:
        write(page, "SELECT * WHERE { ?s itu:")
        expect(page.get_by_role("listbox")).to_be_visible()
        page.keyboard.press("Escape")
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name="Run")).to_be_focused()


def test_a_query_is_stopped(opened: Opened) -> None:
    with opened("/sparql") as page:
        write(page, "SELECT (COUNT(*) AS ?n) WHERE { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }")
        page.keyboard.press("Control+Enter")
        page.get_by_role("button", name="Stop").click()
        expect(page.locator("#progress")).to_have_text("Stopped")
        expect(page.get_by_role("button", name="Stop")).to_be_hidden()


def test_a_term_is_explained_where_the_mouse_rests(opened: Opened) -> None:
    with opened("/sparql") as page:
        page.locator(".cm-content").get_by_text("itu:quote").first.hover()
        expect(page.locator(".cm-tooltip-hover")).to_contain_text("quote")


def test_without_a_script_the_form_queries_and_says_what_is_wrong(opened: Opened) -> None:
    with opened("/sparql", java_script_enabled=False) as page:
        page.get_by_label("Query", exact=True).fill("SELECT * WHERE { ?plan a itu:Plan } ORDER BY ?plan")
        page.get_by_role("button", name="Run").click()
        page.get_by_role("link", name="Baku Action Plan 2026-2029", exact=True).click()
        assert page.url.endswith("/id/bap-2026-2029")
        page.go_back()
        page.get_by_label("Query", exact=True).fill("SELECT * WHERE {\n ?plan a }")
        page.get_by_role("button", name="Run").click()
        expect(page.locator(".banner.bad")).to_contain_text("line 2, column 10")
        assert page.get_by_label("Query", exact=True).input_value() == "SELECT * WHERE {\n ?plan a }"
