"""itukg build: the release of the files."""

from typing import Annotated

import typer

from itukg.cli.command import built, corpus_of, say, settings_of


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
    were not found in the documents as data/evidence.json says (see itukg evidence). A release that itukg rollback
    went back from is not published again.
    """
    from itukg.errors import DataError
    from itukg.evidence import unverified as doubts_of
    from itukg.release.build import refuse_unverified
    from itukg.release.model import find, pointed

    settings = settings_of(unverified=unverified or None).model_copy(update={"release": None})
    corpus = corpus_of(settings)
    before = find(settings.home, corpus.fingerprint())
    if before is not None and before.unverified and not settings.unverified:
        refuse_unverified(doubts_of(corpus))
    release = built(settings, publishes=True)
    if pointed(settings.home) != release.name:
        raise DataError(f"{release.name} is built and not published.")  # the log says why
    say(f"{release.name}: {release.manifest['merged']} triples in the merged graph, {release.path}")
    for name, reason in release.unverified.items():
        say(f"Not verified: {name} {reason}.")
