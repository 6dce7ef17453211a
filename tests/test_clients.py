"""Other people's clients, at their defaults: what they send is understood as they mean it."""

import codecs
from pathlib import Path

import pytest
from conftest import run_command
from fastapi.testclient import TestClient

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
