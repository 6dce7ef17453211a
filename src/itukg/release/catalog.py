"""The catalog: releases, what they are downloaded as, services and provenance (DCAT 3, PROV), and the same for search engines."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import pyoxigraph as ox

from itukg import names
from itukg.formats import CSV, GZIP
from itukg.pages import local_link
from itukg.release.dumps import DUMPS, STEM, File
from itukg.release.model import Release
from itukg.release.package import PACKAGE
from itukg.release.turtle import texts_of, triples_of
from itukg.release.void import PUBLISHER, RIGHTS, TITLE

[DESCRIPTION] = texts_of(names.DATASET, "dcterms:description")
KEYWORDS = texts_of(names.DATASET, "dcat:keyword")
_TEXTS = {"title": TITLE, "description": DESCRIPTION, "keywords": KEYWORDS, "publisher": PUBLISHER, "rights": RIGHTS}


def distributions(release: Release) -> list[File]:
    """Return the files of a release that hold its data: dumps, tables with their description, and sets of mappings."""
    named = {f"{STEM}{syntax.suffix}{zipped}" for syntax in DUMPS for zipped in ("", GZIP.suffix)}
    named.add(PACKAGE)
    return [file for name, file in release.files.items() if name in named or file.syntax == CSV or file.is_sssom]


def catalog(releases: Sequence[Release], served: Release, provenance: Iterable[ox.Triple], at: str) -> list[ox.Triple]:
    """Return the catalog of `releases`, in the order in which they were built; `at` is where the service is reached."""
    provenance = list(provenance)
    versions = [(each, before, distributions(each)) for each, before in zip(releases, [None, *releases], strict=False)]
    made = {triple.subject.value for triple in provenance if isinstance(triple.subject, ox.NamedNode)}
    graphs = sorted(iri for iri in made if iri.startswith(names.GRAPHS))
    triples = triples_of("catalog", served=served, versions=versions, graphs=graphs, at=at, gzip=GZIP, **_TEXTS)
    return list(dict.fromkeys([*triples, *provenance]))


def version(release: Release, before: Release | None, at: str) -> list[ox.Triple]:
    """Return what is said of a release, and of `before`, the one built before it, as its previous version."""
    files = distributions(release)
    return triples_of("version", release=release, before=before, files=files, at=at, gzip=GZIP, **_TEXTS)


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
        "keywords": KEYWORDS,
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
