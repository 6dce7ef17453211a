"""Load on a server: one query with so many connections, cold (each text unique) or warm (one text), by wrk."""

import http.client
import json
import math
import shutil
import subprocess
import time
from dataclasses import dataclass, replace

from benchmarks.answers import Query, send
from benchmarks.servers import HERE, Endpoint

WARM_UP_SECONDS = 0.3
"""Seconds of requests before each measurement that do not count."""
MAX_SECONDS = 4
"""The longest measurement of a slow query, in seconds."""
ANSWER_SECONDS = 30
"""Seconds in which a query must be answered."""


@dataclass(frozen=True)
class Cell:
    """One query on one server, with so many connections, cold or warm."""

    server: str
    query: str
    mode: str
    connections: int
    rate: float
    """Answers per second."""
    p50: float
    """Milliseconds."""
    p99: float
    failed: int
    single: bool = False
    """Too slow for a measurement: the figures are those of one answer with nothing else running."""
    rounds: tuple[float, ...] = ()
    """The rate of each round; `rate` is their median."""


def median_round(rounds: list[Cell]) -> Cell:
    """Return the round with the median rate, with the rates and the failures of all."""
    found = sorted(rounds, key=lambda cell: cell.rate)[len(rounds) // 2]
    return replace(found, failed=sum(cell.failed for cell in rounds), rounds=tuple(cell.rate for cell in rounds))


def drive(name: str, endpoint: Endpoint, query: Query, mode: str, connections: int, *, size: int) -> Cell:
    """Measure a cell for a second, a slow query for up to MAX_SECONDS, and a slower one by one answer.

    `size` is that of the right answer, in bytes.
    """
    alone = warm_up(endpoint, query, mode)
    needed = 2 * alone * connections  # two answers for each connection even where one core evaluates all of them
    if needed > MAX_SECONDS:
        return Cell(name, query.name, mode, connections, 1 / alone, alone * 1e3, alone * 1e3, 0, single=True)
    found = wrk(endpoint, query, mode, connections=connections, seconds=max(1, math.ceil(needed)))
    # Some servers report a timeout in the body of a 200, which is then shorter than the right answer.
    short = found["requests"] if found["bytes"] < 0.98 * size * found["requests"] else 0
    failed = int(found["failed"] + short)
    return Cell(name, query.name, mode, connections, found["rate"], found["p50"], found["p99"], failed)


def warm_up(endpoint: Endpoint, query: Query, mode: str) -> float:
    """Send a query on one connection for WARM_UP_SECONDS, at least once; return the seconds of the fastest answer."""
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=ANSWER_SECONDS)
    began = time.monotonic()
    taken: list[float] = []
    while not taken or time.monotonic() - began < WARM_UP_SECONDS:
        taken.append(send(connection, endpoint, query, f"{time.time_ns()}" if mode == "cold" else "").seconds)
    connection.close()
    return min(taken)


def wrk(endpoint: Endpoint, query: Query, mode: str, *, connections: int, seconds: int) -> dict[str, float]:
    """Run wrk once: requests, bytes, failed, rate per second, p50 and p99 in ms. Raises SystemExit without wrk."""
    if not shutil.which("wrk"):
        raise SystemExit("wrk is not installed; Debian and Ubuntu have it as the package wrk.")
    command = (
        *("wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"),
        *("--timeout", f"{ANSWER_SECONDS}s", "--latency", "--script", str(HERE / "unique.lua")),
        *(f"http://127.0.0.1:{endpoint.port}", "--"),
        *(endpoint.target(query.text), query.accept, mode, str(time.time_ns())),
    )
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + ANSWER_SECONDS)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        raise SystemExit(f"wrk failed: {done.stdout[-500:]}{done.stderr[-500:]}")
    found: dict[str, float] = json.loads(lines[-1])
    rate = found["requests"] / (found["microseconds"] / 1e6)
    return found | {"rate": rate, "p50": found["p50"] / 1e3, "p99": found["p99"] / 1e3}
