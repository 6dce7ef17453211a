"""Attack our server for ten minutes, and see whether cheap queries are still answered and memory stays level.

    python -m benchmarks.soak                       # ten minutes
    python -m benchmarks.soak --minutes 0.5 --hostile 1
    python -m benchmarks.soak --write docs/performance.md

All at once: clients that ask cheap queries without pause, half of them texts never seen before; one that asks the heavy
queries of the set; hostile ones (cross products, regular expressions that backtrack, memory bombs, deep nesting,
paths of 500 steps, queries of 1 MB), readers that take a large answer a kilobyte at a time, and connections that never end
their request. What hostile queries get does not matter. Memory is measured with the load paused, after a warm-up and at
the end. Exit code 1 when a cheap query failed (no answer within --patience, not 200, or other rows), the server ended, or
it held more than 1.1 times the memory at the end. Settings in the environment reach the server.
"""

import argparse
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
from urllib.parse import quote

from rich.console import Console

from benchmarks import report
from benchmarks.answers import Question, Rows, ask, questions, rows
from benchmarks.memory import Held, held
from benchmarks.servers import BUILD, DidNotStart, Endpoint, build, itukg

CHEAP = ("lookup", "two-hops", "construct")
HEAVY = ("gaps", "export", "derived-links", "evidence")
GROWTH = 1.1
"""How much more memory the server may hold at the end than after the warm-up."""
QUIET = 12
"""Seconds without load before memory is measured: what was running has hit its time limit."""

EVERY = "?s ?p ?o"
HOSTILE: dict[str, Callable[[], str]] = {
    "cross product": lambda: "SELECT (COUNT(*) AS ?n) WHERE { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }",
    "sorted cross product": lambda: "SELECT * WHERE { ?a ?b ?c . ?d ?e ?f } ORDER BY ?c ?f",
    "distinct cross product": lambda: "SELECT DISTINCT ?a ?d ?g WHERE { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }",
    "backtracking regex": lambda: (
        f'SELECT * WHERE {{ {EVERY} FILTER(REGEX(STR(?o), "^(([a-z ])+.)+[A-Z]([a-z ])+$")) }}'
    ),
    "large regex": lambda: f'SELECT * WHERE {{ {EVERY} FILTER(REGEX(STR(?o), "((a{{0,99}}){{0,99}}){{0,99}}b")) }}',
    "doubled string": lambda: _doubled(34),
    "long concatenation": lambda: (
        'SELECT (GROUP_CONCAT(CONCAT(STR(?a), STR(?d)); separator="") AS ?n) WHERE { ?a ?b ?c . ?d ?e ?f }'
    ),
    "10,000 braces": lambda: "SELECT * WHERE " + "{" * 10_000 + EVERY + "}" * 10_000,
    "10,000 brackets": lambda: "SELECT * WHERE { FILTER(" + "(" * 10_000 + "1" + ")" * 10_000 + ") }",
    "10,000 negations": lambda: "SELECT * WHERE { FILTER(" + "!" * 10_000 + "true) }",
    "path of 500 steps": lambda: "SELECT * WHERE { ?s " + "/".join(["(!<urn:x>)"] * 500) + " ?o }",
    "path of 500 choices": lambda: "SELECT * WHERE { ?s (" + "|".join(["!<urn:x>"] * 500) + ")* ?o }",
    "path of nested stars": lambda: "SELECT * WHERE { ?s " + "(" * 60 + "!<urn:x>" + ")*" * 60 + " ?o }",
    "query of 1 MB": lambda: "SELECT * WHERE { VALUES ?s { " + "<urn:x> " * 125_000 + "} " + EVERY + " }",
    "500 unions": lambda: "SELECT * WHERE { " + " UNION ".join([f"{{ {EVERY} }}"] * 500) + " } ORDER BY ?o",
    "not SPARQL": lambda: "SELECT WHERE }" * 50,
}
"""By name, what makes the text; every text gets a comment of its own."""


def _doubled(times: int) -> str:
    steps = " ".join(f"BIND(CONCAT(?v{n}, ?v{n}) AS ?v{n + 1})" for n in range(times))
    return f'SELECT (STRLEN(?v{times}) AS ?n) WHERE {{ BIND("abcdefgh" AS ?v0) {steps} }}'


@dataclass
class Tally:
    """What clients have seen; shared by their threads."""

    answered: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    hostile: Counter[str] = field(default_factory=Counter)
    heavy: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> "Tally":
        """Return what was counted since the last call, and begin anew."""
        with self.lock:
            taken = Tally(self.answered, self.failures, self.seconds, self.hostile, self.heavy)
            self.answered, self.failures, self.seconds = 0, Counter(), []
            self.hostile, self.heavy = Counter(), Counter()
        return taken


class Load:
    """The clients, each in a thread of its own, until the block ends."""

    def __init__(self, endpoint: Endpoint, arguments: argparse.Namespace, expected: dict[str, Rows]) -> None:
        self.endpoint = endpoint
        self.patience: float = arguments.patience
        self.expected = expected
        self.tally = Tally()
        self._stop = threading.Event()
        known = {question.name: question for question in questions()}
        clients: list[tuple[Callable[..., None], tuple[object, ...]]] = [
            *[(self._cheap, ([known[name] for name in CHEAP], n)) for n in range(arguments.cheap)],
            (self._heavy, ([known[name] for name in HEAVY],)),
            *[(self._hostile, (n,)) for n in range(arguments.hostile)],
            *[(self._slow, (known["export"],)) for _ in range(arguments.slow)],
            *[(self._half_open, ()) for _ in range(arguments.slow)],
        ]
        self._threads = [threading.Thread(target=client, args=with_, daemon=True) for client, with_ in clients]

    def __enter__(self) -> Tally:
        """Start."""
        for thread in self._threads:
            thread.start()
        return self.tally

    def __exit__(self, *_: object) -> None:
        """Ask all to end, and wait for them, in bounded time."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=self.patience + 5)

    def _cheap(self, asked: list[Question], number: int) -> None:
        connection: http.client.HTTPConnection | None = None
        for turn, question in enumerate(itertools.cycle(asked)):
            if self._stop.is_set():
                break
            connection = connection or self._connect(self.patience)
            before = time.perf_counter()
            try:
                reply = ask(connection, self.endpoint, question, f"{number}-{time.time_ns()}" if turn % 2 else "")
                fault = "" if reply.status == http.client.OK else f"status {reply.status}"
                if not fault and rows(question, reply.body) != self.expected[question.name]:
                    fault = "other rows"
            except (OSError, http.client.HTTPException, ValueError, SyntaxError) as error:
                fault = type(error).__name__
                connection.close()
                connection = None
            with self.tally.lock:
                self.tally.seconds.append(time.perf_counter() - before)
                if fault:
                    self.tally.failures[fault] += 1
                else:
                    self.tally.answered += 1
            time.sleep(0.01 if not fault else 0.2)

    def _heavy(self, asked: list[Question]) -> None:
        for question in itertools.cycle(asked):
            if self._stop.is_set():
                break
            connection = self._connect(60)
            try:
                found = str(ask(connection, self.endpoint, question, str(time.time_ns())).status)
            except (OSError, http.client.HTTPException) as error:
                found = type(error).__name__
            finally:
                connection.close()
            with self.tally.lock:
                self.tally.heavy[found] += 1
            self._stop.wait(0.5)

    def _hostile(self, number: int) -> None:
        order = random.Random(number)  # noqa: S311  (the same order in every run)
        while not self._stop.is_set():
            name = order.choice(list(HOSTILE))
            text = f"{HOSTILE[name]()}\n#{number}-{time.time_ns()}"
            # From an address of their own, as they would come from: what they do is not held against the others.
            connection = http.client.HTTPConnection(
                "127.0.0.1", self.endpoint.port, timeout=60, source_address=("127.0.0.2", 0)
            )
            try:
                headers = {"Content-Type": "application/sparql-query", "Accept": "*/*"}
                connection.request("POST", self.endpoint.path.partition("?")[0], text.encode(), headers)
                reply = connection.getresponse()
                read = 0
                while (block := reply.read(1 << 16)) and read < 1 << 26 and not self._stop.is_set():
                    read += len(block)
                found = str(reply.status)
            except (OSError, http.client.HTTPException) as error:
                found = type(error).__name__
            finally:
                connection.close()
            with self.tally.lock:
                self.tally.hostile[f"{name}: {found}"] += 1
            self._stop.wait(0.1)

    def _slow(self, question: Question) -> None:
        while not self._stop.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self.endpoint.port), timeout=30) as wire:
                    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                    target = self.endpoint.target(f"{question.text}\n#{time.time_ns()}")
                    wire.sendall(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
                    until = time.monotonic() + 30
                    while time.monotonic() < until and wire.recv(1024) and not self._stop.wait(0.25):
                        pass
            except OSError:
                self._stop.wait(0.5)

    def _half_open(self) -> None:
        target = f"{self.endpoint.path}{quote('ASK {}')}"
        starts = (
            f"GET {target} HTTP/1.1\r\nHost: a\r\nX-Never-",
            "POST /sparql HTTP/1.1\r\nHost: a\r\nContent-Type: application/sparql-query\r\nContent-Length: 999\r\n\r\nSELECT",
            "G",
        )
        for start in itertools.cycle(starts):
            if self._stop.is_set():
                break
            try:
                with socket.create_connection(("127.0.0.1", self.endpoint.port), timeout=30) as wire:
                    wire.sendall(start.encode())
                    self._stop.wait(20)
            except OSError:
                self._stop.wait(0.5)

    def _connect(self, patience: float) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.endpoint.port, timeout=patience)


def main() -> None:
    """Run the soak that the command line asks for."""
    arguments = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))  # so that the server is stopped then too
    where = report.setting()
    build(BUILD / "home")
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    lines: list[list[str]] = []

    def tell(line: list[str]) -> None:
        lines.append(line)
        console.print("; ".join(f"{what} {value}" for what, value in zip(HEAD, line, strict=True)))

    try:
        with itukg(BUILD / "home") as endpoint:
            expected = cheap_rows(endpoint)
            console.print(f"Warming up for {arguments.warm_up:g} s …")
            attack(endpoint, arguments, expected, arguments.warm_up, lambda _line: None)
            before = quiet(endpoint)
            console.print(f"Holds {told(before)}. Attacking for {arguments.minutes:g} minutes …")
            whole = attack(endpoint, arguments, expected, arguments.minutes * 60, tell)
            after = quiet(endpoint)
    except DidNotStart as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    text, passed = written(where, arguments, lines, whole=whole, before=before, after=after)
    print(text)
    if arguments.write:
        report.replace(arguments.write, "soak", text)
    raise SystemExit(0 if passed else 1)


def cheap_rows(endpoint: Endpoint) -> dict[str, Rows]:
    """Return the rows that the cheap queries give before anything is under load."""
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=30)
    found = {q.name: rows(q, ask(connection, endpoint, q).body) for q in questions() if q.name in CHEAP}
    connection.close()
    return found


def attack(
    endpoint: Endpoint,
    arguments: argparse.Namespace,
    expected: dict[str, Rows],
    seconds: float,
    tell: Callable[[list[str]], None],
) -> Tally:
    """Load the server for `seconds`; `tell` hears every minute. Return what was counted in all."""
    whole = Tally()
    until = time.monotonic() + seconds
    with Load(endpoint, arguments, expected) as tally:
        minutes = 0
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(60, left))
            minutes += 1
            part = tally.take()
            memory = held(endpoint.process)
            tell(minute(minutes, part, memory))
            add(whole, part)
            if not memory.processes:
                break  # the server has ended: there is nothing left to attack
    add(whole, tally.take())  # what was under way at the end
    return whole


def add(whole: Tally, part: Tally) -> None:
    """Count `part` into `whole`."""
    whole.answered += part.answered
    whole.seconds += part.seconds
    for mine, more in ((whole.failures, part.failures), (whole.hostile, part.hostile), (whole.heavy, part.heavy)):
        mine.update(more)


HEAD = (
    "minute",
    "cheap answered",
    "failed",
    "p50, ms",
    "p99, ms",
    "heavy",
    "hostile",
    "RSS, MiB",
    "PSS, MiB",
    "processes",
)


def minute(number: int, tally: Tally, memory: Held) -> list[str]:
    """Return a line of the table."""
    p50, p99 = percentiles(tally.seconds)
    return [
        str(number),
        f"{tally.answered:,}",
        ", ".join(f"{count} {what}" for what, count in tally.failures.items()) or "0",
        report.number(p50 * 1e3),
        report.number(p99 * 1e3),
        str(tally.heavy.total()),
        str(tally.hostile.total()),
        f"{memory.resident / 2**20:,.0f}",
        f"{memory.proportional / 2**20:,.0f}",
        str(memory.processes),
    ]


def percentiles(seconds: list[float]) -> tuple[float, float]:
    """Return the median and the 99th percentile; 0 where there is too little."""
    if len(seconds) < 2:
        return 0.0, 0.0
    return statistics.median(seconds), statistics.quantiles(seconds, n=100, method="inclusive")[98]


def quiet(endpoint: Endpoint) -> Held:
    """Return the memory held once nothing is asked any more: the middle one of three looks."""
    time.sleep(QUIET)
    looks = []
    for _ in range(3):
        looks.append(held(endpoint.process))
        time.sleep(1)
    return sorted(looks, key=lambda look: look.resident)[1]


def written(
    setting: str, arguments: argparse.Namespace, lines: list[list[str]], *, whole: Tally, before: Held, after: Held
) -> tuple[str, bool]:
    """Return the result as Markdown, and whether the server passed."""
    growth = after.resident / before.resident if before.resident else 0.0
    failed = whole.failures.total()
    passed = not failed and 0 < growth <= GROWTH
    p50, p99 = percentiles(whole.seconds)
    fates = Counter(fate.rpartition(": ")[2] for fate in whole.hostile.elements())
    fate_text = ", ".join(f"{count} x {fate}" for fate, count in fates.most_common())
    summary = (
        f"{'Passed' if passed else '**Failed**'}: {whole.answered:,} cheap queries answered, {failed} failed, "
        f"p50 {report.number(p50 * 1e3)} ms, p99 {report.number(p99 * 1e3)} ms; "
        f"memory before {told(before)}, after {told(after)}, x {growth:.2f} (allowed {GROWTH}). "
        f"{whole.hostile.total()} hostile queries ended so: {fate_text or 'none'}."
    )
    clients = f"{arguments.cheap} cheap, 1 heavy, {arguments.hostile} hostile, {arguments.slow} slow-reading and {arguments.slow} half-open clients"
    return "\n\n".join((f"Measured {setting}. {clients}.", report.table(HEAD, lines), summary)), passed


def told(memory: Held) -> str:
    """Say what is held."""
    return (
        f"{memory.resident / 2**20:,.0f} MiB RSS ({memory.proportional / 2**20:,.0f} PSS, {memory.processes} processes)"
    )


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = report.parser("soak", __doc__)
    parser.add_argument("--minutes", type=float, default=10, help="how long [10]")
    parser.add_argument("--warm-up", type=float, default=60, help="seconds of load before memory counts [60]")
    parser.add_argument("--cheap", type=int, default=4, help="clients that ask cheap queries [4]")
    parser.add_argument("--hostile", type=int, default=2, help="clients that ask hostile queries [2]")
    parser.add_argument("--slow", type=int, default=4, help="slow readers, and as many half-open connections [4]")
    parser.add_argument(
        "--patience", type=float, default=10, help="seconds in which a cheap query must be answered [10]"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
