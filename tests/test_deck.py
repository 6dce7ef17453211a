"""The next question is with a worker before it is done with the one before: nobody waits longer for that, nor gets another's."""

import asyncio
import contextlib
import os
import random
import signal
import socket
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from time import monotonic
from typing import Any, Self

import pytest
from conftest import Engine

from itukg.errors import DataError, MemoryLimit, Overloaded, TimeLimit
from itukg.formats import CSV
from itukg.processes.deck import STUCK, Deck
from itukg.processes.pool import HELD, Worker
from itukg.processes.worker import ASK, SHORT
from itukg.release import Release
from itukg.settings import Settings
from itukg.store import Dataset, read_query
from itukg.store.embedded import EmbeddedStore

LONG = b"l" * (SHORT + 1)


class Played(Worker):
    """A worker without a process: what it is sent lies in its sockets until the test takes it as the process would."""

    def __init__(self) -> None:
        self._ends = socket.socketpair(type=socket.SOCK_SEQPACKET)
        super().__init__(*self._ends)
        self._process_end = self._ends[1].dup()
        self._transport = self  # type: ignore[assignment]
        self.written: list[bytes] = []

    def write(self, content: bytes) -> None:
        """Take what goes beside the packets."""
        self.written.append(content)

    def takes(self) -> bytes | None:
        """Take the next packet, and return the question in it; None where there is none."""
        try:
            packet = self._process_end.recv(ASK.size + SHORT, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        self.number, _ = ASK.unpack_from(packet)
        return packet[ASK.size :]

    def close(self) -> None:
        for end in (*self._ends, self._process_end):
            end.close()


class Table:
    """A deck with so many workers, and those that it dropped."""

    def __init__(self, workers: int, *, waiting: int = 100, per_client: int = 100) -> None:
        self.dropped: list[Worker] = []
        self.deck = Deck(waiting, per_client, drop=self._drop)
        self.workers = [Played() for _ in range(workers)]
        for worker in reversed(self.workers):  # the first is asked first
            self.deck.put(worker)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.close()

    def _drop(self, worker: Worker) -> None:
        self.dropped.append(worker)
        self.deck.leave(worker)

    async def asks(self, *questions: bytes, client: str = "a", within: float = 4.0) -> list["asyncio.Task[Worker]"]:
        """Ask, and return who waits for the workers."""

        async def ask(question: bytes) -> Worker:
            worker, _ = await self.deck.ask(question, client, monotonic() + within)
            return worker

        tasks = [asyncio.create_task(ask(each)) for each in questions]
        await asyncio.sleep(0)
        return tasks


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))


def test_a_question_is_with_a_worker_at_work_before_that_is_done() -> None:
    async def work() -> None:
        with Table(1) as it:
            (worker,) = it.workers
            first, second, third = await it.asks(b"1", b"2", b"3")
            assert await first is worker
            assert [worker.takes(), worker.takes(), worker.takes()] == [b"1", b"2", None]
            assert not second.done()
            assert it.deck.waiting() == 2  # on deck, and in the line
            it.deck.put(worker)
            assert await second is worker
            assert [worker.takes(), worker.takes()] == [b"3", None]
            assert not third.done()
            it.deck.put(worker)
            assert await third is worker
            it.deck.put(worker)
            assert it.deck.get_nowait() is worker
            assert it.deck.waiting() == 0

    run(work())


def test_who_is_done_first_takes_what_is_on_the_deck_of_another() -> None:
    async def work() -> None:
        with Table(2) as it:
            quick, slow = it.workers
            tasks = await it.asks(b"1", b"2", b"3")
            assert [quick.takes(), slow.takes()] == [b"1", b"2"]
            it.deck.put(quick)
            assert await tasks[2] is quick
            assert [quick.takes(), slow.takes()] == [b"3", None]  # it was on the deck of the one asked last
            (fourth,) = await it.asks(b"4")
            it.deck.put(slow)
            assert await fourth is slow
            assert it.deck.idle() == 0

    run(work())


def test_what_a_worker_has_begun_is_not_taken_back() -> None:
    async def work() -> None:
        with Table(2) as it:
            one, other = it.workers
            tasks = await it.asks(b"1", b"2", b"3")
            for worker, number in ((one, 1), (other, 2)):
                assert [worker.takes() for _ in range(number)]
            it.deck.put(one)  # while the other has 3 in hand, of which nobody knows yet
            assert it.deck.get_nowait() is one
            assert not tasks[2].done()
            it.deck.put(other)
            assert await tasks[2] is other

    run(work())


def test_a_question_behind_one_not_taken_yet_is_not_taken_for_that() -> None:
    async def work() -> None:
        with Table(2) as it:
            one, other = it.workers
            tasks = await it.asks(b"1", b"2", b"3")
            assert one.takes() == b"1"
            it.deck.put(one)  # the other has not even looked at 2
            assert it.deck.idle() == 1
            assert [other.takes(), one.takes()] == [b"2", None]
            (fourth,) = await it.asks(b"4")
            assert await fourth is one
            assert one.takes() == b"4"
            (fifth,) = await it.asks(b"5")  # on the deck of one
            it.deck.put(other)
            assert await tasks[2] is other  # it was on deck, and still lies there
            (sixth,) = await it.asks(b"6")
            it.deck.put(one)
            assert await fifth is one
            it.deck.put(one)
            assert [other.takes(), other.takes()] == [b"3", b"6"]
            assert not sixth.done()

    run(work())


def test_what_is_on_deck_too_long_goes_to_the_next_that_is_done_before_the_line() -> None:
    async def work() -> None:
        with Table(2) as it:
            stuck, quick = it.workers
            tasks = await it.asks(b"1", b"2", b"3", b"4", b"5")
            assert [quick.takes(), quick.takes()] == [b"2", b"3"]
            assert stuck.takes() == b"1"
            it.deck.put(quick)
            assert quick.takes() == b"5"  # 4 is on the other's deck, and not for long
            await asyncio.sleep(2 * STUCK)
            it.deck.put(quick)
            assert await tasks[4] is quick
            assert [quick.takes(), stuck.takes()] == [b"4", None]

    run(work())


def test_who_gives_up_on_deck_makes_way() -> None:
    async def work() -> None:
        with Table(1) as it:
            (worker,) = it.workers
            _, second, third = await it.asks(b"1", b"2", b"3")
            worker.takes()
            second.cancel()
            await asyncio.sleep(0)
            assert [worker.takes(), worker.takes()] == [b"3", None]
            it.deck.put(worker)
            assert await third is worker
            assert not it.dropped

    run(work())


def test_a_worker_that_has_begun_what_was_given_up_is_dropped_and_the_line_goes_on() -> None:
    async def work() -> None:
        with Table(1) as it:
            (worker,) = it.workers
            _, second, third = await it.asks(b"1", b"2", b"3")
            assert [worker.takes(), worker.takes()] == [b"1", b"2"]
            second.cancel()
            await asyncio.sleep(0)
            assert not it.dropped  # its first answer may still be on its way
            it.deck.put(worker)
            assert it.dropped == [worker]
            assert worker.takes() is None
            fresh = Played()
            it.workers.append(fresh)
            it.deck.put(fresh)
            assert await third is fresh

    run(work())


def test_who_has_just_given_up_gets_no_worker() -> None:
    async def work() -> None:
        with Table(2) as it:
            one, other = it.workers
            tasks = await it.asks(b"1", b"2", b"3", b"4", b"5")
            assert [one.takes(), one.takes(), other.takes(), other.takes()] == [b"1", b"4", b"2", b"3"]
            for number in (2, 3, 4):  # begun, begun, and in the line
                tasks[number].cancel()
            it.deck.leave(other)  # before they have run again
            it.deck.put(one)
            assert it.dropped == [one]
            await asyncio.sleep(0)
            assert it.deck.waiting() == 0

    run(work())


def test_what_was_just_given_up_on_deck_is_not_asked_of_another() -> None:
    async def work() -> None:
        with Table(2) as it:
            one, other = it.workers
            tasks = await it.asks(b"1", b"2", b"3")
            assert [one.takes(), other.takes()] == [b"1", b"2"]
            tasks[2].cancel()
            it.deck.put(one)  # before it has run again
            assert it.deck.idle() == 1
            await asyncio.sleep(0)
            assert [one.takes(), other.takes(), it.dropped] == [None, None, []]

    run(work())


def test_what_was_just_given_up_is_not_asked_of_another_when_its_worker_leaves() -> None:
    async def work() -> None:
        with Table(2) as it:
            one, other = it.workers
            tasks = await it.asks(b"1", b"2", b"3")
            assert [one.takes(), other.takes(), other.takes()] == [b"1", b"2", b"3"]
            it.deck.put(one)
            tasks[2].cancel()
            it.deck.leave(other)  # before it has run again
            assert it.deck.idle() == 1
            await asyncio.sleep(0)
            assert one.takes() is None

    run(work())


def test_who_gives_up_in_the_line_leaves_it() -> None:
    async def work() -> None:
        with Table(1) as it:
            tasks = await it.asks(b"1", b"2", b"3")
            tasks[2].cancel()
            await asyncio.sleep(0)
            assert it.deck.waiting() == 1

    run(work())


def test_nothing_is_laid_before_a_worker_that_has_left() -> None:
    async def work() -> None:
        with Table(1) as it:
            (worker,) = it.workers
            await it.asks(b"1")
            it.deck.leave(worker)
            (second,) = await it.asks(b"2")
            assert [worker.takes(), worker.takes()] == [b"1", None]
            fresh = Played()
            it.workers.append(fresh)
            it.deck.put(fresh)
            assert await second is fresh

    run(work())


def test_a_worker_handed_over_just_as_the_question_was_given_up_is_dropped() -> None:
    async def work() -> None:
        with Table(1) as it:
            (worker,) = it.workers
            _, second = await it.asks(b"1", b"2")
            it.deck.put(worker)
            second.cancel()  # before it has run again
            await asyncio.sleep(0)
            assert it.dropped == [worker]

    run(work())


def test_who_waits_on_deck_past_the_deadline_is_told() -> None:
    async def work() -> None:
        with Table(1) as it:
            (worker,) = it.workers
            await it.asks(b"1")
            (second,) = await it.asks(b"2", within=0.02)
            worker.takes()
            with pytest.raises(TimeLimit, match="waited for its turn"):
                await second
            assert worker.takes() is None
            assert it.deck.waiting() == 0

    run(work())


@pytest.mark.parametrize("begun", [False, True])
def test_what_is_on_the_deck_of_a_worker_that_leaves_goes_first_to_another(begun: bool) -> None:
    async def work() -> None:
        with Table(2) as it:
            one, other = it.workers
            tasks = await it.asks(b"1", b"2", b"3", b"4")
            tasks += await it.asks(b"5", client="b")
            tasks += await it.asks(b"6")
            assert other.takes() == b"2"
            if begun:
                assert other.takes() == b"3"
            assert it.deck.leave(other) is not begun
            assert it.deck.leave(other) is True  # nothing is left on its deck
            assert [one.takes(), one.takes()] == [b"1", b"4"]
            it.deck.put(one)
            assert one.takes() == b"3"  # before 5
            assert await tasks[3] is one
            it.deck.put(one)
            assert await tasks[2] is one

    run(work())


def test_what_was_on_the_deck_of_a_worker_that_leaves_goes_to_an_idle_one_at_once() -> None:
    async def work() -> None:
        with Table(2) as it:
            one, other = it.workers
            tasks = await it.asks(b"1", b"2", b"3")
            assert [other.takes(), other.takes()] == [b"2", b"3"]
            it.deck.put(one)
            it.deck.leave(other)
            assert await tasks[2] is one
            assert [one.takes(), one.takes()] == [b"1", b"3"]

    run(work())


def test_a_question_longer_than_a_packet_is_nobodys_next_but_has_its_turn() -> None:
    async def work() -> None:
        with Table(1) as it:
            (worker,) = it.workers
            tasks = await it.asks(b"1", LONG, b"3", b"4")
            assert [worker.takes(), worker.takes()] == [b"1", b"3"]  # there was room before it
            it.deck.put(worker)
            assert await tasks[2] is worker
            assert worker.takes() is None
            it.deck.put(worker)
            assert await tasks[1] is worker
            assert worker.takes() == b""
            assert worker.written == [LONG]
            assert worker.takes() == b"4"
            it.deck.put(worker)
            assert await tasks[3] is worker
            two = await it.asks(LONG, LONG)
            it.deck.put(worker)
            assert await two[0] is worker
            await it.asks(b"5")  # behind the second long one
            assert [worker.takes(), worker.takes()] == [b"", None]
            it.deck.put(worker)
            assert await two[1] is worker
            assert [worker.takes(), worker.takes()] == [b"", b"5"]

    run(work())


def test_clients_take_turns_on_deck_too_and_the_line_has_its_bound() -> None:
    async def work() -> None:
        with Table(1, waiting=3, per_client=2) as it:
            (worker,) = it.workers
            await it.asks(b"1", b"a1", b"a2")
            await it.asks(b"b1", client="b")
            with pytest.raises(Overloaded, match="3 requests"):
                await it.deck.ask(b"c1", "c", monotonic() + 4)
            found: list[bytes] = []
            for _ in range(4):
                found += list(iter(worker.takes, None))
                it.deck.put(worker)
                await asyncio.sleep(0)
            assert found == [b"1", b"a1", b"a2", b"b1"]

    run(work())


def test_a_question_behind_one_not_taken_in_time_goes_to_who_is_idle_once_it_can() -> None:
    async def work() -> None:
        with Table(2) as it:
            idle, other = it.workers
            tasks = await it.asks(b"1", b"2", b"3")
            assert idle.takes() == b"1"
            it.deck.put(idle)  # the other has not even looked at 2, so 3 cannot be taken back
            assert [it.deck.idle(), idle.takes()] == [1, None]
            assert other.takes() == b"2"  # which is a heavy one
            await asyncio.sleep(10 * STUCK)
            assert [idle.takes(), other.takes()] == [b"3", None]
            assert await tasks[2] is idle
            it.deck.put(idle)
            it.deck.put(other)
            assert it.deck.idle() == 2

    run(work())


def test_a_worker_that_died_just_as_it_was_done_is_not_kept() -> None:
    async def work() -> None:
        with Table(1) as it:
            (worker,) = it.workers
            await it.asks(b"1")
            worker.connection_lost(None)  # its answer is there, and not read yet
            it.deck.put(worker)
            assert it.dropped == [worker]
            assert it.deck.idle() == 0

    run(work())


# --- with processes ---


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    """A small dataset, of which a query makes as many rows as it likes."""
    path = tmp_path / "numbers.nq"
    path.write_text("".join(f"<urn:s{number}> <urn:p> <urn:o{number}> .\n" for number in range(2000)))
    return path


def test_who_waits_when_the_store_is_closed_is_told_and_nothing_goes_on(
    numbers: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        before = asyncio.all_tasks()
        store = await EmbeddedStore.open(numbers, Settings(workers=2, slow=1))
        queries = [read_query(token_of(number, 3_000_000)) for number in range(6)]
        asked = [asyncio.create_task(store.answer(query, Dataset(), CSV)) for query in queries]
        await asyncio.sleep(0.02)
        assert store.quick.waiting() == 4  # two on deck, two in the line
        await store.close()
        outcomes = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 5)
        assert [type(outcome) for outcome in outcomes] == [DataError] * 6
        await asyncio.sleep(0.1)
        assert asyncio.all_tasks() == before
        assert "tried again" not in caplog.text

    run(work())


def test_a_worker_waits_for_a_client_that_has_not_read_the_beginning(
    numbers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    received = 0

    def count(worker: Worker, data: bytes, receive: Callable[[Worker, bytes], None] = Worker.data_received) -> None:
        nonlocal received
        received += len(data)
        receive(worker, data)

    async def work() -> None:
        store = await EmbeddedStore.open(numbers, Settings(workers=1, slow=1))
        try:
            endless = read_query("SELECT * { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }")
            answer = await store.answer(endless, Dataset(), CSV, deadline=monotonic() + 30)
            await asyncio.sleep(0.5)
            assert received < HELD + 2_000_000
            size = 0
            async for piece in answer.body:  # and goes on with it then
                size += len(piece)
                if size > 2 * HELD:
                    break
            await answer.body.aclose()
        finally:
            await store.close()

    monkeypatch.setattr(Worker, "data_received", count)
    run(work())


def token_of(number: int, rows: int) -> str:
    """A query that tells its number, and takes the longer the more rows it counts."""
    inner = f"SELECT ?a {{ ?a ?b ?c . ?d ?e ?f }} LIMIT {rows}"
    return f'SELECT ("token {number}" AS ?t) (COUNT(*) AS ?n) {{ {{ {inner} }} }}'


def test_a_long_question_is_answered_like_any_other(store: Engine) -> None:
    values = " ".join(f"<urn:x{number}>" for number in range(8_000))
    query = f"SELECT (COUNT(*) AS ?n) {{ VALUES ?x {{ {values} }} }}"
    assert len(query) > SHORT
    assert store.answer(query, syntax=CSV).split() == [b"n", b"8000"]
    assert store.answer("SELECT (1 AS ?n) {}", syntax=CSV).split() == [b"n", b"1"]


def test_an_answer_to_what_was_not_asked_is_given_to_nobody(
    release: Release, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = Worker.ask
    wrong = iter([1])
    monkeypatch.setattr(Worker, "ask", lambda self, *question, **how: asked(self, *question, **how) + next(wrong, 0))
    with Engine(release.dataset, workers=1) as store:
        assert store.answer("SELECT (1 AS ?n) {}", syntax=CSV).split() == [b"n", b"1"]
        assert "was not asked" in caplog.text
        caplog.clear()
        assert store.answer("SELECT (2 AS ?n) {}", syntax=CSV).split() == [b"n", b"2"]
        assert not caplog.text


class Crowd:
    """Clients of a store that ask quick and slow questions, and give up some of them."""

    def __init__(self, store: EmbeddedStore, seed: int) -> None:
        self._store, self._chance = store, random.Random(seed)  # noqa: S311  (nothing is kept secret by it)
        self.outcomes: Counter[str] = Counter()

    async def client(self, name: int, questions: int) -> None:
        for number in range(questions):
            token = name * 1000 + number
            rows = self._chance.choice([1, 1, 1, 1_000, 20_000, 100_000, 100_000, 2_000_000])
            query = read_query(token_of(token, rows))
            asked = asyncio.create_task(
                self._store.answer(query, Dataset(), CSV, deadline=monotonic() + 30, client=f"{name % 3}")
            )
            if self._chance.random() < 0.2:
                await asyncio.sleep(self._chance.random() * 0.02)
                asked.cancel()
            try:
                content = await (await asked).read()
            except asyncio.CancelledError:
                self.outcomes["given up"] += 1
            except MemoryLimit:  # its worker was ended twice, or in the slow lane
                self.outcomes["ended"] += 1
            else:
                assert content.split(b"\r\n")[1].decode() == f"token {token},{rows}"
                self.outcomes["answered"] += 1

    async def end_workers(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._chance.choice([worker.pid for worker in self._store.pool.alive]), signal.SIGKILL)


@pytest.mark.exhaustive
@pytest.mark.parametrize("ending", [False, True], ids=["workers live", "workers are ended"])
def test_each_gets_its_own_answer_whatever_the_others_do(release: Release, ending: bool) -> None:
    async def work() -> None:
        store = await EmbeddedStore.open(release.dataset, Settings(workers=2))
        crowd = Crowd(store, seed=20)
        try:
            enemy = asyncio.create_task(crowd.end_workers()) if ending else None
            await asyncio.gather(*(crowd.client(name, questions=20) for name in range(12)))
            if enemy:
                enemy.cancel()
            outcomes = crowd.outcomes
            assert sum(outcomes.values()) == 12 * 20
            assert outcomes["answered"] > 100
            assert outcomes["given up"] > 20
            assert bool(outcomes["ended"]) == ending
            await asyncio.sleep(1)  # until all are replaced
            assert store.size() == {"workers": 2, "waiting for the quick lane": 0, "waiting for the slow lane": 0}
            assert store.quick.idle() == 2
        finally:
            await store.close()

    run(work())
