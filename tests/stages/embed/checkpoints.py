"""What every loader does with the files of a checkpoint, as tests to inherit."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
import torch

from pipeline.errors import DataError, MissingInputError
from stages.embed.encoder import Encoder
from stages.embed.loaders import loader
from stages.embed.schema import EncoderManifest
from tests.stages.embed.tiny import Copy, load, loaded_by_identity

Checkpoint = tuple[EncoderManifest, Path]
"""A manifest and the folder with all its files."""


def cut(path: Path, kept: float) -> None:
    """Cut a file short: to so many bytes, or to a share of them."""
    data = path.read_bytes()
    path.write_bytes(data[: kept if isinstance(kept, int) else int(len(data) * kept)])


class CheckpointContract:
    """Errors name files, keys follow contents; subclasses provide the fixture `checkpoint`."""

    needed: ClassVar[tuple[tuple[str, str], ...]]
    """Places of needed files in the folder and what an error calls them; weights come first."""

    @pytest.fixture(scope="class")
    @classmethod
    def checkpoint(cls) -> Checkpoint:
        """Return the manifest under test and its files."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def encoder(cls, checkpoint: Checkpoint) -> Encoder:
        """Return the encoder under test."""
        return load(*checkpoint, batch_size=3)

    @pytest.mark.parametrize("kept", [0, 7, 100, 0.5, 0.999])
    def test_weights_cut_short(self, kept: float, checkpoint: Checkpoint, copy_of: Copy) -> None:
        """One clear error names the file."""
        manifest, folder = checkpoint[0], copy_of(checkpoint[1])
        weights = self.needed[0][0]
        cut(folder / weights, kept)
        fault = rf"{weights}: cannot be read .* tensors are expected: "
        with pytest.raises(DataError, match=fault) as caught:
            load(manifest, folder)
        assert len(str(caught.value).splitlines()) == 1

    @pytest.mark.usefixtures("hub_cache")
    def test_one_missing_file(self, checkpoint: Checkpoint, copy_of: Copy) -> None:
        """Only what is missing from a folder is asked for, and where it was looked for."""
        manifest, folder = checkpoint[0], copy_of(checkpoint[1])
        for gone, named in self.needed:
            data = (folder / gone).read_bytes()
            (folder / gone).unlink()
            with pytest.raises(MissingInputError) as caught:
                loader(manifest.family).identity(manifest, folder)
            (folder / gone).write_bytes(data)
            asked = [line for line in str(caught.value).splitlines() if line.startswith("  - ")]
            assert len(asked) == 1
            assert named in asked[0]
            assert str(folder) in asked[0]

    def test_no_such_folder(self, checkpoint: Checkpoint, tmp_path: Path) -> None:
        """A `--weights` that does not exist is named."""
        with pytest.raises(MissingInputError, match="nowhere: no such file or folder"):
            load(checkpoint[0], tmp_path / "nowhere")

    def test_identity_is_of_content(self, checkpoint: Checkpoint, copy_of: Copy) -> None:
        """Where the files lie and what else lies there does not enter the key."""
        manifest, folder = checkpoint[0], copy_of(checkpoint[1])
        identity = loader(manifest.family).identity
        (folder / "README.md").write_text("hello")
        renamed = manifest.model_copy(update={"id": "other", "title": "Other"})
        assert identity(renamed, folder) == identity(*checkpoint)

    def test_identity_loads_no_model_library(self, checkpoint: Checkpoint) -> None:
        """The identity needs neither torch nor a library of models or images."""
        assert loaded_by_identity(*checkpoint) == ""

    def test_loading_leaves_random_state_alone(self, checkpoint: Checkpoint) -> None:
        """Building the model draws no number from the caller's generator."""
        before = torch.get_rng_state()
        load(*checkpoint)
        assert torch.equal(torch.get_rng_state(), before)


class TokenizerContract(CheckpointContract):
    """Likewise where the tokenizer's files are among those of the checkpoint."""

    tokenizer: ClassVar[str]
    """A file of a tokenizer that is preferred to those in the folder."""

    def test_broken_tokenizer(self, checkpoint: Checkpoint, copy_of: Copy) -> None:
        """Tokenizer files that cannot be read are one error naming their folder."""
        manifest, folder = checkpoint[0], copy_of(checkpoint[1])
        (folder / self.tokenizer).write_text("{}")
        where = (folder / self.tokenizer).parent
        with pytest.raises(DataError, match=rf"{where}: its tokenizer files cannot be read"):
            load(manifest, folder)
