"""What the graph says of a thing, defined once, and written as JSON-LD or in another syntax of RDF.

The description of a thing is what one CONSTRUCT gives: its triples, its Linkages whole, the links to it with their
Linkages, and what each thing that it is linked with is called. Of links to it more than MAX_INCOMING by one property
are not told one by one: `rdfs:seeAlso` leads to the list of them.
"""

import re
from collections.abc import Collection
from functools import cache, partial
from typing import Any

import pyoxigraph as ox

from itukg import names
from itukg.engine.describe import NESTED
from itukg.engine.sparql import read_query
from itukg.engine.store import Store, ask, rows, triples
from itukg.errors import BadRequest, Gone, NotFound
from itukg.formats import JSON, Format, write_json
from itukg.graphs import in_form, write_graph
from itukg.queries import SavedQuery, saved_query
from itukg.rdf import jsonld
from itukg.rdf.parse import canonical
from itukg.settings import shipped

MAX_INCOMING = 100
"""How many links to a thing by one property are told one by one."""

MAX_NAMED = 10
"""How many things that have a code are named, at most."""

_DCTERMS = names.PREFIXES["dcterms"]
_ENTAILED = f"<{names.graph('entailed')}>"
_STATED = f"FILTER(?p != rdf:type || NOT EXISTS {{ GRAPH {_ENTAILED} {{ ?s a ?o }} }})"
_CALLED = f"?s ?p ?o FILTER(?p IN (rdf:type, rdfs:label, skos:notation)) {_STATED}"


async def describe(store: Store, iri: str, syntax: Format) -> bytes:
    """Return the description of `iri` in `syntax`, one of RDF; pages are made by `views/profile.py`.

    Entailed links are in it, entailed types are not: a thing shows its most specific class. What the merged graph does
    not speak of is looked for in the graphs beside it. Raises NotFound where nothing is said, Gone for what is
    retired, and BadRequest for a frame that is not for such a thing.
    """
    if syntax.frame is not None:
        return await _framed(store, iri, syntax)
    found = await description(store, iri)
    if syntax.engine == ox.RdfFormat.JSON_LD or syntax is JSON:
        return write_json(in_form(jsonld.expanded(found), syntax, iri))
    return write_graph(found, syntax)


async def is_told(store: Store, iri: str) -> bool:
    """Tell whether the merged graph says anything of `iri`."""
    return bool(await rows(store, f"SELECT ?p WHERE {{ <{iri}> ?p ?o }} LIMIT 1"))


async def named(store: Store, text: str) -> str:
    """Return the IRI of what a text names: an IRI, a prefixed name, a path, an address on a server of ours, or a code that one thing has.

    A text that names nothing is returned as the IRI that it would be. Raises NotFound for a code of several things, and
    lists them, and BadRequest for a prefix that nobody knows.
    """
    if served := re.fullmatch(r"https?://[^/]+/(id/[^?#]+|sdg/[^?#]+)", text):
        text = text if await is_told(store, text) else served[1]
    prefix, colon, local = text.partition(":")
    if colon and not local.startswith("//") and prefix != "urn":
        if prefix.lower() not in names.PREFIXES:
            raise BadRequest(f'No prefix "{prefix}" here; known: {", ".join(names.PREFIXES)}.')
        text = f"{prefix.lower()}:{local.lower() if prefix.lower() == 'sdg' else local}"
    iri = names.expand(re.sub("^sdg/", "sdg:", text))  # /sdg/9.c is its address here
    if not re.fullmatch(r"[\w.-]{1,40}", text) or await is_told(store, iri):
        return iri
    code = f'?thing skos:notation ?code FILTER(LCASE(STR(?code)) = "{text.lower()}" && isIRI(?thing))'
    found = await rows(store, f"{names.PROLOGUE} SELECT DISTINCT ?thing WHERE {{ {code} }} ORDER BY ?thing")
    things = [row["thing"].value for row in found]
    if len(things) > 1:
        paths = [names.shorten(each) for each in things]
        more = f" and {len(paths) - MAX_NAMED} more" if len(paths) > MAX_NAMED else ""
        raise NotFound(f"{text} is the code of several things: {', '.join(paths[:MAX_NAMED])}{more}. Name one of them.")
    return things[0] if things else iri


async def description(store: Store, iri: str) -> list[ox.Triple]:
    """Return the triples of the description of `iri`. Raises NotFound where there are none, and Gone for what is retired."""
    found: list[ox.Triple] = []
    if is_iri(iri):
        found = await triples(store, _construct(iri)) or await triples(store, _beside(iri))
    own = [(t.predicate.value, t.object) for t in found if t.subject == ox.NamedNode(iri)]
    check_known(iri, [(p, o.value) for p, o in own if isinstance(o, ox.NamedNode | ox.Literal)], known=bool(found))
    if any(isinstance(term, ox.BlankNode) for triple in found for term in (triple.subject, triple.object)):
        found = [quad.triple for quad in canonical(ox.Quad(*triple) for triple in found)]
    return sorted(found, key=partial(_place, iri))


def _place(iri: str, triple: ox.Triple) -> tuple[Any, ...]:
    """Return a key that puts the thing first, its type and then its properties in the order of the context."""
    known, predicate = jsonld.vocabulary(), triple.predicate.value
    rank = known.rank.get(known.terms[predicate].name, 0) if predicate in known.terms else len(known.rank)
    own, kind = triple.subject == ox.NamedNode(iri), predicate == names.RDF_TYPE
    return not own, jsonld.natural(str(triple.subject)), not kind, rank, predicate, jsonld.natural(str(triple.object))


def check_known(iri: str, said: Collection[tuple[str, str]], *, known: bool) -> None:
    """Raise NotFound where nothing is `known` of a thing, and Gone where its properties with their values retire it."""
    if not known:
        raise NotFound(
            f"Nothing is known of <{iri}>. A path names the plan before class and code, as the addresses in /id do."
        )
    if (names.OWL + "deprecated", "true") in said:
        raise Gone(iri, sorted(value for predicate, value in said if predicate == _DCTERMS + "isReplacedBy"))


def is_iri(text: str) -> bool:
    """Tell whether `text` may stand in a query as an IRI."""
    try:  # the parser is stricter than NamedNode
        list(ox.parse(f"<{text}> a <{names.ONTOLOGY}> .".encode(), format=ox.RdfFormat.TURTLE))
    except (SyntaxError, ValueError):
        return False
    return re.fullmatch(r"[^\x00-\x20<>\"{}|^`\\]*", text) is not None


def _construct(iri: str) -> str:
    # Filters and not VALUES: the engine joins those by reading every triple once.
    def links(name: str, number: str) -> str:
        return f"""{{ SELECT {name} WHERE {{ ?n {name} <{iri}>
      FILTER(isIRI(?n) && {name} NOT IN (itu:subject, itu:predicate))
      FILTER NOT EXISTS {{ {name} owl:inverseOf|^owl:inverseOf ?inverse }} }} GROUP BY {name} HAVING(COUNT(*) {number} {MAX_INCOMING}) }}"""

    few, many = links("?l", "<="), links("?l", ">")
    listed = f'IRI(CONCAT("{names.BASE}id?to=", ENCODE_FOR_URI(STR(<{iri}>)), "&by=", ENCODE_FOR_URI(STR(?l))))'
    return f"""{names.PROLOGUE}
CONSTRUCT {{ ?s ?p ?o }} WHERE {{
  {{ <{iri}> ?p ?o BIND(<{iri}> AS ?s) {_STATED} }}
  UNION {{ <{iri}> ?l ?b FILTER(isBlank(?b)) ?b ({NESTED})* ?s FILTER(isBlank(?s)) ?s ?p ?o }}
  UNION {{ ?s itu:subject <{iri}> ; ?p ?o {_STATED} }}
  UNION {{ {links("?p", "<=")} {{ ?s ?p <{iri}> BIND(<{iri}> AS ?o) }} FILTER(isIRI(?s)) }}
  UNION {{ {few} FILTER(?l = itu:object) ?s ?l <{iri}> ; ?p ?o FILTER(?p NOT IN (itu:object, itu:printedForm)) {_STATED} }}
  UNION {{ {many} BIND(<{iri}> AS ?s) BIND(rdfs:seeAlso AS ?p) BIND({listed} AS ?o) }}
  UNION {{ <{iri}> ?l ?s FILTER(?l != rdf:type) {_CALLED} }}
  UNION {{ ?linkage itu:subject|itu:object <{iri}> ; dcterms:source|itu:edition|prov:wasDerivedFrom ?s . {_CALLED} }}
  UNION {{ {few} ?s ?l <{iri}> . {_CALLED} }}
}}"""


def _beside(iri: str) -> str:
    """Return the CONSTRUCT for what only a graph beside the merged one speaks of: a shape, a derived Linkage."""
    return f"""{names.PROLOGUE}
CONSTRUCT {{ ?s ?p ?o }} WHERE {{
  {{ GRAPH ?g {{ <{iri}> ?p ?o }} BIND(<{iri}> AS ?s) }}
  UNION {{ GRAPH ?g {{ <{iri}> ?l ?b FILTER(isBlank(?b)) ?b ({NESTED})* ?s FILTER(isBlank(?s)) ?s ?p ?o }} }}
  UNION {{ GRAPH ?g {{ ?s ?p <{iri}> FILTER(isIRI(?s)) }} BIND(<{iri}> AS ?o) }}
  UNION {{ GRAPH ?g {{ <{iri}> ?l ?s FILTER(?l != rdf:type) }} {_CALLED} }}
}}"""


# --- frames ---

_NOTHING_FRAMED = write_json({"@context": names.CONTEXT})


@cache
def frame_query(name: str) -> SavedQuery:
    """Return the CONSTRUCT that gathers what the frame `name` lays out."""
    return saved_query(shipped() / "queries" / "frames" / f"{name}.rq")


async def _framed(store: Store, iri: str, syntax: Format) -> bytes:
    assert syntax.frame is not None
    query = frame_query(syntax.frame)
    content = b""
    if is_iri(iri):
        asked = read_query(query.bound(root=iri))._replace(root=iri)
        content = await ask(store, asked, syntax)
    if content in (b"", _NOTHING_FRAMED):
        await description(store, iri)
        raise BadRequest(f'The frame "{syntax.frame}" is for {query.summary}, and <{iri}> is none.')
    return content
