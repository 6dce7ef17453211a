"""Worker processes that can be killed; clients take turns with them.

A request goes to one of `workers` idle processes, of which one client leaves some to others. A request that takes longer than
QUICK_SECONDS is slow, by a processor's clock where the pool says so: it goes on at a lower priority, and a fresh worker, forked in milliseconds, replaces its
own. At most `slow` such requests run at once, in turns of QUICK_SECONDS. The others wait: those that had a turn, and up to MAX_SUSPENDED that had none, are suspended, with their work so far; the rest are
killed and start again when a slot is free. A request is killed when its deadline passes or its client disconnects. An answer larger than
BUFFER_BYTES is read from the worker as fast as its client reads; such streams have a limit of their own.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
from collections import Counter, deque
from importlib import metadata
from itertools import count
from math import inf
from time import monotonic
from typing import NamedTuple

from itukg.engine.fair import FairQueue, Slots
from itukg.engine.process import Packet, Worker
from itukg.engine.worker import DATA, END, ERROR, FORK, NICE, ORDER, READY, SIGNAL, unpack_error
from itukg.errors import DataError, ItukgError, MemoryLimit, Overloaded, TimeLimit, WorkerKilled

QUICK_SECONDS = 1.0
"""A request that takes longer is slow; slow requests take turns of this length."""
MAX_SUSPENDED = 4
"""Slow requests that wait suspended for their first turn: each keeps the memory that it has used so far."""
BUFFER_BYTES = 16_000_000
"""Bytes of an answer that are buffered before it is sent; a larger one is streamed."""
STREAMS_PER_SLOT = 4
"""Answers streamed at once, for each slow slot; one client gets as many streams as there are slots."""
FORK_RETRY_SECONDS = 1.0
"""Seconds between two attempts to fork a worker."""
_OUT_OF_MEMORY = (-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS)
"""Exit codes of a worker that ran out of memory or overflowed its stack."""

_NO_PROCESS = "No worker process can be started now: {reason}. Try again in a few seconds."

log = logging.getLogger("itukg")


class Messages(NamedTuple):
    """What a client reads when a request hits its time or memory limit."""

    late: str = (
        "No answer within {seconds:.2g} s. Ask for less, or bind more of the pattern: "
        'see "A slow query?" in docs/sparql.md.'
    )
    memory: str = (
        "The query needs more than {memory} MB of memory, or more stack than its process has. "
        "Ask for less, or in several queries."
    )


class Response:
    """The answer to one request, in pieces: those already buffered, then those that the worker still writes."""

    def __init__(self, pool: "Pool", request: bytes, client: str, deadline: float, seconds: float) -> None:
        self._pool, self._request, self._client = pool, request, client
        self._started, self._deadline, self._limit = monotonic(), deadline, seconds
        self._worker: Worker | None = None
        self._is_replaced = self._was_fresh = False
        """Whether another worker has replaced this one, which is killed after the answer; whether this one was fresh."""
        self._has_turn = self._has_slot = self._is_streamed = False
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._left_off = 0.0
        self.seconds = 0.0
        """Seconds that the answer took; of a streamed one, its beginning."""
        self.is_done = False

    def __aiter__(self) -> "Response":
        """Return itself."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece. Raises TimeLimit, MemoryLimit or WorkerKilled for an answer that cannot be finished."""
        while not self._pieces:
            if self.is_done or self._worker is None:
                raise StopAsyncIteration
            self._deadline += monotonic() - self._left_off  # the time in which the client read is not the worker's
            packet = await self._worker.packet(self._deadline)
            self._left_off = monotonic()
            if packet is None:
                raise self._late()
            self._take(packet)
        return self._pieces.popleft()

    async def aclose(self) -> None:
        """Stop the work, if it is not done."""
        self._end(well=False)

    async def collect(self, *, own: bool, network: bool) -> None:
        """Buffer the answer, up to BUFFER_BYTES, from a worker of its `own` or an idle one; raises what `Pool.submit` does."""
        pool = self._pool
        if network:
            await self._take_slot()
        if own:
            await self._begin(await pool.fork(network=network, deadline=self._deadline), replaced=True)
        else:
            worker = await pool.idle.get(self._client, self._deadline)
            self._has_turn = True
            await self._begin(worker)
        if not await self._is_quick() and monotonic() < self._deadline:
            await self._become_slow()
        while not await self._read(min(monotonic() + QUICK_SECONDS, self._deadline)):
            if monotonic() >= self._deadline:
                raise self._late()
            if pool.slots.waiting():  # slow requests take turns too
                self._leave_slot()
                await self._wait_suspended(again=True)
        if not self.is_done:
            self._stream()

    def restart(self) -> None:
        """Stop the work, and discard the answer so far."""
        self._end(well=False)
        self._pieces.clear()
        self._size, self.is_done = 0, False

    def is_final(self, error: MemoryLimit | WorkerKilled) -> bool:
        """Return whether another worker could do no better: this one was fresh, and its memory did not suffice."""
        return isinstance(error, MemoryLimit) and self._was_fresh

    async def _begin(self, worker: Worker, *, replaced: bool = False) -> None:
        self._worker, self._is_replaced, self._was_fresh = worker, replaced, worker.is_fresh
        if self._limit != inf:
            self._deadline = monotonic() + self._limit
        if not await worker.send(self._request, self._deadline):
            raise self._late()

    async def _is_quick(self) -> bool:
        """Read until the request is slow; return whether the answer has come by then."""
        until = min(monotonic() + self._pool.busy_factor * QUICK_SECONDS, self._deadline)
        while (worker := self._worker) and (left := QUICK_SECONDS - worker.processor_seconds()) > 0:
            if await self._read(min(monotonic() + left, until)):
                return True
            if monotonic() >= until:
                break
        return self.is_done

    async def _become_slow(self) -> None:
        """Go on in a slot for slow requests, at a lower priority; wait for one where none is free."""
        pool, worker = self._pool, self._worker
        assert worker is not None
        self._leave_quick()
        if self._has_slot or pool.slots.get_nowait(self._client):
            self._has_slot = True
        elif pool.suspended < MAX_SUSPENDED:
            await self._wait_suspended()
        else:
            self.restart()
            await self._take_slot()
            worker = await pool.fork(deadline=self._deadline)
            pool.lower_priority(worker)
            await self._begin(worker, replaced=True)

    async def _wait_suspended(self, *, again: bool = False) -> None:
        """Wait for a slot without losing the work so far; a limit of `seconds` does not count the wait."""
        pool, worker, began = self._pool, self._worker, monotonic()
        assert worker is not None
        pool.suspended += 1
        pool.signal(worker, signal.SIGSTOP)
        try:
            await self._take_slot(again=again)
        finally:
            pool.suspended -= 1
        pool.signal(worker, signal.SIGCONT)
        if self._limit != inf:
            self._deadline += monotonic() - began

    def _leave_quick(self) -> None:
        """Lower the priority of this worker, which is killed after the answer, and replace it with a fresh one."""
        assert self._worker is not None
        self._pool.lower_priority(self._worker)
        if not self._is_replaced:
            self._is_replaced = True
            self._pool.replace()
        self._end_turn()

    def _end_turn(self) -> None:
        if self._has_turn:
            self._has_turn = False
            self._pool.idle.give_up(self._client)

    async def _take_slot(self, *, again: bool = False) -> None:
        deadline = self._deadline if self._limit == inf else monotonic() + self._limit
        try:
            await self._pool.slots.get(self._client, deadline, again=again)
        except Overloaded:
            if self._is_replaced and monotonic() >= deadline:  # it had its turn, and needed more
                raise self._late() from None
            raise
        self._has_slot = True

    def _leave_slot(self) -> None:
        if self._has_slot:
            self._has_slot = False
            self._pool.slots.put(True, self._client)

    async def _read(self, until: float) -> bool:
        """Read until the answer ends or has BUFFER_BYTES; return whether it did by `until`."""
        while not self.is_done and self._size <= BUFFER_BYTES:
            assert self._worker is not None
            packet = await self._worker.packet(until)
            if packet is None:
                return False
            self._take(packet)
        return True

    def _take(self, packet: Packet) -> None:
        if packet.kind in (DATA, END):
            self._pieces.append(packet.content)
            self._size += len(packet.content)
            if packet.kind == END:
                self.seconds = packet.seconds
                self._end(well=True)
        elif packet.kind == ERROR:
            self._end(well=True)
            raise unpack_error(packet.content)
        else:
            self._end(well=False)
            raise self._pool.death(packet)

    def _stream(self) -> None:
        """Stream the rest as fast as the client reads, without a slot. Raises Overloaded."""
        self._left_off = monotonic()
        self.seconds = self._left_off - self._started
        self._leave_quick()
        self._pool.begin_stream(self._client)
        self._is_streamed = True
        self._leave_slot()

    def _end(self, *, well: bool) -> None:
        """Release the worker, which has finished `well` or is killed, the slot and the stream."""
        self.is_done = True
        worker, self._worker = self._worker, None
        if worker is not None:
            self._pool.release(worker, well=well, replaced=self._is_replaced)
        self._end_turn()
        self._leave_slot()
        if self._is_streamed:
            self._is_streamed = False
            self._pool.end_stream(self._client)

    def _late(self) -> TimeLimit:
        self._end(well=False)
        given = self._limit if self._limit != inf else max(0.0, self._deadline - self._started)
        return TimeLimit(self._pool.messages.late.format(seconds=given))


class Pool:
    """Workers of one kind, forked from a process that `python -m module data` starts."""

    def __init__(
        self,
        module: str,
        data: str,
        *,
        workers: int,
        slow: int,
        memory: int = 0,
        waiting: int = 256,
        per_client: int = 64,
        reuse: bool = True,
        share: int | None = None,
        busy_factor: int = 1,
        messages: Messages = Messages(),  # noqa: B008  (immutable)
    ) -> None:
        """Allow each worker `memory` bytes more than it starts with (0: no limit). Without `reuse`, it answers once.

        One client has up to `share` workers at once, and as many slow ones as there are; by default one less than `workers`.
        A request that gets less of a busy machine is slow after QUICK_SECONDS of processor time, and at the latest after
        `busy_factor` times as long.
        """
        self._command = [sys.executable, "-P", "-m", module, data]
        self._workers, self._memory, self._reuse, self.messages = workers, memory, reuse, messages
        self.busy_factor = busy_factor
        self.idle: FairQueue[Worker] = FairQueue(waiting, per_client, share or max(1, workers - 1))
        self.slots = Slots(slow, waiting, per_client)
        self.suspended = 0
        """How many slow requests wait suspended for a slot."""
        self._streams: Counter[str] = Counter()
        self._slow = slow
        self.alive: set[Worker] = set()
        self._parent: subprocess.Popen[bytes] | None = None
        self._control: socket.socket
        self._numbers = count()
        self._starting = asyncio.Lock()
        self._is_started = False
        self._forking: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def start(self) -> None:
        """Load the data and fork the workers, unless that is done. Raises DataError where the data cannot be loaded."""
        async with self._starting:
            while not self._is_started:
                self._set_idle(await self.fork())
                self._is_started = len(self.alive) >= self._workers

    async def submit(
        self,
        request: bytes,
        *,
        deadline: float = inf,
        client: str = "",
        network: bool = False,
        seconds: float = inf,
    ) -> Response:
        """Return the answer to a request; with `network`, from a worker of its own that may open sockets.

        The work must finish before `deadline` of the monotonic clock; with `seconds`, it must start before `deadline` and
        finish within `seconds`. Raises what the worker raises; TimeLimit; MemoryLimit; Overloaded where too many requests
        wait, or this one for too long, or too many large answers are being sent, or the system gives no process; and
        WorkerKilled where two workers in a row were killed from outside, or the pool is closed.
        """
        response = Response(self, request, client, deadline, seconds)
        try:
            try:
                await response.collect(own=network, network=network)
            except (WorkerKilled, MemoryLimit) as error:
                if self._is_closed or response.is_final(error):
                    raise
                log.warning("%s A fresh worker tries again.", error)
                response.restart()
                await response.collect(own=True, network=network)
        except BaseException:
            await response.aclose()
            raise
        return response

    def size(self) -> dict[str, int]:
        """Return how many workers there are and how many requests wait."""
        return {
            "workers": len(self.alive),
            "waiting for a worker": self.idle.waiting(),
            "waiting for a slow slot": self.slots.waiting(),
        }

    async def close(self) -> None:
        """Kill the workers and their parent process, even while it loads."""
        self._is_closed = True
        for task in self._forking:
            task.cancel()
        self.idle.close()
        self.slots.close()
        for worker in list(self.alive):
            self._kill(worker)
        if self._parent is not None:
            try:
                await asyncio.to_thread(self._end_parent)
            except RuntimeError:  # the program is ending, and starts no more threads
                self._end_parent()

    # --- what a response does with its worker ---

    def release(self, worker: Worker, *, well: bool, replaced: bool) -> None:
        """Return a worker to the idle ones; kill one that has not finished `well` or was `replaced`."""
        if well and not replaced and self._reuse:
            self._set_idle(worker)
            return
        self._kill(worker)
        if not replaced:
            self.replace()

    def replace(self) -> None:
        """Fork a worker to replace one that was killed or has become slow."""
        task = asyncio.get_running_loop().create_task(self._refill())
        self._forking.add(task)
        task.add_done_callback(self._forking.discard)

    def signal(self, worker: Worker, number: signal.Signals) -> None:
        """Send a signal to a worker."""
        self._order(SIGNAL, worker, number)

    def lower_priority(self, worker: Worker) -> None:
        """Lower the priority of a worker for good: raising it again needs a privilege."""
        self._order(NICE, worker, worker.thread)

    def death(self, packet: Packet) -> MemoryLimit | WorkerKilled:
        """Return the error for a worker that ended before its answer did."""
        if self._is_closed:
            return WorkerKilled("The server is stopping.")
        if not packet.content:
            return WorkerKilled("The process that worked on it ended with its parent process.")
        code = int(packet.content)
        if code in _OUT_OF_MEMORY:
            return MemoryLimit(self.messages.memory.format(memory=self._memory // 1_000_000))
        how = f"was ended by signal {-code} from outside" if code < 0 else f"ended by itself, with exit code {code}"
        return WorkerKilled(f"The process that worked on it {how}. Try again in a few seconds.")

    def begin_stream(self, client: str) -> None:
        """Count one more streamed answer. Raises Overloaded where there are too many."""
        if self._streams[client] >= self._slow or self._streams.total() >= STREAMS_PER_SLOT * self._slow:
            whose = "to you" if self._streams[client] else "to others"
            raise Overloaded(
                f"Large answers are being sent {whose}. Try again when one has been read, or ask for less."
            )
        self._streams[client] += 1

    def end_stream(self, client: str) -> None:
        """Count one streamed answer less."""
        self._streams[client] -= 1
        if not self._streams[client]:
            del self._streams[client]

    # --- processes ---

    async def fork(self, *, network: bool = False, deadline: float = inf) -> Worker:
        """Return a fresh worker.

        Raises DataError where the data cannot be loaded, and Overloaded where the system cannot give another process or file
        descriptor, or no worker is ready by `deadline`.
        """
        for _attempt in range(2):
            if self._is_closed:
                break
            worker = self._fork(network=network)
            try:
                packet = await worker.ready(deadline)
            except BaseException:
                worker.close()
                raise
            if packet is not None and packet.kind == READY:
                self.alive.add(worker)
                return worker
            worker.close()
            if packet is None:
                raise Overloaded("No worker process was ready in time. Try again in a few seconds.")
            if packet.content:  # its parent, which has the data, goes on
                raise Overloaded(_NO_PROCESS.format(reason="the system gives none"))
        raise DataError(f"No worker process could be started on {self._command[-1]}; the log says why.")

    def _fork(self, *, network: bool) -> Worker:
        """Order a worker from the parent process; start another parent where it has ended."""
        try:
            if self._parent is None:
                self._start_parent()
            ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
            number = next(self._numbers)
            order = [ORDER.pack(FORK, number, self._memory, int(network))]
            with theirs:
                try:
                    socket.send_fds(self._control, order, [theirs.fileno()])
                except (BrokenPipeError, ConnectionResetError):
                    log.warning("The parent process of the workers has ended; starting another.")
                    self._end_parent()
                    self._start_parent()
                    socket.send_fds(self._control, order, [theirs.fileno()])
        except OSError as error:
            raise Overloaded(_NO_PROCESS.format(reason=error)) from None
        return Worker(number, ours, self._lost)

    async def _refill(self) -> None:
        while not self._is_closed:
            try:
                worker = await self.fork()
            except ItukgError as error:  # memory or file descriptors are short, which may pass
                log.error("No worker process could be started; trying again: %s", error)  # noqa: TRY400
                await asyncio.sleep(FORK_RETRY_SECONDS)
            else:
                self._set_idle(worker)
                return

    def _set_idle(self, worker: Worker) -> None:
        worker.set_idle()
        self.idle.put(worker)

    def _lost(self, worker: Worker) -> None:
        if self.idle.discard(worker):  # else the response that uses it sees its end
            log.warning("An idle worker process (%s) has ended; starting another.", worker.pid)
            self._kill(worker)
            self.replace()

    def _kill(self, worker: Worker) -> None:
        self.signal(worker, signal.SIGKILL)
        self.alive.discard(worker)
        worker.close()

    def _order(self, kind: bytes, worker: Worker, amount: int) -> None:
        if worker in self.alive:
            with contextlib.suppress(OSError):  # the parent has ended, and the worker with it
                self._control.send(ORDER.pack(kind, worker.number, amount, 0))

    def _start_parent(self) -> None:
        self._control, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        self._control.setblocking(False)
        with theirs:
            environment = os.environ | _allocator()
            self._parent = subprocess.Popen(self._command, env=environment, stdin=theirs.fileno())  # noqa: S603

    def _end_parent(self) -> None:
        self._control.close()
        if self._parent is not None:
            self._parent.kill()
            self._parent.wait()
            self._parent = None


def _allocator() -> dict[str, str]:
    """Return the environment in which processes use mimalloc, where it is installed.

    Queries and validation make many small allocations: a query takes a sixth less time than with glibc's allocator.
    """
    with contextlib.suppress(metadata.PackageNotFoundError):
        for file in metadata.files("cmeel-mimalloc") or ():
            if file.name == "libmimalloc.so":
                # A worker may use a reserved arena beyond its memory limit, so the arenas are small.
                return {"LD_PRELOAD": str(file.locate()), "MIMALLOC_ARENA_RESERVE": "64MiB"}
    return {"MALLOC_ARENA_MAX": "1"}
