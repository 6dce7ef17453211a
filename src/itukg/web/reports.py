"""For auditors: the conformance report on the served release, and its history."""

from dataclasses import replace
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse
from pydantic import Field

from itukg.conformance import HISTORY_FORMATS, REPORT_FORMATS, Report, Selection, write, write_history
from itukg.errors import NotFound
from itukg.formats import PDF, Format
from itukg.release.model import Release
from itukg.release.model import history as releases
from itukg.web.deps import Answers, Client, Labelled, Negotiated, Parameters, Served, Text
from itukg.web.requests import StopWhenLeft
from itukg.web.service import Service

router = APIRouter()

_REPORT, _HISTORY = Answers(REPORT_FORMATS), Answers(HISTORY_FORMATS)
_FINDING = Answers(REPORT_FORMATS, moved=303)
_SCOPE = "What is checked: verdict and numbers are of these alone; may be repeated: "
_LISTED = "Which findings are listed; may be repeated: "


class ChosenFindings(Parameters):
    """The parameters by which a part of a report is chosen."""

    profile: list[Text] = Field([], description=f"{_SCOPE}a profile, such as completeness.")
    plan: list[Text] = Field([], description=f"{_SCOPE}a plan, by its notation.")
    shape: list[Text] = Field([], description=f"{_SCOPE}a shape, such as itush:GapReported.")
    focus: list[Text] = Field([], description=f"{_SCOPE}a thing, by IRI, prefixed name or path.")
    severity: list[Text] = Field([], description=f"{_LISTED}Violation, Warning or Info.")
    actor: list[Text] = Field([], description=f"{_LISTED}who can act: us, document or referenceData.")
    status: list[Text] = Field([], description=f"{_LISTED}new, persisting, fixed or waived.")
    q: list[Text] = Field([], description=f"{_LISTED}words that stand in them.")

    def chosen(self, *, profile: str | None = None) -> Selection:
        """Return what they choose, of one profile where that is given. Raises BadRequest and NotFound."""
        return Selection.of(self.model_dump() | ({"profile": [profile]} if profile else {}))


class ReportParameters(ChosenFindings, Labelled):
    """Those of a report in several syntaxes."""


@_REPORT.get(router, "/conformance")
async def conformance(
    request: Request,
    given: Annotated[ReportParameters, Query()],
    service: Served,
    client: Client,
    syntax: Annotated[Format, Depends(_REPORT.chosen)],
) -> Response:
    """Return the conformance report, or what `profile`, `plan`, `shape`, `focus`, `severity`, `actor`, `status` and `q` choose of it."""
    return await _report(request, service, client, given.chosen(), syntax)


@_HISTORY.get(router, "/conformance/history")
async def history(
    _: Annotated[Negotiated, Query()], service: Served, syntax: Annotated[Format, Depends(_HISTORY.chosen)]
) -> Response:
    """Return the verdict and the counts of each release of this server, and what changed since the one before."""
    found = await run_in_threadpool(releases, service.release.home)
    return Response(write_history(found, syntax), media_type=syntax.media_type)


@_REPORT.get(router, "/conformance/{profile}")
async def of_profile(
    request: Request,
    profile: str,
    given: Annotated[ReportParameters, Query()],
    service: Served,
    client: Client,
    syntax: Annotated[Format, Depends(_REPORT.chosen)],
) -> Response:
    """Return the part of the conformance report that one profile makes, such as `completeness`."""
    return await _report(request, service, client, given.chosen(profile=profile), syntax)


@_FINDING.get(router, "/id/finding/{name}")
async def finding(
    request: Request,
    name: str,
    _: Annotated[ReportParameters, Query()],
    service: Served,
    _syntax: Annotated[Format, Depends(_FINDING.chosen)],
) -> Response:
    """Redirect from the IRI of a finding to the part of the report that lists it."""
    report = await run_in_threadpool(lambda: service.release.report)
    if name not in {each.id for each in report.findings}:
        raise NotFound(f'No finding "{name}" in the report on this release; all are listed at /conformance.')
    suffix = request.path_params.get("suffix", "")
    more = f"&{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"/conformance{suffix}?q={quote(name)}{more}", 303)


async def _report(request: Request, service: Service, client: str, chosen: Selection, syntax: Format) -> Response:
    report = await run_in_threadpool(_selected, service.release, chosen)
    if syntax == PDF:  # which takes a core for a second
        with StopWhenLeft(request):
            return Response(await service.validator.pdf(report, client), media_type=PDF.media_type)
    return Response(await run_in_threadpool(write, report, syntax), media_type=syntax.media_type)


def _selected(release: Release, chosen: Selection) -> Report:
    report = release.report
    return (replace(report, things=release.things) if chosen.focus else report).selected(chosen)
