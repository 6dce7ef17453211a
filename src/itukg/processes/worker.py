"""The other side of the wall: a process that loads once what is worked on, and forks workers that answer questions.

A module that does such work calls `main` when it is run as `python -m MODULE WHAT FD`. The process loads WHAT and then
forks a worker, which is ready at once and shares the memory, whenever it is asked to (a "zygote"). A worker has one
socket, to the server; it can open no other socket and no file, so that nothing it is sent reaches the network or the disk.

Both sides speak in frames: one byte of kind, four bytes of length, the content.
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

HEAD = struct.Struct("!cI")
DONE = struct.Struct("!dd")
"""What END begins with: the seconds that the answer took, and the seconds of processor time that the worker has used so far."""
READY, DATA, END, ERROR = b"R", b"D", b"E", b"X"
ALONE = b"A"
"""The kind of a question whose worker has a core to itself: see LINGER."""
FORK, KILL = b"F", b"K"
PIECE = 128 * 1024
"""Bytes of an answer that are sent at once."""
STACK = 256 * 1024 * 1024
"""Bytes of stack for the thread that works: parsers recurse into every bracket."""
LINGER = 0.0002
"""Seconds that a worker looks out for the next question before it sleeps, if it has a core to itself.

To be woken on another core takes about as long as a lookup.
"""

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

    def __init__(self, server: socket.socket) -> None:
        self._server = server
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

    def send(self, kind: bytes, before: bytes = b"") -> None:
        """Send what is held in a frame, behind what it begins with."""
        self._server.sendall(b"".join((HEAD.pack(kind, len(before) + self._size), before, *self._held)))
        self._held.clear()
        self._size = 0


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
    children: set[int] = set()
    while True:
        message, handles, _, _ = socket.recv_fds(control, 13, 1)
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
                _run(work, socket.socket(fileno=handles[0]), memory, network=bool(pid))
            children.add(child)
            os.close(handles[0])
    for pid in children:
        _kill(pid)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


# --- a worker ---


def _run(work: Work, server: socket.socket, memory: int, *, network: bool) -> NoReturn:
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
            server.sendall(HEAD.pack(READY, len(ready)) + ready)
            _serve(work, server)
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


def _serve(work: Work, server: socket.socket) -> None:
    for question in _questions(server):
        started = perf_counter()
        output, kind = Output(server), ERROR
        try:
            work(question, output)
            kind, content = END, DONE.pack(perf_counter() - started, process_time())
        except ItukgError as error:
            content = pack_error(error)
        except (MemoryError, RecursionError):
            content = pack_error(MemoryLimit("The answer needs more memory, or stack, than it may take."))
        except OSError:
            raise  # the server has closed its end
        except Exception:  # noqa: BLE001  (the worker goes on, and the log tells)
            traceback.print_exc()
            content = pack_error(ItukgError("The fault is ours; it is in the log."))
        if kind == ERROR:
            output = Output(server)  # what was written before is no answer
        output.send(kind, content)


def _questions(server: socket.socket) -> Iterator[bytes]:
    """Yield each question as it comes, until the server closes its end. It asks one at a time."""
    with server.makefile("rb", buffering=PIECE) as asked:
        while head := asked.read(HEAD.size):
            kind, size = HEAD.unpack(head)
            yield asked.read(size)
            if kind == ALONE:
                _linger(server)


def _linger(server: socket.socket) -> None:
    until = perf_counter() + LINGER
    while perf_counter() < until:
        with contextlib.suppress(BlockingIOError):
            server.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            return
        os.sched_yield()
