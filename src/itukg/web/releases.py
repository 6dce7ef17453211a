"""For librarians and harvesters: the releases, what each is downloaded as, and what changed between them."""

from functools import partial

import anyio
import pyoxigraph as ox
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse

from itukg import names
from itukg.catalog import catalog as write_catalog
from itukg.catalog import for_search_engines, made_from, version
from itukg.changes import CHANGES_FORMATS, compare, write_changes
from itukg.dumps import FILE_FORMATS
from itukg.errors import NotFound
from itukg.formats import ATOM, GRAPH_FORMATS, HTML, JSON, PATCH, Format, split_suffix, write_graph, write_json
from itukg.html import render
from itukg.release import Release
from itukg.void import PUBLISHER, RIGHTS, TITLE
from itukg.web.answers import Kept, KeptFile
from itukg.web.interface import Route, described
from itukg.web.service import address, known_suffix, service_of, wanted

router = APIRouter(route_class=Route)

_FORMATS = (HTML, JSON, *GRAPH_FORMATS)
_CATALOG_FORMATS = (HTML, *GRAPH_FORMATS)
_ENTRIES = 50
"""How many releases the feed tells of, newest first."""
_LISTED = 100
"""How many changed things an entry of the feed lists."""


@router.get("/data", **described(_FORMATS))
async def releases(request: Request) -> Response:
    """List the releases that are kept here, newest first."""
    service = service_of(request)
    syntax = wanted(request, _FORMATS)
    if syntax is HTML:
        page = render("releases.html", releases=service.releases[::-1], served=service.release.name)
        return Kept(page, HTML.media_type)
    if syntax is not JSON:
        return await _catalog(request, syntax)
    found = [_row(release) for release in reversed(service.releases)]
    return Kept(write_json({"latest": service.release.name, "releases": found}), JSON.media_type)


@router.get("/data/{release}", **described(_FORMATS))
async def release(request: Request, release: str) -> Response:
    """Describe a release, or `latest`: when it was built, its files with their sums, and what changed in it."""
    name, suffix = split_suffix(release, _FORMATS)
    syntax = wanted(request, _FORMATS, suffix)
    service = service_of(request)
    found = service.named(name)
    where = {"Content-Location": f"/data/{found.name}"}
    if syntax is HTML:
        known = {each.name for each in service.releases if each.files}
        page = render("release.html", release=found, served=service.release.name, known=known)
        return Kept(page, HTML.media_type, where, release=found)
    if syntax is JSON:
        return Kept(write_json(_row(found) | {"files": _files(found)}), JSON.media_type, where, release=found)
    before = dict(zip(service.releases, [None, *service.releases], strict=False))[found]
    triples = list(version(found, before, address(request)))
    return Kept(await run_in_threadpool(write_graph, triples, syntax), syntax.media_type, where, release=found)


@router.get("/data/{release}/{name}", **described(FILE_FORMATS, chosen=False))
async def file(request: Request, release: str, name: str) -> Response:
    """Return a file of a release: `itukg.nq`, `itukg.trig` and `itukg.jsonld`, each also as `.gz`, `links.csv`, `SHA256SUMS` and more."""
    found = service_of(request).named(release)
    if name not in found.files:
        raise NotFound(f"No /data/{release}/{name}; available: /data/{found.name}/ with {', '.join(found.files)}.")
    where = {"Content-Location": f"/data/{found.name}/{name}"}
    return KeptFile(found.files[name], found, where, immutable=release == found.name)


@router.get("/data/{release}/diff/{older}", **described(CHANGES_FORMATS))
async def diff(request: Request, release: str, older: str) -> Response:
    """Tell what a release adds to an older one and removes from it: HTML or JSON by thing, RDF Patch by triple."""
    older, suffix = split_suffix(older, CHANGES_FORMATS)
    syntax = wanted(request, CHANGES_FORMATS, suffix)
    service = service_of(request)
    newer, before = service.named(release), service.named(older)

    def written() -> bytes:
        return write_changes(compare(before.path, newer.path), syntax)

    content = await anyio.to_thread.run_sync(written, limiter=service.writing)
    named = (release, older) == (newer.name, before.name)
    return Kept(content, syntax.media_type, immutable=named and syntax is PATCH, release=newer)


@router.get("/catalog", **described(_CATALOG_FORMATS))
@router.get("/catalog{suffix}", **described(_CATALOG_FORMATS), include_in_schema=False)
async def catalog(request: Request, suffix: str = "") -> Response:
    """Describe the dataset, its releases, services and provenance (DCAT 3, PROV): RDF, or HTML for people."""
    return await _catalog(
        request, wanted(request, _CATALOG_FORMATS, known_suffix("/catalog", suffix, _CATALOG_FORMATS))
    )


@router.get("/graph/{name}", **described(_CATALOG_FORMATS, moved=303))
async def graph(request: Request, name: str) -> Response:
    """Lead from the IRI of a named graph to the catalog, which tells what it was made from."""
    name, suffix = split_suffix(name, _CATALOG_FORMATS)
    wanted(request, _CATALOG_FORMATS, suffix)
    graphs = service_of(request).release.manifest["graphs"]
    if names.graph(name) not in graphs:
        known = ", ".join(sorted(each.removeprefix(names.GRAPHS) for each in graphs))
        raise NotFound(f'No graph "{name}"; known: {known}.')
    kept = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"/catalog{f'.{suffix}' if suffix else ''}{kept}", 303)


async def _catalog(request: Request, syntax: Format) -> Response:
    service, at = service_of(request), address(request)
    provenance = await run_in_threadpool(_provenance, service.release)
    if syntax is HTML:
        page = render(
            "catalog.html",
            dataset=for_search_engines(service.release, at),
            rights=RIGHTS,
            graphs=made_from(provenance),
        )
        return Kept(page, HTML.media_type)
    described = write_catalog(service.releases, service.release, provenance, at)
    return Kept(await run_in_threadpool(write_graph, described, syntax), syntax.media_type)


@router.get("/feed.atom", **described([ATOM]))
async def feed(request: Request) -> Response:
    """Return a feed (Atom) with an entry for each release: what changed in it."""
    page = partial(
        render,
        "feed.atom",
        releases=service_of(request).releases[::-1][:_ENTRIES],
        id=names.BASE + "feed.atom",
        data=names.DATA,
        title=TITLE,
        publisher=PUBLISHER,
        at=address(request),
        listed=_LISTED,
    )
    return Kept(await run_in_threadpool(page), ATOM.media_type)


def _row(release: Release) -> dict[str, object]:
    return {
        "name": release.name,
        "built": release.built,
        "version": release.manifest["version"],
        "canonicalSha256": release.manifest["canonical_sha256"],
        "triples": sum(release.manifest["graphs"].values()),
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
