"""The command line as it is run: each command's answer, its exit code, and what it says when something is wrong."""

import csv
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx2
import pytest
from conftest import copy_of_corpus, environment_for, run_command, serving, small_corpus
from fastapi.testclient import TestClient
from openpyxl import load_workbook
from rdflib import SKOS, Graph, Literal, URIRef
from test_sparql import OUTPUT, TABLE_PARSERS

from itukg import names
from itukg.cli import app
from itukg.conformance import REPORT_FORMATS
from itukg.corpus import Corpus
from itukg.formats import GRAPH_FORMATS, HTML, TABLE_FORMATS, TURTLE, Format
from itukg.release.model import Release

ROOT = Path(__file__).parents[1]
COMMANDS = sorted(command.callback.__name__ for command in app.registered_commands if command.callback)
FAILING = min(ROOT.glob("shapes/examples/structure/*/fail.ttl"))
SELECT = f"SELECT ?p ?o WHERE {{ <{OUTPUT}> ?p ?o }} ORDER BY ?p ?o"

Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]


@pytest.fixture(scope="session")
def itukg(release: Release, home: Path) -> Run:
    """Runs the command in this process, where the release has been built; `environment` goes over its own."""
    assert release.path.is_dir()
    return lambda *arguments, **environment: run_command(*arguments, **{"ITUKG_HOME": home, **environment})


@pytest.fixture(scope="session")
def process(release: Release, home: Path) -> Run:
    """Runs the command as a process of its own, where the release has been built."""
    assert release.path.is_dir()

    def run(*arguments: str | Path, **environment: str | Path) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "itukg", *arguments],
            env=environment_for(**{"ITUKG_HOME": home, **environment}),
            capture_output=True,
            encoding="utf-8",
            timeout=120,  # the machine may be busy
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run


@pytest.fixture(scope="session")
def small(one_plan: Path) -> Run:
    """Runs the command in this process, where there is one plan, which is loaded in no time."""
    return partial(run_command, ITUKG_CORPUS=one_plan, ITUKG_HOME=one_plan / "home")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the corpus to spoil."""
    return copy_of_corpus(tmp_path / "corpus")


def fails(done: Done, code: int, *words: str) -> str:
    """What a failed command says: nothing on standard output, and all of `words` on the other."""
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert [word for word in words if word not in done.stderr] == [], done.stderr
    return done.stderr


def prints(done: Done) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def all_of(itukg: Run, *commands: tuple[str | Path, ...]) -> list[Done]:
    return [itukg(*command) for command in commands]


# --- help ---


def test_every_command_explains_itself(itukg: Run) -> None:
    assert COMMANDS == [
        "accept",
        "because",
        "budget",
        "build",
        "check",
        "describe",
        "diff",
        "doctor",
        "evidence",
        "export",
        "gaps",
        "history",
        "lineage",
        "load",
        "matrix",
        "propose",
        "prune",
        "query",
        "risks",
        "rollback",
        "serve",
        "triage",
        "verify",
    ]
    helps = all_of(itukg, *((command, "--help") for command in COMMANDS))
    for command, text in zip(COMMANDS, map(prints, helps), strict=True):
        assert re.search(rf"^ Usage: .*itukg {command} ", text, re.MULTILINE)
        assert re.search(r"^ [A-Z](\S+ ){4,}.*\. *$", text, re.MULTILINE), f"{command} has no explanatory sentence"
    assert "Examples: itukg query" in helps[COMMANDS.index("query")].stdout


def test_the_command_lists_its_commands(process: Run) -> None:
    text = prints(process("--help"))
    assert "Usage: python -m itukg " in text
    assert all(re.search(rf"^│ {command} +[A-Z].*\.", text, re.MULTILINE) for command in COMMANDS)
    assert "ITUKG_HOME" in text


def test_help_needs_no_heavy_library() -> None:
    heavy = {"fastapi", "pyoxigraph", "rdflib", "pyshacl", "pydantic", "pyld", "jinja2", "uvicorn", "owlready2"}
    code = f"import sys, itukg.cli; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("arguments", [("nothing",), ("query",), ("query", "ASK {}", "--timeout", "soon")])
def test_a_command_that_is_not_understood_exits_with_2(process: Run, arguments: tuple[str, ...]) -> None:
    fails(process(*arguments), 2, "Usage: ")


# --- build ---


def test_building_again_makes_nothing_and_names_the_same_release(itukg: Run, release: Release) -> None:
    releases = release.path.parent
    files = [releases, *releases.rglob("*")]  # a draft, even one that was dropped, changes the folder
    assert len(files) >= 6
    before = [path.stat().st_mtime_ns for path in files]
    first, second = itukg("build"), itukg("build")
    assert prints(first) == prints(second) == ""
    assert first.stderr == second.stderr
    assert first.stderr.startswith(f"{release.name}: {release.manifest['merged']} triples")
    assert [path.stat().st_mtime_ns for path in files] == before


def test_a_syntax_error_stops_the_build_and_the_last_release_keeps_being_served(
    itukg: Run, copy: Path, tmp_path: Path, home: Path
) -> None:
    environment = {"ITUKG_CORPUS": str(copy), "ITUKG_HOME": str(tmp_path / "home")}
    shutil.copytree(home, tmp_path / "home")  # what it would build of the copy
    name = itukg("build", **environment).stderr.partition(":")[0]
    file = copy / "data/schemes/wsis.ttl"
    whole = file.read_text()
    file.write_text(whole + '\n<urn:test:s> <urn:test:p> "not closed .\n')
    line = whole.count("\n") + 2
    said = fails(itukg("build", **environment), 2, f"{file}, line {line}, column ")
    assert len(said.partition(f"line {line}, column ")[2].split()) > 3
    assert (tmp_path / "home/current").read_text() == name
    server = serving(environment)
    with server as address:
        assert httpx2.get(f"{address}/readyz").json() == {"status": "ready", "release": name}
        assert httpx2.get(f"{address}/id/wsis/C1").status_code == 200
    assert f"{file}, line {line}, column " in "".join(server.log)
    assert f"Serving the last release instead: {name}" in "".join(server.log)


def test_without_an_earlier_release_a_syntax_error_stops_serving(process: Run, copy: Path, tmp_path: Path) -> None:
    (copy / "data/schemes/wsis.ttl").write_text("@prefix : <urn:x> .\n:a :b\n")
    fails(process("serve", "--port", "0", ITUKG_CORPUS=copy, ITUKG_HOME=tmp_path / "home"), 2, "wsis.ttl, line ")


def test_a_violation_publishes_nothing(itukg: Run, tmp_path: Path) -> None:
    copy = small_corpus(tmp_path / "corpus")
    [file] = copy.glob("data/plans/*.ttl")
    before, subject, output = file.read_text().partition("\n<buap-2018-2021/output/2.1> a ")
    spoiled, found = re.subn(r"\n +itu:deliversOutcome <\S+> ;", "", output, count=1)
    assert found == 1
    file.write_text(before + subject + spoiled)
    home = tmp_path / "home"
    done = itukg("build", ITUKG_CORPUS=copy, ITUKG_HOME=home)
    fails(
        done,
        1,
        "buap-2018-2021/output/2.1",
        "itush:OutputOutcome-complete",
        "does not conform: ",
        "Nothing was published",
    )
    assert not home.exists() or not [path for path in home.rglob("*") if path.is_file()]


def test_a_folder_without_data_is_said_to_have_none(itukg: Run, tmp_path: Path) -> None:
    for command in ("build", "doctor"):
        fails(itukg(command, ITUKG_CORPUS=tmp_path / "none"), 2, str(tmp_path / "none"), "ITUKG_CORPUS")


# --- query ---


def test_a_saved_query_goes_by_name_or_by_file_and_gives_its_saved_answer(itukg: Run, corpus: Corpus) -> None:
    name = corpus.queries()[0].name
    [file] = (ROOT / "queries").glob(f"*/{name}.rq")
    by_name, by_file = map(prints, all_of(itukg, ("query", name), ("query", file)))
    assert by_name == by_file
    answer = file.with_suffix(".csv").read_text()
    assert list(csv.reader(io.StringIO(by_name))) == list(csv.reader(io.StringIO(answer)))


def test_a_query_given_as_text_knows_our_prefixes(small: Run, tmp_path: Path) -> None:
    text = "SELECT (COUNT(*) AS ?n) WHERE { sdg:9.c a sdgo:Target ; skos:notation '9.c' }"
    assert prints(small("query", text)) == "n\n1\n"
    saved = tmp_path / "answer.csv"
    assert prints(small("query", text, "-o", saved)) == ""
    assert saved.read_bytes() == b"n\r\n1\r\n"


def written_in(itukg: Run, formats: tuple[Format, ...], *arguments: str) -> dict[str, str]:
    """What a command prints in each format, by media type."""
    done = all_of(itukg, *((*arguments, "--format", syntax.name) for syntax in formats))
    return {syntax.media_type: prints(each) for syntax, each in zip(formats, done, strict=True)}


def test_a_table_is_written_in_every_format(small: Run) -> None:
    tables = written_in(small, tuple(f for f in TABLE_FORMATS if not f.labels), "query", SELECT)
    assert len(tables) == 5
    sizes = {
        media_type: len(TABLE_PARSERS[media_type](text.encode()))
        for media_type, text in tables.items()
        if media_type != "text/csv"
    }
    assert {*sizes.values(), len(list(csv.reader(io.StringIO(tables["text/csv"])))) - 1} == {sizes["application/json"]}
    assert sizes["application/json"] > 50


def test_a_table_with_labels_is_written_to_a_file(small: Run, tmp_path: Path) -> None:
    sheet, text = tmp_path / "answer.xlsx", tmp_path / "answer.csv"
    prints(small("query", SELECT, "--format", "xlsx", "-o", sheet))
    prints(small("query", SELECT, "--format", "text/csv;labels=1", "-o", text))
    header, *rows = load_workbook(sheet).active.iter_rows(values_only=True)
    assert header == ("p", "pLabel", "o", "oLabel")
    assert len(rows) == len(list(csv.reader(io.StringIO(text.read_text())))) - 1 > 50


def test_a_graph_is_written_in_every_format_and_turtle_by_default(small: Run) -> None:
    question = f"CONSTRUCT WHERE {{ <{OUTPUT}> ?p ?o }}"
    graphs = written_in(small, GRAPH_FORMATS, "query", question)
    assert len(graphs) == 6
    assert json.loads(graphs.pop("application/ld+json"))["id"] == OUTPUT
    assert graphs["text/turtle"] == prints(small("query", question))
    # Without a named graph, TriG is Turtle and N-Quads are N-Triples.
    readers = {"application/n-triples": "nt", "application/n-quads": "nt", "application/trig": "turtle"}
    parsed = [set(Graph().parse(data=text, format=readers.get(kind, kind))) for kind, text in graphs.items()]
    assert len(parsed[0]) > 50
    assert all(graph == parsed[0] for graph in parsed)


def test_yes_or_no_is_json_by_default(process: Run) -> None:
    assert json.loads(prints(process("query", "ASK { sdg:9.c a sdgo:Target }")))["boolean"] is True


def test_the_command_takes_the_parameters_as_options(itukg: Run, client: TestClient, corpus: Corpus) -> None:
    name, target = "outputs-for-sdg-target", "4.4"
    expected = client.get(f"/queries/{name}?target={target}&format=csv").text.splitlines()
    given = ("query", name, "--target", target), ("query", name, f"--target={target}", "--format", "csv")
    answers = [prints(done).splitlines() for done in all_of(itukg, *given)]
    assert answers == [expected, expected] and len(expected) > 5
    listed = prints(itukg("query", "--list"))
    assert all(f"{query.name}: {query.summary}" in listed for query in corpus.queries())
    assert "--target (SDG target; sdg:9.c unless given)" in listed


def test_the_command_refuses_what_is_no_option_or_no_value(itukg: Run) -> None:
    for arguments, words in (
        (("--taget", "4.4"), ("--taget", "options of outputs-for-sdg-target: --target")),
        (("--target", "4.44"), ("target must be an SDG target", "nearest: 4.4,")),
        (("--target",), ("--target needs a value",)),
        (("4.4",), ('no option "4.4"',)),
    ):
        fails(itukg("query", "outputs-for-sdg-target", *arguments), 2, *words)
    fails(itukg("query", "ASK {}", "--target", "4.4"), 2, "--target")


def test_an_unknown_saved_query_is_answered_with_those_there_are(itukg: Run, corpus: Corpus) -> None:
    known = [query.name for query in corpus.queries()]
    assert len(known) >= 10
    for name in ("nothing", "nothing.rq"):
        fails(itukg("query", name), 2, name, *known)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("SELECT * WHERE {",), ("Syntax error", "line ", "column ")),
        (("SELECT * WHERE { ?s ?p ?o }", "--format", "png"), ('"png"', "srj, srx, csv, tsv, json")),
        (("ASK {}", "--format", "csv"), ('"csv"', "srj, srx, json")),
        (("INSERT DATA { <urn:a> <urn:b> <urn:c> }",), ("read-only", "INSERT")),
        (("LOAD <http://example.org/>",), ("read-only", "LOAD")),
        (("SELECT * WHERE { SERVICE <http://example.org/> {} }",), ("SERVICE is refused",)),
        (("ASK {}", "--timeout", "0"), ("timeout", "greater than 0")),
    ],
)  # fmt: skip
def test_a_query_that_cannot_be_answered_says_why(
    small: Run, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    fails(small("query", *arguments), 2, *words)


def test_the_place_of_an_error_is_that_of_the_query_as_it_was_typed(small: Run, tmp_path: Path) -> None:
    file = tmp_path / "my.rq"
    file.write_text("# plans\nSELECT ?plan WHERE {\n  ?plan a itu:Plan ;\n    xyz:label ?label . }\n")
    fails(small("query", "SELECT * WHERE { ?s a itu:Plan ; }}"), 2, "line 1, column 35", 'found "}"')
    fails(
        small("query", "SELECT * WHERE { ?s a itu:Plan ; xyz:label ?x }"),
        2,
        "line 1, column 34",
        '"xyz:" is not declared',
    )
    fails(small("query", str(file)), 2, "line 4, column 5", '"xyz:" is not declared')


def test_a_query_that_takes_too_long_ends_with_the_command(process: Run) -> None:
    cross = "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }"
    fails(process("query", cross, "--timeout", "0.3"), 2, "0.3 s", "Time limit exceeded", "--timeout")
    within = "ASK { ?x ?y ?z FILTER NOT EXISTS { ?a ?b ?c . ?d ?e ?f OPTIONAL { ?g ?h ?i } FILTER(?c = ?x + 1) } }"
    fails(process("query", within, "--timeout", "0.3"), 2, "0.3 s", "MINUS, or OPTIONAL with !BOUND")


def test_a_query_nested_as_deep_as_may_be_is_answered(small: Run) -> None:
    assert prints(small("query", "ASK " + "{" * 199 + "}" * 199)) == prints(small("query", "ASK {}"))


# --- describe ---


def test_a_thing_goes_by_path_prefixed_name_or_iri(small: Run) -> None:
    path = OUTPUT.removeprefix(names.THINGS)
    asked = (path, OUTPUT, "sdg:9.c")
    *of_output, target = map(prints, all_of(small, *(("describe", name) for name in asked)))
    assert len(set(of_output)) == 1
    thing = json.loads(of_output[0])
    assert thing["id"] == OUTPUT
    assert thing["linkages"][0]["basis"] == "stated"
    assert json.loads(target)["id"] == names.SDG + "9.c"


def test_a_thing_is_described_as_turtle_or_as_a_page(small: Run) -> None:
    turtle, page = written_in(small, (TURTLE, HTML), "describe", "sdg:9.c").values()
    assert Graph().parse(data=turtle, format="turtle").value(URIRef(names.SDG + "9.c"), SKOS.notation) == Literal("9.c")
    assert page.startswith("<!doctype html>")


def test_an_unknown_thing_is_not_found(small: Run) -> None:
    unknown = ("sdg:99", "a b")
    for name, done in zip(unknown, all_of(small, *(("describe", name) for name in unknown)), strict=True):
        fails(done, 2, "nothing is known of", names.expand(name))


# --- check ---


def test_our_data_conforms(itukg: Run) -> None:
    lines = prints(itukg("check")).splitlines()
    assert re.fullmatch(r"conforms: 0 violations, \d+ warnings, \d+ infos", lines[0])
    assert len(lines) > 50


def test_a_file_with_a_violation_exits_with_1_and_names_thing_rule_and_cure(process: Run) -> None:
    done = process("check", FAILING)
    assert done.returncode == 1
    assert re.search(rf"^Violation  \S+  .+: .+\n +itush:{FAILING.parent.name}", done.stdout, re.MULTILINE)
    assert re.search(r"^does not conform: [1-9]\d* violation", done.stdout, re.MULTILINE)


def test_a_file_that_conforms_exits_with_0(process: Run) -> None:
    assert "\nconforms: 0 violations" in "\n" + prints(process("check", FAILING.with_name("pass.ttl")))


def test_a_report_on_a_file_is_written_in_every_format(small: Run, tmp_path: Path) -> None:
    assert len(REPORT_FORMATS) == 13
    files = {tmp_path / f"report{syntax.suffix}": syntax.name for syntax in REPORT_FORMATS}
    done = all_of(small, *(("check", FAILING, "--format", name, "-o", file) for file, name in files.items()))
    assert [(each.returncode, each.stdout) for each in done] == [(1, "")] * 13
    texts = {file: file.read_bytes() for file in files}
    packed = [content for content in texts.values() if content.startswith((b"PK", b"%PDF-"))]
    assert len(packed) == 2
    assert all(FAILING.parent.name.encode() in content for content in texts.values() if content not in packed)
    assert json.loads((tmp_path / "report.json").read_text())["verdict"] == "does not conform"


def test_a_file_that_cannot_be_read_exits_with_2_and_says_where_and_why(small: Run, tmp_path: Path) -> None:
    broken = tmp_path / "broken.ttl"
    broken.write_text("<urn:a> <urn:b> <urn:c> .\n<urn:a> <urn:b> .\n")
    (tmp_path / "data.docx").touch()
    missing, other = tmp_path / "none.ttl", tmp_path / "data.docx"
    done = all_of(small, ("check", broken), ("check", missing), ("check", other), ("check", "--format", "png"))
    fails(done[0], 2, f"{broken}, line 2, column ")
    fails(done[1], 2, f"{missing}: No such file")
    fails(done[2], 2, str(other), ".ttl, .nt, .nq, .trig, .rdf, .owl or .jsonld")
    fails(done[3], 2, '"png"', "html, ttl, nt, jsonld, rdf, trig, nq, csv, xlsx, json, pdf, sarif, junit")


def test_a_part_of_the_report_is_chosen_as_over_http(itukg: Run, client: TestClient) -> None:
    options = ("--profile", "references", "--plan", "sp-2020-2023", "--severity", "Warning", "--severity", "Info")
    printed = json.loads(prints(itukg("check", *options, "--format", "json")))
    served = client.get("/conformance/references.json?plan=sp-2020-2023&severity=Warning&severity=Info").json()
    assert len(printed["findings"]) > 20
    assert printed["header"].pop("date") >= served["header"].pop("date")
    assert printed == served


def test_only_what_is_checked_decides_the_exit_code(small: Run, tmp_path: Path) -> None:
    file = tmp_path / "data.ttl"
    line = (
        f'a <{names.ITU}ActionLine> ; <{names.PREFIXES["skos"]}notation> "C1" ; <{names.PREFIXES["rdfs"]}label> "x"@en'
    )
    file.write_text(f"{FAILING.read_text()}\n<urn:ex:without-fault> {line} .\n")
    options = [("--severity", "Info"), ("--focus", "urn:ex:without-fault"), ("--profile", "structure"), ("-q", "xyzzy")]
    done = all_of(small, *(("check", file, *option) for option in options))
    assert [each.returncode for each in done] == [1, 0, 1, 1]
    assert done[3].stdout.startswith("does not conform: ")  # nothing is listed


def test_an_option_of_the_report_that_is_not_known_exits_with_2(small: Run, tmp_path: Path) -> None:
    (tmp_path / "w.toml").write_text("[[waiver]]\nfinding = 'x'\n")
    done = all_of(
        small,
        ("check", FAILING, "--severity", "Grave"),
        ("check", FAILING, "--profile", "none"),
        ("check", FAILING, "--baseline", tmp_path / "none.json"),
        ("check", FAILING, "--waivers", tmp_path / "w.toml"),
        ("check", "--with-release"),
    )
    words = ("Violation, Warning, Info", "known: budget", "No such file", "waiver 1 has no reason", "needs a FILE")
    for each, word in zip(done, words, strict=True):
        fails(each, 2, word)


def test_a_violation_of_our_own_data_is_not_waived_and_not_published(itukg: Run, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    for folder in ("ontology", "shapes", "queries"):
        shutil.copytree(ROOT / folder, corpus / folder)
    (corpus / "data").mkdir()
    shutil.copyfile(FAILING, corpus / "data" / "failing.ttl")
    here = {"ITUKG_CORPUS": corpus, "ITUKG_HOME": tmp_path / "home"}
    (found,) = json.loads(itukg("check", "--format", "json", **here).stdout)["findings"]
    (corpus / "data" / "waivers.toml").write_text(
        f"[[waiver]]\nfinding = '{found['id']}'\nreason = 'No.'\nowner = 'Curator'\nexpires = 2999-01-01\n"
    )
    check, build = itukg("check", **here), itukg("build", **here)
    assert check.returncode == 1
    assert "cannot be waived" in check.stdout
    fails(build, 1, "Nothing was published")
    assert not list((tmp_path / "home").glob("releases/[!.]*"))


def test_the_waivers_of_our_data_are_part_of_the_release(copy: Path) -> None:
    before = Corpus(copy).fingerprint()
    (copy / "data" / "waivers.toml").write_text("")
    assert Corpus(copy).fingerprint() != before


def test_the_history_of_releases_is_a_table(itukg: Run, release: Release) -> None:
    row, *_ = csv.DictReader(io.StringIO(prints(itukg("history"))))
    assert (row["release"], row["verdict"], row["violations"]) == (release.name, "conforms", "0")
    assert release.name in prints(itukg("history", "--format", "html"))
    fails(itukg("history", "--format", "pdf"), 2, "csv, json")


# --- evidence, doctor, settings ---


def test_evidence_without_the_documents_is_not_supported(process: Run, tmp_path: Path) -> None:
    fails(process("evidence"), 3, "--sources", "ITUKG_SOURCES")
    fails(process("evidence", "--sources", tmp_path), 2, str(tmp_path), "SHA-256")


def test_doctor_prints_what_it_finds(itukg: Run, release: Release, corpus: Corpus, tmp_path: Path) -> None:
    facts = dict(re.findall(r"^(.+?): +(.+)$", prints(itukg("doctor")), re.MULTILINE))
    assert facts["release of the files"] == facts["release served last"] == release.name
    assert facts["files"] == f"{ROOT}: {len(corpus.files())} Turtle files, {len(corpus.queries())} queries"
    assert facts["Python"].startswith("3.")
    assert {"itukg", "Java", "source documents"} <= set(facts)
    assert "run itukg build" in prints(itukg("doctor", ITUKG_HOME=tmp_path))


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("port", "x", "valid integer"),
        ("port", "65536", "less than or equal to 65535"),
        ("timeout", "0", "greater than 0"),
        ("public", "itukg.example.org", "An address begins with http:// or https://"),
    ],
)
def test_a_setting_with_a_bad_value_is_named_with_the_value(itukg: Run, setting: str, value: str, words: str) -> None:
    fails(itukg("doctor", **{f"ITUKG_{setting.upper()}": value}), 2, f"setting {setting}: ", words, f"'{value}'")


def test_a_list_that_is_none_is_told_how_it_is_written(itukg: Run) -> None:
    fails(itukg("doctor", ITUKG_SERVICES="https://x.example/sparql"), 2, "services", "a list in JSON, such as")


def test_a_setting_that_is_misspelt_is_named_with_the_nearest(itukg: Run) -> None:
    said = itukg("doctor", ITUKG_WORKES="3", ITUKG_XYZZY="1", ITUKG_NO_UI="1").stderr
    assert "ITUKG_WORKES is no setting; did you mean ITUKG_WORKERS?" in said
    assert "ITUKG_XYZZY is no setting." in said and "ITUKG_NO_UI" not in said


def test_a_host_that_is_not_this_machine_is_told_so(process: Run) -> None:
    fails(process("serve", "--host", "192.0.2.1"), 2, "Name an address of this machine")


def test_an_option_goes_over_its_environment_variable(itukg: Run) -> None:
    fails(itukg("serve", "--port", "70000", ITUKG_PORT="0"), 2, "setting port: ", "70000")


def test_a_file_of_the_release_is_written_as_it_is_served(itukg: Run, release: Release, tmp_path: Path) -> None:
    assert prints(itukg("export", "links.csv")).splitlines()[0].startswith("plan,")
    assert itukg("export", "itukg.nq.gz", "-o", str(tmp_path / "dump.gz")).returncode == 0
    content = gzip.decompress((tmp_path / "dump.gz").read_bytes())
    assert hashlib.sha256(content).hexdigest() == release.manifest["canonical_sha256"]
    fails(itukg("export", "dataset.nq"), 2, "itukg.trig")


def test_the_report_on_the_same_data_is_the_same_in_every_process(process: Run, one_plan: Path) -> None:
    # Python hashes texts differently in each: what has no order of its own would come in another.
    here = {"ITUKG_CORPUS": one_plan, "ITUKG_HOME": one_plan / "home"}
    done = [process("check", "--format", "json", PYTHONHASHSEED=seed, **here) for seed in ("1", "2")]
    reports = [json.loads(each.stdout) for each in done]
    for report in reports:
        assert report["header"].pop("date")
    assert reports[0] == reports[1] and reports[0]["findings"]


def test_check_shows_on_a_terminal_what_it_does_and_nothing_elsewhere(itukg: Run) -> None:
    assert itukg("check", FAILING).stderr == ""
    ours, theirs = os.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        command = [sys.executable, "-m", "itukg", "check", str(FAILING)]
        with os.fdopen(theirs, "wb") as end:
            subprocess.run(
                command, stdout=subprocess.DEVNULL, stderr=end, check=False, env=os.environ | {"TERM": "xterm"}
            )
            shown = terminal.read(100_000).decode()
    assert re.search(r"Reading.*Validating [0-9,]+ triples", shown, re.DOTALL)
