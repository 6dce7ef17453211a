"""Where a thing comes from and what became of it: the chain over all plans, with what changed at each step."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from weakref import WeakKeyDictionary

from itukg import names
from itukg.engine.store import Row, Store, rows
from itukg.errors import NotFound
from itukg.formats import CSV, HTML, JSON, PICTURE_FORMATS, XLSX, Format, write_json
from itukg.rdf.jsonld import natural
from itukg.tables import Table, write_workbook
from itukg.views.succession import (
    LINK_COLUMNS,
    Link,
    Statement,
    by_change,
    compared,
    evidence,
    link_cells,
    links_of,
    plans,
    reached,
    statements,
    text,
    values,
)
from itukg.views.thing import is_iri, is_told
from itukg.views.words import Run, as_html, word_diff

LINEAGE_FORMATS = (JSON, HTML, CSV, XLSX, *PICTURE_FORMATS)
"""Syntaxes of an answer, best first; the page is written by `views/changed.py`, pictures by `views/network.py`."""
TEXT = Format("text/plain", ".text")
"""The syntax of a terminal."""

_CLOSE = tuple(names.ITU + name for name in ("restates", "revises"))
"""The successions that keep a sentence; all others are loose."""
_KINDS = ", ".join(f"<{kind}>" for kind in names.SUCCESSION)
_COLUMNS = (
    "relation", "newerPlan", "newer", "newerLabel", "newerDefinition", "newerDocument", "newerLine", "olderPlan", "older",
    "olderLabel", "olderDefinition", "olderDocument", "olderLine", "sameWords", "confidence", "rationale", "strength", "between",
    "runs", "html", *LINK_COLUMNS, "newerId", "olderId",
)  # fmt: skip


@dataclass(frozen=True)
class Note:
    """What a reader noted of a thing: that it has no predecessor, or no successor, in a plan."""

    kind: str
    plan: str
    rationale: str


@dataclass(frozen=True)
class Step:
    """One succession: how a newer thing takes up an older one, and what changed in words and links.

    `strength` is "loose" where the thing at hand reaches the step only by what is merged, split or put in other words: a
    side branch. `between` names the things of the chain that lie between the two.
    """

    newer: Statement
    older: Statement
    relation: str
    predicate: str
    same_words: bool | None
    confidence: str | None
    rationale: str
    strength: str
    between: tuple[str, ...]
    runs: tuple[Run, ...]
    links: tuple[Link, ...]

    @property
    def html(self) -> str:
        """The change of words as HTML."""
        return as_html(self.runs)


@dataclass(frozen=True)
class Lineage:
    """The chain of a thing: its plans, newest first, its steps in their order, and what was noted of the thing."""

    thing: Statement
    plans: tuple[str, ...]
    steps: tuple[Step, ...]
    notes: tuple[Note, ...]


async def lineage(
    store: Store, iri: str, terms: Mapping[str, str], *, plan: str | None = None, basis: str | None = None
) -> Lineage:
    """Return the chain of a thing over all plans, both ways; `terms` is what a relation is called.

    `plan` leaves only the steps from or to it, and `basis` only links of that basis; both are IRIs. A thing that takes
    up nothing and that nothing takes up has no steps. Raises NotFound for what the graph does not speak of.
    """
    if not is_iri(iri) or not await is_told(store, iri):
        raise NotFound(
            f"Nothing is known of <{iri}>. Name a thing by its path, as in /id/<plan>/<kind>/<code>; things are found at /search."
        )
    if (every := _every.get(store)) is None:
        every = _every[store] = await rows(store, _STEPS)
    ways = (("newer", "older"), ("older", "newer"))
    chain = {iri}.union(*(reached(iri, _steps_of(every, *ends)) for ends in ways))
    judged = [row for row in every if {row[end].value for end in ("newer", "older")} <= chain]
    order = {each: place for place, each in enumerate((await plans(store))[0])}
    told = await statements(store, chain)
    bases = await links_of(store, values(chain), basis)
    close = [row for row in judged if row["how"].value in _CLOSE]
    near = {iri} | reached(iri, _steps_of(close, "newer", "older")) | reached(iri, _steps_of(close, "older", "newer"))
    before = _steps_of(judged, "newer", "older")
    older_than = {each: reached(each, before) for each in chain}
    plan_of = {row[end].value: row[f"{end}Plan"].value for row in judged for end in ("newer", "older")}

    def step(row: Row) -> Step:
        newer, older = row["newer"].value, row["older"].value
        between = sorted((each for each in older_than[newer] if older in older_than[each]), key=natural)
        is_close = row["how"].value in _CLOSE and {newer, older} <= near
        return Step(
            told[newer],
            told[older],
            terms.get(row["how"].value, names.shorten(row["how"].value)),
            row["how"].value,
            row["same"].value == "true" if "same" in row else None,
            text(row, "confidence"),
            row["rationale"].value,
            "close" if is_close else "loose",
            tuple(between),
            word_diff(told[older].words, told[newer].words),
            compared(bases, newer, older),
        )

    def place(row: Row) -> tuple[Any, ...]:
        ends = [row[end].value for end in ("newer", "older")]
        return *(order[plan_of[end]] for end in ends), *(natural(end) for end in ends)

    steps = [step(row) for row in sorted(judged, key=place) if plan in (None, *(row[p].value for p in _PLANS))]
    passed = sorted({plan_of[iri] for iri in plan_of}, key=order.__getitem__)
    return Lineage(told[iri], tuple(passed), tuple(steps), tuple((await notes_of(store, [iri], terms)).get(iri, ())))


_PLANS = ("newerPlan", "olderPlan")


_every: WeakKeyDictionary[Store, list[Row]] = WeakKeyDictionary()
"""Every step of a release, which most of the time of a chain would go into."""
_STEPS = f"""{names.PROLOGUE}SELECT ?newer ?older ?newerPlan ?olderPlan ?how ?same ?confidence ?rationale WHERE {{
  ?linkage itu:subject ?newer ; itu:object ?older ; itu:basis itu:judged ; itu:predicate ?how ; itu:rationale ?rationale .
  FILTER(?how IN ({_KINDS}))
  ?newer itu:plan ?newerPlan . ?older itu:plan ?olderPlan .
  OPTIONAL {{ ?linkage itu:sameWords ?same }} OPTIONAL {{ ?linkage itu:confidence ?confidence }}
}}"""
"""The query of every step of every chain: paths over `itu:succeeds` lose steps on Virtuoso 7.2, so chains are followed here."""


async def notes_of(store: Store, things: Iterable[str], terms: Mapping[str, str]) -> dict[str, list[Note]]:
    """Return what was noted of things: in which plans a reader looked for what they take up, or what takes them up, in vain."""
    found = await rows(
        store,
        f"""{names.PROLOGUE}SELECT ?thing ?kind ?plan ?rationale WHERE {{
  GRAPH <{names.graph("lineage")}> {{ {values(things)} ?note itu:about ?thing ; a ?kind ; itu:plan ?plan ; itu:rationale ?rationale }}
}} ORDER BY ?thing ?kind ?plan""",
    )
    notes = defaultdict[str, list[Note]](list)
    for row in found:
        kind = row["kind"].value
        note = Note(terms.get(kind, names.shorten(kind)), row["plan"].value, row["rationale"].value)
        notes[row["thing"].value].append(note)
    return notes


def _steps_of(rows_: Collection[Row], start: str, end: str) -> Mapping[str, list[str]]:
    """Return to what each thing leads by the rows, from one end to the other."""
    found = defaultdict[str, list[str]](list)
    for row in rows_:
        found[row[start].value].append(row[end].value)
    return found


# --- written ---


async def write_lineage(store: Store, found: Lineage, syntax: Format, *, basis: str | None = None) -> bytes:
    """Write a chain as JSON, CSV, XLSX or TEXT; a workbook has the evidence of all links as its second sheet."""
    if syntax is JSON:
        return write_json(as_json(found))
    if syntax is TEXT:
        return _text(found).encode()
    table = Table.of_values(_COLUMNS, map(_row, found.steps))
    if syntax is not XLSX:
        return table.write(syntax)
    chain = {found.thing.iri, *(end.iri for step in found.steps for end in (step.newer, step.older))}
    return await asyncio.to_thread(
        write_workbook, {"lineage": table, "evidence": await evidence(store, values(chain), basis)}
    )


def as_json(found: Lineage) -> dict[str, Any]:
    """Return a chain as JSON has it."""
    steps = [
        {
            "newer": asdict(step.newer),
            "older": asdict(step.older),
            "relation": step.relation,
            "sameWords": step.same_words,
            "confidence": step.confidence,
            "rationale": step.rationale,
            "strength": step.strength,
            "between": step.between,
            "runs": [asdict(run) for run in step.runs],
            "html": step.html,
            **by_change(step.links),
        }
        for step in found.steps
    ]
    notes = [asdict(note) for note in found.notes]
    return {"thing": asdict(found.thing), "plans": found.plans, "steps": steps, "notes": notes}


def _row(step: Step) -> dict[str, Any]:
    ends: dict[str, Any] = {}
    for name, end in (("newer", step.newer), ("older", step.older)):
        document = names.shorten(end.document) if end.document else None
        ends |= {f"{name}Plan": end.plan, name: end.notation, f"{name}Label": end.label, f"{name}Id": end.iri}
        ends |= {f"{name}Definition": end.definition, f"{name}Document": document, f"{name}Line": end.line}
    return ends | {
        "relation": step.relation,
        "sameWords": step.same_words,
        "confidence": step.confidence,
        "rationale": step.rationale,
        "strength": step.strength,
        "between": " ".join(map(names.shorten, step.between)) or None,
        "runs": json.dumps([[run.op, run.text] for run in step.runs], ensure_ascii=False),
        "html": step.html,
        **link_cells(step.links),
    }


_MARKS = {"equal": "{}", "deleted": "[-{}-]", "inserted": "{{+{}+}}"}
"""How words are marked in plain text, as `git diff --word-diff` does."""


def _text(found: Lineage) -> str:
    lines = [f"{found.thing.name}: {found.thing.words}"]
    for step in found.steps:
        side = " (side branch)" if step.strength == "loose" else ""
        lines += ["", f"{step.newer.name} {step.relation} {step.older.name}{side}"]
        lines += ["  " + "".join(_MARKS[run.op].format(run.text) for run in step.runs), f"  {step.rationale}"]
        lines += [f"  {LINK_COLUMNS[column]}: {cell}" for column, cell in link_cells(step.links).items()]
    if not found.steps:
        lines += ["", "It takes up nothing of an older plan, and no newer plan takes it up."]
    lines += [f"{note.kind}, {names.shorten(note.plan)}: {note.rationale}" for note in found.notes]
    return "\n".join(lines) + "\n"
