"""Phantoms: synthetic pictures of five modalities, plainly not taken from people."""

from __future__ import annotations

from stages.download.phantom.generator import MODALITIES, Modality, Phantom, generate, label_of

__all__ = ["MODALITIES", "Modality", "Phantom", "generate", "label_of"]
