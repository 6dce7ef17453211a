"""For partners: every thing under its own IRI, lists of things, and the JSON-LD context."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import AfterValidator, Field

from itukg import names
from itukg.errors import Gone, NotAcceptable, NotFound
from itukg.formats import HTML, JSONLD, PICTURE_FORMATS, THING_FORMATS, Format, write_json
from itukg.pages import address as address_for
from itukg.rdf.jsonld import context, context_name, frames
from itukg.rdf.schemas import SCHEMAS, schema
from itukg.views.listing import LIST_FORMATS, select, selection
from itukg.views.network import picture_of_thing
from itukg.views.profile import profile_page
from itukg.views.served import served_page
from itukg.views.thing import describe, is_told
from itukg.web import lists
from itukg.web.deps import Address, Answers, Formed, Negotiated, Parameters, Served, Text, address_of, refuse_others
from itukg.web.embedding import drawn, embedded
from itukg.web.lists import ListParameters
from itukg.web.middleware import IMMUTABLE
from itukg.web.service import Service
from itukg.web.writing import Written

router = APIRouter()

SCHEMA = Format("application/schema+json", ".json")

_LIST = Answers(LIST_FORMATS)
_THING = Answers(THING_FORMATS, (Gone,), moved=301)
_EITHER = Answers(tuple(dict.fromkeys((*THING_FORMATS, *LIST_FORMATS))), (Gone,), moved=301)
_EMBED = Answers((HTML,), (Gone, NotAcceptable))
_JSONLD, _SCHEMA = Answers((JSONLD,)), Answers((SCHEMA,))


class ThingOrListParameters(Formed, ListParameters):
    """Those of a thing, and those of a list."""


def _one(iris: list[str]) -> list[str]:
    if len(iris) != 1 or not iris[0]:
        raise ValueError('must name one IRI: "/resource?iri=…", percent-encoded')
    return iris


class ResourceParameters(Formed):
    """Those of a thing that is named by its IRI."""

    iri: Annotated[list[Text], AfterValidator(_one)] = Field(description="The IRI.")


@_LIST.get(router, "/id")
async def things(
    request: Request,
    _: Annotated[ListParameters, Query()],
    service: Served,
    at: Address,
    syntax: Annotated[Format, Depends(_LIST.chosen)],
) -> Response:
    """Return a list of things that fit the filters; without any, of the plans."""
    return await _list(request, service, at, "", syntax)


@_EITHER.get(router, "/id/{path:path}")
async def thing(
    request: Request, path: str, _: Annotated[ThingOrListParameters, Query()], service: Served, at: Address
) -> Response:
    """Return a thing with its links, both ways, and their evidence; of a path that is no thing, the list of those below it.

    A thing comes as JSON-LD, HTML, Turtle, N-Triples or RDF/XML, a list as JSON-LD, HTML, CSV or XLSX.
    """
    store, folders = service.store, service.release.overview.folders
    if path in folders and not await is_told(store, names.THINGS + path):
        refuse_others(request, ListParameters)
        return await _list(request, service, at, path, await _LIST.chosen(request))
    refuse_others(request, Formed)
    try:
        return await _described(request, service, names.THINGS + path, await _THING.formed(request))
    except NotFound as error:
        above = path.rpartition("/")[0]
        below = sorted(each.removeprefix(f"{above}/") for each in folders if each.rpartition("/")[0] == above)
        if not above or not below:
            raise
        raise NotFound(f"{error} Lists below /id/{above}: {', '.join(below)}.") from None


@_EMBED.get(router, "/embed/id/{path:path}")
async def embedded_thing(
    request: Request,
    path: str,
    _: Annotated[Negotiated, Query()],
    service: Served,
    _syntax: Annotated[Format, Depends(_EMBED.chosen)],
) -> Response:
    """Return a page with the picture of a thing's results chain, for frames of other sites."""
    return await _embedded(request, service, names.THINGS + path)


@_EMBED.get(router, "/embed/sdg/{path:path}")
async def embedded_sdg_thing(
    request: Request,
    path: str,
    _: Annotated[Negotiated, Query()],
    service: Served,
    _syntax: Annotated[Format, Depends(_EMBED.chosen)],
) -> Response:
    """Return a page with the picture of what is linked with a Goal or target, for frames of other sites."""
    return await _embedded(request, service, names.SDG + path)


@_THING.get(router, "/sdg/{path:path}")
async def sdg_thing(
    request: Request,
    path: str,
    _: Annotated[Formed, Query()],
    service: Served,
    syntax: Annotated[Format, Depends(_THING.formed)],
) -> Response:
    """Return a Goal or target of the United Nations, as this graph knows it."""
    return await _described(request, service, names.SDG + path, syntax)


@router.get("/resource", **_THING.described())
async def resource(
    request: Request,
    given: Annotated[ResourceParameters, Query()],
    service: Served,
    syntax: Annotated[Format, Depends(_THING.formed)],
) -> Response:
    """Return what the graph says of any IRI that it speaks of, by `?iri=`. Nothing is fetched."""
    return await _described(request, service, given.iri[0], syntax)


@_JSONLD.get(router, "/context/v1.jsonld")
async def json_ld_context(_: Annotated[Parameters, Query()]) -> Response:
    """Return the JSON-LD context. Before release 1.0 it may still grow."""
    return Response(write_json(context()), media_type=JSONLD.media_type)


@_JSONLD.get(router, "/context/{name}.jsonld")
async def immutable_json_ld_context(name: str, _: Annotated[Parameters, Query()]) -> Response:
    """Return the JSON-LD context as JSON-LD that is served here names it: by a hash of its content, so that it never changes."""
    if name != context_name():
        raise NotFound(f'No context "{name}"; known: v1, {context_name()}.')
    return Response(write_json(context()), headers=IMMUTABLE, media_type=JSONLD.media_type)


@_JSONLD.get(router, "/frames/{name}.jsonld")
async def frame(name: str, _: Annotated[Parameters, Query()]) -> Response:
    """Return a JSON-LD frame, which `?frame=` applies."""
    if name not in frames():
        raise NotFound(f'No frame "{name}"; known: {", ".join(frames())}.')
    return Response(write_json(frames()[name]), media_type=JSONLD.media_type)


@_SCHEMA.get(router, "/schemas/{name}.json")
async def json_schema(name: str, _: Annotated[Parameters, Query()]) -> Response:
    """Return the JSON Schema (2020-12) of a form of JSON that is served here."""
    if name not in SCHEMAS:
        raise NotFound(f'No schema "{name}"; known: {", ".join(SCHEMAS)}.')
    return Response(write_json(schema(name)), media_type=SCHEMA.media_type)


async def _list(request: Request, service: Service, at: str, folder: str, syntax: Format) -> Response:
    store, overview = service.store, service.release.overview
    given = lists.given_in(request)
    chosen = selection(overview, given, folder)
    title = f"Things below /id/{folder}" if folder else "Things"
    if not chosen and not folder:
        chosen, title = selection(overview, {**given, "class": names.ITU + "Plan"}), "Plans"
    address = f"{at}/id/{folder}" if folder else f"{at}/id"
    items = await select(store, chosen)
    return lists.answer(items, syntax, overview, title=title, address=address, given=given)


async def _described(request: Request, service: Service, iri: str, syntax: Format) -> Response:
    try:
        if syntax in PICTURE_FORMATS:
            picture = await picture_of_thing(service.store, service.release.overview.terms, iri, service.release.name)
            content = await drawn(picture, syntax, Written(request, service))
        elif syntax is HTML:
            page = await served_page(service.store, service.release.overview, iri)
            content = page or await profile_page(service.store, service.release, iri, await address_of(request))
        else:
            content = await describe(service.store, iri, syntax)
    except Gone as gone:
        match gone.successors:
            case [successor]:
                return _moved(request, successor)
            case _:
                raise
    return Response(content, media_type=syntax.media_type)


async def _embedded(request: Request, service: Service, iri: str) -> Response:
    picture = await picture_of_thing(service.store, service.release.overview.terms, iri, service.release.name)
    return await embedded(picture, request, Written(request, service))


def _moved(request: Request, successor: str) -> Response:
    """Send a client on to what replaces a retired thing, in the same syntax and with the same query."""
    address, suffix = address_for(successor), request.path_params.get("suffix", "")
    query = "&".join(f"{key}={quote(value)}" for key, value in request.query_params.multi_items() if key != "iri")
    if address.startswith("/resource?"):
        query = "&".join(part for part in (query, suffix and f"format={suffix[1:]}") if part)
        suffix = ""
    joined = f"{'&' if '?' in address else '?'}{query}" if query else ""
    return RedirectResponse(f"{address}{suffix}{joined}", 301)
