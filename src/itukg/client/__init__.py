"""The graph for Python programs: what `itukg.open` returns, and what its calls return."""

from itukg.client.answers import Report, Table, Thing, Value
from itukg.client.graph import KnowledgeGraph
from itukg.client.open import open_graph

__all__ = ["KnowledgeGraph", "Report", "Table", "Thing", "Value", "open_graph"]
