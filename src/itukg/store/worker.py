"""The other side of the wall: processes that evaluate queries, and may be killed at any moment.

`python -m itukg.store.worker DATASET FD` loads the release once and then forks a worker, which is ready at once and
shares the memory, whenever it is asked to (a "zygote"). A worker has one socket, to the server; it can open
no other socket and no file, so that no query reaches the network or the disk.

Both sides speak in frames: one byte of kind, four bytes of length, the content.
"""

import contextlib
import ctypes
import gc
import json
import os
import re
import resource
import signal
import socket
import struct
import sys
import threading
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, NoReturn

import pyoxigraph as ox

from itukg import names
from itukg.errors import BadRequest, ItukgError, MemoryLimit, NotAcceptable, QueryRefused, SyntaxProblem
from itukg.formats import GRAPH_FORMATS, PROFILE_FORMATS, TABLE_FORMATS, Format, best_labels, write_graph, write_table
from itukg.store import after_prologue, blank_out

HEAD = struct.Struct("!cI")
DONE = struct.Struct("!dd")
"""What END holds: the seconds that the answer took, and the seconds of processor time that the worker has used so far."""
READY, DATA, END, ERROR = b"R", b"D", b"E", b"X"
FORK, KILL = b"F", b"K"
PIECE = 128 * 1024
"""Bytes of an answer that are sent at once."""
STACK = 256 * 1024 * 1024
"""Bytes of stack for the thread that evaluates: the parser recurses into every bracket."""

_PR_SET_PDEATHSIG = 1
_SYNTAXES = {syntax.media_type: syntax for syntax in (*TABLE_FORMATS, *GRAPH_FORMATS, *PROFILE_FORMATS)}
_ERRORS: dict[str, Callable[..., ItukgError]] = {
    error.__name__: error for error in (BadRequest, ItukgError, MemoryLimit, NotAcceptable, QueryRefused, SyntaxProblem)
}


def pack_question(query: str, default: Collection[str], named: Collection[str], syntax: Format) -> bytes:
    """Return the frame that asks a worker."""
    content = json.dumps([query, list(default), list(named), syntax.media_type]).encode()
    return HEAD.pack(DATA, len(content)) + content


def pack_error(error: ItukgError) -> bytes:
    """Return what ERROR holds."""
    return json.dumps([type(error).__name__, str(error), error.extras()]).encode()


def unpack_error(content: bytes) -> ItukgError:
    """Return the error that a worker tells of."""
    kind, message, extras = json.loads(content)
    return _ERRORS[kind](message, **extras)


# --- the zygote ---


def main() -> None:
    """Load the release, then fork and kill workers as told, until the server closes its end."""
    dataset, number = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which then closes the socket
    engine = ox.Store()
    control = socket.socket(fileno=int(number))
    try:
        engine.bulk_load(path=dataset, format=ox.RdfFormat.N_QUADS)
    except (OSError, SyntaxError) as error:
        sys.exit(f"{dataset}: {error}")
    # What is read when first needed is read now: a worker can open no file.
    for syntax in (*GRAPH_FORMATS, *PROFILE_FORMATS):
        write_graph(
            [ox.Triple(ox.BlankNode(), ox.NamedNode(names.ITU + "note"), ox.Literal("é", language="en"))], syntax
        )
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
                _work(engine, socket.socket(fileno=handles[0]), memory, network=bool(pid))
            children.add(child)
            os.close(handles[0])
    for pid in children:
        _kill(pid)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


# --- a worker ---


def _work(engine: ox.Store, server: socket.socket, memory: int, *, network: bool) -> NoReturn:
    begin = threading.Event()
    with contextlib.suppress(AttributeError):  # Linux has it: nobody could end a worker whose parent is gone
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def loop() -> None:
        begin.wait()
        try:
            ready = json.dumps([os.getpid(), threading.get_native_id()]).encode()
            server.sendall(HEAD.pack(READY, len(ready)) + ready)
            _serve(engine, server)
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


def _serve(engine: ox.Store, server: socket.socket) -> None:
    for question in _questions(server):
        started = perf_counter()
        output = _Output(server)
        try:
            answer(engine, *json.loads(question), output=output)
            kind, content = END, DONE.pack(perf_counter() - started, process_time())
        except ItukgError as error:
            kind, content = ERROR, pack_error(error)
        except MemoryError:
            kind, content = ERROR, pack_error(MemoryLimit("The answer needs more memory than a query may take."))
        except OSError:
            raise  # the server has closed its end
        except Exception:  # noqa: BLE001  (the worker goes on, and the log tells)
            traceback.print_exc()
            kind, content = ERROR, pack_error(ItukgError("The fault is ours; it is in the log."))
        output.send(HEAD.pack(kind, len(content)) + content)


def _questions(server: socket.socket) -> Iterator[bytes]:
    """Yield each question as it comes, until the server closes its end. It asks one at a time."""
    with server.makefile("rb", buffering=PIECE) as asked:
        while head := asked.read(HEAD.size):
            yield asked.read(HEAD.unpack(head)[1])


class _Output:
    """A file for the engine to write into: what it writes leaves in frames, the last of them with what follows."""

    def __init__(self, server: socket.socket) -> None:
        self._server = server
        self._held: list[bytes] = []
        self._size = 0

    def write(self, content: bytes) -> int:
        self._held.append(bytes(content))
        self._size += len(content)
        if self._size >= PIECE:
            self.send(b"")
        return len(content)

    def flush(self) -> None:
        """Nothing: what is held leaves with the end."""

    def send(self, more: bytes) -> None:
        held = b"".join(self._held)
        head = HEAD.pack(DATA, len(held)) if held else b""
        self._held.clear()
        self._size = 0
        self._server.sendall(head + held + more)


# --- evaluating ---


def answer(
    engine: ox.Store, query: str, default: list[str], named: list[str], media_type: str, *, output: "_Output"
) -> None:
    """Evaluate `query` and write its answer; raises what `Store.answer` raises, but for the time limit."""
    syntax = _SYNTAXES[media_type]
    try:
        graphs = {
            key: [ox.NamedNode(iri) for iri in iris]
            for key, iris in (("default_graph", default), ("named_graphs", named))
            if default or named
        }
    except ValueError as error:
        raise BadRequest(f"A graph of the dataset is named by no IRI: {error}") from None
    evaluate: Callable[[str], Any] = lambda text: engine.query(text, **graphs)  # type: ignore[arg-type]  # noqa: E731
    try:
        results = evaluate(in_order_of_columns(query, evaluate))
        if isinstance(results, ox.QueryTriples):
            output.write(write_graph(results, syntax))
        elif syntax.labels:
            output.write(write_table(results, syntax, partial(labels_in, engine)))
        else:
            results.serialize(output, format=syntax.engine)
    except SyntaxError as error:
        raise syntax_problem(error) from None
    except (RuntimeError, OSError) as error:
        raise QueryRefused(f"The engine does not run this query: {error}") from None


def labels_in(engine: ox.Store, things: Collection[str]) -> Mapping[str, str]:
    """Return what things are called in the merged graph, whatever the query's own dataset."""
    label, merged = ox.NamedNode(names.PREFIXES["rdfs"] + "label"), ox.DefaultGraph()
    stated = ((t, q.object) for t in things for q in engine.quads_for_pattern(ox.NamedNode(t), label, None, merged))
    return best_labels((thing, text) for thing, text in stated if isinstance(text, ox.Literal))


_STAR = re.compile(r"SELECT(\s+(?:DISTINCT|REDUCED))?\s*\*", re.IGNORECASE)
_BODY = re.compile(r"(?:\bWHERE\s*)?\{", re.IGNORECASE)


def in_order_of_columns(query: str, evaluate: Callable[[str], Any]) -> str:
    """Return `query` with its `SELECT *` spelled out in the order in which it names its variables.

    The engine orders them by name. Which are in scope it tells itself, of the same query with a filter that
    nothing passes.
    """
    if "*" not in query:
        return query
    bare = blank_out(query)
    begin = after_prologue(bare)
    star = _STAR.match(bare, begin)
    body = _BODY.search(bare, star.end()) if star else None
    if star is None or body is None:
        return query
    asked = f"{query[:begin]}SELECT * WHERE {{ {{ SELECT{star[1] or ''} * {query[body.start() :]}\n}} FILTER(false) }}"
    try:
        scope = [variable.value for variable in evaluate(asked).variables]
    except (SyntaxError, RuntimeError, OSError):
        return query  # the engine says of the query itself what is wrong with it
    columns = by_appearance(query, scope)
    if columns == scope:
        return query
    return query[: star.end() - 1] + " " + " ".join(f"?{name}" for name in columns) + query[star.end() :]


def by_appearance(query: str, columns: list[str]) -> list[str]:
    """Return the columns of a `SELECT *` in the order in which it names them, those of another query as they are."""
    bare = blank_out(query)
    star = _STAR.match(bare, after_prologue(bare))
    if star is None:
        return columns
    first: dict[str, int] = {}
    for found in re.finditer(r"[?$](\w+)", bare[star.end() :]):
        first.setdefault(found[1], found.start())
    return sorted(columns, key=lambda name: first.get(name, len(bare)))


def syntax_problem(error: SyntaxError) -> SyntaxProblem:
    """Turn the engine's "error at 2:1: expected …" into a SyntaxProblem with line and column."""
    place = re.match(r"error at (\d+):(\d+): (.*)", str(error), re.DOTALL)
    if place is None:
        return SyntaxProblem(str(error))
    line, column = int(place[1]), int(place[2])
    return SyntaxProblem(f"line {line}, column {column}: {place[3]}", line, column)


if __name__ == "__main__":
    main()
