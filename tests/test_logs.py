"""The log of a server: a line for each request and event, which no request can make look like another."""

import json
import logging
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from conftest import environment_for, eventually, serving
from fastapi.testclient import TestClient
from test_sparql import ask, exchange, problem_of

from itukg.release.model import Release
from itukg.web.logs import Formatter, printable

HOSTILE = "/id/x%0A2026-01-01T00:00:00.000Z%20error%20made%20up%1B[2J%E2%80%AE"


def fail(reason: str) -> None:
    raise ValueError(reason)


@contextmanager
def logging_server(home: Path, **given: str) -> Iterator[tuple[str, list[str]]]:
    """Run a server; yields its address, and the lines of its log as they come."""
    running = serving({"ITUKG_HOME": str(home), **given})
    with running as address:
        yield address, running.log


def requests_in(log: list[str]) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in log if line.startswith("{")]
    return [row for row in rows if "method" in row]


def test_each_request_is_a_line_of_json_with_its_release_and_id(home: Path, release: Release) -> None:
    with logging_server(home, ITUKG_LOG="json") as (address, log), httpx2.Client(base_url=address) as client:
        begun = len(log)
        first = client.get("/sparql", params={"query": "ASK {}"}, headers={"x-request-id": "trace-1.a:b"})
        for _ in range(3):
            client.get("/robots.txt")
        refused = client.get("/no/such", headers={"x-request-id": "no good"})
        exchange(address, f"GET {HOSTILE} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        exchange(address, b"GET / HTTP/1.1\r\n\r\n")
        eventually(lambda: len(requests_in(log[begun:])) >= 7, "a request has no line")
        lines = log[begun:]
    rows = [row for row in requests_in(lines) if row["path"] != "/readyz"]
    assert [json.loads(line)["level"] for line in log]
    assert [row["status"] for row in rows] == [200, 200, 200, 200, 404, 404, 400]
    assert {*rows[0]} == {"time", "level", "client", "method", "path", "status", "seconds", "release", "request"}
    assert (rows[0]["request"], first.headers["x-request-id"]) == ("trace-1.a:b", "trace-1.a:b")
    assert (rows[0]["client"], rows[0]["method"], rows[0]["path"]) == ("127.0.0.1", "GET", "/sparql")
    assert rows[0]["release"] == release.name and 0 < rows[0]["seconds"] < 60
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", rows[0]["time"])
    assert re.fullmatch(r"[0-9a-f]{16}", rows[4]["request"]) and rows[4]["request"] == refused.headers["x-request-id"]
    assert len({row["request"] for row in rows[1:4]}) == 3  # from the cache too
    assert rows[5]["path"].startswith("/id/x\n2026") and "\x1b" in rows[5]["path"]


def test_no_request_makes_a_line_of_its_own_in_a_log_of_text(home: Path) -> None:
    with logging_server(home) as (address, log):
        exchange(address, f"GET {HOSTILE} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        eventually(lambda: any("made up" in line for line in log), "the request has no line")
    [line] = [line for line in log if "made up" in line]
    assert re.match(
        r"\d{4}-\S+Z info 127\.0\.0\.1 GET /id/x\\n2026-01-01T00:00:00.000Z error made up\\x1b\[2J\\u202e 404 ", line
    )
    assert all(each.rstrip("\n").isprintable() for each in log)


def test_all_that_a_server_says_in_a_log_of_json_is_json(home: Path) -> None:
    with logging_server(home, ITUKG_LOG="json", ITUKG_WORKES="3") as (address, log):
        command = [sys.executable, "-m", "itukg", "serve", "--port", address.rpartition(":")[2]]
        given = environment_for(ITUKG_HOME=home, ITUKG_LOG="json")
        second = subprocess.run(command, env=given, capture_output=True, text=True, check=False)
    assert second.returncode == 2
    told = [json.loads(line) for line in (*log, *second.stderr.splitlines())]
    assert any("did you mean ITUKG_WORKERS?" in each.get("message", "") for each in told)
    assert any("Try another port" in each.get("message", "") for each in told)


def test_the_rest_of_a_body_that_was_answered_is_no_request(home: Path) -> None:
    with logging_server(home, ITUKG_LOG="json", ITUKG_UPLOAD_SIZE="1000") as (address, log):
        where = urlsplit(address)
        with socket.create_connection((str(where.hostname), int(where.port or 0)), timeout=20) as wire:
            wire.sendall(
                b"POST /validate HTTP/1.1\r\nHost: x\r\nContent-Type: text/turtle\r\nContent-Length: 400000\r\n\r\n"
            )
            assert wire.recv(1 << 16).startswith(b"HTTP/1.1 413")
            wire.sendall(b" " * 400_000)  # which the client had begun to send
            wire.sendall(b"GET /robots.txt HTTP/1.1\r\nHost: x\r\n\r\n")
            answered = [row["status"] for row in requests_in(log)]
            assert wire.recv(1 << 16).startswith(b"HTTP/1.1 200")
        eventually(lambda: requests_in(log)[-1]["path"] == "/robots.txt", "the request has no line")
    assert 431 not in answered
    assert [row["status"] for row in requests_in(log) if row["path"] != "/readyz"] == [413, 200]


def test_requests_that_a_stop_cuts_have_their_line(home: Path) -> None:
    server = serving({"ITUKG_HOME": str(home), "ITUKG_LOG": "json"})
    with server as address, httpx2.Client(base_url=address, timeout=20) as client:
        query = "SELECT * { ?a ?b ?c . ?d ?e ?f }"
        with client.stream("GET", "/sparql", params={"query": query, "format": "tsv"}) as reply:
            next(reply.iter_raw())
            server.process.terminate()
            server.process.wait(20)
    assert [row["status"] for row in requests_in(server.log) if row["path"] == "/sparql"] == [200]


def test_without_the_level_info_no_request_is_logged(home: Path) -> None:
    with logging_server(home, ITUKG_LOG_LEVEL="warning") as (address, log):
        assert httpx2.get(f"{address}/robots.txt").headers["x-request-id"]
        httpx2.get(f"{address}/id/none")
    assert not [line for line in log if "robots" in line or "/id/none" in line]


def test_an_error_has_the_id_of_its_request_in_header_page_and_log(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.handler.setFormatter(Formatter("text"))
    given = {"x-request-id": "abc-123"}
    reply = client.get("/id/none", headers=given | {"accept": "text/html"})
    assert reply.headers["x-request-id"] == "abc-123" and "<code>abc-123</code>" in reply.text
    assert "x-request-id" in reply.headers["access-control-expose-headers"].lower()
    problem_of(ask(client, "ASK {"), 400)
    for given_id in ("", "x" * 65, "a b", "é", "<script>"):
        made = client.get("/robots.txt", headers=[(b"x-request-id", given_id.encode())]).headers["x-request-id"]
        assert re.fullmatch(r"[0-9a-f]{16}", made)


def test_a_traceback_is_indented_in_text_and_a_string_in_json() -> None:
    record = logging.LogRecord("itukg", logging.ERROR, "", 1, "GET %s", ("/a\r\nb",), None)
    try:
        fail("first\n2026-01-01T00:00:00.000Z info second\x1b")
    except ValueError as error:
        record.exc_info = (ValueError, error, error.__traceback__)
    text = Formatter("text").format(record)
    first, *others = text.split("\n")
    assert first.endswith("Z error GET /a\\r\\nb") and len(others) > 3
    assert all(line.startswith("    ") and line.isprintable() for line in others)
    row = json.loads(Formatter("json").format(record))
    assert "\n" in row["traceback"] and row["message"] == "GET /a\r\nb"
    assert printable("é漢 x") == "é漢 x"
