"""What a comparison has measured, judged by the targets, and as Markdown."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks import cold
from benchmarks.answers import Query, Rows
from benchmarks.load import Cell
from benchmarks.pressure import BOMBS, BUSY, BesideBombs, BesideBusy
from benchmarks.report import Target, number, table, targets_table
from benchmarks.servers import Endpoint

MODES = ("cold", "warm")
LIMITS = {"saved query": 100, "page": 100, "framed answer": 300}
"""Milliseconds that the slowest first answer of a kind may take."""


@dataclass(frozen=True)
class Plan:
    """What a run measures."""

    servers: list[str]
    queries: list[Query]
    rounds: int
    connections: list[int]


@dataclass
class Results:
    """What a run has measured."""

    cells: list[Cell] = field(default_factory=list)
    endpoints: list[Endpoint] = field(default_factory=list)
    expected: dict[str, Rows] = field(default_factory=dict)
    """The rows of the first server, by query."""
    differing: dict[tuple[str, str], str] = field(default_factory=dict)
    unanswered: list[tuple[str, str]] = field(default_factory=list)
    bombs: dict[tuple[str, int], BesideBombs] = field(default_factory=dict)
    first: list[dict[cold.First, float]] = field(default_factory=list)
    busy: BesideBusy | None = None

    def cell(self, server: str, query: str, mode: str, connections: int) -> Cell | None:
        """Return one measurement, if there is one."""
        wanted = (server, query, mode, connections)
        return next((c for c in self.cells if (c.server, c.query, c.mode, c.connections) == wanted), None)

    def ratio(self, peer: str, query: str, mode: str, connections: int) -> float | None:
        """Return our rate as a multiple of the peer's: the median over the rounds."""
        ours, theirs = (self.cell(server, query, mode, connections) for server in ("itukg", peer))
        if not (ours and theirs and all(theirs.rounds)):
            return None
        pairs = zip(ours.rounds, theirs.rounds, strict=False)  # a slow server has one round
        return statistics.median(our / their for our, their in pairs)

    def ratios(self, peer: str, mode: str, connections: int) -> list[float]:
        """Return our ratios to a peer over the queries."""
        return [r for query in self.expected if (r := self.ratio(peer, query, mode, connections)) is not None]


def targets(plan: Plan, results: Results) -> list[Target]:
    """Return the targets of which the figures were measured."""
    return [*_lookups(results), *_means(plan, results), *_bombs(results), *_first(results), *_busy(results)]


def _lookups(results: Results) -> Iterator[Target]:
    if alone := results.cell("itukg", "lookup", "cold", 1):
        yield Target("lookup, cold, 1 connection: p50 under 1 ms", f"{number(alone.p50)} ms", alone.p50 < 1)
    if many := results.cell("itukg", "lookup", "cold", 8):
        yield Target("lookup, cold, 8 connections: over 3,000 a second", number(many.rate), many.rate > 3000)


def _means(plan: Plan, results: Results) -> Iterator[Target]:
    for mode, least in (("cold", 0.6), ("warm", 1.5)):
        for connections in plan.connections:
            if ratios := results.ratios("oxigraph", mode, connections):
                mean = statistics.geometric_mean(ratios)
                queries = f"{len(ratios)} queries" if len(ratios) > 1 else "1 query"
                promise = f"{mode}, x{connections}, geometric mean over {queries}: at least {least} x Oxigraph"
                yield Target(promise, number(mean), mean >= least)


def _bombs(results: Results) -> Iterator[Target]:
    for (server, connections), found in results.bombs.items():
        if server == "itukg":
            promise = f"lookup beside {BOMBS} bombs, x{connections}: p99 under 60 ms"
            yield Target(promise, f"{number(found.p99)} ms", found.p99 < 60 and found.rate > 0 and not found.failed)


def _first(results: Results) -> Iterator[Target]:
    for kind, limit in LIMITS.items() if results.first else ():
        medians = cold.medians(results.first, kind)
        name, taken = max(medians.items(), key=lambda item: item[1])
        promise = f"the slowest of {len(medians)} {cold.PLURALS[kind]}, cold ({name}): at most {limit} ms"
        yield Target(promise, f"{number(taken)} ms", taken <= limit)


def _busy(results: Results) -> Iterator[Target]:
    if busy := results.busy:
        beside = f"beside {BUSY} busy processes"
        yield Target(f"a query of {busy.alone:.1f} s {beside}: 5 s", f"{busy.query:.1f} s", busy.query <= 5)
        yield Target(f"an upload of one line {beside}: 3 s", f"{busy.upload:.1f} s", busy.upload <= 3)


def written(plan: Plan, results: Results, where: str) -> str:
    """Return the result as Markdown, as `docs/performance.md` holds it."""
    ready = ", ".join(f"{e.name} {e.version} ({e.load_seconds:.1f} s)" for e in results.endpoints)
    parts = [
        f"Measured {where}. Rounds: {plan.rounds}. Servers, with the seconds until they were ready: {ready}.",
        targets_table(targets(plan, results)),
    ]
    servers = [name for name in plan.servers if any(cell.server == name for cell in results.cells)]
    peers = [name for name in servers if name != "itukg"]
    first, last = plan.connections[0], plan.connections[-1]
    parts.append(
        f"Query by query, our p50 (x{first}), and answers a second (x{last}); in brackets ours as a multiple of the peer's:"
    )
    head = ("query", "p50 cold, ms", "warm", "cold", *(f"{peer}, cold" for peer in peers))
    lines = [_query_line(query.name, results, peers, first, last) for query in plan.queries]
    means = [_means_line(mode, last, results, peers) for mode in MODES] if peers else []
    parts.append(table(head, [*lines, _bombs_line(last, results, peers), *means]))
    return "\n\n".join([*parts, *_notes(plan, results)])


def _query_line(query: str, results: Results, peers: list[str], first: int, last: int) -> list[str]:
    alone = results.cell("itukg", query, "cold", first)
    line = [query, number(alone.p50) if alone else ""]
    for server, mode in (("itukg", "warm"), ("itukg", "cold"), *((peer, "cold") for peer in peers)):
        cell, ratio = results.cell(server, query, mode, last), results.ratio(server, query, mode, last)
        rate = f"{number(cell.rate)}{'†' if cell.single else ''}" if cell else "none"
        line.append(rate if server == "itukg" or ratio is None else f"{rate} ({number(ratio)})")
    return line


def _bombs_line(connections: int, results: Results, peers: list[str]) -> list[str]:
    ours, *others = [results.bombs.get((server, connections)) for server in ("itukg", *peers)]
    rate = ours.rate if ours else 0.0
    ratios = [f"{number(each.rate)} ({number(rate / each.rate)})" if each and each.rate else "none" for each in others]
    return [f"lookup beside {BOMBS} bombs", "", "", number(rate) if rate else "none", *ratios]


def _means_line(mode: str, connections: int, results: Results, peers: list[str]) -> list[str]:
    found = [results.ratios(peer, mode, connections) for peer in peers]
    means = [f"({number(statistics.geometric_mean(ratios))})" if ratios else "" for ratios in found]
    return [f"geometric mean, {mode}", "", "", "", *means]


def _notes(plan: Plan, results: Results) -> Iterator[str]:
    if results.differing:
        lines = [f"- {server}, {query}: {what}" for (server, query), what in results.differing.items()]
        yield "Rows that differ from ours; these queries are not measured:\n\n" + "\n".join(lines)
    notes = [] if results.differing else [f"All rows are the same, over {len(plan.queries)} queries."]
    if results.unanswered:
        notes.append(f"No answer: {', '.join(f'{server} to {query}' for server, query in results.unanswered)}.")
    if any(cell.single for cell in results.cells):
        notes.append("† one answer: too slow for a rate.")
    over = [text for kind in LIMITS if results.first for text in _over(results, kind)]
    if over:
        notes.append(f"Over their limits: {', '.join(over)}.")
    ended = [f"{server} ({found.ended})" for (server, _), found in results.bombs.items() if found.ended]
    if ended:
        notes.append(f"Bombs that ended before the measurement: {', '.join(ended)}.")
    failed = sum(cell.failed for cell in results.cells)
    yield " ".join([*notes, f"Failed requests (no answer, no 2xx, or a short body): {failed}."])


def _over(results: Results, kind: str) -> list[str]:
    medians = cold.medians(results.first, kind)
    return [f"{name} ({number(taken)} ms)" for name, taken in medians.items() if taken > LIMITS[kind]]
