"""A rule set that would word something wrongly, or nothing, is refused when it is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import ManifestError
from pipeline.manifest import read_manifest
from stages.prompt.rule_sets import RULE_SETS
from stages.prompt.schema import RuleSet

FIXED = (Path(__file__).parents[3] / "manifests/prompts/fixed.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("declared", "instead", "complaint"),
    [
        ('center = "center"\n', "", "places needs a word for each of: top_left"),
        ('center = "center"\n', 'centre = "center"\n', "places needs a word"),
        ("up_to = 0.08", "up_to = 0.0005", "sizes: up_to needs to grow"),
        ("up_to = 0.08", "up_to = 0.001", "sizes: up_to needs to grow"),
        ("up_to = 1.0", "up_to = 0.5", "up to 1.0"),
        ('[[shapes]]\nword = "elongated"\n\n[places]', "[places]", "the last rule needs to fit"),
        ("[0.0, 0.866]", "[0.866, 0.0]", "eccentricity: .* within 0 and 1"),
        ("solidity = [0.0, 0.85]", "solidity = [0.0, 85.0]", "solidity: .* within 0 and 1"),
        ("extent = [0.9, 1.0]", "extent = [-0.9, 1.0]", "extent: .* within 0 and 1"),
        ("{number} {size}", "{nummer} {size}", "unknown attribute 'nummer'; did you mean"),
        ('swaps_of = "p6"', 'swaps_of = "p66"', "no prompt 'p66'"),
        ("contrast_from = 10.0", "contrast_from = 0.0", "contrast_from"),
        ("majority = 0.75", "majority = 0.5", "majority"),
    ],
)
def test_faults_are_named(tmp_path: Path, declared: str, instead: str, complaint: str) -> None:
    """Each fault of a file that is else right, with what is wrong about it."""
    assert declared in FIXED
    path = tmp_path / "rules.toml"
    path.write_text(FIXED.replace(declared, instead, 1), encoding="utf-8")
    with pytest.raises(ManifestError, match=complaint):
        read_manifest(path, RuleSet)


def test_shipped_rule_sets_are_whole() -> None:
    """All four are read."""
    assert {"fixed", "medclipseg", "poudel", "tganet"} <= set(RULE_SETS)
