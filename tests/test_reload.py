"""A new release is taken up without a restart: no request fails, and each answer is of one release."""

import re
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import httpx2
import pytest
from conftest import environment_for, eventually, memory, serving
from engines import oxigraph

from itukg import names
from itukg.corpus import replace_file
from itukg.release.integrity import seal
from itukg.release.model import Release
from itukg.release.publish import load

SECOND = "0" * 16
MARK = f'<urn:x-itukg:mark> <{names.PREFIXES["rdfs"]}label> "of the second release" .\n'
MARKED = f"SELECT ?said {{ <urn:x-itukg:mark> <{names.PREFIXES['rdfs']}label> ?said }}"


@pytest.fixture
def second(release: Release, tmp_path: Path) -> Release:
    """A release with one statement more, beside ours in a folder of their own, in which ours is current."""
    for name in (release.name, SECOND):
        shutil.copytree(release.path, tmp_path / "releases" / name)
    made = Release(tmp_path / "releases" / SECOND)
    with made.dataset.open("a") as dataset:
        dataset.write(MARK)
    (made.path / "built").write_text(f"{release.built} {release.order[0] + 1}\n")
    seal(made.path)
    publish(made, release.name)
    return made


@pytest.fixture
def served(second: Release) -> Iterator[serving]:
    running = serving({"ITUKG_HOME": str(second.home), "ITUKG_RATE": "0"})
    with running:
        yield running


def publish(beside: Release, name: str) -> None:
    """Make a release current, as a build does."""
    replace_file(beside.home / "current", name.encode())


def state(client: httpx2.Client) -> dict[str, str]:
    reply = client.get("/readyz")
    assert reply.status_code == 200, reply.text
    found: dict[str, str] = reply.json()
    return found


def taken_up(client: httpx2.Client, name: str) -> None:
    eventually(lambda: state(client)["release"] == name, f"{name} is not served", 120)


@pytest.mark.parametrize("swaps", [2, pytest.param(50, marks=pytest.mark.exhaustive)])
def test_releases_are_swapped_under_load_and_each_answer_is_of_one(
    served: serving, second: Release, release: Release, swaps: int
) -> None:
    expected = {release.name: b"said\r\n", SECOND: b"said\r\nof the second release\r\n"}
    found, wrong, over, serial = Counter[str](), list[str](), threading.Event(), count()

    def ask() -> None:
        with httpx2.Client(base_url=served.address, timeout=60) as client:
            while not over.is_set():
                for query in (MARKED, f"{MARKED} # {next(serial)}"):  # from the cache, and evaluated
                    reply = client.get("/sparql", params={"query": query, "format": "csv"})
                    name = of = re.findall(r"/data/(\w+)>", reply.headers.get("link", ""))[0]
                    page = client.get("/data", headers={"accept": "text/html"})
                    told = re.findall(r'href="/data/(\w+)">\w+</a> <span class="note">served', page.text)
                    of = re.findall(r"/data/(\w+)>", page.headers.get("link", ""))[0]
                    if (reply.status_code, reply.content) != (200, expected[name]) or told != [of]:
                        wrong.append(f"{name}: {reply.status_code} {reply.content!r}; {of}: {told}")
                    found[name] += 1

    with ThreadPoolExecutor() as pool, httpx2.Client(base_url=served.address, timeout=60) as client:
        asking = [pool.submit(ask) for _ in range(4)]
        try:
            before = memory(served.process.pid)
            for swap in range(swaps):
                name = (SECOND, release.name)[swap % 2]
                publish(second, name)
                taken_up(client, name)
        finally:
            over.set()
        for each in asking:
            each.result()
        assert memory(served.process.pid) - before < 300_000_000
    assert wrong == []
    assert found.keys() == expected.keys() and min(found.values()) > 5 * swaps


def test_an_answer_that_began_on_a_release_ends_on_it(served: serving, second: Release) -> None:
    query = "SELECT * { ?a ?b ?c . ?d a ?e } LIMIT 400000"
    with httpx2.Client(base_url=served.address, timeout=60) as client, httpx2.Client(timeout=60) as other:
        with client.stream("GET", "/sparql", params={"query": query, "format": "tsv"}) as reply:
            pieces = reply.iter_raw()
            lines = next(pieces).count(b"\n")
            publish(second, SECOND)
            other.base_url = httpx2.URL(served.address)
            taken_up(other, SECOND)
            lines += sum(piece.count(b"\n") for piece in pieces)
        assert lines == 400_001
        assert state(client)["release"] == SECOND


def test_a_damaged_release_leaves_the_old_one_served_until_it_is_mended(
    served: serving, second: Release, release: Release
) -> None:
    whole = second.dataset.read_bytes()
    second.dataset.write_bytes(whole[: whole.rindex(b"\n", 0, -1) + 1])
    publish(second, SECOND)
    with httpx2.Client(base_url=served.address) as client:
        eventually(lambda: "refused" in state(client), "nobody says that it is damaged", 60)
        assert state(client) == {
            "status": "ready",
            "release": release.name,
            "refused": f"Release {SECOND} is current, and is missing or damaged; {release.name} is served on.",
        }
        assert "dataset.nq was changed" in "".join(served.log)
        second.dataset.write_bytes(whole)
        served.process.send_signal(signal.SIGHUP)
        taken_up(client, SECOND)
        assert "refused" not in state(client)
        assert "".join(served.log).count("is missing or damaged") == 1


def test_a_store_elsewhere_is_asked_for_a_new_release_once_it_holds_all_of_it(
    second: Release, release: Release
) -> None:
    with oxigraph() as server:
        load(release, server.graph_store, server.settings())
        running = serving({"ITUKG_HOME": str(second.home), "ITUKG_STORE": server.query, "ITUKG_RATE": "0"})
        with running, httpx2.Client(base_url=running.address, timeout=60) as client:
            publish(second, SECOND)
            eventually(lambda: f"release {SECOND} is current" in "".join(running.log), "it is not seen", 60)
            assert state(client) == {"status": "ready", "release": release.name}
            load(second, server.graph_store, server.settings())
            taken_up(client, SECOND)
            reply = client.get("/sparql", params={"query": MARKED, "format": "csv"})
            assert reply.content == b"said\r\nof the second release\r\n"


def test_a_first_release_that_a_store_elsewhere_does_not_hold_is_given_up_for_the_next(
    second: Release, release: Release
) -> None:
    with oxigraph() as server:
        load(second, server.graph_store, server.settings())
        given = {"ITUKG_HOME": str(second.home), "ITUKG_STORE": server.query, "ITUKG_RELEASE": ""}
        running = serving(given)
        opening = threading.Timer(8, lambda: publish(second, SECOND))
        opening.start()
        with running, httpx2.Client(base_url=running.address, timeout=60) as client:  # which waits until it is ready
            assert state(client)["release"] == SECOND
        opening.join()
    assert f"does not hold the whole of {names.release(release.name)}" in "".join(running.log)


def spoil(release: Release) -> None:
    """Make a release that is whole and cannot be loaded."""
    with release.dataset.open("a") as dataset:
        dataset.write("this is no statement\n")
    seal(release.path)


def test_a_release_that_cannot_be_loaded_leaves_the_old_one_served(
    served: serving, second: Release, release: Release
) -> None:
    spoil(second)
    publish(second, SECOND)
    with httpx2.Client(base_url=served.address) as client:
        eventually(lambda: "cannot be loaded" in state(client).get("refused", ""), "it is not refused", 60)
        assert client.get("/sparql", params={"query": MARKED, "format": "csv"}).content == b"said\r\n"
        publish(second, release.name)
        eventually(lambda: "refused" not in state(client), "it is still refused", 60)


def test_a_pointer_that_cannot_be_read_leaves_the_release_served_until_it_can(
    served: serving, second: Release, release: Release
) -> None:
    pointer = second.home / "current"
    with httpx2.Client(base_url=served.address) as client:
        pointer.rename(second.home / "aside")
        pointer.mkdir()  # whoever runs this may read any file
        eventually(lambda: "cannot be read" in state(client).get("refused", ""), "it is not seen", 60)
        assert state(client)["release"] == release.name and str(second.home) not in state(client)["refused"]
        assert "itukg_refused 1.0" in client.get("/metrics").text
        pointer.rmdir()
        (second.home / "aside").rename(pointer)
        eventually(lambda: "refused" not in state(client), "it is still refused", 60)
        served.process.send_signal(signal.SIGHUP)
        eventually(lambda: "and served already" in "".join(served.log), "the signal has no line", 60)
        assert "itukg_refused 0.0" in client.get("/metrics").text
        publish(second, SECOND)
        taken_up(client, SECOND)
    assert "".join(served.log).count("cannot be read") == 2  # the file, and what follows


def test_a_first_release_that_cannot_be_loaded_ends_the_server_with_a_code(second: Release, release: Release) -> None:
    spoil(Release(second.home / "releases" / release.name))
    command = [sys.executable, "-m", "itukg", "serve", "--port", "0"]
    done = subprocess.run(
        command, env=environment_for(ITUKG_HOME=second.home), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "dataset.nq" in done.stderr.splitlines()[-1]
