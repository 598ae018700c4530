"""Regions of a mask: parity with scikit-image, invariances, colour, and bad input."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from pipeline.errors import DataError
from stages.prompt.measure import SPECK_SHARE, measure
from stages.prompt.measure.colour import COLOURS, colour_name
from tests.stages.prompt.plain_measures import (
    binary,
    plain_contrast,
    plain_regions,
    plain_whole,
    shared,
)

SHAPES = st.tuples(st.integers(1, 24), st.integers(1, 24))
MASKS = hnp.arrays(np.uint8, SHAPES, elements=st.sampled_from([0, 0, 255]))
TOLERANCES = {
    "centroid": 1e-9,
    "equivalent_diameter": 1e-9,
    # scikit-image takes the root of 1 less a rounded quotient, which loses half of its digits.
    "eccentricity": 1e-7,
    "solidity": 1e-12,
    "circularity": 1e-9,
}


def disc(shape, centre, radius):
    """Return a mask with one disc."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    return binary(np.hypot(y - centre[0], x - centre[1]) <= radius)


def blob(seed, side=60):
    """Return a mask of a ragged disc, and of a hole in it now and then."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] - side / 2 + rng.uniform(-2, 2, (2, 1, 1))
    angle = np.arctan2(y, x)
    edge = side / 3.2 * (1 + 0.15 * np.sin(rng.integers(2, 6) * angle + rng.uniform(0, 6)))
    mask = np.hypot(y * rng.uniform(1, 2), x) <= edge
    return binary(mask & (np.hypot(y, x) > rng.uniform(0, 5)))


def measured(mask, **given_too):
    """Return the record of a mask."""
    return measure("s", "t", np.ascontiguousarray(mask), **given_too)


def check(region, plain):
    """Assert that a region has the values of scikit-image."""
    for name, value in plain.items():
        found = getattr(region, name)
        if name in TOLERANCES:
            assert found == pytest.approx(value, abs=TOLERANCES[name]), name
        else:
            assert found == value, name


def check_all(mask, instances=None):
    """Assert that the whole and all regions of a mask have the values of scikit-image."""
    record = measured(mask, instances=instances)
    plain = plain_regions(mask, instances)
    assert len(record.regions) == len(plain)
    for region, values in zip(record.regions, plain, strict=True):
        check(region, values)
    if plain:
        check(record.whole, plain_whole(mask))
    assert record.status == ("ok" if plain else "empty")


@settings(max_examples=150, deadline=None)
@given(MASKS)
def test_regions_of_any_mask_are_those_of_scikit_image(mask):
    """All numbers of all 8-connected regions, in the order of their first pixels."""
    check_all(mask)


@settings(max_examples=100, deadline=None)
@given(hnp.arrays(np.uint16, SHAPES, elements=st.sampled_from([0, 3, 4, 9, 65535])))
def test_instances_are_regions_by_id_even_where_they_touch(ids):
    """Neighbouring, nested and scattered instances, in the order of their ids."""
    check_all(binary(ids), ids)


@pytest.mark.parametrize("seed", range(4))
def test_larger_regions_are_those_of_scikit_image(seed):
    """Blobs of usual size."""
    check_all(np.hstack([blob(seed, 150), blob(seed + 10, 150)]))


@pytest.mark.parametrize("name", ["Image_01L_1stHO", "Image_03R_2ndHO", "Image_11L_1stHO"])
def test_real_vessels_are_those_of_scikit_image(name):
    """CHASE_DB1 masks: long branched regions with many holes."""
    image = Image.open(shared("chase_db1") / f"{name}.png").convert("L")
    check_all(binary(np.asarray(image) > 127))


@pytest.mark.parametrize("name", ["ISIC_0014600", "ISIC_0012903"])
def test_real_lesions_are_those_of_scikit_image(name):
    """ISIC 2017 masks of several megapixels."""
    image = Image.open(shared("isic2017") / f"masks/{name}_segmentation.png").convert("L")
    check_all(binary(np.asarray(image) > 127))


def test_real_nuclei_are_those_of_scikit_image():
    """A 16-bit mask that numbers touching nuclei."""
    ids = np.asarray(Image.open(shared("dsb_nuclei") / "mask2d.tif")).astype(np.uint16)
    check_all(binary(ids), ids)


def without_places(region):
    """Return the numbers of a region that turning and mirroring must not change by a bit."""
    return (
        region.area,
        region.equivalent_diameter,
        region.eccentricity,
        region.solidity,
        region.circularity,
        region.euler,
        region.touches_border,
        region.contrast,
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_mirroring_moves_only_places(seed, small):
    """Left and right change sides; every shape number stays, bit for bit."""
    mask = blob(seed) if not small else binary(np.random.default_rng(seed).random((11, 17)) < 0.3)
    gray = np.random.default_rng(seed).integers(0, 256, (*mask.shape, 1), np.uint8)
    one, other = measured(mask, image=gray), measured(mask[:, ::-1], image=gray[:, ::-1])
    if one.whole is None:
        return
    width = mask.shape[1]
    assert without_places(one.whole) == without_places(other.whole)
    x, y = one.whole.centroid
    assert other.whole.centroid == pytest.approx((width - x, y))
    left, top, right, bottom = one.whole.box
    assert other.whole.box == (width - right, top, width - left, bottom)
    cells = np.reshape(one.whole.cells, (3, 3))
    assert other.whole.cells == tuple(cells[:, ::-1].ravel().tolist())
    assert sorted(map(without_places, one.regions), key=str) == sorted(
        map(without_places, other.regions), key=str
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_quarter_turns_move_only_places(seed, small):
    """The grid turns with the mask; every shape number stays, bit for bit."""
    mask = blob(seed) if not small else binary(np.random.default_rng(seed).random((11, 17)) < 0.3)
    one, other = measured(mask), measured(np.rot90(mask))
    if one.whole is None:
        return
    assert without_places(one.whole) == without_places(other.whole)
    x, y = one.whole.centroid
    assert other.whole.centroid == pytest.approx((y, mask.shape[1] - x))
    cells = np.rot90(np.reshape(one.whole.cells, (3, 3)))
    assert other.whole.cells == tuple(cells.ravel().tolist())
    assert sorted(map(without_places, one.regions), key=str) == sorted(
        map(without_places, other.regions), key=str
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 4))
def test_enlarging_scales_lengths_and_leaves_shapes(seed, factor):
    """Integer nearest enlargement: areas and places exactly, shape numbers nearly."""
    mask = blob(seed)
    one = measured(mask).whole
    other = measured(np.kron(mask, np.ones((factor, factor), np.uint8))).whole
    assert other.area == factor**2 * one.area
    assert other.box == tuple(factor * side for side in one.box)
    assert other.cells == tuple(factor**2 * pixels for pixels in one.cells)
    assert other.centroid == pytest.approx(tuple(factor * place for place in one.centroid))
    assert other.equivalent_diameter == pytest.approx(factor * one.equivalent_diameter)
    assert other.euler == one.euler
    assert other.touches_border == one.touches_border
    assert other.eccentricity == pytest.approx(one.eccentricity, abs=0.02)
    assert other.solidity == pytest.approx(one.solidity, abs=0.03)
    assert other.circularity == pytest.approx(one.circularity, abs=0.06)


@pytest.mark.parametrize("radius", [1.5, 2.3, 5.3, 8.5, 20.3, 40.3, 100.3])
def test_disc_is_about_circular_at_every_size(radius):
    """Circularity 1 within a tenth, eccentricity 0."""
    whole = measured(disc((220, 220), (110, 110), radius)).whole
    assert whole.circularity == pytest.approx(1, abs=0.1)
    assert whole.eccentricity == 0.0


def test_elongated_and_ragged_regions_are_less_circular():
    """An ellipse of 2 : 1 has 0.84; a star far less."""
    y, x = np.mgrid[-90:90, -90:90]
    ellipse = measured(binary((x / 80) ** 2 + (y / 40) ** 2 <= 1)).whole
    assert ellipse.circularity == pytest.approx(0.842, abs=0.02)
    assert ellipse.eccentricity == pytest.approx(math.sqrt(0.75), abs=0.002)
    star = np.hypot(x, y) <= 60 * (1 + 0.3 * np.sin(7 * np.arctan2(y, x)))
    assert measured(binary(star)).whole.circularity < 0.5


@pytest.mark.parametrize(
    ("side", "starts"), [(1, (0, 1)), (2, (1, 1)), (3, (1, 2)), (4, (1, 3)), (5, (2, 3))]
)
def test_cells_are_exact_thirds_at_pixel_centres(side, starts):
    """The first pixels of the middle and last third of short rows."""
    cells = measured(np.full((1, side), 255, np.uint8)).whole.cells
    assert cells[3:6] == (starts[0], starts[1] - starts[0], side - starts[1])
    assert sum(cells) == side


def test_full_mask_has_one_region_without_surroundings():
    """All foreground touches the border and has no contrast."""
    image = np.full((8, 12, 1), 7, np.uint8)
    record = measured(np.full((8, 12), 255, np.uint8), image=image)
    assert record.status == "ok"
    assert record.regions == (record.whole,)
    assert record.whole.touches_border
    assert record.whole.contrast is None
    assert record.poudel.coverages == (1.0,)
    assert record.poudel.box == (12, 8, 0, 0)
    assert record.tganet.boxes == 0


def test_empty_mask_is_a_record_of_its_own_kind():
    """No foreground: nothing is measured, nothing fails."""
    record = measured(np.zeros((8, 12), np.uint8))
    assert (record.status, record.whole, record.regions) == ("empty", None, ())
    assert record.poudel.box == (12, 8, 0, 0)
    assert record.poudel.number == 0
    assert record.tganet.boxes == 0
    assert record.hygiene.specks == 0


def test_specks_are_counted_and_named():
    """Regions of less than a ten-thousandth of the image."""
    mask = disc((200, 200), (100, 100), 30)
    mask[2, 2] = 255
    mask[8:10, 8] = 255  # 2 of 40,000 pixels
    mask[20:22, 20:22] = 255  # exactly the share: none
    assert SPECK_SHARE * mask.size == 4
    record = measured(mask, levels=9, fringe=31, findings=("jpeg-fringe",))
    assert dataclasses.astuple(record.hygiene) == (9, 31, 2, ("jpeg-fringe", "specks"))
    clean = measured(disc((200, 200), (100, 100), 30))
    assert dataclasses.astuple(clean.hygiene) == (2, 0, 0, ())


@pytest.mark.parametrize("name", sorted(COLOURS))
def test_reference_colours_have_their_names(name):
    """Every reference value is nearest to itself."""
    assert {colour_name(value) for value in COLOURS[name]} == {name}


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((250, 250, 248), "white"),
        ((20, 22, 21), "black"),
        ((140, 138, 141), "gray"),
        ((200, 20, 25), "red"),
        ((120, 75, 40), "brown"),
        ((230, 150, 150), "pink"),
        ((215, 185, 145), "tan"),
        ((30, 60, 180), "blue"),
        ((90, 30, 110), "purple"),
        ((40, 150, 60), "green"),
        ((250, 220, 30), "yellow"),
        ((250, 150, 20), "orange"),
        ((240, 235, 205), "beige"),
    ],
)
def test_colours_have_the_names_a_person_gives_them(rgb, name):
    """One plain case of each name."""
    assert colour_name(rgb) == name


@settings(max_examples=60, deadline=None)
@given(MASKS, st.integers(0, 2**32))
def test_contrast_is_inside_less_a_ring_outside_all_foreground(mask, seed):
    """By the definition on full images; gray in one channel or in three."""
    gray = np.random.default_rng(seed).integers(0, 256, mask.shape, np.uint8)
    record = measured(mask, image=gray[:, :, None])
    again = measured(mask, image=np.repeat(gray[:, :, None], 3, axis=2))
    for one, other in zip(record.regions, again.regions, strict=True):
        assert one == other
        assert one.colour is None
    if record.whole:
        whole = plain_contrast(gray.astype(float), mask > 0, mask > 0)
        assert record.whole.contrast == (None if whole is None else pytest.approx(whole, abs=1e-9))
    from skimage.measure import label

    numbered = label(mask > 0, connectivity=2)
    for number, region in enumerate(record.regions, start=1):
        plain = plain_contrast(gray.astype(float), numbered == number, mask > 0)
        assert region.contrast == (None if plain is None else pytest.approx(plain, abs=1e-9))


def test_region_has_its_own_colour_and_contrast():
    """Two discs of an RGB image."""
    image = np.full((60, 120, 3), 200, np.uint8)
    mask = disc((60, 120), (30, 30), 12) | disc((60, 120), (30, 90), 12)
    image[:, :60][mask[:, :60] > 0] = (160, 40, 40)
    image[:, 60:][mask[:, 60:] > 0] = (20, 20, 230)
    red, blue = measured(mask, image=image).regions
    assert (red.colour, blue.colour) == ("red", "blue")
    assert red.contrast == pytest.approx((299 * 160 + 587 * 40 + 114 * 40) / 1000 - 200)
    assert blue.contrast == pytest.approx((299 * 20 + 587 * 20 + 114 * 230) / 1000 - 200)


def test_layers_of_a_larger_array_are_measured_as_their_copies():
    """A mask, an image and a source that are views with strides."""
    rng = np.random.default_rng(1)
    masks = binary(rng.random((40, 50, 3)) < 0.2)
    image = rng.integers(0, 256, (40, 50, 3), np.uint8)
    view = measure("s", "t", masks[:, :, 1], image=image[:, ::-1], source=masks[:, :, 2])
    copies = [np.ascontiguousarray(array) for array in (masks[..., 1], image[:, ::-1])]
    source = masks[:, :, 2].copy()
    assert view == measure("s", "t", copies[0], image=copies[1], source=source)


GOOD = np.zeros((4, 6), np.uint8)
GOOD[1, 2] = 255


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"mask": GOOD.astype(bool)}, "mask must be uint8 (H, W), not bool (4, 6)"),
        ({"mask": GOOD[None]}, "mask must be uint8 (H, W), not uint8 (1, 4, 6)"),
        ({"mask": GOOD[:0]}, "mask must be uint8 (H, W), not uint8 (0, 6)"),
        ({"mask": GOOD // 255}, "mask must be 0 or 255, but is 1 at row 1, column 2"),
        ({"image": np.zeros((4, 5, 3), np.uint8)}, "image must be uint8 of height 4 and width 6"),
        ({"image": np.zeros((4, 6, 4), np.uint8)}, "not uint8 (4, 6, 4)"),
        ({"image": np.zeros((4, 6), np.uint8)}, "not uint8 (4, 6)"),
        ({"image": np.zeros((4, 6, 3))}, "not float64 (4, 6, 3)"),
        ({"source": np.zeros((6, 4), np.uint8)}, "source must be uint8 of height 4 and width 6"),
        ({"instances": GOOD}, "instances must be uint16 of height 4 and width 6, not uint8"),
        (
            {"instances": np.zeros((4, 6), np.uint16)},
            "instance 0 lies where the mask is 255, at row 1, column 2",
        ),
    ],
)
def test_wrong_arrays_are_named_with_sample_and_target(arrays, message):
    """What is wrong with which array of which target."""
    mask = arrays.pop("mask", GOOD)
    with pytest.raises(DataError) as error:
        measure("a 1", "polyp", mask, **arrays)
    assert str(error.value).startswith("a 1, target polyp: ")
    assert message in str(error.value)
