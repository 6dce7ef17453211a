"""Views of our server beside the same numbers by a SPARQL query written by hand, on our server and its peers.

    python -m benchmarks.views                                  # some four minutes
    python -m benchmarks.views --servers itukg,oxigraph --rounds 3

A view also has evidence, words, gaps and addresses, which the query has not. Every request is one that no cache holds, and
the servers answer in turns. Exit code 1 when the numbers of a query differ from ours.
"""

import http.client
import json
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks import report
from benchmarks.answers import Query, send
from benchmarks.load import ANSWER_SECONDS
from benchmarks.servers import BUILD, SERVERS, Endpoint, Started, build, installed

Json = dict[str, Any]
Counts = Mapping[tuple[str, str], int]
"""What is counted, by two terms → the number."""

PREFIXES = """PREFIX itu: <https://w3id.org/itukg/ontology#>
PREFIX sdgo: <http://metadata.un.org/sdg/ontology#>
PREFIX id: <https://w3id.org/itukg/id/>
"""


def between(rows: str, columns: str) -> str:
    """Return the query that counts the linkages from things of one class to things of another in the Buenos Aires Action Plan."""
    return f"""{PREFIXES}SELECT ?row ?column (COUNT(?l) AS ?count) WHERE {{
  ?row itu:plan id:buap-2018-2021 ; a {rows} . ?column a {columns} . ?l itu:subject ?row ; itu:object ?column .
}} GROUP BY ?row ?column"""


def cells(found: Json) -> Counts:
    """Return the counts of a matrix."""
    return {(cell["row"], cell["column"]): cell["count"] for cell in found["cells"] if cell["count"]}


@dataclass(frozen=True)
class Case:
    """A view by its address, the query for the same numbers, and where the view's JSON has them."""

    name: str
    address: str
    query: str
    numbers: Callable[[Json], Counts] = cells


CASES = (
    Case(
        "all plans, all SDG targets",
        "/matrix?rows=plan&columns=sdgTarget",
        f"""{PREFIXES}SELECT ?row ?column (COUNT(DISTINCT ?thing) AS ?count) WHERE {{
  ?column a sdgo:Target . ?l itu:object ?column ; itu:subject ?thing . ?thing itu:plan ?row .
}} GROUP BY ?row ?column""",
    ),
    Case(
        "action lines, Goals, one plan",
        "/matrix?rows=actionLine&columns=sdgGoal&plan=buap-2018-2021",
        f"""{PREFIXES}SELECT ?row ?column (COUNT(DISTINCT ?thing) AS ?count) WHERE {{
  ?thing itu:plan id:buap-2018-2021 . ?a itu:subject ?thing ; itu:object ?row . ?row a itu:ActionLine .
  ?b itu:subject ?thing ; itu:object ?column . ?column a sdgo:Goal .
}} GROUP BY ?row ?column""",
    ),
    Case(
        "outputs, Goals, one plan",
        "/matrix?rows=output&columns=sdgGoal&plan=buap-2018-2021",
        between("itu:Output", "sdgo:Goal"),
    ),
    Case(
        "outputs, SDG targets, one plan",
        "/matrix?rows=output&columns=sdgTarget&plan=buap-2018-2021",
        between("itu:Output", "sdgo:Target"),
    ),
    Case(
        "outcomes, instruments, one plan",
        "/matrix?rows=outcome&columns=instrument&plan=buap-2018-2021",
        between("itu:Outcome", "itu:Instrument"),
    ),
    Case(
        "lineage of an outcome",
        "/lineage/bap-2026-2029/outcome/T1.1-O1?",
        f"""{PREFIXES}SELECT ?row ?column (COUNT(DISTINCT ?l) AS ?count) WHERE {{
  {{ <https://w3id.org/itukg/id/bap-2026-2029/outcome/T1.1-O1> itu:succeeds* ?row }}
  ?l itu:subject ?row ; itu:object ?column ; itu:basis itu:judged ; itu:predicate ?how .
  FILTER(?how IN (itu:succeeds, itu:restates, itu:revises, itu:splits, itu:merges))
}} GROUP BY ?row ?column""",
        lambda found: Counter((step["newer"]["iri"], step["older"]["iri"]) for step in found["steps"]),
    ),
    Case(
        "two plans compared",
        "/compare?a=sp-2020-2023&b=sp-2024-2027",
        f"""{PREFIXES}SELECT ?row ?column (COUNT(DISTINCT ?l) AS ?count) WHERE {{
  ?l itu:basis itu:judged ; itu:predicate ?how ; itu:subject ?row ; itu:object ?column .
  FILTER(?how IN (itu:succeeds, itu:restates, itu:revises, itu:splits, itu:merges))
  ?row itu:plan id:sp-2024-2027 . ?column itu:plan id:sp-2020-2023 .
}} GROUP BY ?row ?column""",
        lambda found: Counter((c["newerId"], c["olderId"]) for c in found["changes"] if c.get("confidence")),
    ),
    Case(
        "budget by Goal",
        "/budget?by=goal&rule=whole",
        f"""{PREFIXES}SELECT ?row ?column (COUNT(DISTINCT ?thing) AS ?count) WHERE {{
  {{ SELECT DISTINCT ?row ?topic WHERE {{
    GRAPH <https://w3id.org/itukg/graph/derived> {{ ?served itu:contributesToSDG ?row }}
    ?served itu:outcomeOf? ?topic . ?topic itu:topicOf ?priority
  }} }}
  ?line itu:budgetFor ?topic ; itu:plan id:op-2026 . BIND(?topic AS ?column) BIND(?line AS ?thing)
}} GROUP BY ?row ?column""",
        lambda found: Counter(
            (row["id"], part["thing"]) for row in found["rows"] if "id" in row for part in row["evidence"]
        ),
    ),
    Case(
        "gaps of a plan",
        "/gaps?plan=bap-2026-2029",
        f"""{PREFIXES}SELECT ?row ?column (COUNT(DISTINCT ?gap) AS ?count) WHERE {{
  ?gap a itu:Gap ; itu:plan id:bap-2026-2029 ; itu:about ?row . BIND(?gap AS ?column)
}} GROUP BY ?row ?column""",
        lambda found: Counter((row["about"], row["id"]) for row in found["rows"]),
    ),
    Case(
        "risks of all plans",
        "/risks?",
        f"""{PREFIXES}SELECT ?row ?column (COUNT(*) AS ?count) WHERE {{ ?column itu:mitigates ?row }} GROUP BY ?row ?column""",
        lambda found: Counter((risk["id"], each["id"]) for risk in found["rows"] for each in risk["mitigations"]),
    ),
)


@dataclass
class Times:
    """The milliseconds of each case by what answered, and the cases whose numbers are not ours."""

    taken: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    differing: list[str] = field(default_factory=list)

    def note(self, case: Case, what: str, seconds: float) -> None:
        """Add a time."""
        self.taken.setdefault((case.name, what), []).append(seconds * 1e3)


def main() -> None:
    """Run the comparison of the command line."""
    parser = report.parser("views", __doc__)
    parser.add_argument("--servers", default="itukg,oxigraph,rdflib-endpoint", help=f"of {', '.join(SERVERS)}")
    parser.add_argument("--rounds", type=int, default=9, help="requests of each view; the median counts [9]")
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
    """Ask for a view once, and every server for its numbers."""
    seconds, ours = view(servers["itukg"], case, number)
    found.note(case, "view", seconds)
    for name, endpoint in servers.items():
        connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=ANSWER_SECONDS)
        reply = send(connection, endpoint, Query(case.name, case.name, case.query), f"{number}")
        connection.close()
        found.note(case, name, reply.seconds)
        if counts(reply.body) != ours and f"{case.name}, {name}" not in found.differing:
            found.differing.append(f"{case.name}, {name}")


def view(endpoint: Endpoint, case: Case, number: int) -> tuple[float, Counts]:
    """Return the seconds that a view takes, and its numbers; the name of the host makes it an answer that no cache holds."""
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=ANSWER_SECONDS)
    before = time.perf_counter()
    headers = {"Host": f"round{number}.localhost:{endpoint.port}"}
    connection.request("GET", f"{case.address}&format=json".replace("?&", "?"), headers=headers)
    body = connection.getresponse().read()
    seconds = time.perf_counter() - before
    connection.close()
    return seconds, case.numbers(json.loads(body))


def counts(body: bytes) -> Counts:
    """Return the numbers in an answer of SPARQL; a group of nothing is none."""
    rows = json.loads(body)["results"]["bindings"]
    return {(r["row"]["value"], r["column"]["value"]): int(r["count"]["value"]) for r in rows if "row" in r}


def written(found: Times, names: list[str], where: str) -> str:
    """Return the medians as a table."""
    kinds = ["view", *names]
    lines = [[c.name, *(report.number(statistics.median(found.taken[c.name, kind])) for kind in kinds)] for c in CASES]
    table = report.table(["median, ms", *kinds], lines)
    return f"{where}\n\n{table}\n\nNumbers that differ: {'; '.join(found.differing) or 'none'}."


if __name__ == "__main__":
    main()
