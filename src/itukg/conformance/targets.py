"""What shapes look at: the nodes of the data that their targets select (SHACL, section 2.1.3)."""

from collections import defaultdict
from collections.abc import Iterable

import pyoxigraph as ox
import rdflib
from rdflib.namespace import RDF, RDFS, SH

from itukg import names
from itukg.conformance.shapes import deactivated, in_order, referred, targeting_classes

Nodes = dict[str, set[str]]
"""IRIs, names of blank nodes, and literals in quotes."""
ANY_VOCABULARY = rdflib.URIRef(names.PREFIXES["itush"] + "anyVocabulary")
"""States of a shape that it fits data of any vocabulary."""


def nodes_of(data: Iterable[ox.Quad], shapes: rdflib.Graph) -> Nodes:
    """Return each shape with the nodes it looks at: those that it targets, and those of the shapes that refer to it.

    A shape that is switched off looks at none, and one that fits any vocabulary only at what the ontology describes.
    Raises ShapesRefused for shapes that refer to themselves.
    """
    found = _targeted(data, shapes)
    described = _described(data)
    for general in shapes.subjects(ANY_VOCABULARY, rdflib.Literal(True)):
        found[str(general)] &= described
    off = deactivated(shapes)
    for shape in off:
        found.pop(str(shape), None)
    references = referred(shapes)
    for shape in in_order(references):
        for part in references.get(shape, set()) - off:
            found[str(part)] |= found.get(str(shape), set())
    return found


def _targeted(data: Iterable[ox.Quad], shapes: rdflib.Graph) -> defaultdict[str, set[str]]:
    subjects, objects, instances, narrower = _looked_up(data, shapes)
    found: defaultdict[str, set[str]] = defaultdict(set)
    for shape, node in shapes.subject_objects(SH.targetNode):
        found[str(shape)].add(node.n3() if isinstance(node, rdflib.Literal) else str(node))
    for target, nodes in ((SH.targetSubjectsOf, subjects), (SH.targetObjectsOf, objects)):
        for shape, predicate in shapes.subject_objects(target):
            found[str(shape)] |= nodes.get(str(predicate), set())
    for shape_, kind in _classes(shapes):
        for each in _below(kind, narrower):
            found[shape_] |= instances.get(each, set())
    return found


def _described(data: Iterable[ox.Quad]) -> set[str]:
    """Return what the ontology describes: what has one of its classes or properties, and what such a property leads to."""
    found: set[str] = set()
    for quad in data:
        if quad.predicate.value.startswith(names.ITU):
            found |= {_text(quad.subject), _text(quad.object)}
        elif quad.predicate.value == names.RDF_TYPE and _text(quad.object).startswith(names.ITU):
            found.add(_text(quad.subject))
    return found


def _looked_up(data: Iterable[ox.Quad], shapes: rdflib.Graph) -> tuple[Nodes, Nodes, Nodes, Nodes]:
    """Return the subjects and the objects of each property that is a target, the instances of each class, and its subclasses."""
    found: tuple[Nodes, ...] = tuple(defaultdict(set) for _ in range(4))
    subjects, objects, instances, narrower = found
    of_subjects, of_objects = (
        {str(each) for each in shapes.objects(None, target)} for target in (SH.targetSubjectsOf, SH.targetObjectsOf)
    )
    for quad in data:
        predicate, subject, value = quad.predicate.value, _text(quad.subject), _text(quad.object)
        if predicate in of_subjects:
            subjects[predicate].add(subject)
        if predicate in of_objects:
            objects[predicate].add(value)
        if predicate == str(RDF.type):
            instances[value].add(subject)
        elif predicate == str(RDFS.subClassOf):
            narrower[value].add(subject)
    return subjects, objects, instances, narrower


def _classes(shapes: rdflib.Graph) -> set[tuple[str, str]]:
    """Return the shapes that target a class, with it; a shape that is a class itself targets that (section 2.1.3.3)."""
    stated = {(str(shape), str(kind)) for shape, kind in shapes.subject_objects(SH.targetClass)}
    return stated | {(str(shape), str(shape)) for shape in targeting_classes(shapes)}


def _below(kind: str, narrower: Nodes) -> set[str]:
    found, waiting = {kind}, [kind]
    while waiting:
        more = narrower.get(waiting.pop(), set()) - found
        found |= more
        waiting += more
    return found


def _text(term: ox.NamedNode | ox.BlankNode | ox.Literal | ox.Triple) -> str:
    """Return a literal as N-Triples have it, in quotes, and anything else by its name."""
    return term.value if isinstance(term, ox.NamedNode | ox.BlankNode) else str(term)
