"""Verifies a remote store: every file is read in full and compared with its digest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.artifact import ALIAS, MANIFEST
from pipeline.documents import parse_document
from pipeline.errors import PipelineError, VerificationError
from pipeline.published import PUBLISHED, records_of
from pipeline.sharing.holdings import Holdings, in_parallel
from pipeline.sharing.names import Place
from pipeline.sharing.recipes import path_of_recipe
from pipeline.sharing.streams import Checked
from pipeline.sharing.trouble import AbsentError
from pipeline.verify import Problem


def verify_remote(
    holdings: Holdings,
    selected: Callable[[str], bool] = lambda _: True,
    *,
    workers: int = 1,
    progress: Callable[[str, int], None] = lambda _label, _bytes: None,
) -> list[Problem]:
    """Return every problem of the artifacts whose label is selected.

    Raises
    ------
    StoreError
        If the remote cannot be reached, which says nothing about what it holds.
    """
    places = [place for place in holdings.files if selected(place.label)]
    found = in_parallel(lambda place: _artifact(holdings, place, progress), places, workers)
    recipes = [place for place in holdings.recipes if selected(place.label)]
    found += in_parallel(lambda place: _recipe(holdings, place), recipes, workers)
    return [problem for problems in found for problem in problems]


def _recipe(holdings: Holdings, place: Place) -> list[Problem]:
    try:
        holdings.manifest(place)
    except PipelineError as error:
        return [Problem(place.label, path_of_recipe(place), "manifest", str(error))]
    return []


def _artifact(
    holdings: Holdings, place: Place, progress: Callable[[str, int], None]
) -> list[Problem]:
    files = holdings.files[place]
    if MANIFEST not in files:
        return list(_unsealed(holdings, place))
    try:
        manifest = holdings.manifest(place)
        published = holdings.published(place)
    except VerificationError as error:
        return [Problem(place.label, f"{place.path}/{MANIFEST}", "manifest", str(error))]
    beside = dict(published.files) if published else {}
    problems: list[Problem] = []
    for path, entry in sorted({**manifest.files, **beside}.items()):
        problems.extend(_file(holdings, place, path, entry))
    for path in records_of(manifest):
        if path not in beside:
            problems.extend(_record(holdings, place, path))
    known = {MANIFEST, ALIAS, PUBLISHED, *manifest.files, *beside, *records_of(manifest)}
    for path in sorted(files.keys() - known):
        detail = "no manifest knows this file"
        problems.append(Problem(place.label, f"{place.path}/{path}", "unexpected", detail))
    progress(place.label, manifest.nbytes)
    return problems


def _unsealed(holdings: Holdings, place: Place) -> Iterator[Problem]:
    kind, detail = "unsealed", "begun and never sealed: push it again to complete it"
    if ALIAS in holdings.files[place]:
        try:
            if holdings.resolve(place) is not None:
                return
            detail = "the artifact that it stands for is gone: push it again"
        except VerificationError as error:
            kind, detail = "manifest", str(error)
    yield Problem(place.label, place.path, kind, detail)


def _file(
    holdings: Holdings, place: Place, path: str, entry: Mapping[str, Any]
) -> Iterator[Problem]:
    """Stream a file; tell if it is not the promised one after all attempts."""
    remote = holdings.remote
    below = f"{place.path}/{path}"

    def read() -> None:
        pieces = remote.pieces(below, int(entry["bytes"]))
        for _ in Checked(pieces, int(entry["bytes"]), entry["blake3"], remote.patience):
            pass

    size = holdings.files[place].get(path)
    if remote.lists and size is not None and size > entry["bytes"]:
        detail = f"{size} bytes instead of {entry['bytes']}"
        yield Problem(place.label, below, "changed", detail)
        return
    try:
        remote.keep_trying(below, read)
    except AbsentError:
        yield Problem(place.label, below, "missing", "the file is gone")
    except VerificationError as error:
        short = size is not None and size < entry["bytes"]
        yield Problem(place.label, below, "truncated" if short else "changed", str(error))


def _record(holdings: Holdings, place: Place, path: str) -> Iterator[Problem]:
    below = f"{place.path}/{path}"
    data = holdings.remote.read_small(below)
    if data is None:
        yield Problem(place.label, below, "missing", "the file is gone")
        return
    try:
        parse_document(data, Path(below))
    except PipelineError as error:
        yield Problem(place.label, below, "manifest", str(error))
