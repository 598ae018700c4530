"""What the published scripts measure of a mask, against their rules written out plainly."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from stages.prompt.measure import measure
from stages.prompt.measure.border import border_boxes
from tests.stages.prompt.plain_measures import (
    binary,
    plain_boxes,
    plain_poudel,
    plain_tganet,
    shared,
)

LEVELS = st.sampled_from([0, 1, 126, 127, 128, 129, 200, 254, 255])
"""Values at which a comparison of the rules changes its answer."""
SIDES = st.tuples(st.integers(1, 14), st.integers(1, 14))


def published(gray):
    """Return the published measures of a gray mask."""
    return measure("s", "t", binary(gray >= 128), source=np.ascontiguousarray(gray))


def check(gray):
    """Assert that a gray mask is measured by the plain rules."""
    record = published(gray)
    found = record.poudel.coverages, record.poudel.places, record.poudel.box
    assert found == plain_poudel(gray)
    assert (record.tganet.boxes, record.tganet.last_box_share) == plain_tganet(gray)


def blobs(seed, shape, count=6):
    """Return a binary mask of random discs and boxes, some across the edges."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    mask = np.zeros(shape, np.uint8)
    for _ in range(rng.integers(1, count + 1)):
        radius = rng.integers(0, max(2, min(shape) // 3))
        cy, cx = rng.integers(0, shape[0]), rng.integers(0, shape[1])
        disc = (
            np.maximum(abs(y - cy), abs(x - cx)) if rng.random() < 0.4 else np.hypot(y - cy, x - cx)
        )
        mask[disc <= radius] = 255
    return mask


def jpeg(mask, quality):
    """Return a mask as a JPEG file gives it back."""
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


@settings(max_examples=300, deadline=None)
@given(hnp.arrays(np.uint8, SIDES, elements=LEVELS))
def test_any_gray_mask_is_measured_by_the_plain_rules(gray):
    """Every comparison at its limits, on masks down to one pixel."""
    check(gray)


@settings(max_examples=200, deadline=None)
@given(hnp.arrays(np.uint8, SIDES, elements=st.sampled_from([0, 0, 0, 127, 129, 255])))
def test_components_away_from_the_edges_are_measured_by_the_plain_rules(gray):
    """Whole loops without a pixel of exactly 128, single pixels beside others among them."""
    check(np.pad(gray, 1))


@settings(max_examples=150, deadline=None)
@given(
    hnp.arrays(
        np.uint8,
        st.tuples(st.integers(2, 9), st.integers(2, 9)),
        elements=st.sampled_from([0, 128, 255]),
    )
)
def test_border_through_pixels_of_exactly_128_is_the_traced_one(gray):
    """Points at a pixel that is at the level itself are drawn where a line leads elsewhere."""
    assert [tuple(box) for box in border_boxes(gray).tolist()] == plain_boxes(gray)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 70), st.integers(2, 70), st.integers(0, 95))
def test_blobs_and_their_jpeg_files_are_measured_by_the_plain_rules(seed, height, width, quality):
    """Clean masks, and masks with the gray fringe of JPEG."""
    mask = blobs(seed, (height, width))
    check(mask)
    if quality > 4:
        check(jpeg(mask, quality))


@pytest.mark.parametrize("number", range(6))
def test_blobs_of_full_size_are_measured_by_the_plain_rules(number):
    """A mask of usual size, clean and as JPEG."""
    mask = blobs(number, (240, 320), 3)
    check(mask)
    check(jpeg(mask, 75))


@pytest.mark.parametrize("name", ["Image_01L_1stHO", "Image_05R_2ndHO"])
def test_real_vessel_masks_are_measured_by_the_plain_rules(name):
    """A quarter of a CHASE_DB1 mask, and all of it reduced."""
    mask = np.asarray(Image.open(shared("chase_db1") / f"{name}.png").convert("L"))
    check(np.ascontiguousarray(mask[300:620, 300:640]))
    check(np.asarray(Image.fromarray(mask).resize((300, 288))))


@pytest.mark.parametrize("name", ["ISIC_0012388", "ISIC_0014489"])
def test_real_lesion_masks_are_measured_by_the_plain_rules(name):
    """ISIC 2017 masks of several megapixels."""
    file = shared("isic2017") / f"masks/{name}_segmentation.png"
    check(np.asarray(Image.open(file).convert("L")))


def test_coverage_counts_only_pixels_of_exactly_255():
    """Gray pixels belong to the component but not to its area."""
    gray = np.zeros((30, 30), np.uint8)
    gray[3:7, 3:7] = 254
    gray[4:6, 4:6] = 255
    measures = published(gray).poudel
    assert measures.coverages == (4 / 900,)
    assert measures.places == ("top left",)


def test_component_without_a_pixel_of_255_is_top_left_wherever_it_lies():
    """Shares of nothing are NaN, which falls through to the first cell."""
    gray = np.zeros((90, 90), np.uint8)
    gray[40:50, 40:50] = 255
    gray[80:82, 80:82] = 200
    measures = published(gray).poudel
    assert measures.places == ("center", "top left")
    assert measures.coverages == (100 / 8100, 0.0)
    assert measures.number == 2


@pytest.mark.parametrize(("level", "number"), [(127, 0), (128, 1)])
def test_component_is_what_is_above_127_and_a_half(level, number):
    """The cut between the two levels."""
    gray = np.full((9, 9), level, np.uint8)
    assert published(gray).poudel.number == number


def test_components_are_4_connected_and_regions_8_connected():
    """Two pixels that meet at a corner are two components and one region."""
    mask = np.zeros((9, 9), np.uint8)
    mask[3, 3] = mask[4, 4] = 255
    record = published(mask)
    assert record.poudel.number == 2
    assert len(record.regions) == 1


def wide():
    """Return an empty mask of 30 x 300: thirds at rows 10, 20 and columns 100, 200."""
    return np.zeros((30, 300), np.uint8)


@pytest.mark.parametrize(("beyond", "place"), [(10, "right"), (9, "left")])
def test_cells_from_ten_percent_count(beyond, place):
    """With exactly a tenth in a second cell the box decides; below, the first cell alone."""
    gray = wide()
    gray[15, 10 : 100 + beyond] = 255
    assert published(gray).poudel.places == (place,)
    check(gray)


def test_box_column_is_compared_with_thirds_of_the_height():
    """A region at the left and in the middle of a wide image is called right."""
    gray = wide()
    gray[12:18, 62:142] = 255
    assert published(gray).poudel.places == ("right",)
    tall = np.ascontiguousarray(gray.T)
    assert published(tall).poudel.places == ("left",)
    check(gray)
    check(tall)


@pytest.mark.parametrize(
    ("rows", "columns", "place"),
    [
        ((20, 70), (20, 70), "center"),
        ((5, 45), (20, 70), "top"),
        ((45, 85), (20, 70), "bottom"),
        ((20, 70), (5, 45), "left"),
        ((20, 70), (45, 85), "right"),
        ((5, 45), (5, 45), "top left"),
        ((45, 85), (5, 45), "bottom left"),
        ((5, 45), (45, 85), "top right"),
        ((45, 85), (45, 85), "bottom right"),
    ],
)
def test_box_centre_gives_row_and_column_without_the_middle(rows, columns, place):
    """The middle row leaves the column's word, the middle column the row's."""
    gray = np.zeros((90, 90), np.uint8)
    gray[slice(*rows), slice(*columns)] = 255
    assert published(gray).poudel.places == (place,)
    check(gray)


@pytest.mark.parametrize(
    ("top", "bottom", "place"),
    [
        (10, 51, "center"),  # traced from row 9 to 50: the centre is 30, which is h / 3
        (10, 50, "top"),
        (40, 81, "center"),  # 60: 2 h / 3 itself is still the middle
        (40, 82, "bottom"),
    ],
)
def test_thirds_themselves_belong_to_the_middle(top, bottom, place):
    """The half-open box of the traced border, at both limits of the middle third."""
    gray = np.zeros((90, 90), np.uint8)
    gray[top:bottom, 35:56] = 255
    assert published(gray).poudel.places == (place,)
    check(gray)


def test_only_the_first_piece_of_the_border_gives_the_place():
    """A bar across the image has an upper and a lower border; the upper one is taken."""
    gray = np.zeros((90, 90), np.uint8)
    gray[10:75] = 255
    assert published(gray).poudel.places == ("top",)
    check(gray)


def test_one_cell_is_the_place_without_a_box():
    """A component in one cell, beside which its box would say another."""
    gray = wide()
    gray[12:18, 60:90] = 255
    assert published(gray).poudel.places == ("left",)


def test_merged_box_is_that_of_the_traced_border():
    """One pixel more at the left and at the top; small pieces are left out."""
    gray = np.zeros((40, 50), np.uint8)
    gray[10:20, 12:30] = 255
    gray[35, 45] = 255  # traced in two by two pixels: an area of 4 is not enough
    assert published(gray).poudel.box == (11, 9, 30, 20)
    gray[35, 46] = 255
    assert published(gray).poudel.box == (11, 9, 47, 36)
    check(gray)


@pytest.mark.parametrize("level", [0, 127])
def test_box_of_an_empty_mask_is_width_height_and_zeros(level):
    """Nothing above the level: W, H, 0, 0."""
    measures = published(np.full((20, 30), level, np.uint8)).poudel
    assert measures.box == (30, 20, 0, 0)
    assert (measures.coverages, measures.places, measures.number) == ((), (), 0)


def test_place_of_a_component_without_a_border_is_that_of_its_own_box():
    """Where the script stops with an error: a mask that is all foreground."""
    assert published(np.full((90, 90), 255, np.uint8)).poudel.places == ("center",)
    assert published(np.full((90, 400), 255, np.uint8)).poudel.places == ("right",)
    assert published(np.full((1, 9), 255, np.uint8)).poudel.places == ("right",)


def test_last_box_of_the_resized_mask_is_the_one_tganet_keeps():
    """Two boxes of a mask that is already 256 x 256; the lower one is the last."""
    gray = np.zeros((256, 256), np.uint8)
    gray[11:200, 21:150] = 255
    gray[221:230, 201:205] = 255
    record = published(gray)
    assert record.tganet.boxes == 2
    assert record.tganet.last_box_share == 10 * 5 / 65536


def test_tganet_measures_the_mask_after_resizing():
    """A region of 4 pixels of a large mask is gone; without boxes the share is 0."""
    gray = np.zeros((2560, 2560), np.uint8)
    gray[1000:1002, 1000:1002] = 255
    record = published(gray)
    assert (record.tganet.boxes, record.tganet.last_box_share) == (0, 0.0)
    assert record.poudel.number == 1


def test_source_is_what_the_published_rules_see():
    """Without a source they see the cleaned mask."""
    mask = np.zeros((60, 60), np.uint8)
    mask[10:30, 10:30] = 255
    source = mask.copy()
    source[50, 50] = 130
    assert measure("s", "t", mask).poudel.number == 1
    assert measure("s", "t", mask, source=source).poudel.number == 2
