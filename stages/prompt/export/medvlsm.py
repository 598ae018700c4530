"""The JSON of medvlsm (Poudel et al.): a list of one object per target, prompts p0 to pN."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.files import write_whole
from stages.prompt.export.row import PromptRow, of_splits, of_targets, variants

_DESIGN = re.compile(r"p\d+")


def export_medvlsm(rows: Sequence[PromptRow], path: Path) -> list[Path]:
    """Write `path`, or `<split>.json` in a folder.

    The prompts begin with p0, which the original's choice of a random prompt passes over; one with
    several variants is a list. Other designs than p0 to pN have no key there. The box is the one
    the published scripts measure, x1, y1, x2, y2 in pixels.
    """
    if path.suffix:
        return write_whole({path: _document(rows)})
    splits = of_splits(rows)
    return write_whole({path / f"{name}.json": _document(part) for name, part in splits.items()})


def _document(rows: Sequence[PromptRow]) -> bytes:
    entries = [_entry(number, target) for number, target in enumerate(of_targets(rows))]
    # Escaped, because the original opens the file in whatever encoding the machine has.
    return (json.dumps(entries, indent=1, ensure_ascii=True) + "\n").encode("ascii")


def _entry(number: int, rows: Sequence[PromptRow]) -> dict[str, Any]:
    first = rows[0]
    designs = variants(rows)
    names = sorted(filter(_DESIGN.fullmatch, designs), key=lambda name: int(name[1:]))
    box = first.record.poudel.box if first.record.poudel is not None else None
    return {
        **({"bbox": list(box)} if box is not None else {}),
        "cat": 0,
        "segment_id": first.sample,
        "img_name": first.image_name,
        "mask_name": first.mask_name,
        "sentences": [{"idx": 0, "sent_id": number, "sent": ""}],
        "sentences_num": 1,
        "prompts": {name: _texts([one.text for one in designs[name]]) for name in names},
    }


def _texts(texts: list[str]) -> str | list[str]:
    return texts[0] if len(texts) == 1 else texts
