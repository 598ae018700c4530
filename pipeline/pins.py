"""Digests that nobody publishes, pinned at their first use in a store's ``sources.toml``."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TypeAlias

from pipeline.digest import digest_json
from pipeline.errors import StoreError, VerificationError
from pipeline.schemas import PINS, is_readable

Pins: TypeAlias = dict[str, dict[str, str]]
"""Digests by table and name."""

_NOTE = "# Digests that nobody publishes, pinned at their first use. Written by medshards.\n"


def read_pins(path: Path) -> Pins:
    """Return the pins in a file; none if there is no such file.

    Raises
    ------
    VerificationError
        If the file was changed by other means than this program.
    StoreError
        If a newer version of this program wrote it.
    """
    if not path.exists():
        return {}
    data = path.read_bytes()
    try:
        pins = tomllib.loads(data.decode())
        schema = pins.pop("schema", None)
        if schema is not None and not is_readable(schema, PINS):
            message = f"{path}: has schema {schema!r}, this version of medshards reads {PINS!r}"
            raise StoreError(message)
        del pins["checksum"]
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError):
        pins, schema = {}, None
    if encode_pins(pins, schema) != data:
        message = f"{path}: its checksum does not match: the file was changed or cut short"
        raise VerificationError(message)
    return pins


def encode_pins(pins: Pins, schema: str | None = PINS) -> bytes:
    """Return the bytes of a file of pins, with a checksum of itself.

    With no `schema`, those of the version before the first that states one.
    """
    import tomli_w

    stated = {} if schema is None else {"schema": schema}
    return (_NOTE + tomli_w.dumps({**stated, "checksum": digest_json(pins), **pins})).encode()
