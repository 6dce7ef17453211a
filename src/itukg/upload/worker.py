"""Work that could block the web process, done in a worker: to validate an upload, and to write a report as PDF.

`python -m itukg.upload.worker RELEASE` loads the files that the release in the folder RELEASE was built from; see
`engine.worker`. An answer is a line with the media type of the report, then the report.
"""

import json
import logging
import marshal
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

from itukg import names
from itukg.conformance import REPORT_FORMATS, Selection, load_fonts, now, open_fonts, pdf_of, write, write_answer
from itukg.engine.pool import BUFFER_BYTES
from itukg.engine.worker import Work, Writable, main
from itukg.errors import BadRequest, DataError, ItukgError, MemoryLimit
from itukg.formats import HTML, JSON, PDF, choose, write_json
from itukg.release.integrity import faults
from itukg.release.model import Release
from itukg.upload.context import ValidationContext
from itukg.upload.plan import read_plan
from itukg.upload.read import FORM, Fields, read, typed

_CLASS = f"{names.ITU}ActionLine".encode()


Task = Callable[..., tuple[str, bytes]]
"""Returns the media type of a report and the report, given the content of a request and its arguments."""


def pack(task: str, content: bytes, **given: object) -> bytes:
    """Return the request for a worker to call the function `task` of this module."""
    return marshal.dumps((task, content, given))


def load(release: str) -> Work:
    """Read the release in the folder `release`, and return the function that does the tasks. Raises DataError."""
    warnings.simplefilter("ignore")  # libraries warn about uploads, which is not for the server's log
    logging.disable()
    if wrong := faults(Path(release)):  # this is read when the first upload comes
        raise DataError(f"{release}: {'; '.join(wrong)}")
    try:
        context = ValidationContext.of_release(Release(Path(release)))
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{release}: {error}") from None
    _warm_up(context)
    tasks: dict[str, Task] = {"check": partial(check, context), "pdf": pdf, "plan": plan, "form": form}

    def work(request: bytes, output: Writable) -> None:
        task, content, given = marshal.loads(request)  # noqa: S302  (of ours)
        media_type, report = tasks[task](content, **given)
        output.write(media_type.encode() + b"\n")
        output.write(report)

    return work


def check(
    context: ValidationContext, body: bytes, *, content_type: str, fields: Fields, media_type: str
) -> tuple[str, bytes]:
    """Return the media type of the report on an upload, and the report, as the upload requests. Raises errors in the upload."""
    try:
        upload = read(body, content_type, fields)
        syntax = choose(REPORT_FORMATS, None, next(iter(upload.fields.get("format", ())), media_type))
        selection = Selection.of(upload.fields)
        report = context.check(
            upload.data.quads(),
            upload.name,
            shapes=[quad for document in upload.shapes for quad in document.quads()] if upload.shapes else None,
            with_release=_is_set(upload.fields, "with-release"),
            place=upload.name,
        )
        selected = report.dated(now()).selected(selection)
        content = write_answer(selected) if syntax == HTML else write(selected, syntax)
    except OSError as error:  # a library that wanted a file or a socket
        raise ItukgError("The validation tried to open a file or a socket, which it may not.") from error
    if len(content) > BUFFER_BYTES:
        raise MemoryLimit(
            f"The report is larger than {BUFFER_BYTES // 1_000_000} MB. Request a part of it, such as ?severity=Violation, "
            "or write it on your own machine with: itukg check"
        )
    return syntax.media_type, content


def plan(body: bytes, *, content_type: str) -> tuple[str, bytes]:
    """Return the plan in an upload as JSON. Raises errors in the upload."""
    return JSON.media_type, write_json(read_plan(read(body, content_type, {}).data.quads()))


def form(body: bytes, *, content_type: str) -> tuple[str, bytes]:
    """Return what was typed into a form as JSON."""
    return JSON.media_type, write_json(typed(body, content_type))


def pdf(rows: bytes) -> tuple[str, bytes]:
    """Return the report with these rows, which are JSON, as PDF."""
    return PDF.media_type, pdf_of(json.loads(rows))


def _is_set(fields: Fields, name: str) -> bool:
    given = [value for value in fields.get(name, ()) if value]
    if any(value not in ("0", "1") for value in given):
        raise BadRequest(f'{name} must be 1 or 0, not "{given[0][:100]}".')
    return "1" in given


def _warm_up(context: ValidationContext) -> None:
    """Do the tasks once, so that everything they need is read and imported: a worker can open no file."""
    sent = (
        b'--x\r\nContent-Disposition: form-data; name="data"; filename="a.ttl"\r\n\r\n[] a <%s> .\r\n--x--\r\n' % _CLASS
    )
    report = context.check(read(sent, f"{FORM}; boundary=x", {}).data.quads(), "")
    for syntax in REPORT_FORMATS:
        if syntax != PDF:  # its writer starts threads, which a fork does not copy
            write(report, syntax)
    write_answer(report)
    typed(sent, f"{FORM}; boundary=x")
    open_fonts()


if __name__ == "__main__":
    main(load, prepare=load_fonts)
