"""Lists of things: chosen by filters, in natural order, page by page, as JSON-LD, CSV, a spreadsheet or a page.

A list asks the store which things fit; what a filter knows comes from the release's overview of the graph, so that a
new plan, class or action line needs no line here.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from html import unescape
from typing import Any
from urllib.parse import urlencode
from weakref import WeakKeyDictionary

from cachetools import LRUCache

from itukg import names
from itukg.engine.store import Store, rows
from itukg.errors import BadRequest, NotFound
from itukg.formats import CSV, HTML, JSON, JSONLD, XLSX, Format, write_json
from itukg.pages import inside, plural, render
from itukg.rdf.jsonld import Json, natural, short, word
from itukg.release.overview import FILTERS, Overview, Value
from itukg.tables import Table
from itukg.views.thing import is_iri

LIST_FORMATS = (JSONLD, HTML, CSV, XLSX, JSON)
"""Syntaxes of a list: JSON-LD for whoever does not ask for another."""
PAGE_SIZE, MAX_PAGE_SIZE = 50, 1000
"""Things on a page, unless `size` says otherwise, and at most."""
MAX_VALUES_NAMED = 100
"""Values that a message names at most."""
SORTS = ("notation", "label")

_DERIVED = f"<{names.graph('derived')}>"


@dataclass(frozen=True)
class Item:
    """One thing of a list. `highlight` is HTML, where a search found it; `broad` is said in lists of derived links."""

    iri: str
    type: str = ""
    notation: str = ""
    label: str = ""
    plan: str = ""
    highlight: str = ""
    broad: bool = False


@dataclass(frozen=True)
class Selection:
    """What a list is of: the values of its filters, by IRI; `below` is the path under which things stand."""

    values: tuple[tuple[str, str], ...] = ()
    to: str = ""
    by: str = ""
    below: str = ""
    sort: str = SORTS[0]

    def __bool__(self) -> bool:
        return bool(self.values or self.to or self.by)

    @property
    def derived(self) -> bool:
        """Whether it is of derived links."""
        return dict(self.values).get("basis") == names.ITU + "derived"

    def pattern(self) -> str:
        """Return the SPARQL pattern of ?thing."""
        chosen = dict(self.values)
        basis = chosen.pop("basis", None)
        parts = ["?thing rdf:type ?type ."]
        if self.below:
            parts.append(f'FILTER(STRSTARTS(STR(?thing), "{names.THINGS}{self.below}/"))')
        if self.to:
            parts.append(f"?thing {f'<{self.by}>' if self.by else '?by'} <{self.to}> .")
        elif self.by:
            parts.append(f"?thing <{self.by}> ?to .")
        linked = [(f, chosen.pop(f.name)) for f in FILTERS if f.name in chosen and f.evidenced]
        parts += [f"?thing {'|'.join(f.properties)} <{chosen[f.name]}> ." for f in FILTERS if f.name in chosen]
        if basis is None:
            parts += [f"?thing {'|'.join(f.properties)} <{value}> ." for f, value in linked]
        else:
            parts += [_backed(basis, place, value, f.properties) for place, (f, value) in enumerate(linked)]
            parts += [] if linked else [_backed(basis, 0)]
        return "\n  ".join(parts)


def _backed(basis: str, place: int, value: str | None = None, properties: tuple[str, ...] = ()) -> str:
    """Return the pattern of a Linkage of ?thing on this basis; those of rules stand in a graph of their own."""
    linkage = f"?linkage{place}"
    pattern = f"{linkage} itu:subject ?thing ; itu:basis <{basis}> ."
    if value is not None:
        pattern += f" {linkage} itu:object <{value}> ; itu:predicate ?property{place} ."
        pattern += f" FILTER(?property{place} IN ({', '.join(properties)}))"
    return f"{{ {{ {pattern} }} UNION {{ GRAPH {_DERIVED} {{ {pattern} }} }} }}"


def chosen_value(name: str, text: str, values: Sequence[Value]) -> str:
    """Return the IRI of the value of a filter that `text` names. Raises BadRequest, naming those there are."""
    exact = [value for value in values if text == value.iri]
    found = exact or [value for value in values if value.is_named(text)]
    found = found or [
        value for value in values if text.casefold() in (value.short.casefold(), value.notation.casefold())
    ]
    match found:
        case [value]:
            return value.iri
        case []:
            known = [value.short for value in values]
            near = get_close_matches(text[:80], known, 5) if len(known) > MAX_VALUES_NAMED else []
            more = f" and {len(known) - MAX_VALUES_NAMED} more" if len(known) > MAX_VALUES_NAMED else ""
            told = f"nearest: {', '.join(near)}" if near else f"known: {', '.join(known[:MAX_VALUES_NAMED])}{more}"
            raise BadRequest(f'No {name} "{text[:80]}"; {told}.')
        case several:
            raise BadRequest(
                f'{name} "{text}" may be {" or ".join(value.short for value in several)}; name one of them.'
            )


def selection(overview: Overview, given: dict[str, str], below: str = "") -> Selection:
    """Return what the parameters of a request choose. Raises BadRequest for an unknown name or value."""
    values = tuple(
        (f.name, chosen_value(f.name, given[f.name], overview.values[f.name])) for f in FILTERS if f.name in given
    )
    links = {}
    for name in ("to", "by"):
        links[name] = names.expand(given[name]) if name in given else ""
        if links[name] and not is_iri(links[name]):
            raise BadRequest(f'{name} must be an IRI or a prefixed name, not "{given[name]}".')
    if "by" in given and links["by"].startswith(names.THINGS):  # a name without a prefix
        near = get_close_matches(f"itu:{given['by']}", map(names.shorten, overview.terms), 3)
        raise BadRequest(
            f'by must be a property with its prefix, not "{given["by"]}"; nearest: {", ".join(near) or "itu:cites"}.'
        )
    sort = given.get("sort", SORTS[0])
    if sort not in SORTS:
        raise BadRequest(f'No sort "{sort}"; known: {", ".join(SORTS)}.')
    return Selection(values, **links, below=below, sort=sort)


_made: WeakKeyDictionary[Store, LRUCache[Selection, list[Item]]] = WeakKeyDictionary()


async def select(store: Store, chosen: Selection) -> list[Item]:
    """Return all that a selection is of, in its order: by notation, 9.1 before 9.a and 16.10 after 16.6, or by label."""
    made = _made.setdefault(store, LRUCache(16))
    if chosen not in made:
        made[chosen] = await _select(store, chosen)
    return made[chosen]


async def _select(store: Store, chosen: Selection) -> list[Item]:
    broad = f"OPTIONAL {{ SELECT DISTINCT ?thing ?broad WHERE {{ GRAPH {_DERIVED} {{ ?any itu:subject ?thing ; itu:broad ?broad }} }} }}"
    found = await rows(
        store,
        f"""{names.PROLOGUE}SELECT DISTINCT ?thing ?kind ?notation ?label ?plan ?broad WHERE {{
  {{ SELECT DISTINCT ?thing WHERE {{ {chosen.pattern()} }} }}
  FILTER(isIRI(?thing))
  OPTIONAL {{ ?thing a ?kind FILTER NOT EXISTS {{ GRAPH <{names.graph("entailed")}> {{ ?thing a ?kind }} }} }}
  OPTIONAL {{ ?thing skos:notation ?notation }} OPTIONAL {{ ?thing rdfs:label ?label }} OPTIONAL {{ ?thing itu:plan ?plan }}
  {broad if chosen.derived else ""}
}}""",
    )
    items: dict[str, Item] = {}
    for row in sorted(found, key=lambda row: str(row.get("kind", ""))):
        iri = row["thing"].value
        texts = {key: row[key].value for key in ("notation", "label", "plan") if key in row}
        kind = row["kind"].value if "kind" in row else ""
        items.setdefault(iri, Item(iri, type=kind, broad="broad" in row, **texts))
    return in_order(items.values(), chosen.sort)


def in_order(items: Iterable[Item], sort: str) -> list[Item]:
    """Return items by notation or by label, numbers in them as numbers."""
    return sorted(items, key=lambda item: (natural(getattr(item, sort).casefold()), natural(item.iri)))


# --- pages ---


@dataclass(frozen=True)
class Page:
    """One page of a list: what is on it, how many there are in all, and where the others are."""

    title: str
    address: str
    parameters: tuple[tuple[str, str], ...]
    items: list[Item]
    total: int
    number: int
    size: int
    kinds: frozenset[str] = frozenset()
    """The classes of all things of the list, and `plans` their plans; "" where a thing has none."""
    plans: frozenset[str] = frozenset()

    @property
    def last(self) -> int:
        """The number of the last page; a list of nothing has one page."""
        return max(1, -(-self.total // self.size))

    def link(self, number: int, **other: str) -> str:
        """Return the address of a page of this list."""
        kept = dict(self.parameters) | other
        kept |= {"page": str(number)} if number != 1 else {}
        return f"{self.address}{'?' if kept else ''}{urlencode(kept)}"

    def links(self) -> dict[str, str]:
        """Return where the other pages are, by relation (RFC 8288)."""
        places = {"first": 1, "prev": self.number - 1, "next": self.number + 1, "last": self.last}
        return {relation: self.link(n) for relation, n in places.items() if 1 <= n <= self.last}


def page_of(
    items: Sequence[Item], title: str, address: str, given: dict[str, str], default_size: int = PAGE_SIZE
) -> Page:
    """Return the page that `page` and `size` ask for. Raises BadRequest for numbers that cannot be, NotFound past the end."""
    page = empty_page(len(items), title, address, given, default_size)
    begin = (page.number - 1) * page.size
    kinds, of = (frozenset(getattr(item, name) for item in items) for name in ("type", "plan"))
    return replace(page, items=list(items[begin : begin + page.size]), kinds=kinds, plans=of)


def empty_page(
    total: int,
    title: str,
    address: str,
    given: dict[str, str],
    default_size: int = PAGE_SIZE,
    what: str = "the list has {} things",
) -> Page:
    """Return the page that `page` and `size` ask for, of so many things, without them. Raises as `page_of` does."""
    number, size = whole_number(given, "page", 1, None), whole_number(given, "size", default_size, MAX_PAGE_SIZE)
    kept = tuple((key, value) for key, value in given.items() if key != "page")
    page = Page(title, address, kept, [], total, number, size)
    if number > page.last:
        raise NotFound(f"No page {number}: {what.format(total)} on {page.last} pages of {size}.")
    return page


def whole_number(given: Mapping[str, str], name: str, default: int, most: int | None) -> int:
    """Return the number that a parameter gives. Raises BadRequest for what is no whole number from 1 to `most`."""
    text = given.get(name, str(default))
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text, re.ASCII) or (most and int(text) > most):
        raise BadRequest(f'{name} must be a whole number from 1{f" to {most}" if most else ""}, not "{text[:40]}".')
    return int(text)


def write_list(page: Page, syntax: Format, overview: Overview, **more: Any) -> bytes:
    """Write a page of a list; `more` is what the template of the HTML gets besides."""
    plans = {value.iri: value.label for value in overview.values["plan"]}
    if syntax == HTML:
        form = [(each, overview.values[each.name]) for each in FILTERS]
        told = _heading(page, overview, plans) | {"reader": overview.reader, "plans": plans, "sorts": SORTS}
        return render("list.html", page=page, form=form, **told, **more)
    if syntax in (JSONLD, JSON):
        return write_json(_document(page))
    columns = ["id", "type", "notation", "label", "plan", "planLabel", *(["highlight"] if more else [])]
    columns += ["broad"] if any(item.broad for item in page.items) else []
    cells = (
        {
            "id": i.iri,
            "type": word(i.type),
            "notation": i.notation,
            "label": i.label,
            "plan": i.plan,
            "planLabel": plans.get(i.plan),
            "highlight": _plain(i),
            "broad": "broad" if i.broad else None,
        }
        for i in page.items
    )
    # A sheet has no cell for an empty text.
    filled = ({column: text or None for column, text in row.items()} for row in cells)
    return Table.of_values(columns, filled).write(syntax, "list")


def _heading(page: Page, overview: Overview, plans: Mapping[str, str]) -> dict[str, Any]:
    """Return what a page of a list is headed: by the kind of its things, and their plan, where all have the same."""
    one_kind, one_plan = len(page.kinds) == 1, len(page.plans) == 1
    heading, kind, plan = page.title, "".join(page.kinds), plans.get("".join(page.plans), "")
    if heading.startswith("Things") and one_kind and kind:
        heading = inside(plural(overview.reader(kind)))
        heading = heading[:1].upper() + heading[1:] + (f" of the {plan}" if one_plan and plan else "")
    given = dict(page.parameters)
    by, to = (names.expand(given[name]) if name in given else "" for name in ("by", "to"))
    below = f"{overview.reader(by) if by else 'Linked to'}: {names.shorten(to)}" if to else ""
    return {"heading": heading, "below": below, "one_kind": one_kind, "one_plan": one_plan}


def _plain(item: Item) -> str:
    return unescape(re.sub("</?mark>", "", item.highlight))


def _document(page: Page) -> Json:
    items = []
    for item in page.items:
        node: Json = {"id": short(item.iri)}
        node |= {"type": word(item.type)} if item.type else {}
        node |= {"notation": item.notation} if item.notation else {}
        node |= {"label": {"en": item.label}} if item.label else {}
        node |= {"plan": item.plan} if item.plan else {}
        node |= {"highlight": item.highlight} if item.highlight else {}
        node |= {"broad": True} if item.broad else {}
        items.append(node)
    return {
        "@context": names.CONTEXT,
        "id": page.link(page.number),
        "type": "OrderedCollectionPage",
        "title": {"en": [page.title]},
        "totalItems": page.total,
        **page.links(),
        "items": items,
    }
