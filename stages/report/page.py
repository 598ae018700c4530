"""Turns a report's content into one HTML page that loads nothing."""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import quote

from stages.report.content import Heat, Page, Picture, Table
from stages.report.tables import as_csv

MARK: Final = 'name="generator" content="medshards report"'
"""What tells a page of ours from any other."""
_HERE: Final = Path(__file__).parent


def render(page: Page) -> str:
    """Return the page as HTML; every text in it is escaped."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(_shipped("page.html.jinja"))
    return template.render(
        page=page,
        # Our own files, which hold no closing tag.
        style=Markup(_shipped("page.css")),  # noqa: S704
        script=Markup(_shipped("page.js")),  # noqa: S704
        kind_of=lambda item: type(item).__name__,
        jpeg_of=_jpeg,
        csv_of=_csv,
    )


@cache
def _shipped(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _jpeg(picture: Picture) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(picture.small).decode("ascii")


def _csv(table: Table | Heat) -> str:
    return "data:text/csv;charset=utf-8," + quote(as_csv(table))
