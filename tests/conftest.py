"""What the tests share: one built release, a store and an application that hold it, and a real server process."""

import asyncio
import contextlib
import fcntl
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Self, TypeVar
from unittest import mock

import httpx2
import pyoxigraph as ox
import pytest
from browsing import browser, opened
from fastapi.testclient import TestClient

from itukg import names
from itukg.cli import main
from itukg.corpus import Corpus
from itukg.engine.open import open_store
from itukg.engine.sparql import Query, read_query
from itukg.engine.store import Dataset, Row, Store, graphs, rows, triples
from itukg.formats import CSV, Format
from itukg.queries import AUDIENCES
from itukg.rdf.jsonld import context_name
from itukg.release.build import build
from itukg.release.integrity import seal
from itukg.release.model import Release, find, known
from itukg.settings import Settings
from itukg.web.app import create_app

__all__ = ["browser", "opened"]  # fixtures

ROOT = Path(__file__).parents[1]
PLAN = "buap-2018-2021"
SERVED_CONTEXT = f"http://testserver/context/{context_name()}.jsonld"
"""How JSON-LD that the application in this process serves names its context."""
T = TypeVar("T")
Once = Callable[[str, Callable[[Path], object]], Path]
C1 = names.THINGS + "wsis/C1"
ADDED = names.THINGS + "wsis/C99"
RETIRED = {
    "old": (C1,),
    "ended": (),
    "split": (C1, names.THINGS + "wsis/C2"),
    "term": (names.ITU + "Output",),
}
"""Things below wsis/ that are retired in the small corpus, each with its successors."""


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    return Corpus(ROOT)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Makes a folder by its name, and returns it; of all processes of a run of the tests, the first makes it."""
    run = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        run = run.parent

    def once(name: str, make: Callable[[Path], object]) -> Path:
        folder = run / f"shared-{name}"
        with (run / f"{folder.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.is_dir():
                draft = Path(tempfile.mkdtemp(dir=run))
                make(draft)
                draft.rename(folder)
        return folder

    return once


@pytest.fixture(scope="session")
def home(corpus: Corpus, once: Once, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the release stands; one that stands below ITUKG_HOME already, as in CI, is taken from there."""

    def make(home: Path) -> None:
        built = os.environ.get("ITUKG_HOME")
        if built and (release := find(Path(built), corpus.fingerprint())):
            shutil.copytree(release.path, home / "releases" / release.name)
        build(corpus, home)

    return Path(shutil.copytree(once("home", make), tmp_path_factory.mktemp("home"), dirs_exist_ok=True))


@pytest.fixture(scope="session")
def release(corpus: Corpus, home: Path) -> Release:
    return build(corpus, home)


class Engine:
    """A store for tests that do not wait: each call runs the event loop until it has its answer."""

    def __init__(self, dataset: Path, **settings: object) -> None:
        self.runner = asyncio.Runner()
        self.store: Store = self.run(open_store(dataset, Settings.model_validate(settings)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self.store.close())
        self.runner.close()

    def run(self, awaitable: Awaitable[T]) -> T:
        async def result() -> T:
            return await awaitable

        return self.runner.run(result())

    def answer(
        self,
        query: Query | str,
        dataset: Dataset = Dataset(),  # noqa: B008  (immutable)
        syntax: Format = CSV,
        seconds: float = inf,
    ) -> bytes:
        """Return the bytes of an answer, and raise what the store raises."""

        async def read() -> bytes:
            asked = read_query(query) if isinstance(query, str) else query
            answer = await self.store.answer(asked, dataset, syntax, deadline=time.monotonic() + seconds)
            assert answer.media_type == syntax.media_type
            return await answer.read()

        return self.run(read())

    def rows(self, query: str) -> list[Row]:
        return self.run(rows(self.store, query))

    def triples(self, query: str) -> list[ox.Triple]:
        return self.run(triples(self.store, query))

    def graphs(self) -> dict[str, int]:
        return self.run(graphs(self.store))


@pytest.fixture(scope="session")
def store(release: Release) -> Iterator[Engine]:
    with Engine(release.dataset) as engine:
        yield engine


@pytest.fixture(scope="session")
def client(release: Release, home: Path) -> Iterator[TestClient]:
    """The real application in this process, ready."""
    with TestClient(create_app(Settings(home=home), release)) as client:
        wait_until_ready(client)
        yield client


@pytest.fixture(scope="session")
def server(release: Release, home: Path) -> Iterator[str]:
    """A real server process on a free port; yields its address."""
    assert release.path.is_dir()
    with serving({"ITUKG_HOME": str(home)}) as address:
        yield address


@dataclass
class Pair:
    """An older and a newer release, and the application that serves the newer."""

    older: Release
    newer: Release
    client: TestClient


@pytest.fixture(scope="session")
def one_plan(once: Once) -> Path:
    """The files of one plan, and below `home` two releases of them: see `pair`."""
    return once("pair", make_pair)


@pytest.fixture(scope="session")
def pair(one_plan: Path) -> Iterator[Pair]:
    """Two releases of one plan; the newer has one label reworded, one more thing and one less.

    In both, two files hold the same triple, one label is a script, and some things are retired.
    """
    older, newer = known(one_plan / "home")
    with TestClient(create_app(Settings(home=one_plan / "home"), newer)) as client:
        wait_until_ready(client)
        yield Pair(older, newer, client)


@pytest.fixture(scope="session")
def careless(pair: Pair) -> TestClient:
    """The application over a copy of the corpus in which two files hold the same triple, and one label is a script."""
    return pair.client


def make_pair(root: Path) -> None:
    small_corpus(root)
    data = root / "data/schemes/wsis.ttl"
    text = data.read_text()
    [label] = re.findall(r'<wsis/C1> a itu:ActionLine ;[^.]*?rdfs:label "([^"]+)"@en', text)
    same = "\n<urn:test:s> <urn:test:p> <urn:test:o> .\n"
    with (root / "data/schemes/sdg.ttl").open("a") as sdg:
        sdg.write(same)
    text += f'{same}\n<{names.THINGS}wsis/C1> skos:altLabel "<script>alert(1)</script>"@en , "a&b \\"c\\" <d>"@en .\n'
    for name, successors in RETIRED.items():
        by = "".join(f" ; dcterms:isReplacedBy <{iri}>" for iri in successors)
        text += f"\n<{names.THINGS}wsis/{name}> <{names.OWL}deprecated> true{by} .\n"
    gone = f'\n<{names.THINGS}wsis/gone> a <urn:test:Thing> ; <urn:test:of> rdfs:label ; rdfs:label "Gone"@en .\n'
    data.write_text(text + gone)
    older = build(Corpus(root), root / "home", allow_unverified=True)
    (older.path / "built").write_text("2026-01-01T00:00:00Z 1\n")  # not in the same second
    seal(older.path)
    new = f'\n<{ADDED}> a <urn:test:Thing> ; <{names.PREFIXES["rdfs"]}label> "New & <b>bold</b>"@en .\n'
    data.write_text(text.replace(f'"{label}"', f'"{label}, reworded"', 1) + new)
    build(Corpus(root), root / "home", allow_unverified=True)


def copy_of_corpus(root: Path) -> Path:
    """Return a copy of the files to spoil."""
    for folder in ("ontology", "shapes", "data", "queries"):
        shutil.copytree(ROOT / folder, root / folder)
    return root


def small_corpus(root: Path) -> Path:
    """Return a copy of the files with one plan only, which is built and checked in a fifth of the time."""
    copy_of_corpus(root)
    [_, *others] = sorted((root / "data" / "plans").glob("*.ttl"), key=lambda path: path.stem != PLAN)
    for path in (*others, root / "data" / "lineage.ttl"):
        path.unlink()
    return root


def tiny_corpus(root: Path) -> Path:
    """Return a copy of the files with one thing as its data, which is built in a second or two; see `edit`."""
    copy_of_corpus(root)
    for path in [*root.glob("data/**/*"), *(p for name in AUDIENCES for p in root.glob(f"queries/{name}/*.rq"))]:
        if path.is_file():
            path.unlink()
    return edit(root, 0)


def edit(tiny: Path, number: int) -> Path:
    """Number the one thing of a tiny corpus: each number makes a release of its own."""
    label = f'<{names.PREFIXES["rdfs"]}label> "Thing {number}"@en'
    (tiny / "data/schemes/thing.ttl").write_text(f"<urn:test:thing> a <urn:test:Thing> ; {label} .\n")
    return tiny


def environment_for(**given: str | Path) -> dict[str, str]:
    """Return the environment for a command: no settings but those that are `given`, and lines that do not break."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("ITUKG_")}
    return others | {"COLUMNS": "500", "NO_COLOR": "1"} | {name: str(value) for name, value in given.items()}


def run_command(*arguments: str | Path, **environment: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `itukg` in this process, and return what it printed and its exit code."""
    printed, said = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    code: object = 0
    with (
        mock.patch.dict(os.environ, environment_for(**environment), clear=True),
        mock.patch.object(sys, "argv", ["itukg", *map(str, arguments)]),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(said),
    ):
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
    assert isinstance(code, int)
    texts = []
    for stream in (printed, said):
        stream.seek(0)
        texts.append(stream.read())
    return subprocess.CompletedProcess(arguments, code, *texts)


class serving:  # noqa: N801  (reads as a verb: `with serving(…) as address`)
    """Run `itukg serve` as a process of its own, until the block ends; then no process of it may be left."""

    def __init__(self, environment: dict[str, str], command: tuple[str, ...] = (sys.executable, "-m", "itukg")) -> None:
        self.command = (*command, "serve", "--port", "0")
        self.environment = os.environ | environment

    def __enter__(self) -> str:
        self.process = subprocess.Popen(self.command, env=self.environment, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        self.log = []
        for line in self.process.stderr:
            self.log.append(line)
            if found := re.search(r"listening on (http://\S+)", line):
                break
        else:
            raise AssertionError("".join(self.log))
        # What is written from now on is taken away, else the server would wait for it.
        self.reading = threading.Thread(target=lambda: self.log.extend(self.process.stderr or ()))
        self.reading.start()
        self.address = found[1]
        with httpx2.Client(base_url=self.address) as client:
            wait_until_ready(client)
        return self.address

    def __exit__(self, *_: object) -> None:
        started = processes(self.process.pid)
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        finally:
            self.process.kill()
            self.reading.join(20)
            assert self.process.stderr is not None
            self.process.stderr.close()
        eventually(lambda: not [pid for pid in started if is_running(pid)], "processes of the server are left")


def processes(pid: int) -> list[int]:
    """Return a process and all that came from it, as Linux has them; those that have ended do not count."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(") ")[2].split()[:2]
        except OSError:  # it has just ended
            continue
        if state != "Z":
            children.setdefault(int(parent), []).append(int(path.parent.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def memory(pid: int) -> int:
    """Return the bytes that a process holds in memory."""
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def eventually(holds: Callable[[], object], words: str, seconds: float = 10.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, words
        time.sleep(0.02)


def wait_until_ready(client: httpx2.Client) -> None:
    deadline = time.monotonic() + 30
    while client.get("/readyz").status_code != httpx2.codes.OK:
        assert time.monotonic() < deadline, "not ready after 30 s"
        time.sleep(0.05)
