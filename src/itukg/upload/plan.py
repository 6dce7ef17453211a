"""A plan that is sent: its things, what they take up of other plans, and what they are linked with."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import pyoxigraph as ox

from itukg import names
from itukg.errors import BadRequest
from itukg.release.overview import FILTERS

LINKING = frozenset(names.expand(p) for each in FILTERS if each.evidenced for p in each.properties)
"""The properties of mappings."""
_LABEL, _NOTATION = (names.expand(term) for term in ("rdfs:label", "skos:notation"))


def read_plan(quads: Iterable[ox.Quad]) -> dict[str, Any]:
    """Return a plan's `things`, its `successions` and the `links` of its things, as JSON has them.

    A thing has a class of ours and a label; what is evidence of links, or about other things, is none, nor is the plan. A
    link is there by its triple or by its Linkage, whose basis, reason and confidence count. Raises BadRequest where there
    are no things.
    """
    said: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for quad in quads:
        if isinstance(quad.subject, ox.NamedNode) and isinstance(quad.object, ox.NamedNode | ox.Literal):
            said[quad.subject.value][quad.predicate.value].append(quad.object.value)
    plans = {plan for about in said.values() for plan in about.get(names.ITU + "plan", ())}
    beside = (names.ITU + "subject", names.ITU + "about")
    things = {
        iri: about
        for iri, about in said.items()
        if _LABEL in about and iri not in plans and not any(term in about for term in beside) and _classes(about)
    }
    if not things:
        raise BadRequest(
            "No thing of a plan was sent: a thing has a class of our ontology and an rdfs:label. /ontology lists the classes."
        )
    evidence = {
        (one(about, "subject"), one(about, "predicate"), one(about, "object")): about
        for about in said.values()
        if names.ITU + "predicate" in about
    }
    stated = [(iri, term, end) for iri, about in things.items() for term, ends in about.items() for end in ends]
    links = dict.fromkeys([*stated, *(link for link in evidence if link[0] in things)])
    return {
        "things": [
            {
                "iri": iri,
                "label": about[_LABEL][0],
                "notation": next(iter(about.get(_NOTATION, ())), None),
                "classes": _classes(about),
            }
            for iri, about in sorted(things.items())
        ],
        "successions": [
            {"newer": subject, "older": object_, "predicate": predicate}
            | {name: one(evidence.get((subject, predicate, object_), {}), name) for name in ("rationale", "confidence")}
            for subject, predicate, object_ in links
            if predicate in names.SUCCESSION
        ],
        "links": [
            {
                "thing": subject,
                "object": object_,
                "basis": one(evidence.get((subject, predicate, object_), {}), "basis"),
            }
            for subject, predicate, object_ in links
            if predicate in LINKING
        ],
    }


def one(about: dict[str, list[str]], name: str) -> str | None:
    """Return what is said of something by a property of ours, if anything."""
    return next(iter(about.get(names.ITU + name, ())), None)


def _classes(about: dict[str, list[str]]) -> list[str]:
    return sorted(kind for kind in about.get(names.RDF_TYPE, ()) if kind.startswith(names.ITU))
