"""Which engine holds a release: this process's workers, or a SPARQL server elsewhere."""

from pathlib import Path

from itukg.engine.store import Store
from itukg.settings import Settings


async def open_store(release: Path, settings: Settings) -> Store:
    """Return a store that holds the release in the N-Quads file `release`, ready to answer.

    With `settings.store` that is a server elsewhere, which holds the release by the name of the file's folder.
    Raises StoreUnavailable where it does not.
    """
    if settings.store is not None:
        from itukg.engine.remote import RemoteStore

        return await RemoteStore.open(settings.store, release.parent.name, settings)
    from itukg.engine.embedded import EmbeddedStore

    return await EmbeddedStore.open(release, settings)
