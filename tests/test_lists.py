"""Lists and full text: every thing once, by filters that say what they know, and nothing in a search is an operator."""

import csv
import io
import json
import re
import sqlite3
from contextlib import closing
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openpyxl
import pyoxigraph as ox
import pytest
from conftest import Engine
from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator
from test_resources import Page, get
from test_sparql import ask, problem_of, values
from test_things import expand, graph_of_jsonld

from itukg import names
from itukg.engine.store import Row, Store, rows
from itukg.pages import address
from itukg.rdf.jsonld import natural
from itukg.release.model import Release
from itukg.release.overview import FILTERS, Overview, Value
from itukg.views.listing import LIST_FORMATS, MAX_PAGE_SIZE
from itukg.views.search import search

PLAN = names.THINGS + "buap-2018-2021"
PLAN_NODE = ox.NamedNode(PLAN)
HOSTILE = [
    '"', '""', "'", "*", '"*', "NEAR(a b)", "a OR", "AND", "NOT a", "label:access", "{label notation}: a", "^access",
    "a + b", "(((", ")", "-a", "\x00", "a\x00b", "%00", "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    "'; DROP TABLE thing; --", "<script>alert(1)</script>", "\u202e9.c", "é" * 100, "thing MATCH", "a" * 200, "_", "9..c", "\x02a\x03",
]  # fmt: skip


def items_of(client: httpx2.Client, path: str) -> list[dict[str, Any]]:
    """All items of a list, followed by its links, which are the same in the head and in the body."""
    found: list[dict[str, Any]] = []
    seen: set[str] = set()
    while path:
        reply = get(client, path)
        assert reply.status_code == 200, reply.text
        document = reply.json()
        links = {
            link["rel"]: link["url"]
            for link in reply.links.values()
            if link["rel"] in ("first", "prev", "next", "last")
        }
        assert links == {key: document[key] for key in ("first", "prev", "next", "last") if key in document}
        assert path not in seen
        seen.add(path)
        found += document["items"]
        path = urlsplit(links["next"])._replace(scheme="", netloc="").geturl() if "next" in links else ""
    assert len(found) == document["totalItems"]
    return found


# --- lists ---


@pytest.mark.parametrize("size", [1, 7, 19, MAX_PAGE_SIZE])
def test_the_pages_of_a_list_hold_every_thing_once(client: TestClient, size: int) -> None:
    things = values(
        ask(client, f"SELECT DISTINCT ?s WHERE {{ ?s ?p ?o FILTER(STRSTARTS(STR(?s), '{PLAN}/output/')) }}")
    )
    listed = [item["id"] for item in items_of(client, f"/id/buap-2018-2021/output?size={size}")]
    assert len(listed) == len(set(listed)) == 17
    assert set(listed) == {iri for (iri,) in things}


def test_every_thing_is_in_the_lists_that_the_paths_make(client: TestClient) -> None:
    ours = values(ask(client, f"SELECT DISTINCT ?s WHERE {{ ?s a ?c FILTER(STRSTARTS(STR(?s), '{names.THINGS}')) }}"))
    folders = {iri.rpartition("/")[0] for (iri,) in ours} - {names.THINGS.rstrip("/")}
    told = {iri for (iri,) in ours}
    listed: set[str] = set()
    lists = 0
    for folder in sorted(folders - told):
        listed |= {
            item["id"] for item in items_of(client, f"/id/{folder.removeprefix(names.THINGS)}?size={MAX_PAGE_SIZE}")
        }
        lists += 1
    assert lists > 50
    below = {iri for iri in told if iri.rpartition("/")[0] in folders - told}
    assert below <= listed
    assert len(below) > 2500


def test_codes_are_in_natural_order_and_labels_by_letter(client: TestClient) -> None:
    path = "/id?class=Target&size=1000"
    codes = [item["notation"] for item in items_of(client, path)]
    assert len(codes) == 169
    assert codes.index("9.1") < codes.index("9.a") < codes.index("10.1") < codes.index("16.6") < codes.index("16.10")
    labels = [item["label"]["en"] for item in items_of(client, f"{path}&sort=label")]
    assert labels == sorted(labels, key=lambda label: natural(label.casefold()))
    assert labels != [item["label"]["en"] for item in items_of(client, path)]


def test_without_a_filter_the_list_is_of_the_plans(client: TestClient) -> None:
    plans = {iri for (iri,) in values(ask(client, f"SELECT ?p WHERE {{ ?p a <{names.ITU}Plan> }}"))}
    assert {item["id"] for item in items_of(client, "/id")} == plans
    assert len(plans) == 6


FILTERED = [
    ("plan=buap-2018-2021&class=Outcome", f"?s itu:plan <{PLAN}> ; a itu:Outcome", 10),
    ("class=Indicator", "?s a itu:Indicator", 100),
    ("sdg=9.c", "?s itu:contributesToSDG|itu:contributesToSDGTarget|itu:linkedToSDGIndicator sdg:9.c", 3),
    (f"sdg={names.SDG}9", "?s itu:contributesToSDG|itu:contributesToSDGTarget|itu:linkedToSDGIndicator sdg:9", 3),
    (
        "actionLine=C5",
        f"?s itu:contributesToActionLine|itu:supportedBy|itu:facilitates|itu:soleFacilitatorOf <{names.THINGS}wsis/C5>",
        3,
    ),
    (
        "instrument=instrument/pp/resolution/71",
        f"?s itu:supportedBy|itu:cites <{names.THINGS}instrument/pp/resolution/71>",
        3,
    ),
    ("basis=judged", "?l itu:subject ?s ; itu:basis itu:judged", 50),
    ("basis=stated&sdg=9.c", "?l itu:subject ?s ; itu:basis itu:stated ; itu:object sdg:9.c", 3),
    (
        "basis=derived&class=Outcome&sdg=9",
        f"?s a itu:Outcome GRAPH <{names.graph('derived')}> {{ ?l itu:subject ?s ; itu:object sdg:9 ; itu:predicate itu:contributesToSDG }}",
        10,
    ),
    (f"to={PLAN}&by=itu:plan", f"?s itu:plan <{PLAN}>", 400),
    ("to=buap-2018-2021/objective/2", f"?s ?p <{PLAN}/objective/2>", 10),
]


@pytest.mark.parametrize(("query", "pattern", "least"), FILTERED, ids=[query for query, _, _ in FILTERED])
def test_a_filter_keeps_what_the_graph_says(client: TestClient, query: str, pattern: str, least: int) -> None:
    assert {part.partition("=")[0] for q, _, _ in FILTERED for part in q.split("&")} >= {f.name for f in FILTERS}
    wanted = {iri for (iri,) in values(ask(client, f"{names.PROLOGUE} SELECT DISTINCT ?s WHERE {{ {pattern} }}"))}
    listed = [item["id"] for item in items_of(client, f"/id?{query}&size={MAX_PAGE_SIZE}")]
    assert len(listed) == len(set(listed)) >= least
    assert set(listed) == wanted


@pytest.mark.parametrize(
    ("path", "status", "word"),
    [
        ("/id?page=0", 400, "from 1"),
        ("/id?page=1000000000", 400, "from 1"),
        ("/id?page=999999999", 404, "1 pages"),
        ("/id?page=2", 404, "6 things"),
        ("/id?page=-1", 400, "from 1"),
        ("/id?page=%D9%A1", 400, "from 1"),
        ("/id?size=0", 400, "1000"),
        ("/id?size=1000000000", 400, "1000"),
        ("/id?size=x", 400, "1000"),
        ("/id?page=1&page=2", 400, "twice"),
        ("/id?colour=red", 400, "actionLine"),
        ("/id?plan=bap-2025", 400, "buap-2018-2021"),
        ("/id?class=Nonsense", 400, "Output"),
        ("/id?sdg=18", 400, "nearest: 8, 17.8"),
        ("/id?actionLine=C12", 400, "C11"),
        ("/id?instrument=71", 400, "instrument/wtdc/resolution/71"),
        ("/id?basis=guessed", 400, "judged"),
        ("/id?sort=size", 400, "notation, label"),
        ("/id?to=%3Cx%3E", 400, "IRI"),
        ("/id?by=x%20y%3E", 400, "IRI"),
        ("/id.ttl", 404, ".csv"),
        ("/id?format=ttl", 406, "jsonld"),
        ("/id/buap-2018-2021/outputs", 404, "output"),
        ("/id/buap-2018-2021/output/2.1/x", 404, "2.1/x"),
        ("/id/buap-2018-2021/output?size=5000", 400, "1000"),
        ("/search?q=...", 400, "q must"),
        (f"/search?q={'a' * 201}", 400, "200"),
        (f"/search?q={'a+' * 21}", 400, "20 words"),
        ("/search?q=a&page=0", 400, "from 1"),
        ("/search?q=a&plan=x", 400, "buap-2018-2021"),
        ("/search?q=a&q=b", 400, "twice"),
        ("/search.pdf?q=a", 404, ".csv"),
    ],
)
def test_a_value_that_no_list_has_is_refused_with_a_reason(
    client: TestClient, path: str, status: int, word: str
) -> None:
    assert word in problem_of(get(client, path), status)["detail"]


def table_of(reply: httpx2.Response) -> list[list[str]]:
    if reply.headers["content-type"].startswith("text/csv"):
        return list(csv.reader(io.StringIO(reply.text, newline="")))
    [sheet] = openpyxl.load_workbook(io.BytesIO(reply.content)).worksheets
    return [[str(cell or "") for cell in row] for row in sheet.iter_rows(values_only=True)]


@pytest.mark.parametrize(
    "path", ["/id?class=Output", "/id/organization", "/search?q=access", "/id?class=Gap&plan=op-2026"]
)
def test_a_list_is_the_same_in_every_syntax(client: TestClient, path: str) -> None:
    assert len(LIST_FORMATS) == 5
    head, _, query = path.partition("?")
    replies = {f.name: get(client, path, f.media_type) for f in LIST_FORMATS}
    for syntax in LIST_FORMATS:
        reply = replies[syntax.name]
        assert (reply.status_code, reply.headers["content-type"].partition(";")[0]) == (200, syntax.media_type)
        assert reply.headers["etag"]
        suffixed = get(client, f"{head}{syntax.suffix}{'?' if query else ''}{query}", "image/png")
        assert suffixed.status_code == 200
        if syntax.name in ("csv", "xlsx"):
            assert table_of(suffixed) == table_of(reply)
    assert replies["json"].content == replies["jsonld"].content
    document = replies["jsonld"].json()
    rows = table_of(replies["csv"])
    assert table_of(replies["xlsx"]) == rows
    assert rows[0][:6] == ["id", "type", "notation", "label", "plan", "planLabel"]
    assert len(rows) == 1 + len(document["items"]) > 3
    plans = {item["id"]: item["label"]["en"] for item in items_of(client, "/id")}
    for row, item in zip(rows[1:], document["items"], strict=True):
        got = [item.get(key, "") for key in ("id", "type", "notation")]
        assert row[:3] == got
        assert row[3] == item.get("label", {}).get("en", "")
        assert row[4:6] == [item.get("plan", ""), plans.get(item.get("plan", ""), "")]
    page = Page(replies["html"])
    shown = " ".join(page.text.split())
    for item in document["items"]:
        assert " ".join(item.get("label", {}).get("en", "").split()) in shown


def test_the_json_of_lists_is_json_ld_by_its_schema(client: TestClient) -> None:
    schema = get(client, "/schemas/list.json").json()
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for path in ("/id", "/id?class=Output&size=3", "/id/organization", "/search?q=access&size=5", "/search?q=zzzzzz"):
        document = get(client, path).json()
        validator.validate(document)
        [node] = expand(document)
        members = node.get("https://www.w3.org/ns/activitystreams#items", [{"@list": []}])[0]["@list"]
        assert [member["@id"] for member in members if "@id" in member] == [
            expand({"@context": names.CONTEXT, "id": item["id"], "label": {"en": "x"}})[0]["@id"]
            for item in document["items"]
        ]
        assert len(graph_of_jsonld(document)) > 3


def test_links_too_many_for_a_description_are_the_list_that_it_leads_to(client: TestClient) -> None:
    found = 0
    for iri in (PLAN, names.THINGS + "sp-2020-2023", names.THINGS + "document/buap-2018-2021"):
        for link in get(client, f"/id/{iri.removeprefix(names.THINGS)}").json()["seeAlso"]:
            if link.startswith(names.BASE + "id?"):
                path = "/" + link.removeprefix(names.BASE)
                assert len(items_of(client, f"{path}&size=1000")) > 100
                found += 1
    assert found >= 3


def test_a_list_is_headed_by_what_is_in_it(client: TestClient) -> None:
    heads = {
        "/id": "Plans",
        "/id/bap-2026-2029/outcome": "Outcomes of the Baku Action Plan 2026-2029",
        "/id/sp-2020-2023/output?page=2": "Outputs of the ITU Strategic Plan 2020-2023",
        "/id?plan=sp-2020-2023": "Things",  # of several kinds, though those of the first page are of one
        "/id/instrument": "Things below /id/instrument",
    }
    for path, head in heads.items():
        assert f"<h1>{head}</h1>" in get(client, path, "text/html").text, path
    cards = get(client, "/id", "text/html").text
    for item in items_of(client, "/id"):
        assert f'<h2><a href="{item["id"].removeprefix(names.BASE[:-1])}">{item["label"]["en"]}</a></h2>' in cards


def test_an_empty_list_says_so_and_keeps_its_filters(client: TestClient) -> None:
    page = get(client, "/id?class=Output&plan=op-2026", "text/html").text
    assert "Nothing fits." in page and "0 things" in page
    assert '<option value="op-2026" selected>' in page


def test_a_page_for_frames_names_what_it_shows_and_needs_no_style_of_its_own(client: TestClient) -> None:
    reply = get(client, "/embed/id/bap-2026-2029/outcome/T1.1-O1", "text/html")
    before, _, after = reply.text.partition("<svg")
    assert (
        "style.css" in before and "<style" not in before + after.partition("</svg>")[2]
    )  # which its policy would stop
    assert '<h1><a href="/id/bap-2026-2029/outcome/T1.1-O1">Results chain of Outcome T1.1-O1' in after
    assert "frame-ancestors *" in reply.headers["content-security-policy"]


def test_a_page_of_a_list_is_a_form_and_links_that_answer(client: TestClient) -> None:
    page = Page(get(client, "/id?class=Output&plan=sp-2020-2023&size=10", "text/html"))
    assert {"form", "select", "datalist", "table"} <= set(page.elements)
    assert "page 1 of" in " ".join(page.text.split())
    ours = {link for link in page.links if link.startswith(("/", "http://testserver/"))}
    assert len(ours) > 15
    for link in ours:
        assert get(client, link, "text/html, */*;q=0.5").status_code == 200, link
    chosen = get(client, "/id?class=Output&plan=sp-2020-2023&sdg=", "text/html").text
    assert '<option value="Output" selected>' in chosen
    assert '<option value="sp-2020-2023" selected>' in chosen


# --- the overview that lists read ---


def test_the_overview_made_at_build_is_that_of_the_dataset(release: Release) -> None:
    content = (release.path / "overview.json").read_bytes()
    held = ox.Store()
    held.bulk_load(path=str(release.dataset), format=ox.RdfFormat.N_QUADS)
    computed = Overview.of_store(held)
    assert Overview.read(content) == release.overview == computed
    assert computed.write() == content
    assert "overview.json" not in release.files


def test_the_overview_has_words_for_people_and_falls_back_to_labels(release: Release) -> None:
    overview, delivers = release.overview, names.ITU + "deliversOutcome"
    assert overview.reader(delivers) == "Helps to bring about"
    assert overview.reader(delivers, inverse=True) == overview.reader(names.ITU + "deliveredBy")
    assert overview.reader(names.expand("skos:notation")) == "Code"
    assert overview.sentence(names.ITU + "Outcome").startswith("The change that")
    assert overview.sentence(names.expand("skos:notation")) == overview.sentence("urn:x") == ""
    assert overview.for_machines(names.ITU + "rule")
    assert not overview.for_machines(delivers) and not overview.for_machines("urn:x")
    older = json.loads(overview.write())
    del older["words"]
    before = Overview.read(json.dumps(older).encode())
    assert before.reader(delivers) == before.reader(delivers, inverse=True) == "Delivers outcome"
    assert before.reader(names.expand("skos:notation")) == "skos:notation"


def test_the_overview_holds_what_the_graph_offers(release: Release, store: Engine) -> None:
    overview = release.overview
    assert [*overview.values] == [each.name for each in FILTERS]
    plans = store.rows(f"SELECT ?p ?l {{ ?p a <{names.ITU}Plan> ; <{names.PREFIXES['rdfs']}label> ?l }}")
    assert {value.iri: value.label for value in overview.values["plan"]} == {r["p"].value: r["l"].value for r in plans}
    goals = [value.notation for value in overview.values["sdg"] if value.notation.isdecimal()]
    assert goals == [str(number) for number in range(1, 18)]
    assert {"buap-2018-2021", "buap-2018-2021/output", "instrument/pp"} <= overview.folders
    assert not {"", "buap-2018-2021/output/2.1"} & overview.folders
    assert overview.terms[names.ITU + "deliversOutcome"] == "delivers outcome"


def test_a_thing_under_several_names_has_the_same_in_every_order() -> None:
    label, plan = (ox.NamedNode(iri) for iri in (names.PREFIXES["rdfs"] + "label", names.ITU + "plan"))
    quads = [ox.Quad(PLAN_NODE, label, ox.Literal(text)) for text in ("b", "c", "a")]
    quads.append(ox.Quad(ox.NamedNode(f"{PLAN}/output/1"), plan, PLAN_NODE))
    found = []
    for given in (quads, quads[::-1]):
        store = ox.Store()
        store.extend(given)
        found.append(Overview.of_store(store))
    assert found[0] == found[1]
    assert found[0].values["plan"] == [Value(PLAN, "", "c")]
    assert found[0].folders == {"buap-2018-2021", "buap-2018-2021/output"}


def test_lists_and_pages_ask_the_store_for_no_more_than_what_they_show(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def counting(store: Store, query: str) -> list[Row]:
        asked.append(query)
        return await rows(store, query)

    monkeypatch.setattr("itukg.views.listing.rows", counting)
    monkeypatch.setattr("itukg.views.thing.rows", counting)
    assert get(client, "/id?class=Objective&basis=stated&sort=label&size=7").status_code == 200
    assert len(asked) == 1
    assert get(client, "/id/wsis/C9", "text/html").status_code == 200
    assert len(asked) == 1


# --- full text ---


def found(client: httpx2.Client, text: str, **more: str) -> list[dict[str, Any]]:
    reply = client.get("/search", params={"q": text, **more})
    assert reply.status_code == 200, reply.text
    items: list[dict[str, Any]] = reply.json()["items"]
    return items


def test_words_are_found_by_their_beginning_in_any_case_and_without_diacritics(client: TestClient) -> None:
    access = {item["id"] for item in found(client, "broadband access", size="1000")}
    assert names.THINGS + "sp-2024-2027/strategic-target/1.3" in access
    for text in ("BROADBAND Access", "broadb acc", "access broadband", "bröadband áccess"):
        assert {item["id"] for item in found(client, text, size="1000")} >= access
    assert found(client, "roadband") == []


@pytest.mark.parametrize(
    ("text", "iri"),
    [
        ("9.c", names.SDG + "9.c"),
        ("C7-e-government", names.THINGS + "wsis/C7-e-government"),
        ("TP1-O1", names.THINGS + "sp-2024-2027/outcome/TP1-O1"),
        ("buap-2018-2021", PLAN),
        ("ITU Strategic Plan 2020-2023", names.THINGS + "sp-2020-2023"),
    ],
)
def test_whose_code_or_name_it_is_comes_first(client: TestClient, text: str, iri: str) -> None:
    assert found(client, text)[0]["id"] == iri


@pytest.mark.parametrize(
    ("text", "iri"),
    [
        ("SDG 4.4", names.SDG + "4.4"),
        ("sdg4.4", names.SDG + "4.4"),
        ("target 9.c", names.SDG + "9.c"),
        ("9c", names.SDG + "9.c"),
        ("goal 9", names.SDG + "9"),
        ("SDG 9", names.SDG + "9"),
        ("Resolution 37", names.THINGS + "instrument/wtdc/resolution/37"),
        ("WTDC res. 37", names.THINGS + "instrument/wtdc/resolution/37"),
        ("resolution 71 pp", names.THINGS + "instrument/pp/resolution/71"),
        ("C5", names.THINGS + "wsis/C5"),
        ("action line C5", names.THINGS + "wsis/C5"),
        ("Output 2.1", names.THINGS + "buap-2018-2021/output/2.1"),
        ("Priority 1", names.THINGS + "bap-2026-2029/priority/P1"),
        ("Baku", names.THINGS + "bap-2026-2029"),
        ("buenos aires", names.THINGS + "buap-2018-2021"),
    ],
)
def test_what_people_call_a_thing_brings_it_first(client: TestClient, text: str, iri: str) -> None:
    first = found(client, text)[0]["id"]
    assert first == iri
    page = get(client, f"/search?q={text}", "text/html").text
    assert re.findall(r'<ul class="hits">\s*<li><a href="([^"]+)"', page)[0] == address(iri)


def test_resolution_71_is_a_resolution_and_not_what_cites_it(client: TestClient) -> None:
    ends = [item["id"].removeprefix(names.THINGS) for item in found(client, "Resolution 71")[:2]]
    assert {*ends} == {"instrument/pp/resolution/71", "instrument/wtdc/resolution/71"}


def test_records_behind_links_and_lineage_come_only_where_they_are_asked_for(client: TestClient) -> None:
    records = ("Linkage", "NoPredecessor", "NoSuccessor")
    assert not {item["type"] for item in found(client, "broadband", size="1000")} & {*records}
    for kind in records:
        assert {item["type"] for item in found(client, "outcome", size="1000", **{"class": kind})} == {kind}
    page = get(client, "/search?q=outcome", "text/html").text
    left = re.findall(r'<a href="/search\?q=outcome&amp;class=(\w+)">[^<]+</a> \((\d+)\)', page)
    assert {kind: int(count) for kind, count in left} == {
        kind: len(found(client, "outcome", size="1000", **{"class": kind})) for kind in records
    }


def test_kinds_and_plans_of_what_was_found_are_counted_and_lead_there(client: TestClient) -> None:
    every = found(client, "skills", size="1000")
    page = get(client, "/search?q=skills", "text/html").text
    counted = dict(re.findall(r'<a href="(/search\?q=skills&amp;\w+=[^"]+)">[^<]+</a> <span class="note">(\d+)<', page))
    outcomes = [item for item in every if item["type"] == "Outcome"]
    baku = [item for item in every if item.get("plan") == names.THINGS + "bap-2026-2029"]
    assert int(counted["/search?q=skills&amp;class=Outcome"]) == len(outcomes) > 1
    assert int(counted["/search?q=skills&amp;plan=bap-2026-2029"]) == len(baku) > 1
    for link, count in counted.items():
        assert get(client, unescape(link)).json()["totalItems"] >= int(count)  # more where a class has classes below it
    narrow = get(client, "/search?q=skills&class=Outcome", "text/html").text
    assert '<strong aria-current="true">Outcome</strong>' in narrow and 'class=StrategicTarget">' in narrow


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("broadbnd", "broadband"),
        ("brodband", "broadband"),
        ("conectivity", "connectivity"),
        ("cybersecurty outcomes", "cybersecurity outcomes"),
        ("resolutoin 71", "resolution 71"),
    ],
)
def test_a_word_nobody_wrote_is_taken_for_the_one_that_is_spelled_like_it(
    client: TestClient, text: str, meant: str
) -> None:
    assert found(client, text) == []
    page = get(client, f"/search?q={text}", "text/html").text
    [link] = re.findall(r'Did you mean <a href="([^"]+)">', page)
    assert f">{meant}</a>" in page
    assert get(client, link).json()["totalItems"] > 0


def test_nothing_is_suggested_for_a_word_unlike_all_others_or_spelled_right(client: TestClient) -> None:
    for text in ("qqqqzzzz", "broadband zebra-9", "broadband"):
        assert "Did you mean" not in get(client, f"/search?q={text}", "text/html").text


def test_an_index_of_before_kinds_were_indexed_still_finds_words(release: Release, tmp_path: Path) -> None:
    older = tmp_path / "search.db"
    with closing(sqlite3.connect(older)) as index, index:
        index.execute(
            "CREATE VIRTUAL TABLE thing USING fts5(iri UNINDEXED, type UNINDEXED, plan UNINDEXED, notation, label, other, definition, quote)"
        )
        index.execute(f"ATTACH '{release.index}' AS newer")
        index.execute(
            "INSERT INTO thing SELECT iri, type, plan, notation, label, other, definition, quote FROM newer.thing"
        )
    assert search(older, "9.c")[0].iri == names.SDG + "9.c"
    assert len(search(older, "broadband")) > len(search(release.index, "broadband")) > 10


def test_a_printed_code_finds_a_thing_and_is_not_its_notation(client: TestClient, release: Release) -> None:
    code, notation = f"<{names.ITU}printedCode>", f"<{names.PREFIXES['skos']}notation>"
    printed = values(ask(client, f"SELECT ?s ?c ?n WHERE {{ ?s {code} ?c ; {notation} ?n }}"))
    assert len(printed) > 50
    for iri, text, wanted in printed:
        assert [item.notation for item in search(release.index, text) if item.iri == iri] == [wanted]


def test_quotes_and_definitions_are_found_after_names(client: TestClient) -> None:
    words = "will contribute to the achievement of the following UN SDGs"
    assert {item["type"] for item in found(client, words)} == {"Gap"}
    linkages = found(client, words, **{"class": "Linkage"})
    assert {item["type"] for item in linkages} == {"Linkage"}
    assert len(linkages) > 5
    output = found(client, "output")
    kinds = [item["type"] for item in output]
    assert len(kinds) > 10
    assert "output" in output[0]["label"]["en"].casefold()
    [term] = [item for item in found(client, "evidenced property") if item["id"] == "itu:EvidencedProperty"]
    assert term["type"] == "owl:Class"


def test_what_was_found_is_marked_and_all_else_is_escaped(client: TestClient, careless: TestClient) -> None:
    for item in found(client, "broadb acc"):
        assert "<mark>" in item["highlight"]
        marked = [part.partition("</mark>")[0] for part in item["highlight"].split("<mark>")[1:]]
        assert all(unescape(word).casefold().startswith(("broadb", "acc")) for word in marked)
    [item] = [each for each in found(careless, "alert(1)") if each["id"].endswith("wsis/C1")]
    assert "&lt;script&gt;" in item["highlight"]
    assert "<script" not in item["highlight"]
    page = Page(get(careless, "/search?q=alert(1)", "text/html"))
    assert "mark" in page.elements
    assert "<script>alert(1)</script>" in "".join(page.text.split("\n"))


def test_a_search_takes_the_filters_of_lists(client: TestClient) -> None:
    every = found(client, "access", size="1000")
    outputs = found(client, "access", size="1000", **{"class": "Output"})
    assert 0 < len(outputs) < len(every)
    assert {item["type"] for item in outputs} <= {"Output", "OutputCategory"}
    assert [i for i in every if i["id"] in {o["id"] for o in outputs}] == outputs
    by_label = found(client, "access", size="1000", sort="label")
    labels = [item.get("label", {}).get("en", "") for item in by_label]
    assert labels == sorted(labels, key=lambda label: natural(label.casefold()))
    assert {item["id"] for item in by_label} == {item["id"] for item in every}
    assert len(items_of(client, "/search?q=access&size=3")) == len(every)


def test_nothing_in_a_search_is_an_operator(client: TestClient) -> None:
    assert len(HOSTILE) > 25
    for text in HOSTILE:
        for accept in ("*/*", "text/html"):
            reply = client.get("/search", params={"q": text}, headers={"accept": accept})
            assert reply.status_code in (200, 400), (text, reply.text)
            assert accept != "text/html" or "<script>alert" not in reply.text
    assert found(client, "access OR zzzzzz") == []
    assert found(client, "-access") == found(client, "access")


def test_a_search_for_nothing_finds_nothing(client: TestClient) -> None:
    for path in ("/search", "/search?q=", "/search?q=&class=Output"):
        assert get(client, path).json()["totalItems"] == 0
        assert "Type what you remember" in Page(get(client, path, "text/html")).text


def test_the_index_cannot_be_written(release: Release) -> None:
    before = release.index.read_bytes()
    assert len(search(release.index, "access")) > 10
    assert release.index.read_bytes() == before
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        sqlite3.connect(f"{release.index.as_uri()}?mode=ro", uri=True).execute("DELETE FROM thing")


def test_the_front_page_has_a_search_box(client: TestClient) -> None:
    text = get(client, "/", "text/html").text
    assert re.search('<form class="search[^"]*" action="/search"', text)
    assert 'name="q"' in text
