"""The rule sets that are shipped, by name."""

from __future__ import annotations

import functools
import importlib.resources
from pathlib import Path

from pipeline.manifest import read_manifest, unknown_name
from stages.prompt.schema import RuleSet


@functools.lru_cache
def shipped_rule_set(name: str) -> RuleSet:
    """Return the rule set `name` of manifests/prompts.

    Raises
    ------
    UsageError
        If none is shipped under this name; the nearest name is suggested.
    ManifestError
        With every fault of the file at once.
    """
    shipped = _shipped_paths()
    if name not in shipped:
        raise unknown_name("rule set", name, shipped)
    return read_manifest(shipped[name], RuleSet)


def shipped_rule_sets() -> list[str]:
    """Return the ids of the shipped rule sets."""
    return list(_shipped_paths())


@functools.lru_cache
def _shipped_paths() -> dict[str, Path]:
    folder = Path(str(importlib.resources.files("manifests"))) / "prompts"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}
