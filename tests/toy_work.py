"""Work that the tests of the pool give to its workers: a request is a command and its argument."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from itukg.engine.worker import Work, Writable, main
from itukg.errors import BadRequest, DataError

answered: list[bytes] = []


def pid(_argument: bytes = b"") -> bytes:
    return str(os.getpid()).encode()


def busy(seconds: bytes) -> bytes:
    """Use so much processor time."""
    until = time.process_time() + float(seconds)
    while time.process_time() < until:
        pass
    return pid()


def eat(size: bytes) -> bytes:
    """Take so many bytes of memory, and end as an allocator does that finds no more."""
    bytearray(int(size))
    os.abort()


def die(number: bytes) -> bytes:
    os.kill(os.getpid(), int(number))
    time.sleep(60)  # the signal arrives
    return b""


def die_if_used(_argument: bytes) -> bytes:
    return os.abort() if answered else b"fresh"


def write_and_abort(size: bytes, output: Writable) -> None:
    output.write(bytes(int(size)))
    os.abort()


def read(path: bytes) -> bytes:
    return Path(path.decode()).read_bytes()


def refuse(message: bytes) -> bytes:
    raise BadRequest(message.decode())


def fail(message: bytes) -> bytes:
    raise ValueError(message.decode())


COMMANDS: dict[bytes, Callable[[bytes], bytes]] = {
    b"echo": lambda argument: argument,
    b"pid": pid,
    b"busy": busy,
    b"bytes": lambda size: b"x" * int(size),
    b"eat": eat,
    b"die": die,
    b"die-if-used": die_if_used,
    b"open": read,
    b"refuse": refuse,
    b"fail": fail,
}


def work(request: bytes, output: Writable) -> None:
    command, _, argument = request.partition(b" ")
    if command == b"write-and-abort":
        write_and_abort(argument, output)
    output.write(COMMANDS[command](argument))
    answered.append(request[:10])


def load(data: str) -> Work:
    if data == "slow":
        time.sleep(60)
    if data == "broken":
        raise DataError("There is nothing to load.")
    return work


if __name__ == "__main__":
    main(load)
