"""Pages: one Jinja environment for `templates/`, which escapes everything; pages load `assets`, and nothing from elsewhere."""

import re
from functools import cache, lru_cache
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from itukg import __version__, names
from itukg.pages.assets import assets

FILE = "file.html"
"""The layout of a page that is a file of its own: nothing is loaded beside it, and all its links are whole."""


def render(template: str, **values: object) -> bytes:
    """Return the page `template` filled with `values`, as UTF-8."""
    return _environment().get_template(template).render(version=__version__, **values).encode()


def compile_templates() -> None:
    """Compile all templates now, and not when the first page of each kind is asked for."""
    for name in _environment().list_templates(extensions=["html"]):
        _environment().get_template(name)


@lru_cache(maxsize=20_000)
def local_link(iri: str) -> str:
    """Return the path under which a deployment answers for `iri`, or the IRI itself where it is not ours."""
    if iri.startswith(names.SDG) and "#" not in iri:
        return "/sdg/" + quote(iri.removeprefix(names.SDG), _PATH)
    if iri.startswith(names.RELEASES):
        return f"/resource?iri={quote(iri, '')}"
    if iri.startswith(names.BASE):
        return "/" + quote(iri.removeprefix(names.BASE), _PATH)
    return iri if iri.startswith(("http://", "https://")) else ""


def address(iri: str) -> str:
    """Return the path at which the description of `iri` stands, whoever's the IRI is."""
    path = local_link(iri)
    return path if path.startswith(("/id/", "/sdg/")) else f"/resource?iri={quote(iri, '')}"


def plural(word: str) -> str:
    """Return the plural of what a class is called: "Activities", "Parts of an enabler"."""
    head, of, rest = word.partition(" of ")
    many = re.sub(r"(?<=[^aeiou])y$", "ie", head) + "s"
    return re.sub(r"criterions$", "criteria", many) + of + rest


def inside(word: str) -> str:
    """Return what a term is called as it stands within a sentence: "action line", but "SDG target" and "Sustainable Development Goal"."""
    return word[:1].lower() + word[1:] if re.match(r"[A-Z][a-z]*( [a-z]|$)", word) else word


def counted(word: str, number: int) -> str:
    """Return a number of things with what they are called: "3 parts of an enabler", "1 ITU-D priority"."""
    return f"{number} {inside(word if number == 1 else plural(word))}"


def thousands(number: float, decimals: int | None = None) -> str:
    """Return a number as people read it: with narrow spaces between thousands, and as many decimals as are named, or as it has."""
    told = f"{number:,}" if decimals is None else f"{number:,.{decimals}f}"
    return told.replace(",", "\N{NARROW NO-BREAK SPACE}")


def place_link(document: str, line: int | str | None = None) -> str:
    """Return the path at which a document tells what was made of it: at a line, on the page on which that stands."""
    name = document.removeprefix(f"{names.THINGS}document/")
    if name == document or "/" in name:
        return address(document)
    return f"/documents/{quote(name, _PATH)}{f'?line={line}#line-{line}' if line else ''}"


def plan_name(iri: str) -> str:
    """Return what names a plan in an address: its IRI without what all things' begin with."""
    return quote(iri.removeprefix(names.THINGS), _PATH)


_PATH = "/#?=&%:@!$'()*+,;~"
"""Characters of a path and its query that stand for themselves, besides those that always do."""


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("itukg.pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        address=address,
        counted=counted,
        link=_link,
        place_link=_place_link,
        plan=plan_name,
        plural=plural,
        short=names.shorten,
        thousands=thousands,
    )
    environment.globals.update(asset=_asset, content_of=_content, has_asset=lambda name: name in assets())
    return environment


@jinja2.pass_context
def _link(context: jinja2.runtime.Context, iri: str) -> str:
    """Return where a page links an IRI: a path of the deployment, of the release that the page is `pinned` to, if it is.

    A page that is a file of its own has no deployment around it, and links the IRI itself.
    """
    return _reached(context, iri, local_link(iri))


@jinja2.pass_context
def _place_link(context: jinja2.runtime.Context, document: str, line: int | str | None = None) -> str:
    """Return where a page links a line of a document, as `_link` does."""
    return _reached(context, document, place_link(document, line))


def _reached(context: jinja2.runtime.Context, iri: str, path: str) -> str:
    if context.get("layout") == FILE:
        return iri if iri.startswith(("http://", "https://")) else ""
    release = context.get("pinned")
    if not release or not path.startswith("/"):
        return path
    before, mark, fragment = path.partition("#")
    return f"{before}{'&' if '?' in before else '?'}release={release}{mark}{fragment}"


def _content(name: str) -> Markup:
    """Return the text of a file that a page would load, for a page that is a file of its own."""
    return Markup(assets()[name].content.decode())  # noqa: S704  (of ours)


def _asset(name: str) -> str:
    """Return the address of a file that a page loads."""
    return assets()[name].address
