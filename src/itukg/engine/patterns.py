"""A query's groups, patterns and filters with their places, as far as a rewriting needs them; what it does not understand it refuses."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from itukg.engine.sparql import IRI, STRING

MAX_DEPTH = 50
"""Levels of nested groups."""

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
_KEYWORDS = {"OPTIONAL", "MINUS", "GRAPH", "SERVICE", "LATERAL", "FILTER", "BIND", "VALUES", "SELECT", "UNION", "{"}
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


END = Token("mark", "", -1, -1, "end of query")


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


def tokens(query: str) -> Iterator[Token]:
    """Yield the tokens of a query. Raises NotUnderstoodError where one cannot be told."""
    before = END
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


class Reader:
    """Reads the groups of a query (SPARQL 1.1 Query, 19.8, rules 53 to 68), to find which variables are where."""

    def __init__(self, query: str) -> None:
        self.query = query
        self.exists: list[tuple[Group, Group, Element]] = []
        """Each EXISTS in a FILTER, with the filtered group and the FILTER."""
        self.at_once: dict[Group, bool] = {}
        """Groups that the engine evaluates once, whatever is around them; whether they are in a GRAPH."""
        self.tokens = [*tokens(query), END, END]
        self._at = 0

    def read(self) -> None:
        """Read the query. Raises NotUnderstoodError."""
        words = [token.word for token in self.tokens]
        at = words.index("CONSTRUCT") + 1 if "CONSTRUCT" in words else 0
        if at and words[at] == "{":
            self._at = at
            self._skip()
        groups = self._until(END.word, 0)
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
        if token is END:
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
