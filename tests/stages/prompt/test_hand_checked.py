"""The words of rule set `fixed` for real masks, against a table filled in by looking at them."""

from __future__ import annotations

import functools
import tomllib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from stages.prompt.measure import measure
from stages.prompt.rule_sets import RULE_SETS
from stages.prompt.wording import word
from stages.prompt.wording.context import Context
from tests.stages.prompt.plain_measures import binary, shared

TARGETS = tomllib.loads(Path(__file__).with_name("hand_checked.toml").read_text())["targets"]
EIGHT = np.ones((3, 3))


def name(target):
    """Return a target's name in the test report."""
    numbers = "-".join(str(number) for number in target.get("crop", {}).values())
    return f"{Path(target['file']).stem}-{numbers or 'whole'}"


@functools.lru_cache(maxsize=4)
def whole(file):
    """Return the ids or the foreground of a file."""
    folder, _, rest = file.partition("/")
    with Image.open(shared(folder) / rest) as image:
        return np.asarray(image).astype(np.uint16)


def ids(target):
    """Return the part of the file that a target of the table is."""
    values = whole(target["file"])
    if "crop" not in target:
        return values
    crop = target["crop"]
    rows = slice(crop["y"], crop["y"] + crop["height"])
    return np.ascontiguousarray(values[rows, crop["x"] : crop["x"] + crop["width"]])


def counted(values, *, instances):
    """Return how many objects a plain loop counts."""
    if instances:
        return len(set(values.ravel().tolist()) - {0})
    labels, regions = ndimage.label(values > 0, EIGHT)
    areas = Counter(labels.ravel().tolist())
    return sum(10_000 * areas[region] >= values.size for region in range(1, regions + 1))


@pytest.mark.parametrize("target", TARGETS, ids=name)
def test_number_size_location_and_shape_are_what_one_sees(target):
    """All four words of every target of the table."""
    values = ids(target)
    record = measure("s", "t", binary(values), instances=values if "instances" in target else None)
    attributes = word(RULE_SETS["fixed"], record, Context("object"))
    found = {key: attributes.values.get(key, "") for key in ("size", "location", "shape")}
    assert {"number": attributes.count, **found} == {
        key: target[key] for key in ("number", "size", "location", "shape")
    }


@pytest.mark.parametrize("target", TARGETS, ids=name)
def test_the_table_counts_as_a_plain_loop_does(target):
    """The number in the table is that of components or ids, counted one by one."""
    assert target["number"] == counted(ids(target), instances="instances" in target)


def test_the_table_has_every_kind_of_target():
    """Enough targets, few and many objects, every word for size and shape, many places."""
    numbers = [target["number"] for target in TARGETS]
    assert len({name(target) for target in TARGETS}) == len(TARGETS) >= 44
    assert sum(1 < number < 6 for number in numbers) >= 12
    assert sum(number > 5 for number in numbers) >= 8
    single = [target for target in TARGETS if target["number"] == 1]
    assert {target["size"] for target in single} == {"tiny", "small", "medium", "large"}
    shapes = {"round", "oval", "elongated", "irregular", "branching"}
    assert {target["shape"] for target in single} == shapes
    assert len({target["location"] for target in TARGETS}) >= 20
