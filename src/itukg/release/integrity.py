"""Whether a release is whole: the sum of each of its files is written at build, and compared before the release is used."""

import hashlib
import logging
import os
from functools import lru_cache
from pathlib import Path

from itukg.corpus import file_hash

CHECKSUMS = "CHECKSUMS"
"""The file that has the size and the SHA-256 of each other file of a release, and at its end the SHA-256 of its own lines above."""

log = logging.getLogger("itukg")


def seal(folder: Path) -> None:
    """Write the sums of all files of a release, and make sure that files and folder are on the disk, whatever happens to the power."""
    files = sorted(path for path in folder.iterdir() if path.name != CHECKSUMS)
    for path in files:
        sync(path)
    (folder / CHECKSUMS).write_text(_signed("".join(f"{_line(path)}\n" for path in files)))
    sync(folder / CHECKSUMS)
    sync(folder)


def faults(folder: Path) -> list[str]:
    """Return what is wrong with the files of a release, one sentence each: nothing where it is whole."""
    listed = folder / CHECKSUMS
    try:
        content = listed.read_text()
        files = {path.name: path for path in folder.iterdir() if path != listed}
        if odd := [name for name, path in files.items() if not path.is_file()]:
            return [f"{name} is no file" for name in odd]
        lines, digest = content.rpartition("\n")[0].rpartition("\n")[::2]
    except (OSError, UnicodeDecodeError) as error:
        return [f"{CHECKSUMS} cannot be read: {error if isinstance(error, UnicodeDecodeError) else error.strerror}"]
    if content != _signed(f"{lines}\n"):
        return [f"{CHECKSUMS} was changed or cut: its last line is not the sum of those above, {digest[:16]}…"]
    found = []
    for line in lines.split("\n"):
        name = line.split("  ", 2)[-1]
        if name not in files:
            found.append(f"{name} is missing")
            continue
        try:
            if _line(files.pop(name)) != line:
                found.append(f"{name} was changed: it does not have the size and the sum that it was built with")
        except OSError as error:
            found.append(f"{name} cannot be read: {error.strerror}")
    return found + [f"{name} does not belong to it" for name in sorted(files)]


def is_whole(folder: Path) -> bool:
    """Tell whether a release is whole; of one that is not, the log says once why. What was compared is compared again if it changes."""
    try:
        stamps = tuple(sorted((each.name, each.stat().st_size, each.stat().st_mtime_ns) for each in os.scandir(folder)))
    except OSError:
        return False
    return _is_whole(folder, stamps)


@lru_cache(maxsize=256)
def _is_whole(folder: Path, _stamps: object) -> bool:
    wrong = faults(folder)
    if wrong:
        log.warning("Release %s is damaged and is not used: %s.", folder.name, "; ".join(wrong))
    return not wrong


def sync(path: Path) -> None:
    """Wait until a file or a folder is on the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _line(path: Path) -> str:
    return f"{file_hash(path)}  {path.stat().st_size}  {path.name}"


def _signed(lines: str) -> str:
    return f"{lines}{hashlib.sha256(lines.encode()).hexdigest()}\n"
