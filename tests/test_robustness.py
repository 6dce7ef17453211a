"""What a hostile or careless client sends ends no server, loses no text and is answered in words."""

import json
import shutil
from importlib.resources import files
from pathlib import Path

import httpx2
import pytest
from conftest import eventually
from fastapi.testclient import TestClient
from test_cli import FAILING, Run, fails, itukg  # noqa: F401
from test_reports import findings, rows  # noqa: F401
from test_resources import Page, get, media_type
from test_sparql import ask, graph_of, post, problem_of

from itukg.corpus import Corpus
from itukg.errors import DataError
from itukg.formats import GRAPH_FORMATS
from itukg.release.build import build
from itukg.release.model import Release
from itukg.settings import Settings
from itukg.web.app import create_app

Q = "application/sparql-query"
CRASHERS = {
    "bangs": "ASK { FILTER(" + "!" * 190_000 + "1) }",
    "bangs allowed": "ASK { FILTER(" + "!" * 19_990 + "1) }",
    "plus": "ASK { FILTER(" + "1+" * 19_990 + "1) }",
    "or": "ASK { FILTER(" + "1||" * 9_990 + "1) }",
    "hidden braces": "PREFIX e: <urn:e:> SELECT * { OPTIONAL { ?s e:a\\#b ?o } " + "{" * 90_000 + "}" * 90_000 + "\n}",
}


@pytest.mark.parametrize("name", CRASHERS)
def test_no_query_ends_the_server(server: str, name: str) -> None:
    with httpx2.Client(base_url=server, timeout=30) as client:
        try:
            post(client, CRASHERS[name], Q, timeout="1")
        except httpx2.RemoteProtocolError:
            pytest.fail("the server process died")
        assert ask(client, "ASK {}").status_code == 200


def test_a_long_row_of_escaped_quotes_is_answered(client: TestClient) -> None:
    problem_of(post(client, "SELECT " + '\\"' * 95_000, Q), 400)


def test_service_behind_an_escaped_hash_is_refused(client: TestClient) -> None:
    query = "PREFIX e: <urn:e:> SELECT * { OPTIONAL { ?s e:a\\#b ?o } SERVICE <http://localhost:1/> { ?s ?p ?o }\n}"
    problem_of(client.get("/sparql", params={"query": query}), 400)


@pytest.mark.parametrize("path", ["%25zz", "[", "a%23b%23c", "%FF", "%EE%80%80", "%EF%BF%BF"])
@pytest.mark.parametrize("folder", ["id", "sdg"])
def test_a_path_that_is_no_iri_is_404(client: TestClient, folder: str, path: str) -> None:
    problem_of(client.get(f"/{folder}/{path}"), 404)


@pytest.mark.parametrize("name", ["default-graph-uri", "named-graph-uri"])
@pytest.mark.parametrize("iri", ["not an iri", "graph/sdg", ""])
def test_a_graph_that_is_no_iri_is_400(client: TestClient, name: str, iri: str) -> None:
    problem_of(client.get("/sparql", params={"query": "ASK {}", name: iri}), 400)


def test_an_unknown_function_is_400(client: TestClient) -> None:
    problem_of(client.get("/sparql", params={"query": "SELECT (<urn:f>(1) AS ?a) {}"}), 400)


@pytest.mark.parametrize("syntax", GRAPH_FORMATS, ids=lambda f: f.name)
@pytest.mark.parametrize("text", ["C:\\new\\table", "a\u2028b", "a\u0085b"], ids=ascii)
def test_any_text_survives_every_graph_syntax(client: TestClient, text: str, syntax: object) -> None:
    literal = json.dumps(text, ensure_ascii=False)
    reply = ask(client, f"CONSTRUCT {{ <urn:a> <urn:b> {literal} }} WHERE {{}}", syntax.media_type)  # type: ignore[attr-defined]
    assert reply.status_code == 200
    assert [str(o) for o in graph_of(reply).objects()] == [text]


@pytest.mark.parametrize("predicate", ["http://example.org/1", "http://example.org/"])
def test_rdf_xml_that_cannot_be_written_is_refused_and_not_broken(client: TestClient, predicate: str) -> None:
    reply = ask(client, f"CONSTRUCT {{ <urn:a> <{predicate}> 1 }} WHERE {{}}", "application/rdf+xml")
    assert reply.status_code == 406 or len(graph_of(reply)) == 1


def test_a_double_stays_a_double_in_json_ld(client: TestClient) -> None:
    reply = ask(client, "CONSTRUCT { <urn:a> <urn:b> 2.0e0 } WHERE {}", "application/ld+json")
    # JSON-LD 1.1 API, 8.2.2: a native number without fraction is an xsd:integer.
    assert not isinstance(reply.json()["urn:b"], (int, float)) or reply.json()["urn:b"] % 1


@pytest.mark.parametrize(("path", "methods"), [("/sparql", {"GET", "HEAD", "POST"}), ("/id/x", {"GET", "HEAD"})])
def test_allow_names_every_method(client: TestClient, path: str, methods: set[str]) -> None:
    assert methods <= set(client.put(path).headers["allow"].split(", "))


@pytest.mark.parametrize("path", ["/ontology.ttl", "/shapes.nt", "/conformance.csv", "/healthz", "/readyz"])
def test_head_is_answered_wherever_get_is(client: TestClient, path: str) -> None:
    assert client.head(path).status_code == client.get(path).status_code


def test_format_counts_in_a_form(client: TestClient) -> None:
    assert media_type(client.post("/sparql", data={"query": "SELECT ?s {}", "format": "csv"})) == "text/csv"


def test_two_accept_lines_are_one_list(client: TestClient) -> None:
    lines = [("accept", "image/png"), ("accept", "text/turtle")]
    assert client.get("/id/sdg/all", headers=lines).status_code == 200


def test_bytes_that_are_no_utf_8_are_400_however_they_come(client: TestClient) -> None:
    problem_of(client.get("/sparql?query=ASK%20%7B%3Fs%20%3Fp%20%22%FF%22%7D"), 400)


def test_the_column_is_that_of_the_query_as_sent(client: TestClient) -> None:
    query = "PREFIX a: <http://example.org/long> SELEKT * {}"
    problem = problem_of(ask(client, query), 400)
    assert problem["column"] == query.index("SELEKT") + 1
    assert "column" in problem["detail"]


def test_a_cure_is_what_follows_the_fault(findings: list[dict[str, str]]) -> None:  # noqa: F811
    assert [f["cure"] for f in findings if not f["cure"][0].isalpha()] == []


def test_every_link_of_a_page_answers(client: TestClient) -> None:
    page = Page(get(client, "/id/organization/itukg", "text/html"))
    assert [link for link in page.links if link.startswith("/") and get(client, link, "*/*").status_code != 200] == []


@pytest.mark.parametrize("name", ["shapes.ttl", "my data.ttl", "a<b.ttl"])
def test_a_file_is_checked_whatever_it_is_called(itukg: Run, tmp_path: Path, name: str) -> None:  # noqa: F811
    (tmp_path / name).write_bytes(FAILING.read_bytes())
    done = itukg("check", tmp_path / name)
    assert (done.returncode, FAILING.parent.name in done.stdout) == (1, True)


def test_what_cannot_be_written_or_read_is_said_with_exit_code_2(itukg: Run, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "latin.rq").write_bytes(b'ASK { ?s ?p "\xff" }')
    (tmp_path / "file").touch()
    for command in (
        ("query", "ASK {}", "-o", tmp_path / "none/x"),
        ("query", tmp_path / "latin.rq"),
        ("query", "SELECT (<urn:f>(1) AS ?a) {}"),
        ("describe", "http://["),
    ):
        fails(itukg(*command), 2)
    fails(itukg("build", ITUKG_HOME=tmp_path / "file/home"), 2)


def test_a_folder_that_cannot_be_written_is_noticed_before_the_work(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    steps: list[str] = []
    with pytest.raises(DataError, match=r"file/home/current, .*: Not a directory"):
        build(corpus, tmp_path / "file" / "home", steps.append)
    assert steps == []


def test_the_word_prefix_in_a_text_does_not_take_our_prefixes_away(itukg: Run) -> None:  # noqa: F811
    assert itukg("query", "ASK { ?s a itu:Output FILTER('prefix' != 'x') }").returncode == 0


def test_a_taken_port_exits_with_2(itukg: Run, server: str) -> None:  # noqa: F811
    assert itukg("serve", "--port", server.rpartition(":")[2]).returncode == 2


def test_the_package_says_that_it_is_typed() -> None:
    assert (files("itukg") / "py.typed").is_file()


def test_a_release_that_cannot_be_loaded_leaves_a_server_that_says_so(release: Release, tmp_path: Path) -> None:
    broken = tmp_path / "releases" / release.name
    shutil.copytree(release.path, broken)
    (broken / "dataset.nq").write_text("<a> <b> .")
    with TestClient(create_app(Settings(home=tmp_path), Release(broken))) as client:
        words = "The release cannot be loaded; the log of the server says why."
        eventually(lambda: words in client.get("/readyz").json()["detail"], "it says nothing of it")
        assert client.get("/readyz").status_code == client.get("/sparql", params={"query": "ASK {}"}).status_code == 503
        assert client.get("/healthz").status_code == 200
