"""Media types: which syntax a client gets, and how answers and graphs are written in it."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import pyoxigraph as ox
from pyld import jsonld
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from itukg import names
from itukg.errors import NotAcceptable, NotSupported
from itukg.settings import shipped

Json = dict[str, Any]


@dataclass(frozen=True)
class Format:
    """One syntax: its media type, the suffix and `format=` name that choose it, and the engine's name for it."""

    media_type: str
    suffix: str
    engine: ox.RdfFormat | ox.QueryResultsFormat | None = None

    @property
    def name(self) -> str:
        """The word that chooses this syntax in `format=` and `--format`."""
        return self.suffix.removeprefix(".")


JSONLD = Format("application/ld+json", ".jsonld", ox.RdfFormat.JSON_LD)
TURTLE = Format("text/turtle", ".ttl", ox.RdfFormat.TURTLE)
N_TRIPLES = Format("application/n-triples", ".nt", ox.RdfFormat.N_TRIPLES)
HTML = Format("text/html", ".html")
CSV = Format("text/csv", ".csv", ox.QueryResultsFormat.CSV)
JSON = Format("application/json", ".json")

TABLE_FORMATS = (
    Format("application/sparql-results+json", ".srj", ox.QueryResultsFormat.JSON),
    Format("application/sparql-results+xml", ".srx", ox.QueryResultsFormat.XML),
    CSV,
    Format("text/tab-separated-values", ".tsv", ox.QueryResultsFormat.TSV),
    Format("application/json", ".json", ox.QueryResultsFormat.JSON),
)
"""Syntaxes of SELECT, best first. ASK has the first two and the last: CSV and TSV know no booleans."""

BOOLEAN_FORMATS = tuple(f for f in TABLE_FORMATS if f.name in ("srj", "srx", "json"))

GRAPH_FORMATS = (
    TURTLE,
    N_TRIPLES,
    JSONLD,
    Format("application/rdf+xml", ".rdf", ox.RdfFormat.RDF_XML),
)
"""Syntaxes of CONSTRUCT, DESCRIBE and whole graphs, best first."""

THING_FORMATS = (JSONLD, HTML, *(f for f in GRAPH_FORMATS if f is not JSONLD))
"""Syntaxes of a thing under its own IRI: JSON-LD for whoever does not ask for another."""

REPORT_FORMATS = (HTML, TURTLE, JSONLD, CSV, JSON)


@lru_cache(maxsize=1000)  # clients send few different headers, and reading one costs as much as a lookup
def choose(offers: tuple[Format, ...], accept: str | None, name: str | None = None) -> Format:
    """Return the offer that the client likes best; `name` (suffix or `format=`) overrides the Accept header.

    Wildcards, q-values and exclusions (`q=0`) count as in RFC 9110, section 12.5.1; parameters other than
    q do not. Raises NotAcceptable, naming the offers, where none fits.
    """
    if name is not None:
        for offer in offers:
            if name.lower() in (offer.name, offer.media_type):
                return offer
        raise NotAcceptable(f'No format "{name}" here; known: {", ".join(o.name for o in offers)}.')
    parsed = parse_accept_header(accept or "*/*", MIMEAccept)
    bare = ((value.split(";")[0].strip(), quality) for value, quality in parsed)
    plain = MIMEAccept([("*/*" if value == "*" else value, quality) for value, quality in bare])
    best = plain.best_match([o.media_type for o in offers])
    for offer in offers:
        if offer.media_type == best:
            return offer
    raise NotAcceptable(f'Nothing here fits "Accept: {accept}"; to be had: {", ".join(o.media_type for o in offers)}.')


def split_suffix(path: str, offers: Sequence[Format]) -> tuple[str, str | None]:
    """Split `path` from the suffix of one of the offers; the second part is None where it has none.

    A notation may hold a dot (`output/2.1`), so only the offers' own suffixes are cut.
    """
    for offer in offers:
        if path.endswith(offer.suffix):
            return path.removesuffix(offer.suffix), offer.name
    return path, None


def write_graph(triples: Iterable[ox.Triple], syntax: Format) -> bytes:
    """Write triples in `syntax`: with our prefixes, and for JSON-LD compacted by our context."""
    if syntax is JSONLD:
        return write_json(compact(expanded(triples)))
    assert isinstance(syntax.engine, ox.RdfFormat)
    if syntax.engine == ox.RdfFormat.RDF_XML:
        triples = list(triples)
        if odd := next(
            (t.predicate for t in triples if not re.search(r"[/#:][^\W\d][\w.-]*$", t.predicate.value)), None
        ):
            raise NotAcceptable(f"RDF/XML cannot write the property {odd}; ask for Turtle or N-Triples.")
    written = ox.serialize(triples, format=syntax.engine, prefixes=names.PREFIXES) or b""
    return _tidy_turtle(written) if syntax is TURTLE else written


def _tidy_turtle(written: bytes) -> bytes:
    """Return Turtle with its prefixes in order, and only those it uses: the engine writes all, in any order."""
    lines = written.splitlines(keepends=True)
    prefixes = sorted(line for line in lines if line.startswith(b"@prefix "))
    body = b"".join(line for line in lines if not line.startswith(b"@prefix "))
    return b"".join(line for line in prefixes if line.split()[1] in body) + b"\n" + body


def write_json(document: object) -> bytes:
    """Write JSON for people and machines: UTF-8, two spaces of indent, a line feed at the end."""
    return json.dumps(document, ensure_ascii=False, indent=2).encode() + b"\n"


def expanded(triples: Iterable[ox.Triple]) -> list[Json]:
    """Return triples as expanded, flat JSON-LD: one node object per subject, integers and booleans as JSON has them.

    Written here, since the engine writes `rdf:type` and numbers the long way, and PyLD's reader of N-Quads
    unescapes text twice. Raises NotAcceptable for triples about triples, which JSON-LD 1.1 cannot say.
    """
    nodes: dict[str, Json] = {}
    for triple in triples:
        node = nodes.setdefault(_identifier(triple.subject), {"@id": _identifier(triple.subject)})
        if triple.predicate.value == names.RDF_TYPE and not isinstance(triple.object, ox.Literal):
            node.setdefault("@type", []).append(_identifier(triple.object))
        else:
            node.setdefault(triple.predicate.value, []).append(_value(triple.object))
    return list(nodes.values())


def _identifier(term: object) -> str:
    if isinstance(term, ox.NamedNode):
        return term.value
    if isinstance(term, ox.BlankNode):
        return f"_:{term.value}"
    raise NotAcceptable("JSON-LD 1.1 cannot write triples about triples; ask for Turtle or N-Triples.")


def _value(term: object) -> Json:
    if not isinstance(term, ox.Literal):
        return {"@id": _identifier(term)}
    if term.language:
        direction = {"@direction": str(term.direction)} if term.direction else {}
        return {"@value": term.value, "@language": term.language, **direction}
    kind = term.datatype.value.removeprefix(names.PREFIXES["xsd"])
    if kind == "string":
        return {"@value": term.value}
    if kind == "boolean" and term.value in ("true", "false"):
        return {"@value": term.value == "true"}
    if kind == "integer" and re.fullmatch(r"0|-?[1-9]\d{0,14}", term.value):
        return {"@value": int(term.value)}
    return {"@value": term.value, "@type": term.datatype.value}


def compact(nodes: list[Json]) -> Json:
    """Compact expanded JSON-LD by our context: keys in the context's own order, sets by number and letter."""
    ordered: Json = _in_order(jsonld.compact(nodes, names.CONTEXT, {"documentLoader": _load_document}))
    return ordered


@cache
def context() -> Json:
    """Return our JSON-LD context document."""
    document: Json = json.loads((shipped() / "ontology" / "context.jsonld").read_bytes())
    return document


@cache
def _rank() -> dict[str, int]:
    return {key: place for place, key in enumerate(("@context", *context()["@context"], "@graph"))}


def _in_order(value: Any, *, is_list: bool = False) -> Any:
    if isinstance(value, list):
        items = [_in_order(item) for item in value]
        return items if is_list else sorted(items, key=_natural)
    if isinstance(value, dict):
        last = len(_rank())
        keys = sorted(value, key=lambda key: (_rank().get(key, last), key))
        return {key: _in_order(value[key], is_list=key == "@list") for key in keys}
    return value


def _natural(item: Any) -> list[tuple[int, str]]:
    """Return a key that puts 9.1 before 9.a and 16.10 after 16.6; an object counts as its id."""
    text = str(item.get("id", item.get("@value", "")) if isinstance(item, dict) else item)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text)]


def _load_document(url: str, _options: Json) -> Json:
    # The only document that JSON-LD processing may "load" is the context we ship: nothing is ever fetched.
    if url != names.CONTEXT:
        raise NotSupported(f"No JSON-LD context is fetched; known: {names.CONTEXT}. Not loaded: {url}")
    return {"contextUrl": None, "documentUrl": url, "document": context()}
