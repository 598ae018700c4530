"""NSD against its plain definition, DeepMind's surface-distance and MONAI."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from stages.evaluate.segmentation import score_mask, surface
from stages.evaluate.segmentation.resize import nearest
from tests.stages.evaluate.segmentation import plain_surface
from tests.stages.evaluate.segmentation.masks import (
    adversarial_pairs,
    lesions,
    nuclei,
    shifted,
    two_masks,
    two_raters,
)

Pairs = list[tuple[np.ndarray, np.ndarray]]

# Steps whose multiples and squares are exact, so that no distance misses the tolerance by a bit.
STEPS = st.sampled_from([0.5, 1.0, 1.25, 2.0])
TOLERANCES = st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 4.0, 20.0])

DEEPMINDS = pytest.mark.filterwarnings(
    "ignore:Please import .* from the `scipy.ndimage` namespace:DeprecationWarning"
)
MONAIS = [
    pytest.mark.filterwarnings("ignore:the (prediction|ground truth) of class:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning"),
]


def nsd(
    predicted: np.ndarray,
    reference: np.ndarray,
    tolerance: float = 2.0,
    spacing: tuple[float, float] = (1.0, 1.0),
) -> float:
    """Return the NSD, NaN where both masks are empty."""
    scores = score_mask(
        predicted,
        reference,
        tolerance=tolerance,
        unit="mm",
        spacing=spacing,
        both_empty="undefined",
    )
    return scores["nsd"].value


def deepminds(
    predicted: np.ndarray,
    reference: np.ndarray,
    tolerance: float = 2.0,
    spacing: tuple[float, ...] = (1.0, 1.0),
) -> float:
    """Return the package's value; with an empty mask it calls what NumPy 2 no longer has."""
    package = pytest.importorskip("surface_distance", reason="surface-distance is not installed")
    distances = package.compute_surface_distances(reference, predicted, spacing)
    return float(package.compute_surface_dice_at_tolerance(distances, tolerance))


def monais(
    predicted: np.ndarray,
    reference: np.ndarray,
    tolerance: float = 2.0,
    spacing: tuple[float, float] | None = None,
    *,
    subvoxels: bool,
) -> float:
    """Return MONAI's value of one image."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    metrics = pytest.importorskip("monai.metrics", reason="MONAI is not installed")
    metric = metrics.SurfaceDiceMetric(
        [tolerance], include_background=True, use_subvoxels=subvoxels
    )
    maps = [torch.from_numpy(mask.copy())[None, None].float() for mask in (predicted, reference)]
    return float(metric(*maps, spacing=spacing))


@settings(deadline=None)
@given(masks=two_masks(), tolerance=TOLERANCES, rows=STEPS, columns=STEPS)
def test_nsd_is_its_plain_definition(
    masks: tuple[np.ndarray, np.ndarray], tolerance: float, rows: float, columns: float
) -> None:
    """Corners, their lengths and their distances one at a time give the same value."""
    expected = plain_surface.surface_dice(*masks, tolerance, (rows, columns))
    found = nsd(*masks, tolerance, (rows, columns))
    assert found == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_nsd_of_awkward_masks_is_its_plain_definition() -> None:
    """Empty, full, single pixels, lines, frames and checks, each against each."""
    for predicted, reference in adversarial_pairs():
        expected = plain_surface.surface_dice(predicted, reference, 1.0, (1.0, 1.0))
        assert nsd(predicted, reference, 1.0) == pytest.approx(expected, abs=1e-12, nan_ok=True)


@DEEPMINDS
@given(masks=two_masks(), tolerance=TOLERANCES, rows=STEPS, columns=STEPS)
def test_nsd_equals_deepminds(
    masks: tuple[np.ndarray, np.ndarray], tolerance: float, rows: float, columns: float
) -> None:
    """Wherever that package has a value, in px and in anisotropic mm."""
    if all(mask.any() for mask in masks):
        expected = deepminds(*masks, tolerance, (rows, columns))
        assert nsd(*masks, tolerance, (rows, columns)) == pytest.approx(expected, abs=1e-12)


@MONAIS[0]
@MONAIS[1]
@settings(deadline=None)
@given(masks=two_masks(), tolerance=TOLERANCES, rows=STEPS, columns=STEPS)
def test_nsd_equals_monais_with_subvoxels(
    masks: tuple[np.ndarray, np.ndarray], tolerance: float, rows: float, columns: float
) -> None:
    """Float32 sums aside, empty masks included: none in both is NaN there."""
    expected = monais(*masks, tolerance, (rows, columns), subvoxels=True)
    found = nsd(*masks, tolerance, (rows, columns))
    assert found == pytest.approx(expected, abs=2e-6, nan_ok=True)


@settings(deadline=None, max_examples=40)
@given(masks=two_masks())
def test_nsd_medclipseg_is_the_surface_dice_of_slabs(
    masks: tuple[np.ndarray, np.ndarray],
) -> None:
    """Marching cubes around two masks with a third axis gives the same value."""
    expected = plain_surface.slab_dice(*masks)
    found = score_mask(*masks, tolerance=7, both_empty="undefined")["nsd-medclipseg"].value
    assert found == pytest.approx(1.0 if math.isnan(expected) else expected, abs=1e-6)


@DEEPMINDS
@given(masks=two_masks())
def test_nsd_medclipseg_equals_what_that_code_calls(masks: tuple[np.ndarray, np.ndarray]) -> None:
    """DeepMind's 3-D function at a spacing of 1 and 2 px, the mask the only layer."""
    if all(mask.any() for mask in masks):
        expected = deepminds(*(mask[..., None] for mask in masks), 2.0, (1.0, 1.0, 1.0))
        assert score_mask(*masks)["nsd-medclipseg"].value == pytest.approx(expected, abs=1e-12)


def test_both_ways_of_finding_what_is_near_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wide tolerances use a distance transform, which finds the same elements."""
    cases = [
        (tolerance, spacing) for tolerance in (0.0, 1.0, 2.5) for spacing in [(1, 1), (0.5, 2)]
    ]
    found = {}
    for most in (0, 10**9):
        monkeypatch.setattr(surface, "_MOST_OFFSETS", most)
        found[most] = [nsd(*pair, *case) for pair in adversarial_pairs() for case in cases]
    np.testing.assert_array_equal(found[0], found[10**9])


def test_px_and_mm() -> None:
    """A tolerance in px ignores the spacing; in mm a fine spacing makes it reach further."""
    mask = np.zeros((40, 40), bool)
    mask[10:20, 10:20] = True
    moved = shifted(mask, 4)
    spacing = (0.25, 0.25)
    plain = score_mask(moved, mask)["nsd"]
    assert score_mask(moved, mask, spacing=spacing)["nsd"] == plain
    assert plain.value < 1
    assert score_mask(moved, mask, spacing=spacing, unit="mm")["nsd"].value == 1
    assert score_mask(moved, mask, spacing=spacing, unit="mm", tolerance=0.5)["nsd"] == plain


def test_the_contour_length_of_a_rectangle() -> None:
    """Sides of 4 and 6 px less four corners, each cut off; n counts corners of the lattice."""
    mask = np.zeros((12, 12), bool)
    mask[3:7, 2:8] = True
    score = score_mask(mask, mask)["nsd"]
    assert (score.value, score.n) == (1.0, 2 * 20)
    left_half = mask & (np.arange(12) < 5)
    cut = math.sqrt(0.5)
    # Contours meet in corners of the lattice: where the left half ends, its cut-off corners lie
    # on straight pieces of the whole's sides.
    near = (3 + 2 * 2 + 4 * cut) + (3 + 2 * 3 + 2 * cut)
    whole = (2 * 3 + 2 * 2 + 4 * cut) + (2 * 3 + 2 * 5 + 4 * cut)
    assert score_mask(left_half, mask, tolerance=0)["nsd"].value == pytest.approx(near / whole)


@DEEPMINDS
def test_real_vessels_and_nuclei_equal_deepminds() -> None:
    """Two raters' vessels and shifted nuclei, at native resolution, both ways of computing."""
    labels = nuclei() > 0
    for predicted, reference in [*two_raters(6), (shifted(labels, 3), labels)]:
        scores = score_mask(predicted, reference)
        assert scores["nsd"].value == pytest.approx(deepminds(predicted, reference), abs=1e-12)
        slabs = deepminds(predicted[..., None], reference[..., None], 2.0, (1.0, 1.0, 1.0))
        assert scores["nsd-medclipseg"].value == pytest.approx(slabs, abs=1e-12)


@MONAIS[1]
def test_real_vessels_and_lesions_beside_monai() -> None:
    """MONAI agrees with subvoxels; its own boundary pixels move the value by a few hundredths."""
    lesion = nearest(lesions()[0], 512, 512)
    for predicted, reference in [*two_raters(1), (shifted(lesion, 2), lesion)]:
        found = nsd(predicted, reference)
        exact = monais(predicted, reference, spacing=(1.0, 1.0), subvoxels=True)
        assert found == pytest.approx(exact, abs=2e-6)
        assert 0.0001 < abs(found - monais(predicted, reference, subvoxels=False)) < 0.1


def means(pairs: Pairs) -> tuple[float, float, float]:
    """Return the mean Dice, NSD and NSD as MedCLIPSeg computes it."""
    names = ("dice", "nsd", "nsd-medclipseg")
    rows = [[score_mask(*pair)[name].value for name in names] for pair in pairs]
    dice, own, slab = np.mean(rows, axis=0)
    return float(dice), float(own), float(slab)


def test_the_documented_difference_of_two_raters() -> None:
    """Vessels of two raters: 0.801 by contour, 0.938 by MedCLIPSeg's code, at a Dice of 0.777."""
    assert means(two_raters()) == pytest.approx((0.777, 0.801, 0.938), abs=5e-4)


def test_the_documented_difference_of_lesions() -> None:
    """Lesions at 512 × 512 moved by 3 px, and at native size after a detour by 224 × 224."""
    small = [nearest(mask, 512, 512) for mask in lesions()]
    moved = means([(shifted(mask, 3), mask) for mask in small])
    assert moved == pytest.approx((0.964, 0.435, 0.991), abs=5e-4)
    coarse = means([(nearest(nearest(mask, 224, 224), *mask.shape), mask) for mask in lesions()])
    assert coarse == pytest.approx((0.983, 0.251, 0.990), abs=5e-4)


@MONAIS[1]
def test_the_documented_difference_to_monai() -> None:
    """MONAI's default is lower by 0.064 on lesions moved by 2 px and by 0.222 on dilated ones."""
    small = [nearest(mask, 512, 512) for mask in lesions()]
    for change, expected in (
        (lambda mask: shifted(mask, 2), 0.064),
        (lambda mask: ndimage.binary_dilation(mask, iterations=3), 0.222),
    ):
        apart = [nsd(change(m), m) - monais(change(m), m, subvoxels=False) for m in small]
        assert np.mean(apart) == pytest.approx(expected, abs=5e-4)
