"""The server's side of validating uploads: so many at once, each in a process that may be killed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from itukg.formats import Format
from itukg.processes.fair import Places
from itukg.processes.pool import Pool, Run
from itukg.settings import Settings
from itukg.upload.reading import Fields
from itukg.upload.worker import pack_question

RECEIVED = 8
"""Bodies that are held at once, so that they take no more memory than so many times the size of one."""


class Validator:
    """Validates uploads beside one release. Its processes start with the first upload."""

    def __init__(self, release: Path, settings: Settings) -> None:
        self._pool = Pool("itukg.upload.worker", str(release), settings.memory)
        self._places = Places(RECEIVED, settings.queue, settings.queue_client)
        self._lane = Places(settings.checks, settings.queue, settings.queue_client)

    @asynccontextmanager
    async def place(self, client: str, deadline: float) -> AsyncIterator[None]:
        """Wait until it is the turn of `client` to send its body. Raises Overloaded and TimeLimit."""
        await self._places.get(client, deadline)
        try:
            yield
        finally:
            self._places.put(True)

    async def check(
        self, body: bytes, content_type: str, fields: Fields, syntax: Format, *, deadline: float, client: str
    ) -> tuple[str, bytes]:
        """Return the report on an upload and its media type, which the upload may choose; else it is in `syntax`.

        Raises what can be said against the upload, MemoryLimit, and TimeLimit where `deadline` of the monotonic clock
        passes first.
        """
        run = _Run(self._pool, self._lane, pack_question(body, content_type, fields, syntax), deadline, client)
        try:
            await run.slowly()
            answer = b"".join([piece async for piece in run])
        finally:
            await run.aclose()
        media_type, _, report = answer.partition(b"\n")
        return media_type.decode(), report

    async def close(self) -> None:
        """End the processes."""
        await self._pool.close()


class _Run(Run):
    """One upload on its way to its report."""

    ENDED = (
        "The check ended its process: it needs more than {memory} MB of memory, or more stack than there is. "
        "Send less, or in parts."
    )
    LATE = "No report within {seconds:.2g} s. Send less, or shapes that are easier to check."
