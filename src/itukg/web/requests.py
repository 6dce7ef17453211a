"""How requests arrive: their bodies, in bounded size and time, from clients that may leave."""

import asyncio
import re
from collections.abc import Callable
from typing import cast
from urllib.parse import unquote_to_bytes

from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.types import Scope

from itukg.errors import BadRequest, TooLarge, TooSlow, UnsupportedMediaType

HOST = re.compile(r"(?:\w[\w.-]{0,252}|\[[\da-fA-F:.]{2,45}\])(?::\d{1,5})?", re.ASCII)
"""What names a host, and maybe its port (RFC 9110, 7.2), and stands in an IRI, in each syntax of it, as it is."""
RECEIVING = 10.0
"""Seconds in which the body of a request must have arrived."""
WhenLeft = Callable[[Callable[[], None] | None], bool]
LEFT = "itukg.left"
"""ASGI extension of our server: where a scope has it, it takes what is to be called when the client leaves, or None; it tells
whether that has left already."""


class BrokenOff(Exception):
    """An answer that cannot be finished, though its beginning is sent."""


async def body_of(request: Request, limit: int, seconds: float = RECEIVING) -> bytes:
    """Return the body of a request.

    Raises TooLarge as soon as it is larger than `limit` bytes, TooSlow, and BrokenOff when the client has left.
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
        raise BrokenOff("the client has left") from None
    return bytes(body)


def refuse_early(request: Request, limit: int) -> None:
    """Refuse, before it is read, a body that is compressed, of two types, or announced as larger than `limit` bytes."""
    if len(request.headers.getlist("content-type")) > 1:
        raise BadRequest("The body has several types; name one, by one Content-Type.")
    if any(coding.lower() != "identity" for coding in request.headers.getlist("content-encoding")):
        raise UnsupportedMediaType("The body is compressed; send it as it is, without Content-Encoding.")
    if (length := request.headers.get("content-length", "0")).isdecimal() and int(length[:18]) > limit:
        raise TooLarge(f"The request body is larger than {limit} bytes.")


def text_of(body: bytes) -> str:
    """Return a body that is UTF-8. Raises BadRequest, which names the first byte that is not."""
    try:
        return body.decode("utf-8-sig")  # a byte order mark, which nobody sees, is no part of a query
    except UnicodeDecodeError as error:
        raise BadRequest(f"The body is not UTF-8 (byte {error.start}).") from None


def client_of(request: Request) -> str:
    """Return who asks, for turns and quotas."""
    client = request.scope.get("client")
    return client[0] if client else ""


def parameters_of(encoded: bytes) -> list[tuple[str, str]]:
    """Return names and values of a query string or a form, in order. Raises BadRequest for what is not UTF-8."""
    pairs = [part.partition(b"=") for part in encoded.split(b"&") if part]
    try:
        return [(unquoted(name).decode(), unquoted(value).decode()) for name, _, value in pairs]
    except UnicodeDecodeError as error:
        raise BadRequest(f"A parameter is not UTF-8 once it is percent-decoded: {error.reason}.") from None


def unquoted(encoded: bytes) -> bytes:
    r"""Return what a name or value of a query string stands for: what `urllib.parse.unquote_plus` does, three times as fast.

    Queries come full of escapes. Python decodes \x41 quickly, so %41 is written as that; not so where a backslash stands,
    or a % that begins no escape.
    """
    text = encoded.replace(b"+", b" ")
    if b"%" not in text:
        return text
    try:
        if b"\\" not in text:
            return text.replace(b"%", b"\\x").decode("unicode_escape").encode("latin-1")
    except UnicodeDecodeError:
        pass
    return unquote_to_bytes(text)


class Watch:
    """Ends what is done within it, by BrokenOff, once the client has left, where the server tells that (see LEFT)."""

    def __init__(self, scope: Scope) -> None:
        self._tell: WhenLeft | None = scope.get("extensions", {}).get(LEFT)
        self._left = False

    def __enter__(self) -> None:
        self._running = cast("asyncio.Task[None]", asyncio.current_task())
        if self._tell is not None and self._tell(self._leave):
            raise BrokenOff("the client has left")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._tell is not None:
            self._tell(None)
        if self._left and kind is asyncio.CancelledError:  # others, who cancel too, go on
            self._running.uncancel()
            raise BrokenOff("the client has left") from None

    def _leave(self) -> None:
        self._left = True
        self._running.cancel()
