"""Orders what the embedded engine orders badly: triple patterns inside OPTIONAL and EXISTS, and those that match much.

Oxigraph plans them as if nothing were known outside: an OPTIONAL of several patterns is matched with the whole graph, and an
EXISTS begins anywhere, once for each row. Yet the row at hand is known. `in_order` writes such a group as a chain that
begins there, one pattern at a time, with LATERAL (SPARQL-dev SEP-0006, which the engine understands):

    OPTIONAL { ?link itu:basis ?basis ; itu:subject ?output }
    LATERAL { OPTIONAL { ?link itu:subject ?output LATERAL { ?link itu:basis ?basis } } }

The rows are the same, and as many. Patterns may be joined in any order (SPARQL 1.1 Query, 18.5). LATERAL evaluates an OPTIONAL
once for each row, with what the row binds: that is the left join where a group holds patterns, filters, and OPTIONALs that
share with the row only what the patterns around them bind ("well designed" in Pérez, Arenas and Gutierrez, Semantics and
Complexity of SPARQL, 2009). Anything else, and what is not understood, stays as it is written.

Elsewhere nothing is at hand, and the engine looks up pattern by pattern. Where much matches, a group is written as sub-selects,
which it joins by hash (see `joins`):

    ?link itu:subject ?thing ; itu:rule ?rule
    { SELECT * { ?link itu:subject ?thing } } { SELECT * { ?link itu:rule ?rule } }

That is done where all rows are asked for, in a group that the engine evaluates as a whole and in which nothing but patterns
restricts them. Where a SELECT DISTINCT takes each row once however often it comes, so is the first step of a path:

    ?newer itu:plan ?plan ; itu:succeeds+ ?older
    { SELECT * { ?newer itu:plan ?plan } } { SELECT * { ?newer itu:succeeds ?step0 } } LATERAL { ?step0 itu:succeeds* ?older }
"""

import re
from functools import cached_property
from itertools import count
from math import inf, prod
from typing import NamedTuple

from itukg import names
from itukg.store.joins import SCANNED, Part, by_hash
from itukg.store.patterns import Element, Group, NotUnderstoodError, Pattern, Reader


class Use(NamedTuple):
    """How a term is used: a property in how many triples, with how many subjects and objects; a class by how many things."""

    triples: int
    subjects: int
    objects: int


class Uses(dict[str, Use]):
    """How terms are used: by IRI in the merged graph, by the graph's IRI, a space and the term's in a named one."""

    @cached_property
    def often(self) -> frozenset[str]:
        """What stands behind the last sign in the IRIs of terms so often used that lookups of them may take a millisecond."""
        return frozenset(
            word for term, use in self.items() if use.triples >= OFTEN for word in _LOCAL.findall(term)[-1:]
        )

    @cached_property
    def together(self) -> Use:
        """How all terms of the merged graph are used together."""
        return Use(*map(sum, zip(_NO_USE, *(use for term, use in self.items() if " " not in term), strict=True)))


_NO_USE = Use(0, 0, 0)
USES = """SELECT ?term (COUNT(*) AS ?triples) (COUNT(DISTINCT ?s) AS ?subjects) (COUNT(DISTINCT ?o) AS ?objects)
WHERE { { ?s ?term ?o } UNION { ?s a ?term BIND(?term AS ?o) } } GROUP BY ?term"""
"""The query that tells how properties and classes are used in a graph."""
LONGEST = 10_000
"""Characters of a query that is looked at."""
OFTEN = 500
"""Triples of a term from which on a join of two may be worth planning."""
MOST_JOINED = 12
"""How many patterns of a group are joined otherwise than they are written."""

_LOCAL = re.compile(r"[:#/](\w+)\b(?!>?\+)")
"""What stands behind the last sign in an IRI, but for a property that is followed on and on: that is never joined by hash."""
_FOLLOWED = re.compile(r"\+(?<=[\w>].)")
"""The sign of a path that is followed on and on."""
_NO_JOINS = re.compile(
    r"[:>)]\w*[?*]\s|\b(?:ASK|REDUCED|SAMPLE|GROUP_CONCAT|RAND|UUID|STRUUID|CONSTRUCT\s+(?:FROM|WHERE))\b"
    r"|\}(?:(?!\b(?:ORDER|GROUP)\b)[^{}])*\b(?:LIMIT|OFFSET)\b"
)
"""In capitals, what stands, as VALUES may, in a query whose patterns are not joined by hash: a path that may lead nowhere gives
rows, the first rows are enough, their order or chance tells, or nothing but patterns may stand."""


def in_order(query: str, uses: Uses) -> str:
    """Return a query with the same rows, whose OPTIONALs and EXISTS begin at the row at hand where that is quicker.

    Its patterns are joined by hash where that is. What is no query is returned as it is.
    """
    if len(query) > LONGEST:
        return query
    words = query.upper()
    joins = "VALUES" not in words and _matches_much(query, words, uses) and not _NO_JOINS.search(words)
    if not joins and "OPTIONAL" not in words and "EXISTS" not in words:
        return query
    try:
        reader = Reader(query)
        groups = reader.read()
        planner = _Planner(query, reader, uses)
        for group in groups:
            planner.plan(group, _Row(), planner.values, whole=joins and len(groups) == 1)
    except NotUnderstoodError:
        return query
    pieces, at = list[str](), 0
    for begin, end, text in sorted(planner.edits):
        pieces += [query[at:begin], text]
        at = end
    return "".join((*pieces, query[at:]))


def _matches_much(query: str, words: str, uses: Uses) -> bool:
    """Tell whether two terms of a query are often used, or one beside a path that may be taken in steps."""
    often = sum(map(uses.often.__contains__, _LOCAL.findall(query)))
    return often > 1 or (often == 1 and "DISTINCT" in words and _FOLLOWED.search(words) is not None)


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


def _whole(inner: Group, element: Element, group: Group) -> bool:
    """Tell whether the engine evaluates a group in an element as a whole, if it does so with the `group` around."""
    if element.keyword == "SELECT":
        return len(element.groups) == 1  # else one stands in an expression
    select = [within.keyword for within in inner.elements] == ["SELECT"]
    return element.keyword == "" and (select or _alone(element, group))


def _alone(element: Element, group: Group, beside: frozenset[str] = frozenset()) -> bool:
    """Tell whether nothing in a group binds variables for an element, but what has keywords `beside`, and what takes its rows."""
    at = group.elements.index(element)
    return all(other.keyword in beside | {"FILTER"} for other in group.elements[:at]) and all(
        other.keyword in {"FILTER", "OPTIONAL", "MINUS", "BIND"} for other in group.elements[at + 1 :]
    )


_Order = tuple[list[Part], list[float]]


class _Planner:
    def __init__(self, query: str, reader: Reader, uses: Uses) -> None:
        self.values = frozenset(reader.values)
        self.edits: list[tuple[int, int, str]] = []
        """What to write instead of a part of the query: its begin, its end, the text."""
        self._prefixes, self._uses = reader.prefixes, uses
        self._distinct = reader.distinct
        self._unused = (f"?step{number}" for number in count() if f"step{number}" not in query)
        """Variables that the query does not have."""
        self._parts: dict[Element, list[Part]] = {}
        self._orders: dict[tuple[Element, frozenset[str]], _Order] = {}

    def plan(
        self,
        group: Group,
        row: _Row,
        others: frozenset[str],
        before: frozenset[str] = frozenset(),
        *,
        whole: bool = False,
    ) -> None:
        """Plan what is inside the elements of a group, which is evaluated with `row` at hand.

        `others` are the variables outside of the group, but for those `before` an OPTIONAL, which its filters see. What the
        engine evaluates by itself and as a `whole`, whatever stands around, is joined by hash where that is quicker.
        """
        if whole:
            self._join(group)
        counted = any(element.keyword == "OPTIONAL" for element in group.elements)
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
                    self.plan(inner, _Row(), around, whole=whole and _whole(inner, element, group))
            row = row.after(element, self._number(element, row.binds) if counted else 1)

    def _join(self, group: Group) -> None:
        """Join the patterns of a group by hash where that is quicker, if nothing else binds what they are joined with."""
        elements = [element for element in group.elements if element.keyword in {"", "GRAPH"}]
        if not elements or not _alone(elements[-1], group, frozenset({"", "GRAPH"})):
            return
        patterns = list[Pattern]()
        for element in elements:
            inner = element.groups[0].elements if element.keyword == "GRAPH" else [element]
            if len(inner) != 1 or not inner[0].patterns:
                return
            patterns += inner[0].patterns
        if len(patterns) > MOST_JOINED or any(
            pattern.unsteady or pattern.graph[:1] in {"?", "$"} for pattern in patterns
        ):
            return
        parts = [self._in_its_graph(pattern) for pattern in patterns]
        steps = self._in_steps(patterns, parts) if self._distinct else []
        filters = [frozenset(element.names) for element in group.elements if element.keyword == "FILTER"]
        if tree := by_hash(parts, filters, steps):
            texts = [f"{tree} ", *[""] * (len(elements) - 1)]
            self.edits += [(element.begin, element.end, text) for element, text in zip(elements, texts, strict=True)]

    def _in_steps(self, patterns: list[Pattern], parts: list[Part]) -> list[Part]:
        """Return the parts, each path from what others give as its first step and the rest; [] if there is no such path.

        Where several steps lead from one thing to another, they give a row more than once.
        """
        given = {term for pattern in patterns if pattern.plain for term in (pattern.subject, pattern.object)}
        steps = list[Part]()
        for pattern, part in zip(patterns, parts, strict=True):
            if pattern.followed and pattern.subject in given:
                steps += map(self._in_its_graph, pattern.in_steps(next(self._unused)))
            else:
                steps.append(part)
        return steps if len(steps) > len(parts) else []

    def _in_its_graph(self, pattern: Pattern) -> Part:
        part = self._part(pattern)
        return part._replace(text=f"GRAPH {pattern.graph} {{ {part} }}") if pattern.graph else part

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
        return bool(chain[0].values.keys() & row.binds) and row.number * sum(numbers) <= row.number + sum(of_all)

    def _chain(self, group: Group, row: _Row) -> None:
        first = group.elements[0] if group.elements else None
        if first is None or not first.patterns[1:]:
            return
        chain, _ = self._ordered(first, row.binds)
        if chain[0].values.keys() & row.binds:
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
        if element not in self._parts:
            self._parts[element] = [self._part(pattern) for pattern in element.patterns]
        if (element, known) not in self._orders:
            self._orders[element, known] = self._order(self._parts[element], set(known))
        return self._orders[element, known]

    def _order(self, parts: list[Part], known: set[str]) -> _Order:
        """Return patterns, each time the one that gives the fewest rows next, and the numbers of rows from one on.

        A pattern is looked up for each row that there is before it; the last number is that of the rows in the end.
        """
        chain, left = list[Part](), list(parts)
        numbers = [1.0]
        while left:
            rows, _, at = min(
                (part.given(known), part.values.keys().isdisjoint(known), at) for at, part in enumerate(left)
            )
            chain.append(left.pop(at))
            numbers.append(numbers[-1] * rows)
            known |= chain[-1].values.keys()
        return chain, numbers

    def _part(self, pattern: Pattern) -> Part:
        """Return what a pattern gives and costs."""
        steps = self._steps(pattern)
        if pattern.subject[0] not in "?$":
            rows = prod(use.triples / max(1, use.subjects) for use in steps)
            rows /= 1 if pattern.object[0] in "?$" else max(1, steps[-1].objects)
        elif pattern.object[0] not in "?$":
            rows = prod(use.triples / max(1, use.objects) for use in steps)
        else:
            rows = steps[0].triples * prod(use.triples / max(1, use.subjects) for use in steps[1:])
        ends = (pattern.path[0].text, 1), (pattern.subject, steps[0].subjects), (pattern.object, steps[-1].objects)
        values = {term[1:]: number or 1 for term, number in ends if term[0] in "?$"}
        subject = pattern.subject[1:] if pattern.subject[0] in "?$" else ""
        if not pattern.plain:
            return Part(0, rows, values, inf, inf, frozenset(), subject, str(pattern))
        keys = frozenset([term[1:] for term, number in ends[1:] if term[0] in "?$" and number == steps[0].triples])
        return Part(0, rows, values, rows * SCANNED, steps[0].triples, keys, subject, str(pattern))

    def _steps(self, pattern: Pattern) -> list[Use]:
        """Return how each property of a pattern's path is used, or the class if it tells that."""
        terms = [token.text for token in pattern.path if token.kind != "mark"]
        of_type = pattern.plain and terms[0][0] not in "?$" and self._iri(terms[0]) == names.RDF_TYPE
        if of_type and pattern.object[0] not in "?$":
            terms = [pattern.object]
        uses = [self._use(term, pattern.graph) for term in terms]
        if any(token.text == "|" for token in pattern.path):  # alternatives add up, they do not follow each other
            return [Use(*map(sum, zip(*uses, strict=True)))]
        return uses

    def _use(self, term: str, graph: str) -> Use:
        """Return how a property or class is used; of a variable, as all are together."""
        if term[0] in "?$":
            return self._uses.together
        iri = self._iri(term)
        return self._uses.get(f"{self._iri(graph)} {iri}" if graph and graph[0] not in "?$" else iri, _NO_USE)

    def _iri(self, term: str) -> str:
        if term[0] == "<":
            return term[1:-1]
        prefix, _, local = term.partition(":")
        return names.RDF_TYPE if term == "a" else self._prefixes.get(f"{prefix}:", "") + local
