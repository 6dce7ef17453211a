"""Releases over the years: checked, thinned out, gone back to, pinned, damaged, and built by processes at once."""

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest
from conftest import (
    Once,
    Pair,
    edit,
    environment_for,
    eventually,
    processes,
    run_command,
    serving,
    tiny_corpus,
    wait_until_ready,
)
from fastapi.testclient import TestClient
from test_docs import run_of
from test_integrity import DAMAGES, cut, flip

from itukg.corpus import Corpus
from itukg.release.build import build
from itukg.release.integrity import faults, seal
from itukg.release.model import Release, current, known, pointed
from itukg.release.upkeep import drafted, held
from itukg.settings import Settings
from itukg.web.app import create_app

Done = subprocess.CompletedProcess[str]
LABEL = "SELECT ?l { <urn:test:thing> <http://www.w3.org/2000/01/rdf-schema#label> ?l }"


class Installation:
    """A corpus of one thing, and a home with releases of it; `itukg` runs a command there."""

    def __init__(self, root: Path) -> None:
        self.root, self.corpus, self.home = root, root / "corpus", root / "home"
        self.environment = {"ITUKG_CORPUS": str(self.corpus), "ITUKG_HOME": str(self.home), "ITUKG_UNVERIFIED": "1"}

    def itukg(self, *arguments: str, **environment: str) -> Done:
        return run_command(*arguments, **self.environment | environment)

    def process(self, *arguments: str, **options: object) -> "subprocess.Popen[str]":
        started: subprocess.Popen[str] = subprocess.Popen(
            [sys.executable, "-m", "itukg", *arguments],
            env=environment_for(**self.environment),
            stderr=subprocess.PIPE,
            text=True,
            **options,  # type: ignore[call-overload]
        )
        return started

    @property
    def names(self) -> list[str]:
        return [release.name for release in known(self.home)]

    @property
    def current(self) -> str:
        return pointed(self.home)

    def folder(self, name: str) -> Path:
        return self.home / "releases" / name


@pytest.fixture
def three(once: Once, tmp_path: Path) -> Installation:
    """Three releases, of the things 1, 2 and 3; the last is current, and that of the files."""

    def make(root: Path) -> None:
        tiny_corpus(root / "corpus")
        for number in (1, 2, 3):
            build(Corpus(edit(root / "corpus", number)), root / "home", allow_unverified=True)

    shutil.copytree(once("three", make), tmp_path / "three")
    return Installation(tmp_path / "three")


def ending(process: "subprocess.Popen[str]") -> str:
    """What a process says until it ends, which it must do by itself."""
    try:
        return process.communicate(timeout=120)[1]
    finally:
        process.kill()
        process.communicate()


def ok(done: Done) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


# --- verify ---


def test_verify_names_each_fault_of_each_release(three: Installation) -> None:
    first, second, third = three.names
    said = ok(three.itukg("verify"))
    assert sorted(said.splitlines()) == sorted([f"{first}: whole", f"{second}: whole", f"{third}, current: whole"])
    flip(three.folder(first) / "links.csv")
    cut(three.folder(first) / "dataset.nq")
    (three.folder(third) / "void.nt").unlink()
    done = three.itukg("verify")
    assert done.returncode == 1
    found = dict(re.findall(r"^(\w+).*: (.*(?:\n  .*)*)", done.stdout, re.MULTILINE))
    assert found[second] == "whole"
    assert re.findall(r"^  (\S+) was changed", found[first], re.MULTILINE) == ["dataset.nq", "links.csv"]
    assert found[third] == "damaged\n  void.nt is missing"
    assert three.itukg("verify", second).returncode == 0
    assert three.itukg("verify", first).returncode == 1
    unknown = three.itukg("verify", "none")
    assert unknown.returncode == 2 and f'no release "none" below {three.home}' in unknown.stderr
    assert second in unknown.stderr


def test_verify_counts_what_the_dataset_holds(three: Installation) -> None:
    [name, *_] = three.names
    release = Release(three.folder(name))
    merged = release.manifest["merged"]
    with release.dataset.open("a") as dataset:
        dataset.write(
            "<urn:test:more> <urn:test:p> <urn:test:o> .\n<urn:test:s> <urn:test:p> <urn:test:o> <urn:test:g> .\n"
        )
    seal(release.path)  # as a build with a fault would
    done = three.itukg("verify", name)
    assert done.returncode == 1
    assert done.stdout.splitlines()[1:] == [
        f"  dataset.nq has {merged + 1} triples in the merged graph, and the manifest says {merged}",
        "  dataset.nq has 1 triples in urn:test:g, and the manifest says 0",
    ]


def test_verify_says_when_current_names_nothing(three: Installation, tmp_path: Path) -> None:
    for content in (b"0123456789abcdef", b"", b"\0" * 16, b"\xff../.."):
        (three.home / "current").write_bytes(content)
        done = three.itukg("verify")
        assert done.returncode == 1 and "current: names " in done.stdout, content
        assert "release served last: none" in re.sub(" +", " ", ok(three.itukg("doctor"))), content
        assert ok(three.itukg("query", "ASK {}"))
        assert three.current == three.names[-1]
    assert three.itukg("verify", ITUKG_HOME=str(tmp_path / "none")).returncode == 2


# --- prune ---


def test_prune_keeps_the_newest_and_says_what_it_removes(three: Installation) -> None:
    first, second, third = three.names
    size = sum(path.stat().st_size for path in three.folder(first).iterdir())
    dead = three.home / "releases" / ".draft-of-a-dead-build"
    dead.mkdir()
    (dead / "dataset.nq").write_bytes(b"12345")
    tried = three.itukg("prune", "--keep", "2", "--dry-run")
    assert f"would remove: {first} (release, {size:,} bytes)" in ok(tried)
    assert f"{size + 5:,} bytes would be removed" in tried.stderr
    assert three.names == [first, second, third] and dead.is_dir()
    done = three.itukg("prune", "--keep", "2")
    assert ok(done) == ok(tried).replace("would remove", "removed").replace("would be ", "")
    assert three.names == [second, third] and not dead.exists()
    assert sorted(path.name for path in three.home.glob("releases/*")) == sorted([second, third])
    assert ok(three.itukg("prune", "--keep", "2")) == "0 bytes removed.\n"
    assert three.itukg("prune", "--keep", "0").returncode == 2
    assert three.itukg("prune").returncode == 2


def test_prune_removes_damaged_releases_but_never_the_current_one(three: Installation) -> None:
    first, second, third = three.names
    for name in (second, third):
        flip(three.folder(name) / "dataset.nq")
    done = ok(three.itukg("prune", "--keep", "5"))
    assert f"removed: {second} (damaged release, " in done
    assert {path.name for path in three.home.glob("releases/*")} == {first, third}
    assert f"{third}, current: damaged" in three.itukg("verify").stdout


def test_prune_keeps_what_a_build_writes_and_a_server_serves(three: Installation) -> None:
    first, second, third = three.names
    server = serving(three.environment | {"ITUKG_RELEASE": first})
    with drafted(three.home) as draft, server as address:
        done = ok(three.itukg("prune", "--keep", "1"))
        assert re.search(rf"^stays: {first} \(release, [\d,]+ bytes\): a running process reads it$", done, re.MULTILINE)
        assert f"removed: {second}" in done
        assert draft.is_dir()
        assert httpx2.get(f"{address}/data/{first}/links.csv").status_code == 200
    assert three.names == [first, third]
    assert f"removed: {first}" in ok(three.itukg("prune", "--keep", "1"))


def test_a_running_server_follows_a_rollback_and_holds_only_what_it_serves(three: Installation) -> None:
    *_, third = three.names
    with serving(three.environment) as address:

        def serves(name: str) -> bool:
            return bool(httpx2.get(f"{address}/readyz").json()["release"] == name)

        second = three.names[1]
        assert httpx2.get(f"{address}/sparql", params={"query": LABEL, "release": second}).status_code == 200
        ok(three.itukg("prune", "--keep", "1"))
        assert three.names == [second, third]  # an older one that is open stays
        assert httpx2.get(f"{address}/sparql", params={"query": LABEL, "release": second}).status_code == 200
        ok(three.itukg("rollback", second))
        eventually(lambda: serves(second), "it did not follow", 60)
        ok(three.itukg("rollback", third))
        eventually(lambda: serves(third), "it did not follow", 60)

        def pruned() -> bool:
            return bool(ok(three.itukg("prune", "--keep", "1"))) and three.names == [third]

        eventually(pruned, "it holds what it serves no more", 60)
        for path in ("/data", f"/data/{third}", "/feed.atom", "/catalog"):
            assert httpx2.get(address + path).status_code == 200
        assert httpx2.get(f"{address}/data/{second}").status_code == 404


# --- rollback ---


def test_rollback_publishes_the_release_before_and_a_build_does_not_undo_it(three: Installation) -> None:
    first, second, third = three.names
    done = ok(three.itukg("rollback"))
    assert f"current: {second}, " in done and f"To go forward: itukg rollback {third}" in done
    assert three.current == second
    for command in (("build",), ("query", LABEL), ("export", "links.csv")):
        said = three.itukg(*command)
        assert f"{third}, was gone back from; this is {second}" in ok(said)
        assert three.current == second
    assert "Thing 2" in three.itukg("query", LABEL).stdout
    with serving(three.environment) as address:
        assert httpx2.get(f"{address}/readyz").json()["release"] == second
    assert f"gone back from: {third}" in re.sub(" +", " ", ok(three.itukg("doctor")))
    ok(three.itukg("rollback"))
    assert three.current == first
    edit(three.corpus, 4)
    ok(three.itukg("build"))  # of other files, it publishes as ever
    assert three.current == three.names[-1] not in (first, second, third)
    ok(three.itukg("rollback"))
    assert three.current == first  # not what was gone back from before


def test_the_service_may_read_what_is_current_whoever_published_it(three: Installation) -> None:
    before = os.umask(0o077)
    try:
        ok(three.itukg("rollback"))
    finally:
        os.umask(before)
    assert {(three.home / name).stat().st_mode & 0o777 for name in ("current", "withdrawn")} == {0o644}


def test_rollback_goes_forward_too(three: Installation) -> None:
    first, second, third = three.names
    ok(three.itukg("rollback", first))
    assert three.current == first
    done = ok(three.itukg("rollback", second))
    assert three.current == second and f"To go forward: itukg rollback {third}" in done
    assert "forward" not in ok(three.itukg("rollback", third))
    assert "gone back" not in ok(three.itukg("build")) + ok(three.itukg("doctor"))
    assert three.current == third


def test_what_was_gone_back_from_stays_so_when_it_is_lost_or_damaged(three: Installation) -> None:
    _, second, third = three.names
    ok(three.itukg("rollback"))
    flip(three.folder(third) / "links.csv")
    refused = three.itukg("rollback", third)
    assert refused.returncode == 2 and "links.csv was changed" in refused.stderr and "itukg build" in refused.stderr
    assert f"this is {second}" in ok(three.itukg("build"))
    assert faults(three.folder(third)) == []  # made again, not published
    shutil.rmtree(three.folder(third))
    assert f"this is {second}" in ok(three.itukg("build"))
    ok(three.itukg("rollback", third))
    assert three.current == third


def test_rollback_from_a_damaged_release(three: Installation) -> None:
    first, second, third = three.names
    cut(three.folder(third) / "dataset.nq")
    ok(three.itukg("rollback"))
    assert three.current == second
    flip(three.folder(second) / "dataset.nq")
    done = three.itukg("build")
    assert done.returncode == 2 and "itukg rollback RELEASE" in done.stderr  # rather than what was gone back from
    ok(three.itukg("rollback"))
    assert three.current == first
    ok(three.itukg("rollback", third))  # which was made again meanwhile


def test_rollback_without_an_earlier_release_changes_nothing(three: Installation) -> None:
    first, _, third = three.names
    edit(three.corpus, 1)
    ok(three.itukg("build"))  # which publishes the first again
    done = three.itukg("rollback")
    assert done.returncode == 2 and three.current == first
    edit(three.corpus, 3)
    ok(three.itukg("build"))
    ok(three.itukg("prune", "--keep", "1"))
    done = three.itukg("rollback")
    assert done.returncode == 2 and f"no whole release before {third}" in done.stderr
    assert three.itukg("rollback", "none").returncode == 2
    assert three.current == third and not (three.home / "withdrawn").exists()


@pytest.mark.parametrize("last_step", [1, 2])
def test_a_rollback_that_is_killed_leaves_a_whole_release(three: Installation, last_step: int) -> None:
    """The steps are: note what is gone back from, publish, clear the note."""
    (three.home / ".current-1").write_text("half")
    _, second, third = three.names
    (three.home / "withdrawn").write_text(third)
    if last_step == 2:
        (three.home / "current").write_text(second)
    expected = third if last_step == 1 else second
    ok(three.itukg("build"))
    assert three.current == expected
    ok(three.itukg("rollback", second))
    ok(three.itukg("rollback", third))
    assert sorted(path.name for path in three.home.iterdir()) == ["current", "releases", "withdrawn"]
    assert three.current == third and (three.home / "withdrawn").read_text() == ""


def test_who_only_reads_publishes_nothing_that_replaces_the_current_release(three: Installation) -> None:
    third = three.current
    edit(three.corpus, 4)
    for command in (("query", LABEL), ("export", "links.csv"), ("query", LABEL)):
        ok(three.itukg(*command))
        assert three.current == third
    assert "Thing 4" in three.itukg("query", LABEL).stdout and len(three.names) == 4
    (three.home / "current").unlink()
    ok(three.itukg("query", LABEL))
    assert three.current == three.names[-1] != third


# --- serve --release ---


def test_a_pinned_release_is_served_whatever_is_published(three: Installation) -> None:
    first, _, third = three.names
    command = (sys.executable, "-m", "itukg", "serve", "--release", first)
    edit(three.corpus, 5)  # which is not built
    server = serving(three.environment)
    server.command = (*command, "--port", "0")
    with server as address:
        assert httpx2.get(f"{address}/readyz").json()["release"] == first
        assert "Thing 1" in httpx2.get(f"{address}/sparql", params={"query": LABEL}).text
    assert three.current == third and len(three.names) == 3
    assert "Thing 1" in ok(three.itukg("query", LABEL, ITUKG_RELEASE=first))


def test_a_pinned_release_that_is_missing_or_damaged_is_not_replaced_by_another(three: Installation) -> None:
    first, second, _ = three.names
    flip(three.folder(first) / "dataset.nq")
    for name, words in ((first, "dataset.nq was changed"), ("none", second)):
        process = three.process("serve", "--port", "0", "--release", name)
        assert words in ending(process)
        assert process.returncode == 2


# --- doctor ---


def test_doctor_names_damaged_releases_and_dead_drafts(three: Installation) -> None:
    [first, *_] = three.names
    facts = dict(re.findall(r"^(.+?): +(.+)$", three.itukg("doctor").stdout, re.MULTILINE))
    assert facts["releases"] == "3 whole, 0 damaged" and not {"damaged", "left by killed builds"} & {*facts}
    flip(three.folder(first) / "links.csv")
    (three.home / "releases" / ".draft-dead").mkdir()
    with drafted(three.home):  # which has removed that one
        (three.home / "releases" / ".draft-killed").mkdir()
        facts = dict(re.findall(r"^(.+?): +(.+)$", three.itukg("doctor").stdout, re.MULTILINE))
    assert facts["releases"] == "2 whole, 1 damaged"
    assert facts["damaged"].startswith(f"{first}: links.csv was changed")
    assert facts["left by killed builds"].startswith(".draft-killed: ")


# --- damage ---


def sums(folder: Path) -> dict[str, str]:
    lines = [line.split("  ") for line in (folder / "CHECKSUMS").read_text().splitlines()[:-1]]
    return {name: digest for digest, _, name in lines if name != "built"}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_release_is_never_queried_but_made_again(three: Installation, damage: Callable[[Path], None]) -> None:
    folder = three.folder(three.names[-1])
    before = sums(folder)
    damage(folder / "dataset.nq")
    done = three.itukg("query", LABEL)
    assert "Thing 3" in ok(done) and faults(folder) == [] and sums(folder).keys() == before.keys()
    assert [*three.home.glob("releases/.*")] == []


@pytest.mark.exhaustive
@pytest.mark.parametrize("damage", DAMAGES)
def test_whatever_file_is_damaged_the_release_is_made_again(
    three: Installation, damage: Callable[[Path], None]
) -> None:
    folder = three.folder(three.names[-1])
    before = sums(folder)
    files = sorted(path.name for path in folder.iterdir())
    assert len(files) > 25
    for name in files:
        damage(folder / name)
        assert current(three.home) is None, name
        ok(three.itukg("build"))
        assert faults(folder) == [] and sums(folder).keys() == before.keys(), name


def test_where_a_damaged_release_cannot_be_made_again_the_newest_whole_one_is_served(three: Installation) -> None:
    first, second, third = three.names
    ok(three.itukg("rollback", second))
    flip(three.folder(second) / "dataset.nq")
    (three.corpus / "data/schemes/thing.ttl").write_text("not Turtle")
    server = serving(three.environment)
    with server as address:
        assert httpx2.get(f"{address}/readyz").json()["release"] == first  # not what was gone back from
    said = "".join(server.log)
    assert "dataset.nq was changed" in said and "thing.ttl, line 1" in said
    assert f"Serving the last release instead: {first}" in said
    for name in (first, third):
        flip(three.folder(name) / "dataset.nq")
    process = three.process("serve", "--port", "0")
    said = ending(process)
    assert process.returncode == 2 and "thing.ttl, line 1" in said


LOST = (
    "", "built", "manifest.json", "SHA256SUMS", "itukg.nq.gz", "conformance.json", "conformance.nt",
    "dataset.nq", "overview.json", "ontology.nq", "CHECKSUMS",
)  # fmt: skip
"""Files of an older release that go while it is served; the first is the whole folder."""
PATHS = (
    "/", "/data", "/data?format=json", "/data?format=ttl", "/feed.atom", "/conformance", "/conformance/history",
    "/catalog", "/catalog?format=ttl", "/ontology/0.1.0", "/data/latest", "/data/latest?format=ttl",
    "/data/latest/links.csv",
)  # fmt: skip
OF_OLDER = (
    "/data/{}", "/data/{}?format=json", "/data/{}?format=ttl", "/data/{}/links.csv", "/data/{}/itukg.nq.gz",
    "/data/latest/diff/{}", "/data/{}/diff/latest", "/?release={}", "/conformance?release={}",
    "/sparql?query=ASK%7B%7D&release={}",
)  # fmt: skip


def test_a_release_that_is_damaged_or_removed_while_another_is_served_is_left_out(pair: Pair, tmp_path: Path) -> None:
    for release in (pair.older, pair.newer):
        shutil.copytree(release.path, tmp_path / "releases" / release.name)
    older = tmp_path / "releases" / pair.older.name
    served = Release(tmp_path / "releases" / pair.newer.name)
    with TestClient(create_app(Settings(home=tmp_path), served), raise_server_exceptions=False) as client:
        wait_until_ready(client)
        assert client.get(f"/search?q=c1&release={older.name}").status_code == 200  # and is open from now on
        for name in LOST:
            shutil.rmtree(older, ignore_errors=True)
            if name:
                shutil.copytree(pair.older.path, older)
                (older / name).unlink()
            for path in PATHS:
                assert client.get(path).status_code == 200, (name, path)
            for path in OF_OLDER:
                assert client.get(path.format(older.name)).status_code == 404, (name, path)
            assert [row["name"] for row in client.get("/data?format=json").json()["releases"]] == [pair.newer.name]
        flip(served.path / "links.csv")
        assert client.get("/data/latest/nodes.csv").status_code == 503
        assert client.get("/sparql?query=ASK%7B%7D").status_code == 200


def test_a_worker_that_is_replaced_answers_from_the_same_release_or_not_at_all(three: Installation) -> None:
    served = serving({**three.environment, "ITUKG_TIMEOUT": "2"})
    dataset = three.folder(three.current) / "dataset.nq"
    with served as address, httpx2.Client(base_url=address, timeout=60) as client:
        dataset.write_text(dataset.read_text().replace("Thing 3", "Thing made up"))
        for pid in processes(served.process.pid):
            if b"itukg.engine.evaluate" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
        answers = [client.get("/sparql", params={"query": f"{LABEL} # {n}", "format": "csv"}) for n in range(4)]
        assert {answer.status_code for answer in answers} == {503}
        assert client.get("/readyz").status_code == 503
        upload = client.post("/validate", content="<urn:a> a <urn:B> .", headers={"content-type": "text/turtle"})
        assert upload.status_code == 503, upload.text
        assert str(three.root) not in upload.text + answers[0].text
    assert "was changed since it was first loaded" in "".join(served.log)


def test_a_served_release_whose_folder_is_gone_is_no_error_of_the_server(three: Installation) -> None:
    served = serving({**three.environment, "ITUKG_CACHE": "0"})
    with served as address, httpx2.Client(base_url=address) as client:
        shutil.rmtree(three.folder(three.current))
        paths = ("/", "/search?q=thing", "/ontology", "/shapes", "/catalog", "/graph/ontology", "/queries", "/docs")
        answers = [client.get(path, headers={"accept": "text/html"}) for path in (*paths, "/conformance.pdf", "/data")]
        statuses = {answer.status_code for answer in answers}
        assert 503 in statuses and statuses <= {200, 303, 404, 503}, [(a.url.path, a.status_code) for a in answers]
        assert client.get("/sparql", params={"query": LABEL, "format": "csv"}).text.endswith("Thing 3\r\n")
    assert "Traceback" not in "".join(served.log)


def test_lists_of_releases_are_not_answered_from_before_one_was_removed(three: Installation) -> None:
    first, *_ = three.names
    with serving(three.environment) as address, httpx2.Client(base_url=address) as client:

        def is_told() -> bool:
            told = client.get("/data.json").text, client.get("/catalog.ttl").text
            older = client.get(f"/data/{first}.json")
            return any(first in text for text in told) or older.status_code != 404

        assert [is_told() for _ in range(3)] == [True, True, True]
        shutil.rmtree(three.folder(first))
        eventually(lambda: not is_told(), "it is still told", 20)


@pytest.mark.parametrize("name", ["copy of it", '"<>', "\N{FULLWIDTH LATIN SMALL LETTER F}ull", "a\nb"])
def test_a_folder_that_cannot_be_the_name_of_a_release_is_none(three: Installation, name: str) -> None:
    shutil.copytree(three.folder(three.current), three.folder(name))
    assert len(three.names) == 3
    assert name not in ok(three.itukg("verify"))
    assert three.itukg("rollback", name).returncode == 2
    settings = Settings(home=three.home)
    with TestClient(create_app(settings, Release(three.folder(three.current)))) as client:
        wait_until_ready(client)
        for path in ("/data", "/catalog.ttl", "/feed.atom"):
            assert client.get(path).status_code == 200
        assert client.get(f"/data/{quote(name)}").status_code in (400, 404)
        assert client.get("/sparql", params={"query": LABEL, "release": name}).status_code in (400, 404)


def test_prune_removes_a_link_to_a_release_and_not_what_it_leads_to(three: Installation, tmp_path: Path) -> None:
    first, *_ = three.names
    elsewhere = tmp_path / "elsewhere"
    shutil.move(three.folder(first), elsewhere)
    three.folder(first).symlink_to(elsewhere)
    assert len(three.names) == 3
    assert f"removed: {first} (release, 0 bytes)" in ok(three.itukg("prune", "--keep", "1"))
    assert faults(elsewhere) == [] and not [*three.home.glob("releases/.*")]


# --- full and read-only disks ---


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a file system in memory with these options, again with others; skips where the system does not allow it."""
    place = tmp_path / "disk"
    place.mkdir()

    def mounted(options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(place)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"needs to mount a file system in memory, which root may: {done.stderr.strip()}")
        return place

    yield mounted
    while place.is_mount():
        subprocess.run(["umount", str(place)], check=True)


def test_a_read_only_home_stops_nothing_while_the_release_is_there(
    three: Installation, disk: Callable[[str], Path]
) -> None:
    *_, third = three.names
    place = disk("size=50m")
    shutil.copytree(three.home, place / "home")
    disk("remount,ro,size=50m")
    three.environment["ITUKG_HOME"] = str(place / "home")
    assert "Thing 3" in ok(three.itukg("query", LABEL))
    assert ok(three.itukg("export", "links.csv")) and ok(three.itukg("build")) and ok(three.itukg("verify"))
    with serving(three.environment) as address:
        assert httpx2.get(f"{address}/readyz").json()["release"] == third
    for command in (("rollback",), ("prune", "--keep", "1")):
        done = three.itukg(*command)
        assert done.returncode == 2 and "ead-only file system" in done.stderr, command
    edit(three.corpus, 2)  # its release is there, and is not the current one
    assert "Thing 2" in ok(three.itukg("query", LABEL))
    server = serving(three.environment)
    with server:
        pass
    assert "current cannot be written: Read-only file system" in "".join(server.log)
    assert three.itukg("build").returncode == 2
    edit(three.corpus, 9)
    done = three.itukg("build")
    assert done.returncode == 2 and "could not be written, at " in done.stderr and "ITUKG_HOME" in done.stderr
    server = serving(three.environment)
    with server as address:
        assert httpx2.get(f"{address}/readyz").json()["release"] == third
    assert "Serving the last release instead" in "".join(server.log)


def test_a_disk_that_is_full_ends_a_build_in_words_and_the_release_stays(
    three: Installation, disk: Callable[[str], Path]
) -> None:
    *_, third = three.names
    edit(three.corpus, 9)
    home = disk("size=50m") / "home"
    shutil.copytree(three.folder(third), home / "releases" / third)
    (home / "current").write_text(third)
    used = sum(path.stat().st_blocks * 512 for path in home.rglob("*"))
    three.environment["ITUKG_HOME"] = str(home)
    dataset = (three.folder(third) / "dataset.nq").stat().st_size
    files = set()
    for room in (0, dataset // 2, dataset + 110_000, dataset + 500_000, dataset + 900_000):
        disk(f"remount,size={used + room}")
        done = three.itukg("build")
        assert done.returncode == 2, done.stderr
        found = re.search(
            r"could not be written, at (\S+): (No space left on device|database or disk is full)\.", done.stderr
        )
        assert found, done.stderr
        files.add(Path(found[1]).name)
        assert "itukg prune" in done.stderr
        assert [path.name for path in (home / "releases").iterdir()] == [third]
        assert pointed(home) == third and known(home)
    assert {"dataset.nq", "search.db"} < files and len(files) > 3  # of which SQLite writes one
    edit(three.corpus, 3)
    assert "Thing 3" in ok(three.itukg("query", LABEL))
    assert ok(three.itukg("build"))


@pytest.mark.parametrize("limit", [20_000, 100_000, 1_000_000])
def test_a_file_that_cannot_grow_ends_a_build_in_words(three: Installation, limit: int) -> None:
    edit(three.corpus, 9)
    before = three.names
    process = three.process("build", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    said = ending(process)
    assert process.returncode == 2 and "Traceback" not in said
    assert re.search(r"could not be written, at \S+: ", said) and "itukg prune" in said
    assert three.names == before and not [*three.home.glob("releases/.*")]


# --- processes at once ---


def test_builds_at_once_publish_one_whole_release(three: Installation) -> None:
    edit(three.corpus, 200)
    builds = [three.process("build") for _ in range(2)]
    assert [build.communicate()[1] and build.returncode for build in builds] == [0, 0]
    assert len(three.names) == 4 and three.current == three.names[-1]
    assert not [*three.home.glob("releases/.*")]


def test_what_a_process_holds_is_free_when_it_ends(three: Installation) -> None:
    [first, *_] = three.names
    with held(three.folder(first)):
        assert "stays: " in ok(three.itukg("prune", "--keep", "1"))
    assert f"removed: {first}" in ok(three.itukg("prune", "--keep", "1"))


# --- docs/operate.md ---


def test_the_commands_for_operators_do_what_the_page_says(
    three: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = three.names
    for name, value in three.environment.items():
        monkeypatch.setenv(name, value)
    page = (Path(__file__).parents[1] / "docs" / "operate.md").read_text().replace("0123456789abcdef", third)
    printed = run_of(page, tmp_path, "", three.home)
    assert len(printed) == 16
    assert printed[0].count(": whole") == 3 and "3 whole, 0 damaged" in printed[1]
    assert printed[2].startswith(f"would remove: {first}") and printed[3].startswith(f"removed: {first}")
    assert printed[11].count(": whole") == 2 and (tmp_path / "restored" / "current").read_text() == third
    assert printed[15] == f"{third}, current: whole\n"
    assert three.names == [second, third] and three.current == third
