"""The picture of the packages, drawn from their imports: `python tests/picture.py` writes docs/architecture.svg.

An arrow leads from a package to one that it imports. One that a longer way of arrows tells already is left out.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from graphlib import TopologicalSorter
from itertools import combinations, pairwise
from math import fsum

from imports import ROOT, packages

PICTURE = ROOT / "docs" / "architecture.svg"
BOX_WIDTH, BOX_HEIGHT, LANE_WIDTH = 116, 34, 12
"""Pixels of a box, and of the lane by which an arrow passes a layer."""
GAP, LAYER_HEIGHT, MARGIN = 20, 78, 24
STRAIGHT = 9
"""How many times more a lane is drawn to the next lane of its arrow than to a package."""
ROUNDS = 60
"""How often the order within the layers and the places are improved."""

Imports = Mapping[str, set[str]]
Lane = tuple[str, str, int]
"""An arrow (from, to) where it passes a layer."""
Place = str | Lane

STYLE = """<style>
rect{fill:#fff}.box{fill:#eef4f9;stroke:#00558c;stroke-width:1.5}
path{fill:none;stroke:#5b6b7a;stroke-width:1.4;marker-end:url(#head)}#head path{fill:#5b6b7a;stroke:none;marker-end:none}
text{fill:#1b2733;text-anchor:middle;font-weight:600}
@media (prefers-color-scheme:dark){
rect{fill:#0d1117}.box{fill:#12263a;stroke:#6cb6ff}path{stroke:#9fb0c0}#head path{fill:#9fb0c0}text{fill:#e6edf3}}
</style>"""


def reduced(imports: Imports) -> dict[str, set[str]]:
    """Return the imports without those that follow from others."""
    beneath: dict[str, set[str]] = {}
    for name in TopologicalSorter(imports).static_order():
        beneath[name] = imports[name].union(*(beneath[each] for each in imports[name]))
    return {name: each - set[str]().union(*(beneath[other] for other in each)) for name, each in imports.items()}


def layers(arrows: Imports) -> list[list[Place]]:
    """Return the layers, highest first: each package just beneath those that import it, and the lanes of longer arrows."""
    depth = dict.fromkeys(arrows, 0)
    for name in reversed([*TopologicalSorter(arrows).static_order()]):
        for each in arrows[name]:
            depth[each] = max(depth[each], depth[name] + 1)
    found: list[list[Place]] = [[] for _ in range(max(depth.values()) + 1)]
    for name in sorted(arrows):
        found[depth[name]].append(name)
        for each in sorted(arrows[name]):
            for layer in range(depth[name] + 1, depth[each]):
                found[layer].append((name, each, layer))
    return found


def steps(arrows: Imports, rows: Sequence[Sequence[Place]]) -> Iterator[list[Place]]:
    """Yield each arrow with the places through which it leads."""
    lanes = [place for row in rows for place in row if not isinstance(place, str)]
    for name in sorted(arrows):
        for each in sorted(arrows[name]):
            yield [name, *(lane for lane in lanes if lane[:2] == (name, each)), each]


def neighbours(links: Sequence[tuple[Place, Place]]) -> Mapping[Place, list[Place]]:
    """Return for each place those that it is linked with, above and beneath."""
    found: defaultdict[Place, list[Place]] = defaultdict(list)
    for above, beneath in links:
        found[above].append(beneath)
        found[beneath].append(above)
    return found


def crossings(rows: Sequence[Sequence[Place]], links: Sequence[tuple[Place, Place]]) -> int:
    """Count the arrows that cross each other."""
    at = {place: (layer, number) for layer, row in enumerate(rows) for number, place in enumerate(row)}
    found = 0
    for (a, b), (c, d) in combinations(links, 2):
        if at[a][0] == at[c][0]:
            found += (at[a][1] - at[c][1]) * (at[b][1] - at[d][1]) < 0
    return found


def in_order(rows: list[list[Place]], links: Sequence[tuple[Place, Place]]) -> list[list[Place]]:
    """Return the layers, each in the order in which the fewest arrows cross: by the middle of what a place is linked with."""
    near = neighbours(links)
    best, fewest = rows, crossings(rows, links)
    for turn in range(ROUNDS):
        rows = [[*row] for row in rows]
        for layer in range(1, len(rows)) if turn % 2 == 0 else range(len(rows) - 2, -1, -1):
            beside = {place: number for number, place in enumerate(rows[layer - 1 if turn % 2 == 0 else layer + 1])}
            middle: dict[Place, float] = {}
            for number, place in enumerate(rows[layer]):
                linked = [beside[other] for other in near[place] if other in beside]
                middle[place] = sum(linked) / len(linked) if linked else number
            rows[layer].sort(key=lambda place: middle[place])
        if (found := crossings(rows, links)) < fewest:
            best, fewest = rows, found
    return best


def width(place: Place) -> int:
    """Return the pixels that a place takes."""
    return BOX_WIDTH if isinstance(place, str) else LANE_WIDTH


def columns(rows: list[list[Place]], links: Sequence[tuple[Place, Place]]) -> dict[Place, int]:
    """Return the middle of each place in pixels: as near to what it is linked with as its neighbours allow.

    All is added up by `fsum`, whose sums are the same in every Python.
    """
    near = neighbours(links)
    at: dict[Place, float] = {}
    for row in rows:
        left = -extent(row) / 2
        for place in row:
            at[place] = left + (width(place) + GAP) / 2
            left += width(place) + GAP
    for turn in range(ROUNDS):
        for row in rows if turn % 2 == 0 else reversed(rows):
            wished = {}
            for place in row:
                forces = [pull(place, other) for other in near[place]]
                total = fsum(at[other] * force for other, force in zip(near[place], forces, strict=True))
                wished[place] = total / sum(forces) if forces else at[place]
            at |= spread(row, wished)
    least = min(middle - width(place) / 2 for place, middle in at.items())
    return {place: round(middle - least) + MARGIN for place, middle in at.items()}


def pull(place: Place, other: Place) -> int:
    """Return how much two places that are linked are drawn to each other: lanes most, so that long arrows are straight."""
    return 1 if isinstance(place, str) or isinstance(other, str) else STRAIGHT


def spread(row: Sequence[Place], wished: Mapping[Place, float]) -> dict[Place, float]:
    """Return places near those wished that leave gaps: those that come too close share what they must yield."""
    groups: list[tuple[list[Place], float]] = []  # places side by side, with the left edge of the first
    for place in row:
        groups.append(([place], wished[place] - width(place) / 2))
        while len(groups) > 1 and groups[-2][1] + extent(groups[-2][0]) > groups[-1][1]:
            (first, left), (second, right) = groups[-2:]
            moved = right - extent(first)
            share = len(second) / (len(first) + len(second))
            groups[-2:] = [([*first, *second], left + (moved - left) * share)]
    found: dict[Place, float] = {}
    for group, left in groups:
        for place in group:
            found[place] = left + width(place) / 2
            left += width(place) + GAP  # noqa: PLW2901
    return found


def extent(group: Sequence[Place]) -> int:
    """Return the pixels of places side by side, with the gap after each."""
    return sum(width(place) + GAP for place in group)


def drawn(imports: Imports) -> str:
    """Return the picture of packages and what each imports, as SVG."""
    arrows = reduced(imports)
    rows = layers(arrows)
    links = [link for arrow in steps(arrows, rows) for link in pairwise(arrow)]
    rows = in_order(rows, links)
    x = columns(rows, links)
    y = {place: MARGIN + LAYER_HEIGHT * layer for layer, row in enumerate(rows) for place in row}
    lines = [f'<path d="{_path(arrow, x, y)}"/>' for arrow in steps(arrows, rows)]
    lines += [_box(name, x[name], y[name]) for row in rows for name in row if isinstance(name, str)]
    wide = max(middle + width(place) // 2 for place, middle in x.items()) + MARGIN
    high = max(y.values()) + BOX_HEIGHT + MARGIN
    return "\n".join((
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}" role="img" aria-labelledby="t d" font-family="system-ui, sans-serif" font-size="14">',
        '<title id="t">The packages of itukg</title>',
        f'<desc id="d">{_in_words(arrows, rows)}</desc>',
        STYLE,
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L10 5L0 10z"/></marker></defs>',
        f'<rect width="{wide}" height="{high}"/>',
        *lines,
        "</svg>\n",
    ))  # fmt: skip


def _box(name: str, x: int, y: int) -> str:
    """Return the box of a package, with its middle at `x` and its upper edge at `y`."""
    edges = f'x="{x - BOX_WIDTH // 2}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}"'
    return f'<rect class="box" {edges} rx="6"/><text x="{x}" y="{y + 22}">{name}</text>'


def _path(arrow: Sequence[Place], x: Mapping[Place, int], y: Mapping[Place, int]) -> str:
    """Return the line of an arrow: curves between layers, straight past them."""
    path = f"M{x[arrow[0]]} {y[arrow[0]] + BOX_HEIGHT}"
    for above, place in pairwise(arrow):
        middle = (y[above] + BOX_HEIGHT + y[place]) // 2
        path += f"C{x[above]} {middle} {x[place]} {middle} {x[place]} {y[place]}"
        path += "" if place == arrow[-1] else f"V{y[place] + BOX_HEIGHT}"
    return path


def _in_words(arrows: Imports, rows: Sequence[Sequence[Place]]) -> str:
    named = [name for row in rows for name in row if isinstance(name, str) and arrows[name]]
    return " ".join(f"{name} imports {', '.join(sorted(arrows[name]))}." for name in named)


if __name__ == "__main__":
    PICTURE.write_text(drawn(packages()))
