"""What shapes may not use: what the engine would ignore is refused, so that a verdict stands on all that is sent."""

import re
from collections.abc import Iterator
from decimal import Decimal
from difflib import get_close_matches
from itertools import chain

import rdflib
from rdflib.namespace import RDF, SH
from rdflib.term import Node

from itukg import names
from itukg.errors import ShapesRefused

_SH = rdflib.Namespace(names.SH)  # rdflib's own refuses the terms that it does not know
_KNOWN_TARGETS = "select nodes by sh:targetClass, sh:targetNode, sh:targetSubjectsOf or sh:targetObjectsOf"
_TARGETS = f"targets of SHACL Advanced Features are not selected: {_KNOWN_TARGETS}"
_RULES = "no rule is run: send the data with what the rules add"
_FUNCTIONS = "functions are not called: write the condition as sh:sparql"
_SCRIPTS = "no script is executed: write the condition as sh:sparql"
_PROPERTIES = {
    "entailment": "nothing is inferred: send the data with what it entails",
    "expression": "node expressions are not evaluated: write the condition as sh:sparql",
    "js": _SCRIPTS,
    "jsFunctionName": _SCRIPTS,
    "jsLibrary": _SCRIPTS,
    "rule": _RULES,
    "target": _TARGETS,
    "targetWhere": f"this target of SHACL 1.2 is not selected: {_KNOWN_TARGETS}",
}
"""Properties that the engine would ignore in places, or refuse by the name of an option; and what to do instead."""
_CLASSES = (
    dict.fromkeys(("Function", "JSFunction", "SPARQLFunction"), _FUNCTIONS)
    | dict.fromkeys(("Target", "TargetType", "JSTarget", "JSTargetType", "SPARQLTarget", "SPARQLTargetType"), _TARGETS)
    | dict.fromkeys(("Rule", "JSRule", "SPARQLRule", "TripleRule"), _RULES)
    | dict.fromkeys(("JSConstraint", "JSLibrary", "JSValidator"), _SCRIPTS)
)
ANNOTATIONS = ("agentInstruction", "codeIdentifier", "formalized", "intent", "unit")
"""Non-validating properties of SHACL 1.2, which the engine does not know."""
_PYTHON_WORDS = ("and", "class", "in", "not", "or")
_TERMS = sorted({str(term).removeprefix(names.SH) for term in dir(SH)} | {*_PYTHON_WORDS, *ANNOTATIONS})
"""What SHACL 1.0 and its Advanced Features have, and our list."""
MIN_LIKENESS = 0.8
"""How like an unknown term, from 0 to 1, a known one must be to be named as the one meant."""
MAX_INTEGER = 2**63
"""The first integer that the engine cannot compare."""
MAX_DECIMAL = 10**20
"""About the first decimal that the engine cannot compare."""
MAX_DECIMAL_PLACES = 18
"""Digits after the point of a decimal that the engine can compare."""
_QUALIFIED = (SH.qualifiedMinCount, SH.qualifiedMaxCount)
_NOT_SPARQL = re.compile(
    r'"""(?:[^\\]|\\.)*?"""|' r"'''(?:[^\\]|\\.)*?'''|" r'"(?:[^"\\\n]|\\.)*"|' r"'(?:[^'\\\n]|\\.)*'|"
    r'<[^<>"{}|^`\\\s]*>|#[^\n]*',
    re.DOTALL,
)  # fmt: skip
"""Strings, IRIs and comments."""
_GRAPH = re.compile(r"(?<![?$\w:-])GRAPH(?![\w:-])", re.IGNORECASE)
_SUBQUERY = re.compile(r"\{\s*SELECT\b([^{}]*)", re.IGNORECASE)
_VALIDATORS = (SH.validator, SH.nodeValidator, SH.propertyValidator)
_COMPUTED = re.compile(r"\((?:[^()]|\([^()]*\))*\bAS\s+([?$]\w+)\s*\)", re.IGNORECASE)


def refuse(shapes: rdflib.Graph) -> None:
    """Raise ShapesRefused, with the name of the term, for shapes of which the engine would ignore a part."""
    for reason in chain(_advanced(shapes), _unknown(shapes), _qualified(shapes), _bounds(shapes), _queries(shapes)):
        raise ShapesRefused(reason)


def _advanced(shapes: rdflib.Graph) -> Iterator[str]:
    for term, reason in _PROPERTIES.items():
        if (None, _SH[term], None) in shapes:
            yield f"The shapes use sh:{term}: {reason}."
    for term, reason in _CLASSES.items():
        if (None, RDF.type, _SH[term]) in shapes:
            yield f"The shapes use sh:{term}: {reason}."
    if any(isinstance(node, rdflib.BNode) for node in shapes.objects(None, SH.targetNode)):
        yield "A value of sh:targetNode has no IRI: node expressions (SHACL 1.2) are not evaluated."


def _unknown(shapes: rdflib.Graph) -> Iterator[str]:
    """Yield the terms of the namespace that SHACL 1.0 does not have; a severity may be of any name."""
    found: dict[str, str] = {}
    for s, p, o in shapes:
        for term, place in ((s, ""), (p, ""), (o, "" if p == RDF.type else f" as a value of {names.shorten(str(p))}")):
            if isinstance(term, rdflib.URIRef) and term.startswith(names.SH) and (term is not o or p != SH.severity):
                found[term.removeprefix(names.SH)] = place
    for name in sorted(found.keys() - {"", *_TERMS}):
        near = get_close_matches(name, _TERMS, n=1, cutoff=MIN_LIKENESS)
        meant = f" Did you mean sh:{near[0]}?" if near else ""
        yield f"sh:{name}{found[name]} is not supported, or misspelled: it would check nothing.{meant}"


def _qualified(shapes: rdflib.Graph) -> Iterator[str]:
    counted = {shape for term in _QUALIFIED for shape in shapes.subjects(term)}
    for shape in set(shapes.subjects(SH.qualifiedValueShape)) ^ counted:
        has, lacks = "sh:qualifiedValueShape", "sh:qualifiedMinCount or sh:qualifiedMaxCount"
        if shape in counted:
            has = next(names.shorten(str(term)) for term in _QUALIFIED if (shape, term, None) in shapes)
            lacks = "sh:qualifiedValueShape"
        yield f"{_named(shape)} has {has} without {lacks}: it would check nothing."


def _bounds(shapes: rdflib.Graph) -> Iterator[str]:
    for term in (SH.minInclusive, SH.minExclusive, SH.maxInclusive, SH.maxExclusive):
        for bound in shapes.objects(None, term):
            value = bound.toPython() if isinstance(bound, rdflib.Literal) else None
            whole = isinstance(value, int) and not -MAX_INTEGER <= value < MAX_INTEGER
            places = len(str(bound).partition(".")[2].rstrip("0"))
            if whole or (isinstance(value, Decimal) and (abs(value) >= MAX_DECIMAL or places > MAX_DECIMAL_PLACES)):
                yield f"{names.shorten(str(term))} {bound} has more digits than the engine can read: no value would be within it."


def _queries(shapes: rdflib.Graph) -> Iterator[str]:
    for term in (SH.select, SH.ask):
        for query in shapes.objects(None, term):
            if _GRAPH.search(_NOT_SPARQL.sub(" ", str(query))):
                yield "A SPARQL constraint uses GRAPH: the data is checked as one graph without a name, so it would match nothing."
    for component, parameters in _parameters(shapes).items():
        for query in (
            query
            for kind in _VALIDATORS
            for validator in shapes.objects(component, kind)
            for term in (SH.select, SH.ask)
            for query in shapes.objects(validator, term)
        ):
            for projected in _SUBQUERY.findall(_NOT_SPARQL.sub(" ", str(query))):
                variables = {variable[1:] for variable in re.findall(r"[?$]\w+", _COMPUTED.sub(r"\1", projected))}
                if "*" not in _COMPUTED.sub("", projected) and (hidden := parameters - variables):
                    yield (
                        f"A subquery in a validator of {_named(component)} does not select ${min(hidden)}, so the parameter has "
                        "no value in it (SHACL, appendix A): select it there."
                    )


def _parameters(shapes: rdflib.Graph) -> dict[Node, set[str]]:
    """Return each constraint component with the variables of its parameters."""
    found: dict[Node, set[str]] = {}
    for component, parameter in shapes.subject_objects(SH.parameter):
        for path in shapes.objects(parameter, SH.path):
            if name := re.search(r"\w+$", str(path)):
                found.setdefault(component, set()).add(name[0])
    return found


def _named(shape: Node) -> str:
    return names.shorten(str(shape)) if isinstance(shape, rdflib.URIRef) else "A shape without an IRI"
