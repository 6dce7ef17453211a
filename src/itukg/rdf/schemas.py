"""JSON Schemas (2020-12) of the served JSON, made from the JSON-LD context and the ontology's ranges."""

from collections.abc import Callable
from functools import cache, partial

import pyoxigraph as ox

from itukg import names
from itukg.rdf import jsonld
from itukg.rdf.jsonld import Json, Term
from itukg.settings import shipped

_LANGUAGE = "^[a-z]{2,8}(-[a-z0-9]{1,8})*$"
_IRI: Json = {"type": "string", "minLength": 1}
_NATIVE = {names.PREFIXES["xsd"] + kind: kind for kind in ("integer", "boolean", "string")}


@cache
def _ranges() -> dict[str, str]:
    """Return the JSON type of each of our properties whose range is a datatype that JSON has."""
    quads = ox.parse(path=shipped() / "ontology" / "itukg.ttl", format=ox.RdfFormat.TURTLE)
    ranges = {q.subject.value: q.object.value for q in quads if q.predicate.value == names.PREFIXES["rdfs"] + "range"}
    return {iri: _NATIVE[kind] for iri, kind in ranges.items() if kind in _NATIVE}


def _set_of(item: Json) -> Json:
    return {"type": "array", "minItems": 1, "items": item}


def _value(iri: str, term: Term, link: Json) -> Json:
    if term.by_language:
        text: Json = {"type": "string"}
        return {
            "type": "object",
            "patternProperties": {_LANGUAGE: _set_of(text) if term.is_set else text},
            "additionalProperties": False,
        }
    item = link if term.type == "@id" else _IRI if term.type else {"type": _ranges().get(iri, "string")}
    return _set_of(item) if term.is_set else item


def _node(link: Json, reverse: Json) -> Json:
    """Return the schema of a node: keys that are not terms of the context are IRIs, shortened or not."""
    known = jsonld.vocabulary()
    properties = {term.name: _value(iri, term, link) for iri, term in known.terms.items() if iri in _properties()}
    return {
        "type": "object",
        "properties": {"id": _IRI, "type": {"anyOf": [_IRI, _set_of(_IRI)]}} | properties | reverse,
        "required": ["id"],
        "patternProperties": {":": True},
        "additionalProperties": False,
    }


@cache
def _properties() -> set[str]:
    return {iri for iri, term in jsonld.vocabulary().terms.items() if term.name[0].islower()}


_CONTEXT: Json = {"type": "string", "format": "uri", "pattern": r"/context/v1(-[0-9a-f]{16})?\.jsonld$"}
"""The context by its own IRI, or by the address at which it is served."""


def _thing() -> Json:
    """Return the schema of a thing under its own IRI: links are IRIs, and their labels are in `included`."""
    one = {"$ref": "#/$defs/node"}
    many: Json = {"type": "array", "minItems": 1, "items": one}
    links: Json = {"type": "array", "minItems": 1, "items": {"anyOf": [_IRI, {"type": "object", "required": ["id"]}]}}
    reverse: Json = {"things": _set_of(_IRI), "linkages": many, "linkedBy": many}
    both: Json = {"included": many, "incoming": {"type": "object", "minProperties": 1, "additionalProperties": links}}
    root = _node(_IRI, reverse | both | {"@context": _CONTEXT})
    return root | {"required": ["@context", "id"], "$defs": {"node": _node(_IRI, {})}}


def _framed(*required: str) -> Json:
    """Return the schema of a framed thing: a link is an IRI, or the embedded thing."""
    link: Json = {"anyOf": [_IRI, {"$ref": "#/$defs/node"}]}
    node = _node(link, dict.fromkeys(("things", "linkages", "linkedBy"), _set_of(link)))
    root = node | {"properties": node["properties"] | {"@context": _CONTEXT}}
    return root | {"required": ["@context", "id", "type", *required], "$defs": {"node": node}}


def _list() -> Json:
    """Return the schema of a page of a list or of search results."""
    item = _node(_IRI, {"highlight": {"type": "string", "minLength": 1}, "broad": {"const": True}})
    keys = ("@context", "id", "type", "title", "totalItems", "first", "prev", "next", "last", "items")
    properties = {
        **dict.fromkeys(keys, _IRI),
        "@context": _CONTEXT,
        "type": {"const": "OrderedCollectionPage"},
        "title": {"type": "object"},
        "totalItems": {"type": "integer", "minimum": 0},
        "items": {"type": "array", "items": item},
    }
    required = [key for key in keys if key not in ("prev", "next")]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


SCHEMAS: dict[str, Callable[[], Json]] = {
    "thing": _thing,
    "list": _list,
    "plan-tree": partial(_framed, "label", "things"),
    "results-chain": partial(_framed, "label"),
    "linkages": partial(_framed, "linkages"),
    "outcome-with-indicators": partial(_framed, "label"),
    "budget": partial(_framed, "label"),
}
"""The function that makes each schema, by name: a thing, a list, and a thing in each frame."""


@cache
def schema(name: str) -> Json:
    """Return the schema `name`, one of SCHEMAS."""
    return {"$schema": names.JSON_SCHEMA, "$id": f"{names.SCHEMAS}{name}.json", **SCHEMAS[name]()}
