"""Where the folder of a dataset that the user has is, and what to say when it is not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from pipeline.errors import MissingInputError
from pipeline.store import DOWNLOADS, Store
from stages.download.schema import SPLITS, Dataset, Split
from stages.download.segmenting.schema import SegmentationDataset
from stages.download.sources import FolderSource
from stages.vocabulary import DATASETS

AnyDataset: TypeAlias = Dataset | SegmentationDataset
D = TypeVar("D", Dataset, SegmentationDataset)


def located(dataset: D, manifests: Path, local: Path | None) -> D:
    """Return `dataset` with the absolute path of its folder, as far as it is known.

    Parameters
    ----------
    dataset
        Any dataset; one whose source is no folder is returned as it is.
    manifests
        The folder of its manifest, at which a relative path starts.
    local
        What the user named with `--from`: the folder itself, or one that holds it under the
        id of its manifest. It serves sources that name no path.
    """
    source = dataset.source
    if not isinstance(source, FolderSource):
        return dataset
    if source.path:
        folder = manifests / source.path
    elif local is not None:
        folder = local / dataset.family if (local / dataset.family).is_dir() else local
    else:
        return dataset
    named = source.model_copy(update={"path": str(folder.resolve())})
    return dataset.model_copy(update={"source": named})


def folder_of(store: Store, dataset: AnyDataset) -> Path | None:
    """Return the folder of a dataset, there or not; None if its source is no folder.

    One that nobody has named is looked for among the store's downloads, where files that a person
    must place are looked for too.
    """
    source = dataset.source
    if not isinstance(source, FolderSource):
        return None
    return Path(source.path) if source.path else store.root / DOWNLOADS / "folder" / dataset.family


def common_attributes(dataset: AnyDataset) -> dict[str, Any]:
    """Return what the artifacts of a dataset of either kind say of it."""
    return {
        "title": dataset.title,
        "collection": dataset.collection,
        "modality": dataset.modality,
        "task": dataset.task,
        "synthetic": dataset.synthetic,
        "citation": dataset.citation,
        "licence": dataset.licence.model_dump(mode="json"),
    }


def sealed_counts(store: Store, dataset: AnyDataset, folder: Path) -> dict[Split, int]:
    """Return the size of each split as last sealed, where the folder is not there to count in.

    Raises
    ------
    MissingInputError
        If none is sealed.
    """
    sealed = list(store.manifests_below(store.root / DATASETS / dataset.id))
    found = {manifest.parameters["split"]: manifest.rows for manifest in sealed}
    if not found:
        raise absent(dataset, folder)
    return {split: found[split] for split in SPLITS if split in found}


def absent(dataset: AnyDataset, folder: Path) -> MissingInputError:
    """Return the error for a folder that is not there: what to put where."""
    source = dataset.source
    message = f"dataset {dataset.id}: there is no folder {folder}"
    if isinstance(source, FolderSource) and source.instructions:
        message += f". {source.instructions.rstrip('.')}. Place it there, or name it with --from"
    return MissingInputError(message)
