"""A real browser: Debian's Chromium, driven by Playwright; without one, the tests are skipped and say so."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
"""The rules of axe that hold here: WCAG 2.2 AA, and what is good practice besides."""

Opened = Callable[..., Any]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def opened(browser: Browser, server: str) -> Opened:
    """Opens a page of the server in a window of its own; at its end nothing may have failed or been asked elsewhere."""

    @contextmanager
    def opened(path: str = "/", **context: Any) -> Iterator[Page]:
        found: list[str] = []
        with_context = browser.new_context(base_url=server, **context)
        page = with_context.new_page()
        page.on("console", lambda said: found.append(f"console: {said.text}") if is_fault(said) else None)
        page.on("pageerror", lambda error: found.append(f"script: {error}"))
        page.on(
            "request", lambda asked: found.append(f"elsewhere: {asked.url}") if not is_here(asked.url, server) else None
        )
        try:
            page.goto(path)
            yield page
        finally:
            with_context.close()
        assert not found, (path, found)

    return opened


def is_fault(said: ConsoleMessage) -> bool:
    """Tell whether what the console says is a fault of the page; that a page itself is a 404, or a query wrong, is none."""
    at = said.location["url"]
    return said.type in ("error", "warning") and at != (said.page.url if said.page else "") and "/sparql?" not in at


def is_here(url: str, server: str) -> bool:
    return url.startswith((f"{server}/", "data:", "blob:"))


def faults(page: Page) -> list[str]:
    """Return what axe finds on a page: the rule, and the first elements that break it."""
    found = Axe().run(page, options=RULES).response["violations"]
    return [f"{each['id']}: {[node['target'] for node in each['nodes'][:4]]}" for each in found]
