"""What one client may ask for in a minute."""

from collections.abc import Callable
from time import monotonic, time

from cachetools import TTLCache
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from itukg.errors import ItukgError, MemoryLimit, Quota, TimeLimit
from itukg.settings import Settings

MINUTE = 60.0
"""Seconds after which what a client did is forgotten."""
MAX_VIOLATORS = 100_000
"""Clients whose violations are remembered at once."""


class Quotas:
    """What one client may ask for in a minute: queries that are evaluated, and queries that hit a limit."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = monotonic) -> None:
        """Take the limits of the settings; what `clock` counts is seconds."""
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._rate = RateLimitItemPerMinute(settings.rate) if settings.rate else None
        self._violations = RateLimitItemPerMinute(settings.limit_violations) if settings.limit_violations else None
        # Those who have none need no look at the limiter, and are forgotten.
        self._violators: TTLCache[str, None] = TTLCache(MAX_VIOLATORS, MINUTE, clock)

    def __len__(self) -> int:
        """Return how many clients are remembered whose queries hit a limit."""
        return len(self._violators)

    def check(self, client: str) -> None:
        """Count a query of `client`. Raises Quota when this minute's queries are used up."""
        if (
            self._violations
            and client in self._violators
            and not self._limiter.test(self._violations, "violations", client)
        ):
            what = "queries of yours hit their limit of time or memory in this minute"
            raise self._quota(self._violations, "violations", client, what)
        if self._rate and not self._limiter.hit(self._rate, "rate", client):
            raise self._quota(self._rate, "rate", client, "queries of yours were evaluated in this minute")

    def remember(self, client: str, error: ItukgError) -> None:
        """Count a query of `client` that hit a limit."""
        if self._violations and isinstance(error, TimeLimit | MemoryLimit):
            self._limiter.hit(self._violations, "violations", client)
            self._violators[client] = None

    def _quota(self, item: RateLimitItemPerMinute, name: str, client: str, what: str) -> Quota:
        wait = max(1, round(self._limiter.get_window_stats(item, name, client).reset_time - time()))
        return Quota(f"{item.amount} {what}. Go on in {wait} s.", wait)
