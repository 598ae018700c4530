"""Suite manifests are validated against the parameters of their kernels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.errors import ManifestError, UsageError
from pipeline.manifest import read_manifest
from stages.corrupt.kernels.table import KERNELS
from stages.corrupt.rendering import SUITES
from stages.corrupt.schema import SuiteManifest

HEAD = 'schema = 1\nid = "mine"\ntitle = "Mine"\ngray = "stay"\nsource = "Here."\n'


def entry(name: str, kernel: str, severities: str) -> str:
    """Return one [[corruptions]] table."""
    return f'[[corruptions]]\nname = "{name}"\nkernel = "{kernel}"\nseverities = [{severities}]\n'


def read(folder: Path, text: str) -> SuiteManifest:
    """Read `text` as a suite manifest file."""
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return read_manifest(path, SuiteManifest)


def test_the_shipped_suite_is_the_seven_in_order() -> None:
    """medimeta-c has the seven corruptions of MediMeta-C, gray replicated."""
    suite = SUITES["medimeta-c"]
    assert suite.gray == "replicate"
    assert [corruption.name for corruption in suite.corruptions] == [
        "gaussian_noise",
        "impulse_noise",
        "motion_blur",
        "zoom_blur",
        "brightness",
        "contrast",
        "pixelate",
    ]


def test_a_suite_of_ones_own_is_read(tmp_path: Path) -> None:
    """A user's TOML may name a kernel anew and give whole numbers for fractions."""
    suite = read(tmp_path, HEAD + entry("darker", "contrast", ", ".join(["{ factor = 1 }"] * 5)))
    assert suite.corruption("darker").severities[4].model_dump() == {
        "factor": 1.0,
        "rounding": "down",
    }


def test_all_parameters_reach_the_serialised_suite() -> None:
    """The JSON form, from which keys are made, holds every severity number."""
    dumped = SUITES["medimeta-c"].model_dump(mode="json", by_alias=True)
    assert dumped["schema"] == 1
    for corruption in dumped["corruptions"]:
        fields = set(KERNELS[corruption["kernel"]].severity.model_fields)
        assert [set(table) for table in corruption["severities"]] == [fields] * 5
    assert SuiteManifest.model_validate_json(json.dumps(dumped)) == SUITES["medimeta-c"]


def test_all_faults_are_reported_at_once(tmp_path: Path) -> None:
    """Unknown and missing parameters, bad ranges and types each get their line with a hint."""
    text = HEAD.replace('"stay"', '"grey"')
    text += entry(
        "noise",
        "gaussian_noise",
        '{ sigma = 0.1 }, { sgima = 0.1 }, { sigma = -1.0 }, { sigma = "a" }, { sigma = nan }',
    )
    text += entry("zoom", "zoom_blurr", "")
    text += entry("motion", "motion_blur", "{ radius = 1, sigma = 1.0 }")
    with pytest.raises(ManifestError) as error:
        read(tmp_path, text)
    message = str(error.value)
    assert "mine.toml: gray: " in message
    assert (
        "corruptions.0.severities.1.sgima: unknown parameter of gaussian_noise; "
        "did you mean 'sigma'?" in message
    )
    assert "corruptions.0.severities.1.sigma: Field required" in message
    assert "corruptions.0.severities.2.sigma: Input should be greater than 0" in message
    assert "corruptions.0.severities.3.sigma: Input should be a valid number" in message
    assert "corruptions.0.severities.4.sigma: " in message
    assert "corruptions.1.kernel: unknown kernel 'zoom_blurr'; did you mean 'zoom_blur'?" in message
    assert "corruptions.2.severities: must be an array of exactly 5 tables" in message


def test_names_are_unique(tmp_path: Path) -> None:
    """Two corruptions of one name are refused."""
    one = entry("dim", "contrast", ", ".join(["{ factor = 0.5 }"] * 5))
    with pytest.raises(ManifestError, match="corruption names used twice: dim"):
        read(tmp_path, HEAD + one + one)


def test_unknown_corruption_suggests_the_nearest() -> None:
    """A misspelt corruption names the nearest one of the suite."""
    with pytest.raises(
        UsageError, match=r"unknown corruption 'zoom_blu'; did you mean 'zoom_blur'"
    ):
        SUITES["medimeta-c"].corruption("zoom_blu")
