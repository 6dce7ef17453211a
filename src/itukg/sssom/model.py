"""What a set of mappings is: its slots in the order of the specification, extensions and prefixes."""

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from itukg import names
from itukg.errors import DataError


@dataclass(frozen=True)
class MappingSet:
    """Mappings and what is said of all of them.

    `metadata` maps the slots of a mapping set to texts, lists of texts, for `curie_map` to a map, and for
    `extension_definitions` to a list of maps. A row has the slots that have a value; several values of one slot stand in
    one text as `joined` writes them. Numbers, dates and identifiers (CURIEs) are texts.
    """

    metadata: dict[str, object]
    rows: list[dict[str, str]]
    lines: list[int] = field(default_factory=list, compare=False)
    """The line on which each row begins, in a set that was read from a file."""


@dataclass(frozen=True)
class Slot:
    """A slot: `kind` says what its values are, `many` whether it has several, `shared` whether a set may say it for all its rows.

    `iri` is its property in RDF, where that is not its name in SSSOM's namespace.
    """

    name: str
    kind: str = "text"
    many: bool = False
    shared: bool = False
    iri: str = ""


_OWL, _PAV, _RDFS = names.OWL, names.PAV, names.PREFIXES["rdfs"]
_DCTERMS, _PROV = names.PREFIXES["dcterms"], names.PREFIXES["prov"]

# In the order of the specification, which is that of the columns.
SLOTS = (
    Slot("record_id", "entity"),
    Slot("subject_id", "entity", iri=_OWL + "annotatedSource"),
    Slot("subject_label"),
    Slot("subject_category"),
    Slot("predicate_id", "entity", iri=_OWL + "annotatedProperty"),
    Slot("predicate_label"),
    Slot("predicate_modifier", "enumeration"),
    Slot("object_id", "entity", iri=_OWL + "annotatedTarget"),
    Slot("object_label"),
    Slot("object_category"),
    Slot("mapping_justification", "entity"),
    Slot("author_id", "entity", many=True, iri=_PAV + "authoredBy"),
    Slot("author_label", many=True),
    Slot("reviewer_id", "entity", many=True),
    Slot("reviewer_label", many=True),
    Slot("creator_id", "entity", many=True, iri=_DCTERMS + "creator"),
    Slot("creator_label", many=True),
    Slot("license", "iri", iri=_DCTERMS + "license"),
    Slot("subject_type", "enumeration", shared=True),
    Slot("subject_source", "entity", shared=True),
    Slot("subject_source_version", shared=True),
    Slot("object_type", "enumeration", shared=True),
    Slot("object_source", "entity", shared=True),
    Slot("object_source_version", shared=True),
    Slot("predicate_type", "enumeration", shared=True),
    Slot("mapping_provider", "iri", shared=True),
    Slot("mapping_source", "entity"),
    Slot("mapping_cardinality"),
    Slot("cardinality_scope", many=True, shared=True),
    Slot("mapping_tool", shared=True),
    Slot("mapping_tool_id", "entity", shared=True),
    Slot("mapping_tool_version", shared=True),
    Slot("mapping_date", "date", shared=True, iri=_DCTERMS + "created"),
    Slot("publication_date", "date", iri=_DCTERMS + "issued"),
    Slot("review_date", "date"),
    Slot("confidence", "number"),
    Slot("reviewer_agreement", "number"),
    Slot("curation_rule", "entity", many=True, shared=True),
    Slot("curation_rule_text", many=True, shared=True),
    Slot("subject_match_field", "entity", many=True, shared=True),
    Slot("object_match_field", "entity", many=True, shared=True),
    Slot("match_string", many=True),
    Slot("subject_preprocessing", "entity", many=True, shared=True),
    Slot("object_preprocessing", "entity", many=True, shared=True),
    Slot("similarity_score", "number"),
    Slot("similarity_measure", shared=True),
    Slot("see_also", "iri", many=True, iri=_RDFS + "seeAlso"),
    Slot("issue_tracker_item", "entity"),
    Slot("other"),
    Slot("comment", iri=_RDFS + "comment"),
)
"""The slots of a mapping."""
REQUIRED = ("subject_id", "predicate_id", "object_id", "mapping_justification")

OF_ROWS = {slot.name: slot for slot in SLOTS}
_ALONE = (  # slots that only a set has
    Slot("sssom_version"),
    Slot("curie_map", "map"),
    Slot("mapping_set_id", "iri"),
    Slot("mapping_set_version", iri=_OWL + "versionInfo"),
    Slot("mapping_set_source", "iri", many=True, iri=_PROV + "wasDerivedFrom"),
    Slot("mapping_set_title", iri=_DCTERMS + "title"),
    Slot("mapping_set_description", iri=_DCTERMS + "description"),
    Slot("mapping_set_confidence", "number"),
    Slot("issue_tracker", "iri"),
    Slot("extension_definitions", "map", many=True),
)
ORDER = (
    *("sssom_version", "curie_map", "mapping_set_id", "mapping_set_version", "mapping_set_source", "mapping_set_title"),
    *("mapping_set_description", "mapping_set_confidence", "creator_id", "creator_label", "license", "subject_type"),
    *("subject_source", "subject_source_version", "object_type", "object_source", "object_source_version"),
    *("predicate_type", "mapping_provider", "cardinality_scope", "mapping_tool", "mapping_tool_id"),
    *("mapping_tool_version", "mapping_date", "publication_date", "subject_match_field", "object_match_field"),
    *("subject_preprocessing", "object_preprocessing", "similarity_measure", "curation_rule", "curation_rule_text"),
    *("see_also", "issue_tracker", "other", "comment", "extension_definitions"),
)
OF_SETS = {name: ({slot.name: slot for slot in _ALONE} | OF_ROWS)[name] for name in ORDER}

IRI_TYPE = "linkml:Uriorcurie"
"""The `type_hint` of an extension slot whose values are CURIEs."""
BUILT_IN = {
    **{prefix: names.PREFIXES[prefix] for prefix in ("owl", "rdf", "rdfs", "skos", "xsd")},
    "linkml": names.LINKML,
    "semapv": names.SEMAPV,
    "sssom": names.SSSOM,
}
"""The prefixes that a file may use without declaring them (section "IRI prefixes")."""

_CURIE = re.compile(r"([A-Za-z_][\w.-]*):(?!//)\S*", re.ASCII)
_SLOT_NAME = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)
_VALUE = re.compile(r"(?:[^\\|]|\\.?)+", re.DOTALL)


def joined(values: Sequence[str]) -> str:
    """Return the values of one slot as one text; `split` reads it."""
    return "|".join(re.sub(r"([\\|])", r"\\\1", value) for value in values)


def split(text: str) -> list[str]:
    """Return the values that `joined` wrote."""
    return [re.sub(r"\\([\\|])", r"\1", value) for value in _VALUE.findall(text)]


def extensions(metadata: Mapping[str, object]) -> dict[str, tuple[str, str]]:
    """Return property and `type_hint` of each extension slot, by its name, sorted by the property.

    Raises DataError for a definition that is none.
    """
    found: dict[str, tuple[str, str]] = {}
    given = metadata.get("extension_definitions", [])
    for definition in given if isinstance(given, list) else [given]:
        each = definition if isinstance(definition, dict) else {}
        name = each.get("slot_name", "")
        if not _SLOT_NAME.fullmatch(name) or name in OF_ROWS or name in OF_SETS or not each.get("property"):
            raise DataError(
                f"{definition} defines no extension slot: it needs a slot_name of letters, digits and _ that is not SSSOM's, and a "
                "property."
            )
        found[name] = (each["property"], each.get("type_hint", ""))
    return dict(sorted(found.items(), key=lambda item: item[1]))


def declared(metadata: Mapping[str, object]) -> dict[str, str]:
    """Return all prefixes of a set: those built in and those of its `curie_map`.

    Raises DataError for a built-in prefix with another meaning.
    """
    curie_map = metadata.get("curie_map", {})
    assert isinstance(curie_map, dict)
    for prefix, iri in BUILT_IN.items():
        if curie_map.get(prefix, iri) != iri:
            raise DataError(
                f"{prefix} is <{iri}> in SSSOM. Give <{curie_map[prefix]}> another prefix in the curie_map."
            )
    return {**BUILT_IN, **curie_map}


def prefixes(metadata: Mapping[str, object], rows: Iterable[Mapping[str, object]]) -> set[str]:
    """Return the prefixes of the identifiers in metadata and rows.

    Raises DataError for an identifier that is no CURIE, and for a prefix that is not declared.
    """
    known, defined = declared(metadata), extensions(metadata)
    slots = {slot.name: slot.many for slot in SLOTS if slot.kind == "entity"}
    slots |= {name: False for name, (_, hint) in defined.items() if hint == IRI_TYPE}
    found = {each for pair in defined.values() for each in pair}
    for values in (metadata, *rows):
        for name in slots.keys() & values.keys():
            value = values[name]
            found.update(value if isinstance(value, list) else split(str(value)) if slots[name] else [str(value)])
    return {_prefix(each, known) for each in found if each}


def _prefix(identifier: str, known: Mapping[str, str]) -> str:
    curie = _CURIE.fullmatch(identifier)
    if not curie:
        raise DataError(f'"{identifier}" is no CURIE. Write prefix:name, with the prefix in the curie_map.')
    if curie[1] not in known:
        raise DataError(f'The prefix of "{identifier}" is not declared. Add "{curie[1]}: IRI" to the curie_map.')
    return curie[1]


def check_slot(name: str, known: Container[str]) -> None:
    """Raise DataError for a slot that is not among those known."""
    if name not in known:
        raise DataError(f'"{name}" is no slot of SSSOM. Correct it, or declare it in extension_definitions.')
