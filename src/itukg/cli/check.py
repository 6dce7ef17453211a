"""Commands for auditors and curators: check, history and evidence."""

import gc
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from itukg.conformance import Report
    from itukg.corpus import Corpus
from itukg.cli.command import Output, corpus_of, say, settings_of, write_out


def check(
    file: Annotated[Path | None, typer.Argument(help="An RDF file to check instead of our own data.")] = None,
    *,
    format: Annotated[
        str, typer.Option(help="text, html, ttl, nt, jsonld, rdf, trig, nq, csv, xlsx, json, pdf, sarif or junit.")
    ] = "text",
    output: Output = "-",
    baseline: Annotated[
        Path | None, typer.Option(help="An older report in JSON, to mark findings as new, persisting or fixed.")
    ] = None,
    waivers: Annotated[
        Path | None, typer.Option(help="A TOML file of waivers (our own data has data/waivers.toml).")
    ] = None,
    profile: Annotated[list[str] | None, typer.Option(help="Check only this profile, such as completeness.")] = None,
    plan: Annotated[list[str] | None, typer.Option(help="Check only this plan, such as buap-2018-2021.")] = None,
    shape: Annotated[list[str] | None, typer.Option(help="Check only this shape, such as itush:GapReported.")] = None,
    focus: Annotated[
        list[str] | None, typer.Option(help="Check only this thing: an IRI, prefixed name or path.")
    ] = None,
    severity: Annotated[
        list[str] | None, typer.Option(help="List only this severity: Violation, Warning or Info.")
    ] = None,
    actor: Annotated[
        list[str] | None, typer.Option(help="List only findings for this actor: us, document or referenceData.")
    ] = None,
    status: Annotated[
        list[str] | None, typer.Option(help="List only this status: new, persisting, fixed or waived.")
    ] = None,
    q: Annotated[list[str] | None, typer.Option("--q", "-q", help="List only findings that contain this text.")] = None,
    with_release: Annotated[
        bool,
        typer.Option("--with-release", help="Check the file with all our data, not only with the schemes."),
    ] = False,
    reasoner: Annotated[bool, typer.Option("--reasoner", help="Check the ontology with HermiT instead.")] = False,
) -> None:
    """Check data against the shapes, and report whether it conforms.

    A file is checked with the ontology and the schemes (SDGs, action lines, instruments, organisations), or with
    --with-release with all our data; findings are only about what the file itself states.

    --profile, --plan, --shape and --focus limit what is checked, and the verdict; --severity, --actor, --status
    and --q limit what is listed. Each may be repeated for alternatives. Exit code 0: conforms; 1: at least one
    violation that is not waived, or no shape looked at anything; 2: could not run; 3: not supported.
    """
    from itukg.conformance import REPORT_FORMATS, Selection, now, read_baseline, read_waivers, waived, write, write_text
    from itukg.errors import BadRequest, DoesNotConform
    from itukg.formats import choose

    if with_release and file is None:
        raise BadRequest("--with-release needs a FILE to check.")
    corpus = corpus_of(settings_of())
    if reasoner:
        from itukg.reasoner import unsatisfiable

        if classes := unsatisfiable(corpus):
            raise DoesNotConform(f"Unsatisfiable: {', '.join(classes)}. Look for two disjoint superclasses.")
        say("The ontology is consistent, and every class can have instances (HermiT).")
        return
    syntax = None if format == "text" else choose(REPORT_FORMATS, None, format)
    chosen = {
        "profile": profile, "plan": plan, "shape": shape, "focus": focus,
        "severity": severity, "actor": actor, "status": status, "q": q,
    }  # fmt: skip
    selection = Selection.of({name: given for name, given in chosen.items() if given})
    before = read_baseline(baseline, selection) if baseline else None
    accepted = waivers or (corpus.waivers() if file is None else None)
    waived_by = read_waivers(accepted) if accepted else []
    report = waived(_checked(corpus, file, with_release=with_release).dated(now()), waived_by, published=file is None)
    report = (report.compared(before) if before else report).selected(selection)
    write_out(write_text(report).encode() if syntax is None else write(report, syntax), output)
    if not report.conforms:
        raise typer.Exit(1)


def _checked(corpus: "Corpus", file: Path | None, *, with_release: bool) -> "Report":
    from rich.console import Console

    from itukg.conformance.check import check_corpus
    from itukg.evidence import unverified
    from itukg.upload.context import ValidationContext, check_file

    gc.disable()  # everything that is read stays in use until the end, so collections would only take time
    try:
        with Console(stderr=True).status("Reading") as shown:  # an animation, where a terminal is attached
            if file is not None:
                context = ValidationContext.of_corpus(corpus)
                return check_file(context, file, with_release=with_release, announce=shown.update)
            quads = list(corpus.quads())
            shown.update(f"Validating {len(quads):,} triples")
            return check_corpus(corpus, quads).with_unverified(unverified(corpus))
    finally:
        gc.enable()


def history(
    format: Annotated[str, typer.Option(help="csv, json or html.")] = "csv",
    output: Output = "-",
) -> None:
    """List the verdict and counts of each release built here, and what changed since the one before."""
    from itukg.conformance import HISTORY_FORMATS, write_history
    from itukg.formats import choose
    from itukg.release.model import history as releases

    syntax = choose(HISTORY_FORMATS, None, format)
    write_out(write_history(releases(settings_of().home), syntax), output)


def evidence(
    file: Annotated[
        Path | None, typer.Argument(help="A data file to check alone; one below data/ is recorded alone.")
    ] = None,
    sources: Annotated[Path | None, typer.Option(help="Folder of the documents' text copies [ITUKG_SOURCES].")] = None,
    format: Annotated[str, typer.Option(help="text, csv (lines that produced nothing) or html.")] = "text",
    output: Output = "-",
) -> None:
    """Check every label and quote against its document and line, and record the result in data/evidence.json.

    Lists the lines that produced nothing and have no reason in data/uncovered/. Exit code 1: a text is not on the
    line that the data states.
    """
    from itukg.errors import DataError, NotAcceptable, NotSupported
    from itukg.evidence import check as check_texts
    from itukg.evidence import data_files, record, write_page, write_table, write_text
    from itukg.formats import write_json

    writers = {"text": lambda found: write_text(found).encode(), "csv": write_table, "html": write_page}
    if format not in writers:
        raise NotAcceptable(f'No format "{format}"; available: {", ".join(writers)}.')
    if file is not None and not file.is_file():
        raise DataError(f"{file}: there is no such file.")
    settings = settings_of(sources=sources)
    if settings.sources is None:
        raise NotSupported("The documents are not part of itukg: give their folder by --sources or ITUKG_SOURCES.")
    corpus = corpus_of(settings)
    results = check_texts(corpus, settings.sources, file)
    write_out(writers[format](results), output)
    only = next((path for path in data_files(corpus) if file is not None and path.samefile(file)), None)
    if file is None or only is not None:
        (corpus.root / "data" / "evidence.json").write_bytes(write_json(record(corpus, results, only)))
    if any(result.missed for result in results):
        raise typer.Exit(1)
