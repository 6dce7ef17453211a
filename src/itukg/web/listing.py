"""Lists over HTTP: which parameters a request may have, and how a page of a list leaves, with links to the others."""

from fastapi import Request, Response

from itukg.errors import BadRequest
from itukg.formats import Format
from itukg.lists import FILTERS, LARGEST, SORTS, Item, Known, page_of, write_list
from itukg.web.answers import Kept
from itukg.web.service import address

PARAMETERS = {
    **{each.name: f"{each.label}: an IRI, a prefixed name, a path below /id/, or a code." for each in FILTERS},
    "to": "An IRI that a thing is linked to.",
    "by": "The property by which it is.",
    "sort": f"The order: {' or '.join(SORTS)}.",
    "page": "The number of the page, from 1.",
    "size": f"Things on a page, up to {LARGEST}.",
}
"""What a request for a list may have, and what each is."""


def parameters(request: Request, suffix: str | None) -> dict[str, str]:
    """Return the parameters of a request for a list; empty ones, as a form sends them, count as absent.

    A suffix of the path counts as `format`.

    Raises BadRequest for one that comes twice.
    """
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in given:
            raise BadRequest(f'"{name}" comes twice; a list takes one.')
        if value:
            given[name] = value
    return given | ({"format": suffix.removeprefix(".")} if suffix else {})


def answer(
    request: Request,
    items: list[Item],
    syntax: Format,
    about: Known,
    *,
    title: str,
    path: str,
    given: dict[str, str],
    **more: str,
) -> Response:
    """Return the page of a list that a request asks for."""
    page = page_of(items, title, f"{address(request)}{path}", given)
    links = ", ".join(f'<{link}>; rel="{relation}"' for relation, link in page.links().items())
    return Kept(write_list(page, syntax, about, **more), syntax.media_type, {"Link": links})
