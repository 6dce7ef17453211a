"""One family of errors: each class carries its HTTP status, exit code and problem type; each message says what to try."""

from collections.abc import Iterator, Mapping
from typing import ClassVar


class ItukgError(Exception):
    """Something the user, the curator or the operator can mend. The message says what, where and what to try."""

    title: ClassVar[str] = "Internal error"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 2
    wait: int | None = None
    """Seconds after which trying again may help."""

    def __init_subclass__(
        cls, title: str, status: int | None = None, exit_code: int | None = None, wait: int | None = None
    ) -> None:
        """Set what the class says in its head; the rest is as in its base class."""
        cls.title = title
        cls.status = status or cls.status
        cls.exit_code = exit_code or cls.exit_code
        cls.wait = wait or cls.wait

    @property
    def problem_type(self) -> str:
        """The last part of the problem's type IRI (RFC 9457): the class name in kebab-case."""
        return "".join("-" + c.lower() if c.isupper() else c for c in type(self).__name__).lstrip("-")

    def extras(self) -> dict[str, object]:
        """Return the members that a problem of this class adds to the standard ones."""
        return {}


class BadRequest(ItukgError, title="Bad request", status=400):
    """A request that cannot be understood."""


class SyntaxProblem(BadRequest, title="Syntax error"):
    """A query that is not SPARQL, or data that is not RDF. `line` and `column` count from 1; None where unknown."""

    line: int | None = None
    column: int | None = None

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message)
        self.line, self.column = line, column

    def extras(self) -> dict[str, object]:
        """Return line and column, where known."""
        return {name: at for name, at in (("line", self.line), ("column", self.column)) if at is not None}


class QueryRefused(BadRequest, title="Query refused"):
    """A well-formed query, or an update, that this service does not run."""


class ShapesRefused(BadRequest, title="Shapes refused"):
    """Shapes that cannot be applied, or that this service does not apply."""


class NotFound(ItukgError, title="Not found", status=404):
    """A thing, file or name that does not exist."""


class NotAllowed(ItukgError, title="Method not allowed", status=405):
    """A method that a resource does not have; `methods` are those that it has."""

    def __init__(self, message: str, methods: tuple[str, ...]) -> None:
        super().__init__(f"{message} Allowed: {', '.join(methods)}.")
        self.methods = methods

    def extras(self) -> dict[str, object]:
        """Return the methods."""
        return {"methods": list(self.methods)}


class NotAcceptable(ItukgError, title="Not acceptable", status=406):
    """An Accept header, or a format, that none of the available syntaxes fits."""


class TooSlow(ItukgError, title="Request timeout", status=408):
    """A request whose body does not arrive in time."""


class Conflict(ItukgError, title="Changed meanwhile", status=409):
    """A change of what somebody else has changed since it was read."""


class Gone(ItukgError, title="Retired", status=410):
    """A retired thing; `successors` are the IRIs of the things that replace it."""

    def __init__(self, iri: str, successors: list[str]) -> None:
        replaced_by = f"replaced by {', '.join(f'<{each}>' for each in successors)}"
        super().__init__(f"<{iri}> is retired, {replaced_by if successors else 'and nothing replaces it'}.")
        self.successors = successors

    def extras(self) -> dict[str, object]:
        """Return the successors."""
        return {"successors": self.successors}


class PreconditionFailed(ItukgError, title="Precondition failed", status=412):
    """A conditional request whose condition does not hold."""


class TooLarge(ItukgError, title="Content too large", status=413):
    """A request body over the size limit."""


class UriTooLong(ItukgError, title="Address too long", status=414):
    """A request target over the size limit."""


class UnsupportedMediaType(ItukgError, title="Unsupported media type", status=415):
    """A request body in a syntax that this route does not read."""


class HeadersTooLarge(ItukgError, title="Request headers too large", status=431):
    """A request head over the size limit."""


class MemoryLimit(QueryRefused, title="Memory limit exceeded"):
    """A query or a check that needs more memory than one may take."""


class Quota(ItukgError, title="Too many requests", status=429):
    """A client over its quota; `wait` is in seconds."""

    def __init__(self, message: str, wait: int) -> None:
        super().__init__(message)
        self.wait = wait


class Overloaded(ItukgError, title="Service busy", status=503, wait=2):
    """A request that the queue has no room for; trying again helps."""


class WorkerKilled(ItukgError, title="Worker process killed", status=503, wait=2):
    """A worker process killed from outside, by an operator or by a machine that ran out of memory."""


class StoreUnavailable(ItukgError, title="Triple store unavailable", status=502):
    """A remote triple store that does not answer, or whose answer cannot be read."""


class ServerUnavailable(ItukgError, title="Server unavailable", status=502):
    """A server of ours that does not answer, or an address at which there is none."""


class NotReady(ItukgError, title="Service starting", status=503, wait=2):
    """The release is still loading; trying again helps."""


class TimeLimit(ItukgError, title="Time limit exceeded", status=504):
    """A query or a check that did not finish in its time."""


class DataError(ItukgError, title="Data error"):
    """A file of ours that cannot be read: the message names the file, the line and the reason."""


class AddressInUse(ItukgError, title="Cannot listen"):
    """The address and port to listen on are in use, or not there."""


class ReleaseDamaged(ItukgError, title="Release damaged", status=503):
    """A release with a file that is missing or changed: it is not used, and the message or the log names the file."""


class DoesNotConform(ItukgError, title="The data does not conform to the shapes", exit_code=1):
    """Data with violations: it is not published."""


class NotSupported(ItukgError, title="Not supported", status=501, exit_code=3):
    """Something that needs a part that is not installed, or that this software does not do."""


def from_problem(problem: Mapping[str, object]) -> ItukgError:
    """Return the error that a problem tells of: of the same class, with the same message and extras.

    One whose type no class of ours has is an ItukgError.
    """
    kind = str(problem.get("type")).rpartition("/")[2]
    message = str(problem.get("detail") or problem.get("title"))
    for each in _family(ItukgError):
        error = each.__new__(each, message)  # classes are made in several ways; what their objects hold is the same
        if error.problem_type == kind:
            vars(error).update({name: value for name, value in problem.items() if name not in _STANDARD})
            return error
    return ItukgError(message)


_STANDARD = ("type", "title", "status", "detail", "instance")


def _family(error: type[ItukgError]) -> Iterator[type[ItukgError]]:
    for each in error.__subclasses__():
        yield each
        yield from _family(each)
