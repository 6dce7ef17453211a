"""A plan that is sent, beside one of ours: what it says it takes up, what has the same words, and the links of both."""

import csv
import io
from typing import Any

import openpyxl
import pytest
from fastapi.testclient import TestClient
from test_resources import get
from test_sparql import problem_of

from itukg import names

BAKU = "bap-2026-2029"
REGIONAL = """
@prefix itu: <https://w3id.org/itukg/ontology#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
@prefix sdg: <http://metadata.un.org/sdg/> .
@prefix ours: <https://w3id.org/itukg/id/bap-2026-2029/> .
@prefix my: <https://regional.example/plan/> .

my:plan a itu:Plan ; rdfs:label "A regional plan"@en .
my:o1 a itu:Outcome ; itu:plan my:plan ; skos:notation "R1" ; rdfs:label "Better answers to disasters in the region"@en ;
    itu:revises ours:outcome\\/T1.1-O1 ; itu:contributesToSDGTarget sdg:11.b , sdg:14.1 .
my:o2 a itu:Outcome ; itu:plan my:plan ; skos:notation "R2" ;
    rdfs:label "%s."@en .
my:o3 a itu:Outcome ; itu:plan my:plan ; rdfs:label "Cheaper calls between islands"@en .
my:l1 a itu:Linkage ; rdfs:label "R1 revises T1.1-O1"@en ; itu:subject my:o1 ; itu:predicate itu:revises ;
    itu:object ours:outcome\\/T1.1-O1 ; itu:basis itu:judged ; itu:confidence "high" ; itu:rationale "The region's words for it."@en .
my:l2 a itu:Linkage ; rdfs:label "R3 serves 1.4"@en ; itu:subject my:o3 ; itu:predicate itu:contributesToSDGTarget ;
    itu:object sdg:1.4 ; itu:basis itu:judged ; itu:rationale "Poor people call too."@en .
"""
WORDS = "Enhanced human and institutional capacity of the ITU membership in telecommunications/ICTs to foster digital transformation"
"""Those of outcome T2.3-O1 (001:192)."""


def send(client: TestClient, body: str, path: str = f"/compare?b={BAKU}", kind: str = "text/turtle") -> Any:
    return client.post(path, content=body.encode(), headers={"content-type": kind})


def test_a_plan_that_is_sent_stands_beside_ours(client: TestClient) -> None:
    reply = send(client, REGIONAL % WORDS.upper())
    assert reply.status_code == 200, reply.text
    assert reply.headers["cache-control"] == "no-store"
    found = reply.json()
    changes = {
        change["newer"] if "newer" in change else change.get("newerLabel", change.get("older")): change
        for change in found["changes"]
    }
    revised = changes["R1"]
    assert (revised["change"], revised["older"], revised["rationale"], revised["confidence"]) == (
        "revises",
        "T1.1-O1",
        "The region's words for it.",
        "high",
    )
    assert revised["gained"] == ["sdg:14.1"]
    assert "sdg:11.b" in revised.get("kept", []) + revised.get("keptDerived", [])
    same = changes["R2"]
    assert (same["change"], same["older"], same["sameWords"]) == ("has the same words as", "T2.3-O1", True)
    new = changes["Cheaper calls between islands"]
    assert (new["change"], new["gained"]) == ("adds", ["sdg:1.4"])
    dropped = {change["older"] for change in found["changes"] if change["change"] == "drops"}
    assert len(dropped) == 17  # of the 19 outcomes of ours, and none of its topics or indicators
    assert not dropped & {"T1.1-O1", "T2.3-O1"}
    assert found["counts"] == {"adds": 1, "drops": 17, "has the same words as": 1, "revises": 1}


def test_each_syntax_has_the_same_rows(client: TestClient) -> None:
    rows = send(client, REGIONAL % WORDS).json()["changes"]
    table = send(client, REGIONAL % WORDS, f"/compare?b={BAKU}&format=csv")
    assert len([*csv.DictReader(io.StringIO(table.text))]) == len(rows) == 20
    book = send(client, REGIONAL % WORDS, f"/compare?b={BAKU}&format=xlsx")
    assert openpyxl.load_workbook(io.BytesIO(book.content))["changes"].max_row == 21


def test_nothing_of_what_is_sent_remains(client: TestClient) -> None:
    before = get(client, f"/id?plan={BAKU}&size=1000").content
    send(client, REGIONAL % WORDS)
    assert get(client, f"/id?plan={BAKU}&size=1000").content == before
    assert get(client, "/resource?iri=https://regional.example/plan/o1").status_code == 404


def test_a_basis_counts_only_its_links(client: TestClient) -> None:
    found = send(client, REGIONAL % WORDS, f"/compare?b={BAKU}&basis=judged").json()
    by_label = {change.get("newerLabel"): change for change in found["changes"]}
    assert by_label["Cheaper calls between islands"]["gained"] == ["sdg:1.4"]
    assert "gained" not in by_label["Better answers to disasters in the region"]


@pytest.mark.parametrize(
    ("body", "path", "kind", "status", "words"),
    [
        ("my:x", f"/compare?b={BAKU}", "text/turtle", 400, "line 1"),
        ("", f"/compare?b={BAKU}", "text/turtle", 400, "No thing of a plan was sent"),
        ("<urn:a> <urn:b> <urn:c> .", f"/compare?b={BAKU}", "text/turtle", 400, "No thing of a plan was sent"),
        ("{}", f"/compare?b={BAKU}", "text/plain", 415, "Say what is sent"),
        (REGIONAL, "/compare?b=nothing", "text/turtle", 400, 'No plan "nothing"'),
        (REGIONAL, "/compare", "text/turtle", 400, "b"),
        (REGIONAL, f"/compare?b={BAKU}&a=x", "text/turtle", 400, "a"),
        (REGIONAL, f"/compare?b={BAKU}&format=svg", "text/turtle", 406, "json"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused_in_words(
    client: TestClient, body: str, path: str, kind: str, status: int, words: str
) -> None:
    assert words in problem_of(send(client, body, path, kind), status)["detail"]


def test_nothing_is_fetched_for_what_is_sent(client: TestClient) -> None:
    context = f'{{"@context": "https://regional.example/context.jsonld", "@id": "{names.THINGS}x"}}'
    assert send(client, context, kind="application/ld+json").status_code == 400
