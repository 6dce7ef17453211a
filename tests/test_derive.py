"""What is entailed follows from the ontology, says nothing twice and invents no class."""

import pyoxigraph as ox
import pytest
from conftest import Engine

from itukg import names
from itukg.conformance.check import check_corpus
from itukg.corpus import Corpus, merged
from itukg.errors import DataError
from itukg.queries import SavedQuery
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


def rules(corpus: Corpus) -> dict[str, SavedQuery]:
    return {rule.name: rule for rule in corpus.rules()}


def derived_graph(corpus: Corpus, data: str) -> ox.Store:
    """Return what all rules make of `data`, in Turtle, as the default graph of a store."""
    prefixes = "".join(f"@prefix {prefix}: <{iri}> .\n" for prefix, iri in names.PREFIXES.items())
    text = prefixes + f"@base <{names.THINGS}> .\n" + data
    merge = merged([ox.Quad(t.subject, t.predicate, t.object) for t in ox.parse(text, format=ox.RdfFormat.TURTLE)])
    merge |= merged(entail(merge))
    store = ox.Store()
    store.extend(ox.Quad(q.subject, q.predicate, q.object) for q in derive(merge, rules(corpus).values()))
    return store


def rows_of(store: ox.Store, query: str) -> set[tuple[str, ...]]:
    found = store.query(names.PROLOGUE + query)
    assert isinstance(found, ox.QuerySolutions)
    return {tuple(names.shorten(term.value) for term in row) for row in found}


def derived(corpus: Corpus, data: str) -> set[tuple[str, str, str, int]]:
    """Return subject, predicate, object and steps of what all rules make of `data`, in Turtle."""
    query = "SELECT ?s ?p ?o ?n { ?l itu:subject ?s ; itu:predicate ?p ; itu:object ?o ; itu:steps ?n . ?s ?p ?o }"
    return {(s, p, o, int(n)) for s, p, o, n in rows_of(derived_graph(corpus, data), query)}


LINK = "itu:basis itu:stated ; itu:subject <{}> ; itu:predicate itu:{} ; itu:object {} ."


def succession(*links: tuple[str, str, str]) -> str:
    """Return judged successions, in Turtle; the plan of a thing is its first letter."""
    things = {thing for newer, _, older in links for thing in (newer, older)}
    told = "".join(f"<{thing}> itu:plan <{thing[0]}> .\n" for thing in sorted(things))
    return told + "".join(
        f"<{newer}> itu:{how} <{older}> . <{newer}-{older}> itu:basis itu:judged ; itu:subject <{newer}> ; "
        f"itu:predicate itu:{how} ; itu:object <{older}> .\n"
        for newer, how, older in links
    )


def test_the_rules_are_there_in_the_order_in_which_they_run(corpus: Corpus) -> None:
    assert list(rules(corpus)) == ["1-lift", "2-measured", "3-matrix", "4-inherit", "5-roll-up", "6-broad"]


def test_a_target_rolls_up_to_its_goal_unless_the_goal_is_stated(corpus: Corpus) -> None:
    data = f"""sdg:9.c sdgo:isTargetOf sdg:9 . sdg:3.d sdgo:isTargetOf sdg:3 .
    <a> itu:contributesToSDGTarget sdg:9.c , sdg:3.d ; itu:contributesToSDG sdg:3 . <l> {LINK.format("a", "contributesToSDGTarget", "sdg:9.c , sdg:3.d")}"""
    assert derived(corpus, data) == {("a", "itu:contributesToSDG", "sdg:9", 1)}


def test_links_are_lifted_and_then_inherited_step_by_step(corpus: Corpus) -> None:
    data = f"""<out> itu:deliversOutcome <a1> ; itu:contributesToActionLine <C5> .
    <l1> {LINK.format("out", "deliversOutcome", "<a1>")} <l2> {LINK.format("out", "contributesToActionLine", "<C5>")}
    <own> itu:contributesToSDG sdg:1 . <l5> {LINK.format("own", "contributesToSDG", "sdg:1")}
    {succession(("b2", "restates", "a1"), ("c3", "succeeds", "b2"), ("own", "succeeds", "a1"))}"""
    assert derived(corpus, data) == {
        (o, "itu:contributesToActionLine", "C5", n) for o, n in (("a1", 1), ("b2", 2), ("c3", 3))
    }
    strengths = "SELECT ?s ?strength { ?l itu:subject ?s ; itu:strength ?strength }"
    assert rows_of(derived_graph(corpus, data), strengths) == {("a1", "close"), ("b2", "close"), ("c3", "loose")}


def test_a_thing_inherits_by_the_closest_road(corpus: Corpus) -> None:
    """What restates or revises outdoes the rest, a close link outdoes a loose one, and rests on close roads alone."""
    stated = [("a1", "sdg:1.1"), ("a2", "sdg:2.1"), ("b2", "sdg:3.1")]
    data = "".join(
        f"<{s}> itu:contributesToSDGTarget {o} . <l{n}> {LINK.format(s, 'contributesToSDGTarget', o)}\n"
        for n, (s, o) in enumerate([*stated, ("a3", "sdg:1.1")])
    )
    data += succession(
        ("c1", "revises", "a1"), ("c1", "succeeds", "a2"),  # the second is left aside
        ("c2", "merges", "a1"), ("c2", "splits", "a2"),  # none is closer: both
        ("b3", "succeeds", "a1"), ("c3", "restates", "b3"), ("c3", "revises", "a3"),  # two roads to one link
    )  # fmt: skip
    store = derived_graph(corpus, data)
    query = "SELECT ?s ?o ?strength ?n { ?l itu:subject ?s ; itu:object ?o ; itu:strength ?strength ; itu:steps ?n }"
    assert rows_of(store, query) == {
        ("c1", "sdg:1.1", "close", "1"),
        ("c2", "sdg:1.1", "loose", "1"),
        ("c2", "sdg:2.1", "loose", "1"),
        ("b3", "sdg:1.1", "loose", "1"),
        ("c3", "sdg:1.1", "close", "1"),
    }
    rests = rows_of(store, "SELECT ?from { ?l itu:subject <https://w3id.org/itukg/id/c3> ; prov:wasDerivedFrom ?from }")
    assert rests == {("c3-a3",), ("l3",)}


def test_a_plan_comes_after_those_that_it_succeeds_and_two_cannot_succeed_each_other(corpus: Corpus) -> None:
    with pytest.raises(DataError, match=r"These plans succeed each other: (a, b, a|b, a, b)"):
        derived(corpus, succession(("a1", "succeeds", "b1"), ("b2", "succeeds", "a2")))


def test_an_outcome_or_topic_serves_the_target_that_its_indicator_measures(corpus: Corpus) -> None:
    data = "sdg:C090c01 sdgo:isIndicatorOf sdg:9.c .\n"
    for thing, kind, how in (
        ("o", "Outcome", "exactMatch"),
        ("t", "Topic", "closeMatch"),
        ("c", "OutputCategory", "exactMatch"),
        ("r", "Outcome", "relatedMatch"),
    ):
        data += f"""<{thing}> a itu:{kind} . <i{thing}> itu:indicatorOf <{thing}> . <l{thing}> {LINK.format(f"i{thing}", "indicatorOf", f"<{thing}>")}
        <m{thing}> itu:basis itu:judged ; itu:subject <i{thing}> ; itu:predicate skos:{how} ; itu:object sdg:C090c01 .\n"""
    assert derived(corpus, data) == {(thing, "itu:contributesToSDGTarget", "sdg:9.c", 1) for thing in "ot"}


@pytest.mark.parametrize(
    ("framework", "start", "passed"), [(2017, 2020, True), (None, 2018, True), (2020, 2020, False), (None, 2026, False)]
)
def test_a_withdrawn_indicator_is_not_inherited_and_a_note_says_so(
    corpus: Corpus, framework: int | None, start: int, passed: bool
) -> None:
    data = f"""<code1> itu:codeOf sdg:C130302 ; skos:notation "13.3.2" ; itu:frameworkYear 2017 .
    <code2> itu:codeOf sdg:C010101 ; skos:notation "1.1.1" ; itu:frameworkYear 2020 .
    <code3> itu:codeOf sdg:C010101 ; skos:notation "1.1.1" ; itu:frameworkYear 2017 .
    <code4> skos:notation "4.a.1" ; itu:frameworkYear 2020 .
    <code5> itu:codeOf sdg:C040a01 ; skos:notation "4.a.1" ; itu:frameworkYear 2017 .
    <b> itu:startYear {start} ; dcterms:source <document> . {f"<document> itu:indicatorFramework {framework} ." if framework else ""}
    <a1> itu:linkedToSDGIndicator sdg:C130302 , sdg:C010101 , sdg:C040a01 .
    <l1> {LINK.format("a1", "linkedToSDGIndicator", "sdg:C130302 , sdg:C010101 , sdg:C040a01")}
    {succession(("b1", "restates", "a1"))}"""
    store = derived_graph(corpus, data)
    linked = rows_of(store, "SELECT ?o { ?s itu:linkedToSDGIndicator ?o }")
    assert linked == {("sdg:C010101",), ("sdg:C040a01",), *([("sdg:C130302",)] if passed else [])}
    notes = rows_of(
        store,
        "SELECT ?s ?o { ?n a itu:NotInherited ; itu:about ?s ; itu:withdrawn ?o ; itu:rationale ?why ; prov:wasDerivedFrom ?l }",
    )
    assert notes == (set() if passed else {("b1", "sdg:C130302")})


@pytest.mark.parametrize(("targets", "broad"), [(10, False), (11, True)])
def test_a_thing_with_more_than_ten_derived_targets_is_broad(corpus: Corpus, targets: int, broad: bool) -> None:
    objects = " , ".join(f"sdg:1.{n}" for n in range(targets))
    data = f"""<a1> itu:contributesToSDGTarget {objects} ; itu:contributesToActionLine <C5> .
    <l1> {LINK.format("a1", "contributesToSDGTarget", objects)} <l2> {LINK.format("a1", "contributesToActionLine", "<C5>")}
    {succession(("b1", "restates", "a1"))}"""
    marked = rows_of(derived_graph(corpus, data), "SELECT ?l { ?l itu:broad true }")
    assert len(marked) == (targets + 1 if broad else 0)


def test_the_matrix_speaks_only_where_an_output_states_no_target(corpus: Corpus) -> None:
    data = f"""<C5> itu:contributesToSDGTarget sdg:9.c . <m> itu:basis itu:reference ; itu:subject <C5> ; itu:predicate itu:contributesToSDGTarget ; itu:object sdg:9.c .
    <a> itu:contributesToActionLine <C5> . <l1> {LINK.format("a", "contributesToActionLine", "<C5>")}
    <b> itu:contributesToActionLine <C5> ; itu:contributesToSDGTarget sdg:1.4 . <l2> {LINK.format("b", "contributesToActionLine", "<C5>")}
    <l3> {LINK.format("b", "contributesToSDGTarget", "sdg:1.4")}"""
    assert derived(corpus, data) == {("a", "itu:contributesToSDGTarget", "sdg:9.c", 1)}


def test_a_rule_that_says_again_what_is_held_derives_nothing() -> None:
    held = {quad("x/a", "itu:contributesToSDG", "sdg:9")}
    assert derive(held, [SavedQuery("again", "", "", (), "CONSTRUCT WHERE { ?s ?p ?o }")]) == []


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


def test_a_link_that_is_in_the_merged_graph_is_derived_neither_as_a_triple_nor_as_a_linkage() -> None:
    text = f"""{names.PROLOGUE} CONSTRUCT {{
        ?newer itu:supportedBy ?by . ?link itu:subject ?newer ; itu:predicate itu:supportedBy ; itu:object ?by
    }} WHERE {{ ?newer itu:succeeds ?older . ?older itu:supportedBy ?by BIND(IRI(CONCAT(STR(?newer), STR(?by))) AS ?link) }}"""
    rule = SavedQuery("inherit", "", "", (), text)
    quads = {quad("x/new", "itu:succeeds", "x/old"), *(quad("x/old", "itu:supportedBy", f"x/{n}") for n in "ab")}
    assert len(derive(quads, [rule])) == 2 * 4
    found = derive(quads | {quad("x/new", "itu:supportedBy", "x/a")}, [rule])  # a curator accepted it
    assert len(found) == 4
    assert "x/a>" not in " ".join(map(str, found))
