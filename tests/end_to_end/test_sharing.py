"""`pipeline push`, `pull`, `verify` and `list` of shared stores, as a lab would run them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.documents import seal_document
from tests.end_to_end.conftest import CommandLine, TinySource
from tests.faulty_server import Fault, faulty_server

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

ONE = "medimeta-c/open/test/contrast/3"
LICENCE = '{{spdx = "{spdx}", redistribution = "{most}", share_alike = {alike}, source = "a page"}}'
CLOSED = LICENCE.format(spdx="LicenseRef-closed", most="recipes", alike="false")
ALIKE = LICENCE.format(spdx="CC-BY-SA-4.0", most="pixels", alike="true")


@pytest.fixture(scope="module")
def origin(once: Any, command_line: Any) -> Path:
    """A folder with a `store` of two datasets and four sets of each, and `lab`, pushed from it."""

    def build(folder: Path) -> None:
        for name, licence in (("open", ALIKE), ("closed", CLOSED)):
            source = TinySource(folder, name=name, counts={"test": 6})
            source.write()
            source.declare(licence=licence)
        run = command_line(folder)
        at = ("--store", "store", "--manifests", "manifests", "--datasets", "open,closed")
        only = ("--only", "*/*/test/contrast/3,*/*/test/brightness/*")
        run("build", "corruptions", *at, *only, "--from", "data")
        run("embed", "--model", "pixels", *at)
        (folder / "push.json").write_text(run("push", "lab", "--store", "store", "--json").stdout)

    return once("sharing", build)


@pytest.fixture
def lab(origin: Path, tmp_path: Path) -> Path:
    """This test's own copy of the origin, in which its commands start."""
    shutil.copytree(origin, tmp_path, dirs_exist_ok=True)
    return tmp_path / "lab"


def test_files_move_without_models_and_kernels(lab: Path, pipeline: CommandLine) -> None:
    """Sending, taking, describing and removing read and write files, and compute nothing."""
    for command in (
        ("push", "elsewhere", "--store", "store"),
        ("pull", "elsewhere", "--store", "taken"),
        ("croissant", "--out", "cards", "--store", "taken"),
        ("gc", "--store", "taken"),
    ):
        assert not pipeline.modules(*command) & {"torch", "open_clip", "numba", "cv2", "sklearn"}


def test_what_a_dry_run_counts_is_what_moves(lab: Path, pipeline: CommandLine) -> None:
    """Bytes, objects and artifacts of a dry run are those of the run; a second moves nothing."""
    push = ("push", "elsewhere", "--store", "store", "--json")
    counted = pipeline(*push, "--dry-run").json
    assert not (lab.parent / "elsewhere").exists()
    moved = pipeline(*push).json
    totals = ("bytes", "objects", "artifacts")
    assert [moved[key] for key in totals] == [counted[key] for key in totals]
    assert min(moved[key] for key in totals) > 0
    assert [pipeline(*push).json[key] for key in totals] == [0, 0, 0]


def test_one_set_from_a_web_server(lab: Path, pipeline: CommandLine) -> None:
    """A pull of one set by its name brings it alone; list and verify read the address, too."""
    with faulty_server(lab) as server:
        told = pipeline("pull", server.base, ONE, "--store", "mine", "--json").json
        files = [p for p in (lab.parent / "mine/corruptions").rglob("*") if p.is_file()]
        assert told["bytes"] == sum(path.stat().st_size for path in files)
        assert (told["objects"], told["artifacts"]) == (len(files), 1)
        listed = pipeline("list", "sets", "--store", server.base, "--json").json["sets"]
        assert ONE in {row["name"] for row in listed}
        assert pipeline("verify", "--store", server.base, "--json").json["problems"] == []
        server.faults.append(Fault("wrong", "GET .*contrast/3/.*images/c"))
        broken = pipeline("pull", server.base, ONE, "--store", "other", "--retries", 0, rc=None)
        broken.refused(5, f"{ONE}/", "images/c", "promised digest", "the same command")
        pipeline("push", server.base, "--store", "store", rc=None).refused(2, "only be read")
    assert not list((lab.parent / "other").rglob("manifest.json"))
    assert pipeline("verify", "--store", "mine", "--json").json["problems"] == []


def test_what_may_not_be_passed_on(lab: Path, pipeline: CommandLine) -> None:
    """It is left out and told of, refused where named, and its override is in the manifest."""
    told = json.loads((lab.parent / "push.json").read_text())
    kept = {row["artifact"] for row in told["left_out"]}
    name = "corruptions/medimeta-c/closed/test/contrast/3"
    assert {name, "datasets/closed/test", "embeddings/pixels/closed/test"} <= kept
    assert not [label for label in kept if "/open" in label]
    assert not [
        p for p in lab.rglob("*") if "closed" in p.parts and p.suffix != ".json" and p.is_file()
    ]
    refused = pipeline("push", "elsewhere", name, "--store", "store", rc=None)
    refused.refused(2, "LicenseRef-closed", "corrupted images", "--override-licence REASON")
    assert not (lab.parent / "elsewhere").exists()
    empty = pipeline("push", "x", name, "--store", "store", "--override-licence", " ", rc=None)
    empty.refused(2, "give the reason")
    reason = ("--override-licence", "the owner's letter of May")
    pipeline("push", "elsewhere", name, "--store", "store", *reason)
    pipeline("pull", "elsewhere", name, "--store", "mine")
    for root in ("elsewhere", "mine"):
        manifest = next((lab.parent / root / name).rglob("manifest.json"))
        stated = json.loads(manifest.read_text())["provenance"]["licence_override"]
        assert stated["reason"] == "the owner's letter of May"
        assert "LicenseRef-closed" in stated["against"]
        assert pipeline("verify", "--store", root, "--json").json["problems"] == []
    again = pipeline("push", "elsewhere", name, "--store", "store", *reason, "--json").json
    assert again["objects"] == 0


def test_share_alike_is_carried_into_artifacts(lab: Path) -> None:
    """Sets and embeddings of share-alike data say so, and where that was read."""
    folders = (f"corruptions/{ONE}", "embeddings/pixels/open/test", f"embeddings/pixels/{ONE}")
    for folder in folders:
        (path,) = (lab / folder).rglob("published.json")
        (licence,) = json.loads(path.read_text())["licences"]
        assert licence == {
            "dataset": "open",
            "spdx": "CC-BY-SA-4.0",
            "redistribution": "pixels",
            "share_alike": True,
            "source": "a page",
        }
        assert "must carry the same licence" in path.with_name("README.md").read_text()
        croissant = json.loads(path.with_name("croissant.json").read_text())
        assert croissant["license"] == ["https://spdx.org/licenses/CC-BY-SA-4.0"]


def test_sets_are_rendered_instead_of_moved(lab: Path, pipeline: CommandLine, digests: Any) -> None:
    """From recipes and one's own clean split, sets are made and proved identical."""
    name = "corruptions/medimeta-c/closed/test/contrast/3"
    render = ("--store", "mine", "--manifests", "manifests", "--render")
    with faulty_server(lab) as server:
        pull = ("pull", server.base, "medimeta-c/closed/*", *render)
        pipeline(*pull[:-1], rc=None).refused(2, "6 recipes alone", "--render")
        pipeline(*pull, rc=None).refused(4, "datasets/closed/test", "build datasets")
        built = ("--datasets", "closed", "--from", "data")
        pipeline("build", "datasets", *render[:-1], *built)
        server.requests.clear()
        told = pipeline(*pull, "--json").json
        assert (told["rendered"], told["objects"]) == (6, 6)
        asked = server.asked("closed")
        assert len(asked) == 6
        assert all("/recipes/" in request for request in asked)
        assert pipeline(*pull, "--json").json["rendered"] == 0
        with_inputs = pipeline("pull", server.base, ONE, *render, "--with-inputs", "--json").json
        assert (with_inputs["rendered"], with_inputs["artifacts"]) == (1, 1)
        assert not server.asked("corruptions/.*/images/")
    here, there = digests(lab.parent / "mine"), digests(lab.parent / "store")
    assert here[name] == there[name]
    assert {key: there[key] for key in here} == here
    assert pipeline("verify", "--store", "mine", "--json").json["problems"] == []


def test_a_clean_split_from_another_file(lab: Path, pipeline: CommandLine) -> None:
    """A clean split of equal content is what sets are rendered from, whatever it was read from."""
    source = TinySource(lab.parent, name="closed", counts={"test": 6})
    np.savez_compressed(source.file, **source.arrays())
    source.declare(licence=CLOSED)
    at = ("--store", "mine", "--manifests", "manifests")
    pipeline("build", "datasets", *at, "--datasets", "closed", "--from", "data")
    name = "medimeta-c/closed/test/contrast/3"
    assert pipeline("pull", "lab", name, *at, "--render", "--json").json["rendered"] == 1
    assert pipeline("verify", "--store", "mine", "--json").json["problems"] == []
    source.write({k: v + (k == "test_images") for k, v in source.arrays().items()})
    source.declare(licence=CLOSED)
    other = ("--store", "other", "--manifests", "manifests")
    pipeline("build", "datasets", *other, "--datasets", "closed", "--from", "data")
    refused = pipeline("pull", "lab", name, *other, "--render", rc=None)
    refused.refused(4, "datasets/closed/test", "is here with other content")


def test_a_set_that_comes_out_otherwise(lab: Path, pipeline: CommandLine) -> None:
    """A set whose digest is not the promised one is not sealed, and the command says which."""
    (path,) = (lab / "recipes/corruptions/medimeta-c/closed/test/contrast/3").iterdir()
    document = json.loads(path.read_text())
    document.pop("checksum", None)
    path.write_bytes(seal_document(document | {"content_digest": "0" * 64}))
    render = ("--store", "mine", "--manifests", "manifests")
    pipeline("build", "datasets", *render, "--datasets", "closed", "--from", "data")
    pull = ("pull", "lab", "medimeta-c/closed/*", *render, "--render")
    for _ in range(2):
        pipeline(*pull, rc=None).refused(5, "closed/test/contrast/3", "000000", "not sealed")
    rows = pipeline("list", "sets", "--store", "mine", "--json").json["sets"]
    assert {row["name"] for row in rows} == {
        f"medimeta-c/closed/test/brightness/{severity}" for severity in range(1, 6)
    }


def test_a_folder_of_a_group(lab: Path, pipeline: CommandLine) -> None:
    """Below a setgid folder, what is pushed is for the group to add to and for none to change."""
    shared = lab.parent / "shared"
    shared.mkdir()
    shared.chmod(0o2775)
    pipeline("push", shared, ONE, "--store", "store")
    for path in (shared / "corruptions").rglob("*"):
        mode = path.stat().st_mode & 0o7777
        assert oct(mode) == oct(0o2775 if path.is_dir() else 0o444)


def test_a_store_with_recipes_is_verified(lab: Path, pipeline: CommandLine) -> None:
    """A recipe with a flipped bit is found by `verify`, here and at an address."""
    (path,) = (lab / "recipes/corruptions/medimeta-c/closed/test/contrast/3").iterdir()
    assert pipeline("verify", "--store", "lab", "--json").json["problems"] == []
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with faulty_server(lab) as server:
        for store in ("lab", server.base):
            (problem,) = pipeline("verify", "--store", store, "--json", rc=5).json["problems"]
            assert (problem["kind"], problem["file"]) == (
                "manifest",
                path.relative_to(lab).as_posix(),
            )
