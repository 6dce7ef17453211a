"""For researchers: the saved queries, each an address with parameters."""

from difflib import get_close_matches
from time import monotonic
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from itukg.engine.describe import answer_query
from itukg.engine.sparql import read_query
from itukg.engine.store import Dataset
from itukg.errors import BadRequest, MemoryLimit, NotAcceptable, NotFound, NotSupported
from itukg.formats import HTML, Format
from itukg.queries import Parameter, SavedQuery
from itukg.views.ask import FIRMNESS, QUERY, write_ask
from itukg.views.listing import MAX_PAGE_SIZE, empty_page
from itukg.views.saved import (
    ANSWER_FORMATS,
    CATALOG_FORMATS,
    first_rows,
    sorted_by,
    terms_of,
    total_of,
    write_catalog,
    write_page,
)
from itukg.web.deps import Address, Answers, Client, Labelled, Negotiated, Served, Text
from itukg.web.lists import given_in
from itukg.web.problems import unknown_parameter

router = APIRouter()

_CATALOG, _ANSWER = Answers(CATALOG_FORMATS), Answers(ANSWER_FORMATS, (MemoryLimit,))
_ASK = Answers((HTML,), (NotAcceptable,))


class AnswerParameters(Labelled):
    """Those that every saved query has beside its own."""

    sort: Text | None = Field(None, description='The column by which rows are sorted, "-" before it for the reverse.')
    page: Text | None = Field(
        None, description="The number of the page, from 1; without page and size, all rows come at once."
    )
    size: Text | None = Field(None, description=f"Rows on a page, up to {MAX_PAGE_SIZE}.")


@_CATALOG.get(router, "/queries")
async def saved_queries(
    _: Annotated[Labelled, Query()], service: Served, syntax: Annotated[Format, Depends(_CATALOG.chosen)]
) -> Response:
    """Return the saved queries with their parameters: the questions that researchers, partners and auditors ask."""
    queries = [*service.release.saved.values()]
    content = await write_catalog(service.store, service.release.overview, queries, syntax)
    return Response(content, media_type=syntax.media_type)


@_ANSWER.get(router, "/queries/{name}")
async def answer(
    request: Request,
    name: str,
    service: Served,
    client: Client,
    at: Address,
    syntax: Annotated[Format, Depends(_ANSWER.chosen)],
) -> Response:
    """Return the answer to a saved query, which has its own parameters: /queries lists them."""
    saved = service.release.saved
    if name not in saved:
        near = get_close_matches(name, saved, 5, 0.4)
        nearest = f"nearest: {', '.join(near)}; " if near else ""
        raise NotFound(f'No saved query "{name[:80]}"; {nearest}/queries lists all.')
    query, given = saved[name], given_in(request)
    known = [*(each.name for each in query.parameters), *AnswerParameters.model_fields]
    for other in request.query_params:
        if other not in known:
            raise BadRequest(unknown_parameter(other, known))
    store, overview = service.store, service.release.overview
    text = query.bound(**await terms_of(store, overview, query, given))
    text = sorted_by(query, text, given["sort"]) if "sort" in given else text
    headers = {}
    if syntax is HTML or given.keys() & {"page", "size"}:
        total, first = await first_rows(store, text) if syntax is HTML else (await total_of(store, text), [])
        page = empty_page(total, query.summary, f"{at}/queries/{name}", given, what="the answer has {} rows")
        links = page.links().items()
        headers["Link"] = ", ".join(f'<{link}>; rel="{relation}"' for relation, link in links)
        if syntax is HTML:
            return Response(
                await write_page(store, overview, query, page, text, first), headers=headers, media_type=HTML.media_type
            )
        text += f"\nLIMIT {page.size} OFFSET {(page.number - 1) * page.size}"
    deadline = monotonic() + service.settings.timeout
    found = await answer_query(store, read_query(text), Dataset(), syntax, deadline=deadline, client=client)
    headers["Server-Timing"] = f"engine;dur={found.seconds * 1000:.1f}"
    return Response(await found.read(), headers=headers, media_type=found.media_type)


class AskParameters(Negotiated):
    """The parts of the sentence, by the names of the parameters of the saved query that answers it."""

    class_: Text | None = Field(None, alias="class", description="The kind of thing, by a class; all unless given.")
    plan: Text | None = Field(None, description="Whose things; of all plans unless given.")
    aim: Text | None = Field(None, description="What they serve: an SDG, an action line or an instrument.")
    up_to: Text | None = Field(None, alias="upTo", description=f"How far the answer goes: {', '.join(FIRMNESS)}.")
    page: Text | None = Field(None, description="The number of the page, from 1.")
    size: Text | None = Field(None, description=f"Things on a page, up to {MAX_PAGE_SIZE}.")


@_ASK.get(router, "/ask")
async def ask(
    request: Request,
    _: Annotated[AskParameters, Query()],
    service: Served,
    at: Address,
    _syntax: Annotated[Format, Depends(_ASK.chosen)],
) -> Response:
    """Return a page that puts a question together as a sentence, and answers it by the saved query who-serves."""
    release = service.release
    if QUERY not in release.saved:
        raise NotSupported(f"This release has no saved query {QUERY}; /queries lists those that it has.")
    query = release.saved[QUERY]
    given = {name: value for name, value in given_in(request).items() if name != "format"}
    content = await write_ask(service.store, release.overview, query, given, at)
    return Response(content, media_type=HTML.media_type)


def operations(queries: list[SavedQuery]) -> dict[str, Any]:
    """Return the saved queries as OpenAPI path items."""
    properties = AnswerParameters.model_json_schema()["properties"]
    shared = [_parameter(name, schema["description"]) for name, schema in properties.items()]
    responses = {str(status): each for status, each in _ANSWER.responses().items()}
    return {
        f"/queries/{query.name}": {
            "get": {
                "summary": query.summary,
                "description": query.description,
                "operationId": query.name,
                "tags": list(query.tags),
                "parameters": [*(_parameter(p.name, _said(p), p.shown) for p in query.parameters), *shared],
                "responses": responses,
            }
        }
        for query in queries
    }


def _said(parameter: Parameter) -> str:
    codes = "" if parameter.kind in ("text", "number") else ": an IRI, a prefixed name, a path below /id/, or a code"
    return f"{parameter.kind[0].upper()}{parameter.kind[1:]}{codes}; {parameter.shown or 'all'} unless given."


def _parameter(name: str, description: str, default: str = "") -> dict[str, Any]:
    schema = {"type": "string"} | ({"default": default} if default else {})
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}
