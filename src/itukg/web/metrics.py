"""What this server has done, for /metrics, in the terms of Prometheus."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from math import inf

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.utils import floatToGoString

BUCKETS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, inf)
"""Upper bounds of the histogram of query times, in seconds."""


class Metrics:
    """Counts of queries, uploads and answers, which a look at /metrics turns into samples: counting happens far more often."""

    def __init__(self) -> None:
        self.sizes: Callable[[], Iterable[Metric]] = tuple
        """Returns how large things are now, as what answers has them."""
        self.registry = CollectorRegistry()
        self.registry.register(self)
        self._queries: Counter[tuple[str, str]] = Counter()
        self._checks: Counter[str] = Counter()
        self._answers: Counter[int] = Counter()
        self._times: defaultdict[str, list[int]] = defaultdict(lambda: [0] * len(BUCKETS))
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def answered(self, status: int) -> None:
        """Count an answer."""
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
            "Answers by status, from the cache too.",
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
        yield from self.sizes()
