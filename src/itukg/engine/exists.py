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
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import takewhile
from typing import NamedTuple

from itukg.engine.sparql import IRI, STRING

MAX_LENGTH = 10_000
"""Characters of a query; a longer one is not rewritten."""
MAX_DEPTH = 50
"""Levels of nested groups."""
MAX_PATTERNS = 20
"""Triple patterns of an EXISTS that is rewritten."""
MAX_EXISTS = 20
"""EXISTS in one query: the groups around are read again for each."""

_TOKEN = re.compile(
    r"(?:[ \t\r\n]|\#[^\n\r]*+)++"
    r"|(?P<variable>[?$][\w\x80-\U0010FFFF]+)"
    rf"|(?P<iri>{IRI})"
    rf"|(?P<text>(?:{STRING})(?:@[A-Za-z]+(?:-\w+)*)?)"
    r"|(?P<blank>_:[\w\x80-\U0010FFFF.-]+)"
    r"|(?P<name>(?:[A-Za-z\x80-\U0010FFFF][\w\x80-\U0010FFFF.-]*+)?:"
    r"(?:[\w\x80-\U0010FFFF:%-]|\\.|\.(?=\.*(?:[\w\x80-\U0010FFFF:%-]|\\)))*)"
    r"|(?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<word>[A-Za-z]\w*)"
    r"|(?P<mark>\^\^|.)",
    re.DOTALL,
)
"""Any character outside ASCII is part of a name: the language has no such sign or space."""
_TWO_COMPARISONS = re.compile(r"&&|[,)]")
"""Marks what looks like an IRI but may be two comparisons, as the engine reads ?a<?b&&?c>?d."""
_SEVERAL = re.compile(r"\bEXISTS\s*\{(?:[^{}]*\{)?[^{}]*?(?:\s[.;,]|[.;,]\s)", re.IGNORECASE)
"""An EXISTS of several triples, as most people write it; a query without one is not read."""
_KEYWORDS = {"OPTIONAL", "MINUS", "GRAPH", "SERVICE", "LATERAL", "FILTER", "BIND", "VALUES", "SELECT", "UNION", "{"}
_JOINED = {"", "{", "GRAPH", "VALUES", "FILTER"}
"""Keywords of elements that are joined, and of those that apply to the whole group."""
_TERMS = {"variable", "iri", "name", "number", "text"}
_CLOSING = {"(": ")", "[": "]", "{": "}"}


class NotUnderstoodError(Exception):
    """The query, or a part of it, is outside the grammar that is read here."""


class Token(NamedTuple):
    """A term, keyword or sign, with its place."""

    kind: str
    text: str
    begin: int
    end: int
    word: str = ""
    """A keyword in capitals, a bracket or sign as it is; "" for a term."""


_END = Token("mark", "", -1, -1, "end of query")

CHECK, FORWARD, BACKWARD, SCAN = range(4)
"""Kinds of patterns: both ends are bound; only the subject is; only the object is; neither is."""


class Pattern(NamedTuple):
    """A triple pattern: its terms as written, and the tokens of its path."""

    subject: str
    path: tuple[str, ...]
    object: str

    def __str__(self) -> str:
        return " ".join((self.subject, *self.path, self.object))

    @property
    def names(self) -> set[str]:
        """Its variables."""
        return {term[1:] for term in (self.subject, self.path[0], self.object) if term[0] in "?$"}

    def kind(self, known: Collection[str] = ()) -> int:
        """Return whether it is a CHECK, FORWARD, BACKWARD or SCAN, where constants and `known` variables are bound."""
        subject, object_ = (term[0] not in "?$" or term[1:] in known for term in (self.subject, self.object))
        if self.path[0] == "^":
            subject, object_ = object_, subject
        return 3 - 2 * subject - object_


@dataclass(eq=False)
class Element:
    """An element of a group, by its keyword; "" is triple patterns, "{" is groups in brackets."""

    keyword: str
    first: int
    """Its first token; `last` is the token after it."""
    last: int = 0
    groups: "list[Group]" = field(default_factory=list)
    binds: set[str] = field(default_factory=set)
    """Variables that are bound in each of its rows."""


@dataclass(eq=False)
class Group:
    """A group graph pattern."""

    first: int
    last: int = 0
    elements: list[Element] = field(default_factory=list)

    @property
    def binds(self) -> set[str]:
        """Variables that are bound in each of its rows."""
        return {name for element in self.elements for name in element.binds}


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


def _tokens(query: str) -> Iterator[Token]:
    before = _END
    for found in _TOKEN.finditer(query):
        if (kind := found.lastgroup) is None:
            continue
        text = found[kind]
        # "<" right after a term or bracket compares or opens a triple term: 1<5 #>, <<?s?p?o>>
        glued = (
            before.end == found.start() and (before.kind != "mark" or before.text in ")<") and before.text[-1:] != ":"
        )
        if (kind == "mark" and text in "'\"") or (kind == "iri" and (glued or _TWO_COMPARISONS.search(text))):
            raise NotUnderstoodError
        before = Token(kind, text, found.start(), found.end(), {"mark": text, "word": text.upper()}.get(kind, ""))
        yield before


class _Reader:
    """Reads the groups of a query (SPARQL 1.1 Query, 19.8, rules 53 to 68), to find which variables are where."""

    def __init__(self, query: str) -> None:
        self.query = query
        self.exists: list[tuple[Group, Group, Element]] = []
        """Each EXISTS in a FILTER, with the filtered group and the FILTER."""
        self.at_once: dict[Group, bool] = {}
        """Groups that the engine evaluates once, whatever is around them; whether they are in a GRAPH."""
        self.tokens = [*_tokens(query), _END, _END]
        self._at = 0

    def read(self) -> None:
        """Read the query. Raises NotUnderstoodError."""
        words = [token.word for token in self.tokens]
        at = words.index("CONSTRUCT") + 1 if "CONSTRUCT" in words else 0
        if at and words[at] == "{":
            self._at = at
            self._skip()
        groups = self._until(_END.word, 0)
        if len(groups) == 1:  # else one is in an expression
            self._evaluated_once(groups[0], in_graph=False)

    def _evaluated_once(self, group: Group, *, in_graph: bool) -> None:
        self.at_once[group] = in_graph
        others = [element for element in group.elements if element.keyword != "FILTER"]
        for element in others:
            inner = [each.keyword for within in element.groups for each in within.elements]
            if (
                (element.keyword == "SELECT" and len(element.groups) == 1)
                or (element.keyword == "{" and inner == ["SELECT"])
                or (element.keyword in {"{", "GRAPH"} and others == [element])
            ):
                for each in element.groups:
                    self._evaluated_once(each, in_graph=in_graph or element.keyword == "GRAPH")

    def _word(self) -> str:
        return self.tokens[self._at].word

    def _next(self) -> Token:
        token = self.tokens[self._at]
        if token is _END:
            raise NotUnderstoodError
        self._at += 1
        return token

    def _skip(self) -> None:
        """Go past the bracket that closes the current one."""
        open_ = list[str]()
        while True:
            word = self._next().word
            if word in _CLOSING:
                open_.append(_CLOSING[word])
            elif word in {")", "]", "}"} and (not open_ or open_.pop() != word):
                raise NotUnderstoodError
            if not open_:
                return

    def _until(self, closing: str, depth: int) -> list[Group]:
        """Return the outermost groups before a closing bracket: of a query, of a sub-select, of an expression."""
        groups = list[Group]()
        while (word := self._word()) != closing:
            if word == "{":
                groups.append(self._group(depth))
            elif word == "VALUES":
                self._values()
            elif word == "(":
                groups += self._in_brackets(depth)
            else:
                self._next()
        return groups

    def _in_brackets(self, depth: int) -> list[Group]:
        if depth > MAX_DEPTH:
            raise NotUnderstoodError
        self._next()
        groups = self._until(")", depth + 1)
        self._next()
        return groups

    def _group(self, depth: int) -> Group:
        if self._word() != "{" or depth > MAX_DEPTH:
            raise NotUnderstoodError
        group = Group(self._at)
        self._next()
        while (word := self._word()) != "}":
            if word == ".":
                self._next()
                continue
            element = Element(word if word in _KEYWORDS else "", self._at)
            self._element(element, group, depth + 1)
            element.last = self._at
            group.elements.append(element)
        self._next()
        group.last = self._at
        return group

    def _element(self, element: Element, group: Group, depth: int) -> None:
        match element.keyword:
            case "":
                element.binds = self._triples()
            case "{":
                element.groups = list(self._union(depth))
                element.binds = set.intersection(*(inner.binds for inner in element.groups))
            case "OPTIONAL" | "MINUS":
                self._next()
                element.groups = [self._group(depth)]
            case "GRAPH":
                self._at += 2
                element.groups = [self._group(depth)]
                element.binds = element.groups[0].binds | self.variables(element.first, element.first + 2)
            case "FILTER":
                element.groups = self._expression(depth)
                self.exists += [(inner, group, element) for inner in element.groups]
            case "BIND":
                element.groups = self._expression(depth)
            case "VALUES":
                element.binds = self._values()
            case "SELECT":
                element.groups = self._until("}", depth)
            case _:
                raise NotUnderstoodError

    def _union(self, depth: int) -> Iterator[Group]:
        yield self._group(depth)
        while self._word() == "UNION":
            self._next()
            yield self._group(depth)

    def _expression(self, depth: int) -> list[Group]:
        """Return the groups of FILTER NOT EXISTS {…}, FILTER REGEX(…), BIND(…)."""
        while self._word() not in {"(", "{"}:
            self._next()
        return [self._group(depth)] if self._word() == "{" else self._in_brackets(depth)

    def _values(self) -> set[str]:
        first = self._at
        while self._word() != "{":
            self._next()
        data = self._at
        self._skip()
        words = {token.word for token in self.tokens[data : self._at] if token.kind == "word"}
        if words - {"UNDEF", "TRUE", "FALSE"}:
            raise NotUnderstoodError
        return set() if words & {"UNDEF"} else self.variables(first, data)

    def _triples(self) -> set[str]:
        first = self._at
        while (word := self._word()) != "}" and word not in _KEYWORDS:
            token = self._next()
            if token.kind == "word" and word not in {
                "A",
                "TRUE",
                "FALSE",
            }:  # as in trueOPTIONAL, which the engine takes for two
                raise NotUnderstoodError
            if word == "!":
                # the engine removes duplicates of such a path only where both ends are bound before, so how often a row
                # occurs depends on the order of joins, which rewriting may change
                raise NotUnderstoodError
        return self.variables(first, self._at)

    def variables(self, first: int, last: int) -> set[str]:
        """Return the variables from the token `first` to before the token `last`."""
        return {token.text[1:] for token in self.tokens[first:last] if token.kind == "variable"}

    def patterns(self, element: Element) -> Iterator[Pattern]:
        """Yield the patterns of an element. Raises NotUnderstoodError, for one with a blank node too."""
        self._at = element.first
        while self._at < element.last:
            subject = self._term()
            while True:
                path = self._path()
                yield Pattern(subject, path, self._term())
                while self._word() == ",":
                    self._next()
                    yield Pattern(subject, path, self._term())
                while self._word() == ";":
                    self._next()
                if self._at == element.last or self._word() == ".":
                    break
            if self._at < element.last and self._next().word != ".":
                raise NotUnderstoodError

    def _term(self) -> str:
        token = self._next()
        if token.kind == "text" and self._word() == "^^":
            return token.text + self._next().text + self._next().text
        if token.kind not in _TERMS and token.text not in {"true", "false"}:
            raise NotUnderstoodError
        return token.text

    def _path(self) -> tuple[str, ...]:
        first = self._at
        while True:
            while self._word() == "^":
                self._next()
            if self._word() == "(":
                self._skip()
            elif (token := self._next()).kind not in {"iri", "name", "variable"} and token.text != "a":
                raise NotUnderstoodError
            while self._word() == "+":
                self._next()
            if self._word() not in {"/", "|"}:
                break
            self._next()
        path = tuple(token.text for token in self.tokens[first : self._at])
        if self._word() in {"*", "?"} or {"*", "?"} & {*path}:  # it also matches terms that the graph does not hold
            raise NotUnderstoodError
        return path


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


class _Rewriter(_Reader):
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
        graph, names = "", set[str]()
        if [element.keyword for element in group.elements] == ["GRAPH"]:
            [element] = group.elements
            [group] = element.groups
            graph, names = self.tokens[element.first + 1].text, self.variables(element.first, element.first + 2)
        if any(element.keyword not in {"", "FILTER"} or element.groups for element in group.elements):
            raise NotUnderstoodError
        patterns = [each for element in group.elements if not element.keyword for each in self.patterns(element)]
        if not 1 < len(patterns) <= MAX_PATTERNS:
            raise NotUnderstoodError
        names = names.union(*(pattern.names for pattern in patterns))
        filters = [element for element in group.elements if element.keyword]
        filtered = {name for element in filters for name in self.variables(element.first, element.last)}
        return Block(patterns, [self._text(each.first, each.last) for each in filters], filtered, graph, names)

    def _rewrite(self, block: Block, exists: Group, group: Group, filter_: Element) -> None:
        shared = block.names & group.binds
        new = [pattern for pattern in block.patterns if pattern.names - shared]
        if not new or any(pattern.names & shared and pattern.kind(shared) == FORWARD for pattern in new):
            chain = _chain(block.patterns, shared)
            if chain and self._around(exists).isdisjoint(block.names - shared):
                text = f"{chain[0]} " + " ".join(f"LATERAL {{ {pattern} }}" for pattern in chain[1:])
                self._replace(exists.first, exists.last, f"{{ {block.written(' '.join((text, *block.filters)))} }}")
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
