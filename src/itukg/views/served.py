"""What plans serve: the page of an SDG goal, target or indicator, an action line, an instrument or an organization.

Such a thing is of no plan, and links with evidence lead from or to it, or to others of its class. Its page has all plans side by
side, and says who serves it and on what basis, what rules derive apart from that, and what nobody serves.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from weakref import WeakKeyDictionary

from itukg import names
from itukg.engine.store import Store, texts
from itukg.pages import address, inside, plural, render
from itukg.rdf.jsonld import natural
from itukg.release.overview import Overview, Value
from itukg.views.bare import Note, gap_cells
from itukg.views.because import RULES
from itukg.views.linked import (
    DERIVED,
    EVIDENCE,
    STATES,
    Link,
    Linked,
    Row,
    Side,
    because_address,
    documents,
    link_of,
    plans_by_year,
)
from itukg.views.listing import Item
from itukg.views.matrix import ALL, GAP, kind_word, silence
from itukg.views.matrix import kinds as kinds_of
from itukg.views.thing import is_iri

_DERIVED = f"<{names.graph(DERIVED)}>"
_BELOW = "sdgo:isTargetOf|sdgo:isIndicatorOf|skos:broader|itu:editionOf|org:unitOf"
_ABOVE = [names.expand(each) for each in _BELOW.split("|")]
_RDFS, _SKOS, _DCTERMS = (names.PREFIXES[prefix] for prefix in ("rdfs", "skos", "dcterms"))
_LEADING = f"""SELECT DISTINCT ?class WHERE {{
  ?property a <{names.EVIDENCED}> ; rdfs:domain|rdfs:range|schema:domainIncludes|schema:rangeIncludes ?class }}"""
_WHOLES = f"""SELECT * WHERE {{ ?whole itu:allOf ?class . ?l itu:object ?whole ; itu:subject ?x ; itu:predicate ?predicate ; itu:basis ?basis .
  {EVIDENCE} }}"""


@dataclass(frozen=True)
class Serving:
    """A thing that is linked with another, by its links, the best first."""

    thing: Item
    links: tuple[Link, ...]

    @property
    def state(self) -> str:
        """That of its best link."""
        return self.links[0].state

    @property
    def because(self) -> str:
        """Where the whole chain behind its best link stands."""
        return because_address("", self.links[0])


@dataclass
class Column:
    """A plan, and what of it serves a thing: what is named, what rules derive, what speaks of all, what is left open."""

    plan: Item
    years: str
    named: list[Serving] = field(default_factory=list)
    derived: list[Serving] = field(default_factory=list)
    all: list[Serving] = field(default_factory=list)
    figures: list[Row] = field(default_factory=list)
    parts: list[tuple[Item, int]] = field(default_factory=list)
    """Which parts of the thing the plan names, and how many of its things do."""
    gap: Note | None = None

    @property
    def states(self) -> dict[str, int]:
        """How many of its things are linked in each state, the best first."""
        return _counted(each.state for each in (*self.named, *self.derived))

    @property
    def naming(self) -> int:
        """How many of its things name it in words of the document, not by a reader's judgement alone."""
        return sum(any(link.quote for link in each.links) for each in self.named)

    @property
    def shown(self) -> Iterable[str]:
        """The states that its cell shows."""
        return self.states or (ALL,) * bool(self.all) or (GAP,) * bool(self.gap)


@dataclass(frozen=True)
class Part:
    """What belongs to the thing, such as a target of a Goal: how many things of each plan serve it, by plan and state."""

    item: Item
    counts: Mapping[str, dict[str, int]]

    @property
    def shown(self) -> Iterable[str]:
        """The states that its cells show."""
        return (state for states in self.counts.values() for state in states)

    @property
    def is_named(self) -> bool:
        """Whether a plan names it."""
        return any(map(self.named_by, self.counts))

    def named_by(self, plan: str) -> int:
        """Return how many things of a plan are linked with it in words of its document."""
        return self.counts.get(plan, {}).get(STATES[0], 0)


async def served_page(store: Store, overview: Overview, iri: str) -> bytes | None:
    """Return the page of a thing that plans serve, or None where `iri` is of a plan or nothing is linked with its like."""
    frame = await _frame(store)
    if not is_iri(iri) or any(iri == plan or iri.startswith(f"{plan}/") for plan in frame.plans):
        return None
    own = await _own(store, iri)
    if names.RDF_TYPE not in own or {names.ITU + "plan", names.OWL + "deprecated"} & own.keys():
        return None
    kinds = {row["x"] for row in own[names.RDF_TYPE]}
    kind = frame.most_specific(kinds)
    parent = next((row for above in _ABOVE for row in own.get(above, ())), None)
    linked, around = await asyncio.gather(
        *(texts(store, names.PROLOGUE + query) for query in (_links(iri), _around(iri, kind, parent)))
    )
    if not linked and not frame.leading & kinds:
        return None
    wholes = {row["whole"] for row in frame.silence[1] if row["thing"] == iri}
    about_all = [row for row in frame.wholes if row["whole"] in wholes]
    around.sort(key=lambda row: natural(row["x"]))
    below, siblings = (
        [*{row["x"]: row for row in around if row.get("as") == place}.values()] for place in ("below", "beside")
    )
    kinds_below = [row["kind"] for row in around if row.get("as") == "below"]
    things, counts = await asyncio.gather(
        _called(store, frame, [row["x"] for row in (*linked, *about_all)]), _counts(store, [row["x"] for row in below])
    )
    page = _Page(iri, kind, frame, things)
    columns = page.columns([row for row in linked if "out" not in row], about_all, around)
    parts = [Part(_item(row), counts.get(row["x"], {})) for row in below]
    for column, part in product(columns, parts):
        if number := part.named_by(column.plan.iri):
            column.parts.append((part.item, number))

    def text(name: str) -> str:
        """Return the first value of a property of the thing, a prefixed name."""
        return next((row["x"] for row in own.get(names.expand(name), ())), "")

    place = next((place for place, row in enumerate(siblings) if row["x"] == iri), 0)
    known = kinds_of(overview)
    shown = {state for each in columns for state in each.shown} | {state for each in parts for state in each.shown}
    served = {each.links[0].rule for column in columns for each in column.derived}
    return render(
        "served.html",
        iri=iri,
        path=address(iri),
        kind=overview.reader(kind),
        kind_plural=plural(overview.reader(kind)),
        kinds=kind_word(kind) if kind in {value.iri for value in known.values()} else "",
        short=Value(iri, "", "").short,
        label=text("rdfs:label") or names.shorten(iri),
        notation=page.notation(text("skos:notation"), around),
        own_words=text("itu:ownWords") == "true",
        own=sorted(own.items()),
        text=text,
        parent=_item(parent) if parent else None,
        scheme=next((row for row in own.get(_SKOS + "inScheme", ())), None),
        before=_item(siblings[place - 1]) if place else None,
        after=_item(siblings[place + 1]) if place + 1 < len(siblings) else None,
        columns=columns,
        parts=parts,
        parts_word=inside(plural(overview.reader(frame.most_specific(kinds_below)))).removeprefix("SDG ")
        if kinds_below
        else "",
        others=page.others([row for row in linked if "out" not in row]),
        outward=page.outward([row for row in linked if "out" in row]),
        reader=overview.reader,
        inside=inside,
        kind_of=lambda thing: overview.reader(thing.type) if thing.type else "",
        called=frame.called,
        rules={rule: RULES[rule] for rule in RULES if rule in served},
        shown=sorted(shown),
        mapped=any(value.iri == iri for name in ("sdg", "actionLine") for value in overview.values[name]),
    )


@dataclass(frozen=True)
class _Frame:
    """What is the same for the pages of all things of a release."""

    leading: set[str]
    plans: Mapping[str, Row]
    called: Mapping[str, str]
    """What documents are called."""
    wholes: Sequence[Row]
    silence: Sequence[Sequence[Row]]
    above: set[tuple[str, str]]
    """Each class with one above it."""

    def most_specific(self, kinds: Iterable[str]) -> str:
        """Return the class of several that is above no other of them; one of ours, if there is any."""
        found = sorted({*kinds}, key=lambda kind: (not kind.startswith(names.ITU), kind))
        return next((kind for kind in found if not any((each, kind) in self.above for each in found)), found[0])


_frames: WeakKeyDictionary[Store, _Frame] = WeakKeyDictionary()


async def _frame(store: Store) -> _Frame:
    if store not in _frames:
        leading, wholes, plans, called, silent = await asyncio.gather(
            texts(store, names.PROLOGUE + _LEADING),
            texts(store, names.PROLOGUE + _WHOLES),
            plans_by_year(store),
            documents(store),
            silence(store),
        )
        above = {(row["class"], row["above"]) for row in silent[2]}
        _frames[store] = _Frame({row["class"] for row in leading}, plans, called, wholes, silent, above)
    return _frames[store]


async def _own(store: Store, iri: str) -> dict[str, list[Row]]:
    """Return what is said of a thing in the merged graph, by property; links that are inferred from their inverse are not."""
    found = await texts(
        store,
        f"""{names.PROLOGUE}SELECT ?p ?x ?label ?notation WHERE {{ <{iri}> ?p ?x FILTER(?p != itu:supports)
  OPTIONAL {{ ?x rdfs:label ?label }} OPTIONAL {{ ?x skos:notation ?notation }} }}""",
    )
    said = defaultdict[str, list[Row]](list)
    for row in sorted(found, key=lambda row: natural(row["x"])):
        said[row["p"]].append(row)
    return dict(said)


def _links(iri: str) -> str:
    """Return the query of the links with a thing, in both directions, and of what each rests on."""
    parts = []
    for own, other, mark in (("object", "subject", ""), ("subject", "object", "BIND(true AS ?out)")):
        link = f"?l itu:{own} <{iri}> ; itu:{other} ?x ; itu:predicate ?predicate ; itu:basis ?basis ."
        parts.append(f"{{ {link} {EVIDENCE} {mark} }}")
        parts.append(f"{{ GRAPH {_DERIVED} {{ {link} ?l itu:strength ?strength ; itu:rule ?rule }} {mark} }}")
    return f"SELECT * WHERE {{ {' UNION '.join(parts)} }}"


def _around(iri: str, kind: str, parent: Row | None) -> str:
    """Return the query of what is around a thing: what belongs to it, and the things of its class that belong with it to another.

    Besides, the figures that plans print of it, and the codes that it has in frameworks.
    """
    named = "OPTIONAL { ?x rdfs:label ?label } OPTIONAL { ?x skos:notation ?notation }"
    beside = f"?x {_BELOW} <{parent['x']}> ; a <{kind}> ." if parent else f"?x a <{kind}> ."
    return f"""SELECT * WHERE {{
  {{ ?x {_BELOW} <{iri}> ; a ?kind {named} OPTIONAL {{ ?x itu:plan ?plan }} FILTER(!BOUND(?plan)) BIND("below" AS ?as) }}
  UNION {{ {beside} {named} BIND("beside" AS ?as) }}
  UNION {{ ?x itu:about <{iri}> ; itu:value ?value ; itu:measure ?measure ; itu:plan ?plan ; dcterms:source ?document ; itu:line ?line }}
  UNION {{ ?x itu:codeOf <{iri}> ; skos:notation ?code ; itu:frameworkYear ?year }} }}"""


async def _called(store: Store, frame: _Frame, iris: Iterable[str]) -> dict[str, Item]:
    """Return the things that IRIs name, with class, code, label and plan."""
    listed = " ".join(f"<{iri}>" for iri in dict.fromkeys(iris))
    found = await texts(
        store,
        f"""{names.PROLOGUE}SELECT ?x ?kind ?notation ?label ?plan WHERE {{ VALUES ?x {{ {listed} }} ?x a ?kind ; rdfs:label ?label
  OPTIONAL {{ ?x skos:notation ?notation }} OPTIONAL {{ ?x itu:plan ?plan }} }}""",
    )
    kinds = defaultdict[str, list[str]](list)
    for row in found:
        kinds[row["x"]].append(row["kind"])
    return {row["x"]: _item(row, frame.most_specific(kinds[row["x"]])) for row in found}


async def _counts(store: Store, iris: Sequence[str]) -> Mapping[str, Mapping[str, dict[str, int]]]:
    """Return how many things of each plan are linked with each of some things: by its IRI, then by plan and best state."""
    if not iris:
        return {}
    values = f"VALUES ?object {{ {' '.join(f'<{iri}>' for iri in iris)} }}"
    link = "?l itu:object ?object ; itu:subject ?x ; itu:basis ?basis"
    found = await texts(
        store,
        f"""{names.PROLOGUE}SELECT ?object ?x ?plan ?basis ?strength WHERE {{
  {{ {values} {link} . ?x itu:plan ?plan }}
  UNION {{ {values} GRAPH {_DERIVED} {{ {link} ; itu:strength ?strength }} ?x itu:plan ?plan }} }}""",
    )
    best: dict[tuple[str, str, str], int] = {}
    for row in found:
        key = row["object"], row["plan"], row["x"]
        state = " ".join(filter(None, (row["basis"].removeprefix(names.ITU), row.get("strength"))))
        best[key] = min(best.get(key, len(STATES)), STATES.index(state))
    states = defaultdict[str, dict[str, list[str]]](dict)
    for (thing, plan, _), rank in best.items():
        states[thing].setdefault(plan, []).append(STATES[rank])
    return {thing: {plan: _counted(each) for plan, each in by_plan.items()} for thing, by_plan in states.items()}


def _counted(states: Iterable[str]) -> dict[str, int]:
    found = [*states]
    return {state: found.count(state) for state in STATES if state in found}


def _item(row: Row, kind: str = "") -> Item:
    notation, label, plan = (row.get(name, "") for name in ("notation", "label", "plan"))
    return Item(row["x"], type=kind, notation=notation, label=label or names.shorten(row["x"]), plan=plan)


class _Page:
    """The links with a thing, as its page shows them."""

    def __init__(self, iri: str, kind: str, frame: _Frame, things: Mapping[str, Item]) -> None:
        self._iri, self._kind, self._frame, self._things = iri, kind, frame, things

    def notation(self, notation: str, said: Sequence[Row]) -> str:
        """Return the code of a thing: its own, or the newest that a framework gives it."""
        codes = sorted((row["year"], row["code"]) for row in said if "year" in row)
        return notation or (codes[-1][1] if codes else "")

    def columns(self, linked: Sequence[Row], about_all: Sequence[Row], said: Sequence[Row]) -> list[Column]:
        """Return all plans in the order of their years, with what of each is linked with the thing."""
        found = {
            iri: Column(Item(iri, notation=row["notation"], label=row["label"]), _years(row))
            for iri, row in self._frame.plans.items()
        }
        for serving in self._servings(linked):
            if column := found.get(serving.thing.plan or serving.thing.iri):
                (column.derived if serving.state.startswith(DERIVED) else column.named).append(serving)
        for serving in self._servings(about_all):
            if column := found.get(serving.thing.plan or serving.thing.iri):
                column.all.append(serving)
        for row in said:
            if "value" in row and row["plan"] in found:
                found[row["plan"]].figures.append(row)
        for plan, gap in self._gaps(linked):
            if not found[plan].named:
                found[plan].gap = found[plan].gap or gap
        return [*found.values()]

    def _gaps(self, linked: Sequence[Row]) -> Iterable[tuple[str, Note]]:
        plans = {iri: Item(iri, notation=row["notation"], label=row["label"]) for iri, row in self._frame.plans.items()}
        sides = (
            Side(names.ITU + "Plan", plans, are_plans=True, of_plans=False),
            Side(self._kind, {self._iri: Item(self._iri)}, are_plans=False, of_plans=False),
        )
        gaps, _, above, within = self._frame.silence
        known = [(self._things[row["x"]], row) for row in linked if row["x"] in self._things]
        links = [Linked(thing, self._iri, self._link(row), whole=False) for thing, row in known]
        for plan, _, note in gap_cells(sides, gaps, above, within, links, None):
            yield plan, note

    def others(self, linked: Sequence[Row]) -> list[tuple[str, str, list[Serving]]]:
        """Return what is linked with the thing and of no plan, by the property and the state."""
        return self._grouped(
            each for each in self._servings(linked) if not each.thing.plan and each.thing.iri not in self._frame.plans
        )

    def outward(self, linked: Sequence[Row]) -> list[tuple[str, str, list[Serving]]]:
        """Return what the thing itself is linked with, by the property and the state."""
        return self._grouped(self._servings(linked))

    def _grouped(self, servings: Iterable[Serving]) -> list[tuple[str, str, list[Serving]]]:
        found = defaultdict[tuple[int, str], list[Serving]](list)
        for each in servings:
            found[STATES.index(each.state), each.links[0].predicate].append(each)
        return [(predicate, STATES[rank], each) for (rank, predicate), each in sorted(found.items())]

    def _servings(self, linked: Sequence[Row]) -> list[Serving]:
        links = defaultdict[str, dict[Link, None]](dict)
        for row in linked:
            links[row["x"]][self._link(row)] = None
        found = [
            Serving(self._things[iri], tuple(sorted(each, key=lambda link: link.rank)))
            for iri, each in links.items()
            if iri in self._things
        ]
        # Stated ones before judged and derived ones, close ones before loose ones; then as the documents number them.
        return sorted(found, key=lambda each: (STATES.index(each.state), natural(each.thing.iri)))

    def _link(self, row: Row) -> Link:
        other = row.get("whole", self._iri)
        subject, object_ = (other, row["x"]) if "out" in row else (row["x"], other)
        return link_of(row, subject, object_)


def _years(row: Row) -> str:
    return row["start"] if row["start"] == row["end"] else f"{row['start']}-{row['end']}"
