"""Orders what the embedded engine orders badly: triple patterns inside OPTIONAL and EXISTS.

Oxigraph plans them as if nothing were known outside: an OPTIONAL of several patterns is matched with the whole graph, and an
EXISTS begins anywhere, once for each row. Yet the row at hand is known. `in_order` writes such a group as a chain that
begins there, one pattern at a time, with LATERAL (SPARQL-dev SEP-0006, which the engine understands):

    OPTIONAL { ?link itu:basis ?basis ; itu:subject ?output }
    LATERAL { OPTIONAL { ?link itu:subject ?output LATERAL { ?link itu:basis ?basis } } }

The rows are the same, and as many. Patterns may be joined in any order (SPARQL 1.1 Query, 18.5). LATERAL evaluates an OPTIONAL
once for each row, with what the row binds: that is the left join where a group holds patterns, filters, and OPTIONALs that
share with the row only what the patterns around them bind ("well designed" in Pérez, Arenas and Gutierrez, Semantics and
Complexity of SPARQL, 2009). Anything else, and what is not understood, stays as it is written.
"""

from collections.abc import Collection, Mapping
from math import prod
from typing import NamedTuple

from itukg import names
from itukg.store.patterns import Element, Group, NotUnderstoodError, Pattern, Reader


class Use(NamedTuple):
    """How a term is used: a property in how many triples, with how many subjects and objects; a class by how many things."""

    triples: int
    subjects: int
    objects: int


USES = """SELECT ?term (COUNT(*) AS ?triples) (COUNT(DISTINCT ?s) AS ?subjects) (COUNT(DISTINCT ?o) AS ?objects)
WHERE { { ?s ?term ?o } UNION { ?s a ?term BIND(?term AS ?o) } } GROUP BY ?term"""
"""The query that tells how properties and classes are used."""
LONGEST = 10_000
"""Characters of a query that is looked at."""


def in_order(query: str, uses: Mapping[str, Use]) -> str:
    """Return a query with the same rows, whose OPTIONALs and EXISTS begin at the row at hand where that is quicker.

    `uses` is how terms (IRIs) are used in the graph. What is no query is returned as it is.
    """
    words = query.upper() if len(query) <= LONGEST else ""
    if "OPTIONAL" not in words and "EXISTS" not in words:
        return query
    try:
        reader = Reader(query)
        groups = reader.read()
        planner = _Planner(reader.prefixes, uses, frozenset(reader.values))
        for group in groups:
            planner.plan(group, _Row(), planner.values)
    except NotUnderstoodError:
        return query
    pieces, at = list[str](), 0
    for begin, end, text in sorted(planner.edits):
        pieces += [query[at:begin], text]
        at = end
    return "".join((*pieces, query[at:]))


class _Row(NamedTuple):
    """The row at hand when a group is evaluated: what it binds for sure, what it may bind, and how many such rows there are."""

    binds: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    number: float = 1.0

    def after(self, group: Group | Element, number: float) -> "_Row":
        """Return the row once what `group` binds is in it, and there are `number` times as many."""
        return _Row(self.binds | group.binds, self.names | group.names, self.number * number)


def _well_designed(group: Group, outside: frozenset[str]) -> bool:
    """Tell whether a group gives the same when it sees a row that has the variables `outside`: see above."""
    first, *others = group.elements or [Element("")]
    if not first.patterns or any(pattern.of_no_length for pattern in first.patterns):
        return False
    for other in others:
        if other.assigns or other.keyword not in {"FILTER", "OPTIONAL"}:
            return False
        if other.keyword == "OPTIONAL" and (
            other.names & outside - first.binds or not _well_designed(other.groups[0], outside)
        ):
            return False
    return True


_NO_USE = Use(0, 0, 0)
_Order = tuple[list[Pattern], list[float]]


class _Planner:
    def __init__(self, prefixes: Mapping[str, str], uses: Mapping[str, Use], values: frozenset[str]) -> None:
        self.values = values
        self.edits: list[tuple[int, int, str]] = []
        """What to write instead of a part of the query: its begin, its end, the text."""
        self._prefixes, self._uses = prefixes, uses
        self._orders: dict[tuple[Element, frozenset[str]], _Order] = {}
        self._together = Use(*map(sum, zip(_NO_USE, *uses.values(), strict=True)))

    def plan(self, group: Group, row: _Row, others: frozenset[str], before: frozenset[str] = frozenset()) -> None:
        """Plan what is inside the elements of a group, which is evaluated with `row` at hand.

        `others` are the variables outside of the group, but for those `before` an OPTIONAL, which its filters see.
        """
        following = [others]
        for element in reversed(group.elements[1:]):
            following.append(following[-1] | element.names)
        for element in group.elements:
            behind = following.pop()
            if element.keyword == "OPTIONAL":
                self._optional(element, row, before | behind)
            elif element.keyword == "FILTER":  # wherever it stands, it sees what the whole group binds
                for tested in element.groups:
                    self._exists(tested, row.after(group, 1), others)
            elif element.keyword == "BIND":
                for tested in element.groups:
                    self._exists(tested, row, before | behind)
            else:  # the engine joins it; what it knows then is its own affair
                around = self.values if element.keyword == "SELECT" else before | behind | row.names
                for inner in element.groups:
                    self.plan(inner, _Row(), around)
            row = row.after(element, self._number(element, row.binds))

    def _exists(self, group: Group, row: _Row, others: frozenset[str]) -> None:
        """Plan an EXISTS, if it shares with `others` only what its row binds.

        Else it could see what it must not: the engine looks up row by row what is joined, and takes for fit for that an
        EXISTS that is a chain, as one of a single pattern.
        """
        if group.names & others - row.binds:
            return
        row = row._replace(number=1)  # however many there are, it is evaluated for each
        self._chain(group, row)
        self.plan(group, row, others)

    def _optional(self, element: Element, row: _Row, others: frozenset[str]) -> None:
        (group,) = element.groups
        if not self._row_by_row(group, row):
            self.plan(group, _Row(), others, row.names)
            return
        self.edits += [(element.begin, element.begin, "LATERAL { "), (element.end, element.end, " }")]
        self._chain(group, row)
        self.plan(group, row, others)

    def _row_by_row(self, group: Group, row: _Row) -> bool:
        """Tell whether an OPTIONAL may be evaluated row by row, and is better so."""
        if not _well_designed(group, row.names):
            return False
        first, *others = group.elements
        if len(first.patterns) == 1 and first.patterns[0].plain and all(other.keyword == "FILTER" for other in others):
            return False  # the engine does so itself
        chain, numbers = self._ordered(first, row.binds)
        _, of_all = self._ordered(first)
        return bool(chain[0].variables & row.binds) and row.number * sum(numbers) <= row.number + sum(of_all)

    def _chain(self, group: Group, row: _Row) -> None:
        first = group.elements[0] if group.elements else None
        if first is None or not first.patterns[1:]:
            return
        chain, _ = self._ordered(first, row.binds)
        if chain[0].variables & row.binds:
            text = f"{chain[0]} " + " ".join(f"LATERAL {{ {pattern} }}" for pattern in chain[1:])
            self.edits.append((first.begin, first.end, text + " "))

    def _number(self, element: Element, known: frozenset[str] = frozenset()) -> float:
        """Return how many rows an element makes of one, by estimate; 1 where nothing tells."""
        if element.patterns:
            return self._ordered(element, known)[1][-1]
        if element.keyword in {"", "GRAPH", "LATERAL", "SELECT"} and element.groups:
            return sum(prod(self._number(inner) for inner in group.elements) for group in element.groups)
        return 1

    def _ordered(self, element: Element, known: frozenset[str] = frozenset()) -> _Order:
        """Return the patterns of an element in order; reckoned once, however often it is asked."""
        if (element, known) not in self._orders:
            self._orders[element, known] = self._order(element.patterns, set(known))
        return self._orders[element, known]

    def _order(self, patterns: list[Pattern], known: set[str]) -> _Order:
        """Return the patterns, each time the one that gives the fewest rows next, and the numbers of rows from one on.

        A pattern is looked up for each row that there is before it; the last number is that of the rows in the end.
        """
        chain, left = list[Pattern](), list(patterns)
        numbers = [1.0]
        while left:
            best = min(left, key=lambda pattern: (self._rows(pattern, known), not pattern.variables & known))
            left.remove(best)
            numbers.append(numbers[-1] * self._rows(best, known))
            known |= best.variables
            chain.append(best)
        return chain, numbers

    def _rows(self, pattern: Pattern, known: Collection[str]) -> float:
        """Return how many triples match a pattern on average, when the variables `known` are bound."""
        subject, object_ = (term[0] not in "?$" or term[1:] in known for term in (pattern.subject, pattern.object))
        steps = [self._use(token.text) for token in pattern.path if token.kind != "mark"]
        if pattern.path[0].text == "a" and pattern.object[0] not in "?$":
            steps[-1] = self._use(pattern.object)
        if subject:
            rows = prod(use.triples / max(1, use.subjects) for use in steps)
            return rows / max(1, steps[-1].objects) if object_ else rows
        if object_:
            return prod(use.triples / max(1, use.objects) for use in steps)
        return steps[0].triples * prod(use.triples / max(1, use.subjects) for use in steps[1:])

    def _use(self, term: str) -> Use:
        """Return how a property or class is used; of a variable, as all are together."""
        if term[0] in "?$":
            return self._together
        if term[0] == "<":
            return self._uses.get(term[1:-1], _NO_USE)
        prefix, _, local = term.partition(":")
        iri = names.RDF_TYPE if term == "a" else self._prefixes.get(f"{prefix}:", "") + local
        return self._uses.get(iri, _NO_USE)
