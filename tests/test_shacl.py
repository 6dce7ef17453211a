"""SHACL as others write it: shapes of public bug reports get the verdict of the specification, or are refused by name."""

import json
from pathlib import Path

import pyoxigraph as ox
import pytest
from conftest import run_command, small_corpus
from fastapi.testclient import TestClient
from rdflib import RDF, SH, Graph, Literal, URIRef
from test_cli import Run, itukg  # noqa: F401  (a fixture)
from test_sparql import problem_of

from itukg import names
from itukg.conformance import REPORT_FORMATS, Report, Selection, write, write_text
from itukg.errors import NotFound, ShapesRefused
from itukg.formats import CSV, HTML, JSON, PDF, SARIF, TURTLE, XLSX
from itukg.rdf.parse import parse_rdf
from itukg.upload.context import UPLOAD_GRAPH, ValidationContext

PREFIXES = f"""@prefix e: <urn:e:> . @prefix owl: <{names.PREFIXES["owl"]}> . @prefix rdfs: <{names.PREFIXES["rdfs"]}> .
@prefix sh: <{names.SH}> . @prefix xsd: <{names.PREFIXES["xsd"]}> .
"""
DATA = "e:x a e:C ; e:p e:y . e:y e:p e:z . e:z e:p e:w . e:w e:p e:x ."
TARGET = "e:S a sh:NodeShape ; sh:targetClass e:C ; "
WRONG = f"{TARGET} sh:nodeKind sh:Literal "
"""A shape that finds one fault in the data."""


def quads(text: str) -> list[ox.Quad]:
    return list(parse_rdf((PREFIXES + text).encode(), ox.RdfFormat.TURTLE, UPLOAD_GRAPH))


def checked(shapes: str, data: str = DATA) -> Report:
    """The report on data, against these shapes and beside nothing."""
    return ValidationContext([], frozenset()).check(quads(data), "data", shapes=quads(shapes))


def refused(shapes: str) -> str:
    with pytest.raises(ShapesRefused) as error:
        checked(shapes)
    return str(error.value)


# --- shapes that refer to themselves ---

RECURSIVE = {
    "sh:node": (f"{TARGET} sh:property [ sh:path e:p ; sh:node e:S ] .", ("urn:e:S",)),
    "sh:node of itself": (f"{TARGET} sh:node e:S .", ("urn:e:S",)),
    "sh:property": (f"{TARGET} sh:property e:P . e:P sh:path e:p ; sh:property e:P .", ("urn:e:P",)),
    "sh:not": (f"{TARGET} sh:not [ sh:path e:p ; sh:not e:S ] .", ("urn:e:S",)),
    "sh:and": (f"{TARGET} sh:and ( [ sh:nodeKind sh:IRI ] e:S ) .", ("urn:e:S",)),
    "sh:or": (f"{TARGET} sh:or ( [ sh:path e:p ; sh:node e:S ] [ sh:nodeKind sh:Literal ] ) .", ("urn:e:S",)),
    "sh:xone": (f"{TARGET} sh:xone ( [ sh:nodeKind sh:Literal ] e:T ) . e:T sh:node e:S .", ("urn:e:S", "urn:e:T")),
    "sh:qualifiedValueShape": (
        f"{TARGET} sh:property [ sh:path e:p ; sh:qualifiedMinCount 1 ; sh:qualifiedValueShape e:S ] .",
        ("urn:e:S",),
    ),
    "a circle of three": (f"{TARGET} sh:node e:A . e:A sh:not e:B . e:B sh:and ( e:A ) .", ("urn:e:A", "urn:e:B")),
    "apart from every target": (f"{WRONG}. e:A a sh:NodeShape ; sh:node e:A .", ("urn:e:A",)),
    "no shape with an IRI": (f"{WRONG}. _:a a sh:NodeShape ; sh:not _:b . _:b sh:node _:a .", ("without an IRI",)),
    "a list that turns back": (
        f"{TARGET} sh:or _:l . _:l <{RDF.first}> e:S ; <{RDF.rest}> _:l .",
        ("urn:e:S",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", RECURSIVE)
def test_a_shape_that_refers_to_itself_is_refused_and_the_circle_named(case: str) -> None:
    assert len(RECURSIVE) == 12
    shapes, circle = RECURSIVE[case]
    said = refused(shapes)
    assert "3.4.3" in said
    assert said.partition("through ")[2].partition(": what")[0] in (", ".join(circle), "shapes without an IRI")
    assert [name for name in circle if name not in said] == []


def test_a_shape_that_several_refer_to_is_no_circle() -> None:
    leaf = "e:L a sh:NodeShape ; sh:nodeKind sh:Literal ."
    report = checked(f"{TARGET} sh:node e:A , e:B . e:A sh:node e:L . e:B sh:and ( e:L e:L ) . {leaf}")
    assert (report.verdict, {f.shape for f in report.findings}) == ("does not conform", {"urn:e:S"})


# --- patterns ---

PATTERNS: list[tuple[str, str, str, bool]] = [
    # pattern, flags, value, whether it matches (XPath Functions 3.1, 5.6)
    ("1.5", "q", "125", False),
    ("1.5", "q", "1.5", True),
    ("A.B", "qi", "xa.by", True),
    ("a b#", "qx", "a b#", True),  # with q, x has no effect
    ("a$", "", "a\n", False),
    ("a$", "", "b\na", True),
    ("^a", "", "b\na", False),
    ("^a", "m", "b\na", True),
    ("a$", "m", "a\nb", True),
    ("^$", "m", "a\n", False),
    ("a.b", "", "a\nb", False),
    ("a.b", "", "a\rb", False),
    ("a.b", "s", "a\nb", True),
    ("hello world", "x", "helloworld", True),
    ("hello[ ]world", "x", "hello world", True),
    ("a#b", "x", "a", False),  # there are no comments
    ("A", "i", "a", True),
    ("^[a-z-[aeiou]]+$", "", "bcd", True),
    ("^[a-z-[aeiou]]+$", "", "bad", False),
    ("[A-Z-[IO]]", "i", "o", False),
    ("^\\p{L}+$", "", "éß", True),
    ("^\\p{L}+$", "", "e1", False),
    ("^\\P{L}+$", "", "12", True),
    ("\\p{Lu}", "i", "a", False),
    ("^\\p{IsBasicLatin}+$", "", "é", False),
    ("^\\i\\c*$", "", "a-b.1", True),
    ("^\\i\\c*$", "", "1a", False),
    ("^[\\i-[:]][\\c-[:]]*$", "", "a:b", False),
    ("^\\I\\C$", "", "1 ", True),
    ("^\\w+$", "", "a_b", False),  # the underscore is punctuation
    ("^\\s$", "", "\u00a0", False),
    ("^\\d+$", "", "٣", True),
    ("^(a)\\1$", "", "aa", True),
    ("^(?:ab)+?$", "", "abab", True),
    ("^.$", "", "\U0001f600", True),
    ("^[^\\[\\]]+$", "", "a[", False),
    # a negated class with the complement of another
    ("[^\\W\\d_]", "", "1", False),
    ("[^\\W\\d_]", "", "é", True),
    ("[^\\S ]", "", " ", False),
    ("[^\\S\\n]", "", "\n", False),
    ("[^\\S\\r\\n]", "", "\t", True),
    ("[^\\W_]", "", "-", False),
    ("[^\\D5]", "", "5", False),
    ("[^\\D5]", "", "4", True),
    ("[^\\P{L}a]", "", "a", False),
    ("[^\\C-]", "", "-", False),
    ("[^\\s\\S]", "", "a", False),
    ("^[\\s\\S]$", "", "\n", True),
    # ranges with escaped ends
    ("^[\\(-\\+]$", "", "*", True),
    ("^[\\(-\\+]$", "", "-", False),
    ("^[\\t-\\r]$", "", "\n", True),
    ("^[\\.-\\?]$", "", "5", True),
    ("^[\\--\\?]$", "", "-", True),
    ("^[&&~~||\\[a-]$", "", "|", True),
    # a group that took no part is empty
    ("(a)|b\\1", "", "b", True),
    ("^(?:(a)|b)\\1$", "", "a", False),
    ("^(a)\\10$", "", "aa0", True),
    ("^(a)\\1$", "i", "aA", True),
    # the case of categories and escapes counts, even under flag i
    ("[\\w-[a]]", "i", "A", False),
    ("[\\i-[a]]", "i", "A", False),
    ("[^q]", "i", "Q", False),
    ("[\\p{Lu}]", "i", "a", False),
    ("k", "i", "\u212a", True),
]  # fmt: skip
NO_PATTERNS = [
    ("(?=a)", "", "(?"),
    ("(?i)a", "", "(?"),
    ("\\bfoo\\b", "", "\\b"),
    ("\\h", "", "\\h"),
    ("[\\q]", "", "\\q"),
    ("\\p{Foo}", "", "Foo"),
    ("[\\1]", "", "\\1"),
    ("a", "g", "no flag g"),
    ("a{,2}", "", "quantifier"),
    ("a++", "", "+"),
    ("[z-a]", "", "z-a"),
    ("(a)\\2", "", "reference 2"),
    ("[[:alpha:]]", "", "["),
    ("a]", "", "]"),
    ("\\", "", "\\"),
    *((f"\\{sign}", "", f"no escape \\{sign}") for sign in '/_@#:"< '),
    ("\\0", "", "reference 0"),
    ("(a\\1)", "", "reference 1"),
    ("a}", "", "unexpected }"),
    ("[\\d-z]", "", "- within []"),
    ("[a-c-e]", "", "- within []"),
    ("[--a]", "", "a hyphen"),
    ("[a-z-[b]c]", "", "subtraction"),
    ("[]", "", "without characters"),
    ("[a", "", "too early"),
    ("(a", "", "unbalanced ("),
]


def patterned(pattern: str, flags: str, message: str = "") -> str:
    stated = f"; sh:flags {Literal(flags).n3()} " if flags else ""
    return f"{TARGET} sh:property e:P . e:P sh:path e:s ; sh:pattern {Literal(pattern).n3()} {stated} {message} ."


@pytest.mark.parametrize(("pattern", "flags", "value", "matches"), PATTERNS)
def test_a_pattern_is_one_of_xpath(pattern: str, flags: str, value: str, matches: bool) -> None:
    assert len(PATTERNS) == 63
    report = checked(patterned(pattern, flags), f"e:x a e:C ; e:s {Literal(value).n3()} .")
    assert report.conforms is matches
    assert [f.message for f in report.findings] == ([] if matches else [f"Value does not match pattern '{pattern}'"])


@pytest.mark.parametrize(("pattern", "flags", "words"), NO_PATTERNS)
def test_what_is_no_pattern_of_xpath_is_refused_by_name(pattern: str, flags: str, words: str) -> None:
    assert len(NO_PATTERNS) == 33
    said = refused(patterned(pattern, flags))
    assert (pattern if flags != "g" else flags) in said and words in said


def test_several_patterns_all_hold_and_a_message_of_the_shape_is_kept() -> None:
    both = patterned("^a$", "", '; sh:pattern "^\\\\p{Ll}$"')
    assert checked(both, 'e:x a e:C ; e:s "a" .').conforms
    [finding] = checked(both, 'e:x a e:C ; e:s "b" .').findings
    assert finding.message == "Value does not match pattern '^\\p{Ll}$' and '^a$'"
    [finding] = checked(patterned("q$", "", "; sh:message \"No 'q$' at the end\"@en"), 'e:x a e:C ; e:s "b" .').findings
    assert finding.message == "No 'q$' at the end"


# --- what is accepted, and what is refused by name ---

HARMLESS = {
    "sh:ignoredProperties": "sh:ignoredProperties ( e:p )",
    "sh:ignoredProperties and sh:closed false": "sh:closed false ; sh:ignoredProperties ( e:p )",
    "sh:codeIdentifier": 'sh:codeIdentifier "s"',
    "sh:agentInstruction": 'sh:agentInstruction "Say why."@en',
    "sh:intent": 'sh:intent "Literals only."@en',
    "sh:unit": 'sh:unit "kg"',
    "sh:flags": 'sh:flags "i"',
    "sh:name": 'sh:name "S"@en ; sh:description "D"@en ; sh:order 1 ; sh:group e:G',
    "sh:defaultValue": "sh:property [ sh:path e:p ; sh:defaultValue 1 ]",
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_constrains_nothing_is_accepted(name: str) -> None:
    assert len(HARMLESS) == 9
    report = checked(f"{WRONG} ; {HARMLESS[name]} .")
    assert [(f.shape, f.focus) for f in report.findings] == [("urn:e:S", "urn:e:x")]


def test_ignored_properties_of_a_closed_shape_are_ignored_in_the_other_sense() -> None:
    closed = f"{TARGET} sh:closed true ; sh:ignoredProperties"
    assert checked(f"{closed} ( e:p <{RDF.type}> ) .").conforms
    assert [f.path for f in checked(f"{closed} ( <{RDF.type}> ) .").findings] == ["urn:e:p"]


NOT_APPLIED = {
    "sh:target": "sh:target [ a sh:SPARQLTarget ; sh:select 'SELECT ?this WHERE { ?this a <urn:e:C> }' ]",
    "sh:targetWhere": "sh:targetWhere [ sh:class e:C ]",
    "sh:targetNode": "sh:targetNode [ sh:path e:p ]",
    "sh:rule": "sh:rule [ a sh:TripleRule ; sh:subject sh:this ; sh:predicate e:q ; sh:object e:y ]",
    "sh:expression": "sh:expression [ sh:path e:p ]",
    "sh:nodeByExpression": "sh:nodeByExpression e:T",
    "sh:entailment": "sh:nodeKind sh:IRI . e:o a owl:Ontology ; sh:entailment <http://www.w3.org/ns/entailment/RDFS>",
    "sh:reifierShape": "sh:property [ sh:path e:p ; sh:reifierShape [ sh:nodeKind sh:IRI ] ]",
    "sh:reificationRequired": "sh:property [ sh:path e:p ; sh:reificationRequired true ]",
    "sh:singleLine": "sh:property [ sh:path e:p ; sh:singleLine true ]",
    "sh:someValue": "sh:property [ sh:path e:p ; sh:someValue [ sh:nodeKind sh:Literal ] ]",
    "sh:memberShape": "sh:property [ sh:path e:p ; sh:memberShape [ sh:nodeKind sh:Literal ] ]",
    "sh:minListLength": "sh:property [ sh:path e:p ; sh:minListLength 1 ]",
    "sh:maxListLength": "sh:property [ sh:path e:p ; sh:maxListLength 1 ]",
    "sh:uniqueMembers": "sh:property [ sh:path e:p ; sh:uniqueMembers true ]",
    "sh:subsetOf": "sh:property [ sh:path e:p ; sh:subsetOf e:q ]",
    "sh:rootClass": "sh:rootClass e:C",
    "sh:uniqueValuesFor": "sh:uniqueValuesFor e:p",
    "sh:values": "sh:property [ sh:path e:p ; sh:values [ sh:path e:q ] ]",
    "sh:closed": "sh:closed sh:ByTypes",
    "sh:class": "sh:class ( e:C e:D )",
    "sh:datatype": "sh:property [ sh:path e:p ; sh:datatype ( xsd:string xsd:date ) ]",
    "sh:nodeKind": "sh:nodeKind ( sh:Literal sh:BlankNode )",
    "sh:deactivated": "sh:deactivated [ sh:path e:p ]",
    "sh:severity": 'sh:severity "Grave"',
    "sh:minCuont": "sh:property [ sh:path e:p ; sh:minCuont 2 ]",
    "sh:ShapeClass": "a sh:ShapeClass",
    "sh:flags": 'sh:property [ sh:path e:p ; sh:pattern "a" ; sh:flags "i" , "m" ]',
    "sh:qualifiedMinCount": "sh:property [ sh:path e:p ; sh:qualifiedMinCount 2 ]",
    "sh:qualifiedMaxCount": "sh:property [ sh:path e:p ; sh:qualifiedMaxCount 2 ]",
    "sh:qualifiedValueShape": "sh:property [ sh:path e:p ; sh:qualifiedValueShape [ sh:nodeKind sh:IRI ] ]",
    "sh:SPARQLFunction": "sh:nodeKind sh:IRI . e:f a sh:SPARQLFunction ; sh:select 'SELECT ?x WHERE {}'",
    "sh:JSFunction": "sh:nodeKind sh:IRI . e:f a sh:JSFunction",
    "sh:SPARQLTargetType": "sh:nodeKind sh:IRI . e:t a sh:SPARQLTargetType ; sh:select 'SELECT ?this WHERE {}'",
    "sh:js": "sh:nodeKind sh:IRI . e:T sh:js e:script",
    "GRAPH": "sh:sparql [ sh:select 'SELECT $this WHERE { GRAPH ?g { $this <urn:e:p> ?y } }' ]",
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_APPLIED)
def test_what_constrains_and_is_not_applied_is_refused_by_name(name: str) -> None:
    assert len(NOT_APPLIED) == 36
    for subject in (TARGET, "e:S sh:nodeKind sh:Literal ; ") if "target" in name else (TARGET,):
        said = refused(f"{subject}{NOT_APPLIED[name]} .")  # a shape may go without a type
        assert name in said
        assert "advanced" not in said and "=True" not in said and "_:" not in said


@pytest.mark.parametrize(
    ("shapes", "wrong", "meant"),
    [
        ("e:T sh:targetClas e:C ; sh:nodeKind sh:BlankNode .", "sh:targetClas", "sh:targetClass"),
        ("e:T a e:Sub ; sh:minCuont 1 . e:Sub rdfs:subClassOf sh:NodeShape .", "sh:minCuont", "sh:minCount"),
        ("e:T a sh:NodeShap ; sh:targetClass e:C .", "sh:NodeShap", "sh:NodeShape"),
        (f"{TARGET} sh:nodeKind sh:Litteral .", "sh:Litteral as a value of sh:nodeKind", "sh:Literal"),
    ],
)
def test_a_misspelled_term_is_refused_wherever_it_is_and_the_nearest_named(shapes: str, wrong: str, meant: str) -> None:
    said = refused(f"{WRONG} . {shapes}")
    assert said.startswith(f"{wrong} is not supported, or misspelled") and said.endswith(f"Did you mean {meant}?")


def test_the_word_graph_elsewhere_in_a_query_is_no_graph() -> None:
    query = """SELECT $this WHERE { $this <urn:e:p> ?graph . # the GRAPH
        FILTER (STR(?graph) != 'GRAPH' && ?graph != <urn:graph>) }"""
    assert len(checked(f'{TARGET} sh:sparql [ sh:select """{query}""" ] .').findings) == 1


COMPONENT = """e:K a sh:ConstraintComponent ; sh:parameter [ sh:path <http://e.example/most> ] ;
    sh:nodeValidator [ a sh:SPARQLSelectValidator ; sh:select "SELECT $this WHERE { { SELECT %s WHERE { $this ?p ?o FILTER ($most = 1) } } }" ] .
"""


def test_a_subquery_that_hides_a_parameter_is_refused() -> None:
    said = refused(f"{COMPONENT % '$this'} {TARGET} <http://e.example/most> 1 .")
    assert "$most" in said and "urn:e:K" in said
    assert "$most" in refused(f"{COMPONENT % '$this (COUNT($most) AS ?n)'} {TARGET} <http://e.example/most> 1 .")
    for projected in ("$this $most", "*"):
        assert len(checked(f"{COMPONENT % projected} {TARGET} <http://e.example/most> 1 .").findings) == 1


@pytest.mark.parametrize("term", ["minInclusive", "minExclusive", "maxInclusive", "maxExclusive"])
def test_a_bound_that_the_engine_cannot_read_is_refused(term: str) -> None:
    for bound in ("9223372036854775808", "-9223372036854775809", "1" + 20 * "0" + ".0", "0.1234567890123456789"):
        said = refused(f"{TARGET} sh:property [ sh:path e:s ; sh:{term} {bound} ] .")
        assert f"sh:{term} {bound}" in said
    for bound in ("9223372036854775807", "0.1234567890123456780", "1e30", '"2026-01-01"^^xsd:date'):
        assert checked(f"{TARGET} sh:property [ sh:path e:s ; sh:{term} {bound} ] .").conforms


@pytest.mark.parametrize("reference", ["sh:node e:Elsewhere", "sh:not e:Elsewhere", "sh:property e:Elsewhere", "sh:or ( e:Elsewhere )"])  # fmt: skip
def test_a_shape_that_is_not_sent_is_refused_by_name(reference: str) -> None:
    said = refused(f"{WRONG} ; {reference} .")
    assert "urn:e:Elsewhere" in said and "owl:imports" in said


# --- messages in several languages ---

MESSAGES: list[tuple[str, str, str | None]] = [
    ('"fehlt"@de , "missing"@en , "manque"@fr', "missing", "en"),
    ('"fehlt"@de , "missing"@en-GB', "missing", "en-gb"),
    ('"fehlt"@de , "-" , "manque"@fr', "-", None),
    ('"manque"@fr , "fehlt"@de', "fehlt", "de"),
    ('"fehlt"@de', "fehlt", "de"),
    ('"missing"', "missing", None),
]


@pytest.mark.parametrize(("messages", "shown", "language"), MESSAGES)
@pytest.mark.parametrize("place", ["shape", "property", "constraint", "shape of a constraint"])
def test_all_languages_of_a_message_are_kept_and_one_is_shown(
    place: str, messages: str, shown: str, language: str | None
) -> None:
    assert len(MESSAGES) == 6
    select = 'sh:select "SELECT $this WHERE { $this <urn:e:p> ?y }"'
    report = checked(
        {
            "shape": f"{WRONG} ; sh:message {messages} .",
            "property": f"{TARGET} sh:property e:P . e:P sh:path e:q ; sh:minCount 1 ; sh:message {messages} .",
            "constraint": f'{TARGET} sh:message "general"@en , "allgemein"@de ; sh:sparql [ sh:message {messages} ; {select} ] .',
            "shape of a constraint": f"{TARGET} sh:message {messages} ; sh:sparql [ {select} ] .",
        }[place]
    )
    [finding] = report.findings
    assert (finding.message, finding.language) == (shown, language)
    graph = Graph().parse(data=write(report, TURTLE), format="turtle")
    stated = set(Graph().parse(data=f"{PREFIXES} e:a e:b {messages} .", format="turtle").objects())
    assert set(graph.objects(None, SH.resultMessage)) == stated
    [row] = json.loads(write(report, JSON))["findings"]
    assert (row["message"], row["language"]) == (shown, language)
    page = write(report, HTML).decode()
    assert (f'<span lang="{language}">{shown}</span>' in page) is (language == "de")
    assert write(report, PDF).startswith(b"%PDF-")


def test_a_message_with_a_value_keeps_its_languages() -> None:
    messages = '"{?y} fehlt"@de , "{?y}"@fr , "{?y} is missing from {$this}"@en , "{?y} fehlt"@de-CH'
    for place in ("sh:message {} ; sh:sparql [ {} ]", "sh:sparql [ sh:message {} ; {} ]"):
        select = 'sh:select "SELECT $this ?y WHERE { $this <urn:e:p> ?y }"'
        report = checked(f"{TARGET} {place.format(messages, select)} .")
        assert [f.message for f in report.findings] == ["urn:e:y is missing from urn:e:x"]
        graph = Graph().parse(data=report.graph, format="nt")
        assert {(str(text), getattr(text, "language", "")) for text in graph.objects(None, SH.resultMessage)} == {
            ("urn:e:y fehlt", "de"),
            ("urn:e:y fehlt", "de-ch"),
            ("urn:e:y", "fr"),
            ("urn:e:y is missing from urn:e:x", "en"),
        }


def test_a_message_of_a_constraint_is_no_message_of_its_shape() -> None:
    select = 'sh:select "SELECT $this ?value WHERE { $this <urn:e:p> ?value }"'
    messages = '"{?value}"@fr , "{?value}"@de , "{?value} {?value}"@en'
    for general in ("shape msg", "shape {?value} msg", "{?value} msg"):
        report = checked(f'{TARGET} sh:message "{general}"@en ; sh:sparql [ sh:message {messages} ; {select} ] .')
        assert [f.message for f in report.findings] == ["urn:e:y urn:e:y"]
        graph = Graph().parse(data=report.graph, format="nt")
        assert {(str(text), getattr(text, "language", "")) for text in graph.objects(None, SH.resultMessage)} == {
            ("urn:e:y", "fr"),
            ("urn:e:y", "de"),
            ("urn:e:y urn:e:y", "en"),
        }


@pytest.mark.parametrize(
    "messages", [("", ""), ('"shape"', ""), ("", '"constraint"'), ('"shape"@de', '"constraint"@en')]
)
def test_a_message_that_a_query_binds_is_the_message(messages: tuple[str, str]) -> None:
    shape, constraint = (f"sh:message {text} ; " if text else "" for text in messages)
    for expression, bound in (("('mmm' AS ?message)", "mmm"), ("?message", None)):
        select = f'sh:select "SELECT $this {expression} WHERE {{ $this <urn:e:p> ?y }}"'
        [finding] = checked(f"{TARGET} {shape} sh:sparql [ {constraint} {select} ] .").findings
        written = (messages[1] or messages[0]).partition("@")[0].strip('"')
        assert finding.message == (bound or written or "Value urn:e:x does not satisfy sh:sparql")


def test_a_value_in_a_message_is_short_and_a_blank_node_has_no_name() -> None:
    select = 'sh:select "SELECT $this ?value WHERE { $this <urn:e:p> ?value }"'
    shapes = f'{TARGET} sh:sparql [ sh:message "{{$this}} has {{?value}}: see http://www.w3.org/2001/XMLSchema#.", "({{?value}})"@de ; {select} ] .'
    [finding] = checked(shapes, f"[] a e:C ; e:p <{names.THINGS}x/output/1> .").findings
    assert finding.message == "a thing without an IRI has x/output/1: see http://www.w3.org/2001/XMLSchema#."
    [finding] = checked(shapes, f"<{names.ITU}Output> a e:C ; e:p [] .").findings
    assert finding.message.startswith("itu:Output has a thing without an IRI: ")


WITHOUT_MESSAGE = {
    'sh:languageIn ( "en" "fr" )': "Value a@de does not satisfy sh:languageIn en, fr",
    "sh:in ( 1 e:y )": "Value a@de does not satisfy sh:in 1, urn:e:y",
    "sh:datatype xsd:date": "Value a@de does not satisfy sh:datatype xsd:date",
    "sh:hasValue 3": "It does not satisfy sh:hasValue 3",
    "sh:or ( [ sh:minLength 9 ] )": "Value a@de does not satisfy sh:or",
}


@pytest.mark.parametrize("constraint", WITHOUT_MESSAGE)
def test_where_nobody_wrote_a_message_it_says_what_is_wrong(constraint: str) -> None:
    report = checked(f"{TARGET} sh:property [ sh:path e:s ; {constraint} ] .", 'e:x a e:C ; e:s "a"@de .')
    assert [f.message for f in report.findings] == [WITHOUT_MESSAGE[constraint]]


def test_names_of_shapes_are_chosen_by_language_too() -> None:
    report = checked(f'{WRONG} ; sh:name "Form"@de , "Shape"@en ; sh:description "Was"@de , "What" .')
    assert (report.findings[0].shapeLabel, report.rules[0].label, report.rules[0].description) == (
        "Shape",
        "Shape",
        "What",
    )


# --- severities ---

SEVERITIES = {
    "e:Grave": ("urn:e:Grave", "does not conform", "error"),
    "<http://example.org/severity#Note>": ("http://example.org/severity#Note", "does not conform", "error"),
    "sh:Grave": (f"{names.SH}Grave", "does not conform", "error"),
    "sh:Violation": ("Violation", "does not conform", "error"),
    "sh:Warning": ("Warning", "conforms", "warning"),
    "sh:Info": ("Info", "conforms", "note"),
    "sh:Debug": ("Debug", "conforms", "note"),
    "sh:Trace": ("Trace", "conforms", "note"),
}


@pytest.mark.parametrize("severity", SEVERITIES)
def test_a_severity_is_given_as_it_is_and_one_of_unknown_rank_decides(severity: str) -> None:
    assert len(SEVERITIES) == 8
    named, verdict, level = SEVERITIES[severity]
    report = checked(f"{WRONG} ; sh:severity {severity} .")
    assert [f.severity for f in report.findings] == [named] == [rule.severity for rule in report.rules]
    assert (report.verdict, report.counts[named]) == (verdict, 1)
    written = {syntax: write(report, syntax) for syntax in REPORT_FORMATS}
    rows = json.loads(written[JSON])
    assert (rows["findings"][0]["severity"], rows["counts"][named], rows["verdict"]) == (named, 1, verdict)
    assert (named in rows["header"]["disallows"]) is (verdict != "conforms")
    assert rows["header"]["policy"].keys() == rows["counts"].keys()
    assert f",{named}," in written[CSV].decode()
    assert names.shorten(named) in written[HTML].decode() and named in write_text(report)
    [result] = json.loads(written[SARIF])["runs"][0]["results"]
    assert (result["level"], result["properties"]["severity"]) == (level, named)
    assert written[XLSX] and written[PDF].startswith(b"%PDF-")
    graph = Graph().parse(data=written[TURTLE], format="turtle")
    iri = URIRef(named if ":" in named else names.SH + named)
    assert set(graph.objects(None, SH.resultSeverity)) == {iri}
    [stated] = graph.subjects(RDF.type, SH.ValidationReport)
    assert graph.value(stated, SH.conforms) == Literal(verdict == "conforms")
    assert (iri in graph.objects(stated, URIRef(f"{names.SH}conformanceDisallows"))) is (verdict != "conforms")
    again = Report.from_rows(rows, report.graph)
    assert (again.verdict, again.totals, again.header.policy) == (report.verdict, report.totals, report.header.policy)


def test_findings_are_selected_by_a_severity_of_the_shapes() -> None:
    report = checked(
        f"{WRONG} ; sh:severity e:Grave . e:T a sh:NodeShape ; sh:targetClass e:C ; sh:nodeKind sh:Literal ."
    )
    assert [f.severity for f in report.findings] == ["Violation", "urn:e:Grave"]
    assert [f.severity for f in report.selected(Selection(severity=("urn:e:Grave",))).listed] == ["urn:e:Grave"]
    with pytest.raises(NotFound, match="known: Violation, Warning, Info, urn:e:Grave"):
        report.selected(Selection(severity=("urn:e:Slight",)))


# --- a verdict is about something ---

NOTHING = {
    "no target": ("e:S a sh:NodeShape ; sh:nodeKind sh:Literal .", ("urn:e:S",)),
    "a target that the data lacks": ("e:S a sh:NodeShape ; sh:targetClass e:D ; sh:nodeKind sh:Literal .", ()),
    "no shapes": ("e:a e:b e:c .", ()),
    "switched off": (f"{WRONG} ; sh:deactivated true .", ()),
    "no type": ("e:S sh:property [ sh:path e:q ; sh:minCount 1 ] .", ("urn:e:S",)),
}  # fmt: skip


@pytest.mark.parametrize("case", NOTHING)
def test_shapes_that_look_at_nothing_say_so(case: str) -> None:
    assert len(NOTHING) == 5
    shapes, unused = NOTHING[case]
    report = checked(shapes)
    assert (report.verdict, report.header.unused, report.findings) == ("nothing-checked", unused, ())
    assert [rule.nodes for rule in report.rules] == [0] * len(report.rules)


SOMETHING = {
    "no message": WRONG,
    "no IRI": "[] a sh:NodeShape ; sh:targetClass e:C ; sh:nodeKind sh:Literal ",
    "no type": "e:S sh:targetNode e:x ; sh:nodeKind sh:Literal ",
    "a class": "e:C a sh:NodeShape , rdfs:Class ; sh:nodeKind sh:Literal ",
    "a class of classes": "e:Meta rdfs:subClassOf rdfs:Class . e:C a e:Meta , sh:NodeShape ; sh:nodeKind sh:Literal ",
    "a class with one constraint": "e:C a rdfs:Class ; sh:nodeKind sh:Literal ",
    "a shape of a class of shapes": "e:Sub rdfs:subClassOf sh:NodeShape . e:S a e:Sub ; sh:targetClass e:C ; sh:nodeKind sh:Literal ",
    "a class of no type": "e:C a owl:Class ; sh:property [ sh:path e:q ; sh:minCount 1 ] ",
    "a property shape": "e:S a sh:PropertyShape ; sh:targetSubjectsOf e:p ; sh:path e:q ; sh:minCount 1 ",
}


@pytest.mark.parametrize("case", SOMETHING)
def test_every_shape_with_a_target_is_a_rule_with_the_number_of_its_nodes(case: str) -> None:
    assert len(SOMETHING) == 9
    faults = 4 if case == "a property shape" else 1
    report = checked(f"{SOMETHING[case]} .")
    assert (report.verdict, report.counts["Violation"]) == ("does not conform", faults)
    assert [rule.nodes for rule in report.rules] == [faults]
    assert checked(f"{SOMETHING[case]} ; sh:severity sh:Info .").verdict != "nothing-checked"
    assert json.loads(write(report, SARIF))["runs"][0]["results"]


def test_parts_of_every_kind_look_at_what_the_whole_looks_at() -> None:
    part = 'e:{} sh:message "m" ; sh:nodeKind sh:Literal . '
    names_ = ("Node", "Not", "And", "Or", "Xone", "Off")
    report = checked(
        f"{TARGET} sh:node e:Node , e:Off ; sh:not e:Not ; sh:and ( e:And ) ; sh:or ( e:Or ) ; sh:xone ( e:Xone ) . "
        + "".join(map(part.format, names_))
        + "e:Off sh:deactivated true ."
    )
    assert {rule.shape: rule.nodes for rule in report.rules} == {
        "urn:e:S": 1, **{f"urn:e:{name}": int(name != "Off") for name in names_}
    }  # fmt: skip


def test_a_shape_of_no_use_is_named_beside_those_that_are_used() -> None:
    used = f"{TARGET} sh:node e:T . e:T a sh:NodeShape ; sh:nodeKind sh:IRI . "
    report = checked(used + "e:Lost a sh:NodeShape ; sh:property [ sh:path e:q ; sh:minCount 1 ] .")
    assert (report.verdict, report.header.unused) == ("conforms", ("urn:e:Lost",))
    assert json.loads(write(report, JSON))["header"]["unused"] == ["urn:e:Lost"]
    assert "no shape that refers to it: urn:e:Lost" in write_text(report)
    assert b"urn:e:Lost" in write(report, HTML) and write(report, PDF).startswith(b"%PDF-")
    assert checked(used).header.unused == ()


# --- the same wherever it is checked ---

EVERYWHERE = {
    "recursive": (f"{TARGET} sh:node e:S .", None),
    "flag q": ('e:S a sh:NodeShape ; sh:targetNode "125" ; sh:pattern "1.5" ; sh:flags "q" .', "Violation"),
    "severity": ("e:S a sh:NodeShape ; sh:targetNode 125 ; sh:severity e:Grave ; sh:nodeKind sh:IRI .", "urn:e:Grave"),
    "target": ("e:S sh:target [ a sh:SPARQLTarget ; sh:select 'SELECT ?this WHERE {}' ] ; sh:nodeKind sh:IRI .", None),
}  # fmt: skip


@pytest.mark.parametrize("case", EVERYWHERE)
def test_an_upload_a_file_and_a_build_get_the_same_verdict(client: TestClient, tmp_path: Path, case: str) -> None:
    assert len(EVERYWHERE) == 4
    shapes, severity = EVERYWHERE[case]
    files = {"data": ("a.ttl", PREFIXES + DATA), "shapes": ("s.ttl", PREFIXES + shapes)}
    root = small_corpus(tmp_path / "corpus")
    (root / "shapes" / "others.ttl").write_text(PREFIXES + shapes)
    (tmp_path / "a.ttl").write_text(PREFIXES + DATA)
    here = {"ITUKG_CORPUS": root, "ITUKG_HOME": tmp_path / "home"}
    built = run_command("build", **here)
    done = run_command("check", tmp_path / "a.ttl", "--shape", "urn:e:S", "--format", "json", **here)
    reply = client.post("/validate?format=json", files=files)
    if severity is None:
        said = problem_of(reply, 400)["detail"].removeprefix("The ")
        assert (built.returncode, done.returncode) == (2, 2)
        assert said in " ".join(built.stderr.split()) and said in " ".join(done.stderr.split())
        return
    assert (built.returncode, done.returncode, reply.status_code) == (1, 1, 200)
    for rows in (reply.json(), json.loads(done.stdout)):
        assert (rows["verdict"], [f["severity"] for f in rows["findings"]]) == ("does not conform", [severity])
    assert f"{severity}  125" in built.stderr


# --- a thing that is not there ---


def nearest(message: str) -> list[str]:
    return message.partition("the nearest: ")[2].rstrip(".").split(", ")


def test_a_thing_that_nobody_knows_is_refused_with_the_nearest(client: TestClient) -> None:
    for path in ("/conformance", "/conformance/completeness"):
        problem = problem_of(client.get(path, params={"focus": "buap-2018-2021/outptu/2.1"}), 404)
        assert "buap-2018-2021/output/2.1" in nearest(problem["detail"])
        assert "the nearest" not in problem_of(client.get(path, params={"focus": "urn:nope"}), 404)["detail"]
    # a thing without any finding has a verdict
    assert client.get("/conformance.json", params={"focus": "wsis/C1"}).json()["verdict"] == "conforms"


def test_the_command_refuses_a_thing_that_is_not_in_the_file(itukg: Run, tmp_path: Path) -> None:  # noqa: F811
    file = tmp_path / "a.ttl"
    file.write_text(f"<{names.THINGS}x/output/1> a <{names.ITU}Output> . <urn:e:quiet> <urn:e:p> 1 .\n")
    done = itukg("check", file, "--focus", "x/outptu/1")
    assert (done.returncode, nearest(done.stderr.strip())) == (2, ["x/output/1"])
    assert itukg("check", file, "--focus", "x/output/1").returncode == 1
    assert "nothing-checked" in itukg("check", file, "--focus", "urn:e:quiet").stdout
    assert itukg("check", "--focus", "buap-2018-2021/outptu/2.1").returncode == 2


def test_evidence_of_a_file_that_is_not_there_says_so(itukg: Run, tmp_path: Path) -> None:  # noqa: F811
    for more in ((), ("--sources", tmp_path)):
        done = itukg("evidence", tmp_path / "nope.ttl", *more)
        assert (done.returncode, "nope.ttl: there is no such file" in done.stderr) == (2, True)
