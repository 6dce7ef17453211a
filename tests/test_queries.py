"""The saved queries: each asks one question of the release, and its whole answer is saved beside it."""

import re
from pathlib import Path

import pytest
from conftest import Engine

from itukg import names
from itukg.corpus import Corpus
from itukg.queries import AUDIENCES

FOLDER = Path(__file__).parents[1] / "queries"
FILES = {path.stem: path for audience in AUDIENCES for path in sorted((FOLDER / audience).glob("*.rq"))}
QUERIES = sorted(FILES)

each_query = pytest.mark.parametrize("name", QUERIES)


def bare(text: str) -> str:
    """Return a query without header, prologue, strings and IRIs."""
    return re.sub(r'^(?:#|PREFIX).*$|"[^"]*"|<[^>\s]*>', "", text, flags=re.MULTILINE)


def test_each_query_has_its_answer_and_its_row_in_the_readme() -> None:
    assert len(QUERIES) == 41
    rows = re.findall(r"^\| `([a-z0-9-]+)` \|", (FOLDER / "README.md").read_text(), re.MULTILINE)
    answers = [path.stem for path in FILES.values() if path.with_suffix(".csv").is_file()]
    assert QUERIES == sorted(answers) == sorted(rows)
    assert len(QUERIES) == len([*FOLDER.glob("*/*.csv")])


@each_query
def test_the_answer_is_the_saved_one(name: str, corpus: Corpus, store: Engine) -> None:
    answer = store.answer(corpus.query(name).text)
    file = FILES[name].with_suffix(".csv")
    saved = file.read_bytes()
    rewrite = f"itukg query {name} --format csv -o {file.relative_to(FOLDER.parent)}"
    assert answer == saved, f"The data now answers otherwise. Check the new answer, then keep it with: {rewrite}"
    rows = saved.splitlines()
    assert 1 < len(rows) == len(set(rows))


@each_query
def test_a_query_declares_the_prefixes_it_uses_as_the_table_has_them(name: str, corpus: Corpus) -> None:
    text = corpus.query(name).text
    declared = re.findall(r"^PREFIX (\w+): <([^>]*)>$", text, re.MULTILINE)
    used = sorted(set(re.findall(r"\b(\w+):", bare(text))))
    assert declared == [(prefix, names.PREFIXES[prefix]) for prefix in used]


@each_query
def test_a_query_is_for_those_in_whose_folder_it_stands_and_gives_everything_sorted(name: str, corpus: Corpus) -> None:
    query = corpus.query(name)
    assert FILES[name].parent.name in query.tags
    assert len(re.findall(r"\bORDER BY\b", query.text)) == 1
    assert not re.search(r"\b(?:LIMIT|OFFSET|FROM|SERVICE)\b", bare(query.text), re.IGNORECASE)
    assert set(re.findall(r"\bGRAPH (\S+)", query.text)) <= {f"<{names.graph('derived')}>"}
