"""A triple store elsewhere: releases beside each other, loads that go on, and servers that answer with anything but a result."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import unified_diff
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import engines
import httpx2
import pyoxigraph as ox
import pytest
from conftest import eventually, wait_until_ready
from engines import Engine, opened
from fastapi.testclient import TestClient
from test_pages import PAGES
from typer.testing import CliRunner

from itukg import names
from itukg.cli import app as cli
from itukg.corpus import merged
from itukg.engine.describe import answer_query
from itukg.engine.sparql import read_query
from itukg.engine.store import Dataset
from itukg.errors import (
    BadRequest,
    ItukgError,
    NotFound,
    Overloaded,
    QueryRefused,
    StoreUnavailable,
    SyntaxProblem,
    TimeLimit,
)
from itukg.formats import CSV, N_TRIPLES, TABLE_FORMATS, TURTLE
from itukg.release import publish
from itukg.release.model import Release
from itukg.release.publish import drop, load
from itukg.settings import Settings, address
from itukg.web.app import create_app

SRJ = "application/sparql-results+json"
SIZES = {"a": 3000, "b": 2000}


@pytest.fixture(scope="module", params=["oxigraph", pytest.param("virtuoso", marks=pytest.mark.exhaustive)])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[engines.Server]:
    with engines.serving_engine(request.param, tmp_path_factory.mktemp(request.param)) as server:
        yield server


@pytest.fixture
def small(tmp_path: Path) -> Callable[[str], Release]:
    """Makes releases of two graphs, in which everything belongs to one release."""

    def make(name: str) -> Release:
        quads = [
            ox.Quad(
                ox.NamedNode(f"urn:s{number}"),
                ox.NamedNode("urn:p"),
                ox.Literal(f"{name} “é𝄞” {number}"),
                ox.NamedNode(names.graph(graph)),
            )
            for graph, size in SIZES.items()
            for number in range(size)
        ]
        folder = tmp_path / name
        folder.mkdir()
        ox.serialize([*quads, *merged(quads)], folder / "dataset.nq", format=ox.RdfFormat.N_QUADS)
        return Release(folder)

    return make


def settings_of(server: engines.Server) -> Settings:
    return server.settings(store=server.query)


# --- load ---


def test_a_reader_sees_its_release_whole_while_the_next_is_loaded_and_one_is_dropped(
    server: engines.Server, small: Callable[[str], Release]
) -> None:
    older, newer = small("swap-1"), small("swap-2")
    load(older, server.graph_store, server.settings())
    in_graph = "SELECT (COUNT(*) AS ?n) WHERE { GRAPH <%s> { ?s ?p ?o FILTER(CONTAINS(?o, '%s')) } }"
    seen: set[tuple[str, ...]] = set()
    begun, done = threading.Event(), threading.Event()

    def poll() -> None:
        with opened("reader", older, settings_of(server)) as reader:
            while not done.is_set():
                counts = [
                    reader.table("SELECT (COUNT(*) AS ?n) WHERE { ?s ?p ?o }"),
                    *(reader.table(in_graph % (names.graph(graph), "swap-1")) for graph in SIZES),
                    reader.table("SELECT DISTINCT ?g WHERE { GRAPH ?g { ?s ?p ?o } } ORDER BY ?g"),
                ]
                seen.add(tuple(line for lines in counts for line in lines))
                begun.set()

    thread = threading.Thread(target=poll)
    thread.start()
    try:
        assert begun.wait(60)  # a busy machine takes its time
        for _ in range(3):
            load(newer, server.graph_store, server.settings())
            drop(newer.name, server.graph_store, server.settings())
        load(newer, server.graph_store, server.settings())
    finally:
        done.set()
        thread.join()
    assert seen == {("3000", "3000", "2000", names.graph("a"), names.graph("b"))}
    with opened("reader", newer, settings_of(server)) as reader:
        assert reader.table(in_graph % (names.graph("a"), "swap-2")) == ["3000"]
        assert reader.table(in_graph % (names.graph("a"), "swap-1")) == ["0"]
    assert len(drop(older.name, server.graph_store, server.settings())) == 3
    with pytest.raises(StoreUnavailable, match="does not hold the whole of"), opened("r", older, settings_of(server)):
        pass


def test_an_interrupted_load_resumes(
    server: engines.Server, small: Callable[[str], Release], monkeypatch: pytest.MonkeyPatch
) -> None:
    release = small("resume")
    told: list[tuple[str, float]] = []
    put = publish.GraphStore.put

    def put_but_b(self: Any, graph: str, *rest: Any) -> None:
        if graph.endswith("/b"):
            raise StoreUnavailable("gone")
        put(self, graph, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(publish.GraphStore, "put", put_but_b)
        with pytest.raises(StoreUnavailable, match="gone"):
            load(release, server.graph_store, server.settings())
    with pytest.raises(StoreUnavailable, match="does not hold the whole of"), opened("r", release, settings_of(server)):
        pass
    loaded = load(release, server.graph_store, server.settings(), lambda graph, part: told.append((graph, part)))
    ours = names.release("resume")
    assert set(loaded.there) | set(loaded.sent) == {f"{ours}#merged", f"{ours}/a", f"{ours}/b"}
    assert f"{ours}/b" in loaded.sent and f"{ours}/a" in loaded.there
    assert told[-1] == (f"{ours}/b", 1.0) and all(0 < part <= 1 for _, part in told)
    assert load(release, server.graph_store, server.settings()).sent == ()
    with opened("reader", release, settings_of(server)) as reader:
        assert reader.table("SELECT (COUNT(*) AS ?n) WHERE { ?s ?p ?o }") == ["3000"]
        assert reader.table("SELECT ?o WHERE { <urn:s7> ?p ?o } ORDER BY ?o LIMIT 1") == ["resume “é𝄞” 7"]


def test_drop_of_an_absent_release_says_so(server: engines.Server) -> None:
    with pytest.raises(NotFound, match='no release "nothing"'):
        drop("nothing", server.graph_store, server.settings())


def test_load_is_a_command_and_prints_what_it_did(
    server: engines.Server, release: Release, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ITUKG_HOME", str(home))
    for name, value in server.credentials.items():
        monkeypatch.setenv(f"ITUKG_{name.upper()}", value)
    first = CliRunner().invoke(cli, ["load", "--to", server.graph_store])
    assert (first.exit_code, first.stdout) == (0, "")
    assert re.search(rf"{release.name}: \d+ graphs sent, 0 already there", first.stderr)
    again = CliRunner().invoke(cli, ["load", "--to", server.graph_store])
    assert ": 0 graphs sent" in again.stderr
    monkeypatch.setenv("ITUKG_STORE", server.query)
    asked = CliRunner().invoke(cli, ["query", "SELECT (COUNT(*) AS ?n) WHERE { ?s a itu:Plan }"])
    assert asked.exit_code == 0 and int(asked.stdout.split()[1]) > 3
    own = CliRunner().invoke(cli, ["load", "--to", server.graph_store, "--drop", release.name])
    assert isinstance(own.exception, BadRequest)


@pytest.mark.exhaustive
def test_wrong_credentials_are_reported_and_not_shown(small: Callable[[str], Release], tmp_path: Path) -> None:
    with engines.virtuoso(tmp_path) as server:
        wrong = Settings.model_validate({"store_user": "dba", "store_password": "hunter2"})
        with pytest.raises(StoreUnavailable, match=r"failed on 127.*401.*ITUKG_STORE_USER") as caught:
            load(small("secret"), server.graph_store, wrong)
        assert "hunter2" not in str(caught.value) and "hunter2" not in repr(wrong)


# --- servers that answer with anything else ---


@contextmanager
def saying(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """Run a server that answers every request by `answer`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.sent = parse_qs(self.rfile.read(int(self.headers.get("content-length", "0"))).decode())
            answer(self)

        do_GET = do_PUT = do_POST  # noqa: N815  (the names that it is called by)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))  # seconds until it sees that it shall end
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/sparql"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def reply(handler: BaseHTTPRequestHandler, status: int, media_type: str, text: str, **headers: str) -> None:
    handler.send_response(status)
    for name, value in {"content-type": media_type, "content-length": str(len(text.encode())), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(text.encode())


def reply_in_column(handler: BaseHTTPRequestHandler, text: str, status: int = 200) -> None:
    """Answer with a table of a column ?g, in the first column of the query instead."""
    found = re.search(r"SELECT \?(\w+)", handler.sent["query"][0])  # type: ignore[attr-defined]
    reply(handler, status, SRJ, text.replace('"g"', f'"{found[1]}"') if found else text)


MARKS = '{"head": {"vars": ["g"]}, "results": {"bindings": [{"g": {"type": "uri", "value": "urn:g"}}]}}'


Reaction = Callable[[BaseHTTPRequestHandler], None]
Holding = Callable[[Reaction], Engine]
Asked = Callable[[str, Reaction], bytes]


@pytest.fixture(scope="module")
def holding() -> Iterator[Holding]:
    """Gives a store on a server that holds the release, and from now on answers as a test wishes."""

    def marks(handler: BaseHTTPRequestHandler) -> None:
        reply(handler, 200, SRJ, MARKS)

    reaction: Reaction = marks

    def answer(handler: BaseHTTPRequestHandler) -> None:
        reaction(handler)

    def holding(wished: Reaction) -> Engine:
        nonlocal reaction
        reaction = wished
        return engine

    with (
        saying(answer) as url,
        opened("odd", Release(Path("some")), Settings(store=url)) as engine,
    ):
        yield holding


@pytest.fixture(scope="module")
def asked(holding: Holding) -> Asked:
    """Returns the answer to a query of a server that holds the release, and reacts to the query as a test wishes."""

    def asked(query: str, reaction: Reaction) -> bytes:
        return holding(reaction).ask(query, CSV if query.startswith("SELECT") else TURTLE, Dataset(), 1.0)

    return asked


@pytest.mark.parametrize(
    ("status", "media_type", "text", "error", "words"),
    [
        (200, "text/html", "<h1>Welcome</h1>", StoreUnavailable, 'answers with status 200 and media type "text/html"'),
        (200, SRJ, "{ garbage", StoreUnavailable, "cannot be read"),
        (200, SRJ, '{"head": {}}', StoreUnavailable, "cannot be read"),
        (200, SRJ, "[" * 100_000, StoreUnavailable, "cannot be read"),
        (200, SRJ, '{"head": {"vars": ["s"]}, "results": {"bindings": [{"s": {"type": "uri", "value": "no iri"}}]}}', StoreUnavailable, "cannot be read"),
        (302, "text/html", "", StoreUnavailable, "answers with status 302"),
        (401, "text/plain", "no", StoreUnavailable, "ITUKG_STORE_TOKEN"),
        (500, "text/plain", "Out of\n disk", StoreUnavailable, "answers with status 500"),
        (500, "text/plain", "Virtuoso S1T00 Error SR171: Transaction timed out", TimeLimit, "hit its time limit"),
        (503, "text/plain", "", Overloaded, "is busy"),
        (504, "text/plain", "", TimeLimit, "hit its time limit"),
        (400, "text/plain", "Lexical error at line 3, column 5. " + "x" * 5000, SyntaxProblem, "not SPARQL"),
    ],
)  # fmt: skip
def test_an_answer_of_the_server_that_is_no_result_is_an_error_with_its_reason(
    status: int,
    media_type: str,
    text: str,
    error: type[ItukgError],
    words: str,
    *,
    asked: Asked,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(error, match=words) as caught:
        asked("SELECT ?s WHERE { ?s ?p ?o }", lambda handler: reply(handler, status, media_type, text))
    assert len(str(caught.value)) < 300
    said = " ".join(text.split())[:400]
    assert not said or said not in str(caught.value)  # no client sees what a server elsewhere says
    if media_type == "text/plain" and said:
        assert said in caplog.text
    if isinstance(caught.value, SyntaxProblem):
        assert (caught.value.line, caught.value.column) == (3, 5)


def test_an_answer_that_is_no_graph_is_an_error_with_its_reason(asked: Asked) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        asked("CONSTRUCT WHERE { ?s ?p ?o }", lambda handler: reply(handler, 200, "text/turtle", "<html>"))


def test_turtle_is_read_where_a_server_writes_no_n_triples(asked: Asked) -> None:
    written = asked(
        "CONSTRUCT WHERE { ?s ?p ?o }", lambda handler: reply(handler, 200, "text/turtle", "<urn:a> a <urn:b>.")
    )
    assert written.strip() == b"<urn:a> a <urn:b> ."


def test_a_graph_that_the_server_cuts_or_spoils_is_not_passed_on(holding: Holding) -> None:
    for text, error, words in (
        ("<urn:a> <urn:b> <urn:c> .\nThe SPARQL operation has been cancelled", TimeLimit, "hit its time limit"),
        ("<html>Welcome</html>", StoreUnavailable, "cannot be read"),
        ("<urn:a> a <urn:b> .", StoreUnavailable, "cannot be read"),  # Turtle
    ):
        for syntax in (N_TRIPLES, TURTLE):
            engine = holding(partial(reply, status=200, media_type=N_TRIPLES.media_type, text=text))
            with pytest.raises(error, match=words):
                engine.ask("CONSTRUCT WHERE { ?s ?p ?o }", syntax, Dataset(), 1.0)


def test_bytes_that_are_not_utf_8_are_an_error_with_its_reason(holding: Holding) -> None:
    def spoiled(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-type", N_TRIPLES.media_type)
        handler.send_header("content-length", "22")
        handler.end_headers()
        handler.wfile.write(b'<urn:a> <urn:b> "\xff" .\n')

    with pytest.raises(StoreUnavailable, match="cannot be read"):
        holding(spoiled).ask("CONSTRUCT WHERE { ?s ?p ?o }", N_TRIPLES, Dataset(), 1.0)


def test_a_server_that_cuts_answers_is_no_store(release: Release) -> None:
    cuts = iter((False, True))  # the marks of the release are few

    def cutting(handler: BaseHTTPRequestHandler) -> None:
        reply(handler, 200, SRJ, MARKS, **({"x_sparql_maxrows": "1000"} if next(cuts) else {}))

    with (
        saying(cutting) as url,
        pytest.raises(StoreUnavailable, match="cuts answers at 1000 rows"),
        opened("cutting", release, Settings(store=url)),
    ):
        pass


@pytest.mark.parametrize(
    "query",
    [
        'SELECT (bif:http_get("http://127.0.0.1/") AS ?x) {}',
        'SELECT (<bif:http_get>("http://127.0.0.1/") AS ?x) {}',
        'PREFIX b: <bif:> SELECT * { ?s ?p ?o FILTER(true || b:http_get("http://127.0.0.1/")) }',
        'SELECT * { VALUES ?x {} BIND(<\\u0062if:http_get>("http://127.0.0.1/") AS ?y) }',
        'SELECT ("\\u0022" AS ?z) { VALUES ?x {} BIND(<bif:http_get>("http://127.0.0.1/") AS ?y) } # """',
        'SELECT * { VALUES ?x {} BIND(<SQL:SPARUL_CLEAR>("urn:g", 1) AS ?y) }',
        'DEFINE get:soft "replace" SELECT * FROM <http://127.0.0.1/> { ?s ?p ?o }',
        'SELECT * FROM <http://127.0.0.1/> OPTION (get:soft "replace") { ?s ?p ?o }',
        "SELECT (<urn:f>(1) AS ?x) {}",
    ],
)
def test_functions_and_words_of_a_servers_own_are_not_sent(query: str, holding: Holding) -> None:
    sent = threading.Event()
    engine = holding(lambda _: sent.set())
    with pytest.raises(BadRequest):
        engine.ask(query, CSV, Dataset(), 5.0)
    assert not sent.is_set()


def test_a_graph_of_the_dataset_that_is_no_iri_is_not_sent(holding: Holding) -> None:
    given = 'urn:a> define get:soft "replace" define input:default-graph-uri <http://127.0.0.1/'
    sent = threading.Event()
    engine = holding(lambda _: sent.set())
    with pytest.raises(BadRequest, match="must be named by an IRI"):
        engine.ask("ASK {}", CSV, Dataset(default=(given,)), 5.0)
    assert not sent.is_set()


def test_words_that_look_like_functions_of_a_servers_own_are_sent(asked: Asked) -> None:
    empty = '{"head": {"vars": ["s"]}, "results": {"bindings": []}}'
    for query in ('SELECT ?s { ?s ?p "sql: a bif:" }', "SELECT ?s { ?s <http://x/sql:y> ?o } # bif:"):
        assert asked(query, lambda handler: reply(handler, 200, SRJ, empty)) == b"s\r\n"


def test_an_answer_that_the_server_cuts_is_not_passed_on(asked: Asked) -> None:
    empty = '{"head": {"vars": ["s"]}, "results": {"bindings": []}}'
    with pytest.raises(QueryRefused, match="cuts answers at 1000 rows"):
        asked("SELECT ?s WHERE { ?s ?p ?o }", lambda handler: reply(handler, 200, SRJ, empty, x_sparql_maxrows="1000"))


def test_the_column_of_an_error_is_that_of_the_query_as_it_came(asked: Asked) -> None:
    query = f"SELECT * WHERE {{ GRAPH <{names.graph('sdg')}> {{ ?s ?p ?o }} }}"
    there = query.replace(names.GRAPHS, names.release("some") + "/").index("}") + 1
    with pytest.raises(SyntaxProblem) as caught:
        asked(query, lambda handler: reply(handler, 400, "text/plain", f"error at 1:{there}: expected an object"))
    assert caught.value.column == query.index("}") + 1


def test_the_place_of_an_error_does_not_count_declarations_that_were_added(holding: Holding) -> None:
    query = "SELECT * { ?s a itu:Plan ;\n xyz:p ?o }"

    def sent(_: BaseHTTPRequestHandler) -> None:
        raise AssertionError("it was sent")

    engine = holding(sent)
    for text, place in ((query, (2, 2)), ("SELECT * { ?s a itu:Plan ; sdg:p ?o }}", (1, 38))):
        with pytest.raises(SyntaxProblem) as caught:
            engine.run(answer_query(engine.store, read_query(text, known_prefixes=True), Dataset(), CSV))
        assert (caught.value.line, caught.value.column) == place
        assert str(caught.value).startswith(f"line {place[0]}, column {place[1]}: ")


def test_a_server_that_hangs_hits_the_time_limit(asked: Asked) -> None:
    began, over = time.monotonic(), threading.Event()

    def hang(_: BaseHTTPRequestHandler) -> None:
        over.wait(20)

    with pytest.raises(TimeLimit, match=r"No answer within 1 s"):
        asked("SELECT ?s WHERE { ?s ?p ?o }", hang)
    over.set()
    assert time.monotonic() - began < 5


def test_a_connection_that_breaks_is_an_error_with_its_reason(asked: Asked) -> None:
    def half(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-type", SRJ)
        handler.send_header("content-length", "1000")
        handler.end_headers()
        handler.wfile.write(b'{"head"')
        handler.close_connection = True

    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1"):
        asked("SELECT ?s WHERE { ?s ?p ?o }", half)


def test_a_client_that_leaves_in_the_middle_leaves_the_server(holding: Holding) -> None:
    left = threading.Event()

    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-type", N_TRIPLES.media_type)
        handler.send_header("content-length", str(10**12))
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"<urn:a> <urn:b> <urn:c> .\n" * 1000)
        except OSError:
            left.set()

    engine = holding(endless)

    async def begin() -> None:
        answer = await engine.store.answer(read_query("CONSTRUCT WHERE { ?s ?p ?o }"), Dataset(), N_TRIPLES)
        assert (await anext(answer.body)).startswith(b"<urn:a> ")
        await answer.body.aclose()
        assert [piece async for piece in answer.body] == []

    engine.run(begin())
    assert left.wait(5)


def test_an_unreachable_server_is_named_without_a_password(release: Release) -> None:
    url = f"http://127.0.0.1:{engines.free_port()}/sparql"
    with (
        pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:\d+: .*Is ITUKG_STORE right"),
        opened("none", release, Settings(store=url)),
    ):
        pass
    for wrong in ("ftp://host/", "sparql", "http://user:hunter2@host/sparql", "http://[::1"):
        with pytest.raises(BadRequest) as caught:
            address(wrong)
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "challenge", "expected"),
    [
        ({"store_token": "t0ken"}, "Bearer", "Bearer t0ken"),
        ({"store_user": "u", "store_password": "p"}, 'Basic realm="x"', "Basic dTpw"),
        ({"store_user": "u", "store_password": "p"}, 'Digest realm="x", nonce="n", qop="auth", algorithm=MD5', 'Digest username="u"'),
    ],
    ids=["bearer", "basic", "digest"],
)  # fmt: skip
def test_credentials_are_sent_by_the_scheme_that_the_server_requests(
    given: dict[str, str], challenge: str, expected: str
) -> None:
    def guarded(handler: BaseHTTPRequestHandler) -> None:
        if handler.headers.get("authorization", "").startswith(expected):
            reply(handler, 200, SRJ, MARKS)
        else:
            reply(handler, 401, "text/plain", "", www_authenticate=challenge)

    with saying(guarded) as url:
        with opened("guarded", Release(Path("some")), Settings.model_validate({"store": url, **given})) as engine:
            for _ in range(2):
                assert engine.table("SELECT ?g WHERE { ?g ?p ?o }") == ["urn:g"]
        with (
            pytest.raises(StoreUnavailable, match="refuses access"),
            opened("g", Release(Path("some")), Settings(store=url)),
        ):
            pass


@pytest.fixture
def at_short_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asks the server ten times a second whether it holds the release."""
    monkeypatch.setattr("itukg.web.service.RETRY_SECONDS", 0.1)
    monkeypatch.setattr("itukg.engine.remote.RELEASE_CHECK_SECONDS", 0.1)


@pytest.mark.usefixtures("at_short_intervals")
def test_the_application_waits_until_the_server_holds_the_release(release: Release, home: Path) -> None:
    holds = threading.Event()
    nothing = '{"head": {"vars": ["g"]}, "results": {"bindings": []}}'
    with (
        saying(lambda handler: reply_in_column(handler, MARKS if holds.is_set() else nothing)) as url,
        TestClient(create_app(Settings(store=url, home=home), release)) as client,
    ):

        def told() -> str:
            return str(client.get("/sparql", params={"query": "ASK {}"}).json()["detail"])

        eventually(lambda: "itukg load --to" in told(), "it does not say what to do")
        assert client.get("/readyz").status_code == httpx2.codes.SERVICE_UNAVAILABLE
        holds.set()
        wait_until_ready(client)


@pytest.mark.usefixtures("at_short_intervals")
def test_a_server_that_loses_the_release_is_queried_again_and_nothing_cached_is_answered(
    release: Release, home: Path
) -> None:
    there, row = threading.Event(), MARKS.replace("urn:g", "%s")
    nothing = '{"head": {"vars": ["g"]}, "results": {"bindings": []}}'
    there.set()
    with (
        saying(lambda handler: reply_in_column(handler, row % "urn:one" if there.is_set() else nothing)) as url,
        TestClient(create_app(Settings(store=url, home=home), release)) as client,
    ):
        wait_until_ready(client)

        def answer() -> httpx2.Response:
            return client.get("/sparql", params={"query": "SELECT ?g { ?g ?p ?o }"}, headers={"accept": "text/csv"})

        for _ in range(3):
            assert answer().text.split() == ["g", "urn:one"]
        there.clear()
        eventually(lambda: client.get("/readyz").status_code == httpx2.codes.SERVICE_UNAVAILABLE, "it is not noticed")
        eventually(lambda: answer().status_code == httpx2.codes.SERVICE_UNAVAILABLE, "it answers what it held")
        row = row.replace("%s", "%s#anew")
        there.set()
        wait_until_ready(client)
        assert answer().text.split() == ["g", "urn:one#anew"]


def test_an_interrupted_drop_resumes(
    server: engines.Server, small: Callable[[str], Release], monkeypatch: pytest.MonkeyPatch
) -> None:
    release = small("broken-drop")
    load(release, server.graph_store, server.settings())
    delete = publish.GraphStore.delete

    def delete_but_b(self: Any, graph: str) -> None:
        if graph.endswith("/b"):
            raise StoreUnavailable("gone")
        delete(self, graph)

    with monkeypatch.context() as patched:
        patched.setattr(publish.GraphStore, "delete", delete_but_b)
        with pytest.raises(StoreUnavailable, match="gone"):
            drop(release.name, server.graph_store, server.settings())
    with pytest.raises(StoreUnavailable, match="does not hold the whole of"), opened("r", release, settings_of(server)):
        pass
    assert len(drop(release.name, server.graph_store, server.settings())) == 3
    with pytest.raises(NotFound):
        drop(release.name, server.graph_store, server.settings())


def test_a_token_appears_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ITUKG_STORE", "http://127.0.0.1:9/sparql")
    monkeypatch.setenv("ITUKG_STORE_TOKEN", "s3cret\n")
    token = Settings().store_token
    assert token is not None and token.get_secret_value() == "s3cret"
    monkeypatch.setenv("ITUKG_STORE_TOKEN", "s3cret\nmore")
    result = CliRunner().invoke(cli, ["query", "ASK {}"])
    assert isinstance(result.exception, BadRequest)
    assert "store_token" in str(result.exception) and "s3cret" not in str(result.exception)
    with pytest.raises(ValueError, match="header") as caught:
        Settings()
    assert "s3cret" not in str(caught.value)


def test_an_address_that_is_none_stops_the_server_before_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ("nonsense", "ftp://host/", "http://user:hunter2@host/"):
        monkeypatch.setenv("ITUKG_STORE", wrong)
        result = CliRunner().invoke(cli, ["serve", "--port", "0"])
        assert isinstance(result.exception, BadRequest)
        assert "store: " in str(result.exception) and "hunter2" not in str(result.exception)
    monkeypatch.setenv("ITUKG_STORE", "")
    assert Settings().store is None


def test_a_server_that_fails_is_502_over_http(release: Release, home: Path) -> None:
    failing = threading.Event()
    with (
        saying(lambda handler: reply_in_column(handler, MARKS, 500 if failing.is_set() else 200)) as url,
        TestClient(create_app(Settings(store=url, home=home), release)) as client,
    ):
        wait_until_ready(client)
        failing.set()
        answer = client.get("/sparql", params={"query": "ASK {}"})
        assert answer.status_code == httpx2.codes.BAD_GATEWAY
        assert answer.json()["title"] == "Triple store unavailable"


def test_things_lists_and_searches_are_the_same_from_a_remote_store(
    server: engines.Server, release: Release, home: Path, client: TestClient
) -> None:
    load(release, server.graph_store, server.settings())
    paths = (
        *(f"/id/buap-2018-2021/output/2.1{suffix}" for suffix in (".jsonld", ".ttl", ".html")),
        "/sdg/9.c",
        "/id/buap-2018-2021?frame=plan-tree",
        "/id/op-2026?frame=budget",
        "/id?class=Outcome&sdg=9&basis=derived",
        "/id/buap-2018-2021/output.csv",
        "/search?q=access&class=Output",
    )
    settings = settings_of(server).model_copy(update={"home": home})
    with TestClient(create_app(settings, release)) as elsewhere:
        wait_until_ready(elsewhere)
        for path in paths:
            here, there = client.get(path), elsewhere.get(path)
            assert (here.status_code, there.status_code) == (200, 200), (path, there.text)
            assert there.content == here.content, path


_REQUEST = r"<p>Request <code>\w+</code></p>"
"""What differs between two answers of one page of an error; a page of /sparql also tells that its store is elsewhere."""


@pytest.mark.exhaustive
def test_every_page_is_the_same_from_a_remote_store(
    server: engines.Server, release: Release, home: Path, client: TestClient
) -> None:
    load(release, server.graph_store, server.settings())
    settings = settings_of(server).model_copy(update={"home": home})
    differ = list[str]()
    with TestClient(create_app(settings, release)) as elsewhere:
        wait_until_ready(elsewhere)
        for path in PAGES:
            here, there = (each.get(path, headers={"Accept": "text/html"}) for each in (client, elsewhere))
            ours, theirs = (re.sub(_REQUEST, "", answer.text).splitlines() for answer in (here, there))
            if here.status_code != there.status_code or (ours != theirs and not path.startswith("/sparql")):
                differ += [
                    path,
                    f"{here.status_code} and {there.status_code}",
                    *islice(unified_diff(ours, theirs, n=0), 8),
                ]
    assert not differ, "\n".join(differ)


def test_an_answer_that_is_no_http_and_a_media_type_that_is_none_are_not_repeated(holding: Holding) -> None:
    def spoken(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"hunter2 /etc/passwd\r\n\r\n")
        handler.close_connection = True

    def marked(handler: BaseHTTPRequestHandler) -> None:
        reply(handler, 200, "hunter2 <script>", "{}")

    for reaction in (spoken, marked):
        with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1") as caught:
            holding(reaction).ask("SELECT ?s WHERE { ?s ?p ?o }", CSV, Dataset(), 1.0)
        assert "hunter2" not in str(caught.value)


def test_a_boolean_is_written_in_one_way_whatever_the_server_writes(asked: Asked) -> None:
    boolean = "http://www.w3.org/2001/XMLSchema#boolean"
    rows = [
        {"s": {"type": "typed-literal", "datatype": boolean, "value": value}} for value in ("1", "0", "true", "false")
    ]
    table = json.dumps({"head": {"vars": ["s"]}, "results": {"bindings": rows}})
    answer = asked("SELECT ?s WHERE { ?s ?p ?o }", partial(reply, status=200, media_type=SRJ, text=table))
    assert answer.decode().split() == ["s", "true", "false", "true", "false"]


@pytest.mark.parametrize("media_type", [N_TRIPLES.media_type, TURTLE.media_type])
def test_a_graph_that_only_the_end_of_the_connection_ends_is_refused(holding: Holding, media_type: str) -> None:
    def ended(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-type", media_type)
        handler.send_header("connection", "close")
        handler.end_headers()
        handler.wfile.write(b"<urn:a> <urn:b> <urn:c> .\n")

    def in_chunks(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-type", media_type)
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"1a\r\n<urn:a> <urn:b> <urn:c> .\n\r\n0\r\n\r\n")

    for syntax in (N_TRIPLES, TURTLE):
        with pytest.raises(StoreUnavailable, match="without its length"):
            holding(ended).ask("CONSTRUCT WHERE { ?s ?p ?o }", syntax, Dataset(), 1.0)
        assert b"<urn:c>" in holding(in_chunks).ask("CONSTRUCT WHERE { ?s ?p ?o }", syntax, Dataset(), 1.0)


@pytest.mark.parametrize(
    ("query", "columns", "row", "fits"),
    [
        ("SELECT ?s WHERE { ?s ?p ?o }", ["s"], {"s": {"type": "literal", "value": "1"}}, True),
        ("SELECT * WHERE { ?s ?p ?o }", ["o", "s", "p"], {"p": {"type": "literal", "value": "1"}}, True),
        ("SELECT ?s WHERE { ?s ?p ?o }", ["s", "password"], {}, False),
        ("SELECT ?s WHERE { ?s ?p ?o }", ["s"], {"password": {"type": "literal", "value": "1"}}, False),
        ("SELECT * WHERE { ?s ?p ?o }", ["s", "p", "o", "x"], {}, False),
        ("ASK { ?s ?p ?o }", ["s"], {}, False),
    ],
)
def test_columns_that_the_query_does_not_have_are_an_error(
    query: str, columns: list[str], row: dict[str, object], *, fits: bool, asked: Asked, holding: Holding
) -> None:
    table = json.dumps({"head": {"vars": columns}, "results": {"bindings": [row]}})
    answer = partial(reply, status=200, media_type=SRJ, text=table)
    if fits:
        assert b"1" in asked(query, answer)
        return
    with pytest.raises(StoreUnavailable, match=r"that the query does not have|a table for an ASK") as caught:
        holding(answer).ask(query, TABLE_FORMATS[0] if query.startswith("ASK") else CSV, Dataset(), 1.0)
    assert "password" not in str(caught.value)
    with pytest.raises(StoreUnavailable, match="a Boolean for a SELECT"):
        asked(
            "SELECT ?s WHERE { ?s ?p ?o }",
            partial(reply, status=200, media_type=SRJ, text='{"head": {}, "boolean": true}'),
        )
