"""Two coordinates for embeddings: t-SNE or the first two principal components."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.manifest import require_known
from pipeline.stream import Stream
from stages.analyse.shift import normalised

METHODS = ("tsne", "pca", "none")
POINTS = 2000
"""Most points of one projection."""
PERPLEXITY = 30.0
_FIRST = 50
"""Principal components that t-SNE starts from."""


def require_method(name: str) -> None:
    """Refuse an unknown projection, suggesting the nearest."""
    require_known("projection", name, METHODS)


def chosen_rows(
    usable: NDArray[np.bool_], versions: int, dataset: str, split: str, points: int = POINTS
) -> NDArray[np.int64]:
    """Return the rows of the images that are drawn, in order: the same in every set and encoder.

    Parameters
    ----------
    usable : (n,) bool
        Which images have an embedding in every set.
    versions
        Sets of one projection, the clean split among them; each image is one point in each.
    points
        Most points of all together, but there is always one image.
    """
    rank = np.argsort(
        np.argsort(Stream.of("projection", dataset, split).words(len(usable)), kind="stable")
    )
    rows = np.flatnonzero(usable)
    most = max(1, points // versions)
    return np.sort(rows[np.argsort(rank[rows], kind="stable")[:most]])


def projected(embeddings: Sequence[NDArray[np.floating]], method: str) -> NDArray[np.float64]:
    """Return two coordinates for every row of all sets together, (rows, 2), in no unit.

    Embeddings are brought to length 1 first. ``pca`` are the first two principal components,
    their signs fixed. ``tsne`` is scikit-learn's Barnes-Hut t-SNE (van der Maaten 2014) of the
    first 50 components, begun from the first two, with perplexity 30 or a third of the points:
    nothing in it is random. Its distances between far groups mean little.
    """
    components = principal_components(normalised(np.concatenate(embeddings)), _FIRST)
    plane = np.zeros((len(components), 2))
    plane[:, : components.shape[1]] = components[:, :2]
    scale = float(plane[:, 0].std())
    if method == "pca" or scale == 0 or len(plane) < 4:
        return plane
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    tsne = TSNE(
        perplexity=min(PERPLEXITY, (len(plane) - 1) / 3),
        init=(plane / scale * 1e-4).astype(np.float32),
        random_state=0,
        n_jobs=1,
    )
    # Its many short loops wait for each other where several threads share a busy core.
    with threadpool_limits(1, user_api="openmp"):
        return np.asarray(tsne.fit_transform(components.astype(np.float32)), np.float64)


def principal_components(rows: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """Return the coordinates of rows (n, width) on at most `most` principal components.

    The largest loading of a component is positive.
    """
    centred = rows - rows.mean(axis=0)
    left, values, right = np.linalg.svd(centred, full_matrices=False)
    signs = np.sign(right[np.arange(len(right)), np.abs(right).argmax(axis=1)])
    # Rounding leaves what is below this of components that are not there.
    real = values > values.max(initial=0) * 1e-12 if values.any() else np.zeros(0, np.bool_)
    count = min(most, int(real.sum()))
    return np.asarray((left * values * signs)[:, :count])
