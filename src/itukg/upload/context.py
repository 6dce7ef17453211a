"""The context of a validation: data that an upload's links lead to, and the one check that command line and server use."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pyoxigraph as ox
from rdflib import Literal
from rdflib.term import Node

from itukg import names
from itukg.conformance import Report
from itukg.conformance.check import check_quads
from itukg.corpus import Corpus
from itukg.rdf.parse import canonical, read_rdf
from itukg.release.model import Release

UPLOAD_GRAPH = names.graph("checked")
"""The named graph of the upload."""
_SHAPES, _ONTOLOGY = (ox.NamedNode(names.graph(name)) for name in ("shapes", "ontology"))
_TARGET_NODE = ox.NamedNode(names.SH + "targetNode")
_TYPE, _PLAN = ox.NamedNode(names.RDF_TYPE), ox.NamedNode(names.ITU + "Plan")


@dataclass(frozen=True)
class ValidationContext:
    """Ontology, shapes and data, by named graph: of the files as they stand, or of those that a release was built from."""

    quads: list[ox.Quad]
    schemes: frozenset[str]
    """The graphs of `data/schemes/`, which every upload is validated with."""

    @classmethod
    def of_corpus(cls, corpus: Corpus) -> Self:
        """Read the files. Raises DataError for one that cannot be read."""
        paths = [path.relative_to(corpus.root) for path in corpus.files()]
        return cls(list(corpus.quads()), _schemes(paths))

    @classmethod
    def of_release(cls, release: Release) -> Self:
        """Read the files that a release was built from, out of its dataset."""
        paths = [Path(path) for path in release.manifest["files"]]
        graphs = {names.graph(path.stem) for path in paths} | {_SHAPES.value, _ONTOLOGY.value}
        quads = ox.parse(path=release.dataset, format=ox.RdfFormat.N_QUADS)
        stated = [q for q in quads if isinstance(q.graph_name, ox.NamedNode) and q.graph_name.value in graphs]
        return cls(stated, _schemes(paths))

    def check(
        self,
        upload: list[ox.Quad],
        subject: str,
        *,
        shapes: list[ox.Quad] | None = None,
        with_release: bool = False,
        place: str = "",
    ) -> Report:
        """Validate an upload with ontology and schemes, or with all our data, against our shapes or others.

        The upload alone describes a thing to which it gives a type: our description of the thing is left out, and of a
        plan its whole graph. Findings are about things that the upload describes, or mentions without any description; of
        shapes that are sent, about whatever it mentions.
        `subject` names the upload in the report and `place` is its file.
        Raises ShapesRefused for shapes that cannot be applied.
        """
        upload = canonical(upload)  # The parser renames blank nodes each time; a finding must keep its id.
        beside = self._beside(upload, with_release=with_release)
        others = set(map(_name, {quad.subject for quad in beside} - {quad.subject for quad in upload}))
        mentioned = set(map(_name, {term for quad in upload for term in quad.triple}))
        # Shapes that are sent may ask for a node that the data lacks.
        named = {_name(quad.object) for quad in shapes or () if quad.predicate == _TARGET_NODE}

        def own(thing: Node) -> bool:
            mine = str(thing) in mentioned and (shapes is not None or str(thing) not in others)
            return isinstance(thing, Literal) or mine or str(thing) in named

        rules = _renamed(canonical(shapes)) if shapes is not None else self._graph(_SHAPES)
        files = {UPLOAD_GRAPH: place} if place else {}
        return check_quads([*beside, *upload], rules, files, subject, own=own)

    def _beside(self, upload: list[ox.Quad], *, with_release: bool) -> list[ox.Quad]:
        described = {quad.subject for quad in upload if quad.predicate == _TYPE}
        ours = [quad for quad in self.quads if quad.predicate == _TYPE and quad.subject in described]
        homes = {(quad.graph_name, quad.subject) for quad in ours}
        plans = {quad.graph_name for quad in ours if quad.object == _PLAN}
        always = self.schemes | {_ONTOLOGY.value}
        return [
            q
            for q in self.quads
            if q.graph_name != _SHAPES
            and (with_release or _name(q.graph_name) in always)
            and q.graph_name not in plans
            and (q.graph_name, q.subject) not in homes
        ]

    def _graph(self, name: ox.NamedNode) -> list[ox.Quad]:
        return [quad for quad in self.quads if quad.graph_name == name]


def check_file(
    context: ValidationContext,
    file: Path,
    *,
    with_release: bool = False,
    announce: Callable[[str], None] = lambda _: None,
) -> Report:
    """Validate an RDF file, whose suffix names its syntax; calls `announce` before it validates.

    Raises DataError with file, line and reason for a file that cannot be read.
    """
    upload = list(read_rdf(file, UPLOAD_GRAPH))
    announce(f"Validating {len(upload):,} triples")
    return context.check(upload, file.name, with_release=with_release, place=file.as_posix())


def _schemes(paths: list[Path]) -> frozenset[str]:
    return frozenset(names.graph(path.stem) for path in paths if path.parent == Path("data/schemes"))


def _name(term: object) -> str:
    return str(getattr(term, "value", term))


def _renamed(rules: list[ox.Quad]) -> list[ox.Quad]:
    """Return shapes with blank nodes renamed, so that none shares its name with one of the data."""

    def other(
        term: ox.NamedNode | ox.BlankNode | ox.Literal | ox.Triple,
    ) -> ox.NamedNode | ox.BlankNode | ox.Literal | ox.Triple:
        return ox.BlankNode(f"shape-{term.value}") if isinstance(term, ox.BlankNode) else term

    return [ox.Quad(other(q.subject), q.predicate, other(q.object), q.graph_name) for q in rules]  # type: ignore[arg-type]
