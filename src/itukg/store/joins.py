"""Decides which triple patterns of a group are joined by hash, and which are looked up row by row.

The embedded engine looks up each pattern for each row that the patterns before it give; it joins two sub-selects by hash.
Which is quicker is estimated: how many rows a join gives, by the values that the variable takes where it is used
(Selinger et al., Access Path Selection, 1979), the order by joining what gives the fewest rows, again and again (Fegaras, A New
Heuristic for Optimizing Large Queries, 1998).
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import combinations
from math import inf
from operator import itemgetter
from typing import NamedTuple

SCANNED = 0.2
"""Microseconds for a row that a pattern gives; this and the others as measured on the release."""
LOOKED_UP = 1.3
"""Microseconds for a lookup, without the rows that it gives."""
LOOKED_UP_BY_OBJECT = 2.0
"""Microseconds for one where the subject is not known: the engine goes through all that leads to the object."""
STEPS = 2
"""Lookups that one along a path takes."""
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


def by_hash(parts: Sequence[Part], filters: Sequence[frozenset[str]], steps: Sequence[Part] = ()) -> Part | None:
    """Return patterns joined as is quickest; None where lookups alone are about as quick, or nothing joins the patterns.

    `filters` are the variables of each filter that the rows must pass. `steps` may be other patterns with the same rows.
    """
    ways = [way for way in (parts, steps) if sum(part.cost < inf for part in way) > 1]
    if not ways:
        return None
    planner = _Joins(filters)
    chain = planner.chain(parts)
    limit = chain.cost * WELL_UNDER - WORTH if chain else 0
    if limit <= 0:
        return None
    trees = [tree for way in ways if (tree := planner.tree(way)) and tree.cost < limit]
    return min(trees, key=lambda tree: tree.cost, default=None)


class _Joins:
    def __init__(self, filters: Sequence[frozenset[str]]) -> None:
        self._filters = filters

    def tree(self, parts: Sequence[Part]) -> Part | None:
        """Return the parts joined, each time the two that give the fewest rows; None if nothing joins them all.

        What should only be looked up comes last: it may lead far, and nothing is joined by hash behind it.
        """
        left = self._numbered(parts)
        joins = [join for first, second in combinations(left, 2) if (join := self._joined(first, second))]
        while joins:
            best = min(joins, key=lambda join: (join.sides[1].cost == inf, join.rows, join.cost))
            left = [part for part in left if not part.patterns & best.patterns]
            joins = [join for join in joins if not join.patterns & best.patterns]
            joins += [join for part in left if (join := self._joined(best, part))]
            left.append(best)
        return left[0] if len(left) == 1 else None

    def chain(self, parts: Sequence[Part]) -> Part | None:
        """Return the parts looked up one after the other, each time the one that gives the fewest rows."""
        left = self._numbered(parts)
        at = min(left, key=lambda part: (part.cost == inf, part.rows))
        left.remove(at)
        while left:
            joins = [join for part in left if (join := self._joined(at, part, hashed=False))]
            if not joins:
                return None
            at = min(joins, key=lambda join: (join.rows, join.cost))
            left = [part for part in left if not part.patterns & at.patterns]
        return at

    def _numbered(self, parts: Sequence[Part]) -> list[Part]:
        """Return parts that know which they are, with the filters that see their variables."""
        return [self._filtered(part._replace(patterns=1 << number)) for number, part in enumerate(parts)]

    def _filtered(self, part: Part) -> Part:
        """Return a part with the filters that see their variables in it, and in none of its sides."""
        for variables in self._filters:
            if variables <= part.values.keys() and not any(variables <= side.values.keys() for side in part.sides):
                part = part._replace(rows=part.rows * PASSED, cost=part.cost + part.rows * FILTERED)
        return part

    def _joined(self, first: Part, second: Part, *, hashed: bool = True) -> Part | None:
        """Return two parts joined as is cheapest, by hash only if they may be; None if nothing joins them."""
        shared = first.values.keys() & second.values.keys()
        if not shared:
            return None
        rows = first.rows * second.rows
        values = {**first.values, **second.values}
        for name in shared:
            numbers = first.values[name], second.values[name]
            values[name] = min(numbers)
            rows /= max(numbers)
        ways = [(_looking_up(first, second) + rows * SCANNED, (first, second), False)]
        if hashed:
            # the engine holds the first in memory, if it takes both for equally large
            sides = (second, first) if first.rows > second.rows else (first, second)
            ways.append((_looking_up(second, first) + rows * SCANNED, (second, first), False))
            ways.append((_hashing(*sides) + rows * JOINED, sides, True))
        cost, sides, hashed = min(ways, key=itemgetter(0))
        if cost == inf:
            return None
        most: float = inf
        keys: frozenset[str] = frozenset()
        for one, other in ((first, second), (second, first)):
            if shared & other.keys:  # then there is one row or none for each of the one
                most, keys = min(most, one.most), keys | one.keys
        patterns = first.patterns | second.patterns
        part = Part(patterns, rows, values, cost, most, keys, sides=sides, hashed=hashed)
        return self._filtered(part) if self._filters else part


def _looking_up(first: Part, second: Part) -> float:
    """Return what it costs to look up the second for each row of the first; infinite where it is no pattern."""
    if second.sides:
        return inf
    lookup = LOOKED_UP if not second.subject or second.subject in first.values else LOOKED_UP_BY_OBJECT
    return first.cost + first.rows * (lookup * STEPS if second.cost == inf else lookup)


def _hashing(first: Part, second: Part) -> float:
    """Return what it costs to join two by hash; infinite where they may be too large."""
    if max(first.most, second.most) > LARGEST:
        return inf
    return first.cost + second.cost + (first.rows + second.rows) * HASHED
