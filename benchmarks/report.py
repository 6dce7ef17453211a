"""Command lines, progress, tables in Markdown, the description of the machine, and the markers in a page."""

import argparse
import datetime as dt
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.servers import ROOT


def parser(name: str, doc: str | None) -> argparse.ArgumentParser:
    """Return the parser of a command line; the docstring of its module is the text of `--help`."""
    summary, _, more = (doc or "").partition("\n\n")
    made = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=summary,
        epilog=more,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if "--write" in more:
        made.add_argument(
            "--write", type=Path, metavar="PAGE", help="replace the result between the markers of this page"
        )
    return made


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, all columns but the first right-aligned."""
    ruler = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ruler, *lines))


@dataclass(frozen=True)
class Target:
    """A promise, the figure that was measured, and whether it is enough."""

    promise: str
    measured: str
    met: bool


def targets_table(targets: Iterable[Target]) -> str:
    """Return targets as a Markdown table."""
    lines = [(t.promise, t.measured, "yes" if t.met else "**no**") for t in targets]
    return table(("target", "measured", "met"), lines)


def number(value: float) -> str:
    """Write a number with three significant digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def progress() -> Progress:
    """Return a progress bar with the remaining time, on standard error."""
    columns = (
        TextColumn("{task.description:45}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True))


def setting() -> str:
    """Describe the time, the machine and the revision of a measurement."""
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = os.getloadavg()[0]
    return (
        f"{now}; {len(os.sched_getaffinity(0))} cores ({model[1] if model else platform.machine()}), "
        f"{memory:.0f} GiB, load {load:.2f} before the start; {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}; revision {revision()}"
    )


def revision() -> str:
    """Return the commit, with a plus sign when files differ from it."""
    done = subprocess.run(
        ("git", "describe", "--always", "--dirty=+"), cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def replace(page: Path, name: str, text: str) -> None:
    """Put `text` between the markers `<!-- name -->` and `<!-- /name -->` of `page`."""
    before = page.read_text()
    part = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not part.search(before):
        raise SystemExit(
            f"{page} has no lines <!-- {name} --> and <!-- /{name} -->; add them where the result belongs."
        )
    page.write_text(part.sub(lambda found: f"{found[1]}\n{text}\n\n{found[2]}", before))
