"""Any SPARQL 1.1 server as the store: Virtuoso, GraphDB, Neptune, QLever, Fuseki, Oxigraph's own.

Such a server holds releases side by side, with the release's name in each graph's IRI: `…/graph/sdg` is
`…/release/<name>/sdg` there, and the merged graph is `…/release/<name>#merged`, as not every server has a default graph
that can be written. A query is sent with the graph IRIs of the served release, and its answer gets ours back. So a release
never changes while it is read, and a new one arrives without a gap on every server, with or without transactions.

Servers differ in what they accept and write. A query is parsed before it is sent; the answer arrives as SPARQL JSON or
N-Triples (or else Turtle), which all servers write, and is rewritten in the client's syntax. Both happen in worker
processes (`translate`), so that neither blocks the web process.
"""

import asyncio
import json
import logging
import re
from collections.abc import Collection, Generator, Mapping
from contextlib import AsyncExitStack, aclosing, suppress
from http import HTTPStatus
from math import inf
from time import monotonic
from typing import Any

import httpx2
import pyoxigraph as ox

from itukg import names
from itukg.engine.describe import FROM_CLAUSE
from itukg.engine.embedded import query_pool
from itukg.engine.fair import Slots
from itukg.engine.pool import Response
from itukg.engine.sparql import Query, blank_out, read_query
from itukg.engine.store import Answer, Dataset
from itukg.engine.translate import TIMEOUT_MESSAGES, lines, pack, solutions, to_local_iris, unreadable
from itukg.errors import ItukgError, MemoryLimit, Overloaded, QueryRefused, StoreUnavailable, SyntaxProblem, TimeLimit
from itukg.formats import FIRST_ROWS, N_TRIPLES, TABLE_FORMATS, TURTLE, Format
from itukg.rdf.jsonld import Json
from itukg.settings import Settings, address
from itukg.tables import MAX_FIRST, best_labels

log = logging.getLogger("itukg")

MERGED_SUFFIX = "#merged"
"""What follows the release's IRI in that of the merged graph."""
EMPTY_SUFFIX = "#nothing"
"""The same for a graph that does not exist. It stands for an empty part of a dataset: some servers take an absent one as all."""
MAX_REWRITTEN_BYTES = 64_000_000
"""Largest answer that is rewritten in another syntax; a larger one is refused, except N-Triples."""
LABELS_PER_QUERY = 1000
"""Things whose labels one query fetches."""
CONNECT_SECONDS = 5.0
"""Seconds in which a server must accept a connection."""
MAX_MESSAGE_LENGTH = 400
"""Characters of a server's message that are logged."""
RELEASE_CHECK_SECONDS = 2.0
"""Seconds between two checks that the server still holds the release."""
PROBE_ROWS = 100_001
"""Rows that are requested at the start, to see whether the server cuts answers."""

_SPARQL_JSON = "application/sparql-results+json"
_TABLES = (_SPARQL_JSON, "application/json")
_TRIPLES = {N_TRIPLES.media_type: N_TRIPLES, "text/plain": N_TRIPLES, TURTLE.media_type: TURTLE}
_GRAPH_ACCEPT = f"{N_TRIPLES.media_type}, {TURTLE.media_type};q=0.5"
_PLACE = re.compile(r"\b(?:line |error at )(\d+)(?:(?:, col(?:umn)? |:)(\d+))?")
_MEDIA_TYPE = re.compile(r"[\w.+-]{1,60}/[\w.+-]{1,60}", re.ASCII)
_FROM = re.compile(r"(?<![?$:@%.\w-])FROM(?![\w:-])", re.IGNORECASE)


class Credentials(httpx2.Auth):
    """A token, or user and password as the server requests (basic or digest); nothing where none are set."""

    def __init__(self, settings: Settings) -> None:
        self._token = settings.store_token
        secret = settings.store_password.get_secret_value() if settings.store_password else ""
        self._basic = httpx2.BasicAuth(settings.store_user or "", secret)
        self._digest = httpx2.DigestAuth(settings.store_user or "", secret)
        self._known = settings.store_user is not None
        self._is_basic = False

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Send a request, and again with the credentials that the server requests."""
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        if self._token is not None or not self._known:
            yield request
            return
        if not self._is_basic:
            digest = self._digest.auth_flow(request)
            response = yield next(digest)
            challenge = response.headers.get("www-authenticate", "").lower()
            self._is_basic = response.status_code == HTTPStatus.UNAUTHORIZED and challenge.startswith("basic")
            if not self._is_basic:
                with suppress(StopIteration):
                    while True:
                        response = yield digest.send(response)
                return
        yield from self._basic.auth_flow(request)


class RemoteStore:
    """One release on a remote SPARQL server."""

    def __init__(self, url: str, release: str, settings: Settings) -> None:
        self._url, self._release = address(url), names.release(release)
        self._host = httpx2.URL(url).netloc.decode()
        self._timeout = settings.timeout
        self._marked: list[Json] = []
        self._named: tuple[str, ...] = ()
        at_once = settings.workers + settings.slow_workers
        self._slots = Slots(at_once, settings.queue, settings.queue_client)
        self._pool = query_pool("itukg.engine.translate", "-", settings)
        self._client = httpx2.AsyncClient(
            auth=Credentials(settings),
            timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),
            limits=httpx2.Limits(max_keepalive_connections=at_once),
        )

    @classmethod
    async def open(cls, url: str, release: str, settings: Settings) -> "RemoteStore":
        """Return the store, after checking that the server holds the whole `release`. Raises StoreUnavailable if not."""
        store = cls(url, release, settings)
        try:
            await store._pool.start()
            await store._find()
        except BaseException as error:
            await store.close()
            if isinstance(error, ItukgError) and not isinstance(error, StoreUnavailable):
                raise StoreUnavailable(f"{store._host} did not say which release it holds: {error}") from None
            raise
        return store

    def size(self) -> dict[str, int]:
        """Return how many local processes read queries and write answers, and how many queries wait for the server."""
        return self._pool.size() | {"waiting for the triple store": self._slots.waiting()}

    async def close(self) -> None:
        """Close the connections, and kill the workers."""
        await self._client.aclose()
        await self._pool.close()

    async def lost(self) -> None:
        """Return when the server no longer holds the release, or holds a newer load of it; no answer counts as still held."""
        while True:
            await asyncio.sleep(RELEASE_CHECK_SECONDS)
            with suppress(ItukgError):
                if await self._marks() != self._marked:
                    return

    async def answer(
        self, query: Query, dataset: Dataset, syntax: Format, *, deadline: float = inf, client: str = ""
    ) -> Answer:
        """Query the server, and write its answer in `syntax`: see `Store.answer`. Raises StoreUnavailable if it does not answer.

        At `deadline` the connection is closed; the server may go on evaluating.
        """
        started = monotonic()
        deadline = started + self._timeout if deadline == inf else deadline

        async def work(task: str, **given: Any) -> Response:
            return await self._pool.submit(pack(task, **given), deadline=deadline, client=client)

        graph = query.form in ("CONSTRUCT", "DESCRIBE")
        await work("read", query=query.text, default=tuple(dataset.default), named=tuple(dataset.named))
        await self._slots.get(client, deadline)
        async with AsyncExitStack() as resources:
            resources.callback(self._slots.put, True, client)
            try:
                async with asyncio.timeout(deadline - monotonic()):
                    response = await self._send(query, dataset, _GRAPH_ACCEPT if graph else _SPARQL_JSON)
                    resources.push_async_callback(response.aclose)
                    media_type = await self._accepted(response, query, _TRIPLES if graph else _TABLES)
                    if syntax == N_TRIPLES == _TRIPLES.get(media_type):
                        lines = _Lines(self, response, deadline, resources.pop_all())
                        return Answer(syntax.media_type, lines, monotonic() - started)
                    content = await _collected(response)
                    given = {"content": content, "host": self._host}
                    to = {"release": self._release, "media_type": syntax.media_type}
                    written = _TRIPLES[media_type].media_type if graph else ""
                    labels: Mapping[str, str] = {}
                    if syntax.labels or syntax is FIRST_ROWS:
                        rows = MAX_FIRST if syntax is FIRST_ROWS else None
                        found = await work("things", written=written, rows=rows, **given)
                        labels = await self._labels(json.loads(await Answer(_SPARQL_JSON, found).read()))
                    if graph:
                        body = await work("graph", written=written, root=query.root, labels=labels, **given, **to)
                    else:
                        body = await work("table", query=query.text, labels=labels, **given, **to)
            except TimeoutError:
                raise out_of_time(deadline - started) from None
            except httpx2.RequestError as error:
                raise self.broken(error) from None
        return Answer(syntax.media_type, body, monotonic() - started)

    def to_remote_iris(self, text: str) -> str:
        """Return `text` with the server's graph IRIs in place of ours."""
        return text.replace(names.GRAPHS, self._release + "/")

    def lines(self, content: bytes) -> bytes:
        """Return lines of N-Triples with our graph IRIs. Raises StoreUnavailable or TimeLimit for lines that cannot be read."""
        return lines(content, self._release, self._host)

    def broken(self, error: httpx2.RequestError) -> StoreUnavailable:
        """Return the error for a connection that failed."""
        reason = str(error) if isinstance(error, httpx2.ConnectError) else ""  # others may repeat what the server sent
        return StoreUnavailable(
            f"{self._host}: {reason or type(error).__name__}. Is ITUKG_STORE right, and is the server up?"
        )

    async def _find(self) -> None:
        """Read the names of the release's graphs, and check that it is whole and that the server does not cut answers."""
        self._marked = await self._marks()
        if not self._marked:
            raise StoreUnavailable(
                f"{self._host} does not hold the whole of {self._release}. Load it with: "
                "itukg load --to URL (the address of its Graph Store Protocol)."
            )
        found = (row["g"]["value"] for row in self._marked)
        self._named = tuple(graph for graph in found if graph.startswith(names.GRAPHS))
        every = Query(f"SELECT ?s WHERE {{ ?s ?p ?o }} LIMIT {PROBE_ROWS}", "SELECT")
        try:  # a server says that it cut a table, but not that it cut a graph
            async with asyncio.timeout(self._timeout):
                async with aclosing(await self._send(every, Dataset(), _SPARQL_JSON)) as response:
                    await self._accepted(response, every, _TABLES)
        except TimeoutError:
            raise out_of_time(self._timeout) from None
        except httpx2.RequestError as error:
            raise self.broken(error) from None

    async def _marks(self) -> list[Json]:
        """Return the graphs of the release, and when its load was complete; nothing before that."""
        part, done = (f"{names.PREFIXES['dcterms']}{name}" for name in ("hasPart", "available"))
        marker = f"SELECT ?g ?when WHERE {{ <{self._release}> <{part}> ?g ; <{done}> ?when }} ORDER BY ?g ?when"
        answer = await self.answer(read_query(marker), Dataset((self._release,)), TABLE_FORMATS[0])
        found: list[Json] = json.loads(await answer.read())["results"]["bindings"]
        return found

    def _dataset(self, query: Query, dataset: Dataset) -> dict[str, list[str]]:
        if not dataset and _FROM.search(blank_out(query.text)):
            return {}  # the query names its own dataset, which one of the protocol would replace
        nothing = [self._release + EMPTY_SUFFIX]
        if dataset:
            parts = [[self.to_remote_iris(graph) for graph in part] for part in (dataset.default, dataset.named)]
        else:
            parts = [[self._release + MERGED_SUFFIX], [self.to_remote_iris(graph) for graph in self._named]]
        return {"default-graph-uri": parts[0] or nothing, "named-graph-uri": parts[1] or nothing}

    async def _send(self, query: Query, dataset: Dataset, accept: str) -> httpx2.Response:
        text = without_from(query.text) if dataset else query.text
        form = {"query": self.to_remote_iris(text), **self._dataset(query, dataset)}
        request = self._client.build_request("POST", self._url, data=form, headers={"accept": accept})
        with suppress(httpx2.ReadError, httpx2.RemoteProtocolError):  # a kept-alive connection that was just closed
            return await self._client.send(request, stream=True)
        return await self._client.send(request, stream=True)

    async def _accepted(self, response: httpx2.Response, query: Query, media_types: Collection[str]) -> str:
        """Return the media type of an answer that can be read; raises an error for any other."""
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        status = response.status_code
        if (rows := response.headers.get("x-sparql-maxrows", "")).isdigit():  # how Virtuoso says that there may be more
            raise QueryRefused(
                f"{self._host} cuts answers at {rows} rows. Ask for fewer at a time, with LIMIT and OFFSET."
            )
        if status == HTTPStatus.OK and media_type in media_types:
            if media_type in _TRIPLES and not {"content-length", "transfer-encoding"} & {*response.headers}:
                raise StoreUnavailable(
                    f"{self._host} sends a graph without its length and not in chunks (RFC 9112, 6.3): half of it would pass as "
                    "the whole. Configure it, or the proxy before it, for HTTP/1.1."
                )
            return media_type
        message = self._message(await _collected(response), media_type)
        if message:  # which is for the operator: it may name files, addresses or data that no client is to see
            log.warning("%s answers with status %d: %s", self._host, status, message)
        if status == HTTPStatus.BAD_REQUEST:
            raise self._syntax_problem(message, query)
        kind = _MEDIA_TYPE.fullmatch(media_type)
        timed_out = status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.GATEWAY_TIMEOUT)
        if timed_out or any(each in message for each in TIMEOUT_MESSAGES):
            raise TimeLimit(f"{self._host} hit its time limit. Ask for less, or bind more of the pattern.")
        if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            raise Overloaded(f"{self._host} is busy. Try again in a few seconds.")
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise StoreUnavailable(
                f"{self._host} refuses access ({status}): set ITUKG_STORE_USER and ITUKG_STORE_PASSWORD, or ITUKG_STORE_TOKEN."
            )
        raise StoreUnavailable(
            f'{self._host} answers with status {status} and media type "{kind[0] if kind else "none"}", not a result.'
        )

    def _message(self, content: bytes, media_type: str) -> str:
        if media_type not in ("text/plain", "application/json", "application/problem+json"):
            return ""
        text = content.decode(errors="replace").partition("\nSPARQL query:")[0]  # Virtuoso repeats the query
        return to_local_iris(" ".join(text.split()), self._release)[:MAX_MESSAGE_LENGTH]

    def _syntax_problem(self, message: str, query: Query) -> SyntaxProblem:
        """Return an error with the place that the server's message names, in the query as the client sent it."""
        place = _PLACE.search(message)
        line, column = (int(place[1]), int(place[2]) if place[2] else None) if place else (None, None)
        lines = self.to_remote_iris(query.text).split("\n")
        if line is not None and column is not None and 0 < line <= len(lines):
            before = lines[line - 1][:column]
            column -= len(before) - len(to_local_iris(before, self._release))
        return SyntaxProblem(f"{self._host} says that this is not SPARQL.", line, column)

    async def _labels(self, things: list[str]) -> Mapping[str, str]:
        """Return the labels of things in the merged graph."""
        stated: list[tuple[str, ox.Literal]] = []
        for begin in range(0, len(things), LABELS_PER_QUERY):
            values = " ".join(things[begin : begin + LABELS_PER_QUERY])
            label = f"<{names.PREFIXES['rdfs']}label>"
            query = Query(
                f"SELECT ?thing ?label WHERE {{ VALUES ?thing {{ {values} }} ?thing {label} ?label }}", "SELECT"
            )
            async with aclosing(await self._send(query, Dataset(), _SPARQL_JSON)) as response:
                await self._accepted(response, query, _TABLES)
                content = await _collected(response)
            with unreadable(self._host, content):
                found = solutions(json.loads(content))
                assert isinstance(found, ox.QuerySolutions)
                stated += [(s["thing"].value, s["label"]) for s in found if isinstance(s["label"], ox.Literal)]
        return best_labels(stated)


def without_from(query: str) -> str:
    """Return a query without its FROM clauses: a protocol dataset replaces them, but some servers use both."""
    pieces, at = list[str](), 0
    for word in _FROM.finditer(blank_out(query)):
        if found := FROM_CLAUSE.match(query, word.start()):
            pieces.append(query[at : found.start()])
            at = found.end()
    return "".join((*pieces, query[at:]))


class _Lines:
    """The lines of N-Triples as they arrive, with our graph IRIs."""

    def __init__(
        self, store: RemoteStore, response: httpx2.Response, deadline: float, resources: AsyncExitStack
    ) -> None:
        self._store, self._resources = store, resources
        self._started, self._deadline, self._left_off = monotonic(), deadline, monotonic()
        self._pieces = response.aiter_bytes()
        self._rest = b""
        self._ended = False

    def __aiter__(self) -> "_Lines":
        return self

    async def __anext__(self) -> bytes:
        """Return the next lines; raises TimeLimit or StoreUnavailable for an answer that cannot be finished."""
        lines = b""
        while not lines:
            if self._ended:
                raise StopAsyncIteration
            self._deadline += monotonic() - self._left_off  # the time in which the client read is not the server's
            try:
                async with asyncio.timeout(self._deadline - monotonic()):
                    piece = await anext(self._pieces, None)
            except TimeoutError:
                await self.aclose()
                raise out_of_time(self._deadline - self._started) from None
            except httpx2.RequestError as error:
                await self.aclose()
                raise self._store.broken(error) from None
            self._left_off = monotonic()
            if piece is None:
                await self.aclose()
            lines, end, self._rest = (self._rest + (piece or b"")).rpartition(b"\n")
            lines += end
            if piece is None:
                lines, self._rest = lines + self._rest, b""
        try:
            return self._store.lines(lines)
        except ItukgError:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Close the connection to the server, and give back the slot."""
        self._ended = True
        await self._resources.aclose()


def out_of_time(seconds: float) -> TimeLimit:
    """Return the error for a query without an answer after `seconds`."""
    return TimeLimit(f"No answer within {seconds:.2g} s. Ask for less, or bind more of the pattern.")


async def _collected(response: httpx2.Response) -> bytes:
    content = bytearray()
    async for piece in response.aiter_bytes():
        content += piece
        if len(content) > MAX_REWRITTEN_BYTES:
            raise MemoryLimit(
                f"The answer is larger than {MAX_REWRITTEN_BYTES // 1_000_000} MB. Ask for less at a time, with LIMIT and OFFSET, "
                "or for a graph as N-Triples."
            )
    return bytes(content)
