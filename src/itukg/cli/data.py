"""Commands that move data and describe the installation: export, load and doctor."""

from typing import Annotated

import typer

from itukg.cli.command import Output, built, corpus_of, progress_bar, say, settings_of, write_out


def export(
    name: Annotated[
        str, typer.Argument(metavar="FILE", help="itukg.nq, itukg.trig.gz, nodes.csv, links.csv, plan-sdg.sssom.tsv, …")
    ],
    output: Output = "-",
) -> None:
    """Write a file of the release, as /data/latest serves it: a dump, a table, a mapping set, a report, the changes.

    Example: itukg export itukg.trig -o itukg.trig
    """
    from itukg.errors import NotFound

    settings = settings_of()
    files = built(settings).files
    if name not in files:
        raise NotFound(f'No file "{name}" in the release; available: {", ".join(files)}.')
    write_out(files[name].read(), output)


def load(
    to: Annotated[
        str,
        typer.Option(
            help="Address of the server's Graph Store Protocol. Oxigraph: http://host:7878/store; Virtuoso: "
            "http://host:8890/sparql-graph-crud-auth; Fuseki: http://host:3030/ds/data; GraphDB: "
            "http://host:7200/repositories/name/rdf-graphs/service."
        ),
    ],
    drop: Annotated[
        str | None,
        typer.Option(metavar="RELEASE", help="An older release to delete from the server afterwards."),
    ] = None,
) -> None:
    """Load the release of the files into a SPARQL server, beside the releases that it holds.

    Sends graph by graph; run it again to resume an interrupted load. A service whose ITUKG_STORE is that
    server's query address takes up the new release once all of it is there.
    ITUKG_STORE_USER with ITUKG_STORE_PASSWORD, or ITUKG_STORE_TOKEN, must be allowed to write.

    Example: itukg load --to http://localhost:7878/store && ITUKG_STORE=http://localhost:7878/query itukg serve
    """
    from itukg.errors import BadRequest
    from itukg.release import publish

    settings = settings_of()
    release = built(settings, publishes=True)
    if drop == release.name:
        raise BadRequest(f"{drop} is the release of the files; --drop deletes only older ones.")
    with progress_bar() as announce:
        loaded = publish.load(release, to, settings, lambda graph, part: announce(graph.rpartition("/")[2], part))
    say(f"{release.name}: {len(loaded.sent)} graphs sent, {len(loaded.there)} already there.")
    if drop is not None:
        say(f"{drop}: {len(publish.drop(drop, to, settings))} graphs deleted.")


def doctor() -> None:
    """Print what this installation finds: files, releases and what is wrong with them, Java, the source documents."""
    import platform

    from itukg import __version__
    from itukg.reasoner import java
    from itukg.release.integrity import faults
    from itukg.release.model import current, known
    from itukg.release.upkeep import folders, leftovers, withdrawn

    settings = settings_of()
    corpus = corpus_of(settings)
    release = current(settings.home)
    intact = {each.name for each in known(settings.home)}
    damaged = [path for path in folders(settings.home) if path.name not in intact]
    left = ", ".join(path.name for path in leftovers(settings.home))
    facts = {
        "itukg": __version__,
        "Python": platform.python_version(),
        "files": f"{corpus.root}: {len(corpus.files())} Turtle files, {len(corpus.queries())} queries",
        "release of the files": corpus.fingerprint(),
        "release served last": release.name if release else f"none whole below {settings.home}: run itukg build",
        "releases": f"{len(intact)} whole, {len(damaged)} damaged",
        "damaged": damaged
        and " ".join(f"{path.name}: {'; '.join(faults(path))}." for path in damaged)
        + " The release of the files comes back by itukg build, any other from a copy; itukg prune removes it.",
        "gone back from": ", ".join(sorted(withdrawn(settings.home))),
        "left by killed builds": left and f"{left}: the next itukg build removes it, or itukg prune",
        "Java": java() or "none: install it with pip install 'itukg[reasoner]'",
        "source documents": str(settings.sources or "none: set ITUKG_SOURCES to their folder"),
    }
    for name, fact in facts.items():
        if fact:
            typer.echo(f"{name + ':':23}{fact}")
