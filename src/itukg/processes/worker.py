"""The other side of the wall: a process that loads once what is worked on, and forks workers that answer questions.

A module that does such work calls `main` when it is run as `python -m MODULE WHAT FD`. The process loads WHAT and then
forks a worker, which is ready at once and shares the memory, whenever it is asked to (a "zygote"). A worker has its
sockets to the server; it can open no other and no file, so that nothing it is sent reaches the network or the disk.

Questions come as packets; of one that is longer than a packet only the head does, and the rest by the other socket. By that
the answer goes in frames: a head, and the content. A worker may be sent its next question while it is at work (it is "on
deck"), and need not be woken for it. The server may take that back until the worker takes it.
"""

import contextlib
import ctypes
import gc
import json
import os
import resource
import signal
import socket
import struct
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter, process_time
from typing import NoReturn

from itukg import errors
from itukg.errors import DataError, ItukgError, MemoryLimit
from itukg.processes.allocator import give_back_memory

HEAD = struct.Struct("!cBIdd")
"""What a frame begins with: kind, number and length; with END, the seconds that the answer took, and those of processor time
that the worker has used so far."""
READY, DATA, END, ERROR = b"R", b"D", b"E", b"X"
ASK = struct.Struct("!BI")
"""What a packet begins with: its number, and the length of the question."""
SHORT = 16_000
"""Bytes of the longest question that goes as one packet; two of them fit into a socket whose owner does not read."""
FORK, KILL = b"F", b"K"
PIECE = 128 * 1024
"""Bytes of an answer that are sent at once."""
PEEK = int(socket.MSG_PEEK | socket.MSG_DONTWAIT)
"""To look whether something has come; as a number, for whoever looks again and again."""
STACK = 256 * 1024 * 1024
"""Bytes of stack for the thread that works: parsers recurse into every bracket."""

_PR_SET_PDEATHSIG = 1


def pack_error(error: ItukgError) -> bytes:
    """Return what ERROR holds."""
    return json.dumps([type(error).__name__, str(error), error.extras()]).encode()


def unpack_error(content: bytes) -> ItukgError:
    """Return the error that a worker tells of."""
    kind, message, extras = json.loads(content)
    error = getattr(errors, kind)(message, **extras)
    assert isinstance(error, ItukgError)
    return error


class Output:
    """A file to write an answer into: what is written leaves in frames, the last of them END."""

    def __init__(self, server: socket.socket, number: int) -> None:
        self._server, self._number = server, number
        self._held: list[bytes] = []
        self._size = 0

    def write(self, content: bytes) -> int:
        """Take a piece of the answer; it may leave at once."""
        self._held.append(bytes(content))
        self._size += len(content)
        if self._size >= PIECE:
            self.send(DATA)
        return len(content)

    def flush(self) -> None:
        """Nothing: what is held leaves with the end."""

    def send(self, kind: bytes, seconds: float = 0.0, used: float = 0.0) -> None:
        """Send what is held in a frame."""
        self._server.sendall(b"".join((HEAD.pack(kind, self._number, self._size, seconds, used), *self._held)))
        self._held.clear()
        self._size = 0

    def fail(self, error: ItukgError) -> None:
        """Send an error in place of what is held, which is no answer."""
        content = pack_error(error)
        self._held, self._size = [content], len(content)
        self.send(ERROR)


Work = Callable[[bytes, Output], None]
"""Answers a question by writing into the output; raises errors of ours."""


# --- the zygote ---


def main(load: Callable[[str], Work]) -> None:
    """Load what is worked on, then fork and kill workers as told, until the server closes its end.

    What `load` may raise to end the process with words is DataError. What a worker needs when it works must be read
    and imported by then: it can open no file.
    """
    what, number = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which then closes the socket
    control = socket.socket(fileno=int(number))
    try:
        work = load(what)
    except DataError as error:
        sys.exit(str(error))
    gc.collect()
    gc.freeze()  # what is here already is never looked at again, so its pages stay shared
    give_back_memory()
    children: set[int] = set()
    while True:
        message, handles, _, _ = socket.recv_fds(control, 13, 2)
        for pid in [pid for pid in children if os.waitpid(pid, os.WNOHANG)[0]]:
            children.discard(pid)
        if not message:
            break
        kind, memory, pid = struct.unpack("!cQI", message)
        if kind == KILL and pid in children:
            _kill(pid)
            children.discard(pid)
        elif kind == FORK:
            child = os.fork()
            if not child:
                control.close()
                server, packets = (socket.socket(fileno=handle) for handle in handles)
                _run(work, server, packets, memory, network=bool(pid))
            children.add(child)
            for handle in handles:
                os.close(handle)
    for pid in children:
        _kill(pid)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


# --- a worker ---


def _run(work: Work, server: socket.socket, packets: socket.socket, memory: int, *, network: bool) -> NoReturn:
    begin = threading.Event()
    with contextlib.suppress(AttributeError, OSError):  # Linux has it: who wakes does not push aside the server
        if os.sched_getscheduler(0) == os.SCHED_OTHER:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    with contextlib.suppress(AttributeError):  # Linux has it: nobody could end a worker whose parent is gone
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def loop() -> None:
        begin.wait()
        try:
            ready = json.dumps([os.getpid(), threading.get_native_id()]).encode()
            output = Output(server, 0)
            output.write(ready)
            output.send(READY)
            _serve(work, server, packets)
        except OSError:
            pass  # the server has closed its end
        finally:
            os._exit(0)

    threading.stack_size(STACK)
    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    # Limits count what is there already, the thread's stack too; so they are set once it is.
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory and pages:
        limit = pages * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    if not network:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    begin.set()
    thread.join()
    os._exit(0)


def _serve(work: Work, server: socket.socket, packets: socket.socket) -> None:
    for number, question in _questions(server, packets):
        started = perf_counter()
        output = Output(server, number)
        try:
            work(question, output)
        except ItukgError as error:
            output.fail(error)
        except (MemoryError, RecursionError):
            output.fail(MemoryLimit("The answer needs more memory, or stack, than it may take."))
        except OSError:
            raise  # the server has closed its end
        except Exception:  # noqa: BLE001  (the worker goes on, and the log tells)
            traceback.print_exc()
            output.fail(ItukgError("The fault is ours; it is in the log."))
        else:
            output.send(END, perf_counter() - started, process_time())


def _questions(server: socket.socket, packets: socket.socket) -> Iterator[tuple[int, bytes]]:
    """Yield each question with its number as it comes, until the server closes its end."""
    while packet := packets.recv(ASK.size + SHORT):
        number, size = ASK.unpack_from(packet)
        if size <= SHORT:
            question = packet[ASK.size :]
        else:
            with server.makefile("rb") as rest:
                question = rest.read(size)
        yield number, question
