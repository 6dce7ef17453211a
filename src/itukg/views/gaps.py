"""What is missing: the gaps that documents leave, and of a level of a plan what names nothing and what nothing there names."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from itukg import names
from itukg.engine.store import Store, texts
from itukg.errors import BadRequest
from itukg.formats import CSV, HTML, JSON, XLSX, Format, write_json
from itukg.pages import render
from itukg.rdf.jsonld import word
from itukg.release.overview import Overview
from itukg.tables import Table, write_workbook
from itukg.views.linked import DERIVED, Link, because_address
from itukg.views.listing import MAX_PAGE_SIZE, Item, chosen_value
from itukg.views.matrix import ALL, GAP, Cell, Matrix, kinds, matrix
from itukg.views.succession import statements

GAP_FORMATS = (JSON, HTML, CSV, XLSX)
"""Syntaxes of what is missing, best first."""
KINDS = {
    "gap": "The document calls for it, or leaves it open, and does not give it.",
    "names-nothing": "A thing of the level that has no link of its document.",
    "named-by-nothing": "What no thing of the level has a link of its document with.",
}
"""What a row is, in words."""
STATES = {
    GAP: "the document leaves it open",
    ALL: "the document speaks of all in one statement, and of this one nowhere",
    "silent": "the document says it of others of the level, and not here",
    "not looked for": "the document says it of nothing at this level, and no reader has noted that it leaves it open",
}
"""What is known of a missing link, in words."""


@dataclass(frozen=True)
class Missing:
    """Something that is missing: `id` and what it is called are those of the gap, or of the thing that is linked with nothing."""

    kind: str
    id: str
    code: str
    label: str
    plan: str
    state: str
    derived: int = 0
    """How many links rules derive, where the document has none."""
    about: str | None = None
    missing: str | None = None
    gap_kind: str | None = None
    text: str | None = None
    quote: str | None = None
    document: str | None = None
    section: str | None = None
    line: int | None = None


@dataclass(frozen=True)
class Gaps:
    """What is missing, and the links that rules derive in place of it, as evidence."""

    rows: tuple[Missing, ...]
    derived: tuple[Link, ...]
    parameters: dict[str, str]

    @property
    def counts(self) -> dict[str, int]:
        """How many rows there are of each kind and state."""
        return dict(sorted(Counter(f"{row.kind}: {row.state}" for row in self.rows).items()))


async def gaps(
    store: Store, overview: Overview, *, plan: str | None = None, level: str | None = None, columns: str | None = None
) -> Gaps:
    """Return what documents leave open, of a plan or of all; with a level and columns, which links between them are not there.

    `level` is a class of the plan's things, `columns` one of what they may be linked with, both named as the rows and
    columns of a matrix. Raises BadRequest for what is not known, and for one of the two without the other, or without a plan.
    """
    if bool(level) != bool(columns) or (level and not plan):
        raise BadRequest(
            "class and columns say between what links are missing, and of which plan: name all three, or only the plan."
        )
    chosen = chosen_value("plan", plan, overview.values["plan"]) if plan else None
    if not level:
        return Gaps(tuple(await _noted(store, chosen)), (), {"plan": plan} if plan else {})
    bases = ",".join(value.iri.removeprefix(names.ITU) for value in overview.values["basis"])
    given = {"rows": level, "columns": columns or "", "plan": plan or "", "basis": bases, "size": str(MAX_PAGE_SIZE)}
    found = await matrix(store, overview, given, "/matrix")
    if not any(row.plan == chosen for row in found.rows):
        raise BadRequest(
            f"{names.shorten(chosen or '')} has no things of the class {level}; /id?plan= lists what it has."
        )
    kinds = {"names-nothing": _by_row(found), "named-by-nothing": _by_column(found)}
    said = any(_is_said(cell) for cell in found.cells.values())
    rows = [row for kind, lines in kinds.items() for row in _bare(kind, lines, chosen or "", said=said)]
    derived = {
        link for cell in found.cells.values() if not _is_stated(cell) for each in cell.evidence for link in each.links
    }
    ordered = sorted(derived, key=lambda link: (link.subject, link.object, link.rule or ""))
    return Gaps(tuple(rows), tuple(ordered), {"plan": plan or "", "class": level, "columns": columns or ""})


async def gaps_page(store: Store, overview: Overview, found: Gaps, query: str = "") -> bytes:
    """Return what is missing as a page; `query` is the query string by which it asks for its other syntaxes."""
    told = await statements(store, {iri for row in found.rows for iri in (row.document, row.about) if iri})
    if store not in _levels:
        _levels[store] = await texts(store, names.PROLOGUE + _LEVELS)
    return render(
        "gaps.html",
        found=found,
        query=query,
        states=STATES,
        told=told,
        plans={value.iri: value.label for value in overview.values["plan"]},
        levels={(row["plan"], word(row["class"])) for row in _levels[store]},
        words={word(iri): overview.reader(iri) for iri in (*overview.terms, *overview.words)},
        called={text: overview.reader(value.iri) for text, value in kinds(overview).items()},
        counts=Counter((row.missing, row.plan) for row in found.rows),
        most=[what for what, _ in Counter(row.missing for row in found.rows).most_common()],
        together=_together,
    )


_LEVELS = "SELECT DISTINCT ?plan ?class WHERE { ?thing itu:plan ?plan ; a ?class }"
"""The query of the classes of each plan's things, which are the same for all pages of a release."""
_levels: WeakKeyDictionary[Store, list[dict[str, str]]] = WeakKeyDictionary()


def _together(rows: Iterable[Missing]) -> list[list[Missing]]:
    """Return rows with those together that rest on the same words."""
    found: dict[tuple[str | int | None, ...], list[Missing]] = {}
    for row in rows:
        found.setdefault((row.text, row.quote, row.document, row.line), []).append(row)
    return [*found.values()]


async def _noted(store: Store, plan: str | None) -> list[Missing]:
    """Return the gaps of a plan, or of all, in the order of plans and documents."""
    found = await texts(
        store,
        f"""{names.PROLOGUE}SELECT * WHERE {{
  ?gap a itu:Gap ; itu:plan ?plan ; itu:about ?about ; itu:missing ?missing ; itu:gapKind ?kind ; skos:notation ?code ;
       rdfs:label ?label ; dcterms:source ?document ; itu:section ?section ; itu:line ?line .
  {f"FILTER(?plan = <{plan}>)" if plan else ""} OPTIONAL {{ ?gap itu:quote ?quote }}
}}""",
    )
    each: dict[str, Missing] = {}
    for row in sorted(found, key=lambda row: (row["plan"], int(row["line"]), row["gap"], row["missing"])):
        before = each.get(row["gap"])
        missing = ", ".join(
            dict.fromkeys(
                [*(before.missing or "").split(", "), word(row["missing"])] if before else [word(row["missing"])]
            )
        )
        each[row["gap"]] = Missing(
            *("gap", row["gap"], row["code"], row["label"], row["plan"], GAP),
            about=row["about"],
            missing=missing,
            gap_kind=row["kind"],
            quote=row.get("quote"),
            document=row["document"],
            section=row["section"],
            line=int(row["line"]),
        )
    return [*each.values()]


Lines = Iterable[tuple[Item, list[Cell]]]
"""Rows, or columns, each with its cells."""


def _by_row(found: Matrix) -> Lines:
    return ((row, [found.cell(row, column) for column in found.columns]) for row in found.rows)


def _by_column(found: Matrix) -> Lines:
    return ((column, [found.cell(row, column) for row in found.rows]) for column in found.columns)


def _is_stated(cell: Cell) -> bool:
    """Tell whether a document, a scheme or a reader links the two."""
    return any(link.basis != DERIVED for each in cell.evidence for link in each.links)


def _is_said(cell: Cell) -> bool:
    """Tell whether a document or a scheme links the two, or the document speaks of all in one statement."""
    of_all = cell.bare == ALL and cell.note is not None and cell.note.basis != DERIVED
    return of_all or any(link.basis in ("stated", "reference") for each in cell.evidence for link in each.links)


def _bare(kind: str, lines: Lines, plan: str, *, said: bool) -> Iterator[Missing]:
    """Yield the rows or columns of which no cell is stated; `said`: whether any cell of the matrix is."""
    for item, cells in lines:
        if any(map(_is_stated, cells)):
            continue
        # What is said of one thing of the level is not said of what none of them names: there all must have it.
        notes = {cell.note for cell in cells if cell.note and cell.note.basis != DERIVED}
        everywhere = len(notes) == 1 and all(cell.note for cell in cells)
        of_all = next((note for note in notes if note.basis), None)
        gap = next((note for note in notes if not note.basis), None) if kind == "names-nothing" or everywhere else None
        note = of_all or gap
        state = ALL if of_all else GAP if gap else "silent" if said else "not looked for"
        of = (kind, item.iri, item.notation, item.label, plan, state, sum(cell.count for cell in cells))
        told = {name: value for name, value in vars(note).items() if name != "basis"} if note else {}
        yield Missing(*of, **told)


# --- written ---


def write_gaps(found: Gaps, at: str, syntax: Format, query: str = "") -> bytes:
    """Write what is missing as JSON, CSV or XLSX; `at` is the address of the service, where chains are explained.

    `query` is the query string of the request, whose release those addresses name.
    """
    because = partial(because_address, at, query=query)
    rows = [{_key(name): value for name, value in asdict(row).items()} for row in found.rows]
    if syntax is JSON:
        filled = [{name: value for name, value in row.items() if value is not None} for row in rows]
        said: dict[str, Any] = {"kinds": KINDS, "states": STATES, "counts": found.counts, "rows": filled}
        return write_json(said | {"derived": _links(found.derived, because)})
    table = Table.of_values([*map(_key, Missing.__dataclass_fields__)], rows)
    if syntax is CSV:
        return table.write(CSV)
    evidence = _links(found.derived, because)
    return write_workbook({"gaps": table, "evidence": Table.of_values([*evidence[0]] if evidence else [], evidence)})


def _key(name: str) -> str:
    return "gapKind" if name == "gap_kind" else name


def _links(links: Sequence[Link], because: Callable[[Link], str]) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in vars(link).items() if value is not None} | {"because": because(link)}
        for link in links
    ]
