"""The links of a release as sets of mappings (SSSOM): what a query of `queries/mappings/` finds is a set."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import pyoxigraph as ox

from itukg import names
from itukg.errors import NotAcceptable
from itukg.formats import SSSOM, SSSOM_JSONLD
from itukg.queries import SavedQuery
from itukg.release.turtle import rows_of
from itukg.release.void import PUBLISHER, RIGHTS
from itukg.sssom import MappingSet, joined, read_tsv, write_jsonld, write_tsv

CONFIDENCE = {"high": "0.9", "medium": "0.6", "low": "0.3"}
"""The numbers for a reader's words. They are ours: they order links and say nothing of how often one is wrong."""
JUSTIFICATIONS = {
    "stated": "semapv:ManualMappingCuration",
    "judged": "semapv:ManualMappingCuration",
    "derived": "semapv:MappingChaining",
    # The publisher of the scheme does not say how each link was found.
    "reference": "semapv:UnspecifiedMatching",
}
"""Basis → why the mapping holds, in the Semantic Mapping Vocabulary."""
EXTENSIONS = [
    {"slot_name": "basis", "property": "itu:basis", "type_hint": "linkml:Uriorcurie"},
    {"slot_name": "broad", "property": "itu:broad", "type_hint": "xsd:boolean"},
    {"slot_name": "confidence_level", "property": "itu:confidence", "type_hint": "xsd:string"},
    {"slot_name": "link_property", "property": "itu:predicate", "type_hint": "linkml:Uriorcurie"},
    {"slot_name": "strength", "property": "itu:strength", "type_hint": "xsd:string"},
]
"""What SSSOM has no slot for."""
_CURIES: dict[str, str] = {**names.PREFIXES, "itukg": names.THINGS, "un": names.UN, "semapv": names.SEMAPV}

PROPOSED = "proposals-"
"""How the names of files of proposals begin, which are no mappings yet."""

Said = dict[str, dict[str, str]]
"""Thing → name of a property, as `descriptions/mapped.rq` has it → the first of its values."""


def write_mappings(
    folder: Path, store: ox.Store, queries: Sequence[SavedQuery], rules: Sequence[SavedQuery], release: str
) -> None:
    """Write the set of each query into `folder`, as `<query>.sssom.tsv` and `<query>.sssom.jsonld`.

    A query selects `linkage`, `subject`, `predicate`, `object`, and `whole`: whether the object is a Totality, a link to
    which is one statement and no mapping. `rules` say what the name of a rule stands for. Raises DataError for an IRI
    without a prefix.
    """
    said: Said = {}
    for row in rows_of(store, "mapped"):
        known = said.setdefault(row["thing"], {})
        known[row["name"]] = min(known.get(row["name"], str(row["value"])), str(row["value"]))
    # A number before the name of a rule's file says when it runs.
    named = {re.sub(r"^\d+-", "", rule.name): rule.summary for rule in rules}
    summaries = {name: f"{name}: {summary}" for name, summary in named.items()}
    for query in queries:
        found = store.query(query.text)
        assert isinstance(found, ox.QuerySolutions)
        links = [{name: solution[name].value for name in _LINK} for solution in found]
        parts = [link for link in links if link["whole"] != "true"]
        rows = [_mapping(link, said, summaries) for link in parts]
        mappings = MappingSet(_metadata(query, rows, len(links) - len(parts), release), rows)
        for syntax, write in ((SSSOM, write_tsv), (SSSOM_JSONLD, write_jsonld)):
            (folder / f"{query.name}{syntax.suffix}").write_bytes(write(mappings))


def mappings_of(folder: Path, links: Iterable[tuple[str, str, str, str]], title: str, address: str) -> MappingSet:
    """Return the rows of the mapping sets in a release's folder that are one of `links`, as a set with a title and an address.

    A link is its subject, predicate, object and basis, as IRIs. Raises NotAcceptable where no set has any of them.
    """
    wanted = {tuple(map(_curie, link)) for link in links}
    sets = (path for path in sorted(folder.glob(f"*{SSSOM.suffix}")) if not path.name.startswith(PROPOSED))
    rows = [row for path in sets for row in read_tsv(path).rows if _link_of(row) in wanted]
    if not rows:
        raise NotAcceptable(
            "None of these links is a mapping, to an SDG or an action line; ask for text/csv, which has links of every kind."
        )
    said = {"mapping_set_id": address, "mapping_set_version": folder.name, "mapping_set_title": title}
    return MappingSet(_OF_ALL | said, rows)


def _link_of(row: dict[str, str]) -> tuple[str, str, str, str]:
    return row["subject_id"], row.get("link_property") or row["predicate_id"], row["object_id"], row["basis"]


_OF_ALL: dict[str, object] = {
    "curie_map": _CURIES,
    "creator_label": [PUBLISHER],
    "license": names.LICENSE,
    "comment": RIGHTS,
    "extension_definitions": EXTENSIONS,
}
"""The metadata of every set."""
_LINK = ("linkage", "subject", "predicate", "object", "whole")


def _metadata(query: SavedQuery, rows: list[dict[str, str]], wholes: int, release: str) -> dict[str, object]:
    bases = Counter(row["basis"].removeprefix("itu:") for row in rows)
    levels = ", ".join(f"{word} as {number}" for word, number in CONFIDENCE.items())
    comment = [
        f"{RIGHTS} {len(rows)} mappings{': ' if rows else ''}{', '.join(f'{n} {basis}' for basis, n in sorted(bases.items()))}.",
        f"Links left out because they are one statement about a whole and no mapping to each of its parts: {wholes}.",
    ]
    if any("confidence" in row for row in rows):
        comment.append(
            f"A reader's confidence is given as a number of ours to sort by ({levels}), and in the reader's word."
        )
    return _OF_ALL | {
        "mapping_set_id": f"{names.DATA}{release}/{query.name}{SSSOM.suffix}",
        "mapping_set_version": release,
        "mapping_set_title": query.summary,
        "mapping_set_description": query.description,
        "comment": " ".join(comment),
    }


def _mapping(link: dict[str, str], said: Said, rules: dict[str, str]) -> dict[str, str]:
    """Return a link as a row; `rules` tells what each rule does."""
    linkage = said[link["linkage"]]
    rule = linkage.get("rule", "")
    row = {
        "predicate_id": _curie(link["predicate"]),
        "mapping_justification": JUSTIFICATIONS[linkage["basis"].removeprefix(names.ITU)],
        "mapping_provider": linkage.get("document", ""),
        "confidence": CONFIDENCE.get(linkage.get("confidence", ""), ""),
        "reviewer_label": joined([linkage.get("role", "")]),
        "review_date": linkage["date"] if "role" in linkage else "",
        "curation_rule_text": joined([rules.get(rule, rule)]),
        "see_also": joined([link["linkage"]]),
        "comment": _comment(linkage),
        "basis": _curie(linkage["basis"]),
        "link_property": _curie(linkage["property"]) if linkage["property"] != link["predicate"] else "",
        "confidence_level": linkage.get("confidence", ""),
        "strength": linkage.get("strength", ""),
        "broad": linkage.get("broad", ""),
    }
    for end in ("subject", "object"):
        thing = said[link[end]]
        row |= {
            f"{end}_id": _curie(link[end]),
            f"{end}_label": thing.get("label", ""),
            f"{end}_category": _curie(thing["class"]),
            f"{end}_source": _curie(thing.get("source", "")),
            f"{end}_source_version": _version(thing.get("source", ""), said),
        }
    return {name: value for name, value in row.items() if value}


def _comment(linkage: dict[str, str]) -> str:
    """Return the words that a link rests on, with their place, or the reason for it."""
    document = linkage.get("document", "").rpartition("/")[2]
    line = f"line {linkage['line']}" if "line" in linkage else None
    place = ", ".join(filter(None, (document, linkage.get("section"), line)))
    quote = f"“{linkage['quote']}” ({place})" if "quote" in linkage else None
    return " ".join(filter(None, (quote, linkage.get("rationale"))))


def _version(source: str, said: Said) -> str:
    """Return which version of a plan or scheme is meant: its own, or status, symbol and date of its document, where known."""
    plan = said.get(source, {})
    document = said.get(plan.get("document", ""), {})
    return ", ".join(
        filter(None, (plan.get("version"), plan.get("status"), document.get("symbol"), document.get("date")))
    )


@cache
def _curie(iri: str) -> str:
    """Return an IRI by its longest prefix; unchanged where it has none."""
    known = [(len(namespace), prefix) for prefix, namespace in _CURIES.items() if iri.startswith(namespace)]
    length, prefix = max(known, default=(0, ""))
    return f"{prefix}:{iri[length:]}" if prefix else iri
