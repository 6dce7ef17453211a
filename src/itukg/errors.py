"""One family of errors: each class carries its HTTP status, exit code and problem type; each message says what to try."""

from typing import ClassVar


class ItukgError(Exception):
    """Something the user, the curator or the operator can mend. The message says what, where and what to try."""

    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 2
    title: ClassVar[str] = "Something went wrong"
    wait: int | None = None
    """Seconds after which trying again may help."""

    @property
    def problem_type(self) -> str:
        """The last part of the problem's type IRI (RFC 9457): the class name in kebab-case."""
        name = type(self).__name__
        return "".join("-" + c.lower() if c.isupper() else c for c in name).lstrip("-")

    def extras(self) -> dict[str, object]:
        """Return members that a problem of this class adds to the standard ones."""
        return {}


class BadRequest(ItukgError):
    """What was sent cannot be understood."""

    status = 400
    title = "The request cannot be understood"


class SyntaxProblem(BadRequest):
    """A query that is not SPARQL, or data that is not RDF. `line` and `column` count from 1; None where no place is named."""

    title = "Syntax error"

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.line, self.column = line, column

    def extras(self) -> dict[str, object]:
        """Return line and column, where known."""
        return {name: at for name, at in (("line", self.line), ("column", self.column)) if at is not None}


class QueryRefused(BadRequest):
    """A well-formed query, or an update, that this service does not run."""

    title = "This service does not run such queries"


class ShapesRefused(BadRequest):
    """Shapes that cannot be applied, or that this service does not apply."""

    title = "These shapes are not applied"


class NotFound(ItukgError):
    """A thing, file or name that does not exist."""

    status = 404
    title = "Not found"


class NotAllowed(ItukgError):
    """A method that a resource does not have."""

    status = 405
    title = "Method not allowed"

    def __init__(self, message: str, methods: tuple[str, ...]) -> None:
        super().__init__(f"{message} Allowed: {', '.join(methods)}.")
        self.methods = methods


class NotAcceptable(ItukgError):
    """No syntax on offer is one that the client takes."""

    status = 406
    title = "This cannot be served in the requested syntax"


class TooSlow(ItukgError):
    """A request that does not arrive."""

    status = 408
    title = "The request did not arrive in time"


class Gone(ItukgError):
    """A thing that is retired. `successors` are the IRIs of what replaces it."""

    status = 410
    title = "The thing is retired"

    def __init__(self, iri: str, successors: list[str]) -> None:
        named = f": in its place is {', '.join(f'<{each}>' for each in successors)}"
        super().__init__(f"<{iri}> is retired{named if successors else '; nothing is named in its place'}.")
        self.successors = successors


class PreconditionFailed(ItukgError):
    """A request for another state of a thing than the one it is in."""

    status = 412
    title = "A condition of the request is not met"


class TooLarge(ItukgError):
    """A request over the size that is read."""

    status = 413
    title = "The request is too large"


class UriTooLong(ItukgError):
    """A request target over the size that is read."""

    status = 414
    title = "The request's address is too long"


class HeadersTooLarge(ItukgError):
    """A request's head over the size that is read."""

    status = 431
    title = "The request's headers are too large"


class UnsupportedMediaType(ItukgError):
    """A request body in a syntax that is not read."""

    status = 415
    title = "The request's media type is not understood"


class MemoryLimit(QueryRefused):
    """A query or a check that needs more memory than one may take."""

    title = "This needs too much memory"


class Quota(ItukgError):
    """A client that asks for more than its share. `wait` is in seconds."""

    status = 429
    title = "Too many requests"

    def __init__(self, message: str, wait: int) -> None:
        super().__init__(message)
        self.wait = wait


class Overloaded(ItukgError):
    """More requests wait than the queue holds; trying again helps."""

    status = 503
    title = "The service is busy"
    wait = 2


class WorkerKilled(ItukgError):
    """A process that was killed from outside while it worked, by an operator or for want of memory on the machine."""

    status = 503
    title = "The process at work was killed"
    wait = 2


class StoreUnavailable(ItukgError):
    """A triple store elsewhere that gives no answer, or none that can be read."""

    status = 502
    title = "The triple store gives no answer"


class NotReady(ItukgError):
    """The release is still being loaded; trying again helps."""

    status = 503
    title = "The service is still loading"
    wait = 2


class TimeLimit(ItukgError):
    """A query or a check that gave no answer in its time."""

    status = 504
    title = "This took too long"


class DataError(ItukgError):
    """A file of ours that cannot be read: names the file, the line and the reason."""

    title = "A data file cannot be read"


class DoesNotConform(ItukgError):
    """Data with violations: it is not published."""

    exit_code = 1
    title = "The data does not conform to the shapes"


class NotSupported(ItukgError):
    """Something that needs a part which is not installed, or that is not done here at all."""

    status = 501
    exit_code = 3
    title = "This is not supported here"
