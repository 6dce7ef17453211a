"""Two lanes of worker processes that can be killed: for questions that are answered at once, and for those that take long.

A question starts in the quick lane, on one of `workers` processes, each of which may have the next on its deck. What has no
answer after PATIENCE moves to the slow lane, which runs `slow` queries at a time beside the quick ones, and at a lower
priority once another one comes; if that is full, it is stopped, waits its turn and begins anew. So no question,
however heavy, keeps another from a worker for longer than LONGEST. Workers are forked, in some milliseconds, from a process
that has loaded what they work on. What they read there is copied first where references are counted in it: a worker that has
read much is quicker than a fresh one, and goes back into the quick lane if its priority was not lowered, which is for ever.
"""

import asyncio
import logging
from collections import Counter
from functools import partial
from math import inf
from time import monotonic

from itukg.errors import DataError, MemoryLimit, Overloaded
from itukg.processes.deck import Deck
from itukg.processes.fair import Places
from itukg.processes.pool import HELD, Pool, Run, Worker
from itukg.settings import Settings

PATIENCE = 0.15
"""Seconds of processor time that a question may take in the quick lane."""
LONGEST = 5 * PATIENCE
"""Seconds on the clock that it may take there, however little processor time it gets."""
SENDERS = 4
"""How many times as many large answers as there are places in the slow lane are sent at once; to one client, as many."""
AGAIN = 1.0
"""Seconds after which a worker that could not be started is tried again."""

log = logging.getLogger("itukg")


class Lanes:
    """Workers of one kind, as many as the settings say, which clients share in turn."""

    def __init__(self, module: str, what: str, settings: Settings) -> None:
        """Have `python -m module what` load what the workers work on."""
        self.pool = Pool(module, what, settings.memory)
        self.quick = Deck(settings.queue, settings.queue_client, drop=self.drop)
        self.slow = Places(settings.slow, settings.queue, settings.queue_client)
        self._forking: set[asyncio.Task[None]] = set()
        self._workers = settings.workers
        self._quick_workers: set[Worker] = set()
        """Those of the quick lane, idle or at work; as many as there are to be, but for those that are being forked."""
        self.sending: Counter[str] = Counter()
        """How many answers are sent to each client piece by piece, as it reads."""
        self._most_sent = settings.slow
        self._unhurried: set[Worker] = set()
        """Those of the slow lane whose priority is still that of the others."""

    async def start(self) -> None:
        """Start the workers. Raises DataError where what they work on cannot be loaded."""
        self.pool.start()
        try:
            await asyncio.gather(*(self._hire() for _ in range(self._workers)))
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End the workers and the process that they came from."""
        for task in self._forking:
            task.cancel()
        self.quick.close()
        await self.pool.close()

    async def ask(
        self, question: bytes, *, deadline: float = inf, client: str = "", network: bool = False
    ) -> tuple[Run, float]:
        """Return the answer of a worker, and the seconds that it took; one of its own, with the network, where that is asked for.

        Raises what the worker does, TimeLimit, MemoryLimit and Overloaded.
        """
        run = _Run(self, question, deadline, client)
        try:
            seconds = await (run.slowly(network=True) if network else run.quickly())
        except BaseException:
            await run.aclose()
            raise
        return run, seconds

    def size(self) -> dict[str, int]:
        """Return how many workers there are, and how many questions wait for the quick and the slow lane."""
        waiting = {"waiting for the quick lane": self.quick.waiting(), "waiting for the slow lane": self.slow.waiting()}
        return {"workers": len(self.pool.alive), **waiting}

    def begin_sending(self, client: str) -> None:
        """Count an answer that is sent as its client reads, and takes no place in a lane. Raises Overloaded."""
        if self.sending[client] >= self._most_sent or self.sending.total() >= SENDERS * self._most_sent:
            whose = "to you" if self.sending[client] else "to others"
            raise Overloaded(
                f"Large answers are being sent {whose}. Ask again when one has been read, or ask for less."
            )
        self.sending[client] += 1

    def end_sending(self, client: str) -> None:
        """Count one less."""
        self.sending[client] -= 1
        if not self.sending[client]:
            del self.sending[client]

    # --- workers ---

    async def _hire(self) -> None:
        worker = await self.pool.fork()
        worker.on_loss = partial(self._lost, worker)
        if len(self._quick_workers) < self._workers:
            self._quick_workers.add(worker)
            self.quick.put(worker)
        else:  # one has come back meanwhile
            self.pool.dismiss(worker)

    def make_way(self) -> None:
        """Lower the priority of what is in the slow lane: somebody else asks."""
        for worker in self._unhurried:
            worker.lower_priority()
        self._unhurried.clear()

    def move(self, worker: Worker) -> None:
        """Take a worker from the quick lane into the slow one."""
        if self.quick.leave(worker):  # else its next answer is another's, and it is of no further use
            self._unhurried.add(worker)
        else:
            worker.lower_priority()
        self._replace(worker)

    def done(self, worker: Worker) -> None:
        """Take a worker that is done with its question, and well: it stays in the quick lane, or comes back to it, or ends."""
        if worker in self._quick_workers:
            self.quick.put(worker)
        elif not self._taken_back(worker):
            self.drop(worker)

    def drop(self, worker: Worker) -> None:
        """End a worker; in the quick lane a fresh one takes its place."""
        self._unhurried.discard(worker)
        self.pool.dismiss(worker)
        if worker in self._quick_workers:
            self._replace(worker)
        self.quick.leave(worker)

    def _taken_back(self, worker: Worker) -> bool:
        """Take a worker from the slow lane back into the quick one, in the place of a fresh one; tell whether that can be."""
        if worker not in self._unhurried:
            return False
        self._unhurried.discard(worker)
        if len(self._quick_workers) >= self._workers:
            fresh = self.quick.get_nowait()
            if fresh is None:
                return False
            self._quick_workers.discard(fresh)
            self.pool.dismiss(fresh)
        self._quick_workers.add(worker)
        self.quick.put(worker)
        return True

    def _replace(self, worker: Worker) -> None:
        """Put a fresh worker into the quick lane, which `worker` has left."""
        self._quick_workers.discard(worker)
        task = asyncio.get_running_loop().create_task(self._hire_at_last())
        self._forking.add(task)
        task.add_done_callback(self._forking.discard)

    async def _hire_at_last(self) -> None:
        while not self.pool.closed:
            try:
                await self._hire()
            except (DataError, OSError) as error:  # for want of memory or handles, which may pass
                log.error("No worker could be started, which is tried again: %s", error)  # noqa: TRY400
                await asyncio.sleep(AGAIN)
            else:
                return

    def _lost(self, worker: Worker) -> None:
        if self.quick.discard(worker):  # else whoever asked it notices
            self.drop(worker)


class _Run(Run):
    """One question on its way through the lanes; afterwards the rest of its answer, in pieces."""

    ENDED = (
        "The query ended its process: it needs more than {memory} MB of memory, or more stack than there is. "
        "Ask for less, or in parts."
    )
    LATE = "No answer within {seconds:.2g} s. Ask for less, or bind more of the pattern."

    def __init__(self, lanes: Lanes, question: bytes, deadline: float, client: str) -> None:
        super().__init__(lanes.pool, lanes.slow, question, deadline, client)
        self._lanes = lanes
        self._is_sent = False

    async def quickly(self) -> float:
        """Collect the answer in the quick lane, and go on in the slow one if it takes longer; return the seconds."""
        self._lanes.make_way()
        self._worker, self._number = await self._lanes.quick.ask(self._question, self._client, self._deadline)
        try:
            seconds = await self._patiently(self._worker)
        except MemoryLimit:  # or the worker was ended from outside: a second one tells
            return await self._anew()
        if seconds is not None:
            return seconds
        worker, self._worker = self._worker, None
        if not self._lanes.slow.get_nowait():
            self._lanes.drop(worker)
            return await self._anew()
        self._lanes.move(worker)
        self._has_place = True
        return await self._go_on(worker)

    async def _patiently(self, worker: Worker) -> float | None:
        """Collect until the worker has used PATIENCE of processor time: on a busy machine that takes longer."""
        longest = min(monotonic() + LONGEST, self._deadline)
        left = PATIENCE
        while left > PATIENCE / 10 and self._size <= HELD and monotonic() < longest:
            if (seconds := await self._collect(min(monotonic() + left, longest))) is not None:
                return seconds
            left = PATIENCE - (worker.used() - worker.before)
        return None

    async def _anew(self) -> float:
        self._pieces.clear()
        self._size, self._ended = 0, False
        return await self.slowly()

    async def _go_on(self, worker: Worker) -> float:
        seconds = await super()._go_on(worker)
        if not self._ended:  # the client reads as fast as it likes, for which nobody else shall wait
            self._lanes.begin_sending(self._client)
            self._is_sent = True
            self._leave_lane()
        return seconds

    def _give_back(self, worker: Worker, used: float | None) -> None:
        if used is None:
            self._lanes.drop(worker)
        else:
            worker.before = used
            self._lanes.done(worker)

    def end(self, used: float | None = None) -> None:
        """Give back the worker, which stays in the quick lane if it is well, and the place in the slow one or among the senders."""
        super().end(used)
        if self._is_sent:
            self._is_sent = False
            self._lanes.end_sending(self._client)
