"""The curator's page for a file of proposals: one candidate at a time, on this machine only."""

import secrets
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from itukg.errors import BadRequest, DataError, ItukgError, NotFound, TooLarge
from itukg.formats import HTML
from itukg.pages import render
from itukg.pages.assets import PREFIX, assets
from itukg.proposals.background import Facts
from itukg.proposals.decide import ORDERS, Decisions, name_of
from itukg.release.proposals import OPEN, STATES, Row, iri_of

LOOPBACK = "127.0.0.1"
MAX_FORM = 20_000
"""Bytes of a form: a comment is a sentence or two."""
LISTED = 100
"""Candidates on a page of the list."""
HEADERS = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
)  # fmt: skip
"""Headers of every answer: a page runs and fetches only what stands here, and no other site may show it."""


@dataclass(frozen=True)
class View:
    """Which candidates are shown, and in which order, as the address says."""

    state: str
    order: str

    @classmethod
    def of(cls, given: dict[str, str]) -> "View":
        """Read it from a query or form. Raises BadRequest for a state or order that is none."""
        state, order = given.get("state", OPEN), given.get("order", ORDERS[0])
        if state not in ("all", *STATES) or order not in ORDERS:
            raise BadRequest(f"Known states: all, {', '.join(STATES)}; known orders: {', '.join(ORDERS)}.")
        return cls(state, order)

    def rows(self, decisions: Decisions) -> list[Row]:
        """Return the candidates."""
        return decisions.candidates("" if self.state == "all" else self.state, self.order)

    def address(self, path: str = "/", **other: object) -> str:
        """Return the address of a page with these candidates."""
        changed = {"state": self.state, "order": self.order} | other
        return f"{path}?{urlencode({name: value for name, value in changed.items() if value})}"


@dataclass(frozen=True)
class Triage:
    """The pages over a file that is being decided; `token` is what the forms of these pages have, and no other site knows."""

    decisions: Decisions
    facts: Facts
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    def app(self, port: int) -> ASGIApp:
        """Return the application that answers on this port of the loopback interface."""
        routes = [
            Route("/", self._answering(self._candidate)),
            Route("/list", self._answering(self._list)),
            Route("/decide", self._answering(self._decide), methods=["POST"]),
            Route("/undo", self._answering(self._undo), methods=["POST"]),
            Route(f"{PREFIX}/{{digest}}/{{name}}", _asset),
        ]
        return Guard(Starlette(routes=routes), port)

    def _answering(
        self, page: Callable[[dict[str, str]], Response]
    ) -> Callable[[Request], Coroutine[None, None, Response]]:
        """Return an endpoint: what a query or a form says goes to `page`, whose errors are pages too."""

        async def endpoint(request: Request) -> Response:
            given = dict(request.query_params)
            try:
                if request.method == "POST":
                    given = await self._form(request)
                else:
                    self.decisions.refresh()
                return page(given)
            except ItukgError as error:
                status = 409 if isinstance(error, DataError) else error.status  # who edits the file can mend it
                content = render(
                    "triage/stopped.html",
                    error=error,
                    comment=given.get("comment"),
                    **self._frame(View(OPEN, ORDERS[0])),
                )
                return Response(content, status, media_type=HTML.media_type)

        return endpoint

    async def _form(self, request: Request) -> dict[str, str]:
        """Return what a form of ours says. Raises BadRequest without its token."""
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > MAX_FORM:
                raise TooLarge(f"A form has at most {MAX_FORM} bytes; write a shorter comment.")
        given = dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
        if not secrets.compare_digest(given.get("token", "").encode(), self.token.encode()):
            raise BadRequest("This form is not of a page that is open here. Nothing was written: open the page again.")
        return given

    def _candidate(self, given: dict[str, str]) -> Response:
        view = View.of(given)
        rows = view.rows(self.decisions)
        row = self.decisions.named(given["at"]) if "at" in given else rows[0] if rows else None
        if row is None:
            return self._page("triage/done.html", view)
        around = [name_of(each) for each in rows]
        place = around.index(name_of(row)) if name_of(row) in around else None
        ends = (row["subject_id"], row["predicate_id"])
        return self._page(
            "triage/candidate.html",
            view,
            row=row,
            name=name_of(row),
            number=None if place is None else place + 1,
            total=len(rows),
            before=around[place - 1] if place else None,
            after=around[place + 1] if place is not None and place + 1 < len(around) else None,
            subject=self.facts.of(iri_of(row["subject_id"])),
            object=self.facts.of(iri_of(row["object_id"])),
            predicate=_lowered(self.facts.term(iri_of(row["predicate_id"]))),
            beside=[
                (name_of(r), r) for r in self.decisions.candidates() if (r["subject_id"], r["predicate_id"]) == ends
            ],
        )

    def _list(self, given: dict[str, str]) -> Response:
        view = View.of(given)
        rows = view.rows(self.decisions)
        text = given.get("page", "1")
        number = int(text) if text.isdecimal() and text.isascii() and len(text) < len(str(MAX_FORM)) else 0
        last = max(1, -(-len(rows) // LISTED))
        if not 1 <= number <= last:
            raise NotFound(f"No page {text[:20]}: the list has {last}.")
        shown = [(name_of(row), row, _lowered(self.facts.term(iri_of(row["predicate_id"])))) for row in rows]
        page = shown[(number - 1) * LISTED : number * LISTED]
        return self._page("triage/list.html", view, rows=page, total=len(rows), number=number, last=last)

    def _decide(self, given: dict[str, str]) -> Response:
        view = View.of({"state": given.get("shown", OPEN), "order": given.get("order", ORDERS[0])})
        names = [name_of(row) for row in view.rows(self.decisions)]
        name = given.get("at", "")
        self.decisions.decide(name, given.get("decision", ""), given.get("comment", ""), given.get("version", ""))
        following = names[names.index(name) + 1 :] if name in names else []
        return RedirectResponse(view.address(at=following[0] if following else None), 303)

    def _undo(self, given: dict[str, str]) -> Response:
        view = View.of({"state": given.get("shown", OPEN), "order": given.get("order", ORDERS[0])})
        return RedirectResponse(view.address(at=self.decisions.undo(given.get("version", ""))), 303)

    def _page(self, template: str, view: View, **values: object) -> Response:
        return Response(render(template, **self._frame(view), **values), media_type=HTML.media_type)

    def _frame(self, view: View) -> dict[str, object]:
        """Return what each page shows."""
        return {"view": view, "decisions": self.decisions, "token": self.token, "states": STATES, "orders": ORDERS}


def _lowered(words: str) -> str:
    """Return what a link is called, within a sentence."""
    return words[:1].lower() + words[1:]


async def _asset(request: Request) -> Response:
    found = assets().get(request.path_params["name"])
    if found is None or found.address != request.url.path:
        return Response("No such file.", 404, media_type="text/plain")
    return Response(found.content, media_type=found.media_type)


class Guard:
    """Answers only requests that name this machine, so that no name of another site leads here, and none sent by another site's page."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        """Stand before `app`, which listens on `port`."""
        self.app = app
        self.hosts = {f"{host}:{port}".encode() for host in (LOOPBACK, "localhost")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            return
        headers = dict(scope["headers"])
        origin = headers.get(b"origin", b"")
        named = headers.get(b"host", b"").lower() in self.hosts
        if not named or (origin and origin.removeprefix(b"http://") not in self.hosts):
            app: ASGIApp = Response("Only pages of this machine are answered here.", 403, media_type="text/plain")
        else:
            app = self.app

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        await app(scope, receive, sending)
