"""The audit finds what is wrong with prompts, and nothing else."""

from __future__ import annotations

import dataclasses
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from stages.prompt.audit import KINDS, Audit, Other, Seen, audit
from stages.prompt.published import PublishedFile, read_published
from stages.prompt.record import EMPTY, FAILED, OK, PoudelMeasures, Record, Region
from stages.prompt.rule_sets import RULE_SETS

PROMPTS = (
    Path(os.environ.get("MEDSHARDS_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))
    / "prompts"
)
needs_published = pytest.mark.skipif(
    not PROMPTS.is_dir(), reason="no published prompts at hand; set MEDSHARDS_TEST_DATA"
)
BOX = (60, 10, 90, 30)
SIZE = (100, 150)


def prompts(
    number: str = "one", size: str = "small", location: str = "top", shape: str = "round"
) -> dict[str, str]:
    """Return the prompts P0 to P6 of a photographic set, as published."""
    full = f"{number} {size} pink {shape} polyp"
    return {
        "p0": "",
        "p1": "polyp",
        "p2": f"{shape} polyp",
        "p3": f"pink {shape} polyp",
        "p4": f"{size} pink {shape} polyp",
        "p5": full,
        "p6": f"{full}, located in {location} of the image",
    }


def entry(name: str, texts: dict[str, Any] | None = None, box: Any = BOX) -> dict[str, Any]:
    """Return a row of a published JSON file."""
    row = {"img_name": f"{name}.jpg", "mask_name": f"{name}.png", "prompts": texts or prompts()}
    return row | ({"bbox": list(box)} if box is not None else {})


def none() -> dict[str, str]:
    """Return prompts that say there is nothing."""
    return dict.fromkeys(prompts(), "no polyp") | {"p0": ""}


def file(folder: Path, *entries: dict[str, Any], name: str = "test.json") -> PublishedFile:
    """Write and read a published file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(json.dumps(entries))
    return read_published(path)


def record(
    coverages: tuple[float, ...] = (0.04,),
    places: tuple[str, ...] = ("top",),
    box: tuple[int, int, int, int] = BOX,
    status: str = OK,
) -> Record:
    """Return what could be measured of a mask of 100 x 150 pixels."""
    area = round(sum(coverages) * 15000)
    cells = (0, area, 0, 0, 0, 0, 0, 0, 0)
    region = Region(area, box, (75.0, 20.0), cells, 27.6, 0.7, 1.0, 0.8, 1, touches_border=False)
    whole, measures = (
        (region, PoudelMeasures(coverages, places, box))
        if status == OK
        else (
            None,
            PoudelMeasures((), (), (150, 100, 0, 0)),
        )
    )
    regions = (region,) * len(coverages) if whole else ()
    error = "cannot be decoded" if status == FAILED else ""
    return Record("a", "polyp", status, error, *SIZE, whole, regions, False, None, measures, None)


def of_masks(found: PublishedFile, *records: Record | None) -> Audit:
    """Audit a file with the records of its masks."""
    return audit(found, RULE_SETS["poudel"], [Seen(one, SIZE) for one in records])


def told(result: Audit) -> list[tuple[str, str, str]]:
    """Return kind, sample and attribute of each problem."""
    return [(one.kind, one.sample, one.attribute) for one in result.problems]


def test_true_prompts_have_no_problems(tmp_path: Path) -> None:
    """Nothing is found where all is right, and every comparison is counted."""
    result = of_masks(file(tmp_path, entry("a"), entry("b")), record(), record())
    assert not result.problems
    assert result.proven == 0
    counts = {one.attribute: (one.stated, one.compared, one.agreeing) for one in result.tallies}
    for name in ("number", "size", "location", "bbox"):
        assert counts[name] == (2, 2, 2)
    assert counts["shape"] == (2, 0, 0)


@pytest.mark.parametrize(
    ("measured", "attribute", "published", "found"),
    [
        (record(coverages=(0.09,)), "size", "small", "medium"),
        (record(places=("top right",)), "location", "top", "top right"),
        (record(box=(60, 10, 90, 31)), "bbox", "60, 10, 90, 30", "60, 10, 90, 31"),
    ],
)
def test_one_false_attribute_is_one_disagreement(
    tmp_path: Path, measured: Record, attribute: str, published: str, found: str
) -> None:
    """The attribute is told with both words, and only in the sample that is wrong."""
    result = of_masks(file(tmp_path, entry("a"), entry("b")), record(), measured)
    [problem] = result.problems
    assert dataclasses.astuple(problem) == ("disagreement", "b.jpg", attribute, published, found)
    tally = next(one for one in result.tallies if one.attribute == attribute)
    assert (tally.compared, tally.agreeing, tally.disagreeing) == (2, 1, 1)


def test_number_and_places_are_compared(tmp_path: Path) -> None:
    """Two objects said to be one: number, places and sizes differ from the mask."""
    two = record((0.04, 0.04), ("top", "bottom"))
    result = of_masks(file(tmp_path, entry("a")), two)
    assert told(result) == [("disagreement", "a.jpg", name) for name in ("number", "location")]


def test_attribute_left_out_of_one_row(tmp_path: Path) -> None:
    """A size that one row lacks while others have it is compared with the mask as well."""
    without = prompts() | {
        "p4": "pink round polyp",
        "p5": "one pink round polyp",
        "p6": "one pink round polyp, located in top of the image",
    }
    result = of_masks(file(tmp_path, entry("a"), entry("b", without)), record(), record())
    assert ("disagreement", "b.jpg", "size") in told(result)
    assert not [one for one in told(result) if one[1] == "a.jpg"]


def test_nothing_said_over_a_mask_and_the_reverse(tmp_path: Path) -> None:
    """Claims about the target itself are one problem each, not a disagreement per attribute."""
    rows = (entry("a", none(), None), entry("b", box=None), entry("c", none(), (150, 100, 0, 0)))
    empty = record(status=EMPTY)
    result = of_masks(file(tmp_path, *rows), record(), empty, empty)
    assert told(result) == [("no-object", "a.jpg", "class"), ("no-object", "b.jpg", "class")]
    assert result.problems[0].measured == "600 pixels in 1 regions"
    assert result.problems[1].measured == "an empty mask"


@pytest.mark.parametrize(
    ("texts", "box", "attribute"),
    [
        (none(), BOX, "bbox"),
        (prompts(), (150, 100, 0, 0), "bbox"),
        (prompts() | {"p4": "large pink round polyp"}, BOX, "size"),
        (prompts(number="two"), BOX, "number"),
        (prompts(location="top, bottom"), BOX, "number"),
        (prompts() | {"p5": "no polyp"}, BOX, "class"),
        (prompts(location="bottom"), BOX, "bbox"),
        (prompts(location="left"), BOX, "bbox"),
    ],
)
def test_records_that_contradict_themselves(
    tmp_path: Path, texts: dict[str, str], box: Any, attribute: str
) -> None:
    """Without masks: prompts against each other, against the box, and places against numbers."""
    found = file(tmp_path, entry("a"), entry("b", texts, box))
    result = audit(found, seen=[Seen(size=SIZE)] * 2)
    assert told(result) == [("contradiction", "b.jpg", attribute)]


@pytest.mark.parametrize("place", ["top", "top right"])
def test_a_box_is_judged_by_the_published_rules(tmp_path: Path, place: str) -> None:
    """The box's centre counts as right of two thirds of the height, as the scripts have it."""
    found = file(tmp_path, entry("a", prompts(location=place)))
    assert not audit(found, seen=[Seen(size=SIZE)]).problems


def test_texts_that_contradict_themselves_or_have_gaps(tmp_path: Path) -> None:
    """A lesion in normal mucosa is a contradiction, a deleted word a gap."""
    both = "Pink round polyp detected in the top, but colon mucosa appears completely normal."
    gap = "one small pink round polyp, located in  of the image"
    texts = [prompts() | {"p9": both}, prompts() | {"p9": gap}]
    result = audit(file(tmp_path, *(entry(f"a{n}", text) for n, text in enumerate(texts))))
    assert ("contradiction", "a0.jpg", "class") in told(result)
    assert ("malformed", "a1.jpg", "") in told(result)


def test_faults_of_files_are_problems(tmp_path: Path) -> None:
    """What was not found or not read is told, and not compared."""
    faults = (("missing-image", "a.jpg"), ("unreadable", "a.png: cannot be decoded"))
    found = file(tmp_path, entry("a"), entry("b"))
    seen = [Seen(record(status=FAILED), faults=faults), Seen(record())]
    result = audit(found, RULE_SETS["poudel"], seen)
    assert [one.kind for one in result.problems] == ["missing-image", "unreadable"]
    assert result.tallies[0].compared == 1
    assert set(result.kinds) <= set(KINDS)


def test_splits_of_one_dataset_share_no_sample(tmp_path: Path) -> None:
    """A name in train and test is told; names without a partner are as they should be."""
    train = file(tmp_path, entry("a"), entry("b"), name="train.json")
    test = file(tmp_path, entry("b"), entry("c"))
    result = audit(train, other=Other(test))
    assert told(result) == [("cross-split", "b.jpg", "name")]
    assert result.partners is not None
    assert result.partners.relation == "splits"


def test_texts_of_another_dataset(tmp_path: Path) -> None:
    """Equal prompts of equal names are copied, unless chance explains them."""
    sizes = [f"{size}" for size in ("tiny", "small", "medium", "large")]
    places = ("top", "left", "right", "bottom", "center")
    rows = [entry(str(n), prompts(size=sizes[n % 4], location=places[n % 5])) for n in range(20)]
    ours = file(tmp_path / "ours", *rows[:10], entry("only"))
    theirs = file(tmp_path / "theirs", *rows)
    result = audit(ours, other=Other(theirs))
    assert result.kinds == {"copied-text": 10, "without-partner": 1}
    assert result.partners is not None
    assert (result.partners.shared, result.partners.equal) == (10, 10)
    assert (result.partners.without_partner, result.partners.against_only) == (1, 10)
    alike = [entry(str(n)) for n in range(20)]
    plain = audit(file(tmp_path / "a", *alike[:10]), other=Other(file(tmp_path / "b", *alike)))
    assert not plain.problems
    assert plain.partners is not None
    assert plain.partners.equal == 10


def test_several_masks_of_an_image_are_several_samples(tmp_path: Path) -> None:
    """Rows of one image with masks in different folders are no duplicates; masks name them."""
    rows = [entry("a") | {"mask_name": f"mask_{n}/a_gt.png"} for n in (1, 2)]
    result = of_masks(file(tmp_path, *rows), record(), record(places=("left",)))
    assert told(result) == [("disagreement", "mask_2/a_gt.png", "location")]


@needs_published
def test_cvc300_has_the_captions_of_colondb() -> None:
    """The 54 names that both workbooks have carry equal texts; six have no partner."""
    files = [
        read_published(PROMPTS / "medclipseg" / name / "Test_text_original.xlsx")
        for name in ("CVC300", "ColonDB")
    ]
    result = audit(files[0], other=Other(files[1]))
    found = result.partners
    assert found is not None
    assert (found.shared, found.equal, found.different) == (54, 54, 0)
    assert (found.without_partner, found.against_only) == (6, 306)
    assert result.kinds == {"copied-text": 54, "without-partner": 6}


@needs_published
def test_one_word_captions_are_not_called_copied() -> None:
    """ "Polyp visible." in both files is no sign of copying, and random words are none either."""
    for design in ("underdescriptive", "overdescriptive"):
        name = f"Test_text_{design}.xlsx"
        files = [read_published(PROMPTS / "medclipseg" / d / name) for d in ("CVC300", "ColonDB")]
        assert audit(files[0], other=Other(files[1])).kinds == {"without-partner": 6}


@needs_published
@pytest.mark.parametrize(
    ("dataset", "design", "shares"),
    [
        ("Kvasir", "overdescriptive", {"size": 36, "colour": 23, "shape": 16}),
        ("Kvasir", "contradictory", {"colour": 11, "shape": 12}),
        ("ColonDB", "overdescriptive", {"size": 34, "colour": 14, "shape": 6}),
        ("ColonDB", "contradictory", {"location": 12, "colour": 16, "shape": 5}),
    ],
)
def test_released_designs_falsify_the_original(
    dataset: str, design: str, shares: dict[str, int]
) -> None:
    """Most words of the over-descriptive and contradictory captions are not the original's."""
    folder = PROMPTS / "medclipseg" / dataset
    other = Other(read_published(folder / "Test_text_original.xlsx"))
    result = audit(read_published(folder / f"Test_text_{design}.xlsx"), other=other)
    assert result.partners is not None
    assert result.partners.relation == "designs"
    found = {one.attribute: one for one in result.partners.tallies}
    for name, share in shares.items():
        assert round(100 * found[name].agreeing / found[name].compared) == share
    differing = Counter(one.attribute for one in result.problems if one.kind == "differs")
    assert differing["location"] == found["location"].disagreeing


@needs_published
def test_missing_locations_leave_gaps() -> None:
    """The captions from which the place was deleted are told, all of them."""
    path = PROMPTS / "medclipseg" / "Kvasir" / "Test_text_missing_location.xlsx"
    assert audit(read_published(path)).kinds == {"malformed": 100}


@needs_published
@pytest.mark.parametrize("name", ["busi", "camus", "chexlocalize", "isic", "kvasir_polyp"])
def test_published_json_does_not_contradict_itself(name: str) -> None:
    """The test splits of medvlsm are consistent in themselves, and the same as themselves."""
    found = read_published(PROMPTS / "medvlsm" / name / "test.json")
    result = audit(found, other=Other(found, "designs"))
    assert not result.problems
    assert result.partners is not None
    assert result.partners.shared == result.partners.equal == len(found.rows)
