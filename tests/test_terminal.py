"""The command line as a person uses it: at a terminal, by its first hints, and with what they type."""

import os
import pty
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import environment_for, run_command

from itukg import __version__


def at_terminal(home: Path, *arguments: str) -> str:
    """Run a command with a terminal as its standard output, and return what stands there then."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "itukg", *arguments]
    with subprocess.Popen(
        command,
        stdout=theirs,
        stderr=theirs,
        stdin=subprocess.DEVNULL,
        env=environment_for(ITUKG_HOME=home, COLUMNS="100"),
    ):
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 65536):
                shown += piece
        except OSError:  # how Linux says that the other side is closed
            pass
    os.close(ours)
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode()).replace("\r", "")


def test_the_version_is_told() -> None:
    assert run_command("--version").stdout == f"itukg {__version__}\n"


@pytest.mark.parametrize("arguments", [("-h",), ("query", "-h"), ("serve", "-h"), ()])
def test_help_is_a_letter_away(arguments: tuple[str, ...]) -> None:
    found = run_command(*arguments)
    assert "Usage: " in found.stdout + found.stderr


def test_a_query_on_a_terminal_is_a_table_with_labels(home: Path) -> None:
    shown = at_terminal(home, "query", "SELECT ?line { VALUES ?line { <https://w3id.org/itukg/id/wsis/C5> } }")
    assert re.search(r"^line *\n *wsis/C5 \(Building confidence and security", shown, re.MULTILINE), shown
    assert "1 row\n" in shown


def test_views_on_a_terminal_are_tables_and_csv_elsewhere(home: Path) -> None:
    shown = at_terminal(home, "matrix", "--rows", "plan", "--columns", "sdgGoal", "--plan", "buap-2018-2021")
    assert re.search(r"^row +buap-2018-2021 \(Buenos Aires", shown, re.MULTILINE) and "rows\n" in shown
    piped = run_command("matrix", "--plan", "buap-2018-2021", ITUKG_HOME=home).stdout
    assert piped.startswith("row,") and ",buap-2018-2021," in piped  # Goals and plans, where nothing else is named
    assert re.search(r"^plan +op-2026 *$", at_terminal(home, "risks", "--plan", "op-2026"), re.MULTILINE)


def test_a_misspelt_question_is_told_the_nearest(home: Path) -> None:
    told = run_command("query", "outputs-for-sdg-targt", ITUKG_HOME=home)
    assert (told.returncode, "nearest: outputs-for-sdg-target" in told.stderr) == (2, True)


def test_a_query_of_many_columns_is_a_list_on_a_narrow_terminal(home: Path) -> None:
    columns = " ".join(f"({n} AS ?column{n})" for n in range(9))
    shown = at_terminal(home, "query", f"SELECT {columns} {{}}")
    assert re.findall(r"^column(\d) +(\d)", shown, re.MULTILINE) == [(str(n), str(n)) for n in range(9)]


@pytest.mark.parametrize(
    "arguments",
    [("export", "itukg.trig.gz"), ("query", "SELECT * {}", "--format", "xlsx"), ("risks", "--format", "xlsx")],
)
def test_nothing_binary_is_written_to_a_terminal(arguments: tuple[str, ...], home: Path) -> None:
    shown = at_terminal(home, *arguments)
    assert "-o FILE" in shown
    assert "PK" not in shown


def test_a_query_is_read_from_standard_input(home: Path) -> None:
    command = [sys.executable, "-m", "itukg", "query", "-"]
    done = subprocess.run(
        command,
        input="SELECT ?x { VALUES ?x { 7 } }",
        capture_output=True,
        text=True,
        check=True,
        env=environment_for(ITUKG_HOME=home),
    )
    assert done.stdout.split() == ["x", "7"]


@pytest.mark.parametrize(
    "text",
    [
        "9.c",
        "sdg:9.c",
        "SDG:9.C",
        "http://metadata.un.org/sdg/9.c",
        "http://127.0.0.1:8000/sdg/9.c",
        "https://example.org/sdg/9.c",
    ],
)
def test_a_thing_is_named_as_people_type_it(text: str, home: Path) -> None:
    assert '"id": "http://metadata.un.org/sdg/9.c"' in run_command("describe", text, ITUKG_HOME=home).stdout


def test_a_thing_is_described_in_words_to_a_person_and_as_data_to_a_program(home: Path) -> None:
    thing = "bap-2026-2029/outcome/T1.1-O1"
    shown = at_terminal(home, "describe", thing)
    for line in (
        "Outcome T1.1-O1 · Baku Action Plan 2026-2029",
        "  Topic T1.1 Emergency telecommunications",
        "  Serves the SDG target [derived, close]",
        "    11.b Integrated city plans for climate and disaster risk",
        "  CHF 205\N{NARROW NO-BREAK SPACE}000 for T1.1 Emergency telecommunications (ITU-D Operational Plan 2026)",
    ):
        assert f"\n{line}\n" in f"\n{shown}", line
    assert re.search(r"^  T1\.1-I1 Number of Member States .* \[stated\]$", shown, re.MULTILINE)
    assert "&" not in shown  # no markup in it
    assert run_command("describe", thing, "--format", "text", ITUKG_HOME=home).stdout == shown
    assert '"id": "https://w3id.org' in run_command("describe", thing, ITUKG_HOME=home).stdout


def test_an_unknown_prefix_is_named_with_those_that_there_are(home: Path) -> None:
    said = run_command("describe", "sgd:9.c", ITUKG_HOME=home)
    assert said.returncode == 2
    assert 'no prefix "sgd" here; known: ' in said.stderr
    assert ", sdg, " in said.stderr


def test_a_busy_port_is_told_before_anything_is_loaded(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        command = [sys.executable, "-m", "itukg", "serve", "--port", str(port)]
        given = environment_for(ITUKG_HOME=tmp_path)
        said = subprocess.run(command, env=given, capture_output=True, text=True, check=False)
    assert said.returncode == 2
    assert f"port {port}: Address already in use" in said.stderr
    assert "itukg serve --port" in said.stderr
    assert not [*tmp_path.iterdir()]


def test_a_missing_baseline_is_called_so() -> None:
    said = run_command("check", "--baseline", "nope.json")
    assert said.returncode == 2
    assert "baseline nope.json: No such file" in said.stderr


@pytest.mark.parametrize(("syntax", "begin"), [("json", '{\n  "older"'), ("html", "<!doctype html>")])
def test_a_comparison_is_also_json_and_a_page(syntax: str, begin: str, home: Path) -> None:
    found = run_command("diff", "bap-2026-2029-draft", "bap-2026-2029", "--format", syntax, ITUKG_HOME=home)
    assert found.stdout.startswith(begin)


def test_plans_in_the_wrong_order_are_offered_in_the_right_one(home: Path) -> None:
    said = run_command("diff", "bap-2026-2029", "bap-2026-2029-draft", ITUKG_HOME=home)
    assert said.returncode == 2
    assert "itukg diff bap-2026-2029-draft bap-2026-2029" in said.stderr
