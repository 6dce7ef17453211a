"""Our own queries and frames are quick as they are written: bounds are in lookups of one thing, which take 0.08 ms or more."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from math import inf
from pathlib import Path
from time import thread_time
from typing import Any

import pyoxigraph as ox
import pytest
from conftest import ROOT, wait_until_ready
from fastapi.testclient import TestClient
from test_exists import audit_queries

from itukg import names
from itukg.engine.embedded import EmbeddedStore
from itukg.engine.evaluate import evaluate, graphs_of
from itukg.engine.sparql import Query
from itukg.engine.store import Answer, Dataset
from itukg.queries import saved_query
from itukg.rdf import jsonld
from itukg.release.model import Release
from itukg.settings import Settings
from itukg.web.app import create_app

LOOKUP = (ROOT / "benchmarks" / "queries" / "lookup.rq").read_text()
QUERY, FRAMED, BUILD = 1250, 3750, 12_500
"""Lookups in the time of 100 ms for a query, 300 ms for a framed answer, and a second for a query that only a build runs."""
TRIES = 5


class Watch:
    """Measures on one release how many lookups something takes."""

    def __init__(self, release: Release) -> None:
        self.engine = ox.Store()
        self.engine.bulk_load(path=str(release.dataset), format=ox.RdfFormat.N_QUADS)
        self.lookup = inf

    def evaluate(self, query: str, graphs: Mapping[str, Any] | None = None) -> list[Any]:
        """Return what a worker gets for a query."""
        return _all(evaluate(self.engine, query, graphs or {}))

    def as_written(self, query: str, graphs: Mapping[str, Any] | None = None) -> list[Any]:
        """Return what the engine gets for a query of ours as it is written, as any engine is sent it."""
        return _all(self.engine.query(query, **(graphs or {})))

    def lookups(self, work: Callable[[], object], bound: float) -> float:
        """Return in how many lookups something is done: the least time of some tries for each, for a machine may be busy."""
        least = inf
        for _ in range(TRIES):
            self.lookup = min(self.lookup, *(seconds(lambda: self.evaluate(LOOKUP)) for _ in range(20)))
            least = min(least, seconds(work))
            if least < bound * self.lookup:
                break
        return least / self.lookup

    def slow(
        self, queries: Mapping[str, str], bound: float = QUERY, evaluate: Callable[[str], object] | None = None
    ) -> dict[str, float]:
        """Return the queries that take longer than `bound` as they are written, or as they are evaluated otherwise."""
        work = evaluate or self.as_written
        taken = {name: self.lookups(partial(work, text), bound) for name, text in queries.items()}
        return {name: each for name, each in taken.items() if each >= bound}


def _all(results: Any) -> list[Any]:
    return [bool(results)] if isinstance(results, ox.QueryBoolean) else list(results)


def seconds(work: Callable[[], object]) -> float:
    """Return the processor time that some work takes: on a busy machine the clock tells of others."""
    started = thread_time()
    work()
    return thread_time() - started


@pytest.fixture(scope="module")
def watch(release: Release) -> Watch:
    return Watch(release)


def test_every_saved_query_is_quick(watch: Watch) -> None:
    found = {path.relative_to(ROOT): path.read_text() for path in (ROOT / "queries").rglob("*.rq")}
    build = {str(path): text for path, text in found.items() if path.parent.name in ("exports", "mappings", "rules")}
    saved = {str(path): text for path, text in found.items() if str(path) not in build}
    assert (len(saved), len(build)) == (46, 13)
    assert watch.slow(saved) == {}
    assert watch.slow(build, BUILD) == {}


def test_every_query_of_the_pages_is_quick(
    watch: Watch, release: Release, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: dict[tuple[str, Dataset], str] = {}
    answer = EmbeddedStore.answer

    async def spy(store: EmbeddedStore, query: Query, dataset: Dataset, *others: Any, **options: Any) -> Answer:
        sent.setdefault((query.text, dataset), page)
        return await answer(store, query, dataset, *others, **options)

    monkeypatch.setattr(EmbeddedStore, "answer", spy)
    classes = watch.evaluate(
        "SELECT (SAMPLE(?thing) AS ?one) { ?thing a ?class FILTER(isIRI(?thing)) } GROUP BY ?class"
    )
    things = sorted({row["one"].value for row in classes})
    pages = ["/", "/id", "/sparql", "/data", "/search?q=broadband", "/conformance", "/vocabulary", "/void", "/sdg/9"]
    pages += [
        f"/id?{given}" for given in ("class=Output", "sdg=9.c", "actionLine=C1", "basis=derived", "plan=buap-2018-2021")
    ]
    pages += [f"/matrix?rows=plan&columns=sdgTarget&basis={basis}" for basis in ("stated", "stated,derived")]
    pages += ["/matrix?rows=actionLine&columns=sdgGoal&plan=buap-2018-2021&basis=derived"]
    pages += ["/matrix?rows=outcome&columns=instrument&basis=stated,derived"]
    pages += ["/id?sdg=9.c&basis=stated", "/id?class=Output&sort=label", "/id/buap-2018-2021/output", "/id?to=sdg:9.c"]
    pages += ["/lineage/bap-2026-2029/outcome/T5.1-O2", "/compare?a=bap-2026-2029&b=sp-2020-2023&class=Outcome"]
    pages += ["/lineage/bap-2026-2029/outcome/T5.1-O2.xlsx", "/compare.xlsx?a=buap-2018-2021&b=sp-2020-2023"]
    page = "start"
    with TestClient(create_app(Settings(home=home), release)) as client:
        wait_until_ready(client)
        assert len(things) > 60
        for page in [*pages, *(f"/resource?iri={thing.replace('#', '%23')}" for thing in things)]:
            assert client.get(page, headers={"accept": "text/html"}).status_code in (200, 404), page
    assert len(sent) >= 90
    slow = {}
    for (text, dataset), at in sent.items():
        graphs = graphs_of(dataset.default, dataset.named)
        taken = watch.lookups(partial(watch.as_written, text, graphs), QUERY)
        if taken >= QUERY:
            slow[at, text] = taken
    assert slow == {}


def test_every_framed_answer_is_quick(watch: Watch) -> None:
    classes = " ".join(f"<{names.ITU}{name}>" for name in ("Plan", "StrategicGoal", "Objective"))
    rows = watch.evaluate(f"SELECT DISTINCT ?thing {{ VALUES ?class {{ {classes} }} ?thing a ?class }}")
    found, slow = dict[str, int](), {}
    for path in (ROOT / "queries" / "frames").glob("*.rq"):
        query = saved_query(path)
        default = names.THINGS + query.text.split(names.THINGS, 1)[1].partition(">")[0]
        for root in [default, *(row["thing"].value for row in rows)]:
            text = query.bound(root=root)
            answers = list[bytes]()

            def framed(
                text: str = text, name: str = path.stem, root: str = root, answers: list[bytes] = answers
            ) -> None:
                nodes = jsonld.expanded(watch.as_written(text))
                answers.append(json.dumps(jsonld.frame(nodes, name, root)).encode() if nodes else b"")

            taken = watch.lookups(framed, FRAMED)
            found[path.stem] = found.get(path.stem, 0) + bool(answers[0])
            if taken >= FRAMED:
                slow[path.stem, root] = taken
    assert len(found) == 5 and found["plan-tree"] > 5 and found["results-chain"] > 20, found
    assert slow == {}


def test_the_queries_of_auditors_are_quick(watch: Watch) -> None:
    queries = audit_queries()
    assert len(queries) > 50
    assert watch.slow(queries, evaluate=watch.evaluate) == {}


def test_a_slow_query_is_seen(watch: Watch) -> None:
    query = (ROOT / "benchmarks" / "queries" / "gaps.rq").read_text()
    assert watch.slow({"as written": query}).keys() == {"as written"}
    assert watch.slow({"as a worker evaluates it": query}, evaluate=watch.evaluate) == {}
