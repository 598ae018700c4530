"""Which set was measured: what every analysis says of it, in its rows and in its figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pyarrow as pa

_NAMED: Final = ("suite", "dataset", "split", "corruption", "severity", "synthetic")


@dataclass(frozen=True, kw_only=True)
class SourceSet:
    """A set, or a clean split as seen from a suite."""

    suite: str
    dataset: str
    split: str
    corruption: str
    """Or "clean"."""
    severity: int
    """0 for the clean split."""
    synthetic: bool
    """Whether the images were computed, not taken from people."""
    content_digest: str
    """Of the artifact that was read."""

    @property
    def row(self) -> str:
        """Dataset and split, as figures name it."""
        return f"{self.dataset}/{self.split}"

    @property
    def titled(self) -> str:
        """Dataset and split, and that the images are synthetic if so."""
        return f"{self.row}{' (synthetic)' if self.synthetic else ''}"

    @property
    def identity(self) -> dict[str, Any]:
        """The values of `identity_columns`."""
        return {name: getattr(self, name) for name in _NAMED}


def identity_columns() -> list[pa.Field]:
    """Return the columns that say which set a row is of."""
    import pyarrow as pa

    from pipeline.tables import column

    return [
        column("suite", pa.string(), "", "corruption suite"),
        column("dataset", pa.string(), "", "dataset"),
        column("split", pa.string(), "", "split"),
        column("corruption", pa.string(), "", 'corruption, or "clean"'),
        column("severity", pa.int32(), "1", "severity, 0 for the clean split"),
        column("synthetic", pa.bool_(), "", "whether the images are computed, not of people"),
    ]
