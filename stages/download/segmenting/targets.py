"""What the masks of a segmentation dataset show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeAlias

from pydantic import Field

from pipeline.manifest import Declared
from stages.download.schema import Name
from stages.download.sources import Text

Level: TypeAlias = Annotated[int, Field(ge=0, le=255)]


class Target(Declared):
    """One thing that masks show; each target is a binary layer of the stored masks."""

    name: Name
    """Name of the layer: `polyp`, `left-ventricle`. Annotation files that name their targets, such
    as `Airspace Opacity`, mean the one of that name but for case and what is no letter or digit."""
    noun: Text
    """Class keyword of the prompts (a1), as in "two small polyps"."""
    plural: Text | None = None
    """Plural of the noun; left out: by the rules of English."""
    values: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Label values of this target in a label map; empty, for an only target: every value but 0."""
    colours: tuple[tuple[Level, Level, Level], ...] = ()
    """Red, green and blue of this target in a colour mask; several where several are merged."""
    masks: tuple[Text, ...] = ()
    """Patterns of this target's own files, where each target has its own; else the reader's."""


def target_faults(targets: Sequence[Target]) -> list[str]:
    """Return what is wrong with the targets of a dataset, as far as no reader is concerned."""
    faults = []
    for key in ("name", "values", "colours"):
        found: list[object] = []
        for target in targets:
            declared = getattr(target, key)
            found += [declared] if key == "name" else sorted(set(declared))
        if repeated := sorted({str(each) for each in found if found.count(each) > 1}):
            faults.append(f"two targets have the same {key}: {', '.join(repeated)}")
    if any((0, 0, 0) in target.colours for target in targets):
        faults.append("black is the background of colour masks")
    return faults
