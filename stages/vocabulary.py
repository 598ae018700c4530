"""Words that stages share without knowing one another: they stand in keys, folders and columns."""

from __future__ import annotations

SOURCES, DATASETS, CORRUPTIONS = "sources", "datasets", "corruptions"
RECORDS, PROMPTS, EMBEDDINGS = "records", "prompts", "embeddings"
"""Folders of a store: what makes an artifact, and the first part of its place."""
CLEAN = "clean"
"""In the place of a corruption: the images as they are, severity 0."""
IMPORTED = "imported"
"""Backend of sets that somebody else rendered."""
SEVERITIES = (1, 2, 3, 4, 5)
"""Every corruption has them; 0 is the identity and never declared."""
