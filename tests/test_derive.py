"""What is entailed follows from the ontology, says nothing twice and invents no class."""

import pyoxigraph as ox

from itukg import names
from itukg.corpus import Corpus, merged
from itukg.derive import entail
from itukg.store import Store

ITU = names.ITU


def quad(s: str, p: str, o: str) -> ox.Quad:
    return ox.Quad(*(ox.NamedNode(names.expand(term)) for term in (s, p, o)))


def entailed(*quads: ox.Quad) -> set[tuple[str, str, str]]:
    shorten = names.shorten
    found = entail(set(quads))
    assert {q.graph_name for q in found} <= {ox.NamedNode(names.graph("entailed"))}
    return {(shorten(q.subject.value), shorten(q.predicate.value), shorten(q.object.value)) for q in found}  # type: ignore[union-attr]


def test_sub_properties_inverses_transitivity_and_super_classes_are_followed_to_the_end() -> None:
    found = entailed(
        quad("itu:activityOf", "rdfs:subPropertyOf", "itu:contributesTo"),
        quad("itu:hasActivity", "owl:inverseOf", "itu:activityOf"),
        quad("itu:contributesTo", "rdf:type", "owl:TransitiveProperty"),
        quad("itu:A", "rdfs:subClassOf", "itu:B"),
        quad("itu:B", "rdfs:subClassOf", "itu:C"),
        quad("x/a", "rdf:type", "itu:A"),
        quad("x/a", "itu:activityOf", "x/b"),
        quad("x/b", "itu:activityOf", "x/c"),
    )
    assert found == {
        ("x/a", "itu:contributesTo", "x/b"),
        ("x/b", "itu:contributesTo", "x/c"),
        ("x/a", "itu:contributesTo", "x/c"),
        ("x/b", "itu:hasActivity", "x/a"),
        ("x/c", "itu:hasActivity", "x/b"),
        ("x/a", "rdf:type", "itu:B"),
        ("x/a", "rdf:type", "itu:C"),
    }


def test_domains_and_ranges_add_no_type() -> None:
    found = entailed(
        quad("itu:p", "rdfs:domain", "itu:A"), quad("itu:p", "rdfs:range", "itu:B"), quad("x/a", "itu:p", "x/b")
    )
    assert found == set()


def test_nothing_entailed_is_said_by_another_graph(store: Store) -> None:
    entailed_graph = names.graph("entailed")
    assert store.graphs()[entailed_graph] > 1000
    twice = store.rows(
        f"SELECT ?s ?p ?o WHERE {{ GRAPH <{entailed_graph}> {{ ?s ?p ?o }} GRAPH ?g {{ ?s ?p ?o }} FILTER(?g != <{entailed_graph}>) }}"
    )
    assert twice == []


def test_nothing_gains_a_class_that_is_not_a_super_class_of_its_own(store: Store) -> None:
    gained = store.rows(
        f"""PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#>
        SELECT ?s ?type WHERE {{ GRAPH <{names.graph("entailed")}> {{ ?s a ?type }}
          FILTER NOT EXISTS {{ GRAPH ?g {{ ?s a ?own }} FILTER(?g != <{names.graph("entailed")}>) ?own rdfs:subClassOf+ ?type }} }}"""
    )
    assert gained == []
    kinds = store.rows(f"SELECT DISTINCT ?type WHERE {{ GRAPH <{names.graph('entailed')}> {{ ?s a ?type }} }}")
    assert len(kinds) >= 8


def test_what_the_store_writes_otherwise_is_not_entailed() -> None:
    value = ox.Literal("4.0", datatype=ox.NamedNode(names.PREFIXES["xsd"] + "decimal"))
    assert entail({ox.Quad(ox.NamedNode("urn:s"), ox.NamedNode("urn:p"), value)}) == []


def test_the_whole_graph_contributes_upwards_without_a_cycle(corpus: Corpus) -> None:
    links = {
        (q.subject, q.object)
        for q in [*merged(list(corpus.quads())), *entail(merged(list(corpus.quads())))]
        if q.predicate.value == ITU + "contributesTo"
    }
    assert len(links) > 400
    assert not [pair for pair in links if pair[0] == pair[1]]
