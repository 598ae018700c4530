"""Writes a report: the page, its figures as PNG and SVG, its tables as CSV and LaTeX."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline.errors import UsageError
from stages.report.content import Figure, Heat, Page, Picture, Table
from stages.report.page import MARK, render
from stages.report.tables import as_csv, as_latex

INDEX = "index.html"


def write_report(page: Page, folder: Path, more: Mapping[str, bytes | memoryview]) -> list[Path]:
    """Write everything below `folder`, all or nothing; return the paths.

    Parameters
    ----------
    page : Page
    folder : Path
        Made if it does not exist; an earlier report there is replaced.
    more : mapping of str to bytes
        Further files by their path below the folder, such as the unaggregated tables.

    Raises
    ------
    UsageError
        If the folder holds something else.
    """
    require_replaceable(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name, content in (*_files(page), *more.items()):
            path = staging / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        staging.chmod(0o755)
        names = sorted(path.relative_to(staging) for path in staging.rglob("*") if path.is_file())
        if folder.exists():
            shutil.rmtree(folder)
        staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return [folder / name for name in names]


def require_replaceable(folder: Path) -> None:
    """Refuse a folder that holds anything but a report.

    Raises
    ------
    UsageError
        If it does, or is no folder.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        message = f"{folder} is a file; name a folder for the report"
        raise UsageError(message)
    index = folder / INDEX
    ours = index.is_file() and MARK in index.read_text(encoding="utf-8", errors="replace")[:2000]
    if any(folder.iterdir()) and not ours:
        message = f"{folder} holds something that is no report; name an empty or a new folder"
        raise UsageError(message)


def _files(page: Page) -> Iterator[tuple[str, bytes]]:
    yield INDEX, render(page).encode()
    for item in (item for section in page.sections for item in section.items):
        if isinstance(item, Table | Heat):
            yield f"tables/{item.name}.csv", as_csv(item).encode()
            yield f"tables/{item.name}.tex", as_latex(item).encode()
        elif isinstance(item, Figure):
            for panel in item.panels:
                yield f"figures/{item.name}/{panel.name}.svg", panel.svg.encode()
                yield f"figures/{item.name}/{panel.name}.png", panel.png
        elif isinstance(item, Picture):
            yield f"figures/{item.name}.png", item.png
            if item.svg is not None:
                yield f"figures/{item.name}.svg", item.svg
