"""Dataset manifests: the shipped ones equal the published facts, wrong ones are refused whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import ManifestError
from pipeline.manifest import read_manifest
from stages.download.schema import Dataset, DatasetManifest, PhantomForm, expand
from stages.download.sources import UrlSource, ZenodoSource

MEDIMETA = {
    "pbc": (
        3,
        (11964, 1709, 3419),
        (
            "neutrophil eosinophil basophil lymphocyte monocyte immature_granulocyte erythroblast "
            "platelet"
        ),
    ),
    "mammo_calc": (1, (1332, 214, 326), "benign malignant"),
    "pneumonia": (1, (4415, 817, 624), "NORMAL BACTERIA VIRUS"),
    "fundus": (3, (1920, 640, 640), "normal abnormal"),
    "oct": (1, (91615, 16694, 1000), "CNV DME DRUSEN NORMAL"),
}
"""Channels, split counts and classes in id order, as MedIMeta 1.0's info.yaml has them."""


@pytest.mark.parametrize("name", MEDIMETA)
def test_medimeta_manifests_equal_the_collection(name: str, shipped: dict[str, Dataset]) -> None:
    """Record, file, channels, counts, class order and licence are those of MedIMeta 1.0."""
    channels, counts, classes = MEDIMETA[name]
    dataset = shipped[name]
    assert isinstance(dataset.source, ZenodoSource)
    assert dataset.splits is not None
    assert (dataset.source.record, dataset.source.file) == (7884735, f"{name}.zip")
    assert dataset.source.digests() == {}
    assert (dataset.channels, dataset.size) == (channels, 224)
    assert tuple(dataset.splits.counts().values()) == counts
    assert [name.replace(" ", "_") for name in dataset.classes] == classes.split()
    assert (dataset.licence.spdx, dataset.licence.share_alike) == ("CC-BY-SA-4.0", True)


def test_nothing_else_is_shipped_but_phantoms_and_roads(shipped: dict[str, Dataset]) -> None:
    """The shipped datasets are 5 + 12 × 4 + 5 + 1; phantoms, and only they, are synthetic."""
    phantoms = {name for name in shipped if name.startswith("phantom-")}
    assert len(phantoms) == 5
    assert len(shipped) == 5 + 48 + 5 + 1
    for name, dataset in shipped.items():
        assert dataset.synthetic is (name in phantoms)
        assert isinstance(dataset.reader, PhantomForm) is (name in phantoms)
        assert ("synthetic" in dataset.title.lower()) is (name in phantoms)


def test_every_dataset_has_clinical_prompts(shipped: dict[str, Dataset]) -> None:
    """Every medical dataset has clinical texts; those of RobustMedCLIP also the published."""
    families = {"bloodmnist", "breastmnist", "octmnist", "pneumoniamnist", "retinamnist"}
    for dataset in shipped.values():
        assert ("clinical" in dataset.prompts) is (dataset.collection != "driving")
        published = dataset.collection == "medimeta" or dataset.family in families
        assert ("published" in dataset.prompts) is published
    assert shipped["retinamnist-28"].prompts["published"] == ("0", "1", "2", "3", "4")
    assert shipped["retinamnist-28"].prompts["clinical"][0] == "no diabetic retinopathy"


def test_every_fault_is_reported_at_once(write_manifest: Callable[..., Path]) -> None:
    """A manifest with faults in many fields names all of them, with file and key."""
    path = write_manifest(
        id='"Not A Name"',
        task='"regression"',
        classes='["same", "same"]',
        channels="2",
        prompts='{clinical = ["one", "two", " "]}',
        splits="{train = 0}",
        colour="true",
    )
    with pytest.raises(ManifestError) as caught:
        read_manifest(path, DatasetManifest)
    faults = str(caught.value).splitlines()
    keys = ("id", "task", "classes", "channels", "prompts.clinical.2", "splits.train", "colour")
    for key in keys:
        assert any(fault.startswith(f"{path}: {key}") for fault in faults), key


CONTRADICTIONS: list[tuple[dict[str, str | None], str]] = [
    ({"classes": '["a", "b", "a"]', "task": '"multi-class"'}, "repeated: a"),
    ({"classes": '["a", "b", "c"]'}, "a binary task has 2 classes, not 3"),
    ({"prompts": '{clinical = ["a"]}'}, "clinical has 1 entries for 2 classes"),
    ({"size": None}, "give the image size, or variants"),
    (
        {
            "task": '"multi-label"',
            "reader": '{form = "phantom", modality = "oct"}',
            "synthetic": "true",
        },
        "the form phantom gives one class per sample; multi-label needs medmnist",
    ),
    (
        {"task": '"multi-label"', "prompts": '{clinical = ["a", "b"]}'},
        "a multi-label task needs the same names as prompts; they differ in: clinical",
    ),
    (
        {
            "task": '"multi-label"',
            "prompts": '{clinical = ["a", "b"]}',
            "absent_prompts": '{clinical = ["no a"]}',
        },
        "absent_prompts: Value error, clinical has 1 entries for 2 classes",
    ),
    (
        {"absent_prompts": '{clinical = ["no a", "no b"]}'},
        "only a multi-label task says that a class is absent; this one is binary",
    ),
    ({"variants": '[{size = 28, file = "a.npz"}]'}, "either size or variants"),
    (
        {"size": None, "variants": '[{size = 28, file = "a"}, {size = 28, file = "b"}]'},
        "two variants have the same size",
    ),
    (
        {"size": None, "variants": '[{size = 28, file = "a.npz"}]'},
        "belong to the variants",
    ),
    ({"source": None}, "needs a source"),
    ({"splits": None}, "declares its split counts"),
    ({"splits": "{}"}, "no split is declared"),
    (
        {"reader": '{form = "phantom", modality = "oct"}', "synthetic": "true"},
        "phantom images have no source",
    ),
    (
        {"reader": '{form = "phantom", modality = "oct"}', "source": None},
        "write synthetic = true",
    ),
    (
        {
            "licence": '{spdx = "CC-BY-SA-4.0", redistribution = "pixels", '
            'share_alike = false, source = "x"}'
        },
        "write share_alike = true",
    ),
    (
        {
            "licence": '{spdx = "CC-BY-ND-4.0", redistribution = "derived", '
            'share_alike = false, source = "x"}'
        },
        "allows no derived images",
    ),
    ({"source": '{kind = "url", urls = [], file = "a"}'}, "at least 1 item"),
    ({"source": '{kind = "url", urls = ["ftp://a/b"], file = "a"}'}, "pattern"),
    ({"source": '{kind = "url", urls = ["https://a/b"]}'}, "the source names no file"),
    ({"source": '{kind = "zenodo", record = 1, file = "../a"}'}, "pattern"),
    ({"source": '{kind = "zenodo", record = 1, file = "a", md5 = "12"}'}, "md5"),
    ({"schema": "2"}, "schema"),
]


@pytest.mark.parametrize(("lines", "message"), CONTRADICTIONS)
def test_contradictions_are_refused(
    lines: dict[str, str | None], message: str, write_manifest: Callable[..., Path]
) -> None:
    """A manifest that contradicts itself is refused with a line that says how."""
    path = write_manifest(**lines)
    with pytest.raises(ManifestError) as caught:
        read_manifest(path, DatasetManifest)
    assert message in str(caught.value)


def test_a_manifest_without_variants_is_one_dataset(write_manifest: Callable[..., Path]) -> None:
    """Without variants the dataset keeps the manifest's id and source."""
    path = write_manifest()
    (dataset,) = expand(read_manifest(path, DatasetManifest))
    assert (dataset.id, dataset.family, dataset.size) == ("tiny", "tiny", 8)
    assert isinstance(dataset.source, UrlSource)


def test_a_class_may_have_several_prompts(write_manifest: Callable[..., Path]) -> None:
    """One entry of a prompt set is a text or several texts."""
    path = write_manifest(prompts='{clinical = ["dark", ["bright", "white"]]}')
    manifest = read_manifest(path, DatasetManifest)
    assert manifest.prompts["clinical"] == ("dark", ("bright", "white"))
