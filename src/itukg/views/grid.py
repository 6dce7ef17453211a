"""How a matrix is written: as a grid with its evidence in a workbook, cell by cell as CSV, as JSON, as a page."""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from weakref import WeakKeyDictionary

from itukg import names
from itukg.engine.store import Store, texts
from itukg.formats import CSV, DOT, GRAPHML, HTML, JSON, MERMAID, PICTURE_FORMATS, SSSOM, SVG, XLSX, Format, write_json
from itukg.pages import inside, plural, render
from itukg.rdf.jsonld import Json
from itukg.release.mappings import mappings_of
from itukg.release.overview import Overview
from itukg.sssom import write_tsv
from itukg.tables import Table, write_workbook
from itukg.views.linked import Link, because_address, documents, plans_by_year
from itukg.views.listing import Item
from itukg.views.matrix import EMPTY, SIDES, Cell, Evidence, Matrix, chosen_kind, kinds, short

MATRIX_FORMATS = (JSON, HTML, CSV, XLSX, SSSOM, *PICTURE_FORMATS)
"""Syntaxes of a matrix, best first; pictures are written by `views/network.py`."""

COUNTS = {
    False: "A cell counts the links between its row and its column, one for each sentence, reference, reason or rule.",
    True: "A cell counts the plan's things that are linked with its row and with its column, by their best links.",
}
"""What a cell counts, in words, by whether it counts things."""


def write_matrix(found: Matrix, syntax: Format, release: Path) -> bytes:
    """Write a matrix in one of MATRIX_FORMATS but HTML; the mapping sets in the release's folder have the rows of SSSOM.

    Raises NotAcceptable for SSSOM where no link of the matrix is a mapping.
    """
    if syntax is XLSX:
        return write_workbook({"matrix": _grid(found), "evidence": _evidence(found), "cells": _cells(found)})
    if syntax is CSV:
        return _cells(found).write(CSV)
    if syntax is SSSOM:
        return write_tsv(mappings_of(release, _links(found), found.page.title, found.page.link(found.page.number)))
    return write_json(_document(found))


MANY_CELLS = 3000
"""Cells, empty ones too, from which on a matrix takes long to be written; a workbook takes six times as long as a table."""


def is_large(found: Matrix, syntax: Format) -> bool:
    """Tell whether a matrix takes long to be written."""
    return len(found.rows) * len(found.columns) * (6 if syntax is XLSX else 1) > MANY_CELLS


_kinds: WeakKeyDictionary[Store, set[str]] = WeakKeyDictionary()
_HEAT = (1, 2, 5, 10, 25)
"""From which count on a cell is shown in the next of the shades."""
_CALLED = {SVG: "SVG", MERMAID: "Mermaid", GRAPHML: "GraphML", DOT: "DOT"}
"""What people call the syntaxes of pictures."""
_HIDDEN = ("rows", "columns", "row", "column", "plan", "basis", "format")
"""Parameters that the form of a page does not pass on unseen: its fields, and what a new matrix does not have."""


async def matrix_page(store: Store, overview: Overview, found: Matrix, pictures: Sequence[Format]) -> bytes:
    """Return a matrix as a page: a table that is its own heat map, the form that chooses another, or one cell with its evidence.

    The page leads to `pictures`, the syntaxes that hold the whole matrix.
    """
    given, known = dict(found.page.parameters), kinds(overview)
    chosen = [chosen_kind(side, given[side], overview) for side in ("rows", "columns")]
    all_ = ",".join(value.short for value in overview.values["basis"])
    bases = [("", "All but what rules derive"), (all_, "Also what rules derive")]
    bases += [(value.short, f"Only {value.label}") for value in overview.values["basis"]]
    asked = given.get("basis", "")
    asked = next((value for value, _ in bases if {*value.split(",")} == {*asked.split(",")}), asked)
    schemes = {value.iri for name in ("sdg", "actionLine") for value in overview.values[name]}
    words = [inside(overview.reader(kind.iri)) for kind in chosen]
    plans = [*await plans_by_year(store)]
    by_year = {iri: place for place, iri in enumerate(plans)}
    rows_, columns = (sorted(side, key=lambda item: by_year.get(item.iri, 0)) for side in (found.rows, found.columns))
    cells = [[found.cells.get((row.iri, column.iri)) for column in columns] for row in rows_]
    turned = [[line[place] for line in cells] for place in range(len(columns))]
    return await asyncio.to_thread(
        render,
        "matrix.html",
        found=found,
        pictures=[(_CALLED[syntax], syntax.suffix) for syntax in pictures],
        given=given,
        rows=[*zip(rows_, cells, strict=True)],
        columns=columns,
        names=words,
        plurals=[plural(word) for word in words],
        headings=headings(columns),
        summary=[(rows_, _bare(rows_, cells)), (columns, _bare(columns, turned))],
        states={state for line in cells for cell in line if cell for state in cell.states or (cell.state,)},
        plan_iris=plans,
        kinds=await _choices(store, overview, {kind.iri for kind in chosen}),
        chosen=[next(name for name, kind in known.items() if kind.iri == each.iri) for each in chosen],
        plans=overview.values["plan"],
        plan=next((value for value in overview.values["plan"] if value.is_named(given.get("plan", ""))), None),
        bases=bases if asked in dict(bases) else [*bases, (asked, ", ".join(found.basis))],
        asked=asked,
        hidden=[(name, value) for name, value in given.items() if name not in _HIDDEN],
        called=await documents(store),
        mapped=any(cell.count for cell in found.cells.values())
        and any(item.iri in schemes for item in (*rows_, *columns)),
        counts=COUNTS[found.through],
        heat=lambda count: sum(count >= least for least in _HEAT),
        query=lambda **other: f"?{urlencode({**given, **other})}",
        cell_query=lambda cell: f"?{found.address(cell).partition('?')[2]}",
        because=lambda link: because(found, link),
        word=lambda iri: inside(overview.reader(iri)),
    )


async def matrix_chooser(store: Store, overview: Overview, given: Mapping[str, str]) -> bytes:
    """Return the page on which rows and columns are chosen; it keeps what was `given`."""
    return render("matrix-choose.html", kinds=await _choices(store, overview, set()), given=given)


async def _choices(store: Store, overview: Overview, chosen: Collection[str]) -> list[tuple[str, str]]:
    """Return what rows and columns may be, those `chosen` and what links lead to or from: in words, and as a parameter."""
    if store not in _kinds:
        ends = await texts(
            store, names.PROLOGUE + "SELECT DISTINCT ?kind WHERE { ?l itu:subject|itu:object ?x . ?x a ?kind }"
        )
        _kinds[store] = {row["kind"] for row in ends}
    linked = _kinds[store].union(chosen)
    return sorted({(overview.reader(kind.iri), name) for name, kind in kinds(overview).items() if kind.iri in linked})


def _bare(items: Sequence[Item], lines: Sequence[Sequence[Cell | None]]) -> list[Item]:
    """Return the rows, or columns, in whose cells nothing is counted."""
    return [item for item, line in zip(items, lines, strict=True) if not any(cell and cell.count for cell in line)]


def _links(found: Matrix) -> Iterator[tuple[str, str, str, str]]:
    """Yield the links behind all cells: subject, predicate, object and basis, as IRIs."""
    for cell in found.cells.values():
        for link in (link for each in cell.evidence for link in each.links):
            yield link.subject, link.predicate, link.object, names.ITU + link.basis


def because(found: Matrix, link: Link) -> str:
    """Return the address of the whole chain behind a link."""
    return because_address(found.page.address.removesuffix("/matrix"), link, urlencode(found.page.parameters))


def headings(columns: list[Item]) -> list[str]:
    """Return what columns are called: their notations where those differ, else what names them in an address."""
    notations = [column.notation for column in columns]
    return notations if all(notations) and len({*notations}) == len(columns) else [short(column) for column in columns]


def _grid(found: Matrix) -> Table:
    """Return counts as numbers, "all" and "gap" as words, and nothing in empty cells."""
    named = list(zip(headings(found.columns), found.columns, strict=True))
    rows = []
    for row in found.rows:
        cells = {name: found.cell(row, column) for name, column in named}
        shown = {name: cell.count or (cell.state if cell.note else None) for name, cell in cells.items()}
        rows.append({"row": short(row), "rowLabel": row.label or None, **shown})
    return Table.of_values(["row", "rowLabel", *(name for name, _ in named)], rows)


def _ends(cell: Cell) -> Json:
    """Return what tells a cell: of its row and its column the IRI, notation and label."""
    ends: Json = {}
    for side, item in zip(SIDES, (cell.row, cell.column), strict=True):
        ends |= {side: item.iri, f"{side}Notation": item.notation or None, f"{side}Label": item.label or None}
    return ends


def _cells(found: Matrix) -> Table:
    rows = []
    for cell in (found.cell(row, column) for row in found.rows for column in found.columns):
        note = vars(cell.note) if cell.note else {}
        states = ", ".join(f"{number} {state}" for state, number in cell.states.items())
        said = {"count": cell.count, "state": cell.state, "states": states or None}
        said |= {"address": found.address(cell)} if cell.state != EMPTY else {}
        rows.append(_ends(cell) | said | note)
    told = ["count", "state", "states", "text", "quote", "document", "section", "line", "address"]
    return Table.of_values([*_ends(_NO_CELL), *told], rows)


_NO_CELL = Cell(Item(""), Item(""))


def _evidence(found: Matrix) -> Table:
    """Return a row for each link or thing that a cell counts; of a thing, its links to row and column stand side by side."""
    rows, told = [], dict[str, None]()
    for cell in found.cells.values():
        for each in cell.evidence:
            row: Json = {"state": each.state}
            if each.thing:
                row |= {"thing": each.thing.iri, "thingNotation": each.thing.notation, "thingLabel": each.thing.label}
            for prefix, link in zip(SIDES if len(each.links) > 1 else ("",), each.links, strict=True):
                row |= {_joined(prefix, name): value for name, value in _link(found, link).items()}
            told |= dict.fromkeys(row)
            rows.append(_ends(cell) | row)
    return Table.of_values([*_ends(_NO_CELL), *told], rows)


def _joined(prefix: str, name: str) -> str:
    return f"{prefix}{name[0].upper()}{name[1:]}" if prefix else name


def _link(found: Matrix, link: Link) -> Json:
    return vars(link) | {"because": because(found, link)}


def _document(found: Matrix) -> Json:
    return {
        "id": found.page.link(found.page.number),
        "title": found.page.title,
        "counts": COUNTS[found.through],
        "basis": found.basis,
        "totalItems": found.page.total,
        **found.page.links(),
        "rows": [_thing(row) for row in found.rows],
        "columns": [_thing(column) for column in found.columns],
        "unlistedCells": EMPTY,
        "cells": [
            {
                "row": cell.row.iri,
                "column": cell.column.iri,
                "count": cell.count,
                "state": cell.state,
                "states": cell.states,
                "id": found.address(cell),
                **({"note": vars(cell.note)} if cell.note else {}),
                "evidence": [_reason(found, each) for each in cell.evidence],
            }
            for row in found.rows
            for column in found.columns
            if (cell := found.cell(row, column)).state != EMPTY
        ],
    }


def _reason(found: Matrix, each: Evidence) -> dict[str, Any]:
    thing = {"thing": _thing(each.thing)} if each.thing else {}
    return {"state": each.state, **thing, "links": [_link(found, link) for link in each.links]}


def _thing(item: Item) -> Json:
    texts = {"notation": item.notation, "label": item.label, "plan": item.plan}
    return {"id": item.iri} | {name: text for name, text in texts.items() if text}
