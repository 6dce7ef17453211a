"""The README's commands work and print what it shows."""

import re
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
EXAMPLES = [
    (command, shown) for (kind, command), (_, shown) in pairwise(BLOCKS) if kind == "sh" and command.startswith("curl")
]


def test_there_are_three_examples_and_two_commands() -> None:
    assert len(EXAMPLES) == 3
    commands = [command for kind, command in BLOCKS if kind == "sh" and not command.startswith("curl")]
    clone, serve, test = commands
    assert clone.startswith("git clone ")
    assert all(
        command.startswith("python3 -m venv .venv && .venv/bin/pip install -c constraints.txt ")
        for command in (serve, test)
    )
    assert serve.endswith("&& .venv/bin/itukg serve\n")
    ci = (ROOT / ".ci" / "run").read_text()
    assert test.rpartition("&& ")[2] in ci  # the same as lands


@pytest.mark.parametrize(
    ("command", "shown"), EXAMPLES, ids=[command.split()[2].rpartition("/")[2] for command, _ in EXAMPLES]
)
def test_an_example_returns_what_the_readme_shows(command: str, shown: str, server: str) -> None:
    here = command.replace("http://127.0.0.1:8000", server)
    printed = subprocess.run(["bash", "-c", here], capture_output=True, text=True, check=True).stdout
    at = 0
    for part in re.split(r"^ *…\n", shown, flags=re.MULTILINE):
        found = printed.replace("\r\n", "\n").find(part, at)
        assert found >= 0, f"not in the answer, or not in this order:\n{part}\n--- in ---\n{printed[at:]}"
        at = found + len(part)


def test_an_answer_shown_without_an_ellipsis_is_the_whole_answer(server: str) -> None:
    [(command, shown)] = [(command, shown) for command, shown in EXAMPLES if "…" not in shown]
    here = command.replace("http://127.0.0.1:8000", server)
    printed = subprocess.run(["bash", "-c", here], capture_output=True, text=True, check=True).stdout
    assert printed.replace("\r\n", "\n") == shown


def test_ci_runs_the_two_commands_of_the_readme() -> None:
    setup, test = (command.strip() for kind, command in BLOCKS[:2] if kind == "sh")
    script = (ROOT / ".ci" / "run").read_text()
    make, install, serve = setup.split(" && ")
    assert make in script
    assert install.replace("install ", "install --quiet ") in script
    assert serve == ".venv/bin/itukg serve"
    assert test == ".venv/bin/python -m pytest"
    quick, exhaustive = script.splitlines()[-2:]
    assert quick == test and exhaustive.startswith(f"{test} -m exhaustive")


def test_what_the_readme_links_to_is_there() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert len(links) >= 6
    assert not [link for link in links if not (ROOT / link).exists()]
