"""Evaluates SPARQL: worker processes with limits (`worker`), the pool that clients share (`pool`), and the stores."""
