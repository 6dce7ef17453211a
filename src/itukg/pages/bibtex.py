"""What a citation needs to be read by BibTeX."""

import re

_SPECIAL = re.compile(r"[\\&%$#_{}~^]")
_NAMED = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
"""What a backslash before them does not make into themselves."""


def escaped(text: str) -> str:
    """Return a text as BibTeX prints it, character by character."""
    return _SPECIAL.sub(lambda found: _NAMED.get(found[0], "\\" + found[0]), text)
