"""Matrices: any two kinds of things against each other; behind each count stand its links, with sentence, document and line.

A cell counts the links between its row and its column, one for each Linkage that states, takes over, judges or derives
them. Where rows or columns are plans, and where neither are things of plans and `plan` names one, a cell counts the plan's
things that are linked with both. Either way it has as many rows of evidence as it counts.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import product

from itukg import names
from itukg.engine.store import Row, Store, rows
from itukg.errors import BadRequest
from itukg.release.overview import Overview, Value
from itukg.views.listing import MAX_PAGE_SIZE, Item, Page, chosen_value, in_order, page_of, select, selection

MAX_CELLS, MAX_EVIDENCE = 100_000, 20_000
"""Cells, and rows of evidence, that one answer holds at most."""
STATES = ("stated", "reference", "judged", "derived close", "derived loose")
"""What a count rests on, best first."""
ALL, GAP, EMPTY = "all", "gap", "empty"
"""The states of a cell that counts nothing: one statement speaks of all; the document leaves it open; nothing is said."""
SIDES = ("row", "column")

_DERIVED = names.ITU + "derived"
_SDGO = names.PREFIXES["sdgo"]
_CHOOSING = ("class", "sdg", "actionLine", "instrument", "to", "by")
"""The filters of lists that choose the things whose links count."""


@dataclass(frozen=True)
class Link:
    """A link, and what it rests on: the document's words with their place, a reader's reason, a scheme, or a rule."""

    subject: str
    property: str
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
    def rank(self) -> tuple[int, str, int]:
        """What sorts links: the best first, then as the document has them."""
        return STATES.index(self.state), self.document or "", self.line or 0


@dataclass(frozen=True)
class Note:
    """Why a cell that counts nothing is not simply empty: a gap, or a statement about all, with its words and place."""

    text: str
    quote: str | None
    document: str | None
    section: str | None
    line: int | None


@dataclass(frozen=True)
class Evidence:
    """What a cell counts as one: a link between its ends, or a thing of a plan with its best link to each of them."""

    links: tuple[Link, ...]
    thing: Item | None = None

    @property
    def state(self) -> str:
        """That of its weakest link."""
        return max((link.state for link in self.links), key=STATES.index)


@dataclass
class Cell:
    """A row and a column, with the evidence of what links them."""

    row: Item
    column: Item
    evidence: list[Evidence] = field(default_factory=list)
    bare: str = EMPTY
    note: Note | None = None

    @property
    def count(self) -> int:
        """How many links, or things, it counts."""
        return len(self.evidence)

    @property
    def states(self) -> dict[str, int]:
        """How many it counts in each of STATES, the best first."""
        found = Counter(each.state for each in self.evidence)
        return {state: found[state] for state in STATES if found[state]}

    @property
    def state(self) -> str:
        """The best of `states`, or what it is where it counts nothing."""
        return next(iter(self.states), self.bare)


@dataclass(frozen=True)
class Matrix:
    """A page of a matrix: some of its rows, all its columns, and the cells that are not empty by the IRIs of both."""

    page: Page
    columns: list[Item]
    cells: Mapping[tuple[str, str], Cell]
    basis: tuple[str, ...]
    through: bool
    """Whether a cell counts things that are linked with both its ends, and not the links between them."""

    @property
    def rows(self) -> list[Item]:
        """The rows of this page."""
        return self.page.items

    def cell(self, row: Item, column: Item) -> Cell:
        """Return one cell, empty or not."""
        return self.cells.get((row.iri, column.iri)) or Cell(row, column)

    def address(self, cell: Cell) -> str:
        """Return where a cell stands alone with its evidence."""
        ends = zip(SIDES, (short(cell.row), short(cell.column)), strict=True)
        kept = {key: value for key, value in self.page.parameters if key not in ("format", "size")} | dict(ends)
        return Page(self.page.title, self.page.address, tuple(kept.items()), [], 0, 1, 1).link(1)


def short(item: Item) -> str:
    """Return what names a thing in an address."""
    return Value(item.iri, item.notation, item.label).short


def kinds(overview: Overview) -> dict[str, Value]:
    """Return the classes of rows and columns by name: "outcome", "actionLine", and "sdgGoal" for the United Nations' Goal."""
    ours_last = sorted(overview.values["class"], key=lambda value: value.iri.startswith((names.ITU, _SDGO)))
    return {_kind(value.iri): value for value in ours_last}


def _kind(iri: str) -> str:
    local = iri.replace("#", "/").rpartition("/")[2]
    return f"sdg{local}" if iri.startswith(_SDGO) else local[:1].lower() + local[1:]


async def matrix(store: Store, overview: Overview, given: Mapping[str, str], address: str) -> Matrix:
    """Return the matrix that the parameters of a request choose; `address` is that of the view.

    Raises BadRequest for an unknown kind or value, and for more than an answer holds.
    """
    known = kinds(overview)
    of = [_chosen_kind(name, given.get(name, ""), known, overview) for name in ("rows", "columns")]
    basis = _chosen_basis(given.get("basis"), overview.values["basis"])
    plan = chosen_value("plan", given["plan"], overview.values["plan"]) if "plan" in given else None
    chosen = selection(overview, {name: given[name] for name in (*_CHOOSING, "sort") if name in given})
    among = {item.iri for item in await select(store, chosen)} if chosen else None
    members, gaps, covered, above = await asyncio.gather(
        *(rows(store, names.PROLOGUE + text) for text in (_members(of), _GAPS, _COVERED, _ABOVE))
    )
    sides = [_Side.of(kind.iri, members, chosen.sort, overview) for kind in of]
    through = _is_through(sides, plan)
    patterns = [*(_through(sides, plan) if through else _between(sides))]
    linked = [
        _Linked.of(row) for row in await rows(store, names.PROLOGUE + _links(patterns, derived=_DERIVED in basis))
    ]
    if among is not None and through:
        linked = [each for each in linked if each.thing.iri in among]
    elif among is not None:
        side = sides[sides[1].of_plans and not sides[0].of_plans]
        side.keep(among)
    if plan is not None:
        _keep_plan(sides, plan, linked)
    for side, name in zip(sides, SIDES, strict=True):
        if name in given:
            values = [Value(item.iri, item.notation, item.label) for item in side.items.values()]
            side.keep({chosen_value(name, given[name], values)})
    title = " × ".join(kind.label for kind in of) + "".join(
        f", {value.label}" for value in overview.values["plan"] if value.iri == plan
    )
    page = page_of([*sides[0].items.values()], title[:1].upper() + title[1:], address, dict(given), MAX_PAGE_SIZE)
    columns = [*sides[1].items.values()]
    if len(page.items) * len(columns) > MAX_CELLS:
        raise BadRequest(
            f"{len(page.items)} rows and {len(columns)} columns are more than the {MAX_CELLS} cells that an answer holds; "
            f"name a plan, or ask for at most {MAX_CELLS // len(columns)} rows a page with size."
        )
    sides[0].keep({item.iri for item in page.items})
    cells = _cells(sides, [each for each in linked if each.link.basis in basis], covered, overview.terms, through)
    _mark_gaps(cells, sides, gaps, above, linked, plan if through else None)
    return Matrix(page, columns, cells, basis, through)


def _chosen_kind(name: str, text: str, known: Mapping[str, Value], overview: Overview) -> Value:
    if text in known:
        return known[text]
    named = [value for value in overview.values["class"] if text and value.is_named(text)]
    if len(named) == 1:
        return named[0]
    lower = {kind.lower(): kind for kind in known}
    near = [lower[each] for each in get_close_matches(text.lower()[:80], lower, 5, 0.5)]
    raise BadRequest(f'No kind "{text[:80]}" for {name}; {"nearest" if near else "known"}: {", ".join(near or known)}.')


def _chosen_basis(text: str | None, values: Sequence[Value]) -> tuple[str, ...]:
    """Return the names of the bases that count: by default all but what rules derive."""
    if text is None:
        iris = [value.iri for value in values if value.iri != _DERIVED]
    else:
        iris = list(dict.fromkeys(chosen_value("basis", part.strip(), values) for part in text.split(",")))
    return tuple(iri.removeprefix(names.ITU) for iri in iris)


@dataclass
class _Side:
    """The things of rows or columns, by IRI in their order."""

    kind: str
    items: dict[str, Item]
    are_plans: bool
    of_plans: bool

    @classmethod
    def of(cls, kind: str, members: Sequence[Row], sort: str, overview: Overview) -> "_Side":
        items = {row["thing"].value: _item(row, "thing") for row in members if row["kind"].value == kind}
        plans = {value.iri for value in overview.values["plan"]}
        ordered = {item.iri: item for item in in_order(items.values(), sort)}
        return cls(kind, ordered, items.keys() <= plans, any(item.plan for item in items.values()))

    def keep(self, iris: set[str]) -> None:
        self.items = {iri: item for iri, item in self.items.items() if iri in iris}


@dataclass(frozen=True)
class _Linked:
    """A thing, what it is linked with, and the link, which may lead either way; `whole`: it is linked with a Totality."""

    thing: Item
    end: str
    link: Link
    whole: bool

    @classmethod
    def of(cls, row: Row) -> "_Linked":
        text = {name: value.value for name, value in row.items()}
        ends = (text["x"], text["thing"]) if "back" in row else (text["thing"], text["x"])
        link = Link(
            ends[0],
            text["p"],
            ends[1],
            text["basis"].removeprefix(names.ITU),
            *(text.get(name) for name in ("strength", "rule", "quote", "rationale", "document", "section")),
            line=int(text["line"]) if "line" in text else None,
        )
        return cls(_item(row, "thing"), text["x"], link, "all" in row)

    @property
    def plan(self) -> str:
        """The plan that the thing is of, or is."""
        return self.thing.plan or self.thing.iri


def _item(row: Row, name: str) -> Item:
    texts = {key: row[key].value for key in ("notation", "label", "plan") if key in row}
    return Item(row[name].value, **texts)


def _is_through(sides: Sequence[_Side], plan: str | None) -> bool:
    if any(side.are_plans for side in sides):
        return not all(side.are_plans for side in sides)
    return plan is not None and not any(side.of_plans for side in sides)


def _keep_plan(sides: Sequence[_Side], plan: str, linked: Sequence[_Linked]) -> None:
    """Leave, of things of plans, those of one plan; in columns also what its rows are linked with in other plans."""
    ends = {each.end for each in linked if each.plan == plan} if sides[0].of_plans else set()
    for side, others in zip(sides, (set[str](), ends), strict=True):
        if side.are_plans:
            side.keep({plan})
        elif side.of_plans:
            side.keep({iri for iri, item in side.items.items() if item.plan == plan or iri in others})


# --- queries ---

_COVERED = """SELECT ?whole ?thing WHERE {
  ?whole itu:allOf ?class ; itu:within ?within . ?thing a ?class
  FILTER(STRSTARTS(STR(?thing), CONCAT(STR(?within), "/")) || STRSTARTS(STR(?thing), REPLACE(STR(?whole), "[^/]*$", "")))
}"""
"""What each Totality is of: what stands below the scheme or plan that it is within, or beside it."""
_ABOVE = "SELECT ?class ?above WHERE { ?class rdfs:subClassOf ?above FILTER(isIRI(?above)) }"
_PLACE = "OPTIONAL { ?l itu:section ?section } OPTIONAL { ?l itu:line ?line }"
_GAPS = f"""SELECT ?l ?about ?of ?missing ?inverse ?class ?label ?quote ?document ?section ?line WHERE {{
  ?l a itu:Gap ; itu:about ?about ; itu:missing ?missing ; rdfs:label ?label ; dcterms:source ?document .
  OPTIONAL {{ ?l itu:ofClass ?of }} OPTIONAL {{ ?l itu:quote ?quote }} {_PLACE}
  OPTIONAL {{ ?missing owl:inverseOf ?inverse }} OPTIONAL {{ ?missing rdfs:range|schema:rangeIncludes ?class }}
}}"""


def _members(of: Sequence[Value]) -> str:
    return f"""SELECT ?thing ?kind ?notation ?label ?plan WHERE {{
  VALUES ?kind {{ {" ".join(f"<{kind.iri}>" for kind in of)} }} ?thing a ?kind FILTER(isIRI(?thing))
  OPTIONAL {{ ?thing skos:notation ?notation }} OPTIONAL {{ ?thing rdfs:label ?label }} OPTIONAL {{ ?thing itu:plan ?plan }}
}}"""


_WHOLE = "?x itu:allOf ?all ."


def _between(sides: Sequence[_Side]) -> Iterator[tuple[str, str]]:
    """Yield the patterns of ?thing and ?x where the links are between rows and columns."""
    row, column = (f"?thing a <{side.kind}> ." for side in sides)
    yield row, f"?x a <{sides[1].kind}> ."
    yield from ((thing, _WHOLE) for thing in (row, column))


def _through(sides: Sequence[_Side], plan: str | None) -> Iterator[tuple[str, str]]:
    """Yield the patterns of ?thing and ?x where the links are those of plans' things with rows and columns."""
    of_plan = f"?thing itu:plan {f'<{plan}>' if plan else '?plan'} ."
    things = [of_plan, *(f"?thing a <{side.kind}> ." for side in sides if side.are_plans)]
    ends = [*dict.fromkeys(f"?x a <{side.kind}> ." for side in sides if not side.are_plans), _WHOLE]
    yield from product(things, ends)


def _links(patterns: Sequence[tuple[str, str]], *, derived: bool) -> str:
    """Return the query of the links, each with its evidence: one that leads back to ?thing has ?back."""
    parts = []
    for (thing, end), back in product(patterns, (False, True)):
        ends = ("?x", "?thing") if back else ("?thing", "?x")
        link = f"?l itu:subject {ends[0]} ; itu:object {ends[1]} ; itu:predicate ?p ; itu:basis ?basis ."
        mark = "BIND(true AS ?back)" if back else ""
        told = f"OPTIONAL {{ ?l itu:quote ?quote }} OPTIONAL {{ ?l itu:rationale ?rationale }} OPTIONAL {{ ?l dcterms:source ?document }} {_PLACE}"
        parts.append(f"{{ {end} {link} {thing} {told} {mark} }}")
        if derived:  # in this order, else the engine joins two large sets
            rule = "?l itu:strength ?strength ; itu:rule ?rule ."
            parts.append(f"{{ {end} GRAPH <{names.graph('derived')}> {{ {link} {rule} }} {thing} {mark} }}")
    return f"""SELECT * WHERE {{
  {"  UNION ".join(parts)}
  OPTIONAL {{ ?thing skos:notation ?notation }} OPTIONAL {{ ?thing rdfs:label ?label }} OPTIONAL {{ ?thing itu:plan ?plan }}
}}"""


# --- cells ---


class _Cells(dict[tuple[str, str], Cell]):
    """The cells that are not empty, by the IRIs of row and column."""

    def __init__(self, sides: Sequence[_Side]) -> None:
        super().__init__()
        self._sides = sides

    def at(self, row: str, column: str) -> Cell | None:
        """Return a cell to fill, None where row or column is not shown."""
        if (row, column) not in self and row in self._sides[0].items and column in self._sides[1].items:
            self[row, column] = Cell(self._sides[0].items[row], self._sides[1].items[column])
        return self.get((row, column))

    def mark(self, row: str, column: str, bare: str, note: Note) -> None:
        """Say of a cell that counts nothing, and of which nothing is said yet, why."""
        cell = self.at(row, column)
        if cell and not cell.evidence and cell.bare == EMPTY:
            cell.bare, cell.note = bare, note


def _cells(
    sides: Sequence[_Side],
    linked: Sequence[_Linked],
    covered: Sequence[Row],
    terms: Mapping[str, str],
    through: bool,  # noqa: FBT001
) -> _Cells:
    parts = defaultdict[str, set[str]](set)
    for row in covered:
        parts[row["whole"].value].add(row["thing"].value)
    cells = _Cells(sides)
    in_rank = sorted(linked, key=lambda each: each.link.rank)
    for row, column, what in (_counted_through if through else _counted_between)(sides, in_rank, parts):
        if isinstance(what, Evidence):
            if (cell := cells.at(row, column)) is not None:
                cell.evidence.append(what)
        else:
            said = f"{names.shorten(what.subject)} {terms.get(what.property, '')} {names.shorten(what.object)}"
            cells.mark(row, column, ALL, Note(said, what.quote, what.document, what.section, what.line))
    if sum(cell.count for cell in cells.values()) > MAX_EVIDENCE:
        raise BadRequest(
            f"More than {MAX_EVIDENCE} rows of evidence are behind this matrix; name a plan, a row or a column, or ask for "
            "fewer rows with size."
        )
    return cells


_Counted = Iterator[tuple[str, str, Evidence | Link]]
"""Row, column, and what counts there; after all that counts, the links that speak of all, which do not count."""


def _counted_between(sides: Sequence[_Side], linked: Sequence[_Linked], parts: Mapping[str, set[str]]) -> _Counted:
    seen = set()
    for each in linked:
        if not each.whole and (each.thing.iri, each.end, each.link) not in seen:
            seen.add((each.thing.iri, each.end, each.link))
            yield each.thing.iri, each.end, Evidence((each.link,))
    for each in linked:
        for end in parts.get(each.end, ()) if each.whole else ():
            yield each.thing.iri, end, each.link
            yield end, each.thing.iri, each.link


def _counted_through(sides: Sequence[_Side], linked: Sequence[_Linked], parts: Mapping[str, set[str]]) -> _Counted:
    things = {each.thing.iri: each.thing for each in linked}
    single, whole = (defaultdict[tuple[str, int], dict[str, Link | None]](dict) for _ in range(2))
    for each in linked:
        for number, side in enumerate(sides):
            place = each.thing.iri, number
            if side.are_plans:
                single[place][each.plan] = None
            elif each.whole:
                whole[place] |= {end: each.link for end in parts[each.end] if end in side.items}
            elif each.end in side.items:
                single[place].setdefault(each.end, each.link)
    for thing in in_order(things.values(), "notation"):
        for (row, to_row), (column, to_column) in product(*(single[thing.iri, n].items() for n in (0, 1))):
            yield row, column, Evidence(tuple(link for link in (to_row, to_column) if link), thing)
    for iri in things:
        ends = [whole[iri, n] | single[iri, n] for n in (0, 1)]
        for (row, to_row), (column, to_column) in product(*(each.items() for each in ends)):
            speaks = next((link for link in (to_row, to_column) if link and link.object in parts), None)
            if speaks:
                yield row, column, speaks


def _mark_gaps(
    cells: _Cells,
    sides: Sequence[_Side],
    gaps: Sequence[Row],
    above: Sequence[Row],
    linked: Sequence[_Linked],
    plan: str | None,
) -> None:
    """Mark the cells that a document leaves open, unless it states the property of the thing after all."""
    higher = defaultdict[str, set[str]](set)
    for row in above:
        higher[row["class"].value].add(row["above"].value)

    def is_a(lower: str, upper: str) -> bool:
        return lower == upper or any(is_a(each, upper) for each in higher.get(lower, ()))

    stated = defaultdict[str, set[str]](set)
    for each in linked:
        if each.link.basis != "derived" and not each.whole:
            for iri in (each.thing.iri, each.plan, each.end):
                stated[iri].add(each.link.property)
    for row in gaps:
        about, missing = row["about"].value, row["missing"].value
        properties = {missing, *([row["inverse"].value] if "inverse" in row else [])}
        leads_to = {missing, *([row["class"].value] if "class" in row else [])}
        note = Note(
            *(row[name].value if name in row else None for name in ("label", "quote", "document", "section")),
            line=int(row["line"].value) if "line" in row else None,
        )  # type: ignore[arg-type]
        for number, far in enumerate(sides):
            near = sides[1 - number]
            if not any(is_a(each, far.kind) or is_a(far.kind, each) for each in leads_to):
                continue
            if plan is not None and about == plan and not near.are_plans:
                things = set(near.items) if not stated[plan] & properties else set()
            else:
                of_class = "of" in row and is_a(near.kind, row["of"].value)
                things = {iri for iri, item in near.items.items() if iri == about or (of_class and item.plan == about)}
            for thing in things:
                if plan is None or near.are_plans:
                    if stated[thing] & properties:
                        continue
                for end in far.items:
                    cells.mark(*((thing, end) if number else (end, thing)), GAP, note)
