"""A queue that serves its clients in turn, however many requests each of them sends."""

import asyncio
from collections import OrderedDict, deque
from time import monotonic
from typing import Generic, TypeVar

from itukg.errors import ItukgError, Overloaded, TimeLimit

T = TypeVar("T")


class Turn(Generic[T]):
    """A request of a client that waits for an item, until the deadline (of the monotonic clock).

    `question` is for an item that is asked before it is handed over, and `number` what that answers to.
    """

    __slots__ = ("_deadline", "_future", "client", "number", "question")

    def __init__(self, client: str, deadline: float, question: bytes = b"") -> None:
        self.client, self._deadline, self.question, self.number = client, deadline, question, 0
        self._future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    async def item(self) -> T:
        """Wait for the item; raises TimeLimit when the deadline passes first."""
        timer = asyncio.get_running_loop().call_later(max(0.0, self._deadline - monotonic()), self._give_up)
        try:
            return await self._future
        finally:
            timer.cancel()

    def give(self, item: T) -> None:
        """Hand over the item."""
        self._future.set_result(item)

    def refuse(self, error: ItukgError) -> None:
        """Tell whoever waits that there is nothing to wait for."""
        if not self._future.done():
            self._future.set_exception(error)

    def given(self) -> T | None:
        """Return the item that was handed over, if one was."""
        done = self._future.done() and not self._future.cancelled() and self._future.exception() is None
        return self._future.result() if done else None

    def is_over(self) -> bool:
        """Tell whether nobody waits any more."""
        return self._future.done()

    def _give_up(self) -> None:
        self.refuse(TimeLimit("The request waited for its turn until its time was over. Try again later."))


class FairQueue(Generic[T]):
    """Hands out items, such as idle workers; whoever finds none waits, and the clients that wait take turns."""

    def __init__(self, waiting: int, per_client: int) -> None:
        """Let `waiting` requests wait in all, and `per_client` of one client."""
        self._waiting_limit, self._client_limit = waiting, per_client
        self._items: deque[T] = deque()
        self._waiting: OrderedDict[str, deque[Turn[T]]] = OrderedDict()

    def waiting(self) -> int:
        """Return how many requests wait."""
        return sum(map(len, self._waiting.values()))

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
        turn: Turn[T] = Turn(client, deadline)
        self._line_up(turn)
        try:
            return await turn.item()
        except BaseException:
            if (item := turn.given()) is not None:
                self.put(item)  # handed over just as the request was given up
            raise
        finally:
            self._leave(turn)

    def _line_up(self, turn: Turn[T]) -> None:
        line = self._waiting.get(turn.client, ())
        if len(line) >= self._client_limit:
            raise Overloaded(f"{len(line)} requests of yours are waiting already. Send the next when one is answered.")
        if self.waiting() >= self._waiting_limit:
            raise Overloaded(f"{self._waiting_limit} requests are waiting already. Try again in a few seconds.")
        self._waiting.setdefault(turn.client, deque()).append(turn)

    def _leave(self, turn: Turn[T]) -> None:
        line = self._waiting.get(turn.client)
        if line is not None and turn in line:
            line.remove(turn)
            if not line:
                del self._waiting[turn.client]

    def put(self, item: T) -> None:
        """Give an item to whoever is next, or keep it."""
        turn = self._next()
        if turn is None:
            self._items.append(item)
        else:
            turn.give(item)

    def _next(self) -> Turn[T] | None:
        """Take who is next out of the line; None when nobody waits."""
        while self._waiting:
            client, line = next(iter(self._waiting.items()))
            turn = line.popleft()
            if line:
                self._waiting.move_to_end(client)
            else:
                del self._waiting[client]
            if not turn.is_over():
                return turn
        return None

    def discard(self, item: T) -> bool:
        """Take an item out, and tell whether it was there."""
        if item not in self._items:
            return False
        self._items.remove(item)
        return True


class Places(FairQueue[bool]):
    """So many places, which are taken and put back."""

    def __init__(self, number: int, waiting: int, per_client: int) -> None:
        """As FairQueue."""
        super().__init__(waiting, per_client)
        for _ in range(number):
            self.put(True)
