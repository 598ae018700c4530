"""Evaluations that make no sense are refused with one clear line where they are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

ONE = ("--only", "medimeta-c/tiny/test/contrast/1")


@pytest.fixture
def at(tiny: Any, pipeline: Any) -> Any:
    """Return a function that builds and embeds the tiny dataset with some labels all the same."""

    def build(split: str) -> tuple[object, ...]:
        arrays = tiny.arrays()
        arrays[f"{split}_labels"][:] = 1
        tiny.write(arrays)
        found = ("--store", tiny.folder / "store", "--manifests", tiny.manifests)
        pipeline("build", "corruptions", *found, *ONE, "--from", tiny.data)
        pipeline("build", "datasets", *found, "--datasets", "tiny", "--from", tiny.data)
        pipeline("embed", *found, "--model", "texture")
        return found

    return build


def test_a_train_split_of_one_class_teaches_nothing(pipeline: Any, at: Any) -> None:
    """A protocol that was named is refused with exit code 2, one that was not is skipped."""
    found = at("train")
    reason = "the train split has no sample of class 'dark'"
    for protocol in ("linear-probe", "knn", "few-shot"):
        answer = pipeline("eval", *found, *ONE, "--protocols", protocol, rc=2)
        answer.refused(2, f"{protocol} of texture on medimeta-c/tiny/test", reason)
    answer = pipeline("eval", *found, *ONE, rc=4)
    assert f"linear-probe of texture on medimeta-c/tiny/test: {reason}" in answer.stderr


def test_a_test_split_of_one_class_measures_nothing(pipeline: Any, at: Any) -> None:
    """The dataset, the split and the class are named."""
    found = at("test")
    reason = "all samples of the test split are of one class, 'bright'"
    answer = pipeline("eval", *found, *ONE, rc=2)
    answer.refused(2, "medimeta-c/tiny/test", reason)


@pytest.mark.parametrize(
    ("named", "phrases"),
    [
        (("--protocols", "few-shoot"), ("unknown protocol", "'few-shot'")),
        (("--run", "medimeta-d"), ("unknown run", "'medimeta-c'")),
        (("--baseline", "textur"), ("unknown encoder", "'texture'")),
    ],
)
def test_unknown_names_suggest_the_nearest(
    pipeline: Any, read_only_tiny: Any, named: tuple[str, ...], phrases: tuple[str, ...]
) -> None:
    """Exit code 2 and what was probably meant."""
    store: Path = read_only_tiny.folder / "store"
    answer = pipeline(
        "eval", "--store", store, "--manifests", read_only_tiny.manifests, *named, rc=2
    )
    answer.refused(2, *phrases)
