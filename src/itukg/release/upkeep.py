"""The releases on disk: which one is current, which are checked, removed or gone back to, and what no process may remove."""

import fcntl
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pyoxigraph as ox

from itukg.corpus import replace_file
from itukg.errors import BadRequest, DataError, NotFound, ReleaseDamaged
from itukg.release.integrity import faults, is_whole, sync
from itukg.release.model import Release, current, find, is_name, known, pointed


@dataclass(frozen=True)
class Folder:
    """A folder below `releases/` that is removed, or stays: what it is, its size in bytes, and why it stays."""

    name: str
    what: str
    size: int
    stays: str = ""


@dataclass(frozen=True)
class RolledBack:
    """What `current` named before and names now, and the releases that no build publishes again, the newest last."""

    before: str
    now: Release
    withdrawn: tuple[str, ...]


def publish(home: Path, release: Release) -> None:
    """Make a release the current one, at once and lasting; where it is so already, nothing is written.

    Raises DataError where `current` cannot be written.
    """
    if pointed(home) != release.name:
        _write(home / "current", release.name)


def whole(home: Path, name: str) -> Release:
    """Return the release `name`. Raises NotFound, which lists those there are, or ReleaseDamaged, which names its faults."""
    folder = _folder(home, name)
    if release := find(home, name):
        return release
    raise ReleaseDamaged(
        f"Release {name}: {'; '.join(faults(folder))}. itukg build makes that of the files again; any other "
        "comes back from a copy."
    )


def newest(home: Path) -> Release | None:
    """Return the current release; where that one is damaged or missing, the newest that is whole and was not gone back from."""
    gone = withdrawn(home)
    return current(home) or next((each for each in reversed(known(home)) if each.name not in gone), None)


def folders(home: Path) -> list[Path]:
    """Return the folders of all releases, damaged ones too, sorted by name; what cannot be the name of one is none."""
    return sorted(path for path in home.glob("releases/[!.]*") if is_name(path.name) and path.is_dir())


def check(home: Path, name: str) -> list[str]:
    """Return what is wrong with a release, one sentence each: the sums of its files, then what the dataset holds.

    Raises NotFound, which lists those there are.
    """
    folder = _folder(home, name)
    return faults(folder) or _miscounted(Release(folder))


def _miscounted(release: Release) -> list[str]:
    """Compare the sizes of graphs in the manifest with those in the dataset."""
    quads = ox.parse(path=release.dataset, format=ox.RdfFormat.N_QUADS)
    found = Counter("" if isinstance(q.graph_name, ox.DefaultGraph) else q.graph_name.value for q in quads)
    stated = Counter({**release.manifest["graphs"], "": release.manifest["merged"]})
    return [
        f"{release.dataset.name} has {found[graph]} triples in {graph or 'the merged graph'}, and the manifest says {stated[graph]}"
        for graph in sorted(found | stated)
        if found[graph] != stated[graph]
    ]


# --- going back ---


def roll_back(home: Path, name: str | None = None) -> RolledBack:
    """Make `current` name the release before it, or the one of this name; a build does not publish newer ones again.

    Of those before it the newest is taken that is whole and was not gone back from. Raises NotFound where there is
    none, and what `whole` raises.
    """
    before, releases, gone = pointed(home), known(home), withdrawn(home)
    if name is None:
        served = current(home)
        older = [r for r in releases if r.name not in gone | {before} and (served is None or r.order < served.order)]
        if not older:
            raise NotFound(f"No whole release before {before or 'a first one'} below {home}; {_listed(home)}")
        target = older[-1]
    else:
        target = whole(home, name)
    others = {r.name for r in releases if r.order > target.order} | {before} - {"", target.name}
    settled = {r.name for r in releases if r.order <= target.order}
    # Wherever this process ends, no build publishes what was gone back from: it is noted first, and cleared last.
    _withdraw(home, gone | others)
    publish(home, target)
    left = (gone | others) - settled
    _withdraw(home, left)
    numbers = {release.name: release.order for release in releases}
    return RolledBack(before, target, tuple(sorted(left, key=lambda name: numbers.get(name, (0, name)))))


def withdrawn(home: Path) -> set[str]:
    """Return the names of the releases that were gone back from, which no build publishes."""
    noted = home / "withdrawn"
    return set(filter(is_name, noted.read_text(errors="replace").split())) if noted.is_file() else set()


def _withdraw(home: Path, names: set[str]) -> None:
    if names != withdrawn(home):
        _write(home / "withdrawn", "\n".join(sorted(names)))


# --- removing ---


def prune(home: Path, keep: int, *, dry_run: bool = False) -> list[Folder]:
    """Remove what nobody needs: releases before the `keep` newest up to the current one, damaged ones, and dead drafts.

    The current release stays, as do those that were built after it, and those that a process holds (see `held`).
    Returns what was removed, or would be, and what stays because it is held. Raises BadRequest unless one or more
    are kept, and DataError for a folder that cannot be removed; those before it are.
    """
    if keep < 1:
        raise BadRequest(f"--keep {keep}: keep 1 or more; the current release always stays.")
    if not (home / "releases").is_dir():
        return []
    served, releases = current(home), known(home)
    ranked = [release for release in releases if served is None or release.order <= served.order]
    intact = {release.name for release in releases}
    found = [(release.path, "release") for release in ranked[:-keep]]
    found += [
        (path, "damaged release") for path in folders(home) if path.name not in intact and path.name != pointed(home)
    ]
    removed = []
    with alone(home / "releases"):
        for path, what in [(path, "left by a process that was killed") for path in leftovers(home)] + found:
            inside = () if path.is_symlink() else path.rglob("*")
            size = sum(each.stat().st_size for each in inside if each.is_file())
            in_use = _is_held(path)
            if not dry_run and not in_use:
                try:
                    remove(path)
                except OSError as error:
                    raise DataError(f"{path} cannot be removed: {error.strerror}. Is it yours to write to?") from None
            removed.append(Folder(path.name, what, size, "a running process reads it" if in_use else ""))
    return removed


def leftovers(home: Path) -> list[Path]:
    """Return the hidden folders that processes left which were killed: drafts, and what was half removed."""
    return [path for path in sorted(home.glob("releases/.d*-*")) if path.is_dir() and not _is_held(path)]


def remove(folder: Path) -> None:
    """Remove a folder below `releases/` so that no part of it is ever taken for a release. Raises OSError."""
    hidden = folder
    if not folder.name.startswith("."):
        hidden = folder.rename(folder.with_name(f".discarded-{folder.name}"))
        sync(folder.parent)
    if hidden.is_symlink():  # whose target is not ours
        hidden.unlink()
    else:
        shutil.rmtree(hidden)


@contextmanager
def drafted(home: Path) -> Iterator[Path]:
    """Yield a folder for a release to be written into, which is removed at the end unless it was renamed.

    What killed processes left is removed before. Raises OSError.
    """
    releases = home / "releases"
    releases.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        with alone(releases):  # no process takes the draft for a dead one before this one holds it
            for path in leftovers(home):
                shutil.rmtree(path, ignore_errors=True)
            draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=releases))
            stack.enter_context(held(draft))
        stack.callback(shutil.rmtree, draft, ignore_errors=True)
        yield draft


def put(draft: Path, place: Path) -> None:
    """Move a draft to its place, which a damaged release of the same name leaves; a whole one stays. Raises OSError."""
    with alone(place.parent):
        if is_whole(place):  # another process has built the same release meanwhile
            return
        if place.exists():
            remove(place)
        draft.rename(place)
        sync(place.parent)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep other processes from removing a folder until the block, or this process, ends. Nothing is written."""
    with _opened(folder) as opened:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(opened, fcntl.LOCK_SH)
        yield


def _is_held(folder: Path) -> bool:
    """Tell whether a process holds a folder, or may: locks do not work there, or it has just gone."""
    try:
        with _opened(folder) as opened:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    return False


@contextmanager
def alone(releases: Path) -> Iterator[None]:
    """Run the block in one process at a time."""
    with _opened(releases) as opened:
        with suppress(OSError):
            fcntl.flock(opened, fcntl.LOCK_EX)
        yield


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    opened = os.open(folder, os.O_RDONLY)
    try:
        yield opened
    finally:
        os.close(opened)


def _folder(home: Path, name: str) -> Path:
    for path in folders(home):
        if path.name == name:
            return path
    raise NotFound(f'No release "{name}" below {home}; {_listed(home)}')


def _listed(home: Path) -> str:
    names = [release.name for release in known(home)]
    return f"whole, oldest first: {', '.join(names)}." if names else "there is no whole one: run itukg build."


def _write(path: Path, text: str) -> None:
    try:
        with alone(path.parent / "releases"):
            for left in path.parent.glob(f".{path.name}-*"):  # by a process that was killed
                left.unlink()
            replace_file(path, text.encode(), 0o644)  # the service may be another user
            sync(path.parent)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}.") from None
