"""What is wrong with a query that is no SPARQL, in a reader's words: what was found, where, and what may stand there.

An engine tells how far its parser came, and that is often several words on. This reads the text of the query once, by the
few rules that most mistakes break; where it finds none broken, the engine's own message stays.
"""

import re
from bisect import bisect_right
from contextlib import suppress
from difflib import get_close_matches
from typing import NamedTuple

from itukg import names
from itukg.engine.sparql import IRI, STRING, Query, blank_out, undeclared
from itukg.errors import SyntaxProblem

SUBJECT = "a subject: a variable, an IRI or a prefixed name"
VERB = "a property: a variable, an IRI, a prefixed name, a path or a"
OBJECT = "an object: a variable, an IRI, a prefixed name, a string or a number"
NEXT = '"." before the next triple, ";" before another property, "," before another object, or "}"'

_TOKEN = re.compile(
    rf"(?P<string>{STRING})(?P<suffix>@[A-Za-z-]+|\^\^(?:{IRI}|[\w-]*:\w*))?|(?P<iri>{IRI})|#[^\n\r]*+|(?P<variable>[?$]\w+)"
    r"|(?P<name>(?:[^\W\d_][\w.-]{0,60}|_)?:(?:[\w.:%-]*[\w:%-])?)|(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<word>[A-Za-z_]\w*)"
    r"|(?P<sign>\^\^|&&|\|\||[<>!]=|\S)",
    re.DOTALL,
)
_TERMS = {"string", "iri", "variable", "name", "number"}
_CLOSING = {"{": "}", "(": ")", "[": "]"}
_BRACE, _NAMED = ({"{"}, set[str]()), {"variable", "iri", "name"}
_FOLLOWING = {
    **dict.fromkeys(("OPTIONAL", "MINUS", "UNION", "WHERE", "EXISTS"), _BRACE),
    "BIND": ({"("}, set[str]()),
    "AS": (set[str](), {"variable"}),
    "FILTER": ({"("}, {"word", "iri", "name"}),
    "BY": ({"("}, {"word", *_NAMED}),
    "VALUES": ({"("}, {"variable"}),
    "GRAPH": (set[str](), _NAMED),
}
"""The texts, and the kinds of words, that may follow a keyword."""
_OPERATORS = {"=", "!=", "<=", ">=", "&&", "||", "-", "/"}
_CLAUSES = {"FILTER", "OPTIONAL", "BIND", "VALUES", "MINUS", "UNION", "GRAPH", "SERVICE", "LATERAL", "SELECT"}
_AFTER = {
    "OPTIONAL": '"{"',
    "MINUS": '"{"',
    "UNION": '"{"',
    "WHERE": '"{"',
    "EXISTS": '"{"',
    "BIND": '"(", an expression, AS and a variable, and ")"',
    "ORDER": "BY",
    "GROUP": "BY",
    "LIMIT": "a whole number",
    "OFFSET": "a whole number",
    "AS": "a variable",
    "BY": "a variable, or an expression in brackets",
    "FILTER": "a condition in brackets, such as (?year > 2020), a function, or EXISTS",
    "VALUES": "a variable, or variables in brackets",
    "GRAPH": "a variable, an IRI or a prefixed name",
}
"""What may follow a keyword."""


_NAMES = """
ABS ADJUST AVG BNODE BOUND CEIL COALESCE CONCAT CONTAINS COUNT DATATYPE DAY ENCODE_FOR_URI FLOOR GROUP_CONCAT HASLANG
HASLANGDIR HOURS IF IRI ISBLANK ISIRI ISLITERAL ISNUMERIC ISTRIPLE ISURI LANG LANGDIR LANGMATCHES LCASE MAX MD5 MIN
MINUTES MONTH NOW OBJECT PREDICATE RAND REGEX REPLACE ROUND SAMETERM SAMPLE SECONDS SHA1 SHA256 SHA384 SHA512 STR
STRAFTER STRBEFORE STRDT STRENDS STRLANG STRLANGDIR STRLEN STRSTARTS STRUUID SUBJECT SUBSTR SUM TIMEZONE TRIPLE TZ
UCASE URI UUID YEAR
"""
_FUNCTIONS = frozenset(_NAMES.split())
_BEFORE_BRACKETS = {
    "ASC",
    "BIND",
    "BY",
    "DESC",
    "DISTINCT",
    "FILTER",
    "HAVING",
    "IN",
    "REDUCED",
    "SELECT",
    "VALUES",
    "WHERE",
    "A",
}
"""Keywords, which are no functions, that may stand before a bracket."""
_INSTEAD = {
    "NOT": '"!" before a condition, or NOT EXISTS before a pattern',
    "AND": '"&&" between conditions',
    "OR": '"||" between conditions',
    "LIKE": "CONTAINS or REGEX",
    "LENGTH": "STRLEN",
    "LOWER": "LCASE",
    "UPPER": "UCASE",
    "IFNULL": "COALESCE",
}
"""What SPARQL has for words of other languages."""
_RELATIVE = re.compile(r"<(?![A-Za-z][A-Za-z0-9+.-]*:)[^?$&]*>")
"""An IRI without a scheme; not two comparisons, which may look like one."""
_KEYWORDS = re.compile(r"expected (?:one of )?[A-Za-z]+(?:, \w+)*$")
"""The engine's list of keywords of which one may stand where its parser gave up."""
_OBSCURE = {
    "expected something else": "this is not SPARQL here, or a few words before.",
    "The SELECT contains a variable that is unbound": "beside aggregates or GROUP BY, each column is a variable of GROUP BY "
    "or an aggregate, such as (SAMPLE(?x) AS ?any).",
    "The SELECT contains an expression with a variable that is unbound": "beside aggregates or GROUP BY, an expression has only "
    "aggregates and variables of GROUP BY; the name of another column is neither.",
    "IRI parsing failed": "an IRI before this is not written in full, with its scheme, or holds a character that no IRI has.",
}
"""Messages of the engine, in a reader's words."""
MAX_READ = 20_000
"""Characters of a query that is read to say what is wrong with it."""

SHOWN = 40
"""Characters of a word that a message shows."""


class Token(NamedTuple):
    """A word of a query: its kind, its text, and where it begins."""

    kind: str
    text: str
    at: int

    @property
    def word(self) -> str:
        """The keyword that it may be."""
        return self.text.upper() if self.kind == "word" else ""


class Wrong(Exception):
    """Something that cannot stand where it does."""

    def __init__(self, token: Token, expected: str) -> None:
        super().__init__(expected)
        self.token, self.expected = token, expected


def mended(error: SyntaxProblem, query: Query) -> SyntaxProblem:
    """Return an engine's error for a query in a reader's words, with the place in the query as it arrived."""
    text = query.text[query.added :]
    if missing := undeclared(blank_out(query.text)):
        prefix, known = missing[0][1], names.PREFIXES.get(missing[0][1])
        if known:
            cure = f'begin the query with "PREFIX {prefix}: <{known}>", or send prefixes=auto with it.'
        else:
            near = get_close_matches(prefix.lower(), names.PREFIXES, 3)
            shown = f"nearest of ours: {', '.join(near)}" if near else f"known here: {', '.join(names.PREFIXES)}"
            cure = f'declare it with "PREFIX {prefix}: <…>"; {shown}.'
        return _problem(text, missing[0].start() - query.added, f'the prefix "{prefix}:" is not declared: {cure}')
    try:
        with suppress(IndexError):  # something beyond these rules
            _read(
                tokens_of(text) if len(text) <= MAX_READ else [],
                len(text),
                based=query.text[: query.added].startswith("BASE"),
            )
    except Wrong as wrong:
        found = f'found "{_short(wrong.token.text)}"' if wrong.token.text else "the query ends"
        return _problem(text, wrong.token.at, f"{found}, expected {wrong.expected}.")
    return _placed(error, query.added)


def _placed(error: SyntaxProblem, added: int) -> SyntaxProblem:
    """Return an engine's error with the place in a query before which so many characters were added."""
    line, column = error.line, error.column
    if line is None or column is None:
        return error
    column = max(1, column - added) if line == 1 else column
    reason = str(error).partition(": ")[2] if str(error).startswith(f"line {line}, ") else str(error)
    if reason in _OBSCURE or _KEYWORDS.match(reason):
        reason = _OBSCURE.get(reason, "this is not SPARQL here, or a few words before.")
    return SyntaxProblem(f"line {line}, column {column}: {reason}", line, column)


def _problem(text: str, at: int, message: str) -> SyntaxProblem:
    starts = [0, *(found.end() for found in re.finditer("\n", text))]
    line = bisect_right(starts, at)
    column = at - starts[line - 1] + 1
    return SyntaxProblem(f"line {line}, column {column}: {message}", line, column)


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def tokens_of(text: str) -> list[Token]:
    """Return the words of a query, without comments."""
    found = ((each.lastgroup or "", each[0], each.start()) for each in _TOKEN.finditer(text))
    return [Token("string" if kind == "suffix" else kind, word, at) for kind, word, at in found if kind]


def _read(tokens: list[Token], length: int, *, based: bool) -> None:
    """Raise Wrong at a word that cannot stand where it does, as far as these few rules go."""
    end = Token("sign", "", length)
    _check_brackets(tokens, end)
    before, has_base = Token("sign", "", 0), based or any(token.word == "BASE" for token in tokens)
    for token in (*tokens, end):
        if (expected := _AFTER.get(before.word)) and not _follows(before.word, token):
            raise Wrong(token, f"{expected} after {before.word}")
        if before.text in _OPERATORS and token.text == ")":
            raise Wrong(token, f'a value after "{before.text}": a variable, an IRI, a string or a number')
        if token.text == "(" and before.word and before.word not in _FUNCTIONS | _BEFORE_BRACKETS:
            near = get_close_matches(before.word, _FUNCTIONS, 2, 0.75) or ["such as STRLEN, CONTAINS or COALESCE"]
            raise Wrong(before, _INSTEAD.get(before.word) or f"a function of SPARQL: {' or '.join(near)}")
        if token.kind == "iri" and _RELATIVE.match(token.text) and not has_base:
            raise Wrong(token, "an IRI in full, with its scheme, or BASE with one at the head of the query")
        before = token
    _check_columns(tokens)
    _check_triples(tokens)
    _check_names(tokens)


def _check_brackets(tokens: list[Token], end: Token) -> None:
    opened: list[Token] = []
    for token in tokens:
        if token.text in ('"', "'"):
            raise Wrong(token, "the same sign again where the string ends, on the same line")
        if token.text in _CLOSING:
            opened.append(token)
        elif token.text in _CLOSING.values():
            if not opened:
                raise Wrong(token, "the end of the query, for no bracket is open")
            if _CLOSING[opened[-1].text] != token.text:
                raise Wrong(
                    token, f'"{_CLOSING[opened[-1].text]}" first, for the last "{opened[-1].text}" is still open'
                )
            opened.pop()
    if opened:
        raise Wrong(end, f'"{_CLOSING[opened[-1].text]}", for a "{opened[-1].text}" is still open')


def _follows(word: str, token: Token) -> bool:
    """Tell whether a token may follow a keyword."""
    if word in ("ORDER", "GROUP"):
        return token.word == "BY"
    if word in ("LIMIT", "OFFSET"):
        return token.text.isdecimal()
    texts, kinds = _FOLLOWING[word]
    return token.text in texts or token.kind in kinds


def _check_columns(tokens: list[Token]) -> None:
    """Check what stands between SELECT and the pattern."""
    begin = next(
        (place for place, token in enumerate(tokens) if token.word == "SELECT" or token.text == "{"), len(tokens)
    )
    columns = [token for token in tokens[begin + 1 :] if token.word not in ("DISTINCT", "REDUCED")]
    if not columns or tokens[begin].text == "{":
        return
    place = 0
    while columns[place].text != "{" and columns[place].word not in ("WHERE", "FROM"):
        place = _column(columns, place)
    if place == 0:
        raise Wrong(columns[0], "columns after SELECT: variables, (expression AS ?name), or *")


def _column(tokens: list[Token], place: int) -> int:
    """Return the place behind a column."""
    token = tokens[place]
    if token.text == ",":
        raise Wrong(token, "blanks between columns, and no comma")
    if token.kind == "word":
        raise Wrong(token, "a column: a variable, or an expression in brackets with a name, such as (COUNT(*) AS ?n)")
    if token.text != "(":
        return place + 1
    behind = _balanced(tokens, place)
    if not any(each.word == "AS" for each in tokens[place:behind]):
        raise Wrong(token, "a name for the expression, such as (COUNT(*) AS ?n)")
    return behind


def _check_names(tokens: list[Token]) -> None:
    """Check that no BIND gives a name to a value that its group has used for another before."""
    around: list[tuple[str, set[str]]] = [("", set())]  # brackets, each with the keyword before it and its variables
    for place, token in enumerate(tokens):
        if token.text in _CLOSING:
            around.append((tokens[place - 1].word, set()))
        elif token.text in _CLOSING.values():
            around.pop()
        elif token.kind == "variable":
            named = tokens[place - 1].word == "AS" and around[-1][0] == "BIND"
            variables = around[-2][1] if named else around[-1][1]
            if named and token.text[1:] in variables:
                raise Wrong(token, "another name after AS, for this variable has a value in the same group")
            variables.add(token.text[1:])


def _check_triples(tokens: list[Token]) -> None:
    """Check that each triple has its three parts."""
    place = 0
    while place < len(tokens):
        if tokens[place].text in (";", "."):
            raise Wrong(tokens[place], "the end of the query, or GROUP BY, HAVING, ORDER BY, LIMIT, OFFSET or VALUES")
        begins = tokens[place].text == "{" or tokens[place].word == "VALUES"
        place = _behind(tokens, place) if begins else place + 1


def _group(tokens: list[Token], place: int) -> int:
    """Read a group from behind its "{", and return the place behind its "}"."""
    expected, may_end = SUBJECT, True  # whether the triple, or the group, may end here
    while True:
        token = tokens[place]
        ends = token.text in ("}", "{", ".") or token.word in _CLAUSES
        if ends and (not may_end or (token.text == "." and expected == SUBJECT)):
            raise Wrong(token, expected if expected != SUBJECT else f'{SUBJECT}, or "}}"')
        if token.text == "}":
            return place + 1
        if ends:
            place = _behind(tokens, place)
            expected, may_end = SUBJECT, True
        elif token.text == "<" and tokens[place + 1].text in ("<", "("):
            raise IndexError  # a triple term is beyond these rules
        else:
            place, expected, may_end = _part(tokens, place, expected, may_end=may_end)


def _behind(tokens: list[Token], place: int) -> int:
    """Return the place behind a group, a clause or the end of a triple."""
    token = tokens[place]
    if token.text == "{":
        return _group(tokens, place + 1)
    if token.word:
        return _clause(tokens, place)
    if tokens[place + 1].text == ".":
        raise Wrong(tokens[place + 1], f'{SUBJECT}, or "}}"')
    return place + 1


def _part(tokens: list[Token], place: int, expected: str, *, may_end: bool) -> tuple[int, str, bool]:
    """Read a part of a triple; return the place behind it, what is expected there, and whether the triple may end there."""
    token = tokens[place]
    if expected == VERB:
        return (place + 1, VERB, True) if token.text == ";" and may_end else (_path(tokens, place), OBJECT, False)
    if expected == NEXT:
        if token.text not in (";", ","):
            raise Wrong(token, NEXT)
        return (place + 1, VERB, True) if token.text == ";" else (place + 1, OBJECT, False)
    after = VERB if expected == SUBJECT else NEXT
    if token.text in ("(", "["):
        return _balanced(tokens, place), after, after == NEXT or token.text == "["
    if token.kind in _TERMS or (after == NEXT and token.word in ("TRUE", "FALSE")):
        return place + 1, after, after == NEXT
    raise Wrong(token, expected)


def _balanced(tokens: list[Token], place: int) -> int:
    """Return the place behind the bracket that closes the one at a place."""
    depth = 0
    while True:
        depth += (tokens[place].text in ("(", "[", "{")) - (tokens[place].text in (")", "]", "}"))
        place += 1
        if depth == 0:
            return place


def _path(tokens: list[Token], place: int) -> int:
    """Return the place behind a property or a path."""
    while True:
        while tokens[place].text in ("^", "!"):
            place += 1
        token = tokens[place]
        if token.text == "(":
            place = _balanced(tokens, place)
        elif token.kind in ("iri", "variable", "name") or token.text == "a":
            place += 1
        else:
            raise Wrong(token, VERB)
        while tokens[place].text in ("*", "+", "?"):
            place += 1
        if tokens[place].text not in ("/", "|"):
            return place
        place += 1


def _clause(tokens: list[Token], place: int) -> int:
    """Return the place behind a clause, or where the group goes on with it."""
    word = tokens[place].word
    place += 1
    if word in ("OPTIONAL", "UNION", "MINUS", "LATERAL"):
        return place
    if word == "SELECT":  # to the end of the group, and the groups within it
        while tokens[place].text != "}":
            place = _group(tokens, place + 1) if tokens[place].text == "{" else place + 1
        return place
    opening = ("{",) if word in ("VALUES", "GRAPH", "SERVICE") else ("{", "(")
    while tokens[place].text not in opening:
        place += 1
    return place if word != "VALUES" and tokens[place].text == "{" else _balanced(tokens, place)
