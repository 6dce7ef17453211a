"""itukg: a linked-data knowledge graph of the results frameworks of the ITU.

`itukg.open()` gives the graph to a Python program: see docs/python.md.
"""

from importlib.metadata import version
from os import PathLike
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from itukg.client import KnowledgeGraph

__all__ = ["__version__", "open"]
__version__ = version("itukg")


def open(where: str | PathLike[str] | None = None) -> "KnowledgeGraph":  # noqa: A001  (reads as itukg.open)
    """Return the knowledge graph, ready to be asked; the same calls give the same answers wherever it is.

    Without `where` it is the release of the installed files, which the first opening builds: about 20 seconds, once.
    With the path of a release's folder, or of a checkout, it is that release, or the one of the checkout's files. With
    an address (`http://…`) it is a server of ours elsewhere. The settings of docs/reference.md hold.

    Close it, or use it in a `with` block; one that is forgotten is closed when the program ends.

    Raises NotFound for a folder that is neither, BadRequest for a wrong setting, DataError for files that cannot be
    read, DoesNotConform for files that are not published, NotReady for a server that is still starting, and
    ServerUnavailable for an address that does not answer or where there is no itukg.
    """
    from itukg.client import open_graph

    return open_graph(where)
