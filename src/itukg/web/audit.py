"""For auditors: where the money goes, what is missing, and which risks the plans name."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from itukg.formats import HTML, Format
from itukg.views.budget import BUDGET_FORMATS, BY, RULES, budget, write_budget
from itukg.views.gaps import GAP_FORMATS, gaps, gaps_page, write_gaps
from itukg.views.risks import RISK_FORMATS, risks, risks_page, write_risks
from itukg.web.deps import Address, Answers, Labelled, Served, Text, once, query_of
from itukg.web.writing import InTurn

router = APIRouter(dependencies=[Depends(once)])

_BUDGET = Answers(BUDGET_FORMATS)
_GAPS = Answers(GAP_FORMATS)
_RISKS = Answers(RISK_FORMATS)


class BudgetParameters(Labelled):
    """What money is divided by, and how."""

    by: Text = Field("priority", description=f"What it is divided by: {', '.join(BY)}.")
    rule: Text = Field("whole", description=f"How an amount that serves several is counted: {', '.join(RULES)}.")
    plan: Text | None = Field(None, description="A plan with amounts, such as op-2026; by default the newest.")
    basis: Text | None = Field(None, description="Only links of this basis, such as derived; by default all.")


@_BUDGET.get(router, "/budget")
async def money(
    request: Request,
    given: Annotated[BudgetParameters, Query()],
    service: Served,
    in_turn: InTurn,
    at: Address,
    syntax: Annotated[Format, Depends(_BUDGET.chosen)],
) -> Response:
    """Return a plan's money as printed and as computed, by what it is for or by what it serves, with what is linked with none."""
    overview = service.release.overview
    found = await budget(
        service.store,
        overview,
        given.by or "priority",
        rule=given.rule or "whole",
        plan=given.plan or None,
        basis=given.basis or None,
    )
    content = await in_turn(write_budget, found, at, syntax, query_of(request))
    return Response(content, media_type=syntax.media_type)


class GapParameters(Labelled):
    """The plan, and between what links are missing."""

    plan: Text | None = Field(None, description="Only what is missing in this plan, such as bap-2026-2029.")
    class_: Text | None = Field(
        None, alias="class", description="The level of the plan, such as output; needs columns."
    )
    columns: Text | None = Field(
        None, description="What its things may be linked with: sdgGoal, sdgTarget, actionLine, instrument; needs class."
    )


@_GAPS.get(router, "/gaps")
async def missing(
    request: Request,
    given: Annotated[GapParameters, Query()],
    service: Served,
    in_turn: InTurn,
    at: Address,
    syntax: Annotated[Format, Depends(_GAPS.chosen)],
) -> Response:
    """Return what the documents leave open, and with class and columns which things are linked with nothing."""
    overview = service.release.overview
    found = await gaps(service.store, overview, plan=given.plan, level=given.class_, columns=given.columns)
    if syntax is HTML:
        content = await gaps_page(service.store, overview, found, query_of(request))
    else:
        content = await in_turn(write_gaps, found, at, syntax, query_of(request))
    return Response(content, media_type=syntax.media_type)


class RiskParameters(Labelled):
    """What narrows the registers."""

    plan: Text | None = Field(None, description="Only the risks of this plan, such as op-2026.")


@_RISKS.get(router, "/risks")
async def registers(
    request: Request,
    given: Annotated[RiskParameters, Query()],
    service: Served,
    in_turn: InTurn,
    syntax: Annotated[Format, Depends(_RISKS.chosen)],
) -> Response:
    """Return the risks of the plans, with their statements, ratings and mitigations, and what the document leaves open."""
    found = await risks(service.store, service.release.overview, plan=given.plan or None)
    if syntax is HTML:
        content = await risks_page(service.store, service.release.overview, found, query_of(request))
    else:
        content = await in_turn(write_risks, found, syntax)
    return Response(content, media_type=syntax.media_type)
