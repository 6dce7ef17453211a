"""How answers leave: in full with a strong ETag and held ready, as 304, or as a problem (RFC 9110, RFC 9457)."""

import gzip
import hashlib
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache

from cachetools import LRUCache
from fastapi import Response
from starlette.types import Send
from werkzeug.datastructures import Accept
from werkzeug.http import parse_accept_header

from itukg import names
from itukg.errors import ItukgError, NotAllowed
from itukg.formats import write_json

PROBLEM = "application/problem+json"
Header = tuple[bytes, bytes]


@dataclass(frozen=True)
class Held:
    """An answer in full, as it is sent: the same bytes for whoever asks for the same."""

    etag: bytes
    headers: list[Header]
    body: bytes

    @classmethod
    def of(cls, body: bytes, media_type: str, headers: Iterable[Header], *, zipped: bool) -> "Held":
        """Return `body` with its headers and a strong ETag; a zipped one is another representation (RFC 9110, 8.8.3.3)."""
        content = gzip.compress(body, 6, mtime=0) if zipped else body
        etag = b'"%s%s"' % (hashlib.sha256(body).hexdigest()[:32].encode(), b"-gzip" if zipped else b"")
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

    async def send(self, headers: Sequence[Header], send: Send) -> int:
        """Answer a request with these headers, and return the status: 200, or 304 to a client that has it already."""
        if any(name in _CONDITIONS for name, _ in headers) and self._is_known(dict(headers)):
            kept = [header for header in self.headers if header[0] not in _OF_THE_BODY]
            await send({"type": "http.response.start", "status": 304, "headers": kept})
            await send({"type": "http.response.body"})
            return 304
        await send({"type": "http.response.start", "status": 200, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})
        return 200

    def _is_known(self, headers: dict[bytes, bytes]) -> bool:
        # RFC 9110, 13.2.2: If-Modified-Since counts only where there is no If-None-Match.
        if (tags := headers.get(b"if-none-match")) is not None:
            return any(tag.strip().removeprefix(b"W/") in (self.etag, b"*") for tag in tags.split(b","))
        modified = dict(self.headers).get(b"last-modified")
        if modified is None:
            return False
        try:
            since, at = (parsedate_to_datetime(d.decode()) for d in (headers[b"if-modified-since"], modified))
        except (ValueError, TypeError):
            return False
        return at <= since


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
        self._seen: LRUCache[int, bool] = LRUCache(_SEEN)
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


def http_date(seconds: float) -> bytes:
    """Return seconds since 1970 as a date of HTTP."""
    return formatdate(seconds, usegmt=True).encode()


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
