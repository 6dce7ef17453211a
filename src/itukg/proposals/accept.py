"""What acceptance writes: judged Linkages with rationale, role and date, each beside its plain triple."""

import csv
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyoxigraph as ox

from itukg import names
from itukg.corpus import Corpus
from itukg.errors import DataError
from itukg.proposals.propose import MAPPINGS, NO_GROUND, NOTHING, STATES, iri_of, key_of
from itukg.rdf.parse import read_rdf
from itukg.sssom import read_tsv

_RDFS, _SKOS, _DCTERMS = (names.PREFIXES[prefix] for prefix in ("rdfs", "skos", "dcterms"))
_LABEL, _DATE = ox.NamedNode(_RDFS + "label"), ox.NamedNode(_DCTERMS + "date")
_TYPE = ox.NamedNode(names.RDF_TYPE)
_EVIDENCED = ox.NamedNode(names.ITU + "EvidencedProperty")

Term = ox.NamedNode | ox.BlankNode | ox.Literal | ox.Triple
Properties = dict[str, Term]
"""What a Linkage says: property → its value."""
ORDER = (
    *(names.RDF_TYPE, _SKOS + "notation", _RDFS + "label"),
    *(names.ITU + name for name in ("ownWords", "subject", "predicate", "object", "basis", "rationale", "curatorRole")),
    _DCTERMS + "date",
)
"""The order in which a Linkage says it."""


@dataclass(frozen=True)
class Accepted:
    """The file of accepted links as it should be (None: no file), and how many links were added and removed."""

    path: Path
    content: str | None
    added: int
    removed: int
    total: int
    elsewhere: tuple[str, ...]
    """The accepted links, of the plans of the file, of which the file has no row."""

    def write(self) -> None:
        """Write the file, or remove it where no link is accepted any more."""
        if self.content is None:
            self.path.unlink(missing_ok=True)
        else:
            self.path.write_text(self.content, encoding="utf-8", newline="\n")


def accept(corpus: Corpus, path: Path) -> Accepted:
    """Return `data/mappings.ttl` with the links that a file of proposals accepts, and without those that it accepts no longer.

    Links of which the file has no row stay. Raises DataError that names each row which cannot be accepted, with its line.
    """
    rows = read_tsv(path).rows
    known = _Known.of(corpus)
    problems = [
        f"{path}, line {line}: {' '.join(key_of(row))}: {problem}"
        for line, row in zip(_lines(path), rows, strict=True)
        if (problem := known.problem(row))
    ]
    keys = [key_of(row) for row in rows]
    problems += [
        f"{path}: {' '.join(key)} stands there twice." for key in sorted({k for k in keys if keys.count(k) > 1})
    ]
    if problems:
        raise DataError("\n".join(["nothing was written.", *problems]))
    target = corpus.root / "data" / f"{MAPPINGS}.ttl"
    before = _read(target)
    after = dict(before)
    for row in rows:
        iri, linkage = _linkage(row, known)
        after.pop(iri, None)
        if row.get("state") == "accepted":
            after[iri] = linkage
    added, removed = len(after.keys() - before.keys()), len(before.keys() - after.keys())
    named = {_linkage(row, known)[0] for row in rows}
    plans = {iri.rpartition("/")[0] for iri in named}
    elsewhere = tuple(sorted(iri for iri in after.keys() - named if iri.rpartition("/")[0] in plans))
    return Accepted(target, _turtle(after) if after else None, added, removed, len(after), elsewhere)


@dataclass(frozen=True)
class _Known:
    """What the files say, as far as rows depend on it: labels, things, evidenced properties, links of documents."""

    labels: dict[str, str]
    things: set[str]
    evidenced: set[str]
    links: set[tuple[str, str, str]]

    @classmethod
    def of(cls, corpus: Corpus) -> "_Known":
        found = cls({}, set(), set(), set())
        accepted = ox.NamedNode(names.graph(MAPPINGS))
        for quad in corpus.quads():
            if quad.graph_name == accepted or not isinstance(quad.subject, ox.NamedNode):
                continue
            if quad.predicate == _LABEL and isinstance(quad.object, ox.Literal):
                found.labels[quad.subject.value] = quad.object.value
            elif isinstance(quad.object, ox.NamedNode):
                found.links.add((quad.subject.value, quad.predicate.value, quad.object.value))
                if quad.predicate == _TYPE:
                    found.things.add(quad.subject.value)
                    if quad.object == _EVIDENCED:
                        found.evidenced.add(quad.subject.value)
        return found

    def problem(self, row: dict[str, str]) -> str:
        """Return why a row cannot be accepted as it stands, and what to do; nothing for one that can, or need not."""
        subject, predicate, object_ = map(iri_of, key_of(row))
        state, role, day = (row.get(name, "").strip() for name in ("state", "reviewer_label", "review_date"))
        was, wording = row.get("subject_label", ""), self.labels.get(subject)
        if state not in STATES:
            return f'no state "{state}"; use {", ".join(STATES)}.'
        if state != "accepted":
            return ""
        problems = (
            (
                row["object_id"] == NOTHING,
                "there is nothing to accept; write the object into object_id, or set state to open.",
            ),
            (
                subject not in self.things,
                "the subject is not in the data; correct subject_id, or set state to rejected.",
            ),
            (object_ not in self.things, "the object is not in the data; correct object_id, or add it to its scheme."),
            (
                predicate not in self.evidenced,
                "the predicate is no property that needs evidence; correct predicate_id.",
            ),
            (
                (subject, predicate, object_) in self.links,
                "a document states this link already; set state to rejected.",
            ),
            (
                was != wording,
                f"the wording has changed from “{was}” to “{wording}”; set state to open, propose again, and decide again.",
            ),
            (not role, "accepted without a role; write into reviewer_label as what you decided: curator of the plan."),
            (not day, "accepted without a date; write the day into review_date, as 2026-11-30."),
            (not _is_date(day), f'"{day}" is no date; write review_date as 2026-11-30.'),
            (not (_grounds(row) or row.get("comment")), "accepted without grounds; write a comment."),
        )
        return next((message for wrong, message in problems if wrong), "")


def _grounds(row: dict[str, str]) -> str:
    """Return the grounds of a row; none where the proposer found none and the curator wrote an object of their own."""
    return row.get("grounds", "").replace(NO_GROUND, "")


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _lines(path: Path) -> Iterator[int]:
    """Yield the line on which each row begins."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter="\t")
        begins, columns = 1, False
        for cells in reader:
            if columns and any(cells):
                yield begins
            columns = columns or bool(cells and not cells[0].startswith("#"))
            begins = reader.line_num + 1


def _linkage(row: dict[str, str], known: _Known) -> tuple[str, Properties]:
    subject, predicate, object_ = map(iri_of, key_of(row))
    plan, _, path = names.shorten(subject).partition("/")
    kind, _, notation = path.rpartition("/")
    short = names.shorten(object_)
    name = f"{kind}-{notation}--{predicate.removeprefix(names.ITU)}--{re.sub('[:/]', '-', short)}"
    label = f"{kind.replace('-', ' ').capitalize()} {notation} of {plan} {known.labels.get(predicate, '')} {short}"
    grounds = f"Grounds: {row['grounds']}." if _grounds(row) else ""
    comment = re.sub(r"(?<![.!?])$", ".", row["comment"].strip()) if row.get("comment") else ""
    return f"{names.THINGS}{MAPPINGS}/{plan}/linkage/{name}", {
        names.RDF_TYPE: ox.NamedNode(names.ITU + "Linkage"),
        _SKOS + "notation": ox.Literal(name),
        _RDFS + "label": ox.Literal(label, language="en"),
        names.ITU + "ownWords": ox.Literal(True),
        names.ITU + "subject": ox.NamedNode(subject),
        names.ITU + "predicate": ox.NamedNode(predicate),
        names.ITU + "object": ox.NamedNode(object_),
        names.ITU + "basis": ox.NamedNode(names.ITU + "judged"),
        names.ITU + "rationale": ox.Literal(f"{comment} {grounds}".strip(), language="en"),
        names.ITU + "curatorRole": ox.Literal(row.get("reviewer_label", "").strip()),
        _DATE.value: ox.Literal(row.get("review_date", "")),
    }


def _read(path: Path) -> dict[str, Properties]:
    """Return the Linkages of a file, by IRI."""
    found: dict[str, Properties] = defaultdict(dict)
    for quad in read_rdf(path, names.graph(MAPPINGS)) if path.is_file() else ():
        assert isinstance(quad.subject, ox.NamedNode)
        found[quad.subject.value][quad.predicate.value] = quad.object
    return {iri: said for iri, said in found.items() if names.ITU + "predicate" in said}


def _turtle(linkages: dict[str, Properties]) -> str:
    """Return Linkages as Turtle in our style, each after its plain triple, sorted by IRI."""
    blocks = []
    for iri, said in sorted(linkages.items()):
        link = (said[names.ITU + name] for name in ("subject", "predicate", "object"))
        blocks.append(f"{' '.join(map(_term, link))} .\n")
        ordered = sorted(said, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))
        lines = [f"{'a' if name == names.RDF_TYPE else _iri(name)} {_term(said[name])}" for name in ordered]
        blocks.append(f"{_iri(iri)} " + " ;\n    ".join(lines) + " .\n")
    body = "\n".join(blocks)
    bare = re.sub(r'"(?:[^"\\]|\\.)*"|<[^>]*>', "", body)
    used = {prefix: iri for prefix, iri in names.PREFIXES.items() if re.search(rf"\b{prefix}:", bare)}
    head = "".join(f"@prefix {prefix}: <{iri}> .\n" for prefix, iri in sorted(used.items()))
    return f"{head}@base <{names.THINGS}> .\n\n{body}"


def _iri(iri: str) -> str:
    short = names.shorten(iri)
    return short if short != iri and not iri.startswith(names.THINGS) else f"<{short}>"


def _term(term: Term) -> str:
    if isinstance(term, ox.NamedNode):
        return _iri(term.value)
    assert isinstance(term, ox.Literal)
    return term.value if term == ox.Literal(True) else str(term)
