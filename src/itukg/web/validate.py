"""For people who prepare data: their RDF is validated, against our shapes or theirs."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import Field

from itukg.conformance import REPORT_FORMATS
from itukg.errors import MemoryLimit, Quota, TooLarge, TooSlow, UnsupportedMediaType
from itukg.formats import GRAPH_FORMATS, HTML, Format
from itukg.pages import render
from itukg.upload.read import FORM, METHODS, RDF_TYPES
from itukg.web.deps import Answers, Client, Parameters, Served, Text
from itukg.web.middleware import NO_STORE
from itukg.web.reports import ReportParameters
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


@router.get("/validate", **_PAGE.described())
async def form(_: Annotated[Parameters, Query()], service: Served) -> Response:
    """Return a page from which data is validated."""
    checked = await run_in_threadpool(lambda: service.release.checked)
    page = render(
        "validate.html",
        syntaxes={syntax.media_type: syntax.name for syntax in GRAPH_FORMATS},
        formats=[syntax.name for syntax in REPORT_FORMATS if syntax != HTML],
        profiles=checked.header.profiles,
        size=service.settings.upload_size // 1_000_000,
        seconds=f"{service.settings.validation_timeout:g}",
    )
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

    async def check(body: bytes, content_type: str, deadline: float) -> tuple[str, bytes]:
        return await service.validator.check(body, content_type, fields, syntax, deadline=deadline, client=client)

    media_type, report = await received(request, service, client, check)
    return Response(report, media_type=media_type, headers=NO_STORE | {"Vary": "Accept"})
