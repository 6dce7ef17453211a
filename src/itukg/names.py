"""Namespaces and the prefix table: the only place where Python spells an IRI."""

import re

BASE = "https://w3id.org/itukg/"
"""The start of all our identifiers. It is an identifier, not an address: a deployment answers by path."""

THINGS = BASE + "id/"
GRAPHS = BASE + "graph/"
DATA = BASE + "data/"
RELEASES = BASE + "release/"
ONTOLOGY = BASE + "ontology"
SHAPES = BASE + "shapes"
CONTEXT = BASE + "context/v1.jsonld"
FRAMES = BASE + "frames/"
SCHEMAS = BASE + "schemas/"
QUERIES = BASE + "queries"
ENDPOINT = BASE + "sparql"
CATALOG = BASE + "catalog"
DATASET = BASE + "data"
DESCRIPTION = BASE + ".well-known/void"
LICENSE = "https://www.apache.org/licenses/LICENSE-2.0"
"""The license of ontology, shapes and queries, and of the graph except for quoted wording (NOTICE)."""
UN = "http://metadata.un.org/"
SDG = UN + "sdg/"

ITU = ONTOLOGY + "#"
SH = "http://www.w3.org/ns/shacl#"
OWL = "http://www.w3.org/2002/07/owl#"
SD = "http://www.w3.org/ns/sparql-service-description#"
VOID = "http://rdfs.org/ns/void#"
FORMATS = "http://www.w3.org/ns/formats/"
MEDIA_TYPES = "https://www.iana.org/assignments/media-types/"
ENGLISH = "http://publications.europa.eu/resource/authority/language/ENG"
PROTOCOL = "https://www.w3.org/TR/sparql11-protocol/"
OPENAPI = "https://spec.openapis.org/oas/v3.1.0"
SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
JSONLD_PROFILE = "http://www.w3.org/ns/json-ld#"
"""The start of the IRIs of JSON-LD forms (JSON-LD 1.1, section 6)."""
JSON_SCHEMA = "https://json-schema.org/draft/2020-12/schema"
DATA_PACKAGE = "https://datapackage.org/profiles/2.0/datapackage.json"
LINKML = "https://w3id.org/linkml/"
PAV = "http://purl.org/pav/"
SEMAPV = "https://w3id.org/semapv/vocab/"
SSSOM = "https://w3id.org/sssom/"
SVG = "http://www.w3.org/2000/svg"
GRAPHML = "http://graphml.graphdrawing.org/xmlns"
EVIDENCED = ITU + "EvidencedProperty"
"""The class of the properties whose links rest on Linkages."""
SUCCESSION = tuple(ITU + name for name in ("restates", "revises", "merges", "splits", "succeeds"))
"""The properties by which a thing takes up an older one: itu:succeeds and its sub-properties."""
RDF_TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"

PREFIXES = {
    "dcat": "http://www.w3.org/ns/dcat#",
    "dcterms": "http://purl.org/dc/terms/",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "itu": ITU,
    "itush": SHAPES + "#",
    "org": "http://www.w3.org/ns/org#",
    "owl": OWL,
    "prov": "http://www.w3.org/ns/prov#",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "schema": "https://schema.org/",
    "sd": SD,
    "sdg": SDG,
    "sdgo": "http://metadata.un.org/sdg/ontology#",
    "sh": SH,
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "spdx": "http://spdx.org/rdf/terms#",
    "vann": "http://purl.org/vocab/vann/",
    "void": VOID,
    "void-ext": "http://ldf.fi/void-ext#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
"""Prefix → namespace, for all our files, queries and answers."""

PROLOGUE = "".join(f"PREFIX {prefix}: <{iri}>\n" for prefix, iri in PREFIXES.items())
"""Declarations of all prefixes for a SPARQL query."""


def declared(query: str) -> str:
    """Return a SPARQL query after the declarations of the prefixes that it uses."""
    used = set(re.findall(r"\b([a-z-]+):(?=\w)", query))
    return "".join(f"PREFIX {prefix}: <{iri}>\n" for prefix, iri in PREFIXES.items() if prefix in used) + query


def graph(name: str) -> str:
    """Return the IRI of the named graph `name`."""
    return GRAPHS + name


def release(name: str) -> str:
    """Return the IRI of the release `name`; on a remote server, the IRIs of its graphs start with it, such as `…/sdg`."""
    return RELEASES + name


def frame(name: str) -> str:
    """Return the IRI of the JSON-LD frame `name`."""
    return f"{FRAMES}{name}.jsonld"


def expand(text: str) -> str:
    """Return the IRI that `text` abbreviates: a path below `/id/`, a prefixed name, or the IRI itself."""
    if "://" in text or text.startswith("urn:"):
        return text
    prefix, colon, local = text.partition(":")
    if colon and prefix in PREFIXES:
        return PREFIXES[prefix] + local
    return THINGS + text.removeprefix("/id/").removeprefix("id/")


def shorten(iri: str) -> str:
    """Return `iri` as a path below `/id/` or a prefixed name where it has one, else unchanged."""
    if iri.startswith(THINGS):
        return iri.removeprefix(THINGS)
    for prefix, namespace in PREFIXES.items():
        local = iri.removeprefix(namespace)
        if local != iri and "/" not in local and "#" not in local:
            return f"{prefix}:{local}"
    return iri
