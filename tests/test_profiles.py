"""The pages of things and of plans: each section says what the graph says, on what basis, and shows the query behind it."""

import json
import re
from html import unescape
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from conftest import Engine
from fastapi.testclient import TestClient
from test_resources import get, path_of

from itukg import names
from itukg.pages import counted, local_link
from itukg.release.model import Release

OUTCOME = names.THINGS + "bap-2026-2029/outcome/T1.1-O1"
OUTPUT = names.THINGS + "buap-2018-2021/output/2.1"
TOPIC = names.THINGS + "bap-2026-2029/topic/T1.1"
PLANS = ("bap-2026-2029", "bap-2026-2029-draft", "buap-2018-2021", "op-2026", "sp-2020-2023", "sp-2024-2027")
DERIVED = f"<{names.graph('derived')}>"


def page_of(client: TestClient, iri: str) -> str:
    reply = get(client, path_of(iri), "text/html")
    assert reply.status_code == 200
    return reply.text


def section(page: str, name: str) -> str:
    """Return the HTML of a section, empty where the page has none."""
    found = re.search(rf'<section[^>]*aria-labelledby="{name}">(.*?)</section>', page, re.DOTALL)
    return found[1] if found else ""


def links(html: str, start: str = "/") -> list[str]:
    return [unescape(link) for link in re.findall(r'href="([^"]+)"', html) if link.startswith(start)]


def words(html: str) -> str:
    return " ".join(
        unescape(
            re.sub("<[^>]*>", " ", re.sub(r"<details class=\"query.*?</details>", "", html, flags=re.DOTALL))
        ).split()
    )


def reasons(html: str, subject: str) -> set[str]:
    """Return to what the links "because" lead from a thing."""
    found = (parse_qs(urlsplit(link).query) for link in links(html, "/because?"))
    return {names.expand(of["object"][0]) for of in found if names.expand(of["subject"][0]) == subject}


def test_an_outcome_says_where_it_stands_from_the_plan_down(client: TestClient) -> None:
    page = page_of(client, OUTCOME)
    assert '<h1 class="official">Strengthened capacity of Member States' in page
    assert re.search(r"Outcome <span class=\"code\">T1\.1-O1</span> · <a href=\"/id/bap-2026-2029\">", page)
    assert "line 114 of" in words(page)
    chain = section(page, "chain")
    assert [link for link in links(chain) if link.startswith("/id")] == [
        "/id/bap-2026-2029", "/id/bap-2026-2029/priority/P1", "/id/bap-2026-2029/topic/T1.1",
    ]  # fmt: skip
    assert "this outcome" in words(chain)
    topic = section(page_of(client, TOPIC), "chain")
    assert links(topic, "/id/bap-2026-2029/outcome/") == ["/id/bap-2026-2029/outcome/T1.1-O1"]
    assert len(links(topic, "/id/bap-2026-2029/output/")) == 5


@pytest.mark.parametrize("iri", [OUTCOME, OUTPUT, names.THINGS + "buap-2018-2021/outcome/2.1"])
def test_each_link_stands_with_its_basis_its_words_and_its_reason(client: TestClient, store: Engine, iri: str) -> None:
    page = page_of(client, iri)
    shown = section(page, "serves") + section(page, "rests")
    linkage = f"?l itu:subject <{iri}> ; itu:object ?object ; itu:basis ?basis ; itu:predicate ?by ."
    told = "?by rdfs:subPropertyOf ?above FILTER(?above IN (itu:succeeds, itu:contributesTo))"
    found = store.rows(
        f"""{names.PROLOGUE}SELECT ?object ?basis ?quote ?strength WHERE {{
  {{ {linkage} OPTIONAL {{ ?l itu:quote ?quote }} }} UNION {{ GRAPH {DERIVED} {{ {linkage} ?l itu:strength ?strength }} }}
  MINUS {{ {told} }} FILTER(?by != itu:succeeds) }}"""
    )
    assert len(found) > 15
    assert reasons(shown, iri) == {row["object"].value for row in found}
    grounds = re.findall(r'<div class="ground">(.*?)</div>', shown, re.DOTALL)
    for row in found:
        basis = row["basis"].value.removeprefix(names.ITU)
        badge = f"{basis}, {row['strength'].value}" if "strength" in row else basis
        link = f'href="{local_link(row["object"].value)}"'
        beside = [words(ground) for ground in grounds if link in ground]
        assert any(badge in text for text in beside), (row, beside)
        assert "quote" not in row or row["quote"].value.split("  ")[0][:40] in words(shown)


def test_what_no_document_states_is_not_told_as_stated(client: TestClient) -> None:
    shown = section(page_of(client, OUTCOME), "serves")
    assert "derived, close" in words(shown)
    assert not {"stated", "judged", "reference"} & set(re.findall(r'class="basis (\w+)', shown))
    assert "receives that of the things it succeeds" in words(shown)


def test_that_nothing_links_with_an_sdg_is_said(client: TestClient) -> None:
    page = page_of(client, TOPIC)
    assert "No link of its own to a Sustainable Development Goal is stated or derived." in words(
        section(page, "serves")
    )
    risk = page_of(client, names.THINGS + "op-2026/risk/RISK1")  # of which nobody asks it
    assert not section(risk, "serves")


def test_money_is_told_with_whose_it_is(client: TestClient) -> None:
    topic, outcome = (words(section(page_of(client, iri), "paid")) for iri in (TOPIC, OUTCOME))
    assert "T1.1 Emergency telecommunications ITU-D Operational Plan 2026 CHF 205 000" in topic
    assert "No amount" not in topic
    assert "No amount is printed for this outcome itself" in outcome
    assert "P1 Affordable connectivity ITU-D Operational Plan 2026 CHF 523 000" in outcome
    assert not section(page_of(client, OUTPUT), "paid")


def test_what_measures_a_thing_is_told_with_its_basis(client: TestClient) -> None:
    shown = section(page_of(client, OUTCOME), "measured")
    assert links(shown, "/id/") == ["/id/bap-2026-2029/indicator/T1.1-I1"]
    assert "stated" in words(shown)
    topic = section(page_of(client, names.THINGS + "bap-2026-2029/topic/T1.2"), "measured")
    assert "Comparable with SDG indicator" in words(topic)
    assert "judged" in words(topic)


def test_before_and_after_shows_what_changed_word_by_word(client: TestClient) -> None:
    shown = section(page_of(client, OUTCOME), "lineage")
    order = [shown.index(label) for label in ("Buenos Aires Action Plan", "ITU Strategic Plan 2020", "2029, draft")]
    assert order == sorted(order)
    assert "<del>, and support cooperation in this area</del>" in re.sub(r"\s+", " ", shown)
    assert "<ins>management, to ensure availability of </ins>" in re.sub(r"\s+", " ", shown)
    assert "restated by this outcome, in the same words" in words(shown)
    assert "/lineage/bap-2026-2029/outcome/T1.1-O1" in links(shown)
    later = words(section(page_of(client, OUTPUT), "lineage"))
    assert "D.2-1 : revises this output" in later
    ended = words(section(page_of(client, names.THINGS + "sp-2020-2023/enabler/EN5.2"), "lineage"))
    assert "Not taken up by a later plan: ITU Strategic Plan 2024-2027" in ended


def test_what_the_document_leaves_open_and_what_was_found_stand_on_the_page(
    client: TestClient, release: Release
) -> None:
    page = page_of(client, OUTCOME)
    shown = words(section(page, "open"))
    assert "The document does not say which outputs deliver which outcome" in shown
    assert "noted once for all things of the kind outcome" in shown
    found = [finding for finding in release.report.findings if finding.focus == OUTCOME and finding.stands]
    assert found
    assert links(section(page, "findings"), "/id/finding/") == [f"/id/finding/{finding.id}" for finding in found]


@pytest.mark.parametrize("iri", [OUTCOME, OUTPUT, TOPIC])
def test_the_query_of_a_section_returns_what_the_section_shows(client: TestClient, iri: str) -> None:
    page = page_of(client, iri)
    checked = 0
    for name in ("chain", "serves", "measured", "paid", "lineage", "open"):
        shown = section(page, name)
        if not (asked := re.search(r'<details class="query.*?<code>(.*?)</code>.*?</details>', shown, re.DOTALL)):
            continue
        query = unescape(asked[1])
        [link] = links(asked[0], "/sparql?")
        assert parse_qs(urlsplit(link).query) == {"query": [query]}
        reply = get(client, f"/sparql?query={quote(query, '')}", "text/csv")
        assert reply.status_code == 200
        rest = shown.replace(asked[0], "")
        things = {link for link in links(rest, "/id/") + links(rest, "/sdg/") if "/finding/" not in link}
        for thing in things - {path_of(iri), "/id/" + names.shorten(iri).partition("/")[0]}:
            answered = {local_link(value) for value in re.findall(r"https?://[^,\s]+", reply.text)}
            assert unescape(thing) in answered, (name, thing)
        checked += 1
    assert checked >= 4


def test_a_thing_is_cited_with_the_release_that_said_it(client: TestClient, release: Release) -> None:
    page = page_of(client, OUTCOME)
    text, bibtex, csl = map(unescape, re.findall(r'<code id="cite-\d">(.*?)</code>', page, re.DOTALL))
    for each in (text, bibtex, csl):
        assert release.name in each and OUTCOME in each and "International Telecommunication Union" in each
    assert release.built[:10] in text and "line 114" in text
    assert bibtex.startswith("@misc{itukg:bap-2026-2029:outcome:T1.1-O1,") and bibtex.count("{") == bibtex.count("}")
    [entry] = json.loads(csl)
    assert (entry["version"], entry["URL"], entry["issued"]) == (
        release.name, OUTCOME, {"date-parts": [[int(part) for part in release.built[:10].split("-")]]},
    )  # fmt: skip
    gap = page_of(client, names.THINGS + "bap-2026-2029/gap/1.1-sdg-goals")  # whose name is ours
    assert '"literal": "The itukg project"' in unescape(gap)
    assert 'src="http://testserver/embed/id/bap-2026-2029/outcome/T1.1-O1"' in unescape(page)


THINGS = (
    "buap-2018-2021/linkage/2.1-contributesToSDGTarget", "bap-2026-2029/gap/1.1-sdg-goals", "op-2026/budget-line/T1.1",
    "op-2026/risk/RISK1", "document/tdag-26-2-add-2", "region/ASP", "bap-2026-2029/term/outcome-indicator",
    "buap-2018-2021/proposal/1", "sp-2020-2023/figure/chart-4-3", "bap-2026-2029/outcome/T1.1-O1", "buap-2018-2021/output/2.1",
)  # fmt: skip


@pytest.mark.parametrize("path", THINGS)
def test_everything_said_of_a_thing_stands_under_data(client: TestClient, store: Engine, path: str) -> None:
    page = page_of(client, names.THINGS + path)
    data = page.partition('<details class="data')[2]
    shown = unescape(data)
    entailed = names.graph("entailed")
    for row in store.rows(
        f"SELECT ?p ?o WHERE {{ <{names.THINGS}{path}> ?p ?o FILTER NOT EXISTS {{ GRAPH <{entailed}> {{ <{names.THINGS}{path}> a ?o }} }} }}"
    ):
        assert f"<code>{names.shorten(row['p'].value)}</code>" in shown
        assert names.shorten(row["o"].value) in shown
    assert names.THINGS + path in shown


def test_what_is_recorded_is_in_words_for_readers(client: TestClient) -> None:
    line = words(section(page_of(client, names.THINGS + "op-2026/budget-line/T1.1"), "particulars"))
    assert "Pays for T1.1 Emergency telecommunications" in line
    link = words(section(page_of(client, names.THINGS + THINGS[0]), "particulars"))
    assert "Kind of link Serves the SDG target" in link
    for path in THINGS:
        page = page_of(client, names.THINGS + path)
        head = page.partition('<details class="data')[0]
        assert not re.search(
            r"\b(itu|skos|dcterms|rdfs|prov):\w",
            words(head.partition("<main")[2].partition('aria-labelledby="use"')[0]),
        ), path


# --- plans ---


@pytest.mark.parametrize("plan", PLANS)
def test_the_tree_of_a_plan_has_each_thing_once_in_its_place(client: TestClient, store: Engine, plan: str) -> None:
    iri = names.THINGS + plan
    page = page_of(client, iri)
    tree = section(page, "chain")
    leads = """itu:activityOf|itu:deliversOutcome|itu:outcomeOf|itu:outputOf|itu:programmeFor|itu:targetOf|itu:topicOf|itu:workAreaOf
    |itu:offeredBy|itu:partOf|itu:statementOf|itu:reportItemOf|itu:mitigates"""
    steps = store.rows(
        f"{names.PROLOGUE}SELECT ?lower ?upper WHERE {{ ?lower itu:plan <{iri}> ; {leads} ?upper . ?upper itu:plan <{iri}> }}"
    )
    things = {path_of(row[end].value) for row in steps for end in ("lower", "upper")}
    told = [link for link in links(tree, f"/id/{plan}/") if not link.endswith("#measured")]
    assert {*told} == things
    again = tree.count("told above")
    assert len(told) - again == len(things)
    assert len(re.findall("<(ul|li|details)[ >]", tree)) == len(re.findall("</(ul|li|details)>", tree))


def test_a_branch_counts_what_it_serves_each_on_its_best_basis(client: TestClient, store: Engine) -> None:
    tree = section(page_of(client, names.THINGS + "buap-2018-2021"), "chain")
    objective = names.THINGS + "buap-2018-2021/objective/2"
    below = f"?thing itu:contributesTo* <{objective}> ."
    [row] = store.rows(
        f"{names.PROLOGUE}SELECT (COUNT(DISTINCT ?target) AS ?n) WHERE {{ {below} ?thing itu:contributesToSDGTarget ?target }}"
    )
    shown = words(tree.partition('href="/id/buap-2018-2021/objective/2"')[2].partition("<details>")[0])
    assert re.search(rf"stated: .*\b{row['n'].value} SDG targets", shown), shown
    baku = section(page_of(client, names.THINGS + "bap-2026-2029"), "chain")
    assert {*re.findall(r'class="basis tally (\w+)"', baku)} == {"derived"}  # its outcomes state none
    assert "CHF 523 000" in words(baku)


def test_a_plan_says_what_it_is_and_what_auditors_see(client: TestClient, release: Release) -> None:
    draft, adopted = (page_of(client, names.THINGS + plan) for plan in ("sp-2020-2023", "bap-2026-2029"))
    assert "A draft: the plan that was adopted may differ from it." in words(draft)
    assert "Action plan · 2026-2029 · Adopted" in words(adopted)
    counts = release.report.counted("plan")["bap-2026-2029"]
    audit = words(section(adopted, "audit"))
    assert f"{counts['Warning']} warnings {counts['Info']} infos" in audit
    assert "Indicators of an outcome 5 of 19" in audit
    assert "/conformance?plan=bap-2026-2029&severity=Warning" in links(section(adopted, "audit"))


@pytest.mark.parametrize("plan", PLANS)
def test_new_kept_and_dropped_are_those_of_the_comparison(client: TestClient, plan: str) -> None:
    shown = section(page_of(client, names.THINGS + plan), "changed")
    told = re.findall("<tr>(.*?)</tr>", shown, re.DOTALL)[1:]
    assert told
    for row in told:
        [link] = links(row, "/compare?")
        changes = get(client, link, "application/json").json()["changes"]
        new = {each["newerId"] for each in changes if not each["olderId"]}
        kept = {each["newerId"] for each in changes if each["newerId"] and each["olderId"]}
        dropped = {each["olderId"] for each in changes if not each["newerId"]}
        assert f" {len(new)} {len(kept)} {len(dropped)} side by side" in words(row)


def test_an_operational_plan_says_what_it_pays_for(client: TestClient) -> None:
    page = page_of(client, names.THINGS + "op-2026")
    assert "These are preliminary figures." in words(page)
    assert len(links(section(page, "pays"), "/id/op-2026/budget-line/")) == 21
    assert "CHF 3 813 000" in words(page_of(client, names.THINGS + "bap-2026-2029"))


@pytest.mark.parametrize(
    ("word", "number", "told"),
    [("Part of an enabler", 3, "3 parts of an enabler"), ("ITU-D priority", 2, "2 ITU-D priorities"), ("Topic", 1, "1 topic")],
)  # fmt: skip
def test_numbers_of_things_are_told_in_words(word: str, number: int, told: str) -> None:
    assert counted(word, number) == told
