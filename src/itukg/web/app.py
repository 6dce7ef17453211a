"""The application: the routers put together, errors as problems, headers that every answer carries."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from itukg import __version__, names
from itukg.errors import ItukgError, NotReady
from itukg.formats import write_json
from itukg.release import Release
from itukg.settings import Settings
from itukg.web import description, pages, reports, resources, sparql
from itukg.web.service import Service

PROBLEM = "application/problem+json"
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
)


def create_app(settings: Settings, release: Release) -> FastAPI:
    """Return the application that serves `release`. It answers 503 until the release is loaded."""
    service = Service(settings, release)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        loading = asyncio.create_task(service.load())
        yield
        await loading

    app = FastAPI(
        title="itukg",
        version=__version__,
        summary="The ITU results knowledge graph: SPARQL, JSON-LD and SHACL reports.",
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        docs_url=None,  # FastAPI's page loads its scripts from a CDN
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.service = service
    for router in (pages.router, description.router, sparql.router, resources.router, reports.router):
        app.include_router(router)
    app.add_exception_handler(ItukgError, _answer_error)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_middleware(Frame)
    app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["GET", "HEAD", "POST"], allow_headers=["*"])
    return app


class Frame:
    """What holds for every answer: HEAD is GET without its body, SECURITY_HEADERS, and a failure is a problem."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and the answer back."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        head = scope["method"] == "HEAD"
        started = False

        async def send_framed(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message["headers"], *SECURITY_HEADERS]
            elif head:
                message = {**message, "body": b""}
            await send(message)

        try:
            await self.app({**scope, "method": "GET"} if head else scope, receive, send_framed)
        except Exception:
            logging.getLogger("itukg").exception("%s %s", scope["method"], scope["path"])
            if started:
                raise
            failure = _problem(500, "about:blank", "Internal Server Error", "The fault is ours; it is in the log.", {})
            await failure(scope, receive, send_framed)


async def _answer_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ItukgError)
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logging.getLogger("itukg").warning("%s %s: %s", request.method, request.url.path, error)
    headers = {"Retry-After": "2"} if isinstance(error, NotReady) else {}
    return _problem(error.status, error.problem_type, error.title, str(error), headers, extras=error.extras())


async def _answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = "GET, HEAD, POST" if request.url.path == "/sparql" else "GET, HEAD"
    return _problem(error.status_code, "about:blank", error.detail, f"{request.method} {request.url.path}", headers)


def _problem(
    status: int,
    kind: str,
    title: str,
    detail: str,
    headers: dict[str, str],
    *,
    extras: dict[str, object] | None = None,
) -> Response:
    problem = {
        "type": kind if ":" in kind else f"{names.BASE}problem/{kind}",
        "title": title,
        "status": status,
        "detail": detail,
        **(extras or {}),
    }
    return Response(write_json(problem), status, headers, PROBLEM)
