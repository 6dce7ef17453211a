"""itukg build: the release of the files."""

from itukg.cli.command import built, corpus_of, say, settings_of


def build() -> None:
    """Build and publish the release of the files as they stand.

    Reads data/, ontology/ and shapes/, derives links, validates the data and writes an immutable release
    below ITUKG_HOME. Publishes nothing if a file cannot be read or the data has a violation.
    """
    settings = settings_of()
    release = built(corpus_of(settings), settings.home)
    say(f"{release.name}: {release.manifest['merged']} triples in the merged graph, {release.path}")
