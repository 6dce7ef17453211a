"""Pictures as DOT, the language of Graphviz."""

from itukg.pictures.model import STRUCTURE, Edge, Graph, Node
from itukg.pictures.text import printable, wrapped

_LINE = 230
"""Pixels of a line of a label, which Graphviz does not break itself."""
_STYLES = {"judged": "dashed", "loose": "dashed", "derived": "dotted"}


def write_dot(graph: Graph) -> bytes:
    """Write a graph as a `digraph`; what a thing or link has besides its label is in attributes that Graphviz ignores."""
    number = {node.id: f"n{place}" for place, node in enumerate(graph.nodes)}
    return "\n".join((
        "digraph itukg {",
        f"  graph [rankdir=LR, label={_quoted(graph.title)}, labelloc=t, comment={_quoted(graph.source)}];",
        '  node [shape=box, style=rounded, fontname="sans-serif"];',
        '  edge [fontname="sans-serif", fontsize=10];',
        *(f"  {number[node.id]} {_attributes(_of_node(node))};" for node in graph.nodes),
        *(f"  {number[each.source]} -> {number[each.target]} {_attributes(_of_edge(each))};" for each in graph.edges),
        "}\n",
    )).encode()  # fmt: skip


def _of_node(node: Node) -> dict[str, str]:
    lines = [node.heading, *wrapped(node.label, 12, _LINE, 1000)]
    return {
        "label": "\\n".join(map(_escaped, lines)),
        "URL": _escaped(node.id),
        "tooltip": _escaped(node.text),
        "class": _escaped(node.type),
        "notation": _escaped(node.notation),
        "plan": _escaped(node.plan),
        "penwidth": "2" if node.focus else "",
    }


def _of_edge(edge: Edge) -> dict[str, str]:
    found = {"label": edge.label, "predicate": edge.predicate, "basis": edge.basis, "strength": edge.strength}
    style = _STYLES.get(edge.backing, "")
    return {name: _escaped(value) for name, value in found.items()} | {
        "style": style,
        "penwidth": "" if edge.backing == STRUCTURE else "1.5",
    }


def _attributes(values: dict[str, str]) -> str:
    shown = ", ".join(f'{name}="{value}"' for name, value in values.items() if value)
    return f"[{shown}]"


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    """Return a text within quotes, in which Graphviz reads no escapes and no entities."""
    plain = " ".join(printable(text).split())
    return plain.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
