"""The SHACL engine finds what the reference, pyshacl, finds: in every example, and for every kind of constraint.

Known to differ: comparing a text with a number in a SPARQL constraint, which is an error by the specification (SPARQL 1.1
Query, 17.3), as pyshacl-turbo has it; rdflib, under pyshacl, orders them.
"""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pyoxigraph as ox
import pyshacl
import pyshacl_turbo
import pytest
from rdflib import RDF, SH, XSD, BNode, Graph, Literal, URIRef
from test_shapes import CASES, Case, parsed, shapes_of

from itukg import names
from itukg.conformance import for_report, report_of, results_of, to_rdflib
from itukg.corpus import Corpus

KINDS = Path(__file__).parent / "shacl" / "kinds.ttl"
SHAPES = sorted(
    str(shape)
    for kind in (SH.NodeShape, SH.PropertyShape)
    for shape in Graph().parse(KINDS).subjects(RDF.type, kind)
    if isinstance(shape, URIRef)
)

Results = list[tuple[object, ...]]


def results(report: Graph) -> Results:
    """What a report says, without the names of its own nodes."""

    def text(result: Any, term: URIRef) -> object:
        value = report.value(result, term)
        if isinstance(value, Literal) and value.datatype == XSD.decimal:
            return Decimal(value).normalize()  # one engine writes a computed 99.0 as 99: the same value
        return "a blank node" if isinstance(value, BNode) else value and value.n3()

    said = (
        SH.sourceShape, SH.focusNode, SH.resultPath, SH.value, SH.resultSeverity, SH.sourceConstraintComponent
    )  # fmt: skip
    return sorted(tuple(str(text(result, term)) for term in said) for result in report.objects(None, SH.result))


def of_pyshacl(data: Graph, shapes: Graph) -> Results:
    _, report, _ = pyshacl.validate(data, shacl_graph=shapes, inference="none", inplace=True)
    assert isinstance(report, Graph)
    return results(report)


def of_turbo(data: Graph, shapes: Graph) -> Results:
    _, report, _ = pyshacl_turbo.validate(data, shacl_graph=shapes, inference="none", inplace=True)
    return results(report)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.file}/{case.folder.name}")
@pytest.mark.parametrize("example", ["fail.ttl", pytest.param("pass.ttl", marks=pytest.mark.exhaustive)])
def test_both_engines_find_the_same_in_the_examples(case: Case, example: str) -> None:
    data = Graph().parse(case.folder / example, format="turtle") + parsed(
        "ontology/itukg.ttl", "ontology/alignment.ttl"
    )
    shapes = alone(case)
    found = of_turbo(data, shapes)
    assert found == of_pyshacl(data, shapes)
    assert found or example == "pass.ttl"


def alone(case: Case) -> Graph:
    """The shapes of a file, with the targets of one shape alone: the reference takes seconds for all of them."""
    shapes = Graph() + shapes_of(case.file)
    kept = {case.shape, *shapes.subjects(SH.property, case.shape)}
    assert any((shape, None, None) in shapes for shape in kept)
    for term in (SH.targetClass, SH.targetNode, SH.targetSubjectsOf, SH.targetObjectsOf):
        for other in set(shapes.subjects(term)) - kept:
            shapes.remove((other, term, None))
    return shapes


def only(shape: str) -> Graph:
    """The kinds, with the targets of one shape alone."""
    graph = Graph().parse(KINDS)
    for term in (SH.targetClass, SH.targetNode, SH.targetSubjectsOf, SH.targetObjectsOf):
        for other in set(graph.subjects(term)) - {URIRef(shape)}:
            graph.remove((other, term, None))
    if not shape.endswith(":B"):
        graph.remove((URIRef("urn:t:B"), RDF.type, None))
    return graph


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.rpartition(":")[2])
def test_both_engines_find_the_same_for_every_kind_of_constraint(shape: str) -> None:
    assert len(SHAPES) == 43
    found = of_turbo(Graph().parse(KINDS), only(shape))
    assert found == of_pyshacl(Graph().parse(KINDS), only(shape))
    assert bool(found) is not shape.endswith((":deactivated", ":IsB"))


def test_a_report_reads_only_the_triples_that_are_selected_for_it(corpus: Corpus) -> None:
    quads = list(corpus.quads())
    rules = ox.NamedNode(names.graph("shapes"))
    data = [quad for quad in quads if quad.graph_name != rules]
    shapes = to_rdflib(quad for quad in quads if quad.graph_name == rules)
    kept, whole, found = for_report(data), to_rdflib(data), results_of(data, shapes)
    assert len(kept) < len(whole) * 0.6
    by_kept, by_whole = (report_of(found, graph, shapes) for graph in (kept, whole))
    assert len(by_whole.findings) > 200
    assert by_kept.as_rows() == by_whole.as_rows()
    assert by_kept.coverage == by_whole.coverage
    assert any(row.percent for row in by_whole.coverage)
