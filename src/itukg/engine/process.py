"""The server's end of a worker process: packets out and in, on the event loop."""

import asyncio
import json
import socket
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import NamedTuple

from itukg.engine.worker import EXIT, HEAD, LENGTH, PACKET, READY


class Packet(NamedTuple):
    """What a worker sends, or, as EXIT, its parent."""

    kind: bytes
    seconds: float = 0.0
    content: bytes = b""


class Worker:
    """A worker process, which answers one question at a time."""

    def __init__(self, number: int, server: socket.socket, on_end: Callable[["Worker"], None]) -> None:
        """Talk to the worker that its parent knows by `number`; `on_end` is called when it ends while it is idle."""
        server.setblocking(False)
        self.number = number
        self.pid = self.thread = 0
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
            self.pid, self.thread = json.loads(packet.content)
        return packet

    async def send(self, question: bytes, deadline: float) -> bool:
        """Send a question; return whether that was done before `deadline`. That the process has ended is seen by `packet`."""
        self.is_idle = self.is_fresh = False
        packets = [LENGTH.pack(len(question)) + question[:PACKET]]
        packets += [question[begin : begin + PACKET] for begin in range(PACKET, len(question), PACKET)]
        for packet in packets:
            while True:
                try:
                    self._socket.send(packet)
                except BlockingIOError:
                    if not await self._writable(deadline):
                        return False
                except OSError:  # it has ended, or is closed
                    return True
                else:
                    break
        return True

    async def packet(self, deadline: float) -> Packet | None:
        """Return the next packet, EXIT once the process has ended; None where none comes before `deadline`."""
        if self._is_closed:
            return Packet(EXIT)
        self._watch()
        return await self._wait(deadline)

    def rest(self) -> None:
        """Watch, until the next question, whether the process ends."""
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
        """Wait until something can be sent, or the connection is closed; return whether that was so before `deadline`."""
        self._unwatch()  # what comes meanwhile is for `packet`
        self._loop.add_writer(self._socket, self._wake, Packet(b""))
        try:
            return await self._wait(deadline) is not None
        finally:
            if not self._is_closed:
                self._loop.remove_writer(self._socket)

    async def _wait(self, deadline: float) -> Packet | None:
        """Return what `_wake` is called with, or None where that is not before `deadline`."""
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
        """Return the packet that has come, if any."""
        try:
            received = self._socket.recv(HEAD.size + PACKET)
        except BlockingIOError:
            return None
        except ConnectionError:  # it died with some of the question unread; EXIT follows
            self._unwatch()  # libuv stops to watch what has an error
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
        else:  # an answer that its client does not read yet, or the end of the process
            self._unwatch()
            if self.is_idle:
                self._on_end(self)
