"""The SPARQL endpoint as a browser meets it: an answer as a page, a wrong query on it again, and what the editor completes."""

import re
from html.parser import HTMLParser
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient

from itukg import names
from itukg.tables import MAX_FIRST

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
OUTPUT = names.THINGS + "buap-2018-2021/output/2.1"
ONE = "SELECT * WHERE { ?s ?p ?o } LIMIT 1"


class Shown(HTMLParser):
    """What a page shows: the text of its query, the cells of its tables, its links and its whole text."""

    def __init__(self, reply: httpx2.Response) -> None:
        super().__init__()
        self.inside: list[str] = []
        self.query, self.text = "", ""
        self.rows: list[list[str]] = []
        self.links: list[str] = []
        self.hidden: dict[str, str] = {}
        self.feed(reply.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "textarea":
            self.query = "\n"  # the parser of browsers leaves out the first line feed
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag == "a":
            self.links.append(given["href"])
        elif tag == "input" and given.get("type") == "hidden":
            self.hidden[given["name"]] = given["value"]
        if tag not in ("input", "meta", "link", "br", "option"):
            self.inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.inside:
            del self.inside[len(self.inside) - 1 - self.inside[::-1].index(tag) :]

    def handle_data(self, data: str) -> None:
        self.text += data
        if "textarea" in self.inside:
            self.query = (self.query + data).removeprefix("\n\n")
        elif {"td", "th"} & {*self.inside}:
            self.rows[-1][-1] += data


def ask(client: TestClient, text: str | None = None, accept: str = BROWSER, **given: Any) -> httpx2.Response:
    params = given if text is None else {"query": text, **given}
    return client.get("/sparql", params=params, headers={"accept": accept})


def page_of(reply: httpx2.Response, status: int = 200) -> Shown:
    assert reply.status_code == status, reply.text[:500]
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert "Accept" in reply.headers["vary"]
    return Shown(reply)


def test_a_browser_gets_a_table_with_labels_links_and_the_query(client: TestClient) -> None:
    query = f'SELECT * WHERE {{ VALUES (?thing ?n ?word ?none) {{ (<{OUTPUT}> 7 "mot"@fr UNDEF) }} }}'
    reply = ask(client, query)
    page = page_of(reply)
    assert page.query == query
    assert page.rows[0] == ["thing", "n", "word", "none"]
    label = client.get("/id/buap-2018-2021/output/2.1").json()["label"]["en"]
    assert page.rows[1] == [f"{label} buap-2018-2021/output/2.1", "7", "mot", ""]
    assert "/id/buap-2018-2021/output/2.1" in page.links
    assert '<td class="number">7</td><td lang="fr">mot</td>' in reply.text
    assert "1 row\n" in page.text


def test_the_whole_answer_is_a_link_away_in_each_other_syntax(client: TestClient) -> None:
    page = page_of(ask(client, ONE, **{"default-graph-uri": names.graph("sdg"), "prefixes": "auto"}))
    links = [link for link in page.links if link.startswith("/sparql?query=")]
    types = [client.get(link).headers["content-type"].partition(";")[0] for link in links]
    assert types[:4] == ["application/sparql-results+json", "application/sparql-results+xml", "text/csv", "text/csv"]
    assert len({*types}) == 5
    assert client.get(links[2]).text.startswith("s,sLabel,p,pLabel,o")
    assert "default-graph-uri=" in links[3]  # of the graph that was named
    assert page.hidden == {"prefixes": "auto", "default-graph-uri": names.graph("sdg")}
    graph = page_of(ask(client, f"DESCRIBE <{OUTPUT}>"))
    turtle = next(link for link in graph.links if link.endswith("format=ttl"))
    assert client.get(turtle).headers["content-type"].startswith("text/turtle")


def test_a_page_ends_after_the_first_rows_and_says_so(client: TestClient) -> None:
    query = f"SELECT ?s WHERE {{ ?s ?p ?o }} LIMIT {MAX_FIRST}"
    assert f"{MAX_FIRST} rows\n" in page_of(ask(client, query)).text
    page = page_of(ask(client, query + "1"))
    assert len(page.rows) == 1 + MAX_FIRST
    assert f"The first {MAX_FIRST} rows" in page.text and "A file has them all" in page.text


def test_a_graph_is_a_table_of_triples_and_ask_a_word(client: TestClient) -> None:
    page = page_of(
        ask(
            client,
            f"CONSTRUCT {{ <{OUTPUT}> a ?class . _:b ?p 1 }} WHERE {{ <{OUTPUT}> a ?class ; itu:plan ?p }}",
            prefixes="auto",
        )
    )
    assert page.rows[0] == ["subject", "predicate", "object"]
    assert any(row[1:] == ["rdf:type", "output itu:Output"] for row in page.rows)
    assert "Yes\n" in page_of(ask(client, "ASK {}")).text
    assert "Nothing in this release" in page_of(ask(client, "SELECT * WHERE { <urn:no> ?p ?o }")).text


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/sparql-results+json"),
        ("", "application/sparql-results+json"),
        ("text/*", "text/csv"),
        ("application/*", "application/sparql-results+json"),
        ("text/csv, text/html;q=0.9", "text/csv"),
        ("text/html;q=0.5, */*", "application/sparql-results+json"),
        ("application/json", "application/json"),
        (BROWSER, "text/html"),
        ("text/html", "text/html"),
    ],
)
def test_html_is_for_those_who_prefer_it_and_nobody_else_gets_other_bytes(
    client: TestClient, accept: str, media_type: str
) -> None:
    assert ask(client, ONE, accept).headers["content-type"].partition(";")[0] == media_type


@pytest.mark.parametrize("query", [ONE, "ASK {}", f"DESCRIBE <{OUTPUT}>"])
def test_format_html_is_the_page_too(client: TestClient, query: str) -> None:
    assert page_of(ask(client, query, "*/*", format="html")).query == query


def test_a_wrong_query_comes_back_with_its_line_and_the_status(client: TestClient) -> None:
    query = "\n# first\nSELECT * WHERE {\n ?s ?p }"
    for accept, given in ((BROWSER, {}), ("*/*", {"format": "html"}), (BROWSER, {"format": "csv"})):
        page = page_of(ask(client, query, accept, **given), 400)
        assert page.query == query
        assert "line 4, column 8" in page.text and "4   ?s ?p }" in page.text
    plain = ask(client, query, "*/*")
    assert plain.status_code == 400 and plain.json()["line"] == 4


@pytest.mark.parametrize(
    ("given", "status", "said"),
    [
        ({"query": ONE, "format": "png"}, 406, "No format"),
        ({"query": ONE, "timeout": "soon"}, 400, "number of seconds"),
        ({"query": "DROP ALL"}, 400, "read-only"),
        (
            {"query": "SELECT * WHERE { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i } ORDER BY ?i", "timeout": "0.2"},
            504,
            "Time limit exceeded",
        ),
        ({"format": "csv"}, 400, "No query"),
        ({"saved": "no-such"}, 404, "No saved query"),
        ({"query": ONE, "release": "no-such"}, 404, "No release"),
    ],
)
def test_each_error_is_a_page_to_a_browser_and_a_problem_to_others(
    client: TestClient, given: dict[str, str], status: int, said: str
) -> None:
    assert said in page_of(ask(client, None, **given), status).text
    other = ask(client, None, "*/*", **given)
    assert other.headers["content-type"] == "application/problem+json"


def test_a_query_too_long_for_an_address_is_a_page_by_post(client: TestClient) -> None:
    query = f"{ONE} #{'x' * 100_000}"
    for text, status in ((query, 200), (query.replace("LIMIT", "LIMT"), 400)):
        reply = client.post("/sparql", data={"query": text}, headers={"accept": BROWSER})
        assert page_of(reply, status).query == text


def test_what_is_not_ours_is_escaped_and_runs_nothing(careless: TestClient) -> None:
    query = f'SELECT * WHERE {{ BIND("<script>alert(1)</script>" AS ?a) BIND(<javascript:alert(1)> AS ?b) BIND(<{names.THINGS}wsis/C1> AS ?c) }}'
    reply = ask(careless, query)
    page = page_of(reply)
    assert page.rows[1][0] == "<script>alert(1)</script>"
    assert "<script>alert" not in reply.text
    assert not any(link.startswith("javascript") for link in page.links)
    assert re.search(r"script-src 'self'[^;]*;", reply.headers["content-security-policy"])


def test_a_saved_query_is_opened_and_not_run(client: TestClient) -> None:
    page = page_of(ask(client, None, saved="outputs-for-sdg-target"))
    assert "VALUES ?target" in page.query or "?__target_iri" in page.query
    assert page.rows == []
    assert "/sparql?saved=outputs-for-sdg-target" in page.links
    assert len([link for link in page.links if link.startswith("/sparql?saved=")]) > 30


def test_an_editor_gets_prefixes_classes_properties_and_values(client: TestClient) -> None:
    reply = client.get("/sparql/completion")
    assert reply.headers["content-type"] == "application/json"
    data = reply.json()
    assert data["prefixes"] == names.PREFIXES
    outcome = data["classes"]["itu:Outcome"]
    assert {"itu:outcomeOf", "itu:plan", "rdfs:label"} <= {*outcome["required"]}
    assert "itu:hasIndicator" in outcome["properties"]
    assert not {*outcome["required"]} & {*outcome["properties"]}
    assert "itu:startYear" in data["classes"]["itu:StrategicPlan"]["required"]  # as of every plan
    term = data["terms"]["itu:outcomeOf"]
    assert (
        term["kind"] == "property" and term["label"] and term["definition"] and "range" not in term
    )  # several classes
    assert data["terms"]["itu:Outcome"]["kind"] == "class"
    plans = data["things"]["plan"]
    assert plans["properties"] == ["itu:plan"]
    assert any(written == f"<{names.THINGS}bap-2026-2029>" and "Baku" in label for written, label in plans["values"])
    assert any(written == "sdg:4.4" for written, _ in data["things"]["sdg"]["values"])
