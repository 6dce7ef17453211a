"""Chains, lineages and matrices as pictures: which things and links are in them, and what stands where."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from math import prod

from itukg import names
from itukg.engine.store import Store, texts
from itukg.formats import SVG, Format
from itukg.pages import address, local_link
from itukg.pictures import MAX_CELLS, MAX_DRAWN, Edge, Field, Graph, Head, HeatMap, Node, Picture
from itukg.rdf.jsonld import natural, word
from itukg.views.grid import headings
from itukg.views.lineage import Lineage
from itukg.views.linked import STATES
from itukg.views.listing import Item
from itukg.views.matrix import Cell, Matrix
from itukg.views.succession import values
from itukg.views.thing import description

_SDGO = names.PREFIXES["sdgo"]
_ENTAILED = names.graph("entailed")
_SUCCESSION = ", ".join(f"<{each}>" for each in names.SUCCESSION)

MAX_EMPTY = 30
"""Rows, and columns, up to which a heat map shows those in which nothing is counted."""

Terms = Mapping[str, str]
"""Term of the ontology → what it is called."""
Triple = tuple[str, str, str]


def source_of(release: str, path: str) -> str:
    """Return the line of a picture that tells where it comes from."""
    return f"Source: itukg, release {release}, {path}. Quoted wording remains that of the International Telecommunication Union."


# --- chains ---


async def picture_of_thing(store: Store, terms: Terms, iri: str, release: str) -> Graph:
    """Return the chain of a thing as a picture; of a plan, the chains of its things.

    In it are all things that the thing contributes to or that contribute to it, over any number of steps, with the
    direct links among them; and aside the things with which a Linkage links it, but for succession. Raises NotFound
    and Gone as `description` does.
    """
    await description(store, iri)
    edges, aside = await _chain_links(store, terms, iri)
    members = {iri, *(end for edge in edges for end in (edge.source, edge.target))}
    if is_plan := bool(edges) and not any(iri in (edge.source, edge.target) for edge in edges):
        members, aside = members - {iri}, []
    depth = _depths(members, edges)
    column = {each: max(depth.values()) - depth[each] for each in members}
    before = {edge.source for edge in aside if edge.target == iri} - members
    after = {edge.target for edge in aside if edge.source == iri} - members - before
    middle = column.get(iri, 0)
    column |= dict.fromkeys(after, middle + 1) | dict.fromkeys(before, middle - 1)
    least = min(column.values())
    nodes = await nodes_of(store, terms, {iri, *column})
    placed = [
        replace(nodes[each], column=column[each] - least, focus=each == iri, aside=each in before | after)
        for each in nodes
        if each in column
    ]
    focus = nodes[iri]
    called = focus.label if is_plan or (focus.label and not focus.notation) else focus.named
    others = [node for node in placed if not node.focus and not node.aside]
    hint = max(others, key=lambda node: node.column, default=None) if is_plan else next(reversed(others), None)
    return Graph(
        f"{'Results chain' if edges else 'Links'} of {called}",
        tuple(placed),
        (*edges, *aside),
        _headings(placed),
        source_of(release, address(iri)),
        f"ask for one of the things in it, such as {hint.heading}"
        if hint
        else "ask for one of the things linked with it",
    )


async def _chain_links(store: Store, terms: Terms, iri: str) -> tuple[list[Edge], list[Edge]]:
    """Return the links of the results chain, and those of the thing that Linkages make besides."""
    members = await texts(
        store,
        f"""{names.PROLOGUE}SELECT DISTINCT ?thing WHERE {{
  {{ <{iri}> itu:contributesTo ?thing }} UNION {{ ?thing itu:contributesTo <{iri}> }} UNION {{ ?thing itu:plan <{iri}> }}
}}""",
    )
    ends = " ".join(f"<{each}>" for each in sorted({iri, *(row["thing"] for row in members)}))
    linkage = "?linkage itu:subject ?s ; itu:predicate ?p ; itu:object ?o ; itu:basis ?basis"
    found = await texts(
        store,
        f"""{names.PROLOGUE}SELECT ?s ?p ?o ?basis ?chain WHERE {{
  {{ VALUES ?s {{ {ends} }} ?p rdfs:subPropertyOf itu:contributesTo . ?s ?p ?o . VALUES ?o {{ {ends} }}
    OPTIONAL {{ {linkage} }} BIND(true AS ?chain) }}
  UNION {{ BIND(<{iri}> AS ?s) {linkage} FILTER(?p NOT IN ({_SUCCESSION})) }}
  UNION {{ BIND(<{iri}> AS ?o) {linkage} FILTER(?p NOT IN ({_SUCCESSION})) }}
}}""",
    )
    bases: dict[Triple, str] = {}
    in_chain: dict[Triple, None] = {}
    for row in found:
        link = row["s"], row["p"], row["o"]
        basis = row.get("basis", "").removeprefix(names.ITU)
        bases[link] = min(filter(None, (bases.get(link, ""), basis)), key=STATES.index, default="")
        if "chain" in row:
            in_chain[link] = None
    made = {link: _edge(terms, link, basis) for link, basis in bases.items()}
    order = sorted(made, key=lambda link: tuple(map(natural, link)))
    return [made[link] for link in order if link in in_chain], [made[link] for link in order if link not in in_chain]


def _edge(terms: Terms, link: Triple, basis: str, strength: str = "") -> Edge:
    source, predicate, target = link
    label = terms.get(predicate, word(predicate))
    reason = f"/because?subject={_query(source)}&object={_query(target)}" if basis else ""
    return Edge(source, target, word(predicate), label, basis, strength, reason)


def _query(iri: str) -> str:
    return names.shorten(iri).replace("&", "%26").replace("#", "%23").replace("+", "%2B")


def _depths(members: Iterable[str], edges: Sequence[Edge]) -> dict[str, int]:
    """Return how far each thing is from the top of the chain, by its longest way."""
    above = defaultdict[str, list[str]](list)
    for edge in edges:
        above[edge.source].append(edge.target)
    depth: dict[str, int] = {}

    def of(thing: str) -> int:
        if thing not in depth:
            depth[thing] = 0  # a thing that comes round to itself, which a shape forbids, ends here
            depth[thing] = max((of(each) + 1 for each in above[thing]), default=0)
        return depth[thing]

    return {thing: of(thing) for thing in members}


def _headings(nodes: Sequence[Node]) -> tuple[str, ...]:
    """Return which classes of the chain stand in each column."""
    kinds: defaultdict[int, dict[str, None]] = defaultdict(dict)
    for node in nodes:
        kinds[node.column] |= {} if node.aside else {node.kind: None}
    return tuple(", ".join(filter(None, kinds[column])) for column in range(max(kinds, default=-1) + 1))


async def nodes_of(store: Store, terms: Terms, iris: Iterable[str]) -> dict[str, Node]:
    """Return things as nodes, by IRI in natural order: each with its most specific class."""
    found = await texts(
        store,
        f"""{names.PROLOGUE}SELECT ?thing ?label ?notation ?kind ?plan WHERE {{
  {values(iris)}
  OPTIONAL {{ ?thing rdfs:label ?label }} OPTIONAL {{ ?thing skos:notation ?notation }}
  OPTIONAL {{ ?thing itu:plan ?plan }}
  OPTIONAL {{ ?thing a ?kind FILTER NOT EXISTS {{ GRAPH <{_ENTAILED}> {{ ?thing a ?kind }} }} }}
}}""",
    )
    nodes: dict[str, Node] = {}
    for row in sorted(found, key=lambda row: (not row.get("kind", "").startswith(names.ITU), sorted(row.items()))):
        iri, plan = row["thing"], row.get("plan", "")
        kind = row.get("kind", "")
        called = row.get("label", ""), _kind(terms, kind), row.get("notation", ""), names.shorten(plan)
        nodes.setdefault(iri, Node(iri, *called, type=word(kind), address=address(iri)))
    return {iri: nodes[iri] for iri in sorted(nodes, key=lambda iri: (nodes[iri].kind, nodes[iri].plan, natural(iri)))}


def _kind(terms: Terms, kind: str) -> str:
    """Return what a class is called at the head of a box."""
    if kind.startswith(_SDGO):
        return f"SDG {kind.removeprefix(_SDGO).lower()}"
    # The ontology has no labels for the terms of others.
    called = terms.get(kind) or re.sub(r"(?<=[a-z])(?=[A-Z])", " ", word(kind) if kind else "").lower()
    return called[:1].upper() + called[1:]


# --- lineages ---


async def picture_of_lineage(store: Store, terms: Terms, found: Lineage, release: str) -> Graph:
    """Return the steps of a lineage as links from the newer thing to the older one: a column for each plan, the oldest first."""
    thing = found.thing.iri
    edges = [
        replace(_edge(terms, (step.newer.iri, step.predicate, step.older.iri), "judged"), strength=step.strength)
        for step in found.steps
    ]
    nodes = await nodes_of(store, terms, {thing, *(end for edge in edges for end in (edge.source, edge.target))})
    in_time = [names.shorten(plan) for plan in reversed(found.plans)] or [nodes[thing].plan]
    plans = [plan for plan in in_time if any(node.plan == plan for node in nodes.values())]
    called = await nodes_of(store, terms, map(names.expand, plans))
    placed = [replace(node, column=plans.index(node.plan), focus=node.id == thing) for node in nodes.values()]
    titles = tuple(called[names.expand(plan)].label for plan in plans)
    path = local_link(thing).replace("/id/", "/lineage/", 1)
    narrower = "name a plan, whose steps alone are drawn"
    return Graph(
        f"Lineage of {found.thing.name}", tuple(placed), tuple(edges), titles, source_of(release, path), narrower
    )


# --- matrices ---


async def picture_of_matrix(store: Store, terms: Terms, found: Matrix, syntax: Format, release: str) -> Picture:
    """Return a matrix as a picture: for SVG a field for each cell, for the other syntaxes the network of its links."""
    kept = tuple((name, value) for name, value in found.page.parameters if name != "format")
    source = source_of(release, replace(found.page, address="/matrix", parameters=kept).link(found.page.number))
    narrower = "name a plan, a row or a column, or ask for fewer rows with size"
    if syntax is not SVG:
        return replace(await _network(store, terms, found), source=source, narrower=narrower)
    shown = _shown(found)
    rows, columns = ([*map(_head, headings(items), items)] for items in shown)
    fields = {
        (r, c): _field(found, cell, rows[r], columns[c])
        for r, row in enumerate(shown[0])
        for c, column in enumerate(shown[1])
        if (cell := found.cells.get((row.iri, column.iri)))
    }
    left_out = [len(items) - len(kept) for items, kept in zip((found.rows, found.columns), shown, strict=True)]
    if any(left_out):
        source = f"Left out, because nothing is counted in them: {left_out[0]} rows, {left_out[1]} columns. {source}"
    return HeatMap(found.page.title, rows, columns, fields, source, narrower)


def _shown(found: Matrix) -> tuple[list[Item], list[Item]]:
    """Return the rows and columns of a heat map: of more than MAX_EMPTY, those in which something is counted."""
    counted = [(cell.row.iri, cell.column.iri) for cell in found.cells.values() if cell.count]
    rows, columns = found.rows, found.columns
    if len(rows) > MAX_EMPTY and counted:
        rows = [row for row in rows if row.iri in {each for each, _ in counted}]
    if len(columns) > MAX_EMPTY and counted:
        columns = [column for column in columns if column.iri in {each for _, each in counted}]
    return rows, columns


def _head(code: str, item: Item) -> Head:
    return Head(code, item.label, address(item.iri))


def _field(found: Matrix, cell: Cell, row: Head, column: Head) -> Field:
    states = ", ".join(f"{number} {state}" for state, number in cell.states.items())
    told = states or (f"{cell.state}: {cell.note.text}" if cell.note else cell.state)
    return Field(cell.count, cell.state, f"{row.code} and {column.code}: {told}", found.address(cell))


def pictures_of_matrix(found: Matrix) -> list[Format]:
    """Return the syntaxes of pictures that hold a whole matrix."""
    things, links = _things_and_links(found)
    cells = prod(map(len, _shown(found)))
    holding = [syntax for syntax, most in MAX_DRAWN.items() if len(things) <= most[0] and len(links) <= most[1]]
    return [syntax for syntax in MAX_DRAWN if (cells <= MAX_CELLS if syntax is SVG else syntax in holding)]


async def _network(store: Store, terms: Terms, found: Matrix) -> Graph:
    """Return the links behind a matrix as a network: rows, columns, and the things between them where cells count those."""
    things, links = _things_and_links(found)
    nodes = await nodes_of(store, terms, things)
    return Graph(found.page.title, tuple(nodes.values()), tuple(_edge(terms, *link) for link in sorted(links)))


def _things_and_links(found: Matrix) -> tuple[set[str], Collection[tuple[Triple, str, str]]]:
    """Return what a network of a matrix holds: its things, and its links, each with its basis and strength."""
    links: dict[tuple[Triple, str, str], None] = {}
    things = {item.iri for item in (*found.rows, *found.columns)}
    for cell in found.cells.values():
        for each in cell.evidence:
            for link in each.links:
                links[(link.subject, link.predicate, link.object), link.basis, link.strength or ""] = None
            if each.thing and each.thing.plan in (cell.row.iri, cell.column.iri):
                links[(each.thing.iri, names.ITU + "plan", each.thing.plan), "", ""] = None
    return things | {end for (subject, _, object_), *_ in links for end in (subject, object_)}, links
