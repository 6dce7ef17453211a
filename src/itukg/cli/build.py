"""itukg build: the release of the files."""

from itukg.cli.command import built, corpus_of, say, settings_of


def build() -> None:
    """Build and publish the release of the files as they stand.

    Reads data/, ontology/ and shapes/, derives what follows, checks the shapes and writes an immutable
    release below ITUKG_HOME. A file that cannot be read, or a violation, publishes nothing.
    """
    settings = settings_of()
    release = built(corpus_of(settings), settings.home)
    say(f"{release.name}: {release.manifest['merged']} triples in the merged graph, {release.path}")
