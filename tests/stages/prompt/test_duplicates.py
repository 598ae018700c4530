"""The same image under two names is found by its bytes, a similar one as a candidate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.prompt.audit import Other, Problem, Relation, Seen, audit
from stages.prompt.audit.duplicates import look_at
from stages.prompt.published.rows import PublishedFile, PublishedRow, Stated


def picture(path: Path, seed: int, change: int = 0) -> Path:
    """Write a smooth picture; with `change`, one that differs by so many gray levels."""
    coarse = np.random.default_rng(seed).integers(40, 200, (8, 8), np.uint8)
    pixels = np.asarray(Image.fromarray(coarse).resize((96, 64), Image.Resampling.BICUBIC))
    Image.fromarray(pixels + np.uint8(change)).save(path)
    return path


def published(path: Path, *names: str) -> PublishedFile:
    """Return a file that names images and says little of them."""
    rows = [
        PublishedRow(
            number, name, name, {"p1": (f"polyp {name}",)}, None, None, Stated({}), "", empty=False
        )
        for number, name in enumerate(names, start=1)
    ]
    return PublishedFile(path, "medvlsm", "", tuple(rows))


def seen(folder: Path, *seeds: tuple[int, int]) -> list[Seen]:
    """Return what is seen of one picture per seed and change."""
    found = []
    for number, (seed, change) in enumerate(seeds):
        looked, size = look_at(picture(folder / f"{seed}-{change}-{number}.png", seed, change))
        found.append(Seen(picture=looked, size=size))
    return found


def kinds(problems: tuple[Problem, ...]) -> list[tuple[str, str]]:
    """Return kind and sample of each problem."""
    return [(problem.kind, problem.sample) for problem in problems]


def test_a_name_twice_is_a_duplicate(tmp_path: Path) -> None:
    """Rows of the same image and mask are one problem that names the rows."""
    found = audit(published(tmp_path / "test.json", "a.png", "b.png", "a.jpg"))
    [problem] = found.problems
    assert (problem.kind, problem.sample, problem.published) == ("duplicate", "a.png", "rows 1, 3")


def test_equal_bytes_within_a_file(tmp_path: Path) -> None:
    """Two names of one image are a duplicate; a brighter copy is only a candidate."""
    file = published(tmp_path / "test.json", "a.png", "b.png", "c.png", "d.png")
    looks = seen(tmp_path, (1, 0), (2, 0), (1, 0), (1, 3))
    found = audit(file, seen=looks)
    assert kinds(found.problems) == [
        ("duplicate", "a.png"),
        ("duplicate-candidate", "a.png"),
        ("duplicate-candidate", "c.png"),
    ]
    assert found.problems[0].measured == "c.png: the same bytes"
    assert "of 64 bits" in found.problems[1].measured
    assert found.proven == 1


@pytest.mark.parametrize("relation", ["splits", "datasets"])
def test_equal_bytes_across_files(tmp_path: Path, relation: Relation) -> None:
    """An image of both files under two names is a cross-split sample; a similar one a candidate."""
    file = published(tmp_path / "train.json", "a.png", "b.png", "c.png")
    other = published(tmp_path / "test.json", "x.png", "y.png")
    against = Other(other, relation, seen(tmp_path, (2, 0), (3, 3)))
    found = audit(file, seen=seen(tmp_path, (1, 0), (2, 0), (3, 0)), other=against)
    assert [one for one in kinds(found.problems) if one[0] != "without-partner"] == [
        ("cross-split", "b.png"),
        ("cross-split-candidate", "c.png"),
    ]


def test_a_shared_name_is_told_once(tmp_path: Path) -> None:
    """Splits that share a name and its image report it by name, and only once."""
    file = published(tmp_path / "train.json", "a.png", "b.png")
    other = Other(published(tmp_path / "test.json", "a.png"), None, seen(tmp_path, (1, 0)))
    found = audit(file, seen=seen(tmp_path, (1, 0), (2, 0)), other=other)
    [problem] = found.problems
    assert (problem.kind, problem.attribute) == ("cross-split", "name")
    assert problem.measured == "row 1 of test.json"


def test_pictures_that_cannot_be_read(tmp_path: Path) -> None:
    """What is no image is an error of its own."""
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises((OSError, ValueError)):
        look_at(tmp_path / "a.png")
