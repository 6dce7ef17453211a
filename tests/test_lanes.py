"""Random sequences on the lanes of the embedded store: processes are played, and the clock jumps to what happens next."""

import asyncio
import marshal
import random
import selectors
from collections import Counter
from pathlib import Path
from typing import cast

import pytest
from test_deck import LONG, Played

from itukg.errors import BadRequest, DataError, MemoryLimit, Overloaded, TimeLimit
from itukg.formats import CSV
from itukg.processes import deck, fair, lanes, pool
from itukg.processes.pool import Worker
from itukg.processes.worker import DATA, END, ERROR, HEAD, READY, pack_error
from itukg.settings import Settings
from itukg.store import Dataset, Query
from itukg.store.embedded import EmbeddedStore

SECONDS = {"quick": 0.001, "middle": 0.006, "heavy": 0.03, "large": 0.001, "wrong": 0.001, "crash": 0.001}
"""How long a process works on a question of each kind, at most."""
PATIENCE = 0.01
HELD = 1000
PIECES = 30


class Clock:
    now = 1000.0


class Jumping(selectors.SelectSelector):
    """Waits for nothing: it turns the clock on."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "everybody waits for ever"
        self._clock.now += max(timeout, 0.0) + 1e-6
        return super().select(0)


class Loop(asyncio.SelectorEventLoop):
    def __init__(self, clock: Clock) -> None:
        super().__init__(Jumping(clock))
        self._now = clock

    def time(self) -> float:
        return self._now.now


class Process(Played):
    """A worker with a process that is late at times, or dies; its frames come in pieces."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self._chance, self._busy = chance, 0.0
        self._reads = asyncio.Event()
        self._reads.set()
        self.data_received(HEAD.pack(READY, 0, 0, 0.0, 0.0))
        self.task = asyncio.create_task(self._work())

    def used(self) -> float:
        return self._busy

    def lower_priority(self) -> None:
        pass

    def abort(self) -> None:
        pass

    def pause_reading(self) -> None:
        self._reads.clear()

    def resume_reading(self) -> None:
        self._reads.set()

    def dies(self) -> None:
        self.task.cancel()
        asyncio.get_running_loop().call_soon(self.connection_lost, None)

    def closes(self) -> None:
        self.task.cancel()
        self.close()

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(0.0005 if self._chance.random() < 0.95 else PATIENCE * 3)
            if (question := self.takes()) is None:
                continue
            if not question:
                question = self.written.pop(0)
            name, kind = marshal.loads(question)[0].split()[:2]  # noqa: S302  (of ours)
            seconds = SECONDS[kind] * self._chance.random()
            for _ in range(10):  # which is seen meanwhile
                await asyncio.sleep(seconds / 10)
                self._busy += seconds / 10
            if kind == "crash":
                self.dies()
                return
            if kind == "wrong":
                await self._send(ERROR, pack_error(BadRequest(name)))
            else:
                for number in range(PIECES if kind == "large" else 0):
                    await self._send(DATA, f"{name} {number:99}\n".encode())
                await self._send(END, f"{name} end\n".encode(), seconds)

    async def _send(self, kind: bytes, content: bytes, seconds: float = 0.0) -> None:
        await self._reads.wait()
        frame = HEAD.pack(kind, self.number, len(content), seconds, self._busy) + content
        cut = self._chance.randrange(len(frame))
        self.data_received(frame[:cut])
        if self._chance.random() < 0.5:
            await asyncio.sleep(self._chance.random() * 0.001)
        self.data_received(frame[cut:])


class Processes:
    """In the place of a pool."""

    memory = 500_000_000

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.alive: dict[Worker, None] = {}
        self.closed = False

    def start(self) -> None:
        pass

    async def fork(self, *, network: bool = False, until: float = 0.0) -> Worker:  # noqa: ARG002  (the pool's names)
        await asyncio.sleep(self._chance.random() * 0.004)
        if self.closed:
            raise DataError("It is closed.")
        worker = Process(self._chance)
        self.alive[worker] = None
        ready = await worker.frame(0.0)
        assert ready
        assert ready[0] == READY
        return worker

    def dismiss(self, worker: Worker) -> None:
        assert isinstance(worker, Process)
        del self.alive[worker]
        worker.leave()
        worker.closes()

    async def close(self) -> None:
        self.closed = True
        for worker in list(self.alive):
            self.dismiss(worker)


class Clients:
    """Clients of a store that ask all kinds of questions; some give up, or leave in the middle of an answer."""

    def __init__(self, store: EmbeddedStore, chance: random.Random, clock: Clock) -> None:
        self._store, self._chance, self._clock = store, chance, clock
        self.outcomes: Counter[str] = Counter()

    async def ask(self, number: int) -> None:
        asked = asyncio.create_task(self._ask(f"q{number}", self._chance.choice([*SECONDS, *["quick"] * 6])))
        if self._chance.random() < 0.3:
            for _ in range(self._chance.randrange(8)):
                await asyncio.sleep(self._chance.choice([0, 0, 0.005]))
            asked.cancel()
        try:
            outcome = await asked
        except asyncio.CancelledError:
            outcome = "given up"
        self.outcomes[outcome] += 1

    async def _ask(self, name: str, kind: str) -> str:
        text = f"{name} {kind}" + (" " + LONG.decode() if self._chance.random() < 0.05 else "")
        deadline = self._clock.now + self._chance.choice([0.003, 0.05, 5, 5, 5])
        client = f"{self._chance.randrange(3)}"
        try:
            answer = await self._store.answer(Query(text, "SELECT"), Dataset(), CSV, deadline=deadline, client=client)
            lines = b""
            try:
                async for piece in answer.body:
                    lines += piece
                    await asyncio.sleep(self._chance.choice([0, 0, 0.005]))
                    if self._chance.random() < 0.02:
                        return "left"
            finally:
                await answer.body.aclose()
            assert [line.split()[0] for line in lines.decode().splitlines()] == [name] * lines.count(b"\n")
            assert lines.count(b"\n") == (PIECES + 1 if kind == "large" else 1)
        except (MemoryLimit, Overloaded) as error:
            return type(error).__name__
        except BadRequest as error:
            return "wrong" if (kind, str(error)) == ("wrong", name) else "another's error"
        except TimeLimit:
            assert kind == "large" or self._clock.now < deadline + PATIENCE
            return "late"
        assert kind != "wrong"
        return "answered"


async def sequence(seed: int, clock: Clock, patched: pytest.MonkeyPatch) -> Counter[str]:
    chance = random.Random(seed)  # noqa: S311  (nothing is kept secret by it)
    processes = Processes(chance)
    patched.setattr(lanes, "Pool", lambda *_: processes)
    workers = chance.choice([1, 2, 3, 5])
    settings = Settings(workers=workers, slow=chance.choice([1, 2]), queue=chance.choice([3, 50]), queue_client=20)
    store = await EmbeddedStore.open(Path("unread.nq"), settings)
    clients, tasks = Clients(store, chance, clock), []
    for number in range(120):
        tasks.append(asyncio.create_task(clients.ask(number)))
        if chance.random() < 0.5:
            await asyncio.sleep(chance.random() * 0.006)
        if seed % 2 and chance.random() < 0.1 and processes.alive:
            cast("Process", chance.choice(list(processes.alive))).dies()
    await asyncio.gather(*tasks)
    await asyncio.sleep(5)  # of this clock, until workers are replaced
    assert store.size() == {"workers": workers, "waiting for the quick lane": 0, "waiting for the slow lane": 0}
    assert store.quick.idle() == workers
    await store.close()
    return clients.outcomes


def test_each_gets_its_own_answer_in_time_and_no_worker_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes: Counter[str] = Counter()
    for module in (pool, lanes):
        monkeypatch.setattr(module, "HELD", HELD)
    monkeypatch.setattr(lanes, "PATIENCE", PATIENCE)
    monkeypatch.setattr(lanes, "LONGEST", 5 * PATIENCE)
    for seed in range(60):
        clock = Clock()
        for module in (deck, fair, pool, lanes):
            monkeypatch.setattr(module, "monotonic", lambda clock=clock: clock.now)
        with asyncio.Runner(loop_factory=lambda clock=clock: Loop(clock)) as runner:  # type: ignore[misc]
            try:
                outcomes += runner.run(sequence(seed, clock, monkeypatch))
            except BaseException as error:
                error.add_note(f"seed {seed}")
                raise
    assert sum(outcomes.values()) == 60 * 120
    assert min(outcomes[each] for each in ("answered", "given up", "left", "wrong", "late", "MemoryLimit")) > 10
    assert not outcomes["another's error"]
    assert outcomes["answered"] > 60 * 120 / 3
