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
from weakref import WeakKeyDictionary

from itukg import names
from itukg.engine.store import Store, texts
from itukg.errors import BadRequest
from itukg.release.overview import Overview, Value
from itukg.views.bare import ABOVE, COVERED, GAPS, WITHIN, Note, gap_cells
from itukg.views.linked import DERIVED, STATES, Link, Linked, Row, Side, goes_through, keep_plan, links_of, members
from itukg.views.listing import MAX_PAGE_SIZE, Item, Page, chosen_value, in_order, page_of, select, selection

MAX_CELLS, MAX_EVIDENCE = 100_000, 10_000
"""Cells, and rows of evidence, that one answer holds at most."""
ALL, GAP, EMPTY = "all", "gap", "empty"
"""The states of a cell that counts nothing: one statement speaks of all; the document leaves it open; nothing is said."""
SIDES = ("row", "column")

_SDGO = names.PREFIXES["sdgo"]
_CHOOSING = ("class", "sdg", "actionLine", "instrument", "to", "by")
"""The filters of lists that choose the things whose links count."""


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
    return {kind_word(value.iri): value for value in ours_last}


def kind_word(iri: str) -> str:
    """Return what names a class in an address: "actionLine", "sdgGoal"."""
    local = iri.replace("#", "/").rpartition("/")[2]
    return f"sdg{local}" if iri.startswith(_SDGO) else local[:1].lower() + local[1:]


async def matrix(
    store: Store, overview: Overview, given: Mapping[str, str], address: str, default_size: int = MAX_PAGE_SIZE
) -> Matrix:
    """Return the matrix that the parameters of a request choose; `address` is that of the view, `default_size` the rows of a page.

    Raises BadRequest for an unknown kind or value, and for more than an answer holds.
    """
    of = [chosen_kind(name, given.get(name, ""), overview) for name in ("rows", "columns")]
    basis = _chosen_basis(given.get("basis"), overview.values["basis"])
    plan = chosen_value("plan", given["plan"], overview.values["plan"]) if "plan" in given else None
    chosen = selection(overview, {name: given[name] for name in (*_CHOOSING, "sort") if name in given})
    among = {item.iri for item in await select(store, chosen)} if chosen else None
    things, (gaps, covered, above, within) = await asyncio.gather(
        texts(store, names.PROLOGUE + members(of)), silence(store)
    )
    sides = await asyncio.to_thread(lambda: [Side.of(kind.iri, things, chosen.sort, overview) for kind in of])
    through = goes_through(sides, plan)
    linked = await links_of(store, sides, plan, derived=DERIVED in basis)
    linked = _narrow(sides, linked, among, plan)
    for side, name in zip(sides, SIDES, strict=True):
        if name in given:
            values = [Value(item.iri, item.notation, item.label) for item in side.items.values()]
            side.keep({chosen_value(name, given[name], values)})
    plans = [value.label for value in overview.values["plan"] if value.iri == plan]
    title = ", ".join((" and ".join(kind.label.replace("sdgo:", "SDG ") for kind in of), *plans))
    page = page_of([*sides[0].items.values()], title[:1].upper() + title[1:], address, dict(given), default_size)
    columns = [*sides[1].items.values()]
    if len(page.items) * len(columns) > MAX_CELLS:
        raise BadRequest(
            f"{len(page.items)} rows and {len(columns)} columns are more than the {MAX_CELLS} cells that an answer holds; "
            f"name a plan, a row or a column, or ask with size for at most {MAX_CELLS // len(columns)} rows a page."
        )
    sides[0].keep({item.iri for item in page.items})
    between_schemes = plan if through and not any(side.are_plans for side in sides) else None

    def filled() -> _Cells:
        cells = _Cells(sides)
        counted = [each for each in linked if each.link.basis in basis]
        _count(cells, sides, counted, covered, overview.terms, through=through)
        for row, column, note in gap_cells(sides, gaps, above, within, linked, between_schemes):
            cells.mark(row, column, GAP, note)
        return cells

    return Matrix(page, columns, await asyncio.to_thread(filled), basis, through)


_said: WeakKeyDictionary[Store, Sequence[Sequence[Row]]] = WeakKeyDictionary()


async def silence(store: Store) -> Sequence[Sequence[Row]]:
    """Return what explains cells without links, which is the same for all matrices of a release."""
    if store not in _said:
        gaps, *others = await asyncio.gather(
            *(texts(store, names.PROLOGUE + query) for query in (GAPS, COVERED, ABOVE, WITHIN))
        )
        gaps.sort(key=lambda row: (row["document"], int(row.get("line", 0)), row["label"]))
        _said[store] = gaps, *others
    return _said[store]


def _narrow(sides: Sequence[Side], linked: list[Linked], among: set[str] | None, plan: str | None) -> list[Linked]:
    """Leave what the filters choose: things of rows or columns, or else those between them."""
    through = goes_through(sides, plan)
    if among is not None and through:
        linked = [each for each in linked if each.thing.iri in among]
    elif among is not None:
        sides[sides[1].of_plans and not sides[0].of_plans].keep(among)
    if plan is not None:
        keep_plan(sides, plan, linked)
    return linked


def chosen_kind(name: str, text: str, overview: Overview) -> Value:
    """Return the class that a parameter names. Raises BadRequest for an unknown one."""
    known = kinds(overview)
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
        return tuple(name for value in values if (name := value.iri.removeprefix(names.ITU)) != DERIVED)
    iris = dict.fromkeys(chosen_value("basis", part.strip(), values) for part in text.split(","))
    return tuple(iri.removeprefix(names.ITU) for iri in iris)


# --- cells ---


class _Cells(dict[tuple[str, str], Cell]):
    """The cells that are not empty, by the IRIs of row and column."""

    def __init__(self, sides: Sequence[Side]) -> None:
        super().__init__()
        self._rows, self._columns = (side.items for side in sides)
        self._evidence = 0

    def count(self, row: str, column: str, evidence: Evidence) -> None:
        """Count one more, if the cell is shown. Raises BadRequest for more than an answer holds."""
        if cell := self._shown(row, column):
            cell.evidence.append(evidence)
            self._evidence += 1
            if self._evidence > MAX_EVIDENCE:
                raise BadRequest(
                    f"More than {MAX_EVIDENCE} rows of evidence are behind this matrix; name a plan, a row or a column, "
                    "or ask for fewer rows with size."
                )

    def mark(self, row: str, column: str, bare: str, note: Note) -> None:
        """Say why a cell counts nothing, if it does not and nothing is said of it yet."""
        if (cell := self._shown(row, column)) and not cell.evidence and cell.bare == EMPTY:
            cell.bare, cell.note = bare, note

    def _shown(self, row: str, column: str) -> Cell | None:
        if row not in self._rows or column not in self._columns:
            return None
        return self.setdefault((row, column), Cell(self._rows[row], self._columns[column]))


def _count(
    cells: _Cells,
    sides: Sequence[Side],
    linked: Sequence[Linked],
    covered: Sequence[Row],
    terms: Mapping[str, str],
    *,
    through: bool,
) -> None:
    """Fill the cells with their evidence, and then mark those of which a statement about all speaks."""
    wholes = defaultdict[str, list[str]](list)
    for row in covered:
        wholes[row["whole"]].append(row["thing"])
    ranked = sorted(linked, key=lambda each: each.link.rank)
    for place, evidence in _through(sides, ranked) if through else _between(ranked):
        cells.count(*place, evidence)
    for place, link in _through_wholes(sides, ranked, wholes) if through else _between_wholes(ranked, wholes):
        cells.mark(*place, ALL, Note.of_link(link, terms))


_Place = tuple[str, str]
"""Row and column."""
_Wholes = Mapping[str, Sequence[str]]
"""Totality → the things of which it is all."""


def _between(linked: Sequence[Linked]) -> Iterator[tuple[_Place, Evidence]]:
    """Yield each link between a row and a column, once."""
    for each in dict.fromkeys(linked):
        if not each.whole:
            yield (each.thing.iri, each.end), Evidence((each.link,))


def _between_wholes(linked: Sequence[Linked], wholes: _Wholes) -> Iterator[tuple[_Place, Link]]:
    """Yield the links with a Totality, for each that it is of."""
    for each in linked:
        for end in wholes[each.end] if each.whole else ():
            yield (each.thing.iri, end), each.link
            yield (end, each.thing.iri), each.link


def _through(sides: Sequence[Side], linked: Sequence[Linked]) -> Iterator[tuple[_Place, Evidence]]:
    """Yield each thing that is linked with a row and a column, with the best link to each; it is of its plan without one."""
    things = {each.thing.iri: each.thing for each in linked}
    ends = _ends(sides, linked, None)
    for thing in in_order(things.values(), "notation"):
        for (row, to_row), (column, to_column) in product(*(ends[thing.iri, side.kind].items() for side in sides)):
            yield (row, column), Evidence(tuple(link for link in (to_row, to_column) if link), thing)


def _through_wholes(sides: Sequence[Side], linked: Sequence[Linked], wholes: _Wholes) -> Iterator[tuple[_Place, Link]]:
    """Yield the first link with a Totality of each thing that is linked with a row or all, and with a column or all."""
    ends = _ends(sides, linked, wholes)
    for thing in dict.fromkeys(each.thing.iri for each in linked):
        for (row, to_row), (column, to_column) in product(*(ends[thing, side.kind].items() for side in sides)):
            if link := next((link for link in (to_row, to_column) if link and link.object in wholes), None):
                yield (row, column), link


def _ends(
    sides: Sequence[Side], linked: Sequence[Linked], wholes: _Wholes | None
) -> Mapping[tuple[str, str], Mapping[str, Link | None]]:
    """Return what things are linked with, by thing and kind; `wholes` adds what they are linked with by a Totality."""
    found = defaultdict[tuple[str, str], dict[str, Link | None]](dict)
    for each, side in product(linked, sides):
        ends = [each.plan] if side.are_plans else (wholes or {}).get(each.end, ()) if each.whole else [each.end]
        for end in ends:
            if end in side.items:
                found[each.thing.iri, side.kind].setdefault(end, None if side.are_plans else each.link)
    return found
