"""Descriptions written as templates of Turtle, in `descriptions/`: what a template writes is escaped, and read back as triples."""

from functools import cache
from importlib import resources
from typing import Any

import jinja2
import pyoxigraph as ox

from itukg import names

_FOLDER = "descriptions"
_HEAD = f"BASE <{names.BASE}>\n{names.PROLOGUE}"


def triples_of(template: str, **values: object) -> list[ox.Triple]:
    """Return the triples of `descriptions/<template>.ttl.jinja` filled with `values`, each once, subject by subject.

    In the template a text is an IRI; `en`, `text` and `typed` make literals of it, and `checksum` the IRI of a SHA-256.
    Several values are a list of objects. Raises ValueError for a text that is no IRI, and TypeError or UndefinedError for what is no value.
    """
    written = _environment().get_template(f"{template}.ttl.jinja").render(values)
    quads = ox.parse(f"{_HEAD}{written}".encode(), format=ox.RdfFormat.TURTLE)
    found: dict[str, dict[ox.Triple, None]] = {}
    for quad in quads:
        found.setdefault(str(quad.subject), {})[quad.triple] = None
    return [triple for triples in found.values() for triple in triples]


def rows_of(store: ox.Store, query: str) -> list[dict[str, Any]]:
    """Return the solutions of `descriptions/<query>.rq`: variable → IRI or text; numbers as such; unbound variables are left out."""
    found = store.query(_file(f"{query}.rq").decode())
    assert isinstance(found, ox.QuerySolutions)
    variables = [variable.value for variable in found.variables]
    return [{name: _plain(term) for name in variables if (term := solution[name]) is not None} for solution in found]


def texts_of(subject: str, property_: str) -> list[str]:
    """Return what `descriptions/texts.ttl` says of a subject by a property, a prefixed name."""
    return _texts().get((subject, names.expand(property_)), [])


@cache
def _texts() -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for quad in ox.parse(_file("texts.ttl"), format=ox.RdfFormat.TURTLE):
        if isinstance(quad.subject, ox.NamedNode) and isinstance(quad.object, ox.Literal):
            found.setdefault((quad.subject.value, quad.predicate.value), []).append(quad.object.value)
    return found


def _file(name: str) -> bytes:
    return (resources.files(__package__) / _FOLDER / name).read_bytes()


def _plain(term: Any) -> str | int:
    integer = isinstance(term, ox.Literal) and term.datatype.value == names.PREFIXES["xsd"] + "integer"
    return int(term.value) if integer else str(term.value)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, _FOLDER),
        autoescape=False,  # noqa: S701  (HTML's; `_written` escapes for Turtle)
        finalize=_written,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["names"] = names
    environment.filters.update(
        en=lambda text: ox.Literal(text, language="en"),
        text=ox.Literal,
        typed=lambda text, datatype: ox.Literal(text, datatype=ox.NamedNode(names.expand(datatype))),
        checksum=lambda digest: f"{names.CATALOG}#sha256/{digest}",
    )
    return environment


def _written(value: object) -> str:
    """Return a value as Turtle has it."""
    match value:
        case str():
            return str(ox.NamedNode(value))
        case int():
            return str(ox.Literal(value))
        case ox.NamedNode() | ox.Literal():
            return str(value)
        case list() | tuple():
            return " , ".join(map(_written, value))
    # A value that was not given raises UndefinedError, with its name, as it becomes text.
    raise TypeError(f"Turtle has no value like {value}, a {type(value).__name__}.")
