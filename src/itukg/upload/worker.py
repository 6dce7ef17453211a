"""What a worker does for the web process that could take long there: it checks an upload, or writes a report as PDF.

`python -m itukg.upload.worker RELEASE` loads the files that the release in the folder RELEASE was made of; see
`engine.worker`. An answer is a line with the media type of the report, and the report.
"""

import json
import logging
import marshal
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

from itukg import names
from itukg.conformance import REPORT_FORMATS, Selection, now, pdf_of, pdf_template, write
from itukg.engine.pool import BUFFER_BYTES
from itukg.engine.worker import Work, Writable, main
from itukg.errors import BadRequest, DataError, ItukgError, MemoryLimit
from itukg.formats import PDF, choose
from itukg.release.model import Release
from itukg.upload.context import ValidationContext
from itukg.upload.read import FORM, Fields, read

_CLASS = f"{names.ITU}ActionLine".encode()


Task = Callable[..., tuple[str, bytes]]
"""Returns a report with its media type, given the content of a request and what else it names."""


def pack(task: str, content: bytes, **given: object) -> bytes:
    """Return the request that a worker answers by the function of this module that is so named."""
    return marshal.dumps((task, content, given))


def load(release: str) -> Work:
    """Return what does the tasks beside the release in the folder `release`. Raises DataError."""
    warnings.simplefilter("ignore")  # libraries warn of what is sent, which is not for the server's log
    logging.disable()
    try:
        surroundings = ValidationContext.of_release(Release(Path(release)))
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{release}: {error}") from None
    _warm(surroundings)
    tasks: dict[str, Task] = {"check": partial(check, surroundings), "pdf": pdf}

    def work(request: bytes, output: Writable) -> None:
        task, content, given = marshal.loads(request)  # noqa: S302  (of ours)
        media_type, report = tasks[task](content, **given)
        output.write(media_type.encode() + b"\n")
        output.write(report)

    return work


def check(
    surroundings: ValidationContext, body: bytes, *, content_type: str, fields: Fields, media_type: str
) -> tuple[str, bytes]:
    """Return the report on an upload with its media type, which the upload may choose. Raises what is wrong with it."""
    try:
        upload = read(body, content_type, fields)
        syntax = choose(REPORT_FORMATS, None, next(iter(upload.fields.get("format", ())), media_type))
        selection = Selection.of(upload.fields)
        report = surroundings.check(
            upload.data.quads(),
            upload.name,
            shapes=[quad for document in upload.shapes for quad in document.quads()] if upload.shapes else None,
            with_release=_is_set(upload.fields, "with-release"),
            place=upload.name,
        )
        content = write(report.dated(now()).selected(selection), syntax)
    except OSError as error:  # whoever wanted a file or a socket here
        raise ItukgError(f"The check needs what it may not have: {error}") from error
    if len(content) > BUFFER_BYTES:
        raise MemoryLimit(
            f"The report is larger than {BUFFER_BYTES // 1_000_000} MB. Ask for a part of it, such as ?severity=Violation, "
            "or make it at home with: itukg check"
        )
    return syntax.media_type, content


def pdf(rows: bytes) -> tuple[str, bytes]:
    """Return the report with these rows, as JSON, as PDF."""
    return PDF.media_type, pdf_of(json.loads(rows))


def _is_set(fields: Fields, name: str) -> bool:
    given = [value for value in fields.get(name, ()) if value]
    if any(value not in ("0", "1") for value in given):
        raise BadRequest(f'{name} must be 1 or 0, not "{given[0][:100]}".')
    return "1" in given


def _warm(surroundings: ValidationContext) -> None:
    """Do once what workers do, so that all is read and imported: a worker can open no file."""
    form = (
        b'--x\r\nContent-Disposition: form-data; name="data"; filename="a.ttl"\r\n\r\n[] a <%s> .\r\n--x--\r\n' % _CLASS
    )
    report = surroundings.check(read(form, f"{FORM}; boundary=x", {}).data.quads(), "")
    for syntax in REPORT_FORMATS:
        if syntax != PDF:  # its writer starts threads, which a fork does not take along
            write(report, syntax)
    pdf_template()


if __name__ == "__main__":
    main(load)
