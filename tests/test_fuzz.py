"""Requests made up from the OpenAPI description: whatever is asked, no 5xx, and no answer that is not described."""

from collections import Counter
from typing import Any

import pytest
import schemathesis
from conftest import PLAN
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from itukg import names
from itukg.rdf.jsonld import context_name

Operation = schemathesis.APIOperation[Any, Any, Any, Any]
Case = schemathesis.Case[Any]
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
REAL: dict[str, tuple[str, ...]] = {
    "/id/{path}": (f"{PLAN}/output/2.1", f"{PLAN}/output", "wsis/C1.ttl"),
    "/queries/{name}": ("outputs-for-sdg-target", "what-rules-derive.csv", "none"),
    "/lineage/{path}": (f"{PLAN}/outcome/2.3", f"{PLAN}/outcome/2.3.csv", PLAN, "none"),
    "/embed/id/{path}": (f"{PLAN}/output/2.1", PLAN, "none"),
    "/embed/lineage/{path}": (f"{PLAN}/outcome/2.3", "none"),
    "/embed/sdg/{path}": ("9.c", "none"),
    "/sdg/{path}": ("9", "9.c", "9.c.html"),
    "/data/{release}/{name}": ("links.csv", "SHA256SUMS", "itukg.nq.gz", "itukg.rdf.jsonld"),
    "/frames/{name}.jsonld": ("plan-tree", "linkages"),
    "/schemas/{name}.json": ("thing", "list"),
    "/graph/{name}": ("sdg", "sdg.ttl"),
    "/id/finding/{name}": ("none",),
    "/documents/{name}": ("tdag-26-2-add-2", "tdag-26-2-add-2.csv", "none"),
    "/context/{name}.jsonld": (context_name(), "none"),
    "version": ("0.1.0", "0.1.0.ttl", "alignment"),
    "release": ("latest", "none"),
    "a": (PLAN, "sp-2020-2023"),
    "b": ("sp-2020-2023", "bap-2026-2029", "none"),
    "older": ("latest", "latest.json", "latest.rdfp"),
    "profile": ("structure", "completeness.csv", "expanded", "framed"),
    "iri": (f"{names.SDG}9.c", f"{names.ITU}Output", "urn:none"),
    "format": ("jsonld", "ttl", "html", "csv", "xlsx", "json", "rdf", "text/html", "svg", "graphml", "dot", "mmd"),
    "frame": ("plan-tree", "linkages"),
    "labels": ("0", "1"),
    "page": ("1", "2", "0", "1" * 30),
    "size": ("1", "1000", "1000000000", "-1"),
    "sort": ("label", "notation"),
    "class": ("Output", "itu:Plan"),
    "plan": (PLAN,),
    "sdg": ("9", "9.c"),
    "q": ("broadband", 'a* OR "', "2.1"),
    "query": ("ASK {}", "SELECT * { ?s a ?o } LIMIT 3", "DESCRIBE <urn:none>", "CONSTRUCT WHERE { ?s a ?o }"),
    "timeout": ("1", "0"),
}
"""Values that lead further than those that are made up, by parameter; of a path, where names differ, by that."""


ACCEPTS = (None, "*/*", "text/html", "application/ld+json", "text/turtle", "application/json", "text/csv", "image/png")


@pytest.fixture(scope="module")
def operations(server: str) -> list[Operation]:
    """What the description of a real server names."""
    description = schemathesis.openapi.from_url(f"{server}/openapi.json")
    return [found.ok() for found in description.get_all_operations() if isinstance(found, Ok)]


@pytest.mark.parametrize("count", [6, pytest.param(60, marks=pytest.mark.exhaustive)])
def test_no_request_made_up_from_the_description_leaves_it_or_breaks_the_server(
    operations: list[Operation], count: int
) -> None:
    assert len(operations) >= 30
    statuses = Counter(status for operation in operations for status in fuzzed(operation, count))
    assert {200, 400, 404, 406} <= set(statuses), statuses
    assert statuses[200] > len(operations)


def fuzzed(operation: Operation, count: int) -> list[int]:
    """Return the status of each of `count` answers; each is one that the description has, in a syntax that it has.

    The requests are the same ones every time.
    """
    found = []

    @seed(0)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        case=operation.as_strategy(),
        path=st.fixed_dictionaries({each.name: real(operation, each.name) for each in operation.path_parameters}),
        query=some({each.name for each in operation.query}),
        real_only=st.booleans(),
        accept=st.sampled_from(ACCEPTS),
    )
    def ask(case: Case, path: dict[str, str], query: dict[str, str], real_only: bool, accept: str | None) -> None:
        if real_only:
            case.path_parameters, case.query = path, query
        else:
            case.query = {**case.query, **query}
        reply = case.call(headers={"Accept": accept} if accept else None)
        case.validate_response(reply, checks=CHECKS)
        found.append(reply.status_code)

    ask()
    return found


def real(operation: Operation, name: str) -> st.SearchStrategy[str]:
    """Return real values of a parameter of the path."""
    return st.sampled_from(REAL[name if name in REAL else operation.path])


def some(names: set[str]) -> st.SearchStrategy[dict[str, str]]:
    """Return real values for none, one or two of the parameters."""
    values = [(name, value) for name in sorted(names & set(REAL)) for value in REAL[name]]
    if not values:
        return st.just({})
    return st.lists(st.sampled_from(values), max_size=2, unique_by=lambda pair: pair[0]).map(dict)
