"""Measure what `itukg propose` is worth: a plan states links of its outputs; they are left out, and asked for again.

    python -m benchmarks.proposals                              # the outputs of buap-2018-2021, half a minute
    python -m benchmarks.proposals --write docs/proposals.md    # replace the figures in the page

1. What each output states is left out, and proposed again from everything else: how many of the stated links are among the
   ten strongest candidates. Then the same with what all outputs of the plan state left out at once.
2. SDG targets are ranked by their own text alone, by three measures, against those that the outputs state. RapidFuzz and
   bm25s are compared where they are installed: `pip install bm25s rapidfuzz`.
"""

import argparse
import importlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyoxigraph as ox

from benchmarks import report
from itukg import names
from itukg.corpus import Corpus
from itukg.proposals.grounds import MAX_CANDIDATES, PREDICATES, Candidate, Facts, candidates, wordings_of
from itukg.proposals.propose import store_of
from itukg.proposals.wording import STOP_WORDS
from itukg.settings import Settings

PLAN = names.THINGS + "buap-2018-2021"
RANKS = (1, 3, 10)

Links = dict[str, set[str]]
"""Output → objects of its stated links by one predicate."""


@dataclass(frozen=True)
class Stated:
    """What the outputs of the plan state: their wording, their links by predicate, and the quads that say so."""

    labels: dict[str, str]
    links: dict[str, Links]
    quads: dict[str, list[ox.Quad]]

    @classmethod
    def of(cls, store: ox.Store) -> "Stated":
        """Read what a store holds of them; what a sentence states of an outcome too belongs to its output."""
        query = f"""{names.PROLOGUE}
        SELECT ?output ?label ?own ?linkage ?subject ?predicate ?object WHERE {{
            VALUES ?stated {{ {" ".join(f"<{each}>" for each in PREDICATES)} }}
            ?output a itu:Output ; itu:plan <{PLAN}> ; rdfs:label ?label .
            ?one itu:subject ?output ; itu:predicate ?stated ; itu:basis itu:stated ; itu:quote ?quote ; itu:line ?line .
            ?linkage itu:quote ?quote ; itu:line ?line ; itu:subject ?subject ; itu:predicate ?predicate ; itu:object ?object .
            BIND(?linkage = ?one && !EXISTS {{ ?object a itu:Totality }} AS ?own)
        }} ORDER BY ?output ?linkage ?object"""
        rows = store.query(query)
        if not isinstance(rows, ox.QuerySolutions):
            raise TypeError("The query is no SELECT.")
        found = cls({}, {predicate: {} for predicate in PREDICATES}, {})
        for row in rows:
            output, label, own = (row[name].value for name in ("output", "label", "own"))
            link = [row[name] for name in ("subject", "predicate", "object")]
            quads = found.quads.setdefault(output, [])
            quads += [ox.Quad(*link), *store.quads_for_pattern(row["linkage"], None, None, ox.DefaultGraph())]
            found.labels[output] = label
            if own == "true":
                found.links[link[1].value].setdefault(output, set()).add(link[2].value)
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


def recall(
    store: ox.Store, stated: Stated, *, at_once: bool, announce: Callable[[], None] = lambda: None
) -> dict[str, float]:
    """Return, by predicate, the mean share of an output's stated links that are among its candidates.

    Left out is what the output states, or with `at_once` what all outputs of the plan state.
    """
    found: list[Candidate] = []
    labels: dict[str, str]
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


Ranking = Callable[[str], list[str]]
"""The names of texts, the most similar to a text first."""


def rankings(facts: Facts, texts: Mapping[str, str]) -> dict[str, Ranking]:
    """Return the measures of likeness that are at hand, by name: ours, and those of libraries that are installed."""
    ours = wordings_of(facts)[PREDICATES[0]]
    found: dict[str, Ranking] = {"SQLite's BM25, Porter stems": lambda text: [each.name for each in ours.like(text)]}
    for name, library, ranking in (
        ("RapidFuzz, token set ratio", "rapidfuzz.fuzz", by_token_set),
        ("bm25s", "bm25s", by_bm25s),
    ):
        with suppress(ImportError):
            found[name] = ranking(importlib.import_module(library), texts)
    return found


def by_token_set(library: Any, texts: Mapping[str, str]) -> Ranking:
    """Rank by the share of words that two texts have in common, as RapidFuzz counts it."""
    plain = {name: _plain(text) for name, text in texts.items()}
    return lambda text: sorted(texts, key=lambda name: (-library.token_set_ratio(_plain(text), plain[name]), name))


def by_bm25s(library: Any, texts: Mapping[str, str]) -> Ranking:
    """Rank by BM25 as the library bm25s has it, with its own stop words and without stems."""
    names_ = [*texts]

    def tokens(of: str | list[str]) -> Any:
        return library.tokenize(of, stopwords="en", show_progress=False)

    model = library.BM25()
    model.index(tokens([*texts.values()]), show_progress=False)
    return lambda text: [names_[each] for each in model.retrieve(tokens(text), k=RANKS[-1], show_progress=False)[0][0]]


def _plain(text: str) -> str:
    return " ".join(word for word in re.findall(r"\w+", text.lower()) if word not in STOP_WORDS)


def precisions(ranking: Ranking, stated: Stated) -> list[float]:
    """Return, for each of RANKS, the mean share of the best targets of an output that the plan states for it."""
    targets = stated.links[PREDICATES[0]]
    best = {output: ranking(stated.labels[output]) for output in targets}
    return [sum(len({*best[o][:k]} & targets[o]) / k for o in targets) / len(targets) for k in RANKS]


def possible(stated: Stated) -> dict[str, float]:
    """Return, by predicate, the recall of the best proposer: ten candidates cannot hold more than ten links."""
    return {
        predicate: sum(min(1, MAX_CANDIDATES / len(objects)) for objects in links.values()) / len(links)
        for predicate, links in stated.links.items()
    }


def written(store: ox.Store, stated: Stated, announce: Callable[[], None] = lambda: None) -> str:
    """Return the figures as two tables."""
    parts = [
        recall(store, stated, at_once=False, announce=announce),
        recall(store, stated, at_once=True, announce=announce),
    ]
    lines = ["| link | outputs | one output left out | all left out | at best |", "|---|---|---|---|---|"]
    for predicate, best in possible(stated).items():
        figures = (*(part[predicate] for part in parts), best)
        cells = " | ".join(f"{figure:.2f}" for figure in figures)
        lines.append(f"| `itu:{predicate.removeprefix(names.ITU)}` | {len(stated.links[predicate])} | {cells} |")
    facts = Facts(store)
    texts = {row["object"]: "" for row in facts.objects if row["predicate"] == PREDICATES[0]}
    for row in facts.objects:
        if row["object"] in texts:
            texts[row["object"]] = f"{texts[row['object']]} · {row['text']}".removeprefix(" · ")
    lines += ["", "| measure | precision at 1 | at 3 | at 10 |", "|---|---|---|---|"]
    for name, ranking in rankings(facts, texts).items():
        lines.append(f"| {name} | {' | '.join(f'{each:.2f}' for each in precisions(ranking, stated))} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, and with --write replace the figures in a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="page in which to replace the figures")
    arguments = parser.parse_args()
    store = store_of(Corpus(Settings().corpus))
    stated = Stated.of(store)
    with report.progress() as bar:
        task = bar.add_task("Asking again", total=len(stated.labels) + 1)
        text = written(store, stated, lambda: bar.advance(task))
    print(text)
    if arguments.write:
        report.replace(arguments.write, "proposals", text)


if __name__ == "__main__":
    main()
