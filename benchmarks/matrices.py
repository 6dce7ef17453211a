"""Matrices of our server beside the same counts by a SPARQL query written by hand, on our server and its peers.

    python -m benchmarks.matrices                                  # some three minutes
    python -m benchmarks.matrices --servers itukg,oxigraph --rounds 3

A matrix also has evidence, gaps and addresses, which the query has not. Every request is one that no cache holds, and the
servers answer in turns. Exit code 1 when the counts of a query differ from ours.
"""

import http.client
import json
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks import report
from benchmarks.answers import Query, send
from benchmarks.load import ANSWER_SECONDS
from benchmarks.servers import BUILD, SERVERS, Endpoint, Started, build, installed

Counts = Mapping[tuple[str, str], int]
"""Row and column → count."""

PREFIXES = """PREFIX itu: <https://w3id.org/itukg/ontology#>
PREFIX sdgo: <http://metadata.un.org/sdg/ontology#>
PREFIX id: <https://w3id.org/itukg/id/>
"""


def between(rows: str, columns: str) -> str:
    """Return the query that counts the linkages from things of one class to things of another in the Buenos Aires Action Plan."""
    return f"""{PREFIXES}SELECT ?row ?column (COUNT(?l) AS ?count) WHERE {{
  ?row itu:plan id:buap-2018-2021 ; a {rows} . ?column a {columns} . ?l itu:subject ?row ; itu:object ?column .
}} GROUP BY ?row ?column"""


@dataclass(frozen=True)
class Case:
    """A matrix, its address, and the query for the same counts."""

    name: str
    parameters: str
    query: str


CASES = (
    Case(
        "all plans, all SDG targets",
        "rows=plan&columns=sdgTarget",
        f"""{PREFIXES}SELECT ?row ?column (COUNT(DISTINCT ?thing) AS ?count) WHERE {{
  ?column a sdgo:Target . ?l itu:object ?column ; itu:subject ?thing . ?thing itu:plan ?row .
}} GROUP BY ?row ?column""",
    ),
    Case(
        "action lines, Goals, one plan",
        "rows=actionLine&columns=sdgGoal&plan=buap-2018-2021",
        f"""{PREFIXES}SELECT ?row ?column (COUNT(DISTINCT ?thing) AS ?count) WHERE {{
  ?thing itu:plan id:buap-2018-2021 . ?a itu:subject ?thing ; itu:object ?row . ?row a itu:ActionLine .
  ?b itu:subject ?thing ; itu:object ?column . ?column a sdgo:Goal .
}} GROUP BY ?row ?column""",
    ),
    Case(
        "outputs, Goals, one plan",
        "rows=output&columns=sdgGoal&plan=buap-2018-2021",
        between("itu:Output", "sdgo:Goal"),
    ),
    Case(
        "outputs, SDG targets, one plan",
        "rows=output&columns=sdgTarget&plan=buap-2018-2021",
        between("itu:Output", "sdgo:Target"),
    ),
    Case(
        "outcomes, instruments, one plan",
        "rows=outcome&columns=instrument&plan=buap-2018-2021",
        between("itu:Outcome", "itu:Instrument"),
    ),
)


@dataclass
class Times:
    """The milliseconds of each case by what answered, and the cases whose counts are not ours."""

    taken: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    differing: list[str] = field(default_factory=list)

    def note(self, case: Case, what: str, seconds: float) -> None:
        """Add a time."""
        self.taken.setdefault((case.name, what), []).append(seconds * 1e3)


def main() -> None:
    """Run the comparison of the command line."""
    parser = report.parser("matrices", __doc__)
    parser.add_argument("--servers", default="itukg,oxigraph,rdflib-endpoint", help=f"of {', '.join(SERVERS)}")
    parser.add_argument("--rounds", type=int, default=9, help="requests of each matrix; the median counts [9]")
    arguments = parser.parse_args()
    names = installed(arguments.servers)
    where = report.setting()
    build(BUILD / "home")
    found = Times()
    with Started(BUILD / "home") as started:
        servers = {name: started.start(name) for name in names}
        for number in range(arguments.rounds):
            for case in CASES:
                measure(case, servers, number, found)
    print(written(found, names, where))
    raise SystemExit(1 if found.differing else 0)


def measure(case: Case, servers: Mapping[str, Endpoint], number: int, found: Times) -> None:
    """Ask for a matrix once, and every server for its counts."""
    seconds, ours = matrix(servers["itukg"], case, number)
    found.note(case, "/matrix", seconds)
    for name, endpoint in servers.items():
        connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=ANSWER_SECONDS)
        reply = send(connection, endpoint, Query(case.name, case.name, case.query), f"{number}")
        connection.close()
        found.note(case, name, reply.seconds)
        if counts(reply.body) != ours and f"{case.name}, {name}" not in found.differing:
            found.differing.append(f"{case.name}, {name}")


def matrix(endpoint: Endpoint, case: Case, number: int) -> tuple[float, Counts]:
    """Return the seconds that a matrix takes, and its counts; `size` makes it an address that no cache holds."""
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=ANSWER_SECONDS)
    before = time.perf_counter()
    connection.request("GET", f"/matrix.json?{case.parameters}&size={1000 - number}")
    body = connection.getresponse().read()
    seconds = time.perf_counter() - before
    connection.close()
    return seconds, {(c["row"], c["column"]): c["count"] for c in json.loads(body)["cells"] if c["count"]}


def counts(body: bytes) -> Counts:
    """Return the counts in an answer of SPARQL; a group of nothing is none."""
    rows = json.loads(body)["results"]["bindings"]
    return {(r["row"]["value"], r["column"]["value"]): int(r["count"]["value"]) for r in rows if "row" in r}


def written(found: Times, names: list[str], where: str) -> str:
    """Return the medians as a table."""
    kinds = ["/matrix", *names]
    lines = [[c.name, *(report.number(statistics.median(found.taken[c.name, kind])) for kind in kinds)] for c in CASES]
    table = report.table(["median, ms", *kinds], lines)
    return f"{where}\n\n{table}\n\nCounts that differ: {'; '.join(found.differing) or 'none'}."


if __name__ == "__main__":
    main()
