"""The suite medmnist-c: its registry, and its corruptions as the medmnistc package makes them."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import UsageError
from stages.corrupt import corrupt
from stages.corrupt.golden import generated_image
from stages.corrupt.kernels import (
    gaussian_noise,
    impulse_noise,
    pixelate,
    saturate,
    shot_noise,
    speckle_noise,
)
from stages.corrupt.rendering import SUITES, render, sample_stream
from tests.stages.corrupt.kernels import apart, impulses
from tests.stages.corrupt.medmnist_c import (
    SIDE,
    array,
    blurred,
    enhanced,
    gamma_corrected,
    images_of,
    pillow,
    suite_of,
)

SUITE = SUITES["medmnist-c"]
COLOURED = ("bloodmnist", "dermamnist", "pathmnist", "retinamnist")
SIZES = {
    "bloodmnist": 11,
    "breastmnist": 7,
    "chestmnist": 13,
    "dermamnist": 15,
    "octmnist": 6,
    "organamnist": 13,
    "organcmnist": 13,
    "organsmnist": 13,
    "pathmnist": 11,
    "pneumoniamnist": 13,
    "retinamnist": 8,
    "tissuemnist": 8,
}
"""Corruptions of each dataset."""


def numbers(dataset: str, corruption: str) -> list[tuple[Any, ...]]:
    """Return the five severities without what they share."""
    declared = suite_of(dataset).corruption(corruption)
    tables = [table.model_dump() for table in declared.severities]
    return [
        tuple(value for name, value in table.items() if _own(name, value, declared.settings))
        for table in tables
    ]


def _own(name: str, value: object, settings: dict[str, Any]) -> bool:
    return name not in settings and not isinstance(value, str)


def test_it_has_every_corruption_of_twelve_datasets() -> None:
    """The numbers of corruptions are those of the registry, 131 in all."""
    counts = Counter(dataset for entry in SUITE.corruptions for dataset in entry.datasets)
    assert counts == SIZES
    assert SUITE.gray == "luminance"


def test_corruptions_have_the_packages_names_and_order() -> None:
    """A gray and a coloured dataset list what the registry lists for them."""
    names = {name: [entry.name for entry in suite_of(name).corruptions] for name in SIZES}
    assert names["organcmnist"] == names["organsmnist"] == names["organamnist"]
    assert names["chestmnist"] == names["pneumoniamnist"] == names["organamnist"]
    assert names["chestmnist"] == [
        *("pixelate", "jpeg_compression"),
        *("gaussian_noise", "speckle_noise", "impulse_noise", "shot_noise", "gaussian_blur"),
        *("brightness_up", "brightness_down", "contrast_up", "contrast_down"),
        *("gamma_corr_up", "gamma_corr_down"),
    ]
    assert names["pathmnist"] == names["bloodmnist"]
    assert names["pathmnist"][:4] == ["pixelate", "jpeg_compression", "defocus_blur", "motion_blur"]
    assert names["pathmnist"][-3:] == ["saturate", "stain_deposit", "bubble"]
    assert names["dermamnist"][-2:] == ["black_corner", "characters"]


@pytest.mark.parametrize(
    ("dataset", "corruption", "severities"),
    [
        ("pathmnist", "brightness_up", [1.1, 1.15, 1.2, 1.22, 1.25]),
        ("pathmnist", "bubble", [(7, 15), (10, 15), (12, 15), (15, 20), (17, 25)]),
        ("bloodmnist", "defocus_blur", [(2, 0.01), (3, 0.1), (4, 0.1), (5, 0.1), (6, 0.1)]),
        ("bloodmnist", "saturate", [0.05, 0.1, 0.15, 0.17, 0.2]),
        ("dermamnist", "zoom_blur", [(0.01, 12), (0.01, 16), (0.02, 11), (0.02, 13), (0.03, 11)]),
        ("dermamnist", "black_corner", [1.1, 1.05, 1.0, 0.9, 0.95]),
        ("dermamnist", "shot_noise", [60, 25, 18, 10, 5]),
        ("retinamnist", "defocus_blur", [(4, 0.1), (5, 0.2), (6, 0.3), (7, 0.4), (8, 0.5)]),
        ("retinamnist", "jpeg_compression", [30, 25, 20, 10, 5]),
        ("tissuemnist", "gaussian_blur", [13, 15, 17, 21, 25]),
        ("octmnist", "defocus_blur", [(0.5, 0.6), (1, 0.5), (1.5, 0.1), (2, 0.5), (2.5, 0.1)]),
        ("octmnist", "contrast_down", [0.6, 0.4, 0.3, 0.2, 0.15]),
        ("breastmnist", "motion_blur", [(5, 5), (9, 7), (9, 10), (13, 10), (17, 12)]),
        ("chestmnist", "gaussian_blur", [3, 5, 7, 9, 11]),
        ("pneumoniamnist", "impulse_noise", [0.005, 0.01, 0.013, 0.017, 0.02]),
        ("organsmnist", "gamma_corr_up", [1.3, 1.4, 1.6, 1.8, 2.0]),
    ],
)
def test_severities_are_those_of_the_registry(
    dataset: str, corruption: str, severities: list[Any]
) -> None:
    """Severities of each kind, entered anew from the package's registry."""
    expected = [entry if isinstance(entry, tuple) else (entry,) for entry in severities]
    assert numbers(dataset, corruption) == expected


def test_marks_grow_and_then_widen() -> None:
    """Blots are of 24 pixels and at severity 5 of 32; BloodMNIST has at most three."""
    for dataset, most in (("pathmnist", (1, 2, 3, 4, 5)), ("bloodmnist", (1, 2, 3, 3, 3))):
        tables = [
            table.model_dump() for table in suite_of(dataset).corruption("stain_deposit").severities
        ]
        assert tuple(table["max_marks"] for table in tables) == most
        assert [table["ink_size"] for table in tables] == [24, 24, 24, 24, 32]


def test_a_dataset_without_a_registry_is_refused() -> None:
    """The suite says for which datasets it has corruptions, and how to name one."""
    with pytest.raises(
        UsageError, match="no corruptions for dataset fundus; it has some for blood"
    ):
        suite_of("fundus")
    with pytest.raises(UsageError, match="medmnist-c/bloodmnist"):
        corrupt(generated_image((40, 40, 3)), "pixelate", 1, suite="medmnist-c", seed=0, sample=0)


def pixelated(image: Any, scale: float, **_: object) -> Any:
    from PIL import Image

    box = Image.Resampling.BOX
    return image.resize((int(image.width * scale), int(image.height * scale)), box).resize(
        image.size, box
    )


def through_jpeg(image: Any, quality: int) -> Any:
    from PIL import Image

    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file)


def saturated(image: Any, amount: float, **_: object) -> Any:
    from PIL import Image
    from skimage.color import hsv2rgb, rgb2hsv

    colours = rgb2hsv(np.array(image) / 255.0)
    colours[:, :, 1] = np.clip(colours[:, :, 1] + amount, 0, 1)
    return Image.fromarray((np.clip(hsv2rgb(colours), 0, 1) * 255).astype(np.uint8))


def defocused(image: Any, radius: float, alias_sigma: float) -> Any:
    import cv2
    from PIL import Image

    steps = np.arange(-8, 9)
    disk = (steps[:, np.newaxis] ** 2 + steps**2 <= radius**2).astype(np.float32)
    weights = cv2.GaussianBlur(disk / disk.sum(), (3, 3), sigmaX=alias_sigma)
    values = np.clip(cv2.filter2D(np.array(image) / 255.0, -1, weights), 0, 1)
    return Image.fromarray((values * 255).astype(np.uint8))


BY_PACKAGE: dict[str, tuple[Callable[..., Any], int]] = {
    "pixelate": (pixelated, 0),
    "jpeg_compression": (through_jpeg, 0),
    "enhance_brightness": (partial(enhanced, "Brightness"), 0),
    "enhance_contrast": (partial(enhanced, "Contrast"), 0),
    "gamma": (gamma_corrected, 0),
    "saturate": (saturated, 0),
    "gaussian_blur_by_size": (blurred, 1),
    "defocus_blur": (defocused, 1),
}
"""Kernels without chance, the operations of the package, and how far apart they may be."""

CASES = [
    pytest.param(dataset, entry, id=f"{dataset}-{entry.name}")
    for dataset in SIZES
    for entry in suite_of(dataset).corruptions
    if entry.kernel in BY_PACKAGE
]


@pytest.mark.parametrize(("dataset", "corruption"), CASES)
def test_it_renders_like_the_package(dataset: str, corruption: Any) -> None:
    """A dataset's images, gray ones replicated and reduced to L again, give the package's pixels.

    Images are textured and random; at a side of 224 pixels, the only one the package knows.
    """
    operation, tolerance = BY_PACKAGE[corruption.kernel]
    coloured = dataset in COLOURED
    for severity, table in enumerate(corruption.severities, start=1):
        image = images_of((SIDE, SIDE, 3 if coloured else 1))[severity % 2]
        stream = sample_stream(0, dataset, 0, corruption.name, severity)
        ours, _ = render(image, corruption, severity, suite_of(dataset), stream)
        theirs = operation(pillow(image).convert("RGB"), **table.model_dump())
        assert apart(ours, array(theirs if coloured else theirs.convert("L"))) <= tolerance


@pytest.mark.parametrize("size", [(28, 28), (33, 47), (97, 131), (224, 224), (225, 150)])
def test_pixelate_by_boxes_is_pillows_at_any_size(size: tuple[int, int]) -> None:
    """Every scale of the suite gives Pillow's bytes, gray and coloured."""
    for scale in (0.8, 0.7, 0.6, 0.5, 0.4, 0.35, 0.3, 0.25, 0.2, 0.15, 0.1):
        for channels in (1, 3):
            for image in images_of((*size, channels)):
                ours = pixelate.KERNEL.apply_one(image, {"scale": scale, "enlarging": "box"})
                assert apart(ours, array(pixelated(pillow(image), scale))) == 0


@pytest.mark.parametrize("amount", [0.05, 0.1, 0.15, 0.17, 0.2, 0.25])
def test_a_shift_of_saturation_is_saturate_with_factor_one(
    real_images: dict[str, NDArray[np.uint8]], amount: float
) -> None:
    """On real images and colours of every hue, the bytes are those of S + amount in skimage."""
    levels = np.array([0, 1, 2, 63, 127, 128, 200, 254, 255], np.uint8)
    hues = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(27, 27, 3)
    for image in (*real_images.values(), hues):
        ours = saturate.KERNEL.apply_one(image, {"factor": 1.0, "amount": amount})
        assert apart(ours, array(saturated(pillow(image), amount))) == 0


def test_noise_is_cut_off_as_in_the_package() -> None:
    """Given the same field, counts or mask: clip(x + n) 255 without its fraction.

    Arithmetic in float32 may decide otherwise where a result is a whole level.
    """
    rng = np.random.default_rng(5)
    image = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    clean, field = image / 255.0, rng.standard_normal(image.shape).astype(np.float32)

    def cut(values: NDArray[np.float64]) -> NDArray[np.uint8]:
        return (np.clip(values, 0, 1) * 255).astype(np.uint8)

    for sigma in (0.04, 0.15, 0.6):
        pairs = [
            (gaussian_noise.apply_field(image, field, sigma), cut(clean + field * sigma)),
            (speckle_noise.apply_field(image, field, sigma), cut(clean + clean * field * sigma)),
        ]
        for ours, theirs in pairs:
            assert apart(ours, theirs) <= 1
            assert np.mean(ours != theirs) < 1e-3
    for photons in (300, 80, 18, 5):
        counts = rng.poisson(clean * photons)
        assert apart(shot_noise.apply_counts(counts, photons), cut(counts / photons)) == 0
    ours, mask = impulses(image, 7, 0.1)
    theirs = cut(
        np.select([mask == impulse_noise.SALT, mask == impulse_noise.PEPPER], [1, 0], clean)
    )
    assert apart(ours, theirs) == 0


def test_noise_of_gray_images_is_the_luminance_of_three_fields() -> None:
    """A flat gray image keeps its mean; its noise is 0.669 of the declared, as in the package.

    The luminance of three fields has the standard deviation sqrt(0.299**2 + 0.587**2 + 0.114**2)
    sigma. Over 50,176 pixels it is known to 0.3 %, so that one shared field (1 sigma) or another
    weighting (0.577 sigma for equal ones) is found with a probability above 0.999.
    """
    corruption = suite_of("pneumoniamnist").corruption("gaussian_noise")
    image = np.full((SIDE, SIDE, 1), 128, np.uint8)
    stream = sample_stream(0, "pneumoniamnist", 0, "gaussian_noise", 5)
    noisy, _ = render(image, corruption, 5, suite_of("pneumoniamnist"), stream)
    assert noisy.shape == image.shape
    share = noisy.astype(float).std() / (0.08 * 255)
    assert share == pytest.approx(np.sqrt(0.299**2 + 0.587**2 + 0.114**2), rel=0.02)
    # Three values cut off lose half a level; the luminance itself is rounded.
    assert noisy.mean() == pytest.approx(127.5, abs=0.3)
