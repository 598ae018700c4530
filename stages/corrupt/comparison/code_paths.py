"""The code paths that published sets are compared with: every suite, and `imagecorruptions`."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from pipeline.digest import canonical_json
from pipeline.errors import DataError, MissingInputError, UsageError
from pipeline.stream import Stream
from stages.corrupt import reference
from stages.corrupt.applying import applied
from stages.corrupt.kernels.kernel import Image
from stages.corrupt.kernels.luminance import luminance
from stages.corrupt.rendering import render
from stages.corrupt.schema import CorruptionDeclaration, SuiteManifest

JPEG_QUALITY = 85
"""With which the script of ImageNet-C stores its images (`make_imagenet_c.py`)."""
JPEG_SUFFIX = " + JPEG 85"
"""Ends the name of a code path whose images were stored so."""
TOO_SLOW = ("glass_blur",)
"""Corruptions on which the reference spends the better part of a second per image."""

Storage: TypeAlias = Literal["lossless", "jpeg-85"]
Renderer: TypeAlias = Callable[[Image, Stream], Image]


@dataclass(frozen=True, slots=True)
class CodePath:
    """One way of rendering a corruption at a severity, under every name that it goes by."""

    names: tuple[str, ...]
    """Suites that render this way, or the name of the package."""
    renderer: Renderer
    random: bool
    """Whether two streams give two images."""
    storage: Storage = "lossless"

    @property
    def label(self) -> str:
        """Its names in one word, for tables and as the identity of its random numbers."""
        stored = JPEG_SUFFIX if self.storage == "jpeg-85" else ""
        return " = ".join(self.names) + stored

    def render(self, clean: Image, stream: Stream, channels: int) -> Image:
        """Return `clean` corrupted, with the channels of the published images."""
        rendered = with_channels(self.renderer(clean, stream), channels)
        return jpeg(rendered) if self.storage == "jpeg-85" else rendered

    def as_jpeg(self) -> CodePath:
        """Return the same followed by JPEG at quality 85."""
        return replace(self, storage="jpeg-85")


def suites_for(
    suites: Sequence[SuiteManifest], dataset: str | None, height: int, width: int
) -> tuple[list[SuiteManifest], dict[str, str]]:
    """Return the suites as they are for images of a dataset and size, and why others are not.

    Parameters
    ----------
    dataset : str, optional
        Id of the dataset without its size; None where it is unknown.
    """
    plain: list[SuiteManifest] = []
    skipped: dict[str, str] = {}
    known = {suite.id: suite for suite in suites}
    for suite in suites:
        try:
            plain.append(applied(suite, known, dataset=dataset, height=height, width=width))
        except UsageError as error:  # it has none for this dataset
            skipped[suite.id] = str(error)
    return plain, skipped


def code_paths(
    suites: Iterable[SuiteManifest], corruption: str, severity: int, probes: list[Image]
) -> tuple[list[CodePath], dict[str, str]]:
    """Return the code paths that render a corruption, and why the others do not.

    Parameters
    ----------
    suites : iterable of SuiteManifest
        Those without the corruption are left out. Suites that share kernel, parameters and, for
        gray images, the gray policy are one code path with several names.
    probes : list of Image
        Clean images that decide what is random: two streams give two renderings of any of them.

    Returns
    -------
    paths : list of CodePath
        In the order of the suites, the reference last.
    skipped : dict
        Reason by name.
    """
    gray = all(image.shape[2] == 1 for image in probes)
    names: dict[bytes, list[str]] = {}
    renderers: dict[bytes, Renderer] = {}
    for suite in suites:
        declared = {one.name: one for one in suite.corruptions}.get(corruption)
        if declared is None:
            continue
        severities = declared.severities[severity - 1].model_dump(mode="json")
        policy = suite.gray if gray else None
        key = canonical_json([declared.kernel, severities, policy])
        names.setdefault(key, []).append(suite.id)
        renderers.setdefault(key, _of_suite(suite, declared, severity))
    found = [(tuple(names[key]), renderer) for key, renderer in renderers.items()]
    skipped: dict[str, str] = {}
    if corruption in TOO_SLOW:
        skipped[reference.PACKAGE] = "too slow for a sample of images"
    elif corruption in reference.CORRUPTIONS:
        found.append(((reference.PACKAGE,), _of_reference(corruption, severity)))
    paths = []
    for called, renderer in found:
        try:
            paths.append(CodePath(called, renderer, _is_random(renderer, probes)))
        except (DataError, MissingInputError) as error:  # images too small, or no such package
            skipped.update(dict.fromkeys(called, str(error)))
    return paths, skipped


def with_channels(image: Image, channels: int) -> Image:
    """Return an image with 1 or 3 channels: gray replicated, or colour as Pillow's mode L."""
    if image.shape[2] == channels:
        return image
    if channels == 3:
        return np.repeat(image, 3, axis=2)
    gray: Image = luminance(image[np.newaxis])[0]
    return gray


def jpeg(image: Image) -> Image:
    """Return an image as it comes back from a JPEG file of quality 85."""
    from PIL import Image as Pillow

    buffer = io.BytesIO()
    gray = image.shape[2] == 1
    pillow = Pillow.fromarray(image[:, :, 0] if gray else image)
    pillow.save(buffer, format="JPEG", quality=JPEG_QUALITY, optimize=True)
    with Pillow.open(buffer) as stored:
        decoded: Image = np.array(stored).reshape(image.shape)
    return decoded


def _of_suite(suite: SuiteManifest, declared: CorruptionDeclaration, severity: int) -> Renderer:
    return lambda image, stream: render(image, declared, severity, suite, stream)[0]


def _of_reference(corruption: str, severity: int) -> Renderer:
    def rendered(image: Image, stream: Stream) -> Image:
        seed = int(stream.words(1)[0] >> np.uint64(32))
        return reference.reference_corrupt(image, corruption, severity, seed=seed)

    return rendered


def _is_random(renderer: Renderer, probes: list[Image]) -> bool:
    first, second = Stream.of("probe", 1), Stream.of("probe", 2)
    return any(
        not np.array_equal(renderer(image, first), renderer(image, second)) for image in probes
    )
