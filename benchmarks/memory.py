"""What a process and its descendants hold in memory; from /proc, so on Linux only."""

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Held:
    """Bytes held by a tree of processes."""

    resident: int
    """RSS of each, added up: pages that forked workers share count once for each."""
    proportional: int
    """PSS of each, added up: shared pages count once."""
    processes: int


def held(process: int) -> Held:
    """Return what `process` and its descendants hold now."""
    resident = proportional = alive = 0
    for member in tree(process):
        try:
            found = Path(f"/proc/{member}/smaps_rollup").read_text()
        except OSError:
            continue  # it has ended meanwhile
        sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in found.splitlines() if line.endswith(" kB")}
        resident += sizes.get("Rss", 0)
        proportional += sizes.get("Pss", 0)
        alive += 1
    return Held(resident, proportional, alive)


def tree(process: int) -> list[int]:
    """Return a process and its descendants."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
    found = [process]
    for member in found:
        found.extend(child for child, parent in parents.items() if parent == member)
    return found


def peaks(process: int) -> dict[int, float]:
    """Return the most memory (RSS) that `process` and its descendants have held so far, each by number, in MiB."""
    found = {}
    for member in tree(process):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if most := re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{member}/status").read_text()):
                found[member] = int(most[1]) / 1024
    return found
