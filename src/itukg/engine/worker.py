"""The worker's side: one parent process loads the data once and forks workers, each of which answers one request at a time.

A module calls `main` when it is run as `python -m MODULE DATA`. Its process loads DATA, then forks a worker for each order
that arrives on its standard input, a socket: in milliseconds, with the loaded memory shared. A worker has one socket to the
server and can open no other, and no file: no request reaches the network or the disk.

All sockets carry packets. A request is its length, then its bytes in as many packets as they need. The answer is DATA
packets and one END, or one ERROR. When a worker ends for any reason, the parent sends EXIT with its exit code.
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
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import NamedTuple, NoReturn, Protocol

from itukg import errors
from itukg.errors import DataError, ItukgError, MemoryLimit

HEAD = struct.Struct("!cd")
"""How a packet from a worker begins: its kind and, with END, the seconds that the answer took."""
LENGTH = struct.Struct("!Q")
"""How the first packet of a request begins: the length of the whole request in bytes."""
ORDER = struct.Struct("!cIQ?")
"""An order to the parent: its kind and the number of a worker; with FORK the memory limit in bytes, and whether the worker
may use the network; with SIGNAL a signal; with NICE the thread whose priority is lowered. Numbers, unlike pids, are not reused."""
READY, DATA, END, ERROR, EXIT = b"R", b"D", b"E", b"X", b"Q"
FORK, SIGNAL, NICE = b"F", b"S", b"N"
NICENESS = 5
"""How far a priority is lowered below that of the server (setpriority(2)): others go first, but even on a busy machine the thread still runs."""
PACKET_BYTES = 128 * 1024
"""Most bytes of content in one packet: the kernel takes packets up to the size of a socket's buffer."""
MAX_HANDLES = 4096
"""Upper bound of the parent's file descriptors: it has a few, and one for each worker."""
STACK_BYTES = 256 * 1024 * 1024
"""Stack of the thread that works: parsers recurse into every bracket."""

_PR_SET_PDEATHSIG = 1


def pack_error(error: ItukgError) -> bytes:
    """Return the content of an ERROR packet. A long message is cut: JSON takes up to 12 bytes for a character."""
    return json.dumps([type(error).__name__, str(error)[: PACKET_BYTES // 16], error.extras()]).encode()


def unpack_error(content: bytes) -> ItukgError:
    """Return the error in an ERROR packet."""
    kind, message, extras = json.loads(content)
    error = getattr(errors, kind)(message, **extras)
    assert isinstance(error, ItukgError)
    return error


class DisconnectedError(Exception):
    """The server has closed its end of the socket."""


class Output:
    """A file object that sends what is written in packets: DATA while there is more, END with the rest."""

    def __init__(self, server: socket.socket) -> None:
        self._server = server
        self._buffer = bytearray()

    def write(self, content: bytes) -> int:
        """Append to the answer; full packets are sent at once."""
        self._buffer += content
        while len(self._buffer) > PACKET_BYTES:
            self._send(DATA, bytes(self._buffer[:PACKET_BYTES]))
            del self._buffer[:PACKET_BYTES]
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
        try:
            self._server.sendall(HEAD.pack(kind, seconds) + content)
        except OSError:
            raise DisconnectedError from None


class Writable(Protocol):
    """A file object that an answer is written into."""

    def write(self, content: bytes, /) -> int:
        """Append bytes, and return how many."""
        ...

    def flush(self) -> None:
        """Write what is buffered, if anything."""
        ...


Work = Callable[[bytes, Writable], None]
"""Answers a request by writing into the output; raises ItukgError."""


# --- the parent ---


def main(load: Callable[[str], Work], prepare: Callable[[], None] = lambda: None) -> None:
    """Load the data, then carry out the server's orders to fork and signal workers, until it closes its end.

    `load` may raise DataError, which ends the process with the message. It must read and import everything that workers
    need: they can open no file. What a fork does not copy, such as threads, `prepare` makes in each worker before that.
    """
    (data,) = sys.argv[1:]
    for ending in (signal.SIGINT, signal.SIGTERM):  # the server handles these, and closes the socket
        signal.signal(ending, signal.SIG_IGN)
    control = socket.socket(fileno=0)
    try:
        work = load(data)
    except DataError as error:
        sys.exit(str(error))
    gc.collect()
    gc.freeze()  # the collector never touches what is loaded, so its pages stay shared
    with contextlib.suppress(AttributeError):  # mimalloc: give memory that only loading needed back to the system
        ctypes.CDLL(None).mi_collect(True)
    _Parent(work, prepare, control).obey()


class _Child(NamedTuple):
    pid: int
    server: socket.socket


class _Parent:
    """Forks workers, sends them signals and reports their ends, as ordered on `control`, until that is closed."""

    def __init__(self, work: Work, prepare: Callable[[], None], control: socket.socket) -> None:
        self._work, self._prepare, self._control = work, prepare, control
        self._children: dict[int, _Child] = {}
        self._ended: dict[socket.socket, bytes] = {}
        """EXIT packets of ended workers, which wait until the server has read the packets before them."""

    def obey(self) -> None:
        awake, waker = socket.socketpair()
        for end in (awake, waker):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # so that a child's end wakes select
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        while True:
            ready, _, _ = select.select([self._control, awake], [], [], 0.1 if self._ended else None)
            if awake in ready:
                awake.recv(4096)
                self._reap()
            self._report()
            if self._control in ready:
                order, handles, _, _ = socket.recv_fds(self._control, ORDER.size, 1)
                if not order:
                    break
                self._carry_out(order, handles)
        for child in self._children.values():
            os.kill(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)

    def _carry_out(self, order: bytes, handles: list[int]) -> None:
        kind, number, amount, network = ORDER.unpack(order)
        child = self._children.get(number)  # not reaped yet, so no other process has its pid
        with contextlib.suppress(ProcessLookupError):
            if kind == FORK and handles:
                self._fork(number, socket.socket(fileno=handles[0]), amount, network=network)
            elif kind == SIGNAL and child:
                os.kill(child.pid, amount)
            elif kind == NICE and child:
                os.setpriority(os.PRIO_PROCESS, amount, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)

    def _fork(self, number: int, server: socket.socket, memory: int, *, network: bool) -> None:
        try:
            pid = os.fork()
        except OSError:  # out of memory or processes
            self._ended[server] = HEAD.pack(EXIT, 0.0) + b"1"
            return
        if not pid:
            signal.set_wakeup_fd(-1)
            os.dup2(server.fileno(), 0)
            os.closerange(3, MAX_HANDLES)
            _run(self._work, self._prepare, socket.socket(fileno=0), memory, network=network)
        self._children[number] = _Child(pid, server)

    def _reap(self) -> None:
        for number, (pid, server) in list(self._children.items()):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                del self._children[number]
                self._ended[server] = HEAD.pack(EXIT, 0.0) + str(os.waitstatus_to_exitcode(status)).encode()

    def _report(self) -> None:
        for server, packet in list(self._ended.items()):
            with contextlib.suppress(BlockingIOError):
                with contextlib.suppress(ConnectionError):  # the server has closed its end
                    server.send(packet, socket.MSG_DONTWAIT)
                del self._ended[server]
                server.close()


# --- a worker ---


def _run(work: Work, prepare: Callable[[], None], server: socket.socket, memory: int, *, network: bool) -> NoReturn:
    begin = threading.Event()
    with contextlib.suppress(AttributeError):  # Linux only: nothing could end a worker whose parent has ended
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def loop() -> None:
        begin.wait()
        code = 1
        try:
            server.send(HEAD.pack(READY, 0.0) + json.dumps([os.getpid(), threading.get_native_id()]).encode())
            _serve(work, server)
            code = 0
        except (DisconnectedError, ConnectionError):
            code = 0
        finally:
            os._exit(code)

    threading.stack_size(STACK_BYTES)
    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    prepare()
    # The limit counts memory already in use, the thread's stack too: it is set after the stack is reserved.
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
    while (request := _request(server)) is not None:
        started = perf_counter()
        output = Output(server)
        try:
            work(request, output)
        except ItukgError as error:
            output.fail(error)
        except (MemoryError, RecursionError):
            output.fail(MemoryLimit("The answer needs more memory or stack than its process has."))
        except DisconnectedError:
            raise
        except Exception:  # noqa: BLE001  (the log has the traceback, and the worker goes on)
            for line in traceback.format_exc().splitlines():  # which may repeat what was sent
                sys.stderr.write(f"    {ascii(line)[1:-1]}\n")
            output.fail(ItukgError("The server failed; its log says why."))
        else:
            output.end(perf_counter() - started)


def _request(server: socket.socket) -> bytes | None:
    """Return the next request, or None once the server has closed its end."""
    packet = server.recv(LENGTH.size + PACKET_BYTES)
    if not packet:
        return None
    (length,) = LENGTH.unpack_from(packet)
    if len(packet) == LENGTH.size + length:  # nearly all requests fit into one packet
        return packet[LENGTH.size :]
    request = bytearray(packet[LENGTH.size :])
    while len(request) < length and (packet := server.recv(PACKET_BYTES)):
        request += packet
    return bytes(request)
