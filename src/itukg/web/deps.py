"""What routes depend on: parameters that are checked, the release that answers, the client, the syntax of the answer."""

import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from starlette.convertors import StringConvertor, register_url_convertor

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
from itukg.formats import FORMATS, HTML, JSONLD, PROFILES, Format, choose, in_profile, labels_wanted
from itukg.rdf.jsonld import frames
from itukg.web.problems import PROBLEM, unknown_parameter
from itukg.web.requests import accepted, address_in, client_in
from itukg.web.service import Service

MAX_VALUE = 8000
"""Characters of one value in a query string."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BROKEN = re.compile(rb"%(?![0-9A-Fa-f]{2}).{0,2}")


def _plain(value: str) -> str:
    if found := _CONTROL.search(value):
        raise ValueError(f"holds a control character, U+{ord(found[0]):04X}; leave it out")
    if "\N{REPLACEMENT CHARACTER}" in value:
        raise ValueError("is not UTF-8 once it is percent-decoded")
    return value


Text = Annotated[str, StringConstraints(max_length=MAX_VALUE), AfterValidator(_plain)]
"""A value of a query string: text of bounded length, without control characters."""


class Parameters(BaseModel):
    """The query parameters that every route takes; a route refuses all others."""

    model_config = ConfigDict(extra="forbid")

    release: Text | None = Field(None, description="The name of the release that answers.")


class Negotiated(Parameters):
    """Those of a route that answers in several syntaxes."""

    format: Text | None = Field(
        None, description="The syntax of the answer, by suffix or media type; overrides Accept."
    )


class Labelled(Negotiated):
    """Those of a route of whose syntaxes some have labels beside IRIs."""

    labels: Text | None = Field(None, description="1: only a syntax with labels beside IRIs; 0: only one without.")


class Formed(Negotiated):
    """Those of a route that answers with a thing."""

    profile: Text | None = Field(None, description=f"The form of JSON-LD: {', '.join(PROFILES)}.")
    frame: Text | None = Field(None, description=f"The frame by which JSON-LD is laid out: {', '.join(frames())}.")


def refuse_others(request: Request, model: type[BaseModel]) -> None:
    """Raise BadRequest for a query parameter that is none of a model's, where a route has those of several."""
    known = [each.alias or name for name, each in model.model_fields.items()]
    for name in request.query_params:
        if name not in known:
            raise BadRequest(unknown_parameter(name, known))


async def well_formed(request: Request) -> None:
    """Refuse a query string that is no percent-encoding, which the parser would guess at."""
    if broken := _BROKEN.search(request.scope["query_string"]):
        raise BadRequest(f'"{broken[0].decode("latin-1")}" is no percent-encoding; write % as %25.')


async def once(request: Request) -> None:
    """Refuse a parameter that comes twice, of which one would count in silence."""
    for name in request.query_params:
        if len(request.query_params.getlist(name)) > 1:
            raise BadRequest(f'"{name}" comes twice; give it once.')


def query_of(request: Request) -> str:
    """Return the query string without `format`, for links to the same answer in other syntaxes."""
    return urlencode(
        [(name, value) for name, value in request.query_params.multi_items() if name != "format"], safe="/:,"
    )


def client_of(request: Request) -> str:
    """Return what stands for the client, for turns and quotas; see `client_in`."""
    return client_in(request.scope)


async def _client(request: Request) -> str:  # FastAPI would call a plain function in a thread
    return client_of(request)


async def service_of(request: Request) -> AsyncIterator[Service]:
    """Yield what answers from the release that `?release=` names, by default the served one."""
    async with request.app.state.releases.opened(request.query_params.getlist("release")) as service:
        request.state.release = service.release
        yield service


async def address_of(request: Request) -> str:
    """Return the address of the service, as the client named it. Raises BadRequest where Host names no host."""
    if address := address_in(request.scope, request.app.state.service.settings.public):
        return address
    raise BadRequest("The Host header names no host; send the name and port that the service is reached by.")


Client = Annotated[str, Depends(_client)]
Served = Annotated[Service, Depends(service_of)]
Address = Annotated[str, Depends(address_of)]

_EVERYWHERE = (BadRequest, NotFound, NotSupported, StoreUnavailable, NotReady, Overloaded, TimeLimit)
"""What may go wrong at any address, if only because `?release=` names a release that is not there."""


@dataclass(frozen=True)
class Answers:
    """How a route answers: in one of these formats, or with one of these errors; it chooses the syntax, and is described by it.

    `moved` is the status of an answer that leads elsewhere, `varying` says that answers have no ETag, and `body` has the
    schema of a request's body by media type.
    """

    formats: tuple[Format, ...]
    errors: tuple[type[ItukgError], ...] = ()
    moved: int | None = None
    varying: bool = False
    body: Mapping[str, Any] | None = None

    def get(self, router: APIRouter, path: str) -> "Callable[[_Endpoint], _Endpoint]":
        """Register a GET route, and beside it the same path with a suffix that chooses the syntax."""
        suffix = "{suffix:suffix}" if "{" in path else "{suffix}"

        def register(endpoint: _Endpoint) -> _Endpoint:
            if len(self.formats) > 1:
                router.get(path + suffix, **self.described(), include_in_schema=False)(endpoint)
            router.get(path, **self.described())(endpoint)
            return endpoint

        return register

    async def chosen(self, request: Request) -> Format:
        """Return the syntax that a request names: by suffix, by `format`, or by Accept; `labels` narrows the choice.

        Raises BadRequest where suffix and format contradict each other, NotFound for a suffix that the route does not
        have, and NotAcceptable.
        """
        suffix: str = request.path_params.get("suffix", "")
        known = [each.suffix for each in self.formats]
        if suffix and suffix not in known:
            raise NotFound(f"No {request.scope['path']}; known suffixes: {', '.join(known)}.")
        given, name = request.query_params, suffix.removeprefix(".") or None
        named = given.get("format") or name
        if name and named != name:
            raise BadRequest(f'The address ends in {suffix}, and format asks for "{named}"; leave one out.')
        return choose(self.formats, accepted(request.scope), named, labels_wanted(given.get("labels")))

    async def formed(self, request: Request) -> Format:
        """Return the syntax that a request names, JSON-LD in the form of `profile`, `frame` or Accept."""
        profile, frame = (request.query_params.get(name) for name in ("profile", "frame"))
        syntax = await (Answers((JSONLD,)) if profile or frame else self).chosen(request)
        return in_profile(syntax, accepted(request.scope), profile, frame)

    def described(self) -> dict[str, Any]:
        """Return the arguments of the router's decorator: what OpenAPI says of the route."""
        extra = {"openapi_extra": {"requestBody": {"required": True, "content": self.body}}} if self.body else {}
        return {"response_class": Response, "responses": self.responses(), **extra}

    def responses(self) -> dict[int | str, dict[str, Any]]:
        """Return the answers as OpenAPI has them: by status, with their media types; each error is a problem."""
        refused = (NotAcceptable,) if len(self.formats) > 1 else ()
        titles: dict[int, list[str]] = {}
        for error in (*_EVERYWHERE, *refused, *self.errors):
            titles.setdefault(error.status, []).append(error.title)
        problem = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}, HTML.bare_type: {}}
        return {
            200: {"description": "The answer.", "content": {offer.bare_type: {} for offer in self.formats}},
            **({self.moved: {"description": "It stands at another address."}} if self.moved else {}),
            **({} if self.varying else {304: {"description": "The client has this answer already."}}),
            **{status: {"description": "; ".join(titles[status]), "content": problem} for status in sorted(titles)},
        }


_Endpoint = Callable[..., Any]


class _Suffix(StringConvertor):
    regex = rf"\.(?:{'|'.join(sorted({each.name for each in FORMATS}))})"


register_url_convertor("suffix", _Suffix())
