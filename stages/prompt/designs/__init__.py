"""From words to prompts: the papers' P0 to P9, MedCLIPSeg's five designs, attribute swaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stages.prompt.designs.families import family_prompts
from stages.prompt.designs.robustness import robustness_prompts
from stages.prompt.designs.swaps import swap_prompts

if TYPE_CHECKING:
    from pipeline.stream import Stream
    from stages.prompt.attributes import Attributes, Prompt
    from stages.prompt.record import Record
    from stages.prompt.schema import RuleSet


def prompts_of(
    rules: RuleSet, family: str, attributes: Attributes, record: Record, stream: Stream
) -> tuple[Prompt, ...]:
    """Return every prompt of one target: designs of its family, of robustness, and swaps.

    The choice among several templates of a prompt is that of `stream`, the sample's own.
    """
    return (
        *family_prompts(rules, family, attributes, stream),
        *robustness_prompts(rules, family, attributes, record, stream),
        *swap_prompts(rules, family, attributes, stream),
    )
