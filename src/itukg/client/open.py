"""Where a graph is: in the installed files, in a folder, or on a server."""

import logging
import re
from os import PathLike, fspath
from pathlib import Path

from itukg.client.graph import KnowledgeGraph
from itukg.client.transport import Connection, connect
from itukg.errors import NotFound
from itukg.settings import Settings, read_settings

log = logging.getLogger("itukg")


def open_graph(where: str | PathLike[str] | None) -> KnowledgeGraph:
    """Return the graph at a place: see `itukg.open`."""
    if where is None:
        return KnowledgeGraph(_of_files(read_settings()))
    if re.match("https?://", place := fspath(where)):
        return KnowledgeGraph(connect(place))
    return KnowledgeGraph(_of_folder(Path(place).expanduser()))


def _of_folder(folder: Path) -> Connection:
    from itukg.client.in_process import connect_in_process
    from itukg.release.model import Release

    if (folder / "manifest.json").is_file():
        return connect_in_process(read_settings(), Release(folder.resolve()))
    if (folder / "ontology").is_dir() and (folder / "data").is_dir():
        home = None if "home" in Settings().model_fields_set else folder / "build"
        return _of_files(read_settings(corpus=folder, home=home))
    raise NotFound(
        f'"{folder}" is neither the folder of a release, which has manifest.json, nor a checkout, which has ontology/ and data/, '
        "nor an address, which begins with http:// or https://."
    )


def _of_files(settings: Settings) -> Connection:
    from itukg.client.in_process import connect_in_process
    from itukg.corpus import Corpus
    from itukg.release.build import build

    release = build(
        Corpus(settings.corpus), settings.home, log.info, allow_unverified=settings.unverified, publishes=False
    )
    return connect_in_process(settings, release)
