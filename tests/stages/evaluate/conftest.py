"""Predictions that imitate an encoder whose accuracy falls with severity."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from stages.evaluate.predictions import Predictions

CORRUPTIONS = ("gaussian_noise", "zoom_blur")

MakeSystem = Callable[..., list[Predictions]]


def _system(
    encoder: str = "texture",
    *,
    dataset: str = "toy",
    n: int = 60,
    classes: int = 3,
    skill: float = 3.0,
    loss: float = 0.4,
    corruptions: tuple[str, ...] = CORRUPTIONS,
    severities: tuple[int, ...] = (1, 2, 3, 4, 5),
    groups: tuple[str | None, ...] | None = None,
    seed: int = 0,
) -> list[Predictions]:
    labels = np.arange(n) % classes
    sets = [("clean", 0)] + [(c, s) for c in corruptions for s in severities]
    found = []
    for index, (corruption, severity) in enumerate(sets):
        # Each encoder, skill and set has noise of its own; the labels are always the same.
        rng = np.random.default_rng([seed, index, len(encoder), round(100 * skill)])
        logits = rng.normal(size=(n, classes))
        logits[np.arange(n), labels] += skill - loss * severity
        powers = np.exp(logits)
        found.append(
            Predictions(
                suite="medimeta-c",
                dataset=dataset,
                split="test",
                corruption=corruption,
                severity=severity,
                encoder=encoder,
                protocol="linear-probe",
                seed=0,
                ids=tuple(f"sample-{i}" for i in range(n)),
                labels=labels,
                scores=powers / powers.sum(axis=1, keepdims=True),
                groups=groups,
            )
        )
    return found


@pytest.fixture
def make_system() -> MakeSystem:
    """Return a builder of the clean and corrupted predictions of one imitated encoder."""
    return _system
