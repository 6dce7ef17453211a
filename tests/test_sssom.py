"""SSSOM files are read and written without loss, and what is wrong in one is named with its place."""

from io import BytesIO
from itertools import permutations
from pathlib import Path

import pyoxigraph as ox
import pytest

from itukg import names
from itukg.errors import DataError
from itukg.sssom import MappingSet, joined, read_tsv, split, write_jsonld, write_tsv
from itukg.sssom.model import OF_SETS, SLOTS

HEAD = """\
#curie_map:
#  ex: https://example.org/
#mapping_set_id: https://example.org/set
"""
COLUMNS = "subject_id\tpredicate_id\tobject_id\tmapping_justification"
ROW = "ex:a\tskos:closeMatch\tex:b\tsemapv:ManualMappingCuration"


def row(**slots: str) -> dict[str, str]:
    required = dict(zip(COLUMNS.split("\t"), ROW.split("\t"), strict=True))
    return required | slots


def a_set(*rows: dict[str, str], **metadata: object) -> MappingSet:
    known: dict[str, object] = {
        "curie_map": {"ex": "https://example.org/"},
        "mapping_set_id": "https://example.org/set",
        "license": names.LICENSE,
    }
    return MappingSet(known | metadata, list(rows))


def again(mappings: MappingSet, folder: Path) -> MappingSet:
    path = folder / "set.sssom.tsv"
    path.write_bytes(write_tsv(mappings))
    return read_tsv(path)


AWKWARD = [
    "a\ttab", "two\nlines", "two\r\nlines", 'a "quoted" word', '"', "# no comment", " blanks ", "a|b", "back\\slash", "\u2028",
    "é→ü", "'single'", "key: value", "1e5", "0x1f", "null", "yes", "2024-01-01", "- dash", "{brace}", "a #b", "\ufeff",
]  # fmt: skip


@pytest.mark.parametrize("text", AWKWARD)
def test_any_text_survives_in_a_cell_and_in_the_metadata(text: str, tmp_path: Path) -> None:
    assert len(AWKWARD) == 22
    definition = {"slot_name": "note", "property": "ex:note"}
    mappings = a_set(row(comment=text, note=text), comment=text, extension_definitions=[definition])
    read = again(mappings, tmp_path)
    assert read.rows == mappings.rows
    assert read.metadata["comment"] == text


@pytest.mark.parametrize("values", [["a"], ["a", "b"], ["a|b", "c\\"], ["\\|", "\\\\", "d\\e"]])
def test_several_values_of_a_slot_are_told_apart(values: list[str], tmp_path: Path) -> None:
    assert split(joined(values)) == values
    read = again(a_set(row(author_label=joined(values)), creator_label=values), tmp_path)
    assert split(read.rows[0]["author_label"]) == values
    assert read.metadata["creator_label"] == values


def test_the_same_set_gives_the_same_bytes_in_whatever_order_its_rows_are() -> None:
    rows = [row(), row(object_id="ex:c"), row(subject_id="ex:0")]
    written = {write_tsv(a_set(*each)) for each in permutations(rows)}
    assert len(written) == 1
    [content] = written
    assert [line.split(b"\t")[0] for line in content.splitlines()[-3:]] == [b"ex:0", b"ex:a", b"ex:a"]
    assert len({write_jsonld(a_set(*each)) for each in permutations(rows)}) == 1


def test_metadata_and_columns_are_in_the_order_of_the_specification() -> None:
    slots = [slot.name for slot in SLOTS]
    mappings = a_set(row(comment="c", confidence="0.9", subject_label="A"), mapping_set_title="T")
    lines = write_tsv(mappings).decode().splitlines()
    columns = lines[-2].split("\t")
    assert columns == [name for name in slots if name in columns]
    assert columns[:2] == ["subject_id", "subject_label"]
    keys = [line[1:].partition(":")[0] for line in lines if line.startswith("#") and not line.startswith("# ")]
    assert keys == ["curie_map", "mapping_set_id", "mapping_set_title", "license"]
    assert len(slots) == len({*slots}) == 50
    assert len(OF_SETS) == 38 - 1  # all slots of a set but the mappings


def test_what_all_rows_share_stands_in_the_metadata_once_and_is_read_into_each_row(tmp_path: Path) -> None:
    mappings = a_set(
        row(subject_source="ex:plan", object_source="ex:1"),
        row(object_id="ex:c", subject_source="ex:plan", object_source="ex:2"),
    )
    text = write_tsv(mappings).decode()
    assert "#subject_source: ex:plan\n" in text
    assert text.count("ex:plan") == 1
    read = again(mappings, tmp_path)
    assert read.rows == mappings.rows
    assert "subject_source" not in read.metadata


def test_only_prefixes_and_extensions_that_are_used_are_declared() -> None:
    mappings = a_set(
        row(basis="ex:stated"),
        curie_map={"ex": "https://example.org/", "unused": "https://example.org/unused/"},
        extension_definitions=[
            {"slot_name": "strength", "property": "ex:strength"},
            {"slot_name": "basis", "property": "ex:basis", "type_hint": "linkml:Uriorcurie"},
        ],
    )
    text = write_tsv(mappings).decode()
    assert "unused" not in text
    assert "strength" not in text
    assert f"#  linkml: {names.LINKML}\n#  semapv: {names.SEMAPV}\n#  skos: " in text
    assert "#extension_definitions:\n#  - slot_name: basis\n#    property: ex:basis\n#    type_hint: linkml:" in text
    assert text.splitlines()[-2].endswith("\tbasis")


def test_a_set_without_rows_is_written_with_the_columns_that_each_row_needs(tmp_path: Path) -> None:
    assert write_tsv(a_set()).decode().splitlines()[-1] == COLUMNS
    assert again(a_set(subject_source="ex:plan"), tmp_path).metadata["subject_source"] == "ex:plan"


def test_the_jsonld_is_the_rdf_of_the_specification() -> None:
    mappings = a_set(
        row(
            confidence="0.9",
            comment="why",
            basis="ex:stated",
            predicate_modifier="Not",
            see_also="https://example.org/l",
        ),
        mapping_date="2026-01-02",
        mapping_set_title="A set",
        extension_definitions=[{"slot_name": "basis", "property": "ex:basis", "type_hint": "linkml:Uriorcurie"}],
    )
    store = ox.Store()
    store.bulk_load(BytesIO(write_jsonld(mappings)), format=ox.RdfFormat.JSON_LD)
    asked = """
        PREFIX ex: <https://example.org/>
        PREFIX linkml: <https://w3id.org/linkml/>
        PREFIX sssom: <https://w3id.org/sssom/>
        PREFIX semapv: <https://w3id.org/semapv/vocab/>
        ASK {
          ex:set a sssom:MappingSet ; dcterms:title "A set" ; dcterms:created "2026-01-02"^^xsd:date ;
            dcterms:license <https://www.apache.org/licenses/LICENSE-2.0> ;
            sssom:extension_definitions [ sssom:slot_name "basis" ; sssom:property ex:basis ; sssom:type_hint linkml:Uriorcurie ] ;
            sssom:mappings [ a owl:Axiom ; owl:annotatedSource ex:a ; owl:annotatedProperty skos:closeMatch ;
              owl:annotatedTarget ex:b ; sssom:mapping_justification semapv:ManualMappingCuration ; sssom:confidence ?number ;
              rdfs:comment "why" ; rdfs:seeAlso ex:l ; ex:basis ex:stated ; sssom:predicate_modifier sssom:NegatedPredicate ] .
          FILTER (datatype(?number) = xsd:double && ?number = 0.9)
        }"""
    assert bool(store.query(names.PROLOGUE + asked)), [*map(str, store)]
    assert not [*store.quads_for_pattern(None, ox.NamedNode(names.SSSOM + "curie_map"), None)]


BAD = {
    "no metadata and no columns": ("", 1, "no column subject_id"),
    "metadata that is no YAML": ("#a: b\n#c: 'd\n#e: '\n#f\n" + COLUMNS, 4, "must be YAML"),
    "metadata that is no map": ("#a text\n" + COLUMNS, 1, "The metadata is no map"),
    "a curie_map that is no map": ("#mapping_set_id: x\n#curie_map: ex\n" + COLUMNS, 2, "curie_map is no map"),
    "an unknown slot in the metadata": (HEAD + "#titel: T\n" + COLUMNS, 4, '"titel" is no slot of SSSOM'),
    "an extension without a name": (HEAD + "#extension_definitions:\n#- property: ex:a\n" + COLUMNS, 4, "slot_name"),
    "a built-in prefix with another meaning": ("#curie_map: {skos: 'x:'}\n" + COLUMNS, 1, "skos is <http"),
    "an unknown prefix in the metadata": (HEAD + "#subject_source: no:plan\n" + COLUMNS, 1, 'Add "no: IRI"'),
    "an unknown column": (HEAD + COLUMNS + "\tstate\n", 4, '"state" is no slot of SSSOM'),
    "a column twice": (HEAD + COLUMNS + "\tobject_id\n", 4, "stands there twice"),
    "a column that is missing": (HEAD + "subject_id\tobject_id\n", 4, "no column predicate_id, mapping_justification"),
    "a cell too many": (f"{HEAD}{COLUMNS}\n{ROW}\n{ROW}\tx\n", 6, "5 cells below 4 columns"),
    "a cell that is missing": (f"{HEAD}{COLUMNS}\nex:a\t\tex:b\tsemapv:MappingChaining\n", 5, "no predicate_id"),
    "an unknown prefix": (f"{HEAD}{COLUMNS}\n{ROW}\n{ROW.replace('ex:b', 'no:b')}\n", 6, 'The prefix of "no:b"'),
    "an IRI for a CURIE": (f"{HEAD}{COLUMNS}\n{ROW.replace('ex:b', 'https://example.org/b')}\n", 5, "is no CURIE"),
    "a quote that is not closed": (f'{HEAD}{COLUMNS}\tcomment\n{ROW}\t"a\nb\n', 5, "double quotes"),
    "a cell without an end": (f'{HEAD}{COLUMNS}\tcomment\n{ROW}\t"{"a" * 131_072}\n', 5, "a cell has more than 131,072 characters. Shorten"),
    "a line of the head without an end": (f"{HEAD}#comment: {'a' * 131_072}\n{COLUMNS}\n", 4, "a cell has more than 131,072 characters"),
    "a carriage return in the head": (f"{HEAD}#comment: a\rb\n{COLUMNS}\n", 4, "a carriage return stands within a line"),
    "a control character": (f"{HEAD}{COLUMNS}\tcomment\n{ROW}\ta\x01b\n", 5, "comment: the character U+0001"),
    "a character that is none": (f"{HEAD}{COLUMNS}\tcomment\n{ROW}\ta\ufffe\n", 5, "comment: the character U+FFFE"),
    "a row after a cell of two lines": (f'{HEAD}{COLUMNS}\tcomment\n{ROW}\t"a\nb"\n{ROW}\n', 7, "4 cells below 5 columns"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_named_with_file_line_and_cure(name: str, tmp_path: Path) -> None:
    assert len(BAD) == 22
    text, line, reason = BAD[name]
    path = tmp_path / "set.sssom.tsv"
    path.write_text(text, newline="")
    with pytest.raises(DataError) as raised:
        read_tsv(path)
    assert str(raised.value).startswith(f"{path}, line {line}: ")
    assert reason in str(raised.value)


def test_a_file_that_is_not_there_and_one_that_is_not_utf8_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.tsv, line 1: No such file"):
        read_tsv(tmp_path / "none.tsv")
    (tmp_path / "latin.tsv").write_bytes("#comment: é".encode("latin-1"))
    with pytest.raises(DataError, match=r"latin\.tsv, line 1: .* Save it as UTF-8"):
        read_tsv(tmp_path / "latin.tsv")


def test_files_of_spreadsheets_and_of_other_tools_are_read(tmp_path: Path) -> None:
    path = tmp_path / "set.sssom.tsv"
    text = f"# curie_map:\n#   ex: https://example.org/\n# creator_id: ex:me\t\t\t\n{COLUMNS}\n{ROW}\n\n"
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    read = read_tsv(path)
    assert read.rows == [row()]
    assert read.metadata == {"curie_map": {"ex": "https://example.org/"}, "creator_id": ["ex:me"]}


def test_carriage_returns_end_lines_where_they_end_the_first(tmp_path: Path) -> None:
    path = tmp_path / "set.sssom.tsv"
    path.write_bytes(f'{HEAD}{COLUMNS}\tcomment\n{ROW}\t"two|lines"\n'.replace("\n", "\r").replace("|", "\n").encode())
    assert read_tsv(path).rows == [row(comment="two\nlines")]


@pytest.mark.parametrize("write", [write_tsv, write_jsonld])
def test_what_cannot_be_read_is_not_written(write: object) -> None:
    assert callable(write)
    with pytest.raises(DataError, match='"state" is no slot'):
        write(a_set(row(state="open")))
    with pytest.raises(DataError, match='"titel" is no slot'):
        write(a_set(row(), titel="T"))
    with pytest.raises(DataError, match='prefix of "no:b"'):
        write(a_set(row(object_id="no:b")))
