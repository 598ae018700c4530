"""Every kind of file that a store may hold."""

from __future__ import annotations

from pipeline.artifact import ALIAS, MANIFEST
from pipeline.store import SOURCES_FILE, STORE_FILE, VERIFICATION_FILE

FILES = {
    "store file": STORE_FILE,
    "pins": SOURCES_FILE,
    "verification record": VERIFICATION_FILE,
    "manifest of a source": f"sources/toy/*/{MANIFEST}",
    "record of a source": "sources/toy/*/records/00000.json",
    "index of a source": "sources/toy/*/index/00000.parquet",
    "source file": "sources/toy/*/files/given/offset.txt",
    "source file in another folder": "sources/toy/*/files/below/note.txt",
    "manifest": f"numbers/toy/0/*/{MANIFEST}",
    "record": "numbers/toy/0/*/records/00002.json",
    "array metadata": "numbers/toy/0/*/pixels/zarr.json",
    "shard": "numbers/toy/0/*/pixels/c.0.0.0.0",
    "last shard": "numbers/toy/0/*/pixels/c.2.0.0.0",
    "shard of floats": "numbers/toy/0/*/floats/c.1.0",
    "shard of single numbers": "sums/toy/0/odd/*/sums/c.1",
    "shard of mixed size": "numbers/toy/0/*/pieces/00001/c/0",
    "its metadata": "numbers/toy/0/*/pieces/00002/zarr.json",
    "index": "numbers/toy/0/*/index/00001.parquet",
    "alias": f"sums/toy/0/odd/*/{ALIAS}",
}
"""Every kind of file in a store, by a pattern that finds at least one of them."""
