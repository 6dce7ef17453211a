"""Saved queries: what their parameters may be, how given values are bound, and their answers, page by page."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from weakref import WeakKeyDictionary

import pyoxigraph as ox

from itukg import names
from itukg.engine.sparql import after_prologue, blank_out
from itukg.engine.store import Store, rows
from itukg.errors import BadRequest
from itukg.formats import CSV, HTML, JSON, TABLE_FORMATS, XLSX, Format, write_json
from itukg.pages import render
from itukg.queries import Parameter, SavedQuery, Term, number
from itukg.rdf.jsonld import Json, natural
from itukg.release.overview import Overview, Value
from itukg.tables import Table, best_labels
from itukg.views.listing import Page

CATALOG_FORMATS = (JSON, HTML, CSV, XLSX)
"""Syntaxes of the list of saved queries."""
ANSWER_FORMATS = (*TABLE_FORMATS, HTML)
"""Syntaxes of the answer to one."""
MAX_TEXT = 200
"""Characters of a value of a parameter."""
MAX_NAMED = 8
"""Values that a message names at most."""
MAX_LISTED = 200
"""Values that the list of saved queries names at most."""

_made: WeakKeyDictionary[Store, dict[str, list[Value]]] = WeakKeyDictionary()


async def values_of(store: Store, overview: Overview, parameter: Parameter) -> list[Value]:
    """Return what a parameter may be, in natural order; nothing for text and numbers."""
    kind = parameter.values
    if kind.filter:
        return overview.values[kind.filter]
    made = _made.setdefault(store, {})
    if kind.pattern and kind.pattern not in made:
        found = await rows(
            store,
            f"{names.PROLOGUE}SELECT ?value (SAMPLE(?code) AS ?notation) (SAMPLE(?called) AS ?label) WHERE {{ {kind.pattern} "
            "OPTIONAL { ?value skos:notation ?code } OPTIONAL { ?value rdfs:label ?called } } GROUP BY ?value",
        )
        values = [
            Value(row["value"].value, *(row[key].value if key in row else "" for key in ("notation", "label")))
            for row in found
            if isinstance(row["value"], ox.NamedNode)
        ]
        made[kind.pattern] = sorted(values, key=lambda value: (natural(value.notation), natural(value.short)))
    return made.get(kind.pattern, [])


async def terms_of(store: Store, overview: Overview, query: SavedQuery, given: Mapping[str, str]) -> dict[str, Term]:
    """Return the terms that values given by name mean. Raises BadRequest, which names the parameter and the nearest choices."""
    found: dict[str, Term] = {}
    for parameter in query.parameters:
        if parameter.name in given:
            values = await values_of(store, overview, parameter)
            found[parameter.name] = await asyncio.to_thread(_term, parameter, given[parameter.name], values)
    return found


def _term(parameter: Parameter, text: str, values: Sequence[Value]) -> Term:
    if len(text) > MAX_TEXT:
        raise BadRequest(f"{parameter.name} is longer than {MAX_TEXT} characters.")
    if not text.isprintable():
        raise BadRequest(f"{parameter.name} holds a control character; leave it out.")
    match parameter.kind:
        case "text":
            return ox.Literal(text)
        case "number":
            if not re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,15})?", text):
                raise BadRequest(f'{parameter.name} must be a number such as 10 or 2.5, not "{text}".')
            return number(text)
    match [value for value in values if text == value.iri] or [value for value in values if value.is_named(text)]:
        case [value]:
            return ox.NamedNode(value.iri)
        case []:
            raise BadRequest(f'{parameter.name} must be {_a(parameter.kind)}, not "{text}"; {_nearest(text, values)}.')
        case several:
            named = " or ".join(value.short for value in several[:MAX_NAMED])
            more = f" and {len(several) - MAX_NAMED} more" if len(several) > MAX_NAMED else ""
            raise BadRequest(f'{parameter.name} "{text}" may be {named}{more}; name one of them.')


def _a(kind: str) -> str:
    """Return a kind with its article."""
    return f"{'an' if kind[0] in 'aeiou' or kind.startswith('SDG') else 'a'} {kind}"


def _nearest(text: str, values: Sequence[Value]) -> str:
    """Return what a message says of the values that are written most like `text`: by address, code or label."""
    if len(values) <= MAX_NAMED:
        return f"known: {', '.join(value.short for value in values)}"
    keys: dict[str, str] = {}
    for value in values:
        for key in (value.short, value.short.rpartition("/")[2], value.notation, value.label):
            keys.setdefault(key.casefold(), value.short)
    close = get_close_matches(text.casefold(), keys, MAX_NAMED, 0.4)
    nearest = dict.fromkeys(keys[key] for key in close) or [value.short for value in values[:MAX_NAMED]]
    return f"{'nearest' if close else 'such as'}: {', '.join(nearest)}"


def sorted_by(query: SavedQuery, text: str, sort: str) -> str:
    """Return a query whose text is `text` sorted by a column, downwards after a minus. Raises BadRequest for no column of it."""
    column = sort.removeprefix("-")
    if column not in query.columns:
        raise BadRequest(
            f'sort must be a column, with "-" before it for the reverse, not "{sort[:80]}"; known: {", ".join(query.columns)}.'
        )
    columns = " ".join(f"?{each}" for each in query.columns)
    prologue, select = _split(text)
    order = f"DESC(?{column})" if sort.startswith("-") else f"?{column}"
    return f"{prologue}SELECT {columns} WHERE {{ {{\n{select}\n}} }} ORDER BY {order} {columns}"


async def total_of(store: Store, text: str) -> int:
    """Return how many rows a query has."""
    prologue, select = _split(text)
    [row] = await rows(store, f"{prologue}SELECT (COUNT(*) AS ?total) WHERE {{ {{\n{select}\n}} }}")
    return int(row["total"].value)


def _split(text: str) -> tuple[str, str]:
    at = after_prologue(blank_out(text))
    return text[:at], text[at:]


# --- pages ---


async def write_page(store: Store, overview: Overview, query: SavedQuery, page: Page, text: str) -> bytes:
    """Write a page of an answer, with a form of the query's parameters; `text` is the query with its values."""
    part = f"{text}\nLIMIT {page.size} OFFSET {(page.number - 1) * page.size}"
    found = await rows(store, part)
    things = sorted({term.value for row in found for term in row.values() if isinstance(term, ox.NamedNode)})
    listed = " ".join(f"<{thing}>" for thing in things)
    stated = await rows(
        store, f"{names.PROLOGUE}SELECT ?thing ?label WHERE {{ VALUES ?thing {{ {listed} }} ?thing rdfs:label ?label }}"
    )
    labels = best_labels((row["thing"].value, label) for row in stated if isinstance(label := row["label"], ox.Literal))
    return render(
        "query.html",
        query=query,
        values={each.name: await values_of(store, overview, each) for each in query.parameters},
        given=dict(page.parameters),
        page=page,
        text=text,
        rows=found,
        labels=labels,
        iris=set(things),
    )


async def write_catalog(store: Store, overview: Overview, queries: Sequence[SavedQuery], syntax: Format) -> bytes:
    """Write the list of saved queries, with their parameters."""
    values = {each.kind: await values_of(store, overview, each) for query in queries for each in query.parameters}
    if syntax == HTML:
        by_query = {query.name: {each.name: values[each.kind] for each in query.parameters} for query in queries}
        return render("queries.html", queries=queries, values=by_query)
    if syntax == JSON:
        return write_json({"queries": [_told(query, values) for query in queries]})
    columns = ("name", "summary", "description", "tags", "parameters", "columns")
    rows_ = (
        {
            "name": query.name,
            "summary": query.summary,
            "description": query.description,
            "tags": ", ".join(query.tags),
            "parameters": ", ".join(f"{each.name} ({each.kind})" for each in query.parameters) or None,
            "columns": ", ".join(query.columns),
        }
        for query in queries
    )
    return Table.of_values(columns, rows_).write(syntax, "queries")


def _told(query: SavedQuery, values: Mapping[str, Sequence[Value]]) -> Json:
    return {
        "id": f"{names.QUERIES}/{query.name}",
        "name": query.name,
        "summary": query.summary,
        "description": query.description,
        "tags": list(query.tags),
        "parameters": [
            {
                "name": each.name,
                "kind": each.kind,
                **({"default": each.shown} if each.default else {}),
                **(
                    {"values": [v.short for v in values[each.kind]]} if 0 < len(values[each.kind]) <= MAX_LISTED else {}
                ),
            }
            for each in query.parameters
        ],
        "columns": list(query.columns),
    }
