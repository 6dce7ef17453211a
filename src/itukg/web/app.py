"""The application: the routers put together, one middleware, errors as problems, and the OpenAPI description."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
from fastapi import Depends, FastAPI

from itukg import __version__
from itukg.engine.store import Store
from itukg.release.model import Release
from itukg.settings import Settings
from itukg.web import (
    audit,
    description,
    documents,
    mapping,
    problems,
    queries,
    releases,
    reports,
    resources,
    search,
    sparql,
    system,
    validate,
    vocabulary,
)
from itukg.web.deps import service_of, well_formed
from itukg.web.logs import RequestLog
from itukg.web.middleware import ResponseMiddleware
from itukg.web.older import OpenReleases
from itukg.web.service import Service

ROUTERS = (
    reports.router,  # whose findings stand below /id/
    resources.router,
    mapping.router,
    audit.router,
    documents.router,
    queries.router,
    search.router,
    vocabulary.router,
    releases.router,
    validate.router,
    description.router,
    system.router,
)
"""The routers by audience; a path belongs to the first that has it."""


def create_app(
    settings: Settings,
    release: Release,
    store: Store | None = None,
    *,
    ready: Callable[[], None] | None = None,
    before: Service | None = None,
) -> FastAPI:
    """Return the application that serves `release`: from `store` at once, or with 503 until it is loaded into one.

    `ready` is called when queries are answered. Quotas and metrics go on from what was served `before`.
    """
    service = Service(settings, release, store, ready)
    if before is not None:
        service.share(before)
    open_releases = OpenReleases(service)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(service.keep)
            tasks.start_soon(open_releases.close_idle)
            yield
            tasks.cancel_scope.cancel()
        await open_releases.close()
        await service.close()

    app = Application(
        title="itukg",
        version=__version__,
        summary="The ITU results knowledge graph: SPARQL, JSON-LD and SHACL reports.",
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        redirect_slashes=False,  # the middleware leads on, the other way round
        openapi_url=None,  # a route of ours answers, as for all else
        docs_url=None,  # FastAPI's page loads its scripts from a CDN
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # there is /metrics; off, it takes no time
        lifespan=lifespan,
    )
    app.state.service, app.state.releases = service, open_releases
    app.add_route(sparql.PATH, sparql.Endpoint(), methods=[*sparql.METHODS])  # type: ignore[arg-type]  # an ASGI application
    routes = [*app.routes, *(route for router in ROUTERS for route in router.routes)]
    for router in ROUTERS:
        app.include_router(router, dependencies=[Depends(well_formed), Depends(service_of)])
    problems.install(app, routes, release)
    app.add_middleware(
        ResponseMiddleware,
        release=release,
        cache=service.cache,
        routes=routes,
        public=settings.public,
    )
    app.add_middleware(RequestLog, release=release.name, metrics=service.metrics)
    return app


class Application(FastAPI):
    """FastAPI, in whose description every error is a problem."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI description, with the schema of problems, and without FastAPI's error that we never give."""
        if not self.openapi_schema:
            described = super().openapi()
            saved = queries.operations([*self.state.service.release.saved.values()])
            described["paths"] = {sparql.PATH: sparql.openapi(), **described["paths"], **saved}
            described["components"] = {"schemas": {"Problem": problems.SCHEMA}}
            for path in described["paths"].values():
                for operation in path.values():
                    operation["responses"].pop("422", None)
        return super().openapi()
