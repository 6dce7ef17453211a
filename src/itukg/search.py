"""Full text over what things are called, what they mean, and what documents say of them: SQLite's FTS5 in a file.

The file is made at build and never changes. Words are folded (case, diacritics) and found by their beginning; what
stands in a code or name counts more than what stands in a quotation.
"""

import re
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from html import escape
from pathlib import Path

import pyoxigraph as ox

from itukg import names
from itukg.errors import BadRequest, NotSupported
from itukg.lists import Item

LONGEST, WORDS = 200, 20
"""Characters and words that are looked for at most."""

_SKOS, _DCTERMS = names.PREFIXES["skos"], names.PREFIXES["dcterms"]
_COLUMNS = {
    "notation": (_SKOS + "notation",),
    "label": (names.PREFIXES["rdfs"] + "label",),
    "other": (
        _SKOS + "altLabel",
        names.ITU + "printedCode",
        names.ITU + "revision",
        _DCTERMS + "identifier",
        _DCTERMS + "title",
    ),
    "definition": (_SKOS + "definition", _SKOS + "note", _SKOS + "scopeNote", _DCTERMS + "description"),
    "quote": (names.ITU + "quote", names.ITU + "rationale"),
}
"""What is searched, column by column, and what of the graph stands in each."""
_FOUND = """SELECT iri, type, plan, notation, label, snippet(thing, -1, ?, ?, '…', 32) FROM thing WHERE thing MATCH ?
ORDER BY notation = ? COLLATE NOCASE DESC, bm25(thing, 0, 0, 0, 10, 6, 5, 2, 1), iri"""
"""Whose code it is stands first; a word in a code weighs ten times as much as one in a quotation."""
_BEGIN, _END = "\x02", "\x03"


def write_index(store: ox.Store, path: Path) -> None:
    """Write the index of what the merged graph of a store says."""
    merged, entailed = ox.DefaultGraph(), ox.NamedNode(names.graph("entailed"))
    places = {iri: column for column, iris in _COLUMNS.items() for iri in iris}
    texts: dict[str, dict[str, list[str]]] = {}
    for quad in store.quads_for_pattern(None, None, None, merged):
        if (
            quad.predicate.value in places
            and isinstance(quad.subject, ox.NamedNode)
            and isinstance(quad.object, ox.Literal)
        ):
            columns = texts.setdefault(quad.subject.value, {})
            columns.setdefault(places[quad.predicate.value], []).append(re.sub(r"[\x00-\x1f]+", " ", quad.object.value))

    def one(iri: str, predicate: str) -> str:
        quads = store.quads_for_pattern(ox.NamedNode(iri), ox.NamedNode(predicate), None, merged)
        said = [
            quad.object for quad in quads if ox.Quad(quad.subject, quad.predicate, quad.object, entailed) not in store
        ]
        return min((each.value for each in said if isinstance(each, ox.NamedNode)), default="")

    with closing(sqlite3.connect(path)) as index, index:
        index.execute(
            "CREATE VIRTUAL TABLE thing USING fts5(iri UNINDEXED, type UNINDEXED, plan UNINDEXED, "
            f"{', '.join(_COLUMNS)}, tokenize = 'unicode61 remove_diacritics 2', prefix = '1 2 3')"
        )
        index.executemany(
            "INSERT INTO thing VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                [
                    iri,
                    one(iri, names.RDF_TYPE),
                    one(iri, names.ITU + "plan"),
                    *(" · ".join(sorted(columns.get(column, []))) for column in _COLUMNS),
                ]
                for iri, columns in sorted(texts.items())
            ),
        )
        index.execute("INSERT INTO thing (thing) VALUES ('optimize')")


def search(path: Path, text: str) -> list[Item]:
    """Return the things in which every word of `text` stands, or one that begins with it; the best first.

    Nothing in `text` is an operator. Raises BadRequest where it has no word or too many, and NotSupported for a
    release that has no index.
    """
    if not path.is_file():
        raise NotSupported("This release was built without an index to search in. Build it anew: itukg build")
    words = [word for word in text.split() if any(character.isalnum() for character in word)]
    if not words or len(text) > LONGEST or len(words) > WORDS:
        raise BadRequest(
            f"q must hold a word or a code to look for, and no more than {WORDS} words and {LONGEST} characters."
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
