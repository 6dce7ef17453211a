"""For auditors: the conformance report on the served release."""

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from itukg.errors import NotFound
from itukg.formats import REPORT_FORMATS
from itukg.web.service import service_of, wanted

router = APIRouter()


@router.get("/conformance", response_class=Response)
@router.get("/conformance{suffix}", response_class=Response, include_in_schema=False)
async def conformance(request: Request, suffix: str = "") -> Response:
    """Return the conformance report as HTML, Turtle, JSON-LD, CSV or JSON rows."""
    if suffix and suffix not in [f.suffix for f in REPORT_FORMATS]:
        raise NotFound(f"No /conformance{suffix}; known suffixes: {', '.join(f.suffix for f in REPORT_FORMATS)}.")
    syntax = wanted(request, REPORT_FORMATS, suffix.removeprefix(".") or None)
    content = await run_in_threadpool(service_of(request).release.report.write, syntax)
    return Response(content, media_type=syntax.media_type, headers={"Vary": "Accept"})
