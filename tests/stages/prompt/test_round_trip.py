"""Published prompts, parsed and written again, are the same to the letter."""

from __future__ import annotations

import json
import os
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.stream import Stream
from stages.prompt.attributes import Attributes
from stages.prompt.designs.families import family_prompts
from stages.prompt.published.parse import parse_prompts, parse_text
from stages.prompt.rule_sets import RULE_SETS
from stages.prompt.wording.told import number_word
from tests.stages.prompt.hand_written import attributes

DATA = Path(os.environ.get("MEDSHARDS_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))
RULES = RULE_SETS["poudel"]
PUBLISHED = {
    "kvasir_polyp": ("photographic", 100),
    "isic": ("photographic", 379),
    "busi": ("breast-ultrasound", 78),
    "chexlocalize": ("chest-xray", 452),
    "camus": ("echocardiography", 600),
}
WORDS = st.sampled_from(["round", "circle", "it is a round shape", "middle of ear", "a nail"])
PLACES = st.sampled_from(["top left", "top", "left", "center", "right", "bottom right"])


def published(dataset: str) -> list[dict[str, Any]]:
    """Return the records of a released file, or skip."""
    file = DATA / "prompts" / "medvlsm" / dataset / "test.json"
    if not file.exists():
        pytest.skip(f"the released prompts are not at {file}; set MEDSHARDS_TEST_DATA")
    records: list[dict[str, Any]] = json.loads(file.read_text())
    return records


def rendered(family: str, words: Attributes) -> dict[str, list[str]]:
    """Return every prompt of `family` with its variants."""
    texts: dict[str, list[str]] = {}
    for prompt in family_prompts(RULES, family, words, Stream.of(0)):
        texts.setdefault(prompt.design, []).append(prompt.text)
    return texts


@pytest.mark.parametrize("dataset", PUBLISHED)
def test_every_published_record(dataset: str) -> None:
    """All prompts of all records come back as published, in all variants and their order."""
    family, count = PUBLISHED[dataset]
    records = published(dataset)
    assert len(records) == count
    for record in records:
        words = parse_prompts(record["prompts"], family)
        as_lists = {k: [v] if isinstance(v, str) else v for k, v in record["prompts"].items()}
        assert rendered(family, words) == as_lists, record["mask_name"]
        assert set(words.origins.values()) <= {"published"}


@pytest.mark.parametrize("dataset", PUBLISHED)
def test_every_published_sentence(dataset: str) -> None:
    """A sentence on its own says nothing else than the record's prompts together."""
    for record in published(dataset):
        together = parse_prompts(record["prompts"], PUBLISHED[dataset][0])
        for found in record["prompts"].values():
            for text in [found] if isinstance(found, str) else found:
                alone = parse_text(text)
                assert alone.items() <= together.values.items(), text
                assert alone or not text


@st.composite
def photographic(draw: st.DrawFn) -> Attributes:
    """Return attributes as the rules make them for photographs."""
    count = draw(st.integers(1, 40))
    places = draw(st.lists(PLACES, min_size=count, max_size=count))
    return attributes(
        count,
        number=number_word(count),
        location=", ".join(places),
        shape=draw(WORDS),
        size=draw(st.sampled_from(["", "tiny", "small, medium", "large"])),
        colour=draw(st.sampled_from(["pink", "light brown", ""])),
        **dict.fromkeys(
            ["view", "pathology", "cycle", "gender", "age", "quality", "tumor_type"], ""
        ),
    )


@given(photographic())
def test_any_photographic_record(words: Attributes) -> None:
    """Whatever the words, parsing undoes writing: free answers, no size word, many places."""
    texts = rendered("photographic", words)
    parsed = parse_prompts(texts, "photographic")
    assert parsed.values == words.values
    assert parsed.count == words.count
    assert parsed.descriptions == words.descriptions


@pytest.mark.parametrize("family", [name for name, own in RULES.families.items() if own.absent])
def test_absent_target(family: str) -> None:
    """Prompts that deny the target give the class and the number "no"."""
    texts = rendered(family, attributes(0, number="no", view="", pathology=""))
    parsed = parse_prompts(texts, family)
    assert (parsed.count, parsed.values) == (0, {"class": "polyp", "number": "no"})


def test_outer_white_space_is_not_compared() -> None:
    """Texts that were stripped on the way are read all the same."""
    texts = rendered("photographic", attributes(size=""))
    stripped = {name: [" ".join(one.split()) for one in found] for name, found in texts.items()}
    assert parse_prompts(stripped, "photographic").values["shape"] == "round"
    assert "size" not in parse_prompts(stripped, "photographic").values


def test_one_prompt_alone() -> None:
    """A single prompt with all attributes is understood by the looks of their words."""
    text = "two small, medium pink it is round skin melanoma, located in top, left of the image"
    parsed = parse_prompts({"p6": text}, "photographic")
    assert parsed.values == {
        "number": "two",
        "size": "small, medium",
        "colour": "pink",
        "shape": "it is round",
        "class": "skin melanoma",
        "location": "top, left",
    }
    assert parsed.count == 2


@pytest.mark.parametrize(
    ("prompts", "fault"),
    [
        ({"p1": "polyp", "p2": "round nodule"}, "p2: 'round nodule' does not follow"),
        ({"p1": "polyp", "p2": "round polyp", "p3": "round polyp, pink"}, "p3"),
        ({"p1": "polyp", "p7": ["polyp which is a growth", "polyp that is flat"]}, "p7"),
    ],
)
def test_other_texts_are_refused(prompts: dict[str, str | list[str]], fault: str) -> None:
    """A text that its template cannot make is an error that names the prompt."""
    with pytest.raises(DataError, match=fault):
        parse_prompts(prompts, "photographic")


MEDCLIPSEG = {
    "one small white a circle polyp, located in   of the image": {
        "number": "one",
        "size": "small",
        "colour": "white",
        "shape": "a circle",
        "class": "polyp",
    },
    "two large yellow round polyp, located in  ,  of the image": {
        "number": "two",
        "size": "large",
        "colour": "yellow",
        "shape": "round",
        "class": "polyp",
    },
    "An endoscopic image reveals a clearly visible small, white, irregular polyp located in the "
    "top region of the colon, surrounded by minor mucosal irregularities and vascular patterns.": {
        "size": "small",
        "colour": "white",
        "shape": "irregular",
        "class": "polyp",
        "location": "top",
    },
    "Red flat polyp detected in the top right, but colon mucosa appears completely normal and "
    "healthy.": {"colour": "red", "shape": "flat", "class": "polyp", "location": "top right"},
    "Polyp visible.": {"class": "polyp"},
    "Breast appears normal, yet one large kidney-shaped malignant tumor is seen at the top.": {
        "number": "one",
        "size": "large",
        "shape": "kidney",
        "tumor_type": "malignant",
        "class": "tumor",
        "location": "top",
    },
    "One large irregular benign tumor in the breast ultrasound image.": {
        "number": "one",
        "size": "large",
        "shape": "irregular",
        "tumor_type": "benign",
        "class": "tumor",
    },
    "Two medium circle-shaped regular tumors at the center, center in the breast ultrasound "
    "image.\n": {
        "number": "two",
        "size": "medium",
        "shape": "circle",
        "tumor_type": "benign",
        "class": "tumor",
        "location": "center, center",
    },
    "No tumor visible in the breast ultrasound image.": {"class": "tumor", "number": "no"},
    "Normal breast.": {"number": "no"},
    "Breast appears normal with no tumor, although one lesion seems visible.": {"class": "tumor"},
}


@pytest.mark.parametrize("text", MEDCLIPSEG)
def test_sentences_of_medclipseg(text: str) -> None:
    """The five designs of the released workbooks are understood."""
    assert parse_text(text) == MEDCLIPSEG[text]


def test_every_workbook_sentence() -> None:
    """No caption of the released workbooks is left without an attribute."""
    openpyxl = pytest.importorskip("openpyxl")
    files = sorted((DATA / "prompts" / "medclipseg").glob("*/*.xlsx"))
    if not files:
        pytest.skip("the released workbooks are not in MEDSHARDS_TEST_DATA")
    for file in files:
        with closing(openpyxl.load_workbook(file, read_only=True)) as book:
            rows = book.worksheets[0].iter_rows(min_row=2, values_only=True)
            captions = [row[1] for row in rows]
        assert captions
        assert [text for text in captions if not parse_text(text)] == []


@pytest.mark.parametrize(
    "text",
    ["", "hello", "Bilateral pulmonary infection, two infected areas.", "pink round nucleus"],
)
def test_other_sentences_say_nothing(text: str) -> None:
    """A sentence of another grammar gives no words instead of wrong ones."""
    assert parse_text(text) == {}


def test_further_class_keywords() -> None:
    """Phrases about classes that are not published are understood when the class is given."""
    expected = {"class": "nucleus", "shape": "round", "colour": "pink"}
    assert parse_text("pink round nucleus", ("nucleus",)) == expected
