"""Sets of mappings written as SSSOM/TSV and as JSON-LD."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import yaml  # type: ignore[import-untyped]

from itukg import names
from itukg.formats import write_json
from itukg.sssom.model import (
    IRI_TYPE,
    OF_ROWS,
    OF_SETS,
    ORDER,
    REQUIRED,
    SLOTS,
    MappingSet,
    Slot,
    check_slot,
    declared,
    extensions,
    prefixes,
    split,
)


def write_tsv(mappings: MappingSet, keep: Collection[str] = ()) -> bytes:
    """Write a set as SSSOM/TSV, its metadata in front; the same set gives the same bytes, in whatever order its rows are.

    The form is the canonical one of the specification, but for built-in prefixes, which are declared too: what all rows
    share stands in the metadata, columns without a value, and prefixes and extensions that nothing uses are left out, but
    for the columns to `keep`, which somebody is to fill in.
    Raises DataError for a slot that is neither SSSOM's nor an extension, and for a prefix that is not in the `curie_map`.
    """
    metadata, rows = _condensed(mappings)
    columns = _columns(metadata, rows, keep)
    lines = sorted([row.get(name, "") for name in columns] for row in rows)
    head = "".join(f"#{line}\n" for line in _yaml_lines(_pruned(metadata, rows)))
    return (head + "".join("\t".join(map(_cell, line)) + "\n" for line in [columns, *lines])).encode()


def write_jsonld(mappings: MappingSet) -> bytes:
    """Write a set as JSON-LD that is SSSOM/RDF: slots are keys, a mapping is a line, and the context is in the file.

    Rows keep what they share, so that each can be read alone. Raises DataError as `write_tsv` does.
    """
    columns = _columns(mappings.metadata, mappings.rows)
    metadata = _pruned(mappings.metadata, mappings.rows)
    defined = extensions(metadata)
    context: dict[str, Any] = {"@version": 1.1, "@vocab": names.SSSOM}
    context |= {prefix: _prefix(iri) for prefix, iri in sorted(declared(metadata).items())}
    for slot in (*OF_ROWS.values(), *OF_SETS.values()):
        if slot.name in columns or slot.name in metadata:
            context |= _term(slot)
    for name, (iri, hint) in defined.items():
        context[name] = {"@id": iri, **({"@type": "@id" if hint == IRI_TYPE else hint} if hint else {})}
    if defined:
        context |= {name: {"@type": "@id"} for name in ("property", "type_hint")}
    rows = sorted(mappings.rows, key=lambda row: [row.get(name, "") for name in columns])
    said = {name: _json(OF_SETS.get(name), value) for name, value in metadata.items() if name != "curie_map"}
    head = write_json({"@context": context, "@type": "MappingSet", **said}).removesuffix(b"\n}\n")
    axioms = (
        {"@type": "owl:Axiom"} | {name: _json(OF_ROWS.get(name), row[name]) for name in columns if row.get(name)}
        for row in rows
    )
    lines = ",\n".join(json.dumps(axiom, ensure_ascii=False) for axiom in axioms)
    return head + f',\n"mappings": [\n{lines}\n]}}\n'.encode()


def _cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if re.search(r'["\t\n\r]', text) else text


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """YAML in the specification's form: block sequences, plain scalars, else in double quotes, no aliases."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        """Write each value out."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        """Indent the items of a sequence."""
        super().increase_indent(flow, False)

    def choose_scalar_style(self) -> str:
        """Write in double quotes what cannot be plain."""
        style: str = super().choose_scalar_style()
        return '"' if style == "'" else style


# YAML 1.2 reads these as numbers and this library, which is of YAML 1.1, as texts.
_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+|0o[0-7]+"), list("-+0123456789")
)


def _yaml_lines(metadata: Mapping[str, object]) -> list[str]:
    text: str = yaml.dump(
        dict(metadata),
        Dumper=_Dumper,
        allow_unicode=True,
        default_flow_style=False,
        sort_keys=False,
        width=float("inf"),
    )
    return text.split("\n")[:-1]


def _json(slot: Slot | None, value: object) -> object:
    if slot and slot.kind == "number":
        return float(str(value))
    return split(value) if slot and slot.many and isinstance(value, str) else value


def _prefix(iri: str) -> object:
    # JSON-LD 1.1, section 9.2: only an IRI that ends in one of these is a prefix without saying so.
    return iri if iri[-1:] in set(":/?#[]@") else {"@id": iri, "@prefix": True}


_TYPES = {
    **{f"owl {name}": f"owl:{term}" for name, term in (("class", "Class"), ("object property", "ObjectProperty"))},
    "owl data property": "owl:DatatypeProperty",
    "owl annotation property": "owl:AnnotationProperty",
    "owl named individual": "owl:NamedIndividual",
    "skos concept": "skos:Concept",
    **{f"rdfs {name.lower()}": f"rdfs:{name}" for name in ("Resource", "Class", "Literal", "Datatype")},
    "rdf property": "rdf:Property",
}
"""What the values of `subject_type`, `object_type` and `predicate_type` mean."""


def _term(slot: Slot) -> dict[str, object]:
    if slot.name == "mapping_set_id":
        return {slot.name: "@id"}
    iri = {"@id": slot.iri or names.SSSOM + slot.name}
    match slot.kind:
        case "entity" | "iri":
            return {slot.name: iri | {"@type": "@id"}}
        case "number":
            return {slot.name: iri | {"@type": "xsd:double"}}
        case "date":
            return {slot.name: iri | {"@type": "xsd:date"}}
        case "enumeration":
            meanings = {"Not": "sssom:NegatedPredicate"} if slot.name == "predicate_modifier" else _TYPES
            return {slot.name: iri | {"@type": "@vocab", "@context": meanings}}
    return {slot.name: slot.iri} if slot.iri else {}


def _columns(
    metadata: Mapping[str, object], rows: Sequence[Mapping[str, str]], keep: Collection[str] = ()
) -> list[str]:
    """Return the columns that have a value, those that are required and those to keep, in order."""
    used = {name for row in rows for name, value in row.items() if value}
    known = [*OF_ROWS, *extensions(metadata)]
    for name in sorted(used):
        check_slot(name, known)
    return [name for name in known if name in used or name in REQUIRED or name in keep]


def _pruned(metadata: Mapping[str, object], rows: Sequence[Mapping[str, str]]) -> dict[str, object]:
    """Return the metadata in order, without the prefixes and extensions that nothing uses."""
    defined = extensions(metadata)
    for name in metadata:
        check_slot(name, {*OF_SETS, *defined})
    kept = {name: value for name, value in metadata.items() if value not in ("", [], {})}
    used = {name for row in rows for name, value in row.items() if value} | kept.keys()
    kept["extension_definitions"] = [
        {"slot_name": name, "property": iri} | ({"type_hint": hint} if hint else {})
        for name, (iri, hint) in defined.items()
        if name in used
    ]
    every = declared(metadata)
    kept["curie_map"] = {prefix: every[prefix] for prefix in sorted(prefixes(kept, rows))}
    return {name: kept[name] for name in (*ORDER, *defined) if kept.get(name)}


def _condensed(mappings: MappingSet) -> tuple[dict[str, object], list[dict[str, str]]]:
    """Return metadata and rows, with what all rows share in the metadata."""
    metadata, rows = dict(mappings.metadata), [dict(row) for row in mappings.rows]
    for slot in (slot for slot in SLOTS if slot.shared):
        values = {row.get(slot.name, "") for row in rows}
        if len(values) == 1 and values != {""}:
            [value] = values
            said = split(value) if slot.many else value
            if metadata.setdefault(slot.name, said) == said:
                for row in rows:
                    del row[slot.name]
    return metadata, rows
