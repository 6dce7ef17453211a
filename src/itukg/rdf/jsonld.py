"""JSON-LD 1.1 that clients without RDF can use: one context, one structure, the same keys in the same order every time.

This module compacts by our own context in a tenth of PyLD's time; a test compares the two on the whole graph. PyLD does
the framing. Nothing is ever fetched: the one document that may be "loaded" is our context.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pyoxigraph as ox
from pyld import jsonld

from itukg import names
from itukg.errors import NotAcceptable, NotSupported
from itukg.settings import shipped

Json = dict[str, Any]


@cache
def context() -> Json:
    """Return our JSON-LD context document."""
    document: Json = json.loads((shipped() / "ontology" / "context.jsonld").read_bytes())
    return document


@cache
def context_name() -> str:
    """Return the name of the context as it is now: its version, and a hash of its content."""
    content = json.dumps(context(), sort_keys=True).encode()
    return f"{names.CONTEXT.rpartition('/')[2].removesuffix('.jsonld')}-{hashlib.sha256(content).hexdigest()[:16]}"


def is_our_context(url: object) -> bool:
    """Tell whether an address is that of our context as it is now: its IRI, or one under which a server of ours answers."""
    return url == names.CONTEXT or (isinstance(url, str) and url.endswith(f"/context/{context_name()}.jsonld"))


@cache
def frames() -> dict[str, Json]:
    """Return the frames that we host, by name."""
    return {
        path.stem: json.loads(path.read_bytes()) for path in sorted((shipped() / "queries/frames").glob("*.jsonld"))
    }


# --- from triples ---


def expanded(triples: Iterable[ox.Triple]) -> list[Json]:
    """Return triples as expanded, flat JSON-LD: one node object per subject, integers and booleans as native JSON.

    The engine writes `rdf:type` and numbers the long way, and PyLD's N-Quads parser unescapes text twice, so neither
    is used. Raises NotAcceptable for triples about triples, which JSON-LD 1.1 cannot express.
    """
    nodes: dict[str, Json] = {}
    for triple in triples:
        subject = identifier(triple.subject)
        node = nodes.setdefault(subject, {"@id": subject})
        if triple.predicate.value == names.RDF_TYPE and not isinstance(triple.object, ox.Literal):
            node.setdefault("@type", []).append(identifier(triple.object))
        else:
            node.setdefault(triple.predicate.value, []).append(_value(triple.object))
    return list(nodes.values())


def tree(root: str, nodes: list[Json]) -> Json:
    """Return the node object of `root`, expanded, with all other `nodes` in it.

    Linkages with the root as subject or object are embedded whole, by the reverse property; other links to the root are
    IRIs; and descriptions of other nodes are included (`@included`).
    """
    subject, value = names.ITU + "subject", names.ITU + "object"
    other = {node["@id"]: node for node in nodes}
    top: Json = other.pop(root, {"@id": root})
    reverse: dict[str, list[Json]] = {}
    for name, node in list(other.items()):
        linked = [key for key in node if key[0] != "@" and {"@id": root} in node[key]]
        # A Linkage is embedded by one of its ends; its other links to the root stay inside it.
        whole = subject in node and next((key for key in (subject, value) if key in linked), None)
        for predicate in [whole] if whole else linked:
            reverse.setdefault(predicate, []).append(node if whole else {"@id": name})
            node[predicate] = [each for each in node[predicate] if each != {"@id": root}]
            if not node[predicate]:
                del node[predicate]
        if whole or len(node) == 1:
            del other[name]
    return top | ({"@reverse": reverse} if reverse else {}) | ({"@included": list(other.values())} if other else {})


def identifier(term: object) -> str:
    """Return a node's `@id`. Raises NotAcceptable for a triple, which cannot be a node in JSON-LD 1.1."""
    if isinstance(term, ox.NamedNode):
        return term.value
    if isinstance(term, ox.BlankNode):
        return f"_:{term.value}"
    raise NotAcceptable("JSON-LD 1.1 cannot write triples about triples; request Turtle or N-Triples.")


def _value(term: object) -> Json:
    if not isinstance(term, ox.Literal):
        return {"@id": identifier(term)}
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


# --- compaction by our context (JSON-LD 1.1 API, section 6) ---


@dataclass(frozen=True)
class Term:
    """A key of the context: the type its values are coerced to, whether they are by language, and always in an array."""

    name: str
    type: str | None = None
    by_language: bool = False
    is_set: bool = False

    def takes(self, value: Json) -> bool:
        """Return whether this term can express the expanded `value`; else its IRI is written out."""
        if self.type in ("@id", "@vocab"):
            return "@value" not in value
        if self.by_language:
            return "@language" in value and "@direction" not in value
        return self.type is None or value.get("@type") == self.type


@dataclass(frozen=True)
class _Vocabulary:
    """The context in the form that compaction needs: properties and terms by IRI, prefixes, and the rank of each key."""

    terms: dict[str, Term]
    reverse: dict[str, Term]
    words: dict[str, str]
    prefixes: list[tuple[str, str]]
    keywords: dict[str, str]
    rank: dict[str, int]
    iris: dict[str, str]
    """The IRI of each term, except prefixes and aliases of keywords."""


@cache
def vocabulary() -> _Vocabulary:
    """Return the parsed context."""
    entries = {key: value for key, value in context()["@context"].items() if key != "@version"}
    plain = {key: value for key, value in entries.items() if isinstance(value, str)}
    prefixes = {key: iri for key, iri in plain.items() if iri.endswith(("#", "/"))}

    def expand(name: str) -> str:
        prefix, colon, local = name.partition(":")
        return prefixes[prefix] + local if colon and prefix in prefixes else name

    terms: dict[str, Term] = {}
    reverse: dict[str, Term] = {}
    for key, given in entries.items():
        if key in prefixes or (isinstance(given, str) and given.startswith("@")):
            continue
        entry = {"@id": given} if isinstance(given, str) else given
        containers = entry.get("@container", [])
        containers = [containers] if isinstance(containers, str) else containers
        if "@list" in containers:  # `expanded` makes no lists
            continue
        kind = entry.get("@type")
        term = Term(key, kind and expand(kind), "@language" in containers, "@set" in containers)
        (reverse if "@reverse" in entry else terms)[
            expand(entry["@reverse"] if "@reverse" in entry else entry["@id"])
        ] = term
    return _Vocabulary(
        terms,
        reverse,
        # A term for texts or numbers does not stand for its IRI as a value (JSON-LD 1.1 API, 6.2).
        {iri: t.name for iri, t in terms.items() if not t.by_language and t.type in (None, "@id", "@vocab")},
        sorted(prefixes.items(), key=lambda item: (-len(item[1]), item[0])),
        {iri: key for key, iri in plain.items() if iri.startswith("@")},
        {key: place for place, key in enumerate(("@context", *entries, "@graph"))},
        {
            key: expand(entry if isinstance(entry, str) else entry.get("@reverse") or entry["@id"])
            for key, entry in entries.items()
            if key not in prefixes and not (isinstance(entry, str) and entry.startswith("@"))
        },
    )


def compact(nodes: Sequence[Json]) -> Json:
    """Compact expanded node objects by our context: keys in the context's order, sets in natural order.

    One node is the root object; several are under `@graph`.
    """
    found = [_compact_node(node) for node in nodes]
    body = found[0] if len(found) == 1 else {"@graph": sorted(found, key=natural)} if found else {}
    return {"@context": names.CONTEXT, **body}


def _compact_node(node: Json) -> Json:
    known = vocabulary()
    out: Json = {}
    for key, value in node.items():
        if key == "@id":
            out["id"] = short(value)
        elif key == "@type":
            types = sorted({word(iri) for iri in value})
            out["type"] = types[0] if len(types) == 1 else types
        elif key == "@included":
            out[known.keywords[key]] = sorted(map(_compact_node, value), key=natural)
        elif key == "@reverse":
            for predicate, subjects in value.items():
                if predicate in known.reverse:
                    links = [_compact_node(each) if len(each) > 1 else short(each["@id"]) for each in subjects]
                    out[known.reverse[predicate].name] = sorted(links, key=natural)
                else:
                    term = known.terms.get(predicate)
                    kind = "@id" if term and term.type else None
                    links = [_compact_value(each, kind) for each in subjects]
                    key_word = term.name if term else short(predicate)
                    out.setdefault(known.keywords[key], {})[key_word] = sorted(links, key=natural)
        else:
            _compact_values(key, value, out)
    return _in_rank(out)


def _in_rank(node: Json) -> Json:
    rank = vocabulary().rank
    last = len(rank)
    node = {key: node[key] for key in sorted(node, key=lambda key: (rank.get(key, last), key))}
    if (reverse := vocabulary().keywords.get("@reverse")) in node:
        node[reverse] = _in_rank(node[reverse])
    return node


def _compact_values(predicate: str, values: list[Json], out: Json) -> None:
    term = vocabulary().terms.get(predicate)
    taken = [value for value in values if term and term.takes(value)]
    if term and taken:
        if term.by_language:
            texts: dict[str, list[str]] = {}
            for value in taken:
                texts.setdefault(value["@language"].lower(), []).append(value["@value"])
            out[term.name] = {
                language: _single(sorted(set(found)), always_list=term.is_set)
                for language, found in sorted(texts.items())
            }
        else:
            found = sorted((_compact_value(value, term.type) for value in taken), key=natural)
            out[term.name] = _single(found, always_list=term.is_set)
    if rest := [value for value in values if not (term and term.takes(value))]:
        out[short(predicate)] = _single(sorted((_compact_value(value, None) for value in rest), key=natural))


def _single(values: list[Any], *, always_list: bool = False) -> Any:
    return values[0] if len(values) == 1 and not always_list else values


def _compact_value(value: Json, coerced: str | None) -> Any:
    if "@value" not in value:
        if coerced == "@vocab":
            return word(value["@id"])
        return short(value["@id"]) if coerced == "@id" else {"id": short(value["@id"])}
    if value.keys() == {"@value"} or coerced:
        return value["@value"]
    kind = {"type": word(value["@type"])} if "@type" in value else {}
    return kind | {key: part for key, part in value.items() if key != "@type"}


def word(iri: str) -> str:
    """Return the term for an IRI, or the shortened IRI."""
    return vocabulary().words.get(iri) or short(iri)


def short(iri: str) -> str:
    """Return an IRI with a prefix of the context, where it has one.

    Raises NotAcceptable for one that looks like a prefixed name, and would be read as another IRI (JSON-LD 1.1 API, 5.2.2).
    """
    for prefix, namespace in vocabulary().prefixes:
        if iri.startswith(namespace) and iri != namespace:
            return f"{prefix}:{iri.removeprefix(namespace)}"
    if iri.partition(":")[0] in {prefix for prefix, _ in vocabulary().prefixes}:
        raise NotAcceptable(f"<{iri}> begins like a name of the JSON-LD context; request the expanded form, or Turtle.")
    return iri


def natural(item: Any) -> list[tuple[int, str]]:
    """Return a sort key that puts 9.1 before 9.a and 16.10 after 16.6; an object is sorted by its id."""
    text = str(item.get("id", item.get("@value", "")) if isinstance(item, dict) else item)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)]


# --- framing ---


def frame(nodes: Sequence[Json], name: str | None = None, root: str | None = None) -> Json:
    """Return expanded `nodes` framed by the frame `name`; without a name, each link holds the node that it leads to.

    `root` is the root object. Without it, the root objects are the nodes of the frame's types, or of its reverse property
    if it names no type.
    """
    layout: Json = dict(frames()[name]) if name else {"@context": names.CONTEXT}
    if root is not None:
        layout = {key: value for key, value in layout.items() if key != "type"} | {"id": root}
        if name is None:  # the description of one thing is small, so everything is embedded
            layout |= {"@embed": "@always"} | {term.name: {} for term in vocabulary().reverse.values()}
    elif hanging := [iri for iri, term in vocabulary().reverse.items() if term.name in layout and "type" not in layout]:
        layout["id"] = sorted({value["@id"] for node in nodes for value in node.get(hanging[0], ()) if "@id" in value})
        if not layout["id"]:
            return {"@context": names.CONTEXT}
    layout["@context"] = _context_for(nodes, layout)
    framed = jsonld.frame(
        list(nodes), layout, {"documentLoader": _load_document, "omitGraph": True, "omitDefault": True}
    )
    ordered: Json = _in_order(framed | {"@context": names.CONTEXT})
    return ordered


def _context_for(nodes: Sequence[Json], layout: Json) -> Json:
    """Return our context without the terms that neither nodes nor layout use: PyLD compares each IRI with every term."""
    used = {iri for node in nodes for key in node for iri in (key, *_iris(node[key]))}
    terms = {*layout, *layout.get("type", ())} | {key for key, iri in vocabulary().iris.items() if iri in used}
    return {key: entry for key, entry in context()["@context"].items() if key in terms or key not in vocabulary().iris}


def _iris(values: str | list[Any]) -> Iterator[str]:
    """Yield the IRIs among the values of an expanded property or of `@type`."""
    for value in values if isinstance(values, list) else ():
        if isinstance(value, str):
            yield value
        elif "@id" in value:
            yield value["@id"]


def _in_order(value: Any) -> Any:
    if isinstance(value, list):
        return sorted((_in_order(item) for item in value), key=natural)
    if isinstance(value, dict):
        return _in_rank({key: _in_order(each) for key, each in value.items()})
    return value


def _load_document(url: str, _options: Json) -> Json:
    # Nothing is ever fetched: the only document that JSON-LD processing may "load" is the context we ship.
    if not is_our_context(url):
        raise NotSupported(f"No JSON-LD context is fetched; known: {names.CONTEXT}. Not loaded: {url}")
    return {"contextUrl": None, "documentUrl": url, "document": context()}
