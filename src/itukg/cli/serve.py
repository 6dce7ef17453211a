"""itukg serve: the release over HTTP."""

from typing import Annotated

import typer

from itukg.cli.command import built, say, settings_of


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on [ITUKG_HOST].")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 picks a free one [ITUKG_PORT].")] = None,
) -> None:
    """Serve SPARQL, JSON-LD and the conformance report over HTTP.

    Builds the release of the files first if it does not exist. If that fails, prints the reason and serves the
    last release.
    """
    from functools import partial

    import uvicorn

    from itukg.errors import ItukgError
    from itukg.release.model import current
    from itukg.web.app import create_app
    from itukg.web.server import Connection

    settings = settings_of(host=host, port=port)
    try:
        release = built(settings)
    except ItukgError as error:
        last = current(settings.home)
        if last is None:
            raise
        say(f"{error}\nServing the last release instead: {last.name}")
        release = last
    try:
        uvicorn.run(
            create_app(settings, release),
            host=settings.host,
            port=settings.port,
            http=partial(Connection, send_timeout=settings.send_timeout),  # type: ignore[arg-type]  # what makes one is enough
            log_level="info",
            access_log=False,
        )
    except SystemExit as ended:  # Uvicorn's exit code for a failed start, such as a port in use, is 3
        raise typer.Exit(2 if ended.code else 0) from None
