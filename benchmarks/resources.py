"""Measure linked data: warm resources beside nginx with the same bytes, every thing cold, the whole release as JSON-LD.

    python -m benchmarks.resources                               # about two minutes
    python -m benchmarks.resources --write docs/performance.md   # and put the result into the page

nginx (Debian and Ubuntu: apt-get install nginx-light) serves from files what our server answered; where it is not
installed, that is said instead. Exit code 1 when a request fails or, with --strict, a target is missed.
"""

import argparse
import http.client
import json
import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import pyoxigraph as ox
import rdflib

from benchmarks import report
from benchmarks.compare import wrk
from benchmarks.servers import BUILD, Endpoint, build, dataset, itukg, nginx
from itukg.formats import JSONLD, write_dataset

THINGS = "https://w3id.org/itukg/id/"
LABEL = rdflib.RDFS.label
RESOURCES = (
    ("a thing, JSON-LD", "/id/buap-2018-2021/output/2.1", "application/ld+json"),
    ("a thing, Turtle", "/id/buap-2018-2021/output/2.1.ttl", "text/turtle"),
    ("a thing, HTML", "/id/buap-2018-2021/output/2.1.html", "text/html"),
    ("a list, JSON-LD", "/id/buap-2018-2021/output", "application/ld+json"),
    ("the report, JSON", "/conformance.json", "application/json"),
    ("a file of the release, links.csv", "/data/latest/links.csv", "text/csv"),
)
"""What is asked for: its name, path and Accept header."""
WHOLE = "/data/latest/itukg.jsonld"
EACH = 20
"""Every so many things one is rendered by rdflib too."""
QUARTER, COLD, RELEASE = 0.25, 5.0, 2.0
"""What is promised: of nginx's throughput at least, milliseconds at the median, and seconds, at most."""


@dataclass(frozen=True)
class Warm:
    """One resource with so many connections: answers per second of ours and, if it is there, of nginx."""

    name: str
    size: int
    connections: int
    ours: float
    nginx: float | None
    failed: int

    @property
    def share(self) -> float | None:
        """Return ours as a part of nginx's."""
        return self.ours / self.nginx if self.nginx else None


@dataclass(frozen=True)
class Cold:
    """Milliseconds for a thing: the median, the 99th percentile, and of how many."""

    name: str
    median: float
    high: float
    count: int


def main() -> None:
    """Run what the command line asks for."""
    arguments = parse()
    where = report.setting()
    home = BUILD / "home"
    build(home)
    with itukg(home) as server:
        print("every thing, cold", flush=True)
        cold, told = measure_cold(server)
        served = timed(server, WHOLE, "application/ld+json")[1]
        cold += measure_rdflib(told)
        print("warm", flush=True)
        warm = measure_warm(server, arguments.seconds)
    parsed = ox.parse(path=dataset(home), format=ox.RdfFormat.N_QUADS)
    quads = [quad for quad in parsed if isinstance(quad.graph_name, ox.NamedNode)]  # not the merged graph
    before = time.perf_counter()
    size = len(write_dataset(quads, JSONLD))
    whole = {"written": time.perf_counter() - before, "served": served}
    text, met = written(warm, cold, whole, size, f"{where}. {arguments.seconds} s per cell")
    print(text)
    if arguments.write:
        report.replace(arguments.write, "resources", text)
    failed = any(cell.failed for cell in warm)
    raise SystemExit(1 if failed or (arguments.strict and not met) else 0)


def timed(
    server: Endpoint, path: str, accept: str, kept: http.client.HTTPConnection | None = None
) -> tuple[bytes, float]:
    """Ask once; return the body and the seconds until its last byte."""
    connection = kept or http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    before = time.perf_counter()
    connection.request("GET", path, headers={"Accept": accept})
    reply = connection.getresponse()
    body = reply.read()
    seconds = time.perf_counter() - before
    if kept is None:
        connection.close()
    if reply.status != http.client.OK:
        raise SystemExit(f"{path} gave {reply.status}: {body[:300]!r}")
    return body, seconds


def measure_cold(server: Endpoint) -> tuple[list[Cold], list[bytes]]:
    """Ask for every thing once, as JSON-LD; return also the N-Triples of every so manyth."""
    query = f'SELECT DISTINCT ?s WHERE {{ ?s a ?c FILTER(STRSTARTS(STR(?s), "{THINGS}")) }} ORDER BY ?s'
    table = json.loads(timed(server, server.target(query), "application/sparql-results+json")[0])
    iris = [row["s"]["value"] for row in table["results"]["bindings"]]
    paths = [quote(urlsplit(iri).path.removeprefix("/itukg"), safe="/:@!$&'()*+,;=~%") for iri in iris]
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    taken = [timed(server, path, "application/ld+json", connection)[1] for path in paths]
    told = [timed(server, path, "application/n-triples", connection)[0] for path in paths[::EACH]]
    connection.close()
    return [summed("itukg, over HTTP", taken)], told


def measure_rdflib(told: Sequence[bytes]) -> list[Cold]:
    """Render the triples of things by rdflib: those that it has parsed, and as Prez does, from the store's answer."""
    context = json.loads((Path(__file__).parents[1] / "ontology" / "context.jsonld").read_text())["@context"]

    def serialized(graph: rdflib.Graph) -> None:
        graph.serialize(format="json-ld", context=context, auto_compact=True)

    def as_prez(triples: bytes) -> None:
        graph = rdflib.Graph().parse(data=triples, format="nt")
        labels = dict(graph.subject_objects(LABEL))
        for term in set(graph.all_nodes()) | set(graph.predicates()):
            graph.add((term, rdflib.URIRef("https://prez.dev/label"), labels.get(term, rdflib.Literal(str(term)))))
        serialized(graph)

    graphs = [rdflib.Graph().parse(data=triples, format="nt") for triples in told]
    return [
        summed("rdflib, triples to JSON-LD", [lasting(lambda g=graph: serialized(g)) for graph in graphs]),  # type: ignore[misc]
        summed("as Prez: parsed, labelled, written", [lasting(lambda t=triples: as_prez(t)) for triples in told]),  # type: ignore[misc]
    ]


def lasting(call: Callable[[], None]) -> float:
    """Return the seconds that a call takes."""
    before = time.perf_counter()
    call()
    return time.perf_counter() - before


def summed(name: str, seconds: Sequence[float]) -> Cold:
    """Return median and 99th percentile."""
    return Cold(name, statistics.median(seconds) * 1e3, statistics.quantiles(seconds, n=100)[98] * 1e3, len(seconds))


def measure_warm(server: Endpoint, seconds: int) -> list[Warm]:
    """Drive each resource, and the same bytes from a file by nginx."""
    files = BUILD / "nginx" / "files"
    files.mkdir(parents=True, exist_ok=True)
    bodies = []
    for place, (_, path, accept) in enumerate(RESOURCES):
        for _ in range(2):  # what came quickly is held from the second time on
            body, _ = timed(server, path, accept)
        (files / str(place)).write_bytes(body)
        bodies.append(len(body))
    there = shutil.which("nginx") is not None
    rates: dict[tuple[str, int, int], tuple[float, int]] = {}

    def drive(name: str, port: int) -> None:
        for place, (_, path, accept) in enumerate(RESOURCES):
            for connections in (1, 8):
                target = path if name == "itukg" else f"/{place}"
                wrk(port, target, accept, "warm", connections=connections, seconds=1)
                found = wrk(port, target, accept, "warm", connections=connections, seconds=seconds)
                short = found["requests"] if found["bytes"] < bodies[place] * found["requests"] else 0
                rates[name, place, connections] = found["rate"], int(found["failed"] + short)

    drive("itukg", server.port)
    if there:
        with nginx(files) as port:
            drive("nginx", port)
    return [
        Warm(
            name,
            bodies[place],
            connections,
            rates["itukg", place, connections][0],
            rates["nginx", place, connections][0] if there else None,
            sum(rates[server_, place, connections][1] for server_ in ("itukg", *(["nginx"] if there else []))),
        )
        for place, (name, *_) in enumerate(RESOURCES)
        for connections in (1, 8)
    ]


def written(warm: list[Warm], cold: list[Cold], whole: dict[str, float], size: int, where: str) -> tuple[str, bool]:
    """Return the result as Markdown, and whether every target is met."""
    number = report.number
    promises: list[tuple[str, str, bool]] = []
    for connections in (1, 8):
        shares = {w.name: share for w in warm if w.connections == connections and (share := w.share)}
        if shares:
            worst = min(shares, key=lambda name: shares[name])
            share, mean = shares[worst], statistics.geometric_mean(shares.values())
            text = f"warm, worst ({worst}), x{connections}: a quarter of nginx (aim: a half)"
            promises.append((text, f"{number(share)}; geometric mean {number(mean)}", share >= QUARTER))
    ours = cold[0]
    promises.append(("cold thing as JSON-LD, median: under 5 ms", f"{number(ours.median)} ms", ours.median < COLD))
    promises += [
        (f"the whole release as JSON-LD, {how}: under 2 s", f"{number(seconds)} s", seconds < RELEASE)
        for how, seconds in whole.items()
    ]
    parts = [
        f"Measured {where}; load by wrk on the same machine.",
        report.table(("target", "measured", "met"), [(t, m, "yes" if ok else "**no**") for t, m, ok in promises]),
        "Warm, requests per second:",
        report.table(
            ("resource, connections", "bytes", "itukg", "nginx", "part of it"),
            [
                (
                    f"{w.name}, x{w.connections}",
                    f"{w.size:,}",
                    number(w.ours) + (f", **{w.failed} failed**" if w.failed else ""),
                    number(w.nginx) if w.nginx else "",
                    number(w.share) if w.share else "",
                )
                for w in warm
            ],
        ),
        *([] if warm[0].nginx else ["nginx is not installed here, so that nothing stands beside ours."]),
        "Cold, milliseconds for a thing as JSON-LD:",
        report.table(
            ("by", "median", "p99", "things"),
            [(c.name, number(c.median), number(c.high), f"{c.count:,}") for c in cold],
        ),
        f"The whole release as JSON-LD has {size:,} bytes.",
    ]
    return "\n\n".join(parts), all(ok for *_, ok in promises)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = report.parser("resources", __doc__)
    parser.add_argument("--seconds", type=int, default=3, help="seconds per cell [3]")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a target is missed too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
