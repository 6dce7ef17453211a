"""What a worker of a store elsewhere does: it reads queries before they are sent, and writes answers in the client's syntax.

Servers differ in what they take for SPARQL, and some run more: Virtuoso's own functions fetch, read files and change data. So
a query is read by our engine, over no data, and is sent only if that would run it. Then its errors are told in the same words
everywhere too. `python -m itukg.engine.translate -` is started as `engine.worker` says.
"""

import json
import marshal
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import pyoxigraph as ox

from itukg import names
from itukg.engine.evaluate import REFUSALS, SYNTAXES, by_appearance, graphs_of, to_error, warm_up
from itukg.engine.sparql import blank_out
from itukg.engine.store import things_in
from itukg.engine.worker import Work, Writable, main
from itukg.errors import QueryRefused, StoreUnavailable, TimeLimit
from itukg.graphs import write_graph
from itukg.rdf.jsonld import Json
from itukg.tables import write_table

TIMEOUT_MESSAGES = ("S1T00", "The SPARQL operation has been cancelled")
"""What Virtuoso and Oxigraph write, maybe in the middle of an answer, when a query hits a time limit of theirs."""
_ESCAPED = re.compile(r"\\u([0-9A-Fa-f]{4})|\\U([0-9A-Fa-f]{8})")
_OWN_IRI, _OWN_NAME = (re.compile(rf"{before}(bif|sql):", re.IGNORECASE) for before in ("<", r"(?<![\w:/#.-])"))
"""How the names of Virtuoso's own functions begin; our engine does not see one in what can have no rows."""


def pack(task: str, **given: Any) -> bytes:
    """Return the request that a worker answers by the function of this module that is so named."""
    return marshal.dumps((task, given))


def load(_what: str) -> Work:
    """Return what does the tasks: each a function below, given what follows its name in the request."""
    warm_up()
    engine = ox.Store()
    tasks: dict[str, Callable[..., bytes]] = {
        "read": partial(read, engine),
        "things": things,
        "table": table,
        "graph": graph,
    }

    def work(request: bytes, output: Writable) -> None:
        task, given = marshal.loads(request)  # noqa: S302  (of ours)
        output.write(tasks[task](**given))

    return work


def read(engine: ox.Store, query: str, default: tuple[str, ...], named: tuple[str, ...]) -> bytes:
    """Raise what the embedded store says of a query that it does not run; its rows are not asked for."""
    graphs = graphs_of(default, named)
    try:
        with suppress(OSError):  # of SERVICE, which an ASK would call, and cannot
            engine.query(query, **graphs)
    except REFUSALS as error:
        raise to_error(error) from None
    plain = _ESCAPED.sub(lambda found: chr(min(int(found[1] or found[2], 16), 0x10FFFF)), query)
    if found := _OWN_IRI.search(plain) or _OWN_NAME.search(blank_out(query)):
        raise QueryRefused(f"{found[1]}: names functions of a server's own, which are not run here.")
    return b""


def things(content: bytes, host: str) -> bytes:
    """Return as JSON what `things_in` does."""
    with unreadable(host, content):
        return json.dumps(things_in(content)).encode()


def table(content: bytes, *, query: str, labels: Mapping[str, str], release: str, media_type: str, host: str) -> bytes:
    """Return SPARQL JSON in a client's syntax: columns in the order of the query, our names of graphs, plain blank nodes."""
    with unreadable(host, content):
        found: Json = json.loads(content)
        if "boolean" in found:
            found = {"head": {}, "boolean": bool(found["boolean"])}
        else:
            _mend(found, query, release)
        results = solutions(found)
        syntax = SYNTAXES[media_type]
        if isinstance(results, ox.QuerySolutions):
            return write_table(results, syntax, lambda _things: labels)
        return results.serialize(format=syntax.engine) or b""  # type: ignore[arg-type]  # no boolean has labels


def _mend(found: Json, query: str, release: str) -> None:
    found["head"] = {"vars": by_appearance(query, found["head"]["vars"])}
    blank: dict[str, str] = {}
    for row in found["results"]["bindings"]:
        for term in row.values():
            if term["type"] == "bnode":  # Virtuoso's begin with "nodeID://"
                term["value"] = blank.setdefault(term["value"], f"b{len(blank)}")
            elif isinstance(term["value"], str):  # else a triple
                term["value"] = to_local_iris(term["value"], release)


def graph(content: bytes, *, written: str, root: str, release: str, media_type: str, host: str) -> bytes:
    """Return a graph of the syntax `written` in a client's, with our names of graphs; `root` as for `write_graph`."""
    engine = SYNTAXES[written].engine
    assert isinstance(engine, ox.RdfFormat)
    with unreadable(host, content):
        quads = ox.parse(to_local_iris(content.decode(), release), format=engine)
        return write_graph((quad.triple for quad in quads), SYNTAXES[media_type], root)


def lines(content: bytes, release: str, host: str) -> bytes:
    """Return lines of N-Triples with our names of graphs, once they have been read."""
    with unreadable(host, content):
        text = to_local_iris(content.decode(), release)
        for _ in ox.parse(text, format=ox.RdfFormat.N_TRIPLES):
            pass
        return text.encode()


def to_local_iris(text: str, release: str) -> str:
    """Return `text` with the names that our graphs have here, for those that they have in `release` on a server."""
    return text.replace(release + "/", names.GRAPHS)


def solutions(found: Json) -> ox.QuerySolutions | ox.QueryBoolean:
    """Return the solutions that SPARQL JSON holds."""
    results: Any = ox.parse_query_results(json.dumps(found).encode(), format=ox.QueryResultsFormat.JSON)
    return results  # type: ignore[no-any-return]


@contextmanager
def unreadable(host: str, content: bytes) -> Iterator[None]:
    """Turn what goes wrong when an answer is read into an error in words."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, SyntaxError, RecursionError) as error:
        if any(words.encode() in content[-1000:] for words in TIMEOUT_MESSAGES):
            raise TimeLimit(f"{host} gave up. Ask for less, or bind more of the pattern.") from None
        raise StoreUnavailable(f"{host} gives an answer that cannot be read: {error}") from None


if __name__ == "__main__":
    main(load)
