"""What takes a while to write: in a thread, in turn, or in a process that can be ended; and nothing for clients that have left."""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Annotated, TypeVar

from fastapi import Depends, Request

from itukg.tables import Write
from itukg.web.deps import Served, client_of
from itukg.web.requests import StopWhenLeft
from itukg.web.service import Service

T = TypeVar("T")


async def in_turn(service: Service, client: str, write: Callable[..., T], *given: object) -> T:
    """Return what `write` makes of what is given, in a thread, once it is the turn of `client`: one at a time, for queries need cores.

    Raises Overloaded where too many wait.
    """
    await service.writing.get(client, monotonic() + service.settings.timeout)
    running = asyncio.create_task(asyncio.to_thread(write, *given))
    running.add_done_callback(lambda _: service.writing.put(True, client))  # nothing ends a thread before that
    return await asyncio.shield(running)


class Written:
    """Writes answers to one request, and stops, by ClientLeft, once its client has left."""

    def __init__(self, request: Request, service: Service) -> None:
        self._request, self._service, self._client = request, service, client_of(request)

    async def __call__(self, write: Callable[..., T], *given: object) -> T:
        """Return what `write` makes of what is given, in a thread: see `in_turn`."""
        with StopWhenLeft(self._request):
            return await in_turn(self._service, self._client, write, *given)

    @property
    def in_process(self) -> Write:
        """What writes in a process: see `Writer.write`."""

        async def write(function: Callable[..., bytes], *given: object) -> bytes:
            with StopWhenLeft(self._request):
                return await self._service.writer.write(function, *given, client=self._client)

        return write


async def _written(request: Request, service: Served) -> Written:
    return Written(request, service)


InTurn = Annotated[Written, Depends(_written)]
