"""`pipeline verify --recompute`: rows made once more and compared with what is stored."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.cli.study import Study
from pipeline.plan import make_plan
from pipeline.runner import Manner, run
from pipeline.store import Store
from pipeline.unit import Node
from tests.end_to_end.options import at
from tests.end_to_end.tiny_clip import MANIFEST, write_tiny_clip

SET = "corruptions/medimeta-c/tiny/test/contrast/3"
EMBEDDED = "embeddings/texture/tiny/test"


def folder_of(source: Any, label: str) -> Path:
    """Return the one folder of an artifact."""
    (found,) = (source.folder / "store" / label).iterdir()
    return found


def build_anew(source: Any, node: Node) -> None:
    """Remove an artifact and build it in this process, as the test has changed it."""
    store = Store.open(source.folder / "store")
    shutil.rmtree(store.folder(node.recipe))
    store = Store.open(source.folder / "store")
    run(store, make_plan(store, [node]), Manner(1)).raise_failures()


def recompute(pipeline: Any, source: Any, *arguments: object, rc: int) -> dict[str, Any]:
    """Return what `verify --recompute --json` says."""
    asks = ("verify", *arguments, *at(source), "--json")
    if "--recompute" not in arguments:
        asks += ("--recompute", 24)
    answer = pipeline(*asks, rc=rc)
    assert "Traceback" not in answer.stderr
    return answer.json


def test_a_whole_store_is_made_again(pipeline: Any, read_only_tiny: Any) -> None:
    """Sets and embeddings come out as stored; what cannot be made by rows is only read."""
    document = recompute(pipeline, read_only_tiny, "--recompute", 2, rc=0)
    assert document["schema"] == "medshards/verify/1"
    assert document["problems"] == []
    # 35 sets, and two encoders on them and on three clean splits, of which one only by texture.
    sealed = pipeline("list", "artifacts", *at(read_only_tiny)[:2], "--json").json["artifacts"]
    stages = [row["stage"] for row in sealed]
    made = stages.count("corruptions") + stages.count("embeddings")
    assert document["recomputed"] == {
        "seed": 0,
        "artifacts": made,
        "rows": 2 * made,
        "not_recomputed": [],
    }
    text = pipeline("verify", *at(read_only_tiny), SET, "--recompute", 100, "--seed", 7).stdout
    assert text.endswith("recomputed 24 rows of 1 artifacts, drawn by seed 7: 0 differ\n")


def test_without_it_nothing_is_made(pipeline: Any, read_only_tiny: Any) -> None:
    """`verify` alone says what it said before, and loads neither kernels nor models."""
    document = pipeline("verify", *at(read_only_tiny), SET, "--json").json
    assert document.keys() == {"schema", "artifacts", "bytes", "problems"}
    loaded = pipeline.modules("verify", *at(read_only_tiny), SET, mode="isolated")
    assert not loaded & {"torch", "numba", "cv2"}


def test_embeddings_of_another_encoder(
    pipeline: Any, tiny_built: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sealed embeddings that the declared encoder does not give are told row by row."""
    from stages.embed.loaders import texture

    describe = texture._describe

    def changed(images: Any) -> Any:
        found = describe(images)
        found[:, 7] += np.float32(0.25)
        return found

    study = Study(Store.open(tiny_built.folder / "store"), tiny_built.manifests)
    node = study.embedding("texture", study.split("tiny", "test"))
    monkeypatch.setattr(texture, "load", replace(texture._FORMULA, describe=changed).load)
    build_anew(tiny_built, node)
    assert pipeline("verify", *at(tiny_built), EMBEDDED).rc == 0
    document = recompute(pipeline, tiny_built, EMBEDDED, "--recompute", 5, rc=5)
    ids = Store.open(tiny_built.folder / "store").artifact(node.recipe).index(["id"])["id"]
    assert len(document["problems"]) == document["recomputed"]["rows"] == 5
    for problem in document["problems"]:
        assert problem["kind"] == "recompute"
        assert problem["artifact"] == EMBEDDED
        assert (tiny_built.folder / "store" / problem["file"]).is_dir()
        assert problem["array"] == "embeddings"
        assert problem["id"] == ids[problem["row"]].as_py()
        assert problem["difference"] == pytest.approx(0.25, abs=1e-5)
        assert problem["tolerance"] == 1e-4
        assert repr(problem["id"]) in problem["detail"]
    other = recompute(pipeline, tiny_built, EMBEDDED, "--recompute", 5, "--seed", 1, rc=5)
    rows = [{one["row"] for one in found["problems"]} for found in (document, other)]
    assert rows[0] != rows[1]
    told = pipeline("verify", *at(tiny_built), EMBEDDED, "--recompute", 2, rc=5).stdout
    assert told.count("recompute: embeddings/texture/tiny/test/") == 2
    assert "differs by 0.25 from what is made now; at most 0.0001 is allowed" in told
    assert told.endswith("recomputed 2 rows of 1 artifacts, drawn by seed 0: 2 differ\n")
    # Every byte is as it was sealed: the artifact is not damaged.
    states = pipeline("status", *at(tiny_built), EMBEDDED, "--json").json["artifacts"]
    assert {one["state"] for one in states} == {"sealed"}


def test_a_set_with_one_changed_pixel(
    pipeline: Any, tiny_built: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One grey level in one image of a set that is sealed with it is found."""
    from stages.corrupt import rendering

    render = rendering.render_rows

    def changed(*of: Any) -> Any:
        drawn = render(*of)
        out = of[5]
        out[5, 3, 4, 0] ^= 1
        return drawn

    study = Study(Store.open(tiny_built.folder / "store"), tiny_built.manifests)
    label = SET.partition("/")[2]
    (node,) = [n for n in study.sets("medimeta-c", "tiny", "test") if n.recipe.name == label]
    monkeypatch.setattr(rendering, "render_rows", changed)
    build_anew(tiny_built, node)
    assert pipeline("verify", *at(tiny_built), SET).rc == 0
    (problem,) = recompute(pipeline, tiny_built, SET, rc=5)["problems"]
    assert (problem["array"], problem["row"]) == ("images", 5)
    assert (problem["difference"], problem["tolerance"]) == (1, 0)
    assert "it must be equal" in problem["detail"]


def test_what_is_not_declared_any_more(pipeline: Any, tiny_built: Any) -> None:
    """Without the manifest of the dataset its sets cannot be made, which is told."""
    tiny_built.declaration.unlink()
    document = recompute(pipeline, tiny_built, SET, EMBEDDED, rc=4)
    assert document["problems"] == []
    (left_out,) = document["recomputed"]["not_recomputed"]
    assert left_out["artifact"] == SET
    assert "not declared" in left_out["reason"]
    assert "'tiny'" in left_out["reason"]
    assert "--manifests" in left_out["reason"]
    assert document["recomputed"]["artifacts"] == 1
    answer = pipeline("verify", SET, *at(tiny_built), "--recompute", 1, rc=4)
    assert f"not recomputed: {SET}: " in answer.stderr


def test_damage_is_not_made_again(pipeline: Any, tiny_built: Any) -> None:
    """A damaged artifact is told once, and embeddings of a damaged set say what to do."""
    shard = next(folder_of(tiny_built, SET).glob("images/c.0*"))
    content = bytearray(shard.read_bytes())
    content[5000] ^= 1
    shard.write_bytes(content)
    document = recompute(pipeline, tiny_built, SET, rc=5)
    assert [one["kind"] for one in document["problems"]] == ["changed"]
    assert document["recomputed"]["artifacts"] == 0
    of_it = SET.replace("corruptions", "embeddings/texture")
    (problem,) = recompute(pipeline, tiny_built, of_it, rc=5)["problems"]
    assert problem["kind"] == "recompute"
    assert f"{SET} is damaged" in problem["detail"]


def test_learned_encoders(pipeline: Any, tiny_built: Any) -> None:
    """Images and class prompts of a CLIP are made again; without or with other weights told so."""
    weights = write_tiny_clip(tiny_built.folder)
    (tiny_built.manifests / "encoders").mkdir()
    (tiny_built.manifests / "encoders" / "tiny.toml").write_text(MANIFEST)
    tiny_built.declare(prompts='{names = ["a dark image", "a bright image"]}')
    given = ("--weights", weights, "--device", "cpu")
    only = ("--datasets", "tiny", "--only", SET.partition("/")[2])
    pipeline("embed", "--model", "tiny-clip", *only, *at(tiny_built), *given, "--batch-size", 5)
    of_it = ("embeddings/tiny-clip", "prompt-embeddings/tiny-clip")
    document = recompute(pipeline, tiny_built, *of_it, *given, rc=0)
    store = Store.open(tiny_built.folder / "store")
    sealed = [one for one in store.manifests() if "tiny-clip" in one.name]
    assert {one.stage for one in sealed} == {"embeddings", "prompt-embeddings"}
    assert document["recomputed"]["artifacts"] == len(sealed)
    assert all(one.attributes["probe_rows"] >= 1 for one in sealed)

    without = recompute(pipeline, tiny_built, *of_it, rc=4)["recomputed"]
    assert without["artifacts"] == 0
    for left_out in without["not_recomputed"]:
        assert "pipeline doctor --model tiny-clip" in left_out["reason"]

    other = MANIFEST.replace("bicubic", "bilinear")
    (tiny_built.manifests / "encoders" / "tiny.toml").write_text(other)
    changed = recompute(pipeline, tiny_built, *of_it, *given, rc=4)["recomputed"]
    assert len(changed["not_recomputed"]) == len(sealed)
    for left_out in changed["not_recomputed"]:
        assert "what makes it has changed (parameter identity." in left_out["reason"]
        assert "`pipeline embed --model tiny-clip --datasets tiny --store " in left_out["reason"]
