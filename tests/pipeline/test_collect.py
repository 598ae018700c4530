"""What `gc` removes, what it never removes, and what a kill in the middle leaves."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.artifact import MANIFEST
from pipeline.collect import Collection, find_unneeded, remove_unneeded
from pipeline.disk import Disk, remove_tree
from pipeline.errors import HeldError, StoreError
from pipeline.store import STAGING, Store
from pipeline.verify import verify
from tests.pipeline.toy import Toy, build, digests_of

DAY = 86400.0
pytestmark = pytest.mark.usefixtures("without_fsync")


def collect(
    root: Path, is_root: Callable[[str], bool], superseded: set[str] | None = None, grace: float = 0
) -> Collection:
    """Remove what no root needs, whatever its age by default."""
    store = Store(root)
    return remove_unneeded(
        store,
        lambda now: find_unneeded(
            store, is_root, superseded=superseded or (), grace=grace, now=now + 1
        ),
    )


def labels(root: Path) -> set[str]:
    """Return the labels of what is sealed."""
    return {manifest.label for manifest in Store(root).manifests()}


def test_what_a_root_needs_stays(copied: Path) -> None:
    """Inputs of a root, at any depth, stay whole; what it does not need goes."""
    before = digests_of(copied)
    found = collect(copied, lambda label: label == "sums/toy/0/odd")
    assert [one.label for one in found.removals] == ["sums/toy/0/even"]
    assert found.removals[0].reason == "unreachable"
    assert found.kept == 3
    assert digests_of(copied) == {k: v for k, v in before.items() if k != "sums/toy/0/even"}
    assert not (copied / "sums" / "toy" / "0" / "even").exists()
    assert verify(Store(copied)) == []


def test_what_is_freed_is_what_was_told(copied: Path) -> None:
    """The bytes and inodes of a dry run are those that the folders had and no longer have."""

    def used() -> tuple[int, int]:
        paths = [p for p in copied.rglob("*") if STAGING not in p.parts and "leases" not in p.parts]
        return sum(p.stat().st_size for p in paths if p.is_file()), len(paths)

    told = find_unneeded(Store(copied), lambda label: label.startswith("sources/"))
    before = used()
    found = collect(copied, lambda label: label.startswith("sources/"))
    after = used()
    assert (found.nbytes, found.inodes) == (told.nbytes, told.inodes)
    assert before[0] - after[0] == found.nbytes
    names = 8  # the folders of stage and name that hold nothing any more
    assert before[1] - after[1] == found.inodes + names


def test_looking_changes_nothing(built: Path) -> None:
    """Finding what is unneeded writes nothing."""
    before = {path: path.stat().st_mtime_ns for path in built.rglob("*")}
    found = find_unneeded(Store(built), lambda _: False)
    assert len(found.removals) == 4
    assert {path: path.stat().st_mtime_ns for path in built.rglob("*")} == before


def test_a_superseded_version_goes_unless_it_is_needed(copied: Path) -> None:
    """Of two sealed versions of a name the old one goes, but not while a root was made from it."""
    build(copied, [Toy(numbers_version=2).numbers()]).raise_failures()
    old = Toy().numbers().recipe.key
    needed = collect(copied, lambda _: True, {old})
    assert needed.removals == ()
    sums = {Toy().sums(kind).recipe.key for kind in ("odd", "even")}
    found = collect(copied, lambda _: True, {old, *sums})
    assert {one.reason for one in found.removals} == {"superseded"}
    assert [one.stage for one in found.removals] == ["sums", "sums", "numbers"]
    assert labels(copied) == {"sources/toy", "numbers/toy/0"}
    assert verify(Store(copied)) == []


def test_an_alias_lives_as_long_as_what_it_stands_for(copied: Path) -> None:
    """An artifact that is kept under a second key keeps it; removed, it takes the key along."""
    build(copied, Toy(numbers_version=2).targets()).raise_failures()
    assert Store(copied).sealed(Toy(numbers_version=2).sums("odd").recipe) is not None
    collect(copied, lambda label: label.startswith("sums/"), {Toy().numbers().recipe.key})
    assert Store(copied).sealed(Toy(numbers_version=2).sums("odd").recipe) is not None
    collect(copied, lambda label: label == "sources/toy")
    assert labels(copied) == {"sources/toy"}
    assert verify(Store(copied)) == []


def test_the_young_stay(copied: Path) -> None:
    """Nothing younger than the grace period goes, nor anything that it needs."""
    sums = Store(copied).folder(Toy().sums("odd").recipe) / MANIFEST
    for path in copied.rglob(MANIFEST):
        os.utime(path, (0, 0))
    os.utime(sums)
    found = collect(copied, lambda _: False, grace=7 * DAY)
    assert [one.label for one in found.removals] == ["sums/toy/0/even"]
    assert {one.label for one in found.young} == labels(copied)
    os.utime(sums, (4e9, 4e9))  # a clock that was ahead
    assert collect(copied, lambda _: False, grace=7 * DAY).removals == ()


def test_begun_artifacts_and_staging_go(copied: Path) -> None:
    """What was begun and never sealed goes after its time, what killed writers left at once."""
    numbers = Store(copied).folder(Toy().numbers().recipe)
    for kind in ("odd", "even"):
        remove_tree(Store(copied).folder(Toy().sums(kind).recipe))
    (numbers / MANIFEST).unlink()
    (copied / STAGING / "1-abc").mkdir(parents=True)
    (copied / STAGING / "1-abc" / "content.part").write_bytes(b"x" * 100)
    assert {problem.kind for problem in verify(Store(copied))} == {"unsealed", "leftover_staging"}
    found = collect(copied, lambda _: True, grace=DAY)
    assert [one.reason for one in found.removals] == ["staging"]
    assert [one.reason for one in found.young] == ["begun"]
    found = collect(copied, lambda _: True)
    assert [one.reason for one in found.removals] == ["begun"]
    assert verify(Store(copied)) == []


def test_an_unreadable_manifest_that_something_needs_stays(copied: Path) -> None:
    """An input whose manifest was damaged is left where it is, to be repaired."""
    numbers = Store(copied).folder(Toy().numbers().recipe)
    with (numbers / MANIFEST).open("ab") as file:
        file.write(b" ")
    assert collect(copied, lambda _: True).removals == ()
    assert numbers.exists()


def test_a_store_of_a_newer_version_is_left_alone(copied: Path) -> None:
    """One manifest of an unknown schema stops it before anything is removed."""
    from pipeline.documents import read_document, seal_document

    manifest = Store(copied).folder(Toy().sums("odd").recipe) / MANIFEST
    manifest.write_bytes(
        seal_document(read_document(manifest) | {"schema": "medshards/artifact/9"})
    )
    before = sorted(copied.rglob("*"))
    with pytest.raises(StoreError, match="artifact/9"):
        collect(copied, lambda _: False)
    assert [path for path in before if not path.exists()] == []


def test_nothing_goes_while_another_writes(copied: Path) -> None:
    """A second writer, and a run that begins meanwhile, exclude each other."""
    with Store(copied).writing(), pytest.raises(HeldError, match="another process"):
        collect(copied, lambda _: False)
    assert len(labels(copied)) == 4


def test_damage_of_what_is_gone_is_forgotten(copied: Path) -> None:
    """The record of the last verify keeps what is still there."""
    store = Store(copied)
    kept, gone = (store.sealed(Toy().sums(kind).recipe) for kind in ("odd", "even"))
    assert kept
    assert gone
    store.record_damaged({kept.identity: ["changed"], gone.identity: ["changed"]})
    collect(copied, lambda label: label == "sums/toy/0/odd")
    assert Store(copied).damaged() == {kept.identity: ["changed"]}


class _Killed(BaseException):
    """Stands for a kill: nothing is cleaned up after it."""


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(step=st.integers(0, 40))
def test_a_kill_in_the_middle_leaves_a_valid_store(
    built: Path, tmp_path_factory: pytest.TempPathFactory, step: int
) -> None:
    """Wherever it is stopped: what is sealed is whole with its inputs, the rest is swept next."""
    root = tmp_path_factory.mktemp("killed") / "store"
    shutil.copytree(built, root)
    pid = os.fork()
    if pid == 0:
        _die_at(step)
        collect(root, lambda label: label == "sources/toy")
        os._exit(0)
    os.waitpid(pid, 0)
    assert {problem.kind for problem in verify(Store(root))} <= {"leftover_staging"}
    sealed = {manifest.recipe_key: manifest for manifest in Store(root).manifests()}
    for manifest in sealed.values():
        assert all(s["recipe_key"] in sealed for s in manifest.document["inputs"].values())
    collect(root, lambda label: label == "sources/toy")
    assert labels(root) == {"sources/toy"}
    assert verify(Store(root)) == []


def _die_at(step: int) -> None:
    """Let this process end without a trace before the given rename, removal or sync."""
    left = [step]

    def counted(original: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            if not left[0]:
                os._exit(9)
            left[0] -= 1
            return original(*arguments, **options)

        return call

    for name in ("rename", "unlink", "rmdir"):
        setattr(os, name, counted(getattr(os, name)))
    Disk.sync_folder = counted(Disk.sync_folder)  # type: ignore[method-assign,assignment]


def test_roots_are_named_on_the_command_line(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--keep names roots, --dry-run tells what would go, and a name of nothing is refused."""
    from typer.testing import CliRunner

    from pipeline.cli import app

    run = CliRunner().invoke
    arguments = ["gc", "--store", str(copied), "--grace", "0s", "--json"]
    dry = run(app, [*arguments, "--keep", "toy/0/odd", "-n"])
    assert dry.exit_code == 0, dry
    told = json.loads(dry.stdout)
    assert [one["name"] for one in told["artifacts"]] == ["toy/0/even"]
    assert told["bytes"] == sum(one["bytes"] for one in told["artifacts"]) > 0
    assert len(labels(copied)) == 4
    assert run(app, [*arguments, "--keep", "sums/toy/0/odds"]).exception
    assert run(app, ["gc", "--store", str(copied), "--grace", "soon"]).exception
    assert len(labels(copied)) == 4
    done = run(app, [*arguments, "--keep", "sums/toy/0/odd"])
    assert json.loads(done.stdout)["artifacts"] == told["artifacts"]
    assert len(labels(copied)) == 3
    assert "0 artifacts; 3 are kept" in run(app, ["gc", "--store", str(copied)]).stdout


def test_a_run_names_all_that_belongs_to_it() -> None:
    """The selectors of a run match its sets, embeddings and results, and not another's."""
    from pipeline.cli.collecting import run_selectors
    from pipeline.cli.study import Study
    from pipeline.selectors import selects

    chosen = run_selectors(Study(Store(Path("nowhere"))).run("demo"))
    belongs = (
        "datasets/phantom-oct/train",
        "corruptions/medimeta-c/phantom-oct/test/contrast/3",
        "embeddings/texture/phantom-oct/train",
        "embeddings/pixels/medimeta-c/phantom-oct/test/contrast/3",
        "results/linear-probe/texture/medimeta-c/phantom-oct/test",
        "summary/zero-shot/paper-clinical/texture/medimeta-c/phantom-oct/test",
        "comparisons/prototype/texture-pixels/medimeta-c/phantom-oct/test",
    )
    for label in belongs:
        assert selects(chosen, label), label
    other = ("corruptions/medmnist-c/phantom-oct/test/x/3", "embeddings/clip/phantom-oct/test")
    for label in other:
        assert not selects(chosen, label), label
