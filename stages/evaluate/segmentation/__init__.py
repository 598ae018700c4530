"""Metrics of predicted masks at the reference's native size.

::

    from stages.evaluate.segmentation import score_mask, summarise

    scores = [score_mask(predicted, reference) for predicted, reference in images]
    summarise(scores)["nsd"].mean

What empty masks give:

======================  ==============  ================  ================  ======================
metric                  both empty      reference empty   prediction empty  reference fills image
======================  ==============  ================  ================  ======================
dice, iou, nsd          1 (or           0                 0                 as ever
                        undefined)
nsd-medclipseg          1               0                 0                 as ever
sensitivity             undefined       undefined         0                 as ever
specificity             1               as ever           1                 undefined
brier                   as ever         as ever           as ever           as ever
brier-foreground        undefined       undefined         as ever           as ever
spearman                as ever; undefined where uncertainty or error is the same in every pixel
spearman-foreground     undefined       undefined         as spearman       as spearman
======================  ==============  ================  ================  ======================

MONAI's `compute_dice` and `compute_iou` leave every image with an empty reference out by default,
false positives included; with `ignore_empty=False` they are these. DeepMind's functions have no
value where both masks are empty.
"""

from __future__ import annotations

from stages.evaluate.segmentation.contract import Score
from stages.evaluate.segmentation.scoring import METRICS, score_label_map, score_mask
from stages.evaluate.segmentation.summary import Summary, summarise

__all__ = ["METRICS", "Score", "Summary", "score_label_map", "score_mask", "summarise"]
