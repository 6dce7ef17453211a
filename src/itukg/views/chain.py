"""The results chain: by which properties a thing stands under another, what is above it and what below."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from itukg import names
from itukg.engine.store import Store, texts
from itukg.rdf.jsonld import natural
from itukg.views.listing import Item

_BESIDE = ("itu:indicatorOf", "itu:offeredBy", "itu:partOf", "itu:statementOf", "itu:reportItemOf", "itu:mitigates")
"""Properties that lead up as those of the results chain do, and are no contribution."""


@dataclass(frozen=True)
class Ladder:
    """The properties by which a thing leads to what it stands under, `up`, and those that say the same from above, `down`."""

    up: tuple[str, ...]
    down: tuple[str, ...]

    @property
    def contributing(self) -> set[str]:
        """Those of the results chain itself, by which a thing contributes to another."""
        return {*self.up} - {*map(names.expand, _BESIDE)}

    def path(self) -> str:
        """Return a property path over one step up."""
        return "|".join(map(names.shorten, self.up))

    def listed(self) -> str:
        """Return the properties that lead up as a list of SPARQL."""
        return ", ".join(map(names.shorten, self.up))


_ladders: WeakKeyDictionary[Store, Ladder] = WeakKeyDictionary()


async def ladder(store: Store) -> Ladder:
    """Return the properties of the chain: the sub-properties of itu:contributesTo, by the ontology, and those beside them."""
    if store not in _ladders:
        # Without VALUES and paths, which Virtuoso joins to nothing here.
        ups = ("?up rdfs:subPropertyOf itu:contributesTo .", f"FILTER(?up IN ({', '.join(_BESIDE)}))")
        inverses = ("?up owl:inverseOf ?down", "?down owl:inverseOf ?up")
        either = " UNION ".join(f"{{ {inverse} . {up} }}" for up in ups for inverse in inverses)
        found = await texts(store, names.declared(f"SELECT ?up ?down WHERE {{ {either} }} ORDER BY ?up"))
        up, down = (tuple(dict.fromkeys(row[end] for row in found)) for end in ("up", "down"))
        _ladders[store] = Ladder(up, down)
    return _ladders[store]


CHAIN = """SELECT DISTINCT ?lower ?property ?upper ?class ?code ?label ?basis WHERE {
  { <thing> (UPWARD)* ?lower . ?lower ?property ?upper FILTER(?property IN (STEPS)) BIND(?upper AS ?other) }
  UNION { ?lower ?property <thing> FILTER(?property IN (STEPS)) BIND(<thing> AS ?upper) BIND(?lower AS ?other) }
  OPTIONAL { ?other rdfs:label ?label } OPTIONAL { ?other skos:notation ?code }
  OPTIONAL { ?other a ?class FILTER NOT EXISTS { GRAPH <entailed> { ?other a ?class } } }
  OPTIONAL { ?linkage itu:subject|itu:object <thing> ; itu:subject|itu:object ?other ; itu:basis ?basis }
}"""
"""What stands above a thing, on all steps, and right below it."""


@dataclass(frozen=True)
class Placed:
    """A thing of a chain, with the basis of the link that leads there, if it has one, and the property of that."""

    item: Item
    basis: str
    property: str


def placed(thing: str, rows: Iterable[Mapping[str, str]]) -> tuple[list[list[Placed]], list[Placed]]:
    """Return what is above a thing, by level from the top, and what is right below it, from the rows of CHAIN."""
    above: dict[str, Placed] = {}
    below: dict[str, Placed] = {}
    over = defaultdict[str, set[str]](set)
    for row in sorted(rows, key=lambda row: (not row.get("class", "").startswith(names.ITU), row.get("basis", "~"))):
        lower, upper = row["lower"], row["upper"]
        other = lower if upper == thing else upper
        item = Item(other, row.get("class", ""), row.get("code", ""), row.get("label", ""))
        basis = row.get("basis", "").removeprefix(names.ITU)
        if upper == thing:
            below.setdefault(lower, Placed(item, basis, row["property"]))
        else:
            over[lower].add(upper)
            near = lower == thing
            if upper not in above or near:
                above[upper] = Placed(item, basis if near else "", row["property"])
    depth = depths(over)
    levels = defaultdict[int, list[Placed]](list)
    for each in in_order(above.values()):
        levels[depth[each.item.iri]].append(each)
    return [levels[number] for number in sorted(levels)], in_order(below.values())


def in_order(found: Iterable[Placed]) -> list[Placed]:
    """Return things by their class and code."""
    return sorted(found, key=lambda each: (each.item.type, natural(each.item.notation), natural(each.item.iri)))


def depths(over: Mapping[str, Iterable[str]]) -> dict[str, int]:
    """Return how many steps each thing is from the top, by its longest way; `over` has what stands right above each."""
    found: dict[str, int] = {}

    def of(thing: str) -> int:
        if thing not in found:
            found[thing] = 0  # a thing that comes round to itself, which a shape forbids, ends here
            found[thing] = max((of(each) + 1 for each in over.get(thing, ())), default=0)
        return found[thing]

    for thing in [*over]:
        for each in (thing, *over[thing]):
            of(each)
    return found
