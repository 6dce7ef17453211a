"""Older releases: each has an application of its own, opened when it is asked for and closed when nobody asks any more."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic

from fastapi import FastAPI

from itukg.errors import BadRequest, NotSupported, Overloaded
from itukg.web.requests import unquoted
from itukg.web.service import Service

log = logging.getLogger("itukg")


@dataclass
class _Opened:
    app: FastAPI
    loading: asyncio.Task[None]
    users: int = 0
    used: float = 0.0

    async def close(self) -> None:
        self.loading.cancel()
        await asyncio.wait({self.loading})
        await self.app.state.service.close()


class Past:
    """The releases beside the served one, of which at most `ITUKG_OLDER` are open at once."""

    def __init__(self, service: Service, make: Callable[[Service], FastAPI]) -> None:
        """Answer from the releases that `service` knows; `make` makes the application of one."""
        self._service, self._make = service, make
        self._opened: dict[str, _Opened] = {}

    @asynccontextmanager
    async def application(self, name: str) -> AsyncIterator[FastAPI | None]:
        """Yield the application that answers from the release `name`; None where it is the served one.

        It is ready, or becomes so: until then it answers 503. Raises NotFound for an unknown release and
        Overloaded while as many others are in use as may be open.
        """
        release = self._service.named(name)
        if release is self._service.release:
            yield None
            return
        opened = self._opened.get(release.name)
        if opened is None:
            stale = self._make_room()
            service = self._service.of(release)
            opened = _Opened(self._make(service), asyncio.create_task(service.load()))
            self._opened[release.name] = opened
            log.info("release %s opened", release.name)
        else:
            stale = None
        opened.users += 1
        try:
            if stale is not None:
                await stale.close()
            await asyncio.wait({opened.loading}, timeout=self._service.settings.timeout)
            yield opened.app
        finally:
            opened.users -= 1
            opened.used = monotonic()

    def _make_room(self) -> _Opened | None:
        """Take the one that was used least recently off, if there are as many as may be, and return it to be closed."""
        most = self._service.settings.older
        if not most:
            raise NotSupported("This server answers from one release only (ITUKG_OLDER=0); ask without ?release=.")
        if len(self._opened) < most:
            return None
        idle = [name for name, opened in self._opened.items() if not opened.users]
        if not idle:
            raise Overloaded(f"{most} older releases are being read, and no more are open at once. Try again.")
        return self._opened.pop(min(idle, key=lambda name: self._opened[name].used))

    async def close_idle(self) -> None:
        """Close, again and again, what nobody has asked for `ITUKG_OLDER_IDLE` seconds."""
        seconds = self._service.settings.older_idle
        while True:
            await asyncio.sleep(seconds / 4)
            for name, opened in list(self._opened.items()):
                if not opened.users and monotonic() - opened.used > seconds:
                    del self._opened[name]
                    await opened.close()
                    log.info("release %s closed", name)

    async def close(self) -> None:
        """Close all."""
        for opened in self._opened.values():
            await opened.close()
        self._opened.clear()


def asked_release(query_string: bytes) -> tuple[str | None, bytes]:
    """Return the release that a query string names, if any, and the query string without it. Raises BadRequest for two."""
    parts = query_string.split(b"&")
    some = [part for part in parts if part.startswith((b"r", b"%"))]  # most queries are long, and have no such part
    named = [part for part in some if unquoted(part.partition(b"=")[0]) == b"release"]
    if not named:
        return None, query_string
    if len(named) > 1:
        raise BadRequest(f"{len(named)} releases in one request. Send one.")
    name = unquoted(named[0].partition(b"=")[2]).decode(errors="replace")
    return name, b"&".join(part for part in parts if part not in named)
