"""The built wheel, alone in an empty environment and away from the checkout, serves the same."""

import json
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from conftest import serving

from itukg.release import Release

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_wheel_serves_the_same_from_another_directory(
    tmp_path: Path, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*command: str | Path) -> None:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", tmp_path, ROOT)
    [wheel] = tmp_path.glob("itukg-*.whl")
    run(sys.executable, "-m", "venv", tmp_path / "env")
    run(tmp_path / "env" / "bin" / "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", wheel)
    monkeypatch.chdir(tmp_path)
    home = {"ITUKG_HOME": str(tmp_path / "home")}
    with serving(home, (str(tmp_path / "env" / "bin" / "itukg"),)) as address:
        ready = httpx2.get(f"{address}/readyz").json()
        thing = httpx2.get(f"{address}/id/buap-2018-2021/output/2.1")
    assert ready == {"status": "ready", "release": release.name}
    [manifest] = tmp_path.glob("home/releases/*/manifest.json")
    assert json.loads(manifest.read_bytes())["canonical_sha256"] == release.manifest["canonical_sha256"]
    assert thing.json()["notation"] == "2.1"
    assert len(thing.json()["linkages"]) == 5
