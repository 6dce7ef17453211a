"""RDF: parsing, canonical hashes, JSON-LD and its schemas."""
