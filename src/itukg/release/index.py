"""The full-text index, made at build: what things are called, what they mean, and what documents say of them."""

import re
import sqlite3
from collections import defaultdict
from contextlib import closing
from pathlib import Path

import pyoxigraph as ox

from itukg import names
from itukg.release.turtle import rows_of

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
"""What is searched, column by column, and what of the graph stands in each; the column `kind` has what a thing is."""


def write_index(store: ox.Store, path: Path) -> None:
    """Write the index of what the merged graph of a store says."""
    merged, entailed = ox.DefaultGraph(), ox.NamedNode(names.graph("entailed"))
    places = {iri: column for column, iris in _COLUMNS.items() for iri in iris}
    texts: dict[str, dict[str, list[str]]] = {}
    kinds: dict[str, list[str]] = defaultdict(list)
    records = set()
    for row in rows_of(store, "search"):
        kinds[row["thing"]] += _words(row["word"]) if "word" in row else []
        records |= {row["thing"]} if "record" in row else set()
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
            "CREATE VIRTUAL TABLE thing USING fts5(iri UNINDEXED, type UNINDEXED, plan UNINDEXED, record UNINDEXED, "
            f"{', '.join(_COLUMNS)}, kind, tokenize = 'unicode61 remove_diacritics 2', prefix = '1 2 3')"
        )
        index.executemany(
            "INSERT INTO thing VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                [
                    iri,
                    one(iri, names.RDF_TYPE),
                    one(iri, names.ITU + "plan"),
                    iri in records,
                    *(" · ".join(sorted(columns.get(column, []))) for column in _COLUMNS),
                    " ".join(dict.fromkeys([*kinds[iri], *_codes(columns.get("notation", []))])),
                ]
                for iri, columns in sorted(texts.items())
            ),
        )
        index.execute("INSERT INTO thing (thing) VALUES ('optimize')")


def _words(name: str) -> list[str]:
    """Return the words of a name, its plural, and, of three words or more, what they begin with: SDG for Sustainable Development Goal."""
    parts = name.split()
    plural = f"{name[:-1]}ies" if name.endswith("y") else f"{name}s"
    return [*parts, plural.rsplit(maxsplit=1)[-1], *(["".join(part[0] for part in parts)] if parts[2:] else [])]


def _codes(notations: list[str]) -> list[str]:
    """Return how people also type codes: 1 for P1, beside "priority", and 9c for 9.c."""
    short = [re.sub("^[A-Za-z]+", "", code) for code in notations]
    bare = [re.sub(r"[.](?=[a-z])", "", code) for code in notations]
    return [code for code in (*short, *bare) if code not in notations and re.fullmatch(r"[\d.]+[a-z]?", code)]
