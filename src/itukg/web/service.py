"""What every endpoint works with: the release that is served, its store, its cache, quotas and counts."""

import asyncio
import logging
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from math import inf
from time import time

from anyio import CancelScope, CapacityLimiter
from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from prometheus_client import CollectorRegistry, Gauge, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.utils import floatToGoString

from itukg.errors import (
    BadRequest,
    DataError,
    ItukgError,
    MemoryLimit,
    NotFound,
    NotReady,
    Quota,
    StoreUnavailable,
    TimeLimit,
)
from itukg.formats import JSONLD, PROFILES, Format, choose, in_profile, labels_wanted
from itukg.html import compile_templates
from itukg.jsonld import frames
from itukg.lists import known as listed
from itukg.release import Release, known
from itukg.settings import Settings
from itukg.store import Store, open_store
from itukg.things import terms
from itukg.upload.validator import Validator
from itukg.web.answers import Cache, accepted
from itukg.web.requests import HOST

LATEST = "latest"
"""What the served release goes by, besides its own name."""
BUCKETS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, inf)
"""Seconds by which queries are told apart in /metrics."""
AGAIN = 2.0
"""Seconds between two looks whether a server elsewhere holds the release."""

log = logging.getLogger("itukg")


class Quotas:
    """What one client may ask for in a minute: queries that are evaluated, and queries that hit a limit."""

    def __init__(self, settings: Settings) -> None:
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._rate = RateLimitItemPerMinute(settings.rate) if settings.rate else None
        self._strikes = RateLimitItemPerMinute(settings.strikes) if settings.strikes else None
        self._struck: set[str] = set()  # those who have no strike need no look at the limiter

    def check(self, client: str) -> None:
        """Count a query of `client`. Raises Quota when this minute's queries are used up."""
        if client in self._struck and self._strikes:
            if not self._limiter.test(self._strikes, "strikes", client):
                what = "queries of yours hit their limit of time or memory in this minute"
                raise self._quota(self._strikes, "strikes", client, what)
            if self._limiter.get_window_stats(self._strikes, "strikes", client).remaining == self._strikes.amount:
                self._struck.discard(client)
        if self._rate and not self._limiter.hit(self._rate, "rate", client):
            raise self._quota(self._rate, "rate", client, "queries of yours were evaluated in this minute")

    def remember(self, client: str, error: ItukgError) -> None:
        """Count a query of `client` that hit a limit."""
        if self._strikes and isinstance(error, TimeLimit | MemoryLimit):
            self._limiter.hit(self._strikes, "strikes", client)
            self._struck.add(client)

    def _quota(self, item: RateLimitItemPerMinute, name: str, client: str, what: str) -> Quota:
        wait = max(1, round(self._limiter.get_window_stats(item, name, client).reset_time - time()))
        return Quota(f"{item.amount} {what}. Go on in {wait} s.", wait)


class Counts:
    """What /metrics tells, in the terms of Prometheus; made when it is asked for, as counting happens far more often."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(self)
        self._queries: Counter[tuple[str, str]] = Counter()
        self._checks: Counter[str] = Counter()
        self._answers: Counter[int] = Counter()
        self._times: defaultdict[str, list[int]] = defaultdict(lambda: [0] * len(BUCKETS))
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def answered(self, status: int) -> None:
        """Count an answer of the release."""
        self._answers[status] += 1

    def checked(self, outcome: str) -> None:
        """Count an upload."""
        self._checks[outcome] += 1

    def query(self, form: str, outcome: str, seconds: float) -> None:
        """Count a query."""
        self._queries[form, outcome] += 1
        self._times[form][bisect_left(BUCKETS, seconds)] += 1
        self._seconds[form] += seconds

    def collect(self) -> Iterator[Metric]:
        """Yield what was counted."""
        queries = CounterMetricFamily("itukg_queries", "Queries by form and outcome.", labels=["form", "outcome"])
        for labels, number in self._queries.items():
            queries.add_metric(labels, number)
        checks = CounterMetricFamily("itukg_checks", "Uploads by outcome.", labels=["outcome"])
        for outcome, number in self._checks.items():
            checks.add_metric([outcome], number)
        answers = CounterMetricFamily(
            "itukg_answers",
            "Answers of the release by status, most of them from the cache: 200, or 304 to who has it already.",
            labels=["status"],
        )
        for status, number in self._answers.items():
            answers.add_metric([str(status)], number)
        seconds = HistogramMetricFamily(
            "itukg_query_seconds",
            "Seconds from the arrival of a query to its answer, by form; answers from the cache do not count.",
            labels=["form"],
        )
        for form, times in self._times.items():
            bounds = zip(map(floatToGoString, BUCKETS), accumulate(times), strict=True)
            seconds.add_metric([form], list(bounds), self._seconds[form])
        yield from (queries, checks, answers, seconds)


@dataclass(eq=False)
class Service:
    """One server: ready once the release is loaded."""

    settings: Settings
    release: Release
    _store: Store | None = None
    _missing: str = ""
    releases: list[Release] = field(init=False)
    """The releases that stood there at the start, in the order in which they were built."""
    cache: Cache = field(init=False)
    validator: Validator = field(init=False)
    quotas: Quotas = field(init=False)
    counts: Counts = field(default_factory=Counts)
    writing: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(1))
    """One page of a whole release is written at a time: it takes a core for a while, and queries need theirs."""
    reading: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(1))
    """One long query is read at a time, and others go on meanwhile."""

    def __post_init__(self) -> None:
        """Make what the settings describe."""
        kept = {release.name: release for release in known(self.release.home)}
        self.releases = list((kept | {self.release.name: self.release}).values())
        self.cache = Cache(self.settings.cache)
        self.quotas = Quotas(self.settings)
        self.validator = Validator(self.release.path, self.settings)
        Gauge("itukg_cache_bytes", "Bytes of answers held.", registry=self.counts.registry).set_function(
            self.cache.size
        )
        self.counts.registry.register(self)

    @property
    def store(self) -> Store:
        """The store; raises NotReady until the release is loaded."""
        if self._store is None:
            reason = self._missing or "The release is still being loaded. Try again in a few seconds."
            raise NotReady(f"{reason} /readyz tells when queries are answered.")
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
        """Return the service of another release: with fewer processes and a smaller cache, under the same quotas."""
        smaller = {"workers": 1, "slow": 1, "checks": 1, "cache": self.settings.cache // 8}
        service = Service(self.settings.model_copy(update=smaller), release)
        service.releases, service.quotas, service.counts = self.releases, self.quotas, self.counts
        return service

    def collect(self) -> Iterator[Metric]:
        """Yield, for /metrics, what the store tells of itself."""
        found = GaugeMetricFamily("itukg_store", "Workers, and queries that wait, as they are now.", labels=["what"])
        for what, number in self._store.size().items() if self._store else ():
            found.add_metric([what], number)
        yield found

    async def load(self) -> None:
        """Load the release into a store, beside the event loop; wait for a server elsewhere until it holds it."""
        while self._store is None:
            try:
                with CancelScope(shield=True):  # what is half open could not be closed
                    self._store = await open_store(self.release.dataset, self.settings)
            except StoreUnavailable as error:
                if str(error) not in self._missing:
                    log.warning("%s", error)
                self._missing = f"The server of the release gives no answer: {error}"
                await asyncio.sleep(AGAIN)
            except DataError as error:  # which no second try mends
                log.error("The release cannot be loaded: %s", error)  # noqa: TRY400
                self._missing = "The release cannot be loaded; the log of the server says why."
                return

    async def keep(self) -> None:
        """Load the release, and load it anew where a server elsewhere has lost it: nothing that was held is answered then."""
        while True:
            await self.load()
            if self._store is None:
                return
            await self._prepare(self._store)
            await self._store.lost()
            self._missing = "The server of the release holds it no more, or was loaded anew."
            log.warning("%s", self._missing)
            lost, self._store = self._store, None
            await lost.close()
            self.cache.clear()

    async def _prepare(self, store: Store) -> None:
        """Read and compile what the first pages would: they are as quick as the next ones then."""
        try:
            await run_in_threadpool(compile_templates)
            await run_in_threadpool(lambda: self.release.report)
            await asyncio.gather(listed(store), terms(store))
        except Exception:  # the page that needs it answers with the error; the others go on
            log.exception("What the first pages read could not be prepared.")

    async def close(self) -> None:
        """Let go of the store, and of what validates."""
        await self.validator.close()
        if self._store is not None:
            await self._store.close()
            self._store = None


def service_of(request: Request) -> Service:
    """Return the service behind a request."""
    service = request.app.state.service
    assert isinstance(service, Service)
    return service


def wanted(request: Request, offers: tuple[Format, ...], suffix: str | None = None) -> Format:
    """Return the syntax a request asks for: by suffix, by `?format=`, or by its Accept header; `?labels=` narrows it.

    Raises BadRequest where suffix and format contradict each other, and NotAcceptable.
    """
    asked = request.query_params
    named = asked.get("format") or suffix
    if suffix and named != suffix:
        raise BadRequest(f'The address ends in .{suffix}, and format asks for "{named}"; leave one out.')
    return choose(offers, accepted(request.scope), named, labels_wanted(asked.get("labels")))


def wanted_graph(request: Request, offers: tuple[Format, ...], suffix: str | None = None) -> Format:
    """Return the syntax of RDF that a request asks for, with the form of JSON-LD by `?profile=`, `?frame=` or Accept."""
    profile, frame = (request.query_params.get(name) for name in ("profile", "frame"))
    if profile or frame:
        offers = (JSONLD,)
    return in_profile(wanted(request, offers, suffix), accepted(request.scope), profile, frame)


def address(request: Request) -> str:
    """Return where the service is reached, by what the client asked for. Raises BadRequest where Host names no host."""
    host = request.headers.get("host", "")
    if not HOST.fullmatch(host):
        raise BadRequest("The Host header names no host; send the name and port that the service is reached by.")
    return f"{request.scope['scheme']}://{host}{request.scope.get('root_path', '')}"


def known_suffix(path: str, suffix: str, offers: tuple[Format, ...]) -> str | None:
    """Return the name of the syntax that a suffix asks for, if any. Raises NotFound, naming those there are."""
    if suffix and suffix not in [offer.suffix for offer in offers]:
        raise NotFound(f"No {path}{suffix}; known suffixes: {', '.join(offer.suffix for offer in offers)}.")
    return suffix.removeprefix(".") or None


FORMS = {
    "format": "The syntax of the answer, by suffix or media type; overrides Accept.",
    "profile": f"The form of JSON-LD: {', '.join(PROFILES)}.",
    "frame": f"The frame by which JSON-LD is laid out: {', '.join(frames())}.",
}
"""The parameters of every address that has RDF."""
