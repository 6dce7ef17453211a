"""Pictures as GraphML, with typed attributes, for networkx, Gephi, igraph and yEd."""

from collections.abc import Mapping

from itukg import names
from itukg.pictures.model import Edge, Graph, Node
from itukg.pictures.text import xml

NODE_KEYS = {"label": "string", "class": "string", "notation": "string", "plan": "string", "focus": "boolean"}
EDGE_KEYS = {"predicate": "string", "label": "string", "basis": "string", "strength": "string"}
"""The attributes of things and of links, with their types; one without a value is left out."""


def write_graphml(graph: Graph) -> bytes:
    """Write a graph as GraphML; the id of a node is the IRI of its thing."""
    keys = [
        f'<key id="{owner}-{name}" for="{owner}" attr.name="{name}" attr.type="{kind}"/>'
        for owner, known in (("node", NODE_KEYS), ("edge", EDGE_KEYS))
        for name, kind in known.items()
    ]
    nodes = [f'<node id="{xml(node.id)}">{_data("node", _of_node(node))}</node>' for node in graph.nodes]
    edges = [
        f'<edge id="e{number}" source="{xml(edge.source)}" target="{xml(edge.target)}">{_data("edge", _of_edge(edge))}</edge>'
        for number, edge in enumerate(graph.edges)
    ]
    return "\n".join((
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<graphml xmlns="{names.GRAPHML}">',
        f"<desc>{xml('. '.join(filter(None, (graph.title, graph.source))))}</desc>",
        *keys,
        '<graph id="itukg" edgedefault="directed">',
        *nodes,
        *edges,
        "</graph>",
        "</graphml>\n",
    )).encode()  # fmt: skip


def _of_node(node: Node) -> dict[str, str]:
    return {
        "label": f"{node.heading}: {node.label}" if node.label else node.heading,
        "class": node.type,
        "notation": node.notation,
        "plan": node.plan,
        "focus": "true" if node.focus else "false",
    }


def _of_edge(edge: Edge) -> dict[str, str]:
    return {name: getattr(edge, name) for name in EDGE_KEYS}


def _data(owner: str, values: Mapping[str, str]) -> str:
    return "".join(f'<data key="{owner}-{name}">{xml(value)}</data>' for name, value in values.items() if value)
