"""An error in a query names the place in the text as it was written, what stands there, and what may."""

import pytest
from conftest import ROOT
from fastapi.testclient import TestClient

from itukg import names
from itukg.engine.mending import mended
from itukg.engine.sparql import read_query
from itukg.errors import SyntaxProblem

WRONG = [
    ("SELECT * WHERE { ?x a }", (1, 23), 'found "}", expected an object'),
    ("SELECT * WHERE { ?x }", (1, 21), 'found "}", expected a property'),
    ("SELECT *\nWHERE { ?x a ?y ?z }", (2, 17), 'found "?z", expected "." before the next triple, ";"'),
    ("SELECT * WHERE { ?x a ?y . . }", (1, 28), 'found ".", expected a subject'),
    ("SELECT * WHERE { ?x a ?y", (1, 25), 'the query ends, expected "}", for a "{" is still open'),
    ("SELECT * WHERE { ?x a ?y ) }", (1, 26), 'found ")", expected "}" first'),
    ("SELECT * WHERE { ?x a ?y } }", (1, 28), 'found "}", expected the end of the query'),
    ("SELECT * WHERE { ?x a ?y OPTIONAL ?x a ?z }", (1, 35), 'found "?x", expected "{" after OPTIONAL'),
    ("SELECT * WHERE { ?x a ?y FILTER ?x = 3 }", (1, 33), "a condition in brackets"),
    ("SELECT * WHERE { ?x a ?y FILTER(?x = ) }", (1, 38), 'a value after "="'),
    ("SELECT * WHERE { ?x a 'abc }", (1, 23), "where the string ends"),
    ("SELECT * WHERE { BIND(1 AS x) }", (1, 28), 'found "x", expected a variable after AS'),
    ("SELECT * WHERE { ?x a ?y } ORDER ?x", (1, 34), "expected BY after ORDER"),
    ("SELECT * WHERE { ?x a ?y } LIMIT x", (1, 34), "a whole number after LIMIT"),
    ("SELECT ?x, ?y WHERE { ?x a ?y }", (1, 10), "no comma"),
    ("SELECT COUNT(*) { ?s ?p ?o }", (1, 8), "(COUNT(*) AS ?n)"),
    ("SELECT (COUNT(*)) { ?s ?p ?o }", (1, 8), "a name for the expression"),
    ("SELECT { ?s ?p ?o }", (1, 8), "columns after SELECT"),
    ("ASK { ?x foo:bar ?y }", (1, 10), 'the prefix "foo:" is not declared'),
    ("ASK { ?x Itu:plan ?y }", (1, 10), 'the prefix "Itu:" is not declared: declare it with "PREFIX Itu: <…>"; nearest of ours: itu'),
    ("PREFIX itu <urn:x:> ASK {}", (1, 1), "a prefix, a colon and an IRI after PREFIX"),
    ("ASK { ?x a ?y FILTER(SUBSTRING(?y, 1) = 'é') }", (1, 22), 'found "SUBSTRING", expected a function of SPARQL: SUBSTR'),
    ("ASK { ?x a ?y FILTER(Length(?y) = 1) }", (1, 22), 'found "Length", expected STRLEN'),
    ("ASK { ?x a ?y FILTER(?x = 1 AND (?y = 2)) }", (1, 29), 'found "AND", expected "&&"'),
    ("ASK { ?x a ?y BIND(1 AS ?z)\n BIND('é😀' AS ?x) }", (2, 15), 'found "?x", expected another name after AS'),
    ("SELECT ?x { ?x a ?y } GROUP BY ?y", (1, 34), "each column is a variable of GROUP BY or an aggregate"),
    ("ASK { # itu:plan\n ?x itu:plan ?y }", (2, 5), f'begin the query with "PREFIX itu: <{names.ITU}>", or send prefixes=auto'),
]  # fmt: skip
CLASS = f"<{names.ITU}Plan>"
each_wrong = pytest.mark.parametrize(("query", "place", "words"), WRONG)


@each_wrong
def test_an_error_says_what_was_found_where_and_what_may_stand_there(
    query: str, place: tuple[int, int], words: str, client: TestClient
) -> None:
    assert len(WRONG) == 27
    reply = client.get("/sparql", params={"query": query})
    problem = reply.json()
    assert reply.status_code == 400
    assert (problem["line"], problem["column"]) == place
    assert problem["detail"].startswith(f"line {place[0]}, column {place[1]}: ") and words in problem["detail"]


def test_known_prefixes_may_be_left_to_the_service(client: TestClient) -> None:
    query = "# all\nSELECT ?plan { ?plan a itu:Plan ; rdfs:label ?label }"
    declared = client.get("/sparql", params={"query": names.PROLOGUE + query, "format": "csv"})
    left = client.get("/sparql", params={"query": query, "format": "csv", "prefixes": "auto"})
    assert len(left.text.splitlines()) > 5 and left.text == declared.text
    own = client.get("/sparql", params={"query": "PREFIX itu: <urn:> ASK { ?s a itu:Plan }", "prefixes": "auto"})
    assert own.json()["boolean"] is False
    refused = client.get("/sparql", params={"query": query, "prefixes": "all"})
    assert refused.status_code == 400 and "auto" in refused.json()["detail"]


def test_the_place_of_an_error_does_not_count_declarations_that_were_added(client: TestClient) -> None:
    for query, place in (
        ("ASK { ?x a itu:Plan ; }}", (1, 24)),
        ("ASK { ?x a itu:Plan FILTER(NONE(?x)) }", (1, 28)),
        ("ASK { ?x a itu:Plan ; sdg:a 'é' }}", (1, 34)),
        ("ASK {\n?x a itu:Plan ?y }", (2, 15)),
        ("ASK { ?x a itu:Plan ; x:y ?z }", (1, 23)),
    ):
        problem = client.get("/sparql", params={"query": query, "prefixes": "auto"}).json()
        assert (problem["line"], problem["column"]) == (place or (1, problem["column"]))
        assert problem["column"] <= len(query) + 1


def test_no_rule_finds_anything_wrong_in_a_query_that_is_right() -> None:
    texts = [path.read_text() for path in ROOT.rglob("*.rq") if ".venv" not in path.parts]
    texts += [
        "SELECT * { ?x a/rdfs:label|^(!a)* ?y ; a [ a ?z ] ; . [] a ?a . [ a ?b ] . (1 2) a (3 4), true }",
        "SELECT DISTINCT * { { SELECT (MAX(?x) AS ?m) { ?s ?p ?x } GROUP BY ?s } UNION { GRAPH ?g { ?x a ?m } } } ORDER BY DESC(?m) LIMIT 1",
        "SELECT ?x { FILTER NOT EXISTS { ?x a ?y } FILTER regex(?x, 'a') FILTER(?a<?b && ?c>-1) VALUES (?x ?y) { (1 UNDEF) } ?x a ?y }",
        "CONSTRUCT { ?x a ?y } WHERE { ?x a ?y } HAVING (COUNT(*) > 1) OFFSET 2",
        "DESCRIBE <urn:a> ?x WHERE { ?x a \"a\"@en, 'b'^^xsd:string, 1.5 . }",
        "BASE <urn:> SELECT ?k (COUNT(DISTINCT (?x)) AS ?n) { ?x a <b> ; ^(<x:a>|a)/!(a) (1 2) } GROUP BY (STR(?x) AS ?k) HAVING (?n > 1)",
        "SELECT ?k { { SELECT ?k { ?s a ?y } GROUP BY (STR(?s) AS ?k) } { BIND(1 AS ?z) } UNION { BIND(2 AS ?z) } FILTER(?x NOT IN (1)) }",
        "SELECT * { ?x a ?y OPTIONAL { ?x a ?z } MINUS { ?x a ?z . } BIND(IF(?x = 1, 2, 3) AS ?c) } VALUES ?x { 1 }",
    ]
    assert len(texts) > 50
    untouched = SyntaxProblem("line 1, column 1: the engine's own", 1, 1)
    for text in texts:
        found = mended(untouched, read_query(text, known_prefixes=True))
        assert str(found) == "line 1, column 1: the engine's own", (text, str(found))


def test_an_error_is_found_in_a_long_query_in_little_time() -> None:
    for text in (
        "SELECT * {" + "a.a." * 40_000,
        "SELECT * {" + "a:" + "." * 100_000,
        "SELECT * {" + "?x a ?y . " * 20_000,
    ):
        assert mended(SyntaxProblem("line 1, column 1: it", 1, 1), read_query(text))


def test_a_relative_iri_is_explained_where_there_is_no_address_to_resolve_it_against() -> None:
    query = read_query("ASK { ?x a ?y .\n <plan> a ?y }")
    found = mended(SyntaxProblem("error", 2, 2), query)
    assert (found.line, found.column) == (2, 2)
    assert 'found "<plan>", expected an IRI in full, with its scheme, or BASE' in str(found)
    based = read_query(query.text, base="http://e/sparql")
    assert based.text.startswith("BASE <http://e/sparql> ASK") and based.added == 23
