"""What an editor of queries completes: our prefixes, the classes with their properties, and the values of the lists."""

from itukg import names
from itukg.engine.store import Store, texts
from itukg.formats import write_json
from itukg.release.overview import FILTERS, Overview

_USED = f"""{names.PROLOGUE}SELECT DISTINCT ?class ?property WHERE {{
  ?part void:class ?class ; void:propertyPartition/void:property ?property
}}"""
_REQUIRED = f"""{names.PROLOGUE}SELECT DISTINCT ?class ?property WHERE {{
  GRAPH <{names.graph("shapes")}> {{
    ?shape sh:targetClass ?target ; sh:property ?constraint .
    ?constraint sh:path ?property ; sh:minCount ?least
    FILTER(?least >= 1 && isIRI(?property))
  }}
  ?class rdfs:subClassOf* ?target
}}"""
_TERMS = f"""{names.PROLOGUE}SELECT ?term (SAMPLE(?called) AS ?label) (SAMPLE(?meant) AS ?definition) (SAMPLE(?led) AS ?range) (SAMPLE(?type) AS ?class) WHERE {{
  {{ SELECT DISTINCT ?term WHERE {{
    {{ ?part void:class ?term }} UNION {{ ?part void:property ?term }} UNION {{ GRAPH <{names.graph("ontology")}> {{
      VALUES ?kind {{ owl:Class owl:ObjectProperty owl:DatatypeProperty owl:AnnotationProperty }}
      ?term a ?kind FILTER(isIRI(?term))
    }} }}
  }} }}
  OPTIONAL {{ ?term a ?type FILTER(?type = owl:Class) }}
  OPTIONAL {{ ?term rdfs:label ?called FILTER(LANG(?called) IN ("en", "")) }}
  OPTIONAL {{ ?term skos:definition ?meant FILTER(LANG(?meant) IN ("en", "")) }}
  OPTIONAL {{ ?term rdfs:range ?led FILTER(isIRI(?led)) }}
}} GROUP BY ?term"""


async def completion(store: Store, overview: Overview) -> bytes:
    """Return JSON: `prefixes`, `terms` by prefixed name (kind, label, definition, range), `classes`, and `things` by filter of lists.

    Of each class, the properties that our shapes require come first, then the others that its things have.
    """
    used, required = [
        {(row["class"], row["property"]) for row in await texts(store, query)} for query in (_USED, _REQUIRED)
    ]
    classes: dict[str, dict[str, list[str]]] = {}
    for class_, property_ in sorted(
        used | required, key=lambda pair: (pair not in required, *map(names.shorten, pair))
    ):
        of_class = classes.setdefault(names.shorten(class_), {"required": [], "properties": []})
        of_class["required" if (class_, property_) in required else "properties"].append(names.shorten(property_))
    terms = {
        names.shorten(row["term"]): {
            "kind": "class" if names.shorten(row["term"]) in classes or "class" in row else "property"
        }
        | {
            key: names.shorten(row[key]) if key == "range" else row[key]
            for key in ("label", "definition", "range")
            if key in row
        }
        for row in await texts(store, _TERMS)
    }
    things = {
        each.name: {
            "properties": each.properties,
            "values": [[_written(v.iri), f"{v.notation} {v.label}".strip()] for v in overview.values[each.name]],
        }
        for each in FILTERS
        if each.name != "class"  # they are among the classes
    }
    ordered = {name: dict(sorted(found.items())) for name, found in (("terms", terms), ("classes", classes))}
    return write_json({"prefixes": names.PREFIXES, **ordered, "things": things})


def _written(iri: str) -> str:
    """Return how a query names a thing: by a prefixed name where one of our prefixes gives one."""
    short = names.shorten(iri)
    return short if ":" in short and "://" not in short else f"<{iri}>"
