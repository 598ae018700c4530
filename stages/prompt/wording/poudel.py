"""The words of Poudel et al., by the released medvlsm scripts with their quirks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import DataError
from stages.prompt.attributes import Attributes
from stages.prompt.record import EMPTY
from stages.prompt.wording.shapes import shape_word
from stages.prompt.wording.sizes import size_word
from stages.prompt.wording.told import absent, attributes_of, number_word, told_words

if TYPE_CHECKING:
    from stages.prompt.record import PoudelMeasures, Record
    from stages.prompt.schema import RuleSet
    from stages.prompt.wording.context import Context


def word(rules: RuleSet, record: Record, context: Context) -> Attributes:
    """Return the attributes of a target as `features_from_img.py` words them.

    - number: of the 4-connected components, specks included, in words (`num2words`);
    - size: the words of all components, each once, in the order of `rules.sizes`, joined by ", ";
      components that cover no more than `rules.minimum_area` have none, and if none has, neither
      has the target;
    - location: the place of every component, specks included, joined by ", ", in the frame of the
      image whatever `context.frame` says;
    - shape and colour: from `context.answers` where given, as the paper took them from a VQA
      model, else measured: the shape of the largest region by `rules.shapes`, the colour inside
      the whole target.

    A target that is empty, or of which the scripts' threshold at 127.5 leaves nothing, is absent.

    Raises
    ------
    DataError
        If the record lacks what the scripts measure.
    """
    measures = record.poudel
    if measures is None and record.status != EMPTY:
        message = f"{record.sample}, {record.target}: the record has no measures of this rule set"
        raise DataError(message)
    if measures is None or record.status == EMPTY or measures.number == 0:
        return absent(rules, context)
    words = told_words(context)
    words["number"] = (number_word(measures.number), "measured")
    words["size"] = (_sizes(rules, measures), "measured")
    words["location"] = (", ".join(measures.places), "measured")
    for name, measured in _looks(rules, record).items():
        if not words[name][0]:
            words[name] = (measured, "measured")
    return attributes_of(words, measures.number, rules, context)


def _sizes(rules: RuleSet, measures: PoudelMeasures) -> str:
    found = {
        size_word(rules.sizes, coverage)
        for coverage in measures.coverages
        if coverage > rules.minimum_area
    }
    return ", ".join(size.word for size in rules.sizes if size.word in found)


def _looks(rules: RuleSet, record: Record) -> dict[str, str]:
    largest = max(record.regions, key=lambda region: region.area, default=record.whole)
    return {
        "shape": shape_word(rules.shapes, largest) if largest else "",
        "colour": (record.whole.colour if record.whole else None) or "",
    }
