"""Files of proposals: read for all who use one, and written into a release as mapping sets."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from itukg import names
from itukg.errors import DataError
from itukg.formats import SSSOM, SSSOM_JSONLD
from itukg.release.mappings import PROPOSED
from itukg.release.void import RIGHTS
from itukg.sssom import MappingSet, read_tsv, write_jsonld, write_tsv
from itukg.sssom.model import declared

OPEN, ACCEPTED = "open", "accepted"
STATES = (OPEN, ACCEPTED, "rejected", "unsure")
"""What a curator says of a candidate; all are open first."""
NOTHING = "sssom:NoTermFound"
"""The object of a row that says that there is no ground for any."""
THING = "itukg"
"""The prefix of things in the file."""
CURIE_MAP = {THING: names.THINGS, "proposal": f"{names.DATASET}#proposal-"} | {
    prefix: names.PREFIXES[prefix] for prefix in ("itu", "sdg")
}
"""The prefixes of the file."""
EXTENSIONS = {name: f"proposal:{name}" for name in ("grounds", "rank", "state", "strength")}
"""What SSSOM has no slot for: column → property."""

Row = dict[str, str]
Key = tuple[str, str, str]
_ENDS = ("subject_id", "predicate_id", "object_id")


@dataclass(frozen=True)
class Proposals:
    """What a file of proposals says: each row once, and the line on which it begins."""

    path: Path
    metadata: dict[str, object]
    rows: dict[Key, Row]
    lines: dict[Key, int]

    @property
    def plan(self) -> str:
        """The plan, by the name of the file."""
        return self.path.name.removesuffix(SSSOM.suffix)


def read_proposals(path: Path) -> Proposals:
    """Read a file of proposals: cells without blanks around them, identifiers as we write them, no state as `open`.

    Of a row that stands twice, a decided one counts before an open one. Raises DataError that names, with their lines, rows
    with an unknown state, negated rows and rows that stand twice in different ways, and prefixes and columns of ours that the
    head of the file gives another meaning.
    """
    said = read_tsv(path, strip=True)
    _check_head(path, said.metadata)
    namespaces = declared(said.metadata)
    rows: dict[Key, Row] = {}
    lines: dict[Key, int] = {}
    problems = []
    for line, cells in zip(said.lines, said.rows, strict=True):
        row = {"state": OPEN} | cells | {name: _written(cells[name], namespaces) for name in _ENDS}
        key = key_of(row)
        problem = _problem(row)
        if key not in rows or rows[key]["state"] == OPEN != row["state"]:
            rows[key], lines[key] = row, line
        elif row != rows[key] and (row["state"] != OPEN or rows[key]["state"] == OPEN):
            problem = problem or f"stands on line {lines[key]} too, with other cells; keep one of the two."
        if problem:
            problems.append(f"{path}, line {line}: {' '.join(key)}: {problem}")
    refuse(problems)
    return Proposals(path, said.metadata, rows, lines)


def refuse(problems: Iterable[str]) -> None:
    """Raise DataError with all problems, if there are any."""
    if found := [*problems]:
        raise DataError("\n".join(["nothing was written.", *found]))


def key_of(row: Row) -> Key:
    """Return what identifies a row: subject, predicate and object."""
    return row["subject_id"], row["predicate_id"], row["object_id"]


def curie(iri: str) -> str:
    """Return an IRI as the file has it: `itukg:` and a path below `/id/`, or a prefixed name."""
    short = names.shorten(iri)
    return f"{THING}:{short}" if iri.startswith(names.THINGS) else short


def iri_of(curie_: str) -> str:
    """Return the IRI that `curie` shortened."""
    return names.expand(curie_.removeprefix(f"{THING}:"))


def _written(identifier: str, namespaces: Mapping[str, str]) -> str:
    """Return an identifier of the file as `curie` writes its IRI, so that all spellings of one are alike."""
    prefix, _, local = identifier.partition(":")
    iri = namespaces[prefix] + local
    if iri == names.SSSOM + NOTHING.partition(":")[2]:
        return NOTHING
    iri = names.expand(iri.removeprefix(names.THINGS)) if iri.startswith(names.THINGS) else iri
    short = curie(iri)
    return short if short != iri else identifier


def _check_head(path: Path, metadata: Mapping[str, object]) -> None:
    ours = names.PREFIXES | CURIE_MAP
    for prefix, namespace in declared(metadata).items():
        if ours.get(prefix, namespace) != namespace:
            raise DataError(
                f"{path}: the curie_map has {prefix} as <{namespace}>; it is <{ours[prefix]}>. Correct it, or use another prefix."
            )
    for name, definition in definitions(metadata).items():
        if EXTENSIONS.get(name, definition["property"]) != definition["property"]:
            raise DataError(f"{path}: the property of {name} is {EXTENSIONS[name]}. Correct it, or rename the column.")


def definitions(metadata: Mapping[str, object]) -> dict[str, dict[str, str]]:
    """Return the definitions of extension slots in the head of a file, by the name of the slot."""
    given = metadata.get("extension_definitions", [])
    assert isinstance(given, list)
    return {each["slot_name"]: each for each in given}


def _problem(row: Row) -> str:
    if row["state"] not in STATES:
        return f'no state "{row["state"]}"; use {", ".join(STATES)}.'
    if "predicate_modifier" in row:
        return "a proposal is of a link that holds; clear predicate_modifier, and set state to rejected if it does not hold."
    return ""


def write_proposals(folder: Path, files: Iterable[Proposals], release: str) -> None:
    """Write each file of proposals into `folder`, as `proposals-<plan>.sssom.tsv` and `proposals-<plan>.sssom.jsonld`."""
    for each in files:
        name = f"{PROPOSED}{each.plan}"
        states = Counter(row["state"] for row in each.rows.values())
        counted = ", ".join(f"{states[state]} {state}" for state in STATES)
        comment = (
            f"{RIGHTS} {len(each.rows)} rows: {counted}. A proposal is no link; the graph has those that were accepted."
        )
        metadata = each.metadata | {
            "mapping_set_id": f"{names.DATA}{release}/{name}{SSSOM.suffix}",
            "mapping_set_version": release,
            "comment": " ".join(filter(None, (str(each.metadata.get("comment", "")), comment))),
        }
        mappings = MappingSet(metadata, [*each.rows.values()])
        for syntax, write in ((SSSOM, write_tsv), (SSSOM_JSONLD, write_jsonld)):
            (folder / f"{name}{syntax.suffix}").write_bytes(write(mappings))
