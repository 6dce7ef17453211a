"""Input that no address takes: every route of the description answers 4xx, in words."""

import json

import pytest
from fastapi.testclient import TestClient
from test_protocol import routes
from test_sparql import exchange

from itukg.errors import DataError
from itukg.release.model import Release
from itukg.web.problems import failure

QUERIES = (
    "page=0",
    "size=1000000000",
    "no-such-filter=1",
    "release=no-such",
    "rel%65ase=no-such",
    "release=latest&release=latest",
    "format=..%2F..%2Fetc%2Fpasswd",
    "format=%00",
    "q=%0D%0ASet-Cookie:%20hostile=1",
    "q=%FF",
    "q=%zz",
    "q=%",
    f"q={'x' * 20_000}",
)
ENDS = (
    "/../../etc/passwd",
    "%2F..%2F..%2Fetc%2Fpasswd",
    "%00",
    "%0D%0ASet-Cookie:%20hostile=1",
    "%FF",
    "%zz",
    "x" * 20_000,
)
"""What follows a path that answers, so that it names nothing."""


@pytest.fixture(scope="module")
def paths(client: TestClient) -> list[str]:
    found = routes(client)
    assert len(found) >= 30
    return found


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query[:30])
def test_no_route_takes_a_bad_query(server: str, paths: list[str], query: str) -> None:
    for path in paths:
        refused(server, f"{path}{'&' if '?' in path else '?'}{query}")


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end[:30])
def test_no_route_takes_a_bad_path(server: str, paths: list[str], end: str) -> None:
    for path in paths:
        refused(server, f"{path.partition('?')[0]}{end}")


def refused(server: str, target: str) -> None:
    head, body = exchange(server, f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    status, *fields = head.decode().lower().split("\r\n")
    code = int(status.split()[1])
    assert 400 <= code < 500, (target[:200], status)
    assert "content-type: application/problem+json" in fields, target[:200]
    assert not [field for field in fields if field.startswith(("set-cookie", "location"))], target[:200]
    problem = json.loads(body)
    assert problem["status"] == code
    assert len(problem["detail"]) > 10 and "root:" not in problem["detail"]


def test_a_file_of_the_machine_is_named_in_the_log_and_not_in_the_answer(
    caplog: pytest.LogCaptureFixture, release: Release
) -> None:
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    answer = failure(scope, DataError("/srv/home/releases/1/report.nt: Is a directory"), release)
    assert answer.status_code == 500
    assert b"/srv" not in answer.body and b"its log says which" in answer.body
    assert "/srv/home/releases/1/report.nt" in caplog.text
