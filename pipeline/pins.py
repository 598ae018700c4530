"""Digests that nobody publishes, pinned at their first use in a store's ``sources.toml``."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TypeAlias

from pipeline.digest import digest_json
from pipeline.errors import VerificationError

Pins: TypeAlias = dict[str, dict[str, str]]
"""Digests by table and name."""

_NOTE = "# Digests that nobody publishes, pinned at their first use. Written by medshards.\n"


def read_pins(path: Path) -> Pins:
    """Return the pins in a file; none if there is no such file.

    Raises
    ------
    VerificationError
        If the file was changed by other means than this program.
    """
    if not path.exists():
        return {}
    data = path.read_bytes()
    try:
        pins = tomllib.loads(data.decode())
        del pins["checksum"]
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError):
        pins = {}
    if encode_pins(pins) != data:
        message = f"{path}: its checksum does not match: the file was changed or cut short"
        raise VerificationError(message)
    return pins


def encode_pins(pins: Pins) -> bytes:
    """Return the bytes of a file of pins, with a checksum of itself."""
    import tomli_w

    return (_NOTE + tomli_w.dumps({"checksum": digest_json(pins), **pins})).encode()
