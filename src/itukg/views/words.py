"""What terms are called, and what changed between two wordings, word by word.

The standard library's difflib compares sequences of words; diff-match-patch compares characters, and redlines and
lxml.html.diff wrap difflib for texts with markup, which labels are not.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from html import escape

from itukg import names

_TOKENS = re.compile(r"\s+|\w+|[^\w\s]")
_TAGS = {"equal": "{}", "deleted": "<del>{}</del>", "inserted": "<ins>{}</ins>"}


@dataclass(frozen=True)
class Run:
    """A piece of text that is `equal` in both wordings, `deleted` from the older one or `inserted` by the newer one."""

    op: str
    text: str


def word_diff(older: str, newer: str) -> tuple[Run, ...]:
    """Return the runs that lead from one wording to the other.

    All but the inserted ones give the older wording, all but the deleted ones the newer, character by character.
    """
    before, after = _TOKENS.findall(older), _TOKENS.findall(newer)
    runs: list[Run] = []
    deleted = inserted = ""
    for op, i, j, k, m in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        old, new = "".join(before[i:j]), "".join(after[k:m])
        if op == "equal" and not (old.isspace() and (deleted or inserted)):
            runs += [*_changed(deleted, inserted), Run("equal", old)]
            deleted = inserted = ""
        else:  # a blank between two changed words belongs to the change
            deleted, inserted = deleted + old, inserted + new
    return (*runs, *_changed(deleted, inserted))


def _changed(deleted: str, inserted: str) -> list[Run]:
    return [Run(op, text) for op, text in (("deleted", deleted), ("inserted", inserted)) if text]


def as_html(runs: Iterable[Run]) -> str:
    """Return runs as HTML, with <del> and <ins>."""
    return "".join(_TAGS[run.op].format(escape(run.text)) for run in runs)


def word_of(iri: str, terms: Mapping[str, str]) -> str:
    """Return what a term is called: by `terms`, those of our ontology, else by its own name ("SDG goal", "organization")."""
    prefix, colon, local = names.shorten(iri).partition(":")
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", local).lower() if colon else iri
    return terms.get(iri) or (f"SDG {spaced}" if prefix == "sdgo" else spaced)


def plural(word: str) -> str:
    """Return the plural of what a class is called: "activities", "values of the Union"."""
    first, of, rest = word.partition(" of ")
    return re.sub(r"(?<=[^aeiou])y$", "ie", first) + "s" + of + rest
