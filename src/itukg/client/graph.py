"""The knowledge graph as an object: each method is one request, and makes one table, report or thing of its answer."""

import weakref
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from itukg import names
from itukg.client.answers import Report, Row, Table, Thing, text_of, value_of
from itukg.client.transport import Connection
from itukg.errors import NotFound
from itukg.formats import GRAPH_FORMATS, N_TRIPLES, TABLE_FORMATS
from itukg.views.compare import CHANGE_COLUMNS
from itukg.views.succession import LINK_COLUMNS

if TYPE_CHECKING:
    import rdflib

PAGE_SIZE = "1000"
"""Rows of a page, the most that there may be."""


class KnowledgeGraph:
    """A release of the graph, which never changes while it is open.

    Whatever names a thing may be its path (`buap-2018-2021/output/2.1`), a prefixed name (`sdg:9.c`), its IRI or a
    Thing. Filters are those of the route, by the same names; `class` is written `class_`, several values of `basis`
    in a matrix may be a list. Every method raises the errors of `itukg.errors`, the same with the same message wherever the graph is:
    BadRequest for what a call may not say, NotFound, TimeLimit, ServerUnavailable and NotReady.
    """

    def __init__(self, connection: Connection) -> None:
        """Ask by `connection`: `itukg.open` makes one."""
        self._connection = connection
        self._end = weakref.finalize(self, connection.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close it."""
        self.close()

    def __repr__(self) -> str:
        return f"<KnowledgeGraph at {self._connection.where}>"

    def close(self) -> None:
        """End the connection, and the processes behind it; what is asked later raises ValueError."""
        self._end()

    def query(self, sparql: str, *, timeout: float | None = None) -> Any:
        """Return the answer to a SPARQL query: a Table for SELECT, a bool for ASK, an rdflib.Graph for the others.

        Our prefixes need no declaration. `timeout` is in seconds, and no more than the settings allow (10 unless they say
        otherwise). Raises SyntaxProblem with line and column, QueryRefused, MemoryLimit and TimeLimit.
        """
        response = self._connection.send(
            "POST",
            "/sparql",
            params={"prefixes": "auto"} | ({} if timeout is None else {"timeout": str(timeout)}),
            content=sparql.encode(),
            headers={"content-type": "application/sparql-query", "accept": f"{_TABLE}, {N_TRIPLES.media_type}"},
        )
        if response.headers["content-type"].startswith(N_TRIPLES.media_type):
            from rdflib import Graph

            return Graph().parse(data=response.content, format="nt")
        answer = response.json()
        return bool(answer["boolean"]) if "boolean" in answer else _solutions(answer)

    def ask(self, question: str, /, **parameters: object) -> Table:
        """Return the answer to a saved query: `kg.ask("outputs-for-sdg-target", target="9.c")`.

        `questions` lists their names, with their parameters; what is not given has its default. Raises NotFound for an
        unknown name, and BadRequest for an unknown parameter or value; both name the nearest.
        """
        return _solutions(self._connection.read(f"/queries/{_path(question)}", _given(parameters), accept=_TABLE))

    def questions(self) -> Table:
        """Return the saved queries, a row each: name, summary, description, tags, parameters and columns."""
        found = self._connection.read("/queries")
        return Table((), found["queries"], found)

    def thing(self, name: "str | Thing") -> Thing:
        """Return a thing with its properties as attributes: `kg.thing("buap-2018-2021/output/2.1").label`.

        Raises NotFound for what the graph does not know, and Gone for a retired thing that several replace.
        """
        described = self._connection.read("/resource", {"iri": names.expand(_text(name))}, accept="application/ld+json")
        return Thing(described)

    def search(self, words: str = "", **filters: object) -> Table:
        """Return the things in which all words stand, or words that begin with them, the best first.

        Without words it returns all things that fit the filters, in natural order. Filters: plan, class_, sdg, actionLine,
        instrument, basis, to, by. Columns: id, type, notation, label, plan, and `highlight`, HTML in which `<mark>` shows
        what was found.
        """
        pages = [*self._pages("/search" if words else "/id", {"q": words or None, **filters})]
        return Table(_ITEM, (_labelled(item) for page in pages for item in page["items"]), pages[0])

    def matrix(self, *, rows: str, columns: str, **filters: object) -> Table:
        """Return how many links there are between things of two classes: a row for each cell that is not empty.

        `rows` and `columns` are classes such as output, topic, actionLine, sdgTarget, sdgGoal or plan; filters are plan,
        basis, row, column, class_, sdg, actionLine and instrument. Columns of the table: row, rowNotation, rowLabel,
        column, columnNotation, columnLabel, count (links, or things of the plan that are linked with both), state,
        states (how many of each), evidence (a list, one for each that is counted), note and address (of the cell).
        `document` has all rows and columns, also those without links. docs/matrix.md says what counts.
        """
        pages = [*self._pages("/matrix", {"rows": rows, "columns": columns, **filters})]
        return Table(_CELL, (cell for page in pages for cell in _cells(page)), pages[0])

    def lineage(self, thing: "str | Thing", **filters: object) -> Table:
        """Return where a thing comes from and what became of it, over all plans: a row for each step, the newest first.

        Filters are plan and basis. Columns as in the CSV: relation, newerPlan, newer (its code), newerLabel, newerId and so on, the
        same for older,
        sameWords, confidence, rationale, strength, between, runs and html (what changed in the words), and links by what
        became of them: gained, lost, kept. `document` has the plans, newest first, and what a reader noted of the thing.
        """
        found = self._connection.read(f"/lineage/{_path(names.shorten(names.expand(_text(thing))))}", _given(filters))
        return Table(_STEP, (_linked(_step(step)) for step in found["steps"]), found)

    def because(self, subject: "str | Thing", object: "str | Thing") -> Table:  # noqa: A002  (as in the route)
        """Return why two things are linked: a row for each step of each chain of sentences, reasons and rules, the shortest first.

        Columns: chain (from 1), strength and broad (of the chain), subjectLabel, predicate, objectLabel and the like,
        basis, quote, rationale, document, section, line, rule. Raises NotFound where no evidence links them.
        """
        found = self._connection.read("/because", {"subject": _text(subject), "object": _text(object)})
        chains = enumerate(found["roads"], 1)
        rows = [
            {"chain": place, "strength": road["strength"], "broad": road["broad"]} | _spread(step, "subject", "object")
            for place, road in chains
            for step in road["steps"]
        ]
        return Table(_CHAIN, rows, found)

    def compare(self, a: "str | Thing", b: "str | Thing", **filters: object) -> Table:
        """Return what the newer of two plans takes up, adds and drops of the older, in whatever order: a row for each change.

        Filters are class_ and basis. Columns: change, newer, newerLabel, older, olderLabel, sameWords, confidence,
        rationale, newerId, olderId, and links by what became of them. `document` has how many changes there are of each kind.
        """
        found = self._connection.read("/compare", _given({"a": a, "b": b, **filters}))
        return Table(CHANGE_COLUMNS, map(_linked, found["changes"]), found)

    def gaps(self, **filters: object) -> Table:
        """Return what is missing, a row for each gap, by the filters of `/gaps`: `plan`, and `class_` with `columns`."""
        return self._rows("/gaps", filters)

    def budget(self, *, by: str = "priority", rule: str | None = None, **filters: object) -> Table:
        """Return a plan's money in its currency, a row for each priority, topic, category, goal, target or actionLine.

        `rule` says how an amount counts for what it serves: `whole`, `equal` or `by-count`; a row's `evidence` lists the
        amounts and links behind it. The table's `document` has the total and the rule in words.
        """
        return self._rows("/budget", {"by": by, "rule": rule, **filters})

    def risks(self, **filters: object) -> Table:
        """Return the registers of risks, a row for each risk with its `mitigations`, by the filter of `/risks`: `plan`."""
        return self._rows("/risks", filters)

    def validate(self, data: "str | Path | rdflib.Graph", *, with_release: bool = False, **filters: object) -> Report:
        """Return the findings on RDF by our shapes: a file by its path, a text, or an rdflib.Graph. Nothing is stored.

        A text is Turtle, JSON-LD or RDF/XML; the syntax of a file is that of its suffix. `profile` and the other filters
        choose a part of the shapes or the findings; `with_release` lets links of the data lead into all of ours. Raises
        SyntaxProblem for what is not RDF, TooLarge for more than 10 MB unless the settings say otherwise, and NotFound
        for a file that is not there or a profile that does not exist.
        """
        content, media_type = _rdf(data)
        given = _given(filters) | ({"with-release": "1"} if with_release else {})
        headers = {"content-type": media_type, "accept": "application/json"}
        found = self._connection.send("POST", "/validate", params=given, content=content, headers=headers).json()
        return Report((), found["findings"], found)

    def owl(self) -> Any:
        """Return the ontology as an owlready2 Ontology, in a World of its own (`.world`).

        Owlready2 knows no punning: that a property is an individual of a class of ours is left out. Raises NotSupported
        where owlready2 is not installed.
        """
        import pyoxigraph as ox

        from itukg.reasoner import load_ontology

        answer = self._connection.send("GET", "/ontology", headers={"accept": N_TRIPLES.media_type})
        return load_ontology(quad.triple for quad in ox.parse(answer.content, format=ox.RdfFormat.N_TRIPLES))

    def _rows(self, path: str, given: Mapping[str, object]) -> Table:
        found: dict[str, Any] = self._connection.read(path, _given(given))
        return Table((), found["rows"], found)

    def _pages(self, path: str, given: Mapping[str, object]) -> Iterator[dict[str, Any]]:
        """Yield all pages of what a route lists."""
        page: dict[str, Any] = self._connection.read(path, {"size": PAGE_SIZE, **_given(given)})
        yield page
        while address := page.get("next"):
            page = self._connection.read(address)
            yield page


_ITEM = ("id", "type", "notation", "label", "plan", "highlight")
_CHAIN = (
    "chain",
    "subjectPlan",
    "subjectNotation",
    "predicate",
    "objectPlan",
    "objectNotation",
    "basis",
    "quote",
    "rationale",
)
_STEP = (
    "relation", "newerPlan", "newer", "newerLabel", "olderPlan", "older", "olderLabel", "sameWords", "rationale",
)  # fmt: skip
_TABLE = TABLE_FORMATS[0].media_type
_CELL = (
    "row", "rowNotation", "rowLabel", "column", "columnNotation", "columnLabel", "count", "state", "states", "evidence", "note",
    "address",
)  # fmt: skip


def _text(value: object) -> str:
    """Return a value as it stands in an address."""
    if isinstance(value, Thing):
        return value.id
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(_text, value)) if isinstance(value, list | tuple | set) else str(value)


def _given(parameters: Mapping[str, object]) -> dict[str, str]:
    return {name.removesuffix("_"): _text(value) for name, value in parameters.items() if value is not None}


def _path(text: str) -> str:
    return quote(text, safe="/:")


def _solutions(answer: Mapping[str, Any]) -> Table:
    columns = answer["head"]["vars"]
    found = answer["results"]["bindings"]
    return Table(columns, ({name: value_of(row.get(name)) for name in columns} for row in found), answer)


def _spread(row: Row, *ends: str) -> Row:
    """Return a row in which the members of an object stand each in a column: newerLabel for the label of newer."""
    spread: Row = {}
    for name, value in row.items():
        spread |= {f"{name}{k[0].upper()}{k[1:]}": v for k, v in value.items()} if name in ends else {name: value}
    return spread


def _step(row: Row) -> Row:
    """Return a step of a lineage in the columns of its CSV: the code of the newer thing is `newer`, its IRI `newerId`."""
    called = {
        f"{end}{old}": f"{end}{new}" for end in ("newer", "older") for old, new in (("Notation", ""), ("Iri", "Id"))
    }
    return {called.get(name, name): value for name, value in _spread(row, "newer", "older").items()}


def _linked(row: Row) -> Row:
    """Return a row with all columns of links; those that its JSON leaves out are empty lists."""
    return {**row, **{name: row.get(name, []) for name in LINK_COLUMNS}}


def _labelled(item: Row) -> Row:
    return {name: text_of(value) for name, value in item.items()}


def _cells(page: Mapping[str, Any]) -> Iterable[Row]:
    ends = {side: {each["id"]: each for each in page[f"{side}s"]} for side in ("row", "column")}
    for cell in page["cells"]:
        told = {**cell}
        told["address"] = told.pop("id")
        for side, known in ends.items():
            told |= {f"{side}{text.capitalize()}": known[cell[side]].get(text) for text in ("notation", "label")}
        yield told


def _rdf(data: "str | Path | rdflib.Graph") -> tuple[bytes, str]:
    """Return RDF that is to be sent, and its media type."""
    if not isinstance(data, str | Path):
        return data.serialize(format="nt", encoding="utf-8"), N_TRIPLES.media_type
    types = {syntax.suffix: syntax.media_type for syntax in GRAPH_FORMATS}
    path = Path(data) if isinstance(data, Path) or ("\n" not in data and Path(data).suffix in types) else None
    if path is not None and not path.is_file():
        raise NotFound(f"No file {path}.")
    content = str(data).encode() if path is None else path.read_bytes()
    begins = content.lstrip()[:5].decode(errors="replace")
    by_text = ".jsonld" if begins[:1] in ("{", "[") else ".rdf" if begins in ("<?xml", "<rdf:") else ".ttl"
    return content, types[path.suffix if path is not None and path.suffix in types else by_text]
