"""Error against severity, as the paper's Figure 8: severity 0 is the clean split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipeline.drawing import Panel, finished, looks, panel_axes
from stages.evaluate.errors_under_corruption import SMALLEST_BASELINE_ERROR
from stages.evaluate.figures.views import View, mean
from stages.vocabulary import CLEAN

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def severity_panels(view: View) -> list[Panel]:
    """Return a panel per dataset: each encoder's mean error over corruptions, by severity."""
    return [
        _panel(view, dataset, errors, "error, %", "error")
        for dataset in view.datasets
        if (errors := _errors(view, dataset))
    ]


def relative_severity_panels(view: View) -> list[Panel]:
    """Return the same errors relative to the baseline's at that severity, as Figure 8 shows them.

    Severities at which the baseline hardly errs are left out; there is no panel without a baseline
    and an encoder beside it.
    """
    return [
        _panel(view, dataset, relative, f"error relative to {view.baseline}, %", "relative-error")
        for dataset in view.datasets
        if len(relative := _relative(_errors(view, dataset), view.baseline)) > 1
    ]


def _errors(view: View, dataset: str) -> dict[str, dict[int, float]]:
    found = {encoder: error_by_severity(view, dataset, encoder) for encoder in view.encoders}
    return {encoder: errors for encoder, errors in found.items() if errors}


def error_by_severity(view: View, dataset: str, encoder: str) -> dict[int, float]:
    """Return the mean error over the corruptions that have each severity; 0 is the clean split."""
    cells = view.cells(dataset, encoder, "error")
    severities = sorted({severity for _, severity in cells})
    found = {
        severity: mean([value for (_, at), value in cells.items() if at == severity])
        for severity in severities
    }
    return {severity: value for severity, value in found.items() if value is not None}


def _relative(
    errors: Mapping[str, Mapping[int, float]], baseline: str | None
) -> dict[str, dict[int, float]]:
    against = errors.get(baseline or "", {})
    usable = {at: value for at, value in against.items() if value >= SMALLEST_BASELINE_ERROR}
    return {
        encoder: {at: value / usable[at] for at, value in found.items() if at in usable}
        for encoder, found in errors.items()
        if usable
    }


def _panel(
    view: View, dataset: str, lines: Mapping[str, Mapping[int, float]], label: str, kind: str
) -> Panel:
    styles = looks(view.encoders)
    with panel_axes() as (figure, axes):
        for encoder, found in lines.items():
            values = [100 * value for value in found.values()]
            axes.plot(list(found), values, label=encoder, **styles[encoder])
        severities = sorted({severity for found in lines.values() for severity in found})
        axes.set_xticks(severities, [CLEAN if at == 0 else str(at) for at in severities])
        axes.set_xlabel("severity")
        axes.set_ylabel(label)
        place_legend(axes)
        title = f"{dataset}: {label}"
        alt = f"{title} by severity: {_told(lines)}"
        return finished(figure, f"{view.name}-{dataset}-{kind}", title, alt)


def place_legend(axes: Axes) -> None:
    """Put the legend below the axes, where it hides nothing."""
    axes.figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)


def _told(lines: Mapping[str, Mapping[int, float]]) -> str:
    parts = [
        f"{encoder} from {100 * found[min(found)]:.1f} to {100 * found[max(found)]:.1f}"
        for encoder, found in lines.items()
        if found
    ]
    return "; ".join(parts)
