"""The data and the shapes that SHACL engines validate, as N-Triples, the data with its plans repeated."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

BASE = "https://w3id.org/itukg/"
GRAPH = re.compile(rf" <{BASE}graph/([^>]+)> \.$")
LEFT_OUT = ("shapes", "derived", "entailed", "queries")
"""Named graphs that `itukg check` does not validate; shapes are the other file."""


def write(release: Path, times: int, folder: Path) -> tuple[Path, Path]:
    """Write data and shapes below `folder`, the data with at least `times` the triples of the release (N-Quads).

    A copy renames what belongs to plans (things, documents, graphs, notations, lineage), and shares the rest (goals and
    targets, instruments, the ontology), as a further plan would.
    """
    quads = release.read_text().splitlines()
    data = list(_triples(quads, lambda graph: graph not in LEFT_OUT))
    folder.mkdir(parents=True, exist_ok=True)
    files = folder / "data.nt", folder / "shapes.nt"
    files[1].write_text("".join(_triples(quads, lambda graph: graph == "shapes")))
    slugs = "|".join(sorted(map(re.escape, _plans_and_graphs(quads)), key=len, reverse=True))
    own = re.compile(rf"<({BASE}(?:(?:id/(?:document/)?|graph/)(?:{slugs})|id/lineage/[^/>]+))(?=[/>])")
    notation = re.compile(rf'^(<{BASE}id/(?:{slugs})> <\S+#notation> "[^"]*)"')
    repeated = [line for line in data if own.search(line) and "_:" not in line]
    copies = -(-(times - 1) * len(data) // len(repeated))
    with files[0].open("w") as out:
        out.writelines(data)
        for copy in range(2, copies + 2):
            out.writelines(own.sub(rf"<\1-{copy}", notation.sub(rf'\1-{copy}"', line)) for line in repeated)
    return files


def _triples(quads: list[str], wanted: Callable[[str], bool]) -> Iterator[str]:
    """Yield the lines of the wanted named graphs, without the graph."""
    for line in quads:
        graph = GRAPH.search(line)
        if graph and wanted(graph[1]):
            yield f"{line[: graph.start()]} .\n"


def _plans_and_graphs(quads: list[str]) -> set[str]:
    """Return the names of the plans, and of the graphs that describe what belongs to them."""
    plan = re.compile(rf"^<{BASE}id/([^/>]+)> <\S+#type> <{BASE}ontology#Plan> \.$")
    plans = {found[1] for line in quads if (found := plan.search(line))}
    of_plan = re.compile(rf"^<{BASE}id/(?:{'|'.join(map(re.escape, plans))})/")
    graphs = {graph[1] for line in quads if of_plan.search(line) and (graph := GRAPH.search(line))}
    return plans | (graphs - {"derived", "entailed", "lineage"})
