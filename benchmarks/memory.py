"""What a process and its descendants hold in memory; from /proc, so on Linux only."""

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
