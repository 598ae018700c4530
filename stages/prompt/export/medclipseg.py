"""The workbooks of MedCLIPSeg: columns Image, Description and Ground Truth, one row per target."""

from __future__ import annotations

import datetime as dt
import io
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.files import write_whole
from stages.prompt.export.row import PromptRow, of_splits, of_targets, variants

ORIGINAL = "original"
DESIGNS = (ORIGINAL, "underdescriptive", "overdescriptive", "contradictory", "missing_location")
HEADER = ("Image", "Description", "Ground Truth")
_DATE = dt.datetime(1980, 1, 1)  # noqa: DTZ001 - openpyxl takes times without a zone only
_MODIFIED = re.compile(rb"(<dcterms:modified[^>]*>)[^<]*(<)")
_NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def export_medclipseg(rows: Sequence[PromptRow], path: Path) -> list[Path]:
    """Write a workbook of the `original` captions, or a folder of workbooks as published.

    The folder gets ``Train_text.xlsx`` and ``Val_text.xlsx`` with the original captions, and
    ``Test_text_<design>.xlsx`` for each of the five designs; a split of another name is treated
    like test. Where a design has variants, the chosen one is taken. Equal rows give equal bytes.

    Raises
    ------
    UsageError
        If the prompts hold none of the designs that are written.
    """
    if path.suffix:
        return write_whole({path: _workbook(rows, ORIGINAL)})
    files: dict[Path, bytes] = {}
    for split, part in of_splits(rows).items():
        name = f"{split.capitalize()}_text"
        if split in {"train", "val"}:
            files[path / f"{name}.xlsx"] = _workbook(part, ORIGINAL)
            continue
        for design in DESIGNS:
            files[path / f"{name}_{design}.xlsx"] = _workbook(part, design)
    return write_whole(files)


def _workbook(rows: Sequence[PromptRow], design: str) -> bytes:
    """Return a workbook of the captions of a design."""
    from openpyxl import Workbook
    from openpyxl.cell.cell import TYPE_STRING

    book = Workbook()
    book.properties.created = _DATE
    book.properties.creator = "medshards"
    sheet = book.worksheets[0]
    for line, row in enumerate([HEADER, *_captions(rows, design)], start=1):
        for column, text in enumerate(row, start=1):
            cell = sheet.cell(line, column, _NOT_IN_XML.sub("", text))
            cell.data_type = TYPE_STRING  # also a name that begins with an equals sign
    content = io.BytesIO()
    book.save(content)
    return _without_time(content.getvalue())


def _captions(rows: Sequence[PromptRow], design: str) -> list[tuple[str, str, str]]:
    targets = of_targets(rows)
    captions = []
    for target in targets:
        chosen = [one.text for one in variants(target).get(design, []) if one.chosen]
        captions += [(target[0].image_name, text, target[0].mask_name) for text in chosen[:1]]
    if targets and not captions:
        message = f"the prompts hold no design {design!r}, which these workbooks are made of"
        raise UsageError(message)
    return captions


def _without_time(content: bytes) -> bytes:
    """Return a workbook that does not tell when it was written."""
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as source,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as made,
    ):
        for name in source.namelist():
            part = source.read(name)
            if name == "docProps/core.xml":
                part = _MODIFIED.sub(rb"\g<1>1980-01-01T00:00:00Z\g<2>", part)
            entry = zipfile.ZipInfo(name)  # dated 1980 unless told otherwise
            entry.compress_type = zipfile.ZIP_DEFLATED
            made.writestr(entry, part)
    return packed.getvalue()
