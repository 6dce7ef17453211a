"""What the files say of a thing beside its label, for a curator who decides about a link of it."""

import re
from collections import defaultdict
from dataclasses import dataclass

import pyoxigraph as ox

from itukg import names
from itukg.corpus import Corpus, merged
from itukg.rdf.jsonld import natural

MAX_NEIGHBOURS = 8
"""How many things are named by one property, at most."""
_RDFS, _SKOS, _DCTERMS = (names.PREFIXES[prefix] for prefix in ("rdfs", "skos", "dcterms"))
_PLACE = (names.ITU + "plan", _DCTERMS + "source")


@dataclass(frozen=True)
class Background:
    """A thing: its class, code, words and place, and what it is linked with, by what the links are called."""

    kind: str
    code: str
    label: str
    definition: str
    place: str
    around: dict[str, list[str]]

    @property
    def name(self) -> str:
        """Class and code, such as "topic T1.1"."""
        return f"{self.kind} {self.code}".strip()


class Facts:
    """The files of a corpus, as far as they are looked up."""

    def __init__(self, corpus: Corpus) -> None:
        self._store = ox.Store()
        self._store.bulk_extend(merged(list(corpus.quads())))

    def of(self, iri: str) -> Background:
        """Return what is said of a thing; of an unknown one, nothing."""
        line = self.text(iri, names.ITU + "line")
        place = self.text(iri, names.ITU + "section") + (f", line {line}" if line else "")
        document = self.values(iri, _DCTERMS + "source")
        kinds = [self.term(kind) for kind in self.values(iri, names.RDF_TYPE)]
        return Background(
            kind=kinds[0] if kinds else "",
            code=self.text(iri, _SKOS + "notation"),
            label=self.label(iri),
            definition=self.text(iri, _SKOS + "definition"),
            place=f"{place} of {names.shorten(document[0])}" if document and place else "",
            around=self._around(iri),
        )

    def label(self, iri: str) -> str:
        """Return what a thing is called, else the short form of its IRI."""
        return self.text(iri, _RDFS + "label") or names.shorten(iri)

    def term(self, iri: str) -> str:
        """Return what a term is called; one of other vocabularies by its name: isTargetOf is "is target of"."""
        label = self.text(iri, names.ITU + "readerLabel") or self.text(iri, _RDFS + "label")
        return label or re.sub(r"(?<=[a-z])(?=[A-Z])", " ", re.split(r"[#/]", iri)[-1]).lower()

    def text(self, iri: str, predicate: str) -> str:
        """Return a text of a thing, "" where it has none."""
        found = self._store.quads_for_pattern(ox.NamedNode(iri), ox.NamedNode(predicate), None, ox.DefaultGraph())
        return min((quad.object.value for quad in found if isinstance(quad.object, ox.Literal)), default="")

    def values(self, iri: str, predicate: str) -> list[str]:
        """Return the things that a property leads to, sorted."""
        found = self._store.quads_for_pattern(ox.NamedNode(iri), ox.NamedNode(predicate), None, ox.DefaultGraph())
        return sorted(quad.object.value for quad in found if isinstance(quad.object, ox.NamedNode))

    def _around(self, iri: str) -> dict[str, list[str]]:
        """Return what a thing is linked with, but for its plan and document, and what of no plan is linked with it."""
        node = ox.NamedNode(iri)
        found: dict[str, list[str]] = defaultdict(list)
        for quad in self._store.quads_for_pattern(node, None, None, ox.DefaultGraph()):
            predicate, other = quad.predicate.value, quad.object
            if (
                predicate not in _PLACE
                and isinstance(other, ox.NamedNode)
                and self.text(other.value, _SKOS + "notation")
            ):
                found[self.term(predicate)].append(self._named(other.value))
        for quad in self._store.quads_for_pattern(None, None, node, ox.DefaultGraph()):
            if isinstance(quad.subject, ox.NamedNode):
                of = [names.ITU + name for name in ("plan", "predicate")]  # what belongs to a plan, and evidence
                if not any(self.values(quad.subject.value, each) for each in of):
                    kinds = map(self.term, self.values(quad.subject.value, names.RDF_TYPE))
                    found[f"{next(kinds, 'thing')} that names it"].append(self._named(quad.subject.value))
        return {name: sorted({*things}, key=natural)[:MAX_NEIGHBOURS] for name, things in sorted(found.items())}

    def _named(self, iri: str) -> str:
        return " ".join(filter(None, (self.text(iri, _SKOS + "notation"), self.label(iri))))
