"""What `verify` and `status` say of damage, as JSON."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tests.damage import empty_slot, flip
from tests.end_to_end.json_fields import PROBLEM, in_state, require_fields
from tests.end_to_end.options import at


def test_verify_and_status_of_a_damaged_store(pipeline: Any, tiny_built: Any) -> None:
    """Every kind of damage is found and told; `status` remembers it and `eval` refuses it."""
    store = tiny_built.folder / "store"
    sets = store / "corruptions/medimeta-c/tiny/test"

    def shard(name: str, pattern: str) -> Path:
        (found,) = (sets / name).glob(f"*/{pattern}")
        return found

    flip(shard("contrast/1", "images/c.0*"), 5000)
    flip(shard("contrast/2", "index/00000.parquet"), -100)
    flip(shard("contrast/3", "manifest.json"), 60)
    flip(shard("contrast/4", "records/00000.json"), 60)
    flip(shard("contrast/5", "images/zarr.json"), 60)
    truncated = shard("brightness/1", "images/c.0*")
    truncated.write_bytes(truncated.read_bytes()[:-500])
    slots = shard("brightness/2", "images/c.0*")
    empty_slot(slots, item=3, items=24)
    removed = shard("brightness/3", "index/00000.parquet")
    table = pq.read_table(removed)
    pq.write_table(table.slice(0, 23), removed)
    shard("brightness/4", "index/00000.parquet").unlink()
    (shard("brightness/5", "images") / "c.1.0.0.0").write_bytes(b"strange")
    (store / "staging" / "1234-abcdef").mkdir()

    answer = pipeline("verify", "--store", store, "--json", rc=5)
    document = answer.json
    assert document["schema"] == "medshards/verify/1"
    require_fields(document["problems"], PROBLEM)
    kinds = {
        (p["artifact"].removeprefix("corruptions/medimeta-c/tiny/test/"), p["kind"])
        for p in document["problems"]
    }
    assert kinds == {
        ("contrast/1", "changed"),
        ("contrast/2", "changed"),
        ("contrast/3", "manifest"),
        ("contrast/4", "manifest"),
        ("contrast/5", "changed"),
        ("brightness/1", "truncated"),
        ("brightness/2", "missing_chunk"),
        ("brightness/3", "missing_row"),
        ("brightness/4", "missing"),
        ("brightness/5", "unexpected"),
        ("", "leftover_staging"),
    }
    for problem in document["problems"]:
        assert (store / problem["file"]).exists() or problem["kind"] == "missing"

    names = [f"{name}/{i}" for name in ("contrast", "brightness") for i in range(1, 6)]
    damaged = {f"corruptions/medimeta-c/tiny/test/{name}" for name in names}
    assert in_state(pipeline, tiny_built, "damaged") == damaged
    told = pipeline("explain", "medimeta-c/tiny/test/contrast/1", *at(tiny_built), "--json")
    assert "the last verify found: changed" in told.json["artifacts"][0]["reasons"][0]
    told = pipeline("explain", "medimeta-c/tiny/test/contrast/3", *at(tiny_built), "--json")
    assert "its manifest was changed" in told.json["artifacts"][0]["reasons"][0]
    build = ("build", "corruptions", "--datasets", "tiny", *at(tiny_built))
    answer = pipeline(*build, rc=5)
    assert "pipeline verify" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_damaged_set_is_built_again(pipeline: Any, tiny_built: Any) -> None:
    """Removing the folder that the message names and building again mends the store."""
    store = tiny_built.folder / "store"
    (folder,) = (store / "corruptions/medimeta-c/tiny/test/contrast/1").iterdir()
    (shard,) = folder.glob("images/c.0*")
    flip(shard, 5000)
    pipeline("verify", "corruptions", "--store", store, rc=5)
    build = ("build", "corruptions", "--datasets", "tiny", *at(tiny_built))
    assert f"remove {folder}" in pipeline(*build, rc=5).stderr
    shutil.rmtree(folder)
    pipeline(*build)
    pipeline("verify", "--store", store)
    of_systems = (1 + 8 + 8 + 1) * 4
    assert len(in_state(pipeline, tiny_built, "sealed")) == 1 + 3 + 35 + 2 * 38 + of_systems + 2


def test_verify_of_a_whole_store(pipeline: Any, read_only_tiny: Any) -> None:
    """Without problems it exits 0 and says how much it has read."""
    document = pipeline("verify", "--store", read_only_tiny.folder / "store", "--json").json
    assert document["schema"] == "medshards/verify/1"
    assert document["problems"] == []
    assert document["artifacts"] > 100
    assert document["bytes"] > 1_000_000
