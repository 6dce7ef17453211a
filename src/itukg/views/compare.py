"""What a newer plan takes up, adds and drops of an older one, and which links it gains and loses with each."""

import asyncio
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from itukg import names
from itukg.engine.store import Row, Store
from itukg.errors import BadRequest
from itukg.formats import CSV, HTML, JSON, XLSX, Format, write_json
from itukg.pages import render
from itukg.queries import SavedQuery
from itukg.tables import Table, write_workbook
from itukg.views.succession import (
    LINK_COLUMNS,
    Link,
    by_change,
    changes,
    compared,
    evidence,
    link_cells,
    links_of,
    plans,
    text,
    values,
)

COMPARE_FORMATS = (JSON, HTML, CSV, XLSX)
"""Syntaxes of an answer, best first."""
CHANGES = "changes-between-plans"
"""The saved query that finds the rows, here and for `itukg diff`."""
CHANGE_COLUMNS = ("change", "newer", "newerLabel", "older", "olderLabel", "sameWords", "confidence", "rationale")
"""The columns of the saved query."""


@dataclass(frozen=True)
class Change:
    """A row of the saved query: codes and labels as `told`, the IRIs of the things, and the links gained, lost and kept."""

    told: dict[str, str | None]
    newer: str | None
    older: str | None
    links: tuple[Link, ...]


@dataclass(frozen=True)
class Comparison:
    """What became of an older plan in a newer one, both IRIs."""

    older: str
    newer: str
    changes: tuple[Change, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many changes there are of each kind."""
        return dict(sorted(Counter(change.told["change"] or "" for change in self.changes).items()))


async def compare(
    store: Store, query: SavedQuery, a: str, b: str, *, things: Collection[str] | None = None, basis: str | None = None
) -> Comparison:
    """Compare two plans, given by their IRIs in any order, by the saved query CHANGES; the graph knows which is older.

    `things` leaves only rows of these, and `basis` only links of that basis. Raises NotFound where the two have nothing
    in common, and BadRequest for a plan with itself.
    """
    if a == b:
        raise BadRequest(f"a and b are the same plan, {names.shorten(a)}; name two.")
    order, _ = await plans(store)
    newer, older = sorted((a, b), key=lambda plan: order.index(plan) if plan in order else len(order))
    things_of_both = f"VALUES ?plan {{ <{older}> <{newer}> }} ?thing itu:plan ?plan ."
    found, bases = await asyncio.gather(changes(store, query, older, newer), links_of(store, things_of_both, basis))

    def change(row: Row) -> Change:
        new, old = text(row, "new"), text(row, "old")
        return Change({name: text(row, name) for name in CHANGE_COLUMNS}, new, old, compared(bases, new, old))

    made = (change(row) for row in found)
    return Comparison(older, newer, tuple(c for c in made if things is None or {c.newer, c.older} & {*things}))


async def write_comparison(store: Store, found: Comparison, syntax: Format, *, basis: str | None = None) -> bytes:
    """Write a comparison in one of COMPARE_FORMATS; a workbook has the evidence of all links as its second sheet."""
    if syntax is HTML:
        return render("compare.html", found=found, link_columns=LINK_COLUMNS, cells=link_cells)
    if syntax is JSON:
        return write_json(as_json(found))
    table = Table.of_values((*CHANGE_COLUMNS, *LINK_COLUMNS, "newerId", "olderId"), map(_row, found.changes))
    if syntax is not XLSX:
        return table.write(syntax)
    things = {iri for change in found.changes for iri in (change.newer, change.older) if iri}
    sheets = {"changes": table, "evidence": await evidence(store, values(things), basis)}
    return await asyncio.to_thread(write_workbook, sheets)


def as_json(found: Comparison) -> dict[str, Any]:
    """Return a comparison as JSON has it."""
    rows = [
        {name: value for name, value in change.told.items() if value is not None}
        | {"newerId": change.newer, "olderId": change.older}
        | by_change(change.links)
        for change in found.changes
    ]
    return {"older": found.older, "newer": found.newer, "counts": found.counts, "changes": rows}


def _row(change: Change) -> dict[str, Any]:
    return {**change.told, **link_cells(change.links), "newerId": change.newer, "olderId": change.older}
