"""Recipes of artifacts that may not be passed on: their manifests without any of their files.

They lie at ``recipes/<stage>/<name>/<recipe key>.json``, away from what exists. Whoever has the
clean data makes the artifact from them, and the digests in them prove it identical.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from pipeline.published import RECIPES
from pipeline.sharing.names import Place, fault_of_path
from pipeline.store import is_recipe_key

_ENDING = ".json"


def path_of_recipe(place: Place) -> str:
    """Return where the recipe of an artifact lies below a store."""
    return f"{RECIPES}/{place.path}{_ENDING}"


def place_of_recipe(path: str) -> Place | None:
    """Return the artifact whose recipe lies at a path, or None."""
    parts = PurePosixPath(path).parts
    if len(parts) < 4 or parts[0] != RECIPES or not path.endswith(_ENDING):
        return None
    place = Place(parts[1], "/".join(parts[2:-1]), parts[-1].removesuffix(_ENDING))
    return place if is_recipe_key(place.key) and not fault_of_path(place.path) else None
