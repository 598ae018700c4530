"""Records and attributes that are written by hand, not measured."""

from __future__ import annotations

import math
from collections.abc import Sequence

from stages.prompt.attributes import Attributes
from stages.prompt.record import EMPTY, OK, PoudelMeasures, Record, Region, TganetMeasures

FULL = {
    "class": "polyp",
    "shape": "round",
    "colour": "pink",
    "size": "small",
    "number": "one",
    "location": "top left",
    "view": "frontal",
    "pathology": "Edema, Support Devices",
    "cycle": "diastole",
    "gender": "female",
    "age": "eighty-one",
    "quality": "poor",
    "tumor_type": "benign",
}
DESCRIPTIONS = ("a growth", "often a bump")


def region(
    area: int = 100,
    *,
    eccentricity: float = 0.1,
    solidity: float = 0.98,
    circularity: float = 0.95,
    euler: int = 1,
    colour: str | None = None,
    touches_border: bool = False,
) -> Region:
    """Return a region in the middle of an image of 90 x 90 pixels, in the box of a disc."""
    side = round(math.sqrt(4 * area / math.pi))
    return Region(
        area=area,
        box=(40, 40, 40 + side, 40 + side),
        centroid=(45.0, 45.0),
        cells=(0, 0, 0, 0, area, 0, 0, 0, 0),
        equivalent_diameter=11.28,
        eccentricity=eccentricity,
        solidity=solidity,
        circularity=circularity,
        euler=euler,
        touches_border=touches_border,
        colour=colour,
    )


def record(
    coverages: Sequence[float] = (0.02,),
    places: Sequence[str] = ("center",),
    *,
    boxes: int = 1,
    last_box_share: float = 0.05,
    regions: Sequence[Region] = (),
    colour: str | None = None,
) -> Record:
    """Return the record of a target that is there."""
    return Record(
        sample="a",
        target="polyp",
        status=OK,
        error="",
        height=90,
        width=90,
        whole=region(colour=colour),
        regions=tuple(regions) or (region(),),
        instances=False,
        hygiene=None,
        poudel=PoudelMeasures(tuple(coverages), tuple(places), (40, 40, 50, 50)),
        tganet=TganetMeasures(boxes, last_box_share),
    )


def empty_record() -> Record:
    """Return the record of an empty mask."""
    poudel, tganet = PoudelMeasures((), (), (90, 90, 0, 0)), TganetMeasures(0, 0.0)
    return Record("a", "polyp", EMPTY, "", 90, 90, None, (), False, None, poudel, tganet)


def attributes(count: int = 1, **changed: str) -> Attributes:
    """Return all attributes with some of them changed; an empty word is none."""
    values = {name: word for name, word in (FULL | changed).items() if word}
    return Attributes(values, dict.fromkeys(values, "measured"), count, DESCRIPTIONS, "polyps")
