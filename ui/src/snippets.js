// Patterns to begin with, and the keywords of SPARQL 1.1.

export const SNIPPETS = [
  ["select", "A query with a table as its answer", "SELECT ?${thing} WHERE {\n  ?${thing} a ${class} .\n}\nLIMIT ${100}"],
  ["count", "How many there are of each", "SELECT ?${by} (COUNT(DISTINCT ?${thing}) AS ?number) WHERE {\n  ?${thing} ${property} ?${by} .\n}\nGROUP BY ?${by}\nORDER BY DESC(?number)"],
  ["label", "What a thing is called", "OPTIONAL { ?${thing} rdfs:label ?${thing}Label }"],
  ["basis", "A link with what it rests on: stated, judged, …", "?link itu:subject ?${thing} ;\n      itu:predicate ?property ;\n      itu:object ?${object} ;\n      itu:basis ?basis ."],
  ["because", "A link with the sentence of its document and the line where that stands", "?link itu:subject ?${thing} ;\n      itu:object ?${object} ;\n      itu:quote ?words ;\n      itu:line ?line ."],
  ["derived", "Links that follow by rules, which stand in a graph of their own", "GRAPH <https://w3id.org/itukg/graph/derived> {\n  ?link itu:subject ?${thing} ; itu:object ?${object} ; itu:basis ?basis .\n}"],
  ["without", "Things that lack something; quicker than NOT EXISTS", "MINUS { ?${thing} ${property} ?any }"],
];

export const KEYWORDS = (
  "SELECT DISTINCT WHERE OPTIONAL FILTER UNION MINUS GRAPH VALUES BIND AS CONSTRUCT ASK DESCRIBE FROM NAMED PREFIX BASE " +
  "GROUP BY HAVING ORDER ASC DESC LIMIT OFFSET EXISTS NOT IN COUNT SUM MIN MAX AVG SAMPLE GROUP_CONCAT SEPARATOR STR LANG " +
  "LANGMATCHES DATATYPE BOUND IRI COALESCE IF REGEX CONTAINS STRSTARTS STRENDS STRLEN SUBSTR REPLACE CONCAT LCASE UCASE " +
  "STRBEFORE STRAFTER ABS ROUND YEAR sameTerm isIRI isBlank isLiteral isNumeric"
).split(" ");
