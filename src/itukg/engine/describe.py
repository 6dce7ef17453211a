"""DESCRIBE as linked data needs it: what is said of a thing, what is said to it, and the evidence of its links.

The standard leaves open what DESCRIBE yields (SPARQL 1.1 Query, 16.4). Here it is the symmetric concise bounded
description: the triples that have the thing as subject or object, with the lists that they lead to, and each
Linkage of the thing in full. Two plain queries find it, so every engine gives the same.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from math import inf

from itukg import names
from itukg.engine.exists import advice
from itukg.engine.mending import mended
from itukg.engine.pool import BUFFER_BYTES
from itukg.engine.sparql import IRI, Query, after_prologue, blank_out
from itukg.engine.store import Answer, Dataset, Store, things_in
from itukg.errors import SyntaxProblem, TimeLimit
from itukg.formats import TABLE_FORMATS, Format

_GAP = r"(?:\s|#[^\n\r]*[\n\r])*"
_IRI = rf"{IRI}|" r"[^\s?$<>{}()#*\"']*:(?:\\.|[^\s?$<>{}()#\"'\\])*"
_NAMED = re.compile(rf"{_GAP}(?:(?P<all>\*)|(?P<variable>[?$]\w+)|(?P<iri>{_IRI}))")
FROM_CLAUSE = re.compile(rf"{_GAP}FROM\b{_GAP}(?:NAMED\b{_GAP})?(?:{_IRI})", re.IGNORECASE)
"""A FROM clause, to match where one may begin."""
_WHERE = re.compile(r"\s*(?:WHERE\b|\{)", re.IGNORECASE)
NESTED = "|".join(
    f"<{iri}>"
    for iri in (
        *(names.PREFIXES["rdf"] + name for name in ("first", "rest")),
        *(names.OWL + name for name in ("members", "unionOf", "intersectionOf", "oneOf")),
        *(
            names.SH + name
            for name in ("and", "or", "xone", "not", "property", "path", "inversePath", "alternativePath")
        ),
        *(
            names.SH + name
            for name in ("zeroOrMorePath", "oneOrMorePath", "qualifiedValueShape", "node", "sparql", "in")
        ),
    )
)
"""A property path from one blank node to the next: lists, class expressions, shapes."""


async def answer_query(
    store: Store, query: Query, dataset: Dataset, syntax: Format, *, deadline: float = inf, client: str = ""
) -> Answer:
    """Answer a query as `Store.answer` does, and DESCRIBE with a symmetric concise bounded description.

    Raises SyntaxProblem with the place in the query as it arrived, and with what may stand there; TimeLimit with advice.
    """
    try:
        if query.form == "DESCRIBE" and (parts := _parts(query.text)):
            answer = partial(store.answer, deadline=deadline, client=client)
            return await _described(answer, query, dataset, syntax, parts)
        return await store.answer(query, dataset, syntax, deadline=deadline, client=client)
    except SyntaxProblem as error:
        raise mended(error, query) from None
    except TimeLimit as error:
        if words := advice(query.text):
            raise TimeLimit(f"{error} {words}") from None
        raise


async def _described(
    answer: Callable[[Query, Dataset, Format], Awaitable[Answer]],
    query: Query,
    dataset: Dataset,
    syntax: Format,
    parts: tuple[str, str, str],
) -> Answer:
    prologue, dataset_clause, select = parts
    try:
        table = await answer(query._replace(text=select, form="SELECT"), dataset, TABLE_FORMATS[0])
    except SyntaxProblem:
        return await answer(query, dataset, syntax)  # its error names the place in the client's own text
    things = await asyncio.to_thread(things_in, await table.read(BUFFER_BYTES))
    construct = f"{prologue}{_construct(things, dataset_clause)}"
    return await answer(Query(construct, "CONSTRUCT", query.volatile), dataset, syntax)


def _parts(text: str) -> tuple[str, str, str] | None:
    """Return prologue and dataset clause of a DESCRIBE, and the SELECT whose solutions are what it describes."""
    bare = blank_out(text)
    begin = after_prologue(bare)
    at = begin + len("DESCRIBE")
    columns: list[str] = []
    ours = next(name for number in count() if (name := f"described{number}_") not in text)
    while found := _NAMED.match(text, at):
        columns.append(found["all"] or found["variable"] or f"({found['iri']} AS ?{ours}{len(columns)})")
        at = found.end()
    if not columns:
        return None
    clause = at
    while found := FROM_CLAUSE.match(text, at):
        at = found.end()
    pattern = text[at:] if _WHERE.match(bare, at) else f"\nWHERE {{}} {text[at:]}"
    select = f"SELECT {' '.join(dict.fromkeys(columns))} {text[clause:at]} {pattern}"
    return text[:begin], text[clause:at], f"{text[:begin]}{select}"


def _construct(things: list[str], dataset_clause: str) -> str:
    if not things:
        return "CONSTRUCT { ?s ?p ?o } WHERE { ?s ?p ?o FILTER(false) }"
    values = f"VALUES ?thing {{ {' '.join(things)} }}"
    return f"""CONSTRUCT {{ ?s ?p ?o }} {dataset_clause}
WHERE {{
  {{ {values} ?thing ?p ?o BIND(?thing AS ?s) }}
  UNION {{ {values} ?s ?p ?thing BIND(?thing AS ?o) }}
  UNION {{ {values} ?s <{names.ITU}subject> ?thing ; ?p ?o }}
  UNION {{ {values} ?thing ?leads ?list FILTER(isBlank(?list)) ?list ({NESTED})* ?s FILTER(isBlank(?s)) ?s ?p ?o }}
}}"""
