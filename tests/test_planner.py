"""The planner changes how a query is evaluated, and never what it answers."""

import re
import socket
from collections import Counter
from math import inf
from random import Random
from typing import Any

import pyoxigraph as ox
import pytest
from conftest import ROOT, Engine

from itukg.errors import SyntaxProblem
from itukg.formats import CSV
from itukg.processes.worker import END, HEAD, Output
from itukg.release import Release
from itukg.store import joins, planner, worker
from itukg.store.patterns import DEEPEST, MOST, Reader
from itukg.store.planner import LONGEST, MOST_JOINED, Use, Uses, in_order

RARE = Uses(dict.fromkeys(("x:p", "x:q", "x:r"), Use(10, 90, 90)))
"""By these numbers there is always one thing or none to be looked up, so that the planner does whatever it may."""


HASHED = "{ SELECT * { "
"""How a side of a join by hash begins, and nothing else here."""


def planned(pattern: str) -> str:
    """A pattern as the planner writes it, in one line."""
    before, after = "PREFIX : <x:> SELECT * WHERE { ", " }"
    query = in_order(f"{before}{pattern}{after}", RARE)
    assert query.startswith(before)
    return re.sub(r"\s+", " ", query.removeprefix(before).removesuffix(after))


@pytest.mark.parametrize(
    ("pattern", "written"),
    [
        (
            "?a :p ?b OPTIONAL { ?c :q ?d ; :r ?a }",
            "?a :p ?b LATERAL { OPTIONAL { ?c :r ?a LATERAL { ?c :q ?d } } }",
        ),
        (
            "?a :p ?b FILTER NOT EXISTS { ?c :q ?d, 'x; }'@en . ?c :r/:p ?b }",
            "?a :p ?b FILTER NOT EXISTS { ?c :r / :p ?b LATERAL { ?c :q 'x; }'@en } LATERAL { ?c :q ?d } }",
        ),
        (
            "FILTER (EXISTS { ?c :q ?d . ?c :r ?a } || ?b = 1) ?a :p ?b",
            "FILTER (EXISTS { ?c :r ?a LATERAL { ?c :q ?d } } || ?b = 1) ?a :p ?b",
        ),
        (
            "?a :p ?b OPTIONAL { ?b :q ?c OPTIONAL { ?c :q ?d . ?d :r ?e FILTER (?e > 1) } }",
            "?a :p ?b LATERAL { OPTIONAL { ?b :q ?c LATERAL { OPTIONAL { ?c :q ?d LATERAL { ?d :r ?e } FILTER (?e > 1) } } } }",
        ),
        (
            "?a :p ?b OPTIONAL { ?b :q ?c FILTER EXISTS { ?c :r ?d . ?d :p ?a } }",
            "?a :p ?b OPTIONAL { ?b :q ?c FILTER EXISTS { ?c :r ?d LATERAL { ?d :p ?a } } }",
        ),
        (
            "?a :p ?b OPTIONAL { ?b :q ?é·é . ?é·é :r <x:\\u0041'> }",
            "?a :p ?b LATERAL { OPTIONAL { ?b :q ?é·é LATERAL { ?é·é :r <x:\\u0041'> } } }",
        ),
        ("?a :p ?b OPTIONAL { ?b :q/:r ?c }", "?a :p ?b LATERAL { OPTIONAL { ?b :q/:r ?c } }"),
    ],
)
def test_optional_and_exists_begin_at_the_row_at_hand(pattern: str, written: str) -> None:
    assert planned(pattern) == written


@pytest.mark.parametrize(
    "pattern",
    [
        "?a :p ?b OPTIONAL { ?b :q ?c }",  # the engine does so itself
        "?a :p ?b OPTIONAL { ?b :q ?c FILTER (?c != ?a) }",
        "?a :p ?b OPTIONAL { ?c :q ?d . ?d :r ?e }",  # nothing leads from the row there
        "?a :p ?b FILTER EXISTS { ?c :q ?d . ?d :r ?e }",
        "OPTIONAL { ?a :p ?b } OPTIONAL { ?b :q ?c . ?c :r ?d }",  # ?b may be unbound
        "?a :p ?b { ?c :q ?d OPTIONAL { ?a :q ?e . ?e :r ?f } }",  # ?a is not bound in the brackets
        "VALUES (?a ?b) { (:a UNDEF) } OPTIONAL { ?b :q ?c . ?c :r ?d }",
        "?a :p ?b OPTIONAL { ?b :q ?c OPTIONAL { ?c :q ?d } . ?c :p ?e }",  # more than filters and options
        "?a :p ?b OPTIONAL { ?b :q ?c . ?c :r ?d MINUS { ?b :p ?d } }",
        "?a :p ?b OPTIONAL { ?b :q ?c . ?c :r ?d VALUES ?d { 1 2 } }",
        "?a :p ?b OPTIONAL { ?b :q ?c . ?c :r ?d FILTER EXISTS { ?d :p ?e BIND (1 AS ?f) } }",
        "?a :p ?b OPTIONAL { ?b :q ?c OPTIONAL { ?c :r ?d MINUS { ?b :p ?d } } }",
        "?a :p ?b OPTIONAL { ?b :q ?c OPTIONAL { ?c :q ?a } }",  # ?a is the row's, and not bound between
        "?a :p ?b OPTIONAL { ?b :q ?c OPTIONAL { ?c :q ?d OPTIONAL { ?d :q ?e FILTER (?e != ?b) } } }",
        "?a :p ?b OPTIONAL { ?b :q* ?c . ?c :r ?d }",  # also where ?b is no node of the graph
        "?a :p ?b OPTIONAL { ?b !:q ?c . ?c :r ?d }",  # the engine counts otherwise where ?c is bound
        "?a !:p ?b OPTIONAL { ?b :q ?c . ?c :r ?d } ?b :r ?a",  # and joins in another order beside a chain
        "?a :p ?b OPTIONAL { ?b !() ?c . ?c :r ?d }",
        "?a :p ?b OPTIONAL { ?b () ?c . ?c :r ?d }",
        # a chain lets the engine look the EXISTS up for each row outside, with variables that it must not see
        "?a :p ?b OPTIONAL { ?c :q ?a BIND (EXISTS { ?a :p ?d . ?b :q ?d } AS ?e) }",
        "?a :p ?b { ?a :q ?c FILTER EXISTS { ?c :p ?d . ?b :q ?d } }",
        "{ ?a :q ?c FILTER EXISTS { ?c :p ?d . ?b :q ?d FILTER EXISTS { ?d :q ?e . ?e :q ?c } } } ?a :p ?b",
        "?a :p ?b BIND (EXISTS { ?a :q ?c . ?c :q ?d } AS ?e) ?d :r ?b",
        "{ SELECT * { ?a :p ?b FILTER EXISTS { ?b :q ?c . ?c :r ?d } } VALUES ?d { :a } }",
        # variables with signs that are no letters, and two comparisons that look like an IRI
        "?a·b :p ?b OPTIONAL { ?b :q ?a OPTIONAL { ?a :r ?d FILTER (?a·b != ?d) } }",
        "?a\u1680b :p ?b OPTIONAL { ?b :q ?a OPTIONAL { ?a :r ?d FILTER (?a\u1680b != ?d) } }",
        "?a :p ?b OPTIONAL { ?b :q ?c OPTIONAL { ?c :r ?d FILTER (1<?a&&2>?d) } }",
        "?a :p ?b OPTIONAL { ?b :q ?c OPTIONAL { ?c :r ?d FILTER (?d != <x:\\u0041'> && ?d != ?a && 'x' != <x:y'>) } }",
        "?a :p ?b OPTIONAL { ?b :q ?c . ?c :r\u00a0?d }",  # no query
        "?a :p ?b OPTIONAL { ?b :q ?c . ?c :r\f?d }",
        "?a :p ?b OPTIONAL { ?b :q ?c . ?c :r 'd }",
        "?a :p ?b OPTIONAL { ?b :q ?c . ?c " + ":r/" * MOST + ":r ?d }",
        "?a :p ?b OPTIONAL { ?b :q ?c . ?c :r ?d FILTER " + "(" * 3000 + "?d" + ")" * 3000 + " }",
        "?a :p ?b OPTIONAL { ?b :q _:c . _:c :r ?d }",
        "?a :p ?b OPTIONAL { ?b :q [ :r ?d ] }",
        "?a :p ?b OPTIONAL { ?b :q (1 2) . ?b :r ?d }",
        "?a :p ?b OPTIONAL { ?b :q ?c {| :r ?d |} . ?c :r ?d }",
        "?a :p ?b OPTIONAL { ?b :q << ?c :r ?d >> . ?b :r ?d }",
        "?a :p ?b SERVICE <x:y> { ?b :q ?c } OPTIONAL { ?b :q ?c . ?c :r ?d }",
        "?a :p 'OPTIONAL { ?a :q ?c . ?c :r ?d }' # OPTIONAL { ?a :q ?c . ?c :r ?d }\n",
        "?a :p ?b OPTIONAL { ?b :q ?c . ?c :r }",  # no query
        "?a :p ?b OPTIONAL { ?b :q ?c . ?c :r ?d",
        "?a :p ?b OPTIONAL { ?b :q ?c . ) :r ?d }",
        "?a :p ?b OPTIONAL",
        "?a :p ?b OPTIONAL { ?b :q ?c . ?c :r ?d } #" + "x" * LONGEST,
        "?a :p ?b OPTIONAL { " + "?b :q ?c . " * (MOST + 1) + " }",
        "{ " * (DEEPEST + 1) + "?a :p ?b OPTIONAL { ?b :q ?c . ?c :r ?d }" + " }" * (DEEPEST + 1),
    ],
)
def test_what_may_answer_otherwise_or_is_not_understood_stays_as_it_is(pattern: str) -> None:
    query = f"PREFIX : <x:> SELECT * WHERE {{ {pattern} }}"
    assert in_order(query, RARE) == query


def test_an_optional_for_much_of_the_graph_is_matched_at_once() -> None:
    query = "SELECT * WHERE { ?a ?p ?b OPTIONAL { ?l <x:p> ?a ; <x:q> ?b } }"
    uses = Uses({"x:p": Use(100, 100, 50), "x:q": Use(100, 100, 50), "x:r": Use(10_000, 500, 500)})
    uses["x:g x:r"] = Use(1_000_000_000, 500, 500)  # of a graph that is not asked
    assert in_order(query, uses) == query
    one = query.replace("?a ?p ?b", "VALUES ?a { <x:a> } ?a ?p ?b")
    assert in_order(one, uses) != one


# --- joins by hash ---

MANY = Uses(
    {
        "x:p": Use(3000, 3000, 6), "x:q": Use(3000, 3000, 3000), "x:r": Use(3000, 1000, 300), "x:few": Use(20, 20, 20),
        "x:some": Use(700, 700, 700), "x:part": Use(300, 250, 280),
        "x:more": Use(600, 40, 130), "x:lots": Use(60_000, 4000, 130), "x:most": Use(2_000_000, 2_000_000, 2_000_000),
        "x:-": Use(3000, 3000, 3000), "x:Class": Use(2500, 2500, 1), "x:g x:q": Use(3000, 3000, 3000), "x:g x:s": Use(3000, 3000, 5),
    }
)  # fmt: skip
"""By these numbers a join by hash takes about half the time of lookups, but of what is constant or has few."""


def joined(pattern: str) -> str:
    """A pattern as the planner writes it by the numbers of `MANY`, in one line and with S for SELECT *."""
    before, after = "PREFIX : <x:> SELECT * WHERE { ", " }"
    written = in_order(f"{before}{pattern}{after}", MANY)
    assert written.startswith(before)
    assert written.endswith(after)
    return re.sub(r"\s+", " ", written.removeprefix(before).removesuffix(after)).strip().replace("SELECT *", "S")


@pytest.mark.parametrize(
    ("pattern", "written"),
    [
        ("?a :p ?b ; :q ?c", "{ S { ?a :p ?b } } { S { ?a :q ?c } }"),
        ("?a :some ?b . ?c :some ?b", "{ S { ?a :some ?b } } { S { ?c :some ?b } }"),
        ("?a :p ?b ; a :Class", "{ S { ?a a :Class } } { S { ?a :p ?b } }"),
        (  # as derived-links
            "GRAPH :g { ?l :s ?r ; :q ?a . } . ?a :p ?b",
            "{ S { { S { GRAPH :g { ?l :s ?r } } } { S { GRAPH :g { ?l :q ?a } } } } } { S { ?a :p ?b } }",
        ),
        (  # as shared-targets
            "?a :p :x ; :more ?t . ?b :p :y ; :more ?t",
            "{ S { { S { ?b :p :y } } { S { ?b :more ?t } } } } { S { { S { ?a :p :x } } { S { ?a :more ?t } } } }",
        ),
        (  # as shared-targets over more data
            "?a :p :x ; :lots ?t . ?b :p :y ; :lots ?t",
            "{ S { ?b :p :y LATERAL { ?b :lots ?t } } } { S { ?a :p :x LATERAL { ?a :lots ?t } } }",
        ),
        (  # never all the ways that a path finds
            "?a a :Class ; :p ?b ; :q ?c ; :q ?d ; :q ?e ; :q ?f ; :q ?g . ?e :q+ ?h",
            (
                "{ S { { S { { S { { S { { S { { S { ?a a :Class } } { S { ?a :p ?b } } } } { S { ?a :q ?c } } } } "
                "{ S { ?a :q ?d } } } } { S { ?a :q ?e } } } } { S { ?a :q ?f } } } } { S { ?a :q ?g } } "
                "LATERAL { ?e :q + ?h }"
            ),
        ),
        (
            "?a :p ?b FILTER (?b != ?c) ?a :q ?c MINUS { ?a :r ?b } OPTIONAL { ?c :few ?d } BIND (1 AS ?e)",
            "{ S { ?a :p ?b } } { S { ?a :q ?c } } FILTER (?b != ?c) MINUS { ?a :r ?b } OPTIONAL { ?c :few ?d } BIND (1 AS ?e)",
        ),
        (
            "{ ?a :p ?b . ?a :q ?c } UNION { ?a :p ?b . ?b :q ?c }",
            "{ { S { ?a :p ?b } } { S { ?a :q ?c } } } UNION { { S { ?a :p ?b } } { S { ?b :q ?c } } }",
        ),
        (
            "{ SELECT ?a (COUNT(*) AS ?n) { ?a :p ?b . ?a :q ?c } GROUP BY ?a } ?a :few ?d",
            "{ SELECT ?a (COUNT(*) AS ?n) { { S { ?a :p ?b } } { S { ?a :q ?c } } } GROUP BY ?a } ?a :few ?d",
        ),
    ],
)
def test_patterns_are_joined_by_hash_where_that_is_quicker(pattern: str, written: str) -> None:
    assert joined(pattern) == written


@pytest.mark.parametrize(
    "pattern",
    [
        "?a :p ?b ; :few ?c",  # few lookups
        "?a :p ?b . ?c :few ?a . ?c :q ?d . ?d :q ?e",
        "?a :p :x ; :q ?c",
        "?a :most ?b ; :most ?c",  # too much to hold in memory
        "?a :r ?b ; :r ?c ; :r ?d",  # too much, if one thing has most of them
        "?a :p ?b ; :q ?c ; :unused ?d",
        "?a :some ?b ; :some ?c",
        "?a :p ?b . ?c :q ?d",  # nothing joins them
        "?a :p ?b ; :q ?c . ?d :few ?e",
        "?a :p ?b ; :q ?c FILTER (?b = 1)",  # lookups for the few that pass
        # what else binds
        "?a :p ?b ; :q ?c VALUES ?a { :x }",
        "BIND (:x AS ?a) ?a :p ?b ; :q ?c",
        "OPTIONAL { ?a :few ?b } ?a :p ?b ; :q ?c",
        "?a :few ?b { ?a :p ?b ; :q ?c }",
        "{ ?a :p ?b ; :q ?c } ?a :few ?b",
        "?a :p ?b ; :q ?c { ?a :few ?b } UNION { ?a :few ?c }",
        "?a :p ?b ; :q ?c { SELECT * { ?a :few ?b } }",
        "?a :p ?b ; :q ?c GRAPH ?g { ?a :few ?b }",
        "?a :p ?b ; :q ?c GRAPH :g { ?a :q ?b FILTER (?b = 1) }",
        "?a :p ?b ; :q ?c LATERAL { ?a :few ?d }",
        # evaluated for each row
        "?d :few ?e FILTER EXISTS { ?a :p ?b ; :q ?c }",
        "?d :few ?e OPTIONAL { ?a :p ?b ; :q ?c }",
        "?d :few ?e MINUS { ?d :p ?b ; :q ?c }",
        "?d :few ?e LATERAL { ?a :p ?b ; :q ?c }",
        "?d :few ?e OPTIONAL { { SELECT * { ?a :p ?b ; :q ?c } } }",
        "GRAPH ?g { ?a :p ?b ; :q ?c }",
        # how many rows they give is not known, or hangs on where they stand
        "?a :p ?b ; :q* ?c",
        "?a :p ?b ; :q?/:q ?c",
        "?a :p ?b ; :q ?c . ?c :q ?d . ?d :q ?e . ?e :q*/:q ?f",
        "?a :p ?b ; :q ?c . ?c :q ?d . ?d :q ?e . ?e :q|:q ?f",
        "?a :p/:q ?b ; :q/:p ?c",
        "?a :p ?b ; :q [ :r ?c ]",
        "?a :p _:b . _:b :q ?c",
        "".join(f"?a :q ?b{number} . " for number in range(MOST_JOINED + 1)),
    ],
)
def test_patterns_are_looked_up_where_that_is_quicker_or_rows_are_given(pattern: str) -> None:
    query = f"PREFIX : <x:> SELECT * WHERE {{ {pattern} }}"
    assert in_order(query, MANY) == query


@pytest.mark.parametrize(
    ("query", "hashed"),
    [
        ("ASK { … }", False),
        ("SELECT * { … } LIMIT 10", False),
        ("SELECT * { … } OFFSET 10", False),
        ("SELECT * { … } ORDER BY ?b LIMIT 10", True),
        ("SELECT ?a (COUNT(*) AS ?n) { … } GROUP BY ?a LIMIT 10", True),
        ("SELECT * { { SELECT * { … } LIMIT 10 } } ORDER BY ?b", False),
        ("SELECT REDUCED * { … }", False),
        ("SELECT (SAMPLE(?b) AS ?d) { … }", False),
        ("SELECT (GROUP_CONCAT(?c) AS ?d) { … }", False),
        ("SELECT * { … } VALUES ?b { :x }", False),
        ("SELECT * { … FILTER (RAND() < 0.5) }", False),
        ("SELECT (EXISTS { … } AS ?d) { ?a :few ?e }", False),
        ("SELECT ?a { ?a :few ?e } GROUP BY ?a HAVING EXISTS { … }", False),
        ("SELECT * { { SELECT ?a (EXISTS { … } AS ?d) { ?a :few ?e } } }", False),
        ("CONSTRUCT WHERE { … }", False),
        ("CONSTRUCT { ?a :few ?b } WHERE { … }", True),
        ("DESCRIBE ?a { … }", True),
    ],
)
def test_the_first_rows_their_order_and_short_forms_are_left_to_lookups(query: str, hashed: bool) -> None:
    query = f"PREFIX : <x:> {query.replace('…', '?a :p ?b . ?a :q ?c')}"
    assert (in_order(query, MANY) != query) == hashed


def taken_in_steps(query: str) -> str:
    """A query as the planner writes it by the numbers of `MANY`, in one line and with S for SELECT *."""
    written = in_order(f"PREFIX : <x:> {query}", MANY)
    return re.sub(r"\s+", " ", written.removeprefix("PREFIX : <x:> ")).replace("SELECT *", "S")


@pytest.mark.parametrize(
    ("pattern", "written"),
    [
        (  # as path
            "?a :p :x ; :part+ ?b",
            "{ S { ?a :part ?step0 } } { S { ?a :p :x } } LATERAL { ?step0 :part * ?b }",
        ),
        (
            "?a :p :x ; :part+ ?a",
            "{ S { ?a :part ?step0 } } { S { ?a :p :x } } LATERAL { ?step0 :part * ?a }",
        ),
        (
            "?a :p :x . GRAPH :g { ?a :q+ ?b } ?a <x:part>+ ?b",
            (
                "{ S { ?a <x:part> ?step1 } } { S { ?a :p :x } } LATERAL { GRAPH :g { ?a :q ?step0 } } "
                "LATERAL { GRAPH :g { ?step0 :q * ?b } } LATERAL { ?step1 <x:part> * ?b }"
            ),
        ),
        (  # a name that the query does not have
            "?a :p :x ; :part+ ?step0 FILTER (?step1 = 'step2')",
            "{ S { ?a :part ?step3 } } { S { ?a :p :x } } LATERAL { ?step3 :part * ?step0 } FILTER (?step1 = 'step2')",
        ),
        (  # the path last, however few rows it is taken to give
            "?a :p :x ; :part+ ?b FILTER (?b != :y)",
            "{ S { ?a :part ?step0 } } { S { ?a :p :x } } LATERAL { ?step0 :part * ?b } FILTER (?b != :y)",
        ),
        (  # of two, the one that others restrict
            "?a :p :x ; :part+ ?b . ?b :few+ ?c",
            "{ S { ?a :part ?step0 } } { S { ?a :p :x } } LATERAL { ?step0 :part * ?b } LATERAL { ?b :few + ?c }",
        ),
    ],
)
def test_a_path_is_taken_in_steps_where_it_does_not_matter_how_often_a_row_comes(pattern: str, written: str) -> None:
    assert taken_in_steps(f"SELECT DISTINCT ?a ?b {{ {pattern} }}") == f"SELECT DISTINCT ?a ?b {{ {written} }}"


@pytest.mark.parametrize(
    "pattern",
    [
        "?a :part+ ?b",  # nothing is known of ?a
        "?b :p :x . ?a :part+ ?b",
        "?a :p/:q ?c ; :part+ ?b",
        "?a :p :x ; :part+ :y",  # one lookup from its end
        ":x :p ?a ; :part+ ?b . ?a :p :y ; :q ?c",
        "?a :p :x ; ^:part+ ?b",
        "?a :p :x ; (:part)+ ?b",
        "?a :p :x ; :part/:part+ ?b",
        "?a :p :x ; :part* ?b",
        "?a :p :x . GRAPH ?g { ?a :part+ ?b }",
        "?a :p :x OPTIONAL { ?a :q :x ; :part+ ?b }",
        "?a :p :x FILTER NOT EXISTS { ?a :q :x ; :part+ ?b }",
        "?a :p :x . { ?a :part+ ?b }",
        "?a :few :x ; :part+ ?b",  # few lookups
    ],
)
def test_other_paths_are_looked_up_as_they_are(pattern: str) -> None:
    assert "?step0" not in taken_in_steps(f"SELECT DISTINCT ?a ?b {{ {pattern} }}")


@pytest.mark.parametrize(
    ("query", "steps"),
    [
        ("SELECT ?a ?b { … }", False),
        ("SELECT DISTINCT * { … }", False),
        ("SELECT DISTINCT ?a ?b { … } ORDER BY ?b LIMIT 10", True),
        ("SELECT DISTINCT ?a ?b { … } LIMIT 10", False),
        ("SELECT DISTINCT (STR(?b) AS ?c) { … }", True),
        ("SELECT DISTINCT (COUNT(*) AS ?c) { … }", False),
        ("SELECT DISTINCT ?a (SUM(?b) AS ?c) { … } GROUP BY ?a", False),
        ("SELECT DISTINCT ?a (AVG(?b) AS ?c) { … } GROUP BY ?a", False),
        ("SELECT DISTINCT ?a { … } GROUP BY ?a HAVING (COUNT(?b) > 1)", False),
        ("SELECT DISTINCT ?a (BNODE() AS ?c) { … }", False),
        ("SELECT DISTINCT ?a { { SELECT ?a { … } ORDER BY ?a LIMIT 10 } }", False),
        ("SELECT DISTINCT ?a { … FILTER (?b != 'SELECT COUNT') } # SELECT BNODE", True),
        ("SELECT ?a { … FILTER (?b != 'SELECT DISTINCT ?a') } # SELECT DISTINCT ?a", False),
        ("CONSTRUCT { _:b :few ?a } { … } # SELECT DISTINCT ?a", False),
    ],
)
def test_how_often_a_row_comes_may_matter(query: str, *, steps: bool) -> None:
    query = query.replace("…", "?a :p :x ; :part+ ?b")
    assert ("?step0" in taken_in_steps(query)) == steps


def test_what_costs_little_is_not_read(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ox.Store()
    store.bulk_load(path=str(release.dataset), format=ox.RdfFormat.N_QUADS)
    uses = worker.how_terms_are_used(store)
    read = list[str]()

    class Spy(Reader):
        def __init__(self, query: str) -> None:
            read.append(query)
            super().__init__(query)

    monkeypatch.setattr(planner, "Reader", Spy)
    queries = {path.stem: path.read_text() for path in (ROOT / "benchmarks" / "queries").glob("*.rq")}
    queries["a path from one thing"] = (
        "SELECT DISTINCT ?a { <x:b> <https://w3id.org/itukg/ontology#contributesTo>+ ?a }"
    )
    queries["a path, and each row"] = queries["path"].replace("DISTINCT", "")
    queries["a sum"] = queries["path"].replace("succeeds+", "succeeds").replace("ORDER BY", "ORDER BY 1 +")
    for query in queries.values():
        in_order(query, uses)
    assert {name for name, query in queries.items() if query in read} == READ


READ = {"derived-links", "evidence", "gaps", "path", "shared-targets"}
"""Measured queries that may be quicker if they are written otherwise."""


class Asked(Uses):
    """How terms are used, and how often that was asked."""

    times = 0

    def get(self, term: str, other: Any = None) -> Any:
        self.times += 1
        return super().get(term, other)


def test_each_group_within_others_is_estimated_once() -> None:
    times = []
    for depth in (10, 20, 40):
        uses = Asked(RARE)
        nested = "{ ?a <x:p> ?c " * depth + "} OPTIONAL { ?a <x:p> ?c . ?b <x:q> ?d }" * depth
        in_order(f"SELECT * {{ {nested} }}", uses)
        times.append(uses.times)
    assert 0 < times[2] - times[1] <= 2 * (times[1] - times[0])


# --- random queries on random graphs ---

TERMS = ("?a", "?b", "?c", "?d", "x:a", "x:b")


class Writer:
    """Writes random graphs of five things, and random queries over them."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311  (nothing is secret)
        self.pick = self.random.choice

    def graph(self, most: int = 16) -> ox.Store:
        store = ox.Store()
        for graph in (ox.DefaultGraph(), ox.NamedNode("x:g")):
            for _ in range(self.random.randint(4, most)):
                thing, property_, other = (ox.NamedNode("x:" + self.pick(names)) for names in ("abcde", "pqr", "abcde"))
                value = ox.Literal("1") if self.random.random() < 0.2 else other
                store.add(ox.Quad(thing, property_, value, graph))
        return store

    def path(self) -> str:
        one, other = (self.pick(["x:p", "x:q", "x:r"]) for _ in "12")
        return self.pick(
            [one] * 12 + ["?d", f"{one}/{other}", f"^{one}", f"{one}*", f"({one}|{other})+", f"{one}|{other}"]
        )

    def block(self) -> str:
        triples = [
            f"{self.pick(TERMS)} {self.path()} {self.pick(TERMS)}"
            + self.pick([""] * 4 + [f" ; {self.path()} ?b", ", ?c"])
            for _ in range(self.pick([1, 1, 2, 3]))
        ]
        return " . ".join(triples)

    def condition(self, depth: int) -> str:
        test = f"{self.pick(['EXISTS', 'NOT EXISTS'])} {{ {self.group(depth)} }}"
        value = f"{self.pick(TERMS)} != {self.pick(TERMS)}"
        return self.pick([test, test, f"({value})", f"(!BOUND(?{self.pick('abc')}) || {value} && {test})"])

    def group(self, depth: int = 3) -> str:
        parts = [self.block()]
        for _ in range(self.pick([0, 1, 1, 2]) if depth else 0):
            parts.append(self.element(depth - 1))
            if self.random.random() < 0.2:
                parts.append(self.block())
        return " ".join(parts)

    def element(self, depth: int) -> str:
        kinds = ["OPTIONAL"] * 10 + ["FILTER"] * 5 + ["UNION", "MINUS", "VALUES", "BIND", "GRAPH", "SELECT"]
        match kind := self.pick(kinds):
            case "FILTER":
                return f"FILTER {self.condition(depth)}"
            case "UNION":
                return f"{{ {self.group(depth)} }} UNION {{ {self.group(depth)} }}"
            case "VALUES":
                return f"VALUES (?a ?b) {{ (x:a x:b) (x:c {self.pick(['UNDEF', 'x:a'])}) }}"
            case "BIND":
                return f"BIND (EXISTS {{ {self.group(depth)} }} AS ?n{self.random.randint(0, 10**9)})"
            case "SELECT":
                return f"{{ SELECT ?a ?b WHERE {{ {self.group(depth)} }} }}"
            case "GRAPH":
                kind = self.pick(["GRAPH x:g", "GRAPH ?g"])
        return f"{kind} {{ {self.group(depth)} }}"

    # queries whose patterns may be joined by hash

    def numbers(self) -> Uses:
        """How terms are used, by numbers that say nothing of the graph."""
        terms = [graph + name for graph in ("", "x:g ") for name in ("x:p", "x:q", "x:r")]
        return Uses({term: self.use(self.pick([0, 40, *[2000, 3000, 4000, 6000] * 4, 2_000_000])) for term in terms})

    def use(self, triples: int) -> Use:
        return Use(triples, triples // self.pick([1, 1, 3, 30]), triples // self.pick([1, 1, 3, 30]))

    def select(self, depth: int = 2) -> str:
        columns, behind = self.pick(
            [
                ("*", ""),
                ("*", ""),
                ("DISTINCT ?a ?c", ""),
                ("(COUNT(*) AS ?m)", ""),
                ("?b (COUNT(DISTINCT ?a) AS ?m)", "GROUP BY ?b HAVING (COUNT(*) > 1)"),
                ("?a ?b ?c ?d ?e", "ORDER BY ?a ?b ?c ?d ?e LIMIT 7"),
            ]
        )
        return f"SELECT {columns} WHERE {{ {self.joined(depth)} }} {behind}"

    def joined(self, depth: int) -> str:
        ways = ["patterns"] * 9 + ["GRAPH"] * 4 + ["FILTER"] + (["brackets", "UNION", "SELECT"] if depth else [])
        parts = [self.part(self.pick(ways), depth - 1) for _ in range(self.pick([1, 2, 2]))]
        after = [
            "OPTIONAL { ?a x:q ?e . ?e x:r ?f }",
            "MINUS { ?a x:r ?b }",
            f"BIND (STR(?a) AS ?n{self.random.random()})",
        ]
        return " ".join((*parts, self.pick(["", "", "", *after]).replace("0.", "")))

    def part(self, way: str, depth: int) -> str:
        match way:
            case "GRAPH":
                return f"GRAPH {self.pick(['x:g', 'x:g', '<x:g>', '<x:g>', '?g'])} {{ {self.chained()} }} {self.pick(['', '.'])}"
            case "FILTER":
                return f"FILTER {self.condition(0)}"
            case "brackets":
                return f"{{ {self.joined(depth)} }}"
            case "UNION":
                return f"{{ {self.joined(depth)} }} UNION {{ {self.joined(depth)} }}"
            case "SELECT":
                return f"{{ {self.select(depth)} }}"
        return f"{self.chained()} . "

    def chained(self) -> str:
        """Patterns each of which shares a variable with that before it."""
        subject, patterns = self.pick("abc"), list[str]()
        for _ in range(self.pick([1, 2, 3])):
            step = self.pick(["x:p", "x:q", "x:r"] * 15 + ["?d", "x:p/x:q", "^x:q", "x:r+", "x:p*", "x:p|x:q"])
            object_ = self.pick("abcde")
            patterns.append(f"?{subject} {step} {self.pick([f'?{object_}'] * 5 + ['x:a'])}")
            subject = self.pick([subject, object_])
        return " . ".join(patterns)

    # queries whose paths may be taken in steps

    def distinct(self) -> str:
        columns, behind = self.pick(
            [
                ("?a ?b", ""),
                ("?b ?c ?d", ""),
                ("(STR(?b) AS ?s) ?c", "ORDER BY ?s"),
                ("?a ?b ?c ?d ?e", "ORDER BY ?a ?b ?c ?d ?e LIMIT 5"),
            ]
        )
        return f"SELECT DISTINCT {columns} WHERE {{ {self.followed(2)} }} {behind}"

    def followed(self, depth: int) -> str:
        if depth and self.random.random() < 0.2:
            one, other = self.followed(depth - 1), self.followed(depth - 1)
            return self.pick([f"{{ {one} }}", f"{{ {one} }} UNION {{ {other} }}"])
        property_, path, more = (self.pick(["x:p", "x:q", "x:r", "<x:r>"]) for _ in range(3))
        patterns = [f"?a {property_} {self.pick(['?b', '?c', '?d', 'x:a', 'x:b'])}", f"?a {path}+ ?{self.pick('abcd')}"]
        patterns += self.pick([[], [], [f"?{self.pick('abc')} {more}{self.pick(['', '', '+'])} ?{self.pick('abcd')}"]])
        self.random.shuffle(patterns)
        parts = [self.pick(["{} . ", "{} . ", "GRAPH x:g {{ {} }}"]).format(pattern) for pattern in patterns]
        parts.insert(self.pick([1, 2]), self.pick(["", "", f"FILTER {self.condition(0)}"]))
        after = ["OPTIONAL { ?b x:q ?e }", "MINUS { ?a x:r ?b }", "BIND (STR(?b) AS ?e)"]
        return " ".join((*parts, self.pick(["", "", *after])))


def solutions(store: ox.Store, query: str) -> Counter[str]:
    results = store.query(query)
    assert isinstance(results, ox.QuerySolutions)
    return Counter(str(solution) for solution in results)


def test_random_queries_have_the_rows_that_they_had() -> None:
    written: Counter[str] = Counter()
    for seed in range(2500):
        writer = Writer(seed)
        store, query = writer.graph(), f"PREFIX x: <x:> SELECT * WHERE {{ {writer.group()} }}"
        quicker = in_order(query, RARE)
        if quicker == query:
            continue
        written += {"queries": 1, "optional": "LATERAL { OPTIONAL" in quicker, "exists": "EXISTS" in quicker}
        assert solutions(store, quicker) == solutions(store, query), (seed, query, quicker)
    assert written["queries"] > 800
    assert written["optional"] > 600
    assert written["exists"] > 300


WORDS = ("GRAPH", "FILTER", "EXISTS", "OPTIONAL", "UNION", "MINUS", "BIND", "COUNT", "DISTINCT", "LIMIT")


def test_random_joins_have_the_rows_that_they_had() -> None:
    written: Counter[str] = Counter()
    for seed in range(5000):
        writer = Writer(seed)
        uses, query = writer.numbers(), f"PREFIX x: <x:> {writer.select()}"
        quicker = in_order(query, uses)
        if HASHED not in quicker:
            continue
        store = writer.graph(40)
        rows = solutions(store, query)
        assert solutions(store, quicker) == rows, (seed, query, quicker)
        trees = {"deep": quicker.count(HASHED) > 2, "and looked up": "LATERAL" in quicker}
        written += {"queries": 1, "rows": bool(rows), **trees, **{word: word in query for word in WORDS}}
    assert written["queries"] > 400
    assert written["rows"] > 200
    assert all(written[kind] > 10 for kind in ("deep", "and looked up", *WORDS)), written


def test_random_paths_in_steps_have_the_rows_that_they_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joins, "WORTH", -inf)  # whatever may be is written otherwise
    written: Counter[str] = Counter()
    for seed in range(1500):
        writer = Writer(seed)
        uses, query = writer.numbers(), f"PREFIX x: <x:> {writer.distinct()}"
        quicker = in_order(query, uses)
        if "?step0" not in quicker:
            continue
        store = writer.graph(40)
        rows = solutions(store, query)
        assert solutions(store, quicker) == rows, (seed, query, quicker)
        often = "SELECT DISTINCT", "SELECT"
        more = solutions(store, quicker.replace(*often)) != solutions(store, query.replace(*often))
        words = {word: word in query for word in ("GRAPH", "FILTER", "OPTIONAL", "UNION", "MINUS", "BIND", "LIMIT")}
        written += {"queries": 1, "rows": bool(rows), "two": "?step1" in quicker, "more": more, **words}
    assert written["queries"] > 400
    assert all(number > 30 for number in written.values()), written


# --- the release ---

CHANGED = {
    "additions-of-the-contribution", "evidence", "evidence-of-an-output", "gaps", "gaps-of-the-plan", "instruments-by-outputs",
    "derived-links", "outputs-for-sdg-target", "path", "results-chain", "sdg-targets-not-named", "shared-targets", "things-by-plan-and-class", "what-rules-derive",
}  # fmt: skip
"""Queries that we have, saved or measured, and that are evaluated otherwise than they are written."""


def test_our_own_queries_have_the_rows_that_they_had(release: Release) -> None:
    store = ox.Store()
    store.bulk_load(path=str(release.dataset), format=ox.RdfFormat.N_QUADS)
    uses = worker.how_terms_are_used(store)
    files = [*(ROOT / "queries").glob("*.rq"), *(ROOT / "benchmarks" / "queries").glob("*.rq")]
    queries = {path.stem: path.read_text() for path in files}
    changed = {name: in_order(text, uses) for name, text in queries.items() if in_order(text, uses) != text}
    assert changed.keys() == CHANGED
    for name, quicker in changed.items():
        rows = solutions(store, quicker)
        assert rows.total() > 1
        assert rows == solutions(store, queries[name]), name


def test_a_worker_knows_how_terms_are_used_and_asks_the_planner(
    release: Release, store: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[tuple[str, str]]()

    def spy(query: str, uses: Uses) -> str:
        assert uses["http://www.w3.org/2000/01/rdf-schema#label"].triples > 1000
        assert uses["https://w3id.org/itukg/ontology#Output"].subjects > 50
        assert "https://w3id.org/itukg/ontology#rule" not in uses
        assert uses["https://w3id.org/itukg/graph/derived https://w3id.org/itukg/ontology#rule"].triples > 1000
        quicker = in_order(query, uses)
        asked.append((query, quicker))
        return quicker

    monkeypatch.setattr(worker, "in_order", spy)
    query = (ROOT / "benchmarks" / "queries" / "gaps.rq").read_text()
    server, ours = socket.socketpair()
    with server, ours:
        output = Output(ours, 1)
        worker.load(str(release.dataset))(worker.pack_question(query, (), (), CSV), output)
        output.send(END)
        ours.close()
        answer = server.makefile("rb").read()[HEAD.size :]
    assert answer.count(b"\n") == 1 + len(store.rows(query)) > 50
    assert [before for before, _ in asked] == [query]
    assert "LATERAL" in asked[0][1]


def test_the_place_of_a_syntax_error_is_that_in_the_query_as_it_was_sent(store: Engine) -> None:
    query = "PREFIX x: <x:>\nSELECT * { ?a x:p ?b OPTIONAL { ?b x:q ?c . ?c x:r ?d } FILTER (1 + ) }"
    assert planner.in_order(query, RARE) != query
    with pytest.raises(SyntaxProblem) as caught:
        store.rows(query)
    assert (caught.value.line, caught.value.column) == (2, 72)
