"""The server's end of a connection: HTTP, from clients that may be slow, or only half there."""

import asyncio
import codecs
import logging
import re
import resource
import sys
from collections import Counter
from contextlib import suppress
from http import HTTPStatus
from math import inf
from time import monotonic
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from itukg.errors import BadRequest, HeadersTooLarge, ItukgError, NotSupported, Overloaded, UriTooLong
from itukg.web.logs import log_request
from itukg.web.middleware import COMMON_HEADERS
from itukg.web.problems import problem_of
from itukg.web.requests import HOST, network_of

log = logging.getLogger("itukg")

HEAD_SECONDS = 10.0
"""Seconds in which the headers of a request must have arrived, from the connection's or the request's first byte."""
MAX_HEAD = 128 * 1024
"""Bytes that the head of a request may have, and what is read with its end."""
MAX_PIPELINED = 10_000
"""Requests that a client may send before the first of them is answered; more than one reading from the socket holds."""
OWN_FILES = 128
"""Files that connections leave for the service itself: those it reads, and the sockets of its processes."""
REFUSALS_SECONDS = 60.0
"""Seconds between two lines of the log on refused connections."""
_AUTHORITY = re.compile(rb"https?://([^/?#@]+)", re.IGNORECASE)
MAX_URL = 65_535
"""Bytes that its address may have: the parser counts no further."""


STOP_SECONDS = 3
"""Seconds in which answers may end once the server is told to stop; the server ends the others."""
SWITCH_SECONDS = 0.001
"""Seconds after which a thread that computes lets the event loop go on: by default, Python takes five times as long."""
_CODECS = ("ascii", "cp437", "idna", "latin-1", "punycode", "utf-8-sig", "utf-16", "utf-32")


def use_all_files() -> None:
    """Let this process open as many files as the system lets it, and load the codecs, which Python looks for in files when they are used."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # macOS names a limit that it does not grant
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for name in _CODECS:
        codecs.lookup(name)


class OneWrite:
    """A transport that sends what is written in one turn of the event loop at once.

    Uvicorn writes the head of an answer and its body apart, and uvloop sends each: two system calls, and a client
    that wakes twice. A lookup with one connection took 1.4 times as long.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._pieces: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send `data` with what else is written in this turn."""
        if not self._pieces:
            self._loop.call_soon(self._send)
        self._pieces.append(data)

    def close(self) -> None:
        """Send what is written, and close."""
        self._send()
        self._transport.close()

    def _send(self) -> None:
        if self._pieces and not self._transport.is_closing():
            self._transport.write(b"".join(self._pieces))
        self._pieces.clear()


class Room:
    """How many connections there is room for: of one client, and beside the files and processes that the service needs itself."""

    def __init__(self, connections: int) -> None:
        """Let one client have up to `connections`, 0: any number, but half of the files that this process may open at most."""
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._files = sys.maxsize if files == resource.RLIM_INFINITY else files
        self._last = self._files - min(OWN_FILES, self._files // 2)
        self._each = min(connections or sys.maxsize, self._files // 2)
        self._of: Counter[str] = Counter()
        self._refused, self._logged = 0, -inf

    def refusal(self, client: str, handle: int) -> Overloaded | None:
        """Return why there is no room for a connection of `client`, whose socket has this file handle: the system gives the lowest."""
        if handle >= self._last:
            what = f"of the {self._files} files that the server may open, nearly all are in use"
            advice = "Raise the limit (ulimit -n, LimitNOFILE)."
        elif self._of[client] >= self._each:
            what, advice = f"{client or 'a client'} has {self._each} connections", "See ITUKG_CONNECTIONS."
        else:
            return None
        self._refused += 1
        if monotonic() >= self._logged + REFUSALS_SECONDS:  # a line for many: who connects so often would fill the disk
            log.warning("Connections refused: %d since the last such line; %s. %s", self._refused, what, advice)
            self._refused, self._logged = 0, monotonic()
        return Overloaded(f"There is no room for another connection: {what}. Close some, and try again.")

    def enter(self, client: str) -> None:
        """Count a connection of `client`."""
        self._of[client] += 1

    def leave(self, client: str) -> None:
        """Count a connection of `client` no more."""
        self._of[client] -= 1
        if not self._of[client]:
            del self._of[client]


class Connection(HttpToolsProtocol):
    """Uvicorn's protocol, with bounds on what it waits for and holds.

    By itself it waits for headers without end, however many, and for a client that does not read; and it takes as many
    requests at once as a client sends without waiting for answers. Here such a connection is closed. Uvicorn has no
    settings for that, and its other protocol, h11, takes three times as long for a request.
    """

    _began = 0.0
    """When the connection, or the request whose headers are awaited, began; 0 while none are."""
    _paused = 0.0
    """Since when the client has taken nothing of what it is to read; 0 while it does."""
    _head = 0
    """Bytes that have arrived since, before those that are looked at."""
    _is_in_body = False
    """Whether the body of a request is still to come, which may have been answered before it was read."""
    _unsent = 0
    """Bytes that were not sent when the time was last looked at."""
    _fault: ItukgError = BadRequest("This is no request of HTTP/1.1.")
    _refusal: ItukgError | None = None
    """What is said against the last request, once those before it are answered."""
    _running: RequestResponseCycle | None = None
    """The request that is being answered; uvicorn's own `cycle` is the one that was read last."""
    _timer: asyncio.TimerHandle

    def __init__(self, *, send_timeout: float, room: Room, **given: Any) -> None:
        """Give a client `send_timeout` seconds in which to take something of an answer, if there is `room` for its connection."""
        super().__init__(**given)
        self._send_timeout, self._room = send_timeout, room
        self._peer: str | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(OneWrite(transport, self.loop))  # type: ignore[arg-type]  # it has all that a transport has
        self._began = self.loop.time()
        self._check_time()
        peer = network_of(self.client[0]) if self.client else ""
        handle = transport.get_extra_info("socket")
        if (refusal := self._room.refusal(peer, handle.fileno() if handle else 0)) is not None:
            self._refuse(refusal)
            return
        self._peer = peer
        self._room.enter(peer)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer, and tell the request that is being answered."""
        self._timer.cancel()
        if self._peer is not None:
            self._room.leave(self._peer)
        self.pipeline.clear()
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Let the answer end, if that takes no longer than STOP_SECONDS: the client may read nothing."""
        super().shutdown()
        self.loop.call_later(STOP_SECONDS, self.transport.abort)

    def data_received(self, data: bytes) -> None:
        """Read on, unless the head of the request has grown too large."""
        if self.transport.is_closing() or self._refusal is not None:
            return
        if not self._began and self._running is None:
            self._began = self.loop.time()  # of what may be no request, such as an empty line
        if self._began and not self._is_in_body and self._head > MAX_HEAD:
            self._refuse(HeadersTooLarge(f"The head of the request has more than {MAX_HEAD} bytes."))
            return
        if self._began and not self._is_in_body:
            self._head += len(data)
        super().data_received(data)

    def on_url(self, url: bytes) -> None:
        """Take a piece of the address."""
        super().on_url(url)
        if len(self.url) > MAX_URL:
            self._fault = UriTooLong(f"The address has more than {MAX_URL} bytes. Send a long query in a POST.")
            raise self._fault  # what has called this answers

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  (the parser's message, which helps no user)
        """Answer what is no request, or none that is read."""
        self._refuse(self._fault)

    def on_message_complete(self) -> None:
        """Take the request as whole."""
        self._is_in_body = False
        if self._running is None:
            self._began = 0.0  # the rest of a body whose request was answered before
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Begin the next request; nothing more is read before all that were sent at once are answered."""
        self._running = self.pipeline[-1][0] if self.pipeline else None
        super().on_response_complete()
        if self.pipeline:
            self.flow.pause_reading()
        elif self._running is None and self._refusal is not None:
            self._refuse(self._refusal)

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
        self._is_in_body = True
        self._name_host()
        self._check_codings()
        self._check_upgrade()
        super().on_headers_complete()
        self._running = self._running or self.cycle
        if len(self.pipeline) > MAX_PIPELINED:
            self.transport.close()

    def _name_host(self) -> None:
        """Make sure that Host names the requested host, once (RFC 9112, 3.2). Raises BadRequest."""
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) != 1 or not HOST.fullmatch(hosts[0].decode("latin-1")):
            if hosts or self.parser.get_http_version() != "1.0":
                self._fault = BadRequest("The Host header must name the requested host and port, once.")
                raise self._fault
            self.headers.append(
                (b"host", b"%s:%d" % (str(self.server[0]).encode(), self.server[1] or 80) if self.server else b"")
            )
        if not self.url.startswith((b"/", b"*")):
            if not (found := _AUTHORITY.match(self.url)):
                self._fault = BadRequest("The address of a request is a path, or begins with http:// or https://.")
                raise self._fault
            self.headers[:] = [(name, found[1] if name == b"host" else value) for name, value in self.headers]

    def _check_codings(self) -> None:
        """Raise NotSupported for a body in a transfer coding beside `chunked`, which is all that the parser undoes (RFC 9112, 6.1)."""
        codings = b",".join(value for name, value in self.headers if name == b"transfer-encoding")
        if any(coding.strip().lower() != b"chunked" for coding in codings.split(b",") if coding.strip()):
            self._fault = NotSupported("A body may be sent in chunks, and with no other Transfer-Encoding.")
            raise self._fault

    def _check_upgrade(self) -> None:
        """Raise BadRequest for a body behind an Upgrade, such as h2c: the parser would take it for the next request."""
        if self.parser.should_upgrade() and any(
            name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
            for name, value in self.headers
        ):
            self._fault = BadRequest("This server speaks HTTP/1.1 only: send a body without the Upgrade header.")
            raise self._fault

    def _check_time(self) -> None:
        """Close a connection that has waited too long, else look again when it might have: one timer for many requests."""
        now, unsent = self.loop.time(), self.transport.get_write_buffer_size()
        left = (self._began + HEAD_SECONDS - now) if self._began else HEAD_SECONDS
        stuck = unsent > 0 and unsent == self._unsent and self.transport.is_closing()
        self._unsent = unsent
        if stuck or (self._paused and self._paused + self._send_timeout <= now):
            self.transport.abort()  # to close it would wait for the client
            return
        if left <= 0:
            self.transport.close()
        self._timer = self.loop.call_later(min(max(left, 1.0), self._send_timeout), self._check_time)

    def _refuse(self, error: ItukgError) -> None:
        """Answer what is not passed on, after the requests before it, and close the connection."""
        if self._running is not None:
            self._refusal = error
            self.flow.pause_reading()
            return
        answer = problem_of(error)
        url = getattr(self, "url", b"")
        method = self.parser.get_method().decode("latin-1") if url else None
        if self._peer is not None:  # what has no room for a connection logs that
            path = url.decode("latin-1")[:200]
            log_request({"client": self.client, "method": method, "path": path}, error.status)
        status = HTTPStatus(error.status)
        headers = [*self.server_state.default_headers, *answer.raw_headers, *COMMON_HEADERS, (b"connection", b"close")]
        lines = [b"HTTP/1.1 %d %s" % (status, status.phrase.encode()), *(b"%s: %s" % header for header in headers)]
        body = b"" if self.parser.get_method() == b"HEAD" else bytes(answer.body)
        self.transport.write(b"\r\n".join((*lines, b"", body)))
        self.transport.close()
