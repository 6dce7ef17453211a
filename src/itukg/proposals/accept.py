"""What acceptance writes: judged Linkages with rationale, role and date, each beside its plain triple."""

import fcntl
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import pyoxigraph as ox

from itukg import names
from itukg.corpus import Corpus, merged, replace_file
from itukg.errors import DataError
from itukg.proposals.grounds import RANGES
from itukg.proposals.propose import MAPPINGS, NO_GROUND
from itukg.rdf.parse import read_rdf
from itukg.release.derive import entail
from itukg.release.proposals import ACCEPTED, NOTHING, Row, iri_of, key_of, read_proposals, refuse

_RDFS, _SKOS, _DCTERMS = (names.PREFIXES[prefix] for prefix in ("rdfs", "skos", "dcterms"))
_LABEL, _DATE = ox.NamedNode(_RDFS + "label"), ox.NamedNode(_DCTERMS + "date")
_TYPE = ox.NamedNode(names.RDF_TYPE)
_LINKAGE, _GRAPH = ox.NamedNode(names.ITU + "Linkage"), ox.NamedNode(names.graph(MAPPINGS))
_LINK = tuple(names.ITU + name for name in ("subject", "predicate", "object"))

Value = ox.NamedNode | ox.Literal
Properties = dict[str, Value]
"""What a Linkage says: property → its value."""
ORDER = (
    *(names.RDF_TYPE, _SKOS + "notation", _RDFS + "label", names.ITU + "ownWords", *_LINK),
    *(names.ITU + name for name in ("basis", "rationale", "curatorRole")),
    _DCTERMS + "date",
)
"""What a Linkage says, in this order."""
HEAD = """\
# What curators accepted. "itukg accept" writes this file whole: comments and anything else written into it are lost or
# refused. Decisions are edited in the files of data/proposals/.
"""


@dataclass(frozen=True)
class Accepted:
    """How many links acceptance added to its file and removed from it, and how many there are now."""

    path: Path
    added: int
    removed: int
    total: int
    elsewhere: tuple[str, ...]
    """The accepted links, of the plans of the file, of which the file has no row, and which stay."""


def accept(corpus: Corpus, path: Path, *, prune: bool = False) -> Accepted:
    """Write the links that a file of proposals accepts into `data/mappings.ttl`, and take out those that it accepts no longer.

    Links of which the file has no row stay; with `prune`, those of the plans of the file go. Where no link is accepted there
    is no file. Raises DataError that names each row which cannot be accepted, with its line, and for a `data/mappings.ttl`
    that says what acceptance does not write.
    """
    found = read_proposals(path)
    with locked(corpus.root / "data"):
        known = _Known.of(corpus)
        refuse(
            f"{path}, line {found.lines[key]}: {' '.join(key)}: {problem}"
            for key, row in found.rows.items()
            if row["state"] == ACCEPTED and (problem := known.problem(row))
        )
        target = corpus.root / "data" / f"{MAPPINGS}.ttl"
        before = _read(target)
        after = dict(before)
        named = set()
        for row in found.rows.values():
            iri, linkage = _linkage(row, known)
            named.add(iri)
            after.pop(iri, None)
            if row["state"] == ACCEPTED:
                after[iri] = linkage
        # The name of the file counts, too: it may have no row left.
        plans = {iri.rpartition("/")[0] for iri in named} | {f"{names.THINGS}{MAPPINGS}/{found.plan}/linkage"}
        elsewhere = {iri for iri in after.keys() - named if iri.rpartition("/")[0] in plans}
        if prune:
            after = {iri: linkage for iri, linkage in after.items() if iri not in elsewhere}
            elsewhere = set()
        if after:
            replace_file(target, _turtle(after).encode())
        else:
            target.unlink(missing_ok=True)
    added, removed = len(after.keys() - before.keys()), len(before.keys() - after.keys())
    return Accepted(target, added, removed, len(after), tuple(sorted(elsewhere)))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Wait until no other process of ours writes into this folder, and keep others waiting."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


@dataclass(frozen=True)
class _Known:
    """What the files say and entail, as far as rows depend on it: labels, the classes of things, links of documents."""

    labels: dict[str, str]
    classes: dict[str, set[str]]
    links: set[tuple[str, str, str]]

    @classmethod
    def of(cls, corpus: Corpus) -> "_Known":
        found = cls({}, defaultdict(set), set())
        merge = merged([quad for quad in corpus.quads() if quad.graph_name != _GRAPH])
        for quad in (*merge, *entail(merge)):
            if not isinstance(quad.subject, ox.NamedNode):
                continue
            subject = quad.subject.value
            if quad.predicate == _LABEL and isinstance(quad.object, ox.Literal):
                found.labels[subject] = min(quad.object.value, found.labels.get(subject, quad.object.value))
            elif isinstance(quad.object, ox.NamedNode):
                found.links.add((subject, quad.predicate.value, quad.object.value))
                if quad.predicate == _TYPE:
                    found.classes[subject].add(quad.object.value)
        return found

    def problem(self, row: Row) -> str:
        """Return why a row cannot be accepted as it stands, and what to do; nothing for one that can."""
        subject, predicate, object_ = map(iri_of, key_of(row))
        role, day = row.get("reviewer_label"), row.get("review_date", "")
        was, wording = row.get("subject_label", ""), self.labels.get(subject)
        meant, label = row.get("object_label"), self.labels.get(object_)
        takes = ", ".join(f"{names.shorten(name)} takes {names.shorten(kind)}" for name, kind in RANGES.items())
        problems = (
            (
                row["object_id"] == NOTHING,
                "there is nothing to accept; write the object into object_id, or set state to open.",
            ),
            (
                subject not in self.classes,
                "the subject is not in the data; correct subject_id, or set state to rejected.",
            ),
            (object_ not in self.classes, "the object is not in the data; correct object_id, or add it to its scheme."),
            (
                RANGES.get(predicate) not in self.classes.get(object_, ()),
                f"the predicate does not take this object; correct predicate_id or object_id: {takes}.",
            ),
            (
                (subject, predicate, object_) in self.links,
                "a document states this link already; set state to rejected.",
            ),
            (
                was != wording,
                f"the wording has changed from “{was}” to “{wording}”; set state to open, propose again, and decide again.",
            ),
            (
                meant not in (None, label),
                f"the object is “{label}”, not “{meant}”; correct object_id; or correct object_label, clear grounds and write a comment.",
            ),
            (not role, "accepted without a role; write into reviewer_label as what you decided: curator of the plan."),
            (not day, "accepted without a date; write the day into review_date, as 2026-11-30."),
            (not _is_date(day), f'"{day}" is no date; write review_date as 2026-11-30.'),
            (day > _today(), f'"{day}" is yet to come; write into review_date the day on which you decided.'),
            (not (_grounds(row) or row.get("comment")), "accepted without grounds; write a comment."),
        )
        return next((message for wrong, message in problems if wrong), "")


def _grounds(row: Row) -> str:
    """Return the grounds of a row; none where the proposer found none and the curator wrote an object of their own."""
    return row.get("grounds", "").replace(NO_GROUND, "")


def _today() -> str:
    """Return the day where it begins first."""
    return datetime.now(timezone(timedelta(hours=14))).date().isoformat()


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _linkage(row: Row, known: _Known) -> tuple[str, Properties]:
    subject, predicate, object_ = link = tuple(map(iri_of, key_of(row)))
    plan, kind, notation = _parts(subject)
    label = f"{kind.replace('-', ' ').capitalize()} {notation} of {plan} {known.labels.get(predicate, '')} {names.shorten(object_)}"
    grounds = f"Grounds: {row['grounds']}." if _grounds(row) else ""
    comment = re.sub(r"(?<![.!?])$", ".", row["comment"]) if row.get("comment") else ""
    iri = _iri_of_linkage(*link)
    return iri, {
        names.RDF_TYPE: _LINKAGE,
        _SKOS + "notation": ox.Literal(iri.rpartition("/")[2]),
        _RDFS + "label": ox.Literal(label, language="en"),
        names.ITU + "ownWords": ox.Literal(True),
        names.ITU + "subject": ox.NamedNode(subject),
        names.ITU + "predicate": ox.NamedNode(predicate),
        names.ITU + "object": ox.NamedNode(object_),
        names.ITU + "basis": ox.NamedNode(names.ITU + "judged"),
        names.ITU + "rationale": ox.Literal(f"{comment} {grounds}".strip(), language="en"),
        names.ITU + "curatorRole": ox.Literal(row.get("reviewer_label", "")),
        _DATE.value: ox.Literal(row.get("review_date", "")),
    }


def _iri_of_linkage(subject: str, predicate: str, object_: str) -> str:
    plan, kind, notation = _parts(subject)
    path = re.sub("[:/]", "-", names.shorten(object_))
    name = f"{kind}-{notation}--{predicate.removeprefix(names.ITU)}--{path}"
    return f"{names.THINGS}{MAPPINGS}/{plan}/linkage/{name}"


def _parts(subject: str) -> tuple[str, str, str]:
    """Return the plan of a thing, its kind and its notation, by its IRI."""
    plan, _, path = names.shorten(subject).partition("/")
    kind, _, notation = path.rpartition("/")
    return plan, kind, notation


def _read(path: Path) -> dict[str, Properties]:
    """Return the Linkages of a file, by IRI. Raises DataError where the file says more or less than acceptance writes for them."""
    quads = {*read_rdf(path, _GRAPH.value)} if path.is_file() else set()
    found: dict[str, Properties] = defaultdict(dict)
    for quad in quads:
        if isinstance(quad.subject, ox.NamedNode) and isinstance(quad.object, Value):
            found[quad.subject.value][quad.predicate.value] = quad.object
    linkages = {
        iri: said
        for iri, said in found.items()
        if said.keys() == {*ORDER} and iri == _iri_of_linkage(*(str(said[name].value) for name in _LINK))
    }
    written = {quad for iri, said in linkages.items() for quad in _quads(iri, said)}
    if odd := min((f"{quad.triple} ." for quad in quads ^ written), default=""):
        has = "has" if odd in {f"{quad.triple} ." for quad in quads} else "lacks"
        raise DataError(
            f"{path}: nothing was written. The file {has} {odd} This is not as itukg accept writes it: undo the change, and edit "
            "decisions in data/proposals/."
        )
    return linkages


def _quads(iri: str, said: Properties) -> Iterator[ox.Quad]:
    """Yield what is written for a Linkage: its plain triple, and what it says."""
    subject, predicate, object_ = (said[name] for name in _LINK)
    if isinstance(subject, ox.NamedNode) and isinstance(predicate, ox.NamedNode):
        yield ox.Quad(subject, predicate, object_, _GRAPH)
    for name, value in said.items():
        yield ox.Quad(ox.NamedNode(iri), ox.NamedNode(name), value, _GRAPH)


def _turtle(linkages: dict[str, Properties]) -> str:
    """Return Linkages as Turtle in our style, below what the file is, each after its plain triple, sorted by IRI."""
    blocks = []
    for iri, said in sorted(linkages.items()):
        link = (said[name] for name in _LINK)
        blocks.append(f"{' '.join(map(_term, link))} .\n")
        lines = [f"{'a' if name == names.RDF_TYPE else _iri(name)} {_term(said[name])}" for name in ORDER]
        blocks.append(f"{_iri(iri)} " + " ;\n    ".join(lines) + " .\n")
    body = "\n".join(blocks)
    bare = re.sub(r'"(?:[^"\\]|\\.)*"|<[^>]*>', "", body)
    used = {prefix: iri for prefix, iri in names.PREFIXES.items() if re.search(rf"\b{prefix}:", bare)}
    head = "".join(f"@prefix {prefix}: <{iri}> .\n" for prefix, iri in sorted(used.items()))
    return f"{head}@base <{names.THINGS}> .\n\n{HEAD}\n{body}"  # turtlefmt knows no comment before the prefixes


def _iri(iri: str) -> str:
    short = names.shorten(iri)
    return short if short != iri and not iri.startswith(names.THINGS) else f"<{short}>"


def _term(term: Value) -> str:
    if isinstance(term, ox.NamedNode):
        return _iri(term.value)
    return term.value if term == ox.Literal(True) else str(term)
