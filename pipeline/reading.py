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
from pipeline.selectors import selects
from pipeline.shards import ShardedArray
from pipeline.store import Store

if TYPE_CHECKING:
    import pyarrow as pa
    from torch.utils.data import Dataset

_IMAGE_STAGES = ("datasets", "corruptions")


class ImageSet:
    """One sealed set, or a clean split: images, labels and index."""

    def __init__(self, artifact: Artifact) -> None:
        self._artifact = artifact

    def __repr__(self) -> str:
        return f"<ImageSet {self.name} {self.images.shape}>"

    def __len__(self) -> int:
        return len(self._artifact)

    @property
    def name(self) -> str:
        """``<suite>/<dataset>/<split>/<corruption>/<severity>``, or ``<dataset>/<split>``."""
        return self._artifact.name

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; a label is a position in them."""
        return tuple(self._artifact.attributes["classes"])

    @property
    def attributes(self) -> Mapping[str, Any]:
        """What the manifest says of the dataset: title, licence, modality, synthetic, …."""
        return self._artifact.attributes

    @cached_property
    def images(self) -> ShardedArray:
        """The images, uint8 ``(N, H, W, C)``, memory-mapped; index them like a NumPy array."""
        return self._artifact.array("images")

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
        """The label of each image; of a multi-label set a list of 0 or 1 per class."""
        name = "labels" if self.attributes["task"] == "multi-label" else "label"
        return cast("list[int] | list[list[int]]", self.index([name])[name].to_pylist())

    def torch(self, transform: Callable[[Any], Any] | None = None) -> Dataset[tuple[Any, Any]]:
        """Return the set as a `torch.utils.data.Dataset` of (uint8 CHW tensor, label).

        The label is an integer, or for a multi-label set a tensor with 0 or 1 per class.

        Parameters
        ----------
        transform
            Applied to each image tensor.
        """
        from stages.embed.torch_dataset import SetDataset  # loads torch

        return SetDataset(self, transform)


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
        return ImageSet(Artifact(manifest))

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
