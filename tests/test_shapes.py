"""Every shape catches what its smallest failing example shows and lets its smallest passing example be."""

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from pyshacl_turbo import validate  # which finds what pyshacl finds in each example: see test_engine
from rdflib import RDF, RDFS, SH, SKOS, Graph, Literal, Namespace, URIRef

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "shapes/examples"
ITUSH = Namespace("https://w3id.org/itukg/shapes#")


class Case(NamedTuple):
    """A shape with a message, and the name of the file that holds it."""

    file: str
    shape: URIRef

    @property
    def folder(self) -> Path:
        """Where the two examples of the shape are."""
        return EXAMPLES / self.file / self.shape.removeprefix(ITUSH)


@cache
def parsed(*paths: str) -> Graph:
    """The merge of some Turtle files, paths relative to the project; shared, so not to be changed."""
    graph = Graph()
    for path in paths:
        graph.parse(ROOT / path, format="turtle")
    return graph


def shapes_of(file: str) -> Graph:
    """The shapes of one file with the prefixes that their queries need."""
    return parsed("shapes/prefixes.ttl", f"shapes/{file}.ttl")


FILES = sorted(path.stem for path in ROOT.glob("shapes/*.ttl"))
CASES = sorted(
    Case(file, shape)
    for file in FILES
    for shape in shapes_of(file).subjects(SH.message, unique=True)
    if isinstance(shape, URIRef)
)
each_shape = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.file}/{case.folder.name}")


def report_on(case: Case, example: str) -> Graph:
    """What the shapes of the case's file find in an example, the ontology beside it."""
    data = Graph().parse(case.folder / example, format="turtle")
    for triple in parsed("ontology/itukg.ttl", "ontology/alignment.ttl"):
        data.add(triple)
    _, report, _ = validate(data, shacl_graph=shapes_of(case.file), inference="none", inplace=True)
    assert isinstance(report, Graph)
    return report


def triggered(case: Case, example: str) -> set[object]:
    """The shapes of the case's file that an example gives results from."""
    report = report_on(case, example)
    return {report.value(result, SH.sourceShape) for result in report.objects(None, SH.result)}


def test_every_shape_has_both_examples_and_every_example_its_shape() -> None:
    found = {path.relative_to(ROOT) for path in EXAMPLES.rglob("*") if path.is_file()}
    wanted = {(case.folder / name).relative_to(ROOT) for case in CASES for name in ("pass.ttl", "fail.ttl")}
    assert found == wanted
    assert len(found) / 2 == len({case.shape for case in CASES}) == len(CASES) > 110


def test_every_message_belongs_to_a_shape_with_an_iri() -> None:
    constraints = {node for file in FILES for node in shapes_of(file).objects(None, SH.sparql)}
    holders = {shape for file in FILES for shape in shapes_of(file).subjects(SH.message)} - constraints
    assert holders == {case.shape for case in CASES}
    assert all(str(shape).startswith(ITUSH) for shape in holders)


@each_shape
def test_the_passing_example_of_a_shape_gives_no_result_from_its_file(case: Case) -> None:
    assert triggered(case, "pass.ttl") == set()


@each_shape
def test_the_failing_example_of_a_shape_gives_results_from_that_shape_only(case: Case) -> None:
    assert triggered(case, "fail.ttl") == {case.shape}


@each_shape
def test_a_message_says_what_is_wrong_and_how_to_mend_it(case: Case) -> None:
    messages = list(shapes_of(case.file).objects(case.shape, SH.message))
    assert len(messages) == 1
    assert ": " in str(messages[0])


SAID = {
    "structure/TermKnown": {
        "Uses itu:Bases, which is no term of the ontology: correct the spelling.",
        "Uses itu:lineCuont, which is no term of the ontology: correct the spelling.",
    },
    "structure/TextHasWords": {
        f"The text of {term} has no letter and no digit: give the words."
        for term in ("rdfs:label", "itu:quote", "itu:rationale", "itu:section")
    },
    "evidence/StatedOneWay": {
        (
            "States itu:hasOutcome, which follows from itu:outcomeOf, the property in the other direction: state that, with"
            " its Linkage if it needs evidence."
        ),
        (
            "States itu:contributesTo, which follows from the properties that say how, such as itu:outcomeOf and"
            " itu:contributesToSDG: state that, with its Linkage if it needs evidence."
        ),
    },
    "places/LineInDocument": {
        "Names line 4 of a document that has 3 lines: correct the line, or itu:lineCount.",
        "Names line 5 of a document that has 3 lines: correct the line, or itu:lineCount.",
    },
    "budget/ShareOfTotal": {
        (
            "Prints 59% of the total; 60 is 60% of 100, the sum of the amounts printed for priorities and enabler, which is"
            " not itself printed: the next edition should print the share that follows from its amounts, or correct them."
        )
    },
    "completeness/GapReported": {
        (
            "Output 1 names no instrument (line 1: “Instruments: to be added”; missing: supported by): the next edition"
            " should give it."
        ),
        "The document leaves this open (line 3; missing: has part): the next edition should give it.",
        (
            "Figure 1 is not in the copy (line 2: “Figure 1: Outputs and goals”; missing: contributes to; our note: The copy"
            " keeps the caption alone), and the document may have it: a fuller copy should be read."
        ),
        (
            "No output names a Goal. No output names an outcome (line 4: “Linkages: to be added”; missing: contributes to SDG,"
            " delivers outcome): the next edition should give it."
        ),
        (
            "The table of linkages is not in the copy (line 4: “Linkages: to be added”; missing: contributes to), and the"
            " document may have it: a fuller copy should be read."
        ),
    },
    "completeness/SdgGoalOnly": {
        "The document names Goals 9, 10 for this output without any target of theirs: the next edition should name the targets."
    },
    "completeness/BodyOfOutput": {
        (
            "Names no instrument of PP; of the other outputs of the plan, 1 do: the next edition may want to say whether that is"
            " meant."
        ),
        (
            "Names no instrument of WTDC; of the other outputs of the plan, 1 do: the next edition may want to say whether that is"
            " meant."
        ),
    },
    "budget/RegionalSplitRounded": {
        (
            "7% for each of 6 regions and 56% for global and multi-region outputs add up to 98%, which rounding can explain:"
            " the next edition should print shares that make up 100%."
        )
    },
    "references/CodeCapital": {
        "The document prints 9.C, 9.C.1: the scheme writes the letters small.",
        "The document prints 5.B: the scheme writes the letters small.",
    },
    "references/DefectReported": {
        "The tables are numbered 1 and 3 (line 3: “Table 3: Examples”): the next edition should mend it.",
        "The heading is not closed (“(Examples”): the next edition should mend it.",
        (
            "The heading prints two periods (line 4: “Examples for 2022-2025 2026-2029”; our note: A mark of revision may be"
            " lost): the next edition should mend it."
        ),
    },
    "references/IndicatorListedTwice": {
        (
            "The document lists this indicator under “Examples are shown” (line 1) and “Examples are read” (line 2): whoever"
            " adds up should count it once."
        )
    },
    "references/ItemCodeMisprinted": {
        "The document prints D.1.e for D.1-e: the next edition should print the code as it prints the others.",
        "The document prints D1-2 for D.1-2: the next edition should print the code as it prints the others.",
    },
    "references/ProposalHeading": {
        ("Names Output 2 under “First examples”, the heading of Output 1: the author should say which is meant."),
        ("Names Output 2 under “Area of first examples”, the heading of 1-W1: the author should say which is meant."),
    },
    "references/PunctuationDiffers": {
        (
            "Is punctuated or written otherwise on line 2, “Examples of inclusion and empowerment”: the next edition may want"
            " to print it in one way."
        )
    },
    "references/WordingDiffers": {
        (
            "Is worded otherwise on line 2, “Develop international standards”: the next edition should word it in one way."
        )
    },
    "references/CodeMisprinted": {
        "The document prints 9b for 9.b, 9c for 9.c: the next edition should print each code as the scheme does."
    },
    "references/ItemPrintedTwice": {
        "The document prints this item 2 times, on lines 1, 2: the next edition should print it once."
    },
    "references/EditionsMixed": {
        (
            "The document cites “Resolution 2 (WTDC)” in the edition Rev. Dubai, 2014 here and in a later one, Rev. Buenos Aires,"
            " 2017, on line 2: the next edition should cite one."
        )
    },
    "publication/IriResolves": {
        "Nothing is said of this IRI, which example/gap/1 uses: correct it there, or describe it."
    },
    "references/CodePrintedTwice": {
        "The document lists 9.c twice: the next edition should list it once, or name what was meant.",
        "The document lists “Resolution 1 (Example)” twice: the next edition should list it once, or name what was meant.",
    },
}
"""What the failing examples of some shapes are told, but for the general message."""


@pytest.mark.parametrize("name", SAID)
def test_a_message_names_things_as_a_reader_knows_them(name: str) -> None:
    [case] = (case for case in CASES if case.folder == EXAMPLES / name)
    said = set(map(str, report_on(case, "fail.ttl").objects(None, SH.resultMessage)))
    said.remove(str(shapes_of(case.file).value(case.shape, SH.message)))
    assert {re.sub(r"\.0\b", "", message) for message in said} == SAID[name]


@each_shape
def test_a_shape_tells_its_rule_its_severity_and_its_profile(case: Case) -> None:
    graph = shapes_of(case.file)
    for text in (SH.name, SH.description):
        assert isinstance(graph.value(case.shape, text, any=False), Literal)
    assert graph.value(case.shape, SH.severity, any=False) in (SH.Violation, SH.Warning, SH.Info)
    assert graph.value(case.shape, RDFS.isDefinedBy, any=False) == ITUSH[case.file]


@each_shape
def test_a_finding_names_who_can_act_and_what_the_shape_rests_on(case: Case) -> None:
    graph = shapes_of(case.file)
    holders = (case.shape, ITUSH[case.file])
    actor = next(filter(None, (graph.value(holder, ITUSH.actor, any=False) for holder in holders)), None)
    assert actor in (ITUSH.us, ITUSH.document, ITUSH.referenceData)
    assert (actor == ITUSH.us) == (graph.value(case.shape, SH.severity) == SH.Violation)
    assert any((holder, RDFS.seeAlso, None) in graph for holder in holders)


@pytest.mark.parametrize("file", sorted({case.file for case in CASES}))
def test_a_profile_has_a_name_and_says_what_it_protects(file: str) -> None:
    graph = shapes_of(file)
    assert (ITUSH[file], RDF.type, ITUSH.Profile) in graph
    for text in (RDFS.label, SKOS.definition):
        assert isinstance(graph.value(ITUSH[file], text, any=False), Literal)
