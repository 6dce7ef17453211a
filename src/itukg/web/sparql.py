"""For researchers: the SPARQL endpoint (SPARQL 1.1 Protocol, query operation; the QUERY method of RFC 10008).

Its parameters stand in the address or in the body, so it reads both itself, by one model.
"""

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncIterator
from functools import lru_cache, partial
from math import inf
from time import monotonic
from typing import Annotated, Any, NamedTuple, Self

from anyio import to_thread
from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, BeforeValidator, Field
from starlette.types import Receive, Scope, Send
from werkzeug.http import parse_options_header

from itukg.engine.describe import answer_query
from itukg.engine.pool import BUFFER_BYTES
from itukg.engine.sparql import Form, Query, offers_for, read_query
from itukg.engine.store import Answer, Body, Dataset
from itukg.errors import (
    BadRequest,
    ItukgError,
    MemoryLimit,
    QueryRefused,
    Quota,
    TooLarge,
    TooSlow,
    UnsupportedMediaType,
)
from itukg.formats import (
    FIRST_ROWS,
    GRAPH_FORMATS,
    HTML,
    JSONLD,
    PROFILES,
    TABLE_FORMATS,
    Format,
    choose,
    in_profile,
    labels_wanted,
    requested_name,
)
from itukg.views.query_page import query_page
from itukg.web.deps import Answers, client_of
from itukg.web.description import bare_endpoint
from itukg.web.middleware import NO_STORE, QUERY_TYPES
from itukg.web.problems import prefers_page, problem_of
from itukg.web.requests import (
    ClientLeft,
    StopWhenLeft,
    accepted,
    address_in,
    body_of,
    parameters_of,
    refuse_early,
    text_of,
)
from itukg.web.service import Service
from itukg.web.writing import in_turn

log = logging.getLogger("itukg")

PATH = "/sparql"
METHODS = ("GET", "POST", "QUERY")
FORM, SPARQL_QUERY = QUERY_TYPES
LONG_QUERY = 10_000
"""Characters of a query from which on it is read beside the event loop, one such at a time."""
_SECONDS = re.compile(r"\d*\.?\d+(?:e-?\d+)?", re.ASCII | re.IGNORECASE)
_STRING = {"type": "string"}
_FORMATS = (*TABLE_FORMATS, *GRAPH_FORMATS)


def _first(values: list[str]) -> str:
    return values[0]


def _seconds(values: list[str]) -> float:
    seconds = float(values[0]) if _SECONDS.fullmatch(values[0]) else 0.0
    if not 0 < seconds < inf:
        raise BadRequest(f'timeout must be a number of seconds above 0, not "{values[0]}".')
    return seconds


def _auto(values: list[str]) -> str:
    if values[0] != "auto":
        raise BadRequest(f'prefixes must be auto, not "{values[0][:80]}"; without it, a query declares its own.')
    return values[0]


First = Annotated[str, BeforeValidator(_first)]
"""Of a parameter that comes several times, the first counts."""


class Parameters(BaseModel):
    """What a SPARQL request may say, in its address or its body; what else it says is for other endpoints, and ignored."""

    query: tuple[str, ...] = Field((), description="The SPARQL query.")
    update: tuple[str, ...] = Field((), exclude=True)
    default_graph_uri: tuple[str, ...] = Field(
        (),
        alias="default-graph-uri",
        description="A graph that the query sees as its default graph; may be repeated.",
    )
    named_graph_uri: tuple[str, ...] = Field(
        (), alias="named-graph-uri", description="A graph that the query may name with GRAPH; may be repeated."
    )
    timeout: Annotated[float | None, BeforeValidator(_seconds)] = Field(
        None, description="Seconds to wait, up to the server's own limit."
    )
    format: First | None = Field(
        None, description="The syntax of the answer, by suffix or media type; overrides Accept."
    )
    output: First | None = Field(None, description="As format, where that is absent and this is a name of a syntax.")
    results: First | None = Field(None, description="As output.")
    profile: First | None = Field(None, description=f"The form of JSON-LD: {', '.join(PROFILES)}.")
    frame: First | None = Field(None, description="The frame by which JSON-LD is laid out: one of /frames/.")
    labels: First | None = Field(
        None, description="1: CSV, TSV or XLSX with a column of labels after each column of IRIs."
    )
    prefixes: Annotated[str | None, BeforeValidator(_auto)] = Field(
        None, description="auto: the query need not declare the prefixes that this service knows."
    )
    release: tuple[str, ...] = Field((), description="The name of the release that answers.")

    @classmethod
    def of(cls, pairs: list[tuple[str, str]]) -> Self:
        """Read them from names and values in their order. Raises BadRequest for a wrong value."""
        given: dict[str, list[str]] = {}
        for name, value in pairs:
            given.setdefault(name, []).append(value)
        return cls.model_validate(given)

    @classmethod
    def described(cls, *but: str) -> list[dict[str, Any]]:
        """Return the query parameters but for some, for OpenAPI."""
        properties = cls.model_json_schema(mode="serialization")["properties"]
        return [
            {"name": name, "in": "query", "required": False, "description": schema["description"], "schema": _STRING}
            for name, schema in properties.items()
            if name not in but
        ]


class QueryRequest(NamedTuple):
    """A query, the graphs that it sees, the syntax of the answer, and how long that may take."""

    query: Query
    dataset: Dataset
    syntax: Format
    seconds: float


def openapi() -> dict[str, Any]:
    """Return the OpenAPI path item of the endpoint; OpenAPI 3.1 has no QUERY."""
    get = Answers((*_FORMATS, HTML), (Quota, MemoryLimit, TooLarge))
    post = Answers((*_FORMATS, HTML), (Quota, MemoryLimit, TooSlow, TooLarge, UnsupportedMediaType))
    body = {"content": {media_type: {"schema": {"type": "string"}} for media_type in QUERY_TYPES}, "required": True}
    return {
        "get": {
            "summary": "Answer the SPARQL query in ?query=",
            "description": "Without any parameter the service describes itself, and for a browser it is a page to ask from.",
            "parameters": Parameters.described(),
            "responses": {str(status): answer for status, answer in get.responses().items()},
        },
        "post": {
            "summary": "Answer the SPARQL query in the body",
            "description": "A form, or the query itself; QUERY takes the same bodies (RFC 10008).",
            "parameters": Parameters.described("query"),
            "requestBody": body,
            "responses": {str(status): answer for status, answer in post.responses().items()},
        },
    }


class Endpoint:
    """The endpoint, an ASGI application: FastAPI's way to a function takes twice as long as all else that a lookup needs here."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request from the release that it names."""
        request = Request(scope, receive, send)
        pairs = parameters_of(scope["query_string"])
        named = [value for name, value in pairs if name == "release"]
        async with request.app.state.releases.opened(named) as service:
            request.state.release = service.release
            if scope["method"] == "GET" and (len(pairs) == len(named) or _opens_saved(scope, pairs)):
                response = await bare_endpoint(request, service, pairs)
            else:
                response = await _answer_or_page(request, service, pairs)
            try:
                await response(scope, receive, send)
            finally:
                if isinstance(response, _Pieces):  # which may not have begun
                    await response.close()


def _opens_saved(scope: Scope, pairs: list[tuple[str, str]]) -> bool:
    """Tell whether a browser asks for the page with a saved query in it; other clients know no such parameter."""
    return {name for name, _ in pairs} in ({"saved"}, {"saved", "release"}) and prefers_page(scope)


async def _answer_or_page(request: Request, service: Service, pairs: list[tuple[str, str]]) -> Response:
    """Answer a query; an error is the page with the query in it, to a client that prefers pages."""
    try:
        return await _answer(request, service, pairs)
    except ItukgError as error:
        if not (("format", HTML.name) in pairs or prefers_page(request.scope)):
            raise
        response = problem_of(error)
        response.body = query_page(service.release.saved, pairs, seconds=service.settings.timeout, error=error)
        response.headers.update({"content-length": str(len(response.body)), "content-type": "text/html; charset=utf-8"})
        return response


async def _answer(request: Request, service: Service, pairs: list[tuple[str, str]]) -> Response:
    """Answer the SPARQL query in a request, which has these parameters in its address."""
    arrived, client, outcome = monotonic(), client_of(request), "evaluated"
    try:
        requested = await _read(request, service, pairs)
    except ItukgError as error:
        service.metrics.query("unread", error.problem_type, monotonic() - arrived)
        raise
    try:
        with StopWhenLeft(request):
            response = await _evaluate(requested, service, client, arrived, pairs)
        if isinstance(response, _Pieces):
            outcome = "streamed"
            await response.check_version(request)
    except (ClientLeft, asyncio.CancelledError):
        outcome = "broken off"
        raise
    except ItukgError as error:
        outcome = error.problem_type
        service.quotas.remember(client, error)
        raise
    finally:
        _record(service, requested.query, outcome, monotonic() - arrived)
    return response


async def _evaluate(
    requested: QueryRequest, service: Service, client: str, arrived: float, pairs: list[tuple[str, str]]
) -> Response:
    """Return the answer of the store: whole, or in pieces where it is too large to be buffered; or a page of its first rows."""
    service.quotas.check(client)
    is_page = requested.syntax is HTML
    answer = await answer_query(
        service.store,
        requested.query,
        requested.dataset,
        FIRST_ROWS if is_page else requested.syntax,
        deadline=arrived + requested.seconds,
        client=client,
    )
    headers = {"Server-Timing": f"engine;dur={answer.seconds * 1000:.1f}"} | (
        NO_STORE if requested.query.volatile else {}
    )
    if is_page:
        found = await answer.read(BUFFER_BYTES)
        page = partial(
            query_page,
            service.release.saved,
            pairs,
            seconds=service.settings.timeout,
            found=found,
            form=requested.query.form,
        )
        return Response(await in_turn(service, client, page), headers=headers, media_type=HTML.media_type)
    try:
        content, more = await _buffered(answer.body)
    except BaseException:
        await answer.body.aclose()
        raise
    if more:
        return _Pieces(content, answer, headers, service.settings.send_timeout)
    await answer.body.aclose()
    return Response(content, headers=headers, media_type=answer.media_type)


class _Pieces(StreamingResponse):
    """An answer that is sent as it comes, within a time. What cannot be finished is broken off: its last chunk never comes."""

    def __init__(self, begin: bytes, answer: Answer, headers: dict[str, str], seconds: float) -> None:
        own = {"Vary": "Accept, Accept-Encoding", "Cache-Control": "no-cache"}
        super().__init__(_pieces(begin, answer.body), headers=own | headers, media_type=answer.media_type)
        self._body, self._seconds = answer.body, seconds

    async def check_version(self, request: Request) -> None:
        """Raise QueryRefused for HTTP/1.0, which knows no chunks, so that a part of an answer could be taken for the whole."""
        if request.scope["http_version"] == "1.0":
            await self.close()
            raise QueryRefused(f"The answer has more than {BUFFER_BYTES // 1_000_000} MB: ask with HTTP/1.1.")

    async def close(self) -> None:
        """Stop what still writes."""
        await self._body.aclose()

    async def stream_response(self, send: Send) -> None:
        """Send the pieces. Raises ClientLeft where the client is too slow, or the store does not go on."""
        try:
            async with asyncio.timeout(self._seconds):
                await super().stream_response(send)
        except (ItukgError, TimeoutError) as error:
            raise ClientLeft(str(error) or "the client reads too slowly") from None


async def _pieces(begin: bytes, body: Body) -> AsyncIterator[bytes]:
    yield begin
    async for piece in body:
        yield piece


async def _buffered(body: Body) -> tuple[bytes, bool]:
    """Return an answer, or what of it is more than BUFFER_BYTES, and whether more may follow."""
    pieces: list[bytes] = []
    size = 0
    async for piece in body:
        pieces.append(piece)
        size += len(piece)
        if size > BUFFER_BYTES:
            return b"".join(pieces), True
    return b"".join(pieces), False


def _record(service: Service, query: Query, outcome: str, seconds: float) -> None:
    """Count a query with its outcome and its time, and log one that is slow."""
    service.metrics.query(query.form, outcome, seconds)
    if seconds >= service.settings.slow_log:
        digest = hashlib.sha256(query.text.encode()).hexdigest()[:16]
        log.warning("slow query %s: %s, %s, %.2f s", digest, query.form, outcome, seconds)


async def _read(request: Request, service: Service, pairs: list[tuple[str, str]]) -> QueryRequest:
    """Return the query of a request, and how to answer it; `pairs` then holds the parameters of its body too. Raises the errors that the protocol names (SPARQL 1.1 Protocol, 2.1)."""
    limit = service.settings.query_size
    if request.method != "GET":
        sent = await _body(request, limit)
        if any(name == "release" for name, _ in sent):
            raise BadRequest("Name the release in the address, not in the body.")
        pairs += sent
    given = Parameters.of(pairs)
    text = _query(given)
    if len(text.encode()) > limit:
        raise TooLarge(f"The query is longer than {limit} bytes.")
    base = address_in(request.scope, service.settings.public) + PATH
    read = partial(read_query, text, service.settings.services, known_prefixes=given.prefixes is not None, base=base)
    query = await to_thread.run_sync(read, limiter=service.reading) if len(text) > LONG_QUERY else read()
    accept = accepted(request.scope)
    name = requested_name((*offers_for(query.form), HTML), accept, given.format, given.output, given.results)
    return QueryRequest(
        query,
        Dataset(given.default_graph_uri, given.named_graph_uri),
        _syntax(query.form, accept, name, given.labels, given.profile, given.frame),
        min(given.timeout or inf, service.settings.timeout),
    )


async def _body(request: Request, limit: int) -> list[tuple[str, str]]:
    """Return what the body of a POST or QUERY says, as parameters."""
    sent_as, options = parse_options_header(request.headers.get("content-type"))
    if (media_type := sent_as.lower()) not in QUERY_TYPES:
        raise UnsupportedMediaType(f'Send the query as {" or ".join(QUERY_TYPES)}, not as "{sent_as or "nothing"}".')
    if (charset := options.get("charset", "utf-8").lower()) not in ("utf-8", "utf8", "us-ascii"):
        raise UnsupportedMediaType(f"Send the query in UTF-8, not in {charset}.")
    refuse_early(request, limit)
    body = await body_of(request, limit)
    return parameters_of(body) if media_type == FORM else [("query", text_of(body))]


@lru_cache(maxsize=1000)  # only what can be served is cached, and that is short
def _syntax(
    form: Form, accept: str, name: str | None, labelled: str | None, profile: str | None, frame: str | None
) -> Format:
    """Return the syntax that a client requests; profile and frame are forms of JSON-LD, and of graphs."""
    labels, offers = labels_wanted(labelled), (*offers_for(form), HTML)
    if profile or frame:
        if JSONLD not in offers:
            raise BadRequest(f"profile and frame are forms of JSON-LD, which a CONSTRUCT or DESCRIBE gives, no {form}.")
        offers = (JSONLD,)
    return in_profile(choose(offers, accept, name, labels), accept, profile, frame)


def _query(given: Parameters) -> str:
    if given.update:
        raise QueryRefused("This service is read-only: it takes no updates.")
    match given.query:
        case ():
            raise BadRequest('No query. Send it as "?query=…", as "query" in a form, or as application/sparql-query.')
        case (query,):
            return query
        case several:
            raise BadRequest(f"{len(several)} queries in one request. Send one.")
