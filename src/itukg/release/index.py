"""The full-text index, made at build: what things are called, what they mean, and what documents say of them."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pyoxigraph as ox

from itukg import names

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
