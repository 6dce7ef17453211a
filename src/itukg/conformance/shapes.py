"""Shapes as others write them: what is refused, what checks nothing, and which shape refers to which."""

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

import rdflib
from rdflib.namespace import OWL, RDF, RDFS, SH
from rdflib.term import Node

from itukg import names
from itukg.conformance.patterns import to_python
from itukg.errors import ShapesRefused

Referred = dict[Node, set[Node]]

TARGETS = (SH.targetClass, SH.targetNode, SH.targetSubjectsOf, SH.targetObjectsOf)
_SHAPE_EXPECTING = (SH.property, SH.node, SH["not"], SH.qualifiedValueShape)
_LISTS_OF_SHAPES = (SH["and"], SH["or"], SH.xone)
_KNOWN_TARGETS = "select nodes by sh:targetClass, sh:targetNode, sh:targetSubjectsOf or sh:targetObjectsOf"
_SH = rdflib.Namespace(names.SH)  # rdflib's own knows the terms of SHACL 1.0 only
_REFUSED = {
    "entailment": "nothing is inferred: send the data with what it entails",
    "expression": "node expressions are not evaluated: write the condition as sh:sparql",
    "rule": "no rule is run: send the data with what the rules add",
    "target": f"targets of SHACL Advanced Features are not selected: {_KNOWN_TARGETS}",
    "targetWhere": f"this target of SHACL 1.2 is not selected: {_KNOWN_TARGETS}",
}
"""Terms that the engine would ignore in places, or refuse by the name of an option; and what to do instead."""
_ANNOTATIONS = ("agentInstruction", "codeIdentifier", "formalized", "intent", "unit")
"""Non-validating properties of SHACL 1.2, which the engine does not know."""


def referred(shapes: rdflib.Graph) -> Referred:
    """Return the shapes to which each shape refers (SHACL, 3.4.3), by parameters that take a shape or a list of them."""
    found: Referred = {}
    for parameter in _SHAPE_EXPECTING:
        for shape, other in shapes.subject_objects(parameter):
            found.setdefault(shape, set()).add(other)
    for parameter in _LISTS_OF_SHAPES:
        for shape, list_ in shapes.subject_objects(parameter):
            found.setdefault(shape, set()).update(_members(list_, shapes))
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
    classes = {each for kind in (RDFS.Class, OWL.Class) for each in shapes.subjects(RDF.type, kind)}
    return classes & _declared(shapes)


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
    kinds = (SH.NodeShape, SH.PropertyShape)
    return {shape for kind in kinds for shape in shapes.subjects(RDF.type, kind)} | referred(shapes).keys()


def prepared(shapes: rdflib.Graph) -> rdflib.Graph:
    """Return a copy of the shapes that the engine applies as the specification says.

    Raises ShapesRefused for recursive shapes, which the specification leaves undefined, and for what would be ignored.
    """
    for term, reason in _REFUSED.items():
        if (None, _SH[term], None) in shapes:
            raise ShapesRefused(f"The shapes use sh:{term}: {reason}.")
    if any(isinstance(node, rdflib.BNode) for node in shapes.objects(None, SH.targetNode)):
        raise ShapesRefused("A value of sh:targetNode has no IRI: node expressions (SHACL 1.2) are not evaluated.")
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
    for term in _ANNOTATIONS:
        copy.remove((None, _SH[term], None))
    for shape in set(shapes.subjects(SH.ignoredProperties)) - set(shapes.subjects(SH.closed)):
        copy.remove((shape, SH.ignoredProperties, None))
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


def _members(head: Node, shapes: rdflib.Graph) -> Iterator[Node]:
    """Yield the members of a list; one that has no end is the engine's to refuse."""
    seen: set[Node] = set()
    rest: Node | None = head
    while rest is not None and rest not in seen and (first := shapes.value(rest, RDF.first)) is not None:
        seen.add(rest)
        yield first
        rest = shapes.value(rest, RDF.rest)
