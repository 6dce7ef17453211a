"""For modellers: the ontology and the shapes under their own IRIs, as a page to read and as RDF."""

from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import anyio
import pyoxigraph as ox
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from itukg import names
from itukg.dumps import graph_of
from itukg.errors import NotFound
from itukg.formats import GRAPH_FORMATS, HTML, Format, split_suffix, write_graph
from itukg.html import render
from itukg.release import Release
from itukg.vocabulary import Vocabulary, of_ontology, of_shapes, uses
from itukg.void import MERGED
from itukg.web.answers import Kept
from itukg.web.interface import Route, described
from itukg.web.service import Service, known_suffix, service_of, wanted

router = APIRouter(route_class=Route)

FORMATS = (*GRAPH_FORMATS, HTML)
_VOCABULARY = described(FORMATS)
_PARTS = ("alignment",)
"""Ontologies that stand in the same graph, by the last part of their IRI."""


@router.get("/ontology", **_VOCABULARY)
@router.get("/ontology{suffix}", **_VOCABULARY, include_in_schema=False)
async def ontology(request: Request, suffix: str = "") -> Response:
    """Return the ontology with its alignment: every term with its definition, examples, uses and links."""
    syntax = wanted(request, FORMATS, known_suffix("/ontology", suffix, FORMATS))
    return await _answer(service_of(request), None, "ontology", syntax, _ontology_page)


@router.get("/ontology/{version}", **_VOCABULARY)
async def version_of_ontology(request: Request, version: str) -> Response:
    """Return the ontology as it was in a version, such as `0.1.0`: that of the newest release here that has it."""
    version, suffix = split_suffix(version, FORMATS)
    syntax = wanted(request, FORMATS, suffix)
    service = service_of(request)
    newest = [service.release, *reversed(service.releases)]
    versions = await run_in_threadpool(lambda: {_version(each.path): each for each in reversed(newest) if each.files})
    found = service.release if version in _PARTS else versions.get(version)
    if found is None:
        known = ", ".join(sorted(filter(None, versions)))
        raise NotFound(f'No version "{version}" of the ontology here; known: {known}. A term is /ontology#name.')
    return await _answer(service, found, "ontology", syntax, _ontology_page)


@router.get("/shapes", **_VOCABULARY)
@router.get("/shapes{suffix}", **_VOCABULARY, include_in_schema=False)
async def shapes(request: Request, suffix: str = "") -> Response:
    """Return the SHACL shapes by profile: what each asks for, how bad it is, what is wrong and how to mend it."""
    syntax = wanted(request, FORMATS, known_suffix("/shapes", suffix, FORMATS))
    return await _answer(service_of(request), None, "shapes", syntax, _shapes_page)


async def _answer(
    service: Service, other: Release | None, graph: str, syntax: Format, page: Callable[[Release], bytes]
) -> Response:
    release = other or service.release

    def written() -> bytes:
        return page(release) if syntax is HTML else write_graph(graph_of(release.path, graph), syntax)

    content = await anyio.to_thread.run_sync(written, limiter=service.writing)
    return Kept(content, syntax.media_type, release=other)


def _ontology_page(release: Release) -> bytes:
    terms = list(graph_of(release.path, "ontology"))
    void = [quad.triple for quad in ox.parse(release.void.read_bytes(), format=ox.RdfFormat.N_TRIPLES)]
    vocabulary = Vocabulary(terms, graph_of(release.path, "shapes"))
    return render(
        "vocabulary.html",
        path="/ontology",
        head=vocabulary.entry(ox.NamedNode(names.ONTOLOGY)),
        groups=of_ontology(vocabulary),
        uses=uses(void, MERGED),
        examples=release.examples,
        used="uses in the merged graph",
    )


def _shapes_page(release: Release) -> bytes:
    shapes = list(graph_of(release.path, "shapes"))
    return render(
        "vocabulary.html",
        path="/shapes",
        head=None,
        groups=of_shapes(Vocabulary(shapes)),
        uses=Counter(finding.shape for finding in release.checked.findings),
        examples={},
        used="findings in the report",
    )


@lru_cache(maxsize=64)
def _version(folder: Path) -> str | None:
    told = ox.NamedNode(names.expand("owl:versionInfo"))
    found = [t.object for t in graph_of(folder, "ontology") if t.predicate == told and isinstance(t.object, ox.Literal)]
    return found[0].value if found else None
