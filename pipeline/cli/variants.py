"""Encoders in a precision and stored in a type, and their weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.cli.study import Study


def variants(study: Study, names: Sequence[str], precision: str, dtype: str | None) -> list[str]:
    """Return the names of encoders in a precision and stored in a type."""
    return [study.encoder(stored_as(study, n, dtype)).id for n in in_precision(names, precision)]


def stored_as(study: Study, name: str, dtype: str | None) -> str:
    """Return the name of an encoder stored in a type: ``<id>@float16``; as declared, the id itself.

    Raises
    ------
    UsageError
        If the type is unknown.
    """
    from pipeline.manifest import unknown_name
    from stages.embed.loaded import TOLERANCE

    if dtype is not None and dtype not in TOLERANCE:
        raise unknown_name("dtype", dtype, TOLERANCE)
    return name if dtype in {None, study.encoder(name).dtype} else f"{name}@{dtype}"


def in_precision(names: Sequence[str], precision: str) -> list[str]:
    """Return the names of encoders in a precision: ``<id>@bf16``, in float32 the id itself."""
    from pipeline.manifest import require_known
    from stages.embed.loaded import PRECISIONS

    require_known("precision", precision, PRECISIONS)
    added = "" if precision == "float32" else f"@{precision}"
    return [name.removesuffix(added) + added for name in names]


def fetch(study: Study, encoders: Sequence[str], weights: Path | None, *, wanted: bool) -> None:
    """Fetch the weights of encoders that are missing, if that is wanted."""
    if wanted:
        from pipeline.cli.fetched_weights import fetch_weights

        fetch_weights(map(study.encoder, encoders), weights)
