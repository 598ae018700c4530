"""Evaluation code loads no heavy library until it needs one."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"torch", "sklearn", "scipy", "cv2", "PIL", "numba", "pyarrow", "skimage", "zarr", "rich"}


@pytest.mark.parametrize(
    "statement",
    [
        "import stages.evaluate",
        "from stages.evaluate import corruption_error, mean_corruption_error",
        "import stages.evaluate.schema",
        "import stages.evaluate.protocols, stages.evaluate.metrics, stages.evaluate.columns",
        "import stages.evaluate.scoring, stages.evaluate.summary, stages.evaluate.tables",
    ],
)
def test_importing_loads_no_heavy_library(statement: str) -> None:
    """A fresh interpreter has none of them after the import."""
    code = f"{statement}\nimport sys\nprint(*sorted(m for m in sys.modules if '.' not in m))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & HEAVY == set()


def test_the_package_itself_loads_not_even_numpy() -> None:
    """The formulas are loaded when they are first asked for."""
    code = "import stages.evaluate, sys; print('numpy' in sys.modules, dir(stages.evaluate))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("False")


def test_the_formulas_are_functions_of_the_package() -> None:
    """No module of the same name hides them, whatever was imported before."""
    import stages.evaluate
    import stages.evaluate.metrics.accuracy
    import stages.evaluate.summary

    assert all(callable(getattr(stages.evaluate, name)) for name in stages.evaluate.__all__)
    with pytest.raises(AttributeError, match="no attribute 'corruption_eror'"):
        _ = stages.evaluate.corruption_eror  # type: ignore[attr-defined]


def test_a_blas_that_is_loaded_inside_the_limit_is_limited_too() -> None:
    """Entering first and fitting a first probe then gives the same bits as the other way round."""
    code = """
import numpy as np
from stages.evaluate.protocols import PROTOCOLS
from stages.evaluate.protocols.blas import one_blas_thread
from stages.evaluate.protocols.contract import FitInputs, Train
from threadpoolctl import threadpool_info
with one_blas_thread():
    train = Train(np.random.default_rng(0).normal(size=(40, 5)), np.arange(40) % 2)
    PROTOCOLS["linear-probe"].fit(FitInputs(("a", "b"), train))
    print(*{pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1"]
