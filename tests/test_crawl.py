"""From the front page every link leads somewhere: in pages, in bodies of JSON, and in Link headers.

There are thousands of things, and lists by every combination of filters. Addresses alike (the same path but for
the segments that hold a digit, the same first names in the query) are one kind: of each kind the first `asked` are
asked for, and the answers of the first `read` are read for more. To the quick crawl, paths of as many segments are
alike if the first two are. The dumps of a release, which name everything, are parsed and not followed.
"""

import csv
import gzip
import io
import json
import re
import tomllib
from collections import Counter, deque
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qsl, urldefrag, urljoin, urlsplit
from xml.etree import ElementTree as ET

import httpx2
import pyoxigraph as ox
import pytest
from fastapi.testclient import TestClient

from itukg import names
from itukg.formats import GRAPH_FORMATS, HTML, SVG
from itukg.pages import local_link

HERE = "http://testserver/"


class Links(HTMLParser):
    """What a page links to, forms among it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag != "form" or given.get("method", "get") == "get":
            self.found += [link for name in ("href", "src", "action") if (link := given.get(name))]


@pytest.mark.parametrize(
    ("whole", "found", "seen", "kinds", "in_headers"),
    [(False, 10_000, 400, 400, 1000), pytest.param(True, 10_000, 2000, 500, 5000, marks=pytest.mark.exhaustive)],
    ids=["quick", "whole"],
)
def test_every_link_answers_with_content_of_the_type_it_says(
    client: TestClient, found: int, seen: int, kinds: int, in_headers: int, *, whole: bool
) -> None:
    crawl = Crawl(client, read=2 if whole else 1, asked=8 if whole else 2, whole=whole)
    crawl.run()
    assert not crawl.broken, "\n".join(f"{where}: {what}" for where, what in sorted(crawl.broken.items())[:40])
    described = {re.sub(r"\{.*", "", path) for path in client.get("/openapi.json").json()["paths"]}
    reached = {urlsplit(address).path for address in crawl.seen}
    unreached = {path for path in described if not any(each.startswith(path) for each in reached)}
    assert unreached <= {"/healthz", "/readyz", "/metrics"}, unreached
    assert crawl.found > found and len(crawl.seen) > seen and len(crawl.kinds) > kinds
    assert len(crawl.types) >= 15, crawl.types
    assert crawl.in_headers > in_headers


class Crawl:
    """What was seen on the way through all links."""

    def __init__(self, client: TestClient, read: int, asked: int, *, whole: bool) -> None:
        self._client = client
        self._read, self._asked, self._whole = read, asked, whole
        self.seen = {"/"}
        self.kinds: Counter[str] = Counter()
        self.read: Counter[str] = Counter()
        self.found = 0
        self.types: Counter[str] = Counter()
        self.broken: dict[str, str] = {}
        self.in_headers = 0

    def run(self) -> None:
        waiting = deque(["/"])
        while waiting:
            address = waiting.popleft()
            reply = self._client.get(address, headers={"accept": "text/html, */*;q=0.5"}, follow_redirects=False)
            if not 200 <= reply.status_code < 400:
                self.broken[address] = f"{reply.status_code} {reply.text[:200]}"
                continue
            links = set(self._header_links(reply))
            if reply.status_code == 200:
                bare = reply.headers["content-type"].partition(";")[0]
                self.types[bare] += 1
                try:
                    content = READERS[bare](reply.content)
                except Exception as error:  # noqa: BLE001  (whatever a parser raises)
                    self.broken[address] = f"is no {bare}: {error!r}"
                    continue
                links |= set(linked(content, bare))
            kind = kind_of(address, whole=self._whole)
            if self.read[kind] < self._read and not re.match("/data/.*/itukg", address):
                self.read[kind] += 1
                found = {ours for link in links if (ours := path_of(urljoin(HERE + address[1:], link)))}
                for each in sorted(found - self.seen):
                    self.found += 1
                    kind = kind_of(each, whole=self._whole)
                    self.kinds[kind] += 1
                    if self.kinds[kind] <= self._asked:
                        self.seen.add(each)
                        waiting.append(each)

    def _header_links(self, reply: httpx2.Response) -> Iterator[str]:
        for header in ("link", "location", "content-location"):
            for link in re.findall(r"<([^>]*)>", reply.headers.get(header, "")) or [reply.headers.get(header, "")]:
                if link:
                    self.in_headers += 1
                    yield link


def path_of(link: str) -> str:
    """Return the path and query under which the application answers for a link; empty where that is not ours."""
    link = urldefrag(link)[0]
    if link.startswith(HERE):
        return "/" + link.removeprefix(HERE)
    return local_link(link) if link.startswith(names.BASE) else ""


def kind_of(address: str, *, whole: bool) -> str:
    parts = urlsplit(address)
    named = len(parts.path) if whole else 3
    segments = enumerate(parts.path.split("/"))
    path = "/".join("*" if place >= named or re.search(r"\d", part) else part for place, part in segments)
    path += "".join(re.findall(r"\.[a-z]+$", parts.path)) if path.endswith("*") else ""
    return path + "?" + "&".join(sorted({name for name, _ in parse_qsl(parts.query, keep_blank_values=True)})[:2])


def linked(content: Any, media_type: str) -> Iterator[str]:
    """Yield what an answer links to."""
    if media_type == HTML.media_type:
        yield from Links(content).found
    elif media_type == SVG.media_type:
        yield from (each.attrib["href"] for each in content.iter(f"{{{names.SVG}}}a"))
    elif isinstance(content, dict | list):
        yield from iris(content)


def iris(value: Any) -> Iterator[str]:
    """Yield the IRIs of ours in a body of JSON, those with a prefix of the context too."""
    if isinstance(value, dict):
        for each in value.values():
            yield from iris(each)
    elif isinstance(value, list):
        for each in value:
            yield from iris(each)
    elif value == names.THINGS:
        return  # the IRI of a prefix, not of a thing
    elif isinstance(value, str) and re.fullmatch(r"[A-Za-z][\w.-]*:[^\s<>\"{}|^`\\]+", value):
        yield names.expand(value) if value.partition(":")[0] in names.PREFIXES else value


def rdf(media_type: str) -> Callable[[bytes], int]:
    syntax = next(f.engine for f in GRAPH_FORMATS if f.media_type == media_type)
    return lambda content: len(list(ox.parse(content, format=syntax)))  # type: ignore[arg-type]


def starting(*begin: bytes) -> Callable[[bytes], None]:
    def read(content: bytes) -> None:
        assert content.startswith(begin), content[:50]

    return read


READERS: dict[str, Callable[[bytes], Any]] = {
    "text/html": lambda content: starting(b"<!doctype html>")(content) or content.decode(),
    "text/css": bytes.decode,
    "text/markdown": bytes.decode,
    "text/javascript": bytes.decode,
    "text/csv": lambda content: list(csv.reader(io.StringIO(content.decode()), strict=True)),
    "text/plain": bytes.decode,
    "text/tab-separated-values": bytes.decode,
    "application/sparql-results+json": json.loads,
    "application/sparql-results+xml": ET.fromstring,
    "application/json": json.loads,
    "application/ld+json": json.loads,
    "application/schema+json": json.loads,
    "application/sarif+json": json.loads,
    "application/junit+xml": ET.fromstring,
    "application/atom+xml": ET.fromstring,
    "application/gzip": gzip.decompress,
    "application/pdf": starting(b"%PDF-"),
    "application/rdf-patch": starting(b"H "),
    "image/svg+xml": ET.fromstring,
    "application/graphml+xml": ET.fromstring,
    "text/vnd.mermaid": starting(b"%% "),
    "text/vnd.graphviz": starting(b"digraph "),
    "application/toml": lambda content: tomllib.loads(content.decode()),
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": starting(b"PK"),
    **{f.media_type: rdf(f.media_type) for f in GRAPH_FORMATS if f.name != "jsonld"},
}
