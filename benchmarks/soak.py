"""Attack our server for ten minutes: cheap queries must still be answered, and memory must stay level.

    python -m benchmarks.soak                               # ten minutes, and two of warm-up and quiet
    python -m benchmarks.soak --minutes 0.5 --warm-up 10    # a quick look
    python -m benchmarks.soak --write docs/performance.md   # replace the result in the page

At the same time, clients send cheap queries without pause (every second text unique), one sends the heavy queries of the
set, others send hostile queries (cross products, regular expressions that backtrack, memory bombs, deep nesting, paths of
500 steps, queries of 1 MB), read a large answer a kilobyte at a time, or never end their request. The answers to hostile
queries do not matter. Memory (PSS of all processes) is measured without load, after the warm-up and at the end. Exit code
1 when a cheap query fails (no answer within --answer-seconds, no 200, or other rows), the server stops, or it takes more
than 1.1 times the memory at the end. Settings (ITUKG_...) in the environment reach the server.
"""

import argparse
import contextlib
import http.client
import itertools
import random
import signal
import socket
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from benchmarks import report
from benchmarks.answers import Query, Rows, rows, selected, send
from benchmarks.servers import BUILD, DidNotStart, Endpoint, build, itukg

CHEAP = selected("lookup,two-hops,construct")
HEAVY = selected("gaps,export,derived-links,evidence")
MAX_GROWTH = 1.1
"""Memory at the end as a multiple of that after the warm-up."""
QUIET_SECONDS = 12
"""Seconds without load before memory is measured: more than the time limit of a query."""
ADDRESS = ("127.0.0.2", 0)
"""Hostile queries come from another address than cheap ones, as another client's would."""

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
        milliseconds = (report.number(p50 * 1e3), report.number(p99 * 1e3))
        return [*(f"{n:,}" for n in counts), *milliseconds, f"{self.heavy.total():,}", f"{self.hostile.total():,}"]


class Load:
    """The clients, each in a thread of its own, until the block ends."""

    def __init__(self, endpoint: Endpoint, arguments: argparse.Namespace, expected: dict[str, Rows]) -> None:
        self._endpoint = endpoint
        self._answer_seconds: float = arguments.answer_seconds
        self._expected = expected
        self._tally, self._lock = Tally(), threading.Lock()
        self._stop = threading.Event()
        clients: list[Callable[[], None]] = [
            *[self._cheap] * arguments.cheap,
            self._heavy,
            *[self._hostile] * arguments.hostile,
            *[self._slow, self._half_open] * arguments.slow,
        ]
        self._threads = [threading.Thread(target=client, daemon=True) for client in clients]

    def __enter__(self) -> "Load":
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


HEAD = ("minute", "cheap answered", "failed", "p50, ms", "p99, ms", "heavy", "hostile", "memory, MiB")


def main() -> None:
    """Run the soak of the command line."""
    arguments = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))  # so that the server stops too
    where = report.setting()
    build(BUILD / "home")
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        with itukg(BUILD / "home") as endpoint:
            connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=30)
            expected = {query.name: rows(query, send(connection, endpoint, query).body) for query in CHEAP}
            connection.close()
            console.print(f"Warm-up of {arguments.warm_up:g} s …")
            attack(endpoint, arguments, expected, arguments.warm_up, Console(quiet=True))
            before = quiet_memory(endpoint.process)
            console.print(f"Memory {before:,.0f} MiB. Attack of {arguments.minutes:g} minutes …")
            lines, whole = attack(endpoint, arguments, expected, arguments.minutes * 60, console)
            after = quiet_memory(endpoint.process)
    except DidNotStart as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    passed = not whole.failures and whole.seconds and before and 0 < after <= MAX_GROWTH * before
    text = written(where, arguments, lines, whole)
    text += f" Memory without load: {before:,.0f} MiB before, {after:,.0f} after (at most x {MAX_GROWTH})."
    text += "\n\n" + ("Passed." if passed else "**Failed.**")
    print(text)
    if arguments.write:
        report.replace(arguments.write, "soak", text)
    raise SystemExit(0 if passed else 1)


def attack(
    endpoint: Endpoint, arguments: argparse.Namespace, expected: dict[str, Rows], seconds: float, console: Console
) -> tuple[list[list[str]], Tally]:
    """Load the server for `seconds`; return a line for each minute, and what was counted in all."""
    whole, lines = Tally(), list[list[str]]()
    until = time.monotonic() + seconds
    with Load(endpoint, arguments, expected) as load:
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(60, left))
            whole.add(part := load.take())
            lines.append([str(len(lines) + 1), *part.row(), f"{(used := memory(endpoint.process)):,.0f}"])
            console.print("; ".join(f"{what} {value}" for what, value in zip(HEAD, lines[-1], strict=True)))
            if not used:
                break  # the server has stopped
    whole.add(load.take())
    return lines, whole


def quiet_memory(process: int) -> float:
    """Return the memory without load, in MiB: the median of three measurements."""
    time.sleep(QUIET_SECONDS)
    return statistics.median(memory(process) for _ in range(3) if not time.sleep(1))


def memory(process: int) -> float:
    """Return the PSS of a process and its descendants in MiB: a page that several share counts once. 0 after its end."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    tree, kilobytes = [process], 0
    for member in tree:
        tree += [child for child, parent in parents.items() if parent == member]
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{member}/smaps_rollup").read_text().splitlines()
            kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kilobytes / 1024


def written(where: str, arguments: argparse.Namespace, lines: list[list[str]], whole: Tally) -> str:
    """Return the result as Markdown: a line for the first and the last minute, and one for all."""
    clients = f"{arguments.cheap} cheap, 1 heavy, {arguments.hostile} hostile, {arguments.slow} slow and {arguments.slow} half-open clients"
    shown = [*lines[:1], *lines[-1:]] if len(lines) > 1 else lines
    most = max(lines, key=lambda line: int(line[-1].replace(",", "")))[-1]
    ended = ", ".join(f"{count} x {what}" for what, count in whole.hostile.most_common())
    failures = "".join(f" Failed: {count} x {what}." for what, count in whole.failures.items())
    return "\n\n".join(
        (
            f"Measured {where}. {clients}.",
            report.table(HEAD, [*shown, ["all", *whole.row(), f"at most {most}"]]),
            f"Hostile queries ended with: {ended}.{failures}",
        )
    )


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = report.parser("soak", __doc__)
    parser.add_argument("--minutes", type=float, default=10, help="length of the attack [10]")
    parser.add_argument("--warm-up", type=float, default=60, help="seconds of load before memory counts [60]")
    parser.add_argument("--cheap", type=int, default=4, help="clients that send cheap queries [4]")
    parser.add_argument("--hostile", type=int, default=2, help="clients that send hostile queries [2]")
    parser.add_argument("--slow", type=int, default=4, help="slow readers, and as many half-open connections [4]")
    parser.add_argument("--answer-seconds", type=float, default=10, help="time limit of a cheap query, in seconds [10]")
    return parser.parse_args()


if __name__ == "__main__":
    main()
