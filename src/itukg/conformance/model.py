"""The model of a report: what was checked, by which engine, what was found, and how that compares with a baseline."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from itukg import names
from itukg.conformance.findings import (
    ACTORS,
    SEVERITIES,
    STATUSES,
    Finding,
    Row,
    Selection,
    check_known,
    counted,
    finding_of,
)
from itukg.errors import DataError, NotFound

MIN_LIKENESS = 0.6
"""How like an unknown thing, from 0 to 1, a thing must be to be named with the error."""


PLACES = "places"
"""The profile that asks for sections and lines."""
MIN_UNPLACED = 5
"""Violations of it that a hint needs: a line or two may be a slip."""


@dataclass(frozen=True)
class Share:
    """How many things of a plan satisfy a completeness rule."""

    plan: str | None
    covered: int
    total: int

    @property
    def percent(self) -> float:
        """The share that is covered, in percent with one decimal."""
        return round(100 * self.covered / self.total, 1)


@dataclass(frozen=True)
class Coverage:
    """How many things of a class have what a completeness shape requires, stated and not excused by a gap."""

    shape: str
    label: str
    plans: tuple[Share, ...]
    profile: str | None = None

    @property
    def covered(self) -> int:
        """How many things have what the shape requires."""
        return self.whole.covered

    @property
    def total(self) -> int:
        """How many things there are."""
        return self.whole.total

    @property
    def percent(self) -> float:
        """The share that is covered, in percent with one decimal."""
        return self.whole.percent

    @cached_property
    def whole(self) -> Share:
        """All plans together."""
        return Share(None, sum(s.covered for s in self.plans), sum(s.total for s in self.plans))

    def as_row(self) -> Row:
        """Return the JSON row, which HTTP clients rely on."""
        sums = {"covered": self.covered, "total": self.total, "percent": self.percent}
        plans = [asdict(share) | {"percent": share.percent} for share in self.plans]
        return {"shape": self.shape, "label": self.label, "profile": self.profile, **sums, "plans": plans}

    @classmethod
    def of(cls, row: Row) -> Self:
        """Read a row; older ones have no plans."""
        plans = row.get("plans") or [{"plan": None, "covered": row["covered"], "total": row["total"]}]
        shares = tuple(Share(p["plan"], p["covered"], p["total"]) for p in plans)
        return cls(row["shape"], row["label"], shares, row.get("profile"))


@dataclass(frozen=True)
class Rule:
    """An applied shape, whether or not it found anything."""

    shape: str
    label: str
    description: str
    profile: str | None
    severity: str
    actor: str
    nodes: int | None = None
    """The number of nodes that it looked at; None in a report of an older version."""


@dataclass(frozen=True)
class Header:
    """What was checked, and by which engine: enough to repeat the check and get the same report, except for the date."""

    subject: str = "data"
    """The release, or the file that was checked."""
    release: str | None = None
    itukg: str = ""
    data: str = ""
    """SHA-256 of the canonical N-Quads (RDFC-1.0) of the data, its context included; `shapes` likewise."""
    shapes: str = ""
    engine: Mapping[str, str] = field(default_factory=dict)
    """Name, version and SHA-256 of the engine."""
    profiles: tuple[Mapping[str, Any], ...] = ()
    """Name, label and definition of each group of shapes, and the `parts` of one that is made of others."""
    plans: tuple[str, ...] = ()
    unchecked: tuple[str, ...] | None = None
    """The things with a name of which no shape looked at any; None in a report of an older version."""
    unused: tuple[str, ...] = ()
    """The shapes that check nothing: they have no target, and no shape refers to them."""
    disallows: tuple[str, ...] = ("Violation",)
    """The severities that decide the verdict (SHACL 1.2, `sh:conformanceDisallows`): violations, and any of the shapes' own."""
    unverified: Mapping[str, str] = field(default_factory=dict)
    """The data files whose words were not found in the documents as they stand, and why."""
    policy: Mapping[str, str] = field(default_factory=lambda: dict(SEVERITIES))
    """What each severity of this report means, worst first."""
    date: str | None = None


@dataclass(frozen=True, eq=False)
class Report:
    """The outcome of one validation. The verdict goes by the severities that the header disallows; the SHACL graph follows the standard."""

    header: Header
    findings: tuple[Finding, ...]
    coverage: tuple[Coverage, ...]
    rules: tuple[Rule, ...]
    graph: bytes
    """The SHACL validation report in N-Triples, without `sh:conforms`, which follows from the findings."""
    baseline: Mapping[str, str | None] | None = None
    """Subject and date of the report that this one is compared with."""
    waivers: tuple[Row, ...] = ()
    """Each waiver with its effect: how many findings it `waives`, or its `problem`."""
    selection: Selection = field(default_factory=Selection)
    things: frozenset[str] | None = None
    """The things that were checked, with or without finding; None where unknown, and in no rendering."""

    @property
    def release(self) -> str | None:
        """The name of the checked release, if a release was checked."""
        return self.header.release

    @cached_property
    def listed(self) -> tuple[Finding, ...]:
        """The findings that the selection lists."""
        return tuple(finding for finding in self.findings if self.selection.lists(finding))

    @property
    def counts(self) -> dict[str, int]:
        """The number of findings that count, by severity, worst first."""
        found = Counter(finding.severity for finding in self.findings if finding.stands)
        return {severity: found[severity] for severity in self.header.policy}

    def counted(self, key: str, known: Iterable[str] = ()) -> dict[str, dict[str, int]]:
        """Return the numbers of findings that count, by `key`, then by severity; `known` groups come first and may be 0."""
        found = Counter((str(getattr(f, key) or ""), f.severity) for f in self.findings if f.stands)
        groups = dict.fromkeys([*known, *sorted({group for group, _ in found})])
        return {group: {severity: found[group, severity] for severity in self.header.policy} for group in groups}

    @property
    def summary(self) -> dict[str, dict[str, dict[str, int]]]:
        """The numbers of findings that count, by profile, plan and actor, then by severity."""
        chosen, header = self.selection, self.header
        groups = [p for p in header.profiles if not chosen.profile or p["name"] in chosen.profile]
        profiles = dict.fromkeys(part for p in groups for part in p.get("parts") or [p["name"]])
        plans = [plan for plan in header.plans if not chosen.plan or plan in chosen.plan]
        known = {"profile": profiles, "plan": plans, "actor": ACTORS}
        return {key: self.counted(key, groups) for key, groups in known.items()}

    @property
    def statuses(self) -> dict[str, int]:
        """The number of findings by status; empty without a comparison or waiver."""
        found = Counter(finding.status for finding in self.findings if finding.status)
        return {status: found[status] for status in STATUSES if self.baseline is not None or found[status]}

    @property
    def totals(self) -> str:
        """The counts as text: "0 violations, 157 warnings, 252 infos"."""
        return ", ".join(counted(n, severity) for severity, n in self.counts.items())

    @property
    def checked_nothing(self) -> bool:
        """Whether no shape of this report looked at any node and none found anything: then it says nothing about the data."""
        looked = any(rule.nodes for rule in self.rules) or any(finding.stands for finding in self.findings)
        return self.header.unchecked is not None and not looked

    @property
    def conforms(self) -> bool:
        """Whether the shapes looked at something, and no finding counts that decides the verdict."""
        decisive = any(finding.stands and finding.severity in self.header.disallows for finding in self.findings)
        return not decisive and not self.checked_nothing

    @property
    def verdict(self) -> str:
        """The verdict: "conforms", "does not conform", or "nothing-checked"."""
        if self.checked_nothing:
            return "nothing-checked"
        return "conforms" if self.conforms else "does not conform"

    @property
    def hint(self) -> str | None:
        """Which profile fits a plan that is still being written, if most violations ask for its sections and lines."""
        if self.release or self.selection.profile or self.selection.shape:
            return None
        decisive = [f for f in self.findings if f.stands and f.severity in self.header.disallows]
        unplaced = sum(f.profile == PLACES for f in decisive)
        if unplaced < MIN_UNPLACED or 2 * unplaced < len(decisive):
            return None
        return (
            f"{unplaced} of {counted(len(decisive), 'Violation')} ask for sections and lines. If the document is still being "
            "written and has none, check it with the profile preparation."
        )

    def dated(self, date: str) -> "Report":
        """Return this report with its date (ISO 8601, UTC)."""
        return replace(self, header=replace(self.header, date=date))

    def with_unverified(self, files: Mapping[str, str]) -> "Report":
        """Return this report, which names the data `files` whose words were not checked against the documents, and why."""
        return replace(self, header=replace(self.header, unverified=dict(files)))

    def joined(self, other: "Report") -> "Report":
        """Return this report with the findings of `other` too."""
        findings = tuple(sorted(self.findings + other.findings, key=lambda finding: finding.order))
        graph = b"".join(sorted({*self.graph.splitlines(keepends=True), *other.graph.splitlines(keepends=True)}))
        return replace(self, findings=findings, graph=graph)

    def compared(self, older: Row) -> "Report":
        """Compare with the rows of an older report: findings become new or persisting, and fixed ones are added."""
        before = {row["id"]: row for row in older["findings"] if row.get("status") != "fixed"}
        now = {finding.id for finding in self.findings}
        found = [
            finding if finding.status else replace(finding, status="persisting" if finding.id in before else "new")
            for finding in self.findings
        ]
        found += [
            finding_of(row | {"status": "fixed", "waiver": None}) for key, row in before.items() if key not in now
        ]
        header = older.get("header") or {"subject": older["release"] or "data", "date": None}
        against = {"subject": header["subject"], "date": header["date"]}
        return replace(self, findings=tuple(sorted(found, key=lambda finding: finding.order)), baseline=against)

    def selected(self, selection: Selection) -> "Report":
        """Return the selected part of this report. Raises NotFound for a profile, plan, shape, thing or severity that it has not."""
        parts = {p["name"]: p.get("parts") or [p["name"]] for p in self.header.profiles}
        check_known("profile", selection.profile, parts, NotFound)
        plans = {*self.header.plans, *(f.plan for f in self.findings if f.plan)}
        check_known("plan", selection.plan, sorted(plans), NotFound)
        shapes = {*(rule.shape for rule in self.rules), *(finding.shape for finding in self.findings)}
        check_known("shape", selection.shape, sorted(shapes), NotFound)
        check_known("severity", selection.severity, [*self.header.policy], NotFound)
        self._check_things(selection.focus)
        scope = replace(selection, profile=tuple(part for name in selection.profile for part in parts[name]))
        coverage = []
        for each in self.coverage:
            shares = tuple(s for s in each.plans if not selection.plan or s.plan in selection.plan)
            wanted = (each.profile, scope.profile), (each.shape, selection.shape)
            if shares and not selection.focus and all(not chosen or value in chosen for value, chosen in wanted):
                coverage.append(replace(each, plans=shares))
        rules = [
            rule
            for rule in self.rules
            if (not scope.profile or rule.profile in scope.profile)
            and (not selection.shape or rule.shape in selection.shape)
        ]
        if selection.focus and self.header.unchecked is not None and {*selection.focus} <= {*self.header.unchecked}:
            rules = [replace(rule, nodes=0) for rule in rules]
        findings = tuple(filter(scope.covers, self.findings))
        return replace(self, findings=findings, coverage=tuple(coverage), rules=tuple(rules), selection=selection)

    def _check_things(self, given: Iterable[str]) -> None:
        if self.things is None:
            return
        known = self.things.union(finding.focus for finding in self.findings)
        for iri in given:
            if iri not in known:
                near = get_close_matches(names.shorten(iri), map(names.shorten, known), cutoff=MIN_LIKENESS)
                nearest = f"; the nearest: {', '.join(near)}" if near else ""
                raise NotFound(f'The data that was checked has no thing "{names.shorten(iri)}"{nearest}.')

    def as_rows(self) -> Row:
        """Return the report as its JSON document, which HTTP clients rely on."""
        return {
            "release": self.release,
            "header": asdict(self.header),
            "baseline": self.baseline,
            "selection": self.selection.as_row(),
            "verdict": self.verdict,
            "counts": self.counts,
            "summary": self.summary,
            "statuses": self.statuses,
            "hint": self.hint,
            "coverage": [each.as_row() for each in self.coverage],
            "rules": [asdict(rule) for rule in self.rules],
            "waivers": list(self.waivers),
            "findings": [asdict(finding) for finding in self.listed],
        }

    @classmethod
    def from_rows(cls, rows: Row, graph: bytes) -> "Report":
        """Rebuild a report from `as_rows`, of an older version too, and its SHACL graph in N-Triples."""
        header = rows.get("header") or {"subject": rows["release"] or "data", "release": rows["release"]}
        known = {f.name: header[f.name] for f in fields(Header) if f.name in header}
        known |= {name: tuple(known.get(name, ())) for name in ("profiles", "plans")}
        known |= {
            name: tuple(known[name]) for name in ("unchecked", "unused", "disallows") if known.get(name) is not None
        }
        return cls(
            Header(**known),
            tuple(map(finding_of, rows["findings"])),
            tuple(map(Coverage.of, rows["coverage"])),
            tuple(Rule(**row) for row in rows.get("rules", ())),
            graph,
        )


@dataclass(frozen=True)
class HistoryRow:
    """A row of the history: a release with its verdict, and how many findings are new or fixed since the one before."""

    release: str
    built: str
    verdict: str
    violations: int
    warnings: int
    infos: int
    new: int | None
    fixed: int | None


def now() -> str:
    """Return the current time in the format of reports: ISO 8601, UTC, to the second."""
    return moment(datetime.now(UTC))


def moment(time: datetime) -> str:
    """Return a time in UTC in the format of reports."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def read_baseline(file: Path, selection: Selection | None = None) -> Row:
    """Read the rows of a whole report, or of one on the part that `selection` checks. Raises DataError for any other file."""
    how = "write one with: itukg check --format json -o FILE"
    try:
        rows: Row = json.loads(file.read_bytes())
        findings = sorted(map(finding_of, rows["findings"]), key=lambda finding: finding.order)
        rows |= {"findings": list(map(asdict, findings)), "release": rows["release"]}
    except OSError as error:
        raise DataError(f"The baseline {file}: {error.strerror}; {how}") from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise DataError(f"The baseline {file} is not a report in JSON; {how}") from None
    checked = {name: chosen for name, chosen in (selection or Selection()).as_row().items() if name in Selection.SCOPE}
    if (rows.get("selection") or checked) != checked:
        raise DataError(
            f"The baseline {file} is part of a report ({rows['selection']}), and the findings that it leaves out would count as new; {how}"
        )
    return rows
