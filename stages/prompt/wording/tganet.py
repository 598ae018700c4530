"""The words of TGANet (Tomar et al. 2022), by its training code `mask_to_text`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import DataError
from stages.prompt.attributes import Attributes
from stages.prompt.record import EMPTY
from stages.prompt.wording.sizes import size_word
from stages.prompt.wording.told import absent, attributes_of, told_words

if TYPE_CHECKING:
    from stages.prompt.record import Record
    from stages.prompt.schema import RuleSet
    from stages.prompt.wording.context import Context

ONE, MULTIPLE = "one", "multiple"


def word(rules: RuleSet, record: Record, context: Context) -> Attributes:
    """Return the number, "one" or "multiple", and the size of the last bounding box.

    TGANet's code says "multiple" of a mask without any box and then stops for want of a size.
    Here an empty target is absent (number "no", count 0), and one that is too small to have a box
    at 256 x 256 has neither number nor size word.

    Raises
    ------
    DataError
        If the record lacks what the code measures.
    """
    if record.status == EMPTY:
        return absent(rules, context)
    measures = record.tganet
    if measures is None:
        message = f"{record.sample}, {record.target}: the record has no measures of this rule set"
        raise DataError(message)
    words = {name: told for name, told in told_words(context).items() if name == "class"}
    if measures.boxes == 0:
        return attributes_of(words, max(1, len(record.regions)), rules, context)
    words["number"] = (ONE if measures.boxes == 1 else MULTIPLE, "measured")
    words["size"] = (size_word(rules.sizes, measures.last_box_share), "measured")
    return attributes_of(words, measures.boxes, rules, context)
