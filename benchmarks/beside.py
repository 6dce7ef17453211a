"""Measure what cheap queries keep of their rate while two queries that never end run beside them, on each server.

    python -m benchmarks.beside                                # about twelve minutes
    python -m benchmarks.beside --servers itukg --rounds 9     # ours alone, more precisely
    python -m benchmarks.beside --write docs/performance.md    # and put the result into the page

In each round every server is started anew and asked by wrk, each text unique, first with nothing beside and then beside two
clients that count a cross product of the whole graph; the median of the rounds counts. A server that answers nothing then, or
lets go of one of the two, is shown as it is. Exit code 1 when a request to ours fails or it lets go of one of the two or, with
--strict, when the target is missed.
"""

import argparse
import contextlib
import http.client
import statistics
import threading
import time
from dataclasses import dataclass
from typing import Self

from rich.console import Console
from rich.progress import track

from benchmarks import report
from benchmarks.answers import Question, named
from benchmarks.compare import wrk
from benchmarks.servers import BUILD, SERVERS, DidNotStart, Endpoint, build, chosen

BOMB = Question("bomb", "", "SELECT (COUNT(*) AS ?n) WHERE { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }")
CHEAP = "lookup"
BOMBS = 2
KEPT = 0.9
"""What is promised: the part of its idle rate that a cheap query keeps."""
SETTLED = 1
"""Seconds of requests before each measurement that are not counted; after them it is known what takes long."""


@dataclass(frozen=True)
class Round:
    """Answers per second with nothing beside and beside the bombs, milliseconds of the 99th percentile, and what went wrong."""

    idle: float
    beside: float
    p99: float
    failed: int
    let_go: str
    """How the first of the bombs that ended did so; empty where both ran on."""


class Bombs:
    """Clients of an address of their own, each of which asks once for what takes for ever, until the block ends."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._connections = [
            http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=600, source_address=("127.0.0.2", 0))
            for _ in range(BOMBS)
        ]
        self._threads = [threading.Thread(target=self._ask, args=(c,), daemon=True) for c in self._connections]
        self._over = False
        self.ended: list[str] = []
        """How those ended that did not run on: a status, or an error."""

    def __enter__(self) -> Self:
        """Ask."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave without an answer."""
        self._over = True
        for connection in self._connections:
            with contextlib.suppress(OSError, AttributeError):  # it has been closed by the other side
                connection.sock.shutdown(2)
        for thread in self._threads:
            thread.join(timeout=5)

    def _ask(self, connection: http.client.HTTPConnection) -> None:
        try:
            connection.request("GET", self._endpoint.target(BOMB.text), headers={"Accept": BOMB.accept})
            ended = f"status {connection.getresponse().status}"
        except (OSError, http.client.HTTPException) as error:
            ended = type(error).__name__
        if not self._over:
            self.ended.append(ended)
        connection.close()


def main() -> None:
    """Run what the command line asks for."""
    arguments = parse()
    where = report.setting()
    build(BUILD / "home")
    [question] = named(CHEAP)
    found: dict[tuple[str, int], list[Round]] = {}
    servers = chosen(arguments.servers)
    turns = [(name, n) for _ in range(arguments.rounds) for name in servers for n in (1, 8)]
    for name, connections in track(turns, "Measuring", console=Console(stderr=True)):
        try:
            with SERVERS[name](BUILD / "home") as endpoint:
                round_ = measure(endpoint, question, connections, arguments.seconds)
        except DidNotStart as error:
            raise SystemExit(f"{name}: {error}") from None
        found.setdefault((name, connections), []).append(round_)
    text, met, sound = written(found, f"{where}. {arguments.rounds} rounds of {arguments.seconds} s")
    print(text)
    if arguments.write:
        report.replace(arguments.write, "beside", text)
    raise SystemExit(0 if sound and (met or not arguments.strict) else 1)


def measure(endpoint: Endpoint, question: Question, connections: int, seconds: int) -> Round:
    """Drive a server with nothing beside, then beside the bombs."""

    def driven() -> dict[str, float]:
        for length in (SETTLED, seconds):
            counted = wrk(
                endpoint.port,
                endpoint.target(question.text),
                question.accept,
                "cold",
                connections=connections,
                seconds=length,
            )
        return counted

    idle = driven()
    with Bombs(endpoint) as bombs:
        time.sleep(SETTLED)
        beside = driven()
        let_go = next(iter(bombs.ended), "")
    return Round(idle["rate"], beside["rate"], beside["p99"] / 1e3, int(idle["failed"] + beside["failed"]), let_go)


def written(found: dict[tuple[str, int], list[Round]], where: str) -> tuple[str, bool, bool]:
    """Return the result as Markdown, whether ours meets the target, and whether nothing went wrong with it."""
    lines, promises, sound = [], [], True
    for (name, connections), rounds in found.items():
        kept = statistics.median(r.beside / r.idle if r.idle else 0 for r in rounds)
        middle = [
            statistics.median(values) for values in zip(*((r.idle, r.beside, r.p99) for r in rounds), strict=True)
        ]
        failed = sum(r.failed for r in rounds)
        let_go = next((r.let_go for r in rounds if r.let_go), "")
        numbers = [report.number(value) for value in (*middle, kept)]
        lines.append((f"{name}, x{connections}", *numbers, str(failed), let_go or "both ran on"))
        if name == "itukg":
            text = f"{CHEAP} beside {BOMBS} that take long, x{connections}: {KEPT} of the idle rate"
            promises.append((text, numbers[-1], kept >= KEPT))
            sound = sound and not failed and not let_go
    parts = [
        f"Measured {where}, the server started anew for each; load by wrk on the same machine.",
        report.table(("target", "measured", "met"), [(t, m, "yes" if ok else "**no**") for t, m, ok in promises]),
        report.table(
            (
                f"{CHEAP}, connections",
                "alone, a second",
                "beside, a second",
                "p99 beside, ms",
                "kept",
                "failed",
                "the two",
            ),
            lines,
        ),
    ]
    return "\n\n".join(parts), all(ok for *_, ok in promises), sound


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = report.parser("beside", __doc__)
    default = "itukg,oxigraph,rdflib-endpoint,virtuoso"
    parser.add_argument("--servers", default=default, help=f"which, of {', '.join(SERVERS)} [{default}]")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured [5]")
    parser.add_argument("--seconds", type=int, default=3, help="seconds of a measurement [3]")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when the target is missed too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
