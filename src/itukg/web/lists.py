"""What routes of lists share: their parameters, and how a page of a list is answered, with links to the others."""

from fastapi import Request, Response
from pydantic import Field

from itukg.errors import BadRequest
from itukg.formats import Format
from itukg.release.overview import Overview
from itukg.views.listing import MAX_PAGE_SIZE, SORTS, Item, Page, page_of, write_list
from itukg.web.deps import Labelled, Text

_VALUE = "an IRI, a prefixed name, a path below /id/, or a code."


class ListParameters(Labelled):
    """Those of a list; empty ones, as a form sends them, count as absent."""

    plan: Text | None = Field(None, description=f"Plan: {_VALUE}")
    class_: Text | None = Field(None, alias="class", description=f"Class: {_VALUE}")
    sdg: Text | None = Field(None, description=f"SDG: {_VALUE}")
    action_line: Text | None = Field(None, alias="actionLine", description=f"Action line: {_VALUE}")
    instrument: Text | None = Field(None, description=f"Instrument: {_VALUE}")
    basis: Text | None = Field(None, description=f"Basis: {_VALUE}")
    to: Text | None = Field(None, description="An IRI that a thing is linked to.")
    by: Text | None = Field(None, description="The property by which it is.")
    sort: Text | None = Field(None, description=f"The order: {' or '.join(SORTS)}.")
    page: Text | None = Field(None, description="The number of the page, from 1.")
    size: Text | None = Field(None, description=f"Things on a page, up to {MAX_PAGE_SIZE}.")


def given_in(request: Request) -> dict[str, str]:
    """Return what a request for a list says, by name; a suffix of the path counts as `format`.

    Raises BadRequest for a parameter that comes twice.
    """
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in given:
            raise BadRequest(f'"{name}" comes twice; a list takes one.')
        if value:
            given[name] = value
    suffix: str = request.path_params.get("suffix", "")
    return given | ({"format": suffix.removeprefix(".")} if suffix else {})


def answer(
    items: list[Item],
    syntax: Format,
    overview: Overview,
    *,
    title: str,
    address: str,
    given: dict[str, str],
    **more: str,
) -> Response:
    """Return the requested page of a list; `address` is that of the list."""
    page = page_of(items, title, address, given)
    headers = {"Link": link_header(page)}
    return Response(write_list(page, syntax, overview, **more), headers=headers, media_type=syntax.media_type)


def link_header(page: Page) -> str:
    """Return the links to the other pages as RFC 8288 writes them."""
    return ", ".join(f'<{link}>; rel="{relation}"' for relation, link in page.links().items())
