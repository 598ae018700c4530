"""Push, pull and verify of each kind of remote, undisturbed."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.documents import read_document, seal_document
from pipeline.errors import InterruptedRunError, StoreError, UsageError, VerificationError
from pipeline.recipe import Recipe
from pipeline.sharing import pull as pull_module
from pipeline.sharing.check import verify_remote
from pipeline.sharing.push import Sending
from pipeline.sharing.remote import open_remote
from pipeline.store import Store
from pipeline.verify import verify
from tests.faulty_server import Fault, faulty_server
from tests.pipeline.sharing.conftest import Lab, patient
from tests.pipeline.toy import Digests, Toy, build, digests_of

pytestmark = [pytest.mark.allow_hosts(["127.0.0.1"]), pytest.mark.usefixtures("without_fsync")]


def test_everything_arrives(filled: Lab, here: Path, reference: Digests) -> None:
    """A pull of all that was pushed gives an equal store, in which nothing is amiss."""
    outcome = filled.pull(here)
    outcome.raise_failures()
    assert outcome.artifacts == len(reference)
    assert digests_of(here) == reference
    assert verify(Store(here)) == []


def test_plans_are_exact(s3: Lab, built: Path, here: Path) -> None:
    """What a dry run counts is what moves then, to the byte, for push and pull."""
    _, plan = s3.plan_push(built)
    outcome = s3.push(built)
    assert (outcome.nbytes, outcome.objects) == (plan.nbytes, plan.objects)
    _, taking = s3.plan_pull(here)
    outcome = s3.pull(here)
    assert (outcome.nbytes, outcome.objects) == (taking.nbytes, taking.objects)


def test_a_second_pull_moves_nothing(filled: Lab, here: Path) -> None:
    """What is sealed here is not asked for again."""
    filled.pull(here).raise_failures()
    if filled.server:
        filled.server.requests.clear()
    outcome = filled.pull(here)
    assert (outcome.nbytes, outcome.objects, outcome.artifacts) == (0, 0, 0)
    if filled.server:
        assert not filled.server.asked("numbers|sums|sources")


def test_a_second_push_moves_nothing(s3_filled: Lab, built: Path) -> None:
    """What is sealed there is not sent again, nor is the catalogue that says the same."""
    outcome = s3_filled.push(built)
    assert (outcome.nbytes, outcome.objects, outcome.artifacts) == (0, 0, 0)
    assert not s3_filled.server.asked("^(PUT|POST)")


def test_one_artifact_alone(served: Lab, here: Path) -> None:
    """A pull of one artifact asks for the files of no other."""
    served.pull(here, "sums/toy/0/odd").raise_failures()
    assert [m.label for m in Store(here).manifests()] == ["sums/toy/0/odd"]
    assert not served.server.asked("toy/0/even/.*(c\\.|manifest)")


def test_one_of_175_sets_moves_its_bytes_alone(tmp_path: Path, here: Path) -> None:
    """Of a store of 175 sets, a pull of one asks for its files, and for no byte of another."""
    toy, root = Toy(), tmp_path / "origin"
    numbers = toy.numbers()
    sets = [
        replace(
            toy.sums("odd"),
            recipe=Recipe("sums", f"toy/{n}", 1, {"addend": n}, {"numbers": numbers.recipe}),
        )
        for n in range(175)
    ]
    build(root, sets).raise_failures()
    Lab(str(tmp_path / "www")).push(root).raise_failures()
    with faulty_server(tmp_path / "www") as server:
        outcome = Lab(server.base, server).pull(here, "sums/toy/99")
    folder = next((here / "sums/toy/99").iterdir())
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    assert (outcome.nbytes, outcome.objects, outcome.artifacts) == (sum(sizes), len(sizes), 1)
    others = [request for request in server.requests if "/sums/toy/99/" not in request]
    assert {request.rpartition("/")[2] for request in others} == {"store.json", "catalogue.json"}
    assert len(server.requests) == len(sizes) + len(others)


def test_inputs_come_along_when_asked(filled: Lab, here: Path, reference: Digests) -> None:
    """With its inputs, an artifact brings all that it was made from."""
    filled.pull(here, "sums/toy/0/odd", inputs=True).raise_failures()
    assert {m.label for m in Store(here).manifests()} == set(reference) - {"sums/toy/0/even"}


def test_a_folder_that_was_pushed_to_is_a_store(
    folder: Lab, built: Path, reference: Digests
) -> None:
    """It opens, verifies and reads as any store."""
    folder.push(built).raise_failures()
    assert digests_of(Path(folder.url)) == reference
    assert verify(Store.open(Path(folder.url))) == []


def test_sums_are_those_of_coreutils(folder: Lab, built: Path) -> None:
    """`sha256sum -c` finds every file beside SHA256SUMS as it says, and no other is left out."""
    folder.push(built).raise_failures()
    found = sorted(Path(folder.url).rglob("SHA256SUMS"))
    assert len(found) == 4
    for sums in found:
        command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
        done = subprocess.run(command, cwd=sums.parent, capture_output=True, text=True)
        assert done.returncode == 0, done
        names = {p.relative_to(sums.parent).as_posix() for p in sums.parent.rglob("*")}
        listed = {line.split("  ", 1)[1] for line in sums.read_text().splitlines()}
        assert listed == {n for n in names if (sums.parent / n).is_file()} - {
            "published.json",
            "SHA256SUMS",
        }


def test_file_addresses(built: Path, tmp_path: Path, here: Path, reference: Digests) -> None:
    """A file: URL, quoted as URLs are, is the folder it names."""
    lab = Lab("file://" + str(tmp_path / "a b%20").replace("%", "%25").replace(" ", "%20"))
    lab.push(built).raise_failures()
    assert (tmp_path / "a b%20" / "catalogue.json").exists()
    lab.pull(here).raise_failures()
    assert digests_of(here) == reference


def test_aliases_go_along(folder: Lab, tmp_path: Path, here: Path) -> None:
    """An alias satisfies its recipe in the store that pulled it, too."""
    root = tmp_path / "origin"
    build(root).raise_failures()
    raised = Toy(numbers_version=2)
    build(root, raised.targets()).raise_failures()
    aliases = sorted(path.relative_to(root) for path in root.rglob("alias.json"))
    assert aliases
    folder.push(root).raise_failures()
    folder.pull(here).raise_failures()
    assert sorted(path.relative_to(here) for path in here.rglob("alias.json")) == aliases
    assert all(Store(here).sealed(node.recipe) for node in raised.targets())
    assert verify(Store(here)) == []
    assert verify_remote(folder.holdings()) == []


def test_large_objects_go_in_parts(
    s3: Lab, built: Path, here: Path, reference: Digests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object longer than a part is sent in parts and read in ranges, each tried by itself."""
    monkeypatch.setattr("pipeline.sharing.s3.PART", 600)
    monkeypatch.setattr("pipeline.sharing.streams.PIECE", 250)
    s3.server.faults.append(Fault("error", r"PUT .*00000\.parquet.*partNumber=2", times=2))
    label = "numbers/toy/0"
    s3.push(built, label).raise_failures()
    assert s3.server.asked("POST .*uploads")
    again = s3.server.asked("PUT .*00000.parquet.*partNumber")
    assert len(again) > len({request.partition("&uploadId")[0] for request in again})
    s3.server.faults.append(Fault("cut", "GET .*00001.parquet", times=1))
    s3.pull(here).raise_failures()
    assert {label: reference[label]} == digests_of(here)


def test_parts_of_what_is_refused_are_not_kept(
    s3: Lab, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object that is given up leaves no parts behind that somebody would pay for."""
    monkeypatch.setattr("pipeline.sharing.s3.PART", 600)
    monkeypatch.setattr("pipeline.sharing.streams.PIECE", 250)
    s3.server.faults.append(Fault("error", "PUT .*00000.parquet.*partNumber=2"))
    assert s3.push(built, "sums/toy/0/odd", workers=1).failures
    assert s3.server.asked("DELETE .*00000.parquet.*uploadId")


def test_damage_is_not_pushed(folder: Lab, copied: Path, here: Path) -> None:
    """A file that is damaged here is an error that names it, and its artifact never exists."""
    path = next((copied / "sums/toy/0/odd").rglob("c.*"))
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    with pytest.raises(VerificationError, match=path.name):
        folder.push(copied).raise_failures()
    assert "sums/toy/0/odd" not in {place.label for place in folder.holdings().sealed}
    assert {m.label for m in Store(Path(folder.url)).manifests()} == {
        "sources/toy",
        "numbers/toy/0",
        "sums/toy/0/even",
    }
    folder.pull(here).raise_failures()


def test_interrupted_pull_resumes(filled: Lab, here: Path, reference: Digests) -> None:
    """What had arrived before an interruption is not moved again."""
    holdings, plan = filled.plan_pull(here)
    moved: list[int] = []

    def told(nbytes: int, _label: str) -> None:
        moved.append(nbytes)
        if len(moved) == 6:
            raise InterruptedRunError

    with pytest.raises(InterruptedRunError):
        pull_module.pull(Store(here), holdings, plan, workers=1, told=told)
    assert not list((here / "staging").iterdir())
    left = filled.plan_pull(here)[1]
    assert 0 < left.nbytes < plan.nbytes
    filled.pull(here).raise_failures()
    assert digests_of(here) == reference


def test_what_another_build_has_begun_is_not_mixed(folder: Lab, built: Path, here: Path) -> None:
    """A shard of another build that lies here is neither replaced nor accepted."""
    folder.push(built).raise_failures()
    folder.pull(here).raise_failures()
    manifest = next((here / "numbers").rglob("manifest.json"))
    manifest.unlink()
    shard = next(manifest.parent.rglob("c.*"))
    shard.write_bytes(bytes(shard.stat().st_size))
    with pytest.raises(VerificationError, match=r"another build.*remove"):
        folder.pull(here).raise_failures()
    assert not manifest.exists()


def test_push_does_not_mix_builds(s3: Lab, folder: Lab, built: Path, tmp_path: Path) -> None:
    """Objects that another build left behind with its own bytes are an error, no part of ours."""
    for lab in (s3, folder):
        lab.push(built, "numbers/toy/0").raise_failures()
    from tests.pipeline.toy import Numbers

    other = tmp_path / "other"
    build(other, Toy(tolerance=0.1, numbers_stage=Numbers(noise=0.01)).targets()).raise_failures()
    for lab in (s3, folder):
        _, plan = lab.plan_push(other, "numbers/toy/0")
        assert plan.differing == ("numbers/toy/0",)
    manifest = next(Path(folder.url, "numbers").rglob("manifest.json"))
    manifest.unlink()
    with pytest.raises(VerificationError, match="another build"):
        folder.push(other, "numbers/toy/0").raise_failures()
    assert not manifest.exists()


def test_the_reason_goes_along(folder: Lab, built: Path, here: Path) -> None:
    """What is told of a licence that was overridden comes along with a pull, and is verified."""
    from pipeline.published import Published
    from pipeline.sharing.push import plan_push, push

    store, holdings = Store(built), folder.holdings()
    manifest = next(iter(store.manifests_below(built / "numbers")))
    sending = Sending(manifest, ({"dataset": "toy"},), {"reason": "we may"})
    push(store, holdings, plan_push(store, holdings, [sending], workers=1), workers=1)
    folder.pull(here).raise_failures()
    pulled = next(iter(Store(here).manifests()))
    published = Published.read(pulled)
    assert published is not None
    assert published.override == {"reason": "we may"}
    path = pulled.folder / "published.json"
    path.write_text(path.read_text().replace("we may", "we can"))
    assert [(p.kind, Path(p.file).name) for p in verify(Store(here))] == [
        ("manifest", "published.json"),
        *[("unexpected", name) for name in ("SHA256SUMS",)],
    ]


@pytest.mark.parametrize("name", ["SHA256SUMS", "published.json", "00000.json", "catalogue.json"])
def test_flips_in_a_pushed_folder_are_found(published: Path, name: str) -> None:
    """One bit of what a push adds to a store is found by `verify`, as any other."""
    path = min(published.rglob(name))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert path.relative_to(published).as_posix() in {p.file for p in verify(Store(published))}


def test_verify_of_a_remote_finds_all_damage(published: Path) -> None:
    """Every file of an artifact is read: flipped, cut, gone and strange ones are told."""
    lab = Lab(str(published), patience=lambda: patient(attempts=1))
    assert verify_remote(lab.holdings()) == []
    folder = next((published / "numbers").rglob("manifest.json")).parent
    shards = sorted((folder / "pixels").glob("c.*"))
    flipped = bytearray(shards[0].read_bytes())
    flipped[3] ^= 1
    shards[0].write_bytes(flipped)
    shards[1].write_bytes(shards[1].read_bytes()[:-1])
    shards[2].unlink()
    (folder / "strange").write_text("?")
    (folder / "records" / "00001.json").unlink()
    found = {(Path(p.file).name, p.kind) for p in verify_remote(lab.holdings())}
    assert found == {
        (shards[0].name, "changed"),
        (shards[1].name, "truncated"),
        (shards[2].name, "missing"),
        ("strange", "unexpected"),
        ("00001.json", "missing"),
    }


def test_a_store_of_a_newer_version_is_refused(published: Path, here: Path) -> None:
    """Neither pull nor push touches a remote store of a schema that is not known."""
    document = read_document(published / "store.json") | {"schema": "medshards/store/2"}
    (published / "store.json").write_bytes(seal_document(document))
    with pytest.raises(StoreError, match="newer"):
        Lab(str(published)).pull(here)


def test_addresses_that_are_no_store(tmp_path: Path) -> None:
    """An unknown scheme, a file and a query are refused in words."""
    (tmp_path / "file").write_text("")
    for url in (
        "gs://bucket/x",
        str(tmp_path / "file"),
        "https://host/a?b",
        "s3://",
        "s3://b/../c",
    ):
        with pytest.raises(UsageError):
            open_remote(url, patient())


def test_a_web_server_without_a_catalogue(web: Lab, here: Path, tmp_path: Path) -> None:
    """It says what is lacking and how to come by it."""
    (tmp_path / "www" / "my läb" / "catalogue.json").unlink()
    with pytest.raises(StoreError, match="catalogue.json.*pipeline push"):
        web.pull(here)


def test_the_catalogue_is_made_from_what_is_there(folder: Lab, built: Path) -> None:
    """It names each artifact once it is there, and forgets what is gone."""
    folder.push(built, "sums/toy/0/odd").raise_failures()
    catalogue = Path(folder.url) / "catalogue.json"
    assert len(json.loads(catalogue.read_text())["artifacts"]) == 1
    shutil.rmtree(Path(folder.url) / "sums")
    folder.push(built, "numbers/toy/0").raise_failures()
    (path,) = json.loads(catalogue.read_text())["artifacts"]
    assert path.startswith("numbers/toy/0/")
