"""A matrix as a picture: a field for each cell, in the colour of its state, with its count."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from itukg.pictures.content import LINE_HEIGHT, TEXT_SIZE
from itukg.pictures.layout import MARGIN
from itukg.pictures.svg import FAINT, INK, LINK, document, footer, header, linked
from itukg.pictures.text import width, wrapped, xml

LABEL_WIDTH, HEAD_LENGTH = 300, 170
"""Pixels of what rows are called, and how long what columns are called may be."""
CELL_HEIGHT, CELL_WIDTH, BAND = 34, 36, 14
"""Pixels of a cell, and of a line of what a column is called."""
SMALL = 10.5

LOOKS = {
    "stated": ("#1b6e3c", 3, "stated by a document"),
    "reference": ("#00558c", 0, "from a reference scheme"),
    "judged": ("#6b3fa0", 9, "judged by a reader"),
    "derived close": ("#8a5a00", 15, "derived by a rule, close"),
    "derived loose": ("#a04a10", 15, "derived by a rule, loose"),
    "all": ("#5b6b7a", 3, "one statement speaks of all"),
    "gap": ("#a4161a", 3, "left open by the document"),
}
"""State → the colour of its cells, how round they are, for who cannot tell the colours, and what the key says of it."""
COUNTED, FRAMED = tuple(LOOKS)[:5], ("gap",)
"""The states that count something; a word stands for each of the others, in some with a frame."""


@dataclass(frozen=True)
class Head:
    """What a row or a column is called: its code and label, and where it stands."""

    code: str
    label: str
    address: str = ""

    @property
    def text(self) -> str:
        """Code and label."""
        return ": ".join(filter(None, (self.code, self.label)))


@dataclass(frozen=True)
class Field:
    """A cell that is not empty: what it counts, its state, all about it in words, and where it stands."""

    count: int
    state: str
    text: str
    address: str = ""


@dataclass(frozen=True)
class HeatMap:
    """Rows and columns, and the cells by their numbers, from 0; title, source and `narrower` as of a graph."""

    title: str
    rows: Sequence[Head]
    columns: Sequence[Head]
    fields: Mapping[tuple[int, int], Field]
    source: str = ""
    narrower: str = ""


def write_heat_map(found: HeatMap) -> bytes:
    """Write a matrix as SVG. What rows and columns are called is cut where it is long, with an ellipsis."""
    codes = max((width(row.code, TEXT_SIZE, bold=True) for row in found.rows), default=0.0)
    left = MARGIN + min(codes, 160) + LABEL_WIDTH + 20
    wide = max(left + CELL_WIDTH * len(found.columns) + MARGIN, 640)
    heads, top = header(found.title, wide)
    names = [_column_texts(column) for column in found.columns]
    longest = max((width(line, SMALL, bold=True) for lines in names for line in lines), default=0.0)
    top += longest + 14
    parts = [
        part for n, each in enumerate(zip(found.columns, names, strict=True)) for part in _column(n, *each, left, top)
    ]
    for number, row in enumerate(found.rows):
        parts += _row(row, top + CELL_HEIGHT * number, left, min(codes, 160), len(found.columns))
    most = max((field.count for field in found.fields.values()), default=1)
    parts += [
        _field(field, left + CELL_WIDTH * column, top + CELL_HEIGHT * row, most)
        for (row, column), field in sorted(found.fields.items())
    ]
    key, below = _key(found, top + CELL_HEIGHT * len(found.rows) + 30)
    foot, high = footer(found.source, below, wide)
    sentences = [field.text for _, field in sorted(found.fields.items())] or ["No cell has a link"]
    return document(found.title, sentences, wide, high, [*heads, *parts, *key, *foot])


def _column_texts(column: Head) -> list[str]:
    """Return what a column is called, in the lines that fit into its width."""
    return wrapped(f"{column.code} {column.label}", SMALL, HEAD_LENGTH, CELL_WIDTH // BAND)


def _column(number: int, column: Head, lines: Sequence[str], left: float, top: float) -> list[str]:
    x = left + CELL_WIDTH * number + (CELL_WIDTH - BAND * len(lines)) / 2 + 11
    shown = ""
    for n, line in enumerate(lines):
        at = f'transform="translate({x + BAND * n:g} {top - 8:g}) rotate(-90)" font-size="{SMALL}"'
        text = xml(line)
        if n == 0 and line.startswith(column.code):
            code = f'<tspan class="heading" fill="{LINK}" font-weight="700">{xml(column.code)}</tspan>'
            text = code + xml(line.removeprefix(column.code))
        shown += f'<text class="label" fill="{INK}" {at}>{text}</text>'
    title = f"<title>{xml(column.text)}</title>"
    return [f'<g class="node">{linked(column.address, title + shown)}</g>']


def _row(row: Head, y: float, left: float, codes: float, columns: int) -> list[str]:
    lines = wrapped(row.label, SMALL, LABEL_WIDTH, 2)
    middle = y + CELL_HEIGHT / 2 + 4
    code = " ".join(wrapped(row.code, TEXT_SIZE, codes + 1, 1, bold=True))
    shown = f'<text class="heading" x="{MARGIN}" y="{middle:g}" font-weight="700" fill="{LINK}">{xml(code)}</text>'
    for n, line in enumerate(lines):
        at = middle + (n - (len(lines) - 1) / 2) * 13
        shown += f'<text class="label" x="{MARGIN + codes + 10:g}" y="{at:g}" font-size="{SMALL}" fill="{INK}">{xml(line)}</text>'
    rule = f'<path class="rule" d="M{MARGIN} {y:g}H{left + CELL_WIDTH * columns:g}" stroke="#d5dde5"/>'
    return [rule, f'<g class="node">{linked(row.address, f"<title>{xml(row.text)}</title>{shown}")}</g>']


def _field(field: Field, x: float, y: float, most: int) -> str:
    colour, radius, _ = LOOKS[field.state]
    edges = f'x="{x + 2:g}" y="{y + 2:g}" width="{CELL_WIDTH - 4}" height="{CELL_HEIGHT - 4}" rx="{radius}"'
    middle = f'x="{x + CELL_WIDTH / 2:g}" y="{y + CELL_HEIGHT / 2 + 4:g}" text-anchor="middle"'
    if field.count:
        # The more it counts, the fuller the colour; white is readable on the palest one.
        drawn = f'<rect class="cell" {edges} fill="{colour}" fill-opacity="{0.72 + 0.28 * field.count / most:.2f}" stroke="{colour}"/>'
        shown = f'<text class="count" {middle} fill="#ffffff" font-weight="700">{field.count}</text>'
    else:
        framed = f'stroke="{colour}" stroke-dasharray="3 3"' if field.state in FRAMED else 'stroke="none"'
        drawn = f'<rect class="cell" {edges} fill="none" {framed} pointer-events="all"/>'
        shown = f'<text class="faint" {middle} font-size="{SMALL}" fill="{FAINT}">{xml(field.state)}</text>'
    return f'<g class="field">{linked(field.address, f"<title>{xml(field.text)}</title>{drawn}{shown}")}</g>'


def _key(found: HeatMap, top: float) -> tuple[list[str], float]:
    """Return what the colours mean, and where what comes below begins."""
    states = Counter(field.state for field in found.fields.values())
    parts, y = [], top
    for state, (colour, radius, said) in LOOKS.items():
        if not states[state]:
            continue
        look = f'fill="{colour}"' if state in COUNTED else f'fill="none" stroke="{colour}" stroke-dasharray="3 3"'
        if state in (*COUNTED, *FRAMED):
            parts.append(f'<rect x="{MARGIN}" y="{y - 10:g}" width="14" height="14" rx="{radius / 2:g}" {look}/>')
        else:
            parts.append(
                f'<text class="faint" x="{MARGIN}" y="{y + 1:g}" font-size="{SMALL}" fill="{FAINT}">{state}</text>'
            )
        told = f"{said}: {states[state]} cell{'' if states[state] == 1 else 's'}"
        parts.append(
            f'<text class="faint" x="{MARGIN + 22}" y="{y + 1:g}" font-size="{SMALL}" fill="{FAINT}">{xml(told)}</text>'
        )
        y += LINE_HEIGHT + 2
    return parts, y - 4
