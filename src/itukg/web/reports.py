"""For auditors: the conformance report on the served release, and its tables."""

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from itukg.errors import NotFound
from itukg.formats import CSV, REPORT_FORMATS
from itukg.web.service import service_of, wanted

router = APIRouter()


@router.get("/data/{release}/{name}", response_class=Response)
async def data(request: Request, release: str, name: str) -> Response:
    """Return a table of the served release, such as `links.csv`: one row per link. `latest` is its name too."""
    served = service_of(request).release
    exports = served.exports()
    if release not in ("latest", served.name) or name not in exports:
        raise NotFound(f"No /data/{release}/{name}; to be had: /data/{served.name}/ with {', '.join(exports)}.")
    content = await run_in_threadpool(exports[name].read_bytes)
    return Response(content, media_type=CSV.media_type)


@router.get("/conformance", response_class=Response)
@router.get("/conformance{suffix}", response_class=Response, include_in_schema=False)
async def conformance(request: Request, suffix: str = "") -> Response:
    """Return the conformance report as HTML, Turtle, JSON-LD, CSV or JSON rows."""
    if suffix and suffix not in [f.suffix for f in REPORT_FORMATS]:
        raise NotFound(f"No /conformance{suffix}; known suffixes: {', '.join(f.suffix for f in REPORT_FORMATS)}.")
    syntax = wanted(request, REPORT_FORMATS, suffix.removeprefix(".") or None)
    content = await run_in_threadpool(service_of(request).release.report.write, syntax)
    return Response(content, media_type=syntax.media_type, headers={"Vary": "Accept"})
