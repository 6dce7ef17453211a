"""The catalog: releases, what they are downloaded as, services and provenance (DCAT 3, PROV), and the same for search engines."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import pyoxigraph as ox

from itukg import names
from itukg.formats import CSV, GZIP
from itukg.pages import local_link
from itukg.rdf.facts import Facts, Value, literal, triples_of
from itukg.release.dumps import DUMPS, STEM, File
from itukg.release.model import Release
from itukg.release.void import PERIOD, PUBLISHER, RIGHTS, TITLE, checksum, sum_iri

DESCRIPTION = (
    "Goals, outcomes, outputs and indicators of the plans of the International Telecommunication Union, and how they "
    "serve the WSIS action lines, the Sustainable Development Goals and resolutions; each link with its evidence."
)
KEYWORDS = ("ITU", "WSIS", "SDG", "results framework", "strategic plan", "action plan", "linked data")
_PUBLISHER = names.CATALOG + "#publisher"
_SPARQL = names.CATALOG + "#sparql"
_API = names.CATALOG + "#api"


def distributions(release: Release) -> list[File]:
    """Return the files of a release that hold its data: dumps and tables."""
    named = {f"{STEM}{syntax.suffix}{zipped}" for syntax in DUMPS for zipped in ("", GZIP.suffix)}
    return [file for name, file in release.files.items() if name in named or file.syntax == CSV]


def catalog(releases: Sequence[Release], served: Release, provenance: Iterable[ox.Triple], at: str) -> list[ox.Triple]:
    """Return the catalog of `releases`, in the order in which they were built; `at` is where the service is reached.

    The dataset is one, its releases are its versions. Things are named by our IRIs; only addresses are those of
    the service that was asked.
    """
    about: dict[str, Value | Sequence[Value]] = {
        "dcterms:description": literal(DESCRIPTION, "en"),
        "dcterms:publisher": _PUBLISHER,
        "dcterms:license": names.LICENSE,
        "dcterms:rights": literal(RIGHTS, "en"),
        "dcterms:language": names.ENGLISH,
    }
    versions = [names.DATA + release.name for release in releases]
    current = names.DATA + served.name
    triples = [
        *triples_of(
            names.CATALOG,
            {
                "a": "dcat:Catalog",
                "dcterms:title": literal(f"{TITLE}: catalog", "en"),
                **about,
                "foaf:homepage": f"{at}/",
                "dcterms:modified": _time(served.built),
                "dcat:dataset": names.DATASET,
                "dcat:service": [_SPARQL, _API],
            },
        ),
        *triples_of(_PUBLISHER, {"a": "foaf:Agent", "foaf:name": literal(PUBLISHER)}),
        *triples_of(
            names.DATASET,
            {
                "a": "dcat:Dataset",
                "dcterms:title": literal(TITLE, "en"),
                **about,
                "dcat:keyword": [literal(word, "en") for word in KEYWORDS],
                "dcterms:temporal": PERIOD,
                "dcat:landingPage": f"{at}/data",
                "rdfs:seeAlso": names.DESCRIPTION,
                "dcat:hasVersion": versions,
                "dcat:hasCurrentVersion": current,
            },
        ),
        *triples_of(
            _SPARQL,
            {
                "a": "dcat:DataService",
                "dcterms:title": literal("SPARQL endpoint", "en"),
                "dcat:endpointURL": f"{at}/sparql",
                "dcat:endpointDescription": f"{at}/.well-known/void",
                "dcterms:conformsTo": names.PROTOCOL,
                "dcat:servesDataset": current,
            },
        ),
        *triples_of(
            _API,
            {
                "a": "dcat:DataService",
                "dcterms:title": literal("Things, lists and reports over HTTP", "en"),
                "dcat:endpointURL": f"{at}/",
                "dcat:endpointDescription": f"{at}/openapi.json",
                "dcterms:conformsTo": names.OPENAPI,
                "dcat:servesDataset": current,
            },
        ),
    ]
    for release, before in zip(releases, [None, *releases], strict=False):
        triples += version(release, before, at)
    made = {quad.subject.value for quad in provenance if isinstance(quad.subject, ox.NamedNode)}
    graphs = sorted(iri for iri in made if iri.startswith(names.GRAPHS))
    triples += triples_of(current, {"dcterms:hasPart": graphs})
    for graph in graphs:
        triples += triples_of(graph, {"prov:wasGeneratedBy": f"{current}#build"})
    return list(dict.fromkeys([*triples, *provenance]))


def version(release: Release, before: Release | None, at: str) -> Iterable[ox.Triple]:
    """Return what is said of a release, and of `before`, the one built before it, as its previous version."""
    iri, files = names.DATA + release.name, distributions(release)
    earlier = names.DATA + before.name if before else ()
    yield from triples_of(
        iri,
        {
            "a": ("dcat:Dataset", "prov:Entity"),
            "dcterms:title": literal(f"{TITLE}, release {release.name}", "en"),
            "dcterms:identifier": literal(release.name),
            "dcat:version": literal(release.name),
            "dcat:isVersionOf": names.DATASET,
            "dcat:previousVersion": earlier,
            "prov:wasRevisionOf": earlier,
            "dcterms:issued": _time(release.built),
            "dcterms:license": names.LICENSE,
            "dcterms:publisher": _PUBLISHER,
            "dcat:landingPage": f"{at}/data/{release.name}",
            "prov:wasGeneratedBy": f"{iri}#build",
            "dcat:distribution": [f"{iri}/{file.name}" for file in files],
        },
    )
    yield from triples_of(f"{iri}#build", {"a": "prov:Activity", "prov:endedAtTime": _time(release.built)})
    for file in files:
        facts: Facts = {
            "a": "dcat:Distribution",
            "dcterms:title": literal(file.name),
            "dcat:accessURL": f"{at}/data/{release.name}",
            "dcat:downloadURL": f"{at}/data/{release.name}/{file.name}",
            "dcat:mediaType": names.MEDIA_TYPES + file.content.media_type,
            "dcat:compressFormat": names.MEDIA_TYPES + GZIP.media_type if file.syntax == GZIP else (),
            "dcat:byteSize": literal(str(file.size), datatype="xsd:nonNegativeInteger"),
            "spdx:checksum": sum_iri(file.sha256),
            "dcterms:license": names.LICENSE,
        }
        yield from triples_of(f"{iri}/{file.name}", facts)
        yield from checksum(file.sha256)


def for_search_engines(release: Release, at: str) -> dict[str, Any]:
    """Return the dataset as search engines read it (schema.org)."""
    return {
        "@context": names.PREFIXES["schema"],
        "@type": "Dataset",
        "@id": names.DATASET,
        "name": TITLE,
        "description": DESCRIPTION,
        "url": f"{at}/data",
        "license": names.LICENSE,
        "creator": {"@type": "Organization", "name": PUBLISHER},
        "version": release.name,
        "dateModified": release.built,
        "keywords": list(KEYWORDS),
        "inLanguage": "en",
        "isAccessibleForFree": True,
        "distribution": [
            {
                "@type": "DataDownload",
                "name": file.name,
                "contentUrl": f"{at}/data/{release.name}/{file.name}",
                "encodingFormat": file.content.media_type,
                "contentSize": f"{file.size} B",
                "sha256": file.sha256,
            }
            for file in distributions(release)
        ],
    }


def made_from(provenance: Iterable[ox.Triple]) -> dict[str, list[dict[str, str | None]]]:
    """Return graph → what it was made from: `name`, `path` where there is one here, and `sha256`; documents after files."""
    said: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for triple in provenance:
        if isinstance(triple.subject, ox.NamedNode) and isinstance(triple.object, ox.NamedNode | ox.Literal):
            said[triple.subject.value][triple.predicate.value].append(triple.object.value)
    derived, hashed, titled = map(names.expand, ("prov:wasDerivedFrom", "spdx:checksum", "dcterms:title"))

    def source(iri: str) -> dict[str, str | None]:
        digest = next(iter(said[iri][hashed]), None)
        return {
            "name": next(iter(said[iri][titled]), names.shorten(iri)),
            "path": local_link(iri) if iri.startswith(names.THINGS) else None,
            "sha256": digest and digest.rpartition("/")[2],
        }

    found: dict[str, list[dict[str, str | None]]] = {}
    for graph in sorted(iri for iri in said if iri.startswith(names.GRAPHS)):
        files = said[graph][derived]
        behind = [document for file in files for document in said[file][derived] if file.startswith(names.CATALOG)]
        found[graph.removeprefix(names.GRAPHS)] = [source(iri) for iri in dict.fromkeys([*files, *behind])]
    return found


def _time(moment: str) -> ox.Literal:
    return literal(moment, datatype="xsd:dateTime")
