"""The on-disk forms of segmentation datasets, as manifests declare them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from pipeline.errors import UsageError
from pipeline.manifest import Declared
from stages.download.segmenting.patterns import Pattern
from stages.download.segmenting.targets import Target
from stages.download.sources import Text

Meaning: TypeAlias = Literal["binary", "labels", "colours", "instances"]
Attribute: TypeAlias = Literal[
    "view", "pathology", "cycle", "gender", "age", "quality", "tumor_type"
]
"""The attributes of prompts that a dataset's own metadata can tell."""


_TUMOURS = {"1": "meningioma", "2": "glioma", "3": "pituitary tumor"}


class PairsForm(Declared):
    """Image files and mask files that belong together by their names.

    Patterns are paths below the root: `images/{stem}.jpg`. A name in braces matches a piece of one
    path part, as short as possible from the left, and twice the same name the same piece;
    `{**name}` may span several parts. `*` matches anything within one part, `**/` any folders or
    none. Names are compared in Unicode's composed form; the suffix in any case of letters; with
    the suffix `.*` only files of picture kinds match. An image and a mask belong together when the
    names that both patterns have agree. Hidden files, `__MACOSX`, `Thumbs.db` and `desktop.ini`
    are ignored. The name `patient` becomes the patient id.
    """

    form: Literal["pairs"]
    images: Annotated[tuple[Text, ...], Field(min_length=1)]
    """Patterns of image files; a file that also matches a pattern of masks is not an image."""
    masks: tuple[Text, ...] = ()
    """Patterns of mask files of all targets that do not have their own."""
    merge: Literal["union"] | None = None
    """How several masks of one image and target become one; left out: such an image fails."""
    meaning: Meaning = "binary"
    """What a pixel of a mask file says: foreground or not; which target; which target by colour;
    which object of the only target."""
    threshold: Annotated[int, Field(ge=1, le=255)] = 128
    """Lowest 8-bit gray value of the foreground of a binary mask with more than two values."""
    without_mask: Literal["fault", "empty"] = "fault"
    """Whether an image without a mask file is a fault, or an image without the target."""
    deep: Literal["fault", "stretched"] = "fault"
    """Whether a gray image of more than 8 bits is a fault, or has its lowest value made 0 and its
    highest 255; the finding `image-stretched` records it."""
    metadata: dict[Attribute, dict[Text, dict[str, Text]]] = Field(default_factory=dict)
    """Words of an attribute by the value of a name in braces. For the pattern
    `{kind}/{kind} ({number}).png` write `[reader.metadata.tumor_type.kind]` and, below it,
    `benign = "benign"`; a value that is not listed leaves the attribute unknown, an empty table
    takes every value as it is, in lower case."""
    report: str = ""
    """Pattern of a text file per image, or per study of several images: its names in braces are
    among those of the images, `files/{group}/{patient}/{study}.txt` of
    `files/{group}/{patient}/{study}/{stem}.jpg`. The whole text, UTF-8 or else Latin-1 and with
    single spaces for all white space, becomes the attribute report; of an image without such a
    file, or with an empty one, the report is unknown."""
    listed_as: str = ""
    """How published lists name an image, made of the names in braces: `{number}_{kind}`; left out:
    the stem of its file."""


class NiftiForm(Declared):
    """NIfTI files, one folder per patient (CAMUS): 2-D frames and label maps."""

    form: Literal["nifti"]
    images: Text
    """Pattern (see `PairsForm`) such as
    `{patient}/{patient}_{view}_{cycle}.nii.gz`; the names `view` (2CH, 4CH) and `cycle` (ED, ES)
    become words, and files with other values (whole sequences) are not images."""
    masks: Text
    """Pattern of label maps."""
    info: str = ""
    """Pattern of a text file of `key: value` lines with `Sex`, `Age` and `ImageQuality`, which
    become the attributes gender, age and quality: `{patient}/Info_{view}.cfg`."""


class PolygonsForm(Declared):
    """Image files and JSON with polygons or run-length masks per image and target (CheXlocalize).

    Polygons: `{image: {"img_size": [height, width], target: [[[x, y], ...], ...]}}`. Run lengths:
    `{image: {target: {"size": [height, width], "counts": "..."}}}`, compressed as by pycocotools.
    An image that no file names has no target, one whose targets are absent is empty.
    """

    form: Literal["polygons"]
    images: Text
    """Pattern (see `PairsForm`) such as `{patient}/{study}/{view}_{side}.jpg`; the image's name in
    the annotations is its names in braces joined by `_`. `side` becomes the attribute view."""
    annotations: Annotated[tuple[Text, ...], Field(min_length=1)]
    """JSON files below the root."""
    labels: tuple[Text, ...] = ()
    """CSV files below the root with the column `Path` (its end is the image's path) or `Study`,
    and a column per finding; those that are 1 become the attribute `pathology`."""
    without_mask: Literal["skip", "fault", "empty"] = "skip"
    """What an image is that no annotation file names: left out, a fault, or without targets."""


class FigshareForm(Declared):
    """MATLAB 7.3 files with `cjdata.image`, `.label`, `.tumorMask` and `.PID` (BTMRI)."""

    form: Literal["figshare-mat"]
    files: Text
    """Pattern (see `PairsForm`) of the files: `**/{stem}.mat`."""
    metadata: dict[str, Text] = Field(default_factory=lambda: dict(_TUMOURS))
    """Tumour type (attribute `tumor_type`) by `cjdata.label`, a number as text."""


SegmentationForm: TypeAlias = Annotated[
    PairsForm | NiftiForm | PolygonsForm | FigshareForm, Field(discriminator="form")
]


def form_faults(form: SegmentationForm, targets: Sequence[Target]) -> list[str]:
    """Return what is wrong with a form for these targets: patterns, and what masks mean."""
    if isinstance(form, PairsForm):
        return _pairs_faults(form, targets)
    patterns = [form.files] if isinstance(form, FigshareForm) else [form.images]
    if isinstance(form, NiftiForm):
        patterns += [form.masks] + ([form.info] if form.info else [])
    faults = _pattern_faults(patterns)
    if any(target.masks or target.colours for target in targets):
        faults.append(f"the form {form.form} takes no masks or colours of targets")
    if isinstance(form, NiftiForm):
        if not faults and not Pattern(form.images).names & Pattern(form.masks).names:
            faults.append("images and masks share no name in braces")
        faults += _label_faults(targets)
    if isinstance(form, FigshareForm) and len(targets) > 1:
        faults.append("the form figshare-mat has one target")
    return faults


def _pattern_faults(patterns: Sequence[str]) -> list[str]:
    faults = []
    for pattern in patterns:
        try:
            Pattern(pattern)
        except UsageError as error:
            faults.append(str(error))
    return faults


def _pairs_faults(form: PairsForm, targets: Sequence[Target]) -> list[str]:
    masks = [*form.masks, *(pattern for target in targets for pattern in target.masks)]
    faults = _pattern_faults([*form.images, *masks])
    if faults:
        return faults
    if any(not (target.masks or form.masks) for target in targets):
        faults.append("give the patterns of masks, for all targets or for each")
    images = [Pattern(pattern) for pattern in form.images]
    for mask in map(Pattern, masks):
        if not any(image.names & mask.names for image in images):
            faults.append(f"{mask.text!r} shares no name in braces with a pattern of images")
    known = frozenset.union(*(image.names for image in images))
    used = {name for words in form.metadata.values() for name in words}
    if form.listed_as:
        try:
            used |= Pattern(form.listed_as).names
        except UsageError as error:
            faults.append(f"listed_as: {error}")
    if unknown := sorted(used - known):
        faults.append(f"no pattern of images has the name {', '.join(unknown)} in braces")
    faults += _report_faults(form.report, images) if form.report else []
    return faults + _meaning_faults(form.meaning, targets)


def _report_faults(text: str, images: Sequence[Pattern]) -> list[str]:
    faults = _pattern_faults([text])
    if faults:
        return [f"report: {fault}" for fault in faults]
    names = Pattern(text).names
    if text.endswith(".*"):
        faults.append("report: name the suffix of text files; `.*` stands for pictures")
    if not names:
        faults.append("report: has no name in braces that says whose it is")
    if not any(names <= image.names for image in images):
        faults.append(f"report: no pattern of images has all of {', '.join(sorted(names))}")
    return faults


def _meaning_faults(meaning: Meaning, targets: Sequence[Target]) -> list[str]:
    faults = []
    if meaning == "labels":
        faults += _label_faults(targets)
    elif any(target.values for target in targets):
        faults.append(f"values of targets belong to labels, not to {meaning} masks")
    if meaning == "colours" and not all(target.colours for target in targets):
        faults.append("each target of colour masks needs its colours")
    if meaning != "colours" and any(target.colours for target in targets):
        faults.append(f"colours of targets belong to colour masks, not to {meaning} masks")
    if meaning == "instances" and len(targets) > 1:
        faults.append("masks that number objects have one target")
    if meaning == "binary" and sum(not target.masks for target in targets) > 1:
        faults.append("each target of binary masks needs its own masks")
    return faults


def _label_faults(targets: Sequence[Target]) -> list[str]:
    if len(targets) > 1 and not all(target.values for target in targets):
        return ["each of several targets of label maps needs its values"]
    return []
