"""The engine in this process, for commands that read: ready at once; a query that takes too long ends with the command."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from io import BytesIO
from math import inf
from pathlib import Path
from time import monotonic

from itukg.engine.evaluate import load, pack_request
from itukg.engine.sparql import Query
from itukg.engine.store import Answer, Dataset
from itukg.engine.worker import STACK_BYTES, Work
from itukg.errors import TimeLimit
from itukg.formats import Format

LATE = "No answer within {seconds:.2g} s. Ask for less, or raise --timeout."
"""What a command says at its time limit."""


class LocalStore:
    """One release in memory, with a time limit and no other: a command may use its user's whole machine."""

    def __init__(self, release: Path, late: str = LATE) -> None:
        """Load the release; `late` is the message of a TimeLimit. Raises DataError for a file that cannot be loaded."""
        self._work, self._late = load(str(release)), late

    async def answer(
        self,
        query: Query,
        dataset: Dataset,
        syntax: Format,
        *,
        deadline: float = inf,
        client: str = "",  # noqa: ARG002  (there is only one client)
    ) -> Answer:
        """Evaluate `query` in a thread, which also writes its result: see `Store.answer`."""
        started, request = monotonic(), pack_request(query, dataset.default, dataset.named, syntax)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        usual = threading.stack_size(STACK_BYTES)  # parsers recurse into every bracket
        # A daemon: nothing stops it, and a command that has printed its error does not wait for it.
        threading.Thread(target=_evaluate, args=(self._work, request, answer), daemon=True).start()
        threading.stack_size(usual)
        try:
            async with asyncio.timeout(None if deadline == inf else max(0.0, deadline - monotonic())):
                content = await answer
        except TimeoutError:
            seconds = max(0.0, deadline - started)
            raise TimeLimit(self._late.format(seconds=seconds)) from None
        return Answer(syntax.media_type, _whole(content), monotonic() - started)

    def size(self) -> Mapping[str, int]:
        """Return an empty mapping: there are no workers."""
        return {}

    async def close(self) -> None:
        """Do nothing."""

    async def lost(self) -> None:
        """Never return: the release is in this process's memory."""
        await asyncio.Future()


async def _whole(content: bytes) -> AsyncGenerator[bytes, None]:
    yield content


def _evaluate(work: Work, request: bytes, answer: "asyncio.Future[bytes]") -> None:
    """Set `answer`, which belongs to the event loop of another thread, to what the work writes or raises."""
    written, error = BytesIO(), None
    try:
        work(request, written)
    except Exception as raised:  # noqa: BLE001  (raised again where the answer is awaited)
        error = raised

    def give() -> None:
        if not answer.done():
            answer.set_exception(error) if error else answer.set_result(written.getvalue())

    with suppress(RuntimeError):  # the event loop is closed: the command has ended
        answer.get_loop().call_soon_threadsafe(give)
