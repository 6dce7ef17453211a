"""What a careful reader counted in the Buenos Aires Action Plan stands in the graph."""

from collections import Counter

import pyoxigraph as ox
import pytest
from conftest import Engine

from itukg import names
from itukg.corpus import Corpus

BUAP = names.THINGS + "buap-2018-2021"
COUNTS = {
    "ActionPlan": 1,
    "Objective": 4,
    "Outcome": 14,
    "OutcomeIndicator": 38,
    "Output": 17,
    "Programme": 11,
    "WorkArea": 7,
    "Activity": 87,
    "ReportItem": 12,
    "StrategicGoal": 4,
    "StudyGroup": 2,
    "Proposal": 4,
    "ProposedPassage": 3,
    "GlossaryTerm": 7,
    "StatedFigure": 2,
    "SourceDocument": 1,
    "Gap": 26,
    "Defect": 2,
    "Linkage": 194,
}


@pytest.fixture(scope="module")
def plan(corpus: Corpus) -> list[ox.Quad]:
    return [q for q in corpus.quads() if q.graph_name == ox.NamedNode(names.graph("buap-2018-2021"))]


def test_the_plan_has_as_many_things_of_each_class_as_were_counted(plan: list[ox.Quad]) -> None:
    kinds = Counter(
        q.object.value.removeprefix(names.ITU)
        for q in plan
        if q.predicate.value == names.RDF_TYPE and isinstance(q.object, ox.NamedNode)
    )
    assert kinds == COUNTS


def test_an_iri_is_made_of_plan_kind_and_notation(plan: list[ox.Quad]) -> None:
    kinds = {"OutcomeIndicator": "indicator", "StatedFigure": "figure", "GlossaryTerm": "term"}
    classes = {q.subject: q.object for q in plan if q.predicate.value == names.RDF_TYPE}
    notations = {q.subject: q.object for q in plan if q.predicate.value == names.PREFIXES["skos"] + "notation"}
    checked = 0
    for subject, kind in classes.items():
        assert isinstance(subject, ox.NamedNode) and isinstance(kind, ox.NamedNode)
        local = kind.value.removeprefix(names.ITU)
        if local in ("ActionPlan", "SourceDocument"):
            continue
        words = kinds.get(local) or "".join("-" + c.lower() if c.isupper() else c for c in local).lstrip("-")
        assert subject.value == f"{BUAP}/{words}/{notations[subject].value}"  # type: ignore[union-attr]
        checked += 1
    assert checked == sum(COUNTS.values()) - 2


def test_goals_and_targets_of_one_sentence_are_kept_apart(store: Engine) -> None:
    def objects(output: str, link: str) -> set[str]:
        rows = store.rows(f"SELECT ?o WHERE {{ <{BUAP}/output/{output}> <{names.ITU}{link}> ?o }}")
        return {names.shorten(row["o"].value) for row in rows}

    assert objects("1.1", "contributesToSDG") == {f"sdg:{goal}" for goal in (1, 3, 5, 10, 16, 17)}
    assert "sdg:3.d" in objects("1.1", "contributesToSDGTarget")
    assert objects("2.2", "contributesToSDGTarget") == set()
    assert objects("3.2", "monitors") == {"sdg/all", "wsis/all"}
    assert objects("1.5", "supportedBy") == {"instrument/wtdc/all"}


def test_every_evidenced_link_has_its_linkage_and_back(store: Engine) -> None:
    """Counted, beside the shapes: the same links from the triples and from the Linkages."""
    triples = store.rows(
        f"SELECT (COUNT(*) AS ?n) WHERE {{ ?p a <{names.ITU}EvidencedProperty> . ?s ?p ?o MINUS {{ GRAPH <{names.graph('entailed')}> {{ ?s ?p ?o }} }} }}"
    )
    linked = store.rows(
        f"""PREFIX itu: <{names.ITU}>
        SELECT (COUNT(*) AS ?n) WHERE {{ SELECT DISTINCT ?s ?p ?o WHERE {{
          ?p a itu:EvidencedProperty . ?l itu:subject ?s ; itu:predicate ?p ; itu:object ?o }} }}"""
    )
    assert triples[0]["n"].value == linked[0]["n"].value
    assert int(triples[0]["n"].value) > 2000
