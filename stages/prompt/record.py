"""What is measured of one target of one image: numbers only, each with its unit."""

from __future__ import annotations

from dataclasses import dataclass

OK = "ok"
EMPTY = "empty"
FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Region:
    """One connected component of a target, or one instance where the mask numbers them."""

    area: int
    """Pixels."""
    box: tuple[int, int, int, int]
    """Left, top, right, bottom, pixels; right and bottom are the first column and row outside."""
    centroid: tuple[float, float]
    """x, y of the mean pixel centre, pixels from the image's left and top edge: the centre of the
    first pixel is (0.5, 0.5)."""
    cells: tuple[int, int, int, int, int, int, int, int, int]
    """Pixels in each cell of the 3 x 3 grid, row by row from the top left. A pixel belongs to the
    cell that its centre lies in; with exact thirds no centre lies on a line."""
    equivalent_diameter: float
    """Diameter of the disc of the same area, sqrt(4 area / pi), pixels."""
    eccentricity: float
    """Of the ellipse with the same second central moments, 0 to 1 (scikit-image `regionprops`):
    sqrt(1 - l2 / l1) of the moments' eigenvalues l1 >= l2."""
    solidity: float
    """Area over the pixels whose centres lie in the convex hull of the middles of all pixels'
    sides, above 0 to 1 (scikit-image `regionprops`)."""
    circularity: float
    """4 pi area / perimeter^2: about 1 for a disc, less for what is longer or more ragged, up to
    1.8 for a few pixels. The perimeter is Crofton's in four directions, from pairs of pixels that
    are a twentieth of the equivalent diameter apart, 1 at least; of neighbours it is scikit-image's
    `perimeter_crofton`."""
    euler: int
    """1 less the number of holes (8-connected region)."""
    touches_border: bool
    """Whether a pixel lies on the image's edge."""
    colour: str | None = None
    """Name of the mean colour inside; None where there is no image or it is gray."""
    contrast: float | None = None
    """Mean gray level (ITU-R BT.601) inside less that of the surroundings, -255 to 255: of the
    pixels outside of all foreground that lie within a tenth of the equivalent diameter, 2 pixels
    at least, sideways and up or down. None where there is no image or no such pixel."""


@dataclass(frozen=True, slots=True)
class PoudelMeasures:
    """What the published medvlsm scripts measure of a mask (`features_from_img.py`)."""

    coverages: tuple[float, ...]
    """Share of the image that each 4-connected component covers with pixels of exactly 255."""
    places: tuple[str, ...]
    """Grid name of each component, by the script's rules with their quirks."""
    box: tuple[int, int, int, int]
    """Merged bounding box x1, y1, x2, y2 of the traced borders; W, H, 0, 0 of an empty mask."""

    @property
    def number(self) -> int:
        """Components before any filter, as the scripts count them."""
        return len(self.coverages)


@dataclass(frozen=True, slots=True)
class TganetMeasures:
    """What TGANet's training code measures of a mask resized to 256 x 256 (`mask_to_text`)."""

    boxes: int
    """Number of bounding boxes."""
    last_box_share: float
    """Area of the last box over that of the image; 0 without boxes."""


@dataclass(frozen=True, slots=True)
class Hygiene:
    """What was unclean about a mask file, and how it was read."""

    levels: int
    """Different values in the file."""
    fringe: int
    """Pixels that are neither 0 nor the foreground value: JPEG noise at borders."""
    specks: int
    """Regions below the share of the image that counts as a speck."""
    findings: tuple[str, ...]
    """Names of what was found: `alpha`, `palette`, `colour`, `jpeg-fringe`, `values`, `specks`,
    `inverted`, ...; empty for a clean binary mask."""


@dataclass(frozen=True, slots=True)
class Record:
    """The measured record of one target of one image."""

    sample: str
    target: str
    status: str
    """`ok`, `empty` (no foreground), or `failed` (could not be read; see `error`)."""
    error: str
    height: int
    width: int
    """Pixels of the image; 0 where it failed."""
    whole: Region | None
    """All regions together; None unless the status is ok."""
    regions: tuple[Region, ...]
    """In the order of their first pixel, row by row; of instances: of their ids."""
    instances: bool
    """Whether the regions are the mask's own instances, not connected components."""
    hygiene: Hygiene | None
    poudel: PoudelMeasures | None
    tganet: TganetMeasures | None

    @property
    def area_fraction(self) -> float:
        """Share of the image that the target covers, 0 to 1; 0 where it failed or is empty."""
        pixels = self.height * self.width
        return self.whole.area / pixels if self.whole and pixels else 0.0

    @property
    def components(self) -> int:
        """Number of regions, specks among them."""
        return len(self.regions)
