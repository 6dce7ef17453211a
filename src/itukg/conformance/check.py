"""The validation of all our data, and the function that every validation uses."""

from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches

import pyoxigraph as ox
import rdflib
from rdflib.namespace import RDFS, SH

from itukg import names
from itukg.conformance import (
    Own,
    Report,
    everything,
    for_derived,
    for_report,
    header_of,
    report_of,
    results_of,
    to_rdflib,
    validate,
)
from itukg.conformance.model import MIN_LIKENESS
from itukg.conformance.shapes import unused
from itukg.conformance.targets import nodes_of
from itukg.conformance.validation import ITUSH
from itukg.corpus import Corpus
from itukg.rdf.parse import canonical_hash

TERM_KNOWN = ITUSH.TermKnown
"""The shape that finds what is no term of the ontology."""
_ONTOLOGY = ox.NamedNode(names.graph("ontology"))
_DEFINED = ox.NamedNode(str(RDFS.isDefinedBy))


def check_corpus(corpus: Corpus, quads: list[ox.Quad], derived: list[ox.Quad] | None = None) -> Report:
    """Validate the `quads` of the corpus, without entailments, against the shapes among them.

    Derived links are validated apart, for their evidence only: they must not fill what a document leaves open.
    """
    name = corpus.fingerprint()
    files = {names.graph(graph): path.relative_to(corpus.root).as_posix() for path, graph in corpus.files().items()}
    shapes = ox.NamedNode(names.graph("shapes"))
    rules = [quad for quad in quads if quad.graph_name == shapes]
    data = [quad for quad in quads if quad.graph_name != shapes]
    report = check_quads(data, rules, files, name, release=name)
    if not derived:
        return report
    # A rule may derive a link that a curator has accepted: the triple is then theirs.
    beside = {ox.NamedNode(names.graph(name)) for name in ("ontology", "mappings")}
    known = [quad for quad in quads if quad.graph_name in beside]
    return report.joined(validate([*known, *derived], for_derived(to_rdflib(rules))))


def check_quads(
    data: list[ox.Quad],
    rules: list[ox.Quad],
    files: dict[str, str],
    subject: str,
    *,
    release: str | None = None,
    own: Own = everything,
) -> Report:
    """Validate `data`, which includes the ontology, against the shapes in `rules`; report findings on `own` things only.

    `files` maps a graph to the path of its file. Raises ShapesRefused for rules that cannot be applied.
    """
    places = {
        str(subject.value): files[graph.value]
        for subject, graph in dict.fromkeys((quad.subject, quad.graph_name) for quad in data)
        if isinstance(subject, ox.NamedNode | ox.BlankNode) and isinstance(graph, ox.NamedNode) and graph.value in files
    }
    shapes = to_rdflib(rules)
    graph = for_report(data)
    hashes = {"data": canonical_hash(data), "shapes": canonical_hash(rules)}
    header = header_of(subject, release, **hashes, rules=shapes, graph=graph, own=own)
    results = _with_similar_terms(results_of(data, shapes), data)
    report = report_of(results, graph, shapes, header, files=places, own=own)
    return _with_nodes(report, data, shapes, own)


def _with_similar_terms(results: rdflib.Graph, data: Iterable[ox.Quad]) -> rdflib.Graph:
    """Return the results; those on an unknown term name the terms of the ontology that resemble it, too."""
    unknown = [result for result in results.subjects(SH.sourceShape, TERM_KNOWN) if (result, SH.value, None) in results]
    if unknown:
        terms = {q.subject.value for q in data if isinstance(q.subject, ox.NamedNode) and q.predicate == _DEFINED}
        known = [term.removeprefix(names.ITU) for term in sorted(terms) if term.startswith(names.ITU)]
        for result in unknown:
            used = str(results.value(result, SH.value)).removeprefix(names.ITU)
            if similar := get_close_matches(used, known, n=1, cutoff=MIN_LIKENESS):
                for message in list(results.objects(result, SH.resultMessage)):
                    results.remove((result, SH.resultMessage, message))
                    text = str(message).replace(f"itu:{used},", f"itu:{used} (similar: itu:{similar[0]}),")
                    results.add(
                        (result, SH.resultMessage, rdflib.Literal(text, lang=getattr(message, "language", None)))
                    )
    return results


def _with_nodes(report: Report, data: list[ox.Quad], shapes: rdflib.Graph, own: Own) -> Report:
    """Return a report that says of each rule how many `own` nodes it looked at, at which things none did, and what is unused."""
    nodes = nodes_of(data, shapes)
    subjects = {quad.subject.value for quad in data if isinstance(quad.subject, ox.NamedNode)}
    # A literal, in quotes, belongs to the data that is checked.
    ours = {node for node in subjects.union(*nodes.values()) if node.startswith('"') or own(rdflib.URIRef(node))}
    rules = tuple(replace(rule, nodes=len(nodes.get(rule.shape, set()) & ours)) for rule in report.rules)
    terms = {
        quad.subject.value for quad in data if quad.graph_name == _ONTOLOGY and isinstance(quad.subject, ox.NamedNode)
    }
    unchecked = tuple(sorted((subjects & ours).difference(terms, *nodes.values())))
    header = replace(report.header, unchecked=unchecked, unused=tuple(map(str, unused(shapes))))
    return replace(report, rules=rules, header=header, things=frozenset(subjects & ours))
