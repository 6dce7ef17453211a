"""For partners: every thing under its own IRI, and the context."""

from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from itukg import names
from itukg.errors import BadRequest, Gone, NotFound
from itukg.formats import JSONLD, THING_FORMATS, Format, split_suffix, write_json
from itukg.html import address as address_of
from itukg.jsonld import context, frames
from itukg.lists import LIST_FORMATS, known, select, selection
from itukg.schemas import SCHEMAS, schema
from itukg.things import describe, is_told
from itukg.web import listing
from itukg.web.answers import Kept
from itukg.web.interface import Route, check, described
from itukg.web.service import FORMS, known_suffix, service_of, wanted, wanted_graph

router = APIRouter(route_class=Route)

SCHEMA = Format("application/schema+json", ".json")

_EITHER = tuple(dict.fromkeys((*THING_FORMATS, *LIST_FORMATS)))
_LISTS = described(LIST_FORMATS, listing.PARAMETERS)
_THING = described(THING_FORMATS, FORMS, Gone, moved=301)


@router.get("/id", **_LISTS)
@router.get("/id{suffix}", **_LISTS, include_in_schema=False)
async def things(request: Request, suffix: str = "") -> Response:
    """Return a list of things that fit the filters; without any, of the plans."""
    return await _list(request, "", known_suffix("/id", suffix, LIST_FORMATS))


@router.get("/id/{path:path}", **described(_EITHER, FORMS | listing.PARAMETERS, Gone, moved=301))
async def thing(request: Request, path: str) -> Response:
    """Return a thing with its links, both ways, and their evidence; of a path that is no thing, the list of those below it.

    A thing comes as JSON-LD, HTML, Turtle, N-Triples or RDF/XML, a list as JSON-LD, HTML, CSV or XLSX.
    """
    store = service_of(request).store
    folder, suffix = split_suffix(path, LIST_FORMATS)
    folders = (await known(store)).folders
    if folder in folders and not await is_told(store, names.THINGS + folder):
        check(request, _LISTS["openapi_extra"])
        return await _list(request, folder, suffix)
    check(request, _THING["openapi_extra"])
    try:
        return await _thing(request, names.THINGS, path)
    except NotFound as error:
        above = path.rpartition("/")[0]
        below = sorted(each.removeprefix(f"{above}/") for each in folders if each.rpartition("/")[0] == above)
        if not above or not below:
            raise
        raise NotFound(f"{error} Lists below /id/{above}: {', '.join(below)}.") from None


@router.get("/sdg/{path:path}", **_THING)
async def sdg_thing(request: Request, path: str) -> Response:
    """Return a Goal or target of the United Nations, as this graph knows it."""
    return await _thing(request, names.SDG, path)


@router.get("/resource", **described(THING_FORMATS, {"iri": "The IRI."} | FORMS, Gone, required=["iri"], moved=301))
async def resource(request: Request) -> Response:
    """Return what the graph says of any IRI that it speaks of, by `?iri=`. Nothing is fetched."""
    match request.query_params.getlist("iri"):
        case [iri] if iri:
            return await _described(request, iri, None)
        case _:
            raise BadRequest('Name one IRI: "/resource?iri=…", percent-encoded.')


@router.get("/context/v1.jsonld", **described([JSONLD]))
async def json_ld_context() -> Response:
    """Return the JSON-LD context. Before release 1.0 it may still grow."""
    return Kept(write_json(context()), JSONLD.media_type)


@router.get("/frames/{name}.jsonld", **described([JSONLD]))
async def frame(name: str) -> Response:
    """Return a JSON-LD frame, which `?frame=` applies."""
    if name not in frames():
        raise NotFound(f'No frame "{name}"; known: {", ".join(frames())}.')
    return Kept(write_json(frames()[name]), JSONLD.media_type)


@router.get("/schemas/{name}.json", **described([SCHEMA]))
async def json_schema(name: str) -> Response:
    """Return the JSON Schema (2020-12) of a form of JSON that is served here."""
    if name not in SCHEMAS:
        raise NotFound(f'No schema "{name}"; known: {", ".join(SCHEMAS)}.')
    return Kept(write_json(schema(name)), SCHEMA.media_type)


async def _thing(request: Request, namespace: str, path: str) -> Response:
    path, suffix = split_suffix(path, THING_FORMATS)
    return await _described(request, namespace + path, suffix)


async def _list(request: Request, folder: str, suffix: str | None) -> Response:
    store = service_of(request).store
    syntax = wanted(request, LIST_FORMATS, suffix)
    given = listing.parameters(request, suffix)
    chosen = await selection(store, given, folder)
    title = f"Things below /id/{folder}" if folder else "Things"
    if not chosen and not folder:
        chosen, title = await selection(store, {**given, "class": names.ITU + "Plan"}), "Plans"
    path = f"/id/{folder}" if folder else "/id"
    items, about = await select(store, chosen), await known(store)
    return listing.answer(request, items, syntax, about, title=title, path=path, given=given)


async def _described(request: Request, iri: str, suffix: str | None) -> Response:
    syntax = wanted_graph(request, THING_FORMATS, suffix)
    try:
        content = await describe(service_of(request).store, iri, syntax)
    except Gone as gone:
        match gone.successors:
            case [successor]:
                return _moved(request, successor, f".{suffix}" if suffix else "")
            case _:
                raise
    return Kept(content, syntax.media_type)


def _moved(request: Request, successor: str, suffix: str) -> Response:
    """Send a client on to what replaces a retired thing, in the same syntax and with the same query."""
    address = address_of(successor)
    query = "&".join(f"{key}={quote(value)}" for key, value in request.query_params.multi_items() if key != "iri")
    if address.startswith("/resource?"):
        query = "&".join(part for part in (query, suffix and f"format={suffix[1:]}") if part)
        suffix = ""
    joined = f"{'&' if '?' in address else '?'}{query}" if query else ""
    return RedirectResponse(f"{address}{suffix}{joined}", 301)
