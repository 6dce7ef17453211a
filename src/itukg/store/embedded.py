"""The embedded engine: pyoxigraph in memory, in worker processes that can be killed, which have loaded the release."""

import asyncio
from math import inf
from pathlib import Path

from itukg.formats import Format
from itukg.processes.lanes import Lanes
from itukg.settings import Settings
from itukg.store import Answer, Dataset, Query
from itukg.store.worker import pack_question


class EmbeddedStore(Lanes):
    """One release in memory. Its default graph is the merged one, written at build."""

    def __init__(self, release: Path, settings: Settings) -> None:
        super().__init__("itukg.store.worker", str(release), settings)

    @classmethod
    async def open(cls, release: Path, settings: Settings) -> "EmbeddedStore":
        """Load the release and start the workers. Raises DataError for a file that cannot be loaded."""
        store = cls(release, settings)
        await store.start()
        return store

    async def answer(
        self, query: Query, dataset: Dataset, syntax: Format, *, deadline: float = inf, client: str = ""
    ) -> Answer:
        """Evaluate `query` in a worker, which also writes its result: see `Store.answer`."""
        question = pack_question(query.text, dataset.default, dataset.named, syntax)
        body, seconds = await self.ask(question, deadline=deadline, client=client, network=query.federated)
        return Answer(syntax.media_type, body, seconds)

    async def lost(self) -> None:
        """Wait for ever."""
        await asyncio.Future()
