"""Which packages are installed, and in which version."""

from __future__ import annotations

from importlib import metadata

OWN = "medshards"


def installed_version(package: str = OWN) -> str | None:
    """Return the version of an installed package, by default of this one.

    None where there is none, as of this one where it is run from a folder.
    """
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
