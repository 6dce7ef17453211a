"""How an upload is read: RDF as the body, a form with files, or the JSON of the Interoperability Test Bed's RDF validator.

All of it happens in the worker: untrusted input is parsed where it can do no harm.
"""

import base64
import binascii
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import pyoxigraph as ox
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

from itukg.errors import BadRequest, SyntaxProblem, TooLarge, UnsupportedMediaType
from itukg.formats import GRAPH_FORMATS, JSON
from itukg.rdf.parse import parse_rdf, syntax_of
from itukg.upload.context import UPLOAD_GRAPH

FORM = "multipart/form-data"
RDF_TYPES = {syntax.media_type: syntax.engine for syntax in GRAPH_FORMATS} | dict.fromkeys(
    ("application/xml", "text/xml", "application/owl+xml"), ox.RdfFormat.RDF_XML
)
BODY_TYPES = (*RDF_TYPES, FORM, JSON.media_type)
"""Media types of the body of an upload."""
METHODS = ("STRING", "BASE64", "URL")
"""How the JSON body may embed content; URL is refused, as nothing is fetched."""
MAX_FORM_PARTS = 100

Fields = dict[str, list[str]]
Row = dict[str, Any]

_JSON_FIELDS = (
    "contentToValidate", "contentSyntax", "embeddingMethod", "validationType", "reportSyntax", "externalRules"
)  # fmt: skip
_RULE_FIELDS = ("ruleSet", "ruleSyntax", "embeddingMethod")


@dataclass(frozen=True)
class Document:
    """RDF as it was sent: its bytes, and the media type and file name that the client gave, if any."""

    content: bytes
    media_type: str = ""
    name: str = ""

    @property
    def syntax(self) -> ox.RdfFormat:
        """The syntax, by media type, else by suffix. Raises UnsupportedMediaType where neither names an RDF syntax."""
        engine = RDF_TYPES.get(self.media_type) or syntax_of(self.name)
        if not isinstance(engine, ox.RdfFormat):
            called = f'"{self.media_type or "nothing"}"' + (f', in "{self.name}"' if self.name else "")
            raise UnsupportedMediaType(f"Name the syntax of the RDF: {', '.join(RDF_TYPES)}. It was sent as {called}.")
        return engine

    def quads(self) -> list[ox.Quad]:
        """Parse the document. Raises SyntaxProblem and BadRequest, which name the file."""
        try:
            return list(parse_rdf(self.content, self.syntax, UPLOAD_GRAPH, base=UPLOAD_GRAPH))
        except SyntaxProblem as error:
            raise SyntaxProblem(self._named(error), error.line, error.column) from None
        except BadRequest as error:
            raise BadRequest(self._named(error)) from None

    def _named(self, error: BadRequest) -> str:
        return f"{self.name}, {error}" if self.name else str(error)


@dataclass(frozen=True)
class Upload:
    """A parsed request: the data, the shapes to use instead of ours, if any, and the other parameters."""

    data: Document
    shapes: tuple[Document, ...] = ()
    fields: Fields = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The subject of the report."""
        return self.data.name or "upload"


def read(body: bytes, content_type: str, fields: Fields) -> Upload:
    """Return the upload in a body and in the parameters of the address. Raises BadRequest and other errors of status 4xx."""
    media_type, options = parse_options_header(content_type)
    if media_type == FORM:
        return _read_form(body, options, fields)
    if media_type == JSON.media_type:
        return _read_json(body, fields)
    return Upload(Document(body, media_type), fields=fields)


def typed(body: bytes, content_type: str) -> Fields:
    """Return what stands in the text fields of a form, and in its file fields the names of the files; nothing of what is no form."""
    try:
        texts, files = _form(body, parse_options_header(content_type)[1])
    except (BadRequest, TooLarge):
        return {}
    named = {f"{name}.file": [_plain(file.filename)] for name, file in files.items() if file.filename}
    return {name: list(values) for name, values in texts.lists()} | named


def _read_form(body: bytes, options: dict[str, str], fields: Fields) -> Upload:
    texts, files = _form(body, options)
    found: dict[str, list[Document]] = {"data": [], "shapes": []}
    for name, documents in found.items():
        documents += [
            Document(file.read(), file.mimetype, _plain(file.filename or ""))
            for file in files.getlist(name)
            if file.filename
        ]
        named = texts.get("contentSyntax", "")
        documents += [Document(text.encode(), named) for text in texts.getlist(name) if text.strip()]
    if len(found["data"]) != 1:
        raise BadRequest(
            f'The form has {len(found["data"])} documents in its field "data"; send exactly one, as a file or as text.'
        )
    others = {name: values for name, values in texts.lists() if name not in (*found, "contentSyntax")}
    return Upload(found["data"][0], tuple(found["shapes"]), _joined(fields, others))


def _form(body: bytes, options: dict[str, str]) -> tuple[MultiDict[str, str], MultiDict[str, FileStorage]]:
    """Return the text fields and the files of a form. Raises BadRequest and TooLarge."""
    parser = FormDataParser(
        stream_factory=lambda *_, **__: BytesIO(),  # not a temporary file: a worker can open none
        max_form_memory_size=len(body),
        max_form_parts=MAX_FORM_PARTS,
        silent=False,
    )
    try:
        _, texts, files = parser.parse(BytesIO(body), FORM, len(body), options)
    except RequestEntityTooLarge:
        raise TooLarge(f"The form has more than {MAX_FORM_PARTS} parts.") from None
    except ValueError as error:
        raise BadRequest(f"The form cannot be read as {FORM}: {error}.") from None
    return texts, files


def _plain(name: str) -> str:
    """Return the last part of a file name, without unprintable characters."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in last if letter.isprintable())[-100:]


def _read_json(body: bytes, fields: Fields) -> Upload:
    try:
        sent = json.loads(body)
    except json.JSONDecodeError as error:
        message = f"The body is not JSON: line {error.lineno}, column {error.colno}: {error.msg}"
        raise SyntaxProblem(message, error.lineno, error.colno) from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"The JSON of the body cannot be read: {error}.") from None
    row = _known(sent, _JSON_FIELDS, "The body")
    rules = row.get("externalRules") or []
    if not isinstance(rules, list):
        raise BadRequest("externalRules must be a list.")
    known = [_known(rule, _RULE_FIELDS, "An item of externalRules") for rule in rules]
    chosen = {"profile": row.get("validationType"), "format": row.get("reportSyntax")}
    return Upload(
        _embedded(row, "contentToValidate", "contentSyntax"),
        tuple(_embedded(rule, "ruleSet", "ruleSyntax") for rule in known),
        _joined(fields, {name: [value] for name, value in chosen.items() if value}),
    )


def _known(sent: Any, known: Iterable[str], where: str) -> Row:
    if not isinstance(sent, dict):
        raise BadRequest(f"{where} must be an object with {', '.join(known)}.")
    if unknown := [name for name, value in sent.items() if value and name not in known]:
        raise BadRequest(f'{where} has no field "{unknown[0][:100]}"; known: {", ".join(known)}.')
    for name, value in sent.items():
        if value and name != "externalRules" and not isinstance(value, str):
            raise BadRequest(f"{name} must be a string.")
    return sent


def _embedded(row: Row, content: str, syntax: str) -> Document:
    text, method, media_type = row.get(content), row.get("embeddingMethod") or METHODS[0], row.get(syntax) or ""
    if not text:
        raise BadRequest(f"{content} is missing: send the RDF in it.")
    if method == "URL":
        raise BadRequest(f"This service fetches nothing: send the RDF itself in {content}, as STRING or BASE64.")
    if method not in METHODS:
        raise BadRequest(f'No embeddingMethod "{method[:100]}"; known: STRING, BASE64.')
    if method == "STRING":
        return Document(text.encode(errors="surrogatepass"), media_type)
    try:
        return Document(base64.b64decode(text, validate=True), media_type)
    except (binascii.Error, ValueError) as error:
        raise BadRequest(f"{content} is not BASE64: {error}.") from None


def _joined(first: Fields, second: Fields) -> Fields:
    return {name: [*first.get(name, ()), *second.get(name, ())] for name in {**first, **second}}
