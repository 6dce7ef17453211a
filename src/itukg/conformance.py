"""SHACL: data against the shapes → a `Report` of findings with a verdict, and its renderings."""

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any

import pyoxigraph as ox
import rdflib
from rdflib.namespace import DCTERMS, RDF, RDFS, SH, SKOS
from rdflib.plugins.sparql import prepareQuery
from rdflib.term import Node

from itukg import names
from itukg.formats import CSV, HTML, JSON, Format, write_graph, write_json
from itukg.html import render

ITU = rdflib.Namespace(names.ITU)
SEVERITIES = ("Violation", "Warning", "Info")
REPORT = names.BASE + "conformance"
"""The IRI of the report on the served release."""


@dataclass(frozen=True)
class Finding:
    """One result, with what an auditor needs to act on it. Names are those of the JSON rows; None where unknown.

    `id` is a hash of shape, focus, path and value, so that it survives rewording. `status` compares with a
    baseline and is None without one.
    """

    id: str
    severity: str
    profile: str | None
    shape: str
    shapeLabel: str | None  # noqa: N815  (the row's key)
    focus: str
    focusLabel: str | None  # noqa: N815
    notation: str | None
    plan: str | None
    path: str | None
    value: str | None
    message: str
    cure: str | None
    quote: str | None
    document: str | None
    section: str | None
    line: int | None
    status: str | None = None


@dataclass(frozen=True)
class Coverage:
    """How many things of a class have what a completeness shape asks for, stated and not excused by a gap."""

    shape: str
    label: str
    covered: int
    total: int

    @property
    def percent(self) -> float:
        """The share that is covered, in percent with one decimal."""
        return round(100 * self.covered / self.total, 1)


@dataclass(frozen=True)
class Report:
    """The outcome of one validation. The verdict counts violations; the SHACL graph is as the standard has it."""

    findings: tuple[Finding, ...]
    coverage: tuple[Coverage, ...]
    graph: bytes
    """The SHACL validation report, in N-Triples, but for `sh:conforms`, which follows from the findings."""
    release: str | None = None

    @property
    def counts(self) -> dict[str, int]:
        """The number of findings by severity, worst first."""
        found = Counter(finding.severity for finding in self.findings)
        return {severity: found[severity] for severity in SEVERITIES}

    @property
    def conforms(self) -> bool:
        """Whether there is no violation."""
        return self.counts["Violation"] == 0

    @property
    def verdict(self) -> str:
        """The verdict in words: "conforms" or "does not conform"."""
        return "conforms" if self.conforms else "does not conform"

    def joined(self, other: "Report") -> "Report":
        """Return this report with the findings of `other` too."""
        findings = tuple(sorted(self.findings + other.findings, key=_order))
        graph = b"".join(sorted({*self.graph.splitlines(keepends=True), *other.graph.splitlines(keepends=True)}))
        return Report(findings, self.coverage, graph, self.release)

    def as_rows(self) -> dict[str, Any]:
        """Return the report as the JSON document that HTTP clients rely on."""
        return {
            "release": self.release,
            "verdict": self.verdict,
            "counts": self.counts,
            "coverage": [asdict(c) | {"percent": c.percent} for c in self.coverage],
            "findings": [asdict(finding) for finding in self.findings],
        }

    @classmethod
    def from_rows(cls, rows: dict[str, Any], graph: bytes) -> "Report":
        """Rebuild a report from `as_rows` and its SHACL graph in N-Triples."""
        coverage = tuple(Coverage(c["shape"], c["label"], c["covered"], c["total"]) for c in rows["coverage"])
        return cls(tuple(Finding(**f) for f in rows["findings"]), coverage, graph, rows["release"])

    def write(self, syntax: Format) -> bytes:
        """Write the report in one of REPORT_FORMATS."""
        if syntax is JSON:
            return write_json(self.as_rows())
        if syntax is CSV:
            return self._write_csv()
        if syntax is HTML:
            return render("conformance.html", report=self, severities=SEVERITIES)
        return write_graph(self._triples(), syntax)

    def write_text(self) -> str:
        """Write the report for a terminal: findings worst first, then the verdict."""
        lines = [
            f"{f.severity}  {names.shorten(f.focus)}  {f.message}\n    {names.shorten(f.shape)}"
            + (f", {names.shorten(f.document)} line {f.line}" if f.document and f.line else "")
            for f in self.findings
        ]
        total = ", ".join(f"{count} {severity}" for severity, count in self.counts.items())
        return "\n".join([*lines, f"{self.verdict}: {total}"]) + "\n"

    def _triples(self) -> Iterable[ox.Triple]:
        # True only where there is no result at all (SHACL, section 3.6), whatever our verdict by severity.
        conforms = ox.Literal(not self.findings)
        yield ox.Triple(ox.NamedNode(REPORT), ox.NamedNode(names.SH + "conforms"), conforms)
        yield from (quad.triple for quad in ox.parse(self.graph, format=ox.RdfFormat.N_TRIPLES))

    def _write_csv(self) -> bytes:
        table = io.StringIO()
        writer = csv.DictWriter(table, [field.name for field in fields(Finding)])
        writer.writeheader()
        writer.writerows(asdict(finding) for finding in self.findings)
        return table.getvalue().encode()


class _PreparedGraph(rdflib.Graph):
    """An rdflib graph that parses each query once: pyshacl asks the same one for every focus node."""

    def query(self, query_object: Any, *args: Any, **kwargs: Any) -> rdflib.query.Result:
        """Answer a query as rdflib does."""
        prepared = _prepare(query_object) if isinstance(query_object, str) else query_object
        return super().query(prepared, *args, **kwargs)


_prepare = lru_cache(maxsize=1024)(prepareQuery)


def to_rdflib(triples: Iterable[ox.Triple | ox.Quad]) -> rdflib.Graph:
    """Copy triples, or quads without their graph names, into an rdflib graph."""
    plain = (t.triple if isinstance(t, ox.Quad) else t for t in triples)
    graph = _PreparedGraph()
    graph.parse(data=ox.serialize(plain, format=ox.RdfFormat.N_TRIPLES) or b"", format="nt")
    return graph


def validate(data: rdflib.Graph, shapes: rdflib.Graph, release: str | None = None) -> Report:
    """Validate `data`, which holds the ontology too, against `shapes`. The engine is hidden in this one function."""
    import pyshacl

    _, results, _ = pyshacl.validate(data, shacl_graph=shapes, inplace=True, inference="none")
    assert isinstance(results, rdflib.Graph)
    found = [(_finding(result, results, data, shapes), result) for result in results.objects(None, SH.result)]
    found.sort(key=lambda pair: _order(pair[0]))
    findings = tuple(finding for finding, _ in found)
    ids = {result: finding.id for finding, result in found}
    graph = _pure(results, ids, {result: finding.message for finding, result in found})
    return Report(findings, _coverage(data, shapes, findings), graph, release)


def for_derived(shapes: rdflib.Graph) -> rdflib.Graph:
    """Return the shapes with targets for those alone that are put to what is derived (`itush:checksDerived`)."""
    kept = _PreparedGraph()
    kept += shapes
    for shape in set(shapes.subjects(RDF.type, SH.NodeShape)):
        if (shape, rdflib.URIRef(names.PREFIXES["itush"] + "checksDerived"), rdflib.Literal(True)) not in shapes:
            for target in (SH.targetClass, SH.targetSubjectsOf, SH.targetObjectsOf, SH.targetNode):
                kept.remove((shape, target, None))
    return kept


def _order(finding: Finding) -> tuple[int, str, str, str, int, str, str]:
    place = finding.shape, finding.document or "", finding.line or 0, finding.focus, finding.value or ""
    return SEVERITIES.index(finding.severity), finding.profile or "", *place


def _finding(result: Node, results: rdflib.Graph, data: rdflib.Graph, shapes: rdflib.Graph) -> Finding:
    def text(graph: rdflib.Graph, node: Node | None, *path: rdflib.URIRef) -> str | None:
        for predicate in path:
            node = graph.value(node, predicate) if node is not None else None
        return None if node is None else str(node)

    shape, focus = results.value(result, SH.sourceShape), results.value(result, SH.focusNode)
    assert shape is not None and focus is not None
    path, value = text(results, result, SH.resultPath), text(results, result, SH.value)
    general = text(shapes, shape, SH.message) or ""
    message = _message(results, result, general)
    line = min((int(str(o)) for o in data.objects(focus, ITU.line)), default=None)
    key = "\n".join((str(shape), str(focus), path or "", value or ""))
    return Finding(
        id=hashlib.sha256(key.encode()).hexdigest()[:16],
        severity=(text(results, result, SH.resultSeverity) or "").removeprefix(names.SH),
        profile=_after_hash(text(shapes, shape, RDFS.isDefinedBy)),
        shape=str(shape),
        shapeLabel=text(shapes, shape, SH.name),
        focus=str(focus),
        focusLabel=text(data, focus, RDFS.label),
        notation=text(data, focus, SKOS.notation),
        plan=text(data, focus, ITU.plan, SKOS.notation),
        path=path,
        value=value,
        message=message,
        cure=general.partition(": ")[2] or None,
        quote=text(data, focus, ITU.quote),
        document=text(data, focus, DCTERMS.source),
        section=text(data, focus, ITU.section),
        line=line,
    )


def _message(results: rdflib.Graph, result: Node, general: str) -> str:
    """Return the message with the values of this result, where the constraint has one beside the shape's general one."""
    found = sorted(str(message) for message in results.objects(result, SH.resultMessage))
    return next((message for message in found if message != general), general)


def _after_hash(iri: str | None) -> str | None:
    return None if iri is None else iri.partition("#")[2]


def _coverage(data: rdflib.Graph, shapes: rdflib.Graph, findings: Iterable[Finding]) -> tuple[Coverage, ...]:
    """Count, for each shape of the completeness pair, the things that neither break it nor have a gap instead."""
    broken = Counter(finding.shape for finding in findings)
    rows = []
    for shape in sorted(shapes.subjects(RDF.type, SH.NodeShape), key=str):
        kind = shapes.value(shape, SH.targetClass)
        missing = _gap_property(shape, shapes)
        if kind is None or missing is None:
            continue
        kinds = set(data.transitive_subjects(RDFS.subClassOf, kind))
        things = {thing for k in kinds for thing in data.subjects(RDF.type, k)}
        excused = set()
        for gap in data.subjects(ITU.missing, missing):
            about = data.value(gap, ITU.about)
            whole = (gap, ITU.ofClass, kind) in data
            excused |= {t for t in things if t == about or (whole and (t, ITU.plan, about) in data)}
        if things:
            covered = len(things) - len(excused) - broken[str(shape)]
            rows.append(Coverage(str(shape), str(shapes.value(shape, SH.name)), covered, len(things)))
    return tuple(rows)


def _gap_property(shape: Node, shapes: rdflib.Graph) -> Node | None:
    """Return the property whose absence a gap may excuse under `shape`: of the `sh:qualifiedValueShape` in its `sh:or`."""
    alternatives = shapes.value(shape, SH["or"])
    for alternative in shapes.items(alternatives) if alternatives is not None else ():
        gap_shape = shapes.value(alternative, SH.qualifiedValueShape)
        for part in shapes.objects(gap_shape, SH.property) if gap_shape is not None else ():
            if shapes.value(part, SH.path) == ITU.missing:
                return shapes.value(part, SH.hasValue)
    return None


def _pure(results: rdflib.Graph, ids: dict[Node, str], messages: dict[Node, str]) -> bytes:
    """Return the standard's report graph but for `sh:conforms`, sorted, with an IRI for each result."""
    renamed: dict[Node, Node] = {node: rdflib.URIRef(f"{names.THINGS}finding/{key}") for node, key in ids.items()}
    report = results.value(predicate=RDF.type, object=SH.ValidationReport)
    assert report is not None
    renamed[report] = rdflib.URIRef(REPORT)
    kept = rdflib.Graph()
    for s, p, o in results:
        left_out = p in (SH.conforms, SH.sourceConstraint) or (p == SH.resultPath and isinstance(o, rdflib.BNode))
        if s in renamed and not left_out:
            kept.add((renamed[s], p, renamed.get(o, o)))
    for node, message in messages.items():
        kept.set((renamed[node], SH.resultMessage, rdflib.Literal(message, lang="en")))
    lines = kept.serialize(format="nt", encoding="utf-8").splitlines(keepends=True)
    return b"".join(sorted(line for line in lines if line.strip()))
