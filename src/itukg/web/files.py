"""How a file of a release is answered: small ones whole, large and compressed ones piece by piece."""

import gzip
from collections.abc import Iterator
from pathlib import Path

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from itukg.release.dumps import File
from itukg.web.middleware import takes_gzip

LARGE_FILE = 8_000_000
"""Bytes from which on a file is read each time, and not cached."""
_PIECE = 1 << 18


def file_response(request: Request, file: File, headers: dict[str, str]) -> Response:
    """Return a file as an answer: one that is stored compressed goes so to a client that takes gzip, else unpacked."""
    if not file.packed and file.size <= LARGE_FILE:
        return Response(file.read(), headers=headers, media_type=file.syntax.media_type)
    encoded = file.packed and takes_gzip(request.scope)
    size = file.path.stat().st_size if encoded else file.size
    own = {"ETag": f'"{file.sha256[:32]}{"-gzip" if encoded else ""}"', "Content-Length": str(size)}
    own |= {"Content-Encoding": "gzip"} if encoded else {}
    pieces = _pieces(file.path, unpack=file.packed and not encoded)
    return StreamingResponse(pieces, headers=own | headers, media_type=file.syntax.media_type)


def _pieces(path: Path, *, unpack: bool) -> Iterator[bytes]:
    with gzip.open(path) if unpack else path.open("rb") as opened:
        while piece := opened.read(_PIECE):
            yield piece
