"""A user's folder of images and folder of masks as a dataset, without a manifest."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, cast, get_args

import numpy as np

from pipeline.errors import DataError, UsageError
from pipeline.manifest import unknown_name
from stages.download.readers.pictures import opened
from stages.download.schema import Licence
from stages.download.segmenting.forms import Meaning, PairsForm, form_faults
from stages.download.segmenting.membership import shown
from stages.download.segmenting.pairs import PairsReader
from stages.download.segmenting.patterns import PICTURES, Pattern
from stages.download.segmenting.schema import (
    EVERYTHING,
    Family,
    Frame,
    SegmentationDataset,
    SplitSet,
)
from stages.download.segmenting.targets import Target
from stages.download.segmenting.tree import Tree
from stages.download.sources import FolderSource

ENDINGS = tuple(
    f"{sign}{word}"
    for sign in ("_", "-", " ", ".")
    for word in (
        *("mask", "Mask", "MASK", "masks", "seg", "Seg", "segmentation", "Segmentation"),
        *("gt", "GT", "label", "Label"),
    )
)
"""What a mask's name may have after its image's, where no pattern is given."""
ANY = "{**stem}.*"
"""Pattern of any picture, by its path without the suffix."""
UNKNOWN_SIZE = (512, 512)

_WORDS: dict[str, tuple[str, ...]] = {
    "merge": ("union",),
    "meaning": ("binary", "instances"),
    "family": get_args(Family),
    "frame": get_args(Frame),
}


def plain_folder(  # noqa: PLR0913 everything that a manifest would say
    images: Path,
    masks: Path,
    *,
    noun: str,
    name: str | None = None,
    plural: str | None = None,
    image_pattern: str | None = None,
    mask_patterns: Sequence[str] = (),
    merge: str | None = None,
    meaning: str = "binary",
    family: str = "photographic",
    frame: str = "image",
) -> SegmentationDataset:
    """Return the dataset of two folders, all of it in the split `test`.

    Without patterns an image and a mask belong together if they have the same path below their
    folders but for the suffix and one of `ENDINGS` of the mask; where no path fits, the same name
    in whatever folders. In one folder for both, only files with such an ending are masks.

    Parameters
    ----------
    images, masks
        The folders; they may be the same, or one within the other.
    noun, plural
        Class keyword of the prompts, and its plural where the rules of English fail.
    name
        Id of the dataset; default: from the path of the images.
    image_pattern, mask_patterns
        Patterns of paths below the folders (see `PairsForm`), instead of the rule above. Of one
        that is not given the default is `{**stem}.*`.
    merge
        `union`, if several masks of one image become one; left out: such an image fails.
    meaning
        What masks say: `binary`, or `instances`, which number objects.
    family
        Which prompts it gets: `photographic` or another `Family`.
    frame
        Whose left and right the prompts mean: `image` or `patient`.

    Raises
    ------
    DataError
        When a folder is missing or nothing in them belongs together.
    UsageError
        When a pattern, the name or a word is wrong, or `meaning` needs a manifest.
    """
    _require_words({"merge": merge, "meaning": meaning, "family": family, "frame": frame})
    roots = [Path(folder).resolve() for folder in (images, masks)]
    trees = [Tree(folder) for folder in roots]
    target = Target(name=_slug(noun), noun=noun, plural=plural)
    given = (image_pattern or ANY, tuple(mask_patterns) or (ANY,))
    own = bool(image_pattern or mask_patterns)
    for patterns in [given] if own else _choices(trees[1], one_folder=roots[0] == roots[1]):
        reader = PairsReader(_form(*patterns, merge, meaning, target), [target], *trees)
        if any(entry.mask_paths for entry in reader.entries):
            chosen = _checked(name) if name else _name_of(roots[0])
            found = _dataset(chosen, target, reader, roots, trees[0])
            return found.model_copy(update={"prompt_family": family, "frame": frame})
    raise DataError(_no_pair(roots, trees))


def _require_words(words: dict[str, str | None]) -> None:
    """Refuse options that are none of their words."""
    meaning = words["meaning"]
    if meaning in {"labels", "colours"}:
        message = f"{meaning} need a manifest, which says what each value or colour means"
        raise UsageError(message)
    for option, word in words.items():
        if word is not None and word not in _WORDS[option]:
            raise unknown_name(option, word, _WORDS[option])


def _form(
    images: str, masks: tuple[str, ...], merge: str | None, meaning: str, target: Target
) -> PairsForm:
    form = PairsForm(
        form="pairs",
        images=(images,),
        masks=masks,
        merge=cast("Literal['union'] | None", merge),
        meaning=cast("Meaning", meaning),
        deep="stretched",
    )
    if faults := form_faults(form, [target]):
        raise UsageError("; ".join(faults))
    return form


def _choices(tree: Tree, *, one_folder: bool) -> list[tuple[str, tuple[str, ...]]]:
    """Return the patterns to try: with the folders' own order, then by names alone.

    Of those for masks only the ones that match a file are kept: they become part of a key.
    """
    choices = []
    for stem in ("{**stem}", "**/{stem}"):
        masks = [f"{stem}{ending}.*" for ending in ("", *ENDINGS)[one_folder:]]
        found = [mask for mask in masks if any(map(Pattern(mask).match, tree.paths))]
        if found:
            choices.append((f"{stem}.*", tuple(found)))
    return choices


def _dataset(
    name: str,
    target: Target,
    reader: PairsReader,
    roots: list[Path],
    tree: Tree,
) -> SegmentationDataset:
    size, channels = _typical([tree.at(entry.path) for entry in reader.entries])
    return SegmentationDataset(
        id=name,
        family=name,
        title=name,
        collection="folder",
        modality="images of a folder",
        task="segmentation",
        targets=(target,),
        typical_size=size,
        channels=channels,
        citation="not stated: a user's own folder",
        licence=Licence(
            spdx="LicenseRef-unknown",
            redistribution="recipes",
            share_alike=False,
            source="not stated: a user's own folder",
        ),
        access="a user's own folder",
        reader=reader.form,
        source=FolderSource(kind="folder", path=str(roots[0])),
        mask_source=(
            None if roots[0] == roots[1] else FolderSource(kind="folder", path=str(roots[1]))
        ),
        split_set=SplitSet(name=EVERYTHING, source="a user's own folder"),
    )


def _slug(noun: str) -> str:
    """Return the noun as the name of a layer: `foot-ulcer`."""
    return re.sub(r"[^a-z0-9]+", "-", noun.lower()).strip("-") or "target"


def _name_of(folder: Path) -> str:
    """Return the name of the folder, or of the one above if that is `images` or the like."""
    named = folder.parent if _slug(folder.name) in {"image", "images", "img", "imgs"} else folder
    return re.sub(r"[^a-z0-9]+", "-", named.name.lower()).strip("-") or "folder"


def _checked(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        message = (
            f"the name {name!r} must begin with a small letter or a digit and have only these, "
            "_ and -"
        )
        raise UsageError(message)
    return name


def _typical(paths: list[Path]) -> tuple[tuple[int, int], Literal[1, 3]]:
    """Return the median height and width of the images and the channels of most, by headers."""
    sizes, gray = [], 0
    for path in paths:
        try:
            with opened(path) as picture:
                sizes.append((picture.height, picture.width))
                gray += picture.mode.startswith(("1", "L", "I", "F"))
        except DataError:
            continue  # a row with an error later
    if not sizes:
        return UNKNOWN_SIZE, 3
    height, width = np.sort(np.array(sizes), axis=0)[(len(sizes) - 1) // 2].tolist()
    return (height, width), 1 if 2 * gray > len(sizes) else 3


def _no_pair(roots: list[Path], trees: list[Tree]) -> str:
    names = [
        shown([path for path in tree.paths if Path(path).suffix.lower() in PICTURES]) or "no image"
        for tree in trees
    ]
    there = "" if roots[0] == roots[1] else f", {roots[1]} has {names[1]}"
    return (
        f"no mask belongs to any image: {roots[0]} has {names[0]}{there}. Give patterns that say "
        "which belong together, such as {stem}.jpg for images and {stem}_1.png for masks"
    )
