"""Releases: what `build` makes of the corpus, immutable, named by the hash of what went in, and served whole."""

import json
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import pyoxigraph as ox

from itukg import names
from itukg.conformance import (
    HistoryRow,
    Report,
    read_waivers,
    waived,
)
from itukg.errors import DataError
from itukg.queries import SavedQuery, read_saved
from itukg.release.documents import Documents
from itukg.release.dumps import File, files
from itukg.release.integrity import is_whole
from itukg.release.overview import Overview

_SELECT = ox.NamedNode(names.SH + "select")


@dataclass(frozen=True)
class Release:
    """A built release: its folder holds the dataset, the conformance report and a manifest."""

    path: Path

    @property
    def name(self) -> str:
        """The hash of what went in."""
        return self.path.name

    @property
    def dataset(self) -> Path:
        """The N-Quads file: every named graph, and the merged graph as the default one."""
        return self.path / "dataset.nq"

    @property
    def void(self) -> Path:
        """The N-Triples file that describes and counts the release (VoID)."""
        return self.path / "void.nt"

    @property
    def index(self) -> Path:
        """The SQLite file in which the full text is searched."""
        return self.path / "search.db"

    @property
    def provenance(self) -> Path:
        """The N-Triples file that tells what each graph was made from (PROV)."""
        return self.path / "provenance.nt"

    @property
    def queries(self) -> Path:
        """The N-Triples file of the graph `queries`: the saved queries as examples."""
        return self.path / "queries.nt"

    @cached_property
    def saved(self) -> dict[str, SavedQuery]:
        """The saved queries by name, as they stood when it was built."""
        quads = ox.parse(self.queries.read_bytes(), format=ox.RdfFormat.N_TRIPLES)
        texts = [quad for quad in quads if quad.predicate == _SELECT]
        found = {str(quad.subject).strip("<>").rpartition("/")[2]: quad.object.value for quad in texts}
        return {name: read_saved(name, found[name], str(self.queries)) for name in sorted(found)}

    @cached_property
    def examples(self) -> dict[str, str]:
        """An instance of each class, and a thing with each property."""
        loaded: dict[str, str] = json.loads((self.path / "examples.json").read_bytes())
        return loaded

    @cached_property
    def overview(self) -> Overview:
        """What lists and pages know of the graph."""
        return Overview.read((self.path / "overview.json").read_bytes())

    def read(self) -> None:
        """Read the small files that many answers need: what happens to them later does not matter then. Raises OSError."""
        _ = self.overview, self.saved, self.manifest, self.examples, self.files, self.order

    @cached_property
    def documents(self) -> Documents:
        """The documents, with what was made of each line."""
        return Documents.read((self.path / "documents.json").read_bytes())

    @cached_property
    def files(self) -> dict[str, File]:
        """The files for download by name: dumps, tables, descriptions, the report, what changed, and the sums of all."""
        return files(self.path)

    @cached_property
    def changes(self) -> dict[str, Any] | None:
        """What changed in it since the release built before it: `older`, `counts`, `graphs` and `things`."""
        noted = self.path / "changes.json"
        found: dict[str, Any] | None = json.loads(noted.read_bytes()) if noted.is_file() else None
        return found

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Version, canonical hash, graphs with their sizes, files with their hashes."""
        loaded: dict[str, Any] = json.loads((self.path / "manifest.json").read_bytes())
        return loaded

    @property
    def unverified(self) -> dict[str, str]:
        """The data files whose words were not checked against the documents, and why; none where an older version built it."""
        found: dict[str, str] = self.manifest.get("unverified", {})
        return found

    @cached_property
    def built(self) -> str:
        """When it was built (ISO 8601, UTC)."""
        return self._built[0]

    @property
    def order(self) -> tuple[int, str]:
        """What tells which of two releases is newer: a number that grows with each build, whatever the clock says."""
        return int(self._built[1]), self.name

    @cached_property
    def _built(self) -> list[str]:
        return (self.path / "built").read_text().split()

    @cached_property
    def checked(self) -> Report:
        """The conformance report made at build, dated then, with the release's waivers as they held on that day."""
        rows = json.loads((self.path / "conformance.json").read_bytes())
        report = Report.from_rows(rows, (self.path / "conformance.nt").read_bytes()).dated(self.built)
        waivers = self.path / "waivers.toml"
        return waived(report, read_waivers(waivers), published=True) if waivers.is_file() else report

    @cached_property
    def report(self) -> Report:
        """The conformance report, compared with that of the release built before this one, if any."""
        before = self.before
        return self.checked if before is None else self.checked.compared(before.checked.as_rows())

    @cached_property
    def things(self) -> frozenset[str]:
        """The IRIs of everything that the release describes."""
        quads = ox.parse(path=self.dataset, format=ox.RdfFormat.N_QUADS)
        return frozenset(quad.subject.value for quad in quads if isinstance(quad.subject, ox.NamedNode))

    @property
    def home(self) -> Path:
        """The folder that holds this release and those beside it."""
        return self.path.parents[1]

    @property
    def before(self) -> "Release | None":
        """The release built before this one, beside it."""
        older = [each for each in known(self.home) if each.order < self.order]
        return older[-1] if older else None


def find(home: Path, name: str) -> Release | None:
    """Return the release `name` below `home`, if it has been built and is whole."""
    path = home / "releases" / name
    return Release(path) if is_name(name) and is_whole(path) else None


def known(home: Path) -> list[Release]:
    """Return the releases below `home` that are whole, in the order in which they were built."""
    found = [_read(path) for path in home.glob("releases/[!.]*") if is_name(path.name) and is_whole(path)]
    return sorted(found, key=lambda release: release.order)


@lru_cache(maxsize=64)  # what a release holds never changes, and reading its report takes a while
def _read(path: Path) -> Release:
    return Release(path)


def history(home: Path) -> list[HistoryRow]:
    """Return a row for each release below `home`, oldest first: verdict, counts, and what changed since the one before."""
    rows = []
    before: Report | None = None
    for release in known(home):
        report = release.checked if before is None else release.checked.compared(before.as_rows())
        changed = report.statuses if before else {}
        counts = report.counts
        rows.append(
            HistoryRow(
                release=release.name,
                built=release.built,
                verdict=report.verdict,
                violations=counts["Violation"],
                warnings=counts["Warning"],
                infos=counts["Info"],
                new=changed.get("new"),
                fixed=changed.get("fixed"),
            )
        )
        before = release.checked
    return rows


def current(home: Path) -> Release | None:
    """Return the release that was last published below `home`, if there is one and it is whole."""
    name = pointed(home)
    return find(home, name) if name else None


def pointed(home: Path) -> str:
    """Return the name of the release that was last published below `home`, whatever became of it; "" if none is named.

    Raises DataError where that cannot be read.
    """
    try:
        name = (home / "current").read_text(errors="replace").strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise DataError(
            f"{home / 'current'}, which names the current release, cannot be read: {error.strerror}."
        ) from None
    return name if is_name(name) else ""


def is_name(name: str) -> bool:
    """Tell whether a release may be called so: no other folder is one."""
    return re.fullmatch(r"\w[\w.-]*", name, re.ASCII) is not None
