"""What a study says, in sentences: who is most robust, to what, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable

from stages.evaluate.figures.ranking import Standing, ranked
from stages.evaluate.figures.views import Row, View, mean, with_interval
from stages.evaluate.predictions import CLEAN

MEASURE = "average_balanced_accuracy"
"""What encoders are ranked by: balanced accuracy, which a constant predictor cannot win."""
_METRIC = "balanced_accuracy"
_CERTAIN = 0.05
"""Corrected p-value below which a difference is called clear."""


def answers(view: View, comparisons: Iterable[Row] = ()) -> list[str]:
    """Return sentences about one view; none where fewer than one encoder has scores."""
    standings = ranked(view, MEASURE)
    if not standings:
        return []
    found = [_most_robust(view, standings)]
    found += _by_how_much(view, standings, list(comparisons))
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


def _most_robust(view: View, standings: list[Standing]) -> str:
    best = standings[0]
    over = _over(best)
    if len(standings) == 1:
        return (
            f"{best.encoder} keeps a mean balanced accuracy of {_percent(best.value)} under "
            f"corruption{over}; no other encoder was evaluated beside it."
        )
    others = ", ".join(f"{one.encoder} {_percent(one.value)}" for one in standings[1:])
    return (
        f"{best.encoder} is the most robust under {view.protocol}: mean balanced accuracy under "
        f"corruption {_percent(best.value)}{over}; then {others}."
    )


def _over(best: Standing) -> str:
    count = len(best.by_dataset)
    return f" on {next(iter(best.by_dataset))}" if count == 1 else f", mean over {count} datasets"


def _by_how_much(view: View, standings: list[Standing], comparisons: list[Row]) -> list[str]:
    if len(standings) < 2:
        return []
    first, second = standings[0].encoder, standings[1].encoder
    parts, clear, total = [], 0, 0
    for row in comparisons:
        pair = {row["encoder_a"], row["encoder_b"]}
        if not _of(row, view) or row["metric"] != MEASURE or pair != {first, second}:
            continue
        value = with_interval({**row, "value": row["difference"]})
        if value is None:
            continue
        sign = 1 if row["encoder_a"] == first else -1
        low, high = sorted((sign * value[1], sign * value[2]))
        p = row["p_holm"]
        total += 1
        clear += p is not None and p < _CERTAIN and sign * value[0] > 0
        told = "" if p is None else f", corrected p {_p(p)}"
        parts.append(
            f"{row['dataset']} {_points(sign * value[0])} [{_points(low)}, {_points(high)}]{told}"
        )
    if not parts:
        return []
    return [
        (
            f"Ahead of {second} in percentage points: {'; '.join(parts)}. The lead is clear "
            f"(Holm-corrected p below {_CERTAIN}) on {clear} of {total} datasets."
        )
    ]


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
