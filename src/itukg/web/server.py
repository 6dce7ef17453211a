"""The server's end of a connection: HTTP, from clients that may be slow, or only half there."""

import asyncio
from functools import partial

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from itukg.web.answers import WHOLE, constant_lines

HEADERS_WITHIN = 10.0
"""Seconds in which the headers of a request must have arrived, from the connection's or the request's first byte."""


class Connection(HttpToolsProtocol):
    """Uvicorn's protocol, which by itself waits for headers without end: here a connection without them is closed.

    And it offers applications to send a whole answer at once (see WHOLE): one packet, for which a client wakes once.
    """

    _began = 0.0
    """When the connection, or the request whose headers are awaited, began; 0 while none are."""
    _look: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._began = self.loop.time()
        self._look_at_the_time()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._look.cancel()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Begin to wait for the headers of this request."""
        super().on_message_begin()
        self._began = self._began or self.loop.time()

    def on_headers_complete(self) -> None:
        """Wait no longer, and let the application answer."""
        self._began = 0.0
        super().on_headers_complete()
        if self.cycle and self.cycle.scope is self.scope:  # whose task has not begun
            self.scope["extensions"] = {WHOLE: partial(_send_whole, self.cycle)}  # type: ignore[dict-item]

    def _look_at_the_time(self) -> None:
        """Close a connection that has waited too long, else look again when it might have: one timer for many requests."""
        left = (self._began + HEADERS_WITHIN - self.loop.time()) if self._began else HEADERS_WITHIN
        if left <= 0:
            self.transport.close()
        else:
            self._look = self.loop.call_later(left, self._look_at_the_time)


async def _send_whole(cycle: RequestResponseCycle, lines: bytes, body: bytes) -> None:
    """Answer 200 with header lines and a body, as `cycle.send` does in two steps that look at each header."""
    if cycle.flow.write_paused and not cycle.disconnected:
        await cycle.flow.drain()
    if cycle.disconnected:
        return
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    end = b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n"
    cycle.transport.writelines((STATUS_LINE[200], constant_lines(tuple(cycle.default_headers)), lines, end, body))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
