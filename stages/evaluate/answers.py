"""What a study says, in sentences: who is most robust, to what, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from stages.evaluate.figures.ranking import Standing, ranked
from stages.evaluate.figures.views import Row, View, mean, with_interval
from stages.evaluate.significance import LEVEL
from stages.vocabulary import CLEAN

MEASURE = "average_balanced_accuracy"
"""What encoders are ranked by: balanced accuracy, which a constant predictor cannot win."""
_METRIC = "balanced_accuracy"
"""Corrected p-value below which a difference is called clear."""


def answers(view: View, comparisons: Iterable[Row] = ()) -> list[str]:
    """Return sentences about one view; none where fewer than one encoder has scores."""
    standings = ranked(view, MEASURE)
    if not standings:
        return []
    leads = _leads(view, standings, comparisons)
    found = [_most_robust(view, standings, leads)]
    if leads:
        found.append(_by_how_much(standings[1].encoder, leads))
    found += _to_what(view, standings[0].encoder)
    found += _constant(view)
    found.append(_how_sure(view))
    return found


def drops(view: View, encoder: str) -> dict[str, float]:
    """Return how much balanced accuracy each corruption costs, a fraction, largest first.

    The clean value less the mean over severities, averaged over the datasets that have both.
    """
    lost: dict[str, list[float]] = {}
    for dataset in view.datasets:
        cells = view.cells(dataset, encoder, _METRIC)
        clean = cells.get((CLEAN, 0))
        for name in view.corruptions if clean is not None else ():
            kept = mean([value for (corruption, _), value in cells.items() if corruption == name])
            if clean is not None and kept is not None:
                lost.setdefault(name, []).append(clean - kept)
    averages = {name: sum(values) / len(values) for name, values in lost.items()}
    return dict(sorted(averages.items(), key=lambda item: -item[1]))


class _Lead(NamedTuple):
    """By how much the first encoder is ahead of the second on one dataset."""

    dataset: str
    value: float
    low: float
    high: float
    p: float | None
    """Corrected by Holm."""

    @property
    def clear(self) -> bool:
        """Whether it is too large to be chance."""
        return self.p is not None and self.p < LEVEL and self.value > 0


def _leads(view: View, standings: list[Standing], comparisons: Iterable[Row]) -> list[_Lead]:
    if len(standings) < 2:
        return []
    first, second = standings[0].encoder, standings[1].encoder
    found = []
    for row in comparisons:
        pair = {row["encoder_a"], row["encoder_b"]}
        if not _of(row, view) or row["metric"] != MEASURE or pair != {first, second}:
            continue
        value = with_interval({**row, "value": row["difference"]})
        if value is not None:
            sign = 1 if row["encoder_a"] == first else -1
            low, high = sorted((sign * value[1], sign * value[2]))
            found.append(_Lead(row["dataset"], sign * value[0], low, high, row["p_holm"]))
    return found


def _most_robust(view: View, standings: list[Standing], leads: list[_Lead]) -> str:
    best = standings[0]
    over = _over(best)
    if len(standings) == 1:
        return (
            f"{best.encoder} keeps a mean balanced accuracy of {_percent(best.value)} under "
            f"corruption{over}; no other encoder was evaluated beside it."
        )
    others = ", ".join(f"{one.encoder} {_percent(one.value)}" for one in standings[1:])
    numbers = (
        f"mean balanced accuracy under corruption {_percent(best.value)}{over}; then {others}."
    )
    if leads and all(lead.clear for lead in leads):
        return f"{best.encoder} is the most robust under {view.protocol}: {numbers}"
    if not any(lead.clear for lead in leads):
        return (
            f"No encoder is clearly the most robust under {view.protocol}; {best.encoder} has the "
            f"highest {numbers}"
        )
    return (
        f"{best.encoder} is the most robust under {view.protocol} on average, though not clearly "
        f"on every dataset: {numbers}"
    )


def _over(best: Standing) -> str:
    count = len(best.by_dataset)
    return f" on {next(iter(best.by_dataset))}" if count == 1 else f", mean over {count} datasets"


def _by_how_much(second: str, leads: list[_Lead]) -> str:
    parts = []
    for lead in leads:
        told = "" if lead.p is None else f", corrected p {_p(lead.p)}"
        low, high = _points(lead.low), _points(lead.high)
        parts.append(f"{lead.dataset} {_points(lead.value)} [{low}, {high}]{told}")
    clear = sum(lead.clear for lead in leads)
    return (
        f"Ahead of {second} in percentage points: {'; '.join(parts)}. The lead is clear "
        f"(Holm-corrected p below {LEVEL}) on {clear} of {len(leads)} "
        f"dataset{'s' * (len(leads) != 1)}."
    )


def _to_what(view: View, encoder: str) -> list[str]:
    lost = drops(view, encoder)
    if len(lost) < 2:
        return []
    names = list(lost)
    worst, mildest = names[0], names[-1]
    return [
        (
            f"What costs {encoder} most is {_readable(worst)} ({_points(-lost[worst])} percentage "
            f"points of balanced accuracy, mean over severities); least is {_readable(mildest)} "
            f"({_points(-lost[mildest])})."
        )
    ]


def _constant(view: View) -> list[str]:
    constant = {
        (row["encoder"], row["dataset"])
        for row in view.results
        if row["corruption"] == CLEAN and row.get("constant_predictor")
    }
    return [
        f"{encoder} predicts a single class on {dataset}, clean: its accuracy there is a class's "
        "share, not skill."
        for encoder, dataset in sorted(constant)
    ]


def _how_sure(view: View) -> str:
    row = view.results[0]
    sizes = sorted({one["n"] for one in view.results})
    images = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    if not row.get("resamples"):
        return f"Each set has {images} images; no intervals were drawn."
    by = sorted({one["resampled_by"] for one in view.results if one.get("resampled_by")})
    return (
        f"Each set has {images} images. Brackets are {row['confidence']:.0%} intervals from "
        f"{row['resamples']} bootstrap resamples by {' or '.join(by)}, drawn jointly over sets "
        "and encoders; they tell the uncertainty of this test split, not of another hospital's."
    )


def _of(row: Row, view: View) -> bool:
    names = ("suite", "split", "protocol", "template", "prompts")
    return all(row.get(name) == getattr(view, name) for name in names)


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _readable(name: str) -> str:
    return name.replace("_", " ")
