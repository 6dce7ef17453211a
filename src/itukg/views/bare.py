"""Why a cell without links is not simply empty: one statement speaks of all, or the document leaves it open."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from itukg import names
from itukg.views.linked import DERIVED, Link, Linked, Row, Side
from itukg.views.succession import reached

COVERED = """SELECT ?whole ?thing WHERE {
  ?whole itu:allOf ?class ; itu:within ?within . ?thing a ?class
  FILTER(STRSTARTS(STR(?thing), CONCAT(STR(?within), "/")) || STRSTARTS(STR(?thing), REPLACE(STR(?whole), "/[^/]*$", "/")))
}"""
"""The query of what each Totality is of: what stands below that which it is within, or beside it."""
ABOVE = "SELECT ?class ?above WHERE { ?class rdfs:subClassOf ?above FILTER(isIRI(?above)) }"
"""The query of each class with those above it."""
GAPS = """SELECT ?about ?of ?missing ?inverse ?class ?label ?quote ?document ?section ?line WHERE {
  ?gap a itu:Gap ; itu:about ?about ; itu:missing ?missing ; itu:gapKind ?kind ; rdfs:label ?label ; dcterms:source ?document .
  OPTIONAL { ?gap itu:ofClass ?of } OPTIONAL { ?gap itu:quote ?quote }
  OPTIONAL { ?gap itu:section ?section } OPTIONAL { ?gap itu:line ?line }
  OPTIONAL { ?missing owl:inverseOf ?inverse } OPTIONAL { ?missing rdfs:range|schema:rangeIncludes ?ranged }
  OPTIONAL { ?gap itu:missingClass ?only } BIND(COALESCE(?only, ?ranged) AS ?class)
  FILTER(BOUND(?class) || ?kind != "lost-in-conversion")
}"""
"""The query of each gap, with what the property that is missing leads to; one thing that a text copy lost is no gap of its class."""


WITHIN = """SELECT ?about ?thing WHERE {
  ?gap a itu:Gap ; itu:ofClass ?of ; itu:about ?about . ?thing itu:contributesTo ?about ; a ?of .
}"""
"""The query of what a gap about a class speaks of where it is about a part of a plan, such as a topic."""


@dataclass(frozen=True)
class Note:
    """What is said of a cell without links, with the document's words and their place.

    `basis` is that of the statement that speaks of all; None for a gap.
    """

    text: str
    quote: str | None
    document: str | None
    section: str | None
    line: int | None
    basis: str | None = None

    @classmethod
    def of_link(cls, link: Link, terms: Mapping[str, str]) -> "Note":
        """Return what a link with a Totality says; `terms` is what a property is called."""
        said = (
            f"{names.shorten(link.subject)} {terms.get(link.predicate, '')} {names.shorten(link.object)} ({link.state})"
        )
        return cls(said, link.quote, link.document, link.section, link.line, link.basis)


def gap_cells(
    sides: Sequence[Side],
    gaps: Sequence[Row],
    above: Sequence[Row],
    within: Sequence[Row],
    linked: Sequence[Linked],
    through: str | None,
) -> Iterator[tuple[str, str, Note]]:
    """Yield row, column and gap of each cell that a document leaves open.

    A gap is about a thing, or about a class of the things of a plan or of a part of it; where cells count the things of a
    plan, `through`, about any of those. What the document states of the thing after all is no gap of it.
    """
    higher, lower = _grouped(above, "class", "above"), _grouped(above, "above", "class")
    parts = _grouped(within, "about", "thing")
    over = {side.kind: {side.kind} | reached(side.kind, higher) for side in sides}
    kin = {side.kind: over[side.kind] | reached(side.kind, lower) for side in sides}
    stated = defaultdict[str, set[str]](set)
    for each in linked:
        if each.link.basis != DERIVED and not each.whole:
            for iri in (each.thing.iri, each.plan, each.end):
                stated[iri].add(each.link.predicate)
    for gap in gaps:
        quote, document, section = (gap.get(name) for name in ("quote", "document", "section"))
        note = Note(gap["label"], quote, document, section, int(gap["line"]) if "line" in gap else None)
        missing, leads_to = ({gap["missing"], gap.get(name, gap["missing"])} for name in ("inverse", "class"))
        for near, far in (sides, sides[::-1]):
            if leads_to & kin[far.kind]:
                of_class = gap.get("of") in over[near.kind]
                things = _spoken_of(gap, near, through, parts.get(gap["about"], []) if of_class else None)
                silent = [thing for thing in things if not stated[through or thing] & missing]
                for thing, end in product(silent, far.items):
                    yield (thing, end, note) if near is sides[0] else (end, thing, note)


def _grouped(rows: Sequence[Row], key: str, value: str) -> Mapping[str, list[str]]:
    found = defaultdict[str, list[str]](list)
    for row in rows:
        found[row[key]].append(row[value])
    return found


def _spoken_of(gap: Row, near: Side, through: str | None, parts: Sequence[str] | None) -> list[str]:
    """Return of which rows or columns a gap speaks; `parts` are the things of its class below what it is about."""
    about = gap["about"]
    if through:
        return [*near.items] if about == through else []
    return [
        iri
        for iri, item in near.items.items()
        if iri == about or (parts is not None and (item.plan == about or iri in parts))
    ]
