"""RDF written as Python has it: a thing, its properties by prefixed name, their values."""

from collections.abc import Iterator, Mapping, Sequence

import pyoxigraph as ox

from itukg import names

A = ox.NamedNode(names.RDF_TYPE)

Value = str | ox.NamedNode | ox.Literal
Facts = Mapping[str, Value | Sequence[Value]]
"""Prefixed property (or `a`) → its values; a text is an IRI or a prefixed name."""


def triples_of(subject: str, facts: Facts) -> Iterator[ox.Triple]:
    """Return the triples that say `facts` of `subject`, an IRI."""
    for name, values in facts.items():
        predicate = A if name == "a" else node(name)
        for value in [values] if isinstance(values, Value) else values:
            yield ox.Triple(ox.NamedNode(subject), predicate, node(value) if isinstance(value, str) else value)


def node(text: str) -> ox.NamedNode:
    """Return the node of an IRI or a prefixed name."""
    return ox.NamedNode(names.expand(text))


def literal(text: str, language: str | None = None, datatype: str | None = None) -> ox.Literal:
    """Return a literal; `datatype` is a prefixed name."""
    return ox.Literal(text, language=language, datatype=node(datatype) if datatype else None)
