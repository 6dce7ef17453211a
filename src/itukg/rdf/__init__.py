"""RDF: read, hashed, and written as JSON-LD."""
