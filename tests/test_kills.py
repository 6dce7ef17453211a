"""Builds, loads and servers are killed at random moments: the next start finds a whole release, the one before or the new one."""

import random
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress

import httpx2
import pytest
from conftest import edit, serving
from engines import opened, oxigraph
from test_upkeep import LABEL, Installation, ok, three  # noqa: F401  (a fixture)

from itukg.corpus import Corpus
from itukg.errors import StoreUnavailable
from itukg.release.model import Release, current
from itukg.release.publish import drop

Moment = Callable[[float, float], float]


@pytest.fixture
def moment() -> Moment:
    """Returns a moment between two, the same ones in every run."""
    return random.Random(26).uniform  # noqa: S311


def seconds_of(process: "subprocess.Popen[str]") -> float:
    """How long a process takes, which must end well."""
    began = time.monotonic()
    _, said = process.communicate()
    assert process.returncode == 0, said
    return time.monotonic() - began


def kill_after(process: "subprocess.Popen[str]", seconds: float) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.kill()
    process.communicate()


@pytest.mark.parametrize("kills", [2, pytest.param(80, marks=pytest.mark.exhaustive)])
def test_a_start_after_a_killed_build_finds_a_whole_release(
    three: Installation,  # noqa: F811
    moment: Moment,
    kills: int,
) -> None:
    edit(three.corpus, 100)
    duration = seconds_of(three.process("build"))
    states = set()
    for number in range(101, 101 + kills):
        before = three.current
        edit(three.corpus, number)
        kill_after(three.process("build"), duration * moment(0.1, 1.1))
        expected = Corpus(three.corpus).fingerprint()
        published = current(three.home)
        assert published is not None and published.name in (before, expected), number
        states.add((bool([*three.home.glob("releases/.draft-*/*")]), expected in three.names))
        ok(three.itukg("build"))
        assert f"Thing {number}" in ok(three.itukg("query", LABEL)), number
        assert three.current == expected and not [*three.home.glob("releases/.*")]
        shutil.rmtree(three.folder(before))
    assert kills < 20 or {(True, False), (False, True)} <= states, states


@pytest.mark.parametrize("kills", [2, pytest.param(50, marks=pytest.mark.exhaustive)])
def test_a_start_after_a_killed_load_finds_a_whole_release_or_none(
    three: Installation,  # noqa: F811
    moment: Moment,
    kills: int,
) -> None:
    with oxigraph() as server:
        release = Release(three.folder(three.current))
        command = ("load", "--to", server.graph_store)
        duration = seconds_of(three.process(*command))
        merged = "SELECT (COUNT(*) AS ?number) { ?s ?p ?o }"
        with opened("whole", release, server.settings(store=server.query)) as store:
            [whole] = store.table(merged)
        assert int(whole) > 1000
        states = set()
        for number in range(kills):
            drop(release.name, server.graph_store, server.settings())
            kill_after(three.process(*command), duration * moment(0.3, 1.1))
            try:
                with opened("start", release, server.settings(store=server.query)) as store:
                    assert store.table(merged) == [whole], number
                states.add("whole")
            except StoreUnavailable as error:
                states.add("in part" if "does not hold the whole of" in str(error) else str(error))
            ok(three.itukg(*command))
            with opened("again", release, server.settings(store=server.query)) as store:
                assert store.table(merged) == [whole], number
                assert store.table(LABEL) == ["Thing 3"]
        assert states == {"whole", "in part"} if kills >= 20 else states <= {"whole", "in part"}, states


@pytest.mark.parametrize("kills", [2, pytest.param(70, marks=pytest.mark.exhaustive)])
def test_a_start_after_a_server_that_was_killed_while_it_swapped_serves_the_current_release(
    three: Installation,  # noqa: F811
    moment: Moment,
    kills: int,
) -> None:
    states = set()
    for number in range(kills + 1):
        server = serving(three.environment)
        with server as address:
            answer = httpx2.get(f"{address}/sparql", params={"query": LABEL, "format": "csv"})
            expected = f"Thing {three.names.index(three.current) + 1}"
            assert answer.text.split("\r\n")[1] == expected, number
            if number < kills:
                ok(three.itukg("rollback", three.names[number % 3]))
                time.sleep(moment(0, 2))  # before, while and after it swaps: it looks each second
                server.process.kill()
        states.add(any("is served now, in the place of" in line for line in server.log))
    assert kills < 20 or states == {True, False}
