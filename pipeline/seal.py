"""Sealing: when all shards of an artifact are published, its manifest makes it exist."""

from __future__ import annotations

import datetime as dt
import platform
import shutil
import socket
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.artifact import (
    INDEX,
    MANIFEST,
    RECORDS,
    SCHEMA,
    Manifest,
    index_name,
    mixed_of,
    record_name,
    require_schema,
    specs_of,
)
from pipeline.digest import digest_bytes
from pipeline.disk import remove_tree
from pipeline.documents import Document, read_document, seal_document
from pipeline.errors import DataError, VerificationError
from pipeline.mixed import METADATA, group_metadata
from pipeline.packages import installed_version
from pipeline.shards import array_metadata
from pipeline.store import Store
from pipeline.tables import content_digest, read_table
from pipeline.unit import RECORD_SCHEMA, Node


def seal(store: Store, node: Node) -> Manifest | None:
    """Seal an artifact if all its shards are published; idempotent, by any worker.

    Returns
    -------
    The manifest, or None while shards are missing.

    Raises
    ------
    VerificationError
        If its content is not the one that its node promises.
    """
    folder = store.folder(node.recipe)
    if len(store.records(node.recipe)) < node.shards:
        return None
    found = store.sealed(node.recipe)
    if found is not None:
        return found
    records = []
    for unit in node.units:
        path = folder / RECORDS / record_name(unit.shard)
        record = read_document(path)
        require_schema(record, RECORD_SCHEMA, path)
        if record["arrays"] and record["rows"] != unit.stop - unit.start:
            message = (
                f"{path}: has {record['rows']} rows instead of {unit.stop - unit.start}: it was "
                f"begun with shards of another size; remove {folder} and build it again"
            )
            raise DataError(message)
        records.append(record)
    document = _manifest(store, node, records)
    _require_promised(node, document["content_digest"], folder)
    with store.staging() as staging:
        for name, data in _array_files(node, records).items():
            _publish(store, staging / "metadata.part", folder / name, data)
        # Other workers may have published records and made folders that they have not synced yet.
        for part in (folder / RECORDS, folder, *folder.parents):
            if part.is_relative_to(store.root):
                store.disk.sync_folder(part)
        _publish(store, staging / "manifest.part", folder / MANIFEST, seal_document(document))
    return store.sealed(node.recipe)


def _manifest(store: Store, node: Node, records: list[Document]) -> Document:
    recipe = node.recipe
    folder = store.folder(recipe)
    arrays = records[0]["arrays"]
    if any(record["arrays"] != arrays for record in records):
        message = f"{recipe.label}: its shards hold items of different types"
        raise DataError(message)
    parts = [read_table(folder / INDEX / index_name(shard)) for shard in range(node.shards)]
    inputs = {role: store.artifact(source).manifest for role, source in recipe.inputs.items()}
    digests = {role: manifest.content_digest for role, manifest in inputs.items()}
    return {
        "schema": SCHEMA,
        "stage": recipe.stage,
        "name": recipe.name,
        "version": recipe.version,
        "parameters": recipe.parameters,
        "inputs": {
            role: {
                "stage": manifest.stage,
                "name": manifest.name,
                "recipe_key": recipe.inputs[role].key,
                "content_digest": manifest.content_digest,
            }
            for role, manifest in inputs.items()
        },
        "recipe_key": recipe.key,
        "content_key": recipe.content_key(digests),
        "content_digest": content_digest(
            pa.concat_tables(parts), specs_of(records[0]), mixed_of(records[0])
        ),
        "rows": sum(record["rows"] for record in records),
        "arrays": arrays,
        "files": {
            path: {"bytes": len(data), "blake3": digest_bytes(data)}
            for path, data in _array_files(node, records).items()
        },
        "shards": [{"rows": record["rows"], "files": record["files"]} for record in records],
        "attributes": _attributes(node, records),
        "provenance": {
            **_environment(),
            "sealed": dt.datetime.now(tz=dt.UTC).isoformat(),
            "seconds": round(sum(record["seconds"] for record in records), 4),
        },
    }


def _require_promised(node: Node, digest: str, folder: Path) -> None:
    if node.promised not in {None, digest}:
        message = (
            f"made here it has the content {digest[:12]}, not the promised "
            f"{str(node.promised)[:12]}: it is not sealed; `pipeline doctor` tells what this "
            f"machine makes otherwise; remove {folder} before you pull it"
        )
        raise VerificationError(message)


def _attributes(node: Node, records: list[Document]) -> dict[str, Any]:
    """Return what the node and its units say beside the content, and the tolerance if any."""
    found = dict(node.attributes)
    if node.tolerance is not None:
        found["tolerance"] = node.tolerance
    for record in records:
        found.update(record["attributes"])
    # Shards that an earlier version published have neither.
    for kind, merged in (("totals", sum), ("largest", max)):
        parts = [record.get(kind, {}) for record in records]
        for name in sorted({name for part in parts for name in part}):
            found[name] = merged(part[name] for part in parts if name in part)
    return found


def _array_files(node: Node, records: list[Document]) -> dict[str, bytes]:
    rows = sum(record["rows"] for record in records)
    arrays = {
        f"{name}/{METADATA}": array_metadata(spec, rows, node.slots)
        for name, spec in specs_of(records[0]).items()
    }
    return arrays | {f"{name}/{METADATA}": group_metadata() for name in mixed_of(records[0])}


@lru_cache(maxsize=1)
def _environment() -> dict[str, Any]:
    packages = ("medshards", "numpy", "numba", "opencv-python", "pillow", "pyarrow", "torch")
    return {
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version for name in packages if (version := installed_version(name))},
        "git_commit": _git_commit(),
    }


def _git_commit() -> str | None:
    """Return the commit of the checkout this code runs from; None where it is installed."""
    folder = Path(__file__).resolve().parents[1]
    git = shutil.which("git")
    if git is None or not (folder / ".git").exists():
        return None
    command = [git, "-C", str(folder), "rev-parse", "HEAD"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return answer.stdout.strip() or None


def _publish(store: Store, staged: Path, final: Path, data: bytes) -> None:
    store.disk.write(staged, [data])
    store.disk.publish(staged, final)  # or another worker has, from the same records
    remove_tree(staged)
