"""What each route takes and gives, told once: the OpenAPI description says it, and requests are held to it."""

import re
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
from dataclasses import fields
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from itukg.conformance import Selection
from itukg.errors import (
    BadRequest,
    ItukgError,
    NotAcceptable,
    NotFound,
    NotReady,
    NotSupported,
    Overloaded,
    StoreUnavailable,
    TimeLimit,
)
from itukg.formats import Format
from itukg.web.answers import PROBLEM

LONGEST = 8000
"""Characters of one value in a query."""

CHOSEN = {each.name: "Only findings that have this; may be repeated." for each in fields(Selection)}
"""The parameters by which a part of a report is chosen."""
_SYNTAX = {"format": "The syntax of the answer, by suffix or media type; overrides Accept."}
_LABELS = {"labels": "1: only a syntax with labels beside IRIs; 0: only one without."}
_RELEASE = {"release": "The name of the release that answers."}
_EVERYWHERE = (BadRequest, NotFound, NotSupported, StoreUnavailable, NotReady, Overloaded, TimeLimit)
"""What may go wrong at any address, if only because `?release=` names a release that is not there."""
_PROBLEM = {
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
    },
}
_BROKEN = re.compile(rb"%(?![0-9A-Fa-f]{2}).{0,2}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Route(APIRoute):
    """A route that refuses, in words, what its description does not name."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request, once that is checked."""
        answer = super().get_route_handler()
        told = self.openapi_extra
        assert told is not None

        async def checked(request: Request) -> Response:
            check(request, told)
            return await answer(request)

        return checked


def check(request: Request, told: Mapping[str, Any]) -> None:
    """Raise BadRequest for a query parameter that is not described, and for a value that is no text or too long."""
    given = request.query_params.multi_items()
    known = [each["name"] for each in told["parameters"]] if given else []
    for name, _ in given:
        if name not in known:
            raise BadRequest(f'No parameter "{name[:80]}" here; known: {", ".join(known)}.')
    if broken := _BROKEN.search(request.scope["query_string"]):
        raise BadRequest(f'"{broken[0].decode("latin-1")}" is no percent-encoding; write % as %25.')
    for name, value in given:
        if len(value) > LONGEST:
            raise BadRequest(f"{name} is longer than {LONGEST} characters.")
        if found := _CONTROL.search(value):
            raise BadRequest(f"{name} holds a control character, U+{ord(found[0]):04X}; leave it out.")
        if "\N{REPLACEMENT CHARACTER}" in value:
            raise BadRequest(f"{name} is not UTF-8 once it is percent-decoded.")


def described(
    offers: Iterable[Format],
    query: Mapping[str, str] | None = None,
    *errors: type[ItukgError],
    required: Collection[str] = (),
    body: Mapping[str, Any] | None = None,
    moved: int | None = None,
    chosen: bool = True,
    kept: bool = True,
) -> dict[str, Any]:
    """Return what a router is told of a route that answers in one of `offers`, and takes the parameters of `query`.

    `body` has the schema of a request's body by media type. `moved` is the
    status of an answer that leads elsewhere. `chosen` tells whether the client chooses among several offers, and `kept` whether answers have an ETag.
    """
    kinds = tuple(offers)
    sent = {"requestBody": {"required": True, "content": body}} if body else {}
    return {
        "response_class": Response,
        "responses": responses(kinds, *errors, moved=moved, chosen=chosen, kept=kept),
        "openapi_extra": {"parameters": parameters(kinds, query or {}, required=required, chosen=chosen), **sent},
    }


def parameters(
    offers: tuple[Format, ...], query: Mapping[str, str], *, required: Collection[str] = (), chosen: bool = True
) -> list[dict[str, Any]]:
    """Return the query parameters as OpenAPI has them: those of `query`, how a syntax is chosen, and the release."""
    several = chosen and len(offers) > 1
    syntax = _SYNTAX if several else {}
    labels = _LABELS if several and len({offer.labels for offer in offers}) > 1 else {}
    return [
        {"name": name, "in": "query", "required": name in required, "description": text, "schema": {"type": "string"}}
        for name, text in {**query, **syntax, **labels, **_RELEASE}.items()
    ]


def responses(
    offers: tuple[Format, ...],
    *errors: type[ItukgError],
    moved: int | None = None,
    chosen: bool = True,
    kept: bool = True,
) -> dict[int | str, dict[str, Any]]:
    """Return the answers as OpenAPI has them: by status, with their media types; each error is a problem."""
    refused = (NotAcceptable,) if chosen and len(offers) > 1 else ()
    titles: dict[int, list[str]] = {}
    for error in (*_EVERYWHERE, *refused, *errors):
        titles.setdefault(error.status, []).append(error.title)
    problem = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        200: {"description": "The answer.", "content": {offer.bare_type: {} for offer in offers}},
        **({moved: {"description": "What is asked for stands at another address."}} if moved else {}),
        **({304: {"description": "The client has this answer already."}} if kept else {}),
        **{status: {"description": "; ".join(titles[status]), "content": problem} for status in sorted(titles)},
    }


def completed(description: dict[str, Any]) -> dict[str, Any]:
    """Return an OpenAPI description with the schema of problems, and without an error of FastAPI's that we never give."""
    description["components"] = {"schemas": {"Problem": _PROBLEM}}
    for path in description["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
    return description
