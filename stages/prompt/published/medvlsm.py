"""Reads the prompt JSON of medvlsm (Poudel et al.)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import DataError
from stages.prompt.published.claims import REPORTS, family_of, says_none
from stages.prompt.published.rows import Box, PublishedFile, PublishedRow, Stated
from stages.prompt.published.stated import stated


def read_json(path: Path) -> PublishedFile:
    """Return the rows of a list of objects with `img_name`, `mask_name` and `prompts`.

    Raises
    ------
    DataError
        If it is no such list, or a value is not of the type that the original loader needs.
    """
    try:
        found = json.loads(path.read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        message = f"{path}: cannot be read as JSON: {error}"
        raise DataError(message) from error
    if not isinstance(found, list):
        message = f"{path}: a list of objects is expected, not {_kind(found)}"
        raise DataError(message)
    rows = []
    for number, entry in enumerate(found, start=1):
        try:
            rows.append(_row(number, entry))
        except ValueError as error:
            message = f"{path}: row {number}: {error}"
            raise DataError(message) from error
    return PublishedFile(path, "medvlsm", "", tuple(rows))


def _row(number: int, entry: object) -> PublishedRow:
    """Return one row; a ValueError says what is wrong with it."""
    if not isinstance(entry, dict):
        message = f"an object is expected, not {_kind(entry)}"
        raise ValueError(message)  # noqa: TRY004 - all faults of a row are told alike
    prompts = _prompts(entry.get("prompts"))
    texts = [text for variants in prompts.values() for text in variants if text]
    family = family_of(prompts)
    empty = family != REPORTS and bool(texts) and all(says_none(text) for text in texts)
    return PublishedRow(
        number,
        _name(entry, "img_name"),
        _name(entry, "mask_name"),
        prompts,
        _box(entry.get("bbox")),
        None,
        Stated({}) if empty else stated(prompts, family),
        family,
        empty,
    )


def _prompts(found: object) -> dict[str, tuple[str, ...]]:
    if not isinstance(found, dict) or not found:
        message = f"'prompts' must be an object of prompts by name, not {_kind(found)}"
        raise ValueError(message)
    prompts: dict[str, tuple[str, ...]] = {}
    for name, value in found.items():
        variants = value if isinstance(value, list) else [value]
        if not variants or not all(isinstance(one, str) for one in variants):
            message = f"prompt {name!r} must be a text or a list of texts, not {_kind(value)}"
            raise ValueError(message)
        prompts[name] = tuple(text.strip() for text in variants)
    return prompts


def _name(entry: Mapping[str, Any], key: str) -> str:
    name = entry.get(key)
    if not isinstance(name, str) or not name.strip():
        message = f"{key!r} must be a file name, not {_kind(name)}"
        raise ValueError(message)
    return name.strip()


def _box(found: object) -> Box | None:
    if found is None:
        return None
    if not isinstance(found, list) or len(found) != 4:
        message = f"'bbox' must be a list of four numbers, not {_kind(found)}"
        raise ValueError(message)
    if not all(_whole(one) for one in found):
        message = f"'bbox' must be a list of four whole numbers of pixels, not {found}"
        raise ValueError(message)
    x1, y1, x2, y2 = (int(one) for one in found)
    return x1, y1, x2, y2


def _whole(value: object) -> bool:
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool)


def _kind(found: object) -> str:
    if found is None:
        return "nothing"
    if isinstance(found, str | int | float):
        return repr(found)
    return {"list": "a list", "dict": "an object"}.get(type(found).__name__, "something else")
