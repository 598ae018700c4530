"""MedMNIST manifests: all twelve 2D datasets, equal to the published table."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.manifest import read_manifest
from stages.download.declared import form_of
from stages.download.schema import Dataset, DatasetManifest, expand
from stages.download.sources import ZenodoSource

FOLDER = Path(__file__).parents[3] / "manifests" / "datasets"
SIZES = (28, 64, 128, 224)

TABLE = {
    "pathmnist": (
        3,
        (89996, 10004, 7180),
        (
            "a8b06965200029087d5bd730944a56c1 55aa9c1e0525abe5a6b9d8343a507616 "
            "ac42d08fb904d92c244187169d1fd1d9 2c51a510bcdc9cf8ddb2af93af1eadec"
        ),
    ),
    "chestmnist": (
        1,
        (78468, 11219, 22433),
        (
            "02c8a6516a18b556561a56cbdd36c4a8 9de6cd0b934ebb5b7426cfba5efbae16 "
            "db107e5590b27930b62dbaf558aebee3 45bd33e6f06c3e8cdb481c74a89152aa"
        ),
    ),
    "dermamnist": (
        3,
        (7007, 1003, 2005),
        (
            "0744692d530f8e62ec473284d019b0c7 b70a2f5635c6199aeaa28c31d7202e1f "
            "2defd784463fa5243564e855ed717de1 8974907d8e169bef5f5b96bc506ae45d"
        ),
    ),
    "octmnist": (
        1,
        (97477, 10832, 1000),
        (
            "c68d92d5b585d8d81f7112f81e2d0842 e229e9440236b774d9f0dfef9d07bdaf "
            "0a97e76651ace45c5d943ee3f65b63ae abc493b6d529d5de7569faaef2773ba3"
        ),
    ),
    "pneumoniamnist": (
        1,
        (4708, 524, 624),
        (
            "28209eda62fecd6e6a2d98b1501bb15f 8f4eceb4ccffa70c672198ea285246c6 "
            "05b46931834c231683c68f40c47b2971 d6a3c71de1b945ea11211b03746c1fe1"
        ),
    ),
    "retinamnist": (
        3,
        (1080, 120, 400),
        (
            "bd4c0672f1bba3e3a89f0e4e876791e4 afda852cc34dcda56f86ad2b2457dbcc "
            "e48e916a24454daf90583d4e6efb1a18 eae7e3b6f3fcbda4ae613ebdcbe35348"
        ),
    ),
    "breastmnist": (
        1,
        (546, 78, 156),
        (
            "750601b1f35ba3300ea97c75c52ff8f6 742edef2a1fd1524b2efff4bd7ba9364 "
            "363e4b3f8d712e9b5de15470a2aaadf1 b56378a6eefa9fed602bb16d192d4c8b"
        ),
    ),
    "bloodmnist": (
        3,
        (11959, 1712, 3421),
        (
            "7053d0359d879ad8a5505303e11de1dc 2b94928a2ae4916078ca51e05b6b800b "
            "adace1e0ed228fccda1f39692059dd4c b718ff6835fcbdb22ba9eacccd7b2601"
        ),
    ),
    "tissuemnist": (
        1,
        (165466, 23640, 47280),
        (
            "ebe78ee8b05294063de985d821c1c34b 123ece2eba09d0aa5d698fda57103344 "
            "61b955355d7425a89687b06cca3ce0c2 b077128c4a949f0a4eb01517f9037b9c"
        ),
    ),
    "organamnist": (
        1,
        (34561, 6491, 17778),
        (
            "68e3f8846a6bd62f0c9bf841c0d9eacc 2dcccc29b88e6da5a01161ef20cda288 "
            "eeae80d0a227a8d099027e1b3cfd3b60 50747347e05c87dd3aaf92c49f9f3170"
        ),
    ),
    "organcmnist": (
        1,
        (12975, 2392, 8216),
        (
            "b9ceb9546e10131b32923c5bbeaea2b1 3ce34a8724ea6f548e6db4744d03b6a9 "
            "773c1f009daa3fe5d9a2a201b2a7ed94 050f5e875dc056f6768abf94ec9995d1"
        ),
    ),
    "organsmnist": (
        1,
        (13932, 2452, 8827),
        (
            "9ab87b696fb54e2a387ebe992d6ed5f1 53a6d115339d874c25e309a994ff46d3 "
            "ded0c5fa01a95dc4978b956f613e9b8e b354719e553fbbb2513d5533f52a4cb1"
        ),
    ),
}
"""Channels, split counts and MD5 at 28, 64, 128, 224 pixels, as MedMNIST 3.0.2 publishes them."""

ORGANS = (
    "bladder",
    "femur-left",
    "femur-right",
    "heart",
    "kidney-left",
    "kidney-right",
    "liver",
    "lung-left",
    "lung-right",
    "pancreas",
    "spleen",
)

CLASSES = {
    "pathmnist": (
        "adipose",
        "background",
        "debris",
        "lymphocytes",
        "mucus",
        "smooth muscle",
        "normal colon mucosa",
        "cancer-associated stroma",
        "colorectal adenocarcinoma epithelium",
    ),
    "chestmnist": (
        "atelectasis",
        "cardiomegaly",
        "effusion",
        "infiltration",
        "mass",
        "nodule",
        "pneumonia",
        "pneumothorax",
        "consolidation",
        "edema",
        "emphysema",
        "fibrosis",
        "pleural",
        "hernia",
    ),
    "dermamnist": (
        "actinic keratoses and intraepithelial carcinoma",
        "basal cell carcinoma",
        "benign keratosis-like lesions",
        "dermatofibroma",
        "melanoma",
        "melanocytic nevi",
        "vascular lesions",
    ),
    "octmnist": (
        "choroidal neovascularization",
        "diabetic macular edema",
        "drusen",
        "normal",
    ),
    "pneumoniamnist": ("normal", "pneumonia"),
    "retinamnist": ("0", "1", "2", "3", "4"),
    "breastmnist": ("malignant", "normal, benign"),
    "bloodmnist": (
        "basophil",
        "eosinophil",
        "erythroblast",
        "immature granulocytes(myelocytes, metamyelocytes and promyelocytes)",
        "lymphocyte",
        "monocyte",
        "neutrophil",
        "platelet",
    ),
    "tissuemnist": (
        "Collecting Duct, Connecting Tubule",
        "Distal Convoluted Tubule",
        "Glomerular endothelial cells",
        "Interstitial endothelial cells",
        "Leukocytes",
        "Podocytes",
        "Proximal Tubule Segments",
        "Thick Ascending Limb",
    ),
    "organamnist": ORGANS,
    "organcmnist": ORGANS,
    "organsmnist": ORGANS,
}
"""Class names in label id order, as MedMNIST 3.0.2 publishes them."""

TASKS = {
    "chestmnist": "multi-label",
    "pneumoniamnist": "binary",
    "breastmnist": "binary",
    "retinamnist": "ordinal",
}
"""Kind of label where it is not `multi-class`."""

WITH_PUBLISHED_PROMPTS = {
    "bloodmnist",
    "breastmnist",
    "octmnist",
    "pneumoniamnist",
    "retinamnist",
}
"""Those that the RobustMedCLIP code has class texts for."""


def concrete(family: str) -> tuple[Dataset, ...]:
    """Return the datasets of one shipped manifest."""
    return expand(read_manifest(FOLDER / f"{family}.toml", DatasetManifest))


@pytest.mark.parametrize("family", TABLE)
def test_files_and_counts_equal_the_published_table(family: str) -> None:
    """Record, file names, MD5s, channels and counts are those of MedMNIST 3.0.2, per size."""
    channels, counts, md5s = TABLE[family]
    datasets = concrete(family)
    assert [dataset.size for dataset in datasets] == list(SIZES)
    for dataset, md5 in zip(datasets, md5s.split(), strict=True):
        assert isinstance(dataset.source, ZenodoSource)
        assert dataset.splits is not None
        assert (dataset.source.record, dataset.source.md5) == (10519652, md5)
        suffix = "" if dataset.size == 28 else f"_{dataset.size}"
        assert dataset.source.file == f"{family}{suffix}.npz"
        assert (dataset.id, dataset.family) == (f"{family}-{dataset.size}", family)
        assert dataset.channels == channels
        assert tuple(dataset.splits.counts().items()) == tuple(
            zip(("train", "val", "test"), counts, strict=True)
        )


@pytest.mark.parametrize("family", CLASSES)
def test_classes_stand_in_label_id_order(family: str) -> None:
    """Task and classes are those of MedMNIST 3.0.2, the position of a class being its label."""
    for dataset in concrete(family):
        assert dataset.classes == CLASSES[family]
        assert dataset.task == TASKS.get(family, "multi-class")


def test_all_twelve_datasets_are_shipped(shipped: dict[str, Dataset]) -> None:
    """Twelve manifests of the collection make 48 datasets with different ids, files and MD5s."""
    manifests = [read_manifest(path, form_of) for path in sorted(FOLDER.glob("*.toml"))]
    labelled = [manifest for manifest in manifests if isinstance(manifest, DatasetManifest)]
    everything = [dataset for manifest in labelled for dataset in expand(manifest)]
    ids = [dataset.id for dataset in everything]
    assert len(set(ids)) == len(ids) == len(shipped)
    collection = [dataset for dataset in everything if dataset.collection == "medmnist"]
    assert {dataset.family for dataset in collection} == set(TABLE) == set(CLASSES)
    assert len(collection) == 48
    sources = [dataset.source for dataset in collection if isinstance(dataset.source, ZenodoSource)]
    assert len({source.file for source in sources}) == 48
    assert len({source.md5 for source in sources}) == 48


@pytest.mark.parametrize("family", TABLE)
def test_only_dermamnist_is_bound_to_non_commercial_use(family: str) -> None:
    """All are CC BY 4.0 but DermaMNIST, which is CC BY-NC 4.0; none is share-alike."""
    spdx = "CC-BY-NC-4.0" if family == "dermamnist" else "CC-BY-4.0"
    for dataset in concrete(family):
        assert (dataset.licence.spdx, dataset.licence.share_alike) == (spdx, False)


@pytest.mark.parametrize("family", TABLE)
def test_published_prompts_are_claimed_only_where_there_are_some(family: str) -> None:
    """Each has clinical prompts, a different text per class; published ones only where known."""
    for dataset in concrete(family):
        clinical = dataset.prompts["clinical"]
        assert len(set(clinical)) == len(dataset.classes)
        absent = dataset.absent_prompts.get("clinical", ())
        assert absent == tuple(f"no {text}" for text in clinical if family == "chestmnist")
        assert ("published" in dataset.prompts) is (family in WITH_PUBLISHED_PROMPTS)
