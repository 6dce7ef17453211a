"""The embedded engine: pyoxigraph in memory, evaluated in a pool of threads."""

import re
import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from queue import SimpleQueue

import pyoxigraph as ox

from itukg import names
from itukg.errors import BadRequest, QueryRefused, SyntaxProblem, TimeLimit
from itukg.formats import Format, best_labels, write_graph, write_table
from itukg.store import Answer, Dataset, Row, query_form

STACK = 256 * 1024 * 1024
"""Bytes of stack for a thread that evaluates: the parser recurses into every bracket."""


class EmbeddedStore:
    """One release in memory. Its default graph is the merged one, written at build."""

    def __init__(self, threads: int = 4) -> None:
        self._engine = ox.Store()
        self._waiting: SimpleQueue[tuple[Callable[[], bytes], Future[bytes]]] = SimpleQueue()
        _start(self._work, threads)

    def answer(self, query: str, dataset: Dataset, syntax: Format, seconds: float) -> Answer:
        """Evaluate `query` in a thread of the pool and write its result there: see `Store.answer`."""
        form = query_form(query)
        try:
            default, named = ([ox.NamedNode(iri) for iri in iris] for iris in (dataset.default, dataset.named))
        except ValueError as error:
            raise BadRequest(f"A graph of the dataset is named by no IRI: {error}") from None

        def evaluate() -> bytes:
            # Results belong to the thread that made them: evaluate, write and drop them in this one function.
            if dataset:
                results = self._engine.query(query, default_graph=default, named_graphs=named)  # type: ignore[arg-type]
            else:
                results = self._engine.query(query)
            if isinstance(results, ox.QueryTriples):
                return write_graph(results, syntax)
            if isinstance(results, ox.QuerySolutions):
                return write_table(results, syntax, self._labels)
            assert isinstance(syntax.engine, ox.QueryResultsFormat)
            return results.serialize(format=syntax.engine) or b""

        return Answer(syntax.media_type, iter([self._run(evaluate, form, seconds)]))

    def rows(self, query: str) -> list[Row]:
        """Return the solutions of one of our own SELECT queries."""
        results = self._engine.query(query)
        assert isinstance(results, ox.QuerySolutions)
        columns = [variable.value for variable in results.variables]
        return [{n: s[n] for n in columns if s[n] is not None} for s in results]

    def triples(self, query: str) -> list[ox.Triple]:
        """Return the triples of one of our own CONSTRUCT queries."""
        results = self._engine.query(query)
        assert isinstance(results, ox.QueryTriples)
        return list(results)

    def load(self, path: Path) -> None:
        """Add the quads of an N-Quads file."""
        self._engine.bulk_load(path=path, format=ox.RdfFormat.N_QUADS)

    def graphs(self) -> dict[str, int]:
        """Return each named graph with its number of triples, sorted by name."""
        found = (g for g in self._engine.named_graphs() if isinstance(g, ox.NamedNode))
        counts = {g.value: sum(1 for _ in self._engine.quads_for_pattern(None, None, None, g)) for g in found}
        return dict(sorted(counts.items()))

    def _labels(self, things: Collection[str]) -> Mapping[str, str]:
        """Return what things are called in the merged graph, whatever the query's own dataset."""
        label, merged = ox.NamedNode(names.PREFIXES["rdfs"] + "label"), ox.DefaultGraph()
        stated = (
            (thing, quad.object)
            for thing in things
            for quad in self._engine.quads_for_pattern(ox.NamedNode(thing), label, None, merged)
        )
        return best_labels((thing, text) for thing, text in stated if isinstance(text, ox.Literal))

    def _run(self, evaluate: Callable[[], bytes], form: str, seconds: float) -> bytes:
        future: Future[bytes] = Future()
        self._waiting.put((evaluate, future))
        try:
            return future.result(timeout=seconds)
        except FutureTimeout:
            # The engine cannot be stopped: what has begun ends alone and its answer is dropped.
            future.cancel()
            raise TimeLimit(
                f"No answer to this {form} within {seconds:g} s. Ask for less, or bind more of the pattern."
            ) from None
        except SyntaxError as error:
            raise syntax_problem(error) from None
        except (RuntimeError, OSError) as error:
            raise QueryRefused(f"The engine does not run this {form}: {error}") from None

    def _work(self) -> None:
        while True:
            evaluate, future = self._waiting.get()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(evaluate())
            except BaseException as error:  # noqa: BLE001  (whoever asked raises it)
                # Without its traceback, which would take the engine's results to the thread that asked.
                future.set_exception(error.with_traceback(None))


def syntax_problem(error: SyntaxError) -> SyntaxProblem:
    """Turn the engine's "error at 2:1: expected …" into a SyntaxProblem with line and column."""
    place = re.match(r"error at (\d+):(\d+): (.*)", str(error), re.DOTALL)
    if place is None:
        return SyntaxProblem(str(error))
    line, column = int(place[1]), int(place[2])
    return SyntaxProblem(f"line {line}, column {column}: {place[3]}", line, column)


def _start(work: Callable[[], None], threads: int) -> None:
    # A thread's stack is fixed when it starts, by a process-wide setting. Daemons, so that a query without
    # end does not keep the process from ending, as it would in a ThreadPoolExecutor.
    before = threading.stack_size(STACK)
    try:
        for number in range(threads):
            threading.Thread(target=work, name=f"query-{number}", daemon=True).start()
    finally:
        threading.stack_size(before)
