"""How requests are sent, and how an answer that is an error is raised; wherever the graph is, they are the same."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx2

from itukg import __version__
from itukg.errors import BadRequest, ItukgError, ServerUnavailable, from_problem

CONNECT_SECONDS, ANSWER_SECONDS = 5.0, 120.0
"""Seconds in which a server must accept a connection, and send the next part of an answer."""

_READY = "/readyz"


@dataclass(frozen=True)
class Connection:
    """Sends requests to `where`, and raises what a server answers with as the error that it is."""

    where: str
    client: httpx2.Client
    close: Callable[[], None]

    def send(self, method: str, path: str, **request: Any) -> httpx2.Response:
        """Return the answer to a request, which is a 200. Raises the errors of the answer, and ServerUnavailable."""
        if self.client.is_closed:
            raise ValueError("The graph was closed; open it again: itukg.open()")
        try:
            response = self.client.request(method, path, **request)
        except httpx2.RequestError as error:
            said = str(error) or type(error).__name__
            raise ServerUnavailable(f"{self.where} does not answer: {said}. Is a server running there?") from None
        if response.is_success:
            return response
        raise self._error(response)

    def read(self, path: str, parameters: Mapping[str, str] | None = None, *, accept: str = "application/json") -> Any:
        """Return the JSON at an address, its fractions as Decimal, so that money adds up. Raises as `send` does."""
        response = self.send("GET", path, params=parameters, headers={"accept": accept})
        try:
            return json.loads(response.content, parse_float=Decimal)
        except ValueError:
            if path == _READY:
                raise self._stranger() from None
            said = response.headers.get("content-type", "nothing").partition(";")[0]
            raise BadRequest(f"{path} answers with {said}; leave out its suffix, and format.") from None

    def check(self) -> None:
        """Raise ServerUnavailable where there is no itukg, and NotReady while it is starting."""
        state = self.read(_READY)
        if not isinstance(state, dict) or "release" not in state:
            raise self._stranger("no release")

    def _error(self, response: httpx2.Response) -> ItukgError:
        if not response.headers.get("content-type", "").startswith("application/problem+json"):
            return self._stranger(f"status {response.status_code}")
        error = from_problem(response.json())
        if (seconds := response.headers.get("retry-after", "")).isdigit():
            error.wait = int(seconds)
        return error

    def _stranger(self, said: str = "no JSON") -> ServerUnavailable:
        return ServerUnavailable(f"{self.where} is no itukg: it answers with {said}. Name the address of one.")


def connect(address: str) -> Connection:
    """Return a connection with the server at an address. Raises ServerUnavailable where there is none of ours, and NotReady."""
    timeout = httpx2.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
    headers = {"user-agent": f"itukg/{__version__}"}
    client = httpx2.Client(base_url=address, timeout=timeout, headers=headers, follow_redirects=True)
    connection = Connection(address, client, client.close)
    try:
        connection.check()
    except BaseException:
        connection.close()
        raise
    return connection
