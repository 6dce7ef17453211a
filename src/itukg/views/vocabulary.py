"""The ontology and the shapes as a person reads them: each term with what is said of it, what points to it, and its use."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import pyoxigraph as ox

from itukg import names
from itukg.pages import local_link

Term = ox.NamedNode | ox.BlankNode | ox.Literal | ox.Triple


@dataclass(frozen=True)
class Cell:
    """A value: its text, and where it leads if it is a thing of ours."""

    text: str
    path: str | None = None
    long: bool = False


@dataclass(frozen=True)
class Entry:
    """A term: what it is called, what it means, what else is said of it, and what points to it; property → values.

    `sentence` is what it means for people who do not know the field; empty where it has none.
    """

    iri: str
    label: str
    sentence: str
    definition: str
    said: dict[str, list[Cell]]
    pointing: dict[str, list[Cell]]

    @property
    def name(self) -> str:
        """The part of the IRI that is its anchor."""
        return self.iri.partition("#")[2] or "top"


@dataclass
class Group:
    """Terms that belong together, under a title, or under the term that brings them together."""

    title: str
    head: Entry | None = None
    entries: list[Entry] = field(default_factory=list)


_LABELS = ("rdfs:label", "sh:name", "dcterms:title")
_DEFINITIONS = ("skos:definition", "sh:description", "dcterms:description")
_SENTENCES = ("itu:readerSentence",)
_FIRST = ("sh:severity", "sh:message", "sh:targetClass", "sh:path", "rdfs:subClassOf", "rdfs:subPropertyOf")
_HIDDEN = frozenset(
    map(names.expand, (*_LABELS, *_SENTENCES, *_DEFINITIONS, "rdfs:isDefinedBy", "rdf:type", "sh:prefixes"))
)
_FIRST_OF, _REST_OF = map(names.expand, ("rdf:first", "rdf:rest"))
_KINDS = {
    "owl:Class": "Classes",
    "owl:ObjectProperty": "Properties that link things",
    "owl:DatatypeProperty": "Properties with a value",
    "owl:AnnotationProperty": "Properties of terms",
}
_LONG = 200
"""Characters from which on a value is shown when it is asked for."""


class Vocabulary:
    """The triples of ontology or shapes, with those of the other that point into it."""

    def __init__(self, triples: Iterable[ox.Triple], others: Iterable[ox.Triple] = ()) -> None:
        self._said: dict[Term, dict[str, list[Term]]] = defaultdict(lambda: defaultdict(list))
        self._pointing: dict[Term, list[tuple[str, Term]]] = defaultdict(list)
        own = list(triples)
        for triple in own:
            self._said[triple.subject][triple.predicate.value].append(triple.object)
        for triple in (*own, *others):
            self._pointing[triple.object].append((triple.predicate.value, triple.subject))

    def terms(self, namespace: str) -> list[ox.NamedNode]:
        """Return the terms below an IRI, by name."""
        own = [t for t in self._said if isinstance(t, ox.NamedNode) and t.value.startswith(namespace)]
        return sorted(own, key=lambda term: term.value.lower())

    def kinds(self, term: Term) -> set[str]:
        """Return the classes of a term, as prefixed names."""
        return {
            names.shorten(kind.value) for kind in self._said[term][names.RDF_TYPE] if isinstance(kind, ox.NamedNode)
        }

    def objects(self, term: Term, name: str) -> list[Term]:
        """Return the values of a property."""
        return self._said[term][names.expand(name)]

    def entry(self, term: ox.NamedNode) -> Entry:
        """Return what a person reads of a term."""
        rank = {names.expand(name): place for place, name in enumerate(_FIRST)}
        said = sorted(self._said[term].items(), key=lambda row: (rank.get(row[0], len(rank)), row[0]))
        pointing: dict[str, list[Cell]] = defaultdict(list)
        for predicate, subject in sorted(self._pointing[term], key=str):
            if isinstance(subject, ox.NamedNode) and predicate not in _HIDDEN:
                pointing[predicate].append(self._cell(subject))
        return Entry(
            term.value,
            self._text_of(term, _LABELS) or names.shorten(term.value),
            self._text_of(term, _SENTENCES),
            self._text_of(term, _DEFINITIONS),
            {
                property_: sorted(map(self._cell, values), key=str)
                for property_, values in said
                if property_ not in _HIDDEN
            },
            dict(pointing),
        )

    def _text_of(self, term: Term, properties: tuple[str, ...]) -> str:
        texts = [v.value for name in properties for v in self.objects(term, name) if isinstance(v, ox.Literal)]
        return next(iter(texts), "")

    def _cell(self, value: Term) -> Cell:
        if isinstance(value, ox.NamedNode):
            return Cell(names.shorten(value.value), local_link(value.value) or None)
        text = value.value if isinstance(value, ox.Literal) else " ".join(self._written(value))
        return Cell(text, long=len(text) > _LONG)

    def _written(self, value: Term) -> Iterator[str]:
        """Write a node without a name as Turtle does."""
        if isinstance(value, ox.NamedNode):
            yield names.shorten(value.value)
        elif isinstance(value, ox.Literal):
            yield value.value
        elif _FIRST_OF in self._said[value]:
            yield "("
            while isinstance(value, ox.BlankNode):
                yield from self._written(self._said[value][_FIRST_OF][0])
                [value] = self._said[value][_REST_OF]
            yield ")"
        else:
            yield "["
            for place, (predicate, objects) in enumerate(sorted(self._said[value].items())):
                yield f"{'; ' if place else ''}{names.shorten(predicate)}"
                for each in objects:
                    yield from self._written(each)
            yield "]"


def of_ontology(vocabulary: Vocabulary) -> list[Group]:
    """Return the terms of the ontology, by kind."""
    groups = {title: Group(title) for title in (*_KINDS.values(), "Individuals")}
    for term in vocabulary.terms(names.ITU):
        kinds = vocabulary.kinds(term)
        title = next((title for kind, title in _KINDS.items() if kind in kinds), "Individuals")
        groups[title].entries.append(vocabulary.entry(term))
    return [group for group in groups.values() if group.entries]


def of_shapes(vocabulary: Vocabulary) -> list[Group]:
    """Return the shapes, by the profile that each belongs to; what belongs to none stands last."""
    terms = vocabulary.terms(names.SHAPES + "#")
    profiles = [term for term in terms if "itush:Profile" in vocabulary.kinds(term)]
    groups = {profile: Group("", vocabulary.entry(profile)) for profile in profiles}
    rest = Group("Words used by the shapes")
    for term in terms:
        if term in groups:
            continue
        belongs = [each for each in vocabulary.objects(term, "rdfs:isDefinedBy") if each in groups]
        group = groups[belongs[0]] if belongs and isinstance(belongs[0], ox.NamedNode) else rest
        group.entries.append(vocabulary.entry(term))
    return [group for group in (*groups.values(), rest) if group.head or group.entries]


def uses(void: Iterable[ox.Triple], dataset: str) -> dict[str, int]:
    """Return class → instances, and property → triples, as the VoID description of a dataset counts them."""
    said: Mapping[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for triple in void:
        if isinstance(triple.subject, ox.NamedNode) and isinstance(triple.object, ox.NamedNode | ox.Literal):
            said[triple.subject.value][triple.predicate.value].append(triple.object.value)
    found = {}
    for partition, named, counted in (
        ("classPartition", "class", "entities"),
        ("propertyPartition", "property", "triples"),
    ):
        for part in said[dataset][names.VOID + partition]:
            [term], [number] = said[part][names.VOID + named], said[part][names.VOID + counted]
            found[term] = int(number)
    return found
