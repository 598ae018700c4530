"""The engine and the command line: stores, recipes, plans and runs.

For other people's code::

    import pipeline

    store = pipeline.open_store("data")
    one = store["medimeta-c/pbc/test/gaussian_noise/3"]
    one.images[0], one.labels[0], one.index()
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.reading import open_store

__all__ = ["open_store"]


def __getattr__(name: str) -> object:
    if name == "open_store":
        from pipeline.reading import open_store  # only readers need it

        return open_store
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
