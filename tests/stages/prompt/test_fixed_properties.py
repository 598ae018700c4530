"""Rule set `fixed` under mirroring, turning, scaling and moving of masks."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from pipeline.stream import Stream
from stages.prompt.designs.families import family_prompts
from stages.prompt.rule_sets import RULE_SETS
from stages.prompt.wording import word
from stages.prompt.wording.context import Context
from stages.prompt.wording.regions import kept_regions
from tests.stages.prompt.drawn_masks import EIGHT, IDS, SPECKS, described, measured, turned
from tests.stages.prompt.plain_measures import NAMES

FEW = settings(max_examples=120, deadline=None)

ECCENTRICITIES, SOLIDITIES, CIRCULARITIES = (0.943, 0.866, 0.6), (0.85, 0.5), (0.1,)
"""The thresholds of the shape words of `fixed`."""


def margins(area):
    """Return how far a region's eccentricity, solidity and circularity may move by upscaling.

    Pixels are points to the moments and squares with cut corners to the hull, and a scaled mask
    has more of them along the same border: the moments move by 1/12 pixel^2, the hull by a part of
    a pixel all around, the perimeter by the steps that are resolved. Shares, and so number and
    size, do not move, and neither do centroids, and so places.
    """
    return 0.5 / area, 1.5 / math.sqrt(area), 4 / math.sqrt(area)


def moved_places(location, move):
    """Return a location in words after `move` has turned (down, right), -1 to 1 each."""
    if location == "throughout":
        return "throughout"
    many = location.startswith("mostly ")
    places = location.removeprefix("mostly ").replace(" and ", ", ").split(", ")
    found = set()
    for place in places:
        row, column = divmod(NAMES.index(place), 3)
        down, right = move(row - 1, column - 1)
        found.add(3 * (down + 1) + right + 1)
    *first, last = (NAMES[cell] for cell in sorted(found))
    listed = f"{', '.join(first)} and {last}" if first else last
    return f"mostly {listed}" if many else listed


MOVES = {
    "mirrored": (np.fliplr, lambda down, right: (down, -right)),
    "flipped": (np.flipud, lambda down, right: (-down, right)),
    "turned left": (np.rot90, lambda down, right: (-right, down)),
    "turned right": (lambda ids: np.rot90(ids, 3), lambda down, right: (right, -down)),
    "turned over": (lambda ids: np.rot90(ids, 2), lambda down, right: (-down, -right)),
    "transposed": (np.transpose, lambda down, right: (right, down)),
}


@pytest.mark.parametrize("name", MOVES)
@FEW
@given(ids=IDS, instances=st.booleans())
@example(ids=np.eye(9, dtype=np.uint16)[3:], instances=False)
@example(ids=np.pad(np.eye(2, 9, 7, dtype=np.uint16), ((40, 59), (80, 59))), instances=False)
@example(ids=np.pad(np.ones((1, 4), np.uint16), ((40, 61), (48, 100))), instances=False)
@example(ids=np.tile(np.pad(np.ones((1, 1), np.uint16), 1), (2, 3)), instances=True)
@example(ids=SPECKS, instances=False)
def test_mirrored_and_turned_masks_get_mirrored_and_turned_places(name, ids, instances):
    """Grid words are permuted as the mask is, and no other word changes."""
    turn, move = MOVES[name]
    words, count = described(ids, instances=instances)
    after, count_after = described(turn(ids), instances=instances)
    location = moved_places(words.pop("location"), move)
    assert after.pop("location") == location
    assert (after, count_after) == (words, count)


@FEW
@given(st.integers(1, 60), st.integers(1, 60), st.data())
def test_a_pixel_lies_in_the_third_that_its_centre_lies_in(height, width, data):
    """Exact thirds at pixel centres, in sizes that three does not divide too."""
    y = data.draw(st.integers(0, height - 1))
    x = data.draw(st.integers(0, width - 1))
    assume(height * width > 1)  # the only pixel is the whole image
    ids = np.zeros((height, width), np.uint16)
    ids[y, x] = 1
    assert described(ids)[0]["location"] == plain_place(ids == 1)


def plain_place(region):
    """Return the place of a region by exact fractions; a line belongs to the middle third."""
    places = []
    for axis, length in enumerate(region.shape):
        positions = np.nonzero(region)[axis]
        centre = Fraction(2 * int(positions.sum()) + len(positions), 2 * len(positions))
        places.append((centre >= Fraction(length, 3)) + (centre > Fraction(2 * length, 3)))
    return NAMES[3 * places[0] + places[1]]


def big_regions(ids):
    """Return the components of at least 0.0001 of the image, by SciPy and a loop."""
    labels, count = ndimage.label(ids > 0, EIGHT)
    regions = [labels == number for number in range(1, count + 1)]
    return [region for region in regions if 10_000 * int(region.sum()) >= region.size]


@FEW
@given(IDS)
def test_the_number_is_that_of_components_above_the_minimum_area(ids):
    """Counted by SciPy with 8-connectivity, region by region."""
    regions = big_regions(ids)
    assume(regions)
    assert described(ids)[1] == len(regions)


@FEW
@given(IDS)
def test_ids_count_where_they_are_given(ids):
    """Touching instances are several, scattered ones are one, and tiny ones count."""
    assert described(ids, instances=True)[1] == len(np.unique(ids[ids > 0]))


@FEW
@given(IDS)
def test_few_objects_are_where_their_centroids_are(ids):
    """Up to five: each place once, in reading order, by exact fractions."""
    regions = big_regions(ids)
    location = described(ids)[0]["location"]
    assume(0 < len(regions) <= 5 and location != "throughout")
    found = sorted({NAMES.index(plain_place(region)) for region in regions})
    assert location.replace(" and ", ", ").split(", ") == [NAMES[cell] for cell in found]


@FEW
@given(IDS, st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_specks_change_no_word(ids, seed, specks):
    """Pixels below the minimum area that touch nothing, wherever they are."""
    ids = np.pad(ids, [(0, max(0, 101 - side)) for side in ids.shape])
    assume(big_regions(ids))
    speckled = ids.copy()
    for y, x in np.random.default_rng(seed).integers(0, ids.shape, (specks, 2)):
        if not speckled[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].any():
            speckled[y, x] = 1
    assert described(speckled) == described(ids)


def outside_margins(record):
    """Return whether all regions' shape numbers are further from thresholds than they may move."""
    rules = RULE_SETS["fixed"]
    for region in kept_regions(rules, record):
        if region.area < rules.shape_from:
            return False
        kinds = (
            (region.eccentricity, ECCENTRICITIES),
            (region.solidity, SOLIDITIES),
            (region.circularity, CIRCULARITIES),
        )
        for (value, thresholds), margin in zip(kinds, margins(region.area), strict=True):
            if any(abs(value - threshold) <= margin for threshold in thresholds):
                return False
    return True


def near_throughout(record):
    """Return whether a region may become, or cease to be, one that is throughout the image.

    That takes a solidity below 0.5 and 0.05 of its pixels in each of seven cells, and so pixels in
    all rows and columns of the grid. With sides that three does not divide, pixels on a line
    between cells are shared out between them by upscaling: at most the region's pixels on the four
    lines.
    """
    height, width = record.height, record.width
    for region in kept_regions(RULE_SETS["fixed"], record):
        left, top, right, bottom = region.box
        if min(width - 3 * left, 3 * right - 2 * width) <= 0:
            continue
        if min(height - 3 * top, 3 * bottom - 2 * height) <= 0:
            continue
        lines = (2 * (right - left) if height % 3 else 0) + (2 * (bottom - top) if width % 3 else 0)
        reach = lines / region.area
        sure = sum(cell >= (0.05 + reach) * region.area for cell in region.cells)
        maybe = sum(cell + lines >= 0.05 * region.area for cell in region.cells)
        solid = region.solidity - 0.5 > margins(region.area)[1]
        hollow = 0.5 - region.solidity > margins(region.area)[1]
        if not (solid or maybe < 7 or (hollow and sure >= 7)):
            return True
    return False


@FEW
@given(IDS, st.sampled_from([2, 3]))
def test_upscaling_changes_no_word_outside_of_the_margins(ids, factor):
    """Number and size never change; places and shapes outside of the stated margins not either."""
    words, count = described(ids)
    scaled, scaled_count = described(ids.repeat(factor, 0).repeat(factor, 1))
    record = measured(ids)
    assert (scaled_count, scaled["size"]) == (count, words["size"])
    if not near_throughout(record):
        assert scaled["location"] == words["location"]
    if outside_margins(record):
        assert scaled.get("shape") == words.get("shape")


@FEW
@given(
    st.tuples(st.integers(90, 200), st.integers(90, 200)),
    st.floats(0, math.pi),
    st.sampled_from([(1.05, "round"), (1.6, "oval"), (2.4, "elongated"), (3.6, "elongated")]),
)
def test_upscaled_ellipses_keep_their_shape_words(sides, angle, kind):
    """Ellipses whose axes are clear of 5:4, 2:1 and 3:1 are outside of the margins at any angle."""
    ratio, shape = kind
    y, x = np.mgrid[: sides[0], : sides[1]] + 0.5 - np.array(sides)[:, None, None] / 2
    along, across = turned(x, y, angle)
    ids = (along**2 + (ratio * across) ** 2 <= (0.45 * min(sides)) ** 2).astype(np.uint16)
    assert outside_margins(measured(ids))
    words, count = described(ids)
    assert words["shape"] == shape
    assert described(ids.repeat(2, 0).repeat(2, 1)) == (words, count)


@FEW
@given(st.integers(250, 300), st.floats(0, math.pi), st.sampled_from([2, 3]))
def test_upscaled_stars_of_thin_lines_stay_branching(side, angle, factor):
    """Four crossing lines of 5 pixels, in an image of any size."""
    y, x = np.mgrid[:side, :side] + 0.5 - side / 2
    ids = np.zeros((side, side), np.uint16)
    for step in range(4):
        along, across = turned(x, y, angle + step * math.pi / 4)
        ids[(abs(along) <= 0.46 * side) & (abs(across) <= 2.5)] = 1
    assert outside_margins(measured(ids))
    words, count = described(ids)
    assert words["shape"] == "branching"
    scaled, scaled_count = described(ids.repeat(factor, 0).repeat(factor, 1))
    assert (scaled["shape"], scaled["size"], scaled_count) == ("branching", words["size"], count)


@pytest.mark.parametrize("cell", range(9))
@FEW
@given(ids=IDS, instances=st.booleans())
def test_padding_moves_a_mask_into_the_cell_it_is_shifted_to(cell, ids, instances):
    """In an image of three times its sides, all objects of a mask lie in one cell."""
    (row, column), (height, width) = divmod(cell, 3), ids.shape
    padded = np.pad(
        ids,
        ((row * height, (2 - row) * height), (column * width, (2 - column) * width)),
    )
    words, count = described(padded, instances=instances)
    location = words["location"]
    if count <= 5:
        assert location == NAMES[cell]
        return
    # In the middle row or column, objects may lie on both sides of the middle line.
    ends = {name for name in NAMES[cell].split() if name != "center"}
    assert location == "throughout" or ends <= set(location.removeprefix("mostly ").split())


def lines(*, beside):
    """Return a cross through the whole image and `beside` squares in its bottom right corner."""
    ids = np.zeros((120, 120), np.uint16)
    ids[59:61] = ids[:, 59:61] = 1
    eye = np.eye(120, dtype=bool)
    ids[eye | eye[::-1]] = 1
    for n in range(beside):
        ids[100 + 3 * (n // 4) : 102 + 3 * (n // 4), 70 + 4 * (n % 4) : 72 + 4 * (n % 4)] = n + 2
    return ids


@pytest.mark.parametrize("beside", [0, 4, 8])
def test_what_reaches_the_whole_image_is_throughout_it_whatever_lies_beside(beside):
    """A vessel tree with loose ends in a corner is not mostly in that corner."""
    words, count = described(lines(beside=beside), instances=True)
    assert (words["location"], count) == ("throughout", beside + 1)


@pytest.mark.parametrize(
    ("places", "location"),
    [
        ([4] * 6 + [0, 8], "mostly center"),
        ([4] * 5 + [0, 8, 8], "top left, center and bottom right"),
        ([0] * 4 + [8] * 4, "top left and bottom right"),
        ([0] * 3 + [6] * 3 + [2, 8], "mostly left"),
        ([0] * 3 + [2] * 3 + [6, 8], "mostly top"),
        ([8] * 6 + [0, 0], "mostly bottom right"),
        ([0, 1, 2, 3, 5, 6, 7, 8], "throughout"),
    ],
)
def test_three_quarters_of_many_objects_say_where_they_mostly_are(places, location):
    """Eight objects, so many in each grid cell; six are exactly the majority that is asked for."""
    ids = np.zeros((90, 90), np.uint16)
    for n, cell in enumerate(places):
        row, column = divmod(cell, 3)
        ids[30 * row + 10 * (n % 3) + 4, 30 * column + 20 * (n % 2) + 4] = n + 1
    assert described(ids)[0]["location"] == location


def test_a_region_of_exactly_the_minimum_area_counts():
    """0.0001 of 225 x 400 pixels is 9, though 0.0001 * 225 * 400 is more in floats."""
    ids = np.zeros((225, 400), np.uint16)
    ids[5:8, 5:8] = ids[100:110, 100:110] = 1
    assert described(ids)[1] == 2
    ids[5, 5] = 0
    assert described(ids)[1] == 1


@pytest.mark.parametrize("shape", [(64, 64), (64, 100), (300, 120), (1, 1)])
def test_a_mask_that_is_all_foreground_is_no_round_object_in_the_center(shape):
    """It is throughout the image, and as rectangular as that; one pixel has no shape."""
    words, count = described(np.ones(shape, np.uint16))
    assert (words["size"], words["location"], count) == ("large", "throughout", 1)
    assert words.get("shape") == (None if shape == (1, 1) else "rectangular")


@pytest.mark.parametrize(
    ("area", "location"), [(0.7, "center"), (0.74, "center"), (0.76, "throughout")]
)
def test_a_compact_region_is_throughout_from_three_quarters_of_the_image(area, location):
    """Below that it is where its centroid is."""
    side = round(math.sqrt(area) * 200)
    ids = np.zeros((200, 200), np.uint16)
    ids[:side, :side] = 1
    assert described(ids)[0]["location"] == location


@pytest.mark.parametrize(
    ("left", "location", "sentence"),
    [
        (10, "mostly patient's top right", "located mostly in the patient's top right quarter of"),
        (140, "mostly top", "located mostly in the top half of"),
    ],
)
def test_many_objects_in_the_frame_of_the_patient(left, location, sentence):
    """The image's left is the patient's right, in words that make a sentence."""
    ids = np.zeros((300, 300), np.uint16)
    for n in range(8):
        ids[
            10 + 20 * (n % 4) : 16 + 20 * (n % 4), left + 11 * (n // 4) : left + 6 + 11 * (n // 4)
        ] = n + 1
    rules = RULE_SETS["fixed"]
    told = word(rules, measured(ids, instances=True), Context("nodule", frame="patient"))
    assert told.values["location"] == location
    prompts = family_prompts(rules, "photographic", told, Stream.of("frame"))
    assert sentence in next(one.text for one in prompts if one.design == "p6")


def test_an_arch_does_not_branch():
    """A wall as of the left ventricle fills little of its hull, but is one thick line."""
    y, x = np.mgrid[:400, :400] + 0.5 - np.array([300, 200])[:, None, None]
    outer = (x / 75) ** 2 + (y / 170) ** 2 <= 1
    inner = (x / 55) ** 2 + (y / 150) ** 2 <= 1
    ids = (outer & ~inner & (y < 0)).astype(np.uint16)
    assert measured(ids).regions[0].solidity < 0.5
    assert described(ids)[0]["shape"] == "irregular"


def test_a_region_of_exactly_the_least_area_has_a_shape():
    """One that is a pixel smaller has none."""
    ids = np.zeros((60, 90), np.uint16)
    ids[20:24, 30:35] = 1
    assert described(ids)[0]["shape"]
    ids[20, 30] = 0
    assert "shape" not in described(ids)[0]


@pytest.mark.parametrize(("small", "shape"), [(1, "mostly round"), (2, None)])
def test_regions_too_small_for_a_shape_leave_it_to_a_majority(small, shape):
    """Two discs beside specks of four pixels: more than half of the objects are round, or not."""
    y, x = np.mgrid[:60, :90] + 0.5
    ids = ((np.hypot(y - 30, x - 20) < 9) | (np.hypot(y - 30, x - 60) < 9)).astype(np.uint16)
    for n in range(small):
        ids[5:7, 40 + 4 * n : 42 + 4 * n] = 1
    words, count = described(ids)
    assert (words.get("shape"), count) == (shape, 2 + small)
