"""Full text over what things are called, what they mean, and what documents say of them: SQLite's FTS5 in a file.

The file is made at build and never changes. Words are folded (case, diacritics) and found by their beginning; what
stands in a code or name counts more than what stands in a quotation. A thing is also found by what it is: "goal 9".
"""

import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from difflib import get_close_matches
from html import escape
from pathlib import Path
from urllib.parse import urlencode

from itukg.errors import BadRequest
from itukg.pages import render
from itukg.release.overview import FILTERS, Overview
from itukg.views.listing import SORTS, Item, Page

MAX_LENGTH, MAX_WORDS = 200, 20
"""Characters and words that are looked for at most."""
_WEIGHTS = {
    "iri": 0,
    "type": 0,
    "plan": 0,
    "record": 0,
    "notation": 10,
    "label": 6,
    "other": 5,
    "definition": 2,
    "quote": 1,
    "kind": 1,
}
"""What a word weighs in a column: in a code ten times as much as in a quotation."""
_NEAR, _APART = 0.75, 2
"""How alike a word must be to one that the index has, to be taken for a misspelling of it, and by how many letters it may be longer or shorter."""
_BEGIN, _END = "\x02", "\x03"


@dataclass(frozen=True)
class Facet:
    """Of how many things found, and records left out, what is true; `address` is where only they are, if a filter names it."""

    name: str
    count: int
    address: str = ""
    chosen: bool = False


def search(path: Path, text: str, *, records: bool = False) -> list[Item]:
    """Return the things in which every word of `text` stands, or one that begins with it; the best first.

    Those that stand behind links and lineage come only with `records`. Nothing in `text` is an operator. Raises
    BadRequest where it has no word or too many.
    """
    words = _words(text)
    with closing(_open(path)) as index:
        found = _found(index, words, records)
        if not found and (apart := re.sub(r"([A-Za-z]{3})(?=\d)", r"\1 ", text)) != text:  # SDG4.4
            text, words = apart, _words(apart)
            found = _found(index, words, records)
        plans = {iri for (iri,) in index.execute("SELECT DISTINCT plan FROM thing")} if found else set()
    return [row.item() for row in sorted(found, key=lambda row: row.rank(text, words, plans))]


def left_out(path: Path, text: str) -> Counter[str]:
    """Return how many records a search for `text` leaves out, by their class."""
    with closing(_open(path)) as index:
        if "record" not in _columns(index):
            return Counter()
        matching = "SELECT type, count(*) FROM thing WHERE thing MATCH ? AND record GROUP BY type"
        return Counter(dict(index.execute(matching, (_match(_words(text)),)).fetchall()))


def suggestion(path: Path, text: str) -> str:
    """Return `text` with each word that the index does not have replaced by the one it has that is spelled most alike; nothing where none is."""
    with closing(_open(path)) as index:
        index.execute("CREATE VIRTUAL TABLE temp.word USING fts5vocab(main, thing, col)")
        found = index.execute("SELECT DISTINCT term FROM temp.word WHERE col != 'quote'")
        known = [word for (word,) in found if word.isalpha()]
        words = _words(text)
        better = [word if _is_known(word.casefold(), known) else _nearest(word.casefold(), known) for word in words]
        finds = all(better) and better != words and _found(index, better, records=False)
    return " ".join(better) if finds else ""


def _is_known(word: str, known: Iterable[str]) -> bool:
    return not word.isalpha() or any(each.startswith(word) for each in known)


def _nearest(word: str, known: Iterable[str]) -> str:
    near = [each for each in known if abs(len(each) - len(word)) <= _APART]
    begin = [each for each in near if each[0] == word[0]]  # the first letter is seldom wrong
    found = get_close_matches(word, begin, 1, _NEAR) or get_close_matches(word, near, 1, _NEAR)
    return found[0] if found else ""


def _words(text: str) -> list[str]:
    words = [word for word in text.split() if any(character.isalnum() for character in word)]
    if not words or len(text) > MAX_LENGTH or len(words) > MAX_WORDS:
        raise BadRequest(
            f"q must hold a word or a code to look for, and no more than {MAX_WORDS} words and {MAX_LENGTH} characters."
        )
    return words


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)


@dataclass(frozen=True)
class _Row:
    """A thing that was found, in the order of FTS5."""

    iri: str
    type: str
    plan: str
    notation: str
    label: str
    kind: str
    marked_label: str
    snippet: str

    def rank(self, text: str, words: Sequence[str], plans: Iterable[str]) -> int:
        """Return how surely it is the very thing that is meant: by its code, by what it is and its code, or as a plan by its name."""
        code, typed = self.notation.casefold(), [word.casefold() for word in words]
        if code == text.strip().casefold():
            return 0
        kind, label = self.kind.casefold().split(), self.label.casefold()
        for place, codes in enumerate(({code}, {word for word in kind if word[0].isdigit()}), 1):
            others = [word for word in typed if word not in codes]
            if len(others) < len(typed) and all(any(k.startswith(w.rstrip(".")) for k in kind) for w in others):
                return place
        return 3 if self.iri in plans and all(word in label for word in typed) else 4

    def item(self) -> Item:
        """Return it as lists have it; what was found is marked in its label, or in the text where it stands."""
        in_label, of_kind = _BEGIN in self.marked_label, _plain(self.snippet) == self.kind
        highlight = self.marked_label if in_label or of_kind else self.snippet
        return Item(self.iri, self.type, self.notation, self.label, self.plan, _marked(highlight))


def _found(index: sqlite3.Connection, words: Sequence[str], records: bool) -> list[_Row]:
    columns = _columns(index)
    older = "kind" not in columns  # a release from before things were found by what they are
    weights = ", ".join(str(_WEIGHTS[column]) for column in columns)
    found = index.execute(
        f"""SELECT iri, type, plan, notation, label, {"''" if older else "kind"},
  highlight(thing, {columns.index("label")}, ?, ?), snippet(thing, -1, ?, ?, '…', 32) FROM thing
WHERE thing MATCH ? {"" if older or records else "AND NOT record"} ORDER BY bm25(thing, {weights}), iri""",  # noqa: S608  (constants)
        (_BEGIN, _END, _BEGIN, _END, _match(words)),
    )
    return [_Row(*row) for row in found]


def _match(words: Sequence[str]) -> str:
    return " AND ".join('"' + word.replace('"', '""').replace("\x00", " ") + '"*' for word in words)


def _columns(index: sqlite3.Connection) -> list[str]:
    return [row[1] for row in index.execute("PRAGMA table_info(thing)")]


def _plain(text: str) -> str:
    return text.replace(_BEGIN, "").replace(_END, "")


def _marked(text: str) -> str:
    """Return a text as HTML, with what was found marked."""
    return escape(text).replace(_BEGIN, "<mark>").replace(_END, "</mark>")


def narrowed(items: Iterable[Item], kept: Iterable[Item]) -> list[Item]:
    """Return those of `items`, in their order, that are also in `kept`."""
    iris = {item.iri for item in kept}
    return [item for item in items if item.iri in iris]


def write_search(page: Page, overview: Overview, path: Path, every: Sequence[Item]) -> bytes:
    """Write the page of a search by kind; `every` is all that was found, whatever its kind and plan."""
    given = dict(page.parameters)
    query = given.get("q", "")
    named = {each.name: {value.iri: value for value in overview.values[each.name]} for each in FILTERS}

    def facets(name: str, counts: Mapping[str, int]) -> list[Facet]:
        """Return the facets of a filter, the most frequent first."""
        others = {key: value for key, value in given.items() if key != name}
        found = []
        for iri, count in sorted(counts.items(), key=lambda row: (-row[1], row[0])):
            value = named[name].get(iri)
            address = f"/search?{urlencode(others | {name: value.short})}" if value else ""
            called = overview.reader(iri) if name == "class" or value is None else value.label
            chosen = value is not None and name in given and value.is_named(given[name])
            found.append(Facet(called, count, address, chosen))
        return found

    groups: dict[str, list[Item]] = {}
    for item in page.items:
        groups.setdefault(item.type, []).append(item)
    near = suggestion(path, query) if query and not every else ""
    return render(
        "search.html",
        page=page,
        query=query,
        groups=[(overview.reader(kind) if kind else "Other", items) for kind, items in groups.items()],
        kinds=facets("class", Counter(item.type for item in every if item.type)),
        plans=facets("plan", Counter(item.plan for item in every if item.plan)),
        left_out=facets("class", left_out(path, query)) if query and "class" not in given else [],
        without={
            name: f"/search?{urlencode({key: value for key, value in given.items() if key != name})}"
            for name in ("class", "plan")
        },
        suggestion=near,
        fields=[(each, overview.values[each.name]) for each in FILTERS if each.name not in ("class", "plan")],
        given=given,
        called={iri: value.label for iri, value in named["plan"].items()},
        sorts=SORTS,
    )
