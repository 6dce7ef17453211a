"""What holds for every answer: its headers, a strong ETag and conditions, gzip, HEAD, OPTIONS, and the cache of whole answers.

Routes return plain responses. One with `Cache-Control: no-store`, and one that is sent in pieces, is passed on as it comes;
every other 200 depends on nothing but the request's address and preferences, for a release never changes: it gets an
ETag, and the same request is answered from memory next time (RFC 9110, RFC 9111).
"""

import asyncio
import gzip
import logging
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Collection, Hashable, Iterable
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache
from hashlib import sha256
from http import HTTPStatus
from time import monotonic

from cachetools import LRUCache
from fastapi import Response
from fastapi.responses import RedirectResponse
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from werkzeug.datastructures import Accept
from werkzeug.http import http_date, parse_accept_header, parse_date, parse_etags
from werkzeug.sansio.http import is_resource_modified
from xxhash import xxh3_128

from itukg import names
from itukg.errors import BadRequest, PreconditionFailed
from itukg.pictures.svg import STYLE
from itukg.rdf.jsonld import context_name
from itukg.release.model import Release
from itukg.web.problems import failure, methods_of, nothing_at, problem_of
from itukg.web.requests import ClientLeft, accepted, address_in, requested_headers, undecorated, without_slash

log = logging.getLogger("itukg")

Header = tuple[bytes, bytes]

_STYLE_OF_PICTURES = b"'sha256-%s'" % b64encode(
    sha256(STYLE.removeprefix("<style>").removesuffix("</style>").encode()).digest()
)
"""The one style that stands in a file and not beside it: pictures are complete in themselves."""
COMMON_HEADERS: tuple[Header, ...] = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"Accept-Query, Allow, ETag, Link, Retry-After, Server-Timing, X-Request-Id"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self' %s; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        % _STYLE_OF_PICTURES,
    ),
)
"""Headers of every answer, unless it names its own: everything may be read from anywhere, and a page of ours runs and fetches only what stands here."""
EMBEDDED = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'self' {_STYLE_OF_PICTURES.decode()}; base-uri 'none'; form-action 'none'; frame-ancestors *"
}
"""For the pages that others may show in frames of theirs: a picture, and nothing to click through to unseen."""
IMMUTABLE = {"Cache-Control": "public, max-age=31536000, immutable"}
"""For what stands under a release's own name."""
NO_STORE = {"Cache-Control": "no-store"}
"""For what differs each time."""
QUERY_TYPES = ("application/x-www-form-urlencoded", "application/sparql-query")
"""Media types of the body of QUERY (RFC 10008), which OPTIONS names."""

_CONTEXT = names.CONTEXT.encode()
_NAMES_CONTEXT = b'{\n  "@context": "%s"' % _CONTEXT
"""How all our JSON-LD with this context begins."""
_COMPRESSED = (b"application/gzip", b"application/pdf", b"application/vnd.openxmlformats-officedocument", b"image/png")
_LARGE = 200_000
"""Bytes from which on a body is hashed and compressed in a thread."""
_CHEAP_SECONDS = 0.005
"""An answer that took less is cached only when it is requested again."""
_SEEN = 10_000
"""How many requests that came once are remembered."""
_PREFERENCES = frozenset((b"accept", b"accept-encoding", b"host"))
_CONDITIONS = frozenset((b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since"))
_SAFE = ("GET", "HEAD", "QUERY")
"""Methods for which a client may have the answer already (RFC 9110, 13.1)."""
_OF_THE_BODY = (b"content-type", b"content-length", b"content-encoding")


class _Answered(Exception):
    """No more of the answer is wanted: the request was HEAD, or its condition settles it."""


@dataclass(frozen=True)
class CachedResponse:
    """A whole answer as it is sent: the same bytes for every client that sends the same request."""

    headers: tuple[Header, ...]
    body: bytes

    @property
    def size(self) -> int:
        """About how many bytes this takes."""
        return len(self.body) + 1000


class Cache:
    """Answers of one release, which never change: as many as fit into `size` bytes, those requested last."""

    def __init__(self, size: int) -> None:
        self._entries: LRUCache[Hashable, CachedResponse] = LRUCache(size, getsizeof=lambda entry: entry.size)
        self._seen: OrderedDict[int, None] = OrderedDict()  # in the order in which they came
        self.get = self._entries.get
        """Return the answer cached under a key, or None."""

    def put(self, key: Hashable, answer: CachedResponse, seconds: float) -> None:
        """Cache an answer, which took `seconds`.

        Not if it is larger than a quarter of the whole, nor one that came quickly and is requested for the first time:
        most such are never requested again, and would only evict others.
        """
        if answer.size > self._entries.maxsize / 4:
            return
        if seconds < _CHEAP_SECONDS and hash(key) not in self._seen:
            self._seen[hash(key)] = None
            if len(self._seen) > _SEEN:
                self._seen.popitem(last=False)
            return
        self._entries[key] = answer

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._seen.clear()

    def size(self) -> int:
        """Return about how many bytes the entries take."""
        return int(self._entries.currsize)


class ResponseMiddleware:
    """Gives every answer its headers, and answers from the cache what was requested before. See the module."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        release: Release,
        cache: Cache,
        routes: list[BaseRoute],
        public: str | None,
    ) -> None:
        """Stand before `app`, which has these `routes`, and serves `release` unless a request names another, at a `public` address."""
        self.app, self.routes, self.cache = app, routes, cache
        self.release, self.public = release, public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request: from the cache, or by the application."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope = undecorated(scope)
        exchange = _Exchange(self, scope, send)
        try:
            if scope["path"].endswith("/") and scope["path"] != "/" and scope["method"] != "OPTIONS":
                await RedirectResponse(without_slash(scope), HTTPStatus.PERMANENT_REDIRECT)(scope, receive, exchange)
            elif (cached := exchange.cached()) is not None:
                await exchange.send_cached(cached)
            elif scope["method"] == "OPTIONS":
                await self._options(scope)(scope, receive, exchange)
            else:  # HEAD is GET without its body (RFC 9110, 9.3.2)
                method = "GET" if scope["method"] == "HEAD" else scope["method"]
                await self.app({**scope, "method": method}, receive, exchange)
        except _Answered:
            pass
        except ClientLeft as left:
            # Without a last chunk, which the server then never sends: nobody takes a part for the whole.
            log.info("answer broken off: %s", left)
        except Exception as error:
            if exchange.started:
                raise
            await failure(scope, error, self.release)(scope, receive, exchange)

    def _options(self, scope: Scope) -> Response:
        """Answer OPTIONS, and the preflight request of a browser (CORS), which follows no redirect."""
        methods = ", ".join(methods_of(self.routes, {**scope, "path": scope["path"].rstrip("/") or "/"}))
        if not methods:
            return problem_of(nothing_at(scope["path"]), scope)
        headers = {
            "Allow": methods,
            "Access-Control-Allow-Methods": methods,
            "Access-Control-Allow-Headers": requested_headers(scope),
            "Access-Control-Max-Age": "86400",
        }
        if "QUERY" in methods:
            headers["Accept-Query"] = ", ".join(f'"{media_type}"' for media_type in QUERY_TYPES)
        return Response(status_code=204, headers=headers)


class _Exchange:
    """One request, and its answer on the way out: an ASGI `send`."""

    started = False
    """Whether anything was sent."""

    def __init__(self, middleware: ResponseMiddleware, scope: Scope, send: Send) -> None:
        self._middleware, self._scope, self._send = middleware, scope, send
        self._state = scope.setdefault("state", {})  # to which routes write which release answers
        self._key = _cache_key(scope) if scope["method"] in ("GET", "HEAD") else None
        self._arrived = monotonic()
        self._start: Message | None = None

    def cached(self) -> CachedResponse | None:
        """Return the cached answer to this request, if any."""
        return None if self._key is None else self._middleware.cache.get(self._key)

    async def __call__(self, message: Message) -> None:
        """Send a message of the answer; the start of a 200 waits until the first piece of its body shows whether it is whole."""
        start, self._start = self._start, None
        if message["type"] == "http.response.start":
            if message["status"] == HTTPStatus.OK:
                self._start = message
            else:
                await self._send_start(message["status"], (*message["headers"], *self._common()))
        elif start is None:
            await self._send_body(message)
        elif message.get("more_body") or (b"cache-control", b"no-store") in start["headers"]:
            await self._send_in_pieces(start["headers"], message)
        else:
            await self._send_whole(start["headers"], message["body"])

    async def send_cached(self, cached: CachedResponse) -> None:
        """Answer with a cached answer, or with what the request's conditions make of it."""
        status = _status(self._scope, cached.headers)
        if status == HTTPStatus.OK:
            await self._send_start(status, cached.headers)
            await self._send_body({"type": "http.response.body", "body": cached.body})
        else:
            await self._send_without(status, cached.headers)

    async def _send_whole(self, headers: Iterable[Header], body: bytes) -> None:
        """Cache a whole answer, and send it."""
        own = dict(headers)
        kind, zipped = own[b"content-type"], takes_gzip(self._scope)
        body = self._with_context(body)
        if len(body) > _LARGE:
            described, content = await asyncio.to_thread(_represented, body, kind, zipped=zipped)
        else:
            described, content = _represented(body, kind, zipped=zipped)
        rest = [header for header in headers if header[0] not in _OF_THE_BODY]
        answer = CachedResponse((*described, *self._with_common(rest)), content)
        if self._key is not None:
            self._middleware.cache.put(self._key, answer, monotonic() - self._arrived)
        await self.send_cached(answer)

    async def _send_in_pieces(self, headers: list[Header], first: Message) -> None:
        """Begin an answer that comes piece by piece; one with an ETag is a file, and no answer to its conditions goes on."""
        is_file = b"etag" in dict(headers)
        headed = self._with_common(headers) if is_file else (*headers, *self._common())
        status = _status(self._scope, headed) if is_file else HTTPStatus.OK
        if status != HTTPStatus.OK:
            await self._send_without(status, headed)
            raise _Answered
        if not is_file:
            body = self._with_context(first["body"])
            longer = len(body) - len(first["body"])
            first = {**first, "body": body}
            headed = tuple((n, b"%d" % (int(v) + longer)) if n == b"content-length" else (n, v) for n, v in headed)
        await self._send_start(status, headed)
        await self._send_body(first)

    def _with_context(self, body: bytes) -> bytes:
        """Return an answer, or its begin, that names our JSON-LD context by the address at which the client can fetch it."""
        if body.startswith(_NAMES_CONTEXT) and (at := address_in(self._scope, self._middleware.public)):
            return body.replace(_CONTEXT, f"{at}/context/{context_name()}.jsonld".encode(), 1)
        return body

    async def _send_without(self, status: HTTPStatus, headers: Iterable[Header]) -> None:
        """Answer 304 or 412, without the body that the request's conditions are about."""
        if status == HTTPStatus.NOT_MODIFIED:
            await self._send_start(status, [header for header in headers if header[0] not in _OF_THE_BODY])
            await self._send_body({"type": "http.response.body"})
        else:
            refusal = problem_of(PreconditionFailed("The answer is not the one that the request is for."), self._scope)
            await self._send_start(status, (*refusal.raw_headers, *self._common()))
            await self._send_body({"type": "http.response.body", "body": refusal.body})

    async def _send_start(self, status: int, headers: Iterable[Header]) -> None:
        self.started = True
        await self._send({"type": "http.response.start", "status": int(status), "headers": list(headers)})

    async def _send_body(self, message: Message) -> None:
        if self._scope["method"] == "HEAD":
            await self._send({"type": "http.response.body"})
            if message.get("more_body"):
                raise _Answered
        else:
            await self._send(message)

    def _with_common(self, own: Iterable[Header]) -> tuple[Header, ...]:
        """Return the headers of an answer that may be cached: its own, how to cache it, and the common ones."""
        named = {name for name, _ in own}
        defaults = ((b"vary", b"Accept, Accept-Encoding"), (b"cache-control", b"no-cache"))
        modified = (b"last-modified", _http_date(self._release().built))
        return (*own, *(each for each in defaults if each[0] not in named), *self._common(named), modified)

    def _common(self, named: Collection[bytes] = ()) -> tuple[Header, ...]:
        """Return the common headers, but for those of an answer that names its own, and how to cite it."""
        common = [each for each in COMMON_HEADERS if each[0] not in named]
        return (*common, _cited(self._release().name))

    def _release(self) -> Release:
        release: Release = self._state.get("release", self._middleware.release)
        return release


def _cache_key(scope: Scope) -> Hashable:
    """Return what two requests have in common that get the same answer (RFC 9111, section 2)."""
    chosen = (header for header in scope["headers"] if header[0] in _PREFERENCES)
    return scope["path"], scope["query_string"], scope["scheme"], *chosen


def _represented(body: bytes, content_type: bytes, *, zipped: bool) -> tuple[tuple[Header, ...], bytes]:
    """Return the headers that describe a body, and the body as it is sent; zipped is another representation (RFC 9110, 8.8.3.3)."""
    zipped = zipped and not content_type.startswith(_COMPRESSED)
    content = gzip.compress(body, 6, mtime=0) if zipped else body
    digest = xxh3_128(content_type)  # the same bytes as another type are another representation
    digest.update(body)
    etag = b'"%s%s"' % (digest.hexdigest().encode(), b"-gzip" if zipped else b"")
    size = str(len(content)).encode()
    encoding = ((b"content-encoding", b"gzip"),) if zipped else ()
    return ((b"content-type", content_type), (b"content-length", size), (b"etag", etag), *encoding), content


def _status(scope: Scope, answer: Iterable[Header]) -> HTTPStatus:
    """Return what the conditions of a request make of an answer (RFC 9110, 13.2.2): 200, 304 or 412."""
    conditions: dict[bytes, str] = {}
    for name, value in scope["headers"]:  # several lines of one are one list (RFC 9110, 5.3)
        if name in _CONDITIONS:
            conditions[name] = ", ".join(filter(None, (conditions.get(name), value.decode("latin-1"))))
    if not conditions:
        return HTTPStatus.OK
    own = {name: value.decode("latin-1") for name, value in answer}
    etag, modified = own[b"etag"], own.get(b"last-modified")
    if (tags := conditions.get(b"if-match")) is not None:
        failed = not parse_etags(tags).contains(etag.strip('"'))
    else:
        since, at = (_date(date) for date in (conditions.get(b"if-unmodified-since"), modified))
        failed = since is not None and at is not None and at > since
    if failed:
        return HTTPStatus.PRECONDITION_FAILED
    since = _date(conditions.get(b"if-modified-since"))
    changed = is_resource_modified(
        http_if_none_match=conditions.get(b"if-none-match"),
        http_if_modified_since=None if since is None else http_date(since),
        etag=etag,
        last_modified=modified,
    )
    return HTTPStatus.OK if changed or scope["method"] not in _SAFE else HTTPStatus.NOT_MODIFIED


def _date(text: str | None) -> datetime | None:
    """Return a date of HTTP; None for what is none, which counts as absent (RFC 9110, 13.1.3)."""
    try:
        return parse_date(text)
    except OverflowError:  # of a year, a day or a zone that is too large
        return None


@lru_cache(maxsize=1000)
def _takes_gzip(accept_encoding: str) -> bool:
    """Tell whether a client prefers gzip to the plain bytes, or takes both alike."""
    accept = parse_accept_header(accept_encoding, Accept)
    return accept.quality("gzip") > 0 and accept.quality("gzip") >= accept.quality("identity")


def takes_gzip(scope: Scope) -> bool:
    """Tell whether the client of a request prefers gzip to the plain bytes, or takes both alike; too long a wish is none."""
    try:
        return _takes_gzip(accepted(scope, b"accept-encoding"))
    except BadRequest:
        return False


@lru_cache(maxsize=100)
def _http_date(moment: str) -> bytes:
    """Return a time of ISO 8601, in UTC, as a date of HTTP."""
    return format_datetime(datetime.fromisoformat(moment), usegmt=True).encode()


@lru_cache(maxsize=100)
def _cited(release: str) -> Header:
    """Return the header that says how to cite an answer (RFC 8288): its licence, its release, the description of that."""
    links = (
        (names.LICENSE, "license"),
        (names.DATA + release, names.PREFIXES["dcterms"] + "isPartOf"),
        (names.DESCRIPTION, "describedby"),
    )
    return b"link", ", ".join(f'<{target}>; rel="{relation}"' for target, relation in links).encode()
