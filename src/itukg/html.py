"""Pages: one Jinja environment over `templates/`, escaping everything, fetching nothing from elsewhere."""

from functools import cache

import jinja2

from itukg import __version__, names


def render(template: str, **values: object) -> bytes:
    """Return the page `template` filled with `values`, as UTF-8."""
    return _environment().get_template(template).render(version=__version__, **values).encode()


def local_link(iri: str) -> str:
    """Return the path under which a deployment answers for `iri`, or the IRI itself where it is not ours."""
    if iri.startswith(names.BASE):
        return "/" + iri.removeprefix(names.BASE)
    if iri.startswith(names.SDG) and "#" not in iri:
        return "/sdg/" + iri.removeprefix(names.SDG)
    return iri if iri.startswith(("http://", "https://")) else ""


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("itukg"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(link=local_link, short=names.shorten)
    return environment
