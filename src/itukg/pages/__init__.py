"""Pages: one Jinja environment for `templates/`, which escapes everything; pages load `assets`, and nothing from elsewhere."""

from functools import cache
from urllib.parse import quote

import jinja2

from itukg import __version__, names
from itukg.pages.assets import assets


def render(template: str, **values: object) -> bytes:
    """Return the page `template` filled with `values`, as UTF-8."""
    return _environment().get_template(template).render(version=__version__, **values).encode()


def compile_templates() -> None:
    """Compile all templates now, and not when the first page of each kind is asked for."""
    for name in _environment().list_templates(extensions=["html"]):
        _environment().get_template(name)


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
    environment.filters.update(address=address, link=local_link, plan=plan_name, short=names.shorten)
    environment.globals.update(asset=_asset, has_asset=lambda name: name in assets())
    return environment


def _asset(name: str) -> str:
    """Return the address of a file that a page loads."""
    return assets()[name].address
