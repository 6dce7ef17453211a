"""The server's side: worker processes that can be killed, shared by clients in turn.

A question goes to one of `workers` idle processes. What takes longer than QUICK_SECONDS is slow: it goes on at a lower
priority, and a fresh worker, forked in milliseconds, takes the place of its own. At most `slow` such questions run at once.
Others wait suspended, with what they have done so far, or, from SUSPENDED of them on, are stopped and start again when
a slot is free. A question past its deadline is killed, as is one whose client disconnects. An answer larger than
BUFFER_BYTES is read from the worker as fast as its client reads; so many at once, counted apart from the slow ones.
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from importlib import metadata
from math import inf
from time import monotonic
from typing import Generic, NamedTuple, TypeVar

from itukg.engine.worker import DATA, END, ERROR, EXIT, FORK, HEAD, LENGTH, ORDER, PACKET, READY, SIGNAL, unpack_error
from itukg.errors import DataError, MemoryLimit, Overloaded, TimeLimit, WorkerKilled

QUICK_SECONDS = 1.0
"""Seconds after which a question counts as slow."""
SUSPENDED = 4
"""Slow questions that may wait suspended: each keeps as much memory as it has used so far."""
BUFFER_BYTES = 16_000_000
"""Bytes of an answer that are collected before it is sent; a larger one is streamed."""
STREAMED = 4
"""How many times as many answers as there are slow slots are streamed at once; to one client, as many as there are slots."""
NICE = 5
"""How far a slow question's priority is lowered (setpriority(2)): quick ones go first, and a busy machine still serves it."""
RETRY_SECONDS = 1.0
"""Seconds after which a worker that could not be forked is tried again."""
_OUT_OF_MEMORY = (-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS)
"""Exit codes of a worker that found no memory, or overflowed its stack; others come from outside."""

T = TypeVar("T")
log = logging.getLogger("itukg")


class FairQueue(Generic[T]):
    """A bounded queue of free items; the clients that wait for one take turns, however many requests each sends."""

    def __init__(self, waiting: int, per_client: int) -> None:
        """Let `waiting` requests wait in all, and `per_client` of one client."""
        self._limit, self._per_client = waiting, per_client
        self._free: list[T] = []
        self._waiting: OrderedDict[str, deque[asyncio.Future[T]]] = OrderedDict()

    def waiting(self) -> int:
        """Return how many requests wait."""
        return sum(map(len, self._waiting.values()))

    def get_nowait(self) -> T | None:
        """Return the free item that was used last, or None."""
        return self._free.pop() if self._free else None

    async def get(self, client: str, deadline: float) -> T:
        """Return an item as soon as it is the turn of `client`.

        Raises Overloaded where the queue, or the client's part of it, is full, and TimeLimit where `deadline` of the
        monotonic clock passes first.
        """
        if self._free:
            return self._free.pop()
        own = self._waiting.get(client, ())
        if len(own) >= self._per_client:
            raise Overloaded(f"{len(own)} requests of yours are waiting already. Send the next when one is answered.")
        if self.waiting() >= self._limit:
            raise Overloaded(f"{self._limit} requests are waiting already. Try again in a few seconds.")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append(future)
        try:
            async with asyncio.timeout(None if deadline == inf else max(0.0, deadline - monotonic())):
                return await future
        except BaseException as error:
            if future.done() and not future.cancelled() and future.exception() is None:
                self.put(future.result())  # it was handed over just as the request was given up
            if isinstance(error, TimeoutError):
                raise TimeLimit("The request waited for its turn until its time was over. Try again later.") from None
            raise
        finally:
            self._forget(client, future)

    def put(self, item: T) -> None:
        """Hand an item to the client whose turn it is, or keep it."""
        while self._waiting:
            client, futures = self._waiting.popitem(last=False)
            future = futures.popleft()
            if futures:
                self._waiting[client] = futures
            if not future.done():
                future.set_result(item)
                return
        self._free.append(item)

    def discard(self, item: T) -> bool:
        """Take an item out, and return whether it was free."""
        if item not in self._free:
            return False
        self._free.remove(item)
        return True

    def close(self) -> None:
        """Refuse all who wait: no item comes any more."""
        for futures in self._waiting.values():
            for future in futures:
                if not future.done():
                    future.set_exception(DataError("The store is closed."))

    def _forget(self, client: str, future: asyncio.Future[T]) -> None:
        futures = self._waiting.get(client, deque())
        with contextlib.suppress(ValueError):
            futures.remove(future)
        if not futures:
            self._waiting.pop(client, None)


class Slots(FairQueue[bool]):
    """So many slots, which are taken and put back."""

    def __init__(self, number: int, waiting: int, per_client: int) -> None:
        """As FairQueue."""
        super().__init__(waiting, per_client)
        for _ in range(number):
            self.put(True)


class Packet(NamedTuple):
    """What a worker sends."""

    kind: bytes
    seconds: float = 0.0
    content: bytes = b""


class Worker:
    """The server's end of a worker process, which answers one question at a time."""

    def __init__(self, server: socket.socket, on_end: Callable[["Worker"], None]) -> None:
        """Read from `server`; `on_end` is called when the process ends while it is idle."""
        server.setblocking(False)
        self.pid = self._thread = 0
        self._socket, self._on_end = server, on_end
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[Packet | None] | None = None
        self._is_watched = self._is_closed = False
        self.is_idle = False
        self.is_fresh = True
        """Whether it has answered nothing yet, so that all its memory is for the question at hand."""

    async def ready(self, deadline: float) -> Packet | None:
        """Return the first packet, READY where the process has begun; None where none comes before `deadline`."""
        packet = await self.packet(deadline)
        if packet is not None and packet.kind == READY:
            self.pid, self._thread = json.loads(packet.content)
        return packet

    async def send(self, question: bytes) -> None:
        """Send a question. That a process has ended is seen when its answer is read."""
        with contextlib.suppress(OSError):
            self._socket.send(LENGTH.pack(len(question)) + question[:PACKET])
            for begin in range(PACKET, len(question), PACKET):
                await self._loop.sock_sendall(self._socket, question[begin : begin + PACKET])

    async def packet(self, deadline: float) -> Packet | None:
        """Return the next packet, EXIT once the process has ended; None where none comes before `deadline`."""
        if self._is_closed:
            return Packet(EXIT)
        self._watch()
        waiter: asyncio.Future[Packet | None] = self._loop.create_future()
        self._waiter = waiter
        timer = None if deadline == inf else self._loop.call_later(max(0.0, deadline - monotonic()), self._wake, None)
        try:
            return await waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def rest(self) -> None:
        """Watch, until the next question, whether the process ends."""
        self.is_idle = True
        self._watch()

    def lower_priority(self) -> None:
        """Let others go first from now on, which cannot be undone without privilege."""
        with contextlib.suppress(OSError):  # it has just ended
            os.setpriority(os.PRIO_PROCESS, self._thread, NICE)

    def close(self) -> None:
        """Close the connection: the process ends once it reads or writes."""
        if not self._is_closed:
            self._is_closed = True
            self._unwatch()
            self._socket.close()
            self._wake(Packet(EXIT))

    def _receive(self) -> Packet | None:
        """Return the packet that has come, if any."""
        try:
            received = self._socket.recv(HEAD.size + PACKET)
        except BlockingIOError:
            return None
        except OSError:
            return Packet(EXIT)
        if not received:
            return Packet(EXIT)
        kind, seconds = HEAD.unpack_from(received)
        return Packet(kind, seconds, received[HEAD.size :])

    def _watch(self) -> None:
        if not self._is_watched and not self._is_closed:
            self._is_watched = True
            self._loop.add_reader(self._socket, self._on_readable)

    def _unwatch(self) -> None:
        if self._is_watched:
            self._is_watched = False
            self._loop.remove_reader(self._socket)

    def _on_readable(self) -> None:
        if self._waiter is not None:
            if not self._waiter.done() and (packet := self._receive()) is not None:
                self._wake(packet)
        else:  # an answer that its client does not read yet, or the end of the process
            self._unwatch()
            if self.is_idle:
                self._on_end(self)

    def _wake(self, packet: Packet | None) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(packet)


class Messages(NamedTuple):
    """What a client reads of a question that did not end well."""

    late: str = "No answer within {seconds:.2g} s. Ask for less, or bind more of the pattern."
    memory: str = (
        "The query ended its process: it needs more than {memory} MB of memory, or more stack than there is. "
        "Ask for less, or in parts."
    )


class Response:
    """The answer to one question: its pieces, those collected and those that the worker still writes."""

    def __init__(self, pool: "Pool", question: bytes, client: str, deadline: float, seconds: float) -> None:
        self._pool, self._question, self._client = pool, question, client
        self._started, self._deadline, self._limit = monotonic(), deadline, seconds
        self._worker: Worker | None = None
        self._is_replaced = self._was_fresh = False
        """Whether another worker has taken the place of this one, which ends with the answer."""
        self._has_slot = self._is_streamed = False
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._left_off = 0.0
        self.seconds = 0.0
        """Seconds that the answer took, or its beginning where it is streamed."""
        self.is_done = False

    def __aiter__(self) -> "Response":
        """Return the pieces."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece. Raises TimeLimit, MemoryLimit and WorkerKilled for an answer that cannot be finished."""
        while not self._pieces:
            if self.is_done or self._worker is None:
                raise StopAsyncIteration
            self._deadline += monotonic() - self._left_off  # while the client read, the worker's clock stood still
            packet = await self._worker.packet(self._deadline)
            self._left_off = monotonic()
            if packet is None:
                raise self._late()
            self._take(packet)
        return self._pieces.popleft()

    async def aclose(self) -> None:
        """Stop the work, if it still goes on."""
        self._end(well=False)

    async def collect(self, *, own: bool, network: bool) -> None:
        """Collect the answer, or BUFFER_BYTES of it, of a worker of its `own` or of an idle one; raises as `Pool.ask` does."""
        pool = self._pool
        if own:
            await self._take_slot()
            await self._begin(await pool.fork(network=network, deadline=self._deadline), replaced=True)
        else:
            await self._begin(pool.idle.get_nowait() or await pool.idle.get(self._client, self._deadline))
            if not await self._read(min(monotonic() + QUICK_SECONDS, self._deadline)) and monotonic() < self._deadline:
                await self._become_slow()
        if not await self._read(self._deadline):
            raise self._late()
        if not self.is_done:
            self._stream()

    def restart(self) -> None:
        """Stop the work, and forget what was answered so far."""
        self._end(well=False)
        self._pieces.clear()
        self._size, self.is_done = 0, False

    def is_final(self, error: MemoryLimit | WorkerKilled) -> bool:
        """Return whether another worker could do no better: this one was killed by nobody, and all its memory was to be had."""
        return isinstance(error, MemoryLimit) and self._was_fresh

    async def _begin(self, worker: Worker, *, replaced: bool = False) -> None:
        self._worker, self._is_replaced, self._was_fresh = worker, replaced, worker.is_fresh
        worker.is_idle = worker.is_fresh = False
        if replaced:
            worker.lower_priority()
        if self._limit != inf:
            self._deadline = monotonic() + self._limit
        await worker.send(self._question)

    async def _become_slow(self) -> None:
        """Go on in a slot for slow questions, at a lower priority; where none is free, wait for one."""
        pool, worker = self._pool, self._worker
        assert worker is not None
        self._replace()
        if pool.slots.get_nowait():
            self._has_slot = True
        elif pool.suspended < SUSPENDED:
            pool.suspended += 1
            pool.signal(worker, signal.SIGSTOP)
            try:
                await self._take_slot()
            finally:
                pool.suspended -= 1
            pool.signal(worker, signal.SIGCONT)
        else:
            self.restart()
            await self._take_slot()
            await self._begin(await pool.fork(deadline=self._deadline), replaced=True)

    def _replace(self) -> None:
        """Let a fresh worker take the place of this one, which ends with the answer."""
        assert self._worker is not None
        if not self._is_replaced:
            self._is_replaced = True
            self._worker.lower_priority()
            self._pool.replace()

    async def _take_slot(self) -> None:
        await self._pool.slots.get(self._client, self._deadline)
        self._has_slot = True

    def _leave_slot(self) -> None:
        if self._has_slot:
            self._has_slot = False
            self._pool.slots.put(True)

    async def _read(self, until: float) -> bool:
        """Read until the answer ends, or has BUFFER_BYTES; return whether that was so by `until`."""
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
        """Send the rest as fast as the client reads, for which no other question waits. Raises Overloaded."""
        self._left_off = monotonic()
        self.seconds = self._left_off - self._started
        self._replace()
        self._pool.begin_stream(self._client)
        self._is_streamed = True
        self._leave_slot()

    def _end(self, *, well: bool) -> None:
        """Give back the worker, which has ended its work `well` or is killed, and all else that is taken."""
        self.is_done = True
        worker, self._worker = self._worker, None
        if worker is not None:
            self._pool.release(worker, well=well, replaced=self._is_replaced)
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
        messages: Messages = Messages(),  # noqa: B008  (immutable)
    ) -> None:
        """Allow each worker `memory` bytes more than it starts with; 0 is without limit. Without `reuse` it answers once."""
        self._command = [sys.executable, "-P", "-m", module, data]
        self._workers, self._memory, self._reuse, self.messages = workers, memory, reuse, messages
        self.idle: FairQueue[Worker] = FairQueue(waiting, per_client)
        self.slots = Slots(slow, waiting, per_client)
        self.suspended = 0
        """Slow questions that wait suspended for a slot."""
        self._streams: Counter[str] = Counter()
        self._slow = slow
        self.alive: set[Worker] = set()
        self._parent: subprocess.Popen[bytes] | None = None
        self._control: socket.socket
        self._starting: asyncio.Task[None] | None = None
        self._forking: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def start(self) -> None:
        """Load the data and fork the workers, if that was not done. Raises DataError where the data cannot be loaded."""
        if self._starting is None:
            self._starting = asyncio.get_running_loop().create_task(self._start())
        try:
            await asyncio.shield(self._starting)
        except DataError:
            self._starting = None
            raise

    async def ask(
        self,
        question: bytes,
        *,
        deadline: float = inf,
        client: str = "",
        network: bool = False,
        seconds: float = inf,
    ) -> Response:
        """Return the answer to a question; with `network`, of a worker of its own that may open sockets.

        It must end before `deadline` of the monotonic clock; where `seconds` are given, so long after it began, and begin
        before `deadline`. Raises what the worker does, TimeLimit, MemoryLimit, Overloaded where too many wait or are sent
        large answers, and WorkerKilled where two workers, one after the other, were killed from outside.
        """
        response = Response(self, question, client, deadline, seconds)
        try:
            try:
                await response.collect(own=network, network=network)
            except (WorkerKilled, MemoryLimit) as error:
                if response.is_final(error):
                    raise
                log.warning("%s A fresh worker tries again.", error)
                response.restart()
                await response.collect(own=True, network=network)
        except BaseException:
            await response.aclose()
            raise
        return response

    def size(self) -> dict[str, int]:
        """Return how many workers there are, and how many questions wait."""
        return {
            "workers": len(self.alive),
            "waiting for a worker": self.idle.waiting(),
            "waiting for a slow slot": self.slots.waiting(),
        }

    async def close(self) -> None:
        """Kill the workers and the process that forked them."""
        self._is_closed = True
        for task in self._forking:
            task.cancel()
        self.idle.close()
        self.slots.close()
        for worker in list(self.alive):
            worker.close()
        if self._parent is not None:
            self._control.close()  # then it kills its children, and ends
            try:
                await asyncio.to_thread(self._parent.wait)
            finally:  # a cancelled close waits for none that still loads
                self._end_parent()

    # --- what a response does with its worker ---

    def release(self, worker: Worker, *, well: bool, replaced: bool) -> None:
        """Take back a worker; kill one that has not ended its work `well`, or was `replaced`."""
        if well and not replaced and self._reuse:
            self._rest(worker)
            return
        self._kill(worker)
        if not replaced:
            self.replace()

    def replace(self) -> None:
        """Fork a worker in the place of one that was killed or has become slow."""
        task = asyncio.get_running_loop().create_task(self._refill())
        self._forking.add(task)
        task.add_done_callback(self._forking.discard)

    def signal(self, worker: Worker, number: signal.Signals) -> None:
        """Send a signal to a worker."""
        if worker in self.alive:
            with contextlib.suppress(OSError):
                self._order(SIGNAL, worker.pid, number)

    def death(self, packet: Packet) -> MemoryLimit | WorkerKilled:
        """Return what to say of a worker that ended before its answer did."""
        code = int(packet.content or -signal.SIGKILL)
        if code >= 0 or code in _OUT_OF_MEMORY:
            return MemoryLimit(self.messages.memory.format(memory=self._memory // 1_000_000))
        return WorkerKilled(f"A worker process was killed from outside ({signal.Signals(-code).name}).")

    def begin_stream(self, client: str) -> None:
        """Count an answer that is sent as its client reads. Raises Overloaded."""
        if self._streams[client] >= self._slow or self._streams.total() >= STREAMED * self._slow:
            whose = "to you" if self._streams[client] else "to others"
            raise Overloaded(
                f"Large answers are being sent {whose}. Ask again when one has been read, or ask for less."
            )
        self._streams[client] += 1

    def end_stream(self, client: str) -> None:
        """Count one less."""
        self._streams[client] -= 1
        if not self._streams[client]:
            del self._streams[client]

    # --- processes ---

    async def fork(self, *, network: bool = False, deadline: float = inf) -> Worker:
        """Return a fresh worker. Raises DataError where none can be had, and TimeLimit where none is ready by `deadline`."""
        for _attempt in range(2):
            if self._is_closed:
                break
            ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
            worker = Worker(ours, self._lost)
            try:
                with theirs:
                    self._order_fork(theirs, network=network)
                packet = await worker.ready(deadline)
            except BaseException:
                worker.close()
                raise
            if packet is not None and packet.kind == READY:
                self.alive.add(worker)
                return worker
            worker.close()
            if packet is None:
                raise TimeLimit("No worker was ready in time. Try again in a few seconds.")
        raise DataError(f"No worker could be started on {self._command[-1]}; the log says why.")

    async def _start(self) -> None:
        for worker in await asyncio.gather(*(self.fork() for _ in range(self._workers))):
            self._rest(worker)

    async def _refill(self) -> None:
        while not self._is_closed:
            try:
                worker = await self.fork()
            except (DataError, OSError) as error:  # for want of memory or handles, which may pass
                log.error("No worker could be started, which is tried again: %s", error)  # noqa: TRY400
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self._rest(worker)
                return

    def _rest(self, worker: Worker) -> None:
        worker.rest()
        self.idle.put(worker)

    def _lost(self, worker: Worker) -> None:
        if self.idle.discard(worker):  # else whoever has taken it sees that it has ended
            self._kill(worker)
            self.replace()

    def _kill(self, worker: Worker) -> None:
        self.signal(worker, signal.SIGKILL)
        self.alive.discard(worker)
        worker.close()

    def _order_fork(self, server: socket.socket, *, network: bool) -> None:
        if self._parent is None:
            self._start_parent()
        try:
            self._order(FORK, self._memory, int(network), [server.fileno()])
        except OSError:  # it was killed from outside
            log.warning("The process that forks workers has ended; another is started.")
            self._end_parent()
            self._start_parent()
            self._order(FORK, self._memory, int(network), [server.fileno()])

    def _order(self, kind: bytes, amount: int, flag: int, handles: list[int] | None = None) -> None:
        socket.send_fds(self._control, [ORDER.pack(kind, amount, flag)], handles or [])

    def _start_parent(self) -> None:
        self._control, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        with theirs:
            environment = os.environ | _allocator()
            command = [*self._command, str(theirs.fileno())]
            self._parent = subprocess.Popen(command, env=environment, pass_fds=[theirs.fileno()])  # noqa: S603

    def _end_parent(self) -> None:
        self._control.close()
        if self._parent is not None:
            self._parent.kill()
            self._parent.wait()
            self._parent = None


def _allocator() -> dict[str, str]:
    """Return the environment of processes whose memory mimalloc manages, where it is installed.

    Queries and validation allocate much and little at a time: with it a query takes a sixth less time than with glibc's.
    """
    with contextlib.suppress(metadata.PackageNotFoundError):
        for file in metadata.files("cmeel-mimalloc") or ():
            if file.name == "libmimalloc.so":
                # What it reserves at once, a worker may use beyond its limit.
                return {"LD_PRELOAD": str(file.locate()), "MIMALLOC_ARENA_RESERVE": "64MiB"}
    return {"MALLOC_ARENA_MAX": "1"}
