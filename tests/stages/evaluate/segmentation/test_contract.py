"""Every metric keeps the contract; what empty masks give is declared here."""

from __future__ import annotations

from stages.evaluate.segmentation import METRICS
from stages.evaluate.segmentation.testing import AS_EVER, UNDEFINED, SegmentationMetricContract


class TestDice(SegmentationMetricContract):
    name = "dice"
    heeds_rule = True
    both_empty, reference_empty, prediction_empty = 1.0, 0.0, 0.0


class TestIou(SegmentationMetricContract):
    name = "iou"
    heeds_rule = True
    both_empty, reference_empty, prediction_empty = 1.0, 0.0, 0.0


class TestNsd(SegmentationMetricContract):
    name = "nsd"
    heeds_rule = True
    both_empty, reference_empty, prediction_empty = 1.0, 0.0, 0.0


class TestNsdMedclipseg(SegmentationMetricContract):
    name = "nsd-medclipseg"
    both_empty, reference_empty, prediction_empty = 1.0, 0.0, 0.0


class TestSensitivity(SegmentationMetricContract):
    name = "sensitivity"
    both_empty, reference_empty, prediction_empty = UNDEFINED, UNDEFINED, 0.0


class TestSpecificity(SegmentationMetricContract):
    name = "specificity"
    both_empty, reference_empty, prediction_empty = 1.0, AS_EVER, 1.0


class TestBrier(SegmentationMetricContract):
    name = "brier"
    both_empty, reference_empty, prediction_empty = 0.0, AS_EVER, AS_EVER


class TestBrierForeground(SegmentationMetricContract):
    name = "brier-foreground"
    both_empty, reference_empty, prediction_empty = UNDEFINED, UNDEFINED, 1.0


class TestSpearman(SegmentationMetricContract):
    name = "spearman"
    low = -1.0
    both_empty, reference_empty, prediction_empty = UNDEFINED, AS_EVER, AS_EVER


class TestSpearmanForeground(SegmentationMetricContract):
    name = "spearman-foreground"
    low = -1.0
    both_empty, reference_empty, prediction_empty = UNDEFINED, UNDEFINED, UNDEFINED


def test_every_metric_of_the_table_is_under_the_contract() -> None:
    """A metric that is listed has a subclass here."""
    tested = {suite.name for suite in SegmentationMetricContract.__subclasses__()}
    assert tested == set(METRICS)
