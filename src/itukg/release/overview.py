"""What lists and pages know of the graph: made at build, so that no request asks the store for it."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Self

import pyoxigraph as ox

from itukg import names
from itukg.formats import write_json
from itukg.rdf.jsonld import natural, word


@dataclass(frozen=True)
class Filter:
    """One way to choose: by what a thing has in one of the properties.

    `values` is the SPARQL pattern of each ?value that there is to choose from; without one, what the properties lead to.
    """

    name: str
    label: str
    properties: tuple[str, ...]
    values: str = ""
    evidenced: bool = False
    """Whether its links have a basis, so that `basis` chooses among them."""


def _in_range(*properties: str) -> str:
    """Return the pattern of what properties lead to by the ontology, named or not."""
    return f"{' UNION '.join(f'{{ {p} rdfs:range ?class }}' for p in properties)} ?value a ?class ."


_SDG = ("itu:contributesToSDG", "itu:contributesToSDGTarget", "itu:linkedToSDGIndicator")
_ACTION_LINE = ("itu:contributesToActionLine", "itu:supportedBy", "itu:facilitates", "itu:soleFacilitatorOf")
_CLASSES = "{ SELECT DISTINCT ?value WHERE { ?thing a ?value ; skos:notation ?code FILTER(isIRI(?value)) } }"
_BASES = f"{{ SELECT DISTINCT ?value WHERE {{ {{ ?l itu:basis ?value }} UNION {{ GRAPH <{names.graph('derived')}> {{ ?l itu:basis ?value }} }} }} }}"

FILTERS = (
    Filter("plan", "Plan", ("itu:plan",)),
    Filter("class", "Class", ("rdf:type",), _CLASSES),
    Filter("sdg", "SDG", _SDG, _in_range(*_SDG), evidenced=True),
    Filter("actionLine", "Action line", _ACTION_LINE, _in_range("itu:contributesToActionLine"), evidenced=True),
    Filter("instrument", "Instrument", ("itu:supportedBy", "itu:cites"), _in_range("itu:cites"), evidenced=True),
    Filter("basis", "Basis", ("itu:basis",), _BASES),
)
"""The filters that take their values from the graph. Beside them, `to` and `by` choose by any link."""


@dataclass(frozen=True)
class Value:
    """Something that a filter can have: its IRI, its notation, and what it is called."""

    iri: str
    notation: str
    label: str

    @property
    def short(self) -> str:
        """What names it in an address."""
        return word(self.iri) if "#" in self.iri else names.shorten(self.iri).removeprefix("sdg:")

    def is_named(self, text: str) -> bool:
        """Tell whether `text` names it: the IRI, a prefixed name, a path below /id/, its last part, or the notation."""
        shortened = names.shorten(self.iri)
        return text in (self.iri, shortened, self.short, re.split(r"[/#:]", shortened)[-1], self.notation)


@dataclass(frozen=True)
class Words:
    """What pages say of a term, where the ontology gives it words for people."""

    label: str
    inverse: str = ""
    """What stands before a thing on the page of that to which the property leads."""
    sentence: str = ""
    machine: bool = False
    """Whether only machines need it, so that pages put it under "Data"."""


@dataclass(frozen=True)
class Overview:
    """The values of each filter in natural order, the paths under which things stand, and what terms are called."""

    values: Mapping[str, list[Value]]
    folders: frozenset[str]
    terms: Mapping[str, str]
    """Term of the ontology → its label."""
    words: Mapping[str, Words]
    """Term, also of another vocabulary → its words for people."""

    def reader(self, iri: str, *, inverse: bool = False) -> str:
        """Return what a page calls a term, or a property seen from its other end; its label where it has no such word."""
        words = self.words.get(iri, Words(""))
        label = self.terms.get(iri, "")
        return (words.inverse if inverse else words.label) or label[:1].upper() + label[1:] or names.shorten(iri)

    def sentence(self, iri: str) -> str:
        """Return what a term means in a sentence for people, or an empty text."""
        return self.words[iri].sentence if iri in self.words else ""

    def for_machines(self, iri: str) -> bool:
        """Tell whether pages put what a term says under "Data"."""
        return iri in self.words and self.words[iri].machine

    @classmethod
    def of_store(cls, store: ox.Store) -> Self:
        """Return the overview of the release that a store holds."""
        terms = f"SELECT ?term ?label WHERE {{ GRAPH <{names.graph('ontology')}> {{ ?term rdfs:label ?label }} }} ORDER BY ?term ?label"
        return cls(
            {each.name: _values(store, each) for each in FILTERS},
            _folders(store),
            {row["term"].value: row["label"].value for row in rows_of(store, terms)},
            _words(store),
        )

    @classmethod
    def read(cls, content: bytes) -> Self:
        """Return the overview that `write` has written."""
        noted = json.loads(content)
        values = {name: [Value(**value) for value in values] for name, values in noted["values"].items()}
        words = {iri: Words(**each) for iri, each in noted.get("words", {}).items()}  # older releases have none
        return cls(values, frozenset(noted["folders"]), noted["terms"], words)

    def write(self) -> bytes:
        """Write it as JSON; the same graph gives the same bytes."""
        return write_json(asdict(self) | {"folders": sorted(self.folders)})


def _values(store: ox.Store, chosen: Filter) -> list[Value]:
    led_to = f"{{ SELECT DISTINCT ?value WHERE {{ ?thing {'|'.join(chosen.properties)} ?value }} }}"
    found = rows_of(
        store,
        f"""SELECT DISTINCT ?value ?notation ?label WHERE {{ {chosen.values or led_to}
  OPTIONAL {{ ?value skos:notation ?notation }} OPTIONAL {{ ?value rdfs:label ?label }} }} ORDER BY ?value ?notation ?label""",
    )
    values = {}
    for row in found:
        iri, notation, label = row["value"].value, row["notation"], row["label"]
        values[iri] = Value(iri, notation.value if notation else "", label.value if label else names.shorten(iri))
    return sorted(values.values(), key=lambda value: (natural(value.notation), natural(value.short)))


def _words(store: ox.Store) -> dict[str, Words]:
    found = rows_of(
        store,
        f"""SELECT ?term ?label ?inverse ?sentence ?machine WHERE {{ GRAPH <{names.graph("ontology")}> {{
  ?term itu:readerLabel ?label OPTIONAL {{ ?term itu:readerLabelInverse ?inverse }}
  OPTIONAL {{ ?term itu:readerSentence ?sentence }} OPTIONAL {{ ?term itu:forMachines ?machine }} }} }} ORDER BY ?term""",
    )
    words = {}
    for row in found:
        inverse, sentence, machine = (
            row[name].value if row[name] else "" for name in ("inverse", "sentence", "machine")
        )
        words[row["term"].value] = Words(row["label"].value, inverse, sentence, machine == "true")
    return words


def _folders(store: ox.Store) -> frozenset[str]:
    things = f'SELECT DISTINCT ?thing WHERE {{ ?thing ?p ?o FILTER(STRSTARTS(STR(?thing), "{names.THINGS}")) }}'
    parts = (row["thing"].value.removeprefix(names.THINGS).split("/") for row in rows_of(store, things))
    return frozenset("/".join(path[:end]) for path in parts for end in range(1, len(path)))


def rows_of(store: ox.Store, query: str) -> Iterator[ox.QuerySolution]:
    """Return the solutions of a SELECT query, which may use our prefixes."""
    found = store.query(names.PROLOGUE + query)
    assert isinstance(found, ox.QuerySolutions)
    return found
