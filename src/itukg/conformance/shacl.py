"""The SHACL engine."""

import hashlib
from collections.abc import Iterable
from functools import cache
from importlib import metadata

import pyoxigraph as ox
import pyshacl_turbo
import rdflib
from pyshacl_turbo.rdf import Input
from rdflib.namespace import XSD
from rdflib.term import Node

from itukg.errors import ShapesRefused

MAX_MESSAGE_LENGTH = 400
"""Characters of the engine's message about shapes that a client sees."""
_STRING = ox.NamedNode(str(XSD.string))


def results_of(data: Iterable[ox.Quad], shapes: rdflib.Graph) -> rdflib.Graph:
    """Return the engine's report on `data` against `shapes`: blank nodes keep their names, literals their spelling.

    Raises ShapesRefused, with the engine's message.
    """
    triples = ox.serialize((quad.triple for quad in data), format=ox.RdfFormat.N_TRIPLES) or b""
    text = Input(triples.decode(), "nt", None, {})
    try:
        _, results, _ = pyshacl_turbo.validate(text, shacl_graph=shapes, inference="none")
    except (ValueError, NotImplementedError, pyshacl_turbo.ReportableRuntimeError) as error:
        raise ShapesRefused(_cut(str(error))) from None
    if not isinstance(results, rdflib.Graph):
        raise ShapesRefused(_cut(str(results)))
    return results


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
