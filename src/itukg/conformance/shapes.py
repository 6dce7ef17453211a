"""Shapes as others write them: what checks nothing, which shape refers to which, and what the engine is given."""

import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

import rdflib
from rdflib.namespace import OWL, RDF, RDFS, SH
from rdflib.term import Node

from itukg import names
from itukg.conformance.patterns import to_python
from itukg.conformance.refused import ANNOTATIONS, refuse
from itukg.errors import ShapesRefused

Referred = dict[Node, set[Node]]

TARGETS = (SH.targetClass, SH.targetNode, SH.targetSubjectsOf, SH.targetObjectsOf)
_SHAPE_EXPECTING = (SH.property, SH.node, SH["not"], SH.qualifiedValueShape)
_LISTS_OF_SHAPES = (SH["and"], SH["or"], SH.xone)
_PARAMETERS = tuple(
    SH[name]
    for name in (
        "class", "closed", "datatype", "disjoint", "equals", "hasValue", "in", "languageIn", "lessThan", "lessThanOrEquals",
        "maxCount", "maxExclusive", "maxInclusive", "maxLength", "minCount", "minExclusive", "minInclusive", "minLength",
        "nodeKind", "pattern", "sparql", "uniqueLang",
    )
)  # fmt: skip
"""The other parameters that make a shape of their subject (SHACL, 2.1)."""
_MESSAGE = re.compile(r"[?$]message\b")
BOUND_MESSAGE = "itukg:message {?message}"
"""A message that the engine is given for what a query binds to ?message, which it leaves out (SHACL, 5.3.2)."""


def referred(shapes: rdflib.Graph) -> Referred:
    """Return the shapes to which each shape refers (SHACL, 3.4.3), by parameters that take a shape or a list of them."""
    found: Referred = {}
    for parameter in _SHAPE_EXPECTING:
        for shape, other in shapes.subject_objects(parameter):
            found.setdefault(shape, set()).add(other)
    for parameter in _LISTS_OF_SHAPES:
        for shape, list_ in shapes.subject_objects(parameter):
            found.setdefault(shape, set()).update(members(list_, shapes))
    return found


def in_order(references: Referred) -> list[Node]:
    """Return shapes so that each comes before those to which it refers. Raises ShapesRefused for recursive shapes."""
    try:
        return [*TopologicalSorter(references).static_order()][::-1]
    except CycleError as error:
        # A blank node names nothing to a reader.
        circle = sorted({names.shorten(str(shape)) for shape in error.args[1] if isinstance(shape, rdflib.URIRef)})
        raise ShapesRefused(
            f"The shapes refer to themselves, in a circle through {', '.join(circle) or 'shapes without an IRI'}: what "
            "recursive shapes mean is not defined (SHACL, 3.4.3). Break the circle."
        ) from None


def targeting_classes(shapes: rdflib.Graph) -> set[Node]:
    """Return the shapes that are classes, and so target their own instances (SHACL, 2.1.3.3)."""
    classes = _instances(RDFS.Class, shapes) | _instances(OWL.Class, shapes)
    return classes & _declared(shapes).union(*(shapes.subjects(each) for each in _PARAMETERS))


def targeted(shapes: rdflib.Graph) -> set[Node]:
    """Return the shapes that have a target."""
    return targeting_classes(shapes) | {shape for target in TARGETS for shape in shapes.subjects(target)}


def deactivated(shapes: rdflib.Graph) -> set[Node]:
    """Return the shapes that are switched off."""
    return {shape for shape, value in shapes.subject_objects(SH.deactivated) if str(value) in ("true", "1")}


def unused(shapes: rdflib.Graph) -> list[Node]:
    """Return the shapes that check nothing, whatever the data: they have no target, and no shape refers to them."""
    used = targeted(shapes).union(*referred(shapes).values())
    return sorted(_declared(shapes) - used - deactivated(shapes), key=str)


def _declared(shapes: rdflib.Graph) -> set[Node]:
    """Return the shapes that say that they are one, or refer to one."""
    return _instances(SH.NodeShape, shapes) | _instances(SH.PropertyShape, shapes) | referred(shapes).keys()


def _instances(kind: Node, shapes: rdflib.Graph) -> set[Node]:
    """Return the instances of a class and of its subclasses."""
    kinds = shapes.transitive_subjects(RDFS.subClassOf, kind)
    return {each for narrower in kinds for each in shapes.subjects(RDF.type, narrower)}


def prepared(shapes: rdflib.Graph) -> rdflib.Graph:
    """Return a copy of the shapes that the engine applies as the specification says.

    Raises ShapesRefused for recursive shapes, which the specification leaves undefined, and for what would be ignored.
    """
    refuse(shapes)
    references = referred(shapes)
    in_order(references)
    for other in sorted(set().union(*references.values()), key=str):
        if isinstance(other, rdflib.URIRef) and (other, None, None) not in shapes:
            raise ShapesRefused(
                f"The shapes refer to {names.shorten(str(other))} but do not describe it, so it would check nothing. Send it "
                "with them: owl:imports is not followed."
            )
    copy = rdflib.Graph(store="SimpleMemory")
    copy += shapes
    for term in ANNOTATIONS:
        copy.remove((None, rdflib.URIRef(names.SH + term), None))
    for shape in set(shapes.subjects(SH.ignoredProperties)) - set(shapes.subjects(SH.closed)):
        copy.remove((shape, SH.ignoredProperties, None))
    for constraint, query in shapes.subject_objects(SH.select):
        if _MESSAGE.search(str(query)):
            copy.add((constraint, SH.message, rdflib.Literal(BOUND_MESSAGE)))
    for shape in targeting_classes(shapes):
        copy.add((shape, RDF.type, RDFS.Class))  # The engine looks at no subclass of it
        copy.add((shape, RDF.type, SH.NodeShape))  # and at no parameter but those that take shapes.
    for shape in set(shapes.subjects(SH.pattern)):
        _translate_patterns(shape, copy)
    return copy


def _translate_patterns(shape: Node, shapes: rdflib.Graph) -> None:
    """Write the patterns of a shape for the engine, which reads regular expressions of Python and two flags only."""
    flags = list(shapes.objects(shape, SH.flags))
    patterns = list(shapes.objects(shape, SH.pattern))
    if len(flags) > 1 or not all(isinstance(each, rdflib.Literal) for each in (*flags, *patterns)):
        return  # not well-formed, which the engine says
    shapes.remove((shape, SH.flags, None))
    for pattern in patterns:
        shapes.remove((shape, SH.pattern, pattern))
        shapes.add((shape, SH.pattern, rdflib.Literal(to_python(str(pattern), "".join(map(str, flags))))))


def members(head: Node, shapes: rdflib.Graph) -> Iterator[Node]:
    """Yield the members of a list; one that has no end is the engine's to refuse."""
    seen: set[Node] = set()
    rest: Node | None = head
    while rest is not None and rest not in seen and (first := shapes.value(rest, RDF.first)) is not None:
        seen.add(rest)
        yield first
        rest = shapes.value(rest, RDF.rest)
