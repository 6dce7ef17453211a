"""For everybody: full text."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from itukg.formats import HTML, Format
from itukg.views.listing import LIST_FORMATS, in_order, page_of, select, selection
from itukg.views.search import narrowed, search, write_search
from itukg.web import lists
from itukg.web.deps import Address, Answers, Served, Text

router = APIRouter()

_LIST = Answers(LIST_FORMATS)
_FACETS = ("class", "plan")
"""The filters of which a page counts what each value would leave."""


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
    """Return the things in which the words of `?q=` stand, or words that begin with them; the best first.

    Records of links and of lineage are among them only where `class` asks for them.
    """
    given, path, overview = lists.given_in(request), service.release.index, service.release.overview
    chosen = selection(overview, given)
    words = given.get("q", "")
    items = await asyncio.to_thread(search, path, words, records="class" in given) if words else []
    title, address = f"Search for “{words}”" if words else "Search", f"{at}/search"
    every = items  # before a kind and a plan were chosen
    if others := selection(overview, {name: value for name, value in given.items() if name not in _FACETS}):
        items = every = narrowed(items, await select(service.store, others))
    if chosen != others:
        items = narrowed(items, await select(service.store, chosen))
    if "sort" in given:
        items = in_order(items, chosen.sort)
    if syntax is not HTML:
        return lists.answer(items, syntax, overview, title=title, address=address, given=given, query=words)
    page = page_of(items, title, address, given)
    content = await asyncio.to_thread(write_search, page, overview, path, every)
    return Response(content, headers={"Link": lists.link_header(page)}, media_type=syntax.media_type)
