"""The mapping sets of a release say what its links say, and are SSSOM by the validator of its makers."""

import csv
import json
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pyoxigraph as ox
import pytest
from conftest import ROOT, run_command
from fastapi.testclient import TestClient
from test_cli import prints

from itukg import names
from itukg.corpus import Corpus
from itukg.release.mappings import CONFIDENCE, EXTENSIONS, write_mappings
from itukg.release.model import Release
from itukg.sssom import MappingSet, read_tsv

PROPOSALS = ("proposals-bap-2026-2029",)
SETS = ("indicator-sdg", "plan-plan", "plan-sdg", "plan-wsis", "wsis-sdg")
VALIDATOR = "sssom==0.4.21"


@pytest.fixture(scope="module")
def sets(release: Release) -> dict[str, MappingSet]:
    return {name: read_tsv(release.files[f"{name}.sssom.tsv"].path) for name in SETS}


@pytest.fixture(scope="module")
def links(release: Release) -> list[dict[str, str]]:
    return [*csv.DictReader(StringIO(release.files["links.csv"].read().decode()))]


def iri(curie: str, mappings: MappingSet) -> str:
    curie_map: Any = mappings.metadata["curie_map"]
    prefix, _, local = curie.partition(":")
    return str(curie_map[prefix]) + local


def wanted(link: dict[str, str]) -> str | None:
    """The set that a link belongs to, told from links.csv."""
    to_sdg = link["object"].startswith(names.SDG)
    if link["property"].endswith("Match"):
        return "indicator-sdg" if to_sdg else None
    if link["plan"]:
        if to_sdg:
            return "plan-sdg"
        if link["object"].startswith(names.THINGS + "wsis/C"):
            return "plan-wsis"
        return "plan-plan" if link["property"] in ("restates", "revises", "merges", "splits", "succeeds") else None
    return "wsis-sdg" if link["subject"].startswith(names.THINGS + "wsis/C") and to_sdg else None


@pytest.mark.parametrize("name", SETS)
def test_a_set_has_a_row_for_each_of_its_links(
    name: str, sets: dict[str, MappingSet], links: list[dict[str, str]]
) -> None:
    expected = sorted(
        (link["subject"], link["property"], link["object"], link["basis"]) for link in links if wanted(link) == name
    )
    found = sorted(
        (
            iri(row["subject_id"], sets[name]),
            row.get("link_property", row["predicate_id"]).partition(":")[2],
            iri(row["object_id"], sets[name]),
            row["basis"].removeprefix("itu:"),
        )
        for row in sets[name].rows
    )
    assert found == expected
    assert len(found) > 10


def test_every_query_of_the_folder_is_a_set(corpus: Corpus, release: Release) -> None:
    assert tuple(query.name for query in corpus.mappings()) == SETS
    written = {f"{name}.sssom.{suffix}" for name in (*SETS, *PROPOSALS) for suffix in ("tsv", "jsonld")}
    assert {name for name, file in release.files.items() if file.is_sssom} == written


def test_the_documentation_names_every_set_predicate_and_column_of_ours(sets: dict[str, MappingSet]) -> None:
    text = (ROOT / "docs" / "mappings.md").read_text()
    rows = re.findall(r"^\| `([\w-]+)` \| .+? \| (.+) \|$", text, re.MULTILINE)
    assert sorted(name for name, _ in rows) == [*SETS]
    for name, predicates in rows:
        used = {row["predicate_id"].partition(":")[2] for row in sets[name].rows}
        assert {each.partition(":")[2] or each for each in re.findall(r"`([\w:]+)`", predicates)} == used
    for extension in EXTENSIONS:
        assert f"`{extension['slot_name']}`" in text
    for number in CONFIDENCE.values():
        assert number in text


def test_a_link_to_a_whole_is_left_out_and_counted(sets: dict[str, MappingSet], links: list[dict[str, str]]) -> None:
    for name, whole in (("plan-sdg", "sdg/all"), ("plan-wsis", "wsis/all"), ("wsis-sdg", "sdg/all")):
        left_out = [link for link in links if link["object"] == names.THINGS + whole and link["plan"]]
        count = len(left_out) if name.startswith("plan") else 0
        assert f"no mapping to each of its parts: {count}." in str(sets[name].metadata["comment"])
        assert len(left_out) == 1
    assert not [row for each in sets.values() for row in each.rows if row["object_id"].endswith("/all")]


def test_a_link_is_justified_by_its_basis(sets: dict[str, MappingSet]) -> None:
    justified = {(row["basis"], row["mapping_justification"]) for each in sets.values() for row in each.rows}
    assert justified == {
        ("itu:stated", "semapv:ManualMappingCuration"),
        ("itu:judged", "semapv:ManualMappingCuration"),
        ("itu:derived", "semapv:MappingChaining"),
        ("itu:reference", "semapv:UnspecifiedMatching"),
    }


def test_only_a_match_is_called_one(sets: dict[str, MappingSet]) -> None:
    predicates = {name: {row["predicate_id"] for row in each.rows} for name, each in sets.items()}
    assert predicates["plan-sdg"] == {"itu:contributesToSDG", "itu:contributesToSDGTarget", "itu:linkedToSDGIndicator"}
    assert predicates["plan-wsis"] == {"itu:contributesToActionLine", "itu:supportedBy"}
    assert predicates["wsis-sdg"] == {"itu:contributesToSDG", "itu:contributesToSDGTarget"}
    assert predicates["indicator-sdg"] == {"skos:exactMatch", "skos:closeMatch"}
    pairs = {(row["link_property"], row["predicate_id"]) for row in sets["plan-plan"].rows}
    assert pairs == {
        ("itu:restates", "skos:exactMatch"), ("itu:restates", "skos:closeMatch"), ("itu:revises", "skos:closeMatch"),
        ("itu:merges", "skos:narrowMatch"), ("itu:splits", "skos:broadMatch"), ("itu:succeeds", "skos:relatedMatch"),
    }  # fmt: skip


def test_an_exact_match_has_the_same_words(sets: dict[str, MappingSet], release: Release) -> None:
    said = "itu:sameWords true"
    store = ox.Store()
    store.bulk_load(path=release.dataset, format=ox.RdfFormat.N_QUADS)
    for row in sets["plan-plan"].rows:
        if row["link_property"] == "itu:restates":
            same = store.query(f"{names.PROLOGUE} ASK {{ GRAPH ?graph {{ <{row['see_also']}> {said} }} }}")
            assert bool(same) == (row["predicate_id"] == "skos:exactMatch"), row


def test_what_merges_several_is_the_broader_and_what_is_one_of_several_the_narrower(
    sets: dict[str, MappingSet],
) -> None:
    rows = sets["plan-plan"].rows
    # skos:narrowMatch: the object is narrower; the newer thing takes in several of the older plan.
    merged = [(row["subject_id"], row["object_source"]) for row in rows if row["predicate_id"] == "skos:narrowMatch"]
    assert len(merged) - len({*merged}) > 20
    # skos:broadMatch: the object is broader; several things of the newer plan come from it.
    parted = [(row["object_id"], row["subject_source"]) for row in rows if row["predicate_id"] == "skos:broadMatch"]
    assert len(parted) - len({*parted}) > 5


def test_confidence_is_the_readers_and_only_where_a_reader_judged(sets: dict[str, MappingSet]) -> None:
    rows = [row for each in sets.values() for row in each.rows]
    given = {(row["confidence_level"], row["confidence"]) for row in rows if row["basis"] == "itu:judged"}
    assert {("high", "0.9"), ("medium", "0.6")} <= given <= {("high", "0.9"), ("medium", "0.6"), ("low", "0.3")}
    assert not [row for row in rows if "confidence" in row and row["basis"] != "itu:judged"]
    for each in sets.values():
        judged = any("confidence" in row for row in each.rows)
        assert ("high as 0.9, medium as 0.6, low as 0.3" in str(each.metadata["comment"])) == judged


def test_what_is_stated_is_quoted_with_its_place(sets: dict[str, MappingSet], links: list[dict[str, str]]) -> None:
    stated: dict[tuple[str, ...], list[str]] = {}
    for link in links:
        if link["basis"] == "stated":
            words = f"“{link['quote']}” ({link['document']}, {link['section']}, line {link['line']})"
            ends = (
                link["subject"],
                f"itu:{link['property']}",
                link["object"],
                f"{names.THINGS}document/{link['document']}",
            )
            stated.setdefault(ends, []).append(words)
    rows = [
        (name, row) for name in ("plan-sdg", "plan-wsis") for row in sets[name].rows if row["basis"] == "itu:stated"
    ]
    for name, row in rows:
        subject, object_ = (iri(row[end], sets[name]) for end in ("subject_id", "object_id"))
        known = stated[subject, row["predicate_id"], object_, row["mapping_provider"]]
        assert any(row["comment"].startswith(words) for words in known), row
    assert len(rows) > 500


def test_what_is_derived_names_its_rule_and_leads_to_its_linkage(
    sets: dict[str, MappingSet], client: TestClient, corpus: Corpus
) -> None:
    rules = {f"{rule.name.lstrip('0123456789-')}: {rule.summary}" for rule in corpus.rules()}
    derived = [row for each in sets.values() for row in each.rows if row["basis"] == "itu:derived"]
    used = {row["curation_rule_text"] for row in derived}
    assert used <= rules
    assert len(used) > 2
    thing = client.get(derived[0]["see_also"].removeprefix(names.BASE.removesuffix("/"))).json()
    assert (thing["id"], thing["rule"]) == (derived[0]["see_also"], derived[0]["curation_rule_text"].partition(":")[0])


def test_both_ends_have_label_class_and_source(sets: dict[str, MappingSet]) -> None:
    checked = 0
    for each in sets.values():
        for row in each.rows:
            for end in ("subject", "object"):
                assert row[f"{end}_label"] and row[f"{end}_category"] and row[f"{end}_source"]
                if row[f"{end}_source"] not in ("un:sdg", "itukg:wsis"):
                    assert row[f"{end}_source_version"]
                checked += 1
    assert checked > 7000
    versions = {row["object_source"]: row["object_source_version"] for row in sets["plan-plan"].rows}
    assert versions["itukg:sp-2020-2023"] == "draft, C18/64 Add.1, 18 April 2018"


@pytest.mark.parametrize("name", SETS)
def test_a_set_names_itself_its_release_and_its_license(
    name: str, sets: dict[str, MappingSet], release: Release, corpus: Corpus
) -> None:
    metadata = sets[name].metadata
    assert metadata["mapping_set_id"] == f"{names.DATA}{release.name}/{name}.sssom.tsv"
    assert (metadata["mapping_set_version"], metadata["license"]) == (release.name, names.LICENSE)
    [query] = [each for each in corpus.mappings() if each.name == name]
    assert metadata["mapping_set_title"] == query.summary
    assert "mapping_date" not in metadata  # the same files give the same bytes


@pytest.mark.parametrize("name", SETS)
def test_the_jsonld_has_the_same_mappings(name: str, sets: dict[str, MappingSet], release: Release) -> None:
    store = ox.Store()
    store.load(release.files[f"{name}.sssom.jsonld"].read(), format=ox.RdfFormat.JSON_LD)
    found = store.query(
        names.PROLOGUE
        + "SELECT ?s ?p ?o ?b WHERE { ?axiom owl:annotatedSource ?s ; owl:annotatedProperty ?p ; owl:annotatedTarget ?o ; itu:basis ?b }"
    )
    assert isinstance(found, ox.QuerySolutions)
    columns = ("subject_id", "predicate_id", "object_id", "basis")
    expected = sorted([iri(row[column], sets[name]) for column in columns] for row in sets[name].rows)
    assert sorted([term.value for term in solution] for solution in found) == expected
    assert len(expected) > 10


def test_strength_and_breadth_of_derived_links_have_columns(corpus: Corpus, tmp_path: Path) -> None:
    text = f"""{names.PROLOGUE.replace("PREFIX", "@prefix").replace(">", "> .")}
        @base <{names.THINGS}> .
        {{ <p/o/1> a itu:Thing ; rdfs:label "One" ; itu:plan <p> . sdg:1 a sdgo:Goal ; rdfs:label "No poverty" . }}
        <urn:g> {{ <p/o/1> a itu:Thing . sdg:1 a sdgo:Goal .
          <l> itu:subject <p/o/1> ; itu:predicate itu:contributesToSDG ; itu:object sdg:1 ; itu:basis itu:derived ;
            itu:rule "other" ; itu:strength "loose" ; itu:broad true . }}"""
    store = ox.Store()
    store.load(text.encode(), format=ox.RdfFormat.TRIG)
    write_mappings(tmp_path, store, corpus.mappings(), [], "name")
    read = read_tsv(tmp_path / "plan-sdg.sssom.tsv")
    [row] = read.rows
    assert (row["strength"], row["broad"], row["curation_rule_text"]) == ("loose", "true", "other")
    assert read_tsv(tmp_path / "plan-plan.sssom.tsv").rows == []


def test_a_set_is_served_summed_and_in_the_catalog(client: TestClient, release: Release, home: Path) -> None:
    for suffix, media_type in ((".tsv", "text/tab-separated-values"), (".jsonld", "application/ld+json")):
        name = f"wsis-sdg.sssom{suffix}"
        reply = client.get(f"/data/latest/{name}")
        assert reply.headers["content-type"].partition(";")[0] == media_type
        assert f"  {name}\n" in client.get("/data/latest/SHA256SUMS").text
        assert name in client.get("/data/latest", headers={"accept": "text/html"}).text
        assert prints(run_command("export", name, ITUKG_HOME=home)).encode() == reply.content
    stated = client.get("/catalog.nt").text
    for name in (*SETS, *PROPOSALS):
        file = f"<{names.DATA}{release.name}/{name}.sssom.tsv>"
        assert f"{file} <{names.PREFIXES['dcterms']}conformsTo> <{names.SSSOM}> ." in stated


@pytest.mark.parametrize("name", PROPOSALS)
def test_proposals_are_a_set_of_the_release_and_in_no_graph(
    name: str, release: Release, corpus: Corpus, client: TestClient, home: Path
) -> None:
    [file] = [path for path in corpus.proposals() if f"proposals-{path.name}" == f"{name}.sssom.tsv"]
    read, shipped = read_tsv(release.files[f"{name}.sssom.tsv"].path), read_tsv(file)
    assert read.rows == shipped.rows
    assert len(read.rows) > 500
    assert read.metadata["mapping_set_id"] == f"{names.DATA}{release.name}/{name}.sssom.tsv"
    assert read.metadata["mapping_set_version"] == release.name
    assert f"{len(read.rows)} rows: {len(read.rows)} open, 0 accepted" in str(read.metadata["comment"])
    store = ox.Store()
    store.load(release.files[f"{name}.sssom.jsonld"].read(), format=ox.RdfFormat.JSON_LD)
    found = store.query(
        names.PROLOGUE
        + "SELECT ?s ?p ?o { ?a owl:annotatedSource ?s ; owl:annotatedProperty ?p ; owl:annotatedTarget ?o }"
    )
    assert isinstance(found, ox.QuerySolutions)
    links = sorted([term.value for term in solution] for solution in found)
    assert links == sorted(
        [iri(row[f"{end}_id"], read) for end in ("subject", "predicate", "object")] for row in read.rows
    )
    for suffix in ("tsv", "jsonld"):
        address = f"{name}.sssom.{suffix}"
        reply = client.get(f"/data/latest/{address}")
        assert prints(run_command("export", address, ITUKG_HOME=home)).encode() == reply.content
        assert f"  {address}\n" in client.get("/data/latest/SHA256SUMS").text
        assert address in client.get("/data/latest", headers={"accept": "text/html"}).text
    assert "proposals#" not in release.dataset.read_text()
    for page in ("mappings", "releases", "proposals"):
        assert f"`{name}" in (ROOT / "docs" / f"{page}.md").read_text(), page


@pytest.mark.exhaustive
def test_the_makers_of_sssom_find_every_set_valid_and_read_every_row(release: Release, tmp_path: Path) -> None:
    def run(*command: str | Path) -> str:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run(sys.executable, "-m", "venv", tmp_path / "env")
    run(tmp_path / "env/bin/pip", "install", "--quiet", VALIDATOR)
    sssom = tmp_path / "env/bin/sssom"
    for name in (*SETS, *PROPOSALS):
        path = release.files[f"{name}.sssom.tsv"].path
        run(sssom, "validate", path)
        read = json.loads(run(sssom, "convert", path, "--output-format", "json"))
        assert len(read["mappings"]) == len(read_tsv(path).rows)
