"""The server's end of a connection: HTTP, from clients that may be slow, or only half there."""

import asyncio
import re
from collections.abc import Callable
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from itukg.errors import BadRequest, HeadersTooLarge, ItukgError, UriTooLong
from itukg.web.answers import WHOLE, constant_lines, header_lines, problem_of
from itukg.web.app import FRAME
from itukg.web.requests import HOST, LEFT

HEADERS_WITHIN = 10.0
"""Seconds in which the headers of a request must have arrived, from the connection's or the request's first byte."""
HEAD_SIZE = 128 * 1024
"""Bytes that the head of a request may have, and what is read with its end."""
_AUTHORITY = re.compile(rb"https?://([^/?#@]+)", re.IGNORECASE)
URL_SIZE = 65_535
"""Bytes that its address may have: the parser counts no further."""


class Connection(HttpToolsProtocol):
    """Uvicorn's protocol, with bounds on what it waits for and holds.

    By itself it waits for headers without end, however many, and for a client that does not read; and while that sends one
    request after the other, it takes them all. Here such a connection is closed, or not read. And it offers applications
    to send a whole answer at once (see WHOLE): one packet, for which a client wakes once; and to tell when the client leaves.
    """

    _began = 0.0
    """When the connection, or the request whose headers are awaited, began; 0 while none are."""
    _paused = 0.0
    """Since when the client has taken nothing of what it is to read; 0 while it does."""
    _head = 0
    """Bytes that have arrived since, before those that are looked at."""
    _fault: ItukgError = BadRequest("This is no request of HTTP/1.1.")
    _look: asyncio.TimerHandle
    _when_left: Callable[[], None] | None = None

    def __init__(self, *, sending: float, **given: Any) -> None:
        """Give a client `sending` seconds in which to take something of an answer."""
        super().__init__(**given)
        self._sending = sending

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._began = self.loop.time()
        self._look_at_the_time()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer, and tell whoever wants to know."""
        self._look.cancel()
        super().connection_lost(exc)
        if self._when_left is not None:
            self._when_left()

    def when_left(self, call: Callable[[], None] | None) -> bool:
        """Call this when the client leaves; tell whether it has left already (see LEFT)."""
        self._when_left = call
        return self.transport.is_closing()

    def data_received(self, data: bytes) -> None:
        """Read on, unless the head of the request has grown too large."""
        if self.transport.is_closing():
            return
        if self._began and self._head > HEAD_SIZE:
            self._refuse(HeadersTooLarge(f"The head of the request has more than {HEAD_SIZE} bytes."))
            return
        if self._began:
            self._head += len(data)
        super().data_received(data)

    def on_url(self, url: bytes) -> None:
        """Take a piece of the address."""
        super().on_url(url)
        if len(self.url) > URL_SIZE:
            self._fault = UriTooLong(f"The address has more than {URL_SIZE} bytes. Send a long query in a POST.")
            raise self._fault  # what has called this answers

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  (the parser's words, which tell no user anything)
        """Answer what is no request, or none that is read."""
        self._refuse(self._fault)

    def on_response_complete(self) -> None:
        """Begin the next request; nothing more is read before all that were sent at once are answered."""
        super().on_response_complete()
        if self.pipeline:
            self.flow.pause_reading()

    def pause_writing(self) -> None:
        """Begin to wait for the client to read."""
        super().pause_writing()
        self._paused = self.loop.time()

    def resume_writing(self) -> None:
        """Wait no longer."""
        super().resume_writing()
        self._paused = 0.0

    def on_message_begin(self) -> None:
        """Begin to wait for the headers of this request."""
        super().on_message_begin()
        self._began = self._began or self.loop.time()

    def on_headers_complete(self) -> None:
        """Wait no longer, and let the application answer."""
        self._began, self._head = 0.0, 0
        self._name_host()
        super().on_headers_complete()
        if self.cycle and self.cycle.scope is self.scope:  # whose task has not begun
            self.scope["extensions"] = {WHOLE: partial(_send_whole, self.cycle), LEFT: self.when_left}  # type: ignore[dict-item]

    def _name_host(self) -> None:
        """See to it that Host names the host that is asked, once (RFC 9112, 3.2). Raises BadRequest."""
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) != 1 or not HOST.fullmatch(hosts[0].decode("latin-1")):
            if hosts or self.parser.get_http_version() != "1.0":
                self._fault = BadRequest("The Host header must name the host and port that is asked, once.")
                raise self._fault
            self.headers.append(
                (b"host", b"%s:%d" % (str(self.server[0]).encode(), self.server[1] or 80) if self.server else b"")
            )
        if not self.url.startswith((b"/", b"*")) and (found := _AUTHORITY.match(self.url)):
            self.headers[:] = [(name, found[1] if name == b"host" else value) for name, value in self.headers]

    def _look_at_the_time(self) -> None:
        """Close a connection that has waited too long, else look again when it might have: one timer for many requests."""
        now = self.loop.time()
        left = (self._began + HEADERS_WITHIN - now) if self._began else HEADERS_WITHIN
        if self._paused and self._paused + self._sending <= now:
            self.transport.abort()  # to close it would wait for the client
        elif left <= 0:
            self.transport.close()
        else:
            self._look = self.loop.call_later(left, self._look_at_the_time)

    def _refuse(self, error: ItukgError) -> None:
        answer = problem_of(error)
        headers = [*self.server_state.default_headers, *answer.raw_headers, *FRAME, (b"connection", b"close")]
        body = b"" if self.parser.get_method() == b"HEAD" else answer.body
        self.transport.write(b"".join((STATUS_LINE[error.status], header_lines(headers), b"\r\n", body)))
        self.transport.close()


async def _send_whole(cycle: RequestResponseCycle, lines: bytes, body: bytes) -> None:
    """Answer 200 with header lines and a body, as `cycle.send` does in two steps that look at each header."""
    if cycle.flow.write_paused and not cycle.disconnected:
        await cycle.flow.drain()
    if cycle.disconnected:
        return
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    end = b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n"
    if not cycle.transport.is_closing():
        cycle.transport.writelines((STATUS_LINE[200], constant_lines(tuple(cycle.default_headers)), lines, end, body))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
