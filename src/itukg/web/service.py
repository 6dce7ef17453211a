"""What every endpoint works with: the release that is served, its store, and the settings."""

from dataclasses import dataclass

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from itukg.errors import NotReady
from itukg.formats import Format, choose, labels_wanted
from itukg.release import Release
from itukg.settings import Settings
from itukg.store import Store, open_store


@dataclass
class Service:
    """One server: ready once the release is loaded."""

    settings: Settings
    release: Release
    _store: Store | None = None

    @property
    def store(self) -> Store:
        """The store; raises NotReady until the release is loaded."""
        if self._store is None:
            raise NotReady("The release is still being loaded. Try again in a few seconds; /readyz tells when.")
        return self._store

    async def load(self) -> None:
        """Load the release into a store, beside the event loop."""
        self._store = await run_in_threadpool(open_store, self.release.dataset, self.settings.threads)


def service_of(request: Request) -> Service:
    """Return the service behind a request."""
    service = request.app.state.service
    assert isinstance(service, Service)
    return service


def wanted(
    request: Request, offers: tuple[Format, ...], suffix: str | None = None, labels: str | None = None
) -> Format:
    """Return the syntax a request asks for: by suffix, by `?format=`, or by its Accept header; `?labels=` narrows it."""
    accept = ", ".join(request.headers.getlist("accept"))
    name = suffix or request.query_params.get("format")
    labels = request.query_params.get("labels") if labels is None else labels
    return choose(offers, accept, name, labels_wanted(labels))
