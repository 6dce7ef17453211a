"""How a release is made of the files: read, derived, checked, described and published."""

import logging
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pyoxigraph as ox

from itukg import __version__, names
from itukg.conformance import Report, now, write, write_violations
from itukg.conformance.check import check_corpus
from itukg.corpus import Corpus, file_hash, merged
from itukg.errors import DataError, DoesNotConform
from itukg.evidence import unverified, without_text_copy
from itukg.formats import JSON, N_QUADS, PATCH, write_json
from itukg.release.changes import compare, write_changes
from itukg.release.derive import derive, entail
from itukg.release.documents import Documents
from itukg.release.dumps import STEM, dumped, write_dumps, write_sums
from itukg.release.examples import examples as examples_of_terms
from itukg.release.index import write_index
from itukg.release.integrity import seal
from itukg.release.mappings import write_mappings
from itukg.release.model import Release, current, find, known, pointed
from itukg.release.overview import Overview
from itukg.release.package import write_package
from itukg.release.proposals import read_proposals, write_proposals
from itukg.release.upkeep import drafted, newest, publish, put, withdrawn
from itukg.release.void import describe, examples, provenance, structure

STEPS = ("Reading files", "Deriving", "Checking shapes", "Writing the release")
"""What `build` announces, in order."""

log = logging.getLogger("itukg")


def build(
    corpus: Corpus,
    home: Path,
    announce: Callable[[str], None] = lambda _step: None,
    *,
    allow_unverified: bool = False,
    publishes: bool = True,
) -> Release:
    """Make the release of the files as they stand, and publish it; a release that is there already is only published.

    Who only reads it passes False for `publishes`: then a current release stays current, if it is whole.

    Where the release of the files was gone back from (see `roll_back`), returns the current one instead and publishes
    nothing. A release that is there is returned even if `current` cannot be written; the log says so.

    Raises DataError for a file that cannot be read, or whose words were not checked against the documents unless
    `allow_unverified`, or where the release cannot be written, and DoesNotConform where a shape finds a violation: then
    nothing is published, and the current release stays what it was.
    """
    name = corpus.fingerprint()
    release = find(home, name)
    if is_made := release is None:
        release = _make(corpus, home, name, newest(home), announce, allow_unverified=allow_unverified)
    if name in withdrawn(home):
        if published := current(home):
            return published
        raise DataError(
            f"The release of the files, {name}, was gone back from, and the current one, {pointed(home) or 'none'}, is "
            "missing or damaged. Say which to use: itukg rollback RELEASE."
        )
    if not publishes and current(home) is not None:
        return release
    try:
        publish(home, release)
    except DataError as error:
        if is_made:
            raise
        log.warning("%s The release is used, but it is not the current one.", error)
    return release


def _make(
    corpus: Corpus,
    home: Path,
    name: str,
    before: Release | None,
    announce: Callable[[str], None],
    *,
    allow_unverified: bool,
) -> Release:
    with _writing(home) as draft:
        announce(STEPS[0])
        quads = list(corpus.quads())
        proposals = [read_proposals(path) for path in corpus.proposals()]
        asked = examples(corpus.queries())  # joins after the check: shapes see what is said, not how to ask for it
        announce(STEPS[1])
        merge = merged(quads)
        entailed = entail(merge)
        merge |= merged(entailed)
        derived = derive(merge, corpus.rules())
        announce(STEPS[2])
        doubts = unverified(corpus)
        report = check_corpus(corpus, quads, derived).with_unverified(without_text_copy(corpus) | doubts)
        if not report.conforms:
            raise DoesNotConform(
                f"{write_violations(report)}Nothing was published. Mend the violations, or see them with: itukg check"
            )
        if not allow_unverified:
            refuse_unverified(doubts)
        announce(STEPS[3])
        dumps = _write(draft, corpus, quads + entailed + derived + asked, merge | merged(asked), report, name=name)
        write_proposals(draft, proposals, name)
        if before is not None:
            _write_changes(draft, before, name)
        write_sums(draft, dumps)
        number = 1 + max((each.order[0] for each in known(home)), default=0)
        (draft / "built").write_text(f"{now()} {number}\n")  # apart, so that all else is the same each time
        draft.chmod(0o755)
        seal(draft)
        if corpus.fingerprint() != name:
            raise DataError("A file was changed while the release was built of it. Nothing was published; build again.")
        place = home / "releases" / name
        put(draft, place)
    return Release(place)


@contextmanager
def _writing(home: Path) -> Iterator[Path]:
    """Yield a draft. Raises DataError, which names the file, where the disk is full or nothing may be written to it."""
    draft = home / "releases"
    try:
        with drafted(home) as draft:
            try:
                yield draft
            except (OSError, sqlite3.Error) as error:
                raise _not_written(error, home, draft) from None
    except OSError as error:  # before there is a draft
        raise _not_written(error, home, draft) from None


def _not_written(error: OSError | sqlite3.Error, home: Path, folder: Path) -> Exception:
    """Return what a failure to write below `home` is called, and any other failure as it is."""
    file = getattr(error, "filename", None)
    if file is not None and not (Path(file).is_relative_to(home) or home.is_relative_to(file)):
        return error  # a file that is read
    if file is None:  # a library wrote: to the file that was changed last
        written = folder.iterdir() if folder.is_dir() else ()
        file = max(written, key=lambda path: path.stat().st_mtime_ns, default=folder)
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return DataError(
        f"The release could not be written, at {file}: {reason}. Nothing was published. Make room, for example with "
        "itukg prune --keep 2, or name another folder by ITUKG_HOME."
    )


def refuse_unverified(doubts: dict[str, str]) -> None:
    """Raise DataError, which names the files, if there are doubts that their words are the documents'."""
    if doubts:
        raise DataError(
            "".join(f"{file} {reason}.\n" for file, reason in doubts.items())
            + "Nothing was published. Check the words with: itukg evidence --sources DIR. Without the text copies of the "
            "documents, build with --unverified (ITUKG_UNVERIFIED=1), and the release says so."
        )


def _write(
    folder: Path, corpus: Corpus, quads: list[ox.Quad], merge: set[ox.Quad], report: Report, *, name: str
) -> dict[str, str]:
    """Write the release but for what changed in it, and return the SHA-256 of each dump."""
    store = ox.Store()
    store.bulk_extend([*quads, *merge])
    described = structure(store)
    store.bulk_extend([*described, *merged(described)])
    quads, merge = quads + described, merge | merged(described)
    with (folder / "dataset.nq").open("wb") as file:
        ox.serialize([*quads, *merge], file, format=ox.RdfFormat.N_QUADS)
    sizes: dict[str, int] = {}
    for quad in quads:
        assert isinstance(quad.graph_name, ox.NamedNode)
        sizes[quad.graph_name.value] = sizes.get(quad.graph_name.value, 0) + 1
    for export in corpus.exports():
        answer = store.query(export.text)
        assert isinstance(answer, ox.QuerySolutions)
        (folder / f"{export.name}.csv").write_bytes(answer.serialize(format=ox.QueryResultsFormat.CSV) or b"")
    write_package(folder, store, name)
    write_mappings(folder, store, corpus.mappings(), corpus.rules(), name)
    write_index(store, folder / "search.db")
    (folder / "overview.json").write_bytes(Overview.of_store(store).write())
    (folder / "documents.json").write_bytes(Documents.of_store(store, corpus).write())
    # Counted as the store holds it: it makes "4.0" into "4".
    _write_triples(folder / "void.nt", describe(store, name))
    _write_triples(folder / "provenance.nt", provenance(corpus, quads))
    asked = store.quads_for_pattern(None, None, None, ox.NamedNode(names.graph("queries")))
    _write_triples(folder / "queries.nt", [quad.triple for quad in asked])
    (folder / "conformance.json").write_bytes(write(report, JSON))
    (folder / "conformance.nt").write_bytes(report.graph)
    if path := corpus.waivers():
        shutil.copyfile(path, folder / "waivers.toml")
    dumps = write_dumps(folder, quads)
    (folder / "examples.json").write_bytes(write_json(examples_of_terms(dumped(folder))))
    manifest = {
        "version": __version__,
        "canonical_sha256": dumps[STEM + N_QUADS.suffix],
        "graphs": dict(sorted(sizes.items())),
        "merged": len(merge),
        "unverified": report.header.unverified,
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
