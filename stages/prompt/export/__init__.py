"""Prompts as files of other projects, which load them unchanged: one function per format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from stages.prompt.export.coco import export_coco
from stages.prompt.export.medclipseg import export_medclipseg
from stages.prompt.export.medvlsm import export_medvlsm
from stages.prompt.export.row import PromptRow, left_out
from stages.prompt.export.table import export_csv

EXPORTS: dict[str, Callable[[Sequence[PromptRow], Path], list[Path]]] = {
    "medvlsm": export_medvlsm,
    "medclipseg": export_medclipseg,
    "coco": export_coco,
    "csv": export_csv,
}
"""Each takes the prompts of one dataset and a file or folder, and returns the files it wrote.

A path with a suffix is the file to write, of all splits; one without is a folder, to which each
split is written under the name that the format has for it. Targets that failed have no prompts and
are left out: `left_out` counts them."""

__all__ = ["EXPORTS", "PromptRow", "left_out"]
