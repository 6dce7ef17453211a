"""The tables of a release as a Data Package: which columns they have, of which types, and how the two belong together."""

from pathlib import Path
from typing import Any

import pyoxigraph as ox

from itukg import names
from itukg.corpus import file_hash
from itukg.formats import CSV, write_json
from itukg.release.turtle import rows_of, texts_of
from itukg.release.void import PUBLISHER, RIGHTS, TITLE

PACKAGE = "datapackage.json"

Json = dict[str, Any]

_IRI: Json = {"type": "string", "format": "uri"}
_TEXT: Json = {"type": "string"}
_NEEDED: Json = {"constraints": {"required": True}}
_LINE: Json = {"type": "integer", "constraints": {"minimum": 1}}

NODES: dict[str, tuple[Json, str]] = {
    "id": (_IRI | {"constraints": {"required": True, "unique": True}}, "The IRI of the thing."),
    "class": (_TEXT, "Its class, as JSON-LD names it."),
    "plan": (_TEXT, "The plan that it is of."),
    "notation": (_TEXT, "Its code, as printed or as we number it."),
    "label": (_TEXT, "Its official wording, or our name for it."),
    "definition": (_TEXT, "What it defines."),
    "status": (_TEXT, "The status that its document gives it."),
    "section": (_TEXT, "The section of the document, as printed."),
    "line": (_LINE, "The line of the text copy of the document on which it begins."),
    "document": (_TEXT, "The document, by the name of its graph."),
}
"""The columns of nodes.csv: type, and what they hold."""
LINKS: dict[str, tuple[Json, str]] = {
    "plan": (_TEXT, "The plan that the subject is of."),
    "subject": (_IRI | _NEEDED, "The thing that the link leads from."),
    "subjectCode": (_TEXT, "Its code."),
    "subjectLabel": (_TEXT, "Its label."),
    "property": (_TEXT | _NEEDED, "The property of the link."),
    "object": (_IRI | _NEEDED, "The thing that the link leads to."),
    "objectCode": (_TEXT, "Its code."),
    "objectLabel": (_TEXT, "Its label."),
    "basis": (
        _TEXT | {"constraints": {"required": True, "enum": ["stated", "reference", "judged", "derived"]}},
        "What the link rests on: a document, an outside scheme, a reader, or a rule.",
    ),
    "rule": (_TEXT, "The rule that derives it."),
    "strength": (_TEXT | {"constraints": {"enum": ["close", "loose"]}}, "How well a derived link is backed."),
    "broad": (
        {"type": "boolean", "trueValues": ["true"], "falseValues": ["false"]},
        "true: it is derived, and its subject has more than ten derived SDG targets.",
    ),
    "rationale": (_TEXT, "The reason for it."),
    "quote": (_TEXT, "The words that state it."),
    "section": (_TEXT, "The section of the document, as printed."),
    "line": (_LINE, "The line of the text copy of the document on which the quote begins."),
    "document": (_TEXT, "The document, by the name of its graph."),
    "linkage": (
        _IRI | _NEEDED,
        "The IRI of what backs the link; one that leads to several objects has a row for each.",
    ),
}
"""The columns of links.csv."""


def write_package(folder: Path, store: ox.Store, release: str) -> None:
    """Write `datapackage.json` beside the tables of a release, which stand in `folder` (Data Package 2.0).

    It describes both tables, and is left out where the corpus has not the queries of both.
    """
    if not all((folder / f"{name}{CSV.suffix}").is_file() for name in ("nodes", "links")):
        return
    ends = [{"fields": [end], "reference": {"resource": "nodes", "fields": ["id"]}} for end in ("subject", "object")]
    nodes = {"fields": _fields(NODES), "primaryKey": ["id"]}
    links = {"fields": _fields(LINKS), "primaryKey": ["linkage", "object"], "foreignKeys": ends}
    package = {
        "$schema": names.DATA_PACKAGE,
        "name": "itukg",
        "id": names.DATA + release,
        "title": TITLE,
        "description": f"{''.join(texts_of(names.DATASET, 'dcterms:description'))} {RIGHTS}",
        "version": release,
        "homepage": names.DATASET,
        "keywords": texts_of(names.DATASET, "dcat:keyword"),
        "licenses": [{"name": "Apache-2.0", "path": names.LICENSE, "title": "Apache License 2.0"}],
        "contributors": [{"title": PUBLISHER, "roles": ["publisher"]}],
        "sources": [{"title": row["title"], "path": row["document"]} for row in rows_of(store, "documents")],
        "resources": [
            _resource(folder, "nodes", "Every thing, a row each.", nodes),
            _resource(folder, "links", "Every link with its evidence, a row each.", links),
        ],
    }
    (folder / PACKAGE).write_bytes(write_json(package))


def _fields(columns: dict[str, tuple[Json, str]]) -> list[Json]:
    return [{"name": name, **kind, "description": said} for name, (kind, said) in columns.items()]


def _resource(folder: Path, name: str, title: str, schema: Json) -> Json:
    path = folder / f"{name}{CSV.suffix}"
    return {
        "name": name,
        "type": "table",
        "path": path.name,
        "title": title,
        "scheme": "file",
        "format": "csv",
        "mediatype": CSV.media_type,
        "encoding": "utf-8",
        "bytes": path.stat().st_size,
        "hash": f"sha256:{file_hash(path)}",
        "dialect": {"delimiter": ",", "doubleQuote": True, "header": True},
        "schema": schema,
    }
