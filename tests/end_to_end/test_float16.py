"""Embeddings stored in half the bytes: how many predictions they change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.artifact import Artifact
from pipeline.store import Store
from tests.end_to_end.real_path import declare, documented
from tests.end_to_end.tiny_clip import write_tiny_clip

REAL = "pneumoniamnist-v1"
PHANTOMS = "phantom-blood,phantom-chest,phantom-mammography"
SETS = "medimeta-c/*/test/*/3"
MOST = 0.003
"""Largest rate of top-1 predictions that storing float16 changes; 6 of 4992 is what it was."""


@pytest.fixture(scope="module")
def real(
    once: Callable[[str, Callable[[Path], None]], Path],
    command_line: Callable[[Path], Any],
    real_data: Path,
) -> Path:
    """A store of real images that `texture` has embedded in both types, evaluated."""

    def build(folder: Path) -> None:
        run = command_line(folder)
        declare(folder, documented()[0])
        at = ("--datasets", REAL, "--manifests", "my", "--store", "store")
        run("build", "datasets", "--from", real_data, *at)
        run("build", "corruptions", "--only", SETS, *at)
        embed_and_evaluate(run, "texture", "linear-probe,prototype", *at)

    return once("float16 real", build) / "store"


@pytest.fixture(scope="module")
def clip(
    once: Callable[[str, Callable[[Path], None]], Path], command_line: Callable[[Path], Any]
) -> Path:
    """A store of synthetic images that a tiny CLIP has embedded in both types, evaluated."""

    def build(folder: Path) -> None:
        run = command_line(folder)
        write_tiny_clip(folder)
        at = ("--datasets", PHANTOMS, "--manifests", "my", "--store", "store")
        run("build", "corruptions", "--only", SETS, *at)
        own = ("--weights", "weights", "--device", "cpu", "--batch-size", 64)
        embed_and_evaluate(run, "tiny-clip", "zero-shot,prototype", *at, own=own)

    return once("float16 clip", build) / "store"


def embed_and_evaluate(
    run: Any, encoder: str, protocols: str, *at: object, own: tuple[object, ...] = ()
) -> None:
    """Embed in both types and evaluate."""
    for dtype in ("float32", "float16"):
        named = ("--model", encoder, "--dtype", dtype, "--protocols", protocols)
        run("embed", *named, "--only", SETS, *own, *at)
    both = ("--encoders", f"{encoder},{encoder}@float16", "--baseline", encoder)
    run("eval", *both, "--protocols", protocols, "--only", SETS, *at)


def predictions(store: Path, encoder: str, protocol: str) -> dict[tuple[str, ...], int]:
    """Return the predicted class by prompts, dataset, corruption and sample."""
    found = {}
    for manifest in Store.open(store).manifests():
        stage, name, *others = manifest.label.split("/")
        if (stage, name) == ("predictions", protocol) and encoder in others:
            which = "/".join(others).replace(encoder, "", 1)
            for row in Artifact(manifest).index().to_pylist():
                found[which, row["corruption"], row["id"]] = row["predicted"]
    return found


@pytest.mark.parametrize("protocol", ["linear-probe", "prototype"])
def test_texture_on_real_images(real: Path, protocol: str) -> None:
    """No more than 0.3 % of top-1 predictions on clean and corrupted real images change."""
    require_few_changes(real, "texture", protocol, count=624 * 8)


@pytest.mark.parametrize("protocol", ["zero-shot", "prototype"])
def test_a_tiny_clip(clip: Path, protocol: str) -> None:
    """Nor of a learned encoder, texts stored in float16 too."""
    templates = 6 if protocol == "zero-shot" else 1
    require_few_changes(clip, "tiny-clip", protocol, count=3 * 96 * 8 * templates)


def require_few_changes(store: Path, encoder: str, protocol: str, *, count: int) -> None:
    """Assert how many predictions there are, that they differ, and how many float16 changes."""
    full, half = (predictions(store, name, protocol) for name in (encoder, f"{encoder}@float16"))
    assert full.keys() == half.keys()
    assert len(full) == count
    assert len(set(full.values())) > 1
    changed = sum(full[key] != half[key] for key in full)
    assert changed / count <= MOST


def test_half_the_bytes_under_another_key(clip: Path) -> None:
    """What is stored is float16, named so, with its own key and the tolerance of that type."""
    found = [m for m in Store.open(clip).manifests() if "embeddings" in m.stage]
    keys: dict[str, set[str]] = {}
    for manifest in found:
        half = "/tiny-clip@float16/" in manifest.label
        expected = ("float16", 1e-2) if half else ("float32", 1e-4)
        array = Artifact(manifest).array("embeddings")[:]
        assert (array.dtype, Artifact(manifest).attributes["tolerance"]) == expected
        keys.setdefault(manifest.label.replace("@float16", ""), set()).add(manifest.recipe_key)
    assert {len(pair) for pair in keys.values()} == {2}


def test_names_and_types(pipeline: Any, real: Path) -> None:
    """`NAME@float16` is what the option names; the declared type adds nothing; others are none."""
    at = ("--datasets", REAL, "--manifests", real.parent / "my", "--store", real, "--only", SETS)
    for named in (
        ("texture@float16",),
        ("texture", "--dtype", "float16"),
        ("texture@float16", "--dtype", "float16"),
        ("texture", "--dtype", "float32"),
    ):
        assert "nothing to do" in pipeline("embed", "--model", *named, *at).stderr
    refused = pipeline("embed", "--model", "texture", "--dtype", "float8", *at, rc=None)
    refused.refused(2, "unknown dtype 'float8'")
