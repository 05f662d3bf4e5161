"""The templates: values are always escaped, and an unknown name is an error instead of an empty string."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from jinja2 import ChoiceLoader, Environment, PackageLoader, PrefixLoader, StrictUndefined

from airflow_provider_ci.web import figures
from airflow_provider_ci.web.files import static_url

_FIGURES = (
    *(figures.count, figures.size, figures.duration, figures.rate, figures.share),
    *(figures.plural, figures.iso, figures.utc),
)


def environment(package: str) -> Environment:
    """The templates in the folder ``templates`` of a package; the shared ones are below ``web/``.

    A page extends ``web/layout.html`` and gives it ``base``, the relative path to the root of the pages
    (``""``, ``"../"``). Parts of a page come from ``web/parts.html``.
    """
    shared = PackageLoader("airflow_provider_ci.web")
    made = Environment(
        loader=ChoiceLoader([PackageLoader(package), PrefixLoader({"web": shared})]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update({each.__name__: each for each in _FIGURES})
    made.globals.update(static_url=static_url, query=query)
    return made


def query(current: Mapping[str, object], **changes: object) -> str:
    """The query string of a link with the current parameters and these changes.

    Empty values are left out, so that addresses stay short.
    """
    values = {**current, **changes}
    return "?" + urlencode({name: value for name, value in values.items() if value not in (None, "")})
