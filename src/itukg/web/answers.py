"""How answers leave: in full with a strong ETag and held ready, as 304, or as a problem (RFC 9110, RFC 9457)."""

import asyncio
import gzip
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from functools import lru_cache, partial

from cachetools import LRUCache
from fastapi import Response
from starlette.types import Receive, Scope, Send
from werkzeug.datastructures import Accept
from werkzeug.http import parse_accept_header
from xxhash import xxh3_128_hexdigest

from itukg import names
from itukg.errors import ItukgError, NotAllowed
from itukg.formats import write_json

PROBLEM = "application/problem+json"
Header = tuple[bytes, bytes]

VARY = b"Accept, Accept-Encoding"
REVALIDATE = b"no-cache"
"""Cache-Control of what the next release may change: held elsewhere, but asked for anew."""
IMMUTABLE = b"public, max-age=31536000, immutable"
"""Cache-Control of what stands under a release's own name."""
HELD_MESSAGE = "itukg.held"
"""Type of the message by which a route hands a `held` answer to the frame, which holds it and sends it."""

_DISTINGUISHED = frozenset((b"accept", b"accept-encoding", b"host"))
_PACKED = ("application/gzip", "application/pdf", "application/vnd.openxmlformats-officedocument", "image/png")
"""Beginnings of media types that are compressed already."""
_QUICK = 200_000
"""Bytes that are hashed and compressed at once; more of them in a thread."""


@dataclass(frozen=True)
class Held:
    """An answer in full, as it is sent: the same bytes for whoever asks for the same."""

    etag: bytes
    headers: list[Header]
    body: bytes

    @classmethod
    async def of(cls, body: bytes, media_type: str, headers: Iterable[Header], *, zipped: bool) -> "Held":
        """Return `body` with its headers and a strong ETag; a zipped one is another representation (RFC 9110, 8.8.3.3)."""
        make = partial(cls._of, body, media_type, headers, zipped=zipped and not media_type.startswith(_PACKED))
        return await asyncio.to_thread(make) if len(body) > _QUICK else make()

    @classmethod
    def _of(cls, body: bytes, media_type: str, headers: Iterable[Header], *, zipped: bool) -> "Held":
        content = gzip.compress(body, 6, mtime=0) if zipped else body
        etag = b'"%s%s"' % (xxh3_128_hexdigest(body).encode(), b"-gzip" if zipped else b"")
        own = [
            (b"content-type", media_type_header(media_type)),
            (b"content-length", str(len(content)).encode()),
            (b"etag", etag),
            *([(b"content-encoding", b"gzip")] if zipped else []),
        ]
        return cls(etag, [*own, *headers], content)

    def __len__(self) -> int:
        """Return about how many bytes this takes."""
        return len(self.body) + 1000

    async def send(self, scope: Scope, framed: Sequence[Header], send: Send) -> int:
        """Answer a request, and return the status: 200, or 304 to a client that has it already.

        `framed` are the headers that every answer of the release has, its Last-Modified among them.
        """
        headers = scope["headers"]
        if any(name in _CONDITIONS for name, _ in headers) and self._is_known(dict(headers), dict(framed)):
            kept = [header for header in self.headers if header[0] not in _OF_THE_BODY]
            await send({"type": "http.response.start", "status": 304, "headers": [*kept, *framed]})
            await send({"type": "http.response.body"})
            return 304
        await send({"type": "http.response.start", "status": 200, "headers": [*self.headers, *framed]})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else self.body})
        return 200

    def _is_known(self, headers: Mapping[bytes, bytes], framed: Mapping[bytes, bytes]) -> bool:
        # RFC 9110, 13.2.2: If-Modified-Since counts only where there is no If-None-Match.
        if (tags := headers.get(b"if-none-match")) is not None:
            return any(tag.strip().removeprefix(b"W/") in (self.etag, b"*") for tag in tags.split(b","))
        if (modified := framed.get(b"last-modified")) is None:
            return False
        try:
            since, at = (parsedate_to_datetime(d.decode()) for d in (headers[b"if-modified-since"], modified))
        except (ValueError, TypeError):
            return False
        return at.replace(tzinfo=UTC) <= since.replace(tzinfo=UTC)  # HTTP knows no other; "-0000" gives none


class Kept(Response):
    """An answer of the release, which never changes: sent with an ETag, zipped for whoever likes that, and held ready.

    It must depend on nothing but method, scheme, host, path, query string, Accept and Accept-Encoding. One that
    is `immutable` stands under a release's own name.
    """

    def __init__(
        self, content: bytes, media_type: str, headers: Mapping[str, str] | None = None, *, immutable: bool = False
    ) -> None:
        super().__init__(content, headers=headers, media_type=media_type)
        self._cached = IMMUTABLE if immutable else REVALIDATE

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Hand the answer to the frame."""
        own = [header for header in self.raw_headers if header[0] not in _OF_THE_BODY]
        headers = [(b"vary", VARY), (b"cache-control", self._cached), *own]
        assert isinstance(self.body, bytes) and self.media_type
        held = await Held.of(
            self.body, self.media_type, headers, zipped=takes_gzip(accepted(scope, b"accept-encoding"))
        )
        await send({"type": HELD_MESSAGE, "held": held, "keys": ()})


def distinguished(scope: Scope) -> Hashable:
    """Return what two requests have in common that get the same answer, as a cache knows them (RFC 9111, section 2)."""
    headers = scope["headers"]
    return scope["path"], scope["query_string"], scope["scheme"], *[h for h in headers if h[0] in _DISTINGUISHED]


def accepted(scope: Scope, name: bytes = b"accept") -> str:
    """Return the Accept header, or another one, whose several lines are one list."""
    # Of the raw headers: to make all of them into a mapping costs more than the rest of the request's reading.
    return b", ".join(value for key, value in scope["headers"] if key == name).decode("latin-1")


_CHEAP = 0.005
"""Seconds below which an answer is held only when it is asked for again."""
_SEEN = 10_000
"""How many questions that were asked once are remembered."""
_CONDITIONS = (b"if-none-match", b"if-modified-since")
_OF_THE_BODY = (b"content-type", b"content-length", b"content-encoding")


class Cache:
    """Answers of one release, which never change: as many as fit into `size` bytes, those asked for last."""

    def __init__(self, size: int) -> None:
        self._held: LRUCache[Hashable, Held] = LRUCache(size, getsizeof=len)
        self._seen: dict[int, bool] = {}  # in the order in which they came
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
            self._seen[first] = True
            if len(self._seen) > _SEEN:
                del self._seen[next(iter(self._seen))]
            return
        for key in keys:
            self._held[key] = held

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
