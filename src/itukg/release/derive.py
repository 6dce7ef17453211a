"""What follows: from the ontology into the graph `entailed`, from our rules into `derived`, never into what is stated."""

from collections import defaultdict
from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from typing import Any

import pyoxigraph as ox

from itukg import names
from itukg.errors import DataError
from itukg.queries import SavedQuery

RULES = {
    "sub-property": "{ ?s ?super ?o } WHERE { ?p rdfs:subPropertyOf ?super . ?s ?p ?o . FILTER(?p != ?super) }",
    "inverse": "{ ?o ?inverse ?s } WHERE { { ?p owl:inverseOf ?inverse } UNION { ?inverse owl:inverseOf ?p } ?s ?p ?o . FILTER(!isLiteral(?o)) }",
    "transitive": "{ ?a ?p ?c } WHERE { ?p a owl:TransitiveProperty . ?a ?p ?b . ?b ?p ?c }",
    "super-class": "{ ?s a ?super } WHERE { ?class rdfs:subClassOf ?super . ?s a ?class . FILTER(isIRI(?super)) }",
}
"""OWL 2 RL's prp-spo1, prp-inv1 and -inv2, prp-trp and cax-sco, as the right side of an INSERT.

Domains and ranges are documentation here and yield nothing.
"""


def entail(merged: set[ox.Quad]) -> list[ox.Quad]:
    """Return what the rules add to the merged graph, in the graph `entailed`: no triple that it already holds."""
    store = ox.Store()
    store.bulk_extend(merged)
    before = set(store)  # as the store writes it: it makes "4.0" into "4"
    size = 0
    while size != len(store):
        size = len(store)
        for rule in RULES.values():
            store.update(f"{names.PROLOGUE} INSERT {rule}")
    entailed = ox.NamedNode(names.graph("entailed"))
    return [ox.Quad(q.subject, q.predicate, q.object, entailed) for q in store if q not in before]


def derive(merged: set[ox.Quad], rules: Iterable[SavedQuery]) -> list[ox.Quad]:
    """Return what the CONSTRUCT queries `rules` make of the merged graph, in the graph `derived`.

    They run one after the other; each sees the merged graph, and what those before it have derived as GRAPH `derived`.
    A rule with a line `VALUES (?plan) { … }` runs once for each plan, after those that its things succeed. What is
    derived holds no triple that the merged graph holds, and no Linkage of one, but for a link that a curator accepted: the
    chain behind it remains. Raises DataError where two plans succeed each other.
    """
    graph = ox.NamedNode(names.graph("derived"))
    store = ox.Store()
    store.bulk_extend(merged)
    held = {quad.triple for quad in store}
    stated = held - _accepted(store)
    plans = _in_order(store)
    for rule in rules:
        for query in [rule.bound(plan=plan) for plan in plans] if "VALUES (?plan)" in rule.text else [rule.text]:
            triples = store.query(query)
            assert isinstance(triples, ox.QueryTriples)
            found = list(triples)
            known = {linkage for linkage, link in _links(found).items() if link in stated}
            store.extend(
                [
                    ox.Quad(t.subject, t.predicate, t.object, graph)
                    for t in found
                    if t not in held and t.subject not in known
                ]
            )
    return list(store.quads_for_pattern(None, None, None, graph))


def _accepted(store: ox.Store) -> set[ox.Triple]:
    """Return the links that a curator accepted."""
    role, everywhere = ox.NamedNode(names.ITU + "curatorRole"), ox.DefaultGraph()
    linkages = [quad.subject for quad in store.quads_for_pattern(None, role, None, everywhere)]
    said = (quad.triple for each in linkages for quad in store.quads_for_pattern(each, None, None, everywhere))
    return {*_links(said).values()}


def _links(found: Iterable[ox.Triple]) -> dict[object, ox.Triple]:
    """Return the link of each Linkage among triples."""
    said: dict[object, dict[str, Any]] = defaultdict(dict)
    for triple in found:
        said[triple.subject][triple.predicate.value] = triple.object
    ends = [names.ITU + name for name in ("subject", "predicate", "object")]
    return {
        one: ox.Triple(*(about[end] for end in ends))
        for one, about in said.items()
        if all(end in about for end in ends)
    }


def _in_order(store: ox.Store) -> list[str]:
    """Return the plans, each after those whose things its own succeed."""
    rows = store.query(
        f"{names.PROLOGUE} SELECT DISTINCT ?newer ?older WHERE {{ ?linkage itu:predicate ?how ; itu:subject/itu:plan ?newer "
        "; itu:object/itu:plan ?older FILTER(?how IN (itu:succeeds, itu:restates, itu:revises, itu:merges, itu:splits)) }"
    )
    assert isinstance(rows, ox.QuerySolutions)
    order: TopologicalSorter[str] = TopologicalSorter()
    for newer, older in sorted((row["newer"].value, row["older"].value) for row in rows):
        order.add(newer, older)
    try:
        return list(order.static_order())
    except CycleError as error:
        plans = ", ".join(map(names.shorten, error.args[1]))
        raise DataError(f"These plans succeed each other: {plans}. Turn the links of one of them round.") from None
