"""The ontology: complete in its documentation, sound, used as it says, and mirrored by the context."""

import json
import re
import shutil
from pathlib import Path

import pytest
import rdflib
from pyld import jsonld
from rdflib.namespace import DCTERMS, OWL, RDF, RDFS, SKOS

from itukg import names
from itukg.corpus import Corpus
from itukg.errors import DoesNotConform
from itukg.rdf.jsonld import context, frame
from itukg.reasoner import unsatisfiable

ROOT = Path(__file__).parents[1]
ITU = rdflib.Namespace(names.ITU)
ONTOLOGY = rdflib.URIRef(names.ONTOLOGY)
VANN = rdflib.Namespace(names.PREFIXES["vann"])


@pytest.fixture(scope="module")
def ontology() -> rdflib.Graph:
    graph = rdflib.Graph()
    for path in sorted((ROOT / "ontology").glob("*.ttl")):
        graph.parse(path)
    return graph


@pytest.fixture(scope="module")
def data() -> rdflib.Graph:
    graph = rdflib.Graph()
    for path in sorted((ROOT / "data").rglob("*.ttl")):
        graph.parse(path)
    return graph


def terms(ontology: rdflib.Graph) -> set[rdflib.URIRef]:
    return {s for s in ontology.subjects(RDFS.isDefinedBy, ONTOLOGY) if isinstance(s, rdflib.URIRef)}


def test_each_term_has_one_label_one_definition_and_its_home(ontology: rdflib.Graph) -> None:
    ours = {s for s in ontology.subjects() if isinstance(s, rdflib.URIRef) and s.startswith(names.ITU)}
    assert ours == terms(ontology)
    assert len(ours) > 90
    for term in ours:
        for predicate in (RDFS.label, SKOS.definition):
            found = list(ontology.objects(term, predicate))
            assert [getattr(o, "language", None) for o in found] == ["en"], (term, predicate)
        assert str(ontology.value(term, SKOS.definition)).endswith("."), term


def test_names_follow_the_conventions(ontology: rdflib.Graph) -> None:
    kinds = (OWL.ObjectProperty, OWL.DatatypeProperty, OWL.AnnotationProperty)
    properties = {each for kind in kinds for each in ontology.subjects(RDF.type, kind)}
    for term in terms(ontology):
        local = term.removeprefix(names.ITU)
        kind = r"[A-Z][A-Za-z]+" if (term, RDF.type, OWL.Class) in ontology else r"[a-z][A-Za-z0-9]+"
        assert re.fullmatch(kind, local), local
        assert term in properties or (term, RDF.type, OWL.Class) in ontology or (term, RDF.type, ITU.Basis) in ontology
    assert {p for p in properties if str(p).startswith(names.ITU)} <= terms(ontology)


def test_labels_are_distinct(ontology: rdflib.Graph) -> None:
    labels = [str(ontology.value(term, RDFS.label)) for term in terms(ontology)]
    assert len(labels) == len(set(labels))


def test_the_header_states_what_a_harvester_needs(ontology: rdflib.Graph) -> None:
    asked = (DCTERMS.title, DCTERMS.description, DCTERMS.creator, DCTERMS.license, DCTERMS.created, DCTERMS.modified)
    for predicate in (*asked, OWL.versionIRI, OWL.versionInfo, DCTERMS.conformsTo):
        assert ontology.value(ONTOLOGY, predicate) is not None, predicate
    assert str(ontology.value(ONTOLOGY, VANN.preferredNamespacePrefix)) == "itu"
    assert str(ontology.value(ONTOLOGY, VANN.preferredNamespaceUri)) == names.ITU


def test_what_the_data_and_shapes_use_is_defined_and_what_is_defined_is_used_or_says_why_not(
    ontology: rdflib.Graph, data: rdflib.Graph
) -> None:
    used = {
        term for triple in data for term in triple if isinstance(term, rdflib.URIRef) and term.startswith(names.ITU)
    }
    files = [*(ROOT / "shapes").glob("*.ttl"), *(ROOT / "queries" / "rules").glob("*.rq")]
    shapes = "".join(path.read_text() for path in files)
    named = {ITU[local] for local in re.findall(r"\bitu:(\w+)", shapes)}
    assert used | named <= terms(ontology)
    inverses = {s for s, _ in ontology.subject_objects(OWL.inverseOf)}
    supers = {o for p in (RDFS.subClassOf, RDFS.subPropertyOf) for o in ontology.objects(None, p)}
    typed = {o for o in ontology.objects(None, RDF.type) if isinstance(o, rdflib.URIRef)}
    unused = terms(ontology) - used - named - inverses - supers - typed - set(ontology.predicates())
    assert {term for term in unused if ontology.value(term, SKOS.scopeNote) is None} == set()


def test_each_term_and_what_the_data_uses_of_others_has_words_for_people(
    ontology: rdflib.Graph, data: rdflib.Graph
) -> None:
    own = terms(ontology) - set(ontology.subjects(RDF.type, OWL.AnnotationProperty))
    links = own & set(ontology.subjects(RDF.type, OWL.ObjectProperty))
    used = {*data.predicates(), *data.objects(None, RDF.type)}
    for asked, predicate in ((own | used, ITU.readerLabel), (links, ITU.readerLabelInverse)):
        assert len(asked) > 50
        for term in asked:
            found = list(ontology.objects(term, predicate))
            assert [getattr(o, "language", None) for o in found] == ["en"], (term, predicate)


def test_classes_bases_and_links_have_a_short_sentence(ontology: rdflib.Graph) -> None:
    kinds = (OWL.Class, OWL.ObjectProperty, ITU.Basis)
    inverses = set(ontology.subjects(OWL.inverseOf))
    asked = {each for kind in kinds for each in ontology.subjects(RDF.type, kind)} & terms(ontology) - inverses
    assert len(asked) > 100
    assert {term for term in asked if ontology.value(term, ITU.readerSentence) is None} == set()
    for sentence in map(str, ontology.objects(None, ITU.readerSentence)):
        assert re.fullmatch(r"[A-Z].*\.", sentence)
        assert len(sentence.split()) < 20, sentence


def test_words_for_people_hold_no_name_of_a_term(ontology: rdflib.Graph) -> None:
    for predicate in (ITU.readerLabel, ITU.readerLabelInverse, ITU.readerSentence):
        for words in map(str, ontology.objects(None, predicate)):
            assert not re.search(r"[a-z][A-Z]|:\S|_", words), words
            assert words[0].isupper(), words


def test_an_inverse_is_called_what_its_property_is_called_at_the_other_end(ontology: rdflib.Graph) -> None:
    for one, other in ontology.subject_objects(OWL.inverseOf):
        assert ontology.value(one, ITU.readerLabel) == ontology.value(other, ITU.readerLabelInverse), one
        assert ontology.value(other, ITU.readerLabel) == ontology.value(one, ITU.readerLabelInverse), one


def test_no_class_and_no_property_is_above_itself(ontology: rdflib.Graph) -> None:
    checked = 0
    for predicate in (RDFS.subClassOf, RDFS.subPropertyOf):
        for term in set(ontology.subjects(predicate)):
            above = {
                o
                for parent in ontology.objects(term, predicate)
                for o in ontology.transitive_objects(parent, predicate)
            }
            assert term not in above, term
            checked += 1
    assert checked > 20


def test_it_stays_within_the_constructs_of_owl_2_rl(ontology: rdflib.Graph) -> None:
    kinds = {o for o in ontology.objects(None, RDF.type) if isinstance(o, rdflib.URIRef) and o.startswith(names.OWL)}
    allowed = (
        "Ontology",
        "Class",
        "ObjectProperty",
        "DatatypeProperty",
        "FunctionalProperty",
        "AnnotationProperty",
        "TransitiveProperty",
        "AllDisjointClasses",
    )
    assert kinds <= {OWL[name] for name in allowed}
    predicates = {p for p in ontology.predicates() if str(p).startswith(names.OWL)}
    assert predicates == {OWL.inverseOf, OWL.members, OWL.versionIRI, OWL.versionInfo}


def test_what_contributes_upwards_takes_no_axiom_that_a_transitive_property_may_not_have(
    ontology: rdflib.Graph,
) -> None:
    assert set(ontology.subjects(RDF.type, OWL.TransitiveProperty)) == {ITU.contributesTo}
    assert ontology.value(ITU.contributesTo, RDFS.domain) is None
    assert ontology.value(ITU.contributesTo, RDFS.range) is None
    below = set(ontology.subjects(RDFS.subPropertyOf, ITU.contributesTo))
    assert len(below) == 8
    shape = (ROOT / "shapes" / "structure.ttl").read_text().partition("itush:ContributesAcyclic")[2]
    assert below == {ITU[local] for local in re.findall(r"itu:(\w+)", shape)}  # SHACL cannot ask for sub-properties


def named_by_the_context() -> set[str]:
    named = set()
    for value in context()["@context"].values():
        iri = str(value.get("@id", value.get("@reverse")) if isinstance(value, dict) else value)
        named.add(names.expand(iri) if ":" in iri else iri)
    return named


# No shape can ask it: the context is no RDF.
def test_the_context_has_a_name_for_each_property_and_class_that_the_data_uses(data: rdflib.Graph) -> None:
    used = {*data.predicates(), *data.objects(None, RDF.type)} - {RDF.type}
    assert len(used) > 100
    assert {str(term) for term in used} - named_by_the_context() == set()


def test_the_context_has_a_name_for_each_term(ontology: rdflib.Graph) -> None:
    terms_of_context = context()["@context"]
    assert {str(term) for term in terms(ontology)} <= named_by_the_context()
    assert terms_of_context["linkages"] == {"@reverse": "itu:subject", "@type": "@id", "@container": "@set"}
    assert terms_of_context["label"]["@container"] == "@language"
    assert (terms_of_context["id"], terms_of_context["type"]) == ("@id", "@type")
    for term in terms(ontology):
        if (term, RDF.type, OWL.ObjectProperty) in ontology and term != ITU.object:
            assert terms_of_context[term.removeprefix(names.ITU)]["@type"] in ("@id", "@vocab")


def test_no_context_but_ours_is_loaded() -> None:
    with pytest.raises(jsonld.JsonLdError):
        frame([{"@context": "http://localhost/context.jsonld", "@id": "urn:x"}])


def test_the_context_is_written_a_line_a_term() -> None:
    text = (ROOT / "ontology" / "context.jsonld").read_text()
    assert len(text.splitlines()) == len(json.loads(text)["@context"]) + 4


def test_hermit_finds_the_ontology_consistent_and_every_class_satisfiable(corpus: Corpus) -> None:
    assert unsatisfiable(corpus) == []


@pytest.mark.parametrize(
    "axioms",
    [
        "itu:Chimera a owl:Class ; rdfs:subClassOf itu:Output , itu:Outcome .",
        "itu:chimera a itu:Output , itu:Outcome .",
    ],
)
def test_hermit_finds_a_contradiction(axioms: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "ontology", tmp_path / "ontology")
    declared = "".join(f"@prefix {prefix}: <{names.PREFIXES[prefix]}> .\n" for prefix in ("itu", "owl", "rdfs"))
    (tmp_path / "ontology" / "wrong.ttl").write_text(declared + axioms)
    if "owl:Class" in axioms:
        assert unsatisfiable(Corpus(tmp_path)) == [names.ITU + "Chimera"]
    else:
        with pytest.raises(DoesNotConform, match="inconsistent"):
            unsatisfiable(Corpus(tmp_path))


def test_the_important_pitfalls_of_oops_are_avoided(ontology: rdflib.Graph) -> None:
    """P05 and P25 (inverses), P10 (disjointness), P19 (several domains or ranges), P34 and P35 (untyped terms), P36, P38."""
    kinds = {OWL.Class, OWL.ObjectProperty, OWL.DatatypeProperty, OWL.AnnotationProperty}
    for one, other in ontology.subject_objects(OWL.inverseOf):
        assert one != other
        assert ontology.value(one, RDFS.domain) == ontology.value(other, RDFS.range), one
        assert ontology.value(one, RDFS.range) == ontology.value(other, RDFS.domain), one
        assert len(list(ontology.objects(one, OWL.inverseOf))) == 1
    for term in terms(ontology):
        for axiom in (RDFS.domain, RDFS.range):
            assert len(list(ontology.objects(term, axiom))) <= 1, (term, axiom)
    for axiom in (RDFS.subClassOf, RDFS.subPropertyOf, RDFS.domain, RDFS.range, OWL.inverseOf):
        for used in set(ontology.objects(None, axiom)):
            datatype = str(used).startswith(names.PREFIXES["xsd"])
            assert datatype or kinds & set(ontology.objects(used, RDF.type)), used
    assert len(set(ontology.subjects(RDF.type, OWL.AllDisjointClasses))) == 2
    assert not re.search(r"\.(?:owl|ttl|rdf)$", ONTOLOGY)
    assert (ONTOLOGY, RDF.type, OWL.Ontology) in ontology


def test_an_inverse_has_no_evidence_of_its_own(ontology: rdflib.Graph) -> None:
    inverses = set(ontology.subjects(OWL.inverseOf))
    assert len(inverses) > 15
    assert inverses & set(ontology.subjects(RDF.type, ITU.EvidencedProperty)) == set()
