"""`load`: a release into a SPARQL server, by the SPARQL 1.1 Graph Store HTTP Protocol.

A release goes beside those that the server holds already, each graph under a name of its release (see
`store/remote.py`), and is marked as whole at the end. Nothing that anybody reads is touched; who serves the new
release reads it once it is marked. A load that broke off goes on where it was: a graph named in the release's own
graph is there.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from time import sleep
from typing import IO

import httpx2
import pyoxigraph as ox

from itukg import names
from itukg.engine.remote import CONNECT_SECONDS, MAX_MESSAGE_LENGTH, MERGED_SUFFIX, Credentials
from itukg.errors import DataError, NotFound, StoreUnavailable
from itukg.formats import N_TRIPLES, TURTLE
from itukg.release.model import Release
from itukg.settings import Settings, address

WAITS = (1.0, 2.0, 4.0)
"""Seconds between the tries to send a graph, when a server cannot be reached or is busy."""
LOAD_SECONDS = 600.0
"""Seconds that a server may take to store one graph."""
PIECE = 128 * 1024

Announce = Callable[[str, float], None]
"""Is told which graph is sent, and which part of all bytes has been."""

_BUSY = (
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)
_DCTERMS = names.PREFIXES["dcterms"]
_PART, _DONE = ox.NamedNode(_DCTERMS + "hasPart"), ox.NamedNode(_DCTERMS + "available")
_DATE_TIME = ox.NamedNode(names.PREFIXES["xsd"] + "dateTime")


@dataclass(frozen=True)
class Loaded:
    """What a load did: graphs that it sent, and graphs that were there already."""

    sent: tuple[str, ...]
    there: tuple[str, ...]


def load(release: Release, url: str, settings: Settings, announce: Announce = lambda _graph, _part: None) -> Loaded:
    """Store `release` on the server whose Graph Store Protocol is at `url`; what is there already is not sent again.

    Raises StoreUnavailable for a server that does not take it; what it took stays, and the next load goes on.
    """
    ours = names.release(release.name)
    with _server(url, settings) as server, tempfile.TemporaryDirectory() as folder:
        marks = server.read(ours)
        there = {o.value for _, p, o in marks if p == _PART and isinstance(o, ox.NamedNode)}
        if any(p == _DONE for _, p, _ in marks):
            return Loaded((), tuple(sorted(there)))
        files = _split(release, Path(folder))
        missing = {graph: path for graph, path in files.items() if graph not in there}
        total, sent = sum(path.stat().st_size for path in missing.values()), 0
        for graph, path in missing.items():

            def tell(size: int, graph: str = graph, before: int = sent) -> None:
                announce(graph, (before + size) / total)

            server.put(graph, path, tell)
            server.add(ours, ox.Triple(ox.NamedNode(ours), _PART, ox.NamedNode(graph)))
            sent += path.stat().st_size
        now = ox.Literal(datetime.now(UTC).isoformat(timespec="seconds"), datatype=_DATE_TIME)
        server.add(ours, ox.Triple(ox.NamedNode(ours), _DONE, now))
        return Loaded(tuple(missing), tuple(sorted(there)))


def drop(name: str, url: str, settings: Settings) -> tuple[str, ...]:
    """Take the release `name` off the server, and return its graphs. Raises NotFound where there is none."""
    ours = names.release(name)
    with _server(url, settings) as server:
        graphs = tuple(sorted(o.value for _, p, o in server.read(ours) if p == _PART and isinstance(o, ox.NamedNode)))
        if not graphs:
            raise NotFound(f'The server holds no release "{name}".')
        parts = [ox.Triple(ox.NamedNode(ours), _PART, ox.NamedNode(graph)) for graph in graphs]
        # The mark goes first: whoever starts meanwhile must not take it for whole. The parts stay named, so that a drop goes on.
        server.replace(ours, parts)
        for graph in (*graphs, ours):
            server.delete(graph)
        return graphs


def _split(release: Release, folder: Path) -> dict[str, Path]:
    """Write each graph of `release` as N-Triples; return the files by the names that the graphs have on a server."""
    ours = names.release(release.name)
    files: dict[str, IO[str]] = {}
    try:
        for quad in ox.parse(path=release.dataset, format=ox.RdfFormat.N_QUADS):
            named = isinstance(quad.graph_name, ox.NamedNode)
            graph = quad.graph_name.value.replace(names.GRAPHS, ours + "/") if named else ours + MERGED_SUFFIX
            if graph not in files:
                files[graph] = (folder / f"{len(files)}.nt").open("w", encoding="utf-8", newline="\n")
            files[graph].write(f"{quad.triple} .\n")
    except (OSError, SyntaxError) as error:
        raise DataError(f"{release.dataset}: {error}") from None
    finally:
        for file in files.values():
            file.close()
    return {graph: Path(files[graph].name) for graph in sorted(files)}


@dataclass(frozen=True)
class _File:
    """The bytes of a file, from the beginning each time they are asked for: a request may be sent twice."""

    path: Path
    sent: Callable[[int], None]

    def __iter__(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            while piece := file.read(PIECE):
                yield piece
                self.sent(file.tell())


@dataclass(frozen=True)
class GraphStore:
    """A Graph Store (SPARQL 1.1 Graph Store HTTP Protocol, indirect names: `?graph=`)."""

    client: httpx2.Client
    url: str

    def read(self, graph: str) -> list[tuple[ox.NamedNode | ox.BlankNode, ox.NamedNode, object]]:
        """Return the triples of a graph, none where there is no such graph."""
        response = self._send("GET", graph, headers={"accept": f"{N_TRIPLES.media_type}, {TURTLE.media_type};q=0.5"})
        if response.status_code == HTTPStatus.NOT_FOUND:
            return []
        # N-Triples is Turtle, and Virtuoso names neither always.
        try:
            quads = list(ox.parse(response.content, format=ox.RdfFormat.TURTLE))
        except SyntaxError as error:
            raise StoreUnavailable(f"{self._host} is no Graph Store: its answer is no Turtle ({error}).") from None
        return [(quad.subject, quad.predicate, quad.object) for quad in quads]

    def put(self, graph: str, path: Path, tell: Callable[[int], None]) -> None:
        """Make the triples of a file those of the graph."""
        length = str(path.stat().st_size)  # named, so that it is not sent in chunks, which not every server takes
        self._send("PUT", graph, content=_File(path, tell), headers={"content-length": length})

    def add(self, graph: str, triple: ox.Triple) -> None:
        """Add a triple to the graph."""
        self._send("POST", graph, content=f"{triple} .\n".encode())

    def replace(self, graph: str, triples: Iterable[ox.Triple]) -> None:
        """Make these triples those of the graph."""
        self._send("PUT", graph, content="".join(f"{triple} .\n" for triple in triples).encode())

    def delete(self, graph: str) -> None:
        """Take the graph away, if it is there."""
        self._send("DELETE", graph)

    @property
    def _host(self) -> str:
        return httpx2.URL(self.url).netloc.decode()

    def _send(
        self, method: str, graph: str, content: bytes | Iterable[bytes] = b"", headers: Mapping[str, str] | None = None
    ) -> httpx2.Response:
        """Send a request, more than once where that may help: each does the same however often it is done."""
        typed = {"content-type": N_TRIPLES.media_type} if content else {}
        for wait in (*WAITS, None):
            try:
                response = self.client.request(
                    method, self.url, params={"graph": graph}, content=content, headers={**typed, **(headers or {})}
                )
                if response.is_success or (
                    response.status_code == HTTPStatus.NOT_FOUND and method in ("GET", "DELETE")
                ):
                    return response
                words = f"{response.status_code} {' '.join(response.text.split())[:MAX_MESSAGE_LENGTH]}"
                again = response.status_code in _BUSY
            except httpx2.RequestError as error:
                words, again = str(error) or type(error).__name__, isinstance(error, httpx2.TransportError)
            if wait is None or not again:
                break
            sleep(wait)
        raise StoreUnavailable(
            f"{method} of {graph} failed on {self._host}: {words}. "
            "Is --to its Graph Store, and who may write there named by ITUKG_STORE_USER or ITUKG_STORE_TOKEN? "
            "What was sent stays; load again to go on."
        )


@contextmanager
def _server(url: str, settings: Settings) -> Iterator[GraphStore]:
    timeout = httpx2.Timeout(LOAD_SECONDS, connect=CONNECT_SECONDS)
    with httpx2.Client(auth=Credentials(settings), timeout=timeout) as client:
        yield GraphStore(client, address(url))
