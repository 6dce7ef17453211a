"""The server's end of a connection, over a real socket: what arrives, and when."""

import asyncio
import os
import re
import resource
import signal
import socket
import sys
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx2
import pytest
import uvicorn
from conftest import eventually, is_running, processes, serving
from fastapi import Request
from starlette.types import Receive, Scope, Send

from itukg.errors import Overloaded, Quota, TimeLimit
from itukg.settings import Settings
from itukg.web.quotas import MINUTE, Quotas
from itukg.web.requests import ClientLeft, StopWhenLeft, network_of
from itukg.web.server import OWN_FILES, Connection, Room

ASK = "/sparql?query=" + quote("ASK {}")


def exchange(address: str, *parts: str) -> list[bytes]:
    """Send the parts of a request on one connection; return what arrived first after each, as one reading gives it."""
    where = urlsplit(address)
    with socket.create_connection((str(where.hostname), int(where.port or 0)), timeout=10) as opened:
        answers = []
        for part in parts:
            opened.sendall(part.replace("\n", "\r\n").encode())
            answers.append(opened.recv(1 << 20))
        return answers


def until_closed(address: str, request: str) -> bytes:
    """Send a request after which the server closes the connection; return all that arrived, in however many pieces."""
    where = urlsplit(address)
    with socket.create_connection((str(where.hostname), int(where.port or 0)), timeout=10) as opened:
        opened.sendall(request.replace("\n", "\r\n").encode())
        return b"".join(iter(lambda: opened.recv(1 << 20), b""))


def test_the_head_of_an_answer_arrives_with_its_body(server: str) -> None:
    # Sent apart, they arrive together now and then; not each of twenty times.
    for _ in range(20):
        [answer] = exchange(server, f"GET {ASK} HTTP/1.1\nHost: x\n\n")
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and b'"boolean":true' in answer


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (f"HEAD {ASK} HTTP/1.1\nHost: x\n\n", b"200"),
        (f"GET {ASK} HTTP/1.1\nHost: x\nIf-None-Match: *\n\n", b"304"),
        ("OPTIONS /sparql HTTP/1.1\nHost: x\n\n", b"204"),
        (f"HEAD {ASK} HTTP/1.1\nHost: x\nConnection: close\n\n", b"200"),
    ],
)
def test_an_answer_without_a_body_arrives_and_the_next_after_it(server: str, request_: str, status: bytes) -> None:
    [answer] = exchange(server, request_)
    assert answer.startswith(b"HTTP/1.1 " + status) and answer.endswith(b"\r\n\r\n")
    if "close" not in request_:
        first, second = exchange(server, request_, f"GET {ASK} HTTP/1.1\nHost: x\n\n")
        assert first.startswith(b"HTTP/1.1 " + status)
        assert second.startswith(b"HTTP/1.1 200") and b'"boolean":true' in second


def test_a_client_that_waits_to_be_asked_for_its_body_is_asked(server: str) -> None:
    head = "POST /sparql HTTP/1.1\nHost: x\nContent-Type: application/sparql-query\nContent-Length: 6\nExpect: 100-continue\n\n"
    asked, answer = exchange(server, head, "ASK {}")
    assert asked == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answer.startswith(b"HTTP/1.1 200") and b'"boolean":true' in answer


def test_requests_sent_at_once_are_answered_in_turn(server: str) -> None:
    where = urlsplit(server)
    with socket.create_connection((str(where.hostname), int(where.port or 0)), timeout=10) as opened:
        opened.sendall(f"HEAD {ASK} HTTP/1.1\r\nHost: x\r\n\r\nGET {ASK} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        received = b""
        while b'"boolean":true' not in received:
            piece = opened.recv(1 << 20)
            assert piece
            received += piece
    assert received.count(b"HTTP/1.1 200 OK") == 2


@pytest.mark.parametrize(
    ("version", "header", "closed"),
    [("1.1", "Connection: close\n", True), ("1.0", "", True), ("1.1", "", False)],
)
@pytest.mark.parametrize("query", ["ASK {}", "SELECT (NOW() AS ?now) {}"])  # one is held, the other is not
def test_a_connection_is_closed_after_the_answer_for_who_wishes_that(
    server: str, version: str, header: str, query: str, *, closed: bool
) -> None:
    where = urlsplit(server)
    with socket.create_connection((str(where.hostname), int(where.port or 0)), timeout=10) as opened:
        request = f"GET /sparql?query={quote(query)} HTTP/{version}\nHost: x\n{header}\n"
        opened.sendall(request.replace("\n", "\r\n").encode())
        received = b""
        while not received.endswith(b"}"):
            piece = opened.recv(1 << 20)
            assert piece
            received += piece
        head = received.partition(b"\r\n\r\n")[0].lower().splitlines()
        assert head[0] == b"http/1.1 200 ok" and len(set(head)) == len(head)
        assert b"access-control-allow-origin: *" in head and b"server: uvicorn" in head
        assert (b"connection: close" in head) == closed
        if closed:
            opened.settimeout(3)  # a connection that is kept is closed after five seconds
            assert opened.recv(1) == b""


@pytest.mark.parametrize(
    ("leaves", "outcome"),
    [("before", "broken off"), ("meanwhile", "broken off"), ("after", "went on"), ("not", "cancelled")],
)
def test_what_is_done_for_a_client_stops_when_it_has_left(leaves: str, outcome: str) -> None:
    async def until_left(receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def run() -> str:
        outcomes: asyncio.Queue[str] = asyncio.Queue()
        begun = asyncio.Event()

        async def app(scope: Scope, receive: Receive, _send: Send) -> None:
            begun.set()
            task = asyncio.current_task()
            assert task is not None
            if leaves == "before":
                await until_left(receive)
            try:
                with StopWhenLeft(Request(scope, receive)):
                    if leaves == "not":  # somebody else ends it
                        task.cancel()
                    # what a client leaves waits for ever: only the watch can end it
                    await (asyncio.Event().wait() if leaves in ("before", "meanwhile") else asyncio.sleep(0))
                if leaves == "after":
                    await until_left(receive)
                await outcomes.put("went on")
            except ClientLeft:
                assert not task.cancelling()
                await outcomes.put("broken off")
            except asyncio.CancelledError:
                await outcomes.put("cancelled")

        http = partial(Connection, send_timeout=10.0, room=Room(0))
        config = uvicorn.Config(app, http=http, lifespan="off", log_level="critical")  # type: ignore[arg-type]
        server = uvicorn.Server(config)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            serving = asyncio.create_task(server.serve([listening]))
            _, writer = await asyncio.open_connection(*listening.getsockname())
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await begun.wait()
            writer.close()
            found = await asyncio.wait_for(outcomes.get(), 10)
            server.should_exit = True
            await serving
        return found

    assert asyncio.run(run()) == outcome


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (f"GET {ASK} HTTP/1.1\n", b"400"),
        (f"GET {ASK} HTTP/1.1\nHost: a\nHost: b\n", b"400"),
        (f"GET {ASK} HTTP/1.1\nHost: a b/<x>\n", b"400"),
        (f"GET {ASK} HTTP/1.1\nHost: [::1]:80\n", b"200"),
        (f"GET {ASK} HTTP/1.0\n", b"200"),
        ("GET /sparql HTTP/1.0\n", b"200"),
    ],
)
def test_the_host_is_named_once(server: str, head: str, status: bytes) -> None:
    [answer] = exchange(server, f"{head}\n")
    assert answer.startswith(b"HTTP/1.1 " + status)


def test_the_host_of_an_absolute_address_counts(server: str) -> None:
    head = "GET http://kg.example/sparql HTTP/1.1\nHost: other.example\nAccept: text/turtle\nConnection: close\n\n"
    answer = until_closed(server, head)
    assert b"http://kg.example/sparql" in answer and b"other.example" not in answer


def test_a_large_answer_is_not_sent_to_who_knows_no_chunks(server: str) -> None:
    large = quote("SELECT * { ?a ?b ?c . ?d a ?e } LIMIT 400000")
    for _ in range(6):  # which is more than one client may have of such answers: none of them is left behind
        answer = until_closed(server, f"GET /sparql?query={large} HTTP/1.0\nHost: x\n\n")
        assert answer.startswith(b"HTTP/1.1 400") and b"ask with HTTP/1.1" in answer


def test_a_body_behind_an_upgrade_is_refused_and_never_taken_for_a_request(server: str) -> None:
    head = "POST /sparql HTTP/1.1\nHost: x\nConnection: Upgrade\nUpgrade: h2c\nContent-Type: application/sparql-query\n"
    hidden = "GET /healthz HTTP/1.1\nHost: x\n\n"
    answer = until_closed(server, f"{head}Content-Length: {len(hidden) + 3}\n\n{hidden}")
    assert answer.startswith(b"HTTP/1.1 400") and b"Upgrade" in answer
    assert answer.count(b"HTTP/1.1 ") == 1 + answer.count(b"speaks HTTP/1.1 ") and b'"ok"' not in answer
    [asked] = exchange(server, f"GET {ASK} HTTP/1.1\nHost: x\nConnection: Upgrade\nUpgrade: h2c\n\n")
    assert asked.startswith(b"HTTP/1.1 200")


def test_what_is_no_request_is_refused_after_the_answers_before_it(server: str) -> None:
    answers = until_closed(server, f"GET {ASK} HTTP/1.1\nHost: x\n\nBAD\n\n")
    assert re.findall(rb"(?m)^HTTP/1.1 (\d+) ", answers.replace(b"}HTTP", b"}\nHTTP")) == [b"200", b"400"]


def test_a_query_stops_when_its_client_disconnects_though_another_request_was_read(server: str) -> None:
    slow = quote("SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }")
    before = outcomes(server, "broken off")
    where = urlsplit(server)
    with socket.create_connection((str(where.hostname), int(where.port or 0)), timeout=10) as opened:
        health = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        opened.sendall(f"GET /sparql?query={slow} HTTP/1.1\r\nHost: x\r\n\r\n{health}".encode())
    eventually(lambda: outcomes(server, "broken off") == before + 1, "it goes on", seconds=4)


def outcomes(server: str, outcome: str) -> float:
    """The queries with this outcome, as /metrics counts them."""
    lines = httpx2.get(f"{server}/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if f'outcome="{outcome}"' in line and "_total" in line)


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("If-Modified-Since: Mon, 01 Jan 99999999999 00:00:00 GMT", b"200"),
        ("If-Unmodified-Since: Mon, 01 Jan 99999999999 00:00:00 GMT", b"200"),
        (f"Accept-Encoding: {'gzip,' * 1000}", b"200"),
        (f"Accept: {'text/html,' * 1000}", b"400"),
    ],
    ids=["a late date", "another", "many encodings", "many media types"],
)
def test_an_odd_header_is_ignored_or_refused(server: str, header: str, status: bytes) -> None:
    for _ in range(3):  # at last from the cache
        [answer] = exchange(server, f"GET {ASK} HTTP/1.1\nHost: x\n{header}\n\n")
        assert answer.startswith(b"HTTP/1.1 " + status)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (f"GET ftp://x{ASK} HTTP/1.1\nHost: x\n", b"400"),
        ("POST /sparql HTTP/1.1\nHost: x\nTransfer-Encoding: gzip, chunked\n", b"501"),
        ("POST /sparql HTTP/1.1\nHost: x\nTransfer-Encoding: deflate\nTransfer-Encoding: chunked\n", b"501"),
        (f"GET {ASK} HTTP/1.1\nHost: x\nTransfer-Encoding: Chunked\n", b"200"),
    ],
    ids=["another scheme", "two codings", "two lines", "chunks"],
)
def test_what_the_server_does_not_speak_is_refused(server: str, head: str, status: bytes) -> None:
    answers = exchange(server, f"{head}Content-Type: application/sparql-query\n\n6\nASK {{}}\n0\n\n")
    assert answers[0].startswith(b"HTTP/1.1 " + status)


# --- who counts as one client ---


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9%eth0", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", ""),
    ],
)
def test_a_network_of_ipv6_is_one_client(address: str, network: str) -> None:
    assert network_of(address) == network


def test_what_a_client_did_is_forgotten_after_a_minute() -> None:
    now = 0.0
    quotas = Quotas(Settings(limit_violations=1), lambda: now)
    for number in range(1000):
        quotas.remember(f"10.0.0.{number}", TimeLimit(""))
    with pytest.raises(Quota):
        quotas.check("10.0.0.7")
    quotas.remember("10.1.0.0", Overloaded("no fault of the client"))
    quotas.check("10.1.0.0")
    now = MINUTE
    quotas.remember("10.2.0.0", TimeLimit(""))
    quotas.check("10.0.0.7")
    assert len(quotas) == 1


# --- connections and files ---


def connected(stack: ExitStack, address: str, host: str) -> socket.socket:
    """Return a connection from an address of loopback, on which half a request was sent."""
    where = urlsplit(address)
    opened = stack.enter_context(
        socket.create_connection((str(where.hostname), int(where.port or 0)), timeout=20, source_address=(host, 0))
    )
    opened.sendall(b"GET /healthz HTTP/1.1\r\n")
    return opened


def status_of(opened: socket.socket) -> bytes:
    """End the request, and return the status."""
    with suppress(OSError):  # it was refused before
        opened.sendall(b"Host: x\r\n\r\n")
    return opened.recv(1 << 16).split()[1]


@pytest.mark.usefixtures("release")
def test_connections_of_one_client_are_limited_and_others_are_answered(home: Path) -> None:
    running = serving({"ITUKG_HOME": str(home), "ITUKG_CONNECTIONS": "3"})
    with running as address, ExitStack() as stack:
        first = [connected(stack, address, "127.0.0.2") for _ in range(3)]
        refused = [connected(stack, address, "127.0.0.2") for _ in range(5)]
        heads = [each.recv(1 << 16) for each in refused]
        assert all(head.startswith(b"HTTP/1.1 503") and b"127.0.0.2 has 3 connections" in head for head in heads)
        assert status_of(connected(stack, address, "127.0.0.3")) == b"200"
        assert {status_of(each) for each in first} == {b"200"}
        first[0].close()
        eventually(lambda: status_of(connected(stack, address, "127.0.0.2")) == b"200", "the closed one still counts")
    lines = [line for line in running.log if "Connections refused" in line]
    assert len(lines) == 1 and "ITUKG_CONNECTIONS" in lines[0]


@pytest.mark.usefixtures("release")
def test_connections_leave_files_for_the_service_and_all_that_the_system_gives_are_used(home: Path) -> None:
    files = OWN_FILES + 40
    limit = f'ulimit -Sn {files - 20}; ulimit -Hn {files}; exec "$@"'
    running = serving({"ITUKG_HOME": str(home)}, ("sh", "-c", limit, "sh", sys.executable, "-m", "itukg"))
    with running as address, ExitStack() as stack:
        assert resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE) == (files, files)
        first = connected(stack, address, "127.0.0.1")
        others = [connected(stack, address, f"127.0.0.{host}") for host in range(2, 92)]
        refused = others[-1].recv(1 << 16)
        assert refused.startswith(b"HTTP/1.1 503") and b"nearly all are in use" in refused
        assert status_of(first) == b"200"
        first.sendall(f"GET {ASK} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert first.recv(1 << 16).startswith(b"HTTP/1.1 200")
    assert any("Connections refused" in line and "LimitNOFILE" in line for line in running.log)


@pytest.mark.usefixtures("release")
def test_a_server_whose_whole_group_is_ended_waits_for_no_client_that_reads_nothing(home: Path) -> None:
    running = serving({"ITUKG_HOME": str(home)}, ("setsid", sys.executable, "-m", "itukg"))
    with running as address, ExitStack() as stack:
        where = urlsplit(address)
        large = quote("SELECT * { ?a ?b ?c . ?d a ?e } LIMIT 4000000")
        for host in ("127.0.0.2", "127.0.0.3"):
            opened = stack.enter_context(socket.socket())
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            opened.bind((host, 0))
            opened.connect((str(where.hostname), int(where.port or 0)))
            opened.sendall(f"GET /sparql?query={large} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert opened.recv(100).startswith(b"HTTP/1.1 200")
        started = processes(running.process.pid)
        os.killpg(running.process.pid, signal.SIGTERM)
        eventually(lambda: not any(map(is_running, started)), "it goes on", 30)
        assert running.process.wait() in (0, -signal.SIGTERM)
    assert not [line for line in running.log if "Traceback" in line]
