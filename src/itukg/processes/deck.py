"""Workers that answer questions in turn, and have the next one on deck while they are at work."""

import asyncio
from collections import deque
from collections.abc import Callable
from itertools import chain
from time import monotonic

from itukg.errors import DataError
from itukg.processes.fair import FairQueue, Turn
from itukg.processes.pool import Worker
from itukg.processes.worker import SHORT

STUCK = 0.005
"""Seconds after which a question on deck goes to whichever worker is done first."""


class Deck(FairQueue[Worker]):
    """A fair queue of workers, each of which is handed over when it has been asked a question, and has got to it.

    Where no worker is idle, whoever is next has the question sent to one at work, which goes on with it without being woken:
    that takes about as long as to answer a cheap one. It is taken back when another worker is done before.
    """

    def __init__(self, waiting: int, per_client: int, *, drop: Callable[[Worker], None]) -> None:
        """As FairQueue; `drop` ends one at work for nobody."""
        super().__init__(waiting, per_client)
        self._drop = drop
        self._free: dict[Worker, None] = {}
        """Those at work with nothing on deck; while there are any, nobody is in the line whose question is short."""
        self._laid: dict[Worker, tuple[float, Turn[Worker]]] = {}
        """What is on deck since when, the oldest first."""
        self._again: asyncio.TimerHandle | None = None
        """When a worker that is idle is to look for what is on deck once more."""

    async def ask(self, question: bytes, client: str, deadline: float) -> tuple[Worker, int]:
        """Return a worker that has come to `question`, and the number that it answers to; raises as `get` does."""
        worker = self.get_nowait()
        if worker is not None:
            number = worker.ask(question)
            self._free[worker] = None
            return worker, number
        turn: Turn[Worker] = Turn(client, deadline, question)
        if self._free and len(question) <= SHORT:
            self._lay(turn, self._free.popitem()[0])
        else:
            self._line_up(turn)
        try:
            return await turn.item(), turn.number
        except BaseException:
            self._give_up(turn)
            raise

    def put(self, worker: Worker) -> None:
        """Take a worker that is done, or a fresh one: it goes on with what is on its deck, or is asked what is next."""
        self._free.pop(worker, None)
        _, turn = self._laid.pop(worker, (0.0, None))
        if turn is None:
            if worker.is_gone():  # it died after its answer, when it was not idle yet
                self._drop(worker)
                return
            turn = self._taken_back() or self._next()
            if turn is None:
                self._keep(worker)
                return
            turn.number = worker.ask(turn.question)
        if turn.is_over():  # it was given up when it had been begun
            self._drop(worker)
        else:
            turn.give(worker)
            self._offer(worker)

    def _keep(self, worker: Worker) -> None:
        self._items.append(worker)
        if self._laid and self._again is None:  # what is there lies behind a question that has not been taken either
            self._again = asyncio.get_running_loop().call_later(STUCK, self._look_again)

    def _look_again(self) -> None:
        self._again = None
        if self._items:
            self.put(self._items.pop())

    def leave(self, worker: Worker) -> bool:
        """Let a worker go that is not done; what is on its deck goes to another. Tell whether it has not begun that."""
        self._free.pop(worker, None)
        if worker not in self._laid:
            return True
        taken_back = worker.take_back()
        _, turn = self._laid.pop(worker)
        if not turn.is_over():
            self._place(turn)
        return taken_back

    def waiting(self) -> int:
        """Return how many questions wait, on deck too."""
        return super().waiting() + len(self._laid)

    def close(self) -> None:
        """Refuse all who wait: no worker comes any more."""
        for turn in (*chain.from_iterable(self._waiting.values()), *(turn for _, turn in self._laid.values())):
            turn.refuse(DataError("The store is closed."))

    def _place(self, turn: Turn[Worker]) -> None:
        if (worker := self.get_nowait()) is not None:
            turn.number = worker.ask(turn.question)
            turn.give(worker)
            self._free[worker] = None
        elif self._free:
            self._lay(turn, self._free.popitem()[0])
        else:
            self._return(turn)

    def _lay(self, turn: Turn[Worker], worker: Worker) -> None:
        self._laid[worker] = monotonic(), turn
        turn.number = worker.ask(turn.question)

    def _return(self, turn: Turn[Worker]) -> None:
        """Put a turn before all that wait."""
        self._waiting.setdefault(turn.client, deque()).appendleft(turn)
        self._waiting.move_to_end(turn.client, last=False)

    def _offer(self, worker: Worker) -> None:
        turn = self._taken_back(STUCK) or self._next()
        if turn is None:
            self._free[worker] = None
        elif len(turn.question) <= SHORT:
            self._lay(turn, worker)
        else:  # it is the worker's next: nothing is laid before it
            self._return(turn)

    def _taken_back(self, after: float = 0.0) -> Turn[Worker] | None:
        """Take back what has been on deck longest, and for `after` seconds."""
        for worker, (since, turn) in self._laid.items():
            if monotonic() - since < after:
                break
            if not turn.is_over() and worker.take_back():
                del self._laid[worker]
                return turn
        return None

    def _give_up(self, turn: Turn[Worker]) -> None:
        if (worker := turn.given()) is not None:
            self._drop(worker)
            return
        worker = next((worker for worker, (_, laid) in self._laid.items() if laid is turn), None)
        if worker is None:
            self._leave(turn)
        elif worker.take_back():
            del self._laid[worker]
            self._offer(worker)
