"""docs/glossary.md explains the words that users meet, by examples that answer."""

import re
from html import unescape

import pytest
from fastapi.testclient import TestClient
from imports import ROOT

TEXT = (ROOT / "docs" / "glossary.md").read_text()
ENTRIES = dict(re.findall(r"^### (.+)\n(?s:(.*?))(?=^##|\Z)", TEXT, re.MULTILINE))
WORDS = {
    "Plan", "Priority", "Outcome", "Output", "Indicator", "Action line", "SDG target", "Succession, lineage", "Linkage",
    "Basis", "Evidence", "Gap", "Finding", "Severity", "Profile", "Actor", "Waiver", "Release", "Named graph",
    "Merged graph",
}  # fmt: skip


def test_the_glossary_has_every_word_and_the_readme_leads_to_it() -> None:
    assert ENTRIES.keys() == WORDS
    assert "(docs/glossary.md)" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("word", ENTRIES)
def test_the_example_of_a_word_answers_and_says_what_is_quoted(client: TestClient, word: str) -> None:
    meaning, example = ENTRIES[word].split("\nExample: ")
    addresses = re.findall(r"`(/[^`]+)`", example)
    assert meaning and addresses
    answers = [client.get(address) for address in addresses]
    assert [answer.status_code for answer in answers] == [200] * len(addresses)
    assert all("totalItems" not in answer.text or answer.json()["totalItems"] for answer in answers)
    for quote in re.findall("“([^”]+)”", example):
        assert any(quote in answer.text for answer in answers), quote


def plain(text: str) -> str:
    return " ".join(text.split())


def test_the_page_says_what_the_file_says_and_every_page_leads_to_it(client: TestClient) -> None:
    page = client.get("/glossary", headers={"accept": "text/html"}).text
    shown = re.search(r"(<h1>.*)</main>", page, re.DOTALL)
    assert shown is not None
    marks = re.sub(r"\[([^]]+)\]\([^)]+\)|^#+ |[`*]|<(http[^>]+)>", r"\1\2", TEXT, flags=re.MULTILINE)
    assert plain(unescape(re.sub("<[^>]+>", "", shown[1]))) == plain(marks)
    assert '<a href="/glossary">' in client.get("/").text
