"""`pipeline gc` on a store in which something was built again."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def test_what_a_newer_version_replaced_is_freed(
    pipeline: Any, tiny: Any, store: Path, whole: Any
) -> None:
    """After a dataset has changed, its old version goes once nothing kept was made from it."""
    at = ("--store", store, "--manifests", tiny.manifests)
    build = ("build", "corruptions", *at, "--datasets", "tiny", "--from", tiny.data)
    only = ("--only", "medimeta-c/tiny/test/contrast/1")
    pipeline(*build, *only)
    arrays = tiny.arrays()
    arrays["test_images"][0] = 0
    tiny.write(arrays)
    pipeline("build", "datasets", *at, "--datasets", "tiny", "--from", tiny.data)
    told = pipeline("gc", *at, "--grace", "0s", "--dry-run", "--json").json
    # The set was made from the old split, and nothing has replaced it yet.
    names = {f"{row['stage']}/{row['name']}" for row in told["artifacts"]}
    assert "datasets/tiny/test" not in names
    assert not [name for name in names if name.startswith("corruptions/")]
    pipeline(*build, *only)
    freed = pipeline("gc", *at, "--grace", "0s", "--json").json
    names = {f"{row['stage']}/{row['name']}" for row in freed["artifacts"]}
    assert {"datasets/tiny/test", "corruptions/medimeta-c/tiny/test/contrast/1"} <= names
    assert {row["reason"] for row in freed["artifacts"]} <= {"superseded"}
    states = pipeline("status", *at, "--json").json["artifacts"]
    assert not [row for row in states if row["state"] == "stale"]
    whole(store)
    pipeline(*build, *only)
    assert (
        pipeline("gc", *at, "--grace", "0s", "--root", "demo", rc=None).refused(
            2, "nothing of run 'demo'"
        )
        is None
    )
