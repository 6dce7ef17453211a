"""For researchers: why a link holds, what is linked with what, and what became of a thing and of a plan."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from itukg.errors import BadRequest, MemoryLimit, NotAcceptable, Quota, TooLarge, TooSlow, UnsupportedMediaType
from itukg.formats import HTML, PICTURE_FORMATS, SSSOM, SVG, Format
from itukg.pictures import Picture
from itukg.upload.read import RDF_TYPES
from itukg.views.because import BECAUSE_FORMATS, because, write_because
from itukg.views.changed import chooser, comparison_page, lineage_page
from itukg.views.compare import CHANGES, COMPARE_FORMATS, KINDS, SENT_FORMATS, compare, compare_sent, write_comparison
from itukg.views.grid import MATRIX_FORMATS, is_large, matrix_chooser, matrix_page, write_matrix
from itukg.views.lineage import LINEAGE_FORMATS, Lineage, lineage, write_lineage
from itukg.views.listing import MAX_PAGE_SIZE, PAGE_SIZE, chosen_value, select, selection
from itukg.views.matrix import Matrix, matrix
from itukg.views.network import picture_of_lineage, picture_of_matrix, pictures_of_matrix
from itukg.views.thing import named
from itukg.web import lists
from itukg.web.deps import Address, Answers, Client, Labelled, Negotiated, Served, Text, once, query_of
from itukg.web.embedding import drawn, embedded
from itukg.web.middleware import NO_STORE
from itukg.web.problems import missing_parameter
from itukg.web.service import Service
from itukg.web.uploads import received
from itukg.web.writing import InTurn

router = APIRouter(dependencies=[Depends(once)])

_BECAUSE = Answers(BECAUSE_FORMATS)
_MATRIX = Answers(MATRIX_FORMATS)
_LINEAGE = Answers(LINEAGE_FORMATS)
_COMPARE = Answers(COMPARE_FORMATS)
_EMBED = Answers((HTML,), (NotAcceptable,))


class BecauseParameters(Negotiated):
    """The two ends of a link."""

    subject: Text = Field(description="An IRI, prefixed name, path or code, such as bap-2026-2029/outcome/T1.1-O1.")
    object: Text = Field(description="An IRI, prefixed name, path or code, such as sdg:11.b.")


@_BECAUSE.get(router, "/because")
async def reasons(
    given: Annotated[BecauseParameters, Query()],
    service: Served,
    syntax: Annotated[Format, Depends(_BECAUSE.chosen)],
) -> Response:
    """Return why `subject` is linked with `object`: the chains of sentences, reasons and rules, the shortest first."""
    subject, object_ = [await named(service.store, each) for each in (given.subject, given.object)]
    found = await because(service.store, subject, object_, service.release.overview.terms)
    return Response(write_because(found, syntax, service.release.overview), media_type=syntax.media_type)


def _needed(request: Request, *parameters: str) -> None:
    """Raise BadRequest for the first of some query parameters that a request does not have."""
    for name in parameters:
        if not request.query_params.get(name):
            raise BadRequest(missing_parameter(request.scope["path"], name))


class MatrixParameters(lists.ListParameters):
    """Those of a list, which choose the things whose links count, and what is set against what."""

    rows: Text | None = Field(
        None,
        description="A class, such as output, topic, sdgGoal, or plan; without rows and columns, a page to choose.",
    )
    columns: Text | None = Field(None, description="A class, as for rows.")
    row: Text | None = Field(None, description="One row: an IRI, a prefixed name, a path below /id/, or a code.")
    column: Text | None = Field(None, description="One column, in the same forms.")
    basis: Text | None = Field(
        None, description="The bases of the links that count, separated by commas; by default all but derived."
    )


class DrawnParameters(MatrixParameters):
    """Those of a matrix that is chosen."""

    rows: Text = Field(description="A class, such as output, topic, sdgGoal, or plan.")
    columns: Text = Field(description="A class, as for rows.")


@_MATRIX.get(router, "/matrix")
async def matrices(
    request: Request,
    given: Annotated[MatrixParameters, Query()],
    service: Served,
    in_turn: InTurn,
    at: Address,
    syntax: Annotated[Format, Depends(_MATRIX.chosen)],
) -> Response:
    """Return how many links there are between things of two classes, and what each rests on; with row and column, one cell."""
    if syntax is HTML and not (given.rows and given.columns):
        return Response(
            await matrix_chooser(service.store, service.release.overview, dict(request.query_params)),
            media_type=syntax.media_type,
        )
    _needed(request, "rows", "columns")
    rows = PAGE_SIZE if syntax is HTML else MAX_PAGE_SIZE
    found = await matrix(service.store, service.release.overview, lists.given_in(request), f"{at}/matrix", rows)
    if syntax in PICTURE_FORMATS:
        content = await drawn(await _picture(service, found, syntax), syntax, in_turn)
    elif syntax is HTML:
        content = await matrix_page(service.store, service.release.overview, found, pictures_of_matrix(found))
    else:
        write = in_turn.in_process if is_large(found, syntax) and syntax is not SSSOM else in_turn  # which reads a file
        content = await write(write_matrix, found, syntax, service.release.path)
    return Response(content, headers={"Link": lists.link_header(found.page)}, media_type=syntax.media_type)


@_EMBED.get(router, "/embed/matrix")
async def embedded_matrix(
    request: Request,
    _: Annotated[DrawnParameters, Query()],
    service: Served,
    in_turn: InTurn,
    at: Address,
    _syntax: Annotated[Format, Depends(_EMBED.chosen)],
) -> Response:
    """Return a page with a matrix as a picture, for frames of other sites."""
    found = await matrix(service.store, service.release.overview, lists.given_in(request), f"{at}/matrix")
    return await embedded(await _picture(service, found, SVG), request, in_turn)


async def _picture(service: Service, found: Matrix, syntax: Format) -> Picture:
    terms = service.release.overview.terms
    return await picture_of_matrix(service.store, terms, found, syntax, service.release.name)


class LineageParameters(Labelled):
    """What narrows a chain; empty ones count as absent."""

    plan: Text | None = Field(None, description="Only steps from or to this plan, such as bap-2026-2029.")
    basis: Text | None = Field(None, description="Only links of this basis, such as stated.")


@_LINEAGE.get(router, "/lineage/{path:path}")
async def chain(
    request: Request,
    path: str,
    given: Annotated[LineageParameters, Query()],
    service: Served,
    in_turn: InTurn,
    syntax: Annotated[Format, Depends(_LINEAGE.chosen)],
) -> Response:
    """Return the chain of a thing over all plans: what it takes up, what takes it up, and what changed at each step."""
    found = await _lineage(service, path, given)
    if syntax in PICTURE_FORMATS:
        content = await drawn(await _lineage_drawn(service, found), syntax, in_turn)
    elif syntax is HTML:
        content = await lineage_page(service.store, service.release.overview, found, query=query_of(request))
    else:
        basis = _chosen(service, "basis", given.basis)
        content = await write_lineage(service.store, found, syntax, basis=basis)
    return Response(content, media_type=syntax.media_type)


@_EMBED.get(router, "/embed/lineage/{path:path}")
async def embedded_chain(
    request: Request,
    path: str,
    given: Annotated[LineageParameters, Query()],
    service: Served,
    in_turn: InTurn,
    _syntax: Annotated[Format, Depends(_EMBED.chosen)],
) -> Response:
    """Return a page with the lineage of a thing as a picture, for frames of other sites."""
    return await embedded(await _lineage_drawn(service, await _lineage(service, path, given)), request, in_turn)


async def _lineage(service: Service, path: str, given: LineageParameters) -> Lineage:
    plan, basis = _chosen(service, "plan", given.plan), _chosen(service, "basis", given.basis)
    terms = service.release.overview.terms
    return await lineage(service.store, await named(service.store, path), terms, plan=plan, basis=basis)


async def _lineage_drawn(service: Service, found: Lineage) -> Picture:
    return await picture_of_lineage(service.store, service.release.overview.terms, found, service.release.name)


class CompareParameters(Labelled):
    """Two plans, and what narrows their comparison."""

    a: Text | None = Field(None, description="A plan, such as bap-2026-2029-draft; without a and b, a page to choose.")
    b: Text | None = Field(None, description="Another plan, older or newer, such as bap-2026-2029.")
    class_: Text | None = Field(None, alias="class", description="Only things of this class, such as Outcome.")
    basis: Text | None = Field(None, description="Only links of this basis, such as stated.")
    change: Text | None = Field(None, description=f"Only changes of this kind: {', '.join(KINDS)}.")


@_COMPARE.get(router, "/compare")
async def comparison(
    request: Request,
    given: Annotated[CompareParameters, Query()],
    service: Served,
    in_turn: InTurn,
    syntax: Annotated[Format, Depends(_COMPARE.chosen)],
) -> Response:
    """Return what the newer of two plans takes up, adds and drops of the older, and the links gained and lost."""
    store, overview, parameters = service.store, service.release.overview, dict(request.query_params)
    chosen = [chosen_value("plan", plan, overview.values["plan"]) for plan in (given.a, given.b) if plan]
    if syntax is HTML and not (given.a and given.b):
        return Response(await chooser(store, parameters), media_type=syntax.media_type)
    _needed(request, "a", "b")
    a, b = chosen
    basis, change = _chosen(service, "basis", given.basis), given.change or None
    fitting = selection(overview, {"class": given.class_}) if given.class_ else None
    things = {item.iri for item in await select(store, fitting)} if fitting else None
    found = await compare(store, service.release.saved[CHANGES], a, b, things=things, basis=basis)
    shown = found.only(change)
    if syntax is HTML:
        content = await comparison_page(
            store, overview, found, change=change, given=parameters, query=query_of(request)
        )
    else:
        content = await write_comparison(store, shown, syntax, basis=basis, write=in_turn.in_process)
    return Response(content, media_type=syntax.media_type)


class SentParameters(Labelled):
    """The plan of ours that a sent one is compared with."""

    b: Text = Field(description="A plan of ours, such as bap-2026-2029.")
    basis: Text | None = Field(None, description="Only links of this basis, such as stated.")


_SENT = Answers(
    SENT_FORMATS,
    (TooSlow, TooLarge, UnsupportedMediaType, Quota, MemoryLimit),
    body={media_type: {"schema": {"type": "string"}} for media_type in RDF_TYPES},
    varying=True,
)


@router.post("/compare", **_SENT.described())
async def comparison_with_sent(
    request: Request,
    given: Annotated[SentParameters, Query()],
    service: Served,
    in_turn: InTurn,
    client: Client,
    syntax: Annotated[Format, Depends(_SENT.chosen)],
) -> Response:
    """Compare a plan that is sent, as RDF, with one of ours. Nothing is stored, and nothing is fetched."""
    overview = service.release.overview
    plan, basis = chosen_value("plan", given.b, overview.values["plan"]), _chosen(service, "basis", given.basis)

    async def read(body: bytes, content_type: str, deadline: float) -> dict[str, Any]:
        return await service.validator.plan(body, content_type, deadline=deadline, client=client)

    sent = await received(request, service, client, read)
    found = await compare_sent(service.store, sent, plan, overview.terms, basis=basis)
    content = await write_comparison(service.store, found, syntax, basis=basis, write=in_turn.in_process)
    return Response(content, media_type=syntax.media_type, headers=NO_STORE | {"Vary": "Accept"})


def _chosen(service: Service, name: str, text: str | None) -> str | None:
    """Return the IRI of the value of a filter that a parameter names; an empty one names none."""
    return chosen_value(name, text, service.release.overview.values[name]) if text else None
