"""The application in this process: the same requests as to a server, without a network, and so the same answers."""

import asyncio
import threading
from concurrent.futures import Future
from contextlib import suppress

import httpx2

from itukg.client.transport import Connection
from itukg.engine.open import open_in_process
from itukg.engine.pool import Messages
from itukg.release.model import Release
from itukg.settings import Settings
from itukg.web.app import create_app

CLOSE_SECONDS = 5.0
"""Seconds that closing waits for what is being answered."""


def connect_in_process(settings: Settings, release: Release) -> Connection:
    """Return a connection with the application in this process, which answers from `release`."""
    application = _InProcess(settings, release)
    here = httpx2.URL(scheme="http", host="localhost")  # nothing listens there: it only begins the addresses in answers
    plain = {"accept-encoding": "identity"}
    client = httpx2.Client(base_url=here, transport=application, headers=plain, follow_redirects=True)
    return Connection(str(release.path), client, client.close)


class _InProcess(httpx2.BaseTransport):
    """The application, on an event loop in a thread that ends with the program or when it is closed."""

    def __init__(self, settings: Settings, release: Release) -> None:
        own = {"rate": 0, "limit_violations": 0}  # quotas are for clients who share a server
        self._settings, self._release = settings.model_copy(update=own), release
        self._started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="itukg", daemon=True)
        self._thread.start()
        self._started.result()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer a request in the other thread; what interrupts this one ends it there."""
        if not self._thread.is_alive():
            raise ValueError("The graph was opened before this process was forked; open it again here: itukg.open()")
        answer = asyncio.run_coroutine_threadsafe(self._answer(request), self._loop)
        try:
            return answer.result()
        except BaseException:
            answer.cancel()
            raise

    def close(self) -> None:
        """End the application, its processes and its thread."""
        with suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(self._closing.set)
        if threading.current_thread() is not self._thread:  # in which garbage may be collected
            self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        # Not asyncio.run: it starts a thread at the end, which a program that is ending does not allow.
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(self._serve())
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)
        finally:
            loop.close()

    async def _serve(self) -> None:
        self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
        try:
            store = await open_in_process(self._release.dataset, self._settings, late=Messages().late)
            app = create_app(self._settings, self._release, store)
            self._application = httpx2.ASGITransport(app)
            async with app.router.lifespan_context(app):
                self._started.set_result(None)
                await self._closing.wait()
        finally:  # nobody waits for an answer that does not come
            left = asyncio.all_tasks() - {asyncio.current_task()}
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _answer(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._application.handle_async_request(request)
        return httpx2.Response(response.status_code, headers=response.headers, content=await response.aread())
