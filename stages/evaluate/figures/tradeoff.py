"""Accuracy against robustness, as the paper's Figure 6."""

from __future__ import annotations

from pipeline.drawing import Panel, finished, looks, panel_axes
from stages.evaluate.figures.severity import place_legend
from stages.evaluate.figures.views import View


def tradeoff_panels(view: View) -> list[Panel]:
    """Return one panel per dataset: mean accuracy under corruption across, mCE upwards.

    Only datasets on which an encoder has both are drawn; bars are the bootstrap intervals.
    """
    panels = []
    styles = looks(view.encoders)
    for dataset in view.datasets:
        points = {
            encoder: (accuracy, error)
            for encoder in view.encoders
            if (accuracy := view.value(dataset, encoder, "average_accuracy"))
            and (error := view.value(dataset, encoder, "mce"))
        }
        if not points:
            continue
        with panel_axes() as (figure, axes):
            for encoder, (across, up) in points.items():
                axes.errorbar(
                    100 * across[0],
                    100 * up[0],
                    xerr=[[100 * (across[0] - across[1])], [100 * (across[2] - across[0])]],
                    yerr=[[100 * (up[0] - up[1])], [100 * (up[2] - up[0])]],
                    linestyle="none",
                    elinewidth=1,
                    label=encoder,
                    **styles[encoder],
                )
            axes.set_xlabel("mean accuracy under corruption, %  (better →)")
            axes.set_ylabel("mCE, %  (← better)")
            place_legend(axes)
            title = f"{dataset}: accuracy and robustness"
            told = [
                f"{encoder} {100 * a[0]:.1f} % accuracy, mCE {100 * e[0]:.1f}"
                for encoder, (a, e) in points.items()
            ]
            alt = f"{title}: {'; '.join(told)}"
            panels.append(finished(figure, f"{view.name}-{dataset}-tradeoff", title, alt))
    return panels
