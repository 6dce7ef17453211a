"""Where the things and links of a picture are drawn: columns from left to right, with few lines that cross.

Boxes have the height of their text, and nothing lies over anything else: a line runs level past the boxes and captions of a
column, in a lane of its own, and bends only between them. Of the libraries for layers in Python, grandalf is no longer kept
up, networkx places points without size or lines, and those of other languages are programs to install.
"""

from bisect import bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from math import fsum

from itukg.pictures.content import BOX_WIDTH, CAPTION_HEIGHT, CAPTION_SIZE, CAPTION_WIDTH, Content, contents, lists
from itukg.pictures.model import Edge, Graph, Node
from itukg.pictures.text import width, wrapped

MARGIN, BEND, STUB, GAP, LANE_GAP = 24, 56, 22, 16, 10
"""Pixels around the picture, in which lines bend between columns, that they run level besides, between boxes, and around a lane."""
ROUNDS = 12
"""How often the order within the columns and the places are improved."""


@dataclass(frozen=True)
class Lane:
    """The place of a line where it passes a column."""

    edge: int
    column: int


Place = str | Lane
"""A thing, by its id, or a lane."""


@dataclass
class Port:
    """Where lines reach a box: those that share a caption, or those whose caption stands at the other end."""

    caption: tuple[str, ...]
    edges: list[int] = field(default_factory=list)
    y: float = 0.0

    @property
    def height(self) -> int:
        """The pixels it takes of the side of a box."""
        return len(self.caption) * CAPTION_HEIGHT + 10


@dataclass(frozen=True)
class Box:
    """A thing, or a list of them, with its place: x and y are those of the upper left corner."""

    node: Node
    content: Content
    x: float
    y: float
    height: float


@dataclass(frozen=True)
class Line:
    """A link with its way, as a path of SVG."""

    edge: Edge
    path: str


@dataclass(frozen=True)
class Caption:
    """What is written at the lines that leave a box together: its lines, the last one just above them."""

    lines: Sequence[str]
    x: float
    y: float
    anchor: str


@dataclass(frozen=True)
class Drawing:
    """A picture with all places; `columns` are the left edges of the columns."""

    boxes: Sequence[Box]
    lines: Sequence[Line]
    captions: Sequence[Caption]
    columns: Sequence[float]
    width: float
    height: float


def drawing(graph: Graph) -> Drawing:
    """Return where everything of a graph is drawn, from the upper left corner on; the same graph gives the same places."""
    return _Layout(graph).drawing()


class _Layout:
    def __init__(self, graph: Graph) -> None:
        boxed = lists(graph)
        listed = {edge for _, _, rows in boxed for _, edge in rows}
        self._edges = [*(edge for edge in graph.edges if edge not in listed), *(edge for _, edge, _ in boxed)]
        self._nodes = {node.id: node for node in graph.nodes if not node.aside} | {
            node.id: node for node, _, _ in boxed
        }
        self._number = {node: place for place, node in enumerate(self._nodes)}
        self._contents = contents(graph, boxed)
        self._ports = self._all_ports()
        self._heights = {each: self._height_of(each) for each in self._nodes}
        self._ways = [self._way(number, edge) for number, edge in enumerate(self._edges)]
        self._near: defaultdict[Place, list[Place]] = defaultdict(list)
        for way in self._ways:
            for one, other in pairwise(way):
                self._near[one].append(other)
                self._near[other].append(one)

    def drawing(self) -> Drawing:
        """Return the finished picture."""
        rows = self._in_order(self._rows())
        middles = self._middles(rows)
        top = {place: middle - self._height(place) / 2 for place, middle in middles.items()}
        least = min(top.values(), default=0)
        top = {place: round(y - least, 1) for place, y in top.items()}
        self._place_ports(top)
        lefts, right = self._columns(len(rows))
        boxes = [
            Box(node, self._contents[node.id], lefts[node.column], top[node.id], self._height(node.id))
            for node in self._nodes.values()
        ]
        high = max((top[place] + self._height(place) for place in top), default=0)
        lines = [Line(edge, self._path(number, lefts, top)) for number, edge in enumerate(self._edges)]
        return Drawing(boxes, lines, [*self._captions(lefts)], lefts, right, high)

    # --- what takes room ---

    def _all_ports(self) -> dict[tuple[str, int], list[Port]]:
        """Return the ports of each box by its side: 1 to the right, -1 to the left.

        A caption stands at that end of its lines where more of them meet.
        """
        leaving = Counter((edge.source, edge.caption) for edge in self._edges)
        arriving = Counter((edge.target, edge.caption) for edge in self._edges)
        ports: dict[tuple[str, int], dict[str, Port]] = defaultdict(dict)
        for number, edge in enumerate(self._edges):
            at_source = leaving[edge.source, edge.caption] >= arriving[edge.target, edge.caption]
            for end, other, shown in ((edge.source, edge.target, at_source), (edge.target, edge.source, not at_source)):
                side = 1 if self._nodes[other].column > self._nodes[end].column else -1
                caption = edge.caption if shown else ""
                lines = tuple(wrapped(caption, CAPTION_SIZE, CAPTION_WIDTH, 4))
                ports[end, side].setdefault(caption, Port(lines)).edges.append(number)
        return {side: [*found.values()] for side, found in ports.items()}

    def _height(self, place: Place) -> float:
        return LANE_GAP if isinstance(place, Lane) else self._heights[place]

    def _height_of(self, place: str) -> float:
        return max(
            self._contents[place].height,
            *(sum(port.height for port in self._ports.get((place, side), ())) for side in (1, -1)),
        )

    def _way(self, number: int, edge: Edge) -> list[Place]:
        """Return the places through which a line leads, from left to right."""
        left, right = sorted((edge.source, edge.target), key=lambda end: self._nodes[end].column)
        between = range(self._nodes[left].column + 1, self._nodes[right].column)
        return [left, *(Lane(number, column) for column in between), right]

    # --- the order within the columns ---

    def _rows(self) -> list[list[Place]]:
        """Return the places of each column, as they come."""
        last = max((node.column for node in self._nodes.values()), default=0)
        rows: list[list[Place]] = [[] for _ in range(last + 1)]
        for node in self._nodes.values():
            rows[node.column].append(node.id)
        for way in self._ways:
            for place in way:
                if isinstance(place, Lane):
                    rows[place.column].append(place)
        return rows

    def _in_order(self, rows: list[list[Place]]) -> list[list[Place]]:
        """Return the columns, each in the order in which the fewest lines cross: by the middle of what a place is linked with."""
        rows = [sorted(row, key=lambda place: (self._aside(place), self._rank(place))) for row in rows]
        best, fewest = rows, self._crossings(rows)
        for turn in range(ROUNDS):
            rows = [[*row] for row in rows]
            forth = turn % 2 == 0
            for column in range(1, len(rows)) if forth else range(len(rows) - 2, -1, -1):
                beside = {place: number for number, place in enumerate(rows[column + (-1 if forth else 1)])}
                middle: dict[Place, float] = {}
                for number, place in enumerate(rows[column]):
                    linked = [beside[other] for other in self._near[place] if other in beside]
                    middle[place] = fsum(linked) / len(linked) if linked else number
                rows[column].sort(key=lambda place: (self._aside(place), middle[place], self._rank(place)))
            if (found := self._crossings(rows)) < fewest:
                best, fewest = rows, found
        return best

    def _aside(self, place: Place) -> bool:
        node = self._nodes[self._edges[place.edge].target if isinstance(place, Lane) else place]
        return node.aside

    def _rank(self, place: Place) -> int:
        """Return where a place comes in the order of the graph."""
        return self._number[self._edges[place.edge].target if isinstance(place, Lane) else place]

    def _crossings(self, rows: Sequence[Sequence[Place]]) -> int:
        """Count the lines that cross each other."""
        at = {place: number for row in rows for number, place in enumerate(row)}
        gaps: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        for way in self._ways:
            first = self._nodes[str(way[0])].column
            for gap, (left, right) in enumerate(pairwise(way), first):
                gaps[gap].append((at[left], at[right]))
        found = 0
        for links in gaps.values():
            passed: list[int] = []
            for _, end in sorted(links):
                found += len(passed) - bisect_right(passed, end)
                insort(passed, end)
        return found

    # --- places ---

    def _middles(self, rows: Sequence[Sequence[Place]]) -> dict[Place, float]:
        """Return the middle of each place in pixels: as near to what it is linked with as its neighbours allow.

        All is added up by `fsum`, whose sums are the same in every Python.
        """
        at: dict[Place, float] = {}
        for row in rows:
            at |= self._spread(row, dict.fromkeys(row, 0.0))
        for turn in range(ROUNDS):
            for row in rows if turn % 2 == 0 else reversed(rows):
                wished = {place: self._wished(place, at) for place in row}
                at |= self._spread(row, wished)
        return at

    def _wished(self, place: Place, at: Mapping[Place, float]) -> float:
        linked = self._near[place]
        return fsum(at[other] for other in linked) / len(linked) if linked else at[place]

    def _spread(self, row: Sequence[Place], wished: Mapping[Place, float]) -> dict[Place, float]:
        """Return places near those wished that leave gaps: those that come too close share what they must yield."""
        groups: list[tuple[list[Place], float]] = []  # places one under another, with the upper edge of the first
        for place in row:
            groups.append(([place], wished[place] - self._height(place) / 2))
            while len(groups) > 1 and groups[-2][1] + self._extent(groups[-2][0]) > groups[-1][1]:
                (first, upper), (second, lower) = groups[-2:]
                moved = lower - self._extent(first)
                share = len(second) / (len(first) + len(second))
                groups[-2:] = [([*first, *second], upper + (moved - upper) * share)]
        found: dict[Place, float] = {}
        for group, edge in groups:
            upper = edge
            for place in group:
                found[place] = upper + self._height(place) / 2
                upper += self._height(place) + GAP
        return found

    def _extent(self, group: Sequence[Place]) -> float:
        """Return the pixels of places one under another, with the gap after each."""
        return sum(self._height(place) + GAP for place in group)

    def _place_ports(self, top: Mapping[Place, float]) -> None:
        """Give each port its height: in the order of what its lines lead to, so that they do not cross at the box."""
        for (node, side), ports in self._ports.items():
            middles = {id(port): self._middle_of(port, node, top) for port in ports}
            ports.sort(key=lambda port: middles[id(port)])
            y = top[node] + (self._height(node) - sum(port.height for port in ports)) / 2
            for port in ports:
                y += port.height
                port.y = round(y - 5, 1)
            self._ports[node, side] = ports

    def _middle_of(self, port: Port, node: str, top: Mapping[Place, float]) -> float:
        next_ = [way[1] if way[0] == node else way[-2] for way in (self._ways[number] for number in port.edges)]
        return fsum(top[place] + self._height(place) / 2 for place in next_) / len(next_)

    @cached_property
    def _stubs(self) -> Mapping[tuple[int, int], float]:
        """How far lines run level beside each column, to its right (1) and to its left (-1): past the captions."""
        found: dict[tuple[int, int], float] = {}
        for (node, side), ports in self._ports.items():
            lines = (width(line, CAPTION_SIZE) for port in ports for line in port.caption)
            key = self._nodes[node].column, side
            found[key] = max(found.get(key, 0.0), max(lines, default=0.0) + STUB)
        return found

    def _columns(self, count: int) -> tuple[list[float], float]:
        """Return the left edge of each column, and the right edge of the last one."""
        lefts = [0.0]
        for column in range(count - 1):
            between = self._stubs.get((column, 1), 0.0) + BEND + self._stubs.get((column + 1, -1), 0.0)
            lefts.append(round(lefts[-1] + BOX_WIDTH + between, 1))
        return lefts, lefts[-1] + BOX_WIDTH

    # --- lines and captions ---

    def _path(self, number: int, lefts: Sequence[float], top: Mapping[Place, float]) -> str:
        """Return the way of a line, from its source to its target."""
        way = self._ways[number]
        points: list[tuple[float, float, float, float]] = []  # of each bend: x and y at its left, x and y at its right
        first = self._nodes[str(way[0])].column
        for column, (left, right) in enumerate(pairwise(way), first):
            from_x = lefts[column] + BOX_WIDTH + self._stubs.get((column, 1), 0.0)
            to_x = lefts[column + 1] - self._stubs.get((column + 1, -1), 0.0)
            points.append((from_x, self._y(left, number, 1, top), to_x, self._y(right, number, -1, top)))
        ends = lefts[first] + BOX_WIDTH, lefts[first + len(way) - 1]
        if self._edges[number].source != way[0]:  # it leads from right to left
            points = [(x2, y2, x1, y1) for x1, y1, x2, y2 in reversed(points)]
            ends = ends[1], ends[0]
        path = f"M{ends[0]:g} {points[0][1]:g}"
        for x1, y1, x2, y2 in points:
            middle = (x1 + x2) / 2
            path += f"H{x1:g}C{middle:g} {y1:g} {middle:g} {y2:g} {x2:g} {y2:g}"
        return f"{path}H{ends[1]:g}"

    def _y(self, place: Place, number: int, side: int, top: Mapping[Place, float]) -> float:
        if isinstance(place, Lane):
            return top[place] + LANE_GAP / 2
        return next(port.y for port in self._ports[place, side] if number in port.edges)

    def _captions(self, lefts: Sequence[float]) -> list[Caption]:
        found = []
        for (node, side), ports in self._ports.items():
            left = lefts[self._nodes[node].column]
            x, anchor = (left + BOX_WIDTH + 6, "start") if side == 1 else (left - 17, "end")
            found += [Caption(port.caption, x, port.y - 5, anchor) for port in ports if port.caption]
        return found
