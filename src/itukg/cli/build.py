"""itukg build: the release of the files."""

from typing import Annotated

import typer

from itukg.cli.command import built, say, settings_of


def build(
    *,
    unverified: Annotated[
        bool,
        typer.Option(
            "--unverified", help="Build data whose words were not checked against the documents [ITUKG_UNVERIFIED]."
        ),
    ] = False,
) -> None:
    """Build and publish the release of the files as they stand.

    Reads data/, ontology/ and shapes/, derives links, validates the data and writes an immutable release
    below ITUKG_HOME. Publishes nothing if a file cannot be read, the data has a violation, or words of it
    were not found in the documents as data/evidence.json says (see itukg evidence).
    """
    release = built(settings_of(unverified=unverified or None))
    say(f"{release.name}: {release.manifest['merged']} triples in the merged graph, {release.path}")
    for name, reason in release.unverified.items():
        say(f"Not verified: {name} {reason}.")
