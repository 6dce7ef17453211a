"""Pictures as answers: in a syntax of their own, or as a page that others may show in a frame of theirs."""

from fastapi import Request, Response

from itukg.formats import HTML, SVG, Format
from itukg.pages import render
from itukg.pictures import Picture, write_picture
from itukg.web.middleware import EMBEDDED
from itukg.web.writing import Written

PREFIX = "/embed"
"""Where pages for frames stand: before the address of what they show."""


async def drawn(picture: Picture, syntax: Format, in_turn: Written) -> bytes:
    """Return a picture in one of PICTURE_FORMATS. Raises BadRequest for more than it holds."""
    return await in_turn(write_picture, picture, syntax)


async def embedded(picture: Picture, request: Request, in_turn: Written) -> Response:
    """Return the page of a picture for frames of others: nothing but the picture, and a link back to what it shows."""
    path = request.url.path.partition(PREFIX)[2]
    content = render(
        "embed.html",
        title=picture.title,
        picture=(await drawn(picture, SVG, in_turn)).decode(),
        back=f"{path}?{request.url.query}" if request.url.query else path,
    )
    return Response(content, headers=EMBEDDED, media_type=HTML.media_type)
