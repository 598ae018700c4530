"""What a rule set declares: manifests/prompts/*.toml."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import pairwise
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from pipeline.manifest import Declared, nearest
from stages.prompt.attributes import KEYS

Text = Annotated[str, Field(pattern=r"\S")]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


def _well_formed(template: str) -> str:
    from stages.prompt.designs.templates import parsed  # its package imports this module

    parsed(template)
    return template


def _range(highest: float) -> AfterValidator:
    def in_order(bounds: tuple[float, float]) -> tuple[float, float]:
        if not 0.0 <= bounds[0] <= bounds[1] <= highest:
            message = f"needs a lower and an upper bound within 0 and {highest:g}"
            raise ValueError(message)
        return bounds

    return AfterValidator(in_order)


Unit: TypeAlias = Annotated[tuple[float, float], _range(1.0)]
"""Lower and upper bound of a measure from 0 to 1; both belong to the range."""
TemplateText = Annotated[str, AfterValidator(_well_formed)]
Template: TypeAlias = TemplateText | Annotated[tuple[TemplateText, ...], Field(min_length=1)]
"""One template, or several of which one is chosen by the sample's own random stream.

`{shape}` stands for an attribute; `{Shape}` for the same with a capital; `{a size}` and `{A size}`
put its article before it. `[...]` is left out where an attribute directly inside is unknown; such
parts may nest. Beside the attributes, `{report}` is the image's report and `{noun}` the class, in
the plural where the number is above one, and a rule set may derive further words. `{description}`
makes a variant for each general description of the class."""
NOUN = "noun"
FACTS = ("share", "border", "outline", "holes", "contrast")
"""Further placeholders of designs: what else is true of the measured record."""
DESIGNS = (
    "original",
    "underdescriptive",
    "overdescriptive",
    "contradictory",
    "missing_location",
)
"""MedCLIPSeg's five prompt designs (Koleilat et al., Table S3)."""
PLACES = (
    *("top_left", "top", "top_right"),
    *("left", "center", "right"),
    *("bottom_left", "bottom", "bottom_right"),
)
"""Names of the grid cells, row by row."""
_REUSE = "= "


class SizeWord(Declared):
    """A word for sizes up to a share of the image."""

    word: Text
    up_to: Share
    """Largest share of the image; 1 for the last word, which every larger share gets."""
    inclusive: bool = False
    """Whether a share of exactly `up_to` still gets this word."""


class ShapeRule(Declared):
    """A word for regions whose measures lie within bounds; the first rule that fits is taken."""

    word: Text
    eccentricity: Unit = (0.0, 1.0)
    solidity: Unit = (0.0, 1.0)
    circularity: Annotated[tuple[float, float], _range(2.0)] = (0.0, 2.0)
    extent: Unit = (0.0, 1.0)
    """Share of its bounding box that a region fills: 1 for an upright rectangle, 0.785 for a disc;
    the same after mirroring, 90 degree turns and integer upscaling."""
    holes: tuple[int, int] | None = None
    """Fewest and most holes; None: any."""


class DerivedWord(Declared):
    """A word that follows from that of an attribute."""

    of: str
    """The attribute."""
    words: dict[str, Text]
    """Its words to the derived ones."""
    otherwise: str = ""
    """For any other word of the attribute, which `{}` stands for; empty: there is none."""

    def word(self, word: str) -> str:
        """Return the word that follows from `word`; nothing follows from nothing."""
        if not word:
            return ""
        return self.words.get(word) or self.otherwise.replace("{}", word)


class Spread(Declared):
    """When a target is said to be all over the image, or in a part of it."""

    cells: Annotated[int, Field(ge=1, le=9)] = 7
    """Grid cells that one region must reach to be throughout the image ..."""
    cell_share: Share = 0.05
    """... each with at least this share of its pixels ..."""
    solidity: Share = 0.5
    """... at a solidity below this: a compact region is where its centroid is ..."""
    area: Share = 0.75
    """... unless it covers this share of the image, and so is throughout it too."""
    majority: Annotated[float, Field(gt=0.5, le=1.0)] = 0.75
    """Share of many objects that must lie in a half, or in the central cell, to be mostly there;
    otherwise the cells are listed that they are in, or they are throughout the image."""


class Family(Declared):
    """The prompts of one kind of dataset."""

    capitalised: bool = False
    """Whether every prompt begins with a capital."""

    prompts: dict[str, Template]
    """`p0`, `p1`, ... to their templates."""
    absent: dict[str, Template] = Field(default_factory=dict)
    """The same prompts for an image without the target; left out: `prompts` is used."""
    designs: dict[str, Template] = Field(default_factory=dict)
    """MedCLIPSeg's designs, all of `DESIGNS` or none. `= p6` stands for the templates of that
    prompt and `= original` for those of the original; others may use `FACTS` too."""
    absent_designs: dict[str, Template] = Field(default_factory=dict)
    """The same for an image without the target, where `= p6` is that of `absent`."""
    swaps_of: str = ""
    """The prompt of which attributes are swapped for other words; empty: no swaps."""

    @model_validator(mode="after")
    def _absent_is_complete(self) -> Self:
        if self.absent and self.absent.keys() != self.prompts.keys():
            message = f"absent needs the same prompts as prompts: {', '.join(self.prompts)}"
            raise ValueError(message)
        if self.swaps_of and self.swaps_of not in self.prompts:
            message = f"swaps_of: no prompt {self.swaps_of!r}{nearest(self.swaps_of, self.prompts)}"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _designs_are_complete(self) -> Self:
        for field in ("designs", "absent_designs"):
            declared: dict[str, Template] = getattr(self, field)
            if set(declared) != (set(DESIGNS) if self.designs else set()):
                message = f"{field} needs all of: {', '.join(DESIGNS)}; or leave both tables out"
                raise ValueError(message)
            for name, template in declared.items():
                known = {*self.prompts} if name == DESIGNS[0] else {*self.prompts, DESIGNS[0]}
                reused = reused_prompt(template)
                if reused and reused not in known:
                    message = f"{field}.{name}: no prompt {reused!r}{nearest(reused, known)}"
                    raise ValueError(message)
        return self

    def templates(self) -> Iterator[tuple[str, str]]:
        """Yield every template with the name of its prompt."""
        return _listed(self.prompts, self.absent)

    def design_templates(self) -> Iterator[tuple[str, str]]:
        """Yield every template of the designs' own with the name of its design."""
        return _listed(self.designs, self.absent_designs)


def reused_prompt(template: Template) -> str:
    """Return the name of the prompt that a design's template stands for: `= p6`; else nothing."""
    if isinstance(template, str) and template.startswith(_REUSE):
        return template.removeprefix(_REUSE).strip()
    return ""


def _listed(*tables: dict[str, Template]) -> Iterator[tuple[str, str]]:
    for prompts in tables:
        for name, templates in prompts.items():
            for template in (templates,) if isinstance(templates, str) else templates:
                yield name, template


class RuleSet(Declared):
    """A file in `manifests/prompts/`: how numbers become words, and words become prompts."""

    schema_version: Literal[1] = Field(alias="schema")
    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    version: PositiveInt
    """Raised by hand whenever a word or template changes."""
    title: Text
    source: Text
    """Where the rules were published, or that they are ours."""
    algorithm: Literal["poudel", "tganet", "regions"]
    """Which code turns a record into words: the published scripts' (with their quirks), or
    `regions`, which is steered by the fields below."""
    minimum_area: Share = 0.0
    """Regions below this share of the image are left out before number, size and location;
    instances never are. By `poudel`, regions up to this share get no size word, and nothing else
    changes."""
    sizes: tuple[SizeWord, ...] = ()
    shapes: tuple[ShapeRule, ...] = ()
    places: dict[str, Text] = Field(default_factory=dict)
    """Word of each grid cell: `top_left`, `top`, ... `bottom_right`."""
    listed_up_to: PositiveInt = 5
    """Most objects whose places are listed; above, distribution words are used."""
    spread: Spread = Spread()
    number_words: Literal["count", "single-or-multiple"] = "count"
    """How the number is told: exactly, or only whether it is one."""
    colour_words: Literal["named", "brightness"] = "named"
    """Whether the colour of an RGB image is a name, or, as in gray ones, only whether the target is
    brighter or darker than its surroundings."""
    contrast_from: Annotated[float, Field(gt=0.0, le=255.0)] = 10.0
    """Gray levels between a target and its surroundings from which it is brighter or darker."""
    shape_from: PositiveInt = 20
    """Fewest pixels of a region that gets a shape word; the measures of fewer mean nothing."""
    families: dict[str, Family]
    """`photographic`, `breast-ultrasound`, `chest-xray`, `chest-xray-report`, ... by name."""
    descriptions: dict[str, tuple[Text, ...]] = Field(default_factory=dict)
    """General descriptions (attribute a7) by class keyword."""
    derived: dict[str, DerivedWord] = Field(default_factory=dict)
    """Further placeholders of templates by name."""

    @model_validator(mode="after")
    def _regions_are_worded(self) -> Self:
        if self.algorithm != "regions":
            return self
        if set(self.places) != set(PLACES):
            message = f"places needs a word for each of: {', '.join(PLACES)}"
            raise ValueError(message)
        if self.shapes and self.shapes[-1] != ShapeRule(word=self.shapes[-1].word):
            raise ValueError("shapes: the last rule needs to fit every region: no bounds")
        return self

    @model_validator(mode="after")
    def _sizes_grow(self) -> Self:
        ends = [size.up_to for size in self.sizes]
        if ends and (ends[-1] != 1.0 or any(a >= b for a, b in pairwise(ends))):
            raise ValueError("sizes: up_to needs to grow from word to word, up to 1.0")
        return self

    @model_validator(mode="after")
    def _known_placeholders(self) -> Self:
        for name, derived in self.derived.items():
            if name in {*KEYS, *FACTS, NOUN} or derived.of not in KEYS:
                message = f"derived.{name}: needs a name of its own and an attribute to follow"
                raise ValueError(message)
        known = {*KEYS, NOUN, *self.derived}
        for family, declared in self.families.items():
            _check_placeholders(family, declared.templates(), known)
            _check_placeholders(family, declared.design_templates(), {*known, *FACTS})
        return self


def _check_placeholders(
    family: str, templates: Iterable[tuple[str, str]], known: Collection[str]
) -> None:
    from stages.prompt.designs.templates import placeholders

    for prompt, template in templates:
        for name in placeholders(template):
            if name not in known:
                where = f"families.{family}, {prompt}, {template!r}"
                message = f"{where}: unknown attribute {name!r}{nearest(name, known)}"
                raise ValueError(message)
