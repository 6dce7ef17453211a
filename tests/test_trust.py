"""No false pass: the same data gets the same verdict wherever it is checked, and a verdict is about something."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from conftest import PLAN, run_command, small_corpus, wait_until_ready
from fastapi.testclient import TestClient
from rdflib import RDF, SH, URIRef
from test_cli import Run, itukg  # noqa: F401  (a fixture)
from test_shapes import CASES, Case, parsed, shapes_of

from itukg import names
from itukg.conformance.check import check_corpus
from itukg.corpus import Corpus
from itukg.evidence import unverified, without_text_copy
from itukg.rdf.parse import read_rdf
from itukg.release.model import Release, current
from itukg.settings import Settings
from itukg.upload.context import ValidationContext, check_file
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
    "SdgGoalOnly": "by the schemes the example's target is one of its Goal",
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
            assert f"Not verified: <code>{name}</code>" in client.get(path, headers={"accept": "text/html"}).text
        assert "This release is not verified" in client.get("/").text
        assert client.get("/conformance.json").json()["header"]["unverified"].keys() == {name}
        assert client.get("/data/latest.json").json()["unverified"].keys() == {name}
        assert client.get("/conformance.pdf").content.startswith(b"%PDF-")
    # A build without the option is refused although that release is there.
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


def test_the_release_of_our_own_files_is_verified(release: Release, corpus: Corpus) -> None:
    assert (unverified(corpus), without_text_copy(corpus), release.unverified) == ({}, {}, {})
