"""For librarians and harvesters: the releases, what each is downloaded as, and what changed between them."""

from functools import partial
from typing import Annotated

import pyoxigraph as ox
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse

from itukg import names
from itukg.errors import NotFound
from itukg.formats import ATOM, GRAPH_FORMATS, HTML, JSON, PATCH, Format, write_json
from itukg.graphs import write_graph
from itukg.pages import render
from itukg.release.catalog import catalog as write_catalog
from itukg.release.catalog import for_search_engines, made_from, version
from itukg.release.changes import CHANGES_FORMATS, compare, write_changes
from itukg.release.dumps import FILE_FORMATS
from itukg.release.model import Release
from itukg.release.void import PUBLISHER, RIGHTS, TITLE
from itukg.web.deps import Address, Answers, Negotiated, Parameters, Served
from itukg.web.files import file_response
from itukg.web.middleware import IMMUTABLE
from itukg.web.older import named, readable
from itukg.web.service import Service
from itukg.web.writing import InTurn

router = APIRouter()

_RELEASES = Answers((HTML, JSON, *GRAPH_FORMATS))
_CATALOG = Answers((HTML, *GRAPH_FORMATS))
_GRAPH = Answers((HTML, *GRAPH_FORMATS), moved=303)
_CHANGES, _FILE, _FEED = Answers(CHANGES_FORMATS), Answers(FILE_FORMATS), Answers((ATOM,))
_ENTRIES = 50
"""Releases in the feed, newest first."""
_LISTED = 100
"""How many changed things an entry of the feed lists."""


@router.get("/data", **_RELEASES.described())
async def releases(
    _: Annotated[Negotiated, Query()],
    service: Served,
    at: Address,
    syntax: Annotated[Format, Depends(_RELEASES.chosen)],
) -> Response:
    """List the releases of this server, newest first."""
    if syntax is HTML:
        page = render("releases.html", releases=readable(service)[::-1], served=service.release.name)
        return Response(page, media_type=HTML.media_type)
    if syntax is not JSON:
        return await _catalog(service, at, syntax)
    found = [_row(release) for release in reversed(readable(service))]
    return Response(write_json({"latest": service.release.name, "releases": found}), media_type=JSON.media_type)


@_RELEASES.get(router, "/data/{release}")
async def release(
    request: Request,
    release: str,
    _: Annotated[Negotiated, Query()],
    service: Served,
    at: Address,
    syntax: Annotated[Format, Depends(_RELEASES.chosen)],
) -> Response:
    """Describe a release, or `latest`: when it was built, its files with their sums, and what changed in it."""
    request.state.release = found = named(service, release)
    if syntax is HTML:
        known = {each.name for each in readable(service) if each.files}
        content = render("release.html", release=found, served=service.release.name, known=known)
    elif syntax is JSON:
        content = write_json(_row(found) | {"files": _files(found)})
    else:
        releases = readable(service)
        before = dict(zip(releases, [None, *releases], strict=False))[found]
        content = await run_in_threadpool(write_graph, list(version(found, before, at)), syntax)
    return Response(content, headers={"Content-Location": f"/data/{found.name}"}, media_type=syntax.media_type)


@router.get("/data/{release}/{name}", **_FILE.described())
async def file(
    request: Request, release: str, name: str, _: Annotated[Parameters, Query()], service: Served
) -> Response:
    """Return a file of a release: `itukg.nq`, `itukg.trig` and `itukg.jsonld`, each also as `.gz`, `nodes.csv` and `links.csv` with `datapackage.json`, mapping sets, `SHA256SUMS` and more."""
    request.state.release = found = named(service, release)
    if name not in found.files:
        raise NotFound(f"No /data/{release}/{name}; available: /data/{found.name}/ with {', '.join(found.files)}.")
    where = {"Content-Location": f"/data/{found.name}/{name}"}
    return file_response(request, found.files[name], where | (IMMUTABLE if release == found.name else {}))


@_CHANGES.get(router, "/data/{release}/diff/{older}")
async def diff(
    request: Request,
    release: str,
    older: str,
    _: Annotated[Negotiated, Query()],
    service: Served,
    in_turn: InTurn,
    syntax: Annotated[Format, Depends(_CHANGES.chosen)],
) -> Response:
    """Tell what a release adds to an older one and removes from it: HTML or JSON by thing, RDF Patch by triple."""
    newer, before = named(service, release), named(service, older)
    request.state.release = newer

    def written() -> bytes:
        return write_changes(compare(before.path, newer.path), syntax)

    content = await in_turn(written)
    is_fixed = (release, older) == (newer.name, before.name)
    headers = IMMUTABLE if is_fixed and syntax is PATCH else None
    return Response(content, headers=headers, media_type=syntax.media_type)


@_CATALOG.get(router, "/catalog")
async def catalog(
    _: Annotated[Negotiated, Query()],
    service: Served,
    at: Address,
    syntax: Annotated[Format, Depends(_CATALOG.chosen)],
) -> Response:
    """Describe the dataset, its releases, services and provenance (DCAT 3, PROV): RDF, or HTML for people."""
    return await _catalog(service, at, syntax)


@_GRAPH.get(router, "/graph/{name}")
async def graph(
    request: Request,
    name: str,
    _: Annotated[Negotiated, Query()],
    service: Served,
    _syntax: Annotated[Format, Depends(_GRAPH.chosen)],
) -> Response:
    """Redirect from the IRI of a named graph to the catalog, which says what it was made from."""
    graphs = service.release.manifest["graphs"]
    if names.graph(name) not in graphs:
        known = ", ".join(sorted(each.removeprefix(names.GRAPHS) for each in graphs))
        raise NotFound(f'No graph "{name}"; known: {known}.')
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"/catalog{request.path_params.get('suffix', '')}{query}", 303)


async def _catalog(service: Service, at: str, syntax: Format) -> Response:
    provenance = await run_in_threadpool(_provenance, service.release)
    if syntax is HTML:
        content = render(
            "catalog.html",
            dataset=for_search_engines(service.release, at),
            rights=RIGHTS,
            graphs=made_from(provenance),
        )
    else:
        described = write_catalog(readable(service), service.release, provenance, at)
        content = await run_in_threadpool(write_graph, described, syntax)
    return Response(content, media_type=syntax.media_type)


@_FEED.get(router, "/feed.atom")
async def feed(_: Annotated[Parameters, Query()], service: Served, at: Address) -> Response:
    """Return a feed (Atom) with an entry for each release: what changed in it."""
    page = partial(
        render,
        "feed.atom",
        releases=readable(service)[::-1][:_ENTRIES],
        id=names.BASE + "feed.atom",
        data=names.DATA,
        title=TITLE,
        publisher=PUBLISHER,
        at=at,
        listed=_LISTED,
    )
    return Response(await run_in_threadpool(page), media_type=ATOM.media_type)


def _row(release: Release) -> dict[str, object]:
    return {
        "name": release.name,
        "built": release.built,
        "version": release.manifest["version"],
        "canonicalSha256": release.manifest["canonical_sha256"],
        "triples": sum(release.manifest["graphs"].values()),
        "unverified": release.unverified,
        "changes": release.changes and {key: release.changes[key] for key in ("older", "counts")},
    }


def _files(release: Release) -> list[dict[str, object]]:
    return [
        {
            "name": file.name,
            "mediaType": file.content.media_type,
            "compressed": file.syntax is not file.content,
            "bytes": file.size,
            "sha256": file.sha256,
        }
        for file in release.files.values()
    ]


def _provenance(release: Release) -> list[ox.Triple]:
    if not release.provenance.is_file():  # built before there was one
        return []
    return [quad.triple for quad in ox.parse(release.provenance.read_bytes(), format=ox.RdfFormat.N_TRIPLES)]
