"""The files that we ship: the named graph of each, the saved queries, and a hash of everything."""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import pyoxigraph as ox

from itukg import __version__, names
from itukg.errors import DataError, NotFound
from itukg.queries import AUDIENCES, SavedQuery, saved_query
from itukg.rdf.parse import read_rdf

LAYOUT = "10"
"""The version of a release's file layout: it is part of the fingerprint, so a new layout makes a new release."""
NOT_MERGED = frozenset(names.graph(name) for name in ("derived", "shapes"))
"""Graphs that a query without GRAPH or FROM does not see."""


@dataclass(frozen=True)
class Corpus:
    """The folders `ontology/ shapes/ data/ queries/` below `root`."""

    root: Path

    def files(self) -> dict[Path, str]:
        """Return every Turtle file, sorted, with the name of its graph.

        Each file of `data/` is a graph; the files of `ontology/` are one graph, and so are those of `shapes/`.
        """
        found = {path: path.stem for path in sorted(self.root.glob("data/**/*.ttl"))}
        _check_names(found, "its graph's IRI")
        for folder in ("ontology", "shapes"):
            found |= dict.fromkeys(sorted((self.root / folder).glob("*.ttl")), folder)
        if not found:
            raise DataError(
                f"No Turtle files below {self.root}: set ITUKG_CORPUS to a folder that has data/ and ontology/."
            )
        return found

    def quads(self) -> Iterator[ox.Quad]:
        """Return the quads of all files. Raises DataError with file, line and reason for a file that is not Turtle."""
        for path, graph in self.files().items():
            yield from read_rdf(path, names.graph(graph))

    def query_files(self, pattern: str = "**/*.rq") -> list[Path]:
        """Return the files of `queries/` that match a pattern, sorted."""
        return sorted((self.root / "queries").glob(pattern))

    def saved_files(self) -> list[Path]:
        """Return the files of the saved queries, sorted by name. Raises DataError where two have one name."""
        found: dict[str, Path] = {}
        for path in (path for audience in AUDIENCES for path in self.query_files(f"{audience}/*.rq")):
            if path.stem in found:
                raise DataError(f"{found[path.stem]} and {path} have one name; rename one.")
            found[path.stem] = path
        return [path for _, path in sorted(found.items())]

    def queries(self) -> list[SavedQuery]:
        """Return the saved queries, sorted by name."""
        return [saved_query(path) for path in self.saved_files()]

    def rules(self) -> list[SavedQuery]:
        """Return the CONSTRUCT queries that derive links, sorted by name."""
        return [saved_query(path) for path in self.query_files("rules/*.rq")]

    def exports(self) -> list[SavedQuery]:
        """Return the queries whose answers each release has as CSV files, sorted by name."""
        return [saved_query(path) for path in self.query_files("exports/*.rq")]

    def mappings(self) -> list[SavedQuery]:
        """Return the queries that each find a set of mappings, sorted by name."""
        return [saved_query(path) for path in self.query_files("mappings/*.rq")]

    def proposals(self) -> list[Path]:
        """Return the files of proposals, sorted."""
        found = sorted(self.root.glob("data/proposals/*.sssom.tsv"))
        _check_names(found, "the address of a mapping set")
        return found

    def uncovered(self) -> list[Path]:
        """Return the files that say why lines of a document produced nothing, sorted."""
        return sorted(self.root.glob("data/uncovered/*.csv"))

    def query(self, name: str) -> SavedQuery:
        """Return the saved query `name`. Raises NotFound, listing the saved queries."""
        found = {query.name: query for query in self.queries()}
        if name not in found:
            near = get_close_matches(name, found, 5)
            told = f"nearest: {', '.join(near)}; itukg query --list names all" if near else f"known: {', '.join(found)}"
            raise NotFound(f'No saved query "{name[:80]}"; {told}.')
        return found[name]

    def waivers(self) -> Path | None:
        """Return the file of waivers, if there is one."""
        path = self.root / "data" / "waivers.toml"
        return path if path.is_file() else None

    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits that change whenever a file of ours, or the version, does."""
        digest = hashlib.sha256(f"{__version__} {LAYOUT}".encode())
        waivers = [path] if (path := self.waivers()) else []
        record = [path] if (path := self.root / "data" / "evidence.json").is_file() else []
        for path in [*self.files(), *self.query_files(), *self.proposals(), *self.uncovered(), *waivers, *record]:
            digest.update(f"\n{path.relative_to(self.root).as_posix()} {file_hash(path)}".encode())
        return digest.hexdigest()[:16]


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def replace_file(path: Path, content: bytes, mode: int | None = None) -> None:
    """Write a file at once: who reads it meanwhile sees the whole of the old one or of the new one; `mode` is who may."""
    beside = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())  # else a power cut may leave an empty file under the new name
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _check_names(paths: Iterable[Path], part_of: str) -> None:
    if odd := next((path for path in paths if not re.fullmatch(r"[\w.-]+", path.stem, re.ASCII)), None):
        raise DataError(f'{odd}: the name is part of {part_of}; use letters, digits, "-", "_" and "." only.')


def merged(quads: Iterator[ox.Quad] | list[ox.Quad]) -> set[ox.Quad]:
    """Return the RDF merge that queries see by default: each triple once, in the default graph."""
    return {
        ox.Quad(q.subject, q.predicate, q.object)
        for q in quads
        if not (isinstance(q.graph_name, ox.NamedNode) and q.graph_name.value in NOT_MERGED)
    }
