"""From masks to measured records: numbers of each target and each of its regions."""

from __future__ import annotations

from stages.prompt.measure.measuring import SPECK_SHARE, measure
from stages.prompt.measure.table import records_from, records_table

__all__ = ["SPECK_SHARE", "measure", "records_from", "records_table"]
