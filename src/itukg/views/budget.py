"""Money: what the amounts of a plan are for, printed beside computed, and what they serve by a rule that the answer names.

The amounts that are divided are those of the smallest things that the document prints one for. A thing serves what it is
linked with, or an outcome of it is, by its best link; what is linked with nothing is a row of its own.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any

from itukg import names
from itukg.engine.store import Store, texts
from itukg.errors import BadRequest, NotFound
from itukg.formats import CSV, HTML, JSON, XLSX, Format, write_json
from itukg.pages import render, thousands
from itukg.rdf.jsonld import Json, natural
from itukg.release.overview import Overview
from itukg.tables import Table, write_workbook
from itukg.views.linked import STATES, Link, because_address, links_by
from itukg.views.listing import Item, chosen_value
from itukg.views.succession import statements

BUDGET_FORMATS = (JSON, HTML, CSV, XLSX)
"""Syntaxes of a budget, best first."""
BY = {
    "priority": "",
    "topic": "",
    "category": "itu:offersOutput",
    "goal": "itu:contributesToSDG",
    "target": "itu:contributesToSDGTarget",
    "actionLine": "itu:contributesToActionLine",
}
"""What a budget is divided by, and the property that links things with it, where it is divided by links."""
RULES = {
    "whole": "Each row counts the whole of each amount that serves it, so that the rows overlap and must not be added.",
    "equal": "Each amount is shared equally among what it serves, so that the rows add up to the total.",
    "by-count": "Each amount is shared among its Goals by the number of targets that it serves of each, at least one, so that the rows add up to the total.",
}
"""How an amount that serves several is counted."""
UNLINKED, PRINTED = "unlinked", "printed"
"""The states of money that serves nothing, and of money by what the document prints it for."""
STATES_OF_MONEY = (PRINTED, *STATES, UNLINKED)
"""What an amount's place in a row rests on, best first."""
TOLERANCE = Decimal("0.06")
"""Percentage points by which a printed share may differ from the computed one by rounding."""


@dataclass(frozen=True)
class Line:
    """An amount that the document prints for a thing, in whole units of the currency, with its place."""

    thing: Item
    amount: Decimal
    currency: str
    of: str
    """The plan that the thing is of."""
    above: str | None
    printed_amount: str | None
    printed_share: str | None
    share: Decimal | None
    document: str
    section: str
    line: int
    called: str | None = None
    """The title of the document."""


@dataclass(frozen=True)
class Part:
    """A part of an amount that counts in a row, and the link by which it does: none where it serves nothing, or is printed."""

    line: Line
    hundredths: int
    link: Link | None = None

    @property
    def state(self) -> str:
        """One of STATES_OF_MONEY."""
        return self.link.state if self.link else UNLINKED


@dataclass(frozen=True)
class Share:
    """A row: what it is, the money that counts in it, and where the document prints an amount for it, that line.

    `states` is how much rests on what, in hundredths; `computed` the sum of the amounts printed for its parts.
    """

    item: Item
    states: Mapping[str, int]
    parts: tuple[Part, ...]
    line: Line | None = None
    computed: Decimal | None = None
    below: "tuple[Share, ...]" = ()
    """Its parts for which the document prints amounts."""

    @property
    def hundredths(self) -> int:
        """The money that counts, in hundredths of the currency's unit."""
        return sum(self.states.values())


@dataclass(frozen=True)
class Budget:
    """The money of a plan by something: the rows in natural order, what serves nothing last."""

    plan: Item
    by: str
    rule: str
    total: Decimal
    currency: str
    rows: tuple[Share, ...]
    basis: str | None = None
    """The basis of the links that count; None for all."""
    notes: tuple[str, ...] = ()
    """What the document notes of the plan."""

    def percent(self, row: Share) -> float:
        """Return how many per cent of the total a row is."""
        return round(row.hundredths / float(self.total), 2)

    def agrees(self, row: Share) -> bool | None:
        """Tell whether the printed share is the computed one but for rounding; None where none is printed."""
        if row.line is None or row.line.share is None:
            return None
        return abs(row.line.share - row.line.amount * 100 / self.total) < TOLERANCE


async def budget(
    store: Store, overview: Overview, by: str, *, rule: str = "whole", plan: str | None = None, basis: str | None = None
) -> Budget:
    """Return the money of a plan by one of BY, divided by one of RULES; `plan` and `basis` are named as in lists.

    Without `plan` it is the newest with amounts; `basis` leaves only links of that basis. Raises BadRequest for what is
    not known, and NotFound for a plan without amounts.
    """
    for name, text, known in (("by", by, BY), ("rule", rule, RULES)):
        if text not in known:
            raise BadRequest(f'No {name} "{text[:80]}"; known: {", ".join(known)}.')
    if not BY[by] and (rule != "whole" or basis):
        raise BadRequest(f"by={by} shows what is printed and counts no links; leave out rule and basis.")
    if rule == "by-count" and by != "goal":
        raise BadRequest("The rule by-count shares an amount by SDG targets; use it with by=goal, or the rule equal.")
    chosen = chosen_value("plan", plan, overview.values["plan"]) if plan else None
    of = chosen_value("basis", basis, overview.values["basis"]) if basis else None
    lines = await _lines(store, chosen)
    if not lines:
        raise NotFound(
            f"{names.shorten(chosen) if chosen else 'No plan'} has no amounts; without plan, the newest that has answers."
        )
    known_plans = {
        value.iri: Item(value.iri, notation=value.notation, label=value.label) for value in overview.values["plan"]
    }
    of_plan = known_plans[lines[0].thing.plan]
    parents = {line.above for line in lines}
    leaves = [line for line in lines if line.thing.iri not in parents]
    tops = [line for line in lines if line.above not in {each.thing.iri for each in lines}]
    total = sum((line.amount for line in tops), Decimal())
    if BY[by]:
        rows = await _linked(store, leaves, by, rule, of)
    else:
        rows = [_printed(line, lines) for line in (tops if by == "priority" else leaves)]
    noted = await texts(
        store, f"{names.PROLOGUE}SELECT ?note WHERE {{ <{of_plan.iri}> skos:note ?note }} ORDER BY ?note"
    )
    notes = tuple(row["note"] for row in noted)
    return Budget(of_plan, by, rule, total, lines[0].currency, tuple(rows), of and of.removeprefix(names.ITU), notes)


async def _lines(store: Store, plan: str | None) -> list[Line]:
    chosen = f"FILTER(?of = <{plan}>)" if plan else ""
    found = await texts(
        store,
        f"""{names.PROLOGUE}SELECT * WHERE {{
  ?budget itu:budgetFor ?thing ; itu:plan ?of ; itu:amount ?amount ; itu:currency ?currency ;
          dcterms:source ?document ; itu:section ?section ; itu:line ?line . {chosen}
  OPTIONAL {{ ?of itu:startYear ?year }} OPTIONAL {{ ?document rdfs:label ?called }}
  OPTIONAL {{ ?thing skos:notation ?notation }} OPTIONAL {{ ?thing rdfs:label ?label }}
  OPTIONAL {{ ?thing itu:topicOf|itu:partOf ?above }} OPTIONAL {{ ?thing itu:plan ?ofThing }}
  OPTIONAL {{ ?budget itu:printedAmount ?printed }} OPTIONAL {{ ?budget itu:printedShareOfTotal ?printedShare }}
  OPTIONAL {{ ?budget itu:statedShareOfTotal ?share }}
}}""",
    )
    newest = max(((row.get("year", ""), row["of"]) for row in found), default=None)
    lines = [
        Line(
            Item(row["thing"], notation=row.get("notation", ""), label=row.get("label", ""), plan=row["of"]),
            Decimal(row["amount"]),
            row["currency"],
            row.get("ofThing", ""),
            row.get("above"),
            row.get("printed"),
            row.get("printedShare"),
            Decimal(row["share"]) if "share" in row else None,
            row["document"],
            row["section"],
            int(row["line"]),
            row.get("called"),
        )
        for row in found
        if (row.get("year", ""), row["of"]) == newest
    ]
    return sorted(lines, key=lambda line: line.line)


def _printed(line: Line, lines: Sequence[Line]) -> Share:
    below = tuple(_printed(each, lines) for each in lines if each.above == line.thing.iri)
    part = Part(line, int(line.amount * 100))
    computed = sum((each.line.amount for each in below if each.line), Decimal()) if below else None
    return Share(line.thing, {PRINTED: part.hundredths}, (part,), line, computed, below)


async def _linked(store: Store, leaves: Sequence[Line], by: str, rule: str, basis: str | None) -> list[Share]:
    links = await _links(store, leaves, BY[by], basis)
    targets = await _links(store, leaves, BY["target"], basis) if rule == "by-count" else {}
    goals = {row["target"]: row["goal"] for row in await texts(store, names.PROLOGUE + _GOALS)} if targets else {}
    ends = sorted({end for served in links.values() for end in served})
    items = {
        iri: Item(iri, notation=said.notation or "", label=said.label)
        for iri, said in (await statements(store, ends)).items()
    }
    items[""] = Item("", label="Linked with none")
    parts = defaultdict[str, list[Part]](list)
    for leaf in leaves:
        served, hundredths = links[leaf.thing.iri], int(leaf.amount * 100)
        counted = Counter(goals.get(target) for target in targets.get(leaf.thing.iri, ()))
        weights = {end: max(1, counted[end]) for end in served}
        counts = dict.fromkeys(served, hundredths) if rule == "whole" else _divided(hundredths, weights)
        for end, link in served.items():
            parts[end].append(Part(leaf, counts[end], link))
        if not served:
            parts[""].append(Part(leaf, hundredths))
    return [
        Share(items[end], _by_state(parts[end]), tuple(parts[end]))
        for end in sorted(parts, key=lambda end: (end == "", natural(items[end].notation), end))
    ]


def _by_state(parts: Sequence[Part]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for part in parts:
        found[part.state] += part.hundredths
    return {state: found[state] for state in STATES_OF_MONEY if state in found}


_GOALS = "SELECT ?target ?goal WHERE { ?target sdgo:isTargetOf ?goal }"


async def _links(store: Store, leaves: Sequence[Line], property_: str, basis: str | None) -> dict[str, dict[str, Link]]:
    """Return what each thing with an amount serves: itself, or through its outcomes, by the best link.

    A statement that speaks of all, such as of all SDGs, counts only for what serves nothing else.
    """
    outcomes = texts(store, f"{names.PROLOGUE}SELECT ?thing ?of WHERE {{ ?thing itu:outcomeOf ?of }}")
    plans = sorted({leaf.of for leaf in leaves})
    linked = asyncio.gather(*(links_by(store, property_, plan) for plan in plans))
    rows, by_plan = await asyncio.gather(outcomes, linked)
    counts_for = {leaf.thing.iri: leaf.thing.iri for leaf in leaves}
    counts_for |= {row["thing"]: row["of"] for row in rows if row["of"] in counts_for}
    found: dict[str, dict[str, Link]] = {leaf.thing.iri: {} for leaf in leaves}
    wholes: dict[str, dict[str, Link]] = {leaf.thing.iri: {} for leaf in leaves}
    for each in sorted((each for links in by_plan for each in links), key=lambda each: each.link.rank):
        if basis in (None, names.ITU + each.link.basis) and each.thing.iri in counts_for:
            of = counts_for[each.thing.iri]
            (wholes if each.whole else found)[of].setdefault(each.end, each.link)
    return {of: links or wholes[of] for of, links in found.items()}


def _divided(hundredths: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Return an amount divided by weights in whole hundredths, which add up to it: the largest remainders round up."""
    exact = {end: Fraction(hundredths * weight, sum(weights.values())) for end, weight in weights.items()}
    rounded = {end: int(part) for end, part in exact.items()}
    missing = hundredths - sum(rounded.values())
    for end in sorted(exact, key=lambda end: (rounded[end] - exact[end], end))[:missing]:
        rounded[end] += 1
    return rounded


# --- written ---


def write_budget(found: Budget, at: str, syntax: Format, query: str = "") -> bytes:
    """Write a budget in one of BUDGET_FORMATS; `at` is the address of the service, where chains are explained.

    `query` is the query string by which a page asks for its other syntaxes.
    """
    because = partial(because_address, at, query=query)
    if syntax is HTML:
        linked = bool(BY[found.by])
        pages = {"found": found, "linked": linked, "states": STATES_OF_MONEY, "rules": RULES, "query": query}
        decimals = 2 if any(row.hundredths % 100 for row in found.rows) else 0
        pages["money"] = partial(_shown, decimals=decimals)
        return render("budget.html", because=partial(because_address, "", query=query), **pages)
    if syntax is JSON:
        return write_json(_document(found, because))
    columns = list(dict.fromkeys(name for row in found.rows for name in _row(found, row)))
    table = Table.of_values(columns, (_row(found, row) for row in found.rows))
    if syntax is CSV:
        return table.write(CSV)
    evidence = [_part(row, part, because) for row in found.rows for part in row.parts]
    names_ = dict.fromkeys(name for row in evidence for name in row)
    return write_workbook({"budget": table, "evidence": Table.of_values(names_, evidence)})


def _shown(hundredths: int, decimals: int) -> str:
    """Return hundredths as people read an amount."""
    return thousands(hundredths / 100, decimals)


def _money(hundredths: int) -> int | float:
    """Return hundredths as an amount: a whole number where it is one."""
    return hundredths // 100 if hundredths % 100 == 0 else hundredths / 100


def _column(state: str) -> str:
    """Return the name of the column of a state: "derivedClose"."""
    first, *others = state.split()
    return first + "".join(word.capitalize() for word in others)


def _row(found: Budget, row: Share) -> Json:
    said: Json = {"id": row.item.iri or None, "code": row.item.notation or None, "label": row.item.label}
    said |= {"amount": _money(row.hundredths), "currency": found.currency, "percentOfTotal": found.percent(row)}
    if row.line is None:
        return said | {_column(state): _money(row.states.get(state, 0)) for state in (*STATES, UNLINKED)}
    computed = None if row.computed is None else _money(int(row.computed * 100))
    printed = {
        "printedAmount": row.line.printed_amount,
        "sumOfParts": computed,
        "printedPercentOfTotal": row.line.printed_share,
    }
    place = {"document": row.line.document, "section": row.line.section, "line": row.line.line}
    return said | printed | {"agrees": found.agrees(row)} | place


def _part(row: Share, part: Part, because: Callable[[Link], str]) -> Json:
    said: Json = {"id": row.item.iri or None, "code": row.item.notation or None, "counts": _money(part.hundredths)}
    said |= {"thing": part.line.thing.iri, "thingCode": part.line.thing.notation, "thingLabel": part.line.thing.label}
    said |= {
        "printedAmount": part.line.printed_amount,
        "printedSection": part.line.section,
        "printedLine": part.line.line,
    }
    if part.link is None:
        return said | {"state": PRINTED if row.line else UNLINKED}
    return said | {"state": part.state} | vars(part.link) | {"because": because(part.link)}


def _document(found: Budget, because: Callable[[Link], str]) -> dict[str, Any]:
    def filled(row: Json) -> Json:
        return {name: value for name, value in row.items() if value is not None}

    return {
        "plan": found.plan.iri,
        "by": found.by,
        "rule": found.rule if BY[found.by] else None,
        "ruleInWords": RULES[found.rule] if BY[found.by] else "Each amount counts for what the document prints it for.",
        "basis": (found.basis or "all") if BY[found.by] else None,
        "total": _money(int(found.total * 100)),
        "currency": found.currency,
        "rows": [
            filled(_row(found, row)) | {"evidence": [filled(_part(row, part, because)) for part in row.parts]}
            for row in found.rows
        ],
    }
