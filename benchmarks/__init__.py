"""Measurements of the service. Three modules are commands: `compare` (peers and targets), `soak` (attack), `shacl` (validation)."""
