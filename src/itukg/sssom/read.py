"""Sets of mappings read from SSSOM/TSV."""

import csv
import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from itukg.errors import DataError
from itukg.sssom.model import OF_ROWS, OF_SETS, REQUIRED, MappingSet, check_slot, extensions, joined, prefixes

_NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""A character that XML 1.0 does not allow (section 2.2), so that no RDF/XML could have it."""


def read_tsv(path: Path, *, strip: bool = False) -> MappingSet:
    """Read SSSOM/TSV with its metadata in front; what the metadata says of all rows stands in each row.

    With `strip`, cells lose the blanks around them. The file is read once, so it may be a pipe.
    Raises DataError with file, line and what to try: for text that is not SSSOM/TSV, for a required slot without a value,
    and, stricter than the specification, for slots that it would have a reader pass over.
    """
    with _at(path, 1):
        try:
            text = path.read_bytes().decode("utf-8-sig")  # spreadsheets put a byte order mark in front
        except OSError as error:
            raise DataError(f"{error.strerror}. Name a file that is there.") from None
        except UnicodeDecodeError as error:
            raise DataError(f"{error.reason} at byte {error.start}. Save it as UTF-8.") from None
    if (first := re.search(r"\r\n|\r|\n", text)) and first[0] == "\r":  # as spreadsheets for old Macintoshes write
        text = re.sub(r"\r\n?", "\n", text)
    lines = text.split("\n")
    # A spreadsheet puts a line with a quote or a comma into quotes of its own.
    head = []
    for number, text_line in enumerate(takewhile(_is_head, lines), 1):
        with _at(path, number), _csv_errors():
            head.append(next(csv.reader([text_line], delimiter="\t"))[0][1:].rstrip())
    metadata = _metadata(path, head)
    known = {*OF_ROWS, *extensions(metadata)}
    rows: list[dict[str, str]] = []
    begins: list[int] = []
    for line, row in _rows(path, "\n".join(lines[len(head) :]), len(head), known, strip=strip):
        with _at(path, line):
            if missing := next((name for name in REQUIRED if name not in row), None):
                raise DataError(f"no {missing}. Each row needs {', '.join(REQUIRED)}.")
            prefixes(metadata, [row])
        rows.append(row)
        begins.append(line)
    return _propagated(metadata, rows, begins)


def _is_head(line: str) -> bool:
    return line.startswith(("#", '"#'))


@contextmanager
def _at(path: Path, line: int) -> Iterator[None]:
    """Say in a DataError where it is."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{path}, line {line}: {error}") from None


@contextmanager
def _csv_errors() -> Iterator[None]:
    """Say in a DataError what the csv module found, and what to do."""
    try:
        yield
    except csv.Error as error:
        if "field limit" in str(error):
            raise DataError(
                f"a cell has more than {csv.field_size_limit():,} characters. Shorten it, or close the double quotes with "
                "which it begins."
            ) from None
        if "new-line" in str(error):
            raise DataError(
                "a carriage return stands within a line. Remove it, or put the cell that has it into double quotes."
            ) from None
        raise DataError(f'{error}. Put a cell with " in it into double quotes, and double the " in it.') from None


def _metadata(path: Path, head: list[str]) -> dict[str, object]:
    metadata = _yaml(path, head)
    lines = {key: line for line, text in reversed([*enumerate(head, 1)]) if (key := text.partition(":")[0].strip())}
    for name, value in metadata.items():
        slot = OF_SETS.get(name)
        if slot and slot.many and not isinstance(value, list):
            metadata[name] = [value]
        if name == "curie_map" and not isinstance(value, dict):
            with _at(path, lines[name]):
                raise DataError('curie_map is no map. Write each prefix as "#  prefix: IRI" below it.')
    with _at(path, lines.get("extension_definitions", 1)):
        known = {*OF_SETS, *extensions(metadata)}
    for name in metadata:
        with _at(path, lines.get(name, 1)):
            check_slot(name, known)
    with _at(path, 1):
        prefixes(metadata, [])
    return metadata


def _yaml(path: Path, head: list[str]) -> dict[str, Any]:
    try:
        # With this loader all scalars are texts: a version 1.10 stays what it is.
        found = yaml.load("\n".join(head), Loader=yaml.BaseLoader) or {}  # noqa: S506
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        with _at(path, mark.line + 1 if mark else 1):
            reason = getattr(error, "problem", None) or error
            raise DataError(f"{reason}. The lines that begin with # must be YAML.") from None
    if not isinstance(found, dict):
        with _at(path, 1):
            raise DataError('The metadata is no map. Write "#mapping_set_id: IRI", and so on, a slot a line.')
    return found


def _rows(path: Path, text: str, before: int, known: set[str], *, strip: bool) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield each row with the line on which it begins; `before` lines stand before `text`."""
    reader = csv.reader(StringIO(text, newline=""), delimiter="\t", strict=True)
    columns: list[str] = []
    line = before + 1
    while True:
        with _at(path, line):
            with _csv_errors():
                cells = next(reader, None)
            if not columns:
                _check_columns(cells or [], known)
            elif cells and len(cells) != len(columns):
                raise DataError(
                    f"{len(cells)} cells below {len(columns)} columns. Tabs separate cells; put a cell that holds a tab or "
                    'a line break into double quotes, and double the " in it.'
                )
            else:
                _check_characters(columns, cells or [])
        if cells is None:
            return
        if strip:
            cells = [cell.strip() for cell in cells]
        if columns and any(cells):
            yield line, {name: cell for name, cell in zip(columns, cells, strict=True) if cell}
        columns = columns or cells
        line = before + reader.line_num + 1


def _check_columns(columns: list[str], known: set[str]) -> None:
    if lacking := [name for name in REQUIRED if name not in columns]:
        raise DataError(
            f"no column {', '.join(lacking)}. The line after the metadata names the columns, with tabs between them."
        )
    for number, name in enumerate(columns):
        check_slot(name, known)
        if name in columns[:number]:
            raise DataError(f'column "{name}" stands there twice. Name each once.')


def _check_characters(columns: list[str], cells: list[str]) -> None:
    for name, cell in zip(columns, cells, strict=False):
        if odd := _NO_XML.search(cell):
            raise DataError(f"{name}: the character U+{ord(odd[0]):04X} is none that XML allows. Remove it.")


def _propagated(metadata: dict[str, object], rows: list[dict[str, str]], lines: list[int]) -> MappingSet:
    """Return the set with what its metadata says of all rows in each row."""
    shared = [name for name in metadata if name in OF_ROWS and OF_ROWS[name].shared]
    for name in shared:
        if rows and not any(name in row for row in rows):
            value = metadata.pop(name)
            for row in rows:
                row[name] = joined(value) if isinstance(value, list) else str(value)
    return MappingSet(metadata, rows, lines)
