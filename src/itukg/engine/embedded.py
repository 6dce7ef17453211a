"""The embedded engine: pyoxigraph in memory, in worker processes that have loaded the release and can be killed."""

import asyncio
from collections.abc import Mapping
from math import inf
from pathlib import Path

from itukg.engine.evaluate import digest_of, pack_request
from itukg.engine.pool import Pool
from itukg.engine.sparql import Query
from itukg.engine.store import Answer, Dataset
from itukg.formats import Format
from itukg.settings import Settings


class EmbeddedStore:
    """One release in memory. Its default graph is the merged one, written at build."""

    def __init__(self, release: Path, digest: str, settings: Settings) -> None:
        self.pool = query_pool("itukg.engine.evaluate", f"{digest}  {release}", settings)

    @classmethod
    async def open(cls, release: Path, settings: Settings) -> "EmbeddedStore":
        """Load the release and start the workers. Raises DataError for a file that cannot be loaded."""
        store = cls(release, await asyncio.to_thread(digest_of, release), settings)
        try:
            await store.pool.start()
        except BaseException:
            await store.close()
            raise
        return store

    async def answer(
        self, query: Query, dataset: Dataset, syntax: Format, *, deadline: float = inf, client: str = ""
    ) -> Answer:
        """Evaluate `query` in a worker, which also writes its result: see `Store.answer`."""
        request = pack_request(query, dataset.default, dataset.named, syntax)
        response = await self.pool.submit(request, deadline=deadline, client=client, network=query.federated)
        return Answer(syntax.media_type, response, response.seconds)

    def size(self) -> Mapping[str, int]:
        """Return how many workers there are, and how many queries wait."""
        return self.pool.size()

    async def close(self) -> None:
        """Kill the workers."""
        await self.pool.close()

    async def lost(self) -> None:
        """Never return: the release is in this process's memory."""
        await asyncio.Future()


def query_pool(module: str, data: str, settings: Settings) -> Pool:
    """Return a pool of workers for queries, with the limits that the settings state."""
    return Pool(
        module,
        data,
        workers=settings.workers,
        slow=settings.slow_workers,
        memory=settings.memory,
        waiting=settings.queue,
        per_client=settings.queue_client,
    )
