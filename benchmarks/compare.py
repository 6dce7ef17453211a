"""Compare our server with its peers on the same release, and judge it by the targets for its users.

    python -m benchmarks.compare                                  # everything, about forty minutes
    python -m benchmarks.compare --rounds 1 --only lookup,matrix  # a quick look, two minutes
    python -m benchmarks.compare --servers itukg --only lookup    # the targets that need no peer
    python -m benchmarks.compare --write docs/performance.md      # replace the result in the page

1. Every server answers every query of the set once, and its rows must be ours; then wrk measures the servers one after the
   other, cold and warm, in rounds: a machine whose speed changes slows all of them.
2. Every server, just started, answers lookups beside two queries that run into the time limit.
3. Ours, just started, answers each saved query, page and framed answer once.
4. Ours answers a query of a second and an upload of one line beside processes that leave no processor idle.

Run it on a machine that does nothing else. Settings (ITUKG_...) in the environment reach our server. Exit code 1 when rows
differ, we leave a query unanswered, a request fails or, with --strict, a target is missed.
"""

import argparse
import http.client
import itertools
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from rich.progress import Progress

from benchmarks import cold, report
from benchmarks.answers import Query, difference, rows, selected, send
from benchmarks.load import ANSWER_SECONDS, Cell, drive, median_round
from benchmarks.pressure import BOMBS, BUSY, beside_bombs, beside_busy
from benchmarks.results import MODES, Plan, Results, targets, written
from benchmarks.servers import BUILD, SERVERS, DidNotStart, Started, build, installed

MAX_ROUNDS = 3
"""Rounds of what starts a server for each of them."""


def main() -> None:
    """Run the comparison of the command line."""
    arguments = parse()
    connections = [int(part) for part in arguments.connections.split(",")]
    plan = Plan(installed(arguments.servers), selected(arguments.only), arguments.rounds, connections)
    where = report.setting()
    build(BUILD / "home")
    with report.progress() as bar, Started(BUILD / "home") as started:
        results = run(plan, started, bar)
    text = written(plan, results, where)
    print(text)
    (BUILD / "compare.json").write_text(json.dumps([asdict(cell) for cell in results.cells], indent=1))
    if arguments.write:
        report.replace(arguments.write, "compare", text)
    unanswered = any(server == "itukg" for server, _ in results.unanswered)
    failed = unanswered or results.differing or any(cell.failed for cell in results.cells)
    missed = arguments.strict and not all(target.met for target in targets(plan, results))
    raise SystemExit(1 if failed or missed else 0)


def run(plan: Plan, started: Started, bar: Progress) -> Results:
    """Measure all that the plan names. Raises SystemExit when our server does not start."""
    results, rounds = Results(), min(plan.rounds, MAX_ROUNDS)
    task = bar.add_task(
        "", total=len(plan.queries) * 2 * len(plan.connections) + len(plan.servers) * len(plan.connections) + rounds + 1
    )

    def step(what: str, advance: int = 1) -> None:
        bar.update(task, description=what, advance=advance)

    for name in plan.servers:
        step(f"{name}: loads the release", 0)
        start(name, started, results)
    for query in plan.queries:
        sizes = right_sizes(query, started, results)
        for connections, mode in itertools.product(plan.connections, MODES):
            step(f"{query.name} {mode} x{connections}")
            measure(query, mode, connections, sizes=sizes, rounds=plan.rounds, started=started, results=results)
    [lookup] = selected("lookup")
    for name, connections in itertools.product(list(started.up), plan.connections):
        step(f"{name}: lookups beside {BOMBS} bombs, x{connections}")
        found = [beside_bombs(started.start(name), lookup, connections) for _ in range(rounds)]
        results.bombs[name, connections] = sorted(found, key=lambda each: each.p99)[rounds // 2]
        started.stop(name)  # bombs without a time limit would go on
    if "itukg" in plan.servers:
        step("the first answers of saved queries, pages and frames", 0)
        for milliseconds in cold.times(lambda: started.start("itukg"), rounds):
            step("the first answers of saved queries, pages and frames")
            results.first.append(milliseconds)
        step(f"beside {BUSY} busy processes")
        results.busy = beside_busy(started.start("itukg"), plan.rounds)
    return results


def start(name: str, started: Started, results: Results) -> None:
    """Start a server, or leave it out, with a note. Raises SystemExit for ours."""
    try:
        results.endpoints.append(started.start(name))
    except DidNotStart as error:
        print(f"{name} is left out: {error}", file=sys.stderr)
        if name == "itukg":
            raise SystemExit(2) from None


def right_sizes(query: Query, started: Started, results: Results) -> dict[str, int]:
    """Return the size of the answer of each server whose rows are those of the first; note where they differ."""
    sizes: dict[str, int] = {}
    for name in list(started.up):
        with noting(name, query, started, results):
            connection = http.client.HTTPConnection("127.0.0.1", started.up[name].port, timeout=ANSWER_SECONDS)
            reply = send(connection, started.up[name], query)
            connection.close()
            try:
                found = rows(query, reply.body) if reply.status == http.client.OK else None
            except (ValueError, SyntaxError, KeyError):
                found = None
            if found is None:
                wrong = f"status {reply.status}: {reply.body[:200]!r}"
            else:
                wrong = difference(results.expected.setdefault(query.name, found), found)
            if wrong:
                results.differing[name, query.name] = wrong
                print(f"{name} on {query.name}: {wrong}", file=sys.stderr)
            else:
                sizes[name] = len(reply.body)
    return sizes


def measure(
    query: Query,
    mode: str,
    connections: int,
    *,
    sizes: dict[str, int],
    rounds: int,
    started: Started,
    results: Results,
) -> None:
    """Measure one query on the servers of `sizes`, one after the other, in rounds; a slow one has one round."""
    found: dict[str, list[Cell]] = {name: [] for name in sizes}
    for _ in range(rounds):
        for name, cells in found.items():
            if (name, query.name) not in results.unanswered and not (cells and cells[-1].single):
                with noting(name, query, started, results):
                    cells.append(drive(name, started.up[name], query, mode, connections, size=sizes[name]))
    results.cells += [median_round(cells) for cells in found.values() if cells]


@contextmanager
def noting(name: str, query: Query, started: Started, results: Results) -> Iterator[None]:
    """Note that a server leaves a query unanswered, and restart it: it may still evaluate the query, or have stopped."""
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        results.unanswered.append((name, query.name))
        print(f"{name} on {query.name}: {type(error).__name__}", file=sys.stderr)
        try:
            started.start(name)
        except DidNotStart as failure:
            print(f"{name} is left out from now on: {failure}", file=sys.stderr)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = report.parser("compare", __doc__)
    default = "itukg,oxigraph,rdflib-endpoint,virtuoso"
    parser.add_argument("--servers", default=default, help=f"comma-separated, of {', '.join(SERVERS)} [all]")
    parser.add_argument("--only", default="", help="queries of the set (benchmarks/queries), comma-separated [all]")
    parser.add_argument(
        "--rounds", type=int, default=5, help="rounds of a second for each figure; the median counts [5]"
    )
    parser.add_argument("--connections", default="1,8", help="numbers of connections, comma-separated [1,8]")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a target is missed too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
