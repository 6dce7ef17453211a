"""A new release without a restart: it is loaded beside the served one, and takes its place once it answers."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from anyio import TASK_STATUS_IGNORED, CancelScope, create_task_group, move_on_after, to_thread
from anyio.abc import TaskGroup, TaskStatus
from fastapi import FastAPI
from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from itukg.errors import DataError
from itukg.release.integrity import CHECKSUMS
from itukg.release.model import Release, find, pointed
from itukg.release.upkeep import held
from itukg.settings import Settings
from itukg.web.app import create_app
from itukg.web.logs import flush

LOOK_SECONDS = 1.0
"""Seconds between two looks at which release is current."""

log = logging.getLogger("itukg")


class _Serving:
    """One release's application, from its start until its last request has ended."""

    def __init__(self, app: FastAPI) -> None:
        self.app, self.service = app, app.state.service
        self.requests = 0
        self.ended = asyncio.Event()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Run what the application does beside its requests."""
        try:
            with held(self.service.release.path):
                async with self.app.router.lifespan_context(self.app):
                    task_status.started()
                    await self.ended.wait()
        except Exception as error:
            if self.service.settled.is_set():
                raise
            log.exception("The release cannot be loaded.")
            self.service.failure = DataError(f"The release cannot be loaded: {error!r}")
            self.service.settled.set()


class Reloading:
    """The ASGI application of `itukg serve`: answers from one release, and from the next as soon as that has been loaded.

    A request that began on one release ends on it. A release that cannot be loaded leaves the served one in its place:
    the log says why, and /readyz.
    """

    def __init__(
        self,
        settings: Settings,
        release: Release,
        *,
        pinned: bool = False,
        ready: Callable[[], None],
        failed: Callable[[DataError], None],
    ) -> None:
        """Serve `release`, and what becomes current after it unless it is `pinned`.

        `ready` is called when queries are answered, `failed` if the first release cannot be loaded.
        """
        self._settings, self._pinned, self._failed = settings, pinned, failed
        self._served = _Serving(create_app(settings, release, ready=ready))
        self._open = {self._served}
        self._look = asyncio.Event()
        self._life = Router(lifespan=self._running)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request from the release that is served as it comes."""
        if scope["type"] == "lifespan":
            await self._life(scope, receive, send)
            return
        serving = self._served
        serving.requests += 1
        try:
            await serving.app(scope, receive, send)
        finally:
            serving.requests -= 1
            self._retire(serving)

    def _retire(self, serving: _Serving) -> None:
        """End what is served no more, once its last request has ended."""
        if serving is not self._served and not serving.requests:
            self._end(serving)

    def _end(self, serving: _Serving) -> None:
        self._open.discard(serving)
        serving.ended.set()

    @asynccontextmanager
    async def _running(self, _: object) -> AsyncIterator[None]:
        with suppress(ValueError, RuntimeError):  # only the main thread has signals
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._look.set)
        try:
            async with create_task_group() as tasks:
                await tasks.start(self._served.run)
                following = CancelScope()
                tasks.start_soon(self._follow, tasks, following)
                yield
                following.cancel()
                for serving in self._open:
                    serving.ended.set()
        finally:
            flush()  # the server ends by the signal that stopped it, and runs nothing after this

    async def _follow(self, tasks: TaskGroup, following: CancelScope) -> None:
        """Take up each release that becomes current, and look again where one could not be loaded and something has changed."""
        with following:
            await self._settled_or_replaced()
            if self._served.service.failure is not None:
                self._failed(self._served.service.failure)
                return
            refused, seen = None, await to_thread.run_sync(_changed, self._settings.home)
            while not self._pinned:
                with move_on_after(LOOK_SECONDS) as looking:
                    await self._look.wait()
                    refused = None
                    self._look.clear()
                try:
                    state = await to_thread.run_sync(_state, self._settings.home)
                except DataError as error:
                    state = (str(error), 0)
                    if state != refused:
                        log.error("%s", error)  # noqa: TRY400
                        self._refuse("Which release is current cannot be read, as the log says")
                    refused = state
                    continue
                if seen != (seen := await to_thread.run_sync(_changed, self._settings.home)):
                    self._served.service.cache.clear()  # of answers that list or are of releases that were removed
                if not looking.cancelled_caught and state[0] == self._served.service.release.name:
                    log.info("release %s is current, and served already", state[0])
                if state[0] in ("", self._served.service.release.name):
                    refused, self._served.service.refused = None, ""
                elif state != refused:
                    refused = None if await self._taken_up(tasks, state[0]) else state

    async def _settled_or_replaced(self) -> None:
        """Wait until the first release is loaded, or cannot be, or another has become current meanwhile."""
        settled, name = self._served.service.settled, self._served.service.release.name
        while not settled.is_set():
            with move_on_after(LOOK_SECONDS):
                await settled.wait()
            with suppress(DataError):
                state = await to_thread.run_sync(_state, self._settings.home)
                if not self._pinned and state[0] not in ("", name):
                    return

    async def _taken_up(self, tasks: TaskGroup, name: str) -> bool:
        """Take up a release, whatever is wrong with it; return whether that was done."""
        try:
            return await self._take_up(tasks, name)
        except Exception:
            log.exception("Release %s cannot be taken up.", name)
            return self._refuse(f"Release {name} is current, and cannot be loaded, as the log says")

    async def _take_up(self, tasks: TaskGroup, name: str) -> bool:
        """Serve the release that is current, if it can be loaded; else keep the served one, and return False."""
        before = self._served
        release = await to_thread.run_sync(find, self._settings.home, name)
        if release is None:
            return self._refuse(f"Release {name} is current, and is missing or damaged")
        log.info("release %s is current; it is being loaded", name)
        after = _Serving(create_app(self._settings, release, before=before.service))
        self._open.add(after)
        await tasks.start(after.run)
        while not after.service.settled.is_set():
            with move_on_after(LOOK_SECONDS):
                await after.service.settled.wait()
            if (await to_thread.run_sync(_state, self._settings.home))[0] != name:
                self._end(after)  # another has become current meanwhile
                return True
        if after.service.failure is not None:
            self._end(after)
            return self._refuse(f"Release {name} is current, and cannot be loaded, as the log says")
        self._served = after
        after.service.lead()
        log.info("release %s is served now, in the place of %s", name, before.service.release.name)
        self._retire(before)
        return True

    def _refuse(self, reason: str) -> bool:
        self._served.service.refused = f"{reason}; {self._served.service.release.name} is served on."
        log.error("%s", self._served.service.refused)
        return False


def _changed(home: Path) -> int:
    """Return when a release was last added or removed."""
    with suppress(OSError):
        return (home / "releases").stat().st_mtime_ns
    return 0


def _state(home: Path) -> tuple[str, int]:
    """Return which release is current, and what changes when it is built again."""
    name = pointed(home)
    checksums = home / "releases" / name / CHECKSUMS
    try:
        return name, checksums.stat().st_mtime_ns
    except OSError:
        return name, 0
