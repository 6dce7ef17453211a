"""The pool: clients take turns, what is slow makes room, what dies is replaced, and each gets the answer to its own request."""

import asyncio
import contextlib
import os
import random
import resource
import signal
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import uvloop
from conftest import is_running

from itukg.engine import pool as pool_module
from itukg.engine.fair import FairQueue
from itukg.engine.pool import BUFFER_BYTES, FORK_RETRY_SECONDS, Pool
from itukg.engine.process import Packet, Worker
from itukg.engine.worker import NICENESS, PACKET_BYTES
from itukg.errors import BadRequest, DataError, ItukgError, MemoryLimit, Overloaded, TimeLimit, WorkerKilled


def run(work: Coroutine[Any, Any, None], *, loop: str = "uvloop") -> None:
    """Run on the event loop that the server has, or on Python's own."""
    (uvloop.run if loop == "uvloop" else asyncio.run)(asyncio.wait_for(work, 90))


def later(seconds: float = 4.0) -> float:
    return monotonic() + seconds


async def waits(queue: FairQueue[str], client: str, served: list[str]) -> "asyncio.Task[None]":
    """Begin to wait as `client`, who is written down once served."""

    async def wait() -> None:
        await queue.get(client, later())
        served.append(client)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    return task


def test_clients_that_wait_take_turns_however_many_requests_each_has() -> None:
    async def work() -> None:
        queue, served = FairQueue[str](100, 100), list[str]()
        tasks = [await waits(queue, client, served) for client in "aaaaaabbc"]
        assert queue.waiting() == 9
        for _ in tasks:
            queue.put("item")
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        assert "".join(served) == "abcabaaaa"
        assert queue.waiting() == 0

    run(work())


def test_a_free_item_is_given_at_once_and_the_last_used_first() -> None:
    async def work() -> None:
        queue = FairQueue[str](1, 1)
        assert queue.get_nowait("a") is None
        queue.put("cold")
        queue.put("warm")
        assert await queue.get("a", later()) == "warm"
        assert queue.get_nowait("a") == "cold"
        assert queue.get_nowait("a") is None

    run(work())


def test_an_item_may_be_taken_out() -> None:
    async def work() -> None:
        queue = FairQueue[str](1, 1)
        for item in ("good", "broken"):
            queue.put(item)
        assert queue.discard("broken") is True
        assert queue.discard("broken") is False
        assert queue.get_nowait("a") == "good"
        assert queue.get_nowait("a") is None

    run(work())


def test_a_client_has_a_share_of_the_queue_and_leaves_room_for_others() -> None:
    async def work() -> None:
        queue, served = FairQueue[str](10, 2), list[str]()
        tasks = [await waits(queue, "a", served) for _ in range(2)]
        with pytest.raises(Overloaded, match="2 of your requests"):
            await queue.get("a", later())
        tasks.append(await waits(queue, "b", served))
        for _ in tasks:
            queue.put("item")
        await asyncio.gather(*tasks)
        assert sorted(served) == ["a", "a", "b"]

    run(work())


def test_a_client_has_its_share_of_the_items_and_the_next_is_for_others() -> None:
    async def work() -> None:
        queue, served = FairQueue[str](10, 10, share=1), list[str]()
        queue.put("one")
        queue.put("two")
        assert await queue.get("a", later()) == "two"
        assert queue.get_nowait("a") is None
        tasks = [await waits(queue, "a", served)]
        assert await queue.get("b", later()) == "one"
        tasks.append(await waits(queue, "c", served))
        queue.put("one", "b")
        await tasks[1]
        assert served == ["c"], "who has its share waits"
        queue.give_up("a")
        queue.put("three")
        await tasks[0]
        assert served == ["c", "a"]

    run(work())


def test_a_request_beyond_the_length_of_the_queue_is_refused_with_a_time_to_retry() -> None:
    async def work() -> None:
        queue, served = FairQueue[str](3, 10), list[str]()
        tasks = [await waits(queue, client, served) for client in "abc"]
        with pytest.raises(Overloaded, match="3 requests are already waiting") as caught:
            await queue.get("d", later())
        assert caught.value.wait
        assert queue.waiting() == 3
        for _ in tasks:
            queue.put("item")
        await asyncio.gather(*tasks)
        queue.put("item")
        assert await queue.get("d", later()) == "item"

    run(work())


def test_a_request_that_waits_past_its_deadline_is_refused_and_leaves_the_queue() -> None:
    async def work() -> None:
        queue = FairQueue[str](10, 10)
        with pytest.raises(Overloaded, match="waited for its turn"):
            await queue.get("a", later(0.02))
        with pytest.raises(Overloaded):
            await queue.get("a", later(-1))
        assert queue.waiting() == 0
        queue.put("item")
        assert queue.get_nowait("a") == "item"

    run(work())


def test_a_cancelled_request_leaves_the_queue() -> None:
    async def work() -> None:
        queue, served = FairQueue[str](10, 10), list[str]()
        first, second = [await waits(queue, "a", served) for _ in range(2)]
        first.cancel()
        await asyncio.sleep(0)
        assert queue.waiting() == 1
        queue.put("item")
        await second
        assert served == ["a"]

    run(work())


def test_a_request_that_was_just_cancelled_gets_no_item() -> None:
    async def work() -> None:
        queue, served = FairQueue[str](10, 10), list[str]()
        first, second = await waits(queue, "a", served), await waits(queue, "b", served)
        first.cancel()
        queue.put("item")  # before it has run again
        await second
        assert served == ["b"]

    run(work())


def test_an_item_given_to_a_request_that_was_just_cancelled_goes_to_the_next() -> None:
    async def work() -> None:
        queue, served = FairQueue[str](10, 10), list[str]()
        first, second = await waits(queue, "a", served), await waits(queue, "b", served)
        queue.put("item")
        first.cancel()  # before it has run again
        await second
        assert served == ["b"]
        with pytest.raises(asyncio.CancelledError):
            await first
        third = await waits(queue, "c", served)
        queue.put("item")
        third.cancel()
        await asyncio.sleep(0)
        assert queue.get_nowait("a") == "item"

    run(work())


# --- workers ---


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers find `toy_work`, and count what takes a tenth of a second as slow."""
    paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setattr(pool_module, "QUICK_SECONDS", 0.1)


@asynccontextmanager
async def pool_of(data: str = "", *, workers: int = 2, slow: int = 1, **given: Any) -> AsyncIterator[Pool]:
    pool = Pool("toy_work", data, workers=workers, slow=slow, **given)
    try:
        await pool.start()
        yield pool
    finally:
        await pool.close()


async def answer(pool: Pool, request: bytes, **given: Any) -> bytes:
    response = await pool.submit(request, **{"deadline": later(20), **given})
    try:
        return b"".join([piece async for piece in response])
    finally:
        await response.aclose()


async def until(holds: Any, message: str) -> None:
    deadline = later(10)
    while not holds():
        assert monotonic() < deadline, message
        await asyncio.sleep(0.01)


def idle(pool: Pool) -> list[Worker]:
    return [worker for worker in pool.alive if worker.is_idle]


def busy(pool: Pool) -> list[Worker]:
    return [worker for worker in pool.alive if not worker.is_idle]


def state_of(worker: Worker) -> str:
    """Return what Linux calls the state of a process: R runs, S sleeps, T is stopped."""
    return Path(f"/proc/{worker.pid}/stat").read_text().rpartition(") ")[2][0]


def parent_of(worker: Worker) -> int:
    return int(Path(f"/proc/{worker.pid}/stat").read_text().rpartition(") ")[2].split()[1])


def priority_of(worker: Worker) -> int:
    """Return the priority of the thread that works."""
    thread = max(int(path.name) for path in Path(f"/proc/{worker.pid}/task").iterdir())
    return os.getpriority(os.PRIO_PROCESS, thread)


def is_settled(pool: Pool, workers: int = 2) -> bool:
    return len(idle(pool)) == len(pool.alive) == workers and not pool.suspended


@pytest.mark.parametrize("length", [0, 1, PACKET_BYTES - 8, PACKET_BYTES, PACKET_BYTES + 1, 3_000_000])
def test_a_request_of_any_length_arrives_whole_and_so_does_its_answer(length: int) -> None:
    async def work() -> None:
        async with pool_of(workers=1) as pool:
            text = random.Random(length).randbytes(length)  # noqa: S311  (nothing is kept secret by it)
            assert await answer(pool, b"echo " + text) == text
            assert await answer(pool, b"echo x") == b"x"

    run(work())


def test_an_error_of_the_work_is_raised_and_the_worker_goes_on(capfd: pytest.CaptureFixture[str]) -> None:
    async def work() -> None:
        async with pool_of(workers=1) as pool:
            pid = await answer(pool, b"pid")
            with pytest.raises(BadRequest, match="no such thing"):
                await answer(pool, b"refuse no such thing")
            with pytest.raises(ItukgError, match="The server failed"):
                await answer(pool, b"fail of some kind")
            assert await answer(pool, b"pid") == pid

    run(work())
    assert "ValueError: of some kind" in capfd.readouterr().err


def test_data_that_cannot_be_loaded_is_an_error_and_no_process_is_left(capfd: pytest.CaptureFixture[str]) -> None:
    async def work() -> None:
        with pytest.raises(DataError, match="No worker process could be started on broken"):
            async with pool_of("broken"):
                pass

    run(work())
    assert "There is nothing to load." in capfd.readouterr().err


def test_without_reuse_a_worker_answers_once() -> None:
    async def work() -> None:
        async with pool_of(workers=1, reuse=False) as pool:
            first, second = int(await answer(pool, b"pid")), int(await answer(pool, b"pid"))
            assert first != second
            await until(lambda: not is_running(first) and not is_running(second), "a worker is left")

    run(work())


# --- slow requests ---


def test_a_slow_request_goes_on_at_a_lower_priority_and_its_worker_is_replaced() -> None:
    async def work() -> None:
        async with pool_of(workers=1) as pool:
            (worker,) = pool.alive
            slow = asyncio.create_task(answer(pool, b"busy 1"))
            await until(lambda: len(pool.alive) == 2, "no other worker takes its place")
            assert priority_of(worker) == os.getpriority(os.PRIO_PROCESS, 0) + NICENESS
            quick = int(await answer(pool, b"pid"))
            assert not slow.done()
            assert int(await slow) == worker.pid != quick
            await until(lambda: is_settled(pool, 1), "the slow worker is left")
            assert pool.alive == set(idle(pool)) and int(await answer(pool, b"pid")) == quick

    run(work())


def test_a_request_that_a_busy_machine_keeps_waiting_is_not_slow() -> None:
    async def work() -> None:
        async with pool_of(workers=1, busy_factor=1000) as pool:
            (worker,) = pool.alive
            asked = asyncio.create_task(answer(pool, b"busy 0.02"))
            await until(lambda: busy(pool), "it does not run")
            os.kill(worker.pid, signal.SIGSTOP)
            await asyncio.sleep(0.3)  # three times what makes a request slow, if it were the processor's time
            assert pool.alive == {worker}
            os.kill(worker.pid, signal.SIGCONT)
            assert int(await asked) == worker.pid
            assert priority_of(worker) == os.getpriority(os.PRIO_PROCESS, 0)
            assert idle(pool) == [worker]

    run(work())


def test_one_client_leaves_a_worker_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "QUICK_SECONDS", 20)

    async def work() -> None:
        async with pool_of(workers=2) as pool:
            asked = [asyncio.create_task(answer(pool, b"busy 20", client="a")) for _ in range(2)]
            await until(lambda: pool.idle.waiting() == 1, "none waits")
            assert await answer(pool, b"echo x", client="b") == b"x"
            for task in asked:
                task.cancel()
            await until(lambda: is_settled(pool), "a worker is left")

    run(work())


def test_a_slow_request_without_a_slot_waits_suspended_and_goes_on_where_it_was() -> None:
    async def work() -> None:
        async with pool_of() as pool:
            begun = {worker.pid for worker in pool.alive}
            asked = [asyncio.create_task(answer(pool, b"busy 0.8", client=client)) for client in "ab"]
            await until(lambda: pool.suspended == 1, "none is suspended")
            await until(lambda: "T" in map(state_of, busy(pool)), "none is stopped")
            assert pool.size()["waiting for a slow slot"] == 1
            assert await answer(pool, b"echo x") == b"x"
            assert {int(pid) for pid in await asyncio.gather(*asked)} == begun
            await until(lambda: is_settled(pool), "a worker is left")

    run(work())


def test_slow_requests_take_turns_so_that_none_waits_for_the_end_of_another() -> None:
    async def work() -> None:
        async with pool_of() as pool:
            endless = asyncio.create_task(answer(pool, b"busy 60", client="a"))
            await until(lambda: len(pool.alive) == 3, "it is not slow")
            assert await asyncio.gather(*(answer(pool, b"busy 0.5", client=client) for client in "abc"))
            assert not endless.done()
            endless.cancel()
            with pytest.raises(asyncio.CancelledError):
                await endless
            await until(lambda: is_settled(pool), "a worker is left")

    run(work())


def test_a_slow_request_that_gives_others_their_turn_is_not_refused_by_a_full_queue() -> None:
    async def insist(pool: Pool) -> bytes:
        while True:
            with contextlib.suppress(Overloaded):  # while the first of this client lets others have their turn
                return await answer(pool, b"busy 0.4", client="a")
            await asyncio.sleep(0.01)

    async def work() -> None:
        async with pool_of(waiting=2, per_client=1) as pool:
            first = asyncio.create_task(answer(pool, b"busy 0.7", client="a"))
            await until(lambda: len(pool.alive) == 3, "it is not slow")
            others = [asyncio.create_task(answer(pool, b"busy 0.7", client="b")), asyncio.create_task(insist(pool))]
            assert all(await asyncio.gather(first, *others))

    run(work())


def test_slow_requests_beyond_those_suspended_start_again_in_a_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "MAX_SUSPENDED", 0)

    async def work() -> None:
        async with pool_of() as pool:
            begun = {worker.pid for worker in pool.alive}
            asked = [asyncio.create_task(answer(pool, b"busy 0.5", client=client)) for client in "ab"]
            first, second = (int(pid) for pid in await asyncio.gather(*asked))
            assert len({first, second} & begun) == 1
            await until(lambda: is_settled(pool), "a worker is left")

    run(work())


@pytest.mark.parametrize("suspended", [0, 4])
def test_a_client_that_disconnects_while_its_slow_request_waits_leaves_nothing_behind(
    suspended: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "MAX_SUSPENDED", suspended)

    async def work() -> None:
        async with pool_of() as pool:
            first, second = (asyncio.create_task(answer(pool, b"busy 20", client=client)) for client in "ab")
            await until(lambda: pool.slots.waiting() == 1, "none waits")
            for task in (second, first):
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            await until(lambda: is_settled(pool), "a worker is left")
            assert pool.slots.waiting() == 0 and pool.slots.get_nowait("a")

    run(work())


@pytest.mark.parametrize(("seconds", "slow"), [(0.05, 1), (0.4, 1), (0.4, 0)], ids=["quick", "slow", "suspended"])
def test_a_request_past_its_deadline_is_killed(seconds: float, slow: int) -> None:
    async def work() -> None:
        async with pool_of(workers=1, slow=slow) as pool:
            with pytest.raises(TimeLimit, match=f"within 0.(0[45]|[34]) s|within {seconds:.2g} s"):
                await answer(pool, b"busy 20", deadline=later(seconds))
            await until(lambda: is_settled(pool, 1), "a worker is left")

    run(work())


def test_seconds_count_from_the_turn_of_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "QUICK_SECONDS", 20)

    async def work() -> None:
        async with pool_of(workers=1) as pool:  # the last waits for longer than it may take
            assert len(await asyncio.gather(*(answer(pool, b"busy 0.3", seconds=3.0) for _ in range(12)))) == 12
            with pytest.raises(TimeLimit, match=r"within 0.3 s"):
                await answer(pool, b"busy 20", seconds=0.3)

    run(work())


def test_the_time_limit_of_a_request_does_not_count_its_suspension() -> None:
    async def work() -> None:
        async with pool_of() as pool:
            assert pool.slots.get_nowait("a")
            asked = asyncio.create_task(answer(pool, b"busy 0.45", seconds=5))
            await until(lambda: pool.suspended, "it is not suspended")
            await asyncio.sleep(4.8)  # and so would take longer than it may
            pool.slots.put(True, "a")
            assert await asked

    run(work())


# --- large answers ---


def test_a_large_answer_waits_in_its_worker_for_its_reader_and_takes_no_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    received = 0
    next_packet = Worker.packet

    async def count(worker: Worker, deadline: float) -> Packet | None:
        nonlocal received
        packet = await next_packet(worker, deadline)
        received += len(packet.content) if packet else 0
        return packet

    monkeypatch.setattr(Worker, "packet", count)

    async def work() -> None:
        async with pool_of() as pool:
            response = await pool.submit(b"bytes 100000000", deadline=later(20), client="a")
            assert received < BUFFER_BYTES + 2 * PACKET_BYTES
            assert int(await answer(pool, b"busy 0.3", client="a"))  # the slot is free
            with pytest.raises(Overloaded, match="sent to you"):
                await pool.submit(b"bytes 100000000", deadline=later(20), client="a")
            assert received < 2 * (BUFFER_BYTES + 2 * PACKET_BYTES)
            assert sum([len(piece) async for piece in response]) == 100_000_000
            again = await pool.submit(b"bytes 100000000", deadline=later(20), client="a")
            await again.aclose()
            await until(lambda: is_settled(pool), "a worker is left")

    run(work())


# --- processes that die ---


def test_a_worker_that_is_killed_while_idle_is_replaced_before_the_next_request() -> None:
    async def work() -> None:
        async with pool_of() as pool:
            before = {worker.pid for worker in pool.alive}
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            await until(lambda: is_settled(pool) and not before & {worker.pid for worker in pool.alive}, "not replaced")
            assert int(await answer(pool, b"pid")) not in before

    run(work())


def test_a_request_whose_worker_is_killed_is_tried_once_more(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        async with pool_of() as pool:
            asked = asyncio.create_task(answer(pool, b"busy 0.5"))
            await until(lambda: busy(pool), "it does not run")
            (worker,) = busy(pool)
            os.kill(worker.pid, signal.SIGKILL)
            assert int(await asked) != worker.pid
            usr1 = int(signal.SIGUSR1)  # which nobody ignores, as nohup does SIGHUP
            with pytest.raises(WorkerKilled, match=rf"ended by signal {usr1} from outside"):
                await answer(pool, f"die {usr1}".encode())
            await until(lambda: is_settled(pool), "not replaced")

    run(work())
    assert "A fresh worker tries again" in caplog.text


def test_a_worker_out_of_memory_is_distinguished_from_one_that_was_killed() -> None:
    async def work() -> None:
        async with pool_of(memory=200_000_000) as pool:
            for request in (b"eat 100000000", f"die {int(signal.SIGSEGV)}".encode()):
                with pytest.raises(MemoryLimit, match="more than 200 MB"):
                    await answer(pool, request)
            with pytest.raises(MemoryLimit, match="needs more memory"):
                await answer(pool, b"eat 300000000")
            await until(lambda: is_settled(pool), "not replaced")

    run(work())


def test_a_request_too_large_for_a_used_worker_goes_to_a_fresh_one() -> None:
    async def work() -> None:
        async with pool_of(workers=1) as pool:
            assert await answer(pool, b"echo x") == b"x"
            assert await answer(pool, b"die-if-used") == b"fresh"

    run(work())


def test_the_parent_that_is_killed_is_replaced_and_so_are_its_workers() -> None:
    async def work() -> None:
        async with pool_of() as pool:
            asked = asyncio.create_task(answer(pool, b"busy 0.5"))
            await until(lambda: busy(pool), "it does not run")
            before = {worker.pid for worker in pool.alive}
            os.kill(parent_of(busy(pool)[0]), signal.SIGKILL)
            assert int(await asked) not in before
            await until(lambda: is_settled(pool) and not any(map(is_running, before)), "not replaced")

    run(work())


def test_a_worker_that_cannot_be_forked_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        async with pool_of(workers=1) as pool:
            limits = resource.getrlimit(resource.RLIMIT_NOFILE)
            (worker,) = pool.alive
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))  # no handle is left for another one
            try:
                os.kill(worker.pid, signal.SIGKILL)
                await until(lambda: "trying again" in caplog.text, "it is not logged")
                assert not pool.alive
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            began = monotonic()
            assert await answer(pool, b"echo x") == b"x"
            assert monotonic() - began < FORK_RETRY_SECONDS + 5

    run(work())


def test_a_process_that_the_system_does_not_give_is_503_and_no_fault_of_the_request(
    capfd: pytest.CaptureFixture[str],
) -> None:
    async def work() -> None:
        async with pool_of(workers=1, reuse=False) as pool:
            (worker,) = pool.alive
            parent = parent_of(worker)
            limits = resource.prlimit(parent, resource.RLIMIT_AS)
            resource.prlimit(parent, resource.RLIMIT_AS, (1, limits[1]))  # which leaves its children no stack
            with pytest.raises(Overloaded, match="the system gives none"):
                await pool.fork()
            resource.prlimit(parent, resource.RLIMIT_AS, limits)
            assert await answer(pool, b"echo x") == b"x"

    run(work())
    assert "thread" in capfd.readouterr().err


def test_requests_that_wait_when_the_pool_closes_get_an_error_and_nothing_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def work() -> None:
        before = asyncio.all_tasks()
        async with pool_of() as pool:
            asked = [asyncio.create_task(answer(pool, b"busy 20", client=f"{number}")) for number in range(8)]
            await until(lambda: pool.idle.waiting() and pool.slots.waiting(), "none waits")
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} <= {DataError, WorkerKilled}
        assert {str(each) for each in outcomes if isinstance(each, WorkerKilled)} <= {"The server is stopping."}
        assert len(outcomes) == 8
        await until(lambda: asyncio.all_tasks() == before, "a task is left")
        assert "could be started" not in caplog.text

    run(work())


class Crowd:
    """Clients that ask quick and slow requests, and give up some of them."""

    def __init__(self, pool: Pool, seed: int) -> None:
        self._pool, self._chance = pool, random.Random(seed)  # noqa: S311  (nothing is kept secret by it)
        self.outcomes: Counter[str] = Counter()

    async def client(self, name: int, requests: int) -> None:
        for number in range(requests):
            text = f"{name}/{number} ".encode() * self._chance.choice([1, 1, 1, 1000, 100_000])
            slow = self._chance.random() < 0.2
            request = b"busy 0.15" if slow else b"echo " + text
            asked = asyncio.create_task(answer(self._pool, request, client=f"{name % 3}"))
            if self._chance.random() < 0.2:
                await asyncio.sleep(self._chance.random() * 0.02)
                asked.cancel()
            try:
                content = await asked
            except asyncio.CancelledError:
                self.outcomes["given up"] += 1
            except WorkerKilled:
                self.outcomes["killed"] += 1
            else:
                assert content.isdigit() if slow else content == text
                self.outcomes["answered"] += 1

    async def kill_workers(self) -> None:
        while True:
            await asyncio.sleep(0.05)
            with contextlib.suppress(ProcessLookupError, IndexError):
                os.kill(self._chance.choice([worker.pid for worker in self._pool.alive]), signal.SIGKILL)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("killed", [False, True], ids=["workers live", "workers are killed"])
def test_each_request_gets_its_own_answer_whatever_the_others_do(seed: int, killed: bool, loop: str) -> None:
    async def work() -> None:
        async with pool_of() as pool:
            crowd = Crowd(pool, seed)
            enemy = asyncio.create_task(crowd.kill_workers()) if killed else None
            await asyncio.gather(*(crowd.client(name, requests=20) for name in range(8)))
            if enemy:
                enemy.cancel()
            assert sum(crowd.outcomes.values()) == 8 * 20
            assert crowd.outcomes["answered"] > 80
            assert crowd.outcomes["given up"] > 5
            assert killed or not crowd.outcomes["killed"]
            await until(lambda: is_settled(pool), f"not settled: {pool.size()}")

    run(work(), loop=loop)


def test_a_pool_that_failed_to_start_starts_when_the_reason_has_gone() -> None:
    async def work() -> None:
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        pool = Pool("toy_work", "", workers=2, slow=1)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        try:
            with pytest.raises(Overloaded, match="No worker process can be started now"):
                await pool.start()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        await pool.start()
        assert is_settled(pool)
        await pool.close()
        with pytest.raises(DataError, match="closed"):
            await pool.submit(b"pid")

    run(work())


def test_an_error_with_a_long_message_comes_cut() -> None:
    async def work() -> None:
        async with pool_of(workers=1) as pool:
            with pytest.raises(BadRequest, match=r"^\N{PILE OF POO}{8192}$"):
                await answer(pool, b"refuse " + "\N{PILE OF POO}".encode() * 20_000)
            assert await answer(pool, b"echo x") == b"x"

    run(work())


def test_an_error_of_the_system_in_the_work_is_ours_and_no_lack_of_memory(capfd: pytest.CaptureFixture[str]) -> None:
    async def work() -> None:
        async with pool_of(workers=1) as pool:
            with pytest.raises(ItukgError, match="The server failed"):
                await answer(pool, b"open /etc/passwd")
            assert await answer(pool, b"echo x") == b"x"

    run(work())
    assert "Too many open files" in capfd.readouterr().err


def test_the_end_of_a_worker_is_reported_however_much_the_server_has_still_to_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def work() -> None:
        async with pool_of(workers=1) as pool:
            for request in (b"write-and-abort 100", b"write-and-abort 300000"):
                asked = asyncio.create_task(answer(pool, request))
                await asyncio.sleep(0)
                (worker,) = pool.alive
                deadline = later(2)
                while os.path.exists(f"/proc/{worker.pid}") and monotonic() < deadline:  # noqa: ASYNC240, PTH110
                    pass  # the event loop stands still until the parent has reaped it
                with pytest.raises(MemoryLimit):
                    await asked
                await until(lambda: is_settled(pool, 1), "not replaced")

    run(work())
    assert "tries again" not in caplog.text  # as after a worker that was killed


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_worker_that_dies_while_a_request_is_sent_is_noticed(loop: str) -> None:
    async def work() -> None:
        async with pool_of(workers=1) as pool:
            (worker,) = pool.alive
            os.kill(worker.pid, signal.SIGSTOP)
            asked = asyncio.create_task(answer(pool, b"echo " + bytes(3_000_000)))
            await until(lambda: busy(pool), "it is not sent")
            os.kill(worker.pid, signal.SIGKILL)
            assert len(await asked) == 3_000_000

    run(work(), loop=loop)


def test_a_request_that_the_worker_does_not_read_hits_the_time_limit_and_closing_ends_it() -> None:
    async def work() -> None:
        async with pool_of(workers=1) as pool:
            (worker,) = pool.alive
            os.kill(worker.pid, signal.SIGSTOP)
            with pytest.raises(TimeLimit):
                await answer(pool, b"echo " + bytes(3_000_000), deadline=later(0.3))
            await until(lambda: is_settled(pool, 1), "not replaced")
            (worker,) = pool.alive
            os.kill(worker.pid, signal.SIGSTOP)
            asked = asyncio.create_task(answer(pool, b"echo " + bytes(3_000_000)))
            await asyncio.sleep(0)
        with pytest.raises((DataError, WorkerKilled)):
            await asked

    run(work())


def test_workers_are_forked_by_a_server_with_many_handles() -> None:
    async def work() -> None:
        handles = 1100  # select(2) takes numbers up to 1023
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(limits[1], 2 * handles), limits[1]))
        opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(handles)]
        try:
            async with pool_of() as pool:
                assert await answer(pool, b"echo x") == b"x"
        finally:
            for handle in opened:
                os.close(handle)
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    run(work())


def test_a_pool_that_still_loads_closes_at_once() -> None:
    async def work() -> None:
        pool = Pool("toy_work", "slow", workers=1, slow=1)
        starting = asyncio.create_task(pool.start())
        await asyncio.sleep(0)
        await pool.close()
        with pytest.raises(DataError):
            await starting

    run(work())
