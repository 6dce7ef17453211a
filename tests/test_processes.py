"""Much data is validated in several processes, and what they report together is what one reports."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyoxigraph as ox
import pytest
from conftest import Engine, processes
from rdflib import SH, Graph, URIRef

from itukg import names
from itukg.conformance import engine, report_of, reports, to_rdflib, told
from itukg.corpus import Corpus
from itukg.errors import DataError, ShapesRefused
from itukg.release import check_quads
from itukg.settings import shipped

FAULTS = f"""
    @prefix itu: <{names.ITU}> .
    @prefix xsd: <{names.PREFIXES["xsd"]}> .
    _:nameless a itu:Output ; itu:plan <{names.THINGS}bap-2026-2029> ; itu:line "007"^^xsd:decimal .
    <urn:a> a itu:Output ; itu:line "1e5"^^xsd:decimal , 0 .
"""
"""What our own data has none of: blank nodes among the findings, and numbers spelled otherwise than they are printed."""


@pytest.fixture(scope="module")
def quads() -> list[ox.Quad]:
    brought = ox.NamedNode(names.graph("checked"))
    faults = [ox.Quad(t.subject, t.predicate, t.object, brought) for t in ox.parse(FAULTS, format=ox.RdfFormat.TURTLE)]
    return [*Corpus(shipped()).quads(), *faults]


@pytest.fixture(scope="module")
def data(quads: list[ox.Quad]) -> list[ox.Quad]:
    return [quad for quad in quads if quad.graph_name != ox.NamedNode(names.graph("shapes"))]


@pytest.fixture(scope="module")
def rules(quads: list[ox.Quad]) -> list[ox.Quad]:
    return [quad for quad in quads if quad.graph_name == ox.NamedNode(names.graph("shapes"))]


@pytest.fixture
def any_is_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MUCH", 1)


@pytest.mark.usefixtures("any_is_much")
@pytest.mark.parametrize("processes", [2, 3])
def test_several_processes_report_what_one_does(data: list[ox.Quad], rules: list[ox.Quad], processes: int) -> None:
    one, several = (check_quads(data, rules, {}, "some", processes=number) for number in (1, processes))
    assert len(one.findings) > 400
    assert "_:" in one.graph.decode()
    assert "007" in {finding.value for finding in one.findings}
    assert several.as_rows() == one.as_rows()
    assert several.graph == one.graph
    assert several.coverage == one.coverage


@pytest.mark.usefixtures("any_is_much")
def test_the_processes_run_while_the_caller_goes_on(data: list[ox.Quad], rules: list[ox.Quad]) -> None:
    with reports(data, to_rdflib(rules), 2) as parts:
        found = list(parts)
    kinds = [{str(result) for result in part.objects(None, SH.sourceShape)} for part in found]
    assert len(kinds) == 2
    assert all(kinds)
    assert not kinds[0] & kinds[1]


def test_little_data_is_validated_here(
    data: list[ox.Quad], rules: list[ox.Quad], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    with reports(data, to_rdflib(rules), 2) as parts:
        assert len(list(parts)) == 1


def test_each_shape_is_in_one_share_and_queries_are_dealt_out_evenly(rules: list[ox.Quad]) -> None:
    shapes = to_rdflib(rules)
    aimed = {
        str(s)
        for p in (SH.targetClass, SH.targetSubjectsOf, SH.targetObjectsOf, SH.targetNode)
        for s in shapes.subjects(p)
    }
    for number in (1, 2, 5):
        shares = engine.shared_out(shapes, number)
        assert len(shares) == number
        assert sorted(iri for share in shares for iri in share) == sorted(aimed)
        queries = [sum(len(list(shapes.objects(URIRef(iri), SH.sparql))) for iri in share) for share in shares]
        assert sum(queries) > 40
        assert max(queries) - min(queries) <= 3


@pytest.mark.parametrize(
    "shape",
    ["[] a sh:NodeShape ; sh:targetNode <urn:a>", "<urn:C> a sh:NodeShape , rdfs:Class"],
    ids=["without an IRI", "a class"],
)
def test_shapes_that_cannot_be_named_stay_together(shape: str) -> None:
    prefixes = f"@prefix sh: <{names.SH}> . @prefix rdfs: <{names.PREFIXES['rdfs']}> . "
    assert engine.shared_out(Graph().parse(data=f"{prefixes}<urn:S> sh:targetNode <urn:b> . {shape} ."), 2) == [[]]


@pytest.mark.usefixtures("any_is_much")
def test_what_the_engine_says_of_shapes_is_said_by_a_process_too(data: list[ox.Quad]) -> None:
    broken = f"""@prefix sh: <{names.SH}> . <urn:S> a sh:NodeShape ; sh:targetNode <urn:a> ; sh:sparql [ sh:select "SELECT" ] .
        <urn:T> a sh:NodeShape ; sh:targetNode <urn:a> ."""
    words = []
    for number in (1, 2):
        with pytest.raises(ShapesRefused) as refused, reports(data, Graph().parse(data=broken), number) as parts:
            list(parts)
        words.append(str(refused.value))
    assert words[0]
    assert words[0] == words[1]


@pytest.mark.usefixtures("any_is_much")
def test_a_process_that_ends_is_told_of(
    data: list[ox.Quad], rules: list[ox.Quad], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with (
        pytest.raises(DataError, match=r"ended with 1: it said nothing. Where memory ran out"),
        reports(data, to_rdflib(rules), 2) as parts,
    ):
        list(parts)


@pytest.mark.usefixtures("any_is_much")
def test_processes_end_with_whoever_asked(data: list[ox.Quad], rules: list[ox.Quad]) -> None:
    before = set(processes(os.getpid()))
    with reports(data, to_rdflib(rules), 2):
        assert len(set(processes(os.getpid())) - before) == 2
    assert not set(processes(os.getpid())) - before


@pytest.mark.usefixtures("any_is_much")
def test_nothing_is_imported_from_where_one_happens_to_be(
    data: list[ox.Quad], rules: list[ox.Quad], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyoxigraph.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dataset.nq").write_text("<urn:a> <urn:b> <urn:c> .")
    with Engine(tmp_path / "dataset.nq") as queries:
        assert queries.rows("SELECT ?c { <urn:a> ?b ?c }") == [{"c": ox.NamedNode("urn:c")}]
    with reports(data, to_rdflib(rules), 2) as parts:
        assert len(list(parts)) == 2


def test_a_report_reads_no_more_of_the_data_than_is_kept_for_it(data: list[ox.Quad], rules: list[ox.Quad]) -> None:
    shapes, kept, whole = to_rdflib(rules), told(data), to_rdflib(data)
    assert len(kept) < len(whole) * 0.6
    with reports(data, shapes) as parts:
        results = list(parts)
    by_kept, by_whole = (report_of(results, graph, shapes) for graph in (kept, whole))
    assert by_kept.as_rows() == by_whole.as_rows()
    assert by_kept.coverage == by_whole.coverage
    assert any(row.percent for row in by_whole.coverage)
