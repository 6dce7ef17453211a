"""The catalog: what programs read of it is what there is (DCAT 3, PROV, schema.org)."""

import hashlib
import json
import re
from itertools import groupby

import pytest
from conftest import ROOT, Pair
from fastapi.testclient import TestClient
from rdflib import RDF, Graph, Namespace, URIRef
from test_resources import Page
from test_sparql import problem_of

from itukg import names
from itukg.formats import GRAPH_FORMATS
from itukg.release.catalog import catalog, version

DCAT = Namespace(names.PREFIXES["dcat"])
DCTERMS = Namespace(names.PREFIXES["dcterms"])
PROV = Namespace(names.PREFIXES["prov"])
SPDX = Namespace(names.PREFIXES["spdx"])
AT = "http://testserver"


@pytest.fixture(scope="module")
def graph(pair: Pair) -> Graph:
    return Graph().parse(data=pair.client.get("/catalog.ttl").content, format="turtle")


def value(graph: Graph, subject: object, predicate: URIRef) -> str:
    found = graph.value(URIRef(str(subject)), predicate)
    assert found is not None, (subject, predicate)
    return str(found)


def test_the_releases_are_versions_of_one_dataset(graph: Graph, pair: Pair) -> None:
    older, newer = (URIRef(names.DATA + release.name) for release in (pair.older, pair.newer))
    dataset = URIRef(names.DATASET)
    assert list(graph.objects(URIRef(names.CATALOG), DCAT.dataset)) == [dataset]
    assert set(graph.objects(dataset, DCAT.hasVersion)) == {older, newer}
    assert list(graph.objects(dataset, DCAT.hasCurrentVersion)) == [newer]
    assert (
        list(graph.objects(None, DCAT.previousVersion)) == list(graph.objects(newer, DCAT.previousVersion)) == [older]
    )
    assert value(graph, newer, DCAT.version) == pair.newer.name
    assert value(graph, newer, DCTERMS.issued).replace("+00:00", "Z") == pair.newer.built
    for name in ("title", "description", "publisher", "license", "language", "temporal"):
        assert value(graph, dataset, DCTERMS[name])
    assert len(list(graph.objects(dataset, DCAT.keyword))) > 5
    period = graph.value(dataset, DCTERMS.temporal)
    assert (value(graph, period, DCAT.startDate), value(graph, period, DCAT.endDate)) == ("2018", "2021")


def test_every_distribution_is_what_is_said_of_it(graph: Graph, pair: Pair) -> None:
    found = set(graph.subjects(RDF.type, DCAT.Distribution))
    assert len(found) == 2 * (9 + 12)
    for distribution in found:
        url = value(graph, distribution, DCAT.downloadURL)
        assert url.startswith(AT + "/data/")
        reply = pair.client.get(url)
        assert len(reply.content) == int(value(graph, distribution, DCAT.byteSize))
        checksum = graph.value(distribution, SPDX.checksum)
        assert value(graph, checksum, SPDX.checksumValue) == hashlib.sha256(reply.content).hexdigest()
        zipped = graph.value(distribution, DCAT.compressFormat)
        kind = names.MEDIA_TYPES + reply.headers["content-type"].partition(";")[0]
        assert str(zipped or value(graph, distribution, DCAT.mediaType)) == kind
        assert (zipped is not None) is url.endswith(".gz")
        assert pair.client.get(value(graph, distribution, DCAT.accessURL)).status_code == 200


def test_every_service_answers_and_is_described(graph: Graph, pair: Pair) -> None:
    services = set(graph.subjects(RDF.type, DCAT.DataService))
    assert len(services) == 2
    for service in services:
        for name in ("endpointURL", "endpointDescription"):
            assert pair.client.get(value(graph, service, DCAT[name])).status_code == 200


def test_every_graph_leads_to_the_sums_of_what_it_was_made_from(graph: Graph, pair: Pair) -> None:
    root = pair.newer.home.parent
    version = URIRef(names.DATA + pair.newer.name)
    graphs = set(graph.objects(version, DCTERMS.hasPart))
    assert {str(each) for each in graphs} == set(pair.newer.manifest["graphs"])
    documents = 0
    for each in graphs:
        assert graph.value(each, PROV.wasGeneratedBy) == URIRef(f"{version}#build")
        behind = set(graph.transitive_objects(each, PROV.wasDerivedFrom)) - {each}
        assert behind
        for source in behind:
            checksum = graph.value(source, SPDX.checksum)
            digest = graph.value(checksum, SPDX.checksumValue) if checksum else None
            if str(source).startswith(names.CATALOG + "#file/"):
                file = root / str(source).removeprefix(names.CATALOG + "#file/")
                assert str(digest) == hashlib.sha256(file.read_bytes()).hexdigest()
            elif digest is not None:
                assert f'itu:sha256 "{digest}"' in (ROOT / "data/plans/buap-2018-2021.ttl").read_text()
                documents += 1
    assert documents >= 1
    plan, derived = (URIRef(names.graph(name)) for name in ("buap-2018-2021", "derived"))
    document = URIRef(names.THINGS + "document/buap-2018-2021")
    assert document in graph.transitive_objects(plan, PROV.wasDerivedFrom)
    assert document in graph.transitive_objects(derived, PROV.wasDerivedFrom)
    rule = URIRef(names.CATALOG + "#file/queries/rules/1-lift.rq")
    assert rule in graph.objects(derived, PROV.wasDerivedFrom) and rule not in graph.objects(plan, PROV.wasDerivedFrom)


def test_what_is_said_of_a_thing_stands_together(pair: Pair) -> None:
    for triples in (version(pair.newer, pair.older, AT), catalog([pair.older, pair.newer], pair.newer, [], AT)):
        blocks = [subject for subject, _ in groupby(triples, key=lambda triple: triple.subject)]
        assert len(blocks) == len(set(blocks)) > 10
        assert len(triples) == len(set(triples))


@pytest.mark.parametrize("syntax", GRAPH_FORMATS, ids=lambda syntax: syntax.name)
def test_every_syntax_says_the_same(graph: Graph, pair: Pair, syntax: object) -> None:
    reply = pair.client.get("/catalog", headers={"accept": syntax.media_type})  # type: ignore[attr-defined]
    assert reply.headers["content-type"].partition(";")[0] == syntax.media_type  # type: ignore[attr-defined]
    if syntax.name in ("ttl", "nt", "rdf"):  # type: ignore[attr-defined]
        other = Graph().parse(data=reply.content, format={"ttl": "turtle", "nt": "nt", "rdf": "xml"}[syntax.name])  # type: ignore[attr-defined]
        assert set(other) == set(graph)
    assert len(reply.content) > 10_000


@pytest.mark.parametrize("path", ["/", "/catalog"])
def test_a_page_tells_search_engines_what_it_is_about_and_runs_nothing(pair: Pair, path: str) -> None:
    reply = pair.client.get(path)
    found = re.findall(r"<script([^>]*)>(.*?)</script>", reply.text, re.DOTALL)
    assert not any(text for kind, text in found if ' src="/assets/' in kind)
    scripts = [(kind, text) for kind, text in found if ' src="/assets/' not in kind]
    assert [kind for kind, _ in scripts] == [' type="application/ld+json"']
    dataset = json.loads(scripts[0][1])
    assert (dataset["@type"], dataset["version"]) == ("Dataset", pair.newer.name)
    for file in dataset["distribution"]:
        assert hashlib.sha256(pair.client.get(file["contentUrl"]).content).hexdigest() == file["sha256"]
    assert "script-src 'self';" in reply.headers["content-security-policy"]


def test_every_link_of_the_page_answers(client: TestClient) -> None:
    page = Page(client.get("/catalog"))
    links = {link for link in page.links if link.startswith("/")}
    assert len(links) > 20
    for link in links:
        assert client.get(link).status_code == 200, link
    sums = re.findall(r'itu:sha256 "(\w+)"', "".join(p.read_text() for p in (ROOT / "data/plans").glob("*.ttl")))
    assert len(sums) == 5 and all(digest in page.text for digest in sums)


@pytest.mark.parametrize(("path", "status"), [("/catalog.pdf", 404), ("/catalog?format=csv", 406)])
def test_an_absent_file_or_release_is_refused_with_a_reason(client: TestClient, path: str, status: int) -> None:
    assert "ttl" in problem_of(client.get(path), status)["detail"]


def test_the_interface_is_a_page_with_every_address_and_no_script(client: TestClient) -> None:
    page = Page(client.get("/docs"))
    paths = client.get("/openapi.json").json()["paths"]
    assert len(paths) > 20
    assert set(paths) <= {link.removeprefix("#") for link in page.links}
    assert "script" not in page.elements
    for link in page.links:
        if link.startswith("/"):
            assert client.get(link, headers={"accept": "text/html, */*;q=0.5"}).status_code == 200, link
    for name in ("default-graph-uri", "application/sparql-query", "JSON-LD context"):
        assert name in page.text
