"""For whoever prepares data: anyone's RDF is validated, against our shapes or theirs."""

from time import monotonic
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from itukg.conformance import REPORT_FORMATS
from itukg.errors import ItukgError, TooLarge, UnsupportedMediaType
from itukg.formats import GRAPH_FORMATS, HTML
from itukg.html import render
from itukg.upload.reading import BODY_TYPES, FORM, METHODS, RDF_TYPES
from itukg.web.answers import Kept
from itukg.web.requests import BrokenOff, Watch, body_of, client_of
from itukg.web.service import service_of, wanted

router = APIRouter()

_PARAMETERS = {
    "profile": "Only this group of shapes, such as completeness; plan, shape, focus, severity, actor, status and q choose as for /conformance.",
    "with-release": "1: the links of the data lead into all our data, not the schemes alone.",
    "format": "The syntax of the report, by suffix or media type; overrides Accept.",
}
_TEXT = {"type": "string"}
_FILE = {"type": "string", "format": "binary"}
_RULES = {
    "type": "object",
    "required": ["ruleSet", "ruleSyntax"],
    "properties": {
        "ruleSet": _TEXT,
        "ruleSyntax": {"type": "string", "enum": list(RDF_TYPES)},
        "embeddingMethod": {"type": "string", "enum": list(METHODS[:2])},
    },
}
_BODIES: dict[str, dict[str, Any]] = {
    **{media_type: {"schema": _TEXT} for media_type in RDF_TYPES},
    FORM: {
        "schema": {
            "type": "object",
            "required": ["data"],
            "properties": {
                "data": _FILE | {"description": "The RDF, as a file or as text; its syntax by media type or suffix."},
                "contentSyntax": {"type": "string", "enum": list(RDF_TYPES), "description": "The syntax of a text."},
                "shapes": _FILE | {"description": "Shapes to use instead of ours; may be repeated."},
                **{name: _TEXT | {"description": words} for name, words in _PARAMETERS.items()},
            },
        }
    },
    "application/json": {
        "schema": {
            "type": "object",
            "description": "As the RDF validator of the Interoperability Test Bed takes it; nothing is fetched.",
            "required": ["contentToValidate", "contentSyntax"],
            "properties": {
                "contentToValidate": _TEXT,
                "contentSyntax": {"type": "string", "enum": list(RDF_TYPES)},
                "embeddingMethod": {"type": "string", "enum": list(METHODS[:2])},
                "validationType": _TEXT | {"description": "The profile."},
                "reportSyntax": _TEXT | {"description": "The syntax of the report."},
                "externalRules": {"type": "array", "items": _RULES, "description": "Shapes to use instead of ours."},
            },
        }
    },
}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The report, whether or not the data conforms.",
        "content": {syntax.media_type: {} for syntax in REPORT_FORMATS},
    },
    400: {
        "description": "The upload cannot be understood, or its shapes are not applied; or it needs too much memory."
    },
    404: {"description": "There is no such profile or plan."},
    406: {"description": "The report cannot be written in the requested syntax."},
    408: {"description": "The body did not arrive in time."},
    413: {"description": "The upload is too large."},
    415: {"description": "The body is in a syntax that is not read, or compressed."},
    429: {"description": "The client has hit limits too often in this minute."},
    503: {"description": "Too many uploads wait; Retry-After tells when to try again."},
    504: {"description": "The check hit its time limit."},
}
_OPENAPI = {
    "parameters": [
        {"name": name, "in": "query", "required": False, "description": words, "schema": _TEXT}
        for name, words in _PARAMETERS.items()
    ],
    "requestBody": {"required": True, "content": _BODIES},
}


@router.get("/validate", response_class=Response)
async def form(request: Request) -> Response:
    """Return a page from which data is validated."""
    service = service_of(request)
    checked = await run_in_threadpool(lambda: service.release.checked)
    page = render(
        "validate.html",
        syntaxes={syntax.media_type: syntax.name for syntax in GRAPH_FORMATS},
        formats=[syntax.name for syntax in REPORT_FORMATS if syntax != HTML],
        profiles=checked.header.profiles,
        size=service.settings.upload_size // 1_000_000,
        seconds=f"{service.settings.check_timeout:g}",
    )
    return Kept(page, HTML.media_type)


@router.post("/validate", response_class=Response, responses=_ANSWERS, openapi_extra=_OPENAPI)
async def validate(request: Request) -> Response:
    """Validate RDF against our shapes, or against others that are sent with it. Nothing is kept, and nothing fetched."""
    service, client, arrived = service_of(request), client_of(request), monotonic()
    deadline = arrived + service.settings.check_timeout
    syntax = wanted(request, REPORT_FORMATS)
    content_type = request.headers.get("content-type", "")
    fields = {name: request.query_params.getlist(name) for name in request.query_params}
    _check_head(request, service.settings.upload_size)
    outcome = "broken off"
    try:
        service.quotas.check(client)
        async with service.validator.place(client, deadline):
            body = await body_of(request, service.settings.upload_size, max(0.0, deadline - monotonic()))
            watch = Watch(request)
            try:
                media_type, report = await service.validator.check(
                    body, content_type, fields, syntax, deadline=deadline, client=client
                )
            except BaseException:
                watch.raise_if_left()
                raise
            finally:
                watch.end()
        outcome = "reported"
    except (BrokenOff, ClientDisconnect):
        return Response(status_code=400)  # nobody reads it
    except ItukgError as error:
        outcome = error.problem_type
        service.quotas.remember(client, error)
        raise
    finally:
        service.counts.checked(outcome)
    return Response(report, media_type=media_type, headers={"Vary": "Accept", "Cache-Control": "no-store"})


def _check_head(request: Request, limit: int) -> None:
    """Refuse, before it is read, a body that is of no use."""
    headers = request.headers
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in BODY_TYPES:
        raise UnsupportedMediaType(
            f'Say what is sent, by Content-Type: {", ".join(BODY_TYPES)}. It came as "{media_type or "nothing"}".'
        )
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("The body is compressed; send it as it is, without Content-Encoding.")
    if (length := headers.get("content-length", "0")).isdecimal() and int(length[:18]) > limit:
        raise TooLarge(f"The upload is larger than {limit} bytes.")
