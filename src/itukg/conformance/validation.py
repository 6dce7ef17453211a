"""Validation of data against shapes: the engine's results as findings that an auditor can act on."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace

import pyoxigraph as ox
import rdflib
from rdflib.namespace import DCTERMS, RDF, RDFS, SH, SKOS
from rdflib.term import Node

from itukg import __version__, names
from itukg.conformance.findings import Finding, actor_by, decides, meanings, severity_of
from itukg.conformance.model import Coverage, Header, Report, Rule, Share
from itukg.conformance.shacl import engine, results_of, to_rdflib
from itukg.conformance.shapes import TARGETS, deactivated, targeted

ITU = rdflib.Namespace(names.ITU)
ITUSH = rdflib.Namespace(names.PREFIXES["itush"])
REPORT = names.BASE + "conformance"
"""The IRI of the report on the served release."""
_READ = frozenset(
    ox.NamedNode(str(term))
    for term in (
        RDF.type, RDFS.label, RDFS.subClassOf, SKOS.notation, DCTERMS.source,
        ITU.plan, ITU.quote, ITU.section, ITU.line, ITU.missing, ITU.about, ITU.ofClass, ITU.outcomeOf, ITU.notCalledFor,
    )
)  # fmt: skip
"""The properties that a report reads."""
_OMITTED = frozenset([SH.conforms, SH.sourceConstraint, SH.resultMessage])
"""Properties of the engine's report that ours omits or states otherwise."""
_PLACEHOLDER = re.compile(r"\{[?$]\w+\}")
"""Where a message of a SPARQL constraint has a value."""
_IRI = re.compile(r"https?://[^\s<>\"“”(),;]*\w")

Own = Callable[[Node], bool]
"""Whether a report is about a thing, not merely validated with it."""


def everything(_thing: Node) -> bool:
    """Report on every thing."""
    return True


def validate(data: Collection[ox.Quad], shapes: rdflib.Graph) -> Report:
    """Validate `data`, which includes the ontology, against `shapes`.

    Raises ShapesRefused, with the engine's message: it follows no owl:imports, calls no service, and runs no rule or script.
    """
    return report_of(results_of(data, shapes), for_report(data), shapes)


def for_report(data: Iterable[ox.Quad]) -> rdflib.Graph:
    """Return the triples that a report reads, about half of the data."""
    return to_rdflib(quad for quad in data if quad.predicate in _READ)


def report_of(
    results: rdflib.Graph,
    data: rdflib.Graph,
    shapes: rdflib.Graph,
    header: Header | None = None,
    *,
    files: Mapping[str, str] | None = None,
    own: Own = everything,
) -> Report:
    """Return the report on `data`, which may be only what `for_report` selects, from the engine's `results` for `shapes`.

    `files` maps a thing to the data file that describes it. Findings and coverage are of `own` things only.
    """
    found = [
        (_finding(result, results, data, shapes), result)
        for result in results.objects(None, SH.result)
        if (focus := results.value(result, SH.focusNode)) is not None and own(focus)
    ]
    found.sort(key=lambda each: (each[0].order, str(results.value(each[1], SH.sourceConstraintComponent))))
    seen: Counter[str] = Counter()
    for place, (finding, result) in enumerate(found):
        seen[finding.id] += 1
        # One shape may find two faults in one value, which would have one id.
        key = finding.id if seen[finding.id] == 1 else _hash(f"{finding.id} {seen[finding.id]}")
        found[place] = replace(finding, id=key, file=(files or {}).get(finding.focus)), result
    findings = tuple(finding for finding, _ in found)
    graph = _pure(results, {result: finding for finding, result in found}, shapes)
    rules = _rules(shapes)
    policy = meanings({finding.severity for finding in findings} | {rule.severity for rule in rules})
    header = replace(header or Header(), policy=policy, disallows=tuple(filter(decides, policy)))
    return Report(header, findings, _coverage(data, shapes, findings, own), rules, graph)


def header_of(
    subject: str,
    release: str | None,
    *,
    data: str,
    shapes: str,
    rules: rdflib.Graph,
    graph: rdflib.Graph,
    own: Own = everything,
) -> Header:
    """Return the header of a report on `own` things in `graph`, checked against `rules`, with the hashes of both."""
    profiles = tuple(
        {
            "name": _after_hash(str(profile)) or str(profile),
            "label": str(rules.value(profile, RDFS.label) or profile),
            "definition": str(rules.value(profile, SKOS.definition) or ""),
            "parts": sorted(_after_hash(str(part)) or "" for part in rules.objects(profile, DCTERMS.hasPart)),
        }
        for profile in sorted(rules.subjects(RDF.type, ITUSH.Profile), key=str)
    )
    used = {plan for thing, plan in graph.subject_objects(ITU.plan) if own(thing)}
    plans = {str(code) for plan in used if (code := graph.value(plan, SKOS.notation)) is not None}
    return Header(subject, release, __version__, data, shapes, engine(), profiles, tuple(sorted(plans)))


def for_derived(shapes: rdflib.Graph) -> rdflib.Graph:
    """Return the shapes, with targets only for those that check derived links (`itush:checksDerived`)."""
    checking = rdflib.Graph()
    checking += shapes
    for shape in set(shapes.subjects(RDF.type, SH.NodeShape)):
        if (shape, ITUSH.checksDerived, rdflib.Literal(True)) not in shapes:
            for target in TARGETS:
                checking.remove((shape, target, None))
    return checking


def _finding(result: Node, results: rdflib.Graph, data: rdflib.Graph, shapes: rdflib.Graph) -> Finding:
    def text(graph: rdflib.Graph, node: Node | None, *path: rdflib.URIRef) -> str | None:
        for predicate in path:
            node = graph.value(node, predicate) if node is not None else None
        return None if node is None else str(node)

    shape, focus = results.value(result, SH.sourceShape), results.value(result, SH.focusNode)
    assert shape is not None and focus is not None
    named = _with_iri(shape, shapes)
    path = _path(results.value(result, SH.resultPath), results, shapes)
    value = text(results, result, SH.value)
    severity = severity_of(str(results.value(result, SH.resultSeverity)))
    message = chosen(_messages(results, result, shapes)) or rdflib.Literal("")
    line = min(
        (int(line) for line in map(str, data.objects(focus, ITU.line)) if re.fullmatch("[0-9]{1,9}", line)),
        default=None,
    )
    key = "\n".join((str(named), str(focus), path or "", value or ""))
    return Finding(
        id=_hash(key),
        severity=severity,
        profile=_after_hash(text(shapes, named, RDFS.isDefinedBy)),
        shape=str(named),
        shapeLabel=_text_of(shapes, named, SH.name),
        focus=str(focus),
        focusLabel=text(data, focus, RDFS.label),
        notation=text(data, focus, SKOS.notation),
        plan=text(data, focus, ITU.plan, SKOS.notation) or _plan_named(data, focus, results.value(result, SH.value)),
        path=path,
        value=value,
        message=str(message),
        cure=_cure(shapes, shape, message),
        quote=text(data, focus, ITU.quote),
        document=text(data, focus, DCTERMS.source),
        section=text(data, focus, ITU.section),
        line=line,
        actor=_actor(named, severity, shapes),
        language=message.language,
    )


def _plan_named(data: rdflib.Graph, *things: Node | None) -> str | None:
    """Return the notation of the first of the things that is a plan: a finding about a plan belongs to it."""
    kinds = {ITU.Plan, *data.subjects(RDFS.subClassOf, ITU.Plan)}
    plans = (thing for thing in things if thing is not None and not kinds.isdisjoint(data.objects(thing, RDF.type)))
    return next((str(code) for plan in plans for code in data.objects(plan, SKOS.notation)), None)


def _with_iri(shape: Node, shapes: rdflib.Graph) -> Node:
    """Return the shape, or the nearest shape with an IRI that it is a property shape of."""
    seen = {shape}
    while isinstance(shape, rdflib.BNode):
        outer = shapes.value(predicate=SH.property, object=shape)
        if outer is None or outer in seen:
            break
        seen.add(outer)
        shape = outer
    return shape


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def _actor(shape: Node, severity: str, shapes: rdflib.Graph) -> str:
    """Return who can act: as stated by the shape, else by its profile, else by severity."""
    stated = shapes.value(shape, ITUSH.actor) or shapes.value(shapes.value(shape, RDFS.isDefinedBy), ITUSH.actor)
    return actor_by(severity) if stated is None else _after_hash(str(stated)) or str(stated)


def _path(path: Node | None, results: rdflib.Graph, shapes: rdflib.Graph) -> str | None:
    """Return a path as SPARQL writes it (`itu:plan/^itu:about`), a single property as its IRI."""
    if path is None or isinstance(path, rdflib.URIRef):
        return None if path is None else str(path)
    graph = results if (path, None, None) in results else shapes

    def written(node: Node | None) -> str:
        if node is None or isinstance(node, rdflib.URIRef):
            return names.shorten(str(node))
        if (node, RDF.first, None) in graph:
            return "/".join(map(written, graph.items(node)))
        if (choice := graph.value(node, SH.alternativePath)) is not None:
            return f"({'|'.join(map(written, graph.items(choice)))})"
        if (inverse := graph.value(node, SH.inversePath)) is not None:
            return f"^{written(inverse)}"
        kinds = ((SH.zeroOrMorePath, "*"), (SH.oneOrMorePath, "+"), (SH.zeroOrOnePath, "?"))
        return next((f"({written(graph.value(node, p))}){sign}" for p, sign in kinds if (node, p, None) in graph), "?")

    return written(path)


def chosen(texts: Iterable[Node]) -> rdflib.Literal | None:
    """Return the text of several languages that is shown where there is room for one: English, else without tag, else by tag."""

    def order(text: rdflib.Literal) -> tuple[int, str, str]:
        tag = (text.language or "").lower()
        return (0 if tag == "en" or tag.startswith("en-") else 1 if not tag else 2), tag, str(text)

    return min((text for text in texts if isinstance(text, rdflib.Literal)), key=order, default=None)


def _text_of(graph: rdflib.Graph, node: Node, predicate: Node) -> str | None:
    text = chosen(graph.objects(node, predicate))
    return None if text is None else str(text)


def _messages(results: rdflib.Graph, result: Node, shapes: rdflib.Graph) -> set[Node]:
    """Return the messages of the constraint, else of the shape, with this result's values, in all languages; else the engine's."""
    found = sorted(map(str, results.objects(result, SH.resultMessage)))
    sources = results.value(result, SH.sourceConstraint), results.value(result, SH.sourceShape)
    own, general = (set(shapes.objects(source, SH.message)) if source else set() for source in sources)
    templates = own or general
    # The engine leaves out the language of a message with values: it is that of the template that the message fits.
    messages: set[Node] = set()
    left, taken = list(found), dict[str, str]()
    for template in sorted(
        own | general, key=lambda text: (-len(_PLACEHOLDER.sub("", str(text))), -len(str(text)), str(text))
    ):
        known = [taken[str(template)]] if str(template) in taken else []
        message = next((text for text in [*known, *left, *found] if _fits(text, str(template))), None)
        if message is not None:
            taken[str(template)] = message
            if template in templates:
                said = _short(message, result, results) if _PLACEHOLDER.search(str(template)) else message
                messages.add(rdflib.Literal(said, lang=getattr(template, "language", None)))
            elif message in left:
                found.remove(message)  # the shape's, beside the constraint's
            left = [text for text in left if text != message]
    return messages or set(results.objects(result, SH.resultMessage)) or templates


def _short(message: str, result: Node, results: rdflib.Graph) -> str:
    """Return a message with values in a reader's words: short IRIs, and no names of blank nodes, which the file does not have."""
    for term in (results.value(result, SH.focusNode), results.value(result, SH.value)):
        if isinstance(term, rdflib.BNode):
            message = re.sub(rf"(?<!\w)(_:)?{re.escape(term)}(?!\w)", "a thing without an IRI", message)
    return _IRI.sub(lambda found: names.shorten(found[0]), message)


def _fits(message: str, template: str) -> bool:
    """Return whether a message is a template with values in the places of its placeholders."""
    first, *others = _PLACEHOLDER.split(template)
    if not others:
        return message == template
    *middle, last = others
    place = len(first)
    for part in middle:
        if (found := message.find(part, place)) < 0:
            return False
        place = found + len(part)
    return message.startswith(first) and message.endswith(last) and place + len(last) <= len(message)


def _cure(shapes: rdflib.Graph, shape: Node, message: rdflib.Literal) -> str | None:
    """Return how to mend a finding: the end of the shape's message, or of the constraint's where that differs."""
    general = str(chosen(shapes.objects(shape, SH.message)) or "")
    written = (str(text) for each in shapes.objects(shape, SH.sparql) for text in shapes.objects(each, SH.message))
    cures = [general.partition(": ")[2], *(text.rpartition("}")[2].partition(": ")[2] for text in written)]
    return next((cure for cure in cures if cure and message.endswith(cure)), cures[0] or None)


def _after_hash(iri: str | None) -> str | None:
    return None if iri is None else iri.partition("#")[2]


def _rules(shapes: rdflib.Graph) -> tuple[Rule, ...]:
    """Return the rules that were applied, by profile: shapes that have a message, or a target and no property shape with a message."""

    def rule(shape: Node) -> Rule:
        severity = severity_of(str(shapes.value(shape, SH.severity, default=SH.Violation)))
        profile = shapes.value(shape, RDFS.isDefinedBy)
        return Rule(
            str(shape),
            _text_of(shapes, shape, SH.name) or names.shorten(str(shape)),
            _text_of(shapes, shape, SH.description) or "",
            None if profile is None else _after_hash(str(profile)),
            severity,
            _actor(shape, severity, shapes),
        )

    named = {shape for shape in shapes.subjects(SH.message) if isinstance(shape, rdflib.URIRef)}
    worded = named - deactivated(shapes)
    without_words = {shape for shape in targeted(shapes) if worded.isdisjoint(shapes.objects(shape, SH.property))}
    return tuple(sorted(map(rule, named | without_words), key=lambda rule: (rule.profile or "", rule.shape)))


def _coverage(data: rdflib.Graph, shapes: rdflib.Graph, findings: Iterable[Finding], own: Own) -> tuple[Coverage, ...]:
    """Count, for each completeness shape, the things that have what it asks for: neither a gap instead, nor a plan that does not call for it."""
    broken = {(finding.shape, finding.focus) for finding in findings}
    rows = []
    for shape in sorted(shapes.subjects(RDF.type, SH.NodeShape), key=str):
        kind = shapes.value(shape, SH.targetClass)
        missing = _gap_property(shape, shapes)
        if kind is None or missing is None:
            continue
        kinds = set(data.transitive_subjects(RDFS.subClassOf, kind))
        things = {thing for k in kinds for thing in data.subjects(RDF.type, k) if own(thing)}
        open_ = {thing for thing in things if (str(shape), str(thing)) in broken}
        for gap in data.subjects(ITU.missing, missing):
            about = data.value(gap, ITU.about)
            # of a plan, or of a topic or priority whose outcomes it is about
            parts = (ITU.plan, ITU.outcomeOf) if (gap, ITU.ofClass, kind) in data else ()
            open_ |= things & {about, *(thing for part in parts for thing in data.subjects(part, about))}
        for plan in data.subjects(ITU.notCalledFor, shape):
            open_ |= things & set(data.subjects(ITU.plan, plan))
        plans = {thing: data.value(data.value(thing, ITU.plan), SKOS.notation) for thing in things}
        total, left = (Counter(str(plans[t] or "") for t in of) for of in (things, open_))
        shares = tuple(Share(plan or None, total[plan] - left[plan], total[plan]) for plan in sorted(total))
        if shares:
            profile = shapes.value(shape, RDFS.isDefinedBy)
            rows.append(
                Coverage(
                    str(shape),
                    str(shapes.value(shape, SH.name)),
                    shares,
                    None if profile is None else _after_hash(str(profile)),
                )
            )
    return tuple(rows)


def _gap_property(shape: Node, shapes: rdflib.Graph) -> Node | None:
    """Return the property whose absence a gap may excuse: that of the `sh:qualifiedValueShape` in the shape's `sh:or`."""
    alternatives = shapes.value(shape, SH["or"])
    for alternative in shapes.items(alternatives) if alternatives is not None else ():
        gap_shape = shapes.value(alternative, SH.qualifiedValueShape)
        for part in shapes.objects(gap_shape, SH.property) if gap_shape is not None else ():
            if shapes.value(part, SH.path) == ITU.missing:
                return shapes.value(part, SH.hasValue)
    return None


def _pure(results: rdflib.Graph, findings: Mapping[Node, Finding], shapes: rdflib.Graph) -> bytes:
    """Return the standard report graph without `sh:conforms`, sorted, with an IRI for each result."""
    renamed: dict[Node, Node] = {node: rdflib.URIRef(finding_iri(each.id)) for node, each in findings.items()}
    report = results.value(predicate=RDF.type, object=SH.ValidationReport)
    assert report is not None
    renamed[report] = rdflib.URIRef(REPORT)
    pure = rdflib.Graph(store="SimpleMemory")
    for s, p, o in results:
        left_out = p in _OMITTED or (p == SH.resultPath and isinstance(o, rdflib.BNode))
        left_out |= p == SH.result and o not in renamed  # a result on a thing that the report is not about
        if s in renamed and not left_out:
            pure.add((renamed[s], p, renamed.get(o, o)))
    for node in findings:
        for message in _messages(results, node, shapes):
            pure.add((renamed[node], SH.resultMessage, message))
    lines = pure.serialize(format="nt", encoding="utf-8").splitlines(keepends=True)
    return b"".join(sorted(line for line in lines if line.strip()))


def finding_iri(key: str) -> str:
    """Return the IRI of a finding's result in the report graph."""
    return f"{names.THINGS}finding/{key}"
