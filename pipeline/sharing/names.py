"""Which names of a remote may become paths, and which artifact a path belongs to."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.artifact import ALIAS, MANIFEST, Manifest
from pipeline.errors import VerificationError
from pipeline.published import PUBLISHED, records_of
from pipeline.soundness import fault_of_name
from pipeline.store import DOWNLOADS, LEASES, STAGING, is_recipe_key

_DRIVE = re.compile(r"[A-Za-z]:")
_OWN = frozenset({STAGING, LEASES, DOWNLOADS})


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where an artifact lies below a store: ``<stage>/<name>/<recipe key>``."""

    stage: str
    name: str
    key: str

    @property
    def path(self) -> str:
        """The path below the store."""
        return f"{self.stage}/{self.name}/{self.key}"

    @property
    def label(self) -> str:
        """``<stage>/<name>``."""
        return f"{self.stage}/{self.name}"

    @classmethod
    def of(cls, manifest: Manifest) -> Place:
        """Return where an artifact belongs by what it says of itself."""
        return cls(manifest.stage, manifest.name, manifest.recipe_key)


def fault_of_path(path: object) -> str | None:
    """Return why a path that a remote names is refused, or None."""
    if fault := fault_of_name(path):
        return fault
    if _DRIVE.match(str(path)):
        return f"{path!r} leads outside its folder"
    return None


def split_path(path: str) -> tuple[Place, str] | None:
    """Return the artifact that a path below a store belongs to and the path below its folder.

    The second is empty for the folder itself. None for what belongs to no artifact.

    Raises
    ------
    VerificationError
        If the path leads outside the store.
    """
    if fault := fault_of_path(path):
        message = f"refused: {fault}"
        raise VerificationError(message)
    parts = path.split("/")
    at = next((i for i, part in enumerate(parts) if is_recipe_key(part)), 0)
    if at < 2 or parts[0] in _OWN:
        return None
    return Place(parts[0], "/".join(parts[1:at]), parts[at]), "/".join(parts[at + 1 :])


def fault_of_place(manifest: Manifest, place: Place) -> str | None:
    """Return why a manifest cannot be that of the artifact at `place`, or None.

    What it lists must be files in the artifact's own folder that none of the others needs.
    """
    if Place.of(manifest) != place:
        return f"it is {manifest.label} {manifest.recipe_key}, which belongs elsewhere"
    found = split_path(place.path)
    if found != (place, "") or any(fault_of_path(part) for part in place.path.split("/")):
        return f"{place.path!r} is no place for an artifact"
    files = list(manifest.files)
    taken = {MANIFEST, ALIAS, PUBLISHED, *records_of(manifest)}
    folders = {path[:at] for path in [*files, *taken] for at, c in enumerate(path) if c == "/"}
    for path in files:
        if fault := fault_of_path(path):
            return f"file {fault}"
        if path in taken or path in folders:
            return f"file {path!r} is in the way of others"
    return None
