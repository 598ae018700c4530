"""Run manifests: the shipped ones, their defaults and their faults."""

from __future__ import annotations

from pathlib import Path

import pytest

import manifests
from pipeline.errors import ManifestError
from pipeline.manifest import read_manifest
from stages.evaluate.schema import PAPER_TEMPLATE, RunManifest
from stages.evaluate.templates import expand, fault_of, fill

RUNS = Path(manifests.__path__[0]) / "runs"
SMALL = 'schema = 1\nid = "mine"\ntitle = "Mine"\ndatasets = ["pbc"]\nencoders = ["biomedclip"]\n'


def read(tmp_path: Path, text: str) -> RunManifest:
    """Return the manifest written as `text`."""
    path = tmp_path / "run.toml"
    path.write_text(text, encoding="utf-8")
    return read_manifest(path, RunManifest)


@pytest.mark.parametrize("path", sorted(RUNS.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_manifests_are_valid(path: Path) -> None:
    """Each loads, and is named as its file is."""
    assert read_manifest(path, RunManifest).id == path.stem


def test_the_shipped_runs_are_the_studies_they_name() -> None:
    """The demo needs no weights; the paper's run has its 5 + 5 datasets and its baseline."""
    demo, suite, paper = (
        read_manifest(RUNS / f"{name}.toml", RunManifest)
        for name in ("demo", "medimeta-c", "robustmedclip")
    )
    assert all(name.startswith("phantom-") for name in demo.datasets)
    assert (len(demo.datasets), demo.encoders, demo.baseline) == (
        5,
        ("texture", "pixels"),
        "pixels",
    )
    assert demo.protocols == ("linear-probe", "prototype")
    assert paper.datasets[:5] == suite.datasets
    assert len(paper.datasets) == 10
    assert all(name.endswith("mnist-224") for name in paper.datasets[5:])
    assert {suite.baseline, paper.baseline} == {"clip-vit-b16"}
    assert paper.templates["paper"] == (PAPER_TEMPLATE,)
    assert len(paper.templates["ensemble"]) == 6


def test_what_is_left_out_has_a_default(tmp_path: Path) -> None:
    """A run needs datasets and encoders; everything else follows the paper."""
    run = read(tmp_path, SMALL)
    assert (run.suites, run.splits, run.baseline) == (("medimeta-c",), ("test",), "clip-vit-b16")
    assert run.protocols == ("zero-shot", "linear-probe", "prototype")
    assert run.templates == {"paper": (PAPER_TEMPLATE,)}
    assert (run.bootstrap.resamples, run.bootstrap.confidence, run.bootstrap.seed) == (
        1000,
        0.95,
        0,
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('protocols = ["linear-prob"]', "did you mean 'linear-probe'"),
        ('splits = ["tset"]', "splits"),
        ('suites = ["a", "a"]', "named twice: a"),
        ("protocols = []", "protocols"),
        ('basline = "x"', "did you mean 'baseline'"),
        ("[bootstrap]\nconfidence = 1.0", "bootstrap.confidence"),
        ("[bootstrap]\nresamples = 1.5", "bootstrap.resamples"),
        ('[templates]\nbad = ["a photo"]', "no place for the class"),
        ('[templates]\nbad = ["{} {} {}"]', "at most two"),
        ("[templates]\nbad = []", "templates.bad"),
    ],
)
def test_faults_are_named_with_their_key(tmp_path: Path, line: str, message: str) -> None:
    """Each fault is reported with the file, the key and what would be right."""
    with pytest.raises(ManifestError, match=message) as caught:
        read(tmp_path, f"{SMALL}{line}\n")
    assert "run.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("a photo of a {}", "a photo of a drusen"),
        (PAPER_TEMPLATE, "a medical image of a drusen belonging to oct"),
        ("{dataset}: {class}", "oct: drusen"),
        ("{class}, {class}", "drusen, drusen"),
        ("100 % {{sure}} {}", "100 % {sure} drusen"),
    ],
)
def test_templates_take_the_class_and_the_dataset(template: str, text: str) -> None:
    """Positional and named fields are both understood."""
    assert fill(template, "drusen", "oct") == text


@pytest.mark.parametrize(
    "template",
    ["", "a photo", "{dataset}", "{} {class}", "{name}", "{0}", "{class.x}", "{!r}", "{:>9}", "{"],
)
def test_templates_that_cannot_be_filled_are_refused(template: str) -> None:
    """A template without a place for the class, or with odd fields, has a fault."""
    assert fault_of(template)
    with pytest.raises(ValueError, match="template"):
        fill(template, "drusen", "oct")


def test_texts_are_ordered_by_class_then_variant_then_template() -> None:
    """Every combination is there once, with the id of its class."""
    texts, ids = expand(["{}!", "{}?"], ["a", ("b", "c")], "toy")
    assert texts == ("a!", "a?", "b!", "b?", "c!", "c?")
    assert ids == (0, 0, 1, 1, 1, 1)
