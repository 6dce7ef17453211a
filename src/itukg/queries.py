"""Saved queries: one file each, with a header that says what the query finds and for whom."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import pyoxigraph as ox

from itukg.errors import DataError


@dataclass(frozen=True)
class SavedQuery:
    """A query of `queries/`: its name, its header (what it finds, for whom) and its SPARQL text."""

    name: str
    summary: str
    description: str
    tags: tuple[str, ...]
    text: str

    def bound(self, **terms: str) -> str:
        """Return the query with its one-line VALUES of these variables, in this order, set to these IRIs."""
        names_ = " ".join(f"?{name}" for name in terms)
        values = " ".join(str(ox.NamedNode(iri)) for iri in terms.values())
        line = re.compile(rf"VALUES \({re.escape(names_)}\) {{.*}}")
        if not line.search(self.text):
            raise DataError(f'queries/{self.name}.rq has no line "VALUES ({names_}) {{ … }}".')
        return line.sub(f"VALUES ({names_}) {{ ({values}) }}", self.text)

    def selecting(self, *variables: str) -> "SavedQuery":
        """Return the query with these variables of its pattern selected before the others."""
        chosen = " ".join(f"?{name}" for name in variables)
        return replace(self, text=re.sub(r"^SELECT ", f"SELECT {chosen} ", self.text, count=1, flags=re.MULTILINE))


def saved_query(path: Path) -> SavedQuery:
    """Return the query in a file. Raises DataError where its header lacks a line."""
    text = path.read_text()
    header = dict(re.findall(r"^#\+ (\w+): (.*)$", text, re.MULTILINE))
    missing = {"summary", "description", "tags"} - header.keys()
    if missing:
        raise DataError(f'{path}: the header lacks {", ".join(sorted(missing))}; write lines "#+ summary: …".')
    tags = tuple(tag.strip() for tag in header["tags"].strip("[]").split(","))
    return SavedQuery(path.stem, header["summary"], header["description"], tags, text)
