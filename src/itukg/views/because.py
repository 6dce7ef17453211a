"""Why a link holds: the chains of sentences, reasons and rules behind it, the shortest first."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import product
from typing import Any

import pyoxigraph as ox

from itukg import names
from itukg.engine.store import Store, rows, triples
from itukg.errors import NotFound
from itukg.formats import GRAPH_FORMATS, HTML, JSON, MARKDOWN, Format, write_json
from itukg.graphs import write_graph
from itukg.pages import inside, render
from itukg.release.overview import Overview
from itukg.views.thing import is_iri

BECAUSE_FORMATS = (HTML, JSON, MARKDOWN, *GRAPH_FORMATS)
"""Syntaxes of an answer, best first."""
MAX_ROADS = 20
"""Chains of one link that an answer lists, at most; the others are only counted."""

_DERIVED = names.graph("derived")
_PROV, _SDGO, _SKOS, _DCTERMS, _RDFS = (names.PREFIXES[p] for p in ("prov", "sdgo", "skos", "dcterms", "rdfs"))
_ABOVE = (_SDGO + "isTargetOf", _SDGO + "isIndicatorOf")

RULES = {
    "roll-up": "A link to an SDG target is a link to its Goal.",
    "lift": "An outcome receives the links of the outputs that deliver it.",
    "measured": "An outcome, or its topic, serves the SDG target whose indicator its own indicator matches.",
    "matrix": "An output that states no SDG target receives those of its action lines in the WSIS-SDG Matrix.",
    "inherit": "A thing that states no mapping of its own receives that of the things it succeeds.",
}
"""What each rule says, by the name that `itu:rule` has."""


@dataclass(frozen=True)
class Thing:
    """A thing on the way: what it is called, its code, its plan if it is of one, and where its document says so."""

    iri: str
    label: str
    notation: str | None = None
    plan: str | None = None
    document: str | None = None
    section: str | None = None
    line: int | None = None

    @property
    def name(self) -> str:
        """What a sentence calls it: "outcome T1.1-O1 of bap-2026-2029", "SDG 11.b", or the label where there is no code."""
        if self.notation is None:
            return self.label
        if self.plan is not None:
            kind = self.iri.removeprefix(f"{names.THINGS}{self.plan}/").partition("/")[0].replace("-", " ")
            return f"{kind} {self.notation} of {self.plan}"
        return f"SDG {self.notation}" if self.iri.startswith(names.SDG) else self.notation


@dataclass(frozen=True)
class Step:
    """One link of a chain, and what it rests on: the document's words with their place, a reader's reason, or a scheme.

    `role` and `date` are those of a curator who accepted the link. `rule` is the rule that leads over this step to the next, if one does.
    """

    subject: Thing
    predicate: str
    object: Thing
    basis: str
    linkage: str | None = None
    quote: str | None = None
    rationale: str | None = None
    document: str | None = None
    section: str | None = None
    line: int | None = None
    role: str | None = None
    date: str | None = None
    rule: str | None = None


@dataclass(frozen=True)
class Road:
    """A chain from the link to what is stated or judged: `strength` is None where no rule derives the link."""

    steps: tuple[Step, ...]
    strength: str | None = None
    broad: bool = False


@dataclass(frozen=True)
class Because:
    """Why a subject is linked with an object: the shortest `roads`, and the number of all."""

    subject: Thing
    object: Thing
    roads: tuple[Road, ...]
    total: int
    documents: Mapping[str, str]
    """What the documents named in the chains are called."""
    graph: list[ox.Triple] = field(repr=False)
    """The linkages behind the link, as RDF: PROV says which rests on which."""


async def because(store: Store, subject: str, object_: str, terms: Mapping[str, str]) -> Because:
    """Return why the graph links two IRIs; `terms` is what a property is called.

    A link may be stated, taken from a reference, judged or derived, by any property. Raises NotFound where nothing links
    the two, and says what the subject is linked with.
    """
    found = await triples(store, _query(subject, object_)) if is_iri(subject) and is_iri(object_) else []
    reading = _Reading(found, terms)
    roads = sorted(reading.all_roads(subject, object_), key=_order)
    if not roads:
        raise NotFound(await _no_link(store, subject, object_))
    linkages = [t for t in found if isinstance(t.subject, ox.NamedNode) and t.subject.value in reading.linkages]
    shown = roads[:MAX_ROADS]
    ends = [end for road in shown for step in road.steps for end in (step, step.subject, step.object)]
    documents = {each.document: reading.thing(each.document).label for each in ends if each.document}
    first, last = reading.thing(subject), reading.thing(object_)
    return Because(first, last, tuple(shown), len(roads), documents, sorted(linkages, key=str))


def write_because(found: Because, syntax: Format, overview: Overview) -> bytes:
    """Write the chains in one of BECAUSE_FORMATS; the page calls properties as the overview has it."""
    if syntax is HTML:
        plans = {value.notation: value.label for value in overview.values["plan"]}
        return render("because.html", found=found, rules=RULES, words=_words(overview), plans=plans)
    if syntax is MARKDOWN:
        return _markdown(found).encode()
    if syntax is JSON:
        return write_json(as_rows(found))
    return write_graph(found.graph, syntax)


def _words(overview: Overview) -> dict[str, str]:
    """Return what pages call the properties of steps."""
    return {overview.terms.get(iri) or names.shorten(iri): inside(overview.reader(iri)) for iri in overview.words}


def as_rows(found: Because) -> dict[str, Any]:
    """Return the chains as JSON has them."""
    rows_ = {"subject": asdict(found.subject), "object": asdict(found.object), "total": found.total}
    rows_ |= {"documents": found.documents}
    return rows_ | {"roads": [asdict(road) for road in found.roads]}


def _query(subject: str, object_: str) -> str:
    top = f"?top itu:subject <{subject}> ; itu:object <{object_}>"
    linkage = f"""{{ {{ {top} }} UNION {{ GRAPH <{_DERIVED}> {{ {top} }} }} BIND(?top AS ?l) }}
    UNION {{ GRAPH <{_DERIVED}> {{ {top} . ?top prov:wasDerivedFrom+ ?l }} }}"""
    told = "rdfs:label, skos:notation, itu:plan, dcterms:source, itu:section, itu:line, sdgo:isTargetOf, sdgo:isIndicatorOf"
    ends = "itu:subject|itu:object|itu:subject/dcterms:source|itu:object/dcterms:source"
    return f"""{names.PROLOGUE}
CONSTRUCT {{ ?s ?p ?o }} WHERE {{
  {{ SELECT DISTINCT ?l WHERE {{ {linkage} }} }}
  {{ ?l ?p ?o BIND(?l AS ?s) }}
  UNION {{ GRAPH <{_DERIVED}> {{ ?l ?p ?o }} BIND(?l AS ?s) }}
  UNION {{ ?l {ends}|dcterms:source ?s . ?s ?p ?o FILTER(?p IN ({told})) }}
  UNION {{ ?l itu:subject/itu:plan|itu:object/itu:plan ?s . ?s ?p ?o FILTER(?p = skos:notation) }}
  UNION {{ ?l itu:object/(sdgo:isIndicatorOf|sdgo:isTargetOf) ?s . ?s ?p ?o FILTER(?p IN ({told})) }}
  UNION {{ GRAPH <{_DERIVED}> {{ ?l itu:subject|itu:object ?s }} ?s ?p ?o FILTER(?p IN ({told})) }}
  UNION {{ GRAPH <{_DERIVED}> {{ ?l itu:subject ?t }} ?t itu:plan ?s . ?s ?p ?o FILTER(?p = skos:notation) }}
}}"""


async def _no_link(store: Store, subject: str, object_: str) -> str:
    said = f"No link with evidence leads from <{subject}> to <{object_}>."
    if not is_iri(subject):
        return said
    if is_iri(object_):
        plain = await rows(store, f"SELECT DISTINCT ?p WHERE {{ <{subject}> ?p <{object_}> }} ORDER BY ?p")
        by = ", ".join(names.shorten(row["p"].value) for row in plain)
        said += f" The structure of the document alone links them: {by}." if plain else ""
    about = f"?l itu:subject <{subject}> ; itu:object ?o"
    found = await rows(
        store,
        f"{names.PROLOGUE} SELECT DISTINCT ?o WHERE {{ {{ {about} }} UNION {{ GRAPH <{_DERIVED}> {{ {about} }} }} }} ORDER BY ?o",
    )
    linked = [names.shorten(row["o"].value) for row in found]
    if not linked:
        return f"{said} No link of <{subject}> has evidence; things are found at /search."
    more = f" and {len(linked) - MAX_ROADS} more" if len(linked) > MAX_ROADS else ""
    return f"{said} Its links with evidence lead to {', '.join(linked[:MAX_ROADS])}{more}."


def _order(road: Road) -> tuple[Any, ...]:
    return road.strength == "loose", len(road.steps), [(step.subject.iri, step.object.iri) for step in road.steps]


class _Reading:
    """The linkages behind a link, read from triples."""

    def __init__(self, found: list[ox.Triple], terms: Mapping[str, str]) -> None:
        self._terms = terms
        self._said: dict[str, dict[str, list[str]]] = {}
        for triple in found:
            if isinstance(triple.subject, ox.NamedNode) and not isinstance(triple.object, ox.BlankNode | ox.Triple):
                values = self._said.setdefault(triple.subject.value, {}).setdefault(triple.predicate.value, [])
                if triple.object.value not in values:
                    values.append(triple.object.value)
        self.linkages = {iri for iri, said in self._said.items() if names.ITU + "subject" in said}

    def all_roads(self, subject: str, object_: str) -> Iterator[Road]:
        """Yield every chain behind the links from one thing to another."""
        for iri in self.linkages:
            if (self._one(iri, "subject"), object_ in self._all(iri, "object")) == (subject, True):
                strength, broad = self._one(iri, "strength"), self._one(iri, "broad") == "true"
                yield from (Road(steps, strength, broad) for steps in self._roads(iri, object_, frozenset()))

    def _roads(self, iri: str, object_: str, above: frozenset[str]) -> Iterator[tuple[Step, ...]]:
        """Yield the chains behind one linkage, as far as its object is concerned; `above` are those that led here."""
        sources = self._said[iri].get(_PROV + "wasDerivedFrom", [])
        if not sources:
            yield (self._step(iri, object_),)
            return
        subject, rule = self._one(iri, "subject"), self._one(iri, "rule")
        known = [each for each in sorted(sources) if each in self.linkages and each not in above | {iri}]
        for source in known:
            start = self._one(source, "subject")
            joining = [each for each in known if self._joins(each, {subject, start})] if start != subject else [None]
            for end in self._all(source, "object"):
                higher = [] if end == object_ else [self._belongs(end, object_, rule)]
                if higher == [None]:
                    continue
                for join, rest in product(joining, self._roads(source, end, above | {iri})):
                    first = [self._join(join, {subject, start}, rule)] if join else []
                    yield (*first, *rest, *(step for step in higher if step))

    def _joins(self, linkage: str, ends: set[str | None]) -> bool:
        return {self._one(linkage, "subject"), *self._all(linkage, "object")} >= ends

    def _join(self, linkage: str, ends: set[str | None], rule: str | None) -> Step:
        subject = self._one(linkage, "subject")
        return self._step(linkage, next(end for end in ends if end and end != subject), rule)

    def _belongs(self, lower: str, higher: str, rule: str | None) -> Step | None:
        """Return the step from an SDG indicator to its target, or from a target to its Goal."""
        for predicate in _ABOVE:
            if higher in self._said.get(lower, {}).get(predicate, []):
                return Step(self.thing(lower), self._word(predicate), self.thing(higher), "scheme", rule=rule)
        return None

    def _step(self, iri: str, object_: str, rule: str | None = None) -> Step:
        line, document = self._one(iri, "line"), next(iter(self._said[iri].get(_DCTERMS + "source", ())), None)
        return Step(
            self.thing(self._one(iri, "subject") or ""),
            self._word(self._one(iri, "predicate") or ""),
            self.thing(object_),
            (self._one(iri, "basis") or "").removeprefix(names.ITU),
            iri,
            self._one(iri, "quote"),
            self._one(iri, "rationale"),
            document,
            self._one(iri, "section"),
            int(line) if line else None,
            self._one(iri, "curatorRole"),
            next(iter(self._said[iri].get(_DCTERMS + "date", ())), None),
            rule,
        )

    def thing(self, iri: str) -> Thing:
        """Return a thing by its IRI."""
        said = self._said.get(iri, {})
        notation, plan = (next(iter(said.get(p, ())), None) for p in (_SKOS + "notation", names.ITU + "plan"))
        code = None if plan is None else self._said.get(plan, {}).get(_SKOS + "notation", [names.shorten(plan)])[0]
        label, document = said.get(_RDFS + "label", [names.shorten(iri)])[0], said.get(_DCTERMS + "source", [None])[0]
        section, line = (next(iter(said.get(names.ITU + name, ())), None) for name in ("section", "line"))
        return Thing(iri, label, notation, code, document, section, int(line) if line else None)

    def _word(self, predicate: str) -> str:
        return self._terms.get(predicate) or names.shorten(predicate)

    def _one(self, iri: str, name: str) -> str | None:
        return next(iter(self._all(iri, name)), None)

    def _all(self, iri: str, name: str) -> list[str]:
        return self._said[iri].get(names.ITU + name, [])


def _markdown(found: Because) -> str:
    lines = [f"# Why {found.subject.name} is linked with {found.object.name}", ""]
    lines += [f"- {each.name}: {_worded(each, found)}" for each in (found.subject, found.object)]
    for number, road in enumerate(found.roads, 1):
        lines += ["", f"## Chain {number} of {found.total}{_says(road)}", ""]
        for place, step in enumerate(road.steps, 1):
            lines.append(f"{place}. {step.subject.name} *{step.predicate}* {step.object.name} ({step.basis})")
            lines += [f"   > {step.quote}", ""] if step.quote else []
            lines += [f"   {at}"] if (at := _place(step, found)) else []
            lines += [f"   {step.object.name}: {_worded(step.object, found)}"] if step.basis == "judged" else []
            lines += [f"   {step.rationale}"] if step.rationale else []
            lines += [f"   Accepted by a {step.role} on {step.date}."] if step.role else []
            lines += [f"   Rule “{step.rule}”: {RULES.get(step.rule, step.rule)}"] if step.rule else []
    return "\n".join(lines) + "\n"


def _worded(thing: Thing, found: Because) -> str:
    at = _place(thing, found)
    return f"{thing.label} ({at})" if at else thing.label


def _place(said: Thing | Step, found: Because) -> str:
    """Return where something is said: document, section and line."""
    parts = (found.documents.get(said.document or ""), said.section, f"line {said.line}" if said.line else None)
    return ", ".join(filter(None, parts)) if said.document else ""


def _says(road: Road) -> str:
    said = [word for word in (road.strength, "broad" if road.broad else None) if word]
    return f" ({', '.join(said)})" if said else ""
