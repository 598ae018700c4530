"""A pool of workers that each compute on one thread, so that no sum depends on their number."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def single_threaded_pool(workers: int, *, neighbours: bool = False) -> Iterator[ThreadPoolExecutor]:
    """Yield a pool in which linear algebra and scikit-learn start no threads of their own.

    BLAS splits sums by thread, which changes their last bits, and many pools of threads at once
    are slow.

    Parameters
    ----------
    neighbours
        Whether scikit-learn is used; it is loaded first, for a library that is loaded under a
        limit does not obey it.
    """
    from threadpoolctl import threadpool_limits

    if neighbours:
        import sklearn.manifold  # noqa: F401 - loads its OpenMP
    # OpenBLAS may have one pool for the process, which this thread limits, and OpenMP one for
    # each thread that calls it, which the workers limit themselves.
    with threadpool_limits(1):
        pool = ThreadPoolExecutor(workers, "analyse", initializer=_limit)
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)


def _limit() -> None:
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)
