"""Fifty questions of researchers: what the graph answers is what a reader worked out from the documents alone.

The answers stand in fifty.toml, each with its lines and how it was found. Here each question has one short function that asks
the graph as a researcher would, by the calls of docs/python.md, in SPARQL where none of them fits.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import itukg
from itukg import names
from itukg.client import KnowledgeGraph
from itukg.release.model import Release

BUAP, SP_2020, SP_2024 = "buap-2018-2021", "sp-2020-2023", "sp-2024-2027"
DRAFT, BAP, OP = "bap-2026-2029-draft", "bap-2026-2029", "op-2026"
RESULTS = ("outcome", "output")
QUESTIONS: list[dict[str, Any]] = tomllib.loads(
    (Path(__file__).parent / "fifty.toml").read_text(encoding="utf-8"), parse_float=Decimal
)["question"]

Answer = Callable[[KnowledgeGraph], list[Any]]
ANSWERS: dict[str, Answer] = {}
"""The functions below, by the id of their question."""


def answers(function: Answer) -> Answer:
    """Register a function under the id of its question, which is its name with hyphens."""
    ANSWERS[function.__name__.replace("_", "-")] = function
    return function


@pytest.fixture(scope="module")
def kg(release: Release) -> Iterator[KnowledgeGraph]:
    with itukg.open(release.path) as graph:
        yield graph


def test_there_are_fifty_questions_and_each_has_one_function() -> None:
    ids = [question["id"] for question in QUESTIONS]
    assert len(ids) == 50
    assert sorted(ids) == sorted(ANSWERS)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: str(question["id"]))
def test_the_graph_answers_what_the_documents_say(kg: KnowledgeGraph, question: Mapping[str, Any]) -> None:
    assert ANSWERS[question["id"]](kg) == question["answer"], question["text"]


def in_order(codes: Iterable[str]) -> list[str]:
    """Return codes in numeric order, each once: 9.1, 9.10, 9.a, 10.1."""

    def parts(code: str) -> list[tuple[bool, str]]:
        return [(part.isalpha(), part.zfill(4)) for part in re.findall(r"\d+|[a-z]+", code)]

    return sorted({*codes}, key=parts)


def counted(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    return [{"code": code, "n": n} for code, n in counts.items()]


def linked(kg: KnowledgeGraph, rows: str, columns: str, plan: str, **filters: str) -> list[tuple[str, str]]:
    """Return the codes of the pairs of a matrix that are linked; its other cells are gaps, or statements about all."""
    matrix = kg.matrix(rows=rows, columns=columns, plan=plan, **filters)
    return [(row["rowNotation"], row["columnNotation"]) for row in matrix if row["count"]]


def code_of(iri: str) -> str:
    return iri.rpartition("/")[2]


# --- SDGs ---


@answers
def sdg_9c_buap_outputs(kg: KnowledgeGraph) -> list[Any]:
    return [output for output, _ in linked(kg, "output", "sdgTarget", BUAP, column="sdg:9.c")]


@answers
def sdg_targets_output_2_1(kg: KnowledgeGraph) -> list[Any]:
    return in_order(map(code_of, kg.thing(f"{BUAP}/output/2.1").contributesToSDGTarget))


@answers
def sdg_targets_only_3_1(kg: KnowledgeGraph) -> list[Any]:
    by_target = Counter(target for _, target in linked(kg, "output", "sdgTarget", BUAP))
    return in_order(
        target
        for output, target in linked(kg, "output", "sdgTarget", BUAP)
        if output == "3.1" and by_target[target] == 1
    )


@answers
def sdg_output_most_targets(kg: KnowledgeGraph) -> list[Any]:
    by_output = Counter(output for output, _ in linked(kg, "output", "sdgTarget", BUAP))
    most = max(by_output.values())
    return counted({output: n for output, n in by_output.items() if n == most})


@answers
def sdg_count_distinct_buap(kg: KnowledgeGraph) -> list[Any]:
    return [len({target for _, target in linked(kg, "output", "sdgTarget", BUAP)})]


@answers
def sdg_under_all_five_goals(kg: KnowledgeGraph) -> list[Any]:
    goals = kg.search(plan=SP_2020, class_="StrategicGoal")
    by_target = Counter(target for _, target in linked(kg, "strategicGoal", "sdgTarget", SP_2020))
    return in_order(target for target, n in by_target.items() if n == len(goals))


@answers
def sdg_count_per_strategic_goal(kg: KnowledgeGraph) -> list[Any]:
    links = kg.ask("sdg-links", plan=SP_2020, class_="StrategicGoal")
    pairs = {(row["code"], row["sdg"]) for row in links if row["relation"] == "contributes to SDG target"}
    return counted(dict(sorted(Counter(goal for goal, _ in pairs).items())))


@answers
def sdg_custodian_changed(kg: KnowledgeGraph) -> list[Any]:
    printed = {
        code_of(linkage["plan"]): linkage["printedForm"]
        for linkage in kg.thing("organization/ITU").linkages
        if linkage["predicate"] == "custodianOf" and linkage["basis"] == "stated"
    }
    older, newer = printed[SP_2020], printed[SP_2024]
    return [code for code in older if code not in newer] + [code for code in newer if code not in older]


# --- WSIS action lines ---


@answers
def wsis_c6_buap_outputs(kg: KnowledgeGraph) -> list[Any]:
    return [row["notation"] for row in kg.search(plan=BUAP, class_="Output", actionLine="C6")]


@answers
def wsis_never_named_buap(kg: KnowledgeGraph) -> list[Any]:
    matrix = kg.matrix(rows="actionLine", columns="output", plan=BUAP)
    named = {row["row"] for row in matrix if row["count"]}
    codes = [line["notation"] for line in matrix.document["rows"] if line["id"] not in named]
    return [code for code in codes if re.fullmatch(r"C\d+", code)]


@answers
def wsis_count_pairs_buap(kg: KnowledgeGraph) -> list[Any]:
    return [sum(row["count"] for row in kg.matrix(rows="output", columns="actionLine", plan=BUAP))]


@answers
def wsis_c5_outcomes(kg: KnowledgeGraph) -> list[Any]:
    return [row["notation"] for row in kg.search(plan=BUAP, class_="Outcome", actionLine="C5")]


@answers
def wsis_sole_facilitator(kg: KnowledgeGraph) -> list[Any]:
    rows = kg.ask("facilitators-of-action-lines")
    return [row["actionLine"] for row in rows if row["organization"] == "ITU" and row["role"] == "sole facilitator of"]


@answers
def wsis_c7_tile(kg: KnowledgeGraph) -> list[Any]:
    return [kg.thing(f"{SP_2020}/figure/C7-{what}").value for what in ("outputs", "key-activities")]


@answers
def wsis_because_c8_4_3(kg: KnowledgeGraph) -> list[Any]:
    return [row["quote"] for row in kg.because(f"{BUAP}/output/4.3", "wsis/C8")]


# --- resolutions and other instruments ---


@answers
def inst_pp139_outputs(kg: KnowledgeGraph) -> list[Any]:
    return [output for output, _ in linked(kg, "output", "instrument", BUAP, column="instrument/pp/resolution/139")]


@answers
def inst_all_wtdc(kg: KnowledgeGraph) -> list[Any]:
    return [row["notation"] for row in kg.search(plan=BUAP, class_="Output", to="instrument/wtdc/all")]


@answers
def inst_unga_in_res71(kg: KnowledgeGraph) -> list[Any]:
    cited = [iri for iri in kg.thing("instrument/pp/resolution/71").cites if "/unga/resolution/" in iri]
    return in_order(kg.thing(iri).notation for iri in cited)


@answers
def inst_count_pp_resolutions(kg: KnowledgeGraph) -> list[Any]:
    rows = kg.ask("instruments-by-outputs", plan=BUAP)
    return [sum(row["body"] == "PP" and row["kind"] == "resolution" for row in rows)]


@answers
def inst_pp140_outcomes(kg: KnowledgeGraph) -> list[Any]:
    return [
        row["notation"] for row in kg.search(plan=BUAP, class_="Outcome", instrument="instrument/pp/resolution/140")
    ]


@answers
def inst_printed_twice(kg: KnowledgeGraph) -> list[Any]:
    found = kg.query(
        f"""SELECT DISTINCT ?body ?number ?output WHERE {{
          ?linkage itu:plan <{names.THINGS}{BUAP}> ; itu:subject [ a itu:Output ; skos:notation ?output ] ; itu:printedTwice ?twice .
          ?twice itu:body ?body ; skos:notation ?number .
        }} ORDER BY ?output"""
    )
    return [{"code": f"{row['body']} {row['number']}", "output": row["output"]} for row in found]


# --- results chains ---


@answers
def chain_outputs_of_outcome_1_1(kg: KnowledgeGraph) -> list[Any]:
    return in_order(map(code_of, kg.thing(f"{BUAP}/outcome/1.1").deliveredBy))


@answers
def chain_indicators_per_objective(kg: KnowledgeGraph) -> list[Any]:
    chain = kg.ask("results-chain", plan=BUAP)
    outcomes = {(row["objective"], row["outcome"], row["indicators"]) for row in chain}
    by_objective: Counter[str] = Counter()
    for objective, _, indicators in sorted(outcomes):
        by_objective[objective] += indicators
    return counted(by_objective)


@answers
def chain_count_sp2020(kg: KnowledgeGraph) -> list[Any]:
    found = kg.ask("things-by-plan-and-class")
    return counted(
        {f"{row['class']}s": row["things"] for row in found if row["plan"] == SP_2020 and row["class"] in RESULTS}
    )


@answers
def chain_topics_statistics(kg: KnowledgeGraph) -> list[Any]:
    [category] = kg.search("Statistics", plan=BAP, class_="OutputCategory")
    return [topic for topic, _ in linked(kg, "topic", "outputCategory", BAP, column=category["id"])]


@answers
def chain_same_words_draft(kg: KnowledgeGraph) -> list[Any]:
    changes = kg.compare(DRAFT, BAP, class_="Outcome")
    return [{"code": row["newer"], "older": row["older"]} for row in changes if row["sameWords"]]


# --- money ---


@answers
def money_total(kg: KnowledgeGraph) -> list[Any]:
    return [kg.budget().document["total"]]


@answers
def money_priority_2_topics(kg: KnowledgeGraph) -> list[Any]:
    return counted(
        {row["code"]: row["amount"] for row in kg.ask("budget-by-category", plan=OP) if row["partOf"] == "P2"}
    )


@answers
def money_top_three_topics(kg: KnowledgeGraph) -> list[Any]:
    topics = [row for row in kg.ask("budget-by-category", plan=OP) if row["class"] == "topic"]
    topics.sort(key=lambda row: row["amount"], reverse=True)
    return counted({row["code"]: row["amount"] for row in topics[:3]})


@answers
def money_share_printed_vs_computed(kg: KnowledgeGraph) -> list[Any]:
    return [row["code"] for row in kg.ask("budget-shares", plan=OP) if not row["agrees"]]


@answers
def money_sum_of_shares(kg: KnowledgeGraph) -> list[Any]:
    return [sum(Decimal(row["printedPercentOfTotal"].rstrip("%")) for row in kg.budget())]


@answers
def money_statistics_topics(kg: KnowledgeGraph) -> list[Any]:
    return [row["amount"] for row in kg.budget(by="category") if "Statistics" in row["label"]]


@answers
def money_enabler_parts(kg: KnowledgeGraph) -> list[Any]:
    return counted(
        {row["label"]: row["amount"] for row in kg.ask("budget-by-category", plan=OP) if row["partOf"] == "EN"}
    )


# --- risks ---


@answers
def risk_mitigation_types(kg: KnowledgeGraph) -> list[Any]:
    kinds = Counter(row["mitigationType"] for row in kg.ask("risks-and-mitigations", plan=SP_2020))
    return counted(dict(sorted(kinds.items())))


@answers
def risk_no_avoidance(kg: KnowledgeGraph) -> list[Any]:
    risks = kg.risks(plan=SP_2020)
    return [row["code"] for row in risks if not any(each["kind"] == "Risk avoidance" for each in row["mitigations"])]


@answers
def risk_op26_high_probability(kg: KnowledgeGraph) -> list[Any]:
    return [row["code"] for row in kg.risks(plan=OP) if row["probability"] == "High"]


@answers
def risk_op26_high_impact(kg: KnowledgeGraph) -> list[Any]:
    return [row["code"] for row in kg.risks(plan=OP) if row["impact"] == "High"]


@answers
def risk_op26_mitigations(kg: KnowledgeGraph) -> list[Any]:
    return counted({row["code"]: len(row["mitigations"]) for row in kg.risks(plan=OP)})


# --- gaps ---


@answers
def gap_no_sdg_target(kg: KnowledgeGraph) -> list[Any]:
    gaps = kg.gaps(plan=BUAP, class_="output", columns="sdgTarget")
    return [row["code"] for row in gaps if row["kind"] == "names-nothing"]


@answers
def gap_draft_no_kpi(kg: KnowledgeGraph) -> list[Any]:
    return [code_of(row["about"]) for row in kg.gaps(plan=DRAFT) if row["missing"] == "hasIndicator"]


@answers
def gap_draft_sections_open(kg: KnowledgeGraph) -> list[Any]:
    gaps = kg.gaps(plan=DRAFT)
    return in_order(row["section"].partition(".")[0] for row in gaps if row["gapKind"] == "to-be-added")


@answers
def gap_empty_regional_initiatives(kg: KnowledgeGraph) -> list[Any]:
    return [code_of(row["about"]) for row in kg.gaps(plan=BUAP) if row["missing"] == "RegionalInitiative"]


@answers
def gap_pending_items(kg: KnowledgeGraph) -> list[Any]:
    found = kg.query(
        f"""SELECT ?code WHERE {{
          ?item itu:plan <{names.THINGS}{SP_2020}> ; itu:status "pending" ; skos:notation ?code ; itu:line ?line .
        }} ORDER BY ?line"""
    )
    return [row["code"] for row in found]


# --- targets, indicators, plans, dates and terms ---


@answers
def target_baselines(kg: KnowledgeGraph) -> list[Any]:
    found = kg.query(
        f"""SELECT ?code ?year WHERE {{
          ?target a itu:StrategicTarget ; itu:plan <{names.THINGS}{SP_2020}> ; itu:baselineYear ?year ; skos:notation ?code .
        }} ORDER BY ?code"""
    )
    return counted({row["code"]: row["year"] for row in found})


@answers
def target_count_per_goal(kg: KnowledgeGraph) -> list[Any]:
    goals = kg.search(plan=SP_2020, class_="StrategicGoal")
    return counted({goal["notation"]: len(kg.ask("what-serves-a-thing", thing=goal["id"])) for goal in goals})


@answers
def target_ldc_values(kg: KnowledgeGraph) -> list[Any]:
    found = kg.search("least developed countries", plan=SP_2020, class_="StrategicTarget")
    values = {row["notation"]: kg.thing(row["id"]).targetValue for row in found}
    return counted(dict(sorted(values.items())))


@answers
def indicator_count_per_product(kg: KnowledgeGraph) -> list[Any]:
    rows = [row for row in kg.ask("indicators-of-a-plan", plan=BAP) if row["section"].startswith("4. Outputs, ")]
    sections = {row["indicator"]: row["section"] for row in rows}  # an indicator of two categories has two rows
    return counted(Counter(section.partition(", ")[2] for section in sections.values()))


@answers
def plans_covering_2026(kg: KnowledgeGraph) -> list[Any]:
    plans = [kg.thing(row["id"]) for row in kg.search()]
    return [plan.notation for plan in plans if plan.startYear <= 2026 <= plan.endYear]


@answers
def date_sp2020_draft(kg: KnowledgeGraph) -> list[Any]:
    dates = kg.thing(f"document/{SP_2020}").date
    return [datetime.strptime(date, "%d %B %Y").replace(tzinfo=UTC).date().isoformat() for date in dates]


@answers
def terms_components_2024(kg: KnowledgeGraph) -> list[Any]:
    terms = [row for row in kg.ask("terms-across-plans", plan=SP_2024) if row["section"].startswith("Annex 1, 2.1, ")]
    return [row["term"] for row in sorted(terms, key=lambda row: row["line"])]
