"""`sh:pattern` is a regular expression of XPath (`fn:matches`); the engine reads regular expressions of Python."""

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import cache

from itukg.errors import ShapesRefused

_FLAGS = "smixq"
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"} | {sign: sign for sign in r"\|.-^$?*+{}()[]"}
_QUANTIFIER = re.compile(r"(?:[?*+]|\{[0-9]+(?:,[0-9]*)?\})\??")
_DIGIT = re.compile("[0-9]")
_IN_BRACES = re.compile(r"\{[A-Za-z0-9-]+\}")
_CASED_BELOW = 0x20000
"""Code points from here on have no case."""

Ranges = list[tuple[int, int]]
"""Sorted code points, each pair from the first to before the second."""
_ALL: Ranges = [(0, 0xD800), (0xE000, 0x110000)]  # surrogates are no characters


def to_python(pattern: str, flags: str = "") -> str:
    """Return the regular expression of Python that finds what `pattern` finds by `fn:matches` (XPath Functions 3.1, 5.6).

    Raises ShapesRefused for a pattern or a flag that XPath does not have.
    """
    if unknown := sorted(set(flags) - set(_FLAGS)):
        raise ShapesRefused(f'sh:flags "{flags}": XPath has no flag {unknown[0]}; known: {", ".join(_FLAGS)}.')
    if "q" in flags:
        return "".join(_written(_character(each, ignore_case="i" in flags)) for each in pattern)
    try:
        translated = _Translation(_without_space(pattern) if "x" in flags else pattern, flags).whole()
        re.compile(translated)
    except (re.error, OverflowError, RecursionError) as error:
        raise ShapesRefused(f'sh:pattern "{pattern}" is no regular expression of XPath: {error}') from None
    return translated


def _without_space(pattern: str) -> str:
    """Return a pattern without the white space that flag x ignores: all of it, except in character classes."""
    kept, depth, escaped = [], 0, False
    for character in pattern:
        if depth == 0 and character in " \t\n\r":
            continue
        if not escaped:
            depth += (character == "[") - (character == "]" and depth > 0)
        escaped = character == "\\" and not escaped
        kept.append(character)
    return "".join(kept)


class _Translation:
    """The translation of one pattern, read once from left to right (XML Schema 1.1, part 2, appendix G)."""

    def __init__(self, pattern: str, flags: str) -> None:
        self.pattern, self.at, self.flags = pattern, 0, flags
        self.opened = 0
        self.closed: set[int] = set()

    def whole(self) -> str:
        written = self.branches()
        if self.ahead():
            raise re.error(f"unbalanced {self.ahead()}")
        return written

    def branches(self) -> str:
        """Return what stands before a closing parenthesis or the end."""
        written = []
        while self.ahead() not in ("", ")"):
            written.append("|" if self.took("|") else self.atom() + self.matched(_QUANTIFIER))
        return "".join(written)

    def ahead(self, count: int = 1) -> str:
        """Return the characters that come next."""
        return self.pattern[self.at : self.at + count]

    def took(self, start: str) -> bool:
        """Return whether this comes next, and go past it."""
        found = self.pattern.startswith(start, self.at)
        self.at += len(start) * found
        return found

    def next(self) -> str:
        if not (character := self.ahead()):
            raise re.error("it ends too early")
        self.at += 1
        return character

    def matched(self, expected: re.Pattern[str]) -> str:
        """Return what comes next, if it is as expected, and go past it."""
        if found := expected.match(self.pattern, self.at):
            self.at = found.end()
        return found[0] if found else ""

    def atom(self) -> str:
        character = self.next()
        if character in ("^", "$", "."):
            return self.anchor_or_dot(character)
        if character == "(":
            return self.group()
        if character == "\\" and _DIGIT.match(self.ahead()):
            return self.reference()
        if character == "{":
            raise re.error("{ begins no quantifier: n, n, or n,m in braces")
        if character in "]}?*+":
            raise re.error(f"unexpected {character}")
        if character == "[":
            return _written(self.members())
        meant = self.escape() if character == "\\" else character
        return _written(self.character(meant) if isinstance(meant, str) else meant)

    def anchor_or_dot(self, sign: str) -> str:
        if sign == ".":
            return "(?s:.)" if "s" in self.flags else r"[^\r\n]"
        if "m" in self.flags:
            return r"(?m:(?<!\n\Z)^)" if sign == "^" else "(?m:$)"
        return r"(?:^)" if sign == "^" else r"(?:$(?!\n\Z))"

    def group(self) -> str:
        number = 0
        if not self.took("?:"):
            if self.ahead() == "?":
                raise re.error("there is no (?")
            self.opened += 1
            number = self.opened
        inner = self.branches()
        if not self.took(")"):
            raise re.error("unbalanced (")
        if not number:
            return f"(?:{inner})"
        self.closed.add(number)
        return f"({inner})"

    def reference(self) -> str:
        """Return a reference to a group, which is empty where the group took no part; it has as many digits as there are groups."""
        digits = self.next()
        while _DIGIT.match(self.ahead()) and int(digits + self.ahead()) <= len(self.closed):
            digits += self.next()
        if (number := int(digits)) not in self.closed:
            raise re.error(f"there is no group before the reference {number}")
        again = rf"(?i:\{number})" if "i" in self.flags else rf"\{number}"
        return f"(?:(?({number}){again}|))"

    def escape(self) -> str | Ranges:
        """Return the character, or the class of characters, that an escape means."""
        letter = self.next()
        if letter in "pP":
            if not (name := self.matched(_IN_BRACES)[1:-1]):
                raise re.error(rf"\{letter} needs the name of a category or block in braces")
            return _category(name) if letter == "p" else _complement(_category(name))
        if letter in "dswicDSWIC":
            found = _escaped(letter.lower())
            return found if letter.islower() else _complement(found)
        if letter not in _ESCAPES:
            raise re.error(rf"there is no escape \{letter}")
        return _ESCAPES[letter]

    def members(self) -> Ranges:
        """Return the characters of a class, whose opening bracket is read."""
        negated = self.took("^")
        found: Ranges = []
        first = True
        while not self.took("]"):
            if not first and self.took("-["):
                found, subtracted = _union(found), self.members()
                if not self.took("]"):
                    raise re.error("a subtraction is the end of its []")
                return _minus(_complement(found) if negated else found, subtracted)
            found += self.member(first)
            first = False
        if first:
            raise re.error("[] without characters")
        return _complement(_union(found)) if negated else _union(found)

    def member(self, first: bool) -> Ranges:
        sign = self.next()
        if sign == "[":
            raise re.error("[ within [] needs a backslash")
        # A hyphen stands for itself at both ends only.
        if sign == "-" and not (first or self.ahead() == "]" or self.ahead(2) == "-["):
            raise re.error("- within [] needs a backslash, or the place at its beginning or end")
        start = self.escape() if sign == "\\" else sign
        if not isinstance(start, str):
            return start
        if self.ahead() != "-" or self.ahead(2) in ("-]", "-["):
            return self.character(start)
        self.next()
        last = self.next()
        end = self.escape() if last == "\\" else last
        if sign == "-" or last == "-" or not isinstance(end, str):
            raise re.error("a range within [] needs a character at both ends, and a hyphen a backslash")
        if start > end:
            raise re.error(f"the range {start}-{end} runs backwards")
        return self.character(start, end)

    def character(self, start: str, end: str | None = None) -> Ranges:
        return _character(start, end, ignore_case="i" in self.flags)


def _character(start: str, end: str | None = None, *, ignore_case: bool) -> Ranges:
    """Return a character or a range, with the other case where that is ignored."""
    found = [(ord(start), ord(end or start) + 1)]
    if not ignore_case:
        return found
    variants = _variants()
    cased = (variants.get(code, ()) for code in range(found[0][0], min(found[0][1], _CASED_BELOW)))
    return _union([*found, *((code, code + 1) for codes in cased for code in codes)])


@cache
def _variants() -> dict[int, set[int]]:
    """Return the code points that have the lower or the upper case in common with each (XPath Functions 3.1, 5.6.1.1)."""
    alike: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    cased = [code for code in range(_CASED_BELOW) if chr(code).lower() != chr(code) or chr(code).upper() != chr(code)]
    keys = {code: (("lower", chr(code).lower()), ("upper", chr(code).upper())) for code in cased}
    for code, both in keys.items():
        for key in both:
            alike[key].add(code)
    return {code: set().union(*(alike[key] for key in both)) for code, both in keys.items()}


def _union(ranges: Iterable[tuple[int, int]]) -> Ranges:
    merged: Ranges = []
    for start, end in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def _complement(ranges: Ranges) -> Ranges:
    bounds = [0, *(bound for pair in ranges for bound in pair), 0x110000]
    gaps = zip(bounds[::2], bounds[1::2], strict=True)
    # Surrogates are in neither.
    return [(max(a, low), min(b, high)) for a, b in gaps for low, high in _ALL if max(a, low) < min(b, high)]


def _minus(ranges: Ranges, others: Ranges) -> Ranges:
    return _complement(_union([*_complement(ranges), *others]))


@cache
def _category(name: str) -> Ranges:
    from elementpath.regex import RegexError  # a fifth of a second, which only shapes with patterns take
    from elementpath.regex.unicode_subsets import unicode_subset

    try:
        codes = unicode_subset(name).codepoints
    except RegexError as error:
        raise re.error(str(error)) from None
    return _minus(_union((each, each + 1) if isinstance(each, int) else each for each in codes), [(0xD800, 0xE000)])


@cache
def _escaped(letter: str) -> Ranges:
    r"""Return the characters of \d, \s, \w, \i or \c: Python's have others, such as the underscore in \w."""
    if letter == "s":
        return [(9, 11), (13, 14), (32, 33)]
    if letter == "d":
        return _category("Nd")
    if letter == "w":
        return _union(pair for name in "LMNS" for pair in _category(name))
    from elementpath.regex.character_classes import c_shortcut, i_shortcut

    codes = (i_shortcut if letter == "i" else c_shortcut)().codepoints
    return _union((each, each + 1) if isinstance(each, int) else each for each in codes)


def _written(ranges: Ranges) -> str:
    """Return an expression that matches one of these characters."""
    if len(ranges) == 1 and ranges[0][1] - ranges[0][0] == 1:
        return re.escape(chr(ranges[0][0]))
    if not ranges:
        return r"[^\w\W]"
    negated = ranges[0][0] == 0  # No literal may have U+0000.
    if negated and not (ranges := _complement(ranges)):
        return r"[\w\W]"
    return f"[{'^' * negated}{''.join(_range(start, end - 1) for start, end in ranges)}]"


def _range(first: int, last: int) -> str:
    start, end = (re.sub(r"[]\[\\^&~|-]", r"\\\g<0>", chr(code)) for code in (first, last))
    return start if first == last else f"{start}-{end}"
