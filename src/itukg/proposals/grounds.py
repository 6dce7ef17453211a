"""Why a link may be proposed: each kind of ground, how strong it is, and how a row words it."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from math import prod

import pyoxigraph as ox

from itukg import names
from itukg.names import shorten
from itukg.proposals.wording import Wordings

RANGES = {
    names.ITU + "contributesToSDGTarget": names.PREFIXES["sdgo"] + "Target",
    names.ITU + "contributesToActionLine": names.ITU + "ActionLine",
    names.ITU + "supportedBy": names.ITU + "Instrument",
}
"""Predicate → the class of its objects."""
PREDICATES = tuple(RANGES)
"""The links that are proposed, in this order."""
STRENGTHS = {
    "indicator": 0.8,
    "succession, close": 0.8,
    "succession, loose": 0.5,
    "wording of a thing": 0.6,
    "wording of the object": 0.6,
    "matrix": 0.3,
    "category": 0.1,
}
"""The strength of a ground, 0 to 1; of wording, times the similarity; of the matrix, times the strength of the action line."""
MIN_SIMILARITY = 0.1
"""Below it, two texts share too few words, or too common ones."""
COMMON_IN_THINGS, COMMON_IN_OBJECTS = 0.05, 0.2
"""The share of the things, and of the objects of a predicate, from which on a word is too common to tell them apart."""
MIN_STRENGTH = 0.2
"""A weaker candidate is left out: it is not worth a curator's time."""
MAX_LIKE = 5
"""Things that are looked at for the links they state, the most similar first."""
MAX_CANDIDATES = 10
"""Candidates for one thing and predicate, the strongest first."""
MAX_WORDS = 3
"""Grounds that a row states at most, the strongest first."""


@dataclass(frozen=True)
class Ground:
    """One reason for a link: its kind, how strong it is, and the words that tell it."""

    kind: str
    strength: float
    words: str


@dataclass(frozen=True)
class Candidate:
    """A link that is proposed, with its grounds, the strongest first."""

    subject: str
    predicate: str
    object: str
    grounds: tuple[Ground, ...]

    @property
    def strength(self) -> float:
        """How likely the link holds if each ground were right as often as it is strong, and independently of the others."""
        return round(1 - prod(1 - ground.strength for ground in self.grounds), 2)

    @property
    def words(self) -> str:
        """The strongest grounds, told."""
        told = list(dict.fromkeys(ground.words for ground in self.grounds))
        more = f"; and {len(told) - MAX_WORDS} more" if len(told) > MAX_WORDS else ""
        return "; ".join(told[:MAX_WORDS]) + more


Row = dict[str, str]
Link = tuple[str, str, str]
"""Subject, predicate and object."""
Grounds = dict[Link, list[Ground]]


class Facts:
    """What the grounds rest on, read once from a store: the merged graph by default, and the graph `derived`."""

    def __init__(self, store: ox.Store) -> None:
        self._store = store
        self.objects = rows_of(store, "objects")
        self.stated = rows_of(store, "stated")
        self.inherited = [row for query in ("indicator", "succession", "category") for row in rows_of(store, query)]
        self.matrix = rows_of(store, "matrix")
        self.subjects = rows_of(store, "subjects")
        self.links = _by(self.stated, "subject")
        self._sources = _by(rows_of(store, "derivations"), "link")
        self._places = {(row["linkage"], row["object"]): row for row in self.stated}

    def labels(self, plan: str) -> dict[str, str]:
        """Return the things of the plan of this IRI for which links are proposed, in the document's order, with their wording."""
        return {row["subject"]: row["label"] for row in self.subjects if row["plan"] == plan}

    def origin(self, link: str, object_: str) -> Row | None:
        """Return where a document states what the Linkage `link` says of an object, or those it rests on; None where none does."""
        places = (
            self._places.get((link, object_)),
            *(self.origin(row["source"], object_) for row in self._sources[link]),
        )
        return next((place for place in places if place is not None), None)

    def states(self, link: Link) -> bool:
        """Return whether a document states the link."""
        subject, predicate, object_ = map(ox.NamedNode, link)
        return ox.Quad(subject, predicate, object_, ox.DefaultGraph()) in self._store

    def states_any(self, subject: str, predicate: str) -> bool:
        """Return whether a document states any link of a thing by a predicate."""
        pattern = ox.NamedNode(subject), ox.NamedNode(predicate), None, ox.DefaultGraph()
        return any(True for _ in self._store.quads_for_pattern(*pattern))

    def label(self, iri: str) -> str:
        """Return the label of a thing."""
        pattern = ox.NamedNode(iri), ox.NamedNode(names.PREFIXES["rdfs"] + "label"), None, ox.DefaultGraph()
        return min(
            quad.object.value for quad in self._store.quads_for_pattern(*pattern) if isinstance(quad.object, ox.Literal)
        )


def rows_of(store: ox.Store, query: str) -> list[Row]:
    """Return the solutions of `queries/<query>.rq`: variable → IRI or text; what is unbound is left out."""
    text = (resources.files(__package__) / "queries" / f"{query}.rq").read_text(encoding="utf-8")
    found = store.query(text)
    assert isinstance(found, ox.QuerySolutions)
    variables = [variable.value for variable in found.variables]
    return [{name: str(row[name].value) for name in variables if row[name] is not None} for row in found]


def candidates(
    facts: Facts, labels: Mapping[str, str], announce: Callable[[float], None] = lambda _part: None
) -> list[Candidate]:
    """Return what is proposed for the things in `labels`, in their order; `announce` hears which share of them is done.

    For a thing and a predicate there are at most MAX_CANDIDATES, the strongest first, none weaker than MIN_STRENGTH; what
    a document states is left out.
    """
    wordings = wordings_of(facts)
    inherited = _inherited(facts)
    found = []
    for done, (subject, label) in enumerate(labels.items()):
        grounds = _of_wording(facts, wordings, subject, label)
        for link, more in inherited[subject].items():
            grounds[link] += more
        _add_matrix(facts, grounds, subject)
        proposed = [
            Candidate(*link, tuple(sorted(grounds[link], key=lambda ground: (-ground.strength, ground.words))))
            for link in grounds
            if not facts.states(link)
        ]
        proposed = [each for each in proposed if each.strength >= MIN_STRENGTH]
        for predicate in PREDICATES:
            ranked = sorted(
                (each for each in proposed if each.predicate == predicate),
                key=lambda each: (-each.strength, each.object),
            )
            found += ranked[:MAX_CANDIDATES]
        announce((done + 1) / len(labels))
    return found


def wordings_of(facts: Facts) -> dict[str, Wordings]:
    """Return the texts of the objects by predicate, and under "" those of the things that have or could have a link."""
    things = {row["subject"]: row["label"] for row in (*facts.stated, *facts.subjects)}
    found = {"": Wordings(things, COMMON_IN_THINGS)}
    for predicate, rows in _by(facts.objects, "predicate").items():
        texts = {name: " · ".join(row["text"] for row in of_it) for name, of_it in _by(rows, "object").items()}
        found[predicate] = Wordings(texts, COMMON_IN_OBJECTS)
    return found


def _of_wording(facts: Facts, wordings: Mapping[str, Wordings], subject: str, label: str) -> Grounds:
    """Return the grounds of wording: things like the subject that state a link, and objects whose own text is like it.

    A sentence counts once for a link, with the thing that is most like the subject.
    """
    grounds: Grounds = defaultdict(list)
    links, counted = facts.links, set()
    alike = [
        each for each in wordings[""].like(label, subject) if each.similarity >= MIN_SIMILARITY and each.name in links
    ]
    for thing in alike[:MAX_LIKE]:
        for row in links[thing.name]:
            link = subject, row["predicate"], row["object"]
            sentence = link, row["source"], row["line"]
            if sentence not in counted:
                counted.add(sentence)
                told = f"shares {_quoted(thing.words)} with {_place(row, thing.name)}"
                kind = "wording of a thing"
                grounds[link].append(Ground(kind, STRENGTHS[kind] * thing.similarity, told))
    for predicate in PREDICATES:
        for each in wordings[predicate].like(label):
            if each.similarity >= MIN_SIMILARITY:
                kind = "wording of the object"
                told = f"shares {_quoted(each.words)} with the text of {shorten(each.name)}"
                grounds[subject, predicate, each.name].append(Ground(kind, STRENGTHS[kind] * each.similarity, told))
    return grounds


def _quoted(words: Iterable[str]) -> str:
    return ", ".join(f"“{word}”" for word in words)


def _inherited(facts: Facts) -> dict[str, Grounds]:
    """Return the grounds that queries find, by subject; a link has one of each kind, the first that the query gives."""
    found: dict[str, Grounds] = defaultdict(lambda: defaultdict(list))
    for row in facts.inherited:
        grounds = found[row["subject"]][row["subject"], row["predicate"], row["object"]]
        kind = row["kind"]
        if kind not in [ground.kind for ground in grounds]:
            origin = facts.origin(row["link"], row["object"]) if "link" in row else None
            chain = f"a derived link: itukg because {shorten(row['subject'])} {shorten(row['object'])}"
            place = _place(origin) if origin else chain
            grounds.append(Ground(kind, STRENGTHS[kind], _TOLD[kind.partition(",")[0]](row, place)))
    return found


def _add_matrix(facts: Facts, grounds: Grounds, subject: str) -> None:
    """Add the targets that the WSIS-SDG Matrix gives for the action lines stated or proposed for the subject."""
    predicate = PREDICATES[1]
    for row in facts.matrix:
        line = subject, predicate, row["line"]
        stated = facts.states(line)
        if stated or line in grounds:
            strength = 1.0 if stated else Candidate(*line, tuple(grounds[line])).strength
            how = "stated" if stated else f"proposed with {strength:.2f}"
            told = f"the WSIS-SDG Matrix gives it for {shorten(row['line'])}, {how}"
            grounds[subject, row["predicate"], row["object"]].append(
                Ground("matrix", STRENGTHS["matrix"] * strength, told)
            )


def _place(row: Row, like: str | None = None) -> str:
    """Return who states a link, and where; for an outcome `like` the subject, the output that delivers it."""
    by = "" if like in (None, row["stating"]) else f"{shorten(str(like))}, delivered by "
    return f"{by}{shorten(row['stating'])} ({row['section']}, line {row['line']})"


_TOLD: dict[str, Callable[[Row, str], str]] = {
    "indicator": lambda row, _: (
        f"{shorten(row['indicator'])} is matched with {shorten(row['matched'])}, an indicator of it"
    ),
    "succession": lambda row, place: (
        f"succeeds {shorten(row['older'])} ({row['kind'].partition(', ')[2]}), with the link of {place}"
    ),
    "category": lambda row, place: f"offers {shorten(row['category'])}, which succeeds {place}",
}
"""Kind of ground → what tells it, from a row of its query and the place where the link is stated."""


def _by(rows: Iterable[Row], name: str) -> dict[str, list[Row]]:
    found = defaultdict(list)
    for row in rows:
        found[row[name]].append(row)
    return found
