"""Ranks, chance, galleries and captions against plain definitions."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError
from stages.evaluate.bootstrap import Resampling
from stages.evaluate.retrieval.captions import agreement, bleu, bleu_by_chance
from stages.evaluate.retrieval.gallery import galleries, probes
from stages.evaluate.retrieval.measures import Matching
from stages.evaluate.retrieval.ranks import (
    first_ranks,
    preferred,
    recall_by_chance,
    reciprocal_by_chance,
)
from stages.evaluate.schema import Bootstrap

SIMILARITIES = st.integers(0, 4)


@st.composite
def matrices(draw: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return similarities with many ties, and who owns what; each row owns one at least."""
    rows, columns = draw(st.integers(1, 5)), draw(st.integers(1, 6))
    values = draw(st.lists(SIMILARITIES, min_size=rows * columns, max_size=rows * columns))
    owned = draw(st.lists(st.booleans(), min_size=rows * columns, max_size=rows * columns))
    table = np.array(owned).reshape(rows, columns)
    table[np.arange(rows), draw(st.integers(0, columns - 1))] = True
    return np.array(values, float).reshape(rows, columns), table


@given(matrices())
def test_ranks_are_those_of_a_plain_loop(given_: tuple[np.ndarray, np.ndarray]) -> None:
    """The rank is one, and one for each nearer stranger, and half for each as near."""
    similarity, owned = given_
    for row, rank in enumerate(first_ranks(similarity, owned)):
        best = max(s for s, o in zip(similarity[row], owned[row], strict=True) if o)
        others = [s for s, o in zip(similarity[row], owned[row], strict=True) if not o]
        nearer = sum(s > best for s in others)
        assert rank == 1 + nearer + sum(s == best for s in others) / 2


@given(st.integers(1, 6), st.data(), st.integers(1, 8))
def test_chance_is_that_of_every_order(columns: int, data: Any, k: int) -> None:
    """Both expectations are the means over all orders of the columns."""
    owned = data.draw(st.integers(1, columns))
    first = [
        1 + min(order.index(column) for column in range(owned))
        for order in itertools.permutations(range(columns))
    ]
    counts = np.array([owned])
    assert recall_by_chance(columns, counts, k)[0] == pytest.approx(
        np.mean([rank <= k for rank in first])
    )
    assert reciprocal_by_chance(columns, counts)[0] == pytest.approx(
        np.mean([1 / rank for rank in first])
    )


def test_preference_counts_ties_half() -> None:
    """Nearer is one, equal a half, farther nothing."""
    assert preferred(np.array([2.0, 1.0, 0.0]), np.ones(3)).tolist() == [1.0, 0.5, 0.0]


def rows_of(*prompts: tuple[str, str, str, str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows of prompts: sample, design, text, size, and whatever else differs."""
    return [
        {
            "sample": sample, "target": "t", "prompt": design, "text": text, "size": size,
            "change": "", "changed": [], "chosen": True, **more,
        }
        for sample, design, text, size, more in prompts
    ]  # fmt: skip


SAMPLES = ("a", "b", "c")
ROWS = rows_of(
    ("a", "p0", "", "small", {}),
    ("a", "p6", "one small polyp on the left", "small", {}),
    ("a", "p6", "a small polyp on the left", "small", {"chosen": False}),
    ("a", "p6-size-opposite", "one large polyp on the left", "small",
     {"change": "falsified", "changed": ["size"]}),
    ("b", "p0", "", "large", {}),
    ("b", "p6", "one large polyp on the right", "large", {}),
    ("b", "missing_location", "one large polyp", "large",
     {"change": "removed", "changed": ["location"]}),
    ("b", "original", "a large polyp on the right", "large", {}),
    ("c", None, None, None, {"change": None}),
)  # fmt: skip


def test_galleries_hold_each_true_text_once() -> None:
    """Texts that are equal are one, with all their owners; changed ones are in none."""
    p0, p6, original = galleries(ROWS, SAMPLES, ["size"])
    assert (p0.texts, p0.owners.tolist()) == (("",), [[True], [True], [False]])
    assert len(p6.texts) == 3
    assert p6.described.tolist() == [0, 1]
    assert p6.values["size"] == (frozenset({"small"}), frozenset({"small"}), frozenset({"large"}))
    assert original.texts == ("a large polyp on the right",)


def test_probes_stand_beside_the_truth() -> None:
    """A changed text is compared with the chosen one of its own design, else the original."""
    size, location = probes(ROWS, SAMPLES)
    assert (size.attribute, size.true.tolist(), size.changed.tolist()) == ("size", [1], [3])
    assert (location.design, location.true.tolist()) == ("missing_location", [7])


def test_a_prompt_of_no_image_is_refused() -> None:
    """The sample is named."""
    with pytest.raises(DataError, match="'a'"):
        galleries(ROWS, ("b", "c"), [])


def test_bleu_is_sacrebleus() -> None:
    """With one or several references the score is that of sacrebleu's corpus_bleu."""
    _, p6, _ = galleries(ROWS, SAMPLES, [])
    assert bleu(p6, np.array([1, 2])) == pytest.approx(1)
    retrieved = np.array([2, 0])
    expected = sacrebleu.corpus_bleu(
        [p6.texts[2], p6.texts[0]], [[p6.texts[0], p6.texts[2]], [p6.texts[1], None]]
    )
    assert bleu(p6, retrieved) == pytest.approx(expected.score / 100)
    assert 0 < bleu_by_chance(p6, ["x"]) < 1
    assert bleu_by_chance(p6, ["x"]) == bleu_by_chance(p6, ["x"])


def test_attributes_agree() -> None:
    """A retrieved text agrees where what it tells is true of the image."""
    _, p6, _ = galleries(ROWS, SAMPLES, ["size"])
    assert agreement(p6, "size").tolist() == [[1, 1, 0], [0, 0, 1]]


def matched(images: np.ndarray, texts: np.ndarray) -> dict[tuple[str, str], Any]:
    """Return every measure of the rows above by design and metric."""
    settings = Bootstrap(resamples=50)
    resampling = Resampling.draw("d", "test", SAMPLES, None, settings)
    matching = Matching(images, texts, resampling)
    found = matching.measures(galleries(ROWS, SAMPLES, ["size"]), probes(ROWS, SAMPLES), ["e", "d"])
    return {(one.design, one.metric): one for one in found}


def test_a_perfect_encoder_finds_everything() -> None:
    """Where each text lies on its own image, everything is found and preferred."""
    by_sample = {"a": [1.0, 0, 0], "b": [0, 1.0, 0], "c": [0, 0, 1.0]}
    texts = np.array([by_sample[row["sample"]] for row in ROWS])
    texts[[3, 6]] = [0.5, 0.5, 0.5]
    found = matched(3 * np.array(list(by_sample.values())), texts)
    for metric in ("recall@1", "image_recall@1", "mean_reciprocal_rank", "bleu"):
        assert found["p6", metric].value == pytest.approx(1)
    assert found["p6", "attribute_accuracy"].value == 1
    assert found["p6-size-opposite", "preference"].value == 1
    assert found["p6", "recall@1"].chance == pytest.approx((2 / 3 + 1 / 3) / 2)
    assert found["p6", "similarity"].value == pytest.approx(1)
    assert ("p0", "recall@1") not in found


def test_an_image_that_failed_is_left_out() -> None:
    """An image without an embedding counts nowhere."""
    rng = np.random.default_rng(0)
    images, texts = rng.normal(size=(3, 4)), rng.normal(size=(len(ROWS), 4))
    images[0] = np.nan
    found = matched(images, texts)
    assert found["p6", "similarity"].n == 1
    assert ("p6-size-opposite", "preference") not in found
    assert all(np.isfinite(one.value) for one in found.values())
