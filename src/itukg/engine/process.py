"""The server's side of a worker process: it sends and receives packets on the event loop."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import NamedTuple

from itukg.engine.worker import EXIT, HEAD, LENGTH, PACKET_BYTES, READY

_PROCESSOR_CLOCK = 2
"""What names the clock of a process beside its id (clock_gettime(2), and CPUCLOCK_SCHED in Linux)."""


class Packet(NamedTuple):
    """What a worker sends; EXIT comes from its parent."""

    kind: bytes
    seconds: float = 0.0
    content: bytes = b""


class Worker:
    """A worker process, which answers one request at a time."""

    def __init__(self, number: int, server: socket.socket, on_end: Callable[["Worker"], None]) -> None:
        """Connect to the worker that its parent knows by `number`; `on_end` is called when it ends while idle."""
        server.setblocking(False)
        self.number = number
        self.pid = self.thread = 0
        self._began, self._has_clock = 0.0, True
        self._socket, self._on_end = server, on_end
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[Packet | None] | None = None
        self._is_watched = self._is_closed = False
        self.is_idle = False
        self.is_fresh = True
        """Whether it has not answered yet, so that all its memory is free for the current request."""

    async def ready(self, deadline: float) -> Packet | None:
        """Return the first packet, READY where the process has started; None where none comes before `deadline`."""
        packet = await self.packet(deadline)
        if packet is not None and packet.kind == READY:
            self.pid, self.thread = json.loads(packet.content)
        return packet

    async def send(self, request: bytes, deadline: float) -> bool:
        """Send a request; return whether it was sent before `deadline`. `packet` reports a process that has ended."""
        self.is_idle = self.is_fresh = False
        self._began = self._clock()
        packets = [LENGTH.pack(len(request)) + request[:PACKET_BYTES]]
        packets += [request[begin : begin + PACKET_BYTES] for begin in range(PACKET_BYTES, len(request), PACKET_BYTES)]
        for packet in packets:
            while True:
                try:
                    self._socket.send(packet)
                except BlockingIOError:
                    if not await self._writable(deadline):
                        return False
                except OSError:  # the process has ended, or the connection is closed
                    return True
                else:
                    break
        return True

    def processor_seconds(self) -> float:
        """Return the processor time that the request has taken; where the system keeps that to itself, the time since it was sent."""
        return self._clock() - self._began

    def _clock(self) -> float:
        if self._has_clock:
            with contextlib.suppress(OSError):
                return time.clock_gettime(~self.pid << 3 | _PROCESSOR_CLOCK)
            self._has_clock, self._began = False, monotonic()  # another system than Linux, or the process has ended
        return monotonic()

    async def packet(self, deadline: float) -> Packet | None:
        """Return the next packet, EXIT once the process has ended; None where none comes before `deadline`."""
        if self._is_closed:
            return Packet(EXIT)
        self._watch()
        return await self._wait(deadline)

    def set_idle(self) -> None:
        """Watch for the end of the process until the next request."""
        self.is_idle = True
        self._watch()

    def close(self) -> None:
        """Close the connection: the process ends once it reads or writes."""
        if not self._is_closed:
            self._is_closed = True
            self._unwatch()
            self._loop.remove_writer(self._socket)
            self._socket.close()
            self._wake(Packet(EXIT))

    async def _writable(self, deadline: float) -> bool:
        """Wait until the socket is writable or closed; return whether that happened before `deadline`."""
        self._unwatch()  # `packet` reads what arrives meanwhile
        self._loop.add_writer(self._socket, self._wake, Packet(b""))
        try:
            return await self._wait(deadline) is not None
        finally:
            if not self._is_closed:
                self._loop.remove_writer(self._socket)

    async def _wait(self, deadline: float) -> Packet | None:
        """Return the argument of the next `_wake`, or None where `deadline` passes first."""
        waiter: asyncio.Future[Packet | None] = self._loop.create_future()
        self._waiter = waiter
        timer = None if deadline == inf else self._loop.call_later(max(0.0, deadline - monotonic()), self._wake, None)
        try:
            return await waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def _wake(self, packet: Packet | None) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(packet)

    def _receive(self) -> Packet | None:
        """Return the packet that has arrived, if any."""
        try:
            received = self._socket.recv(HEAD.size + PACKET_BYTES)
        except BlockingIOError:
            return None
        except ConnectionError:  # it died with part of the request unread; EXIT follows
            self._unwatch()  # libuv stops watching a socket with an error
            self._watch()
            return None
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
        else:  # an answer that the client does not read yet, or the end of the process
            self._unwatch()
            if self.is_idle:
                self._on_end(self)
