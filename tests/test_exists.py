"""EXISTS is written otherwise so that it is evaluated quickly, and the answers are the same."""

import re
from collections import Counter
from random import Random

import pyoxigraph as ox
import pytest
from conftest import ROOT, Engine

from itukg import names
from itukg.engine.exists import MAX_LENGTH, MAX_PATTERNS, quick_exists
from itukg.engine.patterns import MAX_DEPTH
from itukg.errors import SyntaxProblem
from itukg.release.model import Release


def written(pattern: str) -> str:
    """A pattern as it is written otherwise, in one line, with S for SELECT."""
    before, after = "PREFIX : <x:> SELECT * WHERE { ", " }"
    query = quick_exists(f"{before}{pattern}{after}")
    assert query.startswith(before) and query.endswith(after)
    return re.sub(r"\s+", " ", query.removeprefix(before).removesuffix(after)).replace("SELECT", "S")


@pytest.mark.parametrize(
    ("pattern", "quicker"),
    [
        ("?a :p ?b FILTER NOT EXISTS { ?c :r ?d . ?a :q ?c }", "?a :p ?b FILTER NOT EXISTS { ?a :q ?c LATERAL { ?c :r ?d } }"),
        (
            "?a :p ?b FILTER (EXISTS { ?a :q ?d . ?c :r ?d, 'x; }'@en FILTER (?d > ?b) } || ?b = 1)",
            "?a :p ?b FILTER (EXISTS { ?a :q ?d LATERAL { ?c :r ?d } LATERAL { ?c :r 'x; }'@en } FILTER (?d > ?b) } || ?b = 1)",
        ),
        ("?a :p ?b FILTER EXISTS { ?c ^:q ?a . ?c :r+ ?d }", "?a :p ?b FILTER EXISTS { ?c ^ :q ?a LATERAL { ?c :r + ?d } }"),
        (
            "?a :p ?b FILTER EXISTS { GRAPH ?h { ?c :r ?d . ?a :q ?c } }",
            "?a :p ?b FILTER EXISTS { GRAPH ?h { ?a :q ?c LATERAL { ?c :r ?d } } }",
        ),
        (
            "?a :p ?b FILTER NOT EXISTS { FILTER (?h != :g) GRAPH ?h { ?c :q ?a ; :r :x } FILTER (?c != :x) }",
            "?a :p ?b FILTER(true) MINUS { FILTER (?h != :g) GRAPH ?h { ?c :q ?a ; :r :x } FILTER (?c != :x) }",
        ),
        (
            "?a :p ?b FILTER EXISTS { GRAPH ?h { ?c :r ?d . ?a :q ?c } FILTER (?h != ?b) }",
            "?a :p ?b FILTER EXISTS { GRAPH ?h { ?a :q ?c LATERAL { ?c :r ?d } } FILTER (?h != ?b) }",
        ),
        (  # all is known: two lookups
            "?a :p ?b FILTER EXISTS { ?b :q ?a . ?a :r ?b }",
            "?a :p ?b FILTER EXISTS { ?b :q ?a LATERAL { ?a :r ?b } }",
        ),
        (  # the same name in another EXISTS beside
            "?a :p ?b FILTER EXISTS { ?a :q ?c . ?c :r ?d } FILTER NOT EXISTS { ?c :r ?a }",
            "?a :p ?b FILTER EXISTS { ?a :q ?c LATERAL { ?c :r ?d } } FILTER NOT EXISTS { ?c :r ?a }",
        ),
        (
            "?a :p ?b OPTIONAL { ?b :q ?c FILTER EXISTS { ?d :p :x . ?c :r ?d } }",
            "?a :p ?b OPTIONAL { ?b :q ?c FILTER EXISTS { ?c :r ?d LATERAL { ?d :p :x } } }",
        ),
        # matched once
        ("?a :p ?b FILTER NOT EXISTS { ?c :q ?a ; a :C }", "?a :p ?b FILTER(true) MINUS { ?c :q ?a ; a :C }"),
        ("?a :p ?b FILTER (! EXISTS { ?c ^(:q|:r) ?d . ?c a :C ; ^:r ?a })", "?a :p ?b FILTER (! EXISTS { ?c ^ :r ?a LATERAL { ?c a :C } LATERAL { ?c ^ ( :q | :r ) ?d } })"),
        (
            "?a :p ?b . FILTER (NOT EXISTS { GRAPH ?h { ?c :q ?a ; :r :x } }) OPTIONAL { ?b :q ?e } BIND (1 AS ?f)",
            "?a :p ?b . FILTER(true) MINUS { GRAPH ?h { ?c :q ?a ; :r :x } } OPTIONAL { ?b :q ?e } BIND (1 AS ?f)",
        ),
        (  # once what it shares is bound
            "OPTIONAL { ?b :q ?e } ?a :p ?b FILTER NOT EXISTS { ?c :q ?a ; :r :x }",
            "OPTIONAL { ?b :q ?e } ?a :p ?b FILTER(true) MINUS { ?c :q ?a ; :r :x }",
        ),
        (
            "?b :p ?e OPTIONAL { ?b :q ?f } ?a :p ?b FILTER (! EXISTS { ?c :q ?a ; :r :x })",
            "?b :p ?e OPTIONAL { ?b :q ?f } ?a :p ?b FILTER(true) MINUS { ?c :q ?a ; :r :x }",
        ),
        ("?a :p ?b FILTER EXISTS { ?c :q ?a ; :r :x }", "?a :p ?b FILTER(true) { S DISTINCT ?a { ?c :q ?a ; :r :x } }"),
        (
            "?a :p ?b FILTER NOT EXISTS { GRAPH :g { ?c :q ?a ; :r ?d FILTER (?d > 1) } }",
            "?a :p ?b FILTER(true) MINUS { { S * { GRAPH :g { ?c :r ?d } } } { S * { GRAPH :g { ?c :q ?a } } } FILTER (?d > 1) }",
        ),
        ("GRAPH ?g { ?a :p ?b FILTER NOT EXISTS { ?c :q ?a ; :r :x } }", "GRAPH ?g { ?a :p ?b FILTER(true) MINUS { ?c :q ?a ; :r :x } }"),
        (
            "{ S ?a { ?a :p ?b FILTER NOT EXISTS { ?c :q ?a ; :r :x } } } ?a :q ?b",
            "{ S ?a { ?a :p ?b FILTER(true) MINUS { ?c :q ?a ; :r :x } } } ?a :q ?b",
        ),
    ],
)  # fmt: skip
def test_exists_of_several_triples_begins_at_the_row_or_is_matched_once(pattern: str, quicker: str) -> None:
    assert written(pattern.replace("{ S ", "{ SELECT ")) == quicker


@pytest.mark.parametrize(
    "pattern",
    [
        "?a :p ?b FILTER NOT EXISTS { ?a :q ?c }",  # the engine begins at the row itself
        "?a :p ?b FILTER NOT EXISTS { ?c :q ?d ; :r :x . }",  # nothing is shared
        "?a :p ?b FILTER NOT EXISTS { ?a :q ?c . ?d :r ?e . }",  # nothing joins them
        "?a :p ?b FILTER NOT EXISTS { ?c :q ?a ; :r :x . ?d :q ?a ; :r :y . }",  # joined by the row alone, they are very many
        "OPTIONAL { ?a :p ?b } FILTER NOT EXISTS { ?b :q ?c . ?c :r ?d . }",  # ?b may be unbound
        "OPTIONAL { ?b :p ?a } FILTER NOT EXISTS { ?c :q ?a ; :r :x . }",
        "?a :p ?b OPTIONAL { ?a :q ?c } FILTER NOT EXISTS { ?c :q ?a ; :r :x . }",  # ?c may be bound
        "VALUES (?a ?b) { (:a UNDEF) } FILTER NOT EXISTS { ?b :q ?c . ?c :r ?d . }",
        "{ ?a :p ?b } UNION { ?c :p ?b } FILTER NOT EXISTS { ?a :q ?d . ?d :r ?e . }",
        "?a :p ?b FILTER NOT EXISTS { ?c :q ?a ; :r :x FILTER (?c != ?b) }",  # MINUS does not see ?b
        "?a :p ?b FILTER (?b = 1 || NOT EXISTS { ?c :q ?a ; :r :x . })",  # not the whole of its filter
        "?a :p ?b FILTER (NOT EXISTS { ?c :q ?a ; :r :x . } || ?b = 1)",
        "?a :p ?b FILTER (! NOT EXISTS { ?c :q ?a ; :r :x . })",
        "?a :p ?b OPTIONAL { ?b :q ?e FILTER NOT EXISTS { ?c :q ?e ; :r :x . } }",  # evaluated for each row
        "?a :p ?b { ?b :q ?e FILTER NOT EXISTS { ?c :q ?e ; :r :x . } }",
        "?a :p ?b FILTER EXISTS { ?a :q ?e FILTER NOT EXISTS { ?c :q ?e ; :r :x . } }",
        "GRAPH ?g { ?a :p ?b FILTER EXISTS { ?c :q ?a ; :r :x . } }",  # a sub-select does not see ?g
        # what a chain could see, and must not
        "?a :p ?b { ?a :q ?c FILTER EXISTS { ?c :p ?d . ?b :q ?d . } }",
        "?c :r ?d { ?a :q ?c FILTER EXISTS { ?a :p ?d . ?d :q ?e . } }",
        "{ ?a :q ?c FILTER EXISTS { ?c :p ?d . ?b :q ?d FILTER EXISTS { ?d :q ?c } } } ?a :p ?b",
        "{ SELECT * { ?a :p ?b FILTER EXISTS { ?b :q ?c . ?c :r ?d . } VALUES ?e { 1 } } } VALUES ?d { :a }",
        "?a :p ?b FILTER EXISTS { ?x :q ?a { ?a :r ?c FILTER EXISTS { ?c :p ?e . ?e :q ?x . } } }",
        # more than patterns and filters
        "?a :p ?b FILTER EXISTS { ?a :q ?c . ?c :r ?d . OPTIONAL { ?d :p ?e } }",
        "?a :p ?b FILTER EXISTS { ?a :q ?c . ?c :r ?d . MINUS { ?d :p ?a } }",
        "?a :p ?b FILTER EXISTS { ?a :q ?c . ?c :r ?d . VALUES ?d { 1 } }",
        "?a :p ?b FILTER EXISTS { ?a :q ?c . ?c :r ?d . BIND (?d AS ?e) }",
        "?a :p ?b FILTER EXISTS { ?a :q ?c . { ?c :r ?d . } }",
        "?a :p ?b FILTER EXISTS { ?a :q ?c . { SELECT * { ?c :r ?d . } } }",
        "?a :p ?b FILTER EXISTS { ?a :q ?c . GRAPH :g { ?c :r ?d . } }",
        "?a :p ?b FILTER EXISTS { GRAPH :g { ?c :r ?d . } GRAPH :h { ?a :q ?c } }",
        "?a :p ?b FILTER NOT EXISTS { GRAPH ?h { ?c :q ?a ; :r :x } FILTER (?h != ?b) }",  # MINUS sees no ?b
        "?a :p ?b FILTER NOT EXISTS { GRAPH ?h { ?c :q ?a ; :r :x } FILTER EXISTS { ?c :r ?h } }",
        "?a :p ?b BIND (EXISTS { ?a :q ?c . ?c :r ?d . } AS ?e)",
        "?a :p ?b FILTER EXISTS { ?a :q* ?c . ?c :r ?d . }",  # also where ?a is no node of the graph
        "?a :p ?b FILTER EXISTS { ?a :q ?c . ?c :r? ?d . }",
        "?a :p ?b FILTER EXISTS { ?a :q ?c . ?c (:r*) ?d . }",
        "?a :p ?b FILTER EXISTS { ?a !:q ?c . ?c :r ?d . }",  # the engine counts otherwise where ?c is bound
        "?a !:p ?b FILTER EXISTS { ?a :q ?c . ?c :r ?d . }",
        "?a :p ?b FILTER EXISTS { ?a :q _:c . _:c :r ?d . }",
        "?a :p ?b FILTER EXISTS { ?a :q [ :r ?d ] ; :p ?e . }",
        "?a :p ?b FILTER EXISTS { ?a :q (1 2) . ?a :r ?d . }",
        "?a :p ?b FILTER EXISTS { ?a :q << ?c :r ?e >> . ?a :r ?d . }",
        "?a :p ?b SERVICE <x:y> { ?b :q ?c } FILTER EXISTS { ?b :q ?c . ?c :r ?d . }",
        # what looks like something else
        "?a :p 'FILTER EXISTS { ?a :q ?c . ?c :r ?d . }' # FILTER EXISTS { ?a :q ?c . ?c :r ?d . }\n",
        "?a :p ?b FILTER EXISTS { ?a :q ?c . ?c :r ?d FILTER (1<?a&&2>?d) }",
        "?a :p ?b FILTER EXISTS { ?a :q ?c . ?c :r 'd . }",  # no query
        "?a :p ?b FILTER EXISTS { ?a :q ?c . ?c :r }",
        "?a :p ?b FILTER EXISTS { ?a :q ?c . ?c :r ?d .",
        "?a :p ?b FILTER EXISTS { ?a :q ?c . ) :r ?d . }",
        "?a :p ?b FILTER EXISTS",
        "?a :p ?b FILTER EXISTS { ?a :q ?c . ?c :r ?d . } #" + "x" * MAX_LENGTH,
        "?a :p ?b FILTER EXISTS { " + "?a :q ?c . " * (MAX_PATTERNS + 1) + " }",
        "{ " * (MAX_DEPTH + 1) + "?a :p ?b FILTER EXISTS { ?a :q ?c . ?c :r ?d . }" + " }" * (MAX_DEPTH + 1),
    ],
)
def test_what_may_answer_otherwise_or_is_not_understood_stays_as_it_is(pattern: str) -> None:
    query = f"PREFIX : <x:> SELECT * WHERE {{ {pattern} }}"
    assert quick_exists(query) == query


@pytest.mark.parametrize(
    ("query", "rewritten"),
    [
        ("ASK { … }", True),
        ("ASK FROM <x:g> { … }", True),
        ("CONSTRUCT { ?a :p ?c } WHERE { … }", True),
        ("DESCRIBE ?a { … }", True),
        ("SELECT (COUNT(*) AS ?n) { … } GROUP BY ?b HAVING (COUNT(*) > 1) LIMIT 2", True),
        ("SELECT (EXISTS { … } AS ?d) { ?a :few ?e }", False),
        ("SELECT ?a { ?a :few ?e } GROUP BY ?a HAVING EXISTS { … }", False),
        ("SELECT * { { SELECT ?a (EXISTS { … } AS ?d) { ?a :few ?e } } }", False),
    ],
)
def test_every_form_of_query_is_read(query: str, *, rewritten: bool) -> None:
    query = f"PREFIX : <x:> {query.replace('…', '?a :p ?b FILTER NOT EXISTS { ?z :q ?a ; :r :x }')}"
    assert ("MINUS" in quick_exists(query)) == rewritten


# --- random queries on random graphs ---

TERMS = ("?a", "?b", "?c", "?d", "x:a", "x:b")


class Writer:
    """Writes random graphs of five things, and random queries over them."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311  (nothing is secret)
        self.pick = self.random.choice

    def graph(self) -> ox.Store:
        store = ox.Store()
        for graph in (ox.DefaultGraph(), ox.NamedNode("x:g"), ox.NamedNode("x:h")):
            for _ in range(self.random.randint(4, 16)):
                thing, property_, other = (ox.NamedNode("x:" + self.pick(names)) for names in ("abcde", "pqr", "abcde"))
                value = ox.Literal("1") if self.random.random() < 0.2 else other
                store.add(ox.Quad(thing, property_, value, graph))
        return store

    def path(self) -> str:
        one, other = (self.pick(["x:p", "x:q", "x:r"]) for _ in "12")
        return self.pick(
            [one] * 14
            + ["?d", f"{one}/{other}", f"^{one}", f"{one}*", f"({one}|{other})+", f"{one}|{other}", f"^{one}+"]
        )

    def block(self, numbers: tuple[int, ...] = (1, 1, 2), terms: tuple[str, ...] = TERMS) -> str:
        triples = [
            f"{self.pick(terms)} {self.path()} {self.pick(terms)}"
            + self.pick([""] * 4 + [f" ; {self.path()} {self.pick(terms)}", f" , {self.pick(terms)}"])
            for _ in range(self.pick(numbers))
        ]
        return " . ".join(triples) + " . "

    def exists(self, depth: int) -> str:
        own = self.random.random() < 0.7
        terms = ("?a", "?b", "?x", "?y", "?x", "x:a") if own else TERMS
        inner = self.block((2, 2, 3), terms) + self.pick(
            [""] * 4 + [f"FILTER ({self.pick(terms)} != {self.pick(TERMS)})"]
        )
        if depth and self.random.random() < 0.15:
            inner += self.element(depth - 1)
        graphs = [
            "GRAPH x:g {{ {} }}",
            "GRAPH ?g {{ {} }}",
            "GRAPH ?i {{ {} }}",
            "GRAPH ?i {{ {} }} FILTER (?i != x:g)",
        ]
        inner = self.pick(["{}"] * 4 + graphs).format(inner)
        return f"{self.pick(['EXISTS', 'NOT EXISTS', '! EXISTS'])} {{ {inner} }}"

    def condition(self, depth: int) -> str:
        test, value = self.exists(depth), f"{self.pick(TERMS)} != {self.pick(TERMS)}"
        return self.pick([f"({test})"] * 4 + [f"({value})", f"(!BOUND(?{self.pick('abc')}) || {value} && {test})"])

    def group(self, depth: int = 2) -> str:
        parts = [self.block()]
        for _ in range(self.pick([0, 1, 1, 2]) if depth else 0):
            parts.append(self.element(depth - 1))
            if self.random.random() < 0.2:
                parts.append(self.block())
        return " ".join(parts)

    def element(self, depth: int) -> str:
        match kind := self.pick(
            ["FILTER"] * 10 + ["OPTIONAL", "UNION", "MINUS", "VALUES", "BIND", "GRAPH", "SELECT", "{"]
        ):
            case "FILTER":
                return f"FILTER {self.condition(depth)}"
            case "UNION":
                return f"{{ {self.group(depth)} }} UNION {{ {self.group(depth)} }}"
            case "VALUES":
                return f"VALUES (?a ?b) {{ (x:a x:b) (x:c {self.pick(['UNDEF', 'x:a'])}) }}"
            case "BIND":
                return f"BIND ({self.exists(depth)} AS ?n{self.random.randint(0, 10**9)})"
            case "SELECT":
                return f"{{ SELECT ?a ?b WHERE {{ {self.group(depth)} }} }}"
            case "{":
                kind = ""
            case "GRAPH":
                kind = self.pick(["GRAPH x:g", "GRAPH ?g"])
        return f"{kind} {{ {self.group(depth)} }}"

    def query(self) -> str:
        """Return a query with an EXISTS."""
        where = self.pick(["{}"] * 5 + ["GRAPH ?g {{ {} }}", "GRAPH x:h {{ {} }}", "{{ {} }} UNION {{ ?a x:p ?b }}"])
        group = f"{self.group()} FILTER {self.condition(1)} {self.pick(['', '', self.element(1)])}"
        return f"PREFIX x: <x:> SELECT * WHERE {{ {where.format(group)} }}"


def solutions(store: ox.Store, query: str) -> Counter[str]:
    results = store.query(query)
    assert isinstance(results, ox.QuerySolutions)
    return Counter(str(solution) for solution in results)


GLUED = (
    "?z :t ?x . <<?c:p?b>> :r ?x FILTER EXISTS { ?c :q ?z ; :r :x }",
    "?t :p falseOPTIONAL { ?t :q ?a } FILTER NOT EXISTS { ?z :q ?a ; :r :x }",
    "VALUES (?a ?c) {(UNDEFUNDEF)} FILTER NOT EXISTS { ?z :q ?a ; :r :x }",
    "?a :p ?b FILTER(1<5#>) ?d :p ?e FILTER(1\n) FILTER NOT EXISTS { ?c :q ?d ; :r :x }",
)
"""What the engine reads otherwise than it looks: words and signs without a space between them."""
COSTLY = (
    "?i a :Plan FILTER NOT EXISTS { ?c ?p ?i ; ?q ?d }",
    "VALUES ?i { :a } FILTER EXISTS { ?c (:p|:q)+ ?i . ?c a ?l }",
    "?a :p ?b " + "FILTER EXISTS { ?a :q ?c . ?c :r ?d } " * 21,
    "?a :p ?b FILTER EXISTS { ?a :q ?c . ?c :r ?d } FILTER" + "(" * 600 + "1" + ")" * 600,
)
"""What would take more time or memory once it is matched once, or to be read."""


@pytest.mark.parametrize("pattern", [*GLUED, *COSTLY])
def test_what_is_glued_together_or_would_cost_more_stays_as_it_is(pattern: str) -> None:
    assert len(GLUED) + len(COSTLY) == 8
    query = f"PREFIX : <x:> SELECT * {{ {pattern} }}"
    assert quick_exists(query) == query


def test_two_thousand_random_queries_have_the_rows_that_they_had() -> None:
    kinds: Counter[str] = Counter()
    seed = 0
    while kinds["queries"] < 2000:
        seed += 1
        writer = Writer(seed)
        store, query = writer.graph(), writer.query()
        quicker = quick_exists(query)
        if quicker == query:
            continue
        rows = solutions(store, query)
        assert solutions(store, quicker) == rows, (seed, query, quicker)
        kinds += {
            "queries": 1,
            "rows": bool(rows),
            "chain": "LATERAL" in quicker,
            "MINUS": quicker.count("MINUS") > query.count("MINUS"),
            "join by hash": "{ SELECT * { " in quicker,
            "sub-select": "SELECT DISTINCT" in quicker,
            "in a graph": "MINUS" in quicker and "WHERE { GRAPH" in query,
            "graph inside": re.search(r"EXISTS \{ GRAPH", query) is not None,
        }
    assert seed < 20_000
    assert all(number > 50 for number in kinds.values()), kinds
    assert len(kinds) == 8


# --- the release ---


def audit_queries() -> dict[str, str]:
    """Questions that auditors ask, with the queries."""
    blocks = (ROOT / "tests" / "audit.rq").read_text().strip().split("\n\n")
    return {block.partition("\n")[0][2:]: names.PROLOGUE + block.partition("\n")[2] for block in blocks}


def test_the_queries_of_auditors_have_the_rows_that_they_had(release: Release) -> None:
    store = ox.Store()
    store.bulk_load(path=str(release.dataset), format=ox.RdfFormat.N_QUADS)
    queries = {question: query for question, query in audit_queries().items() if " ASK " not in query}
    files = [*(ROOT / "queries").rglob("*.rq"), *(ROOT / "benchmarks" / "queries").glob("*.rq")]
    queries |= {path.stem: path.read_text() for path in files}
    changed = {name for name, query in queries.items() if quick_exists(query) != query}
    assert len(changed) > 40
    for name in changed:
        results = [list(store.query(text)) for text in (queries[name], quick_exists(queries[name]))]  # type: ignore[arg-type]
        assert Counter(map(str, results[0])) == Counter(map(str, results[1])), name


def test_the_place_of_a_syntax_error_is_that_in_the_query_as_it_was_sent(store: Engine) -> None:
    query = "PREFIX x: <x:>\nSELECT * { ?a x:p ?b FILTER EXISTS { ?c x:q ?b . ?c x:r x:d } FILTER (1 + ) }"
    assert quick_exists(query) != query
    with pytest.raises(SyntaxProblem) as caught:
        store.rows(query)
    assert (caught.value.line, caught.value.column) == (2, 78)
