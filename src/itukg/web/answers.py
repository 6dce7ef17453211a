"""How answers leave: in full with a strong ETag and held ready, as 304, or as a problem (RFC 9110, RFC 9457)."""

import asyncio
import gzip
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from functools import lru_cache, partial
from http import HTTPStatus
from pathlib import Path

from cachetools import LRUCache
from fastapi import Response
from starlette.types import Receive, Scope, Send
from werkzeug.datastructures import Accept
from werkzeug.http import parse_accept_header
from xxhash import xxh3_128

from itukg import names
from itukg.dumps import File
from itukg.errors import BadRequest, ItukgError, NotAllowed, PreconditionFailed
from itukg.formats import write_json
from itukg.release import Release

PROBLEM = "application/problem+json"
Header = tuple[bytes, bytes]
Whole = Callable[[bytes, bytes], Awaitable[None]]

VARY = b"Accept, Accept-Encoding"
REVALIDATE = b"no-cache"
"""Cache-Control of what the next release may change: held elsewhere, but asked for anew."""
IMMUTABLE = b"public, max-age=31536000, immutable"
"""Cache-Control of what stands under a release's own name."""
HELD_MESSAGE = "itukg.held"
"""Type of the message by which a route hands a `held` answer to the frame, which holds it, under further `keys` too,
and sends it; `release` names the one that it is of, where that is not the served one."""
WHOLE = "itukg.whole"
"""ASGI extension of our server: where a scope has it, it takes header lines and body, and sends them as one 200."""

_DISTINGUISHED = frozenset((b"accept", b"accept-encoding", b"host"))
_PACKED = ("application/gzip", "application/pdf", "application/vnd.openxmlformats-officedocument", "image/png")
"""Beginnings of media types that are compressed already."""
LIKES = 4000
"""Characters of a header that says what a client likes best; a longer one takes too long to be read."""
_QUICK = 200_000
"""Bytes that are hashed and compressed at once; more of them in a thread."""
_LARGE = 8_000_000
"""Bytes from which on a file is not held, but read each time."""
_PIECE = 1 << 18


@dataclass
class Held:
    """An answer in full, as it is sent: the same bytes for whoever asks for the same.

    `frame` are the headers that every answer of its release has, Last-Modified among them.
    """

    etag: bytes
    headers: list[Header]
    body: bytes
    frame: Sequence[Header] = field(default=(), kw_only=True)
    _written: bytes = field(default=b"", init=False, repr=False)

    @classmethod
    async def of(cls, body: bytes, media_type: str, headers: Iterable[Header], *, zipped: bool) -> "Held":
        """Return `body` with its headers and a strong ETag; a zipped one is another representation (RFC 9110, 8.8.3.3)."""
        make = partial(cls._of, body, media_type, headers, zipped=zipped and not media_type.startswith(_PACKED))
        return await asyncio.to_thread(make) if len(body) > _QUICK else make()

    @classmethod
    def _of(cls, body: bytes, media_type: str, headers: Iterable[Header], *, zipped: bool) -> "Held":
        content = gzip.compress(body, 6, mtime=0) if zipped else body
        digest = xxh3_128(media_type.encode())  # the same bytes as another type are another representation
        digest.update(body)
        etag = b'"%s%s"' % (digest.hexdigest().encode(), b"-gzip" if zipped else b"")
        return cls(etag, [*_own(etag, media_type, len(content), zipped=zipped), *headers], content)

    def __len__(self) -> int:
        """Return about how many bytes this takes."""
        return len(self.body) + 1000

    def _lines(self) -> bytes:
        # not a cached_property, which takes a lock before Python 3.12: a hundredth of a lookup's time in the server
        self._written = self._written or header_lines(self.headers) + constant_lines(tuple(self.frame))
        return self._written

    async def send(self, scope: Scope, send: Send, whole: Whole | None = None) -> int:
        """Answer a request, and return the status: 200, 304 to a client that has it already, or 412.

        With `whole` (see WHOLE) the header lines are held too, and nothing between looks at each of them.
        """
        headers = scope["headers"]
        if (
            not _CONDITIONS.isdisjoint([name for name, _ in headers])
            and (status := self._status(_joined(headers), scope["method"])) != HTTPStatus.OK
        ):
            own, body = [header for header in self.headers if header[0] not in _OF_THE_BODY], b""
            if status == HTTPStatus.PRECONDITION_FAILED:
                refusal = problem_of(PreconditionFailed("The answer is not the one that the request is for."))
                own, body = refusal.raw_headers, bytes(refusal.body)
            await send({"type": "http.response.start", "status": int(status), "headers": [*own, *self.frame]})
            await send({"type": "http.response.body", "body": body})
            return int(status)
        await self._send(send, whole, head=scope["method"] == "HEAD")
        return 200

    def _send(self, send: Send, whole: Whole | None, *, head: bool) -> Awaitable[None]:
        body = b"" if head else self.body
        return self._send_both(send, body) if whole is None else whole(self._lines(), body)

    async def _send_both(self, send: Send, body: bytes) -> None:
        await self._send_head(send)
        await send({"type": "http.response.body", "body": body})

    async def _send_head(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [*self.headers, *self.frame]})

    def _status(self, headers: Mapping[bytes, bytes], method: str) -> HTTPStatus:
        """Return what conditions make of a request (RFC 9110, 13.2.2)."""
        if (tags := headers.get(b"if-match")) is not None:
            if not any(tag.strip() in (self.etag, b"*") for tag in tags.split(b",")):
                return HTTPStatus.PRECONDITION_FAILED
        elif b"if-unmodified-since" in headers and not self._is_older(headers[b"if-unmodified-since"], default=True):
            return HTTPStatus.PRECONDITION_FAILED
        return HTTPStatus.NOT_MODIFIED if method in _SAFE and self._is_known(headers) else HTTPStatus.OK

    def _is_known(self, headers: Mapping[bytes, bytes]) -> bool:
        # RFC 9110, 13.2.2: If-Modified-Since counts only where there is no If-None-Match.
        if (tags := headers.get(b"if-none-match")) is not None:
            return any(tag.strip().removeprefix(b"W/") in (self.etag, b"*") for tag in tags.split(b","))
        return b"if-modified-since" in headers and self._is_older(headers[b"if-modified-since"], default=False)

    def _is_older(self, date: bytes, *, default: bool) -> bool:
        """Tell whether the answer is not younger than a date; the default where either is not known."""
        if (modified := dict(self.frame).get(b"last-modified")) is None:
            return default
        try:
            since, at = (parsedate_to_datetime(d.decode()) for d in (date, modified))
        except (ValueError, TypeError):
            return default
        return at.replace(tzinfo=UTC) <= since.replace(tzinfo=UTC)  # HTTP knows no other; "-0000" gives none


@dataclass
class HeldFile(Held):
    """An answer that stays in its file, and is read from there piece by piece."""

    file: File
    unpack: bool

    @classmethod
    def of_file(cls, file: File, headers: Iterable[Header], *, zipped: bool) -> "HeldFile":
        """Return the answer that a file is: a packed one as it is for whoever likes that, else unpacked."""
        encoded = file.packed and zipped
        size = file.path.stat().st_size if encoded else file.size
        etag = b'"%s%s"' % (file.sha256[:32].encode(), b"-gzip" if encoded else b"")
        own = _own(etag, file.syntax.media_type, size, zipped=encoded)
        return cls(etag, [*own, *headers], b"", file, file.packed and not encoded)

    async def _send(self, send: Send, _whole: Whole | None, *, head: bool) -> None:
        await self._send_head(send)
        if not head:
            opened = await asyncio.to_thread(gzip.open if self.unpack else Path.open, self.file.path, "rb")
            with opened:
                while piece := await asyncio.to_thread(opened.read, _PIECE):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})


class Kept(Response):
    """An answer of the release, which never changes: sent with an ETag, zipped for whoever likes that, and held ready.

    It must depend on nothing but method, scheme, host, path, query string, Accept and Accept-Encoding. One that
    is `immutable` stands under a release's own name. `release` is given where it is of another than the served one.
    """

    def __init__(
        self,
        content: bytes,
        media_type: str,
        headers: Mapping[str, str] | None = None,
        *,
        immutable: bool = False,
        release: Release | None = None,
    ) -> None:
        super().__init__(content, headers=headers, media_type=media_type)
        self._cached = IMMUTABLE if immutable else REVALIDATE
        self._release = release

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Hand the answer to the frame."""
        own = [header for header in self.raw_headers if header[0] not in _OF_THE_BODY]
        headers = [(b"vary", VARY), (b"cache-control", self._cached), *own]
        held = await self._held(headers, zipped=takes_gzip(accepted(scope, b"accept-encoding")))
        await send({"type": HELD_MESSAGE, "held": held, "keys": (), "release": self._release})

    async def _held(self, headers: list[Header], *, zipped: bool) -> Held:
        assert isinstance(self.body, bytes) and self.media_type
        return await Held.of(self.body, self.media_type, headers, zipped=zipped)


class KeptFile(Kept):
    """A file of a release, of any size: a large or a zipped one is sent piece by piece."""

    def __init__(self, file: File, release: Release, headers: Mapping[str, str], *, immutable: bool) -> None:
        super().__init__(b"", file.syntax.media_type, headers, immutable=immutable, release=release)
        self._file = file

    async def _held(self, headers: list[Header], *, zipped: bool) -> Held:
        if self._file.packed or self._file.size > _LARGE:
            return HeldFile.of_file(self._file, headers, zipped=zipped)
        return await Held.of(self._file.read(), self._file.syntax.media_type, headers, zipped=zipped)


def _own(etag: bytes, media_type: str, size: int, *, zipped: bool) -> list[Header]:
    return [
        (b"content-type", media_type_header(media_type)),
        (b"content-length", str(size).encode()),
        (b"etag", etag),
        *([(b"content-encoding", b"gzip")] if zipped else []),
    ]


def header_lines(headers: Sequence[Header]) -> bytes:
    """Return headers as HTTP/1.1 writes them. Raises ValueError where one holds the end of a line (RFC 9110, 5.5)."""
    lines = b"".join([b"%s: %s\r\n" % header for header in headers])
    if lines.count(b"\n") != len(headers) or lines.count(b"\r") != len(headers) or b"\0" in lines:
        raise ValueError(f"a header holds the end of a line, or NUL: {headers}")
    return lines


constant_lines = lru_cache(maxsize=100)(header_lines)
"""As header_lines, for headers that many answers have."""


def distinguished(scope: Scope) -> Hashable:
    """Return what two requests have in common that get the same answer, as a cache knows them (RFC 9111, section 2)."""
    headers = scope["headers"]
    return scope["path"], scope["query_string"], scope["scheme"], *[h for h in headers if h[0] in _DISTINGUISHED]


def _joined(headers: Iterable[Header]) -> dict[bytes, bytes]:
    """Return conditions by name; several lines of one are one list (RFC 9110, 5.3)."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _CONDITIONS:
            found[name] = found[name] + b", " + value if name in found else value
    return found


def accepted(scope: Scope, name: bytes = b"accept") -> str:
    """Return the Accept header, or another one, whose several lines are one list."""
    # Of the raw headers: to make all of them into a mapping costs more than the rest of the request's reading.
    likes = b", ".join([value for key, value in scope["headers"] if key == name]).decode("latin-1")
    if len(likes) > LIKES:
        raise BadRequest(
            f"{name.decode().title()} has more than {LIKES} characters. Name the few media types that are best."
        )
    return likes


_CHEAP = 0.005
"""Seconds below which an answer is held only when it is asked for again."""
_SEEN = 10_000
"""How many questions that were asked once are remembered."""
_CONDITIONS = frozenset((b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since"))
_SAFE = ("GET", "HEAD", "QUERY")
"""Methods for which a client may have the answer already (RFC 9110, 13.1)."""
_OF_THE_BODY = (b"content-type", b"content-length", b"content-encoding")


class Cache:
    """Answers of one release, which never change: as many as fit into `size` bytes, those asked for last."""

    def __init__(self, size: int) -> None:
        self._held: LRUCache[Hashable, Held] = LRUCache(size, getsizeof=len)
        self._seen: OrderedDict[int, None] = OrderedDict()  # in the order in which they came
        self.get = self._held.get
        """Return the answer held under a key, or None."""

    def keep(self, held: Held, seconds: float, *keys: Hashable) -> None:
        """Hold an answer, which took `seconds`, under each of its keys.

        Not if it is larger than a quarter of the whole, nor one that came quickly and is asked for the first time:
        most such are never asked for again, and would only drive others out.
        """
        if len(held) > self._held.maxsize / 4:
            return
        first = hash(keys[0])
        if seconds < _CHEAP and first not in self._seen:
            self._seen[first] = None
            if len(self._seen) > _SEEN:
                self._seen.popitem(last=False)
            return
        for key in keys:
            self._held[key] = held

    def clear(self) -> None:
        """Hold nothing any more."""
        self._held.clear()
        self._seen.clear()

    def size(self) -> int:
        """Return about how many bytes are held."""
        return int(self._held.currsize)


@lru_cache(maxsize=1000)
def takes_gzip(accept_encoding: str) -> bool:
    """Tell whether a client likes gzip no less than the plain bytes."""
    accepted = parse_accept_header(accept_encoding, Accept)
    return accepted.quality("gzip") > 0 and accepted.quality("gzip") >= accepted.quality("identity")


def media_type_header(media_type: str) -> bytes:
    """Return a Content-Type; texts say that they are UTF-8."""
    return media_type.encode() + (b"; charset=utf-8" if media_type.startswith("text/") else b"")


def http_date(moment: str) -> bytes:
    """Return a time of ISO 8601, in UTC, as a date of HTTP."""
    return format_datetime(datetime.fromisoformat(moment), usegmt=True).encode()


def problem(status: int, kind: str, title: str, detail: str, **extras: object) -> Response:
    """Return a problem (RFC 9457); `kind` is the last part of its type, or an IRI."""
    content = {
        "type": kind if ":" in kind else f"{names.BASE}problem/{kind}",
        "title": title,
        "status": status,
        "detail": detail,
        **extras,
    }
    return Response(write_json(content), status, media_type=PROBLEM)


def problem_of(error: ItukgError) -> Response:
    """Return the problem that tells of an error of ours, and when to try again."""
    response = problem(error.status, error.problem_type, error.title, str(error), **error.extras())
    if error.wait is not None:
        response.headers["Retry-After"] = str(error.wait)
    if isinstance(error, NotAllowed):
        response.headers["Allow"] = ", ".join(error.methods)
    return response
