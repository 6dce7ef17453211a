"""How requests arrive: their headers and bodies, in bounded size and time, from clients that may leave."""

import asyncio
import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address, IPv6Network
from typing import cast
from urllib.parse import quote, unquote_to_bytes

from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.types import Scope

from itukg.errors import BadRequest, TooLarge, TooSlow, UnsupportedMediaType

HOST = re.compile(r"(?:\w[\w.-]{0,252}|\[[\da-fA-F:.]{2,45}\])(?::\d{1,5})?", re.ASCII)
"""What names a host, and maybe its port (RFC 9110, 7.2), and stands in an IRI, in each syntax of it, as it is."""
_DECORATION = re.compile(
    rb"(?:^|(?<=&))(?:utm_\w+|fbclid|gclid|dclid|msclkid|mc_[ce]id|igshid)(?:=|&|$)", re.IGNORECASE
)
"""What is added to links that people follow from elsewhere."""
RECEIVE_SECONDS = 10.0
"""Seconds in which the body of a request must have arrived."""
WATCH_SECONDS = 0.05
"""Seconds after which the server begins to watch for a disconnect: what takes less ends by itself."""
MAX_PREFERENCES = 4000
"""Characters of a header that states preferences; a longer one takes too long to be read."""


def address_in(scope: Scope, public: str | None) -> str:
    """Return the address of the service: the public one if it has one, else as the client named it; empty where Host names no host."""
    if public:
        return public.rstrip("/")
    host = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1")
    return f"{scope['scheme']}://{host}{scope.get('root_path', '')}" if HOST.fullmatch(host) else ""


def client_in(scope: Scope) -> str:
    """Return what stands for the client of a request; see `network_of`."""
    client = scope.get("client")
    return network_of(client[0]) if client else ""


@lru_cache(maxsize=10_000)
def network_of(address: str) -> str:
    """Return what stands for one client: an address of IPv4, and of IPv6 the network of 64 bits, which one client has to itself."""
    try:
        parsed = IPv6Address(address)
    except AddressValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((int(parsed) >> 64 << 64, 64)))


def undecorated(scope: Scope) -> Scope:
    """Return a request without the parameters that newsletters and social networks add to links, and that say nothing to us."""
    if not _DECORATION.search(scope["query_string"]):
        return scope
    parts = (part for part in scope["query_string"].split(b"&") if not _DECORATION.match(part))
    return {**scope, "query_string": b"&".join(parts)}


def without_slash(scope: Scope) -> str:
    """Return the address of a request without the slashes at its end."""
    query = f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else ""
    path = "/" + quote(scope["path"].strip("/"), safe="/:@!$&'()*+,;=~")  # one slash before it: two would name a host
    return f"{scope.get('root_path', '')}{path}{query}"


def requested_headers(scope: Scope) -> str:
    """Return the headers that a browser asks to send: any, for none of them changes more than the answer."""
    requested = accepted(scope, b"access-control-request-headers")
    return requested if re.fullmatch(r"[\w!#$%&'*+.^`|~, -]+", requested, re.ASCII) else "*"


class ClientLeft(Exception):
    """The client has left, or does not read on: the answer cannot be finished, though its beginning may be sent."""


async def body_of(request: Request, limit: int, seconds: float = RECEIVE_SECONDS) -> bytes:
    """Return the body of a request.

    Raises TooLarge as soon as it is larger than `limit` bytes, TooSlow, and ClientLeft.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for piece in request.stream():
                body += piece
                if len(body) > limit:
                    raise TooLarge(f"The request body is larger than {limit} bytes.")
    except TimeoutError:
        raise TooSlow(f"The request body did not arrive within {seconds:.3g} s.") from None
    except ClientDisconnect:
        raise ClientLeft("the client has left") from None
    return bytes(body)


def refuse_early(request: Request, limit: int) -> None:
    """Refuse, before it is read, a body that is compressed, of two types, or announced as larger than `limit` bytes."""
    if len(request.headers.getlist("content-type")) > 1:
        raise BadRequest("The body has several types; name one, by one Content-Type.")
    if any(coding.lower() != "identity" for coding in request.headers.getlist("content-encoding")):
        raise UnsupportedMediaType("The body is compressed; send it as it is, without Content-Encoding.")
    if (announced_size(request) or 0) > limit:
        raise TooLarge(f"The request body is larger than {limit} bytes.")


def announced_size(request: Request) -> int | None:
    """Return the bytes that the body of a request has by its Content-Length; None where that says nothing."""
    length = request.headers.get("content-length", "")
    return int(length[:18]) if length.isdecimal() else None


def text_of(body: bytes) -> str:
    """Return a body that is UTF-8. Raises BadRequest, which names the first byte that is not."""
    try:
        return body.decode("utf-8-sig")  # a byte order mark, which nobody sees, is no part of a query
    except UnicodeDecodeError as error:
        raise BadRequest(f"The body is not UTF-8 (byte {error.start}).") from None


def accepted(scope: Scope, name: bytes = b"accept") -> str:
    """Return the Accept header, or another one, whose several lines are one list (RFC 9110, 5.3). Raises BadRequest."""
    # Of the raw headers: to make all of them into a mapping costs more than the rest of the request's reading.
    value = b", ".join([value for key, value in scope["headers"] if key == name]).decode("latin-1")
    if len(value) > MAX_PREFERENCES:
        raise BadRequest(
            f"{name.decode().title()} has more than {MAX_PREFERENCES} characters. Name the few media types that are best."
        )
    return value


def parameters_of(encoded: bytes) -> list[tuple[str, str]]:
    """Return names and values of a query string or a form, in order. Raises BadRequest for what is not UTF-8."""
    pairs = [part.partition(b"=") for part in encoded.split(b"&") if part]
    try:
        return [(_unquoted(name).decode(), _unquoted(value).decode()) for name, _, value in pairs]
    except UnicodeDecodeError as error:
        raise BadRequest(f"A parameter is not UTF-8 once it is percent-decoded: {error.reason}.") from None


def _unquoted(encoded: bytes) -> bytes:
    return unquote_to_bytes(encoded.replace(b"+", b" "))


class StopWhenLeft:
    """Stops the work within it, by ClientLeft, once the client has left. The body must have been read before."""

    _left = False
    _watch: asyncio.Task[None] | None = None

    def __init__(self, request: Request) -> None:
        self._receive = request.receive

    def __enter__(self) -> None:
        self._running = cast("asyncio.Task[None]", asyncio.current_task())
        self._timer = asyncio.get_running_loop().call_later(WATCH_SECONDS, self._begin)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()
        if self._left and kind is asyncio.CancelledError:  # others, who cancel too, go on
            self._running.uncancel()
            raise ClientLeft("the client has left") from None

    def _begin(self) -> None:
        self._watch = asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._left = True
        self._running.cancel()
