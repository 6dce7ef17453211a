"""Rewrites EXISTS and NOT EXISTS of several triples so that the engine evaluates them quickly.

Oxigraph matches each pattern of an EXISTS with the whole graph, once for each row. `quick_exists` rewrites it in one of two
ways, chosen only by the variables that it shares with the group around it. Where one of them is a subject, which mostly leads
to few matches, the EXISTS starts from the current row, pattern by pattern, with LATERAL (SPARQL-dev SEP-0006, which the engine
understands):

    ?risk a itu:Risk FILTER NOT EXISTS { ?measure rdfs:label ?label . ?risk itu:mitigatedBy ?measure }
    ?risk a itu:Risk FILTER NOT EXISTS { ?risk itu:mitigatedBy ?measure LATERAL { ?measure rdfs:label ?label } }

Very many triples may lead to an object. Then the EXISTS is matched once for all rows, as MINUS or as a sub-select:

    ?target a sdgo:Target FILTER NOT EXISTS { ?output a itu:Output ; itu:contributesToSDGTarget ?target }
    ?target a sdgo:Target FILTER(true) MINUS { ?output a itu:Output ; itu:contributesToSDGTarget ?target }

The rows stay the same, and as many. Patterns may be joined in any order (SPARQL 1.1 Query, 18.5), and MINUS removes the rows
that NOT EXISTS does where both sides bind all the variables that they share (8.3.3). Anything else stays as it is written.
"""

import re
from collections.abc import Collection
from contextlib import suppress
from itertools import takewhile
from typing import NamedTuple

from itukg.engine.patterns import Element, Group, NotUnderstoodError, Pattern, Reader
from itukg.engine.sparql import blank_out

MAX_LENGTH = 10_000
"""Characters of a query; a longer one is not rewritten."""
MAX_PATTERNS = 20
"""Triple patterns of an EXISTS that is rewritten."""
MAX_EXISTS = 20
"""EXISTS in one query: the groups around are read again for each."""
_SEVERAL = re.compile(r"\bEXISTS\s*\{(?:[^{}]*\{)?[^{}]*?(?:\s[.;,]|[.;,]\s)", re.IGNORECASE)
"""An EXISTS of several triples, as most people write it; a query without one is not read."""
_GROUP_INSIDE = re.compile(r"\bEXISTS\s*\{[^{}]*\{", re.IGNORECASE)
"""An EXISTS with another group inside: of GRAPH, OPTIONAL, MINUS, UNION, VALUES or a sub-select."""
ADVICE = (
    "An EXISTS or NOT EXISTS with GRAPH, OPTIONAL, MINUS or another group inside is mostly evaluated once for each row; "
    "MINUS, or OPTIONAL with !BOUND, is often quick."
)
_JOINED = {"", "{", "GRAPH", "VALUES", "FILTER"}
"""Keywords of elements that are joined, and of those that apply to the whole group."""

CHECK, FORWARD, BACKWARD, SCAN = range(4)
"""Kinds of patterns: both ends are bound; only the subject is; only the object is; neither is."""


def quick_exists(query: str) -> str:
    """Return a query with the same rows, whose EXISTS of several triples the engine evaluates quickly.

    A text that is not a query is returned unchanged.
    """
    if len(query) > MAX_LENGTH or query.upper().count("EXISTS") > MAX_EXISTS or not _SEVERAL.search(query):
        return query
    try:
        rewriter = _Rewriter(query)
        rewriter.read()
    except NotUnderstoodError:
        return query
    pieces, at = list[str](), 0
    for begin, end, text in sorted(rewriter.edits):
        pieces += [query[at:begin], text]
        at = end
    return "".join((*pieces, query[at:]))


def advice(query: str) -> str:
    """Return what may help a query that hit its time limit; "" where nothing is known."""
    return ADVICE if _GROUP_INSIDE.search(blank_out(query)) else ""


class Block(NamedTuple):
    """The content of an EXISTS that has only patterns and filters, maybe in one GRAPH."""

    patterns: list[Pattern]
    filters: list[str]
    filtered: set[str]
    """Variables of the filters."""
    graph: str
    """The term that GRAPH names, or ""."""
    names: set[str]
    """Variables of the patterns and of the graph."""

    def written(self, patterns: str) -> str:
        """Return patterns in the graph."""
        return f"GRAPH {self.graph} {{ {patterns} }}" if self.graph else patterns


class _Rewriter(Reader):
    def __init__(self, query: str) -> None:
        super().__init__(query)
        self.edits: list[tuple[int, int, str]] = []
        """Replacements: begin and end of a part of the query, and its new text."""

    def read(self) -> None:
        """Read the query, and collect the edits."""
        super().read()
        for exists, group, filter_ in self.exists:
            with suppress(NotUnderstoodError):
                self._rewrite(self._block(exists), exists, group, filter_)

    def _block(self, group: Group) -> Block:
        """Return the content of an EXISTS. Raises NotUnderstoodError for more than patterns and filters."""
        graph, names, elements = "", set[str](), group.elements
        if [element.keyword for element in elements if element.keyword != "FILTER"] == ["GRAPH"]:
            [element] = [element for element in elements if element.keyword == "GRAPH"]
            [inner] = element.groups
            graph, names = self.tokens[element.first + 1].text, self.variables(element.first, element.first + 2)
            elements = [*inner.elements, *(beside for beside in elements if beside is not element)]
        if any(element.keyword not in {"", "FILTER"} or element.groups for element in elements):
            raise NotUnderstoodError
        patterns = [each for element in elements if not element.keyword for each in self.patterns(element)]
        if not 1 < len(patterns) <= MAX_PATTERNS:
            raise NotUnderstoodError
        names = names.union(*(pattern.names for pattern in patterns))
        filters = [element for element in elements if element.keyword]
        filtered = {name for element in filters for name in self.variables(element.first, element.last)}
        return Block(patterns, [self._text(each.first, each.last) for each in filters], filtered, graph, names)

    def _rewrite(self, block: Block, exists: Group, group: Group, filter_: Element) -> None:
        shared = block.names & group.binds
        new = [pattern for pattern in block.patterns if pattern.names - shared]
        if not new or any(pattern.names & shared and pattern.kind(shared) == FORWARD for pattern in new):
            chain = _chain(block.patterns, shared)
            if chain and self._around(exists).isdisjoint(block.names - shared):
                text = f"{chain[0]} " + " ".join(f"LATERAL {{ {pattern} }}" for pattern in chain[1:])
                self._replace(exists.first, exists.last, f"{{ {' '.join((block.written(text), *block.filters))} }}")
        elif shared and _chain(new, new[0].names - shared, shared) and not any(map(_matches_all, new)):
            self._match_once(block, exists, group, filter_)

    def _match_once(self, block: Block, exists: Group, group: Group, filter_: Element) -> None:
        """Rewrite an EXISTS as MINUS or a sub-select, if it is the whole FILTER and its group is evaluated once."""
        before = [token.word for token in self.tokens[filter_.first + 1 : exists.first] if token.word != "("]
        behind = {token.word for token in self.tokens[exists.last : filter_.last]}
        shared = block.names & group.binds
        others = [other for other in group.elements if other.keyword != "FILTER"]
        named = {name for other in others for name in self.variables(other.first, other.last)}
        if group not in self.at_once or behind - {")"} or block.filtered - block.names or named & block.names - shared:
            return
        in_graph, new = self.at_once[group], [pattern for pattern in block.patterns if pattern.names - shared]
        if not in_graph and all(pattern.kind() == SCAN for pattern in new):
            # without constants, lookups take longer than hash joins, which the engine makes of sub-selects
            ends = sorted(block.patterns, key=lambda pattern: bool(pattern.names & shared))
            parts = [f"{{ SELECT * {{ {block.written(str(pattern))} }} }}" for pattern in ends]
            text = f"{{ {' '.join((*parts, *block.filters))} }}"
        else:
            text = self._text(exists.first, exists.last)
        match before:
            case ["NOT" | "!", "EXISTS"]:
                text = f" MINUS {text}"
            case ["EXISTS"] if not in_graph:  # the engine does not pass the graph on to a sub-select
                text = f" {{ SELECT DISTINCT {' '.join(f'?{name}' for name in sorted(shared))} {text} }}"
            case _:
                return
        self._replace(filter_.first, filter_.last, "FILTER(true)")
        leading = list(takewhile(lambda element: element.keyword in _JOINED, group.elements))
        bound = {name for element in leading for name in element.binds}
        at = self.tokens[(leading if shared <= bound else group.elements)[-1].last - 1].end
        self.edits.append((at, at, text))

    def _around(self, exists: Group) -> set[str]:
        """Return the variables outside an EXISTS, except those in other EXISTS, which it never sees.

        The engine may evaluate a join with a chain, as with a single pattern, row by row; then the EXISTS sees variables
        that it must not.
        """
        beside = [other for other, _, _ in self.exists if not other.first <= exists.first < other.last]
        hidden = {at for group in (exists, *beside) for at in range(group.first, group.last)}
        return {token.text[1:] for at, token in enumerate(self.tokens) if token.kind == "variable" and at not in hidden}

    def _text(self, first: int, last: int) -> str:
        return self.query[self.tokens[first].begin : self.tokens[last - 1].end]

    def _replace(self, first: int, last: int, text: str) -> None:
        self.edits.append((self.tokens[first].begin, self.tokens[last - 1].end, text))


def _matches_all(pattern: Pattern) -> bool:
    """Return whether a pattern may match so much that one match of all takes longer, and more memory, than row by row."""
    return pattern.path[0][0] in "?$" or "+" in pattern.path


def _chain(patterns: list[Pattern], known: set[str], ignored: Collection[str] = ()) -> list[Pattern]:
    """Order patterns so that each has a variable that is known or in a pattern before; empty where that is impossible.

    The next is always the one with most ends bound. Variables that are `ignored` do not connect patterns.
    """
    chain, left = list[Pattern](), list(patterns)
    while near := [pattern for pattern in left if pattern.names & known]:
        chain.append(min(near, key=lambda pattern: pattern.kind(known)))
        left.remove(chain[-1])
        known = known | chain[-1].names.difference(ignored)
    return [] if left else chain
