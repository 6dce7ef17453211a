"""The SHACL engine."""

import hashlib
import re
from collections.abc import Iterable
from functools import cache
from importlib import metadata

import pyoxigraph as ox
import pyshacl_turbo
import rdflib
from pyshacl_turbo.rdf import Input
from rdflib.namespace import SH, XSD
from rdflib.term import Node

from itukg import names
from itukg.conformance.shapes import BOUND_MESSAGE, members, prepared
from itukg.errors import ShapesRefused

MAX_MESSAGE_LENGTH = 400
"""Characters of the engine's message about shapes that a client sees."""
_DEFAULT_MESSAGE = re.compile(r"\S+ violated at .+", re.DOTALL)
_STRING = ox.NamedNode(str(XSD.string))


def results_of(data: Iterable[ox.Quad], shapes: rdflib.Graph) -> rdflib.Graph:
    """Return the engine's report on `data` against `shapes`: blank nodes keep their names, literals their spelling.

    Raises ShapesRefused for shapes that the engine would not apply as the specification says, or cannot apply.
    """
    applied = prepared(shapes)
    triples = ox.serialize((quad.triple for quad in data), format=ox.RdfFormat.N_TRIPLES) or b""
    text = Input(triples.decode(), "nt", None, {})
    try:
        _, results, _ = pyshacl_turbo.validate(text, shacl_graph=applied, inference="none")
    except (ValueError, NotImplementedError, pyshacl_turbo.ReportableRuntimeError) as error:
        raise ShapesRefused(_cut(_in_words(str(error)))) from None
    if not isinstance(results, rdflib.Graph):
        raise ShapesRefused(_cut(str(results)))
    _bind_messages(results)
    _word(results, shapes)
    _quote_patterns(results, shapes)
    return results


def _bind_messages(results: rdflib.Graph) -> None:
    """Give each result only the message that its query binds to ?message, if it does."""
    start = BOUND_MESSAGE.partition("{")[0]
    for result, text in [each for each in results.subject_objects(SH.resultMessage) if str(each[1]).startswith(start)]:
        if str(text) == BOUND_MESSAGE:  # The query left ?message unbound.
            results.remove((result, SH.resultMessage, text))
        else:
            results.set((result, SH.resultMessage, rdflib.Literal(str(text).removeprefix(start))))


def _word(results: rdflib.Graph, shapes: rdflib.Graph) -> None:
    """Say which value breaks which constraint, where the engine says only that one is broken and no one else says anything."""
    for result in list(results.objects(None, SH.result)):
        text = results.value(result, SH.resultMessage)
        if text is not None and not _DEFAULT_MESSAGE.fullmatch(str(text)):
            continue
        shape = results.value(result, SH.sourceShape)
        if (shape, SH.message, None) in shapes:
            continue
        component = str(results.value(result, SH.sourceConstraintComponent))
        constraint, allowed = names.shorten(component), ""
        if component.startswith(names.SH):
            name = component.removeprefix(names.SH).removesuffix("ConstraintComponent")
            name = "sparql" if name == "SPARQL" else name[:1].lower() + name[1:]
            constraint = f"sh:{name}"
            allowed = _listed(shapes.objects(shape, rdflib.URIRef(names.SH + name)), shapes)
        value = results.value(result, SH.value)
        subject = "" if value is None else f" {_shown(value)}"
        said = f"{'Value' if subject else 'It'}{subject} does not satisfy {constraint}{allowed}"
        results.set((result, SH.resultMessage, rdflib.Literal(said)))


def _listed(values: Iterable[Node], shapes: rdflib.Graph) -> str:
    """Return what a constraint states, or nothing where it refers to shapes without an IRI."""
    stated = [
        each for value in values for each in (members(value, shapes) if isinstance(value, rdflib.BNode) else [value])
    ]
    if any(isinstance(each, rdflib.BNode) for each in stated):
        return ""
    return "".join(f"{', ' if place else ' '}{_shown(each)}" for place, each in enumerate(stated))


def _shown(term: Node) -> str:
    if isinstance(term, rdflib.Literal):
        return f"{term}@{term.language}" if term.language else str(term)
    return names.shorten(str(term)) if isinstance(term, rdflib.URIRef) else "without an IRI"


def _quote_patterns(results: rdflib.Graph, shapes: rdflib.Graph) -> None:
    """Quote patterns as the shapes write them, where the engine quotes what it was given instead."""
    for result in list(results.subjects(SH.sourceConstraintComponent, SH.PatternConstraintComponent)):
        shape = results.value(result, SH.sourceShape)
        if (shape, SH.message, None) not in shapes:
            written = " and ".join(f"'{pattern}'" for pattern in sorted(map(str, shapes.objects(shape, SH.pattern))))
            results.set((result, SH.resultMessage, rdflib.Literal(f"Value does not match pattern {written}")))


def _in_words(message: str) -> str:
    """Return the engine's message without its classes, and without blank nodes, which have other names in the file."""
    message = re.sub(r"_:[\w.-]+", "a shape without an IRI", message)
    if term := re.fullmatch(r"Unsupported feature: (sh:\w+)(?: on (.+))?", message):
        place = f" of {term[2]}" if term[2] else ""
        return f"{term[1]}{place} is not supported, or misspelled: it would check nothing."
    return message


def _cut(message: str) -> str:
    message = " ".join(message.split())
    return message if len(message) <= MAX_MESSAGE_LENGTH else message[:MAX_MESSAGE_LENGTH] + "…"


@cache
def engine() -> dict[str, str]:
    """Return the engine's name, version, SHA-256 of its installed modules, and the version of rdflib, its library."""
    distribution = metadata.distribution("pyshacl-turbo")
    # A record's other lines name scripts and compiled files, which differ from machine to machine.
    modules = [line for line in (distribution.read_text("RECORD") or "").splitlines() if ".py,sha256=" in line]
    digest = hashlib.sha256("\n".join(sorted(modules)).encode()).hexdigest()
    return {"name": "pyshacl-turbo", "version": distribution.version, "sha256": digest, "rdflib": rdflib.__version__}


def to_rdflib(triples: Iterable[ox.Triple | ox.Quad]) -> rdflib.Graph:
    """Copy triples, or quads without their graph names, into an rdflib graph; literals keep their spelling."""
    graph = rdflib.Graph(store="SimpleMemory")  # without graph names, it takes half the time
    made: dict[object, Node] = {}  # a term that many triples share is one object

    def node(term: ox.NamedNode | ox.BlankNode | ox.Literal | ox.Triple) -> Node:
        if (found := made.get(term)) is None:
            found = made[term] = _node(term)
        return found

    for t in triples:
        graph.add((node(t.subject), node(t.predicate), node(t.object)))
    return graph


def _node(term: ox.NamedNode | ox.BlankNode | ox.Literal | ox.Triple) -> Node:
    """Return a term as rdflib's; blank nodes keep their names, so that a finding on one keeps its id."""
    match term:
        case ox.NamedNode(value=iri):
            return rdflib.URIRef(iri)
        case ox.BlankNode(value=name):
            return rdflib.BNode(name)
        case ox.Literal(value=text, language=str() as language):
            return rdflib.Literal(text, lang=language)
        case ox.Literal(value=text, datatype=kind):
            return rdflib.Literal(
                text, datatype=None if kind == _STRING else rdflib.URIRef(kind.value), normalize=False
            )
    raise ValueError(f"rdflib has no term for {term}")
