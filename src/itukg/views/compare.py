"""What a newer plan takes up, adds and drops of an older one, and which links it gains and loses with each."""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from itukg import names
from itukg.engine.store import Row, Store, rows
from itukg.errors import BadRequest
from itukg.formats import CSV, HTML, JSON, XLSX, Format, write_json
from itukg.queries import SavedQuery
from itukg.rdf.jsonld import Json, natural
from itukg.tables import Table, Write, write_workbook
from itukg.views.succession import (
    LINK_COLUMNS,
    Link,
    Statement,
    by_change,
    changes,
    compared,
    evidence,
    link_cells,
    links_of,
    plans,
    statements,
    text,
    values,
)

COMPARE_FORMATS = (JSON, HTML, CSV, XLSX)
"""Syntaxes of an answer, best first; the page is written by `views/changed.py`."""
SENT_FORMATS = (JSON, CSV, XLSX)
"""Those of a comparison with a plan that was sent, whose things have no pages."""
CHANGES = "changes-between-plans"
"""The saved query that finds the rows, here and for `itukg diff`."""
CHANGE_COLUMNS = ("change", "newer", "newerLabel", "older", "olderLabel", "sameWords", "confidence", "rationale")
"""The columns of the saved query."""
KINDS = ("restates", "revises", "merges", "splits", "succeeds", "takes up through others", "adds", "drops")
"""The kinds of changes, as the saved query calls them, from what stays to what goes."""


@dataclass(frozen=True)
class Change:
    """A row of the saved query: codes and labels as `told`, the IRIs of the things, and the links gained, lost and kept."""

    told: dict[str, str | None]
    newer: str | None
    older: str | None
    links: tuple[Link, ...]

    @property
    def ends(self) -> tuple[tuple[str, str | None], tuple[str, str | None]]:
        """The older and the newer thing, each after the word that its columns begin with."""
        return ("older", self.older), ("newer", self.newer)


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

    def only(self, kind: str | None) -> "Comparison":
        """Return it with only the changes of one of KINDS, or with all. Raises BadRequest for an unknown kind."""
        if kind is None:
            return self
        if kind not in KINDS:
            raise BadRequest(f'No change "{kind[:80]}"; known: {", ".join(KINDS)}.')
        return replace(self, changes=tuple(each for each in self.changes if each.told["change"] == kind))


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


WORDS = "has the same words as"
"""The change of a sent thing that is said to take up nothing, and has the words of a thing of ours."""


async def compare_sent(
    store: Store, sent: Mapping[str, Any], plan: str, terms: Mapping[str, str], *, basis: str | None = None
) -> Comparison:
    """Compare a plan that was sent, as `read_plan` returns it, with one of ours as the older of the two.

    What the sent plan says it takes up counts; of the rest, what has the words of a thing of ours is shown beside it, and
    adds to our plan otherwise. Of ours, what it takes up nothing of is dropped, among things of the classes that were sent.
    """
    things = f"?thing itu:plan <{plan}> ."
    classes = sorted({kind for each in sent["things"] for kind in each["classes"]})
    kinds = f"{things} ?thing a ?kind FILTER(?kind IN ({', '.join(f'<{kind}>' for kind in classes)}))"
    found, ours = await asyncio.gather(
        rows(store, f"{names.PROLOGUE}SELECT DISTINCT ?thing WHERE {{ {kinds} }}"), links_of(store, things, basis)
    )
    older = await statements(store, [row["thing"].value for row in found] or [plan])
    bases: dict[str, dict[str, str]] = {iri: dict(links) for iri, links in ours.items()}
    for link in sent["links"]:
        of = (link["basis"] or names.ITU + "stated").removeprefix(names.ITU)
        if basis in (None, names.ITU + of):
            bases.setdefault(link["thing"], {})[link["object"]] = of
    same = {_plain(each.label): each for each in older.values()}
    taken = [each for each in sent["successions"] if each["older"].startswith(f"{plan}/")]
    other = await statements(store, [each["older"] for each in taken]) if taken else {}

    def change(kind: str, new: Json | None, old: Statement | None, **said: str | None) -> Change:
        told: dict[str, str | None] = dict.fromkeys(CHANGE_COLUMNS) | {"change": kind} | said
        if new:
            told |= {"newer": new["notation"], "newerLabel": new["label"]}
        if old:
            told |= {"older": old.notation, "olderLabel": old.label}
        newer, older_ = new["iri"] if new else None, old.iri if old else None
        return Change(told, newer, older_, compared(bases, newer, older_))

    made, used = [], {each["older"] for each in taken}
    for new in sent["things"]:
        steps = [each for each in taken if each["newer"] == new["iri"] and each["older"] in other]
        for each in steps:
            word = terms.get(each["predicate"], names.shorten(each["predicate"]))
            made.append(
                change(word, new, other[each["older"]], rationale=each["rationale"], confidence=each["confidence"])
            )
        if not steps:
            old = same.get(_plain(new["label"]))
            used |= {old.iri} if old else set()
            made.append(change(WORDS if old else "adds", new, old, sameWords="true" if old else None))
    left = sorted(
        (each for iri, each in older.items() if iri not in used and iri != plan), key=lambda each: natural(each.iri)
    )
    return Comparison(plan, SENT, (*made, *(change("drops", None, each) for each in left)))


SENT = "urn:itukg:sent"
"""What a plan that was sent is called in an answer."""


def _plain(words: str) -> str:
    return " ".join(words.casefold().split()).rstrip(".;:")


async def write_comparison(
    store: Store, found: Comparison, syntax: Format, *, basis: str | None = None, write: Write = asyncio.to_thread
) -> bytes:
    """Write a comparison in one of SENT_FORMATS; a workbook, by `write`, has the evidence of all links as its second sheet."""
    if syntax is JSON:
        return write_json(as_json(found))
    table = Table.of_values((*CHANGE_COLUMNS, *LINK_COLUMNS, "newerId", "olderId"), map(_row, found.changes))
    if syntax is not XLSX:
        return table.write(syntax)
    things = {iri for change in found.changes for iri in (change.newer, change.older) if iri}
    sheets = {"changes": table, "evidence": await evidence(store, values(things), basis)}
    return await write(write_workbook, sheets)


def as_json(found: Comparison) -> dict[str, Any]:
    """Return a comparison as JSON has it."""
    rows_: list[Json] = [
        {name: value for name, value in change.told.items() if value is not None}
        | {"newerId": change.newer, "olderId": change.older}
        | by_change(change.links)
        for change in found.changes
    ]
    for row in rows_:
        if "sameWords" in row:
            row["sameWords"] = row["sameWords"] == "true"
    return {"older": found.older, "newer": found.newer, "counts": found.counts, "changes": rows_}


def _row(change: Change) -> dict[str, Any]:
    return {**change.told, **link_cells(change.links), "newerId": change.newer, "olderId": change.older}
