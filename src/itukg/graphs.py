"""Writers of graphs and datasets in every RDF syntax, with our prefixes, context and frames."""

import json
import re
from collections.abc import Iterable, Sequence

import pyoxigraph as ox

from itukg import names
from itukg.errors import NotAcceptable
from itukg.formats import N_QUADS, TRIG, Format, write_json
from itukg.rdf import jsonld
from itukg.rdf.jsonld import Json


def in_form(nodes: list[Json], syntax: Format, root: str | None = None) -> object:
    """Return expanded nodes as JSON-LD in the form of `syntax`; compacted and expanded, they are inside `root` if given."""
    if syntax.profile == "framed":
        return jsonld.frame(nodes, syntax.frame, root)
    if root is not None and syntax.profile != "flattened":
        nodes = [jsonld.tree(root, nodes)]
    return nodes if syntax.profile == "expanded" else jsonld.compact(nodes)


def write_graph(triples: Iterable[ox.Triple], syntax: Format, root: str = "") -> bytes:
    """Write triples in `syntax`, with our prefixes, or with our JSON-LD context and `root` as the root object."""
    if syntax.engine == ox.RdfFormat.JSON_LD:
        return write_json(in_form(jsonld.expanded(triples), syntax, root or None))
    assert isinstance(syntax.engine, ox.RdfFormat)
    if syntax.engine == ox.RdfFormat.RDF_XML:
        triples = list(triples)
        if odd := next(
            (t.predicate for t in triples if not re.search(r"[/#:][^\W\d][\w.-]*$", t.predicate.value)), None
        ):
            raise NotAcceptable(f"RDF/XML cannot write the property {odd}; request Turtle or N-Triples.")
    written = ox.serialize(triples, format=syntax.engine, prefixes=names.PREFIXES) or b""
    return _tidy_turtle(written) if syntax.engine in (ox.RdfFormat.TURTLE, ox.RdfFormat.TRIG) else written


def write_dataset(quads: Sequence[ox.Quad], syntax: Format) -> bytes:
    """Write quads as N-Quads, TriG, or expanded JSON-LD with a line for each thing, in the given order."""
    if syntax == N_QUADS:
        return "".join(f"{quad} .\n" for quad in quads).encode()
    if syntax == TRIG:
        return _tidy_turtle(ox.serialize(quads, format=ox.RdfFormat.TRIG, prefixes=names.PREFIXES) or b"")
    graphs: dict[str, list[ox.Triple]] = {}
    for quad in quads:
        graphs.setdefault(jsonld.identifier(quad.graph_name), []).append(quad.triple)
    parts = []
    for graph, triples in graphs.items():
        nodes = ",\n".join(json.dumps(node, ensure_ascii=False) for node in jsonld.expanded(triples))
        parts.append(f'{{"@id": {json.dumps(graph)}, "@graph": [\n{nodes}\n]}}')
    return f"[{','.join(parts)}]\n".encode()


def _tidy_turtle(written: bytes) -> bytes:
    """Return Turtle or TriG with only the prefixes it uses, sorted: the engine writes all, in any order."""
    lines = written.splitlines(keepends=True)
    prefixes = sorted(line for line in lines if line.startswith(b"@prefix "))
    body = b"".join(line for line in lines if not line.startswith(b"@prefix "))
    return b"".join(line for line in prefixes if line.split()[1] in body) + b"\n" + body
