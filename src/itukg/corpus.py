"""What we ship: the files, the named graph each belongs to, the saved queries, and a hash over all of it."""

import hashlib
import json
import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.parsers import expat

import pyoxigraph as ox

from itukg import __version__, names
from itukg.errors import BadRequest, DataError, NotFound, SyntaxProblem
from itukg.jsonld import context

LAYOUT = "2"
"""Which files a release has; another one is another release."""
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

    def query_files(self, pattern: str = "*.rq") -> list[Path]:
        """Return the files of `queries/` that fit a pattern, sorted."""
        return sorted((self.root / "queries").glob(pattern))

    def queries(self) -> list[SavedQuery]:
        """Return the saved queries, sorted by name."""
        return [saved_query(path) for path in self.query_files()]

    def rules(self) -> list[SavedQuery]:
        """Return the CONSTRUCT queries that derive links, sorted by name."""
        return [saved_query(path) for path in self.query_files("rules/*.rq")]

    def exports(self) -> list[SavedQuery]:
        """Return the queries whose answers each release holds as CSV, sorted by name."""
        return [saved_query(path) for path in self.query_files("exports/*.rq")]

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
        digest = hashlib.sha256(f"{__version__} {LAYOUT}".encode())
        waivers = [path] if (path := self.waivers()) else []
        for path in [*self.files(), *self.query_files("**/*.rq"), *waivers]:
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
    try:
        yield from parse_rdf(content, syntax, graph)
    except SyntaxProblem as error:
        raise DataError(f"{path}, {error}" if error.line else f"{path}: {error}") from None
    except BadRequest as error:
        raise DataError(f"{path}: {error}") from None


def parse_rdf(content: bytes, syntax: ox.RdfFormat, graph: str) -> Iterator[ox.Quad]:
    """Parse RDF into the named graph `graph`. Nothing is fetched: of JSON-LD contexts by address, ours is known.

    Raises SyntaxProblem with line and column, and BadRequest for what is RDF but not read here.
    """
    content = content.removeprefix(BOM_UTF8)
    if syntax == ox.RdfFormat.RDF_XML:
        _check_xml(content)
    if syntax == ox.RdfFormat.JSON_LD and names.CONTEXT.encode() in content:
        content = _with_our_context(content)
    try:
        for quad in ox.parse(content, format=syntax, rename_blank_nodes=True):
            if isinstance(quad.object, ox.Triple) or (isinstance(quad.object, ox.Literal) and quad.object.direction):
                raise BadRequest(f"Triples about triples, and directions of text, are not read: {str(quad)[:300]}")
            yield ox.Quad(quad.subject, quad.predicate, quad.object, ox.NamedNode(graph))
    except SyntaxError as error:
        if "LoadDocumentCallback" in error.msg:
            raise BadRequest(
                "A JSON-LD context is named by its address, and none is fetched: write the context into the "
                f"document. Known is {names.CONTEXT}."
            ) from None
        raise _syntax_problem(error.lineno, error.offset, error.msg) from None


def _syntax_problem(line: int | None, column: int | None, words: str) -> SyntaxProblem:
    if line is None:
        return SyntaxProblem(words)
    words = re.sub(r"^Parser error at .*?: | \(line \d+\)$", "", words)
    return SyntaxProblem(f"line {line}, column {column or 1}: {words}", line, column or 1)


def _check_xml(content: bytes) -> None:
    """Raise BadRequest for a DOCTYPE, and SyntaxProblem for XML that ends too early, which the engine reads as whole."""

    def refuse(*_: object) -> None:
        raise BadRequest("RDF/XML with a DOCTYPE is not read; take it out.")

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        words = expat.ErrorString(error.code) or str(error)
        raise _syntax_problem(error.lineno, error.offset + 1, words) from None


def _with_our_context(content: bytes) -> bytes:
    """Return a JSON-LD document with our context written out where a node of its first level names it."""

    def written(named: Any) -> Any:
        if isinstance(named, list):
            return [written(each) for each in named]
        return context()["@context"] if named == names.CONTEXT else named

    try:
        document = json.loads(content)
    except json.JSONDecodeError as error:
        raise _syntax_problem(error.lineno, error.colno, error.msg) from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise SyntaxProblem(f"The JSON cannot be read: {error}") from None
    for node in document if isinstance(document, list) else [document]:
        if isinstance(node, dict) and "@context" in node:
            node["@context"] = written(node["@context"])
    return json.dumps(document).encode()


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


def saved_query(path: Path) -> SavedQuery:
    """Return the query in a file. Raises DataError where its header lacks a line."""
    text = path.read_text()
    header = dict(re.findall(r"^#\+ (\w+): (.*)$", text, re.MULTILINE))
    missing = {"summary", "description", "tags"} - header.keys()
    if missing:
        raise DataError(f'{path}: the header lacks {", ".join(sorted(missing))}; write lines "#+ summary: …".')
    tags = tuple(tag.strip() for tag in header["tags"].strip("[]").split(","))
    return SavedQuery(path.stem, header["summary"], header["description"], tags, text)
