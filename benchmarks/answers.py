"""The query set, answers over HTTP, and the comparison of the rows of two servers."""

import http.client
import json
import re
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyoxigraph as ox

from benchmarks.servers import Endpoint

XSD = "http://www.w3.org/2001/XMLSchema#"
RESULTS = "application/sparql-results+json"
N_TRIPLES = "application/n-triples"


@dataclass(frozen=True)
class Query:
    """A query of the set."""

    name: str
    summary: str
    text: str

    @property
    def accept(self) -> str:
        """The media type that is requested of every server."""
        return N_TRIPLES if re.search(r"^CONSTRUCT", self.text, re.MULTILINE) else RESULTS


def query_set(folder: Path = Path(__file__).parent / "queries") -> list[Query]:
    """Return the set, sorted by name."""
    found = []
    for path in sorted(folder.glob("*.rq")):
        text = path.read_text()
        summary = re.search(r"^#\+ summary: (.*)$", text, re.MULTILINE)
        bare = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
        found.append(Query(path.stem, summary[1] if summary else path.stem, bare))
    return found


def selected(names: str) -> list[Query]:
    """Return the queries of the set with these comma-separated names, or all for "". Raises SystemExit for an unknown name."""
    known = {query.name: query for query in query_set()}
    only = [name for name in names.split(",") if name]
    if unknown := set(only) - set(known):
        raise SystemExit(f"No query {', '.join(sorted(unknown))} in the set; known: {', '.join(known)}")
    return [known[name] for name in only or known]


@dataclass(frozen=True)
class Reply:
    """A status and a body, with the seconds from the request to the last byte."""

    status: int
    body: bytes
    seconds: float


def send(connection: http.client.HTTPConnection, endpoint: Endpoint, query: Query, comment: str = "") -> Reply:
    """Send a query once; a unique comment makes it a text that no cache holds."""
    text = f"{query.text}\n#{comment}" if comment else query.text
    before = time.perf_counter()
    connection.request("GET", endpoint.target(text), headers={"Accept": query.accept})
    reply = connection.getresponse()
    body = reply.read()
    return Reply(reply.status, body, time.perf_counter() - before)


Rows = Counter[tuple[str, ...]]


def rows(query: Query, body: bytes) -> Rows:
    """Return an answer as a multiset of rows, with one spelling for the terms that servers spell differently.

    All blank nodes are equal; `typed-literal` is a literal, xsd:string is the datatype of a plain one, language
    tags are lower-case, numbers and booleans are canonical. A repeated triple counts once.
    """
    if query.accept == N_TRIPLES:
        parsed = ox.parse(body, format=ox.RdfFormat.N_TRIPLES)
        triples = {(q.subject, q.predicate, q.object) for q in parsed}
        return Counter(tuple(_term(part) for part in triple) for triple in triples)
    document = json.loads(body)
    names = sorted(document["head"]["vars"])
    return Counter(
        tuple(_binding(solution[name]) if name in solution else "" for name in names)
        for solution in document["results"]["bindings"]
    )


def _binding(binding: dict[str, Any]) -> str:
    kind, value = binding["type"], str(binding["value"])
    if kind == "bnode":
        return "_:"
    if kind == "uri":
        return f"<{value}>"
    return _literal(value, binding.get("datatype"), binding.get("xml:lang"))


def _term(term: object) -> str:
    if isinstance(term, ox.Literal):
        return _literal(term.value, term.datatype.value, term.language)
    return "_:" if isinstance(term, ox.BlankNode) else str(term)


def _literal(value: str, datatype: str | None, language: str | None) -> str:
    if language:
        return f"{json.dumps(value)}@{language.lower()}"
    if datatype is None or datatype == f"{XSD}string":
        return json.dumps(value)
    if datatype in (f"{XSD}integer", f"{XSD}decimal", f"{XSD}double"):
        value = f"{float(value):.12g}"
    elif datatype == f"{XSD}boolean":
        value = {"1": "true", "0": "false"}.get(value, value)
    return f"{json.dumps(value)}^^{datatype}"


def difference(ours: Rows, theirs: Rows) -> str:
    """Return "" for equal rows, else the number of rows that only one side has, with an example of each."""
    if ours == theirs:
        return ""
    missing, extra = ours - theirs, theirs - ours
    parts = [f"{ours.total()} rows here, {theirs.total()} there"]
    for what, counter in (("only here", missing), ("only there", extra)):
        if counter:
            parts.append(f"{counter.total()} {what}, such as {' '.join(min(counter))[:300]}")
    return "; ".join(parts)
