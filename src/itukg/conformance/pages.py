"""The report as pages: in parts where it is served, whole in a file or as an answer, and each finding by itself."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from urllib.parse import urlencode

from itukg import names
from itukg.conformance.findings import Finding, Row, Selection
from itukg.conformance.model import Header, HistoryRow, Report, Rule
from itukg.errors import NotFound
from itukg.formats import CSV, JSON, JUNIT, PDF, SARIF, TURTLE, XLSX
from itukg.pages import FILE, render
from itukg.pages.bibtex import escaped

PAGE_FINDINGS = 40
"""Findings on a page of a selection."""
SHOWN_FORMATS = (PDF, XLSX, CSV, JSON, SARIF, JUNIT, TURTLE)
"""Other syntaxes of a report that its pages link: those that people open, and one of RDF."""
_PAGE = "base.html"
_ACTORS = {
    "us": "the curators of the data",
    "document": "the editors of the document",
    "referenceData": "the maintainers of the code lists",
}
"""Who can act on a finding, in the words of pages."""
_STATUSES = {
    "new": "not in the earlier report",
    "persisting": "in the earlier report too",
    "fixed": "in the earlier report only: listed, and not counted",
    "waived": "accepted for a reason, until a day: listed, and not counted",
}
"""How a finding compares with the earlier report, in the words of pages."""
_TITLES = {
    "profile": "Profile", "plan": "Plan", "shape": "Rule", "focus": "Thing", "severity": "Severity",
    "actor": "Who can act", "status": "Status", "q": "Words",
}  # fmt: skip


@dataclass(frozen=True)
class Site:
    """What pages of a report on a release have beyond those of other reports: addresses, and the labels of plans by notation."""

    plans: Mapping[str, str]
    pinned: str = ""
    """The release that the request names, and the links of the page therefore too."""


@dataclass(frozen=True)
class _Pages:
    """Which page of a list this is, and where the others are."""

    number: int
    last: int
    address: Callable[..., str]

    def links(self) -> dict[str, str]:
        places = {"first": 1, "previous": self.number - 1, "next": self.number + 1, "last": self.last}
        return {name: self.address(page=str(n)) + "#findings" for name, n in places.items() if 1 <= n <= self.last}


def write_file(report: Report) -> bytes:
    """Write the report as a page that is complete in itself: it may be opened from a disk, and sent on."""
    return _report(report, FILE, report.listed)


def write_answer(report: Report) -> bytes:
    """Write the report on what somebody sent as a page of the server, which does not keep it: all findings are on it."""
    return _report(report, _PAGE, report.listed)


def write_part(report: Report, site: Site, number: int = 1) -> bytes:
    """Write a page of the report on a release: of a selection the findings, of the whole how many each rule found.

    Raises NotFound for a page past the end.
    """
    if not report.selection.as_row():
        return _report(report, _PAGE, report.listed, site)
    last = max(1, -(-len(report.listed) // PAGE_FINDINGS))
    if number > last:
        raise NotFound(f"No page {number}: the findings fill {last}.")
    begin = (number - 1) * PAGE_FINDINGS
    pages = _Pages(number, last, partial(_link, report.selection, site.pinned))
    return _report(report, _PAGE, report.listed[begin : begin + PAGE_FINDINGS], site, pages)


def write_finding(report: Report, finding: Finding, site: Site) -> bytes:
    """Write the page of one finding of the report on a release, with all that helps to act on it and to cite it."""
    address = f"{names.THINGS}finding/{finding.id}?release={report.release}"
    rule = next((rule for rule in report.rules if rule.shape == finding.shape), None)
    return render(
        "finding.html",
        finding=finding,
        rule=rule,
        address=address,
        citation=_citation(report, finding, address),
        bibtex=_bibtex(report, finding, address),
        others=[each for each in report.findings if each.focus == finding.focus and each.id != finding.id],
        alike=sum(each.shape == finding.shape for each in report.findings),
        formats=SHOWN_FORMATS,
        **_common(report, _PAGE, site),
    )


def write_history_file(releases: Sequence[HistoryRow]) -> bytes:
    """Write the history, oldest first, as a page that is complete in itself."""
    return render("history.html", layout=FILE, releases=releases)


def write_history_page(releases: Sequence[HistoryRow]) -> bytes:
    """Write the history, oldest first, as a page of the server."""
    return render("history.html", layout=_PAGE, releases=releases)


def _report(
    report: Report, layout: str, listed: Sequence[Finding], site: Site | None = None, pages: _Pages | None = None
) -> bytes:
    chips = _chips(report, site or Site({}))
    shares = [(each, {share.plan or "": share for share in each.plans}) for each in report.coverage]
    return render(
        "conformance.html",
        groups=_groups(listed, largest_first=pages is None),
        pages=pages,
        chosen=report.selection.as_row(),
        chips=chips if site else [],
        chosen_words=chips,
        rules=_rules(report),
        coverage=shares,
        covered_plans=sorted({plan for _, by_plan in shares for plan in by_plan}),
        formats=SHOWN_FORMATS,
        **_common(report, layout, site),
    )


def _common(report: Report, layout: str, site: Site | None) -> dict[str, object]:
    """Return what the template of every page of a report needs."""
    return {
        "layout": layout,
        "report": report,
        "served": site is not None,
        "linked": site is not None or report.header.subject == Header.subject,
        "pinned": site.pinned if site else "",
        "plan_labels": dict(site.plans) if site else {},
        "link": partial(_link, report.selection, site.pinned) if site else None,
        "only": partial(_link, Selection(), site.pinned) if site else None,
        "actors": _ACTORS,
        "status_words": _STATUSES,
        "labels": {profile["name"]: profile["label"] for profile in report.header.profiles},
    }


def _groups(findings: Sequence[Finding], *, largest_first: bool) -> list[tuple[str, list[tuple[str, list[Finding]]]]]:
    """Return findings, which come worst first, by severity, then by shape."""
    found = []
    for severity, each in groupby(findings, key=lambda finding: finding.severity):
        shapes = [(shape, list(group)) for shape, group in groupby(each, key=lambda finding: finding.shape)]
        found.append((severity, sorted(shapes, key=lambda shape: -len(shape[1])) if largest_first else shapes))
    return found


def _rules(report: Report) -> list[tuple[Rule, int]]:
    """Return the rules with how many findings of each count, those with most first."""
    found = {shape: sum(counts.values()) for shape, counts in report.counted("shape").items()}
    ordered = sorted(report.rules, key=lambda rule: (-found.get(rule.shape, 0), -(rule.nodes or 0), rule.label))
    return [(rule, found.get(rule.shape, 0)) for rule in ordered]


def _chips(report: Report, site: Site) -> list[tuple[str, str, str]]:
    """Return what is chosen, in words: the title of each field, a value, and the address without it."""
    words = {
        "profile": {profile["name"]: profile["label"] for profile in report.header.profiles},
        "plan": site.plans,
        "shape": {rule.shape: rule.label for rule in report.rules},
        "focus": {finding.focus: finding.focusLabel for finding in report.findings if finding.focusLabel},
        "actor": _ACTORS,
    }
    chosen = report.selection.as_row()
    return [
        (
            _TITLES[name],
            words.get(name, {}).get(value) or names.shorten(value),
            _address(chosen | {name: [each for each in values if each != value]}, site.pinned),
        )
        for name, values in chosen.items()
        for value in values
    ]


def _link(selection: Selection, pinned: str, path: str = "/conformance", **changes: str) -> str:
    """Return the address of a selection with some fields changed; of its first page, but where `page` is among them."""
    return _address(selection.as_row() | {key: [value] for key, value in changes.items()}, pinned, path)


def _address(query: Row, pinned: str, path: str = "/conformance") -> str:
    given = {
        name: [*map(names.shorten, values)] if name in Selection.IRIS else values for name, values in query.items()
    }
    given = {name: values for name, values in given.items() if values and (name, values) != ("page", ["1"])}
    given |= {"release": [pinned]} if pinned else {}
    return path + ("?" + urlencode(given, doseq=True, safe="/:,") if given else "")


def _citation(report: Report, finding: Finding, address: str) -> str:
    called = finding.focusLabel or names.shorten(finding.focus)
    date = f", {report.header.date[:10]}" if report.header.date else ""
    return f"itukg: the ITU results knowledge graph, release {report.release}{date}. Finding {finding.id} on “{called}”: {finding.statement} {address}"


def _bibtex(report: Report, finding: Finding, address: str) -> str:
    title = escaped(finding.statement.rstrip("."))
    year = f"  year = {{{report.header.date[:4]}}},\n" if report.header.date else ""
    return (
        f"@misc{{itukg-finding-{finding.id},\n  author = {{{{The itukg project}}}},\n"
        f"  title = {{{{{title}}}}},\n  howpublished = {{itukg: the ITU results knowledge graph, release {report.release}}},\n"
        f"{year}  url = {{{address}}},\n}}"
    )
