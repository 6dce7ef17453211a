"""Measure what `itukg propose` is worth: a plan states links of its outputs; they are left out, and asked for again.

    python -m benchmarks.proposals                              # the outputs of buap-2018-2021, ten seconds
    python -m benchmarks.proposals --write docs/proposals.md    # replace the figures in the page

1. What each output states is left out, and proposed again from everything else: how many of the stated links are among the
   ten strongest candidates. Then the same with what all outputs of the plan state left out at once.
2. SDG targets are ranked by their own text alone, by three measures, against those that the outputs state. RapidFuzz and
   bm25s are compared where they are installed: `pip install -r benchmarks/peers.txt`.
"""

import argparse
import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import pyoxigraph as ox

from benchmarks import report
from itukg import names
from itukg.corpus import Corpus
from itukg.proposals.grounds import PREDICATES, Candidate, Facts, candidates, wordings_of
from itukg.proposals.propose import store_of
from itukg.settings import Settings

PLAN = names.THINGS + "buap-2018-2021"
RANKS = (1, 3, 10)

Links = dict[str, set[str]]
"""Output → objects of its stated links by one predicate."""


@dataclass(frozen=True)
class Stated:
    """What the outputs of the plan state: their wording, and the Linkages and triples by which they state links."""

    labels: dict[str, str]
    links: dict[str, Links]
    quads: dict[str, list[ox.Quad]]

    @classmethod
    def of(cls, store: ox.Store) -> "Stated":
        """Read what a store holds of them."""
        rows = store.query(f"""{names.PROLOGUE} SELECT ?linkage ?output ?label ?predicate ?object WHERE {{
            VALUES ?predicate {{ {" ".join(f"<{each}>" for each in PREDICATES)} }}
            ?output a itu:Output ; itu:plan <{PLAN}> ; rdfs:label ?label .
            ?linkage itu:subject ?output ; itu:predicate ?predicate ; itu:object ?object ; itu:basis itu:stated
        }} ORDER BY ?output ?object""")
        assert isinstance(rows, ox.QuerySolutions)
        found = cls({}, {predicate: {} for predicate in PREDICATES}, {})
        for row in rows:
            linkage, output, label, predicate, object_ = (row[name] for name in range(5))
            assert isinstance(linkage, ox.NamedNode)
            assert isinstance(output, ox.NamedNode)
            assert isinstance(predicate, ox.NamedNode)
            assert isinstance(object_, ox.NamedNode)
            assert isinstance(label, ox.Literal)
            if not object_.value.endswith("/all"):  # a totality is no candidate
                found.labels[output.value] = label.value
                found.links[predicate.value].setdefault(output.value, set()).add(object_.value)
            quads = found.quads.setdefault(output.value, [])
            quads.append(ox.Quad(output, predicate, object_, ox.DefaultGraph()))
            quads += store.quads_for_pattern(linkage, None, None, ox.DefaultGraph())
        return found


@contextmanager
def without(store: ox.Store, quads: list[ox.Quad]) -> Iterator[Facts]:
    """Give the facts of a store that lacks `quads` until the block ends."""
    for quad in quads:
        store.remove(quad)
    try:
        yield Facts(store)
    finally:
        store.extend(quads)


def recall(store: ox.Store, stated: Stated, *, at_once: bool, announce: Callable[[], None] = lambda: None) -> dict[str, float]:
    """Return, by predicate, the mean share of an output's stated links that are among its candidates.

    Left out is what the output states, or with `at_once` what all outputs of the plan state.
    """
    found: list[Candidate] = []
    everything = [quad for quads in stated.quads.values() for quad in quads]
    parts = [stated.labels] if at_once else [{output: label} for output, label in stated.labels.items()]
    for labels in parts:
        with without(store, everything if at_once else stated.quads[next(iter(labels))]) as facts:
            found += candidates(facts, labels)
        announce()
    proposed = {(each.subject, each.predicate, each.object) for each in found}

    def share(output: str, predicate: str, objects: set[str]) -> float:
        return sum((output, predicate, each) in proposed for each in objects) / len(objects)

    return {
        predicate: sum(share(output, predicate, objects) for output, objects in links.items()) / len(links)
        for predicate, links in stated.links.items()
    }
