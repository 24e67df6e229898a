"""From a template and its values to the text of a self-contained HTML file."""

from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup, escape

from mole_jax.report.parts import Panel


def render(template: str, **values: Any) -> str:
    """Fills a template of this package; `css` is the pages' common style sheet."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mole_jax.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"inline_svg": _inline_svg, "estimate_cell": _estimate_cell}
    # Our own file, which may hold > and quotes.
    css = Markup(resources.files("mole_jax.report").joinpath("report.css").read_text(encoding="utf-8"))
    return environment.get_template(template).render(css=css, **values)


def _inline_svg(panel: Panel) -> Markup:
    """The drawing inside the page, so that it takes on its colours, with its text alternative."""
    svg = panel.content.decode()
    title, desc = f"{panel.name}-title", f"{panel.name}-desc"
    opening = Markup('<svg role="img" aria-labelledby="{0} {1}" ').format(title, desc)
    start, rest = svg.split(">", 1)
    text = Markup('<title id="{}">{}</title><desc id="{}">{}</desc>').format(
        title, panel.label or panel.name, desc, panel.alt
    )
    return opening + Markup(start.removeprefix("<svg ")) + Markup(">") + text + Markup(rest)


def _estimate_cell(text: str) -> Markup:
    """A table's cell with its interval, or its reason, on a line of its own."""
    value, space, rest = text.partition(" (")
    if not space:
        return escape(text)
    # A reason may be long, so it wraps.
    kind = "reason" if value == "–" or rest.startswith("no interval") else "interval"
    return Markup('{}<span class="{}">{}</span>').format(value, kind, rest.removesuffix(")"))
