"""The server's side of the wall: a process that forks workers, the workers, and questions on their way through them."""

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
from math import inf
from time import clock_gettime, monotonic
from typing import ClassVar, cast

from itukg.errors import DataError, MemoryLimit, TimeLimit
from itukg.processes.allocator import allocator
from itukg.processes.fair import Places
from itukg.processes.worker import ASK, DATA, END, ERROR, FORK, HEAD, KILL, PEEK, READY, SHORT, unpack_error

HELD = 16_000_000
"""Bytes of an answer that are collected before it is sent; a larger one is streamed."""
NICE = 5
"""How far the priority of what takes long is lowered (setpriority(2)): enough to let quick queries go first, and no more than a
busy machine still serves."""

log = logging.getLogger("itukg")

Frame = tuple[bytes, int, bytes, float, float]
"""Its kind, the number of the question, what it holds, and the times that END tells."""


class Pool:
    """Workers of one kind, forked in some milliseconds from a process that `python -m module what` starts."""

    def __init__(self, module: str, what: str, memory: int) -> None:
        """Allow each worker `memory` bytes more than it is born with; 0 is without limit."""
        self._module, self._what, self.memory = module, what, memory
        self._zygote: subprocess.Popen[bytes] | None = None
        self._control: socket.socket
        self.closed = False
        self.alive: set[Worker] = set()

    def start(self) -> None:
        """Start the process that forks workers; where that was not done, the first worker waits for it."""
        ours, theirs = socket.socketpair()
        with theirs:
            environment = os.environ | allocator()
            command = [sys.executable, "-P", "-m", self._module, self._what, str(theirs.fileno())]
            self._zygote = subprocess.Popen(command, env=environment, pass_fds=[theirs.fileno()])  # noqa: S603
        self._control = ours

    async def close(self) -> None:
        """End the workers and the process that they came from, for good."""
        self.closed = True
        for worker in list(self.alive):
            worker.leave()
        if self._zygote is not None:
            self._control.close()  # it kills its children, and ends
            try:
                await asyncio.to_thread(self._zygote.wait)
            finally:  # nobody waits for one that still loads
                self._zygote.kill()
                self._zygote.wait()
                self._zygote = None

    def _end(self) -> None:
        self._control.close()
        if self._zygote is not None:
            self._zygote.kill()
            self._zygote.wait()

    def _order(self, kind: bytes, number: int, handles: list[int]) -> None:
        message = struct.pack("!cQI", kind, self.memory, number)
        socket.send_fds(self._control, [message], handles)

    async def fork(self, *, network: bool = False, until: float = inf) -> "Worker":
        """Return a fresh worker. Raises DataError where none can be had, and TimeLimit where none is there by `until`."""
        for _attempt in range(2):
            if self.closed:  # whoever still waited for a worker starts nothing anew
                break
            if self._zygote is None:
                self.start()
            with contextlib.ExitStack() as ends:
                ours, theirs = map(ends.enter_context, socket.socketpair())
                packets, received = map(ends.enter_context, socket.socketpair(type=socket.SOCK_SEQPACKET))
                handles = [theirs.fileno(), received.fileno()]
                try:
                    self._order(FORK, int(network), handles)
                except OSError:  # the process that forks has been ended from outside: begin again
                    log.warning("The process that forks workers is gone; starting another.")
                    self._end()
                    self.start()
                    self._order(FORK, int(network), handles)
                ours.setblocking(False)
                packets.setblocking(False)
                worker = Worker(packets, received)
                await asyncio.get_running_loop().create_unix_connection(lambda it=worker: it, sock=ours)  # type: ignore[misc]
                ends.pop_all()
                theirs.close()
            try:
                frame = await worker.frame(until)
            except BaseException:
                worker.leave()
                raise
            if frame is not None and frame[0] == READY:
                worker.pid, worker.thread = json.loads(frame[2])
                self.alive.add(worker)
                return worker
            worker.leave()
            if frame is None:
                raise TimeLimit("No worker was ready in time. Try again in a few seconds.")
        raise DataError(f"No worker could be started on {self._what}; the log says why.")

    def dismiss(self, worker: "Worker") -> None:
        """Kill a worker."""
        worker.leave()
        self.alive.discard(worker)
        if worker.pid:
            with contextlib.suppress(OSError):
                self._order(KILL, worker.pid, [])


def _nothing() -> None:
    """Do nothing."""


class Worker(asyncio.Protocol):
    """The server's end of a worker: frames come in, in order."""

    def __init__(self, packets: socket.socket, received: socket.socket) -> None:
        """Send questions into `packets`; `received` is their other end, which the worker has too."""
        self._packets, self._received = packets, received
        self._number = 0
        """Of the last question, modulo 256: at most two are under way."""
        self.pid = self.thread = 0
        self.before = 0.0
        """Seconds of processor time that it had used when it was done with the last question."""
        self._frames: deque[Frame] = deque()
        self._buffer = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._gone = False
        self.on_loss = _nothing
        """Called when the worker has ended by itself, or was ended from outside."""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        """Take the frames that are there in full."""
        begin = 0
        if self._buffer:
            self._buffer += data
        with memoryview(self._buffer or data) as received:  # most answers come whole, and are copied but once
            while len(received) >= begin + HEAD.size:
                kind, number, size, seconds, used = HEAD.unpack_from(received, begin)
                end = begin + HEAD.size + size
                if len(received) < end:
                    break
                self._frames.append((kind, number, bytes(received[begin + HEAD.size : end]), seconds, used))
                begin = end
        if self._buffer:
            del self._buffer[:begin]
        else:
            self._buffer += data[begin:]
        if begin:
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (the protocol's name)
        """Tell whoever waits that nothing more comes."""
        if not self._gone:
            self._gone = True
            self.on_loss()
        self._wake()

    def ask(self, question: bytes) -> int:
        """Send a question, and return its number."""
        self._number = (self._number + 1) % 256
        if not self._gone:
            head = ASK.pack(self._number, len(question))
            if len(question) <= SHORT:
                self._packets.send(head + question)
            else:
                self._packets.send(head)
                self._transport.write(question)
        return self._number

    def take_back(self) -> bool:
        """Take back the last question, which must be short; tell whether that was done before the worker took it."""
        if self._gone:
            return True
        try:
            first = self._received.recv(1, PEEK)[0]  # maybe the one before
            return first == self._number and bool(self._received.recv(1, socket.MSG_DONTWAIT))
        except BlockingIOError:
            return False

    def is_gone(self) -> bool:
        """Tell whether it has ended, or was let go."""
        return self._gone

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
        """Let others go first, from now on; it cannot be undone without privilege."""
        with contextlib.suppress(OSError):  # it has just ended
            os.setpriority(os.PRIO_PROCESS, self.thread, NICE)

    def leave(self) -> None:
        """Close the connection."""
        self._gone = True
        self._transport.abort()
        self._packets.close()
        self._received.close()

    async def frame(self, until: float) -> Frame | None:
        """Return the next frame, or None when there is none by `until`; one without kind when the worker has died."""
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
        return (b"", 0, b"", 0.0, 0.0) if self._gone else None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Run:
    """One question on its way through a lane; afterwards the rest of its answer, in pieces."""

    ENDED: ClassVar[str] = (
        "The work ended its process: it needs more than {memory} MB of memory, or more stack than there is."
    )
    LATE: ClassVar[str] = "No answer within {seconds:.2g} s."

    def __init__(self, pool: Pool, lane: Places, question: bytes, deadline: float, client: str) -> None:
        """Put `question` to a worker of `pool` once `lane` has a place, all before `deadline`."""
        self._pool, self._lane, self._question, self._client = pool, lane, question, client
        self._started, self._deadline = monotonic(), deadline
        self._worker: Worker | None = None
        self._number = 0
        """Of the question, as the worker was told."""
        self._has_place = False
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._left_off = 0.0
        self._ended = False

    async def slowly(self, *, network: bool = False) -> float:
        """Collect the answer in the lane, from the beginning; return the seconds."""
        await self._lane.get(self._client, self._deadline)
        self._has_place = True
        self._worker = worker = await self._pool.fork(network=network, until=self._deadline)
        self._number = worker.ask(self._question)
        worker.lower_priority()
        return await self._go_on(worker)

    async def _go_on(self, worker: Worker) -> float:
        self._worker = worker
        seconds = await self._collect(self._deadline)
        if seconds is None and self._size <= HELD:
            raise self._out_of_time()
        self._left_off = monotonic()
        if seconds is not None:
            return seconds
        worker.pause(reading=False)  # until the client has read what is there
        return self._left_off - self._started

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

    def _take(self, kind: bytes, number: int, content: bytes, seconds: float, used: float) -> float | None:
        if kind and number != self._number:  # whoever asked must never get another's answer
            log.error("A worker answered what it was not asked, and is ended.")
            kind = b""
        if kind == DATA:
            self._add(content)
            return None
        if kind == END:
            self._add(content)
            self.end(used)
            return seconds
        if kind == ERROR:
            self.end(self._worker.used() if self._worker else None)
            raise unpack_error(content)
        self.end()
        raise MemoryLimit(self.ENDED.format(memory=self._pool.memory // 1_000_000))

    def _add(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)

    def _out_of_time(self) -> TimeLimit:
        return TimeLimit(self.LATE.format(seconds=max(0.0, self._deadline - self._started)))

    def end(self, used: float | None = None) -> None:
        """Give back the worker, which has `used` so much processor time so far, or has not ended well; and the place."""
        self._ended = True
        worker, self._worker = self._worker, None
        if worker is not None:
            self._give_back(worker, used)
        self._leave_lane()

    def _give_back(self, worker: Worker, used: float | None) -> None:  # noqa: ARG002  (who keeps its workers asks)
        self._pool.dismiss(worker)  # its priority cannot be raised again

    def _leave_lane(self) -> None:
        if self._has_place:
            self._has_place = False
            self._lane.put(True)

    def __aiter__(self) -> "Run":
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
        """Stop the work, if it still runs."""
        if not self._ended:
            self.end()
