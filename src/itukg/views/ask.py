"""A question put together as a sentence: which things of which plan serve what, on which basis. A saved query answers it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from urllib.parse import urlencode
from weakref import WeakKeyDictionary

import pyoxigraph as ox

from itukg import names
from itukg.engine.store import Row, Store, rows
from itukg.pages import inside, plural, render
from itukg.queries import SavedQuery
from itukg.release.overview import Overview, Value
from itukg.views.because import RULES
from itukg.views.listing import empty_page
from itukg.views.saved import snippets, terms_of, values_of

QUERY = "who-serves"
"""The saved query that answers."""
FIRMNESS = ("stated", "judged", "derived")
"""How far an answer goes: to what documents state, to what readers judge, to what rules derive; each with what is firmer."""

_kinds: WeakKeyDictionary[Store, list[Value]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Ground:
    """What a link rests on: its basis and strength, and the sentence, the reason or the rule, with its place."""

    basis: str
    strength: str
    words: str
    document: str
    called: str
    section: str
    line: str


@dataclass(frozen=True)
class Serving:
    """A thing that serves the aim, and on what grounds."""

    iri: str
    code: str
    label: str
    plan: str
    grounds: list[Ground] = field(default_factory=list)


async def write_ask(store: Store, overview: Overview, query: SavedQuery, given: Mapping[str, str], at: str) -> bytes:
    """Write the page of the sentence with its answer. Raises BadRequest for a value that is none of the choices."""
    own = {name: value for name, value in given.items() if name not in ("page", "size", "release")}
    terms = await terms_of(store, overview, query, own)
    text = query.bound(**terms)
    found = _things(await rows(store, text), overview)
    whole = {each.name: each.shown.removeprefix("itu:") for each in query.parameters if each.default} | dict(given)
    page = empty_page(len(found), query.summary, f"{at}/ask", whole)
    choices = {each.name: await values_of(store, overview, each) for each in query.parameters}
    chosen = {each.name: own.get(each.name, each.shown) for each in query.parameters}
    firm = terms.get("upTo", _default(query, "upTo")).value
    aim = next(value for value in choices["aim"] if value.iri == terms.get("aim", _default(query, "aim")).value)
    begin = (page.number - 1) * page.size
    answer = replace(page, address=f"{at}/queries/{query.name}")
    return render(
        "ask.html",
        page=page,
        plans=[(plan, [*things]) for plan, things in groupby(found[begin : begin + page.size], lambda t: t.plan)],
        kinds=await _kinds_of(store, overview),
        choices=choices,
        aims=_aims(overview),
        chosen=chosen | {"upTo": names.shorten(firm).removeprefix("itu:")},
        aim=aim,
        text=text,
        answer=f"{answer.address}{{}}?{urlencode(own)}" if own else f"{answer.address}{{}}",
        snippets=snippets(query, answer, own),
        firmness=FIRMNESS,
    )


def _default(query: SavedQuery, name: str) -> ox.NamedNode | ox.Literal:
    [default] = [each.default for each in query.parameters if each.name == name]
    assert default is not None
    return default


def _things(found: Sequence[Row], overview: Overview) -> list[Serving]:
    """Return the things of an answer, in its order, each once."""
    plans = {value.notation: value.label for value in overview.values["plan"]}
    things: dict[str, Serving] = {}
    for row in found:
        told = {name: term.value for name, term in row.items()}
        code = told["planCode"]
        thing = Serving(told["thing"], told["code"], told["thingLabel"], plans.get(code, code))
        words = told.get("grounds") or RULES.get(told.get("rule", ""), "")
        place = [told.get(name, "") for name in ("document", "documentLabel", "section", "line")]
        ground = Ground(names.shorten(told["basis"]).removeprefix("itu:"), told.get("strength", ""), words, *place)
        grounds = things.setdefault(thing.iri, thing).grounds
        grounds += [ground] if ground not in grounds else []
    return [*things.values()]


def _aims(overview: Overview) -> dict[str, list[Value]]:
    """Return what there is to serve, in groups."""
    goals = [value for value in overview.values["sdg"] if value.notation]
    return {
        "Sustainable Development Goals and targets": goals,
        "WSIS action lines": overview.values["actionLine"],
        "Resolutions and other instruments": overview.values["instrument"],
    }


async def _kinds_of(store: Store, overview: Overview) -> list[Value]:
    """Return the classes of which a thing serves anything, under their names in the plural."""
    if store not in _kinds:
        predicates = (
            "itu:contributesToSDG itu:contributesToSDGTarget itu:contributesToActionLine itu:supportedBy itu:cites"
        )
        linked = "?linkage itu:predicate ?predicate ; itu:subject ?thing"
        found = await rows(
            store,
            f"{names.PROLOGUE}SELECT DISTINCT ?class WHERE {{ {{ SELECT DISTINCT ?thing WHERE {{ VALUES ?predicate {{ {predicates} }} "
            f"{{ {linked} }} UNION {{ GRAPH <{names.graph('derived')}> {{ {linked} }} }} }} }} ?thing itu:plan ?plan ; a ?class }}",
        )
        classes = {row["class"].value for row in found}
        values = [value for value in overview.values["class"] if value.iri in classes and value.iri in overview.words]
        named = [replace(value, label=inside(plural(overview.reader(value.iri)))) for value in values]
        _kinds[store] = sorted(named, key=lambda value: value.label)
    return _kinds[store]
