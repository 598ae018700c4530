"""Words at the bounds of the rules: exactly there, a little below and a little above."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from stages.prompt.record import Record, Region
from stages.prompt.rule_sets import RULE_SETS
from stages.prompt.wording import word
from stages.prompt.wording.context import Context
from tests.stages.prompt.hand_written import record, region

FIXED = RULE_SETS["fixed"]
SIDE = 90


def words(made: Record, **context: Any) -> dict[str, str]:
    """Return the words of a record by the rule set `fixed`."""
    return dict(word(FIXED, made, Context("polyp", **context)).values)


def at(x: float, y: float, area: int = 100, **changed: Any) -> Region:
    """Return a region with a centroid, in pixels."""
    return dataclasses.replace(region(area), centroid=(x, y), **changed)


@pytest.mark.parametrize(
    ("contrast", "told"),
    [
        *((None, ""), (9.99, ""), (-9.99, ""), (0.0, "")),
        *((10.0, "brighter"), (200.0, "brighter"), (-10.0, "darker"), (-200.0, "darker")),
    ],
)
def test_gray_targets_are_told_from_their_surroundings(contrast: float | None, told: str) -> None:
    """Brighter or darker by at least the rule's grey levels, else nothing."""
    whole = dataclasses.replace(region(), contrast=contrast)
    assert words(dataclasses.replace(record(), whole=whole)).get("colour", "") == told


def test_a_colour_comes_before_a_contrast() -> None:
    """In an RGB image the colour is named, whatever the contrast."""
    whole = dataclasses.replace(region(colour="red"), contrast=50.0)
    assert words(dataclasses.replace(record(), whole=whole))["colour"] == "red"
    assert words(dataclasses.replace(record(), whole=None)).get("colour", "") == ""


@pytest.mark.parametrize(
    ("area", "size"),
    [
        *((1, "tiny"), (8, "tiny"), (9, "small"), (648, "small"), (649, "medium")),
        *((2430, "medium"), (2431, "large"), (8100, "large")),
    ],
)
def test_sizes_change_at_their_shares(area: int, size: str) -> None:
    """A share of exactly 8 % is small and of 30 % medium: these bounds are inclusive."""
    assert words(record(regions=[region(area)]))["size"] == size


def test_two_sizes_are_told_from_the_smallest_to_the_largest() -> None:
    """Whatever their order in the record."""
    for regions in ([region(649), region(9)], [region(9), region(649)]):
        assert words(record(regions=regions))["size"] == "small to medium"


@pytest.mark.parametrize(
    ("x", "y", "place"),
    [
        *((29.9, 45, "left"), (30, 45, "center"), (60, 45, "center"), (60.1, 45, "right")),
        *((45, 29.9, "top"), (45, 30, "center"), (45, 60, "center"), (45, 60.1, "bottom")),
        *((0.5, 0.5, "top left"), (89.5, 0.5, "top right")),
        *((0.5, 89.5, "bottom left"), (89.5, 89.5, "bottom right")),
    ],
)
def test_thirds_belong_to_the_middle(x: float, y: float, place: str) -> None:
    """A centroid on a line between two cells is in the one nearer to the middle."""
    assert words(record(regions=[at(x, y)]))["location"] == place


def test_places_of_the_patient_are_mirrored() -> None:
    """Left and right change sides and say whose they are; the others stay."""
    for x, y, place in ((5, 5, "patient's top right"), (85, 45, "patient's left"), (45, 5, "top")):
        assert words(record(regions=[at(x, y)]), frame="patient")["location"] == place


@pytest.mark.parametrize(
    ("area", "solidity", "reached", "throughout"),
    [
        *((6075, 0.98, 1, True), (6074, 0.98, 1, False)),
        *((900, 0.49, 7, True), (900, 0.5, 7, False), (900, 0.49, 6, False)),
    ],
)
def test_one_region_can_be_throughout(
    area: int, solidity: float, reached: int, throughout: bool
) -> None:
    """By three quarters of the image; or thin, with a twentieth of itself in seven cells."""
    share = area // 20
    cells = [share] * reached + [0] * (9 - reached)
    one = dataclasses.replace(region(area, solidity=solidity), cells=tuple(cells))
    place = words(record(regions=[one]))["location"]
    assert (place == "throughout") is throughout
    less = dataclasses.replace(one, cells=tuple(max(0, cell - 1) for cell in cells))
    assert words(record(regions=[less]))["location"] == ("throughout" if area == 6075 else "center")


def many(*places: tuple[float, float]) -> str:
    """Return the location of many regions at centroids."""
    return words(record(regions=[at(x, y) for x, y in places]))["location"]


def test_many_regions_are_where_most_of_them_are() -> None:
    """Three quarters in a half, two halves or the centre; from six regions on."""
    left, right, top, middle = (5.0, 45.0), (85.0, 45.0), (45.0, 5.0), (45.0, 45.0)
    assert many(*[left] * 5, right, middle) == "left, center and right"
    assert many(*[left] * 6, right, middle) == "mostly left"
    assert many(*[right] * 6, left, middle) == "mostly right"
    assert many(*[top] * 6, middle, middle) == "mostly top"
    assert many(*[(45.0, 85.0)] * 6, middle, middle) == "mostly bottom"
    assert many(*[(5.0, 5.0)] * 6, right, right) == "mostly top left"
    assert many(*[middle] * 6, left, right) == "mostly center"
    assert many(*[middle] * 5, left, right, top) == "top, left, center and right"
    # In the middle of the image they are in neither half.
    assert many(*[(45.0, 20.0)] * 4, *[(45.0, 70.0)] * 4) == "top and bottom"
    assert many(*[left] * 5) == "left"


def test_many_cells_are_throughout() -> None:
    """Regions of more cells than are listed are all over the image."""
    cells = [(x, y) for y in (15.0, 45.0, 75.0) for x in (15.0, 45.0, 75.0)]
    assert many(*cells[:6]) == "throughout"
    assert many(*cells[:5]) == "top left, top, top right, left and center"


@pytest.mark.parametrize(
    ("changed", "shape"),
    [
        *(({"eccentricity": 0.943}, "elongated"), ({"eccentricity": 0.942}, "elongated")),
        *(({"eccentricity": 0.866}, "oval"), ({"eccentricity": 0.867}, "elongated")),
        *(({"eccentricity": 0.6}, "round"), ({"eccentricity": 0.601}, "oval")),
        *(({"solidity": 0.85}, "irregular"), ({"solidity": 0.851}, "round")),
        ({"solidity": 0.5, "circularity": 0.1}, "branching"),
        ({"solidity": 0.5, "circularity": 0.11}, "irregular"),
        ({"solidity": 0.51, "circularity": 0.1}, "irregular"),
        ({"circularity": 2.5}, "round"),
    ],
)
def test_shapes_change_at_their_bounds(changed: dict[str, float], shape: str) -> None:
    """Bounds belong to the range; a circularity above 2 counts as 2."""
    assert words(record(regions=[region(400, **changed)]))["shape"] == shape


def test_a_region_that_fills_its_box_is_rectangular() -> None:
    """From 90 % of the box on."""
    for area, shape in ((360, "rectangular"), (359, "round")):
        one = dataclasses.replace(region(area), box=(10, 40, 30, 60))
        assert words(record(regions=[one]))["shape"] == shape


def test_holes_are_counted_for_shapes() -> None:
    """A rule may ask for holes: one less than the Euler number is from one."""
    ring = FIXED.shapes[0].model_copy(
        update={"word": "ring-shaped", "eccentricity": (0.0, 1.0), "holes": (1, 2)}
    )
    rules = FIXED.model_copy(update={"shapes": (ring, *FIXED.shapes)})
    told = {}
    for euler in (2, 1, 0, -1, -2):
        made = record(regions=[region(400, euler=euler)])
        told[euler] = word(rules, made, Context("polyp")).values["shape"]
    assert told == {2: "round", 1: "round", 0: "ring-shaped", -1: "ring-shaped", -2: "round"}
