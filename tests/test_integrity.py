"""A release is whole, or it is not used: whatever file of it was cut, changed, removed or added."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Pair, environment_for, run_command, small_corpus, wait_until_ready
from fastapi.testclient import TestClient

from itukg.corpus import Corpus
from itukg.errors import DataError
from itukg.release.build import build
from itukg.release.integrity import CHECKSUMS, faults, is_whole, seal
from itukg.release.model import Release, find, known
from itukg.release.upkeep import drafted
from itukg.settings import Settings
from itukg.web.app import create_app


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: content.rstrip(b"\n").rfind(b"\n") + 1] or b"")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    stamp = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1))


def remove(path: Path) -> None:
    path.unlink()


DAMAGES: tuple[Callable[[Path], None], ...] = (cut, flip, remove)


@pytest.mark.parametrize("damage", DAMAGES)
def test_no_file_of_a_release_can_be_damaged_in_silence(
    pair: Pair, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    names = sorted(path.name for path in pair.newer.path.iterdir())
    assert len(names) > 25 and CHECKSUMS in names
    folder = tmp_path / "releases" / pair.newer.name
    for name in names:
        shutil.copytree(pair.newer.path, folder)
        assert faults(folder) == []
        damage(folder / name)
        [fault] = faults(folder)
        assert fault.startswith(name), fault
        assert find(tmp_path, folder.name) is None, name
        assert known(tmp_path) == [], name
        shutil.rmtree(folder)


def test_a_file_that_was_added_is_found(pair: Pair, tmp_path: Path) -> None:
    folder = tmp_path / "release"
    shutil.copytree(pair.newer.path, folder)
    (folder / "more.csv").write_text("")
    assert faults(folder) == ["more.csv does not belong to it"]
    (folder / "more.csv").unlink()
    seal(folder)
    assert is_whole(folder)


def test_a_damaged_older_release_is_left_out_and_the_others_go_on(
    pair: Pair, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for release in (pair.older, pair.newer):
        shutil.copytree(release.path, tmp_path / "releases" / release.name)
    flip(tmp_path / "releases" / pair.older.name / "conformance.json")
    with TestClient(create_app(Settings(home=tmp_path), Release(tmp_path / "releases" / pair.newer.name))) as client:
        wait_until_ready(client)
        for path in (
            "/",
            "/data",
            "/feed.atom",
            "/conformance",
            "/conformance/history",
            "/catalog",
            f"/data/{pair.newer.name}",
        ):
            assert client.get(path).status_code == 200, path
        assert [row["name"] for row in client.get("/data?format=json").json()["releases"]] == [pair.newer.name]
        assert client.get(f"/?release={pair.older.name}").status_code == 404
    assert f"Release {pair.older.name} is damaged and is not used: conformance.json was changed" in caplog.text


def test_a_build_makes_a_damaged_release_again(tmp_path: Path) -> None:
    corpus = Corpus(small_corpus(tmp_path / "corpus"))
    first = build(corpus, tmp_path / "home", allow_unverified=True)
    cut(first.dataset)
    assert find(tmp_path / "home", first.name) is None
    second = build(corpus, tmp_path / "home", allow_unverified=True)
    assert second.name == first.name
    assert faults(second.path) == []
    third = build(corpus, tmp_path / "home", allow_unverified=True)  # which finds it
    assert third.built == second.built


def test_a_file_that_changes_while_it_is_built_publishes_nothing(tmp_path: Path) -> None:
    corpus = Corpus(small_corpus(tmp_path / "corpus"))
    file = corpus.root / "data/schemes/wsis.ttl"

    def edit(step: str) -> None:
        if step == "Deriving":
            file.write_text(file.read_text() + "\n")

    with pytest.raises(DataError, match="changed while the release was built"):
        build(corpus, tmp_path / "home", edit, allow_unverified=True)
    assert not [*(tmp_path / "home").glob("releases/*")]
    assert not (tmp_path / "home" / "current").exists()


def test_a_build_removes_what_killed_builds_left(tmp_path: Path) -> None:
    corpus = Corpus(small_corpus(tmp_path / "corpus"))
    environment = environment_for(ITUKG_HOME=tmp_path / "home", ITUKG_CORPUS=corpus.root, ITUKG_UNVERIFIED="1")
    with subprocess.Popen(
        [sys.executable, "-m", "itukg", "build"], env=environment, stderr=subprocess.DEVNULL
    ) as killed:
        deadline = time.monotonic() + 120
        while not [*(tmp_path / "home").glob("releases/.draft-*/*")]:
            assert time.monotonic() < deadline and killed.poll() is None
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
    assert len([*(tmp_path / "home").glob("releases/.draft-*")]) == 1
    with drafted(tmp_path / "home") as mine:  # of a build that runs beside
        release = build(corpus, tmp_path / "home", allow_unverified=True)
        assert [*(tmp_path / "home").glob("releases/.d*")] == [mine]
    assert is_whole(release.path)


def test_releases_are_in_the_order_in_which_they_were_built_whatever_the_clock_says(pair: Pair, tmp_path: Path) -> None:
    for release, built in ((pair.older, "2030-01-01T00:00:00Z 1"), (pair.newer, "2020-01-01T00:00:00Z 2")):
        folder = tmp_path / "releases" / release.name
        shutil.copytree(release.path, folder)
        (folder / "built").write_text(built)
        seal(folder)
    older, newer = known(tmp_path)
    assert (older.name, newer.name) == (pair.older.name, pair.newer.name)
    assert newer.before == older and older.before is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_home_that_cannot_be_written_to_serves_what_is_there(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home, tmp_path / "home")
    for path in [tmp_path / "home", *(tmp_path / "home").rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    assert run_command("query", "ASK {}", ITUKG_HOME=tmp_path / "home").returncode == 0


def test_what_is_published_already_is_not_written_again(home: Path, release: Release) -> None:
    before = (home / "current").stat().st_mtime_ns
    assert build(Corpus(Settings().corpus), home) == release
    assert (home / "current").stat().st_mtime_ns == before
