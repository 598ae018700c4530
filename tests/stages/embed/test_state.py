"""What weights files may hold, and that reading them runs nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipeline.errors import DataError
from tests.stages.embed.tiny import Runs, declare_clip, load


def test_unsafe_pickles_are_not_run(tmp_path: Path, architecture: str):
    """A pickle that would run code is refused, and nothing of it runs."""
    proof, path = tmp_path / "proof", tmp_path / "weights.pt"
    torch.save({"visual.proj": Runs(proof)}, path)
    with pytest.raises(DataError, match=r"weights.pt: cannot be read as weights"):
        load(declare_clip(weights={"architecture": architecture}), path)
    assert not proof.exists()


def test_torchscript_archives_are_explained(tmp_path: Path, architecture: str):
    """OpenAI's own .pt files are programs: the error says so and what to use instead."""
    import zipfile

    path = tmp_path / "ViT-B-16.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ViT-B-16/constants.pkl", b"")
    with pytest.raises(DataError, match=r"ViT-B-16.pt: .*TorchScript.*safetensors"):
        load(declare_clip(weights={"architecture": architecture}), path)


@pytest.mark.parametrize("content", [{}, {"a": 3}, [1, 2]], ids=["empty", "numbers", "list"])
def test_files_without_tensors(content: object, tmp_path: Path, architecture: str):
    """A readable file that is no table of tensors is refused by name."""
    path = tmp_path / "other.bin"
    torch.save(content, path)
    with pytest.raises(DataError, match=r"other.bin: holds "):
        load(declare_clip(weights={"architecture": architecture}), path)
