"""For auditors: the conformance report on the served release, and its history."""

from dataclasses import replace
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse
from pydantic import Field

from itukg.conformance import (
    HISTORY_FORMATS,
    REPORT_FORMATS,
    Report,
    Selection,
    Site,
    write,
    write_finding,
    write_history,
    write_history_page,
    write_part,
)
from itukg.errors import BadRequest, NotFound
from itukg.formats import HTML, PDF, Format
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


class PartParameters(ReportParameters):
    """Those of a report of which pages show a part at a time."""

    page: int = Field(1, ge=1, description="The number of the page of a selection, from 1; of HTML only.")


@_REPORT.get(router, "/conformance")
async def conformance(
    request: Request,
    given: Annotated[PartParameters, Query()],
    service: Served,
    client: Client,
    syntax: Annotated[Format, Depends(_REPORT.chosen)],
) -> Response:
    """Return the conformance report, or what `profile`, `plan`, `shape`, `focus`, `severity`, `actor`, `status` and `q` choose of it."""
    return await _report(request, service, client, given, syntax)


@_HISTORY.get(router, "/conformance/history")
async def history(
    _: Annotated[Negotiated, Query()], service: Served, syntax: Annotated[Format, Depends(_HISTORY.chosen)]
) -> Response:
    """Return the verdict and the counts of each release of this server, and what changed since the one before."""
    found = await run_in_threadpool(releases, service.release.home)
    content = write_history_page(found) if syntax == HTML else write_history(found, syntax)
    return Response(content, media_type=syntax.media_type)


@_REPORT.get(router, "/conformance/{profile}")
async def of_profile(
    request: Request,
    profile: str,
    given: Annotated[PartParameters, Query()],
    service: Served,
    client: Client,
    syntax: Annotated[Format, Depends(_REPORT.chosen)],
) -> Response:
    """Return the part of the conformance report that one profile makes, such as `completeness`."""
    return await _report(request, service, client, given, syntax, profile)


@_FINDING.get(router, "/id/finding/{name}")
async def finding(
    request: Request,
    name: str,
    given: Annotated[Labelled, Query()],
    service: Served,
    syntax: Annotated[Format, Depends(_FINDING.chosen)],
) -> Response:
    """Return the page of a finding; in another syntax, redirect to the part of the report that lists it."""
    report = await run_in_threadpool(lambda: service.release.report)
    found = next((each for each in report.findings if each.id == name), None)
    if found is None:
        raise NotFound(f'No finding "{name}" in the report on this release; all are listed at /conformance.')
    if syntax == HTML:
        page = write_finding(report, found, _site(service, given.release))
        return Response(page, media_type=syntax.media_type)
    suffix = request.path_params.get("suffix", "")
    more = f"&{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"/conformance{suffix}?q={quote(name)}{more}", 303)


async def _report(
    request: Request,
    service: Service,
    client: str,
    given: PartParameters,
    syntax: Format,
    profile: str | None = None,
) -> Response:
    if syntax != HTML and given.page != 1:
        raise BadRequest("Only a page of HTML has a number: in every other syntax the report comes whole.")
    report = await run_in_threadpool(_selected, service.release, given.chosen(profile=profile))
    if syntax == PDF:  # which takes a core for a second
        with StopWhenLeft(request):
            return Response(await service.validator.pdf(report, client), media_type=PDF.media_type)
    if syntax == HTML:
        content = await run_in_threadpool(write_part, report, _site(service, given.release), given.page)
    else:
        content = await run_in_threadpool(write, report, syntax)
    return Response(content, media_type=syntax.media_type)


def _site(service: Service, named: str | None) -> Site:
    """Return what pages say and link beyond the report: the labels of plans, and the release that the request names, if any."""
    plans = {plan.notation: plan.label for plan in service.release.overview.values["plan"]}
    return Site(plans, service.release.name if named else "")


def _selected(release: Release, chosen: Selection) -> Report:
    report = release.report
    return (replace(report, things=release.things) if chosen.focus else report).selected(chosen)
