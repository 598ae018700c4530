"""Image files and mask files that belong together by their names."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from pipeline.errors import DataError
from stages.download.readers.pictures import decode_native
from stages.download.segmenting.forms import Attribute, PairsForm
from stages.download.segmenting.masks import MaskFile, read_mask
from stages.download.segmenting.meanings import (
    Layer,
    absent,
    colour_layers,
    label_layers,
    layer_of,
    merged,
)
from stages.download.segmenting.patterns import Pattern
from stages.download.segmenting.reading import Entry, NoMaskError, Sample, require_size
from stages.download.segmenting.reports import REPORT, Reports
from stages.download.segmenting.targets import Target
from stages.download.segmenting.tree import Tree

STRETCHED = "image-stretched"
"""Finding of a sample whose image had more than 8 bits."""


class PairsReader:
    """Pairs images and masks by the names that their patterns share.

    Parameters
    ----------
    targets
        What the masks show.
    images
        Files among which the images are.
    masks
        Files among which the masks are; default: the same.
    """

    def __init__(
        self, form: PairsForm, targets: Sequence[Target], images: Tree, masks: Tree | None = None
    ) -> None:
        self.form = form
        self._targets = targets
        self._images = images
        self._masks = masks or images
        patterns = {text: Pattern(text) for text in form.masks}
        patterns |= {text: Pattern(text) for target in targets for text in target.masks}
        self._found = {text: _matches(each, self._masks) for text, each in patterns.items()}
        taken = {self._masks.at(path) for found in self._found.values() for path in found}
        self._named = _first_matches(form.images, images, taken)
        self._reports = Reports(form.report, images) if form.report else None
        self.entries = self._entries()
        used = {path for entry in self.entries for path in entry.mask_paths}
        matched = {path for found in self._found.values() for path in found}
        self.strays = tuple(sorted(matched - used))

    def load(self, entry: Entry) -> Sample:
        """Return the arrays of an entry; see `FormReader.load`."""
        image, stretched = decode_native(
            self._images.at(entry.path), stretch=self.form.deep == "stretched"
        )
        files: dict[str, MaskFile] = {}
        for path in entry.mask_paths:
            files[path] = read_mask(self._masks.at(path))
            require_size(str(self._masks.at(path)), files[path].shape, image)
        if self.form.without_mask == "fault":
            self._require_masks(entry)
        height, width = image.shape[:2]
        known: dict[str, dict[str, Layer]] = {}
        layers = []
        for row, paths in enumerate(entry.masks):
            if len(paths) > 1 and self.form.merge is None:
                message = (
                    f"{entry.path}: {len(paths)} masks ({', '.join(paths)}); say how they become "
                    'one (merge = "union"), or which one it is by a pattern'
                )
                raise DataError(message)
            parts = [self._layer(row, path, files[path], known) for path in paths]
            layer = merged(parts) if parts else absent((height, width))
            found = (*layer.findings, STRETCHED) if stretched else layer.findings
            layers.append(dataclasses.replace(layer, findings=found))
        return Sample(image, tuple(layers), metadata=self._told(entry))

    def _told(self, entry: Entry) -> dict[str, str]:
        """Return what files beside the image tell of it."""
        _, names = self._named[entry.path]
        report = self._reports.of(names) if self._reports is not None else ""
        return {REPORT: report} if report else {}

    def _require_masks(self, entry: Entry) -> None:
        without = [
            target.name
            for target, paths in zip(self._targets, entry.masks, strict=True)
            if not paths
        ]
        if without:
            several = f" of {', '.join(without)}" if len(self._targets) > 1 else ""
            message = f"{entry.path}: there is no mask file{several}"
            raise NoMaskError(message)

    def _layer(
        self, row: int, path: str, file: MaskFile, known: dict[str, dict[str, Layer]]
    ) -> Layer:
        """Return what a file says of a target; `known` keeps what it says of all that share it."""
        name, form, target = str(self._masks.at(path)), self.form, self._targets[row]
        if target.masks or form.meaning not in {"labels", "colours"}:
            return layer_of(name, file, form.meaning, target, form.threshold)
        if path not in known:
            # Which label or colour a pixel has depends on all targets that share the file.
            sharing = [each for each in self._targets if not each.masks]
            read = colour_layers if form.meaning == "colours" else label_layers
            found = read(name, file, sharing)
            known[path] = {each.name: layer for each, layer in zip(sharing, found, strict=True)}
        return known[path][target.name]

    def _entries(self) -> tuple[Entry, ...]:
        shared: _Shared = {}
        for image in self.form.images:
            for mask, found in self._found.items():
                common = tuple(sorted(Pattern(image).names & Pattern(mask).names))
                shared[image, mask] = (common, _by_names(found, common))
        return tuple(
            Entry(
                path,
                tuple(
                    _files(names, target.masks or self.form.masks, pattern, shared)
                    for target in self._targets
                ),
                _filled(self.form.listed_as, names),
                names.get("patient"),
                words(self.form.metadata, names),
            )
            for path, (pattern, names) in self._named.items()
        )


def words(
    declared: Mapping[Attribute, Mapping[str, Mapping[str, str]]], names: Mapping[str, str]
) -> dict[str, str]:
    """Return the attributes that the names of an image tell; see `PairsForm.metadata`."""
    found: dict[str, str] = {}
    for attribute, tables in declared.items():
        for name, table in tables.items():
            value = names.get(name)
            word = table.get(value) if table and value else value and value.lower()
            if word:
                found[attribute] = word
    return found


_Shared: TypeAlias = dict[tuple[str, str], tuple[tuple[str, ...], dict[tuple[str, ...], list[str]]]]
"""By patterns of images and masks: the names they share, and mask files by these names' values."""


def _matches(pattern: Pattern, tree: Tree) -> dict[str, dict[str, str]]:
    found = {path: pattern.match(path) for path in tree.paths}
    return {path: names for path, names in found.items() if names is not None}


def _first_matches(
    patterns: Sequence[str], tree: Tree, taken: set[Path]
) -> dict[str, tuple[str, dict[str, str]]]:
    """Return `{path: (pattern, names)}` of the files that are images, sorted by path."""
    found: dict[str, tuple[str, dict[str, str]]] = {}
    for text in patterns:
        for path, names in _matches(Pattern(text), tree).items():
            if path not in found and tree.at(path) not in taken:
                found[path] = (text, names)
    return dict(sorted(found.items()))


def _by_names(
    found: Mapping[str, Mapping[str, str]], shared: Sequence[str]
) -> dict[tuple[str, ...], list[str]]:
    """Return the mask files by their values of the shared names."""
    grouped: dict[tuple[str, ...], list[str]] = {}
    for path, names in found.items() if shared else ():
        grouped.setdefault(tuple(names[name] for name in shared), []).append(path)
    return grouped


def _files(
    names: Mapping[str, str], masks: Sequence[str], pattern: str, shared: _Shared
) -> tuple[str, ...]:
    files: dict[str, None] = {}
    for mask in masks:
        common, found = shared[pattern, mask]
        files |= dict.fromkeys(found.get(tuple(names[name] for name in common), ()))
    return tuple(sorted(files))


def _filled(listed_as: str, names: Mapping[str, str]) -> str:
    return Pattern(listed_as).fill(names) if listed_as else ""
