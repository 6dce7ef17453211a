"""No false pass: the same data gets the same verdict wherever it is checked, and a verdict is about something."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from rdflib import RDF, SH, URIRef
from test_cli import Run, itukg  # noqa: F401  (a fixture)
from test_shapes import CASES, Case, parsed, shapes_of

from itukg import names
from itukg.conformance.check import check_corpus
from itukg.corpus import Corpus
from itukg.rdf.parse import read_rdf
from itukg.upload.context import ValidationContext, check_file

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
