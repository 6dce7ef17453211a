"""Write a larger release: the same plans many times over, for measuring how the service grows.

    python -m benchmarks.grow --triples 1000000 --home build/benchmarks/grown-1000000

Each copy renames what belongs to plans (their IRIs, documents, graphs and notations, and the links that rules and readers
made) and keeps what plans share: goals and targets, action lines, instruments, the ontology. So a plan of the copy joins
the others exactly where a real further plan would. Nothing is random; the same release gives the same file. --triples
counts all that is stored, in the named graphs and in the merged graph that a query sees, about three in ten of them. Only
the shipped release is held in memory.
"""

import json
import math
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks import report
from benchmarks.servers import BUILD, build, dataset

BASE = "https://w3id.org/itukg/"
COPY = "\0"
"""Stands in a template for the number of the copy; N-Quads cannot hold it."""


@dataclass(frozen=True)
class Template:
    """What a release is multiplied from: its lines as they are, and those that each copy repeats."""

    lines: str
    repeated: str

    def copies(self, triples: int) -> int:
        """Return how many copies make the whole at least `triples` large."""
        return max(0, math.ceil((triples - self.lines.count("\n")) / self.repeated.count("\n")))

    def merged(self, copies: int) -> int:
        """Return how many triples the merged graph then holds."""
        shipped, each = (sum(map(_is_merged, part.splitlines())) for part in (self.lines, self.repeated))
        return shipped + copies * each


def template(file: Path) -> Template:
    """Read a release and mark what a copy renames."""
    lines = file.read_text()
    plans = set(re.findall(rf"^<{BASE}id/([^/>]+)> <\S+#type> <{BASE}ontology#Plan> \.$", lines, re.MULTILINE))
    typed = rf"^<{BASE}id/(?:{'|'.join(map(re.escape, plans))})/\S* .* <{BASE}graph/([^>]+)> \.$"
    graphs = set(re.findall(typed, lines, re.MULTILINE)) - {"derived", "entailed", "lineage"}
    slugs = "|".join(sorted(map(re.escape, plans | graphs), key=len, reverse=True))
    own = re.compile(rf"<{BASE}((?:id/(?:document/)?|graph/)(?:{slugs})|id/(?:derived|lineage)/[^/>]+)(?=[/>])")
    notation = re.compile(rf'^(<{BASE}id/(?:{slugs}){COPY}> <\S+#notation> "[^"]*)"')
    repeated = []
    for line in lines.splitlines(keepends=True):
        marked = own.sub(lambda found: f"<{BASE}{found[1]}{COPY}", line)
        if marked != line and "_:" not in line:
            repeated.append(notation.sub(rf'\g<1>{COPY}"', marked))
    return Template(lines, "".join(repeated))


def _is_merged(line: str) -> bool:
    return not re.search(rf" <{BASE}graph/[^>]+> \.$", line)


def grow(shipped: Path, home: Path, triples: int) -> int:
    """Write, below `home`, the release below `shipped` grown to `triples`; return how many copies that took.

    What has been written already is left as it is.
    """
    source = dataset(shipped)
    folder = home / "releases" / source.parent.name
    found = template(source)
    copies = found.copies(triples)
    if not (folder / "manifest.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "dataset.nq").open("w") as out:
            out.write(found.lines)
            for number in range(2, copies + 2):
                out.write(found.repeated.replace(COPY, f"-{number}"))
                if number % 16 == 0:
                    print(f"{number - 1} of {copies} copies", file=sys.stderr)
        for file in source.parent.iterdir():
            if file.is_file() and file.name not in ("dataset.nq", "manifest.json"):
                shutil.copy(file, folder)
        manifest = json.loads((source.parent / "manifest.json").read_bytes())
        manifest["merged"] = found.merged(copies)
        (folder / "manifest.json").write_text(json.dumps(manifest))
    (home / "current").write_text(folder.name)
    return copies


def main() -> None:
    """Do what the command line asks for."""
    parser = report.parser("grow", __doc__)
    parser.add_argument("--triples", type=int, required=True, help="triples to store, at least")
    parser.add_argument("--home", type=Path, help="folder for the release [build/benchmarks/grown-TRIPLES]")
    arguments = parser.parse_args()
    home = arguments.home or BUILD / f"grown-{arguments.triples}"
    build(BUILD / "home")
    copies = grow(BUILD / "home", home, arguments.triples)
    size = dataset(home).stat().st_size
    print(f"{dataset(home)}: the shipped plans and {copies} copies, {size / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
