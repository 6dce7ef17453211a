"""First requests: each saved query, page and framed answer once, on a server that has just started."""

import csv
import http.client
import io
import json
import random
import re
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.answers import N_TRIPLES, RESULTS
from benchmarks.load import ANSWER_SECONDS
from benchmarks.servers import ROOT, Endpoint
from itukg.corpus import Corpus

ID = "https://w3id.org/itukg/id/"
HEAVY_THINGS = f"""SELECT ?thing (COUNT(*) AS ?triples) WHERE {{
  {{ ?thing ?p ?o }} UNION {{ ?s ?p ?thing }} FILTER(STRSTARTS(STR(?thing), "{ID}"))
}} GROUP BY ?thing ORDER BY DESC(?triples) LIMIT 20"""
"""The things with the most triples around them, whose pages and framed answers are the largest."""
PLANS = "SELECT ?plan WHERE { ?plan a <https://w3id.org/itukg/ontology#Plan> }"

PLURALS = {"saved query": "saved queries", "page": "pages", "framed answer": "framed answers"}


@dataclass(frozen=True)
class First:
    """A request whose first answer is timed."""

    kind: str
    """saved query, page or framed answer."""
    name: str
    target: str
    accept: str


def requests(endpoint: Endpoint) -> list[First]:
    """Return the saved queries, the pages of the API description, and pages and framed answers of plans and heavy things."""
    found = []
    for file in Corpus(ROOT).saved_files():
        text = file.read_text()
        accept = N_TRIPLES if re.search(r"^(CONSTRUCT|DESCRIBE)", text, re.MULTILINE) else RESULTS
        found.append(First("saved query", file.stem, endpoint.target(text), accept))
    paths = json.loads(_get(endpoint, "/openapi.json"))["paths"]
    pages = [path for path, methods in paths.items() if "{" not in path and _is_page(methods.get("get", {}))]
    frames = {file.stem: file.read_text() for file in sorted((ROOT / "queries" / "frames").glob("*.rq"))}
    things = {iri for query in (HEAVY_THINGS, PLANS) for iri in _column(endpoint, query)}
    things |= {
        root for text in frames.values() for root in re.findall(rf"VALUES \(?\?root\)? {{ \(?<({ID}[^>]+)>", text)
    }
    addresses = [f"/id/{iri.removeprefix(ID)}" for iri in sorted(things)]
    found += [First("page", path, path, "text/html") for path in (*pages, *addresses)]
    for frame in frames:
        for path in addresses:
            target = f"{path}?frame={frame}"
            found.append(First("framed answer", target, target, "application/ld+json"))
    return found


def times(start: Callable[[], Endpoint], rounds: int) -> Iterator[dict[First, float]]:
    """Yield the milliseconds of each request in each round, on a server that `start` starts for the round.

    The order is random, so that what the server loads for its first page delays another page in each round. A frame
    that is not for a thing and a page that needs parameters (400) have no time; another failure takes infinitely long.
    """
    wanted = requests(start())
    for number in range(rounds):
        endpoint = start()
        order = random.Random(number).sample(wanted, len(wanted))  # noqa: S311  (the same order in every run)
        yield {each: taken for each in order if (taken := _milliseconds(endpoint, each)) is not None}


def medians(rounds: list[dict[First, float]], kind: str) -> dict[str, float]:
    """Return the median milliseconds of each request of a kind, by its name."""
    return {each.name: statistics.median(found[each] for found in rounds) for each in rounds[0] if each.kind == kind}


def _milliseconds(endpoint: Endpoint, each: First) -> float | None:
    """Return the milliseconds of a request, None where it does not apply, infinity where it fails."""
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=ANSWER_SECONDS)
    before = time.perf_counter()
    try:
        connection.request("GET", each.target, headers={"Accept": each.accept})
        reply = connection.getresponse()
        reply.read()
    except (OSError, http.client.HTTPException):
        return float("inf")
    finally:
        connection.close()
    if reply.status == http.client.BAD_REQUEST and each.kind != "saved query":
        return None
    return (time.perf_counter() - before) * 1e3 if reply.status == http.client.OK else float("inf")


def _is_page(operation: dict[str, Any]) -> bool:
    return "text/html" in operation.get("responses", {}).get("200", {}).get("content", {})


def _column(endpoint: Endpoint, query: str) -> list[str]:
    rows = csv.reader(io.StringIO(_get(endpoint, endpoint.target(query), "text/csv").decode()))
    return [row[0] for row in rows][1:]


def _get(endpoint: Endpoint, target: str, accept: str = "*/*") -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=ANSWER_SECONDS)
    connection.request("GET", target, headers={"Accept": accept})
    body = connection.getresponse().read()
    connection.close()
    return body
