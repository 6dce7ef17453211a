"""Every thing, in every syntax: the same triples, one shape of JSON-LD, and clients that are not ours read it."""

import json
import random
import re
import shutil
import subprocess
import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx2
import pyoxigraph as ox
import pytest
from conftest import SERVED_CONTEXT, Pair
from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator
from pyld import jsonld as pyld
from rdflib import RDF, RDFS, SH, Graph, URIRef
from rdflib import Literal as RdfLiteral
from rdflib.compare import to_canonical_graph
from rdflib.namespace import OWL
from rdflib.term import Node
from test_resources import get, path_of
from test_sparql import graph_of, problem_of, triples_of

from itukg import names
from itukg.formats import PROFILES, THING_FORMATS
from itukg.rdf import jsonld
from itukg.release.model import Release
from itukg.views.thing import MAX_INCOMING

ROOT = Path(__file__).parents[1]
PROFILE = names.JSONLD_PROFILE
PLAN = names.THINGS + "buap-2018-2021"
OUTPUT = PLAN + "/output/2.1"
FRAMES = ("budget", "linkages", "outcome-with-indicators", "plan-tree", "results-chain")
RDF_SYNTAXES = [f for f in THING_FORMATS if f.name in ("ttl", "nt", "rdf")]
SAMPLE = 40


def load(url: str, _options: object = None) -> dict[str, Any]:
    """What any client of ours may load: our context, and nothing else."""
    assert url in (names.CONTEXT, SERVED_CONTEXT), f"A client tried to fetch {url}."
    document = json.loads((ROOT / "ontology/context.jsonld").read_text())
    return {"contextUrl": None, "documentUrl": url, "document": document}


def expand(document: object) -> Any:
    return pyld.expand(document, {"documentLoader": load})


def address(iri: str) -> str:
    """Where a description stands, whatever the IRI."""
    return path_of(iri) if iri.startswith((names.THINGS, names.SDG)) else f"/resource?iri={quote(iri, '')}"


# --- the graph, read by itself ---


class Merged:
    """The merged graph as sets, and what beside it is only derived: the measure of what a description must say."""

    def __init__(self, dataset: Path) -> None:
        self.out: dict[ox.NamedNode | ox.BlankNode, set[ox.Triple]] = defaultdict(set)
        self.into: dict[ox.NamedNode, set[ox.Triple]] = defaultdict(set)
        self.entailed: set[ox.Triple] = set()
        self.derived: dict[str, set[ox.Triple]] = defaultdict(set)
        store = ox.Store()  # which makes "4.0" into "4", as the server's does
        store.bulk_load(path=dataset, format=ox.RdfFormat.N_QUADS)
        for quad in store:
            triple, graph = quad.triple, quad.graph_name
            assert not isinstance(triple.subject, ox.Triple)
            if graph == ox.DefaultGraph():
                self.out[triple.subject].add(triple)
                if isinstance(triple.object, ox.NamedNode):
                    self.into[triple.object].add(triple)
            elif graph == ox.NamedNode(names.graph("entailed")):
                self.entailed.add(triple)
            elif graph == ox.NamedNode(names.graph("derived")):
                self.derived[str(triple.subject.value)].add(triple)
        inverse = ox.NamedNode(names.OWL + "inverseOf")
        pairs = [t for triples in self.out.values() for t in triples if t.predicate == inverse]
        self.inverses = {end for t in pairs for end in (t.subject, t.object)}

    def things(self) -> list[str]:
        """Every IRI under our addresses that is a subject, those of derived Linkages too."""
        said = {*(s.value for s in self.out if isinstance(s, ox.NamedNode)), *self.derived}
        return sorted(iri for iri in said if iri.startswith((names.THINGS, names.SDG)) and "#" not in iri)

    def stated(self, triples: set[ox.Triple]) -> set[ox.Triple]:
        return {t for t in triples if t.predicate.value != names.RDF_TYPE or t not in self.entailed}

    def called(self, iri: object) -> set[ox.Triple]:
        kept = (names.RDF_TYPE, names.PREFIXES["rdfs"] + "label", names.PREFIXES["skos"] + "notation")
        found = self.out.get(iri, set()) if isinstance(iri, ox.NamedNode) else set()
        return self.stated({t for t in found if t.predicate.value in kept})

    def description(self, iri: str) -> set[ox.Triple]:
        """What the documentation says that a description holds (docs/linked-data.md)."""
        thing = ox.NamedNode(iri)
        if thing not in self.out and thing not in self.into:
            own = self.derived[iri]
            into = {t for ts in self.derived.values() for t in ts if t.object == thing}
            return own | into | {c for t in own if t.predicate.value != names.RDF_TYPE for c in self.called(t.object)}
        subject, value, form = (ox.NamedNode(names.ITU + name) for name in ("subject", "object", "printedForm"))
        own = self.stated(self.out[thing])
        said = set(own)
        near = {t.object for t in own if t.predicate.value != names.RDF_TYPE}
        by: dict[ox.NamedNode, set[ox.Triple]] = defaultdict(set)
        for t in self.into[thing]:
            if isinstance(t.subject, ox.NamedNode) and t.predicate not in self.inverses:
                by[t.predicate].add(t)
        backing = {t.subject for t in by.pop(subject, set())}
        by.pop(ox.NamedNode(names.ITU + "predicate"), None)
        for predicate, links in by.items():
            if len(links) > MAX_INCOMING:
                address = f"{names.BASE}id?to={quote(iri, '')}&by={quote(predicate.value, '')}"
                said.add(ox.Triple(thing, ox.NamedNode(names.PREFIXES["rdfs"] + "seeAlso"), ox.NamedNode(address)))
                continue
            said |= links
            near |= {t.subject for t in links}
            if predicate == value:
                said |= self.stated(
                    {w for t in links for w in self.out[t.subject] if w.predicate not in (value, form)}  # type: ignore[index]
                )
        for linkage in backing:
            said |= self.stated(self.out[linkage])  # type: ignore[index]
        leads = [names.PREFIXES["dcterms"] + "source", names.ITU + "edition", names.PREFIXES["prov"] + "wasDerivedFrom"]
        for linkage in backing | {t.subject for t in self.into[thing] if t.predicate == value}:
            near |= {t.object for t in self.out[linkage] if t.predicate.value in leads}  # type: ignore[index]
        return said | {t for each in near for t in self.called(each)}


@pytest.fixture(scope="module")
def merged(release: Release) -> Merged:
    return Merged(release.dataset)


def sampled(merged: Merged) -> list[str]:
    """Things of every class, the same ones each time, and IRIs that are not ours."""
    things = merged.things()
    assert len(things) > 7000
    chosen = random.Random(6).sample(things, SAMPLE)  # noqa: S311  (no secret)
    kinds = {t.object: s.value for s, ts in merged.out.items() for t in ts if t.predicate.value == names.RDF_TYPE}
    first = [iri for iri in kinds.values() if iri in set(things)]
    others = [names.ITU + "Output", names.ITU + "plan", names.ONTOLOGY, names.PREFIXES["skos"] + "Concept"]
    return sorted({*chosen, *first, *others, OUTPUT, PLAN, names.SDG + "9.c", names.THINGS + "document/buap-2018-2021"})


def ours(graph: Graph) -> set[str]:
    """Lines of N-Triples, as the engine writes them."""
    text = graph.serialize(format="nt")
    return {str(quad.triple) for quad in ox.parse(text, format=ox.RdfFormat.N_TRIPLES)}


def check(client: httpx2.Client, iri: str, merged: Merged, validator: Draft202012Validator) -> dict[str, Any]:
    """All that must hold of one thing, as the engine reads it, which is quick; returns its JSON-LD."""
    said = merged.description(iri)
    assert said
    for syntax in RDF_SYNTAXES:
        assert set(triples_of(get(client, address(iri), syntax.media_type))) == said, (iri, syntax.name)
    reply = get(client, address(iri))
    assert set(triples_of(reply)) == said, iri
    document: dict[str, Any] = reply.json()
    validator.validate(document)
    assert json.dumps(document) == json.dumps(order(document)), iri
    return document


def rdflib_of(triples: set[ox.Triple]) -> set[tuple[Node, Node, Node]]:
    """The same triples as rdflib has them."""
    return set(Graph().parse(data="".join(f"{triple} .\n" for triple in triples), format="nt"))


def graph_of_jsonld(document: object) -> Graph:
    """Read JSON-LD with rdflib, which gets our context in its place and cannot fetch."""
    if isinstance(document, dict):
        assert document["@context"] == SERVED_CONTEXT
        document = document | load(names.CONTEXT)["document"]
    with warnings.catch_warnings(category=DeprecationWarning, action="ignore"):  # rdflib's, of itself
        return Graph().parse(data=json.dumps(document), format="json-ld")


def order(value: Any) -> Any:
    """The same with the keys of every object in the order of the context."""
    rank = {key: place for place, key in enumerate(("@context", *load(names.CONTEXT)["document"]["@context"]))}
    if isinstance(value, list):
        return [order(each) for each in value]
    if isinstance(value, dict):
        return {key: order(value[key]) for key in sorted(value, key=lambda key: (rank.get(key, len(rank)), key))}
    return value


def sets(value: Any) -> Any:
    """The same with arrays as sets, and one value as an array of one."""
    if isinstance(value, list):
        return frozenset(sets(each) for each in value)
    if isinstance(value, dict):
        return frozenset((key, sets(each if isinstance(each, list) else [each])) for key, each in value.items())
    return value


@pytest.fixture(scope="module")
def validators(client: TestClient) -> dict[str, Draft202012Validator]:
    """The published schemas, by name."""
    found = {}
    for name in ("thing", *FRAMES):
        reply = get(client, f"/schemas/{name}.json")
        assert (reply.status_code, reply.headers["content-type"]) == (200, "application/schema+json")
        document = reply.json()
        assert document["$id"] == f"{names.SCHEMAS}{name}.json"
        Draft202012Validator.check_schema(document)
        found[name] = Draft202012Validator(document)
    return found


def test_things_of_each_class_say_the_same_in_every_syntax(
    client: TestClient, merged: Merged, validators: dict[str, Draft202012Validator]
) -> None:
    chosen = sampled(merged)
    assert len(chosen) > SAMPLE + 20
    for iri in chosen:
        document = check(client, iri, merged, validators["thing"])
        said = rdflib_of(merged.description(iri))  # others read it as the engine does
        for syntax in RDF_SYNTAXES:
            assert set(graph_of(get(client, address(iri), syntax.media_type))) == said, (iri, syntax.name)
        assert set(graph_of_jsonld(document)) == said, iri
        again = pyld.compact(expand(document), SERVED_CONTEXT, {"documentLoader": load})
        assert sets(again) == sets(document), iri


@pytest.mark.exhaustive
def test_every_thing_says_the_same_in_every_syntax(
    client: TestClient, merged: Merged, validators: dict[str, Draft202012Validator]
) -> None:
    every = [iri for iri in merged.things() if ox.NamedNode(iri) in merged.out]
    derived = [iri for iri in merged.things() if ox.NamedNode(iri) not in merged.out]
    assert (len(every) > 3000, len(derived) > 3000) == (True, True)
    for iri in (*every, *derived[::20]):  # derived Linkages are all alike
        check(client, iri, merged, validators["thing"])


# --- the forms of JSON-LD ---


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_is_requested_by_header_or_parameter(client: TestClient, profile: str) -> None:
    asked = f'application/ld+json;profile="{PROFILE}{profile}"'
    replies = [get(client, path_of(OUTPUT), accept) for accept in (asked, f"text/html;q=0.5, {asked}")]
    replies += [get(client, f"{path_of(OUTPUT)}{way}", "text/html, */*") for way in (f"?profile={profile}",)]
    replies += [get(client, f"{path_of(OUTPUT)}.jsonld", asked)]
    assert {reply.status_code for reply in replies} == {200}
    assert len({reply.content for reply in replies}) == 1
    assert {reply.headers["content-type"] for reply in replies} == {asked if profile != "compacted" else JSONLD}
    turtle = ours(graph_of(get(client, path_of(OUTPUT), "text/turtle")))
    said = ours(graph_of_jsonld(replies[0].json()))
    assert said <= turtle
    assert len(said) > 400
    assert said == turtle or profile == "framed"  # which has no place for what is only linked to the root


JSONLD = "application/ld+json"


def test_each_profile_has_the_form_of_the_standard(client: TestClient) -> None:
    forms = {p: get(client, f"{path_of(OUTPUT)}?profile={p}").json() for p in PROFILES}
    assert forms["expanded"] == normal(forms["expanded"])
    assert sets(expand(forms["compacted"])) == sets(forms["expanded"])
    flat = forms["flattened"]
    assert set(flat) == {"@context", "@graph"} and len(flat["@graph"]) > 50
    for node in flat["@graph"]:
        assert not [
            v
            for values in node.values()
            for v in (values if isinstance(values, list) else [values])
            if isinstance(v, dict) and "id" in v
        ]
    framed = forms["framed"]
    assert framed["id"] == OUTPUT
    targets = {target["id"]: target for target in framed["contributesToSDGTarget"]}
    assert targets[names.SDG + "9.c"]["label"]["en"].startswith("Universal and affordable access")
    assert {"type", "notation", "label"} <= set(framed["linkages"][0]["objects"][0])


def normal(document: Any) -> Any:
    """What PyLD makes of expanded JSON-LD, expanded again, in the same order."""
    return json.loads(json.dumps(document)) if sets(expand(document)) == sets(document) else expand(document)


@pytest.mark.parametrize(
    ("query", "status", "word"),
    [
        ("profile=pretty", 400, "compacted, expanded, flattened, framed"),
        ("frame=tree", 400, "plan-tree"),
        ("frame=../../etc/passwd", 400, "plan-tree"),
        ("frame=plan-tree", 400, "is for a plan"),
        ("frame=linkages&profile=expanded", 400, "omit profile or frame"),
        ("frame=linkages&format=ttl", 406, "jsonld"),
    ],
)
def test_an_unknown_form_is_refused_with_a_reason(client: TestClient, query: str, status: int, word: str) -> None:
    assert word in problem_of(get(client, f"{path_of(OUTPUT)}?{query}"), status)["detail"]


def test_an_unknown_profile_in_a_header_counts_for_nothing(client: TestClient) -> None:
    reply = get(client, path_of(OUTPUT), 'application/ld+json;profile="http://example.org/mine"')
    assert (reply.status_code, reply.headers["content-type"]) == (200, JSONLD)


# --- frames ---


CASES = {
    "plan-tree": [PLAN, names.THINGS + "sp-2020-2023", names.THINGS + "op-2026"],
    "linkages": [OUTPUT, PLAN, PLAN + "/outcome/2.1"],
    "outcome-with-indicators": [PLAN + "/outcome/2.1", names.THINGS + "bap-2026-2029/outcome/T1.1-O1"],
    "results-chain": [
        OUTPUT,
        PLAN + "/objective/2",
        PLAN + "/activity/2.1-A1",
        names.THINGS + "sp-2020-2023/strategic-goal/1",
    ],
    "budget": [names.THINGS + "op-2026", names.THINGS + "bap-2026-2029/priority/P1"],
}


def nodes_in(value: Any) -> Iterator[dict[str, Any]]:
    """Every object with an `id`, at any depth."""
    if isinstance(value, list):
        for each in value:
            yield from nodes_in(each)
    elif isinstance(value, dict):
        if "id" in value:
            yield value
        for each in value.values():
            yield from nodes_in(each)


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_lays_out_one_root_object_by_its_schema(
    client: TestClient, name: str, validators: dict[str, Draft202012Validator]
) -> None:
    assert tuple(CASES[each][0] for each in FRAMES) and set(jsonld.frames()) == set(FRAMES) == set(CASES)
    for iri in CASES[name]:
        reply = get(client, f"{path_of(iri)}?frame={name}", "*/*")
        assert reply.status_code == 200, reply.text
        assert reply.headers["content-type"] == f'{JSONLD};profile="{PROFILE}framed {names.frame(name)}"'
        document = reply.json()
        assert (document["@context"], document["id"]) == (SERVED_CONTEXT, iri)
        validators[name].validate(document)
        assert json.dumps(order(document)) == json.dumps(document)
        assert document == get(client, path_of(iri), reply.headers["content-type"]).json()
        assert len(graph_of_jsonld(document)) > 5


@pytest.mark.parametrize("iri", CASES["plan-tree"])
def test_a_plan_tree_holds_every_thing_of_the_plan_once_in_full(client: TestClient, merged: Merged, iri: str) -> None:
    tree = get(client, f"{path_of(iri)}?frame=plan-tree").json()
    plan, kind = ox.NamedNode(names.ITU + "plan"), ox.NamedNode(names.RDF_TYPE)
    left_out = {ox.NamedNode(names.ITU + name) for name in ("Linkage", "NoPredecessor", "NoSuccessor")}
    things = {t.subject for t in merged.into[ox.NamedNode(iri)] if t.predicate == plan}
    wanted = {s.value for s in things if not {t.object for t in merged.out[s] if t.predicate == kind} & left_out}  # type: ignore[union-attr,index]
    full = [node["id"] for node in nodes_in(tree["things"]) if "label" in node]
    assert len(wanted) > 20
    assert set(full) == wanted
    assert len(full) == len(wanted)


def test_the_tree_of_the_buenos_aires_plan_leads_from_objective_to_activity(client: TestClient) -> None:
    tree = get(client, f"{path_of(PLAN)}?frame=plan-tree").json()
    [objective] = [thing for thing in tree["things"] if thing["id"] == PLAN + "/objective/2"]
    found = {node["id"] for node in nodes_in(objective)}
    assert {OUTPUT, PLAN + "/outcome/2.1", PLAN + "/indicator/2.1-I1", PLAN + "/activity/2.1-A1"} <= found


def test_a_results_chain_leads_up_and_down(client: TestClient) -> None:
    chain = get(client, f"{path_of(OUTPUT)}?frame=results-chain").json()
    [outcome] = chain["deliversOutcome"]
    assert outcome["outcomeOf"]["notation"] == "2"
    assert chain["contributesToActionLine"][0]["label"]["en"]
    assert {"hasProgramme", "contributesToSDGTarget"} <= set(chain)


def test_a_budget_has_its_lines_as_printed(client: TestClient) -> None:
    budget = get(client, "/id/op-2026?frame=budget").json()
    assert len(budget["things"]) == 21
    for line in budget["things"]:
        assert line["printedAmount"] and line["currency"] == "CHF"
        assert {"label", "notation", "type"} <= set(line["budgetFor"])


def test_frames_and_context_are_hosted(client: TestClient) -> None:
    for name in FRAMES:
        reply = get(client, f"/frames/{name}.jsonld", "image/png")
        assert (reply.status_code, reply.headers["content-type"]) == (200, JSONLD)
        frame = json.loads((ROOT / f"queries/frames/{name}.jsonld").read_text())
        assert frame["@context"] == names.CONTEXT
        assert reply.json() == frame | {"@context": SERVED_CONTEXT}
    for path in ("/frames/tree.jsonld", "/frames/plan-tree", "/schemas/tree.json"):
        problem_of(get(client, path), 404)


@pytest.mark.parametrize("name", ["linkages", "outcome-with-indicators", "plan-tree"])
def test_a_frame_lays_out_the_answer_of_a_construct(client: TestClient, name: str) -> None:
    iri = CASES[name][0]
    query = (ROOT / f"queries/frames/{name}.rq").read_text()
    reply = client.get("/sparql", params={"query": query, "frame": name}, headers={"accept": "*/*"})
    assert reply.status_code == 200, reply.text
    assert reply.json() == get(client, f"{path_of(iri)}?frame={name}").json()
    again = client.post("/sparql", data={"query": query, "frame": name})
    assert again.content == reply.content


def test_a_frame_and_a_profile_shape_describe_and_are_part_of_the_cache_key(client: TestClient) -> None:
    query = f"DESCRIBE <{OUTPUT}>"
    forms = [{}, {"frame": "linkages"}, {"profile": "expanded"}, {"profile": "flattened"}, {"frame": "linkages"}]
    replies = [client.get("/sparql", params={"query": query, "format": "jsonld", **form}) for form in forms]
    assert {reply.status_code for reply in replies} == {200}
    plain, framed, expanded, flattened, again = (reply.json() for reply in replies)
    assert framed == again
    assert framed["id"] == OUTPUT and len(framed["linkages"]) >= 5
    assert isinstance(expanded, list) and "@graph" in flattened
    assert plain == flattened
    assert sets(expand(plain)) == sets(expanded)


@pytest.mark.parametrize("query", ["SELECT * WHERE { ?s ?p ?o } LIMIT 1", "ASK {}"])
def test_a_table_has_no_frame(client: TestClient, query: str) -> None:
    for form in ({"frame": "linkages"}, {"profile": "expanded"}):
        reply = client.get("/sparql", params={"query": query, **form})
        assert "CONSTRUCT or DESCRIBE" in problem_of(reply, 400)["detail"]


# --- the context ---


def test_a_property_is_an_array_unless_it_is_functional(client: TestClient) -> None:
    """By the ontology for what is ours, by the shapes (one value, or one in each language) for what is not."""
    ontology, shapes = Graph(), Graph()
    ontology.parse(ROOT / "ontology/itukg.ttl")
    for file in sorted((ROOT / "shapes").glob("*.ttl")):
        shapes.parse(file)
    one = RdfLiteral(1), RdfLiteral(True)
    single = {str(s) for s in ontology.subjects(RDF.type, OWL.FunctionalProperty)}
    for shape, path in shapes.subject_objects(SH.path):
        if isinstance(path, URIRef) and (
            (shape, SH.maxCount, one[0]) in shapes or (shape, SH.uniqueLang, one[1]) in shapes
        ):
            single |= {str(path)} if not path.startswith(names.ITU) else set()
    terms = get(client, "/context/v1.jsonld").json()["@context"]
    checked = 0
    for name, term in jsonld.vocabulary().terms.items():
        given = terms[term.name]
        of_lists = name.startswith("https://www.w3.org/ns/activitystreams#")
        if (
            of_lists
            or term.name[0].isupper()
            or (name.startswith(names.ITU) and (URIRef(name), RDF.type, URIRef(names.ITU + "Basis")) in ontology)
        ):
            continue
        containers = given.get("@container", []) if isinstance(given, dict) else []
        assert ("@set" in containers) == (name not in single), name
        checked += 1
    assert checked > 150
    assert len(single) > 60


def test_every_property_of_the_graph_has_a_key(merged: Merged) -> None:
    apart = tuple(f"<{iri}" for iri in (names.DESCRIPTION, names.QUERIES))  # what the service says of itself
    ours = (triples for node, triples in merged.out.items() if not str(node).startswith(apart))
    used = {t.predicate.value for triples in ours for t in triples}
    lists = {str(RDF.first), str(RDF.rest), names.OWL + "members"}
    assert used - set(jsonld.vocabulary().terms) - lists - {names.RDF_TYPE} == set()
    assert len(used) > 100
    assert str(RDFS.label) in used


def test_the_whole_graph_is_compacted_as_pyld_does(merged: Merged) -> None:
    """Ours is fast because it knows one context; PyLD is the measure of what it gives."""
    some = [t for place, triples in enumerate(merged.out.values()) if place % 10 == 0 for t in triples]
    node, literal, text = ox.NamedNode("urn:x"), ox.Literal, names.PREFIXES["rdfs"] + "label"
    odd = [
        *(ox.Triple(node, ox.NamedNode(text), value) for value in (literal("a"), literal("b", language="fr"), literal(5))),
        ox.Triple(node, ox.NamedNode(text), literal("c", language="AR", direction=ox.BaseDirection.RTL)),
        *(ox.Triple(node, ox.NamedNode(names.ITU + "plan"), value) for value in (literal("x"), node, ox.BlankNode("b"))),
        *(ox.Triple(node, ox.NamedNode(names.ITU + "amount"), literal("1.5", datatype=ox.NamedNode(names.PREFIXES["xsd"] + kind))) for kind in ("decimal", "double")),
        *(ox.Triple(node, ox.NamedNode(iri), literal(True)) for iri in ("urn:p", names.ITU + "nothing", names.ITU + "line")),
        ox.Triple(node, ox.NamedNode(names.ITU + "basis"), ox.NamedNode(names.ITU + "stated")),
        ox.Triple(node, ox.NamedNode(names.ITU + "basis"), ox.NamedNode(names.ITU)),
        ox.Triple(node, ox.NamedNode(names.RDF_TYPE), ox.NamedNode("urn:type")),
    ]  # fmt: skip
    assert len(some) > 3000
    nodes = jsonld.expanded(some)
    assert sets(jsonld.compact(nodes)) == sets(pyld.compact(nodes, names.CONTEXT, {"documentLoader": load}))
    nodes = jsonld.expanded(odd)  # of which PyLD loses the direction of a text and the type of a number
    assert sets(expand(jsonld.compact(nodes))) == sets(nodes)


# --- any IRI, absent and retired ones ---


def test_any_iri_of_the_graph_is_described(client: TestClient, merged: Merged) -> None:
    iris = {t.object.value for ts in merged.out.values() for t in ts if isinstance(t.object, ox.NamedNode)}
    strange = sorted(iri for iri in iris if not iri.startswith(names.BASE))[::40]
    shapes = [names.SHAPES + "#Outcome-outcomeOf", names.SHAPES + "#OutputSdgTarget-complete"]
    assert len(strange) > 10
    for iri in (*strange, *shapes, names.GRAPHS, names.ONTOLOGY, names.ITU + "Linkage", OUTPUT):
        reply = get(client, f"/resource?iri={quote(iri, '')}")
        if iri == names.GRAPHS:
            problem_of(reply, 404)
            continue
        document = reply.json()
        assert expand(document)[0]["@id"] == iri
        turtle = graph_of(get(client, f"/resource?iri={quote(iri, '')}&format=ttl"))
        assert set(to_canonical_graph(graph_of_jsonld(document))) == set(to_canonical_graph(turtle))
        assert get(client, f"/resource?iri={quote(iri, '')}", "text/html").status_code == 200


@pytest.mark.parametrize(
    ("query", "words"),
    [
        *((query, "/resource?iri=") for query in ("", "iri=", "iri=urn:a&iri=urn:b")),
        ("IRI=urn:a&iri=urn:b", 'No parameter "IRI" here; known: release, format, profile, frame, iri.'),
        ("iri=%0D%0AX:1", "control character"),
    ],
)
def test_a_resource_is_named_by_one_iri(client: TestClient, query: str, words: str) -> None:
    assert words in problem_of(get(client, f"/resource?{query}"), 400)["detail"]


@pytest.mark.parametrize("iri", ["urn:nothing", "nothing", "http://127.0.0.1:1/x", "file:///etc/passwd", "<x>"])
def test_an_iri_of_which_nothing_is_known_is_404_and_never_fetched(client: TestClient, iri: str) -> None:
    problem_of(get(client, f"/resource?iri={iri}", "*/*"), 404)
    page = get(client, f"/resource?iri={iri}", "text/html")
    assert (page.status_code, "Nothing is known of" in page.text) == (404, True)


@pytest.fixture(scope="module")
def retired(pair: Pair) -> TestClient:
    """A release in which some things are retired."""
    return pair.client


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("/id/wsis/old", "/id/wsis/C1"),
        ("/id/wsis/old.ttl", "/id/wsis/C1.ttl"),
        (
            "/id/wsis/old?frame=linkages&format=application/ld%2Bjson",
            "/id/wsis/C1?frame=linkages&format=application/ld%2Bjson",
        ),
        (f"/resource?iri={quote(names.THINGS, '')}wsis/old&format=nt", "/id/wsis/C1?format=nt"),
        ("/id/wsis/term.nt", f"/resource?iri={quote(names.ITU, '')}Output&format=nt"),
    ],
)
def test_what_is_retired_leads_to_its_successor(retired: TestClient, asked: str, sent: str) -> None:
    reply = get(retired, asked)
    assert (reply.status_code, reply.headers["location"]) == (301, sent)
    assert get(retired, sent).status_code == 200


@pytest.mark.parametrize(("name", "words"), [("ended", "nothing replaces it"), ("split", "wsis/C2")])
def test_what_is_retired_without_one_successor_is_410(retired: TestClient, name: str, words: str) -> None:
    assert words in problem_of(get(retired, f"/id/wsis/{name}"), 410)["detail"]


# --- clients that are not ours ---


CLIENT = """
const context = JSON.parse(require("fs").readFileSync(process.argv[2], "utf8"));
const url = process.argv[3];
const jsonld = require("jsonld");
const { JsonLdParser } = require("jsonld-streaming-parser");
const refuse = (asked) => { throw new Error("asked for " + asked); };
const term = (t) => t.termType === "NamedNode" ? `<${t.value}>` : JSON.stringify([t.value, t.language, t.datatype.value]);
(async () => {
  const answers = [];
  for (const document of JSON.parse(require("fs").readFileSync(0, "utf8"))) {
    const loader = async (asked) => asked === url ? { document: context, documentUrl: url } : refuse(asked);
    const nquads = await jsonld.toRDF(document, { documentLoader: loader, format: "application/n-quads" });
    const flat = await jsonld.flatten(document, context, { documentLoader: loader });
    const parser = new JsonLdParser({ documentLoader: { load: async (asked) => asked === url ? context : refuse(asked) } });
    const quads = [];
    await new Promise((done, fail) => {
      parser.on("data", (q) => quads.push([term(q.subject), term(q.predicate), term(q.object)]));
      parser.on("error", fail).on("end", done);
      parser.write(JSON.stringify(document));
      parser.end();
    });
    answers.push({ nquads, streamed: quads, nodes: flat["@graph"].length });
  }
  console.log(JSON.stringify(answers));
})().catch((error) => { console.error(error); process.exit(1); });
"""


@pytest.mark.exhaustive
def test_the_json_ld_works_in_javascript(client: TestClient, tmp_path: Path) -> None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node or npm is not installed: the JSON-LD is not tried in JavaScript")
    packages = ["jsonld@8.3.3", "jsonld-streaming-parser@5.0.0"]
    install = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", *packages]
    done = subprocess.run(install, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        pytest.skip(f"npm cannot install {' and '.join(packages)}: {done.stderr[-300:]}")
    (tmp_path / "client.js").write_text(CLIENT)
    (tmp_path / "context.json").write_bytes(get(client, "/context/v1.jsonld").content)
    iris = [OUTPUT, PLAN, names.SDG + "9.c", names.ITU + "Output", PLAN + "/outcome/2.1", names.THINGS + "op-2026"]
    documents = [get(client, address(iri)).json() for iri in iris]
    documents.append(get(client, f"{path_of(PLAN)}?frame=plan-tree").json())
    command = [node, "client.js", "context.json", SERVED_CONTEXT]
    ran = subprocess.run(
        command, cwd=tmp_path, input=json.dumps(documents), capture_output=True, text=True, check=False, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    answers = json.loads(ran.stdout)
    assert len(answers) == len(documents) == 7
    for document, answer in zip(documents, answers, strict=True):
        mine = graph_of_jsonld(document)
        assert ours(Graph().parse(data=answer["nquads"], format="nt")) == ours(mine)
        assert len({tuple(quad) for quad in answer["streamed"]}) == len(mine)
        assert answer["nodes"] > 2


# --- pages ---


def test_what_is_linked_too_often_leads_to_the_list(client: TestClient, merged: Merged) -> None:
    document = get(client, path_of(PLAN)).json()
    [other] = [link for link in document["seeAlso"] if link.startswith(names.BASE + "id?")]
    parts = parse_qs(urlsplit(other).query)
    assert parts == {"to": [PLAN], "by": [names.ITU + "plan"]}
    assert len([t for t in merged.into[ox.NamedNode(PLAN)] if t.predicate.value == names.ITU + "plan"]) > MAX_INCOMING
    assert "things" not in document  # of which the list is
    assert {linkage["plan"] for linkage in document["linkages"]} == {PLAN}
    page = get(client, path_of(PLAN) + ".html").text
    assert re.search(r'href="/id\?to=[^"]+&amp;by=[^"]+plan"', page)
