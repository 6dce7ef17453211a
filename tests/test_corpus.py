"""The files: each a graph, read with clear errors, in one style."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyoxigraph as ox
import pytest

from itukg import names
from itukg.corpus import Corpus
from itukg.errors import DataError
from itukg.rdf.parse import canonical_hash, read_rdf

ROOT = Path(__file__).parents[1]
TURTLE_FILES = sorted(path for folder in ("data", "ontology", "shapes") for path in (ROOT / folder).rglob("*.ttl"))

# The order in which a block says things; links, which stand between, keep the document's own order.
FIRST = ("skos:notation", "rdfs:label", "itu:ownWords", "skos:altLabel", "skos:definition", "itu:mandate", "itu:plan")
LAST = ("dcterms:source", "itu:section", "itu:line", "itu:definitionLine")


@pytest.fixture
def copy(tmp_path: Path) -> Corpus:
    for folder in ("data", "ontology", "shapes", "queries"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return Corpus(tmp_path)


def test_one_file_of_data_is_one_graph(corpus: Corpus) -> None:
    graphs = list(corpus.files().values())
    assert {"buap-2018-2021", "instruments", "ontology", "organizations", "sdg", "shapes", "wsis"} <= {*graphs}
    data = [graph for graph in graphs if graph not in ("ontology", "shapes")]
    assert len(data) == len(set(data)) >= 10


def test_a_syntax_error_names_file_line_and_reason(copy: Corpus) -> None:
    path = copy.root / "data" / "schemes" / "wsis.ttl"
    broken = path.read_text().replace('rdfs:label "Media"@en ;', 'rdfs:label "Media@en ;')
    line = broken[: broken.index('"Media@en')].count("\n") + 1
    path.write_text(broken)
    with pytest.raises(DataError, match=rf"wsis\.ttl, line {line}, column 27: .+"):
        list(copy.quads())


def test_an_empty_folder_is_refused_with_a_reason(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="ITUKG_CORPUS"):
        Corpus(tmp_path).files()


def test_rdf_xml_with_a_doctype_is_not_read(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.rdf"
    bomb.write_text('<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "b">]><r/>')
    with pytest.raises(DataError, match="DOCTYPE"):
        list(read_rdf(bomb, "urn:g"))


@pytest.mark.parametrize(
    "file",
    [
        "data/schemes/sdg.ttl",
        "queries/auditors/misprints.rq",
        "queries/exports/links.rq",
        "queries/rules/1-lift.rq",
        "data/proposals/bap-2026-2029.sssom.tsv",
    ],
)
def test_the_fingerprint_changes_with_a_file_and_with_nothing_else(copy: Corpus, corpus: Corpus, file: str) -> None:
    (copy.root / "queries" / "README.md").write_text("Not part of a release.")
    assert copy.fingerprint() == corpus.fingerprint()
    path = copy.root / file
    path.write_text(path.read_text() + "\n")
    assert copy.fingerprint() != corpus.fingerprint()


def test_the_canonical_hash_does_not_depend_on_order_or_blank_node_labels() -> None:
    def quads(*lines: str) -> list[ox.Quad]:
        return list(ox.parse("\n".join(lines), format=ox.RdfFormat.N_QUADS))

    one, two = "<urn:s> <urn:p> _:a .", "_:a <urn:p> <urn:o> ."
    assert canonical_hash(quads(one, two)) == canonical_hash(
        quads(two.replace("_:a", "_:x"), one.replace("_:a", "_:x"))
    )
    assert canonical_hash(quads(one)) != canonical_hash(quads(two))


def test_all_turtle_stands_in_one_canonical_style() -> None:
    assert len(TURTLE_FILES) > 100
    command = Path(sys.executable).with_name("turtlefmt")
    checked = subprocess.run([command, "--check", *TURTLE_FILES], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr + checked.stdout


def test_prefixes_are_those_of_the_table_and_all_are_used() -> None:
    known = names.PREFIXES
    for path in TURTLE_FILES:
        text = path.read_text()
        declared = dict(re.findall(r"^@prefix (\w+): <([^>]*)> \.$", text, re.MULTILINE))
        assert declared == {prefix: known[prefix] for prefix in sorted(declared)}, path
        assert list(declared) == sorted(declared), path
        bare = re.sub(r'"(?:[^"\\]|\\.)*"|<[^>]*>|^@prefix.*$', "", text, flags=re.MULTILINE)
        assert set(declared) <= set(re.findall(r"\b(\w+):", bare)), path


def test_a_block_says_its_things_in_one_order_and_nothing_is_a_blank_node() -> None:
    blocks = 0
    for path in sorted((ROOT / "data").rglob("*.ttl")):
        for block in path.read_text().split("\n\n")[1:]:
            lines = [line.split()[0] for line in block.splitlines() if line.startswith("    ")]
            order = {name: place for place, name in enumerate((*FIRST, "", *LAST))}
            places = [order.get(name, order[""]) for name in lines]
            assert places == sorted(places), f"{path}:\n{block}"
            assert "[" not in re.sub(r'"(?:[^"\\]|\\.)*"', "", block), f"{path}:\n{block}"
            blocks += 1
    assert blocks > 700
