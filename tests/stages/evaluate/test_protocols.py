"""The contract of protocols, inherited by every one of them, and what each adds."""

from __future__ import annotations

import dataclasses
import importlib
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from threadpoolctl import threadpool_info

from pipeline.errors import DataError
from stages.evaluate.protocols import PROTOCOLS
from stages.evaluate.protocols.blas import one_blas_thread
from stages.evaluate.protocols.contract import (
    ClassTexts,
    Train,
    predicted_classes,
    predicted_labels,
    sigmoid,
    softmax,
)
from stages.evaluate.protocols.knn import NearestNeighbours
from stages.evaluate.protocols.linear_probe import LinearProbe
from stages.evaluate.protocols.prototype import Prototype
from tests.stages.evaluate.protocol_contract import (
    CLASSES,
    D,
    ProtocolContract,
    inputs,
    several,
    train_of,
)


class TestZeroShot(ProtocolContract):
    """Zero-shot."""

    name = "zero-shot"

    def test_one_text_per_class_gives_scaled_cosines(self) -> None:
        """Scores are the softmax of logit scale times cosine, and the scale is kept."""
        texts = np.random.default_rng(0).normal(size=(3, D))
        rows = np.random.default_rng(1).normal(size=(6, D))
        model = self.protocol.fit(inputs(texts=ClassTexts(texts, np.arange(3), 7.0)))
        lengths = np.linalg.norm(rows, axis=1)[:, None] * np.linalg.norm(texts, axis=1)
        expected = softmax(7.0 * (rows @ texts.T) / lengths)
        assert self.protocol.scores(model, rows) == pytest.approx(expected)
        assert model.logit_scale == 7.0

    def test_texts_of_a_class_are_averaged_as_directions(self) -> None:
        """An ensemble normalises, averages and normalises, so lengths of texts do not matter."""
        texts = np.random.default_rng(0).normal(size=(6, D))
        ids = np.arange(6) // 2
        lengths = np.array([1.0, 50.0] * 3)[:, None]
        plain, scaled = (
            self.protocol.fit(inputs(texts=ClassTexts(t, ids, 1.0))).directions
            for t in (texts, texts * lengths)
        )
        assert scaled == pytest.approx(plain)
        units = texts / np.linalg.norm(texts, axis=1, keepdims=True)
        means = units.reshape(3, 2, D).mean(axis=1)
        expected = means / np.linalg.norm(means, axis=1, keepdims=True)
        assert plain == pytest.approx(expected)

    @pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
    def test_an_impossible_logit_scale_is_refused(self, scale: float) -> None:
        """The logit scale is a positive number."""
        with pytest.raises(DataError, match="logit scale"):
            self.protocol.fit(self.changed(logit_scale=scale))

    def test_a_row_of_length_zero_is_refused(self) -> None:
        """Without a direction there is no cosine."""
        rows = np.stack([np.ones(D), np.zeros(D)])
        model = self.protocol.fit(inputs())
        with pytest.raises(DataError, match="row 1 has length zero"):
            self.protocol.scores(model, rows)


class TestLinearProbe(ProtocolContract):
    """Linear probe."""

    name = "linear-probe"

    @pytest.mark.parametrize("classes", [CLASSES, ("benign", "malignant")])
    def test_scores_equal_scikit_learns_pipeline(self, classes: tuple[str, ...]) -> None:
        """The plain arrays of the model say what scikit-learn's own objects say."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        given = inputs(classes)
        reference = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=2000))
        reference.fit(train_of(given).embeddings, train_of(given).labels)
        rows = np.random.default_rng(1).normal(size=(20, D))
        probe = LinearProbe(inverse_penalties=(1.0,))
        scores = probe.scores(probe.fit(given), rows)
        assert scores == pytest.approx(reference.predict_proba(rows), abs=1e-9)

    def test_the_penalty_is_chosen_on_validation(self) -> None:
        """The penalty is that whose own fit has the lowest loss there, and is in the model."""
        from sklearn.metrics import log_loss

        given = inputs()
        rng = np.random.default_rng(3)
        rows = train_of(given).embeddings + rng.normal(size=(30, D))
        validation = Train(rows, train_of(given).labels)
        chosen = self.protocol.fit(dataclasses.replace(given, validation=validation))
        losses = {}
        for penalty in self.protocol.inverse_penalties:
            probe = LinearProbe(inverse_penalties=(penalty,))
            losses[penalty] = log_loss(
                train_of(given).labels, probe.scores(probe.fit(given), validation.embeddings)
            )
        assert chosen.inverse_penalty == min(losses, key=losses.__getitem__)
        assert len({round(loss, 6) for loss in losses.values()}) == len(losses)

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            (np.full(30, 3), "validation labels: from 3 to 3 where there are 3 classes"),
            (np.zeros(29, np.int64), "validation labels: expected 30 integers"),
        ],
    )
    def test_unusable_validation_is_refused(self, labels: np.ndarray, message: str) -> None:
        """Its labels are checked as those of the train split are; a class may be absent."""
        rows = np.random.default_rng(0).normal(size=(30, D))
        validation = Train(rows, labels)
        with pytest.raises(DataError, match=message):
            self.protocol.fit(inputs(validation=validation))
        self.protocol.fit(inputs(validation=Train(rows, np.zeros(30, np.int64))))

    def test_held_out_patients_are_whole(self) -> None:
        """With all images of a class from one patient nothing of it is held out, nor lost."""
        given = inputs()
        groups = tuple(f"patient-{label}" for label in train_of(given).labels)
        train = dataclasses.replace(train_of(given), groups=groups)
        assert self.protocol.fit(inputs(train=train)).inverse_penalty == 1.0

    def test_validation_decides_nothing_else(self) -> None:
        """The model is fitted on the train split alone, held-out samples included."""
        given = inputs()
        found = self.protocol.fit(given)
        alone = LinearProbe(inverse_penalties=(found.inverse_penalty,)).fit(given)
        assert np.array_equal(found.weights, alone.weights)
        few = inputs(CLASSES, train=Train(np.eye(3, D), np.arange(3)))
        assert self.protocol.fit(few).inverse_penalty == self.protocol.inverse_penalties[-1]

    def test_features_that_do_not_vary_are_ignored(self) -> None:
        """A constant feature is not divided by its zero spread."""
        given = inputs()
        rows = train_of(given).embeddings.copy()
        rows[:, 0] = 1e6
        model = self.protocol.fit(inputs(train=Train(rows, train_of(given).labels)))
        assert model.scale[0] == 1.0
        assert np.isfinite(self.protocol.scores(model, rows)).all()

    def test_a_fit_cut_short_is_marked_not_hidden(self) -> None:
        """Reaching the iteration limit raises no warning but is recorded in the model."""
        assert self.protocol.fit(inputs()).converged
        assert not LinearProbe(iterations=1).fit(inputs()).converged


class TestNearestNeighbours(ProtocolContract):
    """kNN."""

    name = "knn"

    def test_one_neighbour_is_scikit_learns(self) -> None:
        """With one neighbour the prediction is that of scikit-learn's classifier by cosine."""
        from sklearn.neighbors import KNeighborsClassifier

        given = inputs()
        rows = np.random.default_rng(1).normal(size=(50, D))
        reference = KNeighborsClassifier(1, metric="cosine", algorithm="brute")
        reference.fit(train_of(given).embeddings, train_of(given).labels)
        protocol = NearestNeighbours(neighbours=1)
        scores = protocol.scores(protocol.fit(given), rows)
        assert np.array_equal(predicted_classes(scores), reference.predict(rows))

    def test_neighbours_weigh_by_their_cosine(self) -> None:
        """Scores are those of scikit-learn with the same weights, whatever the block size."""
        from sklearn.neighbors import KNeighborsClassifier

        given = inputs()
        rows = np.random.default_rng(1).normal(size=(1500, D))
        reference = KNeighborsClassifier(
            20, metric="cosine", algorithm="brute", weights=lambda d: np.exp((1 - d) / 0.07)
        )
        reference.fit(train_of(given).embeddings, train_of(given).labels)
        scores = self.protocol.scores(self.protocol.fit(given), rows)
        assert scores == pytest.approx(reference.predict_proba(rows), abs=1e-9)

    def test_of_equally_near_ones_the_first_counts(self) -> None:
        """Repeated train rows are taken in index order."""
        train = Train(np.ones((4, D)), np.array([1, 0, 2, 0]))
        protocol = NearestNeighbours(neighbours=1)
        scores = protocol.scores(protocol.fit(inputs(train=train)), np.ones((1, D)))
        assert scores.tolist() == [[0.0, 1.0, 0.0]]

    @given(
        arrays(np.int64, st.tuples(st.integers(1, 6), st.just(D)), elements=st.integers(-2, 2)),
        st.integers(1, 12),
    )
    def test_ties_are_cut_in_index_order(self, rows: np.ndarray, neighbours: int) -> None:
        """Whatever is equal, the neighbours are the first of the nearest ones."""
        train = np.stack([np.eye(D)[i % 4] for i in range(12)]) + 0.0
        labels = np.array([0, 1, 2] * 4)
        images = rows + np.where(np.arange(D) == D - 1, 9.0, 0.0)
        protocol = NearestNeighbours(neighbours=neighbours)
        scores = protocol.scores(protocol.fit(inputs(train=Train(train, labels))), images)
        for image, found in zip(images, scores, strict=True):
            cosines = np.round(image[:4] / np.linalg.norm(image), 12)[np.arange(12) % 4]
            near = sorted(range(12), key=lambda i: (-cosines[i], i))[:neighbours]
            weights = np.exp(cosines[near] / protocol.temperature)
            shares = np.bincount(labels[near], weights, 3) / weights.sum()
            assert found == pytest.approx(shares)


class TestPrototype(ProtocolContract):
    """Prototype."""

    name = "prototype"

    def test_it_is_scikit_learns_nearest_centroid(self) -> None:
        """Of normalised embeddings, with centroids normalised too, the same class is nearest."""
        from sklearn.neighbors import NearestCentroid
        from sklearn.preprocessing import normalize

        given = inputs()
        reference = NearestCentroid().fit(
            normalize(train_of(given).embeddings), train_of(given).labels
        )
        reference.centroids_ = normalize(reference.centroids_)
        rows = np.random.default_rng(1).normal(size=(200, D))
        scores = self.protocol.scores(self.protocol.fit(given), rows)
        assert np.array_equal(predicted_classes(scores), reference.predict(normalize(rows)))

    def test_the_nearest_class_mean_wins(self) -> None:
        """The prediction is the class whose mean of normalised embeddings is nearest by cosine."""
        given = inputs()
        rows = np.random.default_rng(1).normal(size=(50, D))
        units = (
            train_of(given).embeddings / np.linalg.norm(train_of(given).embeddings, axis=1)[:, None]
        )
        means = np.stack([units[train_of(given).labels == c].mean(axis=0) for c in range(3)])
        cosines = rows @ (means / np.linalg.norm(means, axis=1)[:, None]).T
        scores = self.protocol.scores(self.protocol.fit(given), rows)
        assert np.array_equal(predicted_classes(scores), cosines.argmax(axis=1))

    def test_the_logit_scale_changes_no_prediction(self) -> None:
        """The scale is a matter of probabilities alone."""
        rows = np.random.default_rng(1).normal(size=(50, D))
        found = [
            predicted_classes(protocol.scores(protocol.fit(inputs()), rows))
            for protocol in (Prototype(), Prototype(logit_scale=30.0))
        ]
        assert np.array_equal(*found)


@pytest.mark.parametrize("name", list(PROTOCOLS))
def test_the_classes_of_a_multi_label_task_are_scored_by_themselves(name: str) -> None:
    """Probabilities are within [0, 1], need not sum to 1, and are right about most labels."""
    protocol, given = PROTOCOLS[name], several()
    labels = train_of(given).labels
    scores = protocol.scores(protocol.fit(given), train_of(given).embeddings)
    assert scores.dtype == np.float64
    assert scores.shape == (60, 3)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert scores.sum(axis=1).max() > 1.2
    assert (predicted_labels(scores) == labels).mean() > 0.8


@pytest.mark.parametrize("name", list(PROTOCOLS))
def test_a_label_changes_no_other_labels_scores(name: str) -> None:
    """Flipping one label's column, and its texts, leaves the scores of the others bit for bit."""
    protocol, given = PROTOCOLS[name], several()
    assert given.texts is not None
    labels, texts = train_of(given).labels.copy(), given.texts.embeddings.copy()
    labels[:, 1] = 1 - labels[:, 1]
    texts[[1, 4]] = texts[[4, 1]]
    changed = several(
        train=dataclasses.replace(train_of(given), labels=labels),
        texts=dataclasses.replace(given.texts, embeddings=texts),
    )
    rows = np.random.default_rng(1).normal(size=(9, D))
    first, second = (protocol.scores(protocol.fit(one), rows) for one in (given, changed))
    assert np.array_equal(first[:, [0, 2]], second[:, [0, 2]])
    assert second[:, 1] == pytest.approx(1 - first[:, 1], abs=1e-4)


def test_binary_probes_equal_scikit_learns() -> None:
    """Each label's probability is that of a binary logistic regression on it alone."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    given = several()
    rows = np.random.default_rng(1).normal(size=(20, D))
    scores = LinearProbe().scores(LinearProbe().fit(given), rows)
    for label in range(3):
        reference = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=2000))
        reference.fit(train_of(given).embeddings, train_of(given).labels[:, label])
        expected = reference.predict_proba(rows)[:, 1]
        assert scores[:, label] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", ["linear-probe", "prototype"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda labels: labels * (np.arange(3) != 1), "no train sample of class 'edema' (id 1)"),
        (lambda labels: labels | (np.arange(3) == 2), "no train sample without class 'normal'"),
        (lambda labels: labels[:, :2], "expected 0 or 1, 60 x 3, got shape (60, 2)"),
        (lambda labels: 2 * labels, "expected 0 or 1"),
    ],
)
def test_multi_label_train_labels_are_checked(name: str, change: Any, message: str) -> None:
    """Every class needs samples with and without it, and 0 or 1 for every sample."""
    given = several()
    train = dataclasses.replace(train_of(given), labels=change(train_of(given).labels))
    with pytest.raises(DataError, match=re.escape(message)):
        PROTOCOLS[name].fit(several(train=train))


def test_zero_shot_of_several_labels_needs_texts_of_absence() -> None:
    """Without a text that says a class is absent nothing tells presence from it."""
    given = several()
    assert given.texts is not None
    texts = dataclasses.replace(given.texts, absent=None)
    with pytest.raises(DataError, match="no text for the absence of class 'drusen'"):
        PROTOCOLS["zero-shot"].fit(several(texts=texts))


def test_probabilities_of_far_logits_do_not_overflow() -> None:
    """The logistic function is exact at both ends and a half in the middle."""
    assert sigmoid(np.array([-1e4, 0.0, 1e4])).tolist() == [0.0, 0.5, 1.0]


def test_every_protocol_has_the_contract() -> None:
    """A protocol in the table has a class of tests here."""
    tested = {case.name for case in ProtocolContract.__subclasses__()}
    assert tested == set(PROTOCOLS)


def test_the_limit_on_blas_is_lifted_by_the_last_to_leave() -> None:
    """BLAS keeps to one thread while anyone needs it, and gets its threads back afterwards."""
    importlib.import_module("scipy.linalg")  # brings a BLAS of its own, which counts from then on

    def threads() -> list[int]:
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    before = threads()
    with one_blas_thread():
        with one_blas_thread():
            assert set(threads()) == {1}
        assert set(threads()) == {1}
    assert threads() == before


def test_ties_go_to_the_lowest_class() -> None:
    """Equal probabilities predict the class with the lowest id."""
    assert predicted_classes(np.array([[0.2, 0.4, 0.4], [1 / 3] * 3])).tolist() == [1, 0]
