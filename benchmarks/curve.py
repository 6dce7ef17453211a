"""Measure how the service grows: the queries of the set at the shipped size, at 1 M and at 10 M triples.

    python -m benchmarks.curve                                    # all sizes; wants about 12 GB of memory and 10 GB of disk
    python -m benchmarks.curve --sizes 0,200000 --only classes,lookup --seconds 0.5
    python -m benchmarks.curve --write docs/performance.md        # and put the result into the page, growth.svg beside it

Size 0 is the shipped release; the others are made by benchmarks.grow. In memory: our server and Oxigraph's; on disk:
Oxigraph's, and Virtuoso's where it is installed. Each query is asked again and again on one connection for --seconds, every
text unique, and the median is told. An answer that takes longer than --patience is told as such.
"""

import argparse
import http.client
import os
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import report
from benchmarks.answers import Question, Rows, ask, named, rows
from benchmarks.chart import growth
from benchmarks.compare import progress
from benchmarks.grow import grow
from benchmarks.memory import held
from benchmarks.servers import BUILD, SERVERS, DidNotStart, Endpoint, build, chosen, dataset

COMPARED = 20_000_000
"""Bytes of the largest answer whose rows are compared; larger ones are only timed."""


@dataclass(frozen=True)
class Point:
    """One query on one server at one size."""

    seconds: float | None
    """Median; None where there was no answer."""
    remark: str = ""

    def __str__(self) -> str:
        """Write it as milliseconds, with what is remarkable."""
        text = "" if self.seconds is None else report.number(self.seconds * 1e3)
        return f"{text} {self.remark}".strip()


def main() -> None:
    """Measure the curve that the command line asks for."""
    arguments = parse()
    known = {question.name: question for question in named(arguments.only)}
    only, servers = list(known), chosen(arguments.servers)
    sizes = [int(size) for size in arguments.sizes.split(",")]
    os.environ.setdefault("ITUKG_TIMEOUT", str(arguments.patience))
    where = report.setting()
    build(BUILD / "home")
    stored: dict[int, int] = {}
    started: list[list[str]] = []
    points: dict[tuple[str, int, str], Point] = {}
    with progress() as bar:
        task = bar.add_task("", total=len(sizes) * len(servers) * len(only))
        for size in sizes:
            home = BUILD / (f"grown-{size}" if size else "home")
            if size:
                bar.update(task, description=f"writing {size} triples")
                grow(BUILD / "home", home, size)
            stored[size] = counted(dataset(home))
            expected: dict[str, Rows] = {}
            for name in servers:
                left = list(only)
                try:
                    while left:
                        bar.update(task, description=f"{name}, {stored[size]:,}: loading")
                        with SERVERS[name](home) as endpoint:
                            while left:
                                query = left.pop(0)
                                bar.update(task, description=f"{name}, {stored[size]:,}: {query}", advance=1)
                                point = measured(endpoint, known[query], arguments, expected)
                                points[query, size, name] = point
                                if point.remark.startswith("over"):
                                    break  # the server may be at it for ever: start it anew
                            memory = f"{held(endpoint.process).proportional / 2**20:,.0f}"
                    ready = report.number(endpoint.load_seconds)
                    started.append([f"{stored[size]:,}", endpoint.name, endpoint.version, ready, memory])
                except DidNotStart as error:
                    print(f"{name} at {size}: {error}", file=sys.stderr)
    lines = [
        [query, f"{stored[size]:,}", *(str(points.get((query, size, name), "")) for name in servers)]
        for query in only
        for size in sizes
    ]
    text = "\n\n".join(
        (
            f"Measured {where}. Median milliseconds of one query at a time, each text unique.",
            report.table(("query", "triples", *servers), lines),
            report.table(("triples", "server", "version", "ready after, s", "memory after (PSS), MiB"), started),
        )
    )
    print(text)
    if arguments.write:
        report.replace(arguments.write, "curve", text)
        arguments.write.with_name("growth.svg").write_text(growth(arguments.write.read_text()))


def measured(endpoint: Endpoint, question: Question, arguments: argparse.Namespace, expected: dict[str, Rows]) -> Point:
    """Ask for some seconds; the first server's rows are what the others' are compared with."""
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=arguments.patience + 5)
    taken: list[float] = []
    remark = ""
    began = time.monotonic()
    try:
        while not taken or (time.monotonic() - began < arguments.seconds):
            reply = ask(connection, endpoint, question, str(time.time_ns()))
            if reply.status != http.client.OK:
                return Point(None, f"status {reply.status}")
            if not taken and len(reply.body) < COMPARED:
                found = rows(question, reply.body)
                remark = "" if expected.setdefault(question.name, found) == found else "(rows differ)"
            taken.append(reply.seconds)
    except TimeoutError:
        return Point(None, f"over {arguments.patience:g} s")
    except (OSError, http.client.HTTPException, ValueError, SyntaxError) as error:
        return Point(None, type(error).__name__)
    finally:
        connection.close()
    return Point(statistics.median(taken[1:] or taken), remark)


def counted(file: Path) -> int:
    """Return how many statements an N-Quads file of ours holds, one a line."""
    with file.open("rb") as lines:
        return sum(block.count(b"\n") for block in iter(lambda: lines.read(1 << 20), b""))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = report.parser("curve", __doc__)
    servers = "itukg,oxigraph,oxigraph-disk,virtuoso"
    parser.add_argument("--sizes", default="0,1000000,10000000", help="triples; 0 is what we ship [0,1000000,10000000]")
    parser.add_argument("--servers", default=servers, help=f"which, of {', '.join(SERVERS)} [{servers}]")
    parser.add_argument("--only", default="", help="names of queries of the set, comma-separated [all]")
    parser.add_argument("--seconds", type=float, default=2, help="seconds per query, at least one answer [2]")
    parser.add_argument("--patience", type=float, default=60, help="seconds to wait for one answer [60]")
    return parser.parse_args()


if __name__ == "__main__":
    main()
