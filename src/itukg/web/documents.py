"""For auditors: the source documents by section and line."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import Field

from itukg import names
from itukg.formats import Format
from itukg.views.document import DOCUMENT_FORMATS, SHOWN, account, accounts, write_account, write_accounts
from itukg.views.thing import is_told
from itukg.web.deps import Answers, Negotiated, Served, Text, once, query_of
from itukg.web.writing import InTurn

router = APIRouter(dependencies=[Depends(once)])

_DOCUMENTS, _DOCUMENT = Answers(DOCUMENT_FORMATS), Answers(DOCUMENT_FORMATS, moved=303)


class DocumentParameters(Negotiated):
    """Which lines of a document are shown, and where its page begins."""

    show: Text | None = Field(
        None, description="; ".join(f"{name}: {words}" for name, words in SHOWN.items()) + ". By default all."
    )
    line: Text | None = Field(None, description="A line: of an HTML answer, the page on which it stands.")
    page: Text | None = Field(None, description="The number of the page of an HTML answer, from 1.")


@_DOCUMENTS.get(router, "/documents")
async def documents(
    request: Request,
    given: Annotated[Negotiated, Query()],
    service: Served,
    in_turn: InTurn,
    syntax: Annotated[Format, Depends(_DOCUMENTS.chosen)],
) -> Response:
    """Return the documents that the graph was read from: how many lines were taken up, left out for each reason, and have findings."""
    found = await in_turn(accounts, service.release, given.release or "")
    return Response(write_accounts(found, syntax, query_of(request)), media_type=syntax.media_type)


@_DOCUMENT.get(router, "/documents/{name}")
async def document(
    request: Request,
    name: str,
    given: Annotated[DocumentParameters, Query()],
    service: Served,
    in_turn: InTurn,
    syntax: Annotated[Format, Depends(_DOCUMENTS.chosen)],
) -> Response:
    """Return a document by section and line: what was made of each line, what was left out and why, and what was found there."""
    iri = f"{names.THINGS}document/{name}"
    if iri not in service.release.documents.by_iri and await is_told(service.store, iri):
        return RedirectResponse(f"/id/document/{name}", 303)  # what is not read line by line

    def written() -> bytes:
        found = account(service.release, name, {key: text for key, text in vars(given).items() if text})
        return write_account(found, service.release.overview.reader, syntax, query_of(request))

    content = await in_turn(written)
    return Response(content, media_type=syntax.media_type)
