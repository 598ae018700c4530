"""What every protocol does, as tests to inherit, and what it is fitted on."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import numpy as np
import pytest

from pipeline.errors import DataError
from stages.evaluate.protocols import PROTOCOLS
from stages.evaluate.protocols.contract import ClassTexts, FitInputs, Train, predicted_classes

CLASSES = ("drusen", "edema", "normal")
D = 8


def inputs(classes: tuple[str, ...] = CLASSES, **changes: Any) -> FitInputs:
    """Return separable train embeddings and texts, three rows or more per class."""
    rng = np.random.default_rng(0)
    centres = 3 * np.eye(len(classes), D)
    ids = np.arange(30) % len(classes)
    train = Train(1 + centres[ids] + rng.normal(size=(30, D)), ids)
    texts = ClassTexts(centres[ids] + rng.normal(size=(30, D)) / 10, ids, 20.0)
    return dataclasses.replace(FitInputs(classes, train, texts), **changes)


def train_of(given: FitInputs) -> Train:
    """Return the train split, which is always there."""
    assert given.train is not None
    return given.train


class ProtocolContract:
    """What holds for every protocol."""

    name: ClassVar[str]

    @property
    def protocol(self) -> Any:
        """The protocol under test, from the table."""
        return PROTOCOLS[self.name]

    def changed(self, **changes: Any) -> FitInputs:
        """Return inputs with a change to the part this protocol needs."""
        part = "train" if "train" in self.protocol.needs else "texts"
        if part == "texts" and "labels" in changes:
            changes["class_ids"] = changes.pop("labels")
        return inputs(**{part: dataclasses.replace(getattr(inputs(), part), **changes)})

    def test_it_is_known_by_its_name(self) -> None:
        """The table and the protocol agree on the name, and it states what it needs."""
        assert self.protocol.name == self.name
        assert self.protocol.needs <= {"train", "validation", "texts"}
        assert self.protocol.needs
        assert isinstance(dataclasses.asdict(self.protocol), dict)

    @pytest.mark.parametrize("classes", [CLASSES, ("benign", "malignant")])
    def test_scores_are_probabilities(self, classes: tuple[str, ...]) -> None:
        """Scores are float64 (n, K), in [0, 1], rows summing to 1, and mostly right here."""
        given = inputs(classes)
        model = self.protocol.fit(given)
        scores = self.protocol.scores(model, train_of(given).embeddings - 1)
        assert scores.dtype == np.float64
        assert scores.shape == (30, len(classes))
        assert ((scores >= 0) & (scores <= 1)).all()
        assert scores.sum(axis=1) == pytest.approx(np.ones(30))
        assert (predicted_classes(scores) == train_of(given).labels).mean() > 0.6

    def test_the_same_inputs_give_the_same_bits(self) -> None:
        """Fitting and scoring draw nothing at random."""
        rows = np.random.default_rng(1).normal(size=(5, D))
        first, second = (self.protocol.scores(self.protocol.fit(inputs()), rows) for _ in "ab")
        assert np.array_equal(first, second)

    def test_the_bits_do_not_depend_on_the_number_of_workers(self) -> None:
        """Models fitted by several threads at once score like one fitted alone."""
        rng = np.random.default_rng(2)
        ids = np.arange(1500) % 3
        rows = rng.normal(size=(1500, 200)) + 0.2 * ids[:, None]
        given = FitInputs(CLASSES, Train(rows, ids), ClassTexts(rows, ids, 20.0))

        def scores(_: int) -> np.ndarray:
            found: np.ndarray = self.protocol.scores(self.protocol.fit(given), rows)
            return found

        alone = scores(0)
        with ThreadPoolExecutor(4) as pool:
            assert all(np.array_equal(found, alone) for found in pool.map(scores, range(8)))

    def test_float32_and_single_rows_are_taken(self) -> None:
        """Embeddings of any float type and any number of rows are scored."""
        model = self.protocol.fit(inputs())
        rows = np.ones((1, D), np.float32)
        assert self.protocol.scores(model, rows).shape == (1, 3)

    def test_a_class_without_example_is_named(self) -> None:
        """A class that has no train sample or text is an error that names it."""
        ids = np.arange(30) % 2
        with pytest.raises(DataError, match=r"'normal' \(id 2\)"):
            self.protocol.fit(self.changed(labels=ids))

    def test_the_model_is_of_the_class_it_says(self) -> None:
        """It is a dataclass of float64 arrays, numbers, flags and None, so it can be stored."""
        for fitted in (inputs(), several()):
            model = self.protocol.fit(fitted)
            assert type(model) is self.protocol.model
            for field in dataclasses.fields(model):
                value = getattr(model, field.name)
                plain = value is None or isinstance(value, bool | int | float)
                assert plain or value.dtype == np.float64

    def test_absent_inputs_are_named(self) -> None:
        """Without what it needs a protocol says what is missing."""
        with pytest.raises(DataError, match=f"{self.name} needs"):
            self.protocol.fit(FitInputs(CLASSES))

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            (np.arange(30), "from 0 to 29 where there are 3 classes"),
            (np.full(30, -1), "from -1"),
            (np.zeros(29, np.int64), "expected 30 integers"),
            (np.zeros(30), "expected 30 integers, got float64"),
        ],
    )
    def test_ids_outside_the_classes_are_refused(self, labels: np.ndarray, message: str) -> None:
        """Labels must be one class id per row."""
        with pytest.raises(DataError, match=message):
            self.protocol.fit(self.changed(labels=labels))

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            (np.full((4, D), np.nan), "row 0 is not finite"),
            (np.ones((4, D + 1)), "9 dimensions where the model has 8"),
            (np.empty((0, D)), "expected a matrix with rows"),
            (np.ones(D), "expected a matrix"),
        ],
    )
    def test_unusable_embeddings_are_refused(self, rows: np.ndarray, message: str) -> None:
        """Embeddings must be finite rows of the model's width."""
        model = self.protocol.fit(inputs())
        with pytest.raises(DataError, match=message):
            self.protocol.scores(model, rows)


def several(**changes: Any) -> FitInputs:
    """Return inputs of a multi-label task: each class moves an embedding along an axis."""
    rng = np.random.default_rng(3)
    labels = (rng.random((60, 3)) < 0.4).astype(np.int8)
    axes = np.eye(3, D)
    train = Train(4 * labels @ axes + 1 + rng.normal(size=(60, D)), labels)
    absent = np.arange(6) >= 3
    rows = np.concatenate([4 * axes + 1, 1 - axes])
    texts = ClassTexts(rows, np.arange(6) % 3, 20.0, absent)
    return dataclasses.replace(FitInputs(CLASSES, train, texts, multi_label=True), **changes)
