"""What calls return: tables with typed values, reports, and things."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from html import escape
from importlib import import_module
from typing import Any

from itukg import names
from itukg.rdf.jsonld import context

Value = int | float | Decimal | bool | date | str | None
"""A value of an answer: None where there is none; IRIs and texts are str, and dates with a time datetime."""
Row = dict[str, Any]
"""A row of a table: column → Value; in views also the list or object that the JSON of the route has there."""

SHOWN_ROWS, SHOWN_CHARACTERS = 10, 60
"""Rows of a table, and characters of a value, that its short form shows."""

_XSD = names.PREFIXES["xsd"]
_WHOLE = (
    "integer", "long", "int", "short", "byte", "unsignedLong", "unsignedInt", "unsignedShort", "unsignedByte",
    "nonNegativeInteger", "positiveInteger", "nonPositiveInteger", "negativeInteger",
)  # fmt: skip
_READERS: Mapping[str, Callable[[str], Value]] = {
    **dict.fromkeys((_XSD + name for name in _WHOLE), int),
    _XSD + "decimal": Decimal,
    _XSD + "double": float,
    _XSD + "float": float,
    _XSD + "boolean": {"true": True, "1": True, "false": False, "0": False}.__getitem__,
    _XSD + "date": date.fromisoformat,
    _XSD + "dateTime": datetime.fromisoformat,
}


def value_of(term: Mapping[str, Any] | None) -> Value:
    """Return the value of an RDF term, as SPARQL's JSON has it; text where it is none of its datatype."""
    if term is None:
        return None
    text: str = term["value"]
    try:
        return _READERS.get(term.get("datatype", ""), str)(text)
    except (ValueError, KeyError, InvalidOperation):
        return text


class Table(Sequence[Row]):
    """Rows in their order: `len`, iteration and `[0]` give dicts, `columns` the names of the columns.

    `document` is the whole answer as the JSON of the route has it.
    """

    def __init__(self, columns: Iterable[str], rows: Iterable[Row], document: Mapping[str, Any]) -> None:
        """Hold rows: the columns are those that are named, in their order, and then all others that a row has."""
        held = [*rows]
        self.columns = tuple(dict.fromkeys((*columns, *(name for row in held for name in row))))
        self.document = document
        self._rows = [{column: row.get(column) for column in self.columns} for row in held]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def __getitem__(self, place: Any) -> Any:
        return self._rows[place]

    def to_pandas(self) -> Any:
        """Return a pandas DataFrame: a row for each row, values as they are here. Raises ImportError without pandas."""
        return _installed("pandas").DataFrame(self._rows, columns=self.columns)

    def to_polars(self) -> Any:
        """Return a Polars DataFrame: a row for each row, values as they are here. Raises ImportError without Polars."""
        return _installed("polars").DataFrame(self._rows, schema=list(self.columns), infer_schema_length=None)

    def __repr__(self) -> str:
        """Return the number of rows, and the first of them."""
        shown = [[_short(row[column]) for column in self.columns] for row in self._rows[:SHOWN_ROWS]]
        lines = [" | ".join(cells) for cells in ([*self.columns], *shown)] if self.columns else []
        return "\n".join([self._counted(), *lines, *self._more()])

    def _repr_html_(self) -> str:
        cells = ["".join(f"<td>{escape(_short(row[c]))}</td>" for c in self.columns) for row in self._rows[:SHOWN_ROWS]]
        head = "".join(f"<th>{escape(column)}</th>" for column in self.columns)
        body = "".join(f"<tr>{each}</tr>" for each in cells)
        said = [escape(line) for line in (self._counted(), *self._more())]
        return f"<p>{'<br>'.join(said)}</p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _counted(self) -> str:
        return f"{type(self).__name__} of {len(self)} row{'' if len(self) == 1 else 's'}"

    def _more(self) -> list[str]:
        more = len(self) - SHOWN_ROWS
        return [f"… and {more} more"] if more > 0 else []


def _installed(package: str) -> Any:
    try:
        return import_module(package)
    except ImportError:
        raise ImportError(f"{package} is not installed. Add it with: pip install {package}") from None


def _short(value: object) -> str:
    text = "" if value is None else " ".join(str(value).split())
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


class Report(Table):
    """The findings on data that was checked, a row each; `verdict` and `counts` are of all, by severity."""

    @property
    def verdict(self) -> str:
        """`conforms`, `does not conform`, or `nothing-checked` where no shape looked at anything."""
        return str(self.document["verdict"])

    @property
    def conforms(self) -> bool:
        """Whether the verdict is `conforms`."""
        return self.verdict == "conforms"

    @property
    def counts(self) -> dict[str, int]:
        """How many findings there are of each severity: Violation, Warning and Info."""
        return dict(self.document["counts"])

    def _counted(self) -> str:
        return f"{super()._counted()}, {self.verdict}"


class Thing:
    """A thing of the graph: its properties are attributes, by their names in JSON-LD; `dir` lists them.

    A text in several languages is the English one, or else the first; what may be linked several times is a list. IRIs
    are str. `json` is the whole description, `linkages` the evidence behind links, `incoming` what links to it.
    """

    def __init__(self, description: Mapping[str, Any]) -> None:
        self.json = description

    @property
    def id(self) -> str:
        """Its IRI."""
        return str(self.json["id"])

    @property
    def label(self) -> Any:
        """What it is called, str; None for what has no label."""
        return text_of(self.json.get("label"))

    @property
    def notation(self) -> Any:
        """Its code, str; None for what has none."""
        return text_of(self.json.get("notation"))

    @property
    def plan(self) -> Any:
        """The IRI of its plan, str; None for what belongs to none."""
        return text_of(self.json.get("plan"))

    def __getattr__(self, name: str) -> Any:
        """Return a property. Raises AttributeError, naming those that there are."""
        if name.startswith("_"):  # what Python looks for in a copy that is not filled yet
            raise AttributeError(name)
        if name not in self.json:
            known = ", ".join(key for key in self.json if not key.startswith("@"))
            raise AttributeError(f'{names.shorten(self.id)} has no "{name}"; it has {known}.')
        described = context()["@context"].get(name)
        datatype = names.expand(described.get("@type", "")) if isinstance(described, Mapping) else ""
        return _typed(text_of(self.json[name]), datatype)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(key for key in self.json if key.isidentifier())})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Thing) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<{self.json.get('type', 'Thing')} {names.shorten(self.id)}: {self.label or self.notation or ''}>"


def _typed(value: Any, datatype: str) -> Any:
    """Return a value that JSON has as text as one of its datatype, and so those of a list."""
    if isinstance(value, list):
        return [_typed(each, datatype) for each in value]
    return value_of({"value": value, "datatype": datatype}) if isinstance(value, str) else value


def text_of(value: Any) -> Any:
    """Return the English text of a language map, or else its first; anything else as it is."""
    if isinstance(value, Mapping) and value and not value.keys() & {"id", "type"}:
        return value.get("en", next(iter(value.values())))
    return value
