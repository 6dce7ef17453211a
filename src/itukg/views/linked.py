"""The links of a matrix: what its rows and columns are, and the query for the links that may fill its cells."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Self
from urllib.parse import parse_qsl, urlencode
from weakref import WeakKeyDictionary

from itukg import names
from itukg.engine.store import Store, texts
from itukg.release.overview import Overview, Value
from itukg.views.listing import Item, in_order

STATES = ("stated", "reference", "judged", "derived close", "derived loose")
"""What a link rests on, best first."""
DERIVED = "derived"

Row = Mapping[str, str]
"""A solution of a query."""


@dataclass(frozen=True)
class Link:
    """A link, and what it rests on: the document's words with their place, a reader's reason, a scheme, or a rule."""

    subject: str
    predicate: str
    object: str
    basis: str
    strength: str | None
    rule: str | None
    quote: str | None
    rationale: str | None
    document: str | None
    section: str | None
    line: int | None

    @property
    def state(self) -> str:
        """One of STATES."""
        return f"{self.basis} {self.strength}" if self.strength else self.basis

    @property
    def rank(self) -> tuple[int, str, int, str, str]:
        """What sorts links, whatever order a store has: the best first, then as the document has them."""
        words = self.quote or self.rationale or self.rule or ""
        return STATES.index(self.state), self.document or "", self.line or 0, self.predicate, words


@dataclass(frozen=True)
class Linked:
    """A thing, what it is linked with, and the link, which may lead either way; `whole`: it is linked with a Totality."""

    thing: Item
    end: str
    link: Link
    whole: bool

    @property
    def plan(self) -> str:
        """The plan that the thing is of, or is."""
        return self.thing.plan or self.thing.iri


@dataclass
class Side:
    """The things of rows or columns, by IRI in their order."""

    kind: str
    items: dict[str, Item]
    are_plans: bool
    of_plans: bool

    @classmethod
    def of(cls, kind: str, members: Sequence[Row], sort: str, overview: Overview) -> Self:
        """Return the members of a class, in order."""
        items = [item_of(row) for row in members if row["kind"] == kind]
        plans = {value.iri for value in overview.values["plan"]}
        are_plans, of_plans = all(item.iri in plans for item in items), any(item.plan for item in items)
        return cls(kind, {item.iri: item for item in in_order(items, sort)}, are_plans, of_plans)

    def keep(self, iris: set[str]) -> None:
        """Leave only these things."""
        self.items = {iri: item for iri, item in self.items.items() if iri in iris}


def item_of(row: Row) -> Item:
    """Return the ?thing of a row."""
    notation, label, plan = (row.get(name, "") for name in ("notation", "label", "plan"))
    return Item(row["thing"], notation=notation, label=label, plan=plan)


def members(of: Sequence[Value]) -> str:
    """Return the query of the things of classes."""
    return f"""SELECT ?thing ?kind ?notation ?label ?plan WHERE {{
  VALUES ?kind {{ {" ".join(f"<{kind.iri}>" for kind in of)} }} ?thing a ?kind FILTER(isIRI(?thing))
  {_NAMED}
}}"""


def goes_through(sides: Sequence[Side], plan: str | None) -> bool:
    """Tell whether cells count the things between rows and columns: where one side are plans, or none is of plans but `plan` is given."""
    if any(side.are_plans for side in sides):
        return not all(side.are_plans for side in sides)
    return plan is not None and not any(side.of_plans for side in sides)


async def links_of(store: Store, sides: Sequence[Side], plan: str | None, *, derived: bool) -> list[Linked]:
    """Return the links between rows and columns; where cells count things between them, the links of those with either."""
    through = goes_through(sides, plan)
    patterns = [*(_through(sides, plan) if through else _between(sides))]
    known = {} if through else sides[1].items | sides[0].items
    query = _query(patterns, "" if known else _NAMED, derived=derived)
    return [_linked(row, known) for row in await texts(store, names.PROLOGUE + query)]


async def links_by(store: Store, property_: str, plan: str) -> list[Linked]:
    """Return the links of a plan's things by a property, a prefixed name, on any basis; the things are known by their IRIs alone."""
    link = f"?l itu:predicate {property_} ; itu:subject ?thing ; itu:object ?x ; itu:basis ?basis ."
    rule, thing = "?l itu:strength ?strength ; itu:rule ?rule .", f"?thing itu:plan <{plan}> ."
    query = f"""SELECT * WHERE {{
  {{ {link} {thing} {EVIDENCE} }} UNION {{ GRAPH <{names.graph(DERIVED)}> {{ {link} {rule} }} {thing} }}
  BIND({property_} AS ?predicate)
  OPTIONAL {{ ?x itu:allOf ?all }}
}}"""
    return [_linked(row, {}) for row in await texts(store, names.PROLOGUE + query)]


_documents: WeakKeyDictionary[Store, dict[str, str]] = WeakKeyDictionary()


async def documents(store: Store) -> Mapping[str, str]:
    """Return what the documents are called that links rest on, by IRI."""
    if store not in _documents:
        query = "SELECT DISTINCT ?document ?label WHERE { ?l itu:basis ?basis ; dcterms:source ?document . ?document rdfs:label ?label }"
        found = await texts(store, names.PROLOGUE + query)
        _documents[store] = {row["document"]: row["label"] for row in found}
    return _documents[store]


_plans: WeakKeyDictionary[Store, dict[str, Row]] = WeakKeyDictionary()


async def plans_by_year(store: Store) -> Mapping[str, Row]:
    """Return the plans by IRI, in the order of their first years; of one year the longer first, and a draft before what was adopted."""
    if store not in _plans:
        query = """SELECT ?thing ?notation ?label ?start ?end ?status WHERE {
  ?thing a itu:Plan ; skos:notation ?notation ; rdfs:label ?label ; itu:startYear ?start ; itu:endYear ?end ; itu:status ?status }"""
        found = await texts(store, names.PROLOGUE + query)
        found.sort(key=lambda row: (row["start"], -int(row["end"]), row["status"] == "adopted", row["thing"]))
        _plans[store] = {row["thing"]: row for row in found}
    return _plans[store]


def because_address(at: str, link: Link, query: str = "") -> str:
    """Return the address of the whole chain behind a link, at the address of the service, in the release that a query string names."""
    ends = {"subject": names.shorten(link.subject), "object": names.shorten(link.object)}
    ends |= {name: value for name, value in parse_qsl(query) if name == "release"}
    return f"{at}/because?{urlencode(ends, safe='/:')}"


def keep_plan(sides: Sequence[Side], plan: str, linked: Sequence[Linked]) -> None:
    """Leave, of things of plans, those of one plan; in columns also what its rows are linked with in other plans."""
    ends = {each.end for each in linked if each.plan == plan} if sides[0].of_plans else set()
    for side, others in zip(sides, (set[str](), ends), strict=True):
        if side.are_plans:
            side.keep({plan})
        elif side.of_plans:
            side.keep({iri for iri, item in side.items.items() if item.plan == plan or iri in others})


_NAMED = "OPTIONAL { ?thing skos:notation ?notation } OPTIONAL { ?thing rdfs:label ?label } OPTIONAL { ?thing itu:plan ?plan }"
_WHOLE = "?x itu:allOf ?all ."
EVIDENCE = """OPTIONAL { ?l itu:quote ?quote } OPTIONAL { ?l itu:rationale ?rationale }
    OPTIONAL { ?l dcterms:source ?document } OPTIONAL { ?l itu:section ?section } OPTIONAL { ?l itu:line ?line }"""
"""The pattern of what a Linkage ?l rests on."""


def _between(sides: Sequence[Side]) -> Iterator[tuple[str, str]]:
    """Yield the patterns of ?thing and ?x where a thing stands in rows or columns."""
    row, column = (f"?thing a <{side.kind}> ." for side in sides)
    yield row, f"?x a <{sides[1].kind}> ."
    yield from ((thing, _WHOLE) for thing in dict.fromkeys((row, column)))


def _through(sides: Sequence[Side], plan: str | None) -> Iterator[tuple[str, str]]:
    """Yield the patterns of ?thing and ?x where a thing is of a plan, or is one, and stands between rows and columns."""
    things = [f"?thing itu:plan {f'<{plan}>' if plan else '?plan'} ."]
    things += [f"?thing a <{side.kind}> ." for side in sides if side.are_plans]
    ends = dict.fromkeys(f"?x a <{side.kind}> ." for side in sides if not side.are_plans)
    yield from product(things, (*ends, _WHOLE))


def _query(patterns: Sequence[tuple[str, str]], named: str, *, derived: bool) -> str:
    parts = []
    for (thing, end), back in product(patterns, (False, True)):
        subject, object_ = ("?x", "?thing") if back else ("?thing", "?x")
        link = f"?l itu:subject {subject} ; itu:object {object_} ; itu:predicate ?predicate ; itu:basis ?basis ."
        mark = "BIND(true AS ?back)" if back else ""
        parts.append(f"{{ {end} {link} {thing} {EVIDENCE} {mark} }}")
        if derived:  # in this order, else the engine joins two large sets
            rule = "?l itu:strength ?strength ; itu:rule ?rule ."
            parts.append(f"{{ {end} GRAPH <{names.graph(DERIVED)}> {{ {link} {rule} }} {thing} {mark} }}")
    return f"SELECT * WHERE {{\n  {' UNION '.join(parts)}\n  {named}\n}}"


def _linked(row: Row, known: Mapping[str, Item]) -> Linked:
    ends = (row["thing"], row["x"])
    subject, object_ = reversed(ends) if "back" in row else ends
    return Linked(known.get(row["thing"]) or item_of(row), row["x"], link_of(row, subject, object_), "all" in row)


def link_of(row: Row, subject: str, object_: str) -> Link:
    """Return the link between two things that a row with its EVIDENCE tells of."""
    return Link(
        subject=subject,
        predicate=row["predicate"],
        object=object_,
        basis=row["basis"].removeprefix(names.ITU),
        strength=row.get("strength"),
        rule=row.get("rule"),
        quote=row.get("quote"),
        rationale=row.get("rationale"),
        document=row.get("document"),
        section=row.get("section"),
        line=int(row["line"]) if "line" in row else None,
    )
