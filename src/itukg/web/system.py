"""For people and operators: the front page, the glossary, the interface described, health, readiness and metrics."""

import asyncio
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from itukg import names
from itukg.engine.store import rows
from itukg.errors import NotFound, NotReady
from itukg.formats import HTML, JSON, write_json
from itukg.pages import render
from itukg.pages.assets import PREFIX, assets
from itukg.rdf.jsonld import frames
from itukg.rdf.schemas import SCHEMAS
from itukg.release.catalog import for_search_engines
from itukg.release.dumps import PLAIN
from itukg.views.home import front_page
from itukg.web.deps import Address, Answers, Parameters, Served
from itukg.web.middleware import IMMUTABLE, NO_STORE
from itukg.web.writing import InTurn

READY_SECONDS = 1.5
"""Seconds in which the store must answer for the service to be called ready."""

router = APIRouter()

_HTML, _JSON = Answers((HTML,)), Answers((JSON,))
_STATE, _METRICS = Answers((JSON,), varying=True), Answers((PLAIN,), varying=True)


@_HTML.get(router, "/")
async def home(_: Annotated[Parameters, Query()], service: Served, at: Address) -> Response:
    """Return the front page: what this is, the plans, three ways in."""
    timeline, goals = await front_page(service.store)
    page = render(
        "home.html",
        timeline=timeline,
        goals=goals,
        release=service.release.name,
        built=service.release.built,
        report=service.release.report,
        unverified=service.release.unverified,
        triples=service.release.manifest["merged"],
        dataset=for_search_engines(service.release, at),
    )
    return Response(page, media_type=HTML.media_type)


@_HTML.get(router, "/glossary")
async def glossary(_: Annotated[Parameters, Query()]) -> Response:
    """Explain the words of the graph, its pages and reports, each with an example."""
    return Response(render("glossary.html"), media_type=HTML.media_type)


@router.get(f"{PREFIX}/{{digest}}/{{name}}", include_in_schema=False)
async def asset(request: Request, digest: str, name: str, _: Annotated[Parameters, Query()]) -> Response:
    """Return a file that pages load: its address holds a hash of its content, and so it never changes."""
    found = assets().get(name)
    if found is None or found.address != f"{PREFIX}/{digest}/{name}":
        raise NotFound(f"No file {request.url.path} here; pages of this version name the files that they load.")
    return Response(found.content, headers=IMMUTABLE | {"Vary": "Accept-Encoding"}, media_type=found.media_type)


@router.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request, _: Annotated[Parameters, Query()]) -> Response:
    """Return the OpenAPI description of the routes."""
    return Response(write_json(request.app.openapi()), media_type=JSON.media_type)


@_HTML.get(router, "/docs")
async def docs(request: Request, _: Annotated[Parameters, Query()], in_turn: InTurn) -> Response:
    """Show the OpenAPI description to people."""
    api, example = request.app.openapi(), names.ITU + "plan"
    page = partial(render, "docs.html", api=api, frames=frames(), schemas=SCHEMAS, example=example)
    return Response(await in_turn(page), media_type=HTML.media_type)


@_METRICS.get(router, "/metrics")
async def metrics(_: Annotated[Parameters, Query()], service: Served) -> Response:
    """Return what this server has done, in the text format of Prometheus."""
    content = generate_latest(service.metrics.registry)
    return Response(content, headers=NO_STORE, media_type=CONTENT_TYPE_PLAIN_0_0_4)


@_STATE.get(router, "/healthz")
async def healthz(_: Annotated[Parameters, Query()]) -> Response:
    """Tell that the process is alive."""
    return JSONResponse({"status": "ok"}, headers=NO_STORE)


@_STATE.get(router, "/readyz")
async def readyz(_: Annotated[Parameters, Query()], service: Served) -> Response:
    """Tell whether queries are answered: 503 until they are."""
    try:
        async with asyncio.timeout(READY_SECONDS):
            found = await rows(service.store, "SELECT ?s WHERE { ?s ?p ?o } LIMIT 1")
    except TimeoutError:
        raise NotReady(f"The store gives no answer within {READY_SECONDS:g} s.") from None
    if not found:
        raise NotReady("The store holds nothing. Build a release with: itukg build, or load it with: itukg load")
    refused = {"refused": service.refused} if service.refused else {}
    return JSONResponse({"status": "ready", "release": service.release.name, **refused}, headers=NO_STORE)
