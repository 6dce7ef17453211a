"""Queues in which clients take turns, however many requests each sends."""

import asyncio
import contextlib
from collections import Counter, OrderedDict, deque
from math import inf
from time import monotonic
from typing import Generic, TypeVar

from itukg.errors import DataError, Overloaded

T = TypeVar("T")
_CLOSED = "The store is closed."


class FairQueue(Generic[T]):
    """A bounded queue of free items; clients that wait for one take turns, however many requests each sends."""

    def __init__(self, waiting: int, per_client: int, share: float = inf) -> None:
        """Let up to `waiting` requests wait in all, `per_client` of one client, and give one client up to `share` items at once."""
        self._limit, self._per_client, self._share = waiting, per_client, share
        self._free: list[T] = []
        self._taken: Counter[str] = Counter()
        """How many items each client has."""
        self._is_closed = False
        self._waiting: OrderedDict[str, deque[asyncio.Future[T]]] = OrderedDict()

    def waiting(self) -> int:
        """Return how many requests wait."""
        return sum(map(len, self._waiting.values()))

    def get_nowait(self, client: str) -> T | None:
        """Return the most recently used free item, or None where there is none or `client` has its share."""
        if not self._free or self._taken[client] >= self._share:
            return None
        self._taken[client] += 1
        return self._free.pop()

    async def get(self, client: str, deadline: float, *, again: bool = False) -> T:
        """Return an item when it is the turn of `client`, which gives it back by `put` or `give_up`.

        Raises Overloaded where the queue, or the client's share of it, is full, but not for a request that waits `again`, having
        given its item back for others; Overloaded too where `deadline` of the monotonic clock passes first; DataError once the
        queue is closed.
        """
        if self._is_closed:
            raise DataError(_CLOSED)
        if (item := self.get_nowait(client)) is not None:
            return item
        own = self._waiting.get(client, ())
        if len(own) >= self._per_client and not again:
            raise Overloaded(f"{len(own)} of your requests are already waiting. Send the next when one is answered.")
        if self.waiting() >= self._limit and not again:
            raise Overloaded(f"{self._limit} requests are already waiting. Try again in a few seconds.")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append(future)
        try:
            async with asyncio.timeout(None if deadline == inf else max(0.0, deadline - monotonic())):
                return await future
        except BaseException as error:
            if future.done() and not future.cancelled() and future.exception() is None:
                self.put(future.result(), client)  # it arrived just as the request was cancelled
            if isinstance(error, TimeoutError):
                raise Overloaded("The request's time ran out while it waited for its turn. Try again later.") from None
            raise
        finally:
            self._forget(client, future)

    def put(self, item: T, client: str | None = None) -> None:
        """Give an item, which `client` had if one did, to the client whose turn it is, or add it to the free ones."""
        self._free.append(item)
        self.give_up(client)

    def give_up(self, client: str | None) -> None:
        """Count an item of `client` no more: it came back, or another takes its place."""
        if client is not None:
            self._taken[client] -= 1
            if not self._taken[client]:
                del self._taken[client]
        while self._free and (client := self._next()) is not None:
            futures = self._waiting.pop(client)
            future = futures.popleft()
            if futures:
                self._waiting[client] = futures  # behind the others
            if not future.done():
                self._taken[client] += 1
                future.set_result(self._free.pop())

    def _next(self) -> str | None:
        return next((client for client in self._waiting if self._taken[client] < self._share), None)

    def discard(self, item: T) -> bool:
        """Remove an item, and return whether it was free."""
        if item not in self._free:
            return False
        self._free.remove(item)
        return True

    def close(self) -> None:
        """Refuse all waiting and future requests."""
        self._is_closed = True
        self._free.clear()
        for futures in self._waiting.values():
            for future in futures:
                if not future.done():
                    future.set_exception(DataError(_CLOSED))

    def _forget(self, client: str, future: asyncio.Future[T]) -> None:
        futures = self._waiting.get(client, deque())
        with contextlib.suppress(ValueError):
            futures.remove(future)
        if not futures:
            self._waiting.pop(client, None)


class Slots(FairQueue[bool]):
    """A fixed number of slots, to take and to put back."""

    def __init__(self, number: int, waiting: int, per_client: int, share: float = inf) -> None:
        """As FairQueue."""
        super().__init__(waiting, per_client, share)
        for _ in range(number):
            self.put(True)
