"""Decides which triple patterns of a group are joined by hash, and which are looked up row by row.

The embedded engine looks up each pattern for each row that the patterns before it give; it joins two sub-selects by hash.
Which is quicker is estimated: how many rows a join gives, by the values that the variable takes where it is used
(Selinger et al., Access Path Selection, 1979), the order by joining what gives the fewest rows, again and again (Fegaras, A New
Heuristic for Optimizing Large Queries, 1998).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations
from math import inf
from typing import NamedTuple

SCANNED = 0.2
"""Microseconds for a row that a pattern gives; this and the others as measured on the release."""
LOOKED_UP = 1.3
"""Microseconds for a lookup, without the rows that it gives."""
LOOKED_UP_BY_OBJECT = 2.0
"""Microseconds for one where the subject is not known: the engine goes through all that leads to the object."""
HASHED = 0.15
"""Microseconds for a row that goes into a join by hash."""
JOINED = 0.25
"""Microseconds for a row that comes out of one."""
FILTERED = 0.2
"""Microseconds for a row that a filter looks at."""
PASSED = 0.1
"""The part of the rows that a filter is taken to let pass: so few that lookups, which it would spare, seem cheap."""
WELL_UNDER = 2 / 3
"""How much less than lookups a tree must cost by estimate: of 56 joins of two properties that are so, two took longer."""
WORTH = 150.0
"""Microseconds that it must save besides, to be worth writing and reading again."""
LARGEST = 500_000
"""Rows that may go into a join by hash from either side: those of one are held in memory, half a million in 180 MB."""


class Part(NamedTuple):
    """A pattern, or several joined: what it gives by estimate, and what that costs in microseconds."""

    patterns: int
    """Which patterns it holds, a bit for each."""
    rows: float
    values: Mapping[str, float]
    """How many values each of its variables takes in the graph, at least one."""
    cost: float
    """What all its rows cost; infinite for what should only be looked up."""
    most: float
    """How many rows it gives at most; infinite where one thing may have many others, which an average does not tell."""
    keys: frozenset[str]
    """Variables of which each value has one row."""
    subject: str = ""
    """The variable in front of a pattern, if there is one."""
    text: str = ""
    """A pattern as it is written; "" for what is joined of `sides`."""
    sides: "tuple[Part, ...]" = ()
    hashed: bool = False
    """Whether the sides are joined by hash; else the second, a pattern, is looked up for each row of the first."""

    def given(self, known: Collection[str]) -> float:
        """Return how many rows it gives on average, when the variables `known` are bound."""
        rows = self.rows
        for name, number in self.values.items():
            if name in known:
                rows /= number
        return rows

    def __str__(self) -> str:
        if not self.sides:
            return self.text
        first, second = self.sides
        if self.hashed:
            return f"{{ SELECT * {{ {first} }} }} {{ SELECT * {{ {second} }} }}"
        return f"{first} LATERAL {{ {second} }}"


def by_hash(parts: Sequence[Part], filters: Sequence[frozenset[str]]) -> Part | None:
    """Return patterns joined as is quickest; None where lookups alone are about as quick, or nothing joins the patterns.

    `filters` are the variables of each filter that the rows must pass.
    """
    planner = _Joins(filters)
    parts = [planner.filtered(part._replace(patterns=1 << number)) for number, part in enumerate(parts)]
    tree = planner.tree(parts)
    chain = planner.chain(parts)
    return tree if tree and chain and tree.cost + WORTH < chain.cost * WELL_UNDER else None


class _Joins:
    def __init__(self, filters: Sequence[frozenset[str]]) -> None:
        self._filters = filters

    def tree(self, parts: Sequence[Part]) -> Part | None:
        """Return the parts joined, each time the two that give the fewest rows; None if nothing joins them all."""
        left = list(parts)
        joins = [join for first, second in combinations(left, 2) for join in self._joins(first, second)]
        while joins:
            best = min(joins, key=lambda join: (join.rows, join.cost))
            left = [part for part in left if not part.patterns & best.patterns]
            joins = [join for join in joins if not join.patterns & best.patterns]
            joins += [join for part in left for join in self._joins(best, part)]
            left.append(best)
        return left[0] if len(left) == 1 else None

    def chain(self, parts: Sequence[Part]) -> Part | None:
        """Return the parts looked up one after the other, each time the one that gives the fewest rows."""
        at = min(parts, key=lambda part: (part.cost == inf, part.rows))
        left = [part for part in parts if part is not at]
        while left:
            joins = [join for part in left for join in self._lookups(at, part)]
            if not joins:
                return None
            at = min(joins, key=lambda join: (join.rows, join.cost))
            left = [part for part in left if not part.patterns & at.patterns]
        return at

    def filtered(self, part: Part) -> Part:
        """Return a part with the filters that see their variables in it, and in none of its sides."""
        for variables in self._filters:
            if variables <= part.values.keys() and not any(variables <= side.values.keys() for side in part.sides):
                part = part._replace(rows=part.rows * PASSED, cost=part.cost + part.rows * FILTERED)
        return part

    def _joins(self, first: Part, second: Part) -> Iterator[Part]:
        """Yield the cheapest join of two parts, if there is any."""
        joins = [*self._lookups(first, second), *self._lookups(second, first), *self._hashed(first, second)]
        if joins:
            yield min(joins, key=lambda join: join.cost)

    def _lookups(self, first: Part, second: Part) -> Iterator[Part]:
        if not second.sides:
            lookup = LOOKED_UP if not second.subject or second.subject in first.values else LOOKED_UP_BY_OBJECT
            yield from self._joined(first, second, first.cost + first.rows * lookup, SCANNED)

    def _hashed(self, first: Part, second: Part) -> Iterator[Part]:
        if max(first.most, second.most) <= LARGEST:
            if first.rows > second.rows:  # the engine holds the first in memory, if it takes both for equally large
                first, second = second, first
            cost = first.cost + second.cost + (first.rows + second.rows) * HASHED
            yield from self._joined(first, second, cost, JOINED, hashed=True)

    def _joined(self, first: Part, second: Part, cost: float, each: float, *, hashed: bool = False) -> Iterator[Part]:
        shared = first.values.keys() & second.values.keys()
        if not shared or cost == inf:
            return
        rows = first.rows * second.rows
        values = {**first.values, **second.values}
        for name in shared:
            fewer, more = sorted((first.values[name], second.values[name]))
            values[name] = fewer
            rows /= more
        most, keys = inf, frozenset[str]()
        for one, other in ((first, second), (second, first)):
            if shared & other.keys:  # then there is one row or none for each of the one
                most, keys = min(most, one.most), keys | one.keys
        patterns = first.patterns | second.patterns
        part = Part(patterns, rows, values, cost + rows * each, most, keys, sides=(first, second), hashed=hashed)
        yield self.filtered(part) if self._filters else part
