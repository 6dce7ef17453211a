"""The registers of risks: each risk of each plan with its statements, ratings and mitigations, and what became of it."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from itukg import names
from itukg.engine.store import Store, texts
from itukg.errors import NotFound
from itukg.formats import CSV, HTML, JSON, XLSX, Format, write_json
from itukg.pages import render
from itukg.rdf.jsonld import natural
from itukg.release.overview import Overview
from itukg.tables import Table, write_workbook
from itukg.views.listing import chosen_value
from itukg.views.succession import statements

RISK_FORMATS = (JSON, HTML, CSV, XLSX)
"""Syntaxes of the registers, best first."""


@dataclass(frozen=True)
class Said:
    """Something that a document prints: what it is called, its words and their place."""

    id: str
    code: str
    label: str
    document: str
    section: str
    line: int
    kind: str | None = None


@dataclass(frozen=True)
class Risk:
    """A risk of a plan, how the document rates it, and what it takes up of an older plan's risks."""

    plan: str
    said: Said
    perspective: str | None
    probability: str | None
    impact: str | None
    statements: tuple[Said, ...]
    mitigations: tuple[Said, ...]
    gaps: tuple[Said, ...]
    """What the document calls for and does not give of the risk."""
    succeeds: tuple[str, ...]


async def risks(store: Store, overview: Overview, *, plan: str | None = None) -> list[Risk]:
    """Return the risks of a plan, or of all, in the order of plans and documents.

    Raises BadRequest for an unknown plan, and NotFound for one without risks.
    """
    chosen = chosen_value("plan", plan, overview.values["plan"]) if plan else None
    found = await texts(store, names.PROLOGUE + _query(chosen))
    below = defaultdict[tuple[str, str], dict[str, Said]](dict)
    older = defaultdict[str, set[str]](set)
    tops: dict[str, dict[str, str]] = {}
    for row in found:
        if row["what"] == "risk":
            tops[row["thing"]] = row
            older[row["thing"]] |= {row["older"]} if "older" in row else set()
        else:
            below[row["risk"], row["what"]][row["thing"]] = _said(row)
    made = [
        Risk(
            row["plan"],
            _said(row),
            row.get("perspective"),
            row.get("probability"),
            row.get("impact"),
            succeeds=tuple(sorted(older[iri])),
            **{
                name: tuple(sorted(below[iri, what].values(), key=lambda said: said.line))
                for what, name in _BELOW.items()
            },
        )
        for iri, row in tops.items()
    ]
    if not made and chosen:
        raise NotFound(f"{names.shorten(chosen)} has no risks; without plan, those of all plans that have.")
    return sorted(made, key=lambda risk: (risk.plan, risk.said.line, natural(risk.said.code)))


_BELOW = {"statement": "statements", "mitigation": "mitigations", "gap": "gaps"}
"""What stands below a risk, and where a Risk has it."""


def _query(plan: str | None) -> str:
    of = f"?risk itu:plan <{plan}> ." if plan else ""
    return f"""SELECT * WHERE {{
  {{ itu:mitigatedBy rdfs:domain ?class . ?thing a ?class BIND(?thing AS ?risk) BIND("risk" AS ?what) OPTIONAL {{ ?thing itu:succeeds ?older }} }}
  UNION {{ ?thing itu:statementOf ?risk BIND("statement" AS ?what) }}
  UNION {{ ?thing itu:mitigates ?risk BIND("mitigation" AS ?what) }}
  UNION {{ itu:mitigatedBy rdfs:domain ?class . ?risk a ?class . ?thing itu:about ?risk ; a itu:Gap BIND("gap" AS ?what) }}
  {of}
  ?thing itu:plan ?plan ; skos:notation ?code ; rdfs:label ?label ; dcterms:source ?document ; itu:section ?section ; itu:line ?line .
  OPTIONAL {{ ?thing itu:perspective ?perspective }} OPTIONAL {{ ?thing itu:probability ?probability }}
  OPTIONAL {{ ?thing itu:impact ?impact }} OPTIONAL {{ ?thing itu:mitigationType ?kind }}
}}"""


def _said(row: dict[str, str]) -> Said:
    return Said(
        row["thing"], row["code"], row["label"], row["document"], row["section"], int(row["line"]), row.get("kind")
    )


# --- written ---


async def risks_page(store: Store, overview: Overview, found: Sequence[Risk], query: str = "") -> bytes:
    """Return registers as a page, with what plans say of registers that they do not give.

    `query` is the query string by which it asks for its other syntaxes.
    """
    every = await risks(store, overview) if query else found
    documents = {said.document for risk in every for said in (risk.said, *risk.mitigations)}
    return render(
        "risks.html",
        risks=found,
        every={risk.said.id: risk for risk in every},
        query=query,
        plans={value.iri: value.label for value in overview.values["plan"]},
        told=await statements(store, documents),
        missing=await texts(store, names.PROLOGUE + _MISSING),
    )


_MISSING = """SELECT ?plan ?gap ?label WHERE {
  itu:mitigatedBy rdfs:domain|rdfs:range ?class . ?gap itu:missing ?class ; a itu:Gap ; itu:plan ?plan ; rdfs:label ?label
} ORDER BY ?plan ?gap"""
"""The query of the gaps that are risks, or mitigations, that a plan speaks of and does not give."""


def write_risks(found: Sequence[Risk], syntax: Format) -> bytes:
    """Write registers as JSON, CSV or XLSX: in a table a row for each mitigation, and one for a risk without any."""
    if syntax is JSON:
        return write_json({"rows": [_as_json(risk) for risk in found]})
    table = Table.of_values(_COLUMNS, (row for risk in found for row in _rows(risk)))
    if syntax is CSV:
        return table.write(CSV)
    evidence = [
        {"risk": risk.said.id, "what": what} | asdict(said)
        for risk in found
        for what, each in (("risk", [risk.said]), *((what, getattr(risk, what)) for what in _BELOW.values()))
        for said in each
    ]
    return write_workbook({"risks": table, "evidence": Table.of_values([*evidence[0]] if evidence else [], evidence)})


_COLUMNS = (
    "plan", "risk", "riskLabel", "perspective", "probability", "impact", "statements", "mitigation", "mitigationKind",
    "mitigationLabel", "gaps", "succeeds", "document", "section", "line", "riskId", "mitigationId",
)  # fmt: skip


def _rows(risk: Risk) -> list[dict[str, Any]]:
    about = {
        "plan": names.shorten(risk.plan),
        "risk": risk.said.code,
        "riskLabel": risk.said.label,
        "perspective": risk.perspective,
        "probability": risk.probability,
        "impact": risk.impact,
        "statements": _joined(said.label for said in risk.statements),
        "gaps": _joined(said.label for said in risk.gaps),
        "succeeds": " ".join(map(names.shorten, risk.succeeds)) or None,
        "riskId": risk.said.id,
    }
    return [
        about
        | (
            {
                "mitigation": said.code,
                "mitigationKind": said.kind,
                "mitigationLabel": said.label,
                "mitigationId": said.id,
            }
            if said is not risk.said
            else {}
        )
        | {"document": names.shorten(said.document), "section": said.section, "line": said.line}
        for said in risk.mitigations or (risk.said,)
    ]


def _joined(labels: Iterable[str]) -> str | None:
    return "; ".join(labels) or None


def _as_json(risk: Risk) -> dict[str, Any]:
    said = asdict(risk)
    return {"plan": risk.plan, **said.pop("said"), **{name: value for name, value in said.items() if value is not None}}
