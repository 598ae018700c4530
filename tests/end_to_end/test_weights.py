"""`pipeline doctor` and `pipeline embed --download`, against a hub that really runs."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from pipeline.store import Store
from stages.download.transfer import PIECE
from tests.end_to_end.tiny_clip import MANIFEST, write_tiny_clip
from tests.fake_hub import FakeHub, fake_hub

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])
REPOSITORY = "some-lab/tiny-clip"
WEIGHTS = "open_clip_model.safetensors"
SETS = "medimeta-c/phantom-oct/test/contrast/1"
MODELS = {"torch", "torchvision", "open_clip", "transformers", "timm", "safetensors"}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny CLIP: `my/encoders/tiny.toml` and `weights`."""
    folder = tmp_path_factory.mktemp("published")
    write_tiny_clip(folder)
    return folder


@pytest.fixture
def hub(published: Path) -> Iterator[FakeHub]:
    """A hub that has the tiny CLIP."""
    with fake_hub() as running:
        running.put(REPOSITORY, published / "weights")
        yield running


@pytest.fixture
def online(
    hub: FakeHub, tmp_path: Path, command_line: Callable[[Path], Any], published: Path
) -> Any:
    """The command line in this test's folder, with a hub cache of its own, `cache`."""
    shutil.copytree(published / "my", tmp_path / "my")
    run = command_line(tmp_path)
    kept = {name: value for name, value in run.environment.items() if name != "HF_HUB_OFFLINE"}
    own = {
        "HF_ENDPOINT": hub.base,
        "HF_HUB_CACHE": str(tmp_path / "cache"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "*",
    }
    return replace(run, environment=kept | own, preloaded=False)


def declare(folder: Path, **weights: str) -> None:
    """Let the tiny CLIP's manifest say more of its weights."""
    lines = "".join(f'{name} = "{value}"\n' for name, value in weights.items())
    text = MANIFEST.replace("[preprocessing]", f"{lines}[preprocessing]")
    (folder / "my" / "encoders" / "tiny.toml").write_text(text)


def doctor(run: Any, *options: object, rc: int, model: str = "tiny-clip") -> dict[str, Any]:
    """Return what `pipeline doctor --json` says of one encoder."""
    answer = run("doctor", "--model", model, "--manifests", "my", *options, "--json", rc=rc)
    (encoder,) = answer.json["encoders"]
    return encoder


def download(run: Any, model: str = "tiny-clip") -> Any:
    """Run `pipeline embed --download` over an empty store."""
    return run("embed", "--model", model, "--manifests", "my", "--download", rc=None)


def resumed_near(ranges: list[str], cut: int) -> None:
    """Assert one request, for the rest from about where the connection was cut."""
    (asked,) = ranges
    start = int(asked.removeprefix("bytes=").removesuffix("-"))
    assert cut - PIECE <= start <= cut


def kept(cache: Path) -> list[str]:
    """Return the names of the files in a hub cache that hold content."""
    return sorted(
        path.name
        for path in cache.rglob("*")
        if path.is_file() and ({"blobs", "snapshots"} & set(path.parts) or "medshards" in str(path))
    )


def test_missing_files_are_fetched_embedded_and_remembered(
    online: Any, hub: FakeHub, tmp_path: Path
) -> None:
    """With --download an encoder goes from nothing to pinned embeddings, and is then ready."""
    online("build", "corruptions", "--only", SETS)
    command = ("embed", "--model", "tiny-clip", "--manifests", "my", "--only", SETS)
    assert online(*command, rc=4).stderr.count("hf download some-lab/tiny-clip") == 1
    assert not hub.requests
    answer = online(*command, "--download")
    assert f"fetching {WEIGHTS} of {REPOSITORY}" in answer.stderr
    assert doctor(online, rc=0)["state"] == "ready"
    assert Store.open(tmp_path / "data").pins()["encoders"].keys() == {"tiny-clip"}
    asked = len(hub.requests)
    shutil.rmtree(tmp_path / "cache")
    again = online(*command, "--json").json
    assert len(hub.requests) == asked
    assert not again.get("units")


def test_nothing_is_fetched_twice(online: Any, hub: FakeHub) -> None:
    """What the cache has is not asked for again."""
    download(online)
    asked = len(hub.requests)
    assert asked
    download(online)
    assert len(hub.requests) == asked


def test_an_interrupted_download_goes_on(online: Any, hub: FakeHub, tmp_path: Path) -> None:
    """A later command asks for the rest only, and the whole has the right digest."""
    file = hub.files[f"/{REPOSITORY}/resolve/main/{WEIGHTS}"]
    file.cut_after = len(file.content) // 2
    answer = download(online)
    answer.refused(1, WEIGHTS, "HTTP 403")
    assert f"{file.promised}.part" in kept(tmp_path / "cache")
    file.cut_after = None
    hub.requests.clear()
    download(online)
    resumed_near(hub.got(WEIGHTS), len(file.content) // 2)
    weights = doctor(online, rc=0)["files"][0]["present"][0]
    assert weights["sha256"] == hashlib.sha256(file.content).hexdigest()
    assert not [name for name in kept(tmp_path / "cache") if ".part" in name]


def test_a_person_interrupts_a_download(online: Any, hub: FakeHub, tmp_path: Path) -> None:
    """SIGTERM ends it in one line; the next command finishes it."""
    file = hub.files[f"/{REPOSITORY}/resolve/main/{WEIGHTS}"]
    file.stall = True
    command = ("embed", "--model", "tiny-clip", "--manifests", "my", "--download")
    with online.start(*command) as process:
        assert hub.stalled.wait(30)
        process.terminate()
        _, stderr = process.communicate()
    assert process.returncode == 130
    assert "error: interrupted" in stderr
    assert "Traceback" not in stderr
    assert file.promised not in kept(tmp_path / "cache")
    file.stall = False
    download(online)
    assert doctor(online, rc=0)["state"] == "ready"


@pytest.mark.parametrize("name", [WEIGHTS, "open_clip_config.json"], ids=["large", "small"])
def test_wrong_bytes_are_not_kept(name: str, online: Any, hub: FakeHub, tmp_path: Path) -> None:
    """A file that is not what the Hub promised is one clear error, and leaves nothing."""
    file = hub.files[f"/{REPOSITORY}/resolve/main/{name}"]
    file.content = file.content[:-1] + bytes([file.content[-1] ^ 1])
    answer = download(online)
    answer.refused(5, f"{name} of {REPOSITORY}", file.promised)
    held = kept(tmp_path / "cache")
    assert name not in held
    assert not [one for one in held if one.startswith(file.promised)]


def test_another_file_than_the_declared_one(online: Any, hub: FakeHub, tmp_path: Path) -> None:
    """Where the manifest declares a digest, other weights of the Hub are not even fetched."""
    declare(tmp_path, sha256="0" * 64)
    answer = download(online)
    answer.refused(5, f"{WEIGHTS} of {REPOSITORY}", "declares 0000", "nothing was fetched")
    assert not hub.got(WEIGHTS)


def test_a_repository_without_the_file(online: Any, hub: FakeHub) -> None:
    """What the Hub does not have is told as missing, with where it was looked for."""
    del hub.files[f"/{REPOSITORY}/resolve/main/{WEIGHTS}"]
    answer = download(online)
    assert answer.rc == 4
    assert f"open_clip_pytorch_model.bin of {REPOSITORY}" in answer.stderr
    assert "- open_clip_config.json" not in answer.stderr


def test_no_network(online: Any, hub: FakeHub) -> None:
    """Where the Hub cannot be reached, one line says so."""
    run = replace(online, environment=online.environment | {"HF_HUB_OFFLINE": "1"})
    download(run).refused(1, f"{WEIGHTS} of {REPOSITORY}", "cannot be fetched")
    assert not hub.requests


@pytest.fixture
def medclip(online: Any, hub: FakeHub, tmp_path: Path) -> Callable[..., bytes]:
    """A function that publishes a tiny MedCLIP: its weights in a zip, the rest in repositories."""
    import torch

    from tests.stages.embed.tiny_medclip import (
        BERT_REPOSITORY,
        SWIN_REPOSITORY,
        Plain,
        declare_medclip,
        write_swin_files,
        write_text_files,
    )

    buffer = io.BytesIO()
    torch.save(Plain("swin", 1).state(), buffer)
    content = buffer.getvalue()
    write_text_files(tmp_path / "bert")
    write_swin_files(tmp_path / "swin")
    hub.put(BERT_REPOSITORY, tmp_path / "bert")
    hub.put(SWIN_REPOSITORY, tmp_path / "swin")

    def publish(*, damage: bool = False, **weights: str) -> bytes:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as packed:
            packed.writestr("medclip/pytorch_model.bin", content)
        packed_bytes = bytearray(archive.getvalue())
        if damage:
            packed_bytes[len(packed_bytes) // 2] ^= 1
        url = hub.put_address("/m.zip", bytes(packed_bytes))
        declared = {"architecture": "swin", "base": SWIN_REPOSITORY, "url": url, **weights}
        manifest = declare_medclip("swin", weights=declared)
        document = manifest.model_dump(mode="json", by_alias=True, exclude_none=True)
        (tmp_path / "my" / "encoders" / "medclip.toml").write_text(tomli_w.dumps(document))
        return content

    return publish


def test_weights_in_an_archive(
    medclip: Callable[..., bytes], online: Any, hub: FakeHub, tmp_path: Path
) -> None:
    """A zip outside the Hub is fetched, resumed, unpacked and removed."""
    content = medclip()
    file = hub.files["/m.zip"]
    file.cut_after = len(file.content) // 2
    download(online, "tiny-medclip-swin").refused(1, "m.zip", "HTTP 403")
    file.cut_after = None
    hub.requests.clear()
    answer = download(online, "tiny-medclip-swin")
    assert "nothing is sealed" in answer.stderr
    resumed_near(hub.got("/m.zip"), len(file.content) // 2)
    found = doctor(online, rc=0, model="tiny-medclip-swin")
    weights = found["files"][0]["present"][0]
    assert (weights["bytes"], weights["where"]) == (len(content), "the hub cache")
    assert not list((tmp_path / "cache").rglob("*.zip*"))


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ({"damage": True}, "is damaged or no zip"),
        ({"sha256": "0" * 64}, "the manifest declares 0000"),
    ],
    ids=["damaged", "other weights"],
)
def test_a_wrong_archive_is_not_kept(
    case: dict[str, Any],
    said: str,
    medclip: Callable[..., bytes],
    online: Any,
    tmp_path: Path,
) -> None:
    """A damaged archive, and one of other weights than declared, leave nothing."""
    medclip(**case)
    download(online, "tiny-medclip-swin").refused(5, "m.zip", said, "not kept")
    assert kept(tmp_path / "cache") == []


def test_doctor_says_what_is_missing_and_where_to_put_it(online: Any, hub: FakeHub) -> None:
    """Without a network: every file, who publishes it, its place by hand, and the commands."""
    found = doctor(online, rc=4)
    assert found["state"] == "missing"
    assert found["family"] == "open_clip"
    assert found["licence"] == {"spdx": "CC0-1.0", "source": "the tests"}
    assert set(found["packages"]) >= {"open_clip", "torch"}
    assert all(found["packages"].values())
    weights, configuration = found["files"]
    assert (weights["role"], configuration["role"]) == ("weights", "configuration")
    assert weights["published"] == [REPOSITORY]
    assert weights["put"] == f"DIR/{WEIGHTS}"
    (command,) = found["commands"]
    assert command.startswith(f"hf download {REPOSITORY} {WEIGHTS} ")
    assert found["commands_elsewhere"] == [f"{command} --local-dir DIR"]
    text = online("doctor", "--model", "tiny-clip", "--manifests", "my", rc=4).stdout
    for part in ("tiny-clip: missing", "MISSING open_clip_config.json", command, "--download"):
        assert part in text
    assert not hub.requests


def test_doctor_on_a_folder(online: Any, hub: FakeHub, published: Path, tmp_path: Path) -> None:
    """Files of --weights are named with size and digest; what it lacks belongs there."""
    folder = published / "weights"
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    declare(tmp_path, sha256=digest)
    found = doctor(online, "--weights", folder, rc=0)
    (weights,) = found["files"][0]["present"]
    assert weights == {
        "path": str(folder / WEIGHTS),
        "where": "--weights",
        "bytes": (folder / WEIGHTS).stat().st_size,
        "sha256": digest,
        "expected_sha256": digest,
        "damaged": False,
    }
    (tmp_path / "half").mkdir()
    shutil.copy(folder / "open_clip_config.json", tmp_path / "half")
    found = doctor(online, "--weights", "half", rc=4)
    assert found["files"][0]["put"] == f"half/{WEIGHTS}"
    assert found["commands"] == []
    assert found["commands_elsewhere"][0].startswith(f"hf download {REPOSITORY} {WEIGHTS}")


def test_doctor_finds_damage(online: Any, published: Path, tmp_path: Path) -> None:
    """Weights that are not the declared ones, or that changed in the hub cache, exit with 5."""
    declare(tmp_path, sha256="0" * 64)
    assert doctor(online, "--weights", published / "weights", rc=5)["state"] == "damaged"
    declare(tmp_path)
    download(online)
    blob = next((tmp_path / "cache").rglob(WEIGHTS)).resolve()
    blob.write_bytes(blob.read_bytes()[:-1])
    found = doctor(online, rc=5)
    assert found["files"][0]["present"][0]["damaged"]
    text = online("doctor", "--model", "tiny-clip", "--manifests", "my", rc=5).stdout
    assert f"NOT the expected {blob.name}" in text


def test_doctor_tells_a_configuration_that_disagrees(
    online: Any, published: Path, tmp_path: Path
) -> None:
    """A folder of another model is a fault of its own, not a missing file."""
    folder = shutil.copytree(published / "weights", tmp_path / "other")
    path = folder / "open_clip_config.json"
    config = json.loads(path.read_text())
    config["model_cfg"]["embed_dim"] = 99
    path.write_text(json.dumps(config))
    found = doctor(online, "--weights", folder, rc=1)
    assert found["state"] == "faulty"
    assert "embed_dim is 99" in found["fault"]


def test_doctor_loads_no_model_library(online: Any, published: Path) -> None:
    """Looking at files needs no torch; only asking for the device does."""
    command = ("doctor", "--model", "tiny-clip,texture", "--manifests", "my")
    given = ("--weights", published / "weights")
    assert not online.modules("doctor", "--model", "texture") & MODELS
    assert not online.modules("doctor", "--model", "tiny-clip", *command[3:], *given) & MODELS
    assert doctor(online, *given, rc=0)["device"] is None
    assert doctor(online, *given, "--device", "cpu", rc=0)["device"] == "cpu"


def test_doctor_of_several(online: Any) -> None:
    """Each encoder is told, and the worst decides the exit code."""
    answer = online("doctor", "--model", "texture,tiny-clip", "--manifests", "my", "--json", rc=4)
    assert {one["id"]: one["state"] for one in answer.json["encoders"]} == {
        "texture": "ready",
        "tiny-clip": "missing",
    }


def test_doctor_knows_every_shipped_encoder(online: Any) -> None:
    """Each says which files it wants, and whatever learned something has weights to be got."""
    names = [row["id"] for row in online("list", "encoders", "--json").json["encoders"]]
    answer = online("doctor", "--model", ",".join(names), "--json", rc=4)
    for one in answer.json["encoders"]:
        assert one["state"] == ("missing" if one["files"] else "ready"), one
        assert all(file["published"] and file["put"] for file in one["files"]), one
        roles = [file["role"] for file in one["files"]]
        assert len(set(roles)) == len(roles)
        assert not roles or roles[0] == "weights"
