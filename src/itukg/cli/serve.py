"""itukg serve: the release over HTTP."""

from typing import TYPE_CHECKING, Annotated

import typer

from itukg.cli.command import built, say, say_by

if TYPE_CHECKING:
    import socket

    from itukg.settings import Settings


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on [ITUKG_HOST].")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 picks a free one [ITUKG_PORT].")] = None,
    pinned: Annotated[
        str | None, typer.Option("--release", metavar="NAME", help="Serve this built release only [ITUKG_RELEASE].")
    ] = None,
) -> None:
    """Serve SPARQL, JSON-LD and the conformance report over HTTP.

    Builds the release of the files first if it does not exist. If that fails, prints the reason and serves the
    last release. A release that is built later is taken up without a restart; SIGHUP looks for one now. With
    --release, builds nothing and serves the release of that name, whatever is published.
    """
    import signal
    import sys
    from contextlib import suppress
    from functools import partial

    import uvicorn

    from itukg.errors import DataError, ItukgError
    from itukg.release.upkeep import newest
    from itukg.settings import misspelt, read_settings
    from itukg.web.logs import configure, log
    from itukg.web.reload import Reloading
    from itukg.web.server import STOP_SECONDS, SWITCH_SECONDS, Connection, Room, use_all_files

    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is a release to look for another than
    settings = read_settings(host=host, port=port, release=pinned)
    configure(settings.log, settings.log_level)
    if settings.log == "json":
        say_by(log.warning)
    tell = say if settings.log == "text" else log.info
    for warning in misspelt():
        say(warning)
    use_all_files()
    sys.setswitchinterval(SWITCH_SECONDS)
    listening = _listening(settings)  # before anything is loaded
    try:
        release = built(settings, publishes=True)
    except ItukgError as error:
        last = newest(settings.home)
        if last is None or settings.release is not None:
            raise
        say(f"{error}\nServing the last release instead: {last.name}")
        release = last
    shown = f"[{settings.host}]" if ":" in settings.host else settings.host
    settings = settings.model_copy(update={"port": listening.getsockname()[1]})
    address = f"http://{shown}:{settings.port}"
    tell(f"listening on {address} ; loading the release")
    failures: list[DataError] = []

    def failed(error: DataError) -> None:
        failures.append(error)
        server.should_exit = True

    is_pinned = settings.release is not None
    app = Reloading(settings, release, pinned=is_pinned, ready=lambda: tell(f"ready: {address}"), failed=failed)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=partial(Connection, send_timeout=settings.send_timeout, room=Room(settings.connections)),  # type: ignore[arg-type]  # what makes one is enough
        log_config=None,
        log_level=settings.log_level,
        access_log=False,
        timeout_graceful_shutdown=2 * STOP_SECONDS,  # of what does not end with its connection
    )
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listening])
    if failures:
        raise failures[0]
    if not server.started:
        raise typer.Exit(2)


def _listening(settings: "Settings") -> "socket.socket":
    """Return a socket that listens where the settings say. Raises AddressInUse, such as for a port in use."""
    import errno
    import os
    import socket

    from itukg.errors import AddressInUse

    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        other_port = "Try another port: itukg serve --port 8080, or --port 0 for a free one."
        other_host = "Name an address of this machine, such as itukg serve --host 127.0.0.1, or 0.0.0.0 for all."
        advice = other_port if error.errno in (errno.EADDRINUSE, errno.EACCES) else other_host
        raise AddressInUse(f"{settings.host}, port {settings.port}: {reason}. {advice}") from None
