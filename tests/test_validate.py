"""Anyone's data is validated: in every way it may be sent, beside our data if wished, and whatever harm it means."""

import asyncio
import base64
import gzip
import html
import json
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx2
import pyoxigraph as ox
import pytest
from conftest import SERVED_CONTEXT, eventually, memory, processes, serving
from fastapi.testclient import TestClient
from rdflib import RDF, SH, Graph
from test_cli import Run, itukg, prints  # noqa: F401
from test_limits import assert_nobody_called, cheap, client_of, listener, served, settled_processes, wire  # noqa: F401
from test_sparql import ask, problem_of

from itukg import names
from itukg.conformance import REPORT_FORMATS
from itukg.corpus import Corpus
from itukg.errors import Overloaded
from itukg.formats import GRAPH_FORMATS, HTML
from itukg.rdf.parse import parse_rdf
from itukg.release.model import Release
from itukg.settings import Settings
from itukg.upload.context import ValidationContext, check_file
from itukg.upload.read import BODY_TYPES, FORM, RDF_TYPES, read
from itukg.upload.validator import MAX_BUFFERED_UPLOADS, SMALL_UPLOAD, Validator
from itukg.web.reports import ChosenFindings

ROOT = Path(__file__).parents[1]
SHACL = "@prefix e: <urn:e:> . @prefix owl: <http://www.w3.org/2002/07/owl#> . @prefix sh: <http://www.w3.org/ns/shacl#> .\n"
DATA = f"""@prefix itu: <{names.ITU}> .
@prefix skos: <{names.PREFIXES["skos"]}> .
<{names.THINGS}wsis/C1> a itu:ActionLine ; skos:notation "C12" .
"""
"""One violation: action lines go from C1 to C11."""
TURTLE = {"content-type": "text/turtle"}
JSON = {"content-type": "application/json"}

Row = dict[str, Any]


def said(rows: Row) -> Row:
    """A report without what tells one way of asking from another: its date, and the name of the file."""
    header = {**rows["header"], "date": None, "subject": None}
    return {**rows, "header": header, "findings": [{**f, "file": None} for f in rows["findings"]]}


def report(reply: httpx2.Response) -> Row:
    assert reply.status_code == 200, reply.text
    rows: Row = reply.json()
    assert rows["header"].get("date")
    return rows


def shapes_of(rows: Row) -> set[str]:
    return {finding["shape"].rpartition("#")[2] for finding in rows["findings"]}


# --- every way to send it ---


def test_raw_form_and_json_give_the_report_that_the_command_gives(
    client: TestClient,
    itukg: Run,  # noqa: F811
    tmp_path: Path,
) -> None:
    file = tmp_path / "data.ttl"
    file.write_text(DATA)
    content = file.read_bytes()
    coded = base64.b64encode(content).decode()
    sent: list[Row] = [
        {"content": content, "headers": TURTLE},
        {"files": {"data": ("data.ttl", content)}},
        {"files": {"data": ("data", content, "text/turtle")}},
        {"files": {"data": (None, DATA), "contentSyntax": (None, "text/turtle")}},
        {"json": {"contentToValidate": DATA, "contentSyntax": "text/turtle"}},
        {"json": {"contentToValidate": coded, "contentSyntax": "text/turtle", "embeddingMethod": "BASE64"}},
    ]
    found = [said(report(client.post("/validate?format=json", **each))) for each in sent]
    assert found[0]["verdict"] == "does not conform"
    assert [(f["value"], f["focusLabel"]) for f in found[0]["findings"]] == [("C12", None)]
    done = itukg("check", file, "--format", "json")
    assert done.returncode == 1
    assert found == [said(json.loads(done.stdout))] * 6


def test_every_syntax_of_a_report_is_to_be_had_by_accept_and_format(client: TestClient) -> None:
    assert len(REPORT_FORMATS) == 13
    for syntax in REPORT_FORMATS:
        asked: Row = (
            {"headers": TURTLE | {"accept": syntax.media_type}}
            if syntax.name < "nt"
            else {"headers": TURTLE, "params": {"format": syntax.name}}
        )
        reply = client.post("/validate", content=DATA, **asked)
        assert reply.status_code == 200, reply.text
        assert reply.headers["content-type"].partition(";")[0] == syntax.media_type
        packed = reply.content.startswith((b"PK", b"%PDF-"))
        assert packed or b"ActionLine-notation" in reply.content
        assert reply.headers["access-control-allow-origin"] == "*"
    problem_of(client.post("/validate", content=DATA, headers=TURTLE | {"accept": "image/png"}), 406)


def test_a_profile_and_a_syntax_may_be_named_in_the_body_too(client: TestClient) -> None:
    body = {"contentToValidate": DATA, "contentSyntax": "text/turtle"}
    chosen = client.post("/validate", json=body | {"validationType": "evidence", "reportSyntax": "application/json"})
    assert (report(chosen)["verdict"], report(chosen)["selection"]) == ("nothing-checked", {"profile": ["evidence"]})
    form = {"data": ("a.ttl", DATA), "profile": (None, "structure"), "format": (None, "json")}
    assert report(client.post("/validate", files=form))["counts"]["Violation"] == 1
    addressed = client.post("/validate?format=json&profile=evidence&profile=budget", content=DATA, headers=TURTLE)
    assert report(addressed)["selection"] == {"profile": ["evidence", "budget"]}


def test_every_syntax_of_rdf_is_read(client: TestClient) -> None:
    things = {
        "text/turtle": DATA,
        "application/trig": "<urn:g> { <urn:a> a <urn:b> }",
        "application/n-triples": "<urn:a> <urn:b> <urn:c> .",
        "application/n-quads": "<urn:a> <urn:b> <urn:c> <urn:g> .",
        "application/rdf+xml": f'<rdf:RDF xmlns:rdf="{names.RDF_TYPE.removesuffix("type")}"/>',
        "application/ld+json": '{"@id": "urn:a", "@type": "urn:b"}',
    }
    xml = dict.fromkeys(("application/xml", "text/xml", "application/owl+xml"), things["application/rdf+xml"])
    things |= xml
    assert set(things) == set(RDF_TYPES)
    for media_type, text in things.items():
        reply = client.post("/validate?format=json", content="\ufeff" + text, headers={"content-type": media_type})
        assert report(reply)["verdict"] == ("does not conform" if text == DATA else "nothing-checked")


def test_what_we_serve_is_read_back_by_our_own_context(client: TestClient) -> None:
    compacted, plain = (client.get(f"/id/sp-2024-2027{suffix}") for suffix in (".jsonld", ".ttl"))
    assert SERVED_CONTEXT in compacted.text
    both = [
        report(client.post("/validate?format=json", files={"data": (f"a{suffix}", reply.content)}))
        for suffix, reply in ((".jsonld", compacted), (".ttl", plain))
    ]
    assert len(both[0]["findings"]) > 3
    assert both[0]["header"]["data"] == both[1]["header"]["data"]
    assert said(both[0]) == said(both[1])


# --- own shapes ---

OWN = SHACL + (
    "e:Own a sh:NodeShape ; sh:targetSubjectsOf e:p ;"
    ' sh:property [ sh:path e:p ; sh:maxCount 1 ; sh:message "Has several: keep one." ] .'
)


def test_shapes_that_are_sent_are_used_instead_of_ours(client: TestClient) -> None:
    data = DATA + "<urn:e:x> <urn:e:p> 1 , 2 ."
    files = [("data", ("a.ttl", data)), ("shapes", ("s.ttl", OWN))]
    more = (
        "shapes",
        ("more.nt", "<urn:e:T> a <http://www.w3.org/ns/shacl#NodeShape> .".replace(" a ", f" <{names.RDF_TYPE}> ")),
    )
    rules = {"ruleSet": OWN, "ruleSyntax": "text/turtle"}
    body = {"contentToValidate": data, "contentSyntax": "text/turtle", "externalRules": [rules]}
    replies = [
        client.post("/validate?format=json", files=files),
        client.post("/validate?format=json", files=[*files, more]),
        client.post("/validate?format=json", json=body),
    ]
    for rows in map(report, replies):
        [finding] = rows["findings"]
        assert (finding["shape"], finding["focus"], finding["path"]) == ("urn:e:Own", "urn:e:x", "urn:e:p")
        assert (finding["message"], finding["cure"]) == ("Has several: keep one.", "keep one.")
        assert rows["header"]["profiles"] == []


def test_the_same_upload_gives_the_same_report_whatever_has_no_name_in_it(client: TestClient) -> None:
    shapes = SHACL + '[] sh:targetSubjectsOf e:p ; a sh:NodeShape ; sh:closed true ; sh:message "Is more: less." .'
    files = [("data", ("a.ttl", "[] <urn:e:p> [] .")), ("shapes", ("s.ttl", shapes))]
    first, second = (report(client.post("/validate?format=json", files=files)) for _ in range(2))
    [finding] = first["findings"]
    assert said(first) == said(second)
    graph = Graph().parse(data=client.post("/validate?format=nt", files=files).content, format="nt")
    result = graph.value(predicate=RDF.type, object=SH.ValidationResult)
    # What has no name in the data is not what has none in the shapes.
    assert graph.value(result, SH.sourceShape) not in (graph.value(result, SH.focusNode), graph.value(result, SH.value))
    assert finding["shape"] not in (finding["focus"], finding["value"])


# --- beside our data ---


def test_a_plan_that_is_checked_alone_finds_the_schemes_that_it_links_to(corpus: Corpus) -> None:
    context = ValidationContext.of_corpus(corpus)
    for plan in ("buap-2018-2021", "sp-2020-2023"):
        found = check_file(context, corpus.root / "data" / "plans" / f"{plan}.ttl")
        assert found.conforms, found.findings[:3]
        assert found.header.plans == (plan,)
        assert len(found.findings) > 40


def quads(text: str, graph: str) -> list[ox.Quad]:
    prefixes = f"@prefix itu: <{names.ITU}> . @prefix e: <urn:e:> . @prefix sh: <{names.SH}> .\n"
    return list(parse_rdf(prefixes.encode() + text.encode(), ox.RdfFormat.TURTLE, names.graph(graph)))


PARTS = """e:S a sh:NodeShape ; sh:targetClass itu:Plan ;
    sh:sparql [ sh:select "SELECT $this ?value WHERE { ?value <urn:e:of> $this }" ] .
e:T a sh:NodeShape ; sh:targetClass e:Other ; sh:targetObjectsOf e:to ; sh:property [ sh:path e:name ; sh:minCount 1 ] ."""


def test_findings_are_about_the_upload_and_a_plan_of_ours_is_replaced_by_its_version() -> None:
    ours = (
        quads("e:plan a itu:Plan . e:a a e:Thing ; e:of e:plan . e:b a e:Thing ; e:of e:plan .", "plan")
        + quads("e:o a e:Other ; e:to e:nobody . e:a e:to e:known . e:known a e:Thing .", "other")
        + quads(PARTS, "shapes")
    )
    upload = quads("e:plan a itu:Plan . e:a a e:Thing ; e:of e:plan ; e:to e:mine .", "checked")
    found = ValidationContext(ours, frozenset()).check(upload, "x", with_release=True)
    # The thing that only our version has is gone.
    assert {(f.focus, f.value) for f in found.findings} == {("urn:e:plan", "urn:e:a"), ("urn:e:mine", None)}
    results = Graph().parse(data=found.graph, format="nt")
    assert len(set(results.objects(None, SH.result))) == len(set(results.subjects(SH.focusNode))) == 2


PLAN = f"""@prefix itu: <{names.ITU}> .
@prefix rdfs: <{names.PREFIXES["rdfs"]}> .
@prefix skos: <{names.PREFIXES["skos"]}> .
<{names.THINGS}lineage/x> itu:subject <{names.THINGS}buap-2018-2021/output/2.1> ; itu:object <{names.THINGS}wsis/C2> .
"""


def test_with_the_release_links_into_our_data_lead_somewhere_and_nothing_else_is_reported(client: TestClient) -> None:
    alone, beside = (
        report(client.post(f"/validate?format=json{more}", content=PLAN, headers=TURTLE))
        for more in ("", "&with-release=1")
    )
    assert [f["focus"] for f in alone["findings"]] == [f"{names.THINGS}buap-2018-2021/output/2.1"]
    assert (beside["findings"], beside["verdict"], beside["header"]["plans"]) == ([], "nothing-checked", [])


def test_a_plan_that_the_upload_describes_is_checked_without_our_version_of_it(
    client: TestClient,
    itukg: Run,  # noqa: F811
    tmp_path: Path,
) -> None:
    text = (ROOT / "data/plans/sp-2024-2027.ttl").read_text()
    file = tmp_path / "plan.ttl"
    file.write_text(text.replace('rdfs:label "ITU Strategic Plan 2024-2027"@en', 'rdfs:label "Another name"@en'))
    assert file.read_text() != text
    found = report(client.post("/validate?format=json&with-release=1", files={"data": ("plan.ttl", file.read_bytes())}))
    served = client.get("/conformance.json").json()["findings"]
    ours = {f["id"] for f in served if f["plan"] == "sp-2024-2027"}
    assert len(ours) > 10
    assert {f["id"] for f in found["findings"] if f["plan"]} == ours
    assert {s["plan"] for c in found["coverage"] for s in c["plans"]} == {"sp-2024-2027"}
    assert said(json.loads(prints(itukg("check", file, "--with-release", "--format", "json")))) == said(found)


# --- what is bad is said to be bad ---

FORM_HEAD = {"content-type": f"{FORM}; boundary=x"}
DOCTYPE = f'<?xml version="1.0"?>\n<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><rdf:RDF xmlns:rdf="{names.RDF_TYPE[:-4]}"/>'
BAD: dict[str, tuple[Row, int, tuple[str, ...]]] = {
    "turtle": ({"content": DATA + "\n<urn:a> <urn:b> .", "headers": TURTLE}, 400, ("line 5, column 17",)),
    "file name": ({"files": {"data": ("a.ttl", "<urn:a>\n")}}, 400, ("a.ttl, line 2",)),
    "shapes": ({"files": {"data": ("a.ttl", DATA), "shapes": ("s.ttl", "x")}}, 400, ("s.ttl, line 1",)),
    "json-ld": ({"content": '{"@id":\n 1', "headers": {"content-type": "application/ld+json"}}, 400, ("line 2",)),
    "xml cut off": (
        {"content": f'<rdf:RDF xmlns:rdf="{names.RDF_TYPE[:-4]}">\n<rdf:Description>', "headers": {"content-type": "application/rdf+xml"}},
        400,
        ("line 2", "no element found"),
    ),
    "doctype": ({"content": DOCTYPE, "headers": {"content-type": "application/rdf+xml"}}, 400, ("DOCTYPE",)),
    "doctype in utf-16": (
        {"content": DOCTYPE.encode("utf-16"), "headers": {"content-type": "application/rdf+xml"}}, 400, ("DOCTYPE",)
    ),
    "context": (
        {"content": '{"@context": "https://schema.org/", "@id": "urn:a"}', "headers": {"content-type": "application/ld+json"}},
        400,
        ("none is fetched", names.CONTEXT),
    ),
    "our context and another": (
        {"content": json.dumps({"@context": [names.CONTEXT, {"a": {"@id": "urn:b", "@context": "http://a/"}}], "a": {}}),
         "headers": {"content-type": "application/ld+json"}},
        400,
        ("none is fetched",),
    ),
    "rdf 1.2": ({"content": "<urn:a> <urn:b> <<( <urn:a> <urn:b> 1 )>> .", "headers": TURTLE}, 400, ("about triples",)),
    "utf-16": ({"content": DATA.encode("utf-16"), "headers": TURTLE}, 400, ("UTF-8",)),
    "no json": ({"content": b'{"a"', "headers": JSON}, 400, ("not JSON", "line 1, column 5")),
    "deep json": ({"content": b"[" * 100_000, "headers": JSON}, 400, ("recursion",)),
    "a list": ({"json": []}, 400, ("must be an object", "contentToValidate")),
    "no content": ({"json": {"contentSyntax": "text/turtle"}}, 400, ("contentToValidate is missing",)),
    "a number": ({"json": {"contentToValidate": 1}}, 400, ("must be a string",)),
    "url": ({"json": {"contentToValidate": "http://a/", "embeddingMethod": "URL"}}, 400, ("fetches nothing",)),
    "method": ({"json": {"contentToValidate": "x", "embeddingMethod": "FTP"}}, 400, ('"FTP"', "STRING, BASE64")),
    "base64": ({"json": {"contentToValidate": "é", "embeddingMethod": "BASE64"}}, 400, ("not BASE64",)),
    "query": ({"json": {"contentToValidate": "x", "contentQuery": "ASK {}"}}, 400, ('"contentQuery"',)),
    "imports": ({"json": {"contentToValidate": "x", "loadImports": True}}, 400, ('"loadImports"',)),
    "rules": ({"json": {"contentToValidate": "x", "externalRules": {"ruleSet": "x"}}}, 400, ("a list",)),
    "rules by url": (
        {"json": {"contentToValidate": "x", "externalRules": [{"ruleSet": "http://a/", "embeddingMethod": "URL"}]}},
        400,
        ("fetches nothing", "ruleSet"),
    ),
    "json without syntax": ({"json": {"contentToValidate": DATA}}, 415, ("text/turtle", '"nothing"')),
    "text without syntax": ({"files": {"data": (None, DATA)}}, 415, ("text/turtle",)),
    "word file": ({"files": {"data": ("a.docx", b"PK")}}, 415, ("text/turtle", "a.docx")),
    "no data": ({"files": {"other": ("a.ttl", DATA)}}, 400, ('0 documents in its field "data"',)),
    "two data": ({"files": [("data", ("a.ttl", DATA)), ("data", ("b.ttl", DATA))]}, 400, ("2 documents",)),
    "no boundary": ({"content": b"x", "headers": {"content-type": FORM}}, 400, ("boundary",)),
    "no form": ({"content": b"x", "headers": FORM_HEAD}, 400, (FORM,)),
    "many parts": ({"files": [("x", (None, "1"))] * 200}, 413, ("100 parts",)),
    "media type": ({"content": DATA, "headers": {"content-type": "text/plain"}}, 415, ("multipart/form-data", "text/plain")),
    "no media type": ({"content": DATA}, 415, ('"nothing"',)),
    "gzip": ({"content": b"\x1f\x8b", "headers": TURTLE | {"content-encoding": "gzip"}}, 415, ("compressed",)),
    "profile": ({"content": DATA, "headers": TURTLE, "params": {"profile": "none"}}, 404, ("known: budget",)),
    "severity": ({"content": DATA, "headers": TURTLE, "params": {"severity": "Grave"}}, 400, ("Violation",)),
    "with-release": ({"content": DATA, "headers": TURTLE, "params": {"with-release": "yes"}}, 400, ('"yes"',)),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_an_upload_that_cannot_be_read_is_refused_with_a_reason(client: TestClient, name: str) -> None:
    assert len(BAD) == 37
    sent, status, words = BAD[name]
    problem = problem_of(client.post("/validate", **sent), status)
    assert [word for word in words if word not in problem["detail"]] == [], problem["detail"]
    if found := re.search(r"line (\d+), column (\d+)", problem["detail"]):
        assert (problem["line"], problem["column"]) == (int(found[1]), int(found[2]))


REFUSED = {
    "SERVICE": 'sh:sparql [ sh:select "SELECT $this WHERE {{ SERVICE <{other}> {{ ?s ?p ?o }} }}" ]',
    "cannot use SERVICE": 'sh:sparql [ sh:select "SELECT $this WHERE {{ SERVICE SILENT <{other}> {{ ?s ?p ?o }} }}" ]',
    "sh:rule": 'sh:rule [ a sh:SPARQLRule ; sh:construct "CONSTRUCT {{ $this e:new 1 }} WHERE {{}}" ]',
    "sh:js": 'sh:js [ sh:jsLibrary [ sh:jsLibraryURL "{other}" ] ; sh:jsFunctionName "f" ]',
    "SPARQL parse error": 'sh:sparql [ sh:select "SELECT $this WHERE {{" ]',
    'sh:pattern "(" is no regular expression of XPath': 'sh:property [ sh:path e:p ; sh:pattern "(" ]',
    "RDF list": "sh:or _:l . _:l <http://www.w3.org/1999/02/22-rdf-syntax-ns#rest> _:l ; e:x e:y",
}


@pytest.mark.parametrize("words", REFUSED)
def test_shapes_that_are_not_applied_are_refused_with_a_reason(
    client: TestClient,
    listener: socket.socket,  # noqa: F811
    words: str,
) -> None:
    assert len(REFUSED) == 7
    other = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    shapes = f"{SHACL}e:S a sh:NodeShape ; sh:targetSubjectsOf e:p ; {REFUSED[words].format(other=other)} ."
    files = {"data": ("a.ttl", "<urn:e:x> <urn:e:p> 1 ."), "shapes": ("s.ttl", shapes)}
    problem = problem_of(client.post("/validate", files=files), 400)
    assert problem["type"].endswith("/shapes-refused")
    assert words.lower() in problem["detail"].lower()
    assert_nobody_called(listener)


def test_what_an_upload_names_is_neither_fetched_nor_read(
    client: TestClient,
    listener: socket.socket,  # noqa: F811
) -> None:
    here = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    imports = f"<urn:o> a owl:Ontology ; owl:imports <{here}> , <file:///etc/passwd> .\n"
    query = f"SELECT $this ?value FROM <file:///etc/passwd> FROM <{here}> WHERE {{ ?s ?p ?value }}"  # noqa: S608
    shapes = SHACL + imports + f'e:S a sh:NodeShape ; sh:targetSubjectsOf e:p ; sh:sparql [ sh:select "{query}" ] .'
    data = SHACL + imports + f"<urn:e:x> e:p 1 ; <{names.PREFIXES['rdfs']}seeAlso> <file:///etc/passwd> ."
    for with_release in ("0", "1"):
        files = {"data": ("a.ttl", data), "shapes": ("s.ttl", shapes), "with-release": (None, with_release)}
        reply = client.post("/validate?format=json", files=files)
        assert reply.status_code in (200, 400)
        assert "root:" not in reply.text
    assert_nobody_called(listener)


NAMES = {
    "../../etc/passwd.ttl": "passwd.ttl",
    "a%0D%0AX-Evil: 1.ttl": "a%0D%0AX-Evil: 1.ttl",  # as browsers send it
    "<script>alert(1).ttl": "<script>alert(1).ttl",
    "é" * 300 + ".ttl": "é" * 96 + ".ttl",
}


def test_a_name_of_a_file_is_but_words(client: TestClient) -> None:
    for name, subject in NAMES.items():
        body = f'--x\r\nContent-Disposition: form-data; name="data"; filename="{name}"\r\n\r\n{DATA}\r\n--x--\r\n'
        assert read(body.encode(), FORM_HEAD["content-type"], {}).name == subject
    files = {"data": ("<script>alert(1).ttl", DATA)}
    assert "<script>" not in client.post("/validate?format=html", files=files).text


# --- what means harm ---

CHAIN = [f"<urn:e:x{i}> <urn:e:p> <urn:e:x{i + 1}> , '{'a' * 60}{i}' .\n" for i in range(3000)]
PART = "{{ {} FILTER(CONCAT(STR(?c0), STR(?c3)) = ?a0) }}"
UNIONS = " UNION ".join(PART.format(" . ".join(f"?a{i} ?b{i} ?c{i}" for i in range(n))) for n in (4, 5, 6))
CROSS = "?a ?b ?c . ?d ?e ?f . BIND(CONCAT(STR(?a), STR(?d)) AS ?value)"
BOMBS = {
    "unions": (60, f'sh:sparql [ sh:select "SELECT $this WHERE {{ {UNIONS} }}" ]', 504, "time-limit"),
    "memory": (3000, f'sh:sparql [ sh:select "SELECT $this ?value WHERE {{ {CROSS} }} ORDER BY ?value" ]', 400, "memory-limit"),
    # The engine itself bounds how far a pattern steps back.
    "pattern": (3000, 'sh:property [ sh:path e:p ; sh:pattern "^(?:(a+)+\\\\1)+b$" ]', 400, "shapes-refused"),
}  # fmt: skip


@pytest.fixture(scope="module")
def limited(release: Release, home: Path) -> Iterator[serving]:
    """A server with little memory for an upload."""
    yield from validating(release, home, memory=200_000_000)


@pytest.fixture(scope="module")
def hasty(release: Release, home: Path) -> Iterator[serving]:
    """A server with little time for an upload."""
    yield from validating(release, home, validation_timeout=5)


def validating(release: Release, home: Path, **settings: float) -> Iterator[serving]:
    """Run a server that has validated once: what it loads for that may take longer than an upload may."""
    for running in served(release, home, limit_violations=0, **settings):
        with client_of(running) as client:
            eventually(lambda: client.post("/validate", content=DATA, headers=TURTLE).status_code == 200, "none", 60)
        yield running


def shapes_of_bomb(name: str) -> str:
    return f"{SHACL}e:S a sh:NodeShape ; sh:targetSubjectsOf e:p ; {BOMBS[name][1]} ."


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_ends_with_a_problem_and_a_query_is_answered_beside_it(
    request: pytest.FixtureRequest, name: str
) -> None:
    assert len(BOMBS) == 3
    lines, _, status, kind = BOMBS[name]
    limited: serving = request.getfixturevalue("hasty" if kind == "time-limit" else "limited")
    files = {"data": ("a.ttl", "".join(CHAIN[:lines])), "shapes": ("s.ttl", shapes_of_bomb(name))}
    with client_of(limited) as client, ThreadPoolExecutor() as pool:
        settled = settled_processes(limited)
        running = pool.submit(client.post, "/validate", files=files)
        eventually(lambda: len(processes(limited.process.pid)) > settled or running.done(), "it does not run")
        assert ask(client, cheap()).status_code == 200
        assert problem_of(running.result(), status)["type"].endswith(f"/{kind}")
        eventually(lambda: len(processes(limited.process.pid)) == settled, "a worker is left")


def test_a_form_over_its_time_limit_comes_back_with_what_was_typed(hasty: serving) -> None:
    typed = "".join(CHAIN[:60])
    shapes = {"shapes": ("s.ttl", shapes_of_bomb("unions"))}
    with client_of(hasty) as client:
        given = {"data": typed, "contentSyntax": "text/turtle"}
        reply = client.post("/validate", data=given, files=shapes, headers={"accept": "text/html"})
    assert reply.status_code == 504 and "No report within" in reply.text
    area = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", reply.text, re.DOTALL)
    assert area and html.unescape(area[1]).split() == typed.split()


def test_an_upload_is_checked_beside_bombs_of_others(limited: serving) -> None:
    with client_of(limited) as client, ExitStack() as stack:
        settled = settled_processes(limited)
        for _ in range(2):
            stack.enter_context(wire(limited, request_of_bomb("unions")))
        eventually(lambda: len(processes(limited.process.pid)) > settled, "they do not run")
        assert client.post("/validate", content=DATA, headers=TURTLE).status_code == 200
        assert len(processes(limited.process.pid)) > settled
    eventually(lambda: len(processes(limited.process.pid)) == settled, "a worker is left")


def test_pdfs_of_disconnected_clients_take_no_memory_of_the_server(limited: serving) -> None:
    head = b"GET /conformance.pdf?q=%d HTTP/1.1\r\nHost: x\r\n\r\n"
    with client_of(limited) as client:
        assert client.get("/conformance.pdf").content.startswith(b"%PDF-")
        settled, before = settled_processes(limited), memory(limited.process.pid)
        for number in range(10):
            with wire(limited, head % number):
                pass
        assert ask(client, cheap()).status_code == 200
        eventually(lambda: len(processes(limited.process.pid)) == settled, "a worker is left")
        assert client.get("/conformance.pdf?q=none").content.startswith(b"%PDF-")
        assert memory(limited.process.pid) - before < 50_000_000


@pytest.mark.parametrize(
    "content",
    [
        b"<urn:a> <urn:b> " + b"(" * 200_000 + b")" * 200_000 + b" .",
        b"<urn:c0> rdfs:subClassOf itu:Output .\n" + b"".join(b"<urn:c%d> rdfs:subClassOf <urn:c%d> .\n" % (i + 1, i) for i in range(5000)),
    ],
    ids=["deep lists", "a long line of classes"],
)  # fmt: skip
def test_data_that_needs_too_much_is_refused_with_a_reason(limited: serving, content: bytes) -> None:
    prefixes = f"@prefix itu: <{names.ITU}> .\n@prefix rdfs: <{names.PREFIXES['rdfs']}> .\n".encode()
    with client_of(limited) as client:
        reply = client.post("/validate", content=prefixes + content, headers=TURTLE)
        assert problem_of(reply, 400)["type"].endswith("/memory-limit")


@pytest.mark.parametrize("number", ["1e999999999", "007"])
def test_a_number_is_reported_as_it_is_spelled(limited: serving, number: str) -> None:
    with client_of(limited) as client:
        data = f'<urn:a> <urn:number> "{number}"^^<{names.PREFIXES["xsd"]}decimal> .'
        shapes = f"""@prefix sh: <{names.SH}> . <urn:Shape> a sh:NodeShape ; sh:targetNode <urn:a> ;
            sh:property [ sh:path <urn:number> ; sh:nodeKind sh:IRI ; sh:message "No IRI." ] ."""
        files = {"data": ("a.ttl", data), "shapes": ("s.ttl", shapes)}
        reply = client.post("/validate?format=json", files=files)
        assert reply.status_code == 200, reply.text
        assert [finding["value"] for finding in reply.json()["findings"]] == [number]


def test_fifty_megabytes_are_413_before_they_are_read_and_wherever_they_end(limited: serving) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(50):
            yield b"#" * 1_000_000

    head = b"POST /validate HTTP/1.1\r\nHost: x\r\nContent-Type: text/turtle\r\nContent-Length: 50000000\r\n\r\n"
    with wire(limited, head) as opened:
        assert b" 413 " in opened.recv(1000)
    with client_of(limited) as client:
        try:
            reply = client.post("/validate", content=pieces(), headers=TURTLE)
        except httpx2.WriteError:  # it was cut off while it sent
            return
        assert "10000000 bytes" in problem_of(reply, 413)["detail"]


def test_a_body_that_does_not_come_is_408_and_leaves_nothing(hasty: serving) -> None:
    settled = settled_processes(hasty)
    head = b"POST /validate HTTP/1.1\r\nHost: x\r\nContent-Type: text/turtle\r\nContent-Length: 500\r\n\r\n<urn:a>"
    with wire(hasty, head) as opened:
        assert b" 408 " in opened.recv(1000)
    assert len(processes(hasty.process.pid)) == settled


def request_of_bomb(name: str) -> bytes:
    rules = {"ruleSet": shapes_of_bomb(name), "ruleSyntax": "text/turtle"}
    data = "".join(CHAIN[: BOMBS[name][0]])
    sent = {"contentToValidate": data, "contentSyntax": "text/turtle", "externalRules": [rules]}
    body = json.dumps(sent).encode()
    fields = ("Host: x", "Content-Type: application/json", f"Content-Length: {len(body)}", "", "")
    return "\r\n".join(("POST /validate HTTP/1.1", *fields)).encode() + body


def test_a_client_that_disconnects_releases_its_worker(limited: serving) -> None:
    settled = settled_processes(limited)
    with wire(limited, request_of_bomb("unions")):
        eventually(lambda: len(processes(limited.process.pid)) > settled, "it does not run")
    with client_of(limited) as client:
        eventually(lambda: len(processes(limited.process.pid)) == settled, "a worker is left")
        assert 'outcome="broken off"}' in client.get("/metrics").text


def test_an_upload_that_finds_every_slot_taken_waits_or_is_refused_with_a_time_to_retry(release: Release) -> None:
    async def crowd() -> None:
        validator = Validator(release.path, Settings(queue=1, queue_client=1))
        later = time.monotonic() + 20
        places = [validator.slot("a", None, later) for _ in range(MAX_BUFFERED_UPLOADS // 2)]
        for place in places:
            await place.__aenter__()
        waiting = validator.slot("a", SMALL_UPLOAD + 1, later)
        turn = asyncio.create_task(waiting.__aenter__())
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await validator.slot("a", None, later).__aenter__()
        for other in (validator.slot("b", None, later), validator.slot("a", SMALL_UPLOAD, later)):
            await asyncio.wait_for(other.__aenter__(), 20)
        await places[0].__aexit__(None, None, None)
        await turn
        await validator.close()

    asyncio.run(crowd())


# --- the page and the description ---


class Page(HTMLParser):
    """The fields of a page's form, with the values that a browser sends, and all elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def all(self, tag: str, key: str) -> list[str | None]:
        return [attributes[key] for name, attributes in self.elements if name == tag and key in attributes]


def form_of(**texts: str) -> bytes:
    """A form as a browser sends it, without files: those have no name and nothing in them."""
    file, text = '; filename=""\r\nContent-Type: application/octet-stream', ""
    fields = [("data", file, ""), *((name, text, value) for name, value in texts.items()), ("shapes", file, "")]
    parts = (
        f'--x\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{value}\r\n' for name, more, value in fields
    )
    return "".join(parts).replace("\n", "\r\n").replace("\r\r", "\r").encode() + b"--x--\r\n"


BROWSER = FORM_HEAD | {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def test_the_page_sends_a_file_or_text_with_a_profile_and_own_shapes_and_runs_nothing(client: TestClient) -> None:
    reply = client.get("/validate")
    page = Page(reply.text)
    assert reply.headers["content-type"].startswith(HTML.media_type)
    assert {"iframe"}.isdisjoint(tag for tag, _ in page.elements)
    assert all(source.startswith("/assets/") for source in page.all("script", "src") if source)
    assert (page.all("form", "action")[-1], page.all("form", "enctype")) == ("/validate", [FORM])
    profiles = client.get("/conformance.json").json()["header"]["profiles"]
    radios = [attributes for tag, attributes in page.elements if tag == "input" and attributes.get("type") == "radio"]
    assert {each["value"] for each in radios} == {"", *(profile["name"] for profile in profiles)}
    assert [each["value"] for each in radios if "checked" in each] == [""]
    assert {"data", "with-release", "shapes"} < {*page.all("input", "name")}
    assert {*page.all("option", "value")} == {
        *(syntax.media_type for syntax in GRAPH_FORMATS),
        *(syntax.name for syntax in REPORT_FORMATS),
    }
    labelled = {*page.all("label", "for")}
    assert {"text", "syntax", "data", "shapes", "format"} <= labelled
    body = form_of(data=DATA, contentSyntax="text/turtle", profile="", format="html")
    report_page = client.post("/validate", content=body, headers=BROWSER)
    assert "ActionLine-notation" in report_page.text
    assert "The data does not conform." in report_page.text
    # A report that is not served has no other parts to lead to.
    assert not [link for link in Page(report_page.text).all("a", "href") if link and "/conformance?" in link]
    assert "default-src 'none'" in report_page.headers["content-security-policy"]


def test_a_profile_may_be_chosen_on_the_page_by_its_address(client: TestClient) -> None:
    page = Page(client.get("/validate?profile=preparation").text)
    checked = [each["value"] for tag, each in page.elements if tag == "input" and "checked" in each]
    assert checked == ["preparation"]


DRAFT = f"""@prefix itu: <{names.ITU}> .
@prefix rdfs: <{names.PREFIXES["rdfs"]}> .
@prefix skos: <{names.PREFIXES["skos"]}> .
<{names.THINGS}draft> a itu:Plan ; rdfs:label "A draft"@en ; skos:notation "draft" .
<{names.THINGS}draft/output/1> a itu:Output ; itu:plan <{names.THINGS}draft> ; skos:notation "1" ;
    rdfs:label "Skills <for> all"@en ; itu:contributesToSDGTarget <{names.SDG}4.4> .
"""


def test_the_answer_says_first_whether_a_draft_conforms_then_why_not_and_what_each_rule_looked_at(
    client: TestClient,
) -> None:
    body = form_of(data=DRAFT, contentSyntax="text/turtle", profile="preparation", format="html")
    reply = client.post("/validate", content=body, headers=BROWSER | {"accept-encoding": "gzip"})
    rows = client.post("/validate?format=json&profile=preparation", content=DRAFT, headers=TURTLE).json()
    assert reply.headers["content-encoding"] == "gzip"
    assert len(gzip.compress(reply.content)) < 25_000
    page = reply.text
    at = [page.index(words) for words in ("The data does not conform.", 'class="finding"', "What each rule looked at")]
    assert at == sorted(at)
    assert len(rows["findings"]) > 5
    for finding in rows["findings"]:
        assert f'<article class="finding" id="{finding["id"]}">' in page
        assert html.escape(finding["cure"][1:], quote=False) in page.replace("&#34;", '"').replace("&#39;", "'")
    assert "Skills &lt;for&gt; all" in page
    looked = {rule["label"]: rule["nodes"] for rule in rows["rules"] if rule["nodes"]}
    table = dict(re.findall(r'>([^<>]+)</a></th><td><span class="severity.*?<td class="number">(\d+)</td>', page))
    assert {label: int(count) for label, count in table.items()} == looked
    assert f"{len([rule for rule in rows['rules'] if not rule['nodes']])} rules had nothing to look at" in page


def test_a_form_that_cannot_be_read_comes_back_with_what_was_typed_and_what_is_missing(client: TestClient) -> None:
    kept = {"contentSyntax": "application/trig", "profile": "preparation", "with-release": "1", "format": "csv"}
    broken = DRAFT.replace('"A draft"', '"A draft')
    for text, words in (("", "No data was sent"), (broken, "line 4, column")):
        reply = client.post("/validate", content=form_of(data=text, **kept), headers=BROWSER)
        assert (reply.status_code, reply.headers["content-type"].partition(";")[0]) == (400, HTML.media_type)
        assert reply.headers["cache-control"] == "no-store"
        page = Page(reply.text)
        assert "Nothing was validated." in reply.text
        assert words in reply.text
        checked = [each["value"] for tag, each in page.elements if tag == "input" and "checked" in each]
        assert checked == ["preparation", "1"]
        selected = [each["value"] for tag, each in page.elements if tag == "option" and "selected" in each]
        assert selected == ["application/trig", "csv"]
        area = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", reply.text, re.DOTALL)
        assert area and html.unescape(area[1]).split() == text.split()
    assert "<mark>4  " in reply.text  # the line that cannot be read
    # A program, which names no preference for pages, gets the problem.
    problem_of(client.post("/validate", content=form_of(data=""), headers=FORM_HEAD), 400)
    both = form_of(data=DATA).replace(b'filename=""', b'filename="a.ttl"', 1)
    assert "Both a text and the file a.ttl" in client.post("/validate", content=both, headers=BROWSER).text


def test_a_report_in_a_file_is_complete_in_itself(
    itukg: Run,  # noqa: F811
    tmp_path: Path,
) -> None:
    file = tmp_path / "draft.ttl"
    file.write_text(DRAFT)
    for command in (("check", file), ("check", "--plan", "buap-2018-2021"), ("history",)):
        page = itukg(*command, "--format", "html").stdout
        assert page.startswith("<!doctype html>")
        assert "--accent:" in page.partition("<style>")[2].partition("</style>")[0]
        elements = Page(page).elements
        assert {"link", "script", "img", "iframe"}.isdisjoint(tag for tag, _ in elements)
        links = [attributes["href"] for tag, attributes in elements if tag == "a"]
        assert all(link and link.startswith(("https://", "http://", "#")) for link in links)
        assert "url(" not in page


def test_the_description_tells_of_bodies_and_answers(client: TestClient) -> None:
    described = client.get("/openapi.json").json()["paths"]["/validate"]["post"]
    assert set(described["requestBody"]["content"]) == set(BODY_TYPES)
    assert set(described["responses"]["200"]["content"]) == {syntax.media_type for syntax in REPORT_FORMATS}
    assert {"400", "404", "406", "408", "413", "415", "429", "503", "504"} < set(described["responses"])
    assert {each["name"] for each in described["parameters"]} == {
        *(ChosenFindings.model_fields.keys() - {"release"}),
        "with-release",
        "format",
        "labels",
        "release",
    }
    assert {"profile", "plan", "severity"} < set(ChosenFindings.model_fields)
    assert "422" not in described["responses"]
    problem_of(client.put("/validate", content=DATA), 405)


def test_uploads_are_counted_by_outcome(client: TestClient) -> None:
    client.post("/validate", content=DATA, headers=TURTLE)
    client.post("/validate", content="<", headers=TURTLE)
    told = client.get("/metrics").text
    assert re.search(r'itukg_checks_total\{outcome="reported"\} [1-9]', told)
    assert re.search(r'itukg_checks_total\{outcome="syntax-problem"\} [1-9]', told)
