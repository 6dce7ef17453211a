"""Decisions in a file of proposals, each saved at once: the rest of the file stays, and what others changed is not overwritten."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from math import isfinite
from pathlib import Path

from itukg.corpus import replace_file
from itukg.errors import BadRequest, Conflict, NotFound
from itukg.proposals.accept import locked
from itukg.proposals.propose import CURATORS, head_of
from itukg.rdf.jsonld import natural
from itukg.release.proposals import NOTHING, OPEN, STATES, Key, Proposals, Row, key_of, read_proposals
from itukg.sssom import MappingSet, write_tsv

ORDERS = ("subject", "strength")
"""How candidates are sorted: as the plan has their subjects, or the strongest first."""


@dataclass(eq=False)
class Decisions:
    """A file of proposals that a curator decides in a role."""

    path: Path
    role: str
    found: Proposals = field(init=False)
    version: str = field(init=False)
    """The SHA-256 of the file as it was last read or written here."""
    _ours: set[str] = field(init=False, default_factory=set)
    """The versions since the file was last changed by somebody else."""
    _before: list[tuple[Key, Row]] = field(init=False, default_factory=list)
    """What each decision has changed, the last one at the end."""

    def __post_init__(self) -> None:
        """Read the file. Raises DataError for one that `read_proposals` refuses."""
        self._read()

    def refresh(self) -> None:
        """Read the file again if somebody else has changed it."""
        if self._now() != self.version:
            self._read()

    @property
    def counts(self) -> Counter[str]:
        """How many candidates there are of each state."""
        return Counter(row["state"] for row in self.found.rows.values() if row["object_id"] != NOTHING)

    @property
    def can_undo(self) -> bool:
        """Whether there is a decision to undo."""
        return bool(self._before)

    def candidates(self, state: str = "", order: str = ORDERS[0]) -> list[Row]:
        """Return the candidates of a state, or all, in one of ORDERS."""
        rows = [r for r in self.found.rows.values() if r["object_id"] != NOTHING and state in ("", r["state"])]
        rows.sort(
            key=lambda row: (*map(natural, key_of(row)[:2]), _number(row.get("rank", "0")), natural(row["object_id"]))
        )
        return sorted(rows, key=lambda row: -_number(row.get("strength", "0"))) if order == ORDERS[1] else rows

    def named(self, name: str) -> Row:
        """Return the candidate of this name. Raises NotFound."""
        for row in self.found.rows.values():
            if name_of(row) == name:
                return row
        raise NotFound("This candidate is not in the file any more. Go on with those that are.")

    def decide(self, name: str, state: str, comment: str, version: str) -> None:
        """Give a candidate a state, with role and day; `version` is the file as the curator has seen it.

        Raises Conflict, and writes nothing, where somebody else has changed the file since.
        """
        if state not in STATES:
            raise BadRequest(f'No state "{state}"; known: {", ".join(STATES)}.')
        row = self.named(name)
        role = {} if state == OPEN else {"reviewer_label": self.role, "review_date": date.today().isoformat()}  # noqa: DTZ011  (the curator's day)
        said = {"comment": words} if (words := one_line(comment)) else {}
        kept = {column: text for column, text in row.items() if column not in CURATORS}
        self._save(row, kept | {"state": state} | role | said, version)
        self._before.append((key_of(row), row))

    def undo(self, version: str) -> str:
        """Take the last decision back, and return the name of its candidate. Raises as `decide` does."""
        if not self._before:
            raise BadRequest("There is nothing to undo: nothing was decided here since the file was read.")
        key, row = self._before[-1]
        self._save(self.found.rows[key], row, version)
        self._before.pop()
        return name_of(row)

    def _save(self, before: Row, after: Row, version: str) -> None:
        with locked(self.path.parent):
            if version not in self._ours or self._now() != self.version:
                raise Conflict(
                    f"Somebody else has changed {self.path.name} since this page was made. Nothing was written: look at the "
                    "candidate as it is now, and decide again."
                )
            rows = self.found.rows | {key_of(before): after}
            head = head_of(self.found.plan, self.found.metadata)
            content = write_tsv(MappingSet(head, [*rows.values()]), keep=CURATORS)
            replace_file(self.path, content)
        self.found.rows[key_of(before)] = after
        self.version = sha256(content).hexdigest()
        self._ours.add(self.version)

    def _read(self) -> None:
        version = self._now()  # before it is read: what is written meanwhile is a change by somebody else
        self.found = read_proposals(self.path)
        self.version, self._ours, self._before = version, {version}, []

    def _now(self) -> str:
        """Return the SHA-256 of the file as it is; "" where it is gone."""
        return sha256(self.path.read_bytes()).hexdigest() if self.path.is_file() else ""


def name_of(row: Row) -> str:
    """Return what a candidate goes by in addresses: the same as long as its link is."""
    return sha256(" ".join(key_of(row)).encode()).hexdigest()[:16]


def one_line(text: str) -> str:
    """Return text without line breaks, and without characters that nobody sees."""
    return "".join(character for character in " ".join(text.split()) if character.isprintable())


def _number(text: str) -> float:
    """Return a number of a row, or 0 for what is none: it only orders the rows."""
    try:
        number = float(text)
    except ValueError:
        return 0.0
    return number if isfinite(number) else 0.0
