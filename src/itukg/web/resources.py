"""For partners: every thing under its own IRI, and the context."""

import re
from typing import Any

import pyoxigraph as ox
from fastapi import APIRouter, Request, Response

from itukg import names
from itukg.errors import NotFound
from itukg.formats import (
    HTML,
    JSONLD,
    THING_FORMATS,
    Format,
    compact,
    context,
    expanded,
    split_suffix,
    write_graph,
    write_json,
)
from itukg.html import local_link, render
from itukg.store import Row, Store, rows, triples
from itukg.web.answers import Kept
from itukg.web.service import service_of, wanted

router = APIRouter()

_LINKAGES = names.ITU + "subject"
_HIDDEN = ", ".join(f"<{names.graph(name)}>" for name in ("shapes", "derived", "queries"))


@router.get("/id/{path:path}", response_class=Response)
async def thing(request: Request, path: str) -> Response:
    """Return a thing with its linkages, as JSON-LD, HTML, Turtle, N-Triples or RDF/XML."""
    return await _thing(request, names.THINGS, path)


@router.get("/sdg/{path:path}", response_class=Response)
async def sdg_thing(request: Request, path: str) -> Response:
    """Return a Goal or target of the United Nations, as this graph knows it."""
    return await _thing(request, names.SDG, path)


@router.get("/context/v1.jsonld", response_class=Response)
async def json_ld_context() -> Response:
    """Return the JSON-LD context. Before release 1.0 it may still grow."""
    return Kept(write_json(context()), JSONLD.media_type)


async def _thing(request: Request, namespace: str, path: str) -> Response:
    path, suffix = split_suffix(path, THING_FORMATS)
    syntax = wanted(request, THING_FORMATS, suffix)
    content = await describe(service_of(request).store, namespace + path, syntax)
    return Kept(content, syntax.media_type)


async def describe(store: Store, iri: str, syntax: Format) -> bytes:
    """Return what the graph says of `iri`: its triples with those of its linkages. Raises NotFound where nothing is said.

    Entailed links are included, entailed types are not: a thing shows its most specific class.
    """
    found = await triples(store, _about(iri)) if _is_iri(iri) else []
    if not found:
        raise NotFound(f'Nothing is known of <{iri}>. Plans are listed at /; codes are as printed ("output/2.1").')
    if syntax is JSONLD:
        return write_json(compact([_tree(iri, found)]))
    if syntax is HTML:
        return await _page(store, iri)
    return write_graph(found, syntax)


def _is_iri(text: str) -> bool:
    try:  # the parser is stricter than NamedNode
        list(ox.parse(f"<{text}> a <{names.ONTOLOGY}> .".encode(), format=ox.RdfFormat.TURTLE))
    except (SyntaxError, ValueError):
        return False
    return re.fullmatch(r"[^\x00-\x20<>\"{}|^`\\]*", text) is not None


def _about(iri: str) -> str:
    return f"""{names.PROLOGUE}
CONSTRUCT {{ <{iri}> ?p ?o . ?linkage ?lp ?lo }} WHERE {{
  {{ GRAPH ?g {{ <{iri}> ?p ?o }}
    FILTER(?g NOT IN ({_HIDDEN})) FILTER(?g != <{names.graph("entailed")}> || ?p != rdf:type) }}
  UNION
  {{ GRAPH ?g {{ ?linkage itu:subject <{iri}> ; ?lp ?lo }} FILTER(?g NOT IN ({_HIDDEN})) }}
}}"""


def _tree(iri: str, about: list[ox.Triple]) -> dict[str, Any]:
    """Return the node object of `iri` with its linkages hung on it by a reverse property."""
    nodes = {node["@id"]: node for node in expanded(about)}
    root = nodes.pop(iri)
    linkages = []
    for node in nodes.values():
        node.pop(_LINKAGES)  # said by the reverse property
        linkages.append(node)
    linkages.sort(key=lambda node: str(node["@id"]))
    return root | ({"@reverse": {_LINKAGES: linkages}} if linkages else {})


async def _page(store: Store, iri: str) -> bytes:
    outgoing = await _links(store, f"<{iri}>", "?o", "FILTER(?property != rdf:type)")
    incoming = await _links(
        store,
        "?o",
        f"<{iri}>",
        "FILTER NOT EXISTS { ?o a itu:Linkage } FILTER NOT EXISTS { ?property owl:inverseOf|^owl:inverseOf ?inverse }",
    )
    types = await rows(
        store,
        f"""{names.PROLOGUE}
SELECT DISTINCT ?type ?label WHERE {{ GRAPH ?g {{ <{iri}> a ?type }} FILTER(?g != <{names.graph("entailed")}>)
  OPTIONAL {{ ?type rdfs:label ?label }} }} ORDER BY ?type""",
    )
    first = {str(row["property"]): row["label"] for row in reversed(outgoing)}
    title = {
        "iri": iri,
        "label": first.get(names.PREFIXES["rdfs"] + "label", names.shorten(iri)),
        "notation": first.get(names.PREFIXES["skos"] + "notation"),
        "types": [row["label"].value if "label" in row else names.shorten(row["type"].value) for row in types],
    }
    return render("thing.html", thing=title, path=local_link(iri), outgoing=outgoing, incoming=incoming)


async def _links(store: Store, subject: str, value: str, condition: str) -> list[dict[str, str | None]]:
    """Return a cell for each link between `subject` and `value`, one of which is ?o, with its evidence."""
    found = await rows(
        store,
        f"""{names.PROLOGUE}
SELECT ?property (SAMPLE(?pl) AS ?property_label) ?o (SAMPLE(?ol) AS ?label) (SAMPLE(?on) AS ?notation)
       (SAMPLE(?b) AS ?basis) (SAMPLE(?q) AS ?quote) (SAMPLE(?s) AS ?section) (SAMPLE(?l) AS ?line) WHERE {{
  {subject} ?property {value} {condition}
  OPTIONAL {{ ?property rdfs:label ?pl }} OPTIONAL {{ ?o rdfs:label ?ol }} OPTIONAL {{ ?o skos:notation ?on }}
  OPTIONAL {{ ?linkage itu:subject {subject} ; itu:predicate ?property ; itu:object {value} ; itu:basis/rdfs:label ?b
    OPTIONAL {{ ?linkage itu:quote ?q ; itu:section ?s ; itu:line ?l }} }}
}} GROUP BY ?property ?o ORDER BY ?property STRLEN(?notation) ?notation ?o""",
    )
    return [_cell(row) for row in found]


def _cell(row: Row) -> dict[str, str | None]:
    texts = {key: term.value for key, term in row.items() if not isinstance(term, ox.BlankNode)}
    value = row.get("o")
    cell: dict[str, str | None] = dict.fromkeys(
        ("property", "property_label", "label", "notation", "basis", "quote", "section", "line")
    )
    cell |= {key: text for key, text in texts.items() if key != "o"}
    cell["iri"] = value.value if isinstance(value, ox.NamedNode) else None
    if isinstance(value, ox.Literal):
        cell["label"] = value.value
    return cell
