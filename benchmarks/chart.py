"""Draws how the service grows: a chart for each query, both axes logarithmic, of the table that benchmarks.curve writes."""

import math
import re
from collections.abc import Sequence
from html import escape

COLUMNS, WIDTH, HEIGHT = 5, 180, 150
"""Charts in a row, and the pixels of each."""
LEFT, TOP = 62, 48
"""Pixels beside and above the charts."""
INNER = (12, 24, WIDTH - 14, HEIGHT - 26)
"""Where lines are drawn in a chart: left, top, right, bottom."""
SLOWEST, FASTEST = 5, -1
"""Powers of ten between which the milliseconds lie."""
LOOKS = (("#00558c", ""), ("#c2410c", "6 3"), ("#7c3aed", "2 3"), ("#3b7d23", "8 3 2 3"), ("#6b7280", "1 4"))
"""Colour and dashes of each server's line, in the order of the table; as many as there are servers."""


def growth(page: str) -> str:
    """Return an SVG of the first table behind `<!-- curve -->` of a page: query, triples, and milliseconds of each server.

    What is no time, such as "status 400", is left out.
    """
    table = re.findall(r"(?:^\|.*\|\n)+", page.partition("<!-- curve -->")[2], re.MULTILINE)[0]
    head, _ruler, *lines = ([cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines())
    servers = head[2:]
    queries = list(dict.fromkeys(line[0] for line in lines))
    sizes = sorted({_number(line[1]) for line in lines})
    across, down = min(COLUMNS, len(queries)), -(-len(queries) // COLUMNS)
    width, height = LEFT + across * WIDTH + 8, TOP + down * HEIGHT + 34
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"',
        'role="img" aria-labelledby="t d" font-family="system-ui, sans-serif" font-size="12" fill="#1b2733">',
        '<title id="t">How the time of a query grows with the data</title>',
        f'<desc id="d">Milliseconds of {len(queries)} queries on {", ".join(servers)} at {len(sizes)} sizes, from',
        f"{min(sizes):,.0f} to {max(sizes):,.0f} triples. The table of the page has the numbers.</desc>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for at, server in enumerate(servers):
        x = LEFT + INNER[0] + at * 150
        parts.append(
            f'<path d="M{x} 24h34" {_look(at)}/><text x="{x + 42}" y="28" font-weight="600">{escape(server)}</text>'
        )
    for at, query in enumerate(queries):
        x, y = LEFT + at % COLUMNS * WIDTH, TOP + at // COLUMNS * HEIGHT
        own = [line for line in lines if line[0] == query]
        parts.append(f'<g transform="translate({x} {y})">{_chart(query, own, sizes, labelled=at % COLUMNS == 0)}</g>')
    parts.append(f'<text x="{LEFT + INNER[0]}" y="{height - 10}">Milliseconds, by the number of triples</text></svg>\n')
    return "\n".join(parts)


def _chart(query: str, lines: Sequence[Sequence[str]], sizes: Sequence[float], *, labelled: bool) -> str:
    left, top, right, bottom = INNER
    parts = [f'<text x="{left}" y="{top - 9}" font-weight="600">{escape(query)}</text>']
    for power in range(FASTEST, SLOWEST + 1):
        y = _height(10**power)
        parts.append(f'<path d="M{left} {y}H{right}" stroke="#dde3e8"/>')
        if labelled and power % 2 == 0:
            parts.append(f'<text x="{left - 8}" y="{y + 4}" text-anchor="end" fill="#44525f">{10**power:,}</text>')
    for size in sizes:
        x = _across(size, sizes)
        parts.append(f'<path d="M{x} {top}V{bottom}" stroke="#dde3e8"/>')
        parts.append(f'<text x="{x}" y="{bottom + 15}" text-anchor="middle" font-size="10">{_short(size)}</text>')
    for at in range(len(lines[0]) - 2):
        points = [
            (_across(_number(line[1]), sizes), _height(_number(line[2 + at])))
            for line in lines
            if _is_time(line[2 + at])
        ]
        path = "L".join(f"{x} {y}" for x, y in points)
        dots = "".join(f'<circle cx="{x}" cy="{y}" r="2.4" fill="{LOOKS[at][0]}"/>' for x, y in points)
        parts.append(f'<path d="M{path}" {_look(at)}/>{dots}' if points else "")
    return "".join(parts)


def _look(server: int) -> str:
    colour, dashes = LOOKS[server]
    return f'fill="none" stroke="{colour}" stroke-width="1.8" stroke-dasharray="{dashes or "none"}"'


def _is_time(cell: str) -> bool:
    return re.match(r"[\d.,]+($| \()", cell) is not None


def _number(cell: str) -> float:
    return float(cell.partition(" ")[0].replace(",", ""))


def _short(size: float) -> str:
    return f"{size / 1e6:.0f} M" if size >= 1e6 else f"{size / 1e3:.0f} k"


def _across(size: float, sizes: Sequence[float]) -> float:
    left, _, right, _ = INNER
    first, last = math.log(min(sizes)), math.log(max(sizes))
    part = (math.log(size) - first) / (last - first) if last > first else 0.5
    return round(left + 14 + part * (right - left - 28), 1)


def _height(milliseconds: float) -> float:
    _, top, _, bottom = INNER
    part = (math.log10(milliseconds) - FASTEST) / (SLOWEST - FASTEST)
    return round(bottom - max(0.0, min(1.0, part)) * (bottom - top), 1)
