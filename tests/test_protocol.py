"""The protocol to the letter: methods, headers of every answer, what is held and asked for again, DESCRIBE, columns."""

import csv
import gzip
import io
import json
import random
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl, quote, urljoin
from xml.etree import ElementTree as ET

import httpx2
import pytest
from conftest import wait_until_ready
from fastapi.testclient import TestClient
from prometheus_client.utils import floatToGoString
from rdflib import RDF, Graph, URIRef
from test_sparql import ORIGIN, OUTPUT, RESULTS, ask, graph_of, post, problem_of, values

from itukg import names
from itukg.errors import BadRequest
from itukg.rdf.jsonld import context_name
from itukg.release.model import Release
from itukg.settings import Settings
from itukg.web.app import create_app
from itukg.web.metrics import BUCKETS
from itukg.web.middleware import Cache, CachedResponse
from itukg.web.requests import parameters_of
from itukg.web.service import Service
from itukg.web.sparql import FORM, SPARQL_QUERY

SELECT = f"SELECT ?p ?o WHERE {{ <{OUTPUT}> ?p ?o }} ORDER BY ?p ?o"
SDG = names.graph("sdg")


def send(client: httpx2.Client, method: str, body: str, media_type: str) -> httpx2.Response:
    return client.request(method, "/sparql", content=body, headers=ORIGIN | {"content-type": media_type})


# --- parameters ---


def test_parameters_are_read_as_the_standard_library_reads_them() -> None:
    chance = random.Random(5)  # noqa: S311
    odd = (
        "%41",
        "%4",
        "%",
        "%zz",
        "%u0041",
        "%C3%A9",
        "é",
        "\\",
        "\\x41",
        "%5C",
        "%5Cx41",
        "+",
        "%2B",
        "&",
        "=",
        "a",
        "%0A",
        "%00",
    )
    texts = ["", *odd, *("".join(chance.choices(odd, k=chance.randint(2, 12))) for _ in range(2000))]
    quick = 0
    for text in texts:
        try:
            expected = parse_qsl(text, keep_blank_values=True, errors="strict")
        except UnicodeDecodeError:
            with pytest.raises(BadRequest, match="not UTF-8"):
                parameters_of(text.encode())
            continue
        assert parameters_of(text.encode()) == expected
        quick += "%" in text and "\\" not in text and not re.search("%(?![0-9A-F]{2})", text)
    assert len(texts) == 2019 and quick > 100


@pytest.mark.parametrize("text", ["%FF", "a=%C3", "%E9=1"])
def test_a_parameter_that_is_not_utf_8_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="A parameter is not UTF-8 once it is percent-decoded"):
        parameters_of(text.encode())


# --- methods ---


def test_query_is_answered_as_post_is(client: TestClient) -> None:
    form = str(httpx2.QueryParams(query=SELECT))
    replies = [ask(client, SELECT)]
    replies += [send(client, m, b, t) for m in ("POST", "QUERY") for b, t in ((SELECT, SPARQL_QUERY), (form, FORM))]
    assert len({reply.content for reply in replies}) == 1
    assert len({reply.headers["etag"] for reply in replies}) == 1
    assert len(values(replies[0])) > 50


@pytest.mark.parametrize("method", ["POST", "QUERY"])
@pytest.mark.parametrize("media_type", ["text/plain", "application/sparql-update", "application/json", ""])
def test_a_body_of_another_media_type_is_415_and_names_those_that_are_read(
    client: TestClient, method: str, media_type: str
) -> None:
    detail = problem_of(send(client, method, "ASK {}", media_type), 415)["detail"]
    assert FORM in detail and SPARQL_QUERY in detail


def routes(client: TestClient) -> list[str]:
    """A path for each route that the service describes."""
    things = {
        "{path}": "sdg/all",
        "{name}": "links.csv",
        "{release}": "latest",
        "{profile}": "structure",
        "{older}": "latest",
        "{version}": "0.1.0",
    }
    finding = client.get("/conformance.json").json()["findings"][0]["id"]
    paths = {
        "/id/finding/{name}": f"/id/finding/{finding}",
        "/sdg/{path}": "/sdg/9.c",
        "/resource": f"/resource?iri={names.SDG}9.c",
        "/because": "/because?subject=wsis/C5&object=sdg:9.c",
        "/matrix": "/matrix?rows=output&columns=actionLine",
        "/embed/sdg/{path}": "/embed/sdg/9.c",
        "/embed/matrix": "/embed/matrix?rows=output&columns=actionLine",
        "/embed/lineage/{path}": "/embed/lineage/buap-2018-2021/outcome/2.3",
        "/compare": "/compare?a=sp-2020-2023&b=sp-2024-2027",
        "/lineage/{path}": "/lineage/buap-2018-2021/outcome/2.3",
        "/context/{name}.jsonld": f"/context/{context_name()}.jsonld",
        "/documents/{name}": "/documents/sp-2024-2027",
        "/frames/{name}.jsonld": "/frames/plan-tree.jsonld",
        "/graph/{name}": "/graph/sdg",
        "/schemas/{name}.json": "/schemas/thing.json",
        "/queries/{name}": "/queries/results-chain",
    }
    found = []
    for path in client.get("/openapi.json").json()["paths"]:
        for parameter, value in things.items():
            path = paths.get(path, path).replace(parameter, value)  # noqa: PLW2901
        assert "{" not in path
        found.append(path)
    assert len(found) >= 15
    return [*dict.fromkeys([*found, "/openapi.json", "/conformance.ttl"])]  # a saved query is described twice


def test_options_of_every_route_is_204_with_what_is_allowed_from_everywhere(client: TestClient) -> None:
    for path in routes(client):
        reply = client.options(path, headers=ORIGIN)
        assert (reply.status_code, reply.content) == (204, b""), path
        methods = reply.headers["allow"].split(", ")
        assert {"GET", "HEAD", "OPTIONS"} <= set(methods)
        assert ("accept-query" in reply.headers) is ("QUERY" in methods) is (path == "/sparql")
        assert reply.headers["access-control-allow-origin"] == "*"
        assert reply.headers["access-control-allow-methods"].split(", ") == methods


def test_every_route_answers_and_may_be_read_from_everywhere(client: TestClient) -> None:
    for path in routes(client):
        reply = client.get(path, headers=ORIGIN)
        assert (path, reply.status_code) == (path, 200)
        assert reply.headers["access-control-allow-origin"] == "*"


def test_options_tells_what_a_query_is_sent_as(client: TestClient) -> None:
    reply = client.options("/sparql")
    assert reply.headers["accept-query"] == f'"{FORM}", "{SPARQL_QUERY}"'
    assert reply.headers["allow"] == "GET, HEAD, OPTIONS, POST, QUERY"


def test_options_of_what_there_is_not_is_404(client: TestClient) -> None:
    problem_of(client.options("/nothing"), 404)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "POST"])
def test_a_method_that_a_route_has_not_is_405_with_those_it_has(client: TestClient, method: str) -> None:
    for path in routes(client):
        if method != "POST" or path.partition("?")[0] not in ("/sparql", "/validate", "/compare"):
            reply = client.request(method, path, headers=ORIGIN)
            problem_of(reply, 405)
            assert reply.headers["allow"] == client.options(path).headers["allow"]
            assert method not in reply.headers["allow"].split(", ")
            assert reply.headers["access-control-allow-origin"] == "*"


def test_head_is_get_without_its_body(client: TestClient) -> None:
    for query, status in ((SELECT, 200), ("ASK {", 400), ("ASK {} # é", 200)):
        get, head = (
            client.request(m, "/sparql", params={"query": query}, headers=ORIGIN | {"x-request-id": "r"})
            for m in ("GET", "HEAD")
        )
        assert get.status_code == head.status_code == status
        assert get.content and not head.content
        assert {**get.headers, "server-timing": ""} == {**head.headers, "server-timing": ""}


# --- what is held, and asked for again ---


def conditional(client: httpx2.Client, query: str, **headers: str) -> httpx2.Response:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.get("/sparql", params={"query": query}, headers={"accept-encoding": "identity"} | sent)


def test_the_same_query_has_the_same_etag_and_another_has_another(client: TestClient) -> None:
    first, again = conditional(client, SELECT), conditional(client, SELECT)
    assert first.headers["etag"] == again.headers["etag"]
    assert first.headers["etag"].startswith('"')  # strong
    assert first.headers["cache-control"] == "no-cache"
    others = [conditional(client, "ASK {}"), conditional(client, SELECT, accept="text/csv")]
    assert len({reply.headers["etag"] for reply in [first, *others]}) == 3


@pytest.mark.parametrize("tags", ["{}", "W/{}", '"x", {}', '"x" ,W/{} , "y"', "*", '{},"x"'])
def test_a_client_that_has_the_answer_gets_304_without_it(client: TestClient, tags: str) -> None:
    full = conditional(client, SELECT)
    reply = conditional(client, SELECT, if_none_match=tags.format(full.headers["etag"]))
    assert (reply.status_code, reply.content) == (304, b"")
    assert reply.headers["etag"] == full.headers["etag"]
    assert reply.headers["vary"] == full.headers["vary"]
    assert reply.headers["cache-control"] == full.headers["cache-control"]
    assert reply.headers["access-control-allow-origin"] == "*"
    assert "content-length" not in reply.headers


@pytest.mark.parametrize("tags", ['"x"', "", '"*"', "W/", "{0}x"])
def test_a_client_that_has_another_answer_gets_it_in_full(client: TestClient, tags: str) -> None:
    tag = conditional(client, SELECT).headers["etag"]
    assert conditional(client, SELECT, if_none_match=tags.format(tag.strip('"'))).status_code == 200


def test_if_modified_since_counts_only_where_it_is_told_when(client: TestClient) -> None:
    full = conditional(client, SELECT)
    later = "Fri, 31 Dec 2099 23:59:59 GMT"
    reply = conditional(client, SELECT, if_modified_since=later)
    assert reply.status_code == (304 if "last-modified" in full.headers else 200)
    assert conditional(client, SELECT, if_modified_since=later, if_none_match='"x"').status_code == 200
    assert conditional(client, SELECT, if_modified_since="soon").status_code == 200


def test_a_zipped_answer_is_another_representation_of_the_same(client: TestClient) -> None:
    plain, zipped = (raw(client, SELECT, encoding) for encoding in ("identity", "gzip"))
    assert plain[1] == gzip.decompress(zipped[1])
    assert len(zipped[1]) < len(plain[1]) / 2
    assert "content-encoding" not in plain[0]
    assert zipped[0]["content-encoding"] == "gzip"
    assert plain[0]["etag"] != zipped[0]["etag"]
    for headers, content in (plain, zipped):
        assert headers["vary"] == "Accept, Accept-Encoding"
        assert int(headers["content-length"]) == len(content)
    crossed = conditional(client, SELECT, if_none_match=plain[0]["etag"], accept_encoding="gzip")
    assert crossed.status_code == 200


def raw(client: httpx2.Client, query: str, encoding: str) -> tuple[httpx2.Headers, bytes]:
    """Headers and bytes of an answer as they came."""
    with client.stream("GET", "/sparql", params={"query": query}, headers={"accept-encoding": encoding}) as reply:
        assert reply.status_code == 200
        return reply.headers, b"".join(reply.iter_raw())


@pytest.mark.parametrize(
    ("encoding", "zipped"),
    [
        ("gzip", True),
        ("gzip, deflate, br", True),
        ("identity;q=0, gzip", True),
        ("gzip;q=0.5, identity;q=0.2", True),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip;q=0.2, identity;q=0.5", False),
        ("br", False),
        ("", False),
    ],
)  # fmt: skip
def test_an_answer_is_compressed_for_clients_that_accept_gzip(client: TestClient, encoding: str, zipped: bool) -> None:
    headers, _ = raw(client, SELECT, encoding)
    assert (headers.get("content-encoding") == "gzip") is zipped


@pytest.mark.parametrize(
    "call", ["NOW()", "RAND()", "UUID()", "STRUUID()", "BNODE()", "now ( )", "STRLEN(STR(rand()))", "BNODE('x')"]
)
def test_a_volatile_query_is_evaluated_each_time_and_never_cached(client: TestClient, call: str) -> None:
    before = cached(client)
    query = f"SELECT ({call} AS ?x) ?s WHERE {{ ?s a ?kind }} LIMIT 1"
    replies = [ask(client, query) for _ in range(3)]  # what is held is held by then
    assert {reply.headers["cache-control"] for reply in replies} == {"no-store"}
    assert cached(client) == before
    if call in ("UUID()", "STRUUID()", "RAND()"):
        assert replies[0].content != replies[1].content


def cached(client: httpx2.Client) -> int:
    """The bytes that are held, as /metrics has them."""
    lines = client.get("/metrics").text.splitlines()
    return int(float(next(line for line in lines if line.startswith("itukg_cache_bytes ")).split()[1]))


def test_errors_are_not_cached(client: TestClient) -> None:
    before = cached(client)
    for query in ("ASK {", "DROP ALL", "SELECT (<urn:f>(1) AS ?x) {}"):
        for _ in range(3):
            reply = ask(client, query)
            problem_of(reply, 400)
            assert "etag" not in reply.headers
    assert cached(client) == before


def test_a_cached_answer_costs_no_evaluation(client: TestClient) -> None:
    query = "SELECT (1 AS ?held) {}"
    _, second, third = [ask(client, query) for _ in range(3)]
    assert second.headers["server-timing"] == third.headers["server-timing"]
    before = counted(client)["SELECT", "evaluated"]
    ask(client, query)
    assert counted(client)["SELECT", "evaluated"] == before
    post(client, query, SPARQL_QUERY)  # whose answer RFC 9110, 9.3.3 lets no cache give again
    assert counted(client)["SELECT", "evaluated"] == before + 1


def test_the_seconds_of_queries_are_counted_by_form(client: TestClient) -> None:
    def told() -> dict[str, float]:
        found = [s for part in ("bucket", "count", "sum") for s in samples(client, f"itukg_query_seconds_{part}")]
        return {s.name.rpartition("_")[2] + s.labels.get("le", ""): s.value for s in found if s.labels["form"] == "ASK"}

    ask(client, "ASK {} # so that there is one")
    before = told()
    buckets = [f"bucket{bound}" for bound in map(floatToGoString, BUCKETS)]
    assert list(before) == [*buckets, "count", "sum"]
    for seconds in (0.001, 0.002, 5.0, 60.0):
        service_behind(client).metrics.query("ASK", "evaluated", seconds)
    more = {name: value - before[name] for name, value in told().items()}
    assert list(more.values()) == pytest.approx([1, *[2] * 7, 3, 3, 4, 4, 65.003])


def service_behind(client: TestClient) -> Service:
    service = client.app.state.service  # type: ignore[attr-defined]  # any ASGI application, by its type
    assert isinstance(service, Service)
    return service


def counted(client: httpx2.Client) -> dict[tuple[str, str], float]:
    """The queries by form and outcome, as /metrics has them."""
    return {(s.labels["form"], s.labels["outcome"]): s.value for s in samples(client, "itukg_queries_total")}


def answered(client: httpx2.Client) -> dict[str, float]:
    """The answers of the release by status, as /metrics has them."""
    return {s.labels["status"]: s.value for s in samples(client, "itukg_answers_total")}


def samples(client: httpx2.Client, name: str) -> list[Any]:
    from prometheus_client.parser import text_string_to_metric_families

    families = text_string_to_metric_families(client.get("/metrics").text)
    return [sample for family in families for sample in family.samples if sample.name == name]


def cached_of(size: int) -> CachedResponse:
    return CachedResponse((), b"x" * size)


def test_the_cache_never_exceeds_its_size_and_keeps_the_answers_used_last() -> None:
    cache = Cache(100_000)
    cache.put("first", cached_of(100), 1.0)
    for key in range(50):
        assert cache.get("first") is not None
        cache.put(key, cached_of(9_000), 1.0)
        assert cache.size() <= 100_000
    assert cache.get(49) is not None
    assert cache.get(0) is None
    cache.put("large", cached_of(30_000), 1.0)
    assert cache.get("large") is None


def test_an_answer_that_came_quickly_is_cached_at_its_second_request() -> None:
    cache = Cache(100_000)
    for expected in (0, 1, 2):
        assert (cache.get("quick") is not None) is (expected == 2)
        cache.put("quick", cached_of(100), 0.001)
    cache.put("slow", cached_of(100), 0.1)
    assert cache.get("slow") is not None


def test_without_a_cache_every_query_is_evaluated(release: Release) -> None:
    with TestClient(create_app(Settings(cache=0), release)) as client:
        wait_until_ready(client)
        replies = [ask(client, SELECT) for _ in range(2)]
        assert replies[0].content == replies[1].content
        assert replies[0].headers["etag"] == replies[1].headers["etag"]
        assert cached(client) == 0
        assert counted(client)["SELECT", "evaluated"] == 2


def test_metrics_tell_of_queries_by_form_and_outcome(release: Release) -> None:
    with TestClient(create_app(Settings(), release)) as client:
        wait_until_ready(client)
        etag = ask(client, SELECT).headers["etag"]
        conditional(client, SELECT, if_none_match=etag, accept_encoding="gzip, deflate")
        for query in ("ASK {}", f"DESCRIBE <{OUTPUT}>", "CONSTRUCT WHERE { ?s ?p ?o } LIMIT 1", "ASK { ?s"):
            ask(client, query)
        ask(client, "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }", timeout="0.3")
        found, sent = counted(client), answered(client)
        now = {sample.labels["what"]: sample.value for sample in samples(client, "itukg_store")}
        assert client.get("/metrics").headers["content-type"].startswith("text/plain; version=")
    assert sent["304"] == 1 and sent["200"] >= 4  # with those of /readyz
    assert sent["400"] == sent["504"] == 1
    assert 1 <= found["SELECT", "evaluated"] <= 2
    assert found["ASK", "evaluated"] == 1
    assert found["DESCRIBE", "evaluated"] == found["CONSTRUCT", "evaluated"] == 1
    assert found["SELECT", "time-limit"] == 1
    assert found["ASK", "syntax-problem"] == 1
    assert now["waiting for a worker"] == now["waiting for a slow slot"] == 0
    assert 1 <= now["workers"] <= Settings().workers


# --- DESCRIBE ---

PRE = "PREFIX itu: <https://w3id.org/itukg/ontology#> PREFIX sdg: <http://metadata.un.org/sdg/>\n"
ITU_SUBJECT = URIRef(names.ITU + "subject")


def described(client: httpx2.Client, query: str, **parameters: Any) -> Graph:
    reply = ask(client, query, "application/n-triples", **parameters)
    assert reply.status_code == 200, reply.text
    return graph_of(reply)


def constructed(client: httpx2.Client, things: Iterable[str], clause: str = "", **parameters: Any) -> Graph:
    """What DESCRIBE must give, asked for in other words."""
    named = ", ".join(f"<{iri}>" for iri in things)
    query = f"""CONSTRUCT {{ ?s ?p ?o }} {clause} WHERE {{ ?s ?p ?o
        FILTER(?s IN ({named}) || ?o IN ({named}) || EXISTS {{ ?s <{ITU_SUBJECT}> ?of FILTER(?of IN ({named})) }}) }}"""
    return described(client, query, **parameters)


def test_describe_gives_what_is_said_of_a_thing_and_to_it_and_its_linkages_in_full(client: TestClient) -> None:
    graph, thing = described(client, f"DESCRIBE <{OUTPUT}>"), URIRef(OUTPUT)
    assert set(graph) == set(constructed(client, [OUTPUT]))
    assert len(list(graph.predicate_objects(thing))) > 10
    incoming = set(graph.subjects(None, thing)) - set(graph.subjects(ITU_SUBJECT, thing))
    linkages = list(graph.subjects(ITU_SUBJECT, thing))
    assert incoming and len(linkages) >= 5
    for linkage in linkages:
        for name in ("basis", "predicate", "object", "quote", "section", "line"):
            assert graph.value(linkage, URIRef(names.ITU + name)), (linkage, name)


@pytest.mark.parametrize(
    ("query", "things"),
    [
        (f"DESCRIBE <{OUTPUT}> <{names.SDG}9.c>", [OUTPUT, names.SDG + "9.c"]),
        (PRE + "DESCRIBE sdg:9.c sdg:9.a", [names.SDG + "9.c", names.SDG + "9.a"]),
        (f"BASE <{names.SDG}>\nDESCRIBE <9.c>", [names.SDG + "9.c"]),
        (PRE + "describe ?s where { VALUES ?s { sdg:9.c sdg:9.a } }", [names.SDG + "9.c", names.SDG + "9.a"]),
        (PRE + "DESCRIBE $s { VALUES $s { sdg:9.c } }", [names.SDG + "9.c"]),
        (PRE + "DESCRIBE * WHERE { VALUES (?a ?b) { (sdg:9.c sdg:9.a) } }", [names.SDG + "9.c", names.SDG + "9.a"]),
        (PRE + "DESCRIBE ?s sdg:9.a { VALUES ?s { sdg:9.c } }", [names.SDG + "9.c", names.SDG + "9.a"]),
        (PRE + "DESCRIBE # what?\n sdg:9.c # this", [names.SDG + "9.c"]),
        (PRE + "DESCRIBE ?s { VALUES ?s { sdg:9.a sdg:9.c } } ORDER BY DESC(?s) LIMIT 1", [names.SDG + "9.c"]),
        (PRE + "DESCRIBE ?s { VALUES ?s { 'text' 1 sdg:9.c } }", [names.SDG + "9.c"]),
    ],
)
def test_describe_names_things_in_every_way(client: TestClient, query: str, things: list[str]) -> None:
    graph = described(client, query)
    assert len(graph) > 5
    assert set(graph) == set(constructed(client, things))


def test_describe_keeps_to_the_dataset_of_its_clause_and_of_the_request(client: TestClient) -> None:
    thing = names.SDG + "9.c"
    whole = described(client, f"DESCRIBE <{thing}>")
    by_clause = described(client, f"DESCRIBE <{thing}> FROM <{SDG}>")
    by_parameter = described(client, f"DESCRIBE <{thing}>", **{"default-graph-uri": SDG})
    assert set(by_clause) == set(by_parameter) == set(constructed(client, [thing], f"FROM <{SDG}>"))
    assert 5 < len(by_clause) < len(whole)
    found = described(client, f"DESCRIBE ?s FROM <{SDG}> FROM NAMED <{SDG}> {{ GRAPH ?g {{ ?s ?p '9.c' }} }}")
    assert set(found) == set(by_clause)
    over = described(client, f"DESCRIBE <{thing}> FROM <{SDG}>", **{"default-graph-uri": "urn:none"})
    assert len(over) == 0


def test_describe_follows_the_lists_that_a_thing_leads_to(client: TestClient) -> None:
    shape = f"SELECT ?s {{ GRAPH <{names.graph('shapes')}> {{ ?s <{names.SH}or> ?list FILTER(isIRI(?s)) }} }} ORDER BY ?s LIMIT 1"
    [(iri,)] = values(ask(client, shape))
    graph = described(client, f"DESCRIBE <{iri}>", **{"default-graph-uri": names.graph("shapes")})
    [head] = graph.objects(URIRef(iri), URIRef(names.SH + "or"))
    items = list(graph.items(head))
    assert len(items) >= 2
    assert graph.value(head, RDF.first) == items[0]


@pytest.mark.parametrize(
    ("query", "line", "column"),
    [
        ("DESCRIBE <urn:x> WHERE {\n ?s ?p }", 2, 8),
        ("DESCRIBE", 1, 9),
        ("DESCRIBE nope:x", 1, 10),
    ],
)  # fmt: skip
def test_an_error_in_a_describe_is_at_the_place_where_it_was_written(
    client: TestClient, query: str, line: int, column: int
) -> None:
    problem = problem_of(ask(client, query), 400)
    assert (problem["line"], problem["column"]) == (line, column)


def test_nothing_is_said_of_what_nobody_knows(client: TestClient) -> None:
    for query in ("DESCRIBE <urn:nobody>", "DESCRIBE ?s { ?s <urn:no> <urn:one> }", "DESCRIBE <urn:a> <urn:b>"):
        assert len(described(client, query)) == 0


# --- the columns of SELECT * ---

COLUMNS = [
    ("SELECT * { ?z a ?b . ?a ?c ?z }", "z b a c"),
    ("select distinct * where { ?z ?y ?x }", "z y x"),
    ("SELECT REDUCED * WHERE { ?z ?y ?x }", "z y x"),
    ("SELECT * FROM <urn:g> FROM <urn:h> WHERE { ?z ?y ?x }", "z y x"),
    ("SELECT * FROM NAMED <urn:g> { GRAPH ?g { ?z ?y ?x } }", "g z y x"),
    ("SELECT * { ?z ?y ?x { SELECT ?z ?a { ?z ?b ?a } } }", "z y x a"),
    ("SELECT * { ?z ?y ?x } VALUES (?w ?y) { (1 <urn:y>) }", "z y x w"),
    ("SELECT * { ?z a ?y } ORDER BY ?y ?z", "z y"),
    ("SELECT * { ?z ?y ?x } # ?c and { ?b", "z y x"),
    ("# ?a\nSELECT * { ?z '?b' ?y . $x ?y ?z # ?c\n }", "z y x"),
    ("SELECT * { $z $y ?x }", "z y x"),
    ("SELECT * { ?z ?y ?x BIND(1 AS ?a) }", "z y x a"),
    ("SELECT * { ?z ?y ?x OPTIONAL { ?z <urn:p> ?b } FILTER(?x != ?b) }", "z y x b"),
    ("SELECT * { FILTER EXISTS { ?e ?f ?z } ?z ?y ?x }", "z y x"),
    ("SELECT * { ?z ?y ?x MINUS { ?z ?b ?c } }", "z y x"),
    ("SELECT * { <urn:s> <urn:p> <urn:o> }", ""),
    ("SELECT * {}", ""),
    ("PREFIX e: <urn:e> SELECT * { ?z e:a\\#b ?y }", "z y"),
    ("SELECT ?b ?a { ?a a ?b }", "b a"),
]  # fmt: skip


@pytest.mark.parametrize(("query", "columns"), [(q.replace("'?b'", "<urn:b>"), c) for q, c in COLUMNS])
def test_the_columns_of_a_star_come_in_the_order_of_the_text(client: TestClient, query: str, columns: str) -> None:
    expected = columns.split()
    query += "" if "VALUES" in query or "ORDER" in query or "#" in query else " LIMIT 2"
    assert json.loads(ask(client, query).content)["head"]["vars"] == expected
    xml = ET.fromstring(ask(client, query, "application/sparql-results+xml").content)  # noqa: S314  (our own answer)
    assert [variable.get("name") for variable in xml.iter(RESULTS + "variable")] == expected
    heads = [ask(client, query, f"text/{kind}").text.splitlines() for kind in ("csv", "tab-separated-values")]
    assert next(csv.reader(io.StringIO((heads[0] or [""])[0])), []) == expected
    assert heads[1][0].split("\t") == ([f"?{name}" for name in expected] or [""])


def test_a_star_spelled_out_gives_the_rows_of_the_star(client: TestClient) -> None:
    star = ask(client, "SELECT DISTINCT * { ?z a ?b } ORDER BY ?z ?b LIMIT 500")
    spelled = ask(client, "SELECT DISTINCT ?z ?b { ?z a ?b } ORDER BY ?z ?b LIMIT 500")
    assert star.json() == spelled.json()
    assert len(values(star)) == 500


@pytest.mark.parametrize("path", ["/sparql?query=ASK%7B%7D", "/id/sdg/all", "/conformance.csv", "/none"])
def test_every_answer_says_how_to_cite_it(client: TestClient, release: Release, path: str) -> None:
    link = client.get(path).headers["link"]
    assert f'<{names.BASE}data/{release.name}>; rel="http://purl.org/dc/terms/isPartOf"' in link
    assert '<https://www.apache.org/licenses/LICENSE-2.0>; rel="license"' in link
    assert 'rel="describedby"' in link


# --- conditions, and whom they are for ---


def test_a_condition_is_for_who_reads_and_names_one_representation(client: httpx2.Client) -> None:
    query = "CONSTRUCT { <urn:a> <urn:b> 1 } {}"
    by_type = {
        accept: ask(client, query, accept).headers["etag"]
        for accept in ("text/turtle", "application/trig", "application/n-triples", "application/n-quads")
    }
    assert len({*by_type.values()}) == len(by_type)
    tag = by_type["text/turtle"]
    reply = client.get("/sparql", params={"query": query}, headers={"accept": "application/trig", "if-none-match": tag})
    assert reply.status_code == 200
    lines = [("accept", "text/turtle"), ("if-none-match", tag), ("if-none-match", '"other"')]
    assert client.get("/sparql", params={"query": query}, headers=lines).status_code == 304
    for name, value in (("if-none-match", tag), ("if-modified-since", "Sat, 01 Jan 2050 00:00:00 GMT")):
        headers = {"content-type": SPARQL_QUERY, "accept": "text/turtle", name: value}
        assert client.request("POST", "/sparql", content=query, headers=headers).status_code == 200
        assert client.request("QUERY", "/sparql", content=query, headers=headers).status_code == 304


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": f"{SPARQL_QUERY}; charset=iso-8859-1"}, 415),
        ({"content-type": f"{SPARQL_QUERY}; charset=UTF-8"}, 200),
        ({"content-type": SPARQL_QUERY, "content-encoding": "gzip"}, 415),
        ({"content-type": SPARQL_QUERY, "content-encoding": "identity"}, 200),
    ],
)
def test_a_body_in_another_encoding_is_415(client: httpx2.Client, headers: dict[str, str], status: int) -> None:
    assert client.post("/sparql", content="ASK {}", headers=headers).status_code == status


@pytest.mark.parametrize("timeout", ["1_0", "\u0663", "-1", "0", "inf", "nan", "1e999", "0x1", " 1"])
def test_a_timeout_that_is_no_number_of_seconds_is_400(client: httpx2.Client, timeout: str) -> None:
    assert "timeout" in problem_of(ask(client, "ASK {}", timeout=timeout), 400)["detail"]


def test_a_syntax_error_tells_its_reason_and_not_what_signs_might_follow(client: httpx2.Client) -> None:
    for query, words in (
        (
            "SELECT * {?s foo:bar ?o}",
            f'line 1, column 14: the prefix "foo:" is not declared: declare it with "PREFIX foo: <…>"; known here: {", ".join(names.PREFIXES)}.',
        ),
        ("SELECT ?x (1 AS ?x) {}", "line 1, column 23: Duplicated variable name in SELECT"),
        (
            "SELECT *\nWHERE { ?s ?p FILTER(1) }",
            'line 2, column 15: found "FILTER", expected an object: a variable, an IRI, a prefixed name, a string or a number.',
        ),
        (
            "ASK {} ; ASK {}",
            'line 1, column 8: found ";", expected the end of the query, or GROUP BY, HAVING, ORDER BY, LIMIT, OFFSET or VALUES.',
        ),
    ):
        assert problem_of(ask(client, query), 400)["detail"] == words


def test_a_condition_that_is_not_met_is_412(client: httpx2.Client) -> None:
    tag = ask(client, "ASK {}").headers["etag"]
    old, new = "Sat, 28 Nov 2020 00:00:00 GMT", "Sat, 01 Jan 2050 00:00:00 GMT"
    for headers, status in (
        ({"if-match": '"x"'}, 412),
        ({"if-match": f'"x", {tag}'}, 200),
        ({"if-match": tag, "if-unmodified-since": old}, 200),
        ({"if-unmodified-since": old}, 412),
        ({"if-unmodified-since": new}, 200),
        ({"if-unmodified-since": "yesterday"}, 200),
        ({"if-match": "*", "if-none-match": tag}, 304),
    ):
        assert client.get("/sparql", params={"query": "ASK {}"}, headers=headers).status_code == status, headers


def test_a_graph_that_is_named_twice_counts_once(client: httpx2.Client) -> None:
    graph = names.graph("shapes")
    query = "SELECT (COUNT(*) AS ?n) { ?s ?p ?o }"
    once, twice = (ask(client, query, **{"default-graph-uri": [graph] * number}) for number in (1, 2))
    assert once.json() == twice.json()


def test_the_form_of_json_ld_is_the_one_liked_best(client: httpx2.Client) -> None:
    query = "CONSTRUCT WHERE { ?s a ?o } LIMIT 1"
    base = "http://www.w3.org/ns/json-ld#"
    for likes, is_expanded in (
        (f'application/ld+json;profile="{base}expanded"', True),
        (f'application/ld+json;profile="{base}expanded";q=0.1, application/ld+json;q=0.9', False),
        (f'application/ld+json;q=0.5, application/ld+json;profile="{base}expanded";q=0', False),
        (f'application/ld+json;q=0.5, application/ld+json;profile="{base}expanded";q=0.5', True),
    ):
        assert isinstance(ask(client, query, likes).json(), list) is is_expanded, likes


def test_an_iri_that_looks_like_a_short_name_is_not_served_as_one(client: httpx2.Client) -> None:
    query = "CONSTRUCT { <itu:x> <urn:p> <schema:y> } {}"
    assert "begins like a name" in problem_of(ask(client, query, "application/ld+json"), 406)["detail"]
    assert ask(client, query, profile="expanded").json()[0]["@id"] == "itu:x"


def test_what_nobody_sees_or_says_twice(client: httpx2.Client) -> None:
    assert post(client, b"\xef\xbb\xbfASK {}", SPARQL_QUERY).status_code == 200
    assert problem_of(post(client, "query=ASK{}&release=xyz", FORM), 400)["detail"].startswith("Name the release")
    twice = [("content-type", SPARQL_QUERY), ("content-type", "text/plain")]
    assert client.post("/sparql", content="ASK {}", headers=twice).status_code == 400


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT ?x WHERE { BIND(<> AS ?x) }", "/sparql"),
        ("SELECT ?x WHERE { BIND(<#a> AS ?x) }", "/sparql#a"),
        ("SELECT ?x WHERE { BIND(<../id/wsis/C1> AS ?x) }", "/id/wsis/C1"),
        ("SELECT ?x WHERE { BIND(STR('urn:<y>') AS ?x) } # <y>", "urn:<y>"),
        ("BASE <z/> SELECT ?x WHERE { BIND(IRI('y') AS ?x) }", "/z/y"),
        ("BASE <http://e/> SELECT ?x WHERE { BIND(<y> AS ?x) }", "http://e/y"),
        ("PREFIX e: <v#> SELECT ?x WHERE { BIND(e:y AS ?x) }", "/v#y"),
        ("SELECT ?x WHERE { BIND(<http://e/?a#b> AS ?x) FILTER(1<2&&3>2) }", "http://e/?a#b"),
        ("CONSTRUCT { <a> <b> ?x } WHERE { BIND(<c> AS ?x) }", "/c"),
    ],
)
def test_relative_iris_of_a_query_have_the_address_of_the_endpoint_as_base(
    client: TestClient, query: str, expected: str
) -> None:  # the test "base_iri" of the W3C for the protocol
    for reply in (ask(client, query), post(client, query, SPARQL_QUERY), post(client, f"query={quote(query)}", FORM)):
        if query.startswith("CONSTRUCT"):
            [(subject, predicate, node)] = graph_of(reply)
            found = str(node)
            assert (str(subject), str(predicate)) == ("http://testserver/a", "http://testserver/b")
        else:
            [(found,)] = values(reply)
        assert found == urljoin("http://testserver/", expected)


def test_an_error_in_a_query_with_relative_iris_names_the_place_as_it_was_written(client: TestClient) -> None:
    reply = problem_of(ask(client, "SELECT * WHERE { <a> <b> ?x . ?y } "), 400)
    assert (reply["line"], reply["column"]) == (1, 34)
    described = graph_of(ask(client, "DESCRIBE <id/none> ?x WHERE { ?x a <https://w3id.org/itukg/ontology#Plan> }"))
    assert len(described) > 10
