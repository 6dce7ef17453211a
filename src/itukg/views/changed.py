"""Pages of change: two plans compared, by class; and the stations of a thing over all plans. Both show links in words for people."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from itukg import names
from itukg.engine.store import Store, rows
from itukg.pages import render
from itukg.rdf.jsonld import natural
from itukg.release.overview import FILTERS, Overview, Value
from itukg.views.compare import KINDS, Change, Comparison
from itukg.views.home import timeline_of
from itukg.views.lineage import Lineage, Step, notes_of
from itukg.views.succession import Link, Statement, periods, plans, statements
from itukg.views.words import beside

SHORT = 48
"""Characters of a label that may stand in a list of links; of a longer one, its code does."""


@dataclass(frozen=True)
class End:
    """What a link leads to: how a list calls it, and its label."""

    iri: str
    called: str
    label: str


Ends = Mapping[tuple[str, bool], Sequence[End]]
"""What links gained, lost and kept lead to, those that rules derive (True) apart."""


def ends_of(links: Iterable[Link], known: Mapping[str, Value]) -> Ends:
    """Return what links lead to, by what became of them, in natural order."""
    found = defaultdict[tuple[str, bool], list[End]](list)
    for link in links:
        value = known.get(link.object)
        label = value.label if value else names.shorten(link.object)
        called = _called(link.object, value) if value else label
        found[link.change, link.derived].append(End(link.object, called, label))
    return {key: sorted(ends, key=lambda end: natural(end.called)) for key, ends in found.items()}


def link_ends(overview: Overview) -> Mapping[str, Value]:
    """Return what a release's links lead to, by IRI."""
    return {value.iri: value for each in FILTERS if each.evidenced for value in overview.values[each.name]}


def _called(iri: str, value: Value) -> str:
    if iri.startswith(names.SDG):
        return f"SDG {value.notation}" if value.notation else value.label
    *bodies, kind, _ = names.shorten(iri).split("/")
    if not bodies:
        return value.notation  # of an action line
    if len(value.label) <= SHORT:
        return value.label
    return f"{kind.replace('-', ' ').capitalize()} {value.notation} ({bodies[-1].upper()})"


# --- two plans ---


@dataclass(frozen=True)
class Shown:
    """A change as a page shows it: both wordings as HTML, and what became of links."""

    change: Change
    older: str
    newer: str
    ends: Ends


@dataclass
class Group:
    """The changes of the things of a class."""

    called: str
    counts: Counter[str] = field(default_factory=Counter)
    shown: dict[str, list[Shown]] = field(default_factory=lambda: {kind: [] for kind in KINDS})


async def comparison_page(
    store: Store, overview: Overview, found: Comparison, *, change: str | None, given: Mapping[str, str], query: str
) -> bytes:
    """Return a comparison as a page, of which only changes of the kind `change` are shown, if that is given.

    `given` has the parameters of the request, by which the page leads to others of its kind, and `query` its query string.
    """
    told = await _told(store, (found.older, found.newer))
    known = link_ends(overview)
    classes = defaultdict[str, set[str]](set)
    groups: dict[str, Group] = {}
    for each in found.changes:
        thing, kind = each.newer or each.older or "", each.told["change"] or ""
        folder = thing.removeprefix(names.THINGS).rpartition("/")[0].partition("/")[2]
        classes[folder].add(told.get(thing, (names.ITU, ""))[0])
        group = groups.setdefault(folder, Group(folder.replace("-", " ").capitalize()))
        group.counts[kind] += 1
        if change in (None, kind):
            wording = [_wording(each.told[f"{end}Label"], told.get(iri or "")) for end, iri in each.ends]
            group.shown[kind].append(Shown(each, *beside(*wording), ends_of(each.links, known)))
    for folder, group in groups.items():
        if len(classes[folder]) == 1:
            group.called = overview.reader(*classes[folder])
    return render(
        "compare.html",
        found=found,
        counts=Counter(found.counts),
        groups=groups,
        change=change,
        given={name: value for name, value in given.items() if name not in ("change", "format")},
        query=query,
        periods=await periods(store),
        sentences={kind: overview.sentence(names.ITU + kind) for kind in KINDS},
        linked=Counter(key for each in found.changes for key in _became(each)),
    )


def _became(change: Change) -> Iterable[tuple[str, bool]]:
    return ((link.change, link.derived) for link in change.links)


def _wording(label: str | None, told: tuple[str, str] | None) -> str:
    return f"{label or ''}: {told[1]}" if told and told[1] else label or ""


async def _told(store: Store, of: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return the most specific class of each thing of plans, and what it defines, if anything."""
    found = await rows(
        store,
        f"""{names.PROLOGUE}SELECT ?thing ?class ?definition WHERE {{
  VALUES ?plan {{ {" ".join(f"<{plan}>" for plan in of)} }} ?thing itu:plan ?plan ; a ?class .
  FILTER NOT EXISTS {{ GRAPH <{names.graph("entailed")}> {{ ?thing a ?class }} }} OPTIONAL {{ ?thing skos:definition ?definition }}
}}""",
    )
    return {
        row["thing"].value: (row["class"].value, row["definition"].value if "definition" in row else "")
        for row in found
    }


async def chooser(store: Store, given: Mapping[str, str]) -> bytes:
    """Return the page on which two plans are chosen, with how much the newer of each pair takes up of the older."""
    found = await rows(
        store,
        f"""{names.PROLOGUE}SELECT ?newer ?older ?kind (COUNT(*) AS ?count) WHERE {{
  VALUES ?how {{ {" ".join(f"<{kind}>" for kind in names.SUCCESSION)} }}
  ?linkage itu:predicate ?how ; itu:basis itu:judged ; itu:subject ?new ; itu:object ?old .
  ?new itu:plan ?newer . ?old itu:plan ?older . ?how rdfs:label ?kind
}} GROUP BY ?newer ?older ?kind""",
    )
    counts = defaultdict[tuple[str, str], Counter[str]](Counter)
    for row in found:
        counts[row["newer"].value, row["older"].value][row["kind"].value] = int(row["count"].value)
    order, _ = await plans(store)
    pairs = sorted(counts, key=lambda pair: (order.index(pair[0]), order.index(pair[1])))
    return render(
        "compare-choose.html",
        pairs={pair: counts[pair] for pair in pairs},
        newer=list(dict.fromkeys(newer for newer, _ in pairs)),
        periods=await periods(store),
        given=given,
    )


# --- one thing over all plans ---


@dataclass(frozen=True)
class Taken:
    """A step as a page shows it: both wordings as HTML, and what became of links."""

    step: Step
    older: str
    newer: str
    ends: Ends


@dataclass
class Station:
    """A thing of the chain in its plan: its steps to the plans just before it, and those to earlier ones."""

    thing: Statement
    near: list[Taken] = field(default_factory=list)
    far: list[Taken] = field(default_factory=list)
    aside: bool = True
    """Whether the thing at hand reaches it only by what is merged, split or put in other words."""


async def lineage_page(store: Store, overview: Overview, found: Lineage, *, query: str = "") -> bytes:
    """Return a chain as a page, the oldest plan first; `query` is the query string by which it asks for other syntaxes."""
    known, years = link_ends(overview), await periods(store)
    stations: dict[str, Station] = {found.thing.iri: Station(found.thing, aside=False)}
    counts: Counter[tuple[str, str]] = Counter()
    for step in found.steps:
        taken = Taken(step, *beside(step.older.words, step.newer.words), ends_of(step.links, known))
        ends = [stations.setdefault(end.iri, Station(end)) for end in (step.newer, step.older)]
        (ends[0].far if step.between else ends[0].near).append(taken)
        for end in ends:
            end.aside &= step.strength != "close"
        if not step.between:
            counts[_plan_of(step.newer.iri, years), _plan_of(step.older.iri, years)] += 1
    by_plan = {
        plan: sorted(each, key=lambda station: (station.aside, natural(station.thing.iri)))
        for plan in years
        if (each := [station for station in stations.values() if station.thing.iri.startswith(plan + "/")])
    }
    documents = {station.thing.document for station in stations.values() if station.thing.document}
    order = [plan for plan in reversed(found.plans) if plan in by_plan]
    return render(
        "lineage.html",
        found=found,
        query=query,
        stations={plan: by_plan[plan] for plan in order},
        periods=years,
        notes=await notes_of(store, stations, overview.terms),
        documents={iri: said.label for iri, said in (await statements(store, documents)).items()},
        timeline=await timeline_of(store, counts),
    )


def _plan_of(thing: str, known: Iterable[str]) -> str:
    return next((plan for plan in known if thing.startswith(plan + "/")), "")
