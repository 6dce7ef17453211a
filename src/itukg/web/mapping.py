"""For researchers: why a link holds."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field

from itukg import names
from itukg.formats import Format
from itukg.views.because import BECAUSE_FORMATS, because, write_because
from itukg.web.deps import Answers, Negotiated, Served, Text

router = APIRouter()

_BECAUSE = Answers(BECAUSE_FORMATS)


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
