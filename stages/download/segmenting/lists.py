"""Published lists of the images of a split."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from unicodedata import normalize

from pipeline.errors import DataError
from stages.download.segmenting.reading import without_suffix
from stages.download.text_files import read_text


def names_in(path: Path, form: str) -> list[str]:
    """Return the names of a list in its order, as `comparable` makes them; repeated ones too.

    Parameters
    ----------
    path
        A prompt JSON of medvlsm (`img_name` of each object), a prompt workbook of MedCLIPSeg
        (column `Image` of its first sheet), or a text file of one name a line, in which empty
        lines and those that begin with `#` are left out.
    form
        `medvlsm`, `medclipseg` or `names`.

    Raises
    ------
    DataError
        When it is no such file.
    """
    read: Callable[[Path], list[str]] = {
        "medvlsm": _in_json,
        "medclipseg": _in_workbook,
        "names": _in_text,
    }[form]
    return [comparable(name) for name in read(path)]


def comparable(name: str) -> str:
    """Return a name of an image as lists are compared: its last part, in lower case, unsuffixed."""
    return without_suffix(PurePosixPath(normalize("NFC", name.strip())).name).casefold()


def _in_json(path: Path) -> list[str]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return [str(row["img_name"]) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{path}: is no prompt JSON of medvlsm, a list of objects with img_name: {error}"
        raise DataError(message) from error


def _in_workbook(path: Path) -> list[str]:
    import openpyxl

    try:
        with path.open("rb") as file:
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
            rows = list(book.active.iter_rows(values_only=True))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, AttributeError) as error:
        message = f"{path}: cannot be read as a workbook: {error}"
        raise DataError(message) from error
    header = [str(cell).strip() for cell in rows[0]] if rows else []
    if "Image" not in header:
        message = f"{path}: its first sheet has no column Image"
        raise DataError(message)
    column = header.index("Image")
    return [str(row[column]) for row in rows[1:] if row[column] is not None]


def _in_text(path: Path) -> list[str]:
    lines = read_text(path).splitlines()
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
