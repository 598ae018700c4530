"""What the artifacts of each stage are as far as licences are concerned."""

from __future__ import annotations

from pipeline.sharing.licences import Kind
from stages.analyse.measure import DENSITIES, SPECTRA
from stages.embed.features import PATCH_FEATURES
from stages.embed.prompt_rows import PROMPT_EMBEDDINGS
from stages.evaluate.comparison_stage import COMPARISONS
from stages.evaluate.models import MODELS
from stages.evaluate.retrieval.stage import RETRIEVAL
from stages.evaluate.stage import PREDICTIONS, RESULTS, SUMMARY
from stages.leaks.stage import LEAKS
from stages.vocabulary import CORRUPTIONS, DATASETS, EMBEDDINGS, PROMPTS, RECORDS, SOURCES

_TEXTS = Kind("derived", "texts about single images")
_EMBEDDED = Kind("embeddings", "embeddings")

KINDS = {
    SOURCES: Kind("pixels", "source files"),
    DATASETS: Kind("pixels", "clean images"),
    CORRUPTIONS: Kind("derived", "corrupted images"),
    RECORDS: _TEXTS,
    PROMPTS: _TEXTS,
    EMBEDDINGS: _EMBEDDED,
    PATCH_FEATURES: _EMBEDDED,
    PROMPT_EMBEDDINGS: _EMBEDDED,
    PREDICTIONS: Kind("embeddings", "predictions of single images"),
    MODELS: Kind("embeddings", "models that were fitted to embeddings"),
} | dict.fromkeys(
    [RESULTS, SUMMARY, COMPARISONS, RETRIEVAL, LEAKS, SPECTRA, DENSITIES],
    Kind("recipes", "numbers about whole sets"),
)
"""By stage."""

OTHER = Kind("pixels", "artifacts of this stage")
"""Of stages that are not listed, as little as can be is passed on."""
