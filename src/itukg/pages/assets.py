"""Files that pages load beside themselves: the style sheet, scripts and icons of `static/`, and the editor that Vite builds into `_ui/`.

Each has an address with a hash of its content, so that a browser may keep it for ever.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from xxhash import xxh3_64_hexdigest

PREFIX = "/assets"
MEDIA_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
"""Media types of the files, by the end of their names."""


@dataclass(frozen=True)
class Asset:
    """A file that pages load: its address, its media type, its bytes."""

    address: str
    media_type: str
    content: bytes


@cache
def assets() -> Mapping[str, Asset]:
    """Return the files that there are, by name."""
    return {name: _asset(name, file.read_bytes()) for name, file in sorted(_files().items())}


def _files() -> dict[str, Traversable]:
    folders = files("itukg").joinpath("pages", "static"), files("itukg").joinpath("_ui")
    return {
        file.name: file
        for folder in folders
        if folder.is_dir()
        for file in folder.iterdir()
        if file.name.rpartition(".")[2] in MEDIA_TYPES
    }


def _asset(name: str, content: bytes) -> Asset:
    media_type = MEDIA_TYPES[name.rpartition(".")[2]]
    return Asset(f"{PREFIX}/{xxh3_64_hexdigest(content)}/{name}", media_type, content)
