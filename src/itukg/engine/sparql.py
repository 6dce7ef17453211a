"""Queries as they arrive: their form, and what is refused, read from their text before they are evaluated."""

import re
from collections.abc import Collection
from typing import Literal, NamedTuple

from itukg import names
from itukg.errors import QueryRefused, SyntaxProblem
from itukg.formats import BOOLEAN_FORMATS, GRAPH_FORMATS, TABLE_FORMATS, Format

Form = Literal["SELECT", "ASK", "CONSTRUCT", "DESCRIBE"]


class Query(NamedTuple):
    """A query that may be run: its text, its form, and what must be known before it runs."""

    text: str
    form: Form
    volatile: bool = False
    """Whether two answers may differ: it calls NOW, RAND, UUID, STRUUID or BNODE, or queries another service."""
    federated: bool = False
    """Whether it queries another service, one that the operator allows."""
    root: str = ""
    """The IRI of the root object of framed JSON-LD; empty where the frame's own types select it."""
    added: int = 0
    """Characters before the text as it arrived: declarations of base and prefixes, in the first line."""


STRING = (
    r"\x22(?:\x22\x22(?:\\.|(?!\x22{3}).)*+\x22{3}|(?:\\.|[^\x22\\\n\r])*+\x22)"
    r"|\x27(?:\x27\x27(?:\\.|(?!\x27{3}).)*+\x27{3}|(?:\\.|[^\x27\\\n\r])*+\x27)"
)
"""A string of a query, as alternatives of a regular expression in which the dot is any character (SPARQL 1.1 Query, 19.8, rules
156 to 159)."""
IRI = r"<(?:[^<>\x22{}|^`\\\x00-\x20]|\\[uU])*+>"
"""An IRI in full, which may hold escapes (rule 139, and 19.2)."""
# One linear pass (nothing in it backtracks); its matches hold no keyword or bracket of the query's own. Each alternative
# begins with a fixed character, so that a search skips all others.
_OPAQUE = re.compile(
    rf"{STRING}|{IRI}|#[^\n\r]*+"
    r"|\\.",  # an escape in a local name: e:a\#b opens no comment
    re.DOTALL,
)
RELATIVE = re.compile(r"<(?![a-z][\w+.-]*:)", re.IGNORECASE | re.ASCII)
"""How an IRI without a scheme begins."""
_PROLOGUE = re.compile(r"\s*(?:(?:BASE|VERSION|PREFIX\s+[^\s:]*:)\s*)*", re.IGNORECASE)
_WORD = re.compile(r"\w*")
_UPDATES = ("INSERT", "DELETE", "LOAD", "CLEAR", "DROP", "CREATE", "ADD", "MOVE", "COPY", "WITH")
_CHANGING = ("NOW", "RAND", "UUID", "BNODE")
_VALUE = re.compile(rf"{_OPAQUE.pattern}|(?<![\w?$:@.%-])(?<!\\.)(?P<value>(?i:TRUE|FALSE))(?!\.?[\w:-])", re.DOTALL)
"""A Boolean, which is no part of a name, a variable or a language tag (what is opaque is skipped)."""
_VOLATILE = re.compile(r"\b(?:NOW|RAND|UUID|STRUUID|BNODE)\s*\(", re.IGNORECASE)
_SERVICE = re.compile(r"(?<![?$:\w-])SERVICE(?=\s*(?:SILENT\b\s*)?[^\s{}]*\s*\{)", re.IGNORECASE)
"""The keyword before a pattern; the service that it names may be blanked out."""
MAX_NESTING = 200
"""Levels of nested brackets: the parser recurses, and a few thousand levels overflow its stack."""
MAX_OPERATORS = 20_000
"""Operators in one query: the parser recurses into each of them too."""


def blank_out(query: str, *, iris: bool = True) -> str:
    """Return `query` with blanks in place of strings, comments and, with `iris`, IRIs; all other characters keep their place."""
    return _OPAQUE.sub(_blank if iris else _blank_but_iris, query)


def _blank(found: re.Match[str]) -> str:
    text = found[0]
    if "\n" in text:  # few are so, and a query has many
        return "\n".join([" " * len(line) for line in text.split("\n")])
    return " " * len(text)


def _blank_but_iris(found: re.Match[str]) -> str:
    return found[0] if found[0].startswith("<") else _blank(found)


def after_prologue(bare: str) -> int:
    """Return the place of the query form in a query that was blanked out."""
    prologue = _PROLOGUE.match(bare)
    return prologue.end() if prologue else 0


_DECLARED = re.compile(r"\bPREFIX\s+([^\s:]*):", re.IGNORECASE)
_PREFIXED = re.compile(r"(?<![\w?$:.@-])((?:[^\W\d_][\w.-]*)?):")


def undeclared(bare: str) -> list[re.Match[str]]:
    """Return where a query that was blanked out uses prefixes that it does not declare: the first place of each."""
    declared = set(_DECLARED.findall(bare))
    found: dict[str, re.Match[str]] = {}
    for place in _PREFIXED.finditer(bare):
        if place[1] not in declared:
            found.setdefault(place[1], place)
    return [*found.values()]


def read_query(text: str, services: Collection[str] = (), *, known_prefixes: bool = False, base: str = "") -> Query:
    """Return the query in `text`, with its form, without evaluating it; `services` are the IRIs that SERVICE may name.

    With `known_prefixes`, the query that is run declares our prefixes where this one uses them without a declaration; its
    relative IRIs are resolved against `base`, if that is given (SPARQL 1.1 Query, 4.1.1.2; RFC 3986, 5.1.3).
    Raises QueryRefused for updates, other services, and more nesting or operators than MAX_NESTING and MAX_OPERATORS;
    SyntaxProblem where no query form comes first. The refusals are for a clear message: a worker has no network anyway.
    """
    text = text.removeprefix("\ufeff")  # a byte order mark, which editors write and nobody sees
    bare = blank_out(text)
    at = after_prologue(bare)
    word = _WORD.match(bare, at)
    first = word[0].upper() if word else ""
    if first in _UPDATES:
        raise QueryRefused(
            f"This service is read-only, and {first} is an update. Use SELECT, ASK, CONSTRUCT or DESCRIBE."
        )
    words = text.upper()  # to search it for a word takes a tenth of the time of a regular expression
    federated = False
    for found in _SERVICE.finditer(bare) if "SERVICE" in words else ():
        federated = True
        if _service_named(text, bare, found.end()) not in services:
            others = f"services except {', '.join(services)}" if services else "other services"
            raise QueryRefused(
                f"SERVICE is refused: this server queries no {others}. Query the other endpoint yourself."
            )
    if _is_deep(bare):
        raise QueryRefused(f"The query nests brackets more than {MAX_NESTING} deep; write it flatter.")
    if len(bare) > MAX_OPERATORS and len(re.findall(r"[-+*/!|&=<>^]", bare)) > MAX_OPERATORS:
        raise QueryRefused(f"The query has more than {MAX_OPERATORS} operators; use VALUES or IN, or several queries.")
    if first in ("SELECT", "ASK", "CONSTRUCT", "DESCRIBE"):
        changing = "(" in words and any(word in words for word in _CHANGING)
        # IRIs stay, as two comparisons may look like one: 1<2&&RAND()>0.5
        volatile = federated or (changing and _VOLATILE.search(blank_out(text, iris=False)) is not None)
        used = [place[1] for place in undeclared(bare)] if known_prefixes else []
        if (
            "TRUE" in words or "FALSE" in words
        ):  # keywords in any case (SPARQL 1.1 Query, 19.8), which the engine refuses
            text = _VALUE.sub(lambda found: found[0].lower() if found["value"] else found[0], text)
        added = "".join(f"PREFIX {prefix}: <{names.PREFIXES[prefix]}> " for prefix in used if prefix in names.PREFIXES)
        # to search the text takes a tenth of the time that it takes to skip strings and comments
        if base and RELATIVE.search(text) and any(RELATIVE.match(found[0]) for found in _OPAQUE.finditer(text)):
            added = f"BASE <{base}> {added}"
        return Query(added + text, first, volatile, federated, added=len(added))  # type: ignore[arg-type]  # narrowed by the membership test
    line, column = bare.count("\n", 0, at) + 1, at - bare.rfind("\n", 0, at)
    instead = f", found {word[0]}." if word and first else "."
    expected = (
        f"expected a prefix, a colon and an IRI after PREFIX, such as PREFIX itu: <{names.ITU}>."
        if first == "PREFIX"
        else f"expected SELECT, ASK, CONSTRUCT or DESCRIBE{instead}"
    )
    raise SyntaxProblem(f"line {line}, column {column}: {expected}", line, column)


def _is_deep(bare: str) -> bool:
    """Return whether brackets are nested deeper than MAX_NESTING."""
    if sum(map(bare.count, "{([")) <= MAX_NESTING:
        return False
    depth = 0
    for bracket in re.finditer(r"[{}()\[\]]", bare):
        depth += 1 if bracket[0] in "{([" else -1
        if depth > MAX_NESTING:
            return True
    return False


def _service_named(text: str, bare: str, at: int) -> str | None:
    """Return the IRI in full that follows SERVICE at `at`, or None where a variable or a prefixed name does."""
    silent = re.compile(r"\s*SILENT\b", re.IGNORECASE).match(bare, at)
    at = silent.end() if silent else at
    brace = bare.find("{", at)
    if brace < 0 or bare[at:brace].strip():
        return None
    named = [found[0] for found in _OPAQUE.finditer(text, at, brace) if found[0].startswith("<")]
    return named[0][1:-1] if len(named) == 1 else None


_OFFERS = {"SELECT": TABLE_FORMATS, "ASK": BOOLEAN_FORMATS}


def offers_for(form: Form) -> tuple[Format, ...]:
    """Return the syntaxes in which a query of this form can be answered, best first."""
    return _OFFERS.get(form, GRAPH_FORMATS)
