"""The SPARQL endpoint as its clients meet it: the protocol, every syntax, what is refused, and the merged graph."""

import csv
import io
import json
import re
import socket
import warnings
from collections.abc import Callable
from functools import reduce
from html import unescape
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree as ET

import httpx2
import pyoxigraph as ox
import pytest
from conftest import SERVED_CONTEXT
from fastapi.testclient import TestClient
from rdflib import BNode, Graph, Literal, URIRef
from rdflib import Dataset as Quads
from rdflib.compare import isomorphic
from rdflib.graph import DATASET_DEFAULT_GRAPH_ID
from rdflib.term import Node
from rdflib.util import from_n3

from itukg import names
from itukg.engine.sparql import read_query
from itukg.formats import BOOLEAN_FORMATS, GRAPH_FORMATS, JSONLD, TABLE_FORMATS, Format
from itukg.release.model import Release
from itukg.settings import Settings
from itukg.web.sparql import FORM, SPARQL_QUERY

ROOT = Path(__file__).parents[1]
CONTEXT = json.loads((ROOT / "ontology/context.jsonld").read_text())
RESULTS = "{http://www.w3.org/2005/sparql-results#}"
ORIGIN = {"origin": "https://partner.example"}
OUTPUT = names.THINGS + "buap-2018-2021/output/2.1"

Row = tuple[Node | None, ...]


# --- independent parsers ---


def rows_of_json(content: bytes) -> list[Row]:
    document = json.loads(content)

    def term(cell: dict[str, str] | None) -> Node | None:
        match cell:
            case None:
                return None
            case {"type": "uri", "value": iri}:
                return URIRef(iri)
            case {"type": "bnode", "value": label}:
                return BNode(label)
            case _:
                datatype = cell.get("datatype")
                return Literal(
                    cell["value"], lang=cell.get("xml:lang"), datatype=URIRef(datatype) if datatype else None
                )

    names_ = document["head"]["vars"]
    return [tuple(term(binding.get(name)) for name in names_) for binding in document["results"]["bindings"]]


def rows_of_xml(content: bytes) -> list[Row]:
    root = ET.fromstring(content)  # noqa: S314  (our own answer)

    def term(binding: ET.Element | None) -> Node | None:
        if binding is None:
            return None
        cell, text = binding[0], binding[0].text or ""
        if cell.tag == RESULTS + "uri":
            return URIRef(text)
        datatype = cell.get("datatype")
        language = cell.get("{http://www.w3.org/XML/1998/namespace}lang")
        return Literal(text, lang=language, datatype=URIRef(datatype) if datatype else None)

    columns = [variable.get("name") for variable in root.iter(RESULTS + "variable")]
    return [
        tuple(term(result.find(f"{RESULTS}binding[@name='{name}']")) for name in columns)
        for result in root.iter(RESULTS + "result")
    ]


def rows_of_tsv(content: bytes) -> list[Row]:
    lines = content.decode().removesuffix("\n").split("\n")[1:]
    return [tuple(cast("Node", from_n3(cell)) if cell else None for cell in line.split("\t")) for line in lines]


def rows_of_csv(content: bytes) -> list[tuple[str, ...]]:
    return [tuple(row) for row in csv.reader(io.StringIO(content.decode(), newline=""))][1:]


TABLE_PARSERS: dict[str, Callable[[bytes], list[Row]]] = {
    "application/sparql-results+json": rows_of_json,
    "application/sparql-results+xml": rows_of_xml,
    "text/tab-separated-values": rows_of_tsv,
    "application/json": rows_of_json,
}


PLAIN_TABLES = tuple(f for f in TABLE_FORMATS if not f.labels)


def graph_of(reply: httpx2.Response) -> Graph:
    """Read RDF with rdflib; our context is put in its place, so that nothing is fetched."""
    media_type = reply.headers["content-type"].partition(";")[0].replace("application/n-triples", "nt")
    if media_type in ("application/trig", "application/n-quads"):
        with warnings.catch_warnings(category=DeprecationWarning, action="ignore"):  # rdflib's, of itself
            quads = list(Quads().parse(data=reply.content, format=media_type).quads())
        assert {name for *_, name in quads} <= {DATASET_DEFAULT_GRAPH_ID}
        return reduce(lambda graph, quad: graph.add(quad[:3]), quads, Graph())
    if media_type != "application/ld+json":
        return Graph().parse(data=reply.content, format=media_type)
    document = reply.json()
    assert document["@context"] == SERVED_CONTEXT
    with warnings.catch_warnings(category=DeprecationWarning, action="ignore"):  # rdflib's, of itself
        return Graph().parse(data=json.dumps(document | CONTEXT), format="json-ld")


def triples_of(reply: httpx2.Response) -> list[ox.Triple]:
    """Read RDF with the engine, which is quick; JSON-LD with our context put in its place."""
    syntax = next(f for f in GRAPH_FORMATS if f.media_type == reply.headers["content-type"].partition(";")[0])
    content = json.dumps(reply.json() | CONTEXT).encode() if syntax == JSONLD else reply.content
    assert isinstance(syntax.engine, ox.RdfFormat)
    return [quad.triple for quad in ox.parse(content, format=syntax.engine)]


def problem_of(reply: httpx2.Response, status: int) -> dict[str, Any]:
    """What an error says, after a look at what every error must have."""
    if reply.headers["content-type"] == "text/html; charset=utf-8":  # to a client that prefers pages
        assert reply.request.headers["accept"].startswith("text/html")
        page = re.search(
            r'<p class="kicker">(.*?)</p>\s*<h1>(.*?)</h1>\s*<p class="lead">(.*?)</p>', reply.text, re.DOTALL
        )
        assert page is not None and (reply.status_code, page[1]) == (status, str(status)), reply.text
        return {"status": status, "title": unescape(page[2]), "detail": unescape(page[3])}
    assert (reply.status_code, reply.headers["content-type"]) == (status, "application/problem+json"), reply.text
    problem: dict[str, Any] = reply.json()
    assert problem["status"] == status
    assert problem["type"] == "about:blank" or problem["type"].startswith(names.BASE + "problem/")
    assert problem["title"] and problem["detail"]
    return problem


# --- asking ---


def ask(client: httpx2.Client, query: str, accept: str | None = None, /, **parameters: Any) -> httpx2.Response:
    headers = ORIGIN | ({"accept": accept} if accept is not None else {})
    return client.get("/sparql", params={"query": query, **parameters}, headers=headers)


def post(client: httpx2.Client, body: str | bytes, media_type: str, **parameters: str) -> httpx2.Response:
    return client.post("/sparql", content=body, headers=ORIGIN | {"content-type": media_type}, params=parameters)


def values(reply: httpx2.Response) -> list[tuple[str, ...]]:
    assert reply.status_code == 200, reply.text
    return [tuple(str(term) for term in row) for row in rows_of_json(reply.content)]


def number(client: httpx2.Client, pattern: str, /, **parameters: Any) -> int:
    """How many solutions `pattern` has."""
    ((count,),) = values(ask(client, f"SELECT (COUNT(*) AS ?n) WHERE {{ {pattern} }}", **parameters))
    return int(count)


# --- one query, three ways to send it ---


def test_get_form_and_direct_post_give_the_same_answer(client: TestClient) -> None:
    query = f'SELECT ?o WHERE {{ <{OUTPUT}> ?p ?o FILTER(?p != "naïve ☎") }} ORDER BY ?o'
    replies = [
        ask(client, query),
        post(client, f"query={quote(query)}", FORM),
        post(client, query, SPARQL_QUERY),
        post(client, query, SPARQL_QUERY + "; charset=UTF-8"),
    ]
    assert {reply.status_code for reply in replies} == {200}
    assert len({reply.content for reply in replies}) == 1
    assert len(values(replies[0])) > 50


def test_a_query_in_utf_8_is_understood_however_it_is_sent(client: TestClient) -> None:
    query = 'SELECT ("“é”😀" AS ?text) WHERE {}'
    for reply in (ask(client, query), post(client, f"query={quote(query)}", FORM), post(client, query, SPARQL_QUERY)):
        assert values(reply) == [("“é”😀",)]


def test_a_form_is_decoded_once(client: TestClient) -> None:
    query = 'SELECT ("100%2525 a+b" AS ?text) WHERE {}'
    assert values(post(client, f"query={quote(query)}", FORM)) == [("100%2525 a+b",)]
    assert values(post(client, "query=SELECT+('100%2525'+AS+?t)+WHERE+{}", FORM)) == [("100%25",)]


def test_the_dataset_may_be_given_in_every_way_of_asking(client: TestClient) -> None:
    query, graph = "SELECT (COUNT(*) AS ?n) WHERE { ?s ?p ?o }", names.graph("sdg")
    replies = [
        ask(client, query, **{"default-graph-uri": graph}),
        post(client, f"query={quote(query)}&default-graph-uri={quote(graph)}", FORM),
        post(client, query, SPARQL_QUERY, **{"default-graph-uri": graph}),
    ]
    assert {tuple(values(reply)) for reply in replies} == {((str(number(client, f"GRAPH <{graph}> {{ ?s ?p ?o }}")),),)}


# --- every syntax of an answer ---

TABLE = """SELECT ?thing ?text ?number WHERE { VALUES (?thing ?text ?number) {
  (<http://example.org/é?a=1&b=2#c> "tab\\t\\"quote\\", comma; <b>&amp;</b>\\nline \\\\ 😀"@en 1)
  (UNDEF "" 2.5) (<urn:x> "plain" true) (<urn:y> UNDEF UNDEF)
} }"""


def by_accept_and_by_name(client: TestClient, query: str, syntax: Format) -> httpx2.Response:
    """Ask for a syntax in its four ways; the answers are one."""
    replies = [ask(client, query, syntax.media_type)]
    replies += [ask(client, query, "image/png", format=name) for name in (syntax.name, syntax.media_type)]
    replies.append(post(client, query, SPARQL_QUERY, format=syntax.name))
    for reply in replies:
        assert reply.status_code == 200, reply.text
        assert reply.headers["content-type"].partition(";")[0] == syntax.media_type
        assert "Accept" in reply.headers["vary"]
    assert len({reply.content for reply in replies}) == 1
    return replies[0]


def test_the_tests_know_every_syntax() -> None:
    assert {f.media_type for f in PLAIN_TABLES} == {*TABLE_PARSERS, "text/csv"}
    assert len(PLAIN_TABLES) == 5  # those with labels: test_tables.py
    assert len(BOOLEAN_FORMATS) == 3
    assert len(GRAPH_FORMATS) == 6


@pytest.mark.parametrize("syntax", PLAIN_TABLES, ids=lambda f: f.name)
def test_a_table_has_the_same_rows_in_every_syntax(client: TestClient, syntax: Format) -> None:
    expected = rows_of_json(ask(client, TABLE).content)
    assert len(expected) == 4
    reply = by_accept_and_by_name(client, TABLE, syntax)
    if syntax.name == "csv":  # has no types
        assert rows_of_csv(reply.content) == [tuple("" if t is None else str(t) for t in row) for row in expected]
    else:
        assert TABLE_PARSERS[syntax.media_type](reply.content) == expected


@pytest.mark.parametrize("syntax", PLAIN_TABLES, ids=lambda f: f.name)
def test_the_real_links_of_an_output_are_the_same_in_every_syntax(client: TestClient, syntax: Format) -> None:
    query = f"SELECT ?p ?o ?label WHERE {{ <{OUTPUT}> ?p ?o OPTIONAL {{ ?o <{names.PREFIXES['rdfs']}label> ?label }} }} ORDER BY ?p ?o"
    expected = rows_of_json(ask(client, query).content)
    assert len(expected) > 50
    content = ask(client, query, syntax.media_type).content
    if syntax.name == "csv":
        assert rows_of_csv(content) == [tuple("" if t is None else str(t) for t in row) for row in expected]
    else:
        assert TABLE_PARSERS[syntax.media_type](content) == expected


@pytest.mark.parametrize("syntax", PLAIN_TABLES, ids=lambda f: f.name)
def test_a_table_without_rows_is_a_table(client: TestClient, syntax: Format) -> None:
    content = ask(client, "SELECT ?a ?b WHERE { FILTER(false) }", syntax.media_type).content
    assert (rows_of_csv if syntax.name == "csv" else TABLE_PARSERS[syntax.media_type])(content) == []


@pytest.mark.parametrize("syntax", BOOLEAN_FORMATS, ids=lambda f: f.name)
@pytest.mark.parametrize("truth", [True, False])
def test_ask_is_answered_with_a_boolean(client: TestClient, syntax: Format, truth: bool) -> None:
    content = by_accept_and_by_name(client, f"ASK {{ FILTER({str(truth).lower()}) }}", syntax).content
    if syntax.name == "srx":
        assert ET.fromstring(content).findtext(RESULTS + "boolean") == str(truth).lower()  # noqa: S314  (our own answer)
    else:
        assert json.loads(content)["boolean"] is truth


@pytest.mark.parametrize("syntax", GRAPH_FORMATS, ids=lambda f: f.name)
@pytest.mark.parametrize(
    "query",
    [
        f"CONSTRUCT {{ ?s ?p ?o }} WHERE {{ VALUES ?s {{ <{OUTPUT}> <{names.SDG}9.c> }} ?s ?p ?o }}",
        f"DESCRIBE <{OUTPUT}>",
        f"CONSTRUCT {{ ?s ?p ?o }} WHERE {{ GRAPH <{names.graph('ontology')}> {{ ?s ?p ?o }} }}",
        'CONSTRUCT { <urn:s> <urn:p#q> "tab\\t\\"q\\" <&>\\nline 😀"@en, 1, 2.5, true, <urn:o> } WHERE {}',
        "CONSTRUCT { ?s ?p ?o } WHERE { ?s ?p ?o FILTER(false) }",
    ],
    ids=["construct", "describe", "many", "literals", "empty"],
)
def test_a_graph_has_the_same_triples_in_every_syntax(client: TestClient, query: str, syntax: Format) -> None:
    expected = graph_of(ask(client, query, "application/n-triples"))
    assert (len(expected) == 0) is query.endswith("FILTER(false) }")
    assert isomorphic(graph_of(by_accept_and_by_name(client, query, syntax)), expected)


# --- negotiation ---

SELECT = "SELECT ?s WHERE { ?s ?p ?o } LIMIT 1"


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/sparql-results+json"),
        ("text/*", "text/csv"),
        ("application/*", "application/sparql-results+json"),
        ("text/csv;q=0.2, application/sparql-results+xml;q=0.3", "application/sparql-results+xml"),
        ("image/png, text/tab-separated-values;q=0.1", "text/tab-separated-values"),
        ("application/sparql-results+json;q=0, */*;q=0.1", "application/sparql-results+xml"),
        ("text/csv;q=0, text/*", "text/tab-separated-values"),
        ("text/turtle, */*;q=0.1", "application/sparql-results+json"),
        ("TEXT/CSV", "text/csv"),
        ("text/csv; header=present", "text/csv"),
    ],
)
def test_the_client_gets_the_syntax_that_it_prefers(client: TestClient, accept: str, media_type: str) -> None:
    reply = ask(client, SELECT, accept)
    assert reply.status_code == 200
    assert reply.headers["content-type"].partition(";")[0] == media_type


@pytest.mark.parametrize(
    ("query", "accept"),
    [
        (SELECT, "image/png"),
        (SELECT, "text/turtle"),
        (SELECT, "text/csv;q=0"),
        (SELECT, "text/*;q=0, image/*"),
        (SELECT, "*/*;q=0"),
        ("ASK {}", "text/csv"),
        ("ASK {}", "text/csv, text/tab-separated-values"),
        ("DESCRIBE <urn:x>", "text/csv"),
        ("CONSTRUCT WHERE { ?s ?p ?o }", "application/sparql-results+json"),
    ],
)
def test_what_cannot_be_served_is_406_and_names_what_can(client: TestClient, query: str, accept: str) -> None:
    detail = problem_of(ask(client, query, accept), 406)["detail"]
    offered = "text/turtle" if query[0] in "DC" else "application/sparql-results+json"
    assert offered in detail.partition("available")[2]


@pytest.mark.parametrize("name", ["png", "ttl", "", "csv;q=1"])
def test_an_unknown_format_is_406_and_names_those_there_are(client: TestClient, name: str) -> None:
    assert "srj, srx, csv, tsv, json" in problem_of(ask(client, SELECT, format=name), 406)["detail"]


# --- what is refused ---


@pytest.mark.parametrize(
    ("query", "line", "column"),
    [
        ("SELECT * WHERE {\n ?s ?p }", 2, 8),
        ("SELECT * WHERE { ?s ?p ?o", 1, 26),
        ('# a comment\nSELECT *\nWHERE { ?s ?p "é" ?o }', 3, 19),
        ("SELECT * WHERE {\n ?s foo:bar ?o }", 2, 5),
        ("\n\nSELEKT * {}", 3, 1),
        ("", 1, 1),
        ("ASK {} ASK {}", 1, 14),
        ("SELECT * WHERE { ?s ?p ?o } ; DROP ALL", 1, 29),
    ],
)
def test_malformed_sparql_is_400_with_line_and_column(client: TestClient, query: str, line: int, column: int) -> None:
    for reply in (ask(client, query), post(client, query, SPARQL_QUERY)):
        problem = problem_of(reply, 400)
        assert (problem["line"], problem["column"]) == (line, column)
        assert f"line {line}" in problem["detail"]


def test_a_request_without_a_query_is_400(client: TestClient) -> None:
    for reply in (client.get("/sparql?format=csv"), post(client, "", FORM), post(client, "format=csv", FORM)):
        assert "No query" in problem_of(reply, 400)["detail"]


def test_two_queries_in_one_request_are_400(client: TestClient) -> None:
    for reply in (
        client.get("/sparql?query=ASK{}&query=ASK{}"),
        post(client, "query=ASK{}&query=ASK{}", FORM),
        post(client, "ASK {}", SPARQL_QUERY, query="ASK {}"),
    ):
        assert "2 queries" in problem_of(reply, 400)["detail"]


UPDATES = [
    "INSERT DATA { <urn:a> <urn:b> <urn:c> }",
    "PREFIX e: <http://example.org/> DELETE WHERE { ?s e:p ?o }",
    "# clean up\nDROP ALL",
    "clear default",
    "LOAD <http://example.org/data.ttl>",
    "BASE <http://example.org/> WITH <g> DELETE { ?s ?p ?o } WHERE { ?s ?p ?o }",
    "CREATE GRAPH <urn:g>",
    "ADD <urn:a> TO <urn:b>",
    "MOVE <urn:a> TO <urn:b>",
    "COPY <urn:a> TO <urn:b>",
]


@pytest.mark.parametrize("update", UPDATES)
def test_an_update_is_refused_with_a_reason(client: TestClient, update: str) -> None:
    for reply in (
        ask(client, update),
        post(client, update, SPARQL_QUERY),
        post(client, f"query={quote(update)}", FORM),
    ):
        problem = problem_of(reply, 400)
        assert "read-only" in problem["detail"]
        assert any(word in problem["detail"] for word in update.upper().split())


def test_an_update_parameter_is_refused_and_an_update_body_is_no_query(client: TestClient) -> None:
    before = number(client, "?s ?p ?o")
    assert "read-only" in problem_of(post(client, f"update={quote(UPDATES[0])}", FORM), 400)["detail"]
    assert "read-only" in problem_of(client.get("/sparql", params={"update": UPDATES[0]}), 400)["detail"]
    problem_of(post(client, UPDATES[0], "application/sparql-update"), 415)
    assert number(client, "?s ?p ?o") == before


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * WHERE { SERVICE <http://example.org/sparql> { ?s ?p ?o } }",
        "SELECT * WHERE { service silent ?endpoint { ?s ?p ?o } }",
        "ASK { ?s ?p ?o .SERVICE<http://example.org/sparql>{ ?s ?p ?o } }",
        "SELECT * WHERE { ?s ?p '#' . SERVICE <http://example.org/> {} }",
        "SELECT * WHERE { ?s <http://example.org/#> ?o . SERVICE <http://example.org/> {} }",
        "PREFIX e: <urn:e:> SELECT * WHERE { ?s e:it\\'s ?o . SERVICE <http://example.org/> {} ?t e:it\\'s ?o }",
    ],
)
def test_service_is_refused_with_a_reason(client: TestClient, query: str) -> None:
    assert "SERVICE is refused" in problem_of(ask(client, query), 400)["detail"]


@pytest.mark.parametrize(
    "query",
    [
        'SELECT * WHERE { ?s ?p "SERVICE <http://example.org/> {}" }',
        "SELECT * WHERE { ?s ?p '''it's a\nSERVICE''' }",
        "SELECT * WHERE { # SERVICE <http://example.org/> {}\n ?s ?p ?o } LIMIT 1",
        "SELECT * WHERE { ?s <http://example.org/SERVICE> ?o }",
        "SELECT ?service $SERVICE WHERE { ?service a $SERVICE } LIMIT 1",
        "PREFIX service: <http://example.org/> SELECT * WHERE { ?s service:service ?o }",
        "PREFIX e: <http://example.org/> SELECT * WHERE { ?s e:SERVICE _:service }",
        "SELECT * WHERE { ?s ?p 'INSERT DATA { LOAD' }",
        "PREFIX load: <http://example.org/> SELECT * WHERE { ?load load:drop ?clear }",
    ],
)
def test_the_word_service_or_load_is_no_offence_in_itself(client: TestClient, query: str) -> None:
    assert ask(client, query).status_code == 200


@pytest.mark.parametrize("media_type", ["text/plain", "application/json", "multipart/form-data", "sparql", ""])
def test_a_body_of_another_media_type_is_415_and_names_those_read(client: TestClient, media_type: str) -> None:
    detail = problem_of(post(client, "ASK {}", media_type), 415)["detail"]
    assert FORM in detail and SPARQL_QUERY in detail


def test_a_body_without_media_type_is_415(client: TestClient) -> None:
    assert "nothing" in problem_of(client.post("/sparql", content=b"ASK {}"), 415)["detail"]


@pytest.mark.parametrize(("media_type", "before"), [(FORM, "query="), (SPARQL_QUERY, "")])
def test_a_body_over_the_limit_is_413(client: TestClient, media_type: str, before: str) -> None:
    largest = Settings().query_size
    comment = "#" * (largest - len(before) - len("ASK{}"))
    assert post(client, before + "ASK{}" + comment, media_type).status_code == 200
    assert str(largest) in problem_of(post(client, before + "ASK{}#" + comment, media_type), 413)["detail"]


def test_a_body_that_is_not_utf_8_is_400(client: TestClient) -> None:
    for media_type in (SPARQL_QUERY, FORM):
        assert "UTF-8" in problem_of(post(client, b'query=ASK { ?s ?p "\xff" }', media_type), 400)["detail"]


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "nan", "inf", "1e400", ""])
def test_a_time_limit_that_is_no_positive_number_is_400(client: TestClient, seconds: str) -> None:
    assert f'"{seconds}"' in problem_of(ask(client, "ASK {}", timeout=seconds), 400)["detail"]
    assert "timeout" in problem_of(post(client, f"query=ASK{{}}&timeout={seconds}", FORM), 400)["detail"]


@pytest.mark.parametrize("seconds", ["5", "2.5", "1e3", "99999"])
def test_a_query_may_set_a_shorter_time_limit(client: TestClient, seconds: str) -> None:
    assert ask(client, "ASK {}", timeout=seconds).status_code == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/sparql", "/id/sdg/all", "/conformance", "/"])
def test_another_method_is_405_as_a_problem_with_allow(client: TestClient, method: str, path: str) -> None:
    reply = client.request(method, path)
    problem_of(reply, 405)
    assert reply.headers["allow"]


# --- what every answer carries ---


def test_answers_and_errors_may_be_read_by_pages_of_other_origins(client: TestClient) -> None:
    replies = {
        200: ask(client, "ASK {}"),
        400: ask(client, "ASK"),
        404: client.get("/nothing", headers=ORIGIN),
        405: client.put("/sparql", headers=ORIGIN),
        406: ask(client, "ASK {}", "image/png"),
        413: post(client, "#" * 1_000_001, SPARQL_QUERY),
        415: post(client, "ASK {}", "text/plain"),
    }
    assert [reply.status_code for reply in replies.values()] == list(replies)
    assert {reply.headers["access-control-allow-origin"] for reply in replies.values()} == {"*"}


@pytest.mark.parametrize("method", ["GET", "POST", "QUERY"])
def test_a_browser_may_ask_before_it_sends_a_query(client: TestClient, method: str) -> None:
    asked = {"access-control-request-method": method, "access-control-request-headers": "content-type"}
    reply = client.options("/sparql", headers=ORIGIN | asked)
    assert reply.status_code == 204
    assert reply.headers["access-control-allow-origin"] == "*"
    assert method in reply.headers["access-control-allow-methods"]
    assert "content-type" in reply.headers["access-control-allow-headers"].lower()


# --- over the wire ---


def exchange(address: str, request: bytes) -> tuple[bytes, bytes]:
    """Send `request` as it stands over a socket of its own; return head and body of the answer."""
    where = urlsplit(address)
    with socket.create_connection((str(where.hostname), int(where.port or 0)), timeout=20) as wire:
        wire.sendall(request)
        received = b"".join(iter(lambda: wire.recv(65536), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    return head, body


@pytest.mark.parametrize(
    ("path", "status"), [("/sparql?query=ASK%7B%7D", 200), ("/sparql?query=ASK", 400), ("/id/sdg/all", 200), ("/", 200)]
)
def test_head_has_the_head_of_get_and_no_body(server: str, path: str, status: int) -> None:
    answers = [
        exchange(server, f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        for method in ("GET", "HEAD")
    ]
    (get, content), (head, nothing) = answers
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert content and not nothing

    def fields(raw: bytes) -> set[bytes]:
        return {
            line
            for line in raw.splitlines()
            if not line.lower().startswith((b"date:", b"server-timing:", b"x-request-id:"))
        }

    assert fields(head) == fields(get)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * WHERE " + "{" * 20_000 + "}" * 20_000,
        "ASK { FILTER(" + "(" * 20_000 + "1" + ")" * 20_000 + ") }",
        "ASK { ?s ?p " + "[ ?q " * 20_000 + "1" + "]" * 20_000 + " }",
        "SELECT * WHERE " + "{" * 20_000,
    ],
    ids=["braces", "parentheses", "brackets", "unclosed"],
)
def test_deep_nesting_is_refused_and_the_server_goes_on(server: str, query: str) -> None:
    with httpx2.Client(base_url=server) as client:
        assert "nests" in problem_of(post(client, query, SPARQL_QUERY), 400)["detail"]
        assert ask(client, "ASK {}").json()["boolean"] is True


def test_nesting_that_people_write_is_answered(client: TestClient) -> None:
    assert ask(client, "SELECT * WHERE " + "{" * 50 + "?s ?p ?o" + "}" * 50 + " LIMIT 1").status_code == 200


# --- how it is read ---


def test_true_and_false_may_be_written_in_capitals(client: TestClient) -> None:
    query = "SELECT ?x { VALUES ?x { TRUE False true 'TRUE' } FILTER(!FALSE) }"
    assert values(ask(client, query)) == [("true",), ("false",), ("true",), ("TRUE",)]


def test_what_is_named_true_keeps_its_name() -> None:
    for name in (
        "?TRUE",
        "TRUE:a",
        "x:TRUE",
        "x:a.TRUE",
        "x:a\\~TRUE",
        "_:TRUE",
        "'a'@TRUE",
        "<urn:TRUE>",
        "x:%20TRUE",
        "xTRUE",
    ):
        query = f"ASK {{ ?x ?y {name} }} # TRUE"
        assert read_query(query).text == query
        assert read_query(query.replace("?y", "TRUE")).text == query.replace("?y", "true")


# --- what a query sees ---


def test_a_triple_in_two_graphs_is_found_once_unless_the_query_names_graphs(careless: TestClient) -> None:
    assert number(careless, "<urn:test:s> ?p ?o") == 1
    assert number(careless, "GRAPH ?g { <urn:test:s> ?p ?o }") == 2
    assert len(graph_of(ask(careless, "DESCRIBE <urn:test:s>"))) == 1


def test_every_graph_has_a_name_and_the_merged_one_has_none(client: TestClient, release: Release) -> None:
    listed = {graph for (graph,) in values(ask(client, "SELECT DISTINCT ?g WHERE { GRAPH ?g { ?s ?p ?o } }"))}
    assert listed == set(release.manifest["graphs"])
    assert {names.graph(name) for name in ("sdg", "wsis", "ontology", "shapes", "entailed")} < listed
    assert number(client, "?s ?p ?o") == release.manifest["merged"]


def test_the_merged_graph_is_the_union_of_what_is_said_and_no_shapes(client: TestClient) -> None:
    shapes = names.graph("shapes")
    assert number(client, "?s ?p ?o FILTER NOT EXISTS { GRAPH ?g { ?s ?p ?o } }") == 0
    asked_for = ", ".join(f"<{names.graph(name)}>" for name in ("derived", "shapes", "queries"))
    left_out = f"GRAPH ?g {{ ?s ?p ?o }} FILTER NOT EXISTS {{ ?s ?p ?o }} FILTER(?g NOT IN ({asked_for}))"
    assert number(client, left_out) == 0
    assert number(client, f"?s a <{names.SH}NodeShape>") == 0
    assert number(client, f"GRAPH <{shapes}> {{ ?s a <{names.SH}NodeShape> }}") > 30


def test_what_is_entailed_is_stated_nowhere(client: TestClient) -> None:
    entailed = f"GRAPH <{names.graph('entailed')}> {{ ?s ?p ?o }}"
    assert number(client, entailed) > 1000
    assert number(client, f"{entailed} GRAPH ?g {{ ?s ?p ?o }} FILTER(?g != <{names.graph('entailed')}>)") == 0


def test_default_graph_uri_replaces_the_merged_graph(client: TestClient) -> None:
    sdg, wsis = names.graph("sdg"), names.graph("wsis")
    sizes = {graph: number(client, f"GRAPH <{graph}> {{ ?s ?p ?o }}") for graph in (sdg, wsis)}
    assert number(client, "?s ?p ?o", **{"default-graph-uri": [sdg, wsis]}) == sum(sizes.values())
    assert number(client, "GRAPH ?g { ?s ?p ?o }", **{"default-graph-uri": sdg}) == 0
    assert number(client, "?s ?p ?o", **{"default-graph-uri": "urn:none"}) == 0


def test_named_graph_uri_chooses_what_graph_may_name(client: TestClient) -> None:
    sdg, wsis = names.graph("sdg"), names.graph("wsis")
    chosen = ask(
        client, "SELECT DISTINCT ?g WHERE { GRAPH ?g { ?s ?p ?o } } ORDER BY ?g", **{"named-graph-uri": [sdg, wsis]}
    )
    assert values(chosen) == [(sdg,), (wsis,)]
    assert number(client, "?s ?p ?o", **{"named-graph-uri": sdg}) == 0


def test_the_dataset_of_the_request_goes_before_that_of_the_query(client: TestClient) -> None:
    sdg, wsis = names.graph("sdg"), names.graph("wsis")
    query = f"SELECT (COUNT(*) AS ?n) FROM <{wsis}> WHERE {{ ?s ?p ?o }}"  # noqa: S608  (SPARQL, read-only)
    assert values(ask(client, query)) == [(str(number(client, f"GRAPH <{wsis}> {{ ?s ?p ?o }}")),)]
    over = ask(client, query, **{"default-graph-uri": sdg})
    assert values(over) == [(str(number(client, f"GRAPH <{sdg}> {{ ?s ?p ?o }}")),)]


@pytest.mark.parametrize(
    "written",
    [
        "{name} # and nothing else",
        "{name}#c",
        "{name}{{}}",
        "{name} VALUES ?x {{ 1 }}",
        "?x ?x {{ BIND({name} AS ?x) }}",
        "# c\r {name}",
        "{name} {{ VALUES ?described0 {{ 1 }} }}",
    ],
)
def test_describe_tells_the_same_however_the_thing_is_written(client: httpx2.Client, written: str) -> None:
    whole = ask(client, f"DESCRIBE <{OUTPUT}>", "application/n-triples")
    prefix, _, local = OUTPUT.rpartition("/")
    query = f"PREFIX b: <{prefix}/> DESCRIBE {written.format(name=f'b:{local}')}\n"
    assert sorted(ask(client, query, "application/n-triples").text.splitlines()) == sorted(whole.text.splitlines())
    assert len(whole.text.splitlines()) > 50
