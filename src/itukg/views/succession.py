"""What views of succession share: which plan is newer, the words of things with their places, and links gained and lost."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyoxigraph as ox

from itukg import names
from itukg.engine.store import Row, Store, rows
from itukg.errors import BadRequest, NotFound
from itukg.queries import SavedQuery
from itukg.release.overview import FILTERS
from itukg.tables import Table, best_labels
from itukg.views.because import Thing

_DERIVED = f"<{names.graph('derived')}>"
_LINKING = ", ".join(dict.fromkeys(p for each in FILTERS if each.evidenced for p in each.properties))
"""The properties of mappings: to what SDGs, action lines and instruments are linked by."""


@dataclass(frozen=True)
class Statement(Thing):
    """A thing with its wording, which is its label and what it defines, if anything, and the place of that."""

    definition: str | None = None
    document: str | None = None
    section: str | None = None
    line: int | None = None

    @property
    def words(self) -> str:
        """The whole wording."""
        return self.label if self.definition is None else f"{self.label}: {self.definition}"


async def statements(store: Store, iris: Iterable[str]) -> dict[str, Statement]:
    """Return what is said of things, by IRI."""
    found = await rows(
        store,
        f"""{names.PROLOGUE}SELECT * WHERE {{
  {values(iris)}
  OPTIONAL {{ ?thing rdfs:label ?label }} OPTIONAL {{ ?thing skos:notation ?notation }} OPTIONAL {{ ?thing skos:definition ?definition }}
  OPTIONAL {{ ?thing itu:plan ?of . OPTIONAL {{ ?of skos:notation ?plan }} }}
  OPTIONAL {{ ?thing dcterms:source ?document }} OPTIONAL {{ ?thing itu:section ?section }} OPTIONAL {{ ?thing itu:line ?line }}
}}""",
    )
    stated = ((row["thing"].value, row.get("label")) for row in found)
    labels = best_labels((iri, label) for iri, label in stated if isinstance(label, ox.Literal))
    made: dict[str, Statement] = {}
    for row in sorted(found, key=lambda row: int(text(row, "line") or 0)):  # a text printed twice has two lines
        iri, line = row["thing"].value, text(row, "line")
        told = {name: text(row, name) for name in ("notation", "plan", "definition", "document", "section")}
        label = labels.get(iri, names.shorten(iri))
        made.setdefault(iri, Statement(iri, label, **told, line=int(line) if line else None))
    return made


def values(iris: Iterable[str]) -> str:
    """Return the SPARQL pattern that chooses things as ?thing."""
    return f"VALUES ?thing {{ {' '.join(f'<{iri}>' for iri in sorted(set(iris)))} }}"


def reached(start: str, steps: Mapping[str, Iterable[str]]) -> set[str]:
    """Return all to which steps lead from a node, over any number of them."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = {*steps.get(waiting.pop(), ())} - found
        found |= new
        waiting += new
    return found


def text(row: Row, name: str) -> str | None:
    """Return what a row has in a column, None where it is unbound."""
    return row[name].value if name in row else None


# --- plans ---


async def plans(store: Store) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the plans, newest first, and the pairs (newer, older) of which the newer takes up something of the older."""
    found = await rows(
        store,
        f"""{names.PROLOGUE}SELECT DISTINCT ?plan ?year ?older WHERE {{
  {{ ?plan itu:startYear ?year }} UNION {{ ?new itu:succeeds ?old ; itu:plan ?plan . ?old itu:plan ?older }}
}}""",
    )
    years = {row["plan"].value: int(row["year"].value) for row in found if "year" in row}
    pairs = sorted((row["plan"].value, row["older"].value) for row in found if "older" in row)

    taken = _taken_up(pairs)
    # Of two plans of one year, such as a plan and its draft, the one that takes up the other is newer.
    order = {
        plan: (years.get(plan, 0), len(reached(plan, taken)), plan)
        for plan in {*years, *(p for pair in pairs for p in pair)}
    }
    return sorted(order, key=order.__getitem__, reverse=True), pairs


@dataclass(frozen=True)
class Period:
    """A plan with the years that it is for, and its class."""

    iri: str
    label: str
    first: int
    last: int
    kind: str


async def periods(store: Store) -> dict[str, Period]:
    """Return the plans by IRI, the earliest first."""
    found = await rows(
        store,
        f"""{names.PROLOGUE}SELECT ?plan ?label ?first ?last ?kind WHERE {{
  ?plan itu:startYear ?first ; itu:endYear ?last ; rdfs:label ?label ; a ?kind . ?kind rdfs:subClassOf itu:Plan FILTER(?kind != itu:Plan)
}} ORDER BY ?first ?plan""",
    )
    each = ({name: term.value for name, term in row.items()} for row in found)
    return {
        row["plan"]: Period(row["plan"], row["label"], int(row["first"]), int(row["last"]), row["kind"]) for row in each
    }


def _taken_up(pairs: Iterable[tuple[str, str]]) -> Mapping[str, list[str]]:
    """Return which plans each plan takes up something of."""
    found = defaultdict[str, list[str]](list)
    for newer, older in pairs:
        found[newer].append(older)
    return found


async def changes(store: Store, query: SavedQuery, older: str, newer: str) -> list[Row]:
    """Return the rows of the saved query on changes for two plans, with the IRIs of the things as `new` and `old`.

    Raises NotFound where nothing of the newer plan goes back to the older one, and says which plans have such changes;
    BadRequest for a newer plan that is the older one.
    """
    found = await rows(store, query.selecting("new", "old").bound(olderPlan=older, newerPlan=newer))
    if not found:
        _, pairs = await plans(store)
        a, b = names.shorten(older), names.shorten(newer)
        if newer in reached(older, _taken_up(pairs)):
            raise BadRequest(f"{b} is older than {a}; name the older plan first: itukg diff {b} {a}")
        known = ", ".join(f"{names.shorten(former)} {names.shorten(later)}" for later, former in pairs)
        raise NotFound(f"No change is recorded between {a} and {b}; known pairs: {known}.")
    return found


# --- links ---


@dataclass(frozen=True)
class Link:
    """A link to an SDG, action line or instrument that the newer thing or the older one has, with the basis of each."""

    object: str
    newer: str | None
    older: str | None

    @property
    def change(self) -> str:
        """Whether it is gained, lost or kept."""
        return "gained" if self.older is None else "lost" if self.newer is None else "kept"

    @property
    def derived(self) -> bool:
        """Whether a rule gives it: to the newer thing, or to the older one where it is lost."""
        return (self.newer or self.older) == "derived"


Bases = Mapping[str, Mapping[str, str]]
"""Thing → the object of each of its links → its basis."""
LINK_COLUMNS = {
    f"{change}{suffix}": f"{change}{words}"
    for change in ("gained", "lost", "kept")
    for suffix, words in (("", ""), ("Derived", ", derived"))
}
"""The columns of links in a table, and what a page calls them: links that documents and schemes give, and derived ones."""
EVIDENCE_COLUMNS = (
    "subject", "property", "object", "basis", "rule", "strength", "rationale", "quote", "document", "section", "line",
)  # fmt: skip


async def links_of(store: Store, things: str, basis: str | None = None) -> Bases:
    """Return the links of the things that a SPARQL pattern of ?thing chooses, of all bases or of one."""
    found = await rows(
        store,
        f"""{names.PROLOGUE}SELECT ?thing ?basis (GROUP_CONCAT(STR(?object); separator=" ") AS ?objects) WHERE {{
  {_linkages(things, basis)}
}} GROUP BY ?thing ?basis""",
    )
    bases: dict[str, dict[str, str]] = {}
    for row in sorted(found, key=lambda row: row["basis"].value.endswith("derived")):
        for object_ in row["objects"].value.split(" "):
            bases.setdefault(row["thing"].value, {}).setdefault(object_, row["basis"].value.removeprefix(names.ITU))
    return bases


def _linkages(things: str, basis: str | None, here: str = "", derived: str = "") -> str:
    """Return the pattern of the linkages of things; `here` and `derived` are what else is asked of those in each place."""
    linkage = "?linkage itu:subject ?thing ; itu:predicate ?predicate ; itu:object ?object ; itu:basis ?basis ."
    chosen = f"FILTER(?basis = <{basis}>)" if basis else ""
    return f"""{things} {{ {linkage} {here} }} UNION {{ GRAPH {_DERIVED} {{ {linkage} {derived} }} }}
  FILTER(?predicate IN ({_LINKING})) {chosen}"""


def compared(bases: Bases, newer: str | None, older: str | None) -> tuple[Link, ...]:
    """Return the links of a newer thing and of an older one; the links of a thing without the other are gained or lost."""
    new, old = (bases.get(thing, {}) if thing else {} for thing in (newer, older))
    return tuple(Link(iri, new.get(iri), old.get(iri)) for iri in sorted({*new, *old}))


def by_change(links: Iterable[Link]) -> dict[str, list[str]]:
    """Return what links lead to, by its short name, under each of LINK_COLUMNS that has any."""
    found: dict[str, list[str]] = {column: [] for column in LINK_COLUMNS}
    for link in links:
        found[f"{link.change}{'Derived' if link.derived else ''}"].append(names.shorten(link.object))
    return {column: objects for column, objects in found.items() if objects}


def link_cells(links: Iterable[Link]) -> dict[str, str]:
    """Return the cells of LINK_COLUMNS in a table."""
    return {column: " ".join(objects) for column, objects in by_change(links).items()}


async def evidence(store: Store, things: str, basis: str | None = None) -> Table:
    """Return a table of the evidence of the links of things: sentence with place, or rule; a row each."""
    here = " ".join(f"OPTIONAL {{ ?linkage itu:{name} ?{name} }}" for name in ("rationale", "quote", "section", "line"))
    here += " OPTIONAL { ?linkage dcterms:source ?document }"
    derived = " ".join(f"OPTIONAL {{ ?linkage itu:{name} ?{name} }}" for name in ("rule", "strength"))
    found = await rows(
        store,
        f"""{names.PROLOGUE}SELECT * WHERE {{ {_linkages(things, basis, here, derived)} }}
ORDER BY ?thing ?predicate ?object ?linkage""",
    )
    return await asyncio.to_thread(lambda: Table.of_values(EVIDENCE_COLUMNS, [_evidence(row) for row in found]))


def _evidence(row: Row) -> dict[str, Any]:
    cells: dict[str, Any] = {name: text(row, name) for name in EVIDENCE_COLUMNS}
    short = {"subject": "thing", "property": "predicate", "object": "object", "document": "document"}
    cells |= {name: names.shorten(row[column].value) for name, column in short.items() if column in row}
    cells["basis"] = row["basis"].value.removeprefix(names.ITU)
    return cells | ({"line": int(row["line"].value)} if "line" in row else {})
