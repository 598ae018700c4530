"""The prompts of a family: all variants in order, one of them chosen by the sample's stream."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest

from pipeline.errors import DataError, UsageError
from pipeline.stream import Stream
from stages.prompt.attributes import Prompt
from stages.prompt.designs.families import family_prompts
from stages.prompt.rule_sets import RULE_SETS
from tests.stages.prompt.hand_written import DESCRIPTIONS, attributes

RULES = RULE_SETS["poudel"]
STREAM = Stream.of("test", "families")


def texts(prompts: tuple[Prompt, ...], design: str) -> list[str]:
    """Return the variants of one prompt."""
    return [prompt.text for prompt in prompts if prompt.design == design]


def test_photographic() -> None:
    """P0 to P9 are those of the released files, with a variant for each description."""
    prompts = family_prompts(RULES, "photographic", attributes(), STREAM)
    small = "one small pink round polyp"
    described = [f" which is {description}" for description in DESCRIPTIONS]
    place = " located in top left of the image"
    assert {p.design: texts(prompts, p.design) for p in prompts} == {
        "p0": [""],
        "p1": ["polyp"],
        "p2": ["round polyp"],
        "p3": ["pink round polyp"],
        "p4": ["small pink round polyp"],
        "p5": [small],
        "p6": [f"{small},{place}"],
        "p7": [f"polyp{one}" for one in described],
        "p8": [f"{small}{one}" for one in described],
        "p9": [f"{small}{one}{place}" for one in described],
    }


def test_photographic_has_no_plural() -> None:
    """The noun stays in the singular whatever the number, as published."""
    prompts = family_prompts(RULES, "photographic", attributes(2, number="two"), STREAM)
    assert texts(prompts, "p5") == ["two small pink round polyp"]


def test_without_size_word_the_white_space_stays() -> None:
    """An empty size leaves the space that joined it, as the published scripts do."""
    prompts = family_prompts(RULES, "photographic", attributes(size=""), STREAM)
    assert texts(prompts, "p4") == [" pink round polyp"]
    assert texts(prompts, "p5") == ["one  pink round polyp"]


def test_gray_images_have_no_colour() -> None:
    """Without a colour no gap is left."""
    prompts = family_prompts(RULES, "photographic", attributes(colour=""), STREAM)
    assert texts(prompts, "p3") == ["round polyp"]
    assert texts(prompts, "p5") == ["one small round polyp"]


def test_without_descriptions() -> None:
    """P7 to P9 say what is left of them, so that every sample has the same prompts."""
    bare = dataclasses.replace(attributes(), descriptions=())
    prompts = family_prompts(RULES, "photographic", bare, STREAM)
    assert [p.design for p in prompts] == [f"p{number}" for number in range(10)]
    assert texts(prompts, "p7") == ["polyp"]
    assert texts(prompts, "p9") == ["one small pink round polyp located in top left of the image"]


@pytest.mark.parametrize(
    ("family", "text"),
    [
        ("photographic", "no polyp"),
        ("breast-ultrasound", "No polyp in the breast ultrasound image."),
        ("chest-xray", "No polyp in a chest Xray."),
        ("echocardiography", "No polyp in the cardiac ultrasound."),
    ],
)
def test_absent_target(family: str, text: str) -> None:
    """No prompt of an image without the target says that there is one."""
    prompts = family_prompts(RULES, family, attributes(0, number="no"), STREAM)
    assert texts(prompts, "p0") == [""]
    assert texts(prompts, "p1") == [text]
    assert all(p.text.lower().startswith("no ") for p in prompts if p.design != "p0")
    assert {p.design for p in prompts} == RULES.families[family].prompts.keys()


def test_breast_ultrasound() -> None:
    """One tumor and several, by type and by regularity."""
    one = attributes(**{"class": "tumor"})
    prompts = family_prompts(RULES, "breast-ultrasound", one, STREAM)
    end = "in the breast ultrasound image."
    assert texts(prompts, "p1") == [f"Tumor {end}"]
    assert texts(prompts, "p2") == [f"Benign tumor {end}", f"Regular-shaped tumor {end}"]
    assert texts(prompts, "p6") == [
        f"One small round-shaped benign tumor at the top left {end}",
        f"One small round-shaped regular tumor at the top left {end}",
    ]
    three = attributes(3, number="three", tumor_type="malignant", **{"class": "tumor"})
    three = dataclasses.replace(three, plural="tumors")
    prompts = family_prompts(RULES, "breast-ultrasound", three, STREAM)
    assert texts(prompts, "p2") == [f"Malignant tumor {end}", f"Irregular-shaped tumor {end}"]
    assert texts(prompts, "p3") == [
        f"Three malignant tumors {end}",
        f"Three irregular-shaped tumors {end}",
    ]


def test_equal_variants_are_one() -> None:
    """Without a tumor type both templates say the same, once, and begin with a capital."""
    prompts = family_prompts(RULES, "breast-ultrasound", attributes(tumor_type=""), STREAM)
    assert texts(prompts, "p2") == ["Polyp in the breast ultrasound image."]
    assert texts(prompts, "p3") == ["One polyp in the breast ultrasound image."]


def test_chest_xray() -> None:
    """View, shape, place and findings are added in turn; P6 ends with the published space."""
    prompts = family_prompts(RULES, "chest-xray", attributes(**{"class": "Edema"}), STREAM)
    assert [p.text for p in prompts] == [
        "",
        "Edema in a chest Xray.",
        "Edema in the frontal view of a Chest Xray.",
        "Edema of shape round in the frontal view of a Chest Xray.",
        "Edema of shape round, and located in top left of the frontal view of a Chest Xray.",
        "Edema of shape round, and located in top left of the frontal view of a Chest Xray. "
        "Edema, Support Devices are present.",
        "Edema in a Chest Xray. Edema, Support Devices are present. ",
    ]


def test_echocardiography() -> None:
    """View, cycle, patient and quality are added in turn, with "a" before every age."""
    heart = attributes(**{"class": "myocardium"}, view="two-chamber")
    prompts = family_prompts(RULES, "echocardiography", heart, STREAM)
    assert texts(prompts, "p7") == [
        f"Myocardium of round shape in two-chamber view {where} at end of the diastole cycle of "
        "a eighty-one-year-old female with poor image quality."
        for where in ("of the heart", "in the cardiac ultrasound")
    ]
    unknown = attributes(age="", quality="", cycle="", view="", **{"class": "myocardium"})
    prompts = family_prompts(RULES, "echocardiography", unknown, STREAM)
    assert texts(prompts, "p6")[0] == "Myocardium of the heart of a female."


def test_choice_is_the_samples_own() -> None:
    """Exactly one variant of each prompt is chosen, always the same, and each at its turn."""
    chosen: Counter[int] = Counter()
    for number in range(200):
        stream = Stream.of("test", number)
        prompts = family_prompts(RULES, "photographic", attributes(), stream)
        assert prompts == family_prompts(RULES, "photographic", attributes(), stream)
        per_design = Counter(p.design for p in prompts if p.chosen)
        assert per_design == {p.design: 1 for p in prompts}
        chosen.update(p.variant for p in prompts if p.chosen and p.design == "p9")
    assert min(chosen[0], chosen[1]) > 60


def test_unknown_family() -> None:
    """A family that the rule set lacks is an error with the nearest one."""
    with pytest.raises(UsageError, match="did you mean 'chest-xray'"):
        family_prompts(RULES, "chest-ray", attributes(), STREAM)


def test_missing_attribute() -> None:
    """A prompt that needs what is not known is an error, never a sentence with a hole."""
    with pytest.raises(DataError, match="location"):
        family_prompts(RULES, "photographic", attributes(location=""), STREAM)
