"""What the boxes of a picture show: a thing with its heading and label, or a list of the things that stand aside."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from itukg.pictures.model import Edge, Graph, Node
from itukg.pictures.text import wrapped

BOX_WIDTH, PADDING = 250, 9
"""Pixels of a box, and around its text."""
ROW_HEIGHT, ROW_GAP = 14, 3
"""Pixels of a line of a list, and between its things."""
TEXT_SIZE, LINE_HEIGHT, CAPTION_SIZE, CAPTION_HEIGHT, CAPTION_WIDTH = 12, 16, 10.5, 12, 84
"""Pixels of text in boxes and of captions, and how wide a caption may be."""
LINES = ((1, 24), (4, 12), (12, 6), (1_000_000, 3))
"""How many lines of their labels things show by how many stand in a column; the thing that the picture is of stands alone."""
ROW_LINES = ((1, 4), (10, 2), (1_000_000, 1))
"""The same of the things in a list."""


@dataclass(frozen=True)
class Row:
    """A thing in a list, with the link that puts it there, and its text in lines."""

    node: Node
    edge: Edge
    lines: Sequence[str]


@dataclass(frozen=True)
class Content:
    """What a box shows: the heading and label of a thing, or a heading and the things of a list."""

    heading: Sequence[str]
    label: Sequence[str] = ()
    rows: Sequence[Row] = ()

    @property
    def height(self) -> float:
        """The pixels that it takes."""
        text = (len(self.heading) + len(self.label)) * LINE_HEIGHT + 2 * PADDING
        return text + sum(len(row.lines) * ROW_HEIGHT + ROW_GAP for row in self.rows)


BoxedList = tuple[Node, Edge, list[tuple[Node, Edge]]]
"""A list as if it were a thing, the line that leads to it, and what is in it."""


def lists(graph: Graph) -> list[BoxedList]:
    """Return the things that stand aside as lists: those that one thing is linked with in the same way, by class."""
    nodes = {node.id: node for node in graph.nodes}
    found: dict[tuple[str, ...], list[tuple[Node, Edge]]] = {}
    for edge in graph.edges:
        for end, other in ((edge.source, edge.target), (edge.target, edge.source)):
            if nodes[end].aside and not nodes[other].aside:
                plan = nodes[end].plan if nodes[end].plan != nodes[other].plan else ""
                key = other, str(end == edge.source), nodes[end].kind, plan, edge.caption, edge.backing
                found.setdefault(key, []).append((nodes[end], edge))
    return [_list(number, key[0], key[3], rows) for number, (key, rows) in enumerate(found.items())]


def contents(graph: Graph, boxed: Sequence[BoxedList]) -> Mapping[str, Content]:
    """Return what each box shows, by the id of its thing or list."""
    own = [node for node in graph.nodes if not node.aside]
    sizes = Counter(node.column for node in own)
    found = {node.id: _of_thing(node, sizes[node.column]) for node in own}
    return found | {node.id: _of_list(node, rows) for node, _, rows in boxed}


def _list(number: int, other: str, plan: str, rows: list[tuple[Node, Edge]]) -> BoxedList:
    node, edge = rows[0]
    named = f"{node.kind or 'Thing'}{f' of {plan}' if plan else ''}"
    heading = f"{named} ({len(rows)})" if len(rows) > 1 else named
    # No IRI begins with a blank.
    box = Node(f" {number}", "", heading, column=node.column, aside=True)
    ends = {"source": box.id, "target": other} if edge.source == node.id else {"source": other, "target": box.id}
    return box, replace(edge, address="", **ends), rows


def _of_thing(node: Node, beside: int) -> Content:
    """Return heading and label of a box in lines; `beside` is how many things stand in its column."""
    most = BOX_WIDTH - 2 * PADDING
    heading = wrapped(node.heading, TEXT_SIZE, most, 3, bold=True)
    return Content(heading, wrapped(node.label, TEXT_SIZE, most, _lines(LINES, 1 if node.focus else beside)))


def _of_list(node: Node, things: Sequence[tuple[Node, Edge]]) -> Content:
    most, lines = BOX_WIDTH - 2 * PADDING, _lines(ROW_LINES, len(things))
    rows = [
        Row(each, edge, wrapped(" ".join(filter(None, (each.notation, each.label))), CAPTION_SIZE, most, lines))
        for each, edge in things
    ]
    return Content(wrapped(node.heading, TEXT_SIZE, most, 2, bold=True), rows=rows)


def _lines(known: Sequence[tuple[int, int]], count: int) -> int:
    return next(lines for most, lines in known if count <= most)
