"""itukg: a linked-data knowledge graph of the results frameworks of the ITU."""

from importlib.metadata import version

__version__ = version("itukg")
