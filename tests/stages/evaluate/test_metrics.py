"""Every metric against scikit-learn, and its resampled values against repeated samples."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    log_loss,
    recall_score,
    roc_auc_score,
)

from stages.evaluate.metrics import METRICS, MULTI_LABEL_METRICS, metrics_of
from stages.evaluate.metrics.contract import Batch

NAMES = (*METRICS, *MULTI_LABEL_METRICS, "recall/0", "recall/1")


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
    scores = np.array(cells, np.float64).reshape(2, n, classes) / levels
    return Batch(np.array(labels), scores, draw(st.sampled_from([None, 0])))


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
    return Batch(np.array(flags).reshape(n, classes), scores, draw(st.sampled_from([None, 0])))


@st.composite
def probability_batches(draw: st.DrawFn) -> Batch:
    """Batches whose rows sum to one: uniform, certain and in between, some classes absent."""
    n, classes = draw(st.integers(1, 15)), draw(st.integers(2, 5))
    present = draw(st.integers(1, classes))
    labels = np.array(draw(st.lists(st.integers(0, present - 1), min_size=n, max_size=n)))
    parts = draw(st.lists(st.integers(0, 4), min_size=2 * n * classes, max_size=2 * n * classes))
    scores = np.array(parts, np.float64).reshape(2, n, classes)
    scores[scores.sum(axis=2) == 0] = 1.0
    return Batch(labels, scores / scores.sum(axis=2, keepdims=True), 0)


def once(batch: Batch) -> np.ndarray:
    """Return the weights of the sample itself."""
    return np.ones((1, len(batch.labels)), np.uint16)


def values(batch: Batch) -> dict[str, np.ndarray]:
    """Return every metric of the batch's task, (S,) each."""
    return {name: metric(batch, once(batch))[0] for name, metric in metrics_of(batch).items()}


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


@settings(deadline=None)
@given(batch=batches())
@pytest.mark.filterwarnings("ignore:.*single label was found.*")
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_metrics_equal_scikit_learn(batch: Batch) -> None:
    """Accuracy, balanced accuracy and AUROC agree, ties and absent classes included."""
    labels, predicted = batch.labels, batch.predicted
    found = values(batch)
    for s in range(2):
        assert found["accuracy"][s] == pytest.approx(accuracy_score(labels, predicted[s]))
        balanced = balanced_accuracy_score(labels, predicted[s])
        assert found["balanced_accuracy"][s] == pytest.approx(balanced)
        area = reference_auroc(labels, batch.scores[s])
        assert found["auroc"][s] == pytest.approx(area, nan_ok=True)
        assert found["error"][s] == 1 - found["accuracy"][s]
        macro = f1_score(labels, predicted[s], average="macro", zero_division=0)
        assert found["macro_f1"][s] == pytest.approx(macro)
        for c in range(batch.classes):
            own = labels == c
            recall = recall_score(own, predicted[s] == c) if own.any() else np.nan
            assert found[f"recall/{c}"][s] == pytest.approx(recall, nan_ok=True)


@settings(deadline=None)
@given(batch=probability_batches())
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_scores_of_probabilities_equal_scikit_learn(batch: Batch) -> None:
    """Brier is the sum over classes, NLL is clipped at 2**-52, certain mistakes included."""
    found = values(batch)
    classes = list(range(batch.classes))
    for s, scores in enumerate(batch.scores):
        loss = log_loss(batch.labels, scores, labels=classes)
        assert found["nll"][s] == pytest.approx(loss, abs=1e-9)
        if batch.classes > 2:
            brier = brier_score_loss(batch.labels, scores, labels=classes, scale_by_half=False)
        else:
            brier = 2 * brier_score_loss(batch.labels, scores[:, 1], labels=classes, pos_label=1)
        assert found["brier"][s] == pytest.approx(brier, abs=1e-12)


@given(batch=st.one_of(probability_batches(), batches(), label_batches()))
def test_ece_is_the_sum_over_fifteen_bins(batch: Batch) -> None:
    """Bins are closed below, the last one on both sides; ties lie on bins' edges here."""
    expected = []
    for scores, predicted in zip(batch.scores, batch.predicted, strict=True):
        if batch.multi_label:
            tasks = list(zip(scores.T, batch.labels.T, strict=True))
        else:
            tasks = [(scores.max(axis=1), predicted == batch.labels)]
        each = []
        for confidence, right in tasks:
            gaps = [0.0] * 15
            for c, r in zip(confidence, right, strict=True):
                place = max(k for k in range(15) if k == 0 or c >= k / 15)
                gaps[place] += (c - r) / len(scores)
            each.append(sum(map(abs, gaps)))
        expected.append(np.mean(each))
    assert values(batch)["ece"] == pytest.approx(expected, abs=1e-12)


@given(batch=st.one_of(batches(), label_batches()))
def test_flips_and_detection_are_relative_to_the_clean_set(batch: Batch) -> None:
    """Both compare a set with the clean one, which gives 0 and 0.5; without it they are absent."""
    found = values(batch)
    if batch.clean is None:
        assert np.isnan([found["flip_rate"], found["detection_auroc"]]).all()
        return
    if batch.multi_label:
        answers = batch.scores > 0.5
        confidence = np.maximum(batch.scores, 1 - batch.scores).mean(axis=2)
    else:
        answers = batch.predicted
        confidence = batch.scores.max(axis=2)
    flips = [0.0, (answers[0] != answers[1]).mean()]
    assert found["flip_rate"] == pytest.approx(flips, abs=1e-12)
    corrupted = np.repeat([0, 1], len(batch.labels))
    area = roc_auc_score(corrupted, -np.concatenate([confidence[0], confidence[1]]))
    assert found["detection_auroc"] == pytest.approx([0.5, area])


@settings(deadline=None)  # scikit-learn takes its time over each label
@given(batch=label_batches())
@pytest.mark.filterwarnings("ignore:.*single label was found.*")
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_multi_label_metrics_are_scikit_learns_averaged_over_labels(batch: Batch) -> None:
    """Each metric is the mean over labels of the binary one, where the label has a value."""
    found = values(batch)
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
        f1 = [f1_score(label, score > 0.5, zero_division=np.nan) for label, score in columns]
        assert found["macro_f1"][s] == pytest.approx(_mean(f1), nan_ok=True)
        areas = [average_precision_score(lab, score) for lab, score in columns if lab.any()]
        assert found["mean_average_precision"][s] == pytest.approx(_mean(areas), nan_ok=True)
        for c, (label, score) in enumerate(columns):
            recall = recall_score(label, score > 0.5) if label.any() else np.nan
            assert found[f"recall/{c}"][s] == pytest.approx(recall, nan_ok=True)
        squares = [np.mean((score - label) ** 2) for label, score in columns]
        assert found["brier"][s] == pytest.approx(np.mean(squares), abs=1e-12)
        losses = [log_loss(label, score, labels=[0, 1]) for label, score in columns]
        assert found["nll"][s] == pytest.approx(np.mean(losses), abs=1e-9)


def _mean(values: list[float]) -> float:
    """Return the mean of what is defined."""
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else np.nan


def test_metrics_equal_torchmetrics() -> None:
    """Accuracies, F1, AUROC and calibration of a multi-class task, calibration of labels too."""
    functional = pytest.importorskip("torchmetrics.functional.classification")
    import torch

    rng = np.random.default_rng(4)
    labels = rng.integers(0, 4, 200)
    scores = rng.dirichlet(np.full(4, 0.4), size=200)
    found = {name: value[0] for name, value in values(Batch(labels, scores[None], 0)).items()}
    p, y = torch.from_numpy(scores), torch.from_numpy(labels)
    ece = functional.multiclass_calibration_error(p, y, 4, n_bins=15, norm="l1")
    assert found["ece"] == pytest.approx(float(ece), abs=1e-6)
    area = functional.multiclass_auroc(p, y, 4, average="macro", thresholds=None)
    assert found["auroc"] == pytest.approx(float(area), abs=1e-6)
    for name, expected in {
        "accuracy": functional.multiclass_accuracy(p, y, 4, average="micro"),
        "balanced_accuracy": functional.multiclass_accuracy(p, y, 4, average="macro"),
        "macro_f1": functional.multiclass_f1_score(p, y, 4, average="macro"),
    }.items():
        assert found[name] == pytest.approx(float(expected), abs=1e-6)
    flags, chances = rng.integers(0, 2, (200, 3)), rng.random((200, 3))
    found = {name: value[0] for name, value in values(Batch(flags, chances[None], 0)).items()}
    p, y = torch.from_numpy(chances), torch.from_numpy(flags)
    columns = zip(p.T.contiguous(), y.T.contiguous(), strict=True)
    each = [functional.binary_calibration_error(*column, 15) for column in columns]
    assert found["ece"] == pytest.approx(np.mean(each), abs=1e-6)
    average = functional.multilabel_average_precision(p, y, 3, average="macro", thresholds=None)
    assert found["mean_average_precision"] == pytest.approx(float(average), abs=1e-6)


def test_auroc_equals_scikit_learns_one_vs_rest_macro() -> None:
    """With every class present the value is roc_auc_score(multi_class="ovr")."""
    rng = np.random.default_rng(1)
    labels = np.arange(90) % 5
    scores = rng.dirichlet(np.ones(5), size=90).round(2)
    scores[:, 0] += 1 - scores.sum(axis=1)
    batch = Batch(labels, scores[None])
    expected = roc_auc_score(labels, scores, multi_class="ovr")
    assert METRICS["auroc"](batch, once(batch))[0, 0] == pytest.approx(expected, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(batch=st.one_of(batches(), label_batches()), data=st.data())
@pytest.mark.parametrize("name", NAMES)
def test_weights_equal_repetition(name: str, batch: Batch, data: st.DataObject) -> None:
    """A count of c gives what c copies of the sample give, for all resamples at once."""
    metric = metrics_of(batch).get(name)
    if metric is None:
        return
    n = len(batch.labels)
    counts = data.draw(st.lists(st.lists(st.integers(0, 3), min_size=n, max_size=n), min_size=3))
    weights = np.array(counts, np.uint16)
    weights[:, 0] += weights.sum(axis=1) == 0
    found = metric(batch, weights)
    for index, row in enumerate(weights):
        repeated = Batch(
            batch.labels.repeat(row, axis=0), batch.scores.repeat(row, axis=1), batch.clean
        )
        expected = metric(repeated, once(repeated))[0]
        assert found[index] == pytest.approx(expected, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize(("name", "multi_label"), [*itertools.product(NAMES, (False, True))])
def test_slicing_over_resamples_changes_nothing(
    name: str, multi_label: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values are bit for bit the same however many resamples are taken at once."""
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 2, (40, 3)) if multi_label else rng.integers(0, 3, 40)
    batch = Batch(labels, rng.random((2, 40, 3)).round(1) + 0.001, 0)
    metric = metrics_of(batch).get(name)
    if metric is None:
        return
    weights = rng.integers(0, 4, (50, 40)).astype(np.uint16)
    whole = metric(batch, weights)

    def short(*_: int, budget: int = 0) -> int:
        del budget
        return 7

    monkeypatch.setattr("stages.evaluate.metrics.contract.slice_length", short)
    monkeypatch.setattr("stages.evaluate.metrics.ranks.slice_length", short)
    assert np.array_equal(metric(batch, weights), whole, equal_nan=True)


@pytest.mark.parametrize("multi_label", [False, True])
def test_a_value_does_not_depend_on_the_other_sets(multi_label: bool) -> None:
    """A set alone has, to the bit, what it has among others; so has a resample alone."""
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, (30, 3)) if multi_label else rng.integers(0, 3, 30)
    scores = rng.dirichlet(np.ones(3), size=(3, 30))
    weights = rng.multinomial(30, np.full(30, 1 / 30), 20).astype(np.uint16)
    batch, pair = Batch(labels, scores, 0), Batch(labels, scores[[0, 2]], 0)
    for name, metric in metrics_of(batch).items():
        assert np.array_equal(metric(batch, weights)[:, 2], metric(pair, weights)[:, 1]), name
        assert np.array_equal(metric(batch, weights)[7], metric(batch, weights[7:8])[0]), name


@pytest.mark.parametrize("multi_label", [False, True])
def test_sets_that_are_all_equal_have_every_metric_or_none(multi_label: bool) -> None:
    """Equal scores and one class: no curve, the rest is defined and within its range."""
    labels = np.zeros((6, 3), int) if multi_label else np.zeros(6, int)
    found = values(Batch(labels, np.full((2, 6, 3), 1 / 3), 0))
    nowhere = {"auroc", "recall/1", "recall/2"}
    if multi_label:
        nowhere |= {"mean_average_precision", "macro_f1", "recall/0"}
    assert {name for name, value in found.items() if np.isnan(value).any()} == nowhere
    assert (found["flip_rate"][1], found["detection_auroc"][1]) == (0.0, 0.5)


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
