"""Links are proposed with their grounds, decided by a curator, and accepted as judged links."""

import csv
import fcntl
import os
import re
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from time import process_time

import pyoxigraph as ox
import pytest
from conftest import copy_of_corpus, run_command

from benchmarks.proposals import Stated, written
from itukg import names
from itukg.corpus import Corpus
from itukg.errors import DataError
from itukg.proposals.accept import accept
from itukg.proposals.grounds import PREDICATES, RANGES, STRENGTHS, Facts, candidates
from itukg.proposals.propose import CURATORS, NO_GROUND, path_of, propose, renewed, store_of
from itukg.proposals.wording import Wordings
from itukg.release.build import build
from itukg.release.proposals import NOTHING, STATES, key_of, read_proposals
from itukg.sssom import read_tsv

ROOT = Path(__file__).parents[1]
PLAN = "bap-2026-2029"
SHIPPED = ROOT / "data" / "proposals" / f"{PLAN}.sssom.tsv"
Row = dict[str, str]
ROLE = {"state": "accepted", "reviewer_label": "curator", "review_date": "2025-12-01"}


@pytest.fixture(scope="module")
def proposed(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A copy of the files with proposals as the command writes them where there are none."""
    corpus = Corpus(copy_of_corpus(tmp_path_factory.mktemp("proposed")))
    path_of(corpus, PLAN).unlink()
    done = run_command("propose", PLAN, ITUKG_CORPUS=corpus.root)
    assert done.returncode == 0, done.stderr
    return corpus


@pytest.fixture(scope="module")
def store(proposed: Corpus) -> ox.Store:
    return store_of(proposed)


@pytest.fixture(scope="module")
def facts(store: ox.Store) -> Facts:
    return Facts(store)


@pytest.fixture
def curated(proposed: Corpus, tmp_path: Path) -> Corpus:
    """A copy of that to decide in."""
    return Corpus(Path(shutil.copytree(proposed.root, tmp_path / "corpus")))


@pytest.fixture(scope="module")
def rows(proposed: Corpus) -> list[Row]:
    return read_tsv(path_of(proposed, PLAN)).rows


def edited(corpus: Corpus, change: Callable[[Row], Row], which: int = 0) -> tuple[Path, int]:
    """Change one candidate as a spreadsheet would, and return the file and the line of the row."""
    path = path_of(corpus, PLAN)
    with path.open(newline="") as file:
        lines = [*csv.reader(file, delimiter="\t")]
    head = next(number for number, cells in enumerate(lines) if cells[0] == "subject_id")
    places = [number for number, cells in enumerate(lines) if number > head and NOTHING not in cells]
    line = places[which]
    row = change(dict(zip(lines[head], lines[line], strict=True)))
    for name in row.keys() - {*lines[head]}:
        lines = [*lines[:head], *([*cells, name if number == 0 else ""] for number, cells in enumerate(lines[head:]))]
    lines[line] = [row[name] for name in lines[head]]
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter="\t", lineterminator="\r\n").writerows(lines)
    return path, line + 1


# --- propose ---


def test_the_proposals_that_are_shipped_are_what_the_command_writes_and_all_open(proposed: Corpus) -> None:
    assert SHIPPED.read_bytes() == path_of(proposed, PLAN).read_bytes(), f"Write it again: itukg propose {PLAN}"
    assert {row["state"] for row in read_tsv(SHIPPED).rows} == {"open"}


def test_a_candidate_tells_its_grounds_and_there_are_ten_at_most_the_strongest_first(rows: list[Row]) -> None:
    found = [row for row in rows if row["object_id"] != NOTHING]
    assert len(found) > 500
    for row in found:
        assert 0 < float(row["strength"]) <= 1
        assert re.search(r"line \d+\)|the text of|the WSIS-SDG Matrix|is matched with", row["grounds"]), row
        assert row["subject_label"] and row["object_label"]
    for group in {key_of(row)[:2] for row in found}:
        ranked = sorted((row for row in found if key_of(row)[:2] == group), key=lambda row: int(row["rank"]))
        assert [int(row["rank"]) for row in ranked] == [*range(1, len(ranked) + 1)]
        assert len(ranked) <= 10
        strengths = [float(row["strength"]) for row in ranked]
        assert strengths == sorted(strengths, reverse=True)


def test_each_thing_has_candidates_or_says_that_there_is_no_ground(rows: list[Row]) -> None:
    without = {key_of(row)[:2] for row in rows if row["object_id"] == NOTHING}
    having = {key_of(row)[:2] for row in rows if row["object_id"] != NOTHING}
    assert without and not without & having
    subjects = {row["subject_id"] for row in rows}
    assert Counter(subject.split("/")[1] for subject in subjects) == {"indicator": 66, "outcome": 19, "topic": 11}
    assert len(without | having) == len(subjects) * len(PREDICATES)


def test_every_kind_of_ground_is_found_in_the_data(facts: Facts) -> None:
    found = candidates(facts, facts.labels(names.THINGS + PLAN))
    kinds = Counter(ground.kind for each in found for ground in each.grounds)
    assert {*kinds} == {*STRENGTHS}


def test_what_a_document_states_is_not_proposed(facts: Facts) -> None:
    found = candidates(facts, facts.labels(names.THINGS + "buap-2018-2021"))
    assert len(found) > 100
    assert not [each for each in found if facts.states((each.subject, each.predicate, each.object))]


def test_a_decided_row_stays_and_an_open_one_without_a_ground_goes(curated: Corpus, facts: Facts) -> None:
    rejected = {"state": "rejected", "comment": "Not this one."}
    path, _ = edited(curated, lambda row: row | rejected)
    edited(curated, lambda row: row | {"object_id": "sdg:1.1", "grounds": "A ground that is gone."}, which=1)
    edited(curated, lambda row: row | {"state": "unsure", "object_id": "sdg:1.2", "grounds": "Another."}, which=2)
    edited(curated, lambda row: row | {"comment": "To be asked."}, which=3)
    before = read_tsv(path).rows
    renew = renewed(path, PLAN, facts)
    assert renew.decided == 2
    path.write_bytes(renew.content)
    after = read_tsv(path).rows
    decided = [[row for row in rows if row["state"] != "open"] for rows in (before, after)]
    assert sorted(decided[0], key=str) == sorted(decided[1], key=str)
    assert len(decided[1]) == 2
    assert [row["grounds"] for row in after if "gone" in row["grounds"]] == []
    assert [row["state"] for row in after if row.get("comment") == "To be asked."] == ["open"]
    assert renewed(path, PLAN, facts) == renew


def test_a_row_decided_before_its_wording_changed_is_named(curated: Corpus) -> None:
    edited(curated, lambda row: row | ROLE | {"subject_label": "Other words"})
    done = run_command("propose", PLAN, ITUKG_CORPUS=curated.root)
    assert re.search(rf"Decided before its wording changed: itukg:{PLAN}/indicator/\S+ Set state to open", done.stderr)


def test_an_unknown_plan_is_refused_with_those_that_are_known() -> None:
    done = run_command("propose", "bap-2030")
    assert done.returncode == 2
    assert 'no plan "bap-2030" with topics, outcomes or indicators; known: bap-2026-2029, bap-' in done.stderr


def test_a_change_of_proposals_is_a_new_release_and_an_invalid_file_is_none(curated: Corpus, tmp_path: Path) -> None:
    before = curated.fingerprint()
    path, line = edited(curated, lambda row: row | {"state": "yes"})
    assert curated.fingerprint() != before
    with pytest.raises(DataError, match=rf'{path.name}, line {line}: .*no state "yes"'):
        build(curated, tmp_path / "home")
    path.rename(path.with_name("a b.sssom.tsv"))
    with pytest.raises(DataError, match=r"a b\.sssom\.tsv: the name is part of the address of a mapping set"):
        curated.proposals()


def text_edited(corpus: Corpus, old: str, new: str) -> Path:
    """Replace the first occurrence of a text in the file."""
    path = path_of(corpus, PLAN)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1), newline="")
    return path


def test_what_curators_add_to_the_head_and_in_columns_of_their_own_stays(curated: Corpus, facts: Facts) -> None:
    own = {"priority": "1", "reviewer_id": "orcid:0000-0001-2345-6789", "other": "Seen twice."}
    edited(curated, lambda row: row | {"state": "rejected"} | own)
    edited(curated, lambda row: row | own, which=1)
    head = "#comment: Decided in Geneva.\n#other: Of the plan.\n#creator_label:\n#  - The bureau\n#license:"
    text_edited(curated, "#license:", head)
    text_edited(curated, "#  itu: http", "#  ex: https://example.org/\n#  orcid: https://orcid.org/\n#  itu: http")
    definitions = "#extension_definitions:\n"
    path = text_edited(curated, definitions, f"{definitions}#  - slot_name: priority\n#    property: ex:priority\n")
    accept(curated, path)
    path.write_bytes(renewed(path, PLAN, facts).content)
    found = read_tsv(path)
    assert (found.metadata["comment"], found.metadata["other"]) == ("Decided in Geneva.", "Of the plan.")
    assert found.metadata["creator_label"] == ["The bureau"]
    kept = [row for row in found.rows if "priority" in row]
    assert sorted(row["state"] for row in kept) == ["open", "rejected"]
    for row in kept:
        assert row.items() >= own.items()
    assert renewed(path, PLAN, facts).content == path.read_bytes()


def test_blanks_around_cells_do_not_count_and_no_state_is_open(curated: Corpus, facts: Facts) -> None:
    blank = {"state": "accepted ", "review_date": " 2025-12-01 ", "reviewer_label": "curator\u00a0"}
    edited(curated, lambda row: row | ROLE)
    path, _ = edited(curated, lambda row: row | {"state": "", "comment": "Later."}, which=1)
    accept(curated, path)
    before = (curated.root / "data" / "mappings.ttl").read_bytes()
    edited(curated, lambda row: row | blank | {"object_id": f" {row['object_id']}"})
    accept(curated, path)
    assert (curated.root / "data" / "mappings.ttl").read_bytes() == before
    renew = renewed(path, PLAN, facts)
    assert renew.decided == 1
    path.write_bytes(renew.content)
    assert Counter(row["state"] for row in read_tsv(path).rows)["accepted"] == 1
    assert [row["state"] for row in read_tsv(path).rows if row.get("comment") == "Later."] == ["open"]


def twice(corpus: Corpus, *changes: Row) -> tuple[Path, list[int]]:
    """Change a candidate and append it once more, changed otherwise; return the file and the lines of both."""
    first, second = changes
    path, line = edited(corpus, lambda row: row)
    copied = path.read_bytes().splitlines(keepends=True)[line - 1]
    edited(corpus, lambda row: row | first)
    path.write_bytes(path.read_bytes() + copied)
    _, last = edited(corpus, lambda row: row | second, which=-1)
    return path, [line, last]


@pytest.mark.parametrize("decided_first", [True, False])
def test_a_decided_row_counts_before_an_open_one(curated: Corpus, facts: Facts, *, decided_first: bool) -> None:
    decided = {"state": "rejected", "comment": "Not this one."}
    path, _ = twice(curated, *((decided, {}) if decided_first else ({}, decided)))
    assert accept(curated, path).total == 0
    renew = renewed(path, PLAN, facts)
    assert renew.decided == 1
    path.write_bytes(renew.content)
    assert Counter(row["state"] for row in read_tsv(path).rows)["rejected"] == 1


def decided_in_two_ways(corpus: Corpus) -> str:
    _, (first, last) = twice(corpus, {"state": "rejected"}, ROLE)
    return rf"line {last}: .* stands on line {first} too"


def decided_under_two_names(corpus: Corpus) -> str:
    target = {"predicate_id": "itu:contributesToSDGTarget"}
    _, (first, last) = twice(
        corpus,
        target | {"state": "rejected", "object_id": "itukg:sdg:16.6"},
        target | {"state": "unsure", "object_id": "sdg:16.6"},
    )
    return rf"line {last}: .* sdg:16.6: stands on line {first} too"


def spoiled(change: Row, message: str) -> Callable[[Corpus], str]:
    def spoil(corpus: Corpus) -> str:
        _, line = edited(corpus, lambda row: row | change, which=7)
        return f"line {line}: .*{message}"

    return spoil


def head_changed(old: str, new: str, message: str) -> Callable[[Corpus], str]:
    def change(corpus: Corpus) -> str:
        text_edited(corpus, old, new)
        return message

    return change


NO_PROPOSALS = {
    "no such state": spoiled({"state": "Accepted"}, 'no state "Accepted"; use open, accepted'),
    "a negated row": spoiled({"state": "accepted", "predicate_modifier": "Not"}, "clear predicate_modifier"),
    "a control character": spoiled({"comment": "a\x0bb"}, r"comment: the character U\+000B is none that XML allows"),
    "decided in two ways": decided_in_two_ways,
    "decided under two names": decided_under_two_names,
    "a prefix of another namespace": head_changed(
        "#  sdg: http://metadata.un.org/sdg/", "#  sdg: https://example.org/", "the curie_map has sdg as <https://example.org/>"
    ),
    "a column of another property": head_changed(
        "property: proposal:state", "property: itu:state", "the property of state is proposal:state"
    ),
    "a column that is not declared": head_changed("\tcomment\t", "\tpriority\t", '"priority" is no slot of SSSOM'),
    "a prefix that is not declared": spoiled({"reviewer_id": "orcid:0000"}, 'prefix of "orcid:0000" is not declared'),
}  # fmt: skip


@pytest.mark.parametrize("case", NO_PROPOSALS)
def test_what_is_no_file_of_proposals_is_refused_by_both_commands_alike(
    curated: Corpus, facts: Facts, case: str
) -> None:
    assert len(NO_PROPOSALS) == 9
    message = NO_PROPOSALS[case](curated)
    path = path_of(curated, PLAN)
    with pytest.raises(DataError, match=message) as first:
        accept(curated, path)
    with pytest.raises(DataError, match=message) as second:
        renewed(path, PLAN, facts)
    assert str(first.value) == str(second.value)
    assert not (curated.root / "data" / "mappings.ttl").exists()


def test_the_time_to_read_a_file_grows_with_its_length(curated: Corpus) -> None:
    path = path_of(curated, PLAN)
    lines = path.read_text().splitlines()
    rows = [line for line in lines if "\tsdg:" in line]
    taken = []
    for number in (5_000, 20_000):
        long = (row.replace("\tsdg:", f"\tsdg:{part}.") for part in range(number // len(rows) + 1) for row in rows)
        path.write_text("\n".join([*lines, *long]))
        start = process_time()
        assert len(read_proposals(path).rows) > number
        assert accept(curated, path).total == 0
        taken.append(process_time() - start)
    assert taken[1] < 10 * taken[0]  # four times as long is not sixteen times as slow


# --- accept ---


def test_what_is_accepted_is_a_judged_link_in_canonical_turtle_and_twice_changes_nothing(curated: Corpus) -> None:
    path, _ = edited(curated, lambda row: row | ROLE | {"comment": 'It "holds"'}, which=-1)
    [row] = [row for row in read_tsv(path).rows if row["state"] == "accepted"]
    done = run_command("accept", path, ITUKG_CORPUS=curated.root)
    assert "links added: 1, removed: 0, in all: 1" in done.stderr
    target = curated.root / "data" / "mappings.ttl"
    first = target.read_bytes()
    assert "links added: 0, removed: 0, in all: 1" in run_command("accept", path, ITUKG_CORPUS=curated.root).stderr
    assert target.read_bytes() == first
    checked = subprocess.run(
        [Path(sys.executable).with_name("turtlefmt"), "--check", target], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    store = ox.Store()
    store.bulk_extend([quad for quad in curated.quads() if quad.graph_name == ox.NamedNode(names.graph("mappings"))])
    found = store.query(f"""{names.PROLOGUE} SELECT ?basis ?rationale ?role ?date WHERE {{ GRAPH ?g {{
        ?linkage a itu:Linkage ; itu:subject ?s ; itu:predicate ?p ; itu:object ?o ; itu:basis ?basis ;
                 itu:rationale ?rationale ; itu:curatorRole ?role ; dcterms:date ?date . ?s ?p ?o }} }}""")
    assert isinstance(found, ox.QuerySolutions)
    [linkage] = [[term.value for term in solution] for solution in found]
    assert linkage == [
        names.ITU + "judged", f'It "holds". Grounds: {row["grounds"]}.', "curator", "2025-12-01",
    ]  # fmt: skip


def test_accepted_links_of_every_kind_conform_and_are_in_the_merged_graph(curated: Corpus, tmp_path: Path) -> None:
    chosen: dict[tuple[str, str], int] = {}
    rows = [row for row in read_tsv(path_of(curated, PLAN)).rows if row["object_id"] != NOTHING]
    for place, row in enumerate(rows):
        chosen.setdefault((row["subject_id"].split("/")[1], row["predicate_id"]), place)
    assert len(chosen) == 9  # outcomes, topics and indicators; targets, action lines and instruments
    for place in chosen.values():
        path, _ = edited(curated, lambda row: row | ROLE, which=place)

    def itukg(*command: str | Path) -> str:
        done = run_command(*command, ITUKG_CORPUS=curated.root, ITUKG_HOME=tmp_path / "home")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    itukg("accept", path)
    itukg("build")  # neither a violation, nor words to be looked up in a document
    merged = itukg(
        "query",
        "SELECT ?s ?p ?o { ?l itu:curatorRole ?r ; itu:subject ?s ; itu:predicate ?p ; itu:object ?o . ?s ?p ?o }",
    )
    assert len(merged.splitlines()) == 1 + 9
    [void] = (tmp_path / "home" / "releases").glob("*/void.nt")
    assert '"Accepted links"@en' in void.read_text()
    # Each shows who accepted it, and beneath it the chain of a rule that derives the same.
    derived = 0
    for row in (rows[place] for place in chosen.values()):
        told = itukg("because", *(row[f"{end}_id"].removeprefix("itukg:") for end in ("subject", "object")))
        assert f"Accepted by a {ROLE['reviewer_label']} on {ROLE['review_date']}." in told
        derived += told.count("## Chain ") > 1
    assert derived >= 2
    [path] = (tmp_path / "home" / "releases").glob("*/plan-sdg.sssom.tsv")
    accepted = [row for row in read_tsv(path).rows if row.get("reviewer_label")]
    assert len(accepted) == 3
    assert {(row["reviewer_label"], row["review_date"], row["basis"]) for row in accepted} == {
        (ROLE["reviewer_label"], ROLE["review_date"], "itu:judged")
    }
    mandated = rows[chosen["outcome", "itu:supportedBy"]]["subject_id"].removeprefix("itukg:")
    mandates = itukg("query", "mandates-of-a-thing", "--thing", mandated)
    assert len(mandates.splitlines()) == 2 and "judged" in mandates


def test_a_row_that_is_accepted_no_longer_loses_its_link(curated: Corpus) -> None:
    path, _ = edited(curated, lambda row: row | ROLE)
    accept(curated, path)
    assert (curated.root / "data" / "mappings.ttl").is_file()
    edited(curated, lambda row: row | {"state": "rejected"})
    done = accept(curated, path)
    assert (done.added, done.removed, done.total) == (0, 1, 0)
    assert not (curated.root / "data" / "mappings.ttl").exists()


def test_a_link_without_a_row_stays_and_is_named_unless_it_is_pruned(curated: Corpus) -> None:
    path, _ = edited(curated, lambda row: row | ROLE)
    accept(curated, path)
    kept = [line for line in path.read_text().splitlines(keepends=True) if "\taccepted\t" not in line]
    path.write_text("".join(kept))
    done = accept(curated, path)
    assert (done.added, done.removed, done.total) == (0, 0, 1)
    [link] = done.elsewhere
    assert link.startswith(f"{names.THINGS}mappings/{PLAN}/linkage/")
    assert f"{link}. It stays; --prune removes it." in run_command("accept", path, ITUKG_CORPUS=curated.root).stderr
    path.write_text("".join(line for line in kept if not line.startswith("itukg:")))
    assert read_tsv(path).rows == []
    done_by_command = run_command("accept", "--prune", path, ITUKG_CORPUS=curated.root)
    assert "links added: 0, removed: 1, in all: 0" in done_by_command.stderr
    assert link not in done_by_command.stderr
    assert not (curated.root / "data" / "mappings.ttl").exists()


def test_an_object_of_the_curators_own_has_no_grounds(curated: Corpus) -> None:
    own = {
        "object_id": "sdg:16.2",
        "predicate_id": "itu:contributesToSDGTarget",
        "object_label": "",
        "grounds": NO_GROUND,
    }
    path, _ = edited(curated, lambda row: row | ROLE | own)
    with pytest.raises(DataError, match="accepted without grounds; write a comment"):
        accept(curated, path)
    edited(curated, lambda row: row | {"comment": "The outcome names children."})
    content = accept(curated, path).path.read_text()
    assert 'itu:rationale "The outcome names children."@en' in content


def test_what_is_accepted_does_not_change_what_is_proposed(curated: Corpus) -> None:
    path, _ = edited(curated, lambda row: row | ROLE, which=100)
    before = path.read_bytes()
    accept(curated, path)
    assert propose(curated, PLAN).content.count(b"accepted") == before.count(b"accepted")
    edited(curated, lambda row: row | {"state": "open", "reviewer_label": "", "review_date": ""}, which=100)
    assert propose(curated, PLAN).content == SHIPPED.read_bytes()


REFUSED = {
    "no role": ({"reviewer_label": ""}, "accepted without a role"),
    "no date": ({"review_date": ""}, "accepted without a date"),
    "a date as a spreadsheet writes it": ({"review_date": "30/11/2026"}, "write review_date as 2026-11-30"),
    "no such day": ({"review_date": "2026-02-30"}, "write review_date as 2026-11-30"),
    "unknown subject": ({"subject_id": f"itukg:{PLAN}/outcome/T9"}, "the subject is not in the data"),
    "unknown object": ({"object_id": "sdg:99.9"}, "the object is not in the data"),
    "no object": ({"object_id": NOTHING}, "there is nothing to accept"),
    "another predicate": ({"predicate_id": "itu:line"}, "the predicate does not take this object"),
    "another property that needs evidence": ({"predicate_id": "itu:restates"}, "the predicate does not take this object"),
    "an object of another kind": (
        {"predicate_id": "itu:contributesToSDGTarget", "object_id": "sdg:9", "object_label": ""},
        "itu:contributesToSDGTarget takes sdgo:Target, itu:contributesToActionLine takes itu:ActionLine, itu:supportedBy takes itu:Instrument",
    ),
    "another object than that of the grounds": (
        {"predicate_id": "itu:contributesToSDGTarget", "object_id": "sdg:16.2"},
        "correct object_label, clear grounds and write a comment",
    ),
    "a day to come": ({"review_date": "2999-01-01"}, '"2999-01-01" is yet to come'),
    "a negated row": ({"predicate_modifier": "Not"}, "clear predicate_modifier"),
    "a comment of blanks": ({"grounds": "", "comment": " \u00a0 "}, "write a comment"),
    "changed wording": ({"subject_label": "Other words"}, "the wording has changed from “Other words” to “"),
    "stated already": (
        {"subject_id": "itukg:buap-2018-2021/output/2.1", "predicate_id": "itu:contributesToSDGTarget", "object_id": "sdg:9.c"},
        "a document states this link already",
    ),
    "no grounds": ({"grounds": "", "comment": ""}, "write a comment"),
    "no such state": ({"state": "yes"}, f'no state "yes"; use {", ".join(STATES)}'),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_row_that_cannot_be_accepted_is_named_with_its_line_and_nothing_is_written(
    curated: Corpus, case: str
) -> None:
    assert len(REFUSED) == 18
    change, message = REFUSED[case]
    edited(curated, lambda row: row | ROLE, which=7)
    path, line = edited(curated, lambda row: row | ROLE | change, which=40)
    done = run_command("accept", path, ITUKG_CORPUS=curated.root)
    assert done.returncode == 2
    assert "nothing was written" in done.stderr
    assert re.search(rf"sssom\.tsv, line {line}: .*{re.escape(message)}", done.stderr), done.stderr
    assert not (curated.root / "data" / "mappings.ttl").exists()


def test_all_rows_that_cannot_be_accepted_are_named_at_once(curated: Corpus) -> None:
    path, first = edited(curated, lambda row: row | ROLE | {"review_date": ""})
    _, second = edited(curated, lambda row: row | ROLE | {"reviewer_label": ""}, which=9)
    with pytest.raises(DataError, match=rf"(?s)line {first}: .*line {second}: "):
        accept(curated, path)


def test_the_head_survives_a_spreadsheet_that_quotes_it(curated: Corpus) -> None:
    path, _ = edited(curated, lambda row: row | ROLE)
    text = path.read_text()
    assert text.count('\n"#') + text.startswith('"#') >= 1  # the version, which YAML has in quotes
    assert read_tsv(path).metadata["sssom_version"] == "1.1"


def test_each_candidate_that_is_shipped_can_be_accepted_as_it_stands(curated: Corpus) -> None:
    decided = "\tcurator\t2025-12-01\t\t"
    path = path_of(curated, PLAN)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(
        "".join(
            line if NOTHING in line else line.replace("\t\t\t\t", decided, 1).replace("\topen\t", "\taccepted\t")
            for line in lines
        )
    )
    assert accept(curated, path).added > 500


def test_the_classes_of_objects_are_those_of_the_queries_and_of_the_ontology(store: ox.Store) -> None:
    for query in (ROOT / "src" / "itukg" / "proposals" / "queries").glob("*.rq"):
        for pair in re.findall(r"\((\w+:\w+) (itu:\w+)\)", query.read_text()):
            assert RANGES[names.expand(pair[1])] == names.expand(pair[0]), query
    for predicate, kind in RANGES.items():
        said = f"<{predicate}> (rdfs:range|schema:rangeIncludes) <{kind}>"
        assert bool(store.query(f"{names.PROLOGUE} ASK {{ {said} }}")), predicate


@pytest.mark.parametrize("source", ["pipe", "carriage returns"])
def test_proposals_come_from_a_pipe_too_and_with_the_line_ends_of_old_macintoshes(
    curated: Corpus, tmp_path: Path, source: str
) -> None:
    path, _ = edited(curated, lambda row: row | ROLE)
    content = path.read_bytes()
    if source == "pipe":
        given = tmp_path / "pipe"
        os.mkfifo(given)
        writer = threading.Thread(target=given.write_bytes, args=(content,))
        writer.start()
        assert accept(curated, given).added == 1
        writer.join()
    else:
        path.write_bytes(content.replace(b"\r\n", b"\r"))
        assert accept(curated, path).added == 1


def test_who_accepts_waits_for_another_and_loses_none_of_its_links(curated: Corpus) -> None:
    path, _ = edited(curated, lambda row: row | ROLE, which=1)
    accept(curated, path)
    target = curated.root / "data" / "mappings.ttl"
    of_another = target.read_bytes()
    target.unlink()
    edited(curated, lambda row: row | {"state": "open"}, which=1)
    edited(curated, lambda row: row | ROLE)
    kept = [line for line in path.read_bytes().splitlines(keepends=True) if b"\topen\t" not in line]
    path.write_bytes(b"".join(kept))
    waiting = threading.Thread(target=accept, args=(curated, path))
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        waiting.start()
        waiting.join(timeout=5)
        assert waiting.is_alive()
        assert not target.exists()
        target.write_bytes(of_another)
    finally:
        os.close(folder)
        waiting.join()
    assert target.read_text().count(" a itu:Linkage ") == 2
    assert [each.name for each in target.parent.glob(".*")] == []


BY_HAND = {
    "a statement that is no Linkage": ("\n<wsis> a itu:Plan .\n", "has <https://w3id.org/itukg/id/wsis> <"),
    "a blank node": ("\n[] a itu:Plan .\n", "has _:"),
    "a second value": (
        '\n<{link}> itu:curatorRole "another" .\n',
        'has <https://w3id.org/itukg/id/{link}> <https://w3id.org/itukg/ontology#curatorRole> "',
    ),
    "a property that is not ours": ('\n<{link}> itu:confidence "high" .\n', "has <https://w3id.org/itukg/id/"),
    "a link without its Linkage": ("\n<wsis/C1> itu:restates <wsis/C2> .\n", "has <https://w3id.org/itukg/id/wsis/C1> <"),
}  # fmt: skip


@pytest.mark.parametrize("case", BY_HAND)
def test_what_was_written_by_hand_into_the_accepted_links_is_named_and_not_lost(curated: Corpus, case: str) -> None:
    assert len(BY_HAND) == 5
    path, _ = edited(curated, lambda row: row | ROLE)
    target = accept(curated, path).path
    assert '\n# What curators accepted. "itukg accept" writes this file' in target.read_text()
    [link] = re.findall(r"<(\S+)> a itu:Linkage", target.read_text())
    more, message = (text.replace("{link}", link) for text in BY_HAND[case])
    target.write_text(target.read_text() + more)
    before = target.read_bytes()
    with pytest.raises(DataError, match=re.escape(f"{target}: nothing was written. The file {message}")):
        accept(curated, path)
    assert target.read_bytes() == before


def test_a_statement_that_was_taken_out_of_the_accepted_links_is_named(curated: Corpus) -> None:
    path, _ = edited(curated, lambda row: row | ROLE)
    target = accept(curated, path).path
    target.write_text(re.sub(r"^<\S+> itu:\w+ <?\S+ \.\n", "", target.read_text(), count=1, flags=re.MULTILINE))
    with pytest.raises(DataError, match=r"The file lacks <\S+> <\S+> <\S+> \. This is not as itukg accept writes it"):
        accept(curated, path)


# --- wording ---


def test_texts_are_alike_by_stems_and_rare_words() -> None:
    texts = {f"other {n}": f"Development of telecommunication networks, number {n}" for n in range(20)}
    wordings = Wordings(texts | {"flood": "Early warning of floods", "same": "Warnings of a flood"}, common=0.5)
    [flood, same] = wordings.like("Networks that warn of flooding")
    assert {flood.name, same.name} == {"flood", "same"}
    assert sorted(flood.words + same.words) == ["flood", "floods", "warning", "warnings"]
    [best, *_] = wordings.like("Early warning of floods", but="same")
    assert best.name == "flood" and best.similarity > 0.9
    assert wordings.like("telecommunication networks of the") == []


# --- docs ---

TEXT = (ROOT / "docs" / "proposals.md").read_text()


def test_the_figures_of_the_page_are_those_that_are_measured(store: ox.Store) -> None:
    measured = written(store, Stated.of(store))
    printed = re.findall(r"^\| (?:`itu:|SQLite).*\|$", TEXT, re.MULTILINE)
    assert len(printed) == 4
    for row in printed:
        assert row in measured, measured
    recall = {name: float(figure) for name, figure in re.findall(r"`itu:(\w+)` \| \d+ \| ([\d.]+)", measured)}
    assert recall["contributesToSDGTarget"] > 0.3


def test_the_strengths_of_the_page_are_those_of_the_code() -> None:
    table = "\n".join(re.findall(r"^\| (?:succession|indicator|wording|matrix|output category).*$", TEXT, re.MULTILINE))
    assert len(table.splitlines()) == 6
    for strength in STRENGTHS.values():
        assert f"| {strength}" in table or f", {strength} loose" in table


def test_the_commands_of_the_page_lead_from_proposal_to_link(curated: Corpus, tmp_path: Path) -> None:
    printed = []
    commands = [
        line.strip() for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()
    ]
    for command in filter(None, commands):
        done = subprocess.run(
            ["bash", "-c", re.sub("^itukg", f"{sys.executable} -m itukg", command)],
            cwd=curated.root,
            env={"PATH": "/usr/bin:/bin", "ITUKG_CORPUS": str(curated.root), "ITUKG_HOME": str(tmp_path / "home"),
                 "PYTHONPATH": str(ROOT / "src")},
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, (command, done.stderr)
        printed.append(done.stdout)
    assert len(printed) == 6
    assert re.search(rf"{PLAN}/outcome/T1.2-O1,\S+#contributesToActionLine,\S+,curator of the plan", printed[-1])
    assert [*CURATORS] == re.findall(r"^   \| `(\w+)` \|", TEXT, re.MULTILINE)
