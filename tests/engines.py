"""The engines that pass one contract: in this process, and the servers that are installed, each on loopback."""

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import pytest

from itukg.engine.describe import answer_query
from itukg.engine.open import open_store
from itukg.engine.sparql import read_query
from itukg.engine.store import Dataset, Store
from itukg.formats import CSV, Format
from itukg.release.model import Release
from itukg.release.publish import load
from itukg.settings import Settings

T = TypeVar("T")

VIRTUOSO = """
[Database]
DatabaseFile = virtuoso.db
ErrorLogFile = virtuoso.log
LockFile = virtuoso.lck
TransactionFile = virtuoso.trx
xa_persistent_file = virtuoso.pxa
[TempDatabase]
DatabaseFile = temporary.db
TransactionFile = temporary.trx
[Parameters]
ServerPort = 127.0.0.1:{sql}
DisableUnixSocket = 1
CaseMode = 2
NumberOfBuffers = 10000
MaxDirtyBuffers = 6000
DirsAllowed = .
VADInstallDir = .
[HTTPServer]
ServerPort = 127.0.0.1:{http}
ServerRoot = .
ServerThreads = 10
MaxKeepAlives = 10
KeepAliveTimeout = 10
[SPARQL]
ResultSetMaxRows = 100000
"""


@dataclass
class Server:
    """A SPARQL server: where it answers, where it is written, and who may."""

    name: str
    query: str
    graph_store: str
    credentials: dict[str, str] = field(default_factory=dict)

    def settings(self, **given: Any) -> Settings:
        return Settings.model_validate({"timeout": 60.0, "workers": 2, **self.credentials, **given})


class Engine:
    """A store and the event loop that it lives in, driven from outside."""

    def __init__(self, name: str, release: Release, settings: Settings) -> None:
        self.name, self._runner = name, asyncio.Runner()
        try:
            self.store: Store = self.run(open_store(release.dataset, settings))
        except BaseException:
            self._runner.close()
            raise

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def ask(self, query: str, syntax: Format = CSV, dataset: Dataset = Dataset(), seconds: float = 60.0) -> bytes:  # noqa: B008  (immutable)
        """Return the whole answer, as the endpoint would send it."""

        async def answered() -> bytes:
            deadline = time.monotonic() + seconds
            answer = await answer_query(self.store, read_query(query), dataset, syntax, deadline=deadline)
            assert answer.media_type == syntax.media_type
            return await answer.read()

        return self.run(answered())

    def table(self, query: str, dataset: Dataset = Dataset()) -> list[str]:  # noqa: B008  (immutable)
        """Return the lines of a CSV answer, without the names of its columns."""
        return self.ask(query, CSV, dataset).decode().splitlines()[1:]

    def close(self) -> None:
        self.run(self.store.close())
        self._runner.close()


@contextlib.contextmanager
def opened(name: str, release: Release, settings: Settings) -> Iterator[Engine]:
    engine = Engine(name, release, settings)
    try:
        yield engine
    finally:
        engine.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def oxigraph() -> Iterator[Server]:
    """Oxigraph's own server, in memory."""
    program = shutil.which("oxigraph", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if program is None:
        pytest.skip("Oxigraph's server is not installed: pip install oxigraph")
    address = f"127.0.0.1:{free_port()}"
    with _running([program, "serve", "--bind", address], f"http://{address}/"):
        yield Server("oxigraph", f"http://{address}/query", f"http://{address}/store")


@contextlib.contextmanager
def virtuoso(folder: Path) -> Iterator[Server]:
    """Virtuoso, with an empty database in `folder`."""
    program = shutil.which("virtuoso-t")
    if program is None:
        pytest.skip("Virtuoso is not installed: apt-get install virtuoso-opensource")
    sql, http = free_port(), free_port()
    (folder / "virtuoso.ini").write_text(VIRTUOSO.format(sql=sql, http=http))
    address = f"http://127.0.0.1:{http}"
    with _running([program, "+foreground", "+configfile", "virtuoso.ini"], f"{address}/sparql?query=ASK%7B%7D", folder):
        yield Server(
            "virtuoso",
            f"{address}/sparql",
            f"{address}/sparql-graph-crud-auth",
            {"store_user": "dba", "store_password": "dba"},  # what an empty database begins with
        )


@contextlib.contextmanager
def _running(command: list[str], probe: str, folder: Path | None = None) -> Iterator[None]:
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not _answers(probe):
            assert process.poll() is None, f"{command} has ended with {process.returncode}"
            assert time.monotonic() < deadline, f"{command} does not answer after 60 s"
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=5).status_code < httpx2.codes.INTERNAL_SERVER_ERROR
    except httpx2.TransportError:
        return False


@contextlib.contextmanager
def serving_engine(name: str, folder: Path) -> Iterator[Server]:
    with oxigraph() if name == "oxigraph" else virtuoso(folder) as server:
        yield server


def fill(server: Server, release: Release) -> None:
    load(release, server.graph_store, server.settings())
