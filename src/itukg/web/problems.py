"""Errors as problems (RFC 9457): ours, what validation refuses, what no route answers, and what nobody foresaw."""

import logging
import re
from http import HTTPStatus
from urllib.parse import unquote

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match
from starlette.types import Scope
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from itukg import names
from itukg.errors import BadRequest, DataError, ItukgError, NotAllowed, NotFound, NotReady, ReleaseDamaged
from itukg.formats import HTML, JSON, write_json
from itukg.pages import render
from itukg.release.integrity import is_whole
from itukg.release.model import Release
from itukg.web.logs import current_request
from itukg.web.requests import accepted

log = logging.getLogger("itukg")

PROBLEM = "application/problem+json"
_VARY = {"Vary": "Accept"}
SCHEMA = {
    "type": "object",
    "description": "RFC 9457: what was wrong, and what to try.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "line": {"type": "integer", "description": "Of a syntax error, from 1."},
        "column": {"type": "integer"},
        "methods": {"type": "array", "items": {"type": "string"}, "description": "Those that the address has."},
        "successors": {"type": "array", "items": {"type": "string"}, "description": "What replaces a retired thing."},
    },
}


def problem(scope: Scope | None, status: int, kind: str, title: str, detail: str, **extras: object) -> Response:
    """Return a problem, as a page to a client that prefers one; `kind` is the last part of its type, or an IRI.

    Without a scope it is for a request that was not read.
    """
    content = {
        "type": kind if ":" in kind else f"{names.BASE}problem/{kind}",
        "title": title,
        "status": status,
        "detail": detail,
        **extras,
    }
    if scope is not None and prefers_page(scope):
        words = " ".join(re.findall(r"\w[\w.-]*", unquote(scope["path"]))[-2:])
        page = render(
            "error.html",
            problem=content,
            words=words,
            request=current_request(),
            looks_again=kind == NotReady("").problem_type,
        )
        return Response(page, status, media_type=HTML.media_type, headers=_VARY)
    return Response(write_json(content), status, media_type=PROBLEM, headers=_VARY)


def prefers_page(scope: Scope) -> bool:
    """Tell whether the client of a request prefers HTML to JSON, as browsers do."""
    try:
        accept = parse_accept_header(accepted(scope), MIMEAccept)
    except BadRequest:
        return False
    return accept.quality(HTML.media_type) > max(map(accept.quality, (PROBLEM, JSON.media_type)))


def problem_of(error: ItukgError, scope: Scope | None = None) -> Response:
    """Return the problem for an error of ours, with the headers that its status asks for."""
    response = problem(scope, error.status, error.problem_type, error.title, str(error), **error.extras())
    if error.wait is not None:
        response.headers["Retry-After"] = str(error.wait)
    if isinstance(error, NotAllowed):
        response.headers["Allow"] = ", ".join(error.methods)
    return response


def failure(scope: Scope, error: Exception, release: Release) -> Response:
    """Return the problem for any error, and log what the operator should know; the unforeseen with its traceback.

    If the files of the `release` that is served are no longer whole, that is the reason for what is unforeseen or cannot be read.
    """
    is_ours = isinstance(error, ItukgError) and not isinstance(error, DataError)
    if not is_ours and not is_whole(release.path):
        log.error("%s %s: %r", scope["method"], scope["path"], error)
        error = damaged(release)
    if not isinstance(error, ItukgError):
        log.error("%s %s", scope["method"], scope["path"], exc_info=error)
        return problem(scope, 500, "about:blank", "Internal Server Error", "The server failed; its log says why.")
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("%s %s: %s", scope["method"], scope["path"], error)
    if isinstance(error, DataError):  # whose message names a file of this machine
        error = DataError("A file of the service cannot be read; its log says which, and why.")
    return problem_of(error, scope)


def damaged(release: Release) -> ReleaseDamaged:
    """Return the error for what needs files of the served release that are no longer whole."""
    return ReleaseDamaged(
        f"The files of release {release.name} were damaged on the server, which still answers queries."
    )


def install(app: FastAPI, routes: list[BaseRoute], release: Release) -> None:
    """Let `app`, which has these routes and serves `release`, answer every error with a problem."""

    async def on_error(request: Request, error: Exception) -> Response:
        return failure(request.scope, error, release)

    async def on_refusal(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        # What a route does not know comes first: a parameter that seems to be missing may be misspelt.
        refused = sorted(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
        return problem_of(BadRequest(_message(request, refused[0])), request.scope)

    async def on_no_route(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        path = request.scope["path"]
        match error.status_code:
            case HTTPStatus.NOT_FOUND:
                return problem_of(nothing_at(path), request.scope)
            case HTTPStatus.METHOD_NOT_ALLOWED:
                allowed = tuple(methods_of(routes, request.scope))
                return problem_of(NotAllowed(f"{request.method} is not a method of {path}.", allowed), request.scope)
            case other:
                return problem(request.scope, other, "about:blank", error.detail, f"{request.method} {path}")

    app.add_exception_handler(ItukgError, on_error)
    app.add_exception_handler(RequestValidationError, on_refusal)
    app.add_exception_handler(HTTPException, on_no_route)


def nothing_at(path: str) -> NotFound:
    """Return the error for a path that no route has."""
    return NotFound(f"No address {path} here; /docs lists all.")


def methods_of(routes: list[BaseRoute], scope: Scope) -> list[str]:
    """Return the methods that a path has, sorted; none where there is no such path."""
    found: set[str] = set()
    for route in routes:
        if route.matches(scope)[0] != Match.NONE:
            found |= getattr(route, "methods", None) or set()
    return sorted(found | {"HEAD", "OPTIONS"}) if found else []


def unknown_parameter(name: str, known: list[str]) -> str:
    """Return what is said against a query parameter that a route does not have; those it has are `known`."""
    listed = f"; known: {', '.join(known)}" if known else ""
    return f'No parameter "{name[:80]}" here{listed}.'


def missing_parameter(path: str, name: str) -> str:
    """Return what is said where a query parameter that an address needs is missing."""
    return f'"{name}" is missing; give it, percent-encoded: "{path}?{name}=…".'


def _message(request: Request, refused: dict[str, object]) -> str:
    """Return what a parameter model says against a request, in our words."""
    location, context = refused["loc"], refused.get("ctx")
    assert isinstance(location, tuple)
    name = str(location[-1])[:80]
    match refused["type"], context:
        case "extra_forbidden", _:
            return unknown_parameter(name, _known(request))
        case "string_too_long", {"max_length": most}:
            return f"{name} is longer than {most} characters."
        case "value_error", {"error": reason}:
            return f"{name} {reason}."
        case "missing", _:
            return missing_parameter(request.scope["path"], name)
    return f"{name}: {refused['msg']}."


def _known(request: Request) -> list[str]:
    """Return the query parameters that a request's route takes, as OpenAPI lists them."""
    path = request.scope["route"].path_format.removesuffix("{suffix}")  # whose routes OpenAPI leaves out
    methods = request.app.openapi()["paths"].get(path, {})
    described = methods.get(request.method.lower(), {}).get("parameters", ())
    return [each["name"] for each in described if each["in"] == "query"]
