"""What is entailed follows from the ontology, says nothing twice and invents no class."""

import pyoxigraph as ox
from conftest import Engine

from itukg import names
from itukg.conformance.check import check_corpus
from itukg.corpus import Corpus, merged
from itukg.release.derive import derive, entail

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


def test_nothing_entailed_is_said_by_another_graph(store: Engine) -> None:
    entailed_graph = names.graph("entailed")
    assert store.graphs()[entailed_graph] > 1000
    twice = store.rows(
        f"SELECT ?s ?p ?o WHERE {{ GRAPH <{entailed_graph}> {{ ?s ?p ?o }} GRAPH ?g {{ ?s ?p ?o }} FILTER(?g != <{entailed_graph}>) }}"
    )
    assert twice == []


def test_nothing_gains_a_class_that_is_not_a_super_class_of_its_own(store: Engine) -> None:
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


def rules(corpus: Corpus) -> dict[str, str]:
    return {rule.name: rule.text for rule in corpus.rules()}


def derived(corpus: Corpus, data: str) -> set[tuple[str, str, str, int]]:
    """Return subject, predicate, object and steps of what all rules make of `data`, in Turtle."""
    prefixes = "".join(f"@prefix {prefix}: <{iri}> .\n" for prefix, iri in names.PREFIXES.items())
    text = prefixes + f"@base <{names.THINGS}> .\n" + data
    merge = merged([ox.Quad(t.subject, t.predicate, t.object) for t in ox.parse(text, format=ox.RdfFormat.TURTLE)])
    merge |= merged(entail(merge))
    found = derive(merge, rules(corpus).values())
    store = ox.Store()
    store.extend(ox.Quad(q.subject, q.predicate, q.object) for q in found)
    rows = store.query(
        f"PREFIX itu: <{ITU}> SELECT * WHERE {{ ?l itu:subject ?s ; itu:predicate ?p ; itu:object ?o ; itu:steps ?n . ?s ?p ?o }}"
    )
    assert isinstance(rows, ox.QuerySolutions)
    short = names.shorten
    return {(short(r["s"].value), short(r["p"].value), short(r["o"].value), int(r["n"].value)) for r in rows}


LINK = "itu:basis itu:stated ; itu:subject <{}> ; itu:predicate itu:{} ; itu:object {} ."


def test_the_four_rules_are_there(corpus: Corpus) -> None:
    assert list(rules(corpus)) == ["inherit", "lift", "matrix", "roll-up"]


def test_a_target_rolls_up_to_its_goal_unless_the_goal_is_stated(corpus: Corpus) -> None:
    data = f"""sdg:9.c sdgo:isTargetOf sdg:9 . sdg:3.d sdgo:isTargetOf sdg:3 .
    <a> itu:contributesToSDGTarget sdg:9.c , sdg:3.d ; itu:contributesToSDG sdg:3 . <l> {LINK.format("a", "contributesToSDGTarget", "sdg:9.c , sdg:3.d")}"""
    assert derived(corpus, data) == {("a", "itu:contributesToSDG", "sdg:9", 1)}


def test_links_are_lifted_and_then_inherited_step_by_step(corpus: Corpus) -> None:
    data = f"""itu:restates rdfs:subPropertyOf itu:succeeds .
    <out> itu:deliversOutcome <o1> ; itu:contributesToActionLine <C5> .
    <l1> {LINK.format("out", "deliversOutcome", "<o1>")} <l2> {LINK.format("out", "contributesToActionLine", "<C5>")}
    <o2> itu:restates <o1> . <l3> itu:basis itu:judged ; itu:subject <o2> ; itu:predicate itu:restates ; itu:object <o1> .
    <o3> itu:succeeds <o2> . <l4> itu:basis itu:judged ; itu:subject <o3> ; itu:predicate itu:succeeds ; itu:object <o2> .
    <own> itu:succeeds <o1> ; itu:contributesToSDG sdg:1 . <l5> {LINK.format("own", "contributesToSDG", "sdg:1")}
    <l6> itu:basis itu:judged ; itu:subject <own> ; itu:predicate itu:succeeds ; itu:object <o1> ."""
    assert derived(corpus, data) == {
        (o, "itu:contributesToActionLine", "C5", n) for o, n in (("o1", 1), ("o2", 2), ("o3", 3))
    }


def test_the_matrix_speaks_only_where_an_output_states_no_target(corpus: Corpus) -> None:
    data = f"""<C5> itu:contributesToSDGTarget sdg:9.c . <m> itu:basis itu:reference ; itu:subject <C5> ; itu:predicate itu:contributesToSDGTarget ; itu:object sdg:9.c .
    <a> itu:contributesToActionLine <C5> . <l1> {LINK.format("a", "contributesToActionLine", "<C5>")}
    <b> itu:contributesToActionLine <C5> ; itu:contributesToSDGTarget sdg:1.4 . <l2> {LINK.format("b", "contributesToActionLine", "<C5>")}
    <l3> {LINK.format("b", "contributesToSDGTarget", "sdg:1.4")}"""
    assert derived(corpus, data) == {("a", "itu:contributesToSDGTarget", "sdg:9.c", 1)}


def test_a_rule_that_says_again_what_is_held_derives_nothing() -> None:
    held = {quad("x/a", "itu:contributesToSDG", "sdg:9")}
    assert derive(held, ["CONSTRUCT WHERE { ?s ?p ?o }"]) == []


def test_nothing_derived_is_in_the_merged_graph(store: Engine) -> None:
    twice = store.rows(f"SELECT ?s WHERE {{ GRAPH <{names.graph('derived')}> {{ ?s ?p ?o }} ?s ?p ?o }}")
    assert twice == []


def test_a_derived_link_without_its_linkage_or_its_reason_is_a_violation(corpus: Corpus) -> None:
    kept = {names.graph("ontology"), names.graph("shapes")}
    ours = [q for q in corpus.quads() if isinstance(q.graph_name, ox.NamedNode) and q.graph_name.value in kept]
    bare = [
        quad("x/a", "itu:contributesToSDG", "sdg:9"),
        quad("x/l", "itu:basis", "itu:derived"),
        quad("x/l", "itu:predicate", "itu:monitors"),
        quad("x/l", "itu:subject", "x/a"),
        quad("x/l", "itu:object", "x/b"),
    ]
    report = check_corpus(corpus, ours, bare)
    broken = {names.shorten(finding.shape) for finding in report.findings}
    assert broken == {"itush:TripleEvidenced", "itush:LinkageLinked", "itush:DerivedLinkage"}
    assert {finding.severity for finding in report.findings} == {"Violation"}
