"""Pictures: things and links as SVG, GraphML, DOT and Mermaid, drawn without another program."""

from collections.abc import Callable, Mapping

from itukg.errors import BadRequest
from itukg.formats import DOT, GRAPHML, MERMAID, SVG, Format
from itukg.pictures.dot import write_dot
from itukg.pictures.graphml import write_graphml
from itukg.pictures.heatmap import Field, Head, HeatMap, write_heat_map
from itukg.pictures.mermaid import write_mermaid
from itukg.pictures.model import Edge, Graph, Node
from itukg.pictures.svg import write_svg

__all__ = [
    "MAX_CELLS",
    "MAX_DRAWN",
    "Edge",
    "Field",
    "Graph",
    "Head",
    "HeatMap",
    "Node",
    "Picture",
    "write_picture",
]

_WRITERS: Mapping[Format, Callable[[Graph], bytes]] = {
    SVG: write_svg,
    MERMAID: write_mermaid,
    GRAPHML: write_graphml,
    DOT: write_dot,
}
MAX_DRAWN = {SVG: (200, 600), MERMAID: (200, 500), DOT: (5_000, 10_000), GRAPHML: (5_000, 10_000)}
"""Things and links that a picture holds at most, by syntax: a page of people's size, what Mermaid draws, what programs lay out."""
MAX_CELLS = 4_000
"""Cells of a heat map at most."""


Picture = Graph | HeatMap


def write_picture(picture: Picture, syntax: Format) -> bytes:
    """Write a picture in one of PICTURE_FORMATS; a heat map is SVG. Raises BadRequest for more than it holds."""
    if isinstance(picture, HeatMap):
        cells = len(picture.rows) * len(picture.columns)
        if cells > MAX_CELLS:
            raise BadRequest(f"{cells} cells are more than the {MAX_CELLS} that a picture holds; {picture.narrower}.")
        return write_heat_map(picture)
    nodes, edges = MAX_DRAWN[syntax]
    if len(picture.nodes) > nodes or len(picture.edges) > edges:
        larger = [each.name for each, most in MAX_DRAWN.items() if most[0] > nodes]
        instead = f", or ask for {' or '.join(larger)}" if larger else ""
        raise BadRequest(
            f"{len(picture.nodes)} things and {len(picture.edges)} links are more than the {nodes} and {edges} that "
            f"{syntax.name} holds; {picture.narrower}{instead}."
        )
    return _WRITERS[syntax](picture)
