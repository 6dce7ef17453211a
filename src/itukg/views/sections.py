"""The queries behind the sections of a thing's page: each page shows those of its own.

`<thing>` stands for the thing, UPWARD for a path over one step up in the chain, STEPS for the properties of it, and the name of
a graph for its IRI; `written` puts them in.
"""

from itukg import names
from itukg.views.chain import CHAIN, Ladder
from itukg.views.thing import MAX_INCOMING

_SUCCESSION = ", ".join(map(names.shorten, names.SUCCESSION))

OWN = """SELECT ?property ?value ?code ?label WHERE {
  <thing> ?property ?value
  FILTER(!isBlank(?value) && (?property != rdf:type || NOT EXISTS { GRAPH <entailed> { <thing> a ?value } }))
  OPTIONAL { ?value skos:notation ?code } OPTIONAL { ?value rdfs:label ?label }
}"""
BESIDE = """SELECT ?property ?value ?code ?label WHERE {
  GRAPH ?graph { <thing> ?property ?value } FILTER(!isBlank(?value))
  OPTIONAL { ?value skos:notation ?code } OPTIONAL { ?value rdfs:label ?label }
}"""
INCOMING = """SELECT ?property ?number ?value ?code ?label WHERE {
  { SELECT ?property (COUNT(*) AS ?number) WHERE { ?other ?property <thing> FILTER(isIRI(?other)) } GROUP BY ?property }
  OPTIONAL {
    ?value ?property <thing> FILTER(?number <= MOST && isIRI(?value))
    OPTIONAL { ?value skos:notation ?code } OPTIONAL { ?value rdfs:label ?label }
  }
}"""
_EVIDENCE = """OPTIONAL { ?linkage itu:quote ?quote } OPTIONAL { ?linkage itu:rationale ?rationale }
    OPTIONAL { ?linkage itu:section ?section } OPTIONAL { ?linkage itu:line ?line }
    OPTIONAL { ?linkage dcterms:source ?document . ?document rdfs:label ?called }"""
SERVES = f"""SELECT ?property ?object ?class ?code ?body ?label ?basis ?rule ?strength ?quote ?rationale ?document ?called ?section ?line ?linkage WHERE {{
  {{
    ?linkage itu:subject <thing> ; itu:predicate ?property ; itu:object ?object ; itu:basis ?basis .
    {_EVIDENCE}
  }} UNION {{
    GRAPH <derived> {{
      ?linkage itu:subject <thing> ; itu:predicate ?property ; itu:object ?object ; itu:basis ?basis ; itu:rule ?rule ; itu:strength ?strength
    }}
  }}
  FILTER(?property NOT IN ({_SUCCESSION}, itu:indicatorOf, itu:offersOutput))
  FILTER NOT EXISTS {{ ?property rdfs:subPropertyOf itu:contributesTo }}
  OPTIONAL {{ ?object skos:notation ?code }} OPTIONAL {{ ?object rdfs:label ?label }}
  OPTIONAL {{ ?object itu:body ?body }} OPTIONAL {{ ?object a ?class FILTER NOT EXISTS {{ GRAPH <entailed> {{ ?object a ?class }} }} }}
}}"""
MEASURED = """SELECT ?indicator ?code ?label ?basis ?like ?likeCode ?likeLabel WHERE {
  ?indicator itu:indicatorOf <thing> ; rdfs:label ?label .
  OPTIONAL { ?indicator skos:notation ?code }
  OPTIONAL { ?linkage itu:subject ?indicator ; itu:object <thing> ; itu:basis ?basis }
  OPTIONAL {
    ?indicator skos:exactMatch|skos:closeMatch ?like . ?like rdfs:label ?likeLabel .
    OPTIONAL { ?like skos:notation ?likeCode }
  }
}"""
PAID = """SELECT ?of ?code ?label ?amount ?currency ?printed ?line ?plan ?planLabel WHERE {
  { SELECT DISTINCT ?of WHERE { <thing> (UPWARD)* ?of } }
  ?line itu:budgetFor ?of ; itu:amount ?amount ; itu:currency ?currency ; itu:plan ?plan .
  ?plan rdfs:label ?planLabel .
  OPTIONAL { ?line itu:printedAmount ?printed }
  OPTIONAL { ?of skos:notation ?code } OPTIONAL { ?of rdfs:label ?label }
}"""
SUCCESSION = f"""SELECT ?newer ?property ?older ?code ?label ?definition ?plan ?planLabel ?year ?rationale WHERE {{
  {{ ?linkage itu:subject <thing> ; itu:object ?older }} UNION {{ ?linkage itu:object <thing> ; itu:subject ?newer }}
  ?linkage itu:predicate ?property ; itu:rationale ?rationale ; itu:subject|itu:object ?other
  FILTER(?property IN ({_SUCCESSION}) && ?other != <thing>)
  ?other itu:plan ?plan ; rdfs:label ?label . ?plan rdfs:label ?planLabel .
  OPTIONAL {{ ?plan itu:startYear ?year }}
  OPTIONAL {{ ?other skos:notation ?code }} OPTIONAL {{ ?other skos:definition ?definition }}
}}"""
NOTES = """SELECT ?class ?plan ?planLabel ?rationale WHERE {
  GRAPH <lineage> { ?note itu:about <thing> ; a ?class ; itu:plan ?plan ; itu:rationale ?rationale }
  ?plan rdfs:label ?planLabel
} ORDER BY ?class ?plan"""
OPEN = """SELECT ?gap ?label ?kind ?class ?quote ?document ?called ?section ?line WHERE {
  { ?gap itu:about <thing> } UNION { <thing> itu:plan ?plan . ?gap itu:about ?plan ; itu:ofClass ?class . <thing> a ?class }
  ?gap itu:gapKind ?kind ; rdfs:label ?label .
  OPTIONAL { ?gap itu:quote ?quote } OPTIONAL { ?gap itu:section ?section } OPTIONAL { ?gap itu:line ?line }
  OPTIONAL { ?gap dcterms:source ?document . ?document rdfs:label ?called }
} ORDER BY ?line ?gap"""
GAP_KINDS = {
    "not-stated": "the document does not say it",
    "to-be-added": "the document says it is to be added",
    "placeholder": "the document has a placeholder for it",
    "lost-in-conversion": "the text copy that was read has lost it",
}
"""How something is open, in words."""


SECTIONS = {
    "own": OWN, "incoming": INCOMING, "chain": CHAIN, "serves": SERVES, "measured": MEASURED, "paid": PAID,
    "succession": SUCCESSION, "notes": NOTES, "open": OPEN,
}  # fmt: skip


def written(query: str, iri: str, steps: Ladder) -> str:
    """Return the query of a section for a thing, as it runs on any endpoint that holds the graph."""
    for name in ("entailed", "derived", "lineage"):
        query = query.replace(f"<{name}>", f"<{names.graph(name)}>")
    query = query.replace("MOST", str(MAX_INCOMING)).replace("UPWARD", steps.path()).replace("STEPS", steps.listed())
    return names.declared(query.replace("<thing>", f"<{iri}>"))
