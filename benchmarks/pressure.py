"""Answers beside other load: lookups beside bombs, and a slow query and an upload beside busy processes."""

import contextlib
import http.client
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Self

from benchmarks.answers import Query, send
from benchmarks.load import ANSWER_SECONDS, wrk
from benchmarks.servers import Endpoint, running

BOMB = Query("bomb", "", "SELECT (COUNT(*) AS ?n) WHERE { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }")
"""A heavy query: every server runs it into its time limit, or for ever."""
BOMBS = 2
SETTLE_SECONDS = 1
"""Seconds of bombs, and then of requests, before a measurement."""
SECONDS = 3
"""Seconds of a measurement beside bombs; with those before, less than our time limit."""
BUSY = max(2, len(os.sched_getaffinity(0)))
"""Busy processes: one for each processor, two at least."""
QUERY_SECONDS = 1.0
"""Seconds of the query that is measured beside busy processes, with nothing else running."""
ADDRESS = ("127.0.0.2", 0)
"""The address of hostile clients, other than that of those beside them."""


@dataclass(frozen=True)
class BesideBombs:
    """Lookups beside bombs: answers per second, milliseconds of the 99th percentile, failures."""

    rate: float
    p99: float
    failed: int
    ended: str = ""
    """How the first bomb ended that ended during the measurement: a status or an error."""


class Bombs:
    """Clients that each send one bomb and wait for its answer until the block ends."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._connections = [
            http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=600, source_address=ADDRESS)
            for _ in range(BOMBS)
        ]
        self._threads = [threading.Thread(target=self._send, args=(c,), daemon=True) for c in self._connections]
        self._over = False
        self.ended: list[str] = []
        """The status or error of each bomb that has ended."""

    def __enter__(self) -> Self:
        """Send them."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections without an answer."""
        self._over = True
        for connection in self._connections:
            with contextlib.suppress(OSError, AttributeError):  # the server has closed it
                connection.sock.shutdown(2)
        for thread in self._threads:
            thread.join(timeout=5)

    def _send(self, connection: http.client.HTTPConnection) -> None:
        try:
            connection.request("GET", self._endpoint.target(BOMB.text), headers={"Accept": BOMB.accept})
            ended = f"status {connection.getresponse().status}"
        except (OSError, http.client.HTTPException) as error:
            ended = type(error).__name__
        if not self._over:
            self.ended.append(ended)
        connection.close()


def beside_bombs(endpoint: Endpoint, lookup: Query, connections: int) -> BesideBombs:
    """Measure unique lookups beside BOMBS bombs."""
    with Bombs(endpoint) as bombs:
        time.sleep(SETTLE_SECONDS)
        for seconds in (SETTLE_SECONDS, SECONDS):
            found = wrk(endpoint, lookup, "cold", connections=connections, seconds=seconds)
        return BesideBombs(found["rate"], found["p99"], int(found["failed"]), next(iter(bombs.ended), ""))


@dataclass(frozen=True)
class BesideBusy:
    """Seconds of a query with nothing else running, and of the slowest query and upload beside BUSY processes."""

    alone: float
    query: float
    upload: float


def beside_busy(endpoint: Endpoint, tries: int) -> BesideBusy:
    """Measure a query of about a second and an upload of one line beside processes that leave no processor idle."""
    probe = _scan(20)
    times = round(20 * QUERY_SECONDS / min(_query_seconds(endpoint, probe) for _ in range(3)))
    query = _scan(times)
    alone = min(_query_seconds(endpoint, query) for _ in range(3))
    with busy_processes(BUSY):
        slowest = _slowest(lambda: _query_seconds(endpoint, query), tries)
        return BesideBusy(alone, slowest, _slowest(lambda: _upload_seconds(endpoint), tries))


@contextmanager
def busy_processes(count: int) -> Iterator[list[int]]:
    """Run `count` processes that compute without pause, until the block ends; yields their process ids."""
    command = (sys.executable, "-c", "while True: pass")
    with ExitStack() as stack:
        yield [stack.enter_context(running(f"busy-{number}", command)).process.pid for number in range(count)]


def _scan(times: int) -> Query:
    """Return a query that reads the whole graph `times` times."""
    values = " ".join(map(str, range(times)))
    text = f"SELECT (COUNT(*) AS ?n) WHERE {{ VALUES ?k {{ {values} }} ?s ?p ?o FILTER(STRLEN(STR(?o)) > ?k) }}"
    return Query("scan", "", text)


def _query_seconds(endpoint: Endpoint, query: Query) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=ANSWER_SECONDS)
    reply = send(connection, endpoint, query, str(time.time_ns()))
    connection.close()
    return reply.seconds if reply.status == http.client.OK else float("inf")


def _upload_seconds(endpoint: Endpoint) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=ANSWER_SECONDS)
    line = f'<urn:a> <http://www.w3.org/2000/01/rdf-schema#label> "{time.time_ns()}" .\n'
    before = time.perf_counter()
    connection.request("POST", "/validate", line, {"Content-Type": "text/turtle", "Accept": "application/json"})
    reply = connection.getresponse()
    reply.read()
    connection.close()
    return time.perf_counter() - before if reply.status == http.client.OK else float("inf")


def _slowest(seconds: Callable[[], float], tries: int) -> float:
    found = []
    for _ in range(tries):
        try:
            found.append(seconds())
        except (OSError, http.client.HTTPException):
            found.append(float("inf"))
    return max(found)
