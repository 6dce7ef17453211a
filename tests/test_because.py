"""Why a link holds: every chain leads from the thing at hand to a sentence, a reason or a scheme, and its quotes stand there."""

import asyncio
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from lxml import html
from rdflib import Graph, URIRef
from test_cli import Run, itukg  # noqa: F401  (a fixture)
from test_docs import run_of
from test_resources import get
from test_sparql import problem_of

from itukg import names
from itukg.engine.local import LocalStore
from itukg.engine.store import rows
from itukg.release.model import Release
from itukg.views.because import BECAUSE_FORMATS, MAX_ROADS, RULES, Because, because

ROOT = Path(__file__).parents[1]
DOCUMENT = (ROOT / "docs" / "derived.md").read_text()
OUTCOME = "bap-2026-2029/outcome/T1.1-O1"
"""An adopted outcome whose sentence stands in the Strategic Plan 2020-2023."""


def asked(client: TestClient, subject: str, object_: str) -> dict[str, Any]:
    reply = client.get("/because", params={"subject": subject, "object": object_, "format": "json"})
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def path_of(road: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (names.shorten(step["subject"]["iri"]), step["predicate"], names.shorten(step["object"]["iri"]))
        for step in road["steps"]
    ]


def test_an_adopted_outcome_reaches_the_sentence_of_2017_that_states_its_target(client: TestClient) -> None:
    found = asked(client, OUTCOME, "sdg:11.b")
    ways = [path_of(road) for road in found["roads"]]
    assert [
        (OUTCOME, "restates", "sp-2020-2023/outcome/D.2-c"),
        ("sp-2020-2023/outcome/D.2-c", "revises", "buap-2018-2021/outcome/2.3"),
        ("buap-2018-2021/output/2.3", "delivers outcome", "buap-2018-2021/outcome/2.3"),
        ("buap-2018-2021/output/2.3", "contributes to SDG target", "sdg:11.b"),
    ] in ways
    assert {road["strength"] for road in found["roads"]} == {"close"}
    assert [len(road["steps"]) for road in found["roads"]] == sorted(len(road["steps"]) for road in found["roads"])
    last = found["roads"][0]["steps"][-1]
    assert (last["line"], last["basis"]) == (473, "stated")
    assert "11 (target 11b)" in last["quote"]
    assert found["roads"][0]["steps"][0]["rationale"]
    assert found["total"] == len(found["roads"]) > 1


def test_a_chain_shows_the_words_that_were_compared_and_where_they_stand(client: TestClient) -> None:
    found = asked(client, OUTCOME, "sdg:11.b")
    compared = [step for road in found["roads"] for step in road["steps"] if step["basis"] == "judged"]
    assert len(compared) >= 4
    for step in compared:
        assert step["object"]["line"] and step["object"]["document"] in found["documents"]
    told = client.get("/because.md", params={"subject": OUTCOME, "object": "sdg:11.b"}).text
    older = (
        "Strengthened capacity of Member States to use telecommunication/ICT for disaster risk reduction and emergency"
    )
    assert re.search(
        rf"outcome 2\.3 of buap-2018-2021: {older}.*draft Buenos Aires Action Plan, Objective 2, Outcomes, line 233",
        told,
    )


def test_a_code_of_one_thing_names_it_and_one_of_several_is_refused(client: TestClient) -> None:
    assert asked(client, "T1.1-O1", "11.B") == asked(client, OUTCOME, "sdg:11.b")
    reply = client.get("/because", params={"subject": "2.1", "object": "9.c"})
    assert (
        "2.1 is the code of several things: sdg:2.1, buap-2018-2021/outcome/2.1, " in problem_of(reply, 404)["detail"]
    )
    assert client.get("/lineage/T1.1-O1.json").json() == client.get(f"/lineage/{OUTCOME}.json").json()


def test_what_only_the_structure_links_is_told_apart(client: TestClient) -> None:
    reply = client.get("/because", params={"subject": OUTCOME, "object": "bap-2026-2029/topic/T1.1", "format": "json"})
    assert reply.status_code == 404
    assert "The structure of the document alone links them: itu:contributesTo, itu:outcomeOf." in reply.json()["detail"]


@pytest.mark.parametrize(
    ("subject", "object_", "path", "rule"),
    [
        (
            "buap-2018-2021/output/2.3",
            "sdg:11.b",
            [("buap-2018-2021/output/2.3", "contributes to SDG target", "sdg:11.b")],
            None,
        ),
        (
            "wsis/C5",
            "sdg:9",
            [("wsis/C5", "contributes to SDG target", "sdg:9.1"), ("sdg:9.1", "isTargetOf", "sdg:9")],
            "roll-up",
        ),
        (
            "buap-2018-2021/output/2.2",
            "sdg:9.c",
            [
                ("buap-2018-2021/output/2.2", "contributes to action line", "wsis/C5"),
                ("wsis/C5", "contributes to SDG target", "sdg:9.c"),
            ],
            "matrix",
        ),
        (
            "bap-2026-2029/topic/T2.3",
            "sdg:4.4",
            [
                ("bap-2026-2029/indicator/T2.3-I2", "indicator of", "bap-2026-2029/topic/T2.3"),
                ("bap-2026-2029/indicator/T2.3-I2", "skos:closeMatch", "sdg:C040401"),
                ("sdg:C040401", "isIndicatorOf", "sdg:4.4"),
            ],
            "measured",
        ),
    ],
    ids=["stated", "roll-up", "matrix", "measured"],
)
def test_each_rule_has_its_chain(
    client: TestClient, subject: str, object_: str, path: list[tuple[str, str, str]], rule: str | None
) -> None:
    found = asked(client, subject, object_)
    ways = {tuple((s, o) for s, _, o in path_of(road)): road for road in found["roads"]}
    road = ways[tuple((s, o) for s, _, o in path)]
    rules = {step["rule"] for step in road["steps"]} - {None}
    assert rules == ({rule} if rule else set())


@pytest.fixture(scope="module")
def every(release: Release) -> list[Because]:
    """Why each derived link holds."""
    store, terms = LocalStore(release.dataset), release.overview.terms

    async def all_of() -> list[Because]:
        links = await rows(
            store,
            f"{names.PROLOGUE} SELECT DISTINCT ?s ?o WHERE {{ GRAPH <{names.graph('derived')}> {{ ?l itu:subject ?s ; itu:object ?o }} }}",
        )
        return [await because(store, row["s"].value, row["o"].value, terms) for row in links]

    return asyncio.run(all_of())


SUCCESSIONS = ("restates", "revises", "merges", "splits", "succeeds")


def test_the_chain_of_every_derived_link_ends_with_what_is_no_derivation(every: list[Because]) -> None:
    assert len(every) > 2000
    seen = set()
    for found in every:
        assert found.roads
        for road in found.roads:
            ends = [(step.subject.iri, step.object.iri) for step in road.steps]
            assert found.subject.iri in ends[0]
            assert found.object.iri == ends[-1][1]
            for before, after in pairwise(ends):
                assert set(before) & set(after), (found.subject, found.object)
            for step in road.steps:
                assert step.basis in ("stated", "reference", "judged", "scheme")
                assert step.quote if step.basis == "stated" else step.rationale or step.basis == "scheme"
                seen.add(step.rule)
            assert len({step.linkage for step in road.steps if step.linkage}) == len(
                [step for step in road.steps if step.linkage]
            )
            successions = {step.predicate for step in road.steps} & set(SUCCESSIONS)
            close = successions <= {"restates", "revises"}
            assert road.strength is None or road.strength == ("close" if close else "loose")
    assert seen >= {*RULES}


def test_no_close_link_joins_cyber_incidents_with_broadcasting(every: list[Because]) -> None:
    """The outcome on cyber incidents took 68 links of infrastructure and broadcasting before succession was read again."""
    cyber = [found for found in every if found.subject.iri == names.THINGS + "bap-2026-2029/outcome/T5.1-O2"]
    assert len(cyber) > 10
    passed = {step.subject.iri for found in cyber for road in found.roads for step in road.steps}
    assert names.THINGS + "buap-2018-2021/output/2.2" in passed
    assert names.THINGS + "buap-2018-2021/output/2.1" not in passed


def test_at_least_ten_adopted_outcomes_have_a_derived_target_and_each_its_chain(every: list[Because]) -> None:
    outcomes = {
        found.subject.iri
        for found in every
        if found.subject.iri.startswith(names.THINGS + "bap-2026-2029/outcome/")
        and re.fullmatch(re.escape(names.SDG) + r"[0-9]+\.\w+", found.object.iri)
    }
    assert len(outcomes) >= 10


@pytest.mark.parametrize("syntax", BECAUSE_FORMATS, ids=lambda f: f.name)
def test_every_syntax_tells_the_chain(client: TestClient, syntax: Any) -> None:
    assert len(BECAUSE_FORMATS) == 9
    where = f"?subject={OUTCOME}&object=sdg:11.b"
    reply = get(client, f"/because{where}", syntax.media_type)
    assert (reply.status_code, reply.headers["content-type"].partition(";")[0]) == (200, syntax.bare_type)
    assert get(client, f"/because{syntax.suffix}{where}").content == reply.content
    if syntax.engine is None:
        assert all(words in reply.text for words in ("line 473", "(target 11b)", "Rule “lift”", "restates")) or (
            syntax.name == "json" and "(target 11b)" in reply.text
        )
    else:
        assert b"wasDerivedFrom" in reply.content


def test_as_rdf_each_derived_link_leads_to_those_that_it_rests_on(client: TestClient) -> None:
    graph = Graph().parse(data=get(client, f"/because.ttl?subject={OUTCOME}&object=sdg:11.b").text, format="turtle")
    derived = set(graph.subjects(URIRef(names.ITU + "basis"), URIRef(names.ITU + "derived")))
    assert len(derived) >= 4
    for linkage in derived:
        for source in graph.objects(linkage, URIRef(names.PREFIXES["prov"] + "wasDerivedFrom")):
            assert (source, URIRef(names.ITU + "subject"), None) in graph


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        (f"subject={OUTCOME}&object=sdg:1.b", 404, "Its links with evidence lead to"),
        ("subject=buap-2018-2021/output/9.9&object=sdg:1.b", 404, "No link of"),
        ("subject=%3Cx%3E&object=sdg:1.b", 404, "No link with evidence"),
        (f"subject={OUTCOME}", 400, "object"),
        ("subject=&object=", 404, "No link with evidence"),
        (f"subject={OUTCOME}&object=sdg:11.b&basis=stated", 400, "basis"),
    ],
)
def test_what_is_not_linked_is_refused_with_what_is(client: TestClient, query: str, status: int, words: str) -> None:
    assert words in problem_of(get(client, f"/because?{query}"), status)["detail"]


def test_the_command_prints_the_chain_and_says_what_is_missing(itukg: Run) -> None:  # noqa: F811
    done = itukg("because", OUTCOME, "sdg:11.b")
    assert done.returncode == 0
    assert done.stdout.startswith("# Why outcome T1.1-O1 of bap-2026-2029 is linked with SDG 11.b\n")
    assert "contributes to SDG target" in done.stdout
    failed = itukg("because", OUTCOME, "sdg:1.b")
    assert failed.returncode == 2
    assert "Its links with evidence lead to sdg:1" in failed.stderr


def test_no_more_chains_are_told_than_a_reader_can_take(every: list[Because]) -> None:
    assert max(len(found.roads) for found in every) <= MAX_ROADS


def test_the_page_on_derived_links_has_the_rows_of_the_saved_query() -> None:
    with (ROOT / "queries" / "researchers" / "what-rules-derive.csv").open() as file:
        rows = [line.rstrip("\n").split(",") for line in file][1:]
    wanted = [
        (rule, plan, strength, links, steps)
        for rule, plan, property_, strength, links, steps in rows
        if property_.endswith("#contributesToSDGTarget")
    ]
    told = re.findall(r"^\| `([\w-]+)` \| ([\w-]+) \| (close|loose) \| (\d+) \| (\d+) \|$", DOCUMENT, re.MULTILINE)
    assert told == wanted
    assert len(told) > 8


def test_the_commands_on_derived_links_do_what_the_page_says(tmp_path: Path, server: str, home: Path) -> None:
    printed = run_of(DOCUMENT, tmp_path, server, home)
    assert len(printed) == 7
    line, rows, changes, outcomes, sent, chains, document = printed
    assert sent.splitlines()[1].startswith("revises,") and "sdg:14.1" in sent
    assert line.count("\n\n") == len(rows.splitlines()) - 1 == 6
    assert "takes up through others" in changes
    assert len(outcomes.splitlines()) < len(changes.splitlines())
    assert json.loads(document)["total"] == chains.count("\n## Chain ")


def test_a_page_walks_each_chain_from_one_thing_to_the_next(client: TestClient) -> None:
    # A step may lead back: the indicator is of the topic, and matches the SDG indicator, which is of the target.
    where = {"subject": "bap-2026-2029/topic/T2.3", "object": "sdg:4.4"}
    page = html.fromstring(client.get("/because.html", params=where).text)
    [chain] = page.xpath('//ol[@class="steps"]')
    stops = [stop.get("href") for stop in chain.xpath(".//h3/a")]
    assert stops == ["/id/bap-2026-2029/topic/T2.3", "/id/bap-2026-2029/indicator/T2.3-I2", "/sdg/C040401", "/sdg/4.4"]
    steps = [" ".join(step.text_content().split()) for step in chain.xpath('.//div[@class="step"]/p[1]')]
    of = "of the Baku Action Plan 2026-2029"
    assert steps[0] == f"stated Indicator T2.3-I2 {of} measures topic T2.3 {of}"
    assert steps[1].startswith(f"judged Indicator T2.3-I2 {of} close match ICT skills")
    assert page.findtext(".//h1") == f"Why topic T2.3 {of} is linked with SDG 4.4"
    # Both sentences that a reader compared stand side by side, with the reason.
    [both] = chain.xpath('.//div[@class="both"]')
    assert len(both.xpath(".//blockquote")) == 2
    assert "Both are the share of people with digital skills" in chain.text_content()
    assert "Rule “measured”" in chain.text_content()
