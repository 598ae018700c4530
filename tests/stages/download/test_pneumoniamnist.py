"""The real PneumoniaMNIST v1 file: read by its own manifest, refused by the shipped one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import DataError, VerificationError
from stages.download.fetch import fetch
from stages.download.readers import open_split, reader_of
from stages.download.schema import Dataset
from stages.download.sources import UrlSource, ZenodoSource
from stages.download.unpack import unpack

V1_MD5 = "f5b994ec7c2fe8bc81ae15cbab7c3df8"


def test_a_user_manifest_reads_it(
    real_pneumoniamnist: Path, declare: Callable[..., Dataset], tmp_path: Path
) -> None:
    """Fetched from a folder, unpacked and read, it has the v1 counts and the file's pixels."""
    dataset = declare(
        classes='["normal", "pneumonia"]',
        size="28",
        source='{kind = "url", urls = ["https://example.invalid/{file}"], '
        f'file = "pneumoniamnist.npz", md5 = "{V1_MD5}"}}',
        splits="{train = 3882, val = 524, test = 624}",
    )
    assert isinstance(dataset.source, UrlSource)
    fetched = fetch(dataset.source, tmp_path / "raw", local=real_pneumoniamnist)
    unpack(fetched.path, tmp_path / "files")
    reader = reader_of(dataset, tmp_path / "files")
    with np.load(real_pneumoniamnist / "pneumoniamnist.npz") as original:
        for split in reader.splits():
            opened = reader.open(split)
            images = opened.images(0, len(opened))[..., 0]
            assert np.array_equal(images, original[f"{split}_images"])
            assert np.array_equal(opened.labels, original[f"{split}_labels"][:, 0])


def test_the_shipped_manifest_refuses_it_by_digest(
    real_pneumoniamnist: Path, shipped: dict[str, Dataset], tmp_path: Path
) -> None:
    """The v3 manifest's MD5 is not the v1 file's."""
    source = shipped["pneumoniamnist-28"].source
    assert isinstance(source, ZenodoSource)
    with pytest.raises(VerificationError, match=f"expected md5 {source.md5}, got {V1_MD5}"):
        fetch(source, tmp_path, local=real_pneumoniamnist)
    assert not list(tmp_path.iterdir())


def test_the_shipped_manifest_refuses_it_by_counts(
    real_pneumoniamnist: Path, shipped: dict[str, Dataset], tmp_path: Path
) -> None:
    """Even if the digest were waived, the number of training samples would tell."""
    unpack(real_pneumoniamnist / "pneumoniamnist.npz", tmp_path / "files")
    with pytest.raises(DataError, match="the manifest says 4708 samples, the source has 3882"):
        open_split(shipped["pneumoniamnist-28"], tmp_path / "files", "train")
