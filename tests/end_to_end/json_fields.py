"""The fields of what commands print as JSON, with their types."""

from __future__ import annotations

from typing import Any

from tests.end_to_end.options import at

NUMBER = (int, float)
ARTIFACT = {
    "stage": str,
    "name": str,
    "recipe_key": str,
    "content_digest": (str, type(None)),
    "state": str,
    "rows": int,
    "bytes": int,
}
UNIT = {"stage": str, "name": str, "reason": str, "rows": int, "bytes": int}
PROBLEM = {"artifact": str, "file": str, "kind": str, "detail": str}
SYSTEM = {"suite": str, "dataset": str, "encoder": str, "protocol": str, "metric": str}
METRICS = (
    *("accuracy", "balanced_accuracy", "macro_f1", "auroc", "ece", "brier", "nll", "error"),
    *("flip_rate", "detection_auroc"),
)
HIGHEST = {"brier": 2, "nll": 37}
INTERVAL = {"value": NUMBER, "n": int, "ci_low": NUMBER, "ci_high": NUMBER}
RESULT = {
    **SYSTEM,
    **INTERVAL,
    "split": str,
    "corruption": str,
    "severity": int,
    "template": (str, type(None)),
    "k": (int, type(None)),
    "seed": int,
}
UNDEFINED = type(None)
SUMMARY = {
    **SYSTEM,
    "n": int,
    "value": (*NUMBER, UNDEFINED),
    "ci_low": (*NUMBER, UNDEFINED),
    "ci_high": (*NUMBER, UNDEFINED),
    "baseline": (str, UNDEFINED),
    "undefined": (str, UNDEFINED),
}
COMPARISON = {
    "suite": str,
    "dataset": str,
    "protocol": str,
    "encoder_a": str,
    "encoder_b": str,
    "metric": str,
    "corruption": (str, UNDEFINED),
    "severity": (int, UNDEFINED),
    "difference": NUMBER,
    "ci_low": NUMBER,
    "ci_high": NUMBER,
    "test": str,
    "p": NUMBER,
    "p_holm": NUMBER,
    "p_bh": NUMBER,
    "family": int,
    "n": int,
}
SKIPPED = {"what": str, "reason": str, "command": str}


def require_fields(rows: list[dict[str, Any]], fields: dict[str, Any]) -> None:
    """Assert that there are rows, and that each has at least these fields of these types."""
    assert rows
    for row in rows:
        assert fields.keys() <= row.keys()
        for name, kind in fields.items():
            assert isinstance(row[name], kind), (name, row)
            assert not isinstance(row[name], bool), (name, row)


def in_state(pipeline: Any, source: Any, state: str) -> set[str]:
    """Return `<stage>/<name>` of the artifacts in a state."""
    rows = pipeline("status", *at(source), "--json").json["artifacts"]
    assert {row["state"] for row in rows} <= {"sealed", "missing", "stale", "damaged"}
    return {f"{row['stage']}/{row['name']}" for row in rows if row["state"] == state}
