"""Every page opens without an error or a request elsewhere, in both colour schemes, and axe finds nothing on it."""

import gzip
import re
from urllib.parse import quote

import httpx2
import pytest
from browsing import Opened, faults
from conftest import ROOT
from fastapi.testclient import TestClient
from starlette.routing import Route

pytestmark = pytest.mark.browser

PAGES = (
    "/",
    "/id",
    "/id/bap-2026-2029",
    "/id/buap-2018-2021",
    "/id/op-2026",
    "/id/sp-2020-2023",
    "/id/bap-2026-2029/outcome",
    "/id/bap-2026-2029/outcome/T1.1-O1",
    "/id/buap-2018-2021/output/2.1",
    "/id/sp-2024-2027/thematic-priority/TP1",
    "/id/bap-2026-2029/indicator/T1.1-I1",
    "/id/op-2026/risk/RISK1",
    "/id/document/tdag-26-2-add-2",
    "/id/wsis/C5",
    "/id/instrument/pp/resolution/71",
    "/sdg/4",
    "/sdg/4.4",
    "/resource?iri=" + quote("https://w3id.org/itukg/ontology#Outcome", ""),
    "/embed/id/bap-2026-2029/outcome/T1.1-O1",
    "/embed/sdg/9.c",
    "/embed/lineage/bap-2026-2029/outcome/T1.1-O1",
    "/matrix",
    "/matrix?rows=plan&columns=sdgGoal",
    "/matrix?rows=output&columns=sdgTarget&plan=buap-2018-2021",
    "/matrix?rows=output&columns=sdgGoal&row=buap-2018-2021/output/2.1&column=9",
    "/embed/matrix?rows=plan&columns=sdgGoal",
    "/because?subject=buap-2018-2021/output/2.1&object=sdg:9.c",
    "/because?subject=bap-2026-2029/outcome/T1.1-O1&object=sdg:11.b",
    "/compare",
    "/compare?a=bap-2026-2029-draft&b=bap-2026-2029",
    "/lineage/bap-2026-2029/outcome/T1.1-O1",
    "/gaps",
    "/gaps?plan=bap-2026-2029&class=outcome&columns=sdgTarget",
    "/budget",
    "/budget?by=goal&rule=equal",
    "/risks",
    "/documents",
    "/documents/tdag-26-2-add-2",
    "/documents/buap-2018-2021?line=339",
    "/documents/sp-2024-2027?show=left",
    "/queries",
    "/queries/outputs-for-sdg-target",
    "/ask",
    "/ask?class=Outcome&plan=bap-2026-2029&aim=4.4&upTo=derived",
    "/search?q=skills",
    "/search?q=broadbnd",
    "/sparql",
    "/sparql?saved=sdg-links",
    "/sparql?query=SELECT * WHERE { ?plan a <https://w3id.org/itukg/ontology%23Plan> ; ?says ?what }",
    "/sparql?query=SELECT * WHERE {%0A?s ?p }",
    "/sparql?query=ASK {}",
    "/conformance",
    "/conformance/completeness",
    "/conformance?shape=itush:GapReported",
    "/conformance?plan=buap-2018-2021",
    "/id/finding/8694e87ffe6d71a8",
    "/conformance/history",
    "/validate",
    "/ontology",
    "/ontology/0.1.0",
    "/graph/sdg",
    "/shapes",
    "/data",
    "/data/latest",
    "/catalog",
    "/docs",
    "/glossary",
    "/no/such/page",
    "/queries/no-such-question",
)
"""An address for each kind of page; a test finds the routes that none of them stands for."""
LARGE = 60_000
"""Bytes of a page over the wire, before scripts."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing_on_a_page(path: str, scheme: str, opened: Opened) -> None:
    with opened(path, color_scheme=scheme) as page:
        assert page.title().endswith("itukg")
        assert not faults(page), path


@pytest.mark.parametrize("path", PAGES)
def test_a_page_fits_a_phone(path: str, opened: Opened) -> None:
    with opened(path, viewport={"width": 390, "height": 844}) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_small_and_the_same_without_a_script(path: str, server: str) -> None:
    answer = httpx2.get(f"{server}{path}", headers={"Accept": "text/html"}, follow_redirects=True)
    assert answer.headers["content-type"].startswith("text/html")
    assert len(gzip.compress(answer.content)) < LARGE
    assert not re.search(r'<[^>]* (style|on\w+)="|<script(?![^>]* (src=|type="application/))', answer.text)


def test_search_suggests_things_as_one_types_by_keyboard(opened: Opened) -> None:
    with opened("/data") as page:
        box = page.get_by_role("combobox", name="Search words or codes")
        box.press_sequentially("sdg 4.4")
        options = page.get_by_role("option")
        options.first.wait_for()
        assert "SDG target" in options.first.inner_text()
        assert box.get_attribute("aria-expanded") == "true"
        assert not faults(page)
        box.press("ArrowDown")
        assert box.get_attribute("aria-activedescendant") == options.first.get_attribute("id")
        box.press("Escape")
        assert not options.first.is_visible() and box.input_value() == "sdg 4.4"
        box.press_sequentially("x")
        page.wait_for_timeout(600)
        assert not options.first.is_visible()
        box.fill("baku")
        options.first.wait_for()
        box.press("ArrowDown")
        box.press("Enter")
        page.wait_for_url("**/id/bap-2026-2029")


def test_the_terms_of_a_long_page_are_found_on_it(opened: Opened) -> None:
    with opened("/ontology") as page:
        page.get_by_label("Find on this page").fill("budget line")
        shown = page.locator(".terms > section:visible")
        assert 0 < shown.count() < 20 and page.locator("#BudgetLine").is_visible()


def test_each_route_that_answers_with_a_page_has_one_here(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    routes = [
        path
        for path, item in paths.items()
        if "text/html" in item.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        and not path.startswith("/queries/")  # each is one question, and all are one route
        and path != "/data/{release}/diff/{older}"  # for which there must be two releases
    ]
    assert len(routes) > 25
    asked = [path.partition("?")[0] for path in PAGES]
    for route in routes:
        shown = Route(route.replace("{path}", "{path:path}"), endpoint=lambda: None).path_regex
        assert any(shown.match(path) for path in asked), route


def test_the_pages_are_counted() -> None:
    assert len({*PAGES}) == len(PAGES) >= 45
    assert (ROOT / "src/itukg/pages/static/style.css").is_file()
