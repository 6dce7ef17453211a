"""What answers from one release: its store, what validates uploads, and what all releases share."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from anyio import CancelScope, CapacityLimiter
from fastapi.concurrency import run_in_threadpool
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from itukg.engine.fair import Slots
from itukg.engine.open import open_store
from itukg.engine.store import Store
from itukg.errors import DataError, NotFound, NotReady, StoreUnavailable
from itukg.pages import compile_templates
from itukg.release.model import Release, known
from itukg.settings import Settings
from itukg.upload.validator import Validator
from itukg.views.writer import Writer
from itukg.web.metrics import Metrics
from itukg.web.middleware import Cache
from itukg.web.quotas import Quotas

LATEST = "latest"
"""What the served release goes by, besides its own name."""
RETRY_SECONDS = 2.0
"""Seconds between the first two looks whether a server elsewhere holds the release; each pause is half as long again."""
MAX_RETRY_SECONDS = 30.0

log = logging.getLogger("itukg")


@dataclass(eq=False)
class Service:
    """What answers from one release, once it is loaded."""

    settings: Settings
    release: Release
    _store: Store | None = None
    ready: Callable[[], None] | None = None
    """Called when queries are answered."""
    _missing: str = ""
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once queries are answered, or once it is known that they cannot be."""
    failure: DataError | None = None
    """Why the release cannot be loaded, which no second try mends."""
    refused: str = ""
    """Why the release that is current is not served, if another is."""
    releases: list[Release] = field(init=False)
    """The releases that stood there at the start, in the order in which they were built."""
    cache: Cache = field(init=False)
    validator: Validator = field(init=False)
    quotas: Quotas = field(init=False)
    metrics: Metrics = field(default_factory=Metrics)
    writer: Writer = field(init=False)
    writing: Slots = field(init=False)
    """One page of a whole release is written at a time: it takes a core for a while, and queries need theirs."""
    reading: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(1))
    """One long query is read at a time, and others go on meanwhile."""

    def __post_init__(self) -> None:
        """Make what the settings describe."""
        found = {release.name: release for release in known(self.release.home)}
        self.releases = list((found | {self.release.name: self.release}).values())
        self.cache = Cache(self.settings.cache)
        self.quotas = Quotas(self.settings)
        self.validator = Validator(self.release.path, self.settings)
        self.writer = Writer(self.settings)
        self.writing = Slots(1, self.settings.queue, self.settings.queue_client)
        self.lead()

    def lead(self) -> None:
        """Be the one whose sizes /metrics tells."""
        self.metrics.sizes = self._sizes

    @property
    def store(self) -> Store:
        """The store; raises NotReady until the release is loaded."""
        if self._store is None:
            reason = self._missing or "The release is still being loaded. Try again in a few seconds."
            raise NotReady(f"{reason} /readyz answers 200 as soon as queries are answered.")
        return self._store

    def named(self, name: str) -> Release:
        """Return the release of this name; `latest` is the served one. Raises NotFound, naming those there are."""
        for release in self.releases:
            if name == release.name or (name == LATEST and release is self.release):
                return release
        raise NotFound(
            f'No release "{name}"; known: {", ".join((LATEST, *(r.name for r in reversed(self.releases))))}.'
        )

    def of(self, release: Release) -> "Service":
        """Return what answers from another release: with fewer processes, under the same quotas."""
        smaller = {"workers": 1, "slow_workers": 1, "validation_workers": 1}
        service = Service(self.settings.model_copy(update=smaller), release)
        service.share(self)
        service.releases, service.cache = self.releases, self.cache
        return service

    def share(self, other: "Service") -> None:
        """Count for the same clients and metrics as another, and write in the same turns."""
        self.quotas, self.metrics, self.writing = other.quotas, other.metrics, other.writing

    def _sizes(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("itukg_cache_bytes", "Bytes of cached answers.", self.cache.size())
        refused = "1 while the current release cannot be taken up, and another is served on; else 0."
        yield GaugeMetricFamily("itukg_refused", refused, bool(self.refused))
        found = GaugeMetricFamily("itukg_store", "Workers, and queries that wait, as they are now.", labels=["what"])
        for what, number in self._store.size().items() if self._store else ():
            found.add_metric([what], number)
        yield found

    async def load(self) -> None:
        """Load the release into a store, beside the event loop; wait for a server elsewhere until it holds it."""
        pause = RETRY_SECONDS
        while self._store is None:
            try:
                await run_in_threadpool(self.release.read)
                with CancelScope(shield=True):  # what is half open could not be closed
                    self._store = await open_store(self.release.dataset, self.settings)
            except StoreUnavailable as error:
                if str(error) not in self._missing:
                    log.warning("%s", error)
                self._missing = f"The server of the release gives no answer: {error}"
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, MAX_RETRY_SECONDS)
            except DataError as error:
                log.error("The release cannot be loaded: %s", error)  # noqa: TRY400
                self._missing = "The release cannot be loaded; the log of the server says why."
                self.failure = error
                break
        self.settled.set()

    async def keep(self) -> None:
        """Load the release, and load it again where a server elsewhere has lost it: nothing that was cached is answered then."""
        while True:
            await self.load()
            if self._store is None:
                return
            if self.ready is not None:
                self.ready()
            await self._prepare()
            await self._store.lost()
            self._missing = "The server of the release holds it no more, or was loaded again."
            log.warning("%s", self._missing)
            lost, self._store = self._store, None
            await lost.close()
            self.cache.clear()

    async def _prepare(self) -> None:
        """Read and compile what the first pages would: they are as quick as the next ones then."""
        try:
            await run_in_threadpool(compile_templates)
            await run_in_threadpool(lambda: (self.release.report, self.release.documents))
        except Exception:  # the page that needs it answers with the error; the others go on
            log.exception("What the first pages read could not be prepared.")

    async def close(self) -> None:
        """Close the store, and end what validates."""
        await self.validator.close()
        await self.writer.close()
        if self._store is not None:
            await self._store.close()
            self._store = None
