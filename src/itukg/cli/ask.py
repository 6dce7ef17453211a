"""Commands that answer from the release of the files: query, describe, because, matrix, lineage and diff."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from itukg.corpus import Corpus
    from itukg.engine.store import Store
    from itukg.queries import SavedQuery
from itukg.cli.command import (
    Output,
    built,
    corpus_of,
    on_terminal,
    printable,
    read_answer,
    settings_of,
    show_table,
    with_store,
    write_out,
    write_rows,
)


def query(
    context: typer.Context,
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE_OR_TEXT",
            help="A SPARQL query, a .rq file, - for standard input, or the name of a saved query.",
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            help="srj, srx, csv, tsv, json, xlsx; for graphs ttl (default), nt, jsonld, rdf, trig, nq. By default a table on a "
            "terminal, else csv."
        ),
    ] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds that the query may take [ITUKG_TIMEOUT].")] = None,
    output: Output = "-",
    list: Annotated[bool, typer.Option("--list", help="List the saved queries with their options.")] = False,
) -> None:
    """Answer a SPARQL query on the release of the files.

    Examples: itukg query outputs-for-sdg-target --target 4.4; itukg query my.rq --format tsv;
    itukg query 'SELECT * WHERE { ?s a itu:Output }'. After the name of a saved query, its parameters are options;
    --list names them. A query need not declare our prefixes.
    """
    from itukg.engine.sparql import offers_for, read_query
    from itukg.formats import CSV, choose
    from itukg.views.saved import terms_of

    settings = settings_of(timeout=timeout)
    corpus = corpus_of(settings)
    if source is None and not list:
        raise typer.BadParameter("Give a query, a file, or the name of a saved query; --list names those.")
    if list or source is None:
        write_out("".join(f"{_told(each)}\n" for each in corpus.queries()).encode(), output)
        return
    saved = corpus.query(source) if source != "-" and re.fullmatch(r"[\w-]+", source) else None
    given = _options(context.args, saved)
    text = saved.text if saved else _text(source, corpus)
    parsed = read_query(text, settings.services, known_prefixes=True)
    offers = offers_for(parsed.form)
    shown = format is None and CSV in offers and on_terminal(output)
    syntax = choose(offers, None, format or (CSV.name if CSV in offers else None), shown or None)

    async def answer(store: "Store") -> None:
        asked = parsed
        if saved and given:
            asked = read_query(saved.bound(**await terms_of(store, built(settings).overview, saved, given)))
        if shown:
            show_table(await read_answer(store, asked, syntax, settings.timeout))
        else:
            write_out(await read_answer(store, asked, syntax, settings.timeout), output)

    with_store(settings, answer)


def _told(saved: "SavedQuery") -> str:
    """Return what `--list` says of a saved query."""
    options = (f"\n    --{p.name} ({p.kind}; {p.shown or 'all'} unless given)" for p in saved.parameters)
    return f"{saved.name}: {saved.summary}{''.join(options)}"


def _options(arguments: list[str], saved: "SavedQuery | None") -> dict[str, str]:
    """Return the values of a saved query's parameters. Raises BadRequest for what is none, naming those that it has."""
    from itukg.errors import BadRequest

    known = [parameter.name for parameter in saved.parameters] if saved else []
    given: dict[str, str] = {}
    left = [*arguments]
    while left:
        option, equals, value = left.pop(0).partition("=")
        name = option.removeprefix("--")
        if option == name or name not in known:
            options = (
                f"; options of {saved.name}: {', '.join(f'--{each}' for each in known) or 'none'}" if saved else ""
            )
            raise BadRequest(f'No option "{option}" here{options}.')
        if not equals and not left:
            raise BadRequest(f"{option} needs a value.")
        given[name] = value if equals else left.pop(0)
    return given


def diff(
    older: Annotated[str, typer.Argument(help="The older plan, such as bap-2026-2029-draft.")],
    newer: Annotated[str, typer.Argument(help="The newer plan, such as bap-2026-2029.")],
    format: Annotated[
        str, typer.Option(help="csv, tsv, xlsx, srj, srx; json and html with the links gained and lost.")
    ] = "csv",
    output: Output = "-",
) -> None:
    """List what a newer plan takes up, adds and drops of an older one, however many plans lie between.

    A reader judged each succession and gave a reason. As a table it is the saved query changes-between-plans.

    Example: itukg diff bap-2026-2029-draft bap-2026-2029 --format html -o changes.html
    """
    from itukg import names
    from itukg.engine.sparql import read_query
    from itukg.formats import HTML, JSON, TABLE_FORMATS, choose
    from itukg.views.changed import comparison_page
    from itukg.views.compare import CHANGES, write_comparison
    from itukg.views.compare import compare as comparison
    from itukg.views.succession import changes

    settings = settings_of()
    query = corpus_of(settings).query(CHANGES)
    syntax = choose((HTML, JSON, *TABLE_FORMATS), None, format)
    first, second = names.expand(older), names.expand(newer)

    async def write(store: "Store") -> None:
        await changes(store, query, first, second)  # which raises where there are none
        if syntax in (HTML, JSON):
            found = await comparison(store, query, first, second)
            if syntax is HTML:
                given = {"a": older, "b": newer}
                overview = built(settings).overview
                page = await comparison_page(
                    store, overview, found, change=None, given=given, query=f"a={older}&b={newer}"
                )
                write_out(page, output)
            else:
                write_out(await write_comparison(store, found, syntax), output)
        else:
            asked = read_query(query.bound(olderPlan=first, newerPlan=second))
            write_out(await read_answer(store, asked, syntax, settings.timeout), output)

    with_store(settings, write)


def lineage(
    thing: Annotated[
        str, typer.Argument(help="An IRI, a prefixed name, a path (bap-2026-2029/outcome/T1.1-O1), or a code.")
    ],
    format: Annotated[
        str, typer.Option(help="text, csv, json, html, xlsx; as a picture svg, mmd, graphml or dot.")
    ] = "text",
    output: Output = "-",
) -> None:
    """Print where a thing comes from and what became of it, over all plans, with the words and links that changed.

    Example: itukg lineage bap-2026-2029/outcome/T1.1-O1
    """
    from itukg.formats import HTML, PICTURE_FORMATS, choose
    from itukg.pictures import write_picture
    from itukg.views.changed import lineage_page
    from itukg.views.lineage import LINEAGE_FORMATS, TEXT, write_lineage
    from itukg.views.lineage import lineage as chain
    from itukg.views.network import picture_of_lineage
    from itukg.views.thing import named

    settings = settings_of()
    syntax = choose((TEXT, *LINEAGE_FORMATS), None, format)
    release = built(settings)
    terms = release.overview.terms

    async def write(store: "Store") -> None:
        found = await chain(store, await named(store, thing), terms)
        if syntax in PICTURE_FORMATS:
            content = write_picture(await picture_of_lineage(store, terms, found, release.name), syntax)
        elif syntax is HTML:
            content = await lineage_page(store, release.overview, found)
        else:
            content = await write_lineage(store, found, syntax)
        write_out(content, output)

    with_store(settings, write)


def describe(
    iri: Annotated[
        str,
        typer.Argument(help="An IRI, a prefixed name (sdg:9.c), a path (buap-2018-2021/output/2.1), or a code (9.c)."),
    ],
    format: Annotated[
        str | None,
        typer.Option(
            help="text, jsonld, ttl, nt, rdf, html; its results chain as svg, mmd, graphml or dot. By default text on a "
            "terminal, else jsonld."
        ),
    ] = None,
    output: Output = "-",
) -> None:
    """Print what the graph says of a thing, with the evidence behind its links.

    Example: itukg describe bap-2026-2029/outcome/T1.1-O1
    """
    from itukg.formats import HTML, PICTURE_FORMATS, THING_FORMATS, choose
    from itukg.pictures import write_picture
    from itukg.views.network import picture_of_thing
    from itukg.views.profile import profile_page, profile_text
    from itukg.views.thing import describe as described
    from itukg.views.thing import named

    settings = settings_of()
    named_format = format or ("text" if on_terminal(output) else "jsonld")
    syntax = None if named_format == "text" else choose(THING_FORMATS, None, named_format)
    release = built(settings)
    terms = release.overview.terms

    async def write(store: "Store") -> None:
        thing = await named(store, iri)
        if syntax is None:
            content = printable((await profile_text(store, release, thing)).decode()).encode()
        elif syntax in PICTURE_FORMATS:
            content = write_picture(await picture_of_thing(store, terms, thing, release.name), syntax)
        elif syntax is HTML:
            content = await profile_page(store, release, thing)
        else:
            content = await described(store, thing, syntax)
        write_out(content, output)

    with_store(settings, write)


def because(
    subject: Annotated[
        str, typer.Argument(help="An IRI, a prefixed name, a path (bap-2026-2029/outcome/T1.1-O1), or a code.")
    ],
    object: Annotated[str, typer.Argument(help="What it is linked with, in the same forms (sdg:11.b).")],
    format: Annotated[str, typer.Option(help="md, json, html, ttl, nt, jsonld, rdf, trig or nq.")] = "md",
    output: Output = "-",
) -> None:
    """Print why a link holds: the sentences, reasons and rules behind it, the shortest chain first.

    Example: itukg because bap-2026-2029/outcome/T1.1-O1 sdg:11.b
    """
    from itukg.formats import choose
    from itukg.views.because import BECAUSE_FORMATS, write_because
    from itukg.views.because import because as reasons
    from itukg.views.thing import named

    settings = settings_of()
    syntax = choose(BECAUSE_FORMATS, None, format)
    overview = built(settings).overview

    async def write(store: "Store") -> None:
        found = await reasons(store, await named(store, subject), await named(store, object), overview.terms)
        write_out(write_because(found, syntax, overview), output)

    with_store(settings, write)


def matrix(
    rows: Annotated[
        str, typer.Option(help="A class, such as output, topic, actionLine, sdgGoal, or plan.")
    ] = "sdgGoal",
    columns: Annotated[str, typer.Option(help="A class, as for --rows.")] = "plan",
    plan: Annotated[str | None, typer.Option(help="The plan whose links count, such as buap-2018-2021.")] = None,
    basis: Annotated[str | None, typer.Option(help="Such as stated,derived; by default all but derived.")] = None,
    format: Annotated[
        str | None, typer.Option(help="csv, xlsx, json, html; as a picture svg, mmd, graphml or dot. By default csv.")
    ] = None,
    output: Output = "-",
) -> None:
    """Print how many links there are between things of two classes, and what each rests on; to a terminal as a table.

    Example: itukg matrix --rows actionLine --columns sdgGoal --plan buap-2018-2021 --format xlsx -o matrix.xlsx
    """
    from itukg.formats import HTML, PICTURE_FORMATS, choose
    from itukg.pictures import write_picture
    from itukg.views.grid import MATRIX_FORMATS, matrix_page, write_matrix
    from itukg.views.matrix import matrix as matrix_of
    from itukg.views.network import picture_of_matrix, pictures_of_matrix

    settings = settings_of()
    syntax = choose(MATRIX_FORMATS, None, format or "csv")
    release = built(settings)
    given = {"rows": rows, "columns": columns, "plan": plan, "basis": basis}

    async def write(store: "Store") -> None:
        found = await matrix_of(
            store, release.overview, {name: text for name, text in given.items() if text}, "/matrix"
        )
        if syntax in PICTURE_FORMATS:
            picture = await picture_of_matrix(store, release.overview.terms, found, syntax, release.name)
            content = write_picture(picture, syntax)
        elif syntax is HTML:
            content = await matrix_page(store, release.overview, found, pictures_of_matrix(found))
        else:
            content = write_matrix(found, syntax, release.path)
        write_rows(content, format, output)

    with_store(settings, write)


def _text(source: str, corpus: "Corpus") -> str:
    from itukg.errors import NotFound

    if source == "-":
        return sys.stdin.read()
    if source.endswith(".rq"):
        if not Path(source).is_file():
            saved = ", ".join(q.name for q in corpus.queries())
            raise NotFound(f"No file {source}. Give a saved query by its name: {saved}.")
        return Path(source).read_text()
    return source
