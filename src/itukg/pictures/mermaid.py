"""Pictures as Mermaid, which GitHub, GitLab, wikis and notebooks draw from text."""

import re

from itukg.pictures.model import Graph
from itukg.pictures.text import printable

_ARROWS = {"judged": "-.->", "loose": "-.->", "derived": "-.->"}


def write_mermaid(graph: Graph) -> bytes:
    """Write a graph as a flowchart; what things and links are called is quoted, and nothing in it is read as markup."""
    number = {node.id: f"n{place}" for place, node in enumerate(graph.nodes)}
    lines = [f"%% {' '.join(printable(each).split())}" for each in (graph.title, graph.source) if each]
    lines += ["flowchart LR"]
    for node in graph.nodes:
        label = f"{node.heading}: {node.label}" if node.label else node.heading
        lines.append(f'  {number[node.id]}["{_escaped(label)}"]{":::focus" if node.focus else ""}')
    for edge in graph.edges:
        arrow = _ARROWS.get(edge.backing, "-->")
        lines.append(f'  {number[edge.source]} {arrow}|"{_escaped(edge.caption)}"| {number[edge.target]}')
    lines += [f'  click {number[node.id]} href "{_address(node.id)}"' for node in graph.nodes]
    lines += ["  classDef focus stroke-width:3px"]
    return ("\n".join(lines) + "\n").encode()


def _escaped(text: str) -> str:
    """Return a text within quotes: all but letters, digits, blanks and plain punctuation as entities of Mermaid."""
    plain = " ".join(printable(text).split())
    return re.sub(r"[^\w ,.:()/-]|_", lambda found: f"#{ord(found[0])};", plain)


def _address(iri: str) -> str:
    return re.sub(r'["\\<>\s]', lambda found: f"%{ord(found[0]):02X}", iri)
