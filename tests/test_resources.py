"""Every thing under its own address: in each syntax the same, and unmoved by hostile addresses."""

import html
import json
import re
from functools import reduce
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import httpx2
import pyoxigraph as ox
import pytest
from conftest import SERVED_CONTEXT, Engine
from fastapi.testclient import TestClient
from rdflib import BNode, Graph
from test_sparql import ORIGIN, OUTPUT, ask, exchange, graph_of, problem_of, values

from itukg import names
from itukg.formats import GRAPH_FORMATS, THING_FORMATS, Format
from itukg.rdf.parse import canonical_hash
from itukg.release.model import Release
from itukg.settings import Settings
from itukg.views.profile import profile_text
from itukg.web.app import create_app

ROOT = Path(__file__).parents[1]
JSONLD, HTML = "application/ld+json", "text/html"
PREFIXES = names.PROLOGUE
NOT_ENTAILED = f"FILTER(?graph != <{names.graph('entailed')}>)"
OURS = f'FILTER(isIRI(?thing) && !CONTAINS(STR(?thing), "#") && (STRSTARTS(STR(?thing), "{names.THINGS}") || STRSTARTS(STR(?thing), "{names.SDG}")))'


def path_of(iri: str) -> str:
    """Where a deployment answers for `iri`."""
    for namespace, folder in ((names.THINGS, "/id/"), (names.SDG, "/sdg/")):
        if iri.startswith(namespace):
            return folder + quote(iri.removeprefix(namespace))
    raise AssertionError(iri)


def get(client: httpx2.Client, path: str, accept: str | None = None) -> httpx2.Response:
    return client.get(path, headers={"accept": accept} if accept is not None else {}, follow_redirects=False)


def media_type(reply: httpx2.Response) -> str:
    return str(reply.headers["content-type"]).partition(";")[0]


def digest(graph: Graph) -> str:
    """The same for the same graphs, whatever their blank nodes are called."""
    return canonical_hash(list(ox.parse(graph.serialize(format="nt"), format=ox.RdfFormat.N_TRIPLES)))


class Page(HTMLParser):
    """The text, addresses and element names of a page."""

    def __init__(self, reply: httpx2.Response) -> None:
        super().__init__()
        assert (reply.status_code, media_type(reply)) == (200, HTML)
        self.text = ""
        self.links: list[str] = []
        self.elements: list[str] = []
        self.feed(reply.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # What a page loads from here, and what neither runs nor is fetched, is no element that could do harm.
        given = dict(attrs)
        loaded = tag in ("script", "link") and (given.get("src") or given.get("href") or "").startswith("/assets/")
        if (
            not loaded
            and given.get("type") != "application/ld+json"
            and given.get("rel") not in ("alternate", "canonical")
        ):
            self.elements.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action", "data")]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


# --- every thing ---


@pytest.fixture(scope="module")
def things(client: TestClient) -> list[str]:
    """The IRI of everything the merged graph speaks of in our namespace and in that of the Goals."""
    return [iri for (iri,) in values(ask(client, f"SELECT DISTINCT ?thing WHERE {{ ?thing ?p ?o {OURS} }}"))]


@pytest.fixture(scope="module")
def sample(client: TestClient) -> list[str]:
    """One thing of each class, and the one with the most linkages."""
    firsts = f"SELECT ?class (MIN(STR(?thing)) AS ?first) WHERE {{ GRAPH ?graph {{ ?thing a ?class }} {NOT_ENTAILED} {OURS} }} GROUP BY ?class"
    found = sorted({first for _, first in values(ask(client, firsts))} | {OUTPUT})
    assert len(found) >= 25
    return found


@pytest.mark.parametrize("step", [20, pytest.param(1, marks=pytest.mark.exhaustive)])
def test_every_thing_answers_under_its_own_iri(client: TestClient, things: list[str], step: int) -> None:
    wrong = {}
    for iri in things[::step]:
        reply = get(client, path_of(iri), JSONLD)
        document = reply.json()
        if (reply.status_code, document.get("id"), "@graph" in document) != (200, iri, False):
            wrong[iri] = reply.text
    assert wrong == {}
    assert len(things) > 700
    assert sum(iri.startswith(names.SDG) for iri in things) >= 17 + 169


def test_a_thing_has_the_same_triples_in_every_syntax(client: TestClient, sample: list[str]) -> None:
    for iri in sample:
        graphs = [graph_of(get(client, path_of(iri), f.media_type)) for f in THING_FORMATS if f.engine]
        first, *others = (set(graph) for graph in graphs)
        assert len(others) == 3
        assert first and all(other == first for other in others), iri
        assert not any(isinstance(term, BNode) for triple in first for term in triple)


@pytest.mark.parametrize("syntax", THING_FORMATS, ids=lambda f: f.name)
def test_accept_suffix_and_format_choose_the_same_bytes_every_time(
    client: TestClient, sample: list[str], syntax: Format
) -> None:
    assert len(THING_FORMATS) == 10
    for iri in sample:
        path = path_of(iri)
        replies = [get(client, path, syntax.media_type), get(client, path, syntax.media_type)]
        replies += [get(client, path + syntax.suffix, "image/png")]
        replies += [get(client, f"{path}?format={syntax.name}", "image/png")]
        assert {(reply.status_code, media_type(reply)) for reply in replies} == {(200, syntax.media_type)}
        assert all("Accept" in reply.headers["vary"] for reply in replies)
        assert len({reply.content for reply in replies}) == 1, iri


def test_a_page_shows_its_label_and_syntaxes_and_links_to_things_there_are(
    client: TestClient, sample: list[str], things: list[str]
) -> None:
    answering = {path_of(iri) for iri in things}
    linked = set()
    for iri in sample:
        page = Page(get(client, path_of(iri), HTML))
        assert get(client, path_of(iri), JSONLD).json()["label"]["en"] in page.text
        assert iri in page.text
        assert html.unescape(page.text) == page.text  # escaped once, not twice
        syntaxes = {path_of(iri) + f.suffix for f in THING_FORMATS if f.media_type != HTML}
        assert syntaxes <= set(page.links)
        linked |= {link.partition("#")[0] for link in page.links if link.startswith(("/id/", "/sdg/"))} - syntaxes
    assert len(linked) > 150
    others = sorted(linked - answering)  # such as findings and frames
    assert [link for link in others if get(client, html.unescape(link), "*/*").status_code != 200] == []


def test_every_kind_of_thing_is_described_in_words_too(sample: list[str], store: Engine, release: Release) -> None:
    for iri in sample:
        said = store.run(profile_text(store.store, release, iri)).decode()
        assert f"\n{iri}\n" in said and said.splitlines()[1].strip()
        assert "<" not in re.sub(r"<[^a-z/]", "", said)  # no markup in it


# --- JSON-LD ---


def test_output_2_1_carries_its_linkages_with_what_backs_them(client: TestClient) -> None:
    output = get(client, path_of(OUTPUT), JSONLD).json()
    assert list(output)[:3] == ["@context", "id", "type"]
    assert (output["@context"], output["type"], output["notation"]) == (SERVED_CONTEXT, "Output", "2.1")
    linkages = output["linkages"]
    assert len(linkages) >= 5
    for linkage in linkages:
        assert linkage["type"] == "Linkage"
        assert linkage["basis"] == "stated"
        assert linkage["objects"] and set(linkage["objects"]) <= set(output[linkage["predicate"]])
        assert linkage["quote"]["en"] and linkage["section"] and linkage["line"]
        assert "subject" not in linkage
    backed = {(linkage["predicate"], iri) for linkage in linkages for iri in linkage["objects"]}
    assert ("contributesToSDGTarget", names.SDG + "9.c") in backed
    for predicate in {predicate for predicate, _ in backed}:
        assert {iri for backing, iri in backed if backing == predicate} == set(output[predicate])


def test_labels_and_definitions_are_language_maps(client: TestClient, things: list[str]) -> None:
    found = 0
    for iri in things[::10]:
        document = get(client, path_of(iri), JSONLD).json()
        for key in ("label", "definition", "title", "quote"):
            if key in document:
                found += 1
                assert all(re.fullmatch("[a-z]{2}", language) for language in document[key])
                assert all(isinstance(text, (str, list)) for text in document[key].values())
    assert found > 70


# --- negotiation ---


def test_json_ld_is_the_default_syntax(client: TestClient) -> None:
    path = path_of(OUTPUT)
    silent = client.build_request("GET", path)
    del silent.headers["accept"]
    replies = [client.send(silent), *(get(client, path, accept) for accept in ("*/*", "", "application/*", JSONLD))]
    replies += [
        get(client, path, accept) for accept in ("text/html, application/ld+json", "text/html;q=0.5, */*;q=0.6")
    ]
    assert {media_type(reply) for reply in replies} == {JSONLD}


@pytest.mark.parametrize(
    "accept",
    [
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
        "text/html, application/ld+json;q=0.9",
        "text/*, application/ld+json;q=0.1",
        "application/ld+json;q=0, */*",
    ],
)
def test_a_page_is_for_clients_that_prefer_html(client: TestClient, accept: str) -> None:
    assert media_type(get(client, path_of(OUTPUT), accept)) == HTML


@pytest.mark.parametrize("accept", ["image/png", "text/html;q=0", "application/yaml", "*/*;q=0"])
@pytest.mark.parametrize("path", ["/id/sdg/all", "/sdg/9.c", "/ontology", "/shapes"])
def test_what_cannot_be_served_is_406(client: TestClient, path: str, accept: str) -> None:
    assert "text/turtle" in problem_of(get(client, path, accept), 406)["detail"]


# --- hostile and unknown addresses ---


@pytest.mark.parametrize(
    "path",
    ["/id/nothing", "/sdg/18", "/sdg/9.z", "/id/buap-2018-2021/output/9.9", "/id/buap-2018-2021.ttl.ttl"],
)
@pytest.mark.parametrize("accept", [JSONLD, HTML, "text/turtle"])
def test_an_unknown_thing_is_404(client: TestClient, path: str, accept: str) -> None:
    namespace = names.SDG if path.startswith("/sdg/") else names.THINGS
    detail = problem_of(get(client, path, accept), 404)["detail"]
    assert f"<{namespace}{path.split('/', 2)[2].removesuffix('.ttl')}>" in detail


@pytest.mark.parametrize("path", ["/nothing", "/ontology.png", "/shapes.csv", "/ontologyX", "/context/v2.jsonld"])
def test_an_unknown_page_is_404(client: TestClient, path: str) -> None:
    problem_of(get(client, path), 404)


HOSTILE = [
    "<script>alert(1)</script>",
    "%3Cscript%3Ealert(1)%3C/script%3E",
    '"onmouseover="alert(1)',
    "%22",
    "'",
    "{}",
    "{{7*7}}",
    "%7D%20%3Fs%20%3Fp%20%3Fo%20%7D%20%23",
    "buap-2018-2021%3E%20%3Fp%20%3Fo%20%7D%20%23",
    "a%20b",
    "a\\b",
    "%5C",
    "%60%5E%7C",
    "../../../etc/passwd",
    "..%2F..%2Fetc%2Fpasswd",
    "%2e%2e/%2e%2e/etc/passwd",
    "%00",
    "%0D%0ASet-Cookie:%20hostile=1",
    "%0D%0A%0D%0A<script>alert(1)</script>",
    "%E2%80%AE",
    "x" * 20_000,
    "%22" * 5_000,
    "buap-2018-2021" + "/.." * 200,
]


@pytest.mark.parametrize("folder", ["id", "sdg"])
@pytest.mark.parametrize("accept", [HTML, "*/*"])
def test_a_hostile_address_is_a_404_and_nothing_of_it_is_markup(server: str, folder: str, accept: str) -> None:
    assert len(HOSTILE) > 20
    for hostile in HOSTILE:
        request = f"GET /{folder}/{hostile} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
        head, body = exchange(server, request.encode())
        status, *fields = head.decode().lower().split("\r\n")
        assert status.startswith("http/1.1 404 "), (hostile, head)
        kind = "text/html; charset=utf-8" if accept == HTML else "application/problem+json"
        assert {f"content-type: {kind}", "x-content-type-options: nosniff"} <= set(fields)
        assert not [field for field in fields if field.startswith(("set-cookie", "location"))]
        if accept == HTML:
            assert b"<script>alert" not in body and b'"onmouseover' not in body and b">404</p>" in body
        else:
            assert json.loads(body)["status"] == 404
        assert b"root:" not in body


def test_what_documents_print_is_text_on_a_page_and_never_markup(careless: TestClient) -> None:
    page = Page(get(careless, "/id/wsis/C1", HTML))
    assert "script" not in page.elements
    assert "<script>alert(1)</script>" in page.text
    assert 'a&b "c" <d>' in page.text


# --- ontology, shapes, context ---


@pytest.mark.parametrize("name", ["ontology", "shapes"])
def test_the_vocabularies_are_what_the_files_hold_in_every_syntax(client: TestClient, name: str) -> None:
    files = sorted((ROOT / name).glob("*.ttl"))
    written = reduce(Graph.parse, files, Graph())
    assert len(written) > 500
    wanted = digest(written)
    assert len(GRAPH_FORMATS) == 6
    for syntax in GRAPH_FORMATS:
        replies = [get(client, f"/{name}", syntax.media_type), get(client, f"/{name}{syntax.suffix}", "image/png")]
        replies.append(get(client, f"/{name}?format={syntax.name}"))
        assert {(reply.status_code, media_type(reply)) for reply in replies} == {(200, syntax.media_type)}
        assert len({reply.content for reply in replies}) == 1
        assert digest(graph_of(replies[0])) == wanted


def test_the_context_is_the_file_for_any_origin_and_without_a_redirect(client: TestClient) -> None:
    for accept in ("*/*", "application/ld+json, application/json;q=0.5", "text/html", "image/png"):
        reply = client.get("/context/v1.jsonld", headers=ORIGIN | {"accept": accept}, follow_redirects=False)
        assert (reply.status_code, reply.headers["content-type"]) == (200, JSONLD)
        assert reply.headers["access-control-allow-origin"] == "*"
        assert reply.headers["cache-control"] == "no-cache"
        assert reply.json() == json.loads((ROOT / "ontology/context.jsonld").read_text())


def test_the_context_knows_every_class_and_property_of_the_ontology(client: TestClient) -> None:
    context = get(client, "/context/v1.jsonld").json()["@context"]
    known = {term.get("@id") if isinstance(term, dict) else term for term in context.values()}
    terms = graph_of(get(client, "/ontology", "text/turtle")).query(
        f"{PREFIXES} SELECT DISTINCT ?term WHERE {{ ?term a ?kind FILTER(?kind IN (owl:Class, owl:ObjectProperty, owl:DatatypeProperty)) }}"
    )
    ours = {str(row[0]) for row in terms if str(row[0]).startswith(names.ITU)}  # type: ignore[index]
    assert len(ours) > 60
    assert {f"itu:{iri.removeprefix(names.ITU)}" for iri in ours} <= known


# --- pages, health, description ---


@pytest.mark.parametrize("path", ["/", "/id/sdg/all.html", "/conformance"])
def test_a_page_brings_its_security_headers_and_fetches_nothing(client: TestClient, path: str) -> None:
    reply = get(client, path, HTML)
    page = Page(reply)
    policy = dict(rule.split(" ", 1) for rule in reply.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in reply.headers["content-security-policy"]
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "same-origin"
    assert not {"script", "link", "img", "iframe", "object", "embed"} & set(page.elements)


def test_the_front_page_lists_every_plan_and_the_release(client: TestClient, release: Release) -> None:
    page = Page(get(client, "/"))
    plans = values(ask(client, f"{PREFIXES} SELECT ?plan ?label WHERE {{ ?plan a itu:Plan ; rdfs:label ?label }}"))
    assert plans
    for iri, label in plans:
        assert path_of(iri) in page.links
        assert label in page.text
    assert release.name in page.text
    assert {get(client, link).status_code for link in page.links} == {200}


def test_health_and_readiness_are_reported(client: TestClient, release: Release) -> None:
    assert get(client, "/healthz").json() == {"status": "ok"}
    assert get(client, "/readyz").json() == {"status": "ready", "release": release.name}


def test_before_the_release_is_loaded_it_is_alive_and_503(release: Release, home: Path) -> None:
    # Without `with`, the application does not start to load.
    loading = TestClient(create_app(Settings(home=home), release))
    assert get(loading, "/healthz").status_code == 200
    for path in ("/readyz", "/sparql?query=ASK{}", "/id/sdg/all", "/"):
        reply = get(loading, path)
        problem_of(reply, 503)
        assert int(reply.headers["retry-after"]) > 0


def test_every_route_is_described(client: TestClient) -> None:
    description = get(client, "/openapi.json").json()
    assert description["info"]["summary"]
    operations = {(path, method): o for path, of in description["paths"].items() for method, o in of.items()}
    assert len(operations) >= 11
    assert {("/sparql", "get"), ("/sparql", "post"), ("/conformance", "get"), ("/id/{path}", "get")} <= set(operations)
    for operation in operations.values():
        assert operation["summary"]
        assert operation["description"].endswith(".")
