"""The ontology and the shapes as pages: every term with its anchor, meaning, links, example and uses."""

import html
import re
from urllib.parse import urldefrag

import pytest
from conftest import ROOT
from fastapi.testclient import TestClient
from rdflib import OWL, RDF, RDFS, SH, SKOS, Graph, URIRef
from test_resources import Page
from test_sparql import ask, graph_of, problem_of, values

from itukg import names

ITU, ITUSH = names.ITU, names.SHAPES + "#"


def graph(folder: str) -> Graph:
    found = Graph()
    for path in (ROOT / folder).glob("*.ttl"):
        found.parse(path)
    return found


def sections(client: TestClient, path: str) -> dict[str, str]:
    """Anchor → what stands in its section, as it is written."""
    page = client.get(path, headers={"accept": "text/html"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    found = dict(re.findall(r'<section id="([^"]+)">(.*?)</section>', page.text, re.DOTALL))
    assert len(found) == page.text.count("<section")
    return found


def text(section: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", section))


def test_every_term_of_the_ontology_has_a_section_with_its_meaning(client: TestClient) -> None:
    found, terms = sections(client, "/ontology"), graph("ontology")
    declared = {str(term) for term in terms.subjects(RDFS.isDefinedBy) if str(term).startswith(ITU)}
    assert len(declared) > 120
    assert {ITU + name for name in found} >= declared
    for iri in declared:
        section = text(found[iri.removeprefix(ITU)])
        for predicate in (RDFS.label, SKOS.definition):
            assert str(terms.value(URIRef(iri), predicate)) in section, iri


def test_a_term_begins_with_its_sentence_for_people(client: TestClient) -> None:
    found, terms = sections(client, "/ontology"), graph("ontology")
    sentences = {s: o for s, o in terms.subject_objects(URIRef(ITU + "readerSentence")) if str(s).startswith(ITU)}
    assert len(sentences) > 100
    for term, sentence in sentences.items():
        section = text(found[str(term).removeprefix(ITU)])
        assert section.index(str(sentence)) <= section.index(str(terms.value(term, SKOS.definition))), term
        assert "readerSentence" not in section


def test_a_term_leads_to_what_it_is_linked_with_both_ways(client: TestClient) -> None:
    found = sections(client, "/ontology")
    kind, parent = found["OutputCategory"], found["Output"]
    assert '<th scope="row">rdfs:subClassOf</th><td><a href="/ontology#Output">itu:Output</a>' in kind
    assert '<th scope="row">is rdfs:subClassOf of</th><td><a href="/ontology#OutputCategory">' in parent
    assert 'is sh:targetClass of</th><td><a href="/shapes#' in parent
    assert "dcterms:BibliographicResource" in text(found["Edition"])  # the alignment


def test_the_uses_of_a_term_are_counted_and_shown_by_an_example(client: TestClient) -> None:
    found = sections(client, "/ontology")
    checked = 0
    for name in ("Output", "Linkage", "Plan", "deliversOutcome", "quote", "contributesToSDG"):
        said = text(found[name])
        pattern = f"a <{ITU}{name}>" if name[0].isupper() else f"<{ITU}{name}> ?o"
        [(count,)] = values(ask(client, f"SELECT (COUNT(*) AS ?n) {{ ?s {pattern} }}"))
        assert f"{count} uses in the merged graph" in said
        [example] = re.findall(r'Example: <a href="/id/([^"]+)"', found[name])
        subject = f"<{names.THINGS}{example}>"
        pattern = f"a/<{RDFS.subClassOf}>* <{ITU}{name}>" if name[0].isupper() else f"<{ITU}{name}> ?o"
        assert ask(client, f"ASK {{ {subject} {pattern} }}").json()["boolean"] is True
        checked += int(count)
    assert checked > 1000


def test_every_shape_stands_under_its_profile_with_severity_and_cure(client: TestClient) -> None:
    found, shapes = sections(client, "/shapes"), graph("shapes")
    named = {str(shape) for kind in (SH.NodeShape, SH.PropertyShape) for shape in shapes.subjects(RDF.type, kind)}
    named = {iri for iri in named if iri.startswith(ITUSH)}
    assert len(named) > 150
    assert {ITUSH + name for name in found} >= named
    page = client.get("/shapes.html").text
    profiles = list(shapes.subjects(RDF.type, URIRef(ITUSH + "Profile")))
    assert len(profiles) >= 7
    for profile in profiles:
        head = page.index(f'<section id="{str(profile).removeprefix(ITUSH)}">')
        nexts = [page.index(f'<section id="{str(p).removeprefix(ITUSH)}">') for p in profiles]
        end = min((place for place in nexts if place > head), default=len(page))
        for shape in shapes.subjects(RDFS.isDefinedBy, profile):
            assert head < page.index(f'<section id="{str(shape).removeprefix(ITUSH)}">') < end
    messages = 0
    for iri in named:
        section = text(found[iri.removeprefix(ITUSH)])
        for message in shapes.objects(URIRef(iri), SH.message):
            assert str(message) in section
            messages += 1
        if (severity := shapes.value(URIRef(iri), SH.severity)) is not None:
            assert f"sh:{str(severity).split('#')[1]}" in section
    assert messages > 100


def test_a_list_and_a_path_are_written_as_in_turtle(client: TestClient) -> None:
    section = text(sections(client, "/shapes")["OutputSdgTarget-complete"])
    assert "( [ sh:minCount 1 ; sh:path itu:contributesToSDGTarget ] [ sh:path [ sh:inversePath itu:about ]" in section
    assert "rdf:first" not in client.get("/shapes.html").text


def test_a_shape_leads_to_what_it_found(client: TestClient) -> None:
    [link] = re.findall(
        r'<a href="(/conformance\?shape=[^"]+)">(\d+) findings', sections(client, "/shapes")["GapReported"]
    )
    rows = client.get(link[0].replace("/conformance", "/conformance.json")).json()
    assert len(rows["findings"]) == int(link[1]) > 10


@pytest.mark.parametrize("path", ["/ontology", "/shapes"])
def test_every_link_of_the_page_answers_and_every_anchor_is_there(client: TestClient, path: str) -> None:
    page = Page(client.get(path, headers={"accept": "text/html"}))
    pages: dict[str, str] = {}
    checked = 0
    for link in sorted(set(page.links)):
        address, fragment = urldefrag(link)
        address = address or path
        if address.startswith("/"):
            if address not in pages:
                reply = client.get(address, headers={"accept": "text/html, */*;q=0.5"})
                assert reply.status_code == 200, link
                pages[address] = reply.text
            assert not fragment or f'id="{fragment}"' in pages[address], link
            checked += 1
    assert checked > 100


def test_a_version_is_found_at_its_iri(client: TestClient) -> None:
    [version] = graph("ontology").objects(URIRef(names.ONTOLOGY), OWL.versionIRI)
    path = str(version).removeprefix(names.BASE.rstrip("/"))
    assert path == "/ontology/0.1.0"
    now = client.get("/ontology.ttl").content
    assert client.get(path).content == client.get(f"{path}.ttl").content == now
    assert client.get("/ontology/alignment.ttl").content == now
    assert client.get(path, headers={"accept": "text/html"}).content == client.get("/ontology.html").content
    assert len(graph_of(client.get(f"{path}.nt"))) > 1000


@pytest.mark.parametrize("path", ["/ontology/9.9", "/ontology/0.1.0.csv", "/ontology/..%2f0.1.0", "/ontology/%0d%0a"])
def test_an_unknown_version_is_404_and_names_those_there_are(client: TestClient, path: str) -> None:
    assert "0.1.0" in problem_of(client.get(path), 404)["detail"]
