"""For everybody: full text."""

import asyncio

from fastapi import APIRouter, Request, Response

from itukg.lists import LIST_FORMATS, in_order, known, select, selection
from itukg.search import narrowed, search
from itukg.web import listing
from itukg.web.interface import Route, described
from itukg.web.service import known_suffix, service_of, wanted

router = APIRouter(route_class=Route)

_SEARCH = described(LIST_FORMATS, {"q": "Words or codes."} | listing.PARAMETERS)


@router.get("/search", **_SEARCH)
@router.get("/search{suffix}", **_SEARCH, include_in_schema=False)
async def full_text(request: Request, suffix: str = "") -> Response:
    """Return the things in which the words of `?q=` stand, or words that begin with them; the best first."""
    service = service_of(request)
    syntax = wanted(request, LIST_FORMATS, known_suffix("/search", suffix, LIST_FORMATS))
    given = listing.parameters(request, suffix)
    chosen = await selection(service.store, given)
    items = await asyncio.to_thread(search, service.release.index, given["q"]) if "q" in given else []
    if chosen:
        items = narrowed(items, await select(service.store, chosen))
    if "sort" in given:
        items = in_order(items, chosen.sort)
    about, query = await known(service.store), given.get("q", "")
    title = f"Search for “{query}”" if query else "Search"
    return listing.answer(request, items, syntax, about, title=title, path="/search", given=given, query=query)
