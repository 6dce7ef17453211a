"""No false pass: the same data gets the same verdict wherever it is checked, and a verdict is about something."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyoxigraph as ox
import pytest
from conftest import PLAN, run_command, small_corpus, wait_until_ready
from fastapi.testclient import TestClient
from rdflib import OWL, RDF, SH, Graph, Literal, URIRef
from test_cli import Run, itukg  # noqa: F401  (a fixture)
from test_shapes import CASES, Case, parsed, shapes_of

from itukg import names
from itukg.conformance import Report, Selection, write, write_text
from itukg.conformance.check import check_corpus
from itukg.corpus import Corpus
from itukg.errors import DataError
from itukg.evidence import SourceText, unverified, without_text_copy
from itukg.formats import HTML, JSON, TURTLE
from itukg.rdf.parse import parse_rdf, read_rdf
from itukg.release.model import Release, current
from itukg.settings import Settings
from itukg.upload.context import UPLOAD_GRAPH, ValidationContext, check_file
from itukg.web.app import create_app

FAULTS = f"""@prefix itu: <{names.ITU}> . @prefix sdg: <{names.SDG}> . @prefix skos: <{names.PREFIXES["skos"]}> .
@base <{names.THINGS}> .
# links without evidence, of a thing that is sent and of one of ours
<x/output/1> a itu:Output ; itu:contributesToSDGTarget sdg:9.c .
<buap-2018-2021/output/2.1> itu:contributesToSDGTarget sdg:1.1 .
# evidence for a link that is not there
<x/linkage/2> a itu:Linkage ; itu:subject <x/output/2> ; itu:predicate itu:contributesToSDGTarget ;
    itu:object sdg:9.c ; itu:basis itu:judged ; itu:rationale "A reason"@en .
# derived, and no rule is named
<x/output/3> itu:contributesToSDGTarget sdg:9.c .
<x/linkage/3> a itu:Linkage ; itu:subject <x/output/3> ; itu:predicate itu:contributesToSDGTarget ;
    itu:object sdg:9.c ; itu:basis itu:derived .
# the IRI of another plan's thing
<x/output/4> itu:plan <buap-2018-2021> ; skos:notation "4" .
"""
FOUND = {
    ("TripleEvidenced", "x/output/1"),
    ("TripleEvidenced", "buap-2018-2021/output/2.1"),
    ("LinkageLinked", "x/linkage/2"),
    ("DerivedLinkage", "x/linkage/3"),
    ("IriOfThing", "x/output/4"),
}
"""Shapes, and the things that they find at fault."""


def of_interest(findings: Iterable[Mapping[str, Any]]) -> set[tuple[str, str]]:
    """The violations of the shapes above."""
    found = {
        (f["shape"].rpartition("#")[2], names.shorten(f["focus"])) for f in findings if f["severity"] == "Violation"
    }
    return {(shape, thing) for shape, thing in found if shape in dict(FOUND)}


def test_a_fault_is_found_in_what_is_sent_in_a_file_and_in_a_build(
    client: TestClient,
    itukg: Run,  # noqa: F811
    corpus: Corpus,
    tmp_path: Path,
) -> None:
    for parameters in ("", "&with-release=1"):
        reply = client.post(
            f"/validate?format=json{parameters}", content=FAULTS, headers={"content-type": "text/turtle"}
        )
        assert (reply.status_code, reply.json()["verdict"]) == (200, "does not conform")
        assert of_interest(reply.json()["findings"]) == FOUND
    file = tmp_path / "data.ttl"
    file.write_text(FAULTS)
    done = itukg("check", file, "--format", "json")
    assert done.returncode == 1
    assert of_interest(json.loads(done.stdout)["findings"]) == FOUND
    built = check_corpus(corpus, [*corpus.quads(), *read_rdf(file, names.graph("sent"))])
    assert of_interest(map(asdict, built.findings)) == FOUND


def test_a_link_by_every_property_that_needs_evidence_is_looked_at() -> None:
    shape = URIRef(f"{names.PREFIXES['itush']}TripleEvidenced")
    evidenced = set(parsed("ontology/itukg.ttl").subjects(RDF.type, URIRef(f"{names.ITU}EvidencedProperty")))
    assert len(evidenced) > 15
    assert set(shapes_of("evidence").objects(shape, SH.targetSubjectsOf)) == evidenced


COMPLETED = {
    "RegionalSplit": "the schemes have six regions, with which the example's shares make up 100 %",
}
"""Shapes whose failing example is in order beside our schemes, and why."""


@pytest.mark.exhaustive
def test_what_a_shape_finds_it_finds_in_what_is_sent(corpus: Corpus) -> None:
    context = ValidationContext.of_corpus(corpus)
    passed = {case.folder.name for case in CASES if str(case.shape) not in sent(context, case)}
    assert len(CASES) > 130
    assert passed == COMPLETED.keys()


def sent(context: ValidationContext, case: Case) -> set[str]:
    """The shapes that find something in the failing example of one of them."""
    return {finding.shape for finding in check_file(context, case.folder / "fail.ttl").findings}


# --- words that are not the document's ---


def garbled(root: Path) -> Path:
    """A copy of one plan's files in which a word of a label is not the document's; the path of the file."""
    file = small_corpus(root) / "data" / "plans" / f"{PLAN}.ttl"
    text = file.read_text()
    assert text.count('"Enhanced review and ') == 1
    file.write_text(text.replace('"Enhanced review and ', '"Improved review and '))
    return file


def test_data_whose_words_were_not_checked_is_built_only_where_that_is_wanted_and_says_so(tmp_path: Path) -> None:
    file = garbled(tmp_path / "corpus")
    name = file.relative_to(tmp_path / "corpus").as_posix()
    here = {"ITUKG_CORPUS": tmp_path / "corpus", "ITUKG_HOME": tmp_path / "home"}
    for command in (["build"], ["query", "ASK {}"], ["export", "links.csv"]):
        refused = run_command(*command, **here)
        assert refused.returncode == 2
        assert f"{name} has changed since it was checked" in refused.stderr and "itukg evidence" in refused.stderr
    assert not (tmp_path / "home" / "current").exists()
    built = run_command("build", "--unverified", **here)
    assert (built.returncode, f"Not verified: {name}" in built.stderr) == (0, True)
    assert f"Not verified: {name} has changed" in run_command("check", **here).stdout
    release = current(tmp_path / "home")
    assert release is not None and release.unverified.keys() == {name}
    with TestClient(create_app(Settings(home=tmp_path / "home"), release)) as client:
        wait_until_ready(client)
        for path in ("/data/latest", "/conformance"):
            page = client.get(path, headers={"accept": "text/html"}).text
            assert re.search(rf"Not verified:(</strong>)? <code>{re.escape(name)}</code>", page), path
        assert "This release is not verified" in client.get("/").text
        assert client.get("/conformance.json").json()["header"]["unverified"].keys() == {name}
        assert client.get("/data/latest.json").json()["unverified"].keys() == {name}
        assert client.get("/conformance.pdf").content.startswith(b"%PDF-")
    # Whoever has built it so may serve it so, and who builds without asking for that is refused again.
    assert run_command("query", "ASK {}", **here).returncode == 0
    assert run_command("build", **here).returncode == 2


def test_what_was_never_checked_or_not_found_is_not_verified_either(tmp_path: Path) -> None:
    corpus = Corpus(small_corpus(tmp_path))
    record = tmp_path / "data" / "evidence.json"
    assert unverified(corpus) == {}
    kept = json.loads(record.read_bytes())
    name = f"data/plans/{PLAN}.ttl"
    kept["files"][name]["found"] -= 1
    record.write_text(json.dumps(kept))
    assert unverified(corpus) == {name: "has words that are not on the lines it names (1)"}
    record.unlink()
    assert unverified(corpus)[name] == "was never checked against the documents"


def test_a_record_of_another_text_copy_is_no_verification(tmp_path: Path) -> None:
    corpus = Corpus(small_corpus(tmp_path))
    record = tmp_path / "data" / "evidence.json"
    kept = json.loads(record.read_bytes())
    document = f"document/{PLAN}"
    kept["documents"][document]["sha256"] = "0" * 64
    record.write_text(json.dumps(kept))
    assert unverified(corpus) == {"data/evidence.json": f"is of another text copy of {document} than the data"}


def test_words_are_of_every_file_that_says_something_of_their_thing(tmp_path: Path) -> None:
    corpus = Corpus(small_corpus(tmp_path))
    (tmp_path / "data" / "aside.ttl").write_text(
        f'@prefix rdfs: <{names.PREFIXES["rdfs"]}> .\n<{names.THINGS}{PLAN}/output/2.1> rdfs:label "Forged"@en .\n'
    )
    assert unverified(corpus) == {"data/aside.ttl": "was never checked against the documents"}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"files": {"a": {}}}', '{"files": {"a": {"sha256": "", "found": 1}}}']
)
def test_a_record_that_is_none_is_an_error_that_names_it(tmp_path: Path, text: str) -> None:
    corpus = Corpus(small_corpus(tmp_path))
    (tmp_path / "data" / "evidence.json").write_text(text)
    with pytest.raises(DataError, match=r"evidence\.json is no record"):
        unverified(corpus)


def test_a_data_file_whose_name_is_no_part_of_an_iri_is_refused_by_name(tmp_path: Path) -> None:
    root = small_corpus(tmp_path)
    (root / "data" / "a b.ttl").write_text("")
    with pytest.raises(DataError, match=r"a b\.ttl"):
        Corpus(root).files()


def test_the_release_of_our_own_files_is_verified(release: Release, corpus: Corpus) -> None:
    assert (unverified(corpus), without_text_copy(corpus), release.unverified) == ({}, {}, {})


# --- a verdict is about something ---

FOREIGN = "<urn:a> a <urn:C> ; <urn:p> <urn:b> .\n"
SHACL = "@prefix sh: <http://www.w3.org/ns/shacl#> . @prefix e: <urn:e:> .\n"
UNTARGETED = f'{SHACL}e:s a sh:NodeShape ; sh:message "m" ; sh:property [ sh:path e:p ; sh:minCount 1 ] .\n'
AT_A_NODE = f'{SHACL}e:s a sh:NodeShape ; sh:targetNode e:lacking ; sh:message "m" ; sh:property [ sh:path e:p ; sh:minCount 1 ] .\n'


@pytest.fixture(scope="module")
def context(corpus: Corpus) -> ValidationContext:
    return ValidationContext.of_corpus(corpus)


def checked(context: ValidationContext, data: str, shapes: str | None = None, *, with_release: bool = False) -> Report:
    graphs = [list(parse_rdf(text.encode(), ox.RdfFormat.TURTLE, UPLOAD_GRAPH)) for text in (data, shapes or "")]
    sent = None if shapes is None else graphs[1]
    return context.check(graphs[0], "data", shapes=sent, with_release=with_release)


@pytest.mark.parametrize(
    ("data", "shapes"),
    [("", None), ("# nothing\n", None), (FOREIGN, None), (FOREIGN, ""), (FOREIGN, UNTARGETED), ("", UNTARGETED)],
    ids=["no data", "a comment", "another vocabulary", "no shapes", "shapes without a target", "neither"],
)
def test_a_verdict_about_nothing_says_so(context: ValidationContext, data: str, shapes: str | None) -> None:
    report = checked(context, data, shapes)
    assert (report.verdict, report.conforms) == ("nothing-checked", False)
    assert [rule.nodes for rule in report.rules] == [0] * len(report.rules)
    assert report.header.unchecked == (("urn:a",) if data == FOREIGN else ())
    rows = json.loads(write(report, JSON))
    assert (rows["verdict"], rows["header"]["unchecked"]) == ("nothing-checked", list(report.header.unchecked))
    assert "nothing-checked" in write_text(report) and "looked at" in write_text(report)
    assert b"nothing-checked" in write(report, HTML)
    assert Report.from_rows(rows, report.graph).verdict == "nothing-checked"


@pytest.mark.parametrize(
    "said",
    [
        'a <http://w3id.org/itukg/ontology#Output> ; rdfs:label "Launch"@en',
        'a skos:Concept ; rdfs:label "Launch"@en ; skos:notation "1" ; dcterms:source <urn:b>',
        "dcterms:source <urn:b>",
    ],
    ids=["http for https", "SKOS", "one source"],
)
def test_what_the_ontology_does_not_describe_is_not_checked(context: ValidationContext, said: str) -> None:
    report = checked(context, f"{names.PROLOGUE}<urn:a> {said} .\n")
    assert (report.verdict, report.header.unchecked) == ("nothing-checked", ("urn:a",))
    label = next(rule for rule in report.rules if rule.shape == names.PREFIXES["itush"] + "TextLanguage")
    assert label.nodes == 0


PASSED = (
    ("TermKnown", "itu:line 5", "itu:line 5 ; itu:contributesToSDGTargets sdg:9.b", "(similar: itu:contributesToSDGTarget)"),
    ("TermKnown", "itu:line 5", "a itu:Outputs ; itu:line 5", "itu:Outputs (similar: itu:Output)"),
    ("TextHasWords", '"Indicator: Share of people who use the Internet"', '""', "itu:quote"),
    ("TextHasWords", '"Indicator: Share of people who use the Internet"', '"..."', "itu:quote"),
    ("TextHasWords", '"Bring everybody online"', '" "', "rdfs:label"),
    ("StatedOneWay", "itu:line 5", "itu:line 5 ; itu:contributesTo sdg:9", "itu:contributesTo,"),
    ("StatedOneWay", "itu:line 3", "itu:line 3 ; itu:deliveredBy <example-2030-2033/output/1.1>", "itu:deliversOutcome"),
    ("LineInDocument", "itu:line 5", "itu:line 8", "line 8 of a document that has 7 lines"),
    ("LabelClean-label", '"Bring everybody online"', '"• 1 Bring everybody online"', "bullet"),
    ("LabelClean-label", '"Bring everybody online"', '"Bring everybody online [footnoteRef:1]"', "footnote"),
    ("LabelClean-label", '"Bring everybody online"', '"Bring <b>everybody</b> online &amp; happy"', "mark-up"),
)  # fmt: skip
"""Shapes, a piece of the invented plan, a fault in its place, and what the finding names."""


@pytest.mark.parametrize(("shape", "piece", "fault", "words"), PASSED)
def test_a_fault_that_no_link_shows_is_found(
    context: ValidationContext, shape: str, piece: str, fault: str, words: str
) -> None:
    assert piece in INVENTED
    report = checked(context, INVENTED.replace(piece, fault, 1), with_release=True)
    found = [f for f in report.findings if f.severity == "Violation"]
    assert {f.shape.rpartition("#")[2] for f in found} == {shape}
    assert [f.message for f in found if words not in f.message] == []
    assert words in write(report, TURTLE).decode()


def test_no_property_that_follows_from_others_is_left_out() -> None:
    shape = URIRef(f"{names.PREFIXES['itush']}StatedOneWay")
    follow = set(parsed("ontology/itukg.ttl").subjects(OWL.inverseOf)) | {URIRef(names.ITU + "contributesTo")}
    assert len(follow) > 20
    assert set(shapes_of("evidence").objects(shape, SH.targetSubjectsOf)) == follow


def test_an_indicator_that_is_repeated_under_one_result_is_seen(context: ValidationContext) -> None:
    [block] = re.findall(r"^<example-2030-2033/indicator/1\.1-I1> .*?\.\n\n", INVENTED, re.DOTALL | re.MULTILINE)
    twice = INVENTED + block.replace("1.1-I1", "1.1-I2")
    found = [f for f in checked(context, twice).findings if f.shape.endswith("#IndicatorListedTwice")]
    assert [f.message.count("(line 4)") for f in found] == [2]


def test_a_file_about_nothing_ends_with_1(itukg: Run, tmp_path: Path) -> None:  # noqa: F811
    file = tmp_path / "empty.ttl"
    file.write_text("# nothing\n")
    done = itukg("check", file)
    assert (done.returncode, done.stdout.startswith("nothing-checked: 0 violations")) == (1, True)


def test_each_rule_says_at_how_many_things_it_looked_and_the_report_at_which_none_did(
    context: ValidationContext,
) -> None:
    output = f"@prefix itu: <{names.ITU}> .\n<urn:output> a itu:Output .\n{FOREIGN}"
    report = checked(context, output)
    nodes = {rule.shape.rpartition("#")[2]: rule.nodes for rule in report.rules}
    assert (nodes["Thing-label"], nodes["OutputOutcome-complete"], nodes["Linkage-subject"]) == (1, 1, 0)
    assert report.header.unchecked == ("urn:a",)
    assert report.verdict == "does not conform"
    part = report.selected(Selection(profile=("budget",)))
    assert (part.verdict, part.counts["Violation"]) == ("nothing-checked", 0)


def test_a_node_that_the_data_lacks_is_looked_at_where_a_shape_names_it(context: ValidationContext) -> None:
    report = checked(context, FOREIGN, AT_A_NODE)
    assert [(f.focus, f.severity) for f in report.findings] == [("urn:e:lacking", "Violation")]
    assert (report.verdict, report.rules[0].nodes) == ("does not conform", 1)


@pytest.mark.parametrize(("severity", "conforms"), [("Violation", False), ("Warning", True), ("Info", True)])
def test_rdf_and_rows_agree_and_name_what_decides(context: ValidationContext, severity: str, conforms: bool) -> None:
    shape = f'{SHACL}e:s a sh:NodeShape ; sh:targetClass <urn:C> ; sh:severity sh:{severity} ; sh:message "m" ; sh:nodeKind sh:Literal .\n'
    report = checked(context, FOREIGN, shape)
    assert len(report.findings) == 1
    graph = Graph().parse(data=write(report, TURTLE), format="turtle")
    [stated] = graph.subjects(RDF.type, SH.ValidationReport)
    assert graph.value(stated, SH.conforms) == Literal(conforms)
    assert set(graph.objects(stated, URIRef(names.SH + "conformanceDisallows"))) == {SH.Violation}
    rows = json.loads(write(report, JSON))
    assert (rows["verdict"] == "conforms", rows["header"]["disallows"]) == (conforms, ["Violation"])


def test_a_build_that_fails_prints_a_screen_of_violations(itukg: Run, tmp_path: Path) -> None:  # noqa: F811
    root = small_corpus(tmp_path)
    faults = "".join(f"<urn:x:{n}> a itu:Output .\n" for n in range(20))
    (root / "data" / "plans" / "x.ttl").write_text(f"@prefix itu: <{names.ITU}> .\n{faults}")
    done = itukg("build", ITUKG_CORPUS=root, ITUKG_HOME=tmp_path / "home")
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert len(lines) < 40 and "more violations" in done.stderr and "itukg check" in lines[-1]
    assert not any(line.startswith(("Warning", "Info")) for line in lines)


PROJECT = Path(__file__).parents[1]


def test_a_part_of_a_word_is_not_the_documents_word() -> None:
    text = SourceText(b"Number of partnerships\nsigned12, 2.1 of them")
    assert text.find("Number of partner", 1) is None
    assert text.find("umber of partnerships", 1) is None
    assert text.find("Number of partnerships signed", 1) == range(1, 3)
    assert text.find("2.1", 2) == range(2, 3)


def test_a_thing_that_no_shape_looked_at_does_not_conform(context: ValidationContext) -> None:
    line = f'<urn:b> a <{names.ITU}ActionLine> ; <{names.PREFIXES["skos"]}notation> "C1" ; <{names.PREFIXES["rdfs"]}label> "x"@en .'
    report = checked(context, FOREIGN + line)
    assert report.verdict == "conforms"
    assert report.selected(Selection(focus=("urn:a",))).verdict == "nothing-checked"
    assert report.selected(Selection(focus=("urn:b",))).verdict == "conforms"


def test_shapes_that_are_sent_find_faults_in_what_the_data_links_to(context: ValidationContext) -> None:
    data = f"<urn:a> <urn:e:link> <{names.THINGS}wsis/C1> ."
    shape = f'{SHACL}e:s a sh:NodeShape ; sh:targetObjectsOf e:link ; sh:message "m" ; sh:class e:Foo .\n'
    assert [f.focus for f in checked(context, data, shape).findings] == [f"{names.THINGS}wsis/C1"]


INVENTED = (PROJECT / "tests" / "invented" / "example-2030-2033.ttl").read_text()


def unplaced(data: str) -> str:
    """The plan as it is while its document is written: without sections and lines."""
    return re.sub(r" ;\n +itu:(?:section \"[^\"]*\"|line [0-9]+|sha256 \"[^\"]*\"|lineCount [0-9]+)", "", data)


def test_a_plan_in_preparation_is_asked_for_its_words_and_not_for_its_places(context: ValidationContext) -> None:
    finished = checked(context, INVENTED, with_release=True)
    assert finished.verdict == "conforms"
    preparation, places = Selection(profile=("preparation",)), Selection(profile=("places",))
    draft = checked(context, unplaced(INVENTED), with_release=True)
    assert draft.verdict == "does not conform"
    violations = [f for f in draft.findings if f.severity == "Violation"]
    assert {f.profile for f in violations} == {"places"}
    assert len({f.shape for f in violations}) == 5
    assert draft.selected(places).counts["Violation"] == len(violations)
    assert draft.selected(preparation).verdict == "conforms"
    assert draft.selected(preparation).counts == finished.selected(preparation).counts
    unsourced = re.sub(r" ;\n    dcterms:source [^;.]+", "", unplaced(INVENTED))
    found = checked(context, unsourced).selected(preparation)
    assert {"Thing-source", "StatedLinkage"} <= {f.shape.rpartition("#")[2] for f in found.findings}


def test_a_plan_without_places_is_told_of_the_profile_that_fits(context: ValidationContext) -> None:
    draft = checked(context, unplaced(INVENTED), with_release=True)
    hint = draft.hint or ""
    assert "violations ask for sections and lines" in hint and "profile preparation" in hint
    assert write_text(draft).count(hint) == write(draft, HTML).decode().count(hint) == 1
    assert json.loads(write(draft, JSON))["hint"] == hint
    others = (
        draft.selected(Selection(profile=("preparation",))),
        checked(context, INVENTED, with_release=True),
        checked(context, INVENTED.replace("itu:line 5", "itu:line 8", 1), with_release=True),
    )
    assert [report.hint for report in others] == [None, None, None]


def test_an_iri_that_leads_nowhere_is_reported_with_what_uses_it(context: ValidationContext) -> None:
    [found] = [f for f in checked(context, INVENTED).findings if f.shape.endswith("#IriResolves")]
    assert "which example-2030-2033/" in found.message


def test_a_gap_without_line_or_words_leaves_no_bare_marks(context: ValidationContext) -> None:
    unlined = checked(context, unplaced(INVENTED), with_release=True)
    [gap] = [f for f in unlined.findings if f.shape.endswith("#GapReported")]
    assert "(“Resolutions" in gap.message
    unworded = re.sub(r'itu:quote "Resol[^"]*"', 'itu:quote ""', INVENTED)
    messages = [f.message for f in checked(context, unworded).findings if f.shape.endswith("#GapReported")]
    assert messages and not [text for text in messages if "“”" in text]
    [few] = [f for f in unlined.findings if f.shape.endswith("#IndicatorsWithoutTargets")]
    assert "for 1 indicator:" in few.message


def test_places_are_asked_of_whatever_has_a_source() -> None:
    shapes = [Graph().parse(data=(PROJECT / "shapes" / f"{name}.ttl").read_text()) for name in ("structure", "places")]
    asked = [
        set(graph.objects(URIRef(names.SHAPES + "#" + shape), SH.targetClass))
        for graph, shape in zip(shapes, ("Thing", "PlacedThing"), strict=True)
    ]
    assert asked[0] == asked[1]
    assert len(asked[0]) > 30


def test_preparation_is_every_profile_but_places(context: ValidationContext) -> None:
    profiles = {p["name"]: p["parts"] for p in checked(context, INVENTED).header.profiles}
    assert {*profiles.pop("preparation"), "places"} == set(profiles)
    assert not any(profiles.values())


# --- one fact of a document, one finding ---

BUAP, SP20, SP24, DRAFT, TDAG = (
    "buap-2018-2021",
    "sp-2020-2023",
    "sp-2024-2027",
    "bap-2026-2029-draft",
    "tdag-26-2-add-2",
)
FACTS = (
    # several links or gaps of one passage
    *(("SdgGoalOnly", BUAP, line, ("Goals 1, 5, 10",)) for line in (133, 151, 170, 198)),
    ("SdgGoalOnly", BUAP, 185, ("Goals 5, 10",)),
    ("GapReported", TDAG, 124, ("T1.2-O1 (line 125)", "T1.2-O2 (line 126)", "“Network and digital infrastructure”")),
    ("GapReported", TDAG, 165, ("T2.1-O1 (line 166)", "T2.1-O2 (line 168)")),
    ("GapReported", TDAG, 191, ("T2.3-O1 (line 192)", "T2.3-O2 (line 194)")),
    ("GapReported", TDAG, 238, ("T3.1-O1 (line 239)", "T3.1-O2 (line 240)")),
    ("GapReported", TDAG, 320, ("T5.1-O1 (line 321)", "T5.1-O2 (line 322)", "T5.1-O3 (line 323)")),
    ("GapReported", TDAG, 270, ("Priority 4",)),
    ("GapReported", DRAFT, 184, ("No outcome names", "No output names", "missing: supported by, resolution")),
    ("GapReported", DRAFT, 188, ("a WSIS action line", "names an outcome", "an SDG target", "Development Goal")),
    ("GapReported", TDAG, 352, ("which outcomes an output delivers", "which outputs deliver which outcome")),
    ("GapReported", SP20, 284, ("pair no outcome with an output", "missing: delivered by, delivers outcome")),
    ("GapReported", TDAG, 9, ("The outcomes name no instrument", "The outputs name no instrument")),
    ("GapReported", TDAG, 7, ("no WSIS action line", "no Sustainable Development Goal", "no target")),
    ("GapReported", TDAG, 35, ("maps the priorities", "maps the enabler")),
    ("GapReported", SP24, 378, ("mitigation measures", "strategic risks")),
    ("GapReported", SP20, 979, ("action line C1", "action line C6")),
    ("CodePrintedTwice", BUAP, 339, ("Resolution 127 (PP)",)),
    ("CodePrintedTwice", BUAP, 690, ("Resolution 56 (WTDC)",)),
    ("CodePrintedTwice", TDAG, 136, ("“Convening platforms” twice",)),
    ("CodeMisprinted", BUAP, 473, ("11b for 11.b", "5b for 5.b")),
    ("CodeMisprinted", BUAP, 841, ("13b for 13.b", "8a for 8.a", "9a for 9.a", "9b for 9.b", "9c for 9.c")),
    ("CodeMisprinted", BUAP, 959, ("5b for 5.b", "8b for 8.b")),
    ("CodeMisprinted", BUAP, 1018, ("11b for 11.b", "5b for 5.b")),
    *(("CodeMeansOther", SP20, line, ("17.6.1",)) for line in (876, 880, 892)),
    ("CodeMeansOther", SP24, 310, ("17.6.1",)),
    ("ItemPrintedTwice", BUAP, 266, ("lines 266, 267",)),
    *(("CodeCapital", SP20, line, ("9.A",)) for line in (884, 888, 892)),
    # codes and headings
    ("ItemCodeMisprinted", SP20, 499, ("D.1.e for D.1-e",)),
    ("ItemCodeMisprinted", SP20, 547, ("D-4-a for D.4-a",)),
    ("ProposalHeading", BUAP, 12, ("Output 3.2", "heading of Output 3.1")),
    # instruments
    *(("BodyNotNamed", BUAP, line, ("the body beside",)) for line in (27, 110, 965)),
    ("BodyNotNamed", BUAP, 111, ("nor the edition", "name what is missing")),
    ("BodyNotNamed", SP20, 21, ("nor the edition", "name what is missing")),
    ("EditionsMixed", BUAP, 178, ("lines 75, 110",)),
    ("BodyOfOutput", BUAP, 194, ("no instrument of PP", "16 do")),
    # indicators
    ("IndicatorListedTwice", TDAG, 410, ("“Statistics” (line 390)", "“Learning frameworks” (line 410)")),
    ("IndicatorListedTwice", TDAG, 437, ("(line 393)", "(line 437)")),
    ("IndicatorListedTwice", TDAG, 443, ("(line 396)", "(line 443)")),
    *(
        ("IndicatorListedTwice", TDAG, second, (f"“Cross-cutting” (line {first})", f"(line {second})"))
        for first, second in ((288, 456), (289, 450), (290, 453), (291, 431), (292, 434), (293, 428), (294, 422))
    ),
    # targets
    *(("TargetWithoutValue", SP20, line, ("no value",)) for line in (133, 149)),
    ("GapReported", SP24, 161, ("No target prints a number",)),
    # two wordings
    ("WordingDiffers", SP20, 363, ("on line 213", "Develop [non-discriminatory] international standards")),
    ("WordingDiffers", SP20, 383, ("on line 215", "[non-discriminatory] international standards")),
    ("WordingDiffers", BUAP, 202, ("on line 115", "product and services")),
    ("WordingDiffers", DRAFT, 68, ("on line 204",)),
    ("WordingDiffers", DRAFT, 74, ("on line 214",)),
    ("WordingDiffers", DRAFT, 123, ("on line 237", "Inclusive and secure")),
    ("WordingDiffers", DRAFT, 129, ("on line 239", "Child Online Protection")),
    ("WordingDiffers", TDAG, 354, ("on line 402", "Model policies, strategies, toolkits")),
    ("WordingDiffers", TDAG, 360, ("on line 409", "“Learning frameworks”")),
    ("WordingDiffers", TDAG, 362, ("on line 383", "“Statistics”")),
    ("WordingDiffers", TDAG, 364, ("on line 371", "“Technical interventions”")),
    ("PunctuationDiffers", SP20, 670, ("on line 228", "inclusion and empowerment")),
    ("PunctuationDiffers", TDAG, 267, ("on line 278", "partnerships, and")),
    ("DraftReworded", TDAG, 291, ("P4-O1-K1", "on line 431")),
    # what no rule can compute
    ("DefectReported", SP20, 904, ("2016-2019 and 2020-2023",)),
    ("DefectReported", DRAFT, 18, ("line 338", "human-centric, service-orientation and a focus on results")),
    ("DefectReported", DRAFT, 46, ("not closed",)),
    ("DefectReported", DRAFT, 46, ("misspelled", "46, 64, 84, 111 and 125")),
    ("DefectReported", DRAFT, 51, ("do not pair",)),
    ("DefectReported", DRAFT, 89, ("not closed",)),
    ("DefectReported", BUAP, 339, ("9, 10 11, 15",)),
    ("DefectReported", SP20, 892, ("16.10, (16.10.2)",)),
    ("DefectReported", DRAFT, 138, ("P5-O4",)),
    ("DefectReported", BUAP, 191, ("Dubai Action Plan",)),
    ("DefectReported", TDAG, 35, ("none is Figure 3",)),
    # numbers
    ("RegionalSplitRounded", TDAG, 27, ("add up to 98%",)),
)
"""Shapes that find a fact on a line of a document, and what the finding must name."""
INFOS = {
    "BodyOfOutput",
    "CodeCapital",
    "CodeMeansOther",
    "DraftReworded",
    "IndicatorListedTwice",
    "PunctuationDiffers",
    "RegionalSplitRounded",
}


@pytest.fixture(scope="module")
def ours(corpus: Corpus) -> Report:
    return check_corpus(corpus, list(corpus.quads()))


@pytest.mark.parametrize(("shape", "document", "line", "words"), FACTS, ids=lambda v: "" if isinstance(v, tuple) else v)
def test_a_fact_of_a_document_is_one_finding_that_names_all_its_places(
    ours: Report, shape: str, document: str, line: int, words: tuple[str, ...]
) -> None:
    place = f"{names.THINGS}document/{document}", line
    kind = names.PREFIXES["itush"] + shape
    there = [f for f in ours.findings if f.shape == kind and (f.document, f.line) == place]
    [found] = [f for f in there if any(word in f.message for word in words)]
    assert [word for word in words if word not in found.message] == []
    assert found.severity == ("Info" if shape in INFOS else "Warning")


@pytest.mark.parametrize(
    "shape", sorted({shape for shape, *_ in FACTS} - {"GapReported", "CodeCapital", "DraftReworded"})
)
def test_a_shape_finds_nothing_in_our_documents_but_the_facts_above(ours: Report, shape: str) -> None:
    known = {(f"{names.THINGS}document/{document}", line) for kind, document, line, _ in FACTS if kind == shape}
    assert {(f.document, f.line) for f in ours.findings if f.shape == names.PREFIXES["itush"] + shape} == known


def test_no_fact_is_said_a_second_time_by_another_shape(ours: Report) -> None:
    places = {(f.shape.rpartition("#")[2], f.document and names.shorten(f.document), f.line) for f in ours.findings}
    for document, line in ((BUAP, 111), (SP20, 21)):
        assert ("EditionNotNamed", f"document/{document}", line) not in places
    assert ("DraftReworded", f"document/{TDAG}", 431) not in places
    assert "SharesToHundred" not in {shape for shape, *_ in places}


def test_a_finding_about_a_plan_belongs_to_it(ours: Report) -> None:
    about = ("IndicatorsWithoutTargets", "ActionLineServed", "SdgServed", "CountStated")
    plans = {f.plan for f in ours.findings if f.shape.rpartition("#")[2] in about}
    assert plans == {BUAP, DRAFT}
    part = ours.selected(Selection(plan=(BUAP,)))
    assert {"IndicatorsWithoutTargets", "ActionLineServed"} <= {f.shape.rpartition("#")[2] for f in part.findings}


NOT_CALLED_FOR = {
    (SP20, "OutcomeSupport-complete"),
    (SP20, "OutputInstrument-complete"),
    (SP20, "OutputSdgTarget-complete"),
    (SP24, "OutcomeSupport-complete"),
}
"""Plans, and what the structure of their documents does not call for."""


def test_what_a_document_does_not_call_for_is_no_gap_and_is_asked_for_where_the_plan_does_not_say_so(
    corpus: Corpus, ours: Report
) -> None:
    quads = list(corpus.quads())
    said = [quad for quad in quads if quad.predicate.value == names.ITU + "notCalledFor"]
    assert ours.conforms
    assert not [f for f in ours.findings if f.plan in (SP20, SP24) and "supported by" in f.message]
    asked = check_corpus(corpus, [quad for quad in quads if quad not in said])
    found = {(f.plan, f.shape.rpartition("#")[2]) for f in asked.findings if f.severity == "Violation"}
    assert found == NOT_CALLED_FOR
    assert len(said) == len(NOT_CALLED_FOR)
