"""The planner changes how a query is evaluated, and never what it answers."""

import re
import socket
from collections import Counter
from random import Random
from typing import Any

import pyoxigraph as ox
import pytest
from conftest import ROOT, Engine

from itukg.errors import SyntaxProblem
from itukg.formats import CSV
from itukg.processes.worker import Output
from itukg.release import Release
from itukg.store import planner, worker
from itukg.store.patterns import DEEPEST, MOST
from itukg.store.planner import LONGEST, Use, in_order

RARE = dict.fromkeys(("x:p", "x:q", "x:r"), Use(10, 90, 90))
"""By these numbers there is always one thing or none to be looked up, so that the planner does whatever it may."""


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
    uses = {"x:p": Use(100, 100, 50), "x:q": Use(100, 100, 50), "x:r": Use(10_000, 500, 500)}
    assert in_order(query, uses) == query
    one = query.replace("?a ?p ?b", "VALUES ?a { <x:a> } ?a ?p ?b")
    assert in_order(one, uses) != one


class Asked(dict[str, Use]):
    """How terms are used, and how often that was asked."""

    times = 0

    def get(self, term: str, other: Any = None) -> Any:
        self.times += 1
        return super().get(term, other)


def test_each_group_within_others_is_estimated_once() -> None:
    times = []
    for depth in (10, 20, 40):
        uses = Asked(RARE)
        nested = f"{'?a <x:p> ?c { ' * depth} OPTIONAL {{ ?a <x:p> ?c . ?b <x:q> ?d }} {'}' * depth}"
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

    def graph(self) -> ox.Store:
        store = ox.Store()
        for graph in (ox.DefaultGraph(), ox.NamedNode("x:g")):
            for _ in range(self.random.randint(4, 16)):
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


# --- the release ---

CHANGED = {
    "additions-of-the-contribution", "evidence", "evidence-of-an-output", "gaps", "gaps-of-the-plan", "instruments-by-outputs",
    "outputs-for-sdg-target", "results-chain", "sdg-targets-not-named", "things-by-plan-and-class", "what-rules-derive",
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

    def spy(query: str, uses: dict[str, Use]) -> str:
        assert uses["http://www.w3.org/2000/01/rdf-schema#label"].triples > 1000
        assert uses["https://w3id.org/itukg/ontology#Output"].subjects > 50
        quicker = in_order(query, uses)
        asked.append((query, quicker))
        return quicker

    monkeypatch.setattr(worker, "in_order", spy)
    query = (ROOT / "benchmarks" / "queries" / "gaps.rq").read_text()
    server, ours = socket.socketpair()
    with server, ours:
        output = Output(ours)
        worker.load(str(release.dataset))(worker.pack_question(query, (), (), CSV), output)
        output.send(b"")
        ours.close()
        answer = server.makefile("rb").read()
    assert answer.count(b"\n") == 1 + len(store.rows(query)) > 50
    assert [before for before, _ in asked] == [query]
    assert "LATERAL" in asked[0][1]


def test_the_place_of_a_syntax_error_is_that_in_the_query_as_it_was_sent(store: Engine) -> None:
    query = "PREFIX x: <x:>\nSELECT * { ?a x:p ?b OPTIONAL { ?b x:q ?c . ?c x:r ?d } FILTER (1 + ) }"
    assert planner.in_order(query, RARE) != query
    with pytest.raises(SyntaxProblem) as caught:
        store.rows(query)
    assert (caught.value.line, caught.value.column) == (2, 72)
