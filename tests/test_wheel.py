"""The built wheel, alone in an empty environment and away from the checkout, serves the same."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distributions, packages_distributions, requires
from pathlib import Path
from zipfile import ZipFile

import httpx2
import pytest
from conftest import serving

from itukg.corpus import Corpus
from itukg.release.model import Release

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_files_that_go_into_the_wheel_are_those_of_the_release(corpus: Corpus, tmp_path: Path) -> None:
    included = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert len(included) == 4
    for source, place in included.items():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).symlink_to(ROOT / source)
    packed = Corpus(tmp_path / "itukg/_data")
    assert packed.fingerprint() == corpus.fingerprint()
    assert len(packed.queries()) == len(corpus.queries()) > 10


def test_the_editor_is_packed_with_its_sources_and_its_lock_file_names_no_address() -> None:
    hatch = PROJECT["tool"]["hatch"]["build"]
    assert hatch["artifacts"] == ["src/itukg/_ui/**"]  # which the repository does not have
    assert {"ui", "hatch_build.py"} <= {*hatch["targets"]["sdist"]["include"]}
    lock = (ROOT / "ui/package-lock.json").read_text()
    assert lock.count('"integrity"') > 20 and '"resolved"' not in lock


def test_what_is_imported_is_installed_with_the_wheel() -> None:
    project = PROJECT["project"]
    installed = [normal(each) for each in (*project["dependencies"], *project["optional-dependencies"]["reasoner"])]
    for each in installed:
        needed = [normal(other) for other in requires(each) or () if "extra ==" not in other]
        installed += [other for other in needed if other not in installed and is_installed(other)]
    provided = packages_distributions()
    imported = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(str(node.module).partition(".")[0])
    others = imported - sys.stdlib_module_names - {"itukg"}
    assert len(others) > 15
    assert [name for name in others if not set(installed) & {normal(each) for each in provided[name]}] == []


def is_installed(name: str) -> bool:
    return any(distributions(name=name))


def normal(requirement: str) -> str:
    """Return the name of a distribution in the form in which names are compared."""
    found = re.match(r"[\w.-]+", requirement)
    assert found is not None
    return re.sub(r"[-_.]+", "-", found[0]).lower()


@pytest.mark.exhaustive
def test_the_wheel_serves_the_same_from_another_directory(
    tmp_path: Path, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*command: str | Path) -> None:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", tmp_path, ROOT)
    [wheel] = tmp_path.glob("itukg-*.whl")
    assert wheel.stat().st_size < 3_000_000
    assert "itukg/_ui/editor.js" in ZipFile(wheel).namelist()
    run(sys.executable, "-m", "venv", tmp_path / "env")
    run(tmp_path / "env" / "bin" / "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", wheel)
    monkeypatch.chdir(tmp_path)
    home = {"ITUKG_HOME": str(tmp_path / "home")}
    with serving(home, (str(tmp_path / "env" / "bin" / "itukg"),)) as address:
        ready = httpx2.get(f"{address}/readyz").json()
        thing = httpx2.get(f"{address}/id/buap-2018-2021/output/2.1")
        page = httpx2.get(f"{address}/sparql", headers={"accept": "text/html"}).text
        [editor] = re.findall(r'src="(/assets/\w+/editor\.js)"', page)
        script = httpx2.get(f"{address}{editor}")
    assert ready == {"status": "ready", "release": release.name}
    [manifest] = tmp_path.glob("home/releases/*/manifest.json")
    assert json.loads(manifest.read_bytes())["canonical_sha256"] == release.manifest["canonical_sha256"]
    assert thing.json()["notation"] == "2.1"
    assert len(thing.json()["linkages"]) == 5
    assert script.headers["content-type"].startswith("text/javascript") and len(script.content) > 100_000
