"""What a picture is of: things in columns, and links between them. Each syntax is written from this."""

from collections.abc import Mapping
from dataclasses import dataclass

from itukg import names

STRUCTURE = "structure"
"""What a link rests on that no Linkage backs: the order in which a document puts its things."""


@dataclass(frozen=True)
class Node:
    """A thing: what it and its class are called, its plan, and where it is drawn.

    `type` is the class as JSON-LD names it; `address` leads to it on this service; `column` counts from the left; `focus` marks the thing that the picture is
    of; what stands `aside` comes after the others of its column.
    """

    id: str
    label: str
    kind: str = ""
    notation: str = ""
    plan: str = ""
    type: str = ""
    address: str = ""
    column: int = 0
    focus: bool = False
    aside: bool = False

    @property
    def heading(self) -> str:
        """Its class and code, such as "Output 2.1"; the short form of its IRI where it has neither."""
        return " ".join(filter(None, (self.kind, self.notation))) or names.shorten(self.id)

    @property
    def named(self) -> str:
        """Heading and plan, such as "Output 2.1 of buap-2018-2021"."""
        return f"{self.heading} of {self.plan}" if self.plan else self.heading

    @property
    def text(self) -> str:
        """Its whole name in one line: heading, plan and label."""
        return f"{self.named}: {self.label}" if self.label else self.named


@dataclass(frozen=True)
class Edge:
    """A link from one thing to another by a property; `label` is what the property is called.

    `basis` is what the link rests on, "" where no Linkage backs it; `strength` is "close", "loose" or "".
    """

    source: str
    target: str
    predicate: str
    label: str
    basis: str = ""
    strength: str = ""
    address: str = ""

    @property
    def backing(self) -> str:
        """What chooses how the line is drawn: the strength, else the basis, else STRUCTURE."""
        return self.strength or self.basis or STRUCTURE

    @property
    def caption(self) -> str:
        """What is written at the line; only a loose link says so."""
        return f"{self.label} (loose)" if self.strength == "loose" else self.label


@dataclass(frozen=True)
class Graph:
    """Things and links, with the headings of the columns, a title, and a line that tells where all comes from.

    `narrower` says what to ask for where a picture cannot hold it all.
    """

    title: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    columns: tuple[str, ...] = ()
    source: str = ""
    narrower: str = ""

    def sentences(self) -> list[str]:
        """Return each link in words, such as "Output 2.1 delivers outcome Outcome 2.1 (stated)"."""
        headings = {node.id: node.heading for node in self.nodes}
        return [sentence(edge, headings) for edge in self.edges]


def told(edge: Edge) -> str:
    """Return what a link rests on, in words: basis and strength."""
    return ", ".join(filter(None, (edge.basis, edge.strength))) or STRUCTURE


def sentence(edge: Edge, headings: Mapping[str, str]) -> str:
    """Return a link in words; `headings` is what things are called."""
    return f"{headings[edge.source]} {edge.label} {headings[edge.target]} ({told(edge)})"
