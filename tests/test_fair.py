"""The queue that serves clients in turn: nobody is pushed out by how much another asks."""

import asyncio
from collections.abc import Coroutine
from time import monotonic
from typing import Any

import pytest

from itukg.errors import Overloaded, TimeLimit
from itukg.processes.fair import FairQueue


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 5))


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


def test_an_item_that_is_there_is_had_at_once_and_the_one_last_used_first() -> None:
    async def work() -> None:
        queue = FairQueue[str](1, 1)
        assert queue.get_nowait() is None
        queue.put("cold")
        queue.put("warm")
        assert await queue.get("a", later()) == "warm"
        assert queue.get_nowait() == "cold"
        assert queue.get_nowait() is None

    run(work())


def test_an_item_may_be_taken_out() -> None:
    async def work() -> None:
        queue = FairQueue[str](1, 1)
        for item in ("good", "broken"):
            queue.put(item)
        assert queue.discard("broken") is True
        assert queue.discard("broken") is False
        assert queue.get_nowait() == "good"
        assert queue.get_nowait() is None

    run(work())


def test_a_client_may_wait_so_often_and_others_still_may() -> None:
    async def work() -> None:
        queue, served = FairQueue[str](10, 2), list[str]()
        tasks = [await waits(queue, "a", served) for _ in range(2)]
        with pytest.raises(Overloaded, match="2 requests of yours"):
            await queue.get("a", later())
        tasks.append(await waits(queue, "b", served))
        for _ in tasks:
            queue.put("item")
        await asyncio.gather(*tasks)
        assert sorted(served) == ["a", "a", "b"]

    run(work())


def test_so_many_may_wait_in_all_and_the_next_is_told_when_to_come_back() -> None:
    async def work() -> None:
        queue, served = FairQueue[str](3, 10), list[str]()
        tasks = [await waits(queue, client, served) for client in "abc"]
        with pytest.raises(Overloaded, match="3 requests are waiting") as caught:
            await queue.get("d", later())
        assert caught.value.wait
        assert queue.waiting() == 3
        for _ in tasks:
            queue.put("item")
        await asyncio.gather(*tasks)
        queue.put("item")
        assert await queue.get("d", later()) == "item"

    run(work())


def test_who_waits_past_the_deadline_is_told_and_leaves_the_line() -> None:
    async def work() -> None:
        queue = FairQueue[str](10, 10)
        with pytest.raises(TimeLimit, match="waited for its turn"):
            await queue.get("a", later(0.02))
        with pytest.raises(TimeLimit):
            await queue.get("a", later(-1))
        assert queue.waiting() == 0
        queue.put("item")
        assert queue.get_nowait() == "item"

    run(work())


def test_who_gives_up_waiting_leaves_the_line() -> None:
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


def test_who_has_just_given_up_gets_no_item() -> None:
    async def work() -> None:
        queue, served = FairQueue[str](10, 10), list[str]()
        first, second = await waits(queue, "a", served), await waits(queue, "b", served)
        first.cancel()
        queue.put("item")  # before it has run again
        await second
        assert served == ["b"]

    run(work())


def test_an_item_handed_to_who_has_just_given_up_goes_to_the_next() -> None:
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
        assert queue.get_nowait() == "item"

    run(work())
