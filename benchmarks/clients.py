"""The clients of a soak: cheap and heavy queries, and attacks."""

import contextlib
import http.client
import itertools
import random
import socket
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from benchmarks.answers import Rows, rows, selected, send
from benchmarks.pressure import ADDRESS
from benchmarks.report import number
from benchmarks.servers import Endpoint

CHEAP = selected("lookup,two-hops,construct")
HEAVY = selected("gaps,export,derived-links,evidence")

EVERY = "?s ?p ?o"
CROSS = "?a ?b ?c . ?d ?e ?f"
HOSTILE = {
    "cross product": f"SELECT (COUNT(*) AS ?n) WHERE {{ {CROSS} . ?g ?h ?i }}",
    "sorted cross product": f"SELECT * WHERE {{ {CROSS} }} ORDER BY ?c ?f",
    "distinct cross product": f"SELECT DISTINCT ?a ?d ?g WHERE {{ {CROSS} . ?g ?h ?i }}",
    "backtracking regex": f'SELECT * WHERE {{ {EVERY} FILTER(REGEX(STR(?o), "^(([a-z ])+.)+[A-Z]([a-z ])+$")) }}',
    "large regex": f'SELECT * WHERE {{ {EVERY} FILTER(REGEX(STR(?o), "((a{{0,99}}){{0,99}}){{0,99}}b")) }}',
    "doubled string": 'SELECT (STRLEN(?v34) AS ?n) WHERE { BIND("abcdefgh" AS ?v0) '
    + " ".join(f"BIND(CONCAT(?v{n}, ?v{n}) AS ?v{n + 1})" for n in range(34))
    + " }",
    "long concatenation": f"SELECT (GROUP_CONCAT(CONCAT(STR(?a), STR(?d))) AS ?n) WHERE {{ {CROSS} }}",
    "10,000 braces": "SELECT * WHERE " + "{" * 10_000 + EVERY + "}" * 10_000,
    "10,000 brackets": "SELECT * WHERE { FILTER(" + "(" * 10_000 + "1" + ")" * 10_000 + ") }",
    "10,000 negations": "SELECT * WHERE { FILTER(" + "!" * 10_000 + "true) }",
    "path of 500 steps": "SELECT * WHERE { ?s " + "/".join(["(!<urn:x>)"] * 500) + " ?o }",
    "path of 500 choices": "SELECT * WHERE { ?s (" + "|".join(["!<urn:x>"] * 500) + ")* ?o }",
    "path of nested stars": "SELECT * WHERE { ?s " + "(" * 60 + "!<urn:x>" + ")*" * 60 + " ?o }",
    "query of 1 MB": "SELECT * WHERE { VALUES ?s { " + "<urn:x> " * 125_000 + "} " + EVERY + " }",
    "500 unions": "SELECT * WHERE { " + " UNION ".join([f"{{ {EVERY} }}"] * 500) + " } ORDER BY ?o",
    "not SPARQL": "SELECT WHERE }" * 50,
}
"""By name; each request adds a comment of its own."""


@dataclass
class Tally:
    """What clients have counted."""

    seconds: list[float] = field(default_factory=list)
    """Of each cheap query."""
    failures: Counter[str] = field(default_factory=Counter)
    hostile: Counter[str] = field(default_factory=Counter)
    heavy: Counter[str] = field(default_factory=Counter)

    def add(self, part: "Tally") -> None:
        """Add what `part` has counted."""
        self.seconds += part.seconds
        self.failures += part.failures
        self.hostile += part.hostile
        self.heavy += part.heavy

    def row(self) -> list[str]:
        """Return the figures of a line of the table."""
        p50, p99 = 0.0, 0.0
        if len(self.seconds) > 1:
            p50, p99 = statistics.median(self.seconds), statistics.quantiles(self.seconds, n=100)[98]
        counts = (len(self.seconds) - self.failures.total(), self.failures.total())
        milliseconds = (number(p50 * 1e3), number(p99 * 1e3))
        return [*(f"{n:,}" for n in counts), *milliseconds, f"{self.heavy.total():,}", f"{self.hostile.total():,}"]


class Load:
    """The clients, each in a thread of its own, until the block ends.

    A cheap query fails without an answer of 200 with the `expected` rows within `answer_seconds`.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        expected: dict[str, Rows],
        *,
        cheap: int,
        hostile: int,
        slow: int,
        answer_seconds: float,
    ) -> None:
        self._endpoint = endpoint
        self._answer_seconds = answer_seconds
        self._expected = expected
        self._tally, self._lock = Tally(), threading.Lock()
        self._stop = threading.Event()
        clients: list[Callable[[], None]] = [
            *[self._cheap] * cheap,
            self._heavy,
            *[self._hostile] * hostile,
            *[self._slow, self._half_open] * slow,
        ]
        self._threads = [threading.Thread(target=client, daemon=True) for client in clients]

    def __enter__(self) -> Self:
        """Start the clients."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the clients, in bounded time."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=self._answer_seconds + 5)

    def take(self) -> Tally:
        """Return what was counted since the last call."""
        with self._lock:
            taken, self._tally = self._tally, Tally()
        return taken

    def _cheap(self) -> None:
        connection = self._connect(self._answer_seconds)
        for turn, query in enumerate(itertools.cycle(CHEAP)):
            if self._stop.is_set():
                break
            before = time.perf_counter()
            try:
                reply = send(connection, self._endpoint, query, str(time.perf_counter_ns()) if turn % 2 else "")
                fault = "" if reply.status == http.client.OK else f"status {reply.status}"
                if not fault and rows(query, reply.body) != self._expected[query.name]:
                    fault = "other rows"
            except (OSError, http.client.HTTPException, ValueError, SyntaxError) as error:
                fault = type(error).__name__
                connection.close()  # the next request opens it again
            with self._lock:
                self._tally.seconds.append(time.perf_counter() - before)
                self._tally.failures += Counter([fault] if fault else [])
            self._stop.wait(0.2 if fault else 0.01)
        connection.close()

    def _heavy(self) -> None:
        for query in itertools.cycle(HEAVY):
            if self._stop.wait(0.5):
                break
            connection = self._connect(60)
            try:
                found = str(send(connection, self._endpoint, query, str(time.time_ns())).status)
            except (OSError, http.client.HTTPException) as error:
                found = type(error).__name__
            connection.close()
            with self._lock:
                self._tally.heavy[found] += 1

    def _hostile(self) -> None:
        while not self._stop.wait(0.1):
            text = f"{random.choice(list(HOSTILE.values()))}\n#{time.perf_counter_ns()}"  # noqa: S311
            connection = self._connect(60, ADDRESS)
            try:
                headers = {"Content-Type": "application/sparql-query", "Accept": "*/*"}
                connection.request("POST", "/sparql", text.encode(), headers)
                reply = connection.getresponse()
                read = 0
                while (block := reply.read(1 << 16)) and read < 1 << 26 and not self._stop.is_set():
                    read += len(block)
                found = str(reply.status)
            except (OSError, http.client.HTTPException) as error:
                found = type(error).__name__
            connection.close()
            with self._lock:
                self._tally.hostile[found] += 1

    def _slow(self) -> None:
        [export] = selected("export")
        while not self._stop.wait(0.5):
            target = self._endpoint.target(f"{export.text}\n#{time.time_ns()}")
            self._raw(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n", lambda wire: bool(wire.recv(1024)))

    def _half_open(self) -> None:
        post = (
            "POST /sparql HTTP/1.1\r\nHost: a\r\nContent-Type: application/sparql-query\r\nContent-Length: 999\r\n\r\n"
        )
        for start in itertools.cycle(("GET /sparql HTTP/1.1\r\nHost: a\r\nX-Never-", f"{post}SELECT", "G")):
            if self._stop.wait(0.5):
                break
            self._raw(start, lambda _: True)

    def _raw(self, sent: str, go_on: Callable[[socket.socket], bool]) -> None:
        """Send text on a connection of its own, and leave it open for 30 s or while `go_on`, called four times a second."""
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self._endpoint.port), timeout=30) as wire,
        ):
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            wire.sendall(sent.encode())
            until = time.monotonic() + 30
            while time.monotonic() < until and go_on(wire) and not self._stop.wait(0.25):
                pass

    def _connect(self, seconds: float, address: tuple[str, int] | None = None) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._endpoint.port, timeout=seconds, source_address=address)
