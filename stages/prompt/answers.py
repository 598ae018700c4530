"""Answers about shape and colour that come from elsewhere, such as a VQA model."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import DataError

ANSWERED = ("shape", "colour")
_SPELLINGS = {"color": "colour"}
_NAMES = ("image", "img_name", "sample", "id")
"""Columns, or fields, that may name the image."""


def read_answers(path: Path) -> dict[str, dict[str, str]]:
    """Return `{image: {"shape": ..., "colour": ...}}` from a file.

    A CSV has a column `image` (or `img_name`, `sample`, `id`) and columns `shape`, `colour` or
    `color`. A JSON file holds a map from image to such fields, or a list of objects with the
    columns' names. An empty answer is no answer.

    Raises
    ------
    DataError
        If the file cannot be read, names an image twice, or answers something else.
    """
    try:
        rows = _json_rows(path) if path.suffix.lower() == ".json" else _csv_rows(path)
    except (OSError, ValueError, csv.Error) as error:
        message = f"{path}: cannot be read: {error}"
        raise DataError(message) from error
    found: dict[str, dict[str, str]] = {}
    for number, row in enumerate(rows, start=1):
        name = next((row[key] for key in _NAMES if row.get(key)), None)
        answers = {_SPELLINGS.get(k, k): v for k, v in row.items() if k not in _NAMES and v}
        if name is None or not set(answers) <= set(ANSWERED):
            message = (
                f"{path}, row {number}: needs an image and answers for {' and '.join(ANSWERED)}; "
                f"it has: {', '.join(row)}"
            )
            raise DataError(message)
        if name in found:
            message = f"{path}, row {number}: {name!r} comes twice"
            raise DataError(message)
        found[name] = answers
    return found


def _csv_rows(path: Path) -> list[Mapping[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def _json_rows(path: Path) -> list[Mapping[str, str]]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(content, dict):
        content = [{"image": name, **answers} for name, answers in content.items()]
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        message = "it holds neither a map of images nor a list of answers"
        raise ValueError(message)
    return content
