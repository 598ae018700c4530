"""What wording needs beside the record: what the dataset and its manifest say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Context:
    """Of one sample and target."""

    noun: str
    """Class keyword (a1): `polyp`."""
    plural: str | None = None
    """Its plural; None: by the rules of English."""
    family: str = "photographic"
    """Which prompts the dataset gets."""
    frame: Literal["image", "patient"] = "image"
    """Whose left and right places mean: in `patient` the image's left is the patient's right."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Attributes that the dataset tells of the sample: `tumor_type`, `view`, `pathology`, ..."""
    answers: Mapping[str, str] = field(default_factory=dict)
    """Answers about shape and colour (of a VQA model) from a file."""
    descriptions: tuple[str, ...] = ()
    """General descriptions of the class that the user or the manifest gives (a7)."""
