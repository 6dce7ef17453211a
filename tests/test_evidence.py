"""Every text of the data was looked for in its document and found; whoever edits data must look again."""

import json
import os
import re
import shutil
from pathlib import Path

import pyoxigraph as ox
import pytest

from itukg import names
from itukg.corpus import Corpus, file_hash
from itukg.errors import DataError, NotFound
from itukg.evidence import SourceText, check, data_files, record, write_page, write_table, write_text

ROOT = Path(__file__).parents[1]
RECORD = json.loads((ROOT / "data" / "evidence.json").read_bytes())

DOCUMENT = "First line of it\n\n· Item one: the ﬁrst\xa0result;\nruns on here\n"


def test_each_data_file_is_the_one_whose_texts_were_all_found(corpus: Corpus) -> None:
    found = {path.relative_to(ROOT).as_posix(): file_hash(path) for path in data_files(corpus)}
    hint = "Data changed since it was checked: run itukg evidence --sources DIR"
    assert {name: entry["sha256"] for name, entry in RECORD["files"].items()} == found, hint
    assert all(entry["found"] == entry["looked_for"] for entry in RECORD["files"].values())
    assert sum(entry["looked_for"] for entry in RECORD["files"].values()) > 400


def test_the_record_names_the_documents_that_the_data_describes(corpus: Corpus) -> None:
    described = {
        names.shorten(quad.subject.value): quad.object.value  # type: ignore[union-attr]
        for quad in corpus.quads()
        if quad.predicate.value == names.ITU + "sha256" and isinstance(quad.object, ox.Literal)
    }
    assert {name: entry["sha256"] for name, entry in RECORD["documents"].items()} == described


@pytest.mark.skipif("ITUKG_SOURCES" not in os.environ, reason="needs the source texts: set ITUKG_SOURCES")
def test_the_record_is_what_a_check_against_the_sources_gives(corpus: Corpus) -> None:
    results = check(corpus, Path(os.environ["ITUKG_SOURCES"]))
    assert not [text for result in results for text in result.missed]
    assert record(corpus, results) == RECORD


@pytest.mark.parametrize(
    ("words", "line", "covered"),
    [
        ("First line of it", 1, [1]),
        ("first result; runs on", 3, [3, 4]),
        ("Item one", 3, [3]),
        ("Item one", 1, None),
        ("runs on here", 3, None),
        ("not there", 1, None),
        ("First", 0, None),
        ("First", 9, None),
        ("", 1, None),
    ],
)
def test_a_text_is_found_where_it_begins_after_nfkc_and_with_folded_white_space(
    words: str, line: int, covered: list[int] | None
) -> None:
    lines = SourceText(DOCUMENT.encode()).find(words, line)
    assert (None if lines is None else list(lines)) == covered


@pytest.fixture
def small(tmp_path: Path) -> Corpus:
    """A corpus of one plan, with the text it is read from in `sources/`."""
    shutil.copytree(ROOT / "ontology", tmp_path / "ontology")
    (tmp_path / "sources").mkdir()
    text = tmp_path / "sources" / "any name.txt"
    text.write_text(DOCUMENT)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "small.ttl").write_text(f"""
        @prefix itu: <{names.ITU}> . @prefix rdfs: <{names.PREFIXES["rdfs"]}> .
        @prefix dcterms: <{names.PREFIXES["dcterms"]}> . @prefix skos: <{names.PREFIXES["skos"]}> .
        <urn:d> itu:sha256 "{file_hash(text)}" ; itu:lineCount 4 ; skos:notation "small" .
        <urn:good> rdfs:label "First line"@en ; dcterms:source <urn:d> ; itu:line 1 .
        <urn:bad> rdfs:label "Second line"@en ; itu:line 1 ; dcterms:source <urn:d> .
        <urn:ours> rdfs:label "Our words"@en ; itu:ownWords true ; itu:quote "Item one"@en ; dcterms:source <urn:d> ; itu:line 3 .
    """)
    return Corpus(tmp_path)


@pytest.mark.parametrize(("line", "missed"), [(3, []), (2, ["skos:definition"])])
def test_a_definition_may_begin_on_a_line_of_its_own(small: Corpus, line: int, missed: list[str]) -> None:
    file = small.root / "data" / "small.ttl"
    term = f'rdfs:label "First"@en ; skos:definition "Item one"@en ; itu:line 1 ; itu:definitionLine {line}'
    file.write_text(
        file.read_text().replace('<urn:bad> rdfs:label "Second line"@en ; itu:line 1', f"<urn:term> {term}")
    )
    assert "urn:term" in file.read_text()
    [result] = check(small, small.root / "sources")
    assert [names.shorten(text.property) for text in result.missed] == missed


def test_a_text_counts_for_every_file_that_says_something_of_its_thing(small: Corpus) -> None:
    aside = small.root / "data" / "aside.ttl"
    aside.write_text(f'@prefix rdfs: <{names.PREFIXES["rdfs"]}> .\n<urn:good> rdfs:label "Forged"@en .\n')
    files = record(small, check(small, small.root / "sources"))["files"]
    assert (files["data/aside.ttl"]["looked_for"], files["data/aside.ttl"]["found"]) == (2, 1)


def test_a_text_that_is_not_there_is_named_and_counted_and_own_words_are_not_looked_for(small: Corpus) -> None:
    [result] = check(small, small.root / "sources")
    assert [text.thing for text in result.missed] == ["urn:bad"]
    assert sorted(text.thing for text in result.found) == ["urn:good", "urn:ours"]
    assert [(line.line, line.words) for line in result.unexplained] == [(4, "runs on here")]
    assert record(small, [result])["files"]["data/small.ttl"] | {"sha256": ""} == {
        "sha256": "",
        "looked_for": 3,
        "found": 2,
    }


def test_a_document_of_which_there_is_no_copy_is_named(small: Corpus, tmp_path: Path) -> None:
    (tmp_path / "sources" / "any name.txt").write_text("Another edition")
    with pytest.raises(NotFound, match=r"document small.*--sources"):
        check(small, tmp_path / "sources")


def test_every_line_that_produced_nothing_has_a_reason() -> None:
    assert len(RECORD["documents"]) == 5
    assert {name: entry["unexplained"] for name, entry in RECORD["documents"].items() if entry["unexplained"]} == {}


@pytest.mark.skipif("ITUKG_SOURCES" not in os.environ, reason="needs the source texts: set ITUKG_SOURCES")
def test_a_line_with_a_code_or_a_bullet_is_never_narrative(corpus: Corpus) -> None:
    narrative = [
        line
        for result in check(corpus, Path(os.environ["ITUKG_SOURCES"]))
        for line in result.uncovered
        if line.reason == "narrative"
    ]
    assert len(narrative) > 100
    coded = r"^[·•\u2013-]\s|\bC(?:[1-9]|1[01])\b|\b(?:[1-9]|1[0-7])\.(?:[1-9a-d]|1\d)\.\d\b|\bSDG \d|\bResolution \d"
    assert [line for line in narrative if re.search(coded, line.words)] == []


def test_a_reason_that_is_none_and_a_line_with_two_are_refused(small: Corpus) -> None:
    path = small.root / "data" / "uncovered" / "small.csv"
    path.parent.mkdir()
    for rows, words in (
        ("4,4,boring,", "none of"),
        ("4,4,detail,", "without a note"),
        ("4,4,residue,\n3,4,residue,", "two reasons"),
    ):
        path.write_text(f"first,last,reason,note\n{rows}\n")
        with pytest.raises(DataError, match=words):
            check(small, small.root / "sources")
    path.write_text("first,last,reason,note\n4,4,residue,\n")
    [result] = check(small, small.root / "sources")
    assert result.unexplained == []
    assert "1 residue" in write_text([result])
    assert b"runs on here" in write_table([result])
    assert b"runs on here" in write_page([result])
