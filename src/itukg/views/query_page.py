"""The page of the SPARQL endpoint: a query with the saved ones beside it, and what it found or why it failed."""

import json
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlencode

from itukg import names
from itukg.engine.sparql import Form, offers_for
from itukg.errors import ItukgError, NotFound
from itukg.formats import GRAPH_FORMATS, HTML, TABLE_FORMATS, Format
from itukg.pages import address, render
from itukg.queries import SavedQuery
from itukg.rdf.jsonld import Json
from itukg.tables import MAX_FIRST, NUMBERS

Pairs = list[tuple[str, str]]

_TOPICS = {
    "budget": "Money and risks",
    "derived": "Evidence and derived links",
    "evidence": "Evidence and derived links",
    "lineage": "Lineage and proposals",
    "proposals": "Lineage and proposals",
    "results": "Results chain",
    "risks": "Money and risks",
    "sdg": "Sustainable Development Goals",
    "wsis": "WSIS action lines",
}
"""What topics of saved queries are called, where their tag says too little."""
_CALLED = {
    "srj": "JSON",
    "srx": "XML",
    "ttl": "Turtle",
    "nt": "N-Triples",
    "jsonld": "JSON-LD",
    "rdf": "RDF/XML",
    "trig": "TriG",
    "nq": "N-Quads",
}
"""What syntaxes are called, where their suffix says too little."""
_OF_THE_ANSWER = ("format", "labels", "profile", "frame")
_OF_THE_PAGE = ("query", "prefixes", "saved", *_OF_THE_ANSWER)
"""Parameters for which the page has a field of its own; the form keeps all others."""


class Mistake(NamedTuple):
    """Where a query is wrong: the line in three parts, the second being the character at which the engine stopped."""

    line: int
    column: int
    before: str
    at: str
    after: str


class Cell(NamedTuple):
    """A term as a page shows it: its words, the address of a thing with its short name where the words are a label, the language."""

    words: str
    address: str = ""
    short: str = ""
    language: str = ""
    is_number: bool = False


def query_page(
    saved: Mapping[str, SavedQuery],
    pairs: Pairs,
    *,
    seconds: float,
    found: bytes | None = None,
    form: Form | None = None,
    error: ItukgError | None = None,
) -> bytes:
    """Return the page for a request with these parameters.

    It has the query in its form, and below what was `found` by it, as `write_first` writes it, or the `error`. Raises
    NotFound where `saved` names no saved query.
    """
    given = dict(reversed(pairs))  # of several, the first counts
    text, answer = given.get("query", ""), None if found is None else json.loads(found)
    if "saved" in given and "query" not in given:
        if (name := given["saved"]) not in saved:
            raise NotFound(f'No saved query "{name[:80]}"; /queries lists all.')
        text = saved[name].text
    return render(
        "sparql.html",
        section="sparql",
        query=text,
        hidden=[pair for pair in pairs if pair[0] not in _OF_THE_PAGE],
        formats=[("Table", _named(TABLE_FORMATS)), ("Graph", _named(GRAPH_FORMATS))],
        chosen=given.get("format", HTML.name),
        groups=_by_topic(saved),
        seconds=f"{seconds:g}",
        most=MAX_FIRST,
        answer=answer,
        rows=_rows(answer) if answer and "results" in answer else [],
        numeric=_numeric(answer) if answer and "results" in answer else set(),
        links=[] if form is None else _links(pairs, form),
        error=error,
        mistake=None if error is None else _mistake(error, text),
    )


def _rows(answer: Json) -> list[list[Cell | None]]:
    """Return the rows of an answer, column by column; nothing where a variable is not bound."""
    labels: dict[str, str] = answer["labels"]
    cells: dict[str, Cell] = {}  # of things, most of which stand in several rows

    def cell(term: Json | None) -> Cell | None:
        if term is None:
            return None
        value = term["value"]
        match term["type"]:
            case "uri":
                if value not in cells:
                    short, label = names.shorten(value), labels.get(value)
                    cells[value] = Cell(label or short, address(value), short if label else "")
                return cells[value]
            case "bnode":
                return Cell(f"_:{value}")
            case "triple":
                parts = [cell(value[part]) for part in ("subject", "predicate", "object")]
                return Cell(f"<<( {' '.join(part.short or part.words for part in parts if part)} )>>")
        language = term.get("xml:lang", "")
        return Cell(
            value, language="" if language.startswith("en") else language, is_number=term.get("datatype") in NUMBERS
        )

    return [[cell(row.get(column)) for column in answer["head"]["vars"]] for row in answer["results"]["bindings"]]


def _numeric(answer: Json) -> set[str]:
    """Return the columns that hold numbers alone."""
    rows = answer["results"]["bindings"]
    found = {c: {row[c].get("datatype") in NUMBERS for row in rows if c in row} for c in answer["head"]["vars"]}
    return {column for column, are in found.items() if are == {True}}


def _named(formats: tuple[Format, ...]) -> list[tuple[str, str]]:
    """Return the name that chooses each syntax, and what it is called."""
    return list({f.name: (f.name, _CALLED.get(f.name, f.name.upper())) for f in formats if f.name != "json"}.values())


def _links(pairs: Pairs, form: Form) -> list[tuple[str, str]]:
    """Return the same answer in each syntax that it can have: what it is called, and its address."""
    kept = [pair for pair in pairs if pair[0] not in _OF_THE_ANSWER]
    offers = offers_for(form)
    links = [(called, urlencode([*kept, ("format", name)])) for name, called in _named(offers)]
    if any(offer.labels for offer in offers):
        links.insert(2, ("CSV with labels", urlencode([*kept, ("format", "csv"), ("labels", "1")])))
    return [(called, f"/sparql?{query}") for called, query in links]


def _by_topic(saved: Mapping[str, SavedQuery]) -> dict[str, list[SavedQuery]]:
    groups: dict[str, list[SavedQuery]] = {}
    for query in saved.values():
        topic = query.tags[0]
        groups.setdefault(_TOPICS.get(topic, topic.capitalize()), []).append(query)
    return dict(sorted(groups.items()))


def _mistake(error: ItukgError, text: str) -> Mistake | None:
    """Return where a query is wrong, if its error names line and column, from 1."""
    place = error.extras()
    line, column = place.get("line"), place.get("column")
    lines = text.split("\n")
    if not isinstance(line, int) or not isinstance(column, int) or not 0 < line <= len(lines):
        return None
    wrong = lines[line - 1]
    return Mistake(line, column, wrong[: column - 1], wrong[column - 1 : column], wrong[column:])
