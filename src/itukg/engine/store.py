"""The interface to every engine: a query goes in with the syntax of its answer, bytes come out.

The process that evaluates also writes, so the syntax is chosen beforehand.
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import islice
from math import inf
from typing import NamedTuple, Protocol

import pyoxigraph as ox

from itukg.engine.sparql import Query, read_query
from itukg.errors import MemoryLimit
from itukg.formats import N_TRIPLES, TABLE_FORMATS, Format

CLIENT = ContextVar("client", default="")
"""For whom this task asks queries of ours, such as those behind a page: they take their turns like the client's own."""
Row = Mapping[str, ox.NamedNode | ox.BlankNode | ox.Literal]


class Dataset(NamedTuple):
    """The graphs a query sees (SPARQL 1.1 Protocol, section 2.1.4); empty: the merged graph and all named ones."""

    default: tuple[str, ...] = ()
    named: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.default or self.named)


class Body(Protocol):
    """The bytes of an answer, in pieces; closing it stops the process that still writes."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...
    async def __anext__(self) -> bytes: ...
    async def aclose(self) -> None:
        """Stop the process that still writes."""
        ...


@dataclass(frozen=True)
class Answer:
    """An answer: its media type, its bytes in pieces, and the seconds that the engine took for the first piece."""

    media_type: str
    body: Body
    seconds: float = 0.0

    async def read(self, max_bytes: float = inf) -> bytes:
        """Return all bytes, and close the body. Raises MemoryLimit for more than `max_bytes`."""
        content = bytearray()
        try:
            async for piece in self.body:
                content += piece
                if len(content) > max_bytes:
                    raise MemoryLimit(f"The answer is larger than {max_bytes / 1_000_000:.0f} MB. Ask for less.")
        finally:
            await self.body.aclose()
        return bytes(content)


class Store(Protocol):
    """A triple store that holds one release. Every engine passes the same contract tests."""

    async def answer(
        self, query: Query, dataset: Dataset, syntax: Format, *, deadline: float = inf, client: str = ""
    ) -> Answer:
        """Evaluate `query` and write its result in `syntax`, before `deadline` of the monotonic clock.

        Clients take turns, each known by its `client`. Raises SyntaxProblem for what is not SPARQL, QueryRefused for what
        the engine does not run, TimeLimit and MemoryLimit for a query over a limit, and Overloaded where too many
        queries wait. A body that cannot be finished raises while it is read, so that no reader takes a part for the whole.
        """
        ...

    def size(self) -> Mapping[str, int]:
        """Return how many workers there are and how many queries wait, by name, for the operator; empty where unknown."""
        ...

    async def lost(self) -> None:
        """Return when the store no longer holds the release; never where nothing else can remove it."""
        ...

    async def close(self) -> None:
        """End the processes, and close the connections."""
        ...


async def ask(store: Store, query: Query, syntax: Format) -> bytes:
    """Return the whole answer to one of our own queries, in turn with what else its client asks."""
    answer = await store.answer(query, Dataset(), syntax, client=CLIENT.get())
    return await answer.read()


async def rows(store: Store, query: str) -> list[Row]:
    """Return the solutions of one of our own SELECT queries: variable → term, unbound ones absent."""
    table = await ask(store, read_query(query), TABLE_FORMATS[0])
    solutions = ox.parse_query_results(table, format=ox.QueryResultsFormat.JSON)
    assert isinstance(solutions, ox.QuerySolutions)
    names_ = [variable.value for variable in solutions.variables]
    return [{n: s[n] for n in names_ if s[n] is not None} for s in solutions]


async def texts(store: Store, query: str) -> list[dict[str, str]]:
    """Return the solutions of one of our own SELECT queries as text, in a third of the time: variable → IRI or literal."""
    solutions = json.loads(await ask(store, read_query(query), TABLE_FORMATS[0]))["results"]["bindings"]
    return [{name: term["value"] for name, term in solution.items()} for solution in solutions]


def things_in(table: bytes, rows: int | None = None) -> list[str]:
    """Return the IRIs in the first `rows` of a SPARQL JSON table, or in all, sorted, in SPARQL's syntax.

    Results belong to the thread that made them.
    """
    solutions = ox.parse_query_results(table, format=ox.QueryResultsFormat.JSON)
    if isinstance(solutions, ox.QueryBoolean):
        return []
    return sorted(
        {str(term) for solution in islice(solutions, rows) for term in solution if isinstance(term, ox.NamedNode)}
    )


async def triples(store: Store, query: str) -> list[ox.Triple]:
    """Return the triples of one of our own CONSTRUCT queries."""
    found = ox.parse(await ask(store, read_query(query), N_TRIPLES), format=ox.RdfFormat.N_TRIPLES)
    return [quad.triple for quad in found]


async def graphs(store: Store) -> dict[str, int]:
    """Return each named graph with its number of triples, sorted by name."""
    found = await rows(store, "SELECT ?g (COUNT(*) AS ?n) WHERE { GRAPH ?g { ?s ?p ?o } } GROUP BY ?g ORDER BY ?g")
    return {row["g"].value: int(row["n"].value) for row in found}
