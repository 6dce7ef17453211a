"""Full text over what things are called, what they mean, and what documents say of them: SQLite's FTS5 in a file.

The file is made at build and never changes. Words are folded (case, diacritics) and found by their beginning; what
stands in a code or name counts more than what stands in a quotation.
"""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from html import escape
from pathlib import Path

from itukg.errors import BadRequest
from itukg.views.listing import Item

MAX_LENGTH, MAX_WORDS = 200, 20
"""Characters and words that are looked for at most."""
_FOUND = """SELECT iri, type, plan, notation, label, snippet(thing, -1, ?, ?, '…', 32) FROM thing WHERE thing MATCH ?
ORDER BY notation = ? COLLATE NOCASE DESC, bm25(thing, 0, 0, 0, 10, 6, 5, 2, 1), iri"""
"""Whose code it is stands first; a word in a code weighs ten times as much as one in a quotation."""
_BEGIN, _END = "\x02", "\x03"


def search(path: Path, text: str) -> list[Item]:
    """Return the things in which every word of `text` stands, or one that begins with it; the best first.

    Nothing in `text` is an operator. Raises BadRequest where it has no word or too many.
    """
    words = [word for word in text.split() if any(character.isalnum() for character in word)]
    if not words or len(text) > MAX_LENGTH or len(words) > MAX_WORDS:
        raise BadRequest(
            f"q must hold a word or a code to look for, and no more than {MAX_WORDS} words and {MAX_LENGTH} characters."
        )
    query = " AND ".join('"' + word.replace('"', '""').replace("\x00", " ") + '"*' for word in words)
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as index:
        found = index.execute(
            _FOUND,
            (_BEGIN, _END, query, text.strip()),
        ).fetchall()
    return [Item(iri, kind, code, label, plan, _marked(snippet)) for iri, kind, plan, code, label, snippet in found]


def _marked(snippet: str) -> str:
    """Return a snippet as HTML, with what was found marked."""
    return escape(snippet).replace(_BEGIN, "<mark>").replace(_END, "</mark>")


def narrowed(items: Iterable[Item], kept: Iterable[Item]) -> list[Item]:
    """Return those of `items`, in their order, that are also in `kept`."""
    iris = {item.iri for item in kept}
    return [item for item in items if item.iri in iris]
