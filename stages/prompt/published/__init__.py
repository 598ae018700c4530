"""Prompt files as other projects published them."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import DataError, MissingInputError
from stages.prompt.published.rows import PublishedFile, PublishedRow

__all__ = ["PublishedFile", "PublishedRow", "read_published"]

_ZIP = b"PK\x03\x04"


def read_published(path: Path) -> PublishedFile:
    """Return the rows of a medvlsm JSON file or a MedCLIPSeg workbook, told apart by content.

    Raises
    ------
    MissingInputError
        If there is no such file.
    DataError
        If it is neither, or a row is not what its format says: file, row and fault are told.
    """
    from stages.prompt.published.medclipseg import read_workbook
    from stages.prompt.published.medvlsm import read_json

    try:
        with path.open("rb") as file:
            begin = file.read(64)
    except FileNotFoundError as error:
        message = f"{path}: there is no such file"
        raise MissingInputError(message) from error
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror}"
        raise DataError(message) from error
    if begin.startswith(_ZIP):
        return read_workbook(path)
    if begin.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in {b"[", b"{"}:
        return read_json(path)
    message = f"{path}: neither a JSON file of medvlsm nor a workbook (.xlsx) of MedCLIPSeg"
    raise DataError(message)
