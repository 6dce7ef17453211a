"""Large answers, such as workbooks, are written in worker processes, which have limits and can be ended.

`python -m itukg.views.writer VERSION` is the process that forks them; see `engine.worker`.
"""

import asyncio
import copyreg
import pickle
from collections.abc import Callable
from io import BytesIO
from time import monotonic

from itukg import __version__
from itukg.engine.pool import Messages, Pool
from itukg.engine.worker import Work, Writable, main
from itukg.formats import CSV, FORMATS, XLSX, Format, format_in
from itukg.settings import Settings
from itukg.tables import Table, write_workbook
from itukg.views.grid import write_matrix

WRITERS: dict[str, Callable[..., bytes]] = {each.__name__: each for each in (write_matrix, write_workbook)}
"""What writes here, by name; a worker can open no file, so all that it needs is imported before it is forked."""
_MESSAGES = Messages(
    late="Not written within {seconds:.2g} s. Ask for less, or in several requests.",
    memory="To write the answer needs more than {memory} MB of memory. Ask for less, or in several requests.",
)


class Writer:
    """Writes in worker processes, which start with the first answer. One client has one at a time."""

    def __init__(self, settings: Settings) -> None:
        self._seconds = settings.validation_timeout
        self._pool = Pool(
            "itukg.views.writer",
            __version__,
            workers=2,
            slow=1,
            memory=settings.memory,
            waiting=settings.queue,
            per_client=settings.queue_client,
            reuse=False,
            messages=_MESSAGES,
        )

    async def write(self, function: Callable[..., bytes], *given: object, client: str) -> bytes:
        """Return what a function of WRITERS makes of what is given. Raises TimeLimit, MemoryLimit, Overloaded, and what `function` raises."""
        request = await asyncio.to_thread(_packed, function.__name__, given)
        await self._pool.start()
        deadline = monotonic() + self._seconds
        response = await self._pool.submit(request, deadline=deadline, client=client, seconds=self._seconds)
        try:
            return b"".join([piece async for piece in response])
        finally:
            await response.aclose()

    async def close(self) -> None:
        """End the processes."""
        await self._pool.close()


def _packed(name: str, given: tuple[object, ...]) -> bytes:
    packed = BytesIO()
    pickler = pickle.Pickler(packed, pickle.HIGHEST_PROTOCOL)
    # A format is one of its rows: those are compared by identity, and what the engine has of them cannot be pickled.
    pickler.dispatch_table = copyreg.dispatch_table | {Format: lambda each: (format_in, (FORMATS.index(each),))}
    pickler.dump((name, given))
    return packed.getvalue()


def load(_version: str) -> Work:
    """Return what does the work, once all that it needs is imported."""
    for syntax in (CSV, XLSX):
        Table.of_values(("x",), [{"x": "1"}]).write(syntax)
    return work


def work(request: bytes, output: Writable) -> None:
    """Call the function that a request names, and write what it returns."""
    name, given = pickle.loads(request)  # noqa: S301  (of ours)
    output.write(WRITERS[name](*given))


if __name__ == "__main__":
    main(load)
