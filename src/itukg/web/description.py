"""For machines: what this service and its data are, which queries to start from, and where crawlers stay out."""

from functools import lru_cache
from pathlib import Path

import pyoxigraph as ox
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from itukg import names
from itukg.corpus import Corpus
from itukg.dumps import PLAIN
from itukg.formats import GRAPH_FORMATS, HTML, TABLE_FORMATS, XLSX, Format, write_graph
from itukg.html import render
from itukg.void import service_description
from itukg.web.answers import Kept
from itukg.web.interface import Route, described
from itukg.web.service import address, known_suffix, service_of, wanted

router = APIRouter(route_class=Route)

ROBOTS = b"User-agent: *\nDisallow: /sparql?\nDisallow: /matrix?\nDisallow: /conformance?\nDisallow: /data/*/diff/\nDisallow: /*?release=\n"

_RDF = described(GRAPH_FORMATS)
_HERE = names.BASE + "here"
"""Stands for the endpoint's address in a cached description; the address is put in as the answer leaves."""


@router.get("/.well-known/void", **_RDF)
@router.get("/.well-known/void{suffix}", **_RDF, include_in_schema=False)
async def void(request: Request, suffix: str = "") -> Response:
    """Describe the release (VoID) and the SPARQL service, as RDF."""
    return await service_description_answer(request, known_suffix("/.well-known/void", suffix, GRAPH_FORMATS))


@router.get("/.well-known/sparql-examples", **_RDF)
@router.get("/sparql/.well-known/sparql-examples", **_RDF)
@router.get("/.well-known/sparql-examples{suffix}", **_RDF, include_in_schema=False)
@router.get("/sparql/.well-known/sparql-examples{suffix}", **_RDF, include_in_schema=False)
async def examples(request: Request, suffix: str = "") -> Response:
    """Return the saved queries as RDF (`sh:SPARQLExecutable`), where editors look for them."""
    syntax = wanted(request, GRAPH_FORMATS, known_suffix("/.well-known/sparql-examples", suffix, GRAPH_FORMATS))
    content = await run_in_threadpool(_written, service_of(request).release.queries, syntax)
    return _answer(content, syntax)


@router.get("/robots.txt", **described([PLAIN]))
async def robots() -> Response:
    """Keep crawlers out of addresses without end."""
    return Kept(ROBOTS, PLAIN.media_type)


async def endpoint(request: Request) -> Response:
    """Answer a request without a query: with the description of the service, or for people a page to ask from."""
    if wanted(request, (*GRAPH_FORMATS, HTML)) is not HTML:
        return await service_description_answer(request)
    settings = service_of(request).settings
    queries = await run_in_threadpool(Corpus(settings.corpus).queries)
    formats = [f.name for f in (*TABLE_FORMATS, *GRAPH_FORMATS) if f.labels is False or f is XLSX]
    page = render("sparql.html", queries=queries, formats=formats, seconds=f"{settings.timeout:g}")
    return Kept(page, HTML.media_type)


async def service_description_answer(request: Request, suffix: str | None = None) -> Response:
    """Describe the service and its datasets in the syntax the client likes best; `suffix` overrides its Accept.

    Raises NotAcceptable, and BadRequest where the Host header gives no address.
    """
    syntax = wanted(request, GRAPH_FORMATS, suffix)
    endpoint = address(request) + "/sparql"
    content = await run_in_threadpool(_described, service_of(request).release.void, syntax)
    return _answer(content.replace(_HERE.encode(), endpoint.encode()), syntax)


# Kept per file and syntax, never per host: the Host header comes from outside, and would fill the cache.
@lru_cache(maxsize=16)
def _described(file: Path, syntax: Format) -> bytes:
    return write_graph(service_description(_triples(file), _HERE), syntax)


@lru_cache(maxsize=16)
def _written(file: Path, syntax: Format) -> bytes:
    return write_graph(_triples(file), syntax)


def _triples(file: Path) -> list[ox.Triple]:
    return [quad.triple for quad in ox.parse(file.read_bytes(), format=ox.RdfFormat.N_TRIPLES)]


def _answer(content: bytes, syntax: Format) -> Response:
    return Kept(content, syntax.media_type)
