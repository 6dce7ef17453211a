"""For everybody: full text."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from itukg.formats import Format
from itukg.views.listing import LIST_FORMATS, in_order, select, selection
from itukg.views.search import narrowed, search
from itukg.web import lists
from itukg.web.deps import Address, Answers, Served, Text

router = APIRouter()

_LIST = Answers(LIST_FORMATS)


class SearchParameters(lists.ListParameters):
    """Those of a list, and the words that are looked for."""

    q: Text | None = Field(None, description="Words or codes.")


@_LIST.get(router, "/search")
async def full_text(
    request: Request,
    _: Annotated[SearchParameters, Query()],
    service: Served,
    at: Address,
    syntax: Annotated[Format, Depends(_LIST.chosen)],
) -> Response:
    """Return the things in which the words of `?q=` stand, or words that begin with them; the best first."""
    given = lists.given_in(request)
    chosen = selection(service.release.overview, given)
    items = await asyncio.to_thread(search, service.release.index, given["q"]) if "q" in given else []
    if chosen:
        items = narrowed(items, await select(service.store, chosen))
    if "sort" in given:
        items = in_order(items, chosen.sort)
    overview, query = service.release.overview, given.get("q", "")
    title = f"Search for “{query}”" if query else "Search"
    return lists.answer(items, syntax, overview, title=title, address=f"{at}/search", given=given, query=query)
