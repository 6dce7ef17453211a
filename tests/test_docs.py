"""What docs/sparql.md says of the engine is what the engine does."""

import re
from pathlib import Path

import httpx2
import pytest
from fastapi.testclient import TestClient

from itukg import names

TEXT = (Path(__file__).parents[1] / "docs" / "sparql.md").read_text()
DEPARTURES = re.findall(r"^\| `([^`]+)` \| (`[^`]+`|nothing) \| .+ \|$", TEXT, re.MULTILINE)


def tsv(client: TestClient, query: str) -> httpx2.Response:
    reply = client.get("/sparql", params={"query": names.PROLOGUE + query, "format": "tsv"})
    assert reply.status_code == 200, reply.text
    return reply


@pytest.mark.parametrize(("expression", "gives"), DEPARTURES)
def test_the_engine_departs_from_the_standard_where_the_documentation_says(
    client: TestClient, expression: str, gives: str
) -> None:
    assert len(DEPARTURES) == 7
    answer = tsv(client, f"SELECT ({expression} AS ?x) WHERE {{}}").text.split("\n")[1]
    shortened = re.sub(rf"<{re.escape(names.PREFIXES['xsd'])}(\w+)>", r"xsd:\1", answer)
    assert shortened == ("" if gives == "nothing" else gives.strip("`"))


def test_the_query_of_the_documentation_finds_what_rules_derive(client: TestClient) -> None:
    query = re.search(r"```sparql\n(.*?)```", TEXT, re.DOTALL)
    assert query is not None
    assert len(tsv(client, query[1]).text.splitlines()) > 1000
