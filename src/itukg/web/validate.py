"""For people who prepare data: their RDF is validated, against our shapes or theirs."""

import gzip
from math import inf
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import Field

from itukg.conformance import REPORT_FORMATS
from itukg.errors import (
    BadRequest,
    ItukgError,
    MemoryLimit,
    NotAcceptable,
    NotFound,
    Quota,
    SyntaxProblem,
    TimeLimit,
    TooLarge,
    TooSlow,
    UnsupportedMediaType,
)
from itukg.formats import GRAPH_FORMATS, HTML, Format
from itukg.pages import render
from itukg.upload.read import FORM, METHODS, RDF_TYPES, Fields
from itukg.web.deps import Answers, Client, Parameters, Served, Text
from itukg.web.middleware import NO_STORE, takes_gzip
from itukg.web.problems import prefers_page
from itukg.web.reports import ReportParameters
from itukg.web.service import Service
from itukg.web.uploads import received

router = APIRouter()


class ValidationParameters(ReportParameters):
    """Those of a report, and what the data is validated beside."""

    with_release: list[Text] = Field(
        [], alias="with-release", description="1: the links of the data lead into all our data, not the schemes alone."
    )


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
                "format": _TEXT | {"description": "The syntax of the report; instead of Accept."},
                "shapes": _FILE | {"description": "Shapes to use instead of ours; may be repeated."},
                **{
                    each.alias or name: _TEXT | {"description": each.description}
                    for name, each in ValidationParameters.model_fields.items()
                    if each.annotation == list[Text]
                },
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
_PAGE = Answers((HTML,))
_REPORT = Answers(
    REPORT_FORMATS, (TooSlow, TooLarge, UnsupportedMediaType, Quota, MemoryLimit), body=_BODIES, varying=True
)


class FormParameters(Parameters):
    """What of the page is chosen already."""

    profile: Text | None = Field(None, description="The profile that is chosen on it, such as preparation.")


@router.get("/validate", **_PAGE.described())
async def form(given: Annotated[FormParameters, Query()], service: Served) -> Response:
    """Return a page from which data is validated."""
    page = await run_in_threadpool(_page, service, {"profile": [given.profile or ""]})
    return Response(page, media_type=HTML.media_type)


@router.post("/validate", **_REPORT.described())
async def validate(
    request: Request,
    _: Annotated[ValidationParameters, Query()],
    service: Served,
    client: Client,
    syntax: Annotated[Format, Depends(_REPORT.chosen)],
) -> Response:
    """Validate RDF against our shapes, or against others that are sent with it. Nothing is stored, and nothing is fetched."""
    fields = {name: request.query_params.getlist(name) for name in request.query_params}
    typed: Fields = {}

    async def check(body: bytes, content_type: str, deadline: float) -> tuple[str, bytes]:
        try:
            return await service.validator.check(body, content_type, fields, syntax, deadline=deadline, client=client)
        except (BadRequest, NotFound, UnsupportedMediaType, NotAcceptable, MemoryLimit, TimeLimit):
            if content_type.startswith(FORM) and prefers_page(request.scope):
                typed.update(await service.validator.typed(body, content_type, deadline=inf, client=client))
            raise

    headers = NO_STORE | {"Vary": "Accept, Accept-Encoding"}
    try:
        media_type, report = await received(request, service, client, check)
    except ItukgError as error:
        if not typed:
            raise
        page = await run_in_threadpool(_page, service, typed, error)
        return Response(page, error.status, headers, HTML.media_type)
    if media_type == HTML.media_type and takes_gzip(request.scope):
        report = await run_in_threadpool(gzip.compress, report, 6)
        headers["Content-Encoding"] = "gzip"
    return Response(report, media_type=media_type, headers=headers)


def _page(service: Service, typed: Fields, error: ItukgError | None = None) -> bytes:
    """Return the form with what was typed into it, and why that was not validated, if it was not."""
    line = error.line if isinstance(error, SyntaxProblem) else None
    lines = "".join(typed.get("data", ())).splitlines()
    return render(
        "validate.html",
        typed=typed,
        error=error,
        excerpt=[*enumerate(lines, 1)][max(0, line - 3) : line + 2] if line else [],
        line=line,
        syntaxes={syntax.media_type: syntax.name for syntax in GRAPH_FORMATS},
        formats=[syntax.name for syntax in REPORT_FORMATS],
        profiles=service.release.checked.header.profiles,
        size=service.settings.upload_size // 1_000_000,
        seconds=f"{service.settings.validation_timeout:g}",
    )
