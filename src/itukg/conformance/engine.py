"""The engine that validates: in this process, or in several beside it where there is much to validate.

`main` is what such a process does: it reads data and shapes, validates against those shapes that it is given by IRI, and writes
the report, all in files of N-Triples.
"""

import gc
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from pathlib import Path

import pyoxigraph as ox
import pyshacl_turbo
import rdflib
from pyshacl_turbo.rdf import Input
from rdflib.namespace import RDF, RDFS, SH, XSD
from rdflib.paths import ZeroOrOne
from rdflib.term import Node

from itukg.errors import DataError, ShapesRefused
from itukg.processes.allocator import allocator

MUCH = 100_000
"""Triples from which on several processes are quicker, though each reads them all."""
WORDS = 400
"""Characters of what the engine says against shapes that are passed on."""
_REFUSED = 3
"""The exit code of a process that refuses the shapes; its words are on standard error."""
_STRING = ox.NamedNode(str(XSD.string))
_TARGETS = (SH.targetClass, SH.targetSubjectsOf, SH.targetObjectsOf, SH.targetNode)


def _run(data: bytes, shapes: rdflib.Graph, only: Collection[str]) -> rdflib.Graph:
    """Return the engine's report on N-Triples against `only` the shapes with these IRIs, or all where none is named.

    What it says keeps the names of blank nodes and the spelling of literals. Raises ShapesRefused.
    """
    text = Input(data.decode(), "nt", None, {})
    try:
        _, results, _ = pyshacl_turbo.validate(text, shacl_graph=shapes, inference="none", use_shapes=list(only))
    except (ValueError, NotImplementedError, pyshacl_turbo.ReportableRuntimeError) as error:
        raise ShapesRefused(_cut(str(error))) from None
    if not isinstance(results, rdflib.Graph):
        raise ShapesRefused(_cut(str(results)))
    return results


def _cut(words: str) -> str:
    words = " ".join(words.split())
    return words if len(words) <= WORDS else words[:WORDS] + "…"


@cache
def engine() -> dict[str, str]:
    """Return what validates: name, version, SHA-256 of its installed modules, and the library that it stands on."""
    distribution = metadata.distribution("pyshacl-turbo")
    # A record's other lines name scripts and compiled files, which differ from machine to machine.
    modules = [line for line in (distribution.read_text("RECORD") or "").splitlines() if ".py,sha256=" in line]
    digest = hashlib.sha256("\n".join(sorted(modules)).encode()).hexdigest()
    return {"name": "pyshacl-turbo", "version": distribution.version, "sha256": digest, "rdflib": rdflib.__version__}


def to_rdflib(triples: Iterable[ox.Triple | ox.Quad]) -> rdflib.Graph:
    """Copy triples, or quads without their graph names, into an rdflib graph; literals stay as they are spelled."""
    graph = rdflib.Graph(store="SimpleMemory")  # it keeps no graph names, which takes half the time
    made: dict[object, Node] = {}  # a term that many triples share is one object

    def node(term: ox.NamedNode | ox.BlankNode | ox.Literal | ox.Triple) -> Node:
        if (found := made.get(term)) is None:
            found = made[term] = _node(term)
        return found

    for t in triples:
        graph.add((node(t.subject), node(t.predicate), node(t.object)))
    return graph


def _node(term: ox.NamedNode | ox.BlankNode | ox.Literal | ox.Triple) -> Node:
    """Return a term as rdflib has it; blank nodes keep their names, so that a finding on one is known again."""
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


# --- several processes ---


@contextmanager
def reports(data: Collection[ox.Quad], shapes: rdflib.Graph, processes: int = 1) -> Iterator[Iterable[rdflib.Graph]]:
    """Yield the engine's reports on `data`, which together are of all `shapes`.

    From MUCH triples on it validates meanwhile in so many `processes`, each with all data and a share of the shapes;
    else when the report is asked for. To ask raises ShapesRefused, with the engine's words, and DataError where a
    process was ended.
    """
    triples = (quad.triple for quad in data)
    shares = shared_out(shapes, processes) if processes > 1 and len(data) >= MUCH else [[]]
    if len(shares) == 1:
        yield (_run(ox.serialize(triples, format=ox.RdfFormat.N_TRIPLES) or b"", shapes, share) for share in shares)
        return
    with tempfile.TemporaryDirectory(prefix="itukg-") as folder:
        files = [Path(folder, name) for name in ("data.nt", "shapes.nt")]
        ox.serialize(triples, files[0], format=ox.RdfFormat.N_TRIPLES)
        shapes.serialize(files[1], format="nt", encoding="utf-8")
        running = [_Process(files, share, Path(folder, f"report-{number}.nt")) for number, share in enumerate(shares)]
        try:
            yield (process.report() for process in running)
        finally:
            for process in running:
                process.end()


def shared_out(shapes: rdflib.Graph, number: int) -> list[list[str]]:
    """Return shares of the shapes by IRI, with about as many queries each, which are what takes time.

    There is one, which names none, where a shape with a target has no IRI, or has its target by being a class.
    """
    aimed = {shape for target in _TARGETS for shape in shapes.subjects(target)}
    classes = set(shapes.subjects(RDF.type, RDFS.Class))
    if not all(isinstance(shape, rdflib.URIRef) for shape in aimed) or any(
        (shape, RDF.type, kind) in shapes for shape in classes for kind in (SH.NodeShape, SH.PropertyShape)
    ):
        return [[]]
    of_a_shape = (SH.property * ZeroOrOne) / SH.sparql  # type: ignore[operator]
    queries = {shape: len([*shapes.objects(shape, of_a_shape)]) for shape in aimed}
    shares: list[list[str]] = [[] for _ in range(number)]
    sizes = [0.0] * number
    for shape in sorted(aimed, key=lambda shape: (-queries[shape], shape)):
        least = sizes.index(min(sizes))
        shares[least].append(str(shape))
        sizes[least] += queries[shape] or 0.01
    return shares


class _Process:
    """A process that validates against a share of the shapes."""

    def __init__(self, files: list[Path], share: list[str], report: Path) -> None:
        self._report, self._said = report, report.with_suffix(".log")
        command = [
            sys.executable,
            "-P",
            "-c",
            f"from {__name__} import main; main()",
            *map(str, [*files, report]),
            *share,
        ]
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(  # noqa: S603
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=os.environ | allocator()
            )

    def report(self) -> rdflib.Graph:
        """Wait for the report. Raises ShapesRefused, and DataError where the process was ended."""
        code = self._process.wait()
        words = self._said.read_text(errors="replace").strip()
        if code == _REFUSED:
            raise ShapesRefused(words)
        if code:
            raise DataError(
                f"A process that validated ended with {code}: {words[-WORDS:] or 'it said nothing'}. "
                "Where memory ran out, validate fewer plans at a time."
            )
        return to_rdflib(ox.parse(path=self._report, format=ox.RdfFormat.N_TRIPLES))

    def end(self) -> None:
        """Do not wait for it any longer."""
        self._process.kill()
        self._process.wait()


def main() -> None:
    """Validate as the command line says: DATA SHAPES REPORT IRI…; see above."""
    data, shapes, report, *share = sys.argv[1:]
    gc.disable()  # all that is read is kept until the end
    try:
        results = _run(Path(data).read_bytes(), to_rdflib(ox.parse(path=shapes, format=ox.RdfFormat.N_TRIPLES)), share)
    except ShapesRefused as error:
        sys.stderr.write(str(error))
        sys.exit(_REFUSED)
    results.serialize(report, format="nt", encoding="utf-8")
