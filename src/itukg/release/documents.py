"""What was made of the lines of each document, and what was not and why: noted at build, so that no request asks the store for it."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import pyoxigraph as ox

from itukg import names
from itukg.corpus import Corpus
from itukg.evidence import reasons, recorded
from itukg.formats import write_json
from itukg.rdf.jsonld import natural
from itukg.release.overview import rows_of


@dataclass(frozen=True)
class Said:
    """Something that stands on a line of a document: a thing, a link or a gap; links and gaps have ends, by their IRIs.

    `words` are the document's on that line, where they are not the label; `own`: the label is ours.
    """

    line: int
    thing: str
    kind: str
    code: str
    label: str
    plan: str
    section: str
    words: str = ""
    own: bool = False
    predicate: str = ""
    basis: str = ""
    subjects: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    gap_kind: str = ""


@dataclass(frozen=True)
class LeftOut:
    """Lines of which nothing was taken up, neighbours but for empty lines, with the reason that a reader gave."""

    lines: tuple[int, ...]
    reason: str | None
    note: str | None

    @property
    def first(self) -> int:
        """The first line."""
        return self.lines[0]

    @property
    def last(self) -> int:
        """The last line."""
        return self.lines[-1]


@dataclass(frozen=True)
class Document:
    """A document, and what is known of its lines.

    `length` is 0 without a text copy; `covered` are the lines whose words were taken up, None where nobody has
    recorded a reading.
    """

    iri: str
    code: str
    label: str
    status: str
    length: int
    said: tuple[Said, ...]
    covered: tuple[int, ...] | None = None
    left_out: tuple[LeftOut, ...] = ()

    @property
    def name(self) -> str:
        """What it goes by in addresses."""
        return names.shorten(self.iri).removeprefix("document/")


Called = tuple[str, str, str]
"""Class, code and label of a thing."""


@dataclass(frozen=True)
class Documents:
    """The documents by IRI, sorted, and class, code and label of what their links and gaps are about."""

    by_iri: Mapping[str, Document]
    called: Mapping[str, Called]

    @classmethod
    def of_store(cls, store: ox.Store, corpus: Corpus) -> Self:
        """Return the documents of the release that a store holds, made from these files."""
        said = _said(store)
        found = {}
        for row in rows_of(store, _DOCUMENTS):
            iri, code = row["document"].value, _text(row, "code")
            length, lines = int(_text(row, "length") or 0), tuple(sorted(said[iri], key=lambda each: each.line))
            of = (iri, code, _text(row, "label"), _text(row, "status"))
            found[iri] = Document(*of, length, lines, *_read(corpus, iri, code))
        named = {
            end for document in found.values() for each in document.said for end in (*each.subjects, *each.objects)
        }
        called: dict[str, Called] = {}
        for row in rows_of(store, _CALLED):
            if row["end"].value in named:
                called.setdefault(row["end"].value, (_text(row, "kind"), _text(row, "code"), _text(row, "label")))
        return cls(found, called)

    @classmethod
    def read(cls, content: bytes) -> Self:
        """Return the documents that `write` has written."""
        noted = json.loads(content)
        by_iri = {}
        for iri, each in noted["by_iri"].items():
            said = tuple(Said(**{name: _tuple(value) for name, value in row.items()}) for row in each.pop("said"))
            left_out = tuple(LeftOut(**left | {"lines": tuple(left["lines"])}) for left in each.pop("left_out"))
            by_iri[iri] = Document(**each | {"covered": _tuple(each["covered"])}, said=said, left_out=left_out)
        return cls(by_iri, {iri: (kind, code, label) for iri, (kind, code, label) in noted["called"].items()})

    def write(self) -> bytes:
        """Write them as JSON; the same graph and files give the same bytes."""
        by_iri = {
            iri: asdict(each) | {"said": [_filled(asdict(said)) for said in each.said]}
            for iri, each in self.by_iri.items()
        }
        return write_json({"by_iri": by_iri, "called": dict(sorted(self.called.items()))})


_DOCUMENTS = """SELECT DISTINCT ?document ?code ?label ?length ?status WHERE {
  { SELECT DISTINCT ?document WHERE { ?thing itu:line ?line ; dcterms:source ?document } }
  OPTIONAL { ?document skos:notation ?code } OPTIONAL { ?document rdfs:label ?label }
  OPTIONAL { ?document itu:lineCount ?length } OPTIONAL { ?document itu:status ?status }
} ORDER BY ?document"""
_KIND = f"OPTIONAL {{ ?thing a ?kind FILTER NOT EXISTS {{ GRAPH <{names.graph('entailed')}> {{ ?thing a ?kind }} }} }}"
_SAID = f"""SELECT * WHERE {{
  ?thing itu:line ?line ; dcterms:source ?document .
  {_KIND}
  OPTIONAL {{ ?thing skos:notation ?code }} OPTIONAL {{ ?thing rdfs:label ?label }} OPTIONAL {{ ?thing itu:plan ?plan }}
  OPTIONAL {{ ?thing itu:section ?section }} OPTIONAL {{ ?thing itu:quote ?quote }} OPTIONAL {{ ?thing itu:ownWords ?own }}
  OPTIONAL {{ ?thing skos:definition ?definition }} OPTIONAL {{ ?thing itu:definitionLine ?apart }}
  OPTIONAL {{ ?thing itu:otherWording ?other ; itu:otherWordingLine ?elsewhere }}
  OPTIONAL {{ ?thing itu:predicate ?predicate ; itu:basis ?basis }} OPTIONAL {{ ?thing itu:gapKind ?gapKind }}
}} ORDER BY ?thing ?line ?kind"""
_ENDS = """SELECT ?thing ?property ?end WHERE {
  ?thing itu:line ?line ; dcterms:source ?document .
  VALUES ?property { itu:subject itu:object itu:about itu:missing } ?thing ?property ?end FILTER(isIRI(?end))
} ORDER BY ?thing ?property ?end"""
_CALLED = f"""SELECT ?end ?kind ?code ?label WHERE {{
  {{ SELECT DISTINCT ?end WHERE {{ {{ ?thing itu:subject ?end }} UNION {{ ?thing itu:object ?end }} UNION {{ ?thing itu:about ?end }} }} }}
  {_KIND.replace("?thing", "?end")} OPTIONAL {{ ?end skos:notation ?code }} OPTIONAL {{ ?end rdfs:label ?label }}
}} ORDER BY ?end ?kind ?code ?label"""


def _said(store: ox.Store) -> dict[str, list[Said]]:
    """Return what stands on the lines of each document."""
    ends: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in rows_of(store, _ENDS):
        ends[row["thing"].value, row["property"].value.removeprefix(names.ITU)].append(row["end"].value)
    found: dict[str, dict[tuple[str, str], Said]] = defaultdict(dict)
    for row in rows_of(store, _SAID):
        if not isinstance(row["thing"], ox.NamedNode) or not _text(row, "line").isdecimal():
            continue
        iri = row["thing"].value
        said = Said(
            line=int(_text(row, "line")),
            thing=iri,
            **{name: _text(row, name) for name in ("kind", "code", "label", "plan", "section", "predicate", "basis")},
            words=_text(row, "quote") or ("" if _text(row, "apart") else _text(row, "definition")),
            own=_text(row, "own") == "true",
            subjects=tuple(dict.fromkeys((*ends[iri, "subject"], *ends[iri, "about"]))),
            objects=tuple(sorted({*ends[iri, "object"]}, key=natural)),
            missing=tuple(dict.fromkeys(ends[iri, "missing"])),
            gap_kind=_text(row, "gapKind"),
        )
        for each in (said, *_elsewhere(said, row)):
            found[row["document"].value].setdefault((iri, f"{each.line}"), each)
    return {document: [*each.values()] for document, each in found.items()}


def _elsewhere(said: Said, row: ox.QuerySolution) -> Iterator[Said]:
    """Yield what a thing says on other lines: its definition, and another wording."""
    for line, words in (("apart", "definition"), ("elsewhere", "other")):
        if _text(row, line).isdecimal() and int(_text(row, line)) != said.line:
            yield replace(said, line=int(_text(row, line)), words=_text(row, words), section="")


def _read(corpus: Corpus, iri: str, code: str) -> tuple[tuple[int, ...] | None, tuple[LeftOut, ...]]:
    """Return which lines of a document were taken up, and which were left out and why; without a record, what readers noted."""
    given = reasons(corpus, code)
    noted = recorded(corpus)["documents"].get(names.shorten(iri), {})
    if "coveredLines" not in noted:
        return None, tuple(_runs([*given], given, ()))
    covered = of_ranges(noted["coveredLines"])
    return covered, tuple(_runs(of_ranges(noted["uncoveredLines"]), given, covered))


def _runs(
    lines: Sequence[int], given: Mapping[int, tuple[str, str | None]], covered: Iterable[int]
) -> Iterator[LeftOut]:
    """Yield lines that were left out, neighbours for the same reason in one; `lines` are those with words."""
    between = {*covered}
    run: list[int] = []
    for line in sorted(lines):
        said = given.get(line, (None, None))
        if run and (given.get(run[-1], (None, None)) != said or not between.isdisjoint(range(run[-1], line))):
            yield LeftOut(tuple(run), *given.get(run[-1], (None, None)))
            run = []
        run.append(line)
    if run:
        yield LeftOut(tuple(run), *given.get(run[-1], (None, None)))


def of_ranges(text: str) -> tuple[int, ...]:
    """Return the line numbers that `in_ranges` wrote."""
    ends = ([int(end) for end in part.split("-")] for part in text.split())
    return tuple(line for first, *last in ends for line in range(first, (last or [first])[0] + 1))


def _text(row: ox.QuerySolution, name: str) -> str:
    """Return the value of a variable as text, "" where it is unbound."""
    value = row[name]
    return "" if value is None else str(value.value)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _filled(said: dict[str, object]) -> dict[str, object]:
    """Leave out what is empty, but for the columns that each has."""
    needed = ("line", "thing", "kind", "code", "label", "plan", "section")
    return {name: value for name, value in said.items() if value or name in needed}
