"""Finished sets of others: imported, embedded and evaluated, or refused in one line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline import open_store
from tests.end_to_end.conftest import CommandLine, TinySource
from tests.end_to_end.options import at

SUITE = "theirs@imported"
CORRUPTIONS = ("fog", "gaussian_noise")
OTHER_ORDER = 'schema = 1\ndataset = "tiny"\nclasses = ["bright", "dark"]\n'
OWN_ORDER = 'schema = 1\ndataset = "tiny"\nclasses = ["dark", "bright"]\n'


def theirs(source: TinySource) -> dict[tuple[str, int], np.ndarray]:
    """Return images (24, 28, 28, 3) of two corruptions by severity, brighter ones at each."""
    images = source.arrays()["test_images"][..., None].repeat(3, axis=3).astype(int)
    return {
        (name, severity): np.clip(images + 20 * severity + 5 * number, 0, 255).astype(np.uint8)
        for number, name in enumerate(CORRUPTIONS)
        for severity in range(1, 6)
    }


def write_robustmedclip(source: TinySource, root: Path) -> Path:
    """Write the sets as RobustMedCLIP lays them out, its classes in the other order."""
    folder = root / "tiny" / "test"
    folder.mkdir(parents=True)
    labels = 1 - source.arrays()["test_labels"].astype(np.int64)
    for (name, severity), images in theirs(source).items():
        np.savez_compressed(
            folder / f"{name}_severity_{severity}.npz", images=images, labels=labels
        )
    clean = source.arrays()["test_images"][..., None].repeat(3, axis=3)
    clean[:2] ^= 1
    np.savez(folder / "clean.npz", images=clean, labels=labels)
    return root


def write_medmnist_c(source: TinySource, root: Path) -> Path:
    """Write the sets as MedMNIST-C lays them out, gray."""
    (root / "tiny").mkdir(parents=True)
    labels = np.concatenate([source.arrays()["test_labels"]] * 5)
    for name in CORRUPTIONS:
        images = [theirs(source)[name, severity][..., 0] for severity in range(1, 6)]
        path = root / "tiny" / f"{name}.npz"
        np.savez_compressed(path, test_images=np.concatenate(images), test_labels=labels)
    return root


WRITERS = {
    "robustmedclip-npz": (write_robustmedclip, OTHER_ORDER),
    "medmnistc-npz": (write_medmnist_c, OWN_ORDER),
}


@pytest.fixture(scope="session")
def clean(
    once: Callable[[str, Callable[[Path], None]], Path],
    command_line: Callable[[Path], CommandLine],
) -> Path:
    """Return a folder with the tiny dataset, whose test split alone is sealed."""

    def build(folder: Path) -> None:
        source = TinySource(folder)
        source.write()
        command = ("build", "datasets", "--datasets", "tiny", "--from", source.data)
        command_line(folder)(*command, *at(source))

    return once("import-clean", build)


@pytest.fixture
def source(clean: Path, tmp_path: Path) -> TinySource:
    """Return this test's own copy."""
    shutil.copytree(clean, tmp_path, dirs_exist_ok=True)
    return TinySource(tmp_path)


def command(source: TinySource, form: str = "robustmedclip-npz") -> tuple[object, ...]:
    """Return an import of what is in `theirs`, by the label map there."""
    named = ("--dataset", "tiny", "--suite", "theirs", "--labels", "map.toml")
    return ("import", form, "theirs", *named, *at(source))


@pytest.mark.parametrize("form", WRITERS)
def test_imported_sets_are_embedded_and_evaluated(
    pipeline: CommandLine, source: TinySource, tmp_path: Path, form: str
) -> None:
    """Pixels are theirs bit for bit, rows are the clean split's, and the suite is evaluated."""
    write, order = WRITERS[form]
    write(source, tmp_path / "theirs")
    (tmp_path / "map.toml").write_text(order)
    told = pipeline(*command(source, form), "--dry-run", "--json").json
    assert len(told["units"]) == 10
    noted = pipeline(*command(source, form), "--dry-run").stderr
    assert ("2 of the 24 images in theirs/tiny/test/clean.npz" in noted) == (
        form == "robustmedclip-npz"
    )
    assert not (tmp_path / "store" / "corruptions").exists()
    assert not pipeline.modules(*command(source, form)) & {"torch", "open_clip", "transformers"}
    shutil.rmtree(tmp_path / "theirs")
    opened = open_store(tmp_path / "store")
    split = opened["tiny/test"]
    for (name, severity), images in theirs(source).items():
        one = opened[f"{SUITE}/tiny/test/{name}/{severity}"]
        channels = 3 if form == "robustmedclip-npz" else 1
        np.testing.assert_array_equal(one.images[:], images[..., :channels])
        columns = ["id", "label", "patient_id", "original_filepath"]
        assert one.index(columns).equals(split.index(columns))
        assert one.attributes["provenance"] == "imported"
        assert one.attributes["licence"] == split.attributes["licence"]
    pipeline("embed", "--model", "pixels", "--suite", SUITE, *at(source))
    answer = pipeline("eval", "--baseline", "pixels", "--suite", SUITE, *at(source), "--json")
    found = {(row["suite"], row["corruption"]) for row in answer.json["results"]}
    assert found == {(SUITE, name) for name in ("clean", *CORRUPTIONS)}
    pipeline("verify", "--store", tmp_path / "store")
    again = pipeline("eval", "--baseline", "pixels", *at(source), "--json")
    assert {row["suite"] for row in again.json["results"]} == {SUITE}


def test_a_second_import_does_nothing_and_another_is_refused(
    pipeline: CommandLine, source: TinySource, tmp_path: Path
) -> None:
    """The same files are known by their digests; others need another name."""
    folder = write_robustmedclip(source, tmp_path / "theirs") / "tiny" / "test"
    (tmp_path / "map.toml").write_text(OTHER_ORDER)
    pipeline(*command(source))
    shutil.move(tmp_path / "theirs", tmp_path / "moved")
    moved = [tmp_path / "moved" if part == "theirs" else part for part in command(source)]
    moved[moved.index("--suite") + 1] = "theirs"
    assert pipeline(*moved, "--json").json["units"] == 0
    path = tmp_path / "moved" / "tiny" / "test" / "fog_severity_2.npz"
    with np.load(path) as arrays:
        images, labels = arrays["images"] ^ 1, arrays["labels"]
    np.savez(path, images=images, labels=labels)
    pipeline(*moved, rc=2).refused(2, "fog/2 is in the store from other files", "--suite")
    assert not folder.exists()


def test_an_export_comes_back_as_it_was(
    pipeline: CommandLine, tiny_built: TinySource, tmp_path: Path
) -> None:
    """What was exported in RobustMedCLIP's layout is imported with the same content."""
    store = at(tiny_built)
    name = "medimeta-c/tiny/test/contrast"
    (tmp_path / "map.toml").write_text(OTHER_ORDER)
    form = "robustmedclip-npz"
    pipeline("export", form, name, *store, "--out", "theirs", "--labels", "map.toml")
    pipeline(*command(tiny_built))
    opened = open_store(tmp_path / "store")
    for severity in range(1, 6):
        ours, back = (
            opened[f"{suite}/tiny/test/contrast/{severity}"] for suite in ("medimeta-c", SUITE)
        )
        columns = ["id", "label", "images_blake3"]
        assert ours.index(columns).equals(back.index(columns))


def _labels(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    with np.load(path) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    np.savez(path, images=images, labels=change(labels))


def _images(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    with np.load(path) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    np.savez(path, images=change(images), labels=labels)


FAULTS: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "counts": (lambda p: _labels(p, np.zeros_like), ("class counts", "bright 24 instead of")),
    "order": (lambda p: _labels(p, lambda a: a[::-1]), ("samples in another order",)),
    "outside": (lambda p: _labels(p, lambda a: a + 1), ("label 2 is outside 0..1",)),
    "several": (lambda p: _labels(p, lambda a: a.repeat(2, axis=1)), ("labels have shape",)),
    "float labels": (lambda p: _labels(p, lambda a: a * 0.5), ("float64", "not integers")),
    "pickle": (lambda p: _labels(p, lambda a: a.astype(object)), ("pickle",)),
    "float": (lambda p: _images(p, lambda a: a / 255), ("float64", "not uint8")),
    "shape": (lambda p: _images(p, lambda a: a[:, 1:]), ("27 × 28 × 3", "28 × 28 × 1")),
    "rows": (lambda p: _images(p, lambda a: a[1:]), ("24 labels for 23 images",)),
    "no npz": (lambda p: p.write_bytes(b"PK"), ("not an npz file",)),
    "no key": (lambda p: np.savez(p, x=np.zeros(3)), ("has no array 'images'",)),
    "severity": (lambda p: p.unlink(), ("fog lacks severity 3", "--corruptions")),
}


@pytest.fixture(scope="session")
def faulty(clean: Path, once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """Return a folder of sets in RobustMedCLIP's layout."""
    return once("import-theirs", lambda folder: _written(TinySource(clean), folder))


def _written(source: TinySource, folder: Path) -> None:
    write_robustmedclip(source, folder / "theirs")


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_of_the_dataset_is_refused(
    pipeline: CommandLine, clean: Path, faulty: Path, tmp_path: Path, fault: str
) -> None:
    """Wrong counts, labels, shapes, types and pickles are one line each, and nothing is kept."""
    shutil.copytree(faulty / "theirs", tmp_path / "theirs")
    (tmp_path / "map.toml").write_text(OTHER_ORDER)
    change, phrases = FAULTS[fault]
    change(tmp_path / "theirs" / "tiny" / "test" / "fog_severity_3.npz")
    pipeline(*command(TinySource(clean)), rc=1).refused(1, *phrases)
    assert not (clean / "store" / "corruptions").exists()


def test_the_wrong_label_map_is_noticed(
    pipeline: CommandLine, clean: Path, faulty: Path, tmp_path: Path
) -> None:
    """A map in the wrong order gives other class counts; a missing one is asked for."""
    shutil.copytree(faulty / "theirs", tmp_path / "theirs")
    (tmp_path / "map.toml").write_text(OWN_ORDER)
    source = TinySource(clean)
    pipeline(*command(source), rc=1).refused(1, "other class counts", "dark", "bright")
    without = [part for part in command(source) if part not in {"--labels", "map.toml"}]
    pipeline(*without, rc=2).refused(2, "--labels is needed", 'dataset = "tiny"')
    (tmp_path / "map.toml").write_text(OWN_ORDER.replace("dark", "drak"))
    answer = pipeline(*command(source), rc=2)
    assert "'drak' is no class of tiny; did you mean 'dark'?" in answer.stderr


def test_requests_that_are_wrong_are_one_line(
    pipeline: CommandLine, source: TinySource, tmp_path: Path
) -> None:
    """Unknown formats and corruptions, no files, no clean split, and no such suite."""
    write_robustmedclip(source, tmp_path / "theirs")
    (tmp_path / "map.toml").write_text(OTHER_ORDER)
    usual = command(source)
    pipeline(*command(source, "npz"), rc=2).refused(2, "unknown import format 'npz'")
    pipeline(*command(source, "medmnistc-npz"), rc=2).refused(2, "no files <corruption>.npz")
    pipeline(*usual, "--corruptions", "frog", rc=2).refused(2, "'frog'", "fog, gaussian_noise")
    pipeline(*usual, "--suite", "My Sets", rc=2).refused(2, "--suite 'My Sets'")
    pipeline("eval", "--suite", SUITE, *at(source), rc=4).refused(4, "pipeline import")
    shutil.rmtree(tmp_path / "store")
    pipeline(*usual, rc=4).refused(4, "pipeline build datasets --datasets tiny --splits test")


def test_imported_sets_are_not_rendered(
    pipeline: CommandLine, source: TinySource, tmp_path: Path
) -> None:
    """Building an imported suite has nothing to do; one corruption may be imported alone."""
    write_robustmedclip(source, tmp_path / "theirs")
    (tmp_path / "map.toml").write_text(OTHER_ORDER)
    pipeline(*command(source), "--corruptions", "fog")
    named = ("--suite", SUITE, "--datasets", "tiny", *at(source), "--json")
    assert pipeline("build", "corruptions", *named).json["units"] == 0
    names = {row["name"] for row in pipeline("list", "sets", *at(source), "--json").json["sets"]}
    assert {name for name in names if name.startswith(SUITE)} == {
        f"{SUITE}/tiny/test/fog/{severity}" for severity in range(1, 6)
    }
    pipeline("analyse", "spectra", "--out", "spectra", *named[:-1])
