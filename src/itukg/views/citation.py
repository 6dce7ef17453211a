"""How to cite a thing of the graph: as text, BibTeX and CSL-JSON, each with the release that said it."""

import json
import re
from dataclasses import dataclass

from itukg import names
from itukg.pages.bibtex import escaped

_OFFICIAL, _OURS = "International Telecommunication Union", "The itukg project"
_TITLE = "itukg: the ITU results knowledge graph"


@dataclass(frozen=True)
class Cited:
    """What a citation names: a thing, what it is, and where its document says so."""

    iri: str
    label: str
    kind: str
    code: str
    plan: str
    document: str
    section: str
    line: str
    official: bool
    """Whether the label is the document's wording, and not ours."""

    @property
    def author(self) -> str:
        """Whose words the label is."""
        return _OFFICIAL if self.official and self.document else _OURS

    @property
    def source(self) -> str:
        """The place of the words: what it is, plan, document, section and line."""
        what = f"{self.kind} {self.code}".strip() if self.plan else self.kind
        line = f"line {self.line} of the text copy" if self.line else ""
        return ", ".join(filter(None, (what, self.plan, self.document, self.section, line)))


def citations(cited: Cited, release: str, built: str) -> dict[str, str]:
    """Return the citation of a thing in a release, by the name of the form; `built` is when the release was (ISO 8601)."""
    date = built[:10]
    source = f" {cited.source}." if cited.source else ""
    text = f"{cited.author}. “{cited.label}”.{source} In: {_TITLE}, release {release} of {date}. {cited.iri}"
    return {"Text": text, "BibTeX": _bibtex(cited, release, date), "CSL-JSON": _csl(cited, release, date)}


def _bibtex(cited: Cited, release: str, date: str) -> str:
    key = re.sub(r"[^A-Za-z0-9.-]+", ":", names.shorten(cited.iri))
    year, month, _ = date.split("-")
    fields = {
        "author": f"{{{cited.author}}}",
        "title": f"{{{escaped(cited.label)}}}",
        "howpublished": escaped(f"{_TITLE}, release {release}"),
        "year": year,
        "month": str(int(month)),
        "note": escaped(cited.source),
        "url": cited.iri,
    }
    lines = [f"  {name} = {{{value}}}" for name, value in fields.items() if value]
    return f"@misc{{itukg:{key},\n" + ",\n".join(lines) + "\n}"


def _csl(cited: Cited, release: str, date: str) -> str:
    entry = {
        "id": names.shorten(cited.iri),
        "type": "entry",
        "title": cited.label,
        "author": [{"literal": cited.author}],
        "container-title": _TITLE,
        "publisher": _OURS,
        "version": release,
        "issued": {"date-parts": [[int(part) for part in date.split("-")]]},
        "note": cited.source,
        "URL": cited.iri,
    }
    return json.dumps([{key: value for key, value in entry.items() if value}], ensure_ascii=False, indent=2)
