"""What the prompts of one published record state, also where they do not agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from pipeline.errors import DataError
from stages.prompt.published.rows import Dispute, Stated


def stated(prompts: Mapping[str, Sequence[str]], family: str) -> Stated:
    """Return the attributes that the prompts p0 to pN of one target state.

    They are read together, as each leaves less for the next to say; where that fails, each text
    for itself. Of several words for one attribute the one that most texts have is taken; a text
    that follows no template adds what can be made out of it, where no other says it.

    Parameters
    ----------
    prompts : mapping
        Texts of each prompt.
    family : str
        Whose templates they follow.
    """
    from stages.prompt.published.parse import parse_prompts

    try:
        together = parse_prompts({name: list(texts) for name, texts in prompts.items()}, family)
    except DataError:
        return _one_by_one(prompts, family)
    return Stated(together.values)


def _one_by_one(prompts: Mapping[str, Sequence[str]], family: str) -> Stated:
    from stages.prompt.published.parse import parse_prompts, parse_text

    said: dict[str, list[tuple[str, str]]] = {}
    guessed: dict[str, str] = {}
    strange = []
    for name, texts in prompts.items():
        for text in filter(None, texts):
            try:
                values = parse_prompts({name: text}, family).values
            except DataError:
                strange.append(name)
                guessed |= parse_text(text)
                continue
            for attribute, word in values.items():
                said.setdefault(attribute, []).append((name, word))
    words = {
        attribute: Counter(word for _, word in found).most_common(1)[0][0]
        for attribute, found in said.items()
    }
    disputes = tuple(
        Dispute(attribute, tuple({word: f"{name}: {word}" for name, word in found}.values()))
        for attribute, found in said.items()
        if len({word for _, word in found}) > 1
    )
    return Stated(guessed | words, disputes, tuple(dict.fromkeys(strange)))
