"""Commands for operators: verify, prune and rollback."""

from typing import Annotated

import typer

from itukg.cli.command import say, settings_of


def verify(
    release: Annotated[str | None, typer.Argument(help="Name of a release; without it, all are checked.")] = None,
) -> None:
    """Check that releases are whole: the sum of every file, and the triples of every graph.

    Compares each file with the size and SHA-256 that it was built with, and counts what the dataset holds. Changes
    nothing. Exit code 1: a release is damaged, or the current one is missing; each fault is named.
    """
    from itukg.errors import NotFound
    from itukg.release.model import pointed
    from itukg.release.upkeep import check, folders

    home = settings_of().home
    names = [path.name for path in folders(home)] if release is None else [release]
    if not names:
        raise NotFound(f"No release below {home}: run itukg build.")
    found = {name: check(home, name) for name in names}
    published = pointed(home)
    for name, faults in found.items():
        is_current = ", current" if name == published else ""
        typer.echo("\n  ".join([f"{name}{is_current}: {'damaged' if faults else 'whole'}", *faults]))
    if is_lost := release is None and published not in found:
        typer.echo(
            f"current: names {published or 'no release'}, which is not there; itukg build or itukg rollback sets it"
        )
    if is_lost or any(found.values()):
        raise typer.Exit(1)


def prune(
    keep: Annotated[int, typer.Option(help="Releases that stay: the current one and those before it.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
) -> None:
    """Remove older releases, damaged ones, and what killed builds left.

    The current release stays, and so do those built after it (see itukg rollback) and those that a running
    itukg serve on this machine reads.

    Example: itukg prune --keep 3 --dry-run
    """
    from itukg.release import upkeep

    found = upkeep.prune(settings_of().home, keep, dry_run=dry_run)
    for folder in found:
        what = f"{folder.name} ({folder.what}, {folder.size:,} bytes)"
        typer.echo(
            f"stays: {what}: {folder.stays}" if folder.stays else f"{'would remove' if dry_run else 'removed'}: {what}"
        )
    size = sum(folder.size for folder in found if not folder.stays)
    say(f"{size:,} bytes{' would be' if dry_run else ''} removed.")


def rollback(
    release: Annotated[
        str | None, typer.Argument(help="Name of the release to publish; by default the one before the current.")
    ] = None,
) -> None:
    """Publish the release before the current one, or a named one, older or newer.

    Newer ones stay on the disk, and no itukg build or itukg serve publishes them again, until itukg rollback names
    one. A release of files that are changed since is built and published as ever.
    """
    from itukg.release.upkeep import roll_back

    done = roll_back(settings_of().home, release)
    say(f"current: {done.now.name}, built {done.now.built}; before: {done.before or 'none'}")
    if done.withdrawn:
        say(f"Not published again: {', '.join(done.withdrawn)}. To go forward: itukg rollback {done.withdrawn[-1]}")
