"""What the tests share: one built release, a store and an application that hold it, and a real server process."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from fastapi.testclient import TestClient

from itukg.corpus import Corpus
from itukg.release import Release, build
from itukg.settings import Settings
from itukg.store import Store, open_store
from itukg.web.app import create_app

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    return Corpus(ROOT)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def release(corpus: Corpus, home: Path) -> Release:
    return build(corpus, home)


@pytest.fixture(scope="session")
def store(release: Release) -> Store:
    return open_store(release.dataset)


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


class serving:  # noqa: N801  (reads as a verb: `with serving(…) as address`)
    """Run `itukg serve` as a process of its own, until the block ends."""

    def __init__(self, environment: dict[str, str], command: tuple[str, ...] = (sys.executable, "-m", "itukg")) -> None:
        self.command = (*command, "serve", "--port", "0")
        self.environment = os.environ | environment

    def __enter__(self) -> str:
        self.process = subprocess.Popen(self.command, env=self.environment, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        self.log = []
        for line in self.process.stderr:
            self.log.append(line)
            if found := re.search(r"running on (http://\S+)", line):
                break
        else:
            raise AssertionError("".join(self.log))
        with httpx2.Client(base_url=found[1]) as client:
            wait_until_ready(client)
        return found[1]

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.communicate(timeout=20)


def wait_until_ready(client: httpx2.Client) -> None:
    deadline = time.monotonic() + 30
    while client.get("/readyz").status_code != httpx2.codes.OK:
        assert time.monotonic() < deadline, "not ready after 30 s"
        time.sleep(0.05)
