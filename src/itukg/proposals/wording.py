"""Which texts share words, and which words: BM25 with Porter's stems, as SQLite's full-text search has it."""

import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

_STOP_WORDS = """
a an and any are as at be by for from has have in including into is it its more most not of on or other per such than that
the their them these this those through to under up via which while who with within all also
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
"""Words that tell nothing of a text's subject."""
_OPEN, _CLOSE = "\x02", "\x03"  # no text has them


@dataclass(frozen=True)
class Likeness:
    """A text that shares words with another: its name, how like it is (0 to 1), and the words as it has them."""

    name: str
    similarity: float
    words: tuple[str, ...]


class Wordings:
    """Texts by name, among which those like another are found.

    A word that stands in a share of at least `common` of the texts, such as "ICT", tells nothing of any of them.
    """

    def __init__(self, texts: Mapping[str, str], common: float) -> None:
        self._index = sqlite3.connect(":memory:")
        self._index.execute(
            "CREATE VIRTUAL TABLE text USING fts5(name UNINDEXED, body, tokenize = 'porter unicode61 remove_diacritics 2')"
        )
        self._index.executemany("INSERT INTO text VALUES (?, ?)", texts.items())
        self._most = common * len(texts)
        self._counts: dict[str, int] = {}
        rows = self._index.execute("SELECT name, rowid, body FROM text").fetchall()
        self._own = {name: self._own_score(self._query(body), row) for name, row, body in rows}

    def like(self, text: str, but: str = "") -> list[Likeness]:
        """Return the texts that share words with `text`, the most similar first, then by name; the text named `but` is left out.

        The similarity of two texts is their BM25 score as a share of the geometric mean of what each scores with itself.
        """
        if not (query := self._query(text)):
            return []
        row = self._index.execute("INSERT INTO text VALUES ('', ?)", (text,)).lastrowid
        own = self._own_score(query, row)
        found = self._index.execute(
            f"SELECT name, -bm25(text), highlight(text, 1, '{_OPEN}', '{_CLOSE}') FROM text "  # noqa: S608  (two constants)
            "WHERE text MATCH ? AND name NOT IN ('', ?)",
            (query, but),
        ).fetchall()
        self._index.execute("DELETE FROM text WHERE rowid = ?", (row,))
        alike = [
            Likeness(
                name,
                round(min(1.0, score / sqrt(own * self._own[name])), 3),
                tuple(dict.fromkeys(re.findall(f"{_OPEN}(.*?){_CLOSE}", marked.lower()))),
            )
            for name, score, marked in found
        ]
        return sorted(alike, key=lambda each: (-each.similarity, each.name))

    def _own_score(self, query: str, row: int | None) -> float:
        """Return what the text of a row scores with itself; 1 for one of common words only, which is like no other."""
        score = "SELECT -bm25(text) FROM text WHERE text MATCH ? AND rowid = ?"
        found = self._index.execute(score, (query, row)).fetchone() if query else None
        return float(found[0]) if found else 1.0

    def _query(self, text: str) -> str:
        words = dict.fromkeys(re.findall(r"\w+", text.lower()))
        return " OR ".join(f'"{word}"' for word in words if word not in STOP_WORDS and not self._is_common(word))

    def _is_common(self, word: str) -> bool:
        if word not in self._counts:
            count = "SELECT count(*) FROM text WHERE text MATCH ?"
            self._counts[word] = self._index.execute(count, (f'"{word}"',)).fetchone()[0]
        return self._counts[word] >= self._most
