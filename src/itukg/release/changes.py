"""What a release adds and removes: as a patch of triples, and as a list of changed things that a person can read."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyoxigraph as ox

from itukg import names
from itukg.formats import HTML, JSON, PATCH, Format, write_json
from itukg.pages import local_link, render
from itukg.release.dumps import dumped

CHANGES_FORMATS = (HTML, JSON, PATCH)

_FOLLOWING = frozenset(map(names.graph, ("derived", "entailed", "description")))
"""Graphs that follow from others: they count, but what changed in them is not listed thing by thing."""
_LABELS = [ox.NamedNode(names.expand(name)) for name in ("rdfs:label", "dcterms:title", "sh:name", "skos:prefLabel")]


@dataclass(frozen=True)
class Thing:
    """A thing that changed: `status` is added, removed or changed; `properties` → values removed and added."""

    iri: str
    label: str
    graph: str
    status: str
    properties: dict[str, tuple[list[str], list[str]]]

    @property
    def path(self) -> str:
        """Where the thing is answered for."""
        return local_link(self.iri)


@dataclass(frozen=True)
class Changes:
    """The changes from one release to another; the lines of canonical N-Quads that each alone has, sorted."""

    older: str
    newer: str
    removed: list[str]
    added: list[str]
    things: list[Thing]

    @cached_property
    def graphs(self) -> dict[str, tuple[int, int]]:
        """Graph → how many triples are removed and added."""
        removed, added = (Counter(map(_graph, lines)) for lines in (self.removed, self.added))
        return {graph: (removed[graph], added[graph]) for graph in sorted(removed | added)}

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many triples and things are added and removed, and how many things are changed."""
        things = Counter(thing.status for thing in self.things)
        return {
            "triplesAdded": len(self.added),
            "triplesRemoved": len(self.removed),
            **{f"things{status.title()}": things[status] for status in ("added", "removed", "changed")},
        }


def compare(older: Path, newer: Path) -> Changes:
    """Compare the releases in two folders. Raises NotFound where one has no dump."""
    before, after = set(dumped(older)), set(dumped(newer))
    removed, added = sorted(before - after), sorted(after - before)
    return Changes(older.name, newer.name, removed, added, _things(before, after, removed, added))


def write_changes(changes: Changes, syntax: Format) -> bytes:
    """Write the changes in one of CHANGES_FORMATS."""
    if syntax is HTML:
        return render("changes.html", changes=changes)
    return _patch(changes) if syntax is PATCH else write_json(rows(changes))


def rows(changes: Changes) -> dict[str, Any]:
    """Return the changes as JSON has them, without the triples."""
    return {
        "older": changes.older,
        "newer": changes.newer,
        "counts": changes.counts,
        "graphs": {graph: {"removed": old, "added": new} for graph, (old, new) in changes.graphs.items()},
        "things": [
            {
                "id": thing.iri,
                "label": thing.label,
                "graph": thing.graph,
                "status": thing.status,
                "properties": [
                    {"property": property_, "removed": old, "added": new}
                    for property_, (old, new) in thing.properties.items()
                ],
            }
            for thing in changes.things
        ],
    }


def _patch(changes: Changes) -> bytes:
    """Write an RDF Patch: applied to the canonical N-Quads of the older release, it gives those of the newer."""
    lines = [
        f"H id <{names.DATA}{changes.newer}> .",
        f"H prev <{names.DATA}{changes.older}> .",
        "TX .",
        *(f"D {line}" for line in changes.removed),
        *(f"A {line}" for line in changes.added),
        "TC .",
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def _graph(line: str) -> str:
    return line[line.rindex("<") + 1 : line.rindex(">")]


def _things(before: set[str], after: set[str], removed: list[str], added: list[str]) -> list[Thing]:
    found: dict[tuple[str, str], dict[str, tuple[list[str], list[str]]]] = {}
    for side, lines in enumerate((removed, added)):
        for quad in _read(line for line in lines if _graph(line) not in _FOLLOWING):
            assert isinstance(quad.graph_name, ox.NamedNode)
            if isinstance(quad.subject, ox.NamedNode):
                key = (quad.graph_name.value, quad.subject.value)
                values = found.setdefault(key, {}).setdefault(quad.predicate.value, ([], []))
                values[side].append(quad.object.value if isinstance(quad.object, ox.NamedNode) else _text(quad.object))
    wanted = {iri for _, iri in found}
    older, newer = ({line.partition(" ")[0][1:-1] for line in lines} for lines in (before, after))
    labels = _labels(before, wanted) | _labels(after, wanted)
    return [
        Thing(
            iri,
            labels.get(iri, names.shorten(iri)),
            graph,
            "added" if iri not in older else "removed" if iri not in newer else "changed",
            properties,
        )
        for (graph, iri), properties in sorted(found.items())
    ]


def _labels(lines: Iterable[str], wanted: set[str]) -> dict[str, str]:
    marks = [f"> {label} " for label in _LABELS]
    labelled = [line for line in lines if any(mark in line for mark in marks) and _subject(line) in wanted]
    told = (quad for quad in _read(labelled) if quad.predicate in _LABELS)  # the mark may have been the object
    found = sorted(told, key=lambda q: (-_LABELS.index(q.predicate), str(q)))
    return {q.subject.value: q.object.value for q in found if isinstance(q.object, ox.Literal)}  # type: ignore[union-attr]


def _subject(line: str) -> str:
    return line.partition(" ")[0][1:-1]


def _read(lines: Iterable[str]) -> Iterable[ox.Quad]:
    return ox.parse("\n".join(lines).encode(), format=ox.RdfFormat.N_QUADS)


def _text(term: object) -> str:
    return term.value if isinstance(term, ox.Literal) else str(term)
