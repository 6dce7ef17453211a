"""One report, many readers: each syntax is a row with its writer, and all hold the same findings."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from functools import partial

import pyoxigraph as ox

from itukg import __version__, names
from itukg.conformance.findings import Finding, decides, iri_of
from itukg.conformance.junit import write_junit
from itukg.conformance.model import HistoryRow, Report
from itukg.conformance.pages import write_file, write_history_file
from itukg.conformance.pdf import pdf_of
from itukg.conformance.validation import REPORT, finding_iri
from itukg.conformance.waivers import target_of
from itukg.formats import CSV, GRAPH_FORMATS, HTML, JSON, JUNIT, PDF, SARIF, XLSX, Format, write_json
from itukg.graphs import write_graph
from itukg.rdf.jsonld import Json
from itukg.tables import Table, write_workbook

SCREEN = 15
"""Violations that a failed build prints."""
UNCHECKED_SHOWN = 10
"""Things without a check that a report for a terminal names."""
_WAIVER = ox.NamedNode(names.PREFIXES["itush"] + "waiver")
_KEYS = [f.name for f in fields(Finding)]


def write(report: Report, syntax: Format) -> bytes:
    """Write the report in one of REPORT_FORMATS, HTML as a file of its own. The same report gives the same bytes."""
    return _WRITERS[syntax](report)


def write_text(report: Report) -> str:
    """Write the report for a terminal: the verdict and what it is about, then the findings, worst first."""
    lines = [f"{report.verdict}: {report.totals}"]
    if report.checked_nothing:
        lines.append(
            "No shape looked at anything in the data. Use classes and properties of the ontology, or give shapes whose "
            "targets the data has."
        )
    elif report.header.unchecked:
        lines.append(f"No shape looked at {_some(report.header.unchecked)}.")
    if report.header.unused:
        lines.append(f"No target, and no shape that refers to it: {_some(report.header.unused)}.")
    if report.statuses:
        compared = ", ".join(f"{count} {status}" for status, count in report.statuses.items())
        lines.append(
            f"Against {report.baseline['subject']}: {compared}" if report.baseline else f"Of these, {compared}"
        )
    if report.hint:
        lines.append(report.hint)
    lines += [f"Not verified: {name} {reason}." for name, reason in report.header.unverified.items()]
    lines += [f"Waiver of {target_of(row)}: {row['problem']}" for row in report.waivers if row["problem"]]
    return "\n".join([*lines, *map(_finding_text, report.listed)]) + "\n"


def write_violations(report: Report) -> str:
    """Write the violations of a report that stops a build, at most a screen of them."""
    violations = [finding for finding in report.findings if decides(finding.severity) and finding.stands]
    shown = [_finding_text(finding) for finding in violations[:SCREEN]]
    more = [f"… and {len(violations) - SCREEN} more violations."] if len(violations) > SCREEN else []
    return "\n".join([f"{report.verdict}: {report.totals}", *shown, *more]) + "\n"


def _finding_text(f: Finding) -> str:
    place = f", {names.shorten(f.document)} line {f.line}" if f.document and f.line else ""
    status = f" ({f.status})" if f.status else ""
    return f"{f.severity}{status}  {names.shorten(f.focus)}  {f.message}\n    {names.shorten(f.shape)}{place}"


def _some(iris: Sequence[str]) -> str:
    shown = ", ".join(map(names.shorten, iris[:UNCHECKED_SHOWN]))
    return f"{shown} and {len(iris) - UNCHECKED_SHOWN} more" if len(iris) > UNCHECKED_SHOWN else shown


def _write_rdf(report: Report, syntax: Format) -> bytes:
    # The verdict of all renderings, and what it goes by: SHACL 1.0, section 3.6, would let an Info decide it.
    policy = (ox.NamedNode(iri_of(severity)) for severity in report.header.disallows)
    stated = [
        ox.Triple(ox.NamedNode(REPORT), ox.NamedNode(names.SH + "conforms"), ox.Literal(report.conforms)),
        *(ox.Triple(ox.NamedNode(REPORT), ox.NamedNode(names.SH + "conformanceDisallows"), each) for each in policy),
    ]
    shown = {finding_iri(f.id) for f in report.listed if f.status != "fixed"}
    waived = {finding_iri(f.id): f.waiver for f in report.listed if f.waiver}
    stated += [ox.Triple(ox.NamedNode(iri), _WAIVER, ox.Literal(reason)) for iri, reason in waived.items()]
    prefix = finding_iri("")

    def kept(term: object) -> bool:
        return not (isinstance(term, ox.NamedNode) and term.value.startswith(prefix)) or term.value in shown

    triples = (quad.triple for quad in ox.parse(report.graph, format=ox.RdfFormat.N_TRIPLES))
    return write_graph([*stated, *(t for t in triples if kept(t.subject) and kept(t.object))], syntax)


def _findings(report: Report) -> Table:
    return Table.of_values(_KEYS, (asdict(finding) for finding in report.listed))


def _write_csv(report: Report) -> bytes:
    return _findings(report).without_formulas().write(CSV)


def _write_spreadsheet(report: Report) -> bytes:
    """Write a workbook: the header, the numbers by group, coverage, rules, waivers and findings."""
    header = report.header
    facts = {
        "verdict": report.verdict,
        "subject": header.subject,
        "date": header.date,
        "compared with": report.baseline["subject"] if report.baseline else None,
        **{f"selected {name}": ", ".join(chosen) for name, chosen in report.selection.as_row().items()},
        **report.counts,
        **report.statuses,
        "itukg": header.itukg,
        "SHA-256 of the data": header.data,
        "SHA-256 of the shapes": header.shapes,
        **{f"engine {name}": fact for name, fact in header.engine.items()},
        "things without a check": None if header.unchecked is None else len(header.unchecked),
        "shapes without a use": ", ".join(header.unused),
        "verdict goes by": ", ".join(header.disallows),
        **{f"policy: {severity}": words for severity, words in header.policy.items()},
    }
    groups = [
        {"by": key, "group": group, **counts}
        for key, groups in report.summary.items()
        for group, counts in groups.items()
    ]
    coverage = [
        {"shape": row["shape"], "label": row["label"], **share}
        for row in (each.as_row() for each in report.coverage)
        for share in (*row["plans"], {k: row[k] for k in ("covered", "total", "percent")} | {"plan": "all plans"})
    ]
    return write_workbook(
        {
            "Summary": Table.of_values(("what", "is"), ({"what": what, "is": fact} for what, fact in facts.items())),
            "Counts": Table.of_values(("by", "group", *report.header.policy), groups),
            "Coverage": Table.of_values(("shape", "label", "plan", "covered", "total", "percent"), coverage),
            "Findings": _findings(report),
            "Rules": Table.of_values(
                ("shape", "label", "description", "profile", "severity", "actor", "nodes"), map(asdict, report.rules)
            ),
            "Waivers": Table.of_values(
                ("finding", "shape", "focus", "reason", "owner", "expires", "waives", "problem"), report.waivers
            ),
        }
    )


_LEVELS = {"Warning": "warning", "Info": "note", "Debug": "note", "Trace": "note"}
"""The level of SARIF of each severity; of all others, which decide the verdict, it is "error"."""
_STATES = {"new": "new", "persisting": "unchanged", "fixed": "absent"}


def _write_sarif(report: Report) -> bytes:
    """Write SARIF 2.1.0: a shape is a rule, a finding a result at its data file, with the words of the document beside."""
    header = report.header
    rules: list[Json] = [
        {
            "id": names.shorten(rule.shape),
            "name": rule.label,
            "shortDescription": {"text": rule.label},
            "fullDescription": {"text": rule.description or rule.label},
            "helpUri": rule.shape,
            "defaultConfiguration": {"level": _LEVELS.get(rule.severity, "error")},
            "properties": {
                "severity": rule.severity,
                "profile": rule.profile,
                "actor": rule.actor,
                "nodes": rule.nodes,
            },
        }
        for rule in report.rules
    ]
    index = {rule["id"]: place for place, rule in enumerate(rules)}
    run = {
        "tool": {
            "driver": {
                "name": "itukg",
                "semanticVersion": header.itukg or __version__,
                "informationUri": names.BASE,
                "rules": rules,
            },
            "extensions": [{"name": header.engine["name"], "version": header.engine["version"]}]
            if header.engine
            else [],
        },
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, index) for finding in report.listed],
        "properties": {
            "verdict": report.verdict,
            "counts": report.counts,
            "header": asdict(header),
            "selection": report.selection.as_row(),
        },
    }
    return write_json({"$schema": names.SARIF_SCHEMA, "version": "2.1.0", "runs": [run]})


def _result(finding: Finding, index: dict[str, int]) -> Json:
    rule = names.shorten(finding.shape)
    logical = {"fullyQualifiedName": finding.focus, "name": finding.focusLabel or finding.focus, "kind": "resource"}
    location: Json = {"logicalLocations": [logical]}
    if finding.file:
        location["physicalLocation"] = {"artifactLocation": {"uri": finding.file}}
    result: Json = {
        "ruleId": rule,
        **({"ruleIndex": index[rule]} if rule in index else {}),
        "level": _LEVELS.get(finding.severity, "error"),
        "message": {"text": finding.message},
        "locations": [location],
        "partialFingerprints": {"itukg/v1": finding.id},
        "properties": {
            key: getattr(finding, key) for key in ("severity", "profile", "plan", "actor", "path", "value", "section")
        },
    }
    if finding.document and finding.line:
        region: Json = {"startLine": finding.line}
        if finding.quote:
            region["snippet"] = {"text": finding.quote}
        place = {"artifactLocation": {"uri": finding.document}, "region": region}
        result["relatedLocations"] = [
            {"physicalLocation": place, "message": {"text": finding.section or "The document"}}
        ]
    if finding.status in _STATES:
        result["baselineState"] = _STATES[finding.status]
    if finding.waiver:
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": finding.waiver}]
    return result


def _write_rows(report: Report) -> bytes:
    return write_json(report.as_rows())


_RDF: dict[Format, Callable[[Report], bytes]] = {s: partial(_write_rdf, syntax=s) for s in GRAPH_FORMATS}
_WRITERS: dict[Format, Callable[[Report], bytes]] = {
    HTML: write_file,
    **_RDF,
    CSV: _write_csv,
    XLSX: _write_spreadsheet,
    JSON: _write_rows,
    PDF: lambda report: pdf_of(report.as_rows()),
    SARIF: _write_sarif,
    JUNIT: write_junit,
}
REPORT_FORMATS = tuple(_WRITERS)
"""Syntaxes of the report, best first."""


def write_history(releases: Sequence[HistoryRow], syntax: Format) -> bytes:
    """Write the history, oldest first, in one of HISTORY_FORMATS."""
    return _HISTORY_WRITERS[syntax](releases)


def _write_history_csv(releases: Sequence[HistoryRow]) -> bytes:
    return Table.of_values((f.name for f in fields(HistoryRow)), map(asdict, releases)).write(CSV)


def _write_history_rows(releases: Sequence[HistoryRow]) -> bytes:
    return write_json({"releases": [asdict(release) for release in releases]})


_HISTORY_WRITERS: dict[Format, Callable[[Sequence[HistoryRow]], bytes]] = {
    HTML: write_history_file,
    CSV: _write_history_csv,
    JSON: _write_history_rows,
}
HISTORY_FORMATS = tuple(_HISTORY_WRITERS)
"""Syntaxes of the history, best first."""
