"""The queries of the set, their answers over HTTP, and whether two servers gave the same rows."""

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
class Question:
    """A query of the set."""

    name: str
    summary: str
    text: str

    @property
    def accept(self) -> str:
        """The media type in which every server is asked to answer."""
        return N_TRIPLES if re.search(r"^CONSTRUCT", self.text, re.MULTILINE) else RESULTS


def questions(folder: Path = Path(__file__).parent / "queries") -> list[Question]:
    """Return the set, sorted by name."""
    found = []
    for path in sorted(folder.glob("*.rq")):
        text = path.read_text()
        summary = re.search(r"^#\+ summary: (.*)$", text, re.MULTILINE)
        bare = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
        found.append(Question(path.stem, summary[1] if summary else path.stem, bare))
    return found


def named(text: str) -> list[Question]:
    """Return the queries of the set that a comma-separated list names, all for an empty one. Raises SystemExit for no such."""
    known = {question.name: question for question in questions()}
    only = [name for name in text.split(",") if name]
    if unknown := set(only) - set(known):
        raise SystemExit(f"No query {', '.join(sorted(unknown))} in the set; known: {', '.join(known)}")
    return [known[name] for name in only or known]


@dataclass(frozen=True)
class Reply:
    """What a server answered, and after how many seconds its last byte had come."""

    status: int
    body: bytes
    seconds: float


def ask(connection: http.client.HTTPConnection, endpoint: Endpoint, question: Question, comment: str = "") -> Reply:
    """Ask once; a comment makes the text one that the server has not seen."""
    text = f"{question.text}\n#{comment}" if comment else question.text
    before = time.perf_counter()
    connection.request("GET", endpoint.target(text), headers={"Accept": question.accept})
    reply = connection.getresponse()
    body = reply.read()
    return Reply(reply.status, body, time.perf_counter() - before)


Rows = Counter[tuple[str, ...]]


def rows(question: Question, body: bytes) -> Rows:
    """Return an answer as a multiset of rows, each term as text, so that servers' spellings of a term agree.

    Blank nodes are all alike; `typed-literal` is a literal, xsd:string is the datatype of a plain one, language
    tags are lower-case, numbers and booleans are written canonically. Triples count once, in whatever order.
    """
    if question.accept == N_TRIPLES:
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
    """Return "" when both hold the same rows, else what only one holds, with one example each."""
    if ours == theirs:
        return ""
    missing, extra = ours - theirs, theirs - ours
    parts = [f"{ours.total()} rows here, {theirs.total()} there"]
    for what, counter in (("only here", missing), ("only there", extra)):
        if counter:
            parts.append(f"{counter.total()} {what}, such as {' '.join(min(counter))[:300]}")
    return "; ".join(parts)
