"""Zero-shot from a vision-language checkpoint on disk, through the commands a person types."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.end_to_end.tiny_clip import write_tiny_clip

SETS = "medimeta-c/phantom-oct/test/contrast"
TEMPLATES = ("paper", "ensemble", "plain", "photo", "clip", "clip-ensemble")
"""Those of the run that is the default."""


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments], cwd=cwd, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with manifests, weights and a store in which zero-shot can be evaluated."""
    folder = tmp_path_factory.mktemp("zero-shot")
    weights = write_tiny_clip(folder)
    commands = (
        ("build", "corruptions", "--only", SETS),
        ("embed", "--model", "tiny-clip", "--weights", "weights", "--manifests", "my"),
    )
    for command in commands:
        answer = run(*command, cwd=folder)
        assert answer.returncode == 0, answer.stderr
    weights.rename(folder / "gone")
    return folder


def evaluated(place: Path, *options: str) -> dict[str, object]:
    command = ("eval", "--manifests", "my", "--only", SETS, "--baseline", "tiny-clip", "--json")
    answer = run(*command, *options, cwd=place)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def test_every_template_of_the_run_is_evaluated_without_the_weights(place: Path) -> None:
    """Each named template set has its rows, from cached text embeddings alone."""
    document = evaluated(place)
    rows = document["results"]
    assert {row["protocol"] for row in rows} == {"zero-shot"}
    assert {row["template"] for row in rows} == set(TEMPLATES)
    assert {row["prompts"] for row in rows} == {"clinical"}
    assert {(row["corruption"], row["severity"]) for row in rows} == {
        ("clean", 0),
        *(("contrast", severity) for severity in range(1, 6)),
    }
    assert all(row["logit_scale"] > 1 for row in rows if row["metric"] == "auroc")
    ratios = {row["value"] for row in document["summary"] if row["metric"] == "mce"}
    assert ratios == {1.0}


def test_accuracy_is_that_of_the_cached_embeddings(place: Path) -> None:
    """The accuracy is what cosine similarity of the sealed embeddings gives by hand."""
    from pipeline.artifact import Artifact
    from pipeline.store import Store

    store = Store.open(place / "data")
    found = {manifest.label: Artifact(manifest) for manifest in store.manifests()}
    images = found["embeddings/tiny-clip/medimeta-c/phantom-oct/test/contrast/3"]
    texts = found["prompt-embeddings/tiny-clip/phantom-oct/clinical"]
    index = texts.index()
    chosen = [row for row, name in enumerate(index["template"].to_pylist()) if name == "plain"]
    labels = found["datasets/phantom-oct/test"].index(["label"])["label"].to_numpy()
    pixels, words = images.array("embeddings")[:], texts.array("embeddings")[chosen]
    cosines = (pixels / np.linalg.norm(pixels, axis=1, keepdims=True)) @ (
        words / np.linalg.norm(words, axis=1, keepdims=True)
    ).T
    ids = index["class_id"].to_numpy()[chosen]
    accuracy = float((ids[cosines.argmax(axis=1)] == labels).mean())
    (row,) = [
        row
        for row in evaluated(place)["results"]
        if row["template"] == "plain"
        and (row["corruption"], row["severity"], row["metric"]) == ("contrast", 3, "accuracy")
    ]
    assert row["value"] == pytest.approx(accuracy)


def test_the_train_split_is_named_as_what_linear_probe_lacks(place: Path) -> None:
    """A protocol whose inputs are not embedded is skipped with the command that enables it."""
    skipped = evaluated(place)["skipped"]
    (lacking,) = [one for one in skipped if one["what"].startswith("linear-probe")]
    assert "pipeline embed --model tiny-clip" in lacking["command"]
    assert "--protocols linear-probe" in lacking["command"]
