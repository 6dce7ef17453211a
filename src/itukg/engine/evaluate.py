"""What a worker of the embedded store does: it evaluates queries on the release and writes their answers.

`python -m itukg.engine.evaluate "SHA-256  DATASET"` loads the release; see `engine.worker`.
"""

import hashlib
import marshal
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pyoxigraph as ox

from itukg import names
from itukg.engine.exists import quick_exists
from itukg.engine.sparql import Query, after_prologue, blank_out
from itukg.engine.worker import Work, Writable, main
from itukg.errors import BadRequest, DataError, ItukgError, QueryRefused, SyntaxProblem
from itukg.formats import FIRST_ROWS, GRAPH_FORMATS, PROFILE_FORMATS, TABLE_FORMATS, Format
from itukg.graphs import write_graph
from itukg.tables import best_labels, write_first, write_table

SYNTAXES = {syntax.media_type: syntax for syntax in (*TABLE_FORMATS, *GRAPH_FORMATS, *PROFILE_FORMATS, FIRST_ROWS)}


def pack_request(query: Query, default: Collection[str], named: Collection[str], syntax: Format) -> bytes:
    """Return a request in the form that a worker reads."""
    given = {"query": query.text, "default": tuple(default), "named": tuple(named)}
    return marshal.dumps(given | {"media_type": syntax.media_type, "root": query.root})


def digest_of(dataset: Path) -> str:
    """Return the SHA-256 of a file. Raises DataError."""
    try:
        with dataset.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{dataset}: {error}") from None


def load_same(listed: str) -> Work:
    """Load a file that is `listed` with its SHA-256, two spaces and its path: see `load`.

    Raises DataError also where it is another file by now: a process that replaces one that ended must answer the same.
    """
    digest, dataset = listed.split("  ", 1)
    if digest_of(Path(dataset)) != digest:
        raise DataError(f"{dataset} was changed since it was first loaded.")
    return load(dataset)


def load(dataset: str) -> Work:
    """Load the N-Quads file `dataset`, and return the function that answers requests on it. Raises DataError."""
    engine = ox.Store()
    try:
        engine.bulk_load(path=dataset, format=ox.RdfFormat.N_QUADS)
    except (OSError, SyntaxError) as error:
        raise DataError(f"{dataset}: {error}") from None
    warm_up()
    return lambda request, output: answer(engine, **marshal.loads(request), output=output)  # noqa: S302  (of ours)


def warm_up() -> None:
    """Write each syntax once, so that everything it needs is read and imported: a worker can open no file."""
    for syntax in (*GRAPH_FORMATS, *PROFILE_FORMATS):
        write_graph(
            [ox.Triple(ox.BlankNode(), ox.NamedNode(names.ITU + "note"), ox.Literal("é", language="en"))], syntax
        )


def answer(
    engine: ox.Store,
    *,
    query: str,
    default: tuple[str, ...],
    named: tuple[str, ...],
    media_type: str,
    root: str,
    output: Writable,
) -> None:
    """Evaluate `query` and write its answer; raises what `Store.answer` raises, except TimeLimit."""
    syntax = SYNTAXES[media_type]
    graphs = graphs_of(default, named)
    try:
        results = evaluate(engine, in_order_of_columns(query), graphs)
        if syntax is FIRST_ROWS:
            output.write(write_first(results, partial(labels_in, engine)))
        elif isinstance(results, ox.QueryTriples):
            output.write(write_graph(results, syntax, root))
        elif syntax.labels:
            output.write(write_table(results, syntax, partial(labels_in, engine)))
        else:
            results.serialize(output, format=syntax.engine)
    except REFUSALS as error:
        raise to_error(error) from None


def graphs_of(default: Collection[str], named: Collection[str]) -> dict[str, Any]:
    """Return a protocol dataset as the engine's arguments; none for an empty dataset. Raises BadRequest."""
    if not (default or named):
        return {}
    return {"default_graph": _named_nodes(default), "named_graphs": _named_nodes(named)}


def _named_nodes(iris: Collection[str]) -> list[ox.NamedNode]:
    found = []
    for iri in dict.fromkeys(iris):  # a graph named twice counts once: the engine would return its triples twice
        try:
            found.append(ox.NamedNode(iri))
        except ValueError as error:
            raise BadRequest(f'A graph of the dataset must be named by an IRI, not "{iri}": {error}') from None
    return found


REFUSALS = (SyntaxError, RuntimeError, OSError)
"""What the engine raises for a query that it does not run."""


def to_error(error: Exception) -> ItukgError:
    """Return our error for one that the engine raised for a query."""
    if isinstance(error, SyntaxError):
        return syntax_problem(error)
    return QueryRefused(f"The engine cannot run this query: {error}")


def evaluate(engine: ox.Store, query: str, graphs: Mapping[str, Any]) -> Any:
    """Evaluate a query as `quick_exists` rewrites it, or as written where the engine does not understand the rewriting."""
    quicker = quick_exists(query)
    if quicker != query:
        with suppress(SyntaxError):
            return engine.query(quicker, **graphs)
    return engine.query(query, **graphs)


def labels_in(engine: ox.Store, things: Collection[str]) -> Mapping[str, str]:
    """Return the labels of things in the merged graph, whatever the query's own dataset."""
    label, merged = ox.NamedNode(names.PREFIXES["rdfs"] + "label"), ox.DefaultGraph()
    stated = ((t, q.object) for t in things for q in engine.quads_for_pattern(ox.NamedNode(t), label, None, merged))
    return best_labels((thing, text) for thing, text in stated if isinstance(text, ox.Literal))


_REASON = re.compile(r"(?:one of |, |^expected )((?:[A-Z][a-z]\w+|IRI) [\w ]+)")
"""A sentence of the engine's, which stands among keywords and signs."""
_SIGNS = re.compile(r",? (?:\[(?:'(?:\\.|[^'])+'|[^]'])*\]|<unreported>)")
"""A set of characters that the engine expected, or something that it has no name for."""
_STAR = re.compile(r"SELECT(\s+(?:DISTINCT|REDUCED))?\s*\*", re.IGNORECASE)
_BODY = re.compile(r"(?:\bWHERE\s*)?\{", re.IGNORECASE)
_NO_DATA = ox.Store()


def in_order_of_columns(query: str) -> str:
    """Return `query` with its `SELECT *` spelled out in the order in which it names its variables.

    The engine orders them by name. To learn which are in scope, the same query is run without any data, with a filter that
    nothing passes, so that no SERVICE is called.
    """
    if "*" not in query:
        return query
    bare = blank_out(query)
    begin = after_prologue(bare)
    star = _STAR.match(bare, begin)
    body = _BODY.search(bare, star.end()) if star else None
    if star is None or body is None:
        return query
    filtered = (
        f"{query[:begin]}SELECT * WHERE {{ {{ SELECT{star[1] or ''} * {query[body.start() :]}\n}} FILTER(false) }}"
    )
    try:
        results: Any = _NO_DATA.query(filtered)
    except REFUSALS:
        return query  # the engine will say what is wrong with it
    scope = [variable.value for variable in results.variables]
    columns = by_appearance(query, scope)
    if columns == scope:
        return query
    return query[: star.end() - 1] + " " + " ".join(f"?{name}" for name in columns) + query[star.end() :]


def by_appearance(query: str, columns: list[str]) -> list[str]:
    """Return the columns of a `SELECT *` in the order in which the query names them; other queries keep their order."""
    bare = blank_out(query)
    star = _STAR.match(bare, after_prologue(bare))
    if star is None:
        return columns
    first: dict[str, int] = {}
    for found in re.finditer(r"[?$](\w+)", bare[star.end() :]):
        first.setdefault(found[1], found.start())
    return sorted(columns, key=lambda name: first.get(name, len(bare)))


def syntax_problem(error: SyntaxError) -> SyntaxProblem:
    """Turn the engine's "error at 2:1: expected …" into a SyntaxProblem with line and column."""
    place = re.match(r"error at (\d+):(\d+): (.*)", str(error), re.DOTALL)
    if place is None:
        return SyntaxProblem(str(error))
    line, column, expected = int(place[1]), int(place[2]), place[3]
    if reason := _REASON.search(expected):  # it stands among the expected tokens
        expected = reason[1]
    else:
        expected = _SIGNS.sub("", expected)
        expected = "expected something else" if expected in ("expected", "expected one of") else expected
    return SyntaxProblem(f"line {line}, column {column}: {expected}", line, column)


if __name__ == "__main__":
    main(load_same)
