"""Croissant metadata, checksums, cards and signatures, checked by the programs that read them."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.artifact import MANIFEST, Manifest
from pipeline.cli import app
from pipeline.croissant import CARD, CROISSANT, SUMS, publication
from pipeline.errors import PipelineError, UsageError, VerificationError
from pipeline.signing import sign
from pipeline.store import Store
from tests.pipeline.toy import Toy, build

pytestmark = pytest.mark.usefixtures("without_fsync")

LICENSED: dict[str, Any] = {
    "title": "Toy: numbers",
    "citation": "Nobody (2026).",
    "synthetic": True,
    "licence": {
        "spdx": "CC-BY-SA-4.0",
        "redistribution": "pixels",
        "share_alike": True,
        "source": "these tests",
    },
}


class Licensed(Toy):
    """The toy, whose numbers state a licence as datasets do."""

    def numbers(self):
        return replace(super().numbers(), attributes=LICENSED)


@pytest.fixture(scope="module")
def licensed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store whose numbers have a licence; not to be changed."""
    root = tmp_path_factory.mktemp("licensed") / "store"
    build(root, Licensed().targets()).raise_failures()
    return root


def published(root: Path, manifest: Manifest, folder: Path) -> Path:
    """Copy an artifact, and what goes with it, to a folder of its own."""
    shutil.copytree(manifest.folder, folder)
    for name, data in publication(Store(root), manifest).items():
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.filterwarnings("ignore")  # of other packages' own deprecations
def test_mlcroissant_accepts_every_artifact(licensed: Path, tmp_path: Path) -> None:
    """The reference library finds neither errors nor warnings, and reads the rows of the index."""
    mlcroissant = pytest.importorskip("mlcroissant")
    for number, manifest in enumerate(Store(licensed).manifests()):
        folder = published(licensed, manifest, tmp_path / str(number))
        dataset = mlcroissant.Dataset(jsonld=str(folder / CROISSANT))
        issues = dataset.metadata.ctx.issues
        assert not issues.errors, issues.report()
        assert not issues.warnings, issues.report()
        records = list(dataset.records("index"))
        assert len(records) == manifest.rows
        if manifest.stage == "numbers":
            ids = [record["index/id"] for record in records]
            assert ids == [f"row-{row}".encode() for row in range(manifest.rows)]


def test_coreutils_accept_the_checksums(licensed: Path, tmp_path: Path) -> None:
    """`sha256sum -c` passes on every file of an artifact, and fails once a byte has changed."""
    if shutil.which("sha256sum") is None:
        pytest.skip("coreutils are not installed")
    manifest = Store(licensed).sealed(Licensed().numbers().recipe)
    assert manifest
    folder = published(licensed, manifest, tmp_path / "a")
    check = ["sha256sum", "--strict", "-c", SUMS]
    done = subprocess.run(check, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done
    assert len(done.stdout.splitlines()) == len(manifest.files) + 1
    shard = folder / "pixels" / "c.0.0.0.0"
    data = bytearray(shard.read_bytes())
    data[0] ^= 1
    shard.write_bytes(data)
    assert subprocess.run(check, cwd=folder, capture_output=True).returncode == 1


def test_licence_citation_and_synthetic_come_from_the_dataset(licensed: Path) -> None:
    """What was made from a dataset carries its licence, however many steps lie between."""
    manifest = Store(licensed).sealed(Licensed().sums("odd").recipe)
    assert manifest
    files = publication(Store(licensed), manifest, "https://example.org/store")
    described = json.loads(files[CROISSANT])
    assert described["license"] == ["https://spdx.org/licenses/CC-BY-SA-4.0"]
    assert described["citeAs"] == "Nobody (2026)."
    assert described["medshards:synthetic"] is True
    assert described["url"] == "https://example.org/store"
    fields = {one["name"]: one for one in described["recordSet"][0]["field"]}
    assert fields["id"]["description"] == "id of the row"
    assert fields["sums_blake3"]["dataType"] == "sc:Text"
    card = files[CARD].decode()
    assert card.startswith('---\nlicense: "cc-by-sa-4.0"\n')
    assert "Share-alike" in card
    assert "Nobody (2026)." in card


def test_the_card_is_one_that_the_hub_reads(licensed: Path) -> None:
    """The metadata of the card is YAML that the Hub's own library parses."""
    hub = pytest.importorskip("huggingface_hub")
    manifest = Store(licensed).sealed(Licensed().numbers().recipe)
    assert manifest
    card = hub.DatasetCard(publication(Store(licensed), manifest)[CARD].decode())
    assert card.data.license == "cc-by-sa-4.0"
    assert card.data.size_categories == ["n<1K"]
    assert card.data.configs[0]["data_files"] == "index/*.parquet"


def test_a_damaged_artifact_is_not_described(copied: Path) -> None:
    """What the last verify found damaged gets no fresh checksums."""
    store = Store(copied)
    manifest = store.sealed(Toy().numbers().recipe)
    assert manifest
    store.record_damaged({manifest.identity: ["changed"]})
    with pytest.raises(VerificationError, match="is damaged"):
        publication(store, manifest)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a fresh SSH key."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed")
    path = tmp_path_factory.mktemp("key") / "id"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


def test_the_command_writes_all_of_it_signed(licensed: Path, tmp_path: Path, key: Path) -> None:
    """Selected artifacts get their files, and ssh-keygen itself accepts the signature."""
    out = tmp_path / "out"
    arguments = ["croissant", "sums", "--store", str(licensed), "--out", str(out), "--json"]
    answer = CliRunner().invoke(app, [*arguments, "--sign-key", str(key)])
    assert answer.exit_code == 0, answer
    rows = json.loads(answer.stdout)["artifacts"]
    assert [row["artifact"] for row in rows] == ["sums/toy/0/even", "sums/toy/0/odd"]
    manifest = Store(licensed).sealed(Licensed().sums("odd").recipe)
    assert manifest
    folder = out / manifest.folder.relative_to(licensed)
    names = {CROISSANT, SUMS, CARD, f"{MANIFEST}.sig"}
    assert {path.name for path in folder.iterdir()} == names
    signers = tmp_path / "signers"
    signers.write_text(f"lab {key.with_suffix('.pub').read_text()}")
    data = (manifest.folder / MANIFEST).read_bytes()
    verify = ["ssh-keygen", "-Y", "verify", "-f", str(signers), "-n", "medshards"]
    verify += ["-s", str(folder / f"{MANIFEST}.sig")]
    for who, signed, code in (("lab", data, 0), ("lab", data + b" ", 255), ("another", data, 255)):
        done = subprocess.run([*verify, "-I", who], input=signed, capture_output=True)
        assert done.returncode == code, done


def test_a_key_that_is_none_is_refused(tmp_path: Path) -> None:
    """A file that is missing, or is no key, is one clear line."""
    with pytest.raises(UsageError, match="no such file"):
        sign(b"data", tmp_path / "id")
    (tmp_path / "id").write_text("no key")
    (tmp_path / "id").chmod(0o600)
    if shutil.which("ssh-keygen"):
        with pytest.raises(PipelineError, match="could not sign"):
            sign(b"data", tmp_path / "id")


def test_a_selector_of_nothing_is_refused(licensed: Path, tmp_path: Path) -> None:
    """A slip of the pen writes nothing."""
    arguments = ["croissant", "summs", "--store", str(licensed), "--out", str(tmp_path / "out")]
    assert isinstance(CliRunner().invoke(app, arguments).exception, UsageError)
    assert not (tmp_path / "out").exists()
