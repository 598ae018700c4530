"""What holds for all tests."""

from __future__ import annotations

from hypothesis import strategies


def pytest_collection_finish() -> None:
    """Write the table of Unicode's letters that a fresh clone lacks: it is no slow example."""
    strategies.text().validate()
