"""How an artifact is made, and the key that follows from it before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

from pipeline.digest import digest_json

KEY_SCHEMA = 1
"""Raised when the meaning of a recipe key changes; every key changes with it."""


@dataclass(frozen=True, eq=False)
class Recipe:
    """The stage, version, parameters and inputs that determine an artifact's content.

    Workers, devices, batch sizes and paths are resources and never belong here.
    """

    stage: str
    """Name of the stage, also the top folder in a store."""
    name: str
    """Readable name, parts joined by "/", made from the parameters; not part of the key."""
    version: int
    """The stage's version, raised by hand when its output changes for equal parameters."""
    parameters: Mapping[str, Any]
    """Everything that determines the output, defaults included."""
    inputs: Mapping[str, Recipe] = field(default_factory=lambda: MappingProxyType({}))
    """Recipes of the inputs by role."""

    @cached_property
    def key(self) -> str:
        """The recipe key: blake3 of the canonical JSON of all that determines the output."""
        inputs = {role: recipe.key for role, recipe in self.inputs.items()}
        return digest_json([KEY_SCHEMA, self.stage, self.version, self.parameters, inputs])

    def content_key(self, input_digests: Mapping[str, str]) -> str:
        """Return the key by *content* of the inputs instead of by their recipes.

        Two recipes with equal content keys make equal artifacts, so one may stand for the other.
        """
        return digest_json(
            [KEY_SCHEMA, self.stage, self.version, self.parameters, dict(input_digests)]
        )

    @property
    def label(self) -> str:
        """``<stage>/<name>``, how people see the artifact."""
        return f"{self.stage}/{self.name}"


@dataclass(frozen=True, eq=False)
class SealedRecipe(Recipe):
    """The recipe of an artifact that is sealed, of whose inputs nothing but the key is known."""

    sealed_key: str = ""
    """Its key, which the manifest of the artifact states."""

    @cached_property
    def key(self) -> str:
        """The recipe key."""
        return self.sealed_key
