"""Class prompts of a run: templates over the dataset's own, and sentences that it writes out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.class_prompts import class_prompts, prompt_sets
from pipeline.cli.study import Study
from pipeline.errors import ManifestError, UsageError
from pipeline.store import Store

RUN = """
schema = 1
id = "mine"
title = "Mine"
datasets = ["phantom-oct"]
encoders = ["clip-vit-b16"]

[templates]
single = ["a photo of a {}"]
ensemble = ["a scan of {}", "an image of {}"]
"""
WRITTEN = """
[class_prompts.phantom-oct.described]
"choroidal neovascularization" = ["fluid under the retina", "a lifted retina"]
"diabetic macular edema" = ["dark cysts"]
drusen = ["small bumps"]
normal = ["smooth layers"]
"""


def study(tmp_path: Path, text: str) -> Study:
    """Return a study with one more run."""
    runs = tmp_path / "my" / "runs"
    runs.mkdir(parents=True)
    (runs / "mine.toml").write_text(text)
    return Study(Store.open(tmp_path / "store"), tmp_path / "my")


def prompts(of: Study, name: str) -> list[Any]:
    """Return one set of class prompts of the run."""
    return class_prompts(of.labelled("phantom-oct"), name, of.run("mine"))


def test_single_ensembled_and_written_prompts(tmp_path: Path) -> None:
    """Templates are filled with the dataset's texts; sentences of the run stay as written."""
    made = study(tmp_path, RUN + WRITTEN)
    assert prompt_sets(made.dataset("phantom-oct"), made.run("mine")) == ["clinical", "described"]
    own = prompts(made, "clinical")
    assert [one.template for one in own] == ["single"] * 4 + ["ensemble"] * 8
    assert (own[2].class_name, own[2].text) == ("drusen", "a photo of a drusen")
    written = prompts(made, "described")
    assert {one.template for one in written} == {"as-written"}
    assert [(one.class_id, one.text) for one in written] == [
        (0, "fluid under the retina"),
        (0, "a lifted retina"),
        (1, "dark cysts"),
        (2, "small bumps"),
        (3, "smooth layers"),
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("drusen =", "druzen ="), "'druzen' is no class of phantom-oct; did you mean 'drusen'?"),
        (('drusen = ["small bumps"]\n', ""), "no sentence for class 'drusen'"),
        (("described", "clinical"), "the dataset has prompts of this name"),
    ],
)
def test_prompts_for_other_classes_are_refused(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    """A class too many, one too few or a name taken: the run, the set and the fault are named."""
    made = study(tmp_path, RUN + WRITTEN.replace(*change))

    def all_prompts() -> list[Any]:
        names = prompt_sets(made.dataset("phantom-oct"), made.run("mine"))
        return [prompts(made, name) for name in names]

    with pytest.raises(UsageError, match=re.escape(message)) as caught:
        all_prompts()
    assert "run mine: class_prompts.phantom-oct" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[templates]\nas-written = ["{}"]', "without a template are called"),
        ("[class_prompts.oct.x]\nCNV = []", "class_prompts.oct.x.CNV"),
        ('[few_shot]\nprotocol = "zero-shot"', "few_shot.protocol"),
        ("[few_shot]\nk = [0]", "few_shot.k"),
        ("[few_shot]\nfractions = [1.0]", "few_shot.fractions"),
        ("[few_shot]\nk = []\nfractions = []", "give k, fractions or both"),
        ("[few_shot]\nseeds = []", "few_shot.seeds"),
        ("[few_shot]\nseeds = [1, 1]", "a number is given twice"),
    ],
)
def test_faults_of_a_run_are_named(tmp_path: Path, text: str, message: str) -> None:
    """Each is a manifest error with its key."""
    made = study(tmp_path, RUN.partition("\n[templates]")[0] + "\n" + text)
    with pytest.raises(ManifestError, match=message):
        made.run("mine")
