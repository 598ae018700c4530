"""The torch kernels: the bytes of the native ones, on any device and for any batch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.utils._python_dispatch import TorchDispatchMode

from pipeline.errors import UsageError
from pipeline.stream import Stream
from stages.corrupt.backends import NOT_ON_TORCH, identity, kernel_of
from stages.corrupt.golden import GOLDEN_SHAPES, generated_image
from stages.corrupt.kernels.kernel import Kernel, Parameters, Shape
from stages.corrupt.kernels.noise import random_words, standard_normal
from stages.corrupt.kernels.table import KERNELS
from stages.corrupt.on_torch import BATCHED, philox
from stages.corrupt.on_torch.batched import BatchedKernel
from stages.corrupt.rendering import SUITES
from tests.stages.corrupt.kernels import any_severity

REPOSITORY = Path(__file__).parents[3]
SHAPES = (*GOLDEN_SHAPES, (28, 28, 3), (33, 35, 1), (29, 640, 3))
EXACT = {
    *("add", "add_", "sub", "rsub", "mul", "neg", "abs", "floor", "minimum", "maximum"),
    *("amax", "amin", "clamp", "where", "eq", "ge", "gt", "lt", "remainder", "any"),
    *("bitwise_and", "bitwise_xor", "__rshift__", "__lshift__", "searchsorted"),
    *("arange", "zeros", "zeros_like", "full", "full_like", "new_full", "scalar_tensor"),
    *("cat", "stack", "repeat", "constant_pad_nd", "clone", "copy_", "_to_copy", "lift_fresh"),
    *("index", "index_put_", "index_fill_", "index_select", "gather", "_local_scalar_dense"),
    *("view", "_unsafe_view", "expand", "permute", "transpose", "unsqueeze", "select", "slice"),
    *("unbind", "detach", "alias", "roll", "flip", "round"),
    *("div", "floor_divide", "sum", "cumsum"),  # see `Strict`
}
"""Operations whose result IEEE arithmetic or whole numbers settle, whatever computes them."""


Declaration = tuple[Kernel[Any], tuple[Any, ...]]
"""A native kernel and its five severities."""


def declared() -> dict[str, Declaration]:
    """Return each kernel that torch has, with every setting that suites give it."""
    found: dict[str, Declaration] = {}
    for suite in map(SUITES.__getitem__, sorted(SUITES)):
        for corruption in suite.corruptions:
            if corruption.kernel not in BATCHED:
                continue
            first = corruption.severities[0].model_dump()
            words = [value for value in first.values() if isinstance(value, str)]
            declaration = KERNELS[corruption.kernel], corruption.severities
            found.setdefault("-".join([corruption.kernel, *words]), declaration)
    return found


DECLARED = declared()
any_corruption = pytest.mark.parametrize("case", DECLARED)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread: these images are small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def batch_of(shape: Shape, count: int = 5) -> NDArray[np.uint8]:
    """Return textured, random, dark, bright and flat images."""
    rng = np.random.default_rng(shape)
    images = [
        generated_image(shape),
        rng.integers(0, 256, shape, dtype=np.uint8),
        rng.integers(0, 9, shape, dtype=np.uint8),
        np.full(shape, 255, np.uint8),
        np.full(shape, 37, np.uint8),
    ]
    return np.stack([images[n % 5] for n in range(count)])


def drawn(case: str, severity: int, shape: Shape, count: int = 5) -> list[Parameters]:
    """Return the parameters of `count` samples."""
    kernel, severities = DECLARED[case]
    streams = [Stream.of("on torch", sample, severity) for sample in range(count)]
    return [kernel.draw(stream, severities[severity - 1], shape) for stream in streams]


def native(case: str, images: NDArray[np.uint8], parameters: Sequence[Parameters]) -> bytes:
    """Return the bytes of the native kernel."""
    corrupted = np.empty_like(images)
    DECLARED[case][0].apply(images, parameters, corrupted)
    return corrupted.tobytes()


def on_torch(
    case: str, images: NDArray[np.uint8], parameters: Sequence[Parameters], device: str = "cpu"
) -> bytes:
    """Return the bytes of the torch kernel."""
    corrupted = np.empty_like(images)
    BATCHED[DECLARED[case][0].name].on(device)(images, parameters, corrupted)
    return corrupted.tobytes()


def test_every_kernel_is_tested() -> None:
    """Each line of the table names itself and has a native kernel."""
    assert {kernel.name for kernel, _ in DECLARED.values()} == set(BATCHED)
    assert all(kernel.name == name for name, kernel in BATCHED.items())


@any_severity
@any_corruption
def test_the_bytes_are_the_native_ones(case: str, severity: int) -> None:
    """Gray and coloured, of any size: not one grey level apart."""
    for shape in SHAPES:
        images, parameters = batch_of(shape), drawn(case, severity, shape)
        assert on_torch(case, images, parameters) == native(case, images, parameters)


def test_the_bytes_are_the_native_ones_on_a_gpu() -> None:
    """The same on CUDA, where there is one."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    for case in DECLARED:
        for severity in range(1, 6):
            for shape in SHAPES:
                images, parameters = batch_of(shape), drawn(case, severity, shape)
                expected = native(case, images, parameters)
                assert on_torch(case, images, parameters, "cuda") == expected, case


class Strict(TorchDispatchMode):
    """Refuses operations whose result could depend on the device."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name, kwargs = func.overloadpacket.__name__, kwargs or {}
        assert name in EXACT, name
        assert kwargs.get("alpha", 1) == 1, name
        if name == "div":
            # CUDA multiplies by the inverse of a plain number.
            assert isinstance(args[1], torch.Tensor), "division by a number"
            assert args[1].ndim, "division by a number"
        result = func(*args, **kwargs)
        if name in {"sum", "cumsum"}:
            assert not result.is_floating_point(), "the order of a float sum is the library's"
        return result


@any_corruption
def test_only_operations_that_every_device_rounds_alike(case: str) -> None:
    """No fused, approximate or reordered arithmetic: so a GPU gives the bytes tested here."""
    shape = (40, 33, 3)
    images, parameters = batch_of(shape), drawn(case, 3, shape)
    with Strict():
        strictly = on_torch(case, images, parameters)
    assert strictly == native(case, images, parameters)


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: x / 3.0,
        lambda x: x.exp(),
        lambda x: x @ x,
        lambda x: x.sum(),
        lambda x: torch.addcmul(x, x, x),
        lambda x: torch.add(x, x, alpha=2),
    ],
)
def test_such_operations_would_be_noticed(operation: Any) -> None:
    """The check above is not blind."""
    with Strict(), pytest.raises(AssertionError):
        operation(torch.ones(2, 2))


@given(keys=st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=4), count=st.integers(1, 5000))
@settings(deadline=None, max_examples=60)
def test_random_words_are_the_native_ones(keys: list[int], count: int) -> None:
    """Words and normal numbers of any keys are the same bits."""
    tensor = torch.tensor(keys, dtype=torch.int64)
    words = philox.random_words(tensor, count).numpy().view(np.uint32)
    numbers = philox.standard_normal(tensor, count).numpy()
    for row, key in enumerate(keys):
        assert np.array_equal(words[row], random_words(key, count))
        assert np.array_equal(numbers[row], standard_normal(key, (1, count, 1)).reshape(-1))


@given(data=st.data())
@settings(deadline=None, max_examples=40)
def test_any_batch_gives_each_image_the_same_bytes(data: st.DataObject) -> None:
    """Images of mixed parameters, split at any places, are rendered as if each were alone."""
    case = data.draw(st.sampled_from(sorted(DECLARED)))
    shape = (29, 34, data.draw(st.sampled_from([1, 3])))
    count = data.draw(st.integers(1, 7))
    severities = data.draw(st.lists(st.integers(1, 5), min_size=count, max_size=count))
    images = batch_of(shape, count)
    parameters = [drawn(case, s, shape, count)[n] for n, s in enumerate(severities)]
    cut = data.draw(st.integers(0, count))
    together = on_torch(case, images, parameters)
    parts = [slice(0, cut), slice(cut, count)]
    assert together == b"".join(on_torch(case, images[p], parameters[p]) for p in parts)
    assert together == native(case, images, parameters)


def test_threads_take_turns() -> None:
    """Four threads with batches of their own do not disturb each other."""
    shape = (40, 56, 3)
    images = batch_of(shape)
    parameters = [drawn("gaussian_noise-down", s, shape) for s in (1, 2, 3, 4, 5)] * 4
    expected = [on_torch("gaussian_noise-down", images, entry) for entry in parameters]
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda entry: on_torch("gaussian_noise-down", images, entry), parameters)
    assert list(found) == expected


@any_corruption
def test_the_input_is_only_read(case: str) -> None:
    """Read-only memory is accepted, and writable memory keeps its bytes."""
    shape = (40, 56, 3)
    images, parameters = batch_of(shape), drawn(case, 3, shape)
    before = images.tobytes()
    expected = on_torch(case, images, parameters)
    assert images.tobytes() == before
    images.setflags(write=False)
    assert on_torch(case, images, parameters) == expected


def test_a_set_says_its_renderer() -> None:
    """The key names both versions, of which each counts, and differs from the native one."""
    suite = SUITES["medimeta-c"]
    for corruption in suite.corruptions:
        says = identity("torch", suite, corruption)
        assert says == f"torch 1 of native {KERNELS[corruption.kernel].version}"
        assert says != identity("native", suite, corruption)


def test_a_kernel_that_torch_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sets have a key, so that others of the suite can be built; rendering one is refused."""
    monkeypatch.setattr("stages.corrupt.on_torch.BATCHED", {})
    suite = SUITES["medimeta-c"]
    assert identity("torch", suite, suite.corruption("contrast")) == NOT_ON_TORCH
    with pytest.raises(UsageError, match=r"torch has no contrast; render that with native"):
        kernel_of("torch", suite.corruption("contrast"), 1)


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("tpu", "unknown device 'tpu'; give auto, cpu, cuda"),
        ("meta", "unknown device 'meta'; give auto, cpu, cuda"),
        ("cuda", "no device 'cuda' on this machine; give --device cpu"),
        ("cuda:7", "no device 'cuda:7' on this machine; give --device cpu"),
    ],
)
def test_a_device_that_is_not_there(
    device: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clear error before anything is rendered."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    corruption = SUITES["medimeta-c"].corruption("contrast")
    images = batch_of((28, 28, 3))
    with pytest.raises(UsageError, match=message):
        kernel_of("torch", corruption, 1, device).apply_one(images[0], {})


def test_auto_is_the_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the CPU."""
    from stages.device import choose_device

    for there, kind in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert choose_device("auto").type == kind


def test_naming_the_kernels_loads_no_torch() -> None:
    """The table, and with it every key, is known without the library."""
    code = "import sys, stages.corrupt.on_torch; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_images_whose_parameters_agree_go_together() -> None:
    """One call for all images of a set, though each has a key of its own."""
    calls: list[int] = []

    def render(images: torch.Tensor, parameters: Sequence[Parameters]) -> torch.Tensor:
        calls.append(len(parameters))
        return images

    kernel = BatchedKernel("any", render, own=frozenset({"noise_key"}))
    images = batch_of((28, 28, 3), 6)
    parameters = [{"sigma": float(n > 3), "noise_key": n} for n in range(6)]
    kernel.on("cpu")(images, parameters, np.empty_like(images))
    assert calls == [4, 2]


def test_a_batch_too_large_for_the_device_goes_in_halves() -> None:
    """Where memory runs out fewer images go at once; for a single one the error remains."""
    most = 2

    def render(images: torch.Tensor, parameters: Sequence[Parameters]) -> torch.Tensor:
        if len(images) > most:
            raise torch.OutOfMemoryError
        return 255 - images

    kernel = BatchedKernel("any", render)
    images = batch_of((28, 28, 3), 7)
    corrupted = np.empty_like(images)
    kernel.on("cpu")(images, [{}] * 7, corrupted)
    assert np.array_equal(corrupted, 255 - images)
    most = 0
    with pytest.raises(torch.OutOfMemoryError):
        kernel.on("cpu")(images, [{}] * 7, corrupted)
