"""Reads the caption workbooks of MedCLIPSeg."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.errors import DataError
from stages.prompt.published.claims import family_of, says_none
from stages.prompt.published.rows import PublishedFile, PublishedRow, Stated

IMAGE, DESCRIPTION, MASKS = "Image", "Description", ("Ground Truth", "Mask")
DESIGNS = ("original", "underdescriptive", "overdescriptive", "contradictory", "missing_location")
_NAMED = re.compile(rf"_text_({'|'.join(DESIGNS)})(_\d+)?$")


def read_workbook(path: Path) -> PublishedFile:
    """Return the rows of the first sheet: columns Image, Description and Ground Truth (or Mask).

    A sheet without any row, or with the header alone, is a file of no rows; lines without any
    value are passed over. The design is read from the file's name, `original` unless it says more.

    Raises
    ------
    DataError
        If it is no such workbook, or a line lacks one of the three.
    """
    lines = _lines(path)
    named = _NAMED.search(path.stem)
    design = named.group(1) if named else DESIGNS[0]
    if not lines:
        return PublishedFile(path, "medclipseg", design, ())
    columns = _columns(path, lines[0][1])
    rows = [_row(path, number, values, columns, design) for number, values in lines[1:]]
    return PublishedFile(path, "medclipseg", design, tuple(rows))


def _lines(path: Path) -> list[tuple[int, tuple[str, ...]]]:
    """Return the lines of the first sheet that hold anything, with their numbers from 1."""
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of styles, which nothing here needs
            book = load_workbook(path, read_only=True, data_only=True)
            try:
                values = list(book.worksheets[0].iter_rows(values_only=True))
            finally:
                book.close()
    # openpyxl lets through what its parsers of XML and of the archive raise.
    except (
        OSError,
        KeyError,
        IndexError,
        ValueError,
        TypeError,
        SyntaxError,
        zipfile.BadZipFile,
        InvalidFileException,
    ) as error:
        message = f"{path}: cannot be read as a workbook: {error}"
        raise DataError(message) from error
    lines = ((number, tuple(_text(one) for one in row)) for number, row in enumerate(values, 1))
    return [(number, row) for number, row in lines if any(row)]


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()


def _columns(path: Path, header: Sequence[str]) -> tuple[int, int, int]:
    places = {name: place for place, name in enumerate(header)}
    mask = next((name for name in MASKS if name in places), MASKS[0])
    absent = [name for name in (IMAGE, DESCRIPTION, mask) if name not in places]
    if absent:
        found = ", ".join(repr(name) for name in header if name)
        message = f"{path}: line 1: no column {_listed(absent)}; found: {found}"
        raise DataError(message)
    return places[IMAGE], places[DESCRIPTION], places[mask]


def _row(
    path: Path, line: int, values: Sequence[str], columns: tuple[int, int, int], design: str
) -> PublishedRow:
    from stages.prompt.published.parse import parse_text

    image, text, mask = (values[place] if place < len(values) else "" for place in columns)
    named = ((IMAGE, image), (DESCRIPTION, text), (MASKS[0], mask))
    absent = [name for name, value in named if not value]
    if absent:
        message = f"{path}: row {line}: nothing in column {_listed(absent)}"
        raise DataError(message)
    empty = says_none(text)
    said = Stated({} if empty else parse_text(text))
    prompts = {design: (text,)}
    family = family_of(prompts)
    return PublishedRow(line, image, mask, prompts, None, text, said, family, empty)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)
