"""For machines: what this service and its data are, which queries to start from, and where crawlers stay out."""

from functools import lru_cache
from pathlib import Path
from typing import Annotated

import pyoxigraph as ox
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from itukg import names
from itukg.formats import GRAPH_FORMATS, HTML, JSON, Format
from itukg.graphs import write_graph
from itukg.release.dumps import PLAIN
from itukg.release.void import service_description
from itukg.views.completion import completion
from itukg.views.query_page import query_page
from itukg.web.deps import Address, Answers, Negotiated, Parameters, Served, address_of
from itukg.web.service import Service

router = APIRouter()

ROBOTS = b"User-agent: *\nDisallow: /sparql?\nDisallow: /ask?\nDisallow: /matrix?\nDisallow: /matrix.\nDisallow: /embed/\nDisallow: /conformance?\nDisallow: /data/*/diff/\nDisallow: /*?release=\n"

_RDF = Answers(GRAPH_FORMATS)
_RDF_OR_PAGE = Answers((*GRAPH_FORMATS, HTML))
_PLAIN, _JSON = Answers((PLAIN,)), Answers((JSON,))
_ENDPOINT = names.BASE + "here"
"""Stands for the endpoint's address in a cached description; the address is put in as the answer leaves."""


@_RDF.get(router, "/.well-known/void")
async def void(
    _: Annotated[Negotiated, Query()], service: Served, at: Address, syntax: Annotated[Format, Depends(_RDF.chosen)]
) -> Response:
    """Describe the release (VoID) and the SPARQL service, as RDF."""
    return await _void(service, at, syntax)


@_RDF.get(router, "/.well-known/sparql-examples")
@_RDF.get(router, "/sparql/.well-known/sparql-examples")
async def examples(
    _: Annotated[Negotiated, Query()], service: Served, syntax: Annotated[Format, Depends(_RDF.chosen)]
) -> Response:
    """Return the saved queries as RDF (`sh:SPARQLExecutable`), where editors look for them."""
    content = await run_in_threadpool(_written, service.release.queries, syntax)
    return Response(content, media_type=syntax.media_type)


@_PLAIN.get(router, "/robots.txt")
async def robots(_: Annotated[Parameters, Query()]) -> Response:
    """Keep crawlers out of addresses without end."""
    return Response(ROBOTS, media_type=PLAIN.media_type)


@_JSON.get(router, "/sparql/completion")
async def completed(_: Annotated[Parameters, Query()], service: Served) -> Response:
    """Return what an editor of queries completes: prefixes, classes with their properties, and the values of lists."""
    return Response(await completion(service.store, service.release.overview), media_type=JSON.media_type)


async def bare_endpoint(request: Request, service: Service, pairs: list[tuple[str, str]]) -> Response:
    """Answer a request without a query: with the description of the service, or for people a page to query from."""
    syntax = await _RDF_OR_PAGE.chosen(request)
    if syntax is not HTML:
        return await _void(service, await address_of(request), syntax)
    page = query_page(service.release.saved, pairs, seconds=service.settings.timeout)
    return Response(page, media_type=HTML.media_type)


async def _void(service: Service, at: str, syntax: Format) -> Response:
    """Describe the service that is reached at an address, and its datasets."""
    content = await run_in_threadpool(_described, service.release.void, syntax)
    described = content.replace(_ENDPOINT.encode(), f"{at}/sparql".encode())
    return Response(described, media_type=syntax.media_type)


# Cached per file and syntax, never per host: the Host header comes from outside, and would fill the cache.
@lru_cache(maxsize=16)
def _described(file: Path, syntax: Format) -> bytes:
    return write_graph(service_description(_triples(file), _ENDPOINT), syntax)


@lru_cache(maxsize=16)
def _written(file: Path, syntax: Format) -> bytes:
    return write_graph(_triples(file), syntax)


def _triples(file: Path) -> list[ox.Triple]:
    return [quad.triple for quad in ox.parse(file.read_bytes(), format=ox.RdfFormat.N_TRIPLES)]
