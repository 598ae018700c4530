"""Speed of evaluation: sealed predictions in; metrics, aggregates and comparisons out.

``python -m benchmarks.evaluate [--quick] [--workers 4] [--patients]`` seals generated predictions
of five encoders under three protocols on the 175 corrupted sets of five datasets of 1,000 images,
then times what ``pipeline eval`` computes from them: every metric of every set with its interval
from 1,000 resamples, the aggregates, and all pairs of encoders. It ends with the same metrics of a
few sets in a loop over resamples with scikit-learn, side by side. It exits with 1 if the
target of 60 seconds is missed (not under ``--quick``, which takes fewer encoders and
protocols and scales nothing).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.resampling_loop import LOOP_METRICS, loop_intervals
from pipeline.artifact import Artifact
from pipeline.plan import make_plan
from pipeline.recipe import Recipe
from pipeline.runner import Manner, run
from pipeline.store import Store
from pipeline.unit import Node, Unit, UnitWriter
from stages.evaluate.bootstrap import Resampling, interval
from stages.evaluate.comparison_stage import comparison_node
from stages.evaluate.metrics import METRICS
from stages.evaluate.metrics.contract import Batch
from stages.evaluate.pairs import comparable, corrected
from stages.evaluate.predictions import System
from stages.evaluate.protocols.contract import softmax
from stages.evaluate.schema import Bootstrap
from stages.evaluate.stage import PREDICTIONS, VERSIONS, result_nodes, summary_node
from stages.evaluate.systems import SystemInputs
from stages.vocabulary import CLEAN

TARGET_SECONDS = 60.0
SAMPLES = 1000
CLASSES = {"blood": 8, "mammography": 2, "chest": 3, "fundus": 5, "oct": 4}
CORRUPTIONS = ("noise", "impulses", "motion", "zoom", "brightness", "contrast", "pixels")
ENCODERS = ("baseline", "second", "third", "fourth", "fifth")
PROTOCOLS = ("zero-shot", "linear-probe", "prototype")
SETTINGS = Bootstrap(resamples=1000)
LOOP_SETS = 2
LOOP_RESAMPLES = 50


class Generate:
    """Makes the predictions of one system on the sets of one corruption from random logits."""

    parallel = True

    def __init__(self, system: System, corruption: str, patients: bool) -> None:
        self._system = system
        self._corruption = corruption
        self._patients = patients

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Write one row per set and sample."""
        import pyarrow as pa

        from stages.evaluate.prediction_table import prediction_table

        del unit, inputs
        samples = pa.table(
            {
                "id": [f"image-{i:05}" for i in range(SAMPLES)],
                "patient_id": [
                    f"patient-{i // 4}" if self._patients else "" for i in range(SAMPLES)
                ],
                "label": pa.array(_labels(self._system.dataset), pa.int32()),
            }
        )
        tables = [
            prediction_table(samples, corruption, severity, scores)
            for (corruption, severity), scores in zip(_sets(), _scores(self._system), strict=True)
            if corruption == self._corruption
        ]
        writer.table(pa.concat_tables(tables))
        writer.attributes["logit_scale"] = None


def main() -> None:
    """Run all measurements and print them beside their target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two encoders, one protocol")
    parser.add_argument("--workers", type=int, default=min(4, os.cpu_count() or 1))
    parser.add_argument("--patients", action="store_true", help="four images per patient")
    options = parser.parse_args()
    encoders, protocols = (ENCODERS[:2], PROTOCOLS[:1]) if options.quick else (ENCODERS, PROTOCOLS)
    systems = [
        System("medimeta-c", dataset, "test", encoder, protocol, None, None, k=None, seed=0)
        for dataset in CLASSES
        for protocol in protocols
        for encoder in encoders
    ]
    with tempfile.TemporaryDirectory() as folder:
        seconds = _evaluation(Path(folder), systems, options.workers, options.patients)
    _side_by_side(systems[0])
    sys.exit(not options.quick and seconds > TARGET_SECONDS)


def _evaluation(folder: Path, systems: list[System], workers: int, patients: bool) -> float:
    store = Store.open(folder / "store")
    predictions = {system: _prediction_nodes(system, patients) for system in systems}
    inputs = [SystemInputs(system, predictions[system][CLEAN], ()) for system in systems]
    _run(store, [node for each in predictions.values() for node in each.values()], workers)
    nodes = {
        "metrics": [
            node
            for of in inputs
            for node in result_nodes(of, SETTINGS, predictions[of.system]).values()
        ],
        "aggregates": [
            summary_node(
                of,
                ENCODERS[0],
                SETTINGS,
                predictions[of.system],
                predictions[_baseline_of(of.system)],
            )
            for of in inputs
        ],
        "comparisons": [
            comparison_node(pair, ENCODERS[0], SETTINGS, predictions, multi_label=False)
            for pair in comparable(predictions)
        ],
    }
    total, cpu = 0.0, time.process_time()
    for name, group in nodes.items():
        seconds = _run(store, group, workers)
        total += seconds
        rows = sum(store.artifact(node.recipe).index().num_rows for node in group)
        print(f"{name:12} {len(group):4} artifacts, {rows:6} rows: {seconds:5.1f} s")
    start = time.perf_counter()
    found = [
        row for n in nodes["comparisons"] for row in store.artifact(n.recipe).index().to_pylist()
    ]
    corrected(found)
    total += time.perf_counter() - start
    sets = len(systems) * (len(_sets()) - 1)
    print(
        f"all          {sets} corrupted sets of {SAMPLES} images, {SETTINGS.resamples} resamples, "
        f"{workers} workers: {total:.1f} s, {time.process_time() - cpu:.0f} s of processor time "
        f"(target {TARGET_SECONDS:.0f} s for all systems)"
    )
    return total


def _side_by_side(system: System) -> None:
    """Time the metrics of a few sets here and in a loop over resamples with scikit-learn."""
    labels = _labels(system.dataset)
    scores = _scores(system)[:LOOP_SETS]
    ids = [f"image-{i:05}" for i in range(SAMPLES)]
    drawn = Resampling.draw(system.dataset, "test", ids, None, SETTINGS)
    start = time.perf_counter()
    found = {
        name: interval(METRICS[name](Batch(labels, scores, 0), drawn.weights), 0.95)
        for name in LOOP_METRICS
    }
    here = time.perf_counter() - start
    start = time.perf_counter()
    few = drawn.weights[:LOOP_RESAMPLES]
    looped = loop_intervals(labels, scores, few, 0.95)
    there = (time.perf_counter() - start) * len(drawn.weights) / LOOP_RESAMPLES
    for name in LOOP_METRICS:
        same = interval(METRICS[name](Batch(labels, scores, 0), few), 0.95)
        if not np.allclose(same, looped[name], atol=1e-9):
            message = f"{name}: the loop has {looped[name]}, not {same}"
            raise SystemExit(message)
    print(
        f"side by side {LOOP_SETS} sets, {len(found)} metrics, {len(drawn.weights)} resamples, one "
        f"thread: {here:.2f} s here, {there:.0f} s in a loop with scikit-learn ({LOOP_RESAMPLES} "
        f"resamples timed, same intervals): {there / here:.0f} times faster"
    )


def _prediction_nodes(system: System, patients: bool) -> dict[str, Node]:
    nodes = {}
    for corruption in dict.fromkeys(name for name, _ in _sets()):
        parameters: dict[str, Any] = {"system": system._asdict(), "patients": patients}
        name = f"{system.protocol}/{system.encoder}/{system.dataset}/{corruption}"
        version = VERSIONS[PREDICTIONS]
        recipe = Recipe(PREDICTIONS, name, version, parameters | {"sets": corruption}, {})
        rows = SAMPLES * sum(other == corruption for other, _ in _sets())
        stage = Generate(system, corruption, patients)
        nodes[corruption] = Node(recipe, stage, rows=rows, row_bytes=80, slots=rows)
    return nodes


def _run(store: Store, nodes: list[Node], workers: int) -> float:
    start = time.perf_counter()
    run(store, make_plan(store, nodes), Manner(workers)).raise_failures()
    return time.perf_counter() - start


def _baseline_of(system: System) -> System:
    return system._replace(encoder=ENCODERS[0])


def _sets() -> list[tuple[str, int]]:
    return [(CLEAN, 0), *((name, severity) for name in CORRUPTIONS for severity in range(1, 6))]


def _labels(dataset: str) -> NDArray[np.int64]:
    return np.random.default_rng(0).integers(0, CLASSES[dataset], SAMPLES)


def _scores(system: System) -> NDArray[np.float64]:
    """Return probabilities whose skill falls with severity, (sets, n, K)."""
    rng = np.random.default_rng(list(f"{system.dataset}{system.encoder}{system.protocol}".encode()))
    labels, classes = _labels(system.dataset), CLASSES[system.dataset]
    found = []
    for _, severity in _sets():
        logits = rng.normal(size=(SAMPLES, classes))
        logits[np.arange(SAMPLES), labels] += 2.0 - 0.25 * severity
        found.append(softmax(2 * logits))
    return np.stack(found)


if __name__ == "__main__":
    main()
