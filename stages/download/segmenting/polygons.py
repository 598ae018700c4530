"""Images whose masks are polygons or run lengths in JSON files (CheXlocalize)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from stages.download.readers.pictures import decode_native
from stages.download.segmenting.forms import PolygonsForm
from stages.download.segmenting.meanings import Layer, absent, filled
from stages.download.segmenting.patterns import Pattern
from stages.download.segmenting.reading import Entry, NoMaskError, Sample, require_size
from stages.download.segmenting.shapes import from_polygons, from_run_lengths, size_of
from stages.download.segmenting.targets import Target
from stages.download.segmenting.tree import Tree
from stages.download.text_files import open_table

_NO_FINDINGS = {"No Finding"}
_OTHER_COLUMNS = {"Path", "Study", "Sex", "Age", "Frontal/Lateral", "AP/PA"}


class PolygonsReader:
    """Pairs images with annotations by the image's names joined by `_`."""

    def __init__(self, form: PolygonsForm, targets: Sequence[Target], tree: Tree) -> None:
        self._form = form
        self._targets = targets
        self._tree = tree
        self._annotations = _annotations(form, tree)
        findings = _Findings(tree.at(path) for path in form.labels)
        pattern = Pattern(form.images)
        entries = []
        for path in tree.paths:
            names = pattern.match(path)
            if names is None:
                continue
            key = "_".join(names.values())
            if key not in self._annotations and form.without_mask == "skip":
                continue
            metadata = {"view": names["side"].lower()} if "side" in names else {}
            metadata |= findings.of(path)
            files = tuple(self._file(key) for _ in targets)
            entries.append(Entry(path, files, key, names.get("patient"), metadata))
        self.entries: Sequence[Entry] = tuple(entries)
        known = {entry.listed_as for entry in entries}
        self.strays: Sequence[str] = tuple(sorted(self._annotations.keys() - known))
        """Annotated images that are not among the files."""

    def load(self, entry: Entry) -> Sample:
        """Return the arrays of an entry; see `FormReader.load`."""
        image, _ = decode_native(self._tree.at(entry.path))
        if entry.listed_as not in self._annotations and self._form.without_mask == "fault":
            message = f"{entry.path}: no annotation file names {entry.listed_as}"
            raise NoMaskError(message)
        _, declared = self._annotations.get(entry.listed_as, ("", {}))
        by_name = {_plain(name): shapes for name, shapes in declared.items() if name != "img_size"}
        size = declared.get("img_size")
        layers = [
            self._layer(entry, size, by_name.get(_plain(target.name)), image)
            for target in self._targets
        ]
        return Sample(image, tuple(layers))

    def _layer(self, entry: Entry, size: object, shapes: object, image: NDArray[np.uint8]) -> Layer:
        height, width = image.shape[:2]
        if shapes is None:
            return absent((height, width))
        try:
            if isinstance(shapes, Mapping):
                own = size_of(shapes.get("size"))
                require_size(f"annotation of {entry.listed_as}", own, image)
                return filled(from_run_lengths(shapes.get("counts", ""), own))
            own = size_of(size)
            require_size(f"annotation of {entry.listed_as}", own, image)
            return filled(from_polygons(shapes, own))
        except DataError as error:
            message = f"{entry.path}: {error}"
            raise DataError(message) from error

    def _file(self, key: str) -> tuple[str, ...]:
        return (self._annotations[key][0],) if key in self._annotations else ()


def _annotations(form: PolygonsForm, tree: Tree) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return `{image: (file, its annotations)}` of all annotation files."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for name in form.annotations:
        path = tree.at(name)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            message = f"{path}: cannot be read as JSON: {error}"
            raise DataError(message) from error
        if not isinstance(content, dict) or not all(isinstance(v, dict) for v in content.values()):
            message = f"{path}: is not of the form {{image: {{target: shapes}}}}"
            raise DataError(message)
        if twice := sorted(content.keys() & found.keys()):
            message = f"{path}: {twice[0]} is in {found[twice[0]][0]} too"
            raise DataError(message)
        found |= {image: (name, shapes) for image, shapes in content.items()}
    return found


class _Findings:
    """The findings of each image or study in CSV files, in the order of their columns."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._by_end: dict[str, str] = {}
        for path in paths:
            self._read(path)

    def of(self, path: str) -> dict[str, str]:
        """Return the attribute `pathology` of an image, where its path or folder is listed."""
        parts = path.split("/")
        for known in (parts, parts[:-1]):
            for start in range(len(known)):
                if (found := self._by_end.get("/".join(known[start:]))) is not None:
                    return {"pathology": found} if found else {}
        return {}

    def _read(self, path: Path) -> None:
        with open_table(path) as table:
            lines = list(table)
        for line in lines:
            place = line.get("Path") or line.get("Study")
            if place is None:
                message = f"{path}: needs the column Path or Study"
                raise DataError(message)
            present = [
                name
                for name, value in line.items()
                if name not in _OTHER_COLUMNS | _NO_FINDINGS and value in {"1", "1.0"}
            ]
            # Of a path only the end is sure to be that of the files here: patient/study/view.
            parts = place.split("/")
            depth = 3 if line.get("Path") else 2
            self._by_end["/".join(parts[-depth:])] = ", ".join(present)


def _plain(name: str) -> str:
    """Return a target's name in lower case with `-` for whatever is no letter or digit."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
