"""Waivers: findings that someone accepts, with a reason, a role and a last day, all of which are checked."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from itukg import names
from itukg.conformance.findings import Finding, Row, decides
from itukg.conformance.model import Report
from itukg.errors import DataError

_TEXT_KEYS = ("finding", "shape", "focus", "reason", "owner")


@dataclass(frozen=True)
class Waiver:
    """One `[[waiver]]` of a file: it names a finding by its id, or a shape and a thing."""

    reason: str
    owner: str
    """The role, not the name, of the person who accepts the finding."""
    expires: date
    """The last day of the waiver."""
    finding: str | None = None
    shape: str | None = None
    focus: str | None = None

    def meets(self, finding: Finding) -> bool:
        """Whether it names this finding."""
        if self.finding:
            return finding.id == self.finding
        return (finding.shape, finding.focus) == (self.shape, self.focus)


def read_waivers(file: Path) -> list[Waiver]:
    """Read a file of waivers (TOML). Raises DataError, naming the entry, for an incomplete waiver."""
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}") from None
    except ValueError as error:  # not TOML, or not UTF-8
        raise DataError(f"{file}: {error}") from None
    entries = document.pop("waiver", [])
    if document or not isinstance(entries, list):
        raise DataError(f"{file}: expected only [[waiver]] blocks, found {', '.join(document) or 'waiver'}.")
    return [_read(entry, f"{file}, waiver {number}") for number, entry in enumerate(entries, 1)]


def waived(report: Report, waivers: Iterable[Waiver], *, published: bool = False) -> Report:
    """Return the report with these waivers applied as of its date, and the effect of each.

    In `published` data, a violation cannot be waived: it must be mended.
    """
    assert report.header.date is not None
    today = datetime.fromisoformat(report.header.date).date()
    reasons: dict[str, str] = {}
    rows = []
    for waiver in waivers:
        met = [finding for finding in report.findings if waiver.meets(finding)]
        open_ = [f for f in met if not (published and decides(f.severity))]
        problem = None
        if not met:
            problem = "Unknown: it meets no finding. Take it out if the finding is mended."
        elif waiver.expires < today:
            problem = f"Expired on {waiver.expires}: mend the finding, or decide again."
        elif not open_:
            problem = "A violation of our own data cannot be waived: mend it."
        else:
            reasons |= {finding.id: waiver.reason for finding in open_}
        named = {"finding": waiver.finding, "shape": waiver.shape, "focus": waiver.focus}
        terms = {"reason": waiver.reason, "owner": waiver.owner, "expires": waiver.expires.isoformat()}
        rows.append({**named, **terms, "waives": 0 if problem else len(open_), "problem": problem})
    findings = tuple(
        replace(finding, status="waived", waiver=reasons[finding.id]) if finding.id in reasons else finding
        for finding in report.findings
    )
    return replace(report, findings=findings, waivers=tuple(rows))


def _read(entry: Any, where: str) -> Waiver:
    if not isinstance(entry, dict):
        raise DataError(f"{where}: write it as a [[waiver]] block.")
    if unknown := entry.keys() - {*_TEXT_KEYS, "expires"}:
        raise DataError(f"{where}: no key {', '.join(sorted(unknown))}; known: {', '.join(_TEXT_KEYS)}, expires.")
    texts = {key: entry.get(key) for key in _TEXT_KEYS}
    for key, text in texts.items():
        if text is not None and not (isinstance(text, str) and text.strip()):
            raise DataError(f"{where}: {key} must be a string that is not empty.")
    for key in ("reason", "owner"):
        if texts[key] is None:
            raise DataError(f"{where} has no {key}: write why the finding is accepted, and in which role.")
    expires = entry.get("expires")
    if not isinstance(expires, date) or isinstance(expires, datetime):
        raise DataError(f"{where}: expires must be a date, such as expires = 2027-06-30.")
    if [key for key in ("finding", "shape", "focus") if texts[key]] not in (["finding"], ["shape", "focus"]):
        raise DataError(f"{where}: name a finding by its id, or a shape and a focus.")
    iris = {key: None if texts[key] is None else names.expand(str(texts[key])) for key in ("shape", "focus")}
    return Waiver(str(texts["reason"]), str(texts["owner"]), expires, texts["finding"], **iris)


def target_of(row: Row) -> str:
    """Return what the waiver in a row of a report waives: a finding by its id, or a shape and a thing."""
    return row["finding"] or f"{names.shorten(row['shape'])} on {names.shorten(row['focus'])}"
