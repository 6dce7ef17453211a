"""HTTP: one file for each audience; `app` puts them together."""
