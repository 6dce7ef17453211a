"""Tables with labels as their clients meet them: CSV, TSV and spreadsheets, read by other libraries than write them."""

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import httpx2
import pyoxigraph as ox
import pytest
from fastapi.testclient import TestClient
from openpyxl import Workbook, load_workbook
from test_sparql import OUTPUT, SELECT, TABLE, ask, by_accept_and_by_name, problem_of, rows_of_csv, rows_of_json

from itukg import names
from itukg.errors import NotAcceptable
from itukg.formats import CSV, TABLE_FORMATS, XLSX, Format
from itukg.tables import Table, best_labels, write_table, write_workbook
from itukg.web.sparql import FORM, SPARQL_QUERY

LABELLED = tuple(f for f in TABLE_FORMATS if f.labels)
CSV1, TSV1 = "text/csv;labels=1", "text/tab-separated-values;labels=1"
RDFS_LABEL = names.PREFIXES["rdfs"] + "label"
THINGS = f"VALUES ?thing {{ <{OUTPUT}> <{names.SDG}9.c> <urn:unknown> }}"
LINKS = f"""SELECT ?p ?o ?n WHERE {{ <{OUTPUT}> ?p ?o . OPTIONAL {{ ?o <{names.PREFIXES["skos"]}notation> ?n }} }}
ORDER BY ?p ?o ?n"""

CONTROL = re.compile(r"_x(00[01][0-9A-F])_")

Rows = list[tuple[Any, ...]]


def sheet_of(content: bytes) -> Workbook:
    return load_workbook(io.BytesIO(content))


def cells_of(content: bytes) -> Rows:
    """The rows of a spreadsheet under its header, as openpyxl reads them."""
    rows = [tuple(cell.value for cell in row) for row in sheet_of(content).active.iter_rows()]
    # openpyxl leaves control characters as the file has them (_x0008_).
    return [tuple(CONTROL.sub(lambda m: chr(int(m[1], 16)), v) if isinstance(v, str) else v for v in r) for r in rows]


def texts_of(reply: httpx2.Response) -> list[tuple[str, ...]]:
    """Header and rows of a labelled answer, all as text."""
    assert reply.status_code == 200, reply.text
    match reply.headers["content-type"].partition(";")[0]:
        case "text/csv":
            return [tuple(row) for row in csv.reader(io.StringIO(reply.text, newline=""))]
        case "text/tab-separated-values":
            lines = [line.split("\t") for line in reply.text.removesuffix("\n").split("\n")]
            return [tuple(cell.strip('?<>"') for cell in line) for line in lines]
        case _:
            return [tuple("" if v is None else str(v) for v in row) for row in cells_of(reply.content)]


def ask_for(client: TestClient, query: str, syntax: Format) -> httpx2.Response:
    return ask(client, query, syntax.media_type)


# --- labels ---


def test_the_tables_with_labels_are_csv_tsv_and_spreadsheets() -> None:
    assert [f.media_type for f in LABELLED] == [CSV1, TSV1, XLSX.media_type]


@pytest.mark.parametrize("syntax", LABELLED, ids=lambda f: f.name)
def test_a_column_of_labels_follows_each_column_that_holds_iris(client: TestClient, syntax: Format) -> None:
    query = f'SELECT ?thing ("x" AS ?text) ?none WHERE {{ {THINGS} }}'
    header, *rows = texts_of(ask_for(client, query, syntax))
    assert header == ("thing", "thingLabel", "text", "none")
    labels = {thing: label for thing, label, *_ in rows}
    stated = f"SELECT ?thing ?label WHERE {{ {THINGS} ?thing <{RDFS_LABEL}> ?label FILTER(LANG(?label) = 'en') }}"
    english = {str(thing): str(label) for thing, label in rows_of_json(ask(client, stated).content)}
    assert len(english) == 2
    assert labels == english | {"urn:unknown": ""}
    assert {row[2:] for row in rows} == {("x", "")}


@pytest.mark.parametrize("syntax", LABELLED, ids=lambda f: f.name)
def test_a_cell_that_is_no_iri_has_no_label_beside_one_that_is(client: TestClient, syntax: Format) -> None:
    query = f'SELECT ?thing WHERE {{ VALUES ?thing {{ <{names.SDG}9.c> "{names.SDG}9.c" }} }}'
    (_, *rows) = texts_of(ask_for(client, query, syntax))
    assert [bool(label) for _, label in rows] == [True, False]


@pytest.mark.parametrize("syntax", LABELLED, ids=lambda f: f.name)
def test_a_column_of_labels_that_the_query_selects_stays_the_only_one(client: TestClient, syntax: Format) -> None:
    query = f'SELECT ?thing ("mine" AS ?thingLabel) WHERE {{ {THINGS} }}'
    header, *rows = texts_of(ask_for(client, query, syntax))
    assert header == ("thing", "thingLabel")
    assert {label for _, label in rows} == {"mine"}


@pytest.mark.parametrize("syntax", LABELLED, ids=lambda f: f.name)
def test_a_table_without_rows_or_columns_is_a_table_with_labels_too(client: TestClient, syntax: Format) -> None:
    assert texts_of(ask_for(client, "SELECT ?a ?b WHERE { FILTER(false) }", syntax)) == [("a", "b")]
    assert ask_for(client, "SELECT * WHERE {}", syntax).status_code == 200


def test_english_goes_before_no_language_and_that_before_others_in_any_order() -> None:
    stated = [("fr", "Bonjour"), ("en-GB", "Colour"), (None, "Plain"), ("en", "Hello"), ("en", "Hi"), ("de", "Tag")]
    expected = ["Hello", "Hi", "Colour", "Plain", "Tag", "Bonjour"]
    for best in expected:
        labels = [("urn:x", ox.Literal(text, language=tag)) for tag, text in stated]
        assert best_labels(labels) == best_labels(reversed(labels)) == {"urn:x": best}
        stated = [(tag, text) for tag, text in stated if text != best]
    assert best_labels([]) == {}


@pytest.mark.parametrize("syntax", LABELLED[:2], ids=lambda f: f.name)
@pytest.mark.parametrize("query", [TABLE, LINKS], ids=["hostile", "real"])
def test_without_the_columns_of_labels_a_table_is_what_it_is_without_labels(
    client: TestClient, query: str, syntax: Format
) -> None:
    plain = ask(client, query, syntax.bare_type).content
    labelled = ask_for(client, query, syntax).content
    assert labelled.endswith(b"\r\n" if syntax.name == "csv" else b"\n")
    delimiter = "," if syntax.name == "csv" else "\t"
    quoting = csv.QUOTE_MINIMAL if syntax.name == "csv" else csv.QUOTE_NONE

    def read(content: bytes) -> list[list[str]]:
        text = io.StringIO(content.decode(), newline="")
        return list(csv.reader(text, delimiter=delimiter, quoting=quoting))  # type: ignore[arg-type]

    rows = read(labelled)
    kept = [column for column, name in enumerate(rows[0]) if not name.endswith("Label")]
    assert len(kept) < len(rows[0])
    assert [[row[column] for column in kept] for row in rows] == read(plain)


def test_labels_in_tsv_are_literals_in_turtle_syntax(client: TestClient) -> None:
    query = f"SELECT ?thing WHERE {{ VALUES ?thing {{ <{names.SDG}9.c> }} }}"
    header, row = ask(client, query, TSV1).text.splitlines()
    assert header == "?thing\t?thingLabel"
    assert row.partition("\t")[2].startswith('"') and row.endswith('"')


# --- spreadsheets ---


def test_a_spreadsheet_has_the_rows_of_the_csv_table_with_labels(client: TestClient) -> None:
    reply = by_accept_and_by_name(client, LINKS, XLSX)
    expected = texts_of(ask(client, LINKS, CSV1))
    assert len(expected) > 50 and expected[0] == ("p", "pLabel", "o", "oLabel", "n")
    assert texts_of(reply) == expected


def test_any_text_survives_in_a_spreadsheet(client: TestClient) -> None:
    for query in (
        TABLE,
        'SELECT ?t { VALUES ?t { "<r><t>a</t></r>" "_x0041_" "a\\u0008b\\rc" " pad " "a\\u2028b" "😀" } }',
    ):
        (_, *expected) = texts_of(ask(client, query, CSV1))
        assert texts_of(ask(client, query, XLSX.media_type))[1:] == expected


@pytest.mark.parametrize("text", ['=HYPERLINK("http://x.example","go")', "+1+1", "-1+1", "@SUM(1)", "=", "{=1}"])
def test_text_that_looks_like_a_formula_stays_text(client: TestClient, text: str) -> None:
    cell = sheet_of(ask(client, f"SELECT ({json.dumps(text)} AS ?t) {{}}", XLSX.media_type).content).active["A2"]
    assert (cell.value, cell.data_type) == (text, "s")
    assert cell.quotePrefix is (text[0] in "=+-@")


@pytest.mark.parametrize(
    ("term", "value"),
    [
        ("42", 42),
        ("-7", -7),
        ("2.50", 2.5),
        ("0.1", 0.1),
        ("1.5e3", 1500),
        ("999999999999999", 999999999999999),
        ("1234567890123456", "1234567890123456"),
        ("0.12345678901234567", "0.12345678901234567"),
        ('"INF"^^xsd:double', "INF"),
        ('"1_000"^^xsd:integer', "1_000"),
        ('"１"^^xsd:integer', "１"),  # noqa: RUF001  (a digit, but not of a number)
        ('"12"', "12"),
        ('"9.10"', "9.10"),
        ('"2024-01-01"^^xsd:date', "2024-01-01"),
        ("true", "true"),
        ("<<( <urn:a> <urn:b> 1 )>>", "urn:a urn:b 1"),
    ],
)
def test_numbers_are_numbers_where_a_spreadsheet_keeps_every_digit(
    client: TestClient, term: str, value: object
) -> None:
    prefix = f"PREFIX xsd: <{names.PREFIXES['xsd']}> "
    ((_,), (read,)) = cells_of(ask(client, f"{prefix}SELECT ?v {{ VALUES ?v {{ {term} }} }}", XLSX.media_type).content)
    assert read == value and isinstance(read, str) is isinstance(value, str)
    if not isinstance(value, str):
        assert Decimal(str(read)) == Decimal(str(value))


def test_an_unbound_cell_is_empty_in_a_spreadsheet(client: TestClient) -> None:
    content = ask(client, "SELECT ?a ?b { VALUES (?a ?b) { (UNDEF 1) (2 UNDEF) } }", XLSX.media_type).content
    assert cells_of(content)[1:] == [(None, 1), (2, None)]


def test_the_header_of_a_spreadsheet_is_bold_stays_in_view_and_filters(client: TestClient) -> None:
    sheet = sheet_of(ask(client, LINKS, XLSX.media_type).content).active
    assert all(cell.font.b for cell in sheet[1]) and not any(cell.font.b for cell in sheet[2])
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == sheet.dimensions
    widths = [column.width for column in sheet.column_dimensions.values()]
    assert len(widths) >= 3 and all(8 <= width <= 62 for width in widths)


def test_a_spreadsheet_is_the_same_to_the_byte(client: TestClient) -> None:
    assert len({ask(client, LINKS, XLSX.media_type).content for _ in range(2)}) == 1
    made = sheet_of(ask(client, LINKS, XLSX.media_type).content).properties
    assert made.created.year == made.modified.year == 2000


def test_text_too_long_for_a_cell_is_refused_and_not_cut(client: TestClient) -> None:
    def repeated(text: str) -> str:  # 7 times 31 times 151 is 32767
        return f'SELECT ?none (REPLACE(REPLACE(REPLACE("1234567", ".", "{"b" * 31}"), "b", "{"c" * 151}"), "c", "{text}") AS ?t) {{}}'

    ((_, _), (_, longest)) = cells_of(ask(client, repeated("x"), XLSX.media_type).content)
    assert longest == "x" * 32_767
    one_more = repeated("x").replace("(REPLACE", '(CONCAT("x", REPLACE', 1).replace(" AS", ") AS")
    for query in (one_more, repeated("😀")):  # one character in two units
        problem = problem_of(ask(client, query, XLSX.media_type), 406)
        assert "32767" in problem["detail"] and "row 2, column t" in problem["detail"] and "csv" in problem["detail"]
        assert ask(client, query, CSV1).status_code == 200


def test_a_character_that_no_spreadsheet_holds_is_refused(client: TestClient) -> None:
    problem = problem_of(ask(client, 'SELECT ("a\\uFFFF" AS ?t) {}', XLSX.media_type), 406)
    assert "U+FFFF" in problem["detail"]


def labels_none(_: object) -> Mapping[str, str]:
    return {}


def solutions(columns: list[str], rows: int) -> ox.QuerySolutions:
    table = {"head": {"vars": columns}, "results": {"bindings": [{}] * rows}}
    parsed = ox.parse_query_results(json.dumps(table).encode(), format=ox.QueryResultsFormat.JSON)
    assert isinstance(parsed, ox.QuerySolutions)
    return parsed


def test_more_rows_or_columns_than_a_sheet_holds_are_refused() -> None:
    with pytest.raises(NotAcceptable, match=r"1048575 rows .* has 1048576"):
        write_table(solutions(["a"], 1_048_576), XLSX, labels_none)
    many = [f"c{number}" for number in range(16_385)]
    with pytest.raises(NotAcceptable, match=r"16384 columns, .* 16385"):
        write_table(solutions(many, 1), XLSX, labels_none)
    assert len(cells_of(write_table(solutions(many[:3], 2), XLSX, labels_none))[0]) == 3


def test_no_file_is_opened_while_a_table_is_written() -> None:
    script = """
import sys
import pyoxigraph as ox
from itukg.formats import TABLE_FORMATS
from itukg.tables import write_table
store = ox.Store()
def refuse(event, arguments):
    if event in ("open", "import", "os.mkdir", "tempfile.mkstemp"):
        raise RuntimeError(f"{event} {arguments}")
sys.addaudithook(refuse)
query = 'SELECT ?s ?o { VALUES (?s ?o) { (<urn:x> 1) (<urn:y> "%s") (<urn:y> "=1") } }' % ("x" * 30000)
for syntax in TABLE_FORMATS:
    assert len(write_table(store.query(query), syntax, lambda things: {thing: "é" for thing in things})) > 100
print("written", len(TABLE_FORMATS))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == f"written {len(TABLE_FORMATS)}\n", done.stderr


def test_results_of_another_store_get_the_same_labels() -> None:
    there = b'{"head":{"vars":["s"]},"results":{"bindings":[{"s":{"type":"uri","value":"urn:x"}}]}}'
    results = ox.parse_query_results(there, format=ox.QueryResultsFormat.JSON)
    assert isinstance(results, ox.QuerySolutions)
    written = write_table(results, LABELLED[0], lambda things: {thing: f"{thing}, known" for thing in things})
    assert written == b's,sLabel\r\nurn:x,"urn:x, known"\r\n'


# --- tables of plain values ---


def test_plain_values_give_the_csv_of_the_standard_and_numbers_in_a_spreadsheet() -> None:
    columns = ["text", "number", "share", "none"]
    texts = ["plain", "", 'a "b"', "a,b", "a\nb\r\nc", "=1", " x ", "é😀", "_:b", "<r>x</r>", "true"]
    rows = [{"text": text, "number": n, "share": n / 4, "none": None, "more": 1} for n, text in enumerate(texts)]
    table = Table.of_values(columns, rows)
    expected = io.StringIO()
    writer = csv.DictWriter(expected, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    assert table.write(CSV) == expected.getvalue().encode()
    assert cells_of(table.write(XLSX, "list")) == [
        tuple(columns),
        *((text, n, n / 4, None) for n, text in enumerate(texts)),
    ]
    assert sheet_of(table.write(XLSX, "list")).sheetnames == ["list"]


def test_labels_are_added_to_a_table_once() -> None:
    table = Table(["a"], [{"a": {"type": "uri", "value": "urn:x"}}, {}])
    for _ in range(2):
        table.add_labels(lambda things: dict.fromkeys(things, "X"))
    assert table.write(CSV) == b"a,aLabel\r\nurn:x,X\r\n,\r\n"


def test_a_workbook_has_a_sheet_for_each_table_or_none_is_written() -> None:
    good, bad = Table.of_values(["a"], [{"a": 1}]), Table.of_values(["b"], [{"b": "x" * 32_768}])
    book = sheet_of(write_workbook({"One": good, "Two": Table(["b"], [])}))
    assert {sheet.title: [*sheet.values] for sheet in book} == {"One": [("a",), (1,)], "Two": [("b",)]}
    with pytest.raises(NotAcceptable, match="row 2, column b"):
        write_workbook({"One": good, "Two": bad})


# --- negotiation ---


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (CSV1, CSV1),
        ("Text/CSV; header=present; Labels=1", CSV1),
        ('text/csv;labels="1"', CSV1),
        ("text/csv;labels=0", "text/csv"),
        ("text/csv;labels=0, " + CSV1 + ";q=0.9", "text/csv"),
        ("text/csv;q=0.9, " + CSV1, CSV1),
        ("text/csv, " + CSV1 + ";q=0", "text/csv"),
        ("text/csv;q=0, text/tab-separated-values;q=0, text/*, */*;q=0.1", "text/html"),
        ("text/csv;q=0, " + TSV1 + ";q=0.1", TSV1),
        ("text/turtle;labels=1, application/json;labels=1, text/csv;q=0.1", "text/csv"),
        (XLSX.media_type, XLSX.media_type),
        (XLSX.media_type + ";labels=1", XLSX.media_type),
    ],
)
def test_labels_come_only_when_they_are_requested(client: TestClient, accept: str, media_type: str) -> None:
    reply = ask(client, SELECT, accept)
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"].removesuffix("; charset=utf-8") == media_type


def test_labels_may_be_requested_in_every_way(client: TestClient) -> None:
    for name, media_type in (("csv", CSV1), ("tsv", TSV1), ("xlsx", XLSX.media_type)):
        expected = ask(client, SELECT, media_type)
        bare = media_type.partition(";")[0]
        form = {"query": SELECT, "format": name, "labels": "1"}
        replies = [
            ask(client, SELECT, bare, labels=1),
            ask(client, SELECT, bare + ";labels=0", labels=1),
            ask(client, SELECT, "image/png", format=name, labels=1),
            ask(client, SELECT, "image/png", format=media_type),
            ask(client, SELECT, "image/png", format=bare, labels=1),
            client.post("/sparql", data=form),
            client.post("/sparql?labels=1", content=SELECT, headers={"content-type": SPARQL_QUERY, "accept": bare}),
        ]
        assert {reply.status_code for reply in replies} == {200}
        assert {reply.headers["content-type"] for reply in replies} == {expected.headers["content-type"]}
        assert {reply.content for reply in replies} == {expected.content}
        assert replies[0].headers["vary"].startswith("Accept")
    assert rows_of_csv(ask(client, SELECT, CSV1, labels=0, format="csv").content) == rows_of_csv(
        ask(client, SELECT, "text/csv").content
    )


def test_a_client_that_accepts_anything_and_wants_labels_gets_csv(client: TestClient) -> None:
    for accept in (None, "*/*", "text/html, */*;q=0.8"):
        assert ask(client, SELECT, accept, labels=1).headers["content-type"].startswith(CSV1)


@pytest.mark.parametrize(
    ("query", "accept", "parameters"),
    [
        (SELECT, "application/json;labels=1", {}),
        (SELECT, "text/csv;labels=2", {}),
        (SELECT, XLSX.media_type + ";labels=0", {}),
        (SELECT, "application/sparql-results+json", {"labels": "1"}),
        (SELECT, None, {"format": "json", "labels": "1"}),
        (SELECT, None, {"format": "srx", "labels": "1"}),
        ("ASK {}", None, {"labels": "1"}),
        ("ASK {}", XLSX.media_type, {}),
        ("ASK {}", None, {"format": "xlsx"}),
        ("DESCRIBE <urn:x>", None, {"labels": "1"}),
        ("DESCRIBE <urn:x>", "text/turtle", {"labels": "1"}),
        ("DESCRIBE <urn:x>", CSV1, {}),
    ],
)
def test_labels_that_cannot_be_had_are_406(
    client: TestClient, query: str, accept: str | None, parameters: dict[str, str]
) -> None:
    detail = problem_of(ask(client, query, accept, **parameters), 406)["detail"]
    if "labels" in parameters or query is SELECT:
        assert CSV1 in detail or "csv, tsv, xlsx" in detail


def test_a_spreadsheet_without_labels_is_406(client: TestClient) -> None:
    assert "without labels" in problem_of(ask(client, SELECT, format="xlsx", labels=0), 406)["detail"]
    assert "without labels" in problem_of(ask(client, SELECT, XLSX.media_type, labels=0), 406)["detail"]


@pytest.mark.parametrize("value", ["", "2", "yes", "true", "01"])
def test_labels_other_than_0_and_1_are_400(client: TestClient, value: str) -> None:
    assert f'"{value}"' in problem_of(ask(client, SELECT, "text/csv", labels=value), 400)["detail"]
    form = client.post("/sparql", data={"query": SELECT, "labels": value}, headers={"content-type": FORM})
    assert f'"{value}"' in problem_of(form, 400)["detail"]
