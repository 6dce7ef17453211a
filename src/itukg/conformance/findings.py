"""A finding, how bad it is, who can act on it, and which of them a reader chooses."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from itukg import names
from itukg.errors import BadRequest, NotFound

Row = dict[str, Any]

SEVERITIES = {
    "Violation": "A fault of the graph or of the data checked. It decides the verdict, and ours is not published with one.",
    "Warning": "The document leaves a gap or holds a defect, or the text copy that was read lacks something. It is published, so that it can be seen and mended.",
    "Info": "Wording and form, for the next edition.",
}
"""The severities of SHACL, worst first, and what each means in this project."""

_RANKS = {"Violation": 0, "Warning": 2, "Info": 3, "Debug": 4, "Trace": 5}
"""The severities of SHACL 1.2 in order, worst first."""
_RANK_OF_OTHERS = 1
"""Shapes may have severities of their own, whose rank is unknown: next to violations, and none passes in silence."""

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

    `severity` is one of SEVERITIES or another of SHACL, without namespace, or the IRI of a severity of the shapes' own.
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
    language: str | None = None
    """The language tag of its message."""

    @property
    def statement(self) -> str:
        """What was found: the message without its end, which is the cure."""
        found = self.message.removesuffix(self.cure or "").rstrip(": ")
        return f"{found}." if self.cure and found and found[-1] not in ".!?" else found or self.message

    @property
    def stands(self) -> bool:
        """Whether it counts: whether it is neither fixed nor waived."""
        return self.status not in ("fixed", "waived")

    @property
    def order(self) -> tuple[int, str, str, str, int, str, str, str]:
        """The sort key of findings: worst first, then by rule, then by place."""
        place = self.shape, self.document or "", self.line or 0, self.focus, self.value or "", self.id
        return _RANKS.get(self.severity, _RANK_OF_OTHERS), self.profile or "", *place


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
        check_known("severity", [text for text in self.severity if ":" not in text], _RANKS)
        for name, known in (("actor", ACTORS), ("status", STATUSES)):
            check_known(name, getattr(self, name), known)

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
        if not self.q:
            return True
        texts = " ".join(str(value) for value in vars(finding).values() if value is not None).casefold()
        return any(text.casefold() in texts for text in self.q)


def finding_of(row: Row) -> Finding:
    """Read the row of a finding; rows of older versions have fewer keys."""
    needed = {key: str(row[key]) for key in ("id", "severity", "shape", "focus", "message")}
    known = {f.name: row.get(f.name) for f in fields(Finding)} | needed
    known["actor"] = known["actor"] or actor_by(needed["severity"])
    return Finding(**known)  # type: ignore[arg-type]


def severity_of(iri: str) -> str:
    """Return how reports name a severity: those of SHACL without namespace, any other by its IRI."""
    name = iri.removeprefix(names.SH)
    return name if name in _RANKS else iri


def iri_of(severity: str) -> str:
    """Return the IRI of a severity, given as reports name it."""
    return names.SH + severity if severity in _RANKS else severity


def decides(severity: str) -> bool:
    """Return whether a finding of this severity makes the verdict "does not conform"."""
    return _RANKS.get(severity, _RANK_OF_OTHERS) <= _RANK_OF_OTHERS


def meanings(severities: Iterable[str]) -> dict[str, str]:
    """Return what each severity means: SEVERITIES first, then those of `severities` that are others."""
    effect = {True: "it decides the verdict, as a violation does.", False: "it leaves the verdict as it is."}
    others = sorted(set(severities) - SEVERITIES.keys())
    return SEVERITIES | {severity: f"A severity of the shapes: {effect[decides(severity)]}" for severity in others}


def counted(number: int, severity: str) -> str:
    """Return a number of findings as text, such as "2 warnings"."""
    return f"{number} {severity}" if ":" in severity else f"{number} {severity.lower()}{'' if number == 1 else 's'}"


def actor_by(severity: str) -> str:
    """Return who can act on a finding whose rule does not say so."""
    return "us" if decides(severity) else "document"


def check_known(
    name: str, given: Collection[str], known: Collection[str], error: type[BadRequest | NotFound] = BadRequest
) -> None:
    """Raise an error, which names those known, for a given value that is none of them."""
    if unknown := [text for text in given if text not in known]:
        raise error(f'No {name} "{unknown[0]}"; known: {", ".join(known)}.')
