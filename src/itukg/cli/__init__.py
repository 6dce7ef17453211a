"""The command line. Exit codes: 0 conforms or done, 1 does not conform or nothing was checked, 2 could not run, 3 not supported."""

import sys
from typing import Annotated

import typer

from itukg.cli.ask import because, describe, diff, lineage, matrix, query
from itukg.cli.audit import budget, gaps, risks
from itukg.cli.build import build
from itukg.cli.check import check, evidence, history
from itukg.cli.command import say
from itukg.cli.curate import accept, propose, triage
from itukg.cli.data import doctor, export, load
from itukg.cli.releases import prune, rollback, verify
from itukg.cli.serve import serve

# Each command imports what it needs when it runs, so that `--help` is quick.

app = typer.Typer(
    epilog="Settings are environment variables (ITUKG_HOME, ITUKG_TIMEOUT, …): see docs/reference.md.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
    pretty_exceptions_enable=False,
)
COMMANDS = (
    build,
    serve,
    query,
    diff,
    describe,
    because,
    matrix,
    lineage,
    budget,
    gaps,
    risks,
    check,
    history,
    evidence,
    propose,
    triage,
    accept,
    export,
    load,
    verify,
    prune,
    rollback,
    doctor,
)


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    """The ITU results knowledge graph: build it, query it, check it, serve it."""  # noqa: D401  (what --help says)
    if version:
        from itukg import __version__

        typer.echo(f"itukg {__version__}")
        raise typer.Exit


OWN_OPTIONS = {"allow_extra_args": True, "ignore_unknown_options": True}
"""Of `query`: each saved query has options of its own."""
for command in COMMANDS:
    app.command(context_settings=OWN_OPTIONS if command is query else None)(command)


def main() -> None:
    """Run the command line; one of our errors gives a message and an exit code, never a traceback."""
    from itukg.errors import ItukgError

    try:
        app()
    except ItukgError as error:
        message = str(error)
        if message[1:2].islower():  # "Not found: no plan …", but "Query refused: SERVICE is …"
            message = message[0].lower() + message[1:]
        say(f"{error.title}: {message}")
        sys.exit(error.exit_code)
    except (OSError, UnicodeDecodeError) as error:
        say(f"Could not run: {error}")
        sys.exit(2)
