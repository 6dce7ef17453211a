"""Validate one file with an engine that has no command of its own; run by the Python that has the engine installed.

    python shacl_engine.py pyshifty|pyrudof|itukg DATA SHAPES REPORT

Reads N-Triples and writes the report as N-Triples. As `itukg` it reads the files first, validates, and prints the seconds
that the validation alone took.
"""

import sys
import time
from pathlib import Path


def pyshifty(data: Path, shapes: Path, report: Path) -> None:
    """Validate with shifty's own call for files."""
    import shifty  # type: ignore[import-not-found, unused-ignore]

    _, graph, _ = shifty.validate(data, shapes, graph_mode="data", infer=False)
    graph.serialize(report, format="nt")


def pyrudof(data: Path, shapes: Path, report: Path) -> None:
    """Validate with rudof's engine in Rust, which is its default."""
    import pyrudof as rudof  # type: ignore[import-not-found, unused-ignore]

    session = rudof.Rudof(rudof.RudofConfig())
    session.read_data(data, rudof.RDFFormat.NTriples)
    session.read_shacl(shapes, rudof.ShaclFormat.NTriples)
    session.validate_shacl()
    report.write_text(session.serialize_shacl_validation_results(rudof.ResultShaclValidationFormat.NTriples))


def itukg(data: Path, shapes: Path, report: Path) -> None:
    """Validate as the service does, the graphs read before."""
    import pyoxigraph as ox

    from itukg.conformance import to_rdflib, validate

    triples = list(ox.parse(path=data, format=ox.RdfFormat.N_TRIPLES))
    rules = to_rdflib(ox.parse(path=shapes, format=ox.RdfFormat.N_TRIPLES))
    before = time.perf_counter()
    found = validate(triples, rules)
    print(time.perf_counter() - before)
    report.write_bytes(found.graph)


if __name__ == "__main__":
    engines = {"pyshifty": pyshifty, "pyrudof": pyrudof, "itukg": itukg}
    engines[sys.argv[1]](*map(Path, sys.argv[2:5]))
