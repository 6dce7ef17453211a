"""The servers that are compared: each loads an N-Quads file, listens on loopback, and stops when its block ends."""

import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote, urlsplit

HERE = Path(__file__).parent
ROOT = HERE.parent
BUILD = ROOT / "build" / "benchmarks"
"""The folder of all files that a benchmark writes; git ignores it."""
MERGED = "https://w3id.org/itukg/graph/merged"
"""Virtuoso has no default graph of its own: the merged graph goes by this name there."""
DERIVED = "https://w3id.org/itukg/graph/derived"
START_SECONDS = 120
"""Seconds in which a server must have started and loaded its data."""


@dataclass(frozen=True)
class Endpoint:
    """A server that answers SPARQL on loopback."""

    name: str
    version: str
    port: int
    path: str
    """The path and query string up to and including `query=`."""
    process: int
    """Its process id; its children belong to it."""
    load_seconds: float
    """Seconds from its start to its first answer over the whole data."""

    def target(self, query: str) -> str:
        """Return the request target for `query`."""
        return self.path + quote(query, safe="")


Server = Callable[[Path], AbstractContextManager[Endpoint]]
"""Starts a server on the release in a home folder."""


class DidNotStart(Exception):
    """A server stopped or did not answer in time; the message has the end of its log."""


def dataset(home: Path) -> Path:
    """Return the N-Quads file of the current release below `home`."""
    return home / "releases" / (home / "current").read_text().strip() / "dataset.nq"


def build(home: Path) -> None:
    """Build the release of this checkout below `home`, unless it is built already."""
    environment = os.environ | {"ITUKG_HOME": str(home), "ITUKG_CORPUS": str(ROOT)}
    subprocess.run((sys.executable, "-m", "itukg", "build"), env=environment, check=True, stdout=sys.stderr)


@contextmanager
def itukg(home: Path) -> Iterator[Endpoint]:
    """Our own server, as `itukg serve` starts it; settings in the environment reach it."""
    environment = {"ITUKG_HOME": str(home), "ITUKG_CORPUS": str(ROOT)}
    with running("itukg", (sys.executable, "-m", "itukg", "serve", "--port", "0"), environment) as started:
        address = started.wait_for_line(r"listening on (http://\S+)")
        port = urlsplit(address).port or 0
        started.wait_for_answer(port, "/readyz")
        version = _output(sys.executable, "-c", "import itukg; print(itukg.__version__)")
        yield Endpoint("itukg", version, port, "/sparql?query=", started.process.pid, started.seconds())


@contextmanager
def oxigraph(home: Path) -> Iterator[Endpoint]:
    """Oxigraph's own server, the data in memory."""
    program, port = peers() / "oxigraph", free_port()
    with running("oxigraph", (str(program), "serve", "--bind", f"127.0.0.1:{port}")) as started:
        started.wait_for_answer(port, "/query?query=ASK%7B%7D")
        _post(port, "/store?no_transaction", dataset(home), "application/n-quads")
        version = _output(str(program), "--version").split()[-1]
        yield Endpoint("Oxigraph", version, port, "/query?query=", started.process.pid, started.seconds())


@contextmanager
def rdflib_endpoint(home: Path) -> Iterator[Endpoint]:
    """rdflib-endpoint on an rdflib Dataset in memory."""
    python, port = peers() / "python", free_port()
    command = (str(python), str(HERE / "rdflib_server.py"), str(dataset(home)), str(port))
    with running("rdflib-endpoint", command) as started:
        started.wait_for_answer(port, "/?query=ASK%7B%7D")
        version = _output(
            str(python),
            "-c",
            "from importlib.metadata import version as v; print(v('rdflib-endpoint'), '/ rdflib', v('rdflib'))",
        )
        yield Endpoint("rdflib-endpoint", version, port, "/?query=", started.process.pid, started.seconds())


@contextmanager
def virtuoso(home: Path) -> Iterator[Endpoint]:
    """Virtuoso as Debian packages it, on a new database."""
    file = dataset(home).resolve()
    folder = BUILD / "virtuoso"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    sql, port = free_port(), free_port()
    ini = (HERE / "virtuoso.ini").read_text()
    buffers = min(1_000_000, max(170_000, file.stat().st_size // 4000))
    for name, value in {"SQL": sql, "HTTP": port, "DATA": file.parent, "BUFFERS": buffers}.items():
        ini = ini.replace(f"@{name}@", str(value))
    (folder / "virtuoso.ini").write_text(ini)
    with running("virtuoso", ("virtuoso-t", "-f", "-c", "virtuoso.ini"), folder=folder) as started:
        started.wait_for_answer(port, "/sparql?query=ASK%7B%7D")
        load = f"ld_dir('{file.parent}', 'dataset.nq', '{MERGED}'); rdf_loader_run(); checkpoint;"
        _run("isql-vt", f"127.0.0.1:{sql}", "dba", "dba", f"EXEC={load}")
        version = re.search(r"Version (\S+)", _output("virtuoso-t", "-?"))
        graphs = f"default-graph-uri={quote(MERGED, safe='')}&named-graph-uri={quote(DERIVED, safe='')}"
        path = f"/sparql?{graphs}&query="
        yield Endpoint("Virtuoso", version[1] if version else "?", port, path, started.process.pid, started.seconds())


SERVERS: dict[str, Server] = {
    "itukg": itukg,
    "oxigraph": oxigraph,
    "rdflib-endpoint": rdflib_endpoint,
    "virtuoso": virtuoso,
}
"""By the name that `--servers` takes."""


class Started:
    """The servers that are up. One without requests takes no processor time."""

    def __init__(self, home: Path) -> None:
        self.up: dict[str, Endpoint] = {}
        self._home = home
        self._stacks: dict[str, ExitStack] = {}

    def __enter__(self) -> Self:
        """Return no servers yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop all servers."""
        for name in list(self._stacks):
            self.stop(name)

    def start(self, name: str) -> Endpoint:
        """Start a server, or start it again. Raises DidNotStart."""
        self.stop(name)
        self._stacks[name] = ExitStack()
        self.up[name] = self._stacks[name].enter_context(SERVERS[name](self._home))
        return self.up[name]

    def stop(self, name: str) -> None:
        """Stop a server that is up."""
        self.up.pop(name, None)
        if stack := self._stacks.pop(name, None):
            stack.close()


def installed(names: str) -> list[str]:
    """Return the servers of a comma-separated list that are installed here; a note on standard error names the others.

    Raises SystemExit for an unknown name. Only Virtuoso may be missing: it comes from the system, the others from PyPI.
    """
    servers = names.split(",")
    if unknown := set(servers) - set(SERVERS):
        raise SystemExit(f"No server {', '.join(sorted(unknown))}; known: {', '.join(SERVERS)}")
    missing = {"virtuoso"} if not (shutil.which("virtuoso-t") and shutil.which("isql-vt")) else set()
    for name in missing & set(servers):
        print(f"{name} is left out: it is not installed (Debian and Ubuntu: virtuoso-opensource).", file=sys.stderr)
    return [name for name in servers if name not in missing]


def peers() -> Path:
    """Return the `bin` folder of an environment with the peers from PyPI, which the first call creates."""
    folder = BUILD / "peers"
    wanted = (HERE / "peers.txt").read_text()
    present = folder / "peers.txt"
    if not (present.is_file() and present.read_text() == wanted):
        venv.create(folder, with_pip=True, clear=True)
        _run(str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "-r", str(HERE / "peers.txt"))
        present.write_text(wanted)
    return folder / "bin"


class Running:
    """A process that is starting, and its log."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log
        self._began = time.monotonic()

    def seconds(self) -> float:
        """Return the seconds since its start."""
        return time.monotonic() - self._began

    def wait_for_line(self, pattern: str) -> str:
        """Return the first group of `pattern` once a line of the log matches it."""
        while True:
            if found := re.search(pattern, self._log.read_text(errors="replace")):
                return found[1]
            self._wait()

    def wait_for_answer(self, port: int, target: str) -> None:
        """Return once the answer to `target` is 200."""
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            try:
                connection.request("GET", target)
                if connection.getresponse().status == http.client.OK:
                    return
            except (OSError, http.client.HTTPException):
                pass
            finally:
                connection.close()
            self._wait()

    def _wait(self) -> None:
        if self.process.poll() is not None or self.seconds() > START_SECONDS:
            end = self._log.read_text(errors="replace")[-2000:]
            raise DidNotStart(f"{self._log.stem} did not start; the end of {self._log}:\n{end}")
        time.sleep(0.05)


@contextmanager
def running(
    name: str, command: tuple[str, ...], environment: dict[str, str] | None = None, folder: Path | None = None
) -> Iterator[Running]:
    """Run `command` in a process group of its own, and stop the whole group when the block ends."""
    log = BUILD / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    if shutil.which("setpriv"):  # the server then stops even if this process is killed
        command = ("setpriv", "--pdeathsig", "TERM", *command)
    if shutil.which("choom"):  # when memory runs out, the kernel kills a server under attack first
        command = ("choom", "--adjust", "1000", "--", *command)
    with log.open("wb") as file:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"} | (environment or {}),
            cwd=folder,
            start_new_session=True,
        )
    try:
        yield Running(process, log)
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            break
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            continue


def free_port() -> int:
    """Return a free port of loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _post(port: int, target: str, file: Path, media_type: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
    with file.open("rb") as body:
        headers = {"Content-Type": media_type, "Content-Length": str(file.stat().st_size)}
        connection.request("POST", target, body, headers)
        reply = connection.getresponse()
        if reply.status >= http.client.BAD_REQUEST:
            raise DidNotStart(f"The data was refused with {reply.status}: {reply.read(500)!r}")
    connection.close()


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=3600)
    if done.returncode:
        raise DidNotStart(
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-1000:]}{done.stderr[-1000:]}"
        )


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return (done.stdout + done.stderr).strip()
