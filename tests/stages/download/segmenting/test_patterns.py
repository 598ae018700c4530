"""Patterns of paths with named pieces."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UsageError
from stages.download.segmenting.patterns import Pattern, without_litter


@pytest.mark.parametrize(
    ("pattern", "path", "names"),
    [
        ("images/{stem}.jpg", "images/a b (1).jpg", {"stem": "a b (1)"}),
        ("images/{stem}.jpg", "images/a.JPG", {"stem": "a"}),
        ("images/{stem}.jpg", "images/a.jpeg", None),
        ("images/{stem}.jpg", "images/sub/a.jpg", None),
        ("images/{stem}.jpg", "Images/a.jpg", None),
        ("images/{stem}.*", "images/a.b.TIFF", {"stem": "a.b"}),
        ("images/{stem}.*", "images/notes.txt", None),
        ("**/{stem}.png", "a.png", {"stem": "a"}),
        ("**/{stem}.png", "x/y/a.png", {"stem": "a"}),
        ("{**stem}.png", "x/y/a.png", {"stem": "x/y/a"}),
        ("*_{number}.png", "any_thing_7.png", {"number": "7"}),
        ("{kind}/{kind} ({n}).png", "benign/benign (3).png", {"kind": "benign", "n": "3"}),
        ("{kind}/{kind} ({n}).png", "benign/normal (3).png", None),
        (
            "{patient}/{patient}_{view}_{cycle}.nii.gz",
            "p1/p1_2CH_ED.nii.GZ",
            {"patient": "p1", "view": "2CH", "cycle": "ED"},
        ),
        ("{a}_{b}.png", "x_y_z.png", {"a": "x", "b": "y_z"}),
        ("{name}", "no suffix", {"name": "no suffix"}),
    ],
)
def test_names_match_pieces_of_a_path(
    pattern: str, path: str, names: dict[str, str] | None
) -> None:
    """Within one part, as short as possible from the left; the suffix in any case of letters."""
    assert Pattern(pattern).match(path) == names


@pytest.mark.parametrize(
    "pattern", ["{", "a}", "{}", "{A b}", "/images/{stem}", "../{stem}", "a\\b"]
)
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    """An open or empty brace, and a path that is not below its root."""
    with pytest.raises(UsageError, match="the pattern"):
        Pattern(pattern)


def test_names_are_composed() -> None:
    """The same name written in Unicode's two forms is one name."""
    loose, tight = (unicodedata.normalize(form, "Läsion é.png") for form in ("NFD", "NFC"))
    assert loose != tight
    assert Pattern("{stem}.png").match(loose) == Pattern("{stem}.png").match(tight)
    assert Pattern(loose).match(tight) == {}


@given(st.text(st.characters(exclude_characters="/\x00", exclude_categories=["Cs"]), min_size=1))
def test_any_name_comes_back(name: str) -> None:
    """A name that a pattern finds fills the pattern to the composed path."""
    composed = unicodedata.normalize("NFC", name)
    pattern = Pattern("images/{stem}_mask.png")
    found = pattern.match(f"images/{name}_mask.png")
    assert found == {"stem": composed}
    assert pattern.fill(found) == f"images/{composed}_mask.png"


def test_litter_is_ignored() -> None:
    """Hidden files and what systems and archivers leave are not files of a dataset."""
    litter = ["__MACOSX/a.png", "x/.DS_Store", ".hidden/a.png", "x/Thumbs.db", "desktop.ini"]
    assert without_litter([*litter, "x/a.png"]) == ["x/a.png"]
