"""Two coordinates for embeddings."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from pipeline.errors import UsageError
from stages.analyse.projection import chosen_rows, principal_components, projected, require_method
from stages.analyse.shift import normalised
from stages.analyse.threads import single_threaded_pool


def two_groups(count: int = 30, width: int = 12) -> list[np.ndarray]:
    """Return embeddings in two groups far apart."""
    rng = np.random.default_rng(2)
    far = np.eye(width)[0] * 3
    return [
        rng.normal(size=(count, width)) * 0.3 + far,
        rng.normal(size=(count, width)) * 0.3 - far,
    ]


def test_principal_components_are_those_of_scikit_learn() -> None:
    """Up to signs, which are fixed here; no more of them than there are."""
    rows = np.concatenate(two_groups())
    expected = PCA(3).fit_transform(rows)
    found = principal_components(rows, 3)
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-9)
    assert principal_components(np.outer(np.arange(5.0), np.ones(8)), 3).shape == (5, 1)
    plane = projected(two_groups(), "pca")
    unit = normalised(np.concatenate(two_groups()))
    np.testing.assert_allclose(plane, principal_components(unit, 2))


def test_tsne_is_the_same_again_and_keeps_groups_apart() -> None:
    """Nothing in it is random, on whichever thread; two groups do not mix."""
    with single_threaded_pool(2, neighbours=True) as pool:
        one, other = pool.map(lambda _: projected(two_groups(), "tsne"), range(2))
    assert np.array_equal(one, other)
    assert one.shape == (60, 2)
    first, second = one[:30], one[30:]
    spread = np.linalg.norm(first - first.mean(axis=0), axis=1).max()
    assert np.linalg.norm(first.mean(axis=0) - second.mean(axis=0)) > spread


@pytest.mark.parametrize("method", ["tsne", "pca"])
def test_few_or_equal_embeddings_have_a_place(method: str) -> None:
    """Equal ones lie together, and three are enough for a plane."""
    equal = projected([np.ones((4, 5)), np.ones((4, 5))], method)
    assert np.array_equal(equal, np.zeros((8, 2)))
    assert np.isfinite(projected([np.eye(3)], method)).all()
    assert np.isfinite(projected([np.eye(3), np.eye(3)], method)).all()


def test_images_are_chosen_once() -> None:
    """As many as the limit allows, the same of fewer, and only those with an embedding."""
    usable = np.ones(100, np.bool_)
    rows = chosen_rows(usable, 6, "tiny", "test", 120)
    assert len(rows) == 20
    assert np.array_equal(rows, np.unique(rows))
    assert set(chosen_rows(usable, 6, "tiny", "test", 60)) < set(rows)
    assert set(chosen_rows(usable, 6, "tiny", "val", 120)) != set(rows)
    usable[rows[0]] = False
    fewer = chosen_rows(usable, 6, "tiny", "test", 120)
    assert set(rows[1:]) < set(fewer)
    assert len(chosen_rows(usable, 600, "tiny", "test", 120)) == 1
    assert len(chosen_rows(usable, 2, "tiny", "test", 10_000)) == 99


def test_an_unknown_projection_is_refused() -> None:
    """The nearest one is suggested."""
    with pytest.raises(UsageError, match="'tsne'"):
        require_method("t-sne")
