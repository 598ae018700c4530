"""Every metric against scikit-learn, and its resampled values against repeated samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, roc_auc_score

from stages.evaluate.metrics import METRICS
from stages.evaluate.metrics.contract import Batch


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Small batches in which ties, absent classes and constant scores are common."""
    n = draw(st.integers(2, 12))
    classes = draw(st.integers(2, 4))
    present = draw(st.integers(1, classes))
    labels = draw(st.lists(st.integers(0, present - 1), min_size=n, max_size=n))
    levels = draw(st.sampled_from([1, 2, 3, 1000]))
    cells = draw(
        st.lists(st.integers(0, levels - 1), min_size=2 * n * classes, max_size=2 * n * classes)
    )
    return Batch(np.array(labels), np.array(cells, np.float64).reshape(2, n, classes) / levels)


@st.composite
def label_batches(draw: st.DrawFn) -> Batch:
    """Small multi-label batches, with labels that nothing or everything has and ties at 0.5."""
    n, classes = draw(st.integers(2, 10)), draw(st.integers(2, 4))
    flags = draw(st.lists(st.integers(0, 1), min_size=n * classes, max_size=n * classes))
    levels = draw(st.sampled_from([2, 4, 1000]))
    cells = draw(
        st.lists(st.integers(0, levels), min_size=2 * n * classes, max_size=2 * n * classes)
    )
    scores = np.array(cells, np.float64).reshape(2, n, classes) / levels
    return Batch(np.array(flags).reshape(n, classes), scores)


def once(batch: Batch) -> np.ndarray:
    """Return the weights of the sample itself."""
    return np.ones((1, len(batch.labels)), np.uint16)


def reference_auroc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Return scikit-learn's AUROC, class by class where some class is absent."""
    if scores.shape[1] == 2:
        return roc_auc_score(labels, scores[:, 1]) if len(set(labels)) == 2 else np.nan
    curves = [
        roc_auc_score(labels == c, scores[:, c])
        for c in range(scores.shape[1])
        if 0 < (labels == c).sum() < len(labels)
    ]
    return float(np.mean(curves)) if curves else np.nan


@given(batch=batches())
@pytest.mark.filterwarnings("ignore:.*single label was found.*")
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_metrics_equal_scikit_learn(batch: Batch) -> None:
    """Accuracy, balanced accuracy and AUROC agree, ties and absent classes included."""
    labels, predicted = batch.labels, batch.predicted
    found = {name: metric(batch, once(batch))[0] for name, metric in METRICS.items()}
    for s in range(2):
        assert found["accuracy"][s] == pytest.approx(accuracy_score(labels, predicted[s]))
        balanced = balanced_accuracy_score(labels, predicted[s])
        assert found["balanced_accuracy"][s] == pytest.approx(balanced)
        area = reference_auroc(labels, batch.scores[s])
        assert found["auroc"][s] == pytest.approx(area, nan_ok=True)
        assert found["error"][s] == 1 - found["accuracy"][s]


@given(batch=label_batches())
@pytest.mark.filterwarnings("ignore:.*single label was found.*")
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_multi_label_metrics_are_scikit_learns_averaged_over_labels(batch: Batch) -> None:
    """Each metric is the mean over labels of the binary one, where the label has a value."""
    found = {name: metric(batch, once(batch))[0] for name, metric in METRICS.items()}
    for s in range(2):
        columns = list(zip(batch.labels.T, batch.scores[s].T, strict=True))
        accuracy = np.mean([accuracy_score(label, score > 0.5) for label, score in columns])
        balanced = [balanced_accuracy_score(label, score > 0.5) for label, score in columns]
        curves = [roc_auc_score(lab, score) for lab, score in columns if 0 < lab.sum() < len(lab)]
        assert found["accuracy"][s] == pytest.approx(accuracy)
        assert found["error"][s] == 1 - found["accuracy"][s]
        assert found["balanced_accuracy"][s] == pytest.approx(np.mean(balanced))
        area = np.mean(curves) if curves else np.nan
        assert found["auroc"][s] == pytest.approx(area, nan_ok=True)


def test_auroc_equals_scikit_learns_one_vs_rest_macro() -> None:
    """With every class present the value is roc_auc_score(multi_class="ovr")."""
    rng = np.random.default_rng(1)
    labels = np.arange(90) % 5
    scores = rng.dirichlet(np.ones(5), size=90).round(2)
    scores[:, 0] += 1 - scores.sum(axis=1)
    batch = Batch(labels, scores[None])
    expected = roc_auc_score(labels, scores, multi_class="ovr")
    assert METRICS["auroc"](batch, once(batch))[0, 0] == pytest.approx(expected, abs=1e-12)


@settings(max_examples=60)
@given(batch=st.one_of(batches(), label_batches()), data=st.data())
@pytest.mark.parametrize("name", list(METRICS))
def test_weights_equal_repetition(name: str, batch: Batch, data: st.DataObject) -> None:
    """A count of c gives what c copies of the sample give, for all resamples at once."""
    n = len(batch.labels)
    counts = data.draw(st.lists(st.lists(st.integers(0, 3), min_size=n, max_size=n), min_size=3))
    weights = np.array(counts, np.uint16)
    weights[:, 0] += weights.sum(axis=1) == 0
    found = METRICS[name](batch, weights)
    for index, row in enumerate(weights):
        repeated = Batch(batch.labels.repeat(row, axis=0), batch.scores.repeat(row, axis=1))
        expected = METRICS[name](repeated, once(repeated))[0]
        assert found[index] == pytest.approx(expected, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("name", list(METRICS))
def test_slicing_over_resamples_changes_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values are bit for bit the same however many resamples are taken at once."""
    rng = np.random.default_rng(2)
    batch = Batch(rng.integers(0, 3, 40), rng.random((2, 40, 3)).round(1))
    weights = rng.integers(0, 4, (50, 40)).astype(np.uint16)
    whole = METRICS[name](batch, weights)

    def short(*_: int, budget: int = 0) -> int:
        del budget
        return 7

    monkeypatch.setattr("stages.evaluate.metrics.contract.slice_length", short)
    monkeypatch.setattr("stages.evaluate.metrics.auroc.slice_length", short)
    assert np.array_equal(METRICS[name](batch, weights), whole)


def test_counts_beyond_sixteen_bits_do_not_overflow() -> None:
    """A resample of more than 65,535 samples in all is still counted exactly."""
    batch = Batch(np.array([0, 1, 1]), np.array([[[0.9, 0.1], [0.4, 0.6], [0.95, 0.05]]]))
    weights = np.full((1, 3), 60_000, np.uint16)
    assert METRICS["auroc"](batch, weights)[0, 0] == 0.5
    assert METRICS["balanced_accuracy"](batch, weights)[0, 0] == 0.75


def test_ties_go_to_the_lowest_class() -> None:
    """Equal scores predict the class with the lowest id."""
    batch = Batch(np.array([0, 1]), np.full((1, 2, 3), 1 / 3))
    assert batch.predicted.tolist() == [[0, 0]]
