"""Releases as they are downloaded and compared: dumps, sums, patches, lists of changes, the feed, what bad names get."""

import gzip
import hashlib
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from html import unescape
from itertools import count
from pathlib import Path
from xml.etree import ElementTree as ET

import httpx2
import pyoxigraph as ox
import pytest
import rdflib
from conftest import ADDED, C1, Pair, eventually, processes, wait_until_ready
from fastapi.testclient import TestClient
from test_sparql import problem_of

from itukg import names
from itukg.corpus import Corpus
from itukg.formats import GRAPH_FORMATS, Format
from itukg.rdf.parse import canonical_hash
from itukg.release.build import build
from itukg.release.dumps import DUMPS
from itukg.release.integrity import seal
from itukg.release.model import Release
from itukg.settings import Settings
from itukg.web.app import create_app

ATOM = "{http://www.w3.org/2005/Atom}"


# --- files ---


def unnumbered(reply: httpx2.Response) -> dict[str, str]:
    """Return the headers of an answer but for the id of its request."""
    return {name: value for name, value in reply.headers.items() if name != "x-request-id"}


def test_a_release_is_downloaded_whole_and_the_sums_agree(pair: Pair, tmp_path: Path) -> None:
    for release in (pair.older, pair.newer):
        at = f"/data/{release.name}"
        listed = pair.client.get(at, params={"format": "json"}).json()["files"]
        assert len(listed) >= 13
        for file in listed:
            reply = pair.client.get(f"{at}/{file['name']}")
            assert reply.status_code == 200
            assert len(reply.content) == file["bytes"]
            assert hashlib.sha256(reply.content).hexdigest() == file["sha256"]
            (tmp_path / file["name"]).write_bytes(reply.content)
        checked = subprocess.run(
            ["sha256sum", "--check", "--strict", "SHA256SUMS"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert checked.returncode == 0, checked.stdout
        assert checked.stdout.count(": OK") == len(listed) - 1
        shutil.rmtree(tmp_path)
        tmp_path.mkdir()


@pytest.mark.filterwarnings("ignore:(Dataset|ConjunctiveGraph):DeprecationWarning")  # within rdflib
@pytest.mark.parametrize("syntax", DUMPS, ids=lambda syntax: syntax.name)
def test_every_dump_is_the_dataset_of_the_manifest_to_any_parser(pair: Pair, syntax: object) -> None:
    suffix, engine = syntax.suffix, syntax.engine  # type: ignore[attr-defined]
    content = pair.client.get(f"/data/latest/itukg{suffix}").content
    zipped = pair.client.get(f"/data/latest/itukg{suffix}.gz")
    assert zipped.headers["content-type"] == "application/gzip" and gzip.decompress(zipped.content) == content
    expected = pair.newer.manifest["canonical_sha256"]
    ours = list(ox.parse(content, format=engine))
    assert len(ours) == sum(pair.newer.manifest["graphs"].values())
    assert canonical_hash(ours) == expected
    dataset = rdflib.Dataset()
    dataset.parse(data=content, format={".nq": "nquads", ".trig": "trig", ".jsonld": "json-ld"}[suffix])
    theirs = dataset.serialize(format="nquads", encoding="utf-8")
    assert canonical_hash(list(ox.parse(theirs, format=ox.RdfFormat.N_QUADS))) == expected


def test_the_sum_of_the_n_quads_is_the_canonical_hash(pair: Pair) -> None:
    content = pair.client.get("/data/latest/itukg.nq").content
    assert hashlib.sha256(content).hexdigest() == pair.newer.manifest["canonical_sha256"]
    assert content.splitlines(keepends=True) == sorted(content.splitlines(keepends=True))


def test_the_same_files_give_the_same_bytes(pair: Pair, tmp_path: Path) -> None:
    root = pair.newer.home.parent
    again = build(Corpus(root), tmp_path)
    assert again.name == pair.newer.name
    same = [name for name in again.files if not name.startswith(("changes", "conformance", "SHA256"))]
    assert len(same) >= 9
    for name in same:
        assert again.files[name].path.read_bytes() == pair.newer.files[name].path.read_bytes(), name
    assert again.changes is None  # there was none before it


def test_a_dump_is_sent_zipped_or_not_with_its_length_and_an_etag_for_each(pair: Pair) -> None:
    path = f"/data/{pair.newer.name}/itukg.nq"
    for _ in range(3):  # from the router, and from memory
        tags = set()
        for encoding in ("identity", "gzip"):
            with pair.client.stream("GET", path, headers={"accept-encoding": encoding}) as reply:
                content = b"".join(reply.iter_raw())
            assert int(reply.headers["content-length"]) == len(content)
            assert reply.headers.get("content-encoding", "identity") == encoding
            assert reply.headers["cache-control"].endswith("immutable")
            known = pair.client.get(path, headers={"accept-encoding": encoding, "if-none-match": reply.headers["etag"]})
            assert (known.status_code, known.content) == (304, b"")
            head = pair.client.head(path, headers={"accept-encoding": encoding})
            assert (unnumbered(head), head.content) == (unnumbered(reply), b"")
            tags.add(reply.headers["etag"])
        assert len(tags) == 2


def test_latest_is_the_served_release_and_says_which(pair: Pair) -> None:
    reply = pair.client.get("/data/latest/links.csv")
    assert reply.headers["content-location"] == f"/data/{pair.newer.name}/links.csv"
    assert reply.headers["cache-control"] == "no-cache"
    assert reply.content == pair.client.get(f"/data/{pair.newer.name}/links.csv").content


@pytest.mark.parametrize("name", ["itukg.nq", "itukg.trig.gz", "links.csv", "manifest.json"])
def test_a_file_has_the_date_of_its_release_and_names_it(pair: Pair, name: str) -> None:
    for release in (pair.older, pair.newer):
        for _ in range(3):  # from the router, and from memory
            headers = pair.client.get(f"/data/{release.name}/{name}").headers
            date = parsedate_to_datetime(headers["last-modified"]).strftime("%Y-%m-%dT%H:%M:%SZ")
            assert date == release.built
            assert f"<{names.DATA}{release.name}>" in headers["link"]
            assert headers.get_list("last-modified") == [headers["last-modified"]]
    assert pair.older.built < pair.newer.built


@pytest.mark.parametrize("syntax", GRAPH_FORMATS[:4], ids=lambda syntax: syntax.name)
def test_a_release_is_described_as_rdf_at_its_iri(pair: Pair, syntax: Format) -> None:
    at = f"/data/{pair.newer.name}"
    replies = [pair.client.get(at, headers={"accept": syntax.media_type}), pair.client.get(at + syntax.suffix)]
    assert replies[0].content == replies[1].content
    if syntax.name != "jsonld":
        found = rdflib.Graph().parse(data=replies[0].content, format=syntax.media_type)
        release = rdflib.URIRef(names.DATA + pair.newer.name)
        assert (
            str(found.value(release, rdflib.URIRef(names.expand("dcat:previousVersion"))))
            == names.DATA + pair.older.name
        )
        assert len(list(found.objects(release, rdflib.URIRef(names.expand("dcat:distribution"))))) == 9 + 12
    whole = pair.client.get("/data", headers={"accept": syntax.media_type}).content
    assert whole == pair.client.get("/catalog", headers={"accept": syntax.media_type}).content


def test_what_the_store_loads_is_not_for_download(pair: Pair) -> None:
    assert (pair.newer.path / "dataset.nq").is_file()
    for name in ("dataset.nq", "built", "current", "waivers.toml"):
        detail = problem_of(pair.client.get(f"/data/latest/{name}"), 404)["detail"]
        assert "itukg.nq" in detail and "SHA256SUMS" in detail


# --- changes ---


def test_the_patch_makes_the_older_release_into_the_newer(pair: Pair) -> None:
    lines = {r: pair.client.get(f"/data/{r.name}/itukg.nq").text.splitlines() for r in (pair.older, pair.newer)}
    for older, newer in ((pair.older, pair.newer), (pair.newer, pair.older)):
        reply = pair.client.get(f"/data/{newer.name}/diff/{older.name}", headers={"accept": "application/rdf-patch"})
        assert reply.headers["content-type"] == "application/rdf-patch"
        assert reply.headers["cache-control"].endswith("immutable")
        patch = reply.text.splitlines()
        assert patch[:3] == [f"H id <{names.DATA}{newer.name}> .", f"H prev <{names.DATA}{older.name}> .", "TX ."]
        assert patch[-1] == "TC ."
        removed, added = ({row[2:] for row in patch if row.startswith(mark)} for mark in ("D ", "A "))
        assert len(patch) == len(removed) + len(added) + 4
        assert 5 < len(removed) + len(added) < 100
        assert (set(lines[older]) - removed) | added == set(lines[newer])
        assert removed <= set(lines[older]) and not added & set(lines[older])
    assert (
        pair.client.get(f"/data/{pair.newer.name}/changes.rdfp").text
        == pair.client.get(f"/data/{pair.newer.name}/diff/{pair.older.name}.rdfp").text
    )


def test_the_changes_are_a_list_of_things(pair: Pair) -> None:
    found = pair.client.get(f"/data/latest/diff/{pair.older.name}.json").json()
    assert (found["older"], found["newer"]) == (pair.older.name, pair.newer.name)
    wsis = {thing["id"]: thing for thing in found["things"] if thing["graph"] == names.graph("wsis")}
    assert {iri: thing["status"] for iri, thing in wsis.items()} == {
        C1: "changed", ADDED: "added", names.THINGS + "wsis/gone": "removed",
    }  # fmt: skip
    [change] = wsis[C1]["properties"]
    assert change["property"] == names.expand("rdfs:label")
    assert change["added"] == [f"{change['removed'][0]}, reworded"] == [wsis[C1]["label"]]
    assert wsis[names.THINGS + "wsis/gone"]["label"] == "Gone"
    assert found["counts"]["thingsAdded"] == found["counts"]["thingsRemoved"] == 1
    assert found["counts"]["triplesAdded"] == sum(graph["added"] for graph in found["graphs"].values())
    assert found == pair.client.get("/data/latest/changes.json").json()


def test_the_changes_are_a_page_that_escapes_what_it_shows(pair: Pair) -> None:
    page = pair.client.get(f"/data/latest/diff/{pair.older.name}").text
    assert "New &amp; &lt;b&gt;bold&lt;/b&gt;" in page and "<b>bold" not in page
    assert '<a href="/id/wsis/C99">' in page
    assert "<del>" in page and "<ins>" in page


def test_a_release_compared_with_itself_has_no_changes(pair: Pair) -> None:
    found = pair.client.get("/data/latest/diff/latest.json").json()
    assert not any(found["counts"].values()) and not found["things"] and not found["graphs"]


def test_the_feed_has_an_entry_for_each_release_newest_first(pair: Pair) -> None:
    reply = pair.client.get("/feed.atom")
    assert reply.headers["content-type"].startswith("application/atom+xml")
    feed = ET.fromstring(reply.content)  # noqa: S314  (our own answer)
    entries = feed.findall(ATOM + "entry")
    assert [entry.findtext(ATOM + "id") for entry in entries] == [names.DATA + r.name for r in (pair.newer, pair.older)]
    assert entries[0].findtext(ATOM + "updated") == pair.newer.built == feed.findtext(ATOM + "updated")
    assert "1 things added, 1 removed" in (entries[0].findtext(ATOM + "summary") or "")
    listed = "".join(entries[0].find(ATOM + "content").itertext())  # type: ignore[union-attr]
    assert "added: New & <b>bold</b> (wsis/C99)" in listed
    for element in (feed, *entries):
        assert element.findtext(ATOM + "title")
        for link in element.findall(ATOM + "link"):
            assert pair.client.get(link.get("href") or "").status_code == 200
            assert (link.get("href") or "").startswith("http://testserver/")


# --- links and bad input ---


def test_every_link_of_the_pages_answers(pair: Pair) -> None:
    at = f"/data/{pair.newer.name}"
    followed: set[str] = set()
    for page in ("/data", at, "/data/latest", f"{at}/diff/{pair.older.name}", f"/data/{pair.older.name}"):
        found = pair.client.get(page, headers={"accept": "text/html"})
        assert found.status_code == 200
        main = found.text.partition("<main")[2].partition("</main>")[
            0
        ]  # what stands on every page is looked at elsewhere
        links = {unescape(link) for link in re.findall(r'(?:href|action)="([^"#]+)', main)}
        assert len(links) >= 8
        for link in links - followed:
            assert pair.client.get(link).status_code == 200, (page, link)
        followed |= links
    assert len(followed) > 30


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/data/none", 404),
        ("/data/none/links.csv", 404),
        ("/data/latest/none", 404),
        ("/data/latest/diff/none", 404),
        ("/data/none/diff/latest", 404),
        ("/data/latest.pdf", 404),
        ("/data/latest?format=pdf", 406),
        ("/data/latest/diff/latest?format=csv", 406),
        ("/data/latest/diff/latest.csv", 404),
        ("/data/%0d%0aX-Bad:%201", 404),
        ("/data/latest/%0d%0aX-Bad:%201", 404),
        ("/data/..%2f..%2fcurrent", 404),
        ("/data/latest/..%2fbuilt", 404),
        ("/data/latest/%2e%2e%2fmanifest.json", 404),
        ("/data/%00", 404),
        ("/data/latest/diff/..%2f..%2fcurrent", 404),
    ],
)
def test_an_absent_file_or_release_is_refused_with_a_reason(pair: Pair, path: str, status: int) -> None:
    reply = pair.client.get(path)
    problem = problem_of(reply, status)
    assert len(problem["detail"]) > 10
    assert "x-bad" not in reply.headers
    if path.startswith(("/data/none", "/data/latest/diff/none")):
        assert pair.newer.name in problem["detail"] and pair.older.name in problem["detail"]


def test_a_feed_for_a_host_that_is_none_is_refused(pair: Pair) -> None:
    problem_of(pair.client.get("/feed.atom", headers={"host": "a<b"}), 400)


# --- ?release= ---

LABEL = f"SELECT ?l {{ <{C1}> <{names.expand('rdfs:label')}> ?l }}"


_numbers = count()


def asked_for_label(client: TestClient, **parameters: str) -> httpx2.Response:
    """The answer to what the label of C1 is, never from the cache."""
    return client.get("/sparql", params={"query": f"{LABEL} # {next(_numbers)}", **parameters})


def label(client: TestClient, **parameters: str) -> str:
    reply = asked_for_label(client, **parameters)
    assert reply.status_code == 200, reply.text
    value: str = reply.json()["results"]["bindings"][0]["l"]["value"]
    return value


def test_an_older_release_answers_on_every_route(pair: Pair) -> None:
    newer, older = label(pair.client), label(pair.client, release=pair.older.name)
    assert newer == f"{older}, reworded"
    assert label(pair.client, release=pair.newer.name) == label(pair.client, release="latest") == newer
    asked = {"release": pair.older.name}
    assert pair.client.get("/id/wsis/gone", params=asked).status_code == 200
    assert pair.client.get("/id/wsis/gone").status_code == 404
    assert pair.client.get("/id/wsis/C99", params=asked).status_code == 404
    assert pair.client.get("/conformance.json", params=asked).json()["release"] == pair.older.name
    reply = pair.client.post("/sparql", params=asked, data={"query": LABEL})
    assert reply.json()["results"]["bindings"][0]["l"]["value"] == older
    assert pair.client.get("/data", params=asked).status_code == 200


def test_an_answer_of_an_older_release_is_framed_once_and_names_that_release(pair: Pair) -> None:
    for _ in range(3):
        path = f"/id/wsis/C1?release={pair.older.name}"
        reply, head = pair.client.get(path), pair.client.head(path)
        assert f"{names.DATA}{pair.older.name}>" in reply.headers["link"]
        assert [name for name, _ in reply.headers.multi_items()].count("content-security-policy") == 1
        assert (unnumbered(head), head.content) == (unnumbered(reply), b"")
        assert pair.client.get(path, headers={"if-none-match": reply.headers["etag"]}).status_code == 304
        assert reply.headers["etag"] != pair.client.get("/id/wsis/C1").headers["etag"]


@pytest.mark.parametrize("path", ["/sparql?query=ASK%7B%7D&", "/id/wsis/C1?", "/conformance?", "/robots.txt?"])
@pytest.mark.parametrize("name", ["none", "", "%0d%0aX-Bad:%201", "..%2f.."])
def test_an_unknown_release_is_404_and_names_those_there_are(pair: Pair, path: str, name: str) -> None:
    reply = pair.client.get(f"{path}release={name}")
    detail = problem_of(reply, 404)["detail"]
    assert pair.newer.name in detail and pair.older.name in detail and "latest" in detail
    assert reply.headers["access-control-allow-origin"] == "*" and "x-bad" not in reply.headers


def test_two_releases_in_one_request_are_400(pair: Pair) -> None:
    problem_of(pair.client.get("/id/wsis/C1?release=latest&release=latest"), 400)
    detail = problem_of(pair.client.get("/id/wsis/C1?my-release=none"), 400)["detail"]
    assert detail.startswith('No parameter "my-release" here')  # another name


def serving_three(pair: Pair, home: Path, **settings: object) -> TestClient:
    """The newer release, with two older ones beside it."""
    for release in (pair.older, pair.newer):
        shutil.copytree(release.path, home / "releases" / release.name)
    third = home / "releases" / "0123456789abcdef"
    shutil.copytree(pair.older.path, third)
    (third / "built").write_text("2001-01-01T00:00:00Z 0\n")
    seal(third)
    served = Release(home / "releases" / pair.newer.name)
    return TestClient(create_app(Settings.model_validate({"home": home, **settings}), served))


def test_no_more_older_releases_are_open_than_may_be(pair: Pair, tmp_path: Path) -> None:
    with serving_three(pair, tmp_path, open_releases=1) as client:
        wait_until_ready(client)
        alone = len(processes(os.getpid()))
        label(client, release=pair.older.name)
        with_one = len(processes(os.getpid()))
        assert with_one > alone
        for name in ("0123456789abcdef", pair.older.name, "0123456789abcdef"):
            label(client, release=name)
            eventually(lambda: len(processes(os.getpid())) == with_one, "more than one is open")
        reply = client.get("/id/wsis/C1?release=0123456789abcdef")
        assert reply.headers["last-modified"] == "Mon, 01 Jan 2001 00:00:00 GMT"
    assert len(processes(os.getpid())) < alone


def test_an_older_release_without_requests_is_closed_and_opened_again(pair: Pair, tmp_path: Path) -> None:
    with serving_three(pair, tmp_path, open_release_idle=0.4) as client:
        wait_until_ready(client)
        alone = len(processes(os.getpid()))
        for _ in range(2):
            older = label(client, release=pair.older.name)
            assert len(processes(os.getpid())) > alone
            eventually(lambda: len(processes(os.getpid())) == alone, "it stays open")
        assert label(client) == f"{older}, reworded"


def test_without_room_for_older_releases_only_the_served_one_answers(pair: Pair, tmp_path: Path) -> None:
    with serving_three(pair, tmp_path, open_releases=0) as client:
        wait_until_ready(client)
        assert "ITUKG_OPEN_RELEASES" in problem_of(client.get(f"/id/wsis/C1?release={pair.older.name}"), 501)["detail"]
        assert client.get(f"/id/wsis/C1?release={pair.newer.name}").status_code == 200
        assert client.get(f"/data/{pair.older.name}/links.csv").status_code == 200


def test_a_release_in_use_is_not_closed_for_another(pair: Pair, tmp_path: Path) -> None:
    slow = "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }"
    with serving_three(pair, tmp_path, open_releases=1) as client, ThreadPoolExecutor() as others:
        wait_until_ready(client)
        label(client, release=pair.older.name)
        asked = {"query": slow, "timeout": "2", "release": pair.older.name}

        def ask_until_there_is_room() -> int:
            while (reply := client.get("/sparql", params=asked)).status_code == 503:
                pass
            return reply.status_code

        running = others.submit(ask_until_there_is_room)
        other = {"release": "0123456789abcdef"}
        eventually(lambda: "are being read" in asked_for_label(client, **other).text, "it was never refused")
        assert running.result() == 504
        assert label(client, release="0123456789abcdef")
