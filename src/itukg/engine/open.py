"""Which engine serves a release: workers on this machine, this process, or a remote SPARQL server."""

from pathlib import Path

from itukg.engine.store import Store
from itukg.settings import Settings


async def open_store(release: Path, settings: Settings) -> Store:
    """Return a store that holds the release in the N-Quads file `release`, ready to answer.

    With `settings.store` it is a remote server, which must hold the release under the name of the file's folder:
    StoreUnavailable otherwise.
    """
    if settings.store is not None:
        from itukg.engine.remote import RemoteStore

        return await RemoteStore.open(settings.store, release.parent.name, settings)
    from itukg.engine.embedded import EmbeddedStore

    return await EmbeddedStore.open(release, settings)


async def open_in_process(release: Path, settings: Settings, *, late: str | None = None) -> Store:
    """Return the same for one client, a command or a program: without workers, the release is in this process's memory.

    `late` is the message of a query that hits its time limit there.
    """
    if settings.store is not None:
        return await open_store(release, settings)
    from itukg.engine.local import LATE, LocalStore

    return LocalStore(release, late or LATE)
