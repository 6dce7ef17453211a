"""For researchers: the SPARQL endpoint (SPARQL 1.1 Protocol, query operation; the QUERY method of RFC 10008).

A plain ASGI application, for which no router is asked.
"""

import asyncio
import hashlib
import logging
import re
from collections.abc import Awaitable, Callable, Hashable
from functools import lru_cache
from math import inf
from time import monotonic
from typing import Any, NamedTuple

from anyio import to_thread
from fastapi import Request, Response
from starlette.types import Receive, Scope, Send
from werkzeug.http import parse_options_header

from itukg.engine.pool import BUFFER_BYTES
from itukg.errors import (
    BadRequest,
    ItukgError,
    MemoryLimit,
    NotAllowed,
    QueryRefused,
    Quota,
    TooLarge,
    TooSlow,
    UnsupportedMediaType,
)
from itukg.formats import GRAPH_FORMATS, HTML, JSONLD, TABLE_FORMATS, Format, choose, in_profile, labels_wanted
from itukg.store import Answer, Body, Dataset, Form, Query, offers_for, read_query
from itukg.store.describe import ask
from itukg.web.answers import (
    HELD_MESSAGE,
    REVALIDATE,
    VARY,
    Header,
    Held,
    accepted,
    media_type_header,
    takes_gzip,
)
from itukg.web.interface import parameters, responses
from itukg.web.requests import BrokenOff, Watch, body_of, client_of, parameters_of, refuse_early, text_of
from itukg.web.service import Service

log = logging.getLogger("itukg")

PATH = "/sparql"
FORM = "application/x-www-form-urlencoded"
SPARQL_QUERY = "application/sparql-query"
REQUEST_TYPES = (FORM, SPARQL_QUERY)
"""Media types of the body of POST and QUERY."""
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "QUERY")
_SECONDS = re.compile(r"\d*\.?\d+(?:e-?\d+)?", re.ASCII | re.IGNORECASE)
LONG = 10_000
"""Characters of a query from which on it is read beside the event loop, one such at a time."""


_PARAMETERS = {
    "query": "The SPARQL query.",
    "default-graph-uri": "A graph that the query sees as its default graph; may be repeated.",
    "named-graph-uri": "A graph that the query may name with GRAPH; may be repeated.",
    "timeout": "Seconds to wait, up to the server's own limit.",
    "format": "The syntax of the answer, by suffix or media type; overrides Accept.",
    "profile": "The form of JSON-LD: compacted, expanded, flattened or framed.",
    "frame": "The frame by which JSON-LD is laid out: one of /frames/.",
    "labels": "1: CSV, TSV or XLSX with a column of labels after each column of IRIs.",
}
_FORMATS = (*TABLE_FORMATS, *GRAPH_FORMATS)
_ERRORS = (Quota, MemoryLimit)


def openapi() -> dict[str, Any]:
    """Return the OpenAPI path item of the endpoint."""
    asked = parameters(_FORMATS, _PARAMETERS)
    body = {"content": {media_type: {"schema": {"type": "string"}} for media_type in REQUEST_TYPES}, "required": True}
    sent = (*_ERRORS, TooSlow, TooLarge, UnsupportedMediaType)
    return {
        "get": {
            "summary": "Answer the SPARQL query in ?query=",
            "description": "Without any parameter the service describes itself, and for a browser it is a page to ask from.",
            "parameters": asked,
            "responses": _as_json(responses((*_FORMATS, HTML), *_ERRORS, TooLarge)),
        },
        "post": {
            "summary": "Answer the SPARQL query in the body",
            "description": "A form, or the query itself; QUERY takes the same bodies (RFC 10008).",
            "parameters": [parameter for parameter in asked if parameter["name"] != "query"],
            "requestBody": body,
            "responses": _as_json(responses(_FORMATS, *sent)),
        },
    }


def _as_json(answers: dict[int | str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {str(status): answer for status, answer in answers.items()}


Parameters = dict[str, list[str]]
"""What a request gives, by name, in the order in which it comes."""


class Question(NamedTuple):
    """All that an answer depends on, and how long it may take."""

    query: Query
    dataset: Dataset
    syntax: Format
    seconds: float
    zipped: bool

    @property
    def key(self) -> Hashable:
        """What is the same where the answer is."""
        return self.query.text, self.dataset, self.syntax.media_type, self.zipped


class Endpoint:
    """The ASGI application at PATH; `describe_service` answers a request without a query."""

    def __init__(self, service: Service, describe_service: Callable[[Request], Awaitable[Response]]) -> None:
        self._service, self._describe_service = service, describe_service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request: from the cache where the same was asked in other words, else from the store."""
        arrived, request = monotonic(), Request(scope, receive, send)
        if scope["method"] == "GET" and not scope["query_string"]:
            response = await self._describe_service(request)
            await response(scope, receive, send)
            return
        try:
            question = await _read(request, self._service)
        except ItukgError as error:
            self._service.counts.query("unread", error.problem_type, monotonic() - arrived)
            raise
        held = self._service.cache.get(question.key)
        if held is None:
            held = await self._evaluate(request, question, arrived, send)
            if held is None:  # it is sent already, piece by piece
                return
        if question.query.volatile:
            await held.send(scope, send)
        else:
            await send({"type": HELD_MESSAGE, "held": held, "keys": (question.key,), "release": None})

    async def _evaluate(self, request: Request, question: Question, arrived: float, send: Send) -> Held | None:
        """Return the answer of the store; one that is too large to be held is sent as it comes, and None returned."""
        service, client, outcome = self._service, client_of(request), "evaluated"
        answer: Answer | None = None
        try:
            with Watch(request.scope):
                service.quotas.check(client)
                answer = await ask(
                    service.store,
                    question.query,
                    question.dataset,
                    question.syntax,
                    deadline=arrived + question.seconds,
                    client=client,
                )
                content, more = await _collected(answer.body)
                headers = self._headers(question, answer.seconds)
                if more:
                    await self._stream(content, answer, headers, request.scope, send)
                    outcome = "streamed"
                    return None
        except (BrokenOff, asyncio.CancelledError):
            outcome = "broken off"
            raise
        except ItukgError as error:
            outcome = error.problem_type
            service.quotas.remember(client, error)
            raise
        finally:
            if answer is not None:
                await answer.body.aclose()
            self._record(question.query, outcome, monotonic() - arrived)
        return await Held.of(content, answer.media_type, headers, zipped=question.zipped)

    async def _stream(self, begin: bytes, answer: Answer, headers: list[Header], scope: Scope, send: Send) -> None:
        """Send an answer as it comes. What cannot be finished is broken off: its last chunk never comes."""
        if scope["http_version"] == "1.0":  # which knows no chunks, so that a part could be taken for the whole
            raise QueryRefused(f"The answer has more than {BUFFER_BYTES // 1_000_000} MB: ask with HTTP/1.1.")
        kind = [(b"content-type", media_type_header(answer.media_type))]
        try:
            async with asyncio.timeout(self._service.settings.sending):
                await send({"type": "http.response.start", "status": 200, "headers": [*kind, *headers]})
                piece: bytes | None = None if scope.get("head") else begin
                while piece is not None:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                    piece = await anext(answer.body, None)
                await send({"type": "http.response.body"})
        except (ItukgError, TimeoutError) as error:
            raise BrokenOff(str(error) or "the client reads too slowly") from None

    def _record(self, query: Query, outcome: str, seconds: float) -> None:
        """Count a query with its outcome and its time, and log one that is slow."""
        self._service.counts.query(query.form, outcome, seconds)
        if seconds >= self._service.settings.slow_log:
            digest = hashlib.sha256(query.text.encode()).hexdigest()[:16]
            log.warning("slow query %s: %s, %s, %.2f s", digest, query.form, outcome, seconds)

    def _headers(self, question: Question, seconds: float) -> list[Header]:
        keep = b"no-store" if question.query.volatile else REVALIDATE
        timing = b"engine;dur=%.1f" % (seconds * 1000)
        return [(b"vary", VARY), (b"cache-control", keep), (b"server-timing", timing)]


async def _read(request: Request, service: Service) -> Question:
    """Return what a request asks. Raises the errors that the protocol names (SPARQL 1.1 Protocol, 2.1)."""
    settings, method = service.settings, request.scope["method"]
    if method not in METHODS:
        raise NotAllowed(f"{method} is not a method of {PATH}.", METHODS)
    pairs = parameters_of(request.scope["query_string"])
    if method != "GET":
        sent_as, given_with = parse_options_header(request.headers.get("content-type"))
        if (media_type := sent_as.lower()) not in REQUEST_TYPES:
            raise UnsupportedMediaType(
                f'Send the query as {" or ".join(REQUEST_TYPES)}, not as "{sent_as or "nothing"}".'
            )
        if (charset := given_with.get("charset", "utf-8").lower()) not in ("utf-8", "utf8", "us-ascii"):
            raise UnsupportedMediaType(f"Send the query in UTF-8, not in {charset}.")
        refuse_early(request, settings.query_size)
        body = await body_of(request, settings.query_size)
        pairs += parameters_of(body) if media_type == FORM else [("query", text_of(body))]
    given: Parameters = {}
    for name, value in pairs:
        given.setdefault(name, []).append(value)
    if "release" in given:  # in the address it has led to another service
        raise BadRequest("Name the release in the address, not in the body.")
    text = _query(given)
    if len(text.encode()) > settings.query_size:
        raise TooLarge(f"The query is longer than {settings.query_size} bytes.")
    if len(text) > LONG:
        query = await to_thread.run_sync(read_query, text, settings.services, limiter=service.reading)
    else:
        query = read_query(text, settings.services)
    return Question(
        query,
        Dataset(tuple(given.get("default-graph-uri", ())), tuple(given.get("named-graph-uri", ()))),
        _syntax(query.form, accepted(request.scope), tuple([_first(given, name) for name in _OF_THE_SYNTAX])),
        _seconds(given, settings.timeout),
        takes_gzip(accepted(request.scope, b"accept-encoding")),
    )


_OF_THE_SYNTAX = ("format", "labels", "profile", "frame")
"""The parameters that say in which syntax an answer is wanted."""


@lru_cache(maxsize=1000)  # only what is to be had is held, and that is short
def _syntax(form: Form, accept: str, given: tuple[str | None, ...]) -> Format:
    """Return the syntax that is asked for; profile and frame are forms of JSON-LD, and of graphs."""
    name, labelled, profile, frame = given
    labels, offers = labels_wanted(labelled), offers_for(form)
    if profile or frame:
        if JSONLD not in offers:
            raise BadRequest(f"profile and frame are forms of JSON-LD, which a CONSTRUCT or DESCRIBE gives, no {form}.")
        offers = (JSONLD,)
    return in_profile(choose(offers, accept, name, labels), accept, profile, frame)


def _query(given: Parameters) -> str:
    if "update" in given:
        raise QueryRefused("This service is read-only: it takes no updates.")
    match given.get("query", []):
        case []:
            raise BadRequest(
                'No query. Send one as "?query=…", as a form with "query", or as application/sparql-query.'
            )
        case [query]:
            return query
        case several:
            raise BadRequest(f"{len(several)} queries in one request. Send one.")


def _first(given: Parameters, name: str) -> str | None:
    return given[name][0] if name in given else None


def _seconds(given: Parameters, limit: float) -> float:
    asked = _first(given, "timeout")
    if asked is None:
        return limit
    seconds = float(asked) if _SECONDS.fullmatch(asked) else 0.0
    if not 0 < seconds < inf:
        raise BadRequest(f'timeout must be a number of seconds above 0, not "{asked}".')
    return min(seconds, limit)


async def _collected(body: Body) -> tuple[bytes, bool]:
    """Return an answer, or what of it is more than BUFFER_BYTES, and whether more may follow."""
    pieces: list[bytes] = []
    size = 0
    async for piece in body:
        pieces.append(piece)
        size += len(piece)
        if size > BUFFER_BYTES:
            return b"".join(pieces), True
    return b"".join(pieces), False
