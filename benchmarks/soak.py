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
import signal
import statistics
import sys
import time
from pathlib import Path

from rich.console import Console

from benchmarks import report
from benchmarks.answers import Rows, rows, send
from benchmarks.clients import CHEAP, Load, Tally
from benchmarks.servers import BUILD, DidNotStart, Endpoint, build, itukg

MAX_GROWTH = 1.1
"""Memory at the end as a multiple of that after the warm-up."""
QUIET_SECONDS = 12
"""Seconds without load before memory is measured: more than the time limit of a query."""


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
    with Load(
        endpoint,
        expected,
        cheap=arguments.cheap,
        hostile=arguments.hostile,
        slow=arguments.slow,
        answer_seconds=arguments.answer_seconds,
    ) as load:
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
    found = []
    for _ in range(3):
        found.append(memory(process))
        time.sleep(1)
    return statistics.median(found)


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
