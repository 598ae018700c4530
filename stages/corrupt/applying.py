"""What a suite is for given images: the corruptions of their dataset, severities for their size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.errors import ManifestError, UsageError
from pipeline.manifest import Declared, require_known
from stages.corrupt.schema import CorruptionDeclaration, SuiteManifest


def applied(
    suite: SuiteManifest,
    suites: Mapping[str, SuiteManifest],
    *,
    dataset: str | None,
    height: int | None,
    width: int | None,
) -> SuiteManifest:
    """Return `suite` for images of one dataset and size: a plain list of corruptions.

    Parameters
    ----------
    suite : SuiteManifest
    suites : mapping
        Every known suite by id, for one that lies between two others.
    dataset : str, optional
        Id of the dataset without its size, such as ``"bloodmnist"``; None for an image of none.
    height, width : int, optional
        Pixels; None for images that have each their own size.

    Raises
    ------
    UsageError
        If the suite has no corruptions for `dataset`, or depends on a size that the images do not
        have in common.
    ManifestError
        If the suites that it lies between are unknown or do not agree on their corruptions.
    """
    if suite.between:
        if height is None or width is None:
            raise _needs_a_size(suite, dataset)
        return _interpolated(suite, suites, min(height, width))
    if not any(corruption.datasets for corruption in suite.corruptions):
        return suite
    chosen = [
        corruption.model_copy(update={"datasets": ()})
        for corruption in suite.corruptions
        if not corruption.datasets or dataset in corruption.datasets
    ]
    if not chosen:
        known = ", ".join(sorted(suite.datasets))
        of = "an image of no dataset" if dataset is None else f"dataset {dataset}"
        message = f"suite {suite.id} has no corruptions for {of}; it has some for {known}"
        if dataset is None:
            message += f": name one, as in '{suite.id}/{min(suite.datasets)}'"
        raise UsageError(message)
    return suite.model_copy(update={"corruptions": tuple(chosen)})


def covers(suite: SuiteManifest, dataset: str) -> bool:
    """Return whether `suite` has corruptions for the dataset."""
    return not suite.datasets or dataset in suite.datasets


def _needs_a_size(suite: SuiteManifest, dataset: str | None) -> UsageError:
    small, large = (f"{anchor.suite} ({anchor.side} pixels)" for anchor in suite.between)
    return UsageError(
        f"suite {suite.id} takes its severities from the size of the images, between {small} and "
        f"{large}, but those of {dataset or 'this dataset'} have each their own size, so that one "
        "severity would not be one; choose one of the two suites"
    )


def _interpolated(
    suite: SuiteManifest, suites: Mapping[str, SuiteManifest], side: int
) -> SuiteManifest:
    """Return the severities for images of `side` pixels, linear in it and constant outside."""
    small, large = suite.between
    for anchor in suite.between:
        require_known("suite", anchor.suite, suites)
    first, second = suites[small.suite], suites[large.suite]
    if first.between or second.between or first.datasets or second.datasets:
        message = f"suite {suite.id}: neither suite may have datasets or lie between others itself"
        raise ManifestError(message)
    names = [corruption.name for corruption in first.corruptions]
    if names != [corruption.name for corruption in second.corruptions]:
        message = f"suite {suite.id}: {first.id} and {second.id} list different corruptions"
        raise ManifestError(message)
    share = min(max((side - small.side) / (large.side - small.side), 0.0), 1.0)
    pairs = zip(first.corruptions, second.corruptions, strict=True)
    between = tuple(_between(suite, *pair, share) for pair in pairs)
    return suite.model_copy(update={"between": (), "corruptions": between})


def _between(
    suite: SuiteManifest, first: CorruptionDeclaration, second: CorruptionDeclaration, share: float
) -> CorruptionDeclaration:
    if first.kernel != second.kernel:
        message = f"suite {suite.id}: {first.name} has two kernels, {first.kernel}, {second.kernel}"
        raise ManifestError(message)
    severities = tuple(
        type(a).model_validate(_mixed(a, b, share))
        for a, b in zip(first.severities, second.severities, strict=True)
    )
    nearer = first if share < 0.5 else second
    falls = (*nearer.falls, *suite.falls.get(nearer.name, ()))
    update = {"settings": {}, "severities": severities, "falls": falls}
    return nearer.model_copy(update=update)


def _mixed(first: Declared, second: Declared, share: float) -> dict[str, Any]:
    """Return numbers between those of two tables; whole numbers stay whole, words the nearer."""
    mixed: dict[str, Any] = {}
    for name, a in first.model_dump().items():
        b = getattr(second, name)
        if a is None or isinstance(a, str):
            mixed[name] = a if share < 0.5 else b
        elif isinstance(a, int):
            mixed[name] = int((1.0 - share) * a + share * b + 0.5)
        else:
            mixed[name] = round((1.0 - share) * a + share * b, 6)
    return mixed
