"""Any SPARQL 1.1 server as the store: Virtuoso, GraphDB, Neptune, QLever, Fuseki, Oxigraph's own.

Such a server holds releases side by side, each graph under a name of its release: `…/graph/sdg` stands there as
`…/release/<name>/sdg`, and the merged graph as `…/release/<name>#merged`, for not every server has a default graph
that can be written. A query goes out with the names of the release that is served here, and its answer comes back with
those that it asked for. So a release is never changed where it is read, and a new one comes without a gap on every
server, with or without transactions.

Servers differ in what they write. All write SPARQL JSON and N-Triples (or else Turtle): these are asked for, and
written here in the client's syntax by the code that writes the embedded store's answers.
"""

import asyncio
import json
import re
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from contextlib import AsyncExitStack, aclosing, contextmanager, suppress
from http import HTTPStatus
from math import inf
from time import monotonic

import httpx2
import pyoxigraph as ox

from itukg import names
from itukg.errors import (
    BadRequest,
    ItukgError,
    MemoryLimit,
    Overloaded,
    QueryRefused,
    StoreUnavailable,
    SyntaxProblem,
    TimeLimit,
)
from itukg.formats import N_TRIPLES, TABLE_FORMATS, TURTLE, Format, best_labels, write_graph, write_table
from itukg.jsonld import Json
from itukg.processes.fair import FairQueue
from itukg.settings import Settings
from itukg.store import Answer, Dataset, Query, blank_out, read_query
from itukg.store.worker import by_appearance

MERGED = "#merged"
"""What follows the name of the release in that of the graph that a query sees by default."""
NOTHING = "#nothing"
"""The same of a graph that there is not. It stands for an empty part of a dataset: an absent one is all to some servers."""
REWRITTEN = 64_000_000
"""Bytes of an answer that are rewritten in another syntax; a larger one is refused, but for N-Triples."""
LABELLED = 1000
"""Things whose labels are asked for at once."""
CONNECTING = 5.0
"""Seconds in which a server must take a connection."""
WORDS = 400
"""Characters of a server's message that are passed on."""

_JSON = "application/sparql-results+json"
_TABLES = (_JSON, "application/json")
_TRIPLES = {N_TRIPLES.media_type: N_TRIPLES, "text/plain": N_TRIPLES, TURTLE.media_type: TURTLE}
_ASKED = f"{N_TRIPLES.media_type}, {TURTLE.media_type};q=0.5"
_PLACE = re.compile(r"\b(?:line |error at )(\d+)(?:(?:, col(?:umn)? |:)(\d+))?")
_FROM = re.compile(r"(?<![?$:\w-])FROM(?![\w:-])", re.IGNORECASE)


def address(url: str) -> str:
    """Return `url` if it can be the address of a server. Raises BadRequest, which does not repeat it: it may hold a password."""
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        parsed = httpx2.URL("")
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise BadRequest("The address of a triple store begins with http:// or https:// and names a host.")
    if parsed.userinfo:
        raise BadRequest("Name user and password by ITUKG_STORE_USER and ITUKG_STORE_PASSWORD, not in the address.")
    return url


class Credentials(httpx2.Auth):
    """A token, or user and password in the way that the server asks for (basic or digest); nothing where none are set."""

    def __init__(self, settings: Settings) -> None:
        self._token = settings.store_token
        secret = settings.store_password.get_secret_value() if settings.store_password else ""
        self._basic = httpx2.BasicAuth(settings.store_user or "", secret)
        self._digest = httpx2.DigestAuth(settings.store_user or "", secret)
        self._known = settings.store_user is not None
        self._asks_basic = False

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Send a request, and again with what the server asks for."""
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        if self._token is not None or not self._known:
            yield request
            return
        if not self._asks_basic:
            digest = self._digest.auth_flow(request)
            response = yield next(digest)
            asked = response.headers.get("www-authenticate", "").lower()
            self._asks_basic = response.status_code == HTTPStatus.UNAUTHORIZED and asked.startswith("basic")
            if not self._asks_basic:
                with suppress(StopIteration):
                    while True:
                        response = yield digest.send(response)
                return
        yield from self._basic.auth_flow(request)


class RemoteStore:
    """One release on a SPARQL server, under the names that it has there."""

    def __init__(self, url: str, release: str, settings: Settings) -> None:
        self._url, self._release = address(url), names.release(release)
        self._host = httpx2.URL(url).netloc.decode()
        self._timeout = settings.timeout
        self._named: tuple[str, ...] = ()
        at_once = settings.workers + settings.slow
        self._turns: FairQueue[bool] = FairQueue(settings.queue, settings.queue_client)
        for _ in range(at_once):
            self._turns.put(True)
        self._client = httpx2.AsyncClient(
            auth=Credentials(settings),
            timeout=httpx2.Timeout(None, connect=CONNECTING),
            limits=httpx2.Limits(max_keepalive_connections=at_once),
        )

    @classmethod
    async def open(cls, url: str, release: str, settings: Settings) -> "RemoteStore":
        """Return the store once the server has told that it holds `release`, whole. Raises StoreUnavailable if not."""
        store = cls(url, release, settings)
        try:
            store._named = await store._graphs()
        except BaseException as error:
            await store.close()
            if isinstance(error, ItukgError) and not isinstance(error, StoreUnavailable):
                raise StoreUnavailable(f"{store._host}, asked which release it holds: {error}") from None
            raise
        return store

    def size(self) -> dict[str, int]:
        """Return nothing: what a server elsewhere has is for its own operator."""
        return {}

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def answer(
        self, query: Query, dataset: Dataset, syntax: Format, *, deadline: float = inf, client: str = ""
    ) -> Answer:
        """Ask the server, and write its answer in `syntax`: see `Store.answer`; StoreUnavailable where it gives none.

        A server without an answer by `deadline` is left alone; whether it stops then is its own matter.
        """
        started = monotonic()
        deadline = started + self._timeout if deadline == inf else deadline  # no server may keep us for ever
        graph = query.form in ("CONSTRUCT", "DESCRIBE")
        await self._turns.get(client, deadline)
        async with AsyncExitStack() as held:
            held.callback(self._turns.put, True)
            try:
                async with asyncio.timeout(deadline - monotonic()):
                    response = await self._send(query, dataset, _ASKED if graph else _JSON)
                    held.push_async_callback(response.aclose)
                    media_type = await self._accepted(response, query, _TRIPLES if graph else _TABLES)
                    if syntax == N_TRIPLES == _TRIPLES.get(media_type):
                        lines = _Lines(self, response, deadline, held.pop_all())
                        return Answer(syntax.media_type, lines, monotonic() - started)
                    content = await _collected(response)
                    if graph:
                        written = await asyncio.to_thread(_apart, self._graph, content, _TRIPLES[media_type], syntax)
                    else:
                        table = await asyncio.to_thread(self._table, content, query)
                        with self._reading():
                            labels = await self._labels(table) if syntax.labels else {}
                            written = await asyncio.to_thread(_apart, _write_table, table, syntax, labels)
            except TimeoutError:
                raise out_of_time(deadline - started) from None
            except httpx2.RequestError as error:
                raise self.broken(error) from None
        return Answer(syntax.media_type, _Whole(written), monotonic() - started)

    def there(self, text: str) -> str:
        """Return `text` with the names of our graphs as they are on the server."""
        return text.replace(names.GRAPHS, self._release + "/")

    def here(self, text: str) -> str:
        """Return `text` with the names of our graphs as they are here."""
        return text.replace(self._release + "/", names.GRAPHS)

    def broken(self, error: httpx2.RequestError) -> StoreUnavailable:
        """Return what to say of a connection that failed."""
        return StoreUnavailable(
            f"{self._host}: {error or type(error).__name__}. Is ITUKG_STORE right, and the server up?"
        )

    async def _graphs(self) -> tuple[str, ...]:
        """Return the named graphs of the release, once it is whole."""
        part, done = (f"{names.PREFIXES['dcterms']}{name}" for name in ("hasPart", "available"))
        marker = f"SELECT ?g WHERE {{ <{self._release}> <{part}> ?g ; <{done}> ?when }} ORDER BY ?g"
        answer = await self.answer(read_query(marker), Dataset((self._release,)), TABLE_FORMATS[0])
        found = [row["g"]["value"] for row in json.loads(await answer.read())["results"]["bindings"]]
        if not found:
            raise StoreUnavailable(
                f"{self._host} does not hold the whole of {self._release}. Load it with: "
                "itukg load --to URL (the address of its Graph Store Protocol)."
            )
        return tuple(graph for graph in found if graph.startswith(names.GRAPHS))

    def _dataset(self, query: Query, dataset: Dataset) -> dict[str, list[str]]:
        if not dataset and _FROM.search(blank_out(query.text)):
            return {}  # the query names its own, which a dataset of the protocol would replace
        nothing = [self._release + NOTHING]
        if dataset:
            parts = [[self.there(graph) for graph in part] for part in (dataset.default, dataset.named)]
        else:
            parts = [[self._release + MERGED], [self.there(graph) for graph in self._named]]
        return {"default-graph-uri": parts[0] or nothing, "named-graph-uri": parts[1] or nothing}

    async def _send(self, query: Query, dataset: Dataset, accept: str) -> httpx2.Response:
        form = {"query": self.there(query.text), **self._dataset(query, dataset)}
        request = self._client.build_request("POST", self._url, data=form, headers={"accept": accept})
        with suppress(httpx2.ReadError, httpx2.RemoteProtocolError):  # a connection that was kept, and just closed
            return await self._client.send(request, stream=True)
        return await self._client.send(request, stream=True)

    async def _accepted(self, response: httpx2.Response, query: Query, media_types: Collection[str]) -> str:
        """Return the media type of an answer that can be read; raises what is wrong with any other."""
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        status = response.status_code
        if rows := response.headers.get("x-sparql-maxrows"):  # Virtuoso's word for: there may be more
            raise QueryRefused(
                f"{self._host} cuts answers at {rows} rows. Ask for fewer at a time, with LIMIT and OFFSET."
            )
        if status == HTTPStatus.OK and media_type in media_types:
            return media_type
        words = self._words(await _collected(response), media_type)
        if status == HTTPStatus.BAD_REQUEST:
            raise self._syntax_problem(words, query)
        if status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.GATEWAY_TIMEOUT) or "S1T00" in words:
            raise TimeLimit(f"{self._host} gave up. Ask for less, or bind more of the pattern. {words}")
        if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            raise Overloaded(f"{self._host} is busy. Try again in a few seconds. {words}")
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise StoreUnavailable(
                f"{self._host} refuses us ({status}): set ITUKG_STORE_USER and ITUKG_STORE_PASSWORD, or ITUKG_STORE_TOKEN."
            )
        raise StoreUnavailable(
            f'{self._host} answers with {status} and "{media_type or "no type"}", no result. {words}'
        )

    def _words(self, content: bytes, media_type: str) -> str:
        if media_type not in ("text/plain", "application/json", "application/problem+json"):
            return ""
        said = content.decode(errors="replace").partition("\nSPARQL query:")[0]  # which Virtuoso repeats
        return self.here(" ".join(said.split()))[:WORDS]

    def _syntax_problem(self, words: str, query: Query) -> SyntaxProblem:
        """Return the server's words with the place that they name, in the query as it came."""
        place = _PLACE.search(words)
        line, column = (int(place[1]), int(place[2]) if place[2] else None) if place else (None, None)
        lines = self.there(query.text).split("\n")
        if line is not None and column is not None and 0 < line <= len(lines):
            before = lines[line - 1][:column]
            column -= len(before) - len(self.here(before))
        return SyntaxProblem(words or f"{self._host} takes this for no SPARQL.", line, column)

    def _graph(self, content: bytes, written: Format, syntax: Format) -> bytes:
        """Return a graph in the client's syntax, with our names of graphs."""
        assert isinstance(written.engine, ox.RdfFormat)
        with self._reading():
            quads = ox.parse(self.here(content.decode()), format=written.engine)
            return write_graph((quad.triple for quad in quads), syntax)

    def _table(self, content: bytes, query: Query) -> Json:
        """Return SPARQL JSON with its columns in order, our names of graphs, and labels of blank nodes that are some."""
        with self._reading():
            table: Json = json.loads(content)
            if "boolean" in table:
                return {"head": {}, "boolean": bool(table["boolean"])}
            table["head"] = {"vars": by_appearance(query.text, table["head"]["vars"])}
            labels: dict[str, str] = {}
            for row in table["results"]["bindings"]:
                for term in row.values():
                    if term["type"] == "bnode":  # Virtuoso's begin with "nodeID://"
                        term["value"] = labels.setdefault(term["value"], f"b{len(labels)}")
                    elif isinstance(term["value"], str):  # else a triple
                        term["value"] = self.here(term["value"])
            return table

    async def _labels(self, table: Json) -> Mapping[str, str]:
        """Return what the things of a table are called in the merged graph."""
        terms = [term for row in table["results"]["bindings"] for term in row.values()]
        things = sorted({str(ox.NamedNode(term["value"])) for term in terms if term["type"] == "uri"})
        stated: list[tuple[str, ox.Literal]] = []
        for begin in range(0, len(things), LABELLED):
            values = " ".join(things[begin : begin + LABELLED])
            label = f"<{names.PREFIXES['rdfs']}label>"
            query = Query(
                f"SELECT ?thing ?label WHERE {{ VALUES ?thing {{ {values} }} ?thing {label} ?label }}", "SELECT"
            )
            response = await self._send(query, Dataset(), _JSON)
            async with aclosing(response):
                await self._accepted(response, query, _TABLES)
                found = self._table(await _collected(response), query)
            solutions = _solutions(found)
            assert isinstance(solutions, ox.QuerySolutions)
            stated += [(s["thing"].value, s["label"]) for s in solutions if isinstance(s["label"], ox.Literal)]
        return best_labels(stated)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (ValueError, LookupError, TypeError, AttributeError, SyntaxError, RecursionError) as error:
            raise StoreUnavailable(f"{self._host} gives an answer that cannot be read: {error}") from None


def _apart(work: Callable[..., bytes], *given: object) -> bytes:
    """Do `work` in a thread of its own: what the engine makes there must be dropped there, which an error's frames hold."""
    try:
        return work(*given)
    except Exception as error:
        error.__traceback__ = error.__context__ = None
        raise


def _solutions(table: Json) -> ox.QuerySolutions | ox.QueryBoolean:
    return ox.parse_query_results(json.dumps(table).encode(), format=ox.QueryResultsFormat.JSON)


def _write_table(table: Json, syntax: Format, labels: Mapping[str, str]) -> bytes:
    assert syntax.labels or isinstance(syntax.engine, ox.QueryResultsFormat)
    results = _solutions(table)
    if isinstance(results, ox.QuerySolutions):
        return write_table(results, syntax, lambda _things: labels)
    return results.serialize(format=syntax.engine) or b""  # type: ignore[arg-type]  # no boolean has labels


class _Whole:
    """An answer in one piece."""

    def __init__(self, content: bytes) -> None:
        self._pieces = [content]

    def __aiter__(self) -> "_Whole":
        return self

    async def __anext__(self) -> bytes:
        if not self._pieces:
            raise StopAsyncIteration
        return self._pieces.pop()

    async def aclose(self) -> None:
        """Nothing is left to stop."""


class _Lines:
    """The lines of N-Triples as they come, with our names of graphs."""

    def __init__(self, store: RemoteStore, response: httpx2.Response, deadline: float, held: AsyncExitStack) -> None:
        self._store, self._held = store, held
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
            self._deadline += monotonic() - self._left_off  # while the client read, the server's clock stood still
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
        return self._store.here(lines.decode()).encode()

    async def aclose(self) -> None:
        """Leave the server."""
        self._ended = True
        await self._held.aclose()


def out_of_time(seconds: float) -> TimeLimit:
    """Return what to say of a query without an answer after `seconds`."""
    return TimeLimit(f"No answer within {seconds:.3g} s. Ask for less, or bind more of the pattern.")


async def _collected(response: httpx2.Response) -> bytes:
    content = bytearray()
    async for piece in response.aiter_bytes():
        content += piece
        if len(content) > REWRITTEN:
            raise MemoryLimit(
                f"The answer has more than {REWRITTEN // 1_000_000} MB. Ask for less at a time, with LIMIT and OFFSET, "
                "or for a graph as N-Triples."
            )
    return bytes(content)
