"""The seam to the engine: a query goes in with the syntax of its answer, bytes come out.

Whoever evaluates also writes, so the syntax is chosen before. `read_query` tells what a query yields
without evaluating it; `Store` is what every engine offers; `open_store` picks the engine.
"""

import re
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import pyoxigraph as ox

from itukg.errors import MemoryLimit, QueryRefused, SyntaxProblem
from itukg.formats import BOOLEAN_FORMATS, GRAPH_FORMATS, N_TRIPLES, TABLE_FORMATS, Format
from itukg.settings import Settings

Form = Literal["SELECT", "ASK", "CONSTRUCT", "DESCRIBE"]
Row = Mapping[str, ox.NamedNode | ox.BlankNode | ox.Literal]


class Dataset(NamedTuple):
    """The graphs a query sees (SPARQL 1.1 Protocol, section 2.1.4); empty: the merged graph and all named ones."""

    default: tuple[str, ...] = ()
    named: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.default or self.named)


class Query(NamedTuple):
    """A query that may be run: its text, what it yields, and what must be known of it beforehand."""

    text: str
    form: Form
    volatile: bool = False
    """Whether two answers may differ: it calls NOW, RAND, UUID, STRUUID or BNODE, or asks another service."""
    federated: bool = False
    """Whether it asks another service, one that the operator allows."""
    root: str = ""
    """The IRI of the thing that is the root of framed JSON-LD; empty where the frame's own types tell."""


class Body(Protocol):
    """The bytes of an answer, in pieces; closed, so that what still writes it stops."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...
    async def __anext__(self) -> bytes: ...
    async def aclose(self) -> None:
        """Stop what still writes."""
        ...


@dataclass(frozen=True)
class Answer:
    """What a query gave: its media type, its bytes in pieces, and the seconds that the engine took for the first of them."""

    media_type: str
    body: Body
    seconds: float = 0.0

    async def read(self, most: float = inf) -> bytes:
        """Return all bytes, and let go of what writes them. Raises MemoryLimit for more than `most`."""
        content = bytearray()
        try:
            async for piece in self.body:
                content += piece
                if len(content) > most:
                    raise MemoryLimit(f"The answer has more than {most / 1_000_000:.0f} MB. Ask for less.")
        finally:
            await self.body.aclose()
        return bytes(content)


class Store(Protocol):
    """A triple store that holds one release. Every engine passes the same contract tests."""

    async def answer(
        self, query: Query, dataset: Dataset, syntax: Format, *, deadline: float = inf, client: str = ""
    ) -> Answer:
        """Evaluate `query` and write its result in `syntax`, before `deadline` of the monotonic clock.

        `client` is who asks: clients take turns. Raises SyntaxProblem for what is not SPARQL, QueryRefused for what
        the engine does not run, TimeLimit and MemoryLimit for what it does not manage, and Overloaded where too
        many wait. A body that cannot be finished raises while it is read, so that nobody takes a part for the whole.
        """
        ...

    def size(self) -> Mapping[str, int]:
        """Return, for the operator, how many workers there are and how many queries wait, by name; none where unknown."""
        ...

    async def lost(self) -> None:
        """Wait until the store holds the release no more; for ever where nobody else can take it away."""
        ...

    async def close(self) -> None:
        """Let go of processes and connections."""
        ...


async def rows(store: Store, query: str) -> list[Row]:
    """Return the solutions of one of our own SELECT queries: variable → term, unbound ones absent."""
    answer = await store.answer(read_query(query), Dataset(), TABLE_FORMATS[0])
    solutions = ox.parse_query_results(await answer.read(), format=ox.QueryResultsFormat.JSON)
    assert isinstance(solutions, ox.QuerySolutions)
    names_ = [variable.value for variable in solutions.variables]
    return [{n: s[n] for n in names_ if s[n] is not None} for s in solutions]


def things_in(table: bytes) -> list[str]:
    """Return the IRIs of a table of SPARQL JSON, sorted, as SPARQL writes them; it is read and dropped in one thread."""
    solutions = ox.parse_query_results(table, format=ox.QueryResultsFormat.JSON)
    if isinstance(solutions, ox.QueryBoolean):
        return []
    return sorted({str(term) for solution in solutions for term in solution if isinstance(term, ox.NamedNode)})


async def triples(store: Store, query: str) -> list[ox.Triple]:
    """Return the triples of one of our own CONSTRUCT queries."""
    answer = await store.answer(read_query(query), Dataset(), N_TRIPLES)
    return [quad.triple for quad in ox.parse(await answer.read(), format=ox.RdfFormat.N_TRIPLES)]


async def graphs(store: Store) -> dict[str, int]:
    """Return each named graph with its number of triples, sorted by name."""
    found = await rows(store, "SELECT ?g (COUNT(*) AS ?n) WHERE { GRAPH ?g { ?s ?p ?o } } GROUP BY ?g ORDER BY ?g")
    return {row["g"].value: int(row["n"].value) for row in found}


STRING = (
    r"\x22(?:\x22\x22(?:\\.|(?!\x22{3}).)*+\x22{3}|(?:\\.|[^\x22\\\n\r])*+\x22)"
    r"|\x27(?:\x27\x27(?:\\.|(?!\x27{3}).)*+\x27{3}|(?:\\.|[^\x27\\\n\r])*+\x27)"
)
"""A string of a query, as alternatives of a regular expression in which the dot is any character (SPARQL 1.1 Query, 19.8, rules
156 to 159)."""
IRI = r"<(?:[^<>\x22{}|^`\\\x00-\x20]|\\[uU])*+>"
"""An IRI in full, which may hold escapes (rule 139, and 19.2)."""
# One linear pass (nothing in it backtracks); whatever it matches holds no keyword or bracket of the query's own. Each
# alternative begins with a character, so that a search skips all others.
_OPAQUE = re.compile(
    rf"{STRING}|{IRI}|#[^\n\r]*+"
    r"|\\.",  # an escape in a local name: e:a\#b opens no comment
    re.DOTALL,
)
_PROLOGUE = re.compile(r"\s*(?:(?:BASE|VERSION|PREFIX\s+[^\s:]*:)\s*)*", re.IGNORECASE)
_WORD = re.compile(r"\w*")
_UPDATES = ("INSERT", "DELETE", "LOAD", "CLEAR", "DROP", "CREATE", "ADD", "MOVE", "COPY", "WITH")
_CHANGING = ("NOW", "RAND", "UUID", "BNODE")
_VOLATILE = re.compile(r"\b(?:NOW|RAND|UUID|STRUUID|BNODE)\s*\(", re.IGNORECASE)
_SERVICE = re.compile(r"(?<![?$:\w-])SERVICE(?=\s*(?:SILENT\b\s*)?[^\s{}]*\s*\{)", re.IGNORECASE)
"""The word where a pattern follows it; what it names may be blanked out."""
NESTING = 200
"""How deep a query may nest its brackets: the parser recurses, and a few thousand levels overflow its stack."""
OPERATORS = 20_000
"""How many operators a query may hold: the parser recurses into each of them too."""


def blank_out(query: str, *, iris: bool = True) -> str:
    """Return `query` with its strings, comments and, if so wanted, IRIs as blanks: every other character stays in its place."""
    return _OPAQUE.sub(_blank if iris else _blank_but_iris, query)


def _blank(found: re.Match[str]) -> str:
    text = found[0]
    if "\n" in text:  # few are so, and a query has many
        return "\n".join([" " * len(line) for line in text.split("\n")])
    return " " * len(text)


def _blank_but_iris(found: re.Match[str]) -> str:
    return found[0] if found[0].startswith("<") else _blank(found)


def after_prologue(bare: str) -> int:
    """Return where the query form stands in a query that was blanked out."""
    prologue = _PROLOGUE.match(bare)
    return prologue.end() if prologue else 0


def read_query(text: str, services: Collection[str] = ()) -> Query:
    """Tell what the query `text` yields, without evaluating it; `services` are the IRIs that SERVICE may name.

    Raises QueryRefused for updates, other services, and more nesting or operators than NESTING and OPERATORS;
    SyntaxProblem where no query form stands first. The refusal is for the user's sake: what evaluates has no network.
    """
    bare = blank_out(text)
    at = after_prologue(bare)
    word = _WORD.match(bare, at)
    first = word[0].upper() if word else ""
    if first in _UPDATES:
        raise QueryRefused(
            f"This service is read-only: {first} is an update. Ask with SELECT, ASK, CONSTRUCT or DESCRIBE."
        )
    words = text.upper()  # a look for a word in it costs a tenth of a regular expression
    federated = False
    for found in _SERVICE.finditer(bare) if "SERVICE" in words else ():
        federated = True
        if _service_named(text, bare, found.end()) not in services:
            others = f"services but {', '.join(services)}" if services else "other services"
            raise QueryRefused(
                f"SERVICE is not run here: this server asks no {others}. Query the other endpoint yourself."
            )
    if _is_deep(bare):
        raise QueryRefused(f"The query nests more than {NESTING} brackets; write it flatter.")
    if len(bare) > OPERATORS and len(re.findall(r"[-+*/!|&=<>^]", bare)) > OPERATORS:
        raise QueryRefused(f"The query holds more than {OPERATORS} operators; use VALUES or IN, or ask in parts.")
    if first in ("SELECT", "ASK", "CONSTRUCT", "DESCRIBE"):
        changing = "(" in words and any(word in words for word in _CHANGING)
        # two comparisons may look like an IRI, as in 1<2&&RAND()>0.5
        volatile = federated or (changing and _VOLATILE.search(blank_out(text, iris=False)) is not None)
        return Query(text, first, volatile, federated)  # type: ignore[arg-type]  # narrowed by the membership test
    line, column = bare.count("\n", 0, at) + 1, at - bare.rfind("\n", 0, at)
    instead = f", found {word[0]}." if word and first else "."
    raise SyntaxProblem(
        f"line {line}, column {column}: expected SELECT, ASK, CONSTRUCT or DESCRIBE{instead}", line, column
    )


def _is_deep(bare: str) -> bool:
    """Tell whether brackets are nested deeper than NESTING."""
    if sum(map(bare.count, "{([")) <= NESTING:
        return False
    depth = 0
    for bracket in re.finditer(r"[{}()\[\]]", bare):
        depth += 1 if bracket[0] in "{([" else -1
        if depth > NESTING:
            return True
    return False


def _service_named(text: str, bare: str, at: int) -> str | None:
    """Return the IRI in full that follows SERVICE at `at`, or None where a variable or a prefixed name does."""
    silent = re.compile(r"\s*SILENT\b", re.IGNORECASE).match(bare, at)
    at = silent.end() if silent else at
    brace = bare.find("{", at)
    if brace < 0 or bare[at:brace].strip():
        return None
    named = [found[0] for found in _OPAQUE.finditer(text, at, brace) if found[0].startswith("<")]
    return named[0][1:-1] if len(named) == 1 else None


_OFFERS = {"SELECT": TABLE_FORMATS, "ASK": BOOLEAN_FORMATS}


def offers_for(form: Form) -> tuple[Format, ...]:
    """Return the syntaxes in which a query of this form can be answered, best first."""
    return _OFFERS.get(form, GRAPH_FORMATS)


async def open_store(release: Path, settings: Settings) -> Store:
    """Return a store that holds the release in the N-Quads file `release`, ready to answer.

    With `settings.store` that is a server elsewhere, which holds the release by the name of the file's folder.
    Raises StoreUnavailable where it does not.
    """
    if settings.store is not None:
        from itukg.store.remote import RemoteStore

        return await RemoteStore.open(settings.store, release.parent.name, settings)
    from itukg.store.embedded import EmbeddedStore

    return await EmbeddedStore.open(release, settings)
