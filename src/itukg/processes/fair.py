"""A queue that serves its clients in turn, however many requests each of them sends."""

import asyncio
from collections import OrderedDict, deque
from time import monotonic
from typing import Any, Generic, TypeVar

from itukg.errors import Overloaded, TimeLimit

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Hands out items, such as idle workers; whoever finds none waits, and the clients that wait take turns."""

    def __init__(self, waiting: int, per_client: int) -> None:
        """Let `waiting` requests wait in all, and `per_client` of one client."""
        self._waiting_limit, self._client_limit = waiting, per_client
        self._items: deque[T] = deque()
        self._waiting: OrderedDict[str, deque[asyncio.Future[T]]] = OrderedDict()

    def waiting(self) -> int:
        """Return how many requests wait."""
        return sum(len(line) for line in self._waiting.values())

    def idle(self) -> int:
        """Return how many items are left."""
        return len(self._items)

    def get_nowait(self) -> T | None:
        """Return an item, or None when there is none."""
        return self._items.pop() if self._items else None

    async def get(self, client: str, deadline: float) -> T:
        """Return an item as soon as it is the turn of `client`.

        Raises Overloaded when the queue, or the client's part of it, is full, and TimeLimit when `deadline`
        (of the monotonic clock) passes first.
        """
        if self._items:
            return self._items.pop()
        line = self._waiting.setdefault(client, deque())
        if len(line) >= self._client_limit:
            raise Overloaded(f"{len(line)} requests of yours are waiting already. Send the next when one is answered.")
        if self.waiting() >= self._waiting_limit:
            raise Overloaded(f"{self._waiting_limit} requests are waiting already. Try again in a few seconds.")
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[T] = loop.create_future()
        timer = loop.call_later(max(0.0, deadline - monotonic()), _give_up, turn)
        line.append(turn)
        try:
            return await turn
        except BaseException:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.put(turn.result())  # handed over just as the request was given up
            raise
        finally:
            timer.cancel()
            if turn in line:
                line.remove(turn)
            if not line and self._waiting.get(client) is line:
                del self._waiting[client]

    def put(self, item: T) -> None:
        """Give an item to whoever is next, or keep it."""
        while self._waiting:
            client, line = next(iter(self._waiting.items()))
            turn = line.popleft() if line else None
            if line:
                self._waiting.move_to_end(client)
            else:
                del self._waiting[client]
            if turn is not None and not turn.done():
                turn.set_result(item)
                return
        self._items.append(item)

    def discard(self, item: T) -> bool:
        """Take an item out, and tell whether it was there."""
        if item not in self._items:
            return False
        self._items.remove(item)
        return True


def _give_up(turn: "asyncio.Future[Any]") -> None:
    if not turn.done():
        turn.set_exception(TimeLimit("The request waited for its turn until its time was over. Try again later."))
