"""Text in a picture: how wide it is, how it is broken into lines, and how it is written in XML."""

import re
from html import escape
from unicodedata import combining, east_asian_width

ELLIPSIS = "…"

_ADVANCES = (
    32, 40, 46, 84, 64, 95, 78, 27, 39, 39, 50, 84, 32, 36, 32, 34, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 34, 34, 84, 84, 84, 53,
    100, 68, 69, 70, 77, 63, 58, 77, 75, 29, 29, 66, 56, 86, 75, 79, 60, 79, 69, 63, 61, 73, 68, 99, 69, 61, 69, 39, 34, 39, 84, 50,
    50, 61, 63, 55, 63, 62, 35, 63, 63, 28, 28, 58, 28, 97, 63, 61, 63, 63, 41, 52, 39, 63, 59, 82, 59, 59, 52, 64, 34, 64, 84,
)  # fmt: skip
"""The widths of the letters of ASCII, from the blank on, in DejaVu Sans: hundredths of the font size."""
_OTHER, _FULL, _BOLD = 0.8, 1.0, 1.13
"""The widths of other letters and of those as wide as high, and how many times wider bold text is."""
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def width(text: str, size: float, *, bold: bool = False) -> float:
    """Return about how many pixels a text takes at a font size.

    The reader's fonts are unknown, so that these are the widths of DejaVu Sans, the widest of the usual ones.
    """
    return size * sum(map(_em, text)) * (_BOLD if bold else 1.0)


def _em(letter: str) -> float:
    """Return the width of a letter, as a part of the font size."""
    if " " <= letter <= "~":
        return _ADVANCES[ord(letter) - 32] / 100
    if combining(letter):
        return 0.0
    return _FULL if east_asian_width(letter) in "WFA" else _OTHER


def wrapped(text: str, size: float, most: float, lines: int, *, bold: bool = False) -> list[str]:
    """Return a text in lines of at most `most` pixels; what does not fit into `lines` lines ends in an ellipsis."""
    found = [""]
    for word in text.split():
        rest = word
        while rest:
            longer = f"{found[-1]} {rest}".lstrip()
            if width(longer, size, bold=bold) <= most:
                found[-1], rest = longer, ""
            elif found[-1]:
                found.append("")
            else:  # a word that is wider than a line
                fits = next(n for n in range(len(rest), 0, -1) if n == 1 or width(rest[:n], size, bold=bold) <= most)
                found[-1], rest = rest[:fits], rest[fits:]
    if len(found) > lines:
        last = found[lines - 1]
        while last and width(f"{last} {ELLIPSIS}", size, bold=bold) > most:
            last = last.rpartition(" ")[0] if " " in last else last[:-1]
        found = [*found[: lines - 1], f"{last} {ELLIPSIS}".lstrip()]
    return [line for line in found if line]


def printable(text: str) -> str:
    """Return a text without what XML cannot hold and nobody sees; each such letter becomes U+FFFD."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def xml(text: str) -> str:
    """Return a text as it stands in XML, in an element or in a quoted attribute."""
    return escape(printable(text))
