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
    assert len([command for kind, command in BLOCKS if kind == "sh"]) == 6


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
    clone, serve, test = (
        command.strip() for kind, command in BLOCKS if kind == "sh" and not command.startswith("curl")
    )
    script = (ROOT / ".ci" / "run").read_text()
    assert clone.startswith("git clone ")
    make, install, run = test.split(" && ")
    assert make in script
    assert install.replace("install ", "install --quiet ") in script
    assert serve.split(" && ") == [make, ".venv/bin/pip install -c constraints.txt .", ".venv/bin/itukg serve"]
    quick, browser, exhaustive = script.splitlines()[-3:]
    assert quick == run == ".venv/bin/python -m pytest"
    assert browser.startswith(f"{run} -m browser") and exhaustive.startswith(f"{run} -m exhaustive")


def test_what_the_readme_links_to_is_there() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert len(links) >= 6
    assert not [link for link in links if not (ROOT / link).exists()]
