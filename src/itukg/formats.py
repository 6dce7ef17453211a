"""Media types: which syntax a client gets, and how answers and graphs are written in it."""

import json
import re
from codecs import lookup
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from io import BytesIO

import pyoxigraph as ox
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header, parse_options_header
from xlsxwriter import Workbook
from xlsxwriter.format import Format as CellFormat
from xlsxwriter.worksheet import Worksheet

from itukg import jsonld, names
from itukg.errors import BadRequest, NotAcceptable
from itukg.jsonld import Json


@dataclass(frozen=True, eq=False)  # each is itself alone: to compare and hash them by what they hold takes longer
class Format:
    """One syntax: its media type, the suffix and `format=` name that choose it, and the engine's name for it.

    With `labels`, a table says beside each IRI what the thing is called. `profile` and `frame` are the form of JSON-LD.
    """

    media_type: str
    suffix: str
    engine: ox.RdfFormat | ox.QueryResultsFormat | None = None
    labels: bool = False
    profile: str = ""
    frame: str | None = None

    @property
    def name(self) -> str:
        """The word that chooses this syntax in `format=` and `--format`."""
        return self.suffix.removeprefix(".")

    @property
    def bare_type(self) -> str:
        """The media type without its parameter."""
        return self.media_type.partition(";")[0]


JSONLD = Format("application/ld+json", ".jsonld", ox.RdfFormat.JSON_LD)
TURTLE = Format("text/turtle", ".ttl", ox.RdfFormat.TURTLE)
N_TRIPLES = Format("application/n-triples", ".nt", ox.RdfFormat.N_TRIPLES)
HTML = Format("text/html", ".html")
CSV = Format("text/csv", ".csv", ox.QueryResultsFormat.CSV)
JSON = Format("application/json", ".json")
XLSX = Format("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", ".xlsx", labels=True)
PDF = Format("application/pdf", ".pdf")
SARIF = Format("application/sarif+json", ".sarif")
TRIG = Format("application/trig", ".trig", ox.RdfFormat.TRIG)
N_QUADS = Format("application/n-quads", ".nq", ox.RdfFormat.N_QUADS)
PATCH = Format("application/rdf-patch", ".rdfp")
GZIP = Format("application/gzip", ".gz")
ATOM = Format("application/atom+xml", ".atom")
TOML = Format("application/toml", ".toml")

TABLE_FORMATS = (
    Format("application/sparql-results+json", ".srj", ox.QueryResultsFormat.JSON),
    Format("application/sparql-results+xml", ".srx", ox.QueryResultsFormat.XML),
    CSV,
    Format("text/tab-separated-values", ".tsv", ox.QueryResultsFormat.TSV),
    Format("application/json", ".json", ox.QueryResultsFormat.JSON),
    Format("text/csv;labels=1", ".csv", ox.QueryResultsFormat.CSV, labels=True),
    Format("text/tab-separated-values;labels=1", ".tsv", ox.QueryResultsFormat.TSV, labels=True),
    XLSX,
)
"""Syntaxes of SELECT, best first."""

BOOLEAN_FORMATS = tuple(f for f in TABLE_FORMATS if f.name in ("srj", "srx", "json"))
"""Syntaxes of ASK: CSV, TSV and spreadsheets know no booleans."""

GRAPH_FORMATS = (
    TURTLE,
    N_TRIPLES,
    JSONLD,
    Format("application/rdf+xml", ".rdf", ox.RdfFormat.RDF_XML),
    TRIG,
    N_QUADS,
)
"""Syntaxes of CONSTRUCT, DESCRIBE and whole graphs, best first. Those of datasets hold one graph, without a name."""

PROFILES = ("compacted", "expanded", "flattened", "framed")


def _in_profile(profile: str, frame: str | None = None) -> Format:
    iris = f"{names.JSONLD_PROFILE}{profile}" + (f" {names.frame(frame)}" if frame else "")
    media_type = f'{JSONLD.media_type};profile="{iris}"'
    return Format(media_type, JSONLD.suffix, JSONLD.engine, profile=profile, frame=frame)


PROFILE_FORMATS = (
    JSONLD,
    *(_in_profile(profile) for profile in PROFILES[1:]),
    *(_in_profile("framed", name) for name in jsonld.frames()),
)
"""The forms of JSON-LD: compacted, expanded, flattened, framed, and framed by each frame that we host."""

THING_FORMATS = (JSONLD, HTML, *(f for f in GRAPH_FORMATS if f.name in ("ttl", "nt", "rdf")))
"""Syntaxes of a thing under its own IRI: JSON-LD for whoever does not ask for another."""


@lru_cache(maxsize=1000)  # clients send few different headers, and reading one costs as much as a lookup
def choose(
    offers: tuple[Format, ...], accept: str | None, name: str | None = None, labels: bool | None = None
) -> Format:
    """Return the offer that the client likes best; `name` (suffix or `format=`) overrides the Accept header.

    Wildcards, q-values and exclusions (`q=0`) count as in RFC 9110, section 12.5.1; of other parameters only
    `labels`. `labels` given (`?labels=`) leaves only the offers with labels, or only those without, and
    overrides the header's. Raises NotAcceptable, naming the offers, where none fits.
    """
    known = [offer for offer in offers if labels in (None, offer.labels)]
    wish = {None: "", True: " with labels", False: " without labels"}[labels]
    if not known:
        tables = ", ".join(f.media_type for f in TABLE_FORMATS if f.labels)
        raise NotAcceptable(f"Only the table of a SELECT is available{wish}: {tables}.")
    if name is not None:
        for offer in known:
            # a plus sign that was not escaped has come as a blank
            if name.lower().replace(" ", "+") in (offer.name, offer.media_type, offer.bare_type):
                return offer
        listed = dict.fromkeys(offer.name for offer in known)
        raise NotAcceptable(f'No format "{name}"{wish} here; known: {", ".join(listed)}.')
    ranges: list[tuple[str, float]] = []
    for value, quality in parse_accept_header(accept or "*/*", MIMEAccept):
        media_range, parameters = parse_options_header(value.lower())
        asked = parameters.get("labels")
        if asked is None or labels is not None:
            ranges.append(("*/*" if media_range == "*" else media_range, quality))
        else:
            ranges += [(o.media_type, quality) for o in known if (o.bare_type, f"{o.labels:d}") == (media_range, asked)]
    if labels is None:
        # A wildcard, or "text/csv", means the plain table: labels come to those who name them.
        named = {media_range for media_range, _ in ranges}
        candidates = {o.media_type: o for o in known if o.media_type in named | {o.bare_type}}
    else:
        candidates = {o.bare_type: o for o in known}
    best = MIMEAccept(ranges).best_match(candidates)
    if best is None:
        offered = ", ".join(offer.media_type for offer in known)
        raise NotAcceptable(f'Nothing here fits "Accept: {accept}"{wish}; available: {offered}.')
    return candidates[best]


def in_profile(syntax: Format, accept: str, profile: str | None = None, frame: str | None = None) -> Format:
    """Return JSON-LD in the form that a client asks for: by `?profile=` and `?frame=`, or by the profile in its Accept.

    An unknown profile in an Accept header counts for nothing (RFC 6906, section 3.1). Raises BadRequest for an unknown
    name, and where a form is asked of another syntax.
    """
    if syntax != JSONLD:
        if profile or frame:
            raise BadRequest(f"profile and frame are forms of JSON-LD; {syntax.media_type} has none.")
        return syntax
    if profile is None and frame is None:
        best = 0.0
        for value, quality in parse_accept_header(accept, MIMEAccept):  # what is more specific comes first
            media_range, parameters = parse_options_header(value)
            if media_range.lower() == JSONLD.media_type and quality > best:
                asked, best = parameters.get("profile", "").split(), quality
                profile = next((p for p in PROFILES if names.JSONLD_PROFILE + p in asked), None)
                frame = next((name for name in jsonld.frames() if names.frame(name) in asked), None)
    profile = (profile or ("framed" if frame else PROFILES[0])).removeprefix(names.JSONLD_PROFILE)
    frame = frame.removeprefix(names.FRAMES).removesuffix(JSONLD.suffix) if frame else None
    if profile not in PROFILES:
        raise BadRequest(f'No profile "{profile}"; known: {", ".join(PROFILES)}.')
    if frame is not None and frame not in jsonld.frames():
        raise BadRequest(f'No frame "{frame}"; known: {", ".join(jsonld.frames())}.')
    if frame is not None and profile != "framed":
        raise BadRequest(f"A frame gives the framed form, not the {profile} one; leave out profile or frame.")
    return next(f for f in PROFILE_FORMATS if (f.profile or PROFILES[0], f.frame) == (profile, frame))


def in_form(nodes: list[Json], syntax: Format, root: str | None = None) -> object:
    """Return expanded nodes as JSON-LD in the form of `syntax`; compacted and expanded, all hangs on `root` if given."""
    if syntax.profile == "framed":
        return jsonld.frame(nodes, syntax.frame, root)
    if root is not None and syntax.profile != "flattened":
        nodes = [jsonld.tree(root, nodes)]
    return nodes if syntax.profile == "expanded" else jsonld.compact(nodes)


def labels_wanted(value: str | None) -> bool | None:
    """Return what `?labels=` asks for; None where it is not given. Raises BadRequest for all but 0 and 1."""
    if value not in (None, "0", "1"):
        raise BadRequest(f'labels must be 1 (with labels) or 0 (without), not "{value}".')
    return None if value is None else value == "1"


def split_suffix(path: str, offers: Sequence[Format]) -> tuple[str, str | None]:
    """Split `path` from the suffix of one of the offers; the second part is None where it has none.

    A notation may hold a dot (`output/2.1`), so only the offers' own suffixes are cut.
    """
    for offer in offers:
        if path.endswith(offer.suffix):
            return path.removesuffix(offer.suffix), offer.name
    return path, None


def write_graph(triples: Iterable[ox.Triple], syntax: Format, root: str = "") -> bytes:
    """Write triples in `syntax`: with our prefixes; JSON-LD compacted by our context, framed with `root` as its root object."""
    if syntax.engine == ox.RdfFormat.JSON_LD:
        return write_json(in_form(jsonld.expanded(triples), syntax, root or None))
    assert isinstance(syntax.engine, ox.RdfFormat)
    if syntax.engine == ox.RdfFormat.RDF_XML:
        triples = list(triples)
        if odd := next(
            (t.predicate for t in triples if not re.search(r"[/#:][^\W\d][\w.-]*$", t.predicate.value)), None
        ):
            raise NotAcceptable(f"RDF/XML cannot write the property {odd}; ask for Turtle or N-Triples.")
    written = ox.serialize(triples, format=syntax.engine, prefixes=names.PREFIXES) or b""
    return _tidy_turtle(written) if syntax.engine in (ox.RdfFormat.TURTLE, ox.RdfFormat.TRIG) else written


def write_dataset(quads: Sequence[ox.Quad], syntax: Format) -> bytes:
    """Write quads as N-Quads, TriG, or expanded JSON-LD with a line for each thing, in the order in which they come."""
    if syntax == N_QUADS:
        return "".join(f"{quad} .\n" for quad in quads).encode()
    if syntax == TRIG:
        return _tidy_turtle(ox.serialize(quads, format=ox.RdfFormat.TRIG, prefixes=names.PREFIXES) or b"")
    graphs: dict[str, list[ox.Triple]] = {}
    for quad in quads:
        graphs.setdefault(jsonld.identifier(quad.graph_name), []).append(quad.triple)
    parts = []
    for graph, triples in graphs.items():
        nodes = ",\n".join(json.dumps(node, ensure_ascii=False) for node in jsonld.expanded(triples))
        parts.append(f'{{"@id": {json.dumps(graph)}, "@graph": [\n{nodes}\n]}}')
    return f"[{','.join(parts)}]\n".encode()


def _tidy_turtle(written: bytes) -> bytes:
    """Return Turtle or TriG with its prefixes in order, and only those it uses: the engine writes all, in any order."""
    lines = written.splitlines(keepends=True)
    prefixes = sorted(line for line in lines if line.startswith(b"@prefix "))
    body = b"".join(line for line in lines if not line.startswith(b"@prefix "))
    return b"".join(line for line in prefixes if line.split()[1] in body) + b"\n" + body


Labels = Callable[[Collection[str]], Mapping[str, str]]
"""Looks up what things are called: IRIs → the label of each that has one."""

XLSX_ROWS, XLSX_COLUMNS, XLSX_TEXT = 1_048_575, 16_384, 32_767
"""What a sheet holds: rows under the header, columns, and UTF-16 units of text in a cell."""

_NUMBERS = {names.PREFIXES["xsd"] + kind for kind in ("integer", "decimal", "double", "float")}
_MADE = datetime(2000, 1, 1, tzinfo=UTC)
lookup("utf-16-le")  # Spreadsheets need this codec; a worker that may open no files cannot import it later.


def write_table(solutions: ox.QuerySolutions, syntax: Format, labels: Labels) -> bytes:
    """Write solutions in `syntax`; where it has labels, a column `<name>Label` follows each column that holds IRIs.

    It is empty where a thing has no label. A query that selects `<name>Label` itself keeps its own column and
    gets no second. Raises NotAcceptable for what a spreadsheet cannot hold.
    """
    if not syntax.labels:
        assert isinstance(syntax.engine, ox.QueryResultsFormat)
        return solutions.serialize(format=syntax.engine) or b""
    # Labels are added in the JSON of the standard, so that the engine writes CSV and TSV as it always does.
    table: Json = json.loads(solutions.serialize(format=ox.QueryResultsFormat.JSON) or b"")
    _add_labels(table, labels)
    if syntax == XLSX:
        return write_workbook({"answer": (table["head"]["vars"], table["results"]["bindings"])})
    assert isinstance(syntax.engine, ox.QueryResultsFormat)
    labelled = ox.parse_query_results(json.dumps(table).encode(), format=ox.QueryResultsFormat.JSON)
    assert isinstance(labelled, ox.QuerySolutions)
    return labelled.serialize(format=syntax.engine) or b""


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


def _add_labels(table: Json, labels: Labels) -> None:
    columns, rows = table["head"]["vars"], table["results"]["bindings"]
    things = {
        column: {row[column]["value"] for row in rows if row.get(column, {}).get("type") == "uri"} for column in columns
    }
    added = [column for column in columns if things[column] and f"{column}Label" not in columns]
    known = labels(set().union(*(things[column] for column in added)))
    for column in added:
        columns.insert(columns.index(column) + 1, f"{column}Label")
        for row in rows:
            cell = row.get(column, {})
            if cell.get("type") == "uri" and cell["value"] in known:
                row[f"{column}Label"] = {"type": "literal", "value": known[cell["value"]]}


Sheet = tuple[list[str], list[Json]]
"""Columns, and rows of cells by column as SPARQL's JSON has them."""


def write_workbook(sheets: Mapping[str, Sheet]) -> bytes:
    """Write sheets by name, each with a header that stays in view; the same tables give the same bytes.

    Numbers are numbers where a spreadsheet keeps every digit; all else is text, as CSV has it. IRIs are no
    hyperlinks, of which a sheet holds 65,530.
    """
    for columns, rows in sheets.values():
        _check_sheet(columns, rows)
    written = BytesIO()
    with Workbook(written, {"in_memory": True}) as book:  # no file of its own: a worker may open none
        book.set_properties({"created": _MADE})
        bold, quoted = book.add_format({"bold": True}), book.add_format({"quote_prefix": True})
        for name, (columns, rows) in sheets.items():
            _write_sheet(book.add_worksheet(name), columns, rows, bold, quoted)
    return written.getvalue()


def _check_sheet(columns: list[str], rows: list[Json]) -> None:
    if len(rows) > XLSX_ROWS or len(columns) > XLSX_COLUMNS:
        raise NotAcceptable(
            f"A sheet holds {XLSX_ROWS} rows and {XLSX_COLUMNS} columns, and this answer has {len(rows)} and "
            f"{len(columns)}; ask for text/csv, or for less."
        )
    for number, row in enumerate([{name: {"type": "name", "value": name} for name in columns}, *rows], 1):
        for name, cell in row.items():
            _check_text(_text(cell), f"row {number}, column {name[:40]}")


def _write_sheet(sheet: Worksheet, columns: list[str], rows: list[Json], bold: CellFormat, quoted: CellFormat) -> None:
    for column, name in enumerate(columns):
        sheet.write_string(0, column, name, bold)
        width = len(name) + 3  # the filter's button stands beside the name
        for number, row in enumerate(rows, 1):
            if name in row:
                width = max(width, len(_text(row[name])))
                _write_cell(sheet, number, column, row[name], quoted)
        sheet.set_column(column, column, min(max(width, 8), 60))
    sheet.freeze_panes(1, 0)
    if columns:
        sheet.autofilter(0, 0, len(rows), len(columns) - 1)


def _write_cell(sheet: Worksheet, row: int, column: int, cell: Json, quoted: CellFormat) -> None:
    text = _text(cell)
    if cell.get("datatype") in _NUMBERS and _is_exact(text):
        sheet.write_number(row, column, float(text))
    elif text.startswith("<r>") and text.endswith("</r>"):
        # write_string takes this for markup and writes it unescaped; in fragments it is text.
        sheet.write_rich_string(row, column, text[0], text[1], text[2:])
    else:
        # The prefix keeps text that looks like a formula text when its cell is edited.
        sheet.write_string(row, column, text, quoted if text.startswith(("=", "+", "-", "@")) else None)


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


def write_json(document: object) -> bytes:
    """Write JSON for people and machines: UTF-8, two spaces of indent, a line feed at the end."""
    return json.dumps(document, ensure_ascii=False, indent=2).encode() + b"\n"
