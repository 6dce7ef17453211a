"""What an auditor does with the report: filters it, hands it on, compares it with last time, and accepts a finding."""

import csv
import io
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pyoxigraph as ox
import pytest
import rdflib
from fastapi.testclient import TestClient
from openpyxl import load_workbook
from rdflib import RDF, SH, Graph
from test_resources import Page, get
from test_sparql import graph_of, problem_of

from itukg import names
from itukg.conformance import (
    REPORT_FORMATS,
    Report,
    Selection,
    Waiver,
    read_baseline,
    read_waivers,
    validate,
    waived,
    write,
)
from itukg.conformance.pages import PAGE_FINDINGS, SHOWN_FORMATS
from itukg.corpus import Corpus
from itukg.errors import BadRequest, DataError, NotFound
from itukg.formats import GRAPH_FORMATS, JSONLD, JUNIT, PDF, SARIF, TURTLE
from itukg.rdf.parse import canonical_hash
from itukg.release.integrity import seal
from itukg.release.model import Release, history, known
from itukg.settings import Settings
from itukg.upload.context import ValidationContext, check_file
from itukg.web.app import create_app

ROOT = Path(__file__).parents[1]
DAY = "2026-06-01T12:00:00Z"
SHAPES = """
    @prefix itush: <https://w3id.org/itukg/shapes#> .
    @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
    @prefix sh: <http://www.w3.org/ns/shacl#> .
    @prefix ex: <urn:ex:> .
    itush:names a itush:Profile ; rdfs:label "Names"@en .
    itush:codes a itush:Profile ; rdfs:label "Codes"@en ; itush:actor itush:referenceData .
    itush:Name a sh:NodeShape ; sh:targetClass ex:Thing ; sh:property itush:Name-name , itush:Name-code , itush:Name-note .
    itush:Name-name a sh:PropertyShape ; sh:path ex:name ; sh:minCount 1 ; sh:name "Name"@en ;
        sh:message "Has no name: give it one."@en ; sh:severity sh:Violation ; rdfs:isDefinedBy itush:names .
    itush:Name-code a sh:PropertyShape ; sh:path ex:code ; sh:minLength 2 ; sh:name "Code"@en ;
        sh:message "Has a short code: look it up."@en ; sh:severity sh:Warning ; rdfs:isDefinedBy itush:codes .
    itush:Name-note a sh:PropertyShape ; sh:path ( ex:part [ sh:inversePath ex:whole ] ) ; sh:maxCount 0 ; sh:name "Note"@en ;
        sh:message "Has a note: drop it."@en ; sh:severity sh:Info ; rdfs:isDefinedBy itush:names .
"""
DATA = """
    @prefix ex: <urn:ex:> .
    ex:a a ex:Thing ; ex:code "1" , "2" .
    ex:b a ex:Thing ; ex:name "b" ; ex:part ex:p . ex:q ex:whole ex:p .
"""


def checked(data: str = DATA, shapes: str = SHAPES) -> Report:
    return validate(list(ox.parse(data, format=ox.RdfFormat.TURTLE)), Graph().parse(data=shapes)).dated(DAY)


def rows(client: TestClient, path: str) -> dict[str, Any]:
    reply = get(client, path)
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


@pytest.fixture(scope="module")
def whole(client: TestClient) -> dict[str, Any]:
    return rows(client, "/conformance.json")


# --- the model ---


def test_an_id_survives_rewording_and_not_another_value() -> None:
    ids = [f.id for f in checked().findings]
    reworded = SHAPES.replace("Has no name: give it one.", "Nameless: name it.").replace('"Code"@en', '"The code"@en')
    assert [f.id for f in checked(shapes=reworded).findings] == ids
    changed = [f.id for f in checked(DATA.replace('"1"', '"3"')).findings]
    assert len(set(ids) & set(changed)) == len(ids) - 1


def test_two_faults_of_one_value_are_two_findings() -> None:
    twice = checked(shapes=SHAPES.replace("sh:minLength 2", 'sh:minLength 2 ; sh:pattern "^X"'))
    found = [f for f in twice.findings if f.value == "1"]
    assert len(found) == 2
    assert len({f.id for f in found}) == 2


def test_a_path_of_several_steps_is_written_as_sparql_has_it() -> None:
    assert [f.path for f in checked().findings if f.severity == "Info"] == ["urn:ex:part/^urn:ex:whole"]


def test_the_actor_of_a_finding_is_stated_by_its_shape_else_its_profile_else_its_severity() -> None:
    assert {f.severity: f.actor for f in checked().findings} == {
        "Violation": "us",
        "Warning": "referenceData",
        "Info": "document",
    }
    said = checked(shapes=SHAPES.replace('sh:name "Code"@en', 'sh:name "Code"@en ; itush:actor itush:us'))
    assert {f.actor for f in said.findings if f.severity == "Warning"} == {"us"}


def test_a_severity_of_ones_own_is_counted_by_its_name() -> None:
    report = checked(shapes=SHAPES.replace("sh:Info", "<urn:ex:Grave>"))
    assert report.counts == {"Violation": 1, "Warning": 2, "Info": 0, "urn:ex:Grave": 1}


def test_what_a_file_says_of_blank_nodes_is_reported_the_same_each_time(corpus: Corpus, tmp_path: Path) -> None:
    file = tmp_path / "data.ttl"
    file.write_text(f"[] a <{names.ITU}ActionLine> . [] a <{names.ITU}Output> .")
    first, second = (check_file(ValidationContext.of_corpus(corpus), file).dated(DAY) for _ in range(2))
    assert len(first.findings) > 5
    for syntax in REPORT_FORMATS:
        assert write(first, syntax) == write(second, syntax), syntax.name
    assert {finding.file for finding in first.findings} == {file.as_posix()}


def test_the_header_says_what_was_checked_and_by_what(
    whole: dict[str, Any], corpus: Corpus, release: Release, client: TestClient
) -> None:
    header = whole["header"]
    assert (header["subject"], header["release"], header["date"]) == (release.name, release.name, release.built)
    quads = list(corpus.quads())
    shapes = ox.NamedNode(names.graph("shapes"))
    rules = [q for q in quads if q.graph_name == shapes]
    assert header["shapes"] == canonical_hash(rules)
    assert header["data"] == canonical_hash([q for q in quads if q.graph_name != shapes])
    assert header["engine"]["version"]
    assert re.fullmatch("[0-9a-f]{64}", header["engine"]["sha256"])
    profiles = graph_of(get(client, "/shapes.ttl")).subjects(RDF.type, rdflib.URIRef(f"{names.SHAPES}#Profile"))
    assert [p["name"] for p in header["profiles"]] == sorted(str(p).partition("#")[2] for p in profiles)
    assert list(header["policy"]) == ["Violation", "Warning", "Info"]
    assert header["plans"] == sorted(set(header["plans"])) != []


def test_the_date_stands_apart_from_what_is_the_same_each_time(release: Release) -> None:
    stored = json.loads((release.path / "conformance.json").read_bytes())
    assert stored["header"]["date"] is None
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", release.built)


def test_the_summary_adds_up_to_the_counts(whole: dict[str, Any]) -> None:
    for key in ("profile", "plan", "actor"):
        for severity, count in whole["counts"].items():
            assert sum(group[severity] for group in whole["summary"][key].values()) == count, key
    assert set(whole["header"]["plans"]) <= set(whole["summary"]["plan"])
    for row in whole["coverage"]:
        for number in ("covered", "total"):
            assert sum(share[number] for share in row["plans"]) == row[number]


def test_every_rule_that_was_applied_is_listed_with_or_without_findings(whole: dict[str, Any]) -> None:
    applied = {rule["shape"] for rule in whole["rules"]}
    found = {finding["shape"] for finding in whole["findings"]}
    assert found < applied
    assert all(rule["description"] and rule["label"] and rule["profile"] for rule in whole["rules"])


def test_a_finding_names_the_data_file_to_mend(whole: dict[str, Any]) -> None:
    files = {finding["file"] for finding in whole["findings"]}
    assert all((ROOT / file).is_file() for file in files)
    for finding in whole["findings"]:
        spelled = {finding["focus"].removeprefix(names.THINGS), names.shorten(finding["focus"])}
        assert any(name in (ROOT / finding["file"]).read_text() for name in spelled)


# --- filters ---


def listed(content: bytes, suffix: str) -> set[str]:
    """The ids of the findings in a rendering."""
    if suffix == ".xlsx":
        ids, *_ = load_workbook(io.BytesIO(content))["Findings"].iter_cols(values_only=True, min_row=2)
        return set(map(str, ids))
    if suffix == ".html":
        return set(re.findall('<article class="finding" id="([0-9a-f]{16})"', content.decode()))
    if suffix == ".csv":
        return set(re.findall("^([0-9a-f]{16}),", content.decode(), re.MULTILINE))
    return set(re.findall('(?:finding/|"itukg/v1": "|"id": "| \\[)([0-9a-f]{16})', content.decode()))


@pytest.mark.parametrize("suffix", [f.suffix for f in REPORT_FORMATS if f != PDF])
def test_the_same_parameters_filter_every_rendering(client: TestClient, suffix: str, whole: dict[str, Any]) -> None:
    wanted = {
        f["id"]
        for f in whole["findings"]
        if f["severity"] in ("Warning", "Info") and f["plan"] == "sp-2020-2023" and f["profile"] == "references"
    }
    assert 20 < len(wanted) < len(whole["findings"])
    address = f"/conformance/references{suffix}?plan=sp-2020-2023&severity=Warning&severity=Info"
    pages = range(1, 1 + -(-len(wanted) // PAGE_FINDINGS)) if suffix == ".html" else [1]
    found = [listed(get(client, address + (f"&page={page}" if page > 1 else "")).content, suffix) for page in pages]
    assert set().union(*found) == wanted
    assert sum(map(len, found)) == len(wanted)


@pytest.mark.parametrize("name", ["severity", "profile", "plan", "actor", "shape", "focus"])
def test_each_filter_chooses_by_its_key_of_the_rows(client: TestClient, name: str, whole: dict[str, Any]) -> None:
    value = next(finding[name] for finding in reversed(whole["findings"]) if finding[name])
    part = rows(client, f"/conformance.json?{name}={names.shorten(value).replace('#', '%23')}")
    assert part["findings"] == [f for f in whole["findings"] if f[name] == value] != []
    assert part["selection"] == {name: [value]}


def test_text_is_searched_in_every_field_of_a_finding(client: TestClient, whole: dict[str, Any]) -> None:
    finding = next(f for f in whole["findings"] if f["quote"])
    for text in (finding["quote"], finding["id"], finding["focusLabel"].upper()):
        part = get(client, "/conformance.json").url.copy_merge_params({"q": text})
        assert finding["id"] in [f["id"] for f in rows(client, str(part))["findings"]]
    assert rows(client, "/conformance.json?q=xyzzy")["findings"] == []


def test_what_is_listed_leaves_the_verdict_and_what_is_checked_does_not() -> None:
    report = checked()
    assert not report.conforms
    for selection in (Selection(severity=("Info",)), Selection(q=("note",)), Selection(actor=("document",))):
        part = report.selected(selection)
        assert (len(part.listed), part.conforms, part.counts) == (1, False, report.counts)
    part = report.selected(Selection(focus=("urn:ex:b",)))
    assert (part.conforms, part.counts) == (True, {"Violation": 0, "Warning": 0, "Info": 1})


def test_coverage_is_of_the_plan_that_is_chosen(client: TestClient, whole: dict[str, Any]) -> None:
    part = rows(client, "/conformance.json?plan=buap-2018-2021")
    shares = {
        row["shape"]: share for row in whole["coverage"] for share in row["plans"] if share["plan"] == "buap-2018-2021"
    }
    assert {row["shape"]: row["covered"] for row in part["coverage"]} == {
        shape: share["covered"] for shape, share in shares.items()
    }
    assert len(shares) >= 8


def test_a_value_that_no_report_has_is_refused_with_those_there_are(client: TestClient) -> None:
    assert "Violation, Warning, Info" in problem_of(get(client, "/conformance?severity=Grave"), 400)["detail"]
    assert "us, document" in problem_of(get(client, "/conformance.json?actor=me"), 400)["detail"]
    assert "new, persisting" in problem_of(get(client, "/conformance.csv?status=old"), 400)["detail"]
    for path in ("/conformance/nothing", "/conformance/nothing.json", "/conformance?profile=nothing"):
        assert "completeness" in problem_of(get(client, path), 404)["detail"]
    assert "buap-2018-2021" in problem_of(get(client, "/conformance?plan=bap"), 404)["detail"]
    problem_of(get(client, "/conformance/completeness.png"), 404)


@pytest.mark.parametrize("query", ["", "?severity=Info", "?plan=buap-2018-2021&q=%3Cscript%3E", "?q=a%22b"])
def test_the_page_filters_by_links_and_a_form_and_runs_nothing_of_its_own(client: TestClient, query: str) -> None:
    reply = get(client, f"/conformance.html{query}")
    page = Page(reply)
    assert re.findall(r"<script[^>]*>", reply.text) == re.findall(
        r'<script type="module" src="/assets/[^>]*>', reply.text
    )
    assert " style=" not in reply.text
    assert {"form", "select", "details"} <= set(page.elements)
    assert all(f"/conformance.{f.name}{query}" in page.links for f in SHOWN_FORMATS) or "%" in query


def test_the_page_without_a_selection_tells_how_many_each_rule_found_and_lists_none(
    client: TestClient, whole: dict[str, Any]
) -> None:
    page = get(client, "/conformance.html").text
    counts = dict(
        re.findall(r'href="/conformance\?shape=([^"#]+)#findings">[^<]+</a></th>.*?<td class="number">(\d+)<', page)
    )
    expected: dict[str, int] = {}
    for finding in whole["findings"]:
        shape = names.shorten(finding["shape"])
        expected[shape] = expected.get(shape, 0) + 1
    assert {shape: int(count) for shape, count in counts.items()} == expected
    assert listed(page.encode(), ".html") == set()


def test_a_selection_has_its_findings_in_pages_that_lead_to_one_another(
    client: TestClient, whole: dict[str, Any]
) -> None:
    wanted = [f["id"] for f in whole["findings"] if f["severity"] == "Info"]
    found: list[str] = []
    address = "/conformance?severity=Info"
    while address:
        reply = get(client, address)
        found += re.findall('<article class="finding" id="(.+?)"', reply.text)
        following = re.findall('rel="next" href="(.+?)"', reply.text)
        address = following[0].replace("&amp;", "&").partition("#")[0] if following else ""
    assert len(found) > 2 * PAGE_FINDINGS
    assert sorted(found) == sorted(wanted)
    problem_of(get(client, "/conformance.html?severity=Info&page=99"), 404)
    for refused in ("/conformance.html?severity=Info&page=0", "/conformance.json?page=2"):
        problem_of(get(client, refused), 400)


def test_the_report_and_its_largest_selection_are_small_on_the_wire(client: TestClient, whole: dict[str, Any]) -> None:
    selections = [
        f"?{name}={value}"
        for name in ("profile", "plan", "severity", "actor")
        for value in {f[name] for f in whole["findings"]} - {None}
    ]
    assert len(selections) > 12
    for query in ("", *selections):
        reply = client.get(f"/conformance{query}", headers={"accept": "text/html", "accept-encoding": "gzip"})
        assert (reply.status_code, reply.headers["content-encoding"]) == (200, "gzip")
        assert int(reply.headers["content-length"]) < 25_000, query


def test_every_link_of_the_summary_leads_to_as_many_findings_as_it_says(client: TestClient) -> None:
    page = get(client, "/conformance.html").text
    links = re.findall(r'<td class="number"><a class="\w+" href="(/conformance\?[^"]+)#findings">(\d+)</a>', page)
    assert len(links) > 8
    for link, count in links:
        assert len(rows(client, link.replace("&amp;", "&") + "&format=json")["findings"]) == int(count), link


# --- renderings ---


def test_every_rdf_syntax_holds_the_same_pure_report(client: TestClient) -> None:
    syntaxes = [f for f in REPORT_FORMATS if f in GRAPH_FORMATS and f != JSONLD]  # which fetches its context
    graphs = [
        {str(quad.triple) for quad in ox.parse(get(client, f"/conformance{f.suffix}").content, format=f.engine)}  # type: ignore[arg-type]
        for f in syntaxes
    ]
    assert len(graphs) == 5
    assert all(graph == graphs[0] for graph in graphs)


def test_a_graph_without_results_conforms_and_one_that_hides_them_does_not_say_so() -> None:
    clean = checked("<urn:ex:c> a <urn:ex:Thing> ; <urn:ex:name> 'c' .")
    part = checked().selected(Selection(q=("xyzzy",)))
    turtle = next(f for f in REPORT_FORMATS if f.name == "ttl")
    for report, conforms in ((clean, True), (part, False)):
        graph = Graph().parse(data=write(report, turtle), format="turtle")
        assert [bool(o) for o in graph.objects(None, SH.conforms)] == [conforms]
        assert set(graph.objects(None, SH.result)) == set()


def test_the_pdf_is_tagged_has_its_title_and_is_the_same_each_time(client: TestClient, release: Release) -> None:
    content = get(client, "/conformance.pdf").content
    assert content.startswith(b"%PDF-")
    for mark in (b"<pdfuaid:part>1<", b"/MarkInfo", b"/StructTreeRoot", b"/Outlines", b"/Lang"):
        assert mark in content
    assert f"Conformance report: {release.name} conforms".encode() in content
    assert write(release.report, PDF) == content


def test_formulas_in_a_csv_are_quoted_and_numbers_are_not() -> None:
    texts = ("=1+1", "+SUM(A1)", "-2+3+cmd", "@SUM(1)", "\tx", "\r=1", "-5", "+3.2", "a=1", "")
    data = "".join(
        f"<urn:ex:{n}> a <urn:ex:Thing> ; <urn:ex:name> 'n' ; <urn:ex:code> {json.dumps(text)} ."
        for n, text in enumerate(texts)
    )
    strict = SHAPES.replace("sh:minLength 2", "sh:minLength 99")
    report = checked(data, strict)
    written = csv.DictReader(
        io.StringIO(write(report, next(f for f in REPORT_FORMATS if f.name == "csv")).decode(), newline="")
    )
    found = {row["focus"]: row["value"] for row in written}
    assert [found[f"urn:ex:{n}"] for n, _ in enumerate(texts)] == [
        *(f"'{text}" for text in texts[:6]), "-5", "+3.2", "a=1", "",
    ]  # fmt: skip
    assert {f.value for f in report.findings} == {*texts}  # other syntaxes have what the data has


def test_no_word_of_a_document_is_markup_in_a_rendering() -> None:
    nasty = '#read("/etc/passwd") $x$ =1+1 <b>*_`~@x'
    report = checked(DATA.replace('"1"', json.dumps(nasty) + " , '='"))
    for syntax in REPORT_FORMATS:
        assert write(report, syntax)
    book = load_workbook(io.BytesIO(write(report, next(f for f in REPORT_FORMATS if f.name == "xlsx"))))
    kinds = {cell.data_type for sheet in book for row in sheet.iter_rows() for cell in row}
    assert kinds <= {"s", "n"}  # no formula


def test_the_workbook_holds_the_rows_and_what_stands_before_them(client: TestClient, whole: dict[str, Any]) -> None:
    book = load_workbook(io.BytesIO(get(client, "/conformance.xlsx").content))
    assert book.sheetnames == ["Summary", "Counts", "Coverage", "Findings", "Rules", "Waivers"]
    header, *lines = book["Findings"].iter_rows(values_only=True)
    assert [dict(zip(header, line, strict=True)) for line in lines] == [
        {key: value if value != "" else None for key, value in finding.items()} for finding in whole["findings"]
    ]
    facts = dict(book["Summary"].iter_rows(values_only=True, min_row=2))
    assert facts["verdict"] == whole["verdict"]
    assert facts["Warning"] == whole["counts"]["Warning"]
    assert facts["SHA-256 of the data"] == whole["header"]["data"]


def test_sarif_has_a_rule_for_each_shape_and_a_result_with_its_places_for_each_finding(
    client: TestClient, whole: dict[str, Any]
) -> None:
    reply = get(client, "/conformance", SARIF.media_type)
    document = reply.json()
    assert (document["version"], document["$schema"]) == ("2.1.0", names.SARIF_SCHEMA)
    (run,) = document["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["helpUri"] for rule in rules] == [rule["shape"] for rule in whole["rules"]]
    levels = {"Violation": "error", "Warning": "warning", "Info": "note"}
    for result, finding in zip(run["results"], whole["findings"], strict=True):
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == names.shorten(finding["shape"])
        assert result["level"] == levels[finding["severity"]]
        assert result["message"]["text"] == finding["message"]
        assert result["partialFingerprints"] == {"itukg/v1": finding["id"]}
        (place,) = result["locations"]
        assert place["physicalLocation"]["artifactLocation"]["uri"] == finding["file"]
        assert place["logicalLocations"][0]["fullyQualifiedName"] == finding["focus"]
        printed = [place["physicalLocation"]["region"]["startLine"] for place in result.get("relatedLocations", [])]
        assert printed == ([finding["line"]] if finding["line"] else [])
        assert "baselineState" not in result
        assert "suppressions" not in result


def xml_of(content: bytes) -> ET.Element:
    return ET.fromstring(content)  # noqa: S314  (we wrote it)


def test_junit_has_a_test_for_each_rule_and_fails_where_the_report_does_not_conform() -> None:
    report = checked()
    root = xml_of(write(report, JUNIT))
    tests = {test.get("name"): test for test in root.iter("testcase")}
    broken = {f.shape for f in report.findings if f.severity == "Violation"}
    assert broken
    assert {name for name, test in tests.items() if test.find("failure") is not None} == {
        f"{rule.label} ({names.shorten(rule.shape)})" for rule in report.rules if rule.shape in broken
    }
    assert len(tests) == len({*(rule.shape for rule in report.rules), *(f.shape for f in report.findings)})
    assert int(root.get("failures", "")) == len(broken)
    words = "".join(root.itertext())
    assert all(finding.message in words for finding in report.findings)
    accepted = replace(report, findings=tuple(replace(f, status="waived") for f in report.findings))
    assert xml_of(write(accepted, JUNIT)).get("failures") == "0"
    nothing = replace(
        report,
        findings=(),
        header=replace(report.header, unchecked=()),
        rules=tuple(replace(rule, nodes=0) for rule in report.rules),
    )
    assert nothing.verdict == "nothing-checked"
    assert xml_of(write(nothing, JUNIT)).get("errors") == "1"


def test_junit_of_our_data_has_a_test_for_each_rule(client: TestClient, whole: dict[str, Any]) -> None:
    root = xml_of(get(client, "/conformance", JUNIT.media_type).content)
    assert root.get("tests") == str(len(whole["rules"]))
    assert (root.get("failures"), root.get("errors")) == ("0", "0")
    assert {suite.get("name") for suite in root} == {rule["profile"] for rule in whole["rules"]}


def test_characters_that_xml_cannot_hold_are_replaced_in_junit() -> None:
    report = checked(shapes=SHAPES.replace("Has no name", r"Has no \u0001\uFFFF name"))
    assert "\ufffd" in "".join(xml_of(write(report, JUNIT)).itertext())


# --- baseline ---


def test_a_finding_is_new_or_persists_against_a_baseline_and_a_gone_one_is_fixed() -> None:
    before = checked()
    after = checked(DATA.replace('"1"', '"3"').replace('ex:name "b" ; ', ""))
    report = after.compared(before.as_rows())
    statuses = {(f.focus[-1], f.value): f.status for f in report.findings if f.severity != "Info"}
    assert statuses == {
        ("a", None): "persisting",
        ("a", "1"): "fixed",
        ("a", "2"): "persisting",
        ("a", "3"): "new",
        ("b", None): "new",
    }
    assert report.statuses == {"new": 2, "persisting": 3, "fixed": 1, "waived": 0}
    assert report.counts == after.counts  # what is fixed counts nowhere
    graph = Graph().parse(data=write(report, REPORT_FORMATS[1]), format="turtle")
    assert len(set(graph.objects(None, SH.result))) == len(after.findings)
    states = [r["baselineState"] for r in json.loads(write(report, SARIF))["runs"][0]["results"]]
    assert sorted(states) == ["absent", "new", "new", "unchanged", "unchanged", "unchanged"]
    assert [f.status for f in report.selected(Selection(status=("fixed",))).listed] == ["fixed"]
    again = after.compared(report.as_rows())  # what was fixed before is not fixed again
    assert again.statuses == {"new": 0, "persisting": 5, "fixed": 0, "waived": 0}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[]", "not a report"),
        ("{}", "not a report"),
        ("<", "not a report"),
        ('{"findings": [{}], "release": null}', "not a report"),
        ('{"findings": [], "release": null, "selection": {"q": ["x"]}}', "part of a report"),
    ],
)
def test_a_file_that_is_no_whole_report_is_no_baseline(tmp_path: Path, content: str, words: str) -> None:
    file = tmp_path / "old.json"
    file.write_text(content)
    with pytest.raises(DataError, match=words) as refused:
        read_baseline(file)
    assert "--format json" in str(refused.value)
    with pytest.raises(DataError, match="No such file"):
        read_baseline(tmp_path / "none.json")


def test_a_report_on_a_part_is_a_baseline_for_the_same_part(tmp_path: Path) -> None:
    """As `itukg check --profile preparation --baseline` has it, of a report that was made with the same profile."""
    part = Selection(profile=("preparation",))
    file = tmp_path / "old.json"
    file.write_text(json.dumps(checked().as_rows() | {"selection": part.as_row()}))
    assert read_baseline(file, Selection(profile=("preparation",), severity=("Warning",)))["selection"] == part.as_row()
    for other in (Selection(), Selection(profile=("structure",)), Selection(profile=("preparation",), plan=("x",))):
        with pytest.raises(DataError, match="part of a report"):
            read_baseline(file, other)


def test_a_report_of_an_older_version_is_still_read(tmp_path: Path) -> None:
    old = checked().as_rows()
    kept = {key: old[key] for key in ("release", "verdict", "counts")}
    kept["coverage"] = [{"shape": "urn:s", "label": "S", "covered": 1, "total": 2, "percent": 50.0}]
    added = ("actor", "file", "waiver")
    kept["findings"] = [{k: v for k, v in row.items() if k not in added} for row in old["findings"]]
    report = Report.from_rows(json.loads(json.dumps(kept)), b"")
    assert [f.id for f in report.findings] == [f["id"] for f in old["findings"]]
    assert [row.percent for row in report.coverage] == [50.0]
    for syntax in REPORT_FORMATS:
        assert write(report, syntax), syntax.name
    file = tmp_path / "old.json"
    file.write_text(json.dumps(kept))
    assert checked().compared(read_baseline(file)).statuses["persisting"] == len(report.findings)


# --- waivers ---


def waiver(**given: Any) -> Waiver:
    finding = next(f for f in checked().findings if f.severity == "Violation")
    named: dict[str, Any] = {"reason": "It has none.", "owner": "Curator", "expires": date(2026, 6, 1)}
    return Waiver(**named | ({} if "shape" in given else {"finding": finding.id}) | given)


def test_a_waived_finding_stays_with_its_reason_and_does_not_count() -> None:
    report = checked()
    by_place = waiver(shape=f"{names.SHAPES}#Name-name", focus="urn:ex:a")
    for each in (waiver(), by_place):
        accepted = waived(report, [each])
        assert accepted.conforms
        assert len(accepted.findings) == len(report.findings)
        assert [(f.status, f.waiver) for f in accepted.findings if f.severity == "Violation"] == [
            ("waived", "It has none.")
        ]
        assert (accepted.counts["Violation"], accepted.statuses) == (0, {"waived": 1})
        assert accepted.waivers[0]["waives"] == 1
        assert accepted.compared(report.as_rows()).statuses == {"new": 0, "persisting": 3, "fixed": 0, "waived": 1}
        (suppressed,) = [r for r in json.loads(write(accepted, SARIF))["runs"][0]["results"] if "suppressions" in r]
        assert suppressed["suppressions"][0]["justification"] == "It has none."
        graph = Graph().parse(data=write(accepted, TURTLE), format="turtle")
        [result] = graph.subjects(rdflib.URIRef(names.SHAPES + "#waiver"), rdflib.Literal("It has none."))
        assert graph.value(result, SH.resultSeverity) == SH.Violation
        for syntax in REPORT_FORMATS:
            assert write(accepted, syntax)
        assert "It has none." in write(accepted, REPORT_FORMATS[0]).decode()


@pytest.mark.parametrize(
    ("given", "published", "words"),
    [
        ({"expires": date(2026, 5, 31)}, False, "Expired on 2026-05-31"),
        ({"finding": "0" * 16}, False, "Unknown"),
        ({}, True, "cannot be waived"),
    ],
)
def test_a_waiver_that_does_not_hold_waives_nothing_and_says_why(given: Any, published: bool, words: str) -> None:
    report = waived(checked(), [waiver(**given)], published=published)
    assert not report.conforms
    assert words in report.waivers[0]["problem"]
    assert words in write(report, REPORT_FORMATS[0]).decode()


GOOD = 'finding = "0123456789abcdef"\nreason = "r"\nowner = "o"\nexpires = 2027-01-01\n'


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (GOOD.replace('reason = "r"\n', ""), "waiver 2 has no reason"),
        (GOOD.replace('"r"', '" "'), "waiver 2: reason must be a string that is not empty"),
        (GOOD.replace('owner = "o"\n', ""), "waiver 2 has no owner"),
        (GOOD.replace("2027-01-01", '"soon"'), "waiver 2: expires must be a date"),
        (GOOD.replace("2027-01-01", "2027-01-01T00:00:00Z"), "waiver 2: expires must be a date"),
        (GOOD + 'focus = "x"\n', "waiver 2: name a finding"),
        (GOOD.replace("finding", "shape"), "waiver 2: name a finding"),
        (GOOD + 'by = "me"\n', "waiver 2: no key by"),
        ("finding = \n", "line"),
    ],
)
def test_a_waiver_without_reason_owner_or_day_is_an_error_that_names_it(tmp_path: Path, entry: str, words: str) -> None:
    file = tmp_path / "waivers.toml"
    file.write_text(f"[[waiver]]\n{GOOD}")
    assert [w.expires for w in read_waivers(file)] == [date(2027, 1, 1)]
    file.write_text(f"[[waiver]]\n{GOOD}[[waiver]]\n{entry}")
    with pytest.raises(DataError, match=words) as refused:
        read_waivers(file)
    assert str(file) in str(refused.value)


def test_a_file_with_more_than_waivers_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "waivers.toml"
    for content in ("[waiver]\nreason = 'x'\n", "title = 'x'\n"):
        file.write_text(content)
        with pytest.raises(DataError, match="expected only"):
            read_waivers(file)
    with pytest.raises(DataError, match="No such file"):
        read_waivers(tmp_path / "none.toml")


# --- history ---


@pytest.fixture(scope="module")
def later(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A release like ours, built a year later, with one finding mended, one new and one waived; ours is beside it."""
    home = tmp_path_factory.mktemp("history")
    first, second = (home / "releases" / name for name in (release.name, "0" * 16))
    for folder in (first, second):
        shutil.copytree(release.path, folder)
    stored = json.loads((second / "conformance.json").read_bytes())
    stored["release"] = stored["header"]["release"] = stored["header"]["subject"] = second.name
    new = {**stored["findings"][0], "id": "f" * 16, "severity": "Warning"}
    stored["findings"] = [new, *stored["findings"][1:]]
    accepted = stored["findings"][1]["id"]
    (second / "conformance.json").write_text(json.dumps(stored))
    (second / "built").write_text(f"{int(release.built[:4]) + 1}{release.built[4:]} {release.order[0] + 1}\n")
    (second / "waivers.toml").write_text(
        f'[[waiver]]\nfinding = "{accepted}"\nreason = "Agreed."\nowner = "Curator"\nexpires = 2999-01-01\n'
    )
    seal(second)
    (home / "releases" / ".draft-x").mkdir()
    return Release(second)


@pytest.fixture(scope="module")
def grown(later: Release) -> Iterator[TestClient]:
    with TestClient(create_app(Settings(home=later.home), later)) as client:
        yield client


def test_the_served_report_is_compared_with_the_release_built_before_it(
    grown: TestClient, later: Release, release: Release, whole: dict[str, Any]
) -> None:
    report = rows(grown, "/conformance.json")
    assert report["baseline"] == {"subject": release.name, "date": release.built}
    assert report["statuses"] == {"new": 1, "persisting": len(whole["findings"]) - 2, "fixed": 1, "waived": 1}
    (fixed,) = [f for f in report["findings"] if f["status"] == "fixed"]
    assert fixed["id"] == whole["findings"][0]["id"]
    assert rows(grown, "/conformance.json?status=fixed")["findings"] == [fixed]
    assert whole["baseline"] is None
    assert [each.name for each in known(later.home)] == [release.name, later.name]
    assert Release(later.home / "releases" / release.name).before is None


def test_the_page_shows_what_changed_and_what_is_waived(grown: TestClient, release: Release) -> None:
    page = Page(get(grown, "/conformance"))
    assert f"Compared with {release.name}" in " ".join(page.text.split())
    assert {f"/conformance?status={s}#findings" for s in ("new", "persisting", "fixed", "waived")} <= set(page.links)
    waived_here = Page(get(grown, "/conformance?status=waived"))
    assert "Agreed." in waived_here.text


def test_the_history_has_a_row_for_each_release_with_what_changed(
    grown: TestClient, later: Release, release: Release, whole: dict[str, Any]
) -> None:
    found = rows(grown, "/conformance/history.json")["releases"]
    assert [row["release"] for row in found] == [release.name, later.name]
    assert (found[0]["new"], found[0]["fixed"], found[0]["verdict"]) == (None, None, "conforms")
    assert found[0]["warnings"] == whole["counts"]["Warning"]
    assert (found[1]["new"], found[1]["fixed"], found[1]["warnings"]) == (1, 1, whole["counts"]["Warning"] - 1)
    assert found == [row.__dict__ for row in history(later.home)]
    lines = get(grown, "/conformance/history", "text/csv").text.splitlines()
    assert lines[0] == "release,built,verdict,violations,warnings,infos,new,fixed"
    assert len(lines) == 3
    page = Page(get(grown, "/conformance/history"))
    assert {"svg", "table"} <= set(page.elements)
    assert all(name in page.text for name in (release.name, later.name))
    assert "csv, json" in problem_of(get(grown, "/conformance/history?format=pdf"), 406)["detail"]
    problem_of(get(grown, "/conformance/history.pdf"), 404)


def test_a_selection_refuses_what_it_cannot_mean() -> None:
    with pytest.raises(BadRequest):
        Selection(severity=("grave",))
    with pytest.raises(NotFound):
        checked().selected(Selection(profile=("x",)))
    assert Selection.of({"severity": [""], "other": ["x"]}) == Selection()
