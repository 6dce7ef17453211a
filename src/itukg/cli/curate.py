"""Commands for curators of links: propose and accept."""

from pathlib import Path
from typing import Annotated

import typer

from itukg.cli.command import corpus_of, progress_bar, say, settings_of


def propose(
    plan: Annotated[str, typer.Argument(help="The plan, such as bap-2026-2029.")],
) -> None:
    """Write candidates for links of a plan's topics, outcomes and indicators, with their grounds, for a curator to decide.

    Links lead to SDG targets, action lines and instruments. Grounds are succession, matched indicators, output
    categories, the WSIS-SDG Matrix, and words shared with things that state a link or with the target's own text; no
    language model takes part, and nothing is fetched. The file data/proposals/PLAN.sssom.tsv is a mapping set of a release
    and in none of its graphs.

    In it a curator sets state to accepted, rejected or unsure, and fills in reviewer_label (a role, not a name),
    review_date and comment. Run again, the command keeps what is decided, the head and columns of the curator's own, and
    proposes nothing of what is decided once more.

    Example: itukg propose bap-2026-2029, edit the file, then: itukg accept data/proposals/bap-2026-2029.sssom.tsv
    """
    from itukg.corpus import replace_file
    from itukg.proposals.propose import propose as proposed

    with progress_bar() as announce:
        found = proposed(corpus_of(settings_of()), plan, announce)
    found.path.parent.mkdir(exist_ok=True)
    replace_file(found.path, found.content)
    say(
        f"{found.path}: {found.candidates} candidates, {found.decided} rows decided, {found.without_ground} rows without a ground."
    )
    for subject in found.reworded:
        say(f"Decided before its wording changed: {subject}. Set state to open, propose again, and decide again.")


def accept(
    file: Annotated[Path, typer.Argument(help="A file that itukg propose wrote and a curator edited.")],
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove the accepted links of the file's plans of which it has no row.")
    ] = False,
) -> None:
    """Write the accepted rows of a file of proposals as judged links into data/mappings.ttl.

    Each link has its grounds and the curator's comment as rationale, with role and date. A row of the file that is no
    longer accepted loses its link; a link of which the file has no row stays, unless --prune is given. If a row cannot be
    accepted as it stands, each such row is named with its line, and nothing is written: a row without role or date, of a
    thing that is not there or of the wrong kind, or whose wording has changed since.

    Example: itukg accept data/proposals/bap-2026-2029.sssom.tsv && itukg check && itukg build
    """
    from itukg.proposals.accept import accept as accepted

    corpus = corpus_of(settings_of())
    done = accepted(corpus, file, prune=prune)
    say(f"{done.path}: links added: {done.added}, removed: {done.removed}, in all: {done.total}. Next: itukg check")
    for link in done.elsewhere:
        say(f"Accepted before, and not in {file}: {link}. It stays; --prune removes it.")


def triage(
    file: Annotated[Path, typer.Argument(help="A file that itukg propose wrote.")],
    role: Annotated[
        str, typer.Option(help="The role in which you decide, such as curator of the plan; no person's name.")
    ] = "curator of the plan",
    port: Annotated[int, typer.Option(help="Port to listen on, on this machine only; 0 picks a free one.")] = 0,
) -> None:
    """Decide the candidates of a file of proposals on a page in your browser, one at a time, by keyboard or mouse.

    Keys: y accepts, n rejects, ? leaves it unsure, u takes the last decision back, j and k or the arrows move. Each
    decision is saved at once, with your role and the day. The page is served to this machine only, and to no other site's
    pages; a change of the file by somebody else is never overwritten. Ctrl-C ends.

    Example: itukg triage data/proposals/bap-2026-2029.sssom.tsv --role "curator of the plan"
    """
    import socket
    from contextlib import suppress

    import uvicorn

    from itukg.errors import BadRequest
    from itukg.proposals.background import Facts
    from itukg.proposals.decide import Decisions, one_line
    from itukg.proposals.triage import LOOPBACK, Triage

    if not one_line(role):
        raise BadRequest('The role is empty: name as what you decide, such as --role "curator of the plan".')
    decisions = Decisions(file.resolve(), one_line(role))  # a link to a file stays a link
    pages = Triage(decisions, Facts(corpus_of(settings_of())))
    with socket.create_server((LOOPBACK, port)) as listening:
        port = listening.getsockname()[1]
        typer.echo(f"Triage: http://{LOOPBACK}:{port}/")
        server = uvicorn.Server(uvicorn.Config(pages.app(port), log_level="warning", access_log=False, lifespan="off"))
        with suppress(KeyboardInterrupt):  # which the server raises again once it has ended
            server.run(sockets=[listening])
    counts = decisions.counts
    say(
        f"{counts.total() - counts['open']} of {counts.total()} decided, {counts['accepted']} accepted. "
        f"Next, to write what is accepted into the data: itukg accept {file}"
    )
