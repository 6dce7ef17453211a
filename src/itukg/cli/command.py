"""What all commands share: settings, files, a store, progress bars and output."""

import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from itukg.corpus import Corpus
    from itukg.engine.sparql import Query
    from itukg.engine.store import Store
    from itukg.formats import Format
    from itukg.release.model import Release
    from itukg.settings import Settings

MIN_COLUMN = 24
"""Characters of a terminal that a column of a table needs; with less, each row is a list."""
Output = Annotated[str, typer.Option("--output", "-o", help='File to write to; "-" is standard output.')]


def settings_of(**given: object) -> "Settings":
    """Return the settings of the environment, overridden by options. Raises BadRequest, naming the wrong setting."""
    from itukg.settings import misspelt, read_settings

    settings = read_settings(**given)
    for warning in misspelt():
        say(warning)
    return settings


def corpus_of(settings: "Settings") -> "Corpus":
    """Return the files that the settings name."""
    from itukg.corpus import Corpus

    return Corpus(settings.corpus)


def built(settings: "Settings", *, publishes: bool = False) -> "Release":
    """Return the release that the settings name, else that of the files; build it if it does not exist.

    It becomes the current one, which a running server takes up, only if `publishes`, or if there is no current one.
    Where that of the files was gone back from, says so and returns the current one.
    """
    from itukg.release.build import build as make
    from itukg.release.upkeep import whole

    if settings.release is not None:
        return whole(settings.home, settings.release)
    corpus = corpus_of(settings)
    with progress_of_build() as announce:
        release = make(corpus, settings.home, announce, allow_unverified=settings.unverified, publishes=publishes)
    if release.name != (name := corpus.fingerprint()):
        say(
            f"The release of the files, {name}, was gone back from; this is {release.name}. To publish that of the files: "
            f"itukg rollback {name}"
        )
    return release


def with_store(settings: "Settings", work: "Callable[[Store], Awaitable[None]]") -> None:
    """Call `work` with a store of the release of the files, then close the store."""
    import asyncio

    from itukg.engine.open import open_in_process

    release = built(settings)

    async def run() -> None:
        store = await open_in_process(release.dataset, settings)
        try:
            await work(store)
        finally:
            await store.close()

    asyncio.run(run())


async def read_answer(store: "Store", query: "Query", syntax: "Format", seconds: float) -> bytes:
    """Answer a query within `seconds`."""
    from time import monotonic

    from itukg.engine.describe import answer_query
    from itukg.engine.store import Dataset

    answer = await answer_query(store, query, Dataset(), syntax, deadline=monotonic() + seconds)
    return await answer.read()


def show_table(csv_with_labels: bytes) -> None:
    """Show an answer on a terminal: IRIs shortened, each with its label; row by row where the columns would be too narrow."""
    import csv
    import io

    from rich.console import Console
    from rich.table import Table

    from itukg import names

    header, *rows = csv.reader(io.StringIO(csv_with_labels.decode()))
    labels = {n: header.index(f"{name}Label") for n, name in enumerate(header) if f"{name}Label" in header}
    shown = [n for n, _ in enumerate(header) if n not in labels.values()]
    console = Console(markup=False, highlight=False)
    narrow = len(shown) * MIN_COLUMN > console.width
    table = Table(header_style="bold", pad_edge=False, box=None, show_header=not narrow)
    for name in ("", "") if narrow else [header[n] for n in shown]:
        table.add_column(name, overflow="fold")
    for row in rows:
        cells = [(names.shorten(row[n]), row[labels[n]] if n in labels else "") for n in shown]
        cells = [(printable(cell), printable(label)) for cell, label in cells]
        texts = [f"{cell} ({label})" if label and label != cell else cell for cell, label in cells]
        if narrow:
            for n, text in zip(shown, texts, strict=True):
                if text:
                    table.add_row(header[n], text)
            table.add_row("", "")
        else:
            table.add_row(*texts)
    console.print(table)
    console.print(f"{len(rows)} row{'' if len(rows) == 1 else 's'}", style="dim")


@contextmanager
def progress_of_build() -> Iterator[Callable[[str], None]]:
    """Show a bar on standard error while a release is built, if that is a terminal."""
    from itukg.release.build import STEPS

    with progress_bar() as announce:
        yield lambda step: announce(step, STEPS.index(step) / len(STEPS))


@contextmanager
def progress_bar() -> Iterator[Callable[[str, float], None]]:
    """Show a bar on standard error, if that is a terminal; call it with the current step and the completed share."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=1.0, visible=False)
        yield lambda step, part: progress.update(task, description=step, completed=part, visible=True)


def write_out(content: bytes, output: str) -> None:
    """Write to a file, or to standard output where `output` is "-". Raises BadRequest for what no terminal shows."""
    if output == "-":
        if on_terminal(output) and content.startswith(_BINARY):
            from itukg.errors import BadRequest

            raise BadRequest("A terminal cannot show this format; name a file: -o FILE.")
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    else:
        Path(output).write_bytes(content)


def write_rows(content: bytes, format: str | None, output: str) -> None:
    """Write what a command prints as CSV by default; where no format was named, to a terminal as a table."""
    if format is None and on_terminal(output):
        show_table(content)
    else:
        write_out(content, output)


def printable(text: str) -> str:
    """Return a text without characters that would steer a terminal."""
    kept = "\n\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}"
    return "".join(each if each.isprintable() or each in kept else "\N{REPLACEMENT CHARACTER}" for each in text)


_BINARY = (b"PK", b"%PDF", b"\x1f\x8b")
"""How spreadsheets, PDF and gzip begin."""


def on_terminal(output: str) -> bool:
    """Tell whether what is written to `output` is read by a person at a terminal."""
    return output == "-" and sys.stdout.isatty()


_write: Callable[[str], None] = partial(typer.echo, err=True)


def say(text: str) -> None:
    """Print a message on standard error, or as `say_by` has said."""
    _write(text)


def say_by(write: Callable[[str], None]) -> None:
    """Let `write` have all messages from now on: those of a server whose log is JSON are lines of it."""
    global _write  # noqa: PLW0603  (a command is a process of its own)
    _write = write
