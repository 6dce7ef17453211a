"""What the page of a plan tells besides: its results chain as a tree, what became of older plans, its money, what auditors say."""

import asyncio
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from itukg import names
from itukg.conformance import SEVERITIES
from itukg.engine.store import Store, texts
from itukg.pages import thousands
from itukg.rdf.jsonld import natural, word
from itukg.release.model import Release
from itukg.views.chain import depths, ladder
from itukg.views.compare import CHANGES
from itukg.views.linked import STATES
from itukg.views.listing import Item
from itukg.views.succession import plans, reached

STATUSES = {
    "adopted": "The plan as its conference or council adopted it.",
    "draft": "A draft: the plan that was adopted may differ from it.",
    "preliminary": "Preliminary: wording and figures may still change.",
}
"""What the status of a plan means."""
MAX_NAMED = 12
"""How many things of a class outside the chain a page names; of more it tells only the number."""

THINGS = """SELECT ?thing ?class ?code ?label ?line WHERE {
  ?thing itu:plan <plan> ; rdfs:label ?label ; a ?class
  FILTER NOT EXISTS { ?thing itu:predicate|itu:gapKind ?any }
  FILTER NOT EXISTS { GRAPH <entailed> { ?thing a ?class } }
  OPTIONAL { ?thing skos:notation ?code } OPTIONAL { ?thing itu:line ?line }
}"""
STEPS = (
    "SELECT ?lower ?property ?upper WHERE { ?lower itu:plan <plan> ; ?property ?upper FILTER(?property IN (STEPS)) }"
)
SERVED = """SELECT ?thing ?property ?object ?basis WHERE {
  ?thing itu:plan <plan> .
  { ?linkage itu:subject ?thing ; itu:predicate ?property ; itu:object ?object ; itu:basis ?basis }
  UNION { GRAPH <derived> { ?linkage itu:subject ?thing ; itu:predicate ?property ; itu:object ?object ; itu:basis ?basis } }
  FILTER(?property IN (itu:contributesToSDG, itu:contributesToSDGTarget, itu:contributesToActionLine))
}"""
MONEY = """SELECT ?line ?at ?of ?ofPlan ?code ?label ?amount ?currency ?by ?byLabel WHERE {
  ?line itu:budgetFor ?of ; itu:amount ?amount ; itu:currency ?currency ; itu:plan ?by .
  ?of itu:plan ?ofPlan ; rdfs:label ?label . ?by rdfs:label ?byLabel
  FILTER(<plan> IN (?by, ?ofPlan)) OPTIONAL { ?of skos:notation ?code } OPTIONAL { ?line itu:line ?at }
}"""
GAPS = "SELECT ?gap ?label ?kind ?line WHERE { ?gap itu:plan <plan> ; itu:gapKind ?kind ; rdfs:label ?label OPTIONAL { ?gap itu:line ?line } }"
SUCCESSIONS = (
    "SELECT ?new ?newPlan ?old ?oldPlan WHERE { ?new itu:succeeds ?old ; itu:plan ?newPlan . ?old itu:plan ?oldPlan }"
)
COMPARED = "SELECT DISTINCT ?thing ?plan WHERE { VALUES ?kind { KINDS } ?thing a ?kind ; itu:plan ?plan }"
_COUNTED = {"contributesToSDG": "SDG", "contributesToSDGTarget": "SDG target", "contributesToActionLine": "action line"}
"""What a branch serves, by the property that says so."""
_INDICATES = names.ITU + "indicatorOf"


@dataclass
class Branch:
    """A thing of a plan with what stands below it; `elsewhere` where it stands under another thing as well, and is told there."""

    item: Item
    kind: str
    below: list["Branch"] = field(default_factory=list)
    indicators: int = 0
    elsewhere: bool = False
    served: list[tuple[str, list[tuple[str, int]]]] = field(default_factory=list)
    amount: str = ""

    @property
    def kinds(self) -> list[tuple[str, int]]:
        """How many things of each kind stand right below it."""
        return [*Counter(branch.kind for branch in self.below).items()]


_made: WeakKeyDictionary[Store, dict[str, dict[str, Any]]] = WeakKeyDictionary()


async def plan_sections(store: Store, release: Release, iri: str) -> dict[str, Any]:
    """Return what the page of a plan tells, besides what every page does; it is computed once for a store."""
    made = _made.setdefault(store, {})
    if iri not in made:
        made[iri] = await _sections(store, release, iri)
    return made[iri]


async def _sections(store: Store, release: Release, iri: str) -> dict[str, Any]:
    overview, code = release.overview, names.shorten(iri)
    up = (await ladder(store)).listed()

    def asked(query: str) -> str:
        for name in ("entailed", "derived"):
            query = query.replace(f"<{name}>", f"<{names.graph(name)}>")
        return names.declared(query.replace("<plan>", f"<{iri}>").replace("STEPS", up))

    found = asyncio.gather(*(texts(store, asked(query)) for query in (THINGS, STEPS, SERVED, MONEY, GAPS)))
    (things, steps, served, money, gaps), changed = await asyncio.gather(found, _changes(store, release, iri))
    tree = _Tree(things, steps, served, [row for row in money if row["ofPlan"] == iri], overview.reader)
    report = release.report
    counts = report.counted("plan").get(code, {})
    return {
        "stats": tree.counts,
        "chains": tree.grouped(),
        "serving": bool(served),
        "others": tree.others(),
        "total": tree.total,
        "payers": {row["by"]: row["byLabel"] for row in money if row["ofPlan"] == iri},
        "pays": sorted((row for row in money if row["by"] == iri), key=lambda row: (int(row.get("at", 0)), row["line"])),
        "changed": changed,
        "gaps": _by_kind(gaps),
        "severities": [(name, counts.get(name, 0)) for name in SEVERITIES],
        "coverage": [
            (each.label, share) for each in report.coverage for share in each.plans if share.plan == code and share.total
        ],
    }  # fmt: skip


def _by_kind(gaps: Iterable[Mapping[str, str]]) -> dict[str, list[Item]]:
    found = defaultdict[str, list[Item]](list)
    for row in sorted(gaps, key=lambda row: (int(row.get("line", 0)), natural(row["gap"]))):
        found[row["kind"]].append(Item(row["gap"], label=row["label"]))
    return found


@dataclass(frozen=True)
class Change:
    """What a newer plan does with an older one: how many of its things are new, take up an older one, and are dropped."""

    newer: Item
    older: Item
    new: int
    kept: int
    dropped: int


async def _changes(store: Store, release: Release, iri: str) -> list[Change]:
    """Return what the plan does with the plans before it, and the plans after it with it, the newest first.

    The numbers are those of the saved query CHANGES, which takes a plan and another and its time for each.
    """
    called = {
        value.iri: Item(value.iri, notation=value.notation, label=value.label)
        for value in release.overview.values["plan"]
    }
    compared = re.search(r"\?kind IN \(([^)]*)\)", release.saved[CHANGES].text)
    if compared is None:  # an older release, which may ask in other words
        return []
    members = COMPARED.replace("KINDS", compared[1].replace(",", ""))
    (order, pairs), successions, things = await asyncio.gather(
        plans(store), texts(store, names.declared(SUCCESSIONS)), texts(store, names.declared(members))
    )
    older, plan_of = defaultdict[str, list[str]](list), {row["thing"]: row["plan"] for row in things}
    for row in successions:
        older[row["new"]].append(row["old"])
        plan_of |= {row["new"]: row["newPlan"], row["old"]: row["oldPlan"]}
    before = {thing: reached(thing, older) for thing in [*older]}
    comparable = {row["thing"] for row in things}
    made = []
    for newer, former in sorted((pair for pair in pairs if iri in pair), key=lambda pair: [*map(order.index, pair)]):
        taken = {
            thing: {each for each in before[thing] if plan_of[each] == former}
            for thing in before
            if plan_of[thing] == newer
        }
        kept, used = {thing for thing, olds in taken.items() if olds}, {old for olds in taken.values() for old in olds}
        new = {thing for thing in comparable - kept if plan_of[thing] == newer}
        dropped = {thing for thing in comparable - used if plan_of[thing] == former}
        made.append(Change(called[newer], called[former], len(new), len(kept), len(dropped)))
    return made


class _Tree:
    """The things of a plan, each under what it stands under most closely."""

    def __init__(self, things: Any, steps: Any, served: Any, money: Any, reader: Any) -> None:
        self._reader = reader
        own = [row for row in things if not row["thing"].startswith(names.THINGS + "lineage/")]
        self._items = {row["thing"]: Item(row["thing"], row["class"], row.get("code", ""), row["label"]) for row in own}
        self._lines = {row["thing"]: int(row.get("line", 0)) for row in things}
        self._indicators = Counter(row["upper"] for row in steps if row["property"] == _INDICATES)
        measuring = {row["lower"] for row in steps if row["property"] == _INDICATES}
        over = defaultdict[str, set[str]](set)
        for row in steps:
            if row["property"] != _INDICATES and row["upper"] in self._items:
                over[row["lower"]].add(row["upper"])
        self._over, self._depth = over, depths(over)
        self._below = defaultdict[str, list[str]](list)
        for lower, uppers in over.items():
            lowest = max(self._depth[upper] for upper in uppers)
            for upper in uppers:  # an output of an objective that delivers one of its outcomes stands under that
                if self._depth[upper] == lowest:
                    self._below[upper].append(lower)
        self._chained = {
            *over,
            *self._below,
            *measuring,
            *(row["upper"] for row in steps if row["upper"] in self._items),
        }
        self._served = defaultdict[str, dict[tuple[str, str], str]](dict)
        for row in served:
            basis, key = row["basis"].removeprefix(names.ITU), (word(row["property"]), row["object"])
            known = self._served[row["thing"]].get(key, basis)
            self._served[row["thing"]][key] = min(known, basis, key=self._rank)
        self._amounts = {row["of"]: (row["currency"], float(row["amount"])) for row in money}
        self._told: set[str] = set()

    @staticmethod
    def _rank(basis: str) -> int:
        return next((place for place, state in enumerate(STATES) if state.startswith(basis)), len(STATES))

    @property
    def counts(self) -> list[tuple[int, str, str]]:
        """How many things of each class are in the chain: number, class, and the name of that in an address."""
        found = Counter(self._items[thing].type for thing in self._in_order(self._chained & {*self._items}))
        return [(number, self._reader(kind), word(kind)) for kind, number in found.items()]

    @property
    def total(self) -> str:
        """The sum of the amounts that no other amount includes."""
        tops = [amount for thing, amount in self._amounts.items() if not self._above(thing) & self._amounts.keys()]
        return f"{tops[0][0]} {thousands(sum(amount for _, amount in tops), 0)}" if tops else ""

    def _above(self, thing: str) -> set[str]:
        return {each for upper in self._over.get(thing, ()) for each in (upper, *self._above(upper))}

    def grouped(self) -> list[tuple[str, list[Branch]]]:
        """Return the tops of the chain with all below them, by their class."""
        groups = defaultdict[str, list[Branch]](list)
        tops = [thing for thing in self._chained & {*self._items} if not self._over.get(thing)]
        for thing in self._in_order(tops):
            if thing in self._below or not self._is_indicator(thing):
                groups[self._items[thing].type].append(self._branch(thing)[0])
        return [(self._reader(kind), branches) for kind, branches in groups.items()]

    def _is_indicator(self, thing: str) -> bool:
        return thing not in self._below and thing not in self._over and thing not in self._indicators

    def others(self) -> list[tuple[str, str, int, list[Item]]]:
        """Return the classes outside the chain: what they are called, their name in an address, their number, and the things of a few."""
        groups = defaultdict[str, list[Item]](list)
        for thing in self._in_order({*self._items} - self._chained):
            groups[self._items[thing].type].append(self._items[thing])
        return [
            (self._reader(kind), word(kind), len(items), items if len(items) <= MAX_NAMED else [])
            for kind, items in sorted(groups.items(), key=lambda each: self._reader(each[0]))
        ]

    def _in_order(self, things: Iterable[str]) -> list[str]:
        """Return things by class, the classes as the document has them, and by code."""
        first: dict[str, int] = {}
        for thing, item in self._items.items():
            first[item.type] = min(first.get(item.type, self._lines[thing]), self._lines[thing])
        items = (self._items[thing] for thing in things)
        return [
            i.iri for i in sorted(items, key=lambda i: (first[i.type], i.type, natural(i.notation), natural(i.iri)))
        ]

    def _branch(self, thing: str) -> tuple[Branch, dict[tuple[str, str], str]]:
        """Return a thing with all below it, and what the whole branch serves, each on the best basis."""
        item = self._items[thing]
        branch = Branch(
            item, self._reader(item.type), indicators=self._indicators[thing], elsewhere=thing in self._told
        )
        self._told.add(thing)
        serves = dict(self._served.get(thing, {}))
        for lower in self._in_order(self._below.get(thing, ())):
            below, served = self._branch(lower)
            branch.below.append(below)
            for key, basis in served.items():
                serves[key] = min(serves.get(key, basis), basis, key=self._rank)
        if branch.elsewhere:
            branch.below = []
        numbers = defaultdict[str, Counter[str]](Counter)
        for (predicate, _), basis in serves.items():
            numbers[basis][_COUNTED[predicate]] += 1
        branch.served = [
            (basis, [(name, numbers[basis][name]) for name in _COUNTED.values() if numbers[basis][name]])
            for basis in sorted(numbers, key=self._rank)
        ]
        if thing in self._amounts:
            currency, amount = self._amounts[thing]
            branch.amount = f"{currency} {thousands(amount, 0)}"
        return branch, serves
