"""Every label and quote of the plans against the source texts, and which source lines produced nothing."""

import csv
import hashlib
import json
import re
import unicodedata
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pyoxigraph as ox

from itukg import names
from itukg.corpus import Corpus, file_hash
from itukg.errors import DataError, NotFound
from itukg.formats import CSV
from itukg.pages import render
from itukg.rdf.parse import read_rdf
from itukg.tables import Table

VERBATIM = (
    "rdfs:label",
    "skos:altLabel",
    "skos:definition",
    "itu:otherWording",
    "itu:quote",
    "itu:mandate",
    "itu:printedForm",
    "itu:printedCode",
)
"""Properties whose values are words of the document, unless the thing says that its label is ours."""

_TEXTS = f"""{names.PROLOGUE}
SELECT ?thing ?property ?text ?document ?line WHERE {{
  VALUES ?property {{ {" ".join(VERBATIM)} }}
  ?thing ?property ?text ; dcterms:source ?document ; itu:line ?begins .
  OPTIONAL {{ ?thing itu:definitionLine ?apart FILTER(?property = skos:definition) }}
  OPTIONAL {{ ?thing itu:otherWordingLine ?elsewhere FILTER(?property = itu:otherWording) }}
  BIND(COALESCE(?apart, ?elsewhere, ?begins) AS ?line)
  ?document itu:sha256 ?digest .
  FILTER(isNumeric(?line))
  FILTER(?property NOT IN (rdfs:label, skos:altLabel) || NOT EXISTS {{ ?thing itu:ownWords true }})
}} ORDER BY ?document ?line ?thing ?property ?text"""
_DOCUMENTS = f"{names.PROLOGUE}SELECT ?document ?notation ?digest ?lines WHERE {{ ?document itu:sha256 ?digest ; itu:lineCount ?lines ; skos:notation ?notation }}"


@dataclass(frozen=True)
class Text:
    """Words that a data file says a document prints, beginning on a line."""

    thing: str
    property: str
    words: str
    document: str
    line: int


@dataclass(frozen=True)
class Checked:
    """One document read against the texts that name it."""

    document: str
    digest: str
    lines: int
    found: tuple[Text, ...]
    missed: tuple[Text, ...]
    covered: tuple[int, ...]
    """Lines with words that a text covers."""
    uncovered: tuple["Uncovered", ...]
    """Lines with words, none of which a text covers."""

    @property
    def unexplained(self) -> list["Uncovered"]:
        """The uncovered lines to which no reader has given a reason."""
        return [line for line in self.uncovered if line.reason is None]


@dataclass(frozen=True)
class Uncovered:
    """A line of a document that produced nothing, with the reason a reader gave: one of REASONS, or None."""

    line: int
    words: str
    reason: str | None = None
    note: str | None = None


REASONS = {
    "front-matter": "Cover, addressees, summary, contents",
    "heading": "A heading that names no thing of the plan",
    "narrative": "Running text that explains; never a line with a code, a bullet or a table cell",
    "table-frame": "Column heads, row names and empty cells of a table",
    "repetition": "What another line, already covered, says too",
    "detail": "A bullet, cell or code that is no result and makes no link; the note says why",
    "residue": "What the conversion left of a picture or a layout",
}
"""Why a line may produce nothing, in the files `data/uncovered/<document>.csv`."""


class SourceText:
    """A document's text, searched the way MODEL says: after NFKC, with runs of white space as one blank."""

    def __init__(self, content: bytes) -> None:
        self.digest = hashlib.sha256(content).hexdigest()
        raw = content.decode().removesuffix("\n").split("\n")
        self.lines = [normalise(line) for line in raw]
        self._starts: list[int] = []
        at = 0
        for line in self.lines:
            self._starts.append(at)
            at += len(line) + 1 if line else 0
        self._whole = " ".join(line for line in self.lines if line)

    def find(self, words: str, line: int) -> range | None:
        """Return the lines (counted from 1) that `words`, whole ones, cover where they begin on `line`, else None."""
        words = normalise(words)
        if not words or not 1 <= line <= len(self.lines) or not self.lines[line - 1]:
            return None
        start = self._starts[line - 1]
        end = start + len(self.lines[line - 1])
        at = self._whole.find(words, start)
        while 0 <= at < end and not (self._divides(at) and self._divides(at + len(words))):
            at = self._whole.find(words, at + 1)
        if not 0 <= at < end:
            return None
        return range(line, bisect_right(self._starts, at + len(words) - 1) + 1)

    def _divides(self, place: int) -> bool:
        """Whether no word or number goes on over a place between two characters; a footnote mark is a digit after a letter."""
        if not 0 < place < len(self._whole):
            return True
        around = self._whole[place - 1 : place + 1]
        return not (around.isalpha() or around.isdigit())


def normalise(text: str) -> str:
    """Return `text` after NFKC, with runs of white space as one blank and none at the ends."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text)).strip()


def data_files(corpus: Corpus) -> dict[Path, str]:
    """Return the files of `data/` with the names of their graphs."""
    return {path: graph for path, graph in corpus.files().items() if (corpus.root / "data") in path.parents}


def check(corpus: Corpus, sources: Path, file: Path | None = None) -> list[Checked]:
    """Read each document that the data describes in the folder `sources`, and look its texts up.

    A source text is known by its SHA-256, whatever its file is called. Raises NotFound for a document of
    which `sources` has no such copy. With `file`, only the texts of that data file are looked up, in the
    documents that it or the corpus describes.
    """
    by_digest = {file_hash(p): p for p in sorted(sources.iterdir()) if p.is_file()} if sources.is_dir() else {}
    store = _load(data_files(corpus) | ({file: "file"} if file else {}))
    only = _things(file) if file else None
    texts = [text for text in _texts(store) if only is None or text.thing in only]
    results = []
    for row in _solutions(store, _DOCUMENTS):
        document, digest = row["document"].value, row["digest"].value
        if file is not None and not any(t.document == document for t in texts):
            continue
        if digest not in by_digest:
            raise NotFound(
                f"No file in {sources} has the SHA-256 {digest} of the document {row['notation'].value}: "
                "name the folder of the text copies with --sources or ITUKG_SOURCES."
            )
        source = SourceText(by_digest[digest].read_bytes())
        given = reasons(corpus, row["notation"].value)
        results.append(_read(document, source, [t for t in texts if t.document == document], given))
    return results


def record(corpus: Corpus, results: Iterable[Checked], only: Path | None = None) -> dict[str, Any]:
    """Return what `data/evidence.json` keeps: each document's digest, each data file's hash, texts looked for and found.

    With `only` a data file, of which alone the `results` are, it is the record that stands with that file's part renewed.
    """
    results = list(results)
    found = {text for result in results for text in result.found}
    whole = _load(data_files(corpus))
    quoted, copied, texts = _quoted(whole), _with_text_copy(whole), [*_texts(whole)]
    files = {}
    for path in data_files(corpus) if only is None else [only]:
        things = _things(path)  # whose texts may stand in another file, or their lines
        wanted = {text for text in texts if text.thing in things}
        without = _without_copy(things, quoted, copied)
        files[_name(corpus, path)] = {
            "sha256": file_hash(path),
            "looked_for": len(wanted),
            "found": len(wanted & found),
            **({"noTextCopy": without} if without else {}),
        }
    if only is not None:
        stands = recorded(corpus)
        return stands | {"files": dict(sorted((stands["files"] | files).items()))}
    documents = {
        names.shorten(r.document): {
            "sha256": r.digest,
            "lines": r.lines,
            "uncovered": len(r.uncovered),
            "unexplained": len(r.unexplained),
            "coveredLines": in_ranges(r.covered),
            "uncoveredLines": in_ranges(each.line for each in r.uncovered),
        }
        for r in results
    }
    return {"documents": documents, "files": files}


def in_ranges(lines: Iterable[int]) -> str:
    """Write sorted line numbers as ranges: "1-3 7"."""
    runs = ([line for _, line in run] for _, run in groupby(enumerate(lines), lambda pair: pair[1] - pair[0]))
    return " ".join(f"{run[0]}-{run[-1]}" if run[1:] else f"{run[0]}" for run in runs)


def unverified(corpus: Corpus) -> dict[str, str]:
    """Return each data file that quotes documents and whose words were not all found in them, and why not.

    `data/evidence.json` says what was found, and in which state of a file.
    """
    checked = recorded(corpus)["files"]
    quoted = _quoted(_load(data_files(corpus)))
    quoting = (path for path in data_files(corpus) if not quoted.keys().isdisjoint(_things(path)))
    doubts = {(name := _name(corpus, path)): _doubt(checked.get(name), file_hash(path)) for path in quoting}
    return {name: reason for name, reason in doubts.items() if reason is not None} | _other_copies(corpus)


def _other_copies(corpus: Corpus) -> dict[str, str]:
    """Return the record, if the texts in which words were looked up are not those that the data names."""
    named = _with_text_copy(_load(data_files(corpus)))
    noted = recorded(corpus)["documents"]
    others = sorted(
        each for each, said in noted.items() if named.get(names.expand(each), said["sha256"]) != said["sha256"]
    )
    return {"data/evidence.json": f"is of another text copy of {', '.join(others)} than the data"} if others else {}


def without_text_copy(corpus: Corpus) -> dict[str, str]:
    """Return each data file that quotes a document of which no text copy is known, so that nobody can look, and which."""
    whole = _load(data_files(corpus))
    quoted, copied = _quoted(whole), _with_text_copy(whole)
    missing = {_name(corpus, path): _without_copy(_things(path), quoted, copied) for path in data_files(corpus)}
    return {
        name: f"quotes {', '.join(documents)}, of which there is no text copy"
        for name, documents in missing.items()
        if documents
    }


def recorded(corpus: Corpus) -> dict[str, Any]:
    """Return what `data/evidence.json` says. Raises DataError for a file that is no such record."""
    path = corpus.root / "data" / "evidence.json"
    if not path.is_file():
        return {"documents": {}, "files": {}}
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
        for entry in found["files"].values():
            entry["sha256"], entry["looked_for"] - entry["found"]
    except (ValueError, TypeError, KeyError, AttributeError):
        raise DataError(
            f"{path} is no record of evidence; delete it, and write it again with: itukg evidence"
        ) from None
    return found


def _doubt(checked: dict[str, Any] | None, digest: str) -> str | None:
    if checked is None:
        return "was never checked against the documents"
    if checked["sha256"] != digest:
        return "has changed since it was checked against the documents"
    missed = checked["looked_for"] - checked["found"]
    return f"has words that are not on the lines it names ({missed})" if missed else None


def _name(corpus: Corpus, path: Path) -> str:
    return path.relative_to(corpus.root).as_posix()


def _quoted(store: ox.Store) -> dict[str, set[str]]:
    """Return each thing of which a line is named, with its documents."""
    found: dict[str, set[str]] = {}
    for row in _solutions(store, f"{names.PROLOGUE}SELECT ?thing ?d {{ ?thing dcterms:source ?d ; itu:line ?line }}"):
        found.setdefault(row["thing"].value, set()).add(row["d"].value)
    return found


def _things(path: Path) -> set[str]:
    """Return the things of which a data file says a text or number: a link to another thing has no words to look up."""
    return {
        quad.subject.value
        for quad in read_rdf(path, names.graph("file"))
        if isinstance(quad.subject, ox.NamedNode) and isinstance(quad.object, ox.Literal)
    }


def _without_copy(things: set[str], quoted: dict[str, set[str]], copied: Collection[str]) -> list[str]:
    """Return, for messages, the documents that these things quote and of which there is no text copy."""
    named = {document for thing in things for document in quoted.get(thing, ())}
    return sorted(map(names.shorten, named.difference(copied)))


def _with_text_copy(store: ox.Store) -> dict[str, str]:
    """Return the documents that have a text copy, with its SHA-256."""
    rows = _solutions(store, f"{names.PROLOGUE}SELECT ?d ?digest {{ ?d itu:sha256 ?digest }}")
    return {row["d"].value: row["digest"].value for row in rows}


def write_text(results: Iterable[Checked]) -> str:
    """Write what was found for a terminal: texts that are missing, lines without a reason, and the counts."""
    lines = []
    for result in results:
        name = names.shorten(result.document)
        lines += [
            f"{names.shorten(text.thing)}: {names.shorten(text.property)} is not on line {text.line}: {text.words}"
            for text in result.missed
        ]
        lines += [f"{name} line {line.line} produced nothing: {line.words[:100]}" for line in result.unexplained]
        given = Counter(line.reason for line in result.uncovered if line.reason)
        lines.append(
            f"{name}: {len(result.found)} of {len(result.found) + len(result.missed)} texts found; "
            f"{len(result.uncovered)} of {result.lines} lines produced nothing, {len(result.unexplained)} without a reason"
            + "".join(f"; {count} {reason}" for reason, count in sorted(given.items()))
        )
    return "\n".join(lines) + "\n"


def write_table(results: Iterable[Checked]) -> bytes:
    """Write the uncovered lines as CSV: document, line, reason, note, words."""
    lines = (
        {"document": names.shorten(result.document), **asdict(line)} for result in results for line in result.uncovered
    )
    return Table.of_values(("document", "line", "reason", "note", "words"), lines).write(CSV)


def write_page(results: Iterable[Checked]) -> bytes:
    """Write what was found as an HTML page."""
    return render("evidence.html", results=list(results), reasons=REASONS)


def _read(document: str, source: SourceText, texts: list[Text], given: dict[int, tuple[str, str | None]]) -> Checked:
    found: list[Text] = []
    missed: list[Text] = []
    covered: set[int] = set()
    for text in texts:
        lines = source.find(text.words, text.line)
        (missed if lines is None else found).append(text)
        covered.update(lines or ())
    uncovered = [
        Uncovered(number, words, *given.get(number, (None, None)))
        for number, words in enumerate(source.lines, 1)
        if words and number not in covered
    ]
    worded = tuple(number for number in sorted(covered) if source.lines[number - 1])
    return Checked(document, source.digest, len(source.lines), tuple(found), tuple(missed), worded, tuple(uncovered))


def reasons(corpus: Corpus, name: str) -> dict[int, tuple[str, str | None]]:
    """Return the reason, and its note, for each line that `data/uncovered/<name>.csv` speaks of."""
    path = corpus.root / "data" / "uncovered" / f"{name}.csv"
    if not path.is_file():
        return {}
    found: dict[int, tuple[str, str | None]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            reason, note = row["reason"], row["note"] or None
            if reason not in REASONS or (reason == "detail" and not note):
                raise DataError(f'{path}: "{reason}" is none of {", ".join(REASONS)}, or a detail without a note.')
            for line in range(int(row["first"]), int(row["last"]) + 1):
                if line in found:
                    raise DataError(f"{path}: line {line} has two reasons.")
                found[line] = (reason, note)
    return found


def _load(files: dict[Path, str]) -> ox.Store:
    store = ox.Store()
    for path, graph in files.items():
        store.extend(ox.Quad(q.subject, q.predicate, q.object) for q in read_rdf(path, names.graph(graph)))
    return store


def _solutions(store: ox.Store, query: str) -> ox.QuerySolutions:
    results = store.query(query)
    assert isinstance(results, ox.QuerySolutions)
    return results


def _texts(store: ox.Store) -> Iterator[Text]:
    for row in _solutions(store, _TEXTS):
        yield Text(
            row["thing"].value, row["property"].value, row["text"].value, row["document"].value, int(row["line"].value)
        )
