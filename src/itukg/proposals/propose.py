"""The file of proposals: new candidates join what a curator has decided."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyoxigraph as ox

from itukg import names
from itukg.corpus import Corpus, merged
from itukg.errors import NotFound
from itukg.proposals.grounds import PREDICATES, Candidate, Facts, candidates
from itukg.release.derive import derive, entail
from itukg.release.proposals import (
    CURIE_MAP,
    EXTENSIONS,
    NOTHING,
    OPEN,
    THING,
    Key,
    Row,
    curie,
    definitions,
    key_of,
    read_proposals,
)
from itukg.sssom import MappingSet, write_tsv

CURATORS = ("state", "reviewer_label", "review_date", "comment")
"""The columns that a curator fills in: state, role, date, comment."""
MAPPINGS = "mappings"
"""The graph of what was accepted, and the name of its file."""
NO_GROUND = "No ground found."
"""What a row says that has no object."""


@dataclass(frozen=True)
class Proposed:
    """The file as it should be, and how it came about: counts of rows, and decided rows whose wording has changed since."""

    path: Path
    content: bytes
    candidates: int
    without_ground: int
    decided: int
    reworded: list[str]


def path_of(corpus: Corpus, plan: str) -> Path:
    """Return the file of a plan's proposals."""
    return corpus.root / "data" / "proposals" / f"{plan}.sssom.tsv"


def store_of(corpus: Corpus) -> ox.Store:
    """Return a store of what documents and schemes say, what is judged of them and what rules derive.

    What was accepted is not in it, so that proposals do not rest on one another.
    """
    accepted = ox.NamedNode(names.graph(MAPPINGS))
    merge = merged([quad for quad in corpus.quads() if quad.graph_name != accepted])
    merge |= merged(entail(merge))
    store = ox.Store()
    store.bulk_extend([*merge, *derive(merge, corpus.rules())])
    return store


def propose(corpus: Corpus, plan: str, announce: Callable[[str, float], None] = lambda _step, _part: None) -> Proposed:
    """Return the file of a plan's proposals as it should be. The same files give the same bytes.

    Raises NotFound for a plan for which nothing can be proposed, and DataError for a file that `read_proposals` refuses.
    """
    announce("Deriving", 0.0)
    facts = Facts(store_of(corpus))
    return renewed(path_of(corpus, plan), plan, facts, lambda part: announce("Comparing", 0.5 + part / 2))


def renewed(path: Path, plan: str, facts: Facts, announce: Callable[[float], None] = lambda _part: None) -> Proposed:
    """Return a file of proposals with what is decided in it as it stands, and with what the facts propose now.

    Open rows that have no ground any more are left out. What the head of the file says of the set stays, and so do columns
    that are not ours.
    """
    labels = facts.labels(names.THINGS + plan)
    if not labels:
        known = ", ".join(sorted({names.shorten(row["plan"]) for row in facts.subjects}))
        raise NotFound(f'No plan "{plan}" with topics, outcomes or indicators; known: {known}.')
    before = read_proposals(path) if path.is_file() else None
    found = candidates(facts, labels, announce)
    rows = {key_of(row): row for row in _rows(facts, labels, found)}
    decided: dict[Key, Row] = {}
    for key, row in before.rows.items() if before else ():
        if row["state"] != OPEN:
            decided[key] = row
        elif key in rows:  # it may have a comment already
            rows[key] = row | rows[key]
    rows |= decided
    wording = {curie(iri): label for iri, label in labels.items()}
    changed = sorted({key[0] for key, row in decided.items() if row.get("subject_label") != wording.get(key[0])})
    metadata = head_of(plan, before.metadata if before else {})
    content = write_tsv(MappingSet(metadata, [*rows.values()]), keep=CURATORS)
    return Proposed(path, content, len(found), sum(key[2] == NOTHING for key in rows), len(decided), changed)


def _rows(facts: Facts, labels: dict[str, str], found: list[Candidate]) -> list[Row]:
    ranks: dict[tuple[str, str], int] = {}
    rows = []
    for each in found:
        ranks[each.subject, each.predicate] = rank = ranks.get((each.subject, each.predicate), 0) + 1
        rows.append(
            _row(each.subject, labels, each.predicate, curie(each.object), _justification(each))
            | {"object_label": facts.label(each.object), "rank": str(rank)}
            | {"strength": f"{each.strength:.2f}", "grounds": each.words}
        )
    rows += [
        _row(subject, labels, predicate, NOTHING, "semapv:CompositeMatching") | {"grounds": NO_GROUND}
        for subject in labels
        for predicate in PREDICATES
        if (subject, predicate) not in ranks and not facts.states_any(subject, predicate)
    ]
    return rows


def _row(subject: str, labels: dict[str, str], predicate: str, object_: str, justification: str) -> Row:
    return {
        "subject_id": curie(subject),
        "subject_label": labels[subject],
        "predicate_id": curie(predicate),
        "object_id": object_,
        "mapping_justification": justification,
        "subject_source": f"{THING}:{names.shorten(subject).partition('/')[0]}",
        "mapping_tool": "itukg propose",
        "state": OPEN,
    }


def _justification(candidate: Candidate) -> str:
    """Return SSSOM's name of what the grounds are: words that are alike, links that follow from links, or both."""
    lexical = {ground.kind.startswith("wording") for ground in candidate.grounds}
    if len(lexical) > 1:
        return "semapv:CompositeMatching"
    return "semapv:LexicalMatching" if lexical == {True} else "semapv:MappingChaining"


def head_of(plan: str, said: Mapping[str, object]) -> dict[str, object]:
    """Return the head of the file of a plan: what it said before stays."""
    prefixes = said.get("curie_map", {})
    assert isinstance(prefixes, dict)
    defined = {name: {"slot_name": name, "property": iri} for name, iri in EXTENSIONS.items()}
    # Without commas, colons and quotes: a spreadsheet would put such a line into double quotes.
    return {
        "mapping_set_id": f"{names.BASE}proposals/{plan}",
        "mapping_set_title": f"Links proposed for {plan}",
        "mapping_set_description": "Candidates with their grounds. A link holds only where a curator has accepted it.",
        "license": names.LICENSE,
        **said,
        "sssom_version": "1.1",
        "curie_map": prefixes | CURIE_MAP,
        "extension_definitions": [*(definitions(said) | defined).values()],
    }
