"""Releases: what `build` makes of the corpus, immutable, named by the hash of what went in, and served whole."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import pyoxigraph as ox

from itukg import __version__, names
from itukg.changes import compare, write_changes
from itukg.conformance import (
    HistoryRow,
    Own,
    Report,
    everything,
    for_derived,
    header_of,
    moment,
    now,
    read_waivers,
    report_of,
    results_of,
    to_rdflib,
    told,
    validate,
    waived,
    write,
    write_text,
)
from itukg.corpus import Corpus, canonical_hash, file_hash, merged
from itukg.derive import derive, entail
from itukg.dumps import STEM, File, dumped, files, write_dumps, write_sums
from itukg.errors import DoesNotConform
from itukg.formats import JSON, N_QUADS, PATCH, write_json
from itukg.search import write_index
from itukg.vocabulary import examples as examples_of_terms
from itukg.void import describe, examples, provenance

STEPS = ("Reading files", "Deriving", "Checking shapes", "Writing the release")
"""What `build` announces, in order."""


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
    def examples(self) -> dict[str, str]:
        """An instance of each class, and a thing with each property; computed where it is older than that file."""
        noted = self.path / "examples.json"
        return json.loads(noted.read_bytes()) if noted.is_file() else examples_of_terms(dumped(self.path))

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

    @cached_property
    def built(self) -> str:
        """When it was built (ISO 8601, UTC)."""
        noted = self.path / "built"
        if noted.is_file():
            return noted.read_text().strip()
        return moment(datetime.fromtimestamp((self.path / "manifest.json").stat().st_mtime, UTC))

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

    @property
    def home(self) -> Path:
        """The folder that holds this release and those beside it."""
        return self.path.parents[1]

    @property
    def before(self) -> "Release | None":
        """The release built before this one, beside it."""
        older = [each for each in known(self.home) if (each.built, each.name) < (self.built, self.name)]
        return older[-1] if older else None


def find(home: Path, name: str) -> Release | None:
    """Return the release `name` below `home`, if it has been built."""
    path = home / "releases" / name
    return Release(path) if (path / "manifest.json").is_file() else None


def known(home: Path) -> list[Release]:
    """Return the releases below `home`, in the order in which they were built."""
    found = [_read(path.parent) for path in home.glob("releases/[!.]*/manifest.json")]
    return sorted(found, key=lambda release: (release.built, release.name))


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
    """Return the release that was last published below `home`, if any."""
    pointer = home / "current"
    return find(home, pointer.read_text().strip()) if pointer.is_file() else None


def build(corpus: Corpus, home: Path, announce: Callable[[str], None] = lambda _step: None) -> Release:
    """Make the release of the files as they stand, and publish it; a release that is there already is only published.

    Raises DataError for a file that cannot be read and DoesNotConform where a shape finds a violation: then
    nothing is published, and the current release stays what it was.
    """
    name = corpus.fingerprint()
    release = find(home, name)
    if release is None:
        release = _make(corpus, home, name, current(home), announce)
    _replace(home / "current", name.encode())
    return release


def _make(corpus: Corpus, home: Path, name: str, before: Release | None, announce: Callable[[str], None]) -> Release:
    releases = home / "releases"
    releases.mkdir(parents=True, exist_ok=True)  # where nothing can be written, there is no use in going on
    announce(STEPS[0])
    quads = list(corpus.quads())
    asked = examples(corpus.queries())  # joins after the check: shapes see what is said, not how to ask for it
    announce(STEPS[1])
    merge = merged(quads)
    entailed = entail(merge)
    merge |= merged(entailed)
    derived = derive(merge, [rule.text for rule in corpus.rules()])
    announce(STEPS[2])
    report = check_corpus(corpus, quads, derived)
    if not report.conforms:
        raise DoesNotConform(
            f"{write_text(report)}Nothing was published. Mend the violations, or see them with: itukg check"
        )
    announce(STEPS[3])
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=releases))
    try:
        dumps = _write(draft, corpus, quads + entailed + derived + asked, merge, report, name=name)
        if before is not None and before.files:
            _write_changes(draft, before, name)
        write_sums(draft, dumps)
        draft.chmod(0o755)
        try:
            draft.rename(releases / name)
        except OSError:
            if find(home, name) is None:  # else another process has built the same release meanwhile
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Release(releases / name)


def check_corpus(corpus: Corpus, quads: list[ox.Quad], derived: list[ox.Quad] | None = None) -> Report:
    """Validate the `quads` of the corpus, which hold nothing entailed, against the shapes among them.

    What is derived is validated apart, for its evidence only: it must not complete what a document leaves open.
    """
    name = corpus.fingerprint()
    files = {names.graph(graph): path.relative_to(corpus.root).as_posix() for path, graph in corpus.files().items()}
    shapes = ox.NamedNode(names.graph("shapes"))
    rules = [quad for quad in quads if quad.graph_name == shapes]
    data = [quad for quad in quads if quad.graph_name != shapes]
    report = check_quads(data, rules, files, name, release=name)
    if not derived:
        return report
    ontology = ox.NamedNode(names.graph("ontology"))
    terms = [quad for quad in quads if quad.graph_name == ontology]
    return report.joined(validate([*terms, *derived], for_derived(to_rdflib(rules))))


def check_quads(
    data: list[ox.Quad],
    rules: list[ox.Quad],
    files: dict[str, str],
    subject: str,
    *,
    release: str | None = None,
    own: Own = everything,
) -> Report:
    """Validate `data`, which holds the ontology too, against the shapes in `rules`; report of one's `own` things alone.

    `files` has the path of the file behind a graph. Raises ShapesRefused for rules that cannot be applied.
    """
    places = {
        str(subject.value): files[graph.value]
        for subject, graph in dict.fromkeys((quad.subject, quad.graph_name) for quad in data)
        if isinstance(subject, ox.NamedNode | ox.BlankNode) and isinstance(graph, ox.NamedNode) and graph.value in files
    }
    shapes = to_rdflib(rules)
    graph = told(data)
    hashes = {"data": canonical_hash(data), "shapes": canonical_hash(rules)}
    header = header_of(subject, release, **hashes, rules=shapes, graph=graph, own=own)
    return report_of(results_of(data, shapes), graph, shapes, header, files=places, own=own)


def _write(
    folder: Path, corpus: Corpus, quads: list[ox.Quad], merge: set[ox.Quad], report: Report, *, name: str
) -> dict[str, str]:
    """Write the release but for what changed in it, and return the SHA-256 of each dump."""
    with (folder / "dataset.nq").open("wb") as file:
        ox.serialize([*quads, *merge], file, format=ox.RdfFormat.N_QUADS)
    sizes: dict[str, int] = {}
    for quad in quads:
        assert isinstance(quad.graph_name, ox.NamedNode)
        sizes[quad.graph_name.value] = sizes.get(quad.graph_name.value, 0) + 1
    store = ox.Store()
    store.bulk_extend([*quads, *merge])
    for export in corpus.exports():
        answer = store.query(export.text)
        assert isinstance(answer, ox.QuerySolutions)
        (folder / f"{export.name}.csv").write_bytes(answer.serialize(format=ox.QueryResultsFormat.CSV) or b"")
    write_index(store, folder / "search.db")
    # Counted as the store holds it: it makes "4.0" into "4".
    _write_triples(folder / "void.nt", describe(store, name))
    _write_triples(folder / "provenance.nt", provenance(corpus, quads))
    asked = store.quads_for_pattern(None, None, None, ox.NamedNode(names.graph("queries")))
    _write_triples(folder / "queries.nt", [quad.triple for quad in asked])
    (folder / "conformance.json").write_bytes(write(report, JSON))
    (folder / "conformance.nt").write_bytes(report.graph)
    if path := corpus.waivers():
        shutil.copyfile(path, folder / "waivers.toml")
    (folder / "built").write_text(f"{now()}\n")  # apart, so that all else is the same each time
    dumps = write_dumps(folder, quads)
    (folder / "examples.json").write_bytes(write_json(examples_of_terms(dumped(folder))))
    manifest = {
        "version": __version__,
        "canonical_sha256": dumps[STEM + N_QUADS.suffix],
        "graphs": dict(sorted(sizes.items())),
        "merged": len(merge),
        "files": {p.relative_to(corpus.root).as_posix(): file_hash(p) for p in corpus.files()},
    }
    (folder / "manifest.json").write_bytes(write_json(manifest))
    return dumps


def _write_changes(folder: Path, before: Release, name: str) -> None:
    changes = replace(compare(before.path, folder), newer=name)
    for syntax in (JSON, PATCH):
        (folder / f"changes{syntax.suffix}").write_bytes(write_changes(changes, syntax))


def _write_triples(path: Path, triples: list[ox.Triple]) -> None:
    path.write_text("".join(sorted(f"{triple} .\n" for triple in triples)), encoding="utf-8", newline="\n")


def _replace(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}-{os.getpid()}")
    beside.write_bytes(content)
    beside.replace(path)
