"""The worker's side: one parent process loads the data once and forks workers, each of which answers one question at a time.

A module with work to do calls `main` when it is run as `python -m MODULE DATA FD`. Its process loads DATA, then forks a
worker for each order that comes by the socket FD: in milliseconds, with the loaded memory shared. A worker has one
socket to the server and can open no other, and no file: nothing that it is sent reaches the network or the disk.

All sockets carry packets. A question is its length, then its bytes in as many packets as they need. The answer is DATA
packets and one END, or one ERROR. When a worker ends, however it does, the parent sends EXIT with its exit code.
"""

import contextlib
import ctypes
import gc
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from time import perf_counter
from typing import NoReturn

from itukg import errors
from itukg.errors import DataError, ItukgError, MemoryLimit

HEAD = struct.Struct("!cd")
"""What a packet from a worker begins with: its kind and, with END, the seconds that the answer took."""
LENGTH = struct.Struct("!Q")
"""What the first packet of a question begins with: the bytes of the whole question."""
ORDER = struct.Struct("!cQI")
"""What the parent is sent: FORK, a worker's memory limit in bytes and whether it has the network; or SIGNAL, a pid, a signal."""
READY, DATA, END, ERROR, EXIT = b"R", b"D", b"E", b"X", b"Q"
FORK, SIGNAL = b"F", b"S"
PACKET = 128 * 1024
"""Bytes of content in one packet, at most: the kernel takes packets up to the size of a socket's buffer."""
STACK = 256 * 1024 * 1024
"""Bytes of stack for the thread that works: parsers recurse into every bracket."""

_PR_SET_PDEATHSIG = 1


def pack_error(error: ItukgError) -> bytes:
    """Return the content of an ERROR packet."""
    return json.dumps([type(error).__name__, str(error)[: PACKET // 8], error.extras()]).encode()


def unpack_error(content: bytes) -> ItukgError:
    """Return the error in an ERROR packet."""
    kind, message, extras = json.loads(content)
    error = getattr(errors, kind)(message, **extras)
    assert isinstance(error, ItukgError)
    return error


class Output:
    """A file to write an answer into, which leaves in packets: DATA while there is more, END with the rest."""

    def __init__(self, server: socket.socket) -> None:
        self._server = server
        self._buffer = bytearray()

    def write(self, content: bytes) -> int:
        """Add a piece to the answer; full packets are sent at once."""
        self._buffer += content
        while len(self._buffer) > PACKET:
            self._send(DATA, bytes(self._buffer[:PACKET]))
            del self._buffer[:PACKET]
        return len(content)

    def flush(self) -> None:
        """Do nothing: the rest is sent with the end."""

    def end(self, seconds: float) -> None:
        """Send the rest of the answer, which took `seconds`."""
        self._send(END, bytes(self._buffer), seconds)

    def fail(self, error: ItukgError) -> None:
        """Send an error in place of the rest."""
        self._send(ERROR, pack_error(error))

    def _send(self, kind: bytes, content: bytes, seconds: float = 0.0) -> None:
        self._server.sendall(HEAD.pack(kind, seconds) + content)


Work = Callable[[bytes, Output], None]
"""Answers a question by writing into the output; raises ItukgError."""


# --- the parent ---


def main(load: Callable[[str], Work]) -> None:
    """Load the data, then fork workers and send them signals as ordered, until the server closes its end.

    `load` may raise DataError, which ends the process with the message. It must read and import all that workers need:
    they can open no file.
    """
    data, number = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which then closes the socket
    control = socket.socket(fileno=int(number))
    try:
        work = load(data)
    except DataError as error:
        sys.exit(str(error))
    gc.collect()
    gc.freeze()  # the collector never looks at what is loaded, so its pages stay shared
    with contextlib.suppress(AttributeError):  # mimalloc: memory that only loading needed would be in every worker
        ctypes.CDLL(None).mi_collect(True)
    _obey(work, control)


def _obey(work: Work, control: socket.socket) -> None:
    """Carry out orders, and report the workers that have ended, until the server closes its end."""
    children: dict[int, socket.socket] = {}
    awake, waker = socket.socketpair()
    for end in (awake, waker):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # so that a child's end wakes select
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    while True:
        ready, _, _ = select.select([control, awake], [], [])
        if awake in ready:
            awake.recv(4096)
            _report_ended(children)
        if control not in ready:
            continue
        order, handles, _, _ = socket.recv_fds(control, ORDER.size, 1)
        if not order:
            break
        kind, amount, flag = ORDER.unpack(order)
        if kind == SIGNAL and amount in children:  # not reaped yet, so that the number is still its own
            os.kill(amount, flag)
        elif kind == FORK:
            server = socket.socket(fileno=handles[0])
            others = (control, awake, waker, *children.values())
            children[_fork(work, server, others, amount, network=bool(flag))] = server
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _fork(work: Work, server: socket.socket, others: Iterable[socket.socket], memory: int, *, network: bool) -> int:
    """Return the pid of a worker that answers what comes by `server`, and has none of the `others`."""
    if not (pid := os.fork()):
        signal.set_wakeup_fd(-1)
        for other in others:
            other.close()
        _run(work, server, memory, network=network)
    return pid


def _report_ended(children: dict[int, socket.socket]) -> None:
    for pid in list(children):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            with children.pop(pid) as server, contextlib.suppress(OSError):  # a full buffer, or nobody there
                code = str(os.waitstatus_to_exitcode(status)).encode()
                server.send(HEAD.pack(EXIT, 0.0) + code, socket.MSG_DONTWAIT)


# --- a worker ---


def _run(work: Work, server: socket.socket, memory: int, *, network: bool) -> NoReturn:
    begin = threading.Event()
    with contextlib.suppress(AttributeError):  # Linux has it: nobody could end a worker whose parent has ended
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def loop() -> None:
        begin.wait()
        code = 1
        try:
            server.send(HEAD.pack(READY, 0.0) + json.dumps([os.getpid(), threading.get_native_id()]).encode())
            _serve(work, server)
            code = 0
        except OSError:  # the server has closed its end
            code = 0
        finally:
            os._exit(code)

    threading.stack_size(STACK)
    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    # Limits count what is in use already, the thread's stack too: they are set once that is reserved.
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory and pages:
        limit = pages * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    if not network:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    begin.set()
    thread.join()
    os._exit(1)


def _serve(work: Work, server: socket.socket) -> None:
    while (question := _question(server)) is not None:
        started = perf_counter()
        output = Output(server)
        try:
            work(question, output)
        except ItukgError as error:
            output.fail(error)
        except (MemoryError, RecursionError):
            output.fail(MemoryLimit("The answer needs more memory, or stack, than it may take."))
        except OSError:
            raise  # the server has closed its end
        except Exception:  # noqa: BLE001  (the worker goes on, and the log has the traceback)
            traceback.print_exc()
            output.fail(ItukgError("The fault is ours; it is in the log."))
        else:
            output.end(perf_counter() - started)


def _question(server: socket.socket) -> bytes | None:
    """Return the next question, or None once the server has closed its end."""
    packet = server.recv(LENGTH.size + PACKET)
    if not packet:
        return None
    (length,) = LENGTH.unpack_from(packet)
    if len(packet) == LENGTH.size + length:  # as nearly all do
        return packet[LENGTH.size :]
    question = bytearray(packet[LENGTH.size :])
    while len(question) < length and (packet := server.recv(PACKET)):
        question += packet
    return bytes(question)
