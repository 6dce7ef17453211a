"""A document by section and line: what was made of each line, what was left out and why, and what the report finds there."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from itertools import groupby
from typing import Any
from urllib.parse import urlencode

from itukg import names
from itukg.conformance import Finding
from itukg.errors import BadRequest, NotFound
from itukg.evidence import REASONS
from itukg.formats import CSV, HTML, JSON, XLSX, Format, write_json
from itukg.pages import render
from itukg.rdf.jsonld import word
from itukg.release.documents import Called, Document, LeftOut, Said
from itukg.release.model import Release
from itukg.tables import Table, write_workbook
from itukg.views.listing import whole_number

DOCUMENT_FORMATS = (JSON, HTML, CSV, XLSX)
"""Syntaxes of documents, best first."""
SHOWN = {
    "all": "everything",
    "taken": "what was taken up",
    "left": "what was left out",
    "findings": "lines with findings",
}
"""Which lines are shown, in words."""
PAGE_ROWS = 80
"""Rows of a page, but that a section stays whole."""


@dataclass(frozen=True)
class Row:
    """A line of which there is something to say, or several that were left out together."""

    first: int
    last: int
    section: str
    said: tuple[Said, ...] = ()
    left_out: LeftOut | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def groups(self) -> list[tuple[str, list[Said]]]:
        """What was made of the line, by the words it was made of: "" where they are not quoted."""
        found: dict[str, list[Said]] = defaultdict(list)
        for said in self.said:
            found[words_of(said)].append(said)
        return [*found.items()]

    def is_shown(self, show: str) -> bool:
        """Tell whether it is among what one of SHOWN chooses."""
        return bool({"all": True, "taken": self.said, "left": self.left_out, "findings": self.findings}[show])


@dataclass(frozen=True)
class Section:
    """Rows that stand below one heading of the document; without a title, what stands between two sections."""

    title: str
    rows: tuple[Row, ...]

    def below(self, row: Row) -> str:
        """Return the part of a row's section that stands below this one's title."""
        return row.section.removeprefix(self.title).removeprefix(", ")


@dataclass(frozen=True)
class Account:
    """What is known of a document, by its sections; `show` is one of SHOWN."""

    document: Document
    called: Mapping[str, Called]
    rows: tuple[Row, ...]
    show: str = "all"
    release: str = ""
    """The release that the address names, if it names one."""
    number: int = 1
    """The number of the page, from 1."""
    line: int | None = None
    """The line that was asked for."""

    @cached_property
    def sections(self) -> list[Section]:
        """The sections with rows that are shown."""
        shown = (
            replace(section, rows=tuple(row for row in section.rows if row.is_shown(self.show)))
            for section in _sections(self.rows)
        )
        return [section for section in shown if section.rows]

    @cached_property
    def pages(self) -> list[list[Section]]:
        """The sections page by page."""
        return [*_pages(self.sections)] or [[]]

    def page_of(self, line: int) -> int:
        """Return the number of the page on which a line stands, or the last line before it of which there is something to say."""
        begins = [next((row.first for section in page for row in section.rows), 0) for page in self.pages]
        return max((n for n, first in enumerate(begins, 1) if first <= line), default=1)

    def address(self, **other: object) -> str:
        """Return the path of a page of this document: by its number, by a line or what is shown."""
        kept = {"show": self.show} | {name: str(value) for name, value in other.items()} | {"release": self.release}
        query = urlencode({name: value for name, value in kept.items() if value not in ("", "all")})
        line = f"#line-{other['line']}" if "line" in other else ""
        return f"/documents/{self.document.name}{'?' if query else ''}{query}{line}"

    def asked(self, row: Row) -> bool:
        """Tell whether the line that was asked for is in this row."""
        return self.line is not None and row.first <= self.line <= row.last

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many lines were taken up and left out, and how many things, links, gaps and findings there are."""
        kinds = Counter(what(said) for row in self.rows for said in row.said)
        return {
            "lines": self.document.length,
            "taken": len(self.taken),
            "left": sum(self.reasons.values()),
            "things": kinds["thing"],
            "links": kinds["link"],
            "gaps": kinds["gap"],
            "findings": sum(len(row.findings) for row in self.rows),
        }

    @cached_property
    def plans(self) -> list[str]:
        """The plans that it states."""
        return sorted({said.plan for said in self.document.said if said.plan})

    @cached_property
    def reasons(self) -> dict[str, int]:
        """How many lines were left out for each reason, the most first; "" is without one."""
        found = Counter[str]()
        for each in self.document.left_out:
            found[each.reason or ""] += len(each.lines)
        return dict(found.most_common())

    @property
    def taken(self) -> Sequence[int]:
        """The lines that were taken up; where nobody has recorded it, those on which something begins."""
        covered = self.document.covered
        return sorted({row.first for row in self.rows if row.said}) if covered is None else covered

    def strip(self) -> dict[str, str]:
        """Return the whole document as paths of SVG, a unit to a line: what was taken up, left out, and has findings."""
        left = [line for each in self.document.left_out for line in each.lines]
        findings = [row.first for row in self.rows if row.findings]
        return {"taken": _bars(self.taken, 0, 24), "left": _bars(left, 12, 12), "findings": _bars(findings, 28, 6)}


def words_of(said: Said) -> str:
    """Return the document's words of which something was made, as far as the graph quotes them."""
    return said.words or ("" if said.own else said.label)


def what(said: Said) -> str:
    """Return what something is: a link, a gap, or else a thing."""
    return "link" if said.predicate else "gap" if said.missing else "thing"


def account(release: Release, name: str, given: Mapping[str, str]) -> Account:
    """Return what is known of a document, by its path below /id/document/; `given` are `show`, `line`, `page` and `release`.

    Raises NotFound for a document or page that is not there, and BadRequest for what is no line or is not shown.
    """
    known = release.documents
    document = next((each for each in known.by_iri.values() if each.name == name), None)
    if document is None:
        raise NotFound(f'No document "{name}"; known: {", ".join(each.name for each in known.by_iri.values())}.')
    if (show := given.get("show", "all")) not in SHOWN:
        raise BadRequest(f'No show "{show}"; known: {", ".join(SHOWN)}.')
    rows = tuple(_rows(document, release.report.findings))
    found = Account(document, known.called, rows, show, given.get("release", ""))
    if "line" in given:
        line = whole_number(given, "line", 1, None)
        return replace(found, number=found.page_of(line), line=line)
    number = whole_number(given, "page", 1, None)
    if number > len(found.pages):
        raise NotFound(f"No page {number}: the document has {len(found.pages)}.")
    return replace(found, number=number)


def accounts(release: Release, named: str = "") -> list[Account]:
    """Return what is known of each document."""
    known, findings = release.documents, release.report.findings
    return [Account(each, known.called, tuple(_rows(each, findings)), release=named) for each in known.by_iri.values()]


def _rows(document: Document, findings: Iterable[Finding]) -> Iterator[Row]:
    """Yield what there is to say of a document, in the order of its lines."""
    said, found = defaultdict[int, list[Said]](list), defaultdict[int, list[Finding]](list)
    for each in document.said:
        said[each.line].append(each)
    for finding in findings:
        if finding.document == document.iri and finding.line and finding.status != "fixed":
            found[finding.line].append(finding)
    left = {each.first: each for each in document.left_out}
    inside = {n: each.first for each in document.left_out for n in range(each.first + 1, each.last + 1)}
    for line in [*found]:  # a finding on lines that were left out stands with them
        if line in inside and line not in said:
            found[inside[line]] += found.pop(line)
    for line in sorted({*said, *found, *left}):
        here = sorted(said[line], key=lambda each: ("thing", "link", "gap").index(what(each)))
        last = left[line].last if line in left else line
        section = _common([each.section for each in here if each.section])
        yield Row(line, last, section, tuple(here), left.get(line), tuple(found[line]))


def _common(sections: Sequence[str]) -> str:
    """Return what the headings above several places have in common, at the most; at least the first one's highest."""
    if not sections:
        return ""
    parts = [section.split(", ") for section in sections]
    common = [part for part, *others in zip(*parts, strict=False) if all(other == part for other in others)]
    return ", ".join(common) or parts[0][0]


def _sections(rows: Sequence[Row]) -> Iterator[Section]:
    """Yield rows by the highest heading above them; what stands between two of one section belongs to it."""
    above = [row.section.partition(", ")[0] for row in rows]
    before = after = ""
    following = []
    for each in reversed(above):
        after = each or after
        following.append(after)
    keys = []
    for each, after in zip(above, reversed(following), strict=True):
        keys.append(each or (before if before == after else ""))
        before = each or before
    for _, group in groupby(zip(keys, rows, strict=True), lambda pair: pair[0]):
        of = tuple(row for _, row in group)
        yield Section(_common([row.section for row in of if row.section]), of)


def _pages(sections: Iterable[Section]) -> Iterator[list[Section]]:
    page: list[Section] = []
    for section in sections:
        if page and sum(len(each.rows) for each in page) + len(section.rows) > PAGE_ROWS:
            yield page
            page = []
        page.append(section)
    if page:
        yield page


def _bars(lines: Iterable[int], top: int, high: int) -> str:
    """Return a path with a bar for each run of lines."""
    runs = ([n for _, n in run] for _, run in groupby(enumerate(sorted({*lines})), lambda pair: pair[1] - pair[0]))
    return "".join(f"M{run[0] - 1} {top}h{len(run)}v{high}h-{len(run)}z" for run in runs)


# --- written ---


def write_account(found: Account, reader: Callable[[str], str], syntax: Format, query: str = "") -> bytes:
    """Write what is known of a document in one of DOCUMENT_FORMATS; `reader` tells what a page calls a term.

    Only a page is cut into pages. `query` is the query string by which it asks for its other syntaxes.
    """
    if syntax is HTML:
        why = partial(_why, reader)
        return render("document.html", found=found, reader=reader, shown=SHOWN, reasons=REASONS, why=why, query=query)
    rows = [row for row in found.rows if row.is_shown(found.show)]
    if syntax is JSON:
        titles = {id(row): section.title or None for section in found.sections for row in section.rows}
        lines = [_as_json(row, titles[id(row)]) for row in rows]
        return write_json(_summary(found) | {"show": found.show, "reasons": REASONS, "rows": lines})
    table = Table.of_values(_COLUMNS, (cells for row in rows for cells in _cells(row)))
    return table.write(CSV) if syntax is CSV else write_workbook({"lines": table})


def _why(reader: Callable[[str], str], left_out: LeftOut) -> str:
    """Return why lines were left out, in a sentence: as a reader noted it, with terms of the ontology as pages call them."""
    reason = REASONS.get(left_out.reason or "", "No reason was given").partition(";")[0]
    return re.sub(r"itu:(\w+)", lambda term: f"“{reader(names.ITU + term[1])}”", left_out.note or reason) + "."


def write_accounts(found: Sequence[Account], syntax: Format, query: str = "") -> bytes:
    """Write the list of documents in one of DOCUMENT_FORMATS."""
    if syntax is HTML:
        return render("documents.html", documents=found, reasons=REASONS, query=query)
    rows = [_summary(each) for each in found]
    if syntax is JSON:
        return write_json({"reasons": REASONS, "rows": rows})
    flat = [row | row["counts"] | {_column(reason): n for reason, n in row["leftOut"].items()} for row in rows]
    columns = ["document", "code", "label", "status", *(found[0].counts if found else ()), *map(_column, REASONS)]
    return Table.of_values(columns, flat).write(syntax, "documents")


def _column(reason: str) -> str:
    """Return a reason as the name of a column: frontMatter."""
    first, *others = reason.split("-")
    return first + "".join(other.capitalize() for other in others)


def _summary(found: Account) -> dict[str, Any]:
    document = found.document
    of = {"document": document.iri, "code": document.code, "label": document.label, "status": document.status}
    return of | {"counts": found.counts, "leftOut": {reason or "no reason": n for reason, n in found.reasons.items()}}


def _as_json(row: Row, section: str | None) -> dict[str, Any]:
    left = row.left_out
    told = {
        "line": row.first,
        "last": row.last if row.last > row.first else None,
        "section": row.section or section,
        "taken": [_filled(_of_said(said)) for said in row.said],
        "leftOut": _filled(asdict(left)) if left else None,
        "findings": [_filled(_of_finding(each)) for each in row.findings],
    }
    return {name: value for name, value in told.items() if value not in (None, [])}


_COLUMNS = (
    "line", "last", "section", "what", "kind", "id", "code", "label", "plan", "words", "subject", "predicate", "object",
    "basis", "missing", "reason", "note", "severity", "message",
)  # fmt: skip


def _cells(row: Row) -> Iterator[dict[str, Any]]:
    place = {"line": row.first, "section": row.section or None}
    for said in row.said:
        told = _of_said(said)
        yield place | {name: "|".join(v) if isinstance(v, tuple) else v or None for name, v in told.items()}
    if left := row.left_out:
        yield place | {"last": left.last, "what": "left out", "reason": left.reason, "note": left.note}
    for finding in row.findings:
        yield place | {"what": "finding"} | _of_finding(finding)


def _of_said(said: Said) -> dict[str, Any]:
    """Return something by the names of the data formats; a link has several objects where one statement names them."""
    about = {"subject": said.subjects} if what(said) != "thing" else {}
    return {
        "what": what(said),
        "kind": word(said.kind),
        "id": said.thing,
        "code": said.code,
        "label": said.label,
        "plan": said.plan,
        "section": said.section,
        "words": words_of(said),
        **about,
        "predicate": said.predicate,
        "object": said.objects,
        "basis": word(said.basis),
        "missing": tuple(map(word, said.missing)),
    }


def _of_finding(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.id,
        "severity": finding.severity,
        "label": finding.focusLabel,
        "subject": finding.focus,
        "message": finding.message,
    }


def _filled(told: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if value not in (None, "", ())}
