"""Pictures as SVG: complete in themselves, without script, readable in light and dark, with a link at each thing."""

from collections.abc import Iterable, Mapping, Sequence

from itukg import names
from itukg.pictures.content import (
    BOX_WIDTH,
    CAPTION_HEIGHT,
    CAPTION_SIZE,
    LINE_HEIGHT,
    PADDING,
    ROW_GAP,
    ROW_HEIGHT,
    TEXT_SIZE,
    Row,
)
from itukg.pictures.layout import MARGIN, Box, Caption, Line, drawing
from itukg.pictures.model import STRUCTURE, Graph, sentence, told
from itukg.pictures.text import wrapped, xml

TITLE_SIZE, TITLE_HEIGHT = 16, 22
INK, PAPER, SOFT, LINE, LINK, FAINT, FOCUS = "#1b2733", "#ffffff", "#f2f5f8", "#5b6b7a", "#00558c", "#4a5866", "#d7e9f7"
"""The colours in light; STYLE has those in dark."""
STYLE = (
    "<style>text{font-family:system-ui,sans-serif}a:hover .box,a:focus .box,a:hover .cell,a:focus .cell{stroke-width:3}"
    "@media (prefers-color-scheme:dark){.paper{fill:#12181f}.box{fill:#1c2530;stroke:#7cc0f0}.focus{fill:#123652}"
    ".line{stroke:#9fb0c0}.head{fill:#9fb0c0}text{fill:#e4eaf0}.faint{fill:#aebbc7}.heading{fill:#9bd0f5}.count{fill:#fff}.rule{stroke:#34414f}}"
    "</style>"
)
LOOKS = {
    STRUCTURE: ("", "the document's own order"),
    "stated": ("", "stated by the document"),
    "close": ("", "close: words kept or revised"),
    "reference": ("9 3", "from a reference scheme"),
    "judged": ("6 4", "judged by a reader"),
    "loose": ("6 4", "loose: merged, split or in other words"),
    "derived": ("2 4", "derived by a rule"),
}
"""How a line is dashed by what its link rests on, and what the key says of it."""
THIN, THICK = 1.1, 1.9


def write_svg(graph: Graph) -> bytes:
    """Write a graph as a picture: its things in columns, its links as arrows from one to another."""
    drawn = drawing(graph)
    wide = max(drawn.width, 480) + 2 * MARGIN
    heads, top = header(graph.title, wide)
    headings = [wrapped(heading, TEXT_SIZE, BOX_WIDTH, 3) for heading in graph.columns]
    for left, lines in zip(drawn.columns, headings, strict=False):
        heads += [_text(line, MARGIN + left, top + LINE_HEIGHT * n, "faint") for n, line in enumerate(lines, 1)]
    top += LINE_HEIGHT * max(map(len, headings), default=0) + 14
    parts = [
        *_lines(drawn.lines, {box.node.id: box.node.heading for box in drawn.boxes}),
        *map(_box, drawn.boxes),
        *(part for each in drawn.captions for part in _caption(each)),
    ]
    key, below = _key(graph, top + drawn.height + 34)
    foot, high = footer(graph.source, below, wide)
    moved = f'<g transform="translate({MARGIN} {top:g})">'
    return document(
        graph.title,
        graph.sentences() or [node.text for node in graph.nodes],
        wide,
        high,
        [*heads, moved, *parts, "</g>", *key, *foot],
    )


def document(title: str, sentences: Iterable[str], wide: float, high: float, parts: Iterable[str]) -> bytes:
    """Return an SVG with these parts, with its title, and with its content in words for those who cannot see it."""
    return "\n".join((
        f'<svg xmlns="{names.SVG}" width="{wide:g}" height="{high:g}" viewBox="0 0 {wide:g} {high:g}" role="graphics-document document" aria-labelledby="title desc" font-family="system-ui, sans-serif" font-size="{TEXT_SIZE}">',
        f'<title id="title">{xml(title)}</title>',
        f'<desc id="desc">{xml(". ".join(sentences))}.</desc>',
        STYLE,
        f'<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto"><path class="head" fill="{LINE}" d="M0 0L10 5L0 10z"/></marker></defs>',
        f'<rect class="paper" fill="{PAPER}" width="{wide:g}" height="{high:g}"/>',
        *parts,
        "</svg>\n",
    )).encode()  # fmt: skip


def header(title: str, wide: float) -> tuple[list[str], float]:
    """Return the title at the top of a picture, and where what comes below it begins."""
    lines = wrapped(title, TITLE_SIZE, wide - 2 * MARGIN, 6, bold=True)
    found = [
        f'<text x="{MARGIN}" y="{MARGIN + TITLE_HEIGHT * n - 6}" font-size="{TITLE_SIZE}" font-weight="700" fill="{INK}">{xml(line)}</text>'
        for n, line in enumerate(lines, 1)
    ]
    return found, MARGIN + TITLE_HEIGHT * len(lines)


def footer(source: str, top: float, wide: float) -> tuple[list[str], float]:
    """Return the line on where a picture comes from, at its end, and the height of the whole picture."""
    lines = wrapped(source, CAPTION_SIZE, wide - 2 * MARGIN, 4)
    found = [_text(line, MARGIN, top + 14 * n, "faint", size=CAPTION_SIZE) for n, line in enumerate(lines, 1)]
    return found, round(top + 14 * len(lines) + MARGIN, 1)


def _text(text: str, x: float, y: float, kind: str, *, size: float = TEXT_SIZE, anchor: str = "start") -> str:
    colour = {"faint": FAINT, "heading": LINK}.get(kind, INK)
    bold = ' font-weight="700"' if kind == "heading" else ""
    shown = "" if size == TEXT_SIZE else f' font-size="{size:g}"'
    at = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" fill="{colour}"{bold}{shown}{at}>{xml(text)}</text>'


def linked(address: str, content: str) -> str:
    """Return a part of a picture that leads to an address, if there is one."""
    return f'<a href="{xml(address)}">{content}</a>' if address else content


def _box(box: Box) -> str:
    node, content, x, y = box.node, box.content, box.x, box.y
    kind, fill = ("box focus", FOCUS) if node.focus else ("box", SOFT)
    edges = f'x="{x:g}" y="{y:g}" width="{BOX_WIDTH}" height="{box.height:g}" rx="6"'
    frame = f'<rect class="{kind}" {edges} fill="{fill}" stroke="{LINK}" stroke-width="{2.4 if node.focus else 1.2}"/>'
    at = y + (box.height - content.height) / 2 + PADDING - 4
    shown = ""
    for kind_of, lines in (("heading", content.heading), ("label", content.label)):
        for line in lines:
            at += LINE_HEIGHT
            shown += _text(line, x + PADDING, at, kind_of)
    if content.rows:
        return f'<g class="list">{frame}{shown}{_rows(content.rows, x + PADDING, at)}</g>'
    title = f"<title>{xml(node.text)}</title>"
    return f'<g class="node" data-id="{xml(node.id)}">{linked(node.address, title + frame + shown)}</g>'


def _rows(rows: Sequence[Row], x: float, at: float) -> str:
    """Return the things of a list, one under another."""
    found = ""
    for row in rows:
        at += ROW_GAP
        shown = f"<title>{xml(row.node.text)} ({told(row.edge)})</title>"
        for line in row.lines:
            at += ROW_HEIGHT
            shown += _text(line, x, at, "label", size=CAPTION_SIZE)
        found += f'<g class="node" data-id="{xml(row.node.id)}">{linked(row.node.address, shown)}</g>'
    return found


def _lines(lines: Sequence[Line], headings: Mapping[str, str]) -> list[str]:
    found = []
    for each in lines:
        edge = each.edge
        said = sentence(edge, headings)
        drawn = f'<title>{xml(said)}</title><path class="line" d="{each.path}" {_stroke(edge.backing)} marker-end="url(#head)"/>'
        found.append(f'<g class="edge">{linked(edge.address, drawn)}</g>')
    return found


def _stroke(backing: str) -> str:
    dashes = LOOKS[backing][0]
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'fill="none" stroke="{LINE}" stroke-width="{THIN if backing == STRUCTURE else THICK}"{dashed}'


def _caption(caption: Caption) -> list[str]:
    last = len(caption.lines) - 1
    return [
        _text(
            line,
            caption.x,
            caption.y - CAPTION_HEIGHT * (last - n),
            "caption",
            size=CAPTION_SIZE,
            anchor=caption.anchor,
        )
        for n, line in enumerate(caption.lines)
    ]


def _key(graph: Graph, top: float) -> tuple[list[str], float]:
    """Return what the lines of a picture mean, and where what comes below begins; nothing where there are no lines."""
    used = {edge.backing for edge in graph.edges}
    found = []
    y = top
    for backing, (_, said) in LOOKS.items():
        if backing in used:
            found += [
                f'<path class="line" d="M{MARGIN} {y - 4:g}h40" {_stroke(backing)}/>',
                _text(said, MARGIN + 50, y, "faint", size=CAPTION_SIZE),
            ]
            y += 16
    return found, y - 6
