"""Disks that are full or may not be written, really mounted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.options import at


@pytest.mark.usefixtures("namespaces")
def test_a_full_disk_is_told_and_recovered_from(
    pipeline: Any, tiny: Any, tiny_study: Path, store: Path
) -> None:
    """Exit 1 or 3 says that the disk is full; nothing half-written; with room it goes on."""
    store.mkdir()
    build = ("build", "all", "--datasets", "tiny", "--from", tiny.data, *at(tiny, store))
    verify = ("verify", "--store", store, "--json")
    full, left, verified, _, again, listed, last = pipeline.in_mount(
        store,
        "1m",
        [
            build,
            ("!find", store / "staging"),
            verify,
            ("!mount", "-o", "remount,size=64m", store),
            build,
            ("list", "--store", store, "--json"),
            verify,
        ],
    )
    full.refused(3, "the disk is full", str(store))
    assert left.stdout.split() == [str(store / "staging")]
    assert {problem["kind"] for problem in verified.json["problems"]} <= {"unsealed"}
    assert again.rc == 0, again
    assert last.rc == 0
    alone = pipeline("list", "--store", tiny_study / "store", "--json").json["artifacts"]
    expected = {(row["stage"], row["name"]): row["content_digest"] for row in alone}
    rows = listed.json["artifacts"]
    found = {(row["stage"], row["name"]): row["content_digest"] for row in rows}
    assert len(found) == 1 + 3 + 35
    assert found == {name: expected[name] for name in found}


@pytest.mark.usefixtures("namespaces")
def test_a_disk_that_is_full_from_the_start(pipeline: Any, tiny: Any, store: Path) -> None:
    """Where not even the source fits, exit 1 is the disk's, and nothing is sealed."""
    store.mkdir()
    build = ("build", "all", "--datasets", "tiny", "--from", tiny.data, *at(tiny, store))
    full, listed = pipeline.in_mount(store, "32k", [build, ("list", "--store", store, "--json")])
    full.refused(1, "the disk is full", str(store))
    assert listed.json["artifacts"] == []


@pytest.mark.parametrize("option", ["--log", "--out"])
def test_a_place_that_cannot_be_written(
    pipeline: Any, tiny_built: Any, store: Path, tmp_path: Path, option: str
) -> None:
    """A log, or tables, in a place that cannot be exits 1 and names the place."""
    place = tmp_path / "file" / "below"
    place.parent.write_text("not a folder")
    shutil.rmtree(store / "summary")
    command = ("eval", "--baseline", "pixels", *at(tiny_built, store), option, place)
    pipeline(*command, rc=None).refused(1, str(place))


@pytest.mark.usefixtures("namespaces")
def test_a_log_on_a_full_disk_is_given_up(pipeline: Any, tiny_built: Any, tmp_path: Path) -> None:
    """Where only the log does not fit, the build goes on without it and says so."""
    mount = tmp_path / "mount"
    mount.mkdir()
    store = tmp_path / "store"
    shutil.rmtree(store / "summary")
    fill = "import sys; open(sys.argv[1], 'wb').write(bytes(4096 * 8))"
    _, build = pipeline.in_mount(
        mount,
        "32k",
        [
            ("!python3", "-c", fill, mount / "fill"),
            (
                "eval",
                "--baseline",
                "pixels",
                *at(tiny_built, store),
                "--log",
                mount / "log.jsonl",
            ),
        ],
    )
    assert build.rc == 0, build
    assert build.stderr.count("the log ends here") == 1
    assert "Traceback" not in build.stderr


@pytest.mark.usefixtures("namespaces")
def test_a_read_only_store(pipeline: Any, tiny_built: Any, tmp_path: Path) -> None:
    """Reading works, also with nothing left to build; building exits 1 and says why."""
    mount = tmp_path / "mount"
    mount.mkdir()
    options = at(tiny_built, mount)
    evaluate = ("eval", *options, "--baseline", "pixels", "--json")
    steps = [
        ("!cp", "-r", *(tmp_path / "store").iterdir(), mount),
        ("!mount", "-o", "remount,ro", mount),
        evaluate,
        ("status", *options, "--json"),
        ("verify", "--store", mount),
        ("build", "corruptions", "--datasets", "tiny", *options),
        ("embed", "--model", "texture", *options),
        ("build", "corruptions", "--datasets", "tiny", "--seed", 1, *options),
        ("build", "corruptions", "--datasets", "tiny", "--seed", 1, "--dry-run", *options),
        ("eval", *options, "--baseline", "texture"),
    ]
    copied, _, evaluated, status, verified, nothing, embedded, build, dry, changed = (
        pipeline.in_mount(mount, "64m", steps)
    )
    assert copied.rc == evaluated.rc == 0
    assert evaluated.json["summary"] == json.loads((tmp_path / "eval.json").read_text())["summary"]
    assert {row["state"] for row in status.json["artifacts"]} == {"sealed"}
    assert verified.rc == nothing.rc == dry.rc == 0, (verified, nothing, dry)
    assert embedded.rc == 0, embedded
    build.refused(1, str(mount), "the store is read-only")
    changed.refused(1, str(mount), "the store is read-only")
