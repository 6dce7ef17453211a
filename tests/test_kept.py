"""Every answer of the release: a strong ETag, its date, 304, gzip, HEAD, and bytes from memory the second time."""

import asyncio
import gzip
import re
from email.utils import parsedate_to_datetime

import httpx2
import pytest
from fastapi.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send
from test_protocol import answered, cached, routes

from itukg import names
from itukg.release.model import Release
from itukg.web.middleware import Cache, ResponseMiddleware

CHANGING = {"/healthz", "/readyz", "/metrics"}
"""Routes that tell of the server, not of the release."""


@pytest.fixture(scope="module")
def paths(client: TestClient) -> list[str]:
    """A path for each route whose answers are of the release; what leads elsewhere is none."""
    found = [
        path for path in routes(client) if path not in CHANGING and client.head(path, follow_redirects=False).is_success
    ]
    assert len(found) >= 13
    return [*found, "/sparql?query=ASK%7B%7D"]


def raw(client: httpx2.Client, path: str, **headers: str) -> tuple[int, httpx2.Headers, bytes]:
    """Status, headers and bytes as they come."""
    sent = {"accept-encoding": "identity", "x-request-id": "r"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    with client.stream("GET", path, headers=sent) as reply:
        return reply.status_code, reply.headers, b"".join(reply.iter_raw())


def test_an_answer_of_the_release_has_its_etag_its_date_and_says_how_it_may_be_kept(
    client: TestClient, release: Release, paths: list[str]
) -> None:
    for path in paths:
        status, headers, content = raw(client, path)
        assert (path, status) == (path, 200)
        assert headers["etag"].startswith('"'), path
        assert headers["vary"] == "Accept, Accept-Encoding"
        kept = "public, max-age=31536000, immutable" if path.startswith("/context/v1-") else "no-cache"
        assert headers["cache-control"] == kept, path
        assert parsedate_to_datetime(headers["last-modified"]).strftime("%Y-%m-%dT%H:%M:%SZ") == release.built
        assert int(headers["content-length"]) == len(content) > 0
        assert (
            headers["x-content-type-options"] == "nosniff"
            and "default-src 'none'" in headers["content-security-policy"]
        )


def test_who_has_an_answer_already_gets_304_without_it(client: TestClient, paths: list[str]) -> None:
    for path in paths:
        full = raw(client, path)[1]
        for condition in ({"if_none_match": full["etag"]}, {"if_modified_since": full["last-modified"]}):
            status, headers, content = raw(client, path, **condition)
            assert (path, status, content) == (path, 304, b"")
            assert not {"content-length", "content-type", "content-encoding"} & headers.keys()
            timed = {"server-timing": ""}  # what came quickly is evaluated again
            assert {key: full[key] for key in headers} | timed == dict(headers) | timed
        assert raw(client, path, if_none_match='"x"', if_modified_since=full["last-modified"])[0] == 200
        assert raw(client, path, if_modified_since="Mon, 01 Jan 2001 00:00:00 GMT")[0] == 200
        assert raw(client, path, if_modified_since="Mon, 01 Jan 2001 00:00:00 -0000")[0] == 200


def test_an_answer_is_zipped_for_whoever_likes_it_under_an_etag_of_its_own(
    client: TestClient, paths: list[str]
) -> None:
    for path in paths:
        (_, plain, content), (_, zipped, packed) = raw(client, path), raw(client, path, accept_encoding="gzip")
        assert zipped["content-encoding"] == "gzip", path
        assert gzip.decompress(packed) == content
        assert plain["etag"] != zipped["etag"]
        assert raw(client, path, accept_encoding="gzip")[2] == packed
        assert raw(client, path, accept_encoding="gzip", if_none_match=plain["etag"])[0] == 200


def test_what_is_packed_already_is_not_zipped_again(client: TestClient) -> None:
    for path in ("/conformance/structure.pdf", "/conformance/structure.xlsx"):
        assert "content-encoding" not in raw(client, path, accept_encoding="gzip")[1]


def test_head_has_the_headers_of_get_and_no_body(client: TestClient, paths: list[str]) -> None:
    for path in [*paths, *sorted(CHANGING), "/none"]:
        get, head = (client.request(method, path, headers={"x-request-id": "r"}) for method in ("GET", "HEAD"))
        assert (path, head.status_code, head.content) == (path, get.status_code, b"")
        varying = {"server-timing": "", **({"content-length": ""} if path == "/metrics" else {})}
        assert {**get.headers, **varying} == {**head.headers, **varying}


def test_head_sends_no_body_from_memory_or_file(client: TestClient) -> None:
    """Asked without a client, which would drop it."""
    for path in ("/robots.txt", "/data/latest/itukg.nq", "/data/latest/links.csv"):
        client.get(path)
        for _ in range(3):
            sent: list[Message] = []

            async def receive() -> Message:  # the client stays
                await asyncio.Event().wait()
                raise AssertionError

            async def send(message: Message, sent: list[Message] = sent) -> None:
                sent.append(message)

            async def asked(scope: Scope, send: Send = send) -> None:
                await client.app(scope, receive, send)

            scope: Scope = {
                "type": "http",
                "method": "HEAD",
                "path": path,
                "scheme": "http",
                "query_string": b"",
                "headers": [],
            }
            asyncio.run(asked(scope))
            assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
            assert (sent[0]["status"], sent[1].get("body", b"")) == (200, b"")


def test_what_fails_when_it_has_begun_is_not_answered_a_second_time(release: Release) -> None:
    sent: list[Message] = []

    async def failing(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"the first piece", "more_body": True})
        raise RuntimeError("in the middle")

    async def nothing() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    middleware = ResponseMiddleware(failing, release=release, cache=Cache(1000), routes=[], public=None)
    scope: Scope = {"type": "http", "method": "GET", "path": "/", "scheme": "http", "query_string": b"", "headers": []}
    with pytest.raises(RuntimeError, match="in the middle"):
        asyncio.run(middleware(scope, nothing, send))
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


@pytest.fixture
def unread(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """While this holds, no router and no endpoint answers."""

    async def fails(*_: object) -> None:
        raise AssertionError("the request went on to the router")

    assert client.get("/readyz").status_code == 200  # the stack is built
    middleware = client.app.middleware_stack  # type: ignore[attr-defined]
    while not isinstance(middleware, ResponseMiddleware):
        middleware = middleware.app
    monkeypatch.setattr(middleware, "app", fails)


METRICS = 1
"""The answer of /metrics itself, which counts in the next one."""


def test_the_third_time_no_router_is_asked(
    client: TestClient, paths: list[str], request: pytest.FixtureRequest
) -> None:
    expected = {path: [raw(client, path) for _ in range(2)][1] for path in paths}
    before = answered(client)["200"]
    request.getfixturevalue("unread")
    for path, (_, headers, content) in expected.items():
        assert raw(client, path) == (200, headers, content)
        head = client.head(path, headers={"accept-encoding": "identity", "x-request-id": "r"})
        assert (head.headers, head.content) == (headers, b"")
    request.getfixturevalue("monkeypatch").undo()
    assert answered(client)["200"] == before + 2 * len(paths) + METRICS + 1  # that of /readyz


def test_an_answer_held_for_one_is_not_given_to_who_asked_for_another(client: TestClient) -> None:
    path = "/.well-known/void"
    for _ in range(3):
        here, there = (client.get(path, headers={"host": host}) for host in ("here.example", "there.example"))
        assert "http://here.example/sparql" in here.text and "http://there.example/sparql" in there.text
        assert (
            client.get(path, headers={"accept": "application/n-triples"}).headers["content-type"]
            != here.headers["content-type"]
        )
        assert client.get(path, params={"format": "jsonld"}).headers["content-type"] == "application/ld+json"


def test_what_tells_of_the_server_and_what_fails_is_not_held(client: TestClient) -> None:
    before = cached(client)
    for path in [*CHANGING, "/none", "/id/none", "/conformance?severity=none", "/ontology?format=none"]:
        for _ in range(3):
            reply = client.get(path)
            assert "etag" not in reply.headers and "last-modified" not in reply.headers, path
            assert client.get(path, headers={"if-none-match": "*"}).status_code == reply.status_code
    assert cached(client) == before


def test_metrics_count_the_answers_by_status(client: TestClient) -> None:
    before = answered(client)
    tag = raw(client, "/robots.txt")[1]["etag"]
    assert raw(client, "/robots.txt", if_none_match=tag)[0] == 304
    more = {status: number - before.get(status, 0) for status, number in answered(client).items()}
    assert {status: number for status, number in more.items() if number} == {"200": 1 + METRICS, "304": 1}


def test_what_stands_under_the_name_of_its_release_never_changes(client: TestClient, release: Release) -> None:
    named, latest = (client.get(f"/data/{name}/links.csv") for name in (release.name, "latest"))
    assert named.content == latest.content
    assert named.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert latest.headers["cache-control"] == "no-cache"


def test_every_link_of_the_headers_answers(client: TestClient, paths: list[str]) -> None:
    found = set()
    for path in paths:
        headers = client.get(path).headers
        found |= {link.replace("http://testserver/", names.BASE) for link in re.findall(r"<([^>]+)>", headers["link"])}
        if "content-location" in headers:
            found.add(names.BASE.rstrip("/") + headers["content-location"])
    ours = {link for link in found if link.startswith(names.BASE)}
    assert len(ours) >= 3 and len(found - ours) == 1  # the licence
    for link in ours:
        assert client.get("/" + link.removeprefix(names.BASE)).status_code == 200, link
