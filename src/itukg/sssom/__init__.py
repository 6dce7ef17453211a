"""SSSOM: sets of mappings as TSV with their metadata in front, read and written, and as JSON-LD.

Slots, their order and the canonical form are those of SSSOM 1.1; a file without slots of 1.1 is one of 1.0.
https://mapping-commons.github.io/sssom/spec/
"""

from itukg.sssom.model import MappingSet, joined, split
from itukg.sssom.read import read_tsv
from itukg.sssom.write import write_jsonld, write_tsv

__all__ = ["MappingSet", "joined", "read_tsv", "split", "write_jsonld", "write_tsv"]
