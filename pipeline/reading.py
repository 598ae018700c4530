"""Reading a store from other people's code: ``pipeline.open_store(url)``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit

from pipeline.artifact import Artifact, Manifest
from pipeline.errors import UsageError
from pipeline.manifest import nearest
from pipeline.mixed import MixedArray
from pipeline.selectors import selects
from pipeline.shards import ShardedArray
from pipeline.store import Store
from stages.vocabulary import CORRUPTIONS, DATASETS

if TYPE_CHECKING:
    import pyarrow as pa
    from torch.utils.data import Dataset

_IMAGE_STAGES = (DATASETS, CORRUPTIONS)


class ImageSet:
    """One sealed set, or a clean split: images, index, and labels or masks."""

    def __init__(self, artifact: Artifact, store: Store) -> None:
        self._artifact = artifact
        self._store = store

    def __repr__(self) -> str:
        images = self.images
        shape = f"{len(self)} of mixed size" if isinstance(images, MixedArray) else images.shape
        return f"<ImageSet {self.name} {shape}>"

    def __len__(self) -> int:
        return len(self._artifact)

    @property
    def name(self) -> str:
        """``<suite>/<dataset>/<split>/<corruption>/<severity>``, or ``<dataset>/<split>``."""
        return self._artifact.name

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; a label is a position in them.

        Raises
        ------
        UsageError
            If the set has masks of `targets` instead.
        """
        self._require_labels()
        return tuple(self.attributes["classes"])

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of what the masks show, in the order of their layers.

        Raises
        ------
        UsageError
            If the set has labels instead.
        """
        self._require_masks()
        return tuple(target["name"] for target in self.attributes["targets"])

    @property
    def attributes(self) -> Mapping[str, Any]:
        """What the manifest says of the dataset: title, licence, modality, synthetic, …."""
        return self._artifact.attributes

    @cached_property
    def images(self) -> ShardedArray | MixedArray:
        """The images, uint8, to be indexed like a NumPy array by position.

        Memory-mapped ``(N, H, W, C)``; or, where each has its own size, a `MixedArray` whose items
        ``(H, W, C)`` are read one by one. An item is empty, ``(0, 0, 0)``, where the index gives
        the sample another status than "ok" and "no-mask".
        """
        if "images" in self._artifact.manifest.mixed:
            return self._artifact.mixed("images")
        return self._artifact.array("images")

    @cached_property
    def masks(self) -> MixedArray:
        """The masks, uint8 ``(H, W, T)`` of 0 or 255 by position, one layer per target.

        They are aligned with `images`. A corrupted set has its own where the corruption moves
        them along, as its attribute ``masks`` says; otherwise these are those of the clean split
        in the same store that it was made from. An item is empty where the sample has no mask.

        Raises
        ------
        UsageError
            If the set has labels instead.
        MissingInputError
            If they are those of a clean split that is no longer in the store.
        """
        self._require_masks()
        own = self._artifact
        if "masks" in own.manifest.mixed:
            return own.mixed("masks")
        return self._store.input_of(own.manifest, "images").mixed("masks")

    def index(self, columns: list[str] | None = None) -> pa.Table:
        """Return the index: id, label, patient_id, drawn parameters, pixel digests, ….

        Parameters
        ----------
        columns
            Names of the columns to read; all by default.
        """
        return self._artifact.index(columns)

    @cached_property
    def labels(self) -> list[int] | list[list[int]]:
        """The label of each image; of a multi-label set a list of 0 or 1 per class.

        Raises
        ------
        UsageError
            If the set has masks of `targets` instead.
        """
        self._require_labels()
        name = "labels" if self.attributes["task"] == "multi-label" else "label"
        return cast("list[int] | list[list[int]]", self.index([name])[name].to_pylist())

    def torch(self, transform: Callable[..., Any] | None = None) -> Dataset[tuple[Any, Any]]:
        """Return the set as a `torch.utils.data.Dataset` of (uint8 CHW tensor, label).

        The label is an integer, or for a multi-label set a tensor with 0 or 1 per class. A set
        with masks gives (uint8 CHW tensor, uint8 THW tensor of 0 or 255) instead, each pair in its
        own size: a loader that batches needs a `transform` that makes them equal.

        Parameters
        ----------
        transform
            Applied to each image tensor; in a set with masks called with image and masks, whose
            two results take their place.
        """
        from stages.embed.torch_dataset import MaskedDataset, SetDataset  # loads torch

        return MaskedDataset(self, transform) if self._has_masks else SetDataset(self, transform)

    @property
    def _has_masks(self) -> bool:
        return self.attributes.get("task") == "segmentation"

    def _require_labels(self) -> None:
        if self._has_masks:
            message = f"{self.name} has no classes and labels but `masks` of its `targets`"
            raise UsageError(message)

    def _require_masks(self) -> None:
        if not self._has_masks:
            message = f"{self.name} has no masks and targets but `labels` of its `classes`"
            raise UsageError(message)


class StoreReader:
    """The sealed image sets of a store, by name."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def sets(self, selector: str = "*") -> list[str]:
        """Return the names of the sealed sets and clean splits that a selector matches.

        Parameters
        ----------
        selector
            A name with wildcards, part by part: ``medimeta-c/pbc/test/*/3``.
        """
        return sorted(name for name in self._manifests if selects([selector], name))

    def __getitem__(self, name: str) -> ImageSet:
        """Return the set called `name`.

        Raises
        ------
        UsageError
            If there is none; the nearest name is suggested.
        VerificationError
            If the last `pipeline verify` found it damaged.
        """
        manifest = self._manifests.get(name)
        if manifest is None:
            hint = nearest(name, self._manifests) if self._manifests else "; the store has none"
            message = f"no sealed set {name!r}{hint}"
            raise UsageError(message)
        self._store.require_undamaged(manifest)
        return ImageSet(Artifact(manifest), self._store)

    def __iter__(self) -> Iterator[str]:
        return iter(self.sets())

    def __len__(self) -> int:
        return len(self._manifests)

    @cached_property
    def _manifests(self) -> dict[str, Manifest]:
        found: dict[str, Manifest] = {}
        for stage in _IMAGE_STAGES:
            for manifest in self._store.manifests_below(self._store.root / stage):
                other = found.get(manifest.name)
                if other is None or _built(manifest) > _built(other):
                    found[manifest.name] = manifest
        return found


def open_store(url: str | Path) -> StoreReader:
    """Return a reader of the store in a folder.

    Parameters
    ----------
    url
        A path or a ``file://`` URL.

    Raises
    ------
    UsageError
        If there is no such folder, or the URL is of another kind.
    """
    parts = urlsplit(str(url))
    if len(parts.scheme) > 1 and parts.scheme != "file":
        message = f"{url}: a store is opened by path or file:// URL"
        raise UsageError(message)
    root = Path(unquote(parts.path)) if parts.scheme == "file" else Path(url)
    if not root.is_dir():
        message = f"{root}: there is no such store"
        raise UsageError(message)
    return StoreReader(Store.open(root))


def _built(manifest: Manifest) -> tuple[int, str]:
    """Order artifacts of one name: the highest stage version, then any fixed order."""
    return int(manifest.document["version"]), manifest.recipe_key
