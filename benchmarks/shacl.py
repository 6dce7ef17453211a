"""Compare our validation with other SHACL engines: all shapes over the release, and over ten times the data.

    python -m benchmarks.shacl                                     # all engines, about an hour
    python -m benchmarks.shacl --times 1 --engines itukg,turbo     # a quick look, a minute
    python -m benchmarks.shacl --write docs/performance.md         # replace the result in the page

The graph that `itukg check` validates and the shapes are written as N-Triples. Every engine reads these two files and
writes its report, in a process of its own, one after the other; the time is that of the whole command. Larger data repeats
what belongs to the plans under other names. An engine that takes longer than --limit seconds is killed, and left out at
larger sizes. Findings are compared with ours as multisets of focus, path, value, shape and constraint component; there is
no claim about the speed of an engine whose findings differ. Exit code 1 when findings differ or ours are missing or, with
--strict, when a target is missed.
"""

import argparse
import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import rdflib
from rdflib.namespace import SH, XSD
from rdflib.term import Node

from benchmarks import report
from benchmarks.report import Target, number
from benchmarks.servers import BUILD, ROOT, build, dataset, peers
from benchmarks.shacl_data import write
from benchmarks.shacl_engines import ENGINES, RELEASE, Engine, versions

FOLDER = BUILD / "shacl"
REPEATED_SECONDS = 60
"""Only faster runs are repeated."""
Findings = Counter[tuple[str, ...]]


@dataclass(frozen=True)
class Run:
    """One engine over one file."""

    seconds: float | None
    """None for a run that was killed, or failed."""
    megabytes: float = 0
    """The peak of its resident memory."""
    findings: Findings | None = None
    trouble: str = ""


Runs = dict[tuple[str, int], Run]
"""By engine and multiple of the data."""


def main() -> None:
    """Run the comparison of the command line."""
    arguments = parse()
    where = report.setting()
    build(BUILD / "home")
    if any(not ENGINES[name].ours for name in arguments.engines):
        peers()
    runs: Runs = {}
    sizes: dict[int, int] = {}
    with report.progress() as bar:
        task = bar.add_task(RELEASE.label, total=len(arguments.times) * len(arguments.engines) + 1)
        release = run(RELEASE, None, arguments)
        bar.advance(task)
        for times in arguments.times:
            files = write(dataset(BUILD / "home"), times, FOLDER / f"{times}x")
            sizes[times] = files[0].read_bytes().count(b"\n")
            for name in arguments.engines:
                bar.update(task, description=f"{times} x: {ENGINES[name].label}")
                if all(runs[name, t].seconds is not None for t in sizes if t < times and (name, t) in runs):
                    found = runs[name, times] = run(ENGINES[name], files, arguments)
                    bar.console.print(f"{times} x: {ENGINES[name].label}: {found.trouble or found.seconds} s")
                bar.advance(task)
    text = written(where, arguments, runs, sizes, release)
    print(text)
    if arguments.write:
        report.replace(arguments.write, "shacl", text)
    sound = any(r.findings for (name, _), r in runs.items() if name == "itukg") and not differing(runs)
    met = all(target.met for target in targets(runs, sizes, release, arguments.limit))
    raise SystemExit(0 if sound and (met or not arguments.strict) else 1)


def run(engine: Engine, files: tuple[Path, Path] | None, arguments: argparse.Namespace) -> Run:
    """Validate up to --runs times and return the fastest run."""
    found: list[Run] = []
    while len(found) < arguments.runs:
        found.append(once(engine, files, arguments.limit))
        if found[-1].seconds is None or found[-1].seconds > REPEATED_SECONDS:
            break
    return min(found, key=lambda each: each.seconds or float("inf"))


def once(engine: Engine, files: tuple[Path, Path] | None, limit: float) -> Run:
    """Validate data by shapes once, for `limit` seconds at most; without files, only time the command."""
    out, printed, log = (FOLDER / name for name in ("report", "printed", "log"))
    FOLDER.mkdir(parents=True, exist_ok=True)
    out.unlink(missing_ok=True)
    command = engine.command(*(files or (out, out)), out)
    if shutil.which("choom"):  # when memory runs out, the kernel kills this command first
        command = ("choom", "--adjust", "1000", "--", *command)
    environment = os.environ | {"ITUKG_CORPUS": str(ROOT)}
    with printed.open("wb") as stdout, log.open("wb") as stderr:
        before, megabytes = time.perf_counter(), 0.0
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, env=environment, cwd=FOLDER
        )
        while process.poll() is None:
            megabytes = max(megabytes, peak(process.pid))
            if time.perf_counter() - before > limit:
                process.kill()
            time.sleep(0.02)
        seconds = time.perf_counter() - before
    if seconds > limit:
        return Run(None, megabytes, trouble=f"> {limit:g}")
    if process.returncode not in (0, 1):  # engines report data that does not conform by 1
        print(f"{engine.label}: {log.read_text(errors='replace').strip()[-300:]}", file=sys.stderr)
        return Run(None, megabytes, trouble=f"exit code {process.returncode}")
    if files is None:
        return Run(seconds, megabytes)
    source, syntax = (printed, "turtle") if engine.prints else (out, "nt")
    return Run(seconds, megabytes, findings(rdflib.Graph().parse(source, format=syntax)))


def peak(process: int) -> float:
    """Return the peak of a process's resident memory so far, in MiB; 0 after its end."""
    with contextlib.suppress(OSError):
        if found := re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text()):
            return int(found[1]) / 1024
    return 0.0


def findings(graph: rdflib.Graph) -> Findings:
    """Return a report as a multiset of focus, path, value, shape and constraint component.

    All blank nodes are equal, a path of several steps is none (engines name its nodes differently), and a computed 99.0
    is 99.
    """

    def text(node: Node | None) -> str:
        if isinstance(node, rdflib.Literal) and node.datatype == XSD.decimal:
            return f"{Decimal(node).normalize():f}"
        return "_:" if isinstance(node, rdflib.BNode) else "" if node is None else node.n3()

    properties = (SH.focusNode, SH.resultPath, SH.value, SH.sourceShape, SH.sourceConstraintComponent)
    rows = ([text(graph.value(result, each)) for each in properties] for result in graph.objects(None, SH.result))
    return Counter((focus, "" if path == "_:" else path, *rest) for focus, path, *rest in rows)


def differing(runs: Runs) -> dict[tuple[str, int], str]:
    """Return, by engine and size, how findings differ from ours, with an example of each kind."""
    found = {}
    for (name, times), each in runs.items():
        ours = runs.get(("itukg", times))
        if each.findings is None or ours is None or ours.findings is None:
            continue
        kinds = (("misses", ours.findings - each.findings), ("adds", each.findings - ours.findings))
        parts = [f"{what} {more.total()}, such as {' '.join(filter(None, min(more)))}" for what, more in kinds if more]
        if parts:
            found[name, times] = "; ".join(parts)
    return found


def targets(runs: Runs, sizes: dict[int, int], release: Run, limit: float) -> list[Target]:
    """Return the targets of which the figures were measured."""
    found = []
    if release.seconds is not None:
        found.append(Target("`itukg check`: at most 5 s", f"{release.seconds:.1f} s", release.seconds <= 5))
    for times, least in ((1, 5), (10, 10)):
        ours, theirs = runs.get(("itukg", times)), runs.get(("pyshacl", times))
        if not (ours and ours.seconds and theirs) or ("pyshacl", times) in differing(runs):
            continue
        if theirs.seconds or theirs.trouble.startswith(">"):
            ratio = (theirs.seconds or limit) / ours.seconds
            more = "" if theirs.seconds else "> "
            promise = f"at {times} x the data, pyshacl takes at least {least} x as long"
            found.append(Target(promise, f"{more}{number(ratio)} x", ratio >= least))
    first, last = (runs.get(("itukg", times)) for times in (min(sizes), max(sizes)))
    if first and last and first.seconds and len(sizes) > 1:
        more_data = sizes[max(sizes)] / sizes[min(sizes)]
        grown = last.seconds / first.seconds if last.seconds else float("inf")
        promise = f"no worse than linear: {number(more_data)} x the data"
        found.append(Target(promise, f"{number(grown)} x the time", grown <= more_data))
    return found


def written(where: str, arguments: argparse.Namespace, runs: Runs, sizes: dict[int, int], release: Run) -> str:
    """Return the result as Markdown."""
    wrong = differing(runs)

    def cell(name: str, times: int) -> str:
        if (found := runs.get((name, times))) is None:
            return "not run"
        ours = runs.get(("itukg", times))
        text = found.trouble or f"{number(found.seconds or 0)} s"
        if found.seconds and ours and ours.seconds and name != "itukg":
            text += " (differs)" if (name, times) in wrong else f" ({number(found.seconds / ours.seconds)} x)"
        return f"{text}, {found.megabytes:,.0f} MiB"

    ours = {times: r.findings.total() for (name, times), r in runs.items() if name == "itukg" and r.findings}
    counted = ", ".join(f"{count:,} at {times} x" for times, count in ours.items())
    lines = [[ENGINES[name].label, *(cell(name, times) for times in sizes)] for name in arguments.engines]
    return "\n\n".join(
        [
            f"Measured {where}. The fastest of {arguments.runs} runs, one of what takes over {REPEATED_SECONDS} s. {versions(arguments.engines)}.",
            report.targets_table(targets(runs, sizes, release, arguments.limit)),
            report.table(("engine", *(f"{size:,} triples" for size in sizes.values())), lines),
            f"Findings: {counted}; " + ("all engines agree." if not wrong else "these differ from ours:"),
            *(f"- {ENGINES[name].label}, {times} x: {what}" for (name, times), what in wrong.items()),
        ]
    )


def parse(given: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = report.parser("shacl", __doc__)

    def engines(text: str) -> list[str]:
        if unknown := set(text.split(",")) - set(ENGINES):
            raise argparse.ArgumentTypeError(f"no engine {', '.join(sorted(unknown))}; known: {', '.join(ENGINES)}")
        return text.split(",")

    def numbers(text: str) -> list[int]:
        return sorted({int(part) for part in text.split(",")})

    parser.add_argument("--times", type=numbers, default=[1, 10], help="multiples of the release's triples [1,10]")
    parser.add_argument("--engines", type=engines, default=list(ENGINES), help=f"of {','.join(ENGINES)} [all]")
    parser.add_argument("--limit", type=float, default=600, help="seconds after which a run is killed [600]")
    parser.add_argument("--runs", type=int, default=3, help="runs of each; the fastest counts [3]")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a target is missed too")
    return parser.parse_args(given)


if __name__ == "__main__":
    main()
