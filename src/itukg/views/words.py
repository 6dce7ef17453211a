"""Words within sentences, and what changed between two wordings, word by word.

The standard library's difflib compares sequences of words; diff-match-patch compares characters, and redlines and
lxml.html.diff wrap difflib for texts with markup, which labels are not.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from html import escape

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


COMMON = 0.4
"""The share of two wordings that must be in both for marks to help a reader: below it nearly all would be marked."""


def beside(older: str, newer: str) -> tuple[str, str]:
    """Return two wordings as HTML, the older with what was deleted marked, the newer with what was inserted.

    Where less than COMMON of the longer one is in both, nothing is marked.
    """
    runs = word_diff(older, newer)
    same = sum(len(run.text) for run in runs if run.op == "equal")
    if same < COMMON * max(len(older), len(newer)):
        return escape(older), escape(newer)
    return as_html(run for run in runs if run.op != "inserted"), as_html(run for run in runs if run.op != "deleted")
