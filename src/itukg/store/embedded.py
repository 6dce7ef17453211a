"""The embedded engine: pyoxigraph in memory, in worker processes that can be killed.

A query starts in the quick lane, on one of `workers` processes. What has no answer after PATIENCE moves to the slow
lane, which runs `slow` queries at a time beside the quick ones and at a lower priority; if that is full, the query
is stopped, waits its turn and begins anew. So no query, however heavy, keeps another from a worker for longer than
PATIENCE. Workers are forked from a process that has loaded the release (`worker.py`), in some milliseconds.
"""

import asyncio
import contextlib
import json
import logging
import os
import socket
import struct
import subprocess
import sys
from collections import deque
from functools import partial
from importlib import metadata
from math import inf
from pathlib import Path
from time import clock_gettime, monotonic
from typing import cast

from itukg.errors import DataError, MemoryLimit, TimeLimit
from itukg.formats import Format
from itukg.settings import Settings
from itukg.store import HELD, Answer, Dataset, Query
from itukg.store.fair import FairQueue
from itukg.store.worker import DATA, DONE, END, ERROR, FORK, HEAD, KILL, READY, pack_question, unpack_error

PATIENCE = 0.15
"""Seconds of processor time that a query may take in the quick lane."""
AGAIN = 1.0
"""Seconds after which a worker that could not be started is tried again."""
NICENESS = 10
"""By how much the priority of a slow query is lowered."""

log = logging.getLogger("itukg")


class EmbeddedStore:
    """One release in memory. Its default graph is the merged one, written at build."""

    def __init__(self, release: Path, settings: Settings) -> None:
        self._release, self.settings = release, settings
        self.quick: FairQueue[_Worker] = FairQueue(settings.queue, settings.queue_client)
        self.slow: FairQueue[bool] = FairQueue(settings.queue, settings.queue_client)
        for _ in range(settings.slow):
            self.slow.put(True)
        self._zygote: subprocess.Popen[bytes] | None = None
        self._control: socket.socket
        self._alive: set[_Worker] = set()
        self._forking: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(cls, release: Path, settings: Settings) -> "EmbeddedStore":
        """Load the release and start the workers. Raises DataError for a file that cannot be loaded."""
        store = cls(release, settings)
        store._start()
        try:
            await asyncio.gather(*(store._hire() for _ in range(settings.workers)))
        except BaseException:
            await store.close()
            raise
        return store

    async def close(self) -> None:
        """End the workers and the process that they came from."""
        for task in self._forking:
            task.cancel()
        for worker in list(self._alive):
            worker.leave()
        if self._zygote is not None:
            self._control.close()  # it kills its children, and ends
            await asyncio.to_thread(self._zygote.wait)
            self._zygote = None

    async def answer(
        self, query: Query, dataset: Dataset, syntax: Format, *, deadline: float = inf, client: str = ""
    ) -> Answer:
        """Evaluate `query` in a worker, which also writes its result: see `Store.answer`."""
        run = _Run(self, pack_question(query.text, dataset.default, dataset.named, syntax), deadline, client)
        try:
            seconds = await (run.slowly(network=True) if query.federated else run.quickly())
        except BaseException:
            await run.aclose()
            raise
        return Answer(syntax.media_type, run, seconds)

    def size(self) -> dict[str, int]:
        """Return how many workers there are, and how many queries wait for the quick and the slow lane."""
        waiting = {"waiting for the quick lane": self.quick.waiting(), "waiting for the slow lane": self.slow.waiting()}
        return {"workers": len(self._alive), **waiting}

    # --- workers ---

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "itukg.store.worker", str(self._release), str(theirs.fileno())]
            environment = os.environ | _allocator()
            self._zygote = subprocess.Popen(command, env=environment, pass_fds=[theirs.fileno()])  # noqa: S603
        self._control = ours

    def _end(self) -> None:
        self._control.close()
        if self._zygote is not None:
            self._zygote.kill()
            self._zygote.wait()

    def _order(self, kind: bytes, number: int, handles: list[int]) -> None:
        message = struct.pack("!cQI", kind, self.settings.memory, number)
        socket.send_fds(self._control, [message], handles)

    async def fork(self, *, network: bool = False) -> "_Worker":
        """Return a fresh worker. Raises DataError where none can be had."""
        for _attempt in range(2):
            ours, theirs = socket.socketpair()
            with theirs:
                try:
                    self._order(FORK, int(network), [theirs.fileno()])
                except OSError:  # the process that forks has been ended from outside: begin again
                    log.warning("The process that forks workers is gone; starting another.")
                    self._end()
                    self._start()
                    self._order(FORK, int(network), [theirs.fileno()])
            worker = _Worker()
            ours.setblocking(False)
            await asyncio.get_running_loop().create_unix_connection(lambda it=worker: it, sock=ours)  # type: ignore[misc]
            kind, content = await worker.frame(inf) or (b"", b"")
            if kind == READY:
                worker.pid, worker.thread = json.loads(content)
                self._alive.add(worker)
                worker.on_loss = partial(self._lost, worker)
                return worker
        raise DataError(f"No worker could be started on {self._release}; the log says why.")

    async def _hire(self) -> None:
        self.quick.put(await self.fork())

    def replace(self) -> None:
        """Put a fresh worker into the quick lane."""
        task = asyncio.get_running_loop().create_task(self._hire_at_last())
        self._forking.add(task)
        task.add_done_callback(self._forking.discard)

    async def _hire_at_last(self) -> None:
        while True:
            try:
                return await self._hire()
            except (DataError, OSError) as error:  # for want of memory or handles, which may pass
                log.error("No worker could be started, which is tried again: %s", error)  # noqa: TRY400
                await asyncio.sleep(AGAIN)

    def _lost(self, worker: "_Worker") -> None:
        if self.quick.discard(worker):  # else whoever asked it notices
            self.dismiss(worker)
            self.replace()

    def dismiss(self, worker: "_Worker") -> None:
        """Kill a worker."""
        worker.leave()
        self._alive.discard(worker)
        if worker.pid:
            with contextlib.suppress(OSError):
                self._order(KILL, worker.pid, [])


def _allocator() -> dict[str, str]:
    """Return the environment of a process whose memory is managed by mimalloc, where that is installed.

    Queries allocate much and little at a time: with it they take about a sixth less time than with glibc's.
    """
    with contextlib.suppress(metadata.PackageNotFoundError):
        for file in metadata.files("cmeel-mimalloc") or ():
            if file.name == "libmimalloc.so":
                # What it reserves at once, a worker may use beyond its limit.
                return {"LD_PRELOAD": str(file.locate()), "MIMALLOC_ARENA_RESERVE": "64MiB"}
    return {"MALLOC_ARENA_MAX": "1"}


def _nothing() -> None:
    """Do nothing."""


class _Worker(asyncio.Protocol):
    """The server's end of a worker: frames come in, in order."""

    def __init__(self) -> None:
        self.pid = self.thread = 0
        self.before = 0.0
        """Seconds of processor time that it had used when it was done with the last query."""
        self._frames: deque[tuple[bytes, bytes]] = deque()
        self._buffer = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._gone = False
        self.on_loss = _nothing
        """Called when the worker has ended by itself, or was ended from outside."""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        begin = 0
        while len(self._buffer) >= begin + HEAD.size:
            kind, size = HEAD.unpack_from(self._buffer, begin)
            end = begin + HEAD.size + size
            if len(self._buffer) < end:
                break
            self._frames.append((kind, bytes(self._buffer[begin + HEAD.size : end])))
            begin = end
        if begin:
            del self._buffer[:begin]
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (the protocol's name)
        if not self._gone:
            self._gone = True
            self.on_loss()
        self._wake()

    def ask(self, question: bytes) -> None:
        """Send a question."""
        self._transport.write(question)

    def pause(self, *, reading: bool) -> None:
        """Stop or go on reading, while a client reads slowly."""
        if not self._gone:
            (self._transport.resume_reading if reading else self._transport.pause_reading)()

    def used(self) -> float:
        """Return the seconds of processor time that the worker has had; 0 where that is not told of other processes."""
        with contextlib.suppress(OSError):
            return clock_gettime((~self.pid << 3) | 2)  # clock_getcpuclockid(3) of Linux
        return 0.0

    def lower_priority(self) -> None:
        """Let others go first, from now on."""
        with contextlib.suppress(OSError):  # it has just ended
            os.setpriority(os.PRIO_PROCESS, self.thread, NICENESS)

    def leave(self) -> None:
        """Close the connection."""
        self._gone = True
        self._transport.abort()

    async def frame(self, until: float) -> tuple[bytes, bytes] | None:
        """Return the next frame, or None when there is none by `until`; (b"", b"") when the worker has died."""
        if not self._frames and not self._gone:
            loop = asyncio.get_running_loop()
            self._waiter = waiter = loop.create_future()
            timer = None if until == inf else loop.call_later(max(0.0, until - monotonic()), self._wake)
            try:
                await waiter
            finally:
                self._waiter = None
                if timer:
                    timer.cancel()
        if self._frames:
            return self._frames.popleft()
        return (b"", b"") if self._gone else None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _Run:
    """One query on its way through the lanes; afterwards the rest of its answer, in pieces."""

    def __init__(self, store: EmbeddedStore, question: bytes, deadline: float, client: str) -> None:
        self._store, self._question, self._client = store, question, client
        self._started, self._deadline = monotonic(), deadline
        self._worker: _Worker | None = None
        self._slow = False
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._left_off = 0.0
        self._ended = False

    async def quickly(self) -> float:
        """Collect the answer in the quick lane, and go on in the slow one if it takes longer; return the seconds."""
        self._worker = await self._store.quick.get(self._client, self._deadline)
        self._worker.ask(self._question)
        try:
            seconds = await self._patiently(self._worker)
        except MemoryLimit:  # or the worker was ended from outside: a second one tells
            self._ended = False
            return await self._anew()
        if seconds is not None:
            return seconds
        worker, self._worker = self._worker, None
        self._store.replace()
        if not self._store.slow.get_nowait():
            self._store.dismiss(worker)
            return await self._anew()
        self._slow = True
        return await self._go_on(worker)

    async def _patiently(self, worker: _Worker) -> float | None:
        """Collect until the worker has used PATIENCE of processor time: on a busy machine that takes longer."""
        longest = min(monotonic() + 5 * PATIENCE, self._deadline)
        left = PATIENCE
        while left > PATIENCE / 10 and self._size <= HELD and monotonic() < longest:
            if (seconds := await self._collect(min(monotonic() + left, longest))) is not None:
                return seconds
            left = PATIENCE - (worker.used() - worker.before)
        return None

    async def _anew(self) -> float:
        self._pieces.clear()
        self._size = 0
        return await self.slowly()

    async def slowly(self, *, network: bool = False) -> float:
        """Collect the answer in the slow lane, from the beginning; return the seconds."""
        await self._store.slow.get(self._client, self._deadline)
        self._slow = True
        worker = await self._store.fork(network=network)
        worker.ask(self._question)
        return await self._go_on(worker)

    async def _go_on(self, worker: _Worker) -> float:
        self._worker = worker
        worker.lower_priority()
        seconds = await self._collect(self._deadline)
        if seconds is None and self._size <= HELD:
            raise self._out_of_time()
        self._left_off = monotonic()
        return self._left_off - self._started if seconds is None else seconds

    async def _collect(self, until: float) -> float | None:
        """Take frames until the answer ends; return its seconds, or None once `until` has passed or HELD is reached."""
        assert self._worker is not None
        while self._size <= HELD:
            frame = await self._worker.frame(until)
            if frame is None:
                return None
            if (seconds := self._take(*frame)) is not None:
                return seconds
        return None

    def _take(self, kind: bytes, content: bytes) -> float | None:
        if kind == DATA:
            self._pieces.append(content)
            self._size += len(content)
            return None
        if kind == END:
            seconds, used = DONE.unpack(content)
            self.end(used)
            return float(seconds)
        if kind == ERROR:
            self.end(self._worker.used() if self._worker else None)
            raise unpack_error(content)
        self.end()
        raise MemoryLimit(
            f"The query ended its process: it needs more than {self._store.settings.memory // 1_000_000} MB of "
            "memory, or more stack than there is. Ask for less, or in parts."
        )

    def _out_of_time(self) -> TimeLimit:
        seconds = self._deadline - self._started
        return TimeLimit(f"No answer within {seconds:.2g} s. Ask for less, or bind more of the pattern.")

    def end(self, used: float | None = None) -> None:
        """Give back the worker, which has `used` so much processor time so far, or kill it; and the place in the lane."""
        self._ended = True
        worker, self._worker = self._worker, None
        if worker is not None and used is not None and not self._slow:
            worker.before = used
            self._store.quick.put(worker)
        elif worker is not None:  # the priority of a slow one cannot be raised again
            self._store.dismiss(worker)
            if not self._slow:
                self._store.replace()
        if self._slow:
            self._slow = False
            self._store.slow.put(True)

    def __aiter__(self) -> "_Run":
        """Return the pieces of the answer, those that are there and those that the worker still writes."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece; raises TimeLimit or MemoryLimit for an answer that cannot be finished."""
        while not self._pieces:
            if self._ended or self._worker is None:
                raise StopAsyncIteration
            self._worker.pause(reading=True)
            asked = monotonic()
            self._deadline += asked - self._left_off  # while the client read, the engine's clock stood still
            frame = await self._worker.frame(self._deadline)
            self._left_off = monotonic()
            if frame is None:
                self.end()
                raise self._out_of_time()
            self._take(*frame)
            if self._worker is not None:
                self._worker.pause(reading=False)
        return self._pieces.popleft()

    async def aclose(self) -> None:
        """Stop the query, if it still runs."""
        if not self._ended:
            self.end()
