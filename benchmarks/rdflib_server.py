"""Serves an N-Quads file by rdflib-endpoint; run by the Python of the peers' environment. Arguments: file, port."""

import sys

import uvicorn
from rdflib import Dataset
from rdflib_endpoint import SparqlEndpoint

data = Dataset(default_union=False)  # the merged graph is the default one, as everywhere else
data.parse(sys.argv[1], format="nquads")
uvicorn.run(SparqlEndpoint(graph=data), host="127.0.0.1", port=int(sys.argv[2]), log_level="error")
