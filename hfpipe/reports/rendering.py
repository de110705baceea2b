"""Jinja templates that give Markdown, in which no text of a user can become markup."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from hfpipe.reports import words

TEMPLATES = Path(__file__).with_name("templates")
SPECIAL = re.compile(r"([\\`*_\[\]|~$])")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")
"""Characters that no page may hold, and those that turn the text behind them around."""


def text(value: object) -> Markup:
    r"""Give a value as one line of Markdown that reads as it is: no markup, HTML or cell border.

    >>> text("<script>|*bold*\n# title")
    Markup('&lt;script&gt;\\|\\*bold\\* # title')
    """
    if isinstance(value, Markup):
        return value
    line = " ".join(CONTROL.sub("\ufffd", words.number(value)).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # A web address or an @name would become a link by itself; as an entity it does not.
    line = line.replace("://", "&#58;//").replace("@", "&#64;").replace("www.", "www&#46;")
    # Escaped just above: nothing in it is HTML any more.
    return Markup(SPECIAL.sub(r"\\\1", line))  # noqa: S704


def fenced(code: str, language: str = "") -> Markup:
    """Give code as a block whose fence is longer than any in the code.

    >>> print(fenced("a ``` b", "python"))
    ````python
    a ``` b
    ````
    """
    longest = max((len(run) for run in re.findall(r"`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    # Inside a fence a renderer shows every character as it is.
    return Markup(f"{fence}{language}\n{CONTROL.sub('', code).rstrip()}\n{fence}")  # noqa: S704


def render(template: str, **values: Any) -> str:
    """Fill a Markdown template; every value goes through :func:`text` unless it is Markup."""
    filled = _environment(markdown=True).get_template(template).render(**values)
    return re.sub(r"\n{3,}", "\n\n", filled).strip() + "\n"


def render_page(template: str, **values: Any) -> str:
    """Fill an HTML template; every value is escaped unless it is Markup."""
    filled = _environment(markdown=False).get_template(template).render(**values)
    # Plots are Markup already: so at the end.
    return CONTROL.sub("\ufffd", filled)


@cache
def _environment(markdown: bool) -> Environment:
    """Compiled templates are kept: that takes longer than to fill them."""
    more: dict[str, Any] = {"finalize": text} if markdown else {}
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **more,
    )
    environment.filters.update(
        number=words.number,
        percent=words.percent,
        signed=words.signed,
        title_of=words.title,
        shorten=words.shortened,
        fenced=fenced,
    )
    return environment
