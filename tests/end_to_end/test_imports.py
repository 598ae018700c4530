"""What commands load: the command line stays quick, and evaluation needs no model library."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.options import at

HEAVY = {"torch", "sklearn", "numba"}
MODELS = {"torch", "torchvision", "open_clip", "transformers", "timm"}
EVALUATED = ("models", "predictions", "results", "summary", "comparisons")
HELP_SECONDS = 0.3


def test_help_is_quick(pipeline: Any, tmp_path: Path, environment: dict[str, str]) -> None:
    """`pipeline --help` takes less than 0.3 s, the best of five."""
    taken = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "pipeline", "--help"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            check=True,
        )
        taken.append(time.perf_counter() - started)
    assert min(taken) < HELP_SECONDS


def test_help_loads_nothing_heavy(pipeline: Any) -> None:
    """Neither array nor table nor model libraries are loaded to say what commands there are."""
    loaded = pipeline.modules("--help")
    assert not loaded & (HEAVY | MODELS | {"pyarrow", "scipy", "cv2", "pydantic", "zarr"})


@pytest.mark.parametrize(
    "command",
    [
        ("build", "datasets", "--datasets", "tiny"),
        ("build", "corruptions", "--datasets", "tiny"),
        ("build", "all", "--datasets", "tiny"),
        ("embed", "--model", "texture"),
        ("embed", "--model", "texture,pixels"),
        ("status",),
        ("plan", "corruptions", "--datasets", "tiny"),
        ("list",),
        ("list", "sets"),
        ("list", "datasets"),
        ("list", "encoders"),
        ("explain", "tiny/test"),
        ("eval", "--baseline", "pixels"),
        ("eval", "--baseline", "pixels", "--dry-run"),
    ],
    ids=" ".join,
)
def test_nothing_to_do_loads_nothing_heavy(
    pipeline: Any, read_only_tiny: Any, command: tuple[str, ...]
) -> None:
    """Where all is sealed, neither torch, scikit-learn nor numba is loaded."""
    assert not pipeline.modules(*command, *at(read_only_tiny)) & (HEAVY | MODELS)


def test_verify_loads_nothing_heavy(pipeline: Any, read_only_tiny: Any) -> None:
    """Comparing bytes needs no model library and no compiler."""
    store = read_only_tiny.folder / "store"
    assert not pipeline.modules("verify", "--store", store) & (HEAVY | MODELS)


def test_no_command_but_learned_embedding_loads_torch(pipeline: Any, tiny: Any) -> None:
    """Building, hand-made embeddings and evaluation do their work without a model library."""
    built = ("build", "all", "--datasets", "tiny", "--from", tiny.data)
    embedded = ("embed", "--model", "texture,pixels")
    for command in (built, embedded, ("eval", "--baseline", "pixels")):
        assert not pipeline.modules(*command, *at(tiny)) & MODELS


def test_eval_without_network_raw_data_and_torch(pipeline: Any, tiny_built: Any) -> None:
    """Evaluation gives the same numbers where only shards of embeddings and tables are left."""
    store = tiny_built.folder / "store"
    images = [*store.glob("datasets/**/images"), *store.glob("corruptions/**/images")]
    assert len(images) == 3 + 35
    made = [store / stage for stage in EVALUATED]
    for gone in (store / "sources", store / "downloads", tiny_built.data, *images, *made):
        shutil.rmtree(gone, ignore_errors=True)
    evaluate = ("eval", "--baseline", "pixels", *at(tiny_built), "--json")
    assert not pipeline.modules(*evaluate, mode="isolated") & MODELS
    before = json.loads((tiny_built.folder / "eval.json").read_text())
    assert pipeline(*evaluate).json == before
    assert len(before["results"]) == 36 * (10 + 2) * 2 * 2
    mean_errors = {row["value"] for row in before["summary"] if row["metric"] == "mce"}
    assert 1.0 in mean_errors
    assert None not in mean_errors
