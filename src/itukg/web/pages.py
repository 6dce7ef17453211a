"""For people and operators: the front page, the interface described, health and readiness."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from itukg import names
from itukg.catalog import for_search_engines
from itukg.dumps import PLAIN
from itukg.errors import NotReady
from itukg.formats import HTML, JSON, write_json
from itukg.html import render
from itukg.jsonld import frames
from itukg.schemas import SCHEMAS
from itukg.store import Store, rows
from itukg.web.answers import Kept
from itukg.web.interface import Route, described
from itukg.web.service import address, service_of

router = APIRouter(route_class=Route)


@router.get("/", **described([HTML]))
async def home(request: Request) -> Response:
    """Return the front page: what this is, the plans, three ways in."""
    service = service_of(request)
    plans = await _plans(service.store)
    example = plans[0]["iri"] if plans else names.ONTOLOGY
    page = render(
        "home.html",
        plans=plans,
        example=example,
        release=service.release.name,
        triples=service.release.manifest["merged"],
        dataset=for_search_engines(service.release, address(request)),
    )
    return Kept(page, HTML.media_type)


@router.get("/openapi.json", **described([JSON]), include_in_schema=False)
async def openapi(request: Request) -> Response:
    """Return the OpenAPI description of the routes."""
    return Kept(write_json(request.app.openapi()), JSON.media_type)


@router.get("/docs", **described([HTML]))
async def docs(request: Request) -> Response:
    """Show the OpenAPI description to people."""
    page = render("docs.html", api=request.app.openapi(), frames=frames(), schemas=SCHEMAS, example=names.ITU + "plan")
    return Kept(page, HTML.media_type)


@router.get("/metrics", **described([PLAIN], kept=False))
async def metrics(request: Request) -> Response:
    """Return what this server has done, in the text format of Prometheus."""
    return Response(generate_latest(service_of(request).counts.registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)


@router.get("/healthz", **described([JSON], kept=False))
async def healthz() -> Response:
    """Tell that the process is alive."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz", **described([JSON], kept=False))
async def readyz(request: Request) -> JSONResponse:
    """Tell whether queries are answered: 503 until they are."""
    service = service_of(request)
    if not await rows(service.store, "SELECT ?s WHERE { ?s ?p ?o } LIMIT 1"):
        raise NotReady("The store holds nothing. Build a release with: itukg build, or load it with: itukg load")
    return JSONResponse({"status": "ready", "release": service.release.name})


async def _plans(store: Store) -> list[dict[str, str]]:
    itu, rdfs = names.ITU, names.PREFIXES["rdfs"]
    found = await rows(
        store,
        f"SELECT ?iri ?label ?status WHERE {{ ?iri a <{itu}Plan> ; <{rdfs}label> ?label ; <{itu}status> ?status }} ORDER BY ?iri",
    )
    return [{key: term.value for key, term in row.items()} for row in found]
