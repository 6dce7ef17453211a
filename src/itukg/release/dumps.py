"""What a release is downloaded as: every named graph in three syntaxes, the same bytes each time, with their sums."""

import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyoxigraph as ox

from itukg import names
from itukg.corpus import file_hash
from itukg.formats import CSV, GZIP, JSON, JSONLD, N_QUADS, N_TRIPLES, PATCH, SSSOM, SSSOM_JSONLD, TOML, TRIG, Format
from itukg.graphs import write_dataset
from itukg.rdf.parse import canonical

STEM = "itukg"
"""What dumps are called: `itukg.nq`, `itukg.nq.gz` and so on."""
DUMPS = (N_QUADS, TRIG, JSONLD)
SUMS = "SHA256SUMS"
PLAIN = Format("text/plain", "")

FILE_FORMATS = (N_QUADS, TRIG, JSONLD, N_TRIPLES, CSV, SSSOM, JSON, TOML, PATCH, GZIP, PLAIN)
"""Syntaxes of files for download; the last one is of those without a suffix that tells more."""
READ_BY_PAGES = ("ontology", "shapes")
"""Graphs that stand in files of their own too, for pages that read them."""
_OURS = (
    "dataset.nq",
    "search.db",
    "built",
    "examples.json",
    "overview.json",
    "documents.json",
    *(f"{name}.nq" for name in READ_BY_PAGES),
)
"""Files of a release that are not for download: what store, search and pages read, and when it was built."""


@dataclass(frozen=True)
class File:
    """A file of a release for download. `packed`: what stands at `path` is the file zipped; `size` is in bytes."""

    name: str
    path: Path
    size: int
    sha256: str
    packed: bool = False

    @property
    def syntax(self) -> Format:
        """What it is written in, by its suffix."""
        return next(kind for kind in FILE_FORMATS if self.name.endswith(kind.suffix))

    @property
    def content(self) -> Format:
        """What it is written in once it is unpacked."""
        name = self.name.removesuffix(GZIP.suffix)
        return next(kind for kind in FILE_FORMATS if name.endswith(kind.suffix))

    @property
    def is_sssom(self) -> bool:
        """Whether it is a set of mappings."""
        return self.name.endswith((SSSOM.suffix, SSSOM_JSONLD.suffix))

    def read(self) -> bytes:
        """Return its bytes."""
        return gzip.decompress(self.path.read_bytes()) if self.packed else self.path.read_bytes()


def write_dumps(folder: Path, quads: list[ox.Quad]) -> dict[str, str]:
    """Write the dumps of `quads`, zipped, and return the SHA-256 of each as it is unzipped.

    Blank nodes are named and quads sorted as RDFC-1.0 has them, so that the sum of the N-Quads is the canonical
    hash of the dataset. JSON-LD is expanded: it needs no context, and so nothing from elsewhere.
    """
    ordered = sorted(canonical(quads), key=lambda quad: f"{quad} .\n")
    for name in READ_BY_PAGES:
        graph = ox.NamedNode(names.graph(name))
        (folder / f"{name}.nq").write_bytes(write_dataset([q for q in ordered if q.graph_name == graph], N_QUADS))
    sums = {}
    for syntax in DUMPS:
        name = STEM + syntax.suffix
        content = write_dataset(ordered, syntax)
        sums[name] = hashlib.sha256(content).hexdigest()
        # Without a time the same content gives the same bytes.
        (folder / (name + GZIP.suffix)).write_bytes(gzip.compress(content, 6, mtime=0))
    return sums


def write_sums(folder: Path, dumps: dict[str, str]) -> None:
    """Write the SHA-256 of each file for download, as `sha256sum --check` reads them; `dumps` are those zipped."""
    files = [path for path in folder.iterdir() if path.name not in _OURS]
    sums = dumps | {path.name: file_hash(path) for path in files}
    (folder / SUMS).write_text("".join(f"{sums[name]}  {name}\n" for name in sorted(sums)))


def files(folder: Path) -> dict[str, File]:
    """Return the files for download in a release's folder, by name."""
    listed = folder / SUMS
    sums = [line.split("  ", 1) for line in listed.read_text().splitlines()]
    found = {name: _file(folder, name, digest) for digest, name in sums}
    return found | {SUMS: File(SUMS, listed, listed.stat().st_size, file_hash(listed))}


def dumped(folder: Path) -> list[str]:
    """Return the lines of the canonical N-Quads of the release in `folder`."""
    dump = folder / (STEM + N_QUADS.suffix + GZIP.suffix)
    return gzip.decompress(dump.read_bytes()).decode().split("\n")[:-1]  # a literal may hold other line ends


def graph_of(folder: Path, name: str) -> Iterator[ox.Triple]:
    """Return the triples of one named graph of the release in `folder`."""
    content = (folder / f"{name}.nq").read_bytes()
    return (quad.triple for quad in ox.parse(content, format=ox.RdfFormat.N_QUADS))


def _file(folder: Path, name: str, digest: str) -> File:
    path = folder / name
    if path.is_file():
        return File(name, path, path.stat().st_size, digest)
    zipped = path.with_name(name + GZIP.suffix)
    with zipped.open("rb") as file:
        file.seek(-4, 2)  # the size of what is zipped stands at the end (RFC 1952, section 2.3.1)
        size = int.from_bytes(file.read(), "little")
    return File(name, zipped, size, digest, packed=True)
