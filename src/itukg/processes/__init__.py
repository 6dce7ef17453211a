"""Processes that do what may take all they can get, and may be killed at any moment: `pool` is the server's side, `worker` the other."""
