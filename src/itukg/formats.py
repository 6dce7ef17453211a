"""Media types, and content negotiation: which syntax a client gets."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import pyoxigraph as ox
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header, parse_options_header

from itukg import names
from itukg.errors import BadRequest, NotAcceptable
from itukg.rdf import jsonld


@dataclass(frozen=True, eq=False)  # compared and hashed by identity, which is quicker than by value
class Format:
    """One syntax: its media type, the suffix and `format=` name that choose it, and the engine's name for it.

    With `labels`, a table has a column of labels for each column of IRIs. `profile` and `frame` are the form of JSON-LD.
    """

    media_type: str
    suffix: str
    engine: ox.RdfFormat | ox.QueryResultsFormat | None = None
    labels: bool = False
    profile: str = ""
    frame: str | None = None

    @property
    def name(self) -> str:
        """The name of this syntax in `format=` and `--format`."""
        return self.suffix.removeprefix(".")

    @property
    def bare_type(self) -> str:
        """The media type without its parameter."""
        return self.media_type.partition(";")[0]


JSONLD = Format("application/ld+json", ".jsonld", ox.RdfFormat.JSON_LD)
TURTLE = Format("text/turtle", ".ttl", ox.RdfFormat.TURTLE)
N_TRIPLES = Format("application/n-triples", ".nt", ox.RdfFormat.N_TRIPLES)
HTML = Format("text/html", ".html")
CSV = Format("text/csv", ".csv", ox.QueryResultsFormat.CSV)
JSON = Format("application/json", ".json")
XLSX = Format("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", ".xlsx", labels=True)
MARKDOWN = Format("text/markdown", ".md")
PDF = Format("application/pdf", ".pdf")
SARIF = Format("application/sarif+json", ".sarif")
JUNIT = Format("application/junit+xml", ".junit")
TRIG = Format("application/trig", ".trig", ox.RdfFormat.TRIG)
N_QUADS = Format("application/n-quads", ".nq", ox.RdfFormat.N_QUADS)
PATCH = Format("application/rdf-patch", ".rdfp")
GZIP = Format("application/gzip", ".gz")
ATOM = Format("application/atom+xml", ".atom")
SSSOM = Format("text/tab-separated-values", ".sssom.tsv")
SSSOM_JSONLD = Format(JSONLD.media_type, ".sssom.jsonld")
TOML = Format("application/toml", ".toml")
SVG = Format("image/svg+xml", ".svg")
MERMAID = Format("text/vnd.mermaid", ".mmd")
GRAPHML = Format("application/graphml+xml", ".graphml")
DOT = Format("text/vnd.graphviz", ".dot")

TABLE_FORMATS = (
    Format("application/sparql-results+json", ".srj", ox.QueryResultsFormat.JSON),
    Format("application/sparql-results+xml", ".srx", ox.QueryResultsFormat.XML),
    CSV,
    Format("text/tab-separated-values", ".tsv", ox.QueryResultsFormat.TSV),
    Format("application/json", ".json", ox.QueryResultsFormat.JSON),
    Format("text/csv;labels=1", ".csv", ox.QueryResultsFormat.CSV, labels=True),
    Format("text/tab-separated-values;labels=1", ".tsv", ox.QueryResultsFormat.TSV, labels=True),
    XLSX,
)
"""Syntaxes of SELECT, best first."""

BOOLEAN_FORMATS = tuple(f for f in TABLE_FORMATS if f.name in ("srj", "srx", "json"))
"""Syntaxes of ASK: CSV, TSV and spreadsheets have no booleans."""

GRAPH_FORMATS = (
    TURTLE,
    N_TRIPLES,
    JSONLD,
    Format("application/rdf+xml", ".rdf", ox.RdfFormat.RDF_XML),
    TRIG,
    N_QUADS,
)
"""Syntaxes of CONSTRUCT, DESCRIBE and whole graphs, best first. TriG and N-Quads hold one graph, without a name."""

FIRST_ROWS = Format("application/sparql-results+json;first", "")
"""The first rows of any answer with their labels, of which pages are made; no client can request it."""

PROFILES = ("compacted", "expanded", "flattened", "framed")


def _in_profile(profile: str, frame: str | None = None) -> Format:
    iris = f"{names.JSONLD_PROFILE}{profile}" + (f" {names.frame(frame)}" if frame else "")
    media_type = f'{JSONLD.media_type};profile="{iris}"'
    return Format(media_type, JSONLD.suffix, JSONLD.engine, profile=profile, frame=frame)


PROFILE_FORMATS = (
    JSONLD,
    *(_in_profile(profile) for profile in PROFILES[1:]),
    *(_in_profile("framed", name) for name in jsonld.frames()),
)
"""The forms of JSON-LD: compacted, expanded, flattened, framed, and framed by each of our frames."""

PICTURE_FORMATS = (SVG, MERMAID, GRAPHML, DOT)
"""Syntaxes of pictures, best first."""

FORMATS = tuple(
    dict.fromkeys((*TABLE_FORMATS, *GRAPH_FORMATS, HTML, JSON, MARKDOWN, PDF, SARIF, JUNIT, PATCH, *PICTURE_FORMATS))
)
"""The syntaxes that a suffix of an address chooses."""


def format_in(row: int) -> Format:
    """Return the format in a row of FORMATS, which is how processes name it to each other."""
    return FORMATS[row]


THING_FORMATS = (JSONLD, HTML, *(f for f in GRAPH_FORMATS if f.name in ("ttl", "nt", "rdf")), *PICTURE_FORMATS, JSON)
"""Syntaxes of a thing under its own IRI, best first; JSON is JSON-LD by the name that most clients ask for."""

ALIASES = {
    "xml": ("srx", "rdf"),
    "json": ("jsonld",),
    "json-ld": ("jsonld",),
    "turtle": ("ttl",),
    "n3": ("ttl",),
    "rdf+xml": ("rdf",),
    "rdf/xml": ("rdf",),
    "rdfxml": ("rdf",),
    "ntriples": ("nt",),
    "n-triples": ("nt",),
    "nquads": ("nq",),
    "n-quads": ("nq",),
}
"""What other people's clients call our syntaxes in `format=`; of several, the first that is on offer."""


def offer_named(offers: Sequence[Format], name: str) -> Format | None:
    """Return the offer that has a name: its suffix, its media type, or an alias of its suffix."""
    name = name.lower().replace(" ", "+")  # a plus sign that was not escaped arrives as a space
    for each in (name, *ALIASES.get(name, ())):
        for offer in offers:
            if each in (offer.name, offer.media_type, offer.bare_type):
                return offer
    return None


def requested_name(offers: Sequence[Format], accept: str, name: str | None, *others: str | None) -> str | None:
    """Return the name that counts: `format`, else the first of `output` and `results` that an offer has.

    SPARQLWrapper sends all three, with words of its own, beside the Accept header that says what it means. So an unknown
    word in `format` counts only where the header is open to anything.
    """
    if name is None:
        return next((other for other in others if other and offer_named(offers, other)), None)
    is_open = "*/*" in (accept or "*/*")
    return name if is_open or offer_named(offers, name) else None


@lru_cache(maxsize=1000)  # clients send few different headers, and reading one costs as much as a lookup
def choose(
    offers: tuple[Format, ...], accept: str | None, name: str | None = None, labels: bool | None = None
) -> Format:
    """Return the offer that the client prefers; `name` (suffix, `format=` or an alias) overrides the Accept header.

    Wildcards, q-values and exclusions (`q=0`) follow RFC 9110, section 12.5.1; the only other parameter read is
    `labels`. An argument `labels` (`?labels=`) leaves only the offers with labels, or only those without, and
    overrides the header's. Raises NotAcceptable, naming the offers, where none fits.
    """
    known = [offer for offer in offers if labels in (None, offer.labels)]
    wanted = {None: "", True: " with labels", False: " without labels"}[labels]
    if not known:
        tables = ", ".join(f.media_type for f in TABLE_FORMATS if f.labels)
        raise NotAcceptable(f"Only the table of a SELECT is available{wanted}: {tables}.")
    if name is not None:
        if offer := offer_named(known, name):
            return offer
        listed = dict.fromkeys(offer.name for offer in known)
        raise NotAcceptable(f'No format "{name}"{wanted}; available: {", ".join(listed)}.')
    ranges: list[tuple[str, float]] = []
    for value, quality in parse_accept_header(accept or "*/*", MIMEAccept):
        media_range, parameters = parse_options_header(value.lower())
        flag = parameters.get("labels")
        if flag is None or labels is not None:
            ranges.append(("*/*" if media_range == "*" else media_range, quality))
        else:
            ranges += [(o.media_type, quality) for o in known if (o.bare_type, f"{o.labels:d}") == (media_range, flag)]
    if labels is None:
        # A wildcard, or "text/csv", means the plain table: a client must name labels to get them.
        named = {media_range for media_range, _ in ranges}
        candidates = {o.media_type: o for o in known if o.media_type in named | {o.bare_type}}
    else:
        candidates = {o.bare_type: o for o in known}
    best = MIMEAccept(ranges).best_match(candidates)
    if best is None:
        offered = ", ".join(offer.media_type for offer in known)
        raise NotAcceptable(f'No syntax{wanted} fits "Accept: {accept}"; available: {offered}.')
    return candidates[best]


def in_profile(syntax: Format, accept: str, profile: str | None = None, frame: str | None = None) -> Format:
    """Return JSON-LD in the requested form: by `?profile=` and `?frame=`, or by the profile in the Accept header.

    An unknown profile in an Accept header is ignored (RFC 6906, section 3.1). Raises BadRequest for an unknown name, and
    for a form of another syntax than JSON-LD.
    """
    if syntax != JSONLD:
        if profile or frame:
            raise BadRequest(f"Only JSON-LD has a profile and a frame, and {syntax.media_type} was requested.")
        return syntax
    if profile is None and frame is None:
        best = 0.0
        for value, quality in parse_accept_header(accept, MIMEAccept):  # the more specific comes first
            media_range, parameters = parse_options_header(value)
            if media_range.lower() == JSONLD.media_type and quality > best:
                requested, best = parameters.get("profile", "").split(), quality
                profile = next((p for p in PROFILES if names.JSONLD_PROFILE + p in requested), None)
                frame = next((name for name in jsonld.frames() if names.frame(name) in requested), None)
    profile = (profile or ("framed" if frame else PROFILES[0])).removeprefix(names.JSONLD_PROFILE)
    frame = frame.removeprefix(names.FRAMES).removesuffix(JSONLD.suffix) if frame else None
    if profile not in PROFILES:
        raise BadRequest(f'No profile "{profile}"; known: {", ".join(PROFILES)}.')
    if frame is not None and frame not in jsonld.frames():
        raise BadRequest(f'No frame "{frame}"; known: {", ".join(jsonld.frames())}.')
    if frame is not None and profile != "framed":
        raise BadRequest(f"A frame gives the framed form, not the {profile} one; omit profile or frame.")
    return next(f for f in PROFILE_FORMATS if (f.profile or PROFILES[0], f.frame) == (profile, frame))


def labels_wanted(value: str | None) -> bool | None:
    """Return the value of `?labels=`, None if it is absent. Raises BadRequest for values other than 0 and 1."""
    if value not in (None, "0", "1"):
        raise BadRequest(f'labels must be 1 (with labels) or 0 (without), not "{value}".')
    return None if value is None else value == "1"


def split_suffix(path: str, offers: Sequence[Format]) -> tuple[str, str | None]:
    """Split `path` from the suffix of one of the offers, and return it with the offer's name, or None without a suffix.

    A notation may contain a dot (`output/2.1`), so only the offers' own suffixes are cut.
    """
    for offer in offers:
        if path.endswith(offer.suffix):
            return path.removesuffix(offer.suffix), offer.name
    return path, None


def write_json(document: object) -> bytes:
    """Write JSON that people can read too: UTF-8, indented by two spaces, with a line feed at the end."""
    return json.dumps(document, ensure_ascii=False, indent=2).encode() + b"\n"
