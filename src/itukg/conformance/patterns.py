"""`sh:pattern` is a regular expression of XPath (`fn:matches`); the engine reads regular expressions of Python."""

import re

from itukg.errors import ShapesRefused

_FLAGS = "smixq"
_ESCAPED_LETTERS = "nrtdDsSwWiIcCpP"
_CLASSES = (r"\d", r"\D", r"\s", r"\S", r"\w", r"\W")


def to_python(pattern: str, flags: str = "") -> str:
    """Return the regular expression of Python that finds what `pattern` finds by `fn:matches` (XPath Functions 3.1, 5.6).

    Raises ShapesRefused for a pattern or a flag that XPath does not have, and for a category under flag i in a class.
    """
    if unknown := sorted(set(flags) - set(_FLAGS)):
        raise ShapesRefused(f'sh:flags "{flags}": XPath has no flag {unknown[0]}; known: {", ".join(_FLAGS)}.')
    if "q" in flags:
        return ("(?i)" if "i" in flags else "") + re.escape(pattern)
    from elementpath.regex import (
        RegexError,
        translate_pattern,
    )  # a fifth of a second, which only shapes with patterns take

    given = "".join(flag for flag in "ims" if flag in flags)
    prefix = f"(?{given})" if given else ""
    try:
        translated = prefix + translate_pattern(
            _explicit(_without_space(pattern) if "x" in flags else pattern, ignore_case="i" in flags),
            sum(getattr(re, flag.upper()) for flag in given),
        )
        re.compile(translated)
    except (RegexError, re.error, IndexError, OverflowError, RecursionError) as error:
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


def _explicit(pattern: str, *, ignore_case: bool) -> str:
    r"""Return a pattern in which \d, \s and \w stand in classes, where the translation gives them XPath's meaning.

    Python's \w has the underscore, which XPath's has not; its \s has more than blank, tab and line breaks.
    """
    parts, depth = [], 0
    for part in re.findall(r"\\.|.", pattern, re.DOTALL):
        letter = part[1:]
        if letter.isalpha() and letter not in _ESCAPED_LETTERS:
            raise re.error(f"there is no escape {part}")
        if depth and ignore_case and letter in ("p", "P"):
            raise re.error(f"{part}{{…}} within [] under flag i is not supported")
        depth += (part == "[") - (part == "]" and depth > 0)
        parts.append(f"[{part}]" if depth == 0 and part in _CLASSES else part)
    return "".join(parts)
