"""Mutants are real changes, and tests that see one fail."""

from __future__ import annotations

import ast
from pathlib import Path

from benchmarks.mutants import ROOT, Mutant, Trials, mutants, places

MODULE = "pipeline/recipe.py"
TESTS = {
    MODULE: [
        "tests/pipeline/test_recipe_and_digests.py",
        "-k",
        "test_keys_and_content_digests_are_pinned",
    ]
}


def test_mutants_differ_from_the_module_and_each_other() -> None:
    """Each is Python, and does something else than the module does."""
    found = dict(mutants(places(MODULE)))
    meanings = {ast.dump(ast.parse(text)) for text in found.values()}
    assert len(meanings) == len(found)
    assert ast.dump(ast.parse((ROOT / MODULE).read_text())) not in meanings
    assert Mutant(MODULE, 13, "KEY_SCHEMA = 1", "KEY_SCHEMA = 2") in found


def test_what_changes_a_key_is_killed_and_what_changes_nothing_survives(tmp_path: Path) -> None:
    """The tests run on the changed copy, and the next ones on the module as it was."""
    text = (ROOT / MODULE).read_text()
    other, same = (Mutant(MODULE, line, "", "") for line in (1, 2))
    changed = text.replace("KEY_SCHEMA = 1", "KEY_SCHEMA = 2")
    trials = Trials(tmp_path, 1, TESTS, {other: changed, same: f"{text}\n"})
    trials.time(MODULE)
    assert [trials.killed(mutant) for mutant in (other, same)] == [True, False]
