"""Linear algebra whose bits do not depend on the number of cores or workers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray


class _Limit:
    """A limit of one BLAS thread for the whole process, from the first hold to the last release.

    Depending on how it was built, OpenBLAS has one pool of threads for the process, and then
    threadpoolctl lets a single thread set its size and ignores all others while that one lives.
    Were that a worker, it would lift the limit under the other workers when it leaves. So a
    thread of our own sets the limit and lifts it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0
        self._done = threading.Event()
        self._keeper = threading.Thread()

    def hold(self) -> None:
        """Set the limit unless it is set."""
        with self._lock:
            self._holders += 1
            if self._holders == 1:
                ready = threading.Event()
                self._done = threading.Event()
                self._keeper = threading.Thread(
                    target=self._keep, args=(ready, self._done), daemon=True
                )
                self._keeper.start()
                ready.wait()

    def release(self) -> None:
        """Lift the limit if nobody else holds it."""
        with self._lock:
            self._holders -= 1
            if self._holders == 0:
                self._done.set()
                self._keeper.join()

    @staticmethod
    def _keep(ready: threading.Event, done: threading.Event) -> None:
        try:
            # SciPy, and scikit-learn through it, has a BLAS of its own beside NumPy's. A library
            # loaded later would not be limited.
            import scipy.linalg
            from threadpoolctl import threadpool_limits

            del scipy
            with threadpool_limits(limits=1, user_api="blas"):
                ready.set()
                done.wait()
        finally:
            ready.set()


_LIMIT = _Limit()
_INSIDE = threading.local()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS to one thread while inside: it splits sums by thread, which changes their bits.

    Entering again from within costs nothing, so a caller with many products may enter once.
    """
    if getattr(_INSIDE, "yes", False):
        yield
        return
    _LIMIT.hold()
    try:
        from threadpoolctl import threadpool_limits

        # Where BLAS has a pool of threads per calling thread, the limit above is not ours.
        with threadpool_limits(limits=1, user_api="blas"):
            _INSIDE.yes = True
            yield
    finally:
        _INSIDE.yes = False
        _LIMIT.release()


def product(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``left @ right``, the same bits whatever the number of cores and workers."""
    with one_blas_thread():
        return np.asarray(left @ right, np.float64)
