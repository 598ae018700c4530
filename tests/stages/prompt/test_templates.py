"""Templates give the text as written, with words in their places."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError, ManifestError, UsageError
from pipeline.manifest import read_manifest
from stages.prompt.designs.english import plural_of, with_article
from stages.prompt.designs.templates import fill, parsed, placeholders
from stages.prompt.rule_sets import RULE_SETS
from stages.prompt.schema import RuleSet

SHIPPED = Path(__file__).parents[3] / "manifests" / "prompts"
WORDS = {"shape": "oval", "size": "small", "class": "polyp", "colour": ""}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("", ""),
        ("{shape} {class}", "oval polyp"),
        ("{Shape} {class}.", "Oval polyp."),
        ("{a shape} {class}", "an oval polyp"),
        ("{A size} {class}", "A small polyp"),
        ("[{colour} ]{class}", "polyp"),
        ("[{colour}] {class}", " polyp"),
        ("[{shape} ]{class}", "oval polyp"),
        ("{class}[ of [{colour} and ]{shape} form]", "polyp of oval form"),
        ("{class}[ of [{shape} and ]{colour} form]", "polyp"),
        ("{class}[, as it is]", "polyp, as it is"),
        ("  {class}\n", "  polyp\n"),
    ],
)
def test_filled_template(template: str, text: str) -> None:
    """Words fill their places, unknown parts go, and all else stays to the space."""
    assert fill(template, WORDS) == text


@pytest.mark.parametrize("template", ["{colour} {class}", "{number}", "[{size} {shape}]{number}"])
def test_unknown_word(template: str) -> None:
    """A word that a template cannot do without is named with the template."""
    with pytest.raises(DataError, match=r"template .*(colour|number)' is not known"):
        fill(template, WORDS)


@pytest.mark.parametrize("template", ["{shape", "shape}", "[x", "x]", "{}", "{a b c}", "{[shape]}"])
def test_malformed_template(template: str) -> None:
    """Brackets without counterpart and empty places are refused."""
    with pytest.raises(ValueError, match="template"):
        parsed(template)


@given(st.text(st.characters(exclude_characters="{}[]")), st.text(min_size=1))
def test_literal_text_stays(text: str, word: str) -> None:
    """Whatever is no place and no bracket comes out as it went in."""
    assert fill(text, {}) == text
    assert fill(f"{text}{{shape}}{text}", {"shape": word}) == text + word + text


def test_placeholders() -> None:
    """The names of places are told in order, whatever their form and depth."""
    assert placeholders("{A size}[ {Shape}[ {colour}]] {class}") == (
        *("size", "shape", "colour"),
        "class",
    )


@pytest.mark.parametrize(
    ("noun", "plural"),
    [
        ("polyp", "polyps"),
        ("left ventricular cavity", "left ventricular cavities"),
        ("Airspace Opacity", "Airspace Opacities"),
        ("Support Devices", "Support Devices"),
        ("nucleus", "nuclei"),
        ("nuclei", "nuclei"),
        ("lungs", "lungs"),
        ("metastasis", "metastases"),
        ("abscess", "abscesses"),
        ("pancreas", "pancreases"),
        ("", ""),
    ],
)
def test_plural(noun: str, plural: str) -> None:
    """Nouns get their plural, and plurals keep it."""
    assert plural_of(noun) == plural


def test_article() -> None:
    """The article is that of the spoken word."""
    assert [with_article(word) for word in ("oval", "round", "hour", "unit")] == [
        *("an oval", "a round"),
        *("an hour", "a unit"),
    ]


@pytest.mark.parametrize("name", RULE_SETS)
def test_shipped_rule_sets_are_valid(name: str) -> None:
    """Every shipped rule set can be read and bears the name of its file."""
    assert RULE_SETS[name].id == name


def test_unknown_rule_set() -> None:
    """A name that is not shipped is an error with the nearest one."""
    with pytest.raises(UsageError, match="did you mean 'poudel'"):
        RULE_SETS["poudell"]


def _declared(prompts: dict[str, Any], **more: Any) -> dict[str, Any]:
    shipped = tomllib.loads((SHIPPED / "poudel.toml").read_text())
    return shipped | {"families": {"photographic": {"prompts": prompts}}} | more


@pytest.mark.parametrize(
    ("declared", "fault"),
    [
        (_declared({"p1": "{klass}"}), "did you mean 'class'"),
        (_declared({"p1": ["{class}", "[{class}"]}), "no counterpart"),
        (_declared({"p1": "x"}, derived={"size": {"of": "shape", "words": {}}}), "name of its own"),
        (_declared({"p1": "x"}, derived={"y": {"of": "noun", "words": {}}}), "attribute to follow"),
        (
            _declared({}, families={"x": {"prompts": {"p1": "a"}, "absent": {"p2": "b"}}}),
            "the same prompts",
        ),
    ],
)
def test_faults_of_rule_sets(declared: dict[str, Any], fault: str) -> None:
    """Unknown attributes and unbalanced brackets are found when the file is read."""
    with pytest.raises(pydantic.ValidationError, match=fault):
        RuleSet.model_validate_json(pydantic.TypeAdapter(dict).dump_json(declared))


def test_faults_name_the_file(tmp_path: Path) -> None:
    """A faulty template is reported with the file."""
    file = tmp_path / "own.toml"
    file.write_text((SHIPPED / "poudel.toml").read_text().replace('"{class}"', '"{klass}"', 1))
    with pytest.raises(ManifestError, match=r"own\.toml.*klass"):
        read_manifest(file, RuleSet)
