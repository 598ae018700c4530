"""Sets as torch datasets."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from stages.embed.testing import generated_images
from stages.embed.torch_dataset import SetDataset


class Labelled:
    """A set by position, importable so that workers can receive it."""

    def __init__(self, count: int) -> None:
        self.images = generated_images(count, 6, 8, 3)
        self.labels = np.arange(count, dtype=np.int32) % 3


def test_samples_are_tensors_and_labels():
    """A sample is its uint8 image, channels first, and its label as an int."""
    labelled = Labelled(5)
    dataset = SetDataset(labelled)
    assert len(dataset) == 5
    image, label = dataset[3]
    assert image.dtype == torch.uint8
    assert image.shape == (3, 6, 8)
    np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), labelled.images[3])
    assert (label, type(label)) == (0, int)
    assert dataset[-1][1] == dataset[4][1]


def test_samples_own_their_memory():
    """Changing a sample changes nothing that is mapped from the store."""
    labelled = Labelled(2)
    labelled.images.flags.writeable = False
    before = labelled.images.copy()
    image, _ = SetDataset(labelled)[0]
    image.zero_()
    np.testing.assert_array_equal(labelled.images, before)


def test_transform_takes_the_image():
    """A transform replaces the image and leaves the label."""
    image, label = SetDataset(Labelled(4), lambda image: image.float().mean())[2]
    assert image.dtype == torch.float32
    assert label == 2


@pytest.mark.parametrize("position", [5, -6])
def test_beyond_the_end(position):
    """A position beyond either end is an IndexError, so plain iteration ends."""
    dataset = SetDataset(Labelled(5))
    with pytest.raises(IndexError, match="of a set of 5"):
        dataset[position]
    assert len([label for _, label in iter(dataset)]) == 5


def test_lengths_must_agree():
    """Images and labels of different number are refused."""
    labelled = SimpleNamespace(images=generated_images(3, 4, 4, 1), labels=[0, 1])
    with pytest.raises(ValueError, match="3 images but 2 labels"):
        SetDataset(labelled)


@pytest.mark.parametrize("workers", [0, 2])
def test_loads_in_workers(workers):
    """A DataLoader gives every sample in order, by itself or in worker processes."""
    labelled = Labelled(7)
    batches = DataLoader(
        SetDataset(labelled),
        batch_size=3,
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
    )
    images, labels = zip(*batches, strict=True)
    expected = torch.from_numpy(labelled.images).permute(0, 3, 1, 2)
    assert torch.equal(torch.cat(images), expected)
    assert torch.cat(labels).tolist() == labelled.labels.tolist()
