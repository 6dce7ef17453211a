"""HTTP: one file per audience. `app` puts them together; each endpoint tells its whole story."""
