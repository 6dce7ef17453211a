"""What one client may ask for in a minute."""

from time import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from itukg.errors import ItukgError, MemoryLimit, Quota, TimeLimit
from itukg.settings import Settings


class Quotas:
    """What one client may ask for in a minute: queries that are evaluated, and queries that hit a limit."""

    def __init__(self, settings: Settings) -> None:
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._rate = RateLimitItemPerMinute(settings.rate) if settings.rate else None
        self._violations = RateLimitItemPerMinute(settings.limit_violations) if settings.limit_violations else None
        self._violators: set[str] = set()  # those who have none need no look at the limiter

    def check(self, client: str) -> None:
        """Count a query of `client`. Raises Quota when this minute's queries are used up."""
        if client in self._violators and self._violations:
            if not self._limiter.test(self._violations, "violations", client):
                what = "queries of yours hit their limit of time or memory in this minute"
                raise self._quota(self._violations, "violations", client, what)
            if (
                self._limiter.get_window_stats(self._violations, "violations", client).remaining
                == self._violations.amount
            ):
                self._violators.discard(client)
        if self._rate and not self._limiter.hit(self._rate, "rate", client):
            raise self._quota(self._rate, "rate", client, "queries of yours were evaluated in this minute")

    def remember(self, client: str, error: ItukgError) -> None:
        """Count a query of `client` that hit a limit."""
        if self._violations and isinstance(error, TimeLimit | MemoryLimit):
            self._limiter.hit(self._violations, "violations", client)
            self._violators.add(client)

    def _quota(self, item: RateLimitItemPerMinute, name: str, client: str, what: str) -> Quota:
        wait = max(1, round(self._limiter.get_window_stats(item, name, client).reset_time - time()))
        return Quota(f"{item.amount} {what}. Go on in {wait} s.", wait)
