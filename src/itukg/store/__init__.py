"""The seam to the engine: a query goes in with the syntax of its answer, bytes come out.

Whoever evaluates also writes, so the syntax is chosen before. `query_form` tells what a query yields
without evaluating it; `Store` is what every engine offers; `open_store` picks the engine.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import pyoxigraph as ox

from itukg.errors import QueryRefused, SyntaxProblem
from itukg.formats import BOOLEAN_FORMATS, GRAPH_FORMATS, TABLE_FORMATS, Format

Form = Literal["SELECT", "ASK", "CONSTRUCT", "DESCRIBE"]
Row = Mapping[str, ox.NamedNode | ox.BlankNode | ox.Literal]


@dataclass(frozen=True)
class Dataset:
    """The graphs a query sees (SPARQL 1.1 Protocol, section 2.1.4); empty: the merged graph and all named ones."""

    default: tuple[str, ...] = ()
    named: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.default or self.named)


@dataclass(frozen=True)
class Answer:
    """What a query gave: its media type, and its bytes in pieces."""

    media_type: str
    body: Iterator[bytes]


class Store(Protocol):
    """A triple store that holds one release. Every engine passes the same contract tests."""

    def answer(self, query: str, dataset: Dataset, syntax: Format, seconds: float) -> Answer:
        """Evaluate `query` and write its result in `syntax`.

        Raises SyntaxProblem for what is not SPARQL, QueryRefused for SERVICE, LOAD and updates, and
        TimeLimit when there is no answer after `seconds`.
        """
        ...

    def rows(self, query: str) -> list[Row]:
        """Return the solutions of one of our own SELECT queries: variable → term, unbound ones absent."""
        ...

    def triples(self, query: str) -> list[ox.Triple]:
        """Return the triples of one of our own CONSTRUCT queries."""
        ...

    def load(self, path: Path) -> None:
        """Add the quads of an N-Quads file."""
        ...

    def graphs(self) -> dict[str, int]:
        """Return each named graph with its number of triples, sorted by name."""
        ...


# One linear pass (nothing in it backtracks); whatever it matches holds no keyword or bracket of the query's own.
_OPAQUE = re.compile(
    r"(?P<long>\x22{3}|\x27{3})(?:\\.|(?!(?P=long)).)*+(?P=long)"
    r"|(?P<short>[\x22\x27])(?:\\.|(?!(?P=short))[^\\\n\r])*+(?P=short)"
    r"|<[^<>\x22{}|^`\\\s]*+>|#[^\n\r]*+"
    r"|\\.",  # an escape in a local name: e:a\#b opens no comment
    re.DOTALL,
)
_PROLOGUE = re.compile(r"\s*(?:(?:BASE|VERSION|PREFIX\s+[^\s:]*:)\s*)*", re.IGNORECASE)
_UPDATES = ("INSERT", "DELETE", "LOAD", "CLEAR", "DROP", "CREATE", "ADD", "MOVE", "COPY", "WITH")
_SERVICE = re.compile(r"(?<![?$:\w-])SERVICE(?![\w:-])", re.IGNORECASE)
NESTING = 200
"""How deep a query may nest its brackets: the parser recurses, and a few thousand levels overflow its stack."""
OPERATORS = 20_000
"""How many operators a query may hold: the parser recurses into each of them too."""


def query_form(query: str) -> Form:
    """Return what `query` yields, read from its first keyword after the prologue.

    Raises QueryRefused for updates, SERVICE, and nesting deeper than NESTING; SyntaxProblem where no
    query form stands first. The refusal is for the user's sake: the engine itself is given no network.
    """
    bare = _OPAQUE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), query)
    prologue = _PROLOGUE.match(bare)
    word = re.match(r"\w*", bare[prologue.end() :] if prologue else bare)
    first = word.group().upper() if word else ""
    if first in _UPDATES:
        raise QueryRefused(
            f"This service is read-only: {first} is an update. Ask with SELECT, ASK, CONSTRUCT or DESCRIBE."
        )
    if _SERVICE.search(bare):
        raise QueryRefused(
            "SERVICE is not run here: this service sends no requests. Query the other endpoint yourself."
        )
    depth = 0
    for bracket in re.findall(r"[{}()\[\]]", bare):
        depth += 1 if bracket in "{([" else -1
        if depth > NESTING:
            raise QueryRefused(f"The query nests more than {NESTING} brackets; write it flatter.")
    if len(re.findall(r"[-+*/!|&=<>^?]", bare)) > OPERATORS:
        raise QueryRefused(f"The query holds more than {OPERATORS} operators; use VALUES or IN, or ask in parts.")
    if first in ("SELECT", "ASK", "CONSTRUCT", "DESCRIBE"):
        return first  # type: ignore[return-value]  # narrowed by the membership test above
    at = prologue.end() if prologue else 0
    line, column = bare.count("\n", 0, at) + 1, at - bare.rfind("\n", 0, at)
    found = f", found {first}." if first else "."
    raise SyntaxProblem(
        f"line {line}, column {column}: expected SELECT, ASK, CONSTRUCT or DESCRIBE{found}", line, column
    )


def offers_for(form: Form) -> tuple[Format, ...]:
    """Return the syntaxes in which a query of this form can be answered, best first."""
    return {"SELECT": TABLE_FORMATS, "ASK": BOOLEAN_FORMATS}.get(form, GRAPH_FORMATS)


def open_store(path: Path, threads: int = 4) -> Store:
    """Return a store that holds the release in the N-Quads file `path`."""
    from itukg.store.embedded import EmbeddedStore

    store = EmbeddedStore(threads)
    store.load(path)
    return store
