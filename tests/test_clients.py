"""Other people's clients, at their defaults: what they send is understood as they mean it."""

import codecs
from pathlib import Path

import httpx2
import pyoxigraph as ox
import pytest
import rdflib
from conftest import run_command, wait_until_ready
from fastapi.testclient import TestClient
from rdflib.compare import to_isomorphic

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
