"""What a worker of a remote store does: it checks queries before they are sent, and writes answers in the client's syntax.

Servers differ in what they accept as SPARQL, and some run more: Virtuoso's own functions fetch, read files and change data.
So our engine parses a query, over no data, and it is sent only if our engine would run it. Errors then read the same for
every server. `python -m itukg.engine.translate -` is started as `engine.worker` says.
"""

import json
import marshal
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from typing import Any

import pyoxigraph as ox

from itukg import names
from itukg.engine.evaluate import REFUSALS, SYNTAXES, by_appearance, graphs_of, to_error, warm_up
from itukg.engine.sparql import blank_out
from itukg.engine.store import things_in
from itukg.engine.worker import Work, Writable, main
from itukg.errors import QueryRefused, StoreUnavailable, TimeLimit
from itukg.formats import FIRST_ROWS
from itukg.graphs import write_graph
from itukg.rdf.jsonld import Json
from itukg.tables import write_first, write_table

TIMEOUT_MESSAGES = ("S1T00", "The SPARQL operation has been cancelled")
"""What Virtuoso and Oxigraph write, maybe in the middle of an answer, when a query hits their time limit."""
_BOOLEAN = f"{names.PREFIXES['xsd']}boolean"
_ESCAPED = re.compile(r"\\u([0-9A-Fa-f]{4})|\\U([0-9A-Fa-f]{8})")
_OWN_IRI, _OWN_NAME = (re.compile(rf"{before}(bif|sql):", re.IGNORECASE) for before in ("<", r"(?<![\w:/#.-])"))
"""How the names of Virtuoso's own functions begin; our engine skips an expression that can have no rows."""


def pack(task: str, **given: Any) -> bytes:
    """Return the request for a worker to call the function `task` of this module."""
    return marshal.dumps((task, given))


def load(_what: str) -> Work:
    """Return the function that does the tasks: each is a function below, called with the arguments in the request."""
    warm_up()
    engine = ox.Store()
    tasks: dict[str, Callable[..., bytes]] = {
        "read": partial(read, engine),
        "things": things,
        "table": partial(table, engine),
        "graph": graph,
    }

    def work(request: bytes, output: Writable) -> None:
        task, given = marshal.loads(request)  # noqa: S302  (of ours)
        output.write(tasks[task](**given))

    return work


def read(engine: ox.Store, query: str, default: tuple[str, ...], named: tuple[str, ...]) -> bytes:
    """Raise the embedded store's error for a query that it would not run; the query's rows are not read."""
    graphs = graphs_of(default, named)
    try:
        with suppress(OSError):  # from SERVICE, which an ASK calls at once: a worker has no network
            engine.query(query, **graphs)
    except REFUSALS as error:
        raise to_error(error) from None
    plain = _ESCAPED.sub(lambda found: chr(min(int(found[1] or found[2], 16), 0x10FFFF)), query)
    if found := _OWN_IRI.search(plain) or _OWN_NAME.search(blank_out(query)):
        raise QueryRefused(f"{found[1]}: names a server's own functions, which this service does not run.")
    return b""


def things(content: bytes, *, host: str, written: str = "", rows: int | None = None) -> bytes:
    """Return as JSON the IRIs in the first `rows` of a table, as `things_in` does, or of a graph in the syntax `written`."""
    with unreadable(host, content):
        if not written:
            return json.dumps(things_in(content, rows)).encode()
        quads = ox.parse(content, format=SYNTAXES[written].engine)  # type: ignore[arg-type]  # a syntax of graphs
        terms = {str(term) for quad in islice(quads, rows) for term in quad.triple if isinstance(term, ox.NamedNode)}
        return json.dumps(sorted(terms)).encode()


def table(
    engine: ox.Store, content: bytes, *, query: str, labels: Mapping[str, str], release: str, media_type: str, host: str
) -> bytes:
    """Return SPARQL JSON in the client's syntax: columns in the query's order, local graph IRIs, plain blank nodes."""
    with unreadable(host, content):
        found: Json = json.loads(content)
        _check_fit(engine, found, query, host)
        if "boolean" in found:
            found = {"head": {}, "boolean": bool(found["boolean"])}
        else:
            _mend(found, query, release)
        results = solutions(found)
        syntax = SYNTAXES[media_type]
        if syntax is FIRST_ROWS:
            return write_first(results, lambda _things: labels)
        if isinstance(results, ox.QuerySolutions):
            return write_table(results, syntax, lambda _things: labels)
        return results.serialize(format=syntax.engine) or b""  # type: ignore[arg-type]  # no boolean has labels


def _check_fit(engine: ox.Store, found: Json, query: str, host: str) -> None:
    """Raise StoreUnavailable for an answer of another kind than the query's, or with columns that the query does not have."""
    try:
        results: Any = engine.query(query)  # over no data, and no row is read
    except OSError:  # from SERVICE, which an ASK calls at once
        return
    if isinstance(results, ox.QueryBoolean) != ("boolean" in found):
        raise StoreUnavailable(f"{host} sent a table for an ASK, or a Boolean for a SELECT.")
    if isinstance(results, ox.QuerySolutions):
        known = {variable.value for variable in results.variables}
        if not {*found["head"]["vars"]}.union(*found["results"]["bindings"]) <= known:
            raise StoreUnavailable(f"{host} sent columns that the query does not have.")


def _mend(found: Json, query: str, release: str) -> None:
    found["head"] = {"vars": by_appearance(query, found["head"]["vars"])}
    blank: dict[str, str] = {}
    for row in found["results"]["bindings"]:
        for term in row.values():
            if term["type"] == "bnode":  # Virtuoso's begin with "nodeID://"
                term["value"] = blank.setdefault(term["value"], f"b{len(blank)}")
            elif term.get("datatype") == _BOOLEAN:  # Virtuoso's are 1 and 0
                term["value"] = {"1": "true", "0": "false"}.get(term["value"], term["value"])
            elif isinstance(term["value"], str):  # not a triple term
                term["value"] = to_local_iris(term["value"], release)


def graph(
    content: bytes, *, written: str, root: str, labels: Mapping[str, str], release: str, media_type: str, host: str
) -> bytes:
    """Return a graph, which is in the syntax `written`, in the client's, with local graph IRIs; `root` as in `write_graph`."""
    engine = SYNTAXES[written].engine
    assert isinstance(engine, ox.RdfFormat)
    with unreadable(host, content):
        quads = ox.parse(to_local_iris(content.decode(), release), format=engine)
        triples, syntax = (quad.triple for quad in quads), SYNTAXES[media_type]
        if syntax is FIRST_ROWS:
            return write_first(triples, lambda _things: labels)
        return write_graph(triples, syntax, root)


def lines(content: bytes, release: str, host: str) -> bytes:
    """Return lines of N-Triples with local graph IRIs, after parsing them."""
    with unreadable(host, content):
        text = to_local_iris(content.decode(), release)
        for _ in ox.parse(text, format=ox.RdfFormat.N_TRIPLES):
            pass
        return text.encode()


def to_local_iris(text: str, release: str) -> str:
    """Return `text` with our graph IRIs in place of those that a server has for `release`."""
    return text.replace(release + "/", names.GRAPHS)


def solutions(found: Json) -> ox.QuerySolutions | ox.QueryBoolean:
    """Return the solutions that SPARQL JSON holds."""
    results: Any = ox.parse_query_results(json.dumps(found).encode(), format=ox.QueryResultsFormat.JSON)
    return results  # type: ignore[no-any-return]


@contextmanager
def unreadable(host: str, content: bytes) -> Iterator[None]:
    """Raise TimeLimit or StoreUnavailable for an answer that cannot be read."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, SyntaxError, RecursionError):
        if any(message.encode() in content[-1000:] for message in TIMEOUT_MESSAGES):
            raise TimeLimit(f"{host} hit its time limit. Ask for less, or bind more of the pattern.") from None
        raise StoreUnavailable(f"{host} sent an answer that cannot be read.") from None


if __name__ == "__main__":
    main(load)
