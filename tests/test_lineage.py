"""The line of a thing over all plans, and two plans side by side: words, links and reasons are those of the documents.

The facts were read from the text copies before the queries were written.
"""

import csv
import io
import json
import re
from html import unescape
from itertools import pairwise
from typing import Any

import openpyxl
import pytest
from conftest import Engine
from fastapi.testclient import TestClient
from test_cli import Run, itukg  # noqa: F401  (a fixture)
from test_resources import get
from test_sparql import problem_of

from itukg import names
from itukg.formats import CSV, HTML, JSON, PICTURE_FORMATS, XLSX, Format
from itukg.views.compare import CHANGE_COLUMNS, COMPARE_FORMATS
from itukg.views.lineage import LINEAGE_FORMATS
from itukg.views.succession import LINK_COLUMNS
from itukg.views.words import Run as Words
from itukg.views.words import as_html, word_diff

OUTCOME = "bap-2026-2029/outcome/T1.1-O1"
PLANS = ["bap-2026-2029", "bap-2026-2029-draft", "sp-2020-2023", "buap-2018-2021"]
TARGETS = ["sdg:1.5", "sdg:3.9", "sdg:5.b", "sdg:11.b", "sdg:13.1", "sdg:13.2", "sdg:13.3"]
"""Line 473 of document 003: "1 (target 1.5), 3 (target 3.9), 5 (target 5b), 11 (target 11b), 13 (targets 13.1, 13.2, 13.3)"."""


def chain(client: TestClient, thing: str, **parameters: str) -> dict[str, Any]:
    reply = client.get(f"/lineage/{thing}.json", params=parameters)
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def compared(client: TestClient, a: str, b: str, **parameters: str) -> dict[str, Any]:
    reply = client.get("/compare.json", params={"a": a, "b": b, **parameters})
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def step(found: dict[str, Any], newer: str, older: str) -> dict[str, Any]:
    [one] = [s for s in found["steps"] if (s["newer"]["notation"], s["older"]["notation"]) == (newer, older)]
    return dict(one)


def words(step: dict[str, Any], op: str) -> list[str]:
    return [run["text"] for run in step["runs"] if run["op"] == op]


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


# --- the chain ---


def test_an_outcome_has_its_line_over_four_plans_newest_first(client: TestClient) -> None:
    rows = table(get(client, f"/lineage/{OUTCOME}.csv").text)
    assert [(row["newer"], row["relation"], row["older"]) for row in rows] == [
        ("T1.1-O1", "restates", "P1-O3"),
        ("T1.1-O1", "restates", "D.2-c"),
        ("T1.1-O1", "revises", "2.3"),
        ("P1-O3", "restates", "D.2-c"),
        ("P1-O3", "revises", "2.3"),
        ("D.2-c", "revises", "2.3"),
    ]
    assert list(dict.fromkeys(row[f"{end}Plan"] for end in ("newer", "older") for row in rows)) == PLANS
    lines = {row[end]: row[f"{end}Line"] for row in rows for end in ("newer", "older")}
    assert lines == {"T1.1-O1": "114", "P1-O3": "56", "D.2-c": "517", "2.3": "233"}
    assert [len(row["between"].split()) for row in rows] == [0, 1, 2, 0, 1, 0]
    assert {row["strength"] for row in rows} == {"close"}
    assert all(row["rationale"] and row["confidence"] == "high" for row in rows)


@pytest.mark.parametrize("thing", [OUTCOME, "sp-2020-2023/outcome/D.2-c", "buap-2018-2021/outcome/2.3"])
def test_the_chain_is_the_same_from_each_of_its_things(client: TestClient, thing: str) -> None:
    found, other = chain(client, thing), chain(client, OUTCOME)
    assert found["steps"] == other["steps"]
    assert [names.shorten(plan) for plan in found["plans"]] == PLANS


COOPERATION = ", and support cooperation in this area"
PLURALS = ["telecommunications", "ICTs", "management, to ensure availability of "]
FACTS = [
    ("T1.1-O1", "P1-O3", [], []),
    ("T1.1-O1", "D.2-c", [COOPERATION], []),
    ("P1-O3", "D.2-c", [COOPERATION], []),
    ("T1.1-O1", "2.3", ["telecommunication", "ICT"], PLURALS),
    ("P1-O3", "2.3", ["telecommunication", "ICT"], PLURALS),
    ("D.2-c", "2.3", ["telecommunication", "ICT"], [*PLURALS, COOPERATION]),
]
"""Lines 114 of 001, 56 of 000, 517 of 002 and 233 of 003: what the newer one leaves out and what it adds."""


@pytest.mark.parametrize(("newer", "older", "deleted", "inserted"), FACTS)
def test_the_words_that_changed_are_those_of_the_documents(
    client: TestClient, newer: str, older: str, deleted: list[str], inserted: list[str]
) -> None:
    assert len(FACTS) == 6
    found = step(chain(client, OUTCOME), newer, older)
    assert (words(found, "deleted"), words(found, "inserted")) == (deleted, inserted)
    assert found["sameWords"] == (not deleted and not inserted)
    assert re.findall("<del>(.*?)</del>", found["html"]) == deleted
    assert re.findall("<ins>(.*?)</ins>", found["html"]) == inserted


def test_an_objective_changes_its_last_clause(client: TestClient) -> None:
    """Line 755 of 003: "… for socio-economic development and environmental protection"; line 542 of 002: "… for sustainable development"."""
    found = step(chain(client, "sp-2020-2023/objective/D.4"), "D.4", "4")
    assert words(found, "deleted") == ["socio-economic", " and environmental protection"]
    assert words(found, "inserted") == ["sustainable"]
    assert (found["newer"]["line"], found["older"]["line"]) == (542, 755)


def test_an_output_of_the_strategic_plan_states_none_of_the_targets_of_the_one_it_revises(client: TestClient) -> None:
    """Lines 469 to 473 of 003; lines 509 to 520 of 002 have no column for what supports an output."""
    found = step(chain(client, "buap-2018-2021/output/2.3", basis="stated", plan="sp-2020-2023"), "D.2-3", "2.3")
    lost = found["lost"]
    assert [each for each in lost if re.fullmatch(r"sdg:\d+\.\w", each)] == sorted(TARGETS)
    assert {each for each in lost if re.fullmatch(r"sdg:\d+", each)} == {"sdg:1", "sdg:3", "sdg:5", "sdg:11", "sdg:13"}
    assert {"instrument/pp/resolution/36", "instrument/pp/resolution/136", "instrument/wtdc/resolution/34"} <= {*lost}
    assert {each for each in lost if each.startswith("wsis/")} == {"wsis/C2", "wsis/C7"}
    assert found.keys() & {*LINK_COLUMNS} == {"lost"}


def test_derived_links_are_told_from_those_that_documents_give(client: TestClient) -> None:
    found = step(chain(client, OUTCOME), "D.2-c", "2.3")
    assert {*TARGETS, "wsis/C2", "wsis/C7"} <= {*found["keptDerived"]}
    assert found.keys() & {*LINK_COLUMNS} == {"keptDerived"}
    stated = step(chain(client, OUTCOME, basis="stated"), "D.2-c", "2.3")
    assert {"wsis/C2", "wsis/C7", "instrument/pp/resolution/36"} <= {*stated["lost"]}  # lines 469 and 471 of 003
    assert not {*TARGETS} & {*stated["lost"]}  # which the document says of the output


def test_what_is_reached_by_a_loose_succession_is_a_side_branch(client: TestClient) -> None:
    found = chain(client, "bap-2026-2029/outcome/T5.1-O2")
    strengths = {(s["newer"]["notation"], s["older"]["notation"]): s["strength"] for s in found["steps"]}
    assert strengths["T5.1-O2", "D.2-b"] == strengths["D.2-b", "2.2"] == "close"
    assert strengths["T5.1-O2", "TP3-O5"] == strengths["D.2-a", "2.1"] == "loose"
    page = get(client, "/lineage/bap-2026-2029/outcome/T5.1-O2.html").text
    assert page.count("(side branch)") == [*strengths.values()].count("loose") > 8


def test_a_term_is_compared_with_its_definition(client: TestClient, store: Engine) -> None:
    found = store.rows(
        f"{names.PROLOGUE} SELECT ?new ?a {{ ?new itu:succeeds ?old ; skos:definition ?a . ?old skos:definition ?b }} ORDER BY ?new"
    )
    assert len(found) > 10
    term = found[0]["new"].value
    steps = [s for s in chain(client, names.shorten(term))["steps"] if s["newer"]["iri"] == term]
    for one in steps:
        text = "".join(run["text"] for run in one["runs"] if run["op"] != "deleted")
        assert text == f"{one['newer']['label']}: {found[0]['a'].value}"
    assert steps


def test_the_runs_of_every_succession_give_both_wordings(store: Engine) -> None:
    found = store.rows(
        f"{names.PROLOGUE} SELECT ?new ?old WHERE {{ ?n itu:succeeds ?o ; rdfs:label ?new . ?o rdfs:label ?old }}"
    )
    assert len(found) > 400
    for row in found:
        older, newer = row["old"].value, row["new"].value
        runs = word_diff(older, newer)
        assert "".join(run.text for run in runs if run.op != "inserted") == older
        assert "".join(run.text for run in runs if run.op != "deleted") == newer
        assert all(run.text and one.op != run.op for one, run in pairwise(runs))
        assert unescape(re.sub("</?(ins|del)>", "", as_html(runs))) == "".join(run.text for run in runs)


def test_a_change_of_two_words_is_one_run_and_markup_is_text() -> None:
    assert word_diff("a fine <old> day", "a good <new> day") == (
        Words("equal", "a "),
        Words("deleted", "fine"),
        Words("inserted", "good"),
        Words("equal", " <"),
        Words("deleted", "old"),
        Words("inserted", "new"),
        Words("equal", "> day"),
    )
    assert word_diff("one two end", "six ten end")[:2] == (Words("deleted", "one two"), Words("inserted", "six ten"))
    assert as_html(word_diff("", "<b>")) == "<ins>&lt;b&gt;</ins>"
    assert word_diff("", "") == ()


def test_a_thing_that_nothing_succeeds_says_so_with_the_reader_s_notes(client: TestClient) -> None:
    found = chain(client, "bap-2026-2029-draft/topic/FT1.1")
    assert (found["steps"], found["plans"]) == ([], [])
    assert {note["kind"] for note in found["notes"]} == {"no predecessor", "no successor"}
    assert any("No topic is about space" in note["rationale"] for note in found["notes"])
    page = get(client, "/lineage/bap-2026-2029-draft/topic/FT1.1.html").text
    assert "It takes up nothing of an older plan, and no newer plan takes it up." in page
    assert len(table(get(client, "/lineage/bap-2026-2029-draft/topic/FT1.1.csv").text)) == 0


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/lineage/bap-2026-2029/outcome/T9.9-O9", 404, "things are found at /search"),
        ("/lineage/%3Cx%3E", 404, "Name a thing by its path"),
        (f"/lineage/{OUTCOME}?plan=bap-2025", 400, 'No plan "bap-2025"; known: bap-2026-2029'),
        (f"/lineage/{OUTCOME}?basis=guessed", 400, "known: derived"),
        (f"/lineage/{OUTCOME}?sort=label", 400, "sort"),
        (f"/lineage/{OUTCOME}?format=ttl", 406, "json, html, csv, xlsx"),
        (f"/lineage/{OUTCOME}?labels=2", 400, "labels must be 1"),
        (f"/lineage/{OUTCOME}?release=none", 404, 'No release "none"'),
        ("/compare?a=bap-2026-2029", 400, "b"),
        ("/compare?a=bap-2026-2029&b=bap-2026-2029", 400, "the same plan"),
        ("/compare?a=bap-2026-2029&b=bap-2025", 400, 'No plan "bap-2025"; known: bap-2026-2029'),
        ("/compare?a=op-2026&b=bap-2026-2029", 404, "known pairs: bap-2026-2029-draft bap-2026-2029"),
        ("/compare?a=sp-2020-2023&b=bap-2026-2029&class=Thing", 400, 'No class "Thing"'),
    ],
)
def test_what_cannot_be_answered_is_refused_with_help(client: TestClient, path: str, status: int, says: str) -> None:
    assert says in problem_of(get(client, path), status)["detail"]


# --- two plans ---


def test_the_strategic_plan_revises_restates_adds_and_drops_what_the_action_plan_of_2018_has(
    client: TestClient,
) -> None:
    """Outcome 2.3 (003:233, 002:517), Objective 1 (the same words), Outcome D.1-d, which is new, and Output 1.6, which ends."""
    found = compared(client, "buap-2018-2021", "sp-2020-2023")
    assert (names.shorten(found["older"]), names.shorten(found["newer"])) == ("buap-2018-2021", "sp-2020-2023")
    ends = {(c["newerId"], c["olderId"]): c for c in found["changes"]}
    plans = names.THINGS + "sp-2020-2023/", names.THINGS + "buap-2018-2021/"
    assert ends[plans[0] + "outcome/D.2-c", plans[1] + "outcome/2.3"]["change"] == "revises"
    assert ends[plans[0] + "objective/D.1", plans[1] + "objective/1"]["change"] == "restates"
    assert ends[plans[0] + "outcome/D.1-d", None]["change"] == "adds"
    dropped = ends[None, plans[1] + "output/1.6"]
    assert dropped["change"] == "drops"
    assert dropped["lost"] and not dropped.keys() & {"gained", "kept"}
    assert sum(found["counts"].values()) == len(found["changes"]) == len(ends) > 200


def test_each_pair_has_the_links_that_its_step_has_in_the_line(client: TestClient) -> None:
    found = compared(client, "bap-2026-2029", "sp-2020-2023")
    [change] = [c for c in found["changes"] if c["newerId"] == names.THINGS + OUTCOME]
    line = step(chain(client, OUTCOME), "T1.1-O1", "D.2-c")
    for column in LINK_COLUMNS:
        assert change.get(column) == line.get(column)
    assert [change[name] for name in ("change", "rationale", "confidence")] == [
        line[name] for name in ("relation", "rationale", "confidence")
    ]


def test_two_plans_may_be_named_in_any_order_and_narrowed_by_class_and_basis(client: TestClient) -> None:
    all_, other = (
        compared(client, *pair) for pair in (("sp-2020-2023", "bap-2026-2029"), ("bap-2026-2029", "sp-2020-2023"))
    )
    assert all_ == other
    outcomes = compared(client, "sp-2020-2023", "bap-2026-2029", **{"class": "Outcome", "basis": "stated"})["changes"]
    assert 20 < len(outcomes) < len(all_["changes"])
    assert all("/outcome/" in f"{c['newerId']}{c['olderId']}" for c in outcomes)
    assert not [c for c in outcomes if c.keys() & {column for column in LINK_COLUMNS if column.endswith("Derived")}]


def test_a_thing_taken_up_through_others_names_them(client: TestClient) -> None:
    through = [
        c
        for c in compared(client, "buap-2018-2021", "bap-2026-2029")["changes"]
        if c["change"] == "takes up through others"
    ]
    assert through
    assert all(c["rationale"].startswith("Through ") and c["newerId"] and c["olderId"] for c in through)


@pytest.mark.parametrize(
    ("older", "newer"),
    [("buap-2018-2021", "sp-2020-2023"), ("sp-2020-2023", "bap-2026-2029"), ("bap-2026-2029-draft", "bap-2026-2029")],
)
def test_the_command_prints_the_rows_of_the_view(client: TestClient, itukg: Run, older: str, newer: str) -> None:  # noqa: F811
    printed = itukg("diff", older, newer)
    assert printed.returncode == 0, printed.stderr
    assert printed.stdout.splitlines()[0] == ",".join(CHANGE_COLUMNS)
    seen = table(get(client, f"/compare.csv?a={older}&b={newer}").text)
    assert [{name: row[name] for name in CHANGE_COLUMNS} for row in seen] == table(printed.stdout)
    assert len(seen) > 100


def test_plans_in_the_wrong_order_are_refused_with_the_right_command(itukg: Run) -> None:  # noqa: F811
    done = itukg("diff", "bap-2026-2029", "bap-2026-2029-draft")
    assert done.returncode == 2
    assert "bap-2026-2029-draft is older than bap-2026-2029" in done.stderr
    assert "itukg diff bap-2026-2029-draft bap-2026-2029" in done.stderr
    unknown = itukg("diff", "bap-2025", "bap-2026-2029")
    assert unknown.returncode == 2 and "known pairs: bap-2026-2029-draft bap-2026-2029" in unknown.stderr


# --- syntaxes ---

PATHS = {f"/lineage/{OUTCOME}": LINEAGE_FORMATS, "/compare": COMPARE_FORMATS}
ANSWERS = [(path, syntax) for path, formats in PATHS.items() for syntax in formats]


@pytest.mark.parametrize(("path", "syntax"), ANSWERS, ids=lambda each: each.name if isinstance(each, Format) else each)
def test_every_syntax_has_the_same_rows(client: TestClient, path: str, syntax: Format) -> None:
    assert [syntax for _, syntax in ANSWERS] == [JSON, HTML, CSV, XLSX, *PICTURE_FORMATS, JSON, HTML, CSV, XLSX]
    query = "?a=bap-2026-2029-draft&b=bap-2026-2029" if path == "/compare" else ""
    reply = get(client, f"{path}{syntax.suffix}{query}")
    assert (reply.status_code, reply.headers["content-type"].partition(";")[0]) == (200, syntax.bare_type)
    assert get(client, f"{path}{query}", syntax.media_type).content == reply.content
    assert reply.headers["etag"]
    again = client.get(f"{path}{syntax.suffix}{query}", headers={"if-none-match": reply.headers["etag"]})
    assert again.status_code == 304
    document = get(client, f"{path}.json{query}").json()
    rows = document["changes" if path == "/compare" else "steps"]
    assert len(rows) == (127 if path == "/compare" else 6)
    if syntax is HTML:
        both = [row for row in rows if "relation" in row or (row["newerId"] and row["olderId"])]
        assert reply.text.count('<article class="change">') == len(both)
        assert all(unescape(row["rationale"]) in unescape(reply.text) for row in rows if "rationale" in row)
    elif syntax is CSV:
        assert len(table(reply.text)) == len(rows)
    elif syntax is XLSX:
        book = openpyxl.load_workbook(io.BytesIO(reply.content))
        assert book.sheetnames == ["changes" if path == "/compare" else "lineage", "evidence"]
        first, second = (list(book[name].values) for name in book.sheetnames)
        assert len(first) == len(rows) + 1
        evidence = [dict(zip(second[0], row, strict=True)) for row in second[1:]]
        assert len(evidence) > 50
        assert all(row["quote"] and row["line"] for row in evidence if row["basis"] == "stated")
        assert all(row["rule"] for row in evidence if row["basis"] == "derived")
        assert {"derived"} <= {row["basis"] for row in evidence}


def test_the_machine_form_and_the_marked_words_stand_in_the_table(client: TestClient) -> None:
    row = table(get(client, f"/lineage/{OUTCOME}.csv").text)[1]
    assert ["deleted", COOPERATION] in json.loads(row["runs"])
    assert f"<del>{COOPERATION}</del>" in row["html"]
    assert row["keptDerived"].split()[:2] == ["sdg:1", "sdg:1.5"]


def test_the_page_of_a_thing_leads_to_its_line_where_there_is_one(client: TestClient) -> None:
    for thing in (OUTCOME, "buap-2018-2021/outcome/2.3"):
        assert f'href="/lineage/{thing}"' in get(client, f"/id/{thing}.html").text
    assert 'href="/lineage/' not in get(client, "/id/bap-2026-2029-draft/topic/FT1.1.html").text
    assert 'href="/compare?a=sp-2020-2023&amp;b=bap-2026-2029"' in get(client, f"/lineage/{OUTCOME}.html").text


@pytest.mark.parametrize("name", ["text", *(each.name for each in LINEAGE_FORMATS)])
def test_the_command_prints_the_line(client: TestClient, itukg: Run, name: str, tmp_path: Any) -> None:  # noqa: F811
    file = tmp_path / f"line.{name}"
    done = itukg("lineage", OUTCOME, "--format", name, "-o", str(file))
    assert done.returncode == 0, done.stderr
    if name == "text":
        said = file.read_text()
        assert said == itukg("lineage", OUTCOME).stdout
        assert f"[-{COOPERATION}-]" in said and "{+management, to ensure availability of +}" in said
    else:
        assert file.read_bytes() == get(client, f"/lineage/{OUTCOME}.{name}").content


def test_the_command_says_what_is_missing(itukg: Run) -> None:  # noqa: F811
    done = itukg("lineage", "bap-2026-2029/outcome/T9.9-O9")
    assert done.returncode == 2 and "things are found at /search" in done.stderr
