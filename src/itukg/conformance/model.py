"""The model of a report: what was checked, by which engine, what was found, and how that compares with a baseline."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from itukg import names
from itukg.errors import BadRequest, DataError, NotFound

Row = dict[str, Any]

SEVERITIES = {
    "Violation": "A fault of the graph or of the data checked. It decides the verdict, and ours is not published with one.",
    "Warning": "The document leaves a gap or holds a defect, or the text copy that was read lacks something. It is published, so that it can be seen and mended.",
    "Info": "Wording and form, for the next edition.",
}
"""The severities of SHACL, worst first, and what each means in this project."""

ACTORS = {"us": "us", "document": "the document", "referenceData": "the reference data"}
"""Who can act on a finding: those who enter the data, edit the document, or maintain the code lists."""

STATUSES = {
    "new": "Not in the baseline.",
    "persisting": "In the baseline too.",
    "fixed": "In the baseline only: it is listed but not counted.",
    "waived": "Accepted for a reason, until a day: it is listed but not counted.",
}
"""How a finding compares with a baseline, and whether it is waived."""


@dataclass(frozen=True)
class Finding:
    """One result, with what an auditor needs to act on it. Fields are named as in the JSON rows; None where unknown.

    `id` is a hash of shape, focus, path and value, so that it survives rewording. `status` is one of STATUSES, or None
    without a comparison.
    """

    id: str
    severity: str
    profile: str | None
    shape: str
    shapeLabel: str | None  # noqa: N815  (the row's key)
    focus: str
    focusLabel: str | None  # noqa: N815
    notation: str | None
    plan: str | None
    path: str | None
    value: str | None
    message: str
    cure: str | None
    quote: str | None
    document: str | None
    section: str | None
    line: int | None
    status: str | None = None
    actor: str = "us"
    file: str | None = None
    """The data file that describes the focus."""
    waiver: str | None = None
    """The reason of its waiver."""

    @property
    def stands(self) -> bool:
        """Whether it counts: whether it is neither fixed nor waived."""
        return self.status not in ("fixed", "waived")

    @property
    def order(self) -> tuple[int, str, str, str, int, str, str, str]:
        """The sort key of findings: worst first, then by rule, then by place."""
        place = self.shape, self.document or "", self.line or 0, self.focus, self.value or "", self.id
        return list(SEVERITIES).index(self.severity), self.profile or "", *place


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
    profiles: tuple[Mapping[str, str], ...] = ()
    """Name, label and definition of each group of shapes."""
    plans: tuple[str, ...] = ()
    policy: Mapping[str, str] = field(default_factory=lambda: dict(SEVERITIES))
    date: str | None = None


@dataclass(frozen=True)
class Selection:
    """The requested part of a report. Several values of a field are alternatives; a field without values selects all.

    Profile, plan, shape and focus limit what is checked: verdict, counts and coverage are of that part. Severity, actor,
    status and q limit which findings are listed, and leave the verdict as it is.
    """

    profile: tuple[str, ...] = ()
    plan: tuple[str, ...] = ()
    shape: tuple[str, ...] = ()
    focus: tuple[str, ...] = ()
    severity: tuple[str, ...] = ()
    actor: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    q: tuple[str, ...] = ()

    SCOPE = ("profile", "plan", "shape", "focus")
    IRIS = ("shape", "focus")

    def __post_init__(self) -> None:
        """Expand abbreviated IRIs. Raises BadRequest for values that no report can have."""
        for name in self.IRIS:
            prefix = names.PREFIXES["itush"] if name == "shape" else ""
            given = (text if ":" in text else prefix + text for text in getattr(self, name))
            object.__setattr__(self, name, tuple(names.expand(text) for text in given))
        for name, known in (("severity", SEVERITIES), ("actor", ACTORS), ("status", STATUSES)):
            _check_known(name, getattr(self, name), known)

    @classmethod
    def of(cls, given: Mapping[str, Iterable[str]]) -> Self:
        """Read a selection from query parameters or options; empty values count as absent."""
        return cls(**{f.name: tuple(text for text in given.get(f.name, ()) if text) for f in fields(cls)})

    def as_row(self) -> dict[str, list[str]]:
        """Return the selected values, by field."""
        return {f.name: list(chosen) for f in fields(self) if (chosen := getattr(self, f.name))}

    def covers(self, finding: Finding) -> bool:
        """Whether a finding belongs to the checked part."""
        return all(getattr(finding, name) in chosen for name in self.SCOPE if (chosen := getattr(self, name)))

    def lists(self, finding: Finding) -> bool:
        """Whether a finding is to be listed."""
        for name in ("severity", "actor", "status"):
            if (chosen := getattr(self, name)) and getattr(finding, name) not in chosen:
                return False
        texts = " ".join(str(value) for value in asdict(finding).values() if value is not None).casefold()
        return not self.q or any(text.casefold() in texts for text in self.q)


@dataclass(frozen=True, eq=False)
class Report:
    """The outcome of one validation. The verdict counts violations; the SHACL graph follows the standard."""

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
        return {severity: found[severity] for severity in SEVERITIES}

    def counted(self, key: str, known: Iterable[str] = ()) -> dict[str, dict[str, int]]:
        """Return the numbers of findings that count, by `key`, then by severity; `known` groups come first and may be 0."""
        found = Counter((str(getattr(f, key) or ""), f.severity) for f in self.findings if f.stands)
        groups = dict.fromkeys([*known, *sorted({group for group, _ in found})])
        return {group: {severity: found[group, severity] for severity in SEVERITIES} for group in groups}

    @property
    def summary(self) -> dict[str, dict[str, dict[str, int]]]:
        """The numbers of findings that count, by profile, plan and actor, then by severity."""
        chosen, header = self.selection, self.header
        profiles = [p["name"] for p in header.profiles if not chosen.profile or p["name"] in chosen.profile]
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
        return ", ".join(f"{n} {severity.lower()}{'' if n == 1 else 's'}" for severity, n in self.counts.items())

    @property
    def conforms(self) -> bool:
        """Whether no violation counts."""
        return self.counts["Violation"] == 0

    @property
    def verdict(self) -> str:
        """The verdict: "conforms" or "does not conform"."""
        return "conforms" if self.conforms else "does not conform"

    def dated(self, date: str) -> "Report":
        """Return this report with its date (ISO 8601, UTC)."""
        return replace(self, header=replace(self.header, date=date))

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
            _finding_of(row | {"status": "fixed", "waiver": None}) for key, row in before.items() if key not in now
        ]
        header = older.get("header") or {"subject": older["release"] or "data", "date": None}
        against = {"subject": header["subject"], "date": header["date"]}
        return replace(self, findings=tuple(sorted(found, key=lambda finding: finding.order)), baseline=against)

    def selected(self, selection: Selection) -> "Report":
        """Return the selected part of this report. Raises NotFound for a profile or plan that it does not have."""
        profiles = [p["name"] for p in self.header.profiles]
        _check_known("profile", selection.profile, profiles, NotFound)
        plans = {*self.header.plans, *(f.plan for f in self.findings if f.plan)}
        _check_known("plan", selection.plan, sorted(plans), NotFound)
        coverage = []
        for each in self.coverage:
            shares = tuple(s for s in each.plans if not selection.plan or s.plan in selection.plan)
            wanted = (each.profile, selection.profile), (each.shape, selection.shape)
            if shares and not selection.focus and all(not chosen or value in chosen for value, chosen in wanted):
                coverage.append(replace(each, plans=shares))
        rules = [
            rule
            for rule in self.rules
            if (not selection.profile or rule.profile in selection.profile)
            and (not selection.shape or rule.shape in selection.shape)
        ]
        findings = tuple(filter(selection.covers, self.findings))
        return replace(self, findings=findings, coverage=tuple(coverage), rules=tuple(rules), selection=selection)

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
        return cls(
            Header(**known),
            tuple(map(_finding_of, rows["findings"])),
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


def read_baseline(file: Path) -> Row:
    """Read the rows of a whole report. Raises DataError for any other file."""
    how = "write one with: itukg check --format json -o FILE"
    try:
        rows: Row = json.loads(file.read_bytes())
        findings = sorted(map(_finding_of, rows["findings"]), key=lambda finding: finding.order)
        rows |= {"findings": list(map(asdict, findings)), "release": rows["release"]}
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise DataError(f"{file} is not a report in JSON; {how}") from None
    if rows.get("selection"):
        raise DataError(
            f"{file} is part of a report ({rows['selection']}), and the findings that it leaves out would count as new; {how}"
        )
    return rows


def _finding_of(row: Row) -> Finding:
    """Read the row of a finding; rows of older versions have fewer keys."""
    needed = {key: str(row[key]) for key in ("id", "severity", "shape", "focus", "message")}
    known = {f.name: row.get(f.name) for f in fields(Finding)} | needed
    known["actor"] = known["actor"] or actor_by(needed["severity"])
    return Finding(**known)  # type: ignore[arg-type]


def actor_by(severity: str) -> str:
    """Return who can act on a finding whose rule does not say so."""
    return "us" if severity == "Violation" else "document"


def _check_known(
    name: str, given: Collection[str], known: Collection[str], error: type[BadRequest | NotFound] = BadRequest
) -> None:
    if unknown := [text for text in given if text not in known]:
        raise error(f'No {name} "{unknown[0]}"; known: {", ".join(known)}.')
