"""The one writer of tables: answers of SELECT with or without labels, reports and lists, as CSV, TSV and spreadsheets."""

import json
import re
from codecs import lookup
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from itertools import islice
from typing import Self

import pyoxigraph as ox
from xlsxwriter import Workbook
from xlsxwriter.format import Format as CellFormat
from xlsxwriter.worksheet import Worksheet

from itukg import names
from itukg.errors import NotAcceptable
from itukg.formats import XLSX, Format
from itukg.rdf.jsonld import Json

Labels = Callable[[Collection[str]], Mapping[str, str]]
"""Looks up what things are called: IRIs → the label of each that has one."""

Write = Callable[..., Awaitable[bytes]]
"""Calls a function that writes, where it blocks nothing: with what is given after it."""

XLSX_ROWS, XLSX_COLUMNS, XLSX_TEXT = 1_048_575, 16_384, 32_767
"""What a sheet holds: rows under the header, columns, and UTF-16 units of text in a cell."""

_FORMULA = re.compile(r"(?!@?[+-]?[\d.]+$)[=+\-@\t\r]")
"""How a text begins that a spreadsheet runs as a formula, but for numbers."""

MAX_FIRST = 500
"""Rows of an answer that a page shows."""

NUMBERS = {names.PREFIXES["xsd"] + kind for kind in ("integer", "decimal", "double", "float")}
"""Datatypes of numbers."""
_DATATYPES = {
    bool: names.PREFIXES["xsd"] + "boolean",
    int: names.PREFIXES["xsd"] + "integer",
    float: names.PREFIXES["xsd"] + "decimal",
}
"""The datatypes of plain values; all others are text."""
_TRIPLE = ("subject", "predicate", "object")
_MADE = datetime(2000, 1, 1, tzinfo=UTC)
lookup("utf-16-le")  # Spreadsheets need this codec; a worker that may open no files cannot import it later.


@dataclass
class Table:
    """Columns, and rows of cells by column. A cell is a term as the JSON of SPARQL has it; an unbound one is absent."""

    columns: list[str]
    rows: list[Json]

    @classmethod
    def of_values(cls, columns: Iterable[str], rows: Iterable[Mapping[str, object]]) -> Self:
        """Return a table of plain values: None is an unbound cell, and what no column names is left out."""
        columns = list(columns)
        return cls(columns, [{c: _literal(row[c]) for c in columns if row.get(c) is not None} for row in rows])

    def add_labels(self, labels: Labels) -> None:
        """Add a column `<name>Label` after each column that holds IRIs, unless there is one.

        It is empty where a thing has no label.
        """
        things = {
            column: {row[column]["value"] for row in self.rows if row.get(column, {}).get("type") == "uri"}
            for column in self.columns
        }
        added = [column for column in self.columns if things[column] and f"{column}Label" not in self.columns]
        known = labels(set().union(*(things[column] for column in added)))
        for column in added:
            self.columns.insert(self.columns.index(column) + 1, f"{column}Label")
            for row in self.rows:
                cell = row.get(column, {})
                if cell.get("type") == "uri" and cell["value"] in known:
                    row[f"{column}Label"] = _literal(known[cell["value"]])

    def without_formulas(self) -> Self:
        """Return the table with an apostrophe before each text that a spreadsheet would run as a formula when it opens a CSV.

        Numbers remain as they are. A workbook needs none of this: its cells say that they are text.
        """
        return type(self)(self.columns, [{c: _without_formula(cell) for c, cell in row.items()} for row in self.rows])

    def write(self, syntax: Format, sheet: str = "answer") -> bytes:
        """Write the table in one of TABLE_FORMATS; `sheet` is its name in a workbook. Raises NotAcceptable as `write_workbook` does."""
        if syntax == XLSX:
            return write_workbook({sheet: self})
        # The engine writes the syntaxes of the standard, whether a table is a query's answer or ours.
        table = {"head": {"vars": self.columns}, "results": {"bindings": self.rows}}
        solutions = ox.parse_query_results(json.dumps(table).encode(), format=ox.QueryResultsFormat.JSON)
        return _serialize(solutions, syntax)


def write_table(solutions: ox.QuerySolutions, syntax: Format, labels: Labels) -> bytes:
    """Write solutions in `syntax`; where it has labels, with the columns that `Table.add_labels` adds.

    A query that selects `<name>Label` itself keeps its own column. Raises NotAcceptable for what a spreadsheet
    cannot hold.
    """
    if not syntax.labels:
        return _serialize(solutions, syntax)
    found = json.loads(solutions.serialize(format=ox.QueryResultsFormat.JSON) or b"")
    table = Table(found["head"]["vars"], found["results"]["bindings"])
    table.add_labels(labels)
    return table.write(syntax)


def write_first(results: ox.QuerySolutions | ox.QueryBoolean | Iterable[ox.Triple], labels: Labels) -> bytes:
    """Write the first MAX_FIRST rows of any answer as the JSON of SPARQL, with `labels` by IRI, and whether there are `more`.

    Each triple of a graph is a row, in alphabetical order. No further row is evaluated.
    """
    if isinstance(results, ox.QueryBoolean):
        return json.dumps({"head": {}, "boolean": bool(results)}).encode()
    if isinstance(results, ox.QuerySolutions):
        columns = [variable.value for variable in results.variables]
        found = [[*row] for row in islice(results, MAX_FIRST + 1)]
    else:
        columns = [*_TRIPLE]
        found = [[*triple] for triple in sorted(islice(_distinct(results), MAX_FIRST + 1), key=str)]
    rows = [{c: _cell(term) for c, term in zip(columns, row, strict=True) if term is not None} for row in found]
    shown = rows[:MAX_FIRST]
    things = {cell["value"] for row in shown for cell in row.values() if cell["type"] == "uri"}
    table = {"head": {"vars": columns}, "results": {"bindings": shown}}
    return json.dumps({**table, "labels": {**labels(things)}, "more": len(rows) > MAX_FIRST}).encode()


def _distinct(triples: Iterable[ox.Triple]) -> Iterator[ox.Triple]:
    seen = set()
    for triple in triples:
        if triple not in seen:
            seen.add(triple)
            yield triple


def _cell(term: ox.NamedNode | ox.BlankNode | ox.Literal | ox.Triple) -> Json:
    """Return a term as the JSON of SPARQL has it (and triple terms as SPARQL 1.2 has them)."""
    match term:
        case ox.NamedNode():
            return {"type": "uri", "value": term.value}
        case ox.BlankNode():
            return {"type": "bnode", "value": term.value}
        case ox.Triple():
            return {"type": "triple", "value": dict(zip(_TRIPLE, map(_cell, term), strict=True))}
    if term.language:
        return {"type": "literal", "value": term.value, "xml:lang": term.language}
    return {"type": "literal", "value": term.value, "datatype": term.datatype.value}


def _serialize(results: ox.QuerySolutions | ox.QueryBoolean, syntax: Format) -> bytes:
    assert isinstance(results, ox.QuerySolutions)
    assert isinstance(syntax.engine, ox.QueryResultsFormat)
    return results.serialize(format=syntax.engine) or b""


def _literal(value: object) -> Json:
    kind = _DATATYPES.get(type(value))
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return {"type": "literal", "value": text} | ({"datatype": kind} if kind else {})


def _without_formula(cell: Json) -> Json:
    return (
        {**cell, "value": f"'{cell['value']}"} if cell["type"] == "literal" and _FORMULA.match(cell["value"]) else cell
    )


def best_labels(stated: Iterable[tuple[str, ox.Literal]]) -> dict[str, str]:
    """Return one label for each IRI: English, else without a language, else any; always the same one."""
    found: dict[str, list[ox.Literal]] = {}
    for iri, label in stated:
        found.setdefault(iri, []).append(label)

    def rank(label: ox.Literal) -> tuple[int, str, str]:
        language = (label.language or "").lower()
        order = {"en": 0, "": 2}.get(language, 1 if language.startswith("en-") else 3)
        return order, language, label.value

    return {iri: min(labels, key=rank).value for iri, labels in found.items()}


def write_workbook(sheets: Mapping[str, Table]) -> bytes:
    """Write tables as sheets by name, each with a header that stays in view; the same tables give the same bytes.

    Numbers are numbers where a spreadsheet keeps every digit; all else is text, as CSV has it. IRIs are no
    hyperlinks, of which a sheet holds 65,530. Raises NotAcceptable for what a sheet cannot hold.
    """
    for table in sheets.values():
        _check_sheet(table)
    written = BytesIO()
    with Workbook(written, {"in_memory": True}) as book:  # no file of its own: a worker may open none
        book.set_properties({"created": _MADE})
        bold, quoted = book.add_format({"bold": True}), book.add_format({"quote_prefix": True})
        for name, table in sheets.items():
            _write_sheet(book.add_worksheet(name), table, bold, quoted)
    return written.getvalue()


def _check_sheet(table: Table) -> None:
    if len(table.rows) > XLSX_ROWS or len(table.columns) > XLSX_COLUMNS:
        raise NotAcceptable(
            f"A sheet holds {XLSX_ROWS} rows and {XLSX_COLUMNS} columns, and this answer has {len(table.rows)} and "
            f"{len(table.columns)}; ask for text/csv, or for less."
        )
    header = {name: _literal(name) for name in table.columns}
    for number, row in enumerate([header, *table.rows], 1):
        for name, cell in row.items():
            _check_text(_text(cell), f"row {number}, column {name[:40]}")


def _write_sheet(sheet: Worksheet, table: Table, bold: CellFormat, quoted: CellFormat) -> None:
    for column, name in enumerate(table.columns):
        sheet.write_string(0, column, name, bold)
        width = len(name) + 3  # the filter's button stands beside the name
        for number, row in enumerate(table.rows, 1):
            if name in row:
                width = max(width, len(_text(row[name])))
                _write_cell(sheet, number, column, row[name], quoted)
        sheet.set_column(column, column, min(max(width, 8), 60))
    sheet.freeze_panes(1, 0)
    if table.columns:
        sheet.autofilter(0, 0, len(table.rows), len(table.columns) - 1)


def _write_cell(sheet: Worksheet, row: int, column: int, cell: Json, quoted: CellFormat) -> None:
    text = _text(cell)
    if cell.get("datatype") in NUMBERS and _is_exact(text):
        sheet.write_number(row, column, float(text))
    elif text.startswith("<r>") and text.endswith("</r>"):
        # write_string takes this for markup and writes it unescaped; in fragments it is text.
        sheet.write_rich_string(row, column, text[0], text[1], text[2:])
    else:
        # The prefix keeps text that looks like a formula text when its cell is edited.
        sheet.write_string(row, column, text, quoted if _FORMULA.match(text) else None)


def _text(cell: Json) -> str:
    if cell["type"] == "triple":
        return " ".join(_text(cell["value"][part]) for part in ("subject", "predicate", "object"))
    return f"_:{cell['value']}" if cell["type"] == "bnode" else str(cell["value"])


def _check_text(text: str, where: str) -> None:
    if len(text.encode("utf-16-le")) > 2 * XLSX_TEXT:
        raise NotAcceptable(f"A spreadsheet's cell holds {XLSX_TEXT} characters; {where} has more. Ask for text/csv.")
    if re.search("[\ufffe\uffff]", text):  # XML 1.0, section 2.2
        raise NotAcceptable(f"A spreadsheet cannot hold U+FFFE or U+FFFF, which stands in {where}. Ask for text/csv.")


def _is_exact(number: str) -> bool:
    """Tell whether the 15 digits that spreadsheets keep give the same number back."""
    plain = re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", number, re.ASCII)
    return bool(plain) and Decimal(number) == Decimal(f"{float(number):.15g}")
