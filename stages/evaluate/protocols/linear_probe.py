"""Linear probe: logistic regression on the clean train embeddings."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stages.evaluate.protocols.blas import one_blas_thread, product
from stages.evaluate.protocols.contract import (
    LOGIT_SCALE,
    FitInputs,
    Floats,
    Need,
    Train,
    checked_embeddings,
    checked_train,
    checked_validation,
    sigmoid,
    softmax,
)
from stages.evaluate.protocols.holding_out import held_out_rows

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression


@dataclass(frozen=True, eq=False)
class LinearModel:
    """A fitted probe in plain arrays."""

    mean: Floats = field(metadata={"meaning": "mean of each train feature"})
    """Shape (D,)."""
    scale: Floats = field(
        metadata={"meaning": "standard deviation of each train feature; 1 where it does not vary"}
    )
    """Shape (D,)."""
    weights: Floats = field(
        metadata={
            "meaning": (
                "weight of each class for standardised features, (dimensions, classes) in C order"
            )
        }
    )
    """Shape (D, K)."""
    bias: Floats = field(metadata={"meaning": "bias of each class"})
    """Shape (K,)."""
    converged: bool = field(
        metadata={
            "meaning": "whether the optimiser stopped by its tolerance, not by its iteration limit"
        }
    )
    inverse_penalty: float = field(metadata={"meaning": "C of the fit, chosen on validation"})
    multi_label: bool = field(
        default=False, metadata={"meaning": "whether each class has a probability of its own"}
    )
    logit_scale: None = field(default=None, metadata={"meaning": LOGIT_SCALE})
    """No cosine is used."""


@dataclass(frozen=True)
class LinearProbe:
    """Multinomial logistic regression with an L2 penalty, by scikit-learn's L-BFGS.

    Features are standardised by the mean and standard deviation of the train split, because
    encoders differ in scale by orders of magnitude and the penalty would otherwise mean something
    else for each. The fit starts at zero and draws no random number; BLAS is held to one thread
    while it runs, since the order of its sums would otherwise depend on the number of cores.

    For a multi-label task each class has a binary probe of its own, with the same penalty and
    samples weighing the same: a rare class is seldom predicted at probability 0.5.
    """

    name: ClassVar[str] = "linear-probe"
    needs: ClassVar[frozenset[Need]] = frozenset({"train", "validation"})
    model: ClassVar[type[LinearModel]] = LinearModel
    is_stored: ClassVar[bool] = True

    inverse_penalties: tuple[float, ...] = (0.001, 0.01, 0.1, 1.0)
    """scikit-learn's C, the inverse of the strength of the L2 penalty, from strong to weak."""
    held_out: float = 0.2
    """Share of each class of the train split that chooses where there is no validation split."""
    seed: int = 0
    """Of the draw of that share."""
    iterations: int = 2000
    """Most iterations of L-BFGS."""
    tolerance: float = 1e-4
    """Largest gradient component at which it stops."""

    def fit(self, inputs: FitInputs) -> LinearModel:
        """Return the probe of the penalty that does best on the validation split.

        Best is the lowest mean negative log-likelihood of its labels; of equals the stronger
        penalty. Where there is no validation split a stratified share of the train split is held
        out for the choice, patients whole, and the chosen probe is fitted on all of it; where that
        leaves a class without a sample, the weakest penalty is taken.

        Raises
        ------
        DataError
            If an input is absent or unusable, or a class has no train sample.
        """
        return self._fitted(inputs, self._chosen(inputs))

    def _chosen(self, inputs: FitInputs) -> float:
        if len(self.inverse_penalties) == 1:
            return self.inverse_penalties[0]
        split: FitInputs | None = inputs
        if inputs.validation is None:
            split = _held_out(inputs, self.held_out, self.seed)
        if split is None or split.validation is None:
            return self.inverse_penalties[-1]
        images, labels = checked_validation(split)
        losses = [
            _loss(self.scores(self._fitted(split, penalty), images), labels)
            for penalty in self.inverse_penalties
        ]
        return self.inverse_penalties[int(np.argmin(losses))]

    def _fitted(self, inputs: FitInputs, penalty: float) -> LinearModel:
        embeddings, labels = checked_train(inputs, self.name)
        mean = embeddings.mean(axis=0)
        scale = embeddings.std(axis=0)
        # A feature that varies by rounding only would be blown up to unit variance.
        scale[scale <= 1e-12 * np.maximum(np.abs(mean), 1.0)] = 1.0
        features = (embeddings - mean) / scale
        targets = labels.T if inputs.multi_label else [labels]
        probes = [self._probe(features, target, penalty) for target in targets]
        coefficients = np.concatenate([probe.coef_ for probe in probes])
        intercepts = np.concatenate([probe.intercept_ for probe in probes])
        if len(coefficients) < len(inputs.classes):  # two classes come as one row of differences
            coefficients = np.concatenate([np.zeros_like(coefficients), coefficients])
            intercepts = np.concatenate([np.zeros_like(intercepts), intercepts])
        weights = np.ascontiguousarray(coefficients.T, np.float64)
        bias = np.asarray(intercepts, np.float64)
        converged = all(probe.n_iter_.max() < self.iterations for probe in probes)
        return LinearModel(mean, scale, weights, bias, converged, penalty, inputs.multi_label)

    def scores(self, model: LinearModel, embeddings: NDArray[np.floating[Any]]) -> Floats:
        """Return class probabilities (n, K)."""
        images = checked_embeddings(embeddings, "embeddings", len(model.mean))
        logits = product((images - model.mean) / model.scale, model.weights) + model.bias
        return sigmoid(logits) if model.multi_label else softmax(logits)

    def _probe(
        self, features: Floats, labels: NDArray[np.int64], penalty: float
    ) -> LogisticRegression:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        probe = LogisticRegression(C=penalty, tol=self.tolerance, max_iter=self.iterations)
        with one_blas_thread(), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return probe.fit(features, labels)


def _held_out(inputs: FitInputs, share: float, seed: int) -> FitInputs | None:
    """Return the train split less a part that becomes validation; None where it is too small."""
    embeddings, labels = checked_train(inputs, LinearProbe.name)
    groups = inputs.train.groups if inputs.train is not None else None
    out = held_out_rows(labels, share, seed, groups)
    kept = labels[~out]
    columns = kept.T if inputs.multi_label else [kept == c for c in range(len(inputs.classes))]
    if not (out.any() and all(0 < column.sum() < len(kept) for column in columns)):
        return None
    return replace(
        inputs,
        train=Train(embeddings[~out], kept),
        validation=Train(embeddings[out], labels[out]),
    )


def _loss(scores: Floats, labels: NDArray[np.int64]) -> float:
    """Return the mean negative log-likelihood of labels."""
    floor = np.finfo(np.float64).tiny
    if labels.ndim == 2:
        likely = np.where(labels == 1, scores, 1 - scores)
    else:
        likely = scores[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(likely, floor)).mean())
