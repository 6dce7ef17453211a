"""For auditors: the conformance report on the served release, and its history."""

from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse

from itukg.conformance import HISTORY_FORMATS, REPORT_FORMATS, Selection, write, write_history
from itukg.errors import NotFound
from itukg.formats import PDF, Format, split_suffix
from itukg.release import history as releases
from itukg.web.answers import Kept
from itukg.web.interface import CHOSEN, Route, described
from itukg.web.requests import Watch, client_of
from itukg.web.service import known_suffix, service_of, wanted

router = APIRouter(route_class=Route)

_REPORT, _HISTORY = described(REPORT_FORMATS, CHOSEN), described(HISTORY_FORMATS)


@router.get("/conformance", **_REPORT)
@router.get("/conformance{suffix}", **_REPORT, include_in_schema=False)
async def conformance(request: Request, suffix: str = "") -> Response:
    """Return the conformance report, or what `profile`, `plan`, `shape`, `focus`, `severity`, `actor`, `status` and `q` choose of it."""
    syntax = wanted(request, REPORT_FORMATS, known_suffix("/conformance", suffix, REPORT_FORMATS))
    return await _report(request, syntax)


@router.get("/conformance/history", **_HISTORY)
@router.get("/conformance/history{suffix}", **_HISTORY, include_in_schema=False)
async def history(request: Request, suffix: str = "") -> Response:
    """Return the verdict and the counts of each release kept here, and what changed since the one before."""
    syntax = wanted(request, HISTORY_FORMATS, known_suffix("/conformance/history", suffix, HISTORY_FORMATS))
    found = await run_in_threadpool(releases, service_of(request).release.home)
    return Kept(write_history(found, syntax), syntax.media_type)


@router.get("/conformance/{profile}", **_REPORT)
async def of_profile(request: Request, profile: str) -> Response:
    """Return the part of the conformance report that one profile makes, such as `completeness`."""
    profile, suffix = split_suffix(profile, REPORT_FORMATS)
    return await _report(request, wanted(request, REPORT_FORMATS, suffix), profile)


@router.get("/id/finding/{name}", **described(REPORT_FORMATS, moved=303))
async def finding(request: Request, name: str) -> Response:
    """Lead from the IRI of a finding to the part of the report that tells of it."""
    name, suffix = split_suffix(name, REPORT_FORMATS)
    wanted(request, REPORT_FORMATS, suffix)
    report = await run_in_threadpool(lambda: service_of(request).release.report)
    if name not in {each.id for each in report.findings}:
        raise NotFound(f'No finding "{name}" in the report on this release; all are listed at /conformance.')
    kept = f"&{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"/conformance{f'.{suffix}' if suffix else ''}?q={quote(name)}{kept}", 303)


async def _report(request: Request, syntax: Format, profile: str | None = None) -> Response:
    asked = {name: request.query_params.getlist(name) for name in request.query_params}
    selection = Selection.of(asked | ({"profile": [profile]} if profile else {}))
    service = service_of(request)
    report = await run_in_threadpool(lambda: service.release.report.selected(selection))
    if syntax == PDF:  # which takes a core for a second
        with Watch(request.scope):
            return Kept(await service.validator.pdf(report, client_of(request)), PDF.media_type)
    return Kept(await run_in_threadpool(write, report, syntax), syntax.media_type)
