"""Releases that answer: the served one, and older ones, opened on request and closed after a while without requests."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from time import monotonic

from itukg.errors import BadRequest, NotFound, NotSupported, Overloaded
from itukg.release.integrity import is_whole
from itukg.release.model import Release
from itukg.release.upkeep import held
from itukg.web.problems import damaged
from itukg.web.service import Service

log = logging.getLogger("itukg")


def readable(service: Service) -> list[Release]:
    """Return the releases of a service, oldest first, but for those that were removed or damaged since its start."""
    return [release for release in service.releases if is_whole(release.path)]


def named(service: Service, name: str) -> Release:
    """Return what `service.named` does. Raises NotFound, or ReleaseDamaged for the served one, if it is damaged."""
    release = service.named(name)
    if is_whole(release.path):
        return release
    if release is service.release:
        raise damaged(release)
    raise NotFound(f"Release {release.name} was removed or damaged on the server. /data lists those there are.")


@dataclass
class _Older:
    service: Service
    loading: asyncio.Task[None]
    hold: ExitStack
    """Keeps `itukg prune` from removing its files."""
    users: int = 0
    used: float = 0.0

    async def close(self) -> None:
        self.loading.cancel()
        await asyncio.wait({self.loading})
        await self.service.close()
        self.hold.close()


class OpenReleases:
    """The served release and older ones, of which at most `ITUKG_OPEN_RELEASES` are open at once."""

    def __init__(self, served: Service) -> None:
        self._served, self._settings = served, served.settings
        self._older: dict[str, _Older] = {}

    @asynccontextmanager
    async def opened(self, names: Sequence[str]) -> AsyncIterator[Service]:
        """Yield what answers from the release that a request names; the served one where it names none.

        It is ready, or becomes so: until then it answers 503. Raises BadRequest for several names, NotFound for an
        unknown one, and Overloaded while as many others are in use as may be open.
        """
        if len(names) > 1:
            raise BadRequest(f"{len(names)} releases in one request. Send one.")
        release = self._served.named(names[0]) if names else self._served.release
        if release is self._served.release:
            yield self._served
            return
        named(self._served, release.name)
        older = self._older.get(release.name) or await self._open(release)
        older.users += 1
        try:
            await asyncio.wait({older.loading}, timeout=self._settings.timeout)
            yield older.service
        finally:
            older.users -= 1
            older.used = monotonic()

    async def _open(self, release: Release) -> _Older:
        stale = self._make_room()
        hold = ExitStack()
        with suppress(OSError):  # it has just been removed: loading it says so
            hold.enter_context(held(release.path))
        service = self._served.of(release)
        self._older[release.name] = older = _Older(service, asyncio.create_task(service.load()), hold)
        log.info("release %s opened", release.name)
        if stale is not None:
            older.users += 1  # while it waits, nobody makes room by closing it
            try:
                await stale.close()
            finally:
                older.users -= 1
        return older

    def _make_room(self) -> _Older | None:
        """Take away the one that was used least recently, if there are as many as may be, and return it to be closed."""
        most = self._settings.open_releases
        if not most:
            raise NotSupported(
                "This server answers from one release only (ITUKG_OPEN_RELEASES=0); ask without ?release=."
            )
        if len(self._older) < most:
            return None
        idle = [name for name, older in self._older.items() if not older.users]
        if not idle:
            raise Overloaded(f"{most} older releases are being read, and no more are open at once. Try again.")
        return self._older.pop(min(idle, key=lambda name: self._older[name].used))

    async def close_idle(self) -> None:
        """Close, again and again, the older releases that had no request for `ITUKG_OPEN_RELEASE_IDLE` seconds."""
        seconds = self._settings.open_release_idle
        while True:
            await asyncio.sleep(seconds / 4)
            for name, older in list(self._older.items()):
                is_open = self._older.get(name) is older  # and was not closed while another was
                if is_open and not older.users and monotonic() - older.used > seconds:
                    del self._older[name]
                    await older.close()
                    log.info("release %s closed", name)

    async def close(self) -> None:
        """Close all older ones."""
        for older in [*self._older.values()]:
            await older.close()
        self._older.clear()
