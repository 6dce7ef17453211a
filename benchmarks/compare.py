"""Compare our server with its peers: the same release, the same rows, requests per second cold and warm.

    python -m benchmarks.compare                                  # everything, about half an hour
    python -m benchmarks.compare --rounds 1 --only lookup,matrix  # a quick look
    python -m benchmarks.compare --write docs/performance.md      # and put the result into the page

All servers are up on 127.0.0.1; query by query they are checked and measured, one after the other and in rounds, so that a
machine that is slower for a while is so for all of them. The first is ours. An answer that differs from ours is reported and
its query is not measured on that server. Exit code 1 when an answer differs that is not known to, we leave a query
unanswered, a request fails, or, with --strict, a target is missed.
"""

import argparse
import http.client
import json
import math
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from benchmarks import report
from benchmarks.answers import Question, Rows, ask, difference, named, rows
from benchmarks.servers import BUILD, HERE, SERVERS, DidNotStart, Endpoint, build, chosen

MODES = ("cold", "warm")
WARM_UP = 0.3
"""Seconds of requests before each measurement that are not counted."""
LONGEST = 4
"""Seconds that a slow query may be measured."""
PATIENCE = 30
"""Seconds to wait for one answer; then the server is started anew, for it may be at it for ever."""
KNOWN_DIFFERENCES: dict[tuple[str, str], str] = {}
"""(server, query) → why its rows differ, where the difference is the server's and documented."""


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
    """Too slow for a run: the rate is that of one answer timed alone."""
    rounds: tuple[float, ...] = ()
    """The rate in each round, of which `rate` is the median."""


@dataclass(frozen=True)
class Plan:
    """What a run is to measure."""

    servers: list[str]
    set: list[Question]
    rounds: int
    connections: list[int]


class Results:
    """What a run has found so far."""

    def __init__(self) -> None:
        self.cells: list[Cell] = []
        self.endpoints: list[Endpoint] = []
        self.differing: dict[tuple[str, str], str] = {}
        self.unanswered: list[tuple[str, str]] = []
        self.expected: dict[str, Rows] = {}

    def unexplained(self) -> list[tuple[str, str]]:
        """Return the (server, query) pairs whose rows differ for no known reason."""
        return [pair for pair in self.differing if pair not in KNOWN_DIFFERENCES]

    def cell(self, server: str, query: str, mode: str, connections: int) -> Cell | None:
        """Return one measurement, if it was made."""
        wanted = (server, query, mode, connections)
        found = (c for c in self.cells if (c.server, c.query, c.mode, c.connections) == wanted)
        return next(found, None)

    def ratio(self, peer: str, query: str, mode: str, connections: int) -> float | None:
        """Return our rate as a multiple of the peer's: the median of the rounds, in each of which one followed the other."""
        ours, theirs = (self.cell(server, query, mode, connections) for server in ("itukg", peer))
        if not (ours and theirs):
            return None
        pairs = list(zip(ours.rounds, theirs.rounds, strict=False))  # a server that was let go has fewer
        return statistics.median(our / their for our, their in pairs) if all(theirs.rounds) else None


def main() -> None:
    """Run the comparison that the command line asks for."""
    arguments = parse()
    plan = planned(arguments)
    where = report.setting()
    home = BUILD / "home"
    build(home)
    results = Results()
    with progress() as bar, Field(home) as field:
        task = bar.add_task("", total=len(plan.set) * len(MODES) * len(plan.connections))
        for name in plan.servers:
            bar.update(task, description=f"{name}: loading")
            try:
                results.endpoints.append(field.start(name))
            except DidNotStart as error:
                print(f"{name} is left out: {error}", file=sys.stderr)
                if name == "itukg":
                    raise SystemExit(2) from None
        for question in plan.set:
            measure(field, question, plan, results, tell=partial(_advance, bar, task))
    text = written(plan, results, where)
    print(text)
    (BUILD / "compare.json").write_text(json.dumps([asdict(cell) for cell in results.cells], indent=1))
    if arguments.write:
        report.replace(arguments.write, "compare", text)
    ours = any(server == "itukg" for server, _ in results.unanswered)
    failed = ours or results.unexplained() or any(cell.failed for cell in results.cells)
    missed = arguments.strict and any(not met for _, _, met in targets(plan, results))
    raise SystemExit(1 if failed or missed else 0)


class Field:
    """The servers that are up. One that nobody asks takes no processor time."""

    def __init__(self, home: Path) -> None:
        self.up: dict[str, Endpoint] = {}
        self._home = home
        self._stacks: dict[str, ExitStack] = {}

    def __enter__(self) -> Self:
        """Return the field, with no server yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop all servers."""
        for stack in self._stacks.values():
            stack.close()

    def start(self, name: str) -> Endpoint:
        """Start a server, anew if it is up. Raises DidNotStart."""
        if self.up.pop(name, None):
            self._stacks[name].close()
        self._stacks[name] = ExitStack()
        self.up[name] = self._stacks[name].enter_context(SERVERS[name](self._home))
        return self.up[name]


def measure(field: Field, question: Question, plan: Plan, results: Results, *, tell: Callable[[str], None]) -> None:
    """Check the rows of a query and drive each server that has them: one after the other, in rounds."""
    sizes: dict[str, int] = {}
    for name in list(field.up):
        with answering(name, field, question, results):
            if (size := checked(name, field.up[name], question, results)) is not None:
                sizes[name] = size
    for connections in plan.connections:
        for mode in MODES:
            tell(f"{question.name} {mode} x{connections}")
            rounds: dict[str, list[Cell]] = {name: [] for name in sizes}
            for _ in range(plan.rounds):
                for name, cells in rounds.items():
                    if (name, question.name) in results.unanswered or (cells and cells[-1].single):
                        continue
                    with answering(name, field, question, results):
                        cells.append(drive(name, field.up[name], question, mode, connections, size=sizes[name]))
            results.cells += [middle(cells) for cells in rounds.values() if cells]


@contextmanager
def answering(name: str, field: Field, question: Question, results: Results) -> Iterator[None]:
    """Note a query that a server leaves unanswered; it may be at it for ever, or gone, so it is started anew."""
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        results.unanswered.append((name, question.name))
        why = f"no answer within {PATIENCE} s" if isinstance(error, TimeoutError) else type(error).__name__
        print(f"{name} on {question.name}: {why}", file=sys.stderr)
        try:
            field.start(name)
        except DidNotStart as error:
            print(f"{name} is left out from here on: {error}", file=sys.stderr)


def middle(rounds: list[Cell]) -> Cell:
    """Return the round with the median rate, with the rates and failures of all."""
    found = sorted(rounds, key=lambda cell: cell.rate)[len(rounds) // 2]
    return replace(found, failed=sum(cell.failed for cell in rounds), rounds=tuple(cell.rate for cell in rounds))


def checked(name: str, endpoint: Endpoint, question: Question, results: Results) -> int | None:
    """Return the size of an answer whose rows are those of the first server; None, with a note, when they are not."""
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=PATIENCE)
    try:
        reply = ask(connection, endpoint, question)
        if reply.status != http.client.OK:
            found = f"status {reply.status}: {reply.body[:200]!r}"
        elif question.name in results.expected:
            found = difference(results.expected[question.name], rows(question, reply.body))
        else:
            results.expected[question.name] = rows(question, reply.body)
            found = ""
    except TimeoutError:
        raise
    except (OSError, http.client.HTTPException, ValueError, SyntaxError) as error:
        found = f"{type(error).__name__}: {error}"
    finally:
        connection.close()
    if not found:
        return len(reply.body)
    results.differing[name, question.name] = found
    print(f"{name} on {question.name}: {found}", file=sys.stderr)
    return None


def drive(name: str, endpoint: Endpoint, question: Question, mode: str, connections: int, *, size: int) -> Cell:
    """Measure one cell with wrk for a second; a slow query longer, and one too slow for that once, alone."""
    alone = warmed_up(endpoint, question, mode)
    needed = 2 * alone * connections  # so that each connection has two answers even where one core does it all
    if needed > LONGEST:
        return Cell(name, question.name, mode, connections, 1 / alone, alone * 1e3, alone * 1e3, 0, single=True)
    found = wrk(
        endpoint.port,
        endpoint.target(question.text),
        question.accept,
        mode,
        connections=connections,
        seconds=max(1, math.ceil(needed)),
    )
    # A server may answer 200 and say in the body that it gave up: such an answer is shorter than it should be.
    short = found["requests"] if found["bytes"] < 0.98 * size * found["requests"] else 0
    failed = int(found["failed"] + short)
    return Cell(name, question.name, mode, connections, found["rate"], found["p50"] / 1e3, found["p99"] / 1e3, failed)


def warmed_up(endpoint: Endpoint, question: Question, mode: str) -> float:
    """Ask on one connection for WARM_UP seconds, at least once; return the seconds that the last answer took."""
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=PATIENCE)
    began = time.monotonic()
    taken: list[float] = []
    while not taken or time.monotonic() - began < WARM_UP:
        taken.append(ask(connection, endpoint, question, f"{time.time_ns()}" if mode == "cold" else "").seconds)
    connection.close()
    return taken[-1]


def wrk(port: int, target: str, accept: str, mode: str, *, connections: int, seconds: int) -> dict[str, float]:
    """Run wrk once and return what unique.lua counted. Raises SystemExit where it is not installed."""
    if not shutil.which("wrk"):
        raise SystemExit("wrk is not installed; Debian and Ubuntu have it as the package wrk.")
    command = (
        *("wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"),
        *("--timeout", f"{PATIENCE}s", "--latency", "--script", str(HERE / "unique.lua")),
        *(f"http://127.0.0.1:{port}", "--"),
        *(target, accept, mode, str(time.time_ns())),
    )
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + PATIENCE)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        raise SystemExit(f"wrk failed: {done.stdout[-500:]}{done.stderr[-500:]}")
    counted: dict[str, float] = json.loads(lines[-1])
    return counted | {"rate": counted["requests"] / (counted["microseconds"] / 1e6)}


def targets(plan: Plan, results: Results) -> list[tuple[str, str, bool]]:
    """Return what is promised, what was measured, and whether that is enough; at the worse number of connections."""
    promises = []
    names = [question.name for question in plan.set]
    for connections in plan.connections:
        speed = {n: c.rate for n in names if (c := results.cell("oxigraph", n, "warm", connections))}
        if not speed:
            continue
        for what, query, least in (
            ("cheapest", max(speed, key=lambda n: speed[n]), 1.5),
            ("heaviest", min(speed, key=lambda n: speed[n]), 20),
        ):
            found = results.ratio("oxigraph", query, "warm", connections)
            promises.append((f"warm, {what} query ({query}), x{connections}: {least} x Oxigraph", found, least))
        cold = {n: r for n in names if (r := results.ratio("oxigraph", n, "cold", connections))}
        if cold:
            worst = min(cold, key=lambda n: cold[n])
            promises.append((f"cold, geometric mean, x{connections}: 0.8 x Oxigraph", mean(cold.values()), 0.8))
            promises.append((f"cold, worst query ({worst}), x{connections}: 0.45 x Oxigraph", cold[worst], 0.45))
    pairs = [(n, mode, c) for n in names for mode in MODES for c in plan.connections]
    slow = {pair: r for pair in pairs if (r := results.ratio("rdflib-endpoint", *pair))}
    if slow:
        worst_pair = min(slow, key=lambda p: slow[p])
        place = f"{worst_pair[0]}, {worst_pair[1]}, x{worst_pair[2]}"
        promises.append((f"everywhere, worst ({place}): 10 x rdflib-endpoint", slow[worst_pair], 10))
    return [(text, report.number(found), found >= least) for text, found, least in promises if found is not None]


def mean(ratios: Iterable[float]) -> float:
    """Return the geometric mean."""
    return statistics.geometric_mean(ratios)


def written(plan: Plan, results: Results, where: str) -> str:
    """Return the whole result as Markdown."""
    measured = [e.name for e in results.endpoints]
    peers = [name for name in plan.servers if name != "itukg" and any(c.server == name for c in results.cells)]
    parts = [
        f"Measured {where}. A second per cell and round, {plan.rounds} rounds, of which the median counts; load by wrk on the same machine.",
        report.table(
            ("server", "version", "ready after, s"),
            [(e.name, e.version, f"{e.load_seconds:.1f}") for e in results.endpoints],
        ),
    ]
    if "itukg" in plan.servers and peers:
        parts.append("Targets:")
        parts.append(
            report.table(
                ("target", "measured", "met"),
                [(t, m, "yes" if ok else "**no**") for t, m, ok in targets(plan, results)],
            )
        )
        parts.append("Our throughput as a multiple of each peer's, geometric mean over the set, and the least:")
        parts.append(report.table(("mode, connections", *peers), means(plan, results, peers)))
    for mode in MODES:
        parts.append(f"Requests per second, {mode}; in brackets ours as a multiple of it:")
        head = ("query, connections", "itukg", *peers)
        parts.append(report.table(head, rates(plan, results, peers, mode)))
    for mode in MODES:
        parts.append(f"Latency in milliseconds, {mode}, p50 / p99:")
        parts.append(report.table(("query, connections", "itukg", *peers), latencies(plan, results, peers, mode)))
    if any(cell.single for cell in results.cells):
        parts.append("† one answer timed alone: too slow for a run.")
    parts.extend(notes(plan, results, measured))
    return "\n\n".join(parts)


def means(plan: Plan, results: Results, peers: list[str]) -> list[list[str]]:
    """Return a line per mode and number of connections: geometric mean and least of our ratios."""
    lines = []
    for mode in MODES:
        for connections in plan.connections:
            line = [f"{mode}, x{connections}"]
            for peer in peers:
                found = [r for q in plan.set if (r := results.ratio(peer, q.name, mode, connections))]
                line.append(f"{report.number(mean(found))} ({report.number(min(found))})" if found else "")
            lines.append(line)
    return lines


def rates(plan: Plan, results: Results, peers: list[str], mode: str) -> list[list[str]]:
    """Return a line per query and number of connections: requests per second of each server."""
    lines = []
    for question in plan.set:
        for connections in plan.connections:
            line = [f"{question.name}, x{connections}"]
            for server in ("itukg", *peers):
                cell = results.cell(server, question.name, mode, connections)
                ratio = results.ratio(server, question.name, mode, connections)
                text = f"{report.number(cell.rate)}{'†' if cell.single else ''}" if cell else "none"
                if cell and cell.failed:
                    text += f", **{cell.failed} failed**"
                line.append(text if server == "itukg" or ratio is None else f"{text} ({report.number(ratio)})")
            lines.append(line)
    return lines


def latencies(plan: Plan, results: Results, peers: list[str], mode: str) -> list[list[str]]:
    """Return a line per query and number of connections: p50 / p99 of each server."""
    lines = []
    for question in plan.set:
        for connections in plan.connections:
            cells = [results.cell(server, question.name, mode, connections) for server in ("itukg", *peers)]
            texts = [f"{report.number(c.p50)} / {report.number(c.p99)}" if c else "" for c in cells]
            lines.append([f"{question.name}, x{connections}", *texts])
    return lines


def notes(plan: Plan, results: Results, measured: Sequence[str]) -> list[str]:
    """Return what must be said beside the tables: rows that differ, servers left out, failures."""
    said = []
    if results.differing:
        items = []
        for (server, query), found in results.differing.items():
            why = KNOWN_DIFFERENCES.get((server, query), "not explained")
            items.append(f"- {server}, {query}: {why} ({found})")
        said.append("Answers that differ from ours, and are not measured:\n\n" + "\n".join(items))
    else:
        but = " they answered" if results.unanswered else ""
        said.append(f"The same rows from {', '.join(measured)}, for all {len(plan.set)} queries{but}.")
    if results.unanswered:
        hung = ", ".join(f"{server} on {query}" for server, query in results.unanswered)
        said.append(f"No answer within {PATIENCE} s, and so in no ratio: {hung}.")
    failed = sum(cell.failed for cell in results.cells)
    said.append(f"Requests that failed (no answer, a status other than 2xx, or a short body): {failed}.")
    return said


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = report.parser("compare", __doc__)
    default = "itukg,oxigraph,rdflib-endpoint,virtuoso"
    parser.add_argument("--servers", default=default, help=f"which, of {', '.join(SERVERS)}; ours first [{default}]")
    parser.add_argument("--only", default="", help="names of queries of the set, comma-separated [all]")
    parser.add_argument(
        "--rounds", type=int, default=5, help="rounds of a second per cell; what is too slow for that has one [5]"
    )
    parser.add_argument("--connections", default="1,8", help="numbers of connections [1,8]")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a target is missed too")
    return parser.parse_args()


def planned(arguments: argparse.Namespace) -> Plan:
    """Return what the command line asks for; ends with a message when that is not possible."""
    connections = [int(number) for number in arguments.connections.split(",")]
    return Plan(chosen(arguments.servers), named(arguments.only), arguments.rounds, connections)


def progress() -> Progress:
    """Return a progress bar with the time that is left, on standard error."""
    columns = (
        TextColumn("{task.description:45}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True))


def _advance(bar: Progress, task: TaskID, what: str) -> None:
    bar.update(task, description=what, advance=1)


if __name__ == "__main__":
    main()
