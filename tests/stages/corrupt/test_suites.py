"""Every shipped suite: what it applies to, and that its corruptions grow with severity."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import ManifestError, UsageError
from stages.corrupt import corrupt
from stages.corrupt.applying import applied
from stages.corrupt.backends import identity
from stages.corrupt.golden import generated_image
from stages.corrupt.rendering import SUITES, render, sample_stream
from stages.corrupt.schema import CorruptionDeclaration, SuiteManifest

COLOURED = {"bloodmnist", "dermamnist", "pathmnist", "retinamnist"}
"""Families of MedMNIST-C with coloured images."""
SIZES = {"cifar-c": (32, 64), "imagenet-c": (96, 224)}
"""Sizes of images that a suite is meant for, where they are not 224 pixels."""


def applications() -> Iterator[tuple[str, str | None, int]]:
    """Yield every suite with each dataset it names, and sizes that differ in their severities."""
    for name, suite in SUITES.items():
        for dataset in sorted(suite.datasets) or (None,):
            sizes = (28, 64, 128, 224) if suite.between else SIZES.get(name, (224,))
            for size in sizes:
                yield name, dataset, size


@functools.cache
def applied_suite(name: str, dataset: str | None, size: int) -> SuiteManifest:
    """Return the suite for images of `size` pixels."""
    return applied(SUITES[name], SUITES, dataset=dataset, height=size, width=size)


CASES = [
    pytest.param(name, dataset, size, corruption, id=f"{name}/{dataset}-{size}/{corruption.name}")
    for name, dataset, size in applications()
    for corruption in applied_suite(name, dataset, size).corruptions
]


@functools.cache
def images(size: int, channels: int) -> list[NDArray[np.uint8]]:
    """Return test images whose mean level differs."""
    found = [generated_image((size, size, channels), str(n)) for n in range(10)]
    return [
        np.clip(image.astype(int) + 8 * n - 40, 0, 255).astype(np.uint8)
        for n, image in enumerate(found)
    ]


@functools.cache
def smooth_images(size: int, channels: int) -> list[NDArray[np.uint8]]:
    """Return bright images without fine texture: small ones, enlarged."""
    from PIL import Image

    found = []
    for n in range(6):
        small = 110 + generated_image((14, 14, 3), str(n)) // 2
        large = np.asarray(Image.fromarray(small).resize((size, size), Image.Resampling.BICUBIC))
        found.append(np.ascontiguousarray(large[:, :, :channels]))
    return found


Kind = Callable[[int, int], list[NDArray[np.uint8]]]


@pytest.mark.parametrize(("name", "dataset", "size", "corruption"), CASES)
def test_distance_grows_with_severity(
    name: str, dataset: str | None, size: int, corruption: CorruptionDeclaration
) -> None:
    """The mean distance from the clean image grows, except to severities that the suite names."""
    declared = {fall.to for fall in corruption.falls}
    for kind in (images, smooth_images):
        distances = mean_distances(name, dataset, size, corruption.name, kind)
        assert distances[0] == 0
        assert falls_of(distances) <= declared, np.round(distances, 3).tolist()


def test_every_declared_fall_is_one() -> None:
    """No suite excuses a severity that grows by a fiftieth and more at all sizes."""
    declared: dict[tuple[str, str, int], bool] = {}
    falling = (
        ((name, dataset, size, corruption.name), fall.to)
        for name, dataset, size in applications()
        if not SUITES[name].between  # most are those of the nearer suite
        for corruption in applied_suite(name, dataset, size).corruptions
        for fall in corruption.falls
    )
    for where, to in falling:
        place = (where[0], where[3], to)
        for kind in (images, smooth_images):
            distances = mean_distances(*where, kind)
            falls = distances[to] < 1.02 * distances[to - 1]
            declared[place] = declared.get(place, False) or falls
    assert [place for place, occurs in declared.items() if not occurs] == []


@functools.cache
def mean_distances(
    name: str, dataset: str | None, size: int, corruption: str, kind: Kind
) -> tuple[float, ...]:
    """Return the mean distance in grey levels from the clean images at severities 0 to 5."""
    suite = applied_suite(name, dataset, size)
    channels = 1 if dataset is not None and dataset not in COLOURED else 3
    distances = []
    for severity in range(6):
        far = []
        for n, image in enumerate(kind(size, channels)):
            # The same random numbers at every severity, so that severity alone is measured.
            stream = sample_stream(0, dataset, n, corruption, 0)
            rendered, _ = render(image, suite.corruption(corruption), severity, suite, stream)
            far.append(np.abs(rendered.astype(int) - image).mean())
        distances.append(float(np.mean(far)))
    return tuple(distances)


def falls_of(distances: tuple[float, ...]) -> set[int]:
    """Return the severities that are not farther than the one before."""
    return {severity for severity in range(1, 6) if distances[severity] <= distances[severity - 1]}


def test_suites_of_the_seven_differ_only_where_they_say() -> None:
    """The three suites of the seven have the same corruptions with the same severity numbers."""
    numbers = {}
    for name in ("medimeta-c", "medimeta-c-hendrycks", "medimeta-c-fixed"):
        numbers[name] = {
            corruption.name: [
                {key: value for key, value in table.model_dump().items() if type(value) is not str}
                for table in corruption.severities
            ]
            for corruption in SUITES[name].corruptions
        }
    assert numbers["medimeta-c"] == numbers["medimeta-c-hendrycks"] == numbers["medimeta-c-fixed"]


def test_a_suite_of_several_datasets_needs_one() -> None:
    """MedMNIST-C has severities of its own for each dataset, which must be named."""
    image = generated_image((224, 224, 3))
    assert corrupt(image, "bubble", 3, suite="medmnist-c/bloodmnist").shape == image.shape
    with pytest.raises(UsageError, match="name one, as in 'medmnist-c/"):
        corrupt(image, "bubble", 3, suite="medmnist-c")
    with pytest.raises(UsageError, match="no corruptions for dataset pbc"):
        corrupt(image, "bubble", 3, suite="medmnist-c/pbc")


def test_the_profile_meets_both_suites_and_lies_between() -> None:
    """At 32 and 224 pixels it has the severities of the two suites; halfway, numbers halfway."""
    profile = SUITES["imagenet-c-by-size"]
    at = {
        size: applied(profile, SUITES, dataset=None, height=size, width=3 * size)
        for size in (28, 32, 128, 224, 1024)
    }
    assert at[28].corruptions == at[32].corruptions
    assert at[224].corruptions == at[1024].corruptions
    for size, name in ((32, "cifar-c"), (224, "imagenet-c")):
        for ours, theirs in zip(at[size].corruptions, SUITES[name].corruptions, strict=True):
            assert ours.severities == theirs.severities
    small, half, large = (
        at[size].corruption("gaussian_noise").severities[4].model_dump()["sigma"]
        for size in (32, 128, 224)
    )
    assert half == pytest.approx((small + large) / 2)


def test_corruptions_of_all_datasets_need_none() -> None:
    """A suite with some corruptions for one dataset applies the others to any image."""
    suite = SUITES["medimeta-c"]
    first, second = suite.corruptions[:2]
    own = first.model_copy(update={"datasets": ("fundus",)})
    mixed = suite.model_copy(update={"corruptions": (own, second)})
    image = generated_image((32, 32, 3))
    assert corrupt(image, second.name, 2, suite=mixed).shape == image.shape
    with pytest.raises(UsageError, match="unknown corruption"):
        corrupt(image, own.name, 2, suite=mixed)


def test_a_profile_lies_between_plain_suites() -> None:
    """Suites with lists of their own for datasets, or between others, cannot be interpolated."""
    profile = SUITES["imagenet-c-by-size"]
    for name in ("medmnist-c", profile.id):
        anchors = tuple(anchor.model_copy(update={"suite": name}) for anchor in profile.between)
        nested = profile.model_copy(update={"between": anchors})
        with pytest.raises(ManifestError, match="neither suite may have datasets"):
            applied(nested, SUITES, dataset=None, height=64, width=64)


def test_the_package_renders_its_own_severities_alone() -> None:
    """A suite that claims the package's severities and has others is refused by name."""
    suite = SUITES["medimeta-c"]
    changed = suite.corruption("contrast").model_copy(
        update={"severities": suite.corruption("contrast").severities[::-1]}
    )
    assert identity("imagecorruptions", suite, suite.corruption("contrast"))
    for wrong in (changed, changed.model_copy(update={"name": "mosaic"})):
        with pytest.raises(UsageError, match=f"no {wrong.name} with these severities"):
            identity("imagecorruptions", suite, wrong)
