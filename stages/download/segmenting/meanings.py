"""From the numbers of a mask file to one binary layer per target, by declared rules."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from stages.download.segmenting.forms import Meaning
from stages.download.segmenting.masks import MaskFile
from stages.download.segmenting.targets import Target

DARK, LIGHT = 16, 239
"""Gray levels between which a pixel is neither nearly black nor nearly white."""
MOST_BETWEEN = 0.75
"""Largest share of a binary mask's pixels other than 0 that may lie between them: edges of thin
structures do, but most pixels of photographs and of numbered objects."""
LARGEST_INSTANCE = 65535


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One target of one image."""

    mask: NDArray[np.uint8]
    """0 or 255, (H, W)."""
    source: NDArray[np.uint8] | None = None
    """8-bit gray values as read, where the file is a binary mask with more than two of them."""
    instances: NDArray[np.uint16] | None = None
    """Number of the object of each pixel, 0 for none, where the file numbers them."""
    levels: int = 1
    """Different values (or colours) in the file."""
    fringe: int = 0
    """Pixels that are neither background nor a value or colour of the foreground."""
    findings: tuple[str, ...] = ()
    """Those of `MaskFile`, and: `jpeg-fringe` and `values`, other values than those of a clean
    mask in a JPEG and in another file; `merged`, made of several files; `full`, everything is
    foreground; `inverted`, all corners and more than half of the pixels are foreground; `no-file`,
    empty because there is no file."""


def layer_of(
    name: str, file: MaskFile, meaning: Meaning, target: Target, threshold: int = 128
) -> Layer:
    """Return the layer of one target.

    Binary
        A file with no value but 0 and one other: foreground is what is not 0, whatever the other
        value is (1, 255, a label). A file of 8 bits with more values: gray values of at least
        `threshold`; of a coloured file the brightest channel counts, as pure red has a gray value
        of 76. Files of more bits with more than two values number objects or classes and are
        refused, as are those in which nothing, or mostly something between black and white, would
        be foreground.
    Labels
        Foreground is a value of the target (without values: any but 0). Of a palette file the
        numbers of the colours count. A JPEG with other values than the declared ones is refused.
    Colours
        Every pixel belongs to the nearest of black and the target's colours, by the sum of squared
        differences of the three channels; see `colour_layers` for several targets.
    Instances
        Values are numbers of objects, 0 to 65535; 0 is the background.

    Parameters
    ----------
    name
        The file, for messages.
    threshold
        1 to 255.

    Raises
    ------
    DataError
        When the file cannot have that meaning.
    """
    if meaning == "colours":
        return colour_layers(name, file, [target])[0]
    read: Callable[[], Layer] = {
        "binary": lambda: _binary(name, file, threshold),
        "labels": lambda: _labels(name, file, target.values),
        "instances": lambda: _instances(name, file),
    }[meaning]
    return _examined(read())


def label_layers(name: str, file: MaskFile, targets: Sequence[Target]) -> list[Layer]:
    """Return the layers of a label map; a value that no target has is a finding of each."""
    declared = {value for target in targets for value in target.values}
    return [_examined(_labels(name, file, target.values, declared)) for target in targets]


def colour_layers(name: str, file: MaskFile, targets: Sequence[Target]) -> list[Layer]:
    """Return the layers of a colour mask: every pixel belongs to the nearest declared colour.

    Black is the background. Of equally near colours, black and then the first declared wins.
    """
    if file.colours is None:
        if file.gray is None:
            message = f"{name}: has more than 8 bits, not the colours that are declared"
            raise DataError(message)
        file = dataclasses.replace(file, colours=np.repeat(file.gray[..., None], 3, axis=2))
    pixels = file.colours.astype(np.int32)  # type: ignore[union-attr]
    palette = [(0, 0, 0), *(colour for target in targets for colour in target.colours)]
    owners = [-1, *(row for row, target in enumerate(targets) for _ in target.colours)]
    best = np.full(file.shape, np.iinfo(np.int32).max, np.int32)
    owner = np.full(file.shape, -1, np.int16)
    for colour, row in zip(palette, owners, strict=True):
        distance = np.square(pixels - np.array(colour, np.int32)).sum(axis=2, dtype=np.int32)
        closer = distance < best
        best[closer] = distance[closer]
        owner[closer] = row
    fringe = int(np.count_nonzero(best))
    packed = pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2]
    levels = np.unique(packed).size
    other = (("jpeg-fringe" if file.lossy else "values"),) if fringe else ()
    findings = tuple(each for each in file.findings if each != "colour") + other
    return [
        _examined(Layer(_white(owner == row), None, None, levels, fringe, findings))
        for row in range(len(targets))
    ]


def merged(layers: Sequence[Layer]) -> Layer:
    """Return the union of the layers of several files; objects get numbers one file after another.

    Levels are those of the file with the most, fringe pixels are added up.
    """
    if len(layers) == 1:
        return layers[0]
    mask = np.maximum.reduce([layer.mask for layer in layers])
    sources = [layer.mask if layer.source is None else layer.source for layer in layers]
    has_source = any(layer.source is not None for layer in layers)
    found = dict.fromkeys(each for layer in layers for each in layer.findings)
    return _examined(
        Layer(
            mask,
            np.maximum.reduce(sources) if has_source else None,
            _numbered([layer.instances for layer in layers]),
            max(layer.levels for layer in layers),
            sum(layer.fringe for layer in layers),
            (*(each for each in found if each not in {"full", "inverted"}), "merged"),
        )
    )


def absent(shape: tuple[int, int]) -> Layer:
    """Return the empty layer of a target that has no file."""
    return Layer(np.zeros(shape, np.uint8), findings=("no-file",))


def filled(mask: NDArray[np.bool_]) -> Layer:
    """Return the layer of a mask that was made from shapes, (H, W)."""
    return _examined(Layer(_white(mask), levels=1 + int(mask.any() and not mask.all())))


def _binary(name: str, file: MaskFile, threshold: int) -> Layer:
    gray = file.gray
    if gray is None:
        return _two_values(file.values, _values_of(name, file), file.findings)
    coloured = file.colours is not None and "colour" in file.findings
    if coloured and file.colours is not None:
        gray = file.colours.max(axis=2)
    counts = np.bincount(gray.reshape(-1), minlength=256)
    levels = np.flatnonzero(counts).tolist()
    if len(levels) == 1 or (len(levels) == 2 and levels[0] == 0):
        layer = _two_values(gray, levels, file.findings)
        # What the published scripts would take for foreground they see as it is.
        seen = not coloured and threshold <= levels[-1] < 255
        return dataclasses.replace(layer, source=gray) if seen else layer
    _require_binary(name, counts, threshold)
    fringe = int(counts[1:255].sum())
    finding = ("jpeg-fringe" if file.lossy else "values",) if fringe else ()
    source = None if coloured else gray
    mask = _white(gray >= threshold)
    return Layer(mask, source, None, len(levels), fringe, file.findings + finding)


def _two_values(values: NDArray[Any], levels: Sequence[int], findings: tuple[str, ...]) -> Layer:
    """Return the layer of a file that says 0 and at most one other value."""
    odd = () if set(levels) <= {0, 255} else ("values",)
    return Layer(_white(values != 0), levels=len(levels), findings=findings + odd)


def _values_of(name: str, file: MaskFile) -> list[int]:
    """Return the one or two values of a file of more than 8 bits, or refuse it."""
    values: list[int] = np.unique(file.values).tolist()
    if len(values) > 2 or (len(values) == 2 and 0 not in values):
        message = (
            f"{name}: more than 8 bits and {len(values)} different values: it seems to number "
            'objects or classes; declare meaning = "instances", or "labels" with the values of '
            "each target"
        )
        raise DataError(message)
    return values


def _require_binary(name: str, counts: NDArray[np.intp], threshold: int) -> None:
    """Refuse a gray file in which a threshold would find something else than a mask."""
    levels = np.flatnonzero(counts)
    remedy = 'declare meaning = "labels" or "instances"'
    if levels.max() < threshold:
        shown = ", ".join(map(str, levels[:5])) + (", ..." if len(levels) > 5 else "")
        message = (
            f"{name}: no value reaches the threshold {threshold} (values {shown}); if they are "
            f"labels, {remedy}; else lower the threshold"
        )
        raise DataError(message)
    between = int(counts[DARK : LIGHT + 1].sum())
    if between > MOST_BETWEEN * int(counts[1:].sum()):
        message = (
            f"{name}: {len(levels)} different values, most of them neither black nor white: it is "
            f"no binary mask. If it numbers classes or objects, {remedy}; if it is a photograph, "
            "images and masks are mixed up"
        )
        raise DataError(message)


def _labels(
    name: str, file: MaskFile, values: Sequence[int], declared: set[int] | None = None
) -> Layer:
    if file.uneven:
        message = f'{name}: is coloured; declare meaning = "colours" and the colours of the targets'
        raise DataError(message)
    levels, counts = np.unique(file.values, return_counts=True)
    known = {0, *(declared or values)} if declared or values else set(levels.tolist())
    other = ~np.isin(levels, list(known))
    if other.any() and file.lossy:
        shown = ", ".join(map(str, levels[other][:5]))
        message = (
            f"{name}: a JPEG with values that are no labels ({shown}); labels are lost in JPEG"
        )
        raise DataError(message)
    chosen = np.isin(file.values, list(values)) if values else file.values != 0
    findings = file.findings + (("values",) if other.any() else ())
    return Layer(_white(chosen), None, None, len(levels), int(counts[other].sum()), findings)


def _instances(name: str, file: MaskFile) -> Layer:
    if file.uneven:
        message = f"{name}: is coloured; objects are numbered by gray values, 0 to 65535"
        raise DataError(message)
    if file.lossy:
        message = f"{name}: is a JPEG; the numbers of objects are lost in it"
        raise DataError(message)
    levels = np.unique(file.values)
    if levels[0] < 0 or levels[-1] > LARGEST_INSTANCE:
        message = f"{name}: objects have numbers {levels[0]} to {levels[-1]}, not 0 to 65535"
        raise DataError(message)
    numbers = file.values.astype(np.uint16)
    return Layer(_white(numbers != 0), None, numbers, len(levels), 0, file.findings)


def _numbered(parts: Sequence[NDArray[np.uint16] | None]) -> NDArray[np.uint16] | None:
    """Return the objects of several files with consecutive ranges of numbers; later ones on top."""
    numbered: NDArray[np.int64] | None = None
    for part in parts:
        if part is None:
            return None
        if numbered is None:
            numbered = part.astype(np.int64)
        else:
            numbered = np.where(part > 0, part + numbered.max(), numbered)
    if numbered is None:
        return None
    if numbered.max(initial=0) > LARGEST_INSTANCE:
        message = f"{len(parts)} files have {numbered.max()} objects, more than {LARGEST_INSTANCE}"
        raise DataError(message)
    return numbered.astype(np.uint16)


def _examined(layer: Layer) -> Layer:
    """Return the layer with what its foreground as a whole tells."""
    mask = layer.mask
    area = int(np.count_nonzero(mask))
    found = layer.findings
    if mask.size and area == mask.size:
        found = (*found, "full")
    elif 2 * area > mask.size and mask[[0, 0, -1, -1], [0, -1, 0, -1]].all():
        found = (*found, "inverted")
    return dataclasses.replace(layer, findings=found)


def _white(chosen: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return chosen.view(np.uint8) * np.uint8(255)
