"""From numbers to words: one algorithm per way of doing so, in an explicit table."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.errors import DataError
from stages.prompt.attributes import Attributes
from stages.prompt.record import FAILED, Record
from stages.prompt.schema import RuleSet
from stages.prompt.wording.context import Context
from stages.prompt.wording.poudel import word as word_poudel
from stages.prompt.wording.regions import word as word_regions
from stages.prompt.wording.tganet import word as word_tganet

ALGORITHMS: dict[str, Callable[[RuleSet, Record, Context], Attributes]] = {
    "poudel": word_poudel,
    "tganet": word_tganet,
    "regions": word_regions,
}
"""What each `algorithm` of a rule set calls."""


def word(rules: RuleSet, record: Record, context: Context) -> Attributes:
    """Return the attributes of one target in words.

    Raises
    ------
    DataError
        If the record says that nothing could be measured: there is no true sentence then.
    """
    if record.status == FAILED:
        message = f"{record.sample}: {record.error}"
        raise DataError(message)
    return ALGORITHMS[rules.algorithm](rules, record, context)
