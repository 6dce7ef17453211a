"""The server's side of validating uploads and of writing reports as PDF: worker processes with limits."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf
from pathlib import Path
from typing import Any

from itukg.conformance import Report
from itukg.engine.fair import Slots
from itukg.engine.pool import Messages, Pool
from itukg.formats import Format, write_json
from itukg.settings import Settings
from itukg.upload.read import Fields
from itukg.upload.worker import pack

MAX_BUFFERED_UPLOADS = 8
"""Upload bodies of over SMALL_UPLOAD bytes in memory at once, which bounds the memory that they take; one client has up to half."""
SMALL_UPLOAD = 100_000
"""Bytes of a body that waits for no others before it is read."""
BUSY_FACTOR = 10
"""How much longer than on an idle machine a validation may take before it counts as slow: a small one takes half of that time."""
SPARE_WORKERS = 2
"""Processes beyond those that one client may have at once: what ends soon waits for nothing of others that does not."""
_MESSAGES = Messages(
    late="No report within {seconds:.2g} s. Send less, or shapes that are easier to check.",
    memory="The validation needs more than {memory} MB of memory, or more stack than its process has. "
    "Send less, or in several uploads.",
)


class Validator:
    """Validates uploads with the data of one release. Its processes start with the first upload."""

    def __init__(self, release: Path, settings: Settings) -> None:
        self._seconds = settings.validation_timeout
        self._slots = Slots(MAX_BUFFERED_UPLOADS, settings.queue, settings.queue_client, MAX_BUFFERED_UPLOADS // 2)
        self._pool = Pool(
            "itukg.upload.worker",
            str(release),
            workers=settings.validation_workers + SPARE_WORKERS,
            share=settings.validation_workers,
            busy_factor=BUSY_FACTOR,
            slow=settings.validation_workers,
            memory=settings.memory,
            waiting=settings.queue,
            per_client=settings.queue_client,
            reuse=False,  # nothing of an upload remains for the next
            messages=_MESSAGES,
        )

    @asynccontextmanager
    async def slot(self, client: str, size: int | None, deadline: float) -> AsyncIterator[None]:
        """Wait until it is the turn of `client` to send its body of `size` bytes, as announced. Raises Overloaded."""
        if size is not None and size <= SMALL_UPLOAD:
            yield
            return
        await self._slots.get(client, deadline)
        try:
            yield
        finally:
            self._slots.put(True, client)

    async def check(
        self, body: bytes, content_type: str, fields: Fields, syntax: Format, *, deadline: float, client: str
    ) -> tuple[str, bytes]:
        """Return the media type of the report on an upload, and the report, in `syntax` unless the upload names another.

        The validation must start before `deadline` of the monotonic clock, and finish within `settings.validation_timeout`.
        Raises errors in the upload, MemoryLimit, TimeLimit and Overloaded.
        """
        given = {"content_type": content_type, "fields": fields, "media_type": syntax.media_type}
        return await self._submit(pack("check", body, **given), deadline, client)

    async def plan(self, body: bytes, content_type: str, *, deadline: float, client: str) -> dict[str, Any]:
        """Return the plan in an upload, as `read_plan` does. Raises errors in the upload, MemoryLimit, TimeLimit and Overloaded."""
        _, content = await self._submit(pack("plan", body, content_type=content_type), deadline, client)
        found: dict[str, Any] = json.loads(content)
        return found

    async def typed(self, body: bytes, content_type: str, *, deadline: float, client: str) -> Fields:
        """Return what was typed into a form, as `read.typed` does. Raises MemoryLimit, TimeLimit and Overloaded."""
        _, content = await self._submit(pack("form", body, content_type=content_type), deadline, client)
        found: Fields = json.loads(content)
        return found

    async def pdf(self, report: Report, client: str) -> bytes:
        """Return a report as PDF. Raises TimeLimit and Overloaded."""
        _, content = await self._submit(
            pack("pdf", await asyncio.to_thread(lambda: write_json(report.as_rows()))), inf, client
        )
        return content

    async def _submit(self, request: bytes, deadline: float, client: str) -> tuple[str, bytes]:
        await self._pool.start()
        response = await self._pool.submit(request, deadline=deadline, client=client, seconds=self._seconds)
        try:
            answer = b"".join([piece async for piece in response])
        finally:
            await response.aclose()
        media_type, _, report = answer.partition(b"\n")
        return media_type.decode(), report

    async def close(self) -> None:
        """Kill the processes."""
        await self._pool.close()
