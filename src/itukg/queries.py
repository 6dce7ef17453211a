"""Saved queries: one file each, with a header that says what the query finds, for whom, and what it takes."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyoxigraph as ox

from itukg import names
from itukg.engine.sparql import after_prologue, blank_out
from itukg.errors import DataError

Term = ox.NamedNode | ox.Literal

AUDIENCES = ("auditors", "partners", "researchers")
"""Who asks: the folders below `queries/` that hold saved queries."""


@dataclass(frozen=True)
class Kind:
    """What the values of a parameter are.

    `filter` names the filter of lists that has the same values, or several filters, `pattern` is the SPARQL pattern of each ?value; text and
    numbers have neither. `suffix` is what the variable ends in, by the conventions of grlc.
    """

    filter: str = ""
    pattern: str = ""
    suffix: str = "iri"


KINDS = {
    "plan": Kind(filter="plan"),
    "class": Kind(filter="class"),
    "SDG": Kind(filter="sdg"),
    "SDG goal": Kind(pattern="?value a sdgo:Goal"),
    "SDG target": Kind(pattern="?value a sdgo:Target"),
    "action line": Kind(filter="actionLine"),
    "instrument": Kind(filter="instrument"),
    "aim": Kind(filter="sdg actionLine instrument"),
    "basis": Kind(filter="basis"),
    "thing": Kind(pattern="?value itu:plan ?plan"),
    "text": Kind(suffix="literal"),
    "number": Kind(suffix="number"),
}
"""The kinds of parameters by name. A prefixed name of a class is a kind too: that of its things."""

_PLACE = re.compile(r"(COALESCE\()?\?__(\w+?)_(iri|literal|number)\b(?(1)(?:, (.+?)\) AS \?\2\b)?)")
"""Where a parameter enters a query: as a variable by grlc's conventions, which is unbound wherever the query runs as it stands.

It may have a default there: COALESCE(?__plan_iri, <default>) AS ?plan.
"""
_VARIABLE = re.compile(r"\?__(\w+?)_(?:iri|literal|number)\b")
_CLASS = re.compile(r"(\w+):\w+")


@dataclass(frozen=True)
class Parameter:
    """One parameter of a saved query; without a default, a query that is not given it finds things of all its values."""

    name: str
    kind: str
    default: Term | None = None

    @property
    def values(self) -> Kind:
        """What its values are."""
        return KINDS.get(self.kind) or Kind(pattern=f"?value a {self.kind}")

    @property
    def shown(self) -> str:
        """What names the default in an address."""
        if isinstance(self.default, ox.NamedNode):
            return names.shorten(self.default.value)
        return self.default.value if self.default else ""


@dataclass(frozen=True)
class SavedQuery:
    """A query of `queries/`: its name, its header (what it finds, for whom, its parameters) and its SPARQL text."""

    name: str
    summary: str
    description: str
    tags: tuple[str, ...]
    text: str
    parameters: tuple[Parameter, ...] = field(default=())
    bars: str = ""
    """The column of numbers that a page draws as bars, if the header names one."""

    def bound(self, **terms: str | Term) -> str:
        """Return the query with these parameters set, to IRIs or terms; terms are written as SPARQL writes them, never as text.

        A rule or the query of a frame takes them, all and in this order, in its one-line VALUES.
        """
        given = {name: ox.NamedNode(term) if isinstance(term, str) else term for name, term in terms.items()}
        if given.keys() <= {parameter.name for parameter in self.parameters}:
            return _VARIABLE.sub(lambda place: str(given.get(place[1], place[0])), self.text)
        variables = " ".join(f"?{name}" for name in given)
        line = re.compile(rf"VALUES \({re.escape(variables)}\) {{.*}}")
        if not line.search(self.text):
            raise DataError(
                f'queries/{self.name}.rq has no parameters "{variables}", nor a line "VALUES ({variables}) {{ … }}".'
            )
        values = " ".join(map(str, given.values()))
        return line.sub(lambda _: f"VALUES ({variables}) {{ ({values}) }}", self.text)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the answer of a SELECT that names them."""
        bare = blank_out(self.text)
        found, depth = [], 0
        begin = bare.upper().index("SELECT", after_prologue(bare))
        for part in re.finditer(r"[(){]|(\bAS\s+)?\?(\w+)", bare[begin:], re.IGNORECASE):
            depth += {"(": 1, ")": -1}.get(part[0], 0)
            if part[0] == "{":
                break
            if part[2] and depth == (1 if part[1] else 0):
                found.append(part[2])
        return tuple(found)

    def selecting(self, *variables: str) -> "SavedQuery":
        """Return the query with these variables of its pattern selected before the others."""
        chosen = " ".join(f"?{name}" for name in variables)
        return replace(self, text=re.sub(r"^SELECT ", f"SELECT {chosen} ", self.text, count=1, flags=re.MULTILINE))


def saved_query(path: Path) -> SavedQuery:
    """Return the query in a file. Raises DataError where its header lacks a line, or tells other parameters than its text has."""
    return read_saved(path.stem, path.read_text(), str(path))


def read_saved(name: str, text: str, where: str) -> SavedQuery:
    """Return the query of this name and text; `where` names it in an error. Raises DataError as `saved_query` does."""
    header = dict(re.findall(r"^#\+ (\w+): (.*)$", text, re.MULTILINE))
    missing = {"summary", "description", "tags"} - header.keys()
    if missing:
        raise DataError(f'{where}: the header lacks {", ".join(sorted(missing))}; write lines "#+ summary: …".')
    tags = tuple(tag.strip() for tag in header["tags"].strip("[]").split(","))
    told = dict(re.findall(r"^#\+   (\w+): (.*)$", text, re.MULTILINE))
    places = {place[2]: place for place in sorted(_PLACE.finditer(text), key=lambda place: place[4] is not None)}
    if odd := sorted(told.keys() ^ places.keys()):
        raise DataError(
            f'{where}: parameter "{odd[0]}" needs both a line of the header, "#+   {odd[0]}: plan", and a place in the text, '
            f'such as "BIND(COALESCE(?__{odd[0]}_iri, <default>) AS ?{odd[0]})".'
        )
    parameters = tuple(_parameter(name, kind, places[name], where) for name, kind in told.items())
    query = SavedQuery(name, header["summary"], header["description"], tags, text, parameters, header.get("bars", ""))
    if query.bars and query.bars not in query.columns:
        raise DataError(f'{where}: bars are of a column, not "{query.bars}"; known: {", ".join(query.columns)}.')
    return query


def _parameter(name: str, kind: str, place: re.Match[str], where: str) -> Parameter:
    class_ = _CLASS.fullmatch(kind)
    if kind not in KINDS and not (class_ and class_[1] in names.PREFIXES):
        raise DataError(
            f'{where}: no kind of parameter "{kind}"; known: {", ".join(KINDS)}, and classes such as itu:Plan.'
        )
    parameter = Parameter(name, kind, term_of(place[4]) if place[4] else None)
    if place[3] != parameter.values.suffix:
        raise DataError(f'{where}: write parameter "{name}" as ?__{name}_{parameter.values.suffix}.')
    return parameter


def term_of(written: str) -> Term:
    """Return the term that our queries write so: an IRI, a prefixed name, a number, or a string in double quotes."""
    if written.startswith('"'):
        return ox.Literal(written[1:-1])
    if re.fullmatch(r"-?[\d.]+", written):
        return number(written)
    return ox.NamedNode(written[1:-1] if written.startswith("<") else names.expand(written))


def number(text: str) -> ox.Literal:
    """Return an integer or a decimal as a term."""
    return ox.Literal(text, datatype=ox.NamedNode(names.expand("xsd:decimal" if "." in text else "xsd:integer")))
