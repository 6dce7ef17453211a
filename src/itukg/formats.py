"""Media types: which syntax a client gets, and how answers and graphs are written in it."""

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


@dataclass(frozen=True, eq=False)  # each is itself alone: to compare and hash them by what they hold takes longer
class Format:
    """One syntax: its media type, the suffix and `format=` name that choose it, and the engine's name for it.

    With `labels`, a table says beside each IRI what the thing is called. `profile` and `frame` are the form of JSON-LD.
    """

    media_type: str
    suffix: str
    engine: ox.RdfFormat | ox.QueryResultsFormat | None = None
    labels: bool = False
    profile: str = ""
    frame: str | None = None

    @property
    def name(self) -> str:
        """The word that chooses this syntax in `format=` and `--format`."""
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
PDF = Format("application/pdf", ".pdf")
SARIF = Format("application/sarif+json", ".sarif")
TRIG = Format("application/trig", ".trig", ox.RdfFormat.TRIG)
N_QUADS = Format("application/n-quads", ".nq", ox.RdfFormat.N_QUADS)
PATCH = Format("application/rdf-patch", ".rdfp")
GZIP = Format("application/gzip", ".gz")
ATOM = Format("application/atom+xml", ".atom")
TOML = Format("application/toml", ".toml")

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
"""Syntaxes of ASK: CSV, TSV and spreadsheets know no booleans."""

GRAPH_FORMATS = (
    TURTLE,
    N_TRIPLES,
    JSONLD,
    Format("application/rdf+xml", ".rdf", ox.RdfFormat.RDF_XML),
    TRIG,
    N_QUADS,
)
"""Syntaxes of CONSTRUCT, DESCRIBE and whole graphs, best first. Those of datasets hold one graph, without a name."""

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
"""The forms of JSON-LD: compacted, expanded, flattened, framed, and framed by each frame that we host."""

THING_FORMATS = (JSONLD, HTML, *(f for f in GRAPH_FORMATS if f.name in ("ttl", "nt", "rdf")))
"""Syntaxes of a thing under its own IRI: JSON-LD for whoever does not ask for another."""


@lru_cache(maxsize=1000)  # clients send few different headers, and reading one costs as much as a lookup
def choose(
    offers: tuple[Format, ...], accept: str | None, name: str | None = None, labels: bool | None = None
) -> Format:
    """Return the offer that the client likes best; `name` (suffix or `format=`) overrides the Accept header.

    Wildcards, q-values and exclusions (`q=0`) count as in RFC 9110, section 12.5.1; of other parameters only
    `labels`. `labels` given (`?labels=`) leaves only the offers with labels, or only those without, and
    overrides the header's. Raises NotAcceptable, naming the offers, where none fits.
    """
    known = [offer for offer in offers if labels in (None, offer.labels)]
    wish = {None: "", True: " with labels", False: " without labels"}[labels]
    if not known:
        tables = ", ".join(f.media_type for f in TABLE_FORMATS if f.labels)
        raise NotAcceptable(f"Only the table of a SELECT is available{wish}: {tables}.")
    if name is not None:
        for offer in known:
            # a plus sign that was not escaped has come as a blank
            if name.lower().replace(" ", "+") in (offer.name, offer.media_type, offer.bare_type):
                return offer
        listed = dict.fromkeys(offer.name for offer in known)
        raise NotAcceptable(f'No format "{name}"{wish} here; known: {", ".join(listed)}.')
    ranges: list[tuple[str, float]] = []
    for value, quality in parse_accept_header(accept or "*/*", MIMEAccept):
        media_range, parameters = parse_options_header(value.lower())
        asked = parameters.get("labels")
        if asked is None or labels is not None:
            ranges.append(("*/*" if media_range == "*" else media_range, quality))
        else:
            ranges += [(o.media_type, quality) for o in known if (o.bare_type, f"{o.labels:d}") == (media_range, asked)]
    if labels is None:
        # A wildcard, or "text/csv", means the plain table: labels come to those who name them.
        named = {media_range for media_range, _ in ranges}
        candidates = {o.media_type: o for o in known if o.media_type in named | {o.bare_type}}
    else:
        candidates = {o.bare_type: o for o in known}
    best = MIMEAccept(ranges).best_match(candidates)
    if best is None:
        offered = ", ".join(offer.media_type for offer in known)
        raise NotAcceptable(f'Nothing here fits "Accept: {accept}"{wish}; available: {offered}.')
    return candidates[best]


def in_profile(syntax: Format, accept: str, profile: str | None = None, frame: str | None = None) -> Format:
    """Return JSON-LD in the form that a client asks for: by `?profile=` and `?frame=`, or by the profile in its Accept.

    An unknown profile in an Accept header counts for nothing (RFC 6906, section 3.1). Raises BadRequest for an unknown
    name, and where a form is asked of another syntax.
    """
    if syntax != JSONLD:
        if profile or frame:
            raise BadRequest(f"profile and frame are forms of JSON-LD; {syntax.media_type} has none.")
        return syntax
    if profile is None and frame is None:
        best = 0.0
        for value, quality in parse_accept_header(accept, MIMEAccept):  # what is more specific comes first
            media_range, parameters = parse_options_header(value)
            if media_range.lower() == JSONLD.media_type and quality > best:
                asked, best = parameters.get("profile", "").split(), quality
                profile = next((p for p in PROFILES if names.JSONLD_PROFILE + p in asked), None)
                frame = next((name for name in jsonld.frames() if names.frame(name) in asked), None)
    profile = (profile or ("framed" if frame else PROFILES[0])).removeprefix(names.JSONLD_PROFILE)
    frame = frame.removeprefix(names.FRAMES).removesuffix(JSONLD.suffix) if frame else None
    if profile not in PROFILES:
        raise BadRequest(f'No profile "{profile}"; known: {", ".join(PROFILES)}.')
    if frame is not None and frame not in jsonld.frames():
        raise BadRequest(f'No frame "{frame}"; known: {", ".join(jsonld.frames())}.')
    if frame is not None and profile != "framed":
        raise BadRequest(f"A frame gives the framed form, not the {profile} one; leave out profile or frame.")
    return next(f for f in PROFILE_FORMATS if (f.profile or PROFILES[0], f.frame) == (profile, frame))


def labels_wanted(value: str | None) -> bool | None:
    """Return what `?labels=` asks for; None where it is not given. Raises BadRequest for all but 0 and 1."""
    if value not in (None, "0", "1"):
        raise BadRequest(f'labels must be 1 (with labels) or 0 (without), not "{value}".')
    return None if value is None else value == "1"


def split_suffix(path: str, offers: Sequence[Format]) -> tuple[str, str | None]:
    """Split `path` from the suffix of one of the offers; the second part is None where it has none.

    A notation may hold a dot (`output/2.1`), so only the offers' own suffixes are cut.
    """
    for offer in offers:
        if path.endswith(offer.suffix):
            return path.removesuffix(offer.suffix), offer.name
    return path, None


def write_json(document: object) -> bytes:
    """Write JSON for people and machines: UTF-8, two spaces of indent, a line feed at the end."""
    return json.dumps(document, ensure_ascii=False, indent=2).encode() + b"\n"
