"""Queries that take all they can get, clients that misbehave and processes that die: everybody else is answered."""

import asyncio
import contextlib
import hashlib
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count, cycle
from math import inf
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx2
import pyoxigraph as ox
import pytest
from conftest import Engine, eventually, is_running, memory, processes, serving
from test_sparql import ORIGIN, ask, post, problem_of

from itukg import names
from itukg.engine.pool import BUFFER_BYTES, QUICK_SECONDS, Pool
from itukg.engine.sparql import Query
from itukg.engine.store import Dataset
from itukg.engine.worker import END
from itukg.errors import QueryRefused, SyntaxProblem
from itukg.formats import CSV, N_TRIPLES
from itukg.release.model import Release
from itukg.web.server import HEAD_SECONDS, MAX_HEAD
from itukg.web.sparql import FORM, SPARQL_QUERY

BOMB = "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }"
LARGE, LARGE_ROWS = "SELECT * { ?a ?b ?c . ?d a ?e } LIMIT 400000", 400_000
PATIENT = 5.0
"""Seconds within which a cheap query is answered, whatever else runs, on the slowest of machines."""

serial = count()


def cheap() -> str:
    """Return a query that was not asked before."""
    return f"SELECT ?s {{ ?s a <{names.ITU}Plan> }} # {next(serial)}"


def client_of(running: serving, host: str = "127.0.0.1") -> httpx2.Client:
    """A client that asks from `host`: Linux answers to all of 127.0.0.0/8."""
    transport = httpx2.HTTPTransport(local_address=host)
    return httpx2.Client(
        base_url=running.address, timeout=30, transport=transport, headers={"accept-encoding": "identity"}
    )


def served(release: Release, home: Path, **settings: object) -> Iterator[serving]:
    assert release.path.is_dir()
    given = {f"ITUKG_{name.upper()}": str(value) for name, value in settings.items()}
    running = serving({"ITUKG_HOME": str(home)} | given)
    with running:
        yield running


@pytest.fixture(scope="module")
def limited(release: Release, home: Path) -> Iterator[serving]:
    """A server with little time and memory for a query."""
    yield from served(release, home, timeout=8, memory=150_000_000, limit_violations=0, slow_log=0)


@pytest.fixture
def client(limited: serving) -> Iterator[httpx2.Client]:
    with client_of(limited) as client:
        yield client


@contextlib.contextmanager
def wire(running: serving, begin: bytes) -> Iterator[socket.socket]:
    """A connection on which `begin` was sent."""
    where = urlsplit(running.address)
    with socket.create_connection((str(where.hostname), int(where.port or 0)), timeout=20) as opened:
        opened.sendall(begin)
        yield opened


def request(query: str, *fields: str, method: str = "GET", **parameters: str) -> bytes:
    asked = "&".join(f"{name}={quote(value)}" for name, value in {"query": query, **parameters}.items())
    return "\r\n".join([f"{method} /sparql?{asked} HTTP/1.1", "Host: x", *fields, "", ""]).encode()


# --- time ---


def test_a_query_over_its_time_limit_is_504_in_time(client: httpx2.Client) -> None:
    for asked, seconds, told in (("0.5", 0.5, r"0\.(5|4\d)"), ("99", 8.0, r"(8|7\.9)")):
        began = time.monotonic()
        reply = ask(client, BOMB, timeout=asked)
        problem = problem_of(reply, 504)
        assert re.search(rf"within {told} s\b", problem["detail"])
        assert problem["type"].endswith("/time-limit")
        assert reply.headers["access-control-allow-origin"] == "*"
        assert seconds <= time.monotonic() - began < seconds + PATIENT


@pytest.mark.parametrize(
    ("pattern", "is_advised"),
    [
        ("FILTER EXISTS { GRAPH ?h { ?d ?e ?f } ?g ?i ?k FILTER(?f = ?c + 1) }", True),
        ("FILTER NOT EXISTS { ?d ?e ?f . ?g ?h ?i OPTIONAL { ?k ?l ?m } FILTER(?f = ?c + 1) }", True),
        ("FILTER(!exists{ ?d ?e ?f . ?g ?h ?i MINUS { ?k ?l ?d } FILTER(?f = ?c + 1) })", True),
        (". ?d ?e ?f . ?g ?h ?i FILTER(CONCAT(STR(?c), STR(?f), STR(?i)) = 'EXISTS { GRAPH ?h {')", False),
    ],
)
def test_a_query_with_a_slow_exists_is_told_what_is_quick(
    pattern: str, *, is_advised: bool, client: httpx2.Client
) -> None:
    detail = problem_of(ask(client, f"ASK {{ ?a ?b ?c {pattern} }}", timeout="0.4"), 504)["detail"]
    assert "docs/sparql.md" in detail
    assert ("MINUS, or OPTIONAL with !BOUND, is often quick" in detail) == is_advised


def test_a_query_that_was_stopped_leaves_no_process_behind(limited: serving, client: httpx2.Client) -> None:
    settled = settled_processes(limited)
    problem_of(ask(client, BOMB, timeout="0.4"), 504)
    eventually(lambda: len(processes(limited.process.pid)) == settled, "a worker is left")


def settled_processes(running: serving) -> int:
    """Return how many processes a server has once nothing runs."""
    seen = [0, len(processes(running.process.pid))]
    while seen[-1] != seen[-2]:
        time.sleep(0.3)
        seen.append(len(processes(running.process.pid)))
    return seen[-1]


# --- memory ---


def test_a_query_over_its_memory_limit_is_400_and_the_next_is_answered(client: httpx2.Client) -> None:
    query = "SELECT * { ?a ?b ?c . ?d ?e ?f } ORDER BY ?f ?a"
    problem = problem_of(ask(client, query), 400)
    assert problem["type"].endswith("/memory-limit")
    assert "memory" in problem["detail"]
    assert ask(client, cheap()).status_code == 200


# --- answers larger than what is held ---


def test_a_large_answer_is_sent_whole_and_never_buffered(limited: serving, client: httpx2.Client) -> None:
    ask(client, cheap())
    pid = limited.process.pid
    before = peak = memory(pid)
    size = lines = 0
    with client.stream("GET", "/sparql", params={"query": LARGE, "format": "tsv"}, headers=ORIGIN) as reply:
        assert reply.status_code == 200
        assert "content-length" not in reply.headers and "etag" not in reply.headers
        assert reply.headers["access-control-allow-origin"] == "*"
        for piece in reply.iter_raw():
            size += len(piece)
            lines += piece.count(b"\n")
            peak = max(peak, memory(pid))
    assert lines == LARGE_ROWS + 1
    assert size > 5 * BUFFER_BYTES
    assert peak - before < size / 2 < 2**30


def test_head_of_a_large_answer_is_its_head_alone(client: httpx2.Client) -> None:
    headers = []
    for method in ("GET", "HEAD"):
        with client.stream(method, "/sparql", params={"query": LARGE, "format": "csv"}) as reply:
            assert reply.status_code == 200
            headers.append(
                {**reply.headers, "date": "", "server-timing": "", "transfer-encoding": "", "x-request-id": ""}
            )
            if method == "HEAD":
                assert reply.read() == b""
    assert headers[0] == headers[1]
    assert ask(client, cheap()).status_code == 200


# --- clients that leave, or are not quite there ---


def test_a_client_that_disconnects_releases_its_worker(limited: serving) -> None:
    settled = settled_processes(limited)
    with wire(limited, request(BOMB, timeout="4")):
        eventually(lambda: len(processes(limited.process.pid)) > settled, "it does not run")
    eventually(lambda: len(processes(limited.process.pid)) == settled, "it still runs", seconds=3)


def test_a_client_that_disconnects_in_the_middle_of_an_answer_releases_its_worker(limited: serving) -> None:
    settled = settled_processes(limited)
    with wire(limited, request(LARGE, format="srj")) as opened:
        assert opened.recv(1000).startswith(b"HTTP/1.1 200 ")
    eventually(lambda: len(processes(limited.process.pid)) == settled, "it still runs", seconds=3)


# --- processes that die ---


def workers(running: serving) -> tuple[int, list[int]]:
    """The process that forks, and those that it forked."""
    _, zygote, *found = processes(running.process.pid)
    return zygote, found


def test_workers_that_are_killed_are_replaced(limited: serving, client: httpx2.Client) -> None:
    settled = settled_processes(limited)
    for _ in range(2):
        _, found = workers(limited)
        assert len(found) >= 1
        for pid in found:
            os.kill(pid, signal.SIGKILL)
        assert {ask(client, cheap()).status_code for _ in range(6)} == {200}
        eventually(lambda: settled_processes(limited) == settled, "not replaced")


LONG = f"SELECT (COUNT(*) AS ?n) {{ VALUES ?x {{ {' '.join(map(str, range(100)))} }} ?s ?p ?o FILTER(STRLEN(STR(?o)) != ?x) }}"
"""Takes a second or two, and ends."""


def test_the_process_that_forks_is_replaced_and_what_it_forked_ends(limited: serving, client: httpx2.Client) -> None:
    settled = settled_processes(limited)
    with wire(limited, request(BOMB, timeout="4")):
        eventually(lambda: len(processes(limited.process.pid)) > settled, "it does not run")
        zygote, found = workers(limited)
        os.kill(zygote, signal.SIGKILL)
        eventually(lambda: not any(map(is_running, [zygote, *found])), "workers outlive what forked them")
    assert {ask(client, cheap()).status_code for _ in range(6)} == {200}
    eventually(lambda: settled_processes(limited) == settled, "not replaced")
    assert workers(limited)[0] != zygote


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_a_server_that_ends_leaves_no_process_behind(release: Release, home: Path, ending: signal.Signals) -> None:
    for running in served(release, home):
        with wire(running, request(BOMB)):
            eventually(lambda it=running: len(processes(it.process.pid)) >= 5, "the query does not run")  # type: ignore[misc]
            started = processes(running.process.pid)
            running.process.send_signal(ending)
            if ending == signal.SIGKILL:
                eventually(lambda pids=started: not any(map(is_running, pids)), "processes are left")  # type: ignore[misc]
        eventually(lambda pids=started: not any(map(is_running, pids)), "processes are left")  # type: ignore[misc]


# --- everything at once ---

BOMBS: dict[str, str] = {
    "cross product": BOMB,
    "sorted": "SELECT * { ?a ?b ?c . ?d ?e ?f } ORDER BY ?f",
    "optionals": "SELECT (COUNT(*) AS ?n) { " + "OPTIONAL { ?s ?p ?o " * 40 + "}" * 40 + " }",
    "unions": "SELECT * { " + " UNION ".join(["{ ?s ?p ?o . ?o ?q ?r }"] * 200) + " } ORDER BY ?r",
    "pattern": 'SELECT (COUNT(*) AS ?n) { ?s ?p ?o . ?t ?q ?r FILTER(REGEX(STR(?o), "(a*)*(a|aa)+$")) }',
    "replace": 'SELECT (REPLACE(REPLACE("' + "a" * 1000 + '", "a", "aaaaaaaaaa"), "(a|a?)+", "b") AS ?x) { ?s ?p ?o . ?t ?q ?r }',
    "growing": "SELECT (SUM(STRLEN(?l)) AS ?n) { ?s ?p ?o . ?t ?q ?r BIND(CONCAT(STR(?o), STR(?r)) AS ?l) }",
    "path": "SELECT (COUNT(*) AS ?n) { ?s " + "/".join(["(!<urn:x>)"] * 500) + " ?o }",
    "stars": "SELECT (COUNT(*) AS ?n) { ?s (!<urn:x>)* ?o . ?o (!<urn:x>|^!<urn:x>)* ?t }",
    "braces": "SELECT * " + "{" * 20_000 + "}" * 20_000,
    "long": "SELECT * { ?s ?p ?o } #" + "x" * 1_000_000,
    "many values": "SELECT * { VALUES ?x { " + "1 " * 90_000 + "} ?s ?p ?o }",
    "describe": "DESCRIBE * { ?s ?p ?o }",
}  # fmt: skip


def test_a_cheap_query_is_answered_whatever_runs_beside_it(limited: serving, client: httpx2.Client) -> None:
    ask(client, cheap())
    settled, before = settled_processes(limited), sum(map(memory, processes(limited.process.pid)))
    half = [b"GET /spar", request(BOMB)[:-2], b"\x16\x03\x01\x02\x00", b"POST /sparql HTTP/1.1\r\nHost: x\r\n"]
    half += [
        f"POST /sparql HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: 1000\r\n\r\nquery=".encode()
        for kind in (FORM, SPARQL_QUERY)
    ]
    took, statuses = [], []

    def bomb(name: str) -> int:
        with client_of(limited, "127.0.0.2") as other:
            return post(other, BOMBS[name], SPARQL_QUERY, timeout="1").status_code

    with ExitStack() as stack:
        for begin in half * 3:
            stack.enter_context(wire(limited, begin))
        pool = stack.enter_context(ThreadPoolExecutor(len(BOMBS)))
        running = {name: pool.submit(bomb, name) for name in BOMBS}
        while not all(each.done() for each in running.values()):
            began = time.monotonic()
            statuses.append(ask(client, cheap()).status_code)
            took.append(time.monotonic() - began)
    assert set(statuses) == {200}
    assert len(statuses) >= 3
    assert max(took) < PATIENT
    ended = {name: each.result() for name, each in running.items()}
    assert {ended["braces"], ended["long"]} == {400, 413}
    assert {ended["cross product"], ended["path"]} <= {503, 504}, "503 where they had no turn"
    assert set(ended.values()) <= {200, 400, 413, 503, 504}
    eventually(lambda: settled_processes(limited) == settled, "processes are left")
    assert sum(map(memory, processes(limited.process.pid))) < 2 * before + 100_000_000


def test_a_cheap_query_waits_for_none_of_the_expensive_ones(limited: serving, client: httpx2.Client) -> None:
    settled = settled_processes(limited)
    with ExitStack() as stack:
        clients = [stack.enter_context(client_of(limited, f"127.0.0.{host}")) for host in range(2, 8)]
        pool = stack.enter_context(ThreadPoolExecutor(len(clients)))
        running = [pool.submit(ask, each, f"{BOMB} # {next(serial)}", timeout="3") for each in clients]
        eventually(lambda: len(processes(limited.process.pid)) > settled, "they do not run")
        assert {ask(client, cheap()).status_code for _ in range(5)} == {200}
        assert not any(each.done() for each in running)
        assert {each.result().status_code for each in running} <= {503, 504}


BUSY = "import os\nwhile os.getppid() == int(__import__('sys').argv[1]): pass"
"""A program that uses a core until whoever started it ends."""


def test_a_slow_query_and_an_upload_end_in_time_beside_two_busy_processes(release: Release, home: Path) -> None:
    assert release.path.is_dir()
    with ExitStack() as stack:
        limits = {"ITUKG_HOME": str(home), "ITUKG_TIMEOUT": "20", "ITUKG_VALIDATION_TIMEOUT": "20"}
        running = serving(limits)
        stack.enter_context(running)
        client = stack.enter_context(client_of(running))
        for _ in range(2):
            busy = subprocess.Popen([sys.executable, "-c", BUSY, str(os.getpid())])
            stack.callback(busy.wait)
            stack.callback(busy.kill)
        slow = ask(client, f"{LONG} # {next(serial)}")
        assert slow.status_code == 200
        assert float(slow.headers["server-timing"].removeprefix("engine;dur=")) > 1000 * QUICK_SECONDS
        upload = client.post("/validate", content="<urn:a> <urn:b> 1 .", headers={"content-type": "text/turtle"})
        assert upload.status_code == 200


# --- the log ---


def test_a_slow_query_is_logged_by_its_hash_and_without_its_text(limited: serving, client: httpx2.Client) -> None:
    query = 'SELECT ("a secret of the client" AS ?x) {}'
    assert ask(client, query).status_code == 200
    digest = hashlib.sha256(query.encode()).hexdigest()[:16]
    eventually(lambda: any(f"slow query {digest}: SELECT, evaluated, " in line for line in limited.log), "not logged")
    assert not any("secret" in line for line in limited.log)


# --- quotas ---


@pytest.fixture(scope="module")
def strict(release: Release, home: Path) -> Iterator[serving]:
    """A server that forgives little."""
    yield from served(release, home, timeout=5, limit_violations=2, rate=8, send_timeout=1)


def test_a_client_that_hits_limits_is_429_for_a_while_and_others_are_answered(strict: serving) -> None:
    with client_of(strict, "127.0.0.2") as client, client_of(strict, "127.0.0.3") as other:
        held = cheap()
        assert [ask(client, held).status_code for _ in range(2)] == [200, 200]
        for _ in range(2):
            problem_of(ask(client, BOMB, timeout="0.3"), 504)
        reply = ask(client, cheap())
        assert "2 queries of yours hit their limit" in problem_of(reply, 429)["detail"]
        assert 0 < int(reply.headers["retry-after"]) <= 60
        assert reply.headers["access-control-allow-origin"] == "*"
        assert ask(client, held).status_code == 200  # it costs nothing
        assert ask(other, cheap()).status_code == 200


def test_a_client_has_a_quota_of_queries_a_minute_and_cached_answers_do_not_count(strict: serving) -> None:
    with client_of(strict, "127.0.0.4") as client, client_of(strict, "127.0.0.5") as other:
        held = cheap()
        assert {ask(client, held).status_code for _ in range(20)} == {200}  # evaluated once or twice
        assert {ask(client, cheap()).status_code for _ in range(6)} == {200}
        ask(client, cheap())
        reply = ask(client, cheap())
        assert "8 queries of yours were evaluated" in problem_of(reply, 429)["detail"]
        assert 0 < int(reply.headers["retry-after"]) <= 60
        assert ask(client, held).status_code == ask(other, cheap()).status_code == 200


def test_a_client_that_reads_slowly_is_cut_off_and_sees_that_the_answer_is_not_whole(strict: serving) -> None:
    settled = settled_processes(strict)
    with wire(strict, request(LARGE, format="srj")) as opened:
        begin = opened.recv(1000)
        time.sleep(2)  # twice as long as it may take
        rest = b"".join(iter(lambda: opened.recv(1 << 20), b""))
    eventually(lambda: len(processes(strict.process.pid)) == settled, "it still runs")
    assert b"\r\ntransfer-encoding: chunked\r\n" in begin.lower()
    assert len(rest) > 100_000
    assert not rest.endswith(b"0\r\n\r\n")


# --- queues and other services ---


@pytest.fixture(scope="module")
def listener() -> Iterator[socket.socket]:
    """Somebody who must never be contacted."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


@pytest.fixture(scope="module")
def crowded(release: Release, home: Path, server: str) -> Iterator[serving]:
    """A server with one worker and one slow slot, and with another server that it may ask."""
    services = f'["{server}/sparql"]'
    yield from served(
        release,
        home,
        timeout=30,
        limit_violations=0,
        workers=1,
        slow_workers=1,
        queue=2,
        queue_client=1,
        services=services,
    )


def waiting(running: serving) -> int:
    """How many queries of a server wait for a slow slot."""
    with client_of(running) as client:
        told = client.get("/metrics").text
    return int(float(re.findall(r'^itukg_store\{what="waiting for a slow slot"\} (\S+)', told, re.MULTILINE)[0]))


def test_a_query_that_finds_the_queue_full_is_503_with_retry_after(crowded: serving) -> None:
    with ExitStack() as stack:
        settled = settled_processes(crowded)

        def bomb(host: str) -> Callable[[], httpx2.Response]:
            client = stack.enter_context(client_of(crowded, host))
            return lambda: ask(client, f"{BOMB} # {next(serial)}", timeout="30")

        pool = stack.enter_context(ThreadPoolExecutor())
        pool.submit(bomb("127.0.0.2"))
        eventually(lambda: len(processes(crowded.process.pid)) > settled, "it does not run")
        pool.submit(bomb("127.0.0.2"))
        eventually(lambda: waiting(crowded) == 1, "the second does not wait")
        own = bomb("127.0.0.2")()
        assert "1 of your requests are already waiting" in problem_of(own, 503)["detail"]
        pool.submit(bomb("127.0.0.3"))
        eventually(lambda: waiting(crowded) == 2, "the third does not wait")
        full = bomb("127.0.0.4")()
        assert "2 requests are already waiting" in problem_of(full, 503)["detail"]
        assert int(own.headers["retry-after"]) > 0 and int(full.headers["retry-after"]) > 0
        assert full.headers["access-control-allow-origin"] == "*"
        assert ask(stack.enter_context(client_of(crowded)), cheap()).status_code == 200


def test_a_service_that_the_operator_allows_is_queried(crowded: serving, server: str) -> None:
    plans = f"?plan a <{names.ITU}Plan>"
    with client_of(crowded) as client:
        here = ask(client, f"SELECT ?plan {{ {plans} }} ORDER BY ?plan")
        there = ask(client, f"SELECT ?plan {{ SERVICE <{server}/sparql> {{ {plans} }} }} ORDER BY ?plan")
        assert here.json() == there.json()
        assert len(here.json()["results"]["bindings"]) >= 2
        assert there.headers["cache-control"] == "no-store"
        described = ask(
            client, f"DESCRIBE ?plan {{ SERVICE <{server}/sparql> {{ {plans} }} }}", "application/n-triples"
        )
        assert described.status_code == 200 and len(described.text.splitlines()) > 100
        silent = ask(client, f"SELECT ?plan {{ service silent <{server}/sparql> {{ {plans} }} }} ORDER BY ?plan")
        assert silent.json() == here.json()


FORBIDDEN = [
    "SELECT * {{ SERVICE <{other}> {{ ?s ?p ?o }} }}",
    "SELECT * {{ SERVICE SILENT <{other}> {{ ?s ?p ?o }} }}",
    "SELECT * {{ SERVICE <{allowed}> {{ ?s ?p ?o }} SERVICE <{other}> {{ ?s ?p ?o }} }}",
    "SELECT * {{ SERVICE <{allowed}> {{ SERVICE <{other}> {{ ?s ?p ?o }} }} }}",
    "SELECT * {{ SERVICE <{allowed}/../x> {{ ?s ?p ?o }} }}",
    "SELECT * {{ VALUES ?x {{ <{other}> }} SERVICE ?x {{ ?s ?p ?o }} }}",
    "PREFIX o: <{other}> SELECT * {{ SERVICE o: {{ ?s ?p ?o }} }}",
    "BASE <{other}> SELECT * {{ SERVICE <> {{ ?s ?p ?o }} }}",
    "SELECT * {{ SERVICE # <{allowed}>\n <{other}> {{ ?s ?p ?o }} }}",
    "LOAD <{other}>",
]  # fmt: skip
HARMLESS = [
    "SELECT * {{ \\u0053ERVICE <{other}> {{ ?s ?p ?o }} }}",
    "SELECT * {{ SERVIC\\u0045 <{other}> {{ ?s ?p ?o }} }}",
    "SELECT * FROM <{other}> {{ ?s ?p ?o }}",
    "SELECT * FROM <file:///etc/passwd> {{ ?s ?p ?o }}",
    "SELECT * FROM NAMED <{other}> {{ GRAPH ?g {{ ?s ?p ?o }} }}",
    "SELECT * {{ GRAPH <{other}> {{ ?s ?p ?o }} }}",
    "DESCRIBE <{other}>",
]  # fmt: skip


def filled(query: str, listener: socket.socket, allowed: str = "http://127.0.0.1:1/sparql") -> str:
    return query.format(other=f"http://127.0.0.1:{listener.getsockname()[1]}/sparql", allowed=allowed)


def assert_nobody_called(listener: socket.socket) -> None:
    with pytest.raises(BlockingIOError):
        listener.accept()


@pytest.mark.parametrize("query", FORBIDDEN)
def test_no_other_service_is_queried(crowded: serving, server: str, listener: socket.socket, query: str) -> None:
    with client_of(crowded) as client:
        problem_of(ask(client, filled(query, listener, f"{server}/sparql")), 400)
    assert_nobody_called(listener)


@pytest.mark.parametrize("query", HARMLESS)
def test_an_address_in_a_query_is_only_a_name(crowded: serving, listener: socket.socket, query: str) -> None:
    with client_of(crowded) as client:
        reply = ask(client, filled(query, listener), None, format="json" if query.startswith("SELECT") else "nt")
    assert (reply.status_code == 400) is ("\\u" in query)
    assert (
        reply.status_code == 400 or reply.json()["results"]["bindings"] == [] if "SELECT" in query else not reply.text
    )
    assert_nobody_called(listener)


@pytest.mark.parametrize("query", [*FORBIDDEN, *HARMLESS])
def test_a_worker_has_no_network_whatever_the_query(store: Engine, listener: socket.socket, query: str) -> None:
    """The seam refuses such queries; here they are handed to the engine as if it had not."""
    asked = Query(filled(query, listener), "SELECT")
    with contextlib.suppress(QueryRefused, SyntaxProblem):
        lines = store.answer(asked, syntax=N_TRIPLES if query.startswith("DESCRIBE") else CSV, seconds=5).splitlines()
        assert len(lines) <= 2  # SILENT has one solution without a binding
    assert_nobody_called(listener)


def test_a_graph_of_the_request_is_only_a_name(store: Engine, listener: socket.socket) -> None:
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
    assert store.answer("SELECT * { ?s ?p ?o }", Dataset(default=(address,))).splitlines() == [b"s,p,o"]
    assert store.answer("SELECT * { ?s ?p ?o }", Dataset(default=("file:///etc/passwd",))).splitlines() == [b"s,p,o"]
    assert_nobody_called(listener)


def test_nothing_is_imported_from_where_one_happens_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyoxigraph.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dataset.nq").write_text("<urn:a> <urn:b> <urn:c> .")
    with Engine(tmp_path / "dataset.nq") as queries:
        assert queries.rows("SELECT ?c { <urn:a> ?b ?c }") == [{"c": ox.NamedNode("urn:c")}]


# --- what takes part of the server for ever ---


@pytest.fixture(scope="module")
def impatient(release: Release, home: Path) -> Iterator[serving]:
    """A server that waits two seconds for whoever reads slowly."""
    yield from served(release, home, timeout=8, send_timeout=2, limit_violations=0, slow_workers=2)


def test_what_a_process_needed_only_to_load_is_not_in_its_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wasteful.py").write_text(
        "from pathlib import Path\n"
        "from itukg.engine.worker import main\n"
        "def load(pieces):\n"
        "    for piece in [bytes(50_000) for _ in range(int(pieces))]: del piece\n"
        "    return lambda _question, output: output.write(Path('/proc/self/statm').read_bytes())\n"
        "main(load)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    async def held(pieces: int) -> float:
        pool = Pool("wasteful", str(pieces), workers=1, slow=1)
        worker = await pool.fork(network=True)  # which may open files
        assert await worker.send(b"", inf)
        packet = await worker.packet(inf)
        await pool.close()
        assert packet is not None and packet.kind == END
        return int(packet.content.split()[1]) * resource.getpagesize() / 1e6

    little, much = asyncio.run(held(0)), asyncio.run(held(2000))
    assert much < little + 20, f"MB held by a worker whose process needed 100 MB once: {much}"


def test_a_client_that_disconnects_from_a_describe_releases_its_worker(limited: serving) -> None:
    settled = settled_processes(limited)
    for _ in range(3):  # one more than there are places for what takes long
        with wire(limited, request("DESCRIBE ?a { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i FILTER(?a = ?i) }", timeout="4")):
            eventually(lambda: len(processes(limited.process.pid)) > settled, "it does not run")
        eventually(lambda: len(processes(limited.process.pid)) == settled, "it still runs", seconds=3)


def test_a_describe_of_too_much_is_400_and_takes_no_memory(limited: serving, client: httpx2.Client) -> None:
    ask(client, cheap())
    before = memory(limited.process.pid)
    settled = settled_processes(limited)
    for _ in range(3):  # one more than there are places for what takes long
        problem = problem_of(ask(client, "DESCRIBE * { ?a ?b ?c . ?d ?e ?f }", timeout="4"), 400)
        assert problem["type"].endswith("/memory-limit")
    assert settled_processes(limited) == settled
    assert memory(limited.process.pid) - before < 10 * BUFFER_BYTES


def test_clients_that_read_slowly_do_not_block_slow_queries(limited: serving, client: httpx2.Client) -> None:
    everything = "SELECT * { ?a ?b ?c . ?d ?e ?f }"

    def asked() -> int:
        return client.head("/sparql", params={"query": f"{everything} # {next(serial)}"}).status_code

    with (
        wire(limited, request(everything, format="tsv")) as one,
        wire(limited, request(everything, format="csv")) as other,
    ):
        assert one.recv(100).startswith(b"HTTP/1.1 200") and other.recv(100).startswith(b"HTTP/1.1 200")
        assert ask(client, f"{LONG} # {next(serial)}").status_code == 200
        assert "Large answers are being sent to you" in problem_of(ask(client, everything), 503)["detail"]
        with (
            client_of(limited, "127.0.0.5") as another,
            another.stream("GET", "/sparql", params={"query": LARGE.replace("400000", "150000")}) as reply,
        ):
            assert reply.status_code == 200
            assert sum(len(piece) for piece in reply.iter_raw()) > BUFFER_BYTES
    eventually(lambda: asked() == 200, "no place is given back")


def test_a_client_that_does_not_read_an_answer_is_disconnected(impatient: serving) -> None:
    everything = "SELECT * { ?a ?b ?c }"
    handles = Path(f"/proc/{impatient.process.pid}/fd")

    def connections() -> int:
        return sum("socket" in str(path.readlink()) for path in handles.iterdir() if path.is_symlink())

    settled_processes(impatient)
    before = connections()
    with client_of(impatient) as client:
        assert BUFFER_BYTES > len(ask(client, everything).content) > 4_000_000
    eventually(lambda: connections() == before, "a connection is left")
    with wire(impatient, b"") as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        opened.sendall(request(everything))
        eventually(lambda: connections() > before, "it is not connected")
        # one timer of a connection looks at this and at its headers
        eventually(lambda: connections() == before, "it is still connected", seconds=HEAD_SECONDS + 4)


def test_requests_sent_on_and_on_are_not_taken_before_answers_are_read(impatient: serving) -> None:
    before = memory(impatient.process.pid)
    with wire(impatient, b"") as opened, client_of(impatient) as client:
        opened.settimeout(1)
        sent = 0
        many = request("ASK {}") * 1000
        with contextlib.suppress(TimeoutError):  # nothing is taken any more
            while sent < 100_000_000:
                sent += opened.send(many)
        assert sent < 50_000_000
        assert ask(client, cheap()).status_code == 200
        assert memory(impatient.process.pid) - before < 100_000_000


@pytest.mark.parametrize("line", [b"X-A: b\r\n", b"b" * 1000], ids=["many lines", "a long line"])
def test_a_head_without_end_is_431(impatient: serving, line: bytes) -> None:
    with wire(impatient, b"GET / HTTP/1.1\r\nHost: x\r\nX-B: ") as opened:
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 50_000_000:
                sent += opened.send(line * 1000)
        assert sent < 20_000_000
    with wire(impatient, b"GET / HTTP/1.1\r\nHost: x\r\nX-B: " + line * (MAX_HEAD // len(line))) as opened:
        time.sleep(0.2)  # it is read
        opened.sendall(line)
        time.sleep(0.2)  # this too, apart: what is read together is looked at together
        opened.sendall(line)
        assert opened.recv(1 << 16).startswith(b"HTTP/1.1 431 ")


def test_a_head_may_hold_much(impatient: serving) -> None:
    fields = [f"X-{number}: {'y' * 1000}" for number in range(100)]
    with wire(impatient, request("ASK {}", *fields)) as opened:
        assert opened.recv(1 << 16).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("begin", "status", "kind"),
    [
        (b"GET /sparql?query=" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "uri-too-long"),
        (b"GARBAGE\r\n\r\n", 400, "bad-request"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX Y: z\r\n\r\n", 400, "bad-request"),
    ],
    ids=["long", "garbage", "header"],
)
def test_bytes_that_are_no_request_get_a_problem_that_says_so(
    impatient: serving, begin: bytes, status: int, kind: str
) -> None:
    with wire(impatient, begin) as opened:
        head, _, body = opened.makefile("rb").read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status) and b"content-type: application/problem+json" in head.lower()
    assert json.loads(body)["type"].endswith(f"/{kind}")
    assert b"access-control-allow-origin: *" in head and b"connection: close" in head and b"\r\ndate: " in head


def test_a_query_that_is_refused_before_it_runs_is_counted(client: httpx2.Client) -> None:
    def counted() -> float:
        found = re.search(
            r'itukg_queries_total\{form="unread",outcome="query-refused"\} (\S+)', client.get("/metrics").text
        )
        return float(found[1]) if found else 0.0

    before = counted()
    problem_of(ask(client, "SELECT * { SERVICE <http://x/> { ?s ?p ?o } }"), 400)
    assert counted() == before + 1


def test_an_accept_header_that_is_too_long_is_400(client: httpx2.Client) -> None:
    problem = problem_of(client.get("/sparql", params={"query": "ASK {}"}, headers={"accept": "a/b," * 1001}), 400)
    assert "Accept has more than 4000" in problem["detail"]
    assert ask(client, "ASK {}", "a/b;q=0.1," * 100 + "text/csv").status_code == 406


def test_pages_of_one_client_take_no_turns_from_others(release: Release, home: Path) -> None:
    running = serving({"ITUKG_HOME": str(home), "ITUKG_QUEUE_CLIENT": "12", "ITUKG_CACHE": "0"})
    things = [f"/id/buap-2018-2021/output/{priority}.{number}" for priority in range(1, 5) for number in range(1, 5)]
    assert release.path.is_dir()
    over, refused = threading.Event(), Counter[int]()

    def crowd(first: int) -> None:
        with client_of(running, "127.0.0.2") as client:
            for path in cycle(things[first % 16 :] + things[: first % 16]):
                if over.is_set():
                    return
                refused[client.get(path, headers={"accept": "text/html"}).status_code] += 1

    with running, ThreadPoolExecutor(16) as pool, client_of(running, "127.0.0.3") as client:
        asking = [pool.submit(crowd, number) for number in range(16)]
        try:
            eventually(lambda: refused[503] > 5, "the crowd is not refused", 60)
            found = [client.get(path, headers={"accept": "text/html"}).status_code for path in ("/readyz", *things[:6])]
        finally:
            over.set()
        for each in asking:
            each.result()
    assert found == [200] * 7
