"""Load our server with everything at once: small uploads must not fail, and what is cached must come at once.

    python -m benchmarks.mixed                               # a minute without the load, and one beside it
    python -m benchmarks.mixed --seconds 10                  # a quick look
    python -m benchmarks.mixed --write docs/performance.md   # replace the result in the page

64 connections: some request a thing that is cached, some upload a line to validate; these are measured, first alone and then
while others send lookups that no cache holds, heavy queries, uploads with shapes that never end, and requests for a report as
PDF. The others have addresses of their own, and their answers do not matter. Exit code 1 when a small upload fails (no answer of
200 within --answer-seconds) or the 99th percentile of what is cached is 100 ms or more. Settings (ITUKG_...) in the environment
reach the server.
"""

import http.client
import itertools
import random
import signal
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from benchmarks import report
from benchmarks.clients import HEAVY
from benchmarks.pressure import BOMB
from benchmarks.report import Target, number
from benchmarks.servers import BUILD, DidNotStart, Endpoint, build, itukg

CACHED_P99 = 0.1
"""Seconds within which 99 of 100 cached answers must come."""
CACHED = ("/id/bap-2026-2029", "/id/sp-2024-2027", "/id/wsis/C1", "/sdg/9", "/id/op-2026?frame=plan-tree")
LABEL = "http://www.w3.org/2000/01/rdf-schema#label"
CROSS = "?a ?b ?c . ?d ?e ?f . ?g ?h ?i . ?j ?k ?l FILTER(CONCAT(STR(?c), STR(?f)) = ?i)"
BOMB_SHAPES = f"""@prefix sh: <http://www.w3.org/ns/shacl#> .
<urn:S> a sh:NodeShape ; sh:targetSubjectsOf <{LABEL}> ; sh:sparql [ sh:select "SELECT $this WHERE {{ {CROSS} }}" ] ."""
"""Shapes on which a validation runs into its time limit."""


class Request(NamedTuple):
    """What a client sends."""

    path: str
    method: str = "GET"
    body: str = ""
    media_type: str = "text/turtle"


Make = Callable[[Endpoint], Request]


def cached(_: Endpoint) -> Request:
    """Return a request whose answer is cached."""
    return Request(random.choice(CACHED))  # noqa: S311


def small_upload(_: Endpoint) -> Request:
    """Return an upload of one line, other than all before it."""
    return Request("/validate", "POST", f'<urn:a> <{LABEL}> "{time.time_ns()}" .\n')


def lookup(endpoint: Endpoint) -> Request:
    """Return a cheap query that no cache holds."""
    return Request(endpoint.target(f"SELECT * {{ <https://w3id.org/itukg/id/wsis/C1> ?p ?o }} #{time.time_ns()}"))


def heavy(endpoint: Endpoint) -> Request:
    """Return a query that takes long, or runs into its time limit."""
    return Request(endpoint.target(f"{random.choice([*HEAVY, BOMB]).text}\n#{time.time_ns()}"))  # noqa: S311


def upload_bomb(_: Endpoint) -> Request:
    """Return an upload whose validation runs into its time limit."""
    line = f'<urn:{"{}"}> <{LABEL}> "{time.time_ns()} {"{}"}" .\n'
    parts = {"data": "".join(line.format(n, n) for n in range(200)), "shapes": BOMB_SHAPES}
    names = {name: f'form-data; name="{name}"; filename="{name}.ttl"' for name in parts}
    body = "".join(f"--x\r\nContent-Disposition: {names[name]}\r\n\r\n{text}\r\n" for name, text in parts.items())
    return Request("/validate", "POST", f"{body}--x--\r\n", "multipart/form-data; boundary=x")


def pdf(_: Endpoint) -> Request:
    """Return a request for a part of the report as PDF, which no cache holds."""
    return Request(f"/conformance.pdf?severity=Warning&q={time.time_ns() % 1000}")


@dataclass(frozen=True)
class Kind:
    """Clients that send the same kind of request, each on one connection, from an address of their own."""

    name: str
    make: Make
    connections: int
    pause: float
    """Seconds between an answer and the next request."""
    address: str


MEASURED = (
    Kind("cached thing", cached, 4, 0.05, "127.0.0.1"),
    Kind("small upload", small_upload, 4, 0.5, "127.0.0.1"),
)
LOAD = (
    Kind("cheap lookup", lookup, 40, 0.1, "127.0.0.2"),
    Kind("heavy query", heavy, 8, 0.1, "127.0.0.3"),
    Kind("endless upload", upload_bomb, 4, 0.1, "127.0.0.4"),
    Kind("PDF", pdf, 4, 0.1, "127.0.0.5"),
)


@dataclass
class Tally:
    """What the clients of a kind have counted."""

    seconds: list[float] = field(default_factory=list)
    """Of each answer of status 200."""
    failures: Counter[str] = field(default_factory=Counter)
    """The status of every other answer, or the error in its place."""

    def row(self) -> list[str]:
        """Return how many requests were sent and failed, and milliseconds of the median and the 99th percentile."""
        sent = len(self.seconds) + self.failures.total()
        times = [number(each * 1e3) for each in (statistics.median(self.seconds), self.p99())] if self.seconds else []
        return [f"{sent:,}", f"{self.failures.total():,}", *(times or ["none", "none"])]

    def p99(self) -> float:
        """Return the 99th percentile of the seconds; endless where there are none."""
        if len(self.seconds) < 2:
            return self.seconds[0] if self.seconds else float("inf")
        return statistics.quantiles(self.seconds, n=100, method="inclusive")[98]


Tallies = dict[str, Tally]
"""By the name of the kind."""


def main() -> None:
    """Measure with the command line's arguments."""
    parser = report.parser("mixed", __doc__)
    parser.add_argument("--seconds", type=float, default=60, help="length of each of the two runs [60]")
    parser.add_argument("--answer-seconds", type=float, default=30, help="time limit of an answer, in seconds [30]")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))  # so that the server stops too
    where = report.setting()
    build(BUILD / "home")
    try:
        with itukg(BUILD / "home") as endpoint:
            send(endpoint, [Kind(kind.name, kind.make, 1, 0, kind.address) for kind in MEASURED], 1, 60)  # to warm up
            runs = [
                send(endpoint, kinds, arguments.seconds, arguments.answer_seconds)
                for kinds in (MEASURED, (*MEASURED, *LOAD))
            ]
    except DidNotStart as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    found = targets(runs[-1])
    text = written(where, *runs)
    print(text)
    if arguments.write:
        report.replace(arguments.write, "mixed", text)
    raise SystemExit(0 if all(target.met for target in found) else 1)


def send(endpoint: Endpoint, kinds: Sequence[Kind], seconds: float, answer_seconds: float) -> Tallies:
    """Let the clients of all `kinds` send for `seconds`, each once at least, and return what they counted.

    A request fails without an answer within `answer_seconds`.
    """
    found = {kind.name: Tally() for kind in kinds}
    stop, lock = threading.Event(), threading.Lock()

    def client(kind: Kind) -> None:
        connection = http.client.HTTPConnection(
            "127.0.0.1", endpoint.port, timeout=answer_seconds, source_address=(kind.address, 0)
        )
        while True:
            before = time.perf_counter()
            outcome = _outcome(connection, kind.make(endpoint))
            taken = time.perf_counter() - before
            with lock:
                if outcome:
                    found[kind.name].failures[outcome] += 1
                else:
                    found[kind.name].seconds.append(taken)
            if stop.wait(kind.pause):
                break
        connection.close()

    clients = [
        threading.Thread(target=client, args=(kind,), daemon=True) for kind in kinds for _ in range(kind.connections)
    ]
    for each in clients:
        each.start()
    stop.wait(seconds)
    stop.set()
    for each in clients:  # which wait for their last answer
        each.join(answer_seconds + 5)
    return found


def _outcome(connection: http.client.HTTPConnection, request: Request) -> str:
    """Send a request and read the answer; return "" for a status of 200, else the status or the error."""
    headers = {"Content-Type": request.media_type} if request.body else {}
    try:
        connection.request(request.method, request.path, request.body or None, headers)
        reply = connection.getresponse()
        reply.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()  # the next request opens it again
        return type(error).__name__
    return "" if reply.status == http.client.OK else f"status {reply.status}"


def targets(beside: Tallies) -> list[Target]:
    """Return what is promised of the measured requests beside the load."""
    uploads, answers = beside["small upload"], beside["cached thing"]
    return [
        Target(
            "small uploads that fail: none",
            f"{uploads.failures.total():,}",
            not uploads.failures and bool(uploads.seconds),
        ),
        Target(
            f"cached things: p99 under {CACHED_P99 * 1e3:.0f} ms",
            f"{number(answers.p99() * 1e3)} ms",
            answers.p99() < CACHED_P99 and not answers.failures,
        ),
    ]


def written(where: str, alone: Tallies, beside: Tallies) -> str:
    """Return the result as Markdown: the targets, then a line for each kind of request without the load and beside it."""
    head = ("request", "connections", "load", "sent", "failed", "p50, ms", "p99, ms")
    lines = [
        [kind.name, str(kind.connections), name, *run[kind.name].row()]
        for kind in (*MEASURED, *LOAD)
        for name, run in (("none", alone), ("all", beside))
        if kind.name in run
    ]
    failures = itertools.chain.from_iterable(
        ((kind, *failure) for failure in tally.failures.most_common()) for kind, tally in beside.items()
    )
    ended = ", ".join(f"{count} x {what} ({kind})" for kind, what, count in failures) or "none"
    return "\n\n".join(
        (
            f"Measured {where}.",
            report.targets_table(targets(beside)),
            report.table(head, lines),
            f"Answers other than 200 beside the load: {ended}.",
        )
    )


if __name__ == "__main__":
    main()
