"""The log: one line for each event and each request, as text or JSON, in which nothing from outside makes a line of its own.

By the standard library: structlog would add a dependency, and time to each request, for what one formatter does.
"""

import asyncio
import json
import logging
import re
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from secrets import token_hex
from time import perf_counter, time
from typing import Any, Literal

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from itukg.engine.store import CLIENT
from itukg.web.metrics import Metrics
from itukg.web.requests import client_in

log = logging.getLogger("itukg")

HEADER = b"x-request-id"
FLUSH_SECONDS = 0.1
"""Seconds after which the lines of requests are written."""
Form = Literal["text", "json"]
Level = Literal["info", "warning", "error"]
_REQUEST = ContextVar("request", default="")
"""The id of the request that is being answered."""
_IDENTIFIER = re.compile(rb"[\w.:-]{1,64}", re.ASCII)


class Formatter(logging.Formatter):
    """Writes an event as a line of text or of JSON, with the id of the request in which it happened."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        self._write = self._json if form == "json" else self._text

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; of text with a traceback several, of which all but the first are indented."""
        fields: dict[str, object] = {"message": record.getMessage(), "request": _REQUEST.get()}
        traceback = self.formatException(record.exc_info) if record.exc_info else ""
        return self.line(record.created, record.levelname.lower(), fields, traceback)

    def line(self, at: float, level: str, fields: dict[str, object], traceback: str = "") -> str:
        """Return the line of an event at a time in seconds since 1970."""
        moment = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return self._write(moment, level, fields, traceback)

    def _json(self, moment: str, level: str, fields: dict[str, object], traceback: str) -> str:
        more = {"traceback": traceback} if traceback else {}
        return json.dumps({"time": moment, "level": level, **fields, **more})

    def _text(self, moment: str, level: str, fields: dict[str, object], traceback: str) -> str:
        shown = " ".join("-" if each is None else str(each) for each in fields.values() if each != "")
        lines = (f"{moment} {level} {shown}", *(f"    {line}" for line in traceback.split("\n") if line))
        return "\n".join(map(printable, lines))


def printable(text: str) -> str:
    """Return a text on one line, with escapes for what would end the line or steer a terminal."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def configure(form: Form, level: Level) -> None:
    """Write to standard error what this program and its server log, of libraries what is a warning, and at `info` each request."""
    formatter = Formatter(form)
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for name in ("itukg", "uvicorn"):
        logging.getLogger(name).setLevel(level.upper())
    _requests.formatter = formatter if level == "info" else None


class _Requests:
    """The requests that were answered since the last were written: so that no answer waits until its line is."""

    formatter: Formatter | None = None
    """Writes their lines; None where requests are not logged."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, dict[str, object]]] = []

    def add(self, fields: dict[str, object]) -> None:
        """Log a request."""
        if not self._waiting:
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)
        self._waiting.append((time(), fields))

    def flush(self) -> None:
        """Write the lines."""
        if self.formatter is not None and self._waiting:
            sys.stderr.write("".join(f"{self.formatter.line(at, 'info', each)}\n" for at, each in self._waiting))
            sys.stderr.flush()
        self._waiting.clear()


_requests = _Requests()


def flush() -> None:
    """Write the lines of requests that wait to be written."""
    _requests.flush()


def log_request(
    scope: Mapping[str, Any], status: int | None, *, seconds: float = 0.0, release: str = "", identifier: str = ""
) -> None:
    """Log a request and its answer; None is the status where the client left before it."""
    if _requests.formatter is None:
        return
    client = scope.get("client")
    _requests.add(
        {
            "client": client[0] if client else None,
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "seconds": round(seconds, 6),
            "release": release,
            "request": identifier,
        }
    )


class RequestLog:
    """Logs and counts each request of a release's application, and notes whose it is; the answer has the request's id, the client's or a new one."""

    def __init__(self, app: ASGIApp, *, release: str, metrics: Metrics) -> None:
        self.app, self.release, self.metrics = app, release, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request by the application, then log it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope.setdefault("state", {})
        given = next((value for name, value in scope["headers"] if name == HEADER), b"")
        identifier = given if _IDENTIFIER.fullmatch(given) else token_hex(8).encode()
        _REQUEST.set(identifier.decode())
        CLIENT.set(client_in(scope))
        started, status = perf_counter(), None

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message["headers"], (HEADER, identifier)]}
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        finally:
            if status is not None:
                self.metrics.answered(status)
            named = scope["state"].get("release")
            log_request(
                scope,
                status,
                seconds=perf_counter() - started,
                release=named.name if named else self.release,
                identifier=identifier.decode(),
            )


def current_request() -> str:
    """Return the id of the request that is being answered; empty outside of one."""
    return _REQUEST.get()
