"""Linear probe: logistic regression on the clean train embeddings."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stages.evaluate.protocols.blas import one_blas_thread, product
from stages.evaluate.protocols.contract import (
    FitInputs,
    Floats,
    Need,
    checked_embeddings,
    checked_train,
    softmax,
)


@dataclass(frozen=True, eq=False)
class LinearModel:
    """A fitted probe in plain arrays."""

    mean: Floats
    """Shape (D,): mean of each train feature."""
    scale: Floats
    """Shape (D,): standard deviation of each train feature; 1 where it does not vary."""
    weights: Floats
    """Shape (D, K), for standardised features."""
    bias: Floats
    """Shape (K,)."""
    converged: bool
    """Whether the optimiser stopped by its tolerance, not by its iteration limit."""
    logit_scale: None = None
    """No cosine is used."""


@dataclass(frozen=True)
class LinearProbe:
    """Multinomial logistic regression with an L2 penalty, by scikit-learn's L-BFGS.

    Features are standardised by the mean and standard deviation of the train split, because
    encoders differ in scale by orders of magnitude and the penalty would otherwise mean something
    else for each. The fit starts at zero and draws no random number; BLAS is held to one thread
    while it runs, since the order of its sums would otherwise depend on the number of cores.
    """

    name: ClassVar[str] = "linear-probe"
    needs: ClassVar[frozenset[Need]] = frozenset({"train"})

    inverse_penalty: float = 1.0
    """scikit-learn's C: the inverse of the strength of the L2 penalty."""
    iterations: int = 2000
    """Most iterations of L-BFGS."""
    tolerance: float = 1e-4
    """Largest gradient component at which it stops."""

    def fit(self, inputs: FitInputs) -> LinearModel:
        """Return the fitted probe."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        embeddings, labels = checked_train(inputs, self.name)
        mean = embeddings.mean(axis=0)
        scale = embeddings.std(axis=0)
        # A feature that varies by rounding only would be blown up to unit variance.
        scale[scale <= 1e-12 * np.maximum(np.abs(mean), 1.0)] = 1.0
        probe = LogisticRegression(
            C=self.inverse_penalty, tol=self.tolerance, max_iter=self.iterations
        )
        with one_blas_thread(), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            probe.fit((embeddings - mean) / scale, labels)
        weights, bias = _per_class(probe.coef_, probe.intercept_)
        converged = bool(probe.n_iter_.max() < self.iterations)
        return LinearModel(mean, scale, weights, bias, converged)

    def scores(self, model: LinearModel, embeddings: NDArray[np.floating[Any]]) -> Floats:
        """Return class probabilities (n, K)."""
        images = checked_embeddings(embeddings, "embeddings", len(model.mean))
        return softmax(product((images - model.mean) / model.scale, model.weights) + model.bias)


def _per_class(coefficients: Floats, intercepts: Floats) -> tuple[Floats, Floats]:
    """Return weights (D, K) and bias (K,); two classes come as one row of differences."""
    if len(coefficients) == 1:
        coefficients = np.concatenate([np.zeros_like(coefficients), coefficients])
        intercepts = np.concatenate([np.zeros_like(intercepts), intercepts])
    return np.ascontiguousarray(coefficients.T, np.float64), np.asarray(intercepts, np.float64)
