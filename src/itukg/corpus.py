"""What we ship: the files, the named graph each belongs to, the saved queries, and a hash over all of it."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyoxigraph as ox

from itukg import __version__, names
from itukg.errors import DataError, NotFound

NOT_MERGED = frozenset(names.graph(name) for name in ("derived", "shapes", "queries"))
"""Graphs that a query without GRAPH or FROM does not see."""


@dataclass(frozen=True)
class SavedQuery:
    """A question in `queries/`: its name, what it asks and for whom, and its SPARQL."""

    name: str
    summary: str
    description: str
    tags: tuple[str, ...]
    text: str

    def bound(self, **terms: str) -> str:
        """Return the query with its one-line VALUES of these variables, in this order, bound to these IRIs."""
        names_ = " ".join(f"?{name}" for name in terms)
        values = " ".join(str(ox.NamedNode(iri)) for iri in terms.values())
        line = re.compile(rf"VALUES \({re.escape(names_)}\) {{.*}}")
        if not line.search(self.text):
            raise DataError(f'queries/{self.name}.rq has no line "VALUES ({names_}) {{ … }}".')
        return line.sub(f"VALUES ({names_}) {{ ({values}) }}", self.text)


@dataclass(frozen=True)
class Corpus:
    """The folders `ontology/ shapes/ data/ queries/` below `root`."""

    root: Path

    def files(self) -> dict[Path, str]:
        """Return every Turtle file, sorted, with the name of its graph.

        A file of `data/` is a graph of its own; those of `ontology/` and of `shapes/` make one graph each.
        """
        found = {path: path.stem for path in sorted(self.root.glob("data/**/*.ttl"))}
        for folder in ("ontology", "shapes"):
            found |= dict.fromkeys(sorted((self.root / folder).glob("*.ttl")), folder)
        if not found:
            raise DataError(
                f"No Turtle files below {self.root}: point ITUKG_CORPUS at a folder that has data/ and ontology/."
            )
        return found

    def quads(self) -> Iterator[ox.Quad]:
        """Return the quads of all files. Raises DataError with file, line and reason for one that is not Turtle."""
        for path, graph in self.files().items():
            yield from read_rdf(path, names.graph(graph))

    def queries(self) -> list[SavedQuery]:
        """Return the saved queries, sorted by name."""
        return [_read_query(path) for path in sorted((self.root / "queries").glob("*.rq"))]

    def rules(self) -> list[SavedQuery]:
        """Return the CONSTRUCT queries that derive links, sorted by name."""
        return [_read_query(path) for path in sorted((self.root / "queries" / "rules").glob("*.rq"))]

    def exports(self) -> list[SavedQuery]:
        """Return the queries whose answers each release holds as CSV, sorted by name."""
        return [_read_query(path) for path in sorted((self.root / "queries" / "exports").glob("*.rq"))]

    def query(self, name: str) -> SavedQuery:
        """Return the saved query `name`; raises NotFound, naming those there are."""
        found = {query.name: query for query in self.queries()}
        if name not in found:
            raise NotFound(f'No saved query "{name}"; known: {", ".join(found)}')
        return found[name]

    def waivers(self) -> Path | None:
        """Return the file of findings that are accepted, if there is one."""
        path = self.root / "data" / "waivers.toml"
        return path if path.is_file() else None

    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits that change whenever a file of ours, or the version, does."""
        digest = hashlib.sha256(__version__.encode())
        waivers = [path] if (path := self.waivers()) else []
        for path in [*self.files(), *sorted((self.root / "queries").glob("**/*.rq")), *waivers]:
            digest.update(f"\n{path.relative_to(self.root).as_posix()} {file_hash(path)}".encode())
        return digest.hexdigest()[:16]


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_rdf(path: Path, graph: str) -> Iterator[ox.Quad]:
    """Read an RDF file, in the syntax its suffix names, into the named graph `graph`.

    Raises DataError with file, line and reason for a file that cannot be read.
    """
    syntax = ox.RdfFormat.from_extension(path.suffix.removeprefix("."))
    if syntax is None:
        raise DataError(f"{path}: no RDF syntax goes by this suffix; try .ttl, .nt, .nq, .trig, .rdf or .jsonld.")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    if syntax == ox.RdfFormat.RDF_XML and b"<!DOCTYPE" in content.upper():
        raise DataError(f"{path}: RDF/XML with a DOCTYPE is not read; take it out.")
    try:
        for quad in ox.parse(content, format=syntax, rename_blank_nodes=True):
            yield ox.Quad(quad.subject, quad.predicate, quad.object, ox.NamedNode(graph))
    except SyntaxError as error:
        place = f"{path}, line {error.lineno}" if error.lineno else str(path)
        raise DataError(f"{place}: {error.msg}") from None


def canonical(quads: Iterable[ox.Quad]) -> list[ox.Quad]:
    """Return `quads` with blank nodes named as RDFC-1.0 names them: the same for the same graphs."""
    plain: dict[ox.Quad, None] = {}
    blank = ox.Dataset()
    for quad in quads:  # the names hang on the quads with blank nodes alone, which are few
        if "_:" in str(quad):
            blank.add(quad)
        else:
            plain[quad] = None
    blank.canonicalize(ox.CanonicalizationAlgorithm.RDFC_1_0)
    return [*plain, *blank]


def merged(quads: Iterator[ox.Quad] | list[ox.Quad]) -> set[ox.Quad]:
    """Return the RDF merge that queries see by default: each triple once, in the default graph."""
    return {
        ox.Quad(q.subject, q.predicate, q.object)
        for q in quads
        if not (isinstance(q.graph_name, ox.NamedNode) and q.graph_name.value in NOT_MERGED)
    }


def canonical_hash(quads: list[ox.Quad]) -> str:
    """Return the SHA-256 of the canonical N-Quads (RDFC-1.0) of `quads`: the same for the same graphs."""
    lines = sorted(f"{quad} .\n" for quad in canonical(quads))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _read_query(path: Path) -> SavedQuery:
    text = path.read_text()
    header = dict(re.findall(r"^#\+ (\w+): (.*)$", text, re.MULTILINE))
    missing = {"summary", "description", "tags"} - header.keys()
    if missing:
        raise DataError(f'{path}: the header lacks {", ".join(sorted(missing))}; write lines "#+ summary: …".')
    tags = tuple(tag.strip() for tag in header["tags"].strip("[]").split(","))
    return SavedQuery(path.stem, header["summary"], header["description"], tags, text)
