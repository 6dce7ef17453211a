"""Queues in which clients take turns, however many requests each sends."""

import asyncio
import contextlib
from collections import OrderedDict, deque
from math import inf
from time import monotonic
from typing import Generic, TypeVar

from itukg.errors import DataError, Overloaded, TimeLimit

T = TypeVar("T")
_CLOSED = "The store is closed."


class FairQueue(Generic[T]):
    """A bounded queue of free items; clients that wait for one take turns, however many requests each sends."""

    def __init__(self, waiting: int, per_client: int) -> None:
        """Let up to `waiting` requests wait in all, and `per_client` of one client."""
        self._limit, self._per_client = waiting, per_client
        self._free: list[T] = []
        self._is_closed = False
        self._waiting: OrderedDict[str, deque[asyncio.Future[T]]] = OrderedDict()

    def waiting(self) -> int:
        """Return how many requests wait."""
        return sum(map(len, self._waiting.values()))

    def get_nowait(self) -> T | None:
        """Return the most recently used free item, or None."""
        return self._free.pop() if self._free else None

    async def get(self, client: str, deadline: float, *, again: bool = False) -> T:
        """Return an item when it is the turn of `client`.

        Raises Overloaded where the queue, or the client's share of it, is full, but not for a request that waits `again`, having
        given its item back for others; TimeLimit where `deadline` of the monotonic clock passes first; DataError once the queue
        is closed.
        """
        if self._is_closed:
            raise DataError(_CLOSED)
        if self._free:
            return self._free.pop()
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
                self.put(future.result())  # it arrived just as the request was cancelled
            if isinstance(error, TimeoutError):
                raise TimeLimit("The request's time ran out while it waited for its turn. Try again later.") from None
            raise
        finally:
            self._forget(client, future)

    def put(self, item: T) -> None:
        """Give an item to the client whose turn it is, or add it to the free ones."""
        while self._waiting:
            client, futures = self._waiting.popitem(last=False)
            future = futures.popleft()
            if futures:
                self._waiting[client] = futures
            if not future.done():
                future.set_result(item)
                return
        self._free.append(item)

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

    def __init__(self, number: int, waiting: int, per_client: int) -> None:
        """As FairQueue."""
        super().__init__(waiting, per_client)
        for _ in range(number):
            self.put(True)
