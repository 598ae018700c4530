"""Reading weights files safely, and fitting them into a model without any guess."""

from __future__ import annotations

import pickle  # noqa: TID251  # only to name the error of an unsafe file
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import DataError, first_line

if TYPE_CHECKING:
    import torch

State = dict[str, "torch.Tensor"]
"""Tensors by name."""
Adapt = Callable[[State, "torch.nn.Module"], State]
"""Gives the tensors of a file the names and shapes that a model has for them."""

_COUNTER = ".num_batches_tracked"
"""Batch normalisation counts its training steps; some files leave that out, nothing reads it."""
_NAMED = 4
"""How many tensor names of a kind an error lists."""


def read_state(path: Path) -> State:
    """Return the tensors in a `.safetensors` file or a pickled state dict, on the CPU.

    Pickled files are read with `weights_only`, so a file cannot run code. A training checkpoint's
    `state_dict` is taken, and the `module.` that data-parallel training puts before names removed;
    its other entries may be tensors, texts and numbers.

    Raises
    ------
    DataError
        If the file is cut short, damaged, or holds anything but tensors.
    """
    import torch  # only once there is something to load
    from safetensors import SafetensorError  # as above

    try:
        loaded = _read(path)
    except (
        OSError,
        EOFError,
        RuntimeError,
        ValueError,
        KeyError,
        pickle.UnpicklingError,
        SafetensorError,
    ) as error:
        what = "cannot be read as weights (cut short, damaged or unsafe)"
        message = f"{path}: {what}: {first_line(error)}"
        raise DataError(message) from error
    if isinstance(loaded, Mapping) and isinstance(loaded.get("state_dict"), Mapping):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, Mapping) or not loaded:
        message = f"{path}: holds no tensors by name, but a {type(loaded).__name__}"
        raise DataError(message)
    if others := [name for name, value in loaded.items() if not torch.is_tensor(value)]:
        message = f"{path}: holds more than tensors: {_listed(others)}"
        raise DataError(message)
    prefix = "module." if all(name.startswith("module.") for name in loaded) else ""
    return {name.removeprefix(prefix): value for name, value in loaded.items()}


def fit(
    model: torch.nn.Module,
    path: Path,
    *,
    name: str,
    adapt: Adapt = lambda state, _: state,
) -> None:
    """Load the weights file `path` into `model`, tensor by tensor, all of them and no others.

    Nothing is resized, filled in or left at its random start: position embeddings of another
    input size, for instance, are refused. `adapt` may rename tensors of older files.

    Raises
    ------
    DataError
        Naming the file, `name` (the architecture), and the missing, unexpected and ill-shaped
        tensors; of a file that cannot be read, which are expected.
    """
    expected = model.state_dict()
    try:
        found = read_state(path)
    except DataError as error:
        wanted = f"{len(expected)} tensors are expected: {_listed(list(expected))}"
        message = f"{error}; for {name} {wanted}"
        raise DataError(message) from error
    state = adapt(found, model)
    require_fit(state, expected, path, name=name)
    counters = {key for key in expected if key.endswith(_COUNTER)}
    state = {key: expected[key] for key in counters} | state
    model.load_state_dict(state)


def require_fit(
    state: Mapping[str, torch.Tensor],
    expected: Mapping[str, torch.Tensor],
    path: Path,
    *,
    name: str,
    note: str = "",
) -> None:
    """Raise unless `state` has the names and shapes of `expected`, all of them and no others.

    Raises
    ------
    DataError
        Naming the file, `name` (the architecture), the missing, unexpected and ill-shaped tensors,
        and `note`, which says what that means.
    """
    missing = [key for key in expected if key not in state and not key.endswith(_COUNTER)]
    unexpected = [key for key in state if key not in expected]
    shaped = [
        f"{key} is {tuple(value.shape)} instead of {tuple(expected[key].shape)}"
        for key, value in state.items()
        if key in expected and value.shape != expected[key].shape
    ]
    faults = []
    if missing:
        faults.append(f"{len(missing)} of {len(expected)} missing: {_listed(missing)}")
    if unexpected:
        faults.append(f"{len(unexpected)} unexpected: {_listed(unexpected)}")
    if shaped:
        faults.append(f"{len(shaped)} of another shape: {_listed(shaped)}")
    if faults:
        message = f"{path}: these weights do not fit {name}: {'; '.join(faults)}{note}"
        raise DataError(message)


def _read(path: Path) -> object:
    import torch  # as above
    from safetensors.torch import load_file  # as above

    if path.suffix == ".safetensors":
        return load_file(path)
    if _is_torchscript(path):
        message = (
            "it is a TorchScript archive, which is a program, not a table of tensors; "
            "use the safetensors file of the same weights"
        )
        raise ValueError(message)
    # Mapped, what stands beside the weights in a training checkpoint is not read.
    mapped = zipfile.is_zipfile(path)
    with torch.serialization.safe_globals(_numbers()):
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)


def _numbers() -> list[Any]:
    """Return what stands for a NumPy number in a pickle, which cannot run code.

    The optimizer's state in a training checkpoint has such learning rates.
    """
    rebuild = np.float64(0).__reduce__()[0]
    types = [type(np.dtype(name)) for name in ("float64", "float32", "int64")]
    modules = ("numpy.core.multiarray", "numpy._core.multiarray")  # before NumPy 2, and since
    return [np.dtype, *types, *((rebuild, f"{module}.scalar") for module in modules)]


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:_NAMED])
    return f"{shown}, …" if len(names) > _NAMED else shown
