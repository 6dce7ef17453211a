"""RDF parsing, of our files and of uploads, with errors that name line and column."""

import hashlib
import json
import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.parsers import expat

import pyoxigraph as ox

from itukg import names
from itukg.errors import BadRequest, DataError, SyntaxProblem
from itukg.rdf.jsonld import context, is_our_context


def read_rdf(path: Path, graph: str) -> Iterator[ox.Quad]:
    """Read an RDF file, whose suffix names its syntax, into the named graph `graph`.

    Raises DataError with file, line and reason for a file that cannot be read.
    """
    syntax = syntax_of(path.name)
    if syntax is None:
        raise DataError(f"{path}: no RDF syntax has this suffix; use .ttl, .nt, .nq, .trig, .rdf, .owl or .jsonld.")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    try:
        yield from parse_rdf(content, syntax, graph, base=path.absolute().as_uri())
    except SyntaxProblem as error:
        raise DataError(f"{path}, {error}" if error.line else f"{path}: {error}") from None
    except BadRequest as error:
        raise DataError(f"{path}: {error}") from None


def syntax_of(name: str) -> ox.RdfFormat | None:
    """Return the RDF syntax of a file, by the end of its name; None where that names none."""
    suffix = name.rpartition(".")[2].lower()
    return ox.RdfFormat.from_extension({"owl": "rdf"}.get(suffix, suffix))


def parse_rdf(content: bytes, syntax: ox.RdfFormat, graph: str, *, base: str | None = None) -> Iterator[ox.Quad]:
    """Parse RDF into the named graph `graph`; relative IRIs are resolved against `base`, where the text names no base.

    Nothing is fetched: the only JSON-LD context known by its address is ours.
    Raises SyntaxProblem with line and column, and BadRequest for RDF that is not supported.
    """
    content = content.removeprefix(BOM_UTF8)
    if syntax == ox.RdfFormat.RDF_XML:
        content = _as_utf8(content)
        _check_xml(content)
    if syntax == ox.RdfFormat.JSON_LD and b"/context/v1" in content:
        content = _with_our_context(content)
    try:
        for quad in ox.parse(content, format=syntax, base_iri=base, rename_blank_nodes=True):
            if isinstance(quad.object, ox.Triple) or (isinstance(quad.object, ox.Literal) and quad.object.direction):
                raise BadRequest(f"Triples about triples and base directions are not supported: {str(quad)[:300]}")
            yield ox.Quad(quad.subject, quad.predicate, quad.object, ox.NamedNode(graph))
    except SyntaxError as error:
        if "LoadDocumentCallback" in error.msg:
            raise BadRequest(
                "The document names a JSON-LD context by its address, and none is fetched: write the context into the "
                f"document, or use {names.CONTEXT}."
            ) from None
        raise _syntax_problem(error.lineno, error.offset, error.msg) from None


def _syntax_problem(line: int | None, column: int | None, message: str) -> SyntaxProblem:
    if line is None:
        return SyntaxProblem(message)
    message = re.sub(r"^Parser error at .*?: | \(line \d+\)$", "", message)
    return SyntaxProblem(f"line {line}, column {column or 1}: {message}", line, column or 1)


_ENCODINGS = (b"utf-8", b"us-ascii", b"iso-8859-1")
"""Encodings in which XML is read, besides UTF-16, by what it declares."""


def _as_utf8(content: bytes) -> bytes:
    """Return XML in UTF-8, which the engine reads, if it is in UTF-16, which every reader of XML takes (XML 1.0, 4.3.3)."""
    if not content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return content
    try:
        text = content.decode("utf-16")
    except UnicodeDecodeError as error:
        raise BadRequest(f"The XML begins as UTF-16 and is none (byte {error.start}).") from None
    return re.sub(r"^(<\?xml[^>]*?)\s+encoding\s*=\s*([\"']).*?\2", r"\1", text).encode()


def _check_xml(content: bytes) -> None:
    """Raise BadRequest for a DOCTYPE, and SyntaxProblem for truncated XML, which the engine accepts."""

    def refuse(*_: object) -> None:
        raise BadRequest("RDF/XML with a DOCTYPE is refused; remove the DOCTYPE.")

    declared = re.match(rb"""<\?xml[^>]*?encoding\s*=\s*["']([^"']*)""", content)
    if declared and declared[1].lower() not in _ENCODINGS:
        raise BadRequest(f'XML in "{declared[1].decode("latin-1")[:40]}" is not read; send it in UTF-8 or UTF-16.')
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(content, True)
    except ValueError:  # of bytes that are no text in the encoding that they have
        raise BadRequest("The XML cannot be decoded; send it in UTF-8 or UTF-16.") from None
    except expat.ExpatError as error:
        message = expat.ErrorString(error.code) or str(error)
        raise _syntax_problem(error.lineno, error.offset + 1, message) from None


def _with_our_context(content: bytes) -> bytes:
    """Return a JSON-LD document with our context written out where a top-level node names it."""

    def written(named: Any) -> Any:
        if isinstance(named, list):
            return [written(each) for each in named]
        return context()["@context"] if is_our_context(named) else named

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
    """Return `quads` with blank nodes named by RDFC-1.0: the same for isomorphic graphs."""
    plain: dict[ox.Quad, None] = {}
    blank = ox.Dataset()
    for quad in quads:  # the names depend only on the quads with blank nodes, which are few
        if "_:" in str(quad):
            blank.add(quad)
        else:
            plain[quad] = None
    blank.canonicalize(ox.CanonicalizationAlgorithm.RDFC_1_0)
    return [*plain, *blank]


def canonical_hash(quads: list[ox.Quad]) -> str:
    """Return the SHA-256 of the canonical N-Quads (RDFC-1.0) of `quads`: the same for isomorphic graphs."""
    lines = sorted(f"{quad} .\n" for quad in canonical(quads))
    return hashlib.sha256("".join(lines).encode()).hexdigest()
