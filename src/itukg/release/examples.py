"""An instance of each class and a thing with each property, for the pages of the ontology."""

import re
from collections.abc import Iterable

from itukg import names
from itukg.corpus import NOT_MERGED


def examples(lines: Iterable[str]) -> dict[str, str]:
    """Return class → an instance, and property → a thing that has it: the first of the lines of canonical N-Quads.

    Only what the merged graph holds counts.
    """
    things, terms = re.escape(names.THINGS), re.escape(names.ITU)
    line_of = re.compile(rf"<({things}[^>]*)> <(?:{re.escape(names.RDF_TYPE)}> <)?({terms}[^>]*)> ")
    found: dict[str, str] = {}
    hidden = tuple(f"<{graph}> ." for graph in NOT_MERGED)
    for line in lines:
        if (match := line_of.match(line)) is not None and not line.endswith(hidden):
            found.setdefault(match[2], match[1])
    return found
