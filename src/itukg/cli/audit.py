"""Commands for auditors: where the money goes, what is missing, and which risks the plans name."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from itukg.engine.store import Store
    from itukg.formats import Format
    from itukg.release.overview import Overview
from itukg.cli.command import Output, built, settings_of, with_store, write_rows

Plan = Annotated[str | None, typer.Option(help="Only this plan, such as bap-2026-2029.")]
Syntax = Annotated[str | None, typer.Option(help="csv, xlsx, json or html. By default csv, and a table on a terminal.")]


def budget(
    by: Annotated[str, typer.Option(help="priority, topic, category, goal, target or actionLine.")] = "priority",
    rule: Annotated[
        str, typer.Option(help="How an amount that serves several counts: whole, equal, by-count.")
    ] = "whole",
    plan: Annotated[str | None, typer.Option(help="A plan with amounts; by default the newest.")] = None,
    basis: Annotated[str | None, typer.Option(help="Only links of this basis, such as derived.")] = None,
    format: Syntax = None,
    output: Output = "-",
) -> None:
    """Print a plan's money as printed and as computed, by what it is for or by what it serves.

    Example: itukg budget --by goal --rule equal --format xlsx -o budget.xlsx
    """
    from itukg.views.budget import BUDGET_FORMATS, write_budget
    from itukg.views.budget import budget as budget_of

    async def answer(store: "Store", overview: "Overview", syntax: "Format") -> bytes:
        return write_budget(await budget_of(store, overview, by, rule=rule, plan=plan, basis=basis), "", syntax)

    _print(answer, BUDGET_FORMATS, format, output)


def gaps(
    plan: Plan = None,
    level: Annotated[str | None, typer.Option("--class", help="A class of the plan's things, such as output.")] = None,
    columns: Annotated[str | None, typer.Option(help="What they may be linked with, such as sdgTarget.")] = None,
    format: Syntax = None,
    output: Output = "-",
) -> None:
    """Print what the documents leave open; with --class and --columns also which things are linked with nothing.

    Example: itukg gaps --plan buap-2018-2021 --class output --columns sdgTarget
    """
    from itukg.formats import HTML
    from itukg.views.gaps import GAP_FORMATS, gaps_page, write_gaps
    from itukg.views.gaps import gaps as gaps_of

    async def answer(store: "Store", overview: "Overview", syntax: "Format") -> bytes:
        found = await gaps_of(store, overview, plan=plan, level=level, columns=columns)
        return await gaps_page(store, overview, found) if syntax is HTML else write_gaps(found, "", syntax)

    _print(answer, GAP_FORMATS, format, output)


def risks(plan: Plan = None, format: Syntax = None, output: Output = "-") -> None:
    """Print the risks that plans name, with their ratings and mitigations.

    Example: itukg risks --plan op-2026
    """
    from itukg.formats import HTML
    from itukg.views.risks import RISK_FORMATS, risks_page, write_risks
    from itukg.views.risks import risks as risks_of

    async def answer(store: "Store", overview: "Overview", syntax: "Format") -> bytes:
        found = await risks_of(store, overview, plan=plan)
        return await risks_page(store, overview, found) if syntax is HTML else write_risks(found, syntax)

    _print(answer, RISK_FORMATS, format, output)


def _print(
    answer: Callable[["Store", "Overview", "Format"], Awaitable[bytes]],
    offers: "tuple[Format, ...]",
    format: str | None,
    output: str,
) -> None:
    """Choose the syntax among `offers`, and print what `answer` returns."""
    from itukg.formats import choose

    settings = settings_of()
    syntax = choose(offers, None, format or "csv")
    overview = built(settings).overview

    async def write(store: "Store") -> None:
        write_rows(await answer(store, overview, syntax), format, output)

    with_store(settings, write)
