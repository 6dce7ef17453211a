"""Reads the graph patterns of a query, as far as it must be known which variables stand where.

What evaluates a query parses it itself; this is for those who write it anew before. It holds offsets into the text, so that
what is not written anew stays as it is, comments included.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from itukg.store import IRI, STRING

DEEPEST = 50
"""How deep groups may be nested."""
MOST = 30
"""How many triple patterns may stand together, and how many words and signs in a path, to be taken apart."""

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
"""What is not ASCII is part of a name wherever it stands: no sign and no space of the language is of it."""
_TWO_COMPARISONS = re.compile(r"&&|[,)]")
"""Stands in what looks like an IRI and may be none, as in ?a<?b&&?c>?d, which the engine takes for two comparisons."""
_KEYWORDS = frozenset(
    ["OPTIONAL", "MINUS", "GRAPH", "SERVICE", "LATERAL", "FILTER", "BIND", "VALUES", "SELECT", "UNION"]
)
_ASSIGNING = frozenset({"AS", "VALUES"})
_COUNTING = frozenset({"COUNT", "SUM", "AVG", "SELECT", "BNODE"})
"""What may tell in a SELECT DISTINCT how often a row came: sums, a sub-select that is cut off, what differs from row to row."""
_TERMS = frozenset({"variable", "iri", "name", "number", "text"})
_CLOSING = {"(": ")", "[": "]", "{": "}"}


class NotUnderstoodError(Exception):
    """The query, or a part of it, is not what is known here."""


class Token(NamedTuple):
    """A term, keyword or sign, and where it stands."""

    kind: str
    text: str
    begin: int
    end: int
    word: str = ""
    """A keyword in capitals, a bracket or sign as it is; "" for what is a term."""


_END = Token("mark", "", -1, -1, "end of query")


class Pattern(NamedTuple):
    """A triple pattern: its terms as they are written, and the tokens of its path."""

    subject: str
    path: tuple[Token, ...]
    object: str
    graph: str = ""
    """The graph that GRAPH names around it."""

    def __str__(self) -> str:
        return " ".join([self.subject, *[token.text for token in self.path], self.object])

    @property
    def plain(self) -> bool:
        """Whether it is a pattern to the engine: a longer path is several."""
        return len(self.path) == 1

    @property
    def followed(self) -> bool:
        """Whether it follows a property on and on to a variable, as `?a p+ ?b`."""
        marks = [token.text for token in self.path[1:]]
        return marks == ["+"] and self.object[0] in "?$"

    def in_steps(self, step: str) -> "tuple[Pattern, Pattern]":
        """Return `?a p ?step` and `?step p* ?b`, which `?a p+ ?b` is, but for how often it gives a row."""
        property_, plus = self.path
        return (
            self._replace(path=(property_,), object=step),
            self._replace(subject=step, path=(property_, plus._replace(text="*", word="*"))),
        )

    @property
    def of_no_length(self) -> bool:
        """Whether its path may lead nowhere: then a term that the graph does not hold may match it too."""
        return any(token.text in {"*", "?"} for token in self.path)

    @property
    def unsteady(self) -> bool:
        """Whether what it gives hangs on where it stands, or is hard to estimate."""
        return self.of_no_length or any(token.text == "|" for token in self.path)


@dataclass(eq=False)
class Element:
    """What stands in a group: "" is triple patterns or groups in brackets, else the keyword tells."""

    keyword: str
    begin: int = 0
    end: int = 0
    groups: "list[Group]" = field(default_factory=list)
    patterns: list[Pattern] = field(default_factory=list)
    """Empty also where they cannot be taken apart, as those that share a blank node."""
    binds: set[str] = field(default_factory=set)
    """Variables that are bound in each of its rows."""
    names: set[str] = field(default_factory=set)
    """All its variables."""
    assigns: bool = False
    """Whether it gives values to variables by other means than patterns, which LATERAL does not allow everywhere."""


@dataclass
class Group:
    """A group graph pattern."""

    elements: list[Element]

    @property
    def binds(self) -> set[str]:
        """Variables that are bound in each of its rows."""
        return {name for element in self.elements for name in element.binds}

    @property
    def names(self) -> set[str]:
        """All its variables."""
        return {name for element in self.elements for name in element.names}


def _tokens(query: str) -> list[Token]:
    tokens = list[Token]()
    for found in _TOKEN.finditer(query):
        kind = found.lastgroup
        if kind is None:
            continue
        text, word = found[kind], ""
        if kind == "mark":
            if text in "'\"":
                raise NotUnderstoodError
            word = text
        elif kind == "word":
            word = text.upper()
        elif kind == "iri" and _TWO_COMPARISONS.search(text):
            raise NotUnderstoodError
        tokens.append(Token(kind, text, found.start(), found.end(), word))
    return tokens


class Reader:
    """Reads the groups of a query (SPARQL 1.1 Query, 19.8, rules 53 to 68)."""

    def __init__(self, query: str) -> None:
        self.prefixes: dict[str, str] = {}
        self.values = set[str]()
        """Variables to which VALUES behind a group, or behind that of a sub-select, gives values."""
        self.distinct = False
        """Whether it does not matter how often its patterns give a row, nor which other variables they bind."""
        self._tokens = [*_tokens(query), _END, _END]
        self._at = 0
        self._graph = ""

    def read(self) -> list[Group]:
        """Return the groups of a query that stand in no other."""
        while self._word() in {"PREFIX", "BASE", "VERSION"}:
            if self._next().word == "PREFIX":
                name, iri = self._next(), self._next()
                self.prefixes[name.text] = iri.text[1:-1]
            else:
                self._next()
        self.distinct = (
            self._word(1) == "DISTINCT"
            and self._word(2) != "*"
            and _COUNTING.isdisjoint(token.word for token in self._tokens[self._at + 1 :])
        )
        if self._word() == "CONSTRUCT" and self._word(1) == "{":
            self._next()
            self._skip()
        return self._until(_END.word)

    def _word(self, ahead: int = 0) -> str:
        return self._tokens[self._at + ahead].word

    def _next(self) -> Token:
        token = self._tokens[self._at]
        if token is _END:
            raise NotUnderstoodError
        self._at += 1
        return token

    def _skip(self) -> None:
        """Go behind the bracket that closes the one that opens here."""
        open_: list[str] = []
        while True:
            word = self._next().word
            if word in _CLOSING:
                open_.append(_CLOSING[word])
            elif word in {")", "]", "}"} and (not open_ or open_.pop() != word):
                raise NotUnderstoodError
            if not open_:
                return

    def _until(self, closing: str, depth: int = 0) -> list[Group]:
        """Return the groups that stand before a bracket, wherever: in a query, a sub-select, an expression."""
        if depth > DEEPEST:
            raise NotUnderstoodError
        groups: list[Group] = []
        while (word := self._word()) != closing:
            if word == "{":
                groups.append(self._group(depth))
            elif word == "VALUES":
                first = self._at
                self._values()
                self.values |= self._variables(first, self._at)
            elif word == "(":
                self._next()
                groups += self._until(")", depth + 1)
                self._next()
            else:
                self._next()
        return groups

    def _group(self, depth: int) -> Group:
        if self._next().word != "{" or depth > DEEPEST or self._word() == "|":
            raise NotUnderstoodError
        elements: list[Element] = []
        while (word := self._word()) != "}":
            if word == ".":
                end = self._next().end
                if elements:
                    elements[-1].end = end
                continue
            first = self._at
            element = self._element(word, depth + 1)
            element.begin, element.end = self._tokens[first].begin, self._tokens[self._at - 1].end
            element.names = self._variables(first, self._at)
            element.assigns = any(token.word in _ASSIGNING for token in self._tokens[first : self._at])
            elements.append(element)
        self._next()
        return Group(elements)

    def _element(self, word: str, depth: int) -> Element:
        element = Element(word if word in _KEYWORDS else "")
        if word == "{":
            element.groups.append(self._group(depth))
            while self._word() == "UNION":
                self._next()
                element.groups.append(self._group(depth))
            element.binds = set.intersection(*(group.binds for group in element.groups))
        elif word in {"OPTIONAL", "MINUS", "LATERAL", "GRAPH"}:
            self._next()
            name = self._next() if word == "GRAPH" else None
            outer, self._graph = self._graph, name.text if name else self._graph
            element.groups.append(self._group(depth))
            self._graph = outer
            if word in {"LATERAL", "GRAPH"}:
                element.binds = element.groups[0].binds
            if name is not None and name.kind == "variable":
                element.binds.add(name.text[1:])
        elif word in {"FILTER", "BIND"}:
            self._next()
            element.groups += self._expression(depth)
        elif word == "VALUES":
            element.binds = self._values()
        elif word == "SELECT":
            element.groups += self._until("}", depth)
        elif word in _KEYWORDS:
            raise NotUnderstoodError
        else:
            self._triples(element)
        return element

    def _expression(self, depth: int) -> list[Group]:
        """Return the groups of FILTER NOT EXISTS {…}, FILTER REGEX(…), BIND(…)."""
        while self._word() not in {"(", "{"}:
            self._next()
        if self._word() == "{":
            return [self._group(depth)]
        self._next()
        groups = self._until(")", depth)
        self._next()
        return groups

    def _values(self) -> set[str]:
        self._next()
        first = self._at
        while self._word() != "{":
            self._next()
        variables = self._variables(first, self._at)
        data = self._at
        self._skip()
        return set() if any(token.word == "UNDEF" for token in self._tokens[data : self._at]) else variables

    def _variables(self, first: int, last: int) -> set[str]:
        return {token.text[1:] for token in self._tokens[first:last] if token.kind == "variable"}

    def _triples(self, element: Element) -> None:
        first = self._at
        while (word := self._word()) not in {"{", "}"} and word not in _KEYWORDS:
            self._next()
        last = self._at
        if any(token.word == "!" for token in self._tokens[first:last]):
            # the engine counts once what it leads to by several properties, but only where both ends are bound before:
            # then how often a row comes hangs on the order of joins, which changes with what stands beside
            raise NotUnderstoodError
        element.binds = self._variables(first, last)
        self._at = first
        try:
            patterns = list(self._patterns(last))
        except NotUnderstoodError:
            patterns = []
        element.patterns = patterns if len(patterns) <= MOST else []
        self._at = last

    def _patterns(self, last: int) -> Iterator[Pattern]:
        while self._at < last:
            yield from self._patterns_of(self._term(), last)
            if self._at < last and self._next().word != ".":
                raise NotUnderstoodError

    def _patterns_of(self, subject: str, last: int) -> Iterator[Pattern]:
        while True:
            path = self._path()
            yield Pattern(subject, path, self._term(), self._graph)
            while self._word() == ",":
                self._next()
                yield Pattern(subject, path, self._term(), self._graph)
            if self._word() != ";":
                return
            while self._word() == ";":
                self._next()
            if self._at == last or self._word() == ".":
                return

    def _term(self) -> str:
        token = self._next()
        if token.kind == "text" and self._word() == "^^":
            return token.text + self._next().text + self._next().text
        if token.kind not in _TERMS and token.text not in {"true", "false"}:
            raise NotUnderstoodError
        return token.text

    def _path(self) -> tuple[Token, ...]:
        first = self._at
        if self._tokens[self._at].kind == "variable":
            return (self._next(),)
        while True:
            while self._word() == "^":
                self._next()
            if self._word() == "(":
                self._skip()
            elif (token := self._next()).kind not in {"iri", "name"} and token.text != "a":
                raise NotUnderstoodError
            while self._word() in {"*", "+", "?"}:
                self._next()
            if self._word() not in {"/", "|"}:
                break
            self._next()
        path = tuple(self._tokens[first : self._at])
        if len(path) > MOST or all(token.kind == "mark" for token in path):
            raise NotUnderstoodError
        return path
