"""For modellers: the ontology and the shapes under their own IRIs, as a page to read and as RDF."""

from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import pyoxigraph as ox
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from itukg import names
from itukg.errors import NotFound
from itukg.formats import GRAPH_FORMATS, HTML, Format
from itukg.graphs import write_graph
from itukg.pages import render
from itukg.release.dumps import graph_of
from itukg.release.model import Release
from itukg.release.void import MERGED
from itukg.views.vocabulary import Vocabulary, of_ontology, of_shapes, uses
from itukg.web.deps import Answers, Negotiated, Served
from itukg.web.older import readable
from itukg.web.writing import InTurn, Written

router = APIRouter()

_FORMATS = (*GRAPH_FORMATS, HTML)
_VOCABULARY = Answers(_FORMATS)
_Syntax = Annotated[Format, Depends(_VOCABULARY.chosen)]
_PARTS = ("alignment",)
"""Ontologies that stand in the same graph, by the last part of their IRI."""


@_VOCABULARY.get(router, "/ontology")
async def ontology(_: Annotated[Negotiated, Query()], service: Served, in_turn: InTurn, syntax: _Syntax) -> Response:
    """Return the ontology with its alignment: every term with its definition, examples, uses and links."""
    return await _answer(in_turn, service.release, "ontology", syntax, _ontology_page)


@_VOCABULARY.get(router, "/ontology/{version}")
async def version_of_ontology(
    request: Request, version: str, _: Annotated[Negotiated, Query()], service: Served, in_turn: InTurn, syntax: _Syntax
) -> Response:
    """Return the ontology as it was in a version, such as `0.1.0`: that of the newest release here that has it."""
    served_last = sorted(
        readable(service), key=lambda each: each is service.release
    )  # of two with a version, it counts
    versions = await run_in_threadpool(lambda: {_version(each.path): each for each in served_last if each.files})
    found = service.release if version in _PARTS else versions.get(version)
    if found is None:
        known = ", ".join(sorted(filter(None, versions)))
        raise NotFound(f'No version "{version}" of the ontology here; known: {known}. A term is /ontology#name.')
    request.state.release = found
    return await _answer(in_turn, found, "ontology", syntax, _ontology_page)


@_VOCABULARY.get(router, "/shapes")
async def shapes(_: Annotated[Negotiated, Query()], service: Served, in_turn: InTurn, syntax: _Syntax) -> Response:
    """Return the SHACL shapes by profile: what each asks for, how bad it is, what is wrong and how to mend it."""
    return await _answer(in_turn, service.release, "shapes", syntax, _shapes_page)


async def _answer(
    in_turn: Written, release: Release, graph: str, syntax: Format, page: Callable[[Release], bytes]
) -> Response:
    def written() -> bytes:
        return page(release) if syntax is HTML else write_graph(graph_of(release.path, graph), syntax)

    content = await in_turn(written)
    return Response(content, media_type=syntax.media_type)


@lru_cache(maxsize=8)  # a release never changes, and its terms take a while
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


@lru_cache(maxsize=8)
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
    version = ox.NamedNode(names.expand("owl:versionInfo"))
    found = [
        t.object for t in graph_of(folder, "ontology") if t.predicate == version and isinstance(t.object, ox.Literal)
    ]
    return found[0].value if found else None
