"""The conformance report of the served release: one content in every syntax, and pure SHACL as RDF."""

import csv
import io
import re
from collections import Counter
from dataclasses import fields
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from rdflib import RDF, SH, BNode, Graph, Literal, URIRef
from test_resources import PREFIXES, Page, get, media_type, path_of
from test_sparql import ask, graph_of, problem_of, values

from itukg import names
from itukg.conformance import REPORT_FORMATS, Finding
from itukg.conformance.pages import PAGE_FINDINGS
from itukg.formats import Format
from itukg.release.model import Release

FINDING_KEYS = (
    "id", "severity", "profile", "shape", "shapeLabel", "focus", "focusLabel", "notation", "plan", "path", "value",
    "message", "cure", "quote", "document", "section", "line", "status", "actor", "file", "waiver",
    "language",
)  # fmt: skip
KEYS = (
    "release", "header", "baseline", "selection", "verdict", "counts", "summary", "statuses", "hint", "coverage", "rules",
    "waivers", "findings",
)  # fmt: skip
SEVERITIES = ("Violation", "Warning", "Info")


@pytest.fixture(scope="module")
def rows(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = get(client, "/conformance.json").json()
    return found


@pytest.fixture(scope="module")
def findings(rows: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = rows["findings"]
    assert len(found) > 30
    return found


@pytest.fixture(scope="module")
def graph(client: TestClient) -> Graph:
    return graph_of(get(client, "/conformance.ttl"))


# --- one report, every syntax ---


@pytest.mark.parametrize("syntax", REPORT_FORMATS, ids=lambda f: f.name)
def test_accept_suffix_and_format_choose_the_same_report(client: TestClient, syntax: Format) -> None:
    assert len(REPORT_FORMATS) == 13
    replies = [get(client, "/conformance", syntax.media_type)]
    replies += [get(client, "/conformance" + syntax.suffix, accept) for accept in (None, "image/png")]
    replies += [
        get(client, f"/conformance?format={quote(name)}", "image/png") for name in (syntax.name, syntax.media_type)
    ]
    assert {(reply.status_code, media_type(reply)) for reply in replies} == {(200, syntax.media_type)}
    assert all("Accept" in reply.headers["vary"] for reply in replies)
    assert len({reply.content for reply in replies}) == 1


def test_a_page_is_the_default_syntax(client: TestClient) -> None:
    assert {media_type(get(client, "/conformance", accept)) for accept in (None, "*/*", "text/*")} == {"text/html"}


@pytest.mark.parametrize("suffix", [".pdf2", ".txt", ".ttl.ttl", "X", ".TTL"])
def test_an_unknown_suffix_is_404_and_names_those_there_are(client: TestClient, suffix: str) -> None:
    assert (
        ".html, .ttl, .nt, .jsonld, .rdf, .trig, .nq, .csv, .xlsx, .json, .pdf, .sarif, .junit"
        in problem_of(get(client, "/conformance" + suffix), 404)["detail"]
    )


def test_a_syntax_that_the_report_has_not_is_406(client: TestClient) -> None:
    for reply in (get(client, "/conformance", "image/png"), get(client, "/conformance?format=png")):
        assert problem_of(reply, 406)["detail"]


# --- rows ---


def test_the_rows_have_the_keys_that_clients_rely_on(rows: dict[str, Any], findings: list[dict[str, Any]]) -> None:
    assert tuple(rows) == KEYS
    assert tuple(field.name for field in fields(Finding)) == FINDING_KEYS
    assert {tuple(finding) for finding in findings} == {FINDING_KEYS}
    assert {tuple(row) for row in rows["coverage"]} == {
        ("shape", "label", "profile", "covered", "total", "percent", "plans")
    }


def test_the_release_conforms_and_its_counts_are_those_of_its_findings(
    rows: dict[str, Any], findings: list[dict[str, Any]], release: Release
) -> None:
    assert rows["release"] == release.name
    assert rows["verdict"] == "conforms"
    counted = Counter(finding["severity"] for finding in findings)
    assert rows["counts"] == {severity: counted[severity] for severity in SEVERITIES}
    assert rows["counts"]["Violation"] == 0


def test_a_finding_has_an_id_of_its_own_and_what_an_auditor_needs(
    client: TestClient, findings: list[dict[str, Any]]
) -> None:
    assert len({finding["id"] for finding in findings}) == len(findings)
    assert sum(finding["plan"] is not None for finding in findings) > 0.9 * len(findings)
    for finding in findings:
        assert re.fullmatch("[0-9a-f]{16}", finding["id"])
        assert finding["severity"] in SEVERITIES
        assert all(finding[key] for key in ("profile", "shape", "shapeLabel", "focus", "focusLabel", "message", "cure"))
        # A scheme's thing, and a plan as a whole, stand in no one place.
        if finding["focus"].startswith(f"{names.THINGS}{finding['plan']}/"):
            assert all(finding[key] for key in ("notation", "document", "section", "line"))
        assert get(client, path_of(finding["focus"])).status_code == 200
        assert finding["message"].endswith(finding["cure"])
        assert "{" not in finding["message"]
        assert names.BASE not in finding["message"]


def test_the_findings_come_worst_first_and_always_in_one_order(findings: list[dict[str, Any]]) -> None:
    order = [(SEVERITIES.index(f["severity"]), f["profile"], f["shape"], f["document"], f["line"]) for f in findings]
    assert order == sorted(order)


def test_every_gap_of_the_graph_is_in_the_finding_on_its_passage(
    client: TestClient, findings: list[dict[str, Any]]
) -> None:
    query = "SELECT ?label ?d ?line WHERE { ?gap a itu:Gap ; rdfs:label ?label ; dcterms:source ?d ; itu:line ?line }"
    gaps = values(ask(client, f"{names.PROLOGUE} {query}"))
    assert len(gaps) > 90
    said = [f for f in findings if f["shape"].endswith("#GapReported")]
    for label, document, line in gaps:
        at = [f for f in said if (f["document"], f["line"]) == (document, int(line)) and label in f["message"]]
        assert len(at) == 1, label


def test_the_csv_rows_are_the_json_rows(client: TestClient, findings: list[dict[str, Any]]) -> None:
    content = get(client, "/conformance.csv").content.decode()
    table = list(csv.DictReader(io.StringIO(content, newline="")))
    assert table == [{key: "" if value is None else str(value) for key, value in row.items()} for row in findings]


# --- coverage ---


def test_coverage_never_exceeds_what_there_is(rows: dict[str, Any], client: TestClient) -> None:
    assert len(rows["coverage"]) >= 10
    assert len({row["shape"] for row in rows["coverage"]}) == len(rows["coverage"])
    shapes = graph_of(get(client, "/shapes.ttl"))
    for row in rows["coverage"]:
        assert 0 <= row["covered"] <= row["total"]
        assert row["total"] > 0
        assert row["percent"] == round(100 * row["covered"] / row["total"], 1)
        shape = URIRef(row["shape"])
        assert shapes.value(shape, SH.name) == Literal(row["label"], lang="en")
        kind = shapes.value(shape, SH.targetClass)
        ((instances,),) = values(ask(client, f"SELECT (COUNT(DISTINCT ?s) AS ?n) WHERE {{ ?s a <{kind}> }}"))
        assert row["total"] == int(instances)


def test_coverage_counts_what_documents_state_and_no_gap(rows: dict[str, Any], client: TestClient) -> None:
    stated = {
        "OutputSdgTarget-complete": "?s a itu:Output { ?s itu:contributesToSDGTarget ?o } UNION { ?s itu:monitors <sdg/all> }",
        "OutputActionLine-complete": "?s a itu:Output { ?s itu:contributesToActionLine ?o } UNION { ?s itu:monitors <wsis/all> }",
        "OutputOutcome-complete": "?s a itu:Output ; itu:deliversOutcome ?o",
        "OutcomeIndicator-complete": "?s a itu:Outcome . ?o itu:indicatorOf ?s",
    }
    covered = {
        row["shape"].removeprefix(names.SHAPES + "#"): (row["covered"], row["total"]) for row in rows["coverage"]
    }
    for shape, pattern in stated.items():
        query = f"BASE <{names.THINGS}> {PREFIXES} SELECT (COUNT(DISTINCT ?s) AS ?n) WHERE {{ {pattern} }}"
        ((count,),) = values(ask(client, query))
        assert covered[shape][0] == int(count), shape
    targets, outputs = covered["OutputSdgTarget-complete"]
    assert targets < outputs  # a document's silence, recorded as a gap, is no coverage


# --- SHACL ---


def test_the_rdf_is_a_report_as_the_standard_has_it(graph: Graph, findings: list[dict[str, Any]]) -> None:
    (report,) = graph.subjects(RDF.type, SH.ValidationReport)
    assert list(graph.objects(None, SH.conforms)) == [graph.value(report, SH.conforms)] == [Literal(True)]
    assert list(graph.objects(report, URIRef(names.SH + "conformanceDisallows"))) == [SH.Violation]
    results = set(graph.subjects(RDF.type, SH.ValidationResult))
    assert results == set(graph.objects(report, SH.result))
    assert len(results) == len(findings)
    for result in results:
        for needed in (SH.focusNode, SH.resultSeverity, SH.sourceConstraintComponent, SH.sourceShape):
            assert len(list(graph.objects(result, needed))) == 1
        assert set(graph.objects(result, SH.resultMessage))


def test_the_rdf_holds_nothing_but_shacl(graph: Graph) -> None:
    assert all(p == RDF.type or str(p).startswith(names.SH) for p in graph.predicates())
    assert set(graph.objects(None, RDF.type)) == {SH.ValidationReport, SH.ValidationResult}
    assert not any(isinstance(term, BNode) for triple in graph for term in triple)
    assert len(set(graph.subjects())) == 1 + len(list(graph.subjects(RDF.type, SH.ValidationResult)))


def test_the_results_are_the_findings(graph: Graph, findings: list[dict[str, Any]]) -> None:
    def text(result: URIRef, predicate: URIRef) -> str | None:
        value = graph.value(result, predicate)
        return None if value is None else str(value)

    for finding in findings:
        result = URIRef(f"{names.THINGS}finding/{finding['id']}")
        assert text(result, SH.focusNode) == finding["focus"]
        assert text(result, SH.sourceShape) == finding["shape"]
        assert [finding["message"]] == [str(m) for m in graph.objects(result, SH.resultMessage)]
        assert text(result, SH.resultSeverity) == names.SH + finding["severity"]
        assert text(result, SH.value) == finding["value"]


def test_json_ld_and_turtle_are_the_same_report(client: TestClient, graph: Graph) -> None:
    assert set(graph_of(get(client, "/conformance.jsonld"))) == set(graph)


# --- for people ---


def test_the_pages_show_each_finding_with_its_thing_words_and_cure(
    client: TestClient, rows: dict[str, Any], findings: list[dict[str, Any]]
) -> None:
    reply = get(client, "/conformance.html")
    whole = Page(reply)
    assert f"The data {rows['verdict']}." in whole.text
    assert rows["release"] in whole.text
    for row in rows["coverage"]:
        assert row["label"] in whole.text
        assert all(f"{share['covered']} of {share['total']}" in whole.text for share in row["plans"])
    quotes = 0
    for shape in {finding["shape"] for finding in findings}:
        of_rule = [finding for finding in findings if finding["shape"] == shape]
        address = f"/conformance.html?shape={names.shorten(shape)}"
        last = -(-len(of_rule) // PAGE_FINDINGS)
        replies = [get(client, f"{address}&page={number}") for number in range(1, last + 1)]
        pages = [*map(Page, replies)]
        text = " ".join(" ".join(page.text for page in pages).split())
        links = {link for page in pages for link in page.links}
        for finding in of_rule:
            assert any(f'id="{finding["id"]}"' in reply.text for reply in replies)
            assert path_of(finding["focus"]) in links
            assert f"/id/finding/{finding['id']}?release={rows['release']}" in links
            assert finding["focusLabel"] in text or finding["message"].startswith(finding["focusLabel"])
            assert " ".join(finding["message"].removesuffix(finding["cure"]).rstrip(": ").split()) in text
            assert finding["cure"][1:] in text
            if finding["quote"]:
                quotes += 1
                assert " ".join(finding["quote"].split()) in text
                assert f"{finding['section']}, line {finding['line']} of" in text
    assert quotes > 10


def test_a_finding_has_a_page_that_says_where_why_and_how_to_cite_it(
    client: TestClient, rows: dict[str, Any], findings: list[dict[str, Any]]
) -> None:
    finding = next(f for f in findings if f["quote"] and f["path"] is None)
    others = [f for f in findings if f["focus"] == finding["focus"] and f["id"] != finding["id"]]
    rule = next(rule for rule in rows["rules"] if rule["shape"] == finding["shape"])
    reply = get(client, f"/id/finding/{finding['id']}")
    assert (reply.status_code, media_type(reply)) == (200, "text/html")
    page = Page(reply)
    for words in (finding["quote"], rule["label"], rule["description"], finding["cure"][1:], finding["shape"]):
        assert words in page.text
    cited = f"{names.THINGS}finding/{finding['id']}?release={rows['release']}"
    assert f'rel="canonical" href="{cited}"' in reply.text
    assert page.text.count(cited) == 2  # as text and as BibTeX
    assert path_of(finding["focus"]) in page.links
    assert all(f"/id/finding/{other['id']}" in page.links for other in others)
    moved = client.get(f"/id/finding/{finding['id']}.json?release={rows['release']}", follow_redirects=False)
    assert (moved.status_code, moved.headers["location"]) == (
        303,
        f"/conformance.json?q={finding['id']}&release={rows['release']}",
    )
    assert [f["id"] for f in client.get(moved.headers["location"]).json()["findings"]] == [finding["id"]]


def test_the_page_of_a_finding_of_a_release_leads_only_to_that_release(
    client: TestClient, findings: list[dict[str, Any]], release: Release
) -> None:
    shared = next(f for f in findings if f["quote"] and sum(g["focus"] == f["focus"] for g in findings) > 1)
    address = f"/id/finding/{shared['id']}"
    for query, pages in (
        (f"?release={release.name}", (address, "/conformance", f"/conformance?q={shared['id']}&")),
        ("", (address,)),
    ):
        for path in pages:
            reply = get(client, path.rstrip("&") + (query.replace("?", "&") if "?" in path else query))
            main = reply.text.partition("<main")[2].partition("</main")[0]
            links = [link for link in re.findall(r'href="(/[^"]+)"', main) if link not in ("/", "/conformance/history")]
            assert len(links) > 8
            named = [link for link in links if f"release={release.name}" in link]
            if query:
                assert named == links, sorted({*links} - {*named})
            else:
                assert 0 < len(named) < len(links)


def test_every_link_is_a_row_of_links_csv_told_apart_by_its_basis(client: TestClient) -> None:
    reply = get(client, "/data/latest/links.csv")
    assert reply.headers["content-type"].startswith("text/csv")
    table = list(csv.DictReader(io.StringIO(reply.text)))
    stated = [row for row in table if row["basis"] == "stated"]
    assert len(stated) > 1500
    assert all(row["quote"] and row["section"] and row["line"] and row["document"] for row in stated)
    assert {row["basis"] for row in table} == {"stated", "reference", "judged", "derived"}
    assert all(bool(row["rule"]) is (row["basis"] == "derived") for row in table)
    of_output = [
        r for r in stated if (r["plan"], r["subjectCode"], r["objectCode"]) == ("buap-2018-2021", "2.1", "9.c")
    ]
    assert [(row["property"], row["line"]) for row in of_output] == [("contributesToSDGTarget", "343")]


def test_an_absent_table_or_release_is_404(client: TestClient) -> None:
    for path in ("/data/latest/none.csv", "/data/0/links.csv", "/data/latest/..%2Fcurrent"):
        problem_of(get(client, path), 404)
