"""A multi-label dataset, from an npz in MedMNIST's form to zero-shot, probe and prototype."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, roc_auc_score

from pipeline import open_store
from pipeline.artifact import Artifact
from pipeline.store import Store
from tests.end_to_end.findings import COUNTS, FindingsSource
from tests.end_to_end.tiny_clip import write_tiny_clip

ONLY = ("--only", "medimeta-c/findings/test/contrast")


@pytest.fixture(scope="module")
def evaluated(
    once: Callable[[str, Callable[[Path], None]], Path], command_line: Callable[[Path], Any]
) -> Path:
    """Return a folder with the evaluated `store` and what `eval` printed."""

    def build(folder: Path) -> None:
        pipeline = command_line(folder)
        weights = write_tiny_clip(folder)
        source = FindingsSource(folder, "findings", COUNTS)
        source.write()
        (folder / "my" / "datasets").mkdir()
        source.declaration.rename(folder / "my" / "datasets" / "findings.toml")
        at = ("--store", folder / "store", "--manifests", folder / "my", *ONLY)
        pipeline("build", "corruptions", *at, "--from", source.data)
        pipeline("build", "datasets", *at[:4], "--datasets", "findings", "--from", source.data)
        pipeline("embed", "--model", "pixels", *at)
        protocols = ("--protocols", "zero-shot,linear-probe,prototype")
        pipeline("embed", "--model", "tiny-clip", "--weights", weights, *protocols, *at)
        weights.rename(folder / "gone")
        answer = pipeline("eval", "--baseline", "tiny-clip", *at, "--json")
        (folder / "eval.json").write_text(answer.stdout)
        (folder / "eval.txt").write_text(pipeline("eval", "--baseline", "tiny-clip", *at).stdout)

    return once("multi-label", build)


@pytest.fixture(scope="module")
def answer(evaluated: Path) -> dict[str, Any]:
    """Return the JSON of `pipeline eval`."""
    import json

    found: dict[str, Any] = json.loads((evaluated / "eval.json").read_text())
    return found


def values(answer: dict[str, Any], **wanted: object) -> dict[tuple[str, int], dict[str, float]]:
    """Return metrics by set of the rows that have the wanted columns."""
    found: dict[tuple[str, int], dict[str, float]] = {}
    for row in answer["results"]:
        if wanted.items() <= row.items():
            cell = found.setdefault((row["corruption"], row["severity"]), {})
            cell[row["metric"]] = row["value"]
    return found


def test_labels_go_from_the_file_into_every_set(evaluated: Path) -> None:
    """Clean splits and sets have a `labels` column, 0 or 1 per class, and no class id."""
    source = FindingsSource(evaluated, "findings", COUNTS)
    store = open_store(evaluated / "store")
    expected = source.arrays()["test_labels"].tolist()
    for name in ("findings/test", "medimeta-c/findings/test/contrast/3"):
        assert store[name].labels == expected
        index = store[name].index()
        assert "label" not in index.column_names
        assert str(index.schema.field("labels").type).startswith("list<")
        assert b"0" in index.schema.field("labels").metadata[b"meaning"]


def test_torch_gives_a_tensor_of_labels(evaluated: Path) -> None:
    """The set as a torch dataset pairs each image with 0 or 1 per class, and batches."""
    from torch.utils.data import DataLoader

    one = open_store(evaluated / "store")["findings/test"]
    _, labels = next(iter(DataLoader(one.torch(), batch_size=5)))
    assert labels.tolist() == one.labels[:5]


@pytest.mark.parametrize(
    ("protocol", "encoder"),
    [("linear-probe", "pixels"), ("prototype", "pixels"), ("zero-shot", "tiny-clip")],
)
def test_metrics_are_means_over_labels_of_the_stored_predictions(
    evaluated: Path, answer: dict[str, Any], protocol: str, encoder: str
) -> None:
    """Accuracy, balanced accuracy and AUROC equal scikit-learn's, label by label, averaged."""
    chosen = {"protocol": protocol, "encoder": encoder}
    chosen |= {"template": "plain"} if protocol == "zero-shot" else {}
    found = values(answer, **chosen)
    assert len(found) == 6
    store = Store.open(evaluated / "store")
    tables = [
        Artifact(manifest).index()
        for manifest in store.manifests()
        if manifest.stage == "predictions" and set(chosen.values()) <= parts(manifest.parameters)
    ]
    assert len(tables) == 2, "clean and one corruption"
    for (corruption, severity), metrics in found.items():
        rows = [
            row
            for table in tables
            for row in table.to_pylist()
            if (row["corruption"], row["severity"]) == (corruption, severity)
        ]
        labels, predicted, scores = (
            np.array([row[name] for row in rows]) for name in ("labels", "predicted", "scores")
        )
        assert labels.shape == predicted.shape == scores.shape == (48, 3)
        assert np.array_equal(predicted, scores > 0.5)
        columns = list(zip(labels.T, predicted.T, scores.T, strict=True))
        accuracy = np.mean([accuracy_score(label, given) for label, given, _ in columns])
        balanced = [balanced_accuracy_score(label, given) for label, given, _ in columns]
        area = np.mean([roc_auc_score(label, score) for label, _, score in columns])
        assert metrics["accuracy"] == pytest.approx(accuracy)
        assert metrics["error"] == pytest.approx(1 - accuracy)
        assert metrics["balanced_accuracy"] == pytest.approx(np.mean(balanced))
        assert metrics["auroc"] == pytest.approx(area)


def parts(parameters: dict[str, Any]) -> set[object]:
    """Return what identifies the system of a predictions artifact."""
    return {parameters["protocol"]["name"], parameters["encoder"], parameters["template"]}


@pytest.mark.parametrize("protocol", ["linear-probe", "prototype"])
def test_trained_protocols_find_the_patches(answer: dict[str, Any], protocol: str) -> None:
    """On clean images both are far above chance; only an eighth of the labels is wrong."""
    clean = values(answer, protocol=protocol, encoder="pixels")["clean", 0]
    assert clean["balanced_accuracy"] > 0.7
    assert clean["auroc"] > 0.75


def test_ce_is_the_ratio_of_label_wise_errors(answer: dict[str, Any]) -> None:
    """CE sums 1 - accuracy, and balanced CE 1 - balanced accuracy, over the severities."""
    for metric, name in (("accuracy", "ce"), ("balanced_accuracy", "balanced_ce")):
        sums = {}
        for encoder in ("tiny-clip", "pixels"):
            cells = values(answer, protocol="prototype", encoder=encoder)
            sums[encoder] = sum(1 - cells["contrast", s][metric] for s in range(1, 6))
        (ratio,) = [
            row["value"]
            for row in answer["summary"]
            if row["metric"] == f"{name}/contrast"
            and (row["encoder"], row["protocol"]) == ("pixels", "prototype")
        ]
        assert ratio == pytest.approx(sums["pixels"] / sums["tiny-clip"])


def test_the_note_says_what_predicting_nothing_would_reach(
    evaluated: Path, answer: dict[str, Any]
) -> None:
    """Every system has a note on how labels are scored; it is printed once."""
    labels = FindingsSource(evaluated, "findings", COUNTS).arrays()["test_labels"]
    told = f"no label for any image has accuracy {1 - labels.mean():.4f}"
    notes = [note for note in answer["notes"] if note["kind"] == "multi-label"]
    assert notes
    assert all(told in note["message"] for note in notes)
    assert (evaluated / "eval.txt").read_text().count(told) == 1


CONTENT: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "too narrow": (lambda labels: labels[:, :2], "shape (48, 2), not (N, 3)"),
    "one class id": (lambda labels: labels[:, :1], "shape (48, 1), not (N, 3)"),
    "flat": (lambda labels: labels[:, 0], "shape (48,), not (N, 3)"),
    "a two": (
        lambda labels: labels + (np.arange(48) == 5)[:, None] * 2,
        "of row 5 is outside 0..1",
    ),
    "fractions": (lambda labels: labels / 2, "float64, not integers"),
}


@pytest.mark.parametrize("case", CONTENT)
def test_labels_that_are_not_zero_or_one_per_class_are_refused(
    pipeline: Any, tmp_path: Path, store: Path, case: str
) -> None:
    """An npz whose labels have another width or other values exits 1 and says where."""
    change, told = CONTENT[case]
    source = FindingsSource(tmp_path, "findings", COUNTS)
    arrays = source.arrays()
    arrays["test_labels"] = change(arrays["test_labels"])
    source.write(arrays)
    at = ("--store", store, "--manifests", source.manifests, "--from", source.data)
    one = ("build", "datasets", "--datasets", "findings", "--splits", "test")
    pipeline(*one, *at, rc=None).refused(1, "datasets/findings/test", told)
