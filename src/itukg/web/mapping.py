"""For researchers: why a link holds, and what is linked with what."""

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from itukg import names
from itukg.formats import Format
from itukg.views.because import BECAUSE_FORMATS, because, write_because
from itukg.views.grid import MATRIX_FORMATS, write_matrix
from itukg.views.matrix import matrix
from itukg.web import lists
from itukg.web.deps import Address, Answers, Negotiated, Served, Text

router = APIRouter()

_BECAUSE = Answers(BECAUSE_FORMATS)
_MATRIX = Answers(MATRIX_FORMATS)


class BecauseParameters(Negotiated):
    """The two ends of a link."""

    subject: Text = Field(description="An IRI, prefixed name or path, such as bap-2026-2029/outcome/T1.1-O1.")
    object: Text = Field(description="An IRI, prefixed name or path, such as sdg:11.b.")


@_BECAUSE.get(router, "/because")
async def reasons(
    given: Annotated[BecauseParameters, Query()],
    service: Served,
    syntax: Annotated[Format, Depends(_BECAUSE.chosen)],
) -> Response:
    """Return why `subject` is linked with `object`: the chains of sentences, reasons and rules, the shortest first."""
    ends = names.expand(given.subject), names.expand(given.object)
    found = await because(service.store, *ends, service.release.overview.terms)
    return Response(write_because(found, syntax), media_type=syntax.media_type)


class MatrixParameters(lists.ListParameters):
    """Those of a list, which choose the things whose links count, and what is set against what."""

    rows: Text = Field(description="A class, such as output, topic, actionLine, sdgGoal, or plan.")
    columns: Text = Field(description="A class, as for rows.")
    row: Text | None = Field(None, description="One row: an IRI, a prefixed name, a path below /id/, or a code.")
    column: Text | None = Field(None, description="One column, in the same forms.")
    basis: Text | None = Field(
        None, description="The bases of the links that count, separated by commas; by default all but derived."
    )


@_MATRIX.get(router, "/matrix")
async def matrices(
    request: Request,
    _: Annotated[MatrixParameters, Query()],
    service: Served,
    at: Address,
    syntax: Annotated[Format, Depends(_MATRIX.chosen)],
) -> Response:
    """Return how many links there are between things of two classes, and what each rests on; with row and column, one cell."""
    found = await matrix(service.store, service.release.overview, lists.given_in(request), f"{at}/matrix")
    content = await to_thread.run_sync(write_matrix, found, syntax, limiter=service.writing)
    return Response(content, headers={"Link": lists.link_header(found.page)}, media_type=syntax.media_type)
