"""Label maps name every class once, and labels must be those of the clean split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import DataError, ManifestError
from stages.exchange.importing.label_map import read_label_map, require_equal

OWN = {"cells": ("neutrophil", "eosinophil", "basophil")}


def written(folder: Path, classes: str, dataset: str = "cells") -> Path:
    path = folder / "map.toml"
    path.write_text(f'schema = 1\ndataset = "{dataset}"\nclasses = {classes}\n')
    return path


def test_a_map_is_an_order_of_the_classes(tmp_path: Path) -> None:
    """The position in the list is the label in the files."""
    path = written(tmp_path, '["basophil", "eosinophil", "neutrophil"]')
    assert read_label_map(path, OWN).classes == ("basophil", "eosinophil", "neutrophil")


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ('["basophil", "eosinophil"]', "'neutrophil' comes 0 times"),
        ('["basophil", "basophil", "eosinophil", "neutrophil"]', "'basophil' comes 2 times"),
        ('["basophile", "eosinophil", "neutrophil"]', "did you mean 'basophil'"),
        ("[1, 2, 3]", "string"),
    ],
)
def test_other_classes_are_refused(tmp_path: Path, classes: str, message: str) -> None:
    """A class that is missing, repeated or unknown is named."""
    with pytest.raises(ManifestError, match=message):
        read_label_map(written(tmp_path, classes), OWN)


def test_another_dataset_is_refused(tmp_path: Path) -> None:
    """A map of another dataset does not fit by chance."""
    with pytest.raises(ManifestError, match="unknown dataset 'cell'; did you mean 'cells'"):
        read_label_map(written(tmp_path, '["a", "b"]', "cell"), OWN)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 2, 2], "4 samples, the clean split 5"),
        ([2, 1, 0, 0, 0], "neutrophil 3 instead of 1, basophil 1 instead of 3"),
        ([2, 2, 2, 1, 0], "row 0 is the first of 4 that differ"),
    ],
)
def test_labels_must_be_those_of_the_clean_split(labels: list[int], message: str) -> None:
    """Another number, other counts and another order are told apart."""
    clean = np.array([0, 1, 2, 2, 2])
    require_equal(clean.copy(), clean, OWN["cells"], "there")
    with pytest.raises(DataError, match=message) as error:
        require_equal(np.array(labels), clean, OWN["cells"], "there")
    assert str(error.value).startswith("there: ")


def test_several_labels_are_counted_by_class() -> None:
    """Of a multi-label dataset each class is counted by itself."""
    clean = np.array([[1, 0, 1], [0, 0, 1]])
    with pytest.raises(DataError, match="neutrophil 0 instead of 1, eosinophil 1 instead of 0"):
        require_equal(np.array([[0, 1, 1], [0, 0, 1]]), clean, OWN["cells"], "there")
