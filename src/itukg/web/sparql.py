"""For researchers: the SPARQL endpoint (SPARQL 1.1 Protocol, query operation)."""

from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from itukg.errors import BadRequest, QueryRefused, TooLarge, UnsupportedMediaType
from itukg.store import Dataset, offers_for, query_form
from itukg.web.service import service_of, wanted

router = APIRouter()

FORM = "application/x-www-form-urlencoded"
SPARQL_QUERY = "application/sparql-query"
REQUEST_TYPES = (FORM, SPARQL_QUERY)
"""Media types of a POST body."""

_PARAMETERS = [
    {"name": name, "in": "query", "required": False, "description": text, "schema": {"type": "string"}}
    for name, text in {
        "query": "The SPARQL query.",
        "default-graph-uri": "A graph that the query sees as its default graph; may be repeated.",
        "named-graph-uri": "A graph that the query may name with GRAPH; may be repeated.",
        "timeout": "Seconds to wait, up to the server's own limit.",
        "format": "The syntax of the answer, by suffix or media type; overrides Accept.",
        "labels": "1: CSV, TSV or XLSX with a column of labels after each column of IRIs.",
    }.items()
]
_BODY = {"content": {media_type: {"schema": {"type": "string"}} for media_type in REQUEST_TYPES}}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    400: {"description": "The request or the query cannot be understood."},
    406: {"description": "The answer cannot be written in the requested syntax."},
    504: {"description": "The query hit its time limit."},
}


@router.get("/sparql", openapi_extra={"parameters": _PARAMETERS}, responses=_ANSWERS, response_class=Response)
async def ask_by_get(request: Request) -> Response:
    """Answer the SPARQL query in `?query=`, in the syntax the client likes best."""
    return await _answer(request, _pairs(request.scope["query_string"].decode("ascii", "replace")))


@router.post("/sparql", openapi_extra={"requestBody": _BODY}, responses=_ANSWERS, response_class=Response)
async def ask_by_post(request: Request) -> Response:
    """Answer the SPARQL query in the body: a form with `query`, or `application/sparql-query`."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in REQUEST_TYPES:
        raise UnsupportedMediaType(
            f'Send the query as {" or ".join(REQUEST_TYPES)}, not as "{media_type or "nothing"}".'
        )
    text = await _read(request)
    # The form parser decodes the body; decoding it twice would turn "100%25" into "100%".
    body = _pairs(text) if media_type == FORM else [("query", text)]
    address = _pairs(request.scope["query_string"].decode("ascii", "replace"))
    return await _answer(request, [*address, *body])


async def _answer(request: Request, parameters: list[tuple[str, str]]) -> Response:
    service = service_of(request)
    store = service.store
    query = _query(parameters)
    if len(query.encode()) > service.settings.query_size:
        raise TooLarge(f"The query is longer than {service.settings.query_size} bytes.")
    name, labels = (next(iter(_all(parameters, key)), None) for key in ("format", "labels"))
    syntax = wanted(request, offers_for(query_form(query)), name, labels)
    seconds = _seconds(parameters, service.settings.timeout)
    dataset = Dataset(_all(parameters, "default-graph-uri"), _all(parameters, "named-graph-uri"))
    answer = await run_in_threadpool(store.answer, query, dataset, syntax, seconds)
    return Response(b"".join(answer.body), media_type=answer.media_type, headers={"Vary": "Accept"})


def _query(parameters: list[tuple[str, str]]) -> str:
    if any(name == "update" for name, _ in parameters):
        raise QueryRefused("This service is read-only: it takes no updates.")
    match _all(parameters, "query"):
        case ():
            raise BadRequest(
                'No query. Send one as "?query=…", as a form with "query", or as application/sparql-query.'
            )
        case (query,):
            return query
        case several:
            raise BadRequest(f"{len(several)} queries in one request. Send one.")


def _pairs(encoded: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(encoded, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError as error:
        raise BadRequest(f"A parameter is not UTF-8 once it is percent-decoded: {error.reason}.") from None


def _all(parameters: list[tuple[str, str]], name: str) -> tuple[str, ...]:
    return tuple(value for key, value in parameters if key == name)


def _seconds(parameters: list[tuple[str, str]], limit: float) -> float:
    given = _all(parameters, "timeout")
    if not given:
        return limit
    try:
        seconds = float(given[0])
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise BadRequest(f'timeout must be a number of seconds above 0, not "{given[0]}".')
    return min(seconds, limit)


async def _read(request: Request) -> str:
    limit = service_of(request).settings.query_size
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limit:
            raise TooLarge(f"The request body is larger than {limit} bytes.")
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"The body is not UTF-8 (byte {error.start}).") from None
