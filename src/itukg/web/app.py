"""The application: the routers put together, errors as problems, headers that every answer carries."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from time import monotonic
from typing import Any

import anyio
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from itukg import __version__, names
from itukg.errors import ItukgError, NotAllowed, NotFound
from itukg.release import Release
from itukg.settings import Settings
from itukg.web import description, pages, releases, reports, resources, search, sparql, uploads, vocabulary
from itukg.web.answers import HELD_MESSAGE, WHOLE, Header, Held, Whole, distinguished, http_date, problem, problem_of
from itukg.web.interface import completed
from itukg.web.past import Past, asked_release
from itukg.web.requests import BrokenOff
from itukg.web.service import Service

log = logging.getLogger("itukg")

SAME = "itukg.same"
"""Where the scope of a request that reads has what it is held under."""

FRAME = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"Accept-Query, Allow, ETag, Link, Retry-After, Server-Timing"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
)
"""Headers of every answer: everything may be read from anywhere, and no page of ours runs or fetches anything."""


def create_app(settings: Settings, release: Release) -> FastAPI:
    """Return the application that serves `release`. It answers 503 until the release is loaded."""
    service = Service(settings, release)
    past = Past(service, _application)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(service.keep)
            tasks.start_soon(past.close_idle)
            yield
            tasks.cancel_scope.cancel()
        await past.close()
        await service.close()

    return _application(service, past, lifespan=lifespan)


def _application(service: Service, past: Past | None = None, **given: Any) -> FastAPI:
    app = Application(
        service,
        title="itukg",
        version=__version__,
        summary="The ITU results knowledge graph: SPARQL, JSON-LD and SHACL reports.",
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        openapi_url=None,  # a route of ours answers, as for all else
        docs_url=None,  # FastAPI's page loads its scripts from a CDN
        redoc_url=None,
        **given,
    )
    routers = (
        pages.router,
        description.router,
        reports.router,  # whose findings stand below /id/
        resources.router,
        search.router,
        vocabulary.router,
        releases.router,
        uploads.router,
    )
    app.state.routes = [*app.routes, *(route for router in routers for route in router.routes)]
    for router in routers:
        app.include_router(router)
    app.add_exception_handler(ItukgError, _answer_error)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_middleware(Frame, answers=app.answers, routes=app.state.routes, past=past)
    endpoint = sparql.Endpoint(service, description.endpoint)
    app.endpoints[sparql.PATH] = Frame(endpoint, app.answers, app.state.routes, past)
    return app


class Application(FastAPI):
    """FastAPI, before which stands the cache, and whose description of itself includes the endpoint that it does not route."""

    def __init__(self, service: Service, **given: Any) -> None:
        """Serve what `service` holds; `given` is FastAPI's."""
        super().__init__(**given)
        self.state.service = service
        self.answers = Answers(service)
        self.endpoints: dict[str, ASGIApp] = {}
        """Plain ASGI applications by path, for which neither router nor middleware is asked."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what is held; pass all else on."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
        elif not await self.answers.sent(scope, send):
            scope["app"] = self
            await self.endpoints.get(scope["path"], super().__call__)(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI description."""
        if not self.openapi_schema:
            super().openapi()["paths"][sparql.PATH] = sparql.openapi()
            completed(super().openapi())
        return super().openapi()


class Answers:
    """The answers of the release that are held, and the headers that each has."""

    def __init__(self, service: Service) -> None:
        self.headers = [*FRAME, _cited(service.release)]
        """Headers of every answer, errors included."""
        self._frame = _frame(service.release)
        self._cache, self._counts = service.cache, service.counts

    async def sent(self, scope: Scope, send: Send) -> bool:
        """Answer a request if its answer is held; tell whether it is."""
        if scope["method"] not in ("GET", "HEAD"):
            return False
        scope[SAME] = same = distinguished(scope)
        held = self._cache.get(same)
        if held is None:
            return False
        self._counts.answered(await held.send(scope, send, _whole(scope)))
        return True

    async def hold_and_send(self, message: Message, seconds: float, scope: Scope, send: Send) -> None:
        """Answer a request with the answer that a route handed over after `seconds`, and hold it for the next."""
        held: Held = message["held"]
        held.frame = _frame(message["release"]) if message["release"] else self._frame
        keys = [*message["keys"], *([scope[SAME]] if SAME in scope else [])]
        self._cache.keep(held, seconds, *keys)
        self._counts.answered(await held.send(scope, send, _whole(scope)))


def _whole(scope: Scope) -> Whole | None:
    """Return what sends an answer at once, where the server offers that."""
    whole: Whole | None = scope.get("extensions", {}).get(WHOLE)
    return whole


class _Framed:
    """Sends the answer to a request in its frame."""

    started = False

    def __init__(self, answers: Answers, scope: Scope, send: Send) -> None:
        self._answers, self._scope, self._send, self._arrived = answers, scope, send, monotonic()

    async def __call__(self, message: Message) -> None:
        if message["type"] == HELD_MESSAGE:
            await self._answers.hold_and_send(message, monotonic() - self._arrived, self._scope, self.pass_on)
            return
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *self._answers.headers]
        elif self._scope["method"] == "HEAD":
            message = {**message, "body": b""}
        await self.pass_on(message)

    async def pass_on(self, message: Message) -> None:
        """Send a message as it is."""
        self.started = True
        await self._send(message)


class Frame:
    """What holds for every answer: the same headers, HEAD is GET without its body, OPTIONS, and a failure is a problem.

    An answer of the release that a route hands over is held, so that it is there the next time.
    `?release=` makes an application of `past` answer instead.
    """

    def __init__(self, app: ASGIApp, answers: Answers, routes: list[BaseRoute], past: Past | None) -> None:
        self.app, self.answers, self.routes, self.past = app, answers, routes, past

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and the answer back."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        framed, asked = _Framed(self.answers, scope, send), scope
        if scope["method"] == "OPTIONS":
            await self._options(scope)(scope, receive, framed)
            return
        try:
            name, query_string = asked_release(scope["query_string"])
            if name is not None and self.past is not None:
                scope = {**scope, "query_string": query_string}
                async with self.past.application(name) as older:
                    if older is not None:
                        await older(scope, receive, framed.pass_on)  # has a frame of its own
                        return
            if scope["method"] == "HEAD":
                scope = {**scope, "method": "GET", "head": True}
            await self.app(scope, receive, framed)
        except BrokenOff as error:
            # Without a last chunk, which the server then never sends: nobody takes a part for the whole.
            log.info("answer broken off: %s", error)
        except Exception as error:
            failure = _failure(asked, error)
            if framed.started:
                raise
            await failure(asked, receive, framed)

    def _options(self, scope: Scope) -> Response:
        """Answer OPTIONS, and the question that a browser asks before a request to another origin."""
        methods = ", ".join(methods_of(self.routes, scope))
        if not methods:
            return problem_of(_nothing_at(scope["path"]))
        headers = {
            "Allow": methods,
            "Access-Control-Allow-Methods": methods,
            "Access-Control-Allow-Headers": "Accept, Content-Type, If-None-Match, If-Modified-Since",
            "Access-Control-Max-Age": "86400",
        }
        if "QUERY" in methods:
            headers["Accept-Query"] = ", ".join(f'"{media_type}"' for media_type in sparql.REQUEST_TYPES)
        return Response(status_code=204, headers=headers)


def methods_of(routes: list[BaseRoute], scope: Scope) -> list[str]:
    """Return the methods that a path has, sorted; none where there is no such path."""
    if scope["path"] == sparql.PATH:
        return list(sparql.METHODS)
    found: set[str] = set()
    for route in routes:
        if route.matches(scope)[0] != Match.NONE:
            found |= getattr(route, "methods", None) or set()
    return sorted(found | {"HEAD", "OPTIONS"}) if found else []


def _frame(release: Release) -> tuple[Header, ...]:
    """Return the headers of every answer of a release."""
    return (*FRAME, _cited(release), (b"last-modified", http_date(release.built)))


def _cited(release: Release) -> Header:
    """Return the header that tells how to cite an answer (RFC 8288): its licence, its release, and what that holds."""
    links = (
        (names.LICENSE, "license"),
        (names.DATA + release.name, names.PREFIXES["dcterms"] + "isPartOf"),
        (names.DESCRIPTION, "describedby"),
    )
    return b"link", ", ".join(f'<{target}>; rel="{relation}"' for target, relation in links).encode()


def _failure(scope: Scope, error: Exception) -> Response:
    if not isinstance(error, ItukgError):
        log.error("%s %s", scope["method"], scope["path"], exc_info=error)
        return problem(500, "about:blank", "Internal Server Error", "The fault is ours; it is in the log.")
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("%s %s: %s", scope["method"], scope["path"], error)
    return problem_of(error)


async def _answer_error(request: Request, error: Exception) -> Response:
    return _failure(request.scope, error)


async def _answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.scope["path"]
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            return problem_of(_nothing_at(path))
        case HTTPStatus.METHOD_NOT_ALLOWED:
            methods = tuple(methods_of(request.app.state.routes, request.scope))
            return problem_of(NotAllowed(f"{request.method} is not a method of {path}.", methods))
        case other:
            return problem(other, "about:blank", error.detail, f"{request.method} {path}")


def _nothing_at(path: str) -> NotFound:
    return NotFound(f"There is nothing at {path}; /docs lists the addresses.")
