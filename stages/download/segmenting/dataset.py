"""A segmentation dataset opened where its files lie."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.errors import DataError, MissingInputError
from stages.download.schema import SPLITS, Split
from stages.download.segmenting.figshare import FigshareReader
from stages.download.segmenting.forms import FigshareForm
from stages.download.segmenting.lists import names_in
from stages.download.segmenting.membership import Membership, membership, shown
from stages.download.segmenting.nifti import NiftiReader
from stages.download.segmenting.pairs import PairsReader
from stages.download.segmenting.polygons import PolygonsReader
from stages.download.segmenting.reading import Entry, FormReader, Sample, ids_of, sample_of
from stages.download.segmenting.schema import SegmentationDataset, Target
from stages.download.segmenting.tree import Tree


class DatasetReader:
    """The samples of a dataset, all splits; pixels are read when asked for.

    Raises
    ------
    DataError
        When no file is an image, or files are not what the manifest says as far as names tell.
    """

    def __init__(
        self,
        dataset: SegmentationDataset,
        tree: Tree,
        masks: Tree | None,
        lists: Mapping[str, Path],
    ) -> None:
        self.dataset = dataset
        self._trees = [tree] if masks is None else [tree, masks]
        self._tree = tree
        self._lists = lists
        try:
            self._reader = form_reader(dataset, tree, masks)
            self.ids = ids_of(self._reader.entries)
        except DataError as error:
            raise DataError(f"{dataset.id}: {error}") from error
        if not self.ids:
            raise DataError(f"{dataset.id}: {_nothing(dataset, tree)}")

    @property
    def entries(self) -> Sequence[Entry]:
        """Every image, sorted by path."""
        return self._reader.entries

    @property
    def strays(self) -> Sequence[str]:
        """Mask files (of annotation files: the images they name) without an image."""
        return self._reader.strays

    @property
    def report(self) -> Mapping[str, Any]:
        """What the published lists of the split set repeat, share and leave out."""
        return self._membership.report

    def rows(self, split: Split) -> tuple[int, ...]:
        """Return which of the entries are in a split.

        Raises
        ------
        DataError
            When lists or folders do not give what the manifest says.
        """
        return self._membership.rows[split]

    def sample(self, row: int) -> Sample:
        """Return the sample of an entry; what cannot be read has a status and an error."""
        found = sample_of(self._reader, self.entries[row])
        message = found.error
        for tree in self._trees:
            message = tree.portable(message)
        return dataclasses.replace(found, error=message)

    @cached_property
    def _membership(self) -> Membership:
        files = self.dataset.split_set.files
        lists: dict[Split, list[str]] = {}
        for split in SPLITS:
            for number, source in enumerate(files.of(split) if files else ()):
                role = f"{split}-list-{number}"
                path = self._tree.at(source) if isinstance(source, str) else self._lists[role]
                lists.setdefault(split, []).extend(names_in(path, files.form if files else ""))
        return membership(self.dataset, self.entries, lists)


def reader_of(dataset: SegmentationDataset, folders: Mapping[str, Path]) -> DatasetReader:
    """Return the reader of a dataset whose files lie in `folders`, by role.

    Parameters
    ----------
    folders
        `source`, `source-1`, ... hold the dataset, `masks` the masks where they lie elsewhere, and
        `<split>-list-<number>` one published list each.

    Raises
    ------
    MissingInputError
        When the source has not been fetched.
    DataError
        When the files are not what the manifest says, as far as can be told without the pixels.
    """
    roots = [path for role, path in sorted(folders.items()) if role.split("-")[0] == "source"]
    if not roots:
        message = f"{dataset.id}: its files have not been fetched"
        raise MissingInputError(message)
    masks = Tree(folders["masks"]) if "masks" in folders else None
    lists = {role: _only_file(path) for role, path in folders.items() if "-list-" in role}
    return DatasetReader(dataset, Tree(*roots), masks, lists)


def form_reader(dataset: SegmentationDataset, tree: Tree, masks: Tree | None) -> FormReader:
    """Return the reader of the dataset's form."""
    form = dataset.reader
    return _READERS[form.form](form, dataset.targets, tree, masks)


_READERS: Mapping[str, Callable[[Any, Sequence[Target], Tree, Tree | None], FormReader]] = {
    "pairs": PairsReader,
    "nifti": lambda form, targets, tree, _masks: NiftiReader(form, targets, tree),
    "polygons": lambda form, targets, tree, _masks: PolygonsReader(form, targets, tree),
    "figshare-mat": lambda form, _targets, tree, _masks: FigshareReader(form, tree),
}
"""Reader of each `form` that a manifest of a segmentation dataset may name."""


def _only_file(folder: Path) -> Path:
    return next(iter(sorted(folder.iterdir())))


def _nothing(dataset: SegmentationDataset, tree: Tree) -> str:
    form = dataset.reader
    patterns = form.files if isinstance(form, FigshareForm) else form.images
    wanted = patterns if isinstance(patterns, str) else " or ".join(patterns)
    there = shown(tree.paths) or "nothing"
    return f"no file matches the pattern of images {wanted}; there is {there}"
