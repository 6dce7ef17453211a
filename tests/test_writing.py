"""What takes long to write stops no other answer: it waits for its turn, or is written in a process that can be ended."""

import asyncio
import socket
import threading
from contextlib import nullcontext
from csv import DictReader
from functools import partial
from io import BytesIO, StringIO
from pathlib import Path
from urllib.parse import urlsplit
from zipfile import ZipFile

import httpx2
import pytest
from conftest import eventually, processes, serving

from itukg.errors import NotAcceptable, Overloaded
from itukg.release.model import Release
from itukg.settings import Settings
from itukg.tables import Table, write_workbook
from itukg.views.writer import Writer
from itukg.web.service import Service
from itukg.web.writing import in_turn

LARGE = "/matrix.{}?rows=output&columns=sdgTarget"


def writers(running: serving) -> list[int]:
    """Return the processes of a server that write."""
    found = []
    for pid in processes(running.process.pid):
        command = Path(f"/proc/{pid}/cmdline")
        if command.exists() and b"itukg.views.writer" in command.read_bytes():
            found.append(pid)
    return found


def others(running: serving, known: set[int]) -> bool:
    """Tell whether other processes write than those that are known."""
    return {*writers(running)} != known


@pytest.mark.usefixtures("release")
def test_a_large_matrix_is_written_in_a_process_that_ends_when_its_client_leaves(home: Path) -> None:
    running = serving({"ITUKG_HOME": str(home)})
    with running as address, httpx2.Client(base_url=address, timeout=60) as client:
        assert client.get("/matrix.csv?rows=plan&columns=sdgGoal").status_code == 200
        assert not writers(running), "a small one is written at once"
        table = [*DictReader(StringIO(client.get(LARGE.format("csv")).text))]
        assert len(table) > 3000
        whole = client.get(LARGE.format("json")).json()
        assert len({row["row"] for row in table}) == len(whole["rows"])
        assert "xl/worksheets/sheet3.xml" in ZipFile(BytesIO(client.get(LARGE.format("xlsx")).content)).namelist()
        settled = writers(running)
        assert len(settled) == 3, "the parent and two that wait"
        where = urlsplit(address)
        workbook = LARGE.format("xlsx").replace("output", "outcome")
        for _ in range(4):
            with socket.create_connection((str(where.hostname), int(where.port or 0)), timeout=20) as opened:
                opened.sendall(f"GET {workbook} HTTP/1.1\r\nHost: left.example\r\n\r\n".encode())
                eventually(partial(others, running, {*settled}), "it is not written", 30)
            eventually(lambda: len(writers(running)) == 3, "a process is left", 30)
            settled = writers(running)
        assert client.get(workbook).status_code == 200


def test_what_a_writer_raises_is_raised_and_the_next_is_written() -> None:
    async def run() -> None:
        writer = Writer(Settings())
        try:
            for text, size in (("x" * 40_000, 0), ("x", 1000)):
                table = Table.of_values(("long",), [{"long": text}])
                with nullcontext() if size else pytest.raises(NotAcceptable, match=r"32,?767"):
                    assert len(await writer.write(write_workbook, {"one": table}, client="a")) > size
        finally:
            await writer.close()

    asyncio.run(run())


def test_one_thing_is_written_at_a_time_and_those_that_left_are_not(release: Release) -> None:
    async def run() -> None:
        service = Service(Settings(queue=2, queue_client=1), release)
        begun, end, written = asyncio.Event(), threading.Event(), list[str]()
        loop = asyncio.get_running_loop()

        def first() -> None:
            loop.call_soon_threadsafe(begun.set)
            end.wait(20)

        running = asyncio.create_task(in_turn(service, "a", first))
        await begun.wait()
        left = asyncio.create_task(in_turn(service, "a", written.append, "a"))
        waits = asyncio.create_task(in_turn(service, "b", written.append, "b"))
        await asyncio.sleep(0)
        for client, reason in (("a", "1 of your requests"), ("c", "2 requests are already waiting")):
            with pytest.raises(Overloaded, match=reason):
                await in_turn(service, client, written.append, "c")
        for task in (left, running):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        for _ in range(5):
            await asyncio.sleep(0)
        assert service.writing.waiting() == 1, "the thread still runs"
        end.set()
        await asyncio.wait_for(waits, 20)
        assert written == ["b"]

    asyncio.run(run())
