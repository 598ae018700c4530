"""What every protocol is given and gives back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import DataError

Need: TypeAlias = Literal["train", "validation", "texts"]
"""An input beside the evaluated embeddings: labelled clean train or validation embeddings, or class
texts. A dataset without a validation split gives none."""

Floats: TypeAlias = NDArray[np.float64]

THRESHOLD = 0.5
"""A class of a multi-label task is predicted where its probability is above this."""


@dataclass(frozen=True, eq=False)
class Train:
    """Clean train embeddings with their labels."""

    embeddings: NDArray[np.floating[Any]]
    """Shape (n, D), un-normalised."""
    labels: NDArray[np.integer[Any]]
    """Shape (n,): class ids in [0, K); for a multi-label task (n, K): 1 per class, or 0."""
    groups: tuple[str | None, ...] | None = None
    """The patient of each sample, None or empty where unknown; None where nothing is known."""


@dataclass(frozen=True, eq=False)
class ClassTexts:
    """Text embeddings of class prompts: several per class where templates are ensembled."""

    embeddings: NDArray[np.floating[Any]]
    """Shape (P, D), un-normalised, in the space of the image embeddings."""
    class_ids: NDArray[np.integer[Any]]
    """Shape (P,): the class of each text, in [0, K)."""
    logit_scale: float
    """Factor from cosine to logit that the encoder was trained with, as a plain number."""
    absent: NDArray[np.bool_] | None = None
    """Shape (P,): whether a text says that its class is absent; None where none does."""


@dataclass(frozen=True, eq=False)
class FitInputs:
    """Everything a protocol may read to build its model; a protocol's `needs` says what."""

    classes: tuple[str, ...]
    """Names of the K classes in the order of their ids."""
    train: Train | None = None
    texts: ClassTexts | None = None
    multi_label: bool = False
    """Whether a sample may have any number of the classes."""
    validation: Train | None = None
    """What choices are made by; None where the dataset has no validation split."""


LOGIT_SCALE = "factor from cosine to logit; null without a cosine"
"""Meaning of `Model.logit_scale` where models are stored."""


class Model(Protocol):
    """What `fit` returns: a dataclass of float64 arrays, numbers, flags and None.

    Where it is stored every field is a column, whose meaning the field's metadata say.
    """

    @property
    def logit_scale(self) -> float | None:
        """Factor from cosine to logit before the softmax; None where no cosine is used."""


M = TypeVar("M", bound=Model)


class EvaluationProtocol(Protocol[M]):
    """One way of turning embeddings into class scores.

    Implementations are frozen dataclasses whose fields are their parameters, so that
    `dataclasses.asdict` gives all that belongs in a recipe key.
    """

    @property
    def name(self) -> str:
        """Name in manifests and tables."""

    @property
    def needs(self) -> frozenset[Need]:
        """The inputs `fit` reads."""

    @property
    def model(self) -> type[M]:
        """The class of what `fit` returns."""

    @property
    def is_stored(self) -> bool:
        """Whether the model is kept as an artifact; else whatever scores fits it anew.

        True where the model is small, however large the train split is.
        """

    def fit(self, inputs: FitInputs) -> M:
        """Return the model of `inputs`; the same inputs give the same model.

        Raises
        ------
        DataError
            If a needed input is absent or unusable, or a class has no train sample or text; for
            a multi-label task, also if no train sample or text is without the class.
        """

    def scores(self, model: M, embeddings: NDArray[np.floating[Any]]) -> Floats:
        """Return class probabilities, float64 (n, K) in [0, 1], rows summing to 1.

        The predicted class is the arg max, ties going to the lowest id. For a multi-label task
        each class has a probability of its own, whatever the others have, and is predicted where
        that is above `THRESHOLD`.

        Raises
        ------
        DataError
            If the embeddings (n, D) are not finite, or not of the model's width.
        """


def predicted_classes(scores: Floats) -> NDArray[np.int64]:
    """Return the arg max of `scores` (..., K) over classes, ties to the lowest id."""
    return np.asarray(np.argmax(scores, axis=-1), np.int64)


def predicted_labels(scores: Floats) -> NDArray[np.bool_]:
    """Return which of the K classes of a multi-label task are predicted, same shape (..., K)."""
    return np.asarray(scores > THRESHOLD, np.bool_)


def sigmoid(logits: Floats) -> Floats:
    """Return the logistic function of `logits`, without overflow."""
    return np.asarray(np.exp(-np.logaddexp(0.0, -logits)), np.float64)


def softmax(logits: Floats) -> Floats:
    """Return the softmax of `logits` (n, K) over classes."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float64)


def unit_rows(embeddings: Floats, what: str) -> Floats:
    """Return `embeddings` (n, D) with rows of length 1.

    Raises
    ------
    DataError
        If a row has length zero.
    """
    lengths = np.sqrt(np.einsum("nd,nd->n", embeddings, embeddings))
    if not lengths.all():
        message = f"{what}: row {int(np.flatnonzero(lengths == 0)[0])} has length zero"
        raise DataError(message)
    return np.asarray(embeddings / lengths[:, None], np.float64)


def checked_embeddings(embeddings: ArrayLike, what: str, width: int | None = None) -> Floats:
    """Return `embeddings` as float64 (n, D).

    Raises
    ------
    DataError
        If they are not a finite matrix with rows, or not `width` wide.
    """
    matrix = np.asarray(embeddings, np.float64)
    if matrix.ndim != 2 or 0 in matrix.shape:
        message = f"{what}: expected a matrix with rows and columns, got shape {matrix.shape}"
        raise DataError(message)
    if width is not None and matrix.shape[1] != width:
        message = f"{what}: {matrix.shape[1]} dimensions where the model has {width}"
        raise DataError(message)
    if not np.isfinite(matrix).all():
        row = int(np.flatnonzero(~np.isfinite(matrix).all(axis=1))[0])
        message = f"{what}: row {row} is not finite"
        raise DataError(message)
    return matrix


def checked_train(inputs: FitInputs, protocol: str) -> tuple[Floats, NDArray[np.int64]]:
    """Return the train embeddings and labels, every class being present.

    Labels are (n,), or for a multi-label task (n, K).

    Raises
    ------
    DataError
        If they are absent, do not fit together, or a class has no sample; for a multi-label
        task, also if every sample has a class.
    """
    if inputs.train is None:
        message = f"{protocol} needs the embeddings of the clean train split"
        raise DataError(message)
    embeddings = checked_embeddings(inputs.train.embeddings, "train embeddings")
    if inputs.multi_label:
        rows, classes = len(embeddings), len(inputs.classes)
        flags = _checked_flags(inputs.train.labels, rows, classes, "train labels")
        _require_every(flags.sum(axis=0), inputs.classes, f"{protocol}: no train sample of")
        without = (1 - flags).sum(axis=0)
        _require_every(without, inputs.classes, f"{protocol}: no train sample without")
        return embeddings, flags
    labels = _checked_ids(inputs.train.labels, inputs.classes, "train labels", len(embeddings))
    counts = np.bincount(labels, minlength=len(inputs.classes))
    _require_every(counts, inputs.classes, f"{protocol}: no train sample of")
    return embeddings, labels


def checked_validation(inputs: FitInputs) -> tuple[Floats, NDArray[np.int64]]:
    """Return the validation embeddings and labels; not every class need be among them.

    Raises
    ------
    DataError
        If they are absent or do not fit together.
    """
    if inputs.validation is None:
        message = "there is no validation split"
        raise DataError(message)
    embeddings = checked_embeddings(inputs.validation.embeddings, "validation embeddings")
    labels, rows = inputs.validation.labels, len(embeddings)
    if inputs.multi_label:
        return embeddings, _checked_flags(labels, rows, len(inputs.classes), "validation labels")
    return embeddings, _checked_ids(labels, inputs.classes, "validation labels", rows)


def checked_texts(inputs: FitInputs, protocol: str) -> tuple[Floats, NDArray[np.int64], float]:
    """Return the text embeddings, their class ids and the logit scale.

    For a multi-label task, K plus the id stands for the absence of a class.

    Raises
    ------
    DataError
        If they are absent, do not fit together, or a class has no text; for a multi-label task,
        also if no text says that a class is absent.
    """
    if inputs.texts is None:
        message = f"{protocol} needs text embeddings of the class prompts"
        raise DataError(message)
    embeddings = checked_embeddings(inputs.texts.embeddings, "text embeddings")
    ids = _checked_ids(inputs.texts.class_ids, inputs.classes, "text class ids", len(embeddings))
    classes = len(inputs.classes)
    absent = inputs.texts.absent
    if absent is None:
        absent = np.zeros(len(ids), np.bool_)
    counts = np.bincount(ids[~absent], minlength=classes)
    _require_every(counts, inputs.classes, f"{protocol}: no text for")
    if inputs.multi_label:
        counts = np.bincount(ids[absent], minlength=classes)
        _require_every(counts, inputs.classes, f"{protocol}: no text for the absence of")
        ids = ids + classes * absent
    scale = float(inputs.texts.logit_scale)
    if not (np.isfinite(scale) and scale > 0):
        message = f"{protocol}: the logit scale must be a positive number, got {scale}"
        raise DataError(message)
    return embeddings, ids, scale


def class_means(embeddings: Floats, ids: NDArray[np.int64], classes: int) -> Floats:
    """Return the mean row of each class, (K, D), summed in row order."""
    return np.stack([embeddings[ids == class_id].mean(axis=0) for class_id in range(classes)])


def _checked_ids(ids: ArrayLike, classes: Sequence[str], what: str, rows: int) -> NDArray[np.int64]:
    array = np.asarray(ids)
    if array.shape != (rows,) or not np.issubdtype(array.dtype, np.integer):
        message = f"{what}: expected {rows} integers, got {array.dtype} of shape {array.shape}"
        raise DataError(message)
    if array.min() < 0 or array.max() >= len(classes):
        message = (
            f"{what}: from {array.min()} to {array.max()} where there are {len(classes)} classes"
        )
        raise DataError(message)
    return array.astype(np.int64)


def _checked_flags(flags: ArrayLike, rows: int, classes: int, what: str) -> NDArray[np.int64]:
    array = np.asarray(flags)
    if array.shape != (rows, classes) or not np.isin(array, (0, 1)).all():
        message = f"{what}: expected 0 or 1, {rows} x {classes}, got shape {array.shape}"
        raise DataError(message)
    return array.astype(np.int64)


def _require_every(counts: NDArray[np.integer[Any]], classes: Sequence[str], what: str) -> None:
    if missing := [f"{classes[i]!r} (id {i})" for i in np.flatnonzero(counts == 0).tolist()]:
        message = f"{what} class {', '.join(missing)}"
        raise DataError(message)
