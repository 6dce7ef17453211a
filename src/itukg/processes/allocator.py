"""The memory allocator of processes that we start."""

import contextlib
import ctypes
from importlib import metadata


def allocator() -> dict[str, str]:
    """Return the environment of a process whose memory is managed by mimalloc, where that is installed.

    Queries and validation allocate much and little at a time: with it a query takes about a sixth less time than with
    glibc's, the validation of millions of triples a third less.
    """
    with contextlib.suppress(metadata.PackageNotFoundError):
        for file in metadata.files("cmeel-mimalloc") or ():
            if file.name == "libmimalloc.so":
                # What it reserves at once, a worker may use beyond its limit.
                return {"LD_PRELOAD": str(file.locate()), "MIMALLOC_ARENA_RESERVE": "64MiB"}
    return {"MALLOC_ARENA_MAX": "1"}


def give_back_memory() -> None:
    """Give back to the system what was freed, where mimalloc holds it: every process that is forked would hold it too."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).mi_collect(True)
