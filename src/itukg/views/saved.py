"""Saved queries: what their parameters may be, how given values are bound, and their answers, page by page."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from keyword import iskeyword
from urllib.parse import urlencode
from weakref import WeakKeyDictionary

import pyoxigraph as ox

from itukg import names
from itukg.engine.sparql import after_prologue, blank_out
from itukg.engine.store import Row, Store, rows
from itukg.errors import BadRequest
from itukg.formats import CSV, HTML, JSON, TABLE_FORMATS, XLSX, Format, write_json
from itukg.pages import render
from itukg.queries import AUDIENCES, Parameter, SavedQuery, Term, number
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
MAX_READ = 1000
"""Rows that are read at once, and counted as they are read."""

_made: WeakKeyDictionary[Store, dict[str, list[Value]]] = WeakKeyDictionary()


async def values_of(store: Store, overview: Overview, parameter: Parameter) -> list[Value]:
    """Return what a parameter may be, in natural order; nothing for text and numbers."""
    kind = parameter.values
    if kind.filter:
        return [value for name in kind.filter.split() for value in overview.values[name]]
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
    exact = [value for value in values if text in (value.iri, value.short)]
    match exact or [value for value in values if value.is_named(text)]:
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


async def first_rows(store: Store, text: str) -> tuple[int, list[Row]]:
    """Return how many rows a query has, and the first of them, which are all for most queries."""
    found = await rows(store, f"{text}\nLIMIT {MAX_READ}")
    return (len(found) if len(found) < MAX_READ else await total_of(store, text)), found


async def write_page(
    store: Store, overview: Overview, query: SavedQuery, page: Page, text: str, first: list[Row]
) -> bytes:
    """Write a page of an answer, with a form of the query's parameters; `text` is the query with its values, `first` its first rows."""
    begin = (page.number - 1) * page.size
    found = first[begin : begin + page.size]
    if begin + len(found) < min(page.total, begin + page.size):
        found = await rows(store, f"{text}\nLIMIT {page.size} OFFSET {begin}")
    things = sorted({term.value for row in found for term in row.values() if isinstance(term, ox.NamedNode)})
    listed = " ".join(f"<{thing}>" for thing in things)
    stated = await rows(
        store, f"{names.PROLOGUE}SELECT ?thing ?label WHERE {{ VALUES ?thing {{ {listed} }} ?thing rdfs:label ?label }}"
    )
    labels = best_labels((row["thing"].value, label) for row in stated if isinstance(label := row["label"], ox.Literal))
    columns = [each for each in query.columns if each.removesuffix("Label") not in {*query.columns} - {each}]
    cells = [{each: _cell(row, each, overview, labels) for each in columns} for row in found]
    if page.last == 1:
        columns = [each for each in columns if any(row[each].text for row in cells)]
    if cells and all(
        any(c.iri and c.text == row["label"].text for c in row.values()) for row in cells if "label" in row
    ):
        columns = [each for each in columns if each != "label"]  # the thing beside it goes by it
    given = dict(page.parameters)
    return render(
        "query.html",
        query=query,
        form=await _fields(store, overview, query, given),
        given=given,
        page=page,
        text=text,
        columns={each: in_words(each) for each in columns},
        rows=cells,
        highest=max((_number(row[query.bars]) for row in found if query.bars in row), default=0),
        snippets=snippets(query, page, given),
    )


@dataclass(frozen=True)
class Cell:
    """A value of an answer as a page shows it: its text, what it is, and the IRI of the thing."""

    text: str
    kind: str = "text"
    iri: str = ""


def _cell(row: Row, column: str, overview: Overview, labels: Mapping[str, str]) -> Cell:
    """Return the value of a column, a thing by its label, and a term of the ontology in words for people."""
    term, beside = row.get(column), row.get(f"{column}Label")
    label = beside.value if beside else ""
    match term:
        case ox.NamedNode(value=iri) if column == "basis":
            return Cell(names.shorten(iri).removeprefix("itu:"), "basis")
        case ox.NamedNode(value=iri):
            known = iri in overview.words or iri in overview.terms
            return Cell(overview.reader(iri) if known else label or labels.get(iri) or names.shorten(iri), "thing", iri)
        case ox.Literal(value=text):
            return _literal(text, term.datatype.value, column, label, overview)
        case _:
            return Cell(label)


def _literal(text: str, datatype: str, column: str, label: str, overview: Overview) -> Cell:
    if datatype in _NUMBERS:
        return Cell(text, "number")
    if datatype == names.expand("xsd:boolean"):
        return Cell("yes" if text == "true" else "no")
    if plan := next((each for each in overview.values["plan"] if each.notation == text), None):
        return Cell(plan.label, "thing", plan.iri)
    if names.ITU + text in overview.words:
        return Cell(text, "basis") if column == "basis" else Cell(overview.reader(names.ITU + text))
    if column == "basis":
        return Cell(text, "basis")
    return Cell(f"{text} {label}" if label and text not in label else text, "quote" if column in _QUOTED else "text")


_NUMBERS = frozenset(names.expand(f"xsd:{name}") for name in ("integer", "decimal", "double"))
_QUOTED = frozenset(("quote", "words", "wording", "definition", "rationale"))
"""Columns that hold a sentence of a document, or a reader's."""
_ACRONYMS = ("SDG", "IRI")
_CALLED = {"notation": "Code", "least": "Smallest amount", "sdg": "SDG goal, target or indicator"}
"""What columns and parameters are called whose names do not say it."""


def in_words(name: str) -> str:
    """Return what people call a column or a parameter: "Older plan" for olderPlan."""
    if name in _CALLED:
        return _CALLED[name]
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", re.sub("(Label|Code|Notation)$", "", name)).split()
    words = " ".join(word.upper() if word.upper() in _ACRONYMS else word.lower() for word in spaced)
    return words[0].upper() + words[1:]


def _number(term: Term | ox.BlankNode | ox.Triple) -> float:
    return float(term.value) if isinstance(term, ox.Literal) and term.datatype.value in _NUMBERS else 0.0


@dataclass(frozen=True)
class Field:
    """A field of a form: the parameter, what it is called, what there is to choose from, and what is chosen."""

    parameter: Parameter
    label: str
    values: list[Value]
    chosen: str


async def _fields(store: Store, overview: Overview, query: SavedQuery, given: Mapping[str, str]) -> list[Field]:
    found = []
    for each in query.parameters:
        values = await values_of(store, overview, each)
        if each.kind in ("class", "basis"):
            values = [replace(value, label=overview.reader(value.iri)) for value in values]
        found.append(Field(each, in_words(each.name), values, given.get(each.name, each.shown)))
    return found


def snippets(query: SavedQuery, page: Page, given: Mapping[str, str]) -> dict[str, str]:
    """Return how programs ask the same: all rows, not a page of them."""
    own = {each.name: given[each.name] for each in query.parameters if each.name in given}
    at, path = page.address.partition("/queries/")[0], f"{page.address}.csv{'?' if own else ''}{urlencode(own)}"
    arguments = "".join(f", {f'{k}_' if iskeyword(k) else k}={v!r}" for k, v in own.items())
    return {
        "Python": f'import itukg\n\nkg = itukg.open("{at}")\nfor row in kg.ask("{query.name}"{arguments}):\n    print(row)',
        "pandas": f'import pandas\n\ntable = pandas.read_csv("{path}")\nprint(table)',
        "curl": f"curl -fs '{path}'",
    }


async def write_catalog(store: Store, overview: Overview, queries: Sequence[SavedQuery], syntax: Format) -> bytes:
    """Write the list of saved queries, with their parameters."""
    if syntax == HTML:
        subjects: dict[str, list[SavedQuery]] = {}
        for query in queries:
            subjects.setdefault(query.tags[0], []).append(query)
        return render("queries.html", subjects=subjects, audiences=AUDIENCES)
    values = {each.kind: await values_of(store, overview, each) for query in queries for each in query.parameters}
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
