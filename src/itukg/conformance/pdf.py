"""A report as PDF, by typst: tagged, reproducible, with the fonts in `pages/fonts` and no file of the machine."""

import json
import re
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from itukg import __version__, names
from itukg.conformance.findings import ACTORS, STATUSES, Row
from itukg.conformance.waivers import target_of
from itukg.errors import ItukgError

if TYPE_CHECKING:
    from typst import Fonts

REPLACEMENT = "\ufffd"
"""What stands in a PDF in place of characters that no font has."""
ATTEMPTS = 4
"""How often a report is laid out at most: what is replaced may change how its neighbours are joined."""
SAMPLES = "قকខத汉ไ"
"""Of each of our fonts a character that none of typst's has."""
_WITHOUT_GLYPH = re.compile(r'the text `"(.*?)"` could not be displayed', re.DOTALL)
_ESCAPED = re.compile(r"\\u\{([0-9a-f]+)\}")


def pdf_of(rows: Row) -> bytes:
    """Return the rows of a report as a tagged PDF (PDF/UA-1) with contents, summary, coverage and the findings in groups.

    U+FFFD stands in place of characters that no font has, and the PDF names them. Raises ItukgError for rows that typst
    cannot lay out.
    """
    from typst import TypstError

    rows = rows | {"actors": ACTORS, "statusWords": STATUSES, "version": __version__, "replaced": []}
    for finding in rows["findings"]:
        finding |= {f"{key}Short": names.shorten(finding[key] or "") for key in ("shape", "focus", "path", "document")}
    for rule in rows["rules"]:
        rule["shapeShort"] = names.shorten(rule["shape"])
    for row in rows["waivers"]:
        row["of"] = target_of(row)
    message = ""
    for _ in range(ATTEMPTS):
        try:
            return _compiled(rows)
        except TypstError as error:
            message = error.message
            missing = _without_glyph(error.diagnostic)
        if not missing:
            break
        longest_first = sorted(missing, key=lambda text: (-len(text), text))
        replaced = rows["replaced"] + sorted({f"U+{ord(c):04X}" for text in missing for c in text})
        rows = _replaced(rows, re.compile("|".join(map(re.escape, longest_first)))) | {"replaced": replaced}
    raise ItukgError(f"The report cannot be laid out as PDF: {message}. Request another syntax, such as HTML or XLSX.")


def open_fonts() -> None:
    """Find the fonts, and read the template. A process that may open no file later calls this, or inherits it by a fork."""
    _fonts()
    _template()


def load_fonts() -> None:
    """Read the fonts. It starts threads, which a fork does not copy: call it in the process that writes."""
    import typst

    typst.query(f"#set text(font: {json.dumps(SAMPLES)})\n{SAMPLES}".encode(), "<none>", font_paths=_fonts())


def _compiled(rows: Row) -> bytes:
    import typst

    date = rows["header"]["date"]
    written = typst.compile(
        _template(),
        sys_inputs={"report": json.dumps(rows)},  # as a value: no word of a document is ever read as markup
        timestamp=datetime.fromisoformat(date) if date else datetime.fromtimestamp(0, UTC),
        pdf_standards="ua-1",
        font_paths=_fonts(),
    )
    assert isinstance(written, bytes)
    return written


def _without_glyph(diagnostic: str) -> set[str]:
    """Return the texts that no font has, as typst's message lists them, without those that every font has."""
    found = (_ESCAPED.sub(lambda code: chr(int(code[1], 16)), text) for text in _WITHOUT_GLYPH.findall(diagnostic))
    return {text for text in found if text != REPLACEMENT and not (text.isascii() and text.isprintable())}


def _replaced(value: Any, texts: re.Pattern[str]) -> Any:
    match value:
        case str():
            return texts.sub(REPLACEMENT, value)
        case list() | tuple():
            return [_replaced(each, texts) for each in value]
        case dict():
            return {_replaced(key, texts): _replaced(each, texts) for key, each in value.items()}
    return value


@cache
def _fonts() -> "Fonts":
    import typst

    folder = resources.files("itukg.pages") / "fonts"
    return typst.Fonts(include_system_fonts=False, font_paths=[str(folder)])  # so that every machine writes the same


@cache
def _template() -> bytes:
    return (resources.files("itukg.pages") / "templates" / "conformance.typ").read_bytes()
